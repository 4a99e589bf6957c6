//! What differs in the words that constrain nothing, and that readers and generators of code rely on?

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::super::super::source::At;
use super::super::finding::Effect;
use super::super::lifecycle;
use super::super::report::Level;
use super::facts::Facts;
use super::term::Version;
use super::values::show;
use super::{Local, Sense};

/// The value of a word, and where it stands.
type Said = Option<(Value, At)>;

impl Local<'_, '_> {
    pub(super) fn annotations(&mut self) {
        self.default_value();
        self.deprecated();
        self.sunset();
        self.stability();
        self.contents();
        self.discriminator();
        self.extensible();
    }

    /// The word of one side, from whichever schema of its term says it.
    fn word<'v>(version: Version<'v>, facts: &Facts<'_>, word: &str) -> Option<(&'v Value, At)> {
        facts.term.iter().find_map(|atom| Some((version.value(&atom.at)?.get(word)?, atom.at.key(word))))
    }

    fn words(&self, word: &str) -> (Said, Said) {
        let owned = |found: Option<(&Value, At)>| found.map(|(value, at)| (value.clone(), at));
        let old = Self::word(self.schemas.old, &self.old, word);
        let new = Self::word(self.schemas.new, &self.new, word);
        (owned(old), owned(new))
    }

    fn default_value(&mut self) {
        let (old, new) = self.words("default");
        let (rule, text) = match (&old, &new) {
            (None, None) => return,
            (Some((before, _)), Some((after, _))) if before == after => return,
            (None, Some((after, _))) => {
                ("default-added", format!("{{}} now has the default {}", show(after)))
            }
            (Some((before, _)), None) => {
                ("default-removed", format!("{{}} no longer has the default {}", show(before)))
            }
            (Some((before, _)), Some((after, _))) => (
                "default-changed",
                format!("the default of {{}} changes from {} to {}", show(before), show(after)),
            ),
        };
        // Who leaves it out may get something else; nobody is refused.
        let level = match self.sense {
            Sense::OldInNew => Level::PossiblyBreaking,
            Sense::NewInOld => Level::Compatible,
        };
        self.tell(rule, Effect::Is(level), old.map(|(_, at)| at), new.map(|(_, at)| at), text);
    }

    fn deprecated(&mut self) {
        let (old, new) = self.words("deprecated");
        let is_set = |found: &Said| matches!(found, Some((Value::Bool(true), _)));
        let (was, is) = (is_set(&old), is_set(&new));
        let (rule, text) = match (was, is) {
            (false, true) => ("schema-deprecated", "{} is now deprecated"),
            (true, false) => ("schema-reactivated", "{} is no longer deprecated"),
            _ => return,
        };
        let (old, new) = (old.map(|(_, at)| at), new.map(|(_, at)| at));
        self.tell(rule, Effect::Is(Level::Compatible), old, new, text.to_owned());
    }

    fn sunset(&mut self) {
        let find = |version: Version<'_>, facts: &Facts<'_>| {
            facts.term.iter().find_map(|atom| lifecycle::dated(version, &atom.at))
        };
        let (was, is) = (find(self.schemas.old, &self.old), find(self.schemas.new, &self.new));
        if let Some((rule, level, text)) = lifecycle::moved(was.as_ref(), is.as_ref(), self.schemas.now) {
            self.tell(rule, Effect::Is(level), was.map(|dated| dated.at), is.map(|dated| dated.at), text);
        }
    }

    fn stability(&mut self) {
        let (old, new) = self.words(lifecycle::STABILITY);
        let word = |said: &Said| said.as_ref().and_then(|(value, _)| value.as_str().map(str::to_owned));
        if let Some((rule, level, text)) = lifecycle::steadied(word(&old).as_deref(), word(&new).as_deref()) {
            self.tell(rule, Effect::Is(level), old.map(|(_, at)| at), new.map(|(_, at)| at), text);
        }
    }

    /// How texts are encoded is not checked, but readers decode by it.
    fn contents(&mut self) {
        for (word, rule) in [
            ("contentEncoding", "content-encoding-changed"),
            ("contentMediaType", "content-media-type-changed"),
            ("contentSchema", "content-schema-changed"),
        ] {
            let (old, new) = self.words(word);
            let same = match (&old, &new) {
                (None, None) => true,
                (Some((before, was)), Some((after, is))) if word == "contentSchema" => {
                    before == after && self.are_same(was, is)
                }
                (Some((before, _)), Some((after, _))) => before == after,
                _ => false,
            };
            if !same {
                let said = |found: &Said| match found {
                    Some((value, _)) if value.is_string() => show(value),
                    Some(_) => "a schema".to_owned(),
                    None => "none".to_owned(),
                };
                let text = format!("the `{word}` of {{}} changes from {} to {}", said(&old), said(&new));
                let (old, new) = (old.map(|(_, at)| at), new.map(|(_, at)| at));
                self.tell(rule, Effect::Is(Level::PossiblyBreaking), old, new, text);
            }
        }
    }

    fn discriminator(&mut self) {
        let (old, new) = self.words("discriminator");
        match (old, new) {
            (None, None) => {}
            (None, Some((_, at))) => {
                let level = match self.sense {
                    Sense::OldInNew => Level::PossiblyBreaking,
                    Sense::NewInOld => Level::Compatible,
                };
                let text =
                    "a discriminator is added to {}: one of its properties now tells what it is".to_owned();
                self.tell("discriminator-added", Effect::Is(level), None, Some(at), text);
            }
            (Some((_, at)), None) => {
                let level = match self.sense {
                    Sense::OldInNew => Level::Compatible,
                    Sense::NewInOld => Level::PossiblyBreaking,
                };
                let text =
                    "the discriminator of {} is removed: no property tells any more what it is".to_owned();
                self.tell("discriminator-removed", Effect::Is(level), Some(at), None, text);
            }
            (Some((before, was)), Some((after, is))) => self.discriminators(&before, &was, &after, &is),
        }
    }

    fn discriminators(&mut self, before: &Value, was: &At, after: &Value, is: &At) {
        let name =
            |value: &Value| value.get("propertyName").and_then(Value::as_str).unwrap_or_default().to_owned();
        let places = || (Some(was.clone()), Some(is.clone()));
        let (from, to) = (name(before), name(after));
        if from != to {
            let text = format!("the property that tells what {{}} is changes from `{from}` to `{to}`");
            let (old, new) = places();
            self.tell("discriminator-property-changed", Effect::Other, old, new, text);
        }
        let empty = Map::new();
        let mapping = |value: &'_ Value| value.get("mapping").and_then(Value::as_object).cloned();
        let (old, new) = (mapping(before).unwrap_or_else(|| empty.clone()), mapping(after).unwrap_or(empty));
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for key in keys {
            let here = |at: &At| at.key("mapping").key(key);
            let (rule, narrows, text) = match (old.get(key), new.get(key)) {
                (Some(_), None) => {
                    ("discriminator-mapping-removed", true, format!("`{key}` no longer tells what {{}} is"))
                }
                (None, Some(_)) => {
                    ("discriminator-mapping-added", false, format!("`{key}` now tells what {{}} is"))
                }
                (Some(before), Some(after)) if before != after => (
                    "discriminator-mapping-changed",
                    true,
                    format!("`{key}` now stands for another schema of {{}}"),
                ),
                _ => continue,
            };
            let certain = matches!((self.sense, narrows), (Sense::OldInNew, false) | (Sense::NewInOld, true));
            let level = match certain && rule != "discriminator-mapping-changed" {
                true => Level::Compatible,
                false => Level::PossiblyBreaking,
            };
            let old_at = old.contains_key(key).then(|| here(was));
            let new_at = new.contains_key(key).then(|| here(is));
            self.tell(rule, Effect::Is(level), old_at, new_at, text);
        }
    }

    /// `x-extensible-enum` of the guidelines of Zalando: values that are known now, with more to come.
    fn extensible(&mut self) {
        let (old, new) = self.words("x-extensible-enum");
        let list = |found: &Said| {
            found.as_ref().and_then(|(value, _)| value.as_array().cloned()).unwrap_or_default()
        };
        let (was, is) = (list(&old), list(&new));
        let (old, new) = (old.map(|(_, at)| at), new.map(|(_, at)| at));
        for value in was.iter().filter(|value| !is.contains(value) && new.is_some()) {
            let level = match self.sense {
                Sense::OldInNew => Level::PossiblyBreaking,
                Sense::NewInOld => Level::Compatible,
            };
            let text = format!("{{}} is no longer said to be {}", show(value));
            self.tell("extensible-enum-value-removed", Effect::Is(level), old.clone(), new.clone(), text);
        }
        for value in is.iter().filter(|value| !was.contains(value) && old.is_some()) {
            let text = format!("{{}} may now also be {}", show(value));
            self.tell(
                "extensible-enum-value-added",
                Effect::Is(Level::Compatible),
                old.clone(),
                new.clone(),
                text,
            );
        }
    }
}
