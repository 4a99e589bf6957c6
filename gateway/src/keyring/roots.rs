//! Whose certificates are believed?

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::fault::Unusable;
use super::holding::{Content, Judged, Misfit};
use super::source::Pieces;
use super::x509;

/// The authorities that certificates must lead to.
#[derive(Debug)]
pub struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    store: Arc<RootCertStore>,
    ends: Vec<Timestamp>,
}

impl Roots {
    /// The certificates of the authorities.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// As TLS wants them.
    #[must_use]
    pub const fn store(&self) -> &Arc<RootCertStore> {
        &self.store
    }

    /// The next root to end. One that has ended is believed by nobody any more, and does not hide it.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        let now = Timestamp::now();
        let next = self.ends.iter().filter(|ends| **ends > now).min();
        next.or_else(|| self.ends.iter().max()).copied()
    }

    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Unusable> {
        let mut store = RootCertStore::empty();
        for certificate in &certificates {
            store.add(certificate.clone()).map_err(|_unusable| Unusable::NotARoot)?;
        }
        let ends = certificates.iter().filter_map(|der| Some(x509::validity(der)?.1)).collect();
        Ok(Self { certificates, store: Arc::new(store), ends })
    }
}

impl Content for Roots {
    const WHAT: &'static str = "roots";
    // All public authorities of the world are a quarter of that.
    const BYTES_MAX: u64 = 1 << 20;

    fn parse(pieces: &Pieces) -> Result<Self, Misfit> {
        let pem = pieces.first().ok_or(Unusable::NoCertificate)?;
        Ok(Self::new(x509::certificates(pem)?)?)
    }

    fn follows(&self, _: &Judged<'_, Self>) -> Result<(), Unusable> {
        Ok(())
    }

    fn ends(&self) -> Option<Timestamp> {
        self.next_end()
    }
}
