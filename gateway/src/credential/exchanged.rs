//! With what token is an upstream called on behalf of a caller?
//!
//! RFC 8693: the caller's token, which was verified, is exchanged for one that is for the upstream alone and says
//! on whose behalf the gateway calls. It is kept for as long as both live, by the caller's token; the caller's
//! own token goes to the authorization server and nowhere else.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::edition::{Edition, Form};
use super::grant::{Grant, GrantSettings};
use super::held::Unavailable;
use super::load::CredentialSettings;
use super::source::{Fetched, SourceFault};
use super::version::{Version, VersionKey};

/// Tokens in place of callers' tokens.
pub struct OnBehalf {
    name: Arc<str>,
    header: HeaderName,
    form: Form,
    grant: Grant,
    key: Arc<VersionKey>,
    /// By the SHA-256 of the caller's token.
    kept: Cache<Subject, Kept>,
    last_fault: Mutex<Option<SourceFault>>,
}

type Subject = [u8; 32];

#[derive(Clone)]
struct Kept {
    edition: Arc<Edition>,
    ends: Instant,
}

/// A token that a request shows on behalf of its caller.
pub struct Exchanged {
    on_behalf: Arc<OnBehalf>,
    /// The caller's token, for an exchange after a refusal.
    token: Zeroizing<String>,
    edition: Arc<Edition>,
    attempt: Attempt,
}

#[derive(PartialEq, Eq)]
enum Attempt {
    First,
    /// It was exchanged anew after a refusal; another one would say the same.
    Second,
}

impl OnBehalf {
    pub(super) fn new(settings: &CredentialSettings, grant: Grant, key: &Arc<VersionKey>) -> Self {
        Self {
            name: settings.name.as_str().into(),
            header: settings.header.clone(),
            form: settings.form.clone(),
            grant,
            key: Arc::clone(key),
            kept: Cache::new(KEPT_MAX),
            last_fault: Mutex::default(),
        }
    }

    /// Whether these are its settings.
    pub(super) fn is_of(&self, settings: &CredentialSettings, grant: &GrantSettings) -> bool {
        self.header == settings.header && self.form == settings.form && self.grant.settings() == grant
    }

    /// Its name in the files.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Where its tokens come from.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} on behalf of callers", self.grant.describe())
    }

    /// Why the last exchange failed, if it did.
    #[must_use]
    pub fn last_fault(&self) -> Option<SourceFault> {
        self.last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What to show on behalf of whoever showed `token`, which was verified.
    ///
    /// # Errors
    /// The authorization server does not give it.
    pub async fn take(self: &Arc<Self>, token: &str) -> Result<Exchanged, Unavailable> {
        let subject = subject(token);
        if let Some(kept) = self.kept.get(&subject)
            && Instant::now() < kept.ends
        {
            return Ok(self.exchanged(token, kept.edition));
        }
        // One exchange for all requests of a caller that come at once.
        self.kept.remove_if(&subject, |kept| Instant::now() >= kept.ends);
        let kept = self.kept.get_or_insert_async(&subject, self.fetch(token)).await;
        let fault = kept.as_ref().err().cloned();
        *self.last_fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        match kept {
            Ok(kept) => Ok(self.exchanged(token, kept.edition)),
            Err(fault) => Err(Unavailable { name: Arc::clone(&self.name), fault: Some(fault) }),
        }
    }

    async fn fetch(&self, token: &str) -> Result<Kept, SourceFault> {
        let Fetched { secret, again, .. } = self.grant.on_behalf_of(token).await?;
        let version = self.key.version(&self.name, &secret);
        let edition = Arc::new(Edition::new(version, &self.form, &secret)?);
        // Ahead of its end, so that none ends on its way to the upstream.
        let ends = Instant::now().checked_add(again.unwrap_or_default()).ok_or(SourceFault::GivenUp)?;
        Ok(Kept { edition, ends })
    }

    fn exchanged(self: &Arc<Self>, token: &str, edition: Arc<Edition>) -> Exchanged {
        Exchanged {
            on_behalf: Arc::clone(self),
            token: Zeroizing::new(token.to_owned()),
            edition,
            attempt: Attempt::First,
        }
    }
}

impl Exchanged {
    pub(super) fn name(&self) -> &str {
        &self.on_behalf.name
    }

    pub(super) fn version(&self) -> Version {
        self.edition.version()
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        self.edition.apply(&self.on_behalf.header, headers);
    }

    /// It was refused: whoever comes next exchanges anew.
    pub(super) fn refused(&self) {
        let version = self.version();
        self.on_behalf.kept.remove_if(&subject(&self.token), |kept| kept.edition.version() == version);
    }

    /// Another one after a refusal, where the authorization server gives one that differs.
    pub(super) async fn instead(&mut self, within: Duration) -> Option<Self> {
        self.refused();
        if std::mem::replace(&mut self.attempt, Attempt::Second) == Attempt::Second {
            return None;
        }
        let taken = tokio::time::timeout(within.min(REFUSED_WAIT), self.on_behalf.take(&self.token)).await;
        let other = taken.ok()?.ok().filter(|other| other.version() != self.version())?;
        Some(Self { attempt: Attempt::Second, ..other })
    }
}

fn subject(token: &str) -> Subject {
    let mut out = [0; 32];
    out.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

impl fmt::Debug for OnBehalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnBehalf")
            .field("name", &self.name)
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged")
            .field("name", &self.name())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// Callers' tokens at work at a time; each takes a few kilobytes.
const KEPT_MAX: usize = 4 * 1024;
/// A caller waits for this.
const REFUSED_WAIT: Duration = Duration::from_secs(2);
