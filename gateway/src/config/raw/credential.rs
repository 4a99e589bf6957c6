//! What the gateway shows to its upstreams, as it is written.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Span;

/// What the gateway shows to an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Credential {
    /// Where the secret is: `file:path`, `env:NAME` or `vault:kv2:MOUNT/PATH#FIELD` (`kv1`, `dynamic`).
    pub(in crate::config) from: String,
    /// The header it goes into. Default: `Authorization`.
    #[serde(default)]
    pub(in crate::config) header: Option<String>,
    /// How it stands in the header. Default: raw.
    #[serde(default)]
    pub(in crate::config) form: Option<CredentialForm>,
    /// How often its source is asked for a new version. Default: 1s for files and variables, 1m for Vault.
    #[serde(default)]
    pub(in crate::config) refresh: Option<Span>,
    /// How long the version before may still be shown where the new one is refused. Default: 10m.
    #[serde(default)]
    pub(in crate::config) overlap: Option<Span>,
    /// How long a version serves that cannot be read again. Default: 1d.
    #[serde(default)]
    pub(in crate::config) age_max: Option<Span>,
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
