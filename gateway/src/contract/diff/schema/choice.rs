//! What differs in `anyOf` and `oneOf`?
//!
//! Alternatives are taken apart: the side that must be contained is looked at alternative by alternative, each
//! against its counterpart on the other side, together with everything that holds around them.

use serde_json::Value;

use super::super::super::source::At;
use super::super::finding::Effect;
use super::super::report::Level;
use super::facts::{Choice, Facts};
use super::object;
use super::term::{Atom, Term, Version, Word};
use super::types::Types;
use super::{Local, Sense, number};

/// The two sides by what is asked: the inner one must be contained in the outer one.
struct Sides {
    inner: Term,
    outer: Term,
}

impl<'s> Local<'_, 's> {
    /// Takes alternatives apart; whether that says all there is to say.
    pub(super) fn is_decided_by_alternatives(&mut self) -> bool {
        let (inner, outer) = self.different_choices();
        let sides = self.sides();
        match (inner.first(), outer.first()) {
            (None, None) => false,
            (Some(choice), None) => {
                self.only_inside(choice, &sides);
                true
            }
            (None, Some(choice)) => self.only_outside(choice, &sides),
            (Some(choice), Some(_)) => {
                let other = outer.iter().find(|other| other.word == choice.word).or_else(|| outer.first());
                if let Some(other) = other {
                    self.both_sides(choice, other, &sides);
                }
                true
            }
        }
    }

    /// The alternatives of the inner and of the outer side that do not stand on both alike.
    fn different_choices(&self) -> (Vec<Choice>, Vec<Choice>) {
        let list = |choice: &Choice| choice.of.key(choice.word.as_str());
        let is_on = |choices: &[Choice], own: &Choice, old_first: bool| {
            choices.iter().filter(|other| other.word == own.word).any(|other| match old_first {
                true => self.are_same(&list(own), &list(other)),
                false => self.are_same(&list(other), &list(own)),
            })
        };
        let old: Vec<Choice> =
            self.old.choices.iter().filter(|own| !is_on(&self.new.choices, own, true)).cloned().collect();
        let new: Vec<Choice> =
            self.new.choices.iter().filter(|own| !is_on(&self.old.choices, own, false)).cloned().collect();
        match self.sense {
            Sense::OldInNew => (old, new),
            Sense::NewInOld => (new, old),
        }
    }

    fn sides(&self) -> Sides {
        let (old, new) = (self.old.term.clone(), self.new.term.clone());
        match self.sense {
            Sense::OldInNew => Sides { inner: old, outer: new },
            Sense::NewInOld => Sides { inner: new, outer: old },
        }
    }

    const fn inner_version(&self) -> Version<'s> {
        match self.sense {
            Sense::OldInNew => self.schemas.old,
            Sense::NewInOld => self.schemas.new,
        }
    }

    const fn outer_version(&self) -> Version<'s> {
        match self.sense {
            Sense::OldInNew => self.schemas.new,
            Sense::NewInOld => self.schemas.old,
        }
    }

    fn lead_inner_outer(&mut self, inner: Term, outer: Term) {
        let (old, new) = self.in_order(inner, outer);
        self.lead(None, old, new);
    }

    fn proves_inner_outer(&mut self, inner: Term, outer: Term) -> bool {
        let (old, new) = self.in_order(inner, outer);
        self.proves(old, new, self.sense)
    }

    fn in_order<T>(&self, inner: T, outer: T) -> (T, T) {
        match self.sense {
            Sense::OldInNew => (inner, outer),
            Sense::NewInOld => (outer, inner),
        }
    }

    /// Only what must be contained has alternatives: each of them must be.
    fn only_inside(&mut self, choice: &Choice, sides: &Sides) {
        let at = choice.of.key(choice.word.as_str());
        let of_objects = choice.branches.iter().filter(|branch| {
            let term = [Atom::whole((*branch).clone())];
            Facts::new(self.inner_version(), &term, self.direction).types == Types::OBJECT
        });
        // A reader that knows one kind of object has to learn to tell several apart.
        let is_new_union = self.sense == Sense::NewInOld && of_objects.count() > 1;
        let (rule, level, text) = match self.sense {
            Sense::OldInNew => (
                removed(choice.word),
                Level::Compatible,
                "{} no longer has to be one of several alternatives",
            ),
            Sense::NewInOld if is_new_union => (
                added(choice.word),
                Level::Breaking,
                "{} is now one of several kinds of objects, which readers must tell apart",
            ),
            Sense::NewInOld => {
                (added(choice.word), Level::Compatible, "{} is now one of several alternatives")
            }
        };
        let (old, new) = self.in_order(Some(at), None);
        self.tell(rule, Effect::Is(level), old, new, text.to_owned());
        for branch in &choice.branches {
            let inner = self.inner_version().choose(&sides.inner, &choice.of, choice.word, branch.clone());
            self.lead_inner_outer(inner, sides.outer.clone());
        }
    }

    /// Only what must contain has alternatives: one of them must contain it.
    fn only_outside(&mut self, choice: &Choice, sides: &Sides) -> bool {
        let at = choice.of.key(choice.word.as_str());
        let (old, new) = self.in_order(None, Some(at));
        let rule = match self.sense {
            Sense::OldInNew => added(choice.word),
            Sense::NewInOld => removed(choice.word),
        };
        for branch in &choice.branches {
            let outer = self.outer_version().choose(&sides.outer, &choice.of, choice.word, branch.clone());
            if self.proves_inner_outer(sides.inner.clone(), outer.clone()) {
                let text = match self.sense {
                    Sense::OldInNew => {
                        "{} is now one of several alternatives, and what was right before fits one of them"
                    }
                    Sense::NewInOld => "{} is now always one of the alternatives that it had",
                };
                self.tell(rule, Effect::Is(Level::Compatible), old, new, text.to_owned());
                self.lead_inner_outer(sides.inner.clone(), outer);
                if choice.word == Word::OneOf {
                    self.exclusive(choice, branch, &sides.inner, &[]);
                }
                return true;
            }
        }
        let text = match self.sense {
            Sense::OldInNew => "{} must now fit one of several alternatives",
            Sense::NewInOld => "{} is no longer one of several alternatives",
        };
        let effect = match self.sense {
            Sense::OldInNew => Effect::Narrower,
            Sense::NewInOld => Effect::Wider,
        };
        self.tell(rule, effect, old, new, text.to_owned());
        false
    }

    /// Both have alternatives: each inner one needs an outer one that contains it.
    fn both_sides(&mut self, inner: &Choice, outer: &Choice, sides: &Sides) {
        let pairs = self.counterparts(inner, outer, sides);
        let named = |at: Option<&At>, this: &Self, version: Version<'_>| {
            at.map_or_else(String::new, |at| this.branch_name(version, at))
        };
        for (branch, other) in &pairs {
            let term = self.inner_version().choose(&sides.inner, &inner.of, inner.word, branch.clone());
            let Some(other) = other else {
                let rule = match self.sense {
                    Sense::OldInNew => branch_removed(inner.word),
                    Sense::NewInOld => branch_added(inner.word),
                };
                let name = named(Some(branch), self, self.inner_version());
                let text = match self.sense {
                    Sense::OldInNew => format!("{{}} can no longer be {name}"),
                    Sense::NewInOld => {
                        format!("{{}} can now also be {name}, which readers do not know")
                    }
                };
                let (old, new) = self.in_order(Some(branch.clone()), None);
                self.tell(rule, Effect::Is(Level::Breaking), old, new, text);
                continue;
            };
            let outer_term = self.outer_version().choose(&sides.outer, &outer.of, outer.word, other.clone());
            self.lead_inner_outer(term.clone(), outer_term);
            if outer.word == Word::OneOf {
                // Only what fits one alternative alone was right before.
                let known = if inner.word == Word::OneOf { pairs.as_slice() } else { &[] };
                self.exclusive(outer, other, &term, known);
            }
        }
        for branch in
            outer.branches.iter().filter(|at| !pairs.iter().any(|(_, other)| other.as_ref() == Some(*at)))
        {
            let rule = match self.sense {
                Sense::OldInNew => branch_added(outer.word),
                Sense::NewInOld => branch_removed(outer.word),
            };
            let name = named(Some(branch), self, self.outer_version());
            let text = match self.sense {
                Sense::OldInNew => format!("{{}} can now also be {name}"),
                Sense::NewInOld => format!("{{}} will no longer be {name}"),
            };
            let (old, new) = self.in_order(None, Some(branch.clone()));
            self.tell(rule, Effect::Is(Level::Compatible), old, new, text);
        }
    }

    /// For each inner alternative the outer one that stands for it, if there is one.
    fn counterparts(&mut self, inner: &Choice, outer: &Choice, sides: &Sides) -> Vec<(At, Option<At>)> {
        let mut pairs: Vec<(At, Option<At>)> = inner.branches.iter().map(|at| (at.clone(), None)).collect();
        let mut free = outer.branches.clone();
        let same = |this: &Self, inner: &At, outer: &At| match this.sense {
            Sense::OldInNew => this.are_same(inner, outer),
            Sense::NewInOld => this.are_same(outer, inner),
        };
        let named = |this: &Self, inner: &At, outer: &At| {
            let name = this.reference(this.inner_version(), inner);
            name.is_some() && name == this.reference(this.outer_version(), outer)
        };
        for by_name in [false, true] {
            for (branch, other) in pairs.iter_mut().filter(|(_, other)| other.is_none()) {
                let rule = |at: &At| if by_name { named(self, branch, at) } else { same(self, branch, at) };
                if let Some(n) = free.iter().position(rule) {
                    *other = Some(free.remove(n));
                }
            }
        }
        for (branch, other) in pairs.iter_mut().filter(|(_, other)| other.is_none()) {
            let term = self.inner_version().choose(&sides.inner, &inner.of, inner.word, branch.clone());
            // An alternative may take in several, so those that have a counterpart are tried too.
            for candidate in free.iter().chain(&outer.branches) {
                let outer_term =
                    self.outer_version().choose(&sides.outer, &outer.of, outer.word, candidate.clone());
                if self.proves_inner_outer(term.clone(), outer_term) {
                    *other = Some(candidate.clone());
                    break;
                }
            }
            free.retain(|at| other.as_ref() != Some(at));
        }
        self.last_resort(&mut pairs, free);
        pairs
    }

    /// When one alternative is left over on each side, and both describe values of one kind, one became the other.
    fn last_resort(&self, pairs: &mut [(At, Option<At>)], free: Vec<At>) {
        let [other] = free.as_slice() else { return };
        let mut open = pairs.iter_mut().filter(|(_, other)| other.is_none());
        let (Some((branch, slot)), None) = (open.next(), open.next()) else { return };
        let types = |version: Version<'_>, at: &At| {
            Facts::new(version, &[Atom::whole(at.clone())], self.direction).types
        };
        let named = self.reference(self.inner_version(), branch).is_some()
            && self.reference(self.outer_version(), other).is_some();
        if !named && types(self.inner_version(), branch).meets(types(self.outer_version(), other)) {
            *slot = Some(other.clone());
        }
    }

    /// Whether what fits `chosen` fits no other alternative of a `oneOf`; tells if that is not certain.
    fn exclusive(&mut self, outer: &Choice, chosen: &At, inner: &Term, pairs: &[(At, Option<At>)]) {
        let own = Facts::new(self.inner_version(), inner, self.direction);
        for other in outer.branches.iter().filter(|at| *at != chosen) {
            let term = vec![Atom::whole(other.clone())];
            let facts = Facts::new(self.outer_version(), &term, self.direction);
            if are_disjoint(self.inner_version(), &own, self.outer_version(), &facts, self.direction) {
                continue;
            }
            // What did not fit the old counterpart of the other alternative does not fit that, if it did not grow.
            let before: Vec<At> =
                pairs.iter().filter(|(_, to)| to.as_ref() == Some(other)).map(|(at, _)| at.clone()).collect();
            let grew = before.first().is_none_or(|before| {
                let (old, new) = self.in_order(vec![Atom::whole(before.clone())], term.clone());
                !self.proves(old, new, self.sense.turned())
            });
            if grew {
                let (rule, text) = (
                    "one-of-overlap",
                    "{} may fit two alternatives of which it may fit only one; whether it does is undecided",
                );
                let (old, new) = self.in_order(before.first().cloned(), Some(other.clone()));
                self.tell(rule, Effect::Undecided, old, new, text.to_owned());
                return;
            }
        }
    }

    /// What an alternative refers to, when it is nothing but a reference.
    fn reference(&self, version: Version<'_>, at: &At) -> Option<String> {
        version.value(at)?.get("$ref").and_then(Value::as_str).map(str::to_owned)
    }

    fn branch_name(&self, version: Version<'_>, at: &At) -> String {
        if let Some(reference) = self.reference(version, at) {
            let name = reference.rsplit(['/', '#']).next().unwrap_or_default();
            return format!("`{name}`");
        }
        let title = version.value(at).and_then(|value| value.get("title")).and_then(Value::as_str);
        let facts = Facts::new(version, &[Atom::whole(at.clone())], self.direction);
        title.map_or_else(|| facts.types.words(), |title| format!("`{title}`"))
    }
}

/// Whether no value fits both.
fn are_disjoint(
    one_version: Version<'_>,
    one: &Facts<'_>,
    other_version: Version<'_>,
    other: &Facts<'_>,
    direction: super::super::super::direction::Direction,
) -> bool {
    let types = one.types.and(other.types);
    if types.is_none() {
        return true;
    }
    if let (Some((values, _)), Some((others, _))) = (&one.values, &other.values)
        && !values.iter().any(|value| others.iter().any(|other| number::equal(value, other)))
    {
        return true;
    }
    if types != Types::OBJECT {
        return false;
    }
    let needed = one.required.keys().chain(other.required.keys());
    needed.into_iter().any(|name| {
        let of = |version, facts: &Facts<'_>| -> (Types, Option<Vec<Value>>) {
            let facts = Facts::new(version, &object::property(facts, name), direction);
            let values = facts.values.map(|(values, _)| values.into_iter().cloned().collect());
            (facts.types, values)
        };
        let (own_types, own_values) = of(one_version, one);
        let (other_types, other_values) = of(other_version, other);
        let share = |values: Vec<Value>, others: Vec<Value>| {
            values.iter().any(|value| others.iter().any(|other| number::equal(value, other)))
        };
        let apart = own_values.zip(other_values).is_some_and(|(values, others)| !share(values, others));
        apart || own_types.and(other_types).is_none()
    })
}

const fn added(word: Word) -> &'static str {
    match word {
        Word::AnyOf => "any-of-added",
        Word::OneOf => "one-of-added",
    }
}

const fn removed(word: Word) -> &'static str {
    match word {
        Word::AnyOf => "any-of-removed",
        Word::OneOf => "one-of-removed",
    }
}

const fn branch_added(word: Word) -> &'static str {
    match word {
        Word::AnyOf => "any-of-branch-added",
        Word::OneOf => "one-of-branch-added",
    }
}

const fn branch_removed(word: Word) -> &'static str {
    match word {
        Word::AnyOf => "any-of-branch-removed",
        Word::OneOf => "one-of-branch-removed",
    }
}
