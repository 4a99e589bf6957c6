//! What differs in `not`, in `if`, and in what depends on what others looked at?

use super::super::super::source::At;
use super::super::finding::Effect;
use super::facts::Facts;
use super::term::Atom;
use super::{Local, Sense};

impl Local<'_, '_> {
    /// `not`, `if` and the words that depend on what others looked at.
    pub(super) fn compositions(&mut self) {
        self.nots();
        self.conditions();
        self.unevaluated();
    }

    fn nots(&mut self) {
        let (mut old, mut new) = (self.old.nots.clone(), self.new.nots.clone());
        new.retain(|at| match old.iter().position(|other| self.are_same(other, at)) {
            Some(n) => {
                old.remove(n);
                false
            }
            None => true,
        });
        if let ([was], [is]) = (old.as_slice(), new.as_slice()) {
            let term = |at: &At| vec![Atom::whole(at.clone())];
            let less = self.proves(term(was), term(is), Sense::NewInOld);
            let more = self.proves(term(was), term(is), Sense::OldInNew);
            let effect = match (less, more) {
                (true, true) => return,
                (true, false) => Effect::Wider,
                (false, true) => Effect::Narrower,
                (false, false) => Effect::Undecided,
            };
            let text = "what {} must not be changes".to_owned();
            return self.tell("not-changed", effect, Some(was.clone()), Some(is.clone()), text);
        }
        for at in new {
            let text = "{} must now not fit a further schema".to_owned();
            self.tell("not-added", Effect::Narrower, None, Some(at), text);
        }
        for at in old {
            let text = "{} may now fit a schema that it must not fit before".to_owned();
            self.tell("not-removed", Effect::Wider, Some(at), None, text);
        }
    }

    fn conditions(&mut self) {
        let (mut old, mut new) = (self.old.conditions.clone(), self.new.conditions.clone());
        let words = ["if", "then", "else"];
        let same = |this: &Self, was: &At, is: &At| {
            words.iter().all(|word| {
                let (was, is) = (was.key(word), is.key(word));
                let (is_there, was_there) =
                    (this.schemas.new.value(&is).is_some(), this.schemas.old.value(&was).is_some());
                is_there == was_there && (!is_there || this.are_same(&was, &is))
            })
        };
        new.retain(|is| match old.iter().position(|was| same(self, was, is)) {
            Some(n) => {
                old.remove(n);
                false
            }
            None => true,
        });
        if let ([was], [is]) = (old.as_slice(), new.as_slice()) {
            return self.condition(&was.clone(), &is.clone());
        }
        for at in new {
            let text = "a condition is added to {}".to_owned();
            self.tell("if-added", Effect::Narrower, None, Some(at.key("if")), text);
        }
        for at in old {
            let text = "a condition of {} is removed".to_owned();
            self.tell("if-removed", Effect::Wider, Some(at.key("if")), None, text);
        }
    }

    /// One condition on each side.
    fn condition(&mut self, was: &At, is: &At) {
        if !self.are_same(&was.key("if"), &is.key("if")) {
            let text = "the condition of {} changes; what that does is undecided".to_owned();
            return self.tell("if-changed", Effect::Undecided, Some(was.key("if")), Some(is.key("if")), text);
        }
        for (word, added, removed) in
            [("then", "then-added", "then-removed"), ("else", "else-added", "else-removed")]
        {
            let before = Some(was.key(word)).filter(|at| self.schemas.old.value(at).is_some());
            let after = Some(is.key(word)).filter(|at| self.schemas.new.value(at).is_some());
            match (before, after) {
                (None, None) => {}
                (None, after) => {
                    let text = format!("{{}} has a further condition (`{word}`)");
                    self.tell(added, Effect::Narrower, None, after, text);
                }
                (before, None) => {
                    let text = format!("{{}} has one condition less (`{word}`)");
                    self.tell(removed, Effect::Wider, before, None, text);
                }
                (Some(before), Some(after)) => {
                    self.lead(None, vec![Atom::whole(before)], vec![Atom::whole(after)]);
                }
            }
        }
    }

    /// What these words forbid depends on all that stands beside them, so any difference there matters.
    fn unevaluated(&mut self) {
        for word in ["unevaluatedProperties", "unevaluatedItems"] {
            let find = |facts: &Facts<'_>| {
                facts.unevaluated.iter().find(|(own, _)| *own == word).map(|(_, at)| at.clone())
            };
            let (old, new) = (find(&self.old), find(&self.new));
            let (rules, what) = match word {
                "unevaluatedProperties" => (
                    [
                        "unevaluated-properties-added",
                        "unevaluated-properties-removed",
                        "unevaluated-properties-changed",
                    ],
                    "properties",
                ),
                _ => (
                    ["unevaluated-items-added", "unevaluated-items-removed", "unevaluated-items-changed"],
                    "items",
                ),
            };
            let [added, removed, changed] = rules;
            match (&old, &new) {
                (None, None) => {}
                (None, Some(_)) => {
                    let text = format!("{what} of {{}} that nothing describes are now restricted");
                    self.tell(added, Effect::Narrower, old, new, text);
                }
                (Some(_), None) => {
                    let text = format!("{what} of {{}} that nothing describes are no longer restricted");
                    self.tell(removed, Effect::Wider, old, new, text);
                }
                (Some(_), Some(_)) => {
                    let text = format!(
                        "{what} of {{}} that nothing describes are restricted, and what describes them changed; what that \
                         does is undecided"
                    );
                    self.tell(changed, Effect::Undecided, old, new, text);
                }
            }
        }
    }
}
