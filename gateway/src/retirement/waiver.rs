//! Who may go on calling what is retired, until when, and who approved it?

use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

/// What was granted to one caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Its name in `lifecycle.yaml` and in audit records.
    pub id: Arc<str>,
    /// Who has it.
    pub caller: String,
    /// What it is for: `orders.v1`, or one operation: `orders.v1.createOrder`.
    pub target: String,
    /// The last day on which it holds, in UTC.
    pub until: Date,
    /// The first instant after that day.
    pub(super) ends: Timestamp,
}

impl Waiver {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.ends
    }
}

/// The first instant after a day, in UTC.
pub(super) fn end_of(day: Date) -> Option<Timestamp> {
    let next = day.tomorrow().ok()?;
    TimeZone::UTC.to_timestamp(next.at(0, 0, 0, 0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiver_holds_to_the_end_of_its_last_day() {
        let until: Date = "2027-06-30".parse().unwrap();
        let waiver = Waiver {
            id: "w".into(),
            caller: "acme".to_owned(),
            target: "orders.v1".to_owned(),
            until,
            ends: end_of(until).unwrap(),
        };
        assert!(waiver.holds("2027-06-30T23:59:59Z".parse().unwrap()));
        assert!(!waiver.holds("2027-07-01T00:00:00Z".parse().unwrap()));
    }
}
