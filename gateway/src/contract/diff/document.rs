//! What differs in the contract as a whole, and which operations came and went?

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::source::At;
use super::paths::{Described, Pairing};
use super::report::{Level, OperationName, Side, Subject, SubjectKind};
use super::{Comparison, Flow, Places, keys, text};

impl Comparison<'_> {
    pub(super) fn documents(&mut self) {
        let (old, new) = (self.old.source.root(), self.new.source.root());
        self.servers(&old.key("servers"), &new.key("servers"));
        self.schemes();
        self.versioning();
        self.brownouts(&old, &new, SubjectKind::Contract);
        let (paths, webhooks) = (old.key("paths"), old.key("webhooks"));
        self.all_operations(&paths, &new.key("paths"));
        self.flow = Flow::Called;
        self.all_operations(&webhooks, &new.key("webhooks"));
        self.flow = Flow::Served;
        self.components();
        self.versions();
    }

    fn all_operations(&mut self, old: &At, new: &At) {
        let Pairing { pairs, unreadable } = Pairing::new(self.old, old, self.new, new);
        for (is_old, at) in unreadable {
            let places = if is_old { Places::gone(&at) } else { Places::come(&at) };
            let sentence =
                "a path cannot be looked at, so whether its operations changed is undecided".to_owned();
            let subject = Subject::new(SubjectKind::Contract);
            self.tell("reference-undecided", Level::PossiblyBreaking, Side::Both, subject, places, sentence);
        }
        for pair in &pairs {
            match pair {
                (Some(old), Some(new)) => {
                    let operation_id = old.operation_id.clone().or_else(|| new.operation_id.clone());
                    self.operation = Some(name(new, operation_id));
                    self.operation(old, new);
                }
                (None, Some(new)) => {
                    self.operation = Some(name(new, new.operation_id.clone()));
                    let (rule, what) = match self.flow {
                        Flow::Served => ("operation-added", "the operation"),
                        Flow::Called => ("webhook-added", "the webhook"),
                    };
                    let subject = Subject::new(SubjectKind::Operation);
                    let sentence = format!("{what} is added");
                    self.tell(rule, Level::Compatible, Side::Both, subject, Places::come(&new.at), sentence);
                }
                (Some(old), None) => {
                    self.operation = Some(name(old, old.operation_id.clone()));
                    self.operation_removed(old);
                }
                (None, None) => {}
            }
            self.operation = None;
        }
    }

    /// An address that is gone, or new. OpenAPI 3.1.1 section 4.8.1: without servers it is `/`.
    pub(super) fn servers(&mut self, old: &At, new: &At) {
        let list = |version: super::Version<'_>, at: &At| -> Vec<(String, At)> {
            let written = version.source.value(at).and_then(Value::as_array).map_or(0, Vec::len);
            let all = (0..written).map(|n| at.item(n));
            let found: Vec<(String, At)> = all.map(|at| (server(version, &at), at)).collect();
            if found.is_empty() { vec![("/".to_owned(), at.clone())] } else { found }
        };
        let (before, after) = (list(self.old, old), list(self.new, new));
        let path = |url: &str| -> String {
            let rest = url
                .split_once("://")
                .map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
            rest.trim_matches('/').to_owned()
        };
        for (url, at) in
            before.iter().filter(|(url, _)| !after.iter().any(|(other, _)| is_same_server(url, other)))
        {
            // The path is what the gateway serves; the host may be one of several names.
            let still_there = after.iter().any(|(other, _)| path(other) == path(url));
            let level = if still_there { Level::PossiblyBreaking } else { Level::Breaking };
            let sentence = format!("the server `{url}` is removed; callers that use it have to move");
            let subject = Subject::new(SubjectKind::Server).named(url.clone());
            self.tell("server-removed", level, Side::Both, subject, Places::gone(at), sentence);
        }
        for (url, at) in
            after.iter().filter(|(url, _)| !before.iter().any(|(other, _)| is_same_server(url, other)))
        {
            let sentence = format!("the server `{url}` is added");
            let subject = Subject::new(SubjectKind::Server).named(url.clone());
            self.tell("server-added", Level::Compatible, Side::Both, subject, Places::come(at), sentence);
        }
    }

    /// Named parts that are gone: who built on them by name, in a document of their own, cannot any more.
    fn components(&mut self) {
        let (old, new) = (self.old.source.root().key("components"), self.new.source.root().key("components"));
        for kind in ["schemas", "parameters", "responses", "requestBodies", "headers"] {
            let after: BTreeSet<&str> = keys(self.new, &new.key(kind)).into_iter().collect();
            for gone in keys(self.old, &old.key(kind)).into_iter().filter(|name| !after.contains(name)) {
                let subject = Subject::new(SubjectKind::Component).named(gone);
                let sentence = format!("`{gone}` is no longer among the `{kind}` that the contract names");
                let at = old.key(kind).key(gone);
                self.tell(
                    "component-removed",
                    Level::Compatible,
                    Side::Both,
                    subject,
                    Places::gone(&at),
                    sentence,
                );
            }
        }
    }

    /// The version that the documents say they are.
    fn versions(&mut self) {
        let at = |root: At| root.key("info").key("version");
        let (old_at, new_at) = (at(self.old.source.root()), at(self.new.source.root()));
        let info = |root: At| root.key("info");
        let before = text(self.old, &info(self.old.source.root()), "version").unwrap_or_default().to_owned();
        let after = text(self.new, &info(self.new.source.root()), "version").unwrap_or_default().to_owned();
        let breaks = self.changes.iter().any(|change| change.level == Level::Breaking);
        let (rule, sentence) = match (numbers(&before), numbers(&after)) {
            _ if before == after && breaks => {
                ("version-not-changed", format!("callers may break, and the version is still `{after}`"))
            }
            (Some(old), Some(new)) if new < old => {
                ("version-decreased", format!("the version goes back from `{before}` to `{after}`"))
            }
            (Some(old), Some(new)) if breaks && old.first() == new.first() => (
                "major-version-not-changed",
                format!(
                    "callers may break, and the version goes from `{before}` to `{after}`: the same major version"
                ),
            ),
            _ => return,
        };
        let subject = Subject::new(SubjectKind::Contract);
        self.tell(rule, Level::Compatible, Side::Both, subject, Places::both(&old_at, &new_at), sentence);
    }
}

fn name(operation: &Described, operation_id: Option<String>) -> OperationName {
    let method = operation.method.to_ascii_uppercase();
    OperationName { method, path: operation.path.clone(), operation_id }
}

/// The address of a server with the defaults of its variables.
fn server(version: super::Version<'_>, at: &At) -> String {
    let mut url = text(version, at, "url").unwrap_or_default().to_owned();
    let variables = at.key("variables");
    for name in keys(version, &variables) {
        if let Some(default) = text(version, &variables.key(name), "default") {
            url = url.replace(&format!("{{{name}}}"), default);
        }
    }
    url
}

fn is_same_server(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// `1.20.3` as numbers, without what a hyphen begins.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let plain = version.trim_start_matches('v').split(['-', '+']).next()?;
    plain.split('.').map(|number| number.parse().ok()).collect()
}
