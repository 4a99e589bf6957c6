//! Is the log what was written: nothing changed, removed, added or moved?
//!
//! Reads the whole log once, offline, with nothing but public keys, holding one line and one
//! checkpoints file at a time, and stops at the first place that is not as it was written.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

use super::checkpoint::{Checkpoint, CheckpointError, Tree, VerifierKey};
use super::finding::{Finding, What};
use super::segment::{self, HashReader, Header, Line, LineReader, Notes, Part, hashes_length};
use super::suspect::Suspect;
use super::tree::{Frontier, Hash};

/// Checks the log in `directory` against the checkpoints that one of `keys` signed, and against what
/// the auditor knows from elsewhere.
///
/// # Errors
/// The first place where the log is not what was written.
pub fn verify(directory: &Path, keys: &[VerifierKey], expected: &Expected) -> Result<Verified, Finding> {
    let firsts = segment::list(directory).map_err(|error| unreadable(directory, &error))?;
    let mut audit = Audit::new(directory, keys, expected);
    audit.begin_at(firsts.first().copied())?;
    let mut firsts = firsts.into_iter().peekable();
    while let Some(first) = firsts.next() {
        audit.segment(first, firsts.peek().copied())?;
    }
    audit.finish()
}

/// What an auditor knows that does not stand in the directory.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The first entry that should be there: above 0 when older segments were moved to an archive.
    pub first: u64,
    /// A checkpoint of this log that was kept where its operators cannot change it.
    pub checkpoint: Option<Checkpoint>,
}

/// A log in which everything is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries the log has, archived ones included.
    pub entries: u64,
    /// How many of those that were read are records; the others are headers of segments.
    pub records: u64,
    /// How many segments were read.
    pub segments: u64,
    /// The hash of the tree over all entries.
    pub root: Hash,
    /// How many checkpoints hold.
    pub checkpoints: u64,
    /// The last of them. Keep it elsewhere, and expect it the next time.
    pub last: Option<Checkpoint>,
    /// How many entries at the end no checkpoint covers yet: of these nothing is proven.
    pub unsigned: u64,
    /// How long the unfinished line at the end is: one that is being written, or was when a process ended.
    pub torn_bytes: u64,
}

struct Audit<'a> {
    directory: &'a Path,
    keys: &'a [VerifierKey],
    expected: &'a Expected,
    /// The tree over the lines.
    lines: Frontier,
    /// The tree over the hashes that were stored when the lines were written.
    stored: Frontier,
    /// How many entries the last good checkpoint covers.
    proven: u64,
    /// The first line since then that is not what its stored hash says.
    suspect: Option<Suspect>,
    /// Why the log is not that of the checkpoint kept elsewhere, unless a simpler reason is found.
    forked: Option<Finding>,
    /// The first tree that must have a checkpoint and has none.
    unmarked: Option<Unmarked>,
    verified: Verified,
}

/// A tree that must have a checkpoint in the segment, and has none.
struct Unmarked {
    first: u64,
    size: u64,
    root: Hash,
    since: u64,
}

/// A size at which the tree can be compared.
enum Mark {
    Signed(Checkpoint),
    /// The checkpoint that the auditor kept.
    Kept(Hash),
    /// What is wrong with it, and the line in the checkpoints file.
    Bad(CheckpointError, u64),
}

/// A segment being read.
struct Reading {
    first: u64,
    next: Option<u64>,
    marks: VecDeque<(u64, Mark)>,
    reader: LineReader<File>,
    hashes: HashReader,
    checkpoint_every: Option<NonZeroU64>,
}

impl<'a> Audit<'a> {
    fn new(directory: &'a Path, keys: &'a [VerifierKey], expected: &'a Expected) -> Self {
        let (lines, stored) = (Frontier::default(), Frontier::default());
        let verified = Verified {
            entries: 0,
            records: 0,
            segments: 0,
            root: lines.root(),
            checkpoints: 0,
            last: None,
            unsigned: 0,
            torn_bytes: 0,
        };
        let (suspect, forked, unmarked) = (None, None, None);
        Self { directory, keys, expected, lines, stored, proven: 0, suspect, forked, unmarked, verified }
    }

    /// Sees to it that the log begins where it should.
    fn begin_at(&mut self, first: Option<u64>) -> Result<(), Finding> {
        let from = self.expected.first;
        match first {
            None if from == 0 => return Ok(()),
            None => return Err(self.gone(from, from..from.saturating_add(1))),
            Some(first) if first > from => return Err(self.gone(from, from..first)),
            Some(_) => {}
        }
        if let Some(first) = first.filter(|first| *first > 0) {
            // What the header tells of the archived segments is proven by the next checkpoint.
            let mut reader = self.open(first)?;
            let header = match reader.next() {
                Ok(Line::Whole(line)) => Header::read(line).filter(|header| header.first == first),
                Ok(Line::Torn(_) | Line::TooLong | Line::End) | Err(_) => None,
            };
            let frontier = header.and_then(|header| header.frontier());
            self.lines = frontier.ok_or_else(|| {
                self.finding(Part::Lines, first, What::Changed, first..first.saturating_add(1))
            })?;
            self.stored.clone_from(&self.lines);
            self.proven = first;
            let kept = self.expected.checkpoint.as_ref().filter(|kept| kept.size() <= first);
            if kept.is_some_and(|kept| kept.size() < first || kept.root() != self.lines.root()) {
                return Err(self.gone(from, 0..first));
            }
        }
        Ok(())
    }

    fn segment(&mut self, first: u64, next: Option<u64>) -> Result<(), Finding> {
        if first != self.lines.size() {
            return Err(self.gone(self.lines.size(), self.lines.size()..first));
        }
        let mut reading = Reading {
            first,
            next,
            // The checkpoints are read before the lines: a log that is being written has more lines then.
            marks: self.marks(first, next)?,
            reader: self.open(first)?,
            hashes: HashReader::open(self.directory, first, 0)
                .map_err(|error| unreadable(&Part::Hashes.path(self.directory, first), &error))?,
            checkpoint_every: None,
        };
        self.verified.segments = self.verified.segments.saturating_add(1);
        loop {
            let (line, offset) = (reading.reader.number().saturating_add(1), reading.reader.offset());
            let index = self.lines.size();
            let at = |what| self.place(first, line, offset, what, index..index.saturating_add(1));
            match reading.reader.next() {
                Ok(Line::Whole(_)) if next == Some(index) => return Err(at(What::Inserted)),
                Ok(Line::Whole(text)) => {
                    let leaf = Hash::leaf(text);
                    let header = (line == 1).then(|| Header::read(text));
                    let stored = reading.hashes.next().map_err(|_unreadable| at(What::HashesChanged))?;
                    let differs = stored.filter(|stored| *stored != leaf);
                    if let Some(header) = header {
                        let header = header.filter(|header| self.continues(header));
                        if header.is_none() && differs.is_none() {
                            return Err(at(What::Changed));
                        }
                        reading.checkpoint_every = header.map(|header| header.checkpoint_every);
                    } else {
                        self.verified.records = self.verified.records.saturating_add(1);
                    }
                    if let Some(stored) = differs.filter(|_| self.suspect.is_none()) {
                        self.suspect = Some(Suspect { first, index, line, offset, leaf, stored });
                    }
                    self.lines.push(leaf);
                    self.stored.push(stored.unwrap_or(leaf));
                    self.compare(&mut reading)?;
                }
                Ok(Line::TooLong) => return Err(at(What::Changed)),
                Ok(Line::Torn(bytes)) => return self.end(reading, bytes),
                Ok(Line::End) => return self.end(reading, 0),
                Err(error) => return Err(at(What::Unreadable(error.kind()))),
            }
        }
    }

    fn continues(&self, header: &Header) -> bool {
        header.frontier().as_ref() == Some(&self.lines)
            && self.keys.iter().any(|key| key.name() == header.origin)
    }

    /// All that the tree can be compared with in a segment, by size.
    fn marks(&self, first: u64, next: Option<u64>) -> Result<VecDeque<(u64, Mark)>, Finding> {
        let path = Part::Checkpoints.path(self.directory, first);
        let notes = Notes::read(self.directory, first).map_err(|error| unreadable(&path, &error))?.notes;
        let within = |size: u64| size > first && next.is_none_or(|next| size <= next);
        let mut marks: Vec<(u64, Mark)> = Vec::new();
        for (line, note) in notes {
            marks.push(match Checkpoint::open(&note, self.keys) {
                Ok(checkpoint) if within(checkpoint.size()) => (checkpoint.size(), Mark::Signed(checkpoint)),
                // Signed, but for another segment.
                Ok(_) => (first, Mark::Bad(CheckpointError::Form, line)),
                Err(error) => {
                    let size = Tree::unchecked(&note).map_or(first, |tree| tree.size);
                    (size, Mark::Bad(error, line))
                }
            });
        }
        let kept = self.expected.checkpoint.iter().filter(|kept| within(kept.size()));
        marks.extend(kept.map(|kept| (kept.size(), Mark::Kept(kept.root()))));
        marks.sort_by_key(|(size, _)| *size);
        Ok(marks.into())
    }

    /// Compares the tree with all there is to compare it with at its size.
    fn compare(&mut self, reading: &mut Reading) -> Result<(), Finding> {
        let size = self.lines.size();
        while let Some((_, mark)) = reading.marks.pop_front_if(|(at, _)| *at <= size) {
            match mark {
                Mark::Signed(checkpoint) if checkpoint.root() == self.lines.root() => {
                    self.proven_by(checkpoint)?;
                }
                Mark::Kept(root) if root == self.lines.root() => {}
                Mark::Bad(..) | Mark::Signed(_) | Mark::Kept(_) if self.suspect.is_some() => {
                    return self.no_suspect();
                }
                Mark::Signed(_) => return Err(self.hidden(reading.first, self.proven..size)),
                Mark::Kept(_) => {
                    let forked = self.finding(Part::Lines, reading.first, What::Forked, 0..size);
                    self.forked.get_or_insert(forked);
                }
                Mark::Bad(error, line) => return Err(self.bad_checkpoint(reading.first, error, line)),
            }
        }
        let is_multiple = reading.checkpoint_every.is_some_and(|every| size.is_multiple_of(every.get()));
        if (is_multiple || reading.next == Some(size)) && self.proven != size && self.unmarked.is_none() {
            let (first, since) = (reading.first, self.proven);
            self.unmarked = Some(Unmarked { first, size, root: self.lines.root(), since });
        }
        Ok(())
    }

    fn proven_by(&mut self, checkpoint: Checkpoint) -> Result<(), Finding> {
        if let Some(Suspect { first, index, .. }) = self.suspect {
            let number = index.saturating_sub(first);
            let entries = index..index.saturating_add(1);
            let finding = self.finding(Part::Hashes, first, What::HashesChanged, entries);
            return Err(Finding { line: number.saturating_add(1), offset: hashes_length(number), ..finding });
        }
        // A checkpoint is signed after all those that were due before it.
        if let Some(unmarked) = self.unmarked.take() {
            self.marked_meanwhile(&unmarked)?;
        }
        if let Some(forked) = self.forked.take() {
            return Err(forked);
        }
        if checkpoint.size() > self.proven {
            self.verified.checkpoints = self.verified.checkpoints.saturating_add(1);
        }
        self.proven = checkpoint.size();
        self.stored.clone_from(&self.lines);
        self.verified.last = Some(checkpoint);
        Ok(())
    }

    /// Sees to it that a checkpoint was signed after the checkpoints of its segment were read, while
    /// the lines were: so it is in a log that is being written.
    fn marked_meanwhile(&self, unmarked: &Unmarked) -> Result<(), Finding> {
        let Unmarked { first, size, root, since } = *unmarked;
        let marks = self.marks(first, None)?;
        let is_it = |mark: &Mark| matches!(mark, Mark::Signed(signed) if signed.root() == root);
        if marks.iter().any(|(at, mark)| *at == size && is_it(mark)) {
            return Ok(());
        }
        Err(self.finding(Part::Checkpoints, first, What::CheckpointRemoved, since..size))
    }

    /// Sees to it that a segment ends where it should.
    fn end(&mut self, mut reading: Reading, torn_bytes: u64) -> Result<(), Finding> {
        let size = self.lines.size();
        let signed = reading.marks.back().map(|(size, _)| *size);
        let is_short = signed.is_some() || self.lost_lines(&mut reading)?;
        match reading.next {
            Some(next) if next == size && torn_bytes == 0 => return Ok(()),
            None if !is_short => {
                self.verified.torn_bytes = torn_bytes;
                return Ok(());
            }
            Some(_) | None => self.no_suspect()?,
        }
        match reading.next {
            // This segment is whole, and the one behind it is not there.
            Some(next) if !is_short && torn_bytes == 0 => return Err(self.gone(size, size..next)),
            Some(_) | None => {}
        }
        for (_, mark) in &reading.marks {
            if let Mark::Bad(error, line) = mark {
                return Err(self.bad_checkpoint(reading.first, *error, *line));
            }
        }
        let what = match torn_bytes {
            0 => What::Removed,
            _ if reading.next == Some(size) => What::Inserted,
            _ => What::TornTail,
        };
        let until = reading.next.or(signed).unwrap_or(size).max(size.saturating_add(1));
        let line = reading.reader.number().saturating_add(1);
        Err(self.place(reading.first, line, reading.reader.offset(), what, size..until))
    }

    /// Whether hashes are stored of lines that are not there.
    fn lost_lines(&self, reading: &mut Reading) -> Result<bool, Finding> {
        let path = Part::Lines.path(self.directory, reading.first);
        let fail = |error: io::Error| unreadable(&path, &error);
        let has_more = reading.hashes.next().map_err(fail)?.is_some();
        // A line is written before its hash: if the log is just growing, the file is longer by now.
        let read = reading.reader.offset();
        Ok(has_more && std::fs::metadata(&path).map_err(fail)?.len() == read)
    }

    fn finish(mut self) -> Result<Verified, Finding> {
        self.no_suspect()?;
        if let Some(forked) = self.forked.take() {
            return Err(forked);
        }
        let size = self.lines.size();
        if let Some(kept) = self.expected.checkpoint.as_ref().filter(|kept| kept.size() > size) {
            return Err(self.gone(size, size..kept.size()));
        }
        self.verified.entries = size;
        self.verified.root = self.lines.root();
        self.verified.unsigned = size.saturating_sub(self.proven);
        Ok(self.verified)
    }

    /// Sees to it that no line is suspect.
    fn no_suspect(&self) -> Result<(), Finding> {
        self.suspect.as_ref().map_or(Ok(()), |suspect| Err(suspect.classified(self.directory)))
    }

    /// Someone changed lines and hashes alike: only a checkpoint tells, and tells no line.
    fn hidden(&self, first: u64, entries: Range<u64>) -> Finding {
        let mut finding = self.finding(Part::Lines, first, What::Changed, entries.clone());
        let skipped = entries.start.saturating_sub(first);
        if let Ok(mut reader) = self.open(first) {
            while reader.number() < skipped && matches!(reader.next(), Ok(Line::Whole(_))) {}
            (finding.line, finding.offset) = (reader.number().saturating_add(1), reader.offset());
        }
        finding
    }

    fn bad_checkpoint(&self, first: u64, error: CheckpointError, line: u64) -> Finding {
        let entries = self.proven..self.lines.size();
        Finding { line, ..self.finding(Part::Checkpoints, first, What::BadCheckpoint(error), entries) }
    }

    /// A segment that is not there.
    fn gone(&self, first: u64, entries: Range<u64>) -> Finding {
        self.finding(Part::Lines, first, What::Removed, entries)
    }

    fn place(&self, first: u64, line: u64, offset: u64, what: What, entries: Range<u64>) -> Finding {
        Finding { line, offset, ..self.finding(Part::Lines, first, what, entries) }
    }

    fn finding(&self, part: Part, first: u64, what: What, entries: Range<u64>) -> Finding {
        Finding { what, file: part.path(self.directory, first), line: 1, offset: 0, entries }
    }

    fn open(&self, first: u64) -> Result<LineReader<File>, Finding> {
        let path = Part::Lines.path(self.directory, first);
        File::open(&path).and_then(|file| LineReader::at(file, 0)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.gone(first, first..first.saturating_add(1)),
            _ => unreadable(&path, &error),
        })
    }
}

fn unreadable(file: &Path, error: &io::Error) -> Finding {
    Finding { what: What::Unreadable(error.kind()), file: file.to_owned(), line: 1, offset: 0, entries: 0..0 }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use crate::audit::disk::Disk;
    use crate::audit::journal::Journal;
    use crate::audit::samples::{self, shape, time};
    use std::path::PathBuf;

    /// Three segments of some twelve entries with a checkpoint at each fourth entry and each end, and
    /// three entries that are not signed yet.
    struct Sample {
        directory: tempfile::TempDir,
        firsts: Vec<u64>,
        size: u64,
    }

    fn sample() -> Sample {
        let directory = tempfile::tempdir().unwrap();
        let mut shape = shape(directory.path());
        shape.segment_bytes_max = 4_500;
        shape.checkpoint_every = NonZeroU64::new(4).unwrap();
        let mut journal = Journal::open(shape, Disk::default()).unwrap();
        for n in 0..31 {
            journal.commit(std::iter::once(samples::line(n).as_slice()), time(n)).unwrap();
        }
        for due in journal.take_due() {
            append(&Part::Checkpoints.path(directory.path(), due.first), &note(due.size, due.root));
        }
        let firsts: Vec<u64> = segment::list(directory.path()).unwrap().into_iter().collect();
        let size = journal.tree().size();
        assert_eq!((firsts.len(), size % 4 > 1), (3, true), "{firsts:?} {size}");
        Sample { directory, firsts, size }
    }

    fn note(size: u64, root: Hash) -> String {
        format!("{}\n", samples::key().sign(size, root).note())
    }

    fn append(path: &Path, text: &str) {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        std::fs::write(path, before + text).unwrap();
    }

    impl Sample {
        fn path(&self, part: Part, segment: usize) -> PathBuf {
            part.path(self.directory.path(), self.firsts[segment])
        }

        fn lines(&self, segment: usize) -> Vec<String> {
            let text = std::fs::read_to_string(self.path(Part::Lines, segment)).unwrap();
            text.lines().map(str::to_owned).collect()
        }

        fn edit(&self, segment: usize, edit: impl FnOnce(&mut Vec<String>)) {
            let mut lines = self.lines(segment);
            edit(&mut lines);
            std::fs::write(self.path(Part::Lines, segment), lines.join("\n") + "\n").unwrap();
        }

        /// As [`Sample::edit`], with the stored hashes made to fit.
        fn edit_with_care(&self, segment: usize, edit: impl FnOnce(&mut Vec<String>)) {
            self.edit(segment, edit);
            let lines = self.lines(segment);
            let hashes = lines.iter().flat_map(|line| *Hash::leaf(line.as_bytes()).as_bytes());
            std::fs::write(self.path(Part::Hashes, segment), hashes.collect::<Vec<_>>()).unwrap();
        }

        fn notes(&self, segment: usize) -> Vec<String> {
            let notes = Notes::read(self.directory.path(), self.firsts[segment]).unwrap().notes;
            notes.into_iter().map(|(_, note)| note + "\n").collect()
        }

        fn edit_notes(&self, segment: usize, edit: impl FnOnce(&mut Vec<String>)) {
            let mut notes = self.notes(segment);
            edit(&mut notes);
            std::fs::write(self.path(Part::Checkpoints, segment), notes.concat()).unwrap();
        }

        fn verify(&self) -> Result<Verified, Finding> {
            self.verify_with(&Expected::default())
        }

        fn verify_with(&self, expected: &Expected) -> Result<Verified, Finding> {
            verify(self.directory.path(), std::slice::from_ref(samples::key().verifier()), expected)
        }

        /// Checks that the finding is `what` in the `line` of that part of the segment.
        fn check(&self, what: What, part: Part, segment: usize, line: u64) -> Finding {
            let finding = self.verify().unwrap_err();
            let expected = (what, self.path(part, segment), line);
            assert_eq!((finding.what, finding.file.clone(), finding.line), expected, "{finding}");
            finding
        }
    }

    fn one(index: u64) -> Range<u64> {
        index..index + 1
    }

    #[test]
    fn a_whole_log_is_verified_with_the_public_key_alone() {
        let sample = sample();
        let verified = sample.verify().unwrap();
        assert_eq!((verified.entries, verified.records, verified.segments), (sample.size, 31, 3));
        let last = verified.last.unwrap();
        assert_eq!((last.size(), verified.unsigned), (sample.size / 4 * 4, sample.size % 4));
        assert_eq!(verified.torn_bytes, 0);
        let none = tempfile::tempdir().unwrap();
        let empty = verify(none.path(), &[], &Expected::default()).unwrap();
        assert_eq!((empty.entries, empty.last), (0, None));
    }

    #[test]
    fn a_verifier_of_fifty_lines_needs_only_the_lines() {
        let sample = sample();
        for segment in 0..3 {
            std::fs::remove_file(sample.path(Part::Hashes, segment)).unwrap();
        }
        assert_eq!(sample.verify().unwrap().entries, sample.size);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found_in_its_line() {
        let sample = sample();
        let path = sample.path(Part::Lines, 1);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
            if whole[at] == b'\n' {
                assert!(sample.verify().is_err());
                continue;
            }
            let finding = sample.check(What::Changed, Part::Lines, 1, line + 1);
            assert_eq!(finding.entries, one(sample.firsts[1] + line));
            let begin = whole[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |n| n + 1);
            assert_eq!(finding.offset, begin as u64);
        }
    }

    #[test]
    fn every_line_that_is_changed_removed_doubled_or_moved_is_found() {
        let sample = sample();
        for segment in 0..3 {
            let lines = sample.lines(segment);
            for at in 0..lines.len() {
                let line = at as u64 + 1;
                let index = sample.firsts[segment] + at as u64;
                sample.edit(segment, |lines| lines[at] = lines[at].replacen("10", "11", 1));
                assert_eq!(sample.check(What::Changed, Part::Lines, segment, line).entries, one(index));
                sample.edit(segment, |now| now.clone_from(&lines));

                sample.edit(segment, |lines| drop(lines.remove(at)));
                assert_eq!(sample.check(What::Removed, Part::Lines, segment, line).entries, one(index));
                sample.edit(segment, |now| now.clone_from(&lines));

                if at + 2 < lines.len() {
                    sample.edit(segment, |lines| lines.insert(at + 1, lines[at].clone()));
                    sample.check(What::Inserted, Part::Lines, segment, line + 1);
                    sample.edit(segment, |now| now.clone_from(&lines));

                    sample.edit(segment, |lines| lines.swap(at, at + 2));
                    sample.check(What::Reordered, Part::Lines, segment, line);
                    sample.edit(segment, |now| now.clone_from(&lines));
                }
            }
        }
        assert!(sample.verify().is_ok());
    }

    #[test]
    fn an_invented_line_is_found_where_it_stands() {
        let sample = sample();
        let invented = String::from_utf8(samples::line(99)).unwrap();
        sample.edit(1, |lines| lines.insert(5, invented.clone()));
        sample.check(What::Inserted, Part::Lines, 1, 6);
        sample.edit(1, |lines| drop(lines.remove(5)));
        // Behind the end of a finished segment.
        let end = sample.lines(1).len() as u64 + 1;
        sample.edit(1, |lines| lines.push(invented));
        sample.check(What::Inserted, Part::Lines, 1, end);
    }

    #[test]
    fn several_lines_removed_at_once_are_told_as_such() {
        let sample = sample();
        sample.edit(1, |lines| drop(lines.drain(3..6)));
        let first = sample.firsts[1];
        let finding = sample.check(What::Removed, Part::Lines, 1, 4);
        assert_eq!(finding.entries, first + 3..first + 6);
    }

    #[test]
    fn a_line_that_lost_its_line_feed_is_found() {
        let sample = sample();
        let path = sample.path(Part::Lines, 1);
        let joined = sample.lines(1).join("\n").replacen("}\n{", "}{", 1) + "\n";
        std::fs::write(path, joined).unwrap();
        let finding = sample.verify().unwrap_err();
        assert_eq!((finding.line, finding.entries), (1, one(sample.firsts[1])));
    }

    #[test]
    fn a_change_hidden_by_changing_the_hash_too_is_found_by_the_next_checkpoint() {
        let sample = sample();
        // The first segment has checkpoints at 4, 8 and 12, and at its end.
        sample.edit_with_care(0, |lines| lines[5] = lines[5].replacen("200", "201", 1));
        let finding = sample.check(What::Changed, Part::Lines, 0, 5);
        assert_eq!(finding.entries, 4..8);
        let offset: usize = sample.lines(0)[..4].iter().map(|line| line.len() + 1).sum();
        assert_eq!(finding.offset, offset as u64);
    }

    #[test]
    fn a_removal_hidden_by_removing_the_hash_too_is_found() {
        let sample = sample();
        sample.edit_with_care(0, |lines| drop(lines.remove(5)));
        assert_eq!(sample.check(What::Changed, Part::Lines, 0, 5).entries, 4..8);
    }

    #[test]
    fn removed_files_are_found() {
        let remove = |part: Part, segment: usize| {
            let sample = sample();
            std::fs::remove_file(sample.path(part, segment)).unwrap();
            sample
        };
        for segment in 0..3 {
            remove(Part::Lines, segment).check(What::Removed, Part::Lines, segment, 1);
            let sample = sample();
            std::fs::remove_file(sample.path(Part::Checkpoints, segment)).unwrap();
            if segment < 2 {
                sample.check(What::CheckpointRemoved, Part::Checkpoints, segment, 1);
            } else {
                assert!(sample.verify().unwrap().unsigned > 4);
            }
        }
        // All of a segment.
        for segment in 0..2 {
            let sample = remove(Part::Lines, segment);
            std::fs::remove_file(sample.path(Part::Checkpoints, segment)).unwrap();
            std::fs::remove_file(sample.path(Part::Hashes, segment)).unwrap();
            let finding = sample.check(What::Removed, Part::Lines, segment, 1);
            assert_eq!(finding.entries, sample.firsts[segment]..sample.firsts[segment + 1]);
        }
    }

    #[test]
    fn a_truncated_segment_is_found_at_its_new_end() {
        for segment in 0..3 {
            let sample = sample();
            sample.edit(segment, |lines| lines.truncate(3));
            sample.check(What::Removed, Part::Lines, segment, 4);
            let text = sample.lines(segment).join("\n") + "\n{\"time\":";
            std::fs::write(sample.path(Part::Lines, segment), text).unwrap();
            sample.check(What::TornTail, Part::Lines, segment, 4);
        }
    }

    #[test]
    fn a_checkpoint_removed_between_others_is_found() {
        for (segment, at) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)] {
            let sample = sample();
            sample.edit_notes(segment, |notes| drop(notes.remove(at)));
            sample.check(What::CheckpointRemoved, Part::Checkpoints, segment, 1);
        }
    }

    #[test]
    fn a_forged_changed_or_misplaced_checkpoint_is_found_in_its_line() {
        use crate::audit::checkpoint::SigningKey;
        let other = SigningKey::from_der(samples::ORIGIN, &samples::fresh_pkcs8()).unwrap();
        let check = |edit: &dyn Fn(&mut Vec<String>), error: CheckpointError, line: u64| {
            let sample = sample();
            sample.edit_notes(1, edit);
            sample.check(What::BadCheckpoint(error), Part::Checkpoints, 1, line);
        };
        let foreign = sample().notes(0).remove(1);
        check(
            &|notes| {
                let tree = Tree::unchecked(notes[1].strip_suffix('\n').unwrap()).unwrap();
                notes[1] = format!("{}\n", other.sign(tree.size, tree.root).note());
            },
            CheckpointError::UnknownKey,
            7,
        );
        check(&|notes| notes[1] = notes[1].replacen("gateway", "getaway", 1), CheckpointError::Signature, 7);
        check(
            &|notes| {
                let root = notes[1].lines().nth(2).unwrap().to_owned();
                notes[1] = notes[1].replace(&root, notes[0].lines().nth(2).unwrap());
            },
            CheckpointError::Signature,
            7,
        );
        check(&|notes| notes[0] = notes[0].replacen('\n', "\nx\n", 1), CheckpointError::Form, 1);
        check(
            &|notes| notes.push(foreign.clone()),
            CheckpointError::Form,
            sample().notes(1).len() as u64 * 6 + 1,
        );
        // Of a tree that is larger than the log.
        let sample = sample();
        sample.edit_notes(2, |notes| notes.push(format!("{}\n", other.sign(500, Hash::leaf(b"x")).note())));
        let line = sample.notes(2).len() as u64 * 6 - 5;
        sample.check(What::BadCheckpoint(CheckpointError::UnknownKey), Part::Checkpoints, 2, line);
    }

    #[test]
    fn a_changed_hash_is_told_apart_from_a_changed_entry() {
        let sample = sample();
        let path = sample.path(Part::Hashes, 1);
        let mut hashes = std::fs::read(&path).unwrap();
        hashes[3 * 32 + 5] ^= 1;
        std::fs::write(path, hashes).unwrap();
        sample.check(What::HashesChanged, Part::Hashes, 1, 4);
    }

    #[test]
    fn a_line_being_written_at_the_end_is_no_finding() {
        let sample = sample();
        append(&sample.path(Part::Lines, 2), "{\"time\":\"2026");
        assert_eq!(sample.verify().unwrap().torn_bytes, 13);
        append(&sample.path(Part::Checkpoints, 2), "gateway.example/aud");
        assert!(sample.verify().is_ok());
    }

    #[test]
    fn a_checkpoint_kept_elsewhere_shows_what_is_gone_from_the_end() {
        let sample = sample();
        let kept = sample.verify().unwrap().last.unwrap();
        let expected = Expected { checkpoint: Some(kept.clone()), ..Expected::default() };
        assert!(sample.verify_with(&expected).is_ok());
        // The end is gone, and all that told of it in the directory.
        sample.edit_with_care(2, |lines| lines.truncate(2));
        sample.edit_notes(2, Vec::clear);
        assert!(sample.verify().is_ok());
        let finding = sample.verify_with(&expected).unwrap_err();
        assert_eq!((finding.what, finding.entries.end), (What::Removed, kept.size()));
        for part in [Part::Lines, Part::Hashes, Part::Checkpoints] {
            std::fs::remove_file(sample.path(part, 2)).unwrap();
        }
        assert!(sample.verify().is_ok());
        let finding = sample.verify_with(&expected).unwrap_err();
        assert_eq!(finding.what, What::Removed);
        assert_eq!(finding.entries, sample.firsts[2]..kept.size());
        for segment in 0..2 {
            for part in [Part::Lines, Part::Hashes, Part::Checkpoints] {
                std::fs::remove_file(sample.path(part, segment)).unwrap();
            }
        }
        assert!(sample.verify_with(&expected).is_err());
    }

    #[test]
    fn a_log_rewritten_with_the_signing_key_is_found_by_the_checkpoint_kept_elsewhere() {
        let (kept, rewritten) = (sample(), sample());
        let expected = |size: usize| {
            let notes = kept.notes(1);
            let keys = [samples::key().verifier().clone()];
            let checkpoint = Checkpoint::open(notes[size].strip_suffix('\n').unwrap(), &keys).unwrap();
            Expected { checkpoint: Some(checkpoint), ..Expected::default() }
        };
        // The same number of entries, other records, all signed again.
        let directory = tempfile::tempdir().unwrap();
        let mut shape = shape(directory.path());
        (shape.segment_bytes_max, shape.checkpoint_every) = (4_500, NonZeroU64::new(4).unwrap());
        let mut journal = Journal::open(shape, Disk::default()).unwrap();
        for n in 0..31 {
            journal.commit(std::iter::once(samples::line(n % 9 + 40).as_slice()), time(n)).unwrap();
        }
        for due in journal.take_due() {
            append(&Part::Checkpoints.path(directory.path(), due.first), &note(due.size, due.root));
        }
        let rewritten = Sample { directory, ..rewritten };
        assert!(rewritten.verify().is_ok());
        for size in 0..kept.notes(1).len() {
            assert!(kept.verify_with(&expected(size)).is_ok());
            assert_eq!(rewritten.verify_with(&expected(size)).unwrap_err().what, What::Forked);
        }
    }

    #[test]
    fn archived_segments_may_be_missing_only_if_the_auditor_says_so() {
        let sample = sample();
        let whole = sample.verify().unwrap();
        for part in [Part::Lines, Part::Hashes, Part::Checkpoints] {
            std::fs::remove_file(sample.path(part, 0)).unwrap();
        }
        assert_eq!(sample.check(What::Removed, Part::Lines, 0, 1).entries, 0..sample.firsts[1]);
        let expected = Expected { first: sample.firsts[1], checkpoint: whole.last };
        let rest = sample.verify_with(&expected).unwrap();
        assert_eq!((rest.entries, rest.root, rest.segments), (whole.entries, whole.root, 2));
        // What the header tells of the archived segments is held against the checkpoints.
        let peak = Header::read(sample.lines(1)[0].as_bytes()).unwrap().peaks[0].to_string();
        let other = Hash::leaf(b"x").to_string();
        sample.edit_with_care(1, |lines| lines[0] = lines[0].replacen(&peak, &other, 1));
        assert!(sample.verify_with(&expected).is_err());
    }

    #[test]
    fn a_log_of_another_key_or_name_is_not_verified() {
        use crate::audit::checkpoint::SigningKey;
        let sample = sample();
        let renamed = SigningKey::from_der("other.example/log", &samples::PKCS8).unwrap();
        let keys = std::slice::from_ref(renamed.verifier());
        assert!(verify(sample.directory.path(), keys, &Expected::default()).is_err());
        assert!(verify(sample.directory.path(), &[], &Expected::default()).is_err());
        // After a change of keys an auditor gives both.
        let both = [renamed.verifier().clone(), samples::key().verifier().clone()];
        assert!(verify(sample.directory.path(), &both, &Expected::default()).is_ok());
    }

    #[test]
    fn a_finding_names_file_line_and_entries() {
        let finding = Finding {
            what: What::Removed,
            file: "audit/7.jsonl".into(),
            line: 3,
            offset: 812,
            entries: 9..10,
        };
        assert_eq!(finding.to_string(), "audit/7.jsonl:3: removed (byte 812, entry 9)");
        let hidden = Finding { what: What::Changed, entries: 8..12, ..finding };
        assert_eq!(
            hidden.to_string(),
            "audit/7.jsonl:3: changed (byte 812, somewhere in the entries 8 to 11)"
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn whatever_the_sizes_a_log_that_was_left_alone_is_verified(
            batches in proptest::collection::vec(1_u64..7, 1..12), every in 1_u64..9, bytes in 500_u64..4_000,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut shape = shape(directory.path());
            (shape.segment_bytes_max, shape.checkpoint_every) = (bytes, NonZeroU64::new(every).unwrap());
            let mut journal = Journal::open(shape, Disk::default()).unwrap();
            for (n, batch) in batches.into_iter().enumerate() {
                let lines: Vec<Vec<u8>> = (0..batch).map(|m| samples::line(n as u64 * 10 + m)).collect();
                journal.commit(lines.iter().map(Vec::as_slice), time(0)).unwrap();
            }
            journal.ask_for_checkpoint();
            for due in journal.take_due() {
                append(&Part::Checkpoints.path(directory.path(), due.first), &note(due.size, due.root));
            }
            let keys = [samples::key().verifier().clone()];
            let verified = verify(directory.path(), &keys, &Expected::default());
            proptest::prop_assert_eq!(verified.map(|verified| verified.unsigned), Ok(0));
        }

        #[test]
        fn whatever_bytes_are_changed_in_what_is_signed_it_is_found(
            segment in 0_usize..2, at: proptest::sample::Index, length in 1_usize..400, fill: u8,
        ) {
            let sample = sample();
            let path = sample.path(Part::Lines, segment);
            let whole = std::fs::read(&path).unwrap();
            let at = at.index(whole.len());
            let mut changed = whole.clone();
            changed[at..].iter_mut().take(length).for_each(|byte| *byte = fill);
            proptest::prop_assume!(changed != whole);
            std::fs::write(&path, &changed).unwrap();
            let finding = sample.verify().unwrap_err();
            let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            proptest::prop_assert!(finding.line <= line + 1, "{finding} for a change in line {line}");
        }
    }
}
