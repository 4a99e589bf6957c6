//! What differs in bodies: whether there is one, and what it is in each media type?

use super::super::direction::Direction;
use super::super::media::{MediaRange, MediaType};
use super::super::source::At;
use super::paths::Described;
use super::report::{Level, Side, Subject, SubjectKind};
use super::schema::Sense;
use super::{About, Comparison, Places, Version, all_keys, flag};

impl Comparison<'_> {
    pub(super) fn request_body(&mut self, old: &Described, new: &Described) {
        let (was, is) = (old.at.key("requestBody"), new.at.key("requestBody"));
        let there = (self.old.source.value(&was).is_some(), self.new.source.value(&is).is_some());
        let side = self.flow.sent().2;
        let about =
            About { subject: Subject::new(SubjectKind::RequestBody), words: "the request body".to_owned() };
        match there {
            (false, false) => {}
            (true, true) => {
                if let Some((old, new)) = self.follow(&about, side, &was, &is) {
                    self.both_bodies(&about, &old, &new);
                }
            }
            (true, false) => {
                let sentence = "the request body is removed; callers that send one are refused".to_owned();
                let subject = about.subject;
                self.tell(
                    "request-body-removed",
                    Level::Breaking,
                    side,
                    subject,
                    Places::gone(&was),
                    sentence,
                );
            }
            (false, true) => {
                let at = self.new.source.follow(is.clone()).unwrap_or_else(|_| is.clone());
                let is_required = flag(self.new, &at, "required");
                let (level, end) = match (is_required, side) {
                    (true, Side::Request) => {
                        (Level::Breaking, "required; callers that send none are refused")
                    }
                    (true, _) => (Level::Compatible, "always sent"),
                    (false, _) => (Level::Compatible, "optional"),
                };
                let rule = if is_required { "required-request-body-added" } else { "request-body-added" };
                let sentence = format!("a request body is added, and is {end}");
                self.tell(rule, level, side, about.subject, Places::come(&is), sentence);
            }
        }
    }

    fn both_bodies(&mut self, about: &About, old: &At, new: &At) {
        let (was, is) = (flag(self.old, old, "required"), flag(self.new, new, "required"));
        let side = self.flow.sent().2;
        let told = match (was, is, side) {
            (false, true, Side::Request) => Some((
                "request-body-became-required",
                Level::Breaking,
                "now required; callers that send none are refused",
            )),
            (false, true, _) => Some(("request-body-became-required", Level::Compatible, "now always sent")),
            (true, false, Side::Response) => Some((
                "request-body-became-optional",
                Level::Breaking,
                "no longer always sent; readers may miss it",
            )),
            (true, false, _) => {
                Some(("request-body-became-optional", Level::Compatible, "no longer required"))
            }
            _ => None,
        };
        if let Some((rule, level, what)) = told {
            let sentence = format!("the request body is {what}");
            self.tell(rule, level, side, about.subject.clone(), Places::both(old, new), sentence);
        }
        self.contents(about, self.flow.sent(), &old.key("content"), &new.key("content"));
    }

    /// The media types of a body, and what it is in each.
    pub(super) fn contents(&mut self, about: &About, way: (Sense, Direction, Side), old: &At, new: &At) {
        let (before, after) = (all_keys(self.old, old), all_keys(self.new, new));
        let side = way.2;
        for media_type in &before {
            let about = about.of(media_type);
            let at = old.key(media_type);
            match counterpart(media_type, &after) {
                Some((other, exact)) => {
                    if !exact {
                        // Readers that know one type may get another.
                        let level =
                            if side == Side::Response { Level::PossiblyBreaking } else { Level::Compatible };
                        let sentence = format!("{} is now one of `{other}`", about.words);
                        let subject = about.subject.clone();
                        let places = Places::both(&at, &at);
                        self.tell(
                            "media-type-widened",
                            level,
                            side,
                            subject,
                            Places { new: None, ..places },
                            sentence,
                        );
                    }
                    self.media_type(&about, way, &at, &new.key(other));
                }
                None if side == Side::Response && narrower(media_type, &after).is_some() => {
                    let other = narrower(media_type, &after).unwrap_or_default();
                    let sentence = format!("{} is always `{other}` now", about.words);
                    let (new_at, subject) = (new.key(other), about.subject.clone());
                    let places = Places::both(&at, &new_at);
                    self.tell("media-type-narrowed", Level::Compatible, side, subject, places, sentence);
                    self.media_type(&about, way, &at, &new_at);
                }
                None => {
                    let end = match side {
                        Side::Response => "readers that ask for it are refused",
                        Side::Request | Side::Both => "callers that send it are refused",
                    };
                    let sentence = format!("{} is removed; {end}", about.words);
                    self.tell(
                        "media-type-removed",
                        Level::Breaking,
                        side,
                        about.subject,
                        Places::gone(&at),
                        sentence,
                    );
                }
            }
        }
        for media_type in &after {
            let used = before
                .iter()
                .any(|old| counterpart(old, &after).is_some_and(|(other, _)| other == *media_type));
            if !used {
                let about = about.of(media_type);
                let sentence = format!("{} is added", about.words);
                let at = new.key(media_type);
                self.tell(
                    "media-type-added",
                    Level::Compatible,
                    side,
                    about.subject,
                    Places::come(&at),
                    sentence,
                );
            }
        }
    }

    fn media_type(&mut self, about: &About, way: (Sense, Direction, Side), old: &At, new: &At) {
        let schema = |version: Version<'_>, at: &At| {
            Some(at.key("schema")).filter(|at| version.source.value(at).is_some())
        };
        let (was, is) = (schema(self.old, old), schema(self.new, new));
        self.encodings(about, way, &old.key("encoding"), &new.key("encoding"));
        let told = match (&was, &is) {
            (None, Some(at)) => Some((
                "media-type-schema-added",
                Places::come(at),
                "now has a schema",
                way.0 == Sense::OldInNew,
            )),
            (Some(at), None) => Some((
                "media-type-schema-removed",
                Places::gone(at),
                "no longer has a schema",
                way.0 == Sense::NewInOld,
            )),
            (None, None) => None,
            (Some(was), Some(is)) => {
                self.tell_schemas(about, way, Some(was), Some(is));
                None
            }
        };
        if let Some((rule, places, what, breaks)) = told {
            let level = if breaks { Level::Breaking } else { Level::Compatible };
            let sentence = format!("{} {what}", about.words);
            self.tell(rule, level, way.2, about.subject.clone(), places, sentence);
        }
    }

    /// How the parts of a form are written. OpenAPI 3.1.1 section 4.8.15.
    fn encodings(&mut self, about: &About, way: (Sense, Direction, Side), old: &At, new: &At) {
        let names: std::collections::BTreeSet<&str> =
            all_keys(self.old, old).into_iter().chain(all_keys(self.new, new)).collect();
        for name in names {
            let (was, is) = (old.key(name), new.key(name));
            let differs = ["contentType", "style", "explode", "allowReserved", "headers"]
                .into_iter()
                .any(|word| self.old.source.member(&was, word) != self.new.source.member(&is, word));
            if differs {
                let sentence = format!(
                    "the part `{name}` of {} is written in another way; whether what was right before still is, is undecided",
                    about.words
                );
                let subject =
                    Subject { property: Some(super::super::json::token(name)), ..about.subject.clone() };
                self.tell(
                    "encoding-changed",
                    Level::PossiblyBreaking,
                    way.2,
                    subject,
                    Places::both(&was, &is),
                    sentence,
                );
            }
        }
    }
}

impl About {
    /// The same as one media type.
    fn of(&self, media_type: &str) -> Self {
        let subject = Subject { media_type: Some(media_type.to_owned()), ..self.subject.clone() };
        let plain = media_type.eq_ignore_ascii_case("application/json");
        let words = if plain { self.words.clone() } else { format!("{} as `{media_type}`", self.words) };
        Self { subject, words }
    }
}

/// The media type of the other contract that stands for this one, and whether it is the same.
fn counterpart<'o>(media_type: &str, others: &[&'o str]) -> Option<(&'o str, bool)> {
    let plain = |text: &str| text.replace(' ', "").to_ascii_lowercase();
    if let Some(same) = others.iter().find(|other| plain(other) == plain(media_type)) {
        return Some((same, true));
    }
    let media = MediaType::parse(media_type)?;
    let covering = others.iter().filter_map(|other| Some((MediaRange::parse(other)?.fit(&media)?, *other)));
    covering.max_by_key(|(fit, _)| *fit).map(|(_, other)| (other, false))
}

/// A media type of the other contract that is within this range.
fn narrower<'o>(range: &str, others: &[&'o str]) -> Option<&'o str> {
    let range = MediaRange::parse(range).filter(|range| range.essence().1 == "*")?;
    others
        .iter()
        .copied()
        .find(|other| MediaType::parse(other).is_some_and(|media| range.fit(&media).is_some()))
}
