//! Where does a holding come from, and what does that give now?

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::fault::{KeyringFault, Unusable};

/// Where a holding comes from. Two with the same source are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// A certificate chain and its private key.
    Pair {
        /// The certificate and its intermediates.
        chain: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// What a test gives.
    #[cfg(test)]
    Given(Vec<Vec<u8>>),
}

/// What a source gives: one piece for each file, a key's among them.
pub(super) type Pieces = Vec<Zeroizing<Vec<u8>>>;

/// What files look like from outside; what cannot be read looks like what is not there.
pub(super) type Look = Vec<Option<(u64, Option<SystemTime>, u64)>>;

impl Source {
    /// The sort of it, for operators.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Pair { .. } => "file",
            #[cfg(test)]
            Self::Given(_) => "test",
        }
    }

    /// What it is called where it is told of.
    #[must_use]
    pub fn name(&self) -> String {
        self.name_of(0)
    }

    /// What one piece of it is called.
    pub(super) fn name_of(&self, piece: usize) -> String {
        self.files().get(piece).map_or_else(|| self.kind().to_owned(), |file| file.display().to_string())
    }

    pub(super) fn look(&self) -> Look {
        self.files().into_iter().map(look).collect()
    }

    /// Everything in its files.
    pub(super) fn read(&self, bytes_max: u64) -> Result<Pieces, KeyringFault> {
        #[cfg(test)]
        if let Self::Given(pieces) = self {
            return Ok(pieces.iter().cloned().map(Zeroizing::new).collect());
        }
        let read = |file: &Path| {
            read(file, bytes_max).map_err(|why| KeyringFault { name: file.display().to_string(), why })
        };
        self.files().into_iter().map(read).collect()
    }

    fn files(&self) -> Vec<&Path> {
        match self {
            Self::File(file) => vec![file],
            Self::Pair { chain, key } => vec![chain, key],
            #[cfg(test)]
            Self::Given(_) => Vec::new(),
        }
    }
}

fn look(file: &Path) -> Option<(u64, Option<SystemTime>, u64)> {
    let about = std::fs::metadata(file).ok()?;
    let inode = std::os::unix::fs::MetadataExt::ino(&about);
    Some((about.len(), about.modified().ok(), inode))
}

fn read(file: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let unreadable = |fault: std::io::Error| Unusable::Unreadable(fault.kind());
    let opened = File::open(file).map_err(unreadable)?;
    let length = opened.metadata().map_err(unreadable)?.len().min(bytes_max);
    // Of the right size from the start: a buffer that grows leaves copies of a key behind.
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0).saturating_add(1)));
    opened.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
        Ok(bytes)
    } else {
        Err(Unusable::TooLarge)
    }
}
