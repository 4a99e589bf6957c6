//! Which edition of a secret is shown now, which comes next, and which may still serve?
//!
//! A state machine that reads nothing and asks nobody: it is told what the source holds and what upstreams
//! said, and asked what to show. Time is given to it.
//!
//! ```text
//!  read ──> next ──accepted──> current ──replaced──> retiring ──overlap over──> gone
//!            │  ^
//!     refused v  │ later
//!            aside
//! ```
//!
//! One request at a time tries the next edition while all others show the current one, so that a wrong
//! secret in the source costs one attempt, and no answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::edition::Edition;
use super::version::Version;
use crate::backoff;

/// The editions of one secret, and how far each has come.
#[derive(Debug)]
pub(super) struct Rotation {
    overlap: Duration,
    current: Option<Held>,
    next: Option<Next>,
    retiring: Option<Retiring>,
    completed: u64,
}

/// An edition in hand.
#[derive(Debug, Clone)]
struct Held {
    edition: Arc<Edition>,
    since: Instant,
    /// When it proves nothing any more: its lease's end, or how long a value serves that cannot be read anew.
    ends: Instant,
}

#[derive(Debug)]
struct Next {
    held: Held,
    trial: Trial,
    refusals: u32,
    /// When the source was last seen to hold it.
    read: Instant,
}

/// How the trial of the next edition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    /// The next request that can be sent twice tries it.
    Due,
    /// A request tries it since then. One that left without a word does not hold it for ever.
    Running(Instant),
    /// It was refused where the current one was not; it is tried again then.
    Aside(Instant),
}

#[derive(Debug)]
struct Retiring {
    held: Held,
    until: Instant,
}

/// What reading the source has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// What is shown already.
    Known,
    /// What is tried, or to be tried, already.
    Waiting,
    /// The first there is: it serves at once.
    First,
    /// Another one: it is tried.
    Next,
}

/// Whether a request could be sent again with another edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Its body is in hand.
    Repeatable,
    /// Its body passes in pieces, once.
    Once,
}

/// What an upstream said to an edition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Accepted,
    Refused,
}

/// What a verdict has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "operators are told of it"]
pub(super) enum Changed {
    Nothing,
    /// This version is the current one from now on.
    Rotated(Version),
    /// This version was refused; the one before serves.
    SetAside(Version),
}

/// How the rotation stands, for operators.
#[derive(Debug, Clone)]
pub struct Standing {
    /// `empty`, `steady`, `trying`, `aside` or `overlap`; `callers` where each caller has one of its own.
    pub state: &'static str,
    /// The version that is shown, and since when.
    pub current: Option<(Version, Instant)>,
    /// When it ends, unless it is read anew before.
    pub ends: Option<Instant>,
    /// The version that is to be shown.
    pub next: Option<Version>,
    /// The version that still may be, and until when.
    pub retiring: Option<(Version, Instant)>,
    /// Rotations that were completed.
    pub completed: u64,
}

impl Standing {
    /// Where there is one for each caller, and none to rotate.
    pub(super) const fn of_callers() -> Self {
        Self { state: "callers", current: None, ends: None, next: None, retiring: None, completed: 0 }
    }
}

impl Rotation {
    pub(super) const fn new(overlap: Duration) -> Self {
        Self { overlap, current: None, next: None, retiring: None, completed: 0 }
    }

    pub(super) const fn set_overlap(&mut self, overlap: Duration) {
        self.overlap = overlap;
    }

    /// The source holds this edition at `now`.
    pub(super) fn offer(&mut self, edition: Arc<Edition>, ends: Instant, now: Instant) -> Offered {
        self.expire(now);
        let held = Held { since: now, edition, ends };
        if let Some(current) = &mut self.current {
            if current.edition.version() == held.edition.version() {
                current.ends = held.ends;
                // The source went back to what serves: what was to come does not.
                self.next = None;
                return Offered::Known;
            }
            match &mut self.next {
                Some(next) if next.held.edition.version() == held.edition.version() => {
                    next.held.ends = held.ends;
                    next.read = now;
                    return Offered::Waiting;
                }
                _ => self.next = Some(Next { held, trial: Trial::Due, refusals: 0, read: now }),
            }
            return Offered::Next;
        }
        self.current = Some(held);
        self.next = None;
        Offered::First
    }

    /// What is lent as `version` is lent until `ends`. Whether it is in hand.
    pub(super) fn extend(&mut self, version: Version, ends: Instant) -> bool {
        let (current, next) = (self.current.as_mut(), self.next.as_mut().map(|next| &mut next.held));
        let mut in_hand = current.into_iter().chain(next).filter(|held| held.edition.version() == version);
        in_hand.next().map(|held| held.ends = ends).is_some()
    }

    /// The edition that a request is to show.
    pub(super) fn take(&mut self, request: Request, now: Instant) -> Option<Arc<Edition>> {
        self.expire(now);
        if let Some(next) = &mut self.next {
            let waits_long = now.saturating_duration_since(next.held.since) > PATIENCE;
            if next.is_due(now) && (request == Request::Repeatable || waits_long) {
                next.trial = Trial::Running(now);
                return Some(Arc::clone(&next.held.edition));
            }
        }
        let held = self.current.as_ref().or(self.retiring.as_ref().map(|retiring| &retiring.held));
        held.map(|held| Arc::clone(&held.edition))
    }

    /// What to show instead of an edition that was refused, if there is anything. The newest first.
    pub(super) fn instead_of(&mut self, refused: Version, now: Instant) -> Option<Arc<Edition>> {
        self.expire(now);
        // Also one that was set aside: if the current one is refused as well, its time may have come.
        self.newest_first().find(|edition| edition.version() != refused).map(Arc::clone)
    }

    /// An edition that is next or current, if it is this one.
    pub(super) fn in_hand(&mut self, version: Version, now: Instant) -> Option<Arc<Edition>> {
        self.expire(now);
        let next = self.next.as_ref().map(|next| &next.held.edition);
        let current = self.current.as_ref().map(|held| &held.edition);
        next.into_iter().chain(current).find(|edition| edition.version() == version).map(Arc::clone)
    }

    /// Whether one version came after the other.
    pub(super) fn is_newer(&self, one: Version, than: Version) -> bool {
        let mut versions = self.newest_first().map(|edition| edition.version());
        versions.find(|version| *version == one || *version == than) == Some(one)
    }

    /// The editions in hand, the one that came last first.
    fn newest_first(&self) -> impl Iterator<Item = &Arc<Edition>> {
        let next = self.next.as_ref().map(|next| &next.held);
        let retiring = self.retiring.as_ref().map(|retiring| &retiring.held);
        [next, self.current.as_ref(), retiring].into_iter().flatten().map(|held| &held.edition)
    }

    /// Whether an edition newer than `version` is in hand and was read just now: then the source need not be
    /// asked for one.
    pub(super) fn has_newer_than(&self, version: Version, now: Instant) -> bool {
        let is_current = self.current.as_ref().is_some_and(|held| held.edition.version() == version);
        match &self.next {
            Some(next) if next.held.edition.version() == version => true,
            Some(next) => now.saturating_duration_since(next.read) < JUST_NOW,
            None => !is_current,
        }
    }

    /// An upstream has answered a request that showed `version`. Gives what that has changed.
    pub(super) fn said(&mut self, version: Version, said: Said, now: Instant) -> Changed {
        self.expire(now);
        let Some(next) = self.next.take_if(|next| next.held.edition.version() == version) else {
            return Changed::Nothing;
        };
        match said {
            Said::Accepted => {
                self.promote(next.held, now);
                Changed::Rotated(version)
            }
            Said::Refused => {
                let refusals = next.refusals.saturating_add(1);
                let trial = Trial::Aside(later(now, backoff::after(refusals, ASIDE_FIRST, ASIDE_MAX)));
                self.next = Some(Next { trial, refusals, ..next });
                Changed::SetAside(version)
            }
        }
    }

    /// The request that showed `version` brought no verdict: somebody else tries.
    pub(super) fn unsaid(&mut self, version: Version) {
        if let Some(next) = &mut self.next
            && next.held.edition.version() == version
            && matches!(next.trial, Trial::Running(_))
        {
            next.trial = Trial::Due;
        }
    }

    pub(super) fn standing(&mut self, now: Instant) -> Standing {
        self.expire(now);
        let state = match (&self.current, &self.next, &self.retiring) {
            (None, ..) => "empty",
            (Some(_), Some(Next { trial: Trial::Aside(_), .. }), _) => "aside",
            (Some(_), Some(_), _) => "trying",
            (Some(_), None, Some(_)) => "overlap",
            (Some(_), None, None) => "steady",
        };
        Standing {
            state,
            current: self.current.as_ref().map(|held| (held.edition.version(), held.since)),
            ends: self.current.as_ref().map(|held| held.ends),
            next: self.next.as_ref().map(|next| next.held.edition.version()),
            retiring: self.retiring.as_ref().map(|one| (one.held.edition.version(), one.until)),
            completed: self.completed,
        }
    }

    fn promote(&mut self, held: Held, now: Instant) {
        let before = self.current.replace(Held { since: now, ..held });
        let until = later(now, self.overlap);
        self.retiring = before.map(|held| Retiring { until: until.min(held.ends), held });
        self.completed = self.completed.saturating_add(1);
    }

    /// What has ended is dropped, and wiped with its last copy.
    fn expire(&mut self, now: Instant) {
        if self.retiring.as_ref().is_some_and(|retiring| now >= retiring.until) {
            self.retiring = None;
        }
        if self.next.as_ref().is_some_and(|next| now >= next.held.ends) {
            self.next = None;
        }
        if self.current.as_ref().is_some_and(|held| now >= held.ends) {
            self.current = None;
        }
        // With nothing else to show, there is nothing to lose by the next one.
        if self.current.is_none()
            && let Some(next) = self.next.take()
        {
            self.promote(next.held, now);
        }
    }
}

impl Next {
    fn is_due(&self, now: Instant) -> bool {
        match self.trial {
            Trial::Due => true,
            Trial::Running(since) => now.saturating_duration_since(since) > TRIAL_MAX,
            Trial::Aside(until) => now >= until,
        }
    }
}

fn later(now: Instant, time: Duration) -> Instant {
    // A time that no clock reaches is none that ends.
    now.checked_add(time).or_else(|| now.checked_add(FAR)).unwrap_or(now)
}

/// A source that was rotated twice within this time takes a refusal more to follow.
const JUST_NOW: Duration = Duration::from_secs(1);
/// Where nothing but streams goes to an upstream, one of them tries what nobody could try so far.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than most deadlines: a trial that has not ended by then will not.
const TRIAL_MAX: Duration = Duration::from_secs(30);
/// A secret that was refused may be on its way to the upstream still: soon, then ever later.
const ASIDE_FIRST: Duration = Duration::from_secs(2);
const ASIDE_MAX: Duration = Duration::from_secs(300);
/// A year.
const FAR: Duration = Duration::from_secs(31_536_000);

#[cfg(test)]
mod tests;
