//! With which certificates is an upstream verified, and with which does the gateway show itself?
//!
//! Made of what the keyring holds. Everything is parsed before it gets here, because the connector ends the
//! process on a certificate or key it cannot parse, and skips verification when the server name is empty.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::{PrivateKeyDer, ServerName};

use super::settings::{SettingsError, TlsSettings};
use crate::keyring::{Holding, KeyPair, Keyring, KeyringFault, Roots, Unusable};

/// Trust in one upstream: a name, roots, and perhaps a client certificate, whatever those are at the moment.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) server_name: String,
    roots: Arc<Holding<Roots>>,
    client: Option<Arc<Holding<KeyPair>>>,
}

/// What connections are made with, as the keyring holds it at one time.
#[derive(Clone)]
pub(super) struct Believed {
    pub(super) roots: Arc<CaType>,
    pub(super) client: Option<Arc<CertKey>>,
}

impl Trust {
    pub(super) fn new(settings: &TlsSettings, keyring: &Keyring) -> Result<Self, SettingsError> {
        let now = Timestamp::now();
        let roots = keyring.roots(&settings.roots, now).map_err(SettingsError::Roots)?;
        let client = settings.client.as_ref().map(|client| keyring.pair(client, now)).transpose();
        let client = client.map_err(SettingsError::ClientCertificate)?;
        let held = client.as_ref().and_then(|client| Some((client, client.current()?)));
        if let Some((client, _)) = held.filter(|(_, held)| shown(&held.content).is_none()) {
            let fault = KeyringFault { name: client.source().name(), why: Unusable::NoKey };
            return Err(SettingsError::ClientCertificate(fault));
        }
        Ok(Self { server_name: server_name(&settings.server_name)?, roots, client })
    }

    /// Differs whenever something else is held.
    pub(super) fn generations(&self) -> (u64, u64) {
        (self.roots.generation(), self.client.as_ref().map_or(0, |client| client.generation()))
    }

    /// What is held now; nothing while a part is missing, or is of a kind that the connector does not know.
    pub(super) fn believed(&self) -> Option<Believed> {
        let roots = self.roots.current()?;
        let roots = roots.content.certificates().iter();
        let roots = roots.map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect();
        let client = match &self.client {
            None => None,
            Some(client) => Some(Arc::new(shown(&client.current()?.content)?)),
        };
        Some(Believed { roots, client })
    }
}

/// The connector tells the kind of a key from its bytes alone; what that cannot tell is not given to it.
fn shown(pair: &KeyPair) -> Option<CertKey> {
    PrivateKeyDer::try_from(pair.key().as_slice()).ok()?;
    let chain = pair.chain().iter().map(|der| der.to_vec()).collect();
    Some(CertKey::new(chain, pair.key().to_vec()))
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Believed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Believed").finish_non_exhaustive()
    }
}

fn server_name(text: &str) -> Result<String, SettingsError> {
    // An empty name would turn verification off. With `_` in it another name than the one written
    // would be verified, because the connector puts `-` there.
    if text.is_empty() || text.contains('_') || ServerName::try_from(text).is_err() {
        return Err(SettingsError::ServerName(text.to_owned()));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Source;
    use crate::upstream::fake::Authority;

    fn settings(authority: &Authority) -> TlsSettings {
        let roots = Source::Given(vec![authority.pem()]);
        TlsSettings { server_name: "odoo.test".into(), roots, client: None }
    }

    fn trust(settings: &TlsSettings) -> Result<Trust, SettingsError> {
        Trust::new(settings, &Keyring::new())
    }

    #[test]
    fn a_server_name_that_would_weaken_verification_is_refused() {
        let authority = Authority::new();
        for name in ["", "odoo_1.test", "a b", "odoo.test:443", "*"] {
            let settings = TlsSettings { server_name: name.into(), ..settings(&authority) };
            assert_eq!(trust(&settings).unwrap_err(), SettingsError::ServerName(name.into()), "{name:?}");
        }
        for name in ["odoo.test", "10.0.0.1", "localhost"] {
            let settings = TlsSettings { server_name: name.into(), ..settings(&authority) };
            assert!(trust(&settings).is_ok(), "{name}");
        }
    }

    #[test]
    fn roots_that_hold_no_usable_certificate_are_refused() {
        let check = |pem: &[u8], expected| {
            let roots = Source::Given(vec![pem.to_vec()]);
            let settings = TlsSettings { roots, ..settings(&Authority::new()) };
            let Err(SettingsError::Roots(fault)) = trust(&settings) else { panic!("{pem:?}") };
            assert_eq!(fault.why, expected);
        };
        check(b"", Unusable::NoCertificate);
        check(b"hello", Unusable::NoCertificate);
        check(b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n", Unusable::NotPem);
        check(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Unusable::NotX509);
    }

    #[test]
    fn a_client_key_has_to_fit_its_certificate() {
        let authority = Authority::new();
        let (one, other) = (authority.issue("gateway.test"), authority.issue("gateway.test"));
        let check = |chain: &[u8], key: &[u8], expected: Result<(), Unusable>| {
            let client = Source::Given(vec![chain.to_vec(), key.to_vec()]);
            let settings = TlsSettings { client: Some(client), ..settings(&authority) };
            let got = trust(&settings).map(|trust| assert!(trust.believed().is_some()));
            let why = |error| match error {
                SettingsError::ClientCertificate(fault) => fault.why,
                other => panic!("{other}"),
            };
            assert_eq!(got.map_err(why), expected);
        };
        check(one.chain_pem().as_bytes(), one.key_pem().as_bytes(), Ok(()));
        check(one.chain_pem().as_bytes(), other.key_pem().as_bytes(), Err(Unusable::KeyDoesNotFit));
        check(one.chain_pem().as_bytes(), b"", Err(Unusable::NoKey));
        check(b"", one.key_pem().as_bytes(), Err(Unusable::NoCertificate));
    }
}
