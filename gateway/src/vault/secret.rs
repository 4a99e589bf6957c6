//! What did Vault give, and for how long does it hold? Values are wiped when dropped and never shown.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use zeroize::Zeroizing;

/// What was read at one path.
#[derive(Clone)]
pub struct Secret {
    pub(super) fields: BTreeMap<String, Zeroizing<String>>,
    pub(super) version: Option<u64>,
    pub(super) lease: Option<Arc<Lease>>,
    /// When Vault says that it is to be read again, for secrets without a lease.
    pub(super) again_at: Option<Timestamp>,
    pub(super) from_cache: bool,
}

/// What a dynamic secret is lent by. Its id, which is enough to take it back, is not shown.
pub struct Lease {
    pub(super) id: Zeroizing<String>,
    pub(super) duration: Duration,
    pub(super) renewable: bool,
    /// When its secret is to be read again; later with each renewal.
    again_at: Mutex<Timestamp>,
}

impl Secret {
    /// What Vault just said.
    pub(super) const fn new(fields: BTreeMap<String, Zeroizing<String>>) -> Self {
        Self { fields, version: None, lease: None, again_at: None, from_cache: false }
    }

    /// What it said some time ago.
    pub(super) const fn kept(fields: BTreeMap<String, Zeroizing<String>>, version: Option<u64>) -> Self {
        Self { fields, version, lease: None, again_at: None, from_cache: true }
    }

    /// Whether Vault is away and this is what it said last time: good enough where nothing is in hand, and no
    /// reason to keep for longer what is.
    #[must_use]
    pub const fn is_from_cache(&self) -> bool {
        self.from_cache
    }

    /// The value of a field, if it is there and is a text, a number or a truth value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Zeroizing<String>> {
        self.fields.get(name)
    }

    /// The names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Which version it is, of key/value version 2.
    #[must_use]
    pub const fn version(&self) -> Option<u64> {
        self.version
    }

    /// What it is lent by.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// In how long it is to be read again, if Vault says. It changes: a renewed lease has more time, one
    /// that cannot be renewed any more or whose session has ended has none. Ask whenever it matters.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        let at = match &self.lease {
            Some(lease) => Some(lease.again_at()),
            None => self.again_at,
        };
        at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("fields", &self.fields.keys())
            .field("version", &self.version)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn new(id: Zeroizing<String>, duration: Duration, renewable: bool, now: Timestamp) -> Self {
        let again_at = Mutex::new(again(now, duration, renewable));
        Self { id, duration, renewable, again_at }
    }

    /// For how long it was given.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether Vault lets it be renewed.
    #[must_use]
    pub const fn renewable(&self) -> bool {
        self.renewable
    }

    pub(super) fn again_at(&self) -> Timestamp {
        *self.again_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was renewed at `now` for `duration`.
    pub(super) fn renewed(&self, duration: Duration, now: Timestamp) {
        self.read_again_at(again(now, duration, true));
    }

    pub(super) fn read_again_at(&self, at: Timestamp) {
        *self.again_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("duration", &self.duration)
            .field("renewable", &self.renewable)
            .finish_non_exhaustive()
    }
}

/// At two thirds of its life; later if it is renewed then, so that the renewal has its time.
fn again(now: Timestamp, duration: Duration, renewable: bool) -> Timestamp {
    let (numerator, denominator) = if renewable { (5, 6) } else { (2, 3) };
    later(now, part(duration, numerator, denominator))
}

/// A part of a time.
pub(super) fn part(whole: Duration, numerator: u32, denominator: u32) -> Duration {
    whole.saturating_mul(numerator).checked_div(denominator).unwrap_or_default()
}

/// A time after another; far ahead where there is no such time.
pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
