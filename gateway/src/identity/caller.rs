//! Who is calling? The one place where a request gets a [`Caller`].
//!
//! Every proof that an operation asks for and a request shows must hold: a bad token is never passed over
//! because a certificate is good, and two good proofs must be those of one caller. What the caller may do
//! is not known here.

use std::sync::Arc;

use http::request::Parts;
use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::bearer::bearer;
use super::callers::{CallerProfile, Callers, Found, Kind};
use super::certificate::ClientCertificate;
use super::error::{IdentityError, Stranger};
use super::token::{Binding, Issuers, Token, TokenFault};

/// Everything by which callers of one snapshot are told.
#[derive(Debug)]
pub struct Identities {
    callers: Callers,
    issuers: Arc<Issuers>,
}

/// One alternative of what an operation asks for. Both may be asked for; neither is an open operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    /// An access token.
    pub token: bool,
    /// A client certificate.
    pub certificate: bool,
}

/// Proof that a request's caller is known, or that the operation is open to everybody.
///
/// Nobody else can make one:
/// ```compile_fail,E0451
/// let forged = gateway::identity::Caller { shown: todo!() };
/// ```
#[derive(Debug, Clone)]
pub struct Caller {
    shown: Shown,
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

/// A certificate that was shown, and whose it is.
enum Held<'a> {
    None,
    Stranger(&'a Arc<ClientCertificate>),
    Of(Arc<CallerProfile>, &'a Arc<ClientCertificate>),
}

impl Identities {
    /// The callers of a snapshot, and the issuers that outlive it.
    #[must_use]
    pub const fn new(callers: Callers, issuers: Arc<Issuers>) -> Self {
        Self { callers, issuers }
    }

    /// Whose tokens are accepted.
    #[must_use]
    pub const fn issuers(&self) -> &Arc<Issuers> {
        &self.issuers
    }

    /// Everyone who may call.
    #[must_use]
    pub const fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Who is calling with `request` on a connection with `certificate`, for an operation that asks for one
    /// of `asked`. An operation that asks for nothing says so with an alternative that does; without any
    /// alternative it is closed.
    ///
    /// # Errors
    /// Nobody is identified: see [`IdentityError`].
    pub async fn identify(
        &self,
        asked: &[Asked],
        request: &Parts,
        certificate: Option<&Arc<ClientCertificate>>,
        now: Timestamp,
    ) -> Result<Caller, IdentityError> {
        let asks_token = asked.iter().any(|one| one.token);
        let asks_certificate = asked.iter().any(|one| one.certificate);
        let token = if asks_token { self.by_token(request, certificate, now).await? } else { None };
        // A certificate nobody asks for cannot identify, but must not be that of another than the token's.
        let held = if asks_certificate || token.is_some() {
            self.by_certificate(certificate, now)?
        } else {
            Held::None
        };
        if !asked.iter().any(|one| (!one.token || token.is_some()) && (!one.certificate || held.is_known())) {
            return Err(held.what_is_missing(asked, token.is_some()));
        }
        let shown = match (token, held) {
            (None, Held::None | Held::Stranger(_)) => Shown::Nothing,
            (Some((profile, token)), Held::None | Held::Stranger(_)) => Shown::Token(profile, token),
            (None, Held::Of(profile, certificate)) => Shown::Certificate(profile, Arc::clone(certificate)),
            (Some((profile, token)), Held::Of(other, certificate)) if profile.index == other.index => {
                Shown::Both(profile, token, Arc::clone(certificate))
            }
            (Some((token, _)), Held::Of(certificate, _)) => {
                return Err(IdentityError::ProofsDisagree { token, certificate });
            }
        };
        Ok(Caller { shown })
    }

    async fn by_token(
        &self,
        request: &Parts,
        certificate: Option<&Arc<ClientCertificate>>,
        now: Timestamp,
    ) -> Result<Option<(Arc<CallerProfile>, Arc<Token>)>, IdentityError> {
        let Some(token) = bearer(request).map_err(IdentityError::BadRequest)? else { return Ok(None) };
        let token = self.issuers.verify(token, now).await?;
        check_binding(&token, certificate)?;
        match self.callers.index().by_token(&token) {
            Found::One(profile) => Ok(Some((Arc::clone(profile), token))),
            Found::Nobody => Err(IdentityError::UnknownCaller(Stranger::Token(token))),
            Found::Several => Err(IdentityError::AmbiguousCaller(Stranger::Token(token))),
        }
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

/// RFC 8705 section 3: a token bound to a certificate is good on that certificate's connections only,
/// whatever the operation asks for.
fn check_binding(token: &Token, certificate: Option<&Arc<ClientCertificate>>) -> Result<(), IdentityError> {
    let holds = match token.binding() {
        Binding::Bearer => true,
        Binding::Certificate(thumbprint) => {
            certificate.is_some_and(|certificate| bool::from(certificate.sha256().ct_eq(&thumbprint)))
        }
    };
    if holds { Ok(()) } else { Err(IdentityError::InvalidToken(TokenFault::Binding)) }
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
