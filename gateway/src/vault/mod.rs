//! Where do the gateway's own secrets, certificates and signatures come from, and for how long do they hold?
//!
//! One [`Vault`] is one session with HashiCorp Vault or OpenBao: it logs in, renews, logs in again when the token
//! was revoked, and knows what it was lent. Whoever asks gets a value or one [`VaultFault`]; what is done with what
//! is in hand while Vault is away is the consumer's to decide ([`VaultFault::may_pass`]). Knows no consumer.

mod answer;
mod cache;
mod fault;
mod leases;
mod login;
mod path;
mod pki;
mod proof;
mod retry;
mod secret;
mod session;
mod settings;
mod state;
mod transit;
mod wire;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use vaultrs::api::{kv1, kv2};

pub use fault::VaultFault;
pub use path::{Engine, SecretPath, SecretPathError, is_path};
pub use pki::{CertificateOrder, Issued};
pub use secret::{Lease, Secret};
pub use settings::{Auth, CacheSettings, Source, VaultMistake, VaultSettings};
pub use state::VaultState;
pub use transit::{PublicKey, Signature, TransitKey};

use answer::{Envelope, Fields, Signed, TransitKeys, TransitSignature, Versioned};
use cache::Cache;
use fault::Failed;
use leases::Leases;
use secret::later;
use session::{Held, Session};
use wire::{Call, Wire};

/// One Vault, and the session with it. Outlives the snapshots that use it.
pub struct Vault {
    settings: VaultSettings,
    wire: Wire,
    session: Session,
    leases: Leases,
    cache: Option<Cache>,
    /// Why the last question failed, where Vault itself was the reason.
    trouble: Mutex<Option<(&'static str, Timestamp)>>,
}

impl Vault {
    /// The Vault of these settings: `previous` where they are the same, so that its session goes on.
    ///
    /// # Errors
    /// The settings cannot be meant. Vault is not asked.
    pub fn new(settings: VaultSettings, previous: Option<&Arc<Self>>) -> Result<Arc<Self>, VaultMistake> {
        if let Some(same) = previous.filter(|previous| previous.settings == settings) {
            return Ok(Arc::clone(same));
        }
        let wire = Wire::new(&settings)?;
        let session = Session::new(settings.auth.clone());
        let cache = Cache::new(&settings);
        let (leases, trouble) = (Leases::default(), Mutex::default());
        Ok(Arc::new(Self { settings, wire, session, leases, cache, trouble }))
    }

    /// Does what is due: login, renewal, login anew, renewal of leases. To be called each second.
    pub async fn keep_session(&self, now: Timestamp) {
        self.session.keep(&self.wire, now).await;
        if let Some(held) = self.session.held(now) {
            self.leases.keep(&self.wire, &held, now).await;
        }
    }

    /// The secret at a path: the value of key/value version 1, the latest version of version 2, or a new secret
    /// that is lent. While Vault is away, what was good last time, where that is kept.
    ///
    /// # Errors
    /// Vault said no, or could not be asked.
    pub async fn read(&self, at: &SecretPath) -> Result<Secret, VaultFault> {
        let read = self.read_now(at).await;
        // What is lent is lent to a session, and ends with it.
        let Some(cache) = self.cache.as_ref().filter(|_| at.engine != Engine::Dynamic) else { return read };
        match &read {
            Ok(secret) => cache.keep(at, secret, Timestamp::now()).await,
            Err(VaultFault::Denied | VaultFault::NotFound) => cache.forget(at).await,
            Err(fault) if fault.is_away() => {
                if let Some(kept) = cache.find(at, Timestamp::now()).await {
                    return Ok(kept);
                }
            }
            Err(_) => {}
        }
        read
    }

    async fn read_now(&self, at: &SecretPath) -> Result<Secret, VaultFault> {
        let SecretPath { engine, mount, path } = at;
        match engine {
            Engine::Kv1 => {
                let request = kv1::requests::GetSecretRequest { mount: mount.clone(), path: path.clone() };
                let (answer, _) = self.ask::<Fields>(&Call::of(&request)?).await?;
                let Fields(fields) = answer.data.ok_or(VaultFault::BadAnswer)?;
                // Not a lease but a hint of the mount or of the secret's own `ttl`.
                let hint = (answer.lease_duration > 0).then(|| Duration::from_secs(answer.lease_duration));
                let again_at = hint.map(|hint| later(Timestamp::now(), hint));
                Ok(Secret { again_at, ..Secret::new(fields) })
            }
            Engine::Kv2 => {
                let (mount, path) = (mount.clone(), path.clone());
                let request = kv2::requests::ReadSecretRequest { mount, path, version: None };
                let (answer, _) = self.ask::<Versioned>(&Call::of(&request)?).await?;
                let Versioned { data, metadata } = answer.data.ok_or(VaultFault::BadAnswer)?;
                let Fields(fields) = data.ok_or(VaultFault::NotFound)?;
                Ok(Secret { version: Some(metadata.version), ..Secret::new(fields) })
            }
            Engine::Dynamic => self.borrow(at).await,
        }
    }

    /// A secret that is made for this question, and lent.
    async fn borrow(&self, at: &SecretPath) -> Result<Secret, VaultFault> {
        let call = Call::get(format!("{}/{}", at.mount, at.path));
        let (answer, held) = self.ask::<Fields>(&call).await?;
        let now = Timestamp::now();
        let Fields(fields) = answer.data.ok_or(VaultFault::BadAnswer)?;
        if answer.lease_id.0.is_empty() {
            return Ok(Secret::new(fields));
        }
        let duration = Duration::from_secs(answer.lease_duration);
        let lease = Arc::new(Lease::new(answer.lease_id.0, duration, answer.renewable, now));
        self.leases.lent(at, &lease, held.generation, now);
        Ok(Secret { lease: Some(lease), ..Secret::new(fields) })
    }

    /// Gives back a secret that was lent, before its time.
    ///
    /// # Errors
    /// Vault said no, or could not be asked: the lease runs out by itself.
    pub async fn give_back(&self, lease: &Lease) -> Result<(), VaultFault> {
        let held = self.session.token(&self.wire, Timestamp::now()).await?;
        self.leases.give_back(&self.wire, &held, lease).await
    }

    /// A certificate for a key that is made here.
    ///
    /// # Errors
    /// Vault said no, could not be asked, or signed something else than what was ordered.
    pub async fn issue(&self, order: &CertificateOrder) -> Result<Issued, VaultFault> {
        let ordered = order.prepare()?;
        let (answer, _) = self.ask::<Signed>(&Call::of(&ordered.request)?).await?;
        ordered.receive(order, answer.data.ok_or(VaultFault::BadAnswer)?)
    }

    /// The list of revoked certificates of a PKI mount, as PEM.
    ///
    /// # Errors
    /// It cannot be had, or is none.
    pub async fn crl(&self, mount: &str) -> Result<Vec<u8>, VaultFault> {
        // Public: no token is shown for it.
        let call = Call::get(format!("{mount}/crl/pem"));
        let answer = self.wire.bytes(&call, None, CRL_BYTES_MAX).await;
        self.tell(answer.as_ref().err().copied());
        pki::crl(&answer.map_err(|failed| failed.fault)?)
    }

    /// A signature by a key of the transit engine.
    ///
    /// # Errors
    /// Vault said no, or could not be asked.
    pub async fn sign(&self, key: &TransitKey, message: &[u8]) -> Result<Signature, VaultFault> {
        let call = Call::of(&key.request(message))?;
        let (answer, _) = self.ask::<TransitSignature>(&call).await?;
        Signature::parse(&answer.data.ok_or(VaultFault::BadAnswer)?.signature)
    }

    /// The public half of one version of a key of the transit engine.
    ///
    /// # Errors
    /// Vault said no, could not be asked, or has no such version.
    pub async fn public_key(&self, key: &TransitKey, version: u64) -> Result<PublicKey, VaultFault> {
        let call = Call::get(format!("{}/keys/{}", key.mount, key.name));
        let (answer, _) = self.ask::<TransitKeys>(&call).await?;
        answer.data.ok_or(VaultFault::BadAnswer)?.version(version)
    }

    /// Gives everything back and ends the session, as far as that is done in a short time. For shutdown.
    pub async fn revoke_leases(&self) {
        let Some(held) = self.session.held(Timestamp::now()) else { return };
        let all = async {
            let left = self.leases.give_back_all(&self.wire, &held).await;
            if left > 0 {
                tracing::warn!(left, "leases of Vault could not be revoked; they run out by themselves");
            }
            self.session.end(&self.wire).await;
        };
        if tokio::time::timeout(GIVE_BACK_TIME, all).await.is_err() {
            tracing::warn!("Vault did not take back in time what it lent; it runs out by itself");
        }
    }

    /// How the gateway stands with it.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> VaultState {
        let (held, told) = (self.session.held(now), self.session.told());
        let fault = told.fault.or(*self.lock());
        VaultState {
            address: self.settings.address.clone(),
            method: self.settings.auth.name(),
            logged_in: held.is_some(),
            ends: held.and_then(|held| held.ends()),
            fault: fault.map(|(reason, _)| reason),
            fault_since: fault.map(|(_, since)| since),
            leases: self.leases.count(now),
            logins: told.logins,
            renewals: told.renewals,
        }
    }

    /// Asks with the session's token; once more with a new one, where the token was dead.
    async fn ask<T: DeserializeOwned>(&self, call: &Call) -> Result<(Envelope<T>, Arc<Held>), VaultFault> {
        let now = Timestamp::now();
        let held = self.session.token(&self.wire, now).await?;
        let answer = self.wire.ask(call, Some(&held.token)).await;
        self.tell(answer.as_ref().err().copied());
        match answer {
            Ok(answer) => Ok((answer, held)),
            Err(Failed { fault: VaultFault::Denied, .. }) => {
                let held = self.session.doubt(&held, &self.wire, now).await?;
                let answer = self.wire.ask(call, Some(&held.token)).await;
                self.tell(answer.as_ref().err().copied());
                answer.map(|answer| (answer, held)).map_err(|failed| failed.fault)
            }
            Err(failed) => Err(failed.fault),
        }
    }

    /// Remembers whether Vault itself is in trouble. That it says no to one question is none.
    fn tell(&self, failed: Option<Failed>) {
        let mut trouble = self.lock();
        let reason = failed.filter(|failed| failed.fault.may_pass()).map(|failed| failed.fault.reason());
        match reason {
            None => *trouble = None,
            Some(reason) if trouble.is_some_and(|(before, _)| before == reason) => {}
            Some(reason) => *trouble = Some((reason, Timestamp::now())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(&'static str, Timestamp)>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A list of a large authority; about forty bytes for each certificate.
const CRL_BYTES_MAX: usize = 16 << 20;
/// A stop is not held up by a Vault that is slow: what it lent ends by itself.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);
