//! What the gateway shows to its upstreams, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

/// What the gateway shows to an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Credential {
    /// Where the secret is: `file:path` or `env:NAME`.
    pub(in crate::config) from: String,
    /// The header it goes into. Default: `Authorization`.
    #[serde(default)]
    pub(in crate::config) header: Option<String>,
    /// How it stands in the header. Default: raw.
    #[serde(default)]
    pub(in crate::config) form: Option<CredentialForm>,
}

/// How a credential stands in its header.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum CredentialForm {
    /// As it is.
    Raw,
    /// `Bearer SECRET`.
    Bearer,
    /// `Basic`, of a secret that is `user:password`.
    Basic,
}
