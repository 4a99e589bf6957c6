//! The ways to log in: `AppRole`, Kubernetes, JWT, TLS certificate. Each checks what a real one checks of what it is shown.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::reply::Reply;
use super::simulated::{Call, Verb};
use super::token::{Grant, Tokens, random, seconds};
use crate::secrets;

/// One mount below `auth/`.
#[derive(Debug)]
pub(super) struct AuthMount {
    pub(super) kind: String,
    config: Value,
    roles: BTreeMap<String, Value>,
    /// Of AppRole: the role of each role id, and what is left of each secret id.
    role_ids: BTreeMap<String, String>,
    secret_ids: BTreeMap<String, SecretId>,
}

#[derive(Debug)]
struct SecretId {
    role: String,
    /// Nothing for as often as is wanted.
    uses: Option<i64>,
    expires: Option<i64>,
}

impl AuthMount {
    pub(super) fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            config: Value::Null,
            roles: BTreeMap::new(),
            role_ids: BTreeMap::new(),
            secret_ids: BTreeMap::new(),
        }
    }

    pub(super) fn answer(&mut self, call: &Call<'_>, tokens: &mut Tokens) -> Reply {
        let (what, name) = call.path.split_once('/').unwrap_or((call.path, ""));
        match (what, name, call.verb) {
            ("login", "", Verb::Write) => match self.log_in(call) {
                Ok(role) => {
                    Reply::auth(tokens.grant(call.namespace, call.mount, &Grant::of(&role), call.now))
                }
                Err(refusal) => refusal,
            },
            ("config", "", Verb::Write) => {
                self.config = call.body.clone();
                Reply::none()
            }
            ("role" | "certs", name, verb) => self.role(name, verb, call),
            _ => Reply::unsupported(),
        }
    }

    fn role(&mut self, name: &str, verb: Verb, call: &Call<'_>) -> Reply {
        match (name.split_once('/'), verb) {
            (None, Verb::Write) => {
                self.roles.insert(name.to_owned(), call.body.clone());
                self.role_ids.insert(random(), name.to_owned());
                Reply::none()
            }
            (Some((role, "role-id")), Verb::Read) => {
                let found = self.role_ids.iter().find(|(_, of)| *of == role);
                found.map_or_else(Reply::not_found, |(id, _)| Reply::data(json!({"role_id": id})))
            }
            (Some((role, "secret-id")), Verb::Write) => {
                let Some(settings) = self.roles.get(role) else { return Reply::not_found() };
                let secret_id = random();
                secrets::note(&secret_id);
                let uses = settings["secret_id_num_uses"].as_i64().filter(|uses| *uses > 0);
                let ttl = seconds(&settings["secret_id_ttl"]);
                let kept = SecretId { role: role.to_owned(), uses, expires: ttl.map(|ttl| call.now + ttl) };
                self.secret_ids.insert(secret_id.clone(), kept);
                Reply::data(json!({
                    "secret_id": secret_id,
                    "secret_id_accessor": random(),
                    "secret_id_ttl": ttl.unwrap_or(0),
                    "secret_id_num_uses": uses.unwrap_or(0),
                }))
            }
            (Some((_, "secret-id/destroy")), Verb::Write) => {
                self.secret_ids.remove(call.body["secret_id"].as_str().unwrap_or_default());
                Reply::none()
            }
            _ => Reply::unsupported(),
        }
    }

    /// The role whose token the caller gets.
    fn log_in(&mut self, call: &Call<'_>) -> Result<Value, Reply> {
        let text = |key: &str| call.body[key].as_str().unwrap_or_default();
        match self.kind.as_str() {
            "approle" => self.app_role(text("role_id"), text("secret_id"), call.now),
            "kubernetes" | "jwt" => self.signed(text("role"), text("jwt"), call.now),
            _ => self.certificate(text("name"), call.peer),
        }
    }

    fn app_role(&mut self, role_id: &str, secret_id: &str, now: i64) -> Result<Value, Reply> {
        let wrong = || Reply::error(400, "invalid role or secret ID");
        let role = self.role_ids.get(role_id).ok_or_else(wrong)?.clone();
        let kept = self.secret_ids.get_mut(secret_id).filter(|kept| kept.role == role).ok_or_else(wrong)?;
        if kept.expires.is_some_and(|at| at <= now) {
            self.secret_ids.remove(secret_id);
            return Err(wrong());
        }
        if let Some(uses) = &mut kept.uses {
            *uses -= 1;
            if *uses == 0 {
                self.secret_ids.remove(secret_id);
            }
        }
        Ok(self.roles[&role].clone())
    }

    /// A token signed by one of the configured keys, for this role.
    fn signed(&self, role: &str, jwt: &str, now: i64) -> Result<Value, Reply> {
        let Some(settings) = self.roles.get(role) else {
            return Err(Reply::error(400, &format!("role \"{role}\" could not be found")));
        };
        let keys = ["jwt_validation_pubkeys", "pem_keys"].map(|key| self.config[key].as_array().cloned());
        let keys: Vec<Value> = keys.into_iter().flatten().flatten().collect();
        let claims = keys.iter().find_map(|key| verified(key.as_str()?, jwt));
        let Some(claims) = claims else { return Err(Reply::error(400, "error validating token")) };
        if claims["exp"].as_i64().is_none_or(|at| at <= now) {
            return Err(Reply::error(400, "error validating token: token is expired"));
        }
        let audiences = settings["bound_audiences"].as_array().cloned().unwrap_or_default();
        if !audiences.is_empty() && !audiences.contains(&claims["aud"]) {
            return Err(Reply::error(
                400,
                "error validating claims: aud claim does not match any bound audience",
            ));
        }
        let fits = match (&settings["bound_service_account_names"], &settings["bound_subject"]) {
            (Value::Array(names), _) => {
                let namespaces =
                    settings["bound_service_account_namespaces"].as_array().into_iter().flatten();
                let mut accounts = namespaces.flat_map(|namespace| {
                    let of = namespace.as_str().unwrap_or_default();
                    names.iter().map(move |name| {
                        format!("system:serviceaccount:{of}:{}", name.as_str().unwrap_or_default())
                    })
                });
                accounts.any(|account| claims["sub"] == account)
            }
            (_, Value::String(subject)) => claims["sub"] == *subject,
            _ => true,
        };
        if fits { Ok(settings.clone()) } else { Err(Reply::denied()) }
    }

    fn certificate(&self, name: &str, peer: Option<&[u8]>) -> Result<Value, Reply> {
        let wrong = || Reply::error(400, "invalid certificate or no client certificate supplied");
        let peer = peer.ok_or_else(wrong)?;
        let (_, peer) = X509Certificate::from_der(peer).map_err(|_unreadable| wrong())?;
        let candidates = self.roles.iter().filter(|(role, _)| name.is_empty() || *role == name);
        for (_, settings) in candidates {
            let pem = settings["certificate"].as_str().unwrap_or_default();
            let Ok(root) = CertificateDer::from_pem_slice(pem.as_bytes()) else { continue };
            let Ok((_, root)) = X509Certificate::from_der(&root) else { continue };
            if peer.verify_signature(Some(root.public_key())).is_ok() {
                return Ok(settings.clone());
            }
        }
        Err(wrong())
    }
}

/// The claims of a token, if this PEM key signed it.
fn verified(pem: &str, jwt: &str) -> Option<Value> {
    let (signed, signature) = jwt.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Value = serde_json::from_slice(&decoded(header)?).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let (_, key) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
    let key = &key.subject_public_key.data;
    let signature = decoded(signature)?;
    let checked = match header["alg"].as_str()? {
        "ES256" => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(signed.as_bytes(), &signature)
        }
        "EdDSA" => UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature),
        _ => return None,
    };
    checked.ok()?;
    serde_json::from_slice(&decoded(claims)?).ok()
}
