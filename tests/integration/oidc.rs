//! Tokens of a real authorization server (npm `oidc-provider`): a second opinion on what a token is.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::gateway::{Gateway, Reply};
use testbed::issuer::{Algorithm, Client};
use testbed::oidc::OidcProvider;
use testbed::{AUDIENCE, World, retailer};

const ORDER: &str = "/orders/v2/orders/S00042";

fn sample(caller: &str) -> Client {
    retailer::caller(caller).client().unwrap()
}

/// The world with the real server as its issuer, signing for two clients by different algorithms.
async fn started(audience: &str) -> (World, OidcProvider, Gateway) {
    let clients = [
        (sample("acme-marketplace"), Algorithm::Es256),
        (sample("reconciliation-bot"), Algorithm::Rs256),
        (Client { id: "stranger".to_owned(), ..sample("acme-marketplace") }, Algorithm::Es256),
    ];
    let provider = OidcProvider::start(audience, &clients).await;
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        let retail = &mut settings["issuers"]["retail"];
        retail["issuer"] = json!(provider.issuer());
        retail["keys"] = json!({"discovery": "openid", "insecure_http": true});
    });
    let gateway = Gateway::start(&world).await;
    (world, provider, gateway)
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
