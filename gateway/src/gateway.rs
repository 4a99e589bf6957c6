//! What lives as long as the process: the current snapshot, the audit log, the counters.
//!
//! Everything a request reads comes from one [`Snapshot`], taken once; this is where it is swapped.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::audit;
use crate::config::EdgeLimits;
use crate::edge::{Buffered, Slots};
use crate::handshake::Tallies;
use crate::identity::Sharing;
use crate::keyring::Keyring;
use crate::reload::ReloadFault;
use crate::snapshot::Snapshot;
use crate::telemetry::{Metrics, OperationMetrics, Reload, Repeats, Traces};
use crate::usage::Usage;

/// The running gateway.
#[derive(Debug)]
pub struct Gateway {
    current: ArcSwap<Snapshot>,
    reload_fault: ArcSwapOption<ReloadFault>,
    audit: audit::Log,
    metrics: Arc<Metrics>,
    usage: Usage,
    keyring: Arc<Keyring>,
    stopping: watch::Sender<bool>,
    /// The connections that are open.
    pub(crate) slots: Arc<Slots>,
    /// The bytes of bodies held at once.
    pub(crate) buffered: Arc<Buffered>,
    /// Limits of the edge, fixed at the start.
    pub(crate) limits: EdgeLimits,
    /// The name of this node in audit records.
    pub(crate) node: String,
    /// The counters of requests that no operation serves.
    pub(crate) unmatched: OperationMetrics,
    /// Where trace ids come from.
    pub(crate) traces: Traces,
    /// The handshakes that failed lately.
    pub(crate) handshakes: Tallies,
    /// Keeps a flood of equal events out of the log.
    pub(crate) repeats: Repeats,
    /// Who came with which credential.
    pub(crate) sharing: Sharing,
}

impl Gateway {
    /// A gateway that serves `snapshot`.
    #[must_use]
    pub fn new(snapshot: Snapshot, audit: audit::Log, metrics: Arc<Metrics>) -> Self {
        let settings = snapshot.settings();
        let (limits, node) = (settings.limits, settings.node.clone());
        let usage = Usage::new(settings.usage.clone());
        metrics.snapshot(&snapshot.id().to_string(), snapshot.loaded_at());
        snapshot.serve();
        Self {
            unmatched: metrics.no_operation(),
            keyring: Arc::clone(snapshot.keyring()),
            traces: Traces::new(),
            current: ArcSwap::from_pointee(snapshot),
            reload_fault: ArcSwapOption::empty(),
            audit,
            metrics,
            usage,
            stopping: watch::Sender::new(false),
            slots: Slots::new(),
            buffered: Buffered::new(limits.buffered_bytes_max),
            limits,
            node,
            handshakes: Tallies::default(),
            repeats: Repeats::new(REPEATS_PERIOD),
            sharing: Sharing::new(),
        }
    }

    /// What serves now. A request takes it once and keeps it to its end.
    #[must_use]
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Lets a new snapshot serve; requests in flight finish on the one they began with.
    pub fn swap(&self, snapshot: Snapshot) {
        self.metrics.snapshot(&snapshot.id().to_string(), snapshot.loaded_at());
        self.metrics.reloaded(Reload::Served);
        snapshot.serve();
        self.current.store(Arc::new(snapshot));
        self.reload_fault.store(None);
    }

    /// Keeps what serves, and remembers why the newest files do not.
    pub fn keep(&self, fault: ReloadFault) {
        self.metrics.reloaded(Reload::Refused);
        self.reload_fault.store(Some(Arc::new(fault)));
    }

    /// Why the newest files do not serve, if they do not.
    #[must_use]
    pub fn reload_fault(&self) -> Option<Arc<ReloadFault>> {
        self.reload_fault.load_full()
    }

    /// The audit log.
    #[must_use]
    pub const fn audit(&self) -> &audit::Log {
        &self.audit
    }

    /// The counters.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The certificates, keys, roots and revocation lists of the process.
    #[must_use]
    pub const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Who still uses what.
    #[must_use]
    pub const fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Becomes true when the gateway stops.
    #[must_use]
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// Tells every listener and chore to come to an end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

/// Once in ten seconds an operator sees that something goes on; the counters say how often.
const REPEATS_PERIOD: Duration = Duration::from_secs(10);
