//! A call: at most two attempts, within one deadline.
//!
//! A second attempt is made only where the first cannot have done anything, or the caller says that
//! doing it twice is the same as once.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, request};
use tokio::sync::Semaphore;

use super::addresses::{AddressState, Addresses, Lease, Unresolved};
use super::attempt::{Answer, Attempt, Connection, Failure};
use super::breaker::Breaker;
use super::error::{Effect, Fault, UpstreamError};
use super::health::{Change, Standing};
use super::outgoing;
use super::settings::{SettingsError, UpstreamSettings};
use super::transport::{Connections, Transport};
use crate::keyring::Keyring;

/// One upstream: where it is, how it is reached, and how it is doing.
#[derive(Debug)]
pub struct Upstream {
    pub(super) settings: UpstreamSettings,
    pub(super) authority: HeaderValue,
    pub(super) transport: Transport,
    pub(super) addresses: Addresses,
    pub(super) permits: Arc<Semaphore>,
    pub(super) breaker: Breaker,
    pub(super) connections: Connections,
}

/// One request to an upstream.
pub struct Call<'a> {
    /// The method.
    pub method: &'a Method,
    /// Origin form, as it goes on the wire.
    pub path_and_query: &'a str,
    /// As built by [`outgoing::headers`]; authority and framing are set by the call.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When the answer has to be whole.
    pub deadline: Instant,
    /// The largest body taken.
    pub response_bytes_max: usize,
    /// Whether doing it twice is the same as once.
    pub repeatable: Repeatable,
}

/// Whether a request may be sent again when its outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeatable {
    /// RFC 9110 section 9.2.2, or the contract says that it is idempotent.
    Yes,
    /// It is sent again only if nothing can have been done.
    No,
}

/// An upstream's answer, whole.
pub struct Reply {
    /// The final status.
    pub status: StatusCode,
    /// Its fields as they came; [`incoming::headers`](super::incoming::headers) makes those of the client.
    pub headers: HeaderMap,
    /// Its body, without codings.
    pub body: Bytes,
    /// Who answered.
    pub address: SocketAddr,
    /// Connections tried.
    pub attempts: u32,
    /// From the start of the call to the answer's head.
    pub first_byte: Duration,
    /// From the start of the call to the answer's end.
    pub total: Duration,
    /// Size of the request's body.
    pub bytes_out: usize,
    /// Size of the answer's body.
    pub bytes_in: usize,
}

/// What an attempt says about its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Answered,
    Failed,
    Silent,
}

/// Where a second attempt may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    /// To another address only.
    Elsewhere,
    /// To any address, over a new connection.
    Anywhere,
}

impl Upstream {
    pub(super) fn new(
        settings: UpstreamSettings,
        keyring: &Keyring,
        connections: Connections,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let transport = Transport::new(&settings, keyring, &connections)?;
        Ok(Self {
            authority: settings.authority()?,
            addresses: Addresses::new(settings.targets()?),
            permits: Arc::new(Semaphore::new(settings.in_flight_max.min(Semaphore::MAX_PERMITS))),
            breaker: Breaker::new(),
            transport,
            settings,
            connections,
        })
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// When no usable answer came; [`UpstreamError::maybe_done`] says whether the upstream may have acted.
    pub async fn call(&self, call: Call<'_>) -> Result<Reply, UpstreamError> {
        let begun = Instant::now();
        if begun >= call.deadline {
            return Err(refused(Fault::Deadline));
        }
        self.transport.is_ready().map_err(refused)?;
        let _permit = self.permits.try_acquire().map_err(|_none_left| refused(Fault::Busy))?;
        self.breaker.pass(begun).map_err(refused)?;
        let outcome = self.attempts(call, begun).await;
        match self.breaker.note(Instant::now(), &outcome) {
            Change::None => {}
            Change::Out => tracing::warn!(upstream = self.name(), "no calls are sent: none was answered"),
            Change::Back => tracing::info!(upstream = self.name(), "calls are answered again"),
        }
        outcome
    }

    async fn attempts(&self, call: Call<'_>, begun: Instant) -> Result<Reply, UpstreamError> {
        let Call { method, path_and_query, headers, body, deadline, response_bytes_max, repeatable } = call;
        let head = self.head(method, path_and_query, headers, body.len());
        let head = head.ok_or_else(|| refused(Fault::Unsendable))?;
        let attempt = Attempt {
            connector: self.connections.connector(),
            head: &head,
            body: &body,
            deadline,
            first_byte_timeout: self.settings.first_byte_timeout,
            idle_timeout: self.settings.idle_timeout,
            response_bytes_max,
        };
        let lease = self.addresses.choose(begun, None).ok_or_else(|| refused(Fault::Unreachable))?;
        let first = match settled(self.name(), &lease, attempt.pooled(&lease.peer(&self.transport)).await) {
            Ok(answer) => return Ok(reply(answer, &lease, 1, begun, body.len())),
            Err(failure) => failure,
        };
        let Some(second) = self.second(&first, &lease, repeatable, deadline) else {
            return Err(failed(&first, &lease, 1, Effect::None));
        };
        drop(lease);
        let peer = self.transport.unpooled(&second.peer(&self.transport));
        match settled(self.name(), &second, attempt.unpooled(&peer).await) {
            Ok(answer) => Ok(reply(answer, &second, 2, begun, body.len())),
            Err(failure) => Err(failed(&failure, &second, 2, first.effect)),
        }
    }

    /// The address for a second attempt, if there may be one.
    fn second(
        &self,
        first: &Failure,
        tried: &Lease,
        repeatable: Repeatable,
        deadline: Instant,
    ) -> Option<Lease> {
        let now = Instant::now();
        if now >= deadline {
            return None;
        }
        let elsewhere = || self.addresses.choose(now, Some(tried.socket));
        match again(first, repeatable) {
            Again::Never => None,
            Again::Elsewhere => elsewhere(),
            Again::Anywhere => elsewhere().or_else(|| self.addresses.choose(now, None)),
        }
    }

    fn head(
        &self,
        method: &Method,
        path_and_query: &str,
        headers: HeaderMap,
        body_bytes: usize,
    ) -> Option<request::Parts> {
        let target: PathAndQuery = path_and_query.parse().ok()?;
        // What was checked is what is sent, to the byte: parsing would leave a fragment out.
        if !path_and_query.starts_with('/') || target.as_str() != path_and_query {
            return None;
        }
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = method.clone();
        head.uri = Uri::from(target);
        head.headers = headers;
        outgoing::frame(&mut head.headers, method, &self.authority, body_bytes);
        Some(head)
    }

    /// Looks all its names up once. Gives those that failed.
    pub(super) async fn resolve(&self) -> Vec<Unresolved> {
        self.addresses.resolve().await
    }

    /// Lets new connections use what the keyring holds now. Those that are open finish what they do.
    pub fn renew(&self) {
        if self.transport.renew() {
            tracing::info!(upstream = self.name(), "new connections use renewed certificates");
        }
    }

    /// Whether calls are sent at all.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Standing {
        self.breaker.standing(now)
    }

    /// How each address stands.
    #[must_use]
    pub fn health(&self, now: Instant) -> Vec<AddressState> {
        self.addresses.states(now)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The credential it wants, by name.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        self.settings.credential.as_deref()
    }

    /// The field in which it learns who the caller is.
    #[must_use]
    pub const fn identity_header(&self) -> &HeaderName {
        &self.settings.identity_header
    }

    /// Answer fields of it that may reach the client, beside the usual ones.
    #[must_use]
    pub fn response_headers(&self) -> &[HeaderName] {
        &self.settings.response_headers
    }

    pub(super) const fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }
}

/// Notes what the attempt says about its address, and tells the operators when that changes its standing.
fn settled(upstream: &str, lease: &Lease, outcome: Result<Answer, Failure>) -> Result<Answer, Failure> {
    let verdict = outcome.as_ref().map_or_else(verdict, |_| Verdict::Answered);
    match verdict {
        Verdict::Answered if lease.answered() == Change::Back => {
            tracing::info!(upstream, address = %lease.socket, "an address is in use again");
        }
        Verdict::Failed if lease.failed(Instant::now()) == Change::Out => {
            let cause = outcome.as_ref().err().and_then(|failure| failure.cause.as_deref());
            let cause = cause.map(tracing::field::display);
            tracing::warn!(upstream, address = %lease.socket, cause, "an address is put out");
        }
        Verdict::Answered | Verdict::Failed | Verdict::Silent => {}
    }
    outcome
}

/// What a failure says about the address.
fn verdict(failure: &Failure) -> Verdict {
    match (failure.fault, failure.connection) {
        (Fault::Unreachable | Fault::Tls, _)
        | (Fault::Closed, Connection::New)
        | (Fault::Deadline, Connection::Missing) => Verdict::Failed,
        // It answers, however badly: sending the calls elsewhere would not mend that.
        (Fault::Broken(_) | Fault::TooLarge, _) => Verdict::Answered,
        // A slow answer is no reason to send its load to the others, nor a stale connection.
        (
            Fault::Busy
            | Fault::Open
            | Fault::NoCertificate
            | Fault::Deadline
            | Fault::FirstByte
            | Fault::Closed
            | Fault::Unsendable,
            _,
        ) => Verdict::Silent,
    }
}

/// Whether and where a request may be sent again.
fn again(first: &Failure, repeatable: Repeatable) -> Again {
    match (first.fault, first.effect, first.connection, repeatable) {
        (Fault::Unreachable | Fault::Tls, ..) => Again::Elsewhere,
        // The pooled connection was stale, or the upstream says it has not begun.
        (Fault::Closed, Effect::None, ..) => Again::Anywhere,
        // RFC 9110 section 9.2.2: what may have been done is repeated only where that changes nothing.
        (Fault::Closed, Effect::Possible, _, Repeatable::No) => Again::Never,
        (Fault::Closed, Effect::Possible, Connection::Pooled, Repeatable::Yes) => Again::Anywhere,
        (Fault::Closed, Effect::Possible, Connection::New | Connection::Missing, Repeatable::Yes) => {
            Again::Elsewhere
        }
        // More time or another answer is not to be had by asking again.
        (
            Fault::Busy
            | Fault::Open
            | Fault::NoCertificate
            | Fault::Deadline
            | Fault::FirstByte
            | Fault::Broken(_)
            | Fault::TooLarge
            | Fault::Unsendable,
            ..,
        ) => Again::Never,
    }
}

fn reply(answer: Answer, lease: &Lease, attempts: u32, begun: Instant, bytes_out: usize) -> Reply {
    let Answer { status, headers, body, head_at } = answer;
    Reply {
        status,
        headers,
        address: lease.socket,
        attempts,
        first_byte: head_at.saturating_duration_since(begun),
        total: begun.elapsed(),
        bytes_out,
        bytes_in: body.len(),
        body,
    }
}

/// A call that was not begun.
const fn refused(fault: Fault) -> UpstreamError {
    UpstreamError { fault, effect: Effect::None, attempts: 0, address: None }
}

fn failed(failure: &Failure, lease: &Lease, attempts: u32, before: Effect) -> UpstreamError {
    UpstreamError {
        fault: failure.fault,
        effect: failure.effect.max(before),
        attempts,
        address: Some(lease.socket),
    }
}

// Bodies, targets and fields may hold what is personal: they are not shown.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", self.method)
            .field("bytes_out", &self.body.len())
            .field("repeatable", &self.repeatable)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("address", &self.address)
            .field("attempts", &self.attempts)
            .field("total", &self.total)
            .field("bytes_in", &self.bytes_in)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests;
