//! When is a deprecated version switched off for a while, and for which callers?
//!
//! A window and a share, compiled when the contract loads. It does not know the time, nor who calls: a
//! caller is a position from 0 on, below [`POSITIONS`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::Place;

/// A window in which a deprecated version or operation answers 410 to some of its callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brownout {
    id: Arc<str>,
    start: Timestamp,
    end: Timestamp,
    /// Of all callers, in percent: at the start, and at the end.
    share: (u8, u8),
    callers: Option<Vec<String>>,
    place: Place,
}

/// A brown-out as it is written in `lifecycle`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenBrownout {
    /// Its name, which records, `/status` and `policies/lifecycle.yaml` use.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9][a-z0-9_-]*$"))]
    pub(super) name: String,
    /// When it begins: `2027-03-01T08:00:00Z`.
    #[schemars(with = "String")]
    start: Timestamp,
    /// When it is over; a week after its start at most.
    #[schemars(with = "String")]
    end: Timestamp,
    /// The share of the callers that it is for, in percent. All of them, when not said.
    #[schemars(range(min = 1, max = 100))]
    share: Option<u8>,
    /// The share at its end: from `share` on it grows in a straight line. It stays, when not said.
    #[schemars(range(min = 1, max = 100))]
    share_at_end: Option<u8>,
    /// The callers that it is for, by their names in `callers.yaml`. Everybody, when not said.
    #[schemars(length(min = 1))]
    callers: Option<Vec<String>>,
}

/// Why a brown-out cannot take place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BrownoutError {
    #[error("a brown-out ends after its start")]
    Empty,
    #[error("a brown-out lasts a week at most")]
    Long,
    #[error("only what is deprecated has brown-outs, and nothing says since when it is")]
    NotDeprecated,
    #[error("the brown-out begins before `deprecated`")]
    BeforeDeprecation,
    #[error("the brown-out ends after `sunset`")]
    AfterSunset,
    #[error("`share_at_end` is less than `share`")]
    Shrinks,
    #[error("the brown-out `{0}` takes place at the same time")]
    Overlaps(String),
    #[error("another brown-out has the name `{0}`")]
    NameTaken(String),
}

impl Brownout {
    /// Its name below that of what it is written for: `orders.v1/first-hour`.
    #[must_use]
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// When it begins.
    #[must_use]
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// When it is over.
    #[must_use]
    pub const fn end(&self) -> Timestamp {
        self.end
    }

    /// The share of its callers that are affected in the end, in percent.
    #[must_use]
    pub const fn share_at_end(&self) -> u8 {
        self.share.1
    }

    /// The callers it is for; none named means everybody.
    #[must_use]
    pub fn callers(&self) -> Option<&[String]> {
        self.callers.as_deref()
    }

    /// Where it is written.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it takes place at `now`.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.start <= now && now < self.end
    }

    /// When it begins for the caller at `position`; never, if the share does not reach that far. Once it
    /// has begun for a caller it lasts to the end.
    #[must_use]
    pub fn begins(&self, position: u16) -> Option<Timestamp> {
        let in_all = |share: u8| u64::from(share).saturating_mul(u64::from(POSITIONS / 100));
        let (first, last, position) = (in_all(self.share.0), in_all(self.share.1), u64::from(position));
        if position < first {
            return Some(self.start);
        }
        if position >= last {
            return None;
        }
        // The share grows in a straight line: how much of the window has passed when it is beyond `position`.
        let (grown, growth) = (position.saturating_sub(first), last.saturating_sub(first));
        let seconds = self.seconds().saturating_mul(grown).checked_div(growth)?.saturating_add(1);
        self.start.checked_add(Duration::from_secs(seconds)).ok().filter(|begins| *begins < self.end)
    }

    fn seconds(&self) -> u64 {
        self.end.duration_since(self.start).unsigned_abs().as_secs()
    }
}

impl WrittenBrownout {
    /// The brown-out of `owner`, which is deprecated and switched off at these times.
    pub(super) fn resolve(
        self,
        owner: &str,
        deprecated: Option<Timestamp>,
        sunset: Option<Timestamp>,
        place: Place,
    ) -> Result<Brownout, BrownoutError> {
        let Self { name, start, end, share, share_at_end, callers } = self;
        let deprecated = deprecated.ok_or(BrownoutError::NotDeprecated)?;
        let at_start = share.unwrap_or(100);
        let at_end = share_at_end.unwrap_or(at_start);
        for (wrong, error) in [
            (end <= start, BrownoutError::Empty),
            (end.duration_since(start).unsigned_abs() > LENGTH_MAX, BrownoutError::Long),
            (start < deprecated, BrownoutError::BeforeDeprecation),
            (sunset.is_some_and(|sunset| sunset < end), BrownoutError::AfterSunset),
            (at_end < at_start, BrownoutError::Shrinks),
        ] {
            if wrong {
                return Err(error);
            }
        }
        let id = format!("{owner}/{name}").into();
        // The text of a large contract is not kept for it.
        Ok(Brownout { id, start, end, share: (at_start, at_end), callers, place: place.hidden() })
    }
}

/// Callers are spread over so many positions: a hundredth of a per cent is the finest share there is.
pub const POSITIONS: u16 = 10_000;
/// What lasts longer is no rehearsal but an outage: that is what a sunset is for.
const LENGTH_MAX: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brownout(share: Option<u8>, share_at_end: Option<u8>) -> Brownout {
        let written = WrittenBrownout {
            name: "hour".to_owned(),
            start: at("2027-03-01T08:00:00Z"),
            end: at("2027-03-01T09:00:00Z"),
            share,
            share_at_end,
            callers: None,
        };
        written.resolve("orders.v1", Some(Timestamp::UNIX_EPOCH), None, Place::file("t")).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_fixed_share_is_that_of_the_positions_for_the_whole_window() {
        let quarter = brownout(Some(25), None);
        assert_eq!(&**quarter.id(), "orders.v1/hour");
        assert_eq!(quarter.begins(0), Some(quarter.start()));
        assert_eq!(quarter.begins(2_499), Some(quarter.start()));
        assert_eq!(quarter.begins(2_500), None);
        assert_eq!(brownout(None, None).begins(POSITIONS - 1), Some(quarter.start()));
    }

    #[test]
    fn a_growing_share_reaches_one_caller_after_the_other() {
        let growing = brownout(Some(10), Some(50));
        for (position, begins) in [
            (999, Some("2027-03-01T08:00:00Z")),
            (1_000, Some("2027-03-01T08:00:01Z")),
            // Half of the growth, half of the hour.
            (3_000, Some("2027-03-01T08:30:01Z")),
            (4_998, Some("2027-03-01T08:59:59Z")),
            // It would be over before it began.
            (4_999, None),
            (5_000, None),
        ] {
            assert_eq!(growing.begins(position), begins.map(at), "{position}");
        }
    }

    #[test]
    fn it_is_open_from_its_start_up_to_its_end() {
        let hour = brownout(None, None);
        for (time, open) in [
            ("2027-03-01T07:59:59Z", false),
            ("2027-03-01T08:00:00Z", true),
            ("2027-03-01T08:59:59Z", true),
            ("2027-03-01T09:00:00Z", false),
        ] {
            assert_eq!(hour.is_open(at(time)), open, "{time}");
        }
    }

    proptest! {
        #[test]
        fn whoever_comes_later_begins_no_earlier(first in 1_u8..=100, more in 0_u8..=99, one in 0..POSITIONS, other in 0..POSITIONS) {
            let growing = brownout(Some(first), Some(first.saturating_add(more).min(100)));
            let (lower, higher) = (one.min(other), one.max(other));
            let (lower, higher) = (growing.begins(lower), growing.begins(higher));
            prop_assert!(higher.is_none_or(|higher| lower.is_some_and(|lower| lower <= higher)));
            for begins in [lower, higher].into_iter().flatten() {
                prop_assert!(growing.is_open(begins));
            }
        }
    }
}
