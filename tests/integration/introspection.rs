//! Opaque tokens, and issuers that are asked about them: good, slow, dead, wrong and hostile.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testbed::gateway::{Client, Gateway, Reply};
use testbed::issuer::{self, Issuer, paths};
use testbed::{AUDIENCE, Fault, Gate, World};

const ORDER: &str = "/orders/v2/orders/S00042";
/// Opaque tokens, where the issuer knows them.
const TOKEN: &str = "an-opaque-token-of-acme";
const STOCK_TOKEN: &str = "an-opaque-token-of-acme-for-stock";

/// A world whose issuer is asked about opaque tokens, as these settings say besides.
async fn world(more: Value) -> World {
    let mut world = World::new().await;
    world.issuer.register(issuer::Client {
        id: "gateway".to_owned(),
        secret: "introspection-secret".to_owned(),
        scopes: Vec::new(),
        claims: Map::new(),
    });
    world.folder.write_private("certs/introspection-secret", "introspection-secret\n");
    let url = world.issuer.url(paths::INTROSPECTION);
    world.folder.settings(|settings| {
        let mut asked = json!({
            "url": url, "client": {"id": "gateway", "secret": "file:certs/introspection-secret"},
        });
        for (name, value) in more.as_object().unwrap() {
            asked[name] = value.clone();
        }
        settings["issuers"]["retail"]["introspection"] = asked;
    });
    world
}

fn problem(reply: &Reply) -> String {
    reply.problem()["type"].as_str().unwrap().rsplit(['/', '#']).next().unwrap().to_owned()
}

async fn get(client: &Client, token: &str) -> Reply {
    client.get_as(token, ORDER).await
}

/// The reason of the last record.
async fn reason(gateway: &Gateway) -> Value {
    gateway.audit(&[]).await.pop().unwrap()["decision"]["reason"].clone()
}

fn asked(world: &World) -> usize {
    world.issuer.requests(paths::INTROSPECTION)
}

#[tokio::test]
async fn an_opaque_token_opens_what_a_jwt_that_says_the_same_would() {
    let world = world(json!({})).await;
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    world.issuer.knows(STOCK_TOKEN, &world.mint("acme-marketplace").scope("stock:read"));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    for _ in 0..5 {
        assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
    }
    assert_eq!(asked(&world), 1, "and is asked about once");
    let refused = get(&client, STOCK_TOKEN).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::FORBIDDEN, "insufficient-scope"));
    let record = &gateway.audit(&[]).await[0];
    assert_eq!(
        (&record["caller"]["id"], &record["caller"]["issuer"]),
        (&json!("acme-marketplace"), &json!("retail"))
    );
    for seen in world.odoo.seen() {
        assert!(seen.headers("authorization").iter().all(|value| !value.contains(TOKEN)), "{seen:?}");
    }
    // A JWT is what it was.
    assert_eq!(get(&client, &world.mint("acme-marketplace").sign()).await.status, StatusCode::OK);
    assert_eq!(asked(&world), 2);
    assert!(!gateway.printed().contains("introspection-secret"));
}

#[tokio::test]
async fn a_token_that_its_issuer_names_by_itself_is_on_record_by_its_hash() {
    let world = world(json!({"cache": "0s"})).await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, TOKEN.as_bytes()).as_ref());
    for name in [TOKEN.to_owned(), format!("urn:token:{TOKEN}")] {
        world.issuer.knows(TOKEN, &world.mint("acme-marketplace").claim("jti", name));
        assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["caller"]["token_id"], hash, "{record}");
    }
    let by_hash =
        json!({"token": {"issuer": "retail", "jti": hash}, "reason": "seen in a chat", "by": "alice"});
    let order = gateway.admin_client().request(Method::POST, "/revocations").body(by_hash.to_string());
    let order = order.header("content-type", "application/json");
    assert!(gateway.admin_client().send(order).await.status.is_success());
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reason(&gateway).await, "token-revoked");
}

#[tokio::test]
async fn a_token_that_says_too_little_is_refused_for_that() {
    let world = world(json!({})).await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let mint = || world.mint("acme-marketplace");
    let now = jiff::Timestamp::now();
    for (n, (says, reason_code)) in [
        (mint().claim("active", false), "token-inactive"),
        (mint().claim("iss", "https://evil.example"), "token-unknown-issuer"),
        (mint().claim("token_type", "refresh_token"), "token-type"),
        (mint().claim("aud", "https://other.example"), "token-audience"),
        (mint().without("aud"), "token-claim-missing"),
        (mint().without("exp"), "token-claim-missing"),
        (mint().expires(now, -60), "token-expired"),
        (mint().claim("nbf", now.as_second() + 600), "token-not-yet-valid"),
        (mint().claim("cnf", json!({"x5t#S256": "AAAA"})), "token-binding-form"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("opaque-token-number-{n}");
        if reason_code != "token-inactive" {
            world.issuer.knows(&text, &says);
        }
        let refused = get(&client, &text).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{reason_code}");
        assert_eq!(problem(&refused), "invalid-token", "{reason_code}");
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(reason(&gateway).await, reason_code);
    }
    assert!(world.odoo.seen().is_empty());
}

#[tokio::test]
async fn a_token_that_is_revoked_at_its_issuer_ends_with_what_was_remembered() {
    let world = world(json!({"cache": "0s", "tokens": "all"})).await;
    let jwt = world.mint("acme-marketplace");
    let (opaque, signed) = (TOKEN.to_owned(), jwt.clone().sign());
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    for token in [&opaque, &signed] {
        world.issuer.knows(token, &jwt);
        assert_eq!(get(&client, token).await.status, StatusCode::OK);
        world.issuer.forgets(token);
        let refused = get(&client, token).await;
        assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
        assert_eq!(reason(&gateway).await, "token-inactive");
        assert!(refused.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
    }
    assert_eq!(world.odoo.seen().len(), 2);
}

#[tokio::test]
async fn an_issuer_that_gives_no_answer_of_use_makes_nothing_good() {
    let world = world(json!({"cache": "0s"})).await;
    let identity = world.internal.server(&["127.0.0.1"]);
    let evil = Issuer::start(AUDIENCE, Some(&identity)).await;
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
    for fault in [
        Fault::Dead,
        Fault::Status(500),
        Fault::Status(401),
        Fault::Body("<h1>Sign in</h1>".to_owned()),
        Fault::Body("{}".to_owned()),
        Fault::Body(r#"{"active": "true"}"#.to_owned()),
        Fault::Body(r#"{"active": true, "active": true}"#.to_owned()),
        Fault::Redirect(evil.url(paths::INTROSPECTION)),
        Fault::Oversized(100 << 10),
        Fault::Held(Gate::closed()),
    ] {
        world.issuer.fail(paths::INTROSPECTION, fault.clone());
        let refused = get(&client, TOKEN).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        assert_eq!(problem(&refused), "temporary-reduced-capacity", "{fault:?}");
        assert!(refused.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
        assert_eq!(refused.header("www-authenticate"), None, "the token may be good");
        assert_eq!(reason(&gateway).await, "introspection-unavailable", "{fault:?}");
        // Who brings another proof is served.
        assert_eq!(get(&client, &world.mint("acme-marketplace").sign()).await.status, StatusCode::OK);
    }
    assert_eq!(world.odoo.seen().len(), 11, "the first, and what came with another proof");
    assert_eq!(evil.requests(paths::INTROSPECTION), 0, "nobody was followed");
    world.issuer.heal();
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
}

#[tokio::test]
async fn many_who_show_one_token_at_once_are_one_question() {
    let world = world(json!({})).await;
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    let gate = Gate::closed();
    world.issuer.fail(paths::INTROSPECTION, Fault::Held(gate.clone()));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { get(&client, TOKEN).await.status })
        })
        .collect();
    world.issuer.wait_for_requests(paths::INTROSPECTION, 1).await;
    gate.open();
    for one in crowd {
        assert_eq!(one.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(asked(&world), 1);
}

#[tokio::test]
async fn the_secret_is_read_at_each_use_and_its_rotation_seen() {
    let world = world(json!({"cache": "0s"})).await;
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
    world.folder.write_private("certs/introspection-secret", "wrong-introspection-secret");
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.folder.write_private("certs/introspection-secret", "introspection-secret");
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_introspection_an_opaque_token_is_no_token() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let refused = client.send(client.request(Method::GET, ORDER).bearer_auth(TOKEN)).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
    assert_eq!(reason(&gateway).await, "token-malformed");
}

/// A world whose issuer has no keys here: it is asked about its tokens.
async fn without_keys(more: Value) -> World {
    let mut world = world(more).await;
    world.folder.settings(|settings| {
        let retail = settings["issuers"]["retail"].as_object_mut().unwrap();
        retail.remove("keys");
        retail.remove("algorithms");
        retail["introspection"]["ca"] = json!("certs/internal-ca.pem");
    });
    world
}

#[tokio::test]
async fn an_issuer_without_keys_serves_opaque_tokens_and_refuses_what_it_signed() {
    let world = without_keys(json!({})).await;
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK, "no keys are waited for");
    assert_eq!(get(&client, TOKEN).await.status, StatusCode::OK);
    let (sent, questions) = (world.odoo.seen().len(), asked(&world));
    let refused = get(&client, &world.mint("acme-marketplace").sign()).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error_description=\"the access token cannot be verified\""), "{challenge}");
    assert_eq!(reason(&gateway).await, "token-not-on-signature");
    assert_eq!((world.odoo.seen().len(), asked(&world)), (sent, questions), "nobody is asked about it");
    assert_eq!(gateway.status().await["issuers"][0]["keys"], Value::Null);
    assert_eq!(world.issuer.requests(paths::JWKS), 0);
}

#[tokio::test]
async fn an_issuer_without_keys_may_be_asked_about_what_it_signed() {
    let world = without_keys(json!({"tokens": "all", "cache": "0s"})).await;
    let jwt = world.mint("acme-marketplace").sign();
    world.issuer.knows(&jwt, &world.mint("acme-marketplace"));
    let unknown = world.mint("acme-marketplace").claim("jti", "another").sign();
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    assert_eq!(get(&client, &jwt).await.status, StatusCode::OK);
    let sent = world.odoo.seen().len();
    let refused = get(&client, &unknown).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
    assert_eq!((reason(&gateway).await, world.odoo.seen().len()), (json!("token-inactive"), sent));
    assert_eq!(world.issuer.requests(paths::JWKS), 0);
}

#[tokio::test]
async fn an_issuer_with_neither_keys_nor_introspection_does_not_load() {
    let mut world = without_keys(json!({})).await;
    world.folder.settings(|settings| {
        settings["issuers"]["retail"].as_object_mut().unwrap().remove("introspection");
    });
    let printed = Gateway::try_start(&world.folder, &world.servers.pem()).await.unwrap_err();
    assert!(printed.contains("nothing says how a token of this issuer is found good"), "{printed}");
    assert!(printed.contains("`keys` for JWTs, `introspection` for opaque tokens"), "{printed}");
}

#[tokio::test]
async fn where_an_issuer_without_keys_is_asked_may_be_found_by_its_name() {
    let mut world = without_keys(json!({})).await;
    world.folder.settings(|settings| {
        let asked = settings["issuers"]["retail"]["introspection"].as_object_mut().unwrap();
        asked.remove("url");
        asked.insert("discovery".to_owned(), json!("oauth"));
    });
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    let gateway = Gateway::start(&world).await;
    assert_eq!(get(&gateway.client().build(), TOKEN).await.status, StatusCode::OK);
    assert_eq!(world.issuer.requests(paths::JWKS), 0);
}
