//! Which schemas hold together for one value? References and `allOf` flattened into one list.
//!
//! A [`Term`] is what must hold, as places in a contract; it does not know what the places say.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::super::keyword::Dialect;
use super::super::super::source::{At, Source};

/// One of the two contracts.
#[derive(Clone, Copy)]
pub(in super::super) struct Version<'s> {
    pub(in super::super) source: &'s Source,
    pub(in super::super) dialect: Dialect,
}

/// Schemas that all hold for one value, sorted. None at all: anything goes.
pub(super) type Term = Vec<Atom>;

/// One schema of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Atom {
    pub(super) at: At,
    pub(super) taken: Taken,
}

/// What of a schema is dealt with elsewhere in its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Taken {
    Nothing,
    AnyOf,
    OneOf,
    Both,
}

/// A reference that leads nowhere that could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: At,
    pub(super) reference: String,
}

impl Taken {
    pub(super) const fn has(self, word: Word) -> bool {
        matches!((self, word), (Self::Both, _) | (Self::AnyOf, Word::AnyOf) | (Self::OneOf, Word::OneOf))
    }

    const fn and(self, word: Word) -> Self {
        match (self, word) {
            (Self::Nothing | Self::AnyOf, Word::AnyOf) => Self::AnyOf,
            (Self::Nothing | Self::OneOf, Word::OneOf) => Self::OneOf,
            _ => Self::Both,
        }
    }
}

/// The two words that list alternatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    AnyOf,
    OneOf,
}

impl Word {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AnyOf => "anyOf",
            Self::OneOf => "oneOf",
        }
    }
}

impl Atom {
    pub(super) const fn whole(at: At) -> Self {
        Self { at, taken: Taken::Nothing }
    }
}

impl<'s> Version<'s> {
    pub(in super::super) fn value(&self, at: &At) -> Option<&'s Value> {
        self.source.value(at)
    }

    /// `term` with references followed and `allOf` opened.
    pub(super) fn flatten(&self, term: &[Atom]) -> (Term, Vec<Broken>) {
        let (mut flat, mut broken) = (BTreeSet::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<Atom> = term.iter().rev().cloned().collect();
        while let Some(atom) = waiting.pop() {
            if seen.len() >= ATOMS_MAX || !seen.insert(atom.clone()) {
                continue;
            }
            let members = self.value(&atom.at).and_then(Value::as_object);
            let Some(members) = members else {
                flat.insert(atom);
                continue;
            };
            let parts = members.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
            if let Some(reference) = members.get("$ref") {
                let text = reference.as_str().unwrap_or_default();
                match self.source.target(atom.at.file, text) {
                    Ok(at) => waiting.push(Atom::whole(at)),
                    Err(_why) => broken.push(Broken { at: atom.at.key("$ref"), reference: text.to_owned() }),
                }
                if self.dialect.ignores_beside_references() {
                    continue;
                }
            }
            waiting.extend((0..parts).map(|n| Atom::whole(atom.at.key("allOf").item(n))));
            if members.keys().any(|key| !matches!(key.as_str(), "$ref" | "allOf" | "description" | "title")) {
                flat.insert(atom);
            }
        }
        // A schema whose alternatives are chosen is the same schema where it is met again on the way.
        let taken: BTreeSet<&At> =
            flat.iter().filter(|atom| atom.taken != Taken::Nothing).map(|atom| &atom.at).collect();
        let again = |atom: &Atom| atom.taken == Taken::Nothing && taken.contains(&atom.at);
        (flat.iter().filter(|atom| !again(atom)).cloned().collect(), broken)
    }

    /// `term` with the list of alternatives at `at` replaced by one of them.
    pub(super) fn choose(&self, term: &[Atom], at: &At, word: Word, branch: At) -> Term {
        let mut chosen: Term = term
            .iter()
            .map(|atom| {
                let taken = if atom.at == *at { atom.taken.and(word) } else { atom.taken };
                Atom { at: atom.at.clone(), taken }
            })
            .collect();
        chosen.push(Atom::whole(branch));
        chosen.sort();
        chosen.dedup();
        chosen
    }
}

/// More schemas than anybody composes for one value.
const ATOMS_MAX: usize = 512;
