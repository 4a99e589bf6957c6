//! May this address, or this upstream, be tried now?
//!
//! Judged by what live calls met, never by probes of our own: an idle connection costs some upstreams
//! a worker. A pure state machine; knows no clock and no address.

use std::time::{Duration, Instant};

use crate::backoff;

/// What recent calls say about one address or upstream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Health {
    patience: &'static Patience,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// In use; `failures` in a row so far.
    Up { failures: u32 },
    /// Not used before `until`, and then by one call at a time; put out `times` in a row.
    Out { until: Instant, failed: Instant, times: u32 },
}

/// How many failures are borne, and for how long something is out.
#[derive(Debug)]
pub(super) struct Patience {
    pub(super) failures_max: u32,
    back_off_min: Duration,
    back_off_max: Duration,
    /// How long one call may try what is out before the next call may.
    probe_wait: Duration,
}

/// Whether an address or an upstream may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In use.
    Up,
    /// Out, and the next call tries it again.
    Due,
    /// Out. An upstream gets no calls; an address only when all are out, the one that failed longest
    /// ago first.
    Out {
        /// When it last failed.
        failed: Instant,
    },
}

/// What an outcome changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing worth a word.
    None,
    /// The address went out.
    Out,
    /// The address came back.
    Back,
}

impl Health {
    pub(super) const fn new(patience: &'static Patience) -> Self {
        Self { patience, state: State::Up { failures: 0 } }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.state {
            State::Up { .. } => Standing::Up,
            State::Out { until, .. } if until <= now => Standing::Due,
            State::Out { failed, .. } => Standing::Out { failed },
        }
    }

    /// A call is let through: while this is out, the next call waits for that one's outcome.
    pub(super) fn taken(&mut self, now: Instant) {
        if let State::Out { until, .. } = &mut self.state {
            *until = after(now, self.patience.probe_wait);
        }
    }

    /// An answer came.
    pub(super) const fn answered(&mut self) -> Change {
        let change = match self.state {
            State::Up { .. } => Change::None,
            State::Out { .. } => Change::Back,
        };
        self.state = State::Up { failures: 0 };
        change
    }

    /// No answer came.
    pub(super) fn failed(&mut self, now: Instant) -> Change {
        let Patience { failures_max, back_off_min, back_off_max, probe_wait: _ } = *self.patience;
        let (next, change) = match self.state {
            State::Up { failures } if failures.saturating_add(1) < failures_max => {
                (State::Up { failures: failures.saturating_add(1) }, Change::None)
            }
            State::Up { .. } => {
                (State::Out { until: after(now, back_off_min), failed: now, times: 1 }, Change::Out)
            }
            State::Out { times, .. } => {
                let times = times.saturating_add(1);
                let back_off = backoff::after(times, back_off_min, back_off_max);
                (State::Out { until: after(now, back_off), failed: now, times }, Change::None)
            }
        };
        self.state = next;
        change
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// With one of several addresses: one failure alone is often a restart, and a second is about as long
/// as a process takes to start again. After a repair nobody waits longer than the longest time out.
pub(super) const ADDRESS: Patience = Patience {
    failures_max: 2,
    back_off_min: Duration::from_secs(1),
    back_off_max: Duration::from_secs(30),
    probe_wait: Duration::from_secs(5),
};

/// With a whole upstream: there is no other to turn to, so only a row that slow operations alone would
/// not make counts, and it is tried again soon.
pub(super) const UPSTREAM: Patience = Patience {
    failures_max: 20,
    back_off_min: Duration::from_secs(2),
    back_off_max: Duration::from_secs(15),
    probe_wait: Duration::from_secs(5),
};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    fn out(now: Instant) -> Health {
        let mut health = Health::new(&ADDRESS);
        for _ in 0..ADDRESS.failures_max {
            health.failed(now);
        }
        health
    }

    #[test]
    fn one_failure_does_not_put_an_address_out() {
        let now = Instant::now();
        let mut health = Health::new(&ADDRESS);
        assert_eq!(health.failed(now), Change::None);
        assert_eq!(health.standing(now), Standing::Up);
        assert_eq!(health.failed(now), Change::Out);
        assert_eq!(health.standing(now), Standing::Out { failed: now });
        assert_eq!(health.failed(now), Change::None);
        assert_eq!(health.answered(), Change::Back);
        assert_eq!(health.answered(), Change::None);
    }

    #[test]
    fn an_answer_between_failures_starts_the_count_again() {
        let now = Instant::now();
        let mut health = Health::new(&ADDRESS);
        health.failed(now);
        health.answered();
        health.failed(now);
        assert_eq!(health.standing(now), Standing::Up);
    }

    #[test]
    fn an_address_that_is_out_is_tried_by_one_call_at_a_time() {
        let now = Instant::now();
        let mut health = out(now);
        let due = now + ADDRESS.back_off_min;
        assert_eq!(health.standing(due), Standing::Due);
        health.taken(due);
        assert_eq!(health.standing(due), Standing::Out { failed: now });
        assert_eq!(health.standing(due + ADDRESS.probe_wait), Standing::Due);
        health.answered();
        assert_eq!(health.standing(due), Standing::Up);
    }

    #[test]
    fn each_failed_try_doubles_the_time_out_up_to_a_limit() {
        let mut now = Instant::now();
        let mut health = out(now);
        for seconds in [1, 2, 4, 8, 16, 30, 30, 30] {
            assert!(matches!(
                health.standing(now + Duration::from_millis(seconds * 1000 - 1)),
                Standing::Out { .. }
            ));
            now += Duration::from_secs(seconds);
            assert_eq!(health.standing(now), Standing::Due, "{seconds}");
            health.failed(now);
        }
    }

    #[test]
    fn the_count_of_times_out_never_overflows() {
        let now = Instant::now();
        let state = State::Out { until: now, failed: now, times: u32::MAX };
        let mut health = Health { patience: &ADDRESS, state };
        health.failed(now);
        assert_eq!(health.standing(now + ADDRESS.back_off_max), Standing::Due);
    }
}
