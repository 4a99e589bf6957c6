//! Which address does a request come from, when other hops stand between the client and us?
//!
//! The socket's, unless it belongs to a hop that the configuration trusts; then what that hop wrote
//! into `X-Forwarded-For`, read from its end. What a client wrote itself stands further left and is
//! never reached.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

/// The networks whose hops are believed. Empty: nobody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedHops(Vec<IpNet>);

impl TrustedHops {
    /// The hops in these networks.
    #[must_use]
    pub const fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether the address is a hop that is believed.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The client's address: the first, seen from us, that no trusted hop has. If the hops are all
/// trusted it is the furthest; and where one wrote something else than an address, that hop itself
/// answers for the request.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedHops) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut named = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b',')).take(HOPS_MAX);
    while trusted.contain(nearest) {
        match named.next().and_then(address) {
            Some(before) => nearest = before,
            None => break,
        }
    }
    nearest
}

/// An address as hops write it: alone, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches([' ', '\t']);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    text.parse::<IpAddr>().ok().or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

/// Not `Forwarded` (RFC 7239) as well: hops that know different fields could be played off against
/// each other.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More trusted hops in a row than any network has.
const HOPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn trusted() -> TrustedHops {
        TrustedHops::new(vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:aa::/48".parse().unwrap()])
    }

    fn found(peer: &str, fields: &[&str], trusted: &TrustedHops) -> String {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(field.as_bytes()).unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, trusted).to_string()
    }

    #[test]
    fn only_trusted_hops_are_believed() {
        let check = |peer: &str, fields: &[&str], expected: &str| {
            assert_eq!(found(peer, fields, &trusted()), expected, "{peer} {fields:?}");
        };
        check("192.0.2.1", &["198.51.100.9"], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &["198.51.100.9"], "198.51.100.9");
        check("10.0.0.1", &["203.0.113.5, 198.51.100.9"], "198.51.100.9");
        check("10.0.0.1", &["203.0.113.5, 198.51.100.9, 10.0.0.2"], "198.51.100.9");
        check("10.0.0.1", &["203.0.113.5", "198.51.100.9", "10.0.0.2"], "198.51.100.9");
        check("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
        check("2001:db8:aa::1", &["2001:db8:bb::7"], "2001:db8:bb::7");
        check("::ffff:10.0.0.1", &["::ffff:198.51.100.9"], "198.51.100.9");
    }

    #[test]
    fn what_is_no_address_stops_at_the_hop_that_wrote_it() {
        for written in ["unknown", "_hidden", "", "203.0.113.5 x", "1.2.3", "[::1", "a.example", "\u{e9}"] {
            assert_eq!(found("10.0.0.1", &["203.0.113.5", written], &trusted()), "10.0.0.1", "{written}");
            let further = format!("203.0.113.5, {written}, 10.0.0.2");
            assert_eq!(found("10.0.0.1", &[&further], &trusted()), "10.0.0.2", "{written}");
        }
    }

    #[test]
    fn the_forms_that_hops_write_are_read() {
        for (written, expected) in [
            ("198.51.100.9:1234", "198.51.100.9"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:1234", "2001:db8::7"),
            ("\t2001:db8::7 ", "2001:db8::7"),
        ] {
            assert_eq!(found("10.0.0.1", &[written], &trusted()), expected);
        }
    }

    #[test]
    fn the_number_of_hops_is_bounded() {
        let long = vec!["10.0.0.2"; 100].join(",");
        assert_eq!(found("10.0.0.1", &["198.51.100.9", &long], &trusted()), "10.0.0.2");
    }

    proptest! {
        #[test]
        fn without_trust_nothing_that_is_sent_matters(field in "[ -~]{0,60}") {
            prop_assert_eq!(found("192.0.2.1", &[&field], &TrustedHops::default()), "192.0.2.1");
            prop_assert_eq!(found("192.0.2.1", &[&field], &trusted()), "192.0.2.1");
        }

        #[test]
        fn what_stands_left_of_the_client_never_matters(forged in "[ -~]{0,60}") {
            let fields = [forged.as_str(), "198.51.100.9, 10.0.0.2"];
            prop_assert_eq!(found("10.0.0.1", &fields, &trusted()), "198.51.100.9");
        }
    }
}
