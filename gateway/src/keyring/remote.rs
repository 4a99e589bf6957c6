//! When is a server asked for what is held, and what becomes of its answer?
//!
//! There is at most one question about a holding at a time. What was good serves until something newer is
//! good; after a failure the server is asked again soon, then ever later. The last good answer is kept on
//! disk, so that a restart without the server has it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::ACCEPT;
use zeroize::Zeroizing;

use super::fault::{KeyringFault, Unusable};
use super::holding::{Content, Holding};
use super::source::{Origin, Pieces, Remote, Source, read};
use crate::disk::{self, Readers};
use crate::vault::{Issued, Vault, VaultFault};
use crate::{backoff, fetch};

/// How asking a server goes.
#[derive(Debug, Default)]
pub(super) struct Flight {
    flying: bool,
    due_at: Option<Timestamp>,
    failures: u32,
}

#[expect(private_bounds, reason = "what needs the bound is for this room alone")]
impl<T: Content> Holding<T> {
    /// Takes what was kept of the last process, if nothing is held yet.
    pub(super) fn read_kept(&self, remote: &Remote, now: Timestamp) {
        let Some(kept) = remote.kept.as_deref().filter(|_| self.current().is_none()) else { return };
        let Ok(bytes) = read(kept, T::BYTES_MAX) else { return };
        if let Err(KeyringFault { name, why }) = self.adopt(&vec![bytes], now) {
            tracing::warn!(what = T::WHAT, name, %why, "what was kept on disk is not taken");
        }
    }

    /// Whether its server is to be asked now; who is told so has to ask.
    pub(super) fn takes_off(&self, now: Timestamp) -> bool {
        if !matches!(self.source(), Source::Remote(_)) {
            return false;
        }
        let mut state = self.state();
        let flight = &mut state.flight;
        if flight.flying || flight.due_at.is_some_and(|due| now < due) {
            return false;
        }
        flight.flying = true;
        true
    }

    /// Asks the server, and holds what is good of its answer.
    pub(super) async fn ask(self: Arc<Self>, vault: Option<Arc<Vault>>, now: Timestamp) {
        let landing = Landing(&self);
        let Source::Remote(remote) = self.source() else { return };
        let outcome = match obtain(&remote.origin, vault.as_deref(), T::BYTES_MAX).await {
            Ok(pieces) => self.take(pieces, now).await,
            Err(why) => Err(KeyringFault { name: self.source().name(), why }),
        };
        // From now on: a server that took its time to fail is not asked again at once.
        self.land(remote, outcome, Timestamp::now());
        drop(landing);
    }

    /// Holds what is good of an answer, and keeps it for the next start. On a thread of its own: a large list takes
    /// a while to read, and requests do not wait for it.
    async fn take(self: &Arc<Self>, pieces: Pieces, now: Timestamp) -> Result<(), KeyringFault> {
        let held = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || {
            let before = held.generation();
            held.adopt(&pieces, now)?;
            let Source::Remote(remote) = held.source() else { return Ok(()) };
            if let (Some(kept), Some(bytes)) = (&remote.kept, pieces.first())
                && before != held.generation()
                && let Err(fault) = write(kept, bytes)
            {
                // That it cannot be written is no reason not to use it.
                let file = kept.display();
                tracing::warn!(%file, fault = %fault.kind(), "what was fetched cannot be kept for the next start");
            }
            Ok(())
        });
        taken.await.unwrap_or_else(|_panicked| {
            Err(KeyringFault { name: self.source().name(), why: Unusable::NotFetched("panic") })
        })
    }

    fn land(&self, remote: &Remote, outcome: Result<(), KeyringFault>, now: Timestamp) {
        let held = self.current();
        let usual = held.as_ref().map_or(remote.refresh, |held| held.content.renew_after(remote, now));
        let mut state = self.state();
        match &outcome {
            Ok(()) => state.flight.failures = 0,
            Err(KeyringFault { name, why }) => {
                state.flight.failures = state.flight.failures.saturating_add(1);
                if state.fault.as_ref().map(|fault| fault.why) != Some(*why) {
                    tracing::warn!(what = T::WHAT, name, %why, "what was good before stays in use");
                }
            }
        }
        state.fault = outcome.err();
        let wait = wait_before_next(usual, state.flight.failures, backoff::random());
        state.flight.due_at = SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok());
    }
}

/// The end of a question, which comes whatever happens to the task that asks.
struct Landing<'a, T>(&'a Holding<T>);

impl<T> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        self.0.grounded();
    }
}

impl<T> Holding<T> {
    fn grounded(&self) {
        self.state().flight.flying = false;
        self.landed.notify_waiters();
    }

    /// Waits until nobody asks its server.
    pub(super) async fn settled(&self) {
        loop {
            // Before it is looked at: who lands in between is heard.
            let landed = self.landed.notified();
            if !self.state().flight.flying {
                return;
            }
            landed.await;
        }
    }
}

async fn obtain(origin: &Origin, vault: Option<&Vault>, bytes_max: u64) -> Result<Pieces, Unusable> {
    let vault = || vault.ok_or(Unusable::NotFetched("no-vault"));
    let unfetched = |fault: VaultFault| Unusable::NotFetched(fault.reason());
    match origin {
        Origin::Url { url, trust } => {
            let client = fetch::client(trust, None).map_err(|_unusable| Unusable::NotFetched("trust"))?;
            let request = client.get(url).header(ACCEPT, ACCEPTED);
            let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
            let answer = fetch::send(request, bytes_max)
                .await
                .map_err(|fault| Unusable::NotFetched(fault.reason()))?;
            match answer.status {
                StatusCode::OK => Ok(vec![answer.body]),
                _ => Err(Unusable::NotFetched("status")),
            }
        }
        Origin::Issued { order, .. } => {
            let Issued { chain_pem, key_pem, .. } = vault()?.issue(order).await.map_err(unfetched)?;
            Ok(vec![Zeroizing::new(chain_pem), key_pem])
        }
        Origin::List { mount } => {
            let list = vault()?.crl(mount).await.map_err(unfetched)?;
            Ok(vec![Zeroizing::new(list)])
        }
    }
}

/// In one step, so that no start sees half of it; its folder is made if need be.
pub(super) fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(folder) = file.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    disk::replace(file, bytes, Readers::Owner)
}

/// The time to the next question: up to a fifth sooner than usual, so that many gateways do not come at once;
/// after failures soon, then ever later.
fn wait_before_next(usual: Duration, failures: u32, random: u8) -> Duration {
    let wait = match failures {
        0 => usual,
        n => backoff::after(n, RETRY_FIRST, RETRY_MAX),
    };
    backoff::sooner(wait, 5, random)
}

/// RFC 5280 section 4.2.1.13 and the SPIFFE bundle's JSON (RFC 7517 section 8.5.2).
const ACCEPTED: &str = "application/pkix-crl, application/jwk-set+json, application/json, */*;q=0.1";
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_spread_and_come_soon_after_a_failure_then_ever_later() {
        let usual = Duration::from_secs(3_600);
        for (failures, random, seconds) in
            [(0, 0, 3_600.0), (0, 255, 2_880.0), (1, 0, 1.0), (2, 255, 1.6), (4, 0, 8.0), (99, 0, 120.0)]
        {
            let wait = wait_before_next(usual, failures, random);
            assert!((wait.as_secs_f64() - seconds).abs() < 0.001, "{failures} {random}: {wait:?}");
        }
    }

    #[test]
    fn what_is_kept_is_for_its_owner_only_and_replaced_in_one_step() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keyring/a.kept");
        for bytes in [&b"one"[..], b"two"] {
            write(&file, bytes).unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), bytes);
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        }
    }
}
