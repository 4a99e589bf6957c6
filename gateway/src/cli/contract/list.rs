//! `gateway contract list`: what is live, and what is its life?

use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::{End, Format, Settings, Site, Unusable};
use crate::contract::publish::{Row, Standing, rows, short};

/// Arguments of `gateway contract list`.
#[derive(Debug, Args)]
pub(in super::super) struct List {
    #[command(flatten)]
    settings: Settings,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl List {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let rows = rows(&Site::of(&self.settings).shelf, None)?;
        match self.format {
            Format::Text => print_text(&rows),
            Format::Json => print_json(&rows),
        }
        Ok(End::well_if(rows.iter().all(|row| row.standing == Some(Standing::Published))))
    }
}

fn print_text(rows: &[Row]) {
    println!(
        "{:<24} {:<12} {:<13} {:<11} {:>10}  {:<11} {:<11} USED",
        "CONTRACT", "STATE", "DIGEST", "PUBLISHED", "OPERATIONS", "DEPRECATED", "SUNSET"
    );
    for row in rows {
        let release = row.release.as_ref();
        let digest = release.map_or("-", |release| short(&release.digest));
        let used = row.usage.map_or_else(
            || "-".to_owned(),
            |usage| format!("{} calls by {} callers", usage.calls, usage.callers),
        );
        println!(
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
    println!("{:#}", json!({ "contracts": rows.iter().map(of).collect::<Vec<_>>() }));
}

fn standing(standing: Option<Standing>) -> &'static str {
    standing.map_or("missing", Standing::as_str)
}

fn day(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
}
