//! `gateway contract list`: what is live, and what is its life?

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::counts::Counts;
use super::{End, Format, Site, Unusable};
use crate::contract::publish::{Name, Row, Standing, Usage, rows, short};
use crate::usage::Filter;

/// Arguments of `gateway contract list`.
#[derive(Debug, Args)]
pub(in super::super) struct List {
    #[command(flatten)]
    counts: Counts,
    /// Count calls of so many days.
    #[arg(long, value_name = "DAYS", default_value_t = DAYS)]
    days: u32,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl List {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let used = self.used().map_err(Unusable)?;
        let rows = rows(&Site::of(self.counts.settings()).shelf, used.as_ref())?;
        match self.format {
            Format::Text => print_text(&rows, self.days),
            Format::Json => print_json(&rows),
        }
        Ok(End::well_if(rows.iter().all(|row| row.standing == Some(Standing::Published))))
    }

    /// Who used each version lately; nothing where nobody counts.
    fn used(&self) -> Result<Option<BTreeMap<Name, Usage>>, String> {
        let Some(reader) = self.counts.reader_if_any()? else { return Ok(None) };
        let filter = Filter::default().last_days(self.days, Timestamp::now());
        let lines = reader.lines(&filter).map_err(|fault| fault.to_string())?;
        let mut calls: BTreeMap<Name, (u64, BTreeSet<Option<String>>)> = BTreeMap::new();
        for line in lines.into_iter().filter(|line| line.field.is_none()) {
            // `orders.v2.createOrder`, whose id may have dots of its own.
            let mut parts = line.operation.splitn(3, '.');
            if let (Some(api), Some(version)) = (parts.next(), parts.next()) {
                let counted = calls.entry(Name::new(api, version)).or_default();
                counted.0 = counted.0.saturating_add(line.tally.calls);
                counted.1.insert(line.caller);
            }
        }
        let usage =
            |(calls, callers): (u64, BTreeSet<Option<String>>)| Usage { calls, callers: callers.len() };
        Ok(Some(calls.into_iter().map(|(name, counted)| (name, usage(counted))).collect()))
    }
}

fn print_text(rows: &[Row], days: u32) {
    say!(
        "{:<24} {:<12} {:<13} {:<11} {:>10}  {:<11} {:<11} USED IN {days} DAYS",
        "CONTRACT",
        "STATE",
        "DIGEST",
        "PUBLISHED",
        "OPERATIONS",
        "DEPRECATED",
        "SUNSET"
    );
    for row in rows {
        let release = row.release.as_ref();
        let digest = release.map_or("-", |release| short(&release.digest));
        let used = row.usage.map_or_else(
            || "-".to_owned(),
            |usage| format!("{} calls, {} callers", usage.calls, usage.callers),
        );
        say!(
            "{:<24} {:<12} {digest:<13} {:<11} {:>10}  {:<11} {:<11} {used}",
            row.name.to_string(),
            standing(row.standing),
            day(release.map(|release| release.published)),
            row.operations,
            day(row.life.deprecated),
            day(row.life.sunset),
        );
    }
}

fn print_json(rows: &[Row]) {
    let of = |row: &Row| {
        let release = row.release.as_ref();
        json!({
            "api": row.name.api(),
            "version": row.name.version(),
            "state": standing(row.standing),
            "digest": release.map(|release| &release.digest),
            "published": release.map(|release| release.published),
            "author": release.map(|release| &release.author),
            "changes": release.map(|release| &release.changes),
            "earlier": row.earlier,
            "operations": row.operations,
            "deprecated": row.life.deprecated,
            "sunset": row.life.sunset,
            "usage": row.usage.map(|usage| json!({ "calls": usage.calls, "callers": usage.callers })),
        })
    };
    say!("{:#}", json!({ "contracts": rows.iter().map(of).collect::<Vec<_>>() }));
}

fn standing(standing: Option<Standing>) -> &'static str {
    standing.map_or("missing", Standing::as_str)
}

fn day(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// A week has every kind of day.
const DAYS: u32 = 7;
