//! Which method, target and version does a request line name, if it is one?

use http::{Method, Uri};

use super::Version;
use super::authority::Authority;
use super::fault::HeadFault;
use super::fields::is_token;

/// A sound request line.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) version: Version,
    /// The authority of a target in absolute form.
    pub(super) authority: Option<Authority>,
}

impl RequestLine {
    /// RFC 9112 section 3: `method SP request-target SP HTTP-version`, single spaces only.
    pub(super) fn parse(line: &[u8], target_max: usize) -> Result<Self, HeadFault> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadFault::RequestLine);
        };
        if target.len() > target_max {
            return Err(HeadFault::TargetTooLong);
        }
        Ok(Self {
            version: parse_version(version)?,
            method: parse_method(method)?,
            authority: target_authority(target)?,
        })
    }
}

/// RFC 9112 section 2.3: case-sensitive, one digit each.
fn parse_version(version: &[u8]) -> Result<Version, HeadFault> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(HeadFault::VersionUnknown),
        _ => Err(HeadFault::Version),
    }
}

/// RFC 9110 section 9.1: case-sensitive. CONNECT and TRACE are for proxies and for finding what they
/// add; neither has a place here.
fn parse_method(method: &[u8]) -> Result<Method, HeadFault> {
    match method {
        b"GET" => Ok(Method::GET),
        b"HEAD" => Ok(Method::HEAD),
        b"POST" => Ok(Method::POST),
        b"PUT" => Ok(Method::PUT),
        b"PATCH" => Ok(Method::PATCH),
        b"DELETE" => Ok(Method::DELETE),
        b"OPTIONS" => Ok(Method::OPTIONS),
        other if is_token(other) => Err(HeadFault::MethodUnknown),
        _ => Err(HeadFault::Method),
    }
}

/// RFC 9112 section 3.2: origin form, or absolute form, whose authority is given back. Authority form
/// is for CONNECT and asterisk form for the server as a whole: both are refused.
fn target_authority(target: &[u8]) -> Result<Option<Authority>, HeadFault> {
    // RFC 3986 section 2: visible ASCII only; and RFC 9112 section 3.2: no fragment.
    if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(HeadFault::TargetByte);
    }
    // What the parser behind us cannot take it would answer itself: without our words and unrecorded.
    let is_parsed = || Uri::try_from(target).map(drop).map_err(|_unparsed| HeadFault::TargetByte);
    if target.starts_with(b"/") {
        return is_parsed().map(|()| None);
    }
    let after_scheme = without_scheme(target).ok_or(HeadFault::TargetForm)?;
    let end = after_scheme.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after_scheme.len());
    let authority = after_scheme.get(..end).and_then(Authority::parse);
    let authority = authority.ok_or(HeadFault::TargetAuthority)?;
    is_parsed().map(|()| Some(authority))
}

/// What follows `http://` or `https://`; RFC 3986 section 3.1: schemes have no case.
fn without_scheme(target: &[u8]) -> Option<&[u8]> {
    SCHEMES.iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(Method, Option<&str>), HeadFault>) {
        let got = RequestLine::parse(line.as_bytes(), 40);
        let got = got.map(|request| (request.method, request.authority));
        let expected = expected.map(|(m, a)| (m, a.map(|a| Authority::parse(a.as_bytes()).unwrap())));
        assert_eq!(got, expected, "{line}");
    }

    #[test]
    fn sound_request_lines_are_read() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            check(&format!("{method} /a HTTP/1.1"), Ok((method, None)));
        }
        check("OPTIONS /a?b=c HTTP/1.0", Ok((Method::OPTIONS, None)));
        check("GET http://a.example:80/b HTTP/1.1", Ok((Method::GET, Some("a.example:80"))));
        check("GET HTTPS://A.example HTTP/1.1", Ok((Method::GET, Some("A.example"))));
        check("GET http://a?b HTTP/1.1", Ok((Method::GET, Some("a"))));
    }

    #[test]
    fn three_parts_and_single_spaces_are_wanted() {
        for line in
            ["", "GET", "GET /", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1"]
        {
            check(line, Err(HeadFault::RequestLine));
        }
        check("GET /\tHTTP/1.1", Err(HeadFault::RequestLine));
    }

    #[test]
    fn only_the_two_versions_are_known() {
        for line in [
            "GET / http/1.1",
            "GET / HTTP/1.10",
            "GET / HTTP/1",
            "GET / HTTP/1.1x",
            "GET / ICE/1.0",
            "GET / ",
        ] {
            check(line, Err(HeadFault::Version));
        }
        for line in ["GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9"] {
            check(line, Err(HeadFault::VersionUnknown));
        }
    }

    #[test]
    fn only_methods_that_are_served_are_known() {
        for method in ["TRACE", "CONNECT", "get", "PRI", "PURGE", "X", "GETT"] {
            check(&format!("{method} / HTTP/1.1"), Err(HeadFault::MethodUnknown));
        }
        for method in ["", "G@T", "G\tET", "GET:", "\u{e9}"] {
            check(&format!("{method} / HTTP/1.1"), Err(HeadFault::Method));
        }
    }

    #[test]
    fn targets_are_origin_form_or_absolute_form() {
        for target in ["*", "a", "a.example:443", "ftp://a/", "http:/a", "?a", "//"] {
            let expected = if target == "//" { Ok((Method::GET, None)) } else { Err(HeadFault::TargetForm) };
            check(&format!("GET {target} HTTP/1.1"), expected);
        }
        for target in ["/<a>", "/`", "/\u{e9}", "/a#b", "/\0", "/\x7f", "/\t", "http://a/#"] {
            check(&format!("GET {target} HTTP/1.1"), Err(HeadFault::TargetByte));
        }
        for target in ["http://", "http:///a", "http://u:p@a/", "http://a:b/", "http://a\\b/"] {
            check(&format!("GET {target} HTTP/1.1"), Err(HeadFault::TargetAuthority));
        }
        check(&format!("GET /{} HTTP/1.1", "a".repeat(40)), Err(HeadFault::TargetTooLong));
    }
}
