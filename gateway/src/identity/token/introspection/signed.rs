//! Is an answer about a token signed by its issuer, and for us (RFC 9701 section 5)?

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::compact::Compact;
use super::super::issuer::Issuer;
use super::super::{Unverified, verify_signature};
use super::{Introspector, unanswered};
use crate::oauth::Introspection;

/// What the answer `text` says, once its signature is found good. A caller can do nothing about one that
/// is not: it is as if none had come.
pub(super) async fn read(
    issuer: &Arc<Issuer>,
    own: &Introspector,
    text: &str,
    now: Timestamp,
) -> Result<Introspection, Unverified> {
    let bad = || unanswered(issuer, "bad-answer");
    let answer = Compact::parse(text).or(Err(bad()))?;
    // Section 8.1: the type, so that no token of another use passes for an answer, nor an answer for a token.
    let typ = answer.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_answer = typ.strip_prefix("application/").unwrap_or(&typ) == TYPE;
    if !is_answer || !issuer.settings.algorithms.contains(&answer.algorithm) {
        return Err(bad());
    }
    match verify_signature(issuer, &answer, now).await {
        Ok(_generation) => {}
        Err(Unverified::Fault(_)) => return Err(bad()),
        Err(ours) => return Err(ours),
    }
    let (claims, client) = (answer.claims, &own.settings.server.client.id);
    let is_ours = match claims.get("aud") {
        Some(Value::String(one)) => one == client,
        Some(Value::Array(many)) => many.iter().any(|one| one == client),
        Some(_) | None => false,
    };
    let issued = claims.get("iat").and_then(Value::as_i64).and_then(|at| Timestamp::from_second(at).ok());
    // Of now: an answer that was kept from before its token was revoked is no answer.
    let is_fresh = issued.is_some_and(|issued| now.duration_since(issued).abs() <= AGE_MAX);
    if claims.get("iss").and_then(Value::as_str) != Some(&issuer.settings.issuer) || !is_ours || !is_fresh {
        return Err(bad());
    }
    match claims.get("token_introspection") {
        Some(Value::Object(members)) => Introspection::of(members.clone()).ok_or_else(bad),
        Some(_) | None => Err(bad()),
    }
}

const TYPE: &str = "token-introspection+jwt";
/// The longest that clocks may differ (`clock_skew`), which bounds what a kept answer is good for.
const AGE_MAX: SignedDuration = SignedDuration::from_secs(300);
