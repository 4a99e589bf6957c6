//! `gateway.yaml` as it is written: every key that may stand in it, and nothing else.
//!
//! Each struct refuses unknown keys and becomes the JSON Schema that editors use, so the comments here
//! are what a person sees while typing. What an absent key means is decided in `resolve.rs`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{ByteSize, Span};

/// The gateway: where it listens, whom it trusts, what stands behind it, and where it writes its audit log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "gateway.yaml")]
pub(super) struct Gateway {
    /// Where callers connect, by a name that is used in logs and audit records.
    pub(super) listeners: BTreeMap<String, Listener>,
    /// Health, metrics and status, on an address of their own.
    #[serde(default)]
    pub(super) admin: Admin,
    /// The folder of the policies, relative to this file. Default: `policies`.
    #[serde(default)]
    pub(super) policies: Option<PathBuf>,
    /// The folder of the contracts, relative to this file. Default: `contracts`.
    #[serde(default)]
    pub(super) contracts: Option<PathBuf>,
    /// Serves contracts that are not what `published.lock` records, for development. Default: false.
    #[serde(default)]
    pub(super) insecure_unpublished_contracts: bool,
    /// The authorization servers whose tokens are accepted, by name.
    #[serde(default)]
    pub(super) issuers: BTreeMap<String, Issuer>,
    /// The services behind the gateway, by the name that contracts use.
    #[serde(default)]
    pub(super) upstreams: BTreeMap<String, Upstream>,
    /// What the gateway shows to its upstreams, by name. Never a secret itself: a reference to one.
    #[serde(default)]
    pub(super) credentials: BTreeMap<String, Credential>,
    /// Where every request is recorded.
    pub(super) audit: Audit,
    /// Where it is counted who still uses what.
    #[serde(default)]
    pub(super) usage: Usage,
    /// What one machine is asked to bear.
    #[serde(default)]
    pub(super) limits: Limits,
    /// Logs and processes.
    #[serde(default)]
    pub(super) run: Run,
    /// What callers are told.
    #[serde(default)]
    pub(super) answers: Answers,
    /// The life of versions.
    #[serde(default)]
    pub(super) lifecycle: Lifecycle,
}

/// One address where callers connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    /// Address and port, such as `0.0.0.0:443`. Port 0 takes any free port.
    pub(super) address: SocketAddr,
    /// The certificates shown, and those asked for.
    #[serde(default)]
    pub(super) tls: Option<ListenerTls>,
    /// Listens without TLS. Only on a loopback address, unless the next setting says otherwise.
    #[serde(default)]
    pub(super) insecure_no_tls: bool,
    /// Lets a listener without TLS listen on an address that other machines can reach.
    #[serde(default)]
    pub(super) insecure_no_tls_beyond_loopback: bool,
    /// Whether HTTP/2 is offered (with TLS). Default: true.
    #[serde(default)]
    pub(super) http2: Option<bool>,
    /// Whether every connection begins with a PROXY protocol version 2 header that names the client. Default: false.
    #[serde(default)]
    pub(super) proxy_protocol: bool,
    /// Networks of the proxies in front whose `X-Forwarded-For` (or PROXY header) is believed. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) trusted_hops: Vec<ipnet::IpNet>,
}

/// Certificates of a listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListenerTls {
    /// Certificates with their keys; the one whose names fit the client's SNI is shown, else the first.
    pub(super) certificates: Vec<KeyPair>,
    /// PEM file of the roots that client certificates must lead to. Absent: none is asked for.
    #[serde(default)]
    pub(super) client_roots: Option<PathBuf>,
    /// Revocation lists (PEM) of the client roots. With a list, a certificate of an unlisted issuer is refused.
    #[serde(default)]
    pub(super) client_crls: Vec<PathBuf>,
}

/// A certificate chain and its private key, both PEM files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPair {
    /// The certificate and its intermediates.
    pub(super) chain: PathBuf,
    /// The private key (PKCS#8, PKCS#1 or SEC1).
    pub(super) key: PathBuf,
}

/// The admin listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    /// Address and port. Default: `127.0.0.1:9901`.
    #[serde(default)]
    pub(super) address: Option<SocketAddr>,
    /// Lets the admin listener, which has no access control of its own, be reached by other machines.
    #[serde(default)]
    pub(super) insecure_beyond_loopback: bool,
}

/// An authorization server whose access tokens are accepted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    /// The exact value of the `iss` claim.
    pub(super) issuer: String,
    /// What the `aud` claim must contain one of.
    pub(super) audiences: Vec<String>,
    /// Where its public keys are.
    pub(super) keys: Keys,
    /// The signature algorithms it uses. Default: `[ES256, EdDSA, PS256, RS256]`.
    #[serde(default)]
    pub(super) algorithms: Option<Vec<crate::identity::Algorithm>>,
    /// Which `typ` header a token must have. Default: `at+jwt` (RFC 9068).
    #[serde(default)]
    pub(super) typ: Option<Typ>,
    /// Claims that must be present besides `iss`, `aud` and `exp`. Default: those of RFC 9068.
    #[serde(default)]
    pub(super) required_claims: Option<Vec<crate::identity::RequiredClaim>>,
    /// How far its clock may differ from ours. Default: 30s.
    #[serde(default)]
    pub(super) clock_skew: Option<Span>,
    /// The longest time between `iat` and `exp` that is accepted. Default: 1d.
    #[serde(default)]
    pub(super) lifetime_max: Option<Span>,
    /// The claim that names the client. Default: `client_id`.
    #[serde(default)]
    pub(super) client_claim: Option<crate::identity::ClientIdClaim>,
    /// How its tokens write scopes. Default: `text`, a `scope` of words with spaces between.
    #[serde(default)]
    pub(super) scopes: Option<crate::identity::ScopeForm>,
    /// Claims that policies may use, as `context.token.NAME`, with their types.
    #[serde(default)]
    pub(super) claims: BTreeMap<String, ClaimType>,
}

/// Where an issuer's public keys are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    /// An `https:` URL of a JWK set.
    #[serde(default)]
    pub(super) url: Option<String>,
    /// A file with a JWK set.
    #[serde(default)]
    pub(super) file: Option<PathBuf>,
    /// PEM file of the roots that the URL's certificate must lead to. Default: the system's.
    #[serde(default)]
    pub(super) ca: Option<PathBuf>,
    /// Lets the URL be `http:` to a loopback address.
    #[serde(default)]
    pub(super) insecure_http: bool,
    /// How often the keys are fetched anew. Default: 5m.
    #[serde(default)]
    pub(super) refresh: Option<Span>,
    /// How long keys serve that could not be fetched anew. Default: 1d.
    #[serde(default)]
    pub(super) age_max: Option<Span>,
    /// How long one fetch may take. Default: 3s.
    #[serde(default)]
    pub(super) timeout: Option<Span>,
}

/// The `typ` header of a token.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum Typ {
    /// Only `at+jwt`, as RFC 9068 asks.
    #[serde(rename = "at+jwt")]
    AccessToken,
    /// Also `JWT`, for issuers that predate RFC 9068.
    #[serde(rename = "JWT")]
    Jwt,
    /// Any or none: an ID token of this issuer may then pass for an access token.
    #[serde(rename = "insecure_any")]
    InsecureAny,
}

/// The type of a claim that policies use.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ClaimType {
    /// A string.
    Text,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// An array of strings.
    Texts,
}

/// A service behind the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Upstream {
    /// `host:port`, one or several.
    pub(super) addresses: Vec<String>,
    /// Absent: the connection is not encrypted.
    #[serde(default)]
    pub(super) tls: Option<UpstreamTls>,
    /// Whether to speak HTTP/2 to it (with TLS). Default: false.
    #[serde(default)]
    pub(super) http2: bool,
    /// The `Host` it is asked for. Default: its TLS name, else its first address.
    #[serde(default)]
    pub(super) host: Option<String>,
    /// The name of the credential it is shown.
    #[serde(default)]
    pub(super) credential: Option<String>,
    /// The header in which it is told who calls. Default: `X-Caller`.
    #[serde(default)]
    pub(super) identity_header: Option<String>,
    /// Headers of its answers that callers may see, besides those every answer may have.
    #[serde(default)]
    pub(super) response_headers: Vec<String>,
    /// How long a connection may take. Default: 2s.
    #[serde(default)]
    pub(super) connect_timeout: Option<Span>,
    /// How long it may be silent after the request. Default: 30s.
    #[serde(default)]
    pub(super) first_byte_timeout: Option<Span>,
    /// How long an unused connection is kept. Default: 30s.
    #[serde(default)]
    pub(super) idle_timeout: Option<Span>,
    /// How many requests it is given at once. Default: 100.
    #[serde(default)]
    pub(super) in_flight_max: Option<usize>,
}

/// How an upstream's certificate is verified, and what it is shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTls {
    /// The name its certificate must carry.
    pub(super) server_name: String,
    /// PEM file of the roots it must lead to.
    pub(super) roots: PathBuf,
    /// The client certificate it is shown.
    #[serde(default)]
    pub(super) client: Option<KeyPair>,
}

/// What the gateway shows to an upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    /// Where the secret is: `file:path` or `env:NAME`.
    pub(super) from: String,
    /// The header it goes into. Default: `Authorization`.
    #[serde(default)]
    pub(super) header: Option<String>,
    /// How it stands in the header. Default: raw.
    #[serde(default)]
    pub(super) form: Option<CredentialForm>,
}

/// How a credential stands in its header.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CredentialForm {
    /// As it is.
    Raw,
    /// `Bearer SECRET`.
    Bearer,
    /// `Basic`, of a secret that is `user:password`.
    Basic,
}

/// The audit log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Audit {
    /// The folder of its segments, made when absent.
    pub(super) directory: PathBuf,
    /// PEM file of the Ed25519 key that signs its checkpoints.
    pub(super) signing_key: PathBuf,
    /// The name of the log in its checkpoints, such as `gateway.example/audit`.
    pub(super) origin: String,
    /// A segment is closed at this size. Default: 64MiB.
    #[serde(default)]
    pub(super) segment_size: Option<ByteSize>,
    /// A segment is closed at this age. Default: 1d.
    #[serde(default)]
    pub(super) segment_age: Option<Span>,
    /// A checkpoint is signed after this many records. Default: 1000.
    #[serde(default)]
    pub(super) checkpoint_records: Option<std::num::NonZeroU64>,
    /// A checkpoint is signed after this time, if anything was recorded. Default: 10s.
    #[serde(default)]
    pub(super) checkpoint_interval: Option<Span>,
}

/// Counts of who still uses what: a summary of the audit log that `gateway contract` reads.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Usage {
    /// The store, relative to this file. Default: `usage.sqlite` beside the folder of the audit log.
    #[serde(default)]
    pub(super) file: Option<PathBuf>,
    /// For how long counts are kept, in whole days. Default: 400d.
    #[serde(default)]
    pub(super) keep: Option<Span>,
    /// Whether anything is counted. Default: true.
    #[serde(default)]
    pub(super) enabled: Option<bool>,
}

/// Limits of one machine. Each has a default that suits a machine of two cores and 4 GiB.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    /// The head of a request, in all. Default: 32KiB.
    #[serde(default)]
    pub(super) head: Option<ByteSize>,
    /// One header field of a request. Default: 16KiB.
    #[serde(default)]
    pub(super) field: Option<ByteSize>,
    /// Header fields of a request. Default: 100.
    #[serde(default)]
    pub(super) fields: Option<usize>,
    /// The request target. Default: 8KiB.
    #[serde(default)]
    pub(super) target: Option<ByteSize>,
    /// Time to read a head, from its first byte. Default: 10s.
    #[serde(default)]
    pub(super) head_time: Option<Span>,
    /// Time to read a body, in all. Default: 30s.
    #[serde(default)]
    pub(super) body_time: Option<Span>,
    /// Time for a TLS handshake. Default: 10s.
    #[serde(default)]
    pub(super) handshake_time: Option<Span>,
    /// Time a connection may wait for its next request. Default: 60s.
    #[serde(default)]
    pub(super) idle_time: Option<Span>,
    /// Requests on one HTTP/1.1 connection. Default: 10000.
    #[serde(default)]
    pub(super) requests_per_connection: Option<u32>,
    /// Streams at once on one HTTP/2 connection. Default: 64.
    #[serde(default)]
    pub(super) streams_per_connection: Option<u32>,
    /// Connections in all. Default: 10000.
    #[serde(default)]
    pub(super) connections: Option<usize>,
    /// Connections from one address. Default: 200.
    #[serde(default)]
    pub(super) connections_per_address: Option<usize>,
    /// Bytes of request and answer bodies held at once. Default: 512MiB.
    #[serde(default)]
    pub(super) buffered: Option<ByteSize>,
}

/// Logs and processes.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// Threads that serve requests. Default: the machine's cores.
    #[serde(default)]
    pub(super) threads: Option<usize>,
    /// How long requests in flight may take after a stop was asked for. Default: 30s.
    #[serde(default)]
    pub(super) grace: Option<Span>,
    /// How logs are written. Default: json.
    #[serde(default)]
    pub(super) log: Option<LogFormat>,
    /// Which events are logged, as `tracing` filters are written. Default: `info`.
    #[serde(default)]
    pub(super) log_filter: Option<String>,
    /// The name of this node in audit records. Default: `gateway`.
    #[serde(default)]
    pub(super) node: Option<String>,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Readable,
}

/// The life of versions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lifecycle {
    /// The time at which the gateway takes itself to be when it decides on deprecations, brown-outs, sunsets
    /// and waivers, and for nothing else: to try out what will happen then. Absent: the time it is.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) insecure_clock: Option<jiff::Timestamp>,
}

/// What callers are told.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Answers {
    /// The URL under which the pages of the problem types stand. Default: `https://gateway.example/problems/`.
    #[serde(default)]
    pub(super) problem_types: Option<String>,
    /// The `realm` of challenges. Default: `api`.
    #[serde(default)]
    pub(super) realm: Option<String>,
}
