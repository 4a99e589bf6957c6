//! `gateway contract diff`: whom would a change of a contract break?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde_json::json;

use super::counts::Counts;
use super::users::{self, Users};
use crate::contract::diff::{Change, Level, OperationName, Report, Side, Spot, compare_files};

/// Say what differs between two contracts, and whom it breaks.
///
/// What callers send must still be allowed, and what they read must have been announced. What could not be
/// decided says so and is possibly breaking. A contract is a folder with an `openapi.yaml` or `openapi.json`, or
/// such a file, of OpenAPI 3.0 or 3.1.
///
/// Exit code 0: nothing at or above the level of `--fail-on`. 1: something is. 2: they cannot be compared.
#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// The contract that callers know: `contracts/orders/v1`, or an OpenAPI file.
    old: PathBuf,
    /// The contract that they would meet.
    new: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// What makes the command fail.
    #[arg(long, value_enum, default_value = "breaking")]
    fail_on: FailOn,
    #[command(flatten)]
    counts: Counts,
    /// Say who used what changes in so many days, where a gateway has counted it.
    #[arg(long, default_value_t = 7)]
    days: u32,
}

/// How the command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For a pull request.
    Markdown,
}

/// What makes the command fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// A change that breaks callers.
    Breaking,
    /// A change that may break callers, or that could not be decided.
    Possibly,
    /// Nothing.
    Never,
}

impl Diff {
    pub(in crate::cli) fn run(self) -> ExitCode {
        let report = match compare_files(&self.old, &self.new, Timestamp::now()) {
            Ok(report) => report,
            Err(mistakes) => {
                for mistake in mistakes.iter() {
                    eprintln!("{mistake}\n");
                }
                eprintln!("they cannot be compared");
                return ExitCode::from(2);
            }
        };
        let users = match Users::read(&self.counts, &self.old, self.days) {
            Ok(users) => users,
            Err(message) => {
                eprintln!("{message}");
                return ExitCode::from(2);
            }
        };
        match self.format {
            Form::Text => say_as_is!("{}", text(&report, users.as_ref())),
            Form::Json => say!("{:#}", document(&report, users.as_ref())),
            Form::Markdown => say_as_is!("{}", markdown(&report, users.as_ref())),
        }
        let fails = match self.fail_on {
            FailOn::Breaking => report.level() == Some(Level::Breaking),
            FailOn::Possibly => report.level() >= Some(Level::PossiblyBreaking),
            FailOn::Never => false,
        };
        ExitCode::from(u8::from(fails))
    }
}

/// The report as a document: a summary, and every change with the members of [`Change`].
fn document(report: &Report, users: Option<&Users>) -> serde_json::Value {
    let count = |level| report.of(level).count();
    json!({
        "old": report.old,
        "new": report.new,
        "level": report.level().map(Level::as_str),
        "summary": {
            "breaking": count(Level::Breaking),
            "possibly_breaking": count(Level::PossiblyBreaking),
            "compatible": count(Level::Compatible),
        },
        "changes": report.changes.iter().map(|change| users::document(change, users)).collect::<Vec<_>>(),
    })
}

/// A change of what several operations share is one entry, told as the first of them meets it.
struct Entry<'r> {
    change: &'r Change,
    operations: Vec<&'r OperationName>,
}

/// The changes of a level, each once, in the order in which they were found.
fn entries(report: &Report, level: Level) -> Vec<Entry<'_>> {
    let mut places = std::collections::HashMap::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for change in report.of(level) {
        // Without places, or with a name of its own, only the same words are the same change.
        let words = change.old.is_none() && change.new.is_none() || change.subject.name.is_some();
        let words = words.then_some(&change.sentence);
        let key = (change.rule, change.side, &change.old, &change.new, words);
        let next = entries.len();
        let place = *places.entry(key).or_insert(next);
        match entries.get_mut(place) {
            Some(entry) => entry.operations.extend(&change.operation),
            None => entries.push(Entry { change, operations: change.operation.iter().collect() }),
        }
    }
    entries
}

fn text(report: &Report, users: Option<&Users>) -> String {
    let mut out = format!("{} -> {}\n", report.old, report.new);
    for (level, title) in LEVELS {
        let entries = entries(report, level);
        if entries.is_empty() {
            continue;
        }
        out.push_str(&format!("\n{title} ({})\n", entries.len()));
        let mut last = None;
        for Entry { change, operations } in &entries {
            let first = operations.first();
            if last != Some(first) {
                out.push_str(&format!("\n  {}\n", heading(first.map(|name| name.to_string()))));
                last = Some(first);
            }
            out.push_str(&format!("    {}: {}\n", change.rule, sentence(change, operations, users)));
            if let Some(places) = places(change) {
                out.push_str(&format!("      {places}\n"));
            }
            if let Some(others) = others(operations) {
                out.push_str(&format!("      also in {others}\n"));
            }
        }
    }
    out.push_str(&format!("\n{}\n", verdict(report)));
    out
}

fn markdown(report: &Report, users: Option<&Users>) -> String {
    let mut out = format!("### `{}` → `{}`\n\n{}\n", report.old, report.new, verdict(report));
    for (level, title) in LEVELS {
        let entries = entries(report, level);
        if entries.is_empty() {
            continue;
        }
        out.push_str(&format!(
            "\n#### {title}\n\n| operation | side | what changes | rule |\n|---|---|---|---|\n"
        ));
        for Entry { change, operations } in &entries {
            let mut over = heading(operations.first().map(|name| format!("`{name}`")));
            over.extend(others(operations).map(|others| format!(" and {others}")).iter().map(String::as_str));
            let side = match change.side {
                Side::Request => "request",
                Side::Response => "response",
                Side::Both => "both",
            };
            let cells =
                [over, side.to_owned(), sentence(change, operations, users), format!("`{}`", change.rule)];
            // A bar would end the cell, inside of code too.
            let cells: Vec<String> =
                cells.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    out
}

/// What changes, and whom it hurts.
fn sentence(change: &Change, operations: &[&OperationName], users: Option<&Users>) -> String {
    match users.and_then(|users| users.of(change, operations.iter().copied())) {
        Some(hurt) => format!("{}; {hurt}", change.sentence),
        None => change.sentence.clone(),
    }
}

fn heading(operation: Option<String>) -> String {
    operation.unwrap_or_else(|| "the whole contract".to_owned())
}

/// The other operations that share a change.
fn others(operations: &[&OperationName]) -> Option<String> {
    let mut others: Vec<&OperationName> = operations.iter().skip(1).copied().collect();
    others.dedup();
    others.retain(|name| Some(name) != operations.first());
    let named: Vec<String> = others.iter().take(NAMED_MAX).map(|name| name.to_string()).collect();
    let more = match others.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

fn places(change: &Change) -> Option<String> {
    let spot = |spot: &Spot| format!("{}:{} {}", spot.file, spot.line, spot.pointer);
    match (&change.old, &change.new) {
        (Some(old), Some(new)) if old.pointer == new.pointer => {
            Some(format!("{}:{} and {}", old.file, old.line, spot(new)))
        }
        (Some(old), Some(new)) => Some(format!("{} and {}", spot(old), spot(new))),
        (Some(one), None) | (None, Some(one)) => Some(spot(one)),
        (None, None) => None,
    }
}

fn verdict(report: &Report) -> String {
    let count = |level| entries(report, level).len();
    match report.level() {
        None => "Nothing differs.".to_owned(),
        Some(_) => format!(
            "{} breaking, {} possibly breaking, {} compatible.",
            count(Level::Breaking),
            count(Level::PossiblyBreaking),
            count(Level::Compatible)
        ),
    }
}

const LEVELS: [(Level, &str); 3] = [
    (Level::Breaking, "Breaking"),
    (Level::PossiblyBreaking, "Possibly breaking"),
    (Level::Compatible, "Compatible"),
];
/// Operations that one line names.
const NAMED_MAX: usize = 3;
