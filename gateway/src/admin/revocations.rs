//! Who is shut out from this second on? Orders of operators, as JSON.
//!
//! `GET /revocations` shows what is in force, `POST` revokes, `DELETE /revocations/ID` takes one back. Both orders say
//! `by` whom, and are on record in the audit log when they are answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::orders::{Done, What, from_an_operator, is_addressed};
use super::server::Asked;
use crate::document::unique;
use crate::revocation::{Entry, OrderFault, Revocations};

/// The routes of orders.
pub(super) fn routes() -> Router<Asked> {
    Router::new()
        .route("/revocations", get(list).post(order))
        .route("/revocations/{id}", delete(lift))
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .layer(middleware::from_fn(from_a_program))
}

async fn list(State(asked): State<Asked>) -> Response {
    Json(asked.revocations.in_force(Timestamp::now())).into_response()
}

async fn order(State(asked): State<Asked>, body: Bytes) -> Response {
    let Some(mut members) = unique::object(&body) else {
        return refused(StatusCode::BAD_REQUEST, "an order is one JSON object");
    };
    let Some(Value::String(by)) = members.remove("by") else {
        return refused(StatusCode::BAD_REQUEST, "`by` says who orders it");
    };
    let entry: Entry = match serde_json::from_value(Value::Object(members)) {
        Ok(entry) => entry,
        Err(mistake) => return refused(StatusCode::BAD_REQUEST, &mistake.to_string()),
    };
    let issuers: Vec<String> = (asked.report)().issuers.into_iter().map(|issuer| issuer.name).collect();
    let (kind, issuer) = (entry.kind(), entry.issuer().unwrap_or_default().to_owned());
    let ordered = on_disk(&asked, move |revocations| {
        let issuers: Vec<&str> = issuers.iter().map(String::as_str).collect();
        revocations.order(entry, &by, &issuers, Timestamp::now())
    })
    .await;
    match ordered {
        Some(Ok(ordered)) => {
            let (id, by) = (&ordered.id, &ordered.by);
            tracing::warn!(id, by, kind, issuer, "revoked by order of the admin listener");
            let by = by.clone();
            if !(asked.orders.record)(Done { what: What::Revoked, by, revoked: ordered.clone() }).await {
                return refused(StatusCode::INTERNAL_SERVER_ERROR, "the order holds and is not on record");
            }
            (StatusCode::CREATED, Json(json!(ordered))).into_response()
        }
        Some(Err(OrderFault::Mistake(mistake))) => refused(StatusCode::BAD_REQUEST, &mistake.to_string()),
        Some(Err(full @ OrderFault::Full)) => refused(StatusCode::CONFLICT, &full.to_string()),
        Some(Err(OrderFault::Unwritten(fault))) => {
            let error: &(dyn std::error::Error + 'static) = &fault;
            tracing::error!(
                error,
                kind,
                issuer,
                "a revocation was ordered and could not be kept: it does not hold"
            );
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the order could not be written down and does not hold",
            )
        }
        None => refused(StatusCode::INTERNAL_SERVER_ERROR, "the order failed and does not hold"),
    }
}

async fn lift(State(asked): State<Asked>, Path(id): Path<String>, body: Bytes) -> Response {
    let by = unique::object(&body).and_then(|mut members| members.remove("by"));
    let Some(Value::String(by)) = by else {
        return refused(StatusCode::BAD_REQUEST, "`by` says who orders it");
    };
    let as_told = by.clone();
    match on_disk(&asked, move |revocations| revocations.lift(&id, &as_told)).await {
        Some(Ok(Some(lifted))) => {
            let (kind, issuer) = (lifted.entry.kind(), lifted.entry.issuer().unwrap_or_default());
            let id = &lifted.id;
            tracing::warn!(id, by, kind, issuer, "a revocation was lifted by order of the admin listener");
            if !(asked.orders.record)(Done { what: What::Lifted, by, revoked: lifted }).await {
                return refused(StatusCode::INTERNAL_SERVER_ERROR, "it is lifted, and that is not on record");
            }
            StatusCode::NO_CONTENT.into_response()
        }
        Some(Ok(None)) => refused(StatusCode::NOT_FOUND, "there is no such order"),
        Some(Err(OrderFault::Mistake(mistake))) => refused(StatusCode::BAD_REQUEST, &mistake.to_string()),
        Some(Err(fault)) => {
            let error: &(dyn std::error::Error + 'static) = &fault;
            tracing::error!(error, "a revocation could not be lifted");
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the revocation could not be lifted and still holds")
        }
        None => refused(StatusCode::INTERNAL_SERVER_ERROR, "the order failed; see GET /revocations"),
    }
}

/// Does what waits for the disk, which nobody else is to wait for; nothing if it came to no end.
async fn on_disk<T: Send + 'static>(
    asked: &Asked,
    change: impl FnOnce(&Revocations) -> T + Send + 'static,
) -> Option<T> {
    let revocations = Arc::clone(&asked.revocations);
    tokio::task::spawn_blocking(move || change(&revocations)).await.ok()
}

/// What is revoked is read, and orders are made, by programs only.
async fn from_a_program(request: Request, next: Next) -> Response {
    if request.method() == Method::GET && is_addressed(request.headers()) {
        return next.run(request).await;
    }
    from_an_operator(request, next).await
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// The longest names and a reason.
const ORDER_BYTES_MAX: usize = 4 * 1024;
