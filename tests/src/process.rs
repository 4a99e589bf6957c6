//! A program beside the tests: started, listened to, signalled, and gone when its value is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
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
    /// Read what it prints, until it prints no more.
    readers: Vec<JoinHandle<()>>,
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
        let output = child.stdout.take().expect("standard output is a pipe");
        let errors = child.stderr.take().expect("standard error is a pipe");
        let readers = vec![collect(output, printed.clone()), collect(errors, printed.clone())];
        let id = child.id();
        Self { child: Arc::new(Mutex::new(child)), id, printed, readers }
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
        send(signal, self.id);
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

    /// Kills it if it still runs. Everything that it printed has been read then.
    pub(crate) fn end(&mut self) {
        // Nobody waits for it any more, or the signal has already gone out.
        let Ok(mut child) = self.child.try_lock() else { return };
        drop(child.kill());
        drop(child.wait());
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Sends a signal to a process; one that has gone is no fault.
pub(crate) fn send(signal: Signal, id: u32) {
    let name = match signal {
        Signal::Reload => "-HUP",
        Signal::Stop => "-TERM",
        Signal::Kill => "-KILL",
    };
    // Without unsafe code a shell sends it, whose own `kill` is always there.
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill \"$0\" \"$1\"", name, &id.to_string()]).stderr(Stdio::null());
    shell.status().expect("`sh` can be run");
}

fn collect(from: impl Read + Send + 'static, printed: watch::Sender<Printed>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            printed.send_modify(|printed| printed.lines.push(line));
        }
        printed.send_modify(|printed| printed.closed += 1);
    })
}

/// Much longer than a start, a reload or a stop takes, also on a loaded machine.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::spawn(command)
    }

    #[tokio::test]
    async fn a_line_is_waited_for_on_either_output() {
        let mut process = shell("echo one; echo two >&2; echo ready; read forever");
        assert_eq!(process.wait_for_line(|line| line == "ready").await, Ok("ready".to_owned()));
        assert_eq!(process.wait_for_line(|line| line == "two").await, Ok("two".to_owned()));
    }

    #[tokio::test]
    async fn a_program_that_ends_first_tells_what_it_printed() {
        let mut process = shell("echo wrong >&2; exit 3");
        assert_eq!(process.wait_for_line(|line| line == "ready").await, Err("wrong".to_owned()));
        assert_eq!(process.wait().await.code(), Some(3));
    }

    #[test]
    fn all_that_it_printed_is_there_once_it_has_ended() {
        let mut process = shell("printf 'not \\377 text\\n'; seq 20000; echo last >&2; printf unended");
        // Nobody has waited for a line.
        process.child.lock().unwrap().wait().unwrap();
        process.end();
        let printed = process.printed();
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 20_003);
        assert!(["not \u{fffd} text", "20000", "last", "unended"].iter().all(|line| lines.contains(line)));
    }

    #[tokio::test]
    async fn signals_arrive() {
        for (signal, name) in [(Signal::Reload, "HUP"), (Signal::Stop, "TERM")] {
            let mut process =
                shell(&format!("trap 'echo got it; exit 0' {name}; echo ready; while :; do read x; done"));
            process.wait_for_line(|line| line == "ready").await.unwrap();
            process.signal(signal);
            // The shell runs its trap when `read` returns, which a signal makes it do.
            assert!(process.wait_for_line(|line| line == "got it").await.is_ok(), "{signal:?}");
            assert!(process.wait().await.success());
        }
        let mut process = shell("read forever");
        process.signal(Signal::Kill);
        assert_eq!(process.wait().await.code(), None);
    }

    #[tokio::test]
    async fn it_goes_with_its_value() {
        let mut process = shell("echo $$; read forever");
        let id = process.wait_for_line(|_| true).await.unwrap();
        assert_eq!(id, process.id().to_string());
        drop(process);
        assert!(!std::path::Path::new(&format!("/proc/{id}")).exists());
    }
}
