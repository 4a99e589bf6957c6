//! Tokens of an authorization server towards upstreams: the gateway's own, and on behalf of callers.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Map, Value, json};
use testbed::gateway::{Gateway, run};
use testbed::issuer::{Client, paths};
use testbed::{Fault, World};

const ORDER: &str = "/orders/v2/orders/S00042";
const ORDERS: &str = "contracts/orders/v2/openapi.yaml";
const COUNTS: &str = "/stock/v1/status";
const ODOO: &str = "https://odoo.internal";

/// Whether the gateway calls for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Itself,
    Callers,
}

/// A world whose upstream `odoo` is shown tokens.
async fn world(whom: For) -> World {
    let mut world = World::new().await;
    let secret = "the-password-of-the-gateway";
    world.issuer.register(Client {
        id: "gateway".to_owned(),
        secret: secret.to_owned(),
        scopes: vec!["odoo".to_owned()],
        claims: Map::new(),
    });
    world.folder.write_private("certs/gateway-secret", secret);
    let token_url = world.issuer.url(paths::TOKEN);
    world.folder.settings(|settings| {
        settings["credentials"]["odoo-key"] = json!({"oauth": {
            "token_url": token_url,
            "ca": "certs/internal-ca.pem",
            "client": {"id": "gateway", "secret": "file:certs/gateway-secret"},
            "scopes": ["odoo"],
            "audience": ODOO,
            "on_behalf": whom == For::Callers,
        }});
        if whom == For::Callers {
            // Of odoo's operations these are the ones that can be called on behalf of whoever calls them.
            settings["upstreams"]["odoo-for-callers"] = settings["upstreams"]["odoo"].clone();
            settings["upstreams"]["odoo"].as_object_mut().unwrap().remove("credential");
        }
    });
    if whom == For::Callers {
        world.folder.replace(ORDERS, "upstream: odoo", "upstream: odoo-for-callers");
        world.folder.replace(ORDERS, "        - clientCertificate: []\n", "");
        // They say that a certificate alone is enough.
        world.folder.remove("policies/tests/orders.yaml");
    }
    world
}

/// The claims of each token that the upstream was shown.
fn shown(world: &World) -> Vec<Value> {
    world.odoo.shown().iter().map(|token| claims(token)).collect()
}

/// The claims of the token that the upstream was shown last.
fn shown_last(world: &World) -> Value {
    claims(world.odoo.seen().last().unwrap().header("authorization").unwrap())
}

fn claims(authorization: &str) -> Value {
    let claims = authorization.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn the_gateways_own_token_is_fetched_once_and_again_when_it_is_refused() {
    let world = world(For::Itself).await;
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    for _ in 0..5 {
        assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    }
    assert_eq!(world.issuer.requests(paths::TOKEN), 1);
    let claims = shown(&world);
    assert_eq!(claims.len(), 1);
    assert_eq!((&claims[0]["client_id"], &claims[0]["aud"]), (&json!("gateway"), &json!(ODOO)));

    let first = world.odoo.shown().into_iter().next().unwrap();
    world.odoo.next(|_| testbed::upstream::Answer::problem(401));
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK, "another one is fetched and shown");
    assert_eq!(world.issuer.requests(paths::TOKEN), 2);
    assert!(world.odoo.shown().iter().any(|token| *token != first));
    let records = gateway.audit(&["--caller", "acme-marketplace"]).await;
    let versions: BTreeSet<_> = records.iter().map(|one| one["credential"]["version"].to_string()).collect();
    assert_eq!((records.len(), versions.len()), (6, 2));
}

#[tokio::test]
async fn a_token_is_replaced_ahead_of_its_end_and_none_is_shown_after_it() {
    let world = world(For::Itself).await;
    world.issuer.give_for(3);
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    gateway
        .until("several tokens were shown", async || {
            let begun = jiff::Timestamp::now().as_second();
            assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
            let ends = shown_last(&world)["exp"].as_i64().unwrap();
            assert!(begun < ends, "a token is shown that had ended when the call began");
            (world.odoo.shown().len() >= 3).then_some(())
        })
        .await;
    assert_eq!(gateway.audit(&["--decision", "failed"]).await.len(), 0);
}

#[tokio::test]
async fn an_authorization_server_that_is_dead_closes_only_what_needs_its_tokens() {
    let world = world(For::Itself).await;
    world.issuer.fail(paths::TOKEN, Fault::Dead);
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    let ready = gateway.admin_page("/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        ready.text().contains("no value of the credential odoo-key (token-unavailable)"),
        "{}",
        ready.text()
    );
    let reply = client.get_as(&token, ORDER).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(client.get(COUNTS).await.status, StatusCode::OK);
    assert!(world.odoo.seen().is_empty());
    let record = gateway.audit(&["--status", "503"]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "credential-unavailable");

    world.issuer.heal();
    gateway.status_that("a token", |status| status["credentials"][0]["state"] == "steady").await;
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_upstream_learns_on_whose_behalf_it_is_called_and_never_sees_a_callers_token() {
    let world = world(For::Callers).await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = world.mint("acme-marketplace").subject("acme").sign();
    let bot = world.mint("reconciliation-bot").subject("bot").sign();
    for token in [&acme, &acme, &bot] {
        assert_eq!(client.get_as(token, ORDER).await.status, StatusCode::OK);
    }
    assert_eq!(world.issuer.requests(paths::TOKEN), 2, "one exchange for each caller's token");
    let claims = shown(&world);
    let subjects: BTreeSet<_> = claims.iter().map(|claims| claims["sub"].as_str().unwrap()).collect();
    assert_eq!(subjects, BTreeSet::from(["acme", "bot"]));
    assert!(
        claims.iter().all(|claims| claims["act"]["sub"] == "gateway" && claims["aud"] == ODOO),
        "{claims:?}"
    );
    for seen in world.odoo.seen() {
        let text = format!("{seen:?}");
        assert!(!text.contains(&acme) && !text.contains(&bot), "a caller's token goes on");
    }

    // Refused once, it is exchanged anew, once.
    world.odoo.next(|_| testbed::upstream::Answer::problem(401));
    assert_eq!(client.get_as(&acme, ORDER).await.status, StatusCode::OK);
    assert_eq!(world.issuer.requests(paths::TOKEN), 3);
    world.odoo.takes_only(&["nobody"], 401);
    let before = world.odoo.seen().len();
    assert_eq!(client.get_as(&acme, ORDER).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(world.odoo.seen().len() - before, 2);
    let record = gateway.audit(&["--status", "502"]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "credential-refused");
}

#[tokio::test]
async fn whom_the_authorization_server_does_not_let_us_act_for_is_refused() {
    let world = world(For::Callers).await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").subject("suspended").sign();
    let reply = client.get_as(&token, ORDER).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.problem()["type"].as_str().unwrap().ends_with("/policy-refused"), "{}", reply.text());
    assert!(world.odoo.seen().is_empty());
    let record = gateway.audit(&[]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "not-on-behalf", "{record}");
    assert_eq!(record["decision"]["outcome"], "refused", "{record}");
}

#[tokio::test]
async fn what_serves_callers_without_a_token_cannot_be_called_on_their_behalf() {
    let world = world(For::Callers).await;
    let reads = "        - oauth: [\"orders:read\"]\n";
    world.folder.replace(ORDERS, reads, &format!("{reads}        - clientCertificate: []\n"));
    let config = world.folder.settings_file().display().to_string();
    let told = run(&["check", "--config", &config]).await;
    assert!(!told.success);
    let told = format!("{}{}", told.output, told.errors);
    assert!(told.contains("is called on behalf of its caller"), "{told}");
}
