//! `gateway contract usage`: who called what, how often, and when last?

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::super::Format;
use super::counts::{Counts, FieldShown, Known, has_an_end, shown};
use crate::usage::{Filter, Line};

/// Arguments of `gateway contract usage`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Usage {
    #[command(flatten)]
    counts: Counts,
    /// Of this API: orders
    #[arg(long)]
    api: Option<String>,
    /// Of this version: v1
    #[arg(long)]
    version: Option<String>,
    /// Of this operation: orders.v1.createOrder, or createOrder
    #[arg(long)]
    operation: Option<String>,
    /// By this caller; `anonymous` for whoever needs no proof.
    #[arg(long)]
    caller: Option<String>,
    /// Only what is deprecated: versions, operations, parameters, properties.
    #[arg(long)]
    deprecated: bool,
    /// Of so many days, today included.
    #[arg(long, default_value_t = 7)]
    days: u32,
    /// A table, or JSON.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Shown {
    api: String,
    version: String,
    operation: String,
    /// Absent for the operation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<FieldShown>,
    /// Absent for whoever needs no proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    calls: u64,
    refused: u64,
    first: String,
    last: String,
    deprecated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sunset: Option<String>,
}

impl Usage {
    pub(super) fn run(self) -> Result<(), String> {
        let known = self.counts.open()?;
        let filter = Filter {
            caller: self.caller.map(|caller| if caller == ANONYMOUS { String::new() } else { caller }),
            api: self.api,
            version: self.version,
            operation: self.operation,
            ..Filter::default()
        };
        let filter = filter.last_days(self.days, Timestamp::now());
        let lines = known.counts.lines(&filter).map_err(|fault| fault.to_string())?;
        let lines: Vec<Shown> = lines
            .into_iter()
            .map(|line| describe(&known, line))
            .filter(|line| line.deprecated || !self.deprecated)
            .collect();
        match self.format {
            Format::Json => say!("{:#}", json!({ "days": self.days, "usage": lines })),
            Format::Text => print_table(&lines),
        }
        Ok(())
    }
}

/// What the contracts say of a line; of what they describe no more, what the store says.
fn describe(known: &Known, line: Line) -> Shown {
    let Line { caller, api, version, operation, field, tally } = line;
    let life = known.operation(&operation).map(|operation| operation.lifecycle());
    let described = field.as_deref().and_then(|pointer| known.field(&operation, pointer));
    let (deprecated, sunset) = match (&field, &described, life) {
        (Some(_), Some(field), _) => (field.is_deprecated(), field.sunset()),
        (None, _, Some(life)) => (has_an_end(life), life.sunset()),
        _ => (tally.deprecated > 0, None),
    };
    Shown {
        field: field.map(|pointer| FieldShown::new(&pointer, described.as_deref())),
        caller,
        api,
        version,
        operation,
        calls: tally.calls,
        refused: tally.refused,
        first: shown(tally.first),
        last: shown(tally.last),
        deprecated,
        sunset: sunset.map(shown),
    }
}

fn print_table(lines: &[Shown]) {
    say!("{HEADER}");
    for line in lines {
        let field = line.field.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let caller = line.caller.as_deref().unwrap_or(ANONYMOUS);
        let until = match &line.sunset {
            Some(sunset) => sunset,
            None if line.deprecated => "deprecated",
            None => "-",
        };
        let Shown { operation, calls, refused, first, last, .. } = line;
        say!(
            "{operation:<26} {field:<20} {caller:<20} {calls:>8} {refused:>8}  {first:<21} {last:<21} {until}"
        );
    }
}

/// What a report calls whoever needs no proof.
const ANONYMOUS: &str = "anonymous";
const HEADER: &str = "OPERATION                  FIELD                CALLER                  CALLS  REFUSED  FIRST                 LAST                  UNTIL";
