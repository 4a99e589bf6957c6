//! What is told of a TLS handshake that failed?
//!
//! A handshake that fails is no request, so it has no request's record; but a partner who is refused before a
//! word is said deserves an account like any other. It has a code for its cause, a line in the log, a count,
//! and a record of its own in the audit log. What an address repeats is recorded once a minute, with a count,
//! and so many addresses at a time: a flood fills no disk.

mod cause;
mod tally;

use std::net::IpAddr;
use std::time::Instant;

use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::audit::{CallPart, CertificatePart, Decision, Outcome, Record, Strength};
use crate::gateway::Gateway;

pub use cause::Cause;
pub use tally::Tallies;
use tally::{Key, Repeated};

/// A handshake that failed.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub cause: Cause,
    /// The certificate that was shown, if one was refused.
    pub shown: Option<Shown>,
}

/// A certificate that was refused: enough to find it, and nothing that names a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    sha256: String,
    /// Of the name of its issuer.
    issuer_sha256: Option<String>,
    ends: Option<Timestamp>,
}

impl Shown {
    /// What is told of a certificate. It was not verified: it may say anything.
    #[must_use]
    pub fn of(leaf: &CertificateDer<'_>) -> Self {
        let parsed = X509Certificate::from_der(leaf).ok().map(|(_, parsed)| parsed);
        let ends = |parsed: &X509Certificate<'_>| parsed.validity().not_after.timestamp();
        Self {
            sha256: sha256(leaf),
            issuer_sha256: parsed.as_ref().map(|parsed| sha256(parsed.issuer().as_raw())),
            ends: parsed.as_ref().and_then(|parsed| Timestamp::from_second(ends(parsed)).ok()),
        }
    }
}

/// Tells of a handshake that failed.
pub async fn failed(gateway: &Gateway, listener: usize, address: IpAddr, failed: Failed) {
    let Failed { cause, shown } = failed;
    let (reason, now) = (cause.reason(), Instant::now());
    gateway.metrics().handshake_failed(reason);
    if let Some(more) = gateway.repeats.admit(reason, now) {
        let sha256 = shown.as_ref().map(|shown| shown.sha256.as_str());
        tracing::info!(%address, reason, sha256, more, "a TLS handshake failed");
    }
    if cause.is_a_refusal() && gateway.handshakes.admit(Key { listener, address, reason }, now) {
        record(gateway, &Repeated { listener, address: Some(address), reason, times: 1 }, shown).await;
    }
}

/// Records what has been repeated meanwhile, where its minute is over.
pub async fn tell_repeated(gateway: &Gateway, now: Instant) {
    tell(gateway, gateway.handshakes.due(now)).await;
}

/// Records what has been repeated and was not told yet, before the gateway stops.
pub async fn tell_the_rest(gateway: &Gateway) {
    tell(gateway, gateway.handshakes.rest()).await;
}

async fn tell(gateway: &Gateway, all: Vec<Repeated>) {
    for repeated in all {
        record(gateway, &repeated, None).await;
    }
}

async fn record(gateway: &Gateway, told: &Repeated, shown: Option<Shown>) {
    let snapshot = gateway.current();
    let listener = snapshot.settings().listeners.get(told.listener);
    let request_id = uuid::Uuid::now_v7().hyphenated().to_string();
    let record = Record {
        node: gateway.node.clone(),
        address: told.address.map(|address| address.to_string()).unwrap_or_default(),
        listener: listener.map(|listener| listener.name.clone()).unwrap_or_default(),
        certificate: shown.map(|shown| CertificatePart {
            sha256: shown.sha256,
            issuer_sha256: shown.issuer_sha256,
            ends: shown.ends,
            names: Vec::new(),
        }),
        decision: Decision {
            outcome: Outcome::Refused,
            reason: told.reason.to_owned(),
            policies: Vec::new(),
        },
        times: Some(told.times).filter(|times| *times > 1),
        snapshot: snapshot.id().to_string(),
        ..Record::begun(Timestamp::now(), request_id, CallPart::none())
    };
    // Nobody waits for it: there is nothing to answer. What finds no place is counted like any other.
    match gateway.audit().append(&record, Strength::Queued).await {
        Ok(_queued) => gateway.metrics().audit_recorded(),
        Err(_not_recorded) => gateway.metrics().audit_failed(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
