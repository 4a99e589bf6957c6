//! One HTTP/1.1 connection: which bytes are a request, and how long may they take?
//!
//! Pingora's parser accepts more than RFC 9112 allows and waits longer than it should, so each head is
//! read and judged here first, as bytes, and handed to Pingora whole. Only what passed is parsed.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::apps::HttpServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::head::{Scan, Scanner};
use super::{Edge, answer};
use crate::exchange::{self, BrokenHead};

/// Serves the connection until one side has had enough.
pub(super) async fn serve(
    edge: &Edge,
    connection: &Arc<Connection>,
    mut stream: Stream,
    mut shutdown: ShutdownWatch,
) {
    let limits = &edge.gateway.limits;
    for remaining in (0..limits.requests_per_connection.get()).rev() {
        let read = tokio::select! {
            biased; // a request that is there is served, also while stopping
            read = read_head(&mut stream, limits) => read,
            _ = shutdown.wait_for(|stopping| *stopping) => return,
        };
        let head = match read {
            Ok(Some(head)) => head,
            Ok(None) => return,
            Err(fault) => return refuse(edge, connection, &mut stream, fault).await,
        };
        let mut session = ServerSession::new_http1(stream);
        session.set_pipelined_prefix(head);
        let keep = remaining > 0 && !*shutdown.borrow();
        // The wait for the next head is ours; Pingora only needs to know whether there may be one.
        session.set_keepalive(keep.then_some(limits.idle_time.as_secs()));
        session.set_write_timeout(Some(limits.idle_time));
        // A client that is still sending would lose its answer to a reset if the connection were closed
        // (RFC 9112 section 9.6): the rest of its body is read away, though not for as long as it lasts.
        session.set_close_on_response_before_downstream_finish(false);
        session.set_total_drain_timeout(Some(LINGER));
        match edge.proxy.process_new_http(session, &shutdown).await {
            Some(reused) => stream = reused.consume().0,
            None => return,
        }
    }
}

/// Reads one head and perhaps the first bytes of its body. `None` when the client has no more to say.
async fn read_head(
    stream: &mut Stream,
    limits: &crate::config::EdgeLimits,
) -> Result<Option<BytesMut>, BrokenHead> {
    let mut bytes = BytesMut::with_capacity(READ_BYTES);
    let mut scanner = Scanner::new(limits.head);
    let mut received = timeout(limits.idle_time, stream.read_buf(&mut bytes)).await.ok();
    let now = Instant::now();
    let deadline = now.checked_add(limits.head_time).unwrap_or(now);
    loop {
        match received {
            // Silence before the first byte is how connections end.
            None if bytes.is_empty() => return Ok(None),
            None => return Err(BrokenHead::Slow),
            // So is a close; in the middle of a head there is nobody left to answer.
            Some(Ok(0) | Err(_)) => return Ok(None),
            Some(Ok(_)) => {}
        }
        match scanner.scan(&bytes) {
            Ok(Scan::Complete { .. }) => return Ok(Some(bytes)),
            Ok(Scan::Incomplete) => {}
            Err(fault) => return Err(BrokenHead::Fault(fault)),
        }
        received = timeout_at(deadline, stream.read_buf(&mut bytes)).await.ok();
    }
}

/// Answers a head that never became a request, and closes.
async fn refuse(edge: &Edge, connection: &Arc<Connection>, stream: &mut Stream, fault: BrokenHead) {
    let answer = exchange::refuse_head(&edge.gateway, connection, fault).await;
    let written = async {
        stream.write_all(&answer::raw(&answer)).await?;
        stream.flush().await
    };
    if timeout(LINGER, written).await.is_ok_and(|done| done.is_ok()) {
        linger(stream).await;
    }
    // The connection ends now, whether it says so or not; a client that reads nothing is not told.
    drop(timeout(LINGER, AsyncWriteExt::shutdown(stream)).await);
}

/// Reads on for a moment, so that the answer is not lost to a reset for bytes that were still coming.
async fn linger(stream: &mut Stream) {
    let mut sink = BytesMut::with_capacity(READ_BYTES);
    let drain = async {
        for _ in 0..LINGER_READS_MAX {
            sink.clear();
            if stream.read_buf(&mut sink).await.unwrap_or(0) == 0 {
                return;
            }
        }
    };
    // Whether the client closed in time makes no difference: the connection ends now.
    drop(timeout(LINGER, drain).await);
}

/// Most heads, with a small body, arrive in one read of this size.
const READ_BYTES: usize = 4096;
/// Long enough for an answer to arrive, short enough not to serve as a place to hide.
const LINGER: Duration = Duration::from_secs(2);
/// At most 64 KiB of a refused request are read away.
const LINGER_READS_MAX: usize = 16;
