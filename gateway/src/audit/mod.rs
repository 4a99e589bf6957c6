//! What happened?
//!
//! This room keeps one [`Record`] for every request in an append-only [`Log`], lets an auditor
//! [`verify`] that nothing was changed since, and answers a [`Query`]. It takes plain values and knows
//! no other room. Who may rely on what is in `decisions/0004-audit-log-format.md`.
//!
//! # The form of a log
//!
//! A log is a directory. It is cut into segments; each has up to three files, named by the index of
//! its first entry in twenty digits:
//!
//! * `NNNNNNNNNNNNNNNNNNNN.jsonl`: the entries, one line each, ended by a line feed. The first line of
//!   a segment is its header; every other line is a record as JSON. Header or record, each line is one
//!   entry, and entries are numbered from 0 through all segments.
//! * `NNNNNNNNNNNNNNNNNNNN.hashes`: the leaf hash of each line, 32 bytes each. A copy, not a source:
//!   it shows *where* a line was changed and makes proofs fast. Without it everything can be verified.
//! * `NNNNNNNNNNNNNNNNNNNN.checkpoints`: signed checkpoints, each followed by an empty line.
//!
//! The header is `{"segment":{"format":1,"origin":..,"first":..,"opened":..,"checkpoint_every":..,
//! "peaks":[..]}}`: the name of the log, the index of the header itself, the time, the rule for
//! checkpoints, and the roots of the perfect subtrees over all entries before, largest first, as hex.
//!
//! The tree is that of RFC 6962 section 2.1: a leaf is SHA-256 of the byte 0 and the exact bytes of a
//! line without its line feed; a node is SHA-256 of the byte 1, the left and the right hash. A
//! checkpoint is a C2SP tlog-checkpoint with an Ed25519 signature; the key is named like the log. It
//! stands in the segment of the last entry it covers. There is one wherever the number of entries is
//! a multiple of `checkpoint_every`, one at the end of each segment but the last, and others between.
//!
//! # How to verify it with fifty lines of your own
//!
//! 1. Take the `.jsonl` files in the order of their names. Each name must be the number of lines read
//!    so far, and each line must end with a line feed (what follows the last one in the last file is a
//!    line being written).
//! 2. Hash each line and push it on the tree.
//! 3. For each checkpoint in the files: check the signature over its first three lines, each with its
//!    line feed; and when as many entries are pushed as its second line says, the root of the tree in
//!    base64 must be its third line.
//! 4. Compare with a checkpoint that you kept: the same, at its size. Only that shows a log whose end
//!    was cut off, or which the holder of the key has written anew.
//!
//! Entries behind the last checkpoint are not proven yet. Other files in the directory are `lock`, held
//! while an entry is written; `probe`, written and removed when a disk had failed; and `.torn` files,
//! in which the unfinished ends of files are kept that a process left when it was killed.

pub mod checkpoint;
mod disk;
mod error;
mod finding;
mod journal;
mod log;
mod proof;
mod query;
mod record;
mod redaction;
#[cfg(test)]
mod samples;
mod segment;
mod state;
mod syncer;
pub mod tree;
mod verify;
mod writer;

pub use checkpoint::{Checkpoint, CheckpointError, KeyError, SigningKey, VerifierKey};
pub use error::AuditError;
pub use finding::{Finding, What};
pub use journal::Recovery;
pub use log::{Log, LogSettings, Lost, NotRecorded, Receipt, Strength};
pub use proof::{Growth, Inclusion, ProofError, prove, prove_growth};
pub use query::{Found, Query, query};
pub use record::{
    AnswerPart, CallPart, CallerPart, CredentialPart, Decision, LimitPart, Outcome, Record, UpstreamPart,
    ViolationPart,
};
pub use redaction::{Redacted, Redaction};
pub use state::{Failure, Health, LogState};
pub use verify::{Expected, Verified, verify};
