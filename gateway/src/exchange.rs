//! THE PATH: what happens to a request, top to bottom.
//!
//! `serve` is called once for every request. Each step either gives a value that proves it ran, which
//! later steps ask for, or a [`Rejection`], which ends the path; and whatever happens is recorded before
//! it is answered.

mod ask;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use http::StatusCode;
use http::request::Parts;
use pingora::proxy::Session;
use tracing::Instrument;

use crate::contract::{Matched, ResponseFault, Strictness, Target};
use crate::credential::{Means, Request, Shown};
use crate::edge::{self, Answer, BodyFault, Connection, HeadFault, Held};
use crate::gateway::Gateway;
use crate::identity::{AuthScheme, Caller, Connected, Suspicion, token_of};
use crate::policy::Permit;
use crate::quota::Admission;
use crate::rejection::Rejection;
use crate::retirement::{Entry, Retired};
use crate::snapshot::{Route, Snapshot};
use crate::trail::Trail;

/// A request that may be made: who makes it, of what, and the proofs that this was decided.
#[derive(Debug)]
pub(crate) struct Cleared {
    pub(crate) target: Target,
    pub(crate) matched: Matched,
    pub(crate) route: Arc<Route>,
    pub(crate) caller: Caller,
    _permit: Permit,
    /// Absent for anonymous callers, who have no plan: their address is counted instead.
    _admission: Option<Admission>,
}

/// How a request left the path.
pub(crate) enum Served {
    /// It was answered.
    Answered,
    /// It was cleared and its operation is streamed: Pingora's phases carry it on.
    Streamed(Arc<Snapshot>, Box<Cleared>, Box<Trail>),
}

/// Serves one request. Only a client that left makes it fail.
pub(crate) async fn serve(
    session: &mut Session,
    gateway: &Gateway,
    connection: &Connection,
) -> pingora::Result<Served> {
    let snapshot = gateway.current();
    let trail = Trail::begin(&snapshot, gateway, connection, session.req_header());
    let span = trail.span();
    path(session, gateway, connection, snapshot, trail).instrument(span).await
}

/// Clears the request, carries it out, records it and answers it.
async fn path(
    session: &mut Session,
    gateway: &Gateway,
    connection: &Connection,
    snapshot: Arc<Snapshot>,
    mut trail: Trail,
) -> pingora::Result<Served> {
    if let Some(known) = snapshot.metadata(session.req_header(), connection, &mut trail) {
        let answer = finish(gateway, &snapshot, &mut trail, known).await;
        edge::write(session, answer, gateway.limits.idle_time).await?;
        return Ok(Served::Answered);
    }
    let cleared = contained(clear(session.req_header(), gateway, &snapshot, connection, &mut trail)).await;
    if cleared.is_err() {
        // A challenge says where and how to come back.
        let parts = session.req_header();
        trail.challenged(snapshot.origin(parts, connection), AuthScheme::of(parts));
    }
    let outcome = match cleared {
        Ok(cleared) if cleared.route.operation().settings().streamed => {
            match check_streamed(session.req_header(), &cleared, &mut trail) {
                Ok(()) => return Ok(Served::Streamed(snapshot, Box::new(cleared), Box::new(trail))),
                Err(rejection) => Err(rejection),
            }
        }
        Ok(cleared) => contained(carry_out(session, gateway, &cleared, &mut trail)).await,
        Err(rejection) => Err(rejection),
    };
    // What is held of the two bodies counts until the client has its answer.
    let (outcome, _held) = match outcome {
        Ok((answer, held)) => (Ok(answer), Some(held)),
        Err(rejection) => (Err(rejection), None),
    };
    let answer = finish(gateway, &snapshot, &mut trail, outcome).await;
    edge::write(session, answer, gateway.limits.idle_time).await?;
    Ok(Served::Answered)
}

/// A fault of our own that panics ends its request like any other: recorded and answered.
async fn contained<T>(step: impl Future<Output = Result<T, Rejection>>) -> Result<T, Rejection> {
    let mut step = std::pin::pin!(step);
    std::future::poll_fn(|context| {
        // What the step was changing is its request's own; only the trail is read afterwards, and each of
        // its parts is whole.
        let polled = catch_unwind(AssertUnwindSafe(|| step.as_mut().poll(context)));
        polled.unwrap_or(Poll::Ready(Err(Rejection::Internal("panic"))))
    })
    .await
}

/// From the bytes of a head to the permission to act.
async fn clear(
    parts: &Parts,
    gateway: &Gateway,
    snapshot: &Snapshot,
    connection: &Connection,
    trail: &mut Trail,
) -> Result<Cleared, Rejection> {
    // One canonical path: what is matched here is what the upstream gets.
    let target = Target::parse(&parts.uri).map_err(Rejection::Target)?;
    // Somebody who has guessed too often waits, before anything is looked up for them.
    snapshot.address_allows(trail)?;

    let version = snapshot.choose(&target, &parts.headers, trail)?;
    let target = version.strip(target);
    let (matched, route) = snapshot.find(&version, &parts.method, &target)?;
    trail.matched(&route, &target);
    let entry = snapshot.enter(&matched, trail)?;

    let identified = identify(parts, gateway, snapshot, connection, &route, trail).await;
    let (caller, suspicions) = identified.map_err(|refused| match entry {
        Entry::Open => refused,
        // Whom its waivers are for is told to nobody else.
        Entry::Waived => Rejection::Retired(Retired::Stranger),
    })?;
    trail.identified(&caller);
    trail.suspected(gateway, &suspicions);
    snapshot.stay(&caller, &matched, trail)?;

    let permit = authorise(snapshot, &caller, &matched, &route, &target, trail);
    // A caller that is refused here has used nothing of its plan, and is told what is left of it.
    let permit = permit.inspect_err(|_refused| snapshot.tell_limits(&caller, &route, trail))?;
    trail.permitted(&permit);

    // What could not be recorded is not begun, and costs the caller nothing.
    gateway.audit().expects(trail.strength()).map_err(Rejection::NotRecorded)?;
    let admission = snapshot.admit(&caller, &route, trail)?;
    Ok(Cleared { target, matched, route, caller, _permit: permit, _admission: admission })
}

/// Who calls, as the operation asks to have it proved, and what is odd about it.
async fn identify(
    parts: &Parts,
    gateway: &Gateway,
    snapshot: &Snapshot,
    connection: &Connection,
    route: &Route,
    trail: &Trail,
) -> Result<(Caller, Vec<Suspicion>), Rejection> {
    let trust = snapshot.client_trust(connection.listener());
    let certificate =
        connection.certificate(trust.as_deref(), trail.began()).map_err(Rejection::Certificate)?;
    // Only a proof of possession is made for a place.
    let place = AuthScheme::of(parts).filter(|scheme| *scheme == AuthScheme::Dpop);
    let origin = place.and_then(|_| snapshot.origin(parts, connection));
    let connected = Connected { certificate, origin: origin.as_ref() };
    let identified = snapshot.identities().identify(route.demand(), parts, connected, trail.now()).await;
    let caller = identified.map_err(|error| {
        Rejection::Identity(error.for_want_of(connection.unusable(), &route.demand().asked))
    })?;
    let suspicions = gateway.sharing.note(&caller, certificate.map(Arc::as_ref), trail.now());
    Ok((caller, suspicions))
}

/// Kind, then scopes, then the sign-in, then policy: the cheap and plain reasons first.
fn authorise(
    snapshot: &Snapshot,
    caller: &Caller,
    matched: &Matched,
    route: &Route,
    target: &Target,
    trail: &Trail,
) -> Result<Permit, Rejection> {
    route.serves(caller)?;
    route.scopes_suffice(caller)?;
    snapshot.identities().signed_in(caller, route.demand(), trail.now()).map_err(Rejection::Identity)?;
    snapshot.authorise(caller, matched, target, trail)
}

/// From the permission to act to the upstream's answer, both checked against the contract.
async fn carry_out(
    session: &mut Session,
    gateway: &Gateway,
    cleared: &Cleared,
    trail: &mut Trail,
) -> Result<(Answer, Held), Rejection> {
    let operation = cleared.route.operation();
    let settings = operation.settings();
    operation.check_request_head(session.req_header()).map_err(Rejection::Request)?;
    let (body, mut held) =
        edge::read(session, settings.request_bytes_max, gateway.limits.body_time, &gateway.buffered)
            .await
            .map_err(Rejection::Body)?;
    trail.received(body.len());

    let parts: &Parts = session.req_header();
    let read = body.len();
    let body = operation.decode(&parts.headers, body).map_err(Rejection::Request)?;
    if !held.grow(body.len().saturating_sub(read)) {
        return Err(Rejection::Body(BodyFault::Overloaded));
    }
    let checked = operation.check_request(parts, &cleared.matched, &cleared.target, &body);
    let asked = Some((&body, checked.as_ref().ok()));
    let used = operation.used(parts, &cleared.matched, &cleared.target, asked, trail.lifecycle_time());
    trail.used(&used);
    let checked = used.judge(checked).map_err(Rejection::Request)?;

    let reply = ask::ask(cleared, &checked, parts, trail).await?;
    if !held.grow(reply.body.len()) {
        return Err(Rejection::NoRoom);
    }

    judge(cleared, trail, || {
        operation.check_response_to(&parts.method, reply.status, &reply.headers, &reply.body)
    })?;
    let headers = cleared.route.incoming(&reply.headers, trail);
    Ok((Answer { status: reply.status, headers, body: reply.body }, held))
}

/// Judges an upstream's answer, as strictly as the operation and the caller ask for.
pub(crate) fn judge(
    cleared: &Cleared,
    trail: &mut Trail,
    check: impl FnOnce() -> Result<(), ResponseFault>,
) -> Result<(), Rejection> {
    let enforced = match cleared.route.strictness(&cleared.caller) {
        Strictness::Enforce => true,
        Strictness::Report if cleared.route.operation().samples_answer() => false,
        Strictness::Report | Strictness::Off => return Ok(()),
    };
    match check() {
        Ok(()) => Ok(()),
        Err(fault) if enforced => Err(Rejection::Response(fault)),
        Err(fault) => {
            trail.breached(&fault);
            Ok(())
        }
    }
}

/// What a streamed request shows to its upstream.
pub(crate) async fn show(credential: &Means, parts: &Parts) -> Result<Shown, Rejection> {
    credential.take(Request::Once, token_of(parts)).await.map_err(Rejection::Credential)
}

/// Judges what was shown for a streamed request by the status of its answer. It cannot be sent again.
pub(crate) async fn accepted(shown: Option<Shown>, status: StatusCode) -> Result<(), Rejection> {
    let Some(mut shown) = shown else { return Ok(()) };
    shown.judged_once(status).await;
    ask::not_refused(status)
}

/// What can be checked of a request whose body passes in pieces: everything but the body.
fn check_streamed(parts: &Parts, cleared: &Cleared, trail: &mut Trail) -> Result<(), Rejection> {
    let operation = cleared.route.operation();
    operation.check_request_head(parts).map_err(Rejection::Request)?;
    let checked = operation.check_streamed_request(parts, &cleared.matched, &cleared.target);
    let used = operation.used(parts, &cleared.matched, &cleared.target, None, trail.lifecycle_time());
    trail.used(&used);
    used.judge(checked).map_err(Rejection::Request)
}

/// Records what happened, and only then gives the answer that may leave.
pub(crate) async fn finish(
    gateway: &Gateway,
    snapshot: &Snapshot,
    trail: &mut Trail,
    outcome: Result<Answer, Rejection>,
) -> Answer {
    let answer = trail.conclude(gateway, snapshot, outcome);
    let answer = match gateway.audit().append(trail.record(), trail.strength()).await {
        Ok(_receipt) => {
            gateway.metrics().audit_recorded();
            answer
        }
        // No record, no answer: what the upstream said is withheld.
        Err(fault) => {
            gateway.metrics().audit_failed();
            let asked = trail.record().upstream.is_some();
            let rejection = if asked { Rejection::Withheld(fault) } else { Rejection::NotRecorded(fault) };
            trail.conclude(gateway, snapshot, Err(rejection))
        }
    };
    trail.count(gateway);
    answer
}

/// Why a head never became a request.
pub(crate) enum BrokenHead {
    /// It cannot be read in exactly one way, or is too large.
    Fault(HeadFault),
    /// It took too long.
    Slow,
}

/// Records a head that never became a request, and gives its answer.
pub(crate) async fn refuse_head(gateway: &Gateway, connection: &Connection, broken: BrokenHead) -> Answer {
    let snapshot = gateway.current();
    let mut trail = Trail::broken(&snapshot, gateway, connection);
    let rejection = match broken {
        BrokenHead::Fault(fault) => Rejection::Head(fault),
        BrokenHead::Slow => Rejection::HeadSlow,
    };
    finish(gateway, &snapshot, &mut trail, Err(rejection)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_refusal_of_its_own_request() {
        let mut seen = 0;
        let panics = async {
            tokio::task::yield_now().await;
            seen += 1;
            if seen > 0 {
                panic!("on purpose");
            }
            Ok(())
        };
        let refused = contained(panics).await;
        assert!(matches!(refused, Err(Rejection::Internal("panic"))));
        assert_eq!(seen, 1);
        assert!(matches!(contained(async { Ok(7) }).await, Ok(7)));
    }
}
