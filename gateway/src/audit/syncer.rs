//! When is a record on the disk, and when may a tree be signed?
//!
//! The second thread of the log: it syncs while the first goes on writing, so that a slow disk delays
//! only those who asked for the disk. A checkpoint is signed when all it covers is on the disk, so
//! that no power cut can take away what was signed. It knows files and trees, not records.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::checkpoint::{Checkpoint, SigningKey};
use super::disk::{self, Disk};
use super::error::AuditError;
use super::journal::Due;
use super::segment::Part;
use super::state::{Failure, Published};

/// The way back to a request that waits for its record.
pub(super) type Reply = oneshot::Sender<Result<u64, Failure>>;

/// Tells a request what became of its record.
pub(super) fn answer(reply: Reply, result: Result<u64, Failure>) {
    if reply.send(result).is_err() {
        tracing::debug!("nobody waits for the record any more");
    }
}

/// What is to be brought to the disk.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) lines: Arc<File>,
    /// Who waits for an entry, and the entry's index.
    pub(super) durable: Vec<(Reply, u64)>,
    pub(super) due: Vec<Due>,
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Syncer {
    pub(super) directory: PathBuf,
    pub(super) disk: Disk,
    /// A handle of its own: a lock belongs to a handle, and the writing thread has another.
    pub(super) lock: File,
    pub(super) key: SigningKey,
    pub(super) published: Arc<Published>,
    pub(super) unsigned: Vec<Due>,
}

impl Syncer {
    /// Works until nobody can send jobs any more.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        loop {
            let retry = if self.unsigned.is_empty() { Duration::MAX } else { RETRY };
            let first = match jobs.recv_timeout(retry) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // All that came up during the last sync shares the next one.
            self.work(first.into_iter().chain(jobs.try_iter()).collect(), Timestamp::now());
        }
        if !self.unsigned.is_empty() {
            self.work(Vec::new(), Timestamp::now());
        }
    }

    fn work(&mut self, jobs: Vec<Job>, now: Timestamp) {
        let mut files: Vec<Arc<File>> = Vec::new();
        let mut waiting = Vec::new();
        for job in jobs {
            if !job.durable.is_empty() {
                files.push(job.lines);
            }
            waiting.extend(job.durable);
            self.unsigned.extend(job.due);
        }
        files.extend(self.unsigned.iter().map(|due| Arc::clone(&due.lines)));
        files.dedup_by(|a, b| Arc::ptr_eq(a, b));
        let synced = files.iter().try_for_each(|file| self.disk.sync(file)).map_err(AuditError::from);
        let failure = synced.as_ref().err().map(Failure::from);
        for (reply, index) in waiting {
            answer(reply, failure.map_or(Ok(index), Err));
        }
        match synced.and_then(|()| self.sign_all(now)) {
            Ok(()) => self.published.synced(),
            Err(error) => {
                let source: &dyn std::error::Error = &error;
                tracing::error!(error = source, "the audit log cannot be synced or signed");
                self.published.failed_to_sync(Failure::from(&error));
            }
        }
    }

    fn sign_all(&mut self, now: Timestamp) -> Result<(), AuditError> {
        while let Some(due) = self.unsigned.first() {
            let checkpoint = self.key.sign(due.size, due.root);
            self.keep(&checkpoint, due.first)?;
            self.published.signed(checkpoint, now);
            self.unsigned.remove(0);
        }
        Ok(())
    }

    fn keep(&self, checkpoint: &Checkpoint, first: u64) -> Result<(), AuditError> {
        let file = disk::open_to_append(&Part::Checkpoints.path(&self.directory, first))?;
        let note = format!("{}\n", checkpoint.note());
        self.lock.lock()?;
        let before = file.metadata()?.len();
        let written = self.disk.append(&file, note.as_bytes()).or_else(|error| {
            file.set_len(before)?;
            Err(error)
        });
        self.lock.unlock()?;
        written?;
        self.disk.sync(&file)?;
        Ok(())
    }
}

/// How long a failed sync or checkpoint waits for its next attempt when nothing else comes up.
const RETRY: Duration = Duration::from_secs(1);
