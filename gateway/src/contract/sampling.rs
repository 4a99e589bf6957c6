//! Which answers are looked at where only a share of them is?
//!
//! Neither random nor every n-th: shares come out exact over a few answers, and no rhythm of the callers'
//! own can hide from it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Takes a share of what it is asked about.
#[derive(Debug)]
pub(super) struct Sampler {
    share: f64,
    asked: AtomicU64,
}

impl Sampler {
    /// Takes `share` of all: nothing at 0, everything at 1.
    pub(super) const fn new(share: f64) -> Self {
        Self { share, asked: AtomicU64::new(0) }
    }

    /// Whether this one is taken.
    pub(super) fn takes(&self) -> bool {
        if self.share >= 1.0 {
            return true;
        }
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        // Multiples of the golden ratio, modulo one, lie more evenly than those of any other number.
        let position = u32::try_from(number.wrapping_mul(GOLDEN) >> 32).unwrap_or(u32::MAX);
        f64::from(position) / (f64::from(u32::MAX) + 1.0) < self.share
    }
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_taken_evenly() {
        for (share, taken) in
            [(0.0, 0..=0), (0.1, 99..=101), (0.5, 499..=501), (0.9, 899..=901), (1.0, 1000..=1000)]
        {
            let sampler = Sampler::new(share);
            let count = (0..1_000).filter(|_| sampler.takes()).count();
            assert!(taken.contains(&count), "{share}: {count}");
        }
        // No caller's rhythm hides from it: of every second answer half is taken as well.
        let sampler = Sampler::new(0.5);
        let every_second = (0..1_000).map(|_| sampler.takes()).step_by(2).filter(|taken| *taken).count();
        assert!((240..=260).contains(&every_second), "{every_second}");
    }

    #[test]
    fn the_first_is_taken_if_any_is() {
        assert!(Sampler::new(0.01).takes());
        assert!(!Sampler::new(0.0).takes());
    }
}
