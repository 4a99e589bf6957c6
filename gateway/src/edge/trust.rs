//! Is this client certificate believed, here and now?
//!
//! A certificate that carries a SPIFFE ID of a trust domain is believed for that domain's authorities alone,
//! where the listener names such domains; every other certificate for the listener's roots, with their
//! revocation lists.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::encrypted;
use crate::identity::{self, SpiffeClaim};
use crate::keyring::{Bundle, Held, RevocationList, RevocationLists, Roots};

/// What decides whether a client certificate is trusted, until something changes.
#[derive(Debug)]
pub struct ClientTrust {
    provider: Arc<CryptoProvider>,
    roots: Judge,
    /// By trust domain; nothing where the listener names none.
    spiffe: Option<BTreeMap<String, Judge>>,
    hints: Vec<DistinguishedName>,
    /// Differs from that of every other trust of this process.
    generation: u64,
}

/// What a [`ClientTrust`] is made of.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) roots: Option<Arc<Held<Roots>>>,
    /// The lists that are asked for, each with how long it serves past its end; nothing has come yet of some.
    pub(super) lists: Vec<(Option<Arc<Held<RevocationLists>>>, Duration)>,
    pub(super) spiffe: Option<BTreeMap<String, Option<Arc<Held<Bundle>>>>>,
}

/// Verifies paths to one set of roots.
#[derive(Debug)]
enum Judge {
    /// To these roots, until a revocation list among them is too old.
    Of { verifier: Arc<dyn ClientCertVerifier>, until: Option<Timestamp> },
    /// Whatever is shown is refused so: there are no roots, or none of their lists counts any more.
    Closed(CertificateError),
}

impl ClientTrust {
    pub(super) fn new(believed: &Believed, now: Timestamp) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut hints = Vec::new();
        let roots = match &believed.roots {
            None => Judge::Closed(CertificateError::UnknownIssuer),
            Some(roots) => {
                hints.extend(roots.content.store().subjects());
                Judge::with_lists(&roots.content, &believed.lists, &provider, now)?
            }
        };
        let mut spiffe = believed.spiffe.as_ref().map(|_| BTreeMap::new());
        for (domain, bundle) in believed.spiffe.iter().flatten() {
            let judge = match bundle {
                None => Judge::Closed(CertificateError::UnknownIssuer),
                Some(bundle) => {
                    hints.extend(bundle.content.roots().store().subjects());
                    Judge::new(bundle.content.roots(), &[], &provider)?
                }
            };
            spiffe.get_or_insert_default().insert(domain.clone(), judge);
        }
        let generation = TRUSTS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { provider, roots, spiffe, hints, generation })
    }

    /// A certificate found good by one is looked at again by another.
    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it has to be made anew although nothing else is held: a list has come to its end.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        matches!(&self.roots, Judge::Of { until: Some(until), .. } if *until <= now)
    }

    /// Who judges a certificate that says this of itself.
    fn judge(&self, leaf: &CertificateDer<'_>) -> Result<&Judge, CertificateError> {
        let Some(spiffe) = &self.spiffe else { return Ok(&self.roots) };
        match identity::spiffe_claim(leaf) {
            SpiffeClaim::None => Ok(&self.roots),
            // X.509-SVID section 5.2: what breaks its rules is no SVID, whoever signed it.
            SpiffeClaim::Broken => Err(CertificateError::ApplicationVerificationFailure),
            // X.509-SVID section 5.1: only the authorities of its own trust domain vouch for it.
            SpiffeClaim::Of(id) => spiffe.get(id.trust_domain()).ok_or(CertificateError::UnknownIssuer),
        }
    }
}

impl Judge {
    fn with_lists(
        roots: &Roots,
        lists: &[(Option<Arc<Held<RevocationLists>>>, Duration)],
        provider: &Arc<CryptoProvider>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let all = lists.iter().filter_map(|(held, stale)| Some((held.as_ref()?, *stale)));
        let ends = |list: &RevocationList, stale| {
            let stale = SignedDuration::try_from(stale).unwrap_or(SignedDuration::MAX);
            list.next_update().checked_add(stale).unwrap_or(Timestamp::MAX)
        };
        let all =
            all.flat_map(|(held, stale)| held.content.lists().map(move |list| (list, ends(list, stale))));
        // RFC 5280 section 6.3: a list past its next update proves nothing, but for the time that was allowed.
        let (current, over): (Vec<_>, Vec<_>) = all.partition(|(_, ends)| *ends > now);
        if current.is_empty() && !lists.is_empty() {
            // Without any list none would be looked at.
            return Ok(Self::Closed(if over.is_empty() {
                CertificateError::UnknownRevocationStatus
            } else {
                CertificateError::ExpiredRevocationList
            }));
        }
        let until = current.iter().map(|(_, ends)| *ends).min();
        let lists: Vec<_> = current.into_iter().map(|(list, _)| list).collect();
        match Self::new(roots, &lists, provider)? {
            Self::Of { verifier, .. } => Ok(Self::Of { verifier, until }),
            closed @ Self::Closed(_) => Ok(closed),
        }
    }

    fn new(roots: &Roots, lists: &[&RevocationList], provider: &Arc<CryptoProvider>) -> Result<Self, Error> {
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots.store()), Arc::clone(provider));
        let verifier = builder
            // Whether a certificate is needed is for each operation to say, not for the listener.
            .allow_unauthenticated()
            // Which lists count, and until when, is decided here; a certificate that none covers is refused.
            .with_crls(lists.iter().map(|list| list.der().clone()))
            .build()
            .map_err(|fault| Error::General(fault.to_string()))?;
        Ok(Self::Of { verifier, until: None })
    }

    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match self {
            Self::Closed(fault) => Err(Error::InvalidCertificate(fault.clone())),
            Self::Of { verifier, until } => {
                let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                // Should whoever makes this anew be late, it closes by itself.
                if until.is_some_and(|until| until.as_second() <= seconds) {
                    return Err(Error::InvalidCertificate(CertificateError::ExpiredRevocationList));
                }
                verifier.verify_client_cert(leaf, intermediates, now)
            }
        }
    }
}

impl ClientCertVerifier for ClientTrust {
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .judge(leaf)
            .map_err(Error::InvalidCertificate)
            .and_then(|judge| judge.verify(leaf, intermediates, now));
        verified.inspect_err(|_refused| encrypted::note_refused(leaf))
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
            .inspect_err(|_refused| encrypted::note_refused(certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
            .inspect_err(|_refused| encrypted::note_refused(certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Counts the trusts of this process.
static TRUSTS: AtomicU64 = AtomicU64::new(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::testing::{Authority, authority, list as list_of};
    use crate::keyring::{Keyring, Source};
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

    fn client(authority: &Authority) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().clone()
    }

    /// An empty list whose next one is due on this day of March 2027.
    fn list(authority: &Authority, day: u8) -> Source {
        Source::Given(vec![list_of(authority, 1, (1, 1), (3, day)).into_bytes()])
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn each_list_serves_until_its_own_end_and_the_time_allowed_past_it() {
        let (early, late) = (authority("early"), authority("late"));
        let (of_early, of_late) = (client(&early), client(&late));
        let (keyring, loaded) = (Keyring::new(), at("2027-02-01T00:00:00Z"));
        let roots = Source::Given(vec![format!("{}{}", early.pem(), late.pem()).into_bytes()]);
        let roots = keyring.roots(&roots, loaded).unwrap();
        let held = |source: &Source| keyring.lists(source, &roots, loaded).unwrap().current();
        let lists = [(list(&early, 1), DAY), (list(&late, 10), Duration::ZERO)];
        let believed = Believed {
            roots: roots.current(),
            lists: lists.iter().map(|(source, stale)| (held(source), *stale)).collect(),
            spiffe: None,
        };
        let judged = |made: &str, now: &str, leaf: &CertificateDer<'_>| {
            let trust = ClientTrust::new(&believed, at(made)).unwrap();
            let seconds = u64::try_from(at(now).as_second()).unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            trust.verify_client_cert(leaf, &[], now).map(drop).map_err(|fault| match fault {
                Error::InvalidCertificate(fault) => fault,
                other => panic!("{other}"),
            })
        };
        let in_time = "2027-03-01T12:00:00Z";
        assert_eq!(judged(in_time, in_time, &of_early), Ok(()), "past its end, within the day");
        assert_eq!(judged(in_time, in_time, &of_late), Ok(()));
        // Whoever makes it anew is late: closed, for everybody.
        let late = "2027-03-02T00:00:00Z";
        for leaf in [&of_early, &of_late] {
            assert_eq!(judged(in_time, late, leaf), Err(CertificateError::ExpiredRevocationList));
        }
        // Made anew: closed for those whose list is over.
        assert_eq!(judged(late, late, &of_early), Err(CertificateError::UnknownRevocationStatus));
        assert_eq!(judged(late, late, &of_late), Ok(()));
        let over = "2027-03-11T00:00:00Z";
        for leaf in [&of_early, &of_late] {
            assert_eq!(judged(over, over, leaf), Err(CertificateError::ExpiredRevocationList));
        }
    }

    #[test]
    fn a_list_that_has_not_come_yet_closes() {
        let authority = authority("clients");
        let keyring = Keyring::new();
        let roots = keyring.roots(&Source::Given(vec![authority.pem().into_bytes()]), Timestamp::now());
        let believed = Believed { roots: roots.unwrap().current(), lists: vec![(None, DAY)], spiffe: None };
        let trust = ClientTrust::new(&believed, Timestamp::now()).unwrap();
        let refused = trust.verify_client_cert(&client(&authority), &[], UnixTime::now()).map(drop);
        let expected = Error::InvalidCertificate(CertificateError::UnknownRevocationStatus);
        assert_eq!(refused, Err(expected));
    }
}
