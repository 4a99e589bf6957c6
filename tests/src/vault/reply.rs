//! How does Vault write its answers? The envelope that all of them have, and the list of errors.

use serde_json::{Value, json};

use super::token::random;

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Body,
}

/// What stands in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    None,
    Json(Value),
    Text(String),
}

impl Reply {
    /// 200 with `data`.
    pub(super) fn data(data: Value) -> Self {
        Self::json(200, envelope(data, Value::Null))
    }

    /// 200 with `auth`.
    pub(super) fn auth(auth: Value) -> Self {
        Self::json(200, envelope(Value::Null, auth))
    }

    /// 204.
    pub(super) const fn none() -> Self {
        Self { status: 204, fields: Vec::new(), body: Body::None }
    }

    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, fields: Vec::new(), body: Body::Json(body) }
    }

    pub(super) fn text(text: String) -> Self {
        Self { status: 200, fields: Vec::new(), body: Body::Text(text) }
    }

    /// An error, with Vault's own words.
    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::json(status, json!({"errors": [message]}))
    }

    /// Nothing there: Vault says so without a word.
    pub(super) fn not_found() -> Self {
        Self::json(404, json!({"errors": []}))
    }

    pub(super) fn denied() -> Self {
        Self::error(403, "permission denied")
    }

    pub(super) fn unsupported() -> Self {
        Self::error(405, "unsupported operation")
    }

    pub(super) fn with_lease(mut self, id: &str, duration: i64) -> Self {
        if let Body::Json(body) = &mut self.body {
            body["lease_id"] = json!(id);
            body["lease_duration"] = json!(duration);
            body["renewable"] = json!(true);
        }
        self
    }

    /// The answer in its wrapping: only `wrap_info` is left to see.
    pub(super) fn wrapped(wrap_info: Value) -> Self {
        let mut body = envelope(Value::Null, Value::Null);
        body["wrap_info"] = wrap_info;
        Self::json(200, body)
    }
}

fn envelope(data: Value, auth: Value) -> Value {
    json!({
        "request_id": random(),
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": auth,
        "mount_type": "",
    })
}
