//! How does a contract come to be served, and how does it go back? What callers were promised is kept.
//!
//! `contracts/published.lock` records the digest of each contract that may be served. [`Shelf`] knows where
//! contracts are, now and as they were published; [`publish`] records a new one, if nothing speaks against it;
//! [`rollback`] serves an earlier one again; [`enforce`] compares what would be served with what is recorded.

mod changes;
mod disk;
mod enforce;
mod list;
mod lock;
mod name;
mod promise;
mod retire;
mod rollback;
mod shelf;

use std::time::Duration;

use jiff::Timestamp;

use super::diff;
use super::lint::{Findings, INVALID_EXAMPLE, Level, Linter, MISSING_SECURITY, Rules};
use super::load::Missing;
use super::source::Source;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use lock::Retirement;

pub use changes::Changes;
pub use enforce::{Standing, Standings, Unpublished, enforce, short};
pub use list::{Life, Row, Usage, rows};
pub use lock::{Entry, Lock, Release};
pub use name::{Major, Name, NotAName};
pub use retire::retire;
pub use rollback::{Rollback, rollback};
pub use shelf::Shelf;

/// What is asked for when a contract is published, rolled back or retired.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who asks.
    pub author: String,
    /// When.
    pub now: Timestamp,
    /// What serves the same version may change, compatibly.
    pub revision: Revision,
    /// Why taking something away hurts nobody.
    pub unused_because: Option<String>,
    /// Why what may break callers does not.
    pub accepted_because: Option<String>,
    /// Whether anything is written.
    pub effect: Effect,
}

/// Whether a published version may be replaced by a compatible revision of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// A published version stays as it is.
    Refuse,
    /// A compatible one may take its place.
    Allow,
}

/// Whether anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is done.
    Done,
    /// It is only said what would be done.
    Said,
}

/// What became of a contract that was to be published.
#[derive(Debug)]
pub enum Outcome {
    /// Its files are the published ones already.
    Same(Release),
    /// It was recorded.
    Published {
        /// As what.
        release: Release,
        /// What the rules warn of.
        findings: Findings,
    },
}

/// Everything that speaks against publishing a contract.
#[derive(Debug, Default)]
pub struct Refused(pub Vec<Objection>);

/// What speaks against it.
#[derive(Debug)]
pub enum Objection {
    /// Files that cannot be read, are not right, or break a promise.
    Files(Diagnostics),
    /// It does not keep to the rules.
    Rules(Findings),
    /// The version is published, and what it is now is something else.
    Immutable {
        /// What was published.
        published: Release,
        /// What is different now.
        changes: Changes,
    },
    /// It breaks what callers of a live version rely on.
    Breaks {
        /// That version.
        version: Name,
        /// How.
        changes: Changes,
    },
    /// It may break that, or it could not be decided.
    MayBreak {
        /// That version.
        version: Name,
        /// How.
        changes: Changes,
    },
}

/// Publishes the contract `name` as its files are now.
///
/// # Errors
/// Everything that speaks against it; then nothing was changed.
pub fn publish(shelf: &Shelf, rules: Rules, name: &Name, wish: &Wish) -> Result<Outcome, Refused> {
    let _held = disk::hold(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
    let mut lock = Lock::read(shelf.root())?;
    let source = shelf.source(name)?;
    if let Some(retired) = lock.entry(name).and_then(|entry| entry.retired.as_ref()) {
        return Err(was_retired(shelf, name, retired).into());
    }
    let published = lock.entry(name).map(|entry| entry.current.clone());
    if let Some(release) = published.as_ref().filter(|release| release.digest == source.digest()) {
        // A copy that went missing comes back.
        if wish.effect == Effect::Done {
            shelf.keep(name, &source).map_err(|fault| unwritable(shelf, &fault))?;
        }
        return Ok(Outcome::Same(release.clone()));
    }
    let notice = rules.sunset_notice();
    let findings = held_to(rules, &source, name);
    let mut judged =
        Judged { shelf, name, source: &source, wish, summary: Vec::new(), objections: Vec::new() };
    if findings.number(Level::Error) > 0 {
        judged.objections.push(Objection::Rules(findings.clone()));
    }
    match published {
        Some(published) => judged.beside_itself(published, notice)?,
        None => judged.summary.push(format!("first release, {} operations", list::operations(&source))),
    }
    judged.beside_siblings(&lock)?;
    let Judged { mut summary, objections, .. } = judged;
    if !objections.is_empty() {
        return Err(Refused(objections));
    }
    let said = [("said to hurt nobody", &wish.unused_because), ("accepted", &wish.accepted_because)];
    summary.extend(said.iter().filter_map(|(what, reason)| Some(format!("{what}: {}", reason.as_ref()?))));
    let release = Release {
        digest: source.digest().to_owned(),
        published: wish.now,
        author: wish.author.clone(),
        changes: summary,
    };
    if wish.effect == Effect::Done {
        shelf.keep(name, &source).map_err(|fault| unwritable(shelf, &fault))?;
        lock.publish(name, release.clone());
        lock.write(shelf.root()).map_err(|fault| unwritable(shelf, &fault))?;
    }
    Ok(Outcome::Published { release, findings })
}

/// What the rules say, among them what is asked of everything published, whatever a file of rules says.
fn held_to(rules: Rules, source: &Source, name: &Name) -> Findings {
    let rules = rules.insisting_on(&[INVALID_EXAMPLE, MISSING_SECURITY]);
    Linter::new(&rules, FINDINGS_SHOWN_MAX).source(source, name, Missing::Refuse)
}

/// A contract beside what was published before.
struct Judged<'j> {
    shelf: &'j Shelf,
    name: &'j Name,
    source: &'j Source,
    wish: &'j Wish,
    summary: Vec<String>,
    objections: Vec<Objection>,
}

impl Judged<'_> {
    /// Beside the release that it would take the place of.
    fn beside_itself(&mut self, published: Release, notice: Duration) -> Result<(), Diagnostics> {
        let old = self.shelf.published(self.name, &published.digest)?;
        let changes = Changes::between(&old, self.source, self.wish.now)?;
        if self.wish.unused_because.is_none() {
            let broken = promise::broken(&old, self.source, self.wish.now, notice);
            self.objections.extend(broken.has_errors().then_some(Objection::Files(broken)));
        }
        self.summary = changes.summary();
        match self.wish.revision {
            Revision::Refuse => self.objections.push(Objection::Immutable { published, changes }),
            Revision::Allow => self.objections.extend(self.objection_to(self.name.clone(), changes)),
        }
        Ok(())
    }

    /// Beside the live versions of its major, whose callers it must serve, or which must serve its own.
    fn beside_siblings(&mut self, lock: &Lock) -> Result<(), Diagnostics> {
        for (other, digest) in siblings(lock, self.name) {
            let theirs = self.shelf.published(&other, &digest)?;
            let changes = if self.name.follows(&other) {
                Changes::between(&theirs, self.source, self.wish.now)?
            } else {
                Changes::between(self.source, &theirs, self.wish.now)?
            };
            if self.name.follows(&other) {
                self.summary.push(changes.beside(&other));
            }
            self.objections.extend(self.objection_to(other, changes));
        }
        Ok(())
    }

    fn objection_to(&self, version: Name, changes: Changes) -> Option<Objection> {
        if changes.has(diff::Level::Breaking) {
            return Some(Objection::Breaks { version, changes });
        }
        let may_break = changes.has(diff::Level::PossiblyBreaking) && self.wish.accepted_because.is_none();
        may_break.then_some(Objection::MayBreak { version, changes })
    }
}

/// The live versions of the same API and major, with what is served of each; the closest earlier one first.
fn siblings(lock: &Lock, name: &Name) -> Vec<(Name, String)> {
    let live = lock.iter().filter(|(other, entry)| {
        *other != name
            && entry.retired.is_none()
            && other.api() == name.api()
            && other.major() == name.major()
    });
    let mut siblings: Vec<(Name, String)> =
        live.map(|(other, entry)| (other.clone(), entry.current.digest.clone())).collect();
    siblings.sort_by(|(one, _), (other, _)| {
        let rank = |sibling: &Name| !name.follows(sibling);
        rank(one).cmp(&rank(other)).then_with(|| other.follows(one).cmp(&one.follows(other)).reverse())
    });
    siblings
}

/// What the lock has against it.
fn speaks_against(shelf: &Shelf, message: String, help: String) -> Refused {
    let place = Place::file(&lock::shown(shelf.root()));
    Diagnostics::from(Diagnostic::error(place, message).help(help)).into()
}

fn was_retired(shelf: &Shelf, name: &Name, retired: &Retirement) -> Diagnostics {
    let told = format!("`{name}` was retired on {} by {}: {}", retired.time, retired.author, retired.reason);
    let told = Diagnostic::error(Place::file(&lock::shown(shelf.root())), told);
    told.help("publish it under another version").into()
}

fn unwritable(shelf: &Shelf, fault: &std::io::Error) -> Refused {
    let told =
        Diagnostic::error(Place::file(&lock::shown(shelf.root())), format!("cannot be written: {fault}"));
    Diagnostics::from(told).into()
}

impl From<Diagnostics> for Refused {
    fn from(mistakes: Diagnostics) -> Self {
        Self(vec![Objection::Files(mistakes)])
    }
}

/// As many findings of one rule as are told when a contract is refused.
const FINDINGS_SHOWN_MAX: usize = 20;
