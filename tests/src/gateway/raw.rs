//! A hostile or broken client: bytes as they are written down, and the exact answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::Identity;
use crate::http1::{Stream, read_reply};
use crate::tls;
use crate::world::SERVER_NAME;

pub use crate::http1::RawReply;

/// A connection.
pub struct RawConnection {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

impl RawConnection {
    pub(super) async fn plain(address: SocketAddr) -> Self {
        Self::over(Box::new(connected(address).await))
    }

    pub(super) async fn tls(
        address: SocketAddr,
        roots: &str,
        identity: Option<&Identity>,
    ) -> io::Result<Self> {
        let mut config = tls::client(roots, identity);
        Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(SERVER_NAME).expect("a name is a name");
        let stream = TlsConnector::from(config).connect(name, connected(address).await).await?;
        Ok(Self::over(Box::new(stream)))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The gateway has closed the connection.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    /// Sends nothing more, and says so.
    ///
    /// # Errors
    /// The gateway has closed the connection.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// The next answer; `None` when the connection was closed before one began.
    ///
    /// # Errors
    /// The answer was cut, or the connection reset.
    pub async fn reply(&mut self) -> io::Result<Option<RawReply>> {
        within(read_reply(&mut self.stream, &mut self.buffer)).await
    }

    /// Everything until the gateway closes the connection.
    ///
    /// # Errors
    /// The connection was reset.
    pub async fn read_to_end(&mut self) -> io::Result<Bytes> {
        within(async {
            while self.stream.read_buf(&mut self.buffer).await? > 0 {}
            Ok(self.buffer.split().freeze())
        })
        .await
    }
}

async fn connected(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap_or_else(|e| panic!("{address}: {e}"))
}

async fn within<T>(read: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timed_out = || Err(io::Error::from(io::ErrorKind::TimedOut));
    tokio::time::timeout(REPLY_TIME_MAX, read).await.unwrap_or_else(|_| timed_out())
}

impl std::fmt::Debug for RawConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawConnection").field("unread", &self.buffer).finish_non_exhaustive()
    }
}

/// Longer than any limit of the gateway that a test waits for.
const REPLY_TIME_MAX: Duration = Duration::from_secs(40);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;
    use crate::repository;
    use crate::upstream::{Answer, Security, Upstream};

    const STATUS: &str = "GET /stock/v1/status HTTP/1.1\r\nhost: x\r\n";

    #[tokio::test]
    async fn bytes_go_out_as_written_and_answers_come_back_one_by_one() {
        let contracts = repository::folder("contracts");
        let servers = Authority::new("servers");
        let identity = servers.server(&[SERVER_NAME]);
        let plain = Upstream::start(&contracts, Security::None).await;
        let secure = Upstream::start(&contracts, Security::Tls { identity: &identity, clients: None }).await;
        for (peer, mut connection) in [
            (&plain, RawConnection::plain(plain.address()).await),
            (&secure, RawConnection::tls(secure.address(), &servers.pem(), None).await.unwrap()),
        ] {
            for odd in ["X-a:b\t\r\n\r\n", "x-A:  b\r\n\r\n"] {
                connection.send(format!("{STATUS}{odd}")).await.unwrap();
                assert_eq!(connection.reply().await.unwrap().unwrap().status, 200);
            }
            let heads: Vec<_> = peer.seen().into_iter().map(|seen| seen.head).collect();
            assert_eq!(heads, [format!("{STATUS}X-a:b\t\r\n\r\n"), format!("{STATUS}x-A:  b\r\n\r\n")]);
            connection.finish().await.unwrap();
            assert_eq!(connection.reply().await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_no_answer_can_be_read_too() {
        let peer = Upstream::start(&repository::folder("contracts"), Security::None).await;
        peer.next(|_| Answer::raw("nonsense"));
        let mut connection = RawConnection::plain(peer.address()).await;
        connection.send(format!("{STATUS}\r\n")).await.unwrap();
        assert_eq!(connection.read_to_end().await.unwrap(), "nonsense");
    }

    #[tokio::test]
    async fn a_stranger_is_not_spoken_to() {
        let identity = Authority::new("servers").server(&[SERVER_NAME]);
        let security = Security::Tls { identity: &identity, clients: None };
        let peer = Upstream::start(&repository::folder("contracts"), security).await;
        let other = Authority::new("others").pem();
        assert!(RawConnection::tls(peer.address(), &other, None).await.is_err());
    }
}
