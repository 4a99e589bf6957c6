//! What may an operator order on the admin listener, and who is not an operator?
//!
//! The listener has no access control but its address, so an order must be one that no page in a browser on
//! the same machine can make: it needs a media type that a page cannot send elsewhere without asking first
//! (Fetch standard, CORS-safelisted request-header), and a `Host` that is an address, which no name that is
//! made to lead here can be.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::revocation::Ordered;

/// One order, of something by its name; done when it answers.
pub type Order =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Value, OrderFault>> + Send>> + Send + Sync>;

/// Puts on record what was ordered and done; whether it is on record when that is over.
pub type Recorder = Arc<dyn Fn(Done) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What an operator may order.
#[derive(Clone)]
pub struct Orders {
    /// Reads the source of a credential now.
    pub rotate: Order,
    /// For orders about revocations.
    pub record: Recorder,
}

/// An order about a revocation that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Whether it holds from now on, or no more.
    pub what: What,
    /// Who ordered this, as they said.
    pub by: String,
    /// What is revoked, or was.
    pub revoked: Ordered,
}

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It holds.
    Revoked,
    /// It does not any more.
    Lifted,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderFault {
    /// There is nothing of that name.
    Unknown,
    /// It failed, for this reason.
    Failed(String),
}

/// `POST /credentials/NAME/rotate`
pub(super) async fn rotate(State(orders): State<Orders>, Path(name): Path<String>) -> Response {
    match (orders.rotate)(name).await {
        Ok(done) => Json(done).into_response(),
        Err(OrderFault::Unknown) => {
            (StatusCode::NOT_FOUND, Json(json!({ "error": "there is none of that name" }))).into_response()
        }
        Err(OrderFault::Failed(why)) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": why }))).into_response()
        }
    }
}

/// Lets an order pass that an operator's program makes.
pub(super) async fn from_an_operator(request: Request, next: Next) -> Response {
    if is_from_a_program(request.headers()) {
        return next.run(request).await;
    }
    let told = "send the order to an address, with `Content-Type: application/json`";
    (StatusCode::FORBIDDEN, Json(json!({ "error": told }))).into_response()
}

/// Whether what only reads comes from a program too: nobody else is told what operators see.
pub(super) fn is_addressed(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    !headers.contains_key("origin") && host.is_some_and(is_address)
}

fn is_from_a_program(headers: &HeaderMap) -> bool {
    let json = headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    json && is_addressed(headers)
}

fn is_address(host: &str) -> bool {
    let host =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_from_a_program_and_not_from_a_page() {
        let row = |fields: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(*name, value.parse().unwrap());
            }
            is_from_a_program(&headers)
        };
        let json = ("content-type", "application/json");
        assert!(row(&[json, ("host", "127.0.0.1:9901")]));
        assert!(row(&[json, ("host", "[::1]:9901")]));
        assert!(row(&[json, ("host", "10.0.0.7")]));
        assert!(!row(&[("host", "127.0.0.1:9901")]));
        assert!(!row(&[("content-type", "text/plain"), ("host", "127.0.0.1:9901")]));
        assert!(!row(&[json, ("host", "rebound.example:9901")]));
        assert!(!row(&[json, ("host", "localhost:9901")]), "a name, whoever answers for it");
        assert!(!row(&[json]));
        assert!(!row(&[json, ("host", "127.0.0.1:9901"), ("origin", "http://127.0.0.1:9901")]));
    }
}
