//! Certificates, revocation lists and bundles as they are written: where each comes from.

use std::net::IpAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Span;

/// A certificate chain and its private key, both PEM files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct KeyPair {
    /// The certificate and its intermediates.
    pub(in crate::config) chain: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub(in crate::config) key: PathBuf,
}

/// A certificate with its key: two PEM files, or one that Vault issues.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct OwnCertificate {
    /// The certificate and its intermediates.
    #[serde(default)]
    pub(in crate::config) chain: Option<PathBuf>,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    #[serde(default)]
    pub(in crate::config) key: Option<PathBuf>,
    /// In place of files: Vault's PKI engine issues it for a key that never leaves the process.
    #[serde(default)]
    pub(in crate::config) vault_pki: Option<VaultPki>,
}

/// A certificate that Vault's PKI engine issues and that is renewed while it serves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct VaultPki {
    /// Where the engine is mounted.
    pub(in crate::config) mount: String,
    /// The role that says what may be issued.
    pub(in crate::config) role: String,
    /// The common name, for peers that still read it. Default: none.
    #[serde(default)]
    pub(in crate::config) common_name: Option<String>,
    /// DNS names.
    #[serde(default)]
    pub(in crate::config) dns: Vec<String>,
    /// URIs, such as the gateway's SPIFFE id.
    #[serde(default)]
    pub(in crate::config) uris: Vec<String>,
    /// Addresses.
    #[serde(default)]
    pub(in crate::config) ips: Vec<IpAddr>,
    /// For how long. Default: as the role says.
    #[serde(default)]
    pub(in crate::config) ttl: Option<Span>,
    /// At which part of its life it is renewed. Default: 0.66.
    #[serde(default)]
    pub(in crate::config) renew_at: Option<f64>,
}

/// A revocation list: the path of a PEM file, or where to fetch it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum ClientCrl {
    /// A PEM file.
    File(PathBuf),
    /// A server that is asked now and then.
    Fetched(FetchedCrl),
}

/// A revocation list that is fetched: by `url`, or of a PKI mount of Vault.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct FetchedCrl {
    /// An `https:` URL of a list in DER or PEM.
    #[serde(default)]
    pub(in crate::config) url: Option<String>,
    /// The mount of a PKI engine of Vault, whose list is fetched.
    #[serde(default)]
    pub(in crate::config) vault_pki: Option<String>,
    /// PEM file of the roots that the URL's certificate must lead to. Default: the system's.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// Lets the URL be `http:` to a loopback address.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// How often it is fetched anew. Default: 15m.
    #[serde(default)]
    pub(in crate::config) refresh: Option<Span>,
    /// How long one fetch may take. Default: 10s.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
    /// How long a list serves past the time at which the next one was due. Default: 0s.
    #[serde(default)]
    pub(in crate::config) stale_max: Option<Span>,
    /// Where the last good one is kept for the next start. Default: in the folder `keyring` beside the audit log.
    #[serde(default)]
    pub(in crate::config) file: Option<PathBuf>,
}

/// The authorities of a SPIFFE trust domain: a file, or the URL of its bundle endpoint (`https_web`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct SpiffeBundle {
    /// A file with the bundle, as a JWK set or in PEM.
    #[serde(default)]
    pub(in crate::config) file: Option<PathBuf>,
    /// The `https:` URL of the bundle endpoint.
    #[serde(default)]
    pub(in crate::config) url: Option<String>,
    /// PEM file of the roots that the endpoint's certificate must lead to. Default: the system's.
    #[serde(default)]
    pub(in crate::config) ca: Option<PathBuf>,
    /// Lets the URL be `http:` to a loopback address.
    #[serde(default)]
    pub(in crate::config) insecure_http: bool,
    /// How often it is fetched anew, where the bundle itself does not say. Default: 5m.
    #[serde(default)]
    pub(in crate::config) refresh: Option<Span>,
    /// How long one fetch may take. Default: 10s.
    #[serde(default)]
    pub(in crate::config) timeout: Option<Span>,
}
