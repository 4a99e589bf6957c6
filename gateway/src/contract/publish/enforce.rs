//! Are the contracts that would be served the published ones?

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::operation::Contract;
use super::lock::{self, Lock};
use super::name::Name;
use super::shelf::Shelf;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// What happens to a contract that is not the published one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    /// It is not served.
    Refuse,
    /// It is served, with a warning: `insecure_unpublished_contracts`.
    Allow,
}

/// How what is served of a contract stands to what was published of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is what was published.
    Published,
    /// It is something else than what was published.
    Altered,
    /// Nothing was published of it.
    Unpublished,
    /// It was taken out of service.
    Retired,
}

/// How each contract stands, by name.
pub type Standings = BTreeMap<Name, Standing>;

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Altered => "altered",
            Self::Unpublished => "unpublished",
            Self::Retired => "retired",
        }
    }

    /// How files with this digest stand to what the lock says of the contract.
    pub(super) fn of(lock: &Lock, name: &Name, digest: &str) -> Self {
        match lock.entry(name) {
            None => Self::Unpublished,
            Some(entry) if entry.retired.is_some() => Self::Retired,
            Some(entry) if entry.current.digest == digest => Self::Published,
            Some(_) => Self::Altered,
        }
    }
}

/// Compares `contracts`, loaded from `shelf`, with what was published.
///
/// # Errors
/// The lock cannot be read; or, unless that is allowed, a contract is not the published one, or a published
/// one is missing. When it is allowed, the same comes as warnings.
pub fn enforce(
    shelf: &Shelf,
    contracts: &[Arc<Contract>],
    unpublished: Unpublished,
) -> Result<(Standings, Diagnostics), Diagnostics> {
    let lock = Lock::read(shelf.root())?;
    let mut told = Diagnostics::new();
    let mut tell = |place: Place, message: String, help: String| {
        let told_as = match unpublished {
            Unpublished::Refuse => Diagnostic::error(place, message),
            Unpublished::Allow => Diagnostic::warning(place, message),
        };
        told.push(told_as.help(help));
    };
    let mut standings = Standings::new();
    for contract in contracts {
        let name = Name::new(contract.api(), contract.version());
        let standing = Standing::of(&lock, &name, contract.digest());
        if let Some((message, help)) = fault(&lock, &name, standing, contract.digest()) {
            tell(Place::file(&shelf.shown(&name)), message, help);
        }
        standings.insert(name, standing);
    }
    for (name, entry) in lock.iter() {
        if entry.retired.is_none() && !standings.contains_key(name) {
            let message = format!("`{name}` is published, and its folder is missing");
            let help = format!(
                "restore the folder, or take the version out of service: gateway contract retire {name}"
            );
            tell(Place::file(&lock::shown(shelf.root())), message, help);
        }
    }
    told.into_result(Some(standings))
}

fn fault(lock: &Lock, name: &Name, standing: Standing, digest: &str) -> Option<(String, String)> {
    match standing {
        Standing::Published => None,
        Standing::Altered => {
            let published = lock.served(name).unwrap_or_default();
            let message = format!(
                "`{name}` is not what was published: its digest is {}, that in published.lock {}",
                short(digest),
                short(published)
            );
            Some((message, format!("take the change back, or publish it: gateway contract publish {name}")))
        }
        Standing::Unpublished => {
            let message = format!("`{name}` is not published");
            Some((message, format!("gateway contract publish {name}")))
        }
        Standing::Retired => {
            let message = format!("`{name}` was retired, so that it is never served again");
            Some((message, "remove its folder, or publish it under another version".to_owned()))
        }
    }
}

/// As much of a digest as people compare.
#[must_use]
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
