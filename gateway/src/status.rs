//! How is the gateway doing? What `/status` and `/health/ready` say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use crate::admin::{
    AddressStatus, AuditStatus, BrownoutStatus, ContractStatus, ExpiryStatus, IssuerStatus, ReloadFault,
    SnapshotStatus, StatusReport, TroubleStatus, UpstreamStatus, UsageStatus,
};
use crate::audit::Health;
use crate::contract::Contract;
use crate::gateway::Gateway;
use crate::keyring::{Expiry, Trouble};
use crate::retirement::{Standing, Window};
use crate::snapshot::Snapshot;
use crate::upstream::{self, Upstream};

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
            .filter(|issuer| issuer.keys == 0)
            .map(|issuer| format!("no keys of issuer {}", issuer.name)),
    );
    let troubles = gateway.keyring().troubles();
    not_ready.extend(
        troubles
            .iter()
            .filter(|trouble| trouble.empty)
            .map(|trouble| format!("no {} of {} is held: {}", trouble.what, trouble.name, trouble.reason)),
    );
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
        audit: AuditStatus {
            records: log.size,
            failures: gateway.metrics().audit_failures(),
            checkpoint_size: log.checkpoint.map(|checkpoint| checkpoint.size()),
        },
        usage: usage(gateway),
        upstreams: snapshot.upstreams().iter().map(upstream).collect(),
        expiries: expiries(gateway),
        keyring_troubles: troubles
            .into_iter()
            .map(|Trouble { what, name, reason, empty: _ }| TroubleStatus { what, name, reason })
            .collect(),
        not_ready,
    }
}

/// What ends, the soonest first. Other rooms' rows are added here.
fn expiries(gateway: &Gateway) -> Vec<ExpiryStatus> {
    let rows = gateway.keyring().expiries().into_iter();
    let mut rows: Vec<_> =
        rows.map(|Expiry { what, name, ends, source }| ExpiryStatus { what, name, ends, source }).collect();
    rows.sort_by_key(|row| row.ends);
    rows
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
