//! Of what kind may a value be, as far as reading it from text needs to know?
//!
//! Text has no types: `12` in a query is a number only where the schema wants one. A shape is read
//! off a schema at load; whether a value fits is the schema's own business.

use serde_json::{Number, Value};

use super::source::{At, Source};

/// The kinds of values that a schema leaves open, and the shapes of their parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Shape {
    kinds: Option<Kinds>,
    items: Option<Box<Shape>>,
    properties: Vec<(String, Shape)>,
    additional: Additional,
}

/// What an object may hold beside its named properties.
#[derive(Debug, Clone, Default, PartialEq)]
enum Additional {
    /// Anything, because nothing is said.
    #[default]
    Unsaid,
    /// Nothing.
    None,
    /// Values of this shape.
    Of(Box<Shape>),
}

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    const NONE: Self = Self(0);
    const NULL: Self = Self(1);
    const BOOLEAN: Self = Self(1 << 1);
    const NUMBER: Self = Self(1 << 2);
    const STRING: Self = Self(1 << 3);
    const ARRAY: Self = Self(1 << 4);
    const OBJECT: Self = Self(1 << 5);

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
            "integer" | "number" => Self::NUMBER,
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
    /// The shape of the schema at `at`.
    pub(super) fn of(source: &Source, at: &At) -> Self {
        Self::read(source, at, 0)
    }

    /// Whether an array is possible, as far as the schema says.
    pub(super) fn may_be_array(&self) -> bool {
        self.kinds.is_some_and(|kinds| kinds.has(Kinds::ARRAY))
    }

    /// Whether an object is possible, as far as the schema says.
    pub(super) fn may_be_object(&self) -> bool {
        self.kinds.is_some_and(|kinds| kinds.has(Kinds::OBJECT))
    }

    /// Whether something that is neither array nor object is possible.
    pub(super) fn may_be_scalar(&self) -> bool {
        let scalar = Kinds::NULL.or(Kinds::BOOLEAN).or(Kinds::NUMBER).or(Kinds::STRING);
        self.kinds.is_none_or(|kinds| kinds.has(scalar))
    }

    /// The shape of an array's items.
    pub(super) fn items(&self) -> &Self {
        self.items.as_deref().unwrap_or(&UNSAID)
    }

    /// The names of the properties that the schema names.
    pub(super) fn property_names(&self) -> impl Iterator<Item = &str> {
        self.properties.iter().map(|(name, _)| name.as_str())
    }

    /// Whether the schema says that an object may hold properties it does not name.
    pub(super) fn invites_others(&self) -> bool {
        matches!(self.additional, Additional::Of(_))
    }

    /// The shape of the property `name`.
    pub(super) fn property(&self, name: &str) -> &Self {
        let named = self.properties.iter().find(|(own, _)| own == name).map(|(_, shape)| shape);
        named.unwrap_or(match &self.additional {
            Additional::Of(shape) => shape,
            Additional::Unsaid | Additional::None => &UNSAID,
        })
    }

    /// The value that `text` stands for, where no array or object is meant. Text that is not what the
    /// schema wants stays text, so that the schema can say so.
    pub(super) fn scalar(&self, text: String, reading: Reading) -> Value {
        let kinds = match (self.kinds, reading) {
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
        match number(&text).filter(|_| kinds.has(Kinds::NUMBER)) {
            Some(number) => Value::Number(number),
            None => Value::String(text),
        }
    }

    fn read(source: &Source, at: &At, depth: usize) -> Self {
        let Ok(at) = source.follow(at.clone()) else { return Self::default() };
        let Some(schema) = source.value(&at).and_then(Value::as_object) else { return Self::default() };
        // A schema that contains itself has no end; text for it would have one long before this.
        if depth > DEPTH_MAX {
            return Self::default();
        }
        let part = |at: At| Self::read(source, &at, depth.saturating_add(1));
        let list = |word: &str| {
            let count = schema.get(word).and_then(Value::as_array).map_or(0, Vec::len);
            let at = at.key(word);
            (0..count).map(move |n| at.item(n))
        };
        let mut shape = Self {
            kinds: own_kinds(schema),
            items: schema.contains_key("items").then(|| Box::new(part(at.key("items")))),
            properties: Vec::new(),
            additional: match schema.get("additionalProperties") {
                None => Additional::Unsaid,
                Some(Value::Bool(false)) => Additional::None,
                Some(_) => Additional::Of(Box::new(part(at.key("additionalProperties")))),
            },
        };
        if let Some(Value::Object(properties)) = schema.get("properties") {
            let place = at.key("properties");
            shape.properties = properties.keys().map(|name| (name.clone(), part(place.key(name)))).collect();
        }
        for all in list("allOf").map(part) {
            shape.kinds = match (shape.kinds, all.kinds) {
                (Some(one), Some(other)) => Some(one.and(other)),
                (one, other) => one.or(other),
            };
            shape.take_parts(all);
        }
        for word in ["anyOf", "oneOf"] {
            let alternatives: Vec<Self> = list(word).map(part).collect();
            let unions = alternatives.iter().map(|alternative| alternative.kinds);
            let union = unions.reduce(|one, other| Some(one?.or(other?))).flatten();
            shape.kinds = match (shape.kinds, union) {
                (Some(own), Some(union)) => Some(own.and(union)),
                (own, union) => own.or(union),
            };
            alternatives.into_iter().for_each(|alternative| shape.take_parts(alternative));
        }
        shape
    }

    /// Adds what another schema says about the same value's parts.
    fn take_parts(&mut self, other: Self) {
        let Self { kinds: _, items, properties, additional } = other;
        match (&mut self.items, items) {
            (Some(own), Some(items)) => own.widen(*items),
            (own @ None, items) => *own = items,
            (Some(_), None) => {}
        }
        for (name, shape) in properties {
            match self.properties.iter_mut().find(|(own, _)| *own == name) {
                Some((_, own)) => own.widen(shape),
                None => self.properties.push((name, shape)),
            }
        }
        if self.additional == Additional::Unsaid {
            self.additional = additional;
        }
    }

    fn widen(&mut self, other: Self) {
        self.kinds = match (self.kinds, other.kinds) {
            (Some(own), Some(other)) => Some(own.or(other)),
            (own, other) => own.or(other),
        };
        self.take_parts(other);
    }
}

/// The types that a schema names, or that its other words only make sense for.
fn own_kinds(schema: &serde_json::Map<String, Value>) -> Option<Kinds> {
    let nullable = schema.get("nullable") == Some(&Value::Bool(true));
    let named = match schema.get("type") {
        Some(Value::String(word)) => Some(Kinds::named(word)),
        Some(Value::Array(words)) => {
            let words = words.iter().filter_map(Value::as_str);
            Some(words.fold(Kinds::NONE, |kinds, word| kinds.or(Kinds::named(word))))
        }
        _ => None,
    };
    if let Some(named) = named {
        return Some(if nullable { named.or(Kinds::NULL) } else { named });
    }
    if let Some(constant) = schema.get("const") {
        return Some(Kinds::of(constant));
    }
    if let Some(Value::Array(options)) = schema.get("enum") {
        return Some(options.iter().fold(Kinds::NONE, |kinds, option| kinds.or(Kinds::of(option))));
    }
    let implied = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
    if implied(&["properties", "required", "additionalProperties", "minProperties", "maxProperties"]) {
        return Some(Kinds::OBJECT);
    }
    if implied(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
        return Some(Kinds::ARRAY);
    }
    if implied(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        return Some(Kinds::NUMBER);
    }
    implied(&["pattern", "minLength", "maxLength", "format"]).then_some(Kinds::STRING)
}

/// A number as JSON writes it; nothing around it, no `+`, no leading zeros.
fn number(text: &str) -> Option<Number> {
    let begins = text.bytes().next().is_some_and(|b| b == b'-' || b.is_ascii_digit());
    let ends = text.bytes().next_back().is_some_and(|b| b.is_ascii_digit());
    serde_json::from_str(text).ok().filter(|_| begins && ends)
}

/// What nothing is known about.
static UNSAID: Shape =
    Shape { kinds: None, items: None, properties: Vec::new(), additional: Additional::Unsaid };
/// Parameters and form fields nest less.
const DEPTH_MAX: usize = 10;

#[cfg(test)]
mod tests {
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
        Shape::of(&source, &source.root().key("s"))
    }

    #[test]
    fn text_becomes_what_the_schema_wants() {
        for (schema, text, first, second) in [
            ("{type: integer}", "12", json!(12), json!(12)),
            ("{type: integer}", "x", json!("x"), json!("x")),
            ("{type: integer}", " 12", json!(" 12"), json!(" 12")),
            ("{type: integer}", "+12", json!("+12"), json!("+12")),
            ("{type: integer}", "012", json!("012"), json!("012")),
            ("{type: number}", "1e2", json!(100.0), json!(100.0)),
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
    fn a_schema_that_contains_itself_has_a_shape() {
        assert!(shape("{$ref: '#/self'}").may_be_array());
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
