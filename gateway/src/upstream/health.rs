//! May this address be tried now?
//!
//! Judged by what live calls met, never by probes of our own: an idle connection costs some upstreams
//! a worker. A pure state machine; knows no clock and no address.

use std::time::{Duration, Instant};

/// What recent calls say about one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// In use; `failures` in a row so far.
    Up { failures: u32 },
    /// Not used before `until`, and then by one call at a time; put out `times` in a row.
    Out { until: Instant, failed: Instant, times: u32 },
}

/// Whether an address may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In use.
    Up,
    /// Out, and the next call tries it again.
    Due,
    /// Out; used only when every address is, the one that failed longest ago first.
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
    pub(super) const fn new() -> Self {
        Self::Up { failures: 0 }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        match *self {
            Self::Up { .. } => Standing::Up,
            Self::Out { until, .. } if until <= now => Standing::Due,
            Self::Out { failed, .. } => Standing::Out { failed },
        }
    }

    /// A call takes the address: while it is out, the next call waits for this one's outcome.
    pub(super) fn taken(&mut self, now: Instant) {
        if let Self::Out { until, .. } = self {
            *until = after(now, PROBE_WAIT);
        }
    }

    /// The address answered.
    pub(super) const fn answered(&mut self) -> Change {
        let change = match self {
            Self::Up { .. } => Change::None,
            Self::Out { .. } => Change::Back,
        };
        *self = Self::new();
        change
    }

    /// No connection could be made, or a new one was dropped without an answer.
    pub(super) fn failed(&mut self, now: Instant) -> Change {
        let (next, change) = match *self {
            Self::Up { failures } if failures.saturating_add(1) < FAILURES_MAX => {
                (Self::Up { failures: failures.saturating_add(1) }, Change::None)
            }
            Self::Up { .. } => {
                (Self::Out { until: after(now, BACK_OFF_MIN), failed: now, times: 1 }, Change::Out)
            }
            Self::Out { times, .. } => {
                let back_off = BACK_OFF_MIN.saturating_mul(2u32.saturating_pow(times)).min(BACK_OFF_MAX);
                let times = times.saturating_add(1);
                (Self::Out { until: after(now, back_off), failed: now, times }, Change::None)
            }
        };
        *self = next;
        change
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// Failures in a row that put an address out: one alone is often a restart.
const FAILURES_MAX: u32 = 2;
/// The first time out: about as long as a process takes to start again.
const BACK_OFF_MIN: Duration = Duration::from_secs(1);
/// The longest time out: after a repair nobody waits longer than this.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// How long one call may try an address that is out before the next call may.
const PROBE_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    fn out(now: Instant) -> Health {
        let mut health = Health::new();
        for _ in 0..FAILURES_MAX {
            health.failed(now);
        }
        health
    }

    #[test]
    fn one_failure_does_not_put_an_address_out() {
        let now = Instant::now();
        let mut health = Health::new();
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
        let mut health = Health::new();
        health.failed(now);
        health.answered();
        health.failed(now);
        assert_eq!(health.standing(now), Standing::Up);
    }

    #[test]
    fn an_address_that_is_out_is_tried_by_one_call_at_a_time() {
        let now = Instant::now();
        let mut health = out(now);
        let due = now + BACK_OFF_MIN;
        assert_eq!(health.standing(due), Standing::Due);
        health.taken(due);
        assert_eq!(health.standing(due), Standing::Out { failed: now });
        assert_eq!(health.standing(due + PROBE_WAIT), Standing::Due);
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
        let mut health = Health::Out { until: now, failed: now, times: u32::MAX };
        health.failed(now);
        assert_eq!(health.standing(now + BACK_OFF_MAX), Standing::Due);
    }
}
