//! An upstream as it is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::OwnCertificate;
use crate::units::Span;

/// A service behind the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Upstream {
    /// `host:port`, one or several.
    pub(in crate::config) addresses: Vec<String>,
    /// Absent: the connection is not encrypted.
    #[serde(default)]
    pub(in crate::config) tls: Option<UpstreamTls>,
    /// Whether to speak HTTP/2 to it (with TLS). Default: false.
    #[serde(default)]
    pub(in crate::config) http2: bool,
    /// The `Host` it is asked for. Default: its TLS name, else its first address.
    #[serde(default)]
    pub(in crate::config) host: Option<String>,
    /// The name of the credential it is shown.
    #[serde(default)]
    pub(in crate::config) credential: Option<String>,
    /// The header in which it is told who calls. Default: `X-Caller`.
    #[serde(default)]
    pub(in crate::config) identity_header: Option<String>,
    /// Headers of its answers that callers may see, besides those every answer may have.
    #[serde(default)]
    pub(in crate::config) response_headers: Vec<String>,
    /// How long a connection may take. Default: 2s.
    #[serde(default)]
    pub(in crate::config) connect_timeout: Option<Span>,
    /// How long it may be silent after the request. Default: 30s.
    #[serde(default)]
    pub(in crate::config) first_byte_timeout: Option<Span>,
    /// How long an unused connection is kept. Default: 30s.
    #[serde(default)]
    pub(in crate::config) idle_timeout: Option<Span>,
    /// How many requests it is given at once. Default: 100.
    #[serde(default)]
    pub(in crate::config) in_flight_max: Option<usize>,
}

/// How an upstream's certificate is verified, and what it is shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamTls {
    /// The name its certificate must carry.
    pub(in crate::config) server_name: String,
    /// PEM file of the roots it must lead to.
    pub(in crate::config) roots: PathBuf,
    /// The client certificate it is shown.
    #[serde(default)]
    pub(in crate::config) client: Option<OwnCertificate>,
}
