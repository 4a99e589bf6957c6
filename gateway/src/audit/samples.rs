//! Keys, records and logs for the tests of this room.

use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::checkpoint::SigningKey;
use super::disk::Disk;
use super::journal::Journal;
use super::record::{AnswerPart, CallPart, Decision, Outcome, Record};
use super::redaction::{Redacted, Redaction};
use super::tail::Shape;

pub(super) const ORIGIN: &str = "gateway.example/audit/node-1";

/// A key that signs nothing but tests: RFC 8032 section 7.1, test 1, as PKCS#8.
pub(super) const PKCS8: [u8; 48] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20, 0x9d,
    0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
    0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];

pub(super) fn key() -> SigningKey {
    SigningKey::from_der(ORIGIN, &PKCS8).unwrap()
}

pub(super) fn fresh_pkcs8() -> Vec<u8> {
    let random = ring::rand::SystemRandom::new();
    ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref().to_vec()
}

/// Ten o'clock and `seconds`.
pub(super) fn time(seconds: u64) -> Timestamp {
    "2026-11-23T10:00:00Z".parse::<Timestamp>().unwrap().checked_add(Duration::from_secs(seconds)).unwrap()
}

pub(super) fn redacted(path: &str) -> Redacted {
    Redaction::new("{shown}", [], []).redact(path, "")
}

pub(super) fn record(n: u64) -> Record {
    Record {
        time: time(n),
        request_id: format!("r-{n}"),
        trace_id: None,
        node: "node-1".into(),
        address: "192.0.2.1".into(),
        listener: "public".into(),
        caller: None,
        certificate: None,
        suspicions: vec![],
        order: None,
        call: CallPart {
            method: "GET".into(),
            target: redacted(&format!("/orders/{n}")),
            api: None,
            version: None,
            operation: Some("orders.v2.getOrder".into()),
        },
        decision: Decision {
            outcome: Outcome::Allowed,
            reason: "ok".into(),
            policies: vec!["orders-read".into()],
        },
        times: None,
        lifecycle: None,
        limits: vec![],
        fields: vec![],
        violations: vec![],
        response_violations: vec![],
        upstream: None,
        credential: None,
        answer: Some(AnswerPart { status: 200, bytes: 512 }),
        request_bytes: 0,
        duration_us: 1200,
        snapshot: "s-1".into(),
    }
}

pub(super) fn shape(directory: &Path) -> Shape {
    Shape {
        directory: directory.to_owned(),
        origin: ORIGIN.into(),
        segment_bytes_max: 1 << 20,
        segment_age_max: Duration::from_secs(86_400),
        checkpoint_every: NonZeroU64::new(8).unwrap(),
    }
}

pub(super) fn journal(directory: &Path) -> Journal {
    Journal::open(shape(directory), Disk::default()).unwrap()
}

pub(super) fn line(n: u64) -> Vec<u8> {
    serde_json::to_vec(&record(n)).unwrap()
}
