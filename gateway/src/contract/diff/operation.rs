//! What differs in one operation, apart from its messages?

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::source::At;
use super::paths::Described;
use super::report::{Level, Side, Subject, SubjectKind};
use super::{Comparison, Flow, Places, Version};

impl Comparison<'_> {
    pub(super) fn operation(&mut self, old: &Described, new: &Described) {
        self.operation_id(old, new);
        self.lifecycle(old, new);
        self.settings(old, new);
        self.tags(&old.at, &new.at);
        self.own_servers(old, new);
        self.security(old, new);
        self.parameters(old, new);
        self.request_body(old, new);
        self.responses(old, new);
        self.callbacks(&old.at.key("callbacks"), &new.at.key("callbacks"));
    }

    pub(super) fn about_operation(
        &mut self,
        rule: &'static str,
        level: Level,
        places: Places<'_>,
        sentence: String,
    ) {
        self.tell(rule, level, Side::Both, Subject::new(SubjectKind::Operation), places, sentence);
    }

    fn operation_id(&mut self, old: &Described, new: &Described) {
        let (rule, sentence) = match (&old.operation_id, &new.operation_id) {
            (Some(before), Some(after)) if before != after => (
                "operation-id-changed",
                format!(
                    "the operation is called `{after}` and no longer `{before}`, as methods of generated clients are"
                ),
            ),
            (Some(before), None) => {
                ("operation-id-removed", format!("the operation is no longer called `{before}`"))
            }
            (None, Some(after)) => ("operation-id-added", format!("the operation is now called `{after}`")),
            _ => return,
        };
        self.about_operation(rule, Level::Compatible, Places::both(&old.at, &new.at), sentence);
    }

    fn tags(&mut self, old: &At, new: &At) {
        let list = |version: Version<'_>, at: &At| -> BTreeSet<String> {
            let tags = version.source.member(at, "tags").and_then(Value::as_array).into_iter().flatten();
            tags.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (before, after) = (list(self.old, old), list(self.new, new));
        for (rule, tags, verb) in [
            ("tag-added", after.difference(&before), "added to"),
            ("tag-removed", before.difference(&after), "removed from"),
        ] {
            for tag in tags.cloned().collect::<Vec<_>>() {
                let sentence = format!("the tag `{tag}` is {verb} the operation");
                let subject = Subject::new(SubjectKind::Operation).named(tag);
                self.tell(rule, Level::Compatible, Side::Both, subject, Places::both(old, new), sentence);
            }
        }
    }

    /// Servers of a path or operation take the place of the document's.
    fn own_servers(&mut self, old: &Described, new: &Described) {
        let own = |version: Version<'_>, described: &Described| -> Option<At> {
            let places = [described.at.key("servers"), described.item.key("servers")];
            places.into_iter().find(|at| version.source.value(at).is_some())
        };
        let (before, after) = (own(self.old, old), own(self.new, new));
        if before.is_some() || after.is_some() {
            let before = before.unwrap_or_else(|| self.old.source.root().key("servers"));
            let after = after.unwrap_or_else(|| self.new.source.root().key("servers"));
            self.servers(&before, &after);
        }
    }

    /// Callbacks go the other way: what the API sends, partners read.
    fn callbacks(&mut self, old: &At, new: &At) {
        if self.flow == Flow::Called || self.old.source.value(old) == self.new.source.value(new) {
            return;
        }
        let names: BTreeSet<String> = super::keys(self.old, old)
            .into_iter()
            .chain(super::keys(self.new, new))
            .map(str::to_owned)
            .collect();
        for name in names {
            let (was, is) = (old.key(&name), new.key(&name));
            let (before, after) = (self.old.source.follow(was.clone()), self.new.source.follow(is.clone()));
            let there = (self.old.source.value(&was).is_some(), self.new.source.value(&is).is_some());
            match (before, after, there) {
                (Ok(before), Ok(after), (true, true)) => self.callback(&before, &after),
                (_, _, (true, false)) => {
                    let sentence =
                        format!("the callback `{name}` is removed; who waits for it waits for ever");
                    self.about_operation("callback-removed", Level::Breaking, Places::gone(&was), sentence);
                }
                (_, _, (false, true)) => {
                    let sentence = format!("the callback `{name}` is added");
                    self.about_operation("callback-added", Level::Compatible, Places::come(&is), sentence);
                }
                _ => {
                    let sentence = format!(
                        "the callback `{name}` cannot be looked at, so whether it changed is undecided"
                    );
                    let places = Places::both(&was, &is);
                    self.about_operation("reference-undecided", Level::PossiblyBreaking, places, sentence);
                }
            }
        }
    }

    fn callback(&mut self, old: &At, new: &At) {
        let pairing = super::paths::Pairing::new(self.old, old, self.new, new);
        self.flow = Flow::Called;
        for pair in pairing.pairs {
            match pair {
                (Some(old), Some(new)) => {
                    self.parameters(&old, &new);
                    self.request_body(&old, &new);
                    self.responses(&old, &new);
                }
                (Some(old), None) => {
                    let sentence =
                        format!("the callback to `{}` is removed; who waits for it waits for ever", old.path);
                    self.about_operation(
                        "callback-removed",
                        Level::Breaking,
                        Places::gone(&old.at),
                        sentence,
                    );
                }
                (None, Some(new)) => {
                    let sentence = format!("the callback to `{}` is added", new.path);
                    self.about_operation(
                        "callback-added",
                        Level::Compatible,
                        Places::come(&new.at),
                        sentence,
                    );
                }
                (None, None) => {}
            }
        }
        self.flow = Flow::Served;
    }
}
