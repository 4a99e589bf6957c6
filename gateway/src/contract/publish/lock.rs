//! What does `contracts/published.lock` say? Which files of each contract may be served, and since when.
//!
//! It is text that people review. It is written whole or not at all, and what cannot be read is a mistake:
//! never "nothing is published". It does not look at the contracts themselves.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::name::Name;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::disk::{self, Readers};
use crate::document::{Document, token};

/// What is published, by contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    entries: BTreeMap<Name, Entry>,
}

/// What was published of one contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is served.
    pub current: Release,
    /// What was served before, the latest first.
    pub earlier: Vec<Release>,
    /// That it is not served any more, and never will be again.
    pub retired: Option<Retirement>,
}

/// One digest of a contract, and how it came to be served.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// SHA-256 of its files, in hexadecimal.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub digest: String,
    /// When it was published.
    #[schemars(with = "String")]
    pub published: Timestamp,
    /// Who published it.
    pub author: String,
    /// What is different from the release before, a line each.
    pub changes: Vec<String>,
}

/// When a contract was taken out of service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retirement {
    /// When.
    #[schemars(with = "String")]
    pub time: Timestamp,
    /// Who did it.
    pub author: String,
    /// Why nobody is hurt.
    pub reason: String,
}

/// The file as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The form of this file.
    #[expect(dead_code, reason = "it is looked at before anything else is read")]
    lock: u32,
    contracts: BTreeMap<String, WrittenEntry>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    digest: String,
    #[schemars(with = "String")]
    published: Timestamp,
    author: String,
    changes: Vec<String>,
    #[serde(default)]
    earlier: Vec<Release>,
    #[serde(default)]
    retired: Option<Retirement>,
}

impl Lock {
    /// Reads the lock of the contracts in `root`. When there is no such file, nothing was published yet.
    ///
    /// # Errors
    /// It is there and cannot be read, or is not what the gateway writes.
    pub fn read(root: &Path) -> Result<Self, Diagnostics> {
        let (path, name) = (path(root), shown(root));
        match path.try_exists() {
            Ok(false) if !path.is_symlink() => Ok(Self::default()),
            Ok(_) => Self::from_document(&Document::read(&path, &name)?),
            Err(fault) => {
                let told = format!("cannot be read: {}", fault.kind());
                Err(Diagnostic::error(Place::file(&name), told).into())
            }
        }
    }

    fn from_document(document: &Document) -> Result<Self, Diagnostics> {
        let form = document.value().get("lock").and_then(Value::as_u64);
        if let Some(form) = form.filter(|form| *form != u64::from(FORM)) {
            let told = format!("this file has the form {form}; this gateway reads form {FORM}");
            let told = Diagnostic::error(document.place("/lock"), told);
            return Err(told.help("it was written by another version of the gateway").into());
        }
        let Written { contracts, .. } = document.to()?;
        let mut mistakes = Diagnostics::new();
        let mut entries = BTreeMap::new();
        for (text, entry) in contracts {
            let at = format!("/contracts/{}", token(&text));
            match text.parse::<Name>() {
                Ok(name) if name.to_string() == text => {
                    entries.insert(name, Entry::from(entry));
                }
                Ok(_) | Err(_) => {
                    let told = format!("`{text}` names no contract");
                    mistakes.push(Diagnostic::error(document.key_place(&at), told));
                }
            }
        }
        mistakes.into_result(Some(Self { entries })).map(|(lock, _)| lock)
    }

    /// Every contract that was ever published, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.entries.iter()
    }

    /// What was published of a contract.
    #[must_use]
    pub fn entry(&self, name: &Name) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The digest that may be served of a contract.
    #[must_use]
    pub fn served(&self, name: &Name) -> Option<&str> {
        let entry = self.entries.get(name).filter(|entry| entry.retired.is_none())?;
        Some(&entry.current.digest)
    }

    /// Makes `release` what is served; what was served before is kept as an earlier one.
    pub(super) fn publish(&mut self, name: &Name, release: Release) {
        match self.entries.get_mut(name) {
            Some(entry) => {
                let before = std::mem::replace(&mut entry.current, release);
                entry.earlier.insert(0, before);
            }
            None => {
                let entry = Entry { current: release, earlier: Vec::new(), retired: None };
                self.entries.insert(name.clone(), entry);
            }
        }
    }

    pub(super) fn retire(&mut self, name: &Name, retirement: Retirement) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.retired = Some(retirement);
        }
    }

    /// Writes it beside the contracts in `root`, whole or not at all.
    pub(super) fn write(&self, root: &Path) -> io::Result<()> {
        disk::replace(&path(root), self.to_text().as_bytes(), Readers::Anybody)
    }

    /// The file's text: the same for the same content, whoever writes it.
    fn to_text(&self) -> String {
        let mut text = format!("{HEAD}lock: {FORM}\n");
        if self.entries.is_empty() {
            text.push_str("contracts: {}\n");
            return text;
        }
        text.push_str("contracts:\n");
        for (name, entry) in &self.entries {
            line(&mut text, 1, &format!("{name}:"));
            release(&mut text, "    ", "    ", &entry.current);
            if let Some(Retirement { time, author, reason }) = &entry.retired {
                line(&mut text, 2, "retired:");
                line(&mut text, 3, &format!("time: {time}"));
                line(&mut text, 3, &format!("author: {}", quoted(author)));
                line(&mut text, 3, &format!("reason: {}", quoted(reason)));
            }
            if !entry.earlier.is_empty() {
                line(&mut text, 2, "earlier:");
            }
            for earlier in &entry.earlier {
                release(&mut text, "      - ", "        ", earlier);
            }
        }
        text
    }
}

impl Entry {
    /// The latest release of this digest.
    #[must_use]
    pub fn release(&self, digest: &str) -> Option<&Release> {
        std::iter::once(&self.current).chain(&self.earlier).find(|release| release.digest == digest)
    }
}

impl From<WrittenEntry> for Entry {
    fn from(written: WrittenEntry) -> Self {
        let WrittenEntry { digest, published, author, changes, earlier, retired } = written;
        Self { current: Release { digest, published, author, changes }, earlier, retired }
    }
}

fn release(text: &mut String, first: &str, indent: &str, release: &Release) {
    let Release { digest, published, author, changes } = release;
    let mut rows = vec![format!("digest: {digest}"), format!("published: {published}")];
    rows.push(format!("author: {}", quoted(author)));
    rows.push(if changes.is_empty() { "changes: []".to_owned() } else { "changes:".to_owned() });
    rows.extend(changes.iter().map(|change| format!("  - {}", quoted(change))));
    for (n, row) in rows.iter().enumerate() {
        text.push_str(if n == 0 { first } else { indent });
        text.push_str(row);
        text.push('\n');
    }
}

fn line(text: &mut String, depth: usize, row: &str) {
    text.push_str(&"  ".repeat(depth));
    text.push_str(row);
    text.push('\n');
}

/// A text between double quotes, as YAML and JSON both read it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Where the lock of the contracts in `root` is.
pub(super) fn path(root: &Path) -> PathBuf {
    root.join(FILE)
}

/// What diagnostics call it.
pub(super) fn shown(root: &Path) -> String {
    path(root).display().to_string()
}

const FILE: &str = "published.lock";
const FORM: u32 = 1;
const HEAD: &str = "\
# Which files of each contract may be served. Written by `gateway contract publish`, `rollback` and `retire`: review it
# like code, and do not edit it. A contract that differs from its digest here is not served.
";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn release_of(digit: char, changes: &[&str]) -> Release {
        Release {
            digest: digit.to_string().repeat(64),
            published: "2026-11-28T21:40:00Z".parse().unwrap(),
            author: "Ada Example <ada@retailer.example>".to_owned(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
        }
    }

    fn read(text: &str) -> Result<Lock, Diagnostics> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(path(root.path()), text).unwrap();
        Lock::read(root.path())
    }

    #[test]
    fn what_is_published_is_text_that_people_can_review() {
        let mut lock = Lock::default();
        let (orders, stock) = (Name::new("orders", "v2"), Name::new("stock", "v1"));
        lock.publish(&stock, release_of('c', &["first release, 3 operations"]));
        lock.publish(&orders, release_of('a', &["first release, 4 operations"]));
        lock.publish(&orders, release_of('b', &["1 compatible change", "adds `giftNote`"]));
        let now = "2026-11-29T00:00:00Z".parse().unwrap();
        lock.retire(
            &stock,
            Retirement { time: now, author: "ops".to_owned(), reason: "after its sunset".to_owned() },
        );
        let (a, b, c) = ("a".repeat(64), "b".repeat(64), "c".repeat(64));
        let expected = format!(
            "{HEAD}lock: 1
contracts:
  orders/v2:
    digest: {b}
    published: 2026-11-28T21:40:00Z
    author: \"Ada Example <ada@retailer.example>\"
    changes:
      - \"1 compatible change\"
      - \"adds `giftNote`\"
    earlier:
      - digest: {a}
        published: 2026-11-28T21:40:00Z
        author: \"Ada Example <ada@retailer.example>\"
        changes:
          - \"first release, 4 operations\"
  stock/v1:
    digest: {c}
    published: 2026-11-28T21:40:00Z
    author: \"Ada Example <ada@retailer.example>\"
    changes:
      - \"first release, 3 operations\"
    retired:
      time: 2026-11-29T00:00:00Z
      author: \"ops\"
      reason: \"after its sunset\"
"
        );
        assert_eq!(lock.to_text(), expected);
        assert_eq!(read(&expected).unwrap(), lock);
        assert_eq!(lock.served(&orders), Some(b.as_str()));
        assert_eq!(lock.served(&stock), None);
        assert!(lock.entry(&orders).unwrap().release(&a).is_some());
    }

    #[test]
    fn a_lock_that_cannot_be_read_is_a_mistake_and_one_that_is_not_there_is_empty() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(Lock::read(empty.path()).unwrap(), Lock::default());
        let digest = "a".repeat(64);
        let entry = |digest: &str, more: &str| {
            format!(
                "lock: 1\ncontracts:\n  a/v1: {{digest: '{digest}', published: '2026-11-28T21:40:00Z', author: x, changes: []{more}}}\n"
            )
        };
        assert!(read(&entry(&digest, "")).is_ok());
        for (text, told) in [
            (String::new(), "published.lock:1:1"),
            ("lock: 2\ncontracts: {}\n".to_owned(), "the form 2"),
            ("lock: 1\n<<<<<<< HEAD\n".to_owned(), "published.lock:3:1"),
            ("lock: 1\n".to_owned(), "`contracts` is missing"),
            (entry("abc", ""), "published.lock:3"),
            (entry(&digest, ", digests: []"), "unknown key `digests`"),
            (entry(&digest, "").replace("a/v1", "a"), "`a` names no contract"),
            (entry(&digest, "").replace("a/v1", "b/a/v1"), "`b/a/v1` names no contract"),
            (entry(&digest, "").replace("2026-11-28", "2026-13-28"), "published.lock"),
        ] {
            let mistakes = read(&text).unwrap_err().to_string();
            assert!(mistakes.contains(told), "{text}\n{mistakes}");
        }
        std::fs::create_dir(path(empty.path())).unwrap();
        assert!(Lock::read(empty.path()).is_err());
        std::fs::remove_dir(path(empty.path())).unwrap();
        std::os::unix::fs::symlink(empty.path().join("nowhere"), path(empty.path())).unwrap();
        assert!(Lock::read(empty.path()).is_err(), "a link that leads nowhere is not an empty lock");
    }

    fn release_strategy() -> impl Strategy<Value = Release> {
        let texts = proptest::collection::vec("\\PC{0,20}|[\"'\\\\#:{}\\[\\]\n\t\r -]{0,12}", 0..3);
        ("[0-9a-f]{64}", "\\PC{0,20}|[\"\\\\:#\n -]{0,9}", texts, 0..4_000_000_000_i64).prop_map(
            |(digest, author, changes, second)| Release {
                digest,
                author,
                changes,
                published: Timestamp::from_second(second).unwrap(),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn what_was_written_is_read_back(releases in proptest::collection::vec(("[a-c]/v[1-3](_[0-9])?", release_strategy()), 0..6)) {
            let mut lock = Lock::default();
            for (name, release) in releases {
                lock.publish(&name.parse().unwrap(), release);
            }
            prop_assert_eq!(read(&lock.to_text()).unwrap(), lock);
        }
    }
}
