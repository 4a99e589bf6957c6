//! What is a caller told about each refusal, beyond its type?
//!
//! What it has to change, and nothing that helps an attacker.

use http::header::{ALLOW, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};

use super::challenge::{Offer, Wrong};
use super::{
    CERTIFICATE, EXPECTATION, HEAD_TOO_LARGE, INTERNAL, KIND, MALFORMED, MEDIA_TYPE, METHOD, NOT_ACCEPTABLE,
    NOT_IMPLEMENTED, POLICY, QUOTA, SCOPE, TARGET_TOO_LONG, TIMEOUT, TOO_LARGE, UNAVAILABLE, UNKNOWN,
    UPSTREAM_FAILED, UPSTREAM_TIMEOUT, VERSION_UNSUPPORTED, VIOLATION, versions,
};
use crate::contract::{NoMatch, RequestFault};
use crate::edge::{BodyFault, HeadClass, HeadFault};
use crate::identity::Challenge;
use crate::policy::PolicyRefusal;
use crate::problem::Problem;
use crate::quota::{Exceeded, Reason};
use crate::upstream::{self, UpstreamError};

pub(super) fn head(fault: HeadFault) -> Problem {
    let (kind, status, advice) = match fault.class() {
        HeadClass::Malformed => {
            (MALFORMED, StatusCode::BAD_REQUEST, "The request head cannot be read in exactly one way")
        }
        HeadClass::TooLarge => (
            HEAD_TOO_LARGE,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Send fewer or smaller header fields",
        ),
        HeadClass::TargetTooLong => {
            (TARGET_TOO_LONG, StatusCode::URI_TOO_LONG, "Send a shorter request target")
        }
        HeadClass::NotImplemented => (
            NOT_IMPLEMENTED,
            StatusCode::NOT_IMPLEMENTED,
            "The method or transfer coding is served nowhere here",
        ),
        HeadClass::VersionUnsupported => {
            (VERSION_UNSUPPORTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED, "Use HTTP/1.1, or HTTP/2 over TLS")
        }
        HeadClass::ExpectationFailed => {
            (EXPECTATION, StatusCode::EXPECTATION_FAILED, "Only `Expect: 100-continue` can be met")
        }
    };
    // The code is a fixed word; it helps whoever writes the client and says nothing of the gateway.
    Problem::new(kind, status, format!("{advice} ({}).", fault.reason()))
}

pub(super) fn unmatched(no_match: NoMatch) -> Problem {
    match no_match {
        NoMatch::Path => Problem::new(
            UNKNOWN,
            StatusCode::NOT_FOUND,
            "No published contract describes this path. Check version and path.",
        ),
        NoMatch::Version(none) => versions::no_version(none),
        NoMatch::Method { allow } => {
            let allow: Vec<&str> = allow.iter().map(Method::as_str).collect();
            let allow = allow.join(", ");
            let detail = format!("This path serves {allow}.");
            // RFC 9110 section 15.5.6
            with(Problem::new(METHOD, StatusCode::METHOD_NOT_ALLOWED, detail), ALLOW, &allow)
        }
    }
}

pub(super) fn certificate_not_trusted() -> Problem {
    Problem::new(
        CERTIFICATE,
        StatusCode::FORBIDDEN,
        "The client certificate of this connection is not trusted any more. Connect again with a current one.",
    )
}

/// A room's advice as a sentence.
pub(super) fn sentence(advice: &str) -> String {
    let mut characters = advice.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).chain(['.']).collect())
        .unwrap_or_default()
}

/// RFC 6750 section 3.1: the scopes that would have sufficed.
pub(super) fn scope(scopes: &[String], offer: &Offer<'_>) -> Problem {
    let scopes = scopes.join(" ");
    let detail = format!("The token lacks a scope. This operation asks for: {scopes}");
    let challenge = Challenge { error: Some("insufficient_scope"), description: None };
    let wrong = Wrong { scopes: Some(&scopes), ..Wrong::of(challenge) };
    offer.challenge(Problem::new(SCOPE, StatusCode::FORBIDDEN, detail), wrong)
}

pub(super) fn policy(refusal: &PolicyRefusal) -> Problem {
    match refusal {
        PolicyRefusal::KindNotServed => kind(),
        PolicyRefusal::Failed { .. } => Problem::new(
            INTERNAL,
            StatusCode::INTERNAL_SERVER_ERROR,
            "Whether you may do this cannot be decided at the moment. Nothing was sent on.",
        ),
        PolicyRefusal::Undecidable { .. } => Problem::new(
            MALFORMED,
            StatusCode::BAD_REQUEST,
            "Whether you may do this cannot be decided: send each query parameter as often as the contract says.",
        ),
        PolicyRefusal::Denied { .. } | PolicyRefusal::Forbidden { .. } => {
            let codes: Vec<&str> = refusal.reasons().iter().map(|code| &**code).collect();
            let detail = match codes.as_slice() {
                [] => "Policy does not allow you to do this.".to_owned(),
                codes => format!("Policy does not allow you to do this ({}).", codes.join(", ")),
            };
            Problem::new(POLICY, StatusCode::FORBIDDEN, detail)
        }
    }
}

pub(super) fn kind() -> Problem {
    Problem::new(
        KIND,
        StatusCode::FORBIDDEN,
        "This operation does not serve callers of your kind (partner, service, bot or person).",
    )
}

pub(super) fn quota(exceeded: &Exceeded) -> Problem {
    let detail = match exceeded.reason() {
        Reason::Rate => "Your rate plan is used up for now; `Retry-After` says until when.",
        Reason::Cost => "This operation costs more than your rate plan ever holds. Ask for another plan.",
        Reason::Concurrency => {
            "You have as many requests in flight as your plan allows. Wait for one to end."
        }
        Reason::Address => {
            "Too many refused or anonymous calls came from your address; `Retry-After` says until when."
        }
    };
    let mut problem = Problem::new(QUOTA, StatusCode::TOO_MANY_REQUESTS, detail);
    problem.violated_policies = exceeded.violated().iter().map(ToString::to_string).collect();
    exceeded.write(&mut problem.headers);
    problem
}

pub(super) fn body(fault: BodyFault) -> Problem {
    match fault {
        BodyFault::TooLarge { max } => Problem::new(
            TOO_LARGE,
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("This operation takes at most {max} bytes of body."),
        ),
        BodyFault::Slow => {
            Problem::new(TIMEOUT, StatusCode::REQUEST_TIMEOUT, "The request body took too long.")
        }
        BodyFault::Broken => {
            Problem::new(MALFORMED, StatusCode::BAD_REQUEST, "The body is cut or its framing is broken.")
        }
        BodyFault::Overloaded => unavailable("The gateway is full at the moment. Try again shortly."),
    }
}

pub(super) fn request(fault: RequestFault) -> Problem {
    match fault {
        RequestFault::Malformed(violation) => {
            let mut problem = Problem::new(
                MALFORMED,
                StatusCode::BAD_REQUEST,
                "The body cannot be read as what it says it is.",
            );
            problem.violations = vec![violation];
            problem
        }
        RequestFault::MediaType { accepted, method } => media_type(&accepted, &method),
        // RFC 9110 sections 12.5.3 and 15.5.16: which codings would have been accepted.
        RequestFault::Encoding { accepted } => with(
            Problem::new(
                MEDIA_TYPE,
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!("Send the body with one of these content codings: {accepted}"),
            ),
            http::header::ACCEPT_ENCODING,
            accepted,
        ),
        RequestFault::TooLarge { max } => body(BodyFault::TooLarge { max }),
        RequestFault::NotAcceptable { offered } => Problem::new(
            NOT_ACCEPTABLE,
            StatusCode::NOT_ACCEPTABLE,
            format!("This operation answers with: {}", offered.join(", ")),
        ),
        RequestFault::Violations(violations) => {
            let mut problem = Problem::new(
                VIOLATION,
                StatusCode::UNPROCESSABLE_ENTITY,
                "The request does not fit the contract; `errors` says where and what would.",
            );
            problem.more_violations = violations.more();
            problem.violations = violations.as_slice().to_vec();
            problem
        }
    }
}

pub(super) fn media_type(accepted: &[String], method: &Method) -> Problem {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    if accepted.is_empty() {
        return Problem::new(MEDIA_TYPE, status, "This operation takes no body that can be checked.");
    }
    let accepted = accepted.join(", ");
    let problem = Problem::new(MEDIA_TYPE, status, format!("Send the body as: {accepted}"));
    // RFC 9110 section 15.5.16: what would have been accepted.
    let problem = with(problem, http::header::ACCEPT, &accepted);
    match *method {
        // RFC 5789 section 3.1, and the same for POST in the Linked Data Platform, section 7.1.
        Method::PATCH => with(problem, ACCEPT_PATCH, &accepted),
        Method::POST => with(problem, ACCEPT_POST, &accepted),
        _ => problem,
    }
}

pub(super) fn upstream(error: &UpstreamError) -> Problem {
    match error.fault {
        upstream::Fault::Busy => unavailable("The service behind the gateway is busy. Try again shortly."),
        upstream::Fault::NoCertificate => {
            unavailable("The gateway has no certificate for the service behind it yet. Try again shortly.")
        }
        upstream::Fault::Open => {
            unavailable("The service behind the gateway has not answered for a while. Try again shortly.")
        }
        upstream::Fault::Deadline | upstream::Fault::FirstByte => Problem::new(
            UPSTREAM_TIMEOUT,
            StatusCode::GATEWAY_TIMEOUT,
            "The service behind the gateway did not answer in time. Whether it acted is not known.",
        ),
        _ if error.maybe_done() => Problem::new(
            UPSTREAM_FAILED,
            StatusCode::BAD_GATEWAY,
            "The service behind the gateway failed while it answered. Whether it acted is not known.",
        ),
        _ => Problem::new(
            UPSTREAM_FAILED,
            StatusCode::BAD_GATEWAY,
            "The service behind the gateway cannot be reached. Nothing was done.",
        ),
    }
}

pub(super) fn unavailable(detail: &str) -> Problem {
    with(Problem::new(UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE, detail), RETRY_AFTER, RETRY_UNAVAILABLE)
}

pub(super) fn with(mut problem: Problem, name: HeaderName, value: &str) -> Problem {
    // Built from names that were checked when they were loaded; one that is no header value is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        problem.headers.insert(name, value);
    }
    problem
}

const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// Seconds: long enough for most short faults to pass.
const RETRY_UNAVAILABLE: &str = "5";
