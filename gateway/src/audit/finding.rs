//! What was done to a log, and where is it seen first?

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::checkpoint::CheckpointError;

/// The first place where a log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was done there.
    pub what: What,
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; for hashes the number of the hash.
    pub line: u64,
    /// Where that line begins, in bytes.
    pub offset: u64,
    /// The entries that cannot be relied on: one, where the place is exact; all since the last good
    /// checkpoint, where someone took care to hide it.
    pub entries: Range<u64>,
}

/// What was done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An entry is not what was written.
    Changed,
    /// Entries are gone.
    Removed,
    /// Something stands there that was not written.
    Inserted,
    /// An entry stands at another place than it was written.
    Reordered,
    /// A signed entry has lost its end.
    TornTail,
    /// A checkpoint does not hold.
    BadCheckpoint(CheckpointError),
    /// A checkpoint that the log must have is gone.
    CheckpointRemoved,
    /// All fits together, and not to the checkpoint that was kept elsewhere: who has the signing key
    /// has rewritten the log.
    Forked,
    /// The entries are proven, but not the hashes kept beside them.
    HashesChanged,
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("changed"),
            Self::Removed => f.write_str("removed"),
            Self::Inserted => f.write_str("inserted"),
            Self::Reordered => f.write_str("moved"),
            Self::TornTail => f.write_str("cut off"),
            Self::BadCheckpoint(error) => write!(f, "checkpoint not to be relied on: {error}"),
            Self::CheckpointRemoved => f.write_str("checkpoint removed"),
            Self::Forked => f.write_str("not the log of the checkpoint kept elsewhere"),
            Self::HashesChanged => f.write_str("stored hash changed, the entry itself is proven"),
            Self::Unreadable(kind) => write!(f, "cannot be read: {kind}"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, file, line, offset, entries } = self;
        let last = entries.end.saturating_sub(1);
        write!(f, "{}:{line}: {what} (byte {offset}, ", file.display())?;
        match last.saturating_sub(entries.start) {
            0 => write!(f, "entry {})", entries.start),
            _ => write!(f, "somewhere in the entries {} to {last})", entries.start),
        }
    }
}

impl std::error::Error for Finding {}
