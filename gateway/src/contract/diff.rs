//! What changed between two versions of a contract, and whom does it break?
//!
//! It reads documents, not compiled operations, so it compares what no gateway would serve, and documents of
//! OpenAPI 3.0 and 3.1 with one another. The direction matters: what callers send must still be allowed, and
//! what they read must have been announced. It never calls compatible what it could not decide.

mod body;
mod document;
mod finding;
mod lifecycle;
mod operation;
mod parameter;
mod paths;
mod report;
mod response;
mod schema;
mod security;
mod settings;

use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::direction::Direction;
use super::json;
use super::keyword::Dialect;
use super::source::{At, Source};
use crate::diagnostic::Diagnostics;
pub use report::{Change, Level, OperationName, Report, Side, Spot, Subject, SubjectKind};
use schema::{Located, Schemas, Sense, Version};

/// Compares the contracts at two paths: folders with an `openapi.yaml` or `openapi.json`, or such files.
///
/// `now` decides which sunsets have passed.
///
/// # Errors
/// One of them cannot be read, or is not OpenAPI 3.0 or 3.1.
pub fn compare_files(old: &Path, new: &Path, now: Timestamp) -> Result<Report, Diagnostics> {
    let name = |path: &Path| path.to_string_lossy().trim_end_matches('/').to_owned();
    let (old_source, new_source) = (Source::open(old, &name(old))?, Source::open(new, &name(new))?);
    let changes = compare(&old_source, &new_source, now)?;
    Ok(Report { old: name(old), new: name(new), changes })
}

/// Compares two contracts that were read.
///
/// # Errors
/// One of them is not OpenAPI 3.0 or 3.1.
pub(super) fn compare(old: &Source, new: &Source, now: Timestamp) -> Result<Vec<Change>, Diagnostics> {
    let (old, new) = (version(old)?, version(new)?);
    if old.dialect == new.dialect && old.source.values().eq(new.source.values()) {
        return Ok(Vec::new());
    }
    let schemas = Schemas::new(old, new, now);
    let mut comparison =
        Comparison { old, new, now, schemas, flow: Flow::Served, operation: None, changes: Vec::new() };
    comparison.documents();
    Ok(comparison.changes)
}

/// What the schemas of a contract are written in. A named dialect that is not known is read as that of OpenAPI.
fn version(source: &Source) -> Result<Version<'_>, Diagnostics> {
    let at = source.root().key("openapi");
    let written = source.value(&at).and_then(Value::as_str).unwrap_or_default();
    let named = source.member(&source.root(), "jsonSchemaDialect").and_then(Value::as_str);
    let dialect = match written.split('.').take(2).collect::<Vec<_>>().as_slice() {
        ["3", "0"] => Dialect::V30,
        ["3", "1"] => named.and_then(Dialect::named).unwrap_or(Dialect::V31),
        _ => {
            let told = source.error(&at, "only documents of OpenAPI 3.0 and 3.1 can be compared");
            return Err(told.help("the first line says which it is: `openapi: 3.1.1`").into());
        }
    };
    Ok(Version { source, dialect })
}

/// The work on two contracts.
struct Comparison<'s> {
    old: Version<'s>,
    new: Version<'s>,
    now: Timestamp,
    schemas: Schemas<'s>,
    flow: Flow,
    operation: Option<OperationName>,
    changes: Vec<Change>,
}

/// Who calls whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    /// Partners call the API.
    Served,
    /// The API calls partners: webhooks and callbacks. What it sends, they read.
    Called,
}

/// What a difference is told to be about.
struct About {
    subject: Subject,
    /// In words: "the query parameter `limit`".
    words: String,
}

/// The same thing in both contracts, or in one.
#[derive(Clone, Copy)]
struct Places<'a> {
    old: Option<&'a At>,
    new: Option<&'a At>,
}

impl<'a> Places<'a> {
    const fn both(old: &'a At, new: &'a At) -> Self {
        Self { old: Some(old), new: Some(new) }
    }

    const fn gone(old: &'a At) -> Self {
        Self { old: Some(old), new: None }
    }

    const fn come(new: &'a At) -> Self {
        Self { old: None, new: Some(new) }
    }
}

impl Flow {
    /// What a message that is part of the request means here.
    const fn sent(self) -> (Sense, Direction, Side) {
        match self {
            Self::Served => (Sense::OldInNew, Direction::Request, Side::Request),
            Self::Called => (Sense::NewInOld, Direction::Response, Side::Response),
        }
    }

    /// What a message that is part of the response means here.
    const fn answered(self) -> (Sense, Direction, Side) {
        match self {
            Self::Served => (Sense::NewInOld, Direction::Response, Side::Response),
            Self::Called => (Sense::OldInNew, Direction::Request, Side::Request),
        }
    }
}

impl<'s> Comparison<'s> {
    fn tell(
        &mut self,
        rule: &'static str,
        level: Level,
        side: Side,
        subject: Subject,
        places: Places<'_>,
        sentence: String,
    ) {
        let (old, new) = (places.old.map(|at| spot(self.old, at)), places.new.map(|at| spot(self.new, at)));
        let operation = self.operation.clone();
        self.changes.push(Change { rule, level, side, operation, subject, old, new, sentence });
    }

    /// Tells all that differs between two schemas.
    fn tell_schemas(
        &mut self,
        about: &About,
        (sense, direction, side): (Sense, Direction, Side),
        old: Option<&At>,
        new: Option<&At>,
    ) {
        for Located { finding, path } in self.schemas.compare(old, new, sense, direction) {
            let inner = finding.property.as_deref().map(json::token).unwrap_or_default();
            let property = Some(format!("{}{inner}", path.pointer)).filter(|pointer| !pointer.is_empty());
            let of = match path.shown.as_str() {
                "" => about.words.clone(),
                shown => format!("`{shown}` in {}", about.words),
            };
            let mut sentence = finding.text.replace("{}", &of);
            if finding.level == Level::Breaking && !sentence.contains("; ") {
                sentence.push_str(match side {
                    Side::Response => "; readers may get what they were not told of",
                    Side::Request | Side::Both => "; what callers sent before may be refused",
                });
            }
            let subject = Subject { property, ..about.subject.clone() };
            let places = Places { old: finding.old.as_ref().or(old), new: finding.new.as_ref().or(new) };
            self.tell(finding.rule, finding.level, side, subject, places, sentence);
        }
    }

    /// What two references lead to; tells it if one leads nowhere.
    fn follow(&mut self, about: &About, side: Side, old: &At, new: &At) -> Option<(At, At)> {
        match (self.old.source.follow(old.clone()), self.new.source.follow(new.clone())) {
            (Ok(old), Ok(new)) => Some((old, new)),
            _ => {
                let sentence =
                    format!("{} cannot be looked at, so whether it changed is undecided", about.words);
                let subject = about.subject.clone();
                let level = Level::PossiblyBreaking;
                self.tell("reference-undecided", level, side, subject, Places::both(old, new), sentence);
                None
            }
        }
    }
}

/// The place as reports name it.
fn spot(version: Version<'_>, at: &At) -> Spot {
    let place = version.source.place(at);
    Spot { file: place.file_name().to_owned(), pointer: at.pointer.clone(), line: place.line() }
}

/// The text at `key` of the object at `at`.
fn text<'s>(version: Version<'s>, at: &At, key: &str) -> Option<&'s str> {
    version.source.member(at, key).and_then(Value::as_str)
}

/// The truth value at `key`; `false` unless it says `true`.
fn flag(version: Version<'_>, at: &At, key: &str) -> bool {
    version.source.member(at, key) == Some(&Value::Bool(true))
}

/// The keys of the mapping at `at`, without extensions.
fn keys<'s>(version: Version<'s>, at: &At) -> Vec<&'s str> {
    let members = version.source.value(at).and_then(Value::as_object);
    members
        .into_iter()
        .flat_map(|members| members.keys())
        .map(String::as_str)
        .filter(|key| !key.starts_with("x-"))
        .collect()
}

/// The keys of the mapping at `at`, all of them.
fn all_keys<'s>(version: Version<'s>, at: &At) -> Vec<&'s str> {
    let members = version.source.value(at).and_then(Value::as_object);
    members.into_iter().flat_map(|members| members.keys()).map(String::as_str).collect()
}

#[cfg(test)]
mod kinds;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod soundness;
