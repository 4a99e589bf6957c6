//! Which certificates of an authority count no more, and is this list newer than the last one?

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::fault::Unusable;
use super::holding::{Content, Misfit};
use super::roots::Roots;
use super::source::Pieces;
use super::x509;

/// The revocation lists of one source: of one authority, or of several in one file.
#[derive(Debug)]
pub struct RevocationLists(Vec<RevocationList>);

/// The revocation list of one authority.
pub struct RevocationList {
    der: CertificateRevocationListDer<'static>,
    /// The name of the authority, in DER.
    issuer: Box<[u8]>,
    /// RFC 5280 section 5.2.3: it grows with every list. Big-endian, without leading zeros.
    number: Option<Box<[u8]>>,
    this_update: Timestamp,
    next_update: Timestamp,
}

impl RevocationLists {
    /// As TLS wants them.
    pub fn lists(&self) -> impl Iterator<Item = &RevocationList> {
        self.0.iter()
    }
}

impl RevocationList {
    /// The list itself.
    #[must_use]
    pub const fn der(&self) -> &CertificateRevocationListDer<'static> {
        &self.der
    }

    /// When the next one is due.
    #[must_use]
    pub const fn next_update(&self) -> Timestamp {
        self.next_update
    }

    fn parse(der: CertificateRevocationListDer<'static>) -> Result<Self, Unusable> {
        let Ok((rest, list)) = CertificateRevocationList::from_der(&der) else {
            return Err(Unusable::NotAList);
        };
        // RFC 5280 section 5.1.2.5: a list says when the next one comes.
        let times = x509::time(list.last_update()).zip(list.next_update().and_then(x509::time));
        let Some((this_update, next_update)) = times.filter(|_| rest.is_empty()) else {
            return Err(Unusable::NotAList);
        };
        let issuer = list.issuer().as_raw().into();
        let number = list.crl_number().map(|number| number.to_bytes_be().into());
        Ok(Self { issuer, number, this_update, next_update, der })
    }

    /// Whether another list of the same authority is newer than this one.
    fn is_older_than(&self, other: &Self) -> bool {
        let number = self.number.as_ref().zip(other.number.as_ref());
        let lower = number.is_some_and(|(own, other)| (own.len(), own) < (other.len(), other));
        lower || self.this_update < other.this_update
    }

    /// Whether a root of that name signed it. An authority that is no root is not known here: TLS checks
    /// the signature when it uses the list.
    fn is_signed_by(&self, roots: &Roots) -> Result<(), Unusable> {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else {
            return Err(Unusable::NotAList);
        };
        let named = roots.certificates().iter().filter_map(|der| x509::parse(der));
        let mut named = named.filter(|root| root.subject().as_raw() == &*self.issuer).peekable();
        if named.peek().is_none() || named.any(|root| signed_by(&list, &root.tbs_certificate.subject_pki)) {
            Ok(())
        } else {
            Err(Unusable::ForgedList)
        }
    }
}

impl Content for RevocationLists {
    const WHAT: &'static str = "revocation-list";
    // A million revoked certificates are some forty megabytes; nobody revokes a million partners.
    const BYTES_MAX: u64 = 16 << 20;

    fn parse(pieces: &Pieces) -> Result<Self, Misfit> {
        let bytes = pieces.first().ok_or(Unusable::NoList)?;
        let lists: Vec<_> = CertificateRevocationListDer::pem_slice_iter(bytes)
            .collect::<Result<_, _>>()
            .map_err(|_what_it_quotes| Misfit::from(Unusable::NotPem))?;
        if lists.is_empty() {
            return Err(Unusable::NoList.into());
        }
        Ok(Self(lists.into_iter().map(RevocationList::parse).collect::<Result<_, _>>()?))
    }

    fn follows(&self, before: Option<&Self>, signers: Option<&Roots>, _: Timestamp) -> Result<(), Unusable> {
        let older = |list: &RevocationList| {
            let before = before.iter().flat_map(|before| &before.0);
            before.filter(|before| before.issuer == list.issuer).any(|before| list.is_older_than(before))
        };
        if self.0.iter().any(older) {
            return Err(Unusable::OlderList);
        }
        let Some(roots) = signers else { return Ok(()) };
        self.0.iter().try_for_each(|list| list.is_signed_by(roots))?;
        usable(self, roots)
    }

    fn ends(&self) -> Option<Timestamp> {
        self.0.iter().map(|list| list.next_update).min()
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList").field("next_update", &self.next_update).finish_non_exhaustive()
    }
}

/// What TLS could not use must not wait for the first handshake to be found.
fn usable(lists: &RevocationLists, roots: &Roots) -> Result<(), Unusable> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots.store()), provider)
        .with_crls(lists.lists().map(|list| list.der().clone()))
        .build()
        .map(drop)
        .map_err(|_unusable| Unusable::NotAList)
}

fn signed_by(
    list: &CertificateRevocationList<'_>,
    key: &x509_parser::x509::SubjectPublicKeyInfo<'_>,
) -> bool {
    let provider = rustls::crypto::ring::default_provider();
    let signature = list.signature_algorithm.algorithm.as_bytes();
    let candidates = provider.signature_verification_algorithms.all.iter();
    candidates
        // An identifier begins with its object identifier: tag, length, value.
        .filter(|candidate| {
            candidate.signature_alg_id().as_ref().get(2..).is_some_and(|id| id.starts_with(signature))
        })
        .any(|candidate| {
            let (key, message) = (&key.subject_public_key.data, list.tbs_cert_list.as_ref());
            candidate.verify_signature(key, message, &list.signature_value.data).is_ok()
        })
}
