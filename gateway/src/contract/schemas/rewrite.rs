//! One part of a contract in the validator's own words.
//!
//! References become links, the words of OpenAPI become words of JSON Schema, `readOnly` and `writeOnly` take
//! effect, and what only describes is left out. What cannot be enforced is told, with its place.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::adapt::{self, Nullable};
use super::super::direction::Direction;
use super::super::format;
use super::super::keyword::{Dialect, Keyword};
use super::super::settings::WrittenMarks;
use super::super::source::{At, Source};
use super::choice::{Choice, named_schema};
use super::part::LINK;
use super::{Edge, Linking, Schemas, whole};
use crate::diagnostic::Diagnostic;

/// The part of this number, which stands at `at`, for messages that go in `direction`.
pub(super) fn part(schemas: &mut Schemas<'_>, number: usize, at: &At, direction: Direction) -> Value {
    let source = schemas.source;
    let mut rewriter = Rewriter { schemas, source, number, direction, identified: Identified::No };
    rewriter.schema(at, &BTreeSet::new())
}

/// The rewriting of one part.
struct Rewriter<'r, 's> {
    schemas: &'r mut Schemas<'s>,
    source: &'s Source,
    number: usize,
    direction: Direction,
    identified: Identified,
}

/// Whether a schema around here has an `$id`, so that references are relative to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Identified {
    No,
    Yes,
}

impl Rewriter<'_, '_> {
    /// The schema at `at`; `hidden` are the properties that schemas around it keep out.
    fn schema(&mut self, at: &At, hidden: &BTreeSet<String>) -> Value {
        let dialect = self.schemas.dialect;
        match self.source.value(at) {
            Some(Value::Object(written)) => self.object(at, written, hidden),
            Some(Value::Bool(verdict)) if dialect.has_boolean_schemas() => Value::Bool(*verdict),
            _ => {
                self.tell(at, self.source.error(at, "a schema is a mapping"));
                Value::Bool(false)
            }
        }
    }

    fn object(&mut self, at: &At, written: &Map<String, Value>, hidden: &BTreeSet<String>) -> Value {
        let mut rewritten = Map::new();
        if written.contains_key("$ref") && self.schemas.dialect.ignores_beside_references() {
            for word in written.keys().filter(|word| *word != "$ref") {
                self.check_ignored(&at.key(word), word);
            }
            self.reference(at, written, &mut rewritten);
            return Value::Object(rewritten);
        }
        let around = self.identified;
        if written.contains_key("$id") || written.contains_key("id") {
            self.identified = Identified::Yes;
        }
        self.reference(at, written, &mut rewritten);
        let mut hidden = hidden.clone();
        hidden.extend(self.direction.hidden_names(self.source, at));
        for (word, value) in written.iter().filter(|(word, _)| *word != "$ref") {
            if let Some(value) = self.word(at, word, value, &hidden) {
                rewritten.insert(word.clone(), value);
            }
        }
        let changes = adapt::required_without(written, &hidden).into_iter();
        for (word, value) in changes.chain(self.nullable(at, written)).chain(adapt::integer_bounds(written)) {
            match value {
                Some(value) => rewritten.insert(word, value),
                None => rewritten.shift_remove(&word),
            };
        }
        self.identified = around;
        Value::Object(rewritten)
    }

    /// What a `$ref` becomes.
    fn reference(&mut self, at: &At, written: &Map<String, Value>, rewritten: &mut Map<String, Value>) {
        let Some(reference) = written.get("$ref") else { return };
        let here = at.key("$ref");
        let Some(text) = reference.as_str() else {
            return self.tell(&here, self.source.error(&here, "`$ref` is a text"));
        };
        if self.identified == Identified::Yes {
            // JSON Schema 2020-12 core section 8.2.1: relative to the `$id`, which the validator knows.
            self.link_identified(at, text);
            rewritten.insert("$ref".to_owned(), reference.clone());
            return;
        }
        match (self.source.target(at.file, text), self.schemas.linking) {
            (Ok(target), Linking::Parts) => {
                rewritten.insert(LINK.to_owned(), json!(self.link(&target)));
            }
            (Ok(target), Linking::Whole) => {
                let uri = whole::uri(self.source, &target);
                self.link(&target);
                rewritten.insert("$ref".to_owned(), Value::from(uri));
            }
            (Err(why), Linking::Parts) => self.tell(&here, self.source.error(&here, why)),
            (Err(why), Linking::Whole) => match whole::anchored(self.source, at.file, text) {
                Some(target) => {
                    self.link(&target);
                    rewritten.insert("$ref".to_owned(), Value::from(whole::uri(self.source, &target)));
                }
                // It may name a schema by its `$id`; if none has it, the schema does not compile.
                None if whole::may_be_identifier(text) => {
                    self.link_identified(at, text);
                    rewritten.insert("$ref".to_owned(), reference.clone());
                }
                None => self.tell(&here, self.source.error(&here, why)),
            },
        }
    }

    /// Makes a part of the schema that the `$id` in `reference` names, so that the validator is told of it.
    fn link_identified(&mut self, at: &At, reference: &str) {
        let named = whole::absolute(self.source, at.file, reference.split('#').next().unwrap_or_default());
        if let Some(target) = self.schemas.identified.get(&named).cloned() {
            self.link(&target);
        }
    }

    /// The number of a reference from here to `target`.
    fn link(&mut self, target: &At) -> usize {
        let to = self.schemas.number(target, self.direction);
        let number = self.schemas.edges.len();
        self.schemas.edges.push(Edge { from: self.number, to });
        number
    }

    /// What the word `word` of the schema at `around` becomes; nothing if it constrains nothing.
    fn word(&mut self, around: &At, word: &str, value: &Value, hidden: &BTreeSet<String>) -> Option<Value> {
        let at = &around.key(word);
        let apart = BTreeSet::new();
        match self.schemas.dialect.keyword(word) {
            Keyword::Plain => self.plain(around, at, word, value),
            Keyword::Annotation => {
                self.check_annotation(at, word);
                None
            }
            // A boolean is a schema in 2020-12, and `additionalProperties` may be one in 3.0.
            Keyword::Schema if value.is_boolean() && word.starts_with("additional") => Some(value.clone()),
            Keyword::Schema => Some(self.schema(at, &apart)),
            // The branches describe the same object, so what is hidden around them is hidden in them.
            Keyword::Schemas => Some(self.list(at, value, hidden)),
            Keyword::Items if value.is_array() => Some(self.list(at, value, &apart)),
            Keyword::Items => Some(self.schema(at, &apart)),
            Keyword::SchemaMap => Some(self.map(at, word, value)),
            Keyword::SchemasOrNames => Some(self.map(at, word, value)),
            Keyword::Refused(why) => {
                let told =
                    Diagnostic::error(self.source.key_place(at), format!("`{word}` cannot be enforced here"));
                self.tell(at, told.help(why));
                None
            }
            Keyword::Unknown => {
                let place = self.source.key_place(at);
                let told = Diagnostic::warning(place, format!("unknown keyword `{word}` constrains nothing"));
                let dialect = self.schemas.dialect;
                self.tell(at, told.did_you_mean(word, dialect.keywords()));
                None
            }
        }
    }

    fn list(&mut self, at: &At, value: &Value, hidden: &BTreeSet<String>) -> Value {
        let Some(items) = value.as_array() else { return value.clone() };
        Value::Array((0..items.len()).map(|n| self.schema(&at.item(n), hidden)).collect())
    }

    fn map(&mut self, at: &At, word: &str, value: &Value) -> Value {
        let Some(members) = value.as_object() else { return value.clone() };
        let apart = BTreeSet::new();
        let mut rewritten = Map::new();
        for (name, member) in members {
            let here = at.key(name);
            if word == "patternProperties" {
                self.check_pattern(&here, name);
            }
            let schema = if word == "properties" && self.direction.hides(self.source, &here) {
                // OpenAPI 3.0.4 section 4.7.24.1: a `readOnly` property is not sent in requests, nor a
                // `writeOnly` one in responses. A keyword of the same name refuses it.
                json!({ self.direction.hiding(): true })
            } else if word == "dependencies" && member.is_array() {
                member.clone()
            } else {
                self.schema(&here, &apart)
            };
            rewritten.insert(name.clone(), schema);
        }
        Value::Object(rewritten)
    }

    fn plain(&mut self, around: &At, at: &At, word: &str, value: &Value) -> Option<Value> {
        let text = value.as_str().unwrap_or_default();
        match word {
            // They take effect where the property stands: see `map`.
            "readOnly" | "writeOnly" | "nullable" => None,
            "format" => {
                if !format::says_nothing(text) && !self.schemas.is_checked(text) {
                    let told = format!("the format `{text}` is not known and not checked");
                    self.tell(at, self.source.warning(at, told));
                }
                Some(value.clone())
            }
            "pattern" => {
                self.check_pattern(at, text);
                Some(value.clone())
            }
            "maximum" | "minimum" | "exclusiveMaximum" | "exclusiveMinimum" | "multipleOf" => {
                // JSON holds any number; what is read of one beyond 64 bits are its first 53.
                if value.is_f64() && value.as_f64().is_some_and(|bound| bound.abs() >= EXACT_BELOW) {
                    let told =
                        format!("`{word}` is compared with 53 bits of precision, because it is so large");
                    self.tell(at, self.source.warning(at, told));
                }
                Some(value.clone())
            }
            "$schema" => {
                if Dialect::named(text).is_none_or(|named| named != self.schemas.dialect) {
                    let told =
                        self.source.error(at, format!("the dialect `{text}` is not that of the contract"));
                    self.tell(
                        at,
                        told.help("`jsonSchemaDialect` names one dialect for all schemas of a contract"),
                    );
                }
                None
            }
            "discriminator" => {
                self.discriminator(around, at);
                None
            }
            "$dynamicRef" => Some(self.dynamic(at, text)),
            _ => Some(value.clone()),
        }
    }

    /// JSON Schema 2020-12 core section 8.2.3.2: without any `$id` a contract is one resource, in which an
    /// anchor stands once, so a dynamic reference leads where its anchor stands.
    fn dynamic(&mut self, at: &At, text: &str) -> Value {
        if self.identified == Identified::No
            && let Some(target) = whole::anchored(self.source, at.file, text)
        {
            self.link(&target);
            return Value::from(whole::uri(self.source, &target));
        }
        Value::from(text)
    }

    fn discriminator(&mut self, around: &At, at: &At) {
        let decides = ["oneOf", "anyOf"].into_iter().find(|word| self.source.member(around, word).is_some());
        let Some(word) = decides else {
            let told = self.source.warning(at, "a `discriminator` without `oneOf` decides nothing");
            let told = told.help("list the alternatives in `oneOf`, each with its own `enum` or `const`");
            return self.tell(at, told);
        };
        if let Some(choice) = Choice::read(self.source, around, word) {
            self.schemas.choices.insert(around.clone(), choice);
        }
        let mapping = at.key("mapping");
        let named = self.source.value(&mapping).and_then(Value::as_object);
        for (value, target) in named.into_iter().flatten() {
            let here = mapping.key(value);
            if target.as_str().and_then(|target| named_schema(self.source, at, target)).is_none() {
                self.tell(&here, self.source.error(&here, "nothing stands where this value leads"));
            }
        }
    }

    fn check_pattern(&mut self, at: &At, pattern: &str) {
        if !self.schemas.is_runnable(pattern) {
            let told = self.source.error(at, "the regular expression cannot be run");
            self.tell(
                at,
                told.help(
                    "write it without look-around and back-references, or set \
                     `insecure_backtracking_patterns` in `x-gateway` of the contract",
                ),
            );
        }
    }

    /// OpenAPI lets people annotate a reference; only what would constrain is missed.
    fn check_ignored(&mut self, at: &At, word: &str) {
        let harmless = matches!(word, "description" | "summary" | "readOnly" | "writeOnly" | "x-gateway");
        if !harmless && self.schemas.dialect.keyword(word) != Keyword::Annotation {
            let place = self.source.key_place(at);
            let told =
                Diagnostic::warning(place, format!("`{word}` beside a `$ref` is ignored in this dialect"));
            self.tell(at, told.help("put both into `allOf`"));
        }
    }

    fn check_annotation(&mut self, at: &At, word: &str) {
        if matches!(word, "contentEncoding" | "contentMediaType" | "contentSchema") {
            let told = format!("`{word}` describes but is not checked");
            self.tell(at, self.source.warning(at, told));
        }
        if word == "x-gateway"
            && let Err(mistakes) = self.source.part::<WrittenMarks>(at)
        {
            mistakes.into_iter().for_each(|mistake| self.tell(at, mistake));
        }
    }

    fn nullable(&mut self, at: &At, written: &Map<String, Value>) -> Vec<adapt::Change> {
        if self.schemas.dialect != Dialect::V30 || !written.contains_key("nullable") {
            return Vec::new();
        }
        let (changes, told) = adapt::nullable(written);
        let at = at.key("nullable");
        match told {
            Nullable::Works => {}
            Nullable::WithoutEffect(why) => self.tell(&at, self.source.warning(&at, why)),
            Nullable::Broken => self.tell(&at, self.source.error(&at, "`nullable` is true or false")),
        }
        changes
    }

    fn tell(&mut self, at: &At, mistake: Diagnostic) {
        self.schemas.tell(at, mistake);
    }
}

/// 2^53: RFC 8259 section 6.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
