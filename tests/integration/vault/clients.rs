//! What the gateway shows to authorization servers is in Vault, and is replaced while they are asked.

use http::StatusCode;
use serde_json::{Map, Value, json};
use testbed::World;
use testbed::gateway::{Gateway, run};
use testbed::issuer::{self, paths};
use testbed::vault::Vault;

use crate::load::{Load, unlimited};

const ORDER: &str = "/orders/v2/orders/S00042";
const TOKEN: &str = "an-opaque-token-of-acme";

fn password(number: u64) -> String {
    format!("gateway-at-login-{number:04}")
}

async fn put(vault: &Vault, number: u64) {
    vault.put("gateway/login", json!({"password": password(number)})).await;
}

/// A world whose issuer is asked about each token, each time, by a client whose password is in Vault.
async fn world(vault: &Vault) -> World {
    let mut world = World::new().await;
    world.issuer.register(issuer::Client {
        id: "gateway".to_owned(),
        secret: password(0),
        scopes: Vec::new(),
        claims: Map::new(),
    });
    put(vault, 0).await;
    vault.put_into(&mut world.folder).await;
    let from = format!("vault:{}#password", vault.kv2("gateway/login"));
    let url = world.issuer.url(paths::INTROSPECTION);
    world.folder.settings(|settings| {
        settings["credentials"]["login-client"] = json!({"from": from, "refresh": "1s"});
        settings["issuers"]["retail"]["introspection"] = json!({
            "url": url,
            "client": {"id": "gateway", "secret": "credential:login-client"},
            "cache": "0s",
        });
    });
    world.issuer.knows(TOKEN, &world.mint("acme-marketplace"));
    world
}

fn of_client(status: &Value) -> &Value {
    let all = status["credentials"].as_array().unwrap();
    all.iter().find(|one| one["name"] == "login-client").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_password_is_rotated_under_traffic_and_no_call_fails() {
    const ROTATIONS: u64 = 24;
    let vault = Vault::start().await;
    let world = world(&vault).await;
    unlimited(&world);
    let gateway = Gateway::start(&world).await;
    let load = Load::of_tokens(&gateway, || TOKEN.to_owned());
    load.goes_on(&gateway).await;
    for number in 1..=ROTATIONS {
        let (old, new) = (password(number - 1), password(number));
        match number % 3 {
            // The server takes both for a while.
            0 => {
                world.issuer.takes_only("gateway", &[&old, &new]);
                put(&vault, number).await;
            }
            // Vault is ahead of the server, so that the new one is refused at first.
            1 => {
                put(&vault, number).await;
                gateway.status_that("it is tried", |status| of_client(status)["state"] == "aside").await;
                world.issuer.takes_only("gateway", &[&new]);
            }
            // At once: the first refusal has Vault read.
            _ => {
                put(&vault, number).await;
                world.issuer.takes_only("gateway", &[&new]);
            }
        }
        let what = format!("rotation {number} is done");
        gateway.status_that(&what, |status| of_client(status)["rotations"] == number).await;
        world.issuer.takes_only("gateway", &[&new]);
    }
    assert!(u64::try_from(load.end().await).unwrap() > ROTATIONS);
    assert_eq!(gateway.audit(&["--decision", "failed"]).await.len(), 0);
    let version = of_client(&gateway.status().await)["version"].clone();
    assert_eq!(version, (ROTATIONS + 1).to_string(), "the number that Vault gives");
}

#[tokio::test]
async fn a_client_without_its_password_makes_no_token_good_and_operators_are_told() {
    let vault = Vault::start().await;
    let world = world(&vault).await;
    world.issuer.takes_only("gateway", &["another-password"]);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let reply = client.get_as(TOKEN, ORDER).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.text());
    assert!(world.odoo.seen().is_empty());
    let record = gateway.audit(&["--status", "503"]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "introspection-unavailable");

    // Somebody puts the right one into Vault, and need not wait.
    vault.put("gateway/login", json!({"password": "another-password"})).await;
    let admin = gateway.admin().to_string();
    let told = run(&["secrets", "rotate", "login-client", "--admin", &admin]).await;
    assert_eq!(told.code, Some(0), "{told:?}");
    gateway
        .until("it is known", async || {
            (client.get_as(TOKEN, ORDER).await.status == StatusCode::OK).then_some(())
        })
        .await;
}

#[tokio::test]
async fn what_is_written_wrongly_of_a_clients_secret_is_told() {
    let vault = Vault::start().await;
    let world = world(&vault).await;
    let from = format!("vault:{}#password", vault.kv2("gateway/login"));
    let check =
        async || run(&["check", "--config", &world.folder.settings_file().display().to_string()]).await;
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(Change<'_>, &str); 5] = [
        (
            &|all| all["issuers"]["retail"]["introspection"]["client"]["secret"] = json!(from),
            "credential:NAME",
        ),
        (
            &|all| all["issuers"]["retail"]["introspection"]["client"]["secret"] = json!("credential:login"),
            "known here: `login-client`",
        ),
        (&|all| all["credentials"]["login-client"]["form"] = json!("bearer"), "stands in no header field"),
        (&|all| all["upstreams"]["odoo"]["credential"] = json!("login-client"), "stands in no header field"),
        (
            &|all| {
                let client = json!({"id": "gateway", "secret": "credential:login-client"});
                all["credentials"]["login-client"] = json!({"oauth": {
                    "token_url": "https://login.example/token", "client": client, "scopes": [],
                }});
            },
            "no proof of who the gateway is",
        ),
    ];
    let good = std::fs::read_to_string(world.folder.settings_file()).unwrap();
    for (change, told) in cases {
        std::fs::write(world.folder.settings_file(), &good).unwrap();
        let mut all: Value = serde_json::from_str(&good).unwrap();
        change(&mut all);
        std::fs::write(world.folder.settings_file(), serde_json::to_string_pretty(&all).unwrap()).unwrap();
        let checked = check().await;
        assert!(checked.code != Some(0) && format!("{checked:?}").contains(told), "{told}: {checked:?}");
    }
}
