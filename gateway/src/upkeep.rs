//! What is done now and then, whether anybody calls or not?
//!
//! Keys of issuers are fetched, names of upstreams looked up, old entries of rate limits swept away, and what ends is
//! counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::gateway::Gateway;

/// Does the chores until the gateway stops; calls `ready` once the first round is done.
pub async fn run(gateway: Arc<Gateway>, ready: impl FnOnce(), mut stopping: watch::Receiver<bool>) {
    // Whoever waits for us wants to be served, not refused for keys that were not fetched yet.
    gateway.current().warm().await;
    ready();
    let mut lifecycles = tokio::time::interval(LIFECYCLES_EVERY);
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let mut names = tokio::time::interval(NAMES_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = lifecycles.tick() => gateway.current().tell_lifecycles(gateway.metrics()),
            _ = keys.tick() => gateway.current().fetch_keys().await,
            _ = names.tick() => gateway.current().look_up().await,
            _ = sweep.tick() => gateway.current().quotas().sweep(Instant::now()),
        }
    }
}

/// A brown-out is seen in the metrics about as soon as callers see it.
const LIFECYCLES_EVERY: Duration = Duration::from_secs(1);
/// Each issuer knows by itself when it is due; this is how often it is asked.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// About the shortest time that operators give a name whose address moves.
const NAMES_EVERY: Duration = Duration::from_secs(30);
/// What is whole again is only memory.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
