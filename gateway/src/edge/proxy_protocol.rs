//! From where does a connection come, if a load balancer says so before anything else?
//!
//! The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt, section 2.2). To be read only on a
//! listener that is configured for it: whoever may send this header may claim any address.

use std::net::{IpAddr, SocketAddr};

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// The connection is the balancer's own (a health check), or it does not know whose: the socket's
    /// address holds.
    Own,
    /// The connection is a client's.
    Of {
        /// The client's address.
        client: SocketAddr,
        /// The address that the client reached.
        reached: SocketAddr,
    },
}

/// Why the bytes are no such header. The connection cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection does not begin with the header.
    #[error("the connection begins without a PROXY header")]
    Missing,
    /// The text form, which has no length to bound it by.
    #[error("the PROXY header is of version 1")]
    Version1,
    /// Another version or command.
    #[error("the PROXY header has a version or command that is not known")]
    Command,
    /// Not TCP over IPv4 or IPv6.
    #[error("the PROXY header is of another protocol than TCP")]
    Family,
    /// Shorter than its addresses, or longer than is read.
    #[error("the PROXY header has a length that cannot be right")]
    Length,
}

/// How many bytes follow the fixed part with which `bytes` begin.
///
/// # Errors
/// The bytes do not begin with a header that is understood.
pub(crate) fn announced(bytes: &[u8]) -> Result<usize, Fault> {
    check_start(bytes)?;
    let [.., high, low] = bytes.first_chunk::<FIXED_BYTES>().ok_or(Fault::Missing)?;
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length > LENGTH_MAX { Err(Fault::Length) } else { Ok(length) }
}

/// The header at the start of `bytes` and how many bytes it takes; nothing while it is incomplete.
///
/// # Errors
/// The bytes do not begin with a header that is understood.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    check_start(bytes)?;
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let command = Command::of(command)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LENGTH_MAX {
        return Err(Fault::Length);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let header = match (command, family) {
        (Command::Local, _) | (Command::Proxy, UNSPECIFIED) => Header::Own,
        (Command::Proxy, TCP_OVER_IPV4) => addresses::<4>(body)?,
        (Command::Proxy, TCP_OVER_IPV6) => addresses::<16>(body)?,
        (Command::Proxy, _) => return Err(Fault::Family),
    };
    Ok(Some((header, FIXED_BYTES.saturating_add(length))))
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Local,
    Proxy,
}

impl Command {
    /// The upper half is the version, 2.
    const fn of(byte: u8) -> Result<Self, Fault> {
        match byte {
            0x20 => Ok(Self::Local),
            0x21 => Ok(Self::Proxy),
            _ => Err(Fault::Command),
        }
    }
}

/// Whether what has come so far can be the start of a header.
fn check_start(bytes: &[u8]) -> Result<(), Fault> {
    let so_far = bytes.get(..SIGNATURE.len()).unwrap_or(bytes);
    if SIGNATURE.starts_with(so_far) {
        return Ok(());
    }
    Err(if so_far.starts_with(b"PROXY ") { Fault::Version1 } else { Fault::Missing })
}

/// Two addresses of `N` bytes, then two ports.
fn addresses<const N: usize>(body: &[u8]) -> Result<Header, Fault>
where
    IpAddr: From<[u8; N]>,
{
    let (client, rest) = body.split_first_chunk::<N>().ok_or(Fault::Length)?;
    let (reached, rest) = rest.split_first_chunk::<N>().ok_or(Fault::Length)?;
    let (client_port, rest) = rest.split_first_chunk().ok_or(Fault::Length)?;
    let (reached_port, _extensions) = rest.split_first_chunk().ok_or(Fault::Length)?;
    // An IPv4 address written as IPv6 is that IPv4 address, or lists of networks could be gone around.
    let socket = |address: [u8; N], port: [u8; 2]| {
        SocketAddr::new(IpAddr::from(address).to_canonical(), u16::from_be_bytes(port))
    };
    Ok(Header::Of { client: socket(*client, *client_port), reached: socket(*reached, *reached_port) })
}

/// What no protocol that is served here begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, command, family, length.
pub(crate) const FIXED_BYTES: usize = 16;
/// No address: the sender does not know it.
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// Balancers add some hundred bytes of extensions; the field could say 64 KiB.
const LENGTH_MAX: usize = 2048;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv6Addr;

    fn header(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    fn check(bytes: &[u8], expected: Result<Header, Fault>) {
        let expected = expected.map(|header| Some((header, bytes.len())));
        assert_eq!(parse(&[bytes, b"GET /"].concat()), expected, "{}", bytes.escape_ascii());
    }

    fn of(client: &str, reached: &str) -> Result<Header, Fault> {
        Ok(Header::Of { client: client.parse().unwrap(), reached: reached.parse().unwrap() })
    }

    const V4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];

    fn v6(client: Ipv6Addr) -> Vec<u8> {
        [&client.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0x30, 0x39, 0x01, 0xbb]].concat()
    }

    #[test]
    fn a_clients_addresses_are_read() {
        check(&header(0x21, 0x11, V4), of("192.0.2.1:12345", "198.51.100.2:443"));
        check(
            &header(0x21, 0x21, &v6("2001:db8::7".parse().unwrap())),
            of("[2001:db8::7]:12345", "[::1]:443"),
        );
        check(
            &header(0x21, 0x21, &v6("::ffff:192.0.2.1".parse().unwrap())),
            of("192.0.2.1:12345", "[::1]:443"),
        );
    }

    #[test]
    fn extensions_are_skipped() {
        let with_extension = [V4, &[0x04, 0x00, 0x02, b'x', b'y']].concat();
        check(&header(0x21, 0x11, &with_extension), of("192.0.2.1:12345", "198.51.100.2:443"));
    }

    #[test]
    fn a_balancers_own_connection_claims_no_address() {
        check(&header(0x20, 0x00, &[]), Ok(Header::Own));
        check(&header(0x20, 0x11, V4), Ok(Header::Own));
        check(&header(0x21, 0x00, &[]), Ok(Header::Own));
    }

    #[test]
    fn what_is_no_such_header_is_refused() {
        check(b"GET / HTTP/1.1\r\n", Err(Fault::Missing));
        check(b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n", Err(Fault::Version1));
        check(b"\r\n\r\n\0\r\nQUIX", Err(Fault::Missing));
        check(&header(0x11, 0x11, V4), Err(Fault::Command));
        check(&header(0x22, 0x11, V4), Err(Fault::Command));
        for family in [0x12, 0x22, 0x31, 0x32, 0x10, 0xff] {
            check(&header(0x21, family, V4), Err(Fault::Family));
        }
        check(&header(0x21, 0x11, &V4[..11]), Err(Fault::Length));
        check(&header(0x21, 0x21, V4), Err(Fault::Length));
        check(&header(0x21, 0x11, &[0; LENGTH_MAX + 1]), Err(Fault::Length));
    }

    #[test]
    fn a_header_that_goes_on_is_waited_for() {
        let bytes = header(0x21, 0x11, V4);
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), Ok(None), "{end}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_misread(command: u8, family: u8, body in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..80) {
            let bytes = header(command, family, &body);
            let whole = parse(&bytes);
            if let Ok(Some((_, consumed))) = whole {
                prop_assert_eq!(consumed, bytes.len());
            }
            let part = parse(&bytes[..cut.min(bytes.len())]);
            prop_assert!(part == Ok(None) || part == whole);
        }
    }
}
