//! What may a request read? Everything, in one immutable value that is built whole or not at all.
//!
//! A request takes one snapshot and keeps it to its end, so that it never sees half of a change. What
//! lives longer than a snapshot (keys of issuers, counts of quotas, connections to upstreams) is handed
//! from one to the next.

mod facts;
mod route;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

pub use route::Route;

use crate::config::{self, Settings};
use crate::contract::{Catalogue, Matched, NoMatch, Target};
use crate::credential::{Credentials, Sources, VersionKey};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, token};
use crate::edge::{ClientTrust, ListenerTls};
use crate::identity::{Caller, Callers, Identities, Issuers};
use crate::policy::{self, Permit, Policies, Principal};
use crate::quota::{Admission, Limits, Plan, Quotas};
use crate::rejection::Rejection;
use crate::telemetry::Metrics;
use crate::trail::Trail;
use crate::upstream::Upstreams;

/// Everything a request may read.
#[derive(Debug)]
pub struct Snapshot {
    id: u64,
    loaded_at: Timestamp,
    settings: Arc<Settings>,
    sources: Vec<PathBuf>,
    contracts: Catalogue,
    routes: Vec<Arc<Route>>,
    identities: Identities,
    policies: Policies,
    limits: Limits,
    /// The plan of each caller, by its index.
    plans: Vec<Arc<Plan>>,
    quotas: Arc<Quotas>,
    upstreams: Arc<Upstreams>,
    tls: Vec<Option<ListenerTls>>,
    /// By which versions of credentials are named, the same in every snapshot of a process.
    version_key: Arc<VersionKey>,
    policy_tests: usize,
}

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
        let (settings, mut found) = config::load(path)?;
        let settings = Arc::new(settings);
        if let Some(previous) = previous {
            found.extend(fixed_at_start(path, &previous.settings, &settings));
        }
        let contracts = keep(&mut found, Catalogue::load(&settings.contracts));
        let callers_file = found.keep(read(&settings.policies, "callers.yaml"));
        let callers = callers_file.as_ref().and_then(|file| keep(&mut found, load_callers(&settings, file)));
        let limits = keep(&mut found, load_limits(&settings));
        let issuers = found.keep(load_issuers(&settings, previous));
        let upstreams = found.keep(load_upstreams(path, &settings, previous));
        let version_key = found.keep(version_key(previous));
        let credentials = version_key.as_ref().and_then(|key| {
            let base_dir = path.parent().unwrap_or_else(|| Path::new(""));
            let sources = Sources { base_dir, variable: &|name| std::env::var_os(name) };
            keep(&mut found, Credentials::load(&settings.credentials, &sources, key))
        });
        let tls: Vec<_> = settings
            .listeners
            .iter()
            .map(|listener| {
                listener.tls.as_ref().map(|files| found.keep(ListenerTls::load(files, listener.http2)))
            })
            .collect();

        let written = callers.as_ref().zip(callers_file.as_ref());
        let plans = written.zip(limits.as_ref()).map(|(written, limits)| plans(written, limits, &mut found));
        let policies = contracts
            .as_ref()
            .zip(written)
            .and_then(|(contracts, written)| keep(&mut found, load_policies(&settings, contracts, written)));
        let policy_tests =
            policies.as_ref().map(|policies| run_policy_tests(&settings, policies, &mut found));
        let routes = contracts.as_ref().zip(upstreams.as_ref()).zip(credentials.as_ref()).map(
            |((contracts, upstreams), credentials)| {
                route::all(contracts, upstreams, credentials, metrics, &mut found)
            },
        );

        let built = (|| {
            let (callers, issuers) = (callers?, issuers?);
            let quotas = previous.map_or_else(
                || Arc::new(Quotas::new(Instant::now())),
                |previous| Arc::clone(&previous.quotas),
            );
            let mut sources = settings.sources.clone();
            sources.extend([settings.policies.clone(), settings.contracts.clone()]);
            Some(Self {
                id: previous.map_or(1, |previous| previous.id.saturating_add(1)),
                loaded_at: Timestamp::now(),
                sources,
                contracts: contracts?,
                routes: routes?,
                identities: Identities::new(callers, Arc::new(issuers)),
                policies: policies?,
                limits: limits?,
                plans: plans?,
                quotas,
                upstreams: Arc::new(upstreams?),
                // A listener whose certificates do not load must not become one without TLS.
                tls: tls.into_iter().map(transpose).collect::<Option<_>>()?,
                version_key: version_key?,
                policy_tests: policy_tests?,
                settings,
            })
        })();
        found.into_result(built)
    }

    /// Its number; the first one of a process is 1.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// When it was built.
    #[must_use]
    pub const fn loaded_at(&self) -> Timestamp {
        self.loaded_at
    }

    /// What `gateway.yaml` means.
    #[must_use]
    pub const fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The files and folders it was built from.
    #[must_use]
    pub fn sources(&self) -> &[PathBuf] {
        &self.sources
    }

    /// The contracts that are live.
    #[must_use]
    pub const fn contracts(&self) -> &Catalogue {
        &self.contracts
    }

    /// Who may be a caller, and how they prove it.
    #[must_use]
    pub const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Who may do what.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// What plans and addresses are held to.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What has been used of them.
    #[must_use]
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// The services behind the gateway.
    #[must_use]
    pub fn upstreams(&self) -> &Upstreams {
        &self.upstreams
    }

    /// The TLS side of a listener.
    #[must_use]
    pub fn listener_tls(&self, listener: usize) -> Option<&ListenerTls> {
        self.tls.get(listener)?.as_ref()
    }

    /// What decides whether a listener's client certificates are trusted.
    #[must_use]
    pub fn client_trust(&self, listener: usize) -> Option<&ClientTrust> {
        self.listener_tls(listener)?.trust()
    }

    /// The plan of a caller, by its index.
    #[must_use]
    pub fn plan(&self, caller: usize) -> Option<&Arc<Plan>> {
        self.plans.get(caller)
    }

    /// The route of an operation, by its index.
    #[must_use]
    pub fn route(&self, operation: usize) -> Option<&Arc<Route>> {
        self.routes.get(operation)
    }

    /// The operation that a request asks for, with everything that was resolved for it at load.
    ///
    /// # Errors
    /// No contract has it.
    pub(crate) fn find(
        &self,
        method: &http::Method,
        target: &Target,
    ) -> Result<(Matched, Arc<Route>), Rejection> {
        let matched = self.contracts.find(method, target).map_err(Rejection::NoMatch)?;
        let route = self.routes.get(matched.operation().index());
        let route = route.ok_or(Rejection::NoMatch(NoMatch::Path))?;
        Ok((matched, Arc::clone(route)))
    }

    /// Whether the client's address has guesses left.
    ///
    /// # Errors
    /// It has not: refused, whoever calls.
    pub(crate) fn address_allows(&self, trail: &Trail) -> Result<(), Rejection> {
        self.quotas.address_allows(&self.limits, trail.address(), trail.began()).map_err(Rejection::Address)
    }

    /// Asks the policies.
    ///
    /// # Errors
    /// Everything that is not plainly permitted.
    pub(crate) fn authorise(
        &self,
        caller: &Caller,
        matched: &Matched,
        target: &Target,
        trail: &Trail,
    ) -> Result<Permit, Rejection> {
        let principal =
            caller.profile().map_or(Principal::Anonymous, |profile| Principal::Caller(profile.index));
        let circumstances = facts::circumstances(caller, matched, target, trail);
        self.policies
            .authorise(principal, matched.operation().index(), &circumstances)
            .map_err(Rejection::Policy)
    }

    /// Tells a known caller what is left of its plan, without counting anything.
    pub(crate) fn tell_limits(&self, caller: &Caller, route: &Route, trail: &mut Trail) {
        let Some(profile) = caller.profile() else { return };
        let Some(plan) = self.plans.get(profile.index) else { return };
        trail.counted(&self.quotas.standing(&profile.id, plan, route.limits(), trail.began()));
    }

    /// Counts the call: against the caller's plan, or, where there is none, against the address.
    ///
    /// # Errors
    /// A limit is used up.
    pub(crate) fn admit(
        &self,
        caller: &Caller,
        route: &Route,
        trail: &mut Trail,
    ) -> Result<Option<Admission>, Rejection> {
        let Some(profile) = caller.profile() else {
            self.quotas.address_refused(&self.limits, trail.address(), trail.began());
            return Ok(None);
        };
        // Every caller's plan was found at load.
        let plan = self.plans.get(profile.index).ok_or(Rejection::Internal("plan-missing"))?;
        let cost = route.operation().settings().cost;
        let admission = self
            .quotas
            .admit(&profile.id, plan, route.limits(), cost, trail.began())
            .map_err(Rejection::Quota)?;
        trail.counted(admission.standing());
        Ok(Some(admission))
    }

    /// Fetches what the files only name: keys of issuers and addresses of upstreams.
    pub(crate) async fn warm(&self) {
        tokio::join!(self.fetch_keys(), self.look_up());
    }

    /// Fetches the keys of issuers that are due.
    pub(crate) async fn fetch_keys(&self) {
        self.identities.issuers().refresh(Timestamp::now()).await;
    }

    /// Looks up the names of upstreams.
    pub(crate) async fn look_up(&self) {
        for unresolved in self.upstreams.resolve().await {
            tracing::warn!(%unresolved, "the addresses known before stay in use");
        }
    }

    /// One line that says what was loaded.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} contracts with {} operations, {} callers, {} policy tests passed",
            self.contracts.contracts().len(),
            self.contracts.operations().len(),
            self.identities.callers().iter().count(),
            self.policy_tests,
        )
    }
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
fn transpose(tls: Option<Option<ListenerTls>>) -> Option<Option<ListenerTls>> {
    match tls {
        None => Some(None),
        Some(None) => None,
        Some(loaded) => Some(loaded),
    }
}

fn load_callers(settings: &Settings, document: &Document) -> Result<(Callers, Diagnostics), Diagnostics> {
    let issuers: Vec<&str> = settings.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
    let today = Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    Callers::load(document, &issuers, today)
}

fn load_limits(settings: &Settings) -> Result<(Limits, Diagnostics), Diagnostics> {
    Limits::load(&read(&settings.policies, "limits.yaml")?)
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

fn load_upstreams(
    path: &Path,
    settings: &Settings,
    previous: Option<&Snapshot>,
) -> Result<Upstreams, Diagnostics> {
    let before = previous.map(|previous| previous.upstreams.as_ref());
    Upstreams::new(settings.upstreams.clone(), before).map_err(|unusable| {
        let mut mistakes = Diagnostics::new();
        for one in unusable {
            let place = Place::file(&path.display().to_string());
            mistakes.push(Diagnostic::error(place, format!("upstream `{}`: {}", one.name, one.error)));
        }
        mistakes
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
