//! What does a broken `gateway.yaml` still say? As much as is needed to look for mistakes beside it.
//!
//! Nothing is ever served from an outline.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::resolve::beside;
use super::settings::default;
use crate::document::Document;

/// Where the other files are, and which issuers callers may name.
#[derive(Debug, PartialEq, Eq)]
pub struct Outline {
    /// The folder of the policies.
    pub policies: PathBuf,
    /// The folder of the contracts.
    pub contracts: PathBuf,
    /// Where it is counted who still uses what.
    pub usage: PathBuf,
    /// Where the admin listener is.
    pub admin: Option<SocketAddr>,
    /// The names of the issuers; `None` when the file is no YAML at all.
    pub issuers: Option<Vec<String>>,
}

impl Outline {
    /// Reads as much of the file at `path` as can be read.
    #[must_use]
    pub fn read(path: &Path) -> Self {
        let document = Document::read(path, &path.display().to_string()).ok();
        let value = document.as_ref().map(Document::value);
        let base = path.parent().unwrap_or_else(|| Path::new(""));
        let folder = |key: &str, usual: &str| {
            let named = value.and_then(|value| value.get(key)).and_then(Value::as_str);
            base.join(named.unwrap_or(usual))
        };
        let issuers = value.map(|value| {
            let named = value.get("issuers").and_then(Value::as_object);
            named.into_iter().flat_map(|named| named.keys().cloned()).collect()
        });
        let named = |part: &str, key: &str| {
            let named = value.and_then(|value| value.get(part)?.get(key)).and_then(Value::as_str);
            named.map(|named| base.join(named))
        };
        let admin = value.and_then(|value| value.get("admin")?.get("address")).and_then(Value::as_str);
        let audit = || named("audit", "directory").unwrap_or_else(|| base.join("audit"));
        Self {
            usage: named("usage", "file").unwrap_or_else(|| beside(&audit(), default::USAGE)),
            policies: folder("policies", default::POLICIES),
            contracts: folder("contracts", default::CONTRACTS),
            admin: admin.unwrap_or(default::ADMIN).parse().ok(),
            issuers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, text).unwrap();
        let Outline { policies, contracts, usage, admin, issuers } = Outline::read(&path);
        let relative = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
        Outline {
            policies: relative(policies),
            contracts: relative(contracts),
            usage: relative(usage),
            admin,
            issuers,
        }
    }

    #[test]
    fn the_counts_are_where_it_is_said_or_beside_the_audit_log() {
        for (text, usage) in [
            ("usage: {file: u/counts}", "u/counts"),
            ("audit: {directory: log/audit}", "log/usage.sqlite"),
            ("usage: 7\naudit: [x]", "usage.sqlite"),
        ] {
            assert_eq!(outline(text).usage, Path::new(usage), "{text}");
        }
    }

    #[test]
    fn the_admin_listener_is_where_it_is_said_or_where_it_usually_is() {
        for (text, admin) in [
            ("admin: {address: '127.0.0.1:7'}", Some("127.0.0.1:7")),
            ("admin: {}", Some(default::ADMIN)),
            ("admin: {address: here}", None),
        ] {
            assert_eq!(outline(text).admin, admin.map(|admin| admin.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_can_be_read_of_a_broken_file_is_read() {
        for (text, policies, issuers) in [
            ("policies: p\nissuers: {retail: 7}\nadmim: x", "p", Some(vec!["retail"])),
            ("policies: [p]\nissuers: 3", "policies", Some(vec![])),
            ("a: [", "policies", None),
        ] {
            let read = outline(text);
            assert_eq!(read.policies, Path::new(policies), "{text}");
            let named = issuers.map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(read.issuers, named, "{text}");
        }
    }
}
