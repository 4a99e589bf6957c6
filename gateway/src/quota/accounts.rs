//! What has each caller used, and how many of its calls run now?
//!
//! One short critical section a call, in which all windows are judged before any is charged: a refused
//! call costs nothing, in any window. Callers are known by a name that was proved, so nobody outside
//! decides how many accounts there are; those with nothing to remember are swept.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::window::{WholeAt, Window, WindowKey};

/// The accounts of all callers, in shards so that callers do not wait for one another.
#[derive(Debug)]
pub(super) struct Accounts {
    shards: Box<[Mutex<HashMap<u64, Account>>]>,
    hasher: RandomState,
}

/// One caller's account. A window without an entry is whole.
#[derive(Debug, Default)]
pub(super) struct Account {
    used: Vec<(WindowKey, WholeAt)>,
    in_flight: Arc<AtomicU32>,
}

/// One of a caller's places among its calls in flight. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicU32>);

impl Accounts {
    pub(super) fn new() -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Does `work` with the account of `caller`, alone.
    pub(super) fn with<T>(&self, caller: &str, work: impl FnOnce(&mut Account) -> T) -> T {
        // Keyed: nobody can choose names that meet in one place.
        let hash = self.hasher.hash_one(caller);
        match self.shard(hash) {
            Some(shard) => work(locked(shard).entry(hash).or_default()),
            // There is always a shard; without one, nothing was used and nothing is kept.
            None => work(&mut Account::default()),
        }
    }

    fn shard(&self, hash: u64) -> Option<&Mutex<HashMap<u64, Account>>> {
        let count = u64::try_from(self.shards.len()).ok()?;
        self.shards.get(usize::try_from(hash.checked_rem(count)?).ok()?)
    }

    /// Forgets what is whole at `now`, and the accounts of which nothing is left.
    pub(super) fn sweep(&self, now: u64) {
        for shard in &self.shards {
            let mut accounts = locked(shard);
            accounts.retain(|_, account| {
                account.used.retain(|(_, whole_at)| *whole_at > now);
                !account.used.is_empty() || Arc::strong_count(&account.in_flight) > 1
            });
            accounts.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }
}

impl Account {
    /// When `window` is whole again.
    pub(super) fn whole_at(&self, window: &Window) -> WholeAt {
        self.used.iter().find(|(key, _)| *key == window.key()).map_or(0, |(_, whole_at)| *whole_at)
    }

    /// Remembers when `window` is whole again.
    pub(super) fn charge(&mut self, window: &Window, whole_at: WholeAt) {
        match self.used.iter_mut().find(|(key, _)| *key == window.key()) {
            Some((_, kept)) => *kept = whole_at,
            None => self.used.push((window.key(), whole_at)),
        }
    }

    /// Whether one more of the caller's calls may run beside those that do.
    pub(super) fn has_place(&self, concurrency: NonZeroU32) -> bool {
        // Places are taken only under the account's lock; one given back meanwhile does no harm.
        self.in_flight.load(Ordering::Relaxed) < concurrency.get()
    }

    /// Takes a place; ask [`Account::has_place`] first.
    pub(super) fn take_place(&self) -> Place {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(&self.in_flight))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A thread that panicked while it held the lock left whole numbers behind: they are used as they are.
fn locked<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Several for each core of a large machine, so that two threads seldom want the same one.
const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn window(name: &str) -> Window {
        Window::new(name, NonZeroU32::MIN, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn each_caller_and_each_window_is_kept_on_its_own() {
        let accounts = Accounts::new();
        accounts.with("a", |account| account.charge(&window("x"), 7));
        accounts.with("a", |account| account.charge(&window("x"), 8));
        let whole_at = |caller: &str, name: &str| accounts.with(caller, |a| a.whole_at(&window(name)));
        assert_eq!((whole_at("a", "x"), whole_at("a", "y"), whole_at("b", "x")), (8, 0, 0));
    }

    #[test]
    fn a_place_is_given_back_when_it_is_dropped() {
        let accounts = Accounts::new();
        let two = NonZeroU32::new(2).unwrap();
        let take = || accounts.with("a", |account| account.has_place(two).then(|| account.take_place()));
        let (first, second) = (take().unwrap(), take().unwrap());
        assert!(take().is_none());
        drop(first);
        assert!(take().is_some());
        drop(second);
    }

    #[test]
    fn only_accounts_with_nothing_to_remember_are_swept() {
        let accounts = Accounts::new();
        accounts.with("used", |account| account.charge(&window("x"), 7));
        let place = accounts.with("running", |account| account.take_place());
        accounts.sweep(6);
        assert_eq!(accounts.count(), 2);
        accounts.sweep(7);
        assert_eq!(accounts.count(), 1);
        accounts.with("running", |account| assert!(!account.has_place(NonZeroU32::MIN)));
        drop(place);
        accounts.sweep(7);
        assert_eq!(accounts.count(), 0);
    }
}
