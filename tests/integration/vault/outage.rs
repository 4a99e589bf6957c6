//! What a gateway serves whose credential is in Vault, while Vault is away, says no, or has a new version.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::gateway::{Client, Gateway};
use testbed::vault::{Fault, Simulation, Vault};
use testbed::{Gate, World};

use super::KEY;

const ORDER: &str = "/orders/v2/orders/S00042";
const NEXT_KEY: &str = "another-odoo-key-of-a-test";
/// An operation that needs no credential.
const COUNTS: &str = "/stock/v1/status";

/// A world whose credential for `odoo` is a secret of Vault, read often.
async fn world(vault: &Vault, key: &str) -> World {
    let mut world = World::new().await;
    vault.put("gateway/odoo", json!({"key": key})).await;
    vault.put_into(&mut world.folder).await;
    let from = format!("vault:{}#key", vault.kv2("gateway/odoo"));
    world.folder.settings(|settings| {
        settings["vault"]["timeout"] = json!("500ms");
        settings["credentials"]["odoo-key"] =
            json!({"from": from, "form": "bearer", "refresh": "1s", "age_max": "4s"});
    });
    world
}

fn state(status: &Value) -> &Value {
    &status["credentials"][0]["state"]
}

fn last_shown(world: &World) -> String {
    world.odoo.seen().last().unwrap().header("authorization").unwrap().to_owned()
}

async fn is_served(client: &Client, token: &str) -> bool {
    client.get_as(token, ORDER).await.status == StatusCode::OK
}

/// One row of what can be wrong: begins, and ends.
async fn set(vault: &Vault, simulation: &Simulation<'_>, row: &str, begins: bool) -> &'static str {
    let policy = format!("sys/policies/acl/{}", vault.mount("gateway"));
    let rule = |allows: &str| json!({"policy": format!("path \"{allows}\" {{ capabilities = [\"read\"] }}")});
    match (row, begins) {
        ("down", true) => simulation.down().await,
        ("down", false) => simulation.up().await,
        ("denied", true) => drop(vault.write(&policy, rule("nothing")).await),
        ("denied", false) => drop(vault.write(&policy, rule("secret/data/gateway/*")).await),
        ("gone", true) => drop(vault.ask(Method::DELETE, "secret/data/gateway/odoo", Value::Null).await),
        ("gone", false) => vault.put("gateway/odoo", json!({"key": KEY})).await,
        (_, false) => simulation.heal(),
        ("sealed", true) => simulation.fail(Fault::Sealed),
        ("slow", true) => simulation.fail(Fault::Held(Gate::closed())),
        ("throttling", true) => simulation.fail(Fault::Throttled(Some(1))),
        ("wrong", true) => simulation.fail(Fault::Body("{}".to_owned())),
        _ => panic!("{row}"),
    }
    match row {
        "down" => "vault-unreachable",
        "denied" => "vault-denied",
        "gone" => "vault-not-found",
        "wrong" => "vault-bad-answer",
        "sealed" => "vault-sealed",
        "slow" => "vault-timed-out",
        _ => "vault-throttled",
    }
}

#[tokio::test]
async fn what_is_in_hand_serves_until_its_own_limit_and_then_only_what_needs_it_is_refused() {
    let vault = Vault::start().await;
    let Some(simulation) = vault.simulation("it cannot be made to fail") else { return };
    let world = world(&vault, KEY).await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    gateway.status_that("the secret is there", |status| state(status) == "steady").await;
    for row in ["sealed", "down", "slow", "throttling", "denied", "gone", "wrong"] {
        let token = world.mint("acme-marketplace").sign();
        let ends: Timestamp =
            gateway.status().await["credentials"][0]["ends"].as_str().unwrap().parse().unwrap();
        let reason = set(&vault, &simulation, row, true).await;
        // A slow machine may have Vault answer too late before it answers so.
        gateway.status_that(row, |status| status["credentials"][0]["last_error"] == reason).await;
        let served = is_served(&client, &token).await;
        assert!(served || Timestamp::now() >= ends, "{row}: what is in hand serves until {ends}");
        assert_eq!(last_shown(&world), format!("Bearer {KEY}"), "{row}");

        let told = gateway.status_that("it has ended", |status| state(status) == "empty").await;
        let why = told["not_ready"][0].as_str().unwrap();
        assert!(why.contains("odoo-key") && why.contains(reason), "{row}: {why}");
        let before = world.odoo.seen().len();
        let reply = client.get_as(&token, ORDER).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{row}");
        assert_eq!(world.odoo.seen().len(), before, "{row}: nothing is sent without it");
        assert_eq!(client.get(COUNTS).await.status, StatusCode::OK, "{row}: what does not need it is served");
        let record = gateway.audit(&["--status", "503"]).await.pop().unwrap();
        assert_eq!(record["decision"]["reason"], "credential-unavailable", "{row}");

        set(&vault, &simulation, row, false).await;
        gateway
            .status_that("it is back", |status| state(status) == "steady" && status["not_ready"] == json!([]))
            .await;
        assert!(is_served(&client, &token).await, "{row}");
    }
    let printed = gateway.printed();
    assert!(!printed.contains(KEY) && !printed.contains("hvs."), "{printed}");
}

#[tokio::test]
async fn a_new_version_is_used_and_the_record_says_which() {
    let vault = Vault::start().await;
    let world = world(&vault, KEY).await;
    let gateway = Gateway::start(&world).await;
    gateway.status_that("the secret is there", |status| state(status) == "steady").await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    assert!(is_served(&client, &token).await);
    vault.put("gateway/odoo", json!({"key": NEXT_KEY})).await;
    gateway
        .until("the new version is shown", async || {
            assert!(is_served(&client, &token).await, "no call fails for it");
            (last_shown(&world) == format!("Bearer {NEXT_KEY}")).then_some(())
        })
        .await;
    let records = gateway.audit(&[]).await;
    let versions: Vec<_> =
        records.iter().filter_map(|record| record["credential"]["version"].as_str()).collect();
    assert_eq!((versions.first(), versions.last()), (Some(&"1"), Some(&"2")), "the numbers that Vault gives");
}

#[tokio::test]
async fn a_token_that_is_revoked_is_noticed_by_nobody() {
    let vault = Vault::start().await;
    let world = world(&vault, KEY).await;
    let gateway = Gateway::start(&world).await;
    gateway.status_that("the secret is there", |status| state(status) == "steady").await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    vault.revoke_logins("approle").await;
    let told = gateway.status_that("it logged in again", |status| status["vault"]["logins"] == 2).await;
    assert_eq!((state(&told), &told["vault"]["fault"]), (&json!("steady"), &Value::Null));
    assert!(is_served(&client, &token).await);
}

#[tokio::test]
async fn what_was_lent_is_shown_and_given_back_at_the_stop() {
    let vault = Vault::start().await;
    let Some(_) = vault.simulation("it has no database to make users in") else { return };
    vault.write("database/config/shop", json!({"plugin_name": "postgresql-database-plugin"})).await;
    let role = json!({"db_name": "shop", "creation_statements": ["CREATE ROLE"], "default_ttl": "1h", "max_ttl": "24h"});
    vault.write("database/roles/gateway", role).await;
    let mut world = world(&vault, KEY).await;
    world.folder.settings(|settings| {
        let from = "vault:dynamic:database/creds/gateway#username:password";
        settings["credentials"]["odoo-key"] = json!({"from": from, "form": "basic"});
    });
    let mut gateway = Gateway::start(&world).await;
    let told = gateway.status_that("it is lent", |status| status["vault"]["leases"] == 1).await;
    assert_eq!(state(&told), "steady", "{told}");
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    assert!(is_served(&client, &token).await);
    let shown = STANDARD.decode(last_shown(&world).strip_prefix("Basic ").unwrap()).unwrap();
    assert!(String::from_utf8(shown).unwrap().starts_with("v-gateway-gateway-"));

    assert!(gateway.stop().await.success());
    let list = Method::from_bytes(b"LIST").unwrap();
    let (status, _) = vault.ask(list, "sys/leases/lookup/database/creds/gateway/", Value::Null).await;
    assert_eq!(status, 404, "nothing is left");
}

#[tokio::test]
async fn a_start_while_vault_is_away_has_what_was_good_if_that_is_asked_for() {
    let vault = Vault::start().await;
    let Some(simulation) = vault.simulation("it cannot be put down") else { return };
    let mut world = world(&vault, KEY).await;
    world.folder.write_private("certs/vault-cache-key", "0123456789abcdef0123456789abcdef");
    let token = world.mint("acme-marketplace").sign();
    for cached in [false, true] {
        if cached {
            let cache =
                json!({"file": "vault-cache.json", "key": "file:certs/vault-cache-key", "age_max": "1h"});
            world.folder.settings(|settings| settings["vault"]["cache"] = cache);
        }
        let mut gateway = Gateway::start(&world).await;
        gateway.status_that("the secret is there", |status| state(status) == "steady").await;
        assert!(gateway.stop().await.success());
        simulation.down().await;
        let mut gateway = Gateway::start(&world).await;
        let reply = gateway.client().build().get_as(&token, ORDER).await;
        let expected = if cached { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(reply.status, expected, "cached: {cached}");
        let status = gateway.status().await;
        assert_eq!(status["vault"]["fault"], "vault-unreachable");
        assert_eq!(status["not_ready"].as_array().unwrap().is_empty(), cached, "{status}");
        assert!(gateway.stop().await.success());
        simulation.up().await;
    }
    assert!(!world.folder.read("vault-cache.json").contains(KEY));
}
