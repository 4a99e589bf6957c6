//! By what does a caller prove itself, and when does a token fit?

use std::fmt;

use crate::identity::certificate::{DnsName, SpiffeId};
use crate::identity::possession::Bound;
use crate::identity::token::Token;

use super::Kind;

/// One way in which a caller may prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proof {
    /// By an access token.
    Token(TokenProof),
    /// By the client certificate of its connection.
    Certificate(CertificateProof),
}

/// What an access token must say to be this caller's. All that is given must fit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TokenProof {
    pub(super) issuer: String,
    pub(super) client_id: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) claim: Option<ClaimProof>,
    pub(super) terms: Terms,
}

/// What else a token must show once it is known whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    /// What it must be bound to.
    pub bound: Option<Bound>,
    /// Who may act by it.
    pub actors: Actors,
}

/// Who may act by a token for its subject (RFC 8693 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Actors {
    /// Nobody: the subject itself calls.
    Nobody,
    /// Whoever the issuer says, or nobody.
    Anybody,
    /// This one of the token's issuer, and always.
    Only(String),
}

/// A claim that has a value, or is a list that holds it; such as a group, so that one entry serves many.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClaimProof {
    pub(super) name: String,
    pub(super) value: String,
}

/// What a client certificate must say to be this caller's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateProof {
    /// One of its host names.
    Dns(DnsName),
    /// Its SPIFFE ID.
    Spiffe(SpiffeId),
    /// The SHA-256 of the certificate itself.
    Sha256([u8; 32]),
    /// The SHA-256 of its public key: the certificate may be renewed for it.
    KeySha256([u8; 32]),
}

impl Terms {
    /// What is asked of a caller of `kind` about which nothing is said. A machine calls by itself: a token by
    /// which somebody acts for it was exchanged, and its caller is to say that this is meant.
    pub(super) const fn of_kind(kind: Kind) -> Self {
        let actors = if kind.is_machine() { Actors::Nobody } else { Actors::Anybody };
        Self { bound: None, actors }
    }

    /// How much these terms ask for, so that of two proofs of one caller the stricter one counts.
    pub(super) const fn demands(&self) -> u8 {
        let bound = match self.bound {
            None => 0,
            Some(Bound::Either) => 1,
            Some(Bound::Certificate) => 2,
            Some(Bound::Dpop) => 3,
        };
        match self.actors {
            Actors::Anybody => bound,
            Actors::Only(_) => bound | 4,
            Actors::Nobody => bound | 8,
        }
    }
}

impl Actors {
    /// Whether they may act who act by `token`.
    pub(in crate::identity) fn fit(&self, token: &Token) -> bool {
        match (self, token.actor()) {
            (Self::Anybody, _) | (Self::Nobody, None) => true,
            (Self::Nobody, Some(_)) | (Self::Only(_), None) => false,
            // RFC 8693 section 4.1: another issuer's subject of this name is somebody else.
            (Self::Only(name), Some(actor)) => {
                let own = token.claim("iss").and_then(serde_json::Value::as_str);
                actor.subject == *name && (actor.issuer.is_none() || actor.issuer.as_deref() == own)
            }
        }
    }
}

impl TokenProof {
    /// The name of the issuer in the configuration.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The client the token must have been issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// What else a token must show that is its caller's by this.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The same without its terms: two proofs that differ in those alone fit the same tokens.
    pub(super) fn without_terms(&self) -> Self {
        Self { terms: Terms { bound: None, actors: Actors::Anybody }, ..self.clone() }
    }

    /// Whether `token` is one of a caller of `kind` that proves itself this way.
    pub(super) fn fits(&self, kind: Kind, token: &Token) -> bool {
        let same = |wanted: &Option<String>, shown: Option<&str>| match wanted {
            Some(wanted) => shown == Some(wanted.as_str()),
            None => true,
        };
        *self.issuer == *token.issuer()
            && same(&self.client_id, token.client_id())
            && same(&self.subject, token.subject())
            && self.claim.as_ref().is_none_or(|claim| token.claim_holds(&claim.name, &claim.value))
            && !self.would_take_a_person_for_a_machine(kind, token)
    }

    /// A client that machines use may also sign persons in. A token that came from a sign-in (RFC 9068
    /// section 2.2.1) is a person's, so the client's id alone does not make it the machine's.
    fn would_take_a_person_for_a_machine(&self, kind: Kind, token: &Token) -> bool {
        kind.is_machine() && self.subject.is_none() && token.is_from_a_sign_in()
    }

    /// How much this proof asks for.
    pub(super) fn demands(&self) -> usize {
        [self.client_id.is_some(), self.subject.is_some(), self.claim.is_some()]
            .into_iter()
            .filter(|given| *given)
            .count()
    }

    pub(super) const fn names_the_subject(&self) -> bool {
        self.subject.is_some()
    }
}

// The subject and the claims of a person are hers: not shown.
impl fmt::Debug for TokenProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProof")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
