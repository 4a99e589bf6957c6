//! A gateway that serves with Vault beside it: what it tells of it, how it starts and stops, and an audit log that
//! is signed there.

use std::path::Path;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Finished, Gateway, run};
use testbed::vault::{Fault, Vault};

const ORDER: &str = "/orders/v2/orders/S00042";
const ORIGIN: &str = "gateway.example/audit";

#[tokio::test]
async fn a_gateway_logs_in_tells_how_it_stands_and_leaves_nothing_behind() {
    let (mut world, vault) = (World::new().await, Vault::start().await);
    let approle = vault.put_into(&mut world.folder).await;
    let mut gateway = Gateway::start(&world).await;
    let status = gateway.status_that("it is logged in", |status| status["vault"]["logged_in"] == true).await;
    let told = &status["vault"];
    assert_eq!(
        (&told["method"], &told["fault"], &told["leases"]),
        (&json!("approle"), &Value::Null, &json!(0))
    );
    assert_eq!(told["address"], vault.address());
    assert!(told["token_ends"].is_string());
    assert!((gateway.metric("gateway_vault_session", &[]).await - 1.0).abs() < f64::EPSILON);
    let left = gateway.metric("gateway_vault_token_remaining_seconds", &[]).await;
    assert!((3_000.0..=3_600.0).contains(&left), "{left}");

    // The same session serves the next snapshot.
    gateway.reload().await;
    assert_eq!(gateway.status().await["vault"]["logins"], 1);
    assert!(gateway.stop().await.success());
    let printed = gateway.printed();
    assert!(printed.contains("logged in to Vault"), "{printed}");
    for secret in [&approle.role_id, &approle.secret_id] {
        assert!(!printed.contains(secret.as_str()) && !status.to_string().contains(secret.as_str()));
    }
    assert!(!printed.contains("hvs."), "no token in the log:\n{printed}");
    if let Some(simulation) = vault.simulation("what it was asked is not seen") {
        assert_eq!(simulation.requests("auth/token/revoke-self").len(), 1);
    }
}

#[tokio::test]
async fn a_gateway_whose_operations_need_nothing_of_vault_starts_and_serves_without_it() {
    let (mut world, vault) = (World::new().await, Vault::start().await);
    let Some(simulation) = vault.simulation("it cannot be put down") else { return };
    vault.put_into(&mut world.folder).await;
    simulation.down().await;
    let gateway = Gateway::start(&world).await;
    let status = gateway.status_that("Vault is missed", |status| status["vault"]["fault"].is_string()).await;
    assert_eq!(status["vault"]["fault"], "vault-unreachable");
    assert_eq!((&status["vault"]["logged_in"], &status["not_ready"]), (&json!(false), &json!([])));
    let one = gateway.metric("gateway_vault_fault", &["reason=\"vault-unreachable\""]).await;
    assert!((one - 1.0).abs() < f64::EPSILON);
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(gateway.client().build().get_as(&token, ORDER).await.status, StatusCode::OK);
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK);

    simulation.up().await;
    let status = gateway.status_that("it is found", |status| status["vault"]["logged_in"] == true).await;
    assert_eq!(status["vault"]["fault"], Value::Null);
}

#[tokio::test]
async fn what_is_written_of_vault_wrongly_is_told_by_its_place() {
    let mut world = World::new().await;
    for (vault, message) in [
        (
            json!({"address": "http://127.0.0.1:1", "auth": {"token_file": "t"}}),
            "secrets come over `https:` only",
        ),
        (json!({"address": "https://vault.example", "auth": {}}), "logs in to Vault in exactly one way"),
        (
            json!({"address": "https://vault.example", "auth": {"token_file": "t", "kubernetes": {"role": "r"}}}),
            "logs in to Vault in exactly one way",
        ),
        (
            json!({"address": "https://vault.example", "auth": {"approle": {"role_id": "s3cr3t", "secret_id": "env:X"}}}),
            "a reference to a secret is wanted",
        ),
        (
            json!({"address": "https://v.example/x", "auth": {"token_file": "t"}}),
            "more than scheme, host and port",
        ),
        (
            json!({"address": "https://v.example", "auth": {"jwt": {"mount": "/jwt/", "role": "r", "jwt": "j"}}}),
            "this is no mount of Vault",
        ),
    ] {
        world.folder.settings(|settings| settings["vault"] = vault.clone());
        let file = world.folder.settings_file().to_string_lossy().into_owned();
        let checked = run(&["check", "--config", &file]).await;
        let told = format!("{}{}", checked.output, checked.errors);
        assert!(!checked.success && told.contains(message), "{vault}: {told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
}

#[tokio::test]
async fn the_example_for_operators_is_one() {
    let mut world = World::new().await;
    let example = testbed::repository::folder("deploy").join("vault/gateway.yaml");
    let example = gateway::document::Document::read(&example, "gateway.yaml").unwrap().value().clone();
    world.folder.write("certs/vault-ca.pem", &world.internal.pem());
    world.folder.settings(|settings| settings["vault"] = example["vault"].clone());
    let file = world.folder.settings_file().to_string_lossy().into_owned();
    let checked = run(&["check", "--config", &file]).await;
    assert!(checked.success, "{}{}", checked.output, checked.errors);
}

/// Has the audit log of a world signed by a key of this Vault.
async fn sign_in_vault(world: &mut World, vault: &Vault) {
    let transit = vault.mount("transit");
    let at = format!("{transit}/keys/gateway-audit");
    vault.write(&at, json!({"type": "ed25519"})).await;
    let (_, key) = vault.ask(Method::GET, &at, Value::Null).await;
    world.folder.write("certs/audit.pub", key["data"]["keys"]["1"]["public_key"].as_str().unwrap());
    world.folder.settings(|settings| {
        settings["audit"] = json!({
            "directory": "audit",
            "origin": ORIGIN,
            "signing": {"transit": {"mount": transit, "key": "gateway-audit"}, "public_key": "certs/audit.pub"},
            "checkpoint_interval": "100ms",
        });
    });
}

async fn verified(world: &World) -> Finished {
    let file = world.folder.join("certs/audit.pub").to_string_lossy().into_owned();
    let key = run(&["audit", "key", "--public-key", &file, "--origin", ORIGIN]).await;
    assert!(key.success, "{key:?}");
    let folder = world.folder.audit().to_string_lossy().into_owned();
    run(&["audit", "verify", "--directory", &folder, "--key", key.output.trim()]).await
}

/// How many entries are written, and how many of them are signed.
fn sizes(status: &Value) -> (u64, u64) {
    (status["audit"]["records"].as_u64().unwrap(), status["audit"]["checkpoint_size"].as_u64().unwrap_or(0))
}

/// The same of one message, over and over, until so many entries are in the log.
async fn record(gateway: &Gateway, world: &World, count: usize) {
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    for _ in 0..count {
        assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    }
}

fn bytes_of_checkpoints(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|e| e == "checkpoints"));
    files.map(|file| std::fs::read(file).unwrap().len()).sum()
}

#[tokio::test]
async fn a_log_that_is_signed_in_vault_is_verified_without_it() {
    let (mut world, vault) = (World::new().await, Vault::start().await);
    vault.put_into(&mut world.folder).await;
    sign_in_vault(&mut world, &vault).await;
    let mut gateway = Gateway::start(&world).await;
    record(&gateway, &world, 3).await;
    gateway
        .status_that("all is signed", |status| {
            let (records, signed) = sizes(status);
            records >= 4 && signed == records && status["audit"]["unsigned"].is_null()
        })
        .await;
    record(&gateway, &world, 2).await;
    assert!(gateway.stop().await.success());
    let verified = verified(&world).await;
    assert!(verified.success, "{verified:?}");
    // Everything that was answered is proven: the last checkpoint was signed at the stop.
    assert!(
        verified.output.contains("0 entries are not proven") || !verified.output.contains("not proven"),
        "{verified:?}"
    );
}

#[tokio::test]
async fn while_vault_does_not_sign_records_are_written_and_nothing_is_lost() {
    let (mut world, vault) = (World::new().await, Vault::start().await);
    let Some(simulation) = vault.simulation("it cannot be made to fail") else { return };
    vault.put_into(&mut world.folder).await;
    sign_in_vault(&mut world, &vault).await;
    let mut gateway = Gateway::start(&world).await;
    record(&gateway, &world, 1).await;
    gateway.status_that("it signs", |status| sizes(status).1 > 0).await;

    simulation.fail_at("transit/", Fault::Sealed);
    record(&gateway, &world, 2).await;
    let status =
        gateway.status_that("it cannot sign", |status| status["audit"]["unsigned"].is_object()).await;
    let unsigned = &status["audit"]["unsigned"];
    assert_eq!(unsigned["fault"], "vault-sealed");
    assert!(unsigned["checkpoints"].as_u64().unwrap() >= 1);
    let since = unsigned["since"].clone();
    record(&gateway, &world, 2).await;
    let status = gateway.status_that("more waits", |status| sizes(status).0 > sizes(status).1).await;
    assert_eq!(status["audit"]["unsigned"]["since"], since);
    assert_eq!(status["not_ready"], json!([]));
    // What is not signed yet is no finding: it is simply not proven.
    let early = verified(&world).await;
    assert!(early.success, "{early:?}");

    // Stopped meanwhile, and started while it still does not sign.
    let before = bytes_of_checkpoints(&world.folder.audit());
    assert!(gateway.stop().await.success());
    assert_eq!(bytes_of_checkpoints(&world.folder.audit()), before);
    let mut gateway = Gateway::start(&world).await;
    record(&gateway, &world, 1).await;
    gateway.status_that("it cannot sign", |status| status["audit"]["unsigned"].is_object()).await;

    simulation.heal();
    gateway
        .status_that("all is signed", |status| {
            let (records, signed) = sizes(status);
            records == signed && status["audit"]["unsigned"].is_null()
        })
        .await;
    assert!(gateway.stop().await.success());
    let late = verified(&world).await;
    assert!(late.success, "{late:?}");
}

#[tokio::test]
async fn a_signature_by_another_key_than_the_one_that_auditors_hold_is_not_kept() {
    let (mut world, vault) = (World::new().await, Vault::start().await);
    vault.put_into(&mut world.folder).await;
    sign_in_vault(&mut world, &vault).await;
    let other = format!("{}/keys/other", vault.mount("transit"));
    vault.write(&other, json!({"type": "ed25519"})).await;
    let (_, key) = vault.ask(Method::GET, &other, Value::Null).await;
    world.folder.write("certs/audit.pub", key["data"]["keys"]["1"]["public_key"].as_str().unwrap());
    let mut gateway = Gateway::start(&world).await;
    record(&gateway, &world, 1).await;
    let status = gateway.status_that("it is noticed", |status| status["audit"]["unsigned"].is_object()).await;
    assert_eq!(status["audit"]["unsigned"]["fault"], "audit-signer-other-key");
    assert_eq!(status["audit"]["checkpoint_size"], Value::Null);
    assert!(gateway.stop().await.success());
    assert_eq!(bytes_of_checkpoints(&world.folder.audit()), 0);
}
