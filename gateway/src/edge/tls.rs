//! Which certificates does a listener show, and which client certificates does it trust?
//!
//! Built from files for each snapshot; a handshake uses the newest. Sessions resume only within one
//! snapshot, because each has a rustls configuration, and so a session store, of its own.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::config::{KeyPairFiles, ListenerTlsFiles};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// What decides whether a client certificate is trusted.
pub type ClientTrust = Arc<dyn ClientCertVerifier>;

/// The TLS side of one listener.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    pub(super) server: Arc<ServerConfig>,
    pub(super) trust: Option<ClientTrust>,
}

impl ListenerTls {
    /// Reads the files of one listener. `http2` says whether HTTP/2 is offered.
    ///
    /// # Errors
    /// Every file that cannot be read, or does not hold what it should, by name.
    pub fn load(files: &ListenerTlsFiles, http2: bool) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let shown = mistakes.keep(certificates(&files.certificates));
        let trust = match &files.client_roots {
            None => None,
            Some(roots) => mistakes.keep(client_trust(roots, &files.client_crls)),
        };
        let (shown, mistakes) = mistakes.into_result(shown)?;
        drop(mistakes);
        let server = server_config(shown, trust.clone(), http2).map_err(|fault| {
            let place = Place::file(&files.name);
            Diagnostics::from(Diagnostic::error(place, format!("TLS cannot be set up: {fault}")))
        })?;
        Ok(Self { server: Arc::new(server), trust })
    }

    /// What decides whether a client certificate is trusted, if the listener asks for one.
    #[must_use]
    pub const fn trust(&self) -> Option<&ClientTrust> {
        self.trust.as_ref()
    }
}

fn server_config(
    shown: Shown,
    trust: Option<ClientTrust>,
    http2: bool,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match trust {
        Some(trust) => builder.with_client_cert_verifier(trust),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.alpn_protocols =
        if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    // Early data can be replayed by whoever recorded it (RFC 8446 section 8).
    config.max_early_data_size = 0;
    Ok(config)
}

/// The certificates of a listener, by the names in them.
#[derive(Debug)]
struct Shown {
    first: Arc<CertifiedKey>,
    by_name: Vec<(String, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().unwrap_or_default();
        let fitting = self.by_name.iter().find(|(name, _)| covers(name, asked));
        Some(Arc::clone(fitting.map_or(&self.first, |(_, key)| key)))
    }
}

/// RFC 6125 section 6.4.3: a wildcard stands for exactly the left-most label.
fn covers(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(parent) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

fn certificates(pairs: &[KeyPairFiles]) -> Result<Shown, Diagnostics> {
    let mut mistakes = Diagnostics::new();
    let mut by_name = Vec::new();
    let mut first = None;
    for pair in pairs {
        let Some(key) = mistakes.keep(certified_key(pair)) else { continue };
        let key = Arc::new(key);
        for name in key.cert.first().map(|leaf| dns_names(leaf)).unwrap_or_default() {
            by_name.push((name, Arc::clone(&key)));
        }
        first.get_or_insert(key);
    }
    if pairs.is_empty() {
        mistakes.push(Diagnostic::error(Place::file("gateway.yaml"), "a TLS listener shows no certificate"));
    }
    let (first, _) = mistakes.into_result(first)?;
    Ok(Shown { first, by_name })
}

fn certified_key(pair: &KeyPairFiles) -> Result<CertifiedKey, Diagnostics> {
    let mut mistakes = Diagnostics::new();
    let chain = mistakes.keep(read_certificates(&pair.chain));
    let key = mistakes.keep(read_key(&pair.key));
    let ((chain, key), _) = mistakes.into_result(chain.zip(key))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|fault| {
        fault_in(&pair.chain, &format!("does not fit its key {}: {fault}", pair.key.display()))
    })
}

fn client_trust(roots_file: &Path, crl_files: &[impl AsRef<Path>]) -> Result<ClientTrust, Diagnostics> {
    let mut mistakes = Diagnostics::new();
    let mut roots = RootCertStore::empty();
    for certificate in mistakes.keep(read_certificates(roots_file)).unwrap_or_default() {
        if let Err(fault) = roots.add(certificate) {
            mistakes
                .extend(fault_in(roots_file, &format!("holds a certificate that cannot be a root: {fault}")));
        }
    }
    let mut crls = Vec::new();
    for file in crl_files {
        crls.extend(mistakes.keep(read_crls(file.as_ref())).unwrap_or_default());
    }
    let (crls, _) = mistakes.into_result(Some(crls))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        // Whether a certificate is needed is for each operation to say, not for the listener.
        .allow_unauthenticated()
        .with_crls(crls)
        // RFC 5280 section 6.3: a list past its next update proves nothing.
        .enforce_revocation_expiration();
    let trust: ClientTrust =
        builder.build().map_err(|fault| fault_in(roots_file, &format!("cannot be used: {fault}")))?;
    Ok(trust)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Diagnostics> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|fault| fault_in(path, &format!("cannot be read as PEM: {fault}")))?;
    if found.is_empty() {
        return Err(fault_in(path, "holds no certificate"));
    }
    match found.iter().find(|der| X509Certificate::from_der(der).is_err()) {
        Some(_) => Err(fault_in(path, "holds a certificate that is not X.509")),
        None => Ok(found),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Diagnostics> {
    // What the parser says of a key file is not repeated: it could quote the file.
    PrivateKeyDer::from_pem_file(path)
        .map_err(|_fault| fault_in(path, "holds no private key that can be read"))
}

fn read_crls(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, Diagnostics> {
    let found: Result<Vec<_>, _> =
        CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|fault| fault_in(path, &format!("cannot be read as PEM: {fault}")))?;
    if found.is_empty() { Err(fault_in(path, "holds no revocation list")) } else { Ok(found) }
}

fn dns_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(leaf) else { return Vec::new() };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn fault_in(path: &Path, message: &str) -> Diagnostics {
    Diagnostic::error(Place::file(&path.display().to_string()), message).into()
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, asked, fits) in [
            ("api.example", "api.example", true),
            ("API.example", "api.EXAMPLE", true),
            ("*.example", "api.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("api.example", "", false),
        ] {
            assert_eq!(covers(name, asked), fits, "{name} {asked}");
        }
    }
}
