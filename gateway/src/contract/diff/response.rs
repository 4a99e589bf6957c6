//! What differs in the responses of an operation: statuses, headers, bodies?

use super::super::source::At;
use super::paths::Described;
use super::report::{Level, Side, Subject, SubjectKind};
use super::{About, Comparison, Places, keys};

impl Comparison<'_> {
    pub(super) fn responses(&mut self, old: &Described, new: &Described) {
        let (was, is) = (old.at.key("responses"), new.at.key("responses"));
        let before: Vec<String> = keys(self.old, &was).into_iter().map(str::to_owned).collect();
        let after: Vec<String> = keys(self.new, &is).into_iter().map(str::to_owned).collect();
        for status in &after {
            let at = is.key(status);
            match covering(status, &before) {
                Some(known) => self.response(status, &was.key(known), &at),
                None => self.status_added(status, &at),
            }
        }
        for status in before.iter().filter(|status| !after.iter().any(|other| is_same_status(status, other)))
        {
            let at = was.key(status);
            match covering(status, &after) {
                // What a range or the default says was said of this status more exactly.
                Some(other) => self.response(status, &at, &is.key(other)),
                None if is_within(&after, status) => {}
                None => self.status_removed(status, &at),
            }
        }
    }

    fn status_added(&mut self, status: &str, at: &At) {
        let about = about(status);
        let side = self.flow.answered().2;
        // A partner's answers are refused unless described; a caller has to expect any status.
        let sentence = format!("{} is added", about.words);
        self.tell(
            "response-status-added",
            Level::Compatible,
            side,
            about.subject,
            Places::come(at),
            sentence,
        );
    }

    fn status_removed(&mut self, status: &str, at: &At) {
        let about = about(status);
        let side = self.flow.answered().2;
        let (level, end) = match (is_success(status), side) {
            (_, Side::Request) => (Level::Breaking, "partners that answer with it are refused"),
            (true, _) => (Level::Breaking, "callers that wait for it do not get it"),
            (false, _) => (Level::PossiblyBreaking, "callers that act on it no longer can"),
        };
        let sentence = format!("{} is removed; {end}", about.words);
        self.tell("response-status-removed", level, side, about.subject, Places::gone(at), sentence);
    }

    fn response(&mut self, status: &str, old: &At, new: &At) {
        let about = about(status);
        let side = self.flow.answered().2;
        let Some((old, new)) = self.follow(&about, side, old, new) else { return };
        self.headers(status, &old.key("headers"), &new.key("headers"));
        let (was, is) = (old.key("content"), new.key("content"));
        self.contents(&about, self.flow.answered(), &was, &is);
    }
}

fn about(status: &str) -> About {
    let mut subject = Subject::new(SubjectKind::Response);
    subject.status = Some(status.to_owned());
    About { subject, words: format!("the {status} response") }
}

/// The key that says what a response of this status looks like: itself, its range, the default.
fn covering<'k>(status: &str, keys: &'k [String]) -> Option<&'k str> {
    let range = status.get(..1).map(|first| format!("{first}XX"));
    let find = |wanted: &str| keys.iter().find(|key| key.eq_ignore_ascii_case(wanted)).map(String::as_str);
    let by_range = || range.filter(|_| status != "default").and_then(|range| find(&range));
    find(status).or_else(by_range).or_else(|| find("default"))
}

/// Whether some status is one of this range.
fn is_within(keys: &[String], range: &str) -> bool {
    let is_range = range.get(1..).is_some_and(|rest| rest.eq_ignore_ascii_case("xx"));
    is_range && keys.iter().any(|key| key.get(..1) == range.get(..1))
}

fn is_same_status(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn is_success(status: &str) -> bool {
    status.starts_with(['2', '3'])
}
