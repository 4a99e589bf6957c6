//! How does somebody without the log see that a record stands in it, or that it only grew?
//!
//! Proofs of a few hashes that hold against a checkpoint and a public key: of one entry as C2SP
//! tlog-proof, and of growth between two checkpoints. Made from the stored hashes, and checked before
//! they are handed out.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::checkpoint::{Checkpoint, CheckpointError, VerifierKey};
use super::error::AuditError;
use super::segment::{self, HashReader, Notes};
use super::tree::{Frontier, Hash, consistency_path, inclusion_path, proves_consistency, proves_inclusion};

/// That an entry stands in a log. Its `Display` is a C2SP tlog-proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    index: u64,
    path: Vec<Hash>,
    checkpoint: Checkpoint,
}

/// That a log has only grown since an earlier checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    path: Vec<Hash>,
    checkpoint: Checkpoint,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Not of the form of a proof.
    #[error("the text is not a proof")]
    Form,
    /// The checkpoint in it is not to be relied on.
    #[error("the checkpoint of the proof is not to be relied on")]
    Checkpoint(#[source] CheckpointError),
    /// The hashes lead elsewhere.
    #[error("the proof does not hold")]
    Wrong,
}

/// Proves the entry `index` of the log in `directory`, against the newest checkpoint one of `keys` signed.
///
/// # Errors
/// The log cannot be read, lacks segments, no checkpoint covers the entry yet, or what stands in the
/// directory does not fit together.
pub fn prove(directory: &Path, index: u64, keys: &[VerifierKey]) -> Result<Inclusion, AuditError> {
    let leaves = Leaves::of(directory)?;
    let checkpoint = leaves.newest_checkpoint(index.saturating_add(1), keys)?;
    let path = leaves.roots(inclusion_path(index, checkpoint.size()))?;
    let leaf = leaves.root(index..index.saturating_add(1))?;
    if proves_inclusion(leaf, index, checkpoint.size(), &path, checkpoint.root()) {
        Ok(Inclusion { index, path, checkpoint })
    } else {
        Err(AuditError::Disagrees { size: checkpoint.size() })
    }
}

/// Proves that the log in `directory` has only grown since `old`.
///
/// # Errors
/// As [`prove`]; also when the log has not grown from `old`.
pub fn prove_growth(directory: &Path, old: &Checkpoint, keys: &[VerifierKey]) -> Result<Growth, AuditError> {
    let leaves = Leaves::of(directory)?;
    let checkpoint = leaves.newest_checkpoint(old.size(), keys)?;
    let path = leaves.roots(consistency_path(old.size(), checkpoint.size()))?;
    let growth = Growth { path, checkpoint };
    if growth.holds(old) { Ok(growth) } else { Err(AuditError::Disagrees { size: old.size() }) }
}

impl Inclusion {
    /// Reads a C2SP tlog-proof, and checks its checkpoint with `keys` and its hashes for `entry`, which
    /// is the line of a record without its line feed.
    ///
    /// # Errors
    /// The proof does not prove that.
    pub fn check(text: &str, entry: &[u8], keys: &[VerifierKey]) -> Result<Self, ProofError> {
        let (head, note) = text.split_once("\n\n").ok_or(ProofError::Form)?;
        let mut lines = head.lines();
        if lines.next() != Some(VERSION) {
            return Err(ProofError::Form);
        }
        // C2SP tlog-proof: a line of extra data may come first; nothing here relies on it.
        let line = lines.next().filter(|line| !line.starts_with("extra ")).or_else(|| lines.next());
        let digits = line.and_then(|line| line.strip_prefix("index ")).ok_or(ProofError::Form)?;
        let index: u64 = digits.parse().map_err(|_not_a_number| ProofError::Form)?;
        let path = lines.map(read_hash).collect::<Option<Vec<Hash>>>().ok_or(ProofError::Form)?;
        if index.to_string() != digits {
            return Err(ProofError::Form);
        }
        let checkpoint = Checkpoint::open(note, keys).map_err(ProofError::Checkpoint)?;
        let (size, root) = (checkpoint.size(), checkpoint.root());
        if proves_inclusion(Hash::leaf(entry), index, size, &path, root) {
            Ok(Self { index, path, checkpoint })
        } else {
            Err(ProofError::Wrong)
        }
    }

    /// Which entry of the log it is.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The checkpoint against which it is proven.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl fmt::Display for Inclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{VERSION}\nindex {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint.note())
    }
}

impl Growth {
    /// Whether this proves that the log has only grown since `old`.
    #[must_use]
    pub fn holds(&self, old: &Checkpoint) -> bool {
        let new = (self.checkpoint.size(), self.checkpoint.root());
        old.origin() == self.checkpoint.origin()
            && proves_consistency((old.size(), old.root()), new, &self.path)
    }

    /// The hashes of the proof (RFC 6962 section 2.1.2).
    #[must_use]
    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    /// The newer checkpoint.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

fn read_hash(line: &str) -> Option<Hash> {
    Some(Hash::new(BASE64.decode(line).ok()?.try_into().ok()?))
}

/// The stored hashes of a whole log.
struct Leaves<'a> {
    directory: &'a Path,
    firsts: BTreeSet<u64>,
}

impl<'a> Leaves<'a> {
    fn of(directory: &'a Path) -> Result<Self, AuditError> {
        Ok(Self { directory, firsts: segment::list(directory)? })
    }

    fn newest_checkpoint(&self, size_min: u64, keys: &[VerifierKey]) -> Result<Checkpoint, AuditError> {
        for first in self.firsts.iter().rev() {
            let notes = Notes::read(self.directory, *first)?.notes;
            let good = notes.iter().filter_map(|(_, note)| Checkpoint::open(note, keys).ok());
            if let Some(newest) = good.max_by_key(Checkpoint::size) {
                let covers = newest.size() >= size_min;
                return if covers { Ok(newest) } else { Err(AuditError::NotCovered { size: size_min }) };
            }
        }
        Err(AuditError::NotCovered { size: size_min })
    }

    fn roots(&self, runs: Vec<Range<u64>>) -> Result<Vec<Hash>, AuditError> {
        runs.into_iter().map(|run| self.root(run)).collect()
    }

    /// The root over a run of leaves, read one by one.
    fn root(&self, run: Range<u64>) -> Result<Hash, AuditError> {
        let mut tree = Frontier::default();
        let mut at = run.start;
        while at < run.end {
            let missing = AuditError::Missing { signed: run.end, found: at };
            let Some(first) = self.firsts.range(..=at).next_back() else { return Err(missing) };
            let mut hashes = HashReader::open(self.directory, *first, at.saturating_sub(*first))?;
            let next = self.firsts.range(at.saturating_add(1)..).next().copied().unwrap_or(u64::MAX);
            while at < run.end.min(next) {
                let Some(hash) = hashes.next()? else { return Err(missing) };
                tree.push(hash);
                at = at.saturating_add(1);
            }
        }
        Ok(tree.root())
    }
}

/// C2SP tlog-proof: the first line.
const VERSION: &str = "c2sp.org/tlog-proof@v1";

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
    use crate::audit::segment::Part;

    fn keys() -> Vec<VerifierKey> {
        vec![samples::key().verifier().clone()]
    }

    /// Several segments, signed up to the multiple of eight before the end.
    fn log(directory: &Path) -> Vec<Checkpoint> {
        let mut shape = shape(directory);
        shape.segment_bytes_max = 3_000;
        let mut journal = Journal::open(shape, Disk::default()).unwrap();
        for n in 0..40 {
            journal.commit(std::iter::once(samples::line(n).as_slice()), time(n)).unwrap();
        }
        let mut signed = Vec::new();
        for due in journal.take_due() {
            let checkpoint = samples::key().sign(due.size, due.root);
            let path = Part::Checkpoints.path(directory, due.first);
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            std::fs::write(path, format!("{before}{}\n", checkpoint.note())).unwrap();
            signed.push(checkpoint);
        }
        signed
    }

    fn entries(directory: &Path) -> Vec<String> {
        let firsts = segment::list(directory).unwrap();
        let read = |first| std::fs::read_to_string(Part::Lines.path(directory, first)).unwrap();
        firsts.into_iter().map(read).collect::<String>().lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_signed_entry_is_proven_to_somebody_who_has_only_the_key() {
        let directory = tempfile::tempdir().unwrap();
        let last = log(directory.path()).pop().unwrap();
        for (index, entry) in (0..last.size()).zip(entries(directory.path())) {
            let text = prove(directory.path(), index, &keys()).unwrap().to_string();
            let proven = Inclusion::check(&text, entry.as_bytes(), &keys()).unwrap();
            assert_eq!((proven.index(), proven.checkpoint()), (index, &last));
            let other = Inclusion::check(&text, format!("{entry} ").as_bytes(), &keys());
            assert_eq!(other, Err(ProofError::Wrong));
        }
    }

    #[test]
    fn what_no_checkpoint_covers_is_not_proven() {
        let directory = tempfile::tempdir().unwrap();
        let last = log(directory.path()).pop().unwrap();
        let refused = prove(directory.path(), last.size(), &keys()).unwrap_err();
        assert!(matches!(refused, AuditError::NotCovered { size } if size == last.size() + 1));
        assert!(matches!(prove(directory.path(), 1, &[]), Err(AuditError::NotCovered { .. })));
        std::fs::remove_file(Part::Hashes.path(directory.path(), 0)).unwrap();
        assert!(matches!(prove(directory.path(), 1, &keys()), Err(AuditError::Missing { .. })));
    }

    #[test]
    fn a_proof_in_any_other_form_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        log(directory.path());
        let entry = entries(directory.path()).swap_remove(9);
        let text = prove(directory.path(), 9, &keys()).unwrap().to_string();
        let check = |text: &str, expected: ProofError| {
            assert_eq!(Inclusion::check(text, entry.as_bytes(), &keys()), Err(expected), "{text}");
        };
        check("", ProofError::Form);
        check(&text.replacen("@v1", "@v2", 1), ProofError::Form);
        check(&text.replacen("index 9", "index 09", 1), ProofError::Form);
        check(&text.replacen("index 9", "index x", 1), ProofError::Form);
        check(&text.replacen("index 9", "9", 1), ProofError::Form);
        check(&text.replacen("index 9", "index 8", 1), ProofError::Wrong);
        check(&text.replacen("index 9\n", "index 9\nAAAA\n", 1), ProofError::Form);
        check(&text.replacen("gateway", "getaway", 1), ProofError::Checkpoint(CheckpointError::Signature));
        let extra = text.replacen("index 9", "extra eA==\nindex 9", 1);
        assert!(Inclusion::check(&extra, entry.as_bytes(), &keys()).is_ok());
    }

    #[test]
    fn growth_is_proven_from_every_checkpoint_and_from_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let signed = log(directory.path());
        for old in &signed {
            let growth = prove_growth(directory.path(), old, &keys()).unwrap();
            assert_eq!(Some(growth.checkpoint()), signed.last());
            assert!(growth.holds(old));
            let forked = samples::key().sign(old.size(), Hash::leaf(b"x"));
            assert!(!growth.holds(&forked));
            let refused = prove_growth(directory.path(), &forked, &keys()).unwrap_err();
            assert!(matches!(refused, AuditError::Disagrees { .. }));
        }
        let growth = prove_growth(directory.path(), &signed[0], &keys()).unwrap();
        assert!(!growth.path().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_as_a_proof_without_panic(text in "(c2sp.org/tlog-proof@v1\n)?(index [0-9]{0,3}\n)?(.|\n){0,100}") {
            proptest::prop_assert!(Inclusion::check(&text, b"", &[]).is_err());
        }
    }
}
