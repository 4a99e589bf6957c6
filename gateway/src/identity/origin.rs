//! Under which scheme, host and port is something asked for, in the one form that is compared?

use std::fmt;
use std::net::Ipv6Addr;

/// `https://api.example` or `http://localhost:8080`: in lower case, and without the scheme's own port
/// (RFC 3986 sections 6.2.2.1 and 6.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of `scheme` and `authority` (a host, perhaps with a port); nothing for user information,
    /// percent-encoding, empty parts and schemes other than HTTP's.
    #[must_use]
    pub fn new(scheme: &str, authority: &str) -> Option<Self> {
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "https" => HTTPS_PORT,
            "http" => HTTP_PORT,
            _ => return None,
        };
        let (host, port) = split(authority)?;
        let text = match port.filter(|port| *port != usual) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Some(Self { text, host, port: port.unwrap_or(usual) })
    }

    /// Reads an origin as it is written in a configuration; nothing for anything with a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::new(scheme, authority)
    }

    /// The origin and the path of a URL without query and fragment; an empty path is `/`.
    pub(super) fn of_url(url: &str) -> Option<(Self, &str)> {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let path = if path.is_empty() { "/" } else { path };
        // A query or fragment would make the authority or the path one that is refused.
        (!path.contains(['?', '#'])).then_some((Self::new(scheme, authority)?, path))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host, in lower case; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, or that of its scheme.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Host and port of an authority, the host in its one form.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            (format!("[{}]", address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (name, port) = authority.split_at_checked(authority.find(':').unwrap_or(authority.len()))?;
            let sound = !name.is_empty() && name.bytes().all(is_name_byte);
            (sound.then(|| name.to_ascii_lowercase())?, port)
        }
    };
    if port.is_empty() {
        return Some((host, None));
    }
    let digits = port.strip_prefix(':').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    Some((host, Some(digits.parse().ok()?)))
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// RFC 9110 section 4.2.2.
pub const HTTPS_PORT: u16 = 443;
/// RFC 9110 section 4.2.1.
pub const HTTP_PORT: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_ways_to_write_an_origin_are_one_and_nothing_else_is_an_origin() {
        for (text, origin) in [
            ("https://api.example", Some("https://api.example")),
            ("HTTPS://API.Example:443", Some("https://api.example")),
            ("https://api.example:8443", Some("https://api.example:8443")),
            ("http://api.example:80", Some("http://api.example")),
            ("http://api.example:443", Some("http://api.example:443")),
            ("http://[0:0::1]:8080", Some("http://[::1]:8080")),
            ("https://api.example:0443", Some("https://api.example")),
            ("https://api.example/", None),
            ("https://api.example?x", None),
            ("https://user@api.example", None),
            ("https://api%2eexample", None),
            ("https://api.example:", None),
            ("https://api.example:+1", None),
            ("https://api.example:65536", None),
            ("https://", None),
            ("https://[::1", None),
            ("wss://api.example", None),
            ("api.example", None),
        ] {
            assert_eq!(Origin::parse(text).as_ref().map(Origin::as_str), origin, "{text}");
        }
    }

    #[test]
    fn a_url_is_an_origin_and_a_path() {
        for (url, expected) in [
            ("https://a.example/x/y", Some(("https://a.example", "/x/y"))),
            ("https://A.example:443", Some(("https://a.example", "/"))),
            ("https://a.example/%7Ex", Some(("https://a.example", "/%7Ex"))),
            ("https://a.example/x?y", None),
            ("https://a.example?y", None),
            ("https://a.example/x#y", None),
            ("https://u@a.example/x", None),
            ("/x", None),
            ("", None),
        ] {
            let read = Origin::of_url(url);
            assert_eq!(read.as_ref().map(|(origin, path)| (origin.as_str(), *path)), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_origin_of_one_form_or_none(text in "(https?|x)://[a-zA-Z0-9.:@/?\\[\\]_-]{0,20}|\\PC{0,20}") {
            if let Some(origin) = Origin::parse(&text) {
                prop_assert_eq!(Origin::parse(origin.as_str()), Some(origin));
            }
            let _read_or_refused = Origin::of_url(&text);
        }
    }
}
