//! Certificates that Vault issues, for a listener and towards an upstream: before the first one, renewed under load,
//! while Vault is down; and the list of the certificates that its authority has revoked.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode};
use rustls::ALL_VERSIONS;
use serde_json::{Value, json};
use testbed::certificates::Identity;
use testbed::gateway::Gateway;
use testbed::upstream::{Security, Upstream};
use testbed::vault::{Fault, Vault};
use testbed::{SERVER_NAME, World, repository};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::handshake::TlsClient;
use crate::keyring::{ends, trouble};
use crate::load::Load;

/// Open to a certificate alone: the warehouse may read it.
const ORDER: &str = "/orders/v2/orders/S00042";
const WAREHOUSE: &str = "spiffe://retailer.example/warehouse/management";
/// Open to everybody, and answered by the upstream that asks for the gateway's certificate.
const STATUS: &str = "/stock/v1/status";
/// What the gateway is called by upstreams.
const GATEWAY: &str = "spiffe://retailer.example/gateway";

/// Makes an authority in Vault and gives its root.
async fn authority(vault: &Vault) -> String {
    let pki = vault.mount("pki");
    let root = json!({"common_name": "issued root", "key_type": "ec", "key_bits": 256, "ttl": "24h"});
    let answer = vault.write(&format!("{pki}/root/generate/internal"), root).await;
    let role = json!({
        "allow_any_name": true, "enforce_hostnames": false, "allow_ip_sans": true, "require_cn": false,
        "allowed_uri_sans": ["spiffe://retailer.example/*"], "key_type": "ec", "key_bits": 256, "max_ttl": "12h",
    });
    vault.write(&format!("{pki}/roles/gateway"), role).await;
    answer["data"]["certificate"].as_str().unwrap().to_owned()
}

/// The listener's only certificate is one of Vault's, for so long.
fn shows_issued(world: &mut World, vault: &Vault, ttl: &str) {
    let order = json!({
        "mount": vault.mount("pki"), "role": "gateway", "dns": [SERVER_NAME], "ttl": ttl, "renew_at": 0.1,
    });
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"]["certificates"] = json!([{"vault_pki": order}]);
    });
}

async fn shown(gateway: &Gateway, roots_pem: &str) -> Option<Vec<u8>> {
    let client = TlsClient::new(gateway.address("public"), roots_pem, None, ALL_VERSIONS);
    Some(client.connect_to(SERVER_NAME).await.ok()?.certificate())
}

#[tokio::test]
async fn an_issued_certificate_is_renewed_under_load() {
    let mut world = World::new().await;
    let vault = Vault::start().await;
    let root = authority(&vault).await;
    vault.put_into(&mut world.folder).await;
    shows_issued(&mut world, &vault, "20s");
    let gateway = Arc::new(Gateway::try_start(&world.folder, &root).await.unwrap());
    let status = gateway.status().await;
    assert_eq!(status["not_ready"], json!([]));
    let first = ends(&status, "certificate", SERVER_NAME).unwrap();

    let load = Load::of_connections(&gateway, &root, &world.identity("warehouse"));
    gateway.until("some certificates were shown", async || (load.certificates() >= 4).then_some(())).await;
    load.goes_on(&gateway).await;
    load.end().await;
    let later = ends(&gateway.status().await, "certificate", SERVER_NAME).unwrap();
    assert!(later > first, "{first} {later}");
    let everything = world.folder.everything_below("keyring") + &gateway.printed();
    assert!(!everything.contains("PRIVATE"), "the key never leaves the process");
}

#[tokio::test]
async fn an_upstream_is_shown_renewed_certificates_under_load_and_no_call_fails() {
    let mut world = World::new().await;
    let vault = Vault::start().await;
    let root = authority(&vault).await;
    let pki = vault.mount("pki");
    vault.put_into(&mut world.folder).await;
    // It takes who shows a certificate of Vault's authority, and nobody else.
    let identity = world.internal.server(&["warehouse.internal"]);
    let security = Security::Tls { identity: &identity, clients: Some(&root) };
    let warehouse = Upstream::start(&repository::folder("contracts"), security).await;
    world.folder.settings(|settings| {
        let order =
            json!({"mount": pki, "role": "gateway", "uris": [GATEWAY], "ttl": "30s", "renew_at": 0.1});
        let upstream = &mut settings["upstreams"]["warehouse"];
        upstream["addresses"] = json!([warehouse.address().to_string()]);
        upstream["tls"]["client"] = json!({"vault_pki": order});
    });
    let gateway = Arc::new(Gateway::start(&world).await);
    let status = gateway.status_that("ready", |status| status["not_ready"] == json!([])).await;
    let first = ends(&status, "certificate", GATEWAY).unwrap();
    let load = Load::of_calls(&gateway, STATUS);
    gateway.until("renewed twice", async || (warehouse.certificates().len() >= 3).then_some(())).await;
    load.goes_on(&gateway).await;
    load.end().await;
    assert!(ends(&gateway.status().await, "certificate", GATEWAY).unwrap() > first);

    let shown = warehouse.certificates();
    let shown: Vec<_> = shown.iter().map(|der| X509Certificate::from_der(der).unwrap().1).collect();
    let list = Method::from_bytes(b"LIST").unwrap();
    let (_, issued) = vault.ask(list, &format!("{pki}/certs"), Value::Null).await;
    for certificate in &shown {
        let serial = certificate.raw_serial_as_string();
        assert!(issued["data"]["keys"].as_array().unwrap().contains(&json!(serial)), "{serial}: {issued}");
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::URI(GATEWAY)]);
    }
    let serials: BTreeSet<_> = shown.iter().map(|one| one.raw_serial()).collect();
    let keys: BTreeSet<_> = shown.iter().map(|one| one.public_key().raw).collect();
    assert_eq!((serials.len(), keys.len()), (shown.len(), shown.len()), "each has a key of its own");
    for pair in shown.windows(2) {
        let [end, next] = [0, 1].map(|n: usize| pair[n].validity().not_after.timestamp());
        assert!((1..30).contains(&(next - end)), "{end} is renewed at {next}, when much of its life is left");
    }
    // No key leaves the process: not to the disk, not into the log, not to Vault, which signs and makes none.
    let everything = world.folder.everything_below("keyring") + &gateway.printed();
    assert!(!everything.contains("PRIVATE"));
    let Some(simulation) = vault.simulation("what it was asked is not seen") else { return };
    for asked in simulation.requests("pki/") {
        assert_eq!(asked.path(), "/v1/pki/sign/gateway");
        let asked = asked.json();
        assert!(asked["csr"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE REQUEST-----"), "{asked}");
        assert!(!asked.to_string().contains("PRIVATE"), "{asked}");
    }
}

#[tokio::test]
async fn without_vault_the_gateway_starts_and_only_what_needs_a_certificate_waits() {
    let mut world = World::new().await;
    let vault = Vault::start().await;
    let Some(simulation) = vault.simulation("it is sealed on cue") else { return };
    let root = authority(&vault).await;
    vault.put_into(&mut world.folder).await;
    shows_issued(&mut world, &vault, "1h");
    world.folder.settings(|settings| {
        let order = json!({"mount": "pki", "role": "gateway", "uris": [GATEWAY]});
        settings["upstreams"]["warehouse"]["tls"]["client"] = json!({"vault_pki": order});
        settings["listeners"]["files"] = json!({
            "address": "127.0.0.1:0",
            "tls": {"certificates": [{"chain": "certs/server.pem", "key": "certs/server.key"}]},
        });
    });
    simulation.fail(Fault::Sealed);
    let gateway = Gateway::try_start(&world.folder, &root).await.unwrap();
    assert_eq!(shown(&gateway, &root).await, None);
    let ready = gateway.admin_page("/health/ready").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let reasons = ready.json().to_string();
    assert!(reasons.contains("vault:pki/gateway gateway.example is held: vault-"), "{reasons}");
    gateway
        .until("the refusal is on record", async || {
            let records = gateway.audit(&["--decision", "refused"]).await;
            records.iter().any(|one| one["decision"]["reason"] == "handshake-no-certificate").then_some(())
        })
        .await;
    // What needs neither is served.
    let files = TlsClient::new(gateway.address("files"), &world.servers.pem(), None, ALL_VERSIONS);
    assert_eq!(files.get(STATUS).await.unwrap().0, 503, "its upstream wants a certificate");
    let records = gateway.audit(&["--status", "503"]).await;
    assert_eq!(records[0]["decision"]["reason"], "upstream_no_certificate", "{records:#?}");
    assert!(world.warehouse.seen().is_empty());
    let mut raw = gateway.raw().await;
    raw.send(format!("GET {ORDER} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await.unwrap();
    assert_eq!(raw.reply().await.unwrap().unwrap().status, 401);

    simulation.heal();
    gateway.status_that("ready", |status| status["not_ready"] == json!([])).await;
    gateway.until("it is shown", async || shown(&gateway, &root).await).await;
    gateway
        .until("the upstream is called", async || (files.get(STATUS).await.ok()?.0 != 503).then_some(()))
        .await;
}

#[tokio::test]
async fn while_vault_is_down_the_certificate_in_hand_serves() {
    let mut world = World::new().await;
    let vault = Vault::start().await;
    let Some(simulation) = vault.simulation("it is sealed on cue") else { return };
    let root = authority(&vault).await;
    vault.put_into(&mut world.folder).await;
    shows_issued(&mut world, &vault, "60s");
    let gateway = Gateway::try_start(&world.folder, &root).await.unwrap();
    let in_hand = shown(&gateway, &root).await.unwrap();
    for (fault, reason) in [(Fault::Sealed, "vault-sealed"), (Fault::Status(400), "vault-status")] {
        simulation.fail_at("pki", fault);
        let told = |status: &Value| trouble(status, SERVER_NAME).as_deref() == Some(reason);
        let status = gateway.status_that(reason, told).await;
        assert_eq!(status["not_ready"], json!([]), "it serves on");
        assert!(shown(&gateway, &root).await.is_some());
        simulation.heal();
        gateway.status_that("no trouble", |status| trouble(status, SERVER_NAME).is_none()).await;
    }
    assert_ne!(shown(&gateway, &root).await.unwrap(), in_hand, "it was renewed since");
}

#[tokio::test]
async fn the_list_of_a_pki_mount_refuses_what_its_authority_revoked() {
    let mut world = World::new().await;
    let vault = Vault::start().await;
    let root = authority(&vault).await;
    let pki = vault.mount("pki");
    vault.put_into(&mut world.folder).await;
    world.folder.write("certs/clients-ca.pem", &root);
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["tls"]["client_crls"] = json!([{"vault_pki": pki, "refresh": "1s"}]);
    });
    let issue = async || {
        let wanted = json!({"uri_sans": WAREHOUSE, "ttl": "1h"});
        let answer = vault.write(&format!("{pki}/issue/gateway"), wanted).await;
        let text = |name: &str| answer["data"][name].as_str().unwrap().to_owned();
        let (pem, key_pem, serial) = (text("certificate"), text("private_key"), text("serial_number"));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.pem"), pem).unwrap();
        std::fs::write(folder.path().join("a.key"), key_pem).unwrap();
        (Identity::read(folder.path(), "a").unwrap(), serial)
    };
    let ((stolen, serial), (good, _)) = (issue().await, issue().await);
    let gateway = Gateway::start(&world).await;
    let [of_stolen, of_good] = [&stolen, &good].map(|one| gateway.client().certificate(one).build());
    for client in [&of_stolen, &of_good] {
        assert_eq!(client.get(ORDER).await.status, StatusCode::OK);
    }
    vault.write(&format!("{pki}/revoke"), json!({"serial_number": serial})).await;
    vault.ask(Method::GET, &format!("{pki}/crl/rotate"), Value::Null).await;
    gateway
        .until("the revoked certificate is refused", async || {
            (of_stolen.get(ORDER).await.status == StatusCode::FORBIDDEN).then_some(())
        })
        .await;
    assert_eq!(of_good.get(ORDER).await.status, StatusCode::OK);
}
