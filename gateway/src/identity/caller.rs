//! Who is calling? The one place where a request gets a [`Caller`].
//!
//! Every proof that an operation asks for and a request shows must hold: a bad token is never passed over
//! because a certificate is good, and two good proofs must be those of one caller. What the caller may do
//! is not known here.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;

use crate::revocation::Revocations;

use super::authorization;
use super::callers::{CallerProfile, Callers, Found, FoundToken, Kind};
use super::certificate::ClientCertificate;
use super::demand::{Asked, Demand};
use super::dpop::{Dpop, NotTaken};
use super::error::{IdentityError, Stranger};
use super::origin::Origin;
use super::possession::{self, PossessionFault};
use super::sign_in::{SignIn, SignedIn};
use super::token::{Issuers, Token, TokenFault};

/// Everything by which callers of one snapshot are told.
#[derive(Debug)]
pub struct Identities {
    callers: Callers,
    issuers: Arc<Issuers>,
    revocations: Arc<Revocations>,
    dpop: Dpop,
}

/// How a request came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connected<'a> {
    /// The client certificate of its connection, verified.
    pub certificate: Option<&'a Arc<ClientCertificate>>,
    /// Where it was sent, if that is a place which its listener serves; only proofs of possession ask for it.
    pub origin: Option<&'a Origin>,
}

/// Proof that a request's caller is known, or that the operation is open to everybody.
///
/// Nobody else can make one:
/// ```compile_fail,E0451
/// let forged = gateway::identity::Caller { shown: todo!(), next_nonce: None };
/// ```
#[derive(Debug, Clone)]
pub struct Caller {
    shown: Shown,
    /// The nonce for its next proof of possession, if that of this one ends.
    next_nonce: Option<String>,
}

#[derive(Debug, Clone)]
enum Shown {
    Nothing,
    Token(Arc<CallerProfile>, Arc<Token>),
    Certificate(Arc<CallerProfile>, Arc<ClientCertificate>),
    Both(Arc<CallerProfile>, Arc<Token>, Arc<ClientCertificate>),
}

impl Caller {
    /// Its entry in `callers.yaml`; nothing for an anonymous caller of an open operation.
    #[must_use]
    pub const fn profile(&self) -> Option<&Arc<CallerProfile>> {
        match &self.shown {
            Shown::Nothing => None,
            Shown::Token(profile, _) | Shown::Certificate(profile, _) | Shown::Both(profile, ..) => {
                Some(profile)
            }
        }
    }

    /// Its name; nothing if anonymous.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.profile().map(|profile| profile.id.as_str())
    }

    /// Its kind; nothing if anonymous.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.profile().map(|profile| profile.kind)
    }

    /// The token it showed, verified.
    #[must_use]
    pub const fn token(&self) -> Option<&Arc<Token>> {
        match &self.shown {
            Shown::Nothing | Shown::Certificate(..) => None,
            Shown::Token(_, token) | Shown::Both(_, token, _) => Some(token),
        }
    }

    /// The certificate of its connection, if it is this caller's; another's or a stranger's is not here.
    #[must_use]
    pub const fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        match &self.shown {
            Shown::Nothing | Shown::Token(..) => None,
            Shown::Certificate(_, certificate) | Shown::Both(_, _, certificate) => Some(certificate),
        }
    }

    /// The nonce to make the next proof of possession with, when it is time for another (RFC 9449 section 8.2).
    #[must_use]
    pub fn next_nonce(&self) -> Option<&str> {
        self.next_nonce.as_deref()
    }

    /// How it proved itself, for the record: `none`, `token`, `certificate` or `token+certificate`.
    #[must_use]
    pub const fn how(&self) -> &'static str {
        match &self.shown {
            Shown::Nothing => "none",
            Shown::Token(..) => "token",
            Shown::Certificate(..) => "certificate",
            Shown::Both(..) => "token+certificate",
        }
    }
}

/// A token that was shown by whoever it is bound to, and whose it is.
struct Borne {
    profile: Arc<CallerProfile>,
    token: Arc<Token>,
    next_nonce: Option<String>,
}

/// A certificate that was shown, and whose it is.
enum Held<'a> {
    None,
    Stranger(&'a Arc<ClientCertificate>),
    Of(Arc<CallerProfile>, &'a Arc<ClientCertificate>),
}

impl Identities {
    /// The callers of a snapshot, the issuers and revocations that outlive it, and what is asked of proofs of
    /// possession.
    #[must_use]
    pub const fn new(
        callers: Callers,
        issuers: Arc<Issuers>,
        dpop: Dpop,
        revocations: Arc<Revocations>,
    ) -> Self {
        Self { callers, issuers, revocations, dpop }
    }

    /// What judges proofs of possession.
    #[must_use]
    pub const fn dpop(&self) -> &Dpop {
        &self.dpop
    }

    /// Whose tokens are accepted.
    #[must_use]
    pub const fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// What is revoked.
    #[must_use]
    pub const fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Everyone who may call.
    #[must_use]
    pub const fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Who is calling with `request`, which came `connected` so, for an operation that asks for this. An operation
    /// that asks for nothing says so with an alternative that does; without any alternative it is closed.
    ///
    /// # Errors
    /// Nobody is identified: see [`IdentityError`].
    pub async fn identify(
        &self,
        demand: &Demand,
        request: &Parts,
        connected: Connected<'_>,
        now: Timestamp,
    ) -> Result<Caller, IdentityError> {
        let asked = demand.asked.as_slice();
        let asks_token = asked.iter().any(|one| one.token);
        let asks_certificate = asked.iter().any(|one| one.certificate);
        let borne = if asks_token { self.by_token(demand, request, connected, now).await? } else { None };
        // A certificate nobody asks for cannot identify, but must not be that of another than the token's.
        let held = if asks_certificate || borne.is_some() {
            self.by_certificate(connected.certificate, now)?
        } else {
            Held::None
        };
        if !asked.iter().any(|one| (!one.token || borne.is_some()) && (!one.certificate || held.is_known())) {
            return Err(held.what_is_missing(asked, borne.is_some()));
        }
        let Some(Borne { profile, token, next_nonce }) = borne else {
            let shown = match held {
                Held::None | Held::Stranger(_) => Shown::Nothing,
                Held::Of(profile, certificate) => Shown::Certificate(profile, Arc::clone(certificate)),
            };
            return Ok(Caller { shown, next_nonce: None });
        };
        let shown = match held {
            Held::None | Held::Stranger(_) => Shown::Token(profile, token),
            Held::Of(other, certificate) if profile.index == other.index => {
                Shown::Both(profile, token, Arc::clone(certificate))
            }
            Held::Of(certificate, _) => {
                return Err(IdentityError::ProofsDisagree { token: profile, certificate });
            }
        };
        Ok(Caller { shown, next_nonce })
    }

    /// Whether `caller`, if it is a person, has signed in as its kind and the operation ask.
    ///
    /// # Errors
    /// It has not, or shows no token that says how.
    pub fn signed_in(&self, caller: &Caller, demand: &Demand, now: Timestamp) -> Result<(), IdentityError> {
        let Some(kind) = caller.kind() else { return Ok(()) };
        let signed_in = caller.token().map(|token| SignedIn::by(token));
        let is_met = |asked: &SignIn| signed_in.as_ref().is_some_and(|how| asked.is_met_by(how, now));
        match self.sign_ins(kind, demand).find(|(_, asked)| !is_met(asked)) {
            Some((_, unmet)) => Err(IdentityError::SignIn(unmet.clone())),
            None => Ok(()),
        }
    }

    async fn by_token(
        &self,
        demand: &Demand,
        request: &Parts,
        connected: Connected<'_>,
        now: Timestamp,
    ) -> Result<Option<Borne>, IdentityError> {
        let Some(shown) = authorization::shown(request).map_err(IdentityError::BadRequest)? else {
            return Ok(None);
        };
        let token = self.issuers.verify(shown.token, now).await?;
        // Asked at each use: a token that was verified before may be revoked since.
        if self.revocations.holds(&token.shown(), now) {
            return Err(IdentityError::InvalidToken(TokenFault::Revoked));
        }
        // Only who holds a good token makes us look at a proof, which costs a signature.
        let proven = possession::check(shown, &token, request, connected, &self.dpop, now)
            .map_err(IdentityError::Possession)?;
        let (profile, terms) = match self.callers.index().by_token(&token) {
            FoundToken::One(profile, terms) => (Arc::clone(profile), terms),
            FoundToken::Nobody => return Err(IdentityError::UnknownCaller(Stranger::Token(token))),
            FoundToken::Several => return Err(IdentityError::AmbiguousCaller(Stranger::Token(token))),
        };
        if let Some(proven) = &proven {
            self.dpop.take(&profile.id, proven, now).map_err(|refused| match refused {
                NotTaken::Fault(fault) => IdentityError::Possession(PossessionFault::Proof(fault)),
                NotTaken::TooMany => IdentityError::TooManyProofs,
            })?;
        }
        if !terms.actors.fit(&token) {
            return Err(IdentityError::Actor);
        }
        if let Some(rules) = self.callers.of_kind(profile.kind) {
            rules.check_lifetime(&token).map_err(IdentityError::InvalidToken)?;
        }
        let mut demanded = self.bindings(profile.kind, terms.bound, demand);
        if let Some((_, unmet)) = demanded.find(|(_, bound)| !bound.is_met_by(token.binding())) {
            return Err(IdentityError::Possession(PossessionFault::Required(unmet)));
        }
        Ok(Some(Borne { profile, token, next_nonce: proven.and_then(|proven| proven.next_nonce) }))
    }

    fn by_certificate<'a>(
        &self,
        certificate: Option<&'a Arc<ClientCertificate>>,
        now: Timestamp,
    ) -> Result<Held<'a>, IdentityError> {
        let Some(certificate) = certificate else { return Ok(Held::None) };
        // RFC 5280 section 4.1.2.5: the handshake saw it valid; a connection may outlive that.
        if now > certificate.not_after() {
            return Err(IdentityError::CertificateExpired);
        }
        match self.callers.index().by_certificate(certificate) {
            Found::One(profile) => Ok(Held::Of(Arc::clone(profile), certificate)),
            Found::Nobody => Ok(Held::Stranger(certificate)),
            Found::Several => {
                Err(IdentityError::AmbiguousCaller(Stranger::Certificate(Arc::clone(certificate))))
            }
        }
    }
}

impl Held<'_> {
    const fn is_known(&self) -> bool {
        match self {
            Self::Of(..) => true,
            Self::None | Self::Stranger(_) => false,
        }
    }

    /// What a request lacks that satisfies none of `asked`: the nearest to what it has.
    fn what_is_missing(&self, asked: &[Asked], has_token: bool) -> IdentityError {
        let lacks_only_certificate = asked.iter().any(|one| one.certificate && (!one.token || has_token));
        let token_would_do = asked.iter().any(|one| one.token && !one.certificate);
        match self {
            Self::Stranger(certificate) if lacks_only_certificate => {
                IdentityError::UnknownCaller(Stranger::Certificate(Arc::clone(certificate)))
            }
            Self::None | Self::Stranger(_) | Self::Of(..) if lacks_only_certificate && !token_would_do => {
                IdentityError::CertificateNeeded
            }
            Self::None | Self::Stranger(_) | Self::Of(..) => IdentityError::NoProof,
        }
    }
}

#[cfg(test)]
mod tests;
