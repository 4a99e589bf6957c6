//! How does the log grow by whole entries only, whoever else writes it and however a write ends?
//!
//! The files of the log and the tree over them, changed only under the lock of the directory. Whoever
//! has the lock first reads on to the end of what is there; opening a log is the same, from further
//! back. It knows lines, not records, and no threads.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::checkpoint::Tree;
use super::disk::{self, Disk, Exposure};
use super::error::AuditError;
use super::segment::{self, FORMAT, Header, Notes, Part, hashes_length};
use super::tail::{Shape, Tail, tree_before};
use super::tree::{Frontier, Hash};

/// The end of the log.
#[derive(Debug)]
pub(super) struct Journal {
    shape: Shape,
    disk: Disk,
    lock: Arc<File>,
    tree: Frontier,
    tail: Option<Tail>,
    due: Vec<Due>,
    last_due: u64,
    /// The checkpoints that were found when opening: the tree must pass through them.
    signed: BTreeMap<u64, Hash>,
    recovery: Recovery,
}

/// What was found when a log was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many entries the log has.
    pub entries: u64,
    /// How many of them no checkpoint covered.
    pub unsigned: u64,
    /// How many bytes of unfinished lines were cut away, and kept in `.torn` files beside.
    pub torn_bytes: u64,
    /// How many entries are gone from the end whose hashes are still there: after a power cut, those
    /// that were never synced.
    pub lost: u64,
    /// The first entry, of those that were read, whose line is not what it was when it was written.
    /// The log goes on, and stays provably damaged there.
    pub changed: Option<u64>,
}

/// A tree to be signed as soon as the lines under it are on the disk.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The segment with the last entry of the tree.
    pub(super) first: u64,
    pub(super) lines: Arc<File>,
}

impl Journal {
    /// Opens the log in a directory, and reads as much of it as is needed to go on.
    pub(super) fn open(shape: Shape, disk: Disk) -> Result<Self, AuditError> {
        match disk::make_directory(&shape.directory)? {
            Exposure::Closed => {}
            Exposure::WritableByAll => return Err(AuditError::Exposed),
        }
        let lock = Arc::new(lock_file(&shape.directory)?);
        let mut journal = Self {
            shape,
            disk,
            lock,
            tree: Frontier::default(),
            tail: None,
            due: Vec::new(),
            last_due: 0,
            signed: BTreeMap::new(),
            recovery: Recovery::default(),
        };
        journal.under_lock(Self::recover)?;
        Ok(journal)
    }

    /// Writes `lines` as the next entries, all of them or none, and returns the index of the first.
    pub(super) fn commit<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a [u8]>,
        now: Timestamp,
    ) -> Result<u64, AuditError> {
        let mut text = Vec::new();
        let mut leaves = Vec::new();
        for line in lines {
            text.extend_from_slice(line);
            text.push(b'\n');
            leaves.push(Hash::leaf(line));
        }
        self.under_lock(|journal| {
            journal.follow()?;
            journal.make_room(text.len(), now)?;
            let first = journal.tree.size();
            journal.append(&text, &leaves)?;
            Ok(first)
        })
    }

    /// Tries whether the log could be written, without writing to it.
    pub(super) fn probe(&mut self) -> Result<(), AuditError> {
        self.under_lock(|journal| {
            journal.follow()?;
            let path = journal.shape.directory.join(PROBE);
            let file = disk::open_to_append(&path)?;
            let written =
                journal.disk.append(&file, &[0; PROBE_BYTES]).and_then(|()| journal.disk.sync(&file));
            std::fs::remove_file(&path)?;
            Ok(written?)
        })
    }

    /// Asks for a checkpoint of all that is in the tree, unless there is one or it was asked for.
    pub(super) fn ask_for_checkpoint(&mut self) {
        let size = self.tree.size();
        if let Some(tail) = &self.tail
            && size > self.last_due
        {
            self.last_due = size;
            if !self.signed.contains_key(&size) {
                let (first, lines) = (tail.first, Arc::clone(&tail.lines));
                self.due.push(Due { size, root: self.tree.root(), first, lines });
            }
        }
    }

    /// The checkpoints that became due since this was last asked, in order.
    pub(super) fn take_due(&mut self) -> Vec<Due> {
        std::mem::take(&mut self.due)
    }

    /// The file with the newest lines.
    pub(super) fn lines(&self) -> Option<&Arc<File>> {
        self.tail.as_ref().map(|tail| &tail.lines)
    }

    /// The tree over all entries.
    pub(super) const fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// What was found when the log was opened.
    pub(super) const fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    fn under_lock<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, AuditError>,
    ) -> Result<T, AuditError> {
        let lock = Arc::clone(&self.lock);
        lock.lock()?;
        let result = act(self);
        lock.unlock()?;
        result
    }

    fn recover(&mut self) -> Result<(), AuditError> {
        let directory = self.shape.directory.clone();
        let firsts = segment::list(&directory)?;
        // Checkpoints are signed in order, so those before the last segment that has one are all there.
        let mut start = firsts.first().copied().unwrap_or(0);
        for first in firsts.into_iter().rev() {
            let notes = Notes::read(&directory, first)?;
            let file = Part::Checkpoints.path(&directory, first);
            if std::fs::metadata(&file).is_ok_and(|found| found.len() > notes.whole_bytes) {
                disk::cut(&disk::open_to_append(&file)?, &file, notes.whole_bytes)?;
            }
            let trees = notes.notes.iter().filter_map(|(_, note)| Tree::unchecked(note).ok());
            self.signed.extend(trees.map(|tree| (tree.size, tree.root)));
            if !self.signed.is_empty() {
                start = first;
                break;
            }
        }
        let last_signed = self.signed.last_key_value().map_or(0, |(size, _)| *size);
        self.tree = tree_before(&directory, start)?
            .ok_or(AuditError::Missing { signed: last_signed, found: start })?;
        self.follow()?;
        let found = self.tree.size();
        if last_signed > found {
            return Err(AuditError::Missing { signed: last_signed, found });
        }
        self.recovery.entries = found;
        self.recovery.unsigned = found.saturating_sub(last_signed);
        self.ask_for_checkpoint();
        self.signed.clear();
        Ok(())
    }

    /// Reads on to the end of what others have written.
    fn follow(&mut self) -> Result<(), AuditError> {
        loop {
            self.read_on()?;
            let next = self.tree.size();
            let at_its_begin = self.tail.as_ref().is_some_and(|tail| tail.first == next);
            if at_its_begin || !Part::Lines.path(&self.shape.directory, next).try_exists()? {
                return Ok(());
            }
            self.enter(next)?;
        }
    }

    fn read_on(&mut self) -> Result<(), AuditError> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        match tail.lines.metadata()?.len().cmp(&tail.bytes) {
            Ordering::Equal => return Ok(()),
            Ordering::Less => return Err(AuditError::Shortened),
            Ordering::Greater => {}
        }
        let known = self.tree.size().saturating_sub(tail.first);
        let found = tail.read(&self.shape, known)?;
        // First the files are made whole, then the tree grows: a failure leaves both as they were known.
        let fresh: Vec<u8> =
            found.leaves.iter().skip(found.stored).flat_map(Hash::as_bytes).copied().collect();
        let stored = known.saturating_add(u64::try_from(found.stored).unwrap_or(u64::MAX));
        self.disk.write_at(&tail.hashes, &fresh, hashes_length(stored))?;
        let count = known.saturating_add(u64::try_from(found.leaves.len()).unwrap_or(u64::MAX));
        let surplus = tail.hashes.metadata()?.len().saturating_sub(hashes_length(count));
        self.recovery.lost = self.recovery.lost.saturating_add(segment::hashes_count(surplus));
        tail.hashes.set_len(hashes_length(count))?;
        if found.torn {
            let path = Part::Lines.path(&self.shape.directory, tail.first);
            let cut = disk::cut(&tail.lines, &path, found.end)?;
            self.recovery.torn_bytes = self.recovery.torn_bytes.saturating_add(cut);
        }
        tail.bytes = found.end;
        tail.header = tail.header.take().or(found.header);
        self.recovery.changed = self.recovery.changed.or(found.changed);
        found.leaves.into_iter().try_for_each(|leaf| self.push(leaf))
    }

    /// Ends the segment and begins the one that starts with the entry `first`.
    fn enter(&mut self, first: u64) -> Result<(), AuditError> {
        let directory = &self.shape.directory;
        let lines = Arc::new(disk::open_to_append(&Part::Lines.path(directory, first))?);
        let hashes = disk::open_to_write(&Part::Hashes.path(directory, first))?;
        disk::sync_directory(directory)?;
        if lines.metadata()?.len() == 0 {
            let lost = segment::hashes_count(hashes.metadata()?.len());
            self.recovery.lost = self.recovery.lost.saturating_add(lost);
            hashes.set_len(0)?;
        }
        self.ask_for_checkpoint();
        self.tail = Some(Tail { first, header: None, lines, hashes, bytes: 0 });
        Ok(())
    }

    fn make_room(&mut self, bytes: usize, now: Timestamp) -> Result<(), AuditError> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let next = self.tree.size();
        if self.tail.as_ref().is_none_or(|tail| tail.is_over(&self.shape, next, bytes, now)) {
            self.enter(next)?;
        }
        if self.tail.as_ref().is_some_and(|tail| tail.header.is_none()) {
            let header = Header {
                format: FORMAT,
                origin: self.shape.origin.clone(),
                first: next,
                opened: now,
                checkpoint_every: self.shape.checkpoint_every,
                peaks: self.tree.peaks().to_vec(),
            };
            let mut line = header.line()?;
            let leaf = Hash::leaf(&line);
            line.push(b'\n');
            // The rule for checkpoints holds from the header's own entry on.
            self.set_header(Some(header));
            if let Err(error) = self.append(&line, &[leaf]) {
                self.set_header(None);
                return Err(error);
            }
        }
        Ok(())
    }

    fn set_header(&mut self, header: Option<Header>) {
        if let Some(tail) = &mut self.tail {
            tail.header = header;
        }
    }

    fn append(&mut self, text: &[u8], leaves: &[Hash]) -> Result<(), AuditError> {
        // Closed when in doubt: without a segment nothing was recorded.
        let Some(tail) = &mut self.tail else { return Err(AuditError::Shortened) };
        let count = hashes_length(self.tree.size().saturating_sub(tail.first));
        let hashes: Vec<u8> = leaves.iter().flat_map(Hash::as_bytes).copied().collect();
        let written = self
            .disk
            .append(&tail.lines, text)
            .and_then(|()| self.disk.write_at(&tail.hashes, &hashes, count));
        if let Err(error) = written {
            // Nothing half-written stays. Should this fail as well, whoever has the lock next finds
            // the bytes, keeps whole lines as entries and cuts the rest: there may be a record of a
            // request that was refused, never an answer without a record.
            let undone = tail.lines.set_len(tail.bytes).and(tail.hashes.set_len(count));
            if let Err(kept) = undone {
                tracing::warn!(error = %kept, "part of a failed write stays in the audit log");
            }
            return Err(error.into());
        }
        tail.bytes = tail.bytes.saturating_add(u64::try_from(text.len()).unwrap_or(u64::MAX));
        leaves.iter().try_for_each(|leaf| self.push(*leaf))
    }

    fn push(&mut self, leaf: Hash) -> Result<(), AuditError> {
        self.tree.push(leaf);
        let size = self.tree.size();
        if self.signed.get(&size).is_some_and(|root| *root != self.tree.root()) {
            return Err(AuditError::Disagrees { size });
        }
        let header = self.tail.as_ref().and_then(|tail| tail.header.as_ref());
        if header.is_some_and(|header| size.is_multiple_of(header.checkpoint_every.get())) {
            self.ask_for_checkpoint();
        }
        Ok(())
    }
}

/// The file that is locked while the log is written.
pub(super) fn lock_file(directory: &Path) -> Result<File, AuditError> {
    Ok(disk::open_to_append(&directory.join(LOCK))?)
}

/// The name of the file that is locked.
const LOCK: &str = "lock";
/// The name of the file that a probe writes and removes.
const PROBE: &str = "probe";
/// A probe writes as much as a few records need.
const PROBE_BYTES: usize = 64 * 1024;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    use crate::audit::samples::{self, ORIGIN, journal, line, shape, time};
    use proptest::prelude::*;

    fn write(journal: &mut Journal, numbers: std::ops::Range<u64>) -> Result<u64, AuditError> {
        let lines: Vec<Vec<u8>> = numbers.map(line).collect();
        journal.commit(lines.iter().map(Vec::as_slice), time(0))
    }

    fn write_each(journal: &mut Journal, numbers: std::ops::Range<u64>) {
        for n in numbers {
            write(journal, n..n + 1).unwrap();
        }
    }

    fn text(directory: &Path, first: u64) -> String {
        std::fs::read_to_string(Part::Lines.path(directory, first)).unwrap()
    }

    /// The tree that an auditor computes from nothing but the lines.
    fn tree_of_lines(directory: &Path) -> Frontier {
        let firsts = segment::list(directory).unwrap();
        let all: String = firsts.into_iter().map(|first| text(directory, first)).collect();
        Frontier::over(all.lines().map(|line| Hash::leaf(line.as_bytes())))
    }

    fn names(directory: &Path) -> Vec<String> {
        let files = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn records_stand_behind_a_header_in_the_order_in_which_they_came() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        assert_eq!(write(&mut journal, 0..3).unwrap(), 1);
        assert_eq!(write(&mut journal, 3..5).unwrap(), 4);
        let text = text(directory.path(), 0);
        let mut lines = text.lines();
        let header = Header::read(lines.next().unwrap().as_bytes()).unwrap();
        assert_eq!((header.first, header.origin.as_str()), (0, ORIGIN));
        assert!(lines.map(str::as_bytes).eq((0..5).map(line).collect::<Vec<_>>()));
        assert_eq!(journal.tree(), &tree_of_lines(directory.path()));
    }

    #[test]
    fn files_belong_to_the_gateways_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let outer = tempfile::tempdir().unwrap();
        let directory = outer.path().join("a/b");
        write(&mut journal(&directory), 0..1).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for name in names(&directory) {
            assert_eq!(mode(&directory.join(&name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_directory_that_everybody_may_write_in_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Journal::open(shape(directory.path()), Disk::default()).unwrap_err();
        assert!(matches!(refused, AuditError::Exposed));
    }

    #[test]
    fn a_segment_ends_when_it_is_full_or_old_and_its_end_gets_a_checkpoint() {
        let directory = tempfile::tempdir().unwrap();
        let mut shape = shape(directory.path());
        shape.segment_bytes_max = 1_000;
        let mut journal = Journal::open(shape, Disk::default()).unwrap();
        write_each(&mut journal, 0..5);
        let firsts: Vec<u64> = segment::list(directory.path()).unwrap().into_iter().collect();
        assert_eq!(firsts, [0, 3, 6]);
        let due: Vec<(u64, u64)> = journal.take_due().iter().map(|due| (due.size, due.first)).collect();
        assert_eq!(due, [(3, 0), (6, 3), (8, 6)]);
        assert_eq!(journal.tree(), &tree_of_lines(directory.path()));

        let directory = tempfile::tempdir().unwrap();
        let mut journal = samples::journal(directory.path());
        let day = 24 * 60 * 60;
        for (n, at) in [(0, 0), (1, day - 1), (2, day), (3, day + 1)] {
            journal.commit(std::iter::once(line(n).as_slice()), time(at)).unwrap();
        }
        let firsts: Vec<u64> = segment::list(directory.path()).unwrap().into_iter().collect();
        assert_eq!(firsts, [0, 3]);
    }

    #[test]
    fn checkpoints_are_due_at_each_multiple_and_on_request_but_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        write(&mut journal, 0..20).unwrap();
        journal.ask_for_checkpoint();
        journal.ask_for_checkpoint();
        let due = journal.take_due();
        let tree = |size: usize| {
            let text = text(directory.path(), 0);
            Frontier::over(text.lines().take(size).map(|line| Hash::leaf(line.as_bytes()))).root()
        };
        let told: Vec<(u64, Hash)> = due.iter().map(|due| (due.size, due.root)).collect();
        assert_eq!(told, [(8, tree(8)), (16, tree(16)), (21, tree(21))]);
        assert!(journal.take_due().is_empty());
    }

    #[test]
    fn two_processes_write_one_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut small = shape(directory.path());
        small.segment_bytes_max = 2_000;
        let mut old = Journal::open(small.clone(), Disk::default()).unwrap();
        write(&mut old, 0..2).unwrap();
        let mut new = Journal::open(small, Disk::default()).unwrap();
        for n in (2..30).step_by(4) {
            write(&mut new, n..n + 1).unwrap();
            write(&mut old, n + 1..n + 2).unwrap();
            write(&mut old, n + 2..n + 3).unwrap();
            write(&mut new, n + 3..n + 4).unwrap();
        }
        old.probe().unwrap();
        assert_eq!(old.tree(), new.tree());
        assert_eq!(new.tree(), &tree_of_lines(directory.path()));
        let all: String = segment::list(directory.path())
            .unwrap()
            .iter()
            .map(|first| text(directory.path(), *first))
            .collect();
        let records = all.lines().filter(|line| Header::read(line.as_bytes()).is_none());
        assert!(records.map(str::as_bytes).eq((0..30).map(line).collect::<Vec<_>>()));
        // Whoever reads past a multiple asks for its checkpoint, so that one of them ending leaves no gap.
        let multiples = |due: Vec<Due>| due.into_iter().filter(|due| due.size % 8 == 0).count() as u64;
        assert_eq!(multiples(old.take_due()), new.tree().size() / 8);
    }

    #[test]
    fn a_full_disk_fails_the_batch_and_leaves_nothing_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mut journal = Journal::open(shape(directory.path()), disk.clone()).unwrap();
        write(&mut journal, 0..3).unwrap();
        let (before, tree) = (text(directory.path(), 0), journal.tree().clone());
        // Within the first line, between lines, and with the lines written and their hashes not.
        let whole: usize = (3..6).map(|n| line(n).len() + 1).sum();
        for room in [0, 1, line(3).len() + 1, whole - 1, whole, whole + 40] {
            disk.leave_room(room);
            let refused = write(&mut journal, 3..6).unwrap_err();
            assert!(matches!(&refused, AuditError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull));
            assert!(journal.probe().is_err());
            assert_eq!(text(directory.path(), 0), before, "room for {room}");
            assert_eq!(journal.tree(), &tree);
        }
        disk.repair();
        journal.probe().unwrap();
        assert!(!names(directory.path()).contains(&PROBE.to_owned()));
        assert_eq!(write(&mut journal, 3..6).unwrap(), 4);
        assert_eq!(journal.tree(), &tree_of_lines(directory.path()));
        assert_eq!(samples::journal(directory.path()).tree(), journal.tree());
    }

    #[test]
    fn a_disk_that_is_full_when_a_segment_begins_leaves_no_half_header() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let mut journal = Journal::open(shape(directory.path()), disk.clone()).unwrap();
        for room in [0, 10, 100] {
            disk.leave_room(room);
            assert!(write(&mut journal, 0..1).is_err());
        }
        assert_eq!(text(directory.path(), 0), "");
        disk.repair();
        assert_eq!(write(&mut journal, 0..1).unwrap(), 1);
    }

    #[test]
    fn the_systems_own_full_device_is_told_as_full() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", Part::Lines.path(directory.path(), 0)).unwrap();
        let refused = write(&mut journal(directory.path()), 0..1).unwrap_err();
        assert!(matches!(refused, AuditError::Io(e) if e.kind() == std::io::ErrorKind::StorageFull));
    }

    #[test]
    fn a_segment_cut_short_while_in_use_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = journal(directory.path());
        write(&mut journal, 0..3).unwrap();
        let path = Part::Lines.path(directory.path(), 0);
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(300).unwrap();
        assert!(matches!(write(&mut journal, 3..4), Err(AuditError::Shortened)));
    }

    /// Signs what is due, as the other thread does.
    fn sign(directory: &Path, journal: &mut Journal) {
        use std::io::Write as _;
        for due in journal.take_due() {
            let mut file = disk::open_to_append(&Part::Checkpoints.path(directory, due.first)).unwrap();
            writeln!(file, "{}", samples::key().sign(due.size, due.root).note()).unwrap();
        }
    }

    #[test]
    fn a_torn_line_is_cut_away_and_kept_and_the_tree_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut before = journal(directory.path());
        write(&mut before, 0..9).unwrap();
        sign(directory.path(), &mut before);
        let whole = text(directory.path(), 0);
        std::fs::write(Part::Lines.path(directory.path(), 0), format!("{whole}{{\"time\":\"20")).unwrap();
        let mut after = journal(directory.path());
        let expected = Recovery { entries: 10, unsigned: 2, torn_bytes: 11, ..Recovery::default() };
        assert_eq!(after.recovery(), &expected);
        assert_eq!(text(directory.path(), 0), whole);
        let torn = torn_name(directory.path());
        assert_eq!(std::fs::read_to_string(torn).unwrap(), "{\"time\":\"20");
        assert_eq!(after.tree(), before.tree());
        assert_eq!(write(&mut after, 9..10).unwrap(), 10);
    }

    fn torn_name(directory: &Path) -> PathBuf {
        let name = names(directory).into_iter().find(|name| name.ends_with(".torn")).unwrap();
        directory.join(name)
    }

    #[test]
    fn opening_signs_what_the_ended_process_could_not_sign() {
        let directory = tempfile::tempdir().unwrap();
        let mut small = shape(directory.path());
        small.segment_bytes_max = 3_000;
        let mut before = Journal::open(small.clone(), Disk::default()).unwrap();
        write_each(&mut before, 0..5);
        before.ask_for_checkpoint();
        sign(directory.path(), &mut before);
        write_each(&mut before, 5..30);
        let unsigned: Vec<u64> = before.take_due().iter().map(|due| due.size).collect();
        let mut after = Journal::open(small, Disk::default()).unwrap();
        let due: Vec<u64> = after.take_due().iter().map(|due| due.size).collect();
        assert_eq!(due, unsigned.into_iter().chain([after.tree().size()]).collect::<Vec<_>>());
        assert_eq!(after.recovery().unsigned, after.tree().size() - 6);
    }

    #[test]
    fn a_changed_line_does_not_change_the_tree_and_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut before = journal(directory.path());
        write(&mut before, 0..9).unwrap();
        sign(directory.path(), &mut before);
        let changed = text(directory.path(), 0).replace("r-3", "r-x");
        std::fs::write(Part::Lines.path(directory.path(), 0), changed).unwrap();
        let after = journal(directory.path());
        assert_eq!(after.tree(), before.tree());
        assert_eq!(after.recovery().changed, Some(4));
    }

    #[test]
    fn a_log_that_is_not_what_was_signed_is_not_continued() {
        let check = |damage: fn(&Path), expected: fn(&AuditError) -> bool| {
            let directory = tempfile::tempdir().unwrap();
            let mut before = journal(directory.path());
            write(&mut before, 0..9).unwrap();
            sign(directory.path(), &mut before);
            damage(directory.path());
            let error = Journal::open(shape(directory.path()), Disk::default()).unwrap_err();
            assert!(expected(&error), "{error:?}");
        };
        // The last lines are gone, with their hashes or without.
        check(
            |directory| {
                let text = text(directory, 0);
                let kept: Vec<&str> = text.lines().take(5).collect();
                std::fs::write(Part::Lines.path(directory, 0), kept.join("\n") + "\n").unwrap();
            },
            |error| matches!(error, AuditError::Missing { signed: 8, found: 5 }),
        );
        // The segment is gone.
        check(
            |directory| std::fs::remove_file(Part::Lines.path(directory, 0)).unwrap(),
            |error| matches!(error, AuditError::Missing { signed: 8, found: 0 }),
        );
        // A line and its hash were changed alike.
        check(
            |directory| {
                std::fs::remove_file(Part::Hashes.path(directory, 0)).unwrap();
                let changed = text(directory, 0).replace("r-3", "r-x");
                std::fs::write(Part::Lines.path(directory, 0), changed).unwrap();
            },
            |error| matches!(error, AuditError::Disagrees { size: 8 }),
        );
        // It is the log of another gateway.
        check(
            |directory| {
                let changed = text(directory, 0).replace("node-1", "node-2");
                std::fs::write(Part::Lines.path(directory, 0), changed).unwrap();
            },
            |error| matches!(error, AuditError::OtherLog { .. }),
        );
        // The header is none.
        check(
            |directory| {
                let changed = text(directory, 0).replacen("{\"segment\"", "{\"sagment\"", 1);
                std::fs::write(Part::Lines.path(directory, 0), changed).unwrap();
            },
            |error| matches!(error, AuditError::Form { line: 1, .. }),
        );
    }

    #[test]
    fn lost_hashes_are_made_anew_from_the_lines() {
        let directory = tempfile::tempdir().unwrap();
        let mut before = journal(directory.path());
        write(&mut before, 0..9).unwrap();
        let path = Part::Hashes.path(directory.path(), 0);
        let hashes = std::fs::read(&path).unwrap();
        for damaged in [&hashes[..0], &hashes[..100], &[hashes.clone(), vec![7; 50]].concat()] {
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(journal(directory.path()).tree(), before.tree());
            assert_eq!(std::fs::read(&path).unwrap(), hashes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn wherever_a_crash_cuts_the_lines_every_whole_one_stays_and_the_log_goes_on(
            cut in 0.0_f64..1.0, with_hashes: bool,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut before = journal(directory.path());
            write(&mut before, 0..6).unwrap();
            let whole = text(directory.path(), 0);
            let kept = &whole[..(whole.len() as f64 * cut) as usize];
            std::fs::write(Part::Lines.path(directory.path(), 0), kept).unwrap();
            if !with_hashes {
                std::fs::remove_file(Part::Hashes.path(directory.path(), 0)).unwrap();
            }
            let mut after = journal(directory.path());
            let lines = kept.matches('\n').count() as u64;
            prop_assert_eq!(after.recovery().entries, lines);
            let lost = if with_hashes { 7 - lines } else { 0 };
            prop_assert_eq!(after.recovery().lost, lost);
            prop_assert_eq!(after.recovery().torn_bytes as usize, kept.len() - kept.rfind('\n').map_or(0, |n| n + 1));
            write(&mut after, 6..8).unwrap();
            prop_assert_eq!(after.tree(), &tree_of_lines(directory.path()));
        }
    }
}
