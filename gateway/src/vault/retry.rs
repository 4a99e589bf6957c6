//! How long is waited before Vault is asked again? Twice as long each time, and never at the same moment as others.

use std::time::Duration;

use jiff::Timestamp;

use super::secret::later;
use crate::backoff;

/// The pause before attempt `attempt` (the first repetition is 1): between half and all of `first`, doubled
/// each time and never longer than `longest`. Gateways that lost the same Vault do not come back in step.
pub(super) fn pause(attempt: u32, first: Duration, longest: Duration) -> Duration {
    backoff::sooner(backoff::after(attempt, first, longest), 2, backoff::random())
}

/// When something that failed is tried again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Backoff {
    pub(super) fn is_early(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    pub(super) fn failed(&mut self, now: Timestamp, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let pause = pause(self.failures, FIRST_PAUSE, LONGEST_PAUSE).max(asked.unwrap_or_default());
        self.not_before = Some(later(now, pause));
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// About as often as it is looked at.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Vault is back for at most this long before it is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pause_after_a_failure_is_at_least_what_was_asked_for() {
        let now = Timestamp::UNIX_EPOCH;
        let mut backoff = Backoff::default();
        assert!(!backoff.is_early(now));
        backoff.failed(now, Some(Duration::from_secs(40)));
        assert!(backoff.is_early(later(now, Duration::from_secs(39))));
        assert!(!backoff.is_early(later(now, Duration::from_secs(40))));
        backoff.succeeded();
        assert!(!backoff.is_early(now));
    }

    proptest! {
        #[test]
        fn a_pause_has_both_bounds(attempt in 0_u32..100) {
            let longest = Duration::from_secs(2);
            let pause = pause(attempt, Duration::from_millis(100), longest);
            prop_assert!(pause >= Duration::from_millis(50));
            prop_assert!(pause <= longest);
        }
    }
}
