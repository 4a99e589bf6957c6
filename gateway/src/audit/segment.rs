//! Which files make up a log, and how is one of them read?
//!
//! Names, the header line, and readers that hold one line at a time. It knows the form, and neither
//! writes nor judges.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tree::{Frontier, Hash};

/// The files of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Lines,
    Hashes,
    Checkpoints,
}

impl Part {
    const fn extension(self) -> &'static str {
        match self {
            Self::Lines => "jsonl",
            Self::Hashes => "hashes",
            Self::Checkpoints => "checkpoints",
        }
    }

    /// The path of this part of the segment that begins with the entry `first`.
    pub(super) fn path(self, directory: &Path, first: u64) -> PathBuf {
        directory.join(format!("{first:020}.{}", self.extension()))
    }
}

/// Where what was cut away from a file at `offset` is kept.
pub(super) fn torn_path(file: &Path, offset: u64) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{offset}.torn"));
    name.into()
}

/// The first entries of all segments of which lines or checkpoints are there, in order.
pub(super) fn list(directory: &Path) -> io::Result<BTreeSet<u64>> {
    let mut firsts = BTreeSet::new();
    for file in std::fs::read_dir(directory)? {
        let name = file?.file_name();
        let Some((digits, extension)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let known = [Part::Lines, Part::Checkpoints].iter().any(|part| part.extension() == extension);
        if known && digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()) {
            firsts.extend(digits.parse::<u64>().ok());
        }
    }
    Ok(firsts)
}

/// The first line of each segment. It is an entry of the tree like every other line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version of the form of the files.
    pub(super) format: u32,
    /// The name of the log.
    pub(super) origin: String,
    /// The index of this line in the log.
    pub(super) first: u64,
    /// When the segment was begun.
    pub(super) opened: Timestamp,
    /// How many entries a checkpoint covers at most.
    pub(super) checkpoint_every: NonZeroU64,
    /// The frontier of the tree over all earlier segments.
    pub(super) peaks: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine<H> {
    segment: H,
}

impl Header {
    /// The header as it stands in the file, without its line feed.
    pub(super) fn line(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(&HeaderLine { segment: self })?)
    }

    /// Reads a header of a form that is known here.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let header = serde_json::from_slice::<HeaderLine<Self>>(line).ok()?.segment;
        (header.format == FORMAT).then_some(header)
    }

    /// The tree over all earlier segments, if the header tells one.
    pub(super) fn frontier(&self) -> Option<Frontier> {
        Frontier::resume(self.first, self.peaks.clone())
    }
}

/// Reads lines without ever holding more than one.
pub(super) struct LineReader<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
    offset: u64,
    number: u64,
}

/// What stands next in a file of lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line, without its line feed.
    Whole(&'a [u8]),
    /// The file ends with bytes that no line feed ends.
    Torn(u64),
    /// More bytes without a line feed than any line may have.
    TooLong,
    /// The file ends with a line feed, or is empty.
    End,
}

impl<R: Read + Seek> LineReader<R> {
    /// Reads on from `offset`, which is the beginning of a line.
    pub(super) fn at(mut file: R, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { reader: BufReader::with_capacity(READ_BYTES, file), buffer: Vec::new(), offset, number: 0 })
    }

    /// The next line. After anything but a whole line there is no more to come.
    pub(super) fn next(&mut self) -> io::Result<Line<'_>> {
        self.buffer.clear();
        let limit = LINE_BYTES_MAX.saturating_add(1);
        let mut bounded = (&mut self.reader).take(u64::try_from(limit).unwrap_or(u64::MAX));
        let length = bounded.read_until(b'\n', &mut self.buffer)?;
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        if self.buffer.pop_if(|last| *last == b'\n').is_some() {
            self.offset = self.offset.saturating_add(bytes);
            self.number = self.number.saturating_add(1);
            return Ok(Line::Whole(&self.buffer));
        }
        Ok(match length {
            0 => Line::End,
            _ if length == limit => Line::TooLong,
            _ => Line::Torn(bytes),
        })
    }

    /// Where the next line begins: right behind the last whole line.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// How many whole lines were read.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

/// Reads the leaf hashes that are kept beside the lines. They are a copy of what the lines say: where
/// they are missing nothing is lost but speed and precision.
pub(super) struct HashReader(Option<BufReader<File>>);

impl HashReader {
    /// Reads the hashes of a segment, from the `skip`th on.
    pub(super) fn open(directory: &Path, first: u64, skip: u64) -> io::Result<Self> {
        let mut file = match File::open(Part::Hashes.path(directory, first)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(None)),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(hashes_length(skip)))?;
        Ok(Self(Some(BufReader::new(file))))
    }

    /// The next hash, if there is one.
    pub(super) fn next(&mut self) -> io::Result<Option<Hash>> {
        let Some(reader) = &mut self.0 else { return Ok(None) };
        let mut bytes = [0; Hash::BYTES];
        match reader.read_exact(&mut bytes) {
            // A power cut can leave a page of zeroes where hashes were not yet on the disk.
            Ok(()) if bytes == [0; Hash::BYTES] => {
                self.0 = None;
                Ok(None)
            }
            Ok(()) => Ok(Some(Hash::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How long a file of `count` hashes is.
pub(super) fn hashes_length(count: u64) -> u64 {
    count.saturating_mul(u64::try_from(Hash::BYTES).unwrap_or(u64::MAX))
}

/// How many whole hashes there are in so many bytes.
pub(super) fn hashes_count(bytes: u64) -> u64 {
    bytes.checked_div(hashes_length(1)).unwrap_or(0)
}

/// What stands in the checkpoints file of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// The whole notes, each with the line it begins at.
    pub(super) notes: Vec<(u64, String)>,
    /// Where the last whole note ends. What stands behind was being written when the process ended.
    pub(super) whole_bytes: u64,
}

impl Notes {
    /// Reads the checkpoints of the segment that begins with `first`; none if the file is not there.
    pub(super) fn read(directory: &Path, first: u64) -> io::Result<Self> {
        let file = match File::open(Part::Checkpoints.path(directory, first)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let length = file.take(CHECKPOINTS_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(length).unwrap_or(u64::MAX) > CHECKPOINTS_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Self::of(&bytes))
    }

    fn of(bytes: &[u8]) -> Self {
        // Text, empty line, signatures, empty line. Only what is cut short can be other than UTF-8 in a
        // file of a gateway; in any other it is told by the signature that does not hold.
        let text = String::from_utf8_lossy(bytes);
        let mut found = Self::default();
        let mut line = 1_u64;
        let mut blocks = text.split_inclusive("\n\n");
        while let (Some(body), Some(signatures)) = (blocks.next(), blocks.next()) {
            let Some(signatures) = signatures.strip_suffix('\n').filter(|lines| lines.ends_with('\n')) else {
                break;
            };
            let note = format!("{body}{signatures}");
            let lines = u64::try_from(note.lines().count()).unwrap_or(u64::MAX);
            let bytes = u64::try_from(note.len()).unwrap_or(u64::MAX);
            found.notes.push((line, note));
            line = line.saturating_add(lines).saturating_add(1);
            found.whole_bytes = found.whole_bytes.saturating_add(bytes).saturating_add(1);
        }
        found
    }
}

/// The version of the form of the files that is written and read here.
pub(super) const FORMAT: u32 = 1;
/// No record is longer: targets, names and lists in it are bounded far below.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024;
/// How much of a file is read at once.
const READ_BYTES: usize = 256 * 1024;
/// A checkpoint a second for a day fits; what is larger was not written by a gateway.
const CHECKPOINTS_BYTES_MAX: u64 = 32 * 1024 * 1024;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, String) {
        let mut reader = LineReader::at(Cursor::new(bytes), 0).unwrap();
        let mut lines = Vec::new();
        loop {
            match reader.next().unwrap() {
                Line::Whole(line) => lines.push(line.to_vec()),
                end => return (lines, format!("{end:?}")),
            }
        }
    }

    #[test]
    fn lines_end_with_a_line_feed_and_what_has_none_is_torn() {
        let check = |bytes: &[u8], whole: &[&[u8]], end: &str| {
            assert_eq!(read(bytes), (whole.iter().map(|l| l.to_vec()).collect(), end.to_owned()));
        };
        check(b"", &[], "End");
        check(b"a\nb\n", &[b"a", b"b"], "End");
        check(b"a\n\nb\n", &[b"a", b"", b"b"], "End");
        check(b"a\nbc", &[b"a"], "Torn(2)");
        check(b"a\r\n", &[b"a\r"], "End");
        check(b"\xff\x00\n", &[b"\xff\x00"], "End");
    }

    #[test]
    fn a_line_of_the_greatest_length_is_read_and_a_longer_one_is_not() {
        let longest = [vec![b'x'; LINE_BYTES_MAX], vec![b'\n']].concat();
        assert_eq!(read(&longest).0.len(), 1);
        let longer = [vec![b'x'; LINE_BYTES_MAX + 1], vec![b'\n']].concat();
        assert_eq!(read(&longer), (vec![], "TooLong".to_owned()));
    }

    #[test]
    fn only_the_files_of_a_log_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(directory.path().join(name), "").unwrap();
        for name in
            ["lock", "notes.jsonl", "7.jsonl", "0000000000000000000x.jsonl", "00000000000000000003.torn"]
        {
            touch(name);
        }
        touch("99999999999999999999.jsonl");
        assert_eq!(list(directory.path()).unwrap(), BTreeSet::new());
        touch("00000000000000000009.jsonl");
        touch("00000000000000000009.hashes");
        touch("00000000000000000012.checkpoints");
        assert_eq!(list(directory.path()).unwrap(), BTreeSet::from([9, 12]));
    }

    #[test]
    fn a_header_of_another_form_is_not_read() {
        let header = Header {
            format: FORMAT,
            origin: "a.example".into(),
            first: 3,
            opened: "2026-11-23T10:00:00Z".parse().unwrap(),
            checkpoint_every: NonZeroU64::MIN,
            peaks: vec![Hash::leaf(b"x"), Hash::leaf(b"y")],
        };
        let line = header.line().unwrap();
        assert_eq!(Header::read(&line).as_ref(), Some(&header));
        assert!(header.frontier().is_some());
        let other = Header { format: FORMAT + 1, ..header.clone() };
        assert_eq!(Header::read(&other.line().unwrap()), None);
        let uneven = Header { first: 4, ..header };
        assert_eq!(uneven.frontier(), None);
        assert_eq!(Header::read(b"{}"), None);
    }

    #[test]
    fn notes_are_read_with_their_lines_and_an_unfinished_one_is_left_out() {
        let note = "o\n1\nr\n\n\u{2014} o x\n";
        let check = |text: String, lines: &[u64]| {
            let found = Notes::of(text.as_bytes());
            let notes: Vec<(u64, String)> = lines.iter().map(|line| (*line, note.to_owned())).collect();
            let whole_bytes = (lines.len() * (note.len() + 1)) as u64;
            assert_eq!(found, Notes { notes, whole_bytes }, "{text}");
        };
        check(String::new(), &[]);
        check(format!("{note}\n"), &[1]);
        check(format!("{note}\n{note}\n"), &[1, 7]);
        for cut in 1..note.chars().count() {
            let part: String = note.chars().take(cut).collect();
            check(format!("{note}\n{part}"), &[1]);
        }
        let none = tempfile::tempdir().unwrap();
        assert_eq!(Notes::read(none.path(), 1).unwrap(), Notes::default());
    }
}
