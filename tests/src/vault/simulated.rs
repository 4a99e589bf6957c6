//! A Vault that is not one: what it knows, and how a request finds the part that answers it.
//!
//! It speaks the documented JSON of Vault's HTTP API and decides by the documented rules: tokens with lives,
//! policies, namespaces, leases that end with their token, answers that are wrapped and taken out once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::auth::AuthMount;
use super::database::{self, Database};
use super::kv::{Kv1, Kv2};
use super::pki::Pki;
use super::policy::{Policy, Verdict};
use super::reply::{Body, Reply};
use super::token::{Token, Tokens, Wrapped, random, seconds};
use super::transit::Transit;
use crate::http1::Received;

/// Everything it knows.
pub(super) struct State {
    spaces: BTreeMap<String, Space>,
    tokens: Tokens,
}

/// One namespace.
#[derive(Default)]
struct Space {
    mounts: BTreeMap<String, Engine>,
    auths: BTreeMap<String, AuthMount>,
    policies: BTreeMap<String, Policy>,
}

enum Engine {
    Kv1(Kv1),
    Kv2(Kv2),
    Database(Database),
    Pki(Box<Pki>),
    Transit(Transit),
}

/// What is done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Read,
    List,
    Write,
    Delete,
}

/// One request, as an engine sees it.
pub(super) struct Call<'a> {
    pub(super) verb: Verb,
    /// Where the engine is mounted, with a slash at its end; the whole path, for a login.
    pub(super) mount: &'a str,
    /// Below the mount.
    pub(super) path: &'a str,
    pub(super) body: Value,
    pub(super) token: Option<&'a str>,
    pub(super) namespace: &'a str,
    /// The certificate that the client showed.
    pub(super) peer: Option<&'a [u8]>,
    pub(super) now: i64,
}

impl State {
    /// One with a root token, and nothing mounted.
    pub(super) fn new(root: &str, now: i64) -> Self {
        let mut tokens = Tokens::default();
        let token = Token {
            accessor: random(),
            path: "auth/token/root".to_owned(),
            namespace: String::new(),
            policies: vec!["root".to_owned()],
            created: now,
            expires: None,
            ttl: 0,
            ends_at_last: None,
            renewable: false,
            wraps: None,
        };
        tokens.insert(root, token);
        Self { spaces: BTreeMap::from([(String::new(), Space::default())]), tokens }
    }

    pub(super) fn answer(&mut self, request: &Received, peer: Option<&[u8]>, now: i64) -> Reply {
        self.tokens.expire(now);
        let Some(path) = request.path().strip_prefix("/v1/") else { return Reply::not_found() };
        let Some(verb) = verb(request) else { return Reply::unsupported() };
        let namespace = request.header("x-vault-namespace").unwrap_or_default().trim_matches('/');
        if !self.spaces.contains_key(namespace) {
            return Reply::error(404, "no handler for route: namespace not found");
        }
        let body = if request.body.is_empty() { json!({}) } else { request.json() };
        if !body.is_object() {
            return Reply::error(400, "failed to parse JSON input");
        }
        let token = request.header("x-vault-token");
        let call = Call { verb, mount: "", path, body, token, namespace, peer, now };
        if !is_open(path) && !self.may(&call) {
            return Reply::denied();
        }
        let reply = self.route(&call);
        match request.header("x-vault-wrap-ttl").and_then(|ttl| seconds(&json!(ttl))) {
            Some(ttl) if reply.status == 200 => self.wrap(reply, &call, ttl),
            _ => reply,
        }
    }

    /// Whether the token of a request is alive, of its namespace, and allowed to do this.
    fn may(&self, call: &Call<'_>) -> bool {
        let Some(token) = call.token.and_then(|id| self.tokens.find(id, call.now)) else { return false };
        if token.policies.iter().any(|name| name == "root") {
            return true;
        }
        if token.wraps.is_some() || token.namespace != call.namespace {
            return false;
        }
        let wanted: &[&str] = match call.verb {
            Verb::Read => &["read"],
            Verb::List => &["list"],
            Verb::Write => &["create", "update"],
            Verb::Delete => &["delete"],
        };
        let space = &self.spaces[call.namespace];
        let default = Policy::default_policy();
        let policies = token.policies.iter().filter_map(|name| match name.as_str() {
            "default" => Some(&default),
            name => space.policies.get(name),
        });
        let verdicts: Vec<Verdict> = policies.map(|policy| policy.allows(call.path, wanted)).collect();
        verdicts.contains(&Verdict::Allowed) && !verdicts.contains(&Verdict::Denied)
    }

    fn route(&mut self, call: &Call<'_>) -> Reply {
        if let Some(path) = call.path.strip_prefix("auth/token/") {
            return self.token(path, call);
        }
        if let Some(path) = call.path.strip_prefix("sys/") {
            return self.system(path, call);
        }
        let Self { spaces, tokens } = self;
        let space = spaces.get_mut(call.namespace).expect("looked for before");
        if let Some(path) = call.path.strip_prefix("auth/") {
            let found = space
                .auths
                .iter_mut()
                .find_map(|(mount, auth)| Some((path.strip_prefix(mount.as_str())?, auth)));
            let Some((path, auth)) = found else { return Reply::not_found() };
            return auth.answer(&Call { path, mount: call.path, body: call.body.clone(), ..*call }, tokens);
        }
        let found = space.mounts.iter_mut().find_map(|(mount, engine)| {
            Some((mount.as_str(), call.path.strip_prefix(mount.as_str())?, engine))
        });
        let Some((mount, path, engine)) = found else {
            return Reply::error(
                404,
                &format!("no handler for route \"{}\". route entry not found.", call.path),
            );
        };
        let call = Call { mount, path, body: call.body.clone(), ..*call };
        match engine {
            Engine::Kv1(kv) => kv.answer(&call),
            Engine::Kv2(kv) => kv.answer(&call),
            Engine::Database(database) => database.answer(&call, tokens),
            Engine::Pki(pki) => pki.answer(&call),
            Engine::Transit(transit) => transit.answer(&call),
        }
    }

    /// `auth/token/...`.
    fn token(&mut self, path: &str, call: &Call<'_>) -> Reply {
        let id = call.token.unwrap_or_default();
        match (path, call.verb) {
            ("lookup-self", Verb::Read) => match self.tokens.find(id, call.now) {
                Some(token) => Reply::data(json!({
                    "accessor": token.accessor,
                    "creation_time": token.created,
                    "creation_ttl": token.ttl,
                    "expire_time": token.expires.map(|at| jiff::Timestamp::from_second(at).expect("a time").to_string()),
                    "id": id,
                    "policies": token.policies,
                    "renewable": token.renewable,
                    "ttl": token.expires.map_or(0, |at| at - call.now),
                    "type": "service",
                    "orphan": true,
                    "num_uses": 0,
                })),
                None => Reply::denied(),
            },
            ("renew-self", Verb::Write) => match self.tokens.renew(id, call.now) {
                Some(auth) => Reply::auth(auth),
                None => Reply::error(400, "lease is not renewable"),
            },
            ("revoke-self", Verb::Write) => {
                self.tokens.revoke(id);
                Reply::none()
            }
            ("create", Verb::Write) => {
                let body = &call.body;
                let role = json!({
                    "token_policies": body["policies"], "token_ttl": body["ttl"],
                    "token_max_ttl": body["explicit_max_ttl"],
                });
                let mut grant = super::token::Grant::of(&role);
                grant.renewable = body["renewable"] != false;
                Reply::auth(self.tokens.grant(call.namespace, call.path, &grant, call.now))
            }
            _ => Reply::unsupported(),
        }
    }

    /// `sys/...`.
    fn system(&mut self, path: &str, call: &Call<'_>) -> Reply {
        if let Some(what) = path.strip_prefix("leases/") {
            return database::leases(call, what, &mut self.tokens);
        }
        let (what, name) = path.split_once('/').unwrap_or((path, ""));
        match (what, name, call.verb) {
            ("wrapping", "lookup", Verb::Write) => self.look_at_wrapping(call),
            ("wrapping", "unwrap", Verb::Write) => self.unwrap(call),
            ("namespaces", name, Verb::Write) => {
                self.spaces.entry(name.to_owned()).or_default();
                Reply::data(json!({"path": format!("{name}/")}))
            }
            ("health", "", Verb::Read) => Reply::json(200, health(false)),
            ("seal-status", "", Verb::Read) => {
                Reply::json(200, json!({"type": "shamir", "initialized": true, "sealed": false}))
            }
            _ => {
                let space = self.spaces.get_mut(call.namespace).expect("looked for before");
                space.system(what, name, call)
            }
        }
    }

    fn wrap(&mut self, reply: Reply, call: &Call<'_>, ttl: i64) -> Reply {
        let Body::Json(answer) = reply.body else { return reply };
        let wrapped = Wrapped { creation_path: call.path.to_owned(), answer };
        Reply::wrapped(self.tokens.wrap(call.namespace, wrapped, ttl, call.now))
    }

    /// The wrapping token of a request: in its body, or the one it comes with.
    fn wrapping<'a>(&self, call: &'a Call<'_>) -> Option<(&'a str, Token)> {
        let id = call.body["token"].as_str().or(call.token)?;
        let token = self.tokens.find(id, call.now).filter(|token| token.wraps.is_some())?;
        Some((id, token.clone()))
    }

    fn look_at_wrapping(&self, call: &Call<'_>) -> Reply {
        match self.wrapping(call) {
            Some((_, Token { wraps: Some(wrapped), created, ttl, .. })) => Reply::data(json!({
                "creation_path": wrapped.creation_path,
                "creation_time": jiff::Timestamp::from_second(created).expect("a time").to_string(),
                "creation_ttl": ttl,
            })),
            _ => Reply::error(400, "wrapping token is not valid or does not exist"),
        }
    }

    /// Once: the token is gone then.
    fn unwrap(&mut self, call: &Call<'_>) -> Reply {
        match self.wrapping(call) {
            Some((id, Token { wraps: Some(wrapped), .. })) => {
                let id = id.to_owned();
                self.tokens.revoke(&id);
                Reply::json(200, wrapped.answer)
            }
            _ => Reply::error(400, "wrapping token is not valid or does not exist"),
        }
    }
}

impl Space {
    fn system(&mut self, what: &str, name: &str, call: &Call<'_>) -> Reply {
        let kind = call.body["type"].as_str().unwrap_or_default();
        let mount = format!("{name}/");
        match (what, call.verb) {
            ("mounts", Verb::Write) => {
                let engine = match kind {
                    "kv" if call.body["options"]["version"] == "2" => Engine::Kv2(Kv2::default()),
                    "kv" => Engine::Kv1(Kv1::default()),
                    "database" => Engine::Database(Database::default()),
                    "pki" => Engine::Pki(Box::default()),
                    "transit" => Engine::Transit(Transit::default()),
                    other => return Reply::error(400, &format!("plugin not found in the catalog: {other}")),
                };
                self.mounts.insert(mount, engine);
                Reply::none()
            }
            ("mounts", Verb::Delete) => {
                self.mounts.remove(&mount);
                Reply::none()
            }
            ("auth", Verb::Write) => {
                self.auths.insert(mount, AuthMount::new(kind));
                Reply::none()
            }
            ("auth", Verb::Delete) => {
                self.auths.remove(&mount);
                Reply::none()
            }
            ("policies", verb) => self.policy(name.strip_prefix("acl/").unwrap_or(name), verb, call),
            _ => Reply::unsupported(),
        }
    }

    fn policy(&mut self, name: &str, verb: Verb, call: &Call<'_>) -> Reply {
        match verb {
            Verb::Write => match Policy::parse(call.body["policy"].as_str().unwrap_or_default()) {
                Some(policy) => {
                    self.policies.insert(name.to_owned(), policy);
                    Reply::none()
                }
                None => Reply::error(400, "failed to parse policy"),
            },
            Verb::Delete => {
                self.policies.remove(name);
                Reply::none()
            }
            Verb::Read | Verb::List => Reply::unsupported(),
        }
    }
}

/// What `sys/health` says.
pub(super) fn health(sealed: bool) -> Value {
    json!({"initialized": true, "sealed": sealed, "standby": false, "performance_standby": false, "version": "simulated"})
}

/// Paths that ask for no token.
fn is_open(path: &str) -> bool {
    let is_login = path.starts_with("auth/") && path.ends_with("/login");
    let is_public = path.ends_with("/crl/pem") || path.ends_with("/ca/pem");
    is_login
        || is_public
        || matches!(path, "sys/health" | "sys/seal-status" | "sys/wrapping/lookup" | "sys/wrapping/unwrap")
}

fn verb(request: &Received) -> Option<Verb> {
    Some(match request.method.as_str() {
        "GET" if request.target.contains("list=true") => Verb::List,
        "GET" => Verb::Read,
        "LIST" => Verb::List,
        "POST" | "PUT" => Verb::Write,
        "DELETE" => Verb::Delete,
        _ => return None,
    })
}
