//! Which proofs are worth nothing any more, although they are good?
//!
//! [`Revocations`] are what `policies/revocations.yaml` says and what was ordered through the admin listener,
//! which a file beside the audit log keeps over restarts. They are asked at each use of a token, so that one
//! that was verified before ends within a second. What a token is, is not known here: a [`Shown`] has the
//! names that may be revoked.

mod entry;
mod index;
mod state;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;

pub use entry::{Entry, EntryMistake, Ordered};
pub use index::Shown;
pub use state::StateFault;

use crate::diagnostic::Diagnostics;
use crate::document::Document;
use index::Index;

/// Everything that is revoked.
#[derive(Debug, Default)]
pub struct Revocations {
    /// What requests read.
    index: ArcSwap<Index>,
    /// Held by whoever changes something, until that is on disk.
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    /// Nothing where there is no file.
    written: Option<Vec<Entry>>,
    ordered: Vec<Ordered>,
    /// Where the ordered ones are kept.
    state: Option<PathBuf>,
}

/// How many entries there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// In `policies/revocations.yaml`.
    pub written: usize,
    /// By order of the admin listener.
    pub ordered: usize,
}

/// What is revoked at one time. Subjects may be personal: it is for the admin listener's own page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InForce {
    /// By order of the admin listener.
    pub revocations: Vec<Ordered>,
    /// By `policies/revocations.yaml`.
    pub written: Vec<Entry>,
}

/// Why an order was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderFault {
    /// It cannot be meant.
    #[error("the order cannot be meant")]
    Mistake(#[source] EntryMistake),
    /// There are more entries than are kept.
    #[error("there are {ORDERED_MAX} entries already; put some into the file, or lift some")]
    Full,
    /// It could not be kept, and so does not hold.
    #[error("the order could not be written down")]
    Unwritten(#[source] StateFault),
}

impl Revocations {
    /// What `written` and the file at `state` say. That file need not be there yet.
    ///
    /// # Errors
    /// It is there and cannot be read: without it, what was revoked would be good again.
    pub fn open(written: Option<Vec<Entry>>, state: PathBuf) -> Result<Self, StateFault> {
        let lists = Lists { written, ordered: state::read(&state)?, state: Some(state) };
        let index = ArcSwap::from_pointee(lists.index());
        Ok(Self { index, lists: Mutex::new(lists) })
    }

    /// The entries of `document`, a `revocations.yaml`.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn read(document: &Document, issuers: &[&str]) -> Result<Vec<Entry>, Diagnostics> {
        entry::read(document, issuers)
    }

    /// Whether what is shown is revoked.
    #[must_use]
    pub fn holds(&self, shown: &Shown<'_>, now: Timestamp) -> bool {
        self.index.load().holds(shown, now)
    }

    /// How many entries there are.
    #[must_use]
    pub fn count(&self) -> Count {
        let lists = self.lists();
        Count { written: lists.written.as_ref().map_or(0, Vec::len), ordered: lists.ordered.len() }
    }

    /// Puts `written` in the place of what the file said before; whether that is something else.
    pub fn rewrite(&self, written: Option<Vec<Entry>>) -> bool {
        let mut lists = self.lists();
        if lists.written == written {
            return false;
        }
        lists.written = written;
        self.index.store(lists.index().into());
        true
    }

    /// Whether there was a file: its absence would make good again what it revoked.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.lists().written.is_some()
    }

    /// What is in force at `now`: what was ordered, oldest first, and what the file says.
    #[must_use]
    pub fn in_force(&self, now: Timestamp) -> InForce {
        let lists = self.lists();
        InForce {
            revocations: lists.ordered.iter().filter(|one| one.entry.is_needed(now)).cloned().collect(),
            written: lists.written.iter().flatten().filter(|one| one.is_needed(now)).cloned().collect(),
        }
    }

    /// Revokes as `order` says, for good: it is on disk when this returns. Blocks on files.
    ///
    /// # Errors
    /// See [`OrderFault`]: then nothing has changed.
    pub fn order(
        &self,
        order: Entry,
        by: &str,
        issuers: &[&str],
        now: Timestamp,
    ) -> Result<Ordered, OrderFault> {
        order.check(issuers).map_err(OrderFault::Mistake)?;
        // Whoever orders it believes that it holds. In the file such an entry is one that may be removed.
        if !order.is_needed(now) {
            return Err(OrderFault::Mistake(EntryMistake::Over));
        }
        let ordered = Ordered::new(order, by, now).map_err(OrderFault::Mistake)?;
        let mut lists = self.lists();
        let mut next: Vec<Ordered> =
            lists.ordered.iter().filter(|old| old.entry.is_needed(now)).cloned().collect();
        if next.len() >= ORDERED_MAX {
            return Err(OrderFault::Full);
        }
        next.push(ordered.clone());
        self.keep(&mut lists, next).map_err(OrderFault::Unwritten)?;
        Ok(ordered)
    }

    /// Takes the order `id` back, as `by` orders; nothing if there is none. Blocks on files.
    ///
    /// # Errors
    /// See [`OrderFault`]: then nothing has changed.
    pub fn lift(&self, id: &str, by: &str) -> Result<Option<Ordered>, OrderFault> {
        if !entry::is_text(by) {
            return Err(OrderFault::Mistake(EntryMistake::Text));
        }
        let mut lists = self.lists();
        let Some(lifted) = lists.ordered.iter().find(|ordered| ordered.id == id).cloned() else {
            return Ok(None);
        };
        let next = lists.ordered.iter().filter(|ordered| ordered.id != id).cloned().collect();
        self.keep(&mut lists, next).map_err(OrderFault::Unwritten)?;
        Ok(Some(lifted))
    }

    /// On disk first: what holds now holds after a restart.
    fn keep(&self, lists: &mut Lists, next: Vec<Ordered>) -> Result<(), StateFault> {
        if let Some(state) = &lists.state {
            state::write(state, &next)?;
        }
        lists.ordered = next;
        self.index.store(lists.index().into());
        Ok(())
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        // Each change is whole before the lock is given back.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn index(&self) -> Index {
        Index::new(self.written.iter().flatten().chain(self.ordered.iter().map(|ordered| &ordered.entry)))
    }
}

/// What `policies/revocations.yaml` may say.
#[must_use]
pub fn schema() -> serde_json::Value {
    entry::schema()
}

/// The name of the file in the folder of the policies.
pub const FILE: &str = "revocations.yaml";
/// A wave of stolen tokens; more is what an issuer's new key or an entry of a client is for.
const ORDERED_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
