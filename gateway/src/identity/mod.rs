//! Who calls? A request's token and certificate, and the caller they prove.
//!
//! [`Callers`] are the entries of `policies/callers.yaml`; [`Issuers`] hold keys and verified tokens and
//! outlive reloads; [`Identities`] joins both for one snapshot and has the room's one verb,
//! [`Identities::identify`], whose product is the [`Caller`]. What a caller may do is another room's.
//!
//! How a proof finds its caller: all that a proof in `callers.yaml` asks for must fit. Of several that fit,
//! the one that asks for more wins; of two persons' proofs that ask for as much, the one that names the
//! subject; anything else is refused as ambiguous, above all a token that could be a machine's or a person's.

mod attribute;
mod authorization;
mod caller;
mod callers;
mod certificate;
mod demand;
mod dpop;
mod error;
mod origin;
mod possession;
mod sharing;
mod sign_in;
mod token;

pub use attribute::AttributeValue;
pub use authorization::{AuthScheme, RequestFault, token_of};
pub use caller::{Caller, Connected, Identities};
pub use callers::{
    Actors, AnswerCheck, AnswerChecks, CallerProfile, Callers, CertificateProof, ClaimProof, Kind, KindRules,
    Proof, Terms, TokenProof,
};
pub use certificate::{
    CertificateFault, ClientCertificate, DnsName, SpiffeClaim, SpiffeId, UnusableCertificate,
    is_trust_domain, spiffe_claim,
};
pub use demand::{Asked, Asker, Demand};
pub use dpop::{DPOP_WINDOW, DPOP_WINDOW_MAX, Dpop, DpopSettings, NoRandomness, NonceRule, ProofFault};
pub use error::{Challenge, IdentityError, Stranger};
pub use origin::{HTTP_PORT, HTTPS_PORT, Origin};
pub use possession::{Bound, PossessionFault};
pub use sharing::{Sharing, Suspicion};
pub use sign_in::{SignIn, SignedIn};
pub use token::{
    ALGORITHMS, Actor, Algorithm, Binding, CLOCK_SKEW, CLOCK_SKEW_MAX, ClientIdClaim, FETCH_TIMEOUT,
    INTROSPECTION_CACHE, INTROSPECTION_CACHE_MAX, Introspected, IntrospectionSettings, IssuerMistake,
    IssuerSettings, Issuers, KEYS_AGE_MAX, KeyAge, KeySource, NEGATIVE_CACHE, NEGATIVE_CACHE_MAX,
    REFRESH_EVERY, REFRESH_EVERY_MIN, RequiredClaim, RequiredClaims, ScopeForm, Token, TokenFault, TypRule,
};
