//! When is a record on the disk, and when may a tree be signed?
//!
//! The second thread of the log: it syncs while the first goes on writing, so that a slow disk delays
//! only those who asked for the disk. A checkpoint is signed when all it covers is on the disk, so
//! that no power cut can take away what was signed; where the key is elsewhere, another thread waits for it.
//! It knows files and trees, not records.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::checkpoint::SigningKey;
use super::error::AuditError;
use super::journal::Due;
use super::keeper::Keeper;
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

/// How the thread gets a tree signed that is on the disk.
#[derive(Debug)]
pub(super) enum Sign {
    /// By itself, at once.
    Here(SigningKey),
    /// By the thread that waits for a key elsewhere.
    Elsewhere(Sender<Due>),
}

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Syncer {
    pub(super) keeper: Keeper,
    pub(super) sign: Sign,
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
        let synced =
            files.iter().try_for_each(|file| self.keeper.disk().sync(file)).map_err(AuditError::from);
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
            match &self.sign {
                Sign::Here(key) => {
                    let checkpoint = key.sign(due.size, due.root);
                    self.keeper.keep(&checkpoint, due.first)?;
                    self.published.signed(checkpoint, now);
                }
                Sign::Elsewhere(notary) => {
                    if notary.send(due.clone()).is_err() {
                        tracing::error!("the signing thread of the audit log has ended");
                    }
                }
            }
            self.unsigned.remove(0);
        }
        Ok(())
    }
}

/// How long a failed sync or checkpoint waits for its next attempt when nothing else comes up.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Checkpoint;
    use crate::audit::disk::{self, Disk};
    use crate::audit::samples;
    use crate::audit::segment::{Notes, Part};
    use crate::audit::state::Health;
    use crate::audit::tree::{Frontier, Hash};
    use std::path::Path;

    fn syncer(directory: &Path, disk: &Disk) -> Syncer {
        Syncer {
            keeper: Keeper::new(directory, disk.clone()).unwrap(),
            sign: Sign::Here(samples::key()),
            published: Arc::new(Published::new(Frontier::default(), None)),
            unsigned: Vec::new(),
        }
    }

    fn lines(directory: &Path, first: u64) -> Arc<File> {
        Arc::new(disk::open_to_append(&Part::Lines.path(directory, first)).unwrap())
    }

    fn due(lines: &Arc<File>, first: u64, size: u64) -> Due {
        Due { size, root: Hash::leaf(&size.to_be_bytes()), first, lines: Arc::clone(lines) }
    }

    fn sizes(directory: &Path, first: u64) -> Vec<u64> {
        let keys = [samples::key().verifier().clone()];
        let notes = Notes::read(directory, first).unwrap().notes;
        notes.iter().map(|(_, note)| Checkpoint::open(note, &keys).unwrap().size()).collect()
    }

    #[test]
    fn all_who_wait_share_one_sync_and_each_learns_its_index() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let lines = lines(directory.path(), 0);
        let (replies, answers): (Vec<Reply>, Vec<_>) = (0..6).map(|_| oneshot::channel()).unzip();
        let jobs = replies.into_iter().zip(10..).map(|waiting| Job {
            lines: Arc::clone(&lines),
            durable: vec![waiting],
            due: Vec::new(),
        });
        syncer(directory.path(), &disk).work(jobs.collect(), samples::time(0));
        assert_eq!(disk.syncs(), 1);
        let told: Vec<u64> =
            answers.into_iter().map(|mut answer| answer.try_recv().unwrap().unwrap()).collect();
        assert_eq!(told, [10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn a_checkpoint_is_kept_with_the_segment_of_its_last_entry() {
        let directory = tempfile::tempdir().unwrap();
        let (old, new) = (lines(directory.path(), 0), lines(directory.path(), 8));
        let due = vec![due(&old, 0, 4), due(&old, 0, 8), due(&new, 8, 12)];
        let mut syncer = syncer(directory.path(), &Disk::default());
        syncer.work(vec![Job { lines: new, durable: Vec::new(), due }], samples::time(5));
        assert_eq!((sizes(directory.path(), 0), sizes(directory.path(), 8)), (vec![4, 8], vec![12]));
        let state = syncer.published.state(0);
        assert_eq!((state.checkpoint.unwrap().size(), state.signed_at), (12, Some(samples::time(5))));
    }

    #[test]
    fn what_could_not_be_synced_is_not_signed_and_nobody_is_told_it_is_durable() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let lines = lines(directory.path(), 0);
        let mut syncer = syncer(directory.path(), &disk);
        let (reply, mut answer) = oneshot::channel();
        disk.fail_syncs();
        let due = vec![due(&lines, 0, 4), due(&lines, 0, 8)];
        syncer.work(vec![Job { lines, durable: vec![(reply, 3)], due }], samples::time(0));
        assert_eq!(answer.try_recv().unwrap(), Err(Failure::Disk));
        assert!(sizes(directory.path(), 0).is_empty());
        assert_eq!(syncer.published.state(0).health, Health::Failing(Failure::Disk));
        disk.repair();
        syncer.work(Vec::new(), samples::time(1));
        assert_eq!(sizes(directory.path(), 0), [4, 8]);
        assert_eq!(syncer.published.state(0).health, Health::Healthy);
    }

    #[test]
    fn a_checkpoint_for_which_there_is_no_room_leaves_no_part_and_is_tried_again() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let lines = lines(directory.path(), 0);
        let mut syncer = syncer(directory.path(), &disk);
        let due = vec![due(&lines, 0, 4), due(&lines, 0, 8)];
        // Room for the first and a part of the second.
        disk.leave_room(300);
        syncer.work(vec![Job { lines, durable: Vec::new(), due }], samples::time(0));
        assert_eq!(syncer.published.state(0).health, Health::Failing(Failure::Full));
        let path = Part::Checkpoints.path(directory.path(), 0);
        let whole = Notes::read(directory.path(), 0).unwrap().whole_bytes;
        assert_eq!(std::fs::metadata(&path).unwrap().len(), whole);
        disk.repair();
        syncer.work(Vec::new(), samples::time(1));
        assert_eq!(sizes(directory.path(), 0), [4, 8]);
    }
}
