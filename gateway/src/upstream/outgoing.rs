//! Which header fields go to an upstream?
//!
//! Everything here begins anew at this hop: what the caller sent is copied only if it is meant for the
//! other end and nobody could take it for the gateway's own word. Knows no credential: the caller of
//! this file adds that last.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header, request};

/// What the gateway says about a request in its own name.
#[derive(Clone, Copy)]
pub struct Onward<'a> {
    /// The address the caller connected from.
    pub client: IpAddr,
    /// How the caller connected.
    pub scheme: Scheme,
    /// The request's id in the audit record.
    pub request_id: &'a HeaderValue,
    /// W3C Trace Context: continued or begun.
    pub traceparent: &'a HeaderValue,
    /// W3C Trace Context: kept within its limits.
    pub tracestate: Option<&'a HeaderValue>,
    /// The upstream's field for the caller's name; what the caller sent in it, or in a field whose name
    /// begins with it, never passes.
    pub identity_header: &'a HeaderName,
    /// Who the caller is, in the upstream's fields.
    pub identity: &'a [(HeaderName, HeaderValue)],
}

/// How the caller connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// The fields of the request to the upstream, without authority and framing, which the call sets, and
/// without the credential.
#[must_use]
pub fn headers(incoming: &request::Parts, onward: &Onward<'_>) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(incoming.headers.len().saturating_add(OWN_FIELDS));
    let own = onward.identity_header.as_str();
    for (name, value) in &incoming.headers {
        if passes(name.as_str()) && !name.as_str().starts_with(own) {
            out.append(name.clone(), value.clone());
        }
    }
    remove_nominated(&incoming.headers, &mut out);
    write_own(&mut out, incoming.version, onward);
    out
}

/// Whether a caller's field is meant for the upstream.
fn passes(name: &str) -> bool {
    // `X_Caller` and `X-Caller` are one variable to many servers.
    if name.contains('_') || PREFIXES_DROPPED.iter().any(|prefix| name.starts_with(prefix)) {
        return false;
    }
    !matches!(
        name,
        // RFC 9110 section 7.6.1: these are about this connection.
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade"
        // RFC 9110 sections 7.2, 8.6 and 10.1.1: written by the call, or answered by this hop.
        | "host" | "content-length" | "expect"
        // RFC 9110 section 12.5.3: bodies are checked, so none may come coded; a body that came coded goes on
        // as it was checked.
        | "accept-encoding" | "content-encoding"
        // The caller's own credentials end here.
        | "authorization" | "cookie" | "cookie2" | "dpop" | "x-api-key" | "api-key" | "apikey"
        | "x-access-token" | "remote-user" | "x-user"
        | "client-cert" | "client-cert-chain" | "ssl-client-cert"
        // RFC 7239 section 8.1: where a request came from is what this hop saw.
        | "forwarded" | "x-real-ip" | "x-client-ip" | "x-cluster-client-ip" | "true-client-ip"
        // These would make another request of the one that was checked.
        | "x-http-method" | "x-http-method-override" | "x-method-override"
        | "x-original-url" | "x-original-host" | "x-rewrite-url" | "x-host"
        // W3C Trace Context and Baggage: continued by the gateway, or not taken from outside.
        | "traceparent" | "tracestate" | "baggage" | "x-request-id"
    )
}

/// RFC 9110 section 7.6.1: a field that `Connection` names ends here as well.
fn remove_nominated(incoming: &HeaderMap, out: &mut HeaderMap) {
    for value in incoming.get_all(header::CONNECTION) {
        for option in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if let Ok(name) = HeaderName::from_bytes(option) {
                out.remove(name);
            }
        }
    }
}

fn write_own(out: &mut HeaderMap, version: Version, onward: &Onward<'_>) {
    out.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    // RFC 9110 section 7.6.3: each hop adds the version it was spoken to in, and its name.
    let via = match version {
        Version::HTTP_2 => "2 gateway",
        Version::HTTP_10 => "1.0 gateway",
        _ => "1.1 gateway",
    };
    out.append(header::VIA, HeaderValue::from_static(via));
    if let Ok(client) = HeaderValue::from_str(&onward.client.to_canonical().to_string()) {
        out.insert(X_FORWARDED_FOR, client);
    }
    let scheme = match onward.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    out.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    out.insert(X_REQUEST_ID, onward.request_id.clone());
    out.insert(TRACEPARENT, onward.traceparent.clone());
    if let Some(tracestate) = onward.tracestate {
        out.insert(TRACESTATE, tracestate.clone());
    }
    for (name, value) in onward.identity {
        out.insert(name, value.clone());
    }
}

/// Writes authority and framing: the last word on where a request goes and where it ends.
pub(super) fn frame(headers: &mut HeaderMap, method: &Method, authority: &HeaderValue, body_bytes: usize) {
    headers.insert(header::HOST, authority.clone());
    // RFC 9112 section 6.2: one framing, a length. Chunked bodies are dropped by some upstreams.
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    // RFC 9110 section 8.6: a length of zero only where a body would be expected.
    let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if body_bytes > 0 || expects_body {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body_bytes));
    }
}

/// Families of fields: `Proxy-*` is about this hop; the others tell an upstream or a proxy before it
/// what only the gateway may say, down to the database Odoo answers from and the
/// session it takes the caller for (`X-Openerp-Session-Id`).
const PREFIXES_DROPPED: [&str; 9] = [
    "proxy-",
    "x-forwarded-",
    "x-odoo-",
    "x-openerp-",
    "x-client-cert",
    "x-ssl-",
    "x-envoy-",
    "x-auth",
    "x-remote-",
];
/// The fields written here, about.
const OWN_FIELDS: usize = 10;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn incoming(fields: &[(&str, &str)]) -> request::Parts {
        let mut parts = http::Request::new(()).into_parts().0;
        for (name, value) in fields {
            parts.headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        parts
    }

    fn built(parts: &request::Parts) -> HeaderMap {
        headers(
            parts,
            &Onward {
                client: "203.0.113.7".parse().unwrap(),
                scheme: Scheme::Https,
                request_id: &HeaderValue::from_static("r-1"),
                traceparent: &HeaderValue::from_static("00-1-2-01"),
                tracestate: Some(&HeaderValue::from_static("ours=1")),
                identity_header: &HeaderName::from_static("x-caller"),
                identity: &[(HeaderName::from_static("x-caller"), HeaderValue::from_static("shop-7"))],
            },
        )
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn every_field_of_a_caller_passes_or_not_by_its_name() {
        let check = |name: &str, expected: &[&str]| {
            let headers = built(&incoming(&[(name, "theirs")]));
            assert_eq!(values(&headers, name), expected, "{name}");
        };
        // Meant for the upstream.
        for name in ["accept", "accept-language", "content-type", "content-language", "if-match"] {
            check(name, &["theirs"]);
        }
        for name in ["if-none-match", "idempotency-key", "prefer", "range", "user-agent", "x-channel"] {
            check(name, &["theirs"]);
        }
        // About this connection.
        for name in ["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"] {
            check(name, &[]);
        }
        for name in ["proxy-connection", "proxy-authorization", "proxy-authenticate", "proxy-anything"] {
            check(name, &[]);
        }
        // This hop's business.
        for name in ["host", "content-length", "expect"] {
            check(name, &[]);
        }
        check("accept-encoding", &["identity"]);
        check("via", &["theirs", "1.1 gateway"]);
        // The caller's credentials.
        for name in ["authorization", "cookie", "cookie2", "dpop", "client-cert", "client-cert-chain"] {
            check(name, &[]);
        }
        for name in ["x-client-cert", "x-client-cert-chain", "x-ssl-client-verify", "ssl-client-cert"] {
            check(name, &[]);
        }
        for name in ["x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token"] {
            check(name, &[]);
        }
        // Who and where the caller is.
        for name in
            ["remote-user", "x-remote-user", "x-user", "x-authenticated-userid", "x-auth-request-user"]
        {
            check(name, &[]);
        }
        for name in ["forwarded", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix", "x-real-ip"] {
            check(name, &[]);
        }
        for name in ["x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-envoy-external-address"] {
            check(name, &[]);
        }
        check("x-forwarded-for", &["203.0.113.7"]);
        check("x-forwarded-proto", &["https"]);
        check("x-caller", &["shop-7"]);
        check("x-caller-kind", &[]);
        // Another spelling of a field the gateway writes.
        for name in ["x_caller", "x_forwarded_for", "content_length", "anything_else"] {
            check(name, &[]);
        }
        // Another request than the one that was checked.
        for name in ["x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url"] {
            check(name, &[]);
        }
        for name in [
            "x-odoo-database",
            "x-odoo-anything",
            "x-openerp-session-id",
            "x-host",
            "x-original-host",
            "x-http-method",
        ] {
            check(name, &[]);
        }
        // Traces.
        check("traceparent", &["00-1-2-01"]);
        check("tracestate", &["ours=1"]);
        check("baggage", &[]);
        check("x-request-id", &["r-1"]);
    }

    #[test]
    fn repeated_fields_keep_their_order() {
        let headers = built(&incoming(&[("accept", "a"), ("x", "1"), ("accept", "b")]));
        assert_eq!(values(&headers, "accept"), ["a", "b"]);
    }

    #[test]
    fn what_connection_names_ends_here_but_not_what_the_gateway_says() {
        let fields = [
            ("connection", "close, X-Hop , x-caller"),
            ("connection", "x-forwarded-for, x-request-id, via, :, \"x\""),
            ("x-hop", "1"),
            ("x-stays", "1"),
        ];
        let headers = built(&incoming(&fields));
        assert_eq!(values(&headers, "x-hop"), Vec::<&str>::new());
        assert_eq!(values(&headers, "x-stays"), ["1"]);
        assert_eq!(values(&headers, "x-caller"), ["shop-7"]);
        assert_eq!(values(&headers, "x-forwarded-for"), ["203.0.113.7"]);
        assert_eq!(values(&headers, "x-request-id"), ["r-1"]);
        assert_eq!(values(&headers, "via"), ["1.1 gateway"]);
    }

    #[test]
    fn via_names_the_version_the_caller_spoke() {
        for (version, expected) in [
            (Version::HTTP_10, "1.0 gateway"),
            (Version::HTTP_11, "1.1 gateway"),
            (Version::HTTP_2, "2 gateway"),
        ] {
            let mut parts = incoming(&[]);
            parts.version = version;
            assert_eq!(values(&built(&parts), "via"), [expected]);
        }
    }

    #[test]
    fn a_length_is_exact_and_the_only_framing() {
        let check = |method: Method, body_bytes: usize, expected: Option<&str>| {
            let mut headers = incoming(&[
                ("transfer-encoding", "chunked"),
                ("content-length", "1"),
                ("content-length", "2"),
                ("host", "theirs"),
            ])
            .headers;
            frame(&mut headers, &method, &HeaderValue::from_static("odoo:8069"), body_bytes);
            assert_eq!(values(&headers, "content-length"), expected.into_iter().collect::<Vec<_>>());
            assert_eq!(values(&headers, "transfer-encoding"), Vec::<&str>::new());
            assert_eq!(values(&headers, "host"), ["odoo:8069"]);
        };
        check(Method::GET, 0, None);
        check(Method::HEAD, 0, None);
        check(Method::DELETE, 0, None);
        check(Method::DELETE, 3, Some("3"));
        check(Method::POST, 0, Some("0"));
        check(Method::PUT, 0, Some("0"));
        check(Method::PATCH, 7, Some("7"));
    }

    proptest! {
        #[test]
        fn no_field_of_a_caller_stands_in_for_the_gateways(
            name in "(x[-_]caller[-a-z]{0,4}|x[-_]forwarded[-_][a-z]{1,5}|X-REQUEST-ID|[a-z]{1,5}_[a-z]{1,5})",
            nominated in "[ -~]{0,40}",
        ) {
            let headers = built(&incoming(&[(&name, "theirs"), ("connection", &nominated)]));
            prop_assert!(headers.values().all(|value| value != "theirs"));
            prop_assert_eq!(values(&headers, "x-caller"), ["shop-7"]);
        }
    }
}
