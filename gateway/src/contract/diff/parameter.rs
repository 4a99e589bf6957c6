//! What differs in the parameters of an operation, and in the headers of its responses?

use super::super::direction::Direction;
use super::super::source::At;
use super::lifecycle;
use super::paths::{self, Described};
use super::report::{Level, Side, Subject, SubjectKind};
use super::schema::Sense;
use super::{About, Comparison, Places, Version, flag, text};
use serde_json::Value;

/// A parameter of one contract.
#[derive(Debug, Clone)]
struct Parameter {
    name: String,
    location: String,
    at: At,
}

/// How a parameter is written in a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Writing {
    style: String,
    explode: bool,
}

impl Comparison<'_> {
    pub(super) fn parameters(&mut self, old: &Described, new: &Described) {
        let (mut before, after) = (self.all_parameters(self.old, old), self.all_parameters(self.new, new));
        let (old_names, new_names) = (paths::names(&old.path), paths::names(&new.path));
        for parameter in after {
            // A parameter of the path is known by its place in it.
            let known_as = match parameter.location.as_str() {
                "path" => {
                    let n = new_names.iter().position(|name| *name == parameter.name);
                    n.and_then(|n| old_names.get(n)).map_or(parameter.name.clone(), |name| (*name).to_owned())
                }
                _ => parameter.name.clone(),
            };
            let same = before.iter().position(|old| {
                old.location == parameter.location && is_same_name(&old.location, &old.name, &known_as)
            });
            match same {
                Some(n) => {
                    let old = before.remove(n);
                    self.parameter(&old, &parameter);
                }
                None => self.parameter_added(&parameter),
            }
        }
        for parameter in before {
            self.parameter_removed(&parameter);
        }
    }

    /// OpenAPI 3.1.1 section 4.8.10.1: an operation's own parameter overrides its path's.
    fn all_parameters(&self, version: Version<'_>, described: &Described) -> Vec<Parameter> {
        let mut found: Vec<Parameter> = Vec::new();
        for list in [described.item.key("parameters"), described.at.key("parameters")] {
            let count = version.source.value(&list).and_then(Value::as_array).map_or(0, Vec::len);
            for n in 0..count {
                let Ok(at) = version.source.follow(list.item(n)) else { continue };
                let word = |key| text(version, &at, key).unwrap_or_default().to_owned();
                let (name, location) = (word("name"), word("in"));
                // OpenAPI 3.1.1 section 4.8.12.2: these headers are described elsewhere.
                let elsewhere = ["accept", "content-type", "authorization"];
                if location == "header" && elsewhere.contains(&name.to_ascii_lowercase().as_str()) {
                    continue;
                }
                found.retain(|known| {
                    known.location != location || !is_same_name(&location, &known.name, &name)
                });
                found.push(Parameter { name, location, at });
            }
        }
        found
    }

    fn parameter_added(&mut self, parameter: &Parameter) {
        let is_required = flag(self.new, &parameter.at, "required");
        let side = self.flow.sent().2;
        let (rule, level, end) = match (is_required, side) {
            (true, Side::Request) => {
                ("required-parameter-added", Level::Breaking, "; callers that do not send it are refused")
            }
            _ => ("parameter-added", Level::Compatible, ""),
        };
        let About { subject, words } = parameter.about();
        let kind = if is_required { "required" } else { "optional" };
        let sentence = format!("{words} is added, and is {kind}{end}");
        self.tell(rule, level, side, subject, Places::come(&parameter.at), sentence);
    }

    fn parameter_removed(&mut self, parameter: &Parameter) {
        let About { subject, words } = parameter.about();
        let side = self.flow.sent().2;
        let dated = lifecycle::dated(self.old, &parameter.at);
        let (rule, level, end) = match dated.and_then(|dated| dated.time) {
            Some(date) if date <= self.now => (
                "parameter-removed-after-sunset",
                Level::Compatible,
                format!("it was switched off at {date}"),
            ),
            Some(date) => (
                "parameter-removed-before-sunset",
                Level::Breaking,
                format!(
                    "it was promised until {date}; callers that send it are refused, or no longer get what they ask for"
                ),
            ),
            None => (
                "parameter-removed",
                Level::Breaking,
                "callers that send it are refused, or no longer get what they ask for".to_owned(),
            ),
        };
        let sentence = format!("{words} is removed; {end}");
        self.tell(rule, level, side, subject, Places::gone(&parameter.at), sentence);
    }

    fn parameter(&mut self, old: &Parameter, new: &Parameter) {
        let about = new.about();
        let side = self.flow.sent().2;
        let places = Places::both(&old.at, &new.at);
        if old.name != new.name && old.location == "path" {
            let sentence = format!(
                "the path parameter `{}` is called `{}` now; paths stay as they are",
                old.name, new.name
            );
            let subject = about.subject.clone();
            self.tell("path-parameter-renamed", Level::Compatible, side, subject, places, sentence);
        }
        let (was, is) = (flag(self.old, &old.at, "required"), flag(self.new, &new.at, "required"));
        if old.location != "path" {
            let (rule, level, what) = match (was, is, side) {
                (false, true, Side::Response) => {
                    ("parameter-became-required", Level::Compatible, "now required")
                }
                (false, true, _) => (
                    "parameter-became-required",
                    Level::Breaking,
                    "now required; callers that do not send it are refused",
                ),
                (true, false, Side::Response) => {
                    ("parameter-became-optional", Level::Breaking, "no longer required; readers may miss it")
                }
                (true, false, _) => ("parameter-became-optional", Level::Compatible, "no longer required"),
                _ => ("", Level::Compatible, ""),
            };
            if !rule.is_empty() {
                let sentence = format!("{} is {what}", about.words);
                self.tell(rule, level, side, about.subject.clone(), places, sentence);
            }
        }
        let empty = |version, at: &At| flag(version, at, "allowEmptyValue");
        if old.location == "query" && empty(self.old, &old.at) != empty(self.new, &new.at) {
            let (level, what) = match empty(self.new, &new.at) {
                true => (Level::Compatible, "may now be empty"),
                false => (Level::Breaking, "may no longer be empty; callers that leave it empty are refused"),
            };
            let sentence = format!("{} {what}", about.words);
            self.tell("parameter-empty-value-changed", level, side, about.subject.clone(), places, sentence);
        }
        self.deprecated_part(&about, side, "parameter-deprecated", "parameter-reactivated", places);
        let (was, is) = (lifecycle::dated(self.old, &old.at), lifecycle::dated(self.new, &new.at));
        if let Some((rule, level, text)) = lifecycle::moved(was.as_ref(), is.as_ref(), self.now) {
            let sentence = text.replace("{}", &about.words);
            self.tell(rule, level, side, about.subject.clone(), places, sentence);
        }
        self.form(&about, self.flow.sent(), &old.location, places);
    }

    /// The deprecation of a parameter or header.
    fn deprecated_part(
        &mut self,
        about: &About,
        side: Side,
        deprecated: &'static str,
        reactivated: &'static str,
        places: Places<'_>,
    ) {
        let is_set = |version, at: Option<&At>| at.is_some_and(|at| flag(version, at, "deprecated"));
        let (rule, what) = match (is_set(self.old, places.old), is_set(self.new, places.new)) {
            (false, true) => (deprecated, "is now deprecated"),
            (true, false) => (reactivated, "is no longer deprecated"),
            _ => return,
        };
        let sentence = format!("{} {what}", about.words);
        self.tell(rule, Level::Compatible, side, about.subject.clone(), places, sentence);
    }

    /// How a parameter or header is written, and what its value is.
    fn form(
        &mut self,
        about: &About,
        (sense, direction, side): (Sense, Direction, Side),
        location: &str,
        places: Places<'_>,
    ) {
        let (Some(old), Some(new)) = (places.old, places.new) else { return };
        let content = |version: Version<'_>, at: &At| version.source.member(at, "content").is_some();
        match (content(self.old, old), content(self.new, new)) {
            (false, false) => {
                self.writing(about, side, location, old, new);
                let schema = |version: Version<'_>, at: &At| {
                    Some(at.key("schema")).filter(|at| version.source.value(at).is_some())
                };
                let (was, is) = (schema(self.old, old), schema(self.new, new));
                if self.is_now_any_text(was.as_ref(), is.as_ref()) && sense == Sense::OldInNew {
                    let sentence = format!("{} may now be any text", about.words);
                    let subject = about.subject.clone();
                    return self.tell("type-widened", Level::Compatible, side, subject, places, sentence);
                }
                self.tell_schemas(about, (sense, direction, side), was.as_ref(), is.as_ref());
            }
            (true, true) => {
                self.contents(about, (sense, direction, side), &old.key("content"), &new.key("content"));
            }
            _ => {
                let sentence = format!("{} is written in another way now", about.words);
                self.tell(
                    "parameter-style-changed",
                    Level::Breaking,
                    side,
                    about.subject.clone(),
                    places,
                    sentence,
                );
            }
        }
    }

    /// In a target or a field a number is a text: who sent one may still.
    fn is_now_any_text(&self, old: Option<&At>, new: Option<&At>) -> bool {
        let schema = |version: Version<'_>, at: Option<&At>| version.source.follow(at?.clone()).ok();
        let (Some(was), Some(is)) = (schema(self.old, old), schema(self.new, new)) else { return false };
        let word = |key: &str| matches!(key, "type" | "description" | "title" | "example" | "examples");
        let free = super::all_keys(self.new, &is).into_iter().all(word);
        let scalar =
            text(self.old, &was, "type").is_some_and(|kind| matches!(kind, "integer" | "number" | "boolean"));
        free && scalar && text(self.new, &is, "type") == Some("string")
    }

    fn writing(&mut self, about: &About, side: Side, location: &str, old: &At, new: &At) {
        let (before, after) = (writing(self.old, old, location), writing(self.new, new, location));
        if before == after {
            return;
        }
        // A single value is written alike in most styles: what divides several does not matter then.
        let single = |version: Version<'_>, at: &At| {
            let schema = version.source.follow(at.key("schema")).ok();
            let kind = schema.as_ref().and_then(|at| text(version, at, "type"));
            kind.is_some_and(|kind| !matches!(kind, "array" | "object"))
        };
        let plain = |writing: &Writing| !matches!(writing.style.as_str(), "label" | "matrix");
        let alike = single(self.old, old) && single(self.new, new) && plain(&before) && plain(&after);
        let level = if alike { Level::Compatible } else { Level::Breaking };
        let said = |writing: &Writing| {
            format!("`{}`{}", writing.style, if writing.explode { " exploded" } else { "" })
        };
        let end = if alike { ", which makes no difference for a single value" } else { "" };
        let sentence = format!(
            "{} was written in the style {} and is now in {}{end}",
            about.words,
            said(&before),
            said(&after)
        );
        let subject = about.subject.clone();
        self.tell("parameter-style-changed", level, side, subject, Places::both(old, new), sentence);
    }

    /// The headers of a response.
    pub(super) fn headers(&mut self, status: &str, old: &At, new: &At) {
        let side = self.flow.answered().2;
        let list = |version: Version<'_>, at: &At| -> Vec<String> {
            let names = super::all_keys(version, at).into_iter().map(str::to_owned);
            names.filter(|name| !name.eq_ignore_ascii_case("content-type")).collect()
        };
        let (before, after) = (list(self.old, old), list(self.new, new));
        for name in &after {
            let at = new.key(name);
            let about = header(status, name);
            let Some(known) = before.iter().find(|other| other.eq_ignore_ascii_case(name)) else {
                let sentence = format!("{} is added", about.words);
                self.tell(
                    "response-header-added",
                    Level::Compatible,
                    side,
                    about.subject,
                    Places::come(&at),
                    sentence,
                );
                continue;
            };
            if let Some((was, is)) = self.follow(&about, side, &old.key(known), &at) {
                self.header(&about, &was, &is);
            }
        }
        for name in before.iter().filter(|name| !after.iter().any(|other| other.eq_ignore_ascii_case(name))) {
            let about = header(status, name);
            let sentence = format!("{} is removed; readers that use it lose it", about.words);
            let at = old.key(name);
            self.tell(
                "response-header-removed",
                Level::Breaking,
                side,
                about.subject,
                Places::gone(&at),
                sentence,
            );
        }
    }

    fn header(&mut self, about: &About, old: &At, new: &At) {
        let (was, is) = (flag(self.old, old, "required"), flag(self.new, new, "required"));
        let side = self.flow.answered().2;
        let places = Places::both(old, new);
        let told = match (was, is) {
            (true, false) => Some((
                "response-header-became-optional",
                Level::Breaking,
                "may now be missing; readers that need it fail",
            )),
            (false, true) => {
                Some(("response-header-became-required", Level::Compatible, "is now always there"))
            }
            _ => None,
        };
        if let Some((rule, level, what)) = told {
            let sentence = format!("{} {what}", about.words);
            self.tell(rule, level, side, about.subject.clone(), places, sentence);
        }
        self.deprecated_part(
            about,
            side,
            "response-header-deprecated",
            "response-header-reactivated",
            places,
        );
        self.form(about, self.flow.answered(), "header", places);
    }
}

impl Parameter {
    fn about(&self) -> About {
        let mut subject = Subject::new(SubjectKind::Parameter).named(self.name.clone());
        subject.location = Some(self.location.clone());
        About { subject, words: format!("the {} parameter `{}`", self.location, self.name) }
    }
}

fn header(status: &str, name: &str) -> About {
    let mut subject = Subject::new(SubjectKind::ResponseHeader).named(name);
    subject.status = Some(status.to_owned());
    About { subject, words: format!("the header `{name}` of the {status} response") }
}

/// OpenAPI 3.1.1 section 4.8.12.2.1: defaults of `style` and `explode`.
pub(super) fn writing(version: Version<'_>, at: &At, location: &str) -> Writing {
    let default = if matches!(location, "query" | "cookie") { "form" } else { "simple" };
    let style = text(version, at, "style").unwrap_or(default).to_owned();
    let explode = version.source.member(at, "explode").and_then(Value::as_bool).unwrap_or(style == "form");
    Writing { style, explode }
}

/// RFC 9110 section 5.1: names of fields are case-insensitive.
fn is_same_name(location: &str, one: &str, other: &str) -> bool {
    if location == "header" { one.eq_ignore_ascii_case(other) } else { one == other }
}
