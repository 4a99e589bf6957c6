//! The simulated Vault as a server: what it does instead of its duty, what it has seen, and what time it is there.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use super::listener::{Accepted, Listener};
use super::reply::{Body, Reply};
use super::simulated::{State, health};
use crate::certificates::{Authority, Identity};
use crate::gate::Gate;
use crate::http1::{Received, answer_bytes, read_request};
use crate::seen::Seen;
use crate::tls;

/// What it does instead of its duty.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Sealed, as after every restart: 503.
    Sealed,
    /// Answers as it should, but not before the gate opens.
    Held(Gate),
    /// Closes the connection without a byte.
    Dead,
    /// 429, with `Retry-After` where seconds are given.
    Throttled(Option<u64>),
    /// This status, with a list of errors.
    Status(u16),
    /// 200 and this body, said to be JSON.
    Body(String),
    /// 200 and a JSON text of so many bytes.
    Oversized(usize),
    /// 307 to the active node, as a standby that does not forward answers.
    Standby(String),
}

/// A running one.
pub(super) struct Server {
    pub(super) listener: Listener,
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    root: String,
    /// By the beginning of the path they hit.
    pub(super) faults: Mutex<Vec<(String, Fault)>>,
    /// Requests of clients; those of the handle, which come with the root token, are not counted.
    pub(super) seen: Seen,
    /// Seconds that its clock is ahead.
    ahead: AtomicI64,
}

impl Server {
    pub(super) async fn start(root: &str, identity: &Identity, clients: &Authority) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(root, Timestamp::now().as_second())),
            root: root.to_owned(),
            faults: Mutex::default(),
            seen: Seen::new(),
            ahead: AtomicI64::new(0),
        });
        let of = Arc::clone(&shared);
        let config: Arc<ServerConfig> = tls::server_that_asks(identity, clients);
        let listener =
            Listener::start(config, move |accepted, number| serve(Arc::clone(&of), accepted, number)).await;
        Self { listener, shared }
    }
}

impl Shared {
    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_secs()).expect("a test's time is short");
        self.ahead.fetch_add(by, Ordering::SeqCst);
    }

    fn answer(&self, request: &Received, peer: Option<&[u8]>) -> Reply {
        let now = Timestamp::now().as_second() + self.ahead.load(Ordering::SeqCst);
        self.state.lock().unwrap().answer(request, peer, now)
    }

    fn fault(&self, request: &Received) -> Option<Fault> {
        let path = request.path().strip_prefix("/v1/").unwrap_or_default();
        let faults = self.faults.lock().unwrap();
        faults.iter().find(|(prefix, _)| path.starts_with(prefix.as_str())).map(|(_, fault)| fault.clone())
    }
}

async fn serve(shared: Arc<Shared>, (mut stream, peer): Accepted, number: u64) {
    let mut buffer = BytesMut::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer, number).await {
        let ours = request.header("x-vault-token") == Some(&shared.root);
        if !ours {
            shared.seen.add(request.clone());
        }
        let fault = if ours { None } else { shared.fault(&request) };
        let reply = match fault {
            None => shared.answer(&request, peer.as_deref()),
            Some(Fault::Dead) => return,
            Some(Fault::Held(gate)) => {
                gate.passed().await;
                shared.answer(&request, peer.as_deref())
            }
            Some(fault) => faulty(&fault, &request),
        };
        if stream.write_all(&bytes(&reply)).await.is_err() {
            return;
        }
    }
    drop(stream.shutdown().await);
}

fn faulty(fault: &Fault, request: &Received) -> Reply {
    match fault {
        // Health alone is answered by a sealed Vault.
        Fault::Sealed if request.path() == "/v1/sys/health" => Reply::json(503, health(true)),
        Fault::Standby(_) if request.path() == "/v1/sys/health" => Reply::json(429, health(false)),
        Fault::Sealed => Reply::error(503, "Vault is sealed"),
        Fault::Throttled(seconds) => {
            let mut reply = Reply::error(429, "request path \"x\": rate limit quota exceeded");
            reply.fields.extend(seconds.map(|seconds| ("Retry-After".to_owned(), seconds.to_string())));
            reply
        }
        Fault::Status(status) => Reply::error(*status, "1 error occurred: * internal error"),
        Fault::Body(text) => Reply::text(text.clone()),
        Fault::Oversized(size) => Reply::json(200, json!({"data": {"padding": "x".repeat(*size)}})),
        Fault::Standby(active) => {
            let to = format!("{active}{}", request.target);
            Reply { fields: vec![("Location".to_owned(), to)], ..Reply::json(307, json!({})) }
        }
        Fault::Dead | Fault::Held(_) => Reply::none(),
    }
}

fn bytes(reply: &Reply) -> Vec<u8> {
    let mut fields = reply.fields.clone();
    fields.push(("Cache-Control".to_owned(), "no-store".to_owned()));
    let (kind, body) = match &reply.body {
        Body::None => return answer_bytes(reply.status, &fields, b"", false),
        Body::Json(value) => ("application/json", value.to_string()),
        Body::Text(text) => ("application/json", text.clone()),
    };
    fields.push(("Content-Type".to_owned(), kind.to_owned()));
    answer_bytes(reply.status, &fields, body.as_bytes(), false)
}
