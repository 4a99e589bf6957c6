//! Which address takes the next call?
//!
//! Keeps the addresses of one upstream with their health and load. Names are looked up beside the
//! calls: a call only ever reads the last known list.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use pingora::upstreams::peer::HttpPeer;

use super::health::{ADDRESS, Change, Health, Standing};
use super::settings::{ADDRESSES_MAX, Target};
use super::transport::Transport;

/// All addresses of one upstream.
#[derive(Debug)]
pub(super) struct Addresses {
    targets: Vec<Target>,
    known: ArcSwap<Vec<Arc<Address>>>,
    turn: AtomicUsize,
}

/// One address, and what calls met there.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    /// As the transport last made it.
    peer: ArcSwapOption<HttpPeer>,
    target: usize,
    in_flight: AtomicUsize,
    health: Mutex<Health>,
}

/// A call's hold on an address, given back on drop.
#[derive(Debug)]
pub(super) struct Lease(Arc<Address>);

/// How one address stands, for the status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressState {
    /// Where.
    pub address: SocketAddr,
    /// Whether calls go there.
    pub standing: Standing,
    /// Calls there now.
    pub in_flight: usize,
}

/// A name that could not be looked up; the addresses known before stay in use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host name `{host}` could not be looked up")]
pub struct Unresolved {
    /// The name.
    pub host: String,
}

impl Addresses {
    /// The sockets written down are known at once, the names after the first [`resolve`](Self::resolve).
    pub(super) fn new(targets: Vec<Target>) -> Self {
        let known = targets.iter().enumerate().filter_map(|(target, written)| match written {
            Target::Socket(socket) => Some(Arc::new(Address::new(*socket, target))),
            Target::Name { .. } => None,
        });
        let known = ArcSwap::from_pointee(known.collect());
        Self { targets, known, turn: AtomicUsize::new(0) }
    }

    /// Looks every name up once. An address that is still there keeps its health and connections; a
    /// name that cannot be looked up keeps what it had.
    pub(super) async fn resolve(&self) -> Vec<Unresolved> {
        let before = self.known.load_full();
        let mut found = Vec::new();
        let mut unresolved = Vec::new();
        for (target, written) in self.targets.iter().enumerate() {
            let of_target = || before.iter().filter(move |address| address.target == target).cloned();
            match written {
                Target::Socket(_) => found.extend(of_target()),
                Target::Name { host, port } => match look_up(host, *port).await {
                    Some(sockets) => found.extend(sockets.into_iter().map(|socket| {
                        of_target()
                            .find(|address| address.socket == socket)
                            .unwrap_or_else(|| Arc::new(Address::new(socket, target)))
                    })),
                    None => {
                        unresolved.push(Unresolved { host: host.clone() });
                        found.extend(of_target());
                    }
                },
            }
        }
        self.known.store(Arc::new(found));
        unresolved
    }

    /// The address for the next call, never `except`: one that is due for another try, else the least
    /// loaded in use, else the one that failed longest ago.
    pub(super) fn choose(&self, now: Instant, except: Option<SocketAddr>) -> Option<Lease> {
        let known = self.known.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed).checked_rem(known.len()).unwrap_or_default();
        let (before, after) = known.split_at_checked(turn)?;
        let best = after
            .iter()
            .chain(before)
            .filter(|address| Some(address.socket) != except)
            .min_by_key(|address| Preference::of(address, now))?;
        best.health().taken(now);
        best.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Lease(Arc::clone(best)))
    }

    pub(super) fn states(&self, now: Instant) -> Vec<AddressState> {
        let state = |address: &Arc<Address>| AddressState {
            address: address.socket,
            standing: address.health().standing(now),
            in_flight: address.in_flight.load(Ordering::Relaxed),
        };
        self.known.load().iter().map(state).collect()
    }
}

/// The order in which addresses are taken, the first best.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Preference {
    // Before the healthy ones, or an address would stay out for as long as another works.
    Due,
    Up { in_flight: usize },
    Out { failed: Instant },
}

impl Preference {
    fn of(address: &Address, now: Instant) -> Self {
        match address.health().standing(now) {
            Standing::Due => Self::Due,
            Standing::Up => Self::Up { in_flight: address.in_flight.load(Ordering::Relaxed) },
            Standing::Out { failed } => Self::Out { failed },
        }
    }
}

impl Address {
    fn new(socket: SocketAddr, target: usize) -> Self {
        Self {
            socket,
            peer: ArcSwapOption::empty(),
            target,
            in_flight: AtomicUsize::new(0),
            health: Mutex::new(Health::new(&ADDRESS)),
        }
    }

    /// What a connection to it is made of, in the group that the transport has now.
    pub(super) fn peer(&self, transport: &Transport) -> Arc<HttpPeer> {
        let known = self.peer.load();
        if let Some(peer) = known.as_ref().filter(|peer| transport.is_current(peer)) {
            return Arc::clone(peer);
        }
        let peer = Arc::new(transport.peer(self.socket));
        self.peer.store(Some(Arc::clone(&peer)));
        peer
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // A state that is written at once is whole even if a panic poisoned the lock.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self) -> Change {
        self.health().answered()
    }

    pub(super) fn failed(&self, now: Instant) -> Change {
        self.health().failed(now)
    }
}

impl std::ops::Deref for Lease {
    type Target = Address;

    fn deref(&self) -> &Address {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn look_up(host: &str, port: u16) -> Option<Vec<SocketAddr>> {
    let found = tokio::time::timeout(LOOK_UP_TIME, tokio::net::lookup_host((host, port))).await.ok()?.ok()?;
    let mut sockets: Vec<_> = found.take(ADDRESSES_MAX).collect();
    sockets.sort_unstable();
    sockets.dedup();
    (!sockets.is_empty()).then_some(sockets)
}

/// A resolver that takes longer is treated as one that does not know the name.
const LOOK_UP_TIME: Duration = Duration::from_secs(5);

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use crate::upstream::fake;

    const A: &str = "127.0.0.1:1001";
    const B: &str = "127.0.0.1:1002";
    const C: &str = "127.0.0.1:1003";

    fn addresses(texts: &[&str]) -> Addresses {
        Addresses::new(fake::settings(texts).targets().unwrap())
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn idle_addresses_take_turns() {
        let addresses = addresses(&[A, B, C]);
        let now = Instant::now();
        let taken: Vec<_> = (0..6).map(|_| addresses.choose(now, None).unwrap().socket).collect();
        assert_eq!(taken, [A, B, C, A, B, C].map(socket));
    }

    #[test]
    fn the_address_with_the_fewest_calls_is_taken() {
        let addresses = addresses(&[A, B]);
        let now = Instant::now();
        let at_a: Vec<_> = (0..3).map(|_| addresses.choose(now, Some(socket(B))).unwrap()).collect();
        let at_b: Vec<_> = (0..3).map(|_| addresses.choose(now, None).unwrap()).collect();
        assert!(at_a.iter().all(|lease| lease.socket == socket(A)));
        assert!(at_b.iter().all(|lease| lease.socket == socket(B)));
    }

    #[test]
    fn a_lease_is_given_back_on_drop() {
        let addresses = addresses(&[A]);
        let now = Instant::now();
        let lease = addresses.choose(now, None).unwrap();
        assert_eq!(addresses.states(now)[0].in_flight, 1);
        drop(lease);
        assert_eq!(addresses.states(now)[0].in_flight, 0);
    }

    #[test]
    fn an_address_that_fails_is_left_out_until_it_is_due() {
        let addresses = addresses(&[A, B]);
        let now = Instant::now();
        for _ in 0..2 {
            addresses.choose(now, Some(socket(B))).unwrap().failed(now);
        }
        for _ in 0..4 {
            assert_eq!(addresses.choose(now, None).unwrap().socket, socket(B));
        }
        let due = now + Duration::from_secs(1);
        assert_eq!(addresses.choose(due, None).unwrap().socket, socket(A), "due comes first");
        assert_eq!(addresses.choose(due, None).unwrap().socket, socket(B), "but once only");
    }

    #[test]
    fn when_all_are_out_the_one_that_failed_longest_ago_is_tried() {
        let addresses = addresses(&[A, B]);
        let now = Instant::now();
        for (n, other) in [(0u64, A), (1, B)] {
            for _ in 0..2 {
                addresses.choose(now, Some(socket(other))).unwrap().failed(now + Duration::from_millis(n));
            }
        }
        for _ in 0..3 {
            let soon = now + Duration::from_millis(2);
            assert_eq!(addresses.choose(soon, None).unwrap().socket, socket(B));
        }
    }

    #[test]
    fn no_address_but_the_excepted_one_is_none() {
        let addresses = addresses(&[A]);
        assert!(addresses.choose(Instant::now(), Some(socket(A))).is_none());
    }

    #[tokio::test]
    async fn a_name_is_known_after_it_is_looked_up_and_keeps_its_health() {
        let addresses = addresses(&["localhost:1004"]);
        let now = Instant::now();
        assert!(addresses.choose(now, None).is_none());
        assert_eq!(addresses.resolve().await, []);
        let lease = addresses.choose(now, None).unwrap();
        assert!(lease.socket.ip().is_loopback());
        assert_eq!(addresses.resolve().await, []);
        assert_eq!(addresses.states(now).iter().map(|s| s.in_flight).sum::<usize>(), 1);
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_looked_up_is_reported() {
        let addresses = addresses(&[A, "nowhere.invalid:80"]);
        let unresolved = addresses.resolve().await;
        assert_eq!(unresolved, [Unresolved { host: "nowhere.invalid".into() }]);
        assert_eq!(addresses.choose(Instant::now(), None).unwrap().socket, socket(A));
    }
}
