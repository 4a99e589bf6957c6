//! Where the simulated Vault listens: with TLS, asking for a client certificate, and able to be down for a while.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// A stream, and the certificate that its client showed.
pub(super) type Accepted = (tokio_rustls::server::TlsStream<tokio::net::TcpStream>, Option<Vec<u8>>);

/// A listener that keeps its port while it is down.
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    start: Box<dyn Fn(TcpListener) -> JoinHandle<()> + Send + Sync>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Listener {
    pub(super) async fn start<F>(
        tls: Arc<ServerConfig>,
        serve: impl Fn(Accepted, u64) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let serve = Arc::new(serve);
        let start = move |listener: TcpListener| {
            let (serve, acceptor) = (Arc::clone(&serve), TlsAcceptor::from(Arc::clone(&tls)));
            tokio::spawn(async move {
                // Dropped with this task, and every connection with it.
                let mut connections = JoinSet::new();
                for number in 1.. {
                    let Ok((tcp, _)) = listener.accept().await else { return };
                    let (serve, acceptor) = (Arc::clone(&serve), acceptor.clone());
                    connections.spawn(async move {
                        // A failed handshake is the client's affair, and often what a test wants.
                        let Ok(stream) = acceptor.accept(tcp).await else { return };
                        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                        let peer = shown.map(|certificate| certificate.to_vec());
                        serve((stream, peer), number).await;
                    });
                    while connections.try_join_next().is_some() {}
                }
            })
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = Mutex::new(Some(start(listener)));
        Self { address, start: Box::new(start), task }
    }

    /// Closes the port and every connection: whoever comes now is refused.
    pub(super) async fn down(&self) {
        let task = self.task.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            drop(task.await);
        }
    }

    /// Listens again, at the same port.
    pub(super) async fn up(&self) {
        if self.task.lock().unwrap().is_some() {
            return;
        }
        let listener = TcpListener::bind(self.address).await.expect("its own port is free");
        *self.task.lock().unwrap() = Some((self.start)(listener));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
}
