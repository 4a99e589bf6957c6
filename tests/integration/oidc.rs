//! Tokens of a real authorization server (npm `oidc-provider`): a second opinion on what a token is.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::certificates::Identity;
use testbed::gateway::{Gateway, Reply};
use testbed::issuer::{Algorithm, Client, Mint, SigningKey};
use testbed::oidc::{OidcProvider, Registered, Site};
use testbed::{AUDIENCE, World, retailer};
use tokio::sync::watch;

use crate::load::{Load, unlimited};

const ORDER: &str = "/orders/v2/orders/S00042";

fn sample(caller: &str) -> Client {
    retailer::caller(caller).client().unwrap()
}

/// The world with the real server as its issuer, signing for two clients by different algorithms.
async fn started(audience: &str) -> (World, OidcProvider, Gateway) {
    let mut world = World::new().await;
    let (provider, gateway) = started_in(&mut world, audience).await;
    (world, provider, gateway)
}

async fn started_in(world: &mut World, audience: &str) -> (OidcProvider, Gateway) {
    let clients = [
        (sample("acme-marketplace"), Algorithm::Es256),
        (sample("reconciliation-bot"), Algorithm::Rs256),
        (Client { id: "stranger".to_owned(), ..sample("acme-marketplace") }, Algorithm::Es256),
    ];
    let provider = OidcProvider::start(audience, &clients).await;
    world.folder.settings(|settings| {
        let retail = &mut settings["issuers"]["retail"];
        retail["issuer"] = json!(provider.issuer());
        retail["keys"] = json!({"discovery": "openid", "insecure_http": true});
    });
    let gateway = Gateway::start(world).await;
    (provider, gateway)
}

fn problem(reply: &Reply) -> String {
    reply.problem()["type"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn its_tokens_open_what_their_scopes_and_the_policies_allow() {
    let (world, provider, gateway) = started(AUDIENCE).await;
    let client = gateway.client().build();
    let (acme, bot) = (sample("acme-marketplace"), sample("reconciliation-bot"));
    let stranger = Client { id: "stranger".to_owned(), ..sample("acme-marketplace") };
    let rows: [(&Client, &[&str], &str, u16, &str); 6] = [
        (&acme, &["orders:read"], ORDER, 200, ""),
        (&bot, &["orders:read"], ORDER, 200, ""),
        (&acme, &["orders:read"], "/orders/v2/orders?channel=other", 403, "policy-refused"),
        (&acme, &["stock:read"], ORDER, 403, "insufficient-scope"),
        (&bot, &["refunds:read"], ORDER, 403, "insufficient-scope"),
        (&stranger, &["orders:read"], ORDER, 403, "unknown-caller"),
    ];
    for (who, scopes, path, status, refused) in rows {
        let token = provider.token(who, scopes).await.unwrap();
        let reply = client.get_as(&token, path).await;
        assert_eq!(reply.status.as_u16(), status, "{} {scopes:?} {path}: {reply:?}", who.id);
        if !refused.is_empty() {
            assert_eq!(problem(&reply), refused, "{} {scopes:?} {path}", who.id);
        }
    }
    assert_eq!(world.odoo.seen().len(), 2);
    let record = gateway.audit(&["--caller", "acme-marketplace", "--status", "200"]).await.remove(0);
    assert!(record["caller"]["token_id"].is_string() && record["caller"]["how"] == "token", "{record:#}");
}

#[tokio::test]
async fn its_token_and_a_certificate_together_place_an_order() {
    let (world, provider, gateway) = started(AUDIENCE).await;
    let token = provider.token(&sample("acme-marketplace"), &["orders:write"]).await.unwrap();
    let order: Value = json!({
        "reference": "ACME-2026-004712", "channel": "acme", "placedAt": "2026-11-02T10:00:00Z", "currency": "EUR",
        "customer": {"customerId": "C10042", "name": "Ada Example", "email": "ada@customer.example"},
        "delivery": {"method": "pickup", "store": "BER-01"},
        "lines": [{"sku": "MUG-0042", "quantity": 4, "unitPrice": "8.50"}],
    });
    let identity = world.identity("acme-marketplace");
    let client = gateway.client().certificate(&identity).build();
    let placed = client.send_json(&token, Method::POST, "/orders/v2/orders", &order).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{placed:?}");
    let without = gateway.client().build().send_json(&token, Method::POST, "/orders/v2/orders", &order).await;
    assert_eq!((without.status.as_u16(), problem(&without).as_str()), (403, "certificate-required"));
    let seen = world.odoo.seen();
    assert_eq!((seen.len(), seen[0].json()), (1, order));
    assert!(!format!("{seen:?}").contains(&token), "the caller's token ends at the gateway");
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let (_world, provider, gateway) = started("https://another-api.example").await;
    let token = provider.token(&sample("acme-marketplace"), &["orders:read"]).await.unwrap();
    let refused = gateway.client().build().get_as(&token, ORDER).await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (401, "invalid-token"));
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn its_rotations_are_followed() {
    let (_world, provider, gateway) = started(AUDIENCE).await;
    let client = gateway.client().build();
    let acme = sample("acme-marketplace");
    let first = provider.token(&acme, &["orders:read"]).await.unwrap();
    assert_eq!(client.get_as(&first, ORDER).await.status, StatusCode::OK);

    provider.rotate_gently().await;
    let second = provider.token(&acme, &["orders:read"]).await.unwrap();
    let known = async |token: &str| (client.get_as(token, ORDER).await.status == 200).then_some(());
    gateway.until("the new key is known", async || known(&second).await).await;
    assert_eq!(client.get_as(&first, ORDER).await.status, StatusCode::OK);

    provider.rotate().await;
    let third = provider.token(&acme, &["orders:read"]).await.unwrap();
    gateway.until("the only key is known", async || known(&third).await).await;
    for old in [&first, &second] {
        assert_eq!(client.get_as(old, ORDER).await.status, StatusCode::UNAUTHORIZED);
    }
}

const READ: &str = "orders:read";

/// How the gateway asks the server about opaque tokens, besides where.
fn introspection(client: Value) -> Value {
    // What oidc-provider says of a client's own opaque token: no `sub`, and the token itself is its id.
    json!({"client": client, "cache": "0s", "negative_cache": "0s"})
}

/// A world whose issuer is `provider`, asked about opaque tokens as `introspection` says.
fn asks(world: &mut World, provider: &OidcProvider, introspection: &Value) {
    world.folder.settings(|settings| {
        let retail = &mut settings["issuers"]["retail"];
        retail["issuer"] = json!(provider.issuer());
        retail["keys"] = json!({"discovery": "openid"});
        if provider.issuer().starts_with("http:") {
            retail["keys"]["insecure_http"] = json!(true);
        } else {
            retail["keys"]["ca"] = json!("certs/internal-ca.pem");
        }
        retail["required_claims"] = json!(["client_id", "iat"]);
        retail["introspection"] = introspection.clone();
    });
}

fn opaque(caller: &str) -> Registered {
    Registered::new(&sample(caller), Algorithm::Es256).with("opaque", true)
}

async fn reason(gateway: &Gateway) -> Value {
    gateway.audit(&[]).await.pop().unwrap()["decision"]["reason"].clone()
}

#[tokio::test]
async fn its_opaque_tokens_are_good_until_it_revokes_them() {
    let gate = Registered::asking("gateway").with("secret", "the-secret-of-the-gateway");
    let clients = vec![opaque("acme-marketplace"), gate];
    let provider = OidcProvider::start_as(&Site { audience: AUDIENCE, clients, ..Site::default() }).await;
    let mut world = World::new().await;
    world.folder.write_private("certs/gateway-secret", "the-secret-of-the-gateway");
    asks(
        &mut world,
        &provider,
        &introspection(json!({"id": "gateway", "secret": "file:certs/gateway-secret"})),
    );
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = sample("acme-marketplace");
    let token = provider.token(&acme, &[READ]).await.unwrap();
    assert!(!token.contains('.'), "it says nothing itself");
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    let narrow = provider.token(&acme, &["stock:read"]).await.unwrap();
    assert_eq!(problem(&client.get_as(&narrow, ORDER).await), "insufficient-scope");

    provider.revoke(&acme, &token).await;
    let refused = client.get_as(&token, ORDER).await;
    assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (401, "invalid-token"));
    assert_eq!(reason(&gateway).await, "token-inactive");
    assert_eq!(world.odoo.seen().len(), 1);
}

#[tokio::test]
async fn it_is_asked_with_a_signed_assertion_and_signs_what_it_answers() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let (x, y) = pair.public_key_raw()[1..].split_at(32);
    let encode = |half: &[u8]| URL_SAFE_NO_PAD.encode(half);
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y), "kid": "own", "use": "sig"});
    let gate = Registered::asking("gateway").with("jwks", json!([jwk])).with("signed", true);
    let clients = vec![opaque("acme-marketplace"), gate];
    let provider = OidcProvider::start_as(&Site { audience: AUDIENCE, clients, ..Site::default() }).await;
    let mut world = World::new().await;
    world.folder.write_private("certs/own.key", &pair.serialize_pem());
    let client = json!({"id": "gateway", "private_key": "file:certs/own.key", "key_id": "own"});
    let mut wanted = introspection(client);
    wanted["signed"] = json!(true);
    asks(&mut world, &provider, &wanted);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = provider.token(&sample("acme-marketplace"), &[READ]).await.unwrap();
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK, "{}", gateway.printed());
    // The keys that sign tokens sign answers too, and are followed.
    provider.rotate().await;
    let served = async || (client.get_as(&token, ORDER).await.status == StatusCode::OK).then_some(());
    gateway.until("the new key is known", served).await;
    provider.revoke(&sample("acme-marketplace"), &token).await;
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reason(&gateway).await, "token-inactive");
}

#[tokio::test]
async fn certificates_prove_the_gateway_to_it_and_bind_its_tokens() {
    let mut world = World::new().await;
    let identity = world.internal.server(&["127.0.0.1"]);
    let own = world.internal.client_dns("gateway.internal");
    own.write(&world.folder.join("certs"), "own");
    let name = "client.acme.example";
    let acme =
        opaque("acme-marketplace").with("secret", Value::Null).with("certificate", name).with("bound", true);
    let gate = Registered::asking("gateway").with("certificate", "gateway.internal");
    // The partner has one certificate for the server and for the gateway: both trust who signs it.
    let partner = world.internal.client_dns(name);
    world.folder.write("certs/clients-ca.pem", &format!("{}{}", world.clients.pem(), world.internal.pem()));
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"].as_object_mut().unwrap().remove("client_crls");
    });
    let site = Site {
        audience: AUDIENCE,
        clients: vec![acme, gate],
        tls: Some((&identity, &world.internal)),
        nonces: false,
    };
    let provider = OidcProvider::start_as(&site).await;
    let client = json!({"id": "gateway", "certificate": {"chain": "certs/own.pem", "key": "certs/own.key"}});
    asks(&mut world, &provider, &introspection(client));
    let token = provider.token_by_certificate("acme-marketplace", READ, &partner).await;
    let gateway = Gateway::start(&world).await;
    let with = async |identity: &Identity| {
        gateway.client().certificate(identity).build().get_as(&token, ORDER).await
    };
    let served = with(&partner).await;
    assert_eq!(served.status, StatusCode::OK, "{served:?} {}", gateway.printed());
    let thief = world.internal.client_dns(name);
    for refused in [with(&thief).await, gateway.client().build().get_as(&token, ORDER).await] {
        assert_eq!((refused.status.as_u16(), problem(&refused).as_str()), (401, "invalid-token"));
    }
    assert_eq!(world.odoo.seen().len(), 1);
}

#[tokio::test]
async fn its_tokens_that_are_bound_to_a_key_need_a_proof_for_each_request() {
    let acme = sample("acme-marketplace");
    let clients = vec![Registered::new(&acme, Algorithm::Es256).with("dpop", true)];
    let site = Site { audience: AUDIENCE, clients, tls: None, nonces: true };
    let provider = OidcProvider::start_as(&site).await;
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        let retail = &mut settings["issuers"]["retail"];
        retail["issuer"] = json!(provider.issuer());
        retail["keys"] = json!({"discovery": "openid", "insecure_http": true});
    });
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let key = Arc::new(SigningKey::new(Algorithm::Es256));
    let token = provider.token_by_proof(&acme, READ, &key).await;
    let url = client.url(ORDER);
    let proof = |key: &Arc<SigningKey>| Mint::proof(Arc::clone(key), &Method::GET, &url).for_token(&token);
    let send =
        async |proof: &str| client.send(client.request_with_proof(Method::GET, ORDER, &token, proof)).await;
    let asked = send(&proof(&key).sign()).await;
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "the first proof has no nonce of the gateway's");
    let nonce = asked.header("dpop-nonce").unwrap().to_owned();
    let good = proof(&key).claim("nonce", nonce.as_str()).sign();
    let served = send(&good).await;
    assert_eq!(served.status, StatusCode::OK, "{served:?}");
    let thief = Arc::new(SigningKey::new(Algorithm::Es256));
    for refused in [
        send(&good).await,
        send(&proof(&thief).claim("nonce", nonce.as_str()).sign()).await,
        client.get_as(&token, ORDER).await,
    ] {
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    }
    assert_eq!(world.odoo.seen().len(), 1);
}

/// Traffic without a pause while keys rotate gently: nobody is refused, and both keys are seen.
#[tokio::test]
async fn its_rotations_under_traffic_refuse_nobody() {
    let mut world = World::new().await;
    unlimited(&world);
    let (provider, gateway) = started_in(&mut world, AUDIENCE).await;
    let acme = sample("acme-marketplace");
    let token = provider.token(&acme, &[READ]).await.unwrap();
    let (current, tokens) = watch::channel(token);
    let load = Load::of_tokens(&gateway, move || tokens.borrow().clone());
    for _ in 0..3 {
        load.goes_on(&gateway).await;
        provider.rotate_gently().await;
        let next = provider.token(&acme, &[READ]).await.unwrap();
        // As careful issuers do: a key is published before what it signs is in use.
        let probe = gateway.client().build();
        let known = async || (probe.get_as(&next, ORDER).await.status == StatusCode::OK).then_some(());
        gateway.until("the new key is known", known).await;
        current.send_replace(next);
        load.goes_on(&gateway).await;
    }
    load.end().await;
    assert!(world.odoo.seen().len() >= 120);
}
