//! What is held now of one source, and may what comes next replace it?

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use tokio::sync::Notify;

use super::fault::{KeyringFault, Unusable};
use super::remote::Flight;
use super::roots::Roots;
use super::source::{Look, Pieces, Remote, Source};
use super::{Expiry, Trouble};

/// What can be held.
pub(super) trait Content: Sized + Send + Sync + 'static {
    /// What operators call it.
    const WHAT: &'static str;
    /// No file of this kind is larger.
    const BYTES_MAX: u64;

    /// Reads the pieces of its source.
    fn parse(pieces: &Pieces) -> Result<Self, Misfit>;

    /// Whether it may be held.
    fn follows(&self, judged: &Judged<'_, Self>) -> Result<(), Unusable>;

    /// When it ends, or the first part of it that has not ended yet.
    fn ends(&self) -> Option<Timestamp>;

    /// How long what came from a server serves before it is asked again.
    fn renew_after(&self, remote: &Remote, _now: Timestamp) -> Duration {
        remote.refresh
    }
}

/// What decides whether something may be held.
pub(super) struct Judged<'a, T> {
    /// What it would replace.
    pub(super) before: Option<&'a T>,
    /// The authorities that must have signed it, where there are such.
    pub(super) signers: Option<&'a Roots>,
    /// Whether it came over a network.
    pub(super) remote: bool,
    pub(super) now: Timestamp,
}

/// Which piece of a source cannot be used, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) piece: usize,
    pub(super) why: Unusable,
}

impl From<Unusable> for Misfit {
    fn from(why: Unusable) -> Self {
        Self { piece: 0, why }
    }
}

/// One certificate with its key, one file of roots, one revocation list: whatever it is now.
pub struct Holding<T> {
    source: Source,
    signers: Option<Arc<Holding<Roots>>>,
    held: ArcSwapOption<Held<T>>,
    state: Mutex<State>,
    /// Told when a server has answered or failed to.
    pub(super) landed: Notify,
}

/// What is held of a source since some moment.
#[derive(Debug)]
pub struct Held<T> {
    /// The content.
    pub content: T,
    /// Differs from that of everything else this process ever held.
    pub generation: u64,
    /// Of the bytes it was read from: the same bytes are the same content.
    digest: Box<[u8]>,
}

/// How the bringing up to date goes.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What the files looked like when they were last read.
    read: Look,
    /// What they looked like a moment ago.
    before: Look,
    /// Why what is there now is not held.
    pub(super) fault: Option<KeyringFault>,
    /// How asking the server goes, where there is one.
    pub(super) flight: Flight,
}

impl<T> Holding<T> {
    pub(super) fn new(source: Source, signers: Option<Arc<Holding<Roots>>>) -> Self {
        Self { source, signers, held: ArcSwapOption::empty(), state: Mutex::default(), landed: Notify::new() }
    }

    /// What is held now.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Held<T>>> {
        self.held.load_full()
    }

    /// Of what is held now; zero while that is nothing.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.held.load().as_ref().map_or(0, |held| held.generation)
    }

    /// Where it comes from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn is_of(&self, source: &Source, signers: Option<&Arc<Holding<Roots>>>) -> bool {
        let same_signers = match (&self.signers, signers) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.source == *source && same_signers
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Each of its parts is whole whatever happens to whoever holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(private_bounds, reason = "what needs the bound is for this room alone")]
impl<T: Content> Holding<T> {
    /// Reads the files now, whether they look changed or not.
    pub(super) fn read(&self, now: Timestamp) -> Result<(), KeyringFault> {
        if let Source::Remote(remote) = &self.source {
            self.read_kept(remote, now);
            return Ok(());
        }
        // Looked at before: what changes while they are read is a change still.
        let look = self.source.look();
        let outcome = self.source.read_files(T::BYTES_MAX).and_then(|pieces| self.adopt(&pieces, now));
        let mut state = self.state();
        state.read = look;
        state.fault = outcome.clone().err();
        outcome
    }

    /// Reads the files if they have changed and rest, or if what was in them could not be held.
    pub(super) fn look(&self, now: Timestamp) {
        if matches!(self.source, Source::Remote(_)) {
            return;
        }
        let look = self.source.look();
        let mut state = self.state();
        // Two equal looks in a row are the pause that lets a writer finish.
        let rests = state.before == look;
        state.before.clone_from(&look);
        let known = state.read == look && state.fault.is_none();
        let fault_before = state.fault.clone();
        drop(state);
        if known || !rests {
            return;
        }
        if let Err(fault) = self.read(now)
            && fault_before.as_ref() != Some(&fault)
        {
            let (name, why) = (&fault.name, fault.why);
            tracing::error!(what = T::WHAT, name, %why, "this does not replace what is held");
        }
    }

    /// Holds what is in these pieces, if it is good.
    pub(super) fn adopt(&self, pieces: &Pieces, now: Timestamp) -> Result<(), KeyringFault> {
        let digest = digest(pieces);
        let before = self.held.load_full();
        if before.as_ref().is_some_and(|before| before.digest == digest) {
            return Ok(());
        }
        let fault =
            |misfit: Misfit| KeyringFault { name: self.source.name_of(misfit.piece), why: misfit.why };
        let content = T::parse(pieces).map_err(fault)?;
        let replaced = before.as_ref().map(|before| &before.content);
        let signers = self.signers.as_ref().and_then(|signers| signers.current());
        let signers = signers.as_ref().map(|signers| &signers.content);
        let remote = matches!(self.source, Source::Remote(_));
        content
            .follows(&Judged { before: replaced, signers, remote, now })
            .map_err(|why| fault(why.into()))?;
        if replaced.is_some() {
            let ends = content.ends().map(|ends| ends.to_string());
            tracing::info!(what = T::WHAT, name = self.source.name(), ends, "a new one is held");
        }
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        self.held.store(Some(Arc::new(Held { content, generation, digest })));
        Ok(())
    }

    pub(super) fn expiry(&self) -> Option<Expiry> {
        let ends = self.held.load().as_ref()?.content.ends()?;
        Some(Expiry { what: T::WHAT, name: self.source.name(), ends, source: self.source.kind() })
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        let empty = self.held.load().is_none();
        let (name, reason) = match self.state().fault.clone() {
            Some(fault) => (fault.name, fault.why.reason()),
            None if empty => (self.source.name(), "not-yet"),
            None => return None,
        };
        Some(Trouble { what: T::WHAT, name, reason, empty })
    }
}

// Never the content: it may be a key.
impl<T> fmt::Debug for Holding<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holding")
            .field("name", &self.source.name())
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

fn digest(pieces: &Pieces) -> Box<[u8]> {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(piece);
    }
    context.finish().as_ref().into()
}

/// Zero is nothing.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);
