//! Pingora's phases: every request enters here, and streamed operations stay.
//!
//! A buffered operation is served whole by [`exchange::serve`] inside `request_filter`. For a streamed one
//! the same function decides, and the phases below carry the bodies in pieces: their type and size are
//! checked, their content is not.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::HttpPeer;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::{Error, ErrorSource, ErrorType};

use super::body::BodyFault;
use super::{Connection, answer};
use crate::credential::Shown;
use crate::exchange::{self, Cleared, Served};
use crate::gateway::Gateway;
use crate::rejection::Rejection;
use crate::snapshot::Snapshot;
use crate::trail::Trail;
use crate::upstream::{StreamedCall, UpstreamError};

/// What Pingora calls for every request.
pub(super) struct Phases {
    gateway: Arc<Gateway>,
}

impl Phases {
    pub(super) const fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

/// How far a request has come.
pub(super) enum Progress {
    /// Its head was read.
    Received,
    /// It is streamed, and its answer has not begun.
    Streaming(Box<Streaming>),
    /// Its answer has begun, so it is recorded and nothing can be changed any more. It is kept, because
    /// it counts among its caller's requests in flight until it ends.
    Begun { request_left: usize, answer_left: usize, _held: Box<(Cleared, Option<StreamedCall>)> },
}

/// A streamed operation on its way.
pub(super) struct Streaming {
    snapshot: Arc<Snapshot>,
    cleared: Cleared,
    trail: Trail,
    received: usize,
    /// Its place among the upstream's calls, once it has one.
    call: Option<StreamedCall>,
    /// What the upstream is shown, once it is.
    shown: Option<Shown>,
}

#[async_trait]
impl ProxyHttp for Phases {
    type CTX = Progress;

    fn new_ctx(&self) -> Progress {
        Progress::Received
    }

    /// No compression, no other module: bodies pass as they were checked.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, progress: &mut Progress) -> pingora::Result<bool> {
        let Some(connection) = Connection::of(session) else {
            return Error::e_explain(ErrorType::InternalError, "a request without its connection");
        };
        end_connection_fields(session.req_header_mut());
        match exchange::serve(session, &self.gateway, &connection).await? {
            Served::Answered => Ok(true),
            Served::Streamed(snapshot, cleared, trail) => {
                *progress = Progress::Streaming(Box::new(Streaming {
                    snapshot,
                    cleared: *cleared,
                    trail: *trail,
                    received: 0,
                    call: None,
                    shown: None,
                }));
                Ok(false)
            }
        }
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        progress: &mut Progress,
    ) -> pingora::Result<Box<HttpPeer>> {
        let streaming = streaming(progress)?;
        let call = streaming.cleared.route.upstream().streamed_call(Instant::now());
        let call = call.map_err(|error| refuse(Rejection::Upstream(error)))?;
        let peer = Box::new(call.peer().clone());
        streaming.call = Some(call);
        Ok(peer)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        outgoing: &mut RequestHeader,
        progress: &mut Progress,
    ) -> pingora::Result<()> {
        let streaming = streaming(progress)?;
        let route = &streaming.cleared.route;
        if let Some(credential) = route.credential() {
            let shown = exchange::show(credential, session.req_header()).await;
            streaming.shown = Some(shown.map_err(refuse)?);
        }
        if let Some(shown) = &streaming.shown {
            streaming.trail.shows(shown);
        }
        let target = route.upstream_target(&streaming.cleared.target);
        let (caller, trail) = (&streaming.cleared.caller, &streaming.trail);
        let headers = route.outgoing(session.req_header(), caller, streaming.shown.as_ref(), trail);
        let mut built =
            RequestHeader::build(outgoing.method.clone(), target.as_bytes(), Some(headers.len()))?;
        for (name, value) in &headers {
            built.append_header(name.clone(), value.clone())?;
        }
        built.insert_header(HOST, route.upstream().authority().clone())?;
        // The framing of the body is the one thing that passes as it came: it was judged with the head.
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            if let Some(value) = outgoing.headers.get(&name) {
                built.insert_header(name, value.clone())?;
            }
        }
        built.set_version(outgoing.version);
        *outgoing = built;
        Ok(())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        progress: &mut Progress,
    ) -> pingora::Result<()> {
        let bytes = body.as_ref().map_or(0, Bytes::len);
        match progress {
            Progress::Streaming(streaming) => {
                let max = streaming.cleared.route.operation().settings().request_bytes_max;
                streaming.received = streaming.received.saturating_add(bytes);
                streaming.trail.received(streaming.received);
                if streaming.received > max {
                    Err(refuse(Rejection::Body(BodyFault::TooLarge { max })))
                } else {
                    Ok(())
                }
            }
            Progress::Begun { request_left, .. } => spend(request_left, bytes),
            Progress::Received => Ok(()),
        }
    }

    /// The upstream's head is here: it is checked and recorded before any of it leaves.
    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        progress: &mut Progress,
    ) -> pingora::Result<()> {
        if response.status.is_informational() {
            // RFC 9110 section 15.2: it says nothing final; its fields are judged by nobody, so none pass.
            *response = ResponseHeader::build(response.status, Some(0))?;
            return Ok(());
        }
        let Streaming { snapshot, cleared, mut trail, received, call, shown } =
            match std::mem::replace(progress, Progress::Received) {
                Progress::Streaming(streaming) => *streaming,
                Progress::Received | Progress::Begun { .. } => {
                    return Error::e_explain(ErrorType::InternalError, "an answer without its request");
                }
            };
        let operation = cleared.route.operation();
        let settings = operation.settings();
        let method = session.req_header().method.clone();
        trail.streamed(&cleared.route, Some(response.status));
        let checked = match exchange::accepted(shown, response.status).await {
            Err(rejection) => Err(rejection),
            Ok(()) => exchange::judge(&cleared, &mut trail, || {
                operation.check_streamed_response(&method, response.status, &response.headers)
            }),
        };
        let outcome = checked.map(|()| {
            let route = &cleared.route;
            answer::Answer {
                status: response.status,
                headers: route.incoming(&response.headers, &trail),
                body: Bytes::new(),
            }
        });
        let refused = outcome.is_err();
        let answer = exchange::finish(&self.gateway, &snapshot, &mut trail, outcome).await;
        if refused || answer.status != response.status {
            return Err(given(answer));
        }
        let mut built = ResponseHeader::build(answer.status, Some(answer.headers.len()))?;
        for (name, value) in &answer.headers {
            built.append_header(name.clone(), value.clone())?;
        }
        frame(&mut built, response, session.req_header().version)?;
        *response = built;
        *progress = Progress::Begun {
            request_left: settings.request_bytes_max.saturating_sub(received),
            answer_left: settings.response_bytes_max,
            _held: Box::new((cleared, call)),
        };
        Ok(())
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        progress: &mut Progress,
    ) -> pingora::Result<Option<std::time::Duration>> {
        if let Progress::Begun { answer_left, .. } = progress {
            spend(answer_left, body.as_ref().map_or(0, Bytes::len))?;
        }
        Ok(None)
    }

    /// Something failed while streaming. If the answer has not begun it can still be a proper refusal.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        progress: &mut Progress,
    ) -> FailToProxy {
        let answer = match (
            error.root_cause().downcast_ref::<Given>(),
            std::mem::replace(progress, Progress::Received),
        ) {
            (Some(Given(answer)), _) => Some(answer.clone()),
            (None, Progress::Streaming(streaming)) => {
                let Streaming { snapshot, cleared, mut trail, .. } = *streaming;
                let rejection = rejection(error);
                if let Rejection::Upstream(_) = &rejection {
                    trail.streamed(&cleared.route, None);
                }
                Some(exchange::finish(&self.gateway, &snapshot, &mut trail, Err(rejection)).await)
            }
            // The answer has begun: all that is left is to end the connection.
            (None, Progress::Received | Progress::Begun { .. }) => None,
        };
        let status = answer.as_ref().map_or(StatusCode::INTERNAL_SERVER_ERROR, |answer| answer.status);
        // The connection ends with this answer, so the answer says so: RFC 9112 section 9.6.
        session.downstream_session.set_keepalive(None);
        if let Some(answer) = answer
            && let Err(fault) = answer::write(session, answer, self.gateway.limits.idle_time).await
        {
            tracing::debug!(%fault, "a refusal could not be written");
        }
        FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false }
    }

    fn suppress_error_log(&self, _session: &Session, _progress: &Progress, _error: &Error) -> bool {
        // What was refused is in the audit log, with its reason.
        true
    }
}

/// RFC 9110 section 7.6.1: what `Connection` names ends at this hop, before anything is decided by it. The
/// raw head was refused if it named a field by which requests are framed or proved.
fn end_connection_fields(head: &mut RequestHeader) {
    let nominations = head.headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = nominations.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let named: Vec<String> =
        named.filter(|name| !matches!(name.as_str(), "" | "close" | "keep-alive")).collect();
    for name in named {
        head.remove_header(name.as_str());
    }
}

/// How the end of a streamed body is told to the client, in the one way it is told to us.
fn frame(built: &mut ResponseHeader, came: &ResponseHeader, client: Version) -> pingora::Result<()> {
    let has_content = !answer::forbids_body(came.status);
    if came.headers.contains_key(TRANSFER_ENCODING) {
        // RFC 9112 section 6.1: no coding where there is no content, and none for a client of HTTP/1.0,
        // to whom the end of the connection is the end of the body.
        if has_content && client != Version::HTTP_10 {
            built.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
    } else if let Some(length) = came.headers.get(CONTENT_LENGTH).filter(|_| has_content) {
        built.insert_header(CONTENT_LENGTH, length.clone())?;
    }
    Ok(())
}

/// A refusal that travels through Pingora as an error.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused(std::sync::Mutex<Option<Rejection>>);

/// An answer that was recorded already and only needs to be written.
#[derive(Debug, thiserror::Error)]
#[error("answered")]
struct Given(answer::Answer);

fn refuse(rejection: Rejection) -> Box<Error> {
    Error::because(ErrorType::HTTPStatus(500), "refused", Refused(std::sync::Mutex::new(Some(rejection))))
}

fn given(answer: answer::Answer) -> Box<Error> {
    Error::because(ErrorType::HTTPStatus(answer.status.as_u16()), "answered", Given(answer))
}

fn streaming(progress: &mut Progress) -> pingora::Result<&mut Streaming> {
    match progress {
        Progress::Streaming(streaming) => Ok(streaming),
        Progress::Received | Progress::Begun { .. } => {
            Error::e_explain(ErrorType::InternalError, "a streamed request without its clearance")
        }
    }
}

fn spend(left: &mut usize, bytes: usize) -> pingora::Result<()> {
    match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => {
            Error::e_explain(ErrorType::InternalError, "a streamed body is longer than the contract allows")
        }
    }
}

/// What an error of Pingora's means for the caller.
fn rejection(error: &Error) -> Rejection {
    let refused = error.root_cause().downcast_ref::<Refused>();
    let refused = refused.and_then(|refused| refused.0.lock().ok()?.take());
    refused.unwrap_or_else(|| match error.esource() {
        ErrorSource::Downstream => Rejection::Body(BodyFault::Broken),
        ErrorSource::Upstream => Rejection::Upstream(UpstreamError::while_streaming(error.etype())),
        ErrorSource::Internal | ErrorSource::Unset => Rejection::Internal("streaming-failed"),
    })
}
