//! A certificate of the gateway's own: does it fit its key, and whose name does it carry?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::fault::Unusable;
use super::holding::{Content, Judged, Misfit};
use super::source::{Origin, Pieces, Remote};
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

    /// The first one from files is taken whatever its time: who sees it can tell. Later ones only while they are valid,
    /// so that the next certificate may lie there before its day, and an ended one replaces nothing.
    fn follows(&self, judged: &Judged<'_, Self>) -> Result<(), Unusable> {
        let valid = (self.not_before..=self.not_after).contains(&judged.now);
        let first = judged.before.is_none() && !judged.remote;
        if first || valid { Ok(()) } else { Err(Unusable::NotValidNow) }
    }

    fn ends(&self) -> Option<Timestamp> {
        Some(self.not_after)
    }

    /// After its part of the life that it has left when it comes.
    fn renew_after(&self, remote: &Remote, now: Timestamp) -> Duration {
        let Origin::Issued { renew_at, .. } = &remote.origin else { return remote.refresh };
        let left = Duration::try_from(self.not_after.duration_since(now)).unwrap_or_default();
        left.saturating_mul(*renew_at).checked_div(1_000).unwrap_or_default().max(RENEWAL_MIN)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// However short its certificates live, Vault is not asked without a pause.
const RENEWAL_MIN: Duration = Duration::from_secs(1);

/// When all of a chain is valid.
fn validity(chain: &[CertificateDer<'_>]) -> Option<(Timestamp, Timestamp)> {
    let of_each: Vec<_> = chain.iter().map(|der| x509::validity(der)).collect::<Option<_>>()?;
    let from = of_each.iter().map(|(from, _)| *from).max()?;
    let until = of_each.iter().map(|(_, until)| *until).min()?;
    Some((from, until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::CertificateOrder;
    use rcgen::{CertificateParams, date_time_ymd};

    fn pair(days: (u8, u8)) -> KeyPair {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2027, 1, days.0), date_time_ymd(2027, 1, days.1));
        let key = rcgen::KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let pieces = [chain, key.serialize_pem()].map(|pem| Zeroizing::new(pem.into_bytes()));
        KeyPair::parse(&pieces.to_vec()).unwrap()
    }

    fn day(day: u8) -> Timestamp {
        format!("2027-01-{day:02}T12:00:00Z").parse().unwrap()
    }

    #[test]
    fn what_replaces_a_certificate_is_valid_now_and_the_first_one_is_taken_as_it_is() {
        let (before, next) = (pair((1, 20)), pair((10, 30)));
        for (replaced, remote, now, taken) in [
            (None, false, 1, true),
            (None, true, 1, false),
            (Some(&before), false, 9, false),
            (Some(&before), false, 10, true),
            (Some(&before), true, 29, true),
            (Some(&before), false, 30, false),
        ] {
            let judged = Judged { before: replaced, signers: None, remote, now: day(now) };
            let expected = if taken { Ok(()) } else { Err(Unusable::NotValidNow) };
            assert_eq!(next.follows(&judged), expected, "{remote} on day {now}");
        }
    }

    #[test]
    fn an_issued_certificate_is_renewed_at_its_part_of_its_life() {
        let order = CertificateOrder {
            mount: "pki".into(),
            role: "edge".into(),
            common_name: None,
            dns: vec!["a.example".into()],
            uris: Vec::new(),
            ips: Vec::new(),
            ttl: None,
        };
        let origin = Origin::Issued { order, renew_at: 500 };
        let remote = Remote { origin, refresh: Duration::from_secs(7), kept: None };
        // Half of nine days and a half, of five and a half, and the shortest time there is.
        for (now, left) in [(1, 410_400), (5, 237_600), (20, 1)] {
            let renewed = pair((1, 11)).renew_after(&remote, day(now));
            assert_eq!(renewed, Duration::from_secs(left), "day {now}");
        }
    }
}
