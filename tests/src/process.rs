//! A program beside the tests: started, listened to, signalled, and gone when its value is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

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

/// A running program.
pub(crate) struct Process {
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
    /// Starts it. Its standard input is a pipe that closes when this value is dropped.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let printed = watch::Sender::new(Printed::default());
        collect(child.stdout.take().expect("standard output is a pipe"), printed.clone());
        collect(child.stderr.take().expect("standard error is a pipe"), printed.clone());
        let id = child.id();
        Self { child: Arc::new(Mutex::new(child)), id, printed }
    }

    /// Waits for a line that it prints.
    pub(crate) async fn wait_for_line(&mut self, fits: impl Fn(&str) -> bool) -> Result<String, String> {
        let mut changes = self.printed.subscribe();
        let found = changes.wait_for(|p| p.closed == 2 || p.lines.iter().any(|line| fits(line)));
        // Out of time or ended: either way what it printed says more than we could.
        drop(tokio::time::timeout(TIME_MAX, found).await);
        let printed = self.printed.borrow();
        printed.lines.iter().find(|line| fits(line)).cloned().ok_or_else(|| printed.lines.join("\n"))
    }

    pub(crate) fn printed(&self) -> String {
        self.printed.borrow().lines.join("\n")
    }

    pub(crate) const fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Reload => "-HUP",
            Signal::Stop => "-TERM",
            Signal::Kill => "-KILL",
        };
        // Without unsafe code there is no other way to send SIGHUP; a process that has gone is no fault.
        let sent = Command::new("kill").args([name, &self.id.to_string()]).stderr(Stdio::null()).status();
        sent.expect("`kill` can be run");
    }

    pub(crate) async fn wait(&mut self) -> ExitStatus {
        let child = Arc::clone(&self.child);
        let ended = tokio::task::spawn_blocking(move || child.lock().unwrap().wait());
        match tokio::time::timeout(TIME_MAX, ended).await {
            Ok(status) => status.expect("waiting does not panic").expect("a child can be waited for"),
            Err(_) => {
                self.signal(Signal::Kill);
                panic!("it did not end within {TIME_MAX:?}; printed:\n{}", self.printed())
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

/// Much longer than a start, a reload or a stop takes, also on a loaded machine.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(30);
