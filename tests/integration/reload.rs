//! Files change under the running gateway: what serves, what stays, and what do operators see?

use std::sync::Arc;

use http::{Method, StatusCode};
use rustls::ALL_VERSIONS;
use serde_json::{Value, json};
use testbed::certificates::Authority;
use testbed::gateway::{Client, Gateway, Reload, Signal};
use testbed::upstream::Manner;
use testbed::{Gate, SERVER_NAME, World};

use crate::handshake::TlsClient;

const ORDER: &str = "/orders/v2/orders/S00042";

fn snapshot(status: &Value) -> String {
    status["snapshot"]["id"].to_string()
}

/// Asks for a reload of broken files and waits until the fault names one. Their change may have been
/// noticed by then, so that it is tried twice.
async fn refused(gateway: &Gateway, named: &str) -> Value {
    gateway.signal(Signal::Reload);
    let names = |status: &Value| status["last_reload_fault"].to_string().contains(named);
    gateway.status_that(&format!("a fault that names {named}"), names).await["last_reload_fault"].clone()
}

/// Asks for a reload of files that were mended, and waits until they serve.
async fn mended(gateway: &Gateway) {
    gateway.signal(Signal::Reload);
    gateway.status_that("no fault", |status| status["last_reload_fault"].is_null()).await;
}

async fn serves(client: &Client, token: &str) {
    let reply = client.get_as(token, ORDER).await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

#[tokio::test]
async fn a_hangup_and_a_changed_file_both_let_a_new_snapshot_serve() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let policy = async || {
        let reply = client.get_as(&token, ORDER).await;
        reply.header("ratelimit-policy").unwrap_or_default().to_owned()
    };

    let first = snapshot(&gateway.status().await);
    assert_eq!(gateway.reload().await, Reload::Done);
    let second = snapshot(&gateway.status().await);
    assert_ne!(second, first);
    assert!(policy().await.contains("\"burst\";q=600;w=60"), "{}", policy().await);

    world.folder.replace("policies/limits.yaml", "quota: 600,", "quota: 500,");
    gateway.status_that("a new snapshot", |status| snapshot(status) != second).await;
    assert!(policy().await.contains("\"burst\";q=500;w=60"), "{}", policy().await);
    assert!(gateway.metric("gateway_reloads_total", &["result=\"served\""]).await >= 2.0);
    assert_eq!(gateway.metric("gateway_snapshot_info", &[]).await, 1.0);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_until_it_is_mended() {
    let mut world = World::new().await;
    // Every kind of file is broken once, each found in the one log.
    world.folder.settings(|settings| settings["run"] = json!({"log_filter": "error"}));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let rows = [
        ("gateway.yaml", "\"admin\"", "\"admim\"", "admin"),
        ("policies/callers.yaml", "kind: partner", "kind: parter", "partner"),
        ("policies/limits.yaml", "quota: 600,", "quota: many,", "many"),
        ("policies/orders.cedar", "orders.v2.cancelOrder", "orders.v2.cancelOrdr", "cancelOrder"),
        ("policies/tests/orders.yaml", "expect: allow", "expect: refuse", "a marketplace places an order"),
        ("contracts/orders/v2/openapi.yaml", "new-order.yaml", "no-order.yaml", "no-order.yaml"),
        ("contracts/stock/v1/schemas/sku.yaml", "type: string", "type: sting", ""),
        ("certs/server.pem", "BEGIN CERTIFICATE", "BEGIN NOTHING", ""),
        ("certs/clients-ca.pem", "BEGIN CERTIFICATE", "BEGIN NOTHING", ""),
        ("certs/clients.crl", "BEGIN X509 CRL", "BEGIN NOTHING", ""),
    ];
    for (file, good, bad, said) in rows {
        let refused_before = gateway.metric("gateway_reloads_total", &["result=\"refused\""]).await;
        let before = snapshot(&gateway.status().await);
        let text = world.folder.read(file);
        world.folder.replace(file, good, bad);
        let fault = refused(&gateway, file).await;
        let mistakes = fault["diagnostics"].as_array().unwrap();
        let at = mistakes.iter().find(|one| one["file"].as_str().unwrap().ends_with(file));
        let at = at.unwrap_or_else(|| panic!("{file} is not named: {fault:#}"));
        assert!(at.to_string().contains(said), "{at:#}");
        if !file.starts_with("certs/") {
            assert!(at["line"].as_u64().unwrap() > 0, "{at:#}");
        }
        assert_eq!(snapshot(&gateway.status().await), before, "{file}");
        assert_eq!(gateway.metric("gateway_reload_fault", &[]).await, 1.0, "{file}");
        let refused = gateway.metric("gateway_reloads_total", &["result=\"refused\""]).await;
        assert!(refused > refused_before, "{file}");
        let logged =
            gateway.printed().lines().any(|line| line.contains("does not load") && line.contains(file));
        assert!(logged, "{file} is not in the log");
        serves(&client, &token).await;

        world.folder.write(file, &text);
        mended(&gateway).await;
        assert_eq!(gateway.metric("gateway_reload_fault", &[]).await, 0.0, "{file}");
        serves(&client, &token).await;
    }
}

#[tokio::test]
async fn a_file_that_goes_missing_takes_nothing_away() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    for file in ["policies/callers.yaml", "policies/limits.yaml", "certs/server.key", "gateway.yaml"] {
        let text = world.folder.read(file);
        world.folder.remove(file);
        refused(&gateway, file).await;
        serves(&client, &token).await;
        world.folder.write_private(file, &text);
        mended(&gateway).await;
    }
}

#[tokio::test]
async fn a_request_in_flight_finishes_on_the_snapshot_it_began_with() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let gate = Gate::closed();
    let held = gate.clone();
    world.odoo.next(move |good| good.manner(Manner::Held(held.clone())));
    let (first, its_token) = (client.clone(), token.clone());
    let in_flight = tokio::spawn(async move { first.get_as(&its_token, ORDER).await });
    world.odoo.wait_for(1).await;

    world.folder.write(
        "policies/closed.cedar",
        r#"@id("closed-for-now") @description("Closed.") @owner("security@retailer.example") @reason("closed")
        forbid (principal, action == Action::"orders.v2.fetchOrder", resource) when { context.address.isLoopback() };"#,
    );
    assert_eq!(gateway.reload().await, Reload::Done, "{}", gateway.printed());
    let refused = client.get_as(&token, ORDER).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.problem()["type"].as_str().unwrap().ends_with("policy-refused"));

    gate.open();
    let served = in_flight.await.unwrap();
    assert_eq!(served.status, StatusCode::OK, "{served:?}");
    let records = gateway.audit(&["--operation", "orders.v2.fetchOrder"]).await;
    let of = |outcome: &str| records.iter().find(|one| one["decision"]["outcome"] == outcome).unwrap();
    assert_eq!(of("refused")["decision"]["policies"], json!(["closed-for-now"]));
    assert_ne!(of("allowed")["snapshot"], of("refused")["snapshot"]);
}

#[tokio::test]
async fn quotas_survive_a_reload() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", "quota: 600, window: 60s", "quota: 3, window: 3h");
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    for _ in 0..2 {
        serves(&client, &token).await;
    }
    assert_eq!(gateway.reload().await, Reload::Done);
    serves(&client, &token).await;
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_old_ones_stay() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    let before = gateway.client().build();
    serves(&before, &token).await;
    let connections = gateway.metric("gateway_connections", &[]).await;

    let next = Authority::new("next");
    let renewed = next.server(&[SERVER_NAME]);
    renewed.write(&world.folder.join("certs"), "server");
    assert_eq!(gateway.reload().await, Reload::Done, "{}", gateway.printed());

    let client = TlsClient::new(gateway.address("public"), &next.pem(), None, ALL_VERSIONS);
    let connection = client.connect_to(SERVER_NAME).await.unwrap();
    assert_eq!(connection.certificate(), renewed.der);
    serves(&before, &token).await;
    assert_eq!(gateway.metric("gateway_connections", &[]).await, connections + 1.0);
}

#[tokio::test]
async fn a_listener_cannot_lose_its_tls() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    let still_tls = async || {
        serves(&gateway.client().build(), &token).await;
        let mut plain = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
        let request = format!("GET /stock/v1/status HTTP/1.1\r\nHost: {SERVER_NAME}\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut plain, request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await);
        assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    };
    let key = world.folder.read("certs/server.key");
    world.folder.write_private("certs/server.key", "broken, and no key at all");
    refused(&gateway, "certs/server.key").await;
    still_tls().await;
    world.folder.write_private("certs/server.key", &key);
    mended(&gateway).await;

    type Change = fn(&mut Value);
    let rows: [(&str, Change); 3] = [
        ("takes its TLS away", |settings| {
            settings["listeners"]["public"] = json!({"address": "127.0.0.1:0", "insecure_no_tls": true});
        }),
        ("adds one before it", |settings| {
            settings["listeners"]["a"] = json!({"address": "127.0.0.1:0", "insecure_no_tls": true});
        }),
        ("removes the other", |settings| {
            settings["listeners"].as_object_mut().unwrap().remove("plain");
        }),
    ];
    let good: Value = serde_json::from_str(&world.folder.read("gateway.yaml")).unwrap();
    for (what, change) in rows {
        world.folder.settings(change);
        let fault = refused(&gateway, "`listeners` cannot change").await;
        assert!(fault.to_string().contains("restart"), "{what}: {fault}");
        still_tls().await;
        world.folder.settings(|settings| *settings = good.clone());
        mended(&gateway).await;
    }
}

#[tokio::test]
async fn reloads_under_traffic_lose_no_request() {
    let world = World::new().await;
    let gateway = Arc::new(Gateway::start(&world).await);
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let calls = (0..4).map(|_| {
        let (client, token, stopped) = (client.clone(), token.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut served = 0_u32;
            while !*stopped.borrow() {
                let reply =
                    client.send(client.request(Method::GET, "/stock/v1/status").bearer_auth(&token)).await;
                assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
                served += 1;
            }
            served
        })
    });
    let calls: Vec<_> = calls.collect();
    for _ in 0..3 {
        assert_eq!(gateway.reload().await, Reload::Done);
    }
    gateway.signal(Signal::Reload);
    stop.send(true).unwrap();
    for call in calls {
        assert!(call.await.unwrap() > 0);
    }
}
