//! The gateway of the demo: started in a process group of its own, so that Ctrl-C reaches the demo first.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use serde::Deserialize;

use super::site::Site;
use crate::gateway::program;
use crate::process::{Signal, TIME_MAX, send};

/// A gateway that serves. Killed when dropped.
#[derive(Debug)]
pub(super) struct Served {
    child: Child,
    pub(super) addresses: Addresses,
}

/// The line that the gateway prints when it serves.
#[derive(Debug, Deserialize)]
pub(super) struct Addresses {
    listeners: Listeners,
    pub(super) admin: SocketAddr,
}

#[derive(Debug, Deserialize)]
struct Listeners {
    public: SocketAddr,
}

impl Addresses {
    /// The port where callers connect.
    pub(super) const fn port(&self) -> u16 {
        self.listeners.public.port()
    }
}

impl Served {
    /// Starts it with the site's settings and waits until it serves.
    pub(super) async fn start(site: &Site) -> io::Result<Self> {
        let mut child = Command::new(program())
            .args(["serve", "--config"])
            .arg(site.settings())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(site.log())?)
            .process_group(0)
            .spawn()?;
        let output = child.stdout.take().ok_or_else(|| io::Error::other("standard output is a pipe"))?;
        let first_line = tokio::task::spawn_blocking(move || BufReader::new(output).lines().next());
        let ready = match tokio::time::timeout(TIME_MAX, first_line).await {
            Ok(Ok(Some(line))) => line?,
            Ok(Ok(None) | Err(_)) | Err(_) => {
                child.kill()?;
                let printed = fs::read_to_string(site.log())?;
                return Err(io::Error::other(format!("the gateway does not serve:\n{printed}")));
            }
        };
        Ok(Self { child, addresses: serde_json::from_str(&ready)? })
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Asks it to end in order, and waits until it has.
    pub(super) fn stop(mut self) -> io::Result<ExitStatus> {
        send(Signal::Stop, self.child.id());
        self.child.wait()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Gone already, unless the demo failed.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
