//! Which nonces may a proof have? Those of this process, of now or of just before.
//!
//! Nothing is kept of what was given: a nonce is a keyed hash of the time it stands for (RFC 9449 section 8),
//! so that nobody can make one ahead of time, and whoever asks for many makes nothing grow.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use ring::rand::SecureRandom;
use subtle::ConstantTimeEq;

/// The nonces of a process.
pub(super) struct Nonces(hmac::Key);

/// What a nonce is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// Given lately.
    Current,
    /// Still accepted; its client should be given the next one.
    Ending,
    /// Of no worth: not ours, or of long ago.
    Nothing,
}

impl Nonces {
    /// Nonces under a new key. Nothing if the system has no randomness.
    pub(super) fn new(random: &dyn SecureRandom) -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, random).ok().map(Self)
    }

    /// What is given now.
    pub(super) fn current(&self, now: Timestamp) -> String {
        self.of(slot(now))
    }

    /// What `nonce` is worth now.
    pub(super) fn worth(&self, nonce: &str, now: Timestamp) -> Worth {
        let now = slot(now);
        let is = |slot: i64| bool::from(self.of(slot).as_bytes().ct_eq(nonce.as_bytes()));
        if is(now) {
            Worth::Current
        } else if is(now.saturating_sub(1)) {
            Worth::Ending
        } else {
            Worth::Nothing
        }
    }

    fn of(&self, slot: i64) -> String {
        let tag = hmac::sign(&self.0, &slot.to_be_bytes());
        URL_SAFE_NO_PAD.encode(tag.as_ref().iter().take(NONCE_BYTES).copied().collect::<Vec<u8>>())
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

fn slot(now: Timestamp) -> i64 {
    now.as_second().div_euclid(SLOT_S)
}

/// A nonce is good for one to two of these: a proof made ahead of time is of use for as long.
const SLOT_S: i64 = 60;
/// 128 bits: as hard to guess as the keys of what it protects.
const NONCE_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::testing::{later, now};
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    fn nonces() -> Nonces {
        Nonces::new(&SystemRandom::new()).unwrap()
    }

    #[test]
    fn a_nonce_is_good_in_its_slot_and_the_next() {
        let nonces = nonces();
        let given = nonces.current(now());
        for (at, worth) in [
            (-1, Worth::Nothing),
            (0, Worth::Current),
            (59, Worth::Current),
            (60, Worth::Ending),
            (119, Worth::Ending),
            (120, Worth::Nothing),
        ] {
            assert_eq!(nonces.worth(&given, later(at)), worth, "at {at}");
        }
    }

    #[test]
    fn the_nonce_of_another_process_is_worth_nothing() {
        let (ours, theirs) = (nonces(), nonces());
        assert_eq!(ours.worth(&theirs.current(now()), now()), Worth::Nothing);
        assert!(!format!("{ours:?}").contains(&ours.current(now())));
    }

    proptest! {
        #[test]
        fn a_guess_is_worth_nothing(guess in "\\PC{0,40}") {
            prop_assert_eq!(nonces().worth(&guess, now()), Worth::Nothing);
        }
    }
}
