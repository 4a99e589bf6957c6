//! What is asked of every caller of a kind, whoever it is?

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::identity::possession::Bound;
use crate::identity::sign_in::SignIn;
use crate::identity::token::{Token, TokenFault};
use crate::units::Span;

use super::Kind;

/// What is asked of every caller of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindRules {
    /// The longest life of a token, from its issue to its end.
    pub token_lifetime: Option<Duration>,
    /// What a token must be bound to.
    pub bound: Option<Bound>,
    /// How a person must have signed in.
    pub sign_in: Option<SignIn>,
}

/// The rules of all kinds of which something is said.
pub(super) type AllKinds = BTreeMap<Kind, KindRules>;

/// What is asked of every caller of a kind, as it is written.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KindEntry {
    /// The longest life of a token, from its `iat` to its `exp`; a token without `iat` is then refused.
    pub(super) token_lifetime: Option<Span>,
    /// What every token must be bound to: `certificate`, `dpop` or `either`.
    pub(super) bound: Option<Bound>,
    /// How a person must have signed in; for persons only.
    pub(super) sign_in: Option<SignInEntry>,
}

/// How a person must have signed in: all that is given. A token that lacks the claim shows nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub(super) struct SignInEntry {
    /// In one of these ways: the token's `acr`.
    #[serde(default)]
    pub(super) acr: Vec<String>,
    /// By all of these means: the token's `amr` (RFC 8176).
    #[serde(default)]
    pub(super) amr: Vec<String>,
    /// How long ago at most: the token's `auth_time`.
    pub(super) age_max: Option<Span>,
}

impl KindRules {
    /// Whether `token` lives no longer than it may.
    pub(in crate::identity) fn check_lifetime(&self, token: &Token) -> Result<(), TokenFault> {
        let Some(longest) = self.token_lifetime else { return Ok(()) };
        let issued = token.issued().ok_or(TokenFault::MissingClaim("iat"))?;
        let longest = SignedDuration::try_from(longest).unwrap_or(SignedDuration::MAX);
        if token.expires().duration_since(issued) > longest { Err(TokenFault::Lifetime) } else { Ok(()) }
    }
}

impl From<SignInEntry> for SignIn {
    fn from(written: SignInEntry) -> Self {
        let SignInEntry { acr, amr, age_max } = written;
        Self { acr, amr, age_max: age_max.map(|span| span.0) }
    }
}
