//! Which certificates have callers shown, and when do they end?
//!
//! Callers are few and named in the files, so the table is bounded by them; of one caller the newest few
//! certificates are remembered. It tells a partner's certificate that is about to end before it does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Expiry, remote, source};

/// The certificates that callers have shown.
#[derive(Debug, Default)]
pub struct Partners(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    callers: BTreeMap<String, Vec<Partner>>,
    /// Whether a certificate has come that is not on disk.
    news: bool,
}

/// A certificate of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// Its end.
    pub ends: Timestamp,
    /// When it was last shown.
    pub last_seen: Timestamp,
}

impl Partners {
    /// A caller has shown a certificate.
    pub fn seen(&self, caller: &str, sha256: &str, ends: Timestamp, now: Timestamp) {
        let mut table = self.table();
        let Table { callers, news } = &mut *table;
        let room = callers.len() < CALLERS_MAX;
        if let Some(known) = callers.get_mut(caller) {
            if let Some(same) = known.iter_mut().find(|partner| partner.sha256 == sha256) {
                same.last_seen = now;
                return;
            }
            known.push(Partner { sha256: sha256.to_owned(), ends, last_seen: now });
            if known.len() > CERTIFICATES_MAX {
                known.sort_by_key(|partner| std::cmp::Reverse(partner.last_seen));
                known.truncate(CERTIFICATES_MAX);
            }
            *news = true;
        } else if room {
            let first = Partner { sha256: sha256.to_owned(), ends, last_seen: now };
            callers.insert(caller.to_owned(), vec![first]);
            *news = true;
        }
    }

    /// Takes what was written down by the last process. What cannot be read is shown again by and by.
    pub fn restore(&self, file: &Path) {
        let Ok(bytes) = source::read(file, BYTES_MAX) else { return };
        let Ok(callers) = serde_json::from_slice::<BTreeMap<String, Vec<Partner>>>(&bytes) else {
            tracing::warn!(file = %file.display(), "this is no table of certificates; a new one is begun");
            return;
        };
        let bounded = callers.into_iter().take(CALLERS_MAX).map(|(caller, mut known)| {
            known.truncate(CERTIFICATES_MAX);
            (caller, known)
        });
        self.table().callers = bounded.collect();
    }

    /// Writes it down, if there is anything new.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, file: &Path) -> std::io::Result<()> {
        let text = {
            let mut table = self.table();
            if !std::mem::take(&mut table.news) {
                return Ok(());
            }
            serde_json::to_vec(&table.callers).map_err(std::io::Error::other)?
        };
        remote::write(file, &text).inspect_err(|_unwritten| self.table().news = true)
    }

    /// The certificates each caller shows these days: what it has replaced itself is no news.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let table = self.table();
        let rows = table.callers.iter().flat_map(|(caller, known)| {
            let last = known.iter().map(|partner| partner.last_seen).max().unwrap_or_default();
            let in_use =
                known.iter().filter(move |partner| last.duration_since(partner.last_seen) <= STILL_IN_USE);
            in_use.map(move |partner| Expiry {
                what: "partner-certificate",
                name: format!("{caller} {}", partner.sha256),
                ends: partner.ends,
                source: "caller",
            })
        });
        rows.collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Each entry is whole whatever happens to whoever holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that fits, and more.
const BYTES_MAX: u64 = 32 << 20;
/// A partner with some servers, each with a certificate of its own.
const CERTIFICATES_MAX: usize = 16;
/// More callers than any retailer has partners.
const CALLERS_MAX: usize = 4096;
/// A certificate that was last shown so long before the caller's latest is not shown again.
const STILL_IN_USE: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn names(partners: &Partners) -> Vec<String> {
        partners.expiries().into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn what_a_partner_shows_these_days_is_told_and_what_it_replaced_is_not() {
        let partners = Partners::default();
        partners.seen("acme", "old", at(500_000), at(0));
        partners.seen("acme", "one", at(900_000), at(100_000));
        partners.seen("acme", "two", at(800_000), at(120_000));
        partners.seen("bazaar", "other", at(700_000), at(5));
        assert_eq!(names(&partners), ["acme one", "acme two", "bazaar other"]);
    }

    #[test]
    fn what_was_written_down_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyring/partners.json");
        let (before, after) = (Partners::default(), Partners::default());
        before.seen("acme", "one", at(900_000), at(100_000));
        before.keep(&file).unwrap();
        after.restore(&file);
        assert_eq!(after.expiries(), before.expiries());
        // Nothing new is not written again; what is no table takes nothing away.
        std::fs::write(&file, "no").unwrap();
        before.keep(&file).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"no");
        after.restore(&file);
        assert_eq!(after.expiries(), before.expiries());
    }

    #[test]
    fn the_table_is_bounded_by_caller_and_in_all() {
        let partners = Partners::default();
        for n in 0..100 {
            partners.seen("acme", &n.to_string(), at(1_000), at(n));
        }
        assert_eq!(partners.table().callers["acme"].len(), CERTIFICATES_MAX);
        assert!(names(&partners).contains(&"acme 99".to_owned()));
        for n in 0..=CALLERS_MAX {
            partners.seen(&n.to_string(), "x", at(1_000), at(0));
        }
        assert_eq!(partners.table().callers.len(), CALLERS_MAX);
    }
}
