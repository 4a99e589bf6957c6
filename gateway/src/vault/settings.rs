//! What is configured about Vault, and can it be meant? No secret stands here: only where the secrets are.

use std::path::PathBuf;
use std::time::Duration;

/// Vault, and how the gateway logs in to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSettings {
    /// `https://host:port`; `http:` only to a loopback address.
    pub address: String,
    /// The namespace that all paths are in.
    pub namespace: Option<String>,
    /// How the gateway proves who it is.
    pub auth: Auth,
    /// PEM certificates that sign Vault's; the system's own when there are none.
    pub ca: Option<Vec<u8>>,
    /// How long one question may take in all, with its repetitions.
    pub timeout: Duration,
    /// Where what was good is kept for a start while Vault is away; nowhere, if nothing is said.
    pub cache: Option<CacheSettings>,
}

/// Where the last good secrets of key/value engines are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// The file.
    pub file: PathBuf,
    /// Where the key is that it is sealed by: 32 bytes, as they are, in hexadecimal or in base64.
    pub key: Source,
    /// How long ago a secret may have been read to be used from it.
    pub age_max: Duration,
}

/// How the gateway proves to Vault who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// A file with a token that somebody else keeps fresh, such as Vault Agent.
    TokenFile(PathBuf),
    /// A role id and a secret id.
    AppRole {
        /// Where the method is mounted below `auth/`.
        mount: String,
        /// Where the role id is.
        role_id: Source,
        /// Where the secret id is, or the token it is wrapped in.
        secret_id: Source,
        /// Whether what is there is a wrapping token.
        wrapped: bool,
    },
    /// The token of a Kubernetes service account.
    Kubernetes {
        /// Where the method is mounted below `auth/`.
        mount: String,
        /// The role to log in as.
        role: String,
        /// The file of the token, read at each login.
        jwt: PathBuf,
    },
    /// A JWT of another issuer.
    Jwt {
        /// Where the method is mounted below `auth/`.
        mount: String,
        /// The role to log in as.
        role: String,
        /// The file of the token, read at each login.
        jwt: PathBuf,
    },
    /// A TLS client certificate.
    Certificate {
        /// Where the method is mounted below `auth/`.
        mount: String,
        /// The role to log in as.
        name: String,
        /// PEM file of the chain, read at each login.
        chain: PathBuf,
        /// PEM file of the key, read at each login.
        key: PathBuf,
    },
}

/// Where a secret is that Vault is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
}

/// Settings that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct VaultMistake {
    /// The key below `vault:`.
    pub field: &'static str,
    /// What is wrong with it, to be read after the key.
    pub message: String,
}

impl VaultMistake {
    pub(super) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

impl Auth {
    /// Its name, as in `gateway.yaml`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TokenFile(_) => "token_file",
            Self::AppRole { .. } => "approle",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Jwt { .. } => "jwt",
            Self::Certificate { .. } => "certificate",
        }
    }
}
