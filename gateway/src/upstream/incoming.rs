//! Which header fields of an upstream's answer reach the client?
//!
//! Only those allowed by name: an upstream's own fields tell more about it than a client may know.

use std::collections::HashSet;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::outgoing::Scheme;

/// The answer fields one operation lets through; compiled at load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed(HashSet<HeaderName>);

/// A field that may never reach a client, whatever is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer field `{0}` may not be passed on")]
pub struct NeverAllowed(pub HeaderName);

impl Allowed {
    /// The usual fields and `more`: those of the upstream's settings and those the contract declares.
    ///
    /// # Errors
    /// The first of `more` that is about the connection, sets a cookie or is written by the gateway.
    pub fn new<'a>(more: impl IntoIterator<Item = &'a HeaderName>) -> Result<Self, NeverAllowed> {
        let mut names = HashSet::from(USUAL);
        for name in more {
            if NEVER.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
                return Err(NeverAllowed(name.clone()));
            }
            names.insert(name.clone());
        }
        Ok(Self(names))
    }
}

/// The fields of the answer to the client, without framing, which its writer sets.
#[must_use]
pub fn headers(reply: &HeaderMap, allowed: &Allowed, scheme: Scheme) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(reply.len().saturating_add(SECURITY.len()));
    for (name, value) in reply {
        if allowed.0.contains(name) && !leads_inside(name, value) {
            out.append(name.clone(), value.clone());
        }
    }
    // RFC 9110 section 7.6.1: what `Connection` names was meant for this hop.
    for value in reply.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if let Ok(name) = HeaderName::from_bytes(option) {
                out.remove(name);
            }
        }
    }
    secure(&mut out, scheme);
    out
}

/// The fields that every answer carries, the gateway's own refusals included.
pub fn secure(headers: &mut HeaderMap, scheme: Scheme) {
    for (name, value) in SECURITY {
        headers.insert(name, value);
    }
    // RFC 9111 section 3: without a word about it, an answer may be stored by anybody on the way.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // RFC 6797 section 7.2: never in the clear.
    match scheme {
        Scheme::Https => {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        Scheme::Http => {
            headers.remove(header::STRICT_TRANSPORT_SECURITY);
        }
    }
}

/// Whether a reference names the upstream rather than a path of the API.
fn leads_inside(name: &HeaderName, value: &HeaderValue) -> bool {
    // RFC 9110 section 10.2.2: a relative reference is resolved against what the client asked for. An
    // absolute one names a host that only the gateway reaches.
    let reference = value.as_bytes();
    name == header::LOCATION
        && (!reference.starts_with(b"/") || reference.starts_with(b"//") || reference.starts_with(b"/\\"))
}

/// What a client can use of any answer.
const USUAL: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
    header::EXPIRES,
    header::VARY,
    header::LOCATION,
    header::RETRY_AFTER,
    header::LINK,
];

/// What no configuration lets through: fields of the connection, framing, codings, cookies and the
/// fields whose value only the gateway knows.
const NEVER: [&str; 19] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-encoding",
    "set-cookie",
    "set-cookie2",
    "server",
    "x-powered-by",
    "www-authenticate",
    "strict-transport-security",
    "content-security-policy",
    "x-content-type-options",
    "traceparent",
    "x-request-id",
    "deprecated-use",
];

/// An API's answers are data: no browser is to guess their type, run them or frame them.
const SECURITY: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// Two years, as the preload lists ask.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[(&str, &str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
    }

    fn to_client(fields: &[(&str, &str)], more: &[&str]) -> HeaderMap {
        let more: Vec<HeaderName> = more.iter().map(|name| name.parse().unwrap()).collect();
        headers(&reply(fields), &Allowed::new(&more).unwrap(), Scheme::Https)
    }

    #[test]
    fn a_field_passes_only_if_it_is_allowed() {
        let check = |name: &str, value: &str, passes: bool| {
            assert_eq!(to_client(&[(name, value)], &["x-total"]).contains_key(name), passes, "{name}");
        };
        for name in ["content-type", "content-language", "content-disposition", "etag", "last-modified"] {
            check(name, "v", true);
        }
        for name in ["cache-control", "expires", "vary", "retry-after", "link", "x-total"] {
            check(name, "v", true);
        }
        for name in ["set-cookie", "server", "x-powered-by", "connection", "keep-alive", "transfer-encoding"]
        {
            check(name, "v", false);
        }
        for name in ["content-length", "content-encoding", "upgrade", "trailer", "proxy-authenticate", "date"]
        {
            check(name, "v", false);
        }
        for name in ["x-debug", "x-odoo-session", "via", "age", "www-authenticate", "x-request-id", "alt-svc"]
        {
            check(name, "v", false);
        }
    }

    #[test]
    fn a_location_passes_only_within_the_api() {
        let check = |value: &str, passes: bool| {
            assert_eq!(to_client(&[("location", value)], &[]).contains_key("location"), passes, "{value}");
        };
        check("/orders/v2/orders/58", true);
        for value in ["http://odoo:8069/x", "//odoo:8069/x", "/\\odoo/x", "orders/58", "javascript:x", ""] {
            check(value, false);
        }
    }

    #[test]
    fn what_connection_names_ends_here() {
        let headers = to_client(&[("etag", "1"), ("connection", "close, ETag")], &[]);
        assert!(!headers.contains_key("etag"));
    }

    #[test]
    fn some_fields_cannot_be_allowed() {
        for name in NEVER.iter().chain(&["proxy-anything"]) {
            let name: HeaderName = name.parse().unwrap();
            assert_eq!(Allowed::new([&name]), Err(NeverAllowed(name.clone())));
        }
        assert!(Allowed::new(&USUAL).is_ok());
    }

    #[test]
    fn the_security_fields_are_the_gateways() {
        let headers = to_client(
            &[("x-content-type-options", "none"), ("content-security-policy", "*"), ("referrer-policy", "x")],
            &[],
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers.contains_key("strict-transport-security"));
    }

    #[test]
    fn an_upstreams_word_on_caching_stands() {
        let headers = to_client(&[("cache-control", "private, max-age=5")], &[]);
        assert_eq!(headers["cache-control"], "private, max-age=5");
    }

    #[test]
    fn transport_security_is_said_over_tls_only() {
        let headers = headers(&HeaderMap::new(), &Allowed::new([]).unwrap(), Scheme::Http);
        assert!(!headers.contains_key("strict-transport-security"));
    }
}
