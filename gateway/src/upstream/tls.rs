//! With which certificates is an upstream verified, and with which does the gateway show itself?
//!
//! Everything is parsed here, at load, because the connector ends the process on a certificate or key
//! it cannot parse, and skips verification when the server name is empty.

use std::fmt;
use std::sync::Arc;

use pingora::protocols::tls::CaType;
use pingora::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::settings::{ClientCertificate, PemFault, SettingsError, TlsSettings};

/// Trust in one upstream that is known to work: a name, roots, and perhaps a client certificate.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) server_name: String,
    pub(super) roots: Arc<CaType>,
    pub(super) client: Option<Arc<CertKey>>,
}

impl Trust {
    pub(super) fn new(settings: &TlsSettings) -> Result<Self, SettingsError> {
        let server_name = server_name(&settings.server_name)?;
        let ders = certificates(&settings.roots_pem).map_err(SettingsError::Roots)?;
        let mut store = RootCertStore::empty();
        for der in &ders {
            store.add(der.clone()).map_err(|_refused| SettingsError::Roots(PemFault::Certificate))?;
        }
        let client = settings
            .client
            .as_ref()
            .map(|client| client_certificate(client, store))
            .transpose()
            .map_err(SettingsError::ClientCertificate)?;
        let roots = ders.into_iter().map(|der| WrappedX509::new(der.to_vec(), parse_x509)).collect();
        Ok(Self { server_name, roots, client })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("server_name", &self.server_name).finish_non_exhaustive()
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

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFault> {
    let ders: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_broken| PemFault::Pem)?;
    if ders.is_empty() {
        return Err(PemFault::Empty);
    }
    for der in &ders {
        let (rest, _) =
            x509_parser::parse_x509_certificate(der).map_err(|_unparsable| PemFault::Certificate)?;
        if !rest.is_empty() {
            return Err(PemFault::Certificate);
        }
    }
    Ok(ders)
}

fn client_certificate(client: &ClientCertificate, roots: RootCertStore) -> Result<Arc<CertKey>, PemFault> {
    let chain = certificates(&client.chain_pem)?;
    let key = PrivateKeyDer::from_pem_slice(&client.key_pem).map_err(|_broken| PemFault::Pem)?;
    // The connector tells the kind of a key from its bytes alone; what that cannot tell is refused here.
    let plain = key.secret_der().to_vec();
    let guessed = PrivateKeyDer::try_from(plain.clone()).map_err(|_unknown| PemFault::Key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_no_version| PemFault::Key)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.clone(), guessed)
        .map_err(|_mismatch| PemFault::Key)?;
    Ok(Arc::new(CertKey::new(chain.into_iter().map(|der| der.to_vec()).collect(), plain)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::fake::Authority;
    use zeroize::Zeroizing;

    fn settings(authority: &Authority) -> TlsSettings {
        TlsSettings { server_name: "odoo.test".into(), roots_pem: authority.pem(), client: None }
    }

    #[test]
    fn a_server_name_that_would_weaken_verification_is_refused() {
        let authority = Authority::new();
        for name in ["", "odoo_1.test", "a b", "odoo.test:443", "*"] {
            let settings = TlsSettings { server_name: name.into(), ..settings(&authority) };
            assert_eq!(
                Trust::new(&settings).unwrap_err(),
                SettingsError::ServerName(name.into()),
                "{name:?}"
            );
        }
        for name in ["odoo.test", "10.0.0.1", "localhost"] {
            let settings = TlsSettings { server_name: name.into(), ..settings(&authority) };
            assert!(Trust::new(&settings).is_ok(), "{name}");
        }
    }

    #[test]
    fn roots_that_hold_no_usable_certificate_are_refused() {
        let check = |pem: &[u8], fault| {
            let settings = TlsSettings { roots_pem: pem.to_vec(), ..settings(&Authority::new()) };
            assert_eq!(Trust::new(&settings).unwrap_err(), SettingsError::Roots(fault));
        };
        check(b"", PemFault::Empty);
        check(b"hello", PemFault::Empty);
        check(b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n", PemFault::Pem);
        check(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", PemFault::Certificate);
    }

    #[test]
    fn a_client_key_has_to_fit_its_certificate() {
        let authority = Authority::new();
        let (one, other) = (authority.issue("gateway.test"), authority.issue("gateway.test"));
        let check = |chain: &[u8], key: &[u8], expected: Result<(), PemFault>| {
            let client =
                ClientCertificate { chain_pem: chain.to_vec(), key_pem: Zeroizing::new(key.to_vec()) };
            let settings = TlsSettings { client: Some(client), ..settings(&authority) };
            let got = Trust::new(&settings).map(|_| ());
            assert_eq!(got, expected.map_err(SettingsError::ClientCertificate));
        };
        check(one.chain_pem().as_bytes(), one.key_pem().as_bytes(), Ok(()));
        check(one.chain_pem().as_bytes(), other.key_pem().as_bytes(), Err(PemFault::Key));
        check(one.chain_pem().as_bytes(), b"", Err(PemFault::Pem));
        check(b"", one.key_pem().as_bytes(), Err(PemFault::Empty));
    }
}
