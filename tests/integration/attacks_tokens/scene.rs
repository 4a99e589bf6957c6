//! One gateway under attack: sends what a row says, and judges what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::Value;
use testbed::World;
use testbed::certificates::Identity;
use testbed::gateway::{Client, Gateway, Reply};
use testbed::issuer::{Algorithm, Mint, SigningKey};

/// Open to a token alone, and to persons, partners and bots.
pub(super) const ORDER: &str = "/orders/v2/orders/S00042";

/// A gateway, a caller with a key, and what was refused so far.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) gateway: Gateway,
    pub(super) client: Client,
    /// The key that the caller's tokens are bound to.
    pub(super) key: Arc<SigningKey>,
    refused: Vec<(String, String, &'static str)>,
}

/// What must come of an attack.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// The end of the problem's type.
    pub(super) problem: &'static str,
    /// A part of `WWW-Authenticate`; without one, the field must not be there.
    pub(super) challenge: Option<&'static str>,
    /// The reason on record.
    pub(super) reason: &'static str,
}

/// 401 with `invalid_token`.
pub(super) const fn invalid(reason: &'static str) -> Refusal {
    Refusal { status: 401, problem: "/invalid-token", challenge: Some("error=\"invalid_token\""), reason }
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::of(World::new().await).await
    }

    pub(super) async fn of(world: World) -> Self {
        let gateway = Gateway::start(&world).await;
        let client = gateway.client().build();
        Self { world, gateway, client, key: Arc::new(SigningKey::new(Algorithm::Es256)), refused: Vec::new() }
    }

    /// A client with this certificate.
    pub(super) fn client_with(&self, identity: &Identity) -> Client {
        self.gateway.client().certificate(identity).build()
    }

    /// A good token of a caller, bound to its key.
    pub(super) fn bound(&self) -> Mint {
        self.world.mint("acme-marketplace").bound_to_key(&self.key)
    }

    /// A good proof for GET [`ORDER`] with `token`, with the gateway's nonce.
    pub(super) async fn proof(&self, token: &str) -> Mint {
        let nonce = self.nonce().await;
        self.proof_without_nonce(token).claim("nonce", nonce)
    }

    pub(super) fn proof_without_nonce(&self, token: &str) -> Mint {
        Mint::proof(Arc::clone(&self.key), &Method::GET, &self.client.url(ORDER)).for_token(token)
    }

    /// The nonce that the gateway gives to whoever has none.
    pub(super) async fn nonce(&self) -> String {
        let token = self.bound().sign();
        let reply = self.with_proof(&token, &self.proof_without_nonce(&token).sign()).await;
        assert_eq!(reply.status, 401, "{reply:?}");
        reply.header("dpop-nonce").expect("a nonce is given").to_owned()
    }

    /// GET [`ORDER`] with a token and a proof.
    pub(super) async fn with_proof(&self, token: &str, proof: &str) -> Reply {
        self.client.send(self.client.request_with_proof(Method::GET, ORDER, token, proof)).await
    }

    /// Judges an answer that should be a refusal; its record is judged at the end.
    pub(super) fn refused(&mut self, attack: &str, reply: &Reply, expected: Refusal) {
        let Refusal { status, problem, challenge, reason } = expected;
        assert_eq!(reply.status.as_u16(), status, "{attack}: {reply:?} {}", reply.text());
        let kind = reply.problem()["type"].as_str().unwrap_or_default().to_owned();
        assert!(kind.ends_with(problem), "{attack}: {kind}");
        let told = reply.header("www-authenticate");
        assert_eq!(told.is_some(), challenge.is_some(), "{attack}: {reply:?}");
        let part = challenge.unwrap_or_default();
        assert!(told.unwrap_or_default().contains(part), "{attack}: {told:?} lacks {part}");
        assert!(self.world.odoo.seen().is_empty(), "{attack}: the upstream saw it");
        assert!(self.world.warehouse.seen().is_empty(), "{attack}: the upstream saw it");
        let id = reply.header("x-request-id").expect("every answer has an id").to_owned();
        self.refused.push((attack.to_owned(), id, reason));
    }

    /// The records of what was served.
    pub(super) async fn served(&self) -> Vec<Value> {
        let records = self.gateway.audit(&[]).await;
        records.into_iter().filter(|record| record["decision"]["outcome"] == "allowed").collect()
    }

    /// Judges what the audit log says of every attack; none may be missing.
    pub(super) async fn end(self) {
        let records = self.gateway.audit(&[]).await;
        let by_id: BTreeMap<&str, &Value> =
            records.iter().filter_map(|record| Some((record["request_id"].as_str()?, record))).collect();
        assert!(!self.refused.is_empty());
        for (attack, id, reason) in &self.refused {
            let record = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{attack}: no record"));
            assert_eq!(record["decision"]["reason"], *reason, "{attack}: {record}");
            assert_eq!(record["decision"]["outcome"], "refused", "{attack}: {record}");
            assert!(record["upstream"].is_null(), "{attack}: {record}");
        }
    }
}
