//! A certificate of the gateway's own: does it fit its key, and whose name does it carry?

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::fault::Unusable;
use super::holding::{Content, Misfit};
use super::roots::Roots;
use super::source::Pieces;
use super::x509;

/// A certificate chain and the key of its leaf.
pub struct KeyPair {
    certified: Arc<CertifiedKey>,
    key: Zeroizing<Vec<u8>>,
    dns: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl KeyPair {
    /// As TLS shows it.
    #[must_use]
    pub const fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// The leaf and its intermediates.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// The private key, in DER.
    #[must_use]
    pub const fn key(&self) -> &Zeroizing<Vec<u8>> {
        &self.key
    }

    /// The host names in the leaf.
    #[must_use]
    pub fn dns_names(&self) -> &[String] {
        &self.dns
    }
}

impl Content for KeyPair {
    const WHAT: &'static str = "certificate";
    const BYTES_MAX: u64 = 1 << 20;

    fn parse(pieces: &Pieces) -> Result<Self, Misfit> {
        let [chain, key] = pieces.as_slice() else { return Err(Unusable::NoKey.into()) };
        let no_key = Misfit { piece: 1, why: Unusable::NoKey };
        let chain = x509::certificates(chain)?;
        // What the parser says of a key is not repeated: it could quote the file.
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_what_it_quotes| no_key)?;
        let plain = Zeroizing::new(key.secret_der().to_vec());
        let dns = chain.first().map(|leaf| x509::dns_names(leaf)).unwrap_or_default();
        let (not_before, not_after) = validity(&chain).ok_or(Unusable::NotX509)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider)
            .map_err(|_mismatch| Misfit::from(Unusable::KeyDoesNotFit))?;
        Ok(Self { certified: Arc::new(certified), key: plain, dns, not_before, not_after })
    }

    /// The first one is taken whatever its time: who sees it can tell. Later ones only while they are valid,
    /// so that the next certificate may lie there before its day, and an ended one replaces nothing.
    fn follows(&self, before: Option<&Self>, _: Option<&Roots>, now: Timestamp) -> Result<(), Unusable> {
        let valid = (self.not_before..=self.not_after).contains(&now);
        if before.is_some() && !valid { Err(Unusable::NotValidNow) } else { Ok(()) }
    }

    fn ends(&self) -> Option<Timestamp> {
        Some(self.not_after)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// When all of a chain is valid.
fn validity(chain: &[CertificateDer<'_>]) -> Option<(Timestamp, Timestamp)> {
    let of_each: Vec<_> = chain.iter().map(|der| x509::validity(der)).collect::<Option<_>>()?;
    let from = of_each.iter().map(|(from, _)| *from).max()?;
    let until = of_each.iter().map(|(_, until)| *until).min()?;
    Some((from, until))
}
