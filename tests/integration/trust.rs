//! Client certificates: who is believed, for how long, and what a revocation ends at once.

use http::{Method, StatusCode};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, HandshakeKind};
use serde_json::json;
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
    let rows = [
        ("of another authority", Authority::new("clients").client_uri(WAREHOUSE)),
        ("of the servers' authority", world.servers.client_uri(WAREHOUSE)),
        ("expired", world.clients.sign(Usage::Client, &names, Validity::Expired)),
        ("not valid yet", world.clients.sign(Usage::Client, &names, Validity::NotYet)),
        ("for servers", world.clients.sign(Usage::Server, &names, Validity::Current)),
        ("revoked", revoked),
    ];
    for (count, (what, identity)) in (1_u32..).zip(&rows) {
        assert!(!answers(&gateway, identity).await, "{what}");
        gateway
            .until(&format!("the failure is counted: {what}"), async || {
                let failed = gateway.metric("gateway_tls_handshake_failures_total", &[]).await;
                (failed >= f64::from(count)).then_some(())
            })
            .await;
    }
    assert!(world.odoo.seen().len() == 1, "only the good one came through");
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
    assert_eq!(refused.len(), 4);
    assert!(refused.iter().all(|one| one["decision"]["reason"] == "certificate-not-trusted"), "{refused:#?}");
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
                assert!(reply.status == 401 || reply.status == 403, "{what}: {reply:?}");
                assert_eq!(record["caller"], json!(null), "{what}");
            }
        }
        // Beside somebody else's token it is no second proof of anybody.
        if caller == Some("warehouse") {
            assert_eq!(client.get_as(&token, list).await.status, StatusCode::FORBIDDEN, "{what}");
        }
    }
}
