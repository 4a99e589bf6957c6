//! When does what the gateway holds end, and what of it cannot be brought up to date?
//!
//! Names are those of files and callers, so operators decide how many series there are.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of certificates, keys, roots and revocation lists.
#[derive(Debug, Default)]
pub struct KeyringMetrics {
    expiries: Family<ExpiryLabels, Gauge<f64, AtomicU64>>,
    troubles: Family<TroubleLabels, Gauge>,
}

impl KeyringMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let ends = "When a certificate, a root or a revocation list ends, in Unix time";
        registry.register("certificate_expiry_timestamp_seconds", ends, self.expiries.clone());
        let troubles = "1 for each of them that cannot be brought up to date";
        registry.register("keyring_troubles", troubles, self.troubles.clone());
    }

    /// What ends when (what, name, end), and what is in trouble (what, name, reason).
    pub fn tell<'a>(
        &self,
        ends: impl Iterator<Item = (&'static str, &'a str, Timestamp)>,
        troubles: impl Iterator<Item = (&'static str, &'a str, &'static str)>,
    ) {
        self.expiries.clear();
        for (what, name, ends) in ends {
            let labels = ExpiryLabels { what, name: name.to_owned() };
            self.expiries.get_or_create(&labels).set(ends.as_duration().as_secs_f64());
        }
        self.troubles.clear();
        for (what, name, reason) in troubles {
            let labels = TroubleLabels { what, name: name.to_owned(), reason };
            self.troubles.get_or_create(&labels).set(1);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ExpiryLabels {
    what: &'static str,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TroubleLabels {
    what: &'static str,
    name: String,
    reason: &'static str,
}
