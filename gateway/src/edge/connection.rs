//! Who is at the other end of one connection: its address, its certificate, its place in the count?
//!
//! Made once when a connection is accepted, and carried by Pingora to each of its requests. The
//! certificate is verified by TLS at the handshake and again here whenever the trust may have changed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use pingora::http::ResponseHeader;
use pingora::protocols::GetProxyDigest;
use pingora::protocols::l4::stream::Stream as TcpStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::proxy::Session;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use tokio::sync::Notify;

use super::trust::ClientTrust;
use crate::identity::{ClientCertificate, UnusableCertificate};
use crate::telemetry::ConnectionOpen;

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    listener: usize,
    /// The address the gateway believes: the socket's, or the one a PROXY header named.
    address: IpAddr,
    encrypted: bool,
    /// The port of the gateway's end.
    port: u16,
    certificate: OnceLock<Presented>,
    /// A certificate that was shown and can be nobody's.
    unusable: OnceLock<UnusableCertificate>,
    _counted: (Slot, ConnectionOpen),
}

/// A certificate that this connection's client proved to hold.
#[derive(Debug)]
struct Presented {
    chain: Vec<CertificateDer<'static>>,
    certificate: Arc<ClientCertificate>,
    checked: Mutex<Option<Checked>>,
}

/// When, and against which trust, the certificate was last found good.
#[derive(Debug, Clone, Copy)]
struct Checked {
    trust: u64,
    at: Instant,
}

/// The client's certificate was good at the handshake and is not any more: revoked, expired, or its root gone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the client certificate is not trusted any more")]
pub struct NotTrusted {
    /// Which one it is.
    pub certificate: Arc<ClientCertificate>,
}

impl Connection {
    pub(super) fn new(
        listener: usize,
        address: IpAddr,
        encrypted: bool,
        port: u16,
        counted: (Slot, ConnectionOpen),
    ) -> Self {
        Self {
            listener,
            address,
            encrypted,
            port,
            certificate: OnceLock::new(),
            unusable: OnceLock::new(),
            _counted: counted,
        }
    }

    /// The place of its listener in the configuration.
    #[must_use]
    pub const fn listener(&self) -> usize {
        self.listener
    }

    /// The client's address as far as the connection itself tells.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether TLS protects it.
    #[must_use]
    pub const fn encrypted(&self) -> bool {
        self.encrypted
    }

    /// The port of the gateway's end.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Keeps the chain that the handshake verified. A leaf that cannot be read as an identity is no
    /// identity: the connection then counts as one without certificate.
    pub(super) fn presented(&self, chain: Vec<CertificateDer<'static>>) {
        let Some(leaf) = chain.first() else { return };
        match ClientCertificate::from_der(leaf) {
            Ok(certificate) => {
                let certificate = Arc::new(certificate);
                let presented = Presented { chain, certificate, checked: Mutex::new(None) };
                // Set once, right after the handshake; a second value cannot occur.
                drop(self.certificate.set(presented));
            }
            Err(fault) => {
                let unusable = UnusableCertificate::new(leaf, fault);
                tracing::info!(reason = %fault, sha256 = unusable.sha256, "a client certificate is nobody's");
                drop(self.unusable.set(unusable));
            }
        }
    }

    /// The client's certificate, if it has one, good by this trust at this moment.
    ///
    /// TLS verifies a certificate once, and not at all when a session is resumed; a connection may live
    /// for hours. So the chain is verified again on the first request, when the trust changed, and
    /// every minute.
    ///
    /// # Errors
    /// [`NotTrusted`] when it is not good any more.
    pub fn certificate(
        &self,
        trust: Option<&ClientTrust>,
        now: Instant,
    ) -> Result<Option<&Arc<ClientCertificate>>, NotTrusted> {
        let Some(presented) = self.certificate.get() else { return Ok(None) };
        let mut checked = presented.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let not_trusted = || NotTrusted { certificate: Arc::clone(&presented.certificate) };
        let trust = trust.ok_or_else(not_trusted)?;
        let still_good = checked.is_some_and(|last| {
            last.trust == trust.generation() && now.saturating_duration_since(last.at) < RECHECK_AFTER
        });
        if !still_good {
            *checked = None;
            let (leaf, intermediates) = presented.chain.split_first().ok_or_else(not_trusted)?;
            if let Err(fault) = trust.verify_client_cert(leaf, intermediates, UnixTime::now()) {
                let sha256 = presented.certificate.sha256_hex();
                tracing::info!(%fault, sha256, "a client certificate is not trusted any more");
                return Err(not_trusted());
            }
            *checked = Some(Checked { trust: trust.generation(), at: now });
        }
        Ok(Some(&presented.certificate))
    }

    /// A certificate that was shown, is trusted, and can be nobody's.
    #[must_use]
    pub fn unusable(&self) -> Option<&UnusableCertificate> {
        self.unusable.get()
    }

    /// Lets Pingora carry the connection to each of its requests, over HTTP/1.1 and HTTP/2 alike.
    ///
    /// The proxy digest is the one value of a connection that both protocols hand on and that can be set
    /// before the TLS handshake.
    pub(super) fn travel_with(self: &Arc<Self>, stream: &mut TcpStream) -> pingora::Result<()> {
        let unused = Box::new(ResponseHeader::build(http::StatusCode::OK, Some(0))?);
        stream.set_proxy_digest(ProxyDigest::new(unused, Some(Box::new(Arc::clone(self)))));
        Ok(())
    }

    /// The connection a request came in on.
    #[must_use]
    pub fn of(session: &Session) -> Option<Arc<Self>> {
        let digest = session.digest()?.proxy_digest.as_ref()?;
        digest.user_data.as_ref()?.downcast_ref::<Arc<Self>>().cloned()
    }
}

/// How many connections there are, in all and from each address.
#[derive(Debug)]
pub struct Slots {
    taken: Mutex<Taken>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    address: Option<IpAddr>,
}

impl Slots {
    /// No connection yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Taken::default()), given_back: Notify::new() })
    }

    /// Waits until no connection is left.
    pub async fn all_given_back(&self) {
        loop {
            let given_back = self.given_back.notified();
            if self.taken.lock().unwrap_or_else(PoisonError::into_inner).all == 0 {
                return;
            }
            given_back.await;
        }
    }

    /// A place for one more connection, or none. A trusted hop speaks for many clients, so it is counted
    /// among all connections but not by address.
    pub(super) fn take(
        self: &Arc<Self>,
        peer: SocketAddr,
        trusted_hop: bool,
        all_max: usize,
        by_address_max: usize,
    ) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.all >= all_max {
            return None;
        }
        let address = (!trusted_hop).then(|| peer.ip());
        if let Some(address) = address {
            let count = taken.by_address.entry(address).or_insert(0);
            if *count >= by_address_max {
                return None;
            }
            *count = count.saturating_add(1);
        }
        taken.all = taken.all.saturating_add(1);
        drop(taken);
        Some(Slot { slots: Arc::clone(self), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = taken.by_address.get_mut(&address)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_address.remove(&address);
            }
        }
        drop(taken);
        self.slots.given_back.notify_waiters();
    }
}

/// Within this time a certificate that expires, or whose revocation list does, is noticed.
const RECHECK_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 4000))
    }

    #[test]
    fn connections_are_counted_in_all_and_by_address() {
        let slots = Slots::new();
        let first = slots.take(peer(1), false, 3, 2).unwrap();
        let _second = slots.take(peer(1), false, 3, 2).unwrap();
        assert!(slots.take(peer(1), false, 3, 2).is_none(), "the third of one address");
        let _third = slots.take(peer(2), false, 3, 2).unwrap();
        assert!(slots.take(peer(3), false, 3, 2).is_none(), "the fourth of all");
        drop(first);
        assert!(slots.take(peer(1), false, 3, 2).is_some(), "a place that was given back");
    }

    #[test]
    fn a_trusted_hop_is_not_counted_by_address() {
        let slots = Slots::new();
        let _all: Vec<Slot> = (0..5).map(|_| slots.take(peer(9), true, 10, 1).unwrap()).collect();
        assert!(slots.take(peer(9), false, 10, 1).is_some());
    }
}
