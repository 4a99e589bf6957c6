//! What differs in the kinds, the listed values, the bounds and the forms of single values?

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::super::format;
use super::super::super::source::At;
use super::super::finding::Effect;
use super::super::report::Level;
use super::facts::{Bound, Facts};
use super::types::Types;
use super::{Local, Sense, accept, number};

impl Local<'_, '_> {
    /// When the side that must be contained lists its values, each of them is tried.
    pub(super) fn is_decided_by_values(&mut self) -> bool {
        let (inner, outer, version) = match self.sense {
            Sense::OldInNew => (&self.old, &self.new, self.schemas.new),
            Sense::NewInOld => (&self.new, &self.old, self.schemas.old),
        };
        if inner.types.is_none() {
            if !outer.types.is_none() {
                self.types();
            }
            return true;
        }
        let Some((values, _)) = &inner.values else { return false };
        let allowed = |facts: &Facts<'_>, value: &Value| facts.types.meets(Types::of(value));
        let values: Vec<Value> =
            values.iter().filter(|value| allowed(inner, value)).map(|value| (*value).clone()).collect();
        let mut refused = Vec::new();
        for value in values {
            match accept::accepts(version, outer, &value, self.direction) {
                Some(true) => {}
                Some(false) => refused.push(value),
                None => return false,
            }
        }
        self.listed(&refused);
        true
    }

    /// The differences between two lists of values; `refused` may break a caller.
    fn listed(&mut self, refused: &[Value]) {
        let at = |facts: &Facts<'_>| {
            facts.values.as_ref().map(|(_, at)| at.clone()).or_else(|| facts.types_at.clone())
        };
        let (old_at, new_at) = (at(&self.old), at(&self.new));
        let is_const = |at: &Option<At>| at.as_ref().is_some_and(|at| at.pointer.ends_with("/const"));
        let (old_lists, new_lists) = (self.old.values.is_some(), self.new.values.is_some());
        let (gone, come) = match self.sense {
            Sense::OldInNew => ("enum-value-removed", "enum-value-added"),
            Sense::NewInOld => ("enum-value-added", "enum-value-removed"),
        };
        if is_const(&old_at) && is_const(&new_at) && !refused.is_empty() {
            let text =
                format!("the fixed value of {{}} changes from {} to {}", shown(&self.old), shown(&self.new));
            return self.tell("const-changed", Effect::Other, old_at, new_at, text);
        }
        for value in refused {
            let verb = if gone == "enum-value-removed" { "no longer allows" } else { "may now be" };
            let text = match gone {
                "enum-value-removed" => format!("{{}} {verb} the value {}", show(value)),
                _ => format!("{{}} {verb} {}, which was not listed before", show(value)),
            };
            self.tell(gone, Effect::Is(Level::Breaking), old_at.clone(), new_at.clone(), text);
        }
        match (old_lists, new_lists) {
            (true, true) => {
                let (inner, outer) = match self.sense {
                    Sense::OldInNew => (&self.old, &self.new),
                    Sense::NewInOld => (&self.new, &self.old),
                };
                let list = |facts: &Facts<'_>| -> Vec<Value> {
                    facts
                        .values
                        .iter()
                        .flat_map(|(values, _)| values.iter().map(|value| (*value).clone()))
                        .collect()
                };
                let (inner, outer) = (list(inner), list(outer));
                let more =
                    outer.into_iter().filter(|value| !inner.iter().any(|own| number::equal(own, value)));
                for value in more.collect::<Vec<_>>() {
                    let what =
                        if come == "enum-value-added" { "may now also be" } else { "will no longer be" };
                    let text = format!("{{}} {what} {}", show(&value));
                    self.tell(come, Effect::Is(Level::Compatible), old_at.clone(), new_at.clone(), text);
                }
            }
            (true, false) => {
                let rule = if is_const(&old_at) { "const-removed" } else { "enum-removed" };
                let text = "the values of {} are no longer listed".to_owned();
                self.tell(rule, Effect::Is(Level::Compatible), old_at, new_at, text);
            }
            (false, true) => {
                let rule = if is_const(&new_at) { "const-added" } else { "enum-added" };
                let text = format!("{{}} is now one of {}", shown(&self.new));
                self.tell(rule, Effect::Is(Level::Compatible), old_at, new_at, text);
            }
            (false, false) => {}
        }
    }

    /// The kinds of values.
    pub(super) fn types(&mut self) {
        let (old, new) = (self.old.types, self.new.types);
        let (lost, gained) = (old.without(new), new.without(old));
        let places = (self.old.types_at.clone(), self.new.types_at.clone());
        let (rule, effect) = match (lost.is_none(), gained.is_none()) {
            (true, true) => return self.lists(),
            (false, true) if lost == Types::NULL => ("became-not-nullable", Effect::Narrower),
            (true, false) if gained == Types::NULL => ("became-nullable", Effect::Wider),
            (false, true) => ("type-narrowed", Effect::Narrower),
            (true, false) => ("type-widened", Effect::Wider),
            (false, false) => ("type-changed", Effect::Other),
        };
        let text = match rule {
            "became-not-nullable" => "{} can no longer be null".to_owned(),
            "became-nullable" => "{} can now be null".to_owned(),
            _ => format!("{{}} was {} and is now {}", old.words(), new.words()),
        };
        self.tell(rule, effect, places.0, places.1, text);
        self.lists();
    }

    /// A list of values on the side that need not be contained, or on one side only.
    fn lists(&mut self) {
        let at = |facts: &Facts<'_>| facts.values.as_ref().map(|(_, at)| at.clone());
        let (old, new) = (at(&self.old), at(&self.new));
        let word = |at: &At| {
            if at.pointer.ends_with("/const") { "const" } else { "enum" }
        };
        match (&old, &new) {
            (None, Some(at)) => {
                let rule = if word(at) == "const" { "const-added" } else { "enum-added" };
                let text = format!("{{}} is now one of {}", shown(&self.new));
                self.tell(rule, Effect::Narrower, old, new, text);
            }
            (Some(at), None) => {
                let rule = if word(at) == "const" { "const-removed" } else { "enum-removed" };
                let text = format!("{{}} is no longer one of {} only", shown(&self.old));
                self.tell(rule, Effect::Wider, old, new, text);
            }
            (Some(_), Some(_)) => self.both_listed(old, new),
            (None, None) => {}
        }
    }

    /// Both list values, and whether other words refuse one of them could not be told.
    fn both_listed(&mut self, old: Option<At>, new: Option<At>) {
        let list = |facts: &Facts<'_>| -> Vec<Value> {
            facts.values.iter().flat_map(|(values, _)| values.iter().map(|value| (*value).clone())).collect()
        };
        let (olds, news) = (list(&self.old), list(&self.new));
        let missing = |from: &[Value], value: &Value| !from.iter().any(|own| number::equal(own, value));
        for value in olds.iter().filter(|value| missing(&news, value)) {
            let text = format!("{{}} no longer allows the value {}", show(value));
            self.tell("enum-value-removed", Effect::Narrower, old.clone(), new.clone(), text);
        }
        for value in news.iter().filter(|value| missing(&olds, value)) {
            let text = format!("{{}} may now also be {}", show(value));
            self.tell("enum-value-added", Effect::Wider, old.clone(), new.clone(), text);
        }
    }

    /// Bounds and divisors.
    pub(super) fn numbers(&mut self) {
        if !self.both_may_be(Types::NUMBER) {
            return;
        }
        // More than 0 is at least 1 where there are no fractions.
        let whole = !self.both_may_be(Types::FRACTION);
        let bound = |bound: &Option<Bound>, lower: bool| match (bound, whole) {
            (Some(bound), true) => Some(number::inclusive(bound, lower)),
            (bound, _) => bound.clone(),
        };
        let (old, new) = (bound(&self.old.minimum, true), bound(&self.new.minimum, true));
        self.bounds(old, new, true);
        let (old, new) = (bound(&self.old.maximum, false), bound(&self.new.maximum, false));
        self.bounds(old, new, false);
        self.divisors();
    }

    pub(super) fn both_may_be(&self, types: Types) -> bool {
        self.old.types.and(self.new.types).meets(types)
    }

    fn bounds(&mut self, old: Option<Bound>, new: Option<Bound>, lower: bool) {
        let (effect, change) = match (&old, &new) {
            (None, None) => return,
            (None, Some(_)) => (Effect::Narrower, "added"),
            (Some(_), None) => (Effect::Wider, "removed"),
            (Some(before), Some(after)) => {
                let up = number::is_narrower(after, before, lower);
                if !up && !number::is_narrower(before, after, lower) {
                    if number::compare(&before.value, &after.value).is_some() {
                        return;
                    }
                    (Effect::Undecided, "changed")
                } else {
                    (
                        if up { Effect::Narrower } else { Effect::Wider },
                        if up == lower { "increased" } else { "decreased" },
                    )
                }
            }
        };
        let said = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.at.clone());
        let word =
            |bound: &Option<Bound>| bound.as_ref().and_then(|bound| keyword(&bound.at)).map(str::to_owned);
        let exclusive = [&new, &old].into_iter().find_map(word).unwrap_or_default();
        let rule = bound_rule(&exclusive, lower, change);
        let which = if lower { "least" } else { "greatest" };
        let number = |bound: &Option<Bound>| match bound {
            None => "none".to_owned(),
            Some(bound) if bound.exclusive && lower => format!("more than {}", bound.value),
            Some(bound) if bound.exclusive => format!("less than {}", bound.value),
            Some(bound) => bound.value.to_string(),
        };
        let text = format!("the {which} value of {{}} changes from {} to {}", number(&old), number(&new));
        self.tell(rule, effect, said(&old), said(&new), text);
    }

    fn divisors(&mut self) {
        let covered = |one: &Facts<'_>, other: &Facts<'_>| {
            one.multiples
                .iter()
                .find(|(divisor, _)| {
                    !other.multiples.iter().any(|(known, _)| number::divides(divisor, known))
                })
                .map(|(divisor, at)| ((*divisor).clone(), at.clone()))
        };
        let (more, less) = (covered(&self.new, &self.old), covered(&self.old, &self.new));
        let effect = match (&more, &less) {
            (None, None) => return,
            (Some(_), None) => Effect::Narrower,
            (None, Some(_)) => Effect::Wider,
            (Some(_), Some(_)) => Effect::Other,
        };
        let said = |facts: &Facts<'_>| match facts.multiples.first() {
            Some((divisor, _)) => format!("a multiple of {divisor}"),
            None => "any".to_owned(),
        };
        let text = format!("{{}} was {} and is now {}", said(&self.old), said(&self.new));
        let (old, new) = (less.map(|(_, at)| at), more.map(|(_, at)| at));
        self.tell("multiple-of-changed", effect, old, new, text);
    }

    /// Lengths, patterns and formats.
    pub(super) fn texts(&mut self) {
        if self.both_may_be(Types::STRING) {
            self.size("minLength", "the least length");
            self.size("maxLength", "the greatest length");
            let (old, new) = (owned(&self.old.patterns), owned(&self.new.patterns));
            let any = |patterns: BTreeMap<String, At>| -> BTreeMap<String, At> {
                patterns
                    .into_iter()
                    .filter(|(pattern, _)| !matches!(pattern.as_str(), "" | "^" | ".*"))
                    .collect()
            };
            self.forms("pattern", &any(old), &any(new));
        }
        let (old, new) = (owned(&self.old.formats), owned(&self.new.formats));
        self.forms("format", &old, &new);
    }

    /// The differences between two sets of patterns or formats.
    fn forms(&mut self, word: &'static str, old: &BTreeMap<String, At>, new: &BTreeMap<String, At>) {
        let apart = |one: &BTreeMap<String, At>, other: &BTreeMap<String, At>| -> Vec<(String, At)> {
            one.iter()
                .filter(|(form, _)| !other.contains_key(*form))
                .map(|(f, at)| (f.clone(), at.clone()))
                .collect()
        };
        let (gone, come) = (apart(old, new), apart(new, old));
        let list = |forms: &[(String, At)]| {
            forms.iter().map(|(form, _)| format!("`{form}`")).collect::<Vec<_>>().join(" and ")
        };
        let at = |forms: &[(String, At)]| forms.first().map(|(_, at)| at.clone());
        let vague = word == "format" && gone.iter().chain(&come).all(|(form, _)| format::says_nothing(form));
        let (rule, effect, text) = match (gone.is_empty(), come.is_empty()) {
            (true, true) => return,
            (true, false) => {
                (added(word), Effect::Narrower, format!("{{}} must now have the {word} {}", list(&come)))
            }
            (false, true) => {
                (removed(word), Effect::Wider, format!("{{}} need no longer have the {word} {}", list(&gone)))
            }
            (false, false) => (
                changed(word),
                if word == "format" { Effect::Other } else { Effect::Undecided },
                format!("the {word} of {{}} changes from {} to {}", list(&gone), list(&come)),
            ),
        };
        // Nothing checks these formats, but people and generators read them.
        let effect = if vague { Effect::Undecided } else { effect };
        self.tell(rule, effect, at(&gone), at(&come), text);
    }

    /// The difference between two sizes.
    pub(super) fn size(&mut self, word: &'static str, which: &str) {
        let (old, new) = (self.old.sizes.get(word).cloned(), self.new.sizes.get(word).cloned());
        self.sizes(word, which, old, new);
    }

    pub(super) fn sizes(&mut self, word: &str, which: &str, old: Option<(u64, At)>, new: Option<(u64, At)>) {
        let is_least = word.starts_with("min");
        let number = |size: &Option<(u64, At)>| size.as_ref().map(|(size, _)| *size);
        // No least size is the same as 0.
        let weight = |size: &Option<(u64, At)>| number(size).unwrap_or(if is_least { 0 } else { u64::MAX });
        let (before, after) = (weight(&old), weight(&new));
        if before == after {
            return;
        }
        let change = match (&old, &new) {
            (None, _) => "added",
            (_, None) => "removed",
            _ if after > before => "increased",
            _ => "decreased",
        };
        let effect = if (after > before) == is_least { Effect::Narrower } else { Effect::Wider };
        let said = |size: &Option<(u64, At)>| number(size).map_or("none".to_owned(), |size| size.to_string());
        let text = format!("{which} of {{}} changes from {} to {}", said(&old), said(&new));
        self.tell(size_rule(word, change), effect, old.map(|(_, at)| at), new.map(|(_, at)| at), text);
    }
}

fn owned(forms: &BTreeMap<&str, At>) -> BTreeMap<String, At> {
    forms.iter().map(|(form, at)| ((*form).to_owned(), at.clone())).collect()
}

/// The last token of a pointer, which is a keyword.
fn keyword(at: &At) -> Option<&str> {
    at.pointer.rsplit('/').next()
}

/// The listed values for a sentence.
fn shown(facts: &Facts<'_>) -> String {
    let Some((values, _)) = &facts.values else { return "any value".to_owned() };
    let listed: Vec<String> = values.iter().take(LISTED_MAX).map(|value| show(value)).collect();
    let more = if values.len() > LISTED_MAX { " and more" } else { "" };
    format!("{}{more}", listed.join(", "))
}

/// One value for a sentence.
pub(super) fn show(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN_MAX {
        return format!("`{text}`");
    }
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    format!("`{cut}…`")
}

fn added(word: &str) -> &'static str {
    if word == "format" { "format-added" } else { "pattern-added" }
}

fn removed(word: &str) -> &'static str {
    if word == "format" { "format-removed" } else { "pattern-removed" }
}

fn changed(word: &str) -> &'static str {
    if word == "format" { "format-changed" } else { "pattern-changed" }
}

fn bound_rule(word: &str, lower: bool, change: &str) -> &'static str {
    match (word, lower, change) {
        ("format", _, "added") => "format-added",
        ("format", _, "removed") => "format-removed",
        ("format", ..) => "format-changed",
        ("exclusiveMinimum", _, "added") => "exclusive-minimum-added",
        ("exclusiveMinimum", _, "removed") => "exclusive-minimum-removed",
        ("exclusiveMinimum", _, "increased") => "exclusive-minimum-increased",
        ("exclusiveMinimum", ..) => "exclusive-minimum-decreased",
        ("exclusiveMaximum", _, "added") => "exclusive-maximum-added",
        ("exclusiveMaximum", _, "removed") => "exclusive-maximum-removed",
        ("exclusiveMaximum", _, "increased") => "exclusive-maximum-increased",
        ("exclusiveMaximum", ..) => "exclusive-maximum-decreased",
        (_, true, "added") => "minimum-added",
        (_, true, "removed") => "minimum-removed",
        (_, true, "increased") => "minimum-increased",
        (_, true, _) => "minimum-decreased",
        (_, false, "added") => "maximum-added",
        (_, false, "removed") => "maximum-removed",
        (_, false, "increased") => "maximum-increased",
        (_, false, _) => "maximum-decreased",
    }
}

fn size_rule(word: &str, change: &str) -> &'static str {
    let rules = SIZE_RULES.iter().find(|(known, _)| *known == word).map(|(_, rules)| rules);
    let ends = |rule: &&&str| rule.ends_with(change);
    rules.and_then(|rules| rules.iter().find(ends)).copied().unwrap_or("size-changed")
}

const SIZE_RULES: [(&str, [&str; 4]); 8] = [
    ("minLength", ["min-length-added", "min-length-removed", "min-length-increased", "min-length-decreased"]),
    ("maxLength", ["max-length-added", "max-length-removed", "max-length-increased", "max-length-decreased"]),
    ("minItems", ["min-items-added", "min-items-removed", "min-items-increased", "min-items-decreased"]),
    ("maxItems", ["max-items-added", "max-items-removed", "max-items-increased", "max-items-decreased"]),
    (
        "minProperties",
        [
            "min-properties-added",
            "min-properties-removed",
            "min-properties-increased",
            "min-properties-decreased",
        ],
    ),
    (
        "maxProperties",
        [
            "max-properties-added",
            "max-properties-removed",
            "max-properties-increased",
            "max-properties-decreased",
        ],
    ),
    (
        "minContains",
        ["min-contains-added", "min-contains-removed", "min-contains-increased", "min-contains-decreased"],
    ),
    (
        "maxContains",
        ["max-contains-added", "max-contains-removed", "max-contains-increased", "max-contains-decreased"],
    ),
];
/// Values of a list that a sentence shows.
const LISTED_MAX: usize = 8;
/// Characters of one value that a sentence shows.
const SHOWN_MAX: usize = 40;
