//! What does `policies/lifecycle.yaml` grant and call off, and is what it says sound?

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

use super::waiver::{self, Waiver};
use crate::contract::Catalogue;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{Document, token};
use crate::identity::Callers;

/// Who is exempt from the end of what is deprecated, and which brown-outs are called off.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "policies/lifecycle.yaml")]
pub(super) struct Written {
    /// Waivers, by a name that audit records use. A caller with one has no brown-outs, and may go on after
    /// the sunset until the waiver ends.
    #[serde(default)]
    waivers: BTreeMap<String, WrittenWaiver>,
    /// Which brown-outs of the contracts do not take place.
    #[serde(default)]
    brownouts: WrittenBrownouts,
}

/// What is granted to one caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenWaiver {
    /// Who has it, by its name in callers.yaml.
    caller: String,
    /// The API.
    api: String,
    /// Its version.
    version: String,
    /// One operation of it, by its `operationId`; all of them, when not said.
    #[serde(default)]
    operation: Option<String>,
    /// Why it is needed.
    #[schemars(length(min = 1))]
    reason: String,
    /// Who approved it.
    #[schemars(length(min = 1))]
    approver: String,
    /// The day on which it was approved.
    #[schemars(with = "String", regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    granted: Date,
    /// The last day on which it holds, in UTC: at most a year after `granted`.
    #[schemars(with = "String", regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    until: Date,
}

/// Brown-outs that do not take place.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenBrownouts {
    /// The switch for all of them: with `true` none takes place.
    #[serde(default)]
    stopped: bool,
    /// Single ones that are called off, and why.
    #[serde(default)]
    called_off: Vec<CalledOff>,
}

/// A brown-out that does not take place.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CalledOff {
    /// Its name below that of what it is written for: `orders.v1/first-hour`.
    name: String,
    /// Why.
    #[schemars(length(min = 1))]
    reason: String,
}

/// What the file means.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) waivers: Vec<Waiver>,
    pub(super) stopped: bool,
    pub(super) called_off: Vec<String>,
}

/// Reads the file, and looks up everything that it names.
pub(super) fn read(
    document: &Document,
    callers: &Callers,
    contracts: &Catalogue,
    today: Date,
) -> Result<(Resolved, Diagnostics), Diagnostics> {
    let written: Written = document.to()?;
    let mut reading = Reading { document, callers, contracts, today, mistakes: Diagnostics::new() };
    let waivers = written.waivers.into_iter().filter_map(|(id, written)| reading.waiver(&id, written));
    let waivers: Vec<Waiver> = waivers.collect();
    let WrittenBrownouts { stopped, called_off } = written.brownouts;
    for (n, one) in called_off.iter().enumerate() {
        reading.called_off(n, one);
    }
    let called_off = called_off.into_iter().map(|one| one.name).collect();
    let Reading { mistakes, .. } = reading;
    mistakes.into_result(Some(Resolved { waivers, stopped, called_off }))
}

/// The JSON Schema of the file, for editors.
pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(Written).to_value()
}

struct Reading<'r> {
    document: &'r Document,
    callers: &'r Callers,
    contracts: &'r Catalogue,
    today: Date,
    mistakes: Diagnostics,
}

impl Reading<'_> {
    fn waiver(&mut self, id: &str, written: WrittenWaiver) -> Option<Waiver> {
        let WrittenWaiver { caller, api, version, operation, reason, approver, granted, until } = written;
        let at = |key: &str| self.document.place(&format!("/waivers/{}/{key}", token(id)));
        let mut found = Diagnostics::new();
        for (key, text) in [("reason", &reason), ("approver", &approver)] {
            if text.trim().is_empty() {
                found.push(Diagnostic::error(at(key), format!("`{key}` of the waiver `{id}` is empty")));
            }
        }
        if !self.callers.iter().any(|profile| profile.id == caller) {
            let told = Diagnostic::error(at("caller"), format!("unknown caller `{caller}`"));
            found.push(told.did_you_mean(&caller, self.callers.iter().map(|profile| profile.id.as_str())));
        }
        let target = self.target(&at, &api, &version, operation.as_deref(), &mut found);
        if until < granted {
            found.push(Diagnostic::error(
                at("until"),
                format!("the waiver `{id}` ends before it was granted"),
            ));
        } else if granted.checked_add(LENGTH_MAX.years()).is_ok_and(|latest| until > latest) {
            let told = format!("the waiver `{id}` holds for more than a year");
            found.push(Diagnostic::error(at("until"), told).help("grant it anew when the year is over"));
        }
        if until < self.today {
            let told = format!("the waiver `{id}` has ended on {until}");
            found.push(Diagnostic::warning(at("until"), told).help("remove it, or have it granted anew"));
        }
        if granted > self.today {
            let told = format!("the waiver `{id}` says it was granted on {granted}, which is yet to come");
            found.push(Diagnostic::warning(at("granted"), told));
        }
        let refused = found.has_errors();
        self.mistakes.extend(found);
        let ends = waiver::end_of(until).filter(|_| !refused)?;
        Some(Waiver { id: id.into(), caller, target: target?, until, ends })
    }

    /// What the waiver is for, which must be deprecated to need one.
    fn target(
        &self,
        at: &dyn Fn(&str) -> crate::diagnostic::Place,
        api: &str,
        version: &str,
        operation: Option<&str>,
        found: &mut Diagnostics,
    ) -> Option<String> {
        let contracts = self.contracts.contracts();
        let of_api: Vec<_> = contracts.iter().filter(|contract| contract.api() == api).collect();
        if of_api.is_empty() {
            let told = Diagnostic::error(at("api"), format!("unknown API `{api}`"));
            found.push(told.did_you_mean(api, contracts.iter().map(|contract| contract.api())));
            return None;
        }
        let Some(contract) = of_api.iter().find(|contract| contract.version() == version) else {
            let told = Diagnostic::error(at("version"), format!("`{api}` has no version `{version}`"));
            found.push(told.did_you_mean(version, of_api.iter().map(|contract| contract.version())));
            return None;
        };
        let mut operations = self.contracts.operations_of(contract);
        let Some(id) = operation else {
            if operations.all(|operation| operation.lifecycle().deprecated().is_none()) {
                found.push(needless(at("version"), &format!("`{api}.{version}`")));
            }
            return Some(format!("{api}.{version}"));
        };
        let Some(operation) = self.contracts.operations_of(contract).find(|one| one.operation_id() == id)
        else {
            let told =
                Diagnostic::error(at("operation"), format!("`{api}.{version}` has no operation `{id}`"));
            found.push(told.did_you_mean(id, operations.map(|operation| operation.operation_id())));
            return None;
        };
        if operation.lifecycle().deprecated().is_none() && operation.lifecycle().sunset().is_none() {
            found.push(needless(at("operation"), &format!("`{}`", operation.name())));
        }
        Some(operation.name().to_owned())
    }

    fn called_off(&mut self, n: usize, one: &CalledOff) {
        let operations = self.contracts.operations().iter();
        let known: Vec<&str> = operations
            .flat_map(|operation| operation.lifecycle().brownouts())
            .map(|one| &**one.id())
            .collect();
        if !known.contains(&one.name.as_str()) {
            let place = self.document.place(&format!("/brownouts/called_off/{n}/name"));
            let told = Diagnostic::error(place, format!("no contract has a brown-out `{}`", one.name));
            self.mistakes.push(told.did_you_mean(&one.name, known));
        }
        if one.reason.trim().is_empty() {
            let place = self.document.place(&format!("/brownouts/called_off/{n}/reason"));
            self.mistakes.push(Diagnostic::error(place, "`reason` is empty"));
        }
    }
}

fn needless(place: crate::diagnostic::Place, what: &str) -> Diagnostic {
    let told =
        Diagnostic::warning(place, format!("{what} is not deprecated, so nobody needs a waiver for it"));
    told.help("remove the waiver, or say in the contract since when it is deprecated")
}

/// In years: who needs longer has to ask again, so that somebody looks at it.
const LENGTH_MAX: i64 = 1;
