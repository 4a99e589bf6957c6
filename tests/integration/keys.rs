//! The keys of token issuers: rotated, lost, late and wrong, under a gateway that serves.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::certificates::Identity;
use testbed::gateway::{Client, Gateway, Reply};
use testbed::issuer::{Algorithm, Issuer, SigningKey, paths};
use testbed::{AUDIENCE, Fault, Gate, World};

const ORDER: &str = "/orders/v2/orders/S00042";

fn problem(reply: &Reply) -> String {
    reply.problem()["type"].as_str().unwrap().rsplit(['/', '#']).next().unwrap().to_owned()
}

/// An unknown key is asked for at most once in a while, so that a new one may take a moment.
async fn until_served(gateway: &Gateway, client: &Client, token: &str) {
    gateway
        .until("the token is accepted", async || {
            let reply = client.get_as(token, ORDER).await;
            (reply.status == 200).then_some(())
        })
        .await;
}

fn issuer_of(status: &Value) -> Value {
    status["issuers"].as_array().unwrap().iter().find(|one| one["name"] == "retail").unwrap().clone()
}

#[tokio::test]
async fn a_gentle_rotation_is_noticed_by_nobody() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let old = world.mint("acme-marketplace");
    assert_eq!(client.get_as(&old.clone().sign(), ORDER).await.status, StatusCode::OK);

    world.issuer.rotate_gently();
    let new = world.mint("acme-marketplace").sign();
    gateway
        .until("the new key is known", async || {
            // A token of the old key that the gateway has not seen before: it cannot remember it.
            let another = old.clone().claim("jti", uuid()).sign();
            assert_eq!(client.get_as(&another, ORDER).await.status, StatusCode::OK);
            (client.get_as(&new, ORDER).await.status == 200).then_some(())
        })
        .await;
    let another = old.claim("jti", uuid()).sign();
    assert_eq!(client.get_as(&another, ORDER).await.status, StatusCode::OK);
}

fn uuid() -> String {
    format!("{:?}", std::time::Instant::now())
}

#[tokio::test]
async fn after_a_hard_rotation_the_old_key_is_worth_nothing() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let remembered = world.mint("acme-marketplace").sign();
    assert_eq!(client.get_as(&remembered, ORDER).await.status, StatusCode::OK);

    world.issuer.rotate();
    until_served(&gateway, &client, &world.mint("acme-marketplace").sign()).await;
    let refused = client.get_as(&remembered, ORDER).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
}

#[tokio::test]
async fn unknown_keys_cost_the_issuer_one_request_however_many_come() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let unknown = std::sync::Arc::new(SigningKey::new(Algorithm::Es256));
    let evil = world.mint("acme-marketplace").signed_by(unknown).sign();
    let before = world.issuer.requests(paths::JWKS);
    assert_eq!(before, 1, "fetched once at the start");

    // The second fetch hangs at the issuer, and everyone with an unknown key waits for that one.
    let gate = Gate::closed();
    world.issuer.fail(paths::JWKS, Fault::Held(gate.clone()));
    gateway
        .until("the issuer is asked again", async || {
            let refused = client.get_as(&evil, ORDER).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
            (world.issuer.requests(paths::JWKS) > before).then_some(())
        })
        .await;
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let (client, evil) = (client.clone(), evil.clone());
            tokio::spawn(async move { client.get_as(&evil, ORDER).await })
        })
        .collect();
    // Meanwhile the keys that are known serve.
    let good = world.mint("acme-marketplace").sign();
    assert_eq!(client.get_as(&good, ORDER).await.status, StatusCode::OK);
    gate.open();
    for one in crowd {
        assert_eq!(one.await.unwrap().status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(world.issuer.requests(paths::JWKS), before + 1);
}

#[tokio::test]
async fn the_last_good_keys_serve_until_their_age_limit() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["issuers"]["retail"]["keys"]["refresh"] = json!("10s");
        settings["issuers"]["retail"]["keys"]["age_max"] = json!("15s");
    });
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let remembered = world.mint("acme-marketplace").sign();
    assert_eq!(client.get_as(&remembered, ORDER).await.status, StatusCode::OK);

    world.issuer.fail(paths::JWKS, Fault::Dead);
    gateway.status_that("a fetch that failed", |status| !issuer_of(status)["last_error"].is_null()).await;
    let fresh = world.mint("acme-marketplace").sign();
    for token in [&remembered, &fresh] {
        assert_eq!(client.get_as(token, ORDER).await.status, StatusCode::OK, "the last good keys");
    }

    let refused = gateway
        .until("the keys are too old", async || {
            let reply = client.get_as(&remembered, ORDER).await;
            (reply.status != 200).then_some(reply)
        })
        .await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(&refused), "temporary-reduced-capacity");
    assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    // What needs no token is served all the time, and another proof is as good as ever.
    assert_eq!(client.get("/stock/v1/status").await.status, StatusCode::OK);
    let identity = world.identity("warehouse");
    let warehouse = gateway.client().certificate(&identity).build();
    assert_eq!(warehouse.get(ORDER).await.status, StatusCode::OK);
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);

    world.issuer.heal();
    until_served(&gateway, &client, &remembered).await;
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK);
    let record = gateway.audit(&["--status", "503"]).await.remove(0);
    assert_eq!(record["decision"]["outcome"], "failed");
}

#[tokio::test]
async fn an_issuer_that_is_dead_at_the_start_heals_without_a_restart() {
    let world = World::new().await;
    world.issuer.fail(paths::JWKS, Fault::Dead);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let ready = gateway.admin_page("/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ready.text().contains("no keys of issuer retail"), "{}", ready.text());
    let refused = client.get_as(&token, ORDER).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").is_some());
    assert!(world.odoo.seen().is_empty());
    assert_eq!(client.get("/stock/v1/status").await.status, StatusCode::OK);

    world.issuer.heal();
    until_served(&gateway, &client, &token).await;
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_answer_never_replaces_good_keys() {
    let mut world = World::new().await;
    let identity: Identity = world.internal.server(&["127.0.0.1"]);
    let gate = Gate::closed();
    let evil = Issuer::start(AUDIENCE, Some(&identity)).await;
    let rows = [
        ("too-large", Fault::Oversized(300 << 10)),
        ("redirected", Fault::Redirect(evil.url(paths::JWKS))),
        ("not-a-key-set", Fault::Body("<h1>Sign in</h1>".to_owned())),
        ("not-a-key-set", Fault::Body("{\"keys\": 7}".to_owned())),
        ("no-usable-key", Fault::Body("{\"keys\": []}".to_owned())),
        (
            "no-usable-key",
            Fault::Body(r#"{"keys":[{"kty":"oct","kid":"1","alg":"HS256","k":"c2VjcmV0"}]}"#.to_owned()),
        ),
        ("status", Fault::Status(500)),
        ("timed-out", Fault::Held(gate)),
        ("unreachable", Fault::Dead),
    ];
    let mut issuers = Vec::new();
    for (n, (code, fault)) in rows.into_iter().enumerate() {
        let issuer = Issuer::start(AUDIENCE, Some(&identity)).await;
        let name = format!("issuer-{n}");
        world.folder.settings(|settings| {
            let mut like = settings["issuers"]["retail"].clone();
            like["issuer"] = json!(issuer.name());
            like["keys"]["url"] = json!(issuer.url(paths::JWKS));
            like["keys"]["refresh"] = json!("10s");
            settings["issuers"][&name] = like;
        });
        issuers.push((name, code, fault, issuer));
    }
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    // Callers prove themselves by the issuer `retail` only: good keys of others end at "unknown-caller".
    let verified = async |issuer: &Issuer| {
        let reply = client.get_as(&issuer.mint("acme-marketplace").scope("orders:read").sign(), ORDER).await;
        problem(&reply) == "unknown-caller"
    };
    for (name, _, fault, issuer) in &issuers {
        assert!(verified(issuer).await, "{name}");
        issuer.fail(paths::JWKS, fault.clone());
    }
    for (name, code, fault, issuer) in &issuers {
        gateway
            .status_that(&format!("{fault:?} is told as {code}"), |status| {
                let issuers = status["issuers"].as_array().unwrap();
                issuers.iter().any(|one| one["name"] == **name && one["last_error"] == **code)
            })
            .await;
        assert!(verified(issuer).await, "{name} {fault:?}");
        let forged = issuer.mint("acme-marketplace").signed_by(evil.key(Algorithm::Es256)).sign();
        let refused = client.send(client.request(Method::GET, ORDER).bearer_auth(forged)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{fault:?}");
    }
    assert_eq!(evil.requests(paths::JWKS), 0, "a redirect is not followed");
}
