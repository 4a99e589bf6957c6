//! How does a request get its record written, and what does it wait for?
//!
//! Requests hand lines to one thread that writes whatever has come up in one go: a single record does not
//! wait for others, and under load many share one write. It knows records as lines only.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, TryAcquireError, oneshot};

use super::checkpoint::Checkpoint;
use super::disk::Disk;
use super::error::AuditError;
use super::journal::{Due, Journal, Recovery};
use super::keeper::Keeper;
use super::notary::Notary;
use super::record::Record;
use super::segment::{self, LINE_BYTES_MAX, Notes};
use super::signer::Signer;
use super::state::{Failure, LogState, Published};
use super::syncer::{Sign, Syncer};
use super::tail::Shape;
use super::writer::{Entry, Message, Wish, Writer};

/// What has to be true of a record before its answer may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strength {
    /// It is with the operating system: killing the process loses nothing.
    #[default]
    Written,
    /// It is on the disk: cutting the power loses nothing.
    Durable,
    /// It has a place in the queue, and will be tried until it is written or the process ends.
    Queued,
}

/// Where and how a log is written.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// The log's own directory, on a local disk.
    pub directory: PathBuf,
    /// What signs the checkpoints, with the name of the log.
    pub signer: Signer,
    /// When a segment has this many bytes the next one is begun.
    pub segment_bytes_max: u64,
    /// When a segment is this old the next one is begun.
    pub segment_age_max: Duration,
    /// How many entries a checkpoint covers at most.
    pub checkpoint_every: NonZeroU64,
    /// How long an entry waits for its checkpoint at most.
    pub checkpoint_interval: Duration,
    /// How many records may wait to be written; more are refused.
    pub queue_max: usize,
    /// How long a request waits for its record to be written before it is refused.
    pub write_timeout: Duration,
}

impl LogSettings {
    /// A log in `directory` with the defaults of this room.
    #[must_use]
    pub fn new(directory: PathBuf, signer: impl Into<Signer>) -> Self {
        Self {
            directory,
            signer: signer.into(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            segment_age_max: SEGMENT_AGE_MAX,
            checkpoint_every: CHECKPOINT_EVERY,
            checkpoint_interval: CHECKPOINT_INTERVAL,
            queue_max: QUEUE_MAX,
            write_timeout: WRITE_TIMEOUT,
        }
    }
}

/// The log, open to be written. One for a process; requests share it.
#[derive(Debug)]
pub struct Log {
    inbox: Sender<Message>,
    places: Arc<Semaphore>,
    places_max: usize,
    write_timeout: Duration,
    published: Arc<Published>,
    threads: Mutex<Option<Threads>>,
}

/// What was written, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The entry's index in the log; a queued record has none yet.
    pub index: Option<u64>,
}

/// Why a record does not have the strength that was asked for. It may stand in the log nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// As many records as may wait are waiting.
    #[error("too many records wait to be written")]
    QueueFull,
    /// The record is longer than a line may be.
    #[error("the record is too long")]
    TooLong,
    /// The disk said no, or nothing.
    #[error("the record could not be written")]
    Failed(#[source] Failure),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Records that were accepted as queued and never written. Their requests were answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} queued records could not be written before the end")]
pub struct Lost(pub usize);

impl Log {
    /// Opens the log in a directory, or begins one there. Reads the last segment.
    ///
    /// # Errors
    /// The directory cannot be used, belongs to another log, or lacks what was signed.
    pub fn open(settings: LogSettings) -> Result<(Self, Recovery), AuditError> {
        Self::open_on(settings, Disk::default())
    }

    fn open_on(settings: LogSettings, disk: Disk) -> Result<(Self, Recovery), AuditError> {
        let shape = Shape {
            directory: settings.directory.clone(),
            origin: settings.signer.origin().to_owned(),
            segment_bytes_max: settings.segment_bytes_max,
            segment_age_max: settings.segment_age_max,
            checkpoint_every: settings.checkpoint_every,
        };
        let journal = Journal::open(shape, disk.clone())?;
        let recovery = journal.recovery().clone();
        let last = last_checkpoint(&settings)?;
        let published = Arc::new(Published::new(journal.tree().clone(), last));
        let (jobs, jobs_of_syncer) = mpsc::channel();
        let (sign, notary) = signing(settings.signer, &settings.directory, &disk, &published)?;
        let keeper = Keeper::new(&settings.directory, disk)?;
        let syncer = Syncer { keeper, sign, published: Arc::clone(&published), unsigned: Vec::new() };
        let (inbox, inbox_of_writer) = mpsc::channel();
        let interval = settings.checkpoint_interval;
        let writer = Writer::new(journal, jobs, Arc::clone(&published), interval, Instant::now());
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let notary = notary.map(|(notary, asked)| spawn("audit-sign").spawn(move || notary.run(&asked)));
        let threads = Threads {
            notary: notary.transpose()?,
            syncer: spawn("audit-sync").spawn(move || syncer.run(&jobs_of_syncer))?,
            writer: spawn("audit-write").spawn(move || writer.run(&inbox_of_writer))?,
        };
        let places_max = settings.queue_max.min(Semaphore::MAX_PERMITS);
        let log = Self {
            inbox,
            places: Arc::new(Semaphore::new(places_max)),
            places_max,
            write_timeout: settings.write_timeout,
            published,
            threads: Mutex::new(Some(threads)),
        };
        Ok((log, recovery))
    }

    /// Writes a record, and returns when it has the strength asked for. Once polled, the record is on
    /// its way even if nobody waits any longer. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// The record does not have that strength: the request must be refused.
    pub async fn append(&self, record: &Record, strength: Strength) -> Result<Receipt, NotRecorded> {
        // Texts and numbers always become JSON, so what fails here is as good as too long.
        let line = serde_json::to_vec(record).map_err(|_unwritable| NotRecorded::TooLong)?;
        if line.len() > LINE_BYTES_MAX {
            return Err(NotRecorded::TooLong);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|refusal| match refusal {
            TryAcquireError::NoPermits => NotRecorded::QueueFull,
            TryAcquireError::Closed => NotRecorded::Closed,
        })?;
        let (wish, answer) = match strength {
            Strength::Queued => (Wish::Nothing, None),
            Strength::Written => {
                let (reply, answer) = oneshot::channel();
                (Wish::WhenWritten(reply), Some(answer))
            }
            Strength::Durable => {
                let (reply, answer) = oneshot::channel();
                (Wish::WhenSynced(reply), Some(answer))
            }
        };
        let entry = Message::Entry(Entry { line, wish, _place: place });
        self.inbox.send(entry).map_err(|_ended| NotRecorded::Closed)?;
        let Some(answer) = answer else { return Ok(Receipt { index: None }) };
        match tokio::time::timeout(self.write_timeout, answer).await {
            Ok(Ok(Ok(index))) => Ok(Receipt { index: Some(index) }),
            Ok(Ok(Err(failure))) => Err(NotRecorded::Failed(failure)),
            Ok(Err(_ended)) => Err(NotRecorded::Closed),
            Err(_elapsed) => {
                self.published.failed_to_write(Failure::Slow);
                Err(NotRecorded::Failed(Failure::Slow))
            }
        }
    }

    /// Whether a record of this strength can be expected to be written, going by the last attempt: what
    /// could not be recorded should not be begun.
    ///
    /// # Errors
    /// It cannot; the log goes on trying, and tells by this when it works again.
    pub fn expects(&self, strength: Strength) -> Result<(), NotRecorded> {
        self.published.refuses(strength).map_or(Ok(()), |failure| Err(NotRecorded::Failed(failure)))
    }

    /// How the log is doing.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.published.state(self.places_max.saturating_sub(self.places.available_permits()))
    }

    /// Writes what waits, signs a last checkpoint, syncs, and ends the threads. Blocks. Records that
    /// come later are refused; to be called when no request is served any more. Dropping the log does the same.
    ///
    /// # Errors
    /// Queued records could not be written.
    pub fn close(&self) -> Result<(), Lost> {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Threads { writer, syncer, notary }) = threads else { return Ok(()) };
        self.places.close();
        // A writer that has ended already does not need to be told.
        drop(self.inbox.send(Message::Close));
        let lost = writer.join().unwrap_or(0);
        if syncer.join().is_err() {
            tracing::error!("the syncing thread of the audit log ended in a panic");
        }
        if notary.is_some_and(|notary| notary.join().is_err()) {
            tracing::error!("the signing thread of the audit log ended in a panic");
        }
        if lost == 0 { Ok(()) } else { Err(Lost(lost)) }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(lost) = self.close() {
            tracing::error!(error = %lost, "the audit log was closed with a failing disk");
        }
    }
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<usize>,
    syncer: JoinHandle<()>,
    /// Where the key is elsewhere.
    notary: Option<JoinHandle<()>>,
}

/// The thread that waits for a key elsewhere, before it is started, and what it is asked by.
type Waiting = (Notary, Receiver<Due>);

/// How the syncing thread gets signatures, and the thread that waits for a key elsewhere with what it is asked by.
fn signing(
    signer: Signer,
    directory: &Path,
    disk: &Disk,
    published: &Arc<Published>,
) -> Result<(Sign, Option<Waiting>), AuditError> {
    match signer {
        Signer::Here(key) => Ok((Sign::Here(key), None)),
        Signer::Elsewhere(signer) => {
            let (ask, asked) = mpsc::channel();
            let keeper = Keeper::new(directory, disk.clone())?;
            let published = Arc::clone(published);
            let notary = Notary { signer, keeper, published, waiting: VecDeque::new() };
            Ok((Sign::Elsewhere(ask), Some((notary, asked))))
        }
    }
}

/// The newest checkpoint in the directory that the log's own key signed.
fn last_checkpoint(settings: &LogSettings) -> Result<Option<Checkpoint>, AuditError> {
    let keys = std::slice::from_ref(settings.signer.verifier());
    for first in segment::list(&settings.directory)?.into_iter().rev() {
        let notes = Notes::read(&settings.directory, first)?.notes;
        let opened = notes.iter().filter_map(|(_, note)| Checkpoint::open(note, keys).ok());
        if let Some(newest) = opened.max_by_key(Checkpoint::size) {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

/// A segment is read whole when a log is opened (a fifth of a second), and is what one archives.
const SEGMENT_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// A day in a file is what people look for.
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How precisely a skilful change is located; a checkpoint costs one sync and 200 bytes.
const CHECKPOINT_EVERY: NonZeroU64 = NonZeroU64::MIN.saturating_add(1023);
/// How long the newest records may lack a signature.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(5);
/// A second of full load at some 700 bytes each; what waits longer should be refused.
const QUEUE_MAX: usize = 16 * 1024;
/// Far beyond any write that succeeds, and short enough to refuse while the client still listens.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use crate::audit::journal::lock_file;
    use crate::audit::samples::{self, record};
    use crate::audit::segment::Part;
    use crate::audit::state::Health;
    use std::future::Future;

    fn settings(directory: &Path) -> LogSettings {
        let mut settings = LogSettings::new(directory.to_owned(), samples::key());
        settings.checkpoint_every = NonZeroU64::new(8).unwrap();
        settings
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    fn lines(directory: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(Part::Lines.path(directory, 0)).unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    fn checkpoints(directory: &Path) -> Vec<Checkpoint> {
        let notes = Notes::read(directory, 0).unwrap().notes;
        let key = samples::key();
        let open = |note: &str| Checkpoint::open(note, std::slice::from_ref(key.verifier())).unwrap();
        notes.iter().map(|(_, note)| open(note)).collect()
    }

    /// Asks until it is so; a test that hangs fails by the limit of whoever runs it.
    fn wait_until(mut holds: impl FnMut() -> bool) {
        while !holds() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_written_record_stands_in_the_file_when_the_request_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let (log, recovery) = Log::open(settings(directory.path())).unwrap();
        assert_eq!(recovery, Recovery::default());
        for (n, strength) in [(0, Strength::Written), (1, Strength::Durable)] {
            let receipt = run(log.append(&record(n), strength)).unwrap();
            assert_eq!(receipt.index, Some(n + 1));
            let line = lines(directory.path()).remove(n as usize);
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record(n));
        }
        let state = log.state();
        assert_eq!((state.size, state.health), (3, Health::Healthy));
        wait_until(|| log.state().queue_depth == 0);
    }

    #[test]
    fn closing_writes_what_is_queued_and_signs_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(settings(directory.path())).unwrap();
        for n in 0..20 {
            assert_eq!(run(log.append(&record(n), Strength::Queued)).unwrap(), Receipt { index: None });
        }
        log.close().unwrap();
        let expected: Vec<String> = (0..20).map(|n| serde_json::to_string(&record(n)).unwrap()).collect();
        assert_eq!(lines(directory.path()), expected);
        let sizes: Vec<u64> = checkpoints(directory.path()).iter().map(Checkpoint::size).collect();
        assert_eq!(sizes, [8, 16, 21]);
        let state = log.state();
        assert_eq!(state.checkpoint.unwrap().root(), state.root);
        assert!(state.signed_at.is_some());
        for strength in [Strength::Written, Strength::Durable, Strength::Queued] {
            assert_eq!(run(log.append(&record(0), strength)), Err(NotRecorded::Closed));
        }
    }

    #[test]
    fn a_log_goes_on_where_it_was_closed() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..3 {
            let (log, recovery) = Log::open(settings(directory.path())).unwrap();
            let entries = if round == 0 { 0 } else { 1 + round * 2 };
            assert_eq!(recovery, Recovery { entries, ..Recovery::default() });
            let last = log.state().checkpoint.as_ref().map(Checkpoint::size);
            assert_eq!(last, (round > 0).then_some(entries));
            run(log.append(&record(round), Strength::Queued)).unwrap();
            run(log.append(&record(round), Strength::Durable)).unwrap();
        }
        assert_eq!(lines(directory.path()).len(), 6);
    }

    #[test]
    fn many_requests_at_once_share_writes_and_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        let log = Arc::new(log);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
        let strength = |n: u64| if n.is_multiple_of(10) { Strength::Durable } else { Strength::Written };
        let mut indexes: Vec<u64> = runtime.block_on(async {
            let tasks: Vec<_> = (0..600)
                .map(|n| {
                    let log = Arc::clone(&log);
                    tokio::spawn(
                        async move { log.append(&record(n), strength(n)).await.unwrap().index.unwrap() },
                    )
                })
                .collect();
            let mut indexes = Vec::new();
            for task in tasks {
                indexes.push(task.await.unwrap());
            }
            indexes
        });
        log.close().unwrap();
        let lines = lines(directory.path());
        for (n, index) in indexes.iter().enumerate() {
            assert!(lines[*index as usize - 1].contains(&format!("\"request_id\":\"r-{n}\"")));
        }
        indexes.sort_unstable();
        assert_eq!(indexes, (1..=600).collect::<Vec<_>>());
        assert!(disk.syncs() < 600, "{} syncs", disk.syncs());
    }

    #[test]
    fn what_waits_together_is_written_together() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        // The writing thread waits for the directory while records come up.
        let held = lock_file(directory.path()).unwrap();
        held.lock().unwrap();
        for n in 0..100 {
            run(log.append(&record(n), Strength::Queued)).unwrap();
        }
        held.unlock().unwrap();
        wait_until(|| log.state().queue_depth == 0);
        // Header and at most two batches, each with its hashes; checkpoints come beside.
        let of_checkpoints = 101 / 8;
        assert!(disk.writes() <= 6 + of_checkpoints, "{} writes", disk.writes());
    }

    #[test]
    fn a_full_queue_refuses_and_loses_nothing_it_took() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        settings.queue_max = 5;
        let (log, _) = Log::open(settings).unwrap();
        let held = lock_file(directory.path()).unwrap();
        held.lock().unwrap();
        for n in 0..5 {
            run(log.append(&record(n), Strength::Queued)).unwrap();
        }
        for strength in [Strength::Written, Strength::Durable, Strength::Queued] {
            assert_eq!(run(log.append(&record(9), strength)), Err(NotRecorded::QueueFull));
        }
        assert_eq!(log.state().queue_depth, 5);
        held.unlock().unwrap();
        log.close().unwrap();
        assert_eq!(lines(directory.path()).len(), 5);
    }

    #[test]
    fn a_disk_that_does_not_answer_in_time_refuses() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        settings.write_timeout = Duration::from_millis(1);
        let (log, _) = Log::open(settings).unwrap();
        let held = lock_file(directory.path()).unwrap();
        held.lock().unwrap();
        let refused = run(log.append(&record(0), Strength::Written));
        assert_eq!(refused, Err(NotRecorded::Failed(Failure::Slow)));
        assert_eq!(log.state().health, Health::Failing(Failure::Slow));
        held.unlock().unwrap();
        wait_until(|| log.state().health == Health::Healthy);
    }

    #[test]
    fn a_full_disk_refuses_until_there_is_room_and_keeps_what_is_queued() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        run(log.append(&record(0), Strength::Written)).unwrap();
        disk.leave_room(10);
        for strength in [Strength::Written, Strength::Durable] {
            let refused = run(log.append(&record(1), strength));
            assert_eq!(refused, Err(NotRecorded::Failed(Failure::Full)));
            assert_eq!(log.state().health, Health::Failing(Failure::Full));
        }
        run(log.append(&record(2), Strength::Queued)).unwrap();
        run(log.append(&record(3), Strength::Queued)).unwrap();
        wait_until(|| log.state().queue_depth == 2);
        disk.repair();
        // Nobody writes anything more: the log finds out for itself.
        wait_until(|| log.state().health == Health::Healthy);
        assert_eq!(run(log.append(&record(4), Strength::Written)).unwrap().index, Some(4));
        let ids: Vec<String> = lines(directory.path())
            .iter()
            .map(|line| serde_json::from_str::<Record>(line).unwrap().request_id)
            .collect();
        assert_eq!(ids, ["r-0", "r-2", "r-3", "r-4"]);
    }

    #[test]
    fn an_idle_log_notices_that_the_disk_works_again() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        disk.leave_room(0);
        run(log.append(&record(1), Strength::Written)).unwrap_err();
        disk.repair();
        wait_until(|| log.state().health == Health::Healthy);
        assert_eq!(log.state().size, 0);
    }

    #[test]
    fn what_cannot_be_written_before_the_end_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        disk.leave_room(0);
        run(log.append(&record(1), Strength::Queued)).unwrap();
        run(log.append(&record(2), Strength::Queued)).unwrap();
        assert_eq!(log.close(), Err(Lost(2)));
    }

    #[test]
    fn a_failed_sync_refuses_the_durable_and_signs_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let (log, _) = Log::open_on(settings(directory.path()), disk.clone()).unwrap();
        disk.fail_syncs();
        assert!(run(log.append(&record(0), Strength::Written)).is_ok());
        let refused = run(log.append(&record(1), Strength::Durable));
        assert_eq!(refused, Err(NotRecorded::Failed(Failure::Disk)));
        for n in 2..20 {
            run(log.append(&record(n), Strength::Written)).unwrap();
        }
        wait_until(|| log.state().health == Health::Failing(Failure::Disk));
        assert_eq!(checkpoints(directory.path()), []);
        disk.repair();
        log.close().unwrap();
        let sizes: Vec<u64> = checkpoints(directory.path()).iter().map(Checkpoint::size).collect();
        assert_eq!(sizes, [8, 16, 21]);
    }

    #[test]
    fn an_entry_waits_no_longer_than_the_interval_for_its_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        settings.checkpoint_interval = Duration::from_millis(1);
        let (log, _) = Log::open(settings).unwrap();
        run(log.append(&record(0), Strength::Written)).unwrap();
        wait_until(|| log.state().checkpoint.is_some_and(|checkpoint| checkpoint.size() == 2));
    }

    /// Runs in a process of its own, which writes until it is killed and tells what was acknowledged.
    fn write_until_killed(directory: &Path) {
        use std::io::Write as _;
        let (log, _) = Log::open(settings(directory)).unwrap();
        for n in 0.. {
            let index = run(log.append(&record(n), Strength::Written)).unwrap().index.unwrap();
            let mut told = std::io::stderr().lock();
            writeln!(told, "{TOLD}{index} r-{n}").unwrap();
            told.flush().unwrap();
        }
    }

    const TOLD: &str = "acknowledged ";

    #[test]
    fn killing_the_process_loses_nothing_that_was_acknowledged() {
        use std::io::{BufRead as _, BufReader};
        use std::process::{Command, Stdio};
        const DIRECTORY: &str = "GATEWAY_AUDIT_TEST_DIRECTORY";
        if let Some(directory) = std::env::var_os(DIRECTORY) {
            return write_until_killed(Path::new(&directory));
        }
        let directory = tempfile::tempdir().unwrap();
        let name = "audit::log::tests::killing_the_process_loses_nothing_that_was_acknowledged";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut acknowledged: Vec<String> =
            told.by_ref().filter(|line| line.starts_with(TOLD)).take(300).collect();
        child.kill().unwrap();
        acknowledged.extend(told.filter(|line| line.starts_with(TOLD)));
        child.wait().unwrap();
        let (log, recovery) = Log::open(settings(directory.path())).unwrap();
        log.close().unwrap();
        assert!(recovery.entries > 300 && recovery.lost == 0 && recovery.changed.is_none(), "{recovery:?}");
        let lines = lines(directory.path());
        for told in acknowledged.iter().filter_map(|line| line.strip_prefix(TOLD)) {
            let Some((index, id)) = told.split_once(" r-") else { continue };
            let line = &lines[index.parse::<usize>().unwrap() - 1];
            assert_eq!(serde_json::from_str::<Record>(line).unwrap().request_id, format!("r-{id}"));
        }
        assert_eq!(verified(directory.path()).unwrap().unsigned, 0);
    }

    fn verified(directory: &Path) -> Result<crate::audit::Verified, crate::audit::Finding> {
        let key = samples::key();
        crate::audit::verify(
            directory,
            std::slice::from_ref(key.verifier()),
            &crate::audit::Expected::default(),
        )
    }

    #[test]
    fn two_processes_may_write_while_an_auditor_reads() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            let mut settings = settings(directory.path());
            settings.segment_bytes_max = 20_000;
            settings.checkpoint_interval = Duration::ZERO;
            Log::open(settings).unwrap().0
        };
        let (old, new) = (open(), open());
        std::thread::scope(|scope| {
            let writers = [&old, &new].map(|log| {
                scope.spawn(move || {
                    for n in 0..250 {
                        let strength = if n % 9 == 0 { Strength::Durable } else { Strength::Written };
                        run(log.append(&record(n), strength)).unwrap();
                    }
                    log.close().unwrap();
                })
            });
            while !writers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                verified(directory.path()).unwrap();
            }
        });
        let verified = verified(directory.path()).unwrap();
        assert_eq!((verified.records, verified.unsigned), (500, 0));
        assert!(verified.segments > 5);
    }

    #[test]
    fn a_record_longer_than_a_line_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(settings(directory.path())).unwrap();
        let mut record = record(0);
        record.snapshot = "x".repeat(LINE_BYTES_MAX);
        assert_eq!(run(log.append(&record, Strength::Written)), Err(NotRecorded::TooLong));
    }

    #[test]
    fn a_request_that_leaves_while_it_waits_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(settings(directory.path())).unwrap();
        let held = lock_file(directory.path()).unwrap();
        held.lock().unwrap();
        run(async {
            let record = record(0);
            let append = log.append(&record, Strength::Written);
            tokio::select! { biased; _ = append => unreachable!(), () = std::future::ready(()) => {} }
        });
        held.unlock().unwrap();
        log.close().unwrap();
        assert_eq!(lines(directory.path()).len(), 1);
    }
}
