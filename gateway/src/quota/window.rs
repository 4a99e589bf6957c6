//! One window, `100 calls in 60 s`: does a call of some cost fit now, and if not, when?
//!
//! The generic cell rate algorithm (ITU-T I.371, appendix I): all that is kept of the past is the
//! moment at which the window is whole again. Quota comes back evenly, not in one piece at the end of
//! a window, so nobody can spend two windows' quota at their border.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A number of calls and the time in which they may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    name: Arc<str>,
    key: WindowKey,
    quota: NonZeroU32,
    length: Duration,
    /// Nanoseconds after which one call's worth of quota is back.
    interval_ns: u64,
}

/// Why a quota and a length make no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowFault {
    /// `w` in the `RateLimit-Policy` field is in seconds.
    #[error("a window is a whole number of seconds, from `1s` to `31d`")]
    Length,
    /// Faster than one call in a nanosecond.
    #[error("a quota is at most 1000000 calls for each second of its window")]
    Quota,
    /// The name stands in a header field.
    #[error("a name is 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.`")]
    Name,
}

/// By which name a window's use is kept, whatever its numbers: changing a quota refills nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WindowKey(u64);

/// When a window is whole again, in nanoseconds of the process's own count.
pub(super) type WholeAt = u64;

/// What a window says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The call fits; the window is then whole again at this moment.
    Fits(WholeAt),
    /// The call would fit after this many nanoseconds.
    Wait(u64),
    /// The call costs more than the window ever holds.
    Never,
}

/// What is left of a window at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) calls: u32,
    pub(super) whole_in: Duration,
}

impl Window {
    /// A window that is called `name` in the files.
    ///
    /// # Errors
    /// The name, the length or the quota cannot be one.
    pub fn new(name: &str, quota: NonZeroU32, length: Duration) -> Result<Self, WindowFault> {
        Self::shown_as(name, name, quota, length)
    }

    /// A window of one operation. Its shown name carries the operation's, so that it is never taken
    /// for a plan's window of the same name.
    pub(super) fn of_operation(
        operation: &str,
        name: &str,
        quota: NonZeroU32,
        length: Duration,
    ) -> Result<Self, WindowFault> {
        Self::shown_as(name, &format!("{operation}/{name}"), quota, length)
    }

    fn shown_as(name: &str, shown: &str, quota: NonZeroU32, length: Duration) -> Result<Self, WindowFault> {
        if !is_name(name) || !shown.bytes().all(is_string_byte) {
            return Err(WindowFault::Name);
        }
        if length.subsec_nanos() != 0 || length < LENGTH_MIN || length > LENGTH_MAX {
            return Err(WindowFault::Length);
        }
        if u64::from(quota.get()) > length.as_secs().saturating_mul(CALLS_PER_SECOND_MAX) {
            return Err(WindowFault::Quota);
        }
        let interval_ns = nanoseconds(length).checked_div(u64::from(quota.get())).unwrap_or(u64::MAX);
        let mut hasher = DefaultHasher::new();
        shown.hash(&mut hasher);
        Ok(Self { name: shown.into(), key: WindowKey(hasher.finish()), quota, length, interval_ns })
    }

    /// The name as callers are shown it: `burst`, or `orders.v2.createOrder/hourly`.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many calls of cost 1 it holds when whole.
    #[must_use]
    pub const fn quota(&self) -> NonZeroU32 {
        self.quota
    }

    /// In what time an empty window is whole again: whole seconds.
    #[must_use]
    pub const fn length(&self) -> Duration {
        self.length
    }

    pub(super) const fn key(&self) -> WindowKey {
        self.key
    }

    /// Whether a call of `cost` fits at `now`.
    pub(super) fn judge(&self, whole_at: WholeAt, now: u64, cost: NonZeroU32) -> Verdict {
        if cost > self.quota {
            return Verdict::Never;
        }
        let price = self.interval_ns.saturating_mul(u64::from(cost.get()));
        let then_whole_at = self.bounded(whole_at, now).saturating_add(price);
        match then_whole_at.checked_sub(self.empty_at(now)) {
            None | Some(0) => Verdict::Fits(then_whole_at),
            Some(wait) => Verdict::Wait(wait),
        }
    }

    /// What is left at `now`.
    pub(super) fn left(&self, whole_at: WholeAt, now: u64) -> Left {
        let whole_at = self.bounded(whole_at, now);
        let free = self.empty_at(now).saturating_sub(whole_at);
        let calls = free.checked_div(self.interval_ns).unwrap_or_default();
        Left {
            calls: u32::try_from(calls).unwrap_or(u32::MAX),
            whole_in: Duration::from_nanos(whole_at.saturating_sub(now)),
        }
    }

    /// The past as this definition sees it: never before now, never more than empty. The second
    /// matters when a reload made the window shorter.
    fn bounded(&self, whole_at: WholeAt, now: u64) -> WholeAt {
        whole_at.clamp(now, self.empty_at(now))
    }

    /// When a window that is empty now is whole again.
    fn empty_at(&self, now: u64) -> WholeAt {
        now.saturating_add(self.interval_ns.saturating_mul(u64::from(self.quota.get())))
    }
}

/// A length of time in nanoseconds; 584 years and more are one.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

/// RFC 9651 section 3.3.3: a String is visible ASCII and space; what would need an escape is refused.
const fn is_string_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && byte != b'"' && byte != b'\\'
}

/// A name is read by people in a header field.
const NAME_BYTES_MAX: usize = 64;
/// `w` is in whole seconds.
const LENGTH_MIN: Duration = Duration::from_secs(1);
/// A month: contracts with partners are counted so, nothing is counted longer.
const LENGTH_MAX: Duration = Duration::from_secs(31 * 24 * 3600);
/// Far beyond any caller, and it keeps the interval at a microsecond or more: rounding stays below 0.1 %.
const CALLS_PER_SECOND_MAX: u64 = 1_000_000;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    fn window(quota: u32, secs: u64) -> Window {
        Window::new("w", NonZeroU32::new(quota).unwrap(), Duration::from_secs(secs)).unwrap()
    }

    fn cost(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn a_whole_window_lets_its_quota_pass_and_then_one_each_interval() {
        let window = window(3, 60);
        let mut whole_at = 0;
        for _ in 0..3 {
            let Verdict::Fits(next) = window.judge(whole_at, 100 * S, cost(1)) else { panic!("refused") };
            whole_at = next;
        }
        assert_eq!(window.left(whole_at, 100 * S), Left { calls: 0, whole_in: Duration::from_secs(60) });
        assert_eq!(window.judge(whole_at, 100 * S, cost(1)), Verdict::Wait(20 * S));
        assert_eq!(window.judge(whole_at, 119 * S, cost(1)), Verdict::Wait(S));
        assert_eq!(window.judge(whole_at, 120 * S, cost(1)), Verdict::Fits(180 * S));
    }

    #[test]
    fn a_call_that_costs_more_than_the_quota_never_fits() {
        assert_eq!(window(3, 60).judge(0, 0, cost(4)), Verdict::Never);
        assert_eq!(window(3, 60).judge(0, 0, cost(3)), Verdict::Fits(60 * S));
    }

    #[test]
    fn a_changed_definition_keeps_the_share_that_was_used() {
        // Half of 100 in 60 s is used: half of 10 in 60 s is used.
        assert_eq!(window(10, 60).left(130 * S, 100 * S).calls, 5);
        // And a window made shorter is empty, not in debt.
        assert_eq!(window(10, 10).judge(130 * S, 100 * S, cost(1)), Verdict::Wait(S));
    }

    #[test]
    fn what_cannot_be_a_window_is_refused() {
        let check = |name: &str, quota: u32, ms: u64, expected| {
            let got = Window::new(name, cost(quota), Duration::from_millis(ms));
            assert_eq!(got.map(|_| ()), expected, "{name} {quota} {ms}");
        };
        check("burst", 100, 60_000, Ok(()));
        check("burst", 100, 31 * 86_400_000, Ok(()));
        check("burst", 100, 31 * 86_400_000 + 1000, Err(WindowFault::Length));
        check("burst", 100, 1500, Err(WindowFault::Length));
        check("burst", 100, 0, Err(WindowFault::Length));
        check("burst", 1_000_000, 1000, Ok(()));
        check("burst", 1_000_001, 1000, Err(WindowFault::Quota));
        check("", 1, 1000, Err(WindowFault::Name));
        check("Burst", 1, 1000, Err(WindowFault::Name));
        check("a\"b", 1, 1000, Err(WindowFault::Name));
        check(&"a".repeat(65), 1, 1000, Err(WindowFault::Name));
    }

    #[test]
    fn an_operations_window_shows_its_operation() {
        let window = Window::of_operation("orders.v2.create", "burst", cost(1), Duration::from_secs(1));
        assert_eq!(&**window.unwrap().name(), "orders.v2.create/burst");
        let window = Window::of_operation("or\"ders", "burst", cost(1), Duration::from_secs(1));
        assert_eq!(window.unwrap_err(), WindowFault::Name);
    }

    proptest! {
        /// In any time of one window's length, no more than twice the quota passes; and never more
        /// than the quota plus what came back since the first call.
        #[test]
        fn no_more_passes_than_the_quota_and_what_came_back(
            quota in 1u32..50, secs in 1u64..100, steps in prop::collection::vec((0u64..3_000_000_000, 1u32..5), 1..200),
        ) {
            let window = window(quota, secs);
            let (mut whole_at, mut now, mut passed) = (0, 7 * S, 0u64);
            let began = now;
            for (step, n) in steps {
                now += step;
                if let Verdict::Fits(next) = window.judge(whole_at, now, cost(n)) {
                    whole_at = next;
                    passed += u64::from(n);
                }
                let back = (now - began) / window.interval_ns;
                prop_assert!(passed <= u64::from(quota) + back);
                prop_assert!(window.left(whole_at, now).calls <= quota);
            }
        }

        /// A refusal names the first moment at which the same call would pass.
        #[test]
        fn a_wait_is_exact(quota in 1u32..50, secs in 1u64..100, n in 1u32..50, used in 0u64..200 * S) {
            let window = window(quota, secs);
            if let Verdict::Wait(wait) = window.judge(S + used, S, cost(n)) {
                let whole_at = window.bounded(S + used, S);
                prop_assert!(matches!(window.judge(whole_at, S + wait, cost(n)), Verdict::Fits(_)));
                prop_assert!(matches!(window.judge(whole_at, S + wait - 1, cost(n)), Verdict::Wait(1)));
            }
        }

        #[test]
        fn nothing_overflows(whole_at: u64, now: u64, quota in 1u32.., n in 1u32..) {
            let window = Window::new("w", cost(quota), Duration::from_secs(31 * 86_400)).unwrap();
            window.judge(whole_at, now, cost(n));
            window.left(whole_at, now);
        }
    }
}
