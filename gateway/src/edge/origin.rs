//! Under which origin was a request sent, if that is one that its listener serves?
//!
//! A client's `Host` is a claim. Whoever sits between a caller and the gateway may send his own name on; what a
//! caller signed for that name must not count here. So the name must be one that the listener has certificates
//! for, or that is configured.

use http::header::HOST;
use http::request::Parts;

use super::Connection;
use super::tls::covers;
use crate::identity::{HTTP_PORT, HTTPS_PORT, Origin};

/// The origin of `request`, if it is one of those `listed` or, where none are, one of the names of the
/// listener's certificates, or of loopback without TLS; with the port of the scheme or of the socket.
#[must_use]
pub fn origin(
    request: &Parts,
    connection: &Connection,
    listed: &[Origin],
    names: &[String],
) -> Option<Origin> {
    let authority = authority(request)?;
    let (own, other) = if connection.encrypted() { ("https", "http") } else { ("http", "https") };
    if !listed.is_empty() {
        // A proxy in front may end TLS: then the origins say so.
        let candidates = [own, other].into_iter().filter_map(|scheme| Origin::new(scheme, authority));
        return candidates.into_iter().find(|origin| listed.contains(origin));
    }
    let origin = Origin::new(own, authority)?;
    let usual = if connection.encrypted() { HTTPS_PORT } else { HTTP_PORT };
    let is_ours = if connection.encrypted() {
        names.iter().any(|name| covers(name, origin.host()))
    } else {
        is_loopback(origin.host())
    };
    (is_ours && [usual, connection.port()].contains(&origin.port())).then_some(origin)
}

/// RFC 9113 section 8.3.1 and RFC 9112 section 3.2.2: the target's own authority, else `Host`.
fn authority(request: &Parts) -> Option<&str> {
    match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(HOST)?.to_str().ok(),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}
