//! Is the head of an answer one that has exactly one meaning?
//!
//! The connector repairs some heads before showing them (of two framings it hides one); so the bytes of
//! an HTTP/1 head are judged as they came. Pure functions; know no connection.

use http::{HeaderMap, Method, StatusCode, Version, header};

use super::error::{Breakage, Fault};

/// What an answer's head says about its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// There is none, whatever the fields say.
    None,
    /// That many bytes.
    Declared(usize),
    /// Only its end tells.
    Unknown,
}

/// Checks the bytes of an HTTP/1 head.
pub(super) fn check_bytes(head: &[u8]) -> Result<(), Fault> {
    let mut lines = head.split(|&byte| byte == b'\n');
    let status_line = lines.next().unwrap_or_default();
    if !status_line.ends_with(b"\r") {
        return Err(Fault::Broken(Breakage::Head));
    }
    let mut framing = Framing::default();
    for line in lines {
        // RFC 9112 section 2.2: a bare LF is read as a line end by some and not by others.
        let Some(line) = line.strip_suffix(b"\r") else {
            if line.is_empty() {
                continue;
            }
            return Err(Fault::Broken(Breakage::Head));
        };
        // RFC 9112 section 5.2: a line that continues the one before it has two readings.
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Err(Fault::Broken(Breakage::Head));
        }
        framing.note(line);
    }
    framing.check(status_line.starts_with(b"HTTP/1.0"))
}

/// The framing fields of one head.
#[derive(Default)]
struct Framing {
    lengths: usize,
    codings: usize,
    chunked: usize,
}

impl Framing {
    fn note(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { return };
        let (name, value) = (name.trim_ascii_end(), value.trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            // A list counts for each of its members.
            self.lengths = self.lengths.saturating_add(value.split(|&byte| byte == b',').count());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings = self.codings.saturating_add(1);
            if value.eq_ignore_ascii_case(b"chunked") {
                self.chunked = self.chunked.saturating_add(1);
            }
        }
    }

    fn check(&self, http_1_0: bool) -> Result<(), Fault> {
        // RFC 9112 section 6.3: both framings may be an attempt at response splitting; two lengths
        // and a coding other than chunked have no single end.
        let coded = self.codings > 0;
        let one_framing = self.lengths <= 1 && self.codings <= 1 && !(coded && self.lengths > 0);
        // RFC 9112 section 6.1: HTTP/1.0 knows no transfer codings.
        if !one_framing || self.codings != self.chunked || (coded && http_1_0) {
            return Err(Fault::Broken(Breakage::Framing));
        }
        Ok(())
    }
}

/// Checks the fields of any final head, and says how long its body is.
pub(super) fn check_fields(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &HeaderMap,
) -> Result<Length, Fault> {
    let bytes = headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    if headers.len() > FIELDS_MAX || bytes.fold(0, usize::saturating_add) > FIELDS_BYTES_MAX {
        return Err(Fault::Broken(Breakage::HeadSize));
    }
    // RFC 9113 section 8.2.2: connection fields make an HTTP/2 message malformed.
    if version == Version::HTTP_2 && CONNECTION_FIELDS.iter().any(|name| headers.contains_key(name)) {
        return Err(Fault::Broken(Breakage::Framing));
    }
    // RFC 9110 section 6.4.1: these have no content; a length there tells what a GET would have had.
    let bodyless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    if bodyless || method == Method::HEAD {
        return Ok(Length::None);
    }
    // Only identity was asked for; a coded body could not be checked against the contract.
    let coded = |value: &http::HeaderValue| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(coded) {
        return Err(Fault::Broken(Breakage::Coding));
    }
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(Length::Unknown) };
    let length = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = length.ok_or(Fault::Broken(Breakage::Framing))?;
    // A number of digits that fits no machine is a length nobody can hold, not a broken one.
    length.parse().map(Length::Declared).map_err(|_too_big| Fault::TooLarge)
}

/// Fields of one HTTP/1 connection.
const CONNECTION_FIELDS: [header::HeaderName; 3] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE];
/// More fields than any service of ours sends, and few enough to copy for each answer.
const FIELDS_MAX: usize = 100;
/// The size at which common servers refuse a head.
const FIELDS_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    #[test]
    fn a_head_with_two_meanings_is_broken() {
        let check = |fields: &str, expected: Option<Breakage>| {
            let got = check_bytes(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes());
            assert_eq!(got.err(), expected.map(Fault::Broken), "{fields:?}");
        };
        check("", None);
        check("Content-Length: 2\r\n", None);
        check("Transfer-Encoding: chunked\r\n", None);
        check("transfer-encoding:  Chunked \r\n", None);
        check("X: Content-Length: 2\r\nContent-Length: 2\r\n", None);
        check("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", Some(Breakage::Framing));
        check("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", Some(Breakage::Framing));
        check("Content-Length: 2\r\nContent-Length: 2\r\n", Some(Breakage::Framing));
        check("Content-Length: 2\r\ncontent-length: 3\r\n", Some(Breakage::Framing));
        check("Content-Length: 2, 2\r\n", Some(Breakage::Framing));
        check("Content-Length : 2\r\nTransfer-Encoding : chunked\r\n", Some(Breakage::Framing));
        check("Transfer-Encoding: gzip, chunked\r\n", Some(Breakage::Framing));
        check("Transfer-Encoding: identity\r\n", Some(Breakage::Framing));
        check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Some(Breakage::Framing));
        check("X: a\r\n b\r\n", Some(Breakage::Head));
        check("X: a\r\n\tContent-Length: 2\r\n", Some(Breakage::Head));
        check("X: a\nContent-Length: 2\r\n", Some(Breakage::Head));
        assert_eq!(check_bytes(b"HTTP/1.1 200 OK\nX: a\r\n\r\n"), Err(Fault::Broken(Breakage::Head)));
    }

    #[test]
    fn http_1_0_has_no_transfer_coding() {
        assert_eq!(check_bytes(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n"), Ok(()));
        assert_eq!(
            check_bytes(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(Fault::Broken(Breakage::Framing))
        );
    }

    #[test]
    fn the_length_is_what_the_method_status_and_fields_make_it() {
        let check =
            |method: Method, status: u16, fields: &[(&str, &str)], expected: Result<Length, Fault>| {
                let headers: HeaderMap = fields
                    .iter()
                    .map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse::<HeaderValue>().unwrap()))
                    .collect();
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(check_fields(&method, status, Version::HTTP_11, &headers), expected, "{fields:?}");
            };
        check(Method::GET, 200, &[], Ok(Length::Unknown));
        check(Method::GET, 200, &[("content-length", "7")], Ok(Length::Declared(7)));
        check(Method::HEAD, 200, &[("content-length", "7")], Ok(Length::None));
        check(Method::GET, 204, &[], Ok(Length::None));
        check(Method::GET, 304, &[("content-length", "7")], Ok(Length::None));
        check(Method::GET, 200, &[("content-encoding", "identity")], Ok(Length::Unknown));
        check(Method::GET, 200, &[("content-encoding", "gzip")], Err(Fault::Broken(Breakage::Coding)));
        check(Method::GET, 500, &[("content-encoding", "br")], Err(Fault::Broken(Breakage::Coding)));
        check(Method::GET, 200, &[("content-length", "+7")], Err(Fault::Broken(Breakage::Framing)));
        check(Method::GET, 200, &[("content-length", &"9".repeat(40))], Err(Fault::TooLarge));
    }

    #[test]
    fn a_head_beyond_the_limits_is_broken() {
        let check =
            |headers: &HeaderMap| check_fields(&Method::GET, StatusCode::OK, Version::HTTP_11, headers).err();
        let many = |n| {
            (0..n).map(|n| (format!("x-{n}").parse::<HeaderName>().unwrap(), HeaderValue::from(n))).collect()
        };
        assert_eq!(check(&many(FIELDS_MAX)), None);
        assert_eq!(check(&many(FIELDS_MAX + 1)), Some(Fault::Broken(Breakage::HeadSize)));
        let long = HeaderValue::from_str(&"a".repeat(FIELDS_BYTES_MAX)).unwrap();
        assert_eq!(
            check(&HeaderMap::from_iter([(header::ETAG, long)])),
            Some(Fault::Broken(Breakage::HeadSize))
        );
    }

    #[test]
    fn a_connection_field_in_http_2_is_broken() {
        let headers = HeaderMap::from_iter([(header::CONNECTION, HeaderValue::from_static("close"))]);
        let check = |version| check_fields(&Method::GET, StatusCode::OK, version, &headers);
        assert_eq!(check(Version::HTTP_11), Ok(Length::Unknown));
        assert_eq!(check(Version::HTTP_2), Err(Fault::Broken(Breakage::Framing)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_check(bytes: Vec<u8>) {
            // Whatever comes, an answer is given; and both framings in one head are never accepted.
            let mut head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n".to_vec();
            head.extend_from_slice(&bytes);
            prop_assert!(check_bytes(&head).is_err());
        }
    }
}
