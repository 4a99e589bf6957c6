//! A line is not what its stored hash says: what was done there?
//!
//! Looks where else in the segment the line and the hash occur. It is asked once, for the first such
//! line, and believes the stored hashes; whether they can be believed the checkpoints tell.

use std::fs::File;
use std::io;
use std::path::Path;

use super::finding::{Finding, What};
use super::segment::{HashReader, Line, LineReader, Part};
use super::tree::Hash;

/// A line that is not what its stored hash says.
pub(super) struct Suspect {
    pub(super) first: u64,
    pub(super) index: u64,
    pub(super) line: u64,
    pub(super) offset: u64,
    pub(super) leaf: Hash,
    pub(super) stored: Hash,
}

impl Suspect {
    /// What was done at this line.
    pub(super) fn classified(&self, directory: &Path) -> Finding {
        let file = Part::Lines.path(directory, self.first);
        let Self { index, line, offset, .. } = *self;
        let one = index..index.saturating_add(1);
        let (what, entries) = match (self.belongs_to(directory), self.stands_later(&file)) {
            (Ok(None), Ok(false)) => (What::Changed, one),
            (Ok(None), Ok(true)) => (What::Inserted, one),
            (Ok(Some(later)), Ok(false)) => (What::Removed, index..later),
            (Ok(Some(later)), Ok(true)) => (What::Reordered, index..later.saturating_add(1)),
            (Err(error), _) | (_, Err(error)) => (What::Unreadable(error.kind()), one),
        };
        Finding { what, file, line, offset, entries }
    }

    /// Which later entry of the segment the line is.
    fn belongs_to(&self, directory: &Path) -> io::Result<Option<u64>> {
        let mut later = self.index.saturating_add(1);
        let mut hashes = HashReader::open(directory, self.first, later.saturating_sub(self.first))?;
        while let Some(hash) = hashes.next()? {
            if hash == self.leaf {
                return Ok(Some(later));
            }
            later = later.saturating_add(1);
        }
        Ok(None)
    }

    /// Whether the entry that should be here stands further down.
    fn stands_later(&self, file: &Path) -> io::Result<bool> {
        let mut reader = LineReader::at(File::open(file)?, self.offset)?;
        while let Line::Whole(line) = reader.next()? {
            if Hash::leaf(line) == self.stored {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test counts without fear")]
mod tests {
    use super::*;

    /// Writes `lines` beside the hashes of `written`, and asks about the first line that differs.
    fn check(written: &str, lines: &str, expected: (What, std::ops::Range<u64>)) {
        let directory = tempfile::tempdir().unwrap();
        let first = 40;
        let hash = |line: char| Hash::leaf(line.to_string().as_bytes());
        let hashes: Vec<u8> = written.chars().flat_map(|line| *hash(line).as_bytes()).collect();
        std::fs::write(Part::Hashes.path(directory.path(), first), hashes).unwrap();
        let text: String = lines.chars().map(|line| format!("{line}\n")).collect();
        std::fs::write(Part::Lines.path(directory.path(), first), text).unwrap();
        let pairs = lines.chars().zip(written.chars());
        let (at, (line, stored)) = pairs.enumerate().find(|(_, (line, stored))| line != stored).unwrap();
        let at = at as u64;
        let suspect = Suspect {
            first,
            index: first + at,
            line: at + 1,
            offset: at * 2,
            leaf: hash(line),
            stored: hash(stored),
        };
        let finding = suspect.classified(directory.path());
        assert_eq!((finding.what, finding.entries), expected, "{written} became {lines}");
        assert_eq!((finding.line, finding.offset), (at + 1, at * 2));
    }

    #[test]
    fn what_was_done_is_told_by_where_else_line_and_hash_occur() {
        check("abcdef", "abxdef", (What::Changed, 42..43));
        check("abcdef", "abdef", (What::Removed, 42..43));
        check("abcdef", "aef", (What::Removed, 41..44));
        check("abcdef", "abxcdef", (What::Inserted, 42..43));
        check("abcdef", "abbcdef", (What::Inserted, 42..43));
        check("abcdef", "abdcef", (What::Reordered, 42..44));
        check("abcdef", "fbcdea", (What::Reordered, 40..46));
        check("abcdef", "xyzxyz", (What::Changed, 40..41));
    }

    #[test]
    fn files_that_cannot_be_read_are_told_as_such() {
        let hash = Hash::leaf(b"x");
        let suspect = Suspect { first: 0, index: 2, line: 3, offset: 9, leaf: hash, stored: hash };
        let nowhere = suspect.classified(Path::new("/nowhere"));
        assert_eq!(nowhere.what, What::Unreadable(io::ErrorKind::NotFound));
    }
}
