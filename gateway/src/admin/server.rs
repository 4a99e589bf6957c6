//! Which question is asked at which path, and how is it answered?

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;

use super::orders::{self, Orders};
use super::report::StatusReport;
use super::revocations;
use crate::revocation::Revocations;
use crate::telemetry::Metrics;

/// Makes a report of this moment. It is called for each question and must not wait for anything.
pub type Report = Arc<dyn Fn() -> StatusReport + Send + Sync>;

/// Answers on `listener` until `shutdown` is done.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    asked: Asked,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let ordered = Router::new()
        .route("/credentials/{name}/rotate", post(orders::rotate))
        .route_layer(middleware::from_fn(orders::from_an_operator))
        .with_state(asked.orders.clone());
    let routes = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(numbers))
        .route("/status", get(status))
        .merge(revocations::routes())
        .with_state(asked)
        .merge(ordered)
        .layer(middleware::map_response(guard));
    axum::serve(listener, routes).with_graceful_shutdown(shutdown).await
}

/// What questions are answered from, and what orders change.
#[derive(Clone)]
pub struct Asked {
    /// Makes the report.
    pub report: Report,
    /// What else may be ordered.
    pub orders: Orders,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").finish_non_exhaustive()
    }
}

/// The process answers: that is all there is to being alive. Anything more would have it killed for
/// what a restart does not mend.
async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

async fn ready(State(asked): State<Asked>) -> Response {
    let reasons = (asked.report)().not_ready;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

async fn numbers(State(asked): State<Asked>) -> Response {
    let report = (asked.report)();
    if let Some(vault) = &report.vault {
        asked.metrics.vault().read(vault.reading(Timestamp::now()));
    }
    for issuer in report.issuers {
        if let Some(age_s) = issuer.age_s {
            asked.metrics.keys_age(&issuer.name, Duration::from_secs(age_s));
        }
    }
    match asked.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn status(State(asked): State<Asked>) -> Response {
    Json((asked.report)()).into_response()
}

/// What is told is of this moment, and is never run as a page.
async fn guard(mut answer: Response) -> Response {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The format that [`Metrics::encode`] writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::super::orders::{Order, OrderFault};
    use super::super::report::{AuditStatus, IssuerStatus, ReloadFault, RevocationStatus, SnapshotStatus};
    use super::*;
    use crate::diagnostic::{Diagnostic, Place};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    fn report(not_ready: &[&str]) -> StatusReport {
        let mistake = Diagnostic::error(Place::file("gateway.yaml"), "unknown key `x`");
        StatusReport {
            version: "0.1.0",
            snapshot: SnapshotStatus { id: "s1".to_owned(), loaded_at: Timestamp::UNIX_EPOCH, age_s: 7 },
            last_reload_fault: Some(ReloadFault { time: Timestamp::UNIX_EPOCH, diagnostics: mistake.into() }),
            contracts: Vec::new(),
            waivers: 0,
            insecure: Vec::new(),
            issuers: vec![IssuerStatus {
                name: "main".to_owned(),
                issuer: "https://login.example".to_owned(),
                keys: Some(2),
                age_s: Some(3),
                last_error: None,
            }],
            vault: None,
            audit: AuditStatus { records: 1, failures: 0, checkpoint_size: None, unsigned: None },
            revocations: RevocationStatus { written: 0, ordered: 0 },
            usage: None,
            upstreams: Vec::new(),
            expiries: Vec::new(),
            keyring_troubles: Vec::new(),
            credentials: Vec::new(),
            not_ready: not_ready.iter().map(|&reason| reason.to_owned()).collect(),
        }
    }

    fn rotates_odoo() -> Orders {
        let rotate: Order = Arc::new(|name: String| {
            Box::pin(async move {
                match name.as_str() {
                    "odoo" => Ok(json!({ "version": "8" })),
                    "sealed" => Err(OrderFault::Failed("vault-sealed".to_owned())),
                    _ => Err(OrderFault::Unknown),
                }
            })
        });
        Orders { rotate, record: Arc::new(|_done| Box::pin(async { true })) }
    }

    fn asked(not_ready: &'static [&'static str]) -> Asked {
        let report: Report = Arc::new(move || report(not_ready));
        Asked {
            report,
            orders: rotates_odoo(),
            metrics: Arc::new(Metrics::new()),
            revocations: Arc::default(),
        }
    }

    /// Status, head and body of the answer to one request.
    async fn ask(request: &str, not_ready: &'static [&'static str]) -> (u16, String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let done = async { stopped.await.unwrap() };
        let serving = tokio::spawn(serve(listener, asked(not_ready), done));
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let (request, fields) = request.split_once('\n').unwrap_or((request, "Host: a\r\n"));
        let request = format!("{request} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn a_process_that_answers_is_alive() {
        let (status, head, body) = ask("GET /health/live", &["anything"]).await;
        assert_eq!((status, body.as_str()), (200, r#"{"live":true}"#));
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }

    #[tokio::test]
    async fn readiness_says_why_not() {
        let (status, _, body) = ask("GET /health/ready", &[]).await;
        assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"reasons":[]}"#));
        let (status, _, body) = ask("GET /health/ready", &["audit log cannot be written"]).await;
        assert_eq!(
            (status, body.as_str()),
            (503, r#"{"ready":false,"reasons":["audit log cannot be written"]}"#)
        );
    }

    #[tokio::test]
    async fn metrics_are_of_this_moment() {
        let (status, head, body) = ask("GET /metrics", &[]).await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
        assert!(body.contains("gateway_jwks_age_seconds{issuer=\"main\"} 3.0\n"), "{body}");
        assert!(body.ends_with("# EOF\n"));
    }

    #[tokio::test]
    async fn the_status_names_mistakes_with_their_place() {
        let (status, _, body) = ask("GET /status", &[]).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &body["snapshot"]["id"]), (200, &"s1".into()));
        let mistake = &body["last_reload_fault"]["diagnostics"][0];
        assert_eq!(
            (&mistake["file"], &mistake["message"]),
            (&"gateway.yaml".into(), &"unknown key `x`".into())
        );
    }

    #[tokio::test]
    async fn an_order_is_carried_out_for_a_program_only() {
        let fields = "Host: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 0\r\n";
        let order = async |name: &str, fields: &str| {
            let (status, _, body) = ask(&format!("POST /credentials/{name}/rotate\n{fields}"), &[]).await;
            (status, body)
        };
        assert_eq!(order("odoo", fields).await, (200, r#"{"version":"8"}"#.to_owned()));
        assert_eq!(order("sealed", fields).await, (503, r#"{"error":"vault-sealed"}"#.to_owned()));
        assert_eq!(order("other", fields).await.0, 404);
        assert_eq!(order("odoo", "Host: 127.0.0.1\r\nContent-Length: 0\r\n").await.0, 403);
        assert_eq!(ask(&format!("GET /credentials/odoo/rotate\n{fields}"), &[]).await.0, 405);
    }

    #[tokio::test]
    async fn what_tells_only_tells() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            for path in ["/health/live", "/health/ready", "/metrics", "/status"] {
                let (status, head, _) = ask(&format!("{method} {path}"), &[]).await;
                assert_eq!(status, 405, "{method} {path}");
                assert!(head.contains("allow: get,head"), "{head}");
            }
        }
        assert_eq!(ask("GET /", &[]).await.0, 404);
        let (status, _, body) = ask("HEAD /status", &[]).await;
        assert_eq!((status, body.as_str()), (200, ""));
    }
}
