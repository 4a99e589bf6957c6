//! The demonstration: the real gateway with the sample's files between simulated peers, and lines worth trying.
//!
//! What it prints is meant for somebody who has never seen the gateway. `Mode::Check` runs the very same lines.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

pub mod lines;
mod served;
mod site;

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval};

use crate::gateway::program;
use crate::peers::{Peers, token};
use crate::repository;
use crate::retailer::{CALLERS, SampleCaller};
use lines::{Line, worth_trying};
use served::{Addresses, Served};
use site::Site;

/// What to do once it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Print the lines, and serve until stopped.
    Serve,
    /// Run the lines, and say for each whether its answer is the documented one.
    Check,
}

/// Runs the demonstration from beginning to end.
///
/// # Errors
/// Something it needs is missing, the gateway does not serve, or a line's answer is not the documented one.
pub async fn run(mode: Mode) -> Result<(), Box<dyn Error>> {
    let repository = repository::root();
    let certificates = repository.join("certs/development");
    let contracts = repository.join("contracts");
    // From here on signals are ours: nothing that is started may outlive us.
    let mut stop = Stop::listen()?;

    let site = Site::prepare(&repository)?;
    let peers = Peers::start(&certificates, &contracts)
        .await
        .map_err(|fault| format!("certs/development: {fault}; run certs/make-development"))?;
    site.write_settings(&peers)?;
    site.write_order(&contracts)?;
    let mut served = Served::start(&site).await?;
    write_tokens(&site, &peers, &certificates).await?;

    let lines = worth_trying(served.addresses.port(), &program_from(&repository));
    let outcome = match mode {
        Mode::Check => tokio::select! {
            () = stop.asked() => Err("stopped before every line was tried".into()),
            outcome = check(&repository, &lines) => outcome,
        },
        Mode::Serve => {
            introduce(&served.addresses, &lines);
            tokio::select! {
                () = stop.asked() => Ok(()),
                fault = keep(&mut served, &site, &peers, &certificates) => fault,
            }
        }
    };
    let ended = served.stop()?;
    outcome?;
    in_order(mode, ended)
}

/// Whoever may ask the demo to end: Ctrl-C, a supervisor, the closed terminal.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Asks the issuer for a token of each caller that has one, as the caller itself would.
async fn write_tokens(site: &Site, peers: &Peers, certificates: &Path) -> Result<(), Box<dyn Error>> {
    for caller in CALLERS {
        if let Some(client) = caller.client() {
            let token = token(&client, &peers.issuer.name(), certificates, None).await?;
            site.write_token(caller.id, &token)?;
        }
    }
    Ok(())
}

/// Renews the tokens as long as the gateway serves; returns when it ends by itself.
async fn keep(
    served: &mut Served,
    site: &Site,
    peers: &Peers,
    certificates: &Path,
) -> Result<(), Box<dyn Error>> {
    let mut renewed = Instant::now();
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        if !served.runs()? {
            return Err("the gateway has ended; deploy/run/gateway.log may say why".into());
        }
        if renewed.elapsed() > RENEW_EVERY {
            write_tokens(site, peers, certificates).await?;
            renewed = Instant::now();
        }
    }
}

fn introduce(addresses: &Addresses, lines: &[Line]) {
    println!("\nThe gateway serves.\n");
    println!("  callers       https://localhost:{}", addresses.port());
    println!("  operators     http://{}/status  /metrics  /health/ready", addresses.admin);
    println!("  its files     deploy/run/gateway.yaml  policies/  contracts/");
    println!("  its log       deploy/run/gateway.log");
    println!("\nCallers, with fresh tokens as long as this runs:\n");
    for caller in CALLERS {
        println!("  {}", proofs(&caller));
    }
    println!("\nSix lines worth trying, pasted into another shell at the root of the repository.");
    if PROXY_VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
        println!("Your shell sends requests through a proxy; first say: export no_proxy=localhost");
    }
    for (number, line) in (1..).zip(lines) {
        println!("\n# {number}. {}\n#    Expect {}\n{}", line.title, line.expect, line.command);
    }
    println!("\nCtrl-C ends everything.");
}

/// A caller with the files it proves itself with.
fn proofs(caller: &SampleCaller) -> String {
    let token = caller.token.map(|_| format!("deploy/run/tokens/{}", caller.id));
    let certificate = caller.certificate.map(|_| format!("certs/development/{}.pem", caller.id));
    let row = format!(
        "{:<20} {:<38} {}",
        caller.id,
        token.as_deref().unwrap_or("no token"),
        certificate.as_deref().unwrap_or("no certificate")
    );
    row.trim_end().to_owned()
}

/// The gateway's path, seen from the root of the repository.
fn program_from(repository: &Path) -> String {
    let program = program();
    program.strip_prefix(repository).unwrap_or(&program).display().to_string()
}

/// Runs every line as a shell would, and says what became of it.
async fn check(repository: &Path, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let mut failed = 0;
    println!();
    for line in lines {
        let mut shell = Command::new("sh");
        shell.args(["-c", &line.command]).current_dir(repository).stdin(Stdio::null());
        shell.env("no_proxy", "localhost");
        let output = tokio::task::spawn_blocking(move || shell.output()).await??;
        let printed = String::from_utf8_lossy(&output.stdout);
        match line.judge(&printed) {
            Ok(()) => println!("ok      {}", line.title),
            Err(missing) => {
                failed += 1;
                let errors = String::from_utf8_lossy(&output.stderr);
                println!("FAILED  {}\n        {missing}\n{}\n{printed}{errors}", line.title, line.command);
            }
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} lines did not give the documented answer", lines.len()).into()),
    }
}

fn in_order(mode: Mode, ended: ExitStatus) -> Result<(), Box<dyn Error>> {
    if !ended.success() {
        return Err(format!("the gateway did not end in order: {ended}; see deploy/run/gateway.log").into());
    }
    match mode {
        Mode::Serve => println!("\nEnded in order."),
        Mode::Check => println!("\nAll lines gave the documented answer."),
    }
    Ok(())
}

/// What makes curl call a proxy instead of `localhost`.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
/// The issuer's tokens are good for five minutes.
const RENEW_EVERY: Duration = Duration::from_secs(120);
/// Soon enough to tell that the gateway has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);
