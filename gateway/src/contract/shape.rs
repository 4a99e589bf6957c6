//! Of what kind may a value be, as far as reading it from text needs to know?
//!
//! Text has no types: `12` in a query is a number only where the schema wants one. A shape is read
//! off a schema at load, each schema once; whether a value fits is the schema's own business.

mod gather;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Number, Value};

pub(super) use gather::Shapes;

/// The kinds of values that a schema leaves open, and the shapes of their parts. Nothing is known of the
/// default one.
#[derive(Clone, Default)]
pub(super) struct Shape {
    place: Option<(Arc<[Node]>, usize)>,
}

/// One shape among those that were read together. Shapes that contain themselves are rings of places, so
/// that nothing holds itself.
struct Node {
    kinds: Option<Kinds>,
    /// The contract says that the value may be told back to whoever sent it.
    public: bool,
    items: Option<Part>,
    /// The first items, where they have schemas of their own.
    first_items: Vec<Part>,
    properties: BTreeMap<String, Part>,
    /// What an object may hold beside its named properties, if the schema says.
    additional: Option<Part>,
}

/// The shape of a part.
#[derive(Clone)]
enum Part {
    /// Among those read together.
    Here(usize),
    /// Read before, or unknown.
    There(Shape),
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    const NULL: Self = Self(1);
    const BOOLEAN: Self = Self(1 << 1);
    const INTEGER: Self = Self(1 << 2);
    /// Numbers that are no integers; whoever allows them allows integers.
    const FRACTION: Self = Self(1 << 3);
    const STRING: Self = Self(1 << 4);
    const ARRAY: Self = Self(1 << 5);
    const OBJECT: Self = Self(1 << 6);
    const NUMBER: Self = Self::INTEGER.or(Self::FRACTION);

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn named(word: &str) -> Self {
        match word {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }
}

/// Which of the readings of a text is tried: where a schema allows both `12` and `"12"`, one after
/// the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The narrowest type that the schema names; text where it names none.
    First,
    /// Text where the schema allows it; the narrowest type where it names none.
    Second,
}

impl Shape {
    fn node(&self) -> Option<&Node> {
        let (nodes, index) = self.place.as_ref()?;
        nodes.get(*index)
    }

    fn kinds(&self) -> Option<Kinds> {
        self.node()?.kinds
    }

    fn part(&self, part: &Part) -> Self {
        match (part, &self.place) {
            (Part::Here(index), Some((nodes, _))) => Self { place: Some((Arc::clone(nodes), *index)) },
            (Part::Here(_), None) => Self::default(),
            (Part::There(shape), _) => shape.clone(),
        }
    }

    /// Whether an array is possible, as far as the schema says.
    pub(super) fn may_be_array(&self) -> bool {
        self.kinds().is_some_and(|kinds| kinds.has(Kinds::ARRAY))
    }

    /// Whether an object is possible, as far as the schema says.
    pub(super) fn may_be_object(&self) -> bool {
        self.kinds().is_some_and(|kinds| kinds.has(Kinds::OBJECT))
    }

    /// Whether something that is neither array nor object is possible.
    pub(super) fn may_be_scalar(&self) -> bool {
        let scalar = Kinds::NULL.or(Kinds::BOOLEAN).or(Kinds::NUMBER).or(Kinds::STRING);
        self.kinds().is_none_or(|kinds| kinds.has(scalar))
    }

    /// Whether the contract says that the value may be told back to whoever sent it.
    pub(super) fn is_public(&self) -> bool {
        self.node().is_some_and(|node| node.public)
    }

    /// The shape of an array's item at `index`.
    pub(super) fn item(&self, index: usize) -> Self {
        let part = self.node().and_then(|node| node.first_items.get(index).or(node.items.as_ref()));
        part.map(|part| self.part(part)).unwrap_or_default()
    }

    /// The names of the properties that the schema names.
    pub(super) fn property_names(&self) -> impl Iterator<Item = &str> {
        self.node().into_iter().flat_map(|node| node.properties.keys()).map(String::as_str)
    }

    /// Whether the schema names the property `name`.
    pub(super) fn names(&self, name: &str) -> bool {
        self.node().is_some_and(|node| node.properties.contains_key(name))
    }

    /// Whether the schema says that an object may hold properties it does not name.
    pub(super) fn invites_others(&self) -> bool {
        self.node().is_some_and(|node| node.additional.is_some())
    }

    /// The shape of the property `name`.
    pub(super) fn property(&self, name: &str) -> Self {
        let part = self.node().and_then(|node| node.properties.get(name).or(node.additional.as_ref()));
        part.map(|part| self.part(part)).unwrap_or_default()
    }

    /// The shape of what stands at the JSON Pointer `pointer` in `value`, which has this shape.
    pub(super) fn at(&self, value: &Value, pointer: &str) -> Self {
        let (mut shape, mut value) = (self.clone(), Some(value));
        for token in pointer.split('/').skip(1) {
            // RFC 6901 section 4.
            let name = token.replace("~1", "/").replace("~0", "~");
            (shape, value) = match value {
                Some(Value::Array(items)) => {
                    let index = token.parse().unwrap_or(usize::MAX);
                    (shape.item(index), items.get(index))
                }
                other => (shape.property(&name), other.and_then(|value| value.get(&name))),
            };
        }
        shape
    }

    /// The value that `text` stands for, where no array or object is meant. Text that is not what the
    /// schema wants stays text, so that the schema can say so.
    pub(super) fn scalar(&self, text: String, reading: Reading) -> Value {
        let kinds = match (self.kinds(), reading) {
            (None, Reading::First) => Kinds::STRING,
            (None, Reading::Second) => Kinds::BOOLEAN.or(Kinds::NUMBER),
            (Some(kinds), Reading::Second) if kinds.has(Kinds::STRING) => Kinds::STRING,
            (Some(kinds), _) => kinds,
        };
        match text.as_str() {
            "true" if kinds.has(Kinds::BOOLEAN) => return Value::Bool(true),
            "false" if kinds.has(Kinds::BOOLEAN) => return Value::Bool(false),
            "null" if kinds.has(Kinds::NULL) => return Value::Null,
            "" if kinds.has(Kinds::NULL) && !kinds.has(Kinds::STRING) => return Value::Null,
            _ => {}
        }
        let wanted = kinds.has(Kinds::FRACTION) || (kinds.has(Kinds::INTEGER) && is_whole(&text));
        match number(&text).filter(|_| wanted) {
            Some(number) => Value::Number(number),
            None => Value::String(text),
        }
    }
}

/// A number as JSON writes it; nothing around it, no `+`, no leading zeros.
fn number(text: &str) -> Option<Number> {
    let begins = text.bytes().next().is_some_and(|b| b == b'-' || b.is_ascii_digit());
    let ends = text.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
    serde_json::from_str(text).ok().filter(|_| begins && ends)
}

/// Digits alone. `1e3` and `1.0` are integers in JSON, but not to whoever reads an integer from a URL.
fn is_whole(text: &str) -> bool {
    text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::source::Source;
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn shape(schema: &str) -> Shape {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("openapi.yaml"),
            format!("s: {schema}\nself: {{items: {{$ref: '#/self'}}}}\n"),
        )
        .unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        Shapes::new(&source).of(&source.root().key("s"))
    }

    #[test]
    fn text_becomes_what_the_schema_wants() {
        for (schema, text, first, second) in [
            ("{type: integer}", "12", json!(12), json!(12)),
            ("{type: integer}", "x", json!("x"), json!("x")),
            ("{type: integer}", " 12", json!(" 12"), json!(" 12")),
            ("{type: integer}", "+12", json!("+12"), json!("+12")),
            ("{type: integer}", "012", json!("012"), json!("012")),
            ("{type: integer}", "-12", json!(-12), json!(-12)),
            ("{type: integer}", "1e3", json!("1e3"), json!("1e3")),
            ("{type: integer}", "1.0", json!("1.0"), json!("1.0")),
            ("{type: integer}", "-", json!("-"), json!("-")),
            ("{type: integer}", "0x1f", json!("0x1f"), json!("0x1f")),
            ("{allOf: [{type: number}, {type: integer}]}", "1.0", json!("1.0"), json!("1.0")),
            ("{type: number}", "1e2", json!(100.0), json!(100.0)),
            ("{type: number}", "1.0", json!(1.0), json!(1.0)),
            ("{format: int64}", "12", json!(12), json!(12)),
            ("{type: number}", "NaN", json!("NaN"), json!("NaN")),
            ("{type: boolean}", "true", json!(true), json!(true)),
            ("{type: boolean}", "True", json!("True"), json!("True")),
            ("{type: string}", "12", json!("12"), json!("12")),
            ("{type: [integer, 'null']}", "null", json!(null), json!(null)),
            ("{type: integer, nullable: true}", "", json!(null), json!(null)),
            ("{type: string, nullable: true}", "", json!(""), json!("")),
            ("{}", "12", json!("12"), json!(12)),
            ("{enum: [1, 2]}", "1", json!(1), json!(1)),
            ("{const: true}", "true", json!(true), json!(true)),
            ("{minimum: 3}", "4", json!(4), json!(4)),
            ("{pattern: a}", "4", json!("4"), json!("4")),
            ("{anyOf: [{type: integer}, {type: string}]}", "12", json!(12), json!("12")),
            ("{oneOf: [{type: integer}, {type: boolean}]}", "true", json!(true), json!(true)),
            ("{allOf: [{type: [integer, string]}, {type: integer}]}", "7", json!(7), json!(7)),
            ("{type: string, anyOf: [{pattern: a}, {pattern: b}]}", "1", json!("1"), json!("1")),
        ] {
            let shape = shape(schema);
            assert_eq!(shape.scalar(text.to_owned(), Reading::First), first, "{schema} {text}");
            assert_eq!(shape.scalar(text.to_owned(), Reading::Second), second, "{schema} {text}");
        }
    }

    #[test]
    fn parts_are_gathered_from_all_compositions() {
        let shape = shape(
            "{type: object, properties: {a: {type: integer}}, allOf: [{properties: {b: {type: boolean}}}], additionalProperties: {type: number}}",
        );
        assert!(shape.may_be_object() && !shape.may_be_scalar() && shape.invites_others());
        assert_eq!(shape.property_names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(shape.property("b").scalar("true".to_owned(), Reading::First), json!(true));
        assert_eq!(shape.property("other").scalar("1".to_owned(), Reading::First), json!(1));
    }

    #[test]
    fn what_stands_beside_a_reference_and_behind_a_condition_counts() {
        let beside = shape("{$ref: '#/self', properties: {a: {type: integer}}}");
        assert!(beside.names("a") && beside.item(0).may_be_array());
        let conditional =
            shape("{type: object, if: {required: [a]}, then: {properties: {a: {type: integer}}}}");
        assert_eq!(conditional.property("a").scalar("1".to_owned(), Reading::First), json!(1));
        let tuple = shape("{prefixItems: [{type: integer}, {type: boolean}], items: {type: string}}");
        let kinds: Vec<Value> =
            (0..3).map(|n| tuple.item(n).scalar(["1", "true", "2"][n].to_owned(), Reading::First)).collect();
        assert_eq!(kinds, [json!(1), json!(true), json!("2")]);
    }

    #[test]
    fn a_schema_that_contains_itself_has_a_shape() {
        let ring = shape("{$ref: '#/self'}");
        assert!(ring.may_be_array() && ring.item(0).item(7).item(1).may_be_array());
        assert!(!shape("{anyOf: [{$ref: '#/s'}, {type: object}]}").may_be_array());
    }

    #[test]
    fn what_is_public_is_found_by_its_pointer() {
        let shape = shape(
            "{properties: {a: {items: {properties: {x/y: {type: string, x-gateway: {public: true}}}}}, b: {x-gateway: {public: true}, allOf: [{x-gateway: {personal: true}}]}}}",
        );
        let value = json!({"a": [{"x/y": 1}], "b": 1});
        for (pointer, public) in
            [("/a/0/x~1y", true), ("/a/0", false), ("/b", false), ("", false), ("/c", false)]
        {
            assert_eq!(shape.at(&value, pointer).is_public(), public, "{pointer}");
        }
    }

    #[test]
    fn schemas_that_refer_to_each_other_many_times_are_each_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let schema = |n: usize| {
            let next = format!("{{$ref: '#/s{}'}}", n + 1);
            format!(
                "s{n}: {{anyOf: [{{properties: {{a: {next}, b: {next}}}}}, {{properties: {{b: {next}, c: {next}}}}}]}}\n"
            )
        };
        let text: String = (0..200).map(schema).collect::<String>() + "s200: {type: integer}\n";
        std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        let mut shapes = Shapes::new(&source);
        let mut shape = shapes.of(&source.root().key("s0"));
        let read = shapes.len();
        assert!(read < 1_000, "{read}");
        for n in 0..200 {
            shape = shape.property(["a", "b", "c"][n % 3]);
        }
        assert_eq!(shape.scalar("1".to_owned(), Reading::First), json!(1));
        let again = shapes.of(&source.root().key("s7"));
        assert!(again.names("c") && shapes.len() == read);
    }

    proptest! {
        #[test]
        fn every_number_that_json_writes_is_read_and_nothing_else(text in "[-+0-9.eE ]{0,8}") {
            let read = number(&text);
            let strict = serde_json::from_str::<Number>(&text).ok().filter(|_| !text.contains(' '));
            prop_assert_eq!(read, strict);
        }
    }
}
