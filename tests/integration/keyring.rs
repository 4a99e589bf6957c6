//! Certificates, keys, roots and revocation lists are replaced while traffic flows: nobody notices, except who
//! looks which certificate was shown.

use std::sync::Arc;

use http::StatusCode;
use rustls::ALL_VERSIONS;
use serde_json::Value;
use testbed::certificates::{Authority, Identity, Usage, Validity, sans};
use testbed::gateway::{Gateway, run};
use testbed::{SERVER_NAME, World};

use crate::handshake::TlsClient;
use crate::load::Load;

/// Open to a certificate alone: the warehouse may read it.
const ORDER: &str = "/orders/v2/orders/S00042";
/// Open to everybody, and answered by the upstream that asks for the gateway's certificate.
const STATUS: &str = "/stock/v1/status";

/// Breaks a file, so that no reload can do what is to happen without one.
pub(crate) async fn no_reload_from_here(world: &World, gateway: &Gateway) -> Value {
    world.folder.replace("policies/limits.yaml", "quota: 600,", "quota: many,");
    let broken = |status: &Value| !status["last_reload_fault"].is_null();
    gateway.status_that("a broken file", broken).await["snapshot"].clone()
}

pub(crate) fn trouble(status: &Value, file: &str) -> Option<String> {
    let troubles = status["keyring_troubles"].as_array().unwrap();
    let one = troubles.iter().find(|one| one["name"].as_str().unwrap().ends_with(file))?;
    Some(one["reason"].as_str().unwrap().to_owned())
}

pub(crate) fn ends(status: &Value, what: &str, name: &str) -> Option<String> {
    let rows = status["expiries"].as_array().unwrap();
    let one = rows.iter().find(|one| one["what"] == what && one["name"].as_str().unwrap().contains(name))?;
    Some(one["ends"].as_str().unwrap().to_owned())
}

async fn shown_by(gateway: &Gateway, roots_pem: &str) -> Option<Vec<u8>> {
    let client = TlsClient::new(gateway.address("public"), roots_pem, None, ALL_VERSIONS);
    Some(client.connect_to(SERVER_NAME).await.ok()?.certificate())
}

#[tokio::test]
async fn a_listener_shows_its_renewed_certificate_under_load_while_no_reload_is_possible() {
    let world = World::new().await;
    let gateway = Arc::new(Gateway::start(&world).await);
    let before = no_reload_from_here(&world, &gateway).await;
    let identity = world.identity("warehouse");
    let old = Identity::read(&world.folder.join("certs"), "server").unwrap();

    let load = Load::of_connections(&gateway, &world.servers.pem(), &identity);
    load.goes_on(&gateway).await;
    for _ in 0..3 {
        let renewed = world.servers.server(&[SERVER_NAME, "localhost", "127.0.0.1"]);
        renewed.write(&world.folder.join("certs"), "server");
        gateway
            .until("the renewed certificate is shown", async || load.has_shown(&renewed.der).then_some(()))
            .await;
        load.goes_on(&gateway).await;
    }
    assert!(load.certificates() == 4 && load.has_shown(&old.der), "{} certificates", load.certificates());
    load.end().await;
    assert_eq!(gateway.status().await["snapshot"]["id"], before["id"], "no reload took place");
}

#[tokio::test]
async fn what_does_not_fit_or_is_not_valid_now_replaces_nothing_and_is_told() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let (certs, roots) = (world.folder.join("certs"), world.servers.pem());
    let old = Identity::read(&certs, "server").unwrap();
    let other = world.servers.server(&[SERVER_NAME]);
    let (expired, early) = (
        world.servers.sign(Usage::Server, &sans(&[SERVER_NAME]), Validity::Expired),
        world.servers.sign(Usage::Server, &sans(&[SERVER_NAME]), Validity::NotYet),
    );
    let rows = [
        ("key-does-not-fit", &other.chain_pem, &old.key_pem),
        ("not-valid-now", &expired.chain_pem, &expired.key_pem),
        ("not-valid-now", &early.chain_pem, &early.key_pem),
        ("no-certificate", &String::new(), &other.key_pem),
    ];
    for (reason, chain, key) in rows {
        world.folder.write_strictly("certs/server.pem", chain);
        world.folder.write_private("certs/server.key", key);
        let told = |status: &Value| trouble(status, "server.pem").as_deref() == Some(reason);
        let status = gateway.status_that(reason, told).await;
        assert!(status["last_reload_fault"].is_null(), "{status:#}");
        let counted = [&format!("reason=\"{reason}\"")[..], "what=\"certificate\""];
        gateway
            .until("the metric", async || {
                (gateway.metric("gateway_keyring_troubles", &counted).await == 1.0).then_some(())
            })
            .await;
        assert_eq!(shown_by(&gateway, &roots).await.unwrap(), old.der, "{reason}");
        assert!(gateway.printed().contains("does not replace what is held"), "{}", gateway.printed());
    }
    other.write(&certs, "server");
    gateway.status_that("no trouble", |status| trouble(status, "server.pem").is_none()).await;
    gateway
        .until("the other certificate is shown", async || {
            (shown_by(&gateway, &roots).await.as_ref() == Some(&other.der)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn an_upstream_sees_the_renewed_certificate_under_load_while_no_reload_is_possible() {
    let world = World::new().await;
    let gateway = Arc::new(Gateway::start(&world).await);
    let before = no_reload_from_here(&world, &gateway).await;
    let old = Identity::read(&world.folder.join("certs"), "upstream-client").unwrap();
    let load = Load::of_calls(&gateway, STATUS);
    load.goes_on(&gateway).await;
    let mut expected = vec![old.der];
    for _ in 0..3 {
        let renewed = world.internal.client_dns(SERVER_NAME);
        renewed.write(&world.folder.join("certs"), "upstream-client");
        expected.push(renewed.der.clone());
        gateway
            .until("the upstream is shown the renewed certificate", async || {
                world.warehouse.certificates().contains(&renewed.der).then_some(())
            })
            .await;
        load.goes_on(&gateway).await;
    }
    // Its roots are replaced as well: by two at first, so that either will do.
    let next = Authority::new("next");
    world.folder.write("certs/internal-ca.pem", &format!("{}{}", next.pem(), world.internal.pem()));
    let connections = world.warehouse.connections();
    gateway
        .until("a connection by the new roots", async || {
            (world.warehouse.connections() > connections).then_some(())
        })
        .await;
    load.goes_on(&gateway).await;
    load.end().await;
    assert_eq!(world.warehouse.certificates(), expected);
    assert_eq!(gateway.status().await["snapshot"]["id"], before["id"], "no reload took place");

    // Whose authority is taken away is not believed any more.
    world.folder.write("certs/internal-ca.pem", &next.pem());
    let client = gateway.client().build();
    gateway
        .until("the upstream is not believed", async || {
            (client.get(STATUS).await.status == StatusCode::BAD_GATEWAY).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_revocation_refuses_open_connections_while_no_reload_is_possible() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let (stolen, good) = (world.identity("warehouse"), world.identity("warehouse"));
    let [of_stolen, of_good] = [&stolen, &good].map(|one| gateway.client().certificate(one).build());
    for client in [&of_stolen, &of_good] {
        assert_eq!(client.get(ORDER).await.status, StatusCode::OK);
    }
    let before = no_reload_from_here(&world, &gateway).await;
    let older = world.folder.read("certs/clients.crl");
    let list = world.clients.revocation_list(&[&stolen], Validity::Current);
    world.folder.write("certs/clients.crl", &list);
    gateway
        .until("the open connection is refused", async || {
            (of_stolen.get(ORDER).await.status == StatusCode::FORBIDDEN).then_some(())
        })
        .await;
    assert_eq!(of_good.get(ORDER).await.status, StatusCode::OK);
    assert_eq!(gateway.status().await["snapshot"]["id"], before["id"], "no reload took place");

    // The list from before does not come back, nor one that somebody else signed in the same name.
    let forged = Authority::new("clients").revocation_list(&[], Validity::Current);
    for (reason, list) in [("older-list", older), ("older-list", forged)] {
        world.folder.write("certs/clients.crl", &list);
        gateway.status_that(reason, |status| trouble(status, "clients.crl").as_deref() == Some(reason)).await;
        assert_eq!(of_stolen.get(ORDER).await.status, StatusCode::FORBIDDEN, "{reason}");
        assert_eq!(of_good.get(ORDER).await.status, StatusCode::OK, "{reason}");
    }
    let mut forger = Authority::new("clients");
    for _ in 0..9 {
        drop(forger.revocation_list(&[], Validity::Current));
    }
    world.folder.write("certs/clients.crl", &forger.revocation_list(&[], Validity::Current));
    let forged = |status: &Value| trouble(status, "clients.crl").as_deref() == Some("forged-list");
    gateway.status_that("a forged list", forged).await;
    assert_eq!(of_stolen.get(ORDER).await.status, StatusCode::FORBIDDEN);
    assert_eq!(of_good.get(ORDER).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_runs_out_is_foreseen() {
    let world = World::new().await;
    let certs = world.folder.join("certs");
    let mut gateway = Gateway::start(&world).await;
    let partner = world.clients.sign(Usage::Client, &sans(&["client.acme.example"]), Validity::Week);
    let client = gateway.client().certificate(&partner).build();
    assert_eq!(client.get("/orders/v2/orders?channel=acme").await.status, StatusCode::OK);
    let seen = |status: &Value| ends(status, "partner-certificate", &partner.sha256()).is_some();
    let status = gateway.status_that("the partner's certificate", seen).await;
    for (what, name) in [
        ("certificate", "certs/server.pem"),
        ("certificate", "certs/upstream-client.pem"),
        ("roots", "certs/clients-ca.pem"),
        ("roots", "certs/internal-ca.pem"),
        ("revocation-list", "certs/clients.crl"),
        ("partner-certificate", "acme-marketplace"),
    ] {
        assert!(ends(&status, what, name).is_some(), "{what} {name}: {:#}", status["expiries"]);
    }
    let times: Vec<&str> =
        status["expiries"].as_array().unwrap().iter().map(|one| one["ends"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    let admin = gateway.admin().to_string();
    let ask = async |more: &[&str]| run(&[&["status", "--admin", &admin], more].concat()).await;
    let soon = ask(&[]).await;
    assert_eq!(soon.code, Some(1), "{soon:?}");
    let first = soon.output.lines().nth(1).unwrap();
    assert!(first.contains("SOON") && first.contains("partner-certificate"), "{}", soon.output);
    let later = ask(&["--within", "2d"]).await;
    assert_eq!(later.code, Some(0), "{later:?}");
    let json = ask(&["--within", "2d", "--format", "json"]).await;
    let json: Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!((&json["ok"], &json["expiries"][0]["standing"]), (&true.into(), &"later".into()));
    gateway
        .until("the metric", async || {
            let name = "gateway_certificate_expiry_timestamp_seconds";
            let own = gateway.metric(name, &["what=\"certificate\"", "server.pem"]).await;
            let partner = gateway.metric(name, &["what=\"partner-certificate\"", "acme-marketplace"]).await;
            (own > partner && partner > 1.6e9).then_some(())
        })
        .await;

    // A file that cannot be taken is a reason to look, too.
    std::fs::remove_file(certs.join("server.key")).unwrap();
    gateway.status_that("trouble", |status| trouble(status, "server.key").is_some()).await;
    let troubled = ask(&["--within", "2d"]).await;
    assert_eq!(troubled.code, Some(1));
    assert!(troubled.output.contains("cannot be brought up to date"), "{}", troubled.output);

    let nobody = run(&["status", "--admin", "127.0.0.1:1"]).await;
    assert_eq!(nobody.code, Some(2), "{nobody:?}");

    // A restart does not forget which certificates partners have.
    gateway.stop().await;
    world.servers.server(&[SERVER_NAME]).write(&certs, "server");
    let gateway = Gateway::start(&world).await;
    let status = gateway.status().await;
    assert!(ends(&status, "partner-certificate", &partner.sha256()).is_some(), "{:#}", status["expiries"]);
}
