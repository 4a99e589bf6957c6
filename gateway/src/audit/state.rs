//! How is the log doing, as far as those who do not write it may know?

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::checkpoint::Checkpoint;
use super::error::AuditError;
use super::log::Strength;
use super::tree::{Frontier, Hash};

/// The log at one moment.
#[derive(Debug, Clone)]
pub struct LogState {
    /// How many entries it has: records, and one header for each segment.
    pub size: u64,
    /// The hash of the tree over them.
    pub root: Hash,
    /// The last checkpoint this process signed, or found signed by its key.
    pub checkpoint: Option<Checkpoint>,
    /// When this process signed it.
    pub signed_at: Option<Timestamp>,
    /// Whether the last attempts to write and to sync succeeded.
    pub health: Health,
    /// How many records wait to be written.
    pub queue_depth: usize,
    /// Whether checkpoints wait for a signature of a key elsewhere.
    pub signing: Signing,
}

/// Checkpoints that wait for a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signing {
    /// How many.
    pub waiting: usize,
    /// Why the oldest could not be signed, by a stable code, and since when that is so.
    pub fault: Option<(&'static str, Timestamp)>,
}

/// Whether records can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// The last attempt succeeded.
    Healthy,
    /// The last attempt failed. The next success ends this, be it a record or a probe.
    Failing(Failure),
}

impl Health {
    const fn failure(self) -> Option<Failure> {
        match self {
            Self::Healthy => None,
            Self::Failing(failure) => Some(failure),
        }
    }
}

/// Why a record could not be written or synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// The disk failed otherwise.
    #[error("the disk fails")]
    Disk,
    /// The files are not what this process wrote.
    #[error("the files of the log were altered")]
    Altered,
    /// No answer in time.
    #[error("the disk does not answer in time")]
    Slow,
}

impl From<&AuditError> for Failure {
    fn from(error: &AuditError) -> Self {
        match error {
            AuditError::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
                _ => Self::Disk,
            },
            AuditError::Exposed
            | AuditError::OtherLog { .. }
            | AuditError::Disagrees { .. }
            | AuditError::Missing { .. }
            | AuditError::Shortened
            | AuditError::Form { .. }
            | AuditError::NotCovered { .. } => Self::Altered,
        }
    }
}

/// What the threads of the log tell.
#[derive(Debug)]
pub(super) struct Published(Mutex<Told>);

#[derive(Debug)]
struct Told {
    tree: Frontier,
    checkpoint: Option<Checkpoint>,
    signed_at: Option<Timestamp>,
    writing: Health,
    syncing: Health,
    signing: Signing,
}

impl Published {
    pub(super) fn new(tree: Frontier, checkpoint: Option<Checkpoint>) -> Self {
        let (writing, syncing) = (Health::Healthy, Health::Healthy);
        let signing = Signing::default();
        Self(Mutex::new(Told { tree, checkpoint, signed_at: None, writing, syncing, signing }))
    }

    /// Tells that the log has grown.
    pub(super) fn grown(&self, tree: &Frontier) {
        let mut told = self.told();
        told.tree.clone_from(tree);
        told.writing = Health::Healthy;
    }

    /// Tells that a checkpoint was signed and is on the disk.
    pub(super) fn signed(&self, checkpoint: Checkpoint, now: Timestamp) {
        let mut told = self.told();
        told.checkpoint = Some(checkpoint);
        told.signed_at = Some(now);
    }

    /// Tells how many checkpoints wait for a signature, and why. Whether that began, ended or changed.
    pub(super) fn waits_for_signatures(
        &self,
        waiting: usize,
        fault: Option<&'static str>,
        now: Timestamp,
    ) -> bool {
        let mut told = self.told();
        let before = told.signing.fault;
        let same = before.map(|(reason, _)| reason) == fault;
        let fault = if same { before } else { fault.map(|reason| (reason, now)) };
        told.signing = Signing { waiting, fault };
        !same
    }

    /// Tells that a write failed.
    pub(super) fn failed_to_write(&self, failure: Failure) {
        self.told().writing = Health::Failing(failure);
    }

    /// Tells that a sync or a checkpoint failed.
    pub(super) fn failed_to_sync(&self, failure: Failure) {
        self.told().syncing = Health::Failing(failure);
    }

    /// Tells that a sync succeeded.
    pub(super) fn synced(&self) {
        self.told().syncing = Health::Healthy;
    }

    /// Tells that a probe was written and synced.
    pub(super) fn mended(&self) {
        let mut told = self.told();
        (told.writing, told.syncing) = (Health::Healthy, Health::Healthy);
    }

    /// Whether the last attempt to write or to sync failed.
    pub(super) fn is_failing(&self) -> bool {
        let told = self.told();
        (told.writing, told.syncing) != (Health::Healthy, Health::Healthy)
    }

    /// Why a record would not get this strength, going by the last attempt.
    pub(super) fn refuses(&self, strength: Strength) -> Option<Failure> {
        let told = self.told();
        let (writing, syncing) = (told.writing.failure(), told.syncing.failure());
        match strength {
            Strength::Written => writing,
            Strength::Durable => writing.or(syncing),
            // It waits in the queue until the disk works again.
            Strength::Queued => None,
        }
    }

    pub(super) fn state(&self, queue_depth: usize) -> LogState {
        let told = self.told();
        LogState {
            size: told.tree.size(),
            root: told.tree.root(),
            checkpoint: told.checkpoint.clone(),
            signed_at: told.signed_at,
            health: match told.writing {
                Health::Healthy => told.syncing,
                Health::Failing(_) => told.writing,
            },
            queue_depth,
            signing: told.signing,
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Each change above is whole before the lock is released, so a poisoned one is in order too.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::samples;

    #[test]
    fn each_failure_is_told_until_the_like_of_it_succeeds() {
        let published = Published::new(Frontier::default(), None);
        let health = || published.state(0).health;
        assert_eq!(health(), Health::Healthy);
        published.failed_to_sync(Failure::Disk);
        published.grown(&Frontier::default());
        // A write that succeeds says nothing about syncs.
        assert_eq!(health(), Health::Failing(Failure::Disk));
        published.failed_to_write(Failure::Full);
        assert_eq!(health(), Health::Failing(Failure::Full));
        published.synced();
        assert_eq!(health(), Health::Failing(Failure::Full));
        published.grown(&Frontier::default());
        assert_eq!(health(), Health::Healthy);
        published.failed_to_sync(Failure::Disk);
        published.failed_to_write(Failure::Slow);
        assert!(published.is_failing());
        // A probe writes and syncs.
        published.mended();
        assert!(!published.is_failing());
    }

    #[test]
    fn the_state_tells_the_newest_tree_and_checkpoint() {
        let mut tree = Frontier::default();
        let published = Published::new(tree.clone(), None);
        tree.push(Hash::leaf(b"x"));
        published.grown(&tree);
        let checkpoint = samples::key().sign(tree.size(), tree.root());
        published.signed(checkpoint.clone(), samples::time(3));
        let state = published.state(7);
        assert_eq!((state.size, state.root, state.queue_depth), (1, tree.root(), 7));
        assert_eq!((state.checkpoint, state.signed_at), (Some(checkpoint), Some(samples::time(3))));
    }

    #[test]
    fn the_reason_of_a_failure_is_told_apart() {
        let check = |error: AuditError, expected: Failure| assert_eq!(Failure::from(&error), expected);
        check(AuditError::Io(io::ErrorKind::StorageFull.into()), Failure::Full);
        check(AuditError::Io(io::ErrorKind::QuotaExceeded.into()), Failure::Full);
        check(AuditError::Io(io::Error::other("x")), Failure::Disk);
        check(AuditError::Io(io::ErrorKind::ReadOnlyFilesystem.into()), Failure::Disk);
        check(AuditError::Shortened, Failure::Altered);
        check(AuditError::Disagrees { size: 3 }, Failure::Altered);
    }
}
