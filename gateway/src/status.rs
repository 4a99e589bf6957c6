//! How is the gateway doing? What `/status` and `/health/ready` say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::admin::{
    AddressStatus, AuditStatus, BrownoutStatus, ContractStatus, CredentialStatus, ExpiryStatus, IssuerStatus,
    ReloadFault, RetiringStatus, RevocationStatus, SnapshotStatus, StatusReport, TroubleStatus,
    UnsignedStatus, UpstreamStatus, UsageStatus, VaultStatus,
};
use crate::audit::Health;
use crate::contract::Contract;
use crate::credential::{CredentialState, SourceFault};
use crate::gateway::Gateway;
use crate::keyring::{Expiry, Trouble};
use crate::retirement::{Standing, Window};
use crate::snapshot::Snapshot;
use crate::upstream::{self, Upstream};
use crate::vault::Vault;

/// How the gateway is doing at this moment.
#[must_use]
pub fn report(gateway: &Gateway) -> StatusReport {
    let (snapshot, now) = (gateway.current(), Timestamp::now());
    let issuers = issuers(&snapshot, now);
    let log = gateway.audit().state();
    let mut not_ready = Vec::new();
    if *gateway.stopping().borrow() {
        not_ready.push("stopping".to_owned());
    }
    if let Health::Failing(failure) = log.health {
        not_ready.push(format!("the audit log cannot be written: {failure}"));
    }
    not_ready.extend(
        issuers
            .iter()
            .filter(|issuer| issuer.keys == Some(0))
            .map(|issuer| format!("no keys of issuer {}", issuer.name)),
    );
    let troubles = gateway.keyring().troubles();
    not_ready.extend(
        troubles
            .iter()
            .filter(|trouble| trouble.empty)
            .map(|trouble| format!("no {} of {} is held: {}", trouble.what, trouble.name, trouble.reason)),
    );
    let credentials = credentials(&snapshot, now);
    not_ready.extend(credentials.iter().filter_map(missing));
    StatusReport {
        version: env!("CARGO_PKG_VERSION"),
        snapshot: SnapshotStatus {
            id: snapshot.id().to_string(),
            loaded_at: snapshot.loaded_at(),
            age_s: now.duration_since(snapshot.loaded_at()).unsigned_abs().as_secs(),
        },
        last_reload_fault: gateway
            .reload_fault()
            .map(|fault| ReloadFault { time: fault.at, diagnostics: fault.mistakes.clone() }),
        contracts: contracts(&snapshot, now),
        waivers: snapshot.retirement().waivers(),
        insecure: snapshot.settings().insecure.clone(),
        issuers,
        vault: snapshot.vault().map(|vault| self::vault(vault, now)),
        revocations: revocations(&snapshot),
        audit: AuditStatus {
            records: log.size,
            failures: gateway.metrics().audit_failures(),
            checkpoint_size: log.checkpoint.map(|checkpoint| checkpoint.size()),
            unsigned: log.signing.fault.map(|(fault, since)| UnsignedStatus {
                checkpoints: log.signing.waiting,
                fault,
                since,
            }),
        },
        usage: usage(gateway),
        upstreams: snapshot.upstreams().iter().map(upstream).collect(),
        expiries: expiries(gateway, &credentials),
        keyring_troubles: troubles
            .into_iter()
            .map(|Trouble { what, name, reason, empty: _ }| TroubleStatus { what, name, reason })
            .collect(),
        credentials,
        not_ready,
    }
}

/// What ends, the soonest first. Other rooms' rows are added here.
fn expiries(gateway: &Gateway, credentials: &[CredentialStatus]) -> Vec<ExpiryStatus> {
    let rows = gateway.keyring().expiries().into_iter();
    let mut rows: Vec<_> =
        rows.map(|Expiry { what, name, ends, source }| ExpiryStatus { what, name, ends, source }).collect();
    // A secret that can be read anew has no end that anybody must foresee.
    let failing = credentials.iter().filter(|one| one.last_error.is_some());
    rows.extend(failing.filter_map(|one| {
        let (name, ends) = (one.name.clone(), one.ends?);
        Some(ExpiryStatus { what: "credential", name, ends, source: "secret" })
    }));
    rows.sort_by_key(|row| row.ends);
    rows
}

fn vault(vault: &Vault, now: Timestamp) -> VaultStatus {
    let state = vault.state(now);
    VaultStatus {
        address: state.address,
        method: state.method,
        logged_in: state.logged_in,
        token_ends: state.ends,
        fault: state.fault,
        fault_since: state.fault_since,
        leases: state.leases,
        logins: state.logins,
        renewals: state.renewals,
    }
}

fn revocations(snapshot: &Snapshot) -> RevocationStatus {
    let count = snapshot.revocations().count();
    RevocationStatus { written: count.written, ordered: count.ordered }
}

fn usage(gateway: &Gateway) -> Option<UsageStatus> {
    let settings = gateway.usage().settings()?;
    let state = gateway.usage().state();
    Some(UsageStatus {
        file: settings.file.display().to_string(),
        written_at: state.written_at,
        failing: state.failing,
        failures: state.failures,
        dropped: state.dropped,
    })
}

fn contracts(snapshot: &Snapshot, now: Timestamp) -> Vec<ContractStatus> {
    let now = snapshot.lifecycle_time(now);
    let census = snapshot.retirement().census(now);
    let all = snapshot.contracts().contracts().iter();
    all.map(|one| {
        let own =
            census.iter().filter(|((api, version, _), _)| (*api, *version) == (one.api(), one.version()));
        let ending = own.map(|((.., standing), count)| (standing.as_str(), *count)).collect();
        contract(snapshot, one, ending, now)
    })
    .collect()
}

fn contract(
    snapshot: &Snapshot,
    contract: &Arc<Contract>,
    ending: BTreeMap<&'static str, usize>,
    now: Timestamp,
) -> ContractStatus {
    let (standing, window) = snapshot.retirement().version(contract, now);
    let brownout = window.map(|Window { name, start, end }| BrownoutStatus { name, start, end });
    ContractStatus {
        api: contract.api().to_owned(),
        version: contract.version().to_owned(),
        lifecycle: standing.map_or("live", Standing::as_str),
        sunset: contract.lifecycle().sunset(),
        brownout,
        published: snapshot.standing(contract).as_str(),
        digest: contract.digest().to_owned(),
        operations: snapshot.contracts().operations_of(contract).count(),
        ending,
    }
}

fn issuers(snapshot: &Snapshot, now: Timestamp) -> Vec<IssuerStatus> {
    let ages = snapshot.identities().issuers().ages(now);
    ages.into_iter()
        .map(|issuer| IssuerStatus {
            name: issuer.issuer,
            issuer: issuer.iss,
            keys: issuer.keys,
            age_s: issuer.age.map(|age| age.as_secs()),
            last_error: issuer.last_fault,
        })
        .collect()
}

fn upstream(upstream: &Upstream) -> UpstreamStatus {
    let addresses = upstream.health(Instant::now()).into_iter().map(|address| AddressStatus {
        address: address.address.to_string(),
        state: match address.standing {
            upstream::Standing::Up => "up",
            upstream::Standing::Due => "due",
            upstream::Standing::Out { .. } => "out",
        },
    });
    UpstreamStatus { name: upstream.name().to_owned(), addresses: addresses.collect() }
}

fn credentials(snapshot: &Snapshot, now: Timestamp) -> Vec<CredentialStatus> {
    let at = Instant::now();
    let time = |instant: Instant| at_time(instant, at, now);
    let all = snapshot.credentials().states().into_iter();
    all.map(|CredentialState { name, source, standing, fault }| CredentialStatus {
        operations: snapshot.operations_with(&name),
        name: name.to_string(),
        source,
        state: standing.state,
        version: standing.current.map(|(version, _)| version.to_string()),
        since: standing.current.map(|(_, since)| time(since)),
        ends: standing.ends.map(time),
        next: standing.next.map(|version| version.to_string()),
        retiring: standing
            .retiring
            .map(|(version, until)| RetiringStatus { version: version.to_string(), until: time(until) }),
        rotations: standing.completed,
        last_error: fault.as_ref().map(SourceFault::reason),
    })
    .collect()
}

/// What is told of a credential that operations need and that is not there.
fn missing(credential: &CredentialStatus) -> Option<String> {
    let CredentialStatus { name, operations, last_error, .. } = credential;
    let why = last_error.map(|why| format!(" ({why})")).unwrap_or_default();
    (credential.state == "empty" && *operations > 0)
        .then(|| format!("no value of the credential {name}{why}, which {operations} operations need"))
}

/// An instant as a time of day, to the second or so: the two clocks are read one after the other.
fn at_time(instant: Instant, at: Instant, now: Timestamp) -> Timestamp {
    let (ahead, behind) = (instant.saturating_duration_since(at), at.saturating_duration_since(instant));
    let moved = if behind.is_zero() { now.checked_add(ahead) } else { now.checked_sub(behind) };
    moved.unwrap_or(Timestamp::MAX)
}
