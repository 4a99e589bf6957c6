//! How long does a public OpenAPI document take to load, in how much memory, and does it route?
//!
//! Each document is loaded in a process of its own, so that its memory is its own. What only the gateway
//! asks for (an upstream, and who may call) is written into a copy first.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use gateway::contract::{Catalogue, Target};
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// What came of one document.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Loaded {
    operations: usize,
    seconds: f64,
    /// The most memory that the process held at once while it loaded, and what it keeps.
    peak_mib: u64,
    kept_mib: u64,
    /// Operations that another one answers for, or none.
    misrouted: Vec<String>,
    warnings: usize,
    mistakes: Option<String>,
}

/// Documents to load, each in a process of its own.
#[derive(Debug, Args)]
pub struct Documents {
    /// OpenAPI documents in JSON.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// One document to load, in this process.
#[derive(Debug, Args)]
pub struct Document {
    file: PathBuf,
}

/// Loads each document in a process of its own, and gives a table.
///
/// # Errors
/// A process that could not be run, in words.
pub fn load_each(documents: &Documents) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut table = String::from(
        "| document | MB | operations | seconds | peak MiB | kept MiB | misrouted |\n| --- | --: | --: | --: | --: | --: | --: |\n",
    );
    for file in &documents.files {
        let output = std::process::Command::new(&program).arg("load-document").arg(file).output();
        let output = output.map_err(|e| e.to_string())?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let Ok(loaded) = serde_json::from_slice::<Loaded>(&output.stdout) else {
            return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
        };
        if let Some(mistakes) = loaded.mistakes {
            return Err(format!("{name} does not load:\n{mistakes}"));
        }
        let size = std::fs::metadata(file).map_or(0, |about| about.len());
        table.push_str(&format!(
            "| {name} | {:.1} | {} | {:.1} | {} | {} | {} |\n",
            megabytes(size),
            loaded.operations,
            loaded.seconds,
            loaded.peak_mib,
            loaded.kept_mib,
            loaded.misrouted.len()
        ));
        for one in loaded.misrouted.iter().take(10) {
            table.push_str(&format!("    {one}\n"));
        }
    }
    Ok(table)
}

/// Loads the document in this process, and prints what came of it for the process that asked.
///
/// # Errors
/// The document cannot be read or copied.
pub fn load(document: &Document) -> Result<String, String> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    prepare(&document.file, folder.path())?;
    let before = memory("VmRSS");
    let begun = Instant::now();
    let loaded = Catalogue::load(folder.path(), None);
    let took = begun.elapsed();
    let (peak, kept) = (memory("VmHWM"), memory("VmRSS"));
    let loaded = match loaded {
        Ok((catalogue, warnings)) => Loaded {
            operations: catalogue.operations().len(),
            misrouted: misrouted(&catalogue),
            warnings: warnings.iter().count(),
            mistakes: None,
            ..measured(took, peak, kept.saturating_sub(before))
        },
        Err(mistakes) => Loaded { mistakes: Some(mistakes.to_string()), ..measured(took, peak, 0) },
    };
    serde_json::to_string(&loaded).map_err(|e| e.to_string())
}

fn measured(took: Duration, peak: u64, kept: u64) -> Loaded {
    let (seconds, peak_mib, kept_mib) = (took.as_secs_f64(), peak / 1024, kept / 1024);
    Loaded { operations: 0, seconds, peak_mib, kept_mib, misrouted: Vec::new(), warnings: 0, mistakes: None }
}

/// Copies the document into a folder of contracts, with what the gateway asks for.
fn prepare(file: &Path, root: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
    let mut document: Map<String, Value> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    document.insert("servers".to_owned(), json!([{"url": "/public/v1"}]));
    document.insert("security".to_owned(), json!([]));
    document.insert("x-gateway".to_owned(), json!({"upstream": "public"}));
    for item in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
    {
        let Some(item) = item.as_object_mut() else { continue };
        item.remove("servers");
        for operation in item.values_mut().filter_map(Value::as_object_mut) {
            for key in ["security", "servers", "deprecated"] {
                operation.remove(key);
            }
        }
    }
    let folder = root.join("public/v1");
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let text = serde_json::to_string(&document).map_err(|e| e.to_string())?;
    std::fs::write(folder.join("openapi.json"), text).map_err(|e| e.to_string())
}

/// The operations whose own path leads to another one, or nowhere.
fn misrouted(catalogue: &Catalogue) -> Vec<String> {
    let mut wrong = Vec::new();
    for operation in catalogue.operations() {
        let path = filled(operation.template());
        let found = Target::from_origin_form(&path).map_err(|e| e.to_string()).and_then(|target| {
            let chosen = catalogue.choose(&target, &HeaderMap::new(), Timestamp::now());
            let found = chosen.and_then(|chosen| chosen.find(operation.method(), &target));
            found.map_err(|e| e.to_string())
        });
        match found {
            Ok(matched) if std::sync::Arc::ptr_eq(matched.operation(), operation) => {}
            Ok(matched) => wrong.push(format!("{} got {}", operation.name(), matched.operation().name())),
            Err(why) => wrong.push(format!("{} at {path}: {why}", operation.name())),
        }
    }
    wrong
}

/// The template with a value in place of each parameter.
fn filled(template: &str) -> String {
    let mut path = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        path.push_str(before);
        path.push_str("value1");
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    path.push_str(rest);
    path
}

/// A figure of this process, in KiB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a size for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
