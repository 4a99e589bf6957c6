//! One token, good as RFC 9068 asks unless told otherwise: every way to be wrong is a call on [`Mint`].

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::keys::{SigningKey, base64url};
use crate::secrets;

/// A token being made. Each call changes one thing; [`Mint::sign`] ends it.
#[derive(Clone)]
#[must_use]
pub struct Mint {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    claims_text: Option<String>,
    signature: Signature,
    tampered: bool,
}

#[derive(Clone)]
enum Signature {
    Key(Arc<SigningKey>),
    Hmac(Vec<u8>),
    None,
}

impl Mint {
    /// A token of `issuer` for `audience`, signed by `key`, for the client `client_id`, valid for five
    /// minutes from `now` on.
    pub fn new(issuer: &str, audience: &str, key: Arc<SigningKey>, client_id: &str, now: Timestamp) -> Self {
        let claims = json!({
            "iss": issuer,
            "aud": audience,
            "sub": client_id,
            "client_id": client_id,
            "iat": now.as_second(),
            "exp": now.as_second() + LIFETIME_S,
            "jti": uuid::Uuid::now_v7().to_string(),
        });
        let header = json!({"typ": "at+jwt", "alg": key.algorithm.name(), "kid": key.kid});
        Self::of(header, claims, key)
    }

    /// Whatever it is, signed by `key`.
    pub(super) fn of(header: Value, claims: Value, key: Arc<SigningKey>) -> Self {
        Self {
            header: object(header),
            claims: object(claims),
            claims_text: None,
            signature: Signature::Key(key),
            tampered: false,
        }
    }

    /// A claim as it stands.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.claims.get(name)
    }

    /// The scopes granted, separated by spaces; an empty text leaves the claim out.
    pub fn scope(self, scope: &str) -> Self {
        if scope.is_empty() { self.without("scope") } else { self.claim("scope", scope) }
    }

    /// Who it speaks for, when not the client itself.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets any claim to any value.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Moves `exp` to `seconds` from `now`; negative is expired.
    pub fn expires(self, now: Timestamp, seconds: i64) -> Self {
        self.claim("exp", now.as_second() + seconds)
    }

    /// What it says, as an issuer tells it of an opaque token.
    #[must_use]
    pub fn claims(&self) -> Map<String, Value> {
        self.claims.clone()
    }

    /// Sets any header parameter: `typ`, `kid`, `crit`, `jku`, ...
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a header parameter out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Takes this text for the claims, as it is: repeated keys, odd numbers, no JSON at all.
    pub fn claims_text(mut self, text: &str) -> Self {
        self.claims_text = Some(text.to_owned());
        self
    }

    /// Signs with another key and says so in the header.
    pub fn signed_by(mut self, key: Arc<SigningKey>) -> Self {
        self.header.insert("alg".to_owned(), key.algorithm.name().into());
        self.header.insert("kid".to_owned(), key.kid.as_str().into());
        self.signature = Signature::Key(key);
        self
    }

    /// Signs with another key, and names the honest one in the header.
    pub fn forged_by(mut self, key: Arc<SigningKey>) -> Self {
        self.signature = Signature::Key(key);
        self
    }

    /// `alg: none`, and no signature (RFC 8725 section 2.1).
    pub fn unsigned(mut self) -> Self {
        self.signature = Signature::None;
        self.header("alg", "none")
    }

    /// `alg: HS256` with `secret`, such as a public key (RFC 8725 section 2.1).
    pub fn hmac(mut self, secret: &[u8]) -> Self {
        self.signature = Signature::Hmac(secret.to_vec());
        self.header("alg", "HS256")
    }

    /// Changes the signature's first byte after signing.
    pub fn tampered(mut self) -> Self {
        self.tampered = true;
        self
    }

    /// The token in compact form (RFC 7515 section 7.1).
    #[must_use]
    pub fn sign(&self) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        let claims = match &self.claims_text {
            Some(text) => text.clone(),
            None => Value::Object(self.claims.clone()).to_string(),
        };
        let message = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let mut signature = match &self.signature {
            Signature::Key(key) => key.sign(message.as_bytes()),
            Signature::Hmac(secret) => {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes()).as_ref().to_vec()
            }
            Signature::None => Vec::new(),
        };
        if self.tampered {
            signature[0] ^= 1;
        }
        let token = format!("{message}.{}", base64url(&signature));
        secrets::note(&token);
        token
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mint")
            .field("header", &self.header)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

/// Five minutes: what issuers give to machines.
const LIFETIME_S: i64 = 300;
