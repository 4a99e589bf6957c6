//! Does every reader understand this HTTP/1 request head alike?
//!
//! Looks at the raw bytes before any lenient parser does, and refuses what two readers could take for
//! two different requests (RFC 9112 section 11.2: request smuggling). It says how the body is framed;
//! it knows neither the body nor what the request is for.

mod authority;
mod fault;
mod fields;
mod request_line;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod conformance;

use http::Method;

pub use fault::{HeadClass, HeadFault};
use fields::Fields;
use request_line::RequestLine;

/// How much head is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head.
    pub bytes_max: usize,
    /// The number of field lines.
    pub fields_max: usize,
    /// The request target.
    pub target_max: usize,
    /// One field line, name and value.
    pub field_line_max: usize,
}

/// How far a head is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scan {
    /// More bytes are needed.
    Incomplete,
    /// The head ends after `head_len` bytes, and is sound.
    Complete {
        /// The bytes of the head, with an empty line before and the one after it.
        head_len: usize,
        /// What it says.
        summary: HeadSummary,
    },
}

/// What a sound head says about the request's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadSummary {
    /// One of the methods that are served.
    pub(crate) method: Method,
    /// The protocol version.
    pub(crate) version: Version,
    /// How the body is framed.
    pub(crate) body: Body,
    /// Whether the client waits before it sends the body.
    pub(crate) expectation: Expectation,
}

/// The two versions of HTTP/1 there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How a body is framed: in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// RFC 9112 section 6.3, rule 7: no framing in a request is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// What the client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// Nothing.
    None,
    /// RFC 9110 section 10.1.1: an interim answer before it sends the body.
    Continue,
}

/// Reads one head as its bytes come in. Each byte is searched once, however they are split.
#[derive(Debug)]
pub(crate) struct Scanner {
    limits: HeadLimits,
    line_start: usize,
    searched: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Start,
    RequestLine,
    Fields(RequestLine, Fields),
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX,
            fields_max: FIELDS_MAX,
            target_max: TARGET_MAX,
            field_line_max: FIELD_LINE_MAX,
        }
    }
}

impl Scanner {
    /// A scanner for the next head on a connection.
    pub(crate) const fn new(limits: HeadLimits) -> Self {
        Self { limits, line_start: 0, searched: 0, stage: Stage::Start }
    }

    /// Looks at `bytes`: all that came since the head began, what was looked at before included.
    ///
    /// # Errors
    /// The head is not one that is served; the connection cannot be used any further.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Result<Scan, HeadFault> {
        while let Some(line) = self.next_line(bytes)? {
            match &mut self.stage {
                // RFC 9112 section 2.2: one empty line before a request line is left over from the
                // request before; more is somebody's trick.
                Stage::Start if line.is_empty() => self.stage = Stage::RequestLine,
                Stage::Start | Stage::RequestLine => {
                    let request = RequestLine::parse(line, self.limits.target_max)?;
                    self.stage = Stage::Fields(request, Fields::default());
                }
                Stage::Fields(request, fields) if line.is_empty() => {
                    return Ok(Scan::Complete {
                        head_len: self.line_start,
                        summary: fields.summary(request)?,
                    });
                }
                Stage::Fields(request, fields) => {
                    fields.take(line, request.version, self.limits.fields_max)?;
                }
            }
        }
        Ok(Scan::Incomplete)
    }

    /// The next line, without its end, once all of it is there.
    fn next_line<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, HeadFault> {
        if let Some(b' ' | b'\t') = bytes.get(self.line_start) {
            return Err(match &self.stage {
                Stage::Start | Stage::RequestLine => HeadFault::LeadingWhitespace,
                // RFC 9112 section 2.2: no whitespace between the request line and the first field;
                // section 5.2: no line folding.
                Stage::Fields(..) => HeadFault::FoldedLine,
            });
        }
        let unsearched = bytes.get(self.searched..).unwrap_or_default();
        let found = unsearched.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let end = self.searched.saturating_add(found.unwrap_or(unsearched.len()));
        self.check_size(end)?;
        self.searched = end;
        if found.is_none() {
            return Ok(None);
        }
        match bytes.get(end..).unwrap_or_default() {
            // RFC 9112 section 2.2 would allow a bare LF as the end of a line; readers differ on it.
            [b'\n', ..] => Err(HeadFault::BareLf),
            [_] => Ok(None),
            [_, b'\n', ..] => {
                let line = bytes.get(self.line_start..end);
                self.line_start = end.saturating_add(2);
                self.searched = self.line_start;
                Ok(line)
            }
            // RFC 9112 section 2.2: a bare CR must not be taken for anything.
            _ => Err(HeadFault::BareCr),
        }
    }

    /// Whether the line that reaches to `end`, and the head with it, is within the limits. The nearer
    /// limit tells, so that the answer does not depend on how the bytes were split.
    fn check_size(&self, end: usize) -> Result<(), HeadFault> {
        let (line_max, fault) = match &self.stage {
            Stage::Start | Stage::RequestLine => {
                (self.limits.target_max.saturating_add(AROUND_TARGET_BYTES_MAX), HeadFault::TargetTooLong)
            }
            Stage::Fields(..) => (self.limits.field_line_max, HeadFault::FieldTooLong),
        };
        let line_end_max = self.line_start.saturating_add(line_max);
        match end {
            _ if end <= line_end_max.min(self.limits.bytes_max) => Ok(()),
            _ if line_end_max <= self.limits.bytes_max => Err(fault),
            _ => Err(HeadFault::HeadTooLong),
        }
    }
}

/// Twice what a large token, a certificate thumbprint and a browser's fields come to.
const BYTES_MAX: usize = 32 * 1024;
/// Browsers send 30; each costs every reader down the line.
const FIELDS_MAX: usize = 100;
/// RFC 9110 section 4.1 asks for 8000 at least.
const TARGET_MAX: usize = 8 * 1024;
/// The largest token an issuer makes, in an `Authorization` field, with room.
const FIELD_LINE_MAX: usize = 16 * 1024;
/// `OPTIONS`, the longest method served, two spaces and `HTTP/1.1`.
const AROUND_TARGET_BYTES_MAX: usize = 17;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: HeadLimits =
        HeadLimits { bytes_max: 200, fields_max: 3, target_max: 20, field_line_max: 40 };

    fn scan(bytes: &[u8]) -> Result<Scan, HeadFault> {
        Scanner::new(SMALL).scan(bytes)
    }

    fn check_fault(bytes: &[u8], expected: HeadFault) {
        assert_eq!(scan(bytes), Err(expected), "{}", bytes.escape_ascii());
    }

    #[test]
    fn a_sound_head_is_summed_up() {
        let head = b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
        let Ok(Scan::Complete { head_len, summary }) = scan(head) else { panic!("refused") };
        assert_eq!(head_len, head.len() - 3);
        assert_eq!((summary.method, summary.version), (Method::POST, Version::Http11));
        assert_eq!((summary.body, summary.expectation), (Body::Length(3), Expectation::None));
    }

    #[test]
    fn a_head_that_goes_on_is_incomplete() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(scan(&head[..end]), Ok(Scan::Incomplete), "{end}");
        }
    }

    #[test]
    fn one_empty_line_before_a_request_is_let_be() {
        assert!(matches!(
            scan(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Ok(Scan::Complete { head_len: 29, .. })
        ));
        check_fault(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadFault::RequestLine);
        check_fault(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HeadFault::BareLf);
    }

    #[test]
    fn line_ends_are_crlf_only() {
        check_fault(b"GET / HTTP/1.1\nHost: a\r\n\r\n", HeadFault::BareLf);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\n\r\n", HeadFault::BareLf);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\r\n\n", HeadFault::BareLf);
        check_fault(b"GET / HTTP/1.1\rHost: a\r\n\r\n", HeadFault::BareCr);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", HeadFault::BareCr);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\r\n\rX", HeadFault::BareCr);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", HeadFault::BareCr);
    }

    #[test]
    fn whitespace_begins_no_line() {
        check_fault(b" GET / HTTP/1.1\r\n", HeadFault::LeadingWhitespace);
        check_fault(b"\r\n\tGET / HTTP/1.1\r\n", HeadFault::LeadingWhitespace);
        check_fault(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", HeadFault::FoldedLine);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", HeadFault::FoldedLine);
        check_fault(b"GET / HTTP/1.1\r\nHost: a\r\n ", HeadFault::FoldedLine);
    }

    #[test]
    fn every_length_has_its_limit() {
        let get = |target: usize, name: usize, fields: usize| {
            let field = format!("{}: b\r\n", "x".repeat(name));
            format!("GET {} HTTP/1.1\r\nHost: a\r\n{}\r\n", "/".repeat(target), field.repeat(fields))
        };
        assert!(scan(get(20, 37, 2).as_bytes()).is_ok());
        check_fault(get(21, 1, 1).as_bytes(), HeadFault::TargetTooLong);
        check_fault(get(1, 38, 1).as_bytes(), HeadFault::FieldTooLong);
        check_fault(get(1, 1, 3).as_bytes(), HeadFault::TooManyFields);
        check_fault(&[b'/'; 38], HeadFault::TargetTooLong);
        check_fault(format!("GET / HTTP/1.1\r\n{}", "x".repeat(41)).as_bytes(), HeadFault::FieldTooLong);
        let tight = HeadLimits { bytes_max: 50, ..SMALL };
        let long = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(34));
        assert_eq!(Scanner::new(tight).scan(long.as_bytes()), Err(HeadFault::HeadTooLong));
    }

    /// Bytes that look like a head, or nearly.
    fn heads() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            "GET ",
            "POST ",
            "get ",
            "/",
            "/a?b",
            "http://a/",
            "*",
            " HTTP/1.1\r\n",
            " HTTP/1.0\r\n",
            " HTTP/2\r\n",
            "Host: a\r\n",
            "host: b\r\n",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            ": ",
            "\r\n",
            "\r\n\r\n",
            "\n",
            "\r",
            " ",
            "\t",
            "\0",
            "x",
            "x: y\r\n",
            "Expect: 100-continue\r\n",
            "\u{e9}",
            "Connection: host\r\n",
            "Upgrade: h2c\r\n",
            "0123456789012345678901234567890",
        ]);
        let loose = prop::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat().into_bytes());
        let head = prop::collection::vec(any::<u8>(), 0..60);
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        prop_oneof![loose.clone(), loose.prop_map(move |tail| [request.clone(), tail].concat()), head]
    }

    proptest! {
        #[test]
        fn the_answer_does_not_depend_on_how_the_bytes_are_split(
            bytes in heads(), steps in prop::collection::vec(1usize..20, 1..80),
        ) {
            let whole = scan(&bytes);
            let mut scanner = Scanner::new(SMALL);
            let (mut answer, mut end) = (Ok(Scan::Incomplete), 0);
            for step in steps.iter().cycle() {
                if answer != Ok(Scan::Incomplete) || end >= bytes.len() {
                    break;
                }
                end = (end + step).min(bytes.len());
                answer = scanner.scan(&bytes[..end]);
            }
            prop_assert_eq!(answer, whole);
        }

        /// What is let pass, another strict reading of the same bytes lets pass too.
        #[test]
        fn a_sound_head_has_one_host_and_one_framing(bytes in heads()) {
            if let Ok(Scan::Complete { head_len, summary }) = scan(&bytes) {
                let head = String::from_utf8(bytes[..head_len].to_vec()).unwrap().to_lowercase();
                let count = |name: &str| head.split("\r\n").filter(|line| line.starts_with(name)).count();
                prop_assert!(count("host:") == 1 || (count("host:") == 0 && summary.version == Version::Http10));
                let (lengths, codings) = (count("content-length:"), count("transfer-encoding:"));
                let expected = match summary.body {
                    Body::None => (0, 0),
                    Body::Length(_) => (1, 0),
                    Body::Chunked => (0, 1),
                };
                prop_assert_eq!((lengths, codings), expected);
            }
        }
    }
}
