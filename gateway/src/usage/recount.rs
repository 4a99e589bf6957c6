//! How are calls counted anew, that were counted before or never? From an audit log, into memory.

use jiff::Timestamp;

use super::Call;
use super::pending::{COUNTS_MAX, Pending};
use super::read::Reader;
use super::store::{Store, StoreError};

/// Counts that end with the process.
#[derive(Debug)]
pub struct Recount {
    store: Store,
    pending: Pending,
}

impl Recount {
    /// Nothing is counted yet.
    ///
    /// # Errors
    /// SQLite has no memory.
    pub fn new() -> Result<Self, StoreError> {
        Ok(Self { store: Store::in_memory()?, pending: Pending::default() })
    }

    /// Counts a call.
    ///
    /// # Errors
    /// SQLite has no memory.
    pub fn count(&mut self, call: &Call<'_>) -> Result<(), StoreError> {
        self.pending.count(call);
        if self.pending.size() > COUNTS_MAX.div_ceil(2) { self.flush() } else { Ok(()) }
    }

    /// What was counted.
    ///
    /// # Errors
    /// SQLite has no memory.
    pub fn finish(mut self) -> Result<Reader, StoreError> {
        self.flush()?;
        Ok(Reader::over(self.store))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.store.add(&std::mem::take(&mut self.pending).rows(), Timestamp::now())
    }
}
