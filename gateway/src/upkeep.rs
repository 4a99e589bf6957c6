//! What is done now and then, whether anybody calls or not?
//!
//! Keys of issuers are fetched, names of upstreams looked up, and old entries of rate limits swept away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::gateway::Gateway;
use crate::snapshot::Snapshot;

/// Does the chores until the gateway stops; calls `ready` once the first round is done.
pub async fn run(gateway: Arc<Gateway>, ready: impl FnOnce(), mut stopping: watch::Receiver<bool>) {
    // Whoever waits for us wants to be served, not refused for keys that were not fetched yet.
    let snapshot = gateway.current();
    tokio::join!(fetch_keys(&snapshot), look_up(&snapshot));
    drop(snapshot);
    ready();
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let mut names = tokio::time::interval(NAMES_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = keys.tick() => fetch_keys(&gateway.current()).await,
            _ = names.tick() => look_up(&gateway.current()).await,
            _ = sweep.tick() => gateway.current().quotas().sweep(Instant::now()),
        }
    }
}

/// Fetches the keys of issuers that are due.
pub(crate) async fn fetch_keys(snapshot: &Snapshot) {
    snapshot.identities().issuers().refresh(Timestamp::now()).await;
}

/// Looks up the names of upstreams.
pub(crate) async fn look_up(snapshot: &Snapshot) {
    for unresolved in snapshot.upstreams().resolve().await {
        tracing::warn!(%unresolved, "the addresses known before stay in use");
    }
}

/// Each issuer knows by itself when it is due; this is how often it is asked.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// About the shortest time that operators give a name whose address moves.
const NAMES_EVERY: Duration = Duration::from_secs(30);
/// What is whole again is only memory.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
