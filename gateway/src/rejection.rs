//! Why does the gateway itself refuse? Every reason, and the only place that gives one a status.
//!
//! The rooms say what went wrong in their own words; here each of those becomes what the caller is told
//! ([`Problem`]), what the audit log says ([`Rejection::reason`]) and whose fault it is.

mod challenge;
mod told;
mod unproven;
mod versions;

use http::StatusCode;

use crate::audit::NotRecorded;
use crate::contract::{NoMatch, RequestFault, ResponseFault, TargetError};
use crate::credential::{SourceFault, Unavailable};
use crate::edge::{BodyFault, HeadFault, NotTrusted};
use crate::identity::{IdentityError, PossessionFault, ProofFault};
use crate::policy::PolicyRefusal;
use crate::problem::{Problem, ProblemType};
use crate::quota::Exceeded;
use crate::retirement::Retired;
use crate::upstream::{self, UpstreamError};
pub use challenge::Offer;
use told::{
    body, certificate_not_trusted, head, kind, policy, quota, request, scope, sentence, unavailable,
    unmatched, upstream,
};

/// A reason to refuse.
#[derive(Debug)]
pub enum Rejection {
    /// The head is not a request that every server would read alike.
    Head(HeadFault),
    /// The head took too long.
    HeadSlow,
    /// The target has more than one reading.
    Target(TargetError),
    /// No contract has this operation.
    NoMatch(NoMatch),
    /// The version or operation is past its sunset, or in a brown-out.
    Retired(Retired),
    /// The address has made too many calls that were refused.
    Address(Exceeded),
    /// The caller is not known, or not proved.
    Identity(IdentityError),
    /// The client certificate is not trusted any more.
    Certificate(NotTrusted),
    /// The operation does not serve this kind of caller.
    Kind,
    /// The token lacks scopes; these would have sufficed.
    Scope(Vec<String>),
    /// No policy permits, one forbids, or one cannot be evaluated.
    Policy(PolicyRefusal),
    /// The caller's plan is used up.
    Quota(Exceeded),
    /// The body was not read.
    Body(BodyFault),
    /// The request breaks the contract.
    Request(RequestFault),
    /// There is nothing to show to the upstream.
    Credential(Unavailable),
    /// The upstream does not take what it was shown. That is no fault of the caller's.
    CredentialRefused,
    /// The upstream gave no answer that can be used.
    Upstream(UpstreamError),
    /// The upstream's answer breaks the contract.
    Response(ResponseFault),
    /// The request could not be recorded, so it is not answered.
    NotRecorded(NotRecorded),
    /// The upstream was asked, and then that could not be recorded: what it said is withheld.
    Withheld(NotRecorded),
    /// The upstream has answered, and the machine holds as many bytes as it may.
    NoRoom,
    /// A fault of the gateway's own.
    Internal(&'static str),
}

/// Whose fault a refusal is: decides the audit outcome and the level of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller's, who can mend it.
    Caller,
    /// The upstream's.
    Upstream,
    /// The gateway's, or of something it depends on.
    Gateway,
    /// Nobody's: the client left.
    Left,
}

impl Rejection {
    /// The stable word for this reason in audit records and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Head(fault) => fault.reason(),
            Self::HeadSlow => "head-slow",
            Self::Target(_) => "target-ambiguous",
            Self::NoMatch(NoMatch::Path) => "operation-unknown",
            Self::NoMatch(NoMatch::Method { .. }) => "method-not-allowed",
            Self::NoMatch(NoMatch::Version(none)) => none.why.reason(),
            Self::Retired(Retired::Sunset | Retired::Stranger) => "version-retired",
            Self::Retired(Retired::Brownout { .. }) => "version-browned-out",
            Self::Identity(error) => error.reason(),
            Self::Certificate(_) => "certificate-not-trusted",
            Self::Kind => "kind-not-served",
            Self::Scope(_) => "scope-insufficient",
            Self::Policy(refusal) => refusal.reason(),
            Self::Address(exceeded) | Self::Quota(exceeded) => exceeded.reason().code(),
            Self::Body(BodyFault::TooLarge { .. }) => "body-too-large",
            Self::Body(BodyFault::Slow) => "body-slow",
            Self::Body(BodyFault::Broken) => "client-left",
            Self::Body(BodyFault::Overloaded) => "overloaded",
            Self::Request(fault) => fault.reason(),
            Self::Credential(Unavailable { fault: Some(SourceFault::NotOnBehalf(_)), .. }) => "not-on-behalf",
            Self::Credential(_) => "credential-unavailable",
            Self::CredentialRefused => "credential-refused",
            Self::Upstream(error) => error.reason(),
            Self::Response(fault) => fault.reason(),
            Self::NotRecorded(_) | Self::Withheld(_) => "audit-unavailable",
            Self::NoRoom => "overloaded",
            Self::Internal(reason) => reason,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Credential(Unavailable { fault: Some(SourceFault::NotOnBehalf(_)), .. }) => Fault::Caller,
            Self::NotRecorded(_)
            | Self::Withheld(_)
            | Self::NoRoom
            | Self::Credential(_)
            | Self::CredentialRefused
            | Self::Internal(_) => Fault::Gateway,
            Self::Upstream(error)
                if matches!(error.fault, upstream::Fault::Busy | upstream::Fault::NoCertificate) =>
            {
                Fault::Gateway
            }
            Self::Body(BodyFault::Overloaded) => Fault::Gateway,
            Self::Identity(error) if error.is_ours() => Fault::Gateway,
            Self::Policy(PolicyRefusal::Failed { .. }) => Fault::Gateway,
            Self::Upstream(_) | Self::Response(_) => Fault::Upstream,
            Self::Body(BodyFault::Broken) => Fault::Left,
            Self::Head(_)
            | Self::HeadSlow
            | Self::Target(_)
            | Self::NoMatch(_)
            | Self::Retired(_)
            | Self::Address(_)
            | Self::Identity(_)
            | Self::Certificate(_)
            | Self::Kind
            | Self::Scope(_)
            | Self::Policy(_)
            | Self::Quota(_)
            | Self::Body(BodyFault::TooLarge { .. } | BodyFault::Slow)
            | Self::Request(_) => Fault::Caller,
        }
    }

    /// Whether it counts against the address: what somebody who guesses would cause.
    #[must_use]
    pub const fn is_a_guess(&self) -> bool {
        match self {
            // A holder of a good token who does what it is told, or does too much of it.
            Self::Identity(
                IdentityError::TooManyProofs
                | IdentityError::SignIn(_)
                | IdentityError::Possession(PossessionFault::Proof(
                    ProofFault::NonceMissing | ProofFault::NonceStale,
                )),
            ) => false,
            // Whoever calls while an issuer is down has guessed nothing.
            Self::Identity(error) => !error.is_ours(),
            other => matches!(
                other,
                Self::Head(_)
                    | Self::Target(_)
                    | Self::NoMatch(_)
                    | Self::Certificate(_)
                    | Self::Retired(Retired::Stranger)
            ),
        }
    }

    /// What the caller is told; where it is challenged, with this offer.
    #[must_use]
    pub fn problem(self, offer: &Offer<'_>) -> Problem {
        match self {
            Self::Head(fault) => head(fault),
            Self::HeadSlow => {
                Problem::new(TIMEOUT, StatusCode::REQUEST_TIMEOUT, "The request head took too long.")
            }
            Self::Target(error) => {
                Problem::new(MALFORMED, StatusCode::BAD_REQUEST, sentence(&error.to_string()))
            }
            Self::NoMatch(no_match) => unmatched(no_match),
            Self::Retired(retired) => versions::gone(&retired),
            Self::Address(exceeded) | Self::Quota(exceeded) => quota(&exceeded),
            Self::Identity(error) => unproven::problem(&error, offer),
            Self::Certificate(_) => certificate_not_trusted(),
            Self::Kind => kind(),
            Self::Scope(scopes) => scope(&scopes, offer),
            Self::Policy(refusal) => policy(&refusal),
            Self::Body(fault) => body(fault),
            Self::Request(fault) => request(fault),
            Self::Credential(Unavailable { fault: Some(SourceFault::NotOnBehalf(_)), .. }) => Problem::new(
                POLICY,
                StatusCode::FORBIDDEN,
                "The authorization server does not let the gateway act on behalf of your token here.",
            ),
            Self::Credential(_) => unavailable(
                "The gateway cannot prove itself to the service behind it at the moment, so nothing was sent on.",
            ),
            Self::CredentialRefused => Problem::new(
                UPSTREAM_FAILED,
                StatusCode::BAD_GATEWAY,
                "The service behind the gateway does not accept the gateway at the moment. Nothing was done.",
            ),
            Self::Upstream(error) => upstream(&error),
            Self::Response(_) => Problem::new(
                UPSTREAM_BROKEN,
                StatusCode::BAD_GATEWAY,
                "The service behind the gateway gave an answer that breaks the contract, so it is withheld.",
            ),
            Self::NotRecorded(_) => {
                unavailable("The request cannot be recorded at the moment, so it is not served.")
            }
            Self::Withheld(_) => unavailable(
                "The request cannot be recorded at the moment, so its answer is withheld. Whether it was done is not known.",
            ),
            Self::NoRoom => unavailable(
                "The gateway is full at the moment, so the answer is withheld. Whether it was done is not known.",
            ),
            Self::Internal(_) => Problem::new(
                INTERNAL,
                StatusCode::INTERNAL_SERVER_ERROR,
                "The gateway failed. Nothing was sent on.",
            ),
        }
    }
}

macro_rules! problem_types {
    ($($name:ident = $slug:literal, $title:literal;)*) => {
        $(const $name: ProblemType = ProblemType { slug: $slug, title: $title };)*
        /// Every type there is, for the pages that explain them.
        pub const PROBLEM_TYPES: &[ProblemType] = &[$($name),*];
    };
}

problem_types! {
    MALFORMED = "malformed-request", "The request cannot be read";
    AUTHENTICATION = "authentication-required", "Authentication is required";
    INVALID_TOKEN = "invalid-token", "The access token is not accepted";
    INVALID_PROOF = "invalid-dpop-proof", "The proof of possession is not accepted";
    SIGN_IN = "sign-in-insufficient", "The person must sign in again";
    TOKEN_BINDING = "token-binding-required", "The access token must be bound";
    CERTIFICATE = "certificate-required", "A trusted client certificate is required";
    UNKNOWN_CALLER = "unknown-caller", "The caller is not registered";
    SCOPE = "insufficient-scope", "The access token lacks a scope";
    KIND = "kind-not-served", "The operation does not serve this kind of caller";
    POLICY = "policy-refused", "Policy refuses the request";
    UNKNOWN = "operation-unknown", "There is no such operation";
    METHOD = "method-not-allowed", "The path does not serve this method";
    NOT_ACCEPTABLE = "not-acceptable", "No media type on offer is acceptable";
    TIMEOUT = "request-timeout", "The request took too long";
    VERSION_REQUIRED = "version-required", "The version must be named, once";
    VERSION_UNKNOWN = "version-unknown", "There is no such version";
    RETIRED = "version-retired", "The version is retired";
    BROWNED_OUT = "version-browned-out", "The deprecated version is switched off for a while";
    TOO_LARGE = "content-too-large", "The body is too large";
    TARGET_TOO_LONG = "target-too-long", "The request target is too long";
    MEDIA_TYPE = "unsupported-media-type", "The body's media type or coding is not supported";
    EXPECTATION = "expectation-failed", "The expectation cannot be met";
    VIOLATION = "contract-violation", "The request breaks the contract";
    QUOTA = "https://iana.org/assignments/http-problem-types#quota-exceeded", "Request cannot be satisfied as assigned quota has been exceeded";
    HEAD_TOO_LARGE = "head-too-large", "The request head is too large";
    INTERNAL = "internal", "The gateway failed";
    NOT_IMPLEMENTED = "not-implemented", "The method or transfer coding is not implemented";
    VERSION_UNSUPPORTED = "version-unsupported", "The HTTP version is not supported";
    UPSTREAM_FAILED = "upstream-failed", "The service behind the gateway failed";
    UPSTREAM_BROKEN = "upstream-broke-contract", "The service behind the gateway broke the contract";
    UNAVAILABLE = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity", "Request cannot be satisfied due to temporary server capacity constraints";
    UPSTREAM_TIMEOUT = "upstream-timeout", "The service behind the gateway took too long";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{AuthScheme, Bound, ClientCertificate};
    use http::Method;
    use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn told(rejection: Rejection) -> (u16, &'static str) {
        let problem = rejection.problem(&Offer::of_realm("api"));
        (problem.status.as_u16(), problem.kind.slug)
    }

    fn not_trusted() -> NotTrusted {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["client.acme.example".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        NotTrusted { certificate: Arc::new(ClientCertificate::from_der(certificate.der()).unwrap()) }
    }

    #[test]
    fn every_refusal_has_the_status_that_its_standard_gives_it() {
        for (rejection, status, slug) in [
            (Rejection::Head(HeadFault::BareLf), 400, "malformed-request"),
            (Rejection::Head(HeadFault::TooManyFields), 431, "head-too-large"),
            (Rejection::Head(HeadFault::TargetTooLong), 414, "target-too-long"),
            (Rejection::Head(HeadFault::MethodUnknown), 501, "not-implemented"),
            (Rejection::Head(HeadFault::VersionUnknown), 505, "version-unsupported"),
            (Rejection::Head(HeadFault::ExpectationUnknown), 417, "expectation-failed"),
            (Rejection::HeadSlow, 408, "request-timeout"),
            (Rejection::Target(TargetError::DotSegment), 400, "malformed-request"),
            (Rejection::NoMatch(NoMatch::Path), 404, "operation-unknown"),
            (Rejection::NoMatch(NoMatch::Method { allow: vec![Method::GET] }), 405, "method-not-allowed"),
            (Rejection::Retired(Retired::Sunset), 410, "version-retired"),
            (Rejection::Retired(Retired::Stranger), 410, "version-retired"),
            (Rejection::Identity(IdentityError::NoProof), 401, "authentication-required"),
            (Rejection::Identity(IdentityError::CertificateNeeded), 403, "certificate-required"),
            (Rejection::Certificate(not_trusted()), 403, "certificate-required"),
            (Rejection::Kind, 403, "kind-not-served"),
            (Rejection::Scope(vec!["orders:read".to_owned()]), 403, "insufficient-scope"),
            (Rejection::Policy(PolicyRefusal::Failed { policies: Vec::new() }), 500, "internal"),
            (Rejection::Policy(PolicyRefusal::KindNotServed), 403, "kind-not-served"),
            (Rejection::Body(BodyFault::TooLarge { max: 1 }), 413, "content-too-large"),
            (Rejection::Body(BodyFault::Slow), 408, "request-timeout"),
            (Rejection::Body(BodyFault::Broken), 400, "malformed-request"),
            (
                Rejection::Request(RequestFault::Encoding { accepted: "identity" }),
                415,
                "unsupported-media-type",
            ),
            (Rejection::Request(RequestFault::NotAcceptable { offered: Vec::new() }), 406, "not-acceptable"),
            (Rejection::Response(ResponseFault::Status), 502, "upstream-broke-contract"),
            (Rejection::Internal("x"), 500, "internal"),
        ] {
            let shown = format!("{rejection:?}");
            assert_eq!(told(rejection), (status, slug), "{shown}");
        }
    }

    #[test]
    fn what_may_pass_later_says_when() {
        for rejection in
            [Rejection::NotRecorded(NotRecorded::QueueFull), Rejection::Body(BodyFault::Overloaded)]
        {
            let problem = rejection.problem(&Offer::of_realm("api"));
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(problem.headers.contains_key(RETRY_AFTER));
        }
    }

    #[test]
    fn a_missing_scope_is_challenged_with_the_scopes_that_would_do() {
        let offer = Offer { shown: Some(AuthScheme::Bearer), ..Offer::of_realm("shop") };
        let problem = Rejection::Scope(vec!["a".to_owned(), "b".to_owned()]).problem(&offer);
        assert_eq!(
            problem.headers.get(WWW_AUTHENTICATE).unwrap(),
            "Bearer realm=\"shop\", error=\"insufficient_scope\", scope=\"a b\""
        );
    }

    #[test]
    fn a_request_without_a_token_is_challenged_without_an_error_code() {
        let problem = Rejection::Identity(IdentityError::NoProof).problem(&Offer::of_realm("shop"));
        assert_eq!(
            problem.headers.get(WWW_AUTHENTICATE).unwrap(),
            "Bearer realm=\"shop\", DPoP realm=\"shop\""
        );
    }

    #[test]
    fn a_token_that_is_not_bound_as_it_must_be_is_challenged_with_how() {
        for (bound, challenge) in [
            (
                Bound::Dpop,
                "DPoP realm=\"api\", error=\"invalid_token\", error_description=\"the access token must be bound to a key: ask for it with a DPoP proof\"",
            ),
            (
                Bound::Certificate,
                "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"the access token must be bound to your client certificate: ask for it with that certificate\"",
            ),
        ] {
            let rejection = Rejection::Identity(IdentityError::Possession(PossessionFault::Required(bound)));
            assert_eq!(rejection.reason(), "token-binding-required");
            let problem = rejection.problem(&Offer::of_realm("api"));
            assert_eq!((problem.status.as_u16(), problem.kind.slug), (401, "token-binding-required"));
            assert_eq!(problem.headers.get(WWW_AUTHENTICATE).unwrap(), challenge);
        }
    }

    #[test]
    fn no_two_problem_types_share_a_slug_or_a_title() {
        let slugs: BTreeSet<&str> = PROBLEM_TYPES.iter().map(|kind| kind.slug).collect();
        let titles: BTreeSet<&str> = PROBLEM_TYPES.iter().map(|kind| kind.title).collect();
        assert_eq!((slugs.len(), titles.len()), (PROBLEM_TYPES.len(), PROBLEM_TYPES.len()));
    }

    #[test]
    fn only_what_somebody_who_guesses_would_cause_counts_as_a_guess() {
        assert!(Rejection::Identity(IdentityError::NoProof).is_a_guess());
        assert!(Rejection::NoMatch(NoMatch::Path).is_a_guess());
        assert!(!Rejection::Scope(Vec::new()).is_a_guess());
        let proof = |fault| Rejection::Identity(IdentityError::Possession(PossessionFault::Proof(fault)));
        assert!(proof(ProofFault::Signature).is_a_guess());
        assert!(!proof(ProofFault::NonceMissing).is_a_guess());
        let down = IdentityError::KeysUnavailable { issuer: "retail".into() };
        assert!(!Rejection::Identity(down).is_a_guess());
        assert!(!Rejection::Request(RequestFault::Encoding { accepted: "identity" }).is_a_guess());
    }
}
