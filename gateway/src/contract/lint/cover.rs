//! What does a schema say about the size of the values it describes?
//!
//! A schema can be bounded by itself, by what it is composed of, or by what it is a part of: a part of an
//! `allOf` needs no `maxLength` if its neighbour has one.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::keyword::Dialect;
use super::super::source::{At, Source};

/// Which kinds of values have a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Cover(u8);

impl Cover {
    pub(super) const NOTHING: Self = Self(0);
    pub(super) const STRINGS: Self = Self(0b0_0001);
    pub(super) const ARRAYS: Self = Self(0b0_0010);
    pub(super) const OBJECTS: Self = Self(0b0_0100);
    /// It is said whether objects may have other properties.
    pub(super) const CLOSED: Self = Self(0b0_1000);
    pub(super) const NUMBERS: Self = Self(0b1_0000);
    const ALL: Self = Self(0b1_1111);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn shared_with(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Finds the bounds of schemas, each once.
pub(super) struct Covers<'s> {
    source: &'s Source,
    dialect: Dialect,
    /// Of what references lead to; nothing while it is being found.
    known: HashMap<At, Cover>,
}

impl<'s> Covers<'s> {
    pub(super) fn new(source: &'s Source, dialect: Dialect) -> Self {
        Self { source, dialect, known: HashMap::new() }
    }

    /// The bounds that the schema at `at` has by itself and by what it is composed of.
    pub(super) fn of(&mut self, at: &At) -> Cover {
        self.at_depth(at, 0)
    }

    fn at_depth(&mut self, at: &At, depth: usize) -> Cover {
        let source = self.source;
        let Some(schema) = source.value(at).and_then(Value::as_object) else { return Cover::NOTHING };
        if depth > DEPTH_MAX {
            return Cover::NOTHING;
        }
        let deeper = depth.saturating_add(1);
        let referred = schema.get("$ref").and_then(Value::as_str);
        let referred = referred.and_then(|reference| source.target(at.file, reference).ok());
        let behind = referred.map_or(Cover::NOTHING, |target| self.behind(&target, deeper));
        if schema.contains_key("$ref") && self.dialect.ignores_beside_references() {
            return behind;
        }
        let mut cover = behind.and(own(schema));
        for n in 0..count(schema, "allOf") {
            cover = cover.and(self.at_depth(&at.key("allOf").item(n), deeper));
        }
        for word in ["anyOf", "oneOf"] {
            let alternatives = count(schema, word);
            let mut shared = if alternatives == 0 { Cover::NOTHING } else { Cover::ALL };
            for n in 0..alternatives {
                shared = shared.shared_with(self.at_depth(&at.key(word).item(n), deeper));
            }
            cover = cover.and(shared);
        }
        cover
    }

    fn behind(&mut self, target: &At, depth: usize) -> Cover {
        if let Some(known) = self.known.get(target) {
            return *known;
        }
        // A schema that leads back to itself adds nothing to itself.
        self.known.insert(target.clone(), Cover::NOTHING);
        let cover = self.at_depth(target, depth);
        self.known.insert(target.clone(), cover);
        cover
    }
}

/// The bounds that a schema has without what it refers to.
fn own(schema: &Map<String, Value>) -> Cover {
    // Whatever type they are of: a list of values is a bound.
    if schema.contains_key("enum") || schema.contains_key("const") {
        return Cover::ALL;
    }
    let types = types(schema);
    let absent = |name: &str| !types.is_empty() && !types.contains(&name);
    let says = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
    let is_false = |word: &str| schema.get(word) == Some(&Value::Bool(false));
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let pattern = schema.get("pattern").and_then(Value::as_str);
    let few_items = || {
        let of_few = schema.get("items").is_some_and(|items| items.get("enum").is_some());
        of_few && schema.get("uniqueItems") == Some(&Value::Bool(true))
    };
    let closed = is_false("additionalProperties") || is_false("unevaluatedProperties");
    let few_names = || schema.get("propertyNames").is_some_and(|names| names.get("enum").is_some());
    let numbers = says(&["minimum", "exclusiveMinimum"]) && says(&["maximum", "exclusiveMaximum"]);
    let rows = [
        (
            Cover::STRINGS,
            absent("string")
                || says(&["maxLength"])
                || BOUNDING_FORMATS.contains(&format)
                || pattern.is_some_and(is_bounding),
        ),
        (
            Cover::ARRAYS,
            absent("array")
                || says(&["maxItems"])
                || is_false("items")
                || is_false("additionalItems")
                || is_false("unevaluatedItems")
                || few_items(),
        ),
        (
            Cover::OBJECTS,
            absent("object")
                || says(&["maxProperties"])
                || (closed && !says(&["patternProperties"]))
                || few_names(),
        ),
        (Cover::CLOSED, absent("object") || says(&["additionalProperties", "unevaluatedProperties"])),
        (
            Cover::NUMBERS,
            (absent("number") && absent("integer")) || numbers || NUMBER_FORMATS.contains(&format),
        ),
    ];
    rows.into_iter().filter(|(_, holds)| *holds).fold(Cover::NOTHING, |all, (cover, _)| all.and(cover))
}

/// The types that a schema names.
pub(super) fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether only texts up to some length match.
fn is_bounding(pattern: &str) -> bool {
    use regex_syntax::hir::Look;
    let Ok(parsed) = regex_syntax::parse(pattern) else { return false };
    let properties = parsed.properties();
    properties.maximum_len().is_some()
        && properties.look_set_prefix().contains(Look::Start)
        && properties.look_set_suffix().contains(Look::End)
}

fn count(schema: &Map<String, Value>, word: &str) -> usize {
    schema.get(word).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Formats whose texts have a greatest length; `binary` is a body, which has a limit of its own.
const BOUNDING_FORMATS: [&str; 9] =
    ["binary", "date", "date-time", "email", "hostname", "ipv4", "ipv6", "time", "uuid"];
const NUMBER_FORMATS: [&str; 10] =
    ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"];
/// Deeper compositions than people write.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(dialect: Dialect, schema: &str) -> Cover {
        let text = format!(
            "Word: {{type: string}}\nShort: {{type: string, maxLength: 5}}\nLoop: {{allOf: [{{$ref: '#/Loop'}}]}}\ns: {schema}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        Covers::new(&source, dialect).of(&source.root().key("s"))
    }

    #[test]
    fn bounds_are_seen_where_they_are() {
        for (schema, bounded) in [
            ("{type: string}", false),
            ("{type: string, maxLength: 5}", true),
            ("{type: [string, 'null'], maxLength: 5}", true),
            ("{enum: [a]}", true),
            ("{const: a}", true),
            ("{type: string, format: uuid}", true),
            ("{type: string, format: uri}", false),
            ("{type: string, pattern: '^[A-Z]{2}$'}", true),
            ("{type: string, pattern: '^(a|bc)?$'}", true),
            ("{type: string, pattern: '[A-Z]{2}'}", false),
            ("{type: string, pattern: '^[A-Z]{2}'}", false),
            ("{type: string, pattern: '^[A-Z]+$'}", false),
            ("{type: string, pattern: '^a$|b'}", false),
            ("{type: string, pattern: '^a$|^b$'}", true),
            ("{type: string, pattern: '('}", false),
            ("{$ref: '#/Short'}", true),
            ("{$ref: '#/Word'}", false),
            ("{$ref: '#/Word', maxLength: 3}", true),
            ("{allOf: [{$ref: '#/Word'}, {maxLength: 3}]}", true),
            ("{allOf: [{$ref: '#/Word'}, {minLength: 3}]}", false),
            ("{anyOf: [{$ref: '#/Short'}, {type: integer}]}", true),
            ("{oneOf: [{$ref: '#/Short'}, {$ref: '#/Word'}]}", false),
            ("{$ref: '#/Loop'}", false),
            ("{type: integer}", true),
        ] {
            assert_eq!(cover(Dialect::V31, schema).has(Cover::STRINGS), bounded, "{schema}");
        }
        // Beside a reference, 3.0 ignores the bound.
        assert!(!cover(Dialect::V30, "{$ref: '#/Word', maxLength: 3}").has(Cover::STRINGS));
    }

    #[test]
    fn arrays_and_objects_are_bounded_in_their_own_ways() {
        for (schema, covers) in [
            ("{type: array, items: {}}", Cover::NOTHING),
            ("{type: array, maxItems: 3}", Cover::ARRAYS),
            ("{type: array, prefixItems: [{}], items: false}", Cover::ARRAYS),
            ("{type: array, uniqueItems: true, items: {enum: [a, b]}}", Cover::ARRAYS),
            ("{type: object}", Cover::NOTHING),
            ("{type: object, additionalProperties: true}", Cover::CLOSED),
            ("{type: object, additionalProperties: {}, maxProperties: 9}", Cover::CLOSED.and(Cover::OBJECTS)),
            ("{type: object, additionalProperties: false}", Cover::CLOSED.and(Cover::OBJECTS)),
            ("{type: object, additionalProperties: false, patternProperties: {'^x': {}}}", Cover::CLOSED),
            ("{type: object, allOf: [{}], unevaluatedProperties: false}", Cover::CLOSED.and(Cover::OBJECTS)),
            ("{type: integer, minimum: 0, maximum: 9}", Cover::NUMBERS),
            ("{type: integer, format: int32}", Cover::NUMBERS),
        ] {
            assert!(cover(Dialect::V31, schema).has(covers), "{schema}");
        }
        for (schema, lacks) in [
            ("{type: array, items: {}}", Cover::ARRAYS),
            ("{type: array, uniqueItems: true, items: {}}", Cover::ARRAYS),
            ("{type: object}", Cover::CLOSED),
            ("{type: object, additionalProperties: true}", Cover::OBJECTS),
            ("{type: object, additionalProperties: false, patternProperties: {'^x': {}}}", Cover::OBJECTS),
            ("{type: integer, minimum: 0}", Cover::NUMBERS),
        ] {
            assert!(!cover(Dialect::V31, schema).has(lacks), "{schema}");
        }
    }
}
