//! What is done now and then, whether anybody calls or not?
//!
//! Keys of issuers are fetched, certificates renewed, names of upstreams looked up, the session with Vault kept,
//! old entries of rate limits swept away, what ends is counted, and what was counted of usage is written down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::gateway::Gateway;
use crate::handshake;
use crate::snapshot::Snapshot;
use crate::telemetry::{CredentialGauge, UseCount};
use crate::usage::{Change, FLUSH_EVERY, Flushed, State};

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

/// Does a chore now and then, until the gateway stops. Apart from the others: one that is slow holds up none of
/// them, and is not done twice at once.
async fn every<F: Future<Output = ()>>(
    time: Duration,
    mut stopping: watch::Receiver<bool>,
    mut chore: impl FnMut() -> F,
) {
    let mut tick = tokio::time::interval(time);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = tick.tick() => chore().await,
        }
    }
}

/// Keeps the session with Vault, until the gateway stops.
pub async fn keep_vault(gateway: Arc<Gateway>, stopping: watch::Receiver<bool>) {
    let keep = || async { gateway.current().keep_vault().await };
    every(VAULT_EVERY, stopping, keep).await;
}

/// Keeps what is shown to upstreams good, until the gateway stops.
pub async fn keep_credentials(gateway: Arc<Gateway>, stopping: watch::Receiver<bool>) {
    let keep = || async {
        let snapshot = gateway.current();
        snapshot.credentials().refresh().await;
        tell_credentials(&gateway, &snapshot);
    };
    every(CREDENTIALS_EVERY, stopping, keep).await;
}

/// Gives back what Vault lent, once nothing is served any more.
pub async fn leave_vault(gateway: &Gateway) {
    if let Some(vault) = gateway.current().vault() {
        vault.revoke_leases().await;
    }
}

/// Brings certificates, keys, roots and revocation lists up to date, until the gateway stops: whatever the
/// other files are worth at the moment, what was renewed is used.
pub async fn keep_keyring(gateway: Arc<Gateway>, mut stopping: watch::Receiver<bool>) {
    // Not at once: whoever says that the gateway is ready asks first, and waits for it.
    let begin = tokio::time::Instant::now().checked_add(KEYRING_EVERY);
    let mut look = tokio::time::interval_at(begin.unwrap_or_else(tokio::time::Instant::now), KEYRING_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut partners = tokio::time::interval(PARTNERS_EVERY);
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            _ = partners.tick() => keep_partners(&gateway).await,
            _ = look.tick() => {
                let asking = gateway.current();
                // A server that is slow holds up neither the files nor another server.
                tokio::spawn(async move { asking.ask_keyring().await });
                let snapshot = gateway.current();
                // Files are read and large lists made ready; nobody waits for it but the next round.
                let looked = tokio::task::spawn_blocking(move || {
                    snapshot.keyring().look(Timestamp::now());
                    snapshot.renew_trust();
                });
                if looked.await.is_err() {
                    tracing::error!("certificates could not be looked at by a fault of the gateway itself");
                }
                tell_expiries(&gateway);
            }
        }
    }
}

/// Writes down which certificates callers have shown, if there is anything new.
async fn keep_partners(gateway: &Arc<Gateway>) {
    let gateway = Arc::clone(gateway);
    let kept = tokio::task::spawn_blocking(move || {
        let file = gateway.current().settings().partners.clone();
        gateway.keyring().partners().keep(&file).map_err(|fault| (file.display().to_string(), fault.kind()))
    });
    if let Ok(Err((file, fault))) = kept.await {
        tracing::warn!(file, %fault, "the certificates that callers have shown cannot be written down");
    }
}

/// Records now and then how often handshakes have failed again, until the gateway stops.
pub async fn tell_handshakes(gateway: Arc<Gateway>, stopping: watch::Receiver<bool>) {
    let tell = || async { handshake::tell_repeated(&gateway, Instant::now()).await };
    every(HANDSHAKES_EVERY, stopping, tell).await;
}

/// Writes down what the chores would have by and by. To be waited for once nothing new is begun: a chore that
/// is told to stop is not, and would be cut off.
pub async fn finish(gateway: &Arc<Gateway>) {
    keep_partners(gateway).await;
    handshake::tell_the_rest(gateway).await;
}

/// Tells the metrics what ends when, and what cannot be brought up to date.
fn tell_expiries(gateway: &Gateway) {
    let (ends, troubles) = (gateway.keyring().expiries(), gateway.keyring().troubles());
    gateway.metrics().keyring().tell(
        ends.iter().map(|one| (one.what, one.name.as_str(), one.ends)),
        troubles.iter().map(|one| (one.what, one.name.as_str(), one.reason)),
    );
}

/// Tells the metrics how the credentials are.
fn tell_credentials(gateway: &Gateway, snapshot: &Snapshot) {
    let (states, now) = (snapshot.credentials().states(), Instant::now());
    gateway.metrics().credentials().set(states.iter().map(|state| CredentialGauge {
        name: &state.name,
        state: state.standing.state,
        rotations: state.standing.completed,
        failing: state.fault.is_some(),
        left: state.standing.ends.map(|ends| ends.saturating_duration_since(now)),
    }));
}

/// Writes down now and then who used what, until the gateway stops.
pub async fn keep_usage(gateway: Arc<Gateway>, stopping: watch::Receiver<bool>) {
    let keep = || {
        let gateway = Arc::clone(&gateway);
        async move {
            // Files are written; nobody waits for it but the next round.
            if tokio::task::spawn_blocking(move || flush_usage(&gateway)).await.is_err() {
                tracing::error!("usage could not be written by a fault of the gateway itself");
            }
        }
    };
    every(FLUSH_EVERY, stopping, keep).await;
}

/// Writes down who used what since the last time, and tells operators when that cannot be done.
pub fn flush_usage(gateway: &Gateway) {
    let Flushed { counted, change } = gateway.usage().flush();
    for count in &counted {
        gateway.metrics().usage().used(&UseCount {
            caller: count.caller.as_deref(),
            api: &count.api,
            version: &count.version,
            operation: &count.operation,
            field: count.field.as_deref(),
            calls: count.tally.calls,
            deprecated: count.tally.deprecated,
        });
    }
    let State { failures, dropped, .. } = gateway.usage().state();
    gateway.metrics().usage().kept(failures, dropped);
    let file = gateway.usage().settings().map(|settings| settings.file.display().to_string());
    match change {
        Some(Change::Failing(fault)) => {
            tracing::warn!(
                file,
                fault,
                "usage cannot be written; requests are served, and the audit log tells it all"
            );
        }
        Some(Change::Recovered) => tracing::info!(file, "usage is written again"),
        None => {}
    }
}

/// Each credential knows by itself when it is due; a file that changes is seen within about this time.
const CREDENTIALS_EVERY: Duration = Duration::from_secs(1);
/// Each issuer knows by itself when it is due; this is how often it is asked.
const KEYS_EVERY: Duration = Duration::from_secs(1);
/// A session and its leases know by themselves when they are due; this is how often they are asked.
const VAULT_EVERY: Duration = Duration::from_secs(1);
/// Each tally knows by itself when its minute is over.
const HANDSHAKES_EVERY: Duration = Duration::from_secs(5);
/// What is lost by a crash is shown again.
const PARTNERS_EVERY: Duration = Duration::from_secs(60);
/// A changed file is used within about two of these.
const KEYRING_EVERY: Duration = Duration::from_millis(500);
/// About the shortest time that operators give a name whose address moves.
const NAMES_EVERY: Duration = Duration::from_secs(30);
/// A brown-out is seen in the metrics about as soon as callers see it.
const LIFECYCLES_EVERY: Duration = Duration::from_secs(1);
/// What is whole again is only memory.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
