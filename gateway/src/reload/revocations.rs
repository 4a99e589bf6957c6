//! The list of revocations changed: what now? It holds within a second, whatever else is in the files.
//!
//! Looked at more often than the other files and taken without them, because a new snapshot needs all of
//! them to be right and takes its time. A list that does not load never replaces one that did.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Look, look};
use crate::diagnostic::Diagnostics;
use crate::gateway::Gateway;

/// Follows `policies/revocations.yaml` until the gateway stops.
pub async fn follow_revocations(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What a snapshot was loaded with holds; what changed since then is taken with the second look.
    let mut taken: Option<Seen> = None;
    let mut before: Option<Seen> = None;
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = tick.tick() => {
                let now = seen(&gateway).await;
                // Two equal looks are the pause that lets a writer finish.
                if taken.as_ref() != Some(&now) && before.as_ref() == Some(&now) {
                    take(&gateway, &now).await;
                    taken = Some(now.clone());
                }
                before = Some(now);
            }
        }
    }
}

/// The file as it looks, and the snapshot whose issuers it is read with.
#[derive(Clone, PartialEq)]
struct Seen {
    file: PathBuf,
    look: Look,
    snapshot: u64,
}

async fn seen(gateway: &Gateway) -> Seen {
    let current = gateway.current();
    let (file, snapshot) = (current.revocations_file(), current.id());
    let sources = [file.clone()];
    let look = tokio::task::spawn_blocking(move || look(&sources)).await.unwrap_or_default();
    Seen { file, look, snapshot }
}

async fn take(gateway: &Arc<Gateway>, seen: &Seen) {
    let current = gateway.current();
    let done = tokio::task::spawn_blocking(move || {
        let entries = current.read_revocations()?;
        let changed = current.revocations().rewrite(entries);
        Ok::<_, Diagnostics>((changed, current.revocations().count().written))
    })
    .await;
    let file = seen.file.display();
    match done {
        Ok(Ok((true, entries))) => tracing::info!(%file, entries, "the changed revocations hold"),
        Ok(Ok((false, _))) => {}
        Ok(Err(mistakes)) => {
            for mistake in mistakes.iter() {
                tracing::error!(%mistake, "the changed revocations do not load; the last good ones hold on");
            }
        }
        Err(_panicked) => tracing::error!("revocations could not be read by a fault of the gateway itself"),
    }
}

/// Two looks and the reading are less than a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
