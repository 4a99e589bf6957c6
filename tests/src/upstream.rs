//! A simulated retail system: what arrived there, byte by byte, and what does it answer?
//!
//! By itself it answers each operation of the contracts with the contract's own example, so that every
//! good call works end to end. A test changes single answers or all of them, up to raw bytes.

mod answer;
mod samples;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

pub use answer::{Answer, Manner};
pub use samples::Samples;

use crate::certificates::Identity;
use crate::http1::{Received, Stream, read_request};
use crate::process::TIME_MAX;
use crate::secrets;
use crate::seen::Seen;
use crate::server::Server;
use crate::tls;

/// A running upstream.
#[derive(Debug)]
pub struct Upstream {
    server: Server,
    shared: Arc<Shared>,
}

/// How its connections are protected.
#[derive(Debug, Clone, Copy)]
pub enum Security<'a> {
    /// Plain TCP.
    None,
    /// TLS with this identity; with `clients`, a certificate that leads to one of them is required.
    Tls {
        /// What it shows.
        identity: &'a Identity,
        /// The roots of those who may call, PEM.
        clients: Option<&'a str>,
    },
}

struct Shared {
    samples: Samples,
    next: Mutex<VecDeque<Change>>,
    always: Mutex<Option<Change>>,
    lock: Mutex<Option<Lock>>,
    /// What was shown in `Authorization` so far.
    shown: watch::Sender<BTreeSet<String>>,
    seen: Seen,
    connections: AtomicU64,
}

/// What a caller must show, and how it is told that it does not.
#[derive(Debug)]
struct Lock {
    keys: Vec<String>,
    refusal: u16,
}

/// Makes an answer of the one the contract's example gives.
type Change = Arc<dyn Fn(Answer) -> Answer + Send + Sync>;

impl Upstream {
    /// Starts an upstream that answers with the examples of the contracts in `contracts`.
    pub async fn start(contracts: &Path, security: Security<'_>) -> Self {
        let shared = Arc::new(Shared {
            samples: Samples::load(contracts),
            next: Mutex::default(),
            always: Mutex::default(),
            lock: Mutex::default(),
            shown: watch::Sender::new(BTreeSet::new()),
            seen: Seen::new(),
            connections: AtomicU64::new(0),
        });
        let for_connections = Arc::clone(&shared);
        let tls = match security {
            Security::None => None,
            Security::Tls { identity, clients } => Some(tls::server(identity, clients)),
        };
        let server =
            Server::start(tls, move |stream, number| serve(Arc::clone(&for_connections), stream, number))
                .await;
        Self { server, shared }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Changes the answer to the next request that is not spoken for yet. `change` gets the good answer:
    ///
    /// ```no_run
    /// # use testbed::upstream::{Answer, Manner, Upstream};
    /// # fn on(upstream: &Upstream) {
    /// upstream.next(|good| good.header("Set-Cookie", "session=1"));
    /// upstream.next(|_| Answer::problem(503));
    /// upstream.next(|good| good.manner(Manner::Cut(40)));
    /// # }
    /// ```
    pub fn next(&self, change: impl Fn(Answer) -> Answer + Send + Sync + 'static) {
        self.shared.next.lock().unwrap().push_back(Arc::new(change));
    }

    /// Changes every answer from now on, except those that [`Upstream::next`] speaks for.
    pub fn always(&self, change: impl Fn(Answer) -> Answer + Send + Sync + 'static) {
        *self.shared.always.lock().unwrap() = Some(Arc::new(change));
    }

    /// Answers whoever shows one of these values in `Authorization`, and all others with the status `refusal`.
    pub fn takes_only(&self, keys: &[&str], refusal: u16) {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        *self.shared.lock.lock().unwrap() = Some(Lock { keys, refusal });
    }

    /// Forgets all changes and all requests.
    pub fn reset(&self) {
        self.shared.next.lock().unwrap().clear();
        *self.shared.always.lock().unwrap() = None;
        *self.shared.lock.lock().unwrap() = None;
        self.shared.seen.forget();
    }

    /// Every request since the start or the last [`Upstream::reset`], in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<Received> {
        self.shared.seen.all()
    }

    /// What was shown in `Authorization` so far.
    #[must_use]
    pub fn shown(&self) -> BTreeSet<String> {
        self.shared.shown.borrow().clone()
    }

    /// Waits until a request that shows `key` in `Authorization` has arrived.
    ///
    /// # Panics
    /// None does within a long time.
    pub async fn wait_for_key(&self, key: &str) {
        let mut shown = self.shared.shown.subscribe();
        let arrived = tokio::time::timeout(TIME_MAX, shown.wait_for(|shown| shown.contains(key))).await;
        assert!(arrived.is_ok(), "a key was expected that nobody has shown within {TIME_MAX:?}");
    }

    /// Waits until `count` requests have arrived.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.shared.seen.wait(count, |_| true).await
    }

    /// The certificates that the gateway showed so far, each once, in the order in which they came.
    #[must_use]
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        self.server.certificates()
    }

    /// How many connections were made so far; failed TLS handshakes do not count.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn answer(&self, request: &Received) -> Answer {
        if let Some(key) = request.header("authorization") {
            let is_new = self.shown.send_if_modified(|shown| shown.insert(key.to_owned()));
            if let Some((_scheme, credential)) = key.split_once(' ').filter(|_| is_new) {
                // Wherever the gateway has it from: a file, Vault, an authorization server.
                secrets::note(credential);
            }
        }
        if let Some(lock) = &*self.lock.lock().unwrap()
            && !lock.keys.iter().any(|key| request.header("authorization") == Some(key))
        {
            return Answer::problem(lock.refusal);
        }
        let good = self.samples.answer(request);
        let next = self.next.lock().unwrap().pop_front();
        match next.or_else(|| self.always.lock().unwrap().clone()) {
            Some(change) => change(good),
            None => good,
        }
    }
}

async fn serve(shared: Arc<Shared>, mut stream: Box<dyn Stream>, number: u64) {
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let mut buffer = BytesMut::new();
    while let Ok(Some(request)) = read_request(&mut stream, &mut buffer, number).await {
        let answer = shared.answer(&request);
        let head_only = request.method == "HEAD";
        shared.seen.add(request);
        match answer.send(&mut stream, head_only).await {
            Ok(answer::After::KeepAlive) => {}
            Ok(answer::After::Close) | Err(_) => return,
        }
    }
    // The client has said goodbye, so do we; where an answer closes, the connection breaks instead.
    drop(stream.shutdown().await);
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
