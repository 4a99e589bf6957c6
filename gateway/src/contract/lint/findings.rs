//! Where does a contract not keep to the rules? As many places as a person reads, and the number of all.

use std::collections::BTreeMap;

use super::rule::Level;
use crate::diagnostic::Diagnostic;

/// A place where a contract does not keep to a rule.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule.
    pub rule: String,
    /// How strictly it is held.
    pub level: Level,
    /// What is wrong, where (file, line, column), and what would mend it.
    pub diagnostic: Diagnostic,
    /// The place as a JSON Pointer, after the file's name unless it is the main one: what `at` of an exception names.
    pub pointer: String,
}

/// How often a rule was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How strictly it is held.
    pub level: Level,
    /// Places without an exception.
    pub found: usize,
    /// Places with one.
    pub excepted: usize,
}

/// What was found in one contract.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    counts: BTreeMap<String, Count>,
    shown: Vec<Finding>,
}

impl Findings {
    /// The first findings of each rule, in the order of files and lines.
    #[must_use]
    pub fn shown(&self) -> &[Finding] {
        &self.shown
    }

    /// How often each rule was not kept.
    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<String, Count> {
        &self.counts
    }

    /// How many findings have this level, shown or not.
    #[must_use]
    pub fn number(&self, level: Level) -> usize {
        self.counts.values().filter(|count| count.level == level).map(|count| count.found).sum()
    }

    /// How many findings are not shown.
    #[must_use]
    pub fn hidden(&self) -> usize {
        let all: usize = self.counts.values().map(|count| count.found).sum();
        all.saturating_sub(self.shown.len())
    }

    pub(super) fn count(&mut self, rule: &str, level: Level) -> &mut Count {
        self.counts.entry(rule.to_owned()).or_insert(Count { level, found: 0, excepted: 0 })
    }

    pub(super) fn show(&mut self, finding: Finding) {
        self.shown.push(finding);
    }

    pub(super) fn in_order(mut self) -> Self {
        let key = |finding: &Finding| {
            let place = finding.diagnostic.place();
            (
                place.map_or_else(String::new, |place| place.file_name().to_owned()),
                place.map_or((0, 0), |place| (place.line(), place.column())),
                finding.rule.clone(),
            )
        };
        self.shown.sort_by_cached_key(key);
        self
    }
}
