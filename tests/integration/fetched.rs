//! Revocation lists and SPIFFE bundles are fetched: in time, from servers that may be anything, and for the
//! next start.

use std::sync::Arc;

use http::{Method, StatusCode};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use testbed::certificates::{Authority, Identity, Usage, Validity, uri_san};
use testbed::depot::Depot;
use testbed::gateway::{Client, Gateway};
use testbed::{Fault, Gate, World};

use crate::keyring::{no_reload_from_here, trouble};
use crate::load::Load;

/// Open to a certificate alone: the warehouse may read it.
const ORDER: &str = "/orders/v2/orders/S00042";
const WAREHOUSE: &str = "spiffe://retailer.example/warehouse/management";
const LIST: &str = "/clients.crl";
const BUNDLE: &str = "/bundle";

async fn depot(world: &World) -> Depot {
    Depot::start(&world.internal.server(&["127.0.0.1"])).await
}

/// The list is fetched from `depot` as often as a test can wait for.
fn fetch_list(world: &mut World, depot: &Depot, stale_max: &str) {
    let url = depot.url(LIST);
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"]["client_crls"] = json!([{
            "url": url, "ca": "certs/internal-ca.pem", "refresh": "1s", "timeout": "1s", "stale_max": stale_max,
        }]);
    });
}

fn der(pem: &str) -> Vec<u8> {
    CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

async fn status_of(client: &Client) -> StatusCode {
    client.get(ORDER).await.status
}

async fn answers(gateway: &Gateway, identity: &Identity) -> bool {
    let client = gateway.client().certificate(identity).build();
    client.try_send(client.request(Method::GET, ORDER)).await.is_ok_and(|reply| reply.status == 200)
}

async fn until_answers(gateway: &Gateway, identity: &Identity, what: &str) {
    gateway.until(what, async || answers(gateway, identity).await.then_some(())).await;
}

#[tokio::test]
async fn a_list_is_fetched_and_no_server_can_take_it_back() {
    let mut world = World::new().await;
    let depot = depot(&world).await;
    fetch_list(&mut world, &depot, "0s");
    let older = world.clients.revocation_list(&[], Validity::Current);
    depot.put(LIST, older.clone());
    let gateway = Gateway::start(&world).await;
    let (stolen, good) = (world.identity("warehouse"), world.identity("warehouse"));
    let [of_stolen, of_good] = [&stolen, &good].map(|one| gateway.client().certificate(one).build());
    for client in [&of_stolen, &of_good] {
        assert_eq!(status_of(client).await, StatusCode::OK);
    }
    no_reload_from_here(&world, &gateway).await;
    let list = world.clients.revocation_list(&[&stolen], Validity::Current);
    depot.put(LIST, der(&list));
    gateway
        .until("the open connection is refused", async || {
            (status_of(&of_stolen).await == StatusCode::FORBIDDEN).then_some(())
        })
        .await;

    let mut forger = Authority::new("clients");
    let mut forged = String::new();
    for _ in 0..9 {
        forged = forger.revocation_list(&[], Validity::Current);
    }
    let other = Authority::new("others").revocation_list(&[], Validity::Current);
    let rows = [
        ("unreachable", Fault::Dead),
        ("status", Fault::Status(500)),
        ("redirected", Fault::Redirect(depot.url("/elsewhere"))),
        ("too-large", Fault::Oversized((16 << 20) + 1)),
        ("timed-out", Fault::Held(Gate::closed())),
        ("no-list", Fault::Body("garbage".to_owned())),
        ("not-a-list", Fault::Body("0garbage".to_owned())),
        ("older-list", Fault::Body(older)),
        ("forged-list", Fault::Body(forged)),
        ("other-list", Fault::Body(other)),
    ];
    depot.put("/elsewhere", world.clients.revocation_list(&[], Validity::Current));
    for (reason, fault) in rows {
        depot.fail(LIST, fault);
        gateway.status_that(reason, |status| trouble(status, LIST).as_deref() == Some(reason)).await;
        assert_eq!(status_of(&of_stolen).await, StatusCode::FORBIDDEN, "{reason}");
        assert_eq!(status_of(&of_good).await, StatusCode::OK, "{reason}");
        assert!(!answers(&gateway, &stolen).await && answers(&gateway, &good).await, "{reason}");
        depot.heal();
        gateway.status_that("no trouble", |status| trouble(status, LIST).is_none()).await;
    }
    assert_eq!(depot.requests("/elsewhere"), 0);
}

#[tokio::test]
async fn a_restart_without_the_server_has_the_last_list_and_one_without_any_is_closed() {
    let mut world = World::new().await;
    let depot = depot(&world).await;
    fetch_list(&mut world, &depot, "0s");
    let (stolen, good) = (world.identity("warehouse"), world.identity("warehouse"));
    depot.put(LIST, world.clients.revocation_list(&[&stolen], Validity::Current));
    let mut gateway = Gateway::start(&world).await;
    assert!(!answers(&gateway, &stolen).await && answers(&gateway, &good).await);
    gateway.stop().await;

    depot.fail(LIST, Fault::Dead);
    let mut gateway = Gateway::start(&world).await;
    assert!(!answers(&gateway, &stolen).await && answers(&gateway, &good).await);
    let status = gateway.status_that("trouble", |status| trouble(status, LIST).is_some()).await;
    assert_eq!(status["not_ready"], json!([]), "what was kept serves");
    gateway.stop().await;

    // Whoever can write there cannot free anybody: a list that is not signed is none.
    let folder = world.folder.join("keyring");
    let all = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = all.filter(|file| file.extension().is_some_and(|kind| kind == "kept")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    std::fs::write(&kept[0], Authority::new("clients").revocation_list(&[], Validity::Current)).unwrap();
    let gateway = Gateway::start(&world).await;
    assert!(!answers(&gateway, &stolen).await && !answers(&gateway, &good).await);
    let told = gateway.status().await["not_ready"].to_string();
    assert!(told.contains("revocation-list") && told.contains(LIST), "{told}");
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(gateway.client().build().get_as(&token, ORDER).await.status, StatusCode::OK);
    depot.heal();
    until_answers(&gateway, &good, "the server is back").await;
    assert!(!answers(&gateway, &stolen).await);
}

#[tokio::test]
async fn a_list_past_its_end_serves_for_as_long_as_was_allowed() {
    for (stale_max, open) in [("2d", true), ("0s", false)] {
        let mut world = World::new().await;
        let depot = depot(&world).await;
        fetch_list(&mut world, &depot, stale_max);
        let (stolen, good) = (world.identity("warehouse"), world.identity("warehouse"));
        // Its next one was due yesterday.
        depot.put(LIST, world.clients.revocation_list(&[&stolen], Validity::Expired));
        let gateway = Gateway::start(&world).await;
        assert!(!answers(&gateway, &stolen).await, "{stale_max}");
        assert_eq!(answers(&gateway, &good).await, open, "{stale_max}");
        let reason = "handshake-revocation-list-ended";
        let ended = gateway.audit(&[]).await;
        let ended = ended.iter().filter(|one| one["decision"]["reason"] == reason).count();
        assert_eq!(ended > 0, !open, "{stale_max}");
        if !open {
            depot.put(LIST, world.clients.revocation_list(&[&stolen], Validity::Current));
            until_answers(&gateway, &good, "a current list").await;
            assert!(!answers(&gateway, &stolen).await);
        }
    }
}

fn bundle(sequence: u64, authorities: &[&Authority]) -> String {
    let keys: Vec<Value> = authorities
        .iter()
        .map(|authority| {
            let pem = authority.pem();
            let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            json!({"kty": "EC", "use": "x509-svid", "x5c": [base64]})
        })
        .collect();
    json!({"keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": 1}).to_string()
}

#[tokio::test]
async fn an_svid_is_believed_for_the_authorities_of_its_own_trust_domain_alone() {
    let mut world = World::new().await;
    let (retailer, carrier) = (Authority::new("retailer"), Authority::new("carrier"));
    world.folder.write("certs/retailer.json", &bundle(1, &[&retailer]));
    world.folder.write("certs/carrier.pem", &carrier.pem());
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"]["spiffe"] = json!({
            "retailer.example": {"file": "certs/retailer.json"}, "carrier.example": {"file": "certs/carrier.pem"},
        });
    });
    let gateway = Gateway::start(&world).await;
    let both = [uri_san(WAREHOUSE), uri_san("https://a.example")];
    let broken = "handshake-certificate-invalid";
    let unknown = "handshake-certificate-issuer-unknown";
    let rows = [
        ("its own", retailer.client_uri(WAREHOUSE), Ok(StatusCode::OK)),
        ("of the other domain's authority", carrier.client_uri(WAREHOUSE), Err(unknown)),
        ("of the client roots", world.clients.client_uri(WAREHOUSE), Err(unknown)),
        ("of a domain that is not named", world.clients.client_uri("spiffe://evil.example/w"), Err(unknown)),
        ("of the other domain", carrier.client_uri("spiffe://carrier.example/w"), Ok(StatusCode::FORBIDDEN)),
        ("with two names", retailer.sign(Usage::Client, &both, Validity::Current), Err(broken)),
        ("without a path", retailer.client_uri("spiffe://retailer.example"), Err(broken)),
        ("a host of the client roots", world.clients.client_dns("client.acme.example"), Ok(StatusCode::OK)),
        ("a host of a bundle", retailer.client_dns("client.acme.example"), Err(unknown)),
    ];
    for (what, identity, expected) in rows {
        let client = gateway.client().certificate(&identity).build();
        let path = if what.contains("host") { "/orders/v2/orders?channel=acme" } else { ORDER };
        let reply = client.try_send(client.request(Method::GET, path)).await;
        match expected {
            Ok(status) => assert_eq!(reply.unwrap().status, status, "{what}"),
            Err(reason) => {
                assert!(reply.is_err(), "{what}");
                gateway
                    .until(what, async || {
                        let records = gateway.audit(&["--decision", "refused"]).await;
                        records.iter().any(|one| one["decision"]["reason"] == reason).then_some(())
                    })
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn a_bundle_rotates_under_load_and_no_call_fails() {
    let mut world = World::new().await;
    let depot = depot(&world).await;
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    depot.put(BUNDLE, bundle(7, &[&old]));
    let url = depot.url(BUNDLE);
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"]["spiffe"] =
            json!({"retailer.example": {"url": url, "ca": "certs/internal-ca.pem", "timeout": "1s"}});
    });
    let gateway = Arc::new(Gateway::start(&world).await);
    no_reload_from_here(&world, &gateway).await;
    let (of_old, of_new) = (old.client_uri(WAREHOUSE), new.client_uri(WAREHOUSE));
    assert!(answers(&gateway, &of_old).await && !answers(&gateway, &of_new).await);

    let load = Load::of_connections(&gateway, &world.servers.pem(), &of_old);
    load.goes_on(&gateway).await;
    depot.put(BUNDLE, bundle(8, &[&old, &new]));
    until_answers(&gateway, &of_new, "the new authority is believed").await;
    load.goes_on(&gateway).await;
    let next = Load::of_connections(&gateway, &world.servers.pem(), &of_new);
    next.goes_on(&gateway).await;
    load.end().await;

    let open = gateway.client().certificate(&of_old).build();
    assert_eq!(status_of(&open).await, StatusCode::OK);
    depot.put(BUNDLE, bundle(9, &[&new]));
    gateway
        .until("the old authority is not believed any more", async || {
            (status_of(&open).await == StatusCode::FORBIDDEN).then_some(())
        })
        .await;
    assert!(!answers(&gateway, &of_old).await);
    next.goes_on(&gateway).await;
    // A bundle from before does not come back, nor one without authorities.
    for (reason, bundle) in [("older-bundle", bundle(8, &[&old, &new])), ("no-certificate", bundle(10, &[]))]
    {
        depot.put(BUNDLE, bundle);
        gateway.status_that(reason, |status| trouble(status, BUNDLE).as_deref() == Some(reason)).await;
        assert!(!answers(&gateway, &of_old).await, "{reason}");
        next.goes_on(&gateway).await;
    }
    next.end().await;
}

#[tokio::test]
async fn checking_files_fetches_nothing() {
    let mut world = World::new().await;
    let depot = depot(&world).await;
    fetch_list(&mut world, &depot, "0s");
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let good = testbed::gateway::run(&["check", "--config", &file]).await;
    assert!(good.success, "{good:?}");
    assert_eq!(depot.requests(LIST), 0);
    for (list, told) in [
        (json!({"url": "http://127.0.0.1:1/l"}), "over `https:`"),
        (json!({"url": "https://user@127.0.0.1:1/l"}), "without a user"),
        (json!({"vault_pki": "pki"}), "no Vault is named"),
        (json!({"refresh": "1s"}), "from a file, from a URL or from Vault"),
    ] {
        world.folder.settings(|settings| {
            settings["listeners"]["public"]["tls"]["client_crls"] = json!([list]);
        });
        let bad = testbed::gateway::run(&["check", "--config", &file]).await;
        assert!(!bad.success && bad.output.contains(told), "{told}: {bad:?}");
    }
}
