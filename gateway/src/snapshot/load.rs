//! How is a snapshot built? From every file at once: all mistakes are told, and one is enough to build none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};

use super::metadata::Metadata;
use super::{Snapshot, facts, route};
use crate::config::{self, Outline, Settings};
use crate::contract::Catalogue;
use crate::contract::publish::{self, Shelf, Standings};
use crate::credential::{Credentials, Sources, VersionKey};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, token};
use crate::edge::ListenerTls;
use crate::identity::{Callers, Dpop, Identities, Issuers};
use crate::keyring::Keyring;
use crate::policy::{self, Policies};
use crate::quota::{Limits, Plan, Quotas};
use crate::retirement::Retirement;
use crate::revocation::{self, Revocations};
use crate::telemetry::Metrics;
use crate::upstream::Upstreams;
use crate::vault::Vault;

impl Snapshot {
    /// Builds a snapshot from the files that `path` (a `gateway.yaml`) names. What lives longer than a
    /// snapshot is taken over from `previous`.
    ///
    /// # Errors
    /// Every mistake in every file, and every policy test that fails.
    pub fn load(
        path: &Path,
        previous: Option<&Self>,
        metrics: &Metrics,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let serving = previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.serving));
        let (settings, mut found) =
            config::load(path, &serving).map_err(|broken| and_beside(path, broken))?;
        let settings = Arc::new(settings);
        if let Some(previous) = previous {
            found.extend(fixed_at_start(path, &previous.settings, &settings));
        }
        let contracts = keep(&mut found, load_contracts(&settings, previous));
        let standings =
            contracts.as_ref().and_then(|live| keep(&mut found, compare_published(&settings, live)));
        let callers_file = found.keep(read(&settings.policies, "callers.yaml"));
        let issuer_names: Vec<&str> = settings.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        let callers =
            callers_file.as_ref().and_then(|file| keep(&mut found, load_callers(&issuer_names, file)));
        let limits = keep(&mut found, load_limits(&settings.policies));
        let issuers = found.keep(load_issuers(&settings, previous));
        let dpop = found.keep(load_dpop(&settings, previous));
        let keyring = previous.map_or_else(Keyring::new, |previous| Arc::clone(&previous.keyring));
        let upstreams = found.keep(load_upstreams(path, &settings, &keyring, previous));
        let secrets = load_secrets(path, &settings, previous, &mut found);
        let tls = load_tls(&settings, &keyring, previous, &mut found);

        let retirement = callers.as_ref().zip(contracts.as_ref()).and_then(|(callers, contracts)| {
            let was_written = previous.is_some_and(|previous| previous.retirement.is_written());
            keep(&mut found, load_retirement(&settings, was_written, callers, contracts))
        });
        let written = callers.as_ref().zip(callers_file.as_ref());
        let plans = written.zip(limits.as_ref()).map(|(written, limits)| plans(written, limits, &mut found));
        let ruled = contracts.as_ref().zip(written);
        let policies =
            ruled.and_then(|(live, written)| keep(&mut found, load_policies(&settings, live, written)));
        if contracts.is_none() || callers.is_none() {
            found.extend(policy::read_alone(&settings.policies));
        }
        let policy_tests =
            policies.as_ref().map(|policies| run_policy_tests(&settings, policies, &mut found));
        let routes = contracts.as_ref().zip(upstreams.as_ref()).zip(secrets.as_ref()).map(
            |((contracts, upstreams), Secrets { credentials, .. })| {
                route::all(contracts, upstreams, credentials, metrics, &mut found)
            },
        );

        let revocations = found.keep(load_revocations(&settings, &issuer_names, previous));
        let built = (|| {
            let Secrets { vault, version_key, credentials } = secrets?;
            Some(Self {
                id: previous.map_or(1, |previous| previous.id.saturating_add(1)),
                loaded_at: Timestamp::now(),
                sources: sources(&settings),
                metadata: Metadata::new(&settings, contracts.as_ref()?),
                contracts: contracts?,
                standings: standings?,
                routes: routes?,
                identities: Identities::new(callers?, Arc::new(issuers?), dpop?, revocations?),
                retirement: retirement?,
                policies: policies?,
                limits: limits?,
                plans: plans?,
                quotas: quotas(previous),
                upstreams: Arc::new(upstreams?),
                vault,
                credentials: Arc::new(credentials),
                serving,
                tls: tls?,
                keyring,
                version_key,
                policy_tests: policy_tests?,
                settings,
            })
        })();
        found.into_result(built)
    }
}

/// The files and folders whose change means another snapshot.
fn sources(settings: &Settings) -> Vec<PathBuf> {
    let folders = [settings.policies.clone(), settings.contracts.clone()];
    settings.sources.iter().cloned().chain(folders).collect()
}

/// Sockets are bound once, and requests find their listener by its place: what is fixed when the process
/// starts does not change under it, and does not look as if it had.
fn fixed_at_start(path: &Path, before: &Settings, now: &Settings) -> Diagnostics {
    let same_listeners = before.listeners.len() == now.listeners.len()
        && before.listeners.iter().zip(&now.listeners).all(|(before, now)| before.is_bound_like(now));
    let rows = [
        ("listeners", same_listeners),
        ("admin", before.admin == now.admin),
        ("limits", before.limits == now.limits),
        ("audit.directory", before.audit.directory == now.audit.directory),
        ("audit.signing", before.audit_transit == now.audit_transit),
        ("usage", before.usage == now.usage),
    ];
    let mut mistakes = Diagnostics::new();
    for (key, _) in rows.into_iter().filter(|(_, same)| !same) {
        let message = format!("`{key}` cannot change while the gateway runs");
        let mistake = Diagnostic::error(Place::file(&path.display().to_string()), message);
        mistakes.push(mistake.help("restart the gateway, or take the change back"));
    }
    mistakes
}

/// Keeps a value and its warnings, or the mistakes.
fn keep<T>(found: &mut Diagnostics, result: Result<(T, Diagnostics), Diagnostics>) -> Option<T> {
    let (value, warnings) = found.keep(result)?;
    found.extend(warnings);
    Some(value)
}

/// Asked for and there, not asked for, or asked for and broken.
#[expect(
    clippy::option_option,
    reason = "the three cases of a listener's TLS at load, told apart here and nowhere else"
)]
fn transpose<T>(tls: Option<Option<T>>) -> Option<Option<T>> {
    match tls {
        None => Some(None),
        Some(None) => None,
        Some(loaded) => Some(loaded),
    }
}

/// The mistakes of a broken `gateway.yaml`, and those of the files beside it: who mends one thing wants
/// to know of the others.
fn and_beside(path: &Path, mut broken: Diagnostics) -> Diagnostics {
    let Outline { policies, contracts, issuers, .. } = Outline::read(path);
    let found = &mut broken;
    // Whether the contracts load is told by `found`; of policies only what needs no contract is looked at.
    keep(found, Catalogue::load(&contracts, None));
    let limits = keep(found, load_limits(&policies));
    if let (Some(issuers), Some(file)) = (issuers, found.keep(read(&policies, "callers.yaml"))) {
        let names: Vec<&str> = issuers.iter().map(String::as_str).collect();
        let callers = keep(found, load_callers(&names, &file));
        if let Some((callers, limits)) = callers.as_ref().zip(limits.as_ref()) {
            plans((callers, &file), limits, found);
        }
    }
    found.extend(policy::read_alone(&policies));
    broken
}

fn load_contracts(
    settings: &Settings,
    previous: Option<&Snapshot>,
) -> Result<(Catalogue, Diagnostics), Diagnostics> {
    // Contracts are named by their folders, so those of another root are others.
    let previous = previous.filter(|previous| previous.settings.contracts == settings.contracts);
    Catalogue::load(&settings.contracts, previous.map(|previous| &previous.contracts))
}

/// The TLS side of each listener, of those that have one.
fn load_tls(
    settings: &Settings,
    keyring: &Keyring,
    previous: Option<&Snapshot>,
    found: &mut Diagnostics,
) -> Option<Vec<Option<Arc<ListenerTls>>>> {
    let listeners = settings.listeners.iter().enumerate();
    let loaded: Vec<_> = listeners
        .map(|(index, listener)| {
            let before = previous.and_then(|previous| previous.listener_tls(index));
            let tls = listener.tls.as_ref()?;
            Some(found.keep(ListenerTls::load(tls, listener.http2, keyring, before)))
        })
        .collect();
    // A listener whose certificates do not load must not become one without TLS.
    loaded.into_iter().map(transpose).collect()
}

/// How the contracts stand to what was published of them.
fn compare_published(
    settings: &Settings,
    contracts: &Catalogue,
) -> Result<(Standings, Diagnostics), Diagnostics> {
    publish::enforce(&Shelf::new(&settings.contracts), contracts.contracts(), settings.unpublished)
}

/// What the gateway shows to others, and where it is kept.
struct Secrets {
    vault: Option<Arc<Vault>>,
    version_key: Arc<VersionKey>,
    credentials: Credentials,
}

fn load_secrets(
    path: &Path,
    settings: &Settings,
    previous: Option<&Snapshot>,
    found: &mut Diagnostics,
) -> Option<Secrets> {
    let vault = found.keep(load_vault(path, settings, previous));
    let version_key = found.keep(version_key(previous));
    let (vault, version_key) = vault.zip(version_key)?;
    let base_dir = path.parent().unwrap_or_else(|| Path::new(""));
    let sources = Sources { base_dir, variable: &|name| std::env::var_os(name), vault: vault.as_ref() };
    let previous = previous.map(|previous| previous.credentials.as_ref());
    let credentials =
        keep(found, Credentials::load(&settings.credentials, &sources, &version_key, previous))?;
    Some(Secrets { vault, version_key, credentials })
}

fn load_callers(issuers: &[&str], document: &Document) -> Result<(Callers, Diagnostics), Diagnostics> {
    Callers::load(document, issuers, day(Timestamp::now()))
}

fn day(time: Timestamp) -> Date {
    time.to_zoned_datetime(TimeZone::UTC).date()
}

/// `policies/lifecycle.yaml` need not be there; but where it was, its absence is a mistake: it would take
/// every waiver away.
fn load_retirement(
    settings: &Settings,
    was_written: bool,
    callers: &Callers,
    contracts: &Catalogue,
) -> Result<(Retirement, Diagnostics), Diagnostics> {
    let expected = was_written || settings.policies.join(LIFECYCLE).exists();
    let document = expected.then(|| read(&settings.policies, LIFECYCLE)).transpose()?;
    let now = settings.lifecycle_clock.unwrap_or_else(Timestamp::now);
    Retirement::load(document.as_ref(), callers, contracts, day(now))
}

/// The revocations, which outlive snapshots. Later ones only look whether the file is right: who follows
/// it takes it, so that no reload that began before a change takes that back.
fn load_revocations(
    settings: &Settings,
    issuers: &[&str],
    previous: Option<&Snapshot>,
) -> Result<Arc<Revocations>, Diagnostics> {
    let before = previous.map(|previous| previous.identities.revocations());
    let written = read_revocations(settings, issuers, before.is_some_and(|before| before.is_written()))?;
    match before {
        Some(before) => Ok(Arc::clone(before)),
        None => Revocations::open(written, settings.revocations.clone()).map(Arc::new).map_err(|fault| {
            let place = Place::file(&settings.revocations.display().to_string());
            let mistake = Diagnostic::error(place, fault.to_string());
            mistake.help("without it, what was revoked would be good again").into()
        }),
    }
}

/// What `policies/revocations.yaml` says. It need not be there; but where it was, its absence is a mistake:
/// it would make good again what was revoked.
pub(super) fn read_revocations(
    settings: &Settings,
    issuers: &[&str],
    was_written: bool,
) -> Result<Option<Vec<revocation::Entry>>, Diagnostics> {
    if !was_written && !settings.policies.join(revocation::FILE).exists() {
        return Ok(None);
    }
    Revocations::read(&read(&settings.policies, revocation::FILE)?, issuers).map(Some)
}

fn load_limits(policies: &Path) -> Result<(Limits, Diagnostics), Diagnostics> {
    Limits::load(&read(policies, "limits.yaml")?)
}

fn read(folder: &Path, name: &str) -> Result<Document, Diagnostics> {
    let path = folder.join(name);
    Document::read(&path, &path.display().to_string())
}

fn load_issuers(settings: &Settings, previous: Option<&Snapshot>) -> Result<Issuers, Diagnostics> {
    let before = previous.map(|previous| previous.identities.issuers());
    Issuers::new(settings.issuers.clone(), before.map(Arc::as_ref)).map_err(|found| {
        let mut mistakes = Diagnostics::new();
        for mistake in found {
            mistakes.push(Diagnostic::error(Place::file("gateway.yaml"), mistake.to_string()));
        }
        mistakes
    })
}

fn load_dpop(settings: &Settings, previous: Option<&Snapshot>) -> Result<Dpop, Diagnostics> {
    let before = previous.map(|previous| previous.identities.dpop());
    Dpop::new(settings.dpop.clone(), before, Timestamp::now())
        .map_err(|fault| Diagnostic::error(Place::file("gateway.yaml"), fault.to_string()).into())
}

fn load_upstreams(
    path: &Path,
    settings: &Settings,
    keyring: &Keyring,
    previous: Option<&Snapshot>,
) -> Result<Upstreams, Diagnostics> {
    let before = previous.map(|previous| previous.upstreams.as_ref());
    Upstreams::new(settings.upstreams.clone(), keyring, before).map_err(|unusable| {
        let mut mistakes = Diagnostics::new();
        for one in unusable {
            let place = Place::file(one.error.file().unwrap_or(&path.display().to_string()));
            mistakes.push(Diagnostic::error(place, format!("upstream `{}`: {}", one.name, one.error)));
        }
        mistakes
    })
}

/// Only its settings are looked at: a Vault that is down keeps no file from being served.
fn load_vault(
    path: &Path,
    settings: &Settings,
    previous: Option<&Snapshot>,
) -> Result<Option<Arc<Vault>>, Diagnostics> {
    let Some(written) = settings.vault.clone() else { return Ok(None) };
    let before = previous.and_then(Snapshot::vault);
    Vault::new(written, before).map(Some).map_err(|mistake| {
        let place = Place::file(&path.display().to_string());
        Diagnostic::error(place, format!("vault: {mistake}")).into()
    })
}

fn load_policies(
    settings: &Settings,
    contracts: &Catalogue,
    (callers, file): (&Callers, &Document),
) -> Result<(Policies, Diagnostics), Diagnostics> {
    let place = |id: &str| file.key_place(&format!("/callers/{}", token(id)));
    let callers: Vec<_> = callers.iter().map(|profile| facts::caller(profile, place(&profile.id))).collect();
    let operations: Vec<_> = contracts
        .operations()
        .iter()
        .map(|operation| facts::operation(operation, route::place(operation)))
        .collect();
    Policies::load(&settings.policies, &callers, &operations, &settings.claims)
}

/// What was used of limits stays used, whatever changes.
fn quotas(previous: Option<&Snapshot>) -> Arc<Quotas> {
    match previous {
        Some(previous) => Arc::clone(&previous.quotas),
        None => Arc::new(Quotas::new(Instant::now())),
    }
}

fn version_key(previous: Option<&Snapshot>) -> Result<Arc<VersionKey>, Diagnostics> {
    match previous {
        Some(previous) => Ok(Arc::clone(&previous.version_key)),
        None => VersionKey::random()
            .map(Arc::new)
            .map_err(|fault| Diagnostic::error(Place::file("gateway.yaml"), fault.to_string()).into()),
    }
}

/// Runs the policy tests; one that fails keeps the files from being served.
fn run_policy_tests(settings: &Settings, policies: &Policies, found: &mut Diagnostics) -> usize {
    let (outcomes, mistakes) = policy::run_tests(&settings.policies.join("tests"), policies);
    found.extend(mistakes);
    let mut passed = 0_usize;
    for outcome in outcomes {
        match outcome.failure {
            None => passed = passed.saturating_add(1),
            Some(why) => {
                let message = format!("policy test `{}` fails: {why}", outcome.name);
                found.push(
                    Diagnostic::error(outcome.place, message).help(format!("decided: {}", outcome.got)),
                );
            }
        }
    }
    passed
}

/// The plan of every caller; one that does not exist is a mistake.
fn plans((callers, file): (&Callers, &Document), limits: &Limits, found: &mut Diagnostics) -> Vec<Arc<Plan>> {
    let known: BTreeSet<&str> = limits.plan_names().collect();
    let mut plans = Vec::new();
    for profile in callers.iter() {
        match limits.plan(&profile.plan) {
            Some(plan) => plans.push(Arc::clone(plan)),
            None => {
                let message =
                    format!("plan `{}` of caller `{}` is not in limits.yaml", profile.plan, profile.id);
                let place = file.place(&format!("/callers/{}/plan", token(&profile.id)));
                let mistake = Diagnostic::error(place, message);
                found.push(mistake.did_you_mean(&profile.plan, known.iter().copied()));
            }
        }
    }
    plans
}

/// Waivers, and brown-outs that are called off.
const LIFECYCLE: &str = "lifecycle.yaml";
