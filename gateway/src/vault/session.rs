//! With which token is Vault asked now? One session: logged in, renewed at two thirds of its life, and begun
//! anew when it cannot be renewed, is revoked, or what proves the gateway has changed.
//!
//! Whoever finds no session waits for the one login that is under way; a Vault that refuses is left alone for a
//! while that grows. A session that could not be renewed serves until it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use vaultrs::api::token::requests::{RenewTokenSelfRequest, RevokeTokenSelfRequest};

use super::answer::Fields;
use super::fault::{Failed, VaultFault};
use super::login::{self, LoggedIn, LoginFault, Unpacked};
use super::proof;
use super::retry::Backoff;
use super::secret::{later, part};
use super::settings::{Auth, Source};
use super::wire::{Call, Token, Wire};

/// The session with Vault.
pub(super) struct Session {
    auth: Auth,
    held: ArcSwapOption<Held>,
    /// Held by whoever logs in or renews: there is one at a time.
    flight: tokio::sync::Mutex<Flight>,
    told: Mutex<Told>,
}

/// A token that serves.
pub(super) struct Held {
    pub(super) token: Token,
    /// Counts the logins: what was lent to one is taken back when its token ends.
    pub(super) generation: u64,
    /// When it was got or last renewed.
    since: Timestamp,
    /// From then; nothing for a token that never ends.
    life: Option<Duration>,
    /// When it was got.
    first_life: Option<Duration>,
    renewable: bool,
}

#[derive(Default)]
struct Flight {
    backoff: Backoff,
    /// What the last login came to for those who wanted something, if it failed.
    refusal: Option<VaultFault>,
    generation: u64,
    unpacked: Unpacked,
}

/// What operators are told of the session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) logins: u64,
    pub(super) renewals: u64,
    /// Why it could not be begun or renewed when that was last tried, and since when that is so.
    pub(super) fault: Option<(&'static str, Timestamp)>,
}

impl Held {
    pub(super) fn ends(&self) -> Option<Timestamp> {
        self.life.map(|life| later(self.since, life))
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        self.ends().is_none_or(|ends| now < ends)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.life.is_some_and(|life| later(self.since, part(life, 2, 3)) <= now)
    }

    /// Renewals that get shorter have come to the longest life that Vault allows.
    fn has_been_capped(&self) -> bool {
        self.life.zip(self.first_life).is_some_and(|(life, first)| life < part(first, 1, 2))
    }
}

impl Session {
    pub(super) fn new(auth: Auth) -> Self {
        Self {
            auth,
            held: ArcSwapOption::empty(),
            flight: tokio::sync::Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// The token that serves at `now`.
    pub(super) fn held(&self, now: Timestamp) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| held.is_alive(now))
    }

    pub(super) fn told(&self) -> Told {
        *self.lock()
    }

    /// The token to ask with: the one there is, or that of a login.
    pub(super) async fn token(&self, wire: &Wire, now: Timestamp) -> Result<Arc<Held>, VaultFault> {
        if let Some(held) = self.held(now) {
            return Ok(held);
        }
        let mut flight = self.flight.lock().await;
        match self.held(now) {
            // Somebody else logged in meanwhile.
            Some(held) => Ok(held),
            None => self.log_in(&mut flight, wire, now).await,
        }
    }

    /// Vault said no to `asked`: is the token dead, or may it only not do this? A dead one is replaced.
    pub(super) async fn doubt(
        &self,
        asked: &Arc<Held>,
        wire: &Wire,
        now: Timestamp,
    ) -> Result<Arc<Held>, VaultFault> {
        let mut flight = self.flight.lock().await;
        match self.held(now) {
            Some(held) if held.generation != asked.generation => return Ok(held),
            Some(_) => {}
            None => return self.log_in(&mut flight, wire, now).await,
        }
        match login::look_up(wire, asked.token.clone()).await {
            Ok(_alive) => Err(VaultFault::Denied),
            Err(LoginFault::Vault(Failed { fault: VaultFault::Denied, .. })) => {
                tracing::warn!("the gateway's token for Vault was revoked; it logs in again");
                self.held.store(None);
                self.log_in(&mut flight, wire, now).await
            }
            Err(other) => Err(other.outward()),
        }
    }

    /// Does what is due at `now`. Returns at once when somebody else is at it.
    pub(super) async fn keep(&self, wire: &Wire, now: Timestamp) {
        let Ok(mut flight) = self.flight.try_lock() else { return };
        let held = self.held(now);
        if let Some(held) = &held
            && !held.is_due(now)
            && !self.has_another_token(held).await
        {
            return;
        }
        if flight.backoff.is_early(now) {
            return;
        }
        if let Some(held) = held.filter(|held| held.is_due(now) && held.renewable && !held.has_been_capped())
        {
            match self.renew(&held, wire, now).await {
                Ok(()) => return flight.backoff.succeeded(),
                Err(failed) if failed.fault.may_pass() => {
                    flight.backoff.failed(now, failed.wait);
                    self.tell_fault(failed.fault.reason(), now);
                    return;
                }
                // Revoked, or as old as it may become.
                Err(_) => {}
            }
        }
        // What it came to is told; whoever needs a session asks again.
        drop(self.log_in(&mut flight, wire, now).await);
    }

    /// Ends the session, if it is ours to end.
    pub(super) async fn end(&self, wire: &Wire) {
        let Some(held) = self.held.swap(None) else { return };
        if matches!(self.auth, Auth::TokenFile(_)) {
            return;
        }
        if let Ok(call) = Call::of(&RevokeTokenSelfRequest {})
            && let Err(failed) = wire.tell(&call, Some(&held.token)).await
        {
            tracing::warn!(
                fault = failed.fault.reason(),
                "the token for Vault could not be revoked; it runs out"
            );
        }
    }

    async fn log_in(
        &self,
        flight: &mut Flight,
        wire: &Wire,
        now: Timestamp,
    ) -> Result<Arc<Held>, VaultFault> {
        if flight.backoff.is_early(now) {
            return Err(flight.refusal.unwrap_or(VaultFault::NoSession));
        }
        match login::log_in(&self.auth, wire, &mut flight.unpacked).await {
            Ok(logged_in) => {
                flight.backoff.succeeded();
                flight.refusal = None;
                Ok(self.begin(flight, logged_in, now))
            }
            Err(fault) => {
                let wait = match fault {
                    LoginFault::Vault(failed) => failed.wait,
                    _ => None,
                };
                flight.backoff.failed(now, wait);
                flight.refusal = Some(fault.outward());
                self.tell_login_fault(fault, now);
                Err(fault.outward())
            }
        }
    }

    fn begin(&self, flight: &mut Flight, logged_in: LoggedIn, now: Timestamp) -> Arc<Held> {
        let LoggedIn { token, ttl_s, renewable } = logged_in;
        let before = self.held.load_full().filter(|before| before.token.is(token.as_str().as_bytes()));
        let generation = match &before {
            // The same token looked at again: what was lent to it stays.
            Some(before) => before.generation,
            None => flight.generation.saturating_add(1),
        };
        flight.generation = generation;
        let life = (ttl_s > 0).then(|| Duration::from_secs(ttl_s));
        let first_life = before.map_or(life, |before| before.first_life);
        let held = Arc::new(Held { token, generation, since: now, life, first_life, renewable });
        self.held.store(Some(Arc::clone(&held)));
        let mut told = self.lock();
        told.logins = told.logins.saturating_add(1);
        if told.fault.take().is_some() || told.logins == 1 {
            tracing::info!(method = self.auth.name(), life_s = ttl_s, renewable, "logged in to Vault");
        }
        held
    }

    async fn renew(&self, held: &Held, wire: &Wire, now: Timestamp) -> Result<(), Failed> {
        let call = Call::of(&RenewTokenSelfRequest { increment: None })?;
        let granted = wire.ask::<Fields>(&call, Some(&held.token)).await?.auth;
        let granted = granted.ok_or(VaultFault::BadAnswer)?;
        let renewed = Held {
            token: held.token.clone(),
            generation: held.generation,
            since: now,
            life: (granted.lease_duration > 0).then(|| Duration::from_secs(granted.lease_duration)),
            first_life: held.first_life,
            renewable: granted.renewable,
        };
        self.held.store(Some(Arc::new(renewed)));
        let mut told = self.lock();
        told.renewals = told.renewals.saturating_add(1);
        told.fault = None;
        Ok(())
    }

    /// Whether the file of the token holds another one than the one that serves.
    async fn has_another_token(&self, held: &Held) -> bool {
        let Auth::TokenFile(path) = &self.auth else { return false };
        let read = proof::read(&Source::File(path.clone())).await;
        read.is_ok_and(|read| !held.token.is(&read))
    }

    fn tell_login_fault(&self, fault: LoginFault, now: Timestamp) {
        if self.tell_fault(fault.reason(), now) {
            return;
        }
        match fault {
            // Not a trouble but a sign: somebody else may hold the gateway's secret id.
            LoginFault::WrappingUsed => tracing::error!(
                "the wrapping token of the secret id was used before or has ended: find out by whom, destroy the \
                 secret id, and give the gateway a new one"
            ),
            LoginFault::WrappingForeign => tracing::error!(
                "the wrapping token does not hold a secret id of the configured AppRole mount: find out who put it there"
            ),
            other => tracing::warn!(
                method = self.auth.name(),
                fault = other.reason(),
                "the gateway cannot log in to Vault; what is in hand serves until it ends"
            ),
        }
    }

    /// Whether it was the same fault before.
    fn tell_fault(&self, reason: &'static str, now: Timestamp) -> bool {
        let mut told = self.lock();
        let same = told.fault.is_some_and(|(before, _)| before == reason);
        if !same {
            told.fault = Some((reason, now));
        }
        same
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
