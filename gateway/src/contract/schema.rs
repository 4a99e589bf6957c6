//! Does a value fit a schema of the contract, and if not, what would? Compiled at load.
//!
//! It asks the validator and turns its answers into violations; what a value stands for is for others.

use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::json;
use super::percent::{self, Plus};
use super::schemas::{Choice, LINK, Part, named_file};
use super::source::At;
use super::violation::{Location, Violation, Violations};

/// A schema of the contract, ready to be asked.
#[derive(Clone)]
pub(super) struct Schema {
    part: Arc<Part>,
}

/// One reason why a value does not fit.
struct Breach {
    /// The value at fault, from the value that was judged: a JSON Pointer.
    path: String,
    keyword: String,
    expected: String,
    /// The keyword's place in the contract.
    contract: String,
    /// That the value is of another kind than the schema describes: another type, or another constant.
    of_another_kind: bool,
}

impl Schema {
    pub(super) const fn new(part: Arc<Part>) -> Self {
        Self { part }
    }

    /// Whether `value` fits. This is the hot path: it allocates nothing and explains nothing.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        self.part.accepts(value)
    }

    /// Adds every reason why `value`, which is at `location`, does not fit.
    pub(super) fn explain(&self, value: &Value, location: &Location, found: &mut Violations) {
        let mut breaches = Vec::new();
        breaches_of(&self.part, value, "", 0, &mut breaches);
        if breaches.is_empty() {
            // It does not fit, and nothing can say why: it does not fit all the same.
            let (file, pointer) = (self.part.names(), self.part.at());
            let contract = contract_pointer(file, pointer);
            found.push(Violation::new(location.clone(), "schema", "a value that fits").under(&contract));
        }
        for Breach { path, keyword, expected, contract, of_another_kind: _ } in breaches {
            found.push(Violation::new(location.within(&path), &keyword, expected).under(&contract));
        }
    }
}

/// Adds why `value`, which stands at `path` of what is judged, does not fit `part`.
fn breaches_of(part: &Part, value: &Value, path: &str, depth: usize, found: &mut Vec<Breach>) {
    let Some(validator) = part.validator().filter(|_| depth < DEPTH_MAX) else { return };
    let here = Judged { part, value, path, depth };
    for error in validator.iter_errors(value) {
        here.add(&error, found);
        if found.len() >= BREACHES_MAX {
            return;
        }
    }
}

/// A value that a part judges.
#[derive(Clone, Copy)]
struct Judged<'j> {
    part: &'j Part,
    value: &'j Value,
    path: &'j str,
    depth: usize,
}

impl Judged<'_> {
    fn add(&self, error: &ValidationError<'_>, found: &mut Vec<Breach>) {
        let deeper = self.depth.saturating_add(1);
        let within = error.instance_path().as_str();
        match error.kind() {
            // The part behind a reference says why.
            ValidationErrorKind::Custom { keyword, message } if keyword == LINK => {
                let linked = message.parse().ok().and_then(|number| self.part.linked(number));
                if let (Some(part), Some(value)) = (linked, self.value.pointer(within)) {
                    breaches_of(&part, value, &format!("{}{within}", self.path), deeper, found);
                }
            }
            ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
                match self.meant(error, context) {
                    Meant::Branch(breaches) => found.extend(breaches),
                    Meant::Nothing(breach) => found.push(breach),
                    Meant::Unclear => found.push(self.breach(error)),
                }
            }
            _ => found.push(self.breach(error)),
        }
    }

    fn breach(&self, error: &ValidationError<'_>) -> Breach {
        let contract = self.keyword_pointer(error);
        let path = error.instance_path().as_str();
        // `additionalProperties: false` alone refuses each extra property as such; the object is at fault.
        let closes = matches!(error.kind(), ValidationErrorKind::FalseSchema)
            .then(|| CLOSING.into_iter().find(|word| contract.rsplit('/').next() == Some(word)));
        let (path, keyword, expected) = match closes.flatten() {
            Some(word) => {
                let object = path.rsplit_once('/').map_or("", |(object, _)| object);
                (object, word, NO_OTHERS.to_owned())
            }
            None => (path, error.kind().keyword(), expected(error.kind())),
        };
        Breach {
            path: format!("{}{path}", self.path),
            keyword: keyword.to_owned(),
            expected,
            contract,
            of_another_kind: matches!(
                error.kind(),
                ValidationErrorKind::Type { .. }
                    | ValidationErrorKind::Constant { .. }
                    | ValidationErrorKind::Enum { .. }
            ),
        }
    }

    /// What the sender meant among alternatives that none of them fits.
    fn meant(&self, error: &ValidationError<'_>, context: &[Vec<ValidationError<'static>>]) -> Meant {
        let here = format!("{}{}", self.path, error.instance_path().as_str());
        let branch = |errors: &Vec<ValidationError<'static>>| {
            let mut found = Vec::new();
            errors.iter().for_each(|error| self.add(error, &mut found));
            found
        };
        let contract = self.keyword_pointer(error);
        let choice = self.part.choices().and_then(|choices| choices.between(&contract));
        let value = self.value.pointer(error.instance_path().as_str());
        if let (Some(choice), Some(Value::Object(members))) = (choice, value) {
            let named = members.get(&choice.property).and_then(Value::as_str);
            return match named.and_then(|named| choice.branches.get(named)) {
                Some(number) => match context.get(*number).map(branch) {
                    Some(found) if !found.is_empty() => Meant::Branch(found),
                    // It fits what it names, and something else too.
                    Some(_) | None => Meant::Unclear,
                },
                None => Meant::Nothing(unnamed(choice, &here, &contract)),
            };
        }
        if self.depth >= BRANCH_DEPTH_MAX {
            return Meant::Unclear;
        }
        closest(context.iter().map(branch).collect(), &here)
    }

    fn keyword_pointer(&self, error: &ValidationError<'_>) -> String {
        let (names, at) = (self.part.names(), self.part.at());
        let Some(uri) = error.absolute_keyword_location() else {
            let pointer = format!("{}{}", at.pointer, error.schema_path().as_str());
            return contract_pointer(names, &At { file: at.file, pointer });
        };
        match named_file(names, uri.as_str()) {
            Some((file, fragment)) => {
                let pointer = percent::decode(fragment, Plus::Literal).unwrap_or_default();
                contract_pointer(names, &At { file, pointer })
            }
            // A schema that the contract knows by its `$id`.
            None => uri.as_str().to_owned(),
        }
    }
}

/// What a value that fits no alternative means to be.
enum Meant {
    /// The alternative that says this.
    Branch(Vec<Breach>),
    /// No alternative: what names one is missing or wrong.
    Nothing(Breach),
    /// More than one might be meant.
    Unclear,
}

/// The alternative that a value came closest to. One of another kind is not meant if any is of the same; of the
/// others the one with the fewest breaches is, unless two have as few.
fn closest(branches: Vec<Vec<Breach>>, here: &str) -> Meant {
    let strange = |branch: &Vec<Breach>| {
        branch.iter().any(|breach| {
            let of_itself = breach.path == here && breach.keyword == "type";
            of_itself || (breach.of_another_kind && breach.keyword != "type")
        })
    };
    let mut fitting: Vec<Vec<Breach>> =
        branches.into_iter().filter(|b| !b.is_empty() && !strange(b)).collect();
    fitting.sort_by_key(Vec::len);
    let mut fitting = fitting.into_iter();
    match (fitting.next(), fitting.next()) {
        (Some(first), Some(second)) if first.len() == second.len() => Meant::Unclear,
        (Some(first), _) => Meant::Branch(first),
        (None, _) => Meant::Unclear,
    }
}

fn unnamed(choice: &Choice, here: &str, keyword: &str) -> Breach {
    let schema = keyword.rsplit_once('/').map_or("", |(schema, _)| schema);
    let known: Vec<Value> = choice.branches.keys().map(|name| Value::from(name.as_str())).collect();
    Breach {
        path: format!("{here}{}", json::token(&choice.property)),
        keyword: "discriminator".to_owned(),
        expected: one_of(&known),
        contract: format!("{schema}/discriminator"),
        of_another_kind: true,
    }
}

/// What violations call a place of the contract: the pointer, after the file's name unless it is the main one.
pub(super) fn contract_pointer(names: &[Box<str>], at: &At) -> String {
    let file = names.get(at.file).map_or("", |name| &**name);
    if file.is_empty() { at.pointer.clone() } else { format!("{file}#{}", at.pointer) }
}

/// What would have passed. Every value in it comes from the contract.
fn expected(kind: &ValidationErrorKind) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::AdditionalItems { limit } => format!("at most {limit} items"),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => NO_OTHERS.to_owned(),
        Kind::AnyOf { .. } => "a value that fits at least one of the alternatives".to_owned(),
        Kind::Constant { expected_value } => shown(expected_value),
        Kind::Contains => "an array with the described items in it".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("text in {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("text of type {content_media_type}"),
        Kind::Custom { keyword, .. } => match keyword.as_str() {
            "readOnly" => "absent: only responses carry this property".to_owned(),
            _ => "absent: only requests carry this property".to_owned(),
        },
        Kind::Enum { options } => match options.as_array() {
            Some(options) => one_of(options),
            None => shown(options),
        },
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::FalseSchema => "absent".to_owned(),
        Kind::Format { format } => format!("text of format {format}"),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MaxProperties { limit } => format!("at most {limit} properties"),
        Kind::MinProperties { limit } => format!("at least {limit} properties"),
        Kind::MultipleOf { multiple_of } => format!("a multiple of {multiple_of}"),
        Kind::Not { .. } => "a value that does not fit what is excluded".to_owned(),
        Kind::OneOfMultipleValid { .. } => {
            "a value that fits exactly one of the alternatives, not several".to_owned()
        }
        Kind::OneOfNotValid { .. } => "a value that fits exactly one of the alternatives".to_owned(),
        Kind::Pattern { pattern } => format!("text that matches {pattern}"),
        Kind::PropertyNames { .. } => "property names of the described form".to_owned(),
        Kind::Required { property } => format!("the property {}", shown(property)),
        Kind::Type { kind: TypeKind::Single(kind) } => kind.as_str().to_owned(),
        Kind::Type { kind: TypeKind::Multiple(kinds) } => {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            kinds.join(" or ")
        }
        Kind::UnevaluatedItems { .. } => "no items but the described ones".to_owned(),
        Kind::UniqueItems => "items that all differ".to_owned(),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } | Kind::FromUtf8 { .. } => {
            "text that can be checked".to_owned()
        }
        Kind::Referencing(_) => "a value that can be checked".to_owned(),
    }
}

fn one_of(options: &[Value]) -> String {
    let listed: Vec<String> = options.iter().take(OPTIONS_SHOWN_MAX).map(shown).collect();
    let tail = if options.len() > OPTIONS_SHOWN_MAX { ", ..." } else { "" };
    format!("one of {}{tail}", listed.join(", "))
}

/// A value of the contract, short enough to be read.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= VALUE_SHOWN_MAX {
        return text;
    }
    let mut short: String = text.chars().take(VALUE_SHOWN_MAX).collect();
    short.push('…');
    short
}

/// Why a schema does not compile, in a sentence without the schema's text.
pub(super) fn mistake(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            "a pattern is not a regular expression without look-around and back-references".to_owned()
        }
        _ => format!("{} ({})", error.masked(), error.instance_path().as_str()),
    }
}

/// Keywords that close an object when their schema is `false`.
const CLOSING: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const NO_OTHERS: &str = "no properties but the described ones";
/// Enough to choose from; the contract has the rest.
const OPTIONS_SHOWN_MAX: usize = 12;
const VALUE_SHOWN_MAX: usize = 80;
/// Alternatives behind more references than this are not unravelled for the sender.
const BRANCH_DEPTH_MAX: usize = 8;
/// Values nest at most as deep as JSON is read; references of references add little.
const DEPTH_MAX: usize = 128;
/// More than a person reads, whatever was sent.
const BREACHES_MAX: usize = 64;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::direction::Direction;
    use super::super::keyword::Dialect;
    use super::super::schemas::{Engine, Schemas};
    use super::super::source::Source;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn compile(text: &str) -> Schema {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("s: {text}")).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        let mut schemas = Schemas::new(&source, Dialect::V31, Engine::Linear);
        let compiled = schemas.compile(&source.root().key("s"), Direction::Request);
        let mistakes = schemas.finish();
        assert!(!mistakes.has_errors(), "{text}: {mistakes}");
        compiled.unwrap()
    }

    fn explain(schema: &Schema, value: &Value) -> Vec<Violation> {
        let mut found = Violations::default();
        schema.explain(value, &Location::Body(String::new()), &mut found);
        found.into_iter().collect()
    }

    #[test]
    fn every_keyword_says_what_would_pass() {
        for (schema, value, keyword, expected) in [
            ("{type: integer}", json!("x"), "type", "integer"),
            ("{type: [integer, 'null']}", json!("x"), "type", "null or integer"),
            ("{enum: [a, 1]}", json!("x"), "enum", "one of \"a\", 1"),
            ("{const: [1]}", json!("x"), "const", "[1]"),
            ("{minimum: 1}", json!(0), "minimum", "at least 1"),
            ("{maximum: 1}", json!(2), "maximum", "at most 1"),
            ("{exclusiveMinimum: 1}", json!(1), "exclusiveMinimum", "more than 1"),
            ("{exclusiveMaximum: 1}", json!(1), "exclusiveMaximum", "less than 1"),
            ("{multipleOf: 5}", json!(3), "multipleOf", "a multiple of 5"),
            ("{minLength: 2}", json!("x"), "minLength", "at least 2 characters"),
            ("{maxLength: 2}", json!("xxx"), "maxLength", "at most 2 characters"),
            ("{pattern: '^a$'}", json!("x"), "pattern", "text that matches ^a$"),
            ("{format: date}", json!("x"), "format", "text of format date"),
            ("{minItems: 1}", json!([]), "minItems", "at least 1 items"),
            ("{maxItems: 0}", json!([1]), "maxItems", "at most 0 items"),
            ("{uniqueItems: true}", json!([1, 1]), "uniqueItems", "items that all differ"),
            ("{contains: {const: 1}}", json!([2]), "contains", "an array with the described items in it"),
            ("{minProperties: 1}", json!({}), "minProperties", "at least 1 properties"),
            ("{maxProperties: 0}", json!({"a": 1}), "maxProperties", "at most 0 properties"),
            ("{required: [a]}", json!({}), "required", "the property \"a\""),
            (
                "{additionalProperties: false}",
                json!({"a": 1}),
                "additionalProperties",
                "no properties but the described ones",
            ),
            (
                "{unevaluatedProperties: false}",
                json!({"a": 1}),
                "unevaluatedProperties",
                "no properties but the described ones",
            ),
            (
                "{propertyNames: {maxLength: 1}}",
                json!({"ab": 1}),
                "propertyNames",
                "property names of the described form",
            ),
            ("{not: {type: string}}", json!("x"), "not", "a value that does not fit what is excluded"),
            (
                "{oneOf: [{type: string}, {maxLength: 3}]}",
                json!("x"),
                "oneOf",
                "a value that fits exactly one of the alternatives, not several",
            ),
            (
                "{anyOf: [{type: string}, {type: integer}]}",
                json!(null),
                "anyOf",
                "a value that fits at least one of the alternatives",
            ),
            (
                "{properties: {a: {readOnly: true}}}",
                json!({"a": 1}),
                "readOnly",
                "absent: only responses carry this property",
            ),
            ("{properties: {a: false}}", json!({"a": 1}), "falseSchema", "absent"),
        ] {
            let found = explain(&compile(schema), &value);
            let told: Vec<(&str, &str)> =
                found.iter().map(|v| (v.keyword.as_str(), v.expected.as_str())).collect();
            assert_eq!(told, [(keyword, expected)], "{schema} {value}");
            assert!(found[0].contract.starts_with("/s"), "{found:?}");
        }
    }

    #[test]
    fn the_alternative_that_was_meant_is_explained() {
        let schema = compile(
            "{oneOf: [{properties: {kind: {const: card}, number: {type: string}}, required: [kind, number]}, {properties: {kind: {const: cash}}, required: [kind]}]}",
        );
        let found = explain(&schema, &json!({"kind": "card", "number": 4111}));
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].location.to_string().as_str(), found[0].keyword.as_str()),
            ("body /number", "type")
        );
        assert_eq!(found[0].contract, "/s/oneOf/0/properties/number/type");
    }

    const PETS: &str = "{oneOf: [{$ref: '#/Cat'}, {$ref: '#/Dog'}], discriminator: {propertyName: kind, mapping: {kitty: '#/Cat'}}}
Cat: {type: object, required: [lives], properties: {kind: {type: string}, lives: {type: integer}}}
Dog: {type: object, required: [barks], properties: {kind: {type: string}, barks: {type: boolean}}}
";

    fn told(schema: &Schema, value: &Value) -> Vec<String> {
        let found = explain(schema, value).into_iter();
        found.map(|v| format!("{} {} {} ({})", v.location, v.keyword, v.expected, v.contract)).collect()
    }

    #[test]
    fn a_discriminator_says_which_alternative_is_explained() {
        let pets = compile(PETS);
        for (value, expected) in [
            (json!({"kind": "kitty", "lives": "9"}), "body /lives type integer (/Cat/properties/lives/type)"),
            (json!({"kind": "Cat"}), "body  required the property \"lives\" (/Cat/required)"),
            (json!({"kind": "Dog"}), "body  required the property \"barks\" (/Dog/required)"),
            (
                json!({"kind": "cow"}),
                "body /kind discriminator one of \"Cat\", \"Dog\", \"kitty\" (/s/discriminator)",
            ),
            (json!({}), "body /kind discriminator one of \"Cat\", \"Dog\", \"kitty\" (/s/discriminator)"),
        ] {
            assert_eq!(told(&pets, &value), [expected], "{value}");
        }
        // It changes no verdict.
        assert!(pets.accepts(&json!({"kind": "cow", "lives": 9})));
    }

    #[test]
    fn the_closest_alternative_is_explained_unless_two_are_as_close() {
        for (schema, value, expected) in [
            (
                "{anyOf: [{type: string}, {type: object, required: [a]}]}",
                json!({}),
                "body  required the property \"a\" (/s/anyOf/1/required)",
            ),
            (
                "{oneOf: [{required: [a, b, c]}, {required: [d], properties: {d: {type: string}}}]}",
                json!({"d": 1}),
                "body /d type string (/s/oneOf/1/properties/d/type)",
            ),
            (
                "{oneOf: [{required: [a]}, {required: [b]}]}",
                json!({}),
                "body  oneOf a value that fits exactly one of the alternatives (/s/oneOf)",
            ),
            (
                "{anyOf: [{oneOf: [{type: object, required: [deep]}, {type: integer}]}, {type: boolean}]}",
                json!({}),
                "body  required the property \"deep\" (/s/anyOf/0/oneOf/0/required)",
            ),
        ] {
            assert_eq!(told(&compile(schema), &value), [expected], "{schema}");
        }
    }

    #[test]
    fn what_stands_behind_references_is_pointed_to_in_both_ways_of_compiling() {
        for closing in ["", "unevaluatedProperties: false, "] {
            let text = format!(
                "{{{closing}properties: {{tree: {{$ref: '#/Tree'}}}}}}\nTree: {{properties: {{next: {{$ref: '#/Tree'}}, v: {{maximum: 1}}}}}}\n"
            );
            let value = json!({"tree": {"next": {"next": {"v": 2}}}});
            let expected = "body /tree/next/next/v maximum at most 1 (/Tree/properties/v/maximum)";
            assert_eq!(told(&compile(&text), &value), [expected], "{text}");
        }
    }

    #[test]
    fn long_lists_of_options_are_shortened() {
        let options: Vec<String> = (0..50).map(|n| format!("option{n}")).collect();
        let found = explain(&compile(&format!("{{enum: [{}]}}", options.join(", "))), &json!("x"));
        assert!(found[0].expected.ends_with("\"option11\", ..."), "{}", found[0].expected);
        let long = explain(&compile(&format!("{{const: {}}}", "y".repeat(500))), &json!("x"));
        assert!(long[0].expected.chars().count() <= VALUE_SHOWN_MAX + 1);
    }

    #[test]
    fn names_with_any_character_are_pointed_to() {
        let schema = compile("{properties: {'a b/c~d%é': {type: integer}}}");
        let found = explain(&schema, &json!({"a b/c~d%é": "x"}));
        assert_eq!(found[0].location, Location::Body("/a b~1c~0d%é".to_owned()));
        assert_eq!(found[0].contract, "/s/properties/a b~1c~0d%é/type");
    }

    proptest! {
        #[test]
        fn what_was_received_is_never_repeated(secret in "[A-Z]{12}") {
            let schema = compile(
                "{type: object, properties: {a: {type: integer}, b: {enum: [x]}, c: {pattern: '^x$'}, d: {const: 1}, e: {oneOf: [{format: date}, {maxLength: 2}]}, f: {not: {type: string}}, g: {items: {type: integer}}}, additionalProperties: false, unevaluatedProperties: false, propertyNames: {maxLength: 3}}",
            );
            let value = json!({"a": secret, "b": secret, "c": secret, "d": secret, "e": secret, "f": secret, "g": [secret], secret.clone(): 1});
            prop_assert!(!schema.accepts(&value));
            let told = format!("{:?}", explain(&schema, &value));
            prop_assert!(!told.contains(&secret), "{}", told);
        }
    }
}
