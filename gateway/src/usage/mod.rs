//! Who still uses what?
//!
//! Per caller, operation and marked field: how many calls in a day, the first and the last. A request counts
//! in memory ([`Usage::count`]); every few seconds [`Usage::flush`] adds what was counted to a store that
//! other processes read ([`Reader`]) whether the gateway runs or not. The audit log stays the truth: the
//! store is a summary of it, may miss the last seconds before a crash, and never keeps a request waiting.
//! The room takes plain values and knows no other.

mod pending;
mod read;
mod recount;
mod store;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

pub use pending::{Counted, Tally};
pub use read::{Filter, Line, Reader, Users};
pub use recount::Recount;
pub use store::StoreError;

use pending::Pending;
use store::Store;

/// Where usage is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSettings {
    /// The store: one file, and two more beside it while it is open.
    pub file: PathBuf,
    /// For how many days.
    pub keep_days: u32,
}

/// One call to be counted.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The caller's id; `None` for whoever needs no proof.
    pub caller: Option<&'a str>,
    /// The api.
    pub api: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The operation's full name: `orders.v2.createOrder`.
    pub operation: &'a str,
    /// The marked fields that it used.
    pub fields: &'a [FieldUse<'a>],
    /// Whether the operation is deprecated.
    pub deprecated: bool,
    /// Whether the gateway refused it.
    pub refused: bool,
    /// When it began.
    pub at: Timestamp,
}

/// The use of a marked field.
#[derive(Debug, Clone, Copy)]
pub struct FieldUse<'a> {
    /// Its place in the contract.
    pub pointer: &'a str,
    /// Whether it is deprecated; else it is only watched.
    pub deprecated: bool,
}

/// What is counted, and where it goes.
#[derive(Debug)]
pub struct Usage {
    settings: Option<UsageSettings>,
    /// Counted since the last flush. Held for a moment by every request.
    pending: Mutex<Pending>,
    /// Held while files are written.
    keeper: Mutex<Keeper>,
    /// Why the store cannot be written, and what was lost: read by `/status`.
    state: Mutex<State>,
}

/// Who writes the store.
#[derive(Debug, Default)]
struct Keeper {
    store: Option<Store>,
    /// Counted and not written yet, because the store could not be.
    unwritten: Pending,
}

/// How the keeping of usage goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Why the store cannot be written at the moment.
    pub failing: Option<String>,
    /// Flushes that failed.
    pub failures: u64,
    /// Calls and uses that no room was left for.
    pub dropped: u64,
    /// When the store was last written.
    pub written_at: Option<Timestamp>,
}

/// What became of a flush.
#[derive(Debug, Default)]
pub struct Flushed {
    /// What was counted since the one before.
    pub counted: Vec<Counted>,
    /// The store can be written again, or not any more.
    pub change: Option<Change>,
}

/// A change that operators want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The store cannot be written any more, and why.
    Failing(String),
    /// It can again.
    Recovered,
}

impl Usage {
    /// Counts for the store that `settings` name; without any, nothing is counted.
    #[must_use]
    pub fn new(settings: Option<UsageSettings>) -> Self {
        Self { settings, pending: Mutex::default(), keeper: Mutex::default(), state: Mutex::default() }
    }

    /// Where usage is kept, if it is.
    #[must_use]
    pub const fn settings(&self) -> Option<&UsageSettings> {
        self.settings.as_ref()
    }

    /// Counts a call. Touches memory only.
    pub fn count(&self, call: &Call<'_>) {
        if self.settings.is_some() {
            held(&self.pending).count(call);
        }
    }

    /// How it goes.
    #[must_use]
    pub fn state(&self) -> State {
        held(&self.state).clone()
    }

    /// Adds what was counted to the store. Blocks while files are written.
    ///
    /// What cannot be written is kept, as far as there is room, and tried again with the next flush.
    pub fn flush(&self) -> Flushed {
        let Some(settings) = &self.settings else { return Flushed::default() };
        let mut keeper = held(&self.keeper);
        let mut fresh = std::mem::take(&mut *held(&self.pending));
        let counted = fresh.rows();
        let mut dropped = fresh.take_dropped();
        keeper.unwritten.merge(fresh);
        dropped = dropped.saturating_add(keeper.unwritten.take_dropped());
        let written = keeper.write(settings);
        let change = held(&self.state).update(written, dropped);
        Flushed { counted, change }
    }
}

impl Keeper {
    fn write(&mut self, settings: &UsageSettings) -> Result<(), StoreError> {
        let store = match &mut self.store {
            // Whoever moved the file away wants a new one, not counts in one that nobody can find.
            Some(store) if store.is_at(&settings.file) => store,
            _ => self.store.insert(Store::open(&settings.file, settings.keep_days)?),
        };
        let rows = self.unwritten.rows();
        let written = store.add(&rows, Timestamp::now());
        if written.is_ok() {
            self.unwritten = Pending::default();
        } else {
            // Opened anew next time: the file may be another by then.
            self.store = None;
        }
        written
    }
}

impl State {
    fn update(&mut self, written: Result<(), StoreError>, dropped: u64) -> Option<Change> {
        self.dropped = self.dropped.saturating_add(dropped);
        match written {
            Ok(()) => {
                self.written_at = Some(Timestamp::now());
                self.failing.take().map(|_| Change::Recovered)
            }
            Err(fault) => {
                self.failures = self.failures.saturating_add(1);
                let told = fault.to_string();
                let news = self.failing.is_none().then(|| Change::Failing(told.clone()));
                self.failing = Some(told);
                news
            }
        }
    }
}

/// A panic while it was held left whole values behind: each is changed in one step.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How much of the counts a crash can lose.
pub const FLUSH_EVERY: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn call<'a>(caller: Option<&'a str>, operation: &'a str, at: &str) -> Call<'a> {
        Call {
            caller,
            api: "orders",
            version: "v1",
            operation,
            fields: &[],
            deprecated: false,
            refused: false,
            at: at.parse().unwrap(),
        }
    }

    fn kept(file: &std::path::Path) -> Vec<(String, u64)> {
        let lines = Reader::open(file).unwrap().lines(&Filter::default()).unwrap();
        lines.into_iter().map(|line| (line.operation, line.tally.calls)).collect()
    }

    #[test]
    fn counts_are_added_up_over_flushes_and_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("usage.sqlite");
        let settings = || Some(UsageSettings { file: file.clone(), keep_days: 400 });
        let now = Timestamp::now().to_string();
        for process in 1..=2_u64 {
            let usage = Usage::new(settings());
            for _ in 0..2 {
                usage.count(&call(Some("acme"), "a", &now));
                assert_eq!(usage.flush().counted.len(), 1);
            }
            assert_eq!(usage.flush().counted.len(), 0);
            assert_eq!(kept(&file), [("a".to_owned(), process.saturating_mul(2))]);
            assert_eq!(usage.state().failing, None);
        }
    }

    #[test]
    fn what_cannot_be_written_is_kept_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("later/usage.sqlite");
        let usage = Usage::new(Some(UsageSettings { file: file.clone(), keep_days: 400 }));
        let now = Timestamp::now().to_string();
        usage.count(&call(None, "a", &now));
        assert!(matches!(usage.flush().change, Some(Change::Failing(_))));
        usage.count(&call(None, "a", &now));
        assert_eq!(usage.flush().change, None, "told once");
        assert_eq!(usage.state().failures, 2);
        assert!(usage.state().failing.is_some());
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        assert_eq!(usage.flush().change, Some(Change::Recovered));
        assert_eq!(kept(&file), [("a".to_owned(), 2)]);
        // It goes away under the running process.
        for entry in std::fs::read_dir(file.parent().unwrap()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(&file, "this is no database, and long enough to be looked at as one").unwrap();
        usage.count(&call(None, "b", &now));
        assert!(matches!(usage.flush().change, Some(Change::Failing(_))));
        assert_eq!(
            std::fs::read_to_string(&file).unwrap().split(' ').next(),
            Some("this"),
            "it is left alone"
        );
    }

    #[test]
    fn without_settings_nothing_is_counted() {
        let usage = Usage::new(None);
        usage.count(&call(None, "a", "2026-11-28T00:00:00Z"));
        assert_eq!(usage.flush().counted.len(), 0);
        assert_eq!(usage.state(), State::default());
    }
}
