//! Keys that are found by an issuer's metadata: good ones, poisoned ones and none.

use http::StatusCode;
use serde_json::{Value, json};
use testbed::gateway::{Client, Gateway};
use testbed::issuer::{Issuer, paths};
use testbed::{AUDIENCE, Fault, World};

const ORDER: &str = "/orders/v2/orders/S00042";

async fn world(document: &str) -> World {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["issuers"]["retail"]["keys"] =
            json!({"discovery": document, "ca": "certs/internal-ca.pem", "refresh": "10s"});
    });
    world
}

fn retail(status: &Value) -> Value {
    status["issuers"].as_array().unwrap().iter().find(|one| one["name"] == "retail").unwrap().clone()
}

async fn answered(client: &Client, world: &World) -> StatusCode {
    client.get_as(&world.mint("acme-marketplace").sign(), ORDER).await.status
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_where_its_metadata_say() {
    for (document, path) in [("openid", paths::CONFIGURATION), ("oauth", paths::METADATA)] {
        let world = world(document).await;
        let gateway = Gateway::start(&world).await;
        assert_eq!(answered(&gateway.client().build(), &world).await, StatusCode::OK, "{document}");
        assert_eq!((world.issuer.requests(path), world.issuer.requests(paths::JWKS)), (1, 1), "{document}");
    }
}

#[tokio::test]
async fn metadata_that_are_not_the_issuers_own_lead_to_no_keys() {
    let world = world("oauth").await;
    let identity = world.internal.server(&["127.0.0.1"]);
    let evil = Issuer::start(AUDIENCE, Some(&identity)).await;
    let named =
        |issuer: &str, keys: &str| Fault::Body(json!({"issuer": issuer, "jwks_uri": keys}).to_string());
    let (own, own_keys) = (world.issuer.name(), world.issuer.url(paths::JWKS));
    let faults = [
        named(&evil.name(), &own_keys),
        named(&format!("{own}/"), &own_keys),
        named(&own, &evil.url(paths::JWKS).replace("https:", "http:")),
        Fault::Body(format!(r#"{{"issuer": "{own}", "issuer": "{own}", "jwks_uri": "{own_keys}"}}"#)),
        Fault::Body("<h1>Sign in</h1>".to_owned()),
        Fault::Oversized(100 << 10),
        Fault::Redirect(evil.url(paths::METADATA)),
        Fault::Status(404),
        Fault::Dead,
    ];
    for fault in faults {
        world.issuer.fail(paths::METADATA, fault.clone());
        let gateway = Gateway::start(&world).await;
        let client = gateway.client().build();
        assert_eq!(answered(&client, &world).await, StatusCode::SERVICE_UNAVAILABLE, "{fault:?}");
        gateway.status_that("no metadata", |status| retail(status)["last_error"] == "no-metadata").await;
    }
    assert!(world.odoo.seen().is_empty());
    let asked = |issuer: &Issuer| [paths::JWKS, paths::METADATA].map(|path| issuer.requests(path));
    assert_eq!(
        (asked(&evil), asked(&world.issuer)[0]),
        ([0, 0], 0),
        "no key was asked for, and nobody followed"
    );
}

#[tokio::test]
async fn an_issuer_whose_metadata_come_late_heals_without_a_restart() {
    let world = world("openid").await;
    world.issuer.fail(paths::CONFIGURATION, Fault::Dead);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    assert_eq!(answered(&client, &world).await, StatusCode::SERVICE_UNAVAILABLE);
    world.issuer.heal();
    let served = async || (answered(&client, &world).await == StatusCode::OK).then_some(());
    gateway.until("the keys are found", served).await;
}
