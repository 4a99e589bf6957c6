//! What does a plain YAML scalar mean? The core schema of YAML 1.2 (section 10.3.2), as JSON values.

use serde_json::{Number, Value};

/// The JSON value of a plain (unquoted) scalar, or why there is none.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "true" | "True" | "TRUE" => Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "-.inf" | "+.inf" => {
            Err(format!("`{text}` is not a number that JSON has"))
        }
        _ => Ok(number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)),
    }
}

fn number(text: &str) -> Option<Number> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(Number::from);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_like_a_number =
        unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    let in_alphabet =
        unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if !starts_like_a_number || !in_alphabet {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    text.parse::<u64>()
        .map(Number::from)
        .or_else(|_| text.parse::<i64>().map(Number::from))
        .ok()
        .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_have_their_core_schema_value() {
        for (text, value) in [
            ("", json!(null)),
            ("TRUE", json!(true)),
            ("yes", json!("yes")),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("007", json!(7)),
            ("1e3", json!(1000.0)),
            (".5", json!(0.5)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("1-2", json!("1-2")),
            ("2026-11-01", json!("2026-11-01")),
            ("0o17", json!(15)),
            ("e5", json!("e5")),
        ] {
            assert_eq!(plain(text).unwrap(), value, "{text}");
        }
        assert!(plain(".inf").is_err());
    }
}
