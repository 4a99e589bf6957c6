//! The `testbed` program: the simulated peers as a process of their own, and tokens from them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use testbed::demo::{self, Mode};
use testbed::peers::{Peers, token};
use testbed::retailer::{CALLERS, SampleCaller};
use testbed::{install_provider, repository};
use tokio::signal::unix::{SignalKind, signal};

/// The peers of the sample retailer, for demonstrations. They listen on loopback addresses only.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway with the sample's files between simulated peers, and print lines worth trying.
    Demo {
        /// Try the lines, say for each whether its answer is the documented one, and end.
        #[arg(long)]
        check: bool,
    },
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
async fn main() -> ExitCode {
    install_provider();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Demo { check } => demo::run(if check { Mode::Check } else { Mode::Serve }).await,
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
    let peers = Peers::start(certificates, contracts).await?;
    println!("{}", peers.addresses());
    let (mut stop, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
