//! Do two places of the two contracts say the same, with everything that they refer to?
//!
//! What is written alike and refers to what is written alike, all the way, need not be looked at. Most of two
//! versions of a large contract is.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::super::super::source::At;
use super::term::{Atom, Version};

/// Which places of the two contracts differ.
pub(in super::super) struct Sameness<'s> {
    old: Version<'s>,
    new: Version<'s>,
    /// Where references of the older contract lead that do not lead to the same in the newer one.
    different: HashSet<At>,
    /// The number in the newer contract of each file of the older one.
    files: Vec<Option<usize>>,
}

impl<'s> Sameness<'s> {
    pub(super) fn new(old: Version<'s>, new: Version<'s>) -> Self {
        let count = |version: Version<'_>| version.source.values().count();
        let name = |version: Version<'s>, n: usize| version.source.short_name(n);
        let files = (0..count(old))
            .map(|n| (0..count(new)).find(|other| name(old, n) == name(new, *other)))
            .collect();
        let mut same = Self { old, new, different: HashSet::new(), files };
        same.find();
        same
    }

    /// Whether two places say the same.
    pub(super) fn values(&self, old: &At, new: &At) -> bool {
        let (Some(was), Some(is)) = (self.old.value(old), self.new.value(new)) else { return false };
        if self.old.dialect != self.new.dialect
            || self.files.get(old.file) != Some(&Some(new.file))
            || was != is
        {
            return false;
        }
        let (targets, all_followed) = targets(self.old, old.file, was);
        all_followed && !targets.iter().any(|target| self.different.contains(target))
    }

    /// Whether two terms say the same, schema by schema.
    pub(super) fn terms(&self, old: &[Atom], new: &[Atom]) -> bool {
        old.len() == new.len()
            && old.iter().zip(new).all(|(old, new)| old.taken == new.taken && self.values(&old.at, &new.at))
    }

    /// Follows all references, and spreads every difference to what refers to it.
    fn find(&mut self) {
        let mut users: HashMap<At, Vec<At>> = HashMap::new();
        let (mut seen, mut differing) = (HashSet::new(), Vec::new());
        let mut waiting: Vec<At> = Vec::new();
        for (file, value) in self.old.source.values().enumerate() {
            waiting.extend(targets(self.old, file, value).0);
        }
        while let Some(at) = waiting.pop() {
            if !seen.insert(at.clone()) {
                continue;
            }
            let file = self.files.get(at.file).copied().flatten();
            let is = file.and_then(|file| self.new.value(&At { file, pointer: at.pointer.clone() }));
            let Some(was) = self.old.value(&at) else { continue };
            let (inner, all_followed) = targets(self.old, at.file, was);
            if Some(was) != is || !all_followed {
                differing.push(at.clone());
            }
            for target in inner {
                users.entry(target.clone()).or_default().push(at.clone());
                waiting.push(target);
            }
        }
        while let Some(at) = differing.pop() {
            if self.different.insert(at.clone()) {
                differing.extend(users.get(&at).into_iter().flatten().cloned());
            }
        }
    }
}

/// Where the references in a value of the file lead, and whether all of them could be followed.
fn targets(version: Version<'_>, file: usize, value: &Value) -> (Vec<At>, bool) {
    let (mut found, mut all_followed) = (Vec::new(), true);
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    match version.source.target(file, reference) {
                        Ok(at) => found.push(at),
                        Err(_why) => all_followed = false,
                    }
                }
                // What these words refer to depends on more than where they stand.
                let moving = ["$id", "$dynamicRef", "$recursiveRef"];
                all_followed = all_followed && !moving.iter().any(|word| members.contains_key(*word));
                waiting.extend(members.values());
            }
            Value::Array(items) => waiting.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    (found, all_followed)
}
