//! What stands behind every server: answers that were written down before the first request came.
//!
//! It has a thread of its own, and its CPU time is nobody's.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::workload;

/// A running origin. Its thread ends with the process.
pub(super) struct Origin {
    address: SocketAddr,
}

impl Origin {
    pub(super) fn start() -> Self {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        socket.set_nonblocking(true).expect("a socket can be made not to block");
        let address = socket.local_addr().expect("a bound socket has an address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        thread::spawn(move || {
            runtime.block_on(async {
                let socket = TcpListener::from_std(socket).expect("the socket is of this runtime");
                while let Ok((connection, _)) = socket.accept().await {
                    tokio::spawn(serve(connection));
                }
            });
        });
        Self { address }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(mut connection: TcpStream) {
    let (order, stock) = (workload::answer(true), workload::answer(false));
    connection.set_nodelay(true).expect("TCP has no delay");
    let mut buffer = Vec::with_capacity(1 << 16);
    loop {
        let Some(end) = end_of_message(&buffer) else {
            match connection.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let answer = if buffer.starts_with(b"POST") { &order } else { &stock };
        buffer.drain(..end);
        if connection.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Where the first message ends, once it is all there.
pub(super) fn end_of_message(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).expect("a head here is ASCII");
    let length = text.split("\r\n").filter_map(|line| line.split_once(": ")).find_map(|(name, value)| {
        assert!(!name.eq_ignore_ascii_case("transfer-encoding"), "a length is expected: {text}");
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_its_length_says() {
        for (bytes, end) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n", None),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", Some(27)),
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab", None),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET", Some(41)),
        ] {
            assert_eq!(end_of_message(bytes.as_bytes()), end, "{bytes}");
        }
    }
}
