//! Which room may know which? The table of the design; an edge that is not in it goes red.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every part of the crate and what it may name. Adding an edge is a visible change of this table.
const MAY_KNOW: &[(&str, &[&str])] = &[
    // What every reader of files stands on.
    ("diagnostic", &[]),
    ("document", &["diagnostic"]),
    ("units", &[]),
    ("memory", &[]),
    ("backoff", &[]),
    ("disk", &[]),
    // What every reader of servers stands on: how one is asked that may be wrong, slow or hostile.
    ("fetch", &[]),
    // The rooms.
    ("oauth", &["document", "fetch"]),
    ("revocation", &["diagnostic", "disk", "document"]),
    ("contract", &["diagnostic", "disk", "document", "units"]),
    ("identity", &["diagnostic", "document", "units", "fetch", "oauth", "revocation", "backoff"]),
    ("retirement", &["diagnostic", "document", "identity", "contract"]),
    ("policy", &["diagnostic", "document", "units", "identity", "contract"]),
    ("quota", &["diagnostic", "document", "units", "identity", "contract"]),
    ("credential", &["backoff", "diagnostic", "oauth", "vault"]),
    // Fetched as JWK sets and lists, or ordered from Vault.
    ("keyring", &["backoff", "disk", "document", "fetch", "vault"]),
    ("handshake", &["audit", "gateway"]),
    // What it is believed for, and what it is shown.
    ("upstream", &["backoff", "diagnostic", "contract", "credential", "keyring"]),
    ("audit", &[]),
    ("usage", &[]),
    ("vault", &["backoff", "diagnostic", "disk", "fetch", "units"]),
    ("telemetry", &[]),
    // What puts them together.
    (
        "config",
        &[
            "diagnostic",
            "document",
            "units",
            "audit",
            // Whether unpublished contracts are served is a setting.
            "contract",
            "credential",
            "edge",
            "identity",
            "keyring",
            "fetch",
            "oauth",
            "policy",
            "problem",
            "telemetry",
            "upstream",
            "usage",
            "vault",
        ],
    ),
    ("problem", &["contract", "edge"]),
    (
        "rejection",
        &[
            "audit",
            "contract",
            "credential",
            "edge",
            "identity",
            "policy",
            "problem",
            "quota",
            "retirement",
            "upstream",
        ],
    ),
    (
        "snapshot",
        &[
            "audit",
            "config",
            "contract",
            "credential",
            "diagnostic",
            "document",
            "edge",
            "identity",
            "keyring",
            "policy",
            "quota",
            "rejection",
            "retirement",
            "revocation",
            "telemetry",
            "trail",
            "units",
            "upstream",
            "vault",
        ],
    ),
    (
        "trail",
        &[
            "audit",
            "contract",
            "credential",
            "edge",
            "gateway",
            "identity",
            "policy",
            "quota",
            "rejection",
            "retirement",
            "snapshot",
            "telemetry",
            "upstream",
            "usage",
        ],
    ),
    (
        "exchange",
        &[
            "audit",
            "contract",
            "credential",
            "edge",
            "gateway",
            "identity",
            "policy",
            "quota",
            "rejection",
            "retirement",
            "snapshot",
            "trail",
            "upstream",
        ],
    ),
    (
        "edge",
        &[
            "config",
            "credential",
            "diagnostic",
            "exchange",
            "gateway",
            "handshake",
            "identity",
            "keyring",
            "rejection",
            "snapshot",
            "telemetry",
            "trail",
            "upstream",
        ],
    ),
    (
        "gateway",
        &[
            "audit",
            "config",
            "edge",
            "handshake",
            "identity",
            "keyring",
            "reload",
            "snapshot",
            "telemetry",
            "usage",
        ],
    ),
    ("reload", &["diagnostic", "gateway", "snapshot"]),
    ("upkeep", &["gateway", "handshake", "snapshot", "telemetry", "usage", "vault"]),
    ("drain", &["gateway"]),
    ("admin", &["diagnostic", "document", "revocation", "telemetry"]),
    (
        "status",
        &[
            "admin",
            "audit",
            "contract",
            "credential",
            "gateway",
            "keyring",
            "retirement",
            "snapshot",
            "upstream",
            "vault",
        ],
    ),
    ("orders", &["admin", "audit", "credential", "gateway", "revocation"]),
];

/// The only parts that may name Pingora.
const KNOW_PINGORA: &[&str] = &["edge", "exchange", "upstream"];

#[test]
fn rooms_know_only_what_the_table_says() {
    let mut faults = Vec::new();
    for (file, part) in sources() {
        // A command may use whatever it needs; nothing may use a command.
        if part == "cli" || part == "lib" || part == "main" {
            continue;
        }
        let Some((_, may_know)) = MAY_KNOW.iter().find(|(name, _)| *name == part) else {
            faults.push(format!("{}: `{part}` is not in the table", file.display()));
            continue;
        };
        for known in named_parts(&code(&file)) {
            if known != part && !may_know.contains(&known.as_str()) {
                faults.push(format!("{}: `{part}` may not know `{known}`", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pingora_is_named_only_at_the_edges() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|(_, part)| !KNOW_PINGORA.contains(&part.as_str()))
        .filter(|(file, _)| code(file).lines().any(|line| line.contains("pingora::")))
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(faults.is_empty(), "these name Pingora: {faults:?}");
}

#[test]
fn a_status_is_named_only_where_refusals_and_answers_are_made() {
    // 4xx and 5xx in the gateway's own words; rooms that read an upstream's or a key server's answer compare theirs.
    let allowed =
        ["rejection", "problem", "admin", "upstream", "contract", "identity", "oauth", "credential"];
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|(_, part)| !allowed.contains(&part.as_str()))
        .filter(|(file, _)| {
            code(file).lines().any(|line| {
                [
                    "BAD_REQUEST",
                    "UNAUTHORIZED",
                    "FORBIDDEN",
                    "NOT_FOUND",
                    "TOO_MANY",
                    "BAD_GATEWAY",
                    "UNAVAILABLE",
                ]
                .iter()
                .any(|name| line.contains(&format!("StatusCode::{name}")))
            })
        })
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(faults.is_empty(), "these name a refusal's status: {faults:?}");
}

#[test]
fn every_file_says_which_question_it_answers() {
    let faults: Vec<String> = sources()
        .into_iter()
        .filter(|(file, _)| !fs::read_to_string(file).unwrap().starts_with("//! "))
        .map(|(file, _)| file.display().to_string())
        .collect();
    assert!(faults.is_empty(), "these files begin without a module comment: {faults:?}");
}

#[test]
fn every_problem_type_has_its_page() {
    for kind in gateway::rejection::PROBLEM_TYPES {
        if kind.slug.contains(':') {
            continue; // registered with IANA, which explains it
        }
        let page = testbed::repository::folder(".").join(format!("gateway/problems/{}.md", kind.slug));
        let text = fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        assert!(text.starts_with(&format!("# {}\n", kind.slug)), "{}", page.display());
    }
}

#[test]
fn what_is_built_in_has_a_licence_on_the_list_and_is_not_banned() {
    // Crates for other platforms are in the list too, and are fetched if nothing has needed them yet.
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(testbed::repository::folder("."))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "cargo metadata lists the tree");
    let allowed = [
        "MIT",
        "MIT-0",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "CC0-1.0",
        "BSL-1.0",
        "0BSD",
        "Unlicense",
        "Apache-2.0 WITH LLVM-exception",
        "CDLA-Permissive-2.0",
        "Unicode-DFS-2016",
    ];
    let mut faults = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        if ["openssl-sys", "native-tls", "rsa"].contains(&name) {
            faults.insert(format!("{name} is banned"));
        }
        let licence = package["license"].as_str().unwrap_or("none");
        let fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            choice
                .trim_matches(['(', ')'])
                .split(" AND ")
                .all(|one| allowed.contains(&one.trim_matches(['(', ')', ' '])))
        });
        if !fits {
            faults.insert(format!("{name} has the licence {licence}"));
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

/// Every source file of the gateway, with the part of the crate it belongs to.
fn sources() -> Vec<(PathBuf, String)> {
    let root = testbed::repository::folder(".").join("gateway/src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 30, "the sources are where they were");
    files
        .into_iter()
        .map(|file| {
            let first = file.strip_prefix(&root).unwrap().components().next().unwrap();
            let part = Path::new(first.as_os_str()).file_stem().unwrap().to_string_lossy().into_owned();
            (file, part)
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code of a file before its tests, without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let before_tests = text.split("#[cfg(test)]").next().unwrap();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The parts that `crate::part` names, also in `use crate::{a, b}`.
fn named_parts(code: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let rest = &code[start + "crate::".len()..];
        let group = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(group, _)| group);
        match group {
            Some(group) => {
                parts.extend(group.split(',').map(|item| item.trim().split("::").next().unwrap().to_owned()));
            }
            None => {
                parts.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}
