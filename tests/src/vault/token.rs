//! Which tokens and leases has the simulated Vault given out, and until when?

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::secrets;

/// One token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) accessor: String,
    /// Where it was given, such as `auth/approle/login`.
    pub(super) path: String,
    pub(super) namespace: String,
    pub(super) policies: Vec<String>,
    pub(super) created: i64,
    /// Nothing for one that never ends.
    pub(super) expires: Option<i64>,
    /// What one renewal gives.
    pub(super) ttl: i64,
    /// It cannot be renewed beyond this.
    pub(super) ends_at_last: Option<i64>,
    pub(super) renewable: bool,
    /// What it wraps, if it is a wrapping token.
    pub(super) wraps: Option<Wrapped>,
}

/// An answer that is wrapped.
#[derive(Debug, Clone)]
pub(super) struct Wrapped {
    pub(super) creation_path: String,
    pub(super) answer: Value,
}

/// One lease.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// The token it was given to: it ends with it.
    pub(super) token: String,
    pub(super) expires: i64,
    pub(super) ends_at_last: i64,
}

/// What a login gives, as its role says.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) policies: Vec<String>,
    pub(super) ttl: i64,
    pub(super) ttl_max: Option<i64>,
    pub(super) renewable: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    tokens: BTreeMap<String, Token>,
    pub(super) leases: BTreeMap<String, Lease>,
}

impl Grant {
    /// From `token_policies`, `token_ttl`, `token_max_ttl` and `token_period` of a role.
    pub(super) fn of(role: &Value) -> Self {
        let list = |value: &Value| match value {
            Value::String(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let mut policies: Vec<String> = list(&role["token_policies"]);
        policies.insert(0, "default".to_owned());
        let batch = role["token_type"] == "batch";
        Self {
            policies,
            ttl: seconds(&role["token_ttl"]).unwrap_or(DEFAULT_TTL),
            ttl_max: seconds(&role["token_max_ttl"]),
            renewable: !batch,
        }
    }
}

impl Tokens {
    pub(super) fn insert(&mut self, id: &str, token: Token) {
        self.tokens.insert(id.to_owned(), token);
    }

    /// A token that is there and has not ended.
    pub(super) fn find(&self, id: &str, now: i64) -> Option<&Token> {
        self.tokens.get(id).filter(|token| token.expires.is_none_or(|at| now < at))
    }

    pub(super) fn grant(&mut self, namespace: &str, path: &str, grant: &Grant, now: i64) -> Value {
        let id = format!("hvs.{}", random());
        secrets::note(&id);
        let token = Token {
            accessor: random(),
            path: path.to_owned(),
            namespace: namespace.to_owned(),
            policies: grant.policies.clone(),
            created: now,
            expires: Some(now + grant.ttl),
            ttl: grant.ttl,
            ends_at_last: grant.ttl_max.map(|most| now + most),
            renewable: grant.renewable,
            wraps: None,
        };
        let auth = auth(&id, &token, grant.ttl);
        self.insert(&id, token);
        auth
    }

    pub(super) fn wrap(&mut self, namespace: &str, wrapped: Wrapped, ttl: i64, now: i64) -> Value {
        let id = format!("hvs.{}", random());
        secrets::note(&id);
        let info = json!({
            "token": id,
            "accessor": random(),
            "ttl": ttl,
            "creation_time": jiff::Timestamp::from_second(now).expect("a time").to_string(),
            "creation_path": wrapped.creation_path,
            "wrapped_accessor": "",
        });
        let token = Token {
            accessor: random(),
            path: wrapped.creation_path.clone(),
            namespace: namespace.to_owned(),
            policies: vec!["response-wrapping".to_owned()],
            created: now,
            expires: Some(now + ttl),
            ttl,
            ends_at_last: Some(now + ttl),
            renewable: false,
            wraps: Some(wrapped),
        };
        self.insert(&id, token);
        info
    }

    /// Renews a token; how long it has then.
    pub(super) fn renew(&mut self, id: &str, now: i64) -> Option<Value> {
        let token = self.tokens.get_mut(id).filter(|token| token.renewable)?;
        let until = now + token.ttl;
        let until = token.ends_at_last.map_or(until, |last| until.min(last));
        token.expires = Some(until);
        let token = token.clone();
        Some(auth(id, &token, until - now))
    }

    /// Ends a token and everything that was lent to it.
    pub(super) fn revoke(&mut self, id: &str) -> Option<Token> {
        self.leases.retain(|_, lease| lease.token != id);
        self.tokens.remove(id)
    }

    /// Ends every token that was given, and every lease, at a path that begins so.
    pub(super) fn revoke_prefix(&mut self, prefix: &str) {
        self.leases.retain(|id, _| !id.starts_with(prefix));
        let given = self.tokens.iter().filter(|(_, token)| token.path.starts_with(prefix));
        let given: Vec<String> = given.map(|(id, _)| id.clone()).collect();
        for id in given {
            self.revoke(&id);
        }
    }

    /// Takes back what has ended.
    pub(super) fn expire(&mut self, now: i64) {
        let ended: Vec<String> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.expires.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.revoke(&id);
        }
        self.leases.retain(|_, lease| now < lease.expires);
    }
}

/// `auth` of an answer, as Vault documents it.
fn auth(id: &str, token: &Token, ttl: i64) -> Value {
    json!({
        "client_token": id,
        "accessor": token.accessor,
        "policies": token.policies,
        "token_policies": token.policies,
        "metadata": {},
        "lease_duration": ttl,
        "renewable": token.renewable,
        "entity_id": "",
        "token_type": if token.renewable { "service" } else { "batch" },
        "orphan": true,
        "mfa_requirement": null,
        "num_uses": 0,
    })
}

/// Seconds, as a number or with a unit.
pub(super) fn seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number: i64 = digits.parse().ok()?;
            Some(match text.split_at(digits.len()).1 {
                "" | "s" => number,
                "m" => number * 60,
                "h" => number * 3600,
                "d" => number * 86_400,
                _ => return None,
            })
        }
        _ => None,
    }
    .filter(|seconds| *seconds > 0)
}

pub(super) fn random() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// What Vault gives when a role says nothing.
const DEFAULT_TTL: i64 = 32 * 86_400;
