//! How does one credential stay good while its secret is rotated?
//!
//! [`Credential`] joins the three: its source, the readings of it, and the editions in hand. It is read
//! when it is due, and at once when an upstream refuses it; a request takes what is in hand, and waits for
//! its source only when that was just refused, or has ended while its successor is on its way.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderName;

use super::edition::{Edition, Form, Unsendable};
use super::load::CredentialSettings;
use super::own::Own;
use super::reading::{Begun, Brought, Reading, Reason};
use super::rotation::{Offered, Request, Rotation, Standing};
use super::source::{Fetched, Loan, Source, SourceFault};
use super::version::{Version, VersionKey};

/// What proves the gateway to an upstream.
pub struct Credential {
    name: Arc<str>,
    pub(super) header: HeaderName,
    form: Form,
    source: Source,
    key: Arc<VersionKey>,
    refresh_every: Duration,
    age_max: Duration,
    /// Shared with the credential of the same name in the snapshots before and after.
    rotation: Arc<Mutex<Rotation>>,
    reading: Reading,
    /// The newest version, where it is lent.
    lent: Mutex<Option<(Version, Loan)>>,
}

/// There is nothing to show to the upstream: nothing could be read, or what was read has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credential `{name}` is not available")]
pub struct Unavailable {
    /// The credential.
    pub name: Arc<str>,
    /// Why it could not be read anew, if that is known.
    pub fault: Option<SourceFault>,
}

/// How a credential is, for operators.
#[derive(Debug, Clone)]
pub struct CredentialState {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is kept.
    pub source: String,
    /// What is in hand.
    pub standing: Standing,
    /// Why the last reading failed, if it did.
    pub fault: Option<SourceFault>,
}

impl Credential {
    /// The credential of these settings. What is in hand of `previous` stays in hand, whatever its source
    /// was: a reference that is written anew is a rotation like any other.
    pub(super) fn new(
        settings: &CredentialSettings,
        source: Source,
        key: &Arc<VersionKey>,
        previous: Option<&Self>,
    ) -> Self {
        let is_sent_alike = |before: &&Self| before.header == settings.header && before.form == settings.form;
        let rotation = match previous.filter(is_sent_alike) {
            Some(before) => {
                before.rotation().set_overlap(settings.overlap);
                Arc::clone(&before.rotation)
            }
            None => Arc::new(Mutex::new(Rotation::new(settings.overlap))),
        };
        Self {
            name: settings.name.as_str().into(),
            header: settings.header.clone(),
            form: settings.form.clone(),
            refresh_every: settings.refresh_every.unwrap_or_else(|| source.usual_refresh()),
            age_max: settings.age_max,
            source,
            key: Arc::clone(key),
            rotation,
            reading: Reading::new(),
            lent: Mutex::default(),
        }
    }

    /// Its name in the files.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a request is to show.
    ///
    /// # Errors
    /// There is nothing.
    pub async fn take(self: &Arc<Self>, request: Request) -> Result<Own, Unavailable> {
        if let Some(own) = self.in_hand(request) {
            return Ok(own);
        }
        // A source that failed when it was last read keeps nobody waiting: it is asked again without them.
        if self.reading.fault().is_none() {
            self.read(Reason::Due, CALLER_WAIT).await;
        }
        let unavailable = || Unavailable { name: Arc::clone(&self.name), fault: self.reading.fault() };
        self.in_hand(request).ok_or_else(unavailable)
    }

    pub(super) fn in_hand(self: &Arc<Self>, request: Request) -> Option<Own> {
        let taken = self.rotation().take(request, Instant::now());
        taken.map(|edition| Own::first(self, edition))
    }

    /// Reads the source if it is time to.
    pub async fn refresh(self: &Arc<Self>) {
        if !self.is_lent_still() {
            self.read(Reason::Due, REFRESH_WAIT).await;
        }
    }

    /// Whether what is in hand is lent and need not be read again; then it serves as long as the loan does.
    fn is_lent_still(&self) -> bool {
        let lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((version, lives)) =
            lent.as_ref().and_then(|(version, loan)| Some((*version, loan.lives()?)))
        else {
            return false;
        };
        let Some(ends) = Instant::now().checked_add(lives) else { return false };
        self.rotation().extend(version, ends)
    }

    /// Reads the source now, because an operator says that it holds something new.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn rotate(self: &Arc<Self>) -> Result<(), SourceFault> {
        self.read(Reason::Told, REFRESH_WAIT).await;
        self.reading.fault().map_or(Ok(()), Err)
    }

    /// What to show instead of what was refused; reads the source if there is nothing newer in hand.
    pub(super) async fn instead_of(
        self: &Arc<Self>,
        refused: Version,
        within: Duration,
    ) -> Option<Arc<Edition>> {
        let newer = self.rotation().has_newer_than(refused, Instant::now());
        if !newer {
            self.read(Reason::Refused, within.min(CALLER_WAIT)).await;
        }
        self.rotation().instead_of(refused, Instant::now())
    }

    /// How it is.
    #[must_use]
    pub fn state(&self) -> CredentialState {
        CredentialState {
            name: Arc::clone(&self.name),
            source: self.source.describe(),
            standing: self.rotation().standing(Instant::now()),
            fault: self.reading.fault(),
        }
    }

    /// Begins a reading, or joins the one under way, and waits for its end, but no longer than `within`.
    async fn read(self: &Arc<Self>, reason: Reason, within: Duration) {
        let ends = Instant::now().checked_add(within);
        let left = || ends.map(|ends| ends.saturating_duration_since(Instant::now())).unwrap_or_default();
        if self.read_once(reason, left()).await == Read::Elsewhere && reason != Reason::Due {
            // It may have begun before what is to be read was written.
            self.read_once(reason, left()).await;
        }
    }

    async fn read_once(self: &Arc<Self>, reason: Reason, within: Duration) -> Read {
        let (mut landed, whose) = match self.reading.begin(reason, Instant::now()) {
            Begun::Early => return Read::Here,
            Begun::Elsewhere(landed) => (landed, Read::Elsewhere),
            Begun::Here(landed) => {
                // In a task of its own: who asked may leave, and others wait for it.
                let landing = Landing {
                    credential: Arc::clone(self),
                    brought: Brought::Fault(SourceFault::GivenUp),
                    next: self.refresh_every,
                };
                tokio::spawn(landing.fly());
                (landed, Read::Here)
            }
        };
        // Late, or ended without a word: whoever asked looks at what is in hand.
        drop(tokio::time::timeout(within, landed.changed()).await);
        whose
    }

    /// Takes what was read into hand.
    pub(super) fn bring(&self, fetched: Fetched) -> Brought {
        let version = match fetched.number {
            Some(number) => Version::Numbered(number),
            None => self.key.version(&self.name, &fetched.secret),
        };
        let edition = match Edition::new(version, &self.form, &fetched.secret) {
            Ok(edition) => Arc::new(edition),
            Err(unsendable) => return Brought::Fault(unsendable.into()),
        };
        let now = Instant::now();
        let lives = fetched.loan.as_ref().and_then(Loan::lives).or(fetched.lives).unwrap_or(self.age_max);
        let Some(ends) = now.checked_add(lives) else { return Brought::Fault(SourceFault::GivenUp) };
        *self.lent.lock().unwrap_or_else(PoisonError::into_inner) = fetched.loan.map(|loan| (version, loan));
        let offered = self.rotation().offer(edition, ends, now);
        match offered {
            Offered::Known => Brought::Nothing,
            // It was not in vain: a refused request shows it now.
            Offered::Waiting => Brought::New,
            Offered::First => {
                tracing::info!(credential = &*self.name, %version, "a credential is in hand");
                Brought::New
            }
            Offered::Next => {
                tracing::info!(credential = &*self.name, %version, "a credential has a new version, which is tried");
                Brought::New
            }
        }
    }

    pub(super) const fn source(&self) -> &Source {
        &self.source
    }

    pub(super) fn rotation(&self) -> MutexGuard<'_, Rotation> {
        // Nothing under the lock can leave it half changed.
        self.rotation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to read again what was read.
    fn next_reading(&self, fetched: &Fetched) -> Duration {
        let again = fetched.again.map(|again| again.max(AGAIN_MIN));
        again.map_or(self.refresh_every, |again| again.min(self.refresh_every))
    }
}

/// Whose reading it was that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Here,
    Elsewhere,
}

/// The end of a reading, which comes whatever happens to the task that reads.
struct Landing {
    credential: Arc<Credential>,
    brought: Brought,
    next: Duration,
}

impl Landing {
    async fn fly(mut self) {
        let fetched = self.credential.source.read().await;
        self.brought = match fetched {
            Ok(fetched) => {
                self.next = self.credential.next_reading(&fetched);
                self.credential.bring(fetched)
            }
            Err(fault) => Brought::Fault(fault),
        };
        if let Brought::Fault(fault) = &self.brought
            && self.credential.reading.fault().as_ref() != Some(fault)
        {
            let (credential, reason) = (&*self.credential.name, fault.reason());
            tracing::warn!(credential, reason, %fault, "a credential cannot be read; what is in hand serves");
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let brought = std::mem::replace(&mut self.brought, Brought::Nothing);
        self.credential.reading.land(brought, self.next, Instant::now());
    }
}

impl From<Unsendable> for SourceFault {
    fn from(unsendable: Unsendable) -> Self {
        match unsendable {
            Unsendable::Empty => Self::Empty,
            Unsendable::Control => Self::Unsendable,
            Unsendable::NoColon => Self::NoColon,
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// The most that an upkeep waits; sources have time limits of their own.
const REFRESH_WAIT: Duration = Duration::from_secs(10);
/// A caller waits for this.
const CALLER_WAIT: Duration = Duration::from_secs(2);
/// A source that wants to be asked all the time is asked once in this.
const AGAIN_MIN: Duration = Duration::from_secs(1);
