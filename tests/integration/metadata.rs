//! What may anybody know of an API before it has a token? The metadata of RFC 9728, and where it is told of.

use http::Method;
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::Gateway;

const ROOT: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn each_api_is_described_where_its_challenges_say() {
    let world = World::new().await;
    world.folder.replace(
        "contracts/stock/v1/openapi.yaml",
        "openapi: 3",
        "externalDocs: { url: https://docs.retailer.example/stock }\nopenapi: 3",
    );
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let refused = client.get("/stock/v1/levels/MUG-0042").await;
    let challenge = refused.header("www-authenticate").unwrap().to_owned();
    let address = client.url(&format!("{ROOT}/stock"));
    assert!(challenge.contains(&format!("resource_metadata=\"{address}\"")), "{challenge}");
    assert!(challenge.contains("scope=\"stock:read\""), "{challenge}");

    let told = client.get(&format!("{ROOT}/stock")).await;
    assert_eq!(told.status, 200, "{told:?}");
    assert_eq!(told.header("content-type"), Some("application/json"));
    assert_eq!(told.header("cache-control"), Some("public, max-age=300"));
    assert_eq!(
        told.json(),
        json!({
            // RFC 9728 section 3.3: what the address was made of.
            "resource": client.url("/stock"),
            "tls_client_certificate_bound_access_tokens": true,
            "authorization_servers": [world.issuer.name()],
            "scopes_supported": ["stock:read"],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256"],
            "dpop_bound_access_tokens_required": false,
            "resource_name": "Stock",
            "resource_documentation": "https://docs.retailer.example/stock",
        })
    );
    let whole = client.get(ROOT).await.json();
    assert_eq!(whole["resource"], client.url(""));
    let scopes = whole["scopes_supported"].as_array().unwrap();
    assert!(scopes.contains(&json!("stock:read")) && scopes.contains(&json!("orders:write")), "{whole}");

    let head = client.send(client.request(Method::HEAD, &format!("{ROOT}/stock"))).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), told.header("content-length"));
    let changed = client.send(client.request(Method::POST, ROOT)).await;
    assert_eq!((changed.status.as_u16(), changed.header("allow")), (405, Some("GET, HEAD")));
    assert!(world.odoo.seen().is_empty() && world.warehouse.seen().is_empty());

    let records = gateway.audit(&[]).await;
    let reasons: Vec<&Value> = records.iter().map(|record| &record["decision"]["reason"]).collect();
    assert_eq!(reasons, ["no-proof", "metadata", "metadata", "metadata", "method-not-allowed"]);
    assert!(records[1]["call"]["operation"].is_null() && records[1]["caller"].is_null(), "{}", records[1]);
    assert_eq!(records[1]["decision"]["outcome"], "allowed");
}

#[tokio::test]
async fn nothing_is_described_under_a_name_that_is_not_served() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    for (path, host) in [
        (ROOT.to_owned(), "evil.example"),
        (format!("{ROOT}/stock"), "evil.example"),
        (format!("{ROOT}/stock"), "gateway.example:1"),
    ] {
        let reply = client.send(client.request(Method::GET, &path).header("host", host)).await;
        assert_eq!(reply.status, 404, "{host}: {reply:?}");
        assert!(!reply.text().contains("evil"), "{}", reply.text());
        let reply =
            client.send(client.request(Method::GET, "/stock/v1/levels/MUG-0042").header("host", host)).await;
        assert!(!reply.header("www-authenticate").unwrap().contains("resource_metadata"), "{reply:?}");
    }
    for path in ["/nothing", "/", "/stock/", "/stock/v1", "/../stock", "x"] {
        let mut raw = gateway.raw_tls(None).await.unwrap();
        raw.send(format!("GET {ROOT}{path} HTTP/1.1\r\nHost: gateway.example\r\n\r\n")).await.unwrap();
        let reply = raw.reply().await.unwrap().unwrap();
        assert!([400, 404].contains(&reply.status), "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn whoever_asks_for_it_all_the_time_is_told_to_wait() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", "addresses: { quota: 1000000,", "addresses: { quota: 3,");
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.get(ROOT).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429]);
}
