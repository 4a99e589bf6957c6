//! Client certificates: who is believed, for how long, and what a revocation ends at once.

use http::{Method, StatusCode};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, HandshakeKind};
use serde_json::{Value, json};
use testbed::World;
use testbed::certificates::{Authority, Identity, Usage, Validity, sans, uri_san};
use testbed::gateway::{Client, Gateway, Protocol, Reload, Reply};

use crate::handshake::TlsClient;

/// Open to a certificate alone: the warehouse may read it.
const ORDER: &str = "/orders/v2/orders/S00042";
const WAREHOUSE: &str = "spiffe://retailer.example/warehouse/management";

async fn call(client: &Client) -> Reply {
    client.get(ORDER).await
}

async fn answers(gateway: &Gateway, identity: &Identity) -> bool {
    let client = gateway.client().certificate(identity).build();
    client.try_send(client.request(Method::GET, ORDER)).await.is_ok()
}

async fn revoke(world: &mut World, gateway: &Gateway, identity: &Identity) {
    let list = world.clients.revocation_list(&[identity], Validity::Current);
    world.folder.write("certs/clients.crl", &list);
    assert_eq!(gateway.reload().await, Reload::Done, "{}", gateway.printed());
}

/// The record of the last request.
async fn last_record(gateway: &Gateway) -> Value {
    gateway.audit(&[]).await.pop().unwrap()
}

fn refused_for_trust(reply: &Reply) {
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{reply:?}");
    let kind = reply.problem()["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with("/certificate-required"), "{kind}");
}

#[tokio::test]
async fn a_certificate_that_is_not_good_ends_the_handshake() {
    let mut world = World::new().await;
    let names = [uri_san(WAREHOUSE)];
    let revoked = world.identity("warehouse");
    let list = world.clients.revocation_list(&[&revoked], Validity::Current);
    world.folder.write("certs/clients.crl", &list);
    let gateway = Gateway::start(&world).await;
    assert!(answers(&gateway, &world.identity("warehouse")).await);
    let other = Authority::new("clients").client_uri(WAREHOUSE);
    let rows = [
        ("of another authority", other, "certificate-signature"),
        ("of the servers' authority", world.servers.client_uri(WAREHOUSE), "certificate-issuer-unknown"),
        ("expired", world.clients.sign(Usage::Client, &names, Validity::Expired), "certificate-expired"),
        (
            "not valid yet",
            world.clients.sign(Usage::Client, &names, Validity::NotYet),
            "certificate-not-yet-valid",
        ),
        ("for servers", world.clients.sign(Usage::Server, &names, Validity::Current), "certificate-purpose"),
        ("revoked", revoked, "certificate-revoked"),
    ];
    for (what, identity, cause) in &rows {
        assert!(!answers(&gateway, identity).await, "{what}");
        let reason = format!("handshake-{cause}");
        gateway
            .until(&format!("the failure is counted: {what}"), async || {
                let counted = [&*format!("reason=\"{reason}\"")];
                let failed = gateway.metric("gateway_tls_handshake_failures_total", &counted).await;
                (failed >= 1.0).then_some(())
            })
            .await;
        let record = gateway
            .until(&format!("the failure is recorded: {what}"), async || {
                let records = gateway.audit(&["--decision", "refused"]).await;
                records.into_iter().find(|one| one["decision"]["reason"] == reason)
            })
            .await;
        assert_eq!(record["certificate"]["sha256"], identity.sha256(), "{what}: {record}");
        assert!(record["certificate"]["issuer_sha256"].is_string(), "{what}: {record}");
        assert!(record["certificate"]["ends"].is_string(), "{what}: {record}");
        assert_eq!((&record["listener"], &record["address"]), (&json!("public"), &json!("127.0.0.1")));
        assert!(record["caller"].is_null() && record["answer"].is_null(), "{what}: {record}");
        assert!(!record.to_string().contains("warehouse"), "what was not verified names nobody: {record}");
        assert!(gateway.printed().contains(&reason), "{what}: {}", gateway.printed());
    }
    assert!(world.odoo.seen().len() == 1, "only the good one came through");
}

#[tokio::test]
async fn a_flood_of_failed_handshakes_is_counted_and_recorded_once() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let stranger = world.servers.client_uri(WAREHOUSE);
    for _ in 0..30 {
        assert!(!answers(&gateway, &stranger).await);
    }
    let unknown = "handshake-certificate-issuer-unknown";
    let counted = async |reason: &str| {
        gateway.metric("gateway_tls_handshake_failures_total", &[&*format!("reason=\"{reason}\"")]).await
    };
    gateway.until("all are counted", async || (counted(unknown).await >= 30.0).then_some(())).await;
    let records = gateway.audit(&["--decision", "refused"]).await;
    assert_eq!(records.iter().filter(|one| one["decision"]["reason"] == unknown).count(), 1);

    // A client that does not believe the gateway, one that speaks something else, one that only looks.
    let client = TlsClient::new(gateway.address("public"), &world.clients.pem(), None, ALL_VERSIONS);
    assert!(client.get(ORDER).await.is_err());
    let mut plain = tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    drop(tokio::net::TcpStream::connect(gateway.address("public")).await.unwrap());
    for reason in ["handshake-gateway-distrusted", "handshake-not-tls", "handshake-left"] {
        gateway.until(reason, async || (counted(reason).await >= 1.0).then_some(())).await;
    }
    let recorded = async |reason: &str| {
        let records = gateway.audit(&["--decision", "refused"]).await;
        records.iter().any(|one| one["decision"]["reason"] == reason)
    };
    for reason in ["handshake-gateway-distrusted", "handshake-not-tls"] {
        gateway.until(reason, async || recorded(reason).await.then_some(())).await;
    }
    assert!(!recorded("handshake-left").await, "nobody was turned away");
}

#[tokio::test]
async fn a_revocation_refuses_each_request_of_connections_that_are_open() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let (stolen, other) = (world.identity("warehouse"), world.identity("warehouse"));
    let open = |identity, protocol| gateway.client().certificate(identity).protocol(protocol).build();
    let clients = [Protocol::Http1, Protocol::Http2].map(|protocol| open(&stolen, protocol));
    let good = [Protocol::Http1, Protocol::Http2].map(|protocol| open(&other, protocol));
    for client in clients.iter().chain(&good) {
        assert_eq!(call(client).await.status, StatusCode::OK);
    }
    let before = world.odoo.seen().len();

    revoke(&mut world, &gateway, &stolen).await;
    for client in &clients {
        // Only a connection from before can be answered at all.
        refused_for_trust(&call(client).await);
        refused_for_trust(&call(client).await);
    }
    assert_eq!(world.odoo.seen().len(), before, "nothing went on");
    for client in &good {
        assert_eq!(call(client).await.status, StatusCode::OK);
    }
    assert!(!answers(&gateway, &stolen).await, "a new connection");
    let refused = gateway.audit(&["--decision", "refused"]).await;
    let of = |reason: &str| refused.iter().filter(|one| one["decision"]["reason"] == reason).count();
    assert_eq!(of("certificate-not-trusted"), 4, "{refused:#?}");
    let told = refused.iter().filter(|one| one["decision"]["reason"] == "certificate-not-trusted");
    for record in told {
        assert_eq!(record["certificate"]["sha256"], stolen.sha256(), "whose it is, {record:#?}");
        assert!(!record["certificate"]["names"].as_array().unwrap().is_empty(), "{record:#?}");
    }
    assert_eq!(of("handshake-certificate-revoked") + 4, refused.len(), "{refused:#?}");
    // The list may be mended, too: the certificate was revoked by mistake.
    let none = world.clients.revocation_list(&[], Validity::Current);
    world.folder.write("certs/clients.crl", &none);
    assert_eq!(gateway.reload().await, Reload::Done);
    for client in &clients {
        assert_eq!(call(client).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_revocation_refuses_also_what_needs_no_certificate_on_that_connection() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let stolen = world.identity("acme-marketplace");
    let token = world.mint("acme-marketplace").sign();
    let client = gateway.client().certificate(&stolen).build();
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    revoke(&mut world, &gateway, &stolen).await;
    refused_for_trust(&client.get_as(&token, ORDER).await);
    let without = gateway.client().build();
    assert_eq!(without.get_as(&token, ORDER).await.status, StatusCode::OK, "the token is another proof");
}

#[tokio::test]
async fn a_session_from_before_a_revocation_is_not_resumed() {
    for version in [&TLS12, &TLS13] {
        let mut world = World::new().await;
        let gateway = Gateway::start(&world).await;
        let stolen = world.identity("warehouse");
        let roots = world.servers.pem();
        let client = TlsClient::new(gateway.address("public"), &roots, Some(&stolen), &[version]);
        assert_eq!(client.get(ORDER).await.unwrap(), (200, HandshakeKind::Full), "{version:?}");
        assert_eq!(client.get(ORDER).await.unwrap(), (200, HandshakeKind::Resumed), "{version:?}");

        revoke(&mut world, &gateway, &stolen).await;
        assert!(client.get(ORDER).await.is_err(), "{version:?}");
        assert_eq!(world.odoo.seen().len(), 2, "{version:?}");
    }
}

#[tokio::test]
async fn a_resumed_session_still_knows_its_certificate() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let identity = world.identity("warehouse");
    let client =
        TlsClient::new(gateway.address("public"), &world.servers.pem(), Some(&identity), ALL_VERSIONS);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        assert_eq!(client.get(ORDER).await.unwrap(), (200, expected));
    }
    let records = gateway.audit(&["--caller", "warehouse"]).await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["caller"]["certificate_sha256"], records[1]["caller"]["certificate_sha256"]);
}

#[tokio::test]
async fn an_expired_revocation_list_closes_rather_than_opens() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let identity = world.identity("warehouse");
    let open = gateway.client().certificate(&identity).build();
    assert_eq!(call(&open).await.status, StatusCode::OK);

    let stale = world.clients.revocation_list(&[], Validity::Expired);
    world.folder.write("certs/clients.crl", &stale);
    // Whether such a list is loaded or refused is the gateway's choice; that nobody is let in by it is not.
    if let Reload::Done = gateway.reload().await {
        refused_for_trust(&call(&open).await);
        assert!(!answers(&gateway, &identity).await);
    }
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(gateway.client().build().get_as(&token, ORDER).await.status, StatusCode::OK);

    let fresh = world.clients.revocation_list(&[], Validity::Current);
    world.folder.write("certs/clients.crl", &fresh);
    assert_eq!(gateway.reload().await, Reload::Done);
    assert!(answers(&gateway, &identity).await);
}

#[tokio::test]
async fn a_root_that_is_taken_away_takes_its_certificates_along() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let identity = world.identity("warehouse");
    let open = gateway.client().certificate(&identity).build();
    assert_eq!(call(&open).await.status, StatusCode::OK);
    let mut next = Authority::new("next");
    world.folder.write("certs/clients-ca.pem", &next.pem());
    world.folder.write("certs/clients.crl", &next.revocation_list(&[], Validity::Current));
    assert_eq!(gateway.reload().await, Reload::Done);
    refused_for_trust(&call(&open).await);
    assert!(!answers(&gateway, &identity).await);
    assert!(answers(&gateway, &next.client_uri(WAREHOUSE)).await);
}

#[tokio::test]
async fn the_certificate_shown_is_the_one_asked_for_by_name() {
    let mut world = World::new().await;
    let (shop, any) = (world.servers.server(&["shop.example"]), world.servers.server(&["*.stores.example"]));
    shop.write(&world.folder.join("certs"), "shop");
    any.write(&world.folder.join("certs"), "stores");
    world.folder.settings(|settings| {
        let shown = settings["listeners"]["public"]["tls"]["certificates"].as_array_mut().unwrap();
        for stem in ["shop", "stores"] {
            shown.push(json!({"chain": format!("certs/{stem}.pem"), "key": format!("certs/{stem}.key")}));
        }
    });
    let gateway = Gateway::start(&world).await;
    for versions in [&[&TLS12], &[&TLS13]] {
        let client = TlsClient::new(gateway.address("public"), &world.servers.pem(), None, versions);
        for (name, identity) in [("shop.example", &shop), ("berlin.stores.example", &any)] {
            assert_eq!(client.connect_to(name).await.unwrap().certificate(), identity.der, "{name}");
        }
        // A name that no certificate has gets the first, which does not fit it.
        for name in ["stores.example", "a.b.stores.example", "other.example"] {
            assert!(client.connect_to(name).await.is_err(), "{name}");
        }
    }
}

#[tokio::test]
async fn certificates_name_callers_by_dns_and_spiffe_names_only() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    let sign = |names: &[_]| world.clients.sign(Usage::Client, names, Validity::Current);
    let list = "/orders/v2/orders?channel=acme";
    let rows = [
        ("SPIFFE", sign(&[uri_san(WAREHOUSE)]), Some("warehouse")),
        ("DNS", sign(&sans(&["client.acme.example"])), Some("acme-marketplace")),
        ("upper case DNS", sign(&sans(&["CLIENT.acme.example"])), Some("acme-marketplace")),
        ("a longer SPIFFE id", sign(&[uri_san(&format!("{WAREHOUSE}/x"))]), None),
        ("a shorter SPIFFE id", sign(&[uri_san("spiffe://retailer.example/warehouse")]), None),
        ("another trust domain", sign(&[uri_san("spiffe://evil.example/warehouse/management")]), None),
        ("a wildcard", sign(&sans(&["*.acme.example"])), None),
        ("a parent", sign(&sans(&["acme.example"])), None),
        ("a child", sign(&sans(&["x.client.acme.example"])), None),
        (
            "names of two callers",
            sign(&[uri_san(WAREHOUSE), sans(&["client.acme.example"])[0].clone()]),
            None,
        ),
        ("no name", sign(&[]), None),
        ("two URIs", sign(&[uri_san(WAREHOUSE), uri_san("https://a.example")]), None),
        ("an SVID without path", sign(&[uri_san("spiffe://retailer.example")]), None),
    ];
    for (what, identity, caller) in rows {
        let client = gateway.client().certificate(&identity).build();
        let reply = client.get(list).await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        let record = gateway.audit(&["--request", &id]).await.remove(0);
        match caller {
            Some(caller) => {
                assert_eq!(reply.status, StatusCode::OK, "{what}: {reply:?}");
                assert_eq!(
                    (&record["caller"]["id"], &record["caller"]["how"]),
                    (&json!(caller), &json!("certificate"))
                );
            }
            None => {
                assert_eq!(reply.status, StatusCode::FORBIDDEN, "{what}: {reply:?}");
                assert_eq!(record["caller"], json!(null), "{what}");
                assert_eq!(record["certificate"]["sha256"], identity.sha256(), "{what}: {record}");
                // What the partner is told is what was seen, and the same is on record.
                let (reason, detail) = (&record["decision"]["reason"], reply.problem()["detail"].to_string());
                let expected = match what {
                    "names of two callers" => "caller-ambiguous",
                    "two URIs" => "certificate-several-uris",
                    "an SVID without path" => "certificate-spiffe-form",
                    _ => "caller-unknown",
                };
                assert_eq!(reason, expected, "{what}");
                for name in record["certificate"]["names"].as_array().into_iter().flatten() {
                    assert!(detail.contains(name.as_str().unwrap()), "{what}: {detail}");
                }
                let sha256 = identity.sha256();
                let told = if expected.starts_with("caller") { sha256.as_str() } else { "SPIFFE ID" };
                assert!(detail.contains(told), "{what}: {detail}");
            }
        }
        // Beside somebody else's token it is no second proof of anybody.
        if caller == Some("warehouse") {
            assert_eq!(client.get_as(&token, list).await.status, StatusCode::FORBIDDEN, "{what}");
        }
    }
}

#[tokio::test]
async fn a_caller_is_known_by_its_pinned_key_whatever_certificate_it_has_for_it() {
    let world = World::new().await;
    let first = world.identity("warehouse");
    let pin = format!("key_sha256: {}", first.key_sha256());
    world.folder.replace("policies/callers.yaml", &format!("spiffe: \"{WAREHOUSE}\""), &pin);
    let gateway = Gateway::start(&world).await;
    let names = [uri_san(WAREHOUSE)];
    let rows = [
        ("the certificate it was pinned by", &first),
        ("a renewed certificate", &world.clients.renew(&first, &names)),
        ("a certificate under another name", &world.clients.renew(&first, &sans(&["moved.example"]))),
    ];
    for (n, (what, identity)) in rows.iter().enumerate() {
        let reply = call(&gateway.client().certificate(identity).build()).await;
        assert_eq!(reply.status, StatusCode::OK, "{what}: {}", reply.text());
        let record = last_record(&gateway).await;
        assert_eq!(record["caller"]["id"], "warehouse", "{what}: {record}");
        assert_eq!(record["caller"]["certificate_sha256"], identity.sha256(), "{what}: {record}");
        assert_eq!(world.odoo.seen().len(), n + 1, "{what}");
    }

    let before = world.odoo.seen().len();
    let other = world.identity("warehouse");
    let client = gateway.client().certificate(&other).build();
    let reply = call(&client).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text());
    let kind = reply.problem()["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with("/unknown-caller"), "{kind}");
    assert_eq!(world.odoo.seen().len(), before, "another key under the same names is nobody's");
    let record = last_record(&gateway).await;
    assert_eq!(
        (&record["decision"]["outcome"], &record["decision"]["reason"]),
        (&json!("refused"), &json!("caller-unknown")),
        "{record}"
    );
    assert!(record["caller"].is_null() && record["upstream"].is_null(), "{record}");
    let certificate = &record["certificate"];
    assert_eq!(certificate["sha256"], other.sha256(), "{record}");
    assert_eq!(certificate["names"], json!([format!("uri:{WAREHOUSE}")]), "{record}");
}
