//! HTTP/1.1 on raw bytes, for peers that must see and send exactly what they are told to.
//!
//! Reading is lenient on purpose: what arrived is kept byte by byte, and the test judges it.

use std::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One request as it arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct Received {
    /// Every byte of the head, to the end of the empty line.
    pub head: Bytes,
    /// The method, as written.
    pub method: String,
    /// The target, as written.
    pub target: String,
    /// The fields in their order, names as written.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Bytes,
    /// Which connection of the server it came over, from 1 on.
    pub connection: u64,
}

impl Received {
    /// The field's value; `None` also when it came more than once, for then no value is the value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.headers(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Every value of the field, in order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }

    /// The target without its query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// The body as JSON; `Null` when it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.body))
    }
}

/// One answer as it arrived.
#[derive(Clone, PartialEq, Eq)]
pub struct RawReply {
    /// Every byte of the head, to the end of the empty line.
    pub head: Bytes,
    /// The status.
    pub status: u16,
    /// The fields in their order, names as written.
    pub fields: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Bytes,
}

impl RawReply {
    /// Every value of the field, in order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        values(&self.fields, name)
    }
}

impl fmt::Debug for RawReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", String::from_utf8_lossy(&self.head), String::from_utf8_lossy(&self.body))
    }
}

/// Reads the next answer of a connection to a request with a body; `None` at its end.
pub(crate) async fn read_reply(
    stream: &mut dyn Stream,
    buffer: &mut BytesMut,
) -> io::Result<Option<RawReply>> {
    let Some(head) = read_head(stream, buffer).await? else { return Ok(None) };
    let (start, fields) = parsed(&head);
    let status = start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let framed = ["content-length", "transfer-encoding"].iter().any(|name| !values(&fields, name).is_empty());
    // RFC 9112 section 6.3: no body by status, else as framed, else until the connection closes.
    let body = match status {
        100..=199 | 204 | 304 => Bytes::new(),
        _ if framed => read_body(stream, buffer, &fields).await?,
        _ => {
            while stream.read_buf(buffer).await? > 0 {}
            buffer.split().freeze()
        }
    };
    Ok(Some(RawReply { head, status, fields, body }))
}

/// Reads the next request of a connection; `None` at its end. Bytes beyond it stay in `buffer`.
pub(crate) async fn read_request(
    stream: &mut dyn Stream,
    buffer: &mut BytesMut,
    connection: u64,
) -> io::Result<Option<Received>> {
    let Some(head) = read_head(stream, buffer).await? else { return Ok(None) };
    let (start, fields) = parsed(&head);
    let mut start = start.splitn(3, ' ').map(str::to_owned);
    let mut request = Received {
        head,
        method: start.next().unwrap_or_default(),
        target: start.next().unwrap_or_default(),
        fields,
        body: Bytes::new(),
        connection,
    };
    if request.headers("expect").iter().any(|v| v.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = read_body(stream, buffer, &request.fields).await?;
    Ok(Some(request))
}

async fn read_head(stream: &mut dyn Stream, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            return Ok(Some(buffer.split_to(end + 4).freeze()));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("a head without end"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(cut()) };
        }
    }
}

type Fields = Vec<(String, String)>;

fn parsed(head: &[u8]) -> (String, Fields) {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    let field = |(name, value): (&str, &str)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned());
    (start, lines.filter_map(|line| line.split_once(':')).map(field).collect())
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
}

async fn read_body(stream: &mut dyn Stream, buffer: &mut BytesMut, fields: &Fields) -> io::Result<Bytes> {
    if !values(fields, "transfer-encoding").is_empty() {
        return read_chunks(stream, buffer).await;
    }
    let length = values(fields, "content-length").first().and_then(|v| v.parse().ok()).unwrap_or(0);
    take(stream, buffer, length).await
}

async fn read_chunks(stream: &mut dyn Stream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line = take_line(stream, buffer).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        if size == 0 {
            while !take_line(stream, buffer).await?.is_empty() {}
            return Ok(body.freeze());
        }
        body.extend_from_slice(&take(stream, buffer, size).await?);
        take_line(stream, buffer).await?;
    }
}

async fn take(stream: &mut dyn Stream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(cut());
        }
    }
    Ok(buffer.split_to(length).freeze())
}

async fn take_line(stream: &mut dyn Stream, buffer: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = find(buffer, b"\r\n") {
            let line = take(stream, buffer, end + 2).await?;
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(cut());
        }
    }
}

/// The bytes of an answer with a `Content-Length`, unless the fields frame it themselves.
#[must_use]
pub(crate) fn answer_bytes(
    status: u16,
    fields: &[(String, String)],
    body: &[u8],
    head_only: bool,
) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    let has = |wanted: &str| fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
    for (name, value) in fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    // RFC 9110 section 8.6: no Content-Length in an answer that has no body by its status.
    if !has("content-length") && !has("transfer-encoding") && status != 204 && status != 304 {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    if !head_only {
        bytes.extend_from_slice(body);
    }
    bytes
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unheard Of")
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn cut() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

/// Far above what any test sends on purpose; bounds what a broken client can make a test remember.
const HEAD_BYTES_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8]) -> (Vec<Received>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(1 << 16);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        let mut buffer = BytesMut::new();
        let mut requests = Vec::new();
        while let Ok(Some(request)) = read_request(&mut near, &mut buffer, 1).await {
            requests.push(request);
        }
        drop(near);
        let mut sent = Vec::new();
        far.read_to_end(&mut sent).await.unwrap();
        (requests, sent)
    }

    #[tokio::test]
    async fn requests_are_kept_byte_by_byte_and_in_order() {
        let first = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Odd:  two  words \r\nContent-Length: 3\r\n\r\nabc";
        let second = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (requests, _) = read_all(format!("{first}{second}").as_bytes()).await;
        assert_eq!(requests.len(), 2);
        assert_eq!(format!("{:?}", requests[0]), first);
        assert_eq!((requests[0].method.as_str(), requests[0].path()), ("POST", "/a"));
        assert_eq!(requests[0].header("x-odd"), Some("two  words"));
        assert_eq!(requests[1].body, "");
    }

    #[tokio::test]
    async fn a_repeated_field_has_no_single_value() {
        let (requests, _) = read_all(b"GET / HTTP/1.1\r\nA: 1\r\na: 2\r\n\r\n").await;
        assert_eq!(requests[0].header("a"), None);
        assert_eq!(requests[0].headers("A"), ["1", "2"]);
    }

    #[tokio::test]
    async fn chunks_are_joined_and_expectations_are_met() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n";
        let (requests, sent) = read_all(chunked.as_bytes()).await;
        assert_eq!(requests[0].body, "abc");
        assert_eq!(sent, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[tokio::test]
    async fn a_cut_request_is_no_request() {
        for cut in ["GET / HT", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"] {
            assert!(read_all(cut.as_bytes()).await.0.is_empty(), "{cut}");
        }
    }

    async fn reply_to(bytes: &[u8]) -> RawReply {
        let (mut near, mut far) = tokio::io::duplex(1 << 16);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        read_reply(&mut near, &mut BytesMut::new()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_reply_ends_where_its_framing_says() {
        for (bytes, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", 200, "ab"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 200, "a"),
            ("HTTP/1.1 400 Bad Request\r\n\r\nabc", 400, "abc"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1", 100, ""),
        ] {
            let reply = reply_to(bytes.as_bytes()).await;
            assert_eq!((reply.status, &reply.body[..]), (status, body.as_bytes()), "{bytes}");
        }
    }

    #[test]
    fn an_answer_has_one_framing() {
        let text = |status, fields: &[(String, String)], head_only| {
            String::from_utf8(answer_bytes(status, fields, b"abc", head_only)).unwrap()
        };
        assert_eq!(text(200, &[], false), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!(text(200, &[], true), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(text(304, &[], true), "HTTP/1.1 304 Not Modified\r\n\r\n");
        let own = [("Transfer-Encoding".to_owned(), "chunked".to_owned())];
        assert!(!text(200, &own, false).contains("Content-Length"));
    }
}
