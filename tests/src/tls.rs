//! How the peers of this package speak TLS: rustls with ring, said in one place.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::certificates::{Authority, Identity};

/// Makes ring the process's provider, as the gateway does. May be called any number of times.
pub fn install_provider() {
    // The second call is refused, and the provider stays the one wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A server that shows `identity` and, given the roots of `clients`, asks for a certificate that leads to them.
pub(crate) fn server(identity: &Identity, clients: Option<&str>) -> Arc<ServerConfig> {
    install_provider();
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(pem) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder(Arc::new(roots(pem))).build().expect("one root is enough"),
        ),
    };
    let (chain, key) = parsed(identity);
    let mut config = builder.with_single_cert(chain, key).expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A server that asks for a certificate signed by `clients`, and serves those that show none as well.
pub(crate) fn server_that_asks(identity: &Identity, clients: &Authority) -> Arc<ServerConfig> {
    install_provider();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots(&clients.pem())));
    let verifier = verifier.allow_unauthenticated().build().expect("one root is enough");
    let (chain, key) = parsed(identity);
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key);
    let mut config = config.expect("the key belongs to the certificate");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A client that trusts `roots_pem` only, and shows `identity` when asked.
pub(crate) fn client(roots_pem: &str, identity: Option<&Identity>) -> Arc<ClientConfig> {
    install_provider();
    let builder = ClientConfig::builder().with_root_certificates(roots(roots_pem));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = parsed(identity);
            builder.with_client_auth_cert(chain, key).expect("the key belongs to the certificate")
        }
    };
    Arc::new(config)
}

fn roots(pem: &str) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(root.expect("roots are PEM")).expect("a root is a certificate");
    }
    store
}

fn parsed(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("a chain is PEM");
    (chain, PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).expect("a key is PEM"))
}
