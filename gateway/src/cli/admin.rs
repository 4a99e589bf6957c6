//! How does a command ask a gateway that runs?
//!
//! By its admin listener, which is on an address of its own and on this machine as a rule.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Settings;
use crate::config::Outline;
use crate::fetch::{self, Answer, Trust};

/// Which running gateway is meant.
#[derive(Debug, Args)]
pub(super) struct Running {
    #[command(flatten)]
    settings: Settings,
    /// The admin listener, if it is not the one that the file names: 127.0.0.1:9901
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

/// Why a running gateway has not done what it was asked.
#[derive(Debug)]
pub(super) enum Undone {
    /// It says no: nothing has changed.
    Refused(String),
    /// It was not heard, or nothing of use was: what it has done is not known.
    Unheard(String),
}

impl Running {
    /// What it tells at `path`.
    pub(super) fn ask(&self, path: &str) -> Result<Value, Undone> {
        self.send(Method::GET, path, None)
    }

    /// Has it do what stands at `path`.
    pub(super) fn order(&self, path: &str) -> Result<Value, Undone> {
        self.send(Method::POST, path, None)
    }

    /// Sends `body`, or nothing, to `path`; nothing is what an answer without a body tells.
    pub(super) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Undone> {
        let address = match self.admin.or_else(|| Outline::read(&self.settings.config).admin) {
            Some(address) if address.port() != 0 => address,
            _ => {
                let told = "no admin listener with a port is named\n  help: --admin 127.0.0.1:9901";
                return Err(Undone::Unheard(told.to_owned()));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|fault| Undone::Unheard(fault.to_string()))?;
        runtime.block_on(send(method, address, path, body))
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(told) | Self::Unheard(told) => f.write_str(told),
        }
    }
}

impl From<Undone> for String {
    fn from(undone: Undone) -> Self {
        undone.to_string()
    }
}

async fn send(
    method: Method,
    address: SocketAddr,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Undone> {
    let unheard = |fault: &dyn std::error::Error| {
        Undone::Unheard(format!(
            "the gateway at {address} does not answer: {fault}\n  help: is it running? --admin names another"
        ))
    };
    let client = fetch::client(&Trust { ca: None, timeout: PATIENCE }, None);
    let client = client.map_err(|fault| Undone::Unheard(fault.to_owned()))?;
    let request = client.request(method, format!("http://{address}{path}"));
    let mut request = request.header(CONTENT_TYPE, "application/json");
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    let Answer { status, body, .. } =
        fetch::send(request, STATUS_BYTES_MAX).await.map_err(|fault| unheard(&fault))?;
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let told: Value = serde_json::from_slice(&body).map_err(|fault| unheard(&fault))?;
    if status.is_success() {
        return Ok(told);
    }
    let why = told.get("error").and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
    let told = format!("the gateway at {address} answers {}{why}", status.as_u16());
    // RFC 9110 section 15.6: with 5xx it is at fault itself, and may have begun what it did not end.
    if status.is_client_error() { Err(Undone::Refused(told)) } else { Err(Undone::Unheard(told)) }
}

/// A reading of a source may take as long as its own time limit.
const PATIENCE: Duration = Duration::from_secs(30);
/// The status of a gateway with thousands of contracts and certificates.
const STATUS_BYTES_MAX: usize = 64 << 20;
