//! A simulated OAuth issuer: what would a good one, a slow, a wrong, a dead or a hostile one send?
//!
//! It publishes its keys (RFC 7517) and metadata (RFC 8414), gives tokens to the clients it knows
//! (RFC 6749 section 4.4) and mints any token a test asks for, good or evil.

mod introspection;
mod keys;
mod mint;
mod proof;
mod token_endpoint;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use keys::{Algorithm, SigningKey};
pub use mint::Mint;
pub use token_endpoint::Client;

use crate::certificates::Identity;
use crate::fault::{Fault, Faults};
use crate::http1::{Received, answer_bytes};
use crate::secrets;
use crate::server::Server;
use crate::tls;

/// A running issuer.
#[derive(Debug)]
pub struct Issuer {
    server: Server,
    shared: Arc<Shared>,
}

/// What the issuer's own paths are called.
pub mod paths {
    /// Metadata (OpenID Connect Discovery).
    pub const CONFIGURATION: &str = "/.well-known/openid-configuration";
    /// The same where RFC 8414 has them.
    pub const METADATA: &str = "/.well-known/oauth-authorization-server";
    /// The public keys.
    pub const JWKS: &str = "/jwks";
    /// Where clients ask for tokens.
    pub const TOKEN: &str = "/token";
    /// Where it is asked what a token says.
    pub const INTROSPECTION: &str = "/introspect";
}

struct Shared {
    base: RwLock<String>,
    audience: String,
    keys: RwLock<Vec<Arc<SigningKey>>>,
    published: RwLock<Vec<Value>>,
    clients: RwLock<Vec<Client>>,
    /// What is known of tokens, by their text.
    tokens: RwLock<BTreeMap<String, Value>>,
    faults: Faults,
    /// For how many seconds tokens are given.
    lives_s: AtomicI64,
}

impl Issuer {
    /// Starts an issuer of tokens for `audience`: over HTTPS if it is given an identity, else over HTTP.
    pub async fn start(audience: &str, identity: Option<&Identity>) -> Self {
        let shared = Arc::new(Shared {
            base: RwLock::default(),
            audience: audience.to_owned(),
            keys: RwLock::default(),
            published: RwLock::default(),
            clients: RwLock::default(),
            tokens: RwLock::default(),
            faults: Faults::new(),
            lives_s: AtomicI64::new(LIVES_S),
        });
        shared.replace_keys();
        let for_connections = Arc::clone(&shared);
        let tls = identity.map(|identity| tls::server(identity, None));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Server::start(tls, move |stream, number| {
            let shared = Arc::clone(&for_connections);
            async move { shared.faults.serve(stream, number, |request| duty(&shared, request)).await }
        })
        .await;
        *shared.base.write().unwrap() = format!("{scheme}://{}", server.address);
        Self { server, shared }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// The value of `iss`: the issuer's own address, as RFC 8414 section 2 wants it.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.base.read().unwrap().clone()
    }

    /// The address of one of its [`paths`].
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.name())
    }

    /// Lets a client ask for tokens.
    pub fn register(&self, client: Client) {
        secrets::note(&client.secret);
        self.shared.clients.write().unwrap().push(client);
    }

    /// Takes only these as a client's secret from now on.
    ///
    /// # Panics
    /// There is no such client.
    pub fn takes_only(&self, id: &str, secrets: &[&str]) {
        let mut clients = self.shared.clients.write().unwrap();
        let known = clients.iter().find(|client| client.id == id).expect("a client").clone();
        clients.retain(|client| client.id != id);
        for secret in secrets {
            secrets::note(secret);
            clients.push(Client { secret: (*secret).to_owned(), ..known.clone() });
        }
    }

    /// Gives tokens for so many seconds from now on.
    pub fn give_for(&self, seconds: i64) {
        self.shared.lives_s.store(seconds, Ordering::Relaxed);
    }

    /// A good token for a client, valid from now on, to be signed or spoilt.
    pub fn mint(&self, client_id: &str) -> Mint {
        self.shared.mint(client_id)
    }

    /// The key it signs with by this algorithm.
    #[must_use]
    pub fn key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        self.shared.key(algorithm)
    }

    /// Makes new keys, signs with them from now on, and publishes nothing else.
    pub fn rotate(&self) {
        self.shared.replace_keys();
    }

    /// Makes new keys, and still publishes the old beside them: how a careful issuer rotates.
    pub fn rotate_gently(&self) {
        let old = self.shared.published.read().unwrap().clone();
        self.shared.replace_keys();
        self.shared.published.write().unwrap().extend(old);
    }

    /// Publishes exactly these keys, whatever it signs with.
    pub fn publish(&self, keys: Vec<Value>) {
        *self.shared.published.write().unwrap() = keys;
    }

    /// Knows of the token `text` from now on that it is active and says what `mint` would.
    pub fn knows(&self, text: &str, mint: &Mint) {
        secrets::note(text);
        let mut members = mint.claims();
        members.insert("active".to_owned(), Value::Bool(true));
        self.shared.tokens.write().unwrap().insert(text.to_owned(), Value::Object(members));
    }

    /// Knows nothing of the token `text` any more, as after its revocation (RFC 7009).
    pub fn forgets(&self, text: &str) {
        self.shared.tokens.write().unwrap().remove(text);
    }

    /// Makes one of its [`paths`] fail until [`Issuer::heal`].
    pub fn fail(&self, path: &str, fault: Fault) {
        self.shared.faults.fail(path, fault);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.faults.heal();
    }

    /// How often a path was asked for, faulty answers included.
    #[must_use]
    pub fn requests(&self, path: &str) -> usize {
        self.shared.faults.requests(path)
    }

    /// Waits until a path was asked for `count` times in all.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        self.shared.faults.wait_for_requests(path, count).await;
    }
}

impl Shared {
    fn replace_keys(&self) {
        let keys: Vec<_> = Algorithm::ALL.into_iter().map(|a| Arc::new(SigningKey::new(a))).collect();
        *self.published.write().unwrap() = keys.iter().map(|key| key.jwk()).collect();
        *self.keys.write().unwrap() = keys;
    }

    fn key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        let keys = self.keys.read().unwrap();
        Arc::clone(keys.iter().find(|key| key.algorithm == algorithm).expect("a key for each algorithm"))
    }

    fn mint(&self, client_id: &str) -> Mint {
        let base = self.base.read().unwrap();
        Mint::new(&base, &self.audience, self.key(Algorithm::ALL[0]), client_id, Timestamp::now())
    }

    fn answer(&self, request: &Received) -> (u16, Value) {
        match (request.method.as_str(), request.path()) {
            ("GET", paths::CONFIGURATION | paths::METADATA) => (200, self.configuration()),
            ("GET", paths::JWKS) => (200, json!({"keys": *self.published.read().unwrap()})),
            ("POST", paths::TOKEN) => token_endpoint::answer(self, request),
            ("POST", paths::INTROSPECTION) => introspection::answer(self, request),
            _ => (404, json!({"error": "not_found"})),
        }
    }

    fn configuration(&self) -> Value {
        let base = self.base.read().unwrap();
        json!({
            "issuer": *base,
            "jwks_uri": format!("{base}{}", paths::JWKS),
            "token_endpoint": format!("{base}{}", paths::TOKEN),
            "introspection_endpoint": format!("{base}{}", paths::INTROSPECTION),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "response_types_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": Algorithm::ALL.map(Algorithm::name),
        })
    }
}

fn duty(shared: &Shared, request: &Received) -> Vec<u8> {
    let (status, body) = shared.answer(request);
    let json = ("Content-Type".to_owned(), "application/json".to_owned());
    answer_bytes(status, &[json], body.to_string().as_bytes(), request.method == "HEAD")
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Five minutes: what issuers give to machines.
const LIVES_S: i64 = 300;

#[cfg(test)]
mod tests;
