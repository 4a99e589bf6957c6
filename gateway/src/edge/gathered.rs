//! How do the head and the body of an answer leave in one piece?
//!
//! Pingora writes them one after the other and flushes at the end. Its own listeners put a buffer below;
//! ours is here, so that a usual answer costs one call to the kernel (and one TLS record), not two.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};

/// A connection whose small writes wait for the flush, or for more than the buffer holds.
#[derive(Debug)]
pub(super) struct Gathered(BufWriter<Stream>);

impl Gathered {
    pub(super) fn new(stream: Stream) -> Self {
        Self(BufWriter::with_capacity(GATHERED_BYTES_MAX, stream))
    }
}

impl AsyncRead for Gathered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Whoever waits for the client has said what there is to say: a streamed answer's head, for one.
        if !self.0.buffer().is_empty() {
            ready!(Pin::new(&mut self.0).poll_flush(context))?;
        }
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Gathered {
    async fn shutdown(&mut self) {
        self.0.get_mut().shutdown().await;
    }
}

#[async_trait]
impl Peek for Gathered {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.0.get_mut().try_peek(buffer).await
    }
}

impl UniqueID for Gathered {
    fn id(&self) -> UniqueIDType {
        self.0.get_ref().id()
    }
}

impl Ssl for Gathered {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.0.get_ref().get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.0.get_ref().selected_alpn_proto()
    }
}

impl GetTimingDigest for Gathered {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.0.get_ref().get_timing_digest()
    }
}

impl GetProxyDigest for Gathered {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.0.get_ref().get_proxy_digest()
    }
}

impl GetSocketDigest for Gathered {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.0.get_ref().get_socket_digest()
    }
}

/// The head and a body of a few kilobytes; each open connection holds as much.
const GATHERED_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_is_small_leaves_with_the_flush_and_in_order() {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let mut near = Gathered::new(Box::new(near));
        near.write_all(b"head").await.unwrap();
        near.write_all(b"body").await.unwrap();
        let mut read = [0; 64];
        let early =
            tokio::select! { biased; read = far.read(&mut read) => read.unwrap(), () = async {} => 0 };
        assert_eq!(early, 0);
        near.flush().await.unwrap();
        assert_eq!(far.read(&mut read).await.unwrap(), 8);
        assert_eq!(&read[..8], b"headbody");
    }

    #[tokio::test]
    async fn what_is_large_does_not_wait_and_what_is_read_is_not_touched() {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let mut near = Gathered::new(Box::new(near));
        near.write_all(b"head").await.unwrap();
        near.write_all(&[b'x'; 2 * GATHERED_BYTES_MAX]).await.unwrap();
        let mut read = vec![0; 4 + 2 * GATHERED_BYTES_MAX];
        far.read_exact(&mut read).await.unwrap();
        assert!(read.starts_with(b"headx"));
        far.write_all(b"next").await.unwrap();
        let mut read = [0; 4];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"next");
    }
}
