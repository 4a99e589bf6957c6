//! What can go wrong with a log as a whole?

use std::io;
use std::path::PathBuf;

/// Why a log cannot be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The system refused to read or write.
    #[error("the audit directory cannot be used")]
    Io(#[from] io::Error),
    /// Everybody on the machine may write in the directory.
    #[error("everybody may write in the audit directory")]
    Exposed,
    /// The directory holds the log of another gateway.
    #[error("the audit directory belongs to the log `{origin}`")]
    OtherLog {
        /// The name of that log.
        origin: String,
    },
    /// What stands in the files is not what was signed.
    #[error("the first {size} entries are not those that were signed")]
    Disagrees {
        /// How many entries the checkpoint covers.
        size: u64,
    },
    /// Entries that were signed are no longer there.
    #[error("{signed} entries were signed and {found} are there")]
    Missing {
        /// How many entries the last checkpoint covers.
        signed: u64,
        /// How many are there.
        found: u64,
    },
    /// A file became shorter while the gateway was writing it.
    #[error("a segment became shorter while it was in use")]
    Shortened,
    /// A line is not what stands in a log at that place.
    #[error("line {line} of `{}` is not of the form of an audit log", file.display())]
    Form {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// There is no such entry, or no checkpoint covers it yet.
    #[error("no checkpoint covers {size} entries")]
    NotCovered {
        /// How many entries a checkpoint would have to cover.
        size: u64,
    },
}
