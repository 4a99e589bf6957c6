//! Do schemas mean here what the JSON Schema Test Suite says? Runs where the suite is at hand.
//!
//! The suite is kept outside the repository: in the folder that `GATEWAY_JSON_SCHEMA_SUITE` names, to which
//! `tests/run` brings it. A schema of it may be refused, for one of the reasons listed here, because what does not
//! load lets nothing pass unchecked; one that loads must give the suite's verdict on every value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::super::direction::Direction;
use super::super::keyword::{Dialect, Older};
use super::super::schema::Schema;
use super::super::source::Source;
use super::{Engine, Schemas};

/// Files of the suite whose verdicts differ here, and why that is right.
const DIFFERING: [(&str, &str); 2] = [
    (
        "draft2020-12/format.json",
        "formats are checked here, as its `optional/format` says, and not only noted",
    ),
    ("draft7/optional/content.json", "what a text contains is not checked, and a warning says so"),
];

/// Why schemas of the suite do not load.
const REFUSED: [&str; 7] = [
    // Nothing is fetched: what a contract refers to stands in its folder.
    "is not a file inside the contract's own folder",
    "is not present in a registry",
    // A contract has one dialect, which is one of those that JSON Schema published.
    "is not that of the contract",
    // A keyword of another dialect would be ignored.
    "cannot be enforced here",
    // Anchors that are written as `$id: #name`, before 2019-09.
    "anchors are not supported",
    "the schema cannot be enforced: Resource",
    // What only describes is left out, so nothing can refer into it from within an `$id`.
    "the schema cannot be enforced: Pointer '/examples",
];

#[derive(Deserialize)]
struct Group {
    description: String,
    schema: Value,
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    description: String,
    data: Value,
    valid: bool,
}

/// The schema, as a file that a contract refers to.
fn compile(dialect: Dialect, schema: &Value) -> Result<Schema, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("openapi.yaml"), "s: {$ref: schema.json}\n").unwrap();
    std::fs::write(folder.path().join("schema.json"), schema.to_string()).unwrap();
    let source = Source::read(folder.path(), "c").map_err(|mistakes| mistakes.to_string())?;
    let mut schemas = Schemas::new(&source, dialect, Engine::Linear);
    let schema = schemas.compile(&source.root().key("s"), Direction::Request);
    let mistakes = schemas.finish();
    schema.filter(|_| !mistakes.has_errors()).ok_or_else(|| mistakes.to_string())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    files.sort();
    files
}

#[test]
fn schemas_mean_what_the_suite_says() {
    let Ok(suite) = std::env::var("GATEWAY_JSON_SCHEMA_SUITE") else { return };
    let (mut agreed, mut wrong) = (0_usize, Vec::new());
    let mut refused: BTreeMap<String, String> = BTreeMap::new();
    for (dialect, name) in [
        (Dialect::V31, "draft2020-12"),
        (Dialect::Older(Older::Draft201909), "draft2019-09"),
        (Dialect::Older(Older::Draft7), "draft7"),
        (Dialect::Older(Older::Draft6), "draft6"),
        (Dialect::Older(Older::Draft4), "draft4"),
    ] {
        let folder = Path::new(&suite).join("tests").join(name);
        let all = ["", "optional", "optional/format"].iter().flat_map(|part| files(&folder.join(part)));
        for file in all {
            let of = file.strip_prefix(&folder).unwrap().display().to_string();
            let groups: Vec<Group> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            for Group { description, schema, tests } in groups {
                let group = format!("{name}/{of}: {description}");
                let compiled = match compile(dialect, &schema) {
                    Ok(compiled) => compiled,
                    Err(told) => {
                        refused.insert(group, told);
                        continue;
                    }
                };
                for Case { description, data, valid } in tests {
                    if compiled.accepts(&data) == valid {
                        agreed += 1;
                    } else {
                        wrong.push(format!("{group}: {description}: {data} is {valid} for {schema}"));
                    }
                }
            }
        }
    }
    let differs = |of: &String| DIFFERING.iter().any(|(file, _)| of.starts_with(file));
    wrong.retain(|of| !differs(of));
    let told_otherwise = |told: &String| !REFUSED.iter().any(|reason| told.contains(reason));
    refused.retain(|_, told| told_otherwise(told));
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(refused.is_empty(), "refused for another reason: {refused:#?}");
    assert!(agreed > 5_000, "only {agreed} values were judged; is {suite} the suite?");
}
