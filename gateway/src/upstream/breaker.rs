//! Is there any point in calling this upstream now?
//!
//! Opens when a long row of calls found no answer at all, so that the callers of an upstream that hangs
//! are told at once instead of each waiting out a deadline. One answer, of whatever kind, closes it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::{Fault, UpstreamError};
use super::health::{Change, Health, Standing, UPSTREAM};

/// The breaker of one upstream.
#[derive(Debug)]
pub(super) struct Breaker(Mutex<Health>);

impl Breaker {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Health::new(&UPSTREAM)))
    }

    /// Lets a call through, or not. While open, one call at a time may try.
    pub(super) fn pass(&self, now: Instant) -> Result<(), Fault> {
        let mut health = self.health();
        match health.standing(now) {
            Standing::Up => Ok(()),
            Standing::Due => {
                health.taken(now);
                Ok(())
            }
            Standing::Out { .. } => Err(Fault::Open),
        }
    }

    /// Notes how a call ended.
    pub(super) fn note<T>(&self, now: Instant, outcome: &Result<T, UpstreamError>) -> Change {
        let Err(error) = outcome else { return self.health().answered() };
        match error.fault {
            Fault::Broken(_) | Fault::TooLarge => self.health().answered(),
            Fault::Unreachable | Fault::Tls | Fault::Closed | Fault::FirstByte | Fault::Deadline => {
                self.health().failed(now)
            }
            // These say nothing about the upstream.
            Fault::Busy | Fault::Open | Fault::NoCertificate | Fault::Unsendable => Change::None,
        }
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        self.health().standing(now)
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // A state that is written at once is whole even if a panic poisoned the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use crate::upstream::error::{Breakage, Effect};
    use std::time::Duration;

    fn ended(fault: Fault) -> Result<(), UpstreamError> {
        Err(UpstreamError { fault, effect: Effect::Possible, attempts: 1, address: None })
    }

    /// How a breaker stands after `rows` calls that ended with `fault`.
    fn after(rows: u32, fault: Fault) -> (Breaker, Instant) {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..rows {
            breaker.note(now, &ended(fault));
        }
        (breaker, now)
    }

    #[test]
    fn only_a_long_row_of_calls_without_an_answer_opens_it() {
        let check = |fault: Fault, expected: Result<(), Fault>| {
            let (breaker, now) = after(UPSTREAM.failures_max, fault);
            assert_eq!(breaker.pass(now), expected, "{fault:?}");
            let (breaker, now) = after(UPSTREAM.failures_max - 1, fault);
            assert_eq!(breaker.pass(now), Ok(()), "{fault:?}");
        };
        for fault in [Fault::Unreachable, Fault::Tls, Fault::Closed, Fault::FirstByte, Fault::Deadline] {
            check(fault, Err(Fault::Open));
        }
        for fault in
            [Fault::Busy, Fault::Open, Fault::Unsendable, Fault::TooLarge, Fault::Broken(Breakage::Body)]
        {
            check(fault, Ok(()));
        }
    }

    #[test]
    fn one_answer_starts_the_row_again() {
        let (breaker, now) = after(UPSTREAM.failures_max - 1, Fault::Deadline);
        breaker.note(now, &Ok::<_, UpstreamError>(()));
        breaker.note(now, &ended(Fault::Deadline));
        assert_eq!(breaker.pass(now), Ok(()));
    }

    #[test]
    fn while_open_one_call_tries_and_its_answer_closes_it() {
        let (breaker, now) = after(UPSTREAM.failures_max, Fault::Deadline);
        let due = now + Duration::from_secs(2);
        assert_eq!(breaker.pass(due), Ok(()));
        assert_eq!(breaker.pass(due), Err(Fault::Open));
        assert_eq!(breaker.note(due, &Ok::<_, UpstreamError>(())), Change::Back);
        assert_eq!(breaker.pass(due), Ok(()));
    }
}
