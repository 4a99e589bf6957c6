//! Was this proof used before? Remembered for as long as it could be used again, and by nobody's doing less.
//!
//! Only a caller that is known, with a good token and a good proof, puts anything in. Nothing is ever pushed out
//! to make room: who fills its share is refused, and nobody can take the share of another. Proofs are kept in
//! buckets by the minute in which they were made, and a bucket is dropped whole (RFC 9449 section 11.1).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// The proofs that could be used again.
pub(super) struct Replay {
    kept: Mutex<Kept>,
    limits: Limits,
}

/// A proof by a part of its hash: two that share it are a coincidence that costs its maker one refusal.
pub(super) type Mark = u128;

/// Why a proof was not entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotEntered {
    /// It was used before.
    Used,
    /// It could be of a time of which nothing is known any more.
    Forgotten,
    /// Its caller has used as many as are kept.
    Full,
}

/// How many proofs are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Of each caller, whatever the others do.
    pub(super) own: usize,
    /// Of all callers together beyond their own shares.
    pub(super) shared: usize,
    /// Of one caller at most.
    pub(super) caller_max: usize,
}

#[derive(Default)]
struct Kept {
    /// By the minute in which they were made.
    buckets: BTreeMap<i64, Bucket>,
    /// How many are kept of each caller.
    counts: HashMap<String, usize>,
    /// How many of them are beyond the callers' own shares.
    shared: usize,
    /// The first minute of which everything is known.
    from: i64,
}

/// The proofs of one minute, whoever made them, and how many each caller made.
#[derive(Default)]
struct Bucket {
    marks: HashSet<Mark>,
    counts: HashMap<String, usize>,
}

impl Replay {
    pub(super) fn new(limits: Limits) -> Self {
        Self { kept: Mutex::new(Kept::default()), limits }
    }

    /// Enters a proof that `caller` made at `made`; none that was made before `oldest` can be used any more.
    pub(super) fn enter(
        &self,
        caller: &str,
        mark: Mark,
        made: Timestamp,
        oldest: Timestamp,
    ) -> Result<(), NotEntered> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = kept.forget_before(minute(oldest), self.limits);
        let entered = kept.enter(caller, mark, minute(made), self.limits);
        drop(kept);
        // Giving back a large bucket takes a while, in which others should not wait.
        drop(dropped);
        entered
    }
}

impl Kept {
    fn enter(&mut self, caller: &str, mark: Mark, made: i64, limits: Limits) -> Result<(), NotEntered> {
        // A clock that was set back, or a window that was made longer, brings proofs whose bucket is gone: they
        // may have been in it.
        if made < self.from {
            return Err(NotEntered::Forgotten);
        }
        if self.buckets.get(&made).is_some_and(|bucket| bucket.marks.contains(&mark)) {
            return Err(NotEntered::Used);
        }
        let count = self.counts.get(caller).copied().unwrap_or(0);
        let beyond = count >= limits.own;
        if count >= limits.caller_max || beyond && self.shared >= limits.shared {
            return Err(NotEntered::Full);
        }
        self.shared = self.shared.saturating_add(usize::from(beyond));
        let bucket = self.buckets.entry(made).or_default();
        bucket.marks.insert(mark);
        for counts in [&mut bucket.counts, &mut self.counts] {
            match counts.get_mut(caller) {
                Some(count) => *count = count.saturating_add(1),
                None => drop(counts.insert(caller.to_owned(), 1)),
            }
        }
        Ok(())
    }

    /// Takes out what was made before this minute.
    fn forget_before(&mut self, minute: i64, limits: Limits) -> Option<BTreeMap<i64, Bucket>> {
        if minute <= self.from {
            return None;
        }
        self.from = minute;
        let later = self.buckets.split_off(&minute);
        let ended = std::mem::replace(&mut self.buckets, later);
        self.counts.clear();
        for (caller, made) in self.buckets.values().flat_map(|bucket| &bucket.counts) {
            let count = self.counts.entry(caller.clone()).or_default();
            *count = count.saturating_add(*made);
        }
        self.shared = self
            .counts
            .values()
            .fold(0, |sum: usize, count| sum.saturating_add(count.saturating_sub(limits.own)));
        Some(ended)
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn minute(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test")]

    use super::*;
    use crate::identity::token::testing::{later, now};
    use proptest::prelude::*;

    const SMALL: Limits = Limits { own: 2, shared: 3, caller_max: 4 };

    fn enter(replay: &Replay, caller: &str, mark: Mark) -> Result<(), NotEntered> {
        replay.enter(caller, mark, now(), later(-60))
    }

    #[test]
    fn a_proof_is_entered_once_while_it_can_be_used() {
        let replay = Replay::new(SMALL);
        assert_eq!(replay.enter("a", 1, later(30), later(-60)), Ok(()));
        for oldest in [-60, -30, 0, 30, 59] {
            let again = replay.enter("a", 1, later(30), later(oldest));
            assert_eq!(again, Err(NotEntered::Used), "while those of {oldest} are good");
        }
        assert_eq!(replay.enter("b", 1, later(30), now()), Err(NotEntered::Used), "whoever shows it");
        assert_eq!(replay.enter("b", 2, later(30), now()), Ok(()));
    }

    #[test]
    fn after_that_it_is_forgotten_and_so_is_its_time() {
        let replay = Replay::new(SMALL);
        assert_eq!(replay.enter("a", 1, later(59), now()), Ok(()));
        assert_eq!(replay.enter("a", 2, later(120), later(60)), Ok(()));
        assert_eq!(replay.kept.lock().unwrap().buckets.len(), 1, "dropped whole");
        // The clock is set back, or the window made longer: whether it was used cannot be known.
        assert_eq!(replay.enter("a", 1, later(59), now()), Err(NotEntered::Forgotten));
        assert_eq!(replay.enter("a", 2, later(120), now()), Err(NotEntered::Used));
    }

    #[test]
    fn who_fills_its_share_is_refused_and_takes_nothing_from_others() {
        let replay = Replay::new(SMALL);
        for mark in 0..4 {
            assert_eq!(enter(&replay, "greedy", mark), Ok(()));
        }
        assert_eq!(enter(&replay, "greedy", 4), Err(NotEntered::Full), "as much as one caller may");
        for mark in 10..13 {
            assert_eq!(enter(&replay, "second", mark), Ok(()));
        }
        assert_eq!(enter(&replay, "second", 13), Err(NotEntered::Full), "what all share is used up");
        for mark in 20..22 {
            assert_eq!(enter(&replay, "third", mark), Ok(()), "its own share is there");
        }
        assert_eq!(enter(&replay, "third", 22), Err(NotEntered::Full));
        for mark in 0..4 {
            assert_eq!(enter(&replay, "greedy", mark), Err(NotEntered::Used), "nothing was pushed out");
        }
        assert_eq!(replay.enter("greedy", 4, later(240), later(120)), Ok(()), "room again when they end");
        let kept = replay.kept.lock().unwrap();
        assert_eq!((kept.shared, kept.counts.len()), (0, 1));
    }

    proptest! {
        /// However proofs come and time passes, none is entered twice, and the counts are those of what is kept.
        #[test]
        fn no_proof_is_entered_twice(steps in proptest::collection::vec((0_u128..6, -60_i64..90, 0_i64..40), 1..60)) {
            let replay = Replay::new(SMALL);
            let (mut at, mut entered) = (0, HashSet::new());
            for (mark, made, pause) in steps {
                at += pause;
                let made = later(at + made);
                if replay.enter("a", mark, made, later(at - 60)).is_ok() {
                    prop_assert!(entered.insert((mark, minute(made))));
                }
                let kept = replay.kept.lock().unwrap();
                let held: usize = kept.buckets.values().map(|bucket| bucket.marks.len()).sum();
                prop_assert_eq!(kept.counts.values().sum::<usize>(), held);
                prop_assert!(held <= SMALL.caller_max);
            }
        }
    }
}
