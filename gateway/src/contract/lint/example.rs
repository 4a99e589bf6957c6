//! Do the examples and defaults of a contract satisfy their schemas?

use serde_json::Value;

use super::super::direction::Direction;
use super::super::media::{self, MediaRange};
use super::super::schema::Schema;
use super::super::schemas::Schemas;
use super::super::source::{At, Source};
use super::super::violation::{Location, Violations};
use super::rules::Object;
use super::walk::Visited;

/// Examples whose schemas are still to be compiled.
pub(super) struct Examples<'s> {
    source: &'s Source,
    schemas: Schemas<'s>,
    found: Vec<Example>,
}

/// A value that must satisfy a schema.
struct Example {
    at: At,
    schema: Schema,
    /// Whether it is the example of a message. An example of a schema stands for both directions.
    of_message: bool,
}

impl<'s> Examples<'s> {
    pub(super) const fn new(source: &'s Source, schemas: Schemas<'s>) -> Self {
        Self { source, schemas, found: Vec::new() }
    }

    /// Notes what `visited` has as examples.
    pub(super) fn note(&mut self, visited: &Visited) {
        let at = &visited.at;
        match visited.object {
            Object::Schema => {
                self.note_values(visited, at, false, [at.key("example"), at.key("default")]);
                let all = at.key("examples");
                let count = self.source.value(&all).and_then(Value::as_array).map_or(0, Vec::len);
                self.note_values(visited, at, false, (0..count).map(|n| all.item(n)));
            }
            Object::Parameter | Object::Header | Object::MediaType if self.is_plain(visited) => {
                let schema = at.key("schema");
                if self.source.value(&schema).is_some() {
                    let values = self.named_values(at);
                    self.note_values(visited, &schema, true, values);
                }
            }
            Object::Document
            | Object::PathItem
            | Object::Operation
            | Object::Parameter
            | Object::Header
            | Object::MediaType
            | Object::RequestBody
            | Object::Response
            | Object::SecurityScheme => {}
        }
    }

    fn note_values(
        &mut self,
        visited: &Visited,
        schema: &At,
        of_message: bool,
        values: impl IntoIterator<Item = At>,
    ) {
        for at in values {
            if self.source.value(&at).is_some() {
                let schema = self.schemas.compile(schema, visited.direction);
                self.found.extend(schema.map(|schema| Example { at, schema, of_message }));
            }
        }
    }

    /// Where the values of `example` and `examples` are. An `externalValue` is not fetched.
    fn named_values(&self, at: &At) -> Vec<At> {
        let mut values = vec![at.key("example")];
        let all = at.key("examples");
        let names = self.source.value(&all).and_then(Value::as_object).into_iter().flat_map(|all| all.keys());
        values.extend(names.filter_map(|name| Some(self.source.follow(all.key(name)).ok()?.key("value"))));
        values
    }

    /// Whether an example is written as the value itself: not one of XML, nor of bytes.
    fn is_plain(&self, visited: &Visited) -> bool {
        if visited.object != Object::MediaType {
            return true;
        }
        let key = visited.at.pointer.rsplit('/').next().map(crate::document::untoken).unwrap_or_default();
        MediaRange::parse(&key).is_some_and(|range| match range.essence() {
            (kind, subtype) if media::is_json_essence(kind, subtype) => true,
            ("application", "x-www-form-urlencoded") | ("text", "plain") => true,
            _ => false,
        })
    }

    /// Every example that does not satisfy its schema, and why. Schemas that do not compile say nothing here.
    pub(super) fn unsatisfying(self) -> Vec<(At, String)> {
        let Self { source, schemas, found } = self;
        schemas.finish();
        let mut told = Vec::new();
        for Example { at, schema, of_message } in found {
            let Some(value) = source.value(&at) else { continue };
            if schema.accepts(value) {
                continue;
            }
            let mut violations = Violations::default();
            schema.explain(value, &Location::Body(String::new()), &mut violations);
            // What only one direction hides may stand in an example of both.
            let hides = [Direction::Request.hiding(), Direction::Response.hiding()];
            let reasons: Vec<String> = violations
                .as_slice()
                .iter()
                .filter(|violation| of_message || !hides.contains(&violation.keyword.as_str()))
                .map(|violation| match &violation.location {
                    Location::Body(pointer) if !pointer.is_empty() => {
                        format!("`{pointer}` wants {}", violation.expected)
                    }
                    _ => format!("it wants {}", violation.expected),
                })
                .collect();
            if let Some(first) = reasons.first() {
                let more = reasons.len().saturating_sub(1);
                let more = if more == 0 { String::new() } else { format!(", and {more} more") };
                told.push((at, format!("does not satisfy its schema: {first}{more}")));
            }
        }
        told
    }
}
