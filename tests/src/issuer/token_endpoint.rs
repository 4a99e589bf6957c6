//! Who may have which token? The client credentials grant (RFC 6749 section 4.4), and token exchange (RFC 8693)
//! for the issuer's own tokens.

use std::collections::BTreeMap;
use std::fmt;

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Shared;
use crate::http1::Received;

/// A client the issuer knows.
#[derive(Clone)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its secret, made up for a test or a demonstration.
    pub secret: String,
    /// What it may ask for; also what it gets when it asks for nothing in particular.
    pub scopes: Vec<String>,
    /// Further claims of its tokens.
    pub claims: Map<String, Value>,
}

pub(super) fn answer(shared: &Shared, request: &Received) -> (u16, Value) {
    match grant(shared, request) {
        Ok(answer) => (200, answer),
        // RFC 6749 section 5.2: 401 when the client did not prove itself, 400 for all else.
        Err(error) => (if error == "invalid_client" { 401 } else { 400 }, json!({"error": error})),
    }
}

fn grant(shared: &Shared, request: &Received) -> Result<Value, &'static str> {
    let form = form_pairs(&String::from_utf8_lossy(&request.body));
    let client = authenticate(shared, request, &form).ok_or("invalid_client")?;
    let subject = match form.get("grant_type").map(String::as_str) {
        Some("client_credentials") => None,
        Some("urn:ietf:params:oauth:grant-type:token-exchange") => Some(subject(&form)?),
        _ => return Err("unsupported_grant_type"),
    };
    let asked: Vec<String> = match form.get("scope") {
        Some(scope) => scope.split_ascii_whitespace().map(str::to_owned).collect(),
        None => client.scopes.clone(),
    };
    if !asked.iter().all(|scope| client.scopes.contains(scope)) {
        return Err("invalid_scope");
    }
    let scope = asked.join(" ");
    let mut mint = shared.mint(&client.id).scope(&scope);
    for (name, value) in client.claims {
        mint = mint.claim(&name, value);
    }
    if let Some(subject) = subject {
        // RFC 8693 section 4.1: who acts for the subject.
        mint = mint.subject(&subject).claim("act", json!({"sub": client.id}));
    }
    if let Some(audience) = form.get("audience") {
        mint = mint.claim("aud", json!(audience));
    }
    let lives_s = shared.lives_s.load(Ordering::Relaxed);
    mint = mint.claim("exp", json!(Timestamp::now().as_second() + lives_s));
    Ok(json!({
        "access_token": mint.sign(),
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": lives_s,
        "scope": scope,
    }))
}

/// The subject of the token that is to be exchanged. Whoever calls itself `suspended` is not acted for.
fn subject(form: &BTreeMap<String, String>) -> Result<String, &'static str> {
    let claims = form.get("subject_token").and_then(|token| token.split('.').nth(1));
    let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).ok_or("invalid_request")?;
    let claims: Value = serde_json::from_slice(&claims).or(Err("invalid_request"))?;
    match claims["sub"].as_str() {
        None => Err("invalid_request"),
        Some("suspended") => Err("invalid_grant"),
        Some(subject) => Ok(subject.to_owned()),
    }
}

/// RFC 6749 section 2.3.1: HTTP Basic, or both values in the body.
pub(super) fn authenticate(
    shared: &Shared,
    request: &Received,
    form: &BTreeMap<String, String>,
) -> Option<Client> {
    let (id, secret) = match request.header("authorization") {
        Some(header) => {
            let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
            let text = String::from_utf8(decoded).ok()?;
            let (id, secret) = text.split_once(':')?;
            (decode(id), decode(secret))
        }
        None => (form.get("client_id")?.clone(), form.get("client_secret")?.clone()),
    };
    shared.clients.read().unwrap().iter().find(|c| c.id == id && c.secret == secret).cloned()
}

pub(super) fn form_pairs(body: &str) -> BTreeMap<String, String> {
    reqwest::Url::parse(&format!("http://form.example/?{body}"))
        .map(|url| url.query_pairs().into_owned().collect())
        .unwrap_or_default()
}

fn decode(part: &str) -> String {
    form_pairs(&format!("x={part}")).remove("x").unwrap_or_default()
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}
