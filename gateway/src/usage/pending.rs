//! What was counted and is not in the store yet.
//!
//! A map of bounded size; to count a call that was counted before allocates nothing.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Call;

/// Counts by caller and operation.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By the caller's id, empty for whoever needs no proof.
    callers: HashMap<Box<str>, HashMap<Box<str>, Entry>>,
    /// How many counts there are.
    size: usize,
    dropped: u64,
}

/// What one caller did with one operation.
#[derive(Debug)]
struct Entry {
    api: Box<str>,
    version: Box<str>,
    /// One for each day: hardly ever two.
    days: Vec<Day>,
    fields: Vec<(Box<str>, Vec<Day>)>,
}

#[derive(Debug, Clone, Copy)]
struct Day {
    day: i64,
    tally: Tally,
}

/// How often something was used, and when first and last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// Calls, refused ones included.
    pub calls: u64,
    /// Of these, refused ones.
    pub refused: u64,
    /// Of these, ones at a time when it was deprecated.
    pub deprecated: u64,
    /// The first.
    pub first: Timestamp,
    /// The last.
    pub last: Timestamp,
}

/// One count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Days since 1970-01-01, in UTC.
    pub day: i64,
    /// The caller's id; `None` for whoever needs no proof.
    pub caller: Option<String>,
    /// The api.
    pub api: String,
    /// Its version.
    pub version: String,
    /// The operation's full name.
    pub operation: String,
    /// The field, by its place in the contract; `None` for the operation itself.
    pub field: Option<String>,
    /// How often.
    pub tally: Tally,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            refused: self.refused.saturating_add(other.refused),
            deprecated: self.deprecated.saturating_add(other.deprecated),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }

    fn of(call: &Call<'_>, deprecated: bool) -> Self {
        Self {
            calls: 1,
            refused: u64::from(call.refused),
            deprecated: u64::from(deprecated),
            first: call.at,
            last: call.at,
        }
    }
}

impl Pending {
    pub(super) fn count(&mut self, call: &Call<'_>) {
        let of = (call.api, call.version, call.operation);
        let day = |deprecated| Day { day: day(call.at), tally: Tally::of(call, deprecated) };
        self.add(call.caller, of, None, day(call.deprecated));
        for field in call.fields {
            self.add(call.caller, of, Some(field.pointer), day(field.deprecated));
        }
    }

    /// Everything of `other` as well.
    pub(super) fn merge(&mut self, other: Self) {
        self.dropped = self.dropped.saturating_add(other.dropped);
        for row in other.rows() {
            let Counted { day, caller, api, version, operation, field, tally } = &row;
            let day = Day { day: *day, tally: *tally };
            self.add(caller.as_deref(), (api, version, operation), field.as_deref(), day);
        }
    }

    /// How many uses found no room; asked once.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// How many counts there are.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    /// All counts.
    pub(super) fn rows(&self) -> Vec<Counted> {
        let mut rows = Vec::with_capacity(self.size);
        for (caller, operations) in &self.callers {
            for (operation, entry) in operations {
                let row = |field: Option<&str>, day: &Day| Counted {
                    day: day.day,
                    caller: Some(caller.to_string()).filter(|caller| !caller.is_empty()),
                    api: entry.api.to_string(),
                    version: entry.version.to_string(),
                    operation: operation.to_string(),
                    field: field.map(str::to_owned),
                    tally: day.tally,
                };
                rows.extend(entry.days.iter().map(|day| row(None, day)));
                for (field, days) in &entry.fields {
                    rows.extend(days.iter().map(|day| row(Some(field), day)));
                }
            }
        }
        rows
    }

    fn add(
        &mut self,
        caller: Option<&str>,
        (api, version, operation): (&str, &str, &str),
        field: Option<&str>,
        day: Day,
    ) {
        let full = self.size >= COUNTS_MAX;
        let caller = caller.unwrap_or_default();
        let known = self.callers.get_mut(caller);
        let grown = match known.and_then(|operations| operations.get_mut(operation)) {
            Some(entry) => entry.add(field, day, full),
            None if full => Grown::NoRoom,
            None => {
                let mut entry =
                    Entry { api: api.into(), version: version.into(), days: Vec::new(), fields: Vec::new() };
                let grown = entry.add(field, day, false);
                self.callers.entry(caller.into()).or_default().insert(operation.into(), entry);
                grown
            }
        };
        match grown {
            Grown::No => {}
            Grown::ByOne => self.size = self.size.saturating_add(1),
            Grown::NoRoom => self.dropped = self.dropped.saturating_add(day.tally.calls),
        }
    }
}

/// Whether counting took room.
enum Grown {
    No,
    ByOne,
    NoRoom,
}

impl Entry {
    fn add(&mut self, field: Option<&str>, day: Day, full: bool) -> Grown {
        let days = match field {
            None => &mut self.days,
            Some(field) => match self.fields.iter().position(|(known, _)| **known == *field) {
                Some(known) => match self.fields.get_mut(known) {
                    Some((_, days)) => days,
                    None => return Grown::NoRoom,
                },
                None if full => return Grown::NoRoom,
                None => {
                    self.fields.push((field.into(), vec![day]));
                    return Grown::ByOne;
                }
            },
        };
        match days.iter_mut().find(|known| known.day == day.day) {
            Some(known) => {
                known.tally = known.tally.and(day.tally);
                Grown::No
            }
            None if full => Grown::NoRoom,
            None => {
                days.push(day);
                Grown::ByOne
            }
        }
    }
}

/// Days since 1970-01-01, in UTC.
pub(super) fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY_S)
}

pub(super) const DAY_S: i64 = 86_400;
/// About 20 MB: every operation of a large retailer by every partner, with the store gone.
pub(super) const COUNTS_MAX: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::super::FieldUse;
    use super::super::tests::call;
    use super::*;

    #[test]
    fn calls_are_counted_by_caller_operation_field_and_day() {
        let mut pending = Pending::default();
        let fields = [FieldUse { pointer: "/note", deprecated: true }];
        let late = call(Some("acme"), "a", "2026-11-28T23:59:59Z");
        pending.count(&late);
        pending.count(&Call { fields: &fields, refused: true, ..late });
        pending.count(&call(Some("acme"), "a", "2026-11-29T00:00:00Z"));
        pending.count(&call(None, "a", "2026-11-29T00:00:00Z"));
        let mut rows = pending.rows();
        rows.sort_by_key(|row| (row.caller.clone(), row.field.clone(), row.day));
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                let Tally { calls, refused, deprecated, .. } = row.tally;
                (row.caller.as_deref(), row.field.as_deref(), row.day, calls, refused, deprecated)
            })
            .collect();
        let today = 20_785;
        assert_eq!(
            shown,
            [
                (None, None, today + 1, 1, 0, 0),
                (Some("acme"), None, today, 2, 1, 0),
                (Some("acme"), None, today + 1, 1, 0, 0),
                (Some("acme"), Some("/note"), today, 1, 1, 1),
            ]
        );
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_told() {
        let mut pending = Pending::default();
        let names: Vec<String> = (0..COUNTS_MAX + 5).map(|n| n.to_string()).collect();
        for name in &names {
            pending.count(&call(None, name, "2026-11-28T00:00:00Z"));
        }
        assert_eq!((pending.rows().len(), pending.take_dropped()), (COUNTS_MAX, 5));
        pending.count(&call(None, "0", "2026-11-28T00:00:00Z"));
        let mut other = Pending::default();
        other.merge(pending);
        assert_eq!(other.take_dropped(), 0, "what is known is counted on");
        assert_eq!(other.rows().iter().map(|row| row.tally.calls).sum::<u64>(), 100_001);
    }
}
