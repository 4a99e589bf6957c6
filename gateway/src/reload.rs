//! The files changed: what now? A new snapshot is built whole and swapped, or the last good one stays.
//!
//! Files are compared by name, size, time and inode twice a second rather than by file-system events:
//! that works the same on local disks, network mounts and the symbolic links of Kubernetes, needs no
//! list of special cases, and two equal looks in a row are the pause that lets a writer finish.

mod revocations;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

pub use revocations::follow_revocations;

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::gateway::Gateway;
use crate::snapshot::Snapshot;

/// Watches the files a snapshot is built from.
#[derive(Debug)]
pub struct Reloader {
    gateway: Arc<Gateway>,
    settings: PathBuf,
}

/// Why the newest files do not serve.
#[derive(Debug, Clone)]
pub struct ReloadFault {
    /// When they were tried.
    pub at: Timestamp,
    /// What is wrong with them.
    pub mistakes: Diagnostics,
}

/// What the files look like from outside.
type Look = BTreeMap<PathBuf, (u64, Option<SystemTime>, u64)>;

impl Reloader {
    /// Watches the files of the gateway that was started from `settings`.
    #[must_use]
    pub const fn new(gateway: Arc<Gateway>, settings: PathBuf) -> Self {
        Self { gateway, settings }
    }

    /// Watches until the gateway stops.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            tracing::error!("SIGHUP cannot be listened to, so files are not reloaded");
            return;
        };
        let mut served = self.look().await;
        let mut before = served.clone();
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                _ = stopping.changed() => return,
                _ = hangup.recv() => {
                    // Looked at before: what changes while they are read is a change still.
                    let now = self.look().await;
                    self.reload().await;
                    served = now;
                    before.clone_from(&served);
                }
                _ = tick.tick() => {
                    let now = self.look().await;
                    if now != served && now == before {
                        self.reload().await;
                        served = now;
                    } else {
                        before = now;
                    }
                }
            }
        }
    }

    async fn reload(&self) {
        let (gateway, settings) = (Arc::clone(&self.gateway), self.settings.clone());
        // Compiling contracts takes long; requests are served on other threads meanwhile.
        let done = tokio::task::spawn_blocking(move || load(&gateway, &settings)).await;
        match done {
            Ok(Ok(snapshot)) => {
                // What is new among upstreams and issuers is unknown yet: nobody is to be refused for it.
                snapshot.warm().await;
                tracing::info!(snapshot = snapshot.id(), "the changed files serve");
                self.gateway.swap(snapshot);
            }
            Ok(Err(mistakes)) => {
                for mistake in mistakes.iter() {
                    tracing::error!(%mistake, "a changed file does not load; the last good ones serve on");
                }
                self.gateway.keep(ReloadFault { at: Timestamp::now(), mistakes });
            }
            Err(_panicked) => tracing::error!(
                "the reload failed by a fault of the gateway itself; the last good files serve on"
            ),
        }
    }

    async fn look(&self) -> Look {
        let sources = self.gateway.current().sources().to_vec();
        tokio::task::spawn_blocking(move || look(&sources)).await.unwrap_or_default()
    }
}

/// Builds a snapshot from the files as they are now; or says why not.
fn load(gateway: &Gateway, settings: &Path) -> Result<Snapshot, Diagnostics> {
    let before = gateway.current();
    let (snapshot, warnings) = Snapshot::load(settings, Some(&before), gateway.metrics())?;
    for warning in warnings.iter() {
        tracing::warn!(%warning, "a file is worth a look");
    }
    for setting in &snapshot.settings().insecure {
        if !before.settings().insecure.contains(setting) {
            tracing::warn!(setting, "an insecure setting is on");
        }
    }
    // A connection knows its listener by its place: other listeners would lend it their trust.
    if !snapshot.settings().listens_where(before.settings()) {
        let place = Place::file(&settings.display().to_string());
        let mistake = Diagnostic::error(place, "the listeners are others than those that are open");
        return Err(mistake
            .help("restart the gateway to change names, addresses or TLS of listeners")
            .into());
    }
    Ok(snapshot)
}

/// Every file at or below the sources. What cannot be read looks like what is not there.
fn look(sources: &[PathBuf]) -> Look {
    let mut seen = Look::new();
    let mut open: Vec<(PathBuf, usize)> = sources.iter().map(|source| (source.clone(), 0)).collect();
    while let Some((path, depth)) = open.pop() {
        let Ok(about) = std::fs::metadata(&path) else { continue };
        if about.is_dir() && depth < DEPTH_MAX {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(entries.map(|entry| (entry.path(), depth.saturating_add(1))));
        } else if about.is_file() {
            let inode = std::os::unix::fs::MetadataExt::ino(&about);
            seen.insert(path, (about.len(), about.modified().ok(), inode));
        }
    }
    seen
}

/// A changed file serves within about two of these.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Policies and contracts are at most a few folders deep; a link to a parent must not make it endless.
const DEPTH_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_below_a_source_changes_the_look() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/b.yaml");
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(&file, "1").unwrap();
        let sources = [folder.path().to_owned()];
        let first = look(&sources);
        assert_eq!(first.len(), 1);
        assert_eq!(look(&sources), first);
        std::fs::write(&file, "12").unwrap();
        assert_ne!(look(&sources), first);
        std::fs::remove_file(&file).unwrap();
        assert!(look(&sources).is_empty());
    }
}
