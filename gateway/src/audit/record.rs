//! What does the gateway tell about one request?
//!
//! One [`Record`] is one JSON line with a fixed order of fields; what is absent is left out. It holds
//! plain values: what may stand in them is decided by who fills it. Never a token, a secret, a body or
//! a personal value.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::redaction::Redacted;

/// Everything told about one request, allowed or refused, also when the client left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the head had been read: RFC 3339, UTC, microseconds.
    #[serde(with = "microseconds")]
    pub time: Timestamp,
    /// The id that the caller was told as well.
    pub request_id: String,
    /// The W3C trace id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Which gateway.
    pub node: String,
    /// The client's address, as far as it is trusted.
    pub address: String,
    /// The listener's name.
    pub listener: String,
    /// Who called; absent when nobody could be identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<CallerPart>,
    /// The client certificate that identified nobody, or ended the handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificatePart>,
    /// What is odd about how the caller proved itself, by fixed codes. Nobody is refused for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspicions: Vec<String>,
    /// What an operator ordered, where this is about an order and no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderPart>,
    /// What was called.
    pub call: CallPart,
    /// What became of it.
    pub decision: Decision,
    /// How many of the same this record is about, where that is more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The life of what was called, if it is deprecated or past its sunset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<LifecyclePart>,
    /// The limits that were counted, after counting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitPart>,
    /// The deprecated and watched parameters and properties it used, by their places in the contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Where the request breaks its contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<ViolationPart>,
    /// Where the upstream's answer breaks its contract.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_violations: Vec<ViolationPart>,
    /// The call to the upstream, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamPart>,
    /// The credential that went to the upstream, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialPart>,
    /// What the client was sent; absent when it left before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerPart>,
    /// Bytes of the request's body that were read.
    pub request_bytes: u64,
    /// From the first byte of the head to this record, in microseconds.
    pub duration_us: u64,
    /// The id of the policies and contracts that were in force.
    pub snapshot: String,
}

impl Record {
    /// What is told of `call` before anything is known of it: not even that it came to an end.
    #[must_use]
    pub fn begun(time: Timestamp, request_id: String, call: CallPart) -> Self {
        let decision =
            Decision { outcome: Outcome::Failed, reason: "unfinished".to_owned(), policies: Vec::new() };
        Self {
            time,
            request_id,
            trace_id: None,
            node: String::new(),
            address: String::new(),
            listener: String::new(),
            caller: None,
            certificate: None,
            suspicions: Vec::new(),
            order: None,
            call,
            decision,
            times: None,
            lifecycle: None,
            limits: Vec::new(),
            fields: Vec::new(),
            violations: Vec::new(),
            response_violations: Vec::new(),
            upstream: None,
            credential: None,
            answer: None,
            request_bytes: 0,
            duration_us: 0,
            snapshot: String::new(),
        }
    }
}

impl CallPart {
    /// What never became a request.
    #[must_use]
    pub fn none() -> Self {
        let target = Redacted::unmatched("", "");
        Self { method: String::new(), target, api: None, version: None, operation: None }
    }
}

/// Who called, and how that was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerPart {
    /// The id from the callers file.
    pub id: String,
    /// partner, service, bot or person.
    pub kind: String,
    /// token, certificate, or both.
    pub how: String,
    /// The token's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_id: Option<String>,
    /// The token's issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What the token is bound to: certificate, dpop, or both; absent when whoever bears it may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// Who acts for the caller (RFC 8693 section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Who acts for the caller and who acted before, the one who acts now first, with who issued its identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<ActorPart>,
    /// Who may act for the caller, where its token says so (RFC 8693 section 4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<ActorPart>,
    /// The client certificate's SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_sha256: Option<String>,
}

/// A client certificate that identified nobody, is not trusted any more, or ended the handshake. In a handshake
/// that failed nothing of it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatePart {
    /// Its SHA-256.
    pub sha256: String,
    /// The SHA-256 of its issuer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_sha256: Option<String>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// The names in it, where its chain was good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// An order to revoke, or to take that back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPart {
    /// By which it is listed and lifted.
    pub id: String,
    /// Who ordered this, as they said.
    pub by: String,
    /// What is revoked: `token`, `client`, `subject`, or all of an `issuer`.
    pub kind: String,
    /// Whose tokens, by the issuer's name in `gateway.yaml`.
    pub issuer: String,
    /// The token's id or the client's. A subject may be a person, and is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Only tokens that were issued before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<Timestamp>,
    /// Until when, if it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One of those who act or acted for a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorPart {
    /// The party.
    pub subject: String,
    /// Who issued its identity, if the token says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

/// What was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPart {
    /// The request's method.
    pub method: String,
    /// Path and query without personal values.
    pub target: Redacted,
    /// The api, when a contract was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The operation's full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}

/// What became of the request, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Allowed, refused, failed or abandoned.
    pub outcome: Outcome,
    /// The reason's code.
    pub reason: String,
    /// The ids of the policies that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// What the life of the operation meant for the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecyclePart {
    /// deprecated, brownout or sunset.
    pub state: String,
    /// The brown-out that takes place for the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brownout: Option<String>,
    /// The waiver by which the caller was served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Let through and answered.
    Allowed,
    /// Turned away by the gateway.
    Refused,
    /// Let through, and then the upstream or the gateway failed.
    Failed,
    /// The client left before the end.
    Abandoned,
}

impl Outcome {
    /// The word for it in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A limit as the request left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitPart {
    /// The limit's name.
    pub name: String,
    /// What remains of it.
    pub remaining: u64,
    /// Seconds until it is whole again.
    pub reset: u64,
}

/// A place that breaks the contract, by pointer and keyword, never by value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViolationPart {
    /// Parameter, or JSON Pointer into the body.
    #[serde(rename = "where")]
    pub where_: String,
    /// The keyword of the contract.
    pub keyword: String,
}

/// The call to the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamPart {
    /// The upstream's name.
    pub name: String,
    /// Where the last attempt went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How many times it was tried.
    pub attempts: u64,
    /// The status it answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Microseconds to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// Microseconds in all.
    pub total_us: u64,
    /// Bytes of the body sent.
    pub bytes_out: u64,
    /// Bytes of the body received.
    pub bytes_in: u64,
}

/// The credential that went to the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialPart {
    /// Its name in the configuration.
    pub name: String,
    /// Which version of it.
    pub version: String,
}

/// What the client was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerPart {
    /// The status.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

mod microseconds {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{time:.6}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use crate::audit::samples;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_one_json_line_in_a_fixed_order() {
        let mut record = samples::record(7);
        record.caller = Some(CallerPart {
            id: "nordwind".into(),
            kind: "partner".into(),
            how: "token".into(),
            token_id: Some("t-1".into()),
            issuer: None,
            bound: None,
            actor: None,
            actors: Vec::new(),
            may_act: None,
            certificate_sha256: None,
        });
        record.violations =
            vec![ViolationPart { where_: "/lines/0/quantity".into(), keyword: "minimum".into() }];
        assert_eq!(
            serde_json::to_string(&record).unwrap(),
            "{\"time\":\"2026-11-23T10:00:07.000000Z\",\"request_id\":\"r-7\",\"node\":\"node-1\",\
             \"address\":\"192.0.2.1\",\"listener\":\"public\",\"caller\":{\"id\":\"nordwind\",\
             \"kind\":\"partner\",\"how\":\"token\",\"token_id\":\"t-1\"},\"call\":{\"method\":\"GET\",\
             \"target\":\"/orders/7\",\"operation\":\"orders.v2.getOrder\"},\"decision\":{\"outcome\":\
             \"allowed\",\"reason\":\"ok\",\"policies\":[\"orders-read\"]},\"violations\":[{\"where\":\
             \"/lines/0/quantity\",\"keyword\":\"minimum\"}],\"answer\":{\"status\":200,\"bytes\":512},\
             \"request_bytes\":0,\"duration_us\":1200,\"snapshot\":\"s-1\"}"
        );
    }

    #[test]
    fn a_field_of_a_later_version_does_not_make_a_line_unreadable() {
        let line = serde_json::to_string(&samples::record(1)).unwrap();
        let later = line.replacen('{', "{\"risk\":3,", 1);
        assert_eq!(serde_json::from_str::<Record>(&later).unwrap(), samples::record(1));
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{0,12}", "\\PC{0,6}", "[\\x00-\\x1f\u{7f}-\u{9f}\u{2028}\"\\\\]{0,6}"]
    }

    prop_compose! {
        fn records()(
            micros in 0_i64..4_000_000_000_000_000,
            texts in prop::collection::vec(text(), 12),
            numbers in prop::array::uniform8(any::<u64>()),
            status in any::<u16>(),
            part in any::<[bool; 6]>(),
            outcome in prop::sample::select(vec![
                Outcome::Allowed, Outcome::Refused, Outcome::Failed, Outcome::Abandoned,
            ]),
        ) -> Record {
            let text = |n: usize| texts[n].clone();
            let some = |n: usize| part[n].then(|| texts[n].clone());
            let violation = || ViolationPart { where_: text(3), keyword: text(4) };
            Record {
                time: Timestamp::from_microsecond(micros).unwrap(),
                request_id: text(0),
                trace_id: some(1),
                node: text(2),
                address: text(3),
                listener: text(4),
                caller: part[2].then(|| CallerPart {
                    id: text(5), kind: text(6), how: text(7),
                    token_id: some(0), issuer: some(1), bound: some(2), actor: some(3),
                    actors: some(3).into_iter().map(|subject| ActorPart { subject, issuer: some(4) }).collect(),
                    may_act: some(4).map(|subject| ActorPart { subject, issuer: some(3) }),
                    certificate_sha256: some(4),
                }),
                certificate: part[1].then(|| CertificatePart {
                    sha256: text(1), issuer_sha256: some(2), ends: None, names: vec![text(3)],
                }),
                suspicions: if part[1] { vec![text(6)] } else { vec![] },
                order: part[3].then(|| OrderPart {
                    id: text(1), by: text(2), kind: text(3), issuer: text(4), name: some(5),
                    issued_before: None, until: part[2].then_some(Timestamp::UNIX_EPOCH),
                }),
                call: CallPart {
                    method: text(8),
                    target: samples::redacted(&texts[9]),
                    api: some(0), version: some(1), operation: some(2),
                },
                decision: Decision { outcome, reason: text(10), policies: vec![text(11), text(0)] },
                times: part[0].then_some(numbers[4]),
                lifecycle: part[4].then(|| LifecyclePart { state: text(2), brownout: some(3), waiver: some(5) }),
                limits: vec![LimitPart { name: text(1), remaining: numbers[0], reset: numbers[1] }],
                fields: if part[0] { vec![text(5)] } else { vec![] },
                violations: if part[3] { vec![violation()] } else { vec![] },
                response_violations: if part[4] { vec![violation(), violation()] } else { vec![] },
                upstream: part[5].then(|| UpstreamPart {
                    name: text(2), address: some(3), attempts: numbers[2], status: part[0].then_some(status),
                    first_byte_us: part[1].then_some(numbers[3]), total_us: numbers[4],
                    bytes_out: numbers[5], bytes_in: numbers[6],
                }),
                credential: part[1].then(|| CredentialPart { name: text(4), version: text(5) }),
                answer: part[0].then_some(AnswerPart { status, bytes: numbers[7] }),
                request_bytes: numbers[6],
                duration_us: numbers[5],
                snapshot: text(6),
            }
        }
    }

    proptest! {
        #[test]
        fn any_record_is_one_line_and_reads_back_the_same(record in records()) {
            let line = serde_json::to_string(&record).unwrap();
            prop_assert!(!line.contains(|c: char| c < ' '));
            prop_assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        }
    }
}
