//! What is revoked, why, and for how long? As it is written in the file, and as it is ordered.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Document;

/// Tokens that are refused, although they are good.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevocationsFile {
    /// Each names one thing that is revoked.
    revocations: Vec<Entry>,
}

/// One thing that is revoked: `token`, `client`, `subject`, or all of an `issuer` before a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// One token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenName>,
    /// All tokens of a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientName>,
    /// All tokens of a subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectName>,
    /// All tokens of an issuer, named as in `gateway.yaml`. Needs `issued_before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Only tokens issued before this time, and those that do not say when they were issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("pattern" = TIME))]
    pub issued_before: Option<Timestamp>,
    /// Why, for whoever reads this later.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// From when on the entry is not needed, because what it names has ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("pattern" = TIME))]
    pub until: Option<Timestamp>,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenName {
    /// The issuer's name in `gateway.yaml`.
    pub issuer: String,
    /// The token's id.
    #[schemars(length(min = 1))]
    pub jti: String,
}

/// One client of an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientName {
    /// The issuer's name in `gateway.yaml`.
    pub issuer: String,
    /// The client's id.
    #[schemars(length(min = 1))]
    pub client_id: String,
}

/// One subject of an issuer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectName {
    /// The issuer's name in `gateway.yaml`.
    pub issuer: String,
    /// The subject (`sub`).
    #[schemars(length(min = 1))]
    pub subject: String,
}

/// An entry that was ordered through the admin listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// By which it is lifted.
    pub id: String,
    /// Who ordered it, as they said.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What is revoked.
    pub entry: Entry,
}

/// An entry that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryMistake {
    /// It names nothing, or more than one thing.
    #[error("an entry names one of `token`, `client`, `subject` and `issuer`")]
    Names,
    /// It would revoke everything.
    #[error(
        "an `issuer` alone needs `issued_before`; its keys are withdrawn by the issuer, or in gateway.yaml"
    )]
    Everything,
    /// It names no issuer of `gateway.yaml`.
    #[error("there is no such issuer in gateway.yaml")]
    Issuer,
    /// It would revoke nothing: its time is over.
    #[error("`until` is over: the order would hold for nobody")]
    Over,
    /// A text that is needed is empty or endless.
    #[error("a name, `reason` and `by` have 1 to 200 characters and no line ends")]
    Text,
}

/// What an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target<'a> {
    Token(&'a str),
    Client(&'a str),
    Subject(&'a str),
    Issuer,
}

impl Entry {
    /// What it names, by issuer.
    pub(super) fn target(&self) -> Option<(&str, Target<'_>)> {
        match (&self.token, &self.client, &self.subject, &self.issuer) {
            (Some(token), None, None, None) => Some((&token.issuer, Target::Token(&token.jti))),
            (None, Some(client), None, None) => Some((&client.issuer, Target::Client(&client.client_id))),
            (None, None, Some(of), None) => Some((&of.issuer, Target::Subject(&of.subject))),
            (None, None, None, Some(issuer)) => Some((issuer, Target::Issuer)),
            _ => None,
        }
    }

    /// What sort of thing it names, for the log.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.target() {
            Some((_, Target::Token(_))) => "token",
            Some((_, Target::Client(_))) => "client",
            Some((_, Target::Subject(_))) => "subject",
            Some((_, Target::Issuer)) => "issuer",
            None => "nothing",
        }
    }

    /// Whose tokens it is about; nothing if it names nothing.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.target().map(|(issuer, _)| issuer)
    }

    /// Whether it still holds at `now`.
    pub(super) fn is_needed(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it can be meant.
    pub(super) fn check(&self, issuers: &[&str]) -> Result<(), EntryMistake> {
        let (issuer, target) = self.target().ok_or(EntryMistake::Names)?;
        if !issuers.contains(&issuer) {
            return Err(EntryMistake::Issuer);
        }
        let name = match target {
            Target::Token(name) | Target::Client(name) | Target::Subject(name) => name,
            Target::Issuer if self.issued_before.is_none() => return Err(EntryMistake::Everything),
            Target::Issuer => issuer,
        };
        if is_text(name) && is_text(&self.reason) { Ok(()) } else { Err(EntryMistake::Text) }
    }
}

impl Ordered {
    pub(super) fn new(entry: Entry, by: &str, now: Timestamp) -> Result<Self, EntryMistake> {
        if !is_text(by) {
            return Err(EntryMistake::Text);
        }
        let id = uuid::Uuid::now_v7().hyphenated().to_string();
        Ok(Self { id, by: by.to_owned(), at: now, entry })
    }
}

/// Every entry of `document`, and all that is wrong with them.
pub(super) fn read(document: &Document, issuers: &[&str]) -> Result<Vec<Entry>, Diagnostics> {
    let file: RevocationsFile = document.to()?;
    let mut told = Diagnostics::new();
    for (n, entry) in file.revocations.iter().enumerate() {
        if let Err(mistake) = entry.check(issuers) {
            let place = document.place(&format!("/revocations/{n}"));
            let mistake = Diagnostic::error(place, mistake.to_string());
            let named = entry.issuer().unwrap_or_default();
            told.push(match entry.check(issuers) {
                Err(EntryMistake::Issuer) => mistake.did_you_mean(named, issuers.iter().copied()),
                Ok(()) | Err(_) => mistake,
            });
        }
    }
    told.into_result(Some(file.revocations)).map(|(entries, _)| entries)
}

pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(RevocationsFile).to_value()
}

pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_MAX && !text.chars().any(char::is_control)
}

// Whose tokens they are may be personal.
impl std::fmt::Debug for SubjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectName").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// RFC 3339, so that a mistake is told where it stands.
const TIME: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$";
/// Longer than any id of a token that issuers give.
const TEXT_MAX: usize = 200;
