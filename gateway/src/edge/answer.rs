//! How does an answer leave?

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

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

/// Writes the answer to the client.
///
/// # Errors
/// The client is gone or does not read.
pub async fn write(session: &mut Session, answer: Answer) -> pingora::Result<()> {
    let Answer { status, headers, body } = answer;
    let bodyless = session.req_header().method == Method::HEAD || forbids_body(status);
    let mut head = ResponseHeader::build(status, Some(headers.len().saturating_add(2)))?;
    for (name, value) in &headers {
        head.append_header(name.clone(), value.clone())?;
    }
    // RFC 9110 section 8.6: to HEAD, the length of the content that GET would have, which is not known of
    // an answer that came without it; or none.
    let unknown = bodyless && body.is_empty();
    if !forbids_body(status) && !unknown && !headers.contains_key(CONTENT_LENGTH) {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(body.len()))?;
    }
    session.write_response_header(Box::new(head), bodyless).await?;
    if !bodyless {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}

/// RFC 9110 sections 15.2, 15.3.5 and 15.4.5.
fn forbids_body(status: StatusCode) -> bool {
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
