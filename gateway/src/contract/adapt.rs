//! How are OpenAPI's own words said in JSON Schema? `nullable`, integer formats, hidden properties.
//!
//! Each answer is a list of changes to the members of one schema; where it stands is not known here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::format;

/// A member of a schema and its new value, or none to remove it.
pub(super) type Change = (String, Option<Value>);

/// What `nullable` does where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nullable {
    Works,
    WithoutEffect(&'static str),
    Broken,
}

/// `nullable` of 3.0 becomes a second type. OpenAPI 3.0.4 section 4.7.24.2: it takes effect only beside
/// a `type`, and other words, such as an `enum`, may still disallow null.
pub(super) fn nullable(written: &Map<String, Value>) -> (Vec<Change>, Nullable) {
    let mut changes = vec![("nullable".to_owned(), None)];
    let told = match (written.get("nullable"), written.get("type")) {
        (Some(Value::Bool(true)), Some(Value::String(kind))) => {
            changes.push(("type".to_owned(), Some(json!([kind, "null"]))));
            let options = written.get("enum").and_then(Value::as_array);
            if options.is_some_and(|options| !options.contains(&Value::Null)) {
                Nullable::WithoutEffect("`nullable` beside an `enum` without `null` allows nothing more")
            } else {
                Nullable::Works
            }
        }
        (Some(Value::Bool(true)), None) => {
            Nullable::WithoutEffect("`nullable` without a `type` beside it allows nothing more")
        }
        (Some(Value::Bool(_)), _) => Nullable::Works,
        _ => Nullable::Broken,
    };
    (changes, told)
}

/// `required` without what may not be sent: the mark takes `required` back for this direction.
pub(super) fn required_without(written: &Map<String, Value>, hidden: &BTreeSet<String>) -> Option<Change> {
    let required = written.get("required")?.as_array()?;
    let is_hidden = |name: &Value| name.as_str().is_some_and(|name| hidden.contains(name));
    if !required.iter().any(is_hidden) {
        return None;
    }
    let rest: Vec<Value> = required.iter().filter(|name| !is_hidden(name)).cloned().collect();
    // Draft 4 has no empty `required`.
    Some(("required".to_owned(), (!rest.is_empty()).then_some(Value::Array(rest))))
}

/// An integer format becomes bounds, unless narrower ones are written.
pub(super) fn integer_bounds(written: &Map<String, Value>) -> Vec<Change> {
    let Some((least, greatest)) = written.get("format").and_then(Value::as_str).and_then(format::bounds)
    else {
        return Vec::new();
    };
    let number = |word: &str| written.get(word).and_then(Value::as_f64);
    let narrower_below = number("minimum").zip(least.as_f64()).is_some_and(|(own, least)| own >= least);
    let narrower_above = number("maximum").zip(greatest.as_f64()).is_some_and(|(own, most)| own <= most);
    let mut changes = Vec::new();
    if !narrower_below {
        changes.push(("minimum".to_owned(), Some(least)));
    }
    if !narrower_above {
        changes.push(("maximum".to_owned(), Some(greatest)));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn nullable_adds_a_type_and_says_when_it_has_no_effect() {
        for (written, kind, works) in [
            (json!({"nullable": true, "type": "string"}), Some(json!(["string", "null"])), true),
            (json!({"nullable": false, "type": "string"}), None, true),
            (
                json!({"nullable": true, "type": "string", "enum": ["a", null]}),
                Some(json!(["string", "null"])),
                true,
            ),
            (
                json!({"nullable": true, "type": "string", "enum": ["a"]}),
                Some(json!(["string", "null"])),
                false,
            ),
            (json!({"nullable": true, "allOf": []}), None, false),
            (json!({"nullable": "yes", "type": "string"}), None, false),
        ] {
            let (changes, told) = nullable(&object(written.clone()));
            assert!(changes.contains(&("nullable".to_owned(), None)), "{written}");
            let changed = changes.into_iter().find(|(word, _)| word == "type").and_then(|(_, value)| value);
            assert_eq!((changed, told == Nullable::Works), (kind, works), "{written}");
        }
    }

    #[test]
    fn an_integer_format_bounds_unless_it_is_bounded_more_narrowly() {
        for (written, changes) in [
            (json!({"format": "int32"}), json!({"minimum": i32::MIN, "maximum": i32::MAX})),
            (json!({"format": "int32", "minimum": 0}), json!({"maximum": i32::MAX})),
            (json!({"format": "uint8", "minimum": -5, "maximum": 10}), json!({"minimum": 0})),
            (json!({"format": "date"}), json!({})),
            (json!({}), json!({})),
        ] {
            let made: Map<String, Value> = integer_bounds(&object(written.clone()))
                .into_iter()
                .filter_map(|(k, v)| Some((k, v?)))
                .collect();
            assert_eq!(Value::Object(made), changes, "{written}");
        }
    }

    #[test]
    fn what_may_not_be_sent_is_not_required() {
        let hidden = BTreeSet::from(["id".to_owned()]);
        let change = |written: Value| required_without(&object(written), &hidden);
        assert_eq!(
            change(json!({"required": ["id", "a"]})),
            Some(("required".to_owned(), Some(json!(["a"]))))
        );
        assert_eq!(change(json!({"required": ["id"]})), Some(("required".to_owned(), None)));
        assert_eq!(change(json!({"required": ["a"]})), None);
    }
}
