//! Why is nobody identified? Codes for the record; for the client what RFC 6750 lets it know.

use std::sync::Arc;

use super::authorization::RequestFault;
use super::callers::CallerProfile;
use super::certificate::{ClientCertificate, UnusableCertificate};
use super::demand::Asked;
use super::possession::PossessionFault;
use super::sign_in::SignIn;
use super::token::{Token, TokenFault, Unverified};

/// Why a request has no caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IdentityError {
    /// Nothing was shown that the operation asks for.
    #[error("the request shows no proof of who calls")]
    NoProof,
    /// A token was shown in a way no client may.
    #[error("the request shows a token in a way that is not accepted")]
    BadRequest(#[source] RequestFault),
    /// The token proves nothing here.
    #[error("the access token is not accepted")]
    InvalidToken(#[source] TokenFault),
    /// The token is good, and not shown by whoever it is bound to, or not bound as it must be here.
    #[error("the access token is not shown as it must be")]
    Possession(#[source] PossessionFault),
    /// Somebody acts by the token who is not registered to act for its caller.
    #[error("the token is used by somebody who may not act for its caller")]
    Actor,
    /// The person signed in otherwise than is asked for, or the token does not say how.
    #[error("the way in which the person signed in is not enough")]
    SignIn(SignIn),
    /// The caller has used more proofs of possession than are remembered.
    #[error("the caller has used too many proofs of possession")]
    TooManyProofs,
    /// The operation asks for a client certificate and the connection has none.
    #[error("a client certificate is wanted")]
    CertificateNeeded,
    /// The certificate of the connection is trusted, and is of a form that can be nobody's.
    #[error("the client certificate cannot identify anybody")]
    CertificateUnusable(UnusableCertificate),
    /// The certificate has ended while its connection lives on.
    #[error("the client certificate has expired")]
    CertificateExpired,
    /// The proof is good, and nobody is registered with it.
    #[error("the proof is good and belongs to no registered caller")]
    UnknownCaller(Stranger),
    /// The proof is good, and fits more than one caller.
    #[error("the proof is good and belongs to more than one registered caller")]
    AmbiguousCaller(Stranger),
    /// Token and certificate are those of different callers.
    #[error("token and certificate belong to different callers")]
    ProofsDisagree {
        /// Whose token it is.
        token: Arc<CallerProfile>,
        /// Whose certificate it is.
        certificate: Arc<CallerProfile>,
    },
    /// The keys of the token's issuer are not to be had: nobody's fault who calls.
    #[error("the keys of issuer `{issuer}` are not available")]
    KeysUnavailable {
        /// The issuer's name in the configuration.
        issuer: Arc<str>,
    },
    /// The token's issuer was asked about it and gave no answer of use: nobody's fault who calls.
    #[error("issuer `{issuer}` gives no answer about a token: {why}")]
    Unanswered {
        /// The issuer's name in the configuration.
        issuer: Arc<str>,
        /// A stable code.
        why: &'static str,
    },
    /// The token's issuer is asked about too many tokens at this moment.
    #[error("issuer `{issuer}` is asked about too many tokens at once")]
    Overloaded {
        /// The issuer's name in the configuration.
        issuer: Arc<str>,
    },
}

/// A proof that is good and identifies nobody: for the record, so that it can be found whose it is.
#[derive(Debug, Clone)]
pub enum Stranger {
    /// By its token.
    Token(Arc<Token>),
    /// By its certificate.
    Certificate(Arc<ClientCertificate>),
}

/// What a `WWW-Authenticate` challenge says of this request (RFC 6750 section 3, RFC 9449 section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// `error`; absent when the client has shown nothing (RFC 6750 section 3.1).
    pub error: Option<&'static str>,
    /// `error_description`: what the client can change.
    pub description: Option<&'static str>,
}

impl IdentityError {
    /// Whether the gateway or what stands behind it is at fault, and not who calls.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::KeysUnavailable { .. } | Self::Unanswered { .. } | Self::Overloaded { .. })
    }

    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoProof => "no-proof",
            Self::BadRequest(fault) => fault.reason(),
            Self::InvalidToken(fault) => fault.reason(),
            Self::Possession(fault) => fault.reason(),
            Self::Actor => "actor-not-allowed",
            Self::SignIn(_) => "sign-in-insufficient",
            Self::TooManyProofs => "dpop-too-many",
            Self::CertificateNeeded => "certificate-needed",
            Self::CertificateUnusable(unusable) => unusable.fault.reason(),
            Self::CertificateExpired => "certificate-expired",
            Self::UnknownCaller(_) => "caller-unknown",
            Self::AmbiguousCaller(_) => "caller-ambiguous",
            Self::ProofsDisagree { .. } => "proofs-disagree",
            Self::KeysUnavailable { .. } => "keys-unavailable",
            Self::Unanswered { .. } => "introspection-unavailable",
            Self::Overloaded { .. } => "introspection-overloaded",
        }
    }

    /// The same of a request whose certificate cannot be used, where a certificate would have done.
    #[must_use]
    pub fn for_want_of(self, unusable: Option<&UnusableCertificate>, asked: &[Asked]) -> Self {
        match (self, unusable) {
            (Self::NoProof | Self::CertificateNeeded, Some(unusable))
                if asked.iter().any(|one| one.certificate) =>
            {
                Self::CertificateUnusable(unusable.clone())
            }
            (error, _) => error,
        }
    }

    /// The challenge that belongs into the answer, where a token could help.
    #[must_use]
    pub fn challenge(&self) -> Option<Challenge> {
        match self {
            Self::NoProof => Some(Challenge { error: None, description: None }),
            Self::BadRequest(fault) => {
                Some(Challenge { error: Some("invalid_request"), description: Some(fault.advice()) })
            }
            Self::InvalidToken(fault) => {
                Some(Challenge { error: Some("invalid_token"), description: Some(fault.advice()) })
            }
            Self::Possession(fault) => {
                Some(Challenge { error: Some(fault.error()), description: Some(fault.advice()) })
            }
            // RFC 9470 section 3.
            Self::SignIn(_) => Some(Challenge {
                error: Some("insufficient_user_authentication"),
                description: Some("the person must sign in again, in the way that is told here"),
            }),
            Self::Actor
            | Self::TooManyProofs
            | Self::CertificateNeeded
            | Self::CertificateUnusable(_)
            | Self::CertificateExpired
            | Self::UnknownCaller(_)
            | Self::AmbiguousCaller(_)
            | Self::ProofsDisagree { .. }
            | Self::KeysUnavailable { .. }
            | Self::Unanswered { .. }
            | Self::Overloaded { .. } => None,
        }
    }
}

impl From<Unverified> for IdentityError {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Fault(fault) => Self::InvalidToken(fault),
            Unverified::NoKeys { issuer } => Self::KeysUnavailable { issuer },
            Unverified::Unanswered { issuer, why } => Self::Unanswered { issuer, why },
            Unverified::Overloaded { issuer } => Self::Overloaded { issuer },
        }
    }
}
