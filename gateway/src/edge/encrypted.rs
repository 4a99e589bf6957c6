//! How does a connection become encrypted, and if it does not, why?
//!
//! Pingora's own handshake keeps of a failure only a text. Here the handshake is done directly, so that its
//! cause is a value; the stream behaves as Pingora wants its streams.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::l4::stream::Stream as PlainStream;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::handshake::{Cause, Failed, Shown};

/// A connection over TLS.
#[derive(Debug)]
pub(super) struct Encrypted(Box<TlsStream<PlainStream>>);

tokio::task_local! {
    /// The certificate that the handshake of this task refused: rustls tells why, but not which.
    static REFUSED: RefCell<Option<Shown>>;
}

/// Notes a certificate that is refused within a handshake.
pub(super) fn note_refused(leaf: &CertificateDer<'_>) {
    // Elsewhere than in a handshake whoever asked has the certificate.
    drop(REFUSED.try_with(|refused| refused.replace(Some(Shown::of(leaf)))));
}

impl Encrypted {
    /// Does the handshake.
    ///
    /// # Errors
    /// Why there is no encrypted connection, and which certificate was shown, if one was refused.
    pub(super) async fn accept(server: Arc<ServerConfig>, plain: PlainStream) -> Result<Self, Failed> {
        REFUSED
            .scope(RefCell::new(None), async move {
                let accepted = TlsAcceptor::from(server).accept(plain).await;
                let refused = || REFUSED.with(RefCell::take);
                accepted
                    .map(|stream| Self(Box::new(stream)))
                    .map_err(|fault| Failed { cause: Cause::of(&fault), shown: refused() })
            })
            .await
    }

    /// The chain that the client proved to hold, the leaf first.
    pub(super) fn client_chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = self.0.get_ref().1.peer_certificates().unwrap_or_default();
        chain.iter().map(|certificate| certificate.clone().into_owned()).collect()
    }

    fn plain(&self) -> &PlainStream {
        self.0.get_ref().0
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Encrypted {
    async fn shutdown(&mut self) {
        // A client that has gone already needs no goodbye.
        drop(AsyncWriteExt::shutdown(&mut self.0).await);
    }
}

impl Ssl for Encrypted {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        match self.0.get_ref().1.alpn_protocol()? {
            b"h2" => Some(ALPN::H2),
            b"http/1.1" => Some(ALPN::H1),
            _ => None,
        }
    }
}

#[async_trait]
impl Peek for Encrypted {}

impl UniqueID for Encrypted {
    fn id(&self) -> UniqueIDType {
        self.plain().id()
    }
}

impl GetTimingDigest for Encrypted {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.plain().get_timing_digest()
    }
}

impl GetProxyDigest for Encrypted {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.plain().get_proxy_digest()
    }
}

impl GetSocketDigest for Encrypted {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.plain().get_socket_digest()
    }
}
