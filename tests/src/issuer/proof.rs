//! Proofs of possession and tokens that are bound: good as RFC 9449 and RFC 8705 ask, until a test spoils them.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::keys::{SigningKey, base64url};
use super::mint::Mint;
use crate::certificates::Identity;

impl Mint {
    /// A proof that whoever holds `key` makes a request to `url`, which has neither query nor fragment
    /// (RFC 9449 section 4.2).
    pub fn proof(key: Arc<SigningKey>, method: &Method, url: &str) -> Self {
        let mut jwk = key.jwk();
        // The public key itself, and nothing else that a key set says of it.
        for name in ["kid", "use", "alg"] {
            jwk.as_object_mut().expect("a key is an object").remove(name);
        }
        let header = json!({"typ": "dpop+jwt", "alg": key.algorithm.name(), "jwk": jwk});
        let claims = json!({
            "jti": uuid::Uuid::now_v7().to_string(),
            "htm": method.as_str(),
            "htu": url,
            "iat": Timestamp::now().as_second(),
        });
        Self::of(header, claims, key)
    }

    /// Binds a proof to the token it goes with.
    pub fn for_token(self, token: &str) -> Self {
        self.claim("ath", base64url(digest(&SHA256, token.as_bytes()).as_ref()))
    }

    /// Binds a token to a key (RFC 9449 section 6.1).
    pub fn bound_to_key(self, key: &SigningKey) -> Self {
        self.confirmed("jkt", key.thumbprint())
    }

    /// Binds a token to a client certificate (RFC 8705 section 3.1).
    pub fn bound_to_certificate(self, identity: &Identity) -> Self {
        self.confirmed("x5t#S256", base64url(digest(&SHA256, &identity.der).as_ref()))
    }

    fn confirmed(self, name: &str, value: String) -> Self {
        let mut cnf = self.get("cnf").cloned().unwrap_or_else(|| json!({}));
        cnf[name] = Value::from(value);
        self.claim("cnf", cnf)
    }
}

impl SigningKey {
    /// The thumbprint of its public half (RFC 7638 section 3).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let names: &[&str] = match jwk["kty"].as_str() {
            Some("EC") => &["crv", "kty", "x", "y"],
            Some("OKP") => &["crv", "kty", "x"],
            _ => &["e", "kty", "n"],
        };
        let members: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", jwk[*name])).collect();
        base64url(digest(&SHA256, format!("{{{}}}", members.join(",")).as_bytes()).as_ref())
    }
}
