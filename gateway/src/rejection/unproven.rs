//! What is somebody told who has not proved who it is, or not enough of it?

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::challenge::{Offer, Wrong};
use super::told::{certificate_not_trusted, sentence, unavailable, with};
use super::{
    AUTHENTICATION, CERTIFICATE, INVALID_PROOF, INVALID_TOKEN, MALFORMED, QUOTA, SIGN_IN, TOKEN_BINDING,
    UNKNOWN_CALLER,
};
use crate::identity::{Bound, ClientCertificate, IdentityError, PossessionFault, Stranger};
use crate::problem::Problem;

/// The problem, with a challenge where one can help.
pub(super) fn problem(error: &IdentityError, offer: &Offer<'_>) -> Problem {
    let problem = unchallenged(error, offer);
    let (bound, sign_in) = match error {
        IdentityError::Possession(PossessionFault::Required(bound)) => (Some(*bound), None),
        IdentityError::SignIn(sign_in) => (None, Some(sign_in)),
        _ => (None, None),
    };
    match error.challenge() {
        None => problem,
        Some(challenge) => offer.challenge(problem, Wrong { bound, sign_in, ..Wrong::of(challenge) }),
    }
}

fn unchallenged(error: &IdentityError, offer: &Offer<'_>) -> Problem {
    match error {
        IdentityError::NoProof => Problem::new(AUTHENTICATION, StatusCode::UNAUTHORIZED, how(offer.bound)),
        IdentityError::BadRequest(fault) => {
            Problem::new(MALFORMED, StatusCode::BAD_REQUEST, sentence(fault.advice()))
        }
        IdentityError::InvalidToken(fault) => {
            Problem::new(INVALID_TOKEN, StatusCode::UNAUTHORIZED, sentence(fault.advice()))
        }
        IdentityError::Possession(fault) => possession(*fault),
        IdentityError::SignIn(_) => Problem::new(
            SIGN_IN,
            StatusCode::UNAUTHORIZED,
            "How you signed in, or when, is not enough for this. Sign in again, as the challenge says.",
        ),
        IdentityError::TooManyProofs => too_many_proofs(),
        IdentityError::CertificateNeeded => Problem::new(
            CERTIFICATE,
            StatusCode::FORBIDDEN,
            "This operation needs a client certificate. Connect again and present the one registered for you.",
        ),
        IdentityError::CertificateExpired => certificate_not_trusted(),
        IdentityError::CertificateUnusable(unusable) => {
            Problem::new(CERTIFICATE, StatusCode::FORBIDDEN, sentence(unusable.fault.advice()))
        }
        IdentityError::UnknownCaller(Stranger::Certificate(certificate)) => {
            strange(certificate, "is not registered for a caller")
        }
        IdentityError::AmbiguousCaller(Stranger::Certificate(certificate)) => {
            strange(certificate, "is registered for more than one caller")
        }
        IdentityError::UnknownCaller(_) | IdentityError::AmbiguousCaller(_) => {
            unknown("The proof is good, but it is not registered for one caller. Ask the owner of the API.")
        }
        IdentityError::Actor => unknown(
            "The token is used by somebody who acts for its subject and is not registered to. Ask the owner of the API.",
        ),
        IdentityError::ProofsDisagree { .. } => unknown(
            "The token and the client certificate belong to different callers. Use the pair registered together.",
        ),
        IdentityError::KeysUnavailable { .. } => {
            unavailable("The keys of your token's issuer cannot be had at the moment. Try again shortly.")
        }
        IdentityError::Unanswered { .. } | IdentityError::Overloaded { .. } => {
            unavailable("Your token's issuer cannot be asked about it at the moment. Try again shortly.")
        }
    }
}

/// How to show a token where it must be bound so.
const fn how(bound: Option<Bound>) -> &'static str {
    match bound {
        Some(Bound::Dpop) => {
            "Send an access token in the Authorization header, `Authorization: DPoP ...`, and a proof of its key in the DPoP header."
        }
        Some(Bound::Certificate | Bound::Either) | None => {
            "Send an access token in the Authorization header: `Authorization: Bearer ...`."
        }
    }
}

/// RFC 9449 section 7.1: 401, whatever is wrong with the token, its proof or what it is bound to.
fn possession(fault: PossessionFault) -> Problem {
    let kind = match fault {
        PossessionFault::Proof(_) => INVALID_PROOF,
        PossessionFault::Required(_) => TOKEN_BINDING,
        PossessionFault::Certificate | PossessionFault::ShownAsBearer | PossessionFault::NotBound => {
            INVALID_TOKEN
        }
    };
    Problem::new(kind, StatusCode::UNAUTHORIZED, sentence(fault.advice()))
}

fn too_many_proofs() -> Problem {
    let problem = Problem::new(
        QUOTA,
        StatusCode::TOO_MANY_REQUESTS,
        "More DPoP proofs came from you within a minute than can be remembered. Wait, and send fewer.",
    );
    with(problem, RETRY_AFTER, RETRY_PROOFS)
}

/// The names in a certificate are its owner's own: told back, they say what has to be registered.
fn strange(certificate: &ClientCertificate, what: &str) -> Problem {
    let names = certificate.names_shown();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let detail = format!(
        "The client certificate is trusted, but what it says {what}. Its names: {names}. Its SHA-256: {}. Ask the owner of \
         the API.",
        certificate.sha256_hex()
    );
    unknown(&detail)
}

fn unknown(detail: &str) -> Problem {
    Problem::new(UNKNOWN_CALLER, StatusCode::FORBIDDEN, detail)
}

/// Seconds: proofs are remembered by the minute, and then room is made.
const RETRY_PROOFS: &str = "60";
