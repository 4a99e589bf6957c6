//! `gateway contract lint`: does a contract keep to the rules?

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{End, Format, Settings, Site, Unusable, is_within, print_findings};
use crate::contract::lint::{Count, Finding, Findings, Level, Linter};
use crate::contract::publish::{Name, Shelf};

/// Arguments of `gateway contract lint`.
#[derive(Debug, Args)]
pub(in super::super) struct Lint {
    /// What to look at: API/VERSION, a folder of contracts, or any OpenAPI document. Default: every contract.
    what: Vec<String>,
    #[command(flatten)]
    settings: Settings,
    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// How many findings of one rule to print of one contract; 0 for all.
    #[arg(long, value_name = "NUMBER", default_value_t = SHOWN)]
    show: usize,
}

/// One thing that was looked at.
struct Looked {
    what: String,
    findings: Findings,
}

impl Lint {
    pub(super) fn run(self) -> Result<End, Unusable> {
        let site = Site::of(&self.settings);
        let rules = site.rules()?;
        let mut linter = Linter::new(&rules, if self.show == 0 { usize::MAX } else { self.show });
        let mut looked = Vec::new();
        if self.what.is_empty() {
            all_of(&site.shelf, |_| true, &mut linter, &mut looked)?;
            for warning in linter.needless().iter() {
                eprintln!("{warning}\n");
            }
        }
        for what in &self.what {
            look(what, &site.shelf, &mut linter, &mut looked)?;
        }
        match self.format {
            Format::Text => print_text(&looked),
            Format::Json => print_json(&looked),
        }
        Ok(End::well_if(looked.iter().all(|one| one.findings.number(Level::Error) == 0)))
    }
}

/// Looks at every contract of the folder, or at those that are `meant`.
fn all_of(
    shelf: &Shelf,
    meant: impl Fn(&Name) -> bool,
    linter: &mut Linter<'_>,
    looked: &mut Vec<Looked>,
) -> Result<(), Unusable> {
    let names: Vec<Name> = shelf.names()?.into_iter().filter(meant).collect();
    if names.is_empty() {
        return Err(Unusable(format!("{}: there is no such contract", shelf.root().display())));
    }
    looked.extend(names.iter().map(|name| contract(shelf, name, linter)));
    Ok(())
}

fn contract(shelf: &Shelf, name: &Name, linter: &mut Linter<'_>) -> Looked {
    let (folder, shown) = (shelf.folder(name), shelf.shown(name));
    Looked { what: name.to_string(), findings: linter.contract(&folder, name, &shown) }
}

/// A contract by its name or folder, all of an API, a folder of contracts, or a document.
fn look(
    what: &str,
    shelf: &Shelf,
    linter: &mut Linter<'_>,
    looked: &mut Vec<Looked>,
) -> Result<(), Unusable> {
    let path = PathBuf::from(what);
    let within = is_within(&path, shelf.root());
    let within: Option<Vec<String>> = within
        .filter(|_| path.is_dir())
        .map(|within| within.iter().map(|part| part.to_string_lossy().into_owned()).collect());
    match within.as_deref() {
        Some([]) => return all_of(shelf, |_| true, linter, looked),
        Some([api]) => return all_of(shelf, |name| name.api() == api, linter, looked),
        Some([api, version]) => looked.push(contract(shelf, &Name::new(api, version), linter)),
        Some(_) | None if path.is_dir() && !is_contract(&path) => {
            return all_of(&Shelf::new(&path), |_| true, linter, looked);
        }
        Some(_) | None if path.exists() => {
            looked.push(Looked { what: what.to_owned(), findings: linter.document(&path) });
        }
        Some(_) | None => match what.parse::<Name>() {
            Ok(name) => return all_of(shelf, |known| *known == name, linter, looked),
            Err(_no_name) => {
                return Err(Unusable(format!("{what}: there is no such file, folder or contract")));
            }
        },
    }
    Ok(())
}

fn is_contract(folder: &std::path::Path) -> bool {
    ["openapi.yaml", "openapi.json"].iter().any(|file| folder.join(file).exists())
}

fn print_text(looked: &[Looked]) {
    for Looked { what, findings } in looked {
        print_findings(findings);
        if findings.hidden() > 0 {
            say!("{what}: {} more findings are not shown (--show 0 shows all)\n", findings.hidden());
        }
    }
    let rows: Vec<(&str, &str, &Count)> = looked
        .iter()
        .flat_map(|one| {
            one.findings.counts().iter().map(|(rule, count)| (one.what.as_str(), rule.as_str(), count))
        })
        .collect();
    if !rows.is_empty() {
        say!("{:<24} {:<24} {:<8} {:>7} {:>9}", "CONTRACT", "RULE", "LEVEL", "FOUND", "EXCEPTED");
    }
    for (what, rule, Count { level, found, excepted }) in rows {
        say!("{what:<24} {rule:<24} {:<8} {found:>7} {excepted:>9}", level.as_str());
    }
    let sum = |level| looked.iter().map(|one| one.findings.number(level)).sum::<usize>();
    let (errors, warnings) = (sum(Level::Error), sum(Level::Warning));
    let verdict = if errors == 0 { "ok" } else { "not ok" };
    say!("{verdict}: {} looked at, {errors} errors, {warnings} warnings", looked.len());
}

fn print_json(looked: &[Looked]) {
    let of = |Looked { what, findings }: &Looked| {
        let counts: Map<String, Value> = findings
            .counts()
            .iter()
            .map(|(rule, Count { level, found, excepted })| {
                (rule.clone(), json!({ "level": level, "found": found, "excepted": excepted }))
            })
            .collect();
        let shown: Vec<Value> = findings.shown().iter().map(finding).collect();
        json!({ "contract": what, "counts": counts, "findings": shown, "hidden": findings.hidden() })
    };
    let ok = looked.iter().all(|one| one.findings.number(Level::Error) == 0);
    say!("{:#}", json!({ "ok": ok, "contracts": looked.iter().map(of).collect::<Vec<_>>() }));
}

fn finding(finding: &Finding) -> Value {
    let Finding { rule, level, diagnostic, pointer } = finding;
    let place = diagnostic.place();
    json!({
        "rule": rule,
        "level": level,
        "file": place.map(|place| place.file_name()),
        "line": place.map(|place| place.line()),
        "column": place.map(|place| place.column()),
        "pointer": pointer,
        "message": diagnostic.message(),
        "help": diagnostic.help_text(),
    })
}

/// As many findings of one rule as a person reads.
const SHOWN: usize = 20;
