//! What differs in how long an operation lives, and may it be removed yet?
//!
//! A removal breaks nobody once the announced sunset has passed: callers get 410 since then. A date may only
//! move in the callers' favour.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::source::At;
use super::paths::Described;
use super::report::Level;
use super::{Comparison, Flow, Places, Version, flag};

/// A date of a lifecycle as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dated {
    pub(super) at: At,
    /// None if it cannot be read.
    pub(super) time: Option<Timestamp>,
    shown: String,
}

impl Comparison<'_> {
    pub(super) fn lifecycle(&mut self, old: &Described, new: &Described) {
        let (was, is) = (flag(self.old, &old.at, "deprecated"), flag(self.new, &new.at, "deprecated"));
        let told = match (was, is) {
            (false, true) => Some(("operation-deprecated", "the operation is now deprecated")),
            (true, false) => Some(("operation-reactivated", "the operation is no longer deprecated")),
            _ => None,
        };
        if let Some((rule, sentence)) = told {
            let places = Places::both(&old.at, &new.at);
            self.about_operation(rule, Level::Compatible, places, sentence.to_owned());
        }
        self.sunset(old, new);
        self.stability(&old.at, &new.at);
    }

    fn sunset(&mut self, old: &Described, new: &Described) {
        let (was, is) = (sunset(self.old, old), sunset(self.new, new));
        if let Some((rule, level, text)) = moved(was.as_ref(), is.as_ref(), self.now) {
            let places = Places {
                old: was.as_ref().map(|dated| &dated.at).or(Some(&old.at)),
                new: is.as_ref().map(|dated| &dated.at).or(Some(&new.at)),
            };
            self.about_operation(rule, level, places, text.replace("{}", "the operation"));
        }
    }

    pub(super) fn operation_removed(&mut self, old: &Described) {
        let places = Places::gone(&old.at);
        if self.flow == Flow::Called {
            let sentence = "the webhook is removed; who waits for it waits for ever".to_owned();
            return self.about_operation("webhook-removed", Level::Breaking, places, sentence);
        }
        let date = sunset(self.old, old).and_then(|dated| dated.time);
        let (rule, level, sentence) = match date {
            Some(date) if date <= self.now => (
                "operation-removed-after-sunset",
                Level::Compatible,
                format!("the operation is removed; it was switched off at {date}"),
            ),
            Some(date) => (
                "operation-removed-before-sunset",
                Level::Breaking,
                format!("the operation is removed before {date}, until when it was promised; its callers get 404 or 405"),
            ),
            None if flag(self.old, &old.at, "deprecated") => (
                "operation-removed",
                Level::Breaking,
                "the operation is removed; it was deprecated, but nobody was told until when it would be there; its \
                 callers get 404 or 405"
                    .to_owned(),
            ),
            None => (
                "operation-removed",
                Level::Breaking,
                "the operation is removed; its callers get 404 or 405".to_owned(),
            ),
        };
        self.about_operation(rule, level, places, sentence);
    }

    fn stability(&mut self, old: &At, new: &At) {
        let level = |version: Version<'_>, at: &At| super::text(version, at, STABILITY).map(str::to_owned);
        let (was, is) = (level(self.old, old), level(self.new, new));
        if let Some((rule, level, text)) = steadied(was.as_deref(), is.as_deref()) {
            let (was, is) = (old.key(STABILITY), new.key(STABILITY));
            self.about_operation(rule, level, Places::both(&was, &is), text.replace("{}", "the operation"));
        }
    }
}

/// What another `x-stability-level` (draft, alpha, beta, stable) does to callers; nothing if it is the same.
pub(super) fn steadied(was: Option<&str>, is: Option<&str>) -> Option<(&'static str, Level, String)> {
    if was == is {
        return None;
    }
    let rank = |level: Option<&str>| match level {
        // Nothing said is as good as stable.
        None => Some(STABILITIES.len()),
        Some(level) => STABILITIES.iter().position(|known| *known == level),
    };
    let (rule, level) = match (rank(was), rank(is)) {
        (Some(was), Some(is)) if is >= was => ("stability-increased", Level::Compatible),
        (Some(_), Some(_)) => ("stability-decreased", Level::PossiblyBreaking),
        _ => ("stability-unreadable", Level::PossiblyBreaking),
    };
    let shown = |level: Option<&str>| level.map_or("unsaid".to_owned(), |level| format!("`{level}`"));
    Some((rule, level, format!("the stability of {{}} goes from {} to {}", shown(was), shown(is))))
}

/// What a moved date does to callers; nothing if it did not move.
pub(super) fn moved(
    was: Option<&Dated>,
    is: Option<&Dated>,
    now: Timestamp,
) -> Option<(&'static str, Level, String)> {
    if was.map(|dated| &dated.shown) == is.map(|dated| &dated.shown) {
        return None;
    }
    if let Some(dated) = [was, is].into_iter().flatten().find(|dated| dated.time.is_none()) {
        let text = format!("`{}` is not a date, so when {{}} is switched off is undecided", dated.shown);
        return Some(("sunset-unreadable", Level::PossiblyBreaking, text));
    }
    Some(match (was.and_then(|dated| dated.time), is.and_then(|dated| dated.time)) {
        (None, Some(time)) if time <= now => {
            ("sunset-added", Level::Breaking, "{} is switched off at a time that has passed".to_owned())
        }
        (None, Some(time)) => {
            ("sunset-added", Level::Compatible, format!("{{}} will be switched off at {time}"))
        }
        (Some(_), None) => {
            ("sunset-removed", Level::Compatible, "{} is no longer said to be switched off".to_owned())
        }
        (Some(before), Some(after)) if after < before => (
            "sunset-earlier",
            Level::Breaking,
            format!("{{}} is switched off at {after}, earlier than announced ({before})"),
        ),
        (Some(before), Some(after)) if after > before => (
            "sunset-later",
            Level::Compatible,
            format!("{{}} is switched off at {after}, later than announced ({before})"),
        ),
        _ => return None,
    })
}

/// When an operation is switched off: its own date, or that of the contract.
fn sunset(version: Version<'_>, described: &Described) -> Option<Dated> {
    dated(version, &described.at).or_else(|| dated(version, &version.source.root()))
}

/// When what is described at `at` is switched off, if that says so itself.
pub(super) fn dated(version: Version<'_>, at: &At) -> Option<Dated> {
    let places = [at.key("x-gateway").key("lifecycle").key("sunset"), at.key("x-sunset")];
    places.into_iter().find_map(|at| {
        let shown = version.source.value(&at).and_then(Value::as_str)?.to_owned();
        let time = time(&shown);
        Some(Dated { at, time, shown })
    })
}

impl Dated {
    /// Whether it is switched off at `now`.
    pub(super) fn has_passed(&self, now: Timestamp) -> bool {
        self.time.is_some_and(|time| time <= now)
    }
}

/// A time as `x-gateway` writes it, or a plain date.
fn time(text: &str) -> Option<Timestamp> {
    let date =
        || text.parse::<Date>().ok()?.to_zoned_datetime(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    text.parse::<Timestamp>().ok().or_else(date)
}

pub(super) const STABILITY: &str = "x-stability-level";
const STABILITIES: [&str; 4] = ["draft", "alpha", "beta", "stable"];
