//! How is the upstream asked, and what is it shown?
//!
//! A request whose credential is refused was not carried out, so it is sent again if another version of the
//! credential is to be had: rotations are the gateway's business, not the caller's.

use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::Cleared;
use crate::contract::CheckedRequest;
use crate::credential::{self, Request, Shown};
use crate::identity::token_of;
use crate::rejection::Rejection;
use crate::trail::Trail;
use crate::upstream::{Call, Reply, UpstreamError};

/// The upstream's answer to a request that was checked.
pub(super) async fn ask(
    cleared: &Cleared,
    checked: &CheckedRequest,
    parts: &Parts,
    trail: &mut Trail,
) -> Result<Reply, Rejection> {
    let begun = Instant::now();
    let deadline = begun.checked_add(cleared.route.operation().settings().deadline).unwrap_or(begun);
    let credential = cleared.route.credential();
    let Some(credential) = credential else {
        return recorded(cleared, trail, once(cleared, checked, parts, None, trail, deadline).await);
    };
    let shown = credential.take(Request::Repeatable, token_of(parts)).await;
    let mut shown = shown.map_err(Rejection::Credential)?;
    trail.shows(&shown);
    let reply = once(cleared, checked, parts, Some(&shown), trail, deadline).await;
    let mut reply = recorded(cleared, trail, reply)?;
    while let Some(other) = shown.judged(reply.status, left(deadline)).await {
        shown = other;
        trail.shows(&shown);
        let tried = reply.attempts;
        let again = once(cleared, checked, parts, Some(&shown), trail, deadline).await;
        let again = again.map(|again| Reply { attempts: again.attempts.saturating_add(tried), ..again });
        reply = recorded(cleared, trail, again)?;
    }
    not_refused(reply.status).map(|()| reply)
}

/// Where it is the gateway that is refused, its caller could mend nothing.
pub(super) const fn not_refused(status: StatusCode) -> Result<(), Rejection> {
    if credential::is_unknown(status) { Err(Rejection::CredentialRefused) } else { Ok(()) }
}

fn recorded(
    cleared: &Cleared,
    trail: &mut Trail,
    reply: Result<Reply, UpstreamError>,
) -> Result<Reply, Rejection> {
    trail.called(&cleared.route, &reply);
    reply.map_err(Rejection::Upstream)
}

/// One call. It asks for the proofs of the steps before it, so that it cannot be made without them.
async fn once(
    cleared: &Cleared,
    checked: &CheckedRequest,
    parts: &Parts,
    shown: Option<&Shown>,
    trail: &Trail,
    deadline: Instant,
) -> Result<Reply, UpstreamError> {
    let settings = cleared.route.operation().settings();
    let target = cleared.route.upstream_target(&cleared.target);
    // The caller's own credentials end here; the upstream's goes in last.
    let headers: HeaderMap = cleared.route.outgoing(parts, &cleared.caller, shown, trail);
    let call = Call {
        method: &parts.method,
        path_and_query: &target,
        headers,
        body: checked.body().clone(),
        deadline,
        response_bytes_max: settings.response_bytes_max,
        repeatable: cleared.route.repeatable(),
    };
    cleared.route.upstream().call(call).await
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
