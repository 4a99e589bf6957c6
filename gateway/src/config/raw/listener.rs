//! A listener as it is written: its address, its certificates, and whom it believes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ClientCrl, OwnCertificate, SpiffeBundle};

/// One address where callers connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Listener {
    /// Address and port, such as `0.0.0.0:443`. Port 0 takes any free port.
    pub(in crate::config) address: SocketAddr,
    /// The origins under which callers reach it, such as `https://api.example`: what proofs of possession are
    /// held to, and what its metadata names. Default: the names of its certificates with this port or 443;
    /// without TLS, loopback addresses.
    #[serde(default)]
    pub(in crate::config) origins: Vec<String>,
    /// The certificates shown, and those asked for.
    #[serde(default)]
    pub(in crate::config) tls: Option<ListenerTls>,
    /// Listens without TLS. Only on a loopback address, unless the next setting says otherwise.
    #[serde(default)]
    pub(in crate::config) insecure_no_tls: bool,
    /// Lets a listener without TLS listen on an address that other machines can reach.
    #[serde(default)]
    pub(in crate::config) insecure_no_tls_beyond_loopback: bool,
    /// Whether HTTP/2 is offered (with TLS). Default: true.
    #[serde(default)]
    pub(in crate::config) http2: Option<bool>,
    /// Whether every connection begins with a PROXY protocol version 2 header that names the client. Default: false.
    #[serde(default)]
    pub(in crate::config) proxy_protocol: bool,
    /// Networks of the proxies in front whose `X-Forwarded-For` (or PROXY header) is believed. Default: none.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(in crate::config) trusted_hops: Vec<ipnet::IpNet>,
}

/// Certificates of a listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ListenerTls {
    /// Certificates with their keys; the one whose names fit the client's SNI is shown, else the first.
    pub(in crate::config) certificates: Vec<OwnCertificate>,
    /// PEM file of the roots that client certificates must lead to. Absent: none is asked for.
    #[serde(default)]
    pub(in crate::config) client_roots: Option<PathBuf>,
    /// Revocation lists of the client roots: paths of PEM files, or `{ url: ... }`, or `{ vault_pki: MOUNT }`. With a
    /// list, a certificate of an unlisted issuer is refused.
    #[serde(default)]
    pub(in crate::config) client_crls: Vec<ClientCrl>,
    /// SPIFFE trust domains whose X.509-SVIDs are believed, each for the authorities of its own bundle alone. Absent:
    /// certificates with SPIFFE IDs are believed for the `client_roots` like any other.
    #[serde(default)]
    pub(in crate::config) spiffe: Option<BTreeMap<String, SpiffeBundle>>,
}
