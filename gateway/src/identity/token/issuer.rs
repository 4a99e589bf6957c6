//! Which keys does one issuer have now, and when are they fetched again?
//!
//! Keys that were good serve until new ones are good or they are too old. There is at most one fetch at a
//! time, in a task of its own, so that a client that goes away ends nothing others wait for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use ring::digest::{SHA256, digest};
use tokio::sync::watch;

use crate::backoff;
use crate::oauth::Discovery;

use super::claims::Rules;
use super::compact::Compact;
use super::fault::TokenFault;
use super::fetch::{self, JWKS_BYTES_MAX, KeysFault, Place};
use super::introspection::{Introspected, Introspector};
use super::key::KeySet;
use super::settings::{IssuerMistake, IssuerSettings, KeySource};

/// One issuer: its settings, its keys, and the state of their fetching.
pub(super) struct Issuer {
    pub(super) settings: IssuerSettings,
    pub(super) rules: Rules,
    /// Keys older than this are not used; keys from a file are as old as they may be.
    age_max: SignedDuration,
    source: Source,
    /// Who asks it about its tokens, if that is done.
    pub(super) introspector: Option<Introspector>,
    keys: ArcSwapOption<Keys>,
    flight: Mutex<Flight>,
    /// Counts the fetches that have ended, so that others can wait for one.
    landed: watch::Sender<u64>,
}

enum Source {
    Nowhere,
    File,
    Server { client: Client, place: Place },
}

/// Keys as they were published at one time.
#[derive(Debug)]
pub(super) struct Keys {
    set: Arc<KeySet>,
    /// Of the bytes they were read from: the same bytes are the same keys.
    digest: Box<[u8]>,
    /// Counts the changes. A token verified under another generation is verified again.
    pub(super) generation: u64,
    fetched_at: Timestamp,
}

#[derive(Debug, Default)]
struct Flight {
    state: State,
    started_at: Option<Timestamp>,
    due_at: Option<Timestamp>,
    failures: u32,
    last_fault: Option<KeysFault>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Grounded,
    Flying,
}

/// Why keys are wanted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It is time.
    Due,
    /// A token names a key that is not there, or there are none.
    Missing,
}

/// How an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAge {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The `iss` of its tokens.
    pub iss: String,
    /// How long ago the keys were fetched; nothing when there are none.
    pub age: Option<Duration>,
    /// How many keys can be used; nothing where its signatures are not verified.
    pub keys: Option<usize>,
    /// Why the last fetch failed, as a stable code; nothing when it did not.
    pub last_fault: Option<&'static str>,
}

impl Issuer {
    /// The issuer as configured. What `previous` had fetched is kept where it is still good for these settings.
    pub(super) fn new(
        settings: IssuerSettings,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, IssuerMistake> {
        let mistake =
            |field, message: String| IssuerMistake { issuer: settings.name.clone(), field, message };
        let fetched = |place| {
            let client = crate::fetch::client(&settings.trust(), None);
            let client = client.map_err(|message| mistake("ca", message.to_owned()))?;
            let kept = previous.filter(|previous| settings.has_the_keys_of(&previous.settings));
            Ok((Source::Server { client, place }, kept.and_then(|kept| kept.keys.load_full())))
        };
        let (source, keys) = match &settings.keys {
            KeySource::Nowhere => (Source::Nowhere, None),
            KeySource::File(path) => {
                let keys = Keys::read(path, &settings).map_err(|message| mistake("keys", message))?;
                (Source::File, Some(Arc::new(keys)))
            }
            KeySource::Url(url) => fetched(Place::Url(url.clone()))?,
            KeySource::Discovered(kind) => {
                let discovery = Discovery::new(&settings.issuer, *kind, &settings.trust());
                fetched(Place::Discovered(
                    discovery.map_err(|message| mistake("issuer", message.to_owned()))?,
                ))?
            }
        };
        if let Some(same) = previous.filter(|previous| previous.is_the_same(&settings, keys.as_deref())) {
            return Ok(Arc::clone(same));
        }
        let age_max = match source {
            Source::Nowhere | Source::File => SignedDuration::MAX,
            Source::Server { .. } => {
                SignedDuration::try_from(settings.keys_age_max).unwrap_or(SignedDuration::MAX)
            }
        };
        Ok(Arc::new(Self {
            rules: Rules::new(&settings),
            age_max,
            source,
            introspector: settings.introspection.clone().map(Introspector::new).transpose()?,
            keys: ArcSwapOption::new(keys),
            flight: Mutex::default(),
            landed: watch::Sender::new(0),
            settings,
        }))
    }

    fn is_the_same(&self, settings: &IssuerSettings, keys: Option<&Keys>) -> bool {
        let same_keys = match self.source {
            Source::Nowhere | Source::Server { .. } => true,
            Source::File => self.keys.load().as_ref().map(|own| &own.digest) == keys.map(|keys| &keys.digest),
        };
        self.settings == *settings && same_keys
    }

    /// The keys that may be used at `now`.
    pub(super) fn keys(&self, now: Timestamp) -> Option<Arc<Keys>> {
        self.keys.load_full().filter(|keys| now.duration_since(keys.fetched_at) <= self.age_max)
    }

    /// Whether its tokens can be taken on their signature at all.
    pub(super) const fn verifies(&self) -> bool {
        match self.source {
            Source::Nowhere => false,
            Source::File | Source::Server { .. } => true,
        }
    }

    /// Whether it is asked about its JWTs too.
    pub(super) fn is_asked_about_all(&self) -> bool {
        self.introspector.as_ref().is_some_and(|own| own.settings().tokens == Introspected::All)
    }

    pub(super) fn age(&self, now: Timestamp) -> KeyAge {
        let keys = self.keys.load();
        KeyAge {
            issuer: self.settings.name.clone(),
            iss: self.settings.issuer.clone(),
            // A clock that was set back makes no negative age.
            age: keys
                .as_ref()
                .map(|keys| Duration::try_from(now.duration_since(keys.fetched_at)).unwrap_or_default()),
            keys: self.verifies().then(|| self.keys(now).map_or(0, |keys| keys.set.len())),
            last_fault: self.flight().last_fault.as_ref().map(KeysFault::reason),
        }
    }

    /// Fetches the keys, or waits for the fetch that is under way; returns at once when it is too early.
    pub(super) async fn renew(self: &Arc<Self>, wanted: Wanted, now: Timestamp) {
        let Some(mut landed) = self.take_off(wanted, now) else { return };
        match wanted {
            // The fetch has a time limit of its own.
            Wanted::Due => drop(landed.changed().await),
            // Late, or ended without a word: the caller looks at the keys there are.
            Wanted::Missing => drop(tokio::time::timeout(WAIT_MAX, landed.changed()).await),
        }
    }

    /// What to wait for: a fetch that was under way or begins now.
    fn take_off(self: &Arc<Self>, wanted: Wanted, now: Timestamp) -> Option<watch::Receiver<u64>> {
        let Source::Server { client, place } = &self.source else { return None };
        let mut flight = self.flight();
        let landed = self.landed.subscribe();
        if flight.state == State::Flying {
            return Some(landed);
        }
        if flight.is_early(wanted, now) {
            return None;
        }
        flight.state = State::Flying;
        flight.started_at = Some(now);
        let (client, place, landing) = (client.clone(), place.clone(), Landing::new(self, now));
        tokio::spawn(async move {
            let body = fetch::get(&client, &place).await;
            landing.with(body);
        });
        Some(landed)
    }

    /// A fetch has ended.
    fn land(&self, body: Result<Vec<u8>, KeysFault>, started: Timestamp) {
        let outcome = body.and_then(|body| {
            let before = self.keys.load_full();
            Keys::new(&body, &self.settings, before.as_deref(), started).map_err(KeysFault::Keys)
        });
        let mut flight = self.flight();
        flight.state = State::Grounded;
        match outcome {
            Ok(keys) => {
                let (count, generation) = (keys.set.len(), keys.generation);
                tracing::debug!(issuer = %self.settings.name, keys = count, generation, "keys fetched");
                self.keys.store(Some(Arc::new(keys)));
                flight.failures = 0;
                flight.last_fault = None;
            }
            Err(fault) => {
                let error: &(dyn std::error::Error + 'static) = &fault;
                let reason = fault.reason();
                tracing::warn!(issuer = %self.settings.name, reason, error, "keys could not be fetched");
                flight.failures = flight.failures.saturating_add(1);
                flight.last_fault = Some(fault);
            }
        }
        let wait = wait_before_next(self.settings.refresh_every, flight.failures, backoff::random());
        flight.due_at = SignedDuration::try_from(wait).ok().and_then(|wait| started.checked_add(wait).ok());
        drop(flight);
        self.landed.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        // Nothing under the lock can leave it half changed.
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Whether a fetch has to wait. A clock that was set back makes it time, not early for ever.
    fn is_early(&self, wanted: Wanted, now: Timestamp) -> bool {
        let Some(since) = self.started_at.map(|started| now.duration_since(started)) else { return false };
        !since.is_negative()
            && match wanted {
                Wanted::Due => self.due_at.is_some_and(|due| now < due),
                Wanted::Missing => since < BETWEEN_FETCHES,
            }
    }
}

impl Keys {
    fn new(
        body: &[u8],
        settings: &IssuerSettings,
        before: Option<&Self>,
        fetched_at: Timestamp,
    ) -> Result<Self, super::key::KeySetFault> {
        let digest: Box<[u8]> = digest(&SHA256, body).as_ref().into();
        match before {
            Some(before) if before.digest == digest => {
                Ok(Self { set: Arc::clone(&before.set), digest, generation: before.generation, fetched_at })
            }
            _ => {
                let set = Arc::new(KeySet::parse(body, &settings.algorithms)?);
                let generation = before.map_or(0, |before| before.generation.wrapping_add(1));
                Ok(Self { set, digest, generation, fetched_at })
            }
        }
    }

    fn read(path: &std::path::Path, settings: &IssuerSettings) -> Result<Self, String> {
        use std::io::Read;
        let unreadable = |e: std::io::Error| format!("cannot be read: {}", e.kind());
        let mut body = Vec::new();
        let limit = u64::try_from(JWKS_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut body))
            .map_err(unreadable)?;
        if body.len() > JWKS_BYTES_MAX {
            return Err(format!("is larger than {JWKS_BYTES_MAX} bytes"));
        }
        // The time is not looked at: keys from a file do not age.
        Self::new(&body, settings, None, Timestamp::UNIX_EPOCH)
            .map_err(|fault| format!("cannot be used: {fault}"))
    }

    pub(super) fn verify(&self, token: &Compact<'_>) -> Result<(), TokenFault> {
        self.set.verify(token)
    }
}

/// The end of a fetch, which comes whatever happens to the task that fetches.
struct Landing {
    issuer: Arc<Issuer>,
    started: Timestamp,
    body: Result<Vec<u8>, KeysFault>,
}

impl Landing {
    fn new(issuer: &Arc<Issuer>, started: Timestamp) -> Self {
        Self { issuer: Arc::clone(issuer), started, body: Err(KeysFault::GivenUp) }
    }

    fn with(mut self, body: Result<Vec<u8>, KeysFault>) {
        self.body = body;
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let body = std::mem::replace(&mut self.body, Err(KeysFault::GivenUp));
        self.issuer.land(body, self.started);
    }
}

/// The time to the next fetch: up to a fifth sooner than configured, so that many gateways do not come at
/// once; after failures soon, then ever later.
fn wait_before_next(every: Duration, failures: u32, random: u8) -> Duration {
    let wait = match failures {
        0 => every,
        n => backoff::after(n, RETRY_FIRST, RETRY_MAX).min(every),
    };
    backoff::sooner(wait, 5, random)
}

/// Tokens with keys nobody knows cost their issuer one fetch in this time, however many come.
pub(super) const BETWEEN_FETCHES: SignedDuration = SignedDuration::from_secs(5);
/// How long a request waits for a key that may be new.
const WAIT_MAX: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_spread_and_come_soon_after_a_failure_then_ever_later() {
        let every = Duration::from_secs(300);
        for (failures, random, seconds) in [
            (0, 0, 300.0),
            (0, 255, 240.0),
            (1, 0, 5.0),
            (1, 255, 4.0),
            (2, 0, 10.0),
            (4, 0, 40.0),
            (5, 0, 60.0),
            (u32::MAX, 0, 60.0),
        ] {
            let wait = wait_before_next(every, failures, random);
            assert!((wait.as_secs_f64() - seconds).abs() < 0.001, "{failures} {random}: {wait:?}");
        }
        assert_eq!(wait_before_next(Duration::from_secs(20), 9, 0), Duration::from_secs(20));
        assert_eq!(wait_before_next(Duration::MAX, 0, 0), Duration::MAX);
    }
}
