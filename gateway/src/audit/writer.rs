//! What does the thread that writes do, one batch after the other?
//!
//! It takes whatever has come up, has it written in one go, answers who waits for that, and hands who
//! waits for the disk to the syncing thread. It knows lines, not records.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::error::AuditError;
use super::journal::Journal;
use super::pace::Pace;
use super::state::{Failure, Published};
use super::syncer::{Job, Reply, answer};

/// What the thread is told.
pub(super) enum Message {
    Entry(Entry),
    Close,
}

/// A record to be written.
pub(super) struct Entry {
    pub(super) line: Vec<u8>,
    pub(super) wish: Wish,
    /// Gives its place in the queue back when the entry is done with.
    pub(super) _place: OwnedSemaphorePermit,
}

/// What a request waits for.
pub(super) enum Wish {
    WhenWritten(Reply),
    WhenSynced(Reply),
    Nothing,
}

/// The thread that writes.
pub(super) struct Writer {
    journal: Journal,
    jobs: Sender<Job>,
    published: Arc<Published>,
    checkpoint_interval: Duration,
    checkpoint_asked: Instant,
    pace: Pace,
    waiting: VecDeque<Entry>,
}

/// Whether there may be more to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inbox {
    Open,
    Closed,
}

impl Writer {
    pub(super) fn new(
        journal: Journal,
        jobs: Sender<Job>,
        published: Arc<Published>,
        checkpoint_interval: Duration,
        now: Instant,
    ) -> Self {
        let waiting = VecDeque::new();
        let pace = Pace::new(now);
        Self { journal, jobs, published, checkpoint_interval, checkpoint_asked: now, pace, waiting }
    }

    /// Writes until it is told to end; returns how many queued records could not be written.
    pub(super) fn run(mut self, inbox: &Receiver<Message>) -> usize {
        let mut state = Inbox::Open;
        loop {
            if state == Inbox::Open {
                state = self.collect(inbox);
            }
            let written = self.write_some(Timestamp::now());
            if state == Inbox::Closed && (self.waiting.is_empty() || written.is_err()) {
                break;
            }
            self.ask_for_checkpoint(Instant::now());
        }
        self.journal.ask_for_checkpoint();
        self.send_job(Vec::new());
        self.waiting.len()
    }

    /// Waits for records, and takes all that have come up.
    fn collect(&mut self, inbox: &Receiver<Message>) -> Inbox {
        let patience =
            if self.waiting.is_empty() || self.published.is_failing() { TICK } else { Duration::ZERO };
        match inbox.recv_timeout(patience) {
            Ok(Message::Entry(entry)) => {
                self.waiting.push_back(entry);
                std::thread::sleep(self.pace.pause(Instant::now()));
            }
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                let rest = inbox.try_iter();
                self.waiting.extend(rest.filter_map(Message::into_entry));
                return Inbox::Closed;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        while self.waiting.len() < BATCH_RECORDS_MAX {
            match inbox.try_recv() {
                Ok(Message::Entry(entry)) => self.waiting.push_back(entry),
                Ok(Message::Close) => return Inbox::Closed,
                Err(_none) => break,
            }
        }
        Inbox::Open
    }

    fn write_some(&mut self, now: Timestamp) -> Result<(), Failure> {
        let batch = self.waiting.len().min(BATCH_RECORDS_MAX);
        if batch == 0 {
            return self.probe_if_failing();
        }
        self.pace.note(batch, Instant::now());
        let batch: Vec<Entry> = self.waiting.drain(..batch).collect();
        match self.journal.commit(batch.iter().map(|entry| entry.line.as_slice()), now) {
            Ok(first) => {
                self.published.grown(self.journal.tree());
                let durable =
                    (first..).zip(batch).filter_map(|(index, entry)| entry.written(index)).collect();
                self.send_job(durable);
                Ok(())
            }
            Err(error) => {
                let failure = self.tell(&error);
                let kept: Vec<Entry> = batch.into_iter().filter_map(|entry| entry.failed(failure)).collect();
                // In the order in which they came.
                kept.into_iter().rev().for_each(|entry| self.waiting.push_front(entry));
                Err(failure)
            }
        }
    }

    /// Without records there is nothing whose success would tell that the disk works again.
    fn probe_if_failing(&mut self) -> Result<(), Failure> {
        if !self.published.is_failing() {
            return Ok(());
        }
        match self.journal.probe() {
            Ok(()) => {
                self.published.mended();
                Ok(())
            }
            Err(error) => Err(self.tell(&error)),
        }
    }

    fn tell(&self, error: &AuditError) -> Failure {
        let failure = Failure::from(error);
        if !self.published.is_failing() {
            let source: &dyn std::error::Error = error;
            tracing::error!(error = source, "the audit log cannot be written");
        }
        self.published.failed_to_write(failure);
        failure
    }

    fn ask_for_checkpoint(&mut self, now: Instant) {
        if now.duration_since(self.checkpoint_asked) >= self.checkpoint_interval {
            self.checkpoint_asked = now;
            self.journal.ask_for_checkpoint();
            self.send_job(Vec::new());
        }
    }

    fn send_job(&mut self, durable: Vec<(Reply, u64)>) {
        let due = self.journal.take_due();
        if let Some(lines) = self.journal.lines()
            && !(durable.is_empty() && due.is_empty())
        {
            // The other thread ends after this one. Had it panicked, who waits gets no answer: refused.
            drop(self.jobs.send(Job { lines: Arc::clone(lines), durable, due }));
        }
    }
}

impl Message {
    fn into_entry(self) -> Option<Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Close => None,
        }
    }
}

impl Entry {
    /// Answers who waits for the write; returns who waits for the disk. Who left needs no answer.
    fn written(self, index: u64) -> Option<(Reply, u64)> {
        match self.wish {
            Wish::WhenWritten(reply) => {
                answer(reply, Ok(index));
                None
            }
            Wish::WhenSynced(reply) => Some((reply, index)),
            Wish::Nothing => None,
        }
    }

    /// Answers who waits; returns a queued record, which is tried again.
    fn failed(self, failure: Failure) -> Option<Self> {
        match self.wish {
            Wish::WhenWritten(reply) | Wish::WhenSynced(reply) => {
                answer(reply, Err(failure));
                None
            }
            Wish::Nothing => Some(self),
        }
    }
}

/// How many records share a write, so that nobody holds the lock of the directory for long.
const BATCH_RECORDS_MAX: usize = 256;
/// How often an idle log looks after checkpoints and probes a failed disk.
const TICK: Duration = Duration::from_millis(250);
