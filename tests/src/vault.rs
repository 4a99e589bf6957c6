//! A Vault to test against: a simulated one that speaks the documented JSON, or, where `GATEWAY_TEST_VAULT_ADDR`
//! and `GATEWAY_TEST_VAULT_TOKEN` are set, a real Vault or OpenBao.
//!
//! Either is prepared through the same HTTP API, by the handle here: what only the simulation would do is not
//! relied on. Mounts, policies and roles have a prefix of their own and are removed with the handle. What no real
//! one can be asked for (to fail, to be at another time, to have a database) is behind [`Vault::simulation`].

mod auth;
mod database;
mod kv;
mod listener;
mod pki;
mod policy;
mod reply;
mod server;
mod simulated;
mod token;
mod transit;

use std::path::Path;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

pub use server::Fault;

use crate::certificates::{Authority, Identity, write_private};
use crate::folder::Folder;
use crate::http1::Received;
use crate::repository;
use crate::secrets;
use server::Server;

/// A Vault that is prepared for a gateway.
pub struct Vault {
    simulated: Option<Server>,
    address: String,
    ca_pem: Option<String>,
    root: String,
    prefix: String,
    http: reqwest::Client,
    /// Signs the client certificates that the method `cert` believes.
    pub clients: Authority,
}

/// What proves a gateway by AppRole.
#[derive(Debug, Clone)]
pub struct AppRole {
    /// The role's name.
    pub role: String,
    /// Its id.
    pub role_id: String,
    /// A secret id.
    pub secret_id: String,
}

impl Vault {
    /// Starts the simulated one, or goes to the real one, and mounts what the tests use.
    ///
    /// # Panics
    /// It does not take what it is prepared with.
    pub async fn start() -> Self {
        crate::tls::install_provider();
        let clients = Authority::new("vault clients");
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let vault = match (variable(ADDRESS), variable(TOKEN)) {
            (Some(address), Some(root)) => {
                let ca_pem =
                    variable(CA).map(|path| std::fs::read_to_string(path).expect("the roots can be read"));
                let prefix = format!("gateway-test-{}-", token::random());
                let http = client(ca_pem.as_deref());
                Self { simulated: None, address, ca_pem, root, prefix, http, clients }
            }
            _ => {
                let authority = Authority::new("vault");
                let root = format!("hvs.root-{}", token::random());
                let server =
                    Server::start(&root, &authority.server(&["127.0.0.1", "localhost"]), &clients).await;
                let address = format!("https://{}", server.listener.address);
                let http = client(Some(&authority.pem()));
                let ca_pem = Some(authority.pem());
                Self { simulated: Some(server), address, ca_pem, root, prefix: String::new(), http, clients }
            }
        };
        secrets::note(&vault.root);
        vault.prepare().await;
        vault
    }

    async fn prepare(&self) {
        for (name, body) in [
            ("secret", json!({"type": "kv", "options": {"version": "2"}})),
            ("kv", json!({"type": "kv", "options": {"version": "1"}})),
            ("pki", json!({"type": "pki"})),
            ("transit", json!({"type": "transit"})),
        ] {
            self.write(&format!("sys/mounts/{}", self.mount(name)), body).await;
        }
        for kind in ["approle", "jwt", "cert"] {
            self.write(&format!("sys/auth/{}", self.mount(kind)), json!({"type": kind})).await;
        }
        if self.simulated.is_some() {
            self.write("sys/mounts/database", json!({"type": "database"})).await;
            self.write("sys/auth/kubernetes", json!({"type": "kubernetes"})).await;
        }
        self.write(&format!("sys/policies/acl/{}", self.mount("gateway")), json!({"policy": self.policy()}))
            .await;
    }

    /// The example policy of `deploy/vault`, for the mounts of this Vault.
    fn policy(&self) -> String {
        let example = repository::folder("deploy").join("vault/gateway.hcl");
        let text = std::fs::read_to_string(example).expect("the example policy is there");
        let mounts = ["secret/", "kv/", "database/", "pki/", "transit/"];
        mounts.into_iter().fold(text, |text, mount| {
            text.replace(&format!("path \"{mount}"), &format!("path \"{}{mount}", self.prefix))
        })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The roots that its certificate leads to; nothing for those of the system.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// The name of a mount, of a secrets engine or of a way to log in, or of a policy: `secret` (key/value 2),
    /// `kv` (key/value 1), `database`, `pki`, `transit`, `approle`, `jwt`, `kubernetes`, `cert`, `gateway`.
    #[must_use]
    pub fn mount(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The simulation, or nothing with a line that says what a real one cannot be asked for.
    #[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
    pub fn simulation(&self, why: &str) -> Option<Simulation<'_>> {
        if self.simulated.is_none() {
            eprintln!("skipped against a real Vault: {why}");
        }
        self.simulated.as_ref().map(Simulation)
    }

    /// Asks its HTTP API, with the root token.
    ///
    /// # Panics
    /// It cannot be reached.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.ask_in("", method, path, body).await
    }

    /// The same in a namespace.
    ///
    /// # Panics
    /// It cannot be reached.
    pub async fn ask_in(&self, namespace: &str, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.send(namespace, method, path, body, None).await
    }

    async fn send(
        &self,
        namespace: &str,
        method: Method,
        path: &str,
        body: Value,
        wrap: Option<&str>,
    ) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}/v1/{path}", self.address))
            .header("x-vault-token", &self.root)
            .header("x-vault-request", "true");
        if !namespace.is_empty() {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(ttl) = wrap {
            request = request.header("x-vault-wrap-ttl", ttl);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.expect("Vault can be reached");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("Vault answers");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Writes, and wants that to succeed.
    ///
    /// # Panics
    /// It does not.
    pub async fn write(&self, path: &str, body: Value) -> Value {
        self.write_in("", path, body).await
    }

    /// The same in a namespace.
    ///
    /// # Panics
    /// It does not succeed.
    pub async fn write_in(&self, namespace: &str, path: &str, body: Value) -> Value {
        self.note_fields(path, &body);
        let (status, answer) = self.ask_in(namespace, Method::POST, path, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// The texts of a secret that is put there. What Vault itself makes up is noted by the simulation that does, and by
    /// whoever writes it into a file of a gateway.
    fn note_fields(&self, path: &str, body: &Value) {
        let fields = if path.starts_with(&format!("{}/data/", self.mount("secret"))) {
            &body["data"]
        } else if path.starts_with(&format!("{}/", self.mount("kv"))) {
            body
        } else {
            return;
        };
        // Of version 1, `ttl` says how long a secret is good for.
        let texts = fields.as_object().into_iter().flatten().filter(|(name, _)| *name != "ttl");
        texts.filter_map(|(_, value)| value.as_str()).for_each(secrets::note);
    }

    /// Writes a secret of key/value version 2; each write is a new version. It is read as [`Vault::kv2`] says.
    pub async fn put(&self, path: &str, fields: Value) {
        self.write(&format!("{}/data/{path}", self.mount("secret")), json!({"data": fields})).await;
    }

    /// How a gateway's files name a secret of key/value version 2.
    #[must_use]
    pub fn kv2(&self, path: &str) -> String {
        format!("kv2:{}/{path}", self.mount("secret"))
    }

    /// How a gateway's files name a secret of key/value version 1.
    #[must_use]
    pub fn kv1(&self, path: &str) -> String {
        format!("kv1:{}/{path}", self.mount("kv"))
    }

    /// A token that the policy of the gateway and these settings of `auth/token/create` apply to.
    ///
    /// # Panics
    /// None is given.
    pub async fn token(&self, settings: Value) -> String {
        let mut body = json!({"policies": [self.mount("gateway")], "no_parent": true});
        for (name, value) in settings.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let answer = self.write("auth/token/create", body).await;
        answer["auth"]["client_token"].as_str().expect("a token").to_owned()
    }

    /// Revokes every token that was given by a login of this kind, as an operator in an emergency does.
    pub async fn revoke_logins(&self, kind: &str) {
        self.write(&format!("sys/leases/revoke-prefix/auth/{}/login", self.mount(kind)), json!({})).await;
    }

    /// A role of AppRole with the policy of the gateway, and one secret id of it. `settings` add to the role's.
    ///
    /// # Panics
    /// Vault does not take it.
    pub async fn approle(&self, settings: Value) -> AppRole {
        let role = format!("gateway-{}", token::random());
        let mut body =
            json!({"token_policies": [self.mount("gateway")], "token_ttl": "1h", "token_max_ttl": "24h"});
        for (name, value) in settings.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let at = format!("auth/{}/role/{role}", self.mount("approle"));
        self.write(&at, body).await;
        let (_, answer) = self.ask(Method::GET, &format!("{at}/role-id"), Value::Null).await;
        let role_id = answer["data"]["role_id"].as_str().expect("a role id").to_owned();
        let answer = self.write(&format!("{at}/secret-id"), json!({})).await;
        let secret_id = answer["data"]["secret_id"].as_str().expect("a secret id").to_owned();
        AppRole { role, role_id, secret_id }
    }

    /// A token in which a new secret id of a role is wrapped.
    ///
    /// # Panics
    /// None is given.
    pub async fn wrapped_secret_id(&self, role: &str) -> String {
        self.wrapped(&format!("auth/{}/role/{role}/secret-id", self.mount("approle")), json!({})).await
    }

    /// A token in which the answer to this request is wrapped.
    ///
    /// # Panics
    /// None is given.
    pub async fn wrapped(&self, path: &str, body: Value) -> String {
        let (_, answer) = self.send("", Method::POST, path, body, Some("300s")).await;
        answer["wrap_info"]["token"].as_str().expect("a wrapping token").to_owned()
    }

    /// Lets one client certificate authority log in, as role `gateway`.
    pub async fn trust_certificates(&self, settings: Value) {
        let mut body = json!({
            "display_name": "gateway",
            "certificate": self.clients.pem(),
            "token_policies": [self.mount("gateway")],
        });
        for (name, value) in settings.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.write(&format!("auth/{}/certs/gateway", self.mount("cert")), body).await;
    }

    /// Puts it into the files of a gateway, which logs in by AppRole.
    pub async fn put_into(&self, folder: &mut Folder) -> AppRole {
        let approle = self.approle(json!({})).await;
        folder.write_private("certs/vault-role-id", &approle.role_id);
        folder.write_private("certs/vault-secret-id", &approle.secret_id);
        let auth = json!({"approle": {
            "mount": self.mount("approle"),
            "role_id": "file:certs/vault-role-id",
            "secret_id": "file:certs/vault-secret-id",
        }});
        self.put_into_with(folder, auth);
        approle
    }

    /// Puts it into the files of a gateway, with `vault.auth` as given.
    pub fn put_into_with(&self, folder: &mut Folder, auth: Value) {
        let mut settings = json!({"address": self.address, "auth": auth});
        if let Some(pem) = &self.ca_pem {
            folder.write("certs/vault-ca.pem", pem);
            settings["ca"] = json!("certs/vault-ca.pem");
        }
        if self.address.starts_with("http:") {
            settings["insecure_http"] = json!(true);
        }
        folder.settings(|all| all["vault"] = settings);
    }

    /// Writes a client certificate that [`Vault::trust_certificates`] lets in.
    pub fn write_identity(&self, folder: &Path) -> Identity {
        let identity = self.clients.client_dns("gateway.internal");
        identity.write(folder, "vault-client");
        write_private(&folder.join("vault-client.key"), &identity.key_pem);
        identity
    }

    fn mounts(&self) -> Vec<String> {
        let engines =
            ["secret", "kv", "pki", "transit"].map(|name| format!("sys/mounts/{}", self.mount(name)));
        let methods = ["approle", "jwt", "cert"].map(|name| format!("sys/auth/{}", self.mount(name)));
        let policy = format!("sys/policies/acl/{}", self.mount("gateway"));
        engines.into_iter().chain(methods).chain([policy]).collect()
    }
}

/// What only a simulated Vault can be asked for.
pub struct Simulation<'a>(&'a Server);

impl Simulation<'_> {
    /// Does this instead of its duty, until [`Simulation::heal`].
    pub fn fail(&self, fault: Fault) {
        self.fail_at("", fault);
    }

    /// The same at paths that begin so, without `/v1/`.
    pub fn fail_at(&self, path: &str, fault: Fault) {
        let mut faults = self.0.shared.faults.lock().unwrap();
        faults.retain(|(at, _)| at != path);
        faults.push((path.to_owned(), fault));
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.0.shared.faults.lock().unwrap().clear();
    }

    /// Closes its port: connections are refused.
    pub async fn down(&self) {
        self.0.listener.down().await;
    }

    /// Listens again.
    pub async fn up(&self) {
        self.0.listener.up().await;
    }

    /// Puts its clock ahead, so that what it gave ends sooner.
    pub fn advance(&self, by: Duration) {
        self.0.shared.advance(by);
    }

    /// What clients asked for at paths that begin so, without `/v1/`.
    #[must_use]
    pub fn requests(&self, path: &str) -> Vec<Received> {
        let path = format!("/v1/{path}");
        self.0.shared.seen.all().into_iter().filter(|request| request.path().starts_with(&path)).collect()
    }

    /// Waits until clients asked so often at paths that begin so.
    pub async fn wait_for_requests(&self, path: &str, count: usize) {
        let path = format!("/v1/{path}");
        self.0.shared.seen.wait(count, |request| request.path().starts_with(&path)).await;
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        if self.simulated.is_some() {
            return;
        }
        let (address, root, mounts) = (self.address.clone(), self.root.clone(), self.mounts());
        let ca_pem = self.ca_pem.clone();
        // A runtime of its own: that of the test may be at its end.
        let clean = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let http = client(ca_pem.as_deref());
                for path in mounts {
                    drop(
                        http.delete(format!("{address}/v1/{path}"))
                            .header("x-vault-token", &root)
                            .send()
                            .await,
                    );
                }
            });
        });
        drop(clean.join());
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("address", &self.address).finish_non_exhaustive()
    }
}

fn client(ca_pem: Option<&str>) -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().http1_only().pool_max_idle_per_host(0);
    let builder = match ca_pem {
        Some(pem) => builder.tls_certs_only(
            reqwest::Certificate::from_pem_bundle(pem.as_bytes()).expect("the roots are PEM"),
        ),
        None => builder,
    };
    builder.build().expect("a client")
}

/// Where a real one is.
const ADDRESS: &str = "GATEWAY_TEST_VAULT_ADDR";
/// A token that may prepare it: a root token, or one that may mount, write policies and roles.
const TOKEN: &str = "GATEWAY_TEST_VAULT_TOKEN";
/// A file with the roots of its certificate, if they are not the system's.
const CA: &str = "GATEWAY_TEST_VAULT_CACERT";
