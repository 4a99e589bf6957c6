//! What the gateway shows to its upstreams, as it is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Document, OauthClient};
use crate::units::Span;

/// What the gateway shows to an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Credential {
    /// Where the secret is: `file:path`, `env:NAME` or `vault:kv2:MOUNT/PATH#FIELD` (`kv1`, `dynamic`).
    #[serde(default)]
    pub(in crate::config) from: Option<String>,
    /// A token of an authorization server, instead of a secret that is kept somewhere.
    #[serde(default)]
    pub(in crate::config) oauth: Option<Grant>,
    /// The header it goes into. Default: `Authorization`.
    #[serde(default)]
    pub(in crate::config) header: Option<String>,
    /// How it stands in the header. Default: raw, and bearer for tokens of `oauth`.
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

/// Which token is asked of which authorization server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Grant {
    /// The server's issuer identifier. Needed for `discovery`.
    #[serde(default)]
    pub(in crate::config) issuer: Option<String>,
    /// Which document of the issuer says where its token endpoint is.
    #[serde(default)]
    pub(in crate::config) discovery: Option<Document>,
    /// The token endpoint, instead of `discovery`.
    #[serde(default)]
    pub(in crate::config) token_url: Option<String>,
    /// PEM file of the roots that the server's certificate must lead to. Default: the system's.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// Lets the server be asked by `http:` on a loopback address.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// How long one question may take. Default: 3s.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
    /// Who the gateway is there.
    pub(in crate::config) client: OauthClient,
    /// What the token is to allow.
    #[serde(default)]
    pub(in crate::config) scopes: Vec<String>,
    /// Where the token is for.
    #[serde(default)]
    pub(in crate::config) audience: Option<String>,
    /// Exchanges the caller's token for one that says on whose behalf the gateway calls (RFC 8693). Default: the
    /// gateway calls for itself.
    #[serde(default)]
    pub(in crate::config) on_behalf: bool,
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
