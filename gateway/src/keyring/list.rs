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
use super::holding::{Content, Judged, Misfit};
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

    fn is_of_a_root(&self, roots: &Roots) -> bool {
        let mut roots = roots.certificates().iter().filter_map(|der| x509::parse(der));
        roots.any(|root| root.subject().as_raw() == &*self.issuer)
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
        // RFC 5280 section 4.2.1.13: behind a URL a list is DER. A sequence begins so, and no text does.
        let lists = match bytes.first() {
            None => return Err(Unusable::NoList.into()),
            Some(&DER_SEQUENCE) => vec![CertificateRevocationListDer::from(bytes.to_vec())],
            Some(_) => CertificateRevocationListDer::pem_slice_iter(bytes)
                .collect::<Result<_, _>>()
                .map_err(|_what_it_quotes| Misfit::from(Unusable::NotPem))?,
        };
        if lists.is_empty() {
            return Err(Unusable::NoList.into());
        }
        Ok(Self(lists.into_iter().map(RevocationList::parse).collect::<Result<_, _>>()?))
    }

    fn follows(&self, judged: &Judged<'_, Self>) -> Result<(), Unusable> {
        let held = || judged.before.iter().flat_map(|before| &before.0);
        let older = |list: &RevocationList| {
            held().filter(|held| held.issuer == list.issuer).any(|held| list.is_older_than(held))
        };
        if self.0.iter().any(older) {
            return Err(Unusable::OlderList);
        }
        let Some(roots) = judged.signers else { return Ok(()) };
        self.0.iter().try_for_each(|list| list.is_signed_by(roots))?;
        // Who answers in the place of the server must not take a list away by giving another.
        let lacks = |held: &RevocationList| {
            held.is_of_a_root(roots) && !self.0.iter().any(|list| list.issuer == held.issuer)
        };
        if judged.remote && held().any(lacks) {
            return Err(Unusable::OtherList);
        }
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

/// The first byte of a list in DER (X.690 section 8.9).
const DER_SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::testing::{Authority, authority, list as list_of};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    /// A list with this number, of this day of January 2027.
    fn list(authority: &Authority, number: u64, day: u8) -> String {
        list_of(authority, number, (1, day), (6, 1))
    }

    fn lists(pem: &str) -> RevocationLists {
        RevocationLists::parse(&vec![Zeroizing::new(pem.as_bytes().to_vec())]).unwrap()
    }

    fn roots(authorities: &[&Authority]) -> Roots {
        let pem: String = authorities.iter().map(|authority| authority.pem()).collect();
        Roots::parse(&vec![Zeroizing::new(pem.into_bytes())]).unwrap()
    }

    #[test]
    fn only_what_is_newer_and_signed_by_its_issuer_takes_the_place_of_a_list() {
        let (ours, forger, others) = (authority("ours"), authority("ours"), authority("others"));
        let roots = roots(&[&ours]);
        let before = lists(&list(&ours, 256, 10));
        for (what, pem, remote, expected) in [
            ("the next", list(&ours, 257, 11), true, Ok(())),
            ("the same again", list(&ours, 256, 10), true, Ok(())),
            ("a lower number", list(&ours, 255, 11), true, Err(Unusable::OlderList)),
            ("an earlier day", list(&ours, 257, 9), true, Err(Unusable::OlderList)),
            ("somebody else's in its name", list(&forger, 257, 11), true, Err(Unusable::ForgedList)),
            ("another's over a network", list(&others, 257, 11), true, Err(Unusable::OtherList)),
            ("another's in a file", list(&others, 257, 11), false, Ok(())),
            ("both", format!("{}{}", list(&others, 1, 1), list(&ours, 257, 11)), true, Ok(())),
        ] {
            let judged =
                Judged { before: Some(&before), signers: Some(&roots), remote, now: Timestamp::UNIX_EPOCH };
            assert_eq!(lists(&pem).follows(&judged), expected, "{what}");
        }
    }

    #[test]
    fn a_list_of_an_intermediate_is_taken_and_what_it_replaces_is_not_missed() {
        let (root, intermediate) = (authority("root"), authority("intermediate"));
        let roots = roots(&[&root]);
        let before = lists(&list(&intermediate, 9, 10));
        let judged =
            Judged { before: Some(&before), signers: Some(&roots), remote: true, now: Timestamp::UNIX_EPOCH };
        assert_eq!(lists(&list(&root, 1, 1)).follows(&judged), Ok(()));
    }

    #[test]
    fn a_list_is_read_from_der_and_pem_alike() {
        let pem = list(&authority("ours"), 1, 1);
        let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
        let of_der = RevocationLists::parse(&vec![Zeroizing::new(der)]).unwrap();
        assert_eq!(of_der.ends(), lists(&pem).ends());
        assert_eq!(of_der.ends().unwrap().to_string(), "2027-06-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut der = vec![DER_SEQUENCE];
            der.extend_from_slice(&bytes);
            for bytes in [bytes, der] {
                let parsed = RevocationLists::parse(&vec![Zeroizing::new(bytes)]);
                let _kept_or_refused = parsed.map_err(|misfit| misfit.why.reason());
            }
        }
    }
}
