//! What is configured about asking an issuer, and can it be meant?

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::oauth::{AnswerForm, ServerSettings};

/// How an issuer is asked about its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntrospectionSettings {
    /// Whom to ask, and as whom.
    pub server: ServerSettings,
    /// Which tokens are asked about.
    pub tokens: Introspected,
    /// How its opaque tokens begin. Without one, every token that is not three parts with dots between is its.
    pub prefix: Option<String>,
    /// How it is to answer.
    pub form: AnswerForm,
    /// How long a good answer holds, at most until the token's own end.
    pub cache: Duration,
    /// How long a bad one holds.
    pub negative_cache: Duration,
    /// How much longer a good answer serves while the issuer does not answer.
    pub stale_max: Duration,
}

/// Which tokens are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Introspected {
    /// Those that say nothing themselves.
    Opaque,
    /// JWTs too, so that their revocation is seen: after their signature was found good, or, of an issuer
    /// without keys, instead.
    All,
}

impl IntrospectionSettings {
    /// What of it cannot be meant: to be read after `introspection`.
    pub(in crate::identity::token) fn mistakes(&self) -> Vec<&'static str> {
        let prefix = self.prefix.as_deref();
        let rows = [
            (self.cache > INTROSPECTION_CACHE_MAX, "has a `cache` longer than 10m"),
            (self.negative_cache > NEGATIVE_CACHE_MAX, "has a `negative_cache` longer than 1m"),
            (self.stale_max > STALE_MAX, "has a `stale_max` longer than 1h"),
            (prefix == Some(""), "has an empty `prefix`"),
            // RFC 7515: a JWT begins with `{"` in base64url.
            (prefix.is_some_and(|prefix| begins_alike(prefix, "ey")), "has a `prefix` with which JWTs begin"),
        ];
        rows.into_iter().filter(|(wrong, _)| *wrong).map(|(_, message)| message).collect()
    }

    /// Whether a token could be both of this issuer and of the other.
    pub(in crate::identity::token) fn clashes_with(&self, other: &Self) -> bool {
        match (&self.prefix, &other.prefix) {
            (Some(own), Some(other)) => begins_alike(own, other),
            (None, None) => true,
            // What has a prefix is looked at first.
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

fn begins_alike(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// A token that was revoked at its issuer is refused here after a minute at most.
pub const INTROSPECTION_CACHE: Duration = Duration::from_secs(60);
/// Longer, and nobody could say when a revoked token ends.
pub const INTROSPECTION_CACHE_MAX: Duration = Duration::from_secs(600);
/// Somebody who tries a bad token again and again does not pass that on; a token that is new a moment after
/// it was first shown is soon good.
pub const NEGATIVE_CACHE: Duration = Duration::from_secs(5);
/// Longer, and a token that has become good would still be refused.
pub const NEGATIVE_CACHE_MAX: Duration = Duration::from_secs(60);
/// A restart of the issuer is bridged, an outage is not.
const STALE_MAX: Duration = Duration::from_secs(3_600);
