//! A listener on a free loopback port that gives each connection to a function, until it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http1::Stream;

/// A running listener.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
    shown: Shown,
}

/// The certificates that clients showed, each once, in the order in which they came.
type Shown = Arc<Mutex<Vec<Vec<u8>>>>;

impl Server {
    /// Listens, with TLS if a configuration is given. `serve` gets each connection and its number, from 1 on.
    pub(crate) async fn start<F>(
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(Box<dyn Stream>, u64) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let serve = Arc::new(serve);
        let acceptor = tls.map(TlsAcceptor::from);
        let shown = Shown::default();
        let for_connections = Arc::clone(&shown);
        let task = tokio::spawn(async move {
            // Dropped with this task, and every connection with it.
            let mut connections = JoinSet::new();
            for number in 1.. {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let (serve, acceptor) = (Arc::clone(&serve), acceptor.clone());
                let shown = Arc::clone(&for_connections);
                connections.spawn(async move {
                    match acceptor {
                        None => serve(Box::new(tcp), number).await,
                        Some(acceptor) => {
                            // A failed handshake is the client's affair, and often what a test wants.
                            if let Ok(stream) = acceptor.accept(tcp).await {
                                remember(&shown, stream.get_ref().1.peer_certificates());
                                serve(Box::new(stream), number).await;
                            }
                        }
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task, shown }
    }

    /// The certificates that clients showed so far, each once, in the order in which they came.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        self.shown.lock().unwrap().clone()
    }
}

fn remember(shown: &Shown, chain: Option<&[CertificateDer<'_>]>) {
    let Some(leaf) = chain.and_then(<[_]>::first) else { return };
    let mut shown = shown.lock().unwrap();
    if !shown.iter().any(|known| known == leaf.as_ref()) {
        shown.push(leaf.to_vec());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
