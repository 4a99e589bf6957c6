//! What differs in the properties of objects?
//!
//! A property's term is everything that applies to its name: its own schemas, those of patterns it matches, and
//! what is left for the rest. What a contract does not name and does not describe is not compared: that callers
//! send unknown properties to an open object gives them no right to a meaning later.

use std::collections::BTreeSet;

use regex::Regex;

use super::super::super::source::At;
use super::super::finding::Effect;
use super::super::lifecycle;
use super::super::report::Level;
use super::facts::Facts;
use super::term::{Atom, Term, Version};
use super::types::Types;
use super::{Local, Sense, Step};
use crate::contract::direction::Direction;

/// What stands for a property on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Slot {
    /// It is named.
    Named(Term),
    /// It is named, and not sent in this direction.
    Hidden(Term),
    /// It is not named, and the rest is open.
    Open,
    /// It is not named, and the rest has a schema.
    Rest(Term),
    /// It is not named, and the rest is forbidden.
    Closed,
}

impl Local<'_, '_> {
    pub(super) fn objects(&mut self) {
        if !self.both_may_be(Types::OBJECT) {
            return;
        }
        let names = self.old.properties.keys().chain(self.new.properties.keys());
        let names: BTreeSet<String> = names.map(|name| (*name).to_owned()).collect();
        for name in &names {
            self.property(name);
        }
        self.required(&names);
        self.size("minProperties", "the least number of properties");
        self.size("maxProperties", "the greatest number of properties");
        self.patterns();
        self.rest();
        self.names();
        self.dependent_names();
        self.dependent_schemas();
    }

    fn property(&mut self, name: &str) {
        let direction = self.direction;
        let old = slot(self.schemas.old, &self.old, name, direction);
        let new = slot(self.schemas.new, &self.new, name, direction);
        let at = |facts: &Facts<'_>| facts.properties.get(name).and_then(|places| places.first()).cloned();
        let (old_at, new_at) = (at(&self.old), at(&self.new));
        let step = Some(Step::Property(name.to_owned()));
        let is_required = self.new.required.contains_key(name);
        match (old, new) {
            (Slot::Named(old), Slot::Named(new)) => self.lead(step, old, new),
            (Slot::Hidden(_), Slot::Hidden(_)) => {}
            (Slot::Hidden(_), Slot::Named(_)) => {
                let level = match self.sense {
                    Sense::OldInNew if is_required => Level::Breaking,
                    _ => Level::Compatible,
                };
                let (rule, text) = unhidden(direction, name, is_required);
                self.tell_of(name, rule, Effect::Is(level), (old_at, new_at), text);
            }
            (Slot::Named(_), Slot::Hidden(_)) => {
                let (rule, text) = hidden(direction, name);
                self.tell_of(name, rule, Effect::Is(Level::Breaking), (old_at, new_at), text);
            }
            (Slot::Named(old), gone) => self.removed(name, old_at, old, gone),
            (come, Slot::Named(new)) => self.added(name, new_at, come, new),
            // What is hidden on one side and not described on the other is seen by nobody.
            _ => {}
        }
    }

    fn removed(&mut self, name: &str, at: Option<At>, old: Term, now: Slot) {
        let step = Some(Step::Property(name.to_owned()));
        let (level, text) = match (self.sense, &now) {
            (Sense::OldInNew, Slot::Closed) => (
                Level::Breaking,
                format!("the property `{name}` of {{}} is removed; callers that send it are refused"),
            ),
            (Sense::OldInNew, _) => (
                Level::PossiblyBreaking,
                format!(
                    "the property `{name}` of {{}} is removed; callers may still send it, but it is not described"
                ),
            ),
            (Sense::NewInOld, Slot::Rest(_)) => (
                Level::PossiblyBreaking,
                format!(
                    "the property `{name}` of {{}} is removed; it may still come among those without a name"
                ),
            ),
            (Sense::NewInOld, _) => (
                Level::Breaking,
                format!("the property `{name}` of {{}} is removed; readers that use it lose it"),
            ),
        };
        let dated = at.as_ref().and_then(|at| lifecycle::dated(self.schemas.old, at));
        if dated.is_some_and(|dated| dated.has_passed(self.schemas.now)) {
            let text = format!("the property `{name}` of {{}} is removed; it was switched off before");
            let (rule, effect) = ("property-removed-after-sunset", Effect::Is(Level::Compatible));
            return self.tell_of(name, rule, effect, (at, None), text);
        }
        self.tell_of(name, "property-removed", Effect::Is(level), (at, None), text);
        if let Slot::Rest(rest) = now {
            self.lead(step, old, rest);
        }
    }

    fn added(&mut self, name: &str, at: Option<At>, before: Slot, new: Term) {
        let step = Some(Step::Property(name.to_owned()));
        let is_required = self.new.required.contains_key(name);
        let (rule, level, text) = match (self.sense, is_required) {
            (Sense::OldInNew, true) => (
                "required-property-added",
                Level::Breaking,
                format!(
                    "the required property `{name}` is added to {{}}; callers that do not send it are refused"
                ),
            ),
            (Sense::OldInNew, false) => (
                "property-added",
                Level::Compatible,
                format!("the optional property `{name}` is added to {{}}"),
            ),
            (Sense::NewInOld, _) if before == Slot::Closed => (
                "property-added",
                Level::PossiblyBreaking,
                format!(
                    "the property `{name}` is added to {{}}, which had no other properties than those named; readers \
                     that check this will refuse it"
                ),
            ),
            (Sense::NewInOld, _) => {
                ("property-added", Level::Compatible, format!("the property `{name}` is added to {{}}"))
            }
        };
        self.tell_of(name, rule, Effect::Is(level), (None, at), text);
        if let Slot::Rest(rest) = before {
            self.lead(step, rest, new);
        }
    }

    fn required(&mut self, named: &BTreeSet<String>) {
        let list = |facts: &Facts<'_>| -> Vec<(String, At)> {
            facts.required.iter().map(|(name, at)| ((*name).to_owned(), at.clone())).collect()
        };
        let (old, new) = (list(&self.old), list(&self.new));
        let (old_facts, new_facts) = (self.old.properties.clone(), self.new.properties.clone());
        for (name, at) in &new {
            // A property that is new, or newly sent, was told of with this.
            let told = named.contains(name) && !old_facts.contains_key(name.as_str());
            let told = told || self.is_hidden_before(name);
            if !old.iter().any(|(known, _)| known == name) && !told {
                let text = format!("the property `{name}` of {{}} is now required");
                self.tell_of(
                    name,
                    "property-became-required",
                    Effect::Narrower,
                    (None, Some(at.clone())),
                    text,
                );
            }
        }
        for (name, at) in &old {
            let told = named.contains(name) && !new_facts.contains_key(name.as_str());
            let told = told || self.is_hidden_after(name);
            if !new.iter().any(|(known, _)| known == name) && !told {
                let text = format!("the property `{name}` of {{}} is no longer required");
                self.tell_of(name, "property-became-optional", Effect::Wider, (Some(at.clone()), None), text);
            }
        }
    }

    fn is_hidden_before(&self, name: &str) -> bool {
        matches!(slot(self.schemas.old, &self.old, name, self.direction), Slot::Hidden(_))
    }

    fn is_hidden_after(&self, name: &str) -> bool {
        matches!(slot(self.schemas.new, &self.new, name, self.direction), Slot::Hidden(_))
    }

    /// Properties whose names match a pattern.
    fn patterns(&mut self) {
        let keys = |facts: &Facts<'_>| -> BTreeSet<String> {
            facts.pattern_properties.keys().map(|pattern| (*pattern).to_owned()).collect()
        };
        let (old, new) = (keys(&self.old), keys(&self.new));
        for pattern in old.union(&new) {
            let places = |facts: &Facts<'_>| {
                facts.pattern_properties.get(pattern.as_str()).cloned().unwrap_or_default()
            };
            let (was, is) = (places(&self.old), places(&self.new));
            let (old_at, new_at) = (was.first().cloned(), is.first().cloned());
            let others = if was.is_empty() { !old.is_empty() } else { !new.is_empty() };
            let term = |places: Vec<At>, facts: &Facts<'_>| match places.is_empty() {
                true => rest_of(facts),
                false => places.into_iter().map(Atom::whole).collect(),
            };
            let (told, verb) = match (was.is_empty(), is.is_empty()) {
                (false, false) => (None, ""),
                (true, _) => (Some("pattern-property-added"), "get a schema of their own"),
                (false, true) => (Some("pattern-property-removed"), "no longer have a schema of their own"),
            };
            if let Some(rule) = told {
                // A name may match a second pattern, and then it is not one of the rest.
                let effect = if others { Effect::Undecided } else { Effect::Is(Level::Compatible) };
                let text = format!("the properties of {{}} whose names match `{pattern}` {verb}");
                self.tell(rule, effect, old_at, new_at, text);
            }
            let (was, is) = (term(was, &self.old), term(is, &self.new));
            self.lead(Some(Step::AnyProperty), was, is);
        }
    }

    /// Properties that have no schema of their own.
    fn rest(&mut self) {
        let (old, new) = (rest_of(&self.old), rest_of(&self.new));
        let forbids = |version: Version<'_>, rest: &Term, direction| {
            !rest.is_empty() && Facts::new(version, rest, direction).types.is_none()
        };
        let closed_before = forbids(self.schemas.old, &old, self.direction);
        let closed_after = forbids(self.schemas.new, &new, self.direction);
        let at = |rest: &Term| rest.first().map(|atom| atom.at.clone());
        match (closed_before, closed_after) {
            (true, true) => {}
            (false, true) => {
                let text = "{} may no longer have properties that are not named".to_owned();
                let effect = Effect::Narrower;
                self.tell("additional-properties-forbidden", effect, at(&old), at(&new), text);
            }
            (true, false) => {
                let text = "{} may now have properties that are not named".to_owned();
                let level = match self.sense {
                    Sense::OldInNew => Level::Compatible,
                    // A reader that does not expect them is one that refuses what it does not know.
                    Sense::NewInOld => Level::PossiblyBreaking,
                };
                self.tell("additional-properties-allowed", Effect::Is(level), at(&old), at(&new), text);
            }
            (false, false) => self.lead(Some(Step::AnyProperty), old, new),
        }
    }

    /// The names themselves.
    fn names(&mut self) {
        let term = |places: &[At]| -> Term { places.iter().cloned().map(Atom::whole).collect() };
        let (old, new) = (self.old.names.first().cloned(), self.new.names.first().cloned());
        let (old_term, new_term) = (term(&self.old.names), term(&self.new.names));
        match (&old, &new) {
            (None, None) => {}
            (None, Some(_)) => {
                let text = "the names of the properties of {} are now restricted".to_owned();
                self.tell("property-names-added", Effect::Narrower, old, new, text);
            }
            (Some(_), None) => {
                let text = "the names of the properties of {} are no longer restricted".to_owned();
                self.tell("property-names-removed", Effect::Wider, old, new, text);
            }
            (Some(_), Some(_)) => self.lead(Some(Step::Name), old_term, new_term),
        }
    }

    fn dependent_names(&mut self) {
        type Needs = Vec<((String, String), At)>;
        let list = |facts: &Facts<'_>| -> Needs {
            let needs = facts.dependent_required.iter();
            needs
                .map(|((name, needed), at)| (((*name).to_owned(), (*needed).to_owned()), at.clone()))
                .collect()
        };
        let (old, new) = (list(&self.old), list(&self.new));
        let missing = |needs: &Needs, facts: &Facts<'_>, pair: &(String, String)| {
            !needs.iter().any(|(known, _)| known == pair) && !facts.required.contains_key(pair.1.as_str())
        };
        let come: Needs = new.iter().filter(|(pair, _)| missing(&old, &self.old, pair)).cloned().collect();
        let gone: Needs = old.iter().filter(|(pair, _)| missing(&new, &self.new, pair)).cloned().collect();
        for ((name, needed), at) in come {
            let text = format!("where {{}} has `{name}`, it must now have `{needed}` too");
            self.tell("dependent-required-added", Effect::Narrower, None, Some(at), text);
        }
        for ((name, needed), at) in gone {
            let text = format!("where {{}} has `{name}`, it need no longer have `{needed}`");
            self.tell("dependent-required-removed", Effect::Wider, Some(at), None, text);
        }
    }

    fn dependent_schemas(&mut self) {
        let keys = |facts: &Facts<'_>| -> BTreeSet<String> {
            facts.dependent_schemas.keys().map(|name| (*name).to_owned()).collect()
        };
        let (old, new) = (keys(&self.old), keys(&self.new));
        for name in old.union(&new) {
            let places =
                |facts: &Facts<'_>| facts.dependent_schemas.get(name.as_str()).cloned().unwrap_or_default();
            let (was, is) = (places(&self.old), places(&self.new));
            let (old_at, new_at) = (was.first().cloned(), is.first().cloned());
            if was.is_empty() {
                let text = format!("where {{}} has `{name}`, more must now hold");
                self.tell("dependent-schema-added", Effect::Narrower, old_at, new_at, text);
            } else if is.is_empty() {
                let text = format!("where {{}} has `{name}`, less must now hold");
                self.tell("dependent-schema-removed", Effect::Wider, old_at, new_at, text);
            } else {
                let term = |places: Vec<At>| -> Term { places.into_iter().map(Atom::whole).collect() };
                self.lead(None, term(was), term(is));
            }
        }
    }
}

/// What a term says about the property `name`.
fn slot(version: Version<'_>, facts: &Facts<'_>, name: &str, direction: Direction) -> Slot {
    let term = property(facts, name);
    let Some(places) = facts.properties.get(name) else {
        return match term {
            term if term.is_empty() => Slot::Open,
            term if Facts::new(version, &term, direction).types.is_none() => Slot::Closed,
            term => Slot::Rest(term),
        };
    };
    if places.iter().any(|at| direction.hides(version.source, at)) {
        return Slot::Hidden(term);
    }
    if Facts::new(version, &term, direction).types.is_none() { Slot::Closed } else { Slot::Named(term) }
}

/// All schemas that apply to the property `name`.
pub(super) fn property(facts: &Facts<'_>, name: &str) -> Term {
    let matches = |pattern: &str| Regex::new(pattern).is_ok_and(|regex| regex.is_match(name));
    let own = facts.properties.get(name).into_iter().flatten();
    let by_pattern = facts.pattern_properties.iter().filter(|(pattern, _)| matches(pattern));
    let mut term: Term =
        own.chain(by_pattern.flat_map(|(_, places)| places)).cloned().map(Atom::whole).collect();
    for shape in &facts.objects {
        let named = shape.names.is_some_and(|names| names.contains_key(name));
        if !named && !shape.patterns.iter().any(|pattern| matches(pattern)) {
            term.push(Atom::whole(shape.additional.clone()));
        }
    }
    term.sort();
    term.dedup();
    term
}

/// The schemas of properties that nothing names.
fn rest_of(facts: &Facts<'_>) -> Term {
    let mut term: Term = facts.objects.iter().map(|shape| Atom::whole(shape.additional.clone())).collect();
    term.sort();
    term.dedup();
    term
}

fn hidden(direction: Direction, name: &str) -> (&'static str, String) {
    match direction {
        Direction::Request => (
            "property-became-read-only",
            format!("the property `{name}` of {{}} is now read-only; callers that send it are refused"),
        ),
        Direction::Response => (
            "property-became-write-only",
            format!("the property `{name}` of {{}} is now write-only; readers that use it lose it"),
        ),
    }
}

fn unhidden(direction: Direction, name: &str, is_required: bool) -> (&'static str, String) {
    let required = if is_required { ", and required" } else { "" };
    match direction {
        Direction::Request => (
            "property-became-not-read-only",
            format!("the property `{name}` of {{}} may now be sent{required}: it is no longer read-only"),
        ),
        Direction::Response => (
            "property-became-not-write-only",
            format!("the property `{name}` of {{}} is now answered{required}: it is no longer write-only"),
        ),
    }
}
