//! Which objects does a contract hold? Each once, in the order in which they stand, references followed.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::super::direction::Direction;
use super::super::keyword::{Dialect, Keyword};
use super::super::source::{At, Source};
use super::cover::{Cover, Covers};
use super::rules::Object;

/// An object of a contract.
#[derive(Debug, Clone)]
pub(super) struct Visited {
    pub(super) object: Object,
    pub(super) at: At,
    /// Which way the messages go that it describes.
    pub(super) direction: Direction,
    /// What bounds a schema from outside: its neighbours in an `allOf`, or what stands around an `anyOf`.
    pub(super) around: Cover,
    /// `POST /orders` of an operation.
    pub(super) call: Option<(&'static str, String)>,
}

/// The objects of a contract, one after the other.
pub(super) struct Walk<'s> {
    source: &'s Source,
    dialect: Dialect,
    covers: Covers<'s>,
    open: Vec<Visited>,
    /// What references led to: an object may be reached on many ways.
    objects: HashSet<(Object, At)>,
    schemas: HashMap<At, Vec<Cover>>,
}

impl<'s> Walk<'s> {
    pub(super) fn new(source: &'s Source, dialect: Dialect) -> Self {
        let covers = Covers::new(source, dialect);
        let mut walk = Self {
            source,
            dialect,
            covers,
            open: Vec::new(),
            objects: HashSet::new(),
            schemas: HashMap::new(),
        };
        let mut first = vec![Visited::new(Object::Document, source.root(), Direction::Request)];
        // Behind everything else: what nothing refers to is looked at too.
        let components = source.root().key("components");
        for (key, object, direction) in COMPONENTS {
            let all = components.key(key);
            first.extend(walk.keys(&all).iter().map(|name| Visited::new(object, all.key(name), direction)));
        }
        walk.push(first);
        walk
    }

    /// The bounds of a schema by itself.
    pub(super) fn cover(&mut self, at: &At) -> Cover {
        self.covers.of(at)
    }

    /// The next ones, so that the first of them comes first.
    fn push(&mut self, next: Vec<Visited>) {
        self.open.extend(next.into_iter().rev());
    }

    fn keys(&self, at: &At) -> Vec<String> {
        let members = self.source.value(at).and_then(Value::as_object);
        let keys = members.into_iter().flat_map(|members| members.keys());
        keys.filter(|key| !key.starts_with("x-")).cloned().collect()
    }

    fn length(&self, at: &At) -> usize {
        self.source.value(at).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// What an object other than a schema holds.
    fn parts(&self, of: &Visited) -> Vec<Visited> {
        let (at, direction) = (&of.at, of.direction);
        let map = |key: &str, object, direction| {
            let all = at.key(key);
            self.keys(&all)
                .into_iter()
                .map(move |name| Visited::new(object, all.key(&name), direction))
                .collect()
        };
        let list = |key: &str, object, direction| {
            let all = at.key(key);
            (0..self.length(&all)).map(|n| Visited::new(object, all.item(n), direction)).collect()
        };
        let one = |key: &str, object, direction| vec![Visited::new(object, at.key(key), direction)];
        let request = Direction::Request;
        let parts: Vec<Vec<Visited>> = match of.object {
            Object::Document => vec![map("paths", Object::PathItem, request)],
            Object::PathItem => vec![list("parameters", Object::Parameter, request), self.operations(at)],
            Object::Operation => vec![
                list("parameters", Object::Parameter, request),
                one("requestBody", Object::RequestBody, request),
                map("responses", Object::Response, Direction::Response),
            ],
            Object::RequestBody => vec![map("content", Object::MediaType, request)],
            Object::Response => vec![
                map("headers", Object::Header, Direction::Response),
                map("content", Object::MediaType, Direction::Response),
            ],
            Object::Parameter | Object::Header => {
                vec![one("schema", Object::Schema, direction), map("content", Object::MediaType, direction)]
            }
            Object::MediaType => vec![one("schema", Object::Schema, direction)],
            Object::Schema | Object::SecurityScheme => Vec::new(),
        };
        parts.into_iter().flatten().collect()
    }

    fn operations(&self, item: &At) -> Vec<Visited> {
        let path = item.pointer.rsplit('/').next().map(crate::document::untoken).unwrap_or_default();
        let operation = |word: &&'static str| {
            let at = item.key(word);
            self.source.value(&at)?;
            let call = Some((*word, path.clone()));
            Some(Visited { call, ..Visited::new(Object::Operation, at, Direction::Request) })
        };
        METHODS.iter().filter_map(operation).collect()
    }

    /// The schemas that describe the same value as the one at `of.at`, and those of the values in it. What only
    /// tests a value (`not`, `if`, `contains`, `propertyNames`) bounds nothing and is passed over.
    fn schemas(&mut self, of: &Visited, target: Option<At>) -> Vec<Visited> {
        let (source, dialect) = (self.source, self.dialect);
        let here = of.around.and(self.covers.of(&of.at));
        let schema =
            |at: At, around: Cover| Visited { around, ..Visited::new(Object::Schema, at, of.direction) };
        let mut found: Vec<Visited> = target.into_iter().map(|at| schema(at, here)).collect();
        let Some(members) = source.value(&of.at).and_then(Value::as_object) else { return found };
        if members.contains_key("$ref") && dialect.ignores_beside_references() {
            return found;
        }
        // An `allOf` is closed from outside, where all its properties are seen, or not at all.
        let all_of = here.and(Cover::CLOSED);
        for (word, value) in members {
            let at = of.at.key(word);
            match (word.as_str(), dialect.keyword(word)) {
                ("not" | "if" | "contains" | "propertyNames" | "$defs" | "definitions", _) => {}
                ("allOf", _) => found.extend((0..self.length(&at)).map(|n| schema(at.item(n), all_of))),
                ("anyOf" | "oneOf", _) => {
                    found.extend((0..self.length(&at)).map(|n| schema(at.item(n), here)));
                }
                ("then" | "else", _) => found.push(schema(at, here.and(Cover::CLOSED))),
                ("dependentSchemas" | "dependencies", _) => {
                    found.extend(self.keys(&at).iter().map(|name| schema(at.key(name), all_of)));
                }
                (_, Keyword::SchemaMap | Keyword::SchemasOrNames) => {
                    let names = value.as_object().into_iter().flat_map(|all| all.keys());
                    found.extend(names.map(|name| schema(at.key(name), Cover::NOTHING)));
                }
                (_, Keyword::Schemas | Keyword::Items) if value.is_array() => {
                    found.extend((0..self.length(&at)).map(|n| schema(at.item(n), Cover::NOTHING)));
                }
                (_, Keyword::Schema | Keyword::Items) => found.push(schema(at, Cover::NOTHING)),
                _ => {}
            }
        }
        found
    }

    /// Follows a schema's reference; whether it was not looked at before with these bounds around it.
    fn enter_schema(&mut self, visited: &Visited) -> bool {
        let seen = self.schemas.entry(visited.at.clone()).or_default();
        if seen.contains(&visited.around) {
            return false;
        }
        seen.push(visited.around);
        true
    }
}

impl Iterator for Walk<'_> {
    type Item = Visited;

    fn next(&mut self) -> Option<Visited> {
        loop {
            let mut visited = self.open.pop()?;
            let Some(value) = self.source.value(&visited.at) else { continue };
            if visited.object == Object::Schema {
                // `true` and `false` describe nothing that could be bounded.
                if !value.is_object() {
                    continue;
                }
                // A component that was reached before is not looked at again for being one.
                let is_component =
                    visited.at.file == 0 && visited.at.pointer.starts_with("/components/schemas/");
                let unbounded = visited.around == Cover::NOTHING && is_component;
                if unbounded && self.schemas.contains_key(&visited.at) || !self.enter_schema(&visited) {
                    continue;
                }
                let reference = value.get("$ref").and_then(Value::as_str);
                let target = reference.and_then(|text| self.source.target(visited.at.file, text).ok());
                let only_refers = target.is_some()
                    && (self.dialect.ignores_beside_references()
                        || value.as_object().is_some_and(|members| members.len() == 1));
                let parts = self.schemas(&visited, target);
                self.push(parts);
                if only_refers {
                    continue;
                }
                return Some(visited);
            }
            let Ok(at) = self.source.follow(visited.at.clone()) else { continue };
            if at != visited.at || at.pointer.starts_with("/components/") {
                visited.at = at;
                if !self.objects.insert((visited.object, visited.at.clone())) {
                    continue;
                }
            }
            // A path of the root keeps its name, also when what it holds stands elsewhere.
            let parts = self.parts(&visited);
            self.push(parts);
            return Some(visited);
        }
    }
}

impl Visited {
    fn new(object: Object, at: At, direction: Direction) -> Self {
        Self { object, at, direction, around: Cover::NOTHING, call: None }
    }
}

const COMPONENTS: [(&str, Object, Direction); 7] = [
    ("pathItems", Object::PathItem, Direction::Request),
    ("parameters", Object::Parameter, Direction::Request),
    ("requestBodies", Object::RequestBody, Direction::Request),
    ("headers", Object::Header, Direction::Response),
    ("responses", Object::Response, Direction::Response),
    ("securitySchemes", Object::SecurityScheme, Direction::Request),
    ("schemas", Object::Schema, Direction::Response),
];
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(dialect: Dialect, text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        Walk::new(&source, dialect).map(|one| format!("{:?} {}", one.object, one.at.pointer)).collect()
    }

    #[test]
    fn every_object_is_visited_once_in_order() {
        let found = walked(
            Dialect::V31,
            "paths:
  /a:
    parameters: [{$ref: '#/components/parameters/P'}]
    get:
      responses:
        '200': {$ref: '#/components/responses/R'}
        '400': {$ref: '#/components/responses/R'}
components:
  parameters: {P: {schema: {type: string}}}
  responses: {R: {headers: {H: {schema: {}}}, content: {a/b: {schema: {$ref: '#/components/schemas/S'}}}}}
  securitySchemes: {k: {type: http}}
  schemas:
    S: {properties: {a: {items: {$ref: '#/components/schemas/S'}}, b: {}}, not: {type: string}, additionalProperties: false}
    Unused: {type: object}
",
        );
        assert_eq!(
            found,
            [
                "Document ",
                "PathItem /paths/~1a",
                "Parameter /components/parameters/P",
                "Schema /components/parameters/P/schema",
                "Operation /paths/~1a/get",
                "Response /components/responses/R",
                "Header /components/responses/R/headers/H",
                "Schema /components/responses/R/headers/H/schema",
                "MediaType /components/responses/R/content/a~1b",
                "Schema /components/schemas/S",
                "Schema /components/schemas/S/properties/a",
                "Schema /components/schemas/S/properties/b",
                "SecurityScheme /components/securitySchemes/k",
                "Schema /components/schemas/Unused",
            ]
        );
    }

    #[test]
    fn loops_end() {
        let found = walked(
            Dialect::V30,
            "components: {schemas: {A: {allOf: [{$ref: '#/components/schemas/B'}]}, B: {anyOf: [{$ref: '#/components/schemas/A'}]}, C: {$ref: '#/components/schemas/C'}}}\n",
        );
        assert!(found.len() < 10, "{found:?}");
    }
}
