//! The real program, run in a [`Folder`]: started, reloaded, stopped and killed as operators do it.

mod client;
mod command;
mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

pub use client::{Client, ClientBuilder, Protocol, Reply};
pub use command::{Finished, program, run};
pub use raw::{RawConnection, RawReply};

use crate::folder::Folder;
use crate::process::{Process, TIME_MAX};
use crate::secrets;
use crate::world::World;

pub use crate::process::Signal;

/// A running gateway. It is killed when this value is dropped.
pub struct Gateway {
    process: Process,
    addresses: Addresses,
    /// What clients trust.
    roots_pem: String,
    audit_folder: PathBuf,
    folder: PathBuf,
}

/// The line that the gateway prints when it serves.
#[derive(Debug, Clone, Deserialize)]
struct Addresses {
    listeners: BTreeMap<String, SocketAddr>,
    admin: SocketAddr,
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// The new files serve.
    Done,
    /// The old ones still do; this is `last_reload_fault` of `/status`.
    Refused(Value),
}

impl Gateway {
    /// Starts the gateway of a world and waits until it serves.
    ///
    /// # Panics
    /// It does not serve; the message has what it printed.
    pub async fn start(world: &World) -> Self {
        match Self::try_start(&world.folder, &world.servers.pem()).await {
            Ok(gateway) => gateway,
            Err(printed) => panic!("the gateway does not serve:\n{printed}"),
        }
    }

    /// Starts the gateway in a folder and waits until it serves.
    ///
    /// # Errors
    /// It ended, or did not serve in time: what it printed.
    pub async fn try_start(folder: &Folder, roots_pem: &str) -> Result<Self, String> {
        Self::started_by(Command::new(program()), folder, roots_pem).await
    }

    /// Starts the gateway of a world with its files limited in size, and waits until it serves.
    ///
    /// [`Gateway::limit_files`] is then what a full disk is: writes fail, and the process lives on.
    ///
    /// # Panics
    /// It does not serve; the message has what it printed.
    pub async fn start_on_a_limited_disk(world: &World) -> Self {
        // A disk that is full sends no signal; the limit does, unless the process that becomes the
        // gateway was told to ignore it.
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program());
        match Self::started_by(shell, &world.folder, &world.servers.pem()).await {
            Ok(gateway) => gateway,
            Err(printed) => panic!("the gateway does not serve:\n{printed}"),
        }
    }

    async fn started_by(mut command: Command, folder: &Folder, roots_pem: &str) -> Result<Self, String> {
        let settings_file = folder.settings_file();
        command.args(["serve", "--config"]).arg(&settings_file).current_dir(folder.path());
        let mut process = Process::spawn(command);
        let ready = process.wait_for_line(|line| line.contains(r#""event":"ready""#)).await?;
        let addresses = serde_json::from_str(&ready).map_err(|e| format!("{e} in {ready}"))?;
        let audit_folder = folder.audit();
        let folder = folder.path().to_owned();
        Ok(Self { process, addresses, roots_pem: roots_pem.to_owned(), audit_folder, folder })
    }

    /// The address of a listener.
    ///
    /// # Panics
    /// There is no such listener.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.listeners.get(listener).unwrap_or_else(|| panic!("no listener `{listener}`"))
    }

    /// The address of the admin listener.
    #[must_use]
    pub const fn admin(&self) -> SocketAddr {
        self.addresses.admin
    }

    /// A client of the listener `public`, which speaks TLS.
    pub fn client(&self) -> ClientBuilder<'_> {
        ClientBuilder::new(self.address("public"), &self.roots_pem)
    }

    /// A TCP connection to the listener `plain`, for bytes that no client would send.
    pub async fn raw(&self) -> RawConnection {
        RawConnection::plain(self.address("plain")).await
    }

    /// A TLS connection to the listener `public`, for bytes that no client would send.
    ///
    /// # Errors
    /// The handshake failed, for instance for the identity shown.
    pub async fn raw_tls(
        &self,
        identity: Option<&crate::certificates::Identity>,
    ) -> std::io::Result<RawConnection> {
        RawConnection::tls(self.address("public"), &self.roots_pem, identity).await
    }

    /// A page of the admin listener. No secret stands in it.
    pub async fn admin_page(&self, path: &str) -> Reply {
        let page = Client::of_admin(self.admin()).get(path).await;
        holds_no_secret(path, &page.text());
        page
    }

    /// Has the admin listener do what stands at `path`.
    pub async fn order(&self, path: &str) -> Reply {
        let client = Client::of_admin(self.admin());
        let order = client.request(http::Method::POST, path).header("content-type", "application/json");
        client.send(order).await
    }

    /// A client of the admin listener.
    #[must_use]
    pub fn admin_client(&self) -> Client {
        Client::of_admin(self.admin())
    }

    /// `/status`.
    pub async fn status(&self) -> Value {
        self.admin_page("/status").await.json()
    }

    /// One value of `/metrics`: the sum of all samples of this name whose labels hold all of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        sum_of_samples(&self.admin_page("/metrics").await.text(), name, labels)
    }

    /// Lets no file of this process grow beyond so many bytes; `None` lets all grow again.
    ///
    /// # Panics
    /// `prlimit` (util-linux) cannot be run.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let mut prlimit = Command::new("prlimit");
        prlimit.args(["--pid", &self.id().to_string(), &format!("--fsize={bytes}:unlimited")]);
        assert!(prlimit.status().expect("`prlimit` can be run").success());
    }

    /// Waits until `/status` fits, and returns it.
    ///
    /// # Panics
    /// It does not within a long time.
    pub async fn status_that(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(what, async || Some(self.status().await).filter(|status| fits(status))).await
    }

    /// Asks again and again until there is an answer: for what is not announced anywhere.
    ///
    /// # Panics
    /// There is none within a long time.
    pub async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let started = Instant::now();
        while started.elapsed() < TIME_MAX {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        panic!("not within {TIME_MAX:?}: {what}; printed:\n{}", self.printed())
    }

    /// Asks for a reload and waits for its outcome.
    ///
    /// # Panics
    /// Nothing became of it in time.
    pub async fn reload(&self) -> Reload {
        let before = self.reload_state().await;
        self.signal(Signal::Reload);
        let started = Instant::now();
        while started.elapsed() < TIME_MAX {
            let now = self.reload_state().await;
            if now.0 != before.0 {
                return Reload::Done;
            }
            if now.1 != before.1 && !now.1.is_null() {
                return Reload::Refused(now.1);
            }
            // The outcome is not announced anywhere a test could wait at; asking too often slows it down.
            tokio::time::sleep(POLL_PAUSE).await;
        }
        panic!("no reload within {TIME_MAX:?}; printed:\n{}", self.printed())
    }

    async fn reload_state(&self) -> (Value, Value) {
        let status = self.status().await;
        let snapshot = |name: &str| status["snapshot"][name].clone();
        // The identity alone may be that of the content, and the same files may be loaded again.
        (Value::Array(vec![snapshot("id"), snapshot("loaded_at")]), status["last_reload_fault"].clone())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks it to stop in order, and waits until it has.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::Stop);
        self.process.wait().await
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.wait().await;
    }

    /// The process id, for instance to read its accounting.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it printed so far, its log included.
    #[must_use]
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// The audit records that fit, oldest first, as `gateway audit query` gives them.
    ///
    /// # Panics
    /// The command fails.
    pub async fn audit(&self, filters: &[&str]) -> Vec<Value> {
        let folder = self.audit_folder.to_string_lossy().into_owned();
        let arguments = [&["audit", "query", "--directory", &folder, "--format", "json"], filters].concat();
        let finished = run(&arguments).await;
        assert!(finished.success, "gateway audit query failed:\n{}", finished.errors);
        finished.output.lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
    }
}

/// Whatever a test was about: nothing that the gateway wrote holds a secret.
impl Drop for Gateway {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        // Nothing is written while it is searched, and nothing after.
        self.process.end();
        holds_no_secret("its output", &self.printed());
        holds_no_secret("its files", &secrets::written_below(&self.folder));
    }
}

/// The message does not show it, for a test's output is kept too, but says who noted it.
fn holds_no_secret(what: &str, text: &str) {
    let by: Vec<String> = secrets::found_in(text).values().map(ToString::to_string).collect();
    assert!(by.is_empty(), "secrets noted by {by:?} stand in {what} of the gateway");
}

/// Prometheus text: `name{label="value",...} number`, comments between.
fn sum_of_samples(text: &str, name: &str, labels: &[&str]) -> f64 {
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, of) = series.split_once('{').unwrap_or((series, ""));
        (found == name && labels.iter().all(|label| of.contains(label))).then(|| value.parse::<f64>().ok())?
    };
    text.lines().filter_map(value).sum()
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// Short beside a reload, long beside a request to `/status`.
const POLL_PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_labels() {
        let text = "# TYPE a counter\na_total{x=\"1\",y=\"2\"} 3\na_total{x=\"2\",y=\"2\"} 4\na 5\nab_total{x=\"1\"} 9\n";
        for (name, labels, sum) in [
            ("a_total", &[][..], 7.0),
            ("a_total", &["x=\"1\""], 3.0),
            ("a_total", &["x=\"1\"", "y=\"3\""], 0.0),
            ("a", &[], 5.0),
            ("b", &[], 0.0),
        ] {
            assert!((sum_of_samples(text, name, labels) - sum).abs() < f64::EPSILON, "{name} {labels:?}");
        }
    }
}
