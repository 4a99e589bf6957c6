//! Which `format`s are checked, and how? Those of JSON Schema, and OpenAPI's own.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use jsonschema::{Draft, ValidationOptions, Validator};
use serde_json::{Value, json};

use super::keyword::{Dialect, Older};

/// The formats that a dialect's own validator lacks; built once for a contract.
pub(super) struct Formats {
    borrowed: Vec<(&'static str, Arc<Validator>)>,
}

impl Formats {
    /// The formats of `dialect`.
    pub(super) fn new(dialect: Dialect) -> Self {
        let borrowed = match dialect {
            Dialect::V31 | Dialect::Older(Older::Draft201909) => Vec::new(),
            // Draft 4 has none of these, and contracts of 3.0 use them all the same.
            Dialect::V30 | Dialect::Older(_) => {
                MODERN.iter().filter_map(|name| Some((*name, modern(name)?))).collect()
            }
        };
        Self { borrowed }
    }

    /// `options` with every format that is checked.
    pub(super) fn register<'i>(&self, options: ValidationOptions<'i>) -> ValidationOptions<'i> {
        let mut options = options
            .should_validate_formats(true)
            .with_format("byte", |text: &str| STANDARD.decode(text).is_ok())
            .with_format("base64url", |text: &str| URL_SAFE.decode(text).is_ok())
            .with_format("decimal", is_decimal)
            .with_format("char", |text: &str| text.chars().nth(1).is_none() && !text.is_empty());
        for (name, validator) in &self.borrowed {
            let validator = Arc::clone(validator);
            options = options.with_format(*name, move |text: &str| validator.is_valid(&Value::from(text)));
        }
        options
    }

    /// Whether a schema may name `format` and rely on it.
    pub(super) fn is_checked(&self, draft: Draft, format: &str) -> bool {
        let options = self.register(jsonschema::options());
        options.is_known_format(draft, format) || bounds(format).is_some()
    }
}

/// Whether `format` says nothing that could be checked: any number, any text, any bytes.
pub(super) fn says_nothing(format: &str) -> bool {
    matches!(format, "float" | "double" | "password" | "binary" | "commonmark" | "html")
}

/// A decimal number in a text, as money is written where no binary fraction will do: `-12.50`. OpenAPI format
/// registry.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

/// RFC 4648 section 5, with its padding or without.
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The least and the greatest integer of an integer format. OpenAPI format registry.
pub(super) fn bounds(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "int8" => (json!(i8::MIN), json!(i8::MAX)),
        "int16" => (json!(i16::MIN), json!(i16::MAX)),
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "int64" => (json!(i64::MIN), json!(i64::MAX)),
        "uint8" => (json!(0), json!(u8::MAX)),
        "uint16" => (json!(0), json!(u16::MAX)),
        "uint32" => (json!(0), json!(u32::MAX)),
        "uint64" => (json!(0), json!(u64::MAX)),
        // RFC 7493 section 2.2: what a double holds exactly.
        "double-int" => (json!(-DOUBLE_INT_MAX), json!(DOUBLE_INT_MAX)),
        _ => return None,
    })
}

fn modern(name: &str) -> Option<Arc<Validator>> {
    let options = jsonschema::draft202012::options().offline().should_validate_formats(true);
    options.build(&json!({ "format": name })).ok().map(Arc::new)
}

const MODERN: [&str; 8] = [
    "uuid",
    "duration",
    "uri-reference",
    "uri-template",
    "iri",
    "iri-reference",
    "json-pointer",
    "relative-json-pointer",
];
const DOUBLE_INT_MAX: i64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialect: Dialect, draft: Draft, format: &str, value: Value, expected: bool) {
        let formats = Formats::new(dialect);
        let options = formats.register(jsonschema::options().with_draft(draft).offline());
        let validator = options.build(&json!({ "format": format })).unwrap();
        assert_eq!(validator.is_valid(&value), expected, "{dialect:?} {format} {value}");
    }

    #[test]
    fn formats_are_checked_in_both_versions() {
        for (dialect, draft) in [(Dialect::V30, Draft::Draft4), (Dialect::V31, Draft::Draft202012)] {
            for (format, good, bad) in [
                ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
                ("date", "2026-02-28", "2026-02-30"),
                ("date-time", "2026-02-28T12:00:00Z", "2026-02-28"),
                ("duration", "P1DT2H", "1 day"),
                ("email", "a@example.com", "a"),
                ("uri", "https://example.com/", "/a"),
                ("ipv4", "192.0.2.1", "192.0.2.256"),
                ("byte", "aGk=", "aGk"),
                ("base64url", "-_8", "+/8"),
                ("base64url", "-_8=", "-_8=="),
                ("decimal", "-12.50", "12,50"),
                ("decimal", "1000000000000000000000.01", "1e3"),
                ("decimal", "7", "7."),
                ("char", "é", "éé"),
            ] {
                check(dialect, draft, format, json!(good), true);
                check(dialect, draft, format, json!(bad), false);
                assert!(Formats::new(dialect).is_checked(draft, format), "{format}");
            }
            assert!(!Formats::new(dialect).is_checked(draft, "made-up"));
        }
    }

    #[test]
    fn integer_formats_have_bounds() {
        assert_eq!(bounds("int32"), Some((json!(-2_147_483_648_i64), json!(2_147_483_647))));
        assert_eq!(bounds("uint64"), Some((json!(0), json!(18_446_744_073_709_551_615_u64))));
        assert_eq!(bounds("double"), None);
        assert!(says_nothing("double"));
    }
}
