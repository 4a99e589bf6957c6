//! How do the schemas of a contract become ones that a validator enforces?
//!
//! Each schema that an operation or a reference names is a part. A part is rewritten once for requests and
//! once for responses ([`rewrite`]), its form is checked, and at the end all parts are compiled, on all
//! cores ([`compile`]). Parts hold on to each other by links, so that what a thousand operations refer to
//! exists once, and a schema that contains itself ends. It does not know operations.

mod choice;
mod compile;
mod part;
mod rewrite;
#[cfg(test)]
mod suite;
mod whole;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jsonschema::{PatternCache, ValidationOptions};
use serde_json::{Value, json};

use super::direction::Direction;
use super::format::Formats;
use super::keyword::Dialect;
use super::schema::Schema;
use super::source::{At, REFERENCE_HOPS_MAX, Source};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use choice::Choices;

pub(super) use choice::Choice;
pub(super) use part::{LINK, Part};
pub(super) use whole::{anchored, named_file};

/// Compiles the schemas of one contract.
pub(super) struct Schemas<'s> {
    source: &'s Source,
    dialect: Dialect,
    engine: Engine,
    linking: Linking,
    formats: Formats,
    /// Every part, in the order in which it was first named.
    found: Vec<Found>,
    numbers: HashMap<(At, Direction), usize>,
    /// Parts that are not rewritten yet.
    open: Vec<usize>,
    /// Every reference: from which part, to which.
    edges: Vec<Edge>,
    choices: HashMap<At, Choice>,
    names: Arc<[Box<str>]>,
    /// Where the schema of each `$id` stands; empty while references are links.
    identified: HashMap<String, At>,
    /// The known verdict on each pattern, and on each format.
    patterns: HashMap<String, bool>,
    known_formats: HashMap<String, bool>,
    told: HashSet<(At, String)>,
    mistakes: Diagnostics,
}

/// Which regular expressions a contract may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// Those that take linear time whatever the text: no look-around, no back-references.
    Linear,
    /// All, with a bound on the steps of each match.
    Backtracking,
}

/// What a reference becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Linking {
    /// A link to another part, whose verdict counts and whose insides stay its own.
    Parts,
    /// A reference that the validator follows itself, because a keyword in the contract
    /// (`unevaluatedProperties`, `$dynamicRef`) looks through references.
    Whole,
}

/// A part, before it is compiled.
struct Found {
    part: Arc<Part>,
    at: At,
    direction: Direction,
    /// The schema in the validator's own words.
    rewritten: Value,
    /// Whether an operation asks for it, and not only a reference.
    asked: bool,
}

/// A reference from one part to another.
#[derive(Debug, Clone, Copy)]
struct Edge {
    from: usize,
    to: usize,
}

impl<'s> Schemas<'s> {
    pub(super) fn new(source: &'s Source, dialect: Dialect, engine: Engine) -> Self {
        let names = source.values().enumerate().map(|(n, _)| Box::from(source.short_name(n)));
        let linking = linking(source, dialect);
        let identified = if linking == Linking::Whole { whole::identified(source) } else { HashMap::new() };
        Self {
            source,
            dialect,
            engine,
            linking,
            identified,
            formats: Formats::new(dialect),
            found: Vec::new(),
            numbers: HashMap::new(),
            open: Vec::new(),
            edges: Vec::new(),
            choices: HashMap::new(),
            names: names.collect(),
            patterns: HashMap::new(),
            known_formats: HashMap::new(),
            told: HashSet::new(),
            mistakes: Diagnostics::new(),
        }
    }

    /// The schema at `at`, for messages that go in `direction`. It can be asked once [`Self::finish`] has
    /// compiled it; until then it accepts nothing.
    pub(super) fn compile(&mut self, at: &At, direction: Direction) -> Option<Schema> {
        let before = self.error_count();
        let number = self.number(&self.behind(at), direction);
        self.rewrite_open();
        let found = self.found.get_mut(number)?;
        found.asked = true;
        let schema = Schema::new(Arc::clone(&found.part));
        (self.error_count() == before).then_some(schema)
    }

    /// Compiles every part. What was found wrong or worth a look comes back.
    pub(super) fn finish(mut self) -> Diagnostics {
        let choices = Arc::new(Choices::new(std::mem::take(&mut self.choices), &self.names));
        for found in &self.found {
            found.part.knows(&choices);
        }
        match self.linking {
            Linking::Parts => self.compile_parts(),
            Linking::Whole => self.compile_whole(),
        }
        self.check_compiled();
        self.mistakes
    }

    /// What no core compiled, and no mistake accounts for, is a mistake of our own: the contract does not load.
    fn check_compiled(&mut self) {
        let wanted = |found: &Found| found.asked || self.linking == Linking::Parts;
        let missing = self.found.iter().find(|found| wanted(found) && found.part.validator().is_none());
        let missing = missing.map(|found| found.at.clone());
        if let Some(at) = missing.filter(|_| !self.mistakes.has_errors()) {
            self.mistakes
                .push(self.source.error(&at, "the schema was not compiled, for no reason that is known"));
        }
    }

    /// The number of the part at `at`, which is rewritten later if it is new.
    fn number(&mut self, at: &At, direction: Direction) -> usize {
        let key = (at.clone(), direction);
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.found.len();
        let part = Arc::new(Part::new(at.clone(), Arc::clone(&self.names)));
        let rewritten = Value::Bool(false);
        self.found.push(Found { part, at: at.clone(), direction, rewritten, asked: false });
        self.numbers.insert(key, number);
        self.open.push(number);
        number
    }

    /// Rewrites what was named and is not rewritten yet, and what that names in turn. A chain of references
    /// may be longer than a stack is deep, so none is followed from within another.
    fn rewrite_open(&mut self) {
        while let Some(number) = self.open.pop() {
            let Some(found) = self.found.get(number) else { continue };
            let (at, direction) = (found.at.clone(), found.direction);
            let rewritten = rewrite::part(self, number, &at, direction);
            if let Some(found) = self.found.get_mut(number) {
                found.rewritten = rewritten;
            }
        }
    }

    /// What stands behind a schema that is nothing but a reference, however many such references there are. One
    /// that says something of its own beside its reference is a part itself.
    fn behind(&self, at: &At) -> At {
        let mut here = at.clone();
        for _ in 0..REFERENCE_HOPS_MAX {
            let written = self.source.value(&here).and_then(Value::as_object);
            let only = written.filter(|written| written.len() == 1).and_then(|written| written.get("$ref"));
            let Some(reference) = only.and_then(Value::as_str) else { return here };
            match self.source.target(here.file, reference) {
                Ok(next) => here = next,
                Err(_told_later) => return here,
            }
        }
        here
    }

    /// The validator's settings, the same for every part.
    fn options<'i>(&self, patterns: &PatternCache) -> ValidationOptions<'i> {
        let options = self.formats.register(jsonschema::options()).with_draft(self.dialect.draft());
        let options = options
            .offline()
            .with_pattern_cache(patterns.clone())
            .with_keyword("readOnly", part::hidden)
            .with_keyword("writeOnly", part::hidden);
        self.engine.choose(options)
    }

    /// Whether the engine can run `pattern`; each is tried once.
    fn is_runnable(&mut self, pattern: &str) -> bool {
        if let Some(known) = self.patterns.get(pattern) {
            return *known;
        }
        let options = self.engine.choose(jsonschema::options().offline());
        let runnable = options.build(&json!({ "pattern": pattern })).is_ok();
        self.patterns.insert(pattern.to_owned(), runnable);
        runnable
    }

    /// Whether the validator checks `format`.
    fn is_checked(&mut self, format: &str) -> bool {
        if let Some(known) = self.known_formats.get(format) {
            return *known;
        }
        let checked = self.formats.is_checked(self.dialect.draft(), format);
        self.known_formats.insert(format.to_owned(), checked);
        checked
    }

    fn error_count(&self) -> usize {
        self.mistakes.iter().filter(|mistake| mistake.severity() == Severity::Error).count()
    }

    fn tell(&mut self, at: &At, mistake: Diagnostic) {
        if self.told.insert((at.clone(), mistake.message().to_owned())) {
            self.mistakes.push(mistake);
        }
    }
}

impl Engine {
    fn choose<'i>(self, options: ValidationOptions<'i>) -> ValidationOptions<'i> {
        match self {
            Self::Linear => options.with_pattern_options(jsonschema::PatternOptions::regex()),
            Self::Backtracking => options.with_pattern_options(
                jsonschema::PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX),
            ),
        }
    }
}

/// Links serve every contract but those with a keyword that must see through them.
fn linking(source: &Source, dialect: Dialect) -> Linking {
    if dialect == Dialect::V30 {
        return Linking::Parts;
    }
    let mut open: Vec<&Value> = source.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if members.keys().any(|key| SEEING_THROUGH.contains(&key.as_str())) {
                    return Linking::Whole;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    Linking::Parts
}

/// Keywords whose meaning depends on what stands behind a reference, or on where it is resolved.
const SEEING_THROUGH: [&str; 8] = [
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Where a match gives up: some milliseconds of work for one text.
const BACKTRACKS_MAX: usize = 100_000;

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
        let mut schemas = Schemas::new(&source, dialect, Engine::Linear);
        let schema = schemas.compile(&source.root().key("s"), direction);
        let mistakes = schemas.finish();
        (schema.filter(|_| !mistakes.has_errors()), mistakes.to_string())
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
    fn numbers_are_exact_whatever_their_size() {
        for (schema, number, accepted) in [
            ("{multipleOf: 0.01}", "19.99", true),
            ("{multipleOf: 0.01}", "4.35", true),
            ("{multipleOf: 0.01}", "1000000.07", true),
            ("{multipleOf: 0.01}", "1.005", false),
            ("{multipleOf: 0.1}", "1.1", true),
            ("{multipleOf: 2}", "9007199254740993", false),
            ("{maximum: 9007199254740992}", "9007199254740993", false),
            ("{maximum: 9007199254740993}", "9007199254740993", true),
            ("{exclusiveMaximum: 9007199254740993}", "9007199254740992", true),
            ("{minimum: -9007199254740992}", "-9007199254740993", false),
            ("{enum: [9007199254740993]}", "9007199254740992", false),
            ("{const: 9007199254740993}", "9007199254740993", true),
            ("{type: integer, format: int64}", "9223372036854775807", true),
            ("{type: integer, format: int64}", "9223372036854775808", false),
            ("{type: integer, format: int64}", "-9223372036854775809", false),
            ("{type: integer, format: int32}", "1e400", false),
            ("{type: integer, format: uint64}", "18446744073709551615", true),
            ("{type: integer, format: uint64}", "18446744073709551616", false),
            ("{type: integer}", "1e3", true),
            ("{type: integer}", "1.5e0", false),
        ] {
            let value = super::super::json::parse(number.as_bytes());
            match value {
                Ok(value) => {
                    check(Dialect::V31, Direction::Request, &format!("s: {schema}"), &value, accepted);
                }
                // What no number holds is refused when the body is read.
                Err(_not_json) => assert!(!accepted, "{number}"),
            }
        }
    }

    #[test]
    fn keywords_that_look_through_references_do() {
        for (text, value, accepted) in [
            ("s: {$ref: '#x', $defs: {a: {$anchor: x, type: integer}}}", json!(1), true),
            ("s: {$ref: '#x', $defs: {a: {$anchor: x, type: integer}}}", json!("1"), false),
            (
                "s: {$ref: 'https://e.invalid/a', $defs: {a: {$id: 'https://e.invalid/a', type: integer}}}",
                json!("1"),
                false,
            ),
            (
                "t: {properties: {a: {}}}\ns: {$ref: '#/t', unevaluatedProperties: false}",
                json!({"a": 1}),
                true,
            ),
            (
                "t: {properties: {a: {}}}\ns: {$ref: '#/t', unevaluatedProperties: false}",
                json!({"b": 1}),
                false,
            ),
            (
                "t: {prefixItems: [{}]}\ns: {allOf: [{$ref: '#/t'}], unevaluatedItems: false}",
                json!([1, 2]),
                false,
            ),
            (
                "list: {$id: 'https://e.invalid/list', type: array, items: {$dynamicRef: '#item'}, $defs: {any: {$dynamicAnchor: item}}}\ns: {$id: 'https://e.invalid/numbers', $ref: 'https://e.invalid/list', $defs: {item: {$dynamicAnchor: item, type: integer}, list: {$ref: 'https://e.invalid/list'}}}\nuse: {$ref: '#/list'}",
                json!(["x"]),
                true,
            ),
        ] {
            check(Dialect::V31, Direction::Request, text, &value, accepted);
        }
    }

    #[test]
    fn backtracking_is_allowed_by_name_and_bounded() {
        let text = "s: {type: string, pattern: '^(?=a)(a+)+$'}";
        let (linear, told) = compile(Dialect::V31, Direction::Request, text);
        assert!(linear.is_none() && told.contains("insecure_backtracking_patterns"), "{told}");
        let source = source(text);
        let mut schemas = Schemas::new(&source, Dialect::V31, Engine::Backtracking);
        let schema = schemas.compile(&source.root().key("s"), Direction::Request).unwrap();
        assert_eq!(schemas.finish().to_string(), "");
        assert!(schema.accepts(&json!("aaa")));
        assert!(!schema.accepts(&json!("b")));
        // A text made to be slow ends at the bound, and does not pass.
        assert!(!schema.accepts(&json!(format!("{}b", "a".repeat(200)))));
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
        // However many references lead there.
        let text = format!(
            "defs: {{'Tree/x': {tree}}}\nt: {{$ref: '#/defs/Tree~1x', required: [next]}}\ns: {{$ref: '#/t'}}"
        );
        for (dialect, accepted) in [(Dialect::V30, true), (Dialect::V31, false)] {
            check(dialect, Direction::Request, &text, &json!({"v": 1}), accepted);
        }
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
        let mut schemas = Schemas::new(&source, Dialect::V30, Engine::Linear);
        let part = schemas.compile(&source.root().key("p"), Direction::Request).unwrap();
        let whole = schemas.compile(&source.root().key("s"), Direction::Request).unwrap();
        assert!(!whole.accepts(&json!({})), "nothing fits before it is compiled");
        assert_eq!(schemas.finish().to_string(), "");
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
            (V31, "{$recursiveRef: '#'}", "`$recursiveRef` cannot be enforced here", false),
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
