//! Which certificates, keys, trust bundles and revocation lists does the gateway hold, where do they come
//! from, and when do they end?
//!
//! Each of them is a [`Holding`]: a [`Source`], what came from it last that was good, a generation that
//! changes with it, and its end. Holdings outlive snapshots: whoever uses one asks it for its current
//! content, and looks at its generation to see whether that has changed. What comes from a source is parsed
//! and checked before it replaces what is held; what fails replaces nothing.
//!
//! The room knows neither listeners nor upstreams. `edge` and `upstream` make of a holding what TLS needs.

mod bundle;
mod fault;
mod holding;
mod list;
mod pair;
mod partners;
mod remote;
mod roots;
mod source;
#[cfg(test)]
pub(crate) mod testing;
mod x509;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use tokio::task::JoinSet;

pub use bundle::Bundle;
pub use fault::{KeyringFault, Unusable};
pub use holding::{Held, Holding};
pub use list::{RevocationList, RevocationLists};
pub use pair::KeyPair;
pub use partners::{Partner, Partners};
pub use roots::Roots;
pub use source::{Origin, Remote, Source};

use crate::vault::Vault;
use holding::Content;

/// Everything of this kind that a process holds. One for its life.
#[derive(Debug, Default)]
pub struct Keyring {
    pairs: Shelf<KeyPair>,
    roots: Shelf<Roots>,
    lists: Shelf<RevocationLists>,
    bundles: Shelf<Bundle>,
    partners: Partners,
}

/// Something that ends, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What it is: `certificate`, `roots`, `revocation-list`, `spiffe-bundle`, `partner-certificate`.
    pub what: &'static str,
    /// Which one, in words that stand in the files.
    pub name: String,
    /// When it ends.
    pub ends: Timestamp,
    /// Where it comes from: `file`, `url`, `vault`, or `caller` for what a partner showed.
    pub source: &'static str,
}

/// A holding that cannot be brought up to date at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is, as in [`Expiry::what`].
    pub what: &'static str,
    /// Which one.
    pub name: String,
    /// The code of the fault.
    pub reason: &'static str,
    /// Whether there is nothing good from before either.
    pub empty: bool,
}

impl Keyring {
    /// Nothing is held yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A certificate of the gateway's own, with its key. Files are read anew.
    ///
    /// # Errors
    /// The files hold no certificate that can be shown.
    pub fn pair(&self, source: &Source, now: Timestamp) -> Result<Arc<Holding<KeyPair>>, KeyringFault> {
        self.pairs.take(source, None, now)
    }

    /// The authorities that certificates must lead to. Files are read anew.
    ///
    /// # Errors
    /// The file holds no roots.
    pub fn roots(&self, source: &Source, now: Timestamp) -> Result<Arc<Holding<Roots>>, KeyringFault> {
        self.roots.take(source, None, now)
    }

    /// Revocation lists of authorities among `signers`. Files are read anew.
    ///
    /// # Errors
    /// The file holds no list, or one that is older than what is held.
    pub fn lists(
        &self,
        source: &Source,
        signers: &Arc<Holding<Roots>>,
        now: Timestamp,
    ) -> Result<Arc<Holding<RevocationLists>>, KeyringFault> {
        self.lists.take(source, Some(signers), now)
    }

    /// The authorities of a SPIFFE trust domain. Files are read anew.
    ///
    /// # Errors
    /// The file holds no bundle.
    pub fn bundle(&self, source: &Source, now: Timestamp) -> Result<Arc<Holding<Bundle>>, KeyringFault> {
        self.bundles.take(source, None, now)
    }

    /// Asks the servers that are due, and returns when all of them have answered or failed to.
    pub async fn ask(&self, vault: Option<&Arc<Vault>>, now: Timestamp) {
        let mut asked = JoinSet::new();
        self.bundles.ask(&mut asked, vault, now);
        self.lists.ask(&mut asked, vault, now);
        self.pairs.ask(&mut asked, vault, now);
        while asked.join_next().await.is_some() {}
    }

    /// Waits until nothing is asked any more, whoever asked.
    pub async fn settled(&self) {
        self.bundles.settled().await;
        self.lists.settled().await;
        self.pairs.settled().await;
    }

    /// The certificates that callers have shown.
    #[must_use]
    pub const fn partners(&self) -> &Partners {
        &self.partners
    }

    /// Looks at the files, and takes what has changed and is good. Reads from disk.
    pub fn look(&self, now: Timestamp) {
        // Roots first: a list that their change makes good is good in the same look.
        self.roots.each(|roots| roots.look(now));
        self.lists.each(|lists| lists.look(now));
        self.bundles.each(|bundle| bundle.look(now));
        self.pairs.each(|pair| pair.look(now));
    }

    /// Everything that ends, the soonest first.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        let mut all = self.pairs.expiries();
        all.extend(self.roots.expiries());
        all.extend(self.lists.expiries());
        all.extend(self.bundles.expiries());
        all.extend(self.partners.expiries());
        all.sort_by(|a, b| (a.ends, a.what, &a.name).cmp(&(b.ends, b.what, &b.name)));
        all
    }

    /// The holdings that cannot be brought up to date.
    #[must_use]
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut all = self.pairs.troubles();
        all.extend(self.roots.troubles());
        all.extend(self.lists.troubles());
        all.extend(self.bundles.troubles());
        all
    }
}

/// All holdings of one kind that somebody uses.
#[derive(Debug)]
struct Shelf<T>(Mutex<Vec<Weak<Holding<T>>>>);

impl<T: Content> Shelf<T> {
    fn take(
        &self,
        source: &Source,
        signers: Option<&Arc<Holding<Roots>>>,
        now: Timestamp,
    ) -> Result<Arc<Holding<T>>, KeyringFault> {
        let held = self.all().into_iter().find(|held| held.is_of(source, signers));
        if let Some(held) = held {
            held.read(now)?;
            return Ok(held);
        }
        let new = Arc::new(Holding::new(source.clone(), signers.cloned()));
        new.read(now)?;
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who loads is one at a time; what nobody uses any more is forgotten here.
        shelf.retain(|weak| weak.strong_count() > 0);
        shelf.push(Arc::downgrade(&new));
        Ok(new)
    }

    fn all(&self) -> Vec<Arc<Holding<T>>> {
        let shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.iter().filter_map(Weak::upgrade).collect()
    }

    fn each(&self, what: impl Fn(&Holding<T>)) {
        self.all().iter().for_each(|held| what(held));
    }

    async fn settled(&self) {
        for held in self.all() {
            held.settled().await;
        }
    }

    /// A task for each that is due.
    fn ask(&self, tasks: &mut JoinSet<()>, vault: Option<&Arc<Vault>>, now: Timestamp) {
        for due in self.all().into_iter().filter(|held| held.takes_off(now)) {
            drop(tasks.spawn(due.ask(vault.cloned(), now)));
        }
    }

    fn expiries(&self) -> Vec<Expiry> {
        self.all().iter().filter_map(|held| held.expiry()).collect()
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.all().iter().filter_map(|held| held.trouble()).collect()
    }
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}
