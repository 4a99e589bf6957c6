//! How does a command ask a gateway that runs?
//!
//! By its admin listener, which is on an address of its own and on this machine as a rule.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
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

impl Running {
    /// What it tells at `path`.
    pub(super) fn ask(&self, path: &str) -> Result<Value, String> {
        self.send(Method::GET, path)
    }

    /// Has it do what stands at `path`.
    pub(super) fn order(&self, path: &str) -> Result<Value, String> {
        self.send(Method::POST, path)
    }

    fn send(&self, method: Method, path: &str) -> Result<Value, String> {
        let address = match self.admin.or_else(|| Outline::read(&self.settings.config).admin) {
            Some(address) if address.port() != 0 => address,
            _ => {
                return Err(
                    "no admin listener with a port is named\n  help: --admin 127.0.0.1:9901".to_owned()
                );
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|fault| fault.to_string())?.block_on(send(method, address, path))
    }
}

async fn send(method: Method, address: SocketAddr, path: &str) -> Result<Value, String> {
    let no_answer = |fault: &dyn std::error::Error| {
        format!(
            "the gateway at {address} does not answer: {fault}\n  help: is it running? --admin names another"
        )
    };
    let client = fetch::client(&Trust { ca: None, timeout: PATIENCE }, None)?;
    let request = client.request(method, format!("http://{address}{path}"));
    let request = request.header(CONTENT_TYPE, "application/json");
    let Answer { status, body, .. } =
        fetch::send(request, STATUS_BYTES_MAX).await.map_err(|fault| no_answer(&fault))?;
    let told: Value = serde_json::from_slice(&body).map_err(|fault| no_answer(&fault))?;
    if status.is_success() {
        return Ok(told);
    }
    let why = told.get("error").and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
    Err(format!("the gateway at {address} answers {}{why}", status.as_u16()))
}

/// A reading of a source may take as long as its own time limit.
const PATIENCE: Duration = Duration::from_secs(30);
/// The status of a gateway with thousands of contracts and certificates.
const STATUS_BYTES_MAX: usize = 64 << 20;
