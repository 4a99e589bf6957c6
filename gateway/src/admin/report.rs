//! What do operators read at `/status`?
//!
//! Names, counts and times. Whoever fills it puts no secret, no caller's data and no upstream's words
//! into it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::diagnostic::Diagnostics;
use crate::telemetry::VaultReading;

/// The state of the process at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// The gateway's own version.
    pub version: &'static str,
    /// What serves now.
    pub snapshot: SnapshotStatus,
    /// Why the files on disk do not serve, if they do not.
    pub last_reload_fault: Option<ReloadFault>,
    /// The live contracts.
    pub contracts: Vec<ContractStatus>,
    /// How many waivers `policies/lifecycle.yaml` grants.
    pub waivers: usize,
    /// The insecure settings that are on.
    pub insecure: Vec<String>,
    /// The token issuers.
    pub issuers: Vec<IssuerStatus>,
    /// Vault; absent where `gateway.yaml` names none.
    pub vault: Option<VaultStatus>,
    /// How much is revoked.
    pub revocations: RevocationStatus,
    /// The audit log.
    pub audit: AuditStatus,
    /// The counts of who still uses what; absent where nothing is counted.
    pub usage: Option<UsageStatus>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamStatus>,
    /// What ends of all that the gateway holds and its callers have shown, the soonest first.
    pub expiries: Vec<ExpiryStatus>,
    /// What of it cannot be brought up to date; what was good before serves on.
    pub keyring_troubles: Vec<TroubleStatus>,
    /// What the gateway shows to them.
    pub credentials: Vec<CredentialStatus>,
    /// Why no traffic should come here now; ready when empty.
    pub not_ready: Vec<String>,
}

/// What serves now.
#[derive(Debug, Clone, Serialize)]
pub struct SnapshotStatus {
    /// Its id, as in audit records.
    pub id: String,
    /// When it was loaded.
    pub loaded_at: Timestamp,
    /// For how many seconds it serves.
    pub age_s: u64,
}

/// A reload that was refused.
#[derive(Debug, Clone, Serialize)]
pub struct ReloadFault {
    /// When.
    pub time: Timestamp,
    /// All mistakes, each with its place.
    #[serde(serialize_with = "as_list")]
    pub diagnostics: Diagnostics,
}

/// One live contract.
#[derive(Debug, Clone, Serialize)]
pub struct ContractStatus {
    /// Its api.
    pub api: String,
    /// Its version.
    pub version: String,
    /// `live`, `announced`, `deprecated`, `sunset_soon`, `brownout` or `retired`.
    pub lifecycle: &'static str,
    /// When it is switched off, if it will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Timestamp>,
    /// Its next brown-out, or the one that takes place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brownout: Option<BrownoutStatus>,
    /// `published`, or, where insecure settings serve it all the same, `altered`, `unpublished` or `retired`.
    pub published: &'static str,
    /// SHA-256 of its files, in hexadecimal.
    pub digest: String,
    /// How many operations it has.
    pub operations: usize,
    /// How many of them are not in full use, by how far their life has come.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ending: BTreeMap<&'static str, usize>,
}

/// A window in which a deprecated version is switched off.
#[derive(Debug, Clone, Serialize)]
pub struct BrownoutStatus {
    /// Its name, for `policies/lifecycle.yaml`.
    pub name: String,
    /// When it begins.
    pub start: Timestamp,
    /// When it is over.
    pub end: Timestamp,
}

/// One token issuer.
#[derive(Debug, Clone, Serialize)]
pub struct IssuerStatus {
    /// Its name in gateway.yaml.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// How many of its keys are known; null where it has none here, because it is asked about its tokens.
    pub keys: Option<usize>,
    /// Seconds since they were fetched, if they ever were.
    pub age_s: Option<u64>,
    /// The code of the last failure to fetch them, since the last success.
    pub last_error: Option<&'static str>,
}

/// The session with Vault.
#[derive(Debug, Clone, Serialize)]
pub struct VaultStatus {
    /// The configured address.
    pub address: String,
    /// How the gateway logs in, as in gateway.yaml.
    pub method: &'static str,
    /// Whether it has a token that has not ended.
    pub logged_in: bool,
    /// When that token ends unless it is renewed.
    pub token_ends: Option<Timestamp>,
    /// Why Vault, or the login, failed when it was last asked.
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

/// How many entries of revocations there are.
#[derive(Debug, Clone, Serialize)]
pub struct RevocationStatus {
    /// In `policies/revocations.yaml`.
    pub written: usize,
    /// By order of the admin listener.
    pub ordered: usize,
}

/// The audit log.
#[derive(Debug, Clone, Serialize)]
pub struct AuditStatus {
    /// Records written by this process.
    pub records: u64,
    /// Records that could not be written.
    pub failures: u64,
    /// The size of the tree of the last signed checkpoint.
    pub checkpoint_size: Option<u64>,
    /// What waits for a signature of a key elsewhere; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<UnsignedStatus>,
}

/// Checkpoints that cannot be signed. Records are written all the same.
#[derive(Debug, Clone, Serialize)]
pub struct UnsignedStatus {
    /// How many.
    pub checkpoints: usize,
    /// Why, as a stable code.
    pub fault: &'static str,
    /// Since when.
    pub since: Timestamp,
}

/// The counts of who still uses what.
#[derive(Debug, Clone, Serialize)]
pub struct UsageStatus {
    /// Where they are kept.
    pub file: String,
    /// When they were last written.
    pub written_at: Option<Timestamp>,
    /// Why they cannot be written at the moment. Requests are served all the same.
    pub failing: Option<String>,
    /// Times that they could not be, since the start.
    pub failures: u64,
    /// Calls and uses that are missing in them, for lack of room.
    pub dropped: u64,
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpiryStatus {
    /// `certificate`, `roots`, `revocation-list`, `partner-certificate`, or another word for what it is.
    pub what: &'static str,
    /// Which one.
    pub name: String,
    /// When it ends.
    pub ends: Timestamp,
    /// Where it comes from.
    pub source: &'static str,
}

/// Something held that cannot be brought up to date.
#[derive(Debug, Clone, Serialize)]
pub struct TroubleStatus {
    /// As in [`ExpiryStatus::what`].
    pub what: &'static str,
    /// Which one.
    pub name: String,
    /// The code of the reason.
    pub reason: &'static str,
}

/// One upstream.
#[derive(Debug, Clone, Serialize)]
pub struct UpstreamStatus {
    /// Its name in gateway.yaml.
    pub name: String,
    /// Where it is reached.
    pub addresses: Vec<AddressStatus>,
}

/// One address of an upstream.
#[derive(Debug, Clone, Serialize)]
pub struct AddressStatus {
    /// `host:port`
    pub address: String,
    /// `up`, `down` or `probing`.
    pub state: &'static str,
}

/// A credential towards upstreams. Never its value.
#[derive(Debug, Clone, Serialize)]
pub struct CredentialStatus {
    /// Its name in gateway.yaml.
    pub name: String,
    /// Where it is kept.
    pub source: String,
    /// `empty` (nothing to show), `steady`, `trying` (a new version is tried), `aside` (a new version was
    /// refused and is tried again later) or `overlap` (the version before may still be shown).
    pub state: &'static str,
    /// The version that is shown.
    pub version: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When it ends, unless it is read anew before.
    pub ends: Option<Timestamp>,
    /// The version that is to be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retiring: Option<RetiringStatus>,
    /// Rotations since the start.
    pub rotations: u64,
    /// Why its source could not be read the last time.
    pub last_error: Option<&'static str>,
    /// How many operations need it.
    pub operations: usize,
}

/// A version of a credential that may still be shown where the new one is refused.
#[derive(Debug, Clone, Serialize)]
pub struct RetiringStatus {
    /// The version.
    pub version: String,
    /// Until when.
    pub until: Timestamp,
}

impl VaultStatus {
    /// The same as numbers.
    pub(super) fn reading(&self, now: Timestamp) -> VaultReading {
        let left = self.token_ends.map(|ends| ends.duration_since(now).as_secs());
        VaultReading {
            logged_in: self.logged_in,
            token_s: left.and_then(|left| u64::try_from(left).ok()).unwrap_or_default(),
            leases: self.leases,
            logins: self.logins,
            fault: self.fault,
        }
    }
}

fn as_list<S: serde::Serializer>(diagnostics: &Diagnostics, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(diagnostics.iter())
}
