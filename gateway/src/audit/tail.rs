//! What stands at the end of the log: which segment is being written, and what is new in it?
//!
//! Reads a segment on from a known place. It changes nothing; what to do about what it finds is the
//! journal's business.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::error::AuditError;
use super::segment::{HashReader, Header, Line, LineReader, Part};
use super::tree::{Frontier, Hash};

/// Where a log is and in what portions it is written.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) directory: PathBuf,
    pub(super) origin: String,
    pub(super) segment_bytes_max: u64,
    pub(super) segment_age_max: Duration,
    pub(super) checkpoint_every: NonZeroU64,
}

/// The segment that is being written.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) first: u64,
    pub(super) header: Option<Header>,
    pub(super) lines: Arc<File>,
    pub(super) hashes: File,
    /// How long the lines are, as far as they are in the tree.
    pub(super) bytes: u64,
}

/// What was read behind the known end of a segment.
pub(super) struct Found {
    pub(super) header: Option<Header>,
    pub(super) leaves: Vec<Hash>,
    /// How many of the leaves had their hash stored already.
    pub(super) stored: usize,
    pub(super) changed: Option<u64>,
    pub(super) end: u64,
    pub(super) torn: bool,
}

impl Tail {
    /// Whether the next lines belong into another segment.
    pub(super) fn is_over(&self, shape: &Shape, next: u64, bytes: u64, now: Timestamp) -> bool {
        let has_records = next > self.first.saturating_add(1);
        let is_full = self.bytes.saturating_add(bytes) > shape.segment_bytes_max;
        self.header.as_ref().is_some_and(|header| {
            let age_max = SignedDuration::try_from(shape.segment_age_max).unwrap_or(SignedDuration::MAX);
            let is_old = now.duration_since(header.opened) >= age_max;
            has_records && (is_full || is_old)
        })
    }

    /// Reads what stands behind the `known` entries.
    pub(super) fn read(&self, shape: &Shape, known: u64) -> Result<Found, AuditError> {
        let mut reader = LineReader::at(Arc::clone(&self.lines), self.bytes)?;
        let mut hashes = HashReader::open(&shape.directory, self.first, known)?;
        let mut found =
            Found { header: None, leaves: Vec::new(), stored: 0, changed: None, end: 0, torn: false };
        loop {
            match reader.next()? {
                Line::Whole(line) => {
                    if known == 0 && found.leaves.is_empty() {
                        found.header = Some(self.header_of(line, shape)?);
                    }
                    found.add(line, hashes.next()?, self.first.saturating_add(known));
                }
                Line::TooLong => return Err(self.misshapen(shape, reader.number().saturating_add(known))),
                Line::Torn(_) => {
                    found.torn = true;
                    break;
                }
                Line::End => break,
            }
        }
        found.end = reader.offset();
        Ok(found)
    }

    fn header_of(&self, line: &[u8], shape: &Shape) -> Result<Header, AuditError> {
        let header = Header::read(line).filter(|header| header.first == self.first);
        let header = header.ok_or_else(|| self.misshapen(shape, 0))?;
        if header.origin == shape.origin {
            Ok(header)
        } else {
            Err(AuditError::OtherLog { origin: header.origin })
        }
    }

    fn misshapen(&self, shape: &Shape, lines_before: u64) -> AuditError {
        let file = Part::Lines.path(&shape.directory, self.first);
        AuditError::Form { file, line: lines_before.saturating_add(1) }
    }
}

impl Found {
    /// Takes the next line. The hash that was stored when it was written counts: should the line have
    /// been changed since, the tree goes on as it was signed, and the change stays visible.
    fn add(&mut self, line: &[u8], stored: Option<Hash>, base: u64) {
        let leaf = Hash::leaf(line);
        if let Some(stored) = stored {
            self.stored = self.stored.saturating_add(1);
            if stored != leaf && self.changed.is_none() {
                let index = u64::try_from(self.leaves.len()).unwrap_or(u64::MAX);
                self.changed = Some(base.saturating_add(index));
            }
        }
        self.leaves.push(stored.unwrap_or(leaf));
    }
}

/// The tree over all entries before the segment that begins with `first`, as its header tells it.
pub(super) fn tree_before(directory: &Path, first: u64) -> Result<Option<Frontier>, AuditError> {
    if first == 0 {
        return Ok(Some(Frontier::default()));
    }
    let file = match File::open(Part::Lines.path(directory, first)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut reader = LineReader::at(file, 0)?;
    Ok(match reader.next()? {
        Line::Whole(line) => Header::read(line).filter(|h| h.first == first).and_then(|h| h.frontier()),
        Line::Torn(_) | Line::TooLong | Line::End => None,
    })
}
