//! A client whose TLS a test decides itself: which version, which name, which sessions are kept?

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};
use testbed::certificates::Identity;
use testbed::{SERVER_NAME, install_provider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a client keeps between its connections.
pub(crate) struct TlsClient {
    config: Arc<ClientConfig>,
    address: SocketAddr,
}

/// One connection, over HTTP/1.1.
pub(crate) struct TlsConnection(TlsStream<TcpStream>);

impl TlsClient {
    /// A client that trusts `roots_pem`, shows `identity`, and resumes sessions where it may.
    pub(crate) fn new(
        address: SocketAddr,
        roots_pem: &str,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        install_provider();
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.collect::<Result<_, _>>().unwrap(), key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(8);
        Self { config: Arc::new(config), address }
    }

    /// Connects and asks for the certificate of `name`.
    pub(crate) async fn connect_to(&self, name: &'static str) -> std::io::Result<TlsConnection> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(name).unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        Ok(TlsConnection(connector.connect(name, stream).await?))
    }

    /// Connects, sends a GET and returns the status, and how the handshake went. The connection is closed.
    pub(crate) async fn get(&self, path: &str) -> std::io::Result<(u16, HandshakeKind)> {
        let mut connection = self.connect_to(SERVER_NAME).await?;
        let status = connection.get(path).await?;
        Ok((status, connection.0.get_ref().1.handshake_kind().unwrap()))
    }
}

impl TlsConnection {
    /// Sends a GET as the last request, and returns the status of its answer.
    pub(crate) async fn get(&mut self, path: &str) -> std::io::Result<u16> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n");
        self.0.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // A peer may end without having said so; what it answered before counts.
        let ended = self.0.read_to_end(&mut answer).await;
        let status = String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|code| code.parse().ok());
        match (status, ended) {
            (Some(status), _) => Ok(status),
            (None, Err(fault)) => Err(fault),
            (None, Ok(_)) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The certificate that the gateway showed.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}
