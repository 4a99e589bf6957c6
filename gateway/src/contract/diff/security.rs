//! What differs in how callers prove themselves: alternatives, schemes and scopes?
//!
//! Who met one of the older alternatives must meet one of the newer ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::source::At;
use super::paths::Described;
use super::report::{Level, Side, Subject, SubjectKind};
use super::{Comparison, Flow, Places, Version, all_keys};

/// One alternative: schemes that are needed together, each with its scopes.
type Alternative = BTreeMap<String, BTreeSet<String>>;

impl Comparison<'_> {
    pub(super) fn security(&mut self, old: &Described, new: &Described) {
        if self.flow == Flow::Called {
            return;
        }
        let (before, old_at) = alternatives(self.old, old);
        let (after, new_at) = alternatives(self.new, new);
        let renamed = self.renamed_schemes();
        let before: Vec<Alternative> = before
            .into_iter()
            .map(|one| {
                one.into_iter()
                    .map(|(name, scopes)| (renamed.get(&name).cloned().unwrap_or(name), scopes))
                    .collect()
            })
            .collect();
        let places = Places::both(&old_at, &new_at);
        for one in &before {
            if !after.iter().any(|other| meets(one, other)) {
                let (rule, sentence) = refusal(one, &after);
                let subject = Subject::new(SubjectKind::Security).named(shown(one));
                self.tell(rule, Level::Breaking, Side::Request, subject, places, sentence);
            }
        }
        for one in after.iter().filter(|one| !before.contains(one)) {
            // Only what an older caller could not already do is new.
            let wider = !before.iter().any(|other| meets(one, other));
            let asks_less = before.iter().any(|other| meets(other, one));
            let (rule, sentence) = match (wider, asks_less) {
                (_, true) => ("security-relaxed", format!("{} is enough now", words(one))),
                (true, false) => (
                    "security-alternative-added",
                    format!("callers may now also prove themselves by {}", words(one)),
                ),
                (false, false) => continue,
            };
            let subject = Subject::new(SubjectKind::Security).named(shown(one));
            self.tell(rule, Level::Compatible, Side::Request, subject, places, sentence);
        }
    }

    /// Schemes that only have another name now, by their older names.
    fn renamed_schemes(&self) -> BTreeMap<String, String> {
        let place = |version: Version<'_>| version.source.root().key("components").key("securitySchemes");
        let (old, new) = (place(self.old), place(self.new));
        let (before, after) = (all_keys(self.old, &old), all_keys(self.new, &new));
        let mut renamed = BTreeMap::new();
        for name in before.iter().filter(|name| !after.contains(name)) {
            let value = self.old.source.value(&old.key(name));
            let same = after
                .iter()
                .find(|other| !before.contains(other) && self.new.source.value(&new.key(other)) == value);
            renamed.extend(same.map(|other| ((*name).to_owned(), (*other).to_owned())));
        }
        renamed
    }

    /// The schemes themselves.
    pub(super) fn schemes(&mut self) {
        let place = |version: Version<'_>| version.source.root().key("components").key("securitySchemes");
        let (old, new) = (place(self.old), place(self.new));
        let (before, after) = (all_keys(self.old, &old), all_keys(self.new, &new));
        let renamed = self.renamed_schemes();
        for name in before.iter().filter(|name| !renamed.contains_key(**name)) {
            let (was, is) = (old.key(name), new.key(name));
            if !after.contains(name) {
                let sentence = format!("the security scheme `{name}` is removed");
                self.about_scheme(
                    "security-scheme-removed",
                    Level::Compatible,
                    name,
                    Places::gone(&was),
                    sentence,
                );
                continue;
            }
            let (Ok(was), Ok(is)) = (self.old.source.follow(was), self.new.source.follow(is)) else {
                continue;
            };
            self.scheme(name, &was, &is);
        }
        for name in
            after.iter().filter(|name| !before.contains(name) && !renamed.values().any(|new| new == *name))
        {
            let sentence = format!("the security scheme `{name}` is added");
            let at = new.key(name);
            self.about_scheme("security-scheme-added", Level::Compatible, name, Places::come(&at), sentence);
        }
    }

    fn about_scheme(
        &mut self,
        rule: &'static str,
        level: Level,
        name: &str,
        places: Places<'_>,
        sentence: String,
    ) {
        let subject = Subject::new(SubjectKind::Security).named(name);
        self.tell(rule, level, Side::Request, subject, places, sentence);
    }

    fn scheme(&mut self, name: &str, old: &At, new: &At) {
        for word in ["type", "scheme", "in", "name", "openIdConnectUrl", "bearerFormat"] {
            let (was, is) = (super::text(self.old, old, word), super::text(self.new, new, word));
            // RFC 9110 section 11.1: names of schemes are case-insensitive.
            let same = was.map(str::to_ascii_lowercase) == is.map(str::to_ascii_lowercase);
            if !(same && (word == "scheme" || was == is)) {
                let (rule, level) = match word {
                    "type" => ("security-scheme-type-changed", Level::Breaking),
                    "openIdConnectUrl" => ("security-scheme-url-changed", Level::Breaking),
                    "bearerFormat" => ("security-scheme-bearer-format-changed", Level::PossiblyBreaking),
                    _ => ("security-scheme-changed", Level::Breaking),
                };
                let said = |word: Option<&str>| word.map_or("none".to_owned(), |word| format!("`{word}`"));
                let sentence = format!(
                    "the `{word}` of the security scheme `{name}` changes from {} to {}",
                    said(was),
                    said(is)
                );
                let (was, is) = (old.key(word), new.key(word));
                self.about_scheme(rule, level, name, Places::both(&was, &is), sentence);
            }
        }
        self.flows(name, &old.key("flows"), &new.key("flows"));
    }

    fn flows(&mut self, name: &str, old: &At, new: &At) {
        let (before, after) = (all_keys(self.old, old), all_keys(self.new, new));
        for flow in &before {
            let (was, is) = (old.key(flow), new.key(flow));
            if !after.contains(flow) {
                let sentence = format!(
                    "the flow `{flow}` of the security scheme `{name}` is removed; callers that get their tokens by it cannot any more"
                );
                self.about_scheme(
                    "security-flow-removed",
                    Level::Breaking,
                    name,
                    Places::gone(&was),
                    sentence,
                );
                continue;
            }
            for word in ["authorizationUrl", "tokenUrl", "refreshUrl"] {
                let (before, after) = (super::text(self.old, &was, word), super::text(self.new, &is, word));
                if before != after {
                    let (level, end) = match before {
                        Some(_) => (Level::Breaking, "callers that get their tokens there have to move"),
                        None => (Level::Compatible, "before, there was none"),
                    };
                    let sentence = format!(
                        "the `{word}` of the flow `{flow}` of the security scheme `{name}` changes; {end}"
                    );
                    let (was, is) = (was.key(word), is.key(word));
                    self.about_scheme(
                        "security-flow-url-changed",
                        level,
                        name,
                        Places::both(&was, &is),
                        sentence,
                    );
                }
            }
            self.scopes(name, &was.key("scopes"), &is.key("scopes"));
        }
        for flow in after.iter().filter(|flow| !before.contains(flow)) {
            let sentence = format!("the flow `{flow}` is added to the security scheme `{name}`");
            let at = new.key(flow);
            self.about_scheme("security-flow-added", Level::Compatible, name, Places::come(&at), sentence);
        }
    }

    fn scopes(&mut self, name: &str, old: &At, new: &At) {
        let (before, after) = (all_keys(self.old, old), all_keys(self.new, new));
        for scope in before.iter().filter(|scope| !after.contains(scope)) {
            let sentence = format!(
                "the security scheme `{name}` no longer has the scope `{scope}`; callers that ask for it may be refused a token"
            );
            let at = old.key(scope);
            self.about_scheme(
                "security-scheme-scope-removed",
                Level::PossiblyBreaking,
                name,
                Places::gone(&at),
                sentence,
            );
        }
        for scope in after.iter().filter(|scope| !before.contains(scope)) {
            let sentence = format!("the security scheme `{name}` has the scope `{scope}` too");
            let at = new.key(scope);
            self.about_scheme(
                "security-scheme-scope-added",
                Level::Compatible,
                name,
                Places::come(&at),
                sentence,
            );
        }
    }
}

/// The alternatives that hold for an operation; `{}` alone when it asks for nothing.
fn alternatives(version: Version<'_>, described: &Described) -> (Vec<Alternative>, At) {
    let own = described.at.key("security");
    let at = if version.source.value(&own).is_some() { own } else { version.source.root().key("security") };
    let listed = version.source.value(&at).and_then(Value::as_array).into_iter().flatten();
    let scopes = |value: &Value| -> BTreeSet<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found: Vec<Alternative> = listed
        .filter_map(Value::as_object)
        .map(|schemes| schemes.iter().map(|(name, value)| (name.clone(), scopes(value))).collect())
        .collect();
    if found.is_empty() {
        found.push(Alternative::new());
    }
    let at = if version.source.value(&at).is_some() { at } else { described.at.clone() };
    (found, at)
}

/// Whether who has all of `own` has all that `asked` asks for.
fn meets(own: &Alternative, asked: &Alternative) -> bool {
    asked.iter().all(|(name, scopes)| own.get(name).is_some_and(|own| scopes.is_subset(own)))
}

/// Why who met `one` is now refused.
fn refusal(one: &Alternative, after: &[Alternative]) -> (&'static str, String) {
    if one.is_empty() {
        return ("security-added", "callers must now prove who they are; before, nobody had to".to_owned());
    }
    let who = words(one);
    let missing = |asked: &Alternative| -> Vec<String> {
        asked.keys().filter(|name| !one.contains_key(*name)).cloned().collect()
    };
    let near = after.iter().filter(|asked| one.keys().any(|name| asked.contains_key(name)));
    let nearest = near.min_by_key(|asked| missing(asked).len());
    let Some(asked) = nearest else {
        return (
            "security-alternative-removed",
            format!("{who} is no longer enough; callers that use it are refused"),
        );
    };
    let schemes = missing(asked);
    if !schemes.is_empty() {
        let more = schemes.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
        return (
            "security-scheme-required",
            format!("beside {who}, {more} is needed too; callers without it are refused"),
        );
    }
    let scopes: BTreeSet<&String> = asked
        .iter()
        .flat_map(|(name, scopes)| {
            scopes.iter().filter(|scope| one.get(name).is_none_or(|own| !own.contains(*scope)))
        })
        .collect();
    let more = scopes.iter().map(|scope| format!("`{scope}`")).collect::<Vec<_>>().join(" and ");
    ("security-scope-added", format!("the scope {more} is needed too; tokens without it are refused"))
}

/// An alternative in words.
fn words(one: &Alternative) -> String {
    if one.is_empty() {
        return "no proof at all".to_owned();
    }
    let scheme = |(name, scopes): (&String, &BTreeSet<String>)| match scopes.is_empty() {
        true => format!("`{name}`"),
        false => format!(
            "`{name}` with {}",
            scopes.iter().map(|s| format!("`{s}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    one.iter().map(scheme).collect::<Vec<_>>().join(" and ")
}

/// An alternative as a subject.
fn shown(one: &Alternative) -> String {
    one.keys().cloned().collect::<Vec<_>>().join(" and ")
}
