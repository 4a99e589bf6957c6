//! Why is a token refused? One code for the record, a coarser sentence for the client.

/// Why a token proves nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Longer than any token accepted.
    #[error("the token is too long")]
    TooLong,
    /// Not a compact JWS of one JSON header and one JSON object.
    #[error("the token is not a compact signed token")]
    Malformed,
    /// A header that would let the token choose its key or change how it is read.
    #[error("the token's header has a parameter that is never accepted")]
    Header,
    /// No algorithm, or one that this issuer does not use.
    #[error("the token's algorithm is not one of its issuer's")]
    Algorithm,
    /// Not an access token by its type.
    #[error("the token is of another type than access tokens")]
    Type,
    /// An ID token, which is for the client and not for an API.
    #[error("the token is an id token")]
    IdToken,
    /// Issued by somebody who is not configured.
    #[error("the token's issuer is not known")]
    UnknownIssuer,
    /// Signed, and by whom it says its tokens are taken only where that issuer is asked about them.
    #[error("the token is signed, and its issuer's signatures are not verified here")]
    NotOnSignature,
    /// Signed with a key that its issuer does not publish, or that cannot be told.
    #[error("the token's key is not known")]
    UnknownKey,
    /// The key it names is for another algorithm.
    #[error("the token's key is for another algorithm")]
    KeyAlgorithm,
    /// The signature is not its key's.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that must be there is not.
    #[error("the token lacks the claim `{0}`")]
    MissingClaim(&'static str),
    /// A claim is there in a form it may not have.
    #[error("the token's claim `{0}` is of the wrong form")]
    ClaimForm(&'static str),
    /// A claim that policies look at is there in a form they cannot compare.
    #[error("a claim of the token that policies look at is of the wrong form")]
    PolicyClaim,
    /// Bound to a key in a way that cannot be checked.
    #[error("the token is bound to a key in a way that is not known")]
    Binding,
    /// Two of its claims name different clients.
    #[error("two claims of the token name different clients")]
    Clients,
    /// Somebody acts for its subject who may not, by its own word.
    #[error("the token's actor is not the one it allows")]
    Actor,
    /// For another audience.
    #[error("the token is for another audience")]
    Audience,
    /// Past its end.
    #[error("the token has expired")]
    Expired,
    /// Before its beginning.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Issued later than now.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// Its issuer says that it is good for nothing: unknown, ended or revoked there.
    #[error("the token's issuer says that it is not active")]
    Inactive,
    /// Revoked here.
    #[error("the token has been revoked")]
    Revoked,
    /// Valid for longer than this issuer's tokens may be.
    #[error("the token lives too long")]
    Lifetime,
}

impl TokenFault {
    /// A stable code for the audit log and the metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "token-too-long",
            Self::Malformed => "token-malformed",
            Self::Header => "token-header",
            Self::Algorithm => "token-algorithm",
            Self::Type => "token-type",
            Self::IdToken => "token-id-token",
            Self::UnknownIssuer => "token-unknown-issuer",
            Self::NotOnSignature => "token-not-on-signature",
            Self::UnknownKey => "token-unknown-key",
            Self::KeyAlgorithm => "token-key-algorithm",
            Self::Signature => "token-signature",
            Self::MissingClaim(_) => "token-claim-missing",
            Self::ClaimForm(_) => "token-claim-form",
            Self::PolicyClaim => "token-policy-claim",
            Self::Binding => "token-binding-form",
            Self::Clients => "token-clients-differ",
            Self::Actor => "token-actor",
            Self::Audience => "token-audience",
            Self::Expired => "token-expired",
            Self::NotYetValid => "token-not-yet-valid",
            Self::IssuedInFuture => "token-issued-in-future",
            Self::Inactive => "token-inactive",
            Self::Revoked => "token-revoked",
            Self::Lifetime => "token-lifetime",
        }
    }

    /// What the client may be told: what it can change, and of a token that may be forged, nothing.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TooLong => "the access token is too long",
            Self::Malformed => "the access token is not a signed JWT in compact form",
            Self::Type | Self::IdToken => "an access token is wanted, of the type at+jwt",
            // What follows is only found after the signature has been verified.
            Self::Binding => "the access token is bound to a key in a way that is not known here",
            Self::Clients => "the access token names two different clients",
            Self::Actor => "the access token does not allow who acts by it",
            Self::Audience => "the access token is for another audience",
            Self::Expired => "the access token has expired",
            Self::NotYetValid | Self::IssuedInFuture => "the access token is not valid yet",
            // RFC 7662 section 2.2 lets nobody know why.
            Self::Inactive => "the access token is not active",
            Self::Revoked => "the access token has been revoked",
            Self::Lifetime => "the access token lives too long",
            Self::MissingClaim(_) | Self::ClaimForm(_) | Self::PolicyClaim => {
                "the access token lacks a claim that is wanted here"
            }
            Self::Header
            | Self::Algorithm
            | Self::UnknownIssuer
            | Self::NotOnSignature
            | Self::UnknownKey
            | Self::KeyAlgorithm
            | Self::Signature => "the access token cannot be verified",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_from_a_forged_token_is_told_to_nobody() {
        for fault in [
            TokenFault::Header,
            TokenFault::Algorithm,
            TokenFault::UnknownIssuer,
            TokenFault::NotOnSignature,
            TokenFault::UnknownKey,
            TokenFault::KeyAlgorithm,
            TokenFault::Signature,
        ] {
            assert_eq!(fault.advice(), "the access token cannot be verified", "{fault}");
        }
    }

    #[test]
    fn codes_and_advice_fit_where_they_are_written() {
        for fault in [
            TokenFault::TooLong,
            TokenFault::Malformed,
            TokenFault::Type,
            TokenFault::IdToken,
            TokenFault::MissingClaim("sub"),
            TokenFault::ClaimForm("sub"),
            TokenFault::PolicyClaim,
            TokenFault::Binding,
            TokenFault::Clients,
            TokenFault::Actor,
            TokenFault::Audience,
            TokenFault::Expired,
            TokenFault::NotYetValid,
            TokenFault::IssuedInFuture,
            TokenFault::Lifetime,
            TokenFault::Inactive,
            TokenFault::Revoked,
        ] {
            assert!(fault.reason().strip_prefix("token-").is_some_and(|code| !code.is_empty()));
            // RFC 6750 section 3: error_description has neither quotes nor backslashes.
            assert!(fault.advice().bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
        }
    }
}
