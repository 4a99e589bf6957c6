//! What `gateway.yaml` means: every default decided, with its reason.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::audit::LogSettings;
use crate::contract::publish::Unpublished;
use crate::credential::CredentialSettings;
use crate::edge::{HeadLimits, TrustedHops};
use crate::identity::{DpopSettings, IssuerSettings, Origin};
use crate::keyring::Source;
use crate::policy::ValueType;
use crate::problem::Pages;
use crate::telemetry::Format;
use crate::upstream::UpstreamSettings;
use crate::usage::UsageSettings;
use crate::vault::{TransitKey, VaultSettings};

/// Everything that `gateway.yaml` says.
#[derive(Debug)]
pub struct Settings {
    /// Where callers connect.
    pub listeners: Vec<ListenerSettings>,
    /// Where health, metrics and status are.
    pub admin: SocketAddr,
    /// The folder of the policies.
    pub policies: PathBuf,
    /// The folder of the contracts.
    pub contracts: PathBuf,
    /// What happens to contracts that are not the published ones.
    pub unpublished: Unpublished,
    /// Whose tokens are accepted.
    pub issuers: Vec<IssuerSettings>,
    /// Claims that policies may use, of any issuer.
    pub claims: Vec<(String, ValueType)>,
    /// What is asked of proofs of possession.
    pub dpop: DpopSettings,
    /// What stands behind the gateway.
    pub upstreams: Vec<UpstreamSettings>,
    /// What it is shown.
    pub credentials: Vec<CredentialSettings>,
    /// Vault, if it is used.
    pub vault: Option<VaultSettings>,
    /// Where requests are recorded.
    pub audit: LogSettings,
    /// The key of Vault that signs them, if one does.
    pub audit_transit: Option<TransitKey>,
    /// Where orders to revoke are kept.
    pub revocations: PathBuf,
    /// Where it is counted who still uses what, if it is.
    pub usage: Option<UsageSettings>,
    /// Where it is written which certificates callers have shown.
    pub partners: PathBuf,
    /// What one machine bears.
    pub limits: EdgeLimits,
    /// Threads that serve.
    pub threads: usize,
    /// How long requests in flight may take after a stop was asked for.
    pub grace: Duration,
    /// How logs are written.
    pub log: Format,
    /// Which events are logged.
    pub log_filter: String,
    /// The name of this node in audit records.
    pub node: String,
    /// Where the pages of the problem types stand.
    pub pages: Pages,
    /// The `realm` of challenges.
    pub realm: String,
    /// What time it is for lifecycles, when it is not the time it is.
    pub lifecycle_clock: Option<Timestamp>,
    /// The insecure settings that are on, for the log.
    pub insecure: Vec<String>,
    /// Files named here whose change means a reload, `gateway.yaml` first.
    pub sources: Vec<PathBuf>,
}

impl Settings {
    /// Whether its listeners are those of `other`: the same sockets, in the same places.
    #[must_use]
    pub fn listens_where(&self, other: &Self) -> bool {
        let socket = |listener: &ListenerSettings| {
            (listener.name.clone(), listener.address, listener.tls.is_some(), listener.proxy_protocol)
        };
        self.listeners.iter().map(socket).eq(other.listeners.iter().map(socket))
    }
}

/// One listener.
#[derive(Debug, Clone)]
pub struct ListenerSettings {
    /// Its name in logs and audit records.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The origins it is reached under; none are those of its certificates, or of loopback.
    pub origins: Vec<Origin>,
    /// Its certificates; none means no TLS, which was asked for by name.
    pub tls: Option<ListenerTlsSettings>,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Whether connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// The proxies in front that are believed.
    pub trusted_hops: TrustedHops,
}

impl ListenerSettings {
    /// Whether a socket bound for one may serve the other: what remains is read anew for each connection.
    #[must_use]
    pub fn is_bound_like(&self, other: &Self) -> bool {
        self.name == other.name
            && self.address == other.address
            && self.tls.is_some() == other.tls.is_some()
            && self.proxy_protocol == other.proxy_protocol
            && self.trusted_hops == other.trusted_hops
    }
}

/// The certificates of a listener, and those it asks for.
#[derive(Debug, Clone)]
pub struct ListenerTlsSettings {
    /// The listener's name, for diagnostics.
    pub name: String,
    /// Certificates with their keys.
    pub certificates: Vec<Source>,
    /// Roots of client certificates.
    pub client_roots: Option<Source>,
    /// Revocation lists.
    pub client_crls: Vec<ClientCrl>,
    /// The bundles of the SPIFFE trust domains that are believed for nothing else; nothing where none is named.
    pub spiffe: Option<BTreeMap<String, Source>>,
}

/// A revocation list of client roots.
#[derive(Debug, Clone)]
pub struct ClientCrl {
    /// Where it comes from.
    pub source: Source,
    /// How long it serves past the time at which the next one was due.
    pub stale_max: Duration,
}

/// Limits of the edge. Fixed when the process starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Size, fields and target of a head.
    pub head: HeadLimits,
    /// Time to read a head, from its first byte.
    pub head_time: Duration,
    /// Time to read a body, in all.
    pub body_time: Duration,
    /// Time for a TLS handshake.
    pub handshake_time: Duration,
    /// Time a connection may wait for its next request.
    pub idle_time: Duration,
    /// Requests on one HTTP/1.1 connection.
    pub requests_per_connection: NonZeroU32,
    /// Streams at once on one HTTP/2 connection.
    pub streams_per_connection: NonZeroU32,
    /// Connections in all.
    pub connections_max: usize,
    /// Connections from one address.
    pub connections_per_address_max: usize,
    /// Bytes of bodies held at once.
    pub buffered_bytes_max: usize,
}

/// Defaults, each with its reason.
pub(super) mod default {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use crate::identity::Algorithm;

    /// Those that RFC 8725 and RFC 9068 leave: no `none`, no HMAC; ES384 and longer hashes where asked for.
    pub(crate) const ALGORITHMS: &[Algorithm] =
        &[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];
    /// What browsers and current libraries make keys for; RS256 is left to issuers that know no better.
    pub(crate) const DPOP_ALGORITHMS: &[Algorithm] = &[Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256];
    /// Beside `gateway.yaml`, as in this repository.
    pub(crate) const POLICIES: &str = "policies";
    /// Likewise.
    pub(crate) const CONTRACTS: &str = "contracts";
    /// Beside the folder of the audit log, which must be writable as well.
    pub(crate) const USAGE: &str = "usage.sqlite";
    /// Likewise.
    pub(crate) const KEYRING: &str = "keyring";
    /// In that folder.
    pub(crate) const PARTNERS: &str = "partners.json";
    /// Likewise: what was ordered is kept with what was recorded.
    pub(crate) const REVOCATIONS: &str = "revocations.json";
    /// What is done once a year is seen again before it is forgotten.
    pub(crate) const USAGE_DAYS: u32 = 400;
    /// The usual port of an admin listener in this field; loopback, because it has no access control.
    pub(crate) const ADMIN: &str = "127.0.0.1:9901";
    /// A head of a partner's request is about 2 KiB with a large token; cookies are not served.
    pub(crate) const HEAD_BYTES: usize = 32 << 10;
    /// Twice what browsers behind several proxies send.
    pub(crate) const FIELDS: usize = 100;
    /// A token of 12 KiB, the largest that identity reads, with room.
    pub(crate) const FIELD_BYTES: usize = 16 << 10;
    /// RFC 9110 section 4.1 recommends at least 8000 octets.
    pub(crate) const TARGET_BYTES: usize = 8 << 10;
    /// A head fits into a few packets; ten seconds bear a bad mobile network.
    pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
    /// A body of 256 KiB at 100 kbit/s.
    pub(crate) const BODY_TIME: Duration = Duration::from_secs(30);
    /// Two round trips and a signature; ten seconds bear a bad mobile network.
    pub(crate) const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
    /// Shorter than the idle time of common load balancers' back ends is not needed; longer keeps memory.
    pub(crate) const IDLE_TIME: Duration = Duration::from_secs(60);
    /// Frees what long connections collect, once in a while.
    pub(crate) const REQUESTS_PER_CONNECTION: u32 = 10_000;
    /// Enough for any partner; bounds what one connection can make the gateway hold.
    pub(crate) const STREAMS_PER_CONNECTION: u32 = 64;
    /// About 200 MB with TLS.
    pub(crate) const CONNECTIONS: usize = 10_000;
    /// Many stores behind one address, and no flood.
    pub(crate) const CONNECTIONS_PER_ADDRESS: usize = 200;
    /// An eighth of a machine of 4 GiB.
    pub(crate) const BUFFERED_BYTES: usize = 512 << 20;
    /// Longer than any operation's usual deadline.
    pub(crate) const GRACE: Duration = Duration::from_secs(30);
    /// RFC 8725 does not name a value; clocks under NTP differ by less than a second.
    pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(30);
    /// A token that lives longer than a day is a password.
    pub(crate) const LIFETIME: Duration = Duration::from_secs(86_400);
    /// A new key is usually published hours before its first use.
    pub(crate) const KEYS_REFRESH: Duration = Duration::from_secs(300);
    /// An issuer that is down for a night does not stop the shop.
    pub(crate) const KEYS_AGE: Duration = Duration::from_secs(86_400);
    /// A caller may be waiting for it.
    pub(crate) const KEYS_TIMEOUT: Duration = Duration::from_secs(3);
    pub(crate) use crate::identity::{INTROSPECTION_CACHE, NEGATIVE_CACHE};
    /// A token that may have been revoked serves no longer than was said.
    pub(crate) const STALE_MAX: Duration = Duration::ZERO;
    /// Two tries of a server that is a second away.
    pub(crate) const KEYRING_TIMEOUT: Duration = Duration::from_secs(10);
    /// A stolen certificate is worth something for so long after its revocation.
    pub(crate) const CRL_REFRESH: Duration = Duration::from_secs(900);
    /// What SPIFFE's own servers say where they say nothing.
    pub(crate) const BUNDLE_REFRESH: Duration = Duration::from_secs(300);
    /// Leaves a third of the life for Vault to come back.
    pub(crate) const RENEW_AT: f64 = 0.66;
    /// Earlier is a certificate for nothing.
    pub(crate) const RENEW_AT_MIN: f64 = 0.1;
    /// Later leaves no time to try again.
    pub(crate) const RENEW_AT_MAX: f64 = 0.95;
    /// What a certificate's own life decides; this is for one that has none.
    pub(crate) const RENEWAL: Duration = Duration::from_secs(3600);
    /// One lost packet and its repetition.
    pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
    /// Odoo's slow calls take seconds; the operation's own deadline is usually shorter.
    pub(crate) const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(30);
    /// Below the 60 s after which most servers close.
    pub(crate) const UPSTREAM_IDLE: Duration = Duration::from_secs(30);
    /// What a mid-sized Odoo with its workers bears.
    pub(crate) const IN_FLIGHT: usize = 100;
    /// Faster would be an attack on whoever keeps the secrets.
    pub(crate) const CREDENTIAL_REFRESH_MIN: Duration = Duration::from_secs(1);
    /// Servers that share a secret learn of a new one within minutes.
    pub(crate) const CREDENTIAL_OVERLAP: Duration = Duration::from_secs(600);
    /// A Vault that is down for a night does not stop the shop; one that is forgotten does.
    pub(crate) const CREDENTIAL_AGE: Duration = Duration::from_secs(86_400);
    /// The custom of the field.
    pub(crate) const IDENTITY_HEADER: &str = "x-caller";
    /// A renewal is done long before it matters, and whoever waits for a secret is a chore.
    pub(crate) const VAULT_TIMEOUT: Duration = Duration::from_secs(5);
    /// A Vault that is down for a night does not stop the shop; who has the disk has a day at most.
    pub(crate) const VAULT_CACHE_AGE: Duration = Duration::from_secs(86_400);
    /// Where every pod has it.
    pub(crate) const VAULT_SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    /// A segment of a day of a mid-sized shop.
    pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;
    /// So that a day's records can be archived.
    pub(crate) const SEGMENT_AGE: Duration = Duration::from_secs(86_400);
    /// One signature (24 µs) in a thousand records.
    pub(crate) const CHECKPOINT_RECORDS: NonZeroU64 = match NonZeroU64::new(1_000) {
        Some(records) => records,
        None => NonZeroU64::MIN,
    };
    /// What an auditor can be shown is never older.
    pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
}
