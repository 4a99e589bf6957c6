//! Which version does the request mean, and may it still be called?

use std::net::IpAddr;

use jiff::Timestamp;

use super::{Refused, refuse, say};
use crate::contract::{Matched, NoMatch};
use crate::identity::CallerProfile;
use crate::retirement::{Entry, Retired, Stay};
use crate::snapshot::Snapshot;

pub(super) fn unmatched(none: &NoMatch) -> Refused {
    match none {
        NoMatch::Version(none) => refuse(
            "version",
            &format!(
                "{none}; say one of these {}: {} ({})",
                none.how,
                none.versions.join(", "),
                none.why.reason()
            ),
        ),
        NoMatch::Path | NoMatch::Method { .. } => refuse("match", "operation-unknown"),
    }
}

/// How far the life of the operation has come, whoever calls.
pub(super) fn comes(snapshot: &Snapshot, matched: &Matched, now: Timestamp) -> Result<(), Refused> {
    let life = matched.operation().lifecycle();
    let sunset = life.sunset().map(|sunset| format!(", sunset {sunset}")).unwrap_or_default();
    let entry = snapshot.retirement().enter(matched.index(), now);
    let entry =
        entry.map_err(|retired| refuse("lifecycle", &format!("{retired}{sunset} (410 version-retired)")))?;
    let text = match (entry, life.deprecated()) {
        (Entry::Waived, _) => format!("past its sunset, served to those with a waiver only{sunset}"),
        (Entry::Open, Some(since)) if life.is_deprecated(now) => format!("deprecated since {since}{sunset}"),
        (Entry::Open, Some(from)) => format!("deprecated from {from} on{sunset}"),
        (Entry::Open, None) => format!("in full use{sunset}"),
    };
    say("lifecycle", &text);
    Ok(())
}

/// What the life of the operation means for this caller.
pub(super) fn stays(
    snapshot: &Snapshot,
    matched: &Matched,
    profile: Option<&CallerProfile>,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Refused> {
    let caller = profile.map(|profile| profile.id.as_str());
    match snapshot.retirement().stay_by_name(matched.index(), caller, address, now) {
        Err(retired @ Retired::Brownout { .. }) => {
            Err(refuse("lifecycle", &format!("{retired} (410 version-browned-out)")))
        }
        Err(retired) => Err(refuse("lifecycle", &format!("{retired}, no waiver (410 version-retired)"))),
        Ok(Stay { waiver: Some(waiver), brownout, .. }) => {
            let from = brownout.map_or_else(|| "sunset".to_owned(), |id| format!("brown-out {id}"));
            say("lifecycle", &format!("exempt from the {from} by the waiver {waiver}"));
            Ok(())
        }
        Ok(Stay { announcement, .. }) => {
            if let Some(next) = announcement {
                let next = next.to_str().unwrap_or_default();
                say("lifecycle", &format!("is told of the next brown-out: {next}"));
            }
            Ok(())
        }
    }
}
