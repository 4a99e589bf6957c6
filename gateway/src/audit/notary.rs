//! What becomes of a checkpoint whose key is elsewhere and does not answer? It waits; the log does not.
//!
//! The third thread of a log whose key is elsewhere. It signs in order what is on the disk already, so that
//! neither records nor those who wait for the disk ever wait for a signature. What is not signed when the process
//! ends becomes due again when the log is opened.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use jiff::Timestamp;

use super::journal::Due;
use super::keeper::Keeper;
use super::signer::Elsewhere;
use super::state::{Failure, Published};

/// The state of the thread.
#[derive(Debug)]
pub(super) struct Notary {
    pub(super) signer: Elsewhere,
    pub(super) keeper: Keeper,
    pub(super) published: Arc<Published>,
    pub(super) waiting: VecDeque<Due>,
}

impl Notary {
    /// Works until nobody can ask any more; then tries once more what is left.
    pub(super) fn run(mut self, asked: &Receiver<Due>) {
        loop {
            let retry = if self.waiting.is_empty() { Duration::MAX } else { RETRY };
            match asked.recv_timeout(retry) {
                Ok(due) => self.waiting.push_back(due),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.waiting.extend(asked.try_iter());
            self.work(Timestamp::now());
        }
        if !self.waiting.is_empty() {
            self.work(Timestamp::now());
        }
    }

    fn work(&mut self, now: Timestamp) {
        let mut fault = None;
        while let Some(due) = self.waiting.front() {
            match self.sign(due) {
                Ok(checkpoint) => self.published.signed(checkpoint, now),
                Err(reason) => {
                    fault = Some(reason);
                    break;
                }
            }
            self.waiting.pop_front();
        }
        if self.published.waits_for_signatures(self.waiting.len(), fault, now) {
            match fault {
                Some(reason) => tracing::warn!(
                    reason,
                    "checkpoints of the audit log cannot be signed; records are written, and signed when that is possible"
                ),
                None => tracing::info!("checkpoints of the audit log are signed again"),
            }
        }
    }

    fn sign(&self, due: &Due) -> Result<super::checkpoint::Checkpoint, &'static str> {
        let checkpoint = self.signer.sign(due.size, due.root)?;
        match self.keeper.keep(&checkpoint, due.first) {
            Ok(()) => Ok(checkpoint),
            Err(error) => Err(match Failure::from(&error) {
                Failure::Full => "audit-disk-full",
                Failure::Disk | Failure::Slow => "audit-disk",
                Failure::Altered => "audit-altered",
            }),
        }
    }
}

/// How long a checkpoint that could not be signed waits for its next attempt when nothing else comes up.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::disk::{self, Disk};
    use crate::audit::samples;
    use crate::audit::segment::{Notes, Part};
    use crate::audit::state::Signing;
    use crate::audit::tree::{Frontier, Hash};
    use crate::audit::{Checkpoint, SigningKey};
    use std::path::Path;
    use std::sync::Mutex;

    /// A key elsewhere that fails by the reason in the cell.
    fn elsewhere(key: &SigningKey, fault: &Arc<Mutex<Option<&'static str>>>) -> Elsewhere {
        let (signer, key, fault) = (Elsewhere::new(key.verifier().clone()), key.clone(), Arc::clone(fault));
        signer.connect(Box::new(move |message| match *fault.lock().unwrap() {
            Some(reason) => Err(reason),
            None => Ok(key.sign_bytes(message)),
        }));
        signer
    }

    fn sizes(directory: &Path) -> Vec<u64> {
        let keys = [samples::key().verifier().clone()];
        let notes = Notes::read(directory, 0).unwrap().notes;
        notes.iter().map(|(_, note)| Checkpoint::open(note, &keys).unwrap().size()).collect()
    }

    #[test]
    fn what_cannot_be_signed_waits_and_is_signed_in_order_later() {
        let directory = tempfile::tempdir().unwrap();
        let lines = Arc::new(disk::open_to_append(&Part::Lines.path(directory.path(), 0)).unwrap());
        let fault = Arc::new(Mutex::new(Some("vault-sealed")));
        let disk = Disk::default();
        let mut notary = Notary {
            signer: elsewhere(&samples::key(), &fault),
            keeper: Keeper::new(directory.path(), disk.clone()).unwrap(),
            published: Arc::new(Published::new(Frontier::default(), None)),
            waiting: VecDeque::new(),
        };
        let due = |size: u64| Due { size, root: Hash::leaf(&[7]), first: 0, lines: Arc::clone(&lines) };
        notary.waiting.extend([due(4), due(8)]);
        notary.work(samples::time(0));
        notary.waiting.push_back(due(12));
        notary.work(samples::time(1));
        let told = |notary: &Notary| notary.published.state(0).signing;
        let sealed = Signing { waiting: 3, fault: Some(("vault-sealed", samples::time(0))) };
        assert_eq!((told(&notary), sizes(directory.path())), (sealed, vec![]));

        *fault.lock().unwrap() = None;
        disk.leave_room(300);
        notary.work(samples::time(2));
        let full = Signing { waiting: 2, fault: Some(("audit-disk-full", samples::time(2))) };
        assert_eq!((told(&notary), sizes(directory.path())), (full, vec![4]));

        disk.repair();
        notary.work(samples::time(3));
        assert_eq!((told(&notary), sizes(directory.path())), (Signing::default(), vec![4, 8, 12]));
        assert_eq!(notary.published.state(0).signed_at, Some(samples::time(3)));
    }
}
