//! Is this still the same secret? A name for a secret's value that tells nothing about the value.
//!
//! Where the source numbers its values, as Vault's KV v2 does, that number. Elsewhere a keyed hash with a
//! key that lives as long as the process: a plain hash would let anybody who reads the audit log try
//! passwords against it, and a file's time says nothing about an environment variable. Given up: versions
//! of two processes cannot be compared then.

use std::fmt;

use ring::hmac;
use ring::rand::SystemRandom;

/// The key of this process's versions: to be made once, and used for every load.
pub struct VersionKey(hmac::Key);

/// Which value of a secret it is: equal for equal values within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The number that the source gave it.
    Numbered(u64),
    /// What a key of this process makes of it.
    Fingerprint([u8; FINGERPRINT_BYTES]),
}

/// The machine gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the machine gave no random bytes")]
pub struct NoRandomness;

impl VersionKey {
    /// A key that nobody has seen.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn random() -> Result<Self, NoRandomness> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map(Self).map_err(|_none| NoRandomness)
    }

    /// The version of `secret`. The same value under two names has two versions, so that nobody sees
    /// that it is used twice.
    pub(super) fn version(&self, name: &str, secret: &[u8]) -> Version {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(name.as_bytes());
        // No name holds this byte, so no name and secret read like another pair.
        context.update(&[0]);
        context.update(secret);
        let mut fingerprint = [0; FINGERPRINT_BYTES];
        fingerprint.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Version::Fingerprint(fingerprint)
    }
}

impl fmt::Debug for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionKey")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered(number) => write!(f, "{number}"),
            Self::Fingerprint(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// Twelve hexadecimal digits: enough to tell the values of one credential apart.
const FINGERPRINT_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_equal_for_equal_values_only() {
        let key = VersionKey::random().unwrap();
        assert_eq!(key.version("odoo", b"s3cret"), key.version("odoo", b"s3cret"));
        assert_ne!(key.version("odoo", b"s3cret"), key.version("odoo", b"s3creT"));
        assert_ne!(key.version("odoo", b"s3cret"), key.version("crm", b"s3cret"));
        assert_ne!(key.version("odoo", b"s3cret"), key.version("odoos", b"3cret"));
    }

    #[test]
    fn a_version_cannot_be_computed_by_another_process() {
        let (one, other) = (VersionKey::random().unwrap(), VersionKey::random().unwrap());
        assert_ne!(one.version("odoo", b"s3cret"), other.version("odoo", b"s3cret"));
    }

    #[test]
    fn a_fingerprint_is_twelve_hexadecimal_digits_and_a_number_itself() {
        assert_eq!(Version::Numbered(7).to_string(), "7");
        let shown = VersionKey::random().unwrap().version("odoo", b"s3cret").to_string();
        assert_eq!(shown.len(), 12);
        assert!(shown.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
