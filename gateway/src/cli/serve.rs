//! `gateway serve`: from the files to a process that serves them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::runtime::{Handle, Runtime};

use super::Settings;
use crate::audit::Signer;
use crate::diagnostic::Diagnostics;
use crate::edge::{self, Bound};
use crate::gateway::Gateway;
use crate::memory::{self, Guarded};
use crate::reload::{Reloader, follow_revocations};
use crate::snapshot::Snapshot;
use crate::telemetry::{self, Metrics};
use crate::vault::VaultFault;
use crate::{admin, audit, config, drain, orders, status, upkeep};

/// Serve requests until stopped.
///
/// When it serves, it prints one line of JSON with the addresses it is bound to. SIGHUP reloads the
/// files; SIGTERM stops accepting, lets requests in flight finish (`run.grace`), and closes the audit log.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        match self.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("{message}");
                ExitCode::FAILURE
            }
        }
    }

    fn serve(self) -> Result<(), String> {
        // Before the first secret is read.
        let guarded = memory::guard();
        let metrics = Arc::new(Metrics::new());
        let (snapshot, warnings) =
            Snapshot::load(&self.settings.config, None, &metrics).map_err(|mistakes| mistakes.to_string())?;
        let settings = Arc::clone(snapshot.settings());
        telemetry::logging::init(settings.log, &settings.log_filter).map_err(|fault| fault.to_string())?;
        tell(guarded, &warnings, &settings.insecure);
        let (log, recovery) = audit::Log::open(settings.audit.clone()).map_err(|fault| chain(&fault))?;
        tracing::info!(?recovery, "the audit log is open");

        let mut listeners = Vec::new();
        for listener in &settings.listeners {
            let bound = Bound::new(listener.address).map_err(|e| format!("{}: {e}", listener.address))?;
            listeners.push((listener.clone(), bound));
        }
        let admin = Bound::new(settings.admin).map_err(|e| format!("admin {}: {e}", settings.admin))?;
        let bound: BTreeMap<&str, String> = listeners
            .iter()
            .map(|(listener, bound)| (listener.name.as_str(), bound.address().to_string()))
            .collect();
        let ready =
            json!({"event": "ready", "listeners": bound, "admin": admin.address().to_string()}).to_string();
        let admin_socket = admin.into_socket();

        let gateway = Arc::new(Gateway::new(snapshot, log, metrics));
        gateway.keyring().partners().restore(&settings.partners);
        // Outlives the threads that serve: the last checkpoint is signed after them, and Vault left after that.
        let notary = runtime("notary", 1)?;
        sign_in_vault(&settings, &gateway, notary.handle());
        let runtime = runtime("gateway", settings.threads)?;
        runtime
            .block_on(async {
                let stopping = || gateway.stopping();
                let reloader = Reloader::new(Arc::clone(&gateway), self.settings.config);
                tokio::spawn(edge::listen(Arc::clone(&gateway), listeners));
                let admin = tokio::net::TcpListener::from_std(admin_socket)?;
                let of = Arc::clone(&gateway);
                let report: admin::Report = Arc::new(move || status::report(&of));
                // Until the very end: that it stops, and what it still waits for, is told here.
                let never = std::future::pending();
                let orders = orders::of(&gateway);
                let asked = admin::Asked {
                    report,
                    orders,
                    metrics: Arc::clone(gateway.metrics()),
                    revocations: Arc::clone(gateway.current().revocations()),
                };
                tokio::spawn(admin::serve(admin, asked, never));
                tokio::spawn(reloader.run(stopping()));
                tokio::spawn(follow_revocations(Arc::clone(&gateway), stopping()));
                tokio::spawn(upkeep::run(Arc::clone(&gateway), move || announce(&ready), stopping()));
                tokio::spawn(upkeep::keep_keyring(Arc::clone(&gateway), stopping()));
                tokio::spawn(upkeep::keep_credentials(Arc::clone(&gateway), stopping()));
                tokio::spawn(upkeep::tell_handshakes(Arc::clone(&gateway), stopping()));
                tokio::spawn(upkeep::keep_usage(Arc::clone(&gateway), stopping()));
                tokio::spawn(upkeep::keep_vault(Arc::clone(&gateway), stopping()));
                drain::run(&gateway).await;
                upkeep::finish(&gateway).await;
                std::io::Result::Ok(())
            })
            .map_err(|fault| fault.to_string())?;
        runtime.shutdown_timeout(AFTER_GRACE);
        upkeep::flush_usage(&gateway);
        // Everything that was answered is recorded; the last checkpoint says so.
        let closed = gateway.audit().close().map_err(|lost| lost.to_string());
        notary.block_on(upkeep::leave_vault(&gateway));
        notary.shutdown_background();
        closed
    }
}

/// What operators should know before anything is served.
fn tell(Guarded { no_dumps, locked }: Guarded, warnings: &Diagnostics, insecure: &[String]) {
    tracing::info!(no_dumps, locked, "the memory of this process is guarded as far as the machine lets it");
    for warning in warnings.iter() {
        tracing::warn!(%warning, "a file is worth a look");
    }
    for setting in insecure {
        tracing::warn!(setting, "an insecure setting is on");
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all().build().map_err(|fault| fault.to_string())
}

/// Lets the audit log have its checkpoints signed in Vault, where the files say so: by the session that the
/// snapshot of that moment has.
fn sign_in_vault(settings: &config::Settings, gateway: &Arc<Gateway>, notary: &Handle) {
    let (Signer::Elsewhere(signer), Some(key)) = (&settings.audit.signer, settings.audit_transit.clone())
    else {
        return;
    };
    // Weak: the log belongs to the gateway, and must not keep it alive.
    let (gateway, notary) = (Arc::downgrade(gateway), notary.clone());
    signer.connect(Box::new(move |message| {
        let vault = gateway.upgrade().and_then(|gateway| gateway.current().vault().cloned());
        let vault = vault.ok_or(VaultFault::NoSession.reason())?;
        let signature = notary.block_on(vault.sign(&key, message));
        signature.map(|signature| signature.bytes).map_err(VaultFault::reason)
    }));
}

/// An error with all its causes.
fn chain(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Tells whoever started the program that it serves.
fn announce(ready: &str) {
    // A closed standard output is no reason not to serve.
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{ready}").and_then(|()| out.flush()));
}

/// Requests that outlived the grace period get this long to notice.
const AFTER_GRACE: Duration = Duration::from_secs(1);
