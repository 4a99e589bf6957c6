//! The process is asked to stop: in what order?
//!
//! Readiness fails, no connection is accepted any more, idle ones are closed, and requests in flight may
//! finish for as long as `run.grace` says.

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::gateway::Gateway;

/// Waits for SIGTERM or SIGINT, and then until no connection is open or the grace period ends.
pub async fn run(gateway: &Gateway) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened to, so the process only ends by force");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let grace = gateway.current().settings().grace;
    tracing::info!(grace_s = grace.as_secs(), "stopping: requests in flight may finish");
    gateway.stop();
    if timeout(grace, gateway.slots.all_given_back()).await.is_err() {
        tracing::warn!("connections were still open when the grace period ended");
    }
}
