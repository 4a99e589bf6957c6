//! What do Vault's answers hold? The documented JSON, read into memory that is wiped.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

/// What every answer has around its content.
#[derive(serde::Deserialize)]
pub(super) struct Envelope<T> {
    #[serde(default)]
    pub(super) lease_id: Text,
    #[serde(default)]
    pub(super) lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
    pub(super) data: Option<T>,
    pub(super) auth: Option<Granted>,
}

/// A login or a renewal that succeeded.
#[derive(serde::Deserialize)]
pub(super) struct Granted {
    pub(super) client_token: Text,
    /// Seconds; zero for a token that never ends.
    pub(super) lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

/// What `auth/token/lookup-self` says.
#[derive(serde::Deserialize)]
pub(super) struct Looked {
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

/// What a wrapping token is, before it is used up.
#[derive(serde::Deserialize)]
pub(super) struct Wrapping {
    pub(super) creation_path: String,
}

/// A secret id that was wrapped.
#[derive(serde::Deserialize)]
pub(super) struct Unwrapped {
    pub(super) secret_id: Text,
}

/// The content of key/value version 2.
#[derive(serde::Deserialize)]
pub(super) struct Versioned {
    /// Nothing, where the version is deleted.
    pub(super) data: Option<Fields>,
    pub(super) metadata: Metadata,
}

#[derive(serde::Deserialize)]
pub(super) struct Metadata {
    pub(super) version: u64,
}

/// A certificate that was signed.
#[derive(serde::Deserialize)]
pub(super) struct Signed {
    pub(super) certificate: String,
    #[serde(default)]
    pub(super) ca_chain: Vec<String>,
    #[serde(default)]
    pub(super) issuing_ca: Option<String>,
    pub(super) serial_number: String,
}

/// A signature of transit.
#[derive(serde::Deserialize)]
pub(super) struct TransitSignature {
    pub(super) signature: String,
}

/// The public halves of a key of transit, by version.
#[derive(serde::Deserialize)]
pub(super) struct TransitKeys {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) keys: BTreeMap<String, TransitPublic>,
}

#[derive(serde::Deserialize)]
pub(super) struct TransitPublic {
    pub(super) public_key: String,
}

/// A text that is wiped.
#[derive(Default)]
pub(super) struct Text(pub(super) Zeroizing<String>);

/// The fields of a secret. What is no text, number or truth value is no field.
#[derive(Default)]
pub(super) struct Fields(pub(super) BTreeMap<String, Zeroizing<String>>);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)?.0 {
            Some(text) => Ok(Self(text)),
            None => Err(D::Error::custom("a text is wanted")),
        }
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(Self(all.into_iter().filter_map(|(name, value)| Some((name, value.0?))).collect()))
    }
}

/// Any value of JSON; of those with parts only that they are there.
struct Value(Option<Zeroizing<String>>);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Scalar)
    }
}

struct Scalar;

/// The errors of this never repeat a value: it may be the secret.
impl<'de> Visitor<'de> for Scalar {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value(Some(Zeroizing::new(text.to_owned()))))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value(Some(Zeroizing::new(value.to_string()))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value(Some(Zeroizing::new(value.to_string()))))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value(Some(Zeroizing::new(value.to_string()))))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value(Some(Zeroizing::new(value.to_string()))))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<Value, A::Error> {
        while all.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(json: &str) -> BTreeMap<String, String> {
        let fields: Fields = serde_json::from_str(json).unwrap();
        fields.0.into_iter().map(|(name, value)| (name, (*value).clone())).collect()
    }

    #[test]
    fn a_field_is_a_text_a_number_or_a_truth_value() {
        let read = fields(r#"{"a":"x\n","b":7,"c":-7,"d":true,"e":null,"f":{"g":1},"h":[1],"i":1.5}"#);
        let expected = [("a", "x\n"), ("b", "7"), ("c", "-7"), ("d", "true"), ("i", "1.5")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_documented_answer_is_read() {
        // The example of Vault's documents for AppRole.
        let granted = r#"{"auth":{"renewable":true,"lease_duration":1200,"metadata":null,"token_policies":["default"],
            "accessor":"fd6c9a00","client_token":"5b1a0318","policies":["default"]},
            "lease_duration":0,"renewable":false,"lease_id":"","request_id":"x","warnings":null,"data":null}"#;
        let envelope: Envelope<Fields> = serde_json::from_str(granted).unwrap();
        let granted = envelope.auth.unwrap();
        assert_eq!((granted.client_token.0.as_str(), granted.lease_duration), ("5b1a0318", 1200));
        assert!(granted.renewable && envelope.data.is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(serde_json::from_slice::<Envelope<Fields>>(&bytes));
            drop(serde_json::from_slice::<Envelope<Versioned>>(&bytes));
        }
    }
}
