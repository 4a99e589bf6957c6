//! One request over one connection: what came back, or how far did it get?
//!
//! Owns the connection from the pool to the pool. Decides nothing about another attempt.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, request};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1;
use pingora::protocols::http::v2::client::Http2Session as Http2;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, ErrorType, RetryType};
use tokio::time::{timeout, timeout_at};

use super::error::{Breakage, Effect, Fault};
use super::head::{self, Length};

/// What every attempt of one call has in common.
pub(super) struct Attempt<'a> {
    pub(super) connector: &'a Connector,
    pub(super) head: &'a request::Parts,
    pub(super) body: &'a Bytes,
    pub(super) deadline: Instant,
    pub(super) first_byte_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) response_bytes_max: usize,
}

/// An answer that is whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) head_at: Instant,
}

/// An attempt without a usable answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) effect: Effect,
    pub(super) connection: Connection,
    /// Why no connection could be made, for the log. Never anything of an answer.
    pub(super) cause: Option<BError>,
}

/// The connection an attempt had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// It could not be made.
    Missing,
    /// Made for this attempt.
    New,
    /// Used before: the upstream may have closed it meanwhile.
    Pooled,
}

/// Whether all of the request went out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    Part,
}

impl Attempt<'_> {
    /// Over a pooled connection to `peer`, or a new one.
    pub(super) async fn pooled(&self, peer: &HttpPeer) -> Result<Answer, Failure> {
        self.over(peer, self.idle_timeout).await
    }

    /// Over a connection nobody used before and nobody will use after.
    pub(super) async fn unpooled(&self, peer: &HttpPeer) -> Result<Answer, Failure> {
        self.over(peer, Duration::ZERO).await
    }

    async fn over(&self, peer: &HttpPeer, idle_timeout: Duration) -> Result<Answer, Failure> {
        let (mut session, connection) = self.connect(peer).await?;
        let mut effect = Effect::None;
        let talk = self.talk(&mut session, &mut effect);
        let outcome = timeout_at(self.deadline.into(), talk).await.unwrap_or(Err(Fault::Deadline));
        let reusable = matches!(outcome, Ok((_, Sent::Whole)));
        self.give_back(session, peer, reusable, idle_timeout).await;
        outcome.map(|(answer, _)| answer).map_err(|fault| Failure { fault, effect, connection, cause: None })
    }

    async fn connect(&self, peer: &HttpPeer) -> Result<(HttpSession, Connection), Failure> {
        let missing =
            |fault, cause| Failure { fault, effect: Effect::None, connection: Connection::Missing, cause };
        match timeout_at(self.deadline.into(), self.connector.get_http_session(peer)).await {
            Ok(Ok((session, true))) => Ok((session, Connection::Pooled)),
            Ok(Ok((session, false))) => Ok((session, Connection::New)),
            Ok(Err(error)) => Err(match error.etype() {
                ErrorType::TLSHandshakeFailure | ErrorType::TLSHandshakeTimedout | ErrorType::InvalidCert => {
                    missing(Fault::Tls, Some(error))
                }
                // A pooled HTTP/2 connection that takes no more streams.
                ErrorType::H2Error => {
                    Failure { connection: Connection::Pooled, ..missing(Fault::Closed, Some(error)) }
                }
                _ => missing(Fault::Unreachable, Some(error)),
            }),
            Err(_elapsed) => Err(missing(Fault::Deadline, None)),
        }
    }

    async fn talk(&self, session: &mut HttpSession, effect: &mut Effect) -> Result<(Answer, Sent), Fault> {
        let request = Box::new(RequestHeader::from(self.head.clone()));
        let sent = match session {
            HttpSession::H1(h1) => {
                let sent = self.send_h1(h1, request, effect).await?;
                self.await_head(effect, read_head_h1(h1)).await?;
                sent
            }
            HttpSession::H2(h2) => {
                let sent = self.send_h2(h2, request, effect).await?;
                self.await_head(effect, read_head_h2(h2)).await?;
                sent
            }
            HttpSession::Custom(()) => return Err(Fault::Unsendable),
        };
        let head_at = Instant::now();
        let head = session.response_header().ok_or(Fault::Broken(Breakage::Head))?;
        let (status, headers) = (head.status, head.headers.clone());
        let length = head::check_fields(&self.head.method, status, head.version, &headers)?;
        let body = self.read_body(session, length).await?;
        Ok((Answer { status, headers, body, head_at }, sent))
    }

    async fn send_h1(
        &self,
        h1: &mut Http1,
        request: Box<RequestHeader>,
        effect: &mut Effect,
    ) -> Result<Sent, Fault> {
        // A head that did not go out whole is no request: nothing can have been done.
        h1.write_request_header(request).await.map_err(|error| unsent(&error))?;
        *effect = Effect::Possible;
        if !self.body.is_empty() && h1.write_body(self.body).await.is_err() {
            // RFC 9112 section 9.5: the upstream may have answered before it read everything.
            return Ok(Sent::Part);
        }
        Ok(if h1.finish_body().await.is_ok() { Sent::Whole } else { Sent::Part })
    }

    async fn send_h2(
        &self,
        h2: &mut Http2,
        request: Box<RequestHeader>,
        effect: &mut Effect,
    ) -> Result<Sent, Fault> {
        h2.write_request_header(request, self.body.is_empty()).map_err(|error| unsent(&error))?;
        *effect = Effect::Possible;
        if !self.body.is_empty() && h2.write_request_body(self.body.clone(), true).await.is_err() {
            return Ok(Sent::Part);
        }
        Ok(Sent::Whole)
    }

    async fn await_head(
        &self,
        effect: &mut Effect,
        head: impl Future<Output = Result<(), Unanswered>>,
    ) -> Result<(), Fault> {
        let unanswered = match timeout(self.first_byte_timeout, head).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(unanswered)) => unanswered,
            Err(_elapsed) => return Err(Fault::FirstByte),
        };
        match unanswered {
            Unanswered::Refused => {
                *effect = Effect::None;
                Err(Fault::Closed)
            }
            Unanswered::Fault(fault) => Err(fault),
        }
    }

    /// The whole body, bounded by what is declared and by what comes.
    async fn read_body(&self, session: &mut HttpSession, length: Length) -> Result<Bytes, Fault> {
        let max = match length {
            Length::None => 0,
            Length::Declared(bytes) if bytes > self.response_bytes_max => return Err(Fault::TooLarge),
            Length::Declared(_) | Length::Unknown => self.response_bytes_max,
        };
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(chunk) = session.read_response_body().await.map_err(|_error| CUT)? {
            let so_far = first.len().saturating_add(rest.len()).saturating_add(chunk.len());
            if so_far > max {
                return Err(if length == Length::None { CUT } else { Fault::TooLarge });
            }
            // Most answers come in one piece, which then is the body without a copy.
            if first.is_empty() {
                first = chunk;
            } else {
                rest.extend_from_slice(&chunk);
            }
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(first.len().saturating_add(rest.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }

    async fn give_back(
        &self,
        mut session: HttpSession,
        peer: &HttpPeer,
        reusable: bool,
        idle_timeout: Duration,
    ) {
        // An HTTP/2 connection is shared: one stream's failure ends the stream, and the pool has to
        // hear of it. An HTTP/1 connection in an unknown state is closed.
        if !reusable {
            session.shutdown().await;
        }
        if matches!(session, HttpSession::H2(_)) || (reusable && !idle_timeout.is_zero()) {
            self.connector.release_http_session(session, peer, Some(idle_timeout)).await;
        }
    }
}

/// Why no head came.
enum Unanswered {
    /// The upstream says it has not looked at the request.
    Refused,
    Fault(Fault),
}

/// The final head; interim ones are left behind.
async fn read_head_h1(h1: &mut Http1) -> Result<(), Unanswered> {
    // RFC 9110 section 15.2: a client is able to parse any number of interim answers, even unexpected
    // ones. An upstream that is sent `Expect` by somebody else's mistake answers 100 twice.
    for _ in 0..INTERIM_MAX {
        h1.read_response().await.map_err(|error| Unanswered::Fault(unread(&error)))?;
        match h1.get_status() {
            // RFC 9110 section 15.2.2: nobody asked for another protocol.
            Some(StatusCode::SWITCHING_PROTOCOLS) | None => break,
            Some(status) if status.is_informational() => {}
            Some(_final) => {
                return head::check_bytes(&h1.get_headers_raw_bytes()).map_err(Unanswered::Fault);
            }
        }
    }
    Err(Unanswered::Fault(Fault::Broken(Breakage::Interim)))
}

async fn read_head_h2(h2: &mut Http2) -> Result<(), Unanswered> {
    h2.read_response_header().await.map_err(|error| match (error.etype(), &error.retry) {
        // RFC 9113 section 8.7: REFUSED_STREAM, and streams above those a GOAWAY names, were not processed.
        (ErrorType::H2Error, RetryType::Decided(true)) => Unanswered::Refused,
        _ => Unanswered::Fault(unread(&error)),
    })?;
    match h2.response_header() {
        Some(head) if head.status.is_informational() => {
            Err(Unanswered::Fault(Fault::Broken(Breakage::Interim)))
        }
        _ => Ok(()),
    }
}

fn unsent(error: &BError) -> Fault {
    match error.etype() {
        ErrorType::InvalidHTTPHeader => Fault::Unsendable,
        _ => Fault::Closed,
    }
}

fn unread(error: &BError) -> Fault {
    match error.etype() {
        ErrorType::InvalidHTTPHeader | ErrorType::InvalidH2 | ErrorType::H2Downgrade => {
            Fault::Broken(Breakage::Head)
        }
        _ => Fault::Closed,
    }
}

const CUT: Fault = Fault::Broken(Breakage::Body);
/// Interim answers before a final one: more than any server sends, fewer than would hold a call.
const INTERIM_MAX: usize = 8;
