//! How does the gateway stand with Vault? What `/status` and the metrics tell.

use jiff::Timestamp;

/// The state of the session with Vault at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultState {
    /// The configured address.
    pub address: String,
    /// How the gateway logs in, as in `gateway.yaml`.
    pub method: &'static str,
    /// Whether it has a token that has not ended.
    pub logged_in: bool,
    /// When the token ends unless it is renewed; nothing when there is none or it never ends.
    pub ends: Option<Timestamp>,
    /// Why Vault or the login failed when it was last asked; nothing when it did not.
    pub fault: Option<&'static str>,
    /// Since when that is so.
    pub fault_since: Option<Timestamp>,
    /// What Vault has lent and was not given back.
    pub leases: usize,
    /// Logins since the start.
    pub logins: u64,
    /// Renewals of tokens since the start.
    pub renewals: u64,
}
