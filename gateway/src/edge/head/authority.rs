//! Is this a host and perhaps a port, in the one form that all readers take alike?

use std::net::Ipv6Addr;

/// `host` or `host:port`, as written: a reader that compares two of them may do so byte by byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority(String);

impl Authority {
    /// Reads RFC 3986 section 3.2.2 and 3.2.3 without user information, percent-encoding and empty
    /// parts: what no client of an API needs, and where readers differ.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (host, port) = match text.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, after)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, after) = text.split_at_checked(end)?;
                name.bytes().all(is_name_byte).then_some((name, after))?
            }
        };
        let sound = (1..=HOST_BYTES_MAX).contains(&host.len()) && is_port(port);
        sound.then(|| Self(text.to_owned()))
    }
}

/// Nothing, or a colon and a port number.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// RFC 1035 section 2.3.4: the longest name there is.
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_port_are_read_and_nothing_else() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Authority::parse(text.as_bytes()).map(|a| a.0).as_deref(), expected, "{text}");
        };
        check("api.example", Some("api.example"));
        check("API.Example:8443", Some("API.Example:8443"));
        check("192.0.2.1:80", Some("192.0.2.1:80"));
        check("[2001:DB8::1]:443", Some("[2001:DB8::1]:443"));
        check("[::1]", Some("[::1]"));
        for refused in [
            "", ":80", "a:", "a:b", "a:65536", "a:+1", "a:1:2", "u@a", "a/b", "a b", "a,b", "a%2eb", "[::1",
            "[]", "[a]", "[::1]x", "[v1.a]", "::1", "a?b", "a#b", "\u{e9}",
        ] {
            check(refused, None);
        }
        check(&"a".repeat(255), Some(&"a".repeat(255)));
        check(&"a".repeat(256), None);
    }
}
