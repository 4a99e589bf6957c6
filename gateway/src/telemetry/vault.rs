//! Which numbers tell how the gateway stands with Vault?

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of the session with Vault. They are of the moment in which they are asked for.
#[derive(Debug, Default)]
pub struct VaultMetrics {
    session: Gauge,
    token_seconds: Gauge,
    leases: Gauge,
    logins: Gauge,
    faults: Family<FaultLabel, Gauge>,
}

/// How the gateway stands with Vault.
#[derive(Debug, Clone, Copy)]
pub struct VaultReading {
    /// Whether it is logged in.
    pub logged_in: bool,
    /// Seconds until its token ends unless it is renewed; zero when there is none or it never ends.
    pub token_s: u64,
    /// What Vault has lent.
    pub leases: usize,
    /// Logins since the start.
    pub logins: u64,
    /// The code of what is wrong, if something is.
    pub fault: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FaultLabel {
    reason: &'static str,
}

impl VaultMetrics {
    /// The names, in one place.
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("vault_session", "1 while the gateway is logged in to Vault", self.session.clone());
        let seconds = "Time until the token for Vault ends unless it is renewed";
        r.register("vault_token_remaining_seconds", seconds, self.token_seconds.clone());
        r.register("vault_leases", "Secrets that Vault has lent", self.leases.clone());
        r.register("vault_logins", "Logins to Vault since the start", self.logins.clone());
        r.register("vault_fault", "1 for what is wrong with Vault at the moment", self.faults.clone());
    }

    /// How it is now.
    pub fn read(&self, now: VaultReading) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.session.set(i64::from(now.logged_in));
        self.token_seconds.set(gauge(now.token_s));
        self.leases.set(i64::try_from(now.leases).unwrap_or(i64::MAX));
        self.logins.set(gauge(now.logins));
        self.faults.clear();
        if let Some(reason) = now.fault {
            self.faults.get_or_create(&FaultLabel { reason }).set(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    #[test]
    fn only_what_is_wrong_now_is_told() {
        let metrics = Metrics::new();
        let reading =
            VaultReading { logged_in: true, token_s: 90, leases: 2, logins: 3, fault: Some("vault-sealed") };
        metrics.vault().read(reading);
        let text = metrics.encode().unwrap();
        for line in [
            "gateway_vault_session 1",
            "gateway_vault_token_remaining_seconds 90",
            "gateway_vault_leases 2",
            "gateway_vault_logins 3",
            "gateway_vault_fault{reason=\"vault-sealed\"} 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        metrics.vault().read(VaultReading { fault: None, ..reading });
        assert!(!metrics.encode().unwrap().contains("vault-sealed"));
    }
}
