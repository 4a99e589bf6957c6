//! What does the life of an operation mean for one call of it?
//!
//! Whoever is affected by a brown-out with a share is so for all calls and up to its end: a partner sees a
//! window and not a flicker that a repetition hides, and can be told before when it begins.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use jiff::Timestamp;
use jiff::civil::Date;
use ring::digest;

use super::waiver::Waiver;
use super::{announce, file};
use crate::contract::{Brownout, Catalogue, Lifecycle, Operation, POSITIONS};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::Document;
use crate::identity::{Caller, Callers};

/// What is retired, for whom not, and what of it was called off.
#[derive(Debug)]
pub struct Retirement {
    /// By [`crate::contract::Matched::index`]; nothing for an operation without a life.
    lives: Vec<Option<Life>>,
    waivers: usize,
    written: bool,
}

/// The life of one operation, with what the file says of it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) operation: Arc<Operation>,
    /// Those that take place, by their start.
    pub(super) brownouts: Vec<Window>,
    /// By the name of the caller.
    pub(super) waivers: HashMap<String, Vec<Arc<Waiver>>>,
}

/// A brown-out with its announcement to those who are not known.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) brownout: Arc<Brownout>,
    to_all: Option<HeaderValue>,
}

/// What was decided before the caller is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is served.
    Open,
    /// It is past its sunset, and served only to those with a waiver.
    Waived,
}

/// What was decided for a known caller: it may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stay {
    /// What its record says of the life of the operation; nothing if it is in full use.
    pub state: Option<&'static str>,
    /// The brown-out that takes place, if one does.
    pub brownout: Option<Arc<str>>,
    /// The waiver by which the caller is served.
    pub waiver: Option<Arc<str>>,
    /// Announces the next brown-out to this caller, if it has one.
    pub announcement: Option<HeaderValue>,
}

/// Why what is deprecated is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Retired {
    /// It is past its sunset.
    #[error("past its sunset")]
    Sunset,
    /// It is past its sunset, and the caller could not be told from those without a waiver.
    #[error("past its sunset, and the caller is not known")]
    Stranger,
    /// It is switched off for a while.
    #[error("switched off by the brown-out {id} until {until}")]
    Brownout {
        /// Its name.
        id: Arc<str>,
        /// When it is over.
        until: Timestamp,
        /// The URL of what replaces the version.
        successor: Option<String>,
    },
}

impl Retirement {
    /// Joins the lives of all operations with what `document`, `policies/lifecycle.yaml`, says of them.
    ///
    /// # Errors
    /// All mistakes of the file, and brown-outs of contracts that name a caller who does not exist.
    pub fn load(
        document: Option<&Document>,
        callers: &Callers,
        contracts: &Catalogue,
        today: Date,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let read = document.map(|document| file::read(document, callers, contracts, today)).transpose();
        let read = mistakes.keep(read).map(Option::unwrap_or_default);
        check_callers(callers, contracts, &mut mistakes);
        let resolved = read.map(|(resolved, warnings)| {
            mistakes.extend(warnings);
            resolved
        });
        mistakes.into_result(resolved.map(|resolved| Self::new(contracts, resolved, document.is_some())))
    }

    fn new(contracts: &Catalogue, resolved: file::Resolved, written: bool) -> Self {
        let file::Resolved { waivers, stopped, called_off } = resolved;
        let count = waivers.len();
        let waivers: Vec<Arc<Waiver>> = waivers.into_iter().map(Arc::new).collect();
        let takes_place = |one: &&Arc<Brownout>| !stopped && called_off.iter().all(|off| *off != **one.id());
        let life = |operation: &Arc<Operation>| {
            let life = operation.lifecycle();
            if life.deprecated().is_none() && life.sunset().is_none() {
                return None;
            }
            let version = format!("{}.{}", operation.api(), operation.version());
            let mut own: HashMap<String, Vec<Arc<Waiver>>> = HashMap::new();
            for waiver in &waivers {
                if waiver.target == version || waiver.target == operation.name() {
                    own.entry(waiver.caller.clone()).or_default().push(Arc::clone(waiver));
                }
            }
            let brownouts = life.brownouts().iter().filter(takes_place);
            let brownouts = brownouts
                .map(|one| Window { brownout: Arc::clone(one), to_all: announce::to_all(one) })
                .collect();
            Some(Life { operation: Arc::clone(operation), brownouts, waivers: own })
        };
        Self { lives: contracts.operations().iter().map(life).collect(), waivers: count, written }
    }

    /// The JSON Schema of `policies/lifecycle.yaml`, for editors.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        file::schema()
    }

    /// Whether there is a `policies/lifecycle.yaml`.
    #[must_use]
    pub const fn is_written(&self) -> bool {
        self.written
    }

    /// How many waivers the file has.
    #[must_use]
    pub const fn waivers(&self) -> usize {
        self.waivers
    }

    pub(super) fn lives(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter().flatten()
    }

    fn life(&self, operation: usize) -> Option<&Life> {
        self.lives.get(operation)?.as_ref()
    }

    /// What can be decided of an operation, by its index, before the caller is known.
    ///
    /// # Errors
    /// It is past its sunset, and nobody has a waiver.
    pub fn enter(&self, operation: usize, now: Timestamp) -> Result<Entry, Retired> {
        let Some(life) = self.life(operation) else { return Ok(Entry::Open) };
        if !life.operation.lifecycle().is_gone(now) {
            return Ok(Entry::Open);
        }
        let waived = life.waivers.values().flatten().any(|waiver| waiver.holds(now));
        if waived { Ok(Entry::Waived) } else { Err(Retired::Sunset) }
    }

    /// Announces the next brown-out of an operation to everybody, the caller not being known.
    #[must_use]
    pub fn announcement(&self, operation: usize, now: Timestamp) -> Option<&HeaderValue> {
        // Who is named, and who is not, is nobody else's business.
        let to_all = |window: &&Window| window.brownout.callers().is_none();
        let windows = self.life(operation)?.brownouts.iter().filter(to_all);
        let mut next = windows.filter(|window| now < window.brownout.end());
        next.next()?.to_all.as_ref()
    }

    /// Whether a caller may go on: the one that was proved, or a stranger of an open operation at `address`.
    ///
    /// # Errors
    /// It is past its sunset or in a brown-out, and the caller has no waiver.
    pub fn stay(
        &self,
        operation: usize,
        caller: &Caller,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Stay, Retired> {
        self.stay_by_name(operation, caller.id(), address, now)
    }

    /// The same for a caller of this name, for explanations.
    ///
    /// # Errors
    /// As [`Retirement::stay`].
    pub fn stay_by_name(
        &self,
        operation: usize,
        caller: Option<&str>,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<Stay, Retired> {
        match self.life(operation) {
            Some(life) => life.stay(caller, address, now),
            None => Ok(Stay::default()),
        }
    }
}

impl Life {
    fn stay(&self, caller: Option<&str>, address: IpAddr, now: Timestamp) -> Result<Stay, Retired> {
        let life = self.operation.lifecycle();
        let waiver = self.waiver(caller, now);
        if life.is_gone(now) {
            let waiver = waiver.ok_or(Retired::Sunset)?;
            let waiver = Some(Arc::clone(&waiver.id));
            return Ok(Stay { state: Some(SUNSET), waiver, ..Stay::default() });
        }
        let mut windows = self.windows(caller, address, now);
        let open = windows.clone().find(|(brownout, begins)| *begins <= now && brownout.is_open(now));
        if let Some((brownout, _)) = open {
            let waiver = waiver.ok_or_else(|| Retired::Brownout {
                id: Arc::clone(brownout.id()),
                until: brownout.end(),
                successor: life.successor().map(str::to_owned),
            })?;
            return Ok(Stay {
                state: Some(IN_BROWNOUT),
                brownout: Some(Arc::clone(brownout.id())),
                waiver: Some(Arc::clone(&waiver.id)),
                announcement: None,
            });
        }
        // A waiver that holds when it begins makes it none of this caller's business.
        let next = windows.find(|(_, begins)| self.waiver(caller, *begins).is_none());
        let announcement = next.and_then(|(brownout, begins)| announce::to_one(brownout, begins));
        let state = life.is_deprecated(now).then_some(DEPRECATED);
        Ok(Stay { state, announcement, ..Stay::default() })
    }

    fn waiver(&self, caller: Option<&str>, now: Timestamp) -> Option<&Arc<Waiver>> {
        self.waivers.get(caller?)?.iter().find(|waiver| waiver.holds(now))
    }

    /// The brown-outs that are not over and that this caller has, each with when it begins for it.
    fn windows<'l>(
        &'l self,
        caller: Option<&'l str>,
        address: IpAddr,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'l Arc<Brownout>, Timestamp)> + Clone {
        let to_come = self.brownouts.iter().map(|window| &window.brownout).filter(move |one| now < one.end());
        to_come.filter_map(move |one| {
            let named = match (one.callers(), caller) {
                (None, _) => true,
                (Some(named), Some(caller)) => named.iter().any(|name| name == caller),
                (Some(_), None) => false,
            };
            let begins = named.then(|| one.begins(position(one.id(), caller, address)))??;
            Some((one, begins))
        })
    }
}

/// Where a caller stands among all callers of a brown-out: always at the same place, at another in the next,
/// so that it is not always the same ones who are first.
fn position(brownout: &str, caller: Option<&str>, address: IpAddr) -> u16 {
    let who = match caller {
        Some(caller) => format!("caller {caller}"),
        // Strangers have no name; one that comes back from its address is the same one.
        None => format!("address {}", address.to_canonical()),
    };
    let hash = digest::digest(&digest::SHA256, format!("{brownout}\n{who}").as_bytes());
    let first = hash.as_ref().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    let place = first.checked_rem(u64::from(POSITIONS)).unwrap_or_default();
    u16::try_from(place).unwrap_or_default()
}

/// A contract that names a caller who does not exist announces a brown-out to nobody.
fn check_callers(callers: &Callers, contracts: &Catalogue, mistakes: &mut Diagnostics) {
    let mut seen: Vec<&Arc<str>> = Vec::new();
    let lives = contracts.operations().iter().map(|operation| operation.lifecycle());
    for brownout in lives.flat_map(Lifecycle::brownouts) {
        if seen.contains(&brownout.id()) {
            continue;
        }
        seen.push(brownout.id());
        for name in brownout.callers().into_iter().flatten() {
            if !callers.iter().any(|profile| profile.id == *name) {
                let told = format!("the brown-out `{}` is for an unknown caller `{name}`", brownout.id());
                let told = Diagnostic::error(brownout.place().clone(), told);
                mistakes.push(told.did_you_mean(name, callers.iter().map(|profile| profile.id.as_str())));
            }
        }
    }
}

/// What records say of a call of what is deprecated.
const DEPRECATED: &str = "deprecated";
/// Of a call during a brown-out.
pub(super) const IN_BROWNOUT: &str = "brownout";
/// Of a call after the sunset.
const SUNSET: &str = "sunset";

impl Retired {
    /// What records say of the life of what was called.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match self {
            Self::Sunset | Self::Stranger => SUNSET,
            Self::Brownout { .. } => IN_BROWNOUT,
        }
    }
}

#[cfg(test)]
mod tests;
