//! One HTTP/2 connection: how many streams at once, and how long may it say nothing?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, H2Options, HttpSession};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::connection::Connection;
use super::head::HeadFault;
use super::{Edge, answer};
use crate::config::EdgeLimits;
use crate::exchange::{self, BrokenHead};

/// Serves the connection until it ends, is silent for too long, or the gateway stops.
pub(super) async fn serve(
    edge: &Edge,
    client: &Arc<Connection>,
    stream: Stream,
    mut shutdown: ShutdownWatch,
) {
    let limits = &edge.gateway.limits;
    let digest = Arc::new(Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    });
    let Ok(Ok(mut connection)) =
        timeout(limits.head_time, server::handshake(stream, Some(options(limits)))).await
    else {
        return;
    };
    let open = Arc::new(Open::default());
    let (mut stopping, mut malformed) = (false, 0_usize);
    let streams_max = usize::try_from(limits.streams_per_connection.get()).unwrap_or(usize::MAX);
    let running_max = streams_max.saturating_mul(RUNNING_PER_STREAM);
    loop {
        let accepted = tokio::select! {
            biased;
            _ = shutdown.wait_for(|stop| *stop), if !stopping => {
                connection.graceful_shutdown();
                stopping = true;
                continue;
            }
            accepted = HttpSession::from_h2_conn(&mut connection, Arc::clone(&digest)) => accepted,
            () = open.idle_for(limits.idle_time) => return,
        };
        match accepted {
            // A stream that its client reset is free for the protocol, but its request still runs.
            Ok(Some(H2Accept::Session(_))) if open.count() >= running_max => return,
            Ok(Some(H2Accept::Session(session))) if session.req_header().method == Method::CONNECT => {
                refuse(edge, client, session, open.begin());
            }
            Ok(Some(H2Accept::Session(session))) => spawn(edge, session, open.begin(), &shutdown),
            Ok(Some(H2Accept::Rejected)) if malformed < MALFORMED_STREAMS_MAX => {
                malformed = malformed.saturating_add(1);
                record(edge, client, open.begin());
            }
            Ok(Some(H2Accept::Rejected) | None) | Err(_) => return,
        }
    }
}

fn spawn(edge: &Edge, session: HttpSession, stream: OpenStream, shutdown: &ShutdownWatch) {
    let (proxy, shutdown) = (Arc::clone(&edge.proxy), shutdown.clone());
    let mut session = ServerSession::new_http2(session);
    // RFC 9113 section 10.5: a client that opens no window would hold its answer for ever.
    session.set_write_timeout(Some(edge.gateway.limits.idle_time));
    tokio::spawn(async move {
        let _stream = stream;
        // HTTP/2 has no connection to hand back: the streams share it.
        drop(proxy.process_new_http(session, &shutdown).await);
    });
}

/// Refuses a method that nobody serves, as the head of an HTTP/1.1 request is refused. Pingora would
/// answer it by itself, and nobody would know.
fn refuse(edge: &Edge, client: &Arc<Connection>, session: HttpSession, stream: OpenStream) {
    let (gateway, client) = (Arc::clone(&edge.gateway), Arc::clone(client));
    let mut session = ServerSession::new_http2(session);
    session.set_write_timeout(Some(gateway.limits.idle_time));
    tokio::spawn(async move {
        let _stream = stream;
        let fault = BrokenHead::Fault(HeadFault::MethodUnknown);
        let answer = exchange::refuse_head(&gateway, &client, fault).await;
        // A client that left has its record all the same.
        drop(timeout(gateway.limits.idle_time, answer::write_to_stream(&mut session, answer)).await);
    });
}

/// Records a stream that Pingora refused while it accepted it: answered with a bare 400, or reset.
fn record(edge: &Edge, client: &Arc<Connection>, stream: OpenStream) {
    let (gateway, client) = (Arc::clone(&edge.gateway), Arc::clone(client));
    tokio::spawn(async move {
        let _stream = stream;
        let fault = BrokenHead::Fault(HeadFault::Stream);
        // Its answer has left already.
        drop(exchange::refuse_head(&gateway, &client, fault).await);
    });
}

/// RFC 9113 section 10.5; CVE-2023-44487 (rapid reset), CVE-2025-8671 (resets made by us).
fn options(limits: &EdgeLimits) -> H2Options {
    let mut options = server::default_h2_options();
    let head_bytes = u32::try_from(limits.head.bytes_max).unwrap_or(u32::MAX);
    options
        .max_concurrent_streams(limits.streams_per_connection.get())
        .max_header_list_size(head_bytes)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(Some(RESETS_MAX));
    options
}

/// The streams that are being served.
#[derive(Debug, Default)]
struct Open {
    count: AtomicUsize,
    ended: Notify,
}

/// One stream that is being served.
struct OpenStream(Arc<Open>);

impl Open {
    fn begin(self: &Arc<Self>) -> OpenStream {
        self.count.fetch_add(1, Ordering::AcqRel);
        OpenStream(Arc::clone(self))
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Ends when nothing has been served for this long.
    async fn idle_for(&self, idle: std::time::Duration) {
        loop {
            let ended = self.ended.notified();
            if self.count() == 0 {
                if timeout(idle, ended).await.is_err() {
                    return;
                }
            } else {
                ended.await;
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_one();
    }
}

/// Streams with a head that h2 itself refused; a client with more of them is not speaking HTTP.
const MALFORMED_STREAMS_MAX: usize = 16;
/// An honest client resets a stream now and then and opens another; one with more requests running than
/// this for each stream it may have (CVE-2023-44487) loses its connection.
const RUNNING_PER_STREAM: usize = 2;
/// Streams that may be reset before they were accepted, or reset by us for errors.
const RESETS_MAX: usize = 32;
