//! What does its issuer say of a token (RFC 7662)?
//!
//! A token is asked about once at a time, however many show it, and what was said is remembered for a while:
//! good answers and bad ones apart, so that nobody who guesses tokens can push out what others need. An
//! issuer that does not answer makes no token good: who shows one is told to come again.

mod settings;
mod signed;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use zeroize::Zeroizing;

pub use settings::{INTROSPECTION_CACHE, INTROSPECTION_CACHE_MAX, NEGATIVE_CACHE, NEGATIVE_CACHE_MAX};
pub use settings::{Introspected, IntrospectionSettings};

use super::fault::TokenFault;
use super::issuer::Issuer;
use super::settings::IssuerMistake;
use super::verified::Token;
use super::{Digest, Unverified};
use crate::oauth::{Introspection, Server};

/// Asks one issuer about its tokens.
pub(super) struct Introspector {
    server: Server,
    settings: IntrospectionSettings,
    /// For how long a good answer holds, a bad one, and a good one once no other can be had.
    holds: [SignedDuration; 3],
    active: Cache<Digest, Known>,
    refused: Cache<Digest, Refused>,
    flights: Mutex<HashMap<Digest, watch::Receiver<Option<Verdict>>>>,
    /// One place for each question that is under way.
    places: Arc<Semaphore>,
}

/// A token that is asked about.
pub(super) struct Question {
    pub(super) digest: Digest,
    pub(super) text: Zeroizing<String>,
    /// What it says itself, where it is a JWT whose signature is good.
    pub(super) verified: Option<Arc<Token>>,
}

type Verdict = Result<Arc<Token>, Unverified>;

#[derive(Clone)]
struct Known {
    token: Arc<Token>,
    asked_at: Timestamp,
    /// After a question that was not answered: when to ask again.
    ask_at: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Refused {
    fault: TokenFault,
    asked_at: Timestamp,
}

impl Introspector {
    pub(super) fn new(settings: IntrospectionSettings) -> Result<Self, IssuerMistake> {
        let issuer = settings.server.name.clone();
        let server = Server::new(settings.server.clone()).map_err(|mistake| IssuerMistake {
            issuer,
            field: "introspection",
            message: format!("`{}` {}", mistake.field, mistake.message),
        })?;
        let signed = |length| SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        let (cache, stale) = (signed(settings.cache), signed(settings.stale_max));
        Ok(Self {
            server,
            holds: [cache, signed(settings.negative_cache), cache.saturating_add(stale)],
            settings,
            active: Cache::new(ACTIVE_MAX),
            refused: Cache::new(REFUSED_MAX),
            flights: Mutex::default(),
            places: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
        })
    }

    pub(super) const fn settings(&self) -> &IntrospectionSettings {
        &self.settings
    }

    /// What is remembered of a token and still holds.
    fn remembered(&self, digest: &Digest, now: Timestamp) -> Option<Result<Arc<Token>, TokenFault>> {
        let [cache, negative, _] = self.holds;
        if let Some(refused) = self.refused.get(digest)
            && holds(refused.asked_at, negative, now)
        {
            return Some(Err(refused.fault));
        }
        let known = self.active.get(digest)?;
        let waits = known.ask_at.is_some_and(|ask_at| now < ask_at && self.is_good_enough(&known, now));
        (holds(known.asked_at, cache, now) || waits).then_some(Ok(known.token))
    }

    /// Whether an answer may serve when no other can be had.
    fn is_good_enough(&self, known: &Known, now: Timestamp) -> bool {
        let [cache, _, stale] = self.holds;
        stale > cache && holds(known.asked_at, stale, now)
    }

    /// What was good and may serve on, because the issuer does not answer.
    fn stale(&self, digest: &Digest, now: Timestamp) -> Option<Arc<Token>> {
        let mut known = self.active.get(digest).filter(|known| self.is_good_enough(known, now))?;
        let token = Arc::clone(&known.token);
        known.ask_at = now.checked_add(ASK_AGAIN).ok();
        self.active.insert(*digest, known);
        Some(token)
    }

    fn remember(&self, digest: Digest, verdict: &Verdict, asked_at: Timestamp) {
        match verdict {
            Ok(token) => {
                self.refused.remove(&digest);
                self.active.insert(digest, Known { token: Arc::clone(token), asked_at, ask_at: None });
            }
            Err(Unverified::Fault(fault)) => {
                // It may have been good until now.
                self.active.remove(&digest);
                self.refused.insert(digest, Refused { fault: *fault, asked_at });
            }
            Err(
                Unverified::NoKeys { .. } | Unverified::Unanswered { .. } | Unverified::Overloaded { .. },
            ) => {}
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, watch::Receiver<Option<Verdict>>>> {
        // Nothing under the lock can leave it half changed.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back makes an answer of the future, which does not hold.
fn holds(asked_at: Timestamp, length: SignedDuration, now: Timestamp) -> bool {
    let age = now.duration_since(asked_at);
    !age.is_negative() && age < length
}

/// What the issuer says of a token, now or not long ago.
pub(super) async fn ask(issuer: &Arc<Issuer>, question: Question, now: Timestamp) -> Verdict {
    let Some(own) = &issuer.introspector else { return Err(TokenFault::UnknownIssuer.into()) };
    let digest = question.digest;
    let verdict = match own.remembered(&digest, now) {
        Some(remembered) => remembered.map_err(Unverified::Fault),
        None => match landed(issuer, own, question, now).await {
            Err(unanswered @ (Unverified::Unanswered { .. } | Unverified::Overloaded { .. })) => {
                own.stale(&digest, now).ok_or(unanswered)
            }
            verdict => verdict,
        },
    }?;
    // However fresh the answer: its time is looked at each time.
    issuer.rules.check_times(&verdict, now)?;
    Ok(verdict)
}

/// The outcome of the question, whether it is asked for this request or was under way.
async fn landed(issuer: &Arc<Issuer>, own: &Introspector, question: Question, now: Timestamp) -> Verdict {
    let mut landed = {
        let mut flights = own.flights();
        match flights.entry(question.digest) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(place) => {
                let Ok(permit) = Arc::clone(&own.places).try_acquire_owned() else {
                    return Err(Unverified::Overloaded { issuer: Arc::clone(issuer.rules.issuer_name()) });
                };
                let (sender, landed) = watch::channel(None);
                place.insert(landed.clone());
                let flight =
                    Flight { issuer: Arc::clone(issuer), digest: question.digest, sender, _place: permit };
                // In a task of its own: a client that goes away ends nothing that others wait for.
                tokio::spawn(flight.fly(question, now));
                landed
            }
        }
    };
    match landed.wait_for(Option::is_some).await {
        Ok(verdict) => verdict.clone().unwrap_or_else(|| Err(unanswered(issuer, "given-up"))),
        Err(_given_up) => Err(unanswered(issuer, "given-up")),
    }
}

/// One question under way, which ends whatever happens to its task.
struct Flight {
    issuer: Arc<Issuer>,
    digest: Digest,
    sender: watch::Sender<Option<Verdict>>,
    _place: OwnedSemaphorePermit,
}

impl Flight {
    async fn fly(self, question: Question, now: Timestamp) {
        let Some(own) = &self.issuer.introspector else { return };
        let verdict = answer(&self.issuer, own, &question, now).await;
        own.remember(self.digest, &verdict, now);
        self.sender.send_replace(Some(verdict));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(own) = &self.issuer.introspector {
            own.flights().remove(&self.digest);
        }
    }
}

/// What the issuer answers, as a verdict.
async fn answer(issuer: &Arc<Issuer>, own: &Introspector, question: &Question, now: Timestamp) -> Verdict {
    let told = own.server.introspect(&question.text, own.settings.form).await.map_err(|fault| {
        let (issuer_name, error): (_, &(dyn std::error::Error + 'static)) = (&issuer.settings.name, &fault);
        tracing::warn!(issuer = %issuer_name, reason = fault.reason(), error, "a token could not be asked about");
        unanswered(issuer, fault.reason())
    })?;
    let told = match told {
        Introspection::Signed(text) => signed::read(issuer, own, &text, now).await?,
        told @ (Introspection::Active(_) | Introspection::Inactive) => told,
    };
    match (told, &question.verified) {
        (Introspection::Active(_), Some(verified)) => Ok(Arc::clone(verified)),
        (Introspection::Active(mut members), None) => {
            check(&members, &issuer.settings.issuer)?;
            name_apart(&mut members, question);
            Ok(Arc::new(issuer.rules.read(members, now)?))
        }
        (Introspection::Inactive, _) => Err(TokenFault::Inactive.into()),
        (Introspection::Signed(_), _) => Err(unanswered(issuer, "bad-answer")),
    }
}

/// What an answer about an opaque token must not contradict, before it is read as a JWT's claims would be.
fn check(members: &Map<String, Value>, issuer: &str) -> Result<(), TokenFault> {
    // RFC 7662 section 2.2: optional; who asked knows whom.
    if members.get("iss").is_some_and(|said| said != issuer) {
        return Err(TokenFault::UnknownIssuer);
    }
    // RFC 7662 section 2.1: servers may tell of refresh tokens too, which have no type of RFC 6749
    // section 7.1. Whether it is bound to a key is said by `cnf`.
    let is_access = |kind: &str| ["bearer", "dpop"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    match members.get("token_type") {
        None => Ok(()),
        Some(Value::String(kind)) if is_access(kind) => Ok(()),
        Some(_) => Err(TokenFault::Type),
    }
}

/// There are servers that name an opaque token by itself. A name is put on record, where nothing may stand that lets
/// somebody in, so such a token is named by its hash, as `ath` names one (RFC 9449 section 4.2).
fn name_apart(members: &mut Map<String, Value>, question: &Question) {
    let told = members.get("jti").and_then(Value::as_str);
    if told.is_some_and(|id| id.contains(question.text.as_str())) {
        members.insert("jti".to_owned(), URL_SAFE_NO_PAD.encode(question.digest).into());
    }
}

fn unanswered(issuer: &Issuer, why: &'static str) -> Unverified {
    Unverified::Unanswered { issuer: Arc::clone(issuer.rules.issuer_name()), why }
}

/// Tokens in use at one time, as many as of verified JWTs.
const ACTIVE_MAX: usize = 8 * 1024;
/// A token that is no good costs a hundred bytes here, and its client's address a guess.
const REFUSED_MAX: usize = 8 * 1024;
/// Questions under way to one issuer. Twenty milliseconds each are more than a thousand new tokens a second.
const ASKED_AT_ONCE: usize = 32;
/// While an issuer does not answer, one request in this time waits to find out whether it does again.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(1);

#[cfg(test)]
mod tests;
