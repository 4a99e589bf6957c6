//! What is asked of access tokens, whoever issued them, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::identity::{Algorithm, NonceRule};
use crate::units::Span;

/// What is asked of access tokens, whoever issued them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Tokens {
    /// Proofs of possession (DPoP, RFC 9449) of tokens that are bound to a key.
    #[serde(default)]
    pub(in crate::config) dpop: Dpop,
}

/// Proofs of possession of tokens that are bound to a key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Dpop {
    /// Whether each proof needs a nonce of this gateway: `required`, or `off`, which still asks for one in the
    /// first minute after a start. Default: required.
    #[serde(default)]
    pub(in crate::config) nonce: Option<NonceRule>,
    /// How old a proof may be, 5m at most. Default: 60s.
    #[serde(default)]
    pub(in crate::config) window: Option<Span>,
    /// The algorithms by which a proof may be signed. Default: `[ES256, EdDSA, PS256]`.
    #[serde(default)]
    pub(in crate::config) algorithms: Option<Vec<Algorithm>>,
}
