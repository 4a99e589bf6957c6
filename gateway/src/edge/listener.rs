//! Where do callers connect? Sockets, the accept loop, and the way to a protocol.
//!
//! The gateway accepts connections itself instead of leaving it to Pingora's listeners, because those
//! allow 60 s for a handshake, have no count of connections, and fix the TLS settings at the start.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::l4::stream::Stream as PlainStream;
use pingora::protocols::{ALPN, Stream};
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{Connection, Slot};
use super::encrypted::Encrypted;
use super::gathered::Gathered;
use super::proxy_protocol::Header;
use super::streamed::Phases;
use super::{Edge, http1, http2, proxy_protocol};
use crate::config::ListenerSettings;
use crate::gateway::Gateway;
use crate::handshake::{self, Cause, Failed};

/// A socket that is bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    socket: StdListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the address, so that a start fails before anything is served.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub fn new(address: SocketAddr) -> std::io::Result<Self> {
        let socket = StdListener::bind(address)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address as bound: port 0 has become a port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket, for the admin listener.
    #[must_use]
    pub fn into_socket(self) -> StdListener {
        self.socket
    }
}

/// Serves all listeners until the gateway stops.
pub async fn listen(gateway: Arc<Gateway>, listeners: Vec<(ListenerSettings, Bound)>) {
    // What Pingora calls retries are tries: one, for a streamed body cannot be sent again.
    let conf = Arc::new(ServerConf { max_retries: 1, ..ServerConf::default() });
    let mut proxy = HttpProxy::new(Phases::new(Arc::clone(&gateway)), conf);
    proxy.handle_init_modules();
    let edge = Edge { gateway, proxy: Arc::new(proxy) };
    let mut loops = JoinSet::new();
    for (index, (settings, bound)) in listeners.into_iter().enumerate() {
        match TcpListener::from_std(bound.socket) {
            Ok(socket) => {
                let accept = Accept { edge: edge.clone(), settings: Arc::new(settings), index };
                drop(loops.spawn(accept.run(socket)));
            }
            Err(fault) => tracing::error!(%fault, address = %bound.address, "a listener cannot be served"),
        }
    }
    loops.join_all().await;
}

/// The accept loop of one listener.
#[derive(Clone)]
struct Accept {
    edge: Edge,
    settings: Arc<ListenerSettings>,
    index: usize,
}

impl Accept {
    async fn run(self, socket: TcpListener) {
        let mut shutdown: ShutdownWatch = self.edge.gateway.stopping();
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = shutdown.wait_for(|stopping| *stopping) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.begin(stream, peer, &shutdown),
                Err(fault) => {
                    tracing::error!(%fault, "a connection cannot be accepted");
                    // Out of file descriptors, most likely: at once would fail again.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr, shutdown: &ShutdownWatch) {
        let limits = &self.edge.gateway.limits;
        let hop = self.settings.trusted_hops.contain(peer.ip());
        let taken = self.edge.gateway.slots.take(
            peer,
            hop,
            limits.connections_max,
            limits.connections_per_address_max,
        );
        // A connection too many is closed without a word: a word would cost what the limit saves.
        let Some(slot) = taken else { return };
        let (accept, shutdown) = (self.clone(), shutdown.clone());
        tokio::spawn(async move { accept.connection(stream, peer, slot, shutdown).await });
    }

    async fn connection(self, mut stream: TcpStream, peer: SocketAddr, slot: Slot, shutdown: ShutdownWatch) {
        // A failure means the client is gone already, which the first read will find.
        drop(stream.set_nodelay(true));
        let time = self.edge.gateway.limits.handshake_time;
        let Some(address) = self.client(&mut stream, peer, time).await else { return };
        let encrypted = self.settings.tls.is_some();
        let open = self.edge.gateway.metrics().connection_open();
        // A socket that does not know its own end has none that a name could fit.
        let port = stream.local_addr().map_or(0, |own| own.port());
        let connection = Arc::new(Connection::new(self.index, address, encrypted, port, (slot, open)));
        let mut plain = PlainStream::from(stream);
        if connection.travel_with(&mut plain).is_err() {
            return;
        }
        let stream: Stream = if encrypted {
            match self.encrypt(plain, &connection, time).await {
                Some(stream) => stream,
                None => return,
            }
        } else {
            Box::new(plain)
        };
        match stream.selected_alpn_proto() {
            Some(ALPN::H2) => http2::serve(&self.edge, &connection, stream, shutdown).await,
            _ => {
                let stream = Box::new(Gathered::new(stream));
                http1::serve(&self.edge, &connection, stream, shutdown).await;
            }
        }
    }

    /// The client's address: the socket's, or what a trusted proxy says in its PROXY header.
    async fn client(
        &self,
        stream: &mut TcpStream,
        peer: SocketAddr,
        time: Duration,
    ) -> Option<std::net::IpAddr> {
        if !self.settings.proxy_protocol {
            return Some(peer.ip());
        }
        if !self.settings.trusted_hops.contain(peer.ip()) {
            tracing::info!(%peer, "a connection without a trusted PROXY header was closed");
            return None;
        }
        match timeout(time, proxy_header(stream)).await {
            Ok(Ok(Header::Of { client, .. })) => Some(client.ip()),
            Ok(Ok(Header::Own)) => Some(peer.ip()),
            Ok(Err(fault)) => {
                tracing::info!(%peer, %fault, "a connection with a broken PROXY header was closed");
                None
            }
            Err(_elapsed) => None,
        }
    }

    async fn encrypt(&self, plain: PlainStream, connection: &Connection, time: Duration) -> Option<Stream> {
        let gateway = &self.edge.gateway;
        let server = gateway.current().listener_tls(self.index)?.server();
        let outcome = timeout(time, Encrypted::accept(server, plain)).await;
        match outcome.unwrap_or(Err(Failed { cause: Cause::Slow, shown: None })) {
            Ok(stream) => {
                connection.presented(stream.client_chain());
                Some(Box::new(stream))
            }
            Err(failed) => {
                handshake::failed(gateway, self.index, connection.address(), failed).await;
                None
            }
        }
    }
}

/// Reads exactly the PROXY header, and nothing of what follows it.
async fn proxy_header(stream: &mut TcpStream) -> std::io::Result<Header> {
    let mut bytes = vec![0; proxy_protocol::FIXED_BYTES];
    stream.read_exact(&mut bytes).await?;
    let announced = proxy_protocol::announced(&bytes).map_err(std::io::Error::other)?;
    bytes.resize(bytes.len().saturating_add(announced), 0);
    if let Some(rest) = bytes.get_mut(proxy_protocol::FIXED_BYTES..) {
        stream.read_exact(rest).await?;
    }
    match proxy_protocol::parse(&bytes).map_err(std::io::Error::other)? {
        Some((header, _whole)) => Ok(header),
        None => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)),
    }
}

/// When no connection can be accepted, the next try waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
