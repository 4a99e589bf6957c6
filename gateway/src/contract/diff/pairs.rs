//! What other tools' own tests say about pairs of contracts. The cases stand outside of the repository, and are
//! tried when they are there.

use std::fs;

use serde_json::Value;

use super::super::conformance;
use super::{Level, compare_files};

/// Where this judges otherwise than a case says, and why. Only disputed cases stand here.
const OTHERWISE: &[(&str, &str)] = &[
    ("b0567", "a property that is no longer answered breaks who reads it, also an optional one"),
    (
        "b0573",
        "the alternatives refer to the schema that lists them, so that they are the same is not proven",
    ),
    ("b0586", "a text that is longer at least than before is still one that readers were told of"),
    ("b0587", "a text that is shorter than announced is not one that readers were told of"),
    ("b0590", "an error that no longer comes hurts only who acts on it: possibly breaking"),
    ("b0602", "`bearerFormat` is a hint for people (OpenAPI 3.1.1 section 4.8.27.1): possibly breaking"),
    ("b0611", "a property that is answered for the first time breaks nobody who did not know it"),
    ("b0613", "as b0567"),
    ("b0617", "as b0567"),
    ("b0648", "a single value is written alike, exploded or not"),
    ("b0650", "`simple` is no style of a query; a single value is written alike"),
    ("b0679", "as b0648"),
    ("b0681", "a header that is always there is one that readers were told of"),
];

#[test]
fn public_pairs_are_judged_as_their_tools_agree() {
    let Some(folder) = conformance::folder() else { return };
    let cases = fs::read_to_string(folder.join("contract-pairs.jsonl")).unwrap();
    let mut wrong = Vec::new();
    for case in cases.lines() {
        let case: Value = serde_json::from_str(case).unwrap();
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        let at = |key: &str| folder.join(text(key));
        let report =
            compare_files(&at("base"), &at("revision"), "2026-11-28T00:00:00Z".parse().unwrap()).unwrap();
        let breaks = report.level() == Some(Level::Breaking);
        let reason = OTHERWISE.iter().find(|(id, _)| *id == text("id"));
        if breaks == case["expected"]["breaking"].as_bool().unwrap() {
            continue;
        }
        if reason.is_none() || text("strength") == "strong" {
            let told: Vec<String> = report
                .changes
                .iter()
                .map(|c| format!("    {} {} {}", c.level.as_str(), c.rule, c.sentence))
                .collect();
            wrong.push(format!("{} {} {}\n{}", text("id"), text("strength"), text("name"), told.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}
