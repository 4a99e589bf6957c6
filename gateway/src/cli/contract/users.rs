//! Whom would a change hurt? What the counts say of what a comparison found.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::counts::Counts;
use crate::contract::diff::{Change, OperationName, Side, Spot, SubjectKind};
use crate::usage::{Filter, Line};

/// Who used one version of an API lately.
pub(super) struct Users {
    lines: Vec<Line>,
    /// `orders.v1.`: what stands before the ids of its operations.
    prefix: String,
    days: u32,
}

/// Who used what a change is about.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Hurt {
    of: Of,
    /// Their ids, in order; whoever needs no proof is `anonymous`.
    callers: BTreeSet<String>,
    calls: u64,
    days: u32,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Of {
    /// Calls of the operation.
    Operation,
    /// Uses of the parameter or property.
    Field,
}

impl Users {
    /// The users of the contract in the folder, or the file, `contract`, which is called as versions are:
    /// `<api>/<version>`. Without counts there are none.
    pub(super) fn read(counts: &Counts, contract: &Path, days: u32) -> Result<Option<Self>, String> {
        let Some((api, version)) = names(contract) else { return Ok(None) };
        let Some(reader) = counts.reader_if_any()? else { return Ok(None) };
        let prefix = format!("{api}.{version}.");
        let filter = Filter { api: Some(api), version: Some(version), ..Filter::default() };
        let lines =
            reader.lines(&filter.last_days(days, Timestamp::now())).map_err(|fault| fault.to_string())?;
        Ok(Some(Self { lines, prefix, days }))
    }

    /// Who used what `change`, which is one of all these operations, is about, as far as that was counted:
    /// the parameter or property, where it is deprecated or watched, or the operation that goes away.
    pub(super) fn of<'o>(
        &self,
        change: &Change,
        operations: impl IntoIterator<Item = &'o OperationName>,
    ) -> Option<Hurt> {
        let names: BTreeSet<String> =
            operations.into_iter().map(|operation| format!("{}{}", self.prefix, id(operation))).collect();
        let lines = self.lines.iter().filter(|line| names.contains(&line.operation));
        if change.subject.kind == SubjectKind::Operation {
            return self.hurt(Of::Operation, lines.filter(|line| line.field.is_none()));
        }
        // What is answered is read or not, which nobody can see.
        let spot = change.old.as_ref().filter(|_| change.side != Side::Response)?;
        let is_meant = |line: &&Line| line.field.as_deref().is_some_and(|field| stands_at(field, spot));
        self.hurt(Of::Field, lines.filter(is_meant))
    }

    fn hurt<'l>(&self, of: Of, lines: impl Iterator<Item = &'l Line>) -> Option<Hurt> {
        let mut hurt = Hurt { of, callers: BTreeSet::new(), calls: 0, days: self.days };
        for line in lines {
            hurt.callers.insert(line.caller.clone().unwrap_or_else(|| "anonymous".to_owned()));
            hurt.calls = hurt.calls.saturating_add(line.tally.calls);
        }
        (hurt.calls > 0).then_some(hurt)
    }
}

impl fmt::Display for Hurt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = if self.callers.len() == 1 { "caller" } else { "callers" };
        let did = match self.of {
            Of::Operation => "called",
            Of::Field => "sent",
        };
        let times = if self.calls == 1 { "once".to_owned() } else { format!("{} times", self.calls) };
        let named: Vec<&str> = self.callers.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = if self.callers.len() > NAMED_MAX { ", ..." } else { "" };
        let (count, days) = (self.callers.len(), self.days);
        write!(f, "{count} {callers} {did} it {times} in the last {days} days ({}{more})", named.join(", "))
    }
}

/// A change as JSON, with whom it hurts.
pub(super) fn document(change: &Change, users: Option<&Users>) -> Value {
    let mut document = json!(change);
    if let (Some(members), Some(hurt)) =
        (document.as_object_mut(), users.and_then(|users| users.of(change, &change.operation)))
    {
        members.insert("usage".to_owned(), json!(hurt));
    }
    document
}

/// What an operation is called behind api and version.
fn id(operation: &OperationName) -> String {
    let unnamed = || format!("{}:{}", operation.method, operation.path);
    operation.operation_id.clone().unwrap_or_else(unnamed)
}

/// Whether a field that is called `field` is what stands at `spot`, or around it.
fn stands_at(field: &str, spot: &Spot) -> bool {
    let (file, pointer) = field.split_once('#').unwrap_or(("", field));
    let in_file = if file.is_empty() {
        is_main(Path::new(&spot.file))
    } else {
        spot.file.strip_suffix(file).is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    let inside = spot.pointer.strip_prefix(pointer);
    in_file && inside.is_some_and(|inside| inside.is_empty() || inside.starts_with('/'))
}

fn is_main(file: &Path) -> bool {
    file.file_stem().is_some_and(|stem| stem == "openapi")
}

/// The api and the version of a contract, by the folders it stands in.
fn names(contract: &Path) -> Option<(String, String)> {
    let contract = contract.canonicalize().ok()?;
    let folder = if contract.is_file() { contract.parent()? } else { &contract };
    let name = |folder: &Path| folder.file_name()?.to_str().map(str::to_owned);
    Some((name(folder.parent()?)?, name(folder)?))
}

/// Callers that one line names.
const NAMED_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_meant_where_it_or_something_in_it_changed() {
        let spot =
            |file: &str, pointer: &str| Spot { file: file.to_owned(), pointer: pointer.to_owned(), line: 1 };
        for (field, file, pointer, meant) in [
            ("/a/note", "contracts/orders/v1/openapi.yaml", "/a/note", true),
            ("/a/note", "openapi.json", "/a/note/maxLength", true),
            ("/a/note", "openapi.yaml", "/a/notes", false),
            ("/a/note", "openapi.yaml", "/a", false),
            ("/a/note", "schemas/line.yaml", "/a/note", false),
            ("schemas/line.yaml#/a", "contracts/orders/v1/schemas/line.yaml", "/a", true),
            ("schemas/line.yaml#/a", "contracts/orders/v1/other-schemas/line.yaml", "/a", false),
            ("schemas/line.yaml#/a", "openapi.yaml", "/a", false),
        ] {
            assert_eq!(stands_at(field, &spot(file, pointer)), meant, "{field} {file} {pointer}");
        }
    }

    #[test]
    fn who_is_hurt_is_said_in_a_sentence() {
        let hurt = |callers: &[&str], calls| Hurt {
            of: Of::Field,
            callers: callers.iter().map(|caller| (*caller).to_owned()).collect(),
            calls,
            days: 7,
        };
        for (hurt, said) in [
            (hurt(&["a", "b"], 418), "2 callers sent it 418 times in the last 7 days (a, b)"),
            (hurt(&["a"], 1), "1 caller sent it once in the last 7 days (a)"),
            (hurt(&["d", "c", "b", "a"], 5), "4 callers sent it 5 times in the last 7 days (a, b, c, ...)"),
        ] {
            assert_eq!(hurt.to_string(), said);
        }
    }
}
