//! Which numbers tell who calls what, and what is used that is deprecated?
//!
//! They are fed when counts are written down, every few seconds, so that a request pays nothing for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// The metrics of usage.
#[derive(Debug, Default)]
pub struct UsageMetrics {
    calls: Family<CallerLabels, Counter>,
    /// The callers and operations that have series of their own.
    caller_series: Mutex<HashSet<(String, String)>>,
    field_uses: Family<FieldLabels, Counter>,
    failures: Counter,
    dropped: Counter,
}

/// How often a caller used an operation, or one of its deprecated fields.
#[derive(Debug, Clone, Copy)]
pub struct UseCount<'a> {
    /// The caller, by its id in callers.yaml; `None` for whoever needs no proof.
    pub caller: Option<&'a str>,
    /// The api.
    pub api: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The operation's full name.
    pub operation: &'a str,
    /// The field, by its place in the contract; `None` for the operation itself.
    pub field: Option<&'a str>,
    /// How often.
    pub calls: u64,
    /// How often of these while it was deprecated.
    pub deprecated: u64,
}

impl UsageMetrics {
    /// The names, in one place. Counters get `_total` from the text format.
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register(
            "caller_calls",
            "Calls of known callers, written down every few seconds",
            self.calls.clone(),
        );
        let uses = "Uses of deprecated parameters and properties";
        r.register("deprecated_field_uses", uses, self.field_uses.clone());
        let failures = "Times that usage could not be written since the start";
        r.register("usage_write_failures", failures, self.failures.clone());
        let dropped = "Calls and uses that are missing in the usage store, for lack of room";
        r.register("usage_dropped", dropped, self.dropped.clone());
    }

    /// Calls were counted; see [`UseCount`].
    pub fn used(&self, count: &UseCount<'_>) {
        let UseCount { caller, api, version, operation, field, calls, deprecated } = *count;
        let (api, version, operation) = (api.to_owned(), version.to_owned(), operation.to_owned());
        if let Some(field) = field {
            let labels = FieldLabels { api, version, operation, field: field.to_owned() };
            if deprecated > 0 {
                self.field_uses.get_or_create(&labels).inc_by(deprecated);
            }
            return;
        }
        let caller = self.caller_label(caller.unwrap_or(ANONYMOUS), &operation);
        for (word, calls) in [("no", calls.saturating_sub(deprecated)), ("yes", deprecated)] {
            if calls > 0 {
                let (api, version, operation) = (api.clone(), version.clone(), operation.clone());
                let labels =
                    CallerLabels { caller: caller.clone(), api, version, operation, deprecated: word };
                self.calls.get_or_create(&labels).inc_by(calls);
            }
        }
    }

    /// The caller's own label, while there is room for its series.
    fn caller_label(&self, caller: &str, operation: &str) -> String {
        let mut series = self.caller_series.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (caller.to_owned(), operation.to_owned());
        if series.len() < CALLER_SERIES_MAX {
            series.insert(pair.clone());
        }
        if series.contains(&pair) { pair.0 } else { OTHER.to_owned() }
    }

    /// How the keeping of usage goes: since the start, what failed and what found no room.
    pub fn kept(&self, failures: u64, dropped: u64) {
        for (counter, now) in [(&self.failures, failures), (&self.dropped, dropped)] {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallerLabels {
    caller: String,
    api: String,
    version: String,
    operation: String,
    deprecated: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FieldLabels {
    api: String,
    version: String,
    operation: String,
    field: String,
}

/// The label of whoever needs no proof.
const ANONYMOUS: &str = "anonymous";
/// The label of callers for whom there is no room.
const OTHER: &str = "other";
/// Callers and operations stand in files, so they are bounded; that each calls each is not worth more.
const CALLER_SERIES_MAX: usize = 5_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn count(caller: &str, calls: u64, deprecated: u64) -> UseCount<'_> {
        let (api, version, operation) = ("orders", "v1", "orders.v1.list");
        UseCount { caller: Some(caller), api, version, operation, field: None, calls, deprecated }
    }

    #[test]
    fn callers_beyond_the_bound_share_a_series() {
        let metrics = UsageMetrics::default();
        metrics.used(&count("acme", 3, 1));
        for n in 1..CALLER_SERIES_MAX + 10 {
            metrics.used(&count(&n.to_string(), 1, 0));
        }
        metrics.used(&count("acme", 1, 0));
        let of = |caller: &str, deprecated| {
            let text = |text: &str| text.to_owned();
            let (api, version, operation) = (text("orders"), text("v1"), text("orders.v1.list"));
            let labels = CallerLabels { caller: text(caller), api, version, operation, deprecated };
            metrics.calls.get_or_create(&labels).get()
        };
        assert_eq!((of("acme", "no"), of("acme", "yes"), of(OTHER, "no")), (3, 1, 10));
    }

    #[test]
    fn only_uses_of_what_is_deprecated_are_counted_by_field() {
        let metrics = UsageMetrics::default();
        for deprecated in [0, 2] {
            metrics.used(&UseCount { field: Some("/note"), ..count("acme", 2, deprecated) });
        }
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        assert!(shown.contains("field=\"/note\"} 2"), "{shown}");
        metrics.kept(2, 7);
        metrics.kept(3, 7);
        assert_eq!((metrics.failures.get(), metrics.dropped.get()), (3, 7));
    }
}
