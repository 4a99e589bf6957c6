//! An engine whose secrets are made when they are read, and lent: database credentials, without the database.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reply::Reply;
use super::simulated::{Call, Verb};
use super::token::{Lease, Tokens, random, seconds};
use crate::secrets;

/// The connections and roles of one mount.
#[derive(Debug, Default)]
pub(super) struct Database {
    connections: BTreeMap<String, Value>,
    roles: BTreeMap<String, Value>,
}

impl Database {
    pub(super) fn answer(&mut self, call: &Call<'_>, tokens: &mut Tokens) -> Reply {
        let Some((what, name)) = call.path.split_once('/') else { return Reply::not_found() };
        match (what, call.verb) {
            ("config", Verb::Write) => {
                self.connections.insert(name.to_owned(), call.body.clone());
                Reply::none()
            }
            ("roles", Verb::Write) => {
                self.roles.insert(name.to_owned(), call.body.clone());
                Reply::none()
            }
            ("creds", Verb::Read) => match self.roles.get(name) {
                Some(role) => lend(call, name, role, tokens),
                None => Reply::error(400, &format!("unknown role: {name}")),
            },
            _ => Reply::unsupported(),
        }
    }
}

fn lend(call: &Call<'_>, name: &str, role: &Value, tokens: &mut Tokens) -> Reply {
    let ttl = seconds(&role["default_ttl"]).unwrap_or(3_600);
    let most = seconds(&role["max_ttl"]).unwrap_or(86_400);
    let id = format!("{}creds/{name}/{}", call.mount, random());
    let username = format!("v-gateway-{name}-{}", random());
    let lease = Lease {
        token: call.token.unwrap_or_default().to_owned(),
        expires: call.now + ttl,
        ends_at_last: call.now + most,
    };
    tokens.leases.insert(id.clone(), lease);
    let password = random();
    secrets::note(&password);
    Reply::data(json!({"username": username, "password": password})).with_lease(&id, ttl)
}

/// `sys/leases/...`.
pub(super) fn leases(call: &Call<'_>, what: &str, tokens: &mut Tokens) -> Reply {
    let id = call.body["lease_id"].as_str().unwrap_or_default().to_owned();
    match (what, call.verb) {
        ("renew", Verb::Write) => {
            let Some(lease) = tokens.leases.get_mut(&id) else {
                return Reply::error(400, "lease not found");
            };
            let increment = seconds(&call.body["increment"]).unwrap_or(3_600);
            lease.expires = (call.now + increment).min(lease.ends_at_last);
            let left = lease.expires - call.now;
            let mut reply = Reply::data(Value::Null).with_lease(&id, left);
            if let super::reply::Body::Json(body) = &mut reply.body {
                body["data"] = Value::Null;
            }
            reply
        }
        ("revoke", Verb::Write) => {
            tokens.leases.remove(&id);
            Reply::none()
        }
        (prefix, Verb::Write) if prefix.starts_with("revoke-prefix/") => {
            tokens.revoke_prefix(prefix.trim_start_matches("revoke-prefix/"));
            Reply::none()
        }
        ("lookup", Verb::Write) => match tokens.leases.get(&id) {
            Some(lease) => Reply::data(json!({"id": id, "ttl": lease.expires - call.now, "renewable": true})),
            None => Reply::error(400, "invalid lease"),
        },
        (list, Verb::List) => {
            let prefix = list.strip_prefix("lookup/").unwrap_or(list);
            let keys: Vec<&str> = tokens.leases.keys().filter_map(|id| id.strip_prefix(prefix)).collect();
            if keys.is_empty() { Reply::not_found() } else { Reply::data(json!({"keys": keys})) }
        }
        _ => Reply::unsupported(),
    }
}
