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
mod keeper;
mod log;
mod notary;
mod pace;
mod proof;
mod query;
mod record;
mod redaction;
#[cfg(test)]
mod samples;
mod segment;
mod signer;
mod state;
mod suspect;
mod syncer;
mod tail;
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
    ActorPart, AnswerPart, CallPart, CallerPart, CertificatePart, CredentialPart, Decision, LifecyclePart,
    LimitPart, OrderPart, Outcome, Record, UpstreamPart, ViolationPart,
};
pub use redaction::{Redacted, Redaction};
pub use signer::{Ask, Elsewhere, Signer};
pub use state::{Failure, Health, LogState, Signing};
pub use verify::{Expected, Verified, verify};

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use ring::signature::{ED25519, UnparsedPublicKey};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn sha256(parts: &[&[u8]]) -> Vec<u8> {
        ring::digest::digest(&ring::digest::SHA256, &parts.concat()).as_ref().to_vec()
    }

    fn root(leaves: &[Vec<u8>]) -> Vec<u8> {
        match leaves {
            [] => sha256(&[]),
            [leaf] => leaf.clone(),
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                sha256(&[&[1], &root(left), &root(right)])
            }
        }
    }

    /// The four steps of the text above, with nothing of this room: the sizes that are proven.
    fn own_verifier(directory: &Path, public_key: &[u8], kept: &str) -> Result<Vec<usize>, String> {
        let files = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
        let files: BTreeMap<String, String> = files
            .filter(|path| path.extension().is_some_and(|e| e == "jsonl" || e == "checkpoints"))
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                (name, std::fs::read_to_string(path).unwrap())
            })
            .collect();
        let mut leaves = Vec::new();
        for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".jsonl")) {
            if *name != format!("{:020}.jsonl", leaves.len()) {
                return Err(format!("{name} begins at {}", leaves.len()));
            }
            leaves.extend(text.lines().map(|line| sha256(&[&[0], line.as_bytes()])));
        }
        let notes =
            files.iter().filter(|(name, _)| name.ends_with(".checkpoints")).map(|(_, text)| text.as_str());
        let mut proven = Vec::new();
        for note in notes.chain([kept]) {
            let blocks: Vec<&str> = note.split_terminator("\n\n").collect();
            for pair in blocks.chunks(2) {
                let text = format!("{}\n", pair[0]);
                let signature = BASE64.decode(pair[1].trim_end().rsplit(' ').next().unwrap()).unwrap();
                let key = UnparsedPublicKey::new(&ED25519, public_key);
                key.verify(text.as_bytes(), &signature[4..])
                    .map_err(|_unspecified| "signature".to_owned())?;
                let lines: Vec<&str> = text.lines().collect();
                let size: usize = lines[1].parse().unwrap();
                let covered = leaves.get(..size).ok_or("cut off")?;
                if BASE64.encode(root(covered)) != lines[2] {
                    return Err(format!("changed before {size}"));
                }
                proven.push(size);
            }
        }
        Ok(proven)
    }

    #[test]
    fn the_form_described_above_is_enough_to_write_a_verifier() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = LogSettings::new(directory.path().to_owned(), samples::key());
        settings.segment_bytes_max = 5_000;
        let (log, _) = Log::open(settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for n in 0..40 {
            runtime.block_on(log.append(&samples::record(n), Strength::Written)).unwrap();
        }
        log.close().unwrap();
        let kept = log.state().checkpoint.unwrap();
        let vkey = samples::key().verifier().to_string();
        let public = BASE64.decode(vkey.splitn(3, '+').last().unwrap()).unwrap()[1..].to_vec();
        let proven = own_verifier(directory.path(), &public, kept.note()).unwrap();
        assert!(proven.len() > 3);
        assert_eq!(proven.last().copied(), usize::try_from(log.state().size).ok());
        let first = directory.path().join("00000000000000000000.jsonl");
        let text = std::fs::read_to_string(&first).unwrap();
        std::fs::write(&first, text.replacen("r-3", "r-x", 1)).unwrap();
        assert!(own_verifier(directory.path(), &public, kept.note()).unwrap_err().starts_with("changed"));
    }
}
