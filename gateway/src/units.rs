//! Times and sizes as people write them in files: `250ms`, `30s`, `5m`, `12h`, `7d`; `64KiB`, `10MiB`.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};

/// A length of time, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of bytes, written with its unit (`B`, `KiB`, `MiB`, `GiB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub usize);

/// A text that is not a time or a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a number and a unit are wanted, such as `{0}`")]
pub struct NotAMeasure(&'static str);

impl std::str::FromStr for Span {
    type Err = NotAMeasure;

    fn from_str(text: &str) -> Result<Self, NotAMeasure> {
        let wrong = NotAMeasure("30s");
        let (number, unit) = split(text).ok_or(wrong)?;
        let per_unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong),
        };
        number.checked_mul(per_unit_ms).map(|ms| Self(Duration::from_millis(ms))).ok_or(wrong)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = NotAMeasure;

    fn from_str(text: &str) -> Result<Self, NotAMeasure> {
        let wrong = NotAMeasure("64KiB");
        let (number, unit) = split(text).ok_or(wrong)?;
        let per_unit: u64 = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong),
        };
        number.checked_mul(per_unit).and_then(|bytes| usize::try_from(bytes).ok()).map(Self).ok_or(wrong)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        for (per_unit, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if ms >= per_unit && ms.checked_rem(per_unit) == Some(0) {
                return write!(f, "{}{unit}", ms.checked_div(per_unit).unwrap_or_default());
            }
        }
        write!(f, "{ms}ms")
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{1,9}(ms|s|m|h|d)$",
            "description": "A length of time with its unit: 250ms, 30s, 5m, 12h, 7d"
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{1,9}(B|KiB|MiB|GiB)$",
            "description": "A number of bytes with its unit: 512B, 64KiB, 10MiB"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_shown_with_their_unit() {
        for text in ["250ms", "30s", "5m", "12h", "7d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("90s".parse::<Span>().unwrap().0, Duration::from_secs(90));
    }

    #[test]
    fn a_number_without_unit_or_a_unit_without_number_is_refused() {
        for text in ["", "30", "s", "-1s", "1.5h", "1 s", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_two() {
        assert_eq!("64KiB".parse::<ByteSize>().unwrap().0, 65_536);
        assert_eq!("2MiB".parse::<ByteSize>().unwrap().0, 2 << 20);
    }
}
