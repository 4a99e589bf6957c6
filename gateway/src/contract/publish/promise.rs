//! Do the dates of a contract keep what callers were promised? They may move in the callers' favour only.
//!
//! It reads dates where they stand, so that a release which an older gateway published can be asked too.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::source::{At, Source};
use super::list::Life;
use crate::diagnostic::Diagnostics;

/// A date, and where it stands.
type Dated = Option<(Timestamp, At)>;

/// The dates of one operation.
#[derive(Debug, Clone)]
struct Dates {
    deprecated: Dated,
    sunset: Dated,
}

/// Everywhere that `new` takes back what `old` promised, or switches off sooner than after `notice`.
pub(super) fn broken(old: &Source, new: &Source, now: Timestamp, notice: Duration) -> Diagnostics {
    let before = dates(old);
    // What stands once for all operations is told once.
    let mut operations_at: BTreeMap<(At, String), usize> = BTreeMap::new();
    for (operation, dates) in dates(new) {
        let Some(before) = before.get(&operation) else { continue };
        for fault in faults(before, &dates, now, notice) {
            let operations = operations_at.entry(fault).or_default();
            *operations = operations.saturating_add(1);
        }
    }
    let mut mistakes = Diagnostics::new();
    for ((at, fault), operations) in operations_at {
        let many = if operations > 1 { format!("{operations} operations; ") } else { String::new() };
        mistakes.push(new.error(&at, fault).help(format!("{many}{HELP}")));
    }
    mistakes
}

fn faults(old: &Dates, new: &Dates, now: Timestamp, notice: Duration) -> Vec<(At, String)> {
    let mut faults = Vec::new();
    for (key, old, new) in
        [("deprecated", &old.deprecated, &new.deprecated), ("sunset", &old.sunset, &new.sunset)]
    {
        if let (Some((old, _)), Some((new, at))) = (old, new)
            && new < old
        {
            faults.push((at.clone(), format!("`{key}` moves from {old} to the earlier {new}")));
        }
    }
    if let (None, Some((sunset, at))) = (&old.sunset, &new.sunset) {
        let first = now.checked_add(notice).unwrap_or(Timestamp::MAX);
        if *sunset < first {
            let days = notice.as_secs() / SECONDS_OF_A_DAY;
            faults
                .push((at.clone(), format!("`sunset` comes on {sunset}, without the {days} days of notice")));
        }
    }
    faults
}

/// Whether the sunset of every operation is over.
pub(super) fn is_over(source: &Source, now: Timestamp) -> bool {
    let dates = dates(source);
    !dates.is_empty()
        && dates.values().all(|dates| dates.sunset.as_ref().is_some_and(|(sunset, _)| *sunset <= now))
}

/// The dates of the version as a whole.
pub(super) fn life(source: &Source) -> Life {
    let Dates { deprecated, sunset } = read(source, &source.root());
    let date = |dated: Dated| dated.map(|(date, _)| date);
    Life { deprecated: date(deprecated), sunset: date(sunset) }
}

/// The dates of every operation, by method and path.
fn dates(source: &Source) -> BTreeMap<String, Dates> {
    let root = source.root();
    let of_version = read(source, &root);
    let mut all = BTreeMap::new();
    let paths = root.key("paths");
    let items = source.value(&paths).and_then(Value::as_object).into_iter().flat_map(|items| items.keys());
    for path in items.filter(|path| path.starts_with('/')) {
        let Ok(item) = source.follow(paths.key(path)) else { continue };
        for method in METHODS {
            let at = item.key(method);
            if source.value(&at).is_some() {
                let own = read(source, &at);
                // What an operation does not say itself is what its version says.
                let dates = Dates {
                    deprecated: own.deprecated.or_else(|| of_version.deprecated.clone()),
                    sunset: own.sunset.or_else(|| of_version.sunset.clone()),
                };
                all.insert(format!("{method} {path}"), dates);
            }
        }
    }
    all
}

fn read(source: &Source, at: &At) -> Dates {
    let at = at.key("x-gateway").key("lifecycle");
    let date = |key: &str| {
        let written = source.member(&at, key)?.as_str()?.parse().ok()?;
        Some((written, at.key(key)))
    };
    Dates { deprecated: date("deprecated"), sunset: date("sunset") }
}

pub(super) const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];
const SECONDS_OF_A_DAY: u64 = 86_400;
const HELP: &str = "dates move in the callers' favour; --unused-because REASON says that nobody is hurt";

#[cfg(test)]
mod tests {
    use super::*;

    fn source(lifecycle: &str, of_operation: &str) -> Source {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "openapi: 3.1.0\nx-gateway: {{{lifecycle}}}\npaths:\n  /a:\n    get: {{x-gateway: {{{of_operation}}}}}\n    put: {{}}\n"
        );
        std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
        Source::read(folder.path(), "contracts/a/v1").unwrap()
    }

    fn told(old: (&str, &str), new: (&str, &str)) -> String {
        let now = "2026-11-28T00:00:00Z".parse().unwrap();
        let notice = Duration::from_secs(30 * SECONDS_OF_A_DAY);
        broken(&source(old.0, old.1), &source(new.0, new.1), now, notice).to_string()
    }

    fn sunset(date: &str) -> String {
        format!("lifecycle: {{sunset: '{date}T00:00:00Z'}}")
    }

    #[test]
    fn a_sunset_moves_later_or_goes_away_but_never_earlier() {
        let (may, june) = (sunset("2027-05-01"), sunset("2027-06-01"));
        assert_eq!(told((&may, ""), (&june, "")), "");
        assert_eq!(told((&may, ""), ("", "")), "");
        let earlier = told((&june, ""), (&may, ""));
        assert!(
            earlier.contains("from 2027-06-01T00:00:00Z to the earlier 2027-05-01T00:00:00Z"),
            "{earlier}"
        );
        assert!(earlier.contains("openapi.yaml:2:") && earlier.contains("2 operations"), "{earlier}");
        assert_eq!(earlier.matches("error:").count(), 1, "{earlier}");
    }

    #[test]
    fn a_first_sunset_leaves_time() {
        assert_eq!(told(("", ""), (&sunset("2027-01-01"), "")), "");
        assert!(told(("", ""), (&sunset("2026-12-20"), "")).contains("30 days of notice"));
        assert!(told(("", ""), (&sunset("2020-01-01"), "")).contains("30 days of notice"));
    }

    #[test]
    fn a_deprecation_may_be_announced_but_not_moved_to_an_earlier_day() {
        let on = |date: &str| format!("lifecycle: {{deprecated: '{date}T00:00:00Z'}}");
        assert_eq!(told(("", ""), (&on("2026-01-01"), "")), "");
        assert_eq!(told((&on("2027-01-01"), ""), (&on("2027-02-01"), "")), "");
        assert!(told((&on("2027-02-01"), ""), (&on("2027-01-01"), "")).contains("`deprecated` moves"));
    }

    #[test]
    fn an_operations_own_dates_are_its_promise() {
        let (may, june) = (sunset("2027-05-01"), sunset("2027-06-01"));
        // The operation had June by itself and falls back to its contract's May.
        let moved = told((&may, &june), (&may, ""));
        assert!(moved.contains("`sunset` moves") && !moved.contains("2 operations"), "{moved}");
        assert_eq!(told((&may, ""), (&may, &june)), "");
    }
}
