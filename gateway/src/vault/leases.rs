//! What has Vault lent to the gateway, and is it still wanted? The newest lease of each path is renewed, older
//! ones run out, and all are given back when the gateway stops.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::answer::Fields;
use super::fault::VaultFault;
use super::path::SecretPath;
use super::secret::{Lease, later, part};
use super::session::Held;
use super::wire::{Call, Wire};

/// The leases of one Vault.
#[derive(Default)]
pub(super) struct Leases(Mutex<HashMap<SecretPath, Vec<Lent>>>);

#[derive(Clone)]
struct Lent {
    lease: Arc<Lease>,
    /// Of the session it was lent to: it ends with that session's token.
    generation: u64,
    since: Timestamp,
    life: Duration,
    /// Not before this, after a renewal that failed.
    not_before: Timestamp,
    /// Vault does not renew it any more.
    last: bool,
}

impl Lent {
    fn ends(&self) -> Timestamp {
        later(self.since, self.life)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.lease.renewable
            && !self.last
            && self.not_before <= now
            && later(self.since, part(self.life, 2, 3)) <= now
    }
}

impl Leases {
    /// A secret was read and lent.
    pub(super) fn lent(&self, path: &SecretPath, lease: &Arc<Lease>, generation: u64, now: Timestamp) {
        let lent = Lent {
            lease: Arc::clone(lease),
            generation,
            since: now,
            life: lease.duration,
            not_before: now,
            last: false,
        };
        self.lock().entry(path.clone()).or_default().push(lent);
    }

    /// How many there are that have not ended.
    pub(super) fn count(&self, now: Timestamp) -> usize {
        self.lock().values().flatten().filter(|lent| now < lent.ends()).count()
    }

    /// Renews what is due, and lets go of what has ended. What was lent to a session before this one is to be
    /// read again: it is taken back when that session's token ends.
    pub(super) async fn keep(&self, wire: &Wire, held: &Held, now: Timestamp) {
        for (path, lent) in self.due(held.generation, now) {
            match renew(wire, held, &lent.lease).await {
                Ok((life, renewable)) => self.renewed(&path, &lent, (life, renewable), now),
                Err(fault) if fault.may_pass() => self.put_off(&path, &lent, now, false),
                // Vault does not know it any more, or does not renew it: it is read again at its time.
                Err(_) => self.put_off(&path, &lent, now, true),
            }
        }
    }

    /// The newest lease of each path, if it is due.
    fn due(&self, generation: u64, now: Timestamp) -> Vec<(SecretPath, Lent)> {
        let mut all = self.lock();
        all.retain(|_, lents| {
            lents.retain(|lent| now < lent.ends());
            !lents.is_empty()
        });
        for lent in all.values().flatten().filter(|lent| lent.generation != generation) {
            lent.lease.read_again_at(now.min(lent.lease.again_at()));
        }
        let newest = all.iter().filter_map(|(path, lents)| Some((path, lents.last()?)));
        newest
            .filter(|(_, lent)| lent.generation == generation && lent.is_due(now))
            .map(|(path, lent)| (path.clone(), lent.clone()))
            .collect()
    }

    fn renewed(&self, path: &SecretPath, lent: &Lent, (life, renewable): (Duration, bool), now: Timestamp) {
        self.change(path, lent, |lent| {
            // Renewals that get shorter have come to the longest life that Vault allows.
            lent.last = !renewable || life < part(lent.lease.duration, 1, 2);
            (lent.since, lent.life) = (now, life);
            lent.lease.renewed(life, now);
        });
    }

    fn put_off(&self, path: &SecretPath, lent: &Lent, now: Timestamp, last: bool) {
        self.change(path, lent, |lent| {
            lent.last |= last;
            lent.not_before = later(now, RENEW_AGAIN);
            if last {
                lent.lease.read_again_at(now);
            }
        });
    }

    fn change(&self, path: &SecretPath, of: &Lent, how: impl FnOnce(&mut Lent)) {
        let mut all = self.lock();
        let lents = all.get_mut(path).into_iter().flatten();
        if let Some(lent) = lents.into_iter().find(|lent| Arc::ptr_eq(&lent.lease, &of.lease)) {
            how(lent);
        }
    }

    /// Gives back one.
    pub(super) async fn give_back(&self, wire: &Wire, held: &Held, lease: &Lease) -> Result<(), VaultFault> {
        revoke(wire, held, lease).await?;
        for lents in self.lock().values_mut() {
            lents.retain(|lent| *lent.lease.id != *lease.id);
        }
        Ok(())
    }

    /// Gives back all; how many could not be.
    pub(super) async fn give_back_all(&self, wire: &Wire, held: &Held) -> usize {
        let all: Vec<Lent> = self.lock().drain().flat_map(|(_, lents)| lents).collect();
        let mut left = 0_usize;
        for lent in all {
            if revoke(wire, held, &lent.lease).await.is_err() {
                left = left.saturating_add(1);
            }
        }
        left
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretPath, Vec<Lent>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for as long again as it was lent for.
async fn renew(wire: &Wire, held: &Held, lease: &Lease) -> Result<(Duration, bool), VaultFault> {
    let shown = Renewal { lease_id: &lease.id, increment: lease.duration.as_secs() };
    let call = Call::put("sys/leases/renew".to_owned(), &shown)?;
    let answer = wire.ask::<Fields>(&call, Some(&held.token)).await.map_err(|failed| failed.fault)?;
    Ok((Duration::from_secs(answer.lease_duration), answer.renewable))
}

async fn revoke(wire: &Wire, held: &Held, lease: &Lease) -> Result<(), VaultFault> {
    let call = Call::put("sys/leases/revoke".to_owned(), &Revocation { lease_id: &lease.id })?;
    wire.tell(&call, Some(&held.token)).await.map_err(|failed| failed.fault)
}

#[derive(Serialize)]
struct Renewal<'a> {
    lease_id: &'a str,
    increment: u64,
}

#[derive(Serialize)]
struct Revocation<'a> {
    lease_id: &'a str,
}

/// After a renewal that failed there is a third of a life left; every few seconds is often enough.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
