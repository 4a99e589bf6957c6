//! What is known of a request so far? For its audit record, and for what every answer must tell.
//!
//! The steps of [`crate::exchange`] report here as they succeed; at the end the record says how far the
//! request came, whatever ended it. Absent parts of a record are absent for ever: the path ended before.

mod conclusion;
mod told;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;

use crate::audit::{
    ActorPart, CallPart, CallerPart, CredentialPart, LifecyclePart, LimitPart, Record, Redacted, Strength,
    UpstreamPart, ViolationPart,
};
use crate::contract::{Contract, Field, ResponseFault, Target, Used, Violation};
use crate::credential::Shown;
use crate::edge::{self, Connection};
use crate::gateway::Gateway;
use crate::identity::{Actor, AuthScheme, Caller, Origin, Suspicion};
use crate::policy::Permit;
use crate::quota::Standing;
use crate::retirement::Stay;
use crate::snapshot::{Route, Snapshot};
use crate::telemetry::Trace;
use crate::upstream::{Reply, UpstreamError, outgoing::Scheme};
use told::Told;

/// What is known of one request.
#[derive(Debug)]
pub struct Trail {
    began: Instant,
    /// What time it is for lifecycles.
    lifecycle_time: Timestamp,
    address: IpAddr,
    scheme: Scheme,
    request_id: HeaderValue,
    trace: Trace,
    route: Option<Arc<Route>>,
    /// What every answer from here on tells the caller.
    told: Told,
    /// Whether somebody was identified, or nobody needed to be: from here on the call counts as use.
    identified: bool,
    /// What it uses of what is deprecated or watched.
    fields: Vec<Arc<Field>>,
    /// When the certificate ends by which the caller was identified.
    certificate_ends: Option<Timestamp>,
    /// Where it was sent, if that is served, and how it showed a token: for challenges.
    place: (Option<Origin>, Option<AuthScheme>),
    /// What the record says why it was answered.
    served: &'static str,
    record: Record,
}

impl Trail {
    /// A request whose head was read.
    pub(crate) fn begin(
        snapshot: &Snapshot,
        gateway: &Gateway,
        connection: &Connection,
        parts: &Parts,
    ) -> Self {
        let listener = snapshot.settings().listeners.get(connection.listener());
        let address = match listener {
            Some(listener) => {
                edge::client_address(connection.address(), &parts.headers, &listener.trusted_hops)
            }
            None => connection.address(),
        };
        let target = Redacted::unmatched(parts.uri.path(), parts.uri.query().unwrap_or_default());
        let call =
            CallPart { method: parts.method.to_string(), target, api: None, version: None, operation: None };
        let name = listener.map(|listener| listener.name.clone()).unwrap_or_default();
        Self::new(snapshot, gateway, connection, address, name, call, gateway.traces.follow(&parts.headers))
    }

    /// A head that never became a request.
    pub(crate) fn broken(snapshot: &Snapshot, gateway: &Gateway, connection: &Connection) -> Self {
        let listener = snapshot.settings().listeners.get(connection.listener());
        let name = listener.map(|listener| listener.name.clone()).unwrap_or_default();
        let call = CallPart::none();
        let trace = gateway.traces.follow(&HeaderMap::new());
        Self::new(snapshot, gateway, connection, connection.address(), name, call, trace)
    }

    fn new(
        snapshot: &Snapshot,
        gateway: &Gateway,
        connection: &Connection,
        address: IpAddr,
        listener: String,
        call: CallPart,
        trace: Trace,
    ) -> Self {
        let request_id = uuid::Uuid::now_v7().hyphenated().to_string();
        // Hexadecimal digits and hyphens: always a header value.
        let id_value =
            HeaderValue::from_str(&request_id).unwrap_or_else(|_| HeaderValue::from_static("none"));
        let told = Told::new(&id_value);
        let scheme = if connection.encrypted() { Scheme::Https } else { Scheme::Http };
        let now = Timestamp::now();
        let record = Record {
            trace_id: Some(trace.trace_id().to_string()),
            node: gateway.node.clone(),
            address: address.to_string(),
            listener,
            snapshot: snapshot.id().to_string(),
            ..Record::begun(now, request_id, call)
        };
        Self {
            began: Instant::now(),
            lifecycle_time: snapshot.lifecycle_time(now),
            address,
            scheme,
            request_id: id_value,
            trace,
            route: None,
            told,
            identified: false,
            fields: Vec::new(),
            certificate_ends: None,
            place: (None, None),
            served: "served",
            record,
        }
    }

    /// The span that every event of this request belongs to.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!("request", id = self.record.request_id, trace = self.record.trace_id)
    }

    /// The client's address, as far as it is believed.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// When the request began.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.record.time
    }

    /// What time it is for lifecycles, and for nothing else.
    #[must_use]
    pub const fn lifecycle_time(&self) -> Timestamp {
        self.lifecycle_time
    }

    /// When the request began, for measuring.
    #[must_use]
    pub const fn began(&self) -> Instant {
        self.began
    }

    /// Whether the caller came over TLS.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The id that the caller is told and the record carries.
    #[must_use]
    pub const fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// W3C Trace Context for the next hop.
    pub(crate) fn onward(&self) -> (HeaderValue, Option<&HeaderValue>) {
        (self.trace.traceparent(), self.trace.tracestate())
    }

    /// What the record says so far.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// How sure the record must be.
    #[must_use]
    pub fn strength(&self) -> Strength {
        self.route.as_ref().map_or(Strength::Written, |route| route.strength())
    }

    /// The version is known; from here on every answer tells it, and its life.
    pub(crate) fn chosen(&mut self, contract: &Contract) {
        let (call, versioning) = (&mut self.record.call, contract.versioning());
        call.api = Some(contract.api().to_owned());
        call.version = Some(contract.version().to_owned());
        self.told.version(versioning);
        self.told.life(contract.lifecycle());
    }

    /// The next brown-out of the operation, or none, is told in every answer.
    pub(crate) fn announced(&mut self, brownout: Option<&HeaderValue>) {
        self.told.brownout(brownout);
    }

    /// The caller may go on; what is to come is told as it is for this caller.
    pub(crate) fn stays(&mut self, stay: &Stay) {
        self.announced(stay.announcement.as_ref());
        self.record.lifecycle = stay.state.map(|state| LifecyclePart {
            state: state.to_owned(),
            brownout: stay.brownout.as_deref().map(str::to_owned),
            waiver: stay.waiver.as_deref().map(str::to_owned),
        });
    }

    /// An operation was found; it may have a life of its own.
    pub(crate) fn matched(&mut self, route: &Arc<Route>, target: &Target) {
        let operation = route.operation();
        let call = &mut self.record.call;
        call.operation = Some(operation.name().to_owned());
        call.target = route.redaction().redact(target.path(), target.query());
        self.told.life(operation.lifecycle());
        self.route = Some(Arc::clone(route));
    }

    /// The caller was proved.
    pub(crate) fn identified(&mut self, caller: &Caller) {
        self.identified = true;
        caller.next_nonce().into_iter().for_each(|nonce| self.told.nonce(nonce));
        let Some(profile) = caller.profile() else { return };
        let token = caller.token();
        self.certificate_ends = caller.certificate().map(|certificate| certificate.not_after());
        self.record.caller = Some(CallerPart {
            id: profile.id.clone(),
            kind: profile.kind.as_str().to_owned(),
            how: caller.how().to_owned(),
            token_id: token.and_then(|token| token.id()).map(str::to_owned),
            issuer: token.map(|token| token.issuer().to_owned()),
            bound: token.and_then(|token| token.binding().as_str()).map(str::to_owned),
            actor: token.and_then(|token| token.actor()).map(|actor| actor.subject.clone()),
            actors: token.and_then(|token| token.actor()).map(actors).unwrap_or_default(),
            may_act: token.and_then(|token| token.may_act()).map(actor_part),
            certificate_sha256: caller.certificate().map(|certificate| certificate.sha256_hex().to_owned()),
        });
    }

    /// It is refused, and may be told how to come back.
    pub(crate) fn challenged(&mut self, origin: Option<Origin>, shown: Option<AuthScheme>) {
        self.place = (origin, shown);
    }

    /// It is answered without an operation.
    pub(crate) const fn served_as(&mut self, reason: &'static str) {
        self.served = reason;
    }

    /// The caller's credential looks as if it were shared: told, and nobody is refused for it.
    pub(crate) fn suspected(&mut self, gateway: &Gateway, suspicions: &[Suspicion]) {
        for suspicion in suspicions {
            let code = suspicion.as_str();
            self.record.suspicions.push(code.to_owned());
            gateway.metrics().suspected(code);
            if let Some(more) = gateway.repeats.admit(code, self.began) {
                let caller = self.record.caller.as_ref().map(|caller| caller.id.as_str());
                tracing::warn!(suspicion = code, caller, more, "a credential looks as if it were shared");
            }
        }
    }

    /// Policy permits it.
    pub(crate) fn permitted(&mut self, permit: &Permit) {
        self.record.decision.policies = permit.policies().iter().map(ToString::to_string).collect();
    }

    /// The caller's plan was asked; every answer tells what is left of it.
    pub(crate) fn counted(&mut self, standing: &Standing) {
        self.told.limits(standing);
        self.left(standing);
    }

    /// What is left of the caller's plan, for the record.
    fn left(&mut self, standing: &Standing) {
        self.record.limits = standing
            .windows()
            .map(|window| LimitPart {
                name: window.name.to_owned(),
                remaining: window.remaining.into(),
                reset: window.reset_s,
            })
            .collect();
    }

    /// Bytes of the body were read.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.record.request_bytes = wide(bytes);
    }

    /// What the request uses of what is deprecated or watched; every answer from here on tells of the former.
    pub(crate) fn used(&mut self, used: &Used) {
        self.fields = used.fields().to_vec();
        self.record.fields = used.fields().iter().map(|field| field.pointer().to_owned()).collect();
        self.told.used(used);
    }

    /// The upstream is shown this.
    pub(crate) fn shows(&mut self, shown: &Shown) {
        let (name, version) = (shown.name().to_owned(), shown.version().to_string());
        self.record.credential = Some(CredentialPart { name, version });
    }

    /// The upstream was called.
    pub(crate) fn called(&mut self, route: &Route, reply: &Result<Reply, UpstreamError>) {
        let name = route.upstream().name().to_owned();
        self.record.upstream = Some(match reply {
            Ok(reply) => UpstreamPart {
                name,
                address: Some(reply.address.to_string()),
                attempts: reply.attempts.into(),
                status: Some(reply.status.as_u16()),
                first_byte_us: Some(microseconds(reply.first_byte)),
                total_us: microseconds(reply.total),
                bytes_out: wide(reply.bytes_out),
                bytes_in: wide(reply.bytes_in),
            },
            Err(error) => UpstreamPart {
                name,
                address: error.address.map(|address| address.to_string()),
                attempts: error.attempts.into(),
                status: None,
                first_byte_us: None,
                total_us: microseconds(self.began.elapsed()),
                bytes_out: 0,
                bytes_in: 0,
            },
        });
    }

    /// The upstream of a streamed operation has answered with this status, or failed before it did. The
    /// bodies are still on their way, so their sizes are not known.
    pub(crate) fn streamed(&mut self, route: &Route, status: Option<StatusCode>) {
        let elapsed = microseconds(self.began.elapsed());
        self.record.upstream = Some(UpstreamPart {
            name: route.upstream().name().to_owned(),
            address: None,
            attempts: 1,
            status: status.map(|status| status.as_u16()),
            first_byte_us: status.map(|_| elapsed),
            total_us: elapsed,
            bytes_out: self.record.request_bytes,
            bytes_in: 0,
        });
    }

    /// The upstream's answer breaks the contract; whether it passes is for the operation to say.
    pub(crate) fn breached(&mut self, fault: &ResponseFault) {
        if let Some(route) = &self.route {
            route.metrics().response_violation();
        }
        self.record.response_violations = match fault {
            ResponseFault::Violations(violations) => violations.as_slice().iter().map(part).collect(),
            ResponseFault::Malformed(violation) => vec![part(violation)],
            ResponseFault::Status | ResponseFault::MediaType | ResponseFault::Encoding => {
                vec![ViolationPart { where_: fault.reason().to_owned(), keyword: "described".to_owned() }]
            }
        };
    }
}

/// A chain of actors, which is bounded where tokens are read.
fn actors(actor: &Actor) -> Vec<ActorPart> {
    std::iter::successors(Some(actor), |actor| actor.before.as_deref()).map(actor_part).collect()
}

fn actor_part(actor: &Actor) -> ActorPart {
    ActorPart { subject: actor.subject.clone(), issuer: actor.issuer.clone() }
}

fn part(violation: &Violation) -> ViolationPart {
    ViolationPart { where_: violation.location.to_string(), keyword: violation.keyword.clone() }
}

fn wide(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
