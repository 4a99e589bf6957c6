//! What is known about one request, for the policies to ask about?
//!
//! Borrowed, typed values from the rooms that ran before. Nothing here is `Debug`: a subject, an address
//! or a parameter may be personal.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use super::facts::ValueType;

/// Everything about one request that `context` shows.
#[derive(Clone)]
pub struct Circumstances<'a> {
    /// The client's address: `context.address`. A mapped IPv4 address counts as IPv4.
    pub address: IpAddr,
    /// When it is: `context.time`.
    pub now: Timestamp,
    /// The client's certificate, when one was proved: `context.certificate`.
    pub certificate: Option<CertificateFacts<'a>>,
    /// The token, when one was proved: `context.token`.
    pub token: Option<TokenFacts<'a>>,
    /// Name and decoded value of each path parameter: `context.path`.
    pub path: Vec<(&'a str, &'a str)>,
    /// Name and decoded value of each query parameter, repeated as sent: `context.query`.
    pub query: Vec<(&'a str, &'a str)>,
    /// Whether the version called is: `context.deprecated`.
    pub deprecation: Deprecation,
}

/// Where the version called is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deprecation {
    /// In full use.
    Current,
    /// Served, and to be left.
    Deprecated,
}

/// A client certificate that was proved.
#[derive(Clone, Default)]
pub struct CertificateFacts<'a> {
    /// Its DNS names.
    pub dns: Vec<&'a str>,
    /// Its URIs, such as a SPIFFE id.
    pub uris: Vec<&'a str>,
    /// The SHA-256 of its DER, in lower-case hexadecimal digits.
    pub sha256: &'a str,
}

/// An access token that was proved.
#[derive(Clone, Default)]
pub struct TokenFacts<'a> {
    /// RFC 9068 section 2.2: `iss`.
    pub issuer: &'a str,
    /// `sub`.
    pub subject: Option<&'a str>,
    /// `client_id`.
    pub client_id: Option<&'a str>,
    /// Each scope by itself.
    pub scopes: Vec<&'a str>,
    /// RFC 8693 section 4.1: the `sub` of `act`, who acts for the subject.
    pub actor: Option<&'a str>,
    /// The `iss` of `act`, who issued the actor's identity.
    pub actor_issuer: Option<&'a str>,
    /// RFC 8693 section 4.4: the `sub` of `may_act`, who may act for the subject.
    pub may_act: Option<&'a str>,
    /// The `iss` of `may_act`.
    pub may_act_issuer: Option<&'a str>,
    /// Claims by name. Only those the policies were loaded with are looked at.
    pub claims: Vec<(&'a str, ClaimValue<'a>)>,
}

/// The value of a claim.
#[derive(Clone)]
pub enum ClaimValue<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// An array of strings.
    Texts(Vec<&'a str>),
    /// Anything else. It fits no policy, and is not the same as none.
    Other,
}

impl<'a> From<&'a Value> for ClaimValue<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            Value::Bool(truth) => Self::Boolean(*truth),
            Value::Number(number) => number.as_i64().map_or(Self::Other, Self::Integer),
            Value::Array(all) => {
                all.iter().map(Value::as_str).collect::<Option<_>>().map_or(Self::Other, Self::Texts)
            }
            Value::Null | Value::Object(_) => Self::Other,
        }
    }
}

impl ClaimValue<'_> {
    /// Whether a claim of this type may have this value. Where several texts may stand, one may stand by
    /// itself, as RFC 7519 section 4.1.3 has it for `aud`.
    pub(super) const fn fits(&self, value_type: ValueType) -> bool {
        match self {
            Self::Text(_) => matches!(value_type, ValueType::Text | ValueType::Texts),
            Self::Integer(_) => matches!(value_type, ValueType::Integer),
            Self::Boolean(_) => matches!(value_type, ValueType::Boolean),
            Self::Texts(_) => matches!(value_type, ValueType::Texts),
            Self::Other => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_fits_the_type_it_is_configured_with_and_no_other() {
        let all = [ValueType::Text, ValueType::Integer, ValueType::Boolean, ValueType::Texts];
        let rows: [(Value, &[ValueType]); 11] = [
            (json!("a"), &[ValueType::Text, ValueType::Texts]),
            (json!(1), &[ValueType::Integer]),
            (json!(i64::MIN), &[ValueType::Integer]),
            (json!(true), &[ValueType::Boolean]),
            (json!(["a", "b"]), &[ValueType::Texts]),
            (json!([]), &[ValueType::Texts]),
            (json!(1.5), &[]),
            (json!(u64::MAX), &[]),
            (json!(["a", 1]), &[]),
            (json!({"a": 1}), &[]),
            (json!(null), &[]),
        ];
        for (value, fitting) in rows {
            for value_type in all {
                assert_eq!(
                    ClaimValue::from(&value).fits(value_type),
                    fitting.contains(&value_type),
                    "{value}"
                );
            }
        }
    }
}
