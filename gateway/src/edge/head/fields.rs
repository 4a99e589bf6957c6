//! Are the field lines sound, and do those that say how a request is read say one thing only?

use super::authority::Authority;
use super::fault::HeadFault;
use super::request_line::RequestLine;
use super::{Body, Expectation, HeadSummary, Version};

/// What the field lines have said so far.
#[derive(Debug, Default)]
pub(super) struct Fields {
    count: usize,
    host: Option<Authority>,
    length: Option<u64>,
    coding: Option<Chunked>,
    expectation: Option<Expectation>,
}

/// The one transfer coding there is here.
#[derive(Debug)]
struct Chunked;

/// The fields that say how a request is read.
#[derive(Debug, Clone, Copy)]
enum Known {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Http2Settings,
    Expect,
}

impl Fields {
    /// One field line (RFC 9112 section 5).
    pub(super) fn take(&mut self, line: &[u8], version: Version, fields_max: usize) -> Result<(), HeadFault> {
        self.count = self.count.saturating_add(1);
        if self.count > fields_max {
            return Err(HeadFault::TooManyFields);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadFault::FieldWithoutColon)?;
        let (name, value) = line.split_at_checked(colon).ok_or(HeadFault::FieldWithoutColon)?;
        check_name(name)?;
        let value = check_value(value.get(1..).unwrap_or_default())?;
        match Known::of(name) {
            None => Ok(()),
            Some(Known::Host) => self.host(value),
            Some(Known::ContentLength) => self.content_length(value),
            Some(Known::TransferEncoding) => self.transfer_encoding(value, version),
            Some(Known::Connection) => check_connection(value),
            Some(Known::Upgrade) => check_upgrade(value),
            // RFC 9113 section 3.1 takes the upgrade to HTTP/2 out of the protocol; a reader behind us
            // that still knows it would leave our reading of the connection.
            Some(Known::Http2Settings) => Err(HeadFault::UpgradeToHttp2),
            Some(Known::Expect) => self.expect(value, version),
        }
    }

    /// What the whole head says.
    pub(super) fn summary(&mut self, request: &RequestLine) -> Result<HeadSummary, HeadFault> {
        match (&self.host, &request.authority) {
            // RFC 9112 section 3.2: a request of HTTP/1.1 without Host is refused.
            (None, _) if request.version == Version::Http11 => return Err(HeadFault::HostMissing),
            // RFC 9112 section 3.2.2 lets the target win; a reader that lets Host win would differ.
            (Some(host), Some(authority)) if host != authority => return Err(HeadFault::HostDiffers),
            (None | Some(_), None | Some(_)) => {}
        }
        let body = match (self.length, &self.coding) {
            // RFC 9112 section 6.1: a request with both is an attack or a mistake.
            (Some(_), Some(Chunked)) => return Err(HeadFault::LengthAndCoding),
            (None, Some(Chunked)) => Body::Chunked,
            (Some(length), None) => Body::Length(length),
            (None, None) => Body::None,
        };
        Ok(HeadSummary {
            method: request.method.clone(),
            version: request.version,
            body,
            expectation: self.expectation.unwrap_or(Expectation::None),
        })
    }

    /// RFC 9112 section 3.2: exactly one, and valid.
    fn host(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        let host = Authority::parse(value).ok_or(HeadFault::HostInvalid)?;
        match self.host.replace(host) {
            None => Ok(()),
            Some(_) => Err(HeadFault::HostRepeated),
        }
    }

    /// RFC 9112 section 6.3, rule 5 would let a list of equal lengths pass; there is one length here.
    fn content_length(&mut self, value: &[u8]) -> Result<(), HeadFault> {
        // RFC 9110 section 8.6: 1*DIGIT; neither sign nor list.
        let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
        let length = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match self.length.replace(length.ok_or(HeadFault::LengthInvalid)?) {
            None => Ok(()),
            Some(_) => Err(HeadFault::LengthRepeated),
        }
    }

    /// RFC 9112 section 6.1: `chunked`, once, and only in HTTP/1.1. Coding names have no case.
    fn transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), HeadFault> {
        if version == Version::Http10 {
            return Err(HeadFault::CodingInHttp10);
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadFault::CodingUnknown);
        }
        match self.coding.replace(Chunked) {
            None => Ok(()),
            Some(Chunked) => Err(HeadFault::CodingRepeated),
        }
    }

    /// RFC 9110 section 10.1.1: `100-continue` is the only one, and nothing in HTTP/1.0.
    fn expect(&mut self, value: &[u8], version: Version) -> Result<(), HeadFault> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadFault::ExpectationUnknown);
        }
        self.expectation = match version {
            Version::Http11 => Some(Expectation::Continue),
            Version::Http10 => None,
        };
        Ok(())
    }
}

impl Known {
    fn of(name: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Known); 7] = [
            (b"host", Known::Host),
            (b"content-length", Known::ContentLength),
            (b"transfer-encoding", Known::TransferEncoding),
            (b"connection", Known::Connection),
            (b"upgrade", Known::Upgrade),
            (b"http2-settings", Known::Http2Settings),
            (b"expect", Known::Expect),
        ];
        KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, known)| *known)
    }
}

/// RFC 9110 section 5.6.2: a token is one or more of these.
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// RFC 9110 section 5.1: a name is a token; RFC 9112 section 5.1: nothing between it and the colon.
fn check_name(name: &[u8]) -> Result<(), HeadFault> {
    match name {
        [.., b' ' | b'\t'] => Err(HeadFault::FieldNameSpace),
        name if is_token(name) => Ok(()),
        _ => Err(HeadFault::FieldName),
    }
}

/// The value without the blanks around it. RFC 9110 section 5.5: visible ASCII, space, tab and `obs-text`.
fn check_value(value: &[u8]) -> Result<&[u8], HeadFault> {
    // RFC 9110 section 5.5: bytes above 0x7f are opaque; every reader takes them alike.
    let sound = value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0x80..));
    sound.then(|| trim_blanks(value)).ok_or(HeadFault::FieldValue)
}

/// RFC 9110 section 7.6.1: names of fields that end at this hop. A client that names one of those by
/// which we decide, or which we write for the upstream, wants somebody down the line not to see it.
fn check_connection(value: &[u8]) -> Result<(), HeadFault> {
    for name in value.split(|byte| *byte == b',').map(trim_blanks).filter(|name| !name.is_empty()) {
        if !is_token(name) {
            return Err(HeadFault::ConnectionInvalid);
        }
        if CRITICAL.iter().any(|critical| name.eq_ignore_ascii_case(critical)) {
            return Err(HeadFault::ConnectionNamesCritical);
        }
    }
    Ok(())
}

/// `Upgrade: h2c` in any place of the list (RFC 9113 section 3.1 has taken it back).
fn check_upgrade(value: &[u8]) -> Result<(), HeadFault> {
    let mut protocols = value.split(|byte| *byte == b',').map(trim_blanks);
    if protocols.any(|protocol| protocol.eq_ignore_ascii_case(b"h2c")) {
        return Err(HeadFault::UpgradeToHttp2);
    }
    Ok(())
}

/// RFC 9110 section 5.6.3: optional whitespace is spaces and tabs, nothing else.
fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Fields that no `Connection` field may take away.
const CRITICAL: [&[u8]; 19] = [
    b"host",
    b"content-length",
    b"content-type",
    b"content-encoding",
    b"transfer-encoding",
    b"connection",
    b"expect",
    b"authorization",
    b"dpop",
    b"cookie",
    b"idempotency-key",
    b"forwarded",
    b"via",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"x-request-id",
    b"traceparent",
];

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, Scan, Scanner};
    use super::*;

    fn summary(request: &str, fields: &[&[u8]]) -> Result<HeadSummary, HeadFault> {
        let mut head = request.as_bytes().to_vec();
        for field in fields {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(field);
        }
        head.extend_from_slice(b"\r\n\r\n");
        match Scanner::new(HeadLimits::default()).scan(&head)? {
            Scan::Complete { summary, .. } => Ok(summary),
            Scan::Incomplete => panic!("incomplete"),
        }
    }

    fn check(fields: &[&str], expected: Result<Body, HeadFault>) {
        let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
        let got = summary("POST / HTTP/1.1", &[&[b"Host: a".as_slice()], &fields[..]].concat());
        assert_eq!(got.map(|summary| summary.body), expected, "{fields:?}");
    }

    #[test]
    fn a_body_is_framed_in_one_way() {
        check(&[], Ok(Body::None));
        check(&["Content-Length: 0"], Ok(Body::Length(0)));
        check(&["cOntent-lengTh:\t003 "], Ok(Body::Length(3)));
        check(&["Transfer-Encoding: chunked"], Ok(Body::Chunked));
        check(&["transfer-encoding:CHUNKED"], Ok(Body::Chunked));
        check(&["Content-Length: 3", "Transfer-Encoding: chunked"], Err(HeadFault::LengthAndCoding));
        check(&["Transfer-Encoding: chunked", "Content-Length: 3"], Err(HeadFault::LengthAndCoding));
        check(&["Content-Length: 3", "Content-Length: 3"], Err(HeadFault::LengthRepeated));
        check(&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], Err(HeadFault::CodingRepeated));
    }

    #[test]
    fn a_length_is_digits() {
        for value in ["", "+5", "-5", "5, 5", "5,5", "0x5", "5 5", "5.0", "\"5\"", "18446744073709551616"] {
            check(&[&format!("Content-Length: {value}")], Err(HeadFault::LengthInvalid));
        }
        check(&["Content-Length: 18446744073709551615"], Ok(Body::Length(u64::MAX)));
    }

    #[test]
    fn chunked_is_the_only_coding() {
        for value in [
            "",
            "identity",
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "chunked,",
            ",chunked",
            "\"chunked\"",
            "'chunked'",
            "chunked;q=1",
            "xchunked",
            "chunkedchunked",
            "chunk ed",
            "chunked, identity",
        ] {
            check(&[&format!("Transfer-Encoding: {value}")], Err(HeadFault::CodingUnknown));
        }
        let http10 = summary("POST / HTTP/1.0", &[b"Transfer-Encoding: chunked"]);
        assert_eq!(http10, Err(HeadFault::CodingInHttp10));
    }

    #[test]
    fn exactly_one_valid_host_is_wanted() {
        let check = |request: &str, fields: &[&[u8]], expected: Result<(), HeadFault>| {
            assert_eq!(summary(request, fields).map(|_| ()), expected, "{request}");
        };
        check("GET / HTTP/1.1", &[], Err(HeadFault::HostMissing));
        check("GET http://a/ HTTP/1.1", &[], Err(HeadFault::HostMissing));
        check("GET / HTTP/1.0", &[], Ok(()));
        check("GET / HTTP/1.1", &[b"Host: a", b"host: a"], Err(HeadFault::HostRepeated));
        check("GET / HTTP/1.0", &[b"Host: a", b"host: b"], Err(HeadFault::HostRepeated));
        check("GET / HTTP/1.1", &[b"Host:"], Err(HeadFault::HostInvalid));
        check("GET / HTTP/1.1", &[b"Host: a, b"], Err(HeadFault::HostInvalid));
        check("GET / HTTP/1.1", &[b"Host: a/b"], Err(HeadFault::HostInvalid));
        check("GET http://A/ HTTP/1.1", &[b"Host: A"], Ok(()));
        check("GET http://A/ HTTP/1.1", &[b"Host: a"], Err(HeadFault::HostDiffers));
        check("GET http://a/ HTTP/1.1", &[b"Host: b"], Err(HeadFault::HostDiffers));
        check("GET http://a:80/ HTTP/1.1", &[b"Host: a"], Err(HeadFault::HostDiffers));
    }

    #[test]
    fn names_are_tokens_right_before_the_colon() {
        check(&["X_y-1.~!: z", "x: ", "x:"], Ok(Body::None));
        check(&["no colon"], Err(HeadFault::FieldWithoutColon));
        check(&[": z"], Err(HeadFault::FieldName));
        check(&["x : z"], Err(HeadFault::FieldNameSpace));
        check(&["x\t: z"], Err(HeadFault::FieldNameSpace));
        for name in ["x y", "x@", "\"x\"", "x\0", "x\u{e9}", "(x)", "x/y"] {
            check(&[&format!("{name}: z")], Err(HeadFault::FieldName));
        }
        for byte in (0..=0xff_u8).filter(|byte| !is_token(&[*byte]) && !b": \t\r\n".contains(byte)) {
            let field = [b"Transfer-Encoding", &[byte][..], b": chunked"].concat();
            assert_eq!(summary("GET / HTTP/1.1", &[&field]), Err(HeadFault::FieldName), "{byte:#x}");
        }
    }

    #[test]
    fn values_hold_no_control_but_tabs() {
        for byte in (0..=0xff_u8).filter(|byte| !b"\r\n".contains(byte)) {
            let field = [b"x: a", &[byte][..], b"b"].concat();
            let sound = byte == b'\t' || byte >= 0x20 && byte != 0x7f;
            let expected = if sound { Ok(()) } else { Err(HeadFault::FieldValue) };
            assert_eq!(summary("GET / HTTP/1.1", &[b"Host: a", &field]).map(|_| ()), expected, "{byte:#x}");
        }
    }

    #[test]
    fn connection_names_only_what_may_end_here() {
        for sound in ["close", "keep-alive, Upgrade", ", ,close\t,", "x-own", "TE"] {
            check(&[&format!("Connection: {sound}")], Ok(Body::None));
        }
        for name in CRITICAL {
            let name = std::str::from_utf8(name).unwrap();
            check(
                &[&format!("Connection: close, {}", name.to_uppercase())],
                Err(HeadFault::ConnectionNamesCritical),
            );
        }
        for invalid in ["a b", "a;b", "\"close\"", "close,(x)"] {
            check(&[&format!("Connection: {invalid}")], Err(HeadFault::ConnectionInvalid));
        }
    }

    #[test]
    fn nobody_upgrades_to_http2_behind_our_back() {
        check(&["Upgrade: websocket"], Ok(Body::None));
        for field in
            ["Upgrade: h2c", "Upgrade: websocket, H2C", "HTTP2-Settings: AAMAAABk", "http2-settings:"]
        {
            check(&[field], Err(HeadFault::UpgradeToHttp2));
        }
    }

    #[test]
    fn a_client_waits_only_for_100_continue() {
        let check = |request: &str, value: &str, expected: Result<Expectation, HeadFault>| {
            let got = summary(request, &[b"Host: a", format!("Expect: {value}").as_bytes()]);
            assert_eq!(got.map(|summary| summary.expectation), expected, "{value}");
        };
        check("PUT / HTTP/1.1", "100-Continue", Ok(Expectation::Continue));
        check("PUT / HTTP/1.0", "100-continue", Ok(Expectation::None));
        for value in ["", "200-ok", "100-continue, x", "100-continue;x"] {
            check("PUT / HTTP/1.1", value, Err(HeadFault::ExpectationUnknown));
        }
    }
}
