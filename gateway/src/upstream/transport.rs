//! Over which kind of connection is an upstream spoken to?
//!
//! The only file that fills in the connector's options, each written out. Connections of two
//! generations of one upstream never mix: each generation has its own group in the pool.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;

use super::settings::{Protocol, SettingsError, UpstreamSettings};
use super::tls::Trust;

/// What the connections of one upstream have in common.
#[derive(Debug)]
pub(super) struct Transport {
    trust: Option<Trust>,
    protocol: Protocol,
    connect_timeout: Duration,
    group: u64,
    fresh: AtomicU64,
}

impl Transport {
    /// `generation` tells these connections from those made under earlier settings.
    pub(super) fn new(settings: &UpstreamSettings, generation: u32) -> Result<Self, SettingsError> {
        Ok(Self {
            trust: settings.tls.as_ref().map(Trust::new).transpose()?,
            protocol: settings.protocol,
            connect_timeout: settings.connect_timeout,
            // The lower half tells fresh connections apart; zero there is the pool.
            group: u64::from(generation) << 32,
            fresh: AtomicU64::new(1),
        })
    }

    /// The peer whose connections are pooled.
    pub(super) fn peer(&self, address: SocketAddr) -> HttpPeer {
        let (scheme_is_tls, server_name) = match &self.trust {
            Some(trust) => (true, trust.server_name.clone()),
            None => (false, String::new()),
        };
        let mut peer = HttpPeer::new(address, scheme_is_tls, server_name);
        peer.group_key = self.group;
        peer.client_cert_key = self.trust.as_ref().and_then(|trust| trust.client.clone());
        let options = &mut peer.options;
        options.ca = self.trust.as_ref().map(|trust| trust.roots.clone());
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
        peer.group_key = self.group | fresh.max(1);
        peer
    }

    /// Whether requests go out over TLS.
    pub(super) const fn is_tls(&self) -> bool {
        self.trust.is_some()
    }
}

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
    use crate::upstream::fake;
    use crate::upstream::settings::TlsSettings;
    use pingora::protocols::ALPN;
    use pingora::upstreams::peer::Peer;

    fn transport(tls: bool, protocol: Protocol, generation: u32) -> Transport {
        let mut settings = fake::settings(&["127.0.0.1:1"]);
        settings.protocol = protocol;
        settings.tls = tls.then(|| TlsSettings {
            server_name: "odoo.test".into(),
            roots_pem: fake::Authority::new().pem(),
            client: None,
        });
        Transport::new(&settings, generation).unwrap()
    }

    fn address() -> SocketAddr {
        "127.0.0.1:1".parse().unwrap()
    }

    #[test]
    fn a_tls_peer_always_verifies_its_name_against_the_given_roots() {
        let peer = transport(true, Protocol::Http1, 1).peer(address());
        assert!(peer.is_tls() && peer.verify_cert() && peer.verify_hostname());
        assert_eq!(peer.sni(), "odoo.test");
        assert_eq!(peer.get_ca().map(|roots| roots.len()), Some(1));
    }

    #[test]
    fn the_protocol_decides_what_is_negotiated() {
        let check = |tls, protocol, expected: ALPN| {
            assert_eq!(transport(tls, protocol, 1).peer(address()).options.alpn, expected);
        };
        check(true, Protocol::Http1, ALPN::H1);
        check(false, Protocol::Http1, ALPN::H1);
        check(true, Protocol::Http2, ALPN::H2H1);
        check(false, Protocol::Http2, ALPN::H2);
    }

    #[test]
    fn generations_and_fresh_connections_share_no_pool() {
        let (one, two) = (transport(false, Protocol::Http1, 1), transport(false, Protocol::Http1, 2));
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
