//! What may a request read? Everything, in one immutable value that is built whole or not at all.
//!
//! A request takes one snapshot and keeps it to its end, so that it never sees half of a change. What
//! lives longer than a snapshot (keys of issuers, counts of quotas, connections to upstreams) is handed
//! from one to the next.

mod facts;
mod load;
mod metadata;
mod route;

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;

pub use route::Route;

use crate::config::Settings;
use crate::contract::publish::{self, Name, Standings};
use crate::contract::{Catalogue, Chosen, Contract, Matched, NoMatch, Target};
use crate::credential::{Credentials, Serving, VersionKey};
use crate::diagnostic::Diagnostics;
use crate::edge::{self, ClientTrust, Connection, ListenerTls};
use crate::identity::{Caller, Identities, Origin};
use crate::keyring::Keyring;
use crate::policy::{Permit, Policies, Principal};
use crate::quota::{Admission, Limits, Plan, Quotas};
use crate::rejection::Rejection;
use crate::retirement::{Entry, Retirement};
use crate::revocation::{self, Revocations};
use crate::telemetry::Metrics;
use crate::trail::Trail;
use crate::upstream::{Upstream, Upstreams};
use crate::vault::Vault;

/// Everything a request may read.
#[derive(Debug)]
pub struct Snapshot {
    id: u64,
    loaded_at: Timestamp,
    settings: Arc<Settings>,
    sources: Vec<PathBuf>,
    contracts: Catalogue,
    /// How each contract stands to what was published of it.
    standings: Standings,
    routes: Vec<Arc<Route>>,
    metadata: metadata::Metadata,
    identities: Identities,
    retirement: Retirement,
    policies: Policies,
    limits: Limits,
    /// The plan of each caller, by its index.
    plans: Vec<Arc<Plan>>,
    quotas: Arc<Quotas>,
    upstreams: Arc<Upstreams>,
    vault: Option<Arc<Vault>>,
    credentials: Arc<Credentials>,
    /// The credentials of the snapshot that serves, the same place in every snapshot of a process.
    serving: Arc<Serving>,
    tls: Vec<Option<Arc<ListenerTls>>>,
    keyring: Arc<Keyring>,
    /// By which versions of credentials are named, the same in every snapshot of a process.
    version_key: Arc<VersionKey>,
    policy_tests: usize,
}

impl Snapshot {
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

    /// How a contract stands to what was published of it.
    #[must_use]
    pub fn standing(&self, contract: &Contract) -> publish::Standing {
        let name = Name::new(contract.api(), contract.version());
        self.standings.get(&name).copied().unwrap_or(publish::Standing::Unpublished)
    }

    /// Who may be a caller, and how they prove it.
    #[must_use]
    pub const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// What is revoked.
    #[must_use]
    pub const fn revocations(&self) -> &Arc<Revocations> {
        self.identities.revocations()
    }

    /// The file that says it.
    #[must_use]
    pub fn revocations_file(&self) -> PathBuf {
        self.settings.policies.join(revocation::FILE)
    }

    /// What that file says now.
    ///
    /// # Errors
    /// Every mistake in it, or that it is gone.
    pub fn read_revocations(&self) -> Result<Option<Vec<revocation::Entry>>, Diagnostics> {
        let issuers: Vec<&str> = self.settings.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        load::read_revocations(&self.settings, &issuers, self.revocations().is_written())
    }

    /// Who may do what.
    #[must_use]
    pub const fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Whether what is deprecated may still be called.
    #[must_use]
    pub const fn retirement(&self) -> &Retirement {
        &self.retirement
    }

    /// What time it is for lifecycles, when the clock says `now`. Nothing else has this clock.
    #[must_use]
    pub fn lifecycle_time(&self, now: Timestamp) -> Timestamp {
        self.settings.lifecycle_clock.unwrap_or(now)
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

    /// Where secrets and certificates of the gateway's own come from, if `gateway.yaml` names it.
    #[must_use]
    pub const fn vault(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref()
    }

    /// What they are shown.
    #[must_use]
    pub const fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// This one serves from now on: whoever outlives it takes what it has.
    pub(crate) fn serve(&self) {
        self.serving.set(&self.credentials);
    }

    /// How many operations show this credential.
    #[must_use]
    pub fn operations_with(&self, credential: &str) -> usize {
        let shows = |route: &&Arc<Route>| route.credential().is_some_and(|own| **own.name() == *credential);
        self.routes.iter().filter(shows).count()
    }

    /// The TLS side of a listener.
    #[must_use]
    pub fn listener_tls(&self, listener: usize) -> Option<&Arc<ListenerTls>> {
        self.tls.get(listener)?.as_ref()
    }

    /// What decides whether a listener's client certificates are trusted.
    #[must_use]
    pub fn client_trust(&self, listener: usize) -> Option<Arc<ClientTrust>> {
        self.listener_tls(listener)?.trust()
    }

    /// The certificates, keys, roots and revocation lists of the process.
    #[must_use]
    pub const fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Asks the servers of certificates, lists and bundles that are due.
    pub(crate) async fn ask_keyring(&self) {
        self.keyring.ask(self.vault(), Timestamp::now()).await;
    }

    /// Lets listeners and upstreams use what the keyring holds now.
    pub(crate) fn renew_trust(&self) {
        self.tls.iter().flatten().for_each(|tls| tls.renew());
        self.upstreams.iter().for_each(Upstream::renew);
    }

    /// Where a request was sent, if that is a place which its listener serves.
    #[must_use]
    pub fn origin(&self, request: &Parts, connection: &Connection) -> Option<Origin> {
        let listener = self.settings.listeners.get(connection.listener())?;
        let names = self.listener_tls(connection.listener()).map(|tls| tls.names());
        edge::origin(request, connection, &listener.origins, names.as_deref().unwrap_or_default())
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

    /// The version of an API that a request means; from here on every answer tells it, and its life.
    ///
    /// # Errors
    /// There is none, or it is not clear which.
    pub(crate) fn choose(
        &self,
        target: &Target,
        headers: &HeaderMap,
        trail: &mut Trail,
    ) -> Result<Chosen<'_>, Rejection> {
        let chosen = self.contracts.choose(target, headers, trail.lifecycle_time());
        let chosen = chosen.map_err(Rejection::NoMatch)?;
        trail.chosen(chosen.contract());
        Ok(chosen)
    }

    /// The operation that a request asks for, with everything that was resolved for it at load.
    ///
    /// # Errors
    /// The version does not have it.
    pub(crate) fn find(
        &self,
        version: &Chosen<'_>,
        method: &http::Method,
        target: &Target,
    ) -> Result<(Matched, Arc<Route>), Rejection> {
        let matched = version.find(method, target).map_err(Rejection::NoMatch)?;
        let route = self.routes.get(matched.index());
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

    /// Counts a call of nobody in particular against its address.
    fn count_anonymous(&self, trail: &Trail) {
        self.quotas.address_refused(&self.limits, trail.address(), trail.began());
    }

    /// Where the metadata of an API is told at `origin` (RFC 9728).
    pub(crate) fn metadata_address(&self, origin: &Origin, api: &str) -> Option<String> {
        self.metadata.address(origin, api)
    }

    /// Whether the operation is served to anybody; what comes is announced in every answer.
    ///
    /// # Errors
    /// It is past its sunset, for everybody.
    pub(crate) fn enter(&self, matched: &Matched, trail: &mut Trail) -> Result<Entry, Rejection> {
        let (operation, now) = (matched.index(), trail.lifecycle_time());
        trail.announced(self.retirement.announcement(operation, now));
        self.retirement.enter(operation, now).map_err(Rejection::Retired)
    }

    /// Whether this caller may still call what is deprecated.
    ///
    /// # Errors
    /// It is past its sunset or in a brown-out, and the caller has no waiver.
    pub(crate) fn stay(
        &self,
        caller: &Caller,
        matched: &Matched,
        trail: &mut Trail,
    ) -> Result<(), Rejection> {
        let now = trail.lifecycle_time();
        let stay = self.retirement.stay(matched.index(), caller, trail.address(), now);
        trail.stays(&stay.map_err(Rejection::Retired)?);
        Ok(())
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
        self.policies.authorise(principal, matched.index(), &circumstances).map_err(Rejection::Policy)
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
            self.count_anonymous(trail);
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

    /// Fetches what the files only name: keys of issuers, addresses of upstreams, certificates and lists, and secrets.
    pub(crate) async fn warm(&self) {
        // Secrets may be in Vault.
        let secrets = async {
            self.keep_vault().await;
            self.credentials.refresh().await;
        };
        tokio::join!(self.fetch_keys(), self.look_up(), self.ask_keyring(), secrets);
        // Somebody else may have asked first.
        self.keyring.settled().await;
        self.renew_trust();
    }

    /// Logs in to Vault and renews what is due.
    pub(crate) async fn keep_vault(&self) {
        if let Some(vault) = &self.vault {
            vault.keep_session(Timestamp::now()).await;
        }
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

    /// Tells the metrics what is deprecated, switched off or about to end.
    pub(crate) fn tell_lifecycles(&self, metrics: &Metrics) {
        let census = self.retirement.census(self.lifecycle_time(Timestamp::now()));
        let counted = census.into_iter();
        metrics.lifecycles(
            counted.map(|((api, version, standing), count)| (api, version, standing.as_str(), count)),
        );
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
