//! Would a schema accept this one value? For listed values, which are few and mostly texts and numbers.
//!
//! It says nothing where it is not sure: formats, words for objects and lists, patterns over more than ASCII.

use std::cmp::Ordering;

use regex::Regex;
use serde_json::Value;

use super::super::super::direction::Direction;
use super::facts::{Choice, Facts};
use super::number;
use super::term::{Atom, Version, Word};
use super::types::Types;

/// Whether the schema of these facts accepts `value`; nothing if it could not be told.
pub(super) fn accepts(
    version: Version<'_>,
    facts: &Facts<'_>,
    value: &Value,
    direction: Direction,
) -> Option<bool> {
    judge(version, facts, value, direction, DEPTH_MAX)
}

fn judge(
    version: Version<'_>,
    facts: &Facts<'_>,
    value: &Value,
    direction: Direction,
    depth: usize,
) -> Option<bool> {
    if !facts.types.meets(Types::of(value)) {
        return Some(false);
    }
    if let Some((values, _)) = &facts.values
        && !values.iter().any(|own| number::equal(own, value))
    {
        return Some(false);
    }
    let depth = depth.checked_sub(1)?;
    let mut verdicts = vec![
        Some(facts.broken.is_empty() && facts.opaque.is_empty() && facts.conditions.is_empty())
            .filter(|v| *v),
        match value {
            Value::Number(_) => in_bounds(facts, value),
            Value::String(text) => is_formed(facts, text),
            Value::Array(_) | Value::Object(_) => None,
            Value::Null | Value::Bool(_) => Some(true),
        },
    ];
    for not in &facts.nots {
        let inner = Facts::new(version, &[Atom::whole(not.clone())], direction);
        verdicts.push(judge(version, &inner, value, direction, depth).map(|verdict| !verdict));
    }
    for choice in &facts.choices {
        verdicts.push(chosen(version, choice, value, direction, depth));
    }
    if verdicts.contains(&Some(false)) {
        return Some(false);
    }
    verdicts.into_iter().collect::<Option<Vec<bool>>>().map(|_all| true)
}

fn chosen(
    version: Version<'_>,
    choice: &Choice,
    value: &Value,
    direction: Direction,
    depth: usize,
) -> Option<bool> {
    let verdicts: Vec<Option<bool>> = choice
        .branches
        .iter()
        .map(|branch| {
            let inner = Facts::new(version, &[Atom::whole(branch.clone())], direction);
            judge(version, &inner, value, direction, depth)
        })
        .collect();
    let count = |verdict: Option<bool>| verdicts.iter().filter(|own| **own == verdict).count();
    let (fits, unsure) = (count(Some(true)), count(None));
    match choice.word {
        Word::AnyOf if fits > 0 => Some(true),
        Word::OneOf if fits > 1 => Some(false),
        _ if unsure > 0 => None,
        _ => Some(fits == 1),
    }
}

fn in_bounds(facts: &Facts<'_>, value: &Value) -> Option<bool> {
    let Value::Number(value) = value else { return None };
    let mut fits = true;
    for (bound, outside) in [(&facts.minimum, Ordering::Less), (&facts.maximum, Ordering::Greater)] {
        if let Some(bound) = bound {
            let order = number::compare(value, &bound.value)?;
            fits = fits && order != outside && !(bound.exclusive && order == Ordering::Equal);
        }
    }
    let divided = facts.multiples.iter().all(|(divisor, _)| number::divides(divisor, value));
    match (fits, divided) {
        (false, _) => Some(false),
        (true, true) => Some(true),
        // Only integers are divided exactly here.
        (true, false) => None,
    }
}

fn is_formed(facts: &Facts<'_>, text: &str) -> Option<bool> {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
    let size = |word: &str| facts.sizes.get(word).map(|(size, _)| *size);
    if size("minLength").is_some_and(|least| length < least)
        || size("maxLength").is_some_and(|most| length > most)
    {
        return Some(false);
    }
    for pattern in facts.patterns.keys() {
        // Character classes differ between engines beyond ASCII.
        if !text.is_ascii() || !pattern.is_ascii() {
            return None;
        }
        if !Regex::new(pattern).ok()?.is_match(text) {
            return Some(false);
        }
    }
    facts.formats.is_empty().then_some(true)
}

/// Deeper nesting of alternatives than people write by hand.
const DEPTH_MAX: usize = 8;
