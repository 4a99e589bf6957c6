//! Which numbers tell how the credentials towards upstreams are?
//!
//! They are set anew every second or so, from what is in hand.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::metrics::Seconds;

/// The metrics of credentials.
#[derive(Debug, Default)]
pub struct CredentialMetrics {
    state: Family<StateLabels, Gauge>,
    rotations: Family<NameLabel, Gauge>,
    failing: Family<NameLabel, Gauge>,
    left: Family<NameLabel, Seconds>,
}

/// How one credential is.
#[derive(Debug, Clone, Copy)]
pub struct CredentialGauge<'a> {
    /// Its name in gateway.yaml.
    pub name: &'a str,
    /// `empty`, `steady`, `trying`, `aside` or `overlap`.
    pub state: &'static str,
    /// Rotations that were completed.
    pub rotations: u64,
    /// Whether its source could not be read the last time.
    pub failing: bool,
    /// How long what is in hand serves still.
    pub left: Option<Duration>,
}

impl CredentialMetrics {
    /// The names, in one place.
    pub(super) fn register(&self, registry: &mut Registry) {
        let r = registry;
        r.register("credential_state", "1 for the state that a credential is in", self.state.clone());
        r.register("credential_rotations", "Rotations that were completed", self.rotations.clone());
        let failing = "1 while the source of a credential cannot be read";
        r.register("credential_source_failing", failing, self.failing.clone());
        let left = "How long the version in hand serves still, unless it is read anew";
        r.register("credential_left_seconds", left, self.left.clone());
    }

    /// How all of them are; what is not among them any more is not told any more.
    pub fn set<'a>(&self, all: impl Iterator<Item = CredentialGauge<'a>>) {
        for family in [&self.rotations, &self.failing] {
            family.clear();
        }
        self.state.clear();
        self.left.clear();
        for one in all {
            let name = NameLabel { credential: one.name.to_owned() };
            let state = StateLabels { credential: one.name.to_owned(), state: one.state };
            self.state.get_or_create(&state).set(1);
            self.rotations.get_or_create(&name).set(i64::try_from(one.rotations).unwrap_or(i64::MAX));
            self.failing.get_or_create(&name).set(i64::from(one.failing));
            if let Some(left) = one.left {
                self.left.get_or_create(&name).set(left.as_secs_f64());
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    credential: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    credential: String,
}
