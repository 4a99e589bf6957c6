//! Which numbers does the gateway count, under which names?
//!
//! Labels take their values from the files and from code, never from a request, so that nobody
//! outside decides how many series there are. What is counted for every request is resolved when a
//! snapshot is built: counting is then one atomic addition.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::credentials::CredentialMetrics;
use super::keyring::KeyringMetrics;
use super::usage::UsageMetrics;
use super::vault::VaultMetrics;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_durations: Family<OperationLabel, Histogram, fn() -> Histogram>,
    response_violations: Family<OperationLabel, Counter>,
    refusals: Family<ReasonLabel, Counter>,
    quota_exceeded: Family<PlanLabel, Counter>,
    suspicions: Family<ReasonLabel, Counter>,
    upstream_calls: Family<UpstreamCallLabels, Counter>,
    upstream_durations: Family<UpstreamLabel, Histogram, fn() -> Histogram>,
    reloads: Family<ResultLabel, Counter>,
    reload_fault: Gauge,
    snapshot: Family<SnapshotLabel, Gauge>,
    snapshot_loaded: Seconds,
    lifecycles: Family<LifecycleLabels, Gauge>,
    keys_age: Family<IssuerLabel, Seconds>,
    vault: VaultMetrics,
    audit_records: Counter,
    audit_failures: Counter,
    usage: UsageMetrics,
    keyring: KeyringMetrics,
    credentials: CredentialMetrics,
    connections: Gauge,
    handshake_failures: Family<ReasonLabel, Counter>,
}

/// The metrics of one operation, for as long as a snapshot has it.
#[derive(Debug)]
pub struct OperationMetrics {
    labels: OperationLabels,
    requests: Family<RequestLabels, Counter>,
    /// By status class and outcome; a series appears when it is first counted.
    counted: [[OnceLock<Counter>; OUTCOMES.len()]; STATUS_CLASSES.len()],
    durations: Histogram,
    violations: Counter,
}

/// The metrics of one upstream.
#[derive(Debug)]
pub struct UpstreamMetrics {
    upstream: String,
    calls: Family<UpstreamCallLabels, Counter>,
    answered: Counter,
    durations: Histogram,
}

/// A connection is open until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it says that the connection is closed"]
pub struct ConnectionOpen(Gauge);

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream's answer, or the gateway's own document, went out.
    Answered,
    /// The gateway refused it.
    Refused,
    /// The upstream failed it.
    Failed,
    /// The client went away.
    Abandoned,
}

/// What became of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The new snapshot serves.
    Served,
    /// The files have mistakes; the snapshot before it serves on.
    Refused,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("gateway"),
            requests: Family::default(),
            request_durations: Family::new_with_constructor(durations),
            response_violations: Family::default(),
            refusals: Family::default(),
            quota_exceeded: Family::default(),
            suspicions: Family::default(),
            upstream_calls: Family::default(),
            upstream_durations: Family::new_with_constructor(durations),
            reloads: Family::default(),
            reload_fault: Gauge::default(),
            snapshot: Family::default(),
            snapshot_loaded: Seconds::default(),
            lifecycles: Family::default(),
            keys_age: Family::default(),
            vault: VaultMetrics::default(),
            audit_records: Counter::default(),
            audit_failures: Counter::default(),
            usage: UsageMetrics::default(),
            keyring: KeyringMetrics::default(),
            credentials: CredentialMetrics::default(),
            connections: Gauge::default(),
            handshake_failures: Family::default(),
        };
        metrics.register();
        metrics
    }

    /// The names, in one place. Counters get `_total` from the text format.
    fn register(&mut self) {
        let r = &mut self.registry;
        r.register("requests", "Requests, by what became of them", self.requests.clone());
        r.register("request_duration_seconds", "Time from head to answer", self.request_durations.clone());
        r.register(
            "response_violations",
            "Answers that broke the contract",
            self.response_violations.clone(),
        );
        r.register("refusals", "Refused requests, by reason", self.refusals.clone());
        r.register("quota_exceeded", "Requests over a limit, by plan", self.quota_exceeded.clone());
        let shared = "Requests with a credential that looks as if it were shared, by what is odd";
        r.register("suspicions", shared, self.suspicions.clone());
        r.register("upstream_calls", "Calls of upstreams, by outcome", self.upstream_calls.clone());
        r.register("upstream_duration_seconds", "Time of upstream calls", self.upstream_durations.clone());
        r.register("reloads", "Reloads of the files, by result", self.reloads.clone());
        r.register("reload_fault", "1 while the files on disk cannot be served", self.reload_fault.clone());
        r.register("snapshot_info", "The snapshot that serves", self.snapshot.clone());
        let loaded = "When the snapshot that serves was loaded, in Unix time";
        r.register("snapshot_loaded_timestamp_seconds", loaded, self.snapshot_loaded.clone());
        let ending = "Operations that are not in full use, by how far their life has come";
        r.register("lifecycle_operations", ending, self.lifecycles.clone());
        r.register("jwks_age_seconds", "Age of an issuer's keys", self.keys_age.clone());
        self.vault.register(r);
        r.register("audit_records", "Audit records written", self.audit_records.clone());
        r.register("audit_failures", "Audit records that could not be written", self.audit_failures.clone());
        self.usage.register(r);
        self.keyring.register(r);
        self.credentials.register(r);
        r.register("connections", "Open client connections", self.connections.clone());
        r.register(
            "tls_handshake_failures",
            "TLS handshakes that failed, by cause",
            self.handshake_failures.clone(),
        );
    }

    /// The metrics of one operation; to be made when a snapshot is built.
    #[must_use]
    pub fn operation(&self, api: &str, version: &str, operation: &str) -> OperationMetrics {
        let operation_label = OperationLabel { operation: operation.to_owned() };
        OperationMetrics {
            labels: OperationLabels {
                api: api.to_owned(),
                version: version.to_owned(),
                operation: operation.to_owned(),
            },
            requests: self.requests.clone(),
            counted: Default::default(),
            durations: self.request_durations.get_or_create_owned(&operation_label),
            violations: self.response_violations.get_or_create_owned(&operation_label),
        }
    }

    /// The metrics of requests that no operation serves.
    #[must_use]
    pub fn no_operation(&self) -> OperationMetrics {
        self.operation(NONE, NONE, NONE)
    }

    /// The metrics of one upstream; to be made when a snapshot is built.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        let upstream = name.to_owned();
        let labels = UpstreamCallLabels { upstream: upstream.clone(), outcome: ANSWERED };
        UpstreamMetrics {
            calls: self.upstream_calls.clone(),
            answered: self.upstream_calls.get_or_create_owned(&labels),
            durations: self
                .upstream_durations
                .get_or_create_owned(&UpstreamLabel { upstream: upstream.clone() }),
            upstream,
        }
    }

    /// A request was refused, for a reason that stands in the code.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A caller of a plan was over a limit.
    pub fn quota_exceeded(&self, plan: &str) {
        self.quota_exceeded.get_or_create(&PlanLabel { plan: plan.to_owned() }).inc();
    }

    /// A request came with a credential that looks as if it were shared.
    pub fn suspected(&self, reason: &'static str) {
        self.suspicions.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// The files were read again.
    pub fn reloaded(&self, result: Reload) {
        let (label, fault) = match result {
            Reload::Served => ("served", 0),
            Reload::Refused => ("refused", 1),
        };
        self.reloads.get_or_create(&ResultLabel { result: label }).inc();
        self.reload_fault.set(fault);
    }

    /// Another snapshot serves.
    pub fn snapshot(&self, id: &str, loaded_at: Timestamp) {
        self.snapshot.clear();
        self.snapshot.get_or_create(&SnapshotLabel { id: id.to_owned() }).set(1);
        self.snapshot_loaded.set(loaded_at.as_duration().as_secs_f64());
    }

    /// How many operations of which version are how far in their life; all that are not in full use.
    pub fn lifecycles<'a>(&self, counted: impl Iterator<Item = (&'a str, &'a str, &'static str, usize)>) {
        self.lifecycles.clear();
        for (api, version, state, count) in counted {
            let labels = LifecycleLabels { api: api.to_owned(), version: version.to_owned(), state };
            self.lifecycles.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// How old an issuer's keys are.
    pub fn keys_age(&self, issuer: &str, age: Duration) {
        self.keys_age.get_or_create(&IssuerLabel { issuer: issuer.to_owned() }).set(age.as_secs_f64());
    }

    /// The session with Vault.
    #[must_use]
    pub const fn vault(&self) -> &VaultMetrics {
        &self.vault
    }

    /// An audit record was written.
    pub fn audit_recorded(&self) {
        self.audit_records.inc();
    }

    /// An audit record could not be written.
    pub fn audit_failed(&self) {
        self.audit_failures.inc();
    }

    /// How many could not.
    #[must_use]
    pub fn audit_failures(&self) -> u64 {
        self.audit_failures.get()
    }

    /// Who calls what, and what is used that is deprecated.
    #[must_use]
    pub const fn usage(&self) -> &UsageMetrics {
        &self.usage
    }

    /// What ends when of certificates, keys, roots and revocation lists.
    #[must_use]
    pub const fn keyring(&self) -> &KeyringMetrics {
        &self.keyring
    }

    /// How the credentials towards upstreams are.
    #[must_use]
    pub const fn credentials(&self) -> &CredentialMetrics {
        &self.credentials
    }

    /// A client connected.
    pub fn connection_open(&self) -> ConnectionOpen {
        self.connections.inc();
        ConnectionOpen(self.connections.clone())
    }

    /// A TLS handshake failed, for a reason that stands in the code.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshake_failures.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// All of them in the OpenMetrics text format.
    ///
    /// # Errors
    /// A metric does not know how to write itself.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl OperationMetrics {
    /// A request ended.
    pub fn request(&self, status: StatusCode, outcome: Outcome, duration: Duration) {
        let class = usize::from(status.as_u16()).checked_div(100).and_then(|class| class.checked_sub(1));
        let class = class.unwrap_or(STATUS_CLASS_OTHER).min(STATUS_CLASS_OTHER);
        let counted = self.counted.get(class).and_then(|outcomes| outcomes.get(outcome.index()));
        let status_class = STATUS_CLASSES.get(class).copied();
        if let Some((counted, status_class)) = counted.zip(status_class) {
            counted.get_or_init(|| self.series(status_class, outcome)).inc();
        }
        self.durations.observe(duration.as_secs_f64());
    }

    /// An answer broke the contract.
    pub fn response_violation(&self) {
        self.violations.inc();
    }

    fn series(&self, status_class: &'static str, outcome: Outcome) -> Counter {
        let OperationLabels { api, version, operation } = self.labels.clone();
        let outcome = OUTCOMES.get(outcome.index()).copied().unwrap_or(NONE);
        self.requests.get_or_create_owned(&RequestLabels { api, version, operation, status_class, outcome })
    }
}

impl UpstreamMetrics {
    /// The upstream answered.
    pub fn answered(&self, duration: Duration) {
        self.answered.inc();
        self.durations.observe(duration.as_secs_f64());
    }

    /// The call failed, for a reason that stands in the code.
    pub fn failed(&self, reason: &'static str, duration: Duration) {
        let labels = UpstreamCallLabels { upstream: self.upstream.clone(), outcome: reason };
        self.calls.get_or_create(&labels).inc();
        self.durations.observe(duration.as_secs_f64());
    }
}

impl Drop for ConnectionOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Outcome {
    const fn index(self) -> usize {
        match self {
            Self::Answered => 0,
            Self::Refused => 1,
            Self::Failed => 2,
            Self::Abandoned => 3,
        }
    }
}

fn durations() -> Histogram {
    Histogram::new(DURATION_BUCKETS_S)
}

/// A gauge in seconds, with fractions.
pub(super) type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone)]
struct OperationLabels {
    api: String,
    version: String,
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    api: String,
    version: String,
    operation: String,
    status_class: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LifecycleLabels {
    api: String,
    version: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PlanLabel {
    plan: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamCallLabels {
    upstream: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabel {
    upstream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SnapshotLabel {
    id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabel {
    issuer: String,
}

/// The label of what has no operation.
const NONE: &str = "none";
/// The label of an upstream call that was answered.
const ANSWERED: &str = "answered";
/// In the order of [`Outcome::index`].
const OUTCOMES: [&str; 4] = ["answered", "refused", "failed", "abandoned"];
/// By the first digit of the status.
const STATUS_CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
/// The place of "other" among them.
const STATUS_CLASS_OTHER: usize = 5;
/// From what the gateway alone takes to the longest deadline that makes sense.
const DURATION_BUCKETS_S: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metrics: &Metrics, line: &str) {
        let text = metrics.encode().unwrap();
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }

    #[test]
    fn a_request_is_counted_by_operation_status_and_outcome() {
        let metrics = Metrics::new();
        let operation = metrics.operation("orders", "v2", "orders.v2.create");
        for _ in 0..2 {
            operation.request(StatusCode::CREATED, Outcome::Answered, Duration::from_millis(3));
        }
        operation.request(StatusCode::FORBIDDEN, Outcome::Refused, Duration::from_secs(60));
        operation.response_violation();
        metrics.no_operation().request(StatusCode::NOT_FOUND, Outcome::Refused, Duration::ZERO);
        let of = "api=\"orders\",version=\"v2\",operation=\"orders.v2.create\"";
        check(
            &metrics,
            &format!("gateway_requests_total{{{of},status_class=\"2xx\",outcome=\"answered\"}} 2"),
        );
        check(
            &metrics,
            &format!("gateway_requests_total{{{of},status_class=\"4xx\",outcome=\"refused\"}} 1"),
        );
        let none = "api=\"none\",version=\"none\",operation=\"none\"";
        check(
            &metrics,
            &format!("gateway_requests_total{{{none},status_class=\"4xx\",outcome=\"refused\"}} 1"),
        );
        let of = "operation=\"orders.v2.create\"";
        check(&metrics, &format!("gateway_request_duration_seconds_bucket{{le=\"0.005\",{of}}} 2"));
        check(&metrics, &format!("gateway_request_duration_seconds_bucket{{le=\"30.0\",{of}}} 2"));
        check(&metrics, &format!("gateway_request_duration_seconds_count{{{of}}} 3"));
        check(&metrics, &format!("gateway_response_violations_total{{{of}}} 1"));
    }

    #[test]
    fn the_next_snapshot_counts_on() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            let operation = metrics.operation("a", "v1", "a.v1.b");
            operation.request(StatusCode::OK, Outcome::Answered, Duration::ZERO);
        }
        let of = "api=\"a\",version=\"v1\",operation=\"a.v1.b\"";
        check(
            &metrics,
            &format!("gateway_requests_total{{{of},status_class=\"2xx\",outcome=\"answered\"}} 2"),
        );
    }

    #[test]
    fn every_status_and_outcome_has_its_place() {
        let metrics = Metrics::new();
        let operation = metrics.no_operation();
        for (status, outcome, class, label) in [
            (100, Outcome::Answered, "1xx", "answered"),
            (304, Outcome::Answered, "3xx", "answered"),
            (503, Outcome::Failed, "5xx", "failed"),
            (499, Outcome::Abandoned, "4xx", "abandoned"),
            (999, Outcome::Answered, "other", "answered"),
        ] {
            operation.request(StatusCode::from_u16(status).unwrap(), outcome, Duration::ZERO);
            let of = "api=\"none\",version=\"none\",operation=\"none\"";
            check(
                &metrics,
                &format!("gateway_requests_total{{{of},status_class=\"{class}\",outcome=\"{label}\"}} 1"),
            );
        }
    }

    #[test]
    fn upstream_calls_are_counted_by_outcome() {
        let metrics = Metrics::new();
        let upstream = metrics.upstream("odoo");
        upstream.answered(Duration::from_millis(20));
        upstream.failed("upstream-unreachable", Duration::from_secs(1));
        check(&metrics, "gateway_upstream_calls_total{upstream=\"odoo\",outcome=\"answered\"} 1");
        check(&metrics, "gateway_upstream_calls_total{upstream=\"odoo\",outcome=\"upstream-unreachable\"} 1");
        check(&metrics, "gateway_upstream_duration_seconds_count{upstream=\"odoo\"} 2");
    }

    #[test]
    fn a_refused_reload_is_seen_until_one_is_served() {
        let metrics = Metrics::new();
        metrics.reloaded(Reload::Refused);
        check(&metrics, "gateway_reload_fault 1");
        metrics.reloaded(Reload::Served);
        check(&metrics, "gateway_reload_fault 0");
        check(&metrics, "gateway_reloads_total{result=\"refused\"} 1");
        check(&metrics, "gateway_reloads_total{result=\"served\"} 1");
    }

    #[test]
    fn only_the_snapshot_that_serves_is_named() {
        let metrics = Metrics::new();
        metrics.snapshot("aaa", Timestamp::from_second(1).unwrap());
        metrics.snapshot("bbb", Timestamp::from_millisecond(1_500).unwrap());
        check(&metrics, "gateway_snapshot_info{id=\"bbb\"} 1");
        check(&metrics, "gateway_snapshot_loaded_timestamp_seconds 1.5");
        assert!(!metrics.encode().unwrap().contains("aaa"));
    }

    #[test]
    fn a_connection_counts_until_it_is_dropped() {
        let metrics = Metrics::new();
        let open = (metrics.connection_open(), metrics.connection_open());
        drop(open.0);
        check(&metrics, "gateway_connections 1");
    }

    #[test]
    fn the_single_counters_count() {
        let metrics = Metrics::new();
        metrics.refused("token-expired");
        metrics.quota_exceeded("marketplace");
        metrics.keys_age("main", Duration::from_millis(2500));
        metrics.audit_recorded();
        metrics.audit_failed();
        metrics.handshake_failed("handshake-slow");
        check(&metrics, "gateway_refusals_total{reason=\"token-expired\"} 1");
        check(&metrics, "gateway_quota_exceeded_total{plan=\"marketplace\"} 1");
        check(&metrics, "gateway_jwks_age_seconds{issuer=\"main\"} 2.5");
        check(&metrics, "gateway_audit_records_total 1");
        check(&metrics, "gateway_audit_failures_total 1");
        check(&metrics, "gateway_tls_handshake_failures_total{reason=\"handshake-slow\"} 1");
        check(&metrics, "# EOF");
    }
}
