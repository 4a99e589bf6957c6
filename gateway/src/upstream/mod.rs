//! Where does a request go, and how does it get there?
//!
//! One [`Upstream`] is a set of addresses, the trust in them and the calls they may have at a time;
//! [`Upstream::call`] sends one request and gives one whole, bounded, unambiguous answer or says what
//! went wrong and whether the upstream may have acted. [`outgoing`] and [`incoming`] decide which header
//! fields cross the gateway. Knows no caller, no policy and no contract.
//!
//! What the proxy core of Pingora would have done is done here, each at one place: fields of a connection
//! ([`outgoing`], [`incoming`]), authority and framing (`outgoing::frame`), ambiguous answers (`head`),
//! interim answers and pooled connections (`attempt`), a second attempt (`call`).

mod addresses;
mod attempt;
mod breaker;
mod call;
mod error;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod fake;
mod head;
mod health;
pub mod incoming;
pub mod outgoing;
mod settings;
mod streamed;
mod tls;
mod transport;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinSet;

pub use addresses::{AddressState, Unresolved};
pub use call::{Call, Repeatable, Reply, Upstream};
pub use error::{Breakage, Effect, Fault, UpstreamError};
pub use health::Standing;
pub use settings::{Protocol, SettingsError, TlsSettings, UpstreamSettings};
pub use streamed::StreamedCall;

use tls::Trust;
use transport::Connections;

use crate::keyring::Keyring;

/// The upstreams of one snapshot. Those whose settings did not change are the very same as in the
/// snapshot before: their connections, health and calls in flight live on.
#[derive(Debug)]
pub struct Upstreams {
    table: Vec<Arc<Upstream>>,
    by_name: HashMap<String, UpstreamId>,
    connections: Connections,
}

/// An upstream's place in the table of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamId(usize);

/// One upstream's settings that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("upstream `{name}` cannot be used")]
pub struct Unusable {
    /// Its place in the settings given.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Why.
    #[source]
    pub error: SettingsError,
}

impl Upstreams {
    /// Builds all upstreams, taking over from `previous` those that did not change. Looks no name up:
    /// [`resolve`](Self::resolve) is to be awaited before the first call, and from time to time after.
    ///
    /// # Errors
    /// Every upstream that cannot be built.
    pub fn new(
        settings: Vec<UpstreamSettings>,
        keyring: &Keyring,
        previous: Option<&Self>,
    ) -> Result<Self, Vec<Unusable>> {
        let connections = previous.map_or_else(Connections::new, |previous| previous.connections.clone());
        let mut table = Vec::with_capacity(settings.len());
        let mut by_name = HashMap::with_capacity(settings.len());
        let mut unusable = Vec::new();
        for (index, settings) in settings.into_iter().enumerate() {
            let name = settings.name.clone();
            if by_name.insert(name.clone(), UpstreamId(index)).is_some() {
                unusable.push(Unusable { index, name: name.clone(), error: SettingsError::Name(name) });
                continue;
            }
            let unchanged = previous.and_then(|previous| previous.find(&name));
            if let Some(unchanged) = unchanged.filter(|before| *before.settings() == settings) {
                // Its files are read anew all the same: a mistake in them is one of this load.
                match settings.tls.as_ref().map(|tls| Trust::new(tls, keyring)).transpose() {
                    Ok(_same) => table.push(Arc::clone(unchanged)),
                    Err(error) => unusable.push(Unusable { index, name, error }),
                }
                unchanged.renew();
                continue;
            }
            match Upstream::new(settings, keyring, connections.clone()) {
                Ok(upstream) => table.push(Arc::new(upstream)),
                Err(error) => unusable.push(Unusable { index, name, error }),
            }
        }
        if !unusable.is_empty() {
            return Err(unusable);
        }
        Ok(Self { table, by_name, connections })
    }

    /// The place of the upstream called `name`; asked at load.
    #[must_use]
    pub fn id(&self, name: &str) -> Option<UpstreamId> {
        self.by_name.get(name).copied()
    }

    /// The upstream at a place of this snapshot.
    #[must_use]
    pub fn upstream(&self, id: UpstreamId) -> Option<&Arc<Upstream>> {
        self.table.get(id.0)
    }

    /// All of them, in the order of their settings.
    pub fn iter(&self) -> impl Iterator<Item = &Upstream> {
        self.table.iter().map(Arc::as_ref)
    }

    /// Looks up the host names of all upstreams once. Gives those that failed, whose addresses known
    /// before stay in use.
    pub async fn resolve(&self) -> Vec<Unresolved> {
        let mut asked: JoinSet<_> =
            self.table.iter().cloned().map(|upstream| async move { upstream.resolve().await }).collect();
        let mut unresolved = Vec::new();
        while let Some(answer) = asked.join_next().await {
            unresolved.extend(answer.unwrap_or_default());
        }
        unresolved
    }

    fn find(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.table.get(self.id(name)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn named(name: &str) -> UpstreamSettings {
        UpstreamSettings { name: name.into(), ..fake::settings(&["127.0.0.1:1"]) }
    }

    #[test]
    fn an_unchanged_upstream_is_the_same_one_after_a_reload() {
        let before = Upstreams::new(vec![named("odoo"), named("stock")], &Keyring::new(), None).unwrap();
        let changed = UpstreamSettings { in_flight_max: 9, ..named("stock") };
        let after =
            Upstreams::new(vec![changed, named("odoo"), named("new")], &Keyring::new(), Some(&before))
                .unwrap();
        let same = |name| Arc::ptr_eq(before.find(name).unwrap(), after.find(name).unwrap());
        assert!(same("odoo"));
        assert!(!same("stock"));
        assert_eq!(after.iter().map(Upstream::name).collect::<Vec<_>>(), ["stock", "odoo", "new"]);
    }

    #[test]
    fn an_upstream_is_found_by_its_id() {
        let upstreams = Upstreams::new(vec![named("odoo"), named("stock")], &Keyring::new(), None).unwrap();
        let id = upstreams.id("stock").unwrap();
        assert_eq!(upstreams.upstream(id).unwrap().name(), "stock");
        assert_eq!(upstreams.id("other"), None);
    }

    #[tokio::test]
    async fn the_names_of_all_upstreams_are_looked_up() {
        let at =
            |name: &str, address: &str| UpstreamSettings { name: name.into(), ..fake::settings(&[address]) };
        let settings = vec![at("a", "localhost:1"), at("b", "nowhere.invalid:1"), at("c", "localhost:1")];
        let upstreams = Upstreams::new(settings, &Keyring::new(), None).unwrap();
        assert_eq!(upstreams.resolve().await, [Unresolved { host: "nowhere.invalid".into() }]);
        let known: Vec<_> = upstreams.iter().map(|u| !u.health(Instant::now()).is_empty()).collect();
        assert_eq!(known, [true, false, true]);
    }

    #[test]
    fn every_unusable_upstream_is_reported_with_its_place() {
        let settings = vec![
            named("odoo"),
            UpstreamSettings { addresses: vec!["odoo".into()], ..named("stock") },
            named("odoo"),
            UpstreamSettings { in_flight_max: 0, ..named("crm") },
        ];
        let unusable = Upstreams::new(settings, &Keyring::new(), None).unwrap_err();
        let seen: Vec<_> = unusable.into_iter().map(|u| (u.index, u.error)).collect();
        assert_eq!(
            seen,
            [
                (1, SettingsError::Address("odoo".into())),
                (2, SettingsError::Name("odoo".into())),
                (3, SettingsError::InFlight)
            ]
        );
    }
}
