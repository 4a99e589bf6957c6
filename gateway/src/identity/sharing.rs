//! Does a credential look as if several hands had it?
//!
//! A client that comes with two certificates, or as a machine and as a person, within a while. Only proofs
//! that were found good come in, so that a stranger neither causes a suspicion nor pushes out what is known.
//! Nobody is refused for it: it is told to the audit log, the metrics and the log.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;

use super::caller::Caller;
use super::callers::Kind;
use super::certificate::ClientCertificate;

/// Who came with which credential a while ago.
pub struct Sharing {
    clients: Cache<u64, Arc<Mutex<Hands>>>,
    certificates: Cache<u64, Arc<Mutex<Hands>>>,
    hasher: RandomState,
}

/// What looks as if it were shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspicion {
    /// One client came with certificates of different names.
    ClientOnTwoCertificates,
    /// One client came for callers of different kinds.
    ClientByTwoKinds,
    /// One certificate came with callers of different kinds.
    CertificateByTwoKinds,
}

/// With what a credential was seen, and when last: the few newest.
#[derive(Debug, Default)]
struct Hands {
    certificates: Vec<(u64, Timestamp)>,
    kinds: Vec<(Kind, Timestamp)>,
}

impl Suspicion {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientOnTwoCertificates => "client-on-two-certificates",
            Self::ClientByTwoKinds => "client-by-two-kinds",
            Self::CertificateByTwoKinds => "certificate-by-two-kinds",
        }
    }
}

impl Sharing {
    /// Nobody was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self { clients: Cache::new(SEEN_MAX), certificates: Cache::new(SEEN_MAX), hasher: RandomState::new() }
    }

    /// Notes that `caller` came on a connection with this trusted `certificate`, and says what is odd in that.
    pub fn note(
        &self,
        caller: &Caller,
        certificate: Option<&ClientCertificate>,
        now: Timestamp,
    ) -> Vec<Suspicion> {
        let Some(kind) = caller.kind() else { return Vec::new() };
        let certificate = certificate.map(|certificate| self.holder(certificate));
        let mut found = Vec::new();
        let token = caller.token();
        if let Some((issuer, client)) = token.and_then(|token| Some((token.issuer(), token.client_id()?))) {
            let hands = hands(&self.clients, self.hasher.hash_one((issuer, client)));
            let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(certificate) = certificate
                && is_another(&mut hands.certificates, certificate, now)
            {
                found.push(Suspicion::ClientOnTwoCertificates);
            }
            if is_another(&mut hands.kinds, kind, now) {
                found.push(Suspicion::ClientByTwoKinds);
            }
        }
        if let Some(certificate) = certificate {
            let hands = hands(&self.certificates, certificate);
            let mut hands = hands.lock().unwrap_or_else(PoisonError::into_inner);
            if is_another(&mut hands.kinds, kind, now) {
                found.push(Suspicion::CertificateByTwoKinds);
            }
        }
        found
    }

    /// Who holds a certificate: whoever has its names, in whatever order. A renewed certificate, and those of
    /// the instances of one service, have the same; one without names is its own holder.
    fn holder(&self, certificate: &ClientCertificate) -> u64 {
        let hash = |kind: u8, name: &dyn Fn(&mut dyn std::hash::Hasher)| {
            let mut hasher = self.hasher.build_hasher();
            kind.hash(&mut hasher);
            name(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        let names =
            certificate.dns_names().map(|name| hash(0, &|hasher| hasher.write(name.as_str().as_bytes())));
        let uris = certificate.uris().map(|uri| hash(1, &|hasher| hasher.write(uri.as_bytes())));
        let all = names.chain(uris).reduce(u64::wrapping_add);
        all.unwrap_or_else(|| self.hasher.hash_one(certificate.sha256()))
    }
}

impl Default for Sharing {
    fn default() -> Self {
        Self::new()
    }
}

fn hands(of: &Cache<u64, Arc<Mutex<Hands>>>, key: u64) -> Arc<Mutex<Hands>> {
    of.get(&key).unwrap_or_else(|| {
        let new = Arc::new(Mutex::new(Hands::default()));
        of.insert(key, Arc::clone(&new));
        new
    })
}

/// Whether another than `this` was seen within the window; from now on this was seen too.
fn is_another<T: PartialEq + Copy>(seen: &mut Vec<(T, Timestamp)>, this: T, now: Timestamp) -> bool {
    seen.retain(|(one, at)| *one != this && now.duration_since(*at).abs() < WINDOW);
    let another = !seen.is_empty();
    if seen.len() >= HANDS_MAX {
        seen.remove(0);
    }
    seen.push((this, now));
    another
}

impl fmt::Debug for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharing").field("clients", &self.clients.len()).finish_non_exhaustive()
    }
}

/// Two hands at one credential meet within this time; a certificate under new names is in use alone after it.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// The fourth hand at one credential is as bad as the fifth.
const HANDS_MAX: usize = 4;
/// More clients and certificates than are registered.
const SEEN_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test")]

    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_795_435_200 + seconds).unwrap()
    }

    #[test]
    fn another_hand_is_seen_for_ten_minutes() {
        let mut seen = Vec::new();
        for (hand, seconds, expected) in [
            ('a', 0, false),
            ('a', 10, false),
            ('b', 20, true),
            ('a', 30, true),
            // After a change of names the old ones are not seen any more.
            ('b', 40, true),
            ('b', 629, true),
            ('b', 630, false),
            ('b', 700, false),
        ] {
            assert_eq!(is_another(&mut seen, hand, at(seconds)), expected, "{hand} at {seconds}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_of_one_credential_is_bounded(hands in proptest::collection::vec(any::<u64>(), 0..40)) {
            let mut seen = Vec::new();
            for hand in hands {
                is_another(&mut seen, hand, at(0));
                prop_assert!(seen.len() <= HANDS_MAX);
            }
        }
    }
}
