//! Something that does not happen before a test allows it: the way to be slow without a clock.

use tokio::sync::watch;

/// Closed at first. Whoever waits at it goes on once it is opened; clones are one and the same gate.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everyone pass, now and later.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        // An error would mean that the gate is gone, but `self` holds it.
        drop(self.0.subscribe().wait_for(|open| *open).await);
    }
}
