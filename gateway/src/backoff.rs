//! How long until something that failed is tried again, and how do many gateways not come at the same moment?

use std::time::Duration;

/// The wait after so many failures in a row: `first`, then twice as long each time, never longer than `longest`.
pub(crate) fn after(failures: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

/// Up to one `part`-th of `wait` sooner, by `random`: a fifth is 5.
pub(crate) fn sooner(wait: Duration, part: u32, random: u8) -> Duration {
    let most = wait.checked_div(part).unwrap_or_default();
    let sooner = most.saturating_mul(u32::from(random)).checked_div(u32::from(u8::MAX)).unwrap_or_default();
    wait.saturating_sub(sooner)
}

/// A byte that differs between processes and calls; nothing secret depends on it.
pub(crate) fn random() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    let [first, ..] = RandomState::new().hash_one(()).to_le_bytes();
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wait_doubles_to_its_longest() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(60));
        for (failures, seconds) in [(0, 5), (1, 5), (2, 10), (4, 40), (5, 60), (u32::MAX, 60)] {
            assert_eq!(after(failures, first, longest), Duration::from_secs(seconds), "{failures}");
        }
    }

    proptest! {
        #[test]
        fn sooner_has_both_bounds(seconds in 0_u64..1_000_000, part in 1_u32..20, random: u8) {
            let wait = Duration::from_secs(seconds);
            let spread = sooner(wait, part, random);
            prop_assert!(spread <= wait);
            prop_assert!(spread >= wait.saturating_sub(wait.checked_div(part).unwrap()));
        }
    }

    #[test]
    fn the_ends_of_what_is_random_are_the_ends_of_the_spread() {
        let wait = Duration::from_secs(300);
        assert_eq!(sooner(wait, 5, 0), wait);
        assert_eq!(sooner(wait, 5, u8::MAX), Duration::from_secs(240));
        assert_eq!(sooner(Duration::MAX, 5, 0), Duration::MAX);
    }
}
