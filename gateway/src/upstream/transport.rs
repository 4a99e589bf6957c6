//! Over which kind of connection is an upstream spoken to?
//!
//! The only file that fills in the connector's options, each written out. The pool does not look at the
//! roots a connection was verified with; so each upstream, and each change of one, has a group of its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;
use pingora::upstreams::peer::HttpPeer;

use super::error::Fault;
use super::settings::{Protocol, SettingsError, UpstreamSettings};
use super::tls::{Believed, Trust};
use crate::keyring::Keyring;

/// The connector that all upstreams share; it lives as long as the process.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    connector: Connector,
    groups: AtomicU32,
}

impl Connections {
    pub(super) fn new() -> Self {
        let mut options = ConnectorOptions::new(POOL_MAX);
        // The connector's own roots stay empty: an upstream is believed for the roots of its settings
        // alone, and the system's store, which ends the process when it cannot be read, is never opened.
        options.ca_file = Some("/dev/null".to_owned());
        options.cert_key_file = None;
        options.debug_ssl_keylog = false;
        options.offload_threadpool = None;
        Self(Arc::new(Shared { connector: Connector::new(Some(options)), groups: AtomicU32::new(0) }))
    }

    pub(super) fn connector(&self) -> &Connector {
        &self.0.connector
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

/// What the connections of one upstream have in common.
#[derive(Debug)]
pub(super) struct Transport {
    trust: Option<Trust>,
    protocol: Protocol,
    connect_timeout: Duration,
    connections: Connections,
    now: ArcSwap<Now>,
    fresh: AtomicU64,
}

/// What new connections have in common until the keyring holds something else.
#[derive(Debug)]
struct Now {
    group: u64,
    /// Nothing without TLS.
    believed: Option<Believed>,
    generations: (u64, u64),
}

impl Transport {
    /// In a group of `connections` that nobody had before.
    pub(super) fn new(
        settings: &UpstreamSettings,
        keyring: &Keyring,
        connections: &Connections,
    ) -> Result<Self, SettingsError> {
        let trust = settings.tls.as_ref().map(|tls| Trust::new(tls, keyring)).transpose()?;
        Ok(Self {
            now: ArcSwap::from_pointee(Now::new(trust.as_ref(), connections)),
            trust,
            protocol: settings.protocol,
            connect_timeout: settings.connect_timeout,
            connections: connections.clone(),
            fresh: AtomicU64::new(1),
        })
    }

    /// Makes new connections with what the keyring holds now, in a group of their own: whether there was
    /// anything new. A part that is missing or cannot be used replaces nothing.
    pub(super) fn renew(&self) -> bool {
        let generations = self.trust.as_ref().map_or((0, 0), Trust::generations);
        if self.now.load().generations == generations {
            return false;
        }
        let next = Now::new(self.trust.as_ref(), &self.connections);
        let usable = next.believed.is_some();
        if usable {
            self.now.store(Arc::new(next));
        }
        usable
    }

    /// Whether everything is there that a connection needs.
    pub(super) fn is_ready(&self) -> Result<(), Fault> {
        let waits = self.trust.is_some() && self.now.load().believed.is_none();
        if waits { Err(Fault::NoCertificate) } else { Ok(()) }
    }

    /// Whether a peer is of the group that connections are made in now.
    pub(super) fn is_current(&self, peer: &HttpPeer) -> bool {
        peer.group_key == self.now.load().group
    }

    /// The peer whose connections are pooled.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let now = self.now.load();
        let believed = now.believed.as_ref();
        let (scheme_is_tls, server_name) = match &self.trust {
            Some(trust) => (true, trust.server_name.clone()),
            None => (false, String::new()),
        };
        let mut peer = HttpPeer::new(address, scheme_is_tls, server_name);
        peer.group_key = now.group;
        peer.client_cert_key = believed.and_then(|believed| believed.client.clone());
        let options = &mut peer.options;
        // Without roots of its own it would be verified against the connector's, which are empty.
        options.ca = believed.map(|believed| Arc::clone(&believed.roots));
        options.verify_cert = true;
        options.verify_hostname = true;
        options.connection_timeout = Some(self.connect_timeout);
        options.total_connection_timeout = Some(self.connect_timeout);
        options.allow_h1_response_invalid_content_length = false;
        options.max_h2_streams = H2_STREAMS_MAX;
        options.h2_ping_interval = Some(H2_PING);
        options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        match self.protocol {
            Protocol::Http1 => options.set_http_version(1, 1),
            Protocol::Http2 if scheme_is_tls => options.set_http_version(2, 1),
            // RFC 9113 section 3.3: without TLS there is no negotiation, only prior knowledge.
            Protocol::Http2 => options.set_http_version(2, 2),
        }
        peer
    }

    /// The same peer in a group nobody has used: its connection is certainly a new one.
    pub(super) fn unpooled(&self, pooled: &HttpPeer) -> HttpPeer {
        let mut peer = pooled.clone();
        let fresh = u64::from(u32::MAX) & self.fresh.fetch_add(1, Ordering::Relaxed);
        peer.group_key = pooled.group_key | fresh.max(1);
        peer
    }
}

impl Now {
    fn new(trust: Option<&Trust>, connections: &Connections) -> Self {
        Self {
            // The lower half tells fresh connections apart; zero there is the pool.
            group: u64::from(connections.0.groups.fetch_add(1, Ordering::Relaxed)) << 32,
            // Before what is held: what changes in between is made anew once more.
            generations: trust.map_or((0, 0), Trust::generations),
            believed: trust.and_then(Trust::believed),
        }
    }
}

/// Idle connections of all upstreams together: some hundreds for each of a handful of services.
const POOL_MAX: usize = 1024;
/// Streams at once on one HTTP/2 connection: what most servers allow.
const H2_STREAMS_MAX: usize = 100;
/// An HTTP/2 connection whose other end is gone is noticed within two of these.
const H2_PING: Duration = Duration::from_secs(15);
/// An answer's share of a connection; answers are read whole, so a larger window only buys latency.
const H2_STREAM_WINDOW: u32 = 1 << 20;
/// What all answers of one connection may have on the way.
const H2_CONNECTION_WINDOW: u32 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Source;
    use crate::upstream::fake;
    use crate::upstream::settings::TlsSettings;
    use pingora::protocols::ALPN;
    use pingora::upstreams::peer::Peer;

    fn transport(tls: bool, protocol: Protocol, connections: &Connections) -> Transport {
        let mut settings = fake::settings(&["127.0.0.1:1"]);
        settings.protocol = protocol;
        settings.tls = tls.then(|| TlsSettings {
            server_name: "odoo.test".into(),
            roots: Source::Given(vec![fake::Authority::new().pem()]),
            client: None,
        });
        Transport::new(&settings, &Keyring::new(), connections).unwrap()
    }

    fn address() -> SocketAddr {
        "127.0.0.1:1".parse().unwrap()
    }

    #[test]
    fn a_tls_peer_always_verifies_its_name_against_the_given_roots() {
        let peer = transport(true, Protocol::Http1, &Connections::new()).peer(address());
        assert!(peer.is_tls() && peer.verify_cert() && peer.verify_hostname());
        assert_eq!(peer.sni(), "odoo.test");
        assert_eq!(peer.get_ca().map(|roots| roots.len()), Some(1));
    }

    #[test]
    fn the_protocol_decides_what_is_negotiated() {
        let connections = Connections::new();
        let check = |tls, protocol, expected: ALPN| {
            assert_eq!(transport(tls, protocol, &connections).peer(address()).options.alpn, expected);
        };
        check(true, Protocol::Http1, ALPN::H1);
        check(false, Protocol::Http1, ALPN::H1);
        check(true, Protocol::Http2, ALPN::H2H1);
        check(false, Protocol::Http2, ALPN::H2);
    }

    #[test]
    fn two_upstreams_and_fresh_connections_share_no_pool() {
        let connections = Connections::new();
        let [one, two] = [(); 2].map(|()| transport(false, Protocol::Http1, &connections));
        let pooled = one.peer(address());
        let mut hashes = vec![
            pooled.reuse_hash(),
            two.peer(address()).reuse_hash(),
            one.unpooled(&pooled).reuse_hash(),
            one.unpooled(&pooled).reuse_hash(),
        ];
        assert_eq!(pooled.reuse_hash(), one.peer(address()).reuse_hash());
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 4);
    }
}
