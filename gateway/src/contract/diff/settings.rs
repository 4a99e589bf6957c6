//! What differs in how the gateway serves an operation, as far as its callers notice? `x-gateway`.
//!
//! Only contracts that both know of the gateway are compared so; anything else has no settings that could change.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::source::At;
use super::paths::Described;
use super::report::{Level, Side, Subject, SubjectKind};
use super::{Comparison, Flow, Places, Version};
use crate::units::ByteSize;

impl Comparison<'_> {
    pub(super) fn settings(&mut self, old: &Described, new: &Described) {
        if self.flow == Flow::Called || !self.both_know() {
            return;
        }
        self.kinds(old, new);
        self.token_binding(old, new);
        self.sign_in(old, new);
        self.unknown_parameters(old, new);
        self.sizes(old, new);
        self.cost(old, new);
        self.limits(old, new);
        self.promises(old, new);
        self.brownouts(&old.at, &new.at, SubjectKind::Operation);
    }

    /// What chooses this version. Two versions differ in their `name`, and each is right.
    pub(super) fn versioning(&mut self) {
        let at = |version: Version<'_>| version.source.root().key(SETTINGS).key("versioning");
        let (old_at, new_at) = (at(self.old), at(self.new));
        if !self.both_know() {
            return;
        }
        let said = |version: Version<'_>, at: &At, key: &str| {
            version.value(&at.key(key)).and_then(Value::as_str).map(str::to_owned)
        };
        let choosing = |version: Version<'_>, at: &At| {
            let by = said(version, at, "by").unwrap_or_else(|| "path".to_owned());
            (by, said(version, at, "header"), said(version, at, "parameter"))
        };
        let default = |version: Version<'_>, at: &At| said(version, at, "default");
        let rows = [
            (
                choosing(self.old, &old_at) != choosing(self.new, &new_at),
                "versioning-changed",
                Level::Breaking,
                "another part of the request says which version is meant; callers that say it as before are refused",
            ),
            (
                default(self.old, &old_at) != default(self.new, &new_at),
                "versioning-default-changed",
                Level::PossiblyBreaking,
                "callers that name no version get another one, or are refused",
            ),
        ];
        for (_, rule, level, sentence) in rows.into_iter().filter(|(differs, ..)| *differs) {
            let subject = Subject::new(SubjectKind::Contract);
            self.tell(rule, level, Side::Both, subject, Places::both(&old_at, &new_at), sentence.to_owned());
        }
    }

    /// The brown-outs that stand at `old` and `new`, a document or an operation.
    pub(super) fn brownouts(&mut self, old: &At, new: &At, of: SubjectKind) {
        if !self.both_know() {
            return;
        }
        let place = |at: &At| at.key(SETTINGS).key("lifecycle").key("brownouts");
        let list = |version: Version<'_>, at: &At| {
            version.value(at).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let (old_at, new_at) = (place(old), place(new));
        let (before, after) = (list(self.old, &old_at), list(self.new, &new_at));
        for (n, _) in after.iter().enumerate().filter(|(_, one)| !before.contains(one)) {
            let sentence = "a brown-out is announced, in which callers are refused for a while".to_owned();
            let (at, level) = (new_at.item(n), Level::PossiblyBreaking);
            self.tell("brownout-added", level, Side::Both, Subject::new(of), Places::come(&at), sentence);
        }
        for (n, _) in before.iter().enumerate().filter(|(_, one)| !after.contains(one)) {
            let (at, sentence) = (old_at.item(n), "a brown-out is called off".to_owned());
            let (places, level) = (Places::gone(&at), Level::Compatible);
            self.tell("brownout-removed", level, Side::Both, Subject::new(of), places, sentence);
        }
    }

    /// Whether both contracts know of the gateway, and can differ in what is said to it.
    fn both_know(&self) -> bool {
        let knows = |version: Version<'_>| version.source.member(&version.source.root(), SETTINGS).is_some();
        knows(self.old) && knows(self.new)
    }

    /// A setting of an operation, or of its contract.
    fn setting<'v>(version: Version<'v>, described: &Described, key: &str) -> (Option<&'v Value>, At) {
        let own = described.at.key(SETTINGS).key(key);
        let at =
            if version.value(&own).is_some() { own } else { version.source.root().key(SETTINGS).key(key) };
        (version.value(&at), at)
    }

    fn about_setting(
        &mut self,
        rule: &'static str,
        level: Level,
        side: Side,
        places: Places<'_>,
        sentence: String,
    ) {
        self.tell(rule, level, side, Subject::new(SubjectKind::Operation), places, sentence);
    }

    fn kinds(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "kinds"), Self::setting(self.new, new, "kinds"));
        let list = |written: Option<&Value>| -> BTreeSet<String> {
            match written.and_then(Value::as_array) {
                Some(kinds) => kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                None => ["partner", "service", "bot"].map(str::to_owned).into(),
            }
        };
        let (before, after) = (list(was), list(is));
        let places = Places::both(&old_at, &new_at);
        for kind in before.difference(&after) {
            let sentence = format!("callers of the kind `{kind}` are no longer served; they are refused");
            self.about_setting("kind-removed", Level::Breaking, Side::Request, places, sentence);
        }
        for kind in after.difference(&before) {
            let sentence = format!("callers of the kind `{kind}` are served too");
            self.about_setting("kind-added", Level::Compatible, Side::Request, places, sentence);
        }
    }

    /// What a token must be bound to: less leaves more tokens good.
    fn token_binding(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "token_binding"), Self::setting(self.new, new, "token_binding"));
        let (before, after) = (was.and_then(Value::as_str), is.and_then(Value::as_str));
        if before == after {
            return;
        }
        let (rule, level, sentence) = match (before, after) {
            (_, None) | (Some("certificate" | "dpop"), Some("either")) => (
                "token-binding-relaxed",
                Level::Compatible,
                "tokens that are bound less, or otherwise, are accepted too",
            ),
            _ => (
                "token-binding-required",
                Level::Breaking,
                "tokens that are not bound as it now asks are refused",
            ),
        };
        let places = Places::both(&old_at, &new_at);
        self.about_setting(rule, level, Side::Request, places, sentence.to_owned());
    }

    /// How a person must have signed in.
    fn sign_in(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "sign_in"), Self::setting(self.new, new, "sign_in"));
        if was == is {
            return;
        }
        let (rule, level, sentence) = match (was, is) {
            (None, _) => (
                "sign-in-required",
                Level::Breaking,
                "persons who signed in otherwise are refused, and asked to sign in again",
            ),
            (_, None) => ("sign-in-dropped", Level::Compatible, "however a person signed in will do"),
            _ => (
                "sign-in-changed",
                Level::PossiblyBreaking,
                "persons must have signed in otherwise, or are asked to sign in again",
            ),
        };
        let places = Places::both(&old_at, &new_at);
        self.about_setting(rule, level, Side::Request, places, sentence.to_owned());
    }

    fn unknown_parameters(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) = (
            Self::setting(self.old, old, "unknown_parameters"),
            Self::setting(self.new, new, "unknown_parameters"),
        );
        let ignores = |written: Option<&Value>| written.and_then(Value::as_str) == Some("ignore");
        let (rule, level, sentence) = match (ignores(was), ignores(is)) {
            (true, false) => (
                "unknown-parameters-refused",
                Level::Breaking,
                "query parameters that the contract does not describe are now refused",
            ),
            (false, true) => (
                "unknown-parameters-ignored",
                Level::Compatible,
                "query parameters that the contract does not describe are no longer refused",
            ),
            _ => return,
        };
        self.about_setting(rule, level, Side::Request, Places::both(&old_at, &new_at), sentence.to_owned());
    }

    fn sizes(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) = (
            Self::setting(self.old, old, "request_bytes_max"),
            Self::setting(self.new, new, "request_bytes_max"),
        );
        let size = |written: Option<&Value>| {
            written.and_then(|size| serde_json::from_value::<ByteSize>(size.clone()).ok()).map(|size| size.0)
        };
        let (before, after) = (size(was), size(is));
        if before == after {
            return;
        }
        let shown =
            |size: Option<usize>| size.map_or("the default".to_owned(), |size| format!("{size} bytes"));
        let (rule, level) = match (before, after) {
            (Some(before), Some(after)) if after > before => ("body-limit-raised", Level::Compatible),
            (Some(_), Some(_)) => ("body-limit-lowered", Level::Breaking),
            // The default is that of the gateway that serves it.
            _ => ("body-limit-changed", Level::PossiblyBreaking),
        };
        let sentence = format!("the largest request body goes from {} to {}", shown(before), shown(after));
        self.about_setting(rule, level, Side::Request, Places::both(&old_at, &new_at), sentence);
    }

    fn cost(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "cost"), Self::setting(self.new, new, "cost"));
        let cost = |written: Option<&Value>| written.and_then(Value::as_u64).unwrap_or(1);
        let (before, after) = (cost(was), cost(is));
        if before == after {
            return;
        }
        let (rule, level) = match after > before {
            true => ("cost-raised", Level::PossiblyBreaking),
            false => ("cost-lowered", Level::Compatible),
        };
        let sentence = format!("a call takes {after} from the caller's rate plan; before, {before}");
        self.about_setting(rule, level, Side::Request, Places::both(&old_at, &new_at), sentence);
    }

    fn limits(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "limits"), Self::setting(self.new, new, "limits"));
        let list = |written: Option<&Value>| written.and_then(Value::as_array).cloned().unwrap_or_default();
        let (before, after) = (list(was), list(is));
        let places = Places::both(&old_at, &new_at);
        for limit in after.iter().filter(|limit| !before.contains(limit)) {
            let name = limit.get("name").and_then(Value::as_str).unwrap_or_default();
            let sentence = format!("the limit `{name}` of calls is new, or another than before");
            self.about_setting("limit-changed", Level::PossiblyBreaking, Side::Request, places, sentence);
        }
        let names: BTreeSet<&str> = after.iter().filter_map(|limit| limit.get("name")?.as_str()).collect();
        for name in before.iter().filter_map(|limit| limit.get("name")?.as_str()) {
            if !names.contains(name) {
                let sentence = format!("the limit `{name}` of calls is removed");
                self.about_setting("limit-removed", Level::Compatible, Side::Request, places, sentence);
            }
        }
    }

    /// What callers may rely on: that a call may be repeated, and that answers keep to the contract.
    fn promises(&mut self, old: &Described, new: &Described) {
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "idempotent"), Self::setting(self.new, new, "idempotent"));
        let says = |written: Option<&Value>| written.and_then(Value::as_bool);
        if says(was) != says(is) {
            let (rule, level, sentence) = match says(is) {
                Some(true) => {
                    ("idempotent-added", Level::Compatible, "a call that was cut off may be repeated")
                }
                _ => (
                    "idempotent-removed",
                    Level::PossiblyBreaking,
                    "a call that was cut off is no longer said to be safe to repeat",
                ),
            };
            self.about_setting(
                rule,
                level,
                Side::Request,
                Places::both(&old_at, &new_at),
                sentence.to_owned(),
            );
        }
        let ((was, old_at), (is, new_at)) =
            (Self::setting(self.old, old, "strictness"), Self::setting(self.new, new, "strictness"));
        let enforced =
            |written: Option<&Value>| written.and_then(Value::as_str).is_none_or(|word| word == "enforce");
        let (rule, level, sentence) = match (enforced(was), enforced(is)) {
            (true, false) => (
                // What readers were told stays as it is; a broken answer comes where a 502 came.
                "answers-not-enforced",
                Level::Compatible,
                "answers that break the contract are no longer withheld",
            ),
            (false, true) => {
                ("answers-enforced", Level::Compatible, "answers that break the contract are now withheld")
            }
            _ => return,
        };
        self.about_setting(rule, level, Side::Response, Places::both(&old_at, &new_at), sentence.to_owned());
    }
}

const SETTINGS: &str = "x-gateway";
