//! Is a text exactly one JSON value that every reader reads alike? RFC 8259.
//!
//! A repeated key, nesting without end, trailing bytes, a number or surrogate that has no value: what
//! two parsers could read differently is refused. It does not know what the value should be.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use crate::document;

/// Reads `text` as exactly one JSON value.
pub(super) fn parse(text: &[u8]) -> Result<Value, NotJson> {
    match std::str::from_utf8(text) {
        // Looked at as a whole, the encoding costs a fraction of what it does text by text.
        Ok(text) => read(serde_json::Deserializer::from_str(text)),
        // This reader knows in which value it is broken.
        Err(_not_utf8) => read(serde_json::Deserializer::from_slice(text)),
    }
}

fn read<'t>(mut deserializer: serde_json::Deserializer<impl Read<'t>>) -> Result<Value, NotJson> {
    let mut fault = Fault { reason: Reason::Syntax, path: Vec::new() };
    let seed = Strict { depth: 0, fault: &mut fault };
    match seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(_told_by_fault) => {
            fault.path.reverse();
            Err(NotJson { reason: fault.reason, pointer: fault.path.concat() })
        }
    }
}

/// Why a text is not one JSON value, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotJson {
    pub(super) reason: Reason,
    /// JSON Pointer to the value at fault.
    pub(super) pointer: String,
}

/// The rule that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Not JSON at all.
    Syntax,
    /// RFC 8259 section 4: names within an object should be unique; here they must be.
    RepeatedKey,
    /// Deeper than [`DEPTH_MAX`].
    TooDeep,
    /// An object of more than [`OBJECT_KEYS_MAX`] members.
    TooManyKeys,
    /// An array of more than [`ARRAY_ITEMS_MAX`] items.
    TooManyItems,
}

impl Reason {
    /// What would pass, for whoever sent the text.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Syntax => "one valid JSON value in UTF-8 and nothing after it".to_owned(),
            Self::RepeatedKey => "each key at most once in an object".to_owned(),
            Self::TooDeep => format!("at most {DEPTH_MAX} levels of nesting"),
            Self::TooManyKeys => format!("at most {OBJECT_KEYS_MAX} keys in an object"),
            Self::TooManyItems => format!("at most {ARRAY_ITEMS_MAX} items in an array"),
        }
    }
}

/// What went wrong, told beside serde's own error, which can only carry text.
struct Fault {
    reason: Reason,
    /// Pointer tokens from the inside out, gathered while the error travels up.
    path: Vec<String>,
}

struct Strict<'f> {
    depth: usize,
    fault: &'f mut Fault,
}

impl Strict<'_> {
    fn refuse<E: Error>(&mut self, reason: Reason) -> E {
        self.fault.reason = reason;
        E::custom("refused")
    }

    fn deeper<E: Error>(&mut self) -> Result<usize, E> {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH_MAX { Err(self.refuse(Reason::TooDeep)) } else { Ok(depth) }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(mut self, value: f64) -> Result<Value, E> {
        // Integers that are too small for 64 bits come as floating point, and the first thousand of them round to
        // the smallest that is not: they must not pass for it.
        let value = if value == JUST_BELOW_INT64 { value.next_down() } else { value };
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse(Reason::Syntax))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut items = Vec::new();
        loop {
            match sequence.next_element_seed(Strict { depth, fault: &mut *self.fault }) {
                Ok(None) => return Ok(Value::Array(items)),
                Ok(Some(_)) if items.len() >= ARRAY_ITEMS_MAX => {
                    return Err(self.refuse(Reason::TooManyItems));
                }
                Ok(Some(item)) => items.push(item),
                Err(error) => {
                    self.fault.path.push(format!("/{}", items.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut members = Map::with_capacity(OBJECT_KEYS_USUAL);
        while let Some(key) = entries.next_key::<String>()? {
            if members.len() >= OBJECT_KEYS_MAX {
                return Err(self.refuse(Reason::TooManyKeys));
            }
            match members.entry(key) {
                Entry::Occupied(known) => {
                    self.fault.path.push(token(known.key()));
                    return Err(self.refuse(Reason::RepeatedKey));
                }
                Entry::Vacant(free) => {
                    match entries.next_value_seed(Strict { depth, fault: &mut *self.fault }) {
                        Ok(value) => free.insert(value),
                        Err(error) => {
                            self.fault.path.push(token(free.key()));
                            return Err(error);
                        }
                    };
                }
            }
        }
        Ok(Value::Object(members))
    }
}

/// RFC 6901 section 4: `~` is `~0` and `/` is `~1`.
pub(super) fn token(key: &str) -> String {
    format!("/{}", document::token(key))
}

/// Deeper than any order or catalogue nests; half of where serde_json itself stops.
pub const DEPTH_MAX: usize = 64;
/// A map of all of a warehouse's articles fits; a flood of keys meant to collide does not.
pub const OBJECT_KEYS_MAX: usize = 10_000;
/// Room made at once; most objects of an order have no more, and growing step by step costs more.
const OBJECT_KEYS_USUAL: usize = 8;
/// A full stock export fits.
pub const ARRAY_ITEMS_MAX: usize = 100_000;

/// What every integer from -2^63 - 1024 to -2^63 is in floating point.
const JUST_BELOW_INT64: f64 = -9_223_372_036_854_775_808.0;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn refused(text: &str) -> (Reason, String) {
        let fault = parse(text.as_bytes()).unwrap_err();
        (fault.reason, fault.pointer)
    }

    #[test]
    fn a_json_value_is_read_as_serde_json_reads_it() {
        for text in [
            "null",
            "true",
            "0",
            "-0",
            "-7",
            "1.5",
            "1e3",
            "18446744073709551615",
            "\"\"",
            "\"\\u00e9\\ud83d\\ude00\"",
            "[]",
            "{}",
            " [1, {\"a\": [null]}] ",
            "{\"a\":{\"a\":1},\"b\":{\"a\":2}}",
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                serde_json::from_str::<Value>(text).unwrap(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for (text, reason, pointer) in [
            ("", Reason::Syntax, ""),
            ("{\"a\":1}x", Reason::Syntax, ""),
            ("{} {}", Reason::Syntax, ""),
            ("[1,]", Reason::Syntax, "/1"),
            ("{\"a\":}", Reason::Syntax, "/a"),
            ("{a:1}", Reason::Syntax, ""),
            ("'a'", Reason::Syntax, ""),
            ("NaN", Reason::Syntax, ""),
            ("1e999", Reason::Syntax, ""),
            ("01", Reason::Syntax, ""),
            ("+1", Reason::Syntax, ""),
            ("\"\\ud800\"", Reason::Syntax, ""),
            ("{\"k\":\"\\udc00x\"}", Reason::Syntax, "/k"),
            ("\"a\u{0}b\"", Reason::Syntax, ""),
            ("// c\n1", Reason::Syntax, ""),
            ("\u{feff}{}", Reason::Syntax, ""),
            ("{\"a\":1,\"a\":2}", Reason::RepeatedKey, "/a"),
            ("{\"a\":1,\"\\u0061\":2}", Reason::RepeatedKey, "/a"),
            ("[{\"x/y\":{\"b\":1,\"b\":1}}]", Reason::RepeatedKey, "/0/x~1y/b"),
        ] {
            assert_eq!(refused(text), (reason, pointer.to_owned()), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        for text in [&b"\"\xff\""[..], b"\"\xc0\xaf\"", b"\"\xed\xa0\x80\"", b"\xef\xbb\xbf{}"] {
            assert_eq!(parse(text).unwrap_err().reason, Reason::Syntax);
        }
    }

    #[test]
    fn depth_and_numbers_are_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&nested(DEPTH_MAX + 1)).0, Reason::TooDeep);
        assert_eq!(refused(&"{\"a\":".repeat(5_000)).0, Reason::TooDeep);
        let items = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(parse(items(ARRAY_ITEMS_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&items(ARRAY_ITEMS_MAX + 1)).0, Reason::TooManyItems);
        let keys = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
            format!("{{{}}}", all.join(","))
        };
        assert!(parse(keys(OBJECT_KEYS_MAX).as_bytes()).is_ok());
        assert_eq!(refused(&keys(OBJECT_KEYS_MAX + 1)).0, Reason::TooManyKeys);
    }

    #[test]
    fn every_reason_says_what_would_pass() {
        for reason in
            [Reason::Syntax, Reason::RepeatedKey, Reason::TooDeep, Reason::TooManyKeys, Reason::TooManyItems]
        {
            assert!(!reason.expected().is_empty(), "{reason:?}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(|f| json!(f)),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(Value::from_iter),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_read_back(value in any_json()) {
            let text = serde_json::to_vec(&value).unwrap();
            prop_assert_eq!(parse(&text).unwrap(), value);
        }

        #[test]
        fn nothing_is_accepted_that_serde_json_refuses(text in "[\\[\\]{}:,\"a1.e\\-+\\\\u0d8 ]{0,24}") {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
