//! What do the policies know about, before any request comes?
//!
//! The callers, the operations and the token claims, as plain values that whoever loads the snapshot
//! hands over. Everything else of this room (names, schema, slices) is made from these.

use std::collections::BTreeMap;

use crate::diagnostic::Place;

/// One caller of `callers.yaml`, as policies see it: `Caller::"<id>"`.
#[derive(Clone)]
pub struct CallerFacts {
    /// Its name: `principal.id`.
    pub id: String,
    /// `principal.kind == Kind::"partner"`, and `principal in Kind::"partner"`.
    pub kind: Kind,
    /// Who answers for it: `principal.owner`.
    pub owner: String,
    /// `principal in Group::"marketplaces"`. A group exists when a caller is in it.
    pub groups: Vec<String>,
    /// Facts about it: `principal.<name>`.
    pub attributes: BTreeMap<String, Attribute>,
    /// Where it is written.
    pub place: Place,
}

/// What sort of caller it is. Machines and people are never the same kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A system of another company.
    Partner,
    /// A system of the retailer.
    Service,
    /// A program that acts alone.
    Bot,
    /// A human being.
    Person,
}

/// A fact about a caller.
#[derive(Clone, PartialEq, Eq)]
pub enum Attribute {
    /// Cedar's `String`.
    Text(String),
    /// Cedar's `Long`.
    Integer(i64),
    /// Cedar's `Bool`.
    Boolean(bool),
    /// Cedar's `Set<String>`.
    Texts(Vec<String>),
}

/// The type of a caller's fact or of a token's claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// Cedar's `String`.
    Text,
    /// Cedar's `Long`.
    Integer,
    /// Cedar's `Bool`.
    Boolean,
    /// Cedar's `Set<String>`.
    Texts,
}

/// One operation of a contract, as policies see it: `Action::"<name>"` on `Contract::"<api>.<version>"`.
#[derive(Clone)]
pub struct OperationFacts {
    /// `orders.v2.createOrder`.
    pub name: String,
    /// `orders`: `action in Action::"orders"`, `resource in Api::"orders"`.
    pub api: String,
    /// `v2`: `action in Action::"orders.v2"`, `resource == Contract::"orders.v2"`.
    pub version: String,
    /// `action in Action::"read"` or `action in Action::"write"`.
    pub access: Access,
    /// The kinds of caller it serves. Another kind is refused whatever the policies say.
    pub kinds: Vec<Kind>,
    /// Whether it serves requests that prove no caller at all.
    pub anonymous: Anonymous,
    /// `context.path.<name>`; each is always there.
    pub path_parameters: Vec<String>,
    /// `context.query.<name>`; each may be absent.
    pub query_parameters: Vec<QueryParameter>,
    /// Alternatives of which one must be held whole; none at all when no scope is wanted.
    pub scopes: Vec<Vec<String>>,
    /// Where it is written.
    pub place: Place,
}

/// Whether an operation may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// RFC 9110 section 9.2.1: a safe method.
    Read,
    /// Any other.
    Write,
}

/// Whether an operation serves requests of nobody in particular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anonymous {
    /// Only callers.
    Refused,
    /// Also `Anonymous::"anonymous"`, if a policy permits it.
    Served,
}

/// A parameter of the query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryParameter {
    /// Its name.
    pub name: String,
    /// How often it may stand in one query.
    pub values: Values,
}

/// How many values a query parameter may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// `String`. A second value makes the request undecidable: who knows which one the upstream takes?
    One,
    /// `Set<String>`.
    Many,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Partner, Self::Service, Self::Bot, Self::Person];

    /// The word for it in files and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Service => "service",
            Self::Bot => "bot",
            Self::Person => "person",
        }
    }
}

impl Attribute {
    pub(super) const fn value_type(&self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::Text,
            Self::Integer(_) => ValueType::Integer,
            Self::Boolean(_) => ValueType::Boolean,
            Self::Texts(_) => ValueType::Texts,
        }
    }
}

impl ValueType {
    /// The word for it in Cedar's schema language.
    pub(super) const fn cedar(self) -> &'static str {
        match self {
            Self::Text => "String",
            Self::Integer => "Long",
            Self::Boolean => "Bool",
            Self::Texts => "Set<String>",
        }
    }
}

impl OperationFacts {
    /// `orders.v2`.
    pub(super) fn contract(&self) -> String {
        format!("{}.{}", self.api, self.version)
    }
}

impl Access {
    /// The action group.
    pub(super) const fn group(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}
