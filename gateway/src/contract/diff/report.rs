//! What a comparison found, in a form for people, pipelines and whoever joins it with usage.

use std::fmt;

use serde::Serialize;

/// Everything that differs between two versions of a contract, in the order of the operations.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What the older contract was called.
    pub old: String,
    /// What the newer contract was called.
    pub new: String,
    /// The differences: those of the whole contract first, then operation by operation.
    pub changes: Vec<Change>,
}

/// One difference, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule that judged it, in kebab case. It stays the same from release to release.
    pub rule: &'static str,
    /// What it does to callers.
    pub level: Level,
    /// Which messages it touches.
    pub side: Side,
    /// The operation, unless the change is of the whole contract.
    pub operation: Option<OperationName>,
    /// What of the API changed, in the caller's words.
    pub subject: Subject,
    /// Where it stands, or stood, in the older contract.
    pub old: Option<Spot>,
    /// Where it stands in the newer contract.
    pub new: Option<Spot>,
    /// What changed and what follows, for a partner.
    pub sentence: String,
}

/// What a change does to callers. The greater, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What was right before is right, and what is answered was announced.
    Compatible,
    /// It depends on the caller, or it could not be decided.
    PossiblyBreaking,
    /// Callers that kept to the older contract fail.
    Breaking,
}

/// Which messages a change touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// What callers send.
    Request,
    /// What callers read.
    Response,
    /// Both, or the whole operation.
    Both,
}

/// An operation, as both documents and usage name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct OperationName {
    /// `POST`.
    pub method: String,
    /// `/orders/{orderId}`, without the base path of the version.
    pub path: String,
    /// The older contract's `operationId`, or the newer one's.
    pub operation_id: Option<String>,
}

/// What of the API a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Subject {
    /// What kind of thing it is.
    pub kind: SubjectKind,
    /// Where a parameter stands: `query`, `path`, `header`, `cookie`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The name of a parameter, header, security scheme, tag or component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The status of a response: `200`, `4XX`, `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The media type of a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The property inside of it, as a JSON Pointer into a message; `*` stands for any item or name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
}

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// The contract as a whole.
    Contract,
    /// An address at which it is served.
    Server,
    /// How callers prove themselves.
    Security,
    /// An operation.
    Operation,
    /// A parameter.
    Parameter,
    /// What callers send.
    RequestBody,
    /// What is answered.
    Response,
    /// A header field of a response.
    ResponseHeader,
    /// A named part that nothing refers to by itself.
    Component,
}

/// A place in one of the two contracts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Spot {
    /// The file, as it was named for the comparison.
    pub file: String,
    /// The JSON Pointer in it.
    pub pointer: String,
    /// The line on which that stands.
    pub line: usize,
}

impl Report {
    /// The worst of all levels; none when nothing differs.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.changes.iter().map(|change| change.level).max()
    }

    /// The changes of one level.
    pub fn of(&self, level: Level) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.level == level)
    }
}

impl Subject {
    /// A thing of this kind, without anything else said.
    #[must_use]
    pub const fn new(kind: SubjectKind) -> Self {
        Self { kind, location: None, name: None, status: None, media_type: None, property: None }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }
}

impl Level {
    /// The level as JSON and tables write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Breaking => "breaking",
            Self::PossiblyBreaking => "possibly-breaking",
            Self::Compatible => "compatible",
        }
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}
