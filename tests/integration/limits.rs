//! How often, how much at once, from where: what callers are told, and what an attacker is kept from.

use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::gateway::{Client, Gateway, Reply};
use testbed::upstream::Manner;
use testbed::{Gate, SERVER_NAME, World};

const ORDER: &str = "/orders/v2/orders/S00042";
const BURST: &str = "quota: 600, window: 60s";

/// What is left, as `RateLimit` tells it.
fn left(reply: &Reply) -> u32 {
    let field = reply.header("ratelimit").unwrap_or_else(|| panic!("one RateLimit: {reply:?}"));
    field.split(';').find_map(|part| part.strip_prefix("r=")).unwrap().parse().unwrap()
}

fn too_many(reply: &Reply, violated: &str) -> u32 {
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{reply:?}");
    let problem = reply.problem();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], json!([violated]), "{problem}");
    let after = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(after > 0);
    after
}

fn unavailable(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
    let kind = reply.problem()["type"].clone();
    assert_eq!(kind, "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity");
    assert!(reply.header("retry-after").is_some());
}

/// Holds the next request at an upstream.
fn held(world: &World) -> Gate {
    let gate = Gate::closed();
    let at = gate.clone();
    world.odoo.next(move |good| good.manner(Manner::Held(at.clone())));
    gate
}

fn spawned(client: &Client, token: &str) -> tokio::task::JoinHandle<Reply> {
    let (client, token) = (client.clone(), token.to_owned());
    tokio::spawn(async move { client.get_as(&token, ORDER).await })
}

#[tokio::test]
async fn every_answer_to_a_known_caller_tells_what_is_left() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", BURST, "quota: 5, window: 1h");
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace");
    let narrow = token.clone().scope("stock:read").sign();
    let token = token.sign();
    let policy = "\"burst\";q=5;w=3600, \"daily\";q=200000;w=86400";
    let check = |reply: &Reply, status: u16, expected: u32| {
        assert_eq!(reply.status.as_u16(), status, "{reply:?}");
        let policies: Vec<_> = reply.headers.get_all("ratelimit-policy").iter().collect();
        assert_eq!(policies, [policy], "{reply:?}");
        assert_eq!(left(reply), expected, "{reply:?}");
    };
    check(&client.get_as(&token, ORDER).await, 200, 4);
    // Refused for a scope or by policy: nothing is used, and what is left is told.
    check(&client.get_as(&narrow, ORDER).await, 403, 4);
    // What breaks the contract was counted before it was read; a list costs two.
    check(&client.get_as(&token, "/orders/v2/orders?channel=acme&limit=0").await, 422, 2);
    for path in [ORDER, "/orders/v2/orders?channel=other"] {
        check(&client.get_as(if path == ORDER { &narrow } else { &token }, path).await, 403, 2);
    }
    for remaining in [1, 0] {
        check(&client.get_as(&token, ORDER).await, 200, remaining);
    }
    let refused = client.get_as(&token, ORDER).await;
    check(&refused, 429, 0);
    // A fifth of an hour for one of five.
    let after = too_many(&refused, "burst");
    assert!((700..=720).contains(&after), "{after}");
    assert_eq!(
        client.get("/stock/v1/status").await.header("ratelimit"),
        None,
        "nobody in particular has no plan"
    );
    let record = gateway.audit(&["--status", "429"]).await.remove(0);
    assert_eq!(
        (&record["decision"]["reason"], &record["caller"]["id"]),
        (&json!("quota-rate"), &json!("acme-marketplace"))
    );
    assert_eq!(record["limits"][0]["remaining"], 0);
}

#[tokio::test]
async fn one_caller_never_uses_another_ones_quota() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", BURST, "quota: 1, window: 1h");
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = world.mint("acme-marketplace").sign();
    assert_eq!(client.get_as(&acme, ORDER).await.status, StatusCode::OK);
    too_many(&client.get_as(&acme, ORDER).await, "burst");
    let bot = world.mint("reconciliation-bot").sign();
    assert_eq!(client.get_as(&bot, ORDER).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_caller_has_so_many_requests_in_flight() {
    let world = World::new().await;
    world.folder.replace("policies/limits.yaml", "concurrency: 50", "concurrency: 1");
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let gate = held(&world);
    let first = spawned(&client, &token);
    world.odoo.wait_for(1).await;
    too_many(&client.get_as(&token, ORDER).await, "concurrency");
    assert_eq!(world.odoo.seen().len(), 1);
    gate.open();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK, "the place was given back");
}

#[tokio::test]
async fn guessing_is_slow() {
    let world = World::new().await;
    world.folder.replace(
        "policies/limits.yaml",
        "addresses: { quota: 1000000, window: 60s }",
        "addresses: { quota: 5, window: 1h }",
    );
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let good = world.mint("acme-marketplace").sign();
    for n in 0..5 {
        let guess = client.get_as(&format!("a.guess.{n}"), ORDER).await;
        assert_eq!(guess.status, StatusCode::UNAUTHORIZED, "{guess:?}");
        // What is good does not count.
        if n < 4 {
            assert_eq!(client.get_as(&good, ORDER).await.status, StatusCode::OK);
        }
    }
    too_many(&client.get_as("a.guess.6", ORDER).await, "addresses");
    // Whoever shares the address waits as well: that one of the guesses was right must not show.
    too_many(&client.get_as(&good, ORDER).await, "addresses");
    assert_eq!(world.odoo.seen().len(), 4);
}

#[tokio::test]
async fn an_upstream_is_given_so_many_requests_at_once() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["upstreams"]["odoo"]["in_flight_max"] = json!(1));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    let gate = held(&world);
    let first = spawned(&client, &token);
    world.odoo.wait_for(1).await;
    unavailable(&client.get_as(&token, ORDER).await);
    assert_eq!(client.get("/stock/v1/status").await.status, StatusCode::OK, "the other upstream has room");
    gate.open();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    assert_eq!(world.odoo.seen().len(), 2);
}

#[tokio::test]
async fn so_many_bytes_of_bodies_are_held_at_once() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["limits"] = json!({"buffered": "1KiB"}));
    let gateway = Gateway::start(&world).await;
    let identity = world.identity("acme-marketplace");
    let client = gateway.client().certificate(&identity).build();
    let token = world.mint("acme-marketplace").sign();
    let order = json!({"reference": "x".repeat(700)});
    // A body that announces 700 bytes holds them before they come.
    let text = order.to_string();
    let head = format!(
        "POST /orders/v2/orders HTTP/1.1\r\nHost: {SERVER_NAME}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        text.len()
    );
    let mut slow = gateway.raw_tls(Some(&identity)).await.unwrap();
    slow.send(head).await.unwrap();
    // Whoever is told to go on has its room.
    assert_eq!(slow.reply().await.unwrap().unwrap().status, 100);
    let post = async || client.send_json(&token, Method::POST, "/orders/v2/orders", &order).await;
    unavailable(&post().await);
    slow.send(&text).await.unwrap();
    assert_eq!(slow.reply().await.unwrap().unwrap().status, 422);
    let again = gateway
        .until("the bytes are given back", async || Some(post().await).filter(|reply| reply.status != 503))
        .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(world.odoo.seen().is_empty());
}

const STATUS: &str = "GET /stock/v1/status HTTP/1.1\r\nConnection: close\r\n";

/// The address in the record of the only request so far.
async fn recorded(gateway: &Gateway) -> Vec<Value> {
    gateway.audit(&[]).await.into_iter().map(|record| record["address"].clone()).collect()
}

/// PROXY protocol version 2, section 2.2: signature, version and command, TCP over IPv4, length, addresses.
fn proxy_header(client: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(client) = client else { panic!("IPv4 only") };
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    bytes.extend(client.ip().octets());
    bytes.extend([10, 0, 0, 1]);
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(443_u16.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_load_balancer_that_is_trusted_says_who_calls() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["listeners"]["plain"]["proxy_protocol"] = json!(true);
        settings["listeners"]["plain"]["trusted_hops"] = json!(["127.0.0.0/8"]);
    });
    let gateway = Gateway::start(&world).await;
    let mut connection = gateway.raw().await;
    connection.send(proxy_header("198.51.100.7:4711".parse().unwrap())).await.unwrap();
    connection.send(format!("{STATUS}Host: {SERVER_NAME}\r\n\r\n")).await.unwrap();
    assert_eq!(connection.reply().await.unwrap().unwrap().status, 200);
    assert_eq!(recorded(&gateway).await, ["198.51.100.7"]);
    // Without the header, or with a broken one, nothing is served.
    for start in
        [&b""[..], b"PROXY TCP4 198.51.100.7 10.0.0.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd"]
    {
        let mut connection = gateway.raw().await;
        connection.send(start).await.unwrap();
        drop(connection.send(format!("{STATUS}Host: {SERVER_NAME}\r\n\r\n")).await);
        assert!(!matches!(connection.reply().await, Ok(Some(_))), "{start:?}");
    }
    assert_eq!(recorded(&gateway).await.len(), 1);
}

#[tokio::test]
async fn a_stranger_with_a_proxy_header_is_not_spoken_to() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["listeners"]["plain"]["proxy_protocol"] = json!(true);
        settings["listeners"]["plain"]["trusted_hops"] = json!(["10.0.0.0/8"]);
    });
    let gateway = Gateway::start(&world).await;
    let mut connection = gateway.raw().await;
    drop(connection.send(proxy_header("198.51.100.7:4711".parse().unwrap())).await);
    drop(connection.send(format!("{STATUS}Host: {SERVER_NAME}\r\n\r\n")).await);
    assert!(!matches!(connection.reply().await, Ok(Some(_))));
    assert!(recorded(&gateway).await.is_empty());
}

#[tokio::test]
async fn forwarded_addresses_are_believed_of_trusted_hops_only() {
    for (trusted, expected) in
        [(json!(["127.0.0.0/8", "10.0.0.0/8"]), "198.51.100.7"), (json!([]), "127.0.0.1")]
    {
        let mut world = World::new().await;
        world.folder.settings(|settings| settings["listeners"]["plain"]["trusted_hops"] = trusted.clone());
        let gateway = Gateway::start(&world).await;
        let mut connection = gateway.raw().await;
        // What a client wrote itself stands left of what the hops know.
        let forwarded = "X-Forwarded-For: 203.0.113.66, 198.51.100.7, 10.0.0.2";
        connection.send(format!("{STATUS}Host: {SERVER_NAME}\r\n{forwarded}\r\n\r\n")).await.unwrap();
        assert_eq!(connection.reply().await.unwrap().unwrap().status, 200);
        assert_eq!(recorded(&gateway).await, [expected], "{trusted}");
    }
}
