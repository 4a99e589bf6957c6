//! The `testbed` program: the simulated peers as a process of their own, and tokens from them.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use testbed::certificates::Identity;
use testbed::issuer::{Client, Issuer, paths};
use testbed::retailer::{CALLERS, SampleCaller};
use testbed::upstream::{Security, Upstream};
use testbed::{AUDIENCE, install_provider, repository};
use tokio::signal::unix::{SignalKind, signal};

/// The peers of the sample retailer, for demonstrations. They listen on loopback addresses only.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the issuer and the upstreams, print their addresses as one line of JSON, and serve until stopped.
    Peers {
        /// The folder of the development certificates (see certs/make-development).
        #[arg(long, value_name = "FOLDER")]
        certificates: Option<PathBuf>,
        /// The folder of the contracts whose examples the upstreams answer with.
        #[arg(long, value_name = "FOLDER")]
        contracts: Option<PathBuf>,
    },
    /// Print an access token of a sample caller, from an issuer that `peers` has started.
    Token {
        /// The caller's name in policies/callers.yaml.
        #[arg(long)]
        caller: String,
        /// The issuer's address, as `peers` printed it.
        #[arg(long, value_name = "URL")]
        issuer: String,
        /// The folder of the development certificates.
        #[arg(long, value_name = "FOLDER")]
        certificates: Option<PathBuf>,
        /// Fewer scopes than the caller may have, separated by spaces.
        #[arg(long)]
        scope: Option<String>,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    install_provider();
    match Arguments::parse().command {
        Command::Peers { certificates, contracts } => {
            let contracts = contracts.unwrap_or_else(|| repository::folder("contracts"));
            peers(&development(certificates), &contracts).await
        }
        Command::Token { caller, issuer, certificates, scope } => {
            let known = CALLERS.iter().find(|c| c.id == caller).and_then(SampleCaller::client);
            let client = known.ok_or_else(|| format!("no sample caller `{caller}` has a token"))?;
            println!("{}", token(&client, &issuer, &development(certificates), scope.as_deref()).await?);
            Ok(())
        }
    }
}

fn development(certificates: Option<PathBuf>) -> PathBuf {
    certificates.unwrap_or_else(|| repository::folder("certs").join("development"))
}

async fn peers(certificates: &Path, contracts: &Path) -> Result<(), Box<dyn Error>> {
    let identity = Identity::read(certificates, "upstream")?;
    let issuer = Issuer::start(AUDIENCE, Some(&identity)).await;
    for client in CALLERS.iter().filter_map(SampleCaller::client) {
        issuer.register(client);
    }
    let odoo = Upstream::start(contracts, Security::None).await;
    let warehouse = Upstream::start(contracts, Security::Tls { identity: &identity, clients: None }).await;
    let ready = json!({
        "event": "ready",
        "issuer": issuer.name(),
        "jwks": issuer.url(paths::JWKS),
        "odoo": odoo.address().to_string(),
        "warehouse": warehouse.address().to_string(),
    });
    println!("{ready}");
    let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn token(
    client: &Client,
    issuer: &str,
    certificates: &Path,
    scope: Option<&str>,
) -> Result<String, Box<dyn Error>> {
    let root = std::fs::read(certificates.join("internal-ca.pem"))?;
    let http = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&root)?])
        .no_proxy()
        .build()?;
    let mut form = String::from("grant_type=client_credentials");
    if let Some(scope) = scope {
        // Scopes of the sample need no escape but for the space between them.
        form.push_str(&format!("&scope={}", scope.replace(' ', "+")));
    }
    let asked = http
        .post(format!("{issuer}{}", paths::TOKEN))
        .basic_auth(&client.id, Some(&client.secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let answer: Value = serde_json::from_str(&asked.send().await?.text().await?)?;
    match answer.get("access_token").and_then(Value::as_str) {
        Some(token) => Ok(token.to_owned()),
        None => Err(format!("the issuer refused: {answer}").into()),
    }
}
