//! Is it worth a moment's wait, so that more records share a write?
//!
//! A write for each record costs more than everything else that is done for it: locking, looking after the
//! files, and waking two threads. Where few records come nobody waits; where many come all wait a little.

use std::time::{Duration, Instant};

/// How fast records come.
#[derive(Debug)]
pub(super) struct Pace {
    window_began: Instant,
    records: usize,
    load: Load,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Low,
    High,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { window_began: now, records: 0, load: Load::Low }
    }

    /// Notes that a batch was taken.
    pub(super) fn note(&mut self, records: usize, now: Instant) {
        self.records = self.records.saturating_add(records);
        let elapsed = now.saturating_duration_since(self.window_began);
        if elapsed < WINDOW {
            return;
        }
        // A window that took much longer had a silence in it.
        let dense = self.records >= DENSE_RECORDS && elapsed < WINDOW.saturating_mul(2);
        *self = Self { load: if dense { Load::High } else { Load::Low }, ..Self::new(now) };
    }

    /// How long to wait for more records, after the first has come up.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        match self.load {
            Load::High if now.saturating_duration_since(self.window_began) < WINDOW => PAUSE,
            Load::High | Load::Low => Duration::ZERO,
        }
    }
}

/// Long enough to tell a load from a few calls at once, short enough that the load's end is soon seen.
const WINDOW: Duration = Duration::from_millis(10);
/// 2000 records in a second: below, their writes take a few hundredths of a processor.
const DENSE_RECORDS: usize = 20;
/// Short beside any upstream, long beside a write.
const PAUSE: Duration = Duration::from_micros(500);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    /// The pause after batches of one record each, `apart` from each other.
    fn pause_after(count: u32, apart: Duration) -> (Pace, Instant) {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        for n in 1..=count {
            pace.note(1, began + apart * n);
        }
        (pace, began + apart * count)
    }

    #[test]
    fn only_where_many_records_come_there_is_a_pause() {
        for (count, apart_us, expected) in [
            (1, 1, Duration::ZERO),
            (19, 500, Duration::ZERO),
            (100, 1_000, Duration::ZERO),
            (100, 20_000, Duration::ZERO),
            (20, 500, PAUSE),
            (1000, 100, PAUSE),
        ] {
            let (pace, now) = pause_after(count, Duration::from_micros(apart_us));
            assert_eq!(pace.pause(now), expected, "{count} records, {apart_us} us apart");
        }
    }

    #[test]
    fn after_a_silence_nobody_waits() {
        let (mut pace, now) = pause_after(1000, Duration::from_micros(100));
        assert_eq!(pace.pause(now + WINDOW), Duration::ZERO);
        pace.note(1, now + WINDOW * 3);
        assert_eq!(pace.pause(now + WINDOW * 3), Duration::ZERO);
    }

    #[test]
    fn records_that_share_a_write_count_each() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        pace.note(DENSE_RECORDS, began + WINDOW);
        assert_eq!(pace.pause(began + WINDOW), PAUSE);
    }
}
