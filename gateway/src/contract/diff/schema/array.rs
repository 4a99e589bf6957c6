//! What differs in the items of lists?

use super::super::super::source::At;
use super::super::finding::Effect;
use super::super::report::Level;
use super::facts::Facts;
use super::number;
use super::term::{Atom, Term, Version};
use super::types::Types;
use super::{Local, Step};

impl Local<'_, '_> {
    pub(super) fn arrays(&mut self) {
        if !self.both_may_be(Types::ARRAY) {
            return;
        }
        self.size("minItems", "the least number of items");
        self.size("maxItems", "the greatest number of items");
        let (old, new) = (self.old.unique.clone(), self.new.unique.clone());
        match (&old, &new) {
            (None, Some(_)) => {
                let text = "the items of {} must now differ from one another".to_owned();
                self.tell("unique-items-added", Effect::Narrower, old, new, text);
            }
            (Some(_), None) => {
                let text = "the items of {} may now repeat".to_owned();
                self.tell("unique-items-removed", Effect::Wider, old, new, text);
            }
            _ => {}
        }
        self.items();
        self.contained();
    }

    fn items(&mut self) {
        let longest =
            |facts: &Facts<'_>| facts.arrays.iter().map(|shape| shape.prefix.len()).max().unwrap_or(0);
        let (old, new) = (longest(&self.old), longest(&self.new));
        let place = |facts: &Facts<'_>| facts.arrays.iter().find_map(|shape| shape.prefix.first()).cloned();
        if old != new {
            let rule = if new > old { "prefix-items-added" } else { "prefix-items-removed" };
            let text = format!("the first {new} items of {{}} have schemas of their own; before, {old}");
            let (old_at, new_at) = (place(&self.old), place(&self.new));
            self.tell(rule, Effect::Is(Level::Compatible), old_at, new_at, text);
        }
        for n in 0..old.max(new) {
            let (was, is) = (item(&self.old, n), item(&self.new, n));
            self.lead(Some(Step::Item(n)), was, is);
        }
        let (was, is) = (item(&self.old, old.max(new)), item(&self.new, old.max(new)));
        if !(was.is_empty() && is.is_empty()) {
            self.lead(Some(Step::Items), was, is);
        }
    }

    /// `contains`: each of one side is looked for on the other.
    fn contained(&mut self) {
        let (old, new) = (self.old.contains.clone(), self.new.contains.clone());
        let mut left: Vec<At> = new;
        let mut gone = Vec::new();
        for at in old {
            let same =
                left.iter().position(|other| self.are_same(&at.key("contains"), &other.key("contains")));
            match same {
                Some(n) => {
                    let other = left.remove(n);
                    self.counts(&at, &other);
                }
                None => gone.push(at),
            }
        }
        let added = left.len();
        for (n, at) in left.into_iter().enumerate() {
            match gone.get(n).cloned() {
                Some(before) => {
                    let text = "{} must contain other items than before".to_owned();
                    let places = (Some(before.key("contains")), Some(at.key("contains")));
                    self.tell("contains-changed", Effect::Undecided, places.0, places.1, text);
                }
                None => {
                    let text = "{} must now contain certain items".to_owned();
                    self.tell("contains-added", Effect::Narrower, None, Some(at.key("contains")), text);
                }
            }
        }
        for at in gone.into_iter().skip(added) {
            let text = "{} need no longer contain certain items".to_owned();
            self.tell("contains-removed", Effect::Wider, Some(at.key("contains")), None, text);
        }
    }

    fn counts(&mut self, old: &At, new: &At) {
        let count = |version: Version<'_>, at: &At, word: &str, default: Option<u64>| {
            let written = version.value(&at.key(word)).and_then(number::size);
            written.or(default).map(|count| (count, at.key(word)))
        };
        for (word, which, default) in [
            ("minContains", "the least number of certain items", Some(1)),
            ("maxContains", "the greatest number of certain items", None),
        ] {
            let was = count(self.schemas.old, old, word, default);
            let is = count(self.schemas.new, new, word, default);
            self.sizes(word, which, was, is);
        }
    }
}

/// The schemas of the item at place `n`.
fn item(facts: &Facts<'_>, n: usize) -> Term {
    let schemas = facts.arrays.iter().filter_map(|shape| shape.prefix.get(n).or(shape.rest.as_ref()));
    let mut term: Term = schemas.cloned().map(Atom::whole).collect();
    term.sort();
    term.dedup();
    term
}
