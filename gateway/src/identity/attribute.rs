//! What kinds of value may a fact about a caller, or a token's claim for policies, have?
//!
//! Only what a policy can compare without conversion. It does not know where a value came from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A value that policies can compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum AttributeValue {
    /// Text, compared byte for byte.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A set of texts, such as groups or regions.
    Texts(Vec<String>),
}

impl AttributeValue {
    /// The attribute a JSON value says, if it has one of the four forms.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Bool(truth) => Some(Self::Boolean(*truth)),
            Value::Number(number) => number.as_i64().map(Self::Integer),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(Self::Texts),
            Value::Null | Value::Object(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_four_forms_are_attributes() {
        let text = |t: &str| t.to_owned();
        for (value, attribute) in [
            (json!("a"), Some(AttributeValue::Text(text("a")))),
            (json!(-3), Some(AttributeValue::Integer(-3))),
            (json!(true), Some(AttributeValue::Boolean(true))),
            (json!(["a", "b"]), Some(AttributeValue::Texts(vec![text("a"), text("b")]))),
            (json!([]), Some(AttributeValue::Texts(vec![]))),
            (json!(["a", 1]), None),
            (json!(1.5), None),
            (json!(u64::MAX), None),
            (json!(null), None),
            (json!({"a": 1}), None),
        ] {
            assert_eq!(AttributeValue::from_json(&value), attribute, "{value}");
        }
    }
}
