//! `gateway contract diff`, as pipelines and people use it: what it prints, and how it ends.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use testbed::gateway::program;
use testbed::repository;

/// A folder with version 2 of the sample orders, and a copy of it.
struct Versions {
    folder: tempfile::TempDir,
}

impl Versions {
    fn new() -> Self {
        let versions = Self { folder: tempfile::tempdir().unwrap() };
        let original = repository::folder("contracts").join("orders/v2");
        for name in ["old", "new"] {
            let copy = versions.folder.path().join(name);
            fs::create_dir_all(copy.join("schemas")).unwrap();
            fs::copy(original.join("openapi.yaml"), copy.join("openapi.yaml")).unwrap();
            for file in fs::read_dir(original.join("schemas")).unwrap() {
                let file = file.unwrap();
                fs::copy(file.path(), copy.join("schemas").join(file.file_name())).unwrap();
            }
        }
        versions
    }

    /// Changes the copy.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.path().join("new").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    fn diff(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(program());
        command.args(["contract", "diff"]).args(arguments).current_dir(self.folder.path()).output().unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

const NOTE: &str = "  note: { type: string, minLength: 1, maxLength: 500 }\n";

#[test]
fn a_contract_does_not_differ_from_itself() {
    let output = Versions::new().diff(&["old", "new"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output), "old -> new\n\nNothing differs.\n");
}

#[test]
fn a_removed_property_breaks_who_sends_it() {
    let versions = Versions::new();
    versions.replace("schemas/new-order.yaml", NOTE, "");
    let output = versions.diff(&["old", "new"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    assert!(
        told.contains("\nBreaking (1)\n\n  POST /orders\n    property-removed: the property `note` of "),
        "{told}"
    );
    assert!(told.contains("callers that send it are refused"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours");
}

#[test]
fn the_report_for_programs_names_rule_level_side_operation_places_and_subject() {
    let versions = Versions::new();
    versions.replace("schemas/new-order.yaml", NOTE, "");
    let output = versions.diff(&["old", "new", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = json!({"breaking": 1, "possibly_breaking": 0, "compatible": 1});
    assert_eq!((&report["level"], &report["summary"]), (&json!("breaking"), &counts), "{report:#}");
    let change = &report["changes"][0];
    let operation = json!({"method": "POST", "path": "/orders", "operation_id": "createOrder"});
    let subject = json!({"kind": "request-body", "media_type": "application/json", "property": "/note"});
    for (member, value) in [
        ("rule", json!("property-removed")),
        ("level", json!("breaking")),
        ("side", json!("request")),
        ("operation", operation),
        ("subject", subject),
    ] {
        assert_eq!(change[member], value, "{member}");
    }
    assert_eq!(change["old"]["file"], "old/schemas/new-order.yaml");
    assert_eq!(change["old"]["pointer"], "/properties/note");
    assert!(change["old"]["line"].as_u64().unwrap() > 1 && change["new"]["file"].is_string(), "{change:#}");
    assert!(change["sentence"].as_str().unwrap().contains("`note`"));
}

#[test]
fn the_threshold_decides_how_the_command_ends() {
    let versions = Versions::new();
    versions.replace("schemas/line.yaml", "pattern: \"", "pattern: \"^");
    let ends = |arguments: &[&str]| versions.diff(&[&["old", "new"], arguments].concat()).status.code();
    let breaking = Versions::new();
    breaking.replace("schemas/new-order.yaml", NOTE, "");
    assert_eq!(breaking.diff(&["old", "new", "--fail-on", "never"]).status.code(), Some(0));
    assert_eq!((ends(&[]), ends(&["--fail-on", "possibly"])), (Some(0), Some(1)));
}

#[test]
fn the_report_for_pull_requests_is_a_table() {
    let versions = Versions::new();
    versions.replace("schemas/new-order.yaml", NOTE, "");
    let output = versions.diff(&["old", "new", "--format", "markdown"]);
    let told = text(&output);
    assert!(told.starts_with("### `old` → `new`\n\n1 breaking, "), "{told}");
    assert!(
        told.contains("\n| `POST /orders` | request | the property `note` of the request body is removed; "),
        "{told}"
    );
}

#[test]
fn what_cannot_be_compared_is_said_and_is_not_a_verdict() {
    let versions = Versions::new();
    versions.replace("openapi.yaml", "openapi: 3.1", "openapi: 2.0");
    for (arguments, told) in [
        (["old", "new"], "new/openapi.yaml:"),
        (["old", "missing"], "missing"),
        (["old", "new/schemas"], "has no `openapi.yaml`"),
    ] {
        let output = versions.diff(&arguments);
        let errors = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(told) && output.stdout.is_empty(), "{errors}");
    }
}
