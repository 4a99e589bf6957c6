//! What is live, since when, for how long, and who uses it?

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::super::source::Source;
use super::enforce::Standing;
use super::lock::{Lock, Release};
use super::name::Name;
use super::promise::{self, METHODS};
use super::shelf::Shelf;
use crate::diagnostic::Diagnostics;

/// One version of one API.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub name: Name,
    /// How its files stand to what was published; nothing when its folder is missing.
    pub standing: Option<Standing>,
    /// What is recorded of it.
    pub release: Option<Release>,
    /// How many releases there were before.
    pub earlier: usize,
    /// How many operations it has.
    pub operations: usize,
    /// Its dates.
    pub life: Life,
    /// What is known of its use; nothing when nobody counted.
    pub usage: Option<Usage>,
}

/// The dates of a version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Life {
    /// From when on it is deprecated.
    pub deprecated: Option<Timestamp>,
    /// When it is switched off.
    pub sunset: Option<Timestamp>,
}

/// How much a version is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Calls that were counted.
    pub calls: u64,
    /// Callers that made them.
    pub callers: usize,
}

/// Every version that has a folder or was published and not retired, by name. `usage` is what was counted of each,
/// if anything was.
///
/// # Errors
/// The lock or the folder of the contracts cannot be read. A contract that cannot be read is a row without dates.
pub fn rows(shelf: &Shelf, usage: Option<&BTreeMap<Name, Usage>>) -> Result<Vec<Row>, Diagnostics> {
    let lock = Lock::read(shelf.root())?;
    let live = lock.iter().filter(|(_, entry)| entry.retired.is_none()).map(|(name, _)| name.clone());
    let names: BTreeSet<Name> = shelf.names()?.into_iter().chain(live).collect();
    let none = Usage { calls: 0, callers: 0 };
    let row = |name: Name| {
        let source = shelf.folder(&name).exists().then(|| shelf.source(&name));
        let standing = source.as_ref().map(|source| match source {
            Ok(source) => Standing::of(&lock, &name, source.digest()),
            Err(_cannot_be_read) => Standing::of(&lock, &name, ""),
        });
        let source = source.and_then(Result::ok);
        let entry = lock.entry(&name);
        Row {
            standing,
            release: entry.map(|entry| entry.current.clone()),
            earlier: entry.map_or(0, |entry| entry.earlier.len()),
            operations: source.as_ref().map_or(0, operations),
            life: source.as_ref().map_or_else(Life::default, promise::life),
            usage: usage.map(|usage| usage.get(&name).copied().unwrap_or(none)),
            name,
        }
    };
    Ok(names.into_iter().map(row).collect())
}

/// How many operations a contract describes.
pub(super) fn operations(source: &Source) -> usize {
    let paths = source.root().key("paths");
    let items = source.value(&paths).and_then(Value::as_object).into_iter().flat_map(|items| items.keys());
    items
        .filter_map(|path| source.follow(paths.key(path)).ok())
        .map(|item| METHODS.iter().filter(|method| source.value(&item.key(method)).is_some()).count())
        .sum()
}
