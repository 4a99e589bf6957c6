//! Everything around one gateway, made anew: authorities, the issuer, the upstreams, and its files.
//!
//! A test starts a world, changes what it is about, and starts the gateway in it.

use serde_json::{Value, json};

use crate::certificates::{Authority, Identity, Validity, ed25519_key_pem};
use crate::folder::Folder;
use crate::issuer::{Issuer, Mint, paths};
use crate::repository;
use crate::retailer::{self, CALLERS};
use crate::upstream::{Security, Upstream};

/// A retailer with its partners.
#[derive(Debug)]
pub struct World {
    /// Signs the gateway's own certificates.
    pub servers: Authority,
    /// Signs the callers' certificates.
    pub clients: Authority,
    /// Signs what stands behind the gateway: upstreams, the issuer.
    pub internal: Authority,
    /// Gives tokens; `retail` in `gateway.yaml`.
    pub issuer: Issuer,
    /// `odoo` in `gateway.yaml`; over plain TCP.
    pub odoo: Upstream,
    /// `warehouse` in `gateway.yaml`; over TLS, with a client certificate of the gateway's.
    pub warehouse: Upstream,
    /// The gateway's files.
    pub folder: Folder,
}

/// What the upstream `odoo` gets from the gateway, so that a test can look for it elsewhere.
pub const ODOO_KEY: &str = "0dec0ded5ecre7f0r0d000000000000000000001";
/// The name in the gateway's certificate.
pub const SERVER_NAME: &str = "gateway.example";
/// The audience of the tokens.
pub const AUDIENCE: &str = "https://api.example";

impl World {
    /// Makes everything but the gateway itself.
    pub async fn new() -> Self {
        let (servers, mut clients) = (Authority::new("servers"), Authority::new("clients"));
        let internal = Authority::new("internal");
        let contracts = repository::folder("contracts");
        let inside = internal.server(&["127.0.0.1", "warehouse.internal"]);
        let issuer = Issuer::start(AUDIENCE, Some(&inside)).await;
        for client in CALLERS.iter().filter_map(retailer::SampleCaller::client) {
            issuer.register(client);
        }
        let odoo = Upstream::start(&contracts, Security::None).await;
        let tls = Security::Tls { identity: &inside, clients: Some(&internal.pem()) };
        let warehouse = Upstream::start(&contracts, tls).await;

        let folder = Folder::new(settings(&issuer, &odoo, &warehouse));
        servers.server(&[SERVER_NAME, "localhost", "127.0.0.1"]).write(&folder.join("certs"), "server");
        internal.client_dns(SERVER_NAME).write(&folder.join("certs"), "upstream-client");
        folder.write("certs/clients-ca.pem", &clients.pem());
        folder.write("certs/clients.crl", &clients.revocation_list(&[], Validity::Current));
        folder.write("certs/internal-ca.pem", &internal.pem());
        folder.write_private("certs/audit.key", &ed25519_key_pem());
        folder.write_private("certs/odoo-key", ODOO_KEY);
        // Everything in a test comes from one address and much of it is refused on purpose.
        folder.replace("policies/limits.yaml", "addresses: { quota: 30,", "addresses: { quota: 1000000,");
        Self { servers, clients, internal, issuer, odoo, warehouse, folder }
    }

    /// A good token of a sample caller, with all its scopes.
    ///
    /// # Panics
    /// The sample has no such caller, or the caller no token.
    pub fn mint(&self, caller: &str) -> Mint {
        retailer::caller(caller).mint(&self.issuer).unwrap_or_else(|| panic!("`{caller}` has no token"))
    }

    /// A good certificate of a sample caller.
    ///
    /// # Panics
    /// The sample has no such caller, or the caller no certificate.
    #[must_use]
    pub fn identity(&self, caller: &str) -> Identity {
        let identity = retailer::caller(caller).identity(&self.clients);
        identity.unwrap_or_else(|| panic!("`{caller}` has no certificate"))
    }
}

fn settings(issuer: &Issuer, odoo: &Upstream, warehouse: &Upstream) -> Value {
    let pair = |stem: &str| json!({"chain": format!("certs/{stem}.pem"), "key": format!("certs/{stem}.key")});
    json!({
        "listeners": {
            "public": {
                "address": "127.0.0.1:0",
                "tls": {
                    "certificates": [pair("server")],
                    "client_roots": "certs/clients-ca.pem",
                    "client_crls": ["certs/clients.crl"],
                },
            },
            "plain": {"address": "127.0.0.1:0", "insecure_no_tls": true},
        },
        "admin": {"address": "127.0.0.1:0"},
        "policies": "policies",
        "contracts": "contracts",
        "issuers": {
            "retail": {
                "issuer": issuer.name(),
                "audiences": [AUDIENCE],
                "keys": {"url": issuer.url(paths::JWKS), "ca": "certs/internal-ca.pem"},
                "algorithms": ["ES256", "EdDSA", "PS256", "RS256"],
            },
        },
        "upstreams": {
            "odoo": {"addresses": [odoo.address().to_string()], "credential": "odoo-key"},
            "warehouse": {
                "addresses": [warehouse.address().to_string()],
                "tls": {
                    "server_name": "warehouse.internal",
                    "roots": "certs/internal-ca.pem",
                    "client": pair("upstream-client"),
                },
            },
        },
        "credentials": {"odoo-key": {"from": "file:certs/odoo-key", "form": "bearer"}},
        "audit": {"directory": "audit", "signing_key": "certs/audit.key", "origin": "gateway.example/audit"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_file_that_the_settings_name_is_there() {
        let world = World::new().await;
        let settings: Value = serde_json::from_str(&world.folder.read("gateway.yaml")).unwrap();
        let mut open = vec![&settings];
        let mut files = 0;
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) if text.trim_start_matches("file:").starts_with("certs/") => {
                    let file = text.trim_start_matches("file:");
                    assert!(!world.folder.read(file).is_empty(), "{file}");
                    files += 1;
                }
                Value::Object(members) => open.extend(members.values()),
                Value::Array(items) => open.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
        assert_eq!(files, 10);
    }

    #[tokio::test]
    async fn every_sample_caller_has_its_proofs() {
        let world = World::new().await;
        for caller in CALLERS {
            assert_eq!(caller.mint(&world.issuer).is_some(), caller.token.is_some());
            assert_eq!(caller.identity(&world.clients).is_some(), caller.certificate.is_some());
        }
        assert_eq!(world.mint("customer-service").sign().split('.').count(), 3);
        assert!(world.identity("warehouse").chain_pem.starts_with("-----BEGIN CERTIFICATE"));
    }
}
