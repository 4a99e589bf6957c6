//! What is deprecated, switched off for a while, or about to end? For operators, at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::judge::{Life, Retirement};
use crate::contract::{Brownout, Contract, Lifecycle};

/// How far a life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It will be deprecated, and that was announced.
    Announced,
    /// It is deprecated.
    Deprecated,
    /// It is deprecated, and ends within thirty days.
    SunsetSoon,
    /// A brown-out takes place.
    Brownout,
    /// It is past its sunset.
    Retired,
}

/// A brown-out that is to come, or takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub start: Timestamp,
    /// When it is over.
    pub end: Timestamp,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Announced, Self::Deprecated, Self::SunsetSoon, Self::Brownout, Self::Retired];

    /// The word for it in `/status` and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Deprecated => "deprecated",
            Self::SunsetSoon => "sunset_soon",
            Self::Brownout => "brownout",
            Self::Retired => "retired",
        }
    }

    /// How far `life` has come, if it has an end at all; `switched_off` says that a brown-out takes place.
    fn of(life: &Lifecycle, switched_off: bool, now: Timestamp) -> Option<Self> {
        let soon = |sunset: Timestamp| sunset.duration_since(now).unsigned_abs() <= SOON;
        Some(match life.deprecated() {
            _ if life.is_gone(now) => Self::Retired,
            _ if switched_off => Self::Brownout,
            _ if life.sunset().is_some_and(soon) => Self::SunsetSoon,
            Some(since) if since <= now => Self::Deprecated,
            Some(_) => Self::Announced,
            None => life.sunset().map(|_| Self::Announced)?,
        })
    }
}

impl Retirement {
    /// How many operations of each version stand where; versions in full use are left out.
    #[must_use]
    pub fn census(&self, now: Timestamp) -> BTreeMap<(&str, &str, Standing), usize> {
        let mut census = BTreeMap::new();
        for life in self.lives() {
            let operation = &life.operation;
            let open = life.window(now).is_some_and(|window| window.is_open(now));
            if let Some(standing) = Standing::of(operation.lifecycle(), open, now) {
                let count: &mut usize =
                    census.entry((operation.api(), operation.version(), standing)).or_default();
                *count = count.saturating_add(1);
            }
        }
        census
    }

    /// How far a version as a whole has come, if it has an end, and its next brown-out.
    #[must_use]
    pub fn version(&self, contract: &Contract, now: Timestamp) -> (Option<Standing>, Option<Window>) {
        let window = self
            .lives()
            .filter(|life| std::ptr::eq(&**life.operation.contract(), contract))
            .filter_map(|life| life.window(now))
            .min_by_key(|window| window.start());
        let open = window.is_some_and(|window| window.is_open(now));
        let window = window.map(|window| Window {
            name: window.id().to_string(),
            start: window.start(),
            end: window.end(),
        });
        (Standing::of(contract.lifecycle(), open, now), window)
    }
}

impl Life {
    /// The brown-out that takes place, or else the next.
    fn window(&self, now: Timestamp) -> Option<&Brownout> {
        self.brownouts.iter().map(|window| &*window.brownout).find(|window| now < window.end())
    }
}

/// A release cycle of most partners: who has not moved by now must be spoken to.
const SOON: Duration = Duration::from_secs(30 * 86_400);
