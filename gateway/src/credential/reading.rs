//! When is a source read again, and who waits for it?
//!
//! One reading at a time, however many ask for it; after one that brought nothing new the next reason to
//! ask has to wait, so that an upstream that refuses everything does not become an attack on Vault.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::source::SourceFault;
use crate::backoff;

/// The state of the readings of one source.
#[derive(Debug)]
pub(super) struct Reading {
    flight: Mutex<Flight>,
    /// Counts the readings that have ended, so that others can wait for one.
    landed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Flight {
    state: State,
    /// Whether this reading was asked for by a refusal.
    refused: bool,
    due: Option<Instant>,
    /// A refusal does not ask before this.
    quiet_until: Option<Instant>,
    failures: u32,
    fault: Option<SourceFault>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Grounded,
    Flying,
}

/// Why a source is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is time.
    Due,
    /// An upstream has refused what it gave.
    Refused,
    /// An operator says that it has changed.
    Told,
}

/// Who reads.
pub(super) enum Begun {
    /// Whoever asked.
    Here(watch::Receiver<u64>),
    /// Somebody else, already.
    Elsewhere(watch::Receiver<u64>),
    /// Nobody, it is too early.
    Early,
}

/// What a reading brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Brought {
    New,
    Nothing,
    Fault(SourceFault),
}

impl Reading {
    pub(super) fn new() -> Self {
        Self { flight: Mutex::default(), landed: watch::Sender::new(0) }
    }

    /// Whether to read now. Who is told to must call [`Reading::land`], whatever happens.
    pub(super) fn begin(&self, reason: Reason, now: Instant) -> Begun {
        let mut flight = self.flight();
        let landed = self.landed.subscribe();
        if flight.state == State::Flying {
            return Begun::Elsewhere(landed);
        }
        let early = match reason {
            Reason::Due => flight.due.is_some_and(|due| now < due),
            Reason::Refused => flight.quiet_until.is_some_and(|quiet| now < quiet),
            Reason::Told => false,
        };
        if early {
            return Begun::Early;
        }
        flight.state = State::Flying;
        flight.refused = reason == Reason::Refused;
        Begun::Here(landed)
    }

    /// A reading has ended. The next one is due after `every`, or sooner after a failure.
    pub(super) fn land(&self, brought: Brought, every: Duration, now: Instant) {
        let mut flight = self.flight();
        flight.state = State::Grounded;
        // What a refusal asked for in vain, the next refusal does not ask for at once.
        let in_vain = flight.refused && brought != Brought::New;
        flight.quiet_until = if in_vain { now.checked_add(QUIET) } else { None };
        let wait = match brought {
            Brought::New | Brought::Nothing => {
                flight.failures = 0;
                flight.fault = None;
                every
            }
            Brought::Fault(fault) => {
                flight.failures = flight.failures.saturating_add(1);
                flight.fault = Some(fault);
                backoff::after(flight.failures, RETRY_FIRST, RETRY_MAX).min(every.max(RETRY_FIRST))
            }
        };
        flight.due = now.checked_add(backoff::sooner(wait, 10, backoff::random()));
        drop(flight);
        self.landed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Why the last reading failed, if it did.
    pub(super) fn fault(&self) -> Option<SourceFault> {
        self.flight().fault.clone()
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        // Nothing under the lock can leave it half changed.
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An upstream that refuses what is right costs its source one reading in this time.
const QUIET: Duration = Duration::from_secs(5);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test")]

    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    fn here(begun: &Begun) -> bool {
        matches!(begun, Begun::Here(_))
    }

    #[test]
    fn one_reads_and_all_others_wait_for_it() {
        let (reading, now) = (Reading::new(), Instant::now());
        assert!(here(&reading.begin(Reason::Due, now)));
        for reason in [Reason::Due, Reason::Refused, Reason::Told] {
            let Begun::Elsewhere(landed) = reading.begin(reason, now) else { panic!("{reason:?}") };
            assert!(!landed.has_changed().unwrap());
        }
        let Begun::Elsewhere(landed) = reading.begin(Reason::Due, now) else { panic!("it flies") };
        reading.land(Brought::New, EVERY, now);
        assert!(landed.has_changed().unwrap());
        assert!(matches!(reading.begin(Reason::Due, now), Begun::Early));
        assert!(here(&reading.begin(Reason::Due, now + EVERY)));
    }

    #[test]
    fn after_nothing_new_a_refusal_waits_and_an_operator_does_not() {
        let (reading, now) = (Reading::new(), Instant::now());
        drop(reading.begin(Reason::Refused, now));
        reading.land(Brought::Nothing, EVERY, now);
        assert!(matches!(reading.begin(Reason::Refused, now), Begun::Early));
        assert!(here(&reading.begin(Reason::Told, now)));
        reading.land(Brought::New, EVERY, now);
        assert!(here(&reading.begin(Reason::Refused, now)), "what brings something is asked at any rate");
    }

    #[test]
    fn a_source_that_fails_is_asked_soon_and_then_ever_later() {
        let (reading, mut now) = (Reading::new(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            assert!(here(&reading.begin(Reason::Due, now)), "{seconds}");
            reading.land(Brought::Fault(SourceFault::Unset), EVERY, now);
            assert_eq!(reading.fault(), Some(SourceFault::Unset));
            let most = Duration::from_secs(seconds);
            assert!(
                matches!(reading.begin(Reason::Due, now + most.mul_f64(0.89)), Begun::Early),
                "{seconds}"
            );
            now += most;
        }
        drop(reading.begin(Reason::Due, now));
        reading.land(Brought::Nothing, EVERY, now);
        assert_eq!(reading.fault(), None);
    }
}
