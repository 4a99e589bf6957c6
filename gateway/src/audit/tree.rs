//! Which one hash stands for all entries, and which few hashes prove that an entry is among them?
//!
//! The Merkle tree of RFC 6962 section 2.1 over hashes alone. It knows no files and no signatures.

use std::fmt;
use std::ops::Range;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// A SHA-256 value: of a leaf, of a node, or of a whole tree. Shown as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Hash([u8; Hash::BYTES]);

impl Hash {
    /// How many bytes a hash has.
    pub const BYTES: usize = 32;

    /// The hash that these bytes are.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The hash of an entry, which is the exact bytes of a line without its line feed.
    #[must_use]
    pub fn leaf(entry: &[u8]) -> Self {
        // RFC 6962 section 2.1: leaves and nodes are hashed under different prefixes, so that neither
        // can pass for the other.
        Self::over(&[&[0x00], entry])
    }

    fn node(left: Self, right: Self) -> Self {
        Self::over(&[&[0x01], &left.0, &right.0])
    }

    fn over(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(part);
        }
        let mut bytes = [0; Self::BYTES];
        bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is written as 64 lower-case hex digits")]
pub struct NotAHash;

impl TryFrom<String> for Hash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte.wrapping_sub(b'0')),
            b'a'..=b'f' => Ok(byte.wrapping_sub(b'a').wrapping_add(10)),
            _ => Err(NotAHash),
        };
        let mut bytes = [0; Self::BYTES];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Self::BYTES || !rest.is_empty() {
            return Err(NotAHash);
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Ok(Self(bytes))
    }
}

/// A growing tree, kept as the roots of its perfect subtrees from the largest to the smallest: at
/// most 64 hashes, whatever the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` entries, if the number of `peaks` fits that size.
    #[must_use]
    pub fn resume(size: u64, peaks: Vec<Hash>) -> Option<Self> {
        (u32::try_from(peaks.len()) == Ok(size.count_ones())).then_some(Self { size, peaks })
    }

    /// The frontier of a tree over these leaves.
    #[must_use]
    pub fn over(leaves: impl IntoIterator<Item = Hash>) -> Self {
        let mut frontier = Self::default();
        leaves.into_iter().for_each(|leaf| frontier.push(leaf));
        frontier
    }

    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut peak = leaf;
        // Each low one bit of the size is a perfect subtree that the new leaf completes to a larger one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                peak = Hash::node(left, peak);
            }
        }
        self.peaks.push(peak);
        self.size = self.size.saturating_add(1);
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// The hash of the whole tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        // RFC 6962 section 2.1: the hash of an empty tree is the hash of an empty string.
        let root = self.peaks.iter().rev().copied().reduce(|right, left| Hash::node(left, right));
        root.unwrap_or_else(|| Hash::over(&[]))
    }
}

/// Whose roots prove the entry `index` in a tree of `size`: runs of leaves, nearest sibling first
/// (RFC 6962 section 2.1.1).
#[must_use]
pub fn inclusion_path(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while let Some(middle) = split(start, end) {
        if index < middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    path.reverse();
    path
}

/// Whose roots prove that a tree of `new` entries begins with the tree of its first `old` ones: runs
/// of leaves (RFC 6962 section 2.1.2). Nothing needs proof when `old` is 0 or `new`.
#[must_use]
pub fn consistency_path(old: u64, new: u64) -> Vec<Range<u64>> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut start, mut end) = (0, new);
    let mut path = Vec::new();
    while old != end
        && let Some(middle) = split(start, end)
    {
        if old <= middle {
            path.push(middle..end);
            end = middle;
        } else {
            path.push(start..middle);
            start = middle;
        }
    }
    // The old tree itself is known to who checks; any other subtree that ends with it is not.
    if start != 0 {
        path.push(start..end);
    }
    path.reverse();
    path
}

/// Where the left subtree of a run of leaves ends: at the largest power of two below its length.
fn split(start: u64, end: u64) -> Option<u64> {
    let last = end.checked_sub(start)?.checked_sub(1)?;
    start.checked_add(1_u64.checked_shl(last.checked_ilog2()?)?)
}

/// Whether `path` proves that `leaf` is the entry `index` of the tree `root` of `size` entries.
#[must_use]
pub fn proves_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash], root: Hash) -> bool {
    // RFC 9162 section 2.1.3.2 (RFC 6962 gives no algorithm for the check).
    let Some(last) = size.checked_sub(1).filter(|last| index <= *last) else { return false };
    let mut climb = Climb { node: index, last };
    let mut hash = leaf;
    for sibling in path {
        match climb.step() {
            Some(Side::Left) => hash = Hash::node(*sibling, hash),
            Some(Side::Right) => hash = Hash::node(hash, *sibling),
            None => return false,
        }
    }
    climb.last == 0 && hash == root
}

/// Whether `path` proves that the tree (`new_size`, `new_root`) begins with (`old_size`, `old_root`).
#[must_use]
pub fn proves_consistency(old: (u64, Hash), new: (u64, Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == 0 || old_size >= new_size {
        let empty = old_size == 0 && old_root == Frontier::default().root();
        return path.is_empty() && (empty || old == new);
    }
    // RFC 9162 section 2.1.4.2: a perfect old tree is itself the first node of the path.
    let (first, rest) = match path.split_first() {
        _ if old_size.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let last_of_old = old_size.saturating_sub(1);
    let up = last_of_old.trailing_ones();
    let shifted = |node: u64| node.checked_shr(up).unwrap_or(0);
    let mut climb = Climb { node: shifted(last_of_old), last: shifted(new_size.saturating_sub(1)) };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        match climb.step() {
            Some(Side::Left) => {
                old_hash = Hash::node(*sibling, old_hash);
                new_hash = Hash::node(*sibling, new_hash);
            }
            Some(Side::Right) => new_hash = Hash::node(new_hash, *sibling),
            None => return false,
        }
    }
    climb.last == 0 && old_hash == old_root && new_hash == new_root
}

/// The way from a node up to the root, one sibling a step.
struct Climb {
    node: u64,
    last: u64,
}

enum Side {
    Left,
    Right,
}

impl Climb {
    /// On which side the next sibling stands; none when the root has been reached already.
    fn step(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let is_right_child = !self.node.is_multiple_of(2);
        let side = if is_right_child || self.node == self.last {
            if !is_right_child {
                // The last node of an uneven level has no sibling there: it rises until it has one.
                let up = self.node.trailing_zeros();
                self.node = self.node.checked_shr(up).unwrap_or(0);
                self.last = self.last.checked_shr(up).unwrap_or(0);
            }
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Some(side)
    }
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

    /// The entries of the Certificate Transparency test vectors.
    const ENTRIES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];

    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| Hash::leaf(&n.to_be_bytes())).collect()
    }

    fn roots_of(leaves: &[Hash], path: Vec<Range<u64>>) -> Vec<Hash> {
        let part = |run: Range<u64>| leaves[run.start as usize..run.end as usize].to_vec();
        path.into_iter().map(|run| Frontier::over(part(run)).root()).collect()
    }

    /// RFC 6962 section 2.1, written as it stands there.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::over(&[]),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                Hash::node(root_by_definition(left), root_by_definition(right))
            }
        }
    }

    #[test]
    fn the_certificate_transparency_vectors_hold() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root().to_string(), ROOTS[0]);
        for (entry, root) in ENTRIES.iter().zip(&ROOTS[1..]) {
            frontier.push(Hash::leaf(entry));
            assert_eq!(frontier.root().to_string(), *root, "size {}", frontier.size());
        }
    }

    #[test]
    fn a_frontier_has_the_root_of_the_definition_at_every_size() {
        for size in 0..=130 {
            assert_eq!(Frontier::over(leaves(size)).root(), root_by_definition(&leaves(size)), "{size}");
        }
    }

    #[test]
    fn the_paths_are_those_of_the_example_in_rfc_6962() {
        // RFC 6962 section 2.1.3: the tree of seven leaves, d0 to d6.
        assert_eq!(inclusion_path(0, 7), [1..2, 2..4, 4..7]);
        assert_eq!(inclusion_path(3, 7), [2..3, 0..2, 4..7]);
        assert_eq!(inclusion_path(4, 7), [5..6, 6..7, 0..4]);
        assert_eq!(inclusion_path(6, 7), [4..6, 0..4]);
        assert_eq!(consistency_path(3, 7), [2..3, 3..4, 0..2, 4..7]);
        assert_eq!(consistency_path(4, 7), std::iter::once(4..7).collect::<Vec<_>>());
        assert_eq!(consistency_path(6, 7), [4..6, 6..7, 0..4]);
    }

    #[test]
    fn every_entry_of_every_tree_up_to_64_is_proven_and_no_other() {
        for size in 1..=64 {
            let leaves = leaves(size);
            let root = Frontier::over(leaves.clone()).root();
            for index in 0..size {
                let path = roots_of(&leaves, inclusion_path(index, size));
                let leaf = leaves[index as usize];
                assert!(proves_inclusion(leaf, index, size, &path, root), "{index} of {size}");
                assert!(!proves_inclusion(Hash::leaf(b"other"), index, size, &path, root));
                assert!(!proves_inclusion(leaf, index, size, &path, Hash::leaf(b"other")));
                assert!(!proves_inclusion(leaf, (index + 1) % size, size, &path, root) || size == 1);
                assert!(!proves_inclusion(leaf, size, size, &path, root));
                let longer: Vec<Hash> = path.iter().copied().chain([root]).collect();
                assert!(!proves_inclusion(leaf, index, size, &longer, root));
                if let Some((_, shorter)) = path.split_last() {
                    assert!(!proves_inclusion(leaf, index, size, shorter, root));
                }
            }
        }
    }

    #[test]
    fn every_tree_up_to_64_is_proven_to_grow_from_every_smaller_one() {
        let all = leaves(64);
        let tree = |size: u64| (size, Frontier::over(all[..size as usize].to_vec()).root());
        for new in 0..=64 {
            for old in 0..=new {
                let path = roots_of(&all, consistency_path(old, new));
                assert!(proves_consistency(tree(old), tree(new), &path), "{old} to {new}");
                let forged = (old, Hash::leaf(b"other"));
                assert!(!proves_consistency(forged, tree(new), &path), "forged {old} to {new}");
                if old > 0 {
                    assert!(!proves_consistency(tree(old), (new, Hash::leaf(b"other")), &path));
                }
                if !path.is_empty() {
                    assert!(!proves_consistency(tree(old), tree(new), &path[1..]), "{old} to {new}");
                }
            }
        }
    }

    #[test]
    fn a_frontier_resumes_only_with_as_many_peaks_as_its_size_has() {
        let frontier = Frontier::over(leaves(13));
        let resumed = Frontier::resume(13, frontier.peaks().to_vec());
        assert_eq!(resumed.as_ref(), Some(&frontier));
        assert_eq!(Frontier::resume(12, frontier.peaks().to_vec()), None);
        assert_eq!(Frontier::resume(0, Vec::new()), Some(Frontier::default()));
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_nothing_else_is() {
        let hash = Hash::leaf(b"x");
        assert_eq!(Hash::try_from(hash.to_string()), Ok(hash));
        let upper = hash.to_string().to_uppercase();
        for wrong in ["", "00", &ROOTS[0][..62], &format!("{hash}00"), &upper, &"zz".repeat(32)] {
            assert_eq!(Hash::try_from(wrong.to_owned()), Err(NotAHash), "{wrong}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
        #[test]
        fn large_trees_prove_any_entry_and_any_growth(size in 1_u64..300, a: u64, b: u64) {
            let (index, old) = (a % size, b % (size + 1));
            let leaves = leaves(size);
            let root = Frontier::over(leaves.clone()).root();
            let path = roots_of(&leaves, inclusion_path(index, size));
            proptest::prop_assert!(proves_inclusion(leaves[index as usize], index, size, &path, root));
            let old_root = Frontier::over(leaves[..old as usize].to_vec()).root();
            let path = roots_of(&leaves, consistency_path(old, size));
            proptest::prop_assert!(proves_consistency((old, old_root), (size, root), &path));
        }
    }
}
