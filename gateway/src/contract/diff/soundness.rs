//! Is a comparison that calls everything compatible right? Generated schemas are held against a validator.
//!
//! Whatever an older schema accepts and a newer one refuses must have been told, and the other way round for
//! what is answered. One thing is left out on purpose: values of properties that the schema of the time did not
//! describe (decision 0010).

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::source::Source;
use super::{Change, Level, Side, compare};

fn leaf() -> impl Strategy<Value = Value> {
    let kind =
        prop::sample::select(vec!["string", "integer", "number", "boolean", "null", "array", "object"]);
    let kinds = prop::collection::vec(kind.clone(), 1..3).prop_map(|mut kinds| {
        kinds.sort_unstable();
        kinds.dedup();
        json!({ "type": kinds })
    });
    let words = vec![
        json!({}),
        json!({"enum": ["a", 1]}),
        json!({"enum": ["a", "ab", null]}),
        json!({"const": 1}),
        json!({"const": "a"}),
        json!({"minimum": 1}),
        json!({"maximum": 2}),
        json!({"exclusiveMinimum": 0, "type": "integer"}),
        json!({"exclusiveMaximum": 2.5}),
        json!({"multipleOf": 2}),
        json!({"minLength": 2}),
        json!({"maxLength": 1, "type": "string"}),
        json!({"pattern": "^a"}),
        json!({"pattern": "b$"}),
        json!({"format": "date"}),
        json!({"minItems": 1}),
        json!({"maxItems": 1}),
        json!({"uniqueItems": true}),
        json!({"minProperties": 1}),
        json!({"maxProperties": 1, "type": "object"}),
        json!({"required": ["a"]}),
        json!({"dependentRequired": {"a": ["b"]}}),
        json!({"$ref": "#/components/schemas/S"}),
        json!(true),
        json!(false),
    ];
    prop_oneof![3 => kinds, 4 => prop::sample::select(words)]
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..3);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| json!({"type": "object", "properties": {"a": a, "b": b}})),
            pair.clone().prop_map(
                |(a, b)| json!({"properties": {"a": a}, "required": ["a"], "additionalProperties": b})
            ),
            inner.clone().prop_map(|a| json!({"properties": {"a": a}, "additionalProperties": false})),
            pair.clone().prop_map(|(a, b)| json!({"properties": {"b": a}, "patternProperties": {"^a": b}})),
            inner.clone().prop_map(|a| json!({"propertyNames": a})),
            inner.clone().prop_map(|a| json!({"dependentSchemas": {"a": a}})),
            inner.clone().prop_map(|a| json!({"type": "array", "items": a})),
            pair.clone().prop_map(|(a, b)| json!({"prefixItems": [a], "items": b})),
            inner.clone().prop_map(|a| json!({"contains": a})),
            inner.clone().prop_map(|a| json!({"contains": a, "maxContains": 1})),
            pair.clone().prop_map(|(a, b)| json!({"prefixItems": [a, b], "unevaluatedItems": false})),
            pair.clone().prop_map(
                |(a, b)| json!({"anyOf": [{"properties": {"a": a}}, b], "unevaluatedProperties": false})
            ),
            list.clone().prop_map(|all| json!({"allOf": all})),
            list.clone().prop_map(|any| json!({"anyOf": any})),
            list.prop_map(|one| json!({"oneOf": one})),
            inner.clone().prop_map(|not| json!({"not": not})),
            pair.prop_map(|(a, b)| json!({"if": a, "then": b})),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| json!({"if": a, "then": b, "else": c})),
        ]
    })
}

/// The schema with its part of this number (counted in order) replaced.
fn replaced(schema: &Value, number: &mut usize, by: &Value) -> Value {
    if *number == 0 {
        // No other part is.
        *number = usize::MAX;
        return by.clone();
    }
    *number = number.saturating_sub(1);
    let Value::Object(members) = schema else { return schema.clone() };
    let mut all = members.clone();
    for (word, value) in &mut all {
        match (word.as_str(), value) {
            ("properties" | "patternProperties" | "dependentSchemas", Value::Object(parts)) => {
                parts.values_mut().for_each(|part| *part = replaced(part, number, by));
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(parts)) => {
                parts.iter_mut().for_each(|part| *part = replaced(part, number, by));
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames",
                part,
            ) => *part = replaced(part, number, by),
            _ => {}
        }
    }
    Value::Object(all)
}

/// Two schemas, and what both call `S`: mostly alike, so that there is something to prove.
fn pair() -> impl Strategy<Value = (Value, Value, Value, Value)> {
    (schema(), schema(), leaf(), leaf(), 0_usize..5, any::<bool>()).prop_map(
        |(old, other, s, t, n, keeps)| {
            let mut number = n;
            let new = replaced(&old, &mut number, &other);
            (old, new, s.clone(), if keeps { s } else { t })
        },
    )
}

fn document(schema: &Value, shared: &Value) -> Value {
    let body = json!({"application/json": {"schema": schema}});
    json!({
        "openapi": "3.1.0",
        "paths": {"/o": {"post": {"requestBody": {"content": body}, "responses": {"200": {"content": body}}}}},
        "components": {"schemas": {"S": shared}},
    })
}

fn read(document: &Value) -> Source {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    Source::read(folder.path(), "c").unwrap()
}

fn validator(schema: &Value, shared: &Value) -> jsonschema::Validator {
    let whole = json!({"$ref": "#/main", "main": schema, "components": {"schemas": {"S": shared}}});
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).unwrap()
}

fn instances() -> Vec<Value> {
    let simple = [
        json!(null),
        json!(true),
        json!(0),
        json!(1),
        json!(2),
        json!(3),
        json!(-1),
        json!(2.5),
        json!(2.0),
        json!(""),
        json!("a"),
        json!("ab"),
        json!("abc"),
        json!("b"),
        json!("2026-11-28"),
    ];
    let mut all: Vec<Value> = simple.to_vec();
    all.extend([
        json!([]),
        json!({}),
        json!([1, 1]),
        json!(["a", 1]),
        json!(["a", "ab", 2.5]),
        json!([[], {}]),
    ]);
    for value in simple.iter().chain(&[json!([]), json!({}), json!({"a": 1}), json!([1])]) {
        all.extend([json!([value]), json!({"a": value}), json!({"b": value}), json!({"a": value, "b": 1})]);
        all.extend([
            json!({"a": "a", "b": value}),
            json!({"ab": value}),
            json!({"a": {"a": value}}),
            json!([1, value]),
        ]);
    }
    all
}

fn changes(old: &Value, new: &Value) -> Vec<Change> {
    compare(&read(old), &read(new), "2026-11-28T00:00:00Z".parse().unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_breaks_a_caller_is_called_compatible((old, new, was, is) in pair()) {
        let changes = changes(&document(&old, &was), &document(&new, &is));
        if changes.iter().any(|change| change.rule == "property-added") {
            // What nobody described before may be anything.
            return Ok(());
        }
        let worst = |side: Side| changes.iter().filter(|change| change.side == side).map(|change| change.level).max();
        let (before, after) = (validator(&old, &was), validator(&new, &is));
        for instance in instances() {
            let (was_valid, is_valid) = (before.is_valid(&instance), after.is_valid(&instance));
            if was_valid && !is_valid {
                prop_assert!(worst(Side::Request) > Some(Level::Compatible), "{instance}\n{old}\n{new}\n{changes:#?}");
            }
            if is_valid && !was_valid {
                prop_assert!(worst(Side::Response) > Some(Level::Compatible), "{instance}\n{old}\n{new}\n{changes:#?}");
            }
        }
    }

    #[test]
    fn what_is_written_alike_is_alike(schema in schema(), shared in leaf()) {
        let old = document(&schema, &shared);
        let mut new = old.clone();
        // Not the very same document, so that the schemas are looked at.
        new["info"] = json!({"title": "x"});
        prop_assert_eq!(changes(&old, &old).len(), 0);
        prop_assert_eq!(changes(&old, &new).len(), 0);
    }

    /// The same schema under another name is looked at word by word, and may be undecided but never broken.
    #[test]
    fn what_says_the_same_in_other_words_breaks_nobody(schema in schema(), shared in leaf()) {
        let new = json!({"allOf": [&schema], "title": "x"});
        let changes = changes(&document(&schema, &shared), &document(&new, &shared));
        let broken: Vec<&Change> = changes.iter().filter(|change| change.level == Level::Breaking).collect();
        prop_assert!(broken.is_empty(), "{schema}\n{broken:#?}");
    }
}

/// Enough to find what is wrong in seconds; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    ProptestConfig::default().cases / 4
}
