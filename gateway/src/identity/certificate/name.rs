//! Which texts are a host name, and which are a SPIFFE ID?
//!
//! Both are kept in the one form in which they are compared, so that comparing is byte for byte.

use std::fmt;

/// One exact host name in lower case: no wildcard, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName(Box<str>);

/// The SPIFFE ID of a workload: `spiffe://trust.domain/path`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId(Box<str>);

impl DnsName {
    /// The name in `text`, if it is one exact host name (RFC 1123 section 2.1, RFC 5280 section 4.2.1.6).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let label = |label: &str| {
            (1..=DNS_LABEL_MAX).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        (text.len() <= DNS_NAME_MAX && text.split('.').all(label))
            .then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The name in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SpiffeId {
    /// The id in `text`, if it is that of a workload (SPIFFE-ID section 2; X.509-SVID section 4.1: a leaf has a path).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
        let segment = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        (text.len() <= SPIFFE_ID_MAX && is_trust_domain(domain) && path.split('/').all(segment))
            .then(|| Self(text.into()))
    }

    /// The domain whose authorities vouch for it.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        let rest = self.0.strip_prefix("spiffe://").unwrap_or_default();
        rest.split_once('/').map_or(rest, |(domain, _)| domain)
    }

    /// The id as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` names a trust domain (SPIFFE-ID section 2.1).
#[must_use]
pub fn is_trust_domain(text: &str) -> bool {
    (1..=TRUST_DOMAIN_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 1035 section 2.3.4: a label has at most 63 octets.
const DNS_LABEL_MAX: usize = 63;
/// RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters in text.
const DNS_NAME_MAX: usize = 253;
/// SPIFFE-ID section 2.3: the longest id that everybody must support.
const SPIFFE_ID_MAX: usize = 2048;
/// SPIFFE-ID section 2.3: a trust domain has at most 255 bytes.
const TRUST_DOMAIN_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_exact_and_compared_in_lower_case() {
        for (text, name) in [
            ("a.example", Some("a.example")),
            ("A.Example", Some("a.example")),
            ("_x.a-b.example", Some("_x.a-b.example")),
            ("", None),
            ("*.example", None),
            ("a.example.", None),
            (".example", None),
            ("a..example", None),
            ("-a.example", None),
            ("a.example\0.evil.example", None),
            ("ä.example", None),
            ("a b", None),
        ] {
            assert_eq!(DnsName::parse(text).as_ref().map(DnsName::as_str), name, "{text}");
        }
        assert!(DnsName::parse(&"a".repeat(64)).is_none());
        assert!(DnsName::parse(&["a"; 127].join(".")).is_some());
        assert!(DnsName::parse(&["a"; 128].join(".")).is_none());
    }

    #[test]
    fn a_spiffe_id_has_a_trust_domain_and_a_path_in_canonical_form() {
        for text in ["spiffe://a/b", "spiffe://a.b-c_d/E.f/g_H-1", "spiffe://10.0.0.1/x"] {
            assert_eq!(SpiffeId::parse(text).as_ref().map(SpiffeId::as_str), Some(text));
        }
        for text in [
            "",
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///b",
            "spiffe://A/b",
            "spiffe://a:80/b",
            "spiffe://u@a/b",
            "spiffe://a/b/",
            "spiffe://a//b",
            "spiffe://a/./b",
            "spiffe://a/..",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%62",
            "SPIFFE://a/b",
            "https://a/b",
        ] {
            assert!(SpiffeId::parse(text).is_none(), "{text}");
        }
        assert!(SpiffeId::parse(&format!("spiffe://a/{}", "b".repeat(2048))).is_none());
        assert!(SpiffeId::parse(&format!("spiffe://{}/b", "a".repeat(256))).is_none());
    }
}
