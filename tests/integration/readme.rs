//! Is every example of README.md true? Each block is run or checked, in order, in a folder like the repository's root.
//!
//! Without a comment before it, an `sh` block must succeed, a `text` block stands in what the block before
//! printed (`…` for what varies), and a `json` block has the shape of it. A comment before a block says otherwise:
//! see [`Directive`]. A block that nothing here knows how to check fails.

mod blocks;
mod scene;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use testbed::demo::lines::worth_trying;
use testbed::repository;

use blocks::{Block, Directive, Language, blocks};
use scene::{Printed, Scene};

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_the_readme_is_true() {
    let readme = fs::read_to_string(repository::root().join("README.md")).unwrap();
    let scene = Scene::new().await;
    let mut printed = Printed::default();
    let blocks = blocks(&readme);
    assert!(blocks.len() > 25, "the examples are found");
    for block in blocks {
        let Block { line, language, directive, text } = &block;
        let fault = match (language, directive) {
            (Language::Sh, Directive::None) => run(&scene, text, true, &mut printed).await,
            (Language::Sh, Directive::Fails) => run(&scene, text, false, &mut printed).await,
            (Language::Sh, Directive::Exists) => programs_exist(text),
            (Language::Text, Directive::None) => stands_in(text, &printed.text),
            (Language::Text, Directive::Path) => names_every_status(text),
            (Language::Text, Directive::Files) => files_exist(text),
            (Language::Json, Directive::None) => has_shape(text, &printed.text),
            (Language::Yaml | Language::Cedar, Directive::As { file, good }) => {
                scene.write(file, text);
                printed = scene.check().await;
                let fault = (printed.success != *good).then(|| printed.text.clone());
                if !good {
                    scene.remove(file);
                }
                fault
            }
            (Language::Yaml, Directive::In { file, after, served }) => {
                scene.insert(file, after, text);
                printed = scene.check().await;
                let only_unpublished = printed.text.contains("is not what was published")
                    && printed.text.lines().last().is_some_and(|line| line.starts_with("1 of these"));
                let good = if *served { printed.success } else { only_unpublished };
                (!good).then(|| printed.text.clone())
            }
            _ => Some("nothing checks such a block".to_owned()),
        };
        if let Some(fault) = fault {
            panic!("README.md:{line}: {fault}\n--- the block\n{text}");
        }
    }
}

#[test]
fn the_readme_shows_the_lines_of_the_demo() {
    let readme = fs::read_to_string(repository::root().join("README.md")).unwrap();
    for line in worth_trying(8443, "target/debug/gateway") {
        assert!(
            readme.contains(&format!("```sh\n{}\n```", line.command)),
            "{}\n{}",
            line.title,
            line.command
        );
    }
}

#[test]
fn what_the_readme_links_to_is_there() {
    let readme = fs::read_to_string(repository::root().join("README.md")).unwrap();
    let mut links = 0;
    for target in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(repository::root().join(target).exists(), "{target}");
        links += 1;
    }
    assert!(links > 5, "the links are found");
}

async fn run(scene: &Scene, text: &str, succeeds: bool, printed: &mut Printed) -> Option<String> {
    *printed = scene.run(text).await;
    (printed.success != succeeds).then(|| format!("it ended otherwise than it says\n{}", printed.text))
}

fn programs_exist(text: &str) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let missing = text.lines().find(|program| {
        let file = fs::metadata(repository::root().join(program));
        !file.is_ok_and(|file| file.permissions().mode() & 0o111 != 0)
    });
    missing.map(|program| format!("{program} is no program"))
}

fn files_exist(text: &str) -> Option<String> {
    let missing = text.lines().filter_map(|line| line.split_whitespace().next());
    missing.map(str::to_owned).find(|file| !repository::root().join(file).exists())
}

/// Every status of a problem's page stands in the picture.
fn names_every_status(text: &str) -> Option<String> {
    let shown: BTreeSet<&str> = text.split_whitespace().collect();
    for entry in fs::read_dir(repository::folder("gateway").join("problems")).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        let status =
            page.lines().find_map(|line| line.strip_prefix("Status ")).unwrap().trim_end_matches('.');
        if !shown.contains(status) {
            return Some(format!("the status {status} is missing"));
        }
    }
    None
}

/// Every line stands in what was printed, in this order; `…` stands for anything within a line.
fn stands_in(text: &str, printed: &str) -> Option<String> {
    let mut rest = printed.lines();
    let missing = text.lines().find(|wanted| !rest.any(|line| fits(wanted, line)));
    missing.map(|line| format!("this line was not printed, or not here:\n{line}\n--- printed\n{printed}"))
}

fn fits(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    // What follows on the line may be left out only where the example ends with `…`, or is blank.
    wanted.ends_with('…') || rest.trim().is_empty()
}

/// The JSON that was printed last has the members of the example, of the same types.
fn has_shape(text: &str, printed: &str) -> Option<String> {
    let example: Value = match serde_json::from_str(text) {
        Ok(example) => example,
        Err(fault) => return Some(fault.to_string()),
    };
    let Some(body) = printed.find("\n{").map(|at| at + 1).or_else(|| printed.starts_with('{').then_some(0))
    else {
        return Some(format!("no JSON was printed:\n{printed}"));
    };
    match serde_json::Deserializer::from_str(&printed[body..]).into_iter::<Value>().next() {
        Some(Ok(found)) => {
            differs("", &example, &found).map(|place| format!("{place}\n--- printed\n{printed}"))
        }
        Some(Err(_)) | None => Some(format!("no JSON was printed:\n{printed}")),
    }
}

/// Where two values differ in shape; of the elements of an array only the first matters.
fn differs(place: &str, example: &Value, found: &Value) -> Option<String> {
    match (example, found) {
        (Value::Object(example), Value::Object(found)) => {
            let names: BTreeSet<_> = example.keys().chain(found.keys()).collect();
            names.into_iter().find_map(|name| {
                let place = format!("{place}/{name}");
                match (example.get(name), found.get(name)) {
                    (Some(example), Some(found)) => differs(&place, example, found),
                    (Some(_), None) => Some(format!("{place} is not there any more")),
                    (None, _) => Some(format!("{place} is missing in the example")),
                }
            })
        }
        (Value::Array(example), Value::Array(found)) => example
            .first()
            .zip(found.first())
            .and_then(|(example, found)| differs(&format!("{place}/0"), example, found)),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_) | Value::Null)
        | (Value::Bool(_), Value::Bool(_))
        | (Value::Null, _) => None,
        _ => Some(format!("{place} is of another type")),
    }
}

#[test]
fn an_example_fits_only_what_it_shows() {
    for (wanted, line, fit) in [
        ("a b", "a b", true),
        ("a b", "a b \r", true),
        ("a b", "a b c", false),
        ("a …", "a b c", true),
        ("…c", "a b c", true),
        ("a…c", "a b d", false),
        ("b", "a b", false),
    ] {
        assert_eq!(fits(wanted, line), fit, "{wanted} / {line}");
    }
    assert!(stands_in("a\nb", "a\nx\nb").is_none());
    assert!(stands_in("b\na", "a\nb").is_some());
    for (example, printed, same) in [
        (r#"{"a":1}"#, "HTTP/2 200\n\n{\"a\":2}", true),
        (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
        (r#"{"a":1}"#, r#"{"b":1}"#, false),
        (r#"{"a":1}"#, r#"{"a":1,"b":1}"#, false),
        (r#"{"a":[{"b":1}]}"#, r#"{"a":[{"c":1}]}"#, false),
        (r#"{"a":1}"#, "nothing", false),
    ] {
        assert_eq!(has_shape(example, printed).is_none(), same, "{example} / {printed}");
    }
}
