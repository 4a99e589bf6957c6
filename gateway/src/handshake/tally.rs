//! How often has the same address failed for the same reason, and what of that is recorded now?
//!
//! The first failure is recorded at once, what follows within a minute as one record with a count. Only so
//! many pairs of address and reason are told apart at a time; the others are counted together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What makes two failures the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) listener: usize,
    pub(super) address: IpAddr,
    pub(super) reason: &'static str,
}

/// Failures that were counted and are recorded as one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) listener: usize,
    /// Nothing for those of many addresses.
    pub(super) address: Option<IpAddr>,
    pub(super) reason: &'static str,
    pub(super) times: u64,
}

/// The failures of the last minute.
#[derive(Debug, Default)]
pub struct Tallies(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    each: HashMap<Key, Tally>,
    /// Those that found no room, by listener and reason.
    others: HashMap<(usize, &'static str), Tally>,
}

#[derive(Debug)]
struct Tally {
    since: Instant,
    held_back: u64,
}

impl Tallies {
    /// Whether this failure is recorded now; otherwise it is counted.
    pub(super) fn admit(&self, key: Key, now: Instant) -> bool {
        let mut table = self.table();
        if let Some(tally) = table.each.get_mut(&key) {
            tally.held_back = tally.held_back.saturating_add(1);
            return false;
        }
        let fresh = Tally { since: now, held_back: 0 };
        if table.each.len() < KEYS_MAX {
            table.each.insert(key, fresh);
            return true;
        }
        // Listeners and reasons are few, so this is bounded as well.
        let tally = table.others.entry((key.listener, key.reason)).or_insert(fresh);
        tally.held_back = tally.held_back.saturating_add(1);
        false
    }

    /// What was counted for a minute, and is counted anew from now on.
    pub(super) fn due(&self, now: Instant) -> Vec<Repeated> {
        let mut table = self.table();
        let mut due = Vec::new();
        table.each.retain(|key, tally| {
            let Some(times) = tally.take(now) else { return true };
            let Key { listener, address, reason } = *key;
            if times > 0 {
                due.push(Repeated { listener, address: Some(address), reason, times });
            }
            times > 0
        });
        table.others.retain(|(listener, reason), tally| {
            let Some(times) = tally.take(now) else { return true };
            if times > 0 {
                due.push(Repeated { listener: *listener, address: None, reason, times });
            }
            times > 0
        });
        due
    }

    /// All that was counted, whether its minute is over or not.
    pub(super) fn rest(&self) -> Vec<Repeated> {
        let now = Instant::now();
        self.due(now.checked_add(PERIOD).unwrap_or(now))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Counts are whole whatever happens to whoever holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tally {
    /// How many there were, once the minute is over.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) < PERIOD {
            return None;
        }
        self.since = now;
        Some(std::mem::take(&mut self.held_back))
    }
}

/// Half a kilobyte each, twice a minute at most: less than two hundred megabytes a day in a flood from
/// everywhere.
const KEYS_MAX: usize = 128;
/// A partner that tries again and again is seen within it.
const PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    fn key(address: u32, reason: &'static str) -> Key {
        Key { listener: 0, address: IpAddr::from(address.to_be_bytes()), reason }
    }

    #[test]
    fn the_first_is_recorded_and_what_follows_is_counted() {
        let (tallies, began) = (Tallies::default(), Instant::now());
        assert!(tallies.admit(key(1, "a"), began));
        assert!(tallies.admit(key(1, "b"), began) && tallies.admit(key(2, "a"), began));
        for _ in 0..9 {
            assert!(!tallies.admit(key(1, "a"), began));
        }
        assert_eq!(tallies.due(began + PERIOD / 2), []);
        let repeated = Repeated { listener: 0, address: Some(key(1, "").address), reason: "a", times: 9 };
        assert_eq!(tallies.due(began + PERIOD), [repeated]);
        assert!(!tallies.admit(key(1, "a"), began + PERIOD), "it goes on, so it is still counted");
        assert!(tallies.admit(key(2, "a"), began + PERIOD), "that was over");
    }

    #[test]
    fn a_flood_from_everywhere_is_a_bounded_number_of_records() {
        let (tallies, began) = (Tallies::default(), Instant::now());
        let recorded = (0..10_000).filter(|n| tallies.admit(key(*n, "a"), began)).count();
        assert_eq!(recorded, KEYS_MAX);
        let due = tallies.due(began + PERIOD);
        let all = Repeated { listener: 0, address: None, reason: "a", times: 10_000 - 128 };
        assert_eq!(due, [all]);
    }
}
