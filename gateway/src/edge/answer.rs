//! How does an answer leave?

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

/// What the caller gets: the whole of it, before the first byte leaves.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Every field but the framing, which is written here.
    pub headers: HeaderMap,
    /// The body, also when the method is HEAD (then only its length is told).
    pub body: Bytes,
}

/// Writes the answer to the client, within `time` in all.
///
/// # Errors
/// The client is gone or does not read.
pub async fn write(session: &mut Session, answer: Answer, time: Duration) -> pingora::Result<()> {
    // Pingora bounds the writing of a body, but not that of a head.
    let Ok(written) = timeout(time, write_whole(session, answer)).await else {
        return Error::e_explain(ErrorType::WriteTimedout, "the client does not read its answer");
    };
    written
}

async fn write_whole(session: &mut Session, answer: Answer) -> pingora::Result<()> {
    let Answer { status, headers, body } = answer;
    // RFC 9110 section 10.1.1: a client that waits for a 100 and gets this answer instead may leave the
    // body out. What it sends next must not be taken for that body.
    if session.req_header().headers.contains_key(EXPECT) && !session.downstream_session.is_body_done() {
        session.set_keepalive(None);
    }
    let bodyless = session.req_header().method == Method::HEAD || forbids_body(status);
    let mut head = ResponseHeader::build(status, Some(headers.len().saturating_add(2)))?;
    for (name, value) in &headers {
        head.append_header(name.clone(), value.clone())?;
    }
    // RFC 9110 section 8.6: to HEAD, only the length that GET would have got. An upstream's is not known.
    let length_is_known = !forbids_body(status) && (!bodyless || !body.is_empty());
    if length_is_known && !headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    session.write_response_header(Box::new(head), bodyless).await?;
    if !bodyless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// Writes the answer to a stream of HTTP/2 whose head never became a request.
///
/// # Errors
/// The client is gone.
pub(super) async fn write_to_stream(session: &mut ServerSession, answer: Answer) -> pingora::Result<()> {
    let Answer { status, headers, body } = answer;
    let mut head = ResponseHeader::build(status, Some(headers.len().saturating_add(1)))?;
    for (name, value) in &headers {
        head.append_header(name.clone(), value.clone())?;
    }
    head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    session.write_response_header(Box::new(head)).await?;
    session.write_response_body(body, true).await
}

/// RFC 9110 sections 15.2, 15.3.5 and 15.4.5.
pub(super) fn forbids_body(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// The answer as bytes of HTTP/1.1 that ends its connection, for heads that never became a request.
pub(super) fn raw(answer: &Answer) -> Bytes {
    let Answer { status, headers, body } = answer;
    let mut out = BytesMut::with_capacity(body.len().saturating_add(1024));
    let reason = status.canonical_reason().unwrap_or("Refused");
    out.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
    let mut field = |name: &str, value: &[u8]| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    };
    for (name, value) in headers {
        field(name.as_str(), value.as_bytes());
    }
    let now = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now());
    field(DATE.as_str(), now.unwrap_or_default().as_bytes());
    field(CONTENT_LENGTH.as_str(), body.len().to_string().as_bytes());
    field(CONNECTION.as_str(), b"close");
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.freeze()
}
