//! HashiCorp Vault or OpenBao as it is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Span;

/// Vault, where the gateway's own secrets and certificates come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Vault {
    /// `https://host:port`.
    pub(in crate::config) address: String,
    /// Lets the address be `http:` to a loopback address.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// The namespace that all paths are in, of Vault Enterprise or OpenBao.
    #[serde(default)]
    pub(in crate::config) namespace: Option<String>,
    /// PEM file of the roots that Vault's certificate must lead to. Default: the system's.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// How long one question may take in all. Default: 5s.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
    /// How the gateway logs in: exactly one of the methods.
    pub(in crate::config) auth: VaultAuth,
    /// Keeps what was good last time on the disk, sealed, for a start while Vault is away. Default: nowhere.
    #[serde(default)]
    pub(in crate::config) cache: Option<VaultCache>,
}

/// The last good secrets of key/value engines, on the disk.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultCache {
    /// The file, made when absent.
    pub(in crate::config) file: PathBuf,
    /// Where the key is that it is sealed by, `file:path` or `env:NAME`: 32 bytes, as they are, in hexadecimal or
    /// in base64.
    pub(in crate::config) key: String,
    /// How long ago a secret may have been read to be used from it. Default: 1d.
    #[serde(default)]
    pub(in crate::config) age_max: Option<Span>,
}

/// How the gateway logs in to Vault. Exactly one is given.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultAuth {
    /// A file with a token that somebody else keeps fresh, such as Vault Agent.
    #[serde(default)]
    pub(in crate::config) token_file: Option<PathBuf>,
    /// A role id and a secret id.
    #[serde(default)]
    pub(in crate::config) approle: Option<VaultAppRole>,
    /// The service account of a Kubernetes pod.
    #[serde(default)]
    pub(in crate::config) kubernetes: Option<VaultKubernetes>,
    /// A JWT of another issuer.
    #[serde(default)]
    pub(in crate::config) jwt: Option<VaultJwt>,
    /// A TLS client certificate.
    #[serde(default)]
    pub(in crate::config) certificate: Option<VaultCertificate>,
}

/// Login by AppRole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultAppRole {
    /// Where the method is mounted below `auth/`. Default: `approle`.
    #[serde(default)]
    pub(in crate::config) mount: Option<String>,
    /// Where the role id is: `file:path` or `env:NAME`.
    pub(in crate::config) role_id: String,
    /// Where the secret id is: `file:path` or `env:NAME`.
    pub(in crate::config) secret_id: String,
    /// Whether that is not the secret id but the token it is wrapped in, good for one use. Default: false.
    #[serde(default)]
    pub(in crate::config) wrapped: bool,
}

/// Login by a Kubernetes service account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultKubernetes {
    /// Where the method is mounted below `auth/`. Default: `kubernetes`.
    #[serde(default)]
    pub(in crate::config) mount: Option<String>,
    /// The role to log in as.
    pub(in crate::config) role: String,
    /// The file of the token. Default: `/var/run/secrets/kubernetes.io/serviceaccount/token`.
    #[serde(default)]
    pub(in crate::config) jwt: Option<PathBuf>,
}

/// Login by a JWT.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultJwt {
    /// Where the method is mounted below `auth/`. Default: `jwt`.
    #[serde(default)]
    pub(in crate::config) mount: Option<String>,
    /// The role to log in as.
    pub(in crate::config) role: String,
    /// The file of the token, read at each login.
    pub(in crate::config) jwt: PathBuf,
}

/// Login by a TLS client certificate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultCertificate {
    /// Where the method is mounted below `auth/`. Default: `cert`.
    #[serde(default)]
    pub(in crate::config) mount: Option<String>,
    /// The certificate role to log in as.
    pub(in crate::config) name: String,
    /// PEM file of the certificate and what leads to its root, read at each login.
    pub(in crate::config) chain: PathBuf,
    /// PEM file of its key.
    pub(in crate::config) key: PathBuf,
}
