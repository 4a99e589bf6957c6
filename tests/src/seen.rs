//! What has arrived so far, and waiting for more of it without sleeping.

use std::time::Duration;

use tokio::sync::watch;

use crate::http1::Received;

/// Every request a server received, in order.
#[derive(Debug)]
pub(crate) struct Seen(watch::Sender<Vec<Received>>);

impl Seen {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    pub(crate) fn add(&self, request: Received) {
        self.0.send_modify(|seen| seen.push(request));
    }

    pub(crate) fn all(&self) -> Vec<Received> {
        self.0.borrow().clone()
    }

    pub(crate) fn forget(&self) {
        self.0.send_modify(Vec::clear);
    }

    /// Waits until at least `count` requests fit, and returns those that do.
    pub(crate) async fn wait(&self, count: usize, fits: impl Fn(&Received) -> bool) -> Vec<Received> {
        let mut changes = self.0.subscribe();
        let enough = |seen: &Vec<Received>| seen.iter().filter(|r| fits(r)).count() >= count;
        let waited = tokio::time::timeout(WAIT_MAX, changes.wait_for(enough)).await;
        let Ok(Ok(seen)) = waited else {
            panic!("{count} requests were expected within {WAIT_MAX:?}; seen: {:#?}", self.all())
        };
        seen.iter().filter(|r| fits(r)).cloned().collect()
    }
}

/// Much longer than anything takes; it only ends a test that would wait for ever.
const WAIT_MAX: Duration = Duration::from_secs(20);
