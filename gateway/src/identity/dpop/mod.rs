//! Does whoever shows a token hold the key that it is bound to? DPoP, RFC 9449.
//!
//! [`Dpop`] reads a request's proof and judges it in this order: form, key, signature, what it is for, when it
//! was made, nonce. Only when its caller is known is it entered as used. What is remembered of proofs, and the
//! key of the nonces, outlive reloads and die with the process: what was used before it began is unknown, so
//! proofs that could be from then are asked for a nonce of this process, whatever the settings say.

mod fault;
mod nonce;
mod proof;
mod replay;

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use fault::ProofFault;
use nonce::{Nonces, Worth};
use proof::Proof;
use replay::{Limits, NotEntered, Replay};

use super::origin::Origin;
use super::token::{Algorithm, Digest, sha256};

/// What is asked of proofs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopSettings {
    /// Whether a proof needs a nonce of this server.
    pub nonce: NonceRule,
    /// How old a proof may be.
    pub window: Duration,
    /// The algorithms by which it may be signed.
    pub algorithms: Vec<Algorithm>,
}

/// Whether a proof needs a nonce of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NonceRule {
    /// Each one: none can be made ahead of time, or kept for another day.
    Required,
    /// None, but right after the start of the gateway.
    Off,
}

/// Judges proofs.
#[derive(Debug)]
pub struct Dpop {
    settings: DpopSettings,
    window: SignedDuration,
    /// The names of the algorithms, for challenges.
    algorithms: String,
    memory: Arc<Memory>,
}

/// What outlives reloads.
#[derive(Debug)]
struct Memory {
    replay: Replay,
    nonces: Nonces,
    began: Timestamp,
}

/// The system gives no randomness, so that nothing unguessable can be made.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

/// A proof that is good for its request, not entered as used yet.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) thumbprint: Digest,
    mark: u128,
    made: Timestamp,
    /// The nonce to make the next proof with, if that of this one ends.
    pub(super) next_nonce: Option<String>,
}

/// Why a good proof is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It is at fault.
    Fault(ProofFault),
    /// Its caller has used as many as are remembered.
    TooMany,
}

impl Dpop {
    /// Proofs are judged by `settings` from here on; what is remembered is taken over from `previous`.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn new(
        settings: DpopSettings,
        previous: Option<&Self>,
        now: Timestamp,
    ) -> Result<Self, NoRandomness> {
        let memory = match previous {
            Some(previous) => Arc::clone(&previous.memory),
            None => Arc::new(Memory {
                replay: Replay::new(LIMITS),
                nonces: Nonces::new(&SystemRandom::new()).ok_or(NoRandomness)?,
                began: now,
            }),
        };
        let names: Vec<&str> = settings.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        // The window is bounded where it is configured; one that does not fit would be the longest there is.
        let window = SignedDuration::try_from(settings.window).unwrap_or(SignedDuration::MAX);
        Ok(Self { algorithms: names.join(" "), window, settings, memory })
    }

    /// The names of the algorithms by which a proof may be signed, with spaces between.
    #[must_use]
    pub fn algorithms(&self) -> &str {
        &self.algorithms
    }

    /// The nonce to make a proof with now.
    #[must_use]
    pub fn nonce(&self, now: Timestamp) -> String {
        self.memory.nonces.current(now)
    }

    /// Whether `request`, sent to `origin` with `token`, has exactly one proof, and that is good for it.
    pub(super) fn check(
        &self,
        request: &Parts,
        origin: Option<&Origin>,
        token: &str,
        now: Timestamp,
    ) -> Result<Proven, ProofFault> {
        let mut fields = request.headers.get_all(FIELD).iter();
        let field = fields.next().ok_or(ProofFault::Missing)?;
        // RFC 9449 section 4.3, 1.
        if fields.next().is_some() {
            return Err(ProofFault::Repeated);
        }
        let text = field.to_str().or(Err(ProofFault::Malformed))?;
        let made_for =
            proof::Request { method: request.method.as_str(), origin, path: request.uri.path(), token };
        let proof = Proof::read(text, &self.settings.algorithms, made_for)?;
        self.judge(&proof, now)
    }

    /// RFC 9449 section 4.3, 10 and 11.
    fn judge(&self, proof: &Proof, now: Timestamp) -> Result<Proven, ProofFault> {
        if proof.issued.duration_since(now) > AHEAD || now.duration_since(proof.issued) > self.window {
            return Err(ProofFault::Time);
        }
        let worth = proof.nonce.as_ref().map_or(Worth::Nothing, |nonce| self.memory.nonces.worth(nonce, now));
        // A clock that runs ahead may have made it before we began.
        let may_be_from_before = proof.issued.duration_since(self.memory.began) <= AHEAD;
        let is_needed = self.settings.nonce == NonceRule::Required || may_be_from_before;
        let next_nonce = match worth {
            Worth::Nothing if is_needed && proof.nonce.is_none() => return Err(ProofFault::NonceMissing),
            Worth::Nothing if is_needed => return Err(ProofFault::NonceStale),
            Worth::Ending if is_needed => Some(self.nonce(now)),
            Worth::Current | Worth::Ending | Worth::Nothing => None,
        };
        Ok(Proven { thumbprint: proof.thumbprint, mark: mark(proof), made: proof.issued, next_nonce })
    }

    /// Enters a proof of `caller` as used.
    pub(super) fn take(&self, caller: &str, proof: &Proven, now: Timestamp) -> Result<(), NotTaken> {
        let oldest = now.checked_sub(self.window).unwrap_or(Timestamp::MIN);
        self.memory.replay.enter(caller, proof.mark, proof.made, oldest).map_err(|refused| match refused {
            NotEntered::Used => NotTaken::Fault(ProofFault::Replayed),
            NotEntered::Forgotten => NotTaken::Fault(ProofFault::Time),
            NotEntered::Full => NotTaken::TooMany,
        })
    }
}

/// Whether a request has a proof, or what should be one.
pub(super) fn is_shown(request: &Parts) -> bool {
    request.headers.contains_key(FIELD)
}

/// A proof is told by its key and its id. The signature is no part: of ECDSA there are several for one text.
fn mark(proof: &Proof) -> u128 {
    let digest = sha256(&[proof.thumbprint.as_slice(), proof.id.as_bytes()].concat());
    digest.iter().take(16).fold(0, |mark, byte| (mark << 8) | u128::from(*byte))
}

/// The field of a request that has its proof.
const FIELD: &str = "dpop";
/// A proof lives for the time of its way; a minute bears slow networks and clocks that differ.
pub const DPOP_WINDOW: Duration = Duration::from_secs(60);
/// A longer one is no protection from who records proofs.
pub const DPOP_WINDOW_MAX: Duration = Duration::from_secs(300);
/// RFC 9449 section 11.1: clocks of clients may run ahead a little.
const AHEAD: SignedDuration = SignedDuration::from_secs(30);
/// About 32 bytes for each: 1000 of every caller, and 32 MB for those who call most, none more than a tenth of that.
const LIMITS: Limits = Limits { own: 1_000, shared: 1_000_000, caller_max: 100_000 };

#[cfg(test)]
mod tests;
