//! The program as a process: where it is, what it prints, and how it ends.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::watch;

use super::OUTCOME_TIME_MAX;

/// What operators send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the files again.
    Reload,
    /// SIGTERM: end in order.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it printed.
    pub output: String,
    /// What it printed as errors.
    pub errors: String,
}

/// Runs a command of the gateway, such as `["check", "--config", ...]`, to its end.
///
/// # Panics
/// The program cannot be started.
pub async fn run(arguments: &[&str]) -> Finished {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("waiting does not fail")
        .unwrap_or_else(|e| panic!("{}: {e}", program().display()));
    Finished {
        success: output.status.success(),
        output: String::from_utf8_lossy(&output.stdout).into_owned(),
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A gateway that serves, or is about to.
pub(super) struct Process {
    child: Arc<Mutex<Child>>,
    id: u32,
    printed: watch::Sender<Printed>,
}

#[derive(Default)]
struct Printed {
    lines: Vec<String>,
    /// Of standard output and standard error, those that are closed.
    closed: usize,
}

impl Process {
    pub(super) fn spawn(folder: &Path, settings_file: &Path) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--config"])
            .arg(settings_file)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program().display()));
        let printed = watch::Sender::new(Printed::default());
        collect(child.stdout.take().expect("standard output is a pipe"), printed.clone());
        collect(child.stderr.take().expect("standard error is a pipe"), printed.clone());
        let id = child.id();
        Self { child: Arc::new(Mutex::new(child)), id, printed }
    }

    /// Waits for a line that it prints.
    pub(super) async fn wait_for_line(&mut self, fits: impl Fn(&str) -> bool) -> Result<String, String> {
        let mut changes = self.printed.subscribe();
        let found = changes.wait_for(|p| p.closed == 2 || p.lines.iter().any(|line| fits(line)));
        // Out of time or ended: either way what it printed says more than we could.
        drop(tokio::time::timeout(OUTCOME_TIME_MAX, found).await);
        let printed = self.printed.borrow();
        printed.lines.iter().find(|line| fits(line)).cloned().ok_or_else(|| printed.lines.join("\n"))
    }

    pub(super) fn printed(&self) -> String {
        self.printed.borrow().lines.join("\n")
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Reload => "-HUP",
            Signal::Stop => "-TERM",
            Signal::Kill => "-KILL",
        };
        // Without unsafe code there is no other way to send SIGHUP; a process that has gone is no fault.
        let sent = Command::new("kill").args([name, &self.id.to_string()]).stderr(Stdio::null()).status();
        sent.expect("`kill` can be run");
    }

    pub(super) async fn wait(&mut self) -> ExitStatus {
        let child = Arc::clone(&self.child);
        let ended = tokio::task::spawn_blocking(move || child.lock().unwrap().wait());
        match tokio::time::timeout(OUTCOME_TIME_MAX, ended).await {
            Ok(status) => status.expect("waiting does not panic").expect("a child can be waited for"),
            Err(_) => {
                self.signal(Signal::Kill);
                panic!("the gateway did not end within {OUTCOME_TIME_MAX:?}; printed:\n{}", self.printed())
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody waits for it any more, or the signal has already gone out.
        if let Ok(mut child) = self.child.try_lock() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn collect(from: impl Read + Send + 'static, printed: watch::Sender<Printed>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            printed.send_modify(|printed| printed.lines.push(line));
        }
        printed.send_modify(|printed| printed.closed += 1);
    });
}

/// The gateway that was built into the folder of the running test or program.
///
/// # Panics
/// It was not built.
fn program() -> PathBuf {
    let mut folder = std::env::current_exe().expect("a program knows where it is");
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let program = folder.join("gateway");
    assert!(program.is_file(), "{} is missing; build it first: cargo build -p gateway", program.display());
    program
}
