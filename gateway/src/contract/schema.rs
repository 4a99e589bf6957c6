//! Does a value fit a schema of the contract, and if not, what would? Compiled at load.
//!
//! It asks the validator and turns its answers into violations; what a value stands for is for others.

use std::sync::Arc;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::paths::Location as SchemaPath;
use jsonschema::{Keyword, ValidationError, Validator};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use super::percent::{self, Plus};
use super::source::At;
use super::violation::{Location, Violation, Violations};

/// A schema of the contract, ready to be asked.
#[derive(Clone)]
pub(super) struct Schema {
    validator: Arc<Validator>,
    file_names: Arc<[Box<str>]>,
    pointer: Arc<str>,
}

impl Schema {
    pub(super) fn new(validator: Validator, file_names: Arc<[Box<str>]>, at: &At) -> Self {
        let name = file_names.get(at.file).map_or("", |name| &**name);
        let pointer = contract_pointer(name, &at.pointer).into();
        Self { validator: Arc::new(validator), file_names, pointer }
    }

    /// Whether `value` fits. This is the hot path: it allocates nothing and explains nothing.
    pub(super) fn accepts(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// Adds every reason why `value`, which is at `location`, does not fit.
    pub(super) fn explain(&self, value: &Value, location: &Location, found: &mut Violations) {
        for error in self.validator.iter_errors(value) {
            self.explain_error(&error, location, found, 0);
        }
    }

    fn explain_error(
        &self,
        error: &ValidationError<'_>,
        at: &Location,
        found: &mut Violations,
        depth: usize,
    ) {
        if let ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } =
            error.kind()
            && let Some(branch) = meant_branch(context, error.instance_path().as_str())
            && depth < BRANCH_DEPTH_MAX
        {
            for nested in branch {
                self.explain_error(nested, at, found, depth.saturating_add(1));
            }
            return;
        }
        let contract = self.keyword_pointer(error);
        let path = error.instance_path().as_str();
        // `additionalProperties: false` alone refuses each extra property as such; the object is at fault.
        let closes = matches!(error.kind(), ValidationErrorKind::FalseSchema)
            .then(|| CLOSING.into_iter().find(|word| contract.rsplit('/').next() == Some(word)));
        let violation = match closes.flatten() {
            Some(word) => {
                let object = path.rsplit_once('/').map_or("", |(object, _)| object);
                Violation::new(at.within(object), word, NO_OTHERS)
            }
            None => Violation::new(at.within(path), error.kind().keyword(), expected(error.kind())),
        };
        found.push(violation.under(&contract));
    }

    fn keyword_pointer(&self, error: &ValidationError<'_>) -> String {
        let Some(uri) = error.absolute_keyword_location() else { return self.pointer.to_string() };
        let (file, fragment) = uri.as_str().split_once('#').unwrap_or((uri.as_str(), ""));
        let number = file.strip_prefix(URN).and_then(|number| number.parse::<usize>().ok());
        let name = number.and_then(|n| self.file_names.get(n)).map_or("", |name| &**name);
        let pointer = percent::decode(fragment, Plus::Literal).unwrap_or_default();
        contract_pointer(name, &pointer)
    }
}

/// The branch that a sender most likely meant: the only one whose own type, `const` and `enum` fit.
fn meant_branch<'c>(
    context: &'c [Vec<ValidationError<'static>>],
    here: &str,
) -> Option<&'c Vec<ValidationError<'static>>> {
    let misses = |error: &ValidationError<'_>| match error.kind() {
        ValidationErrorKind::Type { .. } => error.instance_path().as_str() == here,
        ValidationErrorKind::Constant { .. } | ValidationErrorKind::Enum { .. } => true,
        _ => false,
    };
    let mut fitting = context.iter().filter(|branch| !branch.iter().any(misses));
    fitting.next().filter(|branch| !branch.is_empty() && fitting.next().is_none())
}

fn contract_pointer(file: &str, pointer: &str) -> String {
    if file.is_empty() { pointer.to_owned() } else { format!("{file}#{pointer}") }
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
            Some(options) => {
                let listed: Vec<String> = options.iter().take(OPTIONS_SHOWN_MAX).map(shown).collect();
                let tail = if options.len() > OPTIONS_SHOWN_MAX { ", ..." } else { "" };
                format!("one of {}{tail}", listed.join(", "))
            }
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

/// The keyword that stands for a property which may not be sent in this direction.
pub(super) fn hidden<'a>(
    _parent: &'a Map<String, Value>,
    _value: &'a Value,
    _path: SchemaPath,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    Ok(Box::new(Hidden))
}

struct Hidden;

impl<'i> Keyword<'i> for Hidden {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        Err(ValidationError::custom("hidden"))
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        false
    }
}

/// The name by which the validator knows a file of the contract.
pub(super) fn file_uri(file: usize) -> String {
    format!("{URN}{file}")
}

/// The name by which the validator knows the value at `at`.
pub(super) fn uri(at: &At) -> String {
    format!("{}#{}", file_uri(at.file), utf8_percent_encode(&at.pointer, NOT_IN_FRAGMENT))
}

/// Keywords that close an object when their schema is `false`.
const CLOSING: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const NO_OTHERS: &str = "no properties but the described ones";
const URN: &str = "urn:contract:";
/// RFC 3986 section 3.5: what a fragment cannot hold as it is, and `%` itself.
const NOT_IN_FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Enough to choose from; the contract has the rest.
const OPTIONS_SHOWN_MAX: usize = 12;
const VALUE_SHOWN_MAX: usize = 80;
/// Alternatives inside alternatives deeper than this are not unravelled for the sender.
const BRANCH_DEPTH_MAX: usize = 8;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::direction::Direction;
    use super::super::keyword::Dialect;
    use super::super::schemas::Schemas;
    use super::super::source::Source;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn compile(text: &str) -> Schema {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("s: {text}")).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        let mut schemas = Schemas::new(&source, Dialect::V31);
        let compiled = schemas.compile(&source.root().key("s"), Direction::Request);
        compiled.unwrap_or_else(|| panic!("{text}: {}", schemas.into_mistakes()))
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
