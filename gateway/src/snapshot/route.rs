//! What was resolved for one operation at load, so that no request looks it up again?

use std::collections::BTreeSet;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::audit::{Redaction, Strength};
use crate::contract::{self, Catalogue, Operation, Strictness, Target};
use crate::credential::{Credentials, Means, Shown};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::identity::{self, AnswerCheck, AnswerChecks, Asked, Bound, Caller, Demand, SignIn};
use crate::quota::{OperationLimit, OperationLimits};
use crate::rejection::Rejection;
use crate::telemetry::{Metrics, OperationMetrics};
use crate::trail::Trail;
use crate::upstream::{Repeatable, Upstream, Upstreams, incoming, outgoing};

/// One operation, with everything it needs to be served.
#[derive(Debug)]
pub struct Route {
    operation: Arc<Operation>,
    demand: Demand,
    /// The scopes that would suffice, with spaces between.
    scopes: String,
    upstream: Arc<Upstream>,
    credential: Option<Means>,
    allowed: incoming::Allowed,
    limits: Option<Arc<OperationLimits>>,
    redaction: Redaction,
    metrics: OperationMetrics,
}

/// The routes of all operations, in their order.
pub(super) fn all(
    contracts: &Catalogue,
    upstreams: &Upstreams,
    credentials: &Credentials,
    metrics: &Metrics,
    found: &mut Diagnostics,
) -> Vec<Arc<Route>> {
    let mut routes = Vec::new();
    for operation in contracts.operations() {
        match route(operation, upstreams, credentials, metrics) {
            Ok(route) => routes.push(Arc::new(route)),
            Err(mistake) => found.push(mistake),
        }
    }
    routes
}

/// The file in which an operation is described.
pub(super) fn place(operation: &Operation) -> Place {
    Place::file(&format!("contracts/{}/{}/openapi.yaml", operation.api(), operation.version()))
}

fn route(
    operation: &Arc<Operation>,
    upstreams: &Upstreams,
    credentials: &Credentials,
    metrics: &Metrics,
) -> Result<Route, Diagnostic> {
    let settings = operation.settings();
    let name = operation.name();
    let mistake = |message: String| Diagnostic::error(place(operation), message);
    let upstream =
        upstreams.id(&settings.upstream).and_then(|id| upstreams.upstream(id)).ok_or_else(|| {
            mistake(format!("upstream `{}` of `{name}` is not in gateway.yaml", settings.upstream))
                .did_you_mean(&settings.upstream, upstreams.iter().map(Upstream::name))
        })?;
    let credential = match upstream.credential() {
        None => None,
        Some(wanted) => {
            let credential = credentials.find(wanted);
            let means =
                credential.ok_or_else(|| mistake(format!("credential `{wanted}` is not in gateway.yaml")))?;
            if matches!(means, Means::OnBehalf(_)) && !asked(operation).iter().all(|one| one.token) {
                let message =
                    format!("`{name}` is called on behalf of its caller, and serves some without a token");
                let help = format!(
                    "ask for a token in each alternative of its security, or give `{}` a credential that is not `on_behalf`",
                    settings.upstream
                );
                return Err(mistake(message).help(help));
            }
            Some(means)
        }
    };
    let declared = operation.response_header_names();
    let allowed = incoming::Allowed::new(upstream.response_headers().iter().chain(declared))
        .map_err(|never| mistake(never.to_string()))?;
    let limits: Vec<OperationLimit> = settings
        .limits
        .iter()
        .map(|limit| OperationLimit { name: limit.name.clone(), quota: limit.quota, window: limit.window.0 })
        .collect();
    let limits = match limits.as_slice() {
        [] => None,
        limits => Some(Arc::new(OperationLimits::new(name, limits).map_err(|(n, fault)| {
            let limit = settings.limits.get(n).map(|limit| limit.name.as_str()).unwrap_or_default();
            mistake(format!("limit `{limit}` of `{name}`: {fault}"))
        })?)),
    };
    Ok(Route {
        demand: Demand {
            asked: asked(operation),
            bound: settings.token_binding.map(bound),
            sign_in: settings.sign_in.as_ref().map(sign_in),
        },
        scopes: scopes(operation),
        upstream: Arc::clone(upstream),
        credential: credential.cloned(),
        allowed,
        limits,
        redaction: Redaction::new(
            operation.template(),
            operation.query_parameter_names(),
            operation.personal_parameter_names(),
        ),
        metrics: metrics.operation(operation.api(), operation.version(), name),
        operation: Arc::clone(operation),
    })
}

/// What an operation asks for; one that is public asks for nothing, and says so.
fn asked(operation: &Operation) -> Vec<Asked> {
    match operation.security() {
        [] => vec![Asked { token: false, certificate: false }],
        alternatives => alternatives
            .iter()
            .map(|one| Asked { token: one.token.is_some(), certificate: one.certificate })
            .collect(),
    }
}

/// All scopes that any alternative asks for.
fn scopes(operation: &Operation) -> String {
    let tokens = operation.security().iter().filter_map(|one| one.token.as_ref());
    let scopes: BTreeSet<&str> = tokens.flat_map(contract::Scopes::iter).collect();
    scopes.into_iter().collect::<Vec<_>>().join(" ")
}

fn sign_in(written: &contract::SignIn) -> SignIn {
    let contract::SignIn { acr, amr, age_max } = written;
    SignIn { acr: acr.clone(), amr: amr.clone(), age_max: age_max.map(|span| span.0) }
}

const fn bound(binding: contract::TokenBinding) -> Bound {
    match binding {
        contract::TokenBinding::Certificate => Bound::Certificate,
        contract::TokenBinding::Dpop => Bound::Dpop,
        contract::TokenBinding::Either => Bound::Either,
    }
}

impl Route {
    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// What it asks of whoever calls it.
    #[must_use]
    pub const fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The scopes that would suffice for it, with spaces between.
    #[must_use]
    pub fn scopes(&self) -> &str {
        &self.scopes
    }

    /// Its own limits, beside those of the caller's plan.
    #[must_use]
    pub const fn limits(&self) -> Option<&Arc<OperationLimits>> {
        self.limits.as_ref()
    }

    /// What of its target may be recorded.
    #[must_use]
    pub const fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Its counters.
    #[must_use]
    pub const fn metrics(&self) -> &OperationMetrics {
        &self.metrics
    }

    /// Where it goes.
    #[must_use]
    pub const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// What the upstream is shown.
    #[must_use]
    pub const fn credential(&self) -> Option<&Means> {
        self.credential.as_ref()
    }

    /// Whether it may be sent again when its outcome is unknown.
    #[must_use]
    pub fn repeatable(&self) -> Repeatable {
        if self.operation.settings().idempotent { Repeatable::Yes } else { Repeatable::No }
    }

    /// How sure its record must be.
    #[must_use]
    pub fn strength(&self) -> Strength {
        match self.operation.settings().record {
            contract::Strength::Written => Strength::Written,
            contract::Strength::Durable => Strength::Durable,
            contract::Strength::Queued => Strength::Queued,
        }
    }

    /// What happens when an answer to this caller breaks the contract.
    #[must_use]
    pub fn strictness(&self, caller: &Caller) -> Strictness {
        let own = self.operation.settings().strictness;
        let asked = |check: AnswerCheck| match check {
            AnswerCheck::Enforce => Strictness::Enforce,
            AnswerCheck::Report => Strictness::Report,
            AnswerCheck::Off => Strictness::Off,
        };
        match caller.profile().and_then(|profile| profile.answers) {
            None => own,
            Some(AnswerChecks::AtLeast(check)) => own.max(asked(check)),
            Some(AnswerChecks::AtMost(check)) => own.min(asked(check)),
        }
    }

    /// Whether the operation serves callers of this kind.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn serves(&self, caller: &Caller) -> Result<(), Rejection> {
        let Some(profile) = caller.profile() else { return Ok(()) };
        let kind = match profile.kind {
            identity::Kind::Partner => contract::Kind::Partner,
            identity::Kind::Service => contract::Kind::Service,
            identity::Kind::Bot => contract::Kind::Bot,
            identity::Kind::Person => contract::Kind::Person,
        };
        if self.operation.settings().kinds.contains(kind) { Ok(()) } else { Err(Rejection::Kind) }
    }

    /// Whether one alternative of the security requirement is met whole: its proofs, and its scopes.
    ///
    /// # Errors
    /// The scopes that the alternatives with the caller's proofs ask for.
    pub(crate) fn scopes_suffice(&self, caller: &Caller) -> Result<(), Rejection> {
        let alternatives = self.operation.security();
        if alternatives.is_empty() {
            return Ok(());
        }
        let mut wanted = BTreeSet::new();
        for alternative in alternatives {
            if alternative.certificate && caller.certificate().is_none() {
                continue;
            }
            match (&alternative.token, caller.token()) {
                (None, _) => return Ok(()),
                (Some(_), None) => {}
                (Some(scopes), Some(token)) => {
                    if scopes.iter().all(|scope| token.scopes().contains(scope)) {
                        return Ok(());
                    }
                    wanted.extend(scopes.iter().map(str::to_owned));
                }
            }
        }
        Err(Rejection::Scope(wanted.into_iter().collect()))
    }

    /// The fields of the request to the upstream. The caller's credentials stay here; ours goes in last.
    pub(crate) fn outgoing(
        &self,
        parts: &Parts,
        caller: &Caller,
        shown: Option<&Shown>,
        trail: &Trail,
    ) -> HeaderMap {
        let name = self.upstream.identity_header();
        let mut identity: Vec<(HeaderName, HeaderValue)> = Vec::new();
        if let Some(profile) = caller.profile()
            && let Ok(id) = HeaderValue::from_str(&profile.id)
        {
            identity.push((name.clone(), id));
        }
        let (traceparent, tracestate) = trail.onward();
        let onward = outgoing::Onward {
            client: trail.address(),
            scheme: trail.scheme(),
            request_id: trail.request_id(),
            traceparent: &traceparent,
            tracestate,
            identity_header: name,
            identity: &identity,
        };
        let mut headers = outgoing::headers(parts, &onward);
        if let Some(shown) = shown {
            shown.apply(&mut headers);
        }
        headers
    }

    /// The fields of the answer, from those of the upstream.
    pub(crate) fn incoming(&self, reply: &HeaderMap, trail: &Trail) -> HeaderMap {
        incoming::headers(reply, &self.allowed, trail.scheme())
    }

    /// The target as the upstream knows it.
    pub(crate) fn upstream_target(&self, target: &Target) -> String {
        let path = self.operation.upstream_path(target);
        if target.query().is_empty() { path.into_owned() } else { format!("{path}?{}", target.query()) }
    }
}
