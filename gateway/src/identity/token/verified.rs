//! What does a verified access token say?
//!
//! Made from claims that were checked, by nobody else. It does not know who its subject is to us.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::identity::attribute::AttributeValue;
use crate::revocation::Shown;

/// What a verified access token says.
#[derive(Clone)]
pub struct Token {
    pub(super) issuer: Arc<str>,
    pub(super) id: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) scopes: BTreeSet<String>,
    pub(super) actor: Option<Actor>,
    pub(super) may_act: Option<Actor>,
    pub(super) policy_claims: BTreeMap<String, AttributeValue>,
    pub(super) issued: Option<Timestamp>,
    pub(super) expires: Timestamp,
    pub(super) not_before: Option<Timestamp>,
    pub(super) binding: Binding,
    pub(super) all: Value,
}

/// To whose keys a token is bound (RFC 7800 `cnf`): all of those that are named must be shown. Bound to none,
/// whoever bears it may use it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Binding {
    /// Only the connection whose client certificate has this SHA-256 (RFC 8705 section 3.1, `x5t#S256`).
    pub certificate: Option<[u8; 32]>,
    /// Only with proofs of the key that has this thumbprint (RFC 9449 section 6.1, `jkt`).
    pub key: Option<[u8; 32]>,
}

impl Binding {
    /// What it is bound to, for the record: `certificate`, `dpop` or both; nothing for a bearer token.
    #[must_use]
    pub const fn as_str(self) -> Option<&'static str> {
        match (self.certificate.is_some(), self.key.is_some()) {
            (false, false) => None,
            (true, false) => Some("certificate"),
            (false, true) => Some("dpop"),
            (true, true) => Some("certificate+dpop"),
        }
    }
}

/// Who acts for the subject of an exchanged token (RFC 8693 section 4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Actor {
    /// The party that acts.
    pub subject: String,
    /// Who issued its identity, if the token says so.
    pub issuer: Option<String>,
    /// Who acted before it. For the record only: policies look at the one who acts now.
    pub before: Option<Box<Self>>,
}

impl Token {
    /// The name of its issuer in the configuration.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its id (`jti`), by which the record names it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Its subject (`sub`). Of a person's token this is personal.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The client it was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// What its owner allowed its client to do.
    #[must_use]
    pub const fn scopes(&self) -> &BTreeSet<String> {
        &self.scopes
    }

    /// Who acts for the subject, if somebody does.
    #[must_use]
    pub const fn actor(&self) -> Option<&Actor> {
        self.actor.as_ref()
    }

    /// Who may act for the subject, if it says so (`may_act`, RFC 8693 section 4.4).
    #[must_use]
    pub const fn may_act(&self) -> Option<&Actor> {
        self.may_act.as_ref()
    }

    /// The claims that policies may look at, as far as the token has them.
    #[must_use]
    pub const fn policy_claims(&self) -> &BTreeMap<String, AttributeValue> {
        &self.policy_claims
    }

    /// When it was issued (`iat`), if it says so.
    #[must_use]
    pub const fn issued(&self) -> Option<Timestamp> {
        self.issued
    }

    /// The names by which it may be revoked.
    pub(in crate::identity) fn shown(&self) -> Shown<'_> {
        Shown {
            issuer: &self.issuer,
            id: self.id.as_deref(),
            client_id: self.client_id.as_deref(),
            subject: self.subject.as_deref(),
            issued: self.issued,
        }
    }

    /// When it ends (`exp`).
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// To whose keys it is bound.
    #[must_use]
    pub const fn binding(&self) -> Binding {
        self.binding
    }

    /// A claim as it stands.
    pub(in crate::identity) fn claim(&self, name: &str) -> Option<&Value> {
        self.all.get(name)
    }

    /// Whether the claim is `value` or a list that holds it. A name that begins with `/` is a JSON Pointer.
    pub(in crate::identity) fn claim_holds(&self, name: &str, value: &str) -> bool {
        let claim = if name.starts_with('/') { self.all.pointer(name) } else { self.all.get(name) };
        claim.is_some_and(|claim| match claim {
            Value::String(text) => text == value,
            Value::Array(items) => items.iter().any(|item| item == value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        })
    }

    /// Whether it says when or how a person signed in (RFC 9068 section 2.2.1).
    pub(in crate::identity) fn is_from_a_sign_in(&self) -> bool {
        ["auth_time", "amr"].iter().any(|name| self.all.get(*name).is_some())
    }
}

// Subject and claims of a person are hers: not shown.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actor").finish_non_exhaustive()
    }
}
