//! What does an upstream need to be told, and which of it can never work?
//!
//! Settings arrive as plain values; where they were written is known to whoever read the file.

use std::net::SocketAddr;
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderName, HeaderValue};

use crate::keyring::{KeyringFault, Source};

/// One upstream, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The name contracts use.
    pub name: String,
    /// `host:port`, at least one. Names are looked up by [`Upstreams::resolve`](super::Upstreams::resolve).
    pub addresses: Vec<String>,
    /// How its certificate is verified; nothing means plain HTTP.
    pub tls: Option<TlsSettings>,
    /// The newest HTTP it is spoken to in.
    pub protocol: Protocol,
    /// Time to make a connection, TLS included.
    pub connect_timeout: Duration,
    /// Time from the request's last byte to the answer's head.
    pub first_byte_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// The authority sent; without one it is the first address.
    pub host: Option<String>,
    /// Calls at the same time; one more is refused at once.
    pub in_flight_max: usize,
    /// The credential sent, by name.
    pub credential: Option<String>,
    /// The field in which the upstream learns who the caller is.
    pub identity_header: HeaderName,
    /// Answer fields that may reach the client, beside the usual ones.
    pub response_headers: Vec<HeaderName>,
}

/// The newest HTTP an upstream is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; answers in HTTP/1.0 are understood.
    Http1,
    /// HTTP/2: negotiated over TLS, with prior knowledge without it.
    Http2,
}

/// How an upstream proves itself, and how the gateway does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The name its certificate has to carry.
    pub server_name: String,
    /// The only authorities believed.
    pub roots: Source,
    /// What the gateway shows for itself.
    pub client: Option<Source>,
}

/// Why an upstream cannot be built from its settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Two upstreams share a name.
    #[error("the name `{0}` is taken by another upstream")]
    Name(String),
    /// No address, or too many.
    #[error("between 1 and {ADDRESSES_MAX} addresses are wanted")]
    AddressCount,
    /// Not `host:port`.
    #[error("`{0}` is not an address of the form `host:port`")]
    Address(String),
    /// Not an authority.
    #[error("`{0}` is not a host name with an optional port")]
    Host(String),
    /// Zero calls at a time.
    #[error("at least one call at a time has to be possible")]
    InFlight,
    /// A time of zero.
    #[error("the connect and first-byte times have to be longer than zero")]
    Time,
    /// Empty, or no name a certificate can carry.
    #[error("`{0}` is not a name a server certificate can carry")]
    ServerName(String),
    /// The trust bundle.
    #[error("the root certificates cannot be used: {0}")]
    Roots(KeyringFault),
    /// The gateway's own certificate or key.
    #[error("the client certificate cannot be used: {0}")]
    ClientCertificate(KeyringFault),
}

impl SettingsError {
    /// The file it is about, if it is about one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Roots(fault) | Self::ClientCertificate(fault) => Some(&fault.name),
            Self::Name(_)
            | Self::AddressCount
            | Self::Address(_)
            | Self::Host(_)
            | Self::InFlight
            | Self::Time
            | Self::ServerName(_) => None,
        }
    }
}

/// An address as written: a socket, or a name to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Socket(SocketAddr),
    Name { host: String, port: u16 },
}

impl UpstreamSettings {
    /// The addresses, parsed.
    pub(super) fn targets(&self) -> Result<Vec<Target>, SettingsError> {
        if self.addresses.is_empty() || self.addresses.len() > ADDRESSES_MAX {
            return Err(SettingsError::AddressCount);
        }
        self.addresses.iter().map(|text| Target::parse(text)).collect()
    }

    /// The authority every request carries.
    pub(super) fn authority(&self) -> Result<HeaderValue, SettingsError> {
        let text = match (&self.host, self.addresses.first()) {
            (Some(host), _) => host.as_str(),
            (None, Some(address)) => address.strip_suffix(self.default_port()).unwrap_or(address),
            (None, None) => return Err(SettingsError::AddressCount),
        };
        let wrong = || SettingsError::Host(text.to_owned());
        let authority: Authority = text.parse().map_err(|_unparsable| wrong())?;
        if authority.host().is_empty() || text.contains('@') {
            return Err(wrong());
        }
        HeaderValue::from_str(text).map_err(|_invalid| wrong())
    }

    // RFC 9110 section 4.2.3: a default port is left out of the authority.
    const fn default_port(&self) -> &'static str {
        if self.tls.is_some() { ":443" } else { ":80" }
    }

    /// What no other check covers.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        if self.in_flight_max == 0 {
            return Err(SettingsError::InFlight);
        }
        if self.connect_timeout.is_zero() || self.first_byte_timeout.is_zero() {
            return Err(SettingsError::Time);
        }
        Ok(())
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Address(text.to_owned());
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return if socket.port() == 0 { Err(wrong()) } else { Ok(Self::Socket(socket)) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_not_a_port| wrong())?;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if port == 0 || host.is_empty() || !host.bytes().all(is_name) {
            return Err(wrong());
        }
        Ok(Self::Name { host: host.to_owned(), port })
    }
}

/// Addresses written for one upstream: each is looked up and remembered, and a list this long is a mistake.
pub(super) const ADDRESSES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fake;

    #[test]
    fn an_address_is_a_socket_or_a_name_with_a_port() {
        let check = |text: &str, expected: Option<Target>| {
            assert_eq!(Target::parse(text).ok(), expected, "{text}");
        };
        let name = |host: &str, port| Some(Target::Name { host: host.into(), port });
        check("127.0.0.1:8069", Some(Target::Socket("127.0.0.1:8069".parse().unwrap())));
        check("[::1]:8069", Some(Target::Socket("[::1]:8069".parse().unwrap())));
        check("odoo.internal:8069", name("odoo.internal", 8069));
        check("odoo_1:8069", name("odoo_1", 8069));
        for text in [
            "",
            "odoo",
            "odoo:",
            ":8069",
            "odoo:0",
            "1.2.3.4:0",
            "odoo:65536",
            "http://odoo:80",
            "a b:80",
            "::1:80",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_authority_is_the_host_or_the_first_address_without_a_default_port() {
        let check = |address: &str, host: Option<&str>, tls: bool, expected: &str| {
            let mut settings = fake::settings(&[address]);
            settings.host = host.map(str::to_owned);
            settings.tls = tls.then(|| TlsSettings {
                server_name: "odoo".into(),
                roots: Source::Given(Vec::new()),
                client: None,
            });
            assert_eq!(settings.authority().unwrap(), expected);
        };
        check("odoo:8069", None, false, "odoo:8069");
        check("odoo:80", None, false, "odoo");
        check("odoo:443", None, true, "odoo");
        check("odoo:443", None, false, "odoo:443");
        check("10.0.0.1:80", Some("shop.example"), false, "shop.example");
    }

    #[test]
    fn a_host_with_user_or_path_is_refused() {
        for host in ["", "user@odoo", "odoo/path", "odoo\r\nX: y", "a b"] {
            let mut settings = fake::settings(&["10.0.0.1:80"]);
            settings.host = Some(host.into());
            assert!(settings.authority().is_err(), "{host:?}");
        }
    }

    #[test]
    fn zero_calls_or_times_are_refused() {
        let good = fake::settings(&["10.0.0.1:80"]);
        assert_eq!(good.check(), Ok(()));
        assert_eq!(
            UpstreamSettings { in_flight_max: 0, ..good.clone() }.check(),
            Err(SettingsError::InFlight)
        );
        let zero = UpstreamSettings { connect_timeout: Duration::ZERO, ..good.clone() };
        assert_eq!(zero.check(), Err(SettingsError::Time));
        assert_eq!(
            UpstreamSettings { addresses: vec![], ..good }.targets(),
            Err(SettingsError::AddressCount)
        );
    }
}
