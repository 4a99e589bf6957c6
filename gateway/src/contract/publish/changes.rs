//! What is different between two releases, and may callers break by it?

use std::fmt;

use jiff::Timestamp;

use super::super::diff::{self, Change, Level};
use super::super::source::Source;
use super::name::Name;
use crate::diagnostic::Diagnostics;

/// What is different, as far as it matters to callers.
#[derive(Debug, Clone)]
pub struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn between(old: &Source, new: &Source, now: Timestamp) -> Result<Self, Diagnostics> {
        let mut changes = diff::compare(old, new, now)?;
        // Dates are promises of their own, which `promise` judges by what was promised before.
        changes.retain(|change| !is_of_dates(change));
        Ok(Self(changes))
    }

    /// The changes that are as bad as `level`.
    pub fn of(&self, level: Level) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| change.level == level)
    }

    /// A few lines for the record: how many changes of which kind, and the first of them.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines = vec![self.counts()];
        lines.extend(self.worst_first().take(RECORDED_MAX).map(|change| change.sentence.clone()));
        lines.extend(more(self.0.len(), RECORDED_MAX));
        lines
    }

    /// A line that says what it is beside another version.
    pub(super) fn beside(&self, other: &Name) -> String {
        format!("beside {other}: {}", self.counts())
    }

    /// Whether any change is as bad as `level`.
    #[must_use]
    pub fn has(&self, level: Level) -> bool {
        self.of(level).next().is_some()
    }

    fn counts(&self) -> String {
        if self.0.is_empty() {
            return "nothing that callers see".to_owned();
        }
        let rows = [Level::Breaking, Level::PossiblyBreaking, Level::Compatible];
        let counted = rows.into_iter().map(|level| (level, self.of(level).count())).filter(|(_, n)| *n > 0);
        let counts: Vec<String> = counted.map(|(level, n)| format!("{n} {}", level.as_str())).collect();
        counts.join(", ")
    }

    fn worst_first(&self) -> impl Iterator<Item = &Change> {
        [Level::Breaking, Level::PossiblyBreaking, Level::Compatible]
            .into_iter()
            .flat_map(|level| self.of(level))
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in self.worst_first().take(TOLD_MAX) {
            writeln!(f, "  {:<17} {} ({})", change.level.as_str(), change.sentence, change.rule)?;
        }
        match more(self.0.len(), TOLD_MAX) {
            Some(more) => writeln!(f, "  {more}"),
            None => Ok(()),
        }
    }
}

fn is_of_dates(change: &Change) -> bool {
    ["sunset-", "deprecation-", "lifecycle-"].iter().any(|about| change.rule.starts_with(about))
}

fn more(all: usize, told: usize) -> Option<String> {
    let more = all.checked_sub(told).filter(|more| *more > 0)?;
    Some(format!("... and {more} more: gateway contract diff tells all"))
}

/// As many changes as a person reviews in a lock.
const RECORDED_MAX: usize = 12;
/// As many as a person reads at once.
const TOLD_MAX: usize = 40;
