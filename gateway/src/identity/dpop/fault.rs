//! Why is a proof of possession refused? One code for the record, a sentence for the client.

/// Why a DPoP proof proves nothing here. The token it came with is verified by then, so its holder may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// There is no `DPoP` field.
    #[error("the request has no proof")]
    Missing,
    /// There is more than one.
    #[error("the request has more than one proof")]
    Repeated,
    /// Not a compact JWS of one JSON header and one JSON object, or too long to be one.
    #[error("the proof is not a compact signed jwt")]
    Malformed,
    /// Its `typ` is not `dpop+jwt`.
    #[error("the proof is of another type")]
    Type,
    /// A header that would change how it is read.
    #[error("the proof's header has a parameter that is never accepted")]
    Header,
    /// No algorithm, or one that is not accepted.
    #[error("the proof's algorithm is not accepted")]
    Algorithm,
    /// No public key that fits the algorithm, or a private one.
    #[error("the proof's key is no public key for its algorithm")]
    Key,
    /// The signature is not its key's.
    #[error("the proof's signature is wrong")]
    Signature,
    /// A claim is missing or of the wrong form.
    #[error("the proof's claim `{0}` is missing or of the wrong form")]
    Claim(&'static str),
    /// Made for another method.
    #[error("the proof is for another method")]
    Method,
    /// Made for another URL.
    #[error("the proof is for another url")]
    Url,
    /// The request names a host that is not served here, so no URL can be its own.
    #[error("the request's host is not one that is served")]
    Host,
    /// Made too long ago, or later than now.
    #[error("the proof is too old or from the future")]
    Time,
    /// Made for another token.
    #[error("the proof is for another token")]
    Token,
    /// Made by another key than the token's.
    #[error("the proof is of another key than the token's")]
    OtherKey,
    /// Without a nonce of this server, where one is wanted.
    #[error("the proof has no nonce of this server")]
    NonceMissing,
    /// With a nonce that this server did not give, or long ago.
    #[error("the proof's nonce is not a current one of this server")]
    NonceStale,
    /// Used before.
    #[error("the proof was used before")]
    Replayed,
}

impl ProofFault {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "dpop-missing",
            Self::Repeated => "dpop-repeated",
            Self::Malformed => "dpop-malformed",
            Self::Type => "dpop-type",
            Self::Header => "dpop-header",
            Self::Algorithm => "dpop-algorithm",
            Self::Key => "dpop-key",
            Self::Signature => "dpop-signature",
            Self::Claim(_) => "dpop-claim",
            Self::Method => "dpop-method",
            Self::Url => "dpop-url",
            Self::Host => "dpop-host",
            Self::Time => "dpop-time",
            Self::Token => "dpop-token",
            Self::OtherKey => "dpop-other-key",
            Self::NonceMissing => "dpop-nonce-missing",
            Self::NonceStale => "dpop-nonce-stale",
            Self::Replayed => "dpop-replayed",
        }
    }

    /// The `error` of the challenge (RFC 9449 sections 7.1 and 9).
    #[must_use]
    pub const fn error(self) -> &'static str {
        match self {
            Self::NonceMissing | Self::NonceStale => "use_dpop_nonce",
            _ => "invalid_dpop_proof",
        }
    }

    /// What the client may be told.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Missing => "send a proof in the DPoP field, made for this request by the key of the token",
            Self::Repeated => "send the DPoP field once",
            Self::Malformed => "the DPoP proof is not a signed JWT in compact form",
            Self::Type => "the DPoP proof must be of the type dpop+jwt",
            Self::Header => "the DPoP proof's header has a parameter that is not accepted",
            Self::Algorithm => "sign the DPoP proof with one of the algorithms named in algs",
            Self::Key => "the DPoP proof's jwk must be the public key for its alg, and strong",
            Self::Signature => "the DPoP proof's signature is not that of its jwk",
            Self::Claim("jti") => "the DPoP proof needs a jti of 1 to 128 characters",
            Self::Claim("iat") => "the DPoP proof needs an iat",
            Self::Claim(_) => "the DPoP proof needs jti, htm, htu, iat and ath as texts and a number",
            Self::Method => "the DPoP proof's htm must be the method of the request",
            Self::Url => "the DPoP proof's htu must be the URL of the request without query and fragment",
            Self::Host => "call the host that the API is published under",
            Self::Time => {
                "the DPoP proof's iat must be about now: make a proof for each request, by a right clock"
            }
            Self::Token => "the DPoP proof's ath must be the hash of the access token",
            Self::OtherKey => "the access token is bound to another key than the DPoP proof's",
            Self::NonceMissing | Self::NonceStale => {
                "make the DPoP proof again with the nonce in the DPoP-Nonce field of this answer"
            }
            Self::Replayed => "make a new DPoP proof, with its own jti, for each request",
        }
    }
}
