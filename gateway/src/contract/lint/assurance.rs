//! Is it asked of the right callers what a token must be bound to, and how a person must have signed in?
//!
//! What is asked of callers that are not served protects nothing, and whoever reads it believes it does. What
//! `callers.yaml` asks of all persons is not known here.

use serde_json::Value;

use super::super::security;
use super::super::source::At;
use super::Looking;
use super::rule::{IDLE_SIGN_IN, IDLE_TOKEN_BINDING, MISSING_SIGN_IN};
use super::walk::Visited;

/// Whom the operations of a contract serve, as far as they were looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Served {
    /// One that asks for a token.
    by_token: bool,
    /// A person, with a token.
    persons: bool,
}

impl Looking<'_> {
    /// Holds the operation against what it asks of tokens and persons.
    pub(super) fn assurance(&mut self, visited: &Visited) {
        let own = visited.at.key("x-gateway");
        let Some(by_token) = self.asks_for_a_token(&visited.at) else { return };
        let persons = self.serves_persons(&own);
        self.served.by_token |= by_token;
        self.served.persons |= persons && by_token;
        if !by_token && self.says(&own, "token_binding") {
            let told = "a token is to be bound where none is asked for";
            self.built_in_finding(IDLE_TOKEN_BINDING, &own.key("token_binding"), told.to_owned());
        }
        if !persons && self.says(&own, "sign_in") {
            let told = "machines do not sign in, and no person is served";
            self.built_in_finding(IDLE_SIGN_IN, &own.key("sign_in"), told.to_owned());
        } else if !by_token && self.says(&own, "sign_in") {
            let told = "without a token nothing says how a person signed in: every person is refused";
            self.built_in_finding(IDLE_SIGN_IN, &own.key("sign_in"), told.to_owned());
        }
        let root = self.source.root().key("x-gateway");
        let is_asked = self.says(&own, "sign_in") || self.says(&root, "sign_in");
        let changes = visited.call.as_ref().is_some_and(|(method, _)| !SAFE.contains(method));
        if persons && by_token && changes && !is_asked {
            let told = "a person changes something here, however it signed in";
            self.built_in_finding(MISSING_SIGN_IN, &visited.at, told.to_owned());
        }
    }

    /// Holds what the contract asks for all its operations against whom any of them serves.
    pub(super) fn assurance_of_all(&mut self) {
        let root = self.source.root().key("x-gateway");
        if !self.served.by_token && self.says(&root, "token_binding") {
            let told = "a token is to be bound, and no operation asks for one";
            self.built_in_finding(IDLE_TOKEN_BINDING, &root.key("token_binding"), told.to_owned());
        }
        if !self.served.persons && self.says(&root, "sign_in") {
            let told = "no operation serves a person with a token";
            self.built_in_finding(IDLE_SIGN_IN, &root.key("sign_in"), told.to_owned());
        }
    }

    /// Whether some caller of the operation at `at` shows a token; nothing where that cannot be read, which the
    /// loader tells.
    fn asks_for_a_token(&self, at: &At) -> Option<bool> {
        let (own, root) = (at.key("security"), self.source.root().key("security"));
        let at = if self.source.value(&own).is_some() { own } else { root };
        let (alternatives, _) = security::read(self.source, &at).ok()?;
        Some(alternatives.iter().any(|one| one.token.is_some()))
    }

    /// Whether persons are among the kinds that are served, which are machines where nothing is said.
    fn serves_persons(&self, own: &At) -> bool {
        let root = self.source.root().key("x-gateway");
        let kinds = self.source.member(own, "kinds").or_else(|| self.source.member(&root, "kinds"));
        kinds.and_then(Value::as_array).is_some_and(|kinds| kinds.iter().any(|kind| kind == "person"))
    }

    fn says(&self, at: &At, key: &str) -> bool {
        self.source.member(at, key).is_some()
    }
}

/// RFC 9110 section 9.2.1.
const SAFE: [&str; 4] = ["get", "head", "options", "trace"];
