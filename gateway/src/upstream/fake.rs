//! Upstreams that misbehave on cue, for the tests of this room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::settings::{Protocol, UpstreamSettings};

/// Settings that work.
pub(super) fn settings(addresses: &[&str]) -> UpstreamSettings {
    UpstreamSettings {
        name: "odoo".into(),
        addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
        tls: None,
        protocol: Protocol::Http1,
        connect_timeout: Duration::from_secs(5),
        first_byte_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(30),
        host: Some("odoo.test".into()),
        in_flight_max: 16,
        credential: None,
        identity_header: HeaderName::from_static("x-caller"),
        response_headers: Vec::new(),
    }
}

/// What a fake does with one connection, in order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Reads one request, head and body.
    Read,
    /// Reads one head and leaves the body.
    ReadHead,
    /// Writes these bytes.
    Write(&'static str),
    /// Writes that many bytes of `x`.
    Fill(usize),
    /// Closes with a reset instead of an end.
    Reset,
    /// Neither reads nor writes again, and keeps the connection.
    Hang,
}

/// A fake on a port of its own: one script a connection, the last one for all that follow.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Fake {
    pub(super) async fn plain(scripts: &[&[Step]]) -> Self {
        Self::new(scripts, None).await
    }

    pub(super) async fn tls(scripts: &[&[Step]], tls: ServerConfig) -> Self {
        Self::new(scripts, Some(TlsAcceptor::from(Arc::new(tls)))).await
    }

    async fn new(scripts: &[&[Step]], tls: Option<TlsAcceptor>) -> Self {
        let scripts: Vec<Vec<Step>> = scripts.iter().map(|script| script.to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (counted, seen) = (Arc::clone(&connections), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let n = counted.fetch_add(1, Ordering::SeqCst);
                let script = scripts[n.min(scripts.len() - 1)].clone();
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match tls {
                        None if script.iter().any(|step| matches!(step, Step::Reset)) => {
                            play_and_reset(socket, &script, &seen).await;
                        }
                        None => play(socket, &script, &seen).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(socket).await {
                                play(stream, &script, &seen).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, connections, requests }
    }

    /// Connections accepted so far.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Requests read so far, heads and bodies as they came.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn play_and_reset(socket: TcpStream, script: &[Step], seen: &std::sync::Mutex<Vec<String>>) {
    // A linger of zero makes the close a reset.
    socket.set_zero_linger().unwrap();
    play(socket, script, seen).await;
}

async fn play<S>(mut stream: S, script: &[Step], seen: &std::sync::Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for step in script {
        match *step {
            Step::Read => {
                let Some(request) = read_request(&mut stream).await else { return };
                seen.lock().unwrap().push(request);
            }
            Step::ReadHead => {
                let mut byte = [0];
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
                    head.push(byte[0]);
                }
            }
            Step::Write(text) => {
                if stream.write_all(text.as_bytes()).await.is_err() {
                    return;
                }
            }
            Step::Fill(bytes) => {
                let piece = vec![b'x'; 1 << 16];
                for _ in 0..bytes / piece.len() {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            }
            Step::Reset => return,
            Step::Hang => std::future::pending().await,
        }
        drop(stream.flush().await);
    }
    drop(stream.shutdown().await);
}

/// One request by its content length, as text.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8(bytes).unwrap());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// What an HTTP/2 fake does with its streams.
#[derive(Debug, Clone, Copy)]
pub(super) enum H2 {
    /// Answers each request with its own body.
    Echo,
    /// Refuses the first stream, then answers.
    RefuseFirst,
    /// Ends each stream with an error.
    Reset,
    /// Declares more than it sends.
    Cut,
}

/// An HTTP/2 server; in the clear, or over TLS with `h2` negotiated.
pub(super) async fn h2(behaviour: H2, tls: Option<ServerConfig>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = tls.map(|mut config| {
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    });
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            match tls.clone() {
                None => drop(tokio::spawn(serve_h2(socket, behaviour, first))),
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        tokio::spawn(serve_h2(stream, behaviour, first));
                    }
                }
            }
        }
    });
    (address, connections)
}

async fn serve_h2<S>(stream: S, behaviour: H2, first: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            let mut body = request.into_body();
            let mut whole = Vec::new();
            match behaviour {
                H2::RefuseFirst if first => return respond.send_reset(h2::Reason::REFUSED_STREAM),
                H2::Reset => return respond.send_reset(h2::Reason::INTERNAL_ERROR),
                H2::RefuseFirst | H2::Echo | H2::Cut => {}
            }
            while let Some(Ok(chunk)) = body.data().await {
                body.flow_control().release_capacity(chunk.len()).unwrap();
                whole.extend_from_slice(&chunk);
            }
            let mut head = http::Response::builder().header("x-authority", authority);
            if matches!(behaviour, H2::Cut) {
                head = head.header("content-length", "1000");
            }
            let mut send = respond.send_response(head.body(()).unwrap(), false).unwrap();
            drop(send.send_data(Bytes::from(whole), true));
        });
    }
}

/// A certificate authority of the tests.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(super) struct Issued {
    der: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    pub(super) fn issue(&self, name: &str) -> Issued {
        self.sign(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    pub(super) fn issue_expired(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Issued { der: certificate.der().clone(), pem: certificate.pem(), key }
    }
}

impl Issued {
    pub(super) fn chain_pem(&self) -> String {
        self.pem.clone()
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server that shows this certificate and, with `clients`, asks for one of theirs.
    pub(super) fn server(&self, clients: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(authority.0.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                config.with_client_cert_verifier(verifier)
            }
        };
        config.with_single_cert(vec![self.der.clone()], key).unwrap()
    }
}
