//! `gateway contract migration`: what does one caller still use that is deprecated, and where to from there?

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::counts::{Counts, FieldShown, Known, has_an_end, shown};
use crate::contract::Lifecycle;
use crate::usage::{Filter, Line, Tally};

/// Arguments of `gateway contract migration`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Migration {
    #[command(flatten)]
    counts: Counts,
    /// The caller, by its id in callers.yaml.
    #[arg(long)]
    caller: String,
    /// What it used in so many days, today included.
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// For people, for programs, or for a letter to the partner.
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

/// How the report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
    Markdown,
}

/// What is used, and is to be used no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Version,
    Operation,
    Parameter,
    Property,
}

/// One thing to move away from.
#[derive(Debug, Serialize)]
struct Item {
    kind: Kind,
    api: String,
    version: String,
    /// Absent for a whole version.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<FieldShown>,
    /// Which operations of a version were called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operations: Vec<String>,
    deprecated: Option<String>,
    sunset: Option<String>,
    /// Until the sunset; negative after it.
    days_left: Option<i64>,
    successor: Option<String>,
    guide: Option<String>,
    #[serde(flatten)]
    used: Used,
    #[serde(skip)]
    ends: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Used {
    calls: u64,
    refused: u64,
    first: String,
    last: String,
    #[serde(skip)]
    tally: Tally,
}

/// The life of whatever an item is about.
struct Life {
    deprecated: Option<Timestamp>,
    sunset: Option<Timestamp>,
    successor: Option<String>,
    guide: Option<String>,
}

impl Migration {
    pub(super) fn run(self) -> Result<(), String> {
        let (known, now) = (self.counts.open()?, Timestamp::now());
        let filter = Filter { caller: Some(self.caller.clone()), ..Filter::default() };
        let lines =
            known.counts.lines(&filter.last_days(self.days, now)).map_err(|fault| fault.to_string())?;
        let called = !lines.is_empty();
        let items = items(&known, lines, now);
        match self.format {
            Form::Json => {
                let report =
                    json!({ "caller": self.caller, "as_of": shown(now), "days": self.days, "items": items });
                say!("{report:#}");
            }
            Form::Text => print_text(&self.caller, self.days, &items),
            Form::Markdown => print_markdown(&self.caller, self.days, &items),
        }
        let callers = known.counts.callers().map_err(|fault| fault.to_string())?;
        if !called && !callers.contains(&self.caller) {
            eprintln!("no call of `{}` was ever counted; callers seen: {}", self.caller, callers.join(", "));
        }
        Ok(())
    }
}

/// What a caller's lines say, the most urgent first: what ends first, then what is used most.
fn items(known: &Known, lines: Vec<Line>, now: Timestamp) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for line in lines {
        let Some(item) = item(known, line, now) else { continue };
        let same = |other: &&mut Item| {
            item.kind == Kind::Version
                && other.kind == Kind::Version
                && (&other.api, &other.version) == (&item.api, &item.version)
        };
        match items.iter_mut().find(same) {
            Some(version) => {
                version.used = Used::new(version.used.tally.and(item.used.tally));
                version.operations.extend(item.operations);
            }
            None => items.push(item),
        }
    }
    let urgency =
        |item: &Item| (item.ends.is_none(), item.ends, std::cmp::Reverse(item.used.calls), item.subject());
    items.sort_by_cached_key(urgency);
    items
}

/// The item of one line, unless what it is about goes on.
fn item(known: &Known, line: Line, now: Timestamp) -> Option<Item> {
    let Line { api, version, operation, field, tally, .. } = line;
    let described = known.operation(&operation)?;
    let (kind, shown_field, life) = match &field {
        Some(pointer) => {
            let field = known.field(&operation, pointer).filter(|field| field.is_deprecated())?;
            let kind = if field.place().as_str() == "body" { Kind::Property } else { Kind::Parameter };
            let life = Life {
                deprecated: field.deprecated_since(),
                sunset: field.sunset(),
                successor: field.successor().map(str::to_owned),
                guide: field.guide().map(str::to_owned),
            };
            (kind, Some(FieldShown::new(pointer, Some(&field))), life)
        }
        None => {
            let own = described.lifecycle();
            let whole = described.contract().lifecycle();
            let kind = if is_same(own, whole) { Kind::Version } else { Kind::Operation };
            (kind, None, Life::of(own)?)
        }
    };
    let is_version = kind == Kind::Version;
    Some(Item {
        kind,
        api,
        version,
        operations: is_version.then(|| operation.clone()).into_iter().collect(),
        operation: (!is_version).then_some(operation),
        field: shown_field,
        days_left: life.sunset.map(|sunset| sunset.duration_since(now).as_secs().div_euclid(86_400)),
        deprecated: life.deprecated.map(shown),
        sunset: life.sunset.map(shown),
        ends: life.sunset,
        successor: life.successor,
        guide: life.guide,
        used: Used::new(tally),
    })
}

fn is_same(one: &Lifecycle, other: &Lifecycle) -> bool {
    one.deprecated() == other.deprecated()
        && one.sunset() == other.sunset()
        && one.successor() == other.successor()
        && one.guide() == other.guide()
}

impl Life {
    fn of(life: &Lifecycle) -> Option<Self> {
        has_an_end(life).then(|| Self {
            deprecated: life.deprecated(),
            sunset: life.sunset(),
            successor: life.successor().map(str::to_owned),
            guide: life.guide().map(str::to_owned),
        })
    }
}

impl Used {
    fn new(tally: Tally) -> Self {
        let Tally { calls, refused, first, last, .. } = tally;
        Self { calls, refused, first: shown(first), last: shown(last), tally }
    }
}

impl Item {
    /// What it is, in words.
    fn subject(&self) -> String {
        match (&self.operation, &self.field) {
            (Some(operation), Some(field)) => format!("{field} of {operation}"),
            (Some(operation), None) => operation.clone(),
            (None, _) => format!("{} {}", self.api, self.version),
        }
    }

    fn until(&self) -> String {
        match (&self.sunset, self.days_left) {
            (Some(sunset), Some(left)) if left >= 0 => format!("until {sunset} ({left} days left)"),
            (Some(sunset), _) => format!("ended {sunset}"),
            (None, _) => "no end is announced".to_owned(),
        }
    }

    fn how_often(&self) -> String {
        let Used { calls, refused, last, .. } = &self.used;
        let times = if *calls == 1 { "once".to_owned() } else { format!("{calls} times") };
        let refused = if *refused == 0 { String::new() } else { format!(", {refused} of them refused") };
        format!("{times}{refused}, last {last}")
    }
}

fn print_text(caller: &str, days: u32, items: &[Item]) {
    say!("{}", summary(caller, days, items));
    for item in items {
        say!("\n{}: {}", item.subject(), item.until());
        say!("    used      {}", item.how_often());
        for operation in &item.operations {
            say!("              {operation}");
        }
        for (what, said) in [("replaced", &item.successor), ("guide", &item.guide)] {
            if let Some(said) = said {
                say!("    {what:<9} {said}");
            }
        }
    }
}

fn print_markdown(caller: &str, days: u32, items: &[Item]) {
    say!("# Migration of {caller}\n\n{}.", summary(caller, days, items));
    if items.is_empty() {
        return;
    }
    say!("\n| what | until | replaced by | guide | used |\n|---|---|---|---|---|");
    for item in items {
        let cell = |said: &Option<String>| said.as_deref().map(in_cell).unwrap_or_default();
        let (subject, until, used) = (in_cell(&item.subject()), item.until(), item.how_often());
        say!("| {subject} | {until} | {} | {} | {used} |", cell(&item.successor), cell(&item.guide));
    }
}

fn summary(caller: &str, days: u32, items: &[Item]) -> String {
    let things = match items.len() {
        0 => "nothing that is".to_owned(),
        1 => "one thing that is".to_owned(),
        many => format!("{many} things that are"),
    };
    format!("In the last {days} days {caller} used {things} deprecated")
}

/// Text that is not read as Markdown in a table.
fn in_cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('_', "\\_").replace('*', "\\*").replace('`', "\\`")
}
