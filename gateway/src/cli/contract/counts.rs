//! Where are the counts read from, and what do the contracts say of what was counted?

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::super::Settings;
use crate::audit::{self, Outcome, Record};
use crate::config::Outline;
use crate::contract::{Catalogue, Field, Lifecycle, Operation};
use crate::usage::{Call, FieldUse, Reader, Recount, StoreError};

/// Where the counts and the contracts are.
#[derive(Debug, Args)]
pub(super) struct Counts {
    #[command(flatten)]
    settings: Settings,
    /// The store that a gateway keeps; by default the one of `usage` in gateway.yaml.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Count what stands in this audit log instead of reading a store.
    #[arg(long, value_name = "FOLDER", conflicts_with = "store")]
    from_audit: Option<PathBuf>,
}

/// The counts, and the contracts that explain them.
pub(super) struct Known {
    pub(super) counts: Reader,
    pub(super) contracts: Catalogue,
}

/// A field as reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct FieldShown {
    pub(super) pointer: String,
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
}

impl Counts {
    /// Which gateway is meant.
    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Opens both.
    pub(super) fn open(&self) -> Result<Known, String> {
        let outline = Outline::read(&self.settings.config);
        let (contracts, _warnings) =
            Catalogue::load(&outline.contracts, None).map_err(|wrong| wrong.to_string())?;
        let counts = match (&self.from_audit, &self.store) {
            (Some(log), _) => from_audit(log, &contracts)?,
            (None, Some(store)) => open(store)?,
            (None, None) => open(&outline.usage)?,
        };
        Ok(Known { counts, contracts })
    }
}

impl Counts {
    /// The counts, where there are any: those that were named, or those that a gateway keeps here.
    pub(super) fn reader_if_any(&self) -> Result<Option<Reader>, String> {
        let outline = Outline::read(&self.settings.config);
        match (&self.from_audit, &self.store) {
            (None, Some(store)) => open(store).map(Some),
            (None, None) => outline.usage.is_file().then(|| open(&outline.usage)).transpose(),
            (Some(_), _) => self.open().map(|known| Some(known.counts)),
        }
    }
}

impl Known {
    /// The operation of this full name, if a contract still describes it.
    pub(super) fn operation(&self, name: &str) -> Option<&Arc<Operation>> {
        self.contracts.operations().iter().find(|operation| operation.name() == name)
    }

    /// The field of an operation that stands at this place, if it still does.
    pub(super) fn field(&self, operation: &str, pointer: &str) -> Option<Arc<Field>> {
        let fields = self.operation(operation)?.fields();
        fields.into_iter().find(|field| field.pointer() == pointer)
    }
}

impl FieldShown {
    pub(super) fn new(pointer: &str, field: Option<&Field>) -> Self {
        Self {
            pointer: pointer.to_owned(),
            place: field.map(|field| field.place().as_str()),
            name: field.map(|field| field.name().to_owned()),
        }
    }
}

impl std::fmt::Display for FieldShown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.place, &self.name) {
            (Some(place), Some(name)) => write!(f, "{place} {name}"),
            _ => f.write_str(&self.pointer),
        }
    }
}

/// Whether something of this life is or will be deprecated.
pub(super) const fn has_an_end(life: &Lifecycle) -> bool {
    life.deprecated().is_some() || life.sunset().is_some()
}

fn open(store: &Path) -> Result<Reader, String> {
    Reader::open(store).map_err(|fault| {
        format!(
            "{}: {fault}\n  help: a gateway makes it where `usage` in gateway.yaml says, when it starts; \
             --from-audit counts what stands in an audit log",
            store.display()
        )
    })
}

/// The same counts as the gateway would have kept, from its records.
fn from_audit(log: &Path, contracts: &Catalogue) -> Result<Reader, String> {
    let told = |fault: String| format!("{}: {fault}", log.display());
    let all = audit::Query::default();
    let records = audit::query(log, &all).map_err(|fault| told(fault.to_string()))?;
    let mut counts = Recount::new().map_err(|fault| told(fault.to_string()))?;
    for found in records {
        let found = found.map_err(|fault| told(fault.to_string()))?;
        count(&found.record, contracts, &mut counts).map_err(|fault| told(fault.to_string()))?;
    }
    counts.finish().map_err(|fault| told(fault.to_string()))
}

/// Counts a request whose caller was known, or needed not to be.
fn count(record: &Record, contracts: &Catalogue, counts: &mut Recount) -> Result<(), StoreError> {
    let call = &record.call;
    let (Some(api), Some(version), Some(name)) = (&call.api, &call.version, &call.operation) else {
        return Ok(());
    };
    let operation = contracts.operations().iter().find(|operation| operation.name() == name);
    let is_public = operation.is_some_and(|operation| operation.security().is_empty());
    if record.caller.is_none() && !is_public {
        return Ok(());
    }
    let described = operation.map(|operation| operation.fields()).unwrap_or_default();
    let is_deprecated =
        |pointer: &str| described.iter().any(|field| field.pointer() == pointer && field.is_deprecated());
    let fields: Vec<FieldUse<'_>> = record
        .fields
        .iter()
        .map(|pointer| FieldUse { pointer, deprecated: is_deprecated(pointer) })
        .collect();
    counts.count(&Call {
        caller: record.caller.as_ref().map(|caller| caller.id.as_str()),
        api,
        version,
        operation: name,
        fields: &fields,
        deprecated: operation.is_some_and(|operation| operation.lifecycle().is_deprecated(record.time)),
        refused: record.decision.outcome == Outcome::Refused,
        at: record.time,
    })
}

/// A time to the second.
pub(super) fn shown(time: Timestamp) -> String {
    format!("{time:.0}")
}
