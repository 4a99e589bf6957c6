//! How sure must it be who calls, beyond what OpenAPI has words for?
//!
//! What a token must be bound to, and how a person must have signed in. It knows neither tokens nor callers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Span;

/// What the token of a call must be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenBinding {
    /// The client certificate of its connection (RFC 8705).
    Certificate,
    /// A key of which each request has a proof (DPoP, RFC 9449).
    Dpop,
    /// One of the two.
    Either,
}

/// How a person who calls must have signed in (RFC 9470). Machines do not sign in, and are not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct SignIn {
    /// In which of these ways: the token's `acr` must be one of them.
    pub acr: Vec<String>,
    /// By which means: the token's `amr` must have all of them (RFC 8176).
    pub amr: Vec<String>,
    /// How long ago, by the token's `auth_time`.
    pub age_max: Option<Span>,
}
