//! How does a schema of a contract become one that a validator enforces?
//!
//! A copy of each file is changed in place, so that every pointer stays what the author wrote:
//! references become absolute, the words of OpenAPI become words of JSON Schema, and `readOnly` and
//! `writeOnly` take effect, once for requests and once for responses. It does not know operations.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jsonschema::{Draft, PatternCache, PatternOptions, Registry};
use serde_json::{Map, Value, json};

use super::adapt::{self, Change, Nullable};
use super::direction::Direction;
use super::format::{self, Formats};
use super::keyword::{Dialect, Keyword};
use super::schema::{self, Schema};
use super::settings::WrittenMarks;
use super::source::{At, Source};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Compiles the schemas of one contract.
pub(super) struct Schemas<'s> {
    source: &'s Source,
    dialect: Dialect,
    request: Working,
    response: Working,
    formats: Formats,
    patterns: PatternCache,
    file_names: Arc<[Box<str>]>,
    compiled: HashMap<(At, Direction), Schema>,
    told: HashSet<(At, String)>,
    mistakes: Diagnostics,
}

/// The files as one direction sees them, and what of them is ready.
struct Working {
    files: Vec<Value>,
    ready: HashSet<At>,
}

/// A schema that is to be made ready, and the properties that schemas around it hide.
struct Pending {
    at: At,
    hidden: BTreeSet<String>,
}

/// Copies of all files in which every reference names its target absolutely.
///
/// The registry looks into files that are schemas as a whole before any part of them is made ready, and
/// cannot follow a file name there.
fn with_absolute_references(source: &Source) -> Vec<Value> {
    let mut files: Vec<Value> = source.values().cloned().collect();
    for (n, file) in files.iter_mut().enumerate() {
        let mut open = vec![file];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(Value::String(reference)) = members.get_mut("$ref")
                        && let Ok(target) = source.target(n, reference)
                    {
                        *reference = schema::uri(&target);
                    }
                    open.extend(members.values_mut());
                }
                Value::Array(items) => open.extend(items),
                _ => {}
            }
        }
    }
    files
}

impl<'s> Schemas<'s> {
    pub(super) fn new(source: &'s Source, dialect: Dialect) -> Self {
        let working = || Working { files: with_absolute_references(source), ready: HashSet::new() };
        let names = source.values().enumerate().map(|(n, _)| Box::from(source.short_name(n)));
        Self {
            source,
            dialect,
            request: working(),
            response: working(),
            formats: Formats::new(dialect),
            patterns: PatternCache::new(),
            file_names: names.collect(),
            compiled: HashMap::new(),
            told: HashSet::new(),
            mistakes: Diagnostics::new(),
        }
    }

    /// What was found wrong or worth a look in all schemas compiled so far.
    pub(super) fn into_mistakes(self) -> Diagnostics {
        self.mistakes
    }

    /// The schema at `at`, for messages that go in `direction`. What several operations refer to is
    /// compiled once.
    pub(super) fn compile(&mut self, at: &At, direction: Direction) -> Option<Schema> {
        let at = self.behind(at);
        let key = (at, direction);
        if let Some(schema) = self.compiled.get(&key) {
            return Some(schema.clone());
        }
        let (at, _) = &key;
        let before = self.error_count();
        self.make_ready(at, direction);
        if self.error_count() > before {
            return None;
        }
        match self.build(at, direction) {
            Ok(schema) => {
                self.compiled.insert(key, schema.clone());
                Some(schema)
            }
            Err(why) => {
                let told = self.source.error(at, format!("the schema cannot be enforced: {why}"));
                self.tell(at, told);
                None
            }
        }
    }

    /// What stands behind a schema that is nothing but a reference.
    fn behind(&self, at: &At) -> At {
        let only_reference =
            |at: &At| self.source.value(at).and_then(Value::as_object).is_some_and(|s| s.len() == 1);
        if only_reference(at) {
            self.source.follow(at.clone()).unwrap_or_else(|_told_later| at.clone())
        } else {
            at.clone()
        }
    }

    fn error_count(&self) -> usize {
        self.mistakes.iter().filter(|m| m.severity() == crate::diagnostic::Severity::Error).count()
    }

    fn tell(&mut self, at: &At, mistake: Diagnostic) {
        if self.told.insert((at.clone(), mistake.message().to_owned())) {
            self.mistakes.push(mistake);
        }
    }

    fn draft(&self) -> Draft {
        match self.dialect {
            Dialect::V30 => Draft::Draft4,
            Dialect::V31 => Draft::Draft202012,
        }
    }

    fn working(&mut self, direction: Direction) -> &mut Working {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    fn build(&mut self, at: &At, direction: Direction) -> Result<Schema, String> {
        let draft = self.draft();
        let patterns = self.patterns.clone();
        let formats = self.formats.register(jsonschema::options());
        let names = Arc::clone(&self.file_names);
        let working = self.working(direction);
        let mut registry = Registry::new().draft(draft);
        for (n, file) in working.files.iter().enumerate() {
            let resource = draft.create_resource_ref(file);
            registry = registry.add(schema::file_uri(n), resource).map_err(|e| e.to_string())?;
        }
        let registry = registry.prepare().map_err(|e| e.to_string())?;
        let validator = formats
            .with_draft(draft)
            .with_registry(&registry)
            .offline()
            // Linear time whatever the pattern; look-around and back-references do not compile.
            .with_pattern_options(PatternOptions::regex())
            .with_pattern_cache(patterns)
            .with_keyword("readOnly", schema::hidden)
            .with_keyword("writeOnly", schema::hidden)
            .build(&json!({ "$ref": schema::uri(at) }))
            .map_err(|e| schema::mistake(&e))?;
        Ok(Schema::new(validator, names, at))
    }

    /// Changes the schema at `at` and all that it leads to, each once.
    fn make_ready(&mut self, at: &At, direction: Direction) {
        let mut roots = vec![at.clone()];
        let mut pending = vec![Pending { at: at.clone(), hidden: BTreeSet::new() }];
        while let Some(Pending { at, hidden }) = pending.pop() {
            if !self.working(direction).ready.insert(at.clone()) {
                continue;
            }
            let known = pending.len();
            match self.source.value(&at) {
                Some(Value::Object(written)) => {
                    let changed = self.change(&at, written, direction, &hidden, &mut pending);
                    self.replace_members(&at, direction, changed);
                    self.hide_properties(&at, direction, &mut pending);
                }
                Some(Value::Bool(_)) if self.dialect == Dialect::V31 => {}
                _ => self.tell(&at, self.source.error(&at, "a schema is a mapping")),
            }
            // What a reference leads to stands elsewhere, so its form is checked there.
            let referred = pending.get(known..).unwrap_or_default().iter().map(|next| &next.at);
            let inside =
                |next: &At| next.file == at.file && next.pointer.starts_with(&format!("{}/", at.pointer));
            roots.extend(referred.filter(|next| !inside(next)).cloned());
        }
        for root in roots {
            self.check_form(&root, direction);
        }
    }

    /// Writes the changed members over those of the working copy, whose parts may be ready already.
    fn replace_members(&mut self, at: &At, direction: Direction, changed: Vec<Change>) {
        let working = self.working(direction);
        let here = working.files.get_mut(at.file).and_then(|file| file.pointer_mut(&at.pointer));
        let Some(Value::Object(members)) = here else { return };
        for (word, value) in changed {
            match value {
                Some(value) => members.insert(word, value),
                None => members.remove(&word),
            };
        }
    }

    /// What has to change in the schema `written` at `at`: new values, or none to remove the word.
    fn change(
        &mut self,
        at: &At,
        written: &Map<String, Value>,
        direction: Direction,
        hidden: &BTreeSet<String>,
        pending: &mut Vec<Pending>,
    ) -> Vec<Change> {
        let mut changed = Vec::new();
        if let Some(reference) = written.get("$ref") {
            let here = at.key("$ref");
            let target = reference.as_str().ok_or_else(|| "`$ref` is a text".to_owned());
            match target.and_then(|reference| self.source.target(at.file, reference)) {
                Ok(target) => {
                    changed.push(("$ref".to_owned(), Some(Value::from(schema::uri(&target)))));
                    pending.push(Pending { at: target, hidden: BTreeSet::new() });
                }
                Err(why) => self.tell(&here, self.source.error(&here, why)),
            }
            if self.dialect == Dialect::V30 {
                // OpenAPI 3.0.4 section 4.7.23: whatever stands beside a `$ref` is ignored.
                for word in written.keys().filter(|word| *word != "$ref") {
                    self.check_ignored(&at.key(word), word);
                    changed.push((word.clone(), None));
                }
                return changed;
            }
        }
        let mut hidden = hidden.clone();
        hidden.extend(direction.hidden_names(self.source, at));
        for (word, value) in written {
            self.change_word(&at.key(word), word, value, &hidden, pending);
        }
        changed.extend(adapt::required_without(written, &hidden));
        changed.extend(self.nullable(at, written));
        changed.extend(adapt::integer_bounds(written));
        for mark in ["readOnly", "writeOnly"] {
            changed.push((mark.to_owned(), None));
        }
        changed
    }

    /// OpenAPI lets people annotate a reference; only what would constrain is missed.
    fn check_ignored(&mut self, at: &At, word: &str) {
        let harmless = matches!(word, "description" | "summary" | "readOnly" | "writeOnly" | "x-gateway");
        if !harmless && self.dialect.keyword(word) != Keyword::Annotation {
            let place = self.source.key_place(at);
            let told =
                Diagnostic::warning(place, format!("`{word}` beside a `$ref` is ignored in OpenAPI 3.0"));
            self.tell(at, told.help("put both into `allOf`"));
        }
    }

    fn change_word(
        &mut self,
        at: &At,
        word: &str,
        value: &Value,
        hidden: &BTreeSet<String>,
        pending: &mut Vec<Pending>,
    ) {
        let place = self.source.key_place(at);
        match self.dialect.keyword(word) {
            Keyword::Plain => self.check_plain(at, word, value),
            Keyword::Annotation => self.check_annotation(at, word),
            Keyword::Schema => {
                // A boolean is a schema in 2020-12, and `additionalProperties` may be one in 3.0.
                if !(value.is_boolean() && (word == "additionalProperties" || self.dialect == Dialect::V31)) {
                    pending.push(Pending { at: at.clone(), hidden: BTreeSet::new() });
                }
            }
            Keyword::Schemas => {
                let count = value.as_array().map_or(0, Vec::len);
                // The branches describe the same object, so what is hidden around them is hidden in them.
                pending.extend((0..count).map(|n| Pending { at: at.item(n), hidden: hidden.clone() }));
            }
            Keyword::SchemaMap => {
                let names = value.as_object().into_iter().flat_map(Map::keys);
                pending.extend(names.map(|name| Pending { at: at.key(name), hidden: BTreeSet::new() }));
            }
            Keyword::Refused(why) => {
                let told = Diagnostic::error(place, format!("`{word}` cannot be enforced here"));
                self.tell(at, told.help(why));
            }
            Keyword::Unknown => {
                let told = Diagnostic::warning(place, format!("unknown keyword `{word}` constrains nothing"));
                self.tell(at, told.did_you_mean(word, self.dialect.keywords()));
            }
        }
    }

    fn check_plain(&mut self, at: &At, word: &str, value: &Value) {
        let text = value.as_str().unwrap_or_default();
        match word {
            "format" if !format::says_nothing(text) && !self.formats.is_checked(self.draft(), text) => {
                self.tell(
                    at,
                    self.source.warning(at, format!("the format `{text}` is not known and not checked")),
                );
            }
            "$schema" if !DIALECTS.contains(&text) => {
                self.tell(at, self.source.error(at, format!("the dialect `{text}` is not supported")));
            }
            "discriminator" => {
                let parent = at.pointer.strip_suffix("/discriminator").unwrap_or_default();
                let parent = At { file: at.file, pointer: parent.to_owned() };
                let decided = |word| self.source.member(&parent, word).is_some();
                if !decided("oneOf") && !decided("anyOf") {
                    let told = self.source.warning(at, "a `discriminator` without `oneOf` decides nothing");
                    self.tell(
                        at,
                        told.help("list the alternatives in `oneOf`, each with its own `enum` or `const`"),
                    );
                }
            }
            _ => {}
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

    /// OpenAPI 3.0.4 section 4.7.24.1: a `readOnly` property is not sent in requests, nor a `writeOnly`
    /// one in responses. A custom keyword of the same name refuses it.
    fn hide_properties(&mut self, at: &At, direction: Direction, pending: &mut Vec<Pending>) {
        let place = at.key("properties");
        let names = self.source.value(&place).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let properties = names.map(|name| place.key(name));
        let hidden: Vec<At> = properties.filter(|property| direction.hides(self.source, property)).collect();
        pending.retain(|next| !hidden.contains(&next.at));
        let working = self.working(direction);
        for property in hidden {
            let here = working.files.get_mut(at.file).and_then(|file| file.pointer_mut(&property.pointer));
            if let Some(here) = here {
                *here = json!({ direction.hiding(): true });
            }
            working.ready.insert(property);
        }
    }

    fn nullable(&mut self, at: &At, written: &Map<String, Value>) -> Vec<Change> {
        if self.dialect == Dialect::V31 || !written.contains_key("nullable") {
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

    /// Tells what in the schema at `root` is not the form that its dialect has.
    fn check_form(&mut self, root: &At, direction: Direction) {
        let meta = match self.dialect {
            Dialect::V30 => jsonschema::draft4::meta::validator(),
            Dialect::V31 => jsonschema::draft202012::meta::validator(),
        };
        let working = self.working(direction);
        let Some(ready) = working.files.get(root.file).and_then(|file| file.pointer(&root.pointer)) else {
            return;
        };
        let mut wrong = Vec::new();
        for error in meta.iter_errors(ready) {
            let pointer = format!("{}{}", root.pointer, error.instance_path().as_str());
            wrong.push((At { file: root.file, pointer }, error.masked().to_string()));
        }
        for (at, why) in wrong {
            self.tell(&at, self.source.error(&at, format!("not a valid schema: {why}")));
        }
    }
}

/// The dialects that the validator speaks: OpenAPI 3.1's base and plain 2020-12.
pub(super) const DIALECTS: [&str; 2] =
    ["https://spec.openapis.org/oas/3.1/dialect/base", "https://json-schema.org/draft/2020-12/schema"];

#[cfg(test)]
mod tests {
    use super::*;

    fn source(openapi: &str) -> Source {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), openapi).unwrap();
        Source::read(folder.path(), "c").unwrap()
    }

    /// Compiles the schema called `s`, and says what was told on the way.
    fn compile(dialect: Dialect, direction: Direction, text: &str) -> (Option<Schema>, String) {
        let source = source(text);
        let mut schemas = Schemas::new(&source, dialect);
        let schema = schemas.compile(&source.root().key("s"), direction);
        (schema, schemas.into_mistakes().to_string())
    }

    fn check(dialect: Dialect, direction: Direction, text: &str, value: &Value, expected: bool) {
        let (schema, told) = compile(dialect, direction, text);
        let schema = schema.unwrap_or_else(|| panic!("{text}: {told}"));
        assert_eq!(schema.accepts(value), expected, "{dialect:?} {direction:?} {text} {value}");
    }

    #[test]
    fn both_dialects_mean_what_their_versions_say() {
        use Dialect::{V30, V31};
        for (dialect, schema, value, accepted) in [
            (V30, "{type: string, nullable: true}", json!(null), true),
            (V30, "{type: string}", json!(null), false),
            (V30, "{type: string, nullable: true, enum: [a]}", json!(null), false),
            (V30, "{type: string, nullable: true, enum: [a, null]}", json!(null), true),
            (V30, "{type: integer, minimum: 1, exclusiveMinimum: true}", json!(1), false),
            (V31, "{type: integer, exclusiveMinimum: 1}", json!(1), false),
            (V31, "{type: [string, 'null']}", json!(null), true),
            (V30, "{type: integer, format: int32}", json!(2_147_483_648_u64), false),
            (V31, "{type: integer, format: int64}", json!(9_223_372_036_854_775_808_u64), false),
            (V31, "{const: a}", json!("b"), false),
            (V31, "{if: {type: string}, then: {maxLength: 1}}", json!("ab"), false),
            (V31, "{prefixItems: [{type: string}], items: false}", json!(["a", 1]), false),
            (
                V31,
                "{patternProperties: {'^x-': {type: string}}, additionalProperties: false}",
                json!({"x-a": "b"}),
                true,
            ),
            (V31, "{allOf: [{properties: {a: {}}}], unevaluatedProperties: false}", json!({"b": 1}), false),
            (V30, "{additionalProperties: false, properties: {a: {}}}", json!({"b": 1}), false),
            (V30, "{type: string, format: date}", json!("2026-02-30"), false),
            (V31, "{type: string, format: uuid}", json!("x"), false),
            (V30, "{type: string, format: byte}", json!("!"), false),
            (
                V31,
                "{type: string, pattern: '^(a+)+$'}",
                json!("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
                false,
            ),
            (V31, "true", json!(1), true),
            (V31, "false", json!(1), false),
        ] {
            check(dialect, Direction::Request, &format!("s: {schema}"), &value, accepted);
        }
    }

    #[test]
    fn references_work_as_in_their_version() {
        let tree =
            "{type: object, required: [v], properties: {v: {type: integer}, next: {$ref: '#/defs/Tree~1x'}}}";
        let text = format!("defs: {{'Tree/x': {tree}}}\ns: {{$ref: '#/defs/Tree~1x', required: [next]}}");
        // Beside a reference, 3.0 ignores what 3.1 enforces.
        for (dialect, accepted) in [(Dialect::V30, true), (Dialect::V31, false)] {
            check(dialect, Direction::Request, &text, &json!({"v": 1}), accepted);
            check(dialect, Direction::Request, &text, &json!({"v": 1, "next": {"v": 2}}), true);
            check(dialect, Direction::Request, &text, &json!({"v": 1, "next": {"v": "x"}}), false);
        }
        let (_, told) = compile(Dialect::V30, Direction::Request, &text);
        assert!(told.contains("`required` beside a `$ref` is ignored"), "{told}");
    }

    #[test]
    fn hidden_properties_are_refused_and_not_required() {
        let order = "{type: object, required: [id, a], properties: {id: {$ref: '#/Id'}, a: {type: string}, secret: {type: string, writeOnly: true}}}";
        let text = format!("Id: {{type: integer, readOnly: true}}\nOrder: {order}\ns: {{$ref: '#/Order'}}");
        let all = format!(
            "Id: {{type: integer, readOnly: true}}\nOrder: {order}\ns: {{allOf: [{{$ref: '#/Order'}}, {{required: [id]}}]}}"
        );
        for text in [&text, &all] {
            for dialect in [Dialect::V30, Dialect::V31] {
                for (direction, value, accepted) in [
                    (Direction::Request, json!({"a": "x"}), true),
                    (Direction::Request, json!({"a": "x", "secret": "s"}), true),
                    (Direction::Request, json!({"a": "x", "id": 1}), false),
                    (Direction::Request, json!({}), false),
                    (Direction::Response, json!({"a": "x", "id": 1}), true),
                    (Direction::Response, json!({"a": "x"}), false),
                    (Direction::Response, json!({"a": "x", "id": 1, "secret": "s"}), false),
                ] {
                    check(dialect, direction, text, &value, accepted);
                }
            }
        }
    }

    #[test]
    fn a_shared_part_stays_changed_whatever_leads_to_it_first() {
        let source = source(
            "O: {type: object, properties: {n: {type: string, nullable: true}, id: {type: integer, readOnly: true}}}\np: {$ref: '#/O/properties/n'}\ns: {$ref: '#/O'}\n",
        );
        let mut schemas = Schemas::new(&source, Dialect::V30);
        let part = schemas.compile(&source.root().key("p"), Direction::Request).unwrap();
        let whole = schemas.compile(&source.root().key("s"), Direction::Request).unwrap();
        assert!(part.accepts(&json!(null)));
        assert!(whole.accepts(&json!({"n": null})));
        assert!(!whole.accepts(&json!({"id": 1})));
    }

    #[test]
    fn what_cannot_be_enforced_is_told() {
        use Dialect::{V30, V31};
        for (dialect, schema, told, compiles) in [
            (V30, "{const: 1}", "`const` cannot be enforced here", false),
            (V30, "{patternProperties: {}}", "`patternProperties` cannot be enforced here", false),
            (V31, "{nullable: true}", "`nullable` cannot be enforced here", false),
            (V31, "{$id: 'https://x/'}", "`$id` cannot be enforced here", false),
            (V31, "{$dynamicRef: '#x'}", "`$dynamicRef` cannot be enforced here", false),
            (V31, "{$schema: 'http://json-schema.org/draft-07/schema#'}", "dialect", false),
            (V31, "{exclusiveMinimum: true}", "not a valid schema", false),
            (V30, "{type: strin}", "not a valid schema", false),
            (V30, "{items: [{}]}", "a schema is a mapping", false),
            (V31, "{required: a}", "not a valid schema", false),
            (
                V31,
                "{properties: {a: {minLength: -1}}}",
                "c/openapi.yaml:1:33: error: not a valid schema",
                false,
            ),
            (V31, "{pattern: '(?=a)'}", "cannot be enforced", false),
            (V31, "{pattern: '('}", "error:", false),
            (V31, "{$ref: '#/nothing'}", "nothing stands at `#/nothing`", false),
            (V31, "{$ref: 'https://example.com/s.json'}", "not a file inside", false),
            (V31, "{properties: {a: {$ref: 1}}}", "`$ref` is a text", false),
            (V31, "{maxLenght: 1}", "did you mean `maxLength`?", true),
            (V31, "{format: made-up}", "the format `made-up` is not known", true),
            (V31, "{contentEncoding: base64}", "is not checked", true),
            (V30, "{discriminator: {propertyName: a}}", "decides nothing", true),
            (V30, "{nullable: true}", "allows nothing more", true),
            (V31, "{properties: {a: {x-gateway: {personl: true}}}}", "did you mean `personal`?", false),
        ] {
            let (compiled, shown) = compile(dialect, Direction::Request, &format!("s: {schema}"));
            assert!(shown.contains(told), "{schema}: {shown}");
            assert_eq!(compiled.is_some(), compiles, "{schema}: {shown}");
        }
    }
}
