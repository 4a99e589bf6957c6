//! Where does a holding come from, and what does that give now?

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::fault::{KeyringFault, Unusable};
use crate::fetch::Trust;
use crate::vault::CertificateOrder;

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
    /// A server, which is asked now and then.
    Remote(Arc<Remote>),
    /// What a test gives.
    #[cfg(test)]
    Given(Vec<Vec<u8>>),
}

/// A server that is asked now and then. Nobody waits for it: until it has answered there is nothing, or what
/// it answered last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Who is asked for what.
    pub origin: Origin,
    /// How often, unless what comes says so itself.
    pub refresh: Duration,
    /// Where the last good answer is kept for the next start; never a key.
    pub kept: Option<PathBuf>,
}

/// Who is asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file on a server.
    Url {
        /// `https:`, or `http:` on this machine.
        url: String,
        /// Whom to believe to be the server, and how long to wait for it.
        trust: Trust,
    },
    /// A certificate that Vault issues for a key made here.
    Issued {
        /// What is ordered.
        order: CertificateOrder,
        /// At how many thousandths of its life the next one is ordered.
        renew_at: u32,
    },
    /// The revocation list of a PKI mount of Vault.
    List {
        /// The mount.
        mount: String,
    },
}

/// What a source gives: one piece for each file, a key's among them.
pub(super) type Pieces = Vec<Zeroizing<Vec<u8>>>;

/// What files look like from outside; what cannot be read looks like what is not there.
pub(super) type Look = Vec<Option<(u64, Option<SystemTime>, u64)>>;

impl Source {
    /// The sort of it, for operators.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Pair { .. } => "file",
            Self::Remote(remote) => match remote.origin {
                Origin::Url { .. } => "url",
                Origin::Issued { .. } | Origin::List { .. } => "vault",
            },
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
        match self {
            Self::Remote(remote) => remote.name(),
            _ => self
                .files()
                .get(piece)
                .map_or_else(|| self.kind().to_owned(), |file| file.display().to_string()),
        }
    }

    pub(super) fn look(&self) -> Look {
        self.files().into_iter().map(look).collect()
    }

    /// Everything in its files.
    pub(super) fn read_files(&self, bytes_max: u64) -> Result<Pieces, KeyringFault> {
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
            Self::Remote(_) => Vec::new(),
            #[cfg(test)]
            Self::Given(_) => Vec::new(),
        }
    }
}

impl Remote {
    /// Without a query, which may hold what a status page must not.
    fn name(&self) -> String {
        match &self.origin {
            Origin::Url { url, .. } => url.split(['?', '#']).next().unwrap_or_default().to_owned(),
            Origin::Issued { order, .. } => {
                let names = order.dns.iter().chain(&order.uris).map(String::as_str);
                let name = names.chain(order.common_name.as_deref()).next().unwrap_or("-");
                format!("vault:{}/{} {name}", order.mount, order.role)
            }
            Origin::List { mount } => format!("vault:{mount}"),
        }
    }
}

fn look(file: &Path) -> Option<(u64, Option<SystemTime>, u64)> {
    let about = std::fs::metadata(file).ok()?;
    let inode = std::os::unix::fs::MetadataExt::ino(&about);
    Some((about.len(), about.modified().ok(), inode))
}

pub(super) fn read(file: &Path, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Unusable> {
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
