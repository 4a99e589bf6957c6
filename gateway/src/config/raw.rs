//! `gateway.yaml` as it is written: every key that may stand in it, and nothing else.
//!
//! Each struct refuses unknown keys and becomes the JSON Schema that editors use, so the comments here
//! are what a person sees while typing. What an absent key means is decided in `resolve.rs`.

mod audit_signing;
mod credential;
mod issuer;
mod keyring;
mod listener;
mod tokens;
mod upstream;
mod vault;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use audit_signing::AuditSigning;
pub(super) use credential::{Credential, CredentialForm, Grant};
pub(super) use issuer::{ClaimType, Document, Introspection, Issuer, OauthClient, Typ};
pub(super) use keyring::{ClientCrl, FetchedCrl, KeyPair, OwnCertificate, SpiffeBundle, VaultPki};
pub(super) use listener::{Listener, ListenerTls};
pub(super) use tokens::Tokens;
pub(super) use upstream::{Upstream, UpstreamTls};
pub(super) use vault::{
    Vault, VaultAppRole, VaultAuth, VaultCache, VaultCertificate, VaultJwt, VaultKubernetes,
};

use crate::units::{ByteSize, Span};

/// The gateway: where it listens, whom it trusts, what stands behind it, and where it writes its audit log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "gateway.yaml")]
pub(in crate::config) struct Gateway {
    /// Where callers connect, by a name that is used in logs and audit records.
    pub(in crate::config) listeners: BTreeMap<String, Listener>,
    /// Health, metrics and status, on an address of their own.
    #[serde(default)]
    pub(in crate::config) admin: Admin,
    /// The folder of the policies, relative to this file. Default: `policies`.
    #[serde(default)]
    pub(in crate::config) policies: Option<PathBuf>,
    /// The folder of the contracts, relative to this file. Default: `contracts`.
    #[serde(default)]
    pub(in crate::config) contracts: Option<PathBuf>,
    /// Serves contracts that are not what `published.lock` records, for development. Default: false.
    #[serde(default)]
    pub(in crate::config) insecure_unpublished_contracts: bool,
    /// The authorization servers whose tokens are accepted, by name.
    #[serde(default)]
    pub(in crate::config) issuers: BTreeMap<String, Issuer>,
    /// What is asked of access tokens, whoever issued them.
    #[serde(default)]
    pub(in crate::config) tokens: Tokens,
    /// The services behind the gateway, by the name that contracts use.
    #[serde(default)]
    pub(in crate::config) upstreams: BTreeMap<String, Upstream>,
    /// What the gateway shows to its upstreams, by name. Never a secret itself: a reference to one.
    #[serde(default)]
    pub(in crate::config) credentials: BTreeMap<String, Credential>,
    /// HashiCorp Vault or OpenBao, where secrets and certificates of the gateway's own come from.
    #[serde(default)]
    pub(in crate::config) vault: Option<Vault>,
    /// Where every request is recorded.
    pub(in crate::config) audit: Audit,
    /// Where it is counted who still uses what.
    #[serde(default)]
    pub(in crate::config) usage: Usage,
    /// What one machine is asked to bear.
    #[serde(default)]
    pub(in crate::config) limits: Limits,
    /// Logs and processes.
    #[serde(default)]
    pub(in crate::config) run: Run,
    /// What callers are told.
    #[serde(default)]
    pub(in crate::config) answers: Answers,
    /// The life of versions.
    #[serde(default)]
    pub(in crate::config) lifecycle: Lifecycle,
}

/// The admin listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Admin {
    /// Address and port. Default: `127.0.0.1:9901`.
    #[serde(default)]
    pub(in crate::config) address: Option<SocketAddr>,
    /// Lets the admin listener, which has no access control of its own, be reached by other machines.
    #[serde(default)]
    pub(in crate::config) insecure_beyond_loopback: bool,
}

/// The audit log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Audit {
    /// The folder of its segments, made when absent.
    pub(in crate::config) directory: PathBuf,
    /// PEM file of the Ed25519 key that signs its checkpoints. Either this or `signing` is given.
    #[serde(default)]
    pub(in crate::config) signing_key: Option<PathBuf>,
    /// A key elsewhere that signs its checkpoints.
    #[serde(default)]
    pub(in crate::config) signing: Option<AuditSigning>,
    /// The name of the log in its checkpoints, such as `gateway.example/audit`.
    pub(in crate::config) origin: String,
    /// A segment is closed at this size. Default: 64MiB.
    #[serde(default)]
    pub(in crate::config) segment_size: Option<ByteSize>,
    /// A segment is closed at this age. Default: 1d.
    #[serde(default)]
    pub(in crate::config) segment_age: Option<Span>,
    /// A checkpoint is signed after this many records. Default: 1000.
    #[serde(default)]
    pub(in crate::config) checkpoint_records: Option<std::num::NonZeroU64>,
    /// A checkpoint is signed after this time, if anything was recorded. Default: 10s.
    #[serde(default)]
    pub(in crate::config) checkpoint_interval: Option<Span>,
}

/// Counts of who still uses what: a summary of the audit log that `gateway contract` reads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Usage {
    /// The store, relative to this file. Default: `usage.sqlite` beside the folder of the audit log.
    #[serde(default)]
    pub(in crate::config) file: Option<PathBuf>,
    /// For how long counts are kept, in whole days. Default: 400d.
    #[serde(default)]
    pub(in crate::config) keep: Option<Span>,
    /// Whether anything is counted. Default: true.
    #[serde(default)]
    pub(in crate::config) enabled: Option<bool>,
}

/// Limits of one machine. Each has a default that suits a machine of two cores and 4 GiB.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Limits {
    /// The head of a request, in all. Default: 32KiB.
    #[serde(default)]
    pub(in crate::config) head: Option<ByteSize>,
    /// One header field of a request. Default: 16KiB.
    #[serde(default)]
    pub(in crate::config) field: Option<ByteSize>,
    /// Header fields of a request. Default: 100.
    #[serde(default)]
    pub(in crate::config) fields: Option<usize>,
    /// The request target. Default: 8KiB.
    #[serde(default)]
    pub(in crate::config) target: Option<ByteSize>,
    /// Time to read a head, from its first byte. Default: 10s.
    #[serde(default)]
    pub(in crate::config) head_time: Option<Span>,
    /// Time to read a body, in all. Default: 30s.
    #[serde(default)]
    pub(in crate::config) body_time: Option<Span>,
    /// Time for a TLS handshake. Default: 10s.
    #[serde(default)]
    pub(in crate::config) handshake_time: Option<Span>,
    /// Time a connection may wait for its next request. Default: 60s.
    #[serde(default)]
    pub(in crate::config) idle_time: Option<Span>,
    /// Requests on one HTTP/1.1 connection. Default: 10000.
    #[serde(default)]
    pub(in crate::config) requests_per_connection: Option<u32>,
    /// Streams at once on one HTTP/2 connection. Default: 64.
    #[serde(default)]
    pub(in crate::config) streams_per_connection: Option<u32>,
    /// Connections in all. Default: 10000.
    #[serde(default)]
    pub(in crate::config) connections: Option<usize>,
    /// Connections from one address. Default: 200.
    #[serde(default)]
    pub(in crate::config) connections_per_address: Option<usize>,
    /// Bytes of request and answer bodies held at once. Default: 512MiB.
    #[serde(default)]
    pub(in crate::config) buffered: Option<ByteSize>,
}

/// Logs and processes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Run {
    /// Threads that serve requests. Default: the machine's cores.
    #[serde(default)]
    pub(in crate::config) threads: Option<usize>,
    /// How long requests in flight may take after a stop was asked for. Default: 30s.
    #[serde(default)]
    pub(in crate::config) grace: Option<Span>,
    /// How logs are written. Default: json.
    #[serde(default)]
    pub(in crate::config) log: Option<LogFormat>,
    /// Which events are logged, as `tracing` filters are written. Default: `info`.
    #[serde(default)]
    pub(in crate::config) log_filter: Option<String>,
    /// The name of this node in audit records. Default: `gateway`.
    #[serde(default)]
    pub(in crate::config) node: Option<String>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Readable,
}

/// The life of versions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Lifecycle {
    /// The time at which the gateway takes itself to be when it decides on deprecations, brown-outs, sunsets
    /// and waivers, and for nothing else: to try out what will happen then. Absent: the time it is.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(in crate::config) insecure_clock: Option<jiff::Timestamp>,
}

/// What callers are told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Answers {
    /// The URL under which the pages of the problem types stand. Default: `https://gateway.example/problems/`.
    #[serde(default)]
    pub(in crate::config) problem_types: Option<String>,
    /// The `realm` of challenges. Default: `api`.
    #[serde(default)]
    pub(in crate::config) realm: Option<String>,
}
