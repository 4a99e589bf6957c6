//! What is different between two releases, and may callers break by it?

use std::fmt;

use jiff::Timestamp;

use super::super::diff::{self, Change, Level, SubjectKind};
use super::super::source::Source;
use super::name::Name;
use crate::diagnostic::Diagnostics;

/// What is different, as far as it matters to callers.
#[derive(Debug, Clone)]
pub struct Changes(Vec<Change>);

impl Changes {
    pub(super) fn between(old: &Source, new: &Source, now: Timestamp) -> Result<Self, Diagnostics> {
        let mut changes = diff::compare(old, new, now)?;
        // Dates of operations are promises of their own, which `promise` judges by what was promised before.
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
    let of_operations = matches!(change.subject.kind, SubjectKind::Contract | SubjectKind::Operation);
    of_operations && change.rule.starts_with("sunset-")
}

fn more(all: usize, told: usize) -> Option<String> {
    let more = all.checked_sub(told).filter(|more| *more > 0)?;
    Some(format!("... and {more} more: gateway contract diff tells all"))
}

/// As many changes as a person reviews in a lock.
const RECORDED_MAX: usize = 12;
/// As many as a person reads at once.
const TOLD_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dates_of_fields_are_judged_here_and_those_of_operations_elsewhere() {
        let source = |of_field: &str, of_operation: &str| {
            let life = |date: &str| format!("x-gateway: {{lifecycle: {{sunset: '{date}T00:00:00Z'}}}}");
            let text = format!(
                "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      {}\n      parameters: [{{name: q, in: query, schema: {{type: string}}, deprecated: true, {}}}]\n",
                life(of_operation),
                life(of_field),
            );
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
            Source::read(folder.path(), "contracts/a/v1").unwrap()
        };
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let breaks = |old: (&str, &str), new: (&str, &str)| {
            let (old, new) = (source(old.0, old.1), source(new.0, new.1));
            Changes::between(&old, &new, now).unwrap().has(Level::Breaking)
        };
        assert!(breaks(("2027-06-01", "2027-09-01"), ("2027-05-01", "2027-09-01")));
        assert!(!breaks(("2027-05-01", "2027-09-01"), ("2027-06-01", "2027-09-01")));
        assert!(!breaks(("2027-05-01", "2027-09-01"), ("2027-05-01", "2027-08-01")));
    }
}
