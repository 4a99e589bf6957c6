//! When is a good proof of now, and of use once?

#![allow(clippy::arithmetic_side_effects, reason = "a test")]

use http::Request;
use serde_json::{Value, json};

use super::*;
use crate::identity::token::testing::{NOW, Signer, b64, later, now};

const TOKEN: &str = "a.b.c";
/// Long enough after the start of [`dpop`] that nothing can be from before it.
const LATE: i64 = 1_000;

fn dpop(nonce: NonceRule) -> Dpop {
    Dpop::new(settings(nonce), None, now()).unwrap()
}

fn settings(nonce: NonceRule) -> DpopSettings {
    DpopSettings { nonce, window: DPOP_WINDOW, algorithms: vec![Algorithm::Es256] }
}

/// A request with a proof made at `at`.
fn request(signer: &Signer, at: i64, id: &str, nonce: Option<&str>) -> Parts {
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": signer.jwk()}).to_string();
    let mut claims = json!({
        "jti": id, "htm": "GET", "htu": "https://api.example/x", "iat": NOW + at,
        "ath": b64(sha256(TOKEN.as_bytes())),
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = Value::from(nonce);
    }
    let proof = signer.sign(&header, &claims.to_string());
    Request::builder().uri("/x").header(FIELD, proof).body(()).unwrap().into_parts().0
}

fn check(dpop: &Dpop, request: &Parts, at: i64) -> Result<Proven, ProofFault> {
    let origin = Origin::parse("https://api.example");
    dpop.check(request, origin.as_ref(), TOKEN, later(at))
}

fn fault(dpop: &Dpop, request: &Parts, at: i64) -> Option<ProofFault> {
    check(dpop, request, at).err()
}

#[test]
fn a_proof_is_good_for_its_window_and_a_little_ahead() {
    let (dpop, signer) = (dpop(NonceRule::Off), Signer::new("k", "ES256"));
    for (made, expected) in [
        (LATE, None),
        (LATE - 60, None),
        (LATE - 61, Some(ProofFault::Time)),
        (LATE + 30, None),
        (LATE + 31, Some(ProofFault::Time)),
        (i64::MAX / 2 - NOW, Some(ProofFault::Claim("iat"))),
    ] {
        assert_eq!(fault(&dpop, &request(&signer, made, "a", None), LATE), expected, "made at {made}");
    }
}

#[test]
fn a_nonce_is_asked_for_and_followed_by_the_next() {
    let (dpop, signer) = (dpop(NonceRule::Required), Signer::new("k", "ES256"));
    let nonce = dpop.nonce(later(LATE));
    let with = |nonce| request(&signer, LATE, "a", nonce);
    assert_eq!(fault(&dpop, &with(None), LATE), Some(ProofFault::NonceMissing));
    assert_eq!(fault(&dpop, &with(Some("x")), LATE), Some(ProofFault::NonceStale));
    assert_eq!(check(&dpop, &with(Some(&nonce)), LATE).unwrap().next_nonce, None);
    let next = check(&dpop, &with(Some(&nonce)), LATE + 60).unwrap().next_nonce;
    assert_eq!(next, Some(dpop.nonce(later(LATE + 60))));
    let later = request(&signer, LATE + 120, "a", Some(&nonce));
    assert_eq!(fault(&dpop, &later, LATE + 120), Some(ProofFault::NonceStale));
}

#[test]
fn what_could_be_from_before_the_start_needs_a_nonce_whatever_the_settings_say() {
    let (dpop, signer) = (dpop(NonceRule::Off), Signer::new("k", "ES256"));
    for (made, expected) in [
        (-10, Some(ProofFault::NonceMissing)),
        (0, Some(ProofFault::NonceMissing)),
        (30, Some(ProofFault::NonceMissing)),
        (31, None),
    ] {
        assert_eq!(fault(&dpop, &request(&signer, made, "a", None), 20), expected, "made at {made}");
    }
    let nonce = dpop.nonce(later(20));
    assert!(check(&dpop, &request(&signer, 20, "a", Some(&nonce)), 20).is_ok());
}

#[test]
fn a_proof_is_taken_once_also_after_a_reload() {
    let (first, signer) = (dpop(NonceRule::Off), Signer::new("k", "ES256"));
    let proof = check(&first, &request(&signer, LATE, "a", None), LATE).unwrap();
    assert_eq!(first.take("acme", &proof, later(LATE)), Ok(()));
    let reloaded = Dpop::new(settings(NonceRule::Required), Some(&first), later(LATE)).unwrap();
    for dpop in [&first, &reloaded] {
        let again = dpop.take("acme", &proof, later(LATE + 59));
        assert_eq!(again, Err(NotTaken::Fault(ProofFault::Replayed)));
    }
    assert_eq!(first.nonce(later(LATE)), reloaded.nonce(later(LATE)));
    // Signed again, with another signature: the same proof.
    let resigned = check(&first, &request(&signer, LATE, "a", None), LATE).unwrap();
    assert_eq!(first.take("acme", &resigned, later(LATE)), Err(NotTaken::Fault(ProofFault::Replayed)));
    let other = Signer::new("k", "ES256");
    let other = check(&first, &request(&other, LATE, "a", None), LATE).unwrap();
    assert_eq!(first.take("acme", &other, later(LATE)), Ok(()), "the id of another key is another");
}

#[test]
fn exactly_one_proof_is_wanted() {
    let (dpop, signer) = (dpop(NonceRule::Off), Signer::new("k", "ES256"));
    let mut twice = request(&signer, LATE, "a", None);
    let proof = twice.headers.get(FIELD).cloned().unwrap();
    twice.headers.append(FIELD, proof.clone());
    assert_eq!(fault(&dpop, &twice, LATE), Some(ProofFault::Repeated));
    twice.headers.remove(FIELD);
    assert_eq!(fault(&dpop, &twice, LATE), Some(ProofFault::Missing));
    let listed = format!("{0}, {0}", proof.to_str().unwrap());
    twice.headers.insert(FIELD, listed.parse().unwrap());
    assert_eq!(fault(&dpop, &twice, LATE), Some(ProofFault::Malformed));
}

#[test]
fn advice_fits_where_it_is_written_and_every_fault_has_its_own_code() {
    let all = [
        ProofFault::Missing,
        ProofFault::Repeated,
        ProofFault::Malformed,
        ProofFault::Type,
        ProofFault::Header,
        ProofFault::Algorithm,
        ProofFault::Key,
        ProofFault::Signature,
        ProofFault::Claim("jti"),
        ProofFault::Method,
        ProofFault::Url,
        ProofFault::Host,
        ProofFault::Time,
        ProofFault::Token,
        ProofFault::OtherKey,
        ProofFault::NonceMissing,
        ProofFault::NonceStale,
        ProofFault::Replayed,
    ];
    let codes: std::collections::BTreeSet<&str> = all.iter().map(|fault| fault.reason()).collect();
    assert_eq!(codes.len(), all.len());
    for fault in all {
        // RFC 6750 section 3: error_description has neither quotes nor backslashes.
        assert!(fault.advice().bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
    }
}
