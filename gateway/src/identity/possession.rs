//! Is the token shown by whoever it is bound to, and bound as it must be here?
//!
//! A token that is bound to a key or a certificate is good with those only, however it is shown; and proof of a
//! key with a token that is not bound to it is refused too, because its sender believes itself protected and is
//! not. What its caller may do is not known here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use http::request::Parts;
use jiff::Timestamp;

use super::authorization::{AuthScheme, Shown};
use super::caller::Connected;
use super::certificate::ClientCertificate;
use super::dpop::{self, Dpop, ProofFault, Proven};
use super::token::{Binding, Token};

/// What a token must be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// The client certificate of its connection (RFC 8705).
    Certificate,
    /// A key of which each request has a proof (RFC 9449).
    Dpop,
    /// One of the two.
    Either,
}

/// Why a good token does not prove who shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PossessionFault {
    /// It is bound to a client certificate that the connection does not have.
    #[error("the token is bound to a certificate that was not shown")]
    Certificate,
    /// It is bound to a key, and shown as if anybody might use it (RFC 9449 section 7.2).
    #[error("the token is bound to a key and shown as a bearer token")]
    ShownAsBearer,
    /// It is bound to no key, and shown as if it were.
    #[error("the token is bound to no key and shown with a proof of one")]
    NotBound,
    /// Its proof is at fault.
    #[error("the proof of possession is not accepted")]
    Proof(#[source] ProofFault),
    /// It is not bound to what it must be bound to here.
    #[error("the token is not bound to what it must be bound to")]
    Required(Bound),
}

impl Bound {
    /// Whether `binding` is enough.
    #[must_use]
    pub const fn is_met_by(self, binding: Binding) -> bool {
        match self {
            Self::Certificate => binding.certificate.is_some(),
            Self::Dpop => binding.key.is_some(),
            Self::Either => binding.certificate.is_some() || binding.key.is_some(),
        }
    }

    /// Whether a caller who asks how is told of `scheme`. A token that is bound to a certificate is a bearer
    /// token in its form (RFC 8705 section 3).
    #[must_use]
    pub const fn is_offered(self, scheme: AuthScheme) -> bool {
        match (self, scheme) {
            (Self::Certificate | Self::Either, AuthScheme::Bearer)
            | (Self::Dpop | Self::Either, AuthScheme::Dpop) => true,
            (Self::Dpop, AuthScheme::Bearer) | (Self::Certificate, AuthScheme::Dpop) => false,
        }
    }
}

impl PossessionFault {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Certificate => "token-binding",
            Self::ShownAsBearer => "token-shown-as-bearer",
            Self::NotBound => "token-not-bound",
            Self::Proof(fault) => fault.reason(),
            Self::Required(_) => "token-binding-required",
        }
    }

    /// The `error` of the challenge.
    #[must_use]
    pub const fn error(self) -> &'static str {
        match self {
            Self::Certificate | Self::ShownAsBearer | Self::NotBound | Self::Required(_) => "invalid_token",
            Self::Proof(fault) => fault.error(),
        }
    }

    /// What the client may be told.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Certificate => "the access token is bound to a client certificate that was not shown",
            Self::ShownAsBearer => {
                "the access token is bound to a key: send it as `Authorization: DPoP TOKEN` with a proof"
            }
            Self::NotBound => "the access token is not bound to a key: ask for one with a DPoP proof",
            Self::Proof(fault) => fault.advice(),
            Self::Required(Bound::Certificate) => {
                "the access token must be bound to your client certificate: ask for it with that certificate"
            }
            Self::Required(Bound::Dpop) => {
                "the access token must be bound to a key: ask for it with a DPoP proof"
            }
            Self::Required(Bound::Either) => {
                "the access token must be bound: ask for it with a DPoP proof or with your client certificate"
            }
        }
    }
}

/// Whether whoever shows `token` holds what it is bound to; the proof of a key, not entered as used yet.
pub(super) fn check(
    shown: Shown<'_>,
    token: &Token,
    request: &Parts,
    connected: Connected<'_>,
    dpop: &Dpop,
    now: Timestamp,
) -> Result<Option<Proven>, PossessionFault> {
    let binding = token.binding();
    check_certificate(binding, connected.certificate.map(AsRef::as_ref))?;
    match (shown.scheme, binding.key) {
        (AuthScheme::Bearer, None) if dpop::is_shown(request) => Err(PossessionFault::NotBound),
        (AuthScheme::Bearer, None) => Ok(None),
        (AuthScheme::Bearer, Some(_)) => Err(PossessionFault::ShownAsBearer),
        (AuthScheme::Dpop, None) => Err(PossessionFault::NotBound),
        (AuthScheme::Dpop, Some(key)) => {
            let proven =
                dpop.check(request, connected.origin, shown.token, now).map_err(PossessionFault::Proof)?;
            // RFC 9449 section 4.3, 12.
            if bool::from(proven.thumbprint.ct_eq(&key)) {
                Ok(Some(proven))
            } else {
                Err(PossessionFault::Proof(ProofFault::OtherKey))
            }
        }
    }
}

/// RFC 8705 section 3: good on that certificate's connections only, whatever the operation asks for.
fn check_certificate(
    binding: Binding,
    certificate: Option<&ClientCertificate>,
) -> Result<(), PossessionFault> {
    let holds = binding.certificate.is_none_or(|thumbprint| {
        certificate.is_some_and(|certificate| bool::from(certificate.sha256().ct_eq(&thumbprint)))
    });
    if holds { Ok(()) } else { Err(PossessionFault::Certificate) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_bound_is_met_by_what_is() {
        let hash = Some([7; 32]);
        let none = Binding::default();
        let (certificate, key) =
            (Binding { certificate: hash, key: None }, Binding { certificate: None, key: hash });
        let both = Binding { certificate: hash, key: hash };
        for (bound, met) in [
            (Bound::Certificate, [false, true, false, true]),
            (Bound::Dpop, [false, false, true, true]),
            (Bound::Either, [false, true, true, true]),
        ] {
            assert_eq!(
                [none, certificate, key, both].map(|binding| bound.is_met_by(binding)),
                met,
                "{bound:?}"
            );
        }
    }

    #[test]
    fn advice_fits_where_it_is_written() {
        for fault in [
            PossessionFault::Certificate,
            PossessionFault::ShownAsBearer,
            PossessionFault::NotBound,
            PossessionFault::Required(Bound::Certificate),
            PossessionFault::Required(Bound::Dpop),
            PossessionFault::Required(Bound::Either),
        ] {
            // RFC 6750 section 3: error_description has neither quotes nor backslashes.
            assert!(fault.advice().bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        }
    }
}
