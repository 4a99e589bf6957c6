//! Which operation of the newer contract is which of the older one?
//!
//! A path is its text between parameters: what the parameters are called changes nothing for callers.

use std::collections::BTreeMap;

use super::super::source::At;
use super::schema::Version;
use super::{keys, text};

/// One operation of one contract.
#[derive(Debug, Clone)]
pub(super) struct Described {
    /// `post`.
    pub(super) method: &'static str,
    /// `/orders/{orderId}`.
    pub(super) path: String,
    pub(super) operation_id: Option<String>,
    pub(super) at: At,
    /// The path item around it.
    pub(super) item: At,
}

/// The operations of both contracts, side by side, in the order of the newer one; what is gone comes last.
pub(super) struct Pairing {
    pub(super) pairs: Vec<(Option<Described>, Option<Described>)>,
    /// Path items that could not be looked at.
    pub(super) unreadable: Vec<(bool, At)>,
}

/// The operations in a mapping of paths, or of names of webhooks.
pub(super) fn operations(version: Version<'_>, paths: &At, unreadable: &mut Vec<At>) -> Vec<Described> {
    let mut found = Vec::new();
    for path in keys(version, paths) {
        let written = paths.key(path);
        let Ok(item) = version.source.follow(written.clone()) else {
            unreadable.push(written);
            continue;
        };
        for method in METHODS {
            let at = item.key(method);
            if version.source.value(&at).is_some() {
                let operation_id = text(version, &at, "operationId").map(str::to_owned);
                found.push(Described { method, path: path.to_owned(), operation_id, at, item: item.clone() });
            }
        }
    }
    found
}

impl Pairing {
    pub(super) fn new(old: Version<'_>, old_paths: &At, new: Version<'_>, new_paths: &At) -> Self {
        let (mut old_broken, mut new_broken) = (Vec::new(), Vec::new());
        let before = operations(old, old_paths, &mut old_broken);
        let after = operations(new, new_paths, &mut new_broken);
        let mut left: BTreeMap<(String, &str), Vec<Described>> = BTreeMap::new();
        for operation in before.iter().cloned() {
            left.entry((skeleton(&operation.path), operation.method)).or_default().push(operation);
        }
        let mut pairs = Vec::new();
        for operation in after {
            let same = left.get_mut(&(skeleton(&operation.path), operation.method)).and_then(|same| {
                let exact = same.iter().position(|other| other.path == operation.path);
                let n = exact.unwrap_or(0);
                (n < same.len()).then(|| same.remove(n))
            });
            pairs.push((same, Some(operation)));
        }
        let gone = before.into_iter().filter(|old| {
            left.get(&(skeleton(&old.path), old.method))
                .is_some_and(|rest| rest.iter().any(|other| other.at == old.at))
        });
        pairs.extend(gone.map(|old| (Some(old), None)));
        let unreadable = old_broken
            .into_iter()
            .map(|at| (true, at))
            .chain(new_broken.into_iter().map(|at| (false, at)))
            .collect();
        Self { pairs, unreadable }
    }
}

/// A template without the names of its parameters.
pub(super) fn skeleton(path: &str) -> String {
    let mut skeleton = String::new();
    let mut inside = false;
    for letter in path.chars() {
        match letter {
            '{' => {
                inside = true;
                skeleton.push_str("{}");
            }
            '}' => inside = false,
            letter if !inside => skeleton.push(letter),
            _ => {}
        }
    }
    skeleton
}

/// The names of the parameters in a template, in order.
pub(super) fn names(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name)).collect()
}

const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];
