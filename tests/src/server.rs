//! A listener on a free loopback port that gives each connection to a function, until it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::http1::Stream;

/// A running listener.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

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
        let task = tokio::spawn(async move {
            // Dropped with this task, and every connection with it.
            let mut connections = JoinSet::new();
            for number in 1.. {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let (serve, acceptor) = (Arc::clone(&serve), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => serve(Box::new(tcp), number).await,
                        Some(acceptor) => {
                            // A failed handshake is the client's affair, and often what a test wants.
                            if let Ok(stream) = acceptor.accept(tcp).await {
                                serve(Box::new(stream), number).await;
                            }
                        }
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}
