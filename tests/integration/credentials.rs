//! What the gateway shows to its upstreams: rotated under traffic, wrong, lost and late, and who notices.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::gateway::{Gateway, run};
use testbed::{ODOO_KEY, World, secrets};

use crate::load::{Load, unlimited};

const ORDER: &str = "/orders/v2/orders/S00042";
const COUNTS: &str = "/stock/v1/status";

fn key(number: u64) -> String {
    let key = format!("0dec0ded5ecre7{number:08}");
    secrets::note(&key);
    key
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

async fn credential(gateway: &Gateway) -> Value {
    gateway.status().await["credentials"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_rotations_under_traffic_fail_no_call() {
    const ROTATIONS: u64 = 200;
    let world = World::new().await;
    unlimited(&world);
    let (odoo, folder) = (&world.odoo, &world.folder);
    folder.write_private("certs/odoo-key", &key(0));
    odoo.takes_only(&[&bearer(&key(0))], 401);
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    let load = Load::of_tokens(&gateway, move || token.clone());
    load.goes_on(&gateway).await;
    for number in 1..=ROTATIONS {
        let (old, new) = (bearer(&key(number - 1)), bearer(&key(number)));
        match number % 3 {
            // As it should be: the upstream takes both for a while, and the gateway is told.
            0 => {
                odoo.takes_only(&[&old, &new], 401);
                folder.write("certs/odoo-key", &key(number));
                assert_eq!(gateway.order("/credentials/odoo-key/rotate").await.status, StatusCode::OK);
            }
            // At once and without a word: the first refusal has the source read.
            1 => {
                folder.write("certs/odoo-key", &key(number));
                odoo.takes_only(&[&new], 401);
            }
            // The source is ahead of the upstream, so that the new one is refused at first.
            _ => {
                folder.write("certs/odoo-key", &key(number));
                assert_eq!(gateway.order("/credentials/odoo-key/rotate").await.status, StatusCode::OK);
                odoo.wait_for_key(&new).await;
                odoo.takes_only(&[&new], 403);
            }
        }
        gateway
            .until(&format!("rotation {number} is done"), async || {
                (credential(&gateway).await["rotations"] == number).then_some(())
            })
            .await;
    }
    let served = load.end().await;
    assert!(u64::try_from(served).unwrap() > ROTATIONS, "{served} calls are no traffic");
    let seen = odoo.seen();
    for number in 0..=ROTATIONS {
        let shown = bearer(&key(number));
        assert!(
            seen.iter().any(|one| one.header("authorization") == Some(&shown)),
            "{number} was never shown"
        );
    }
    let records = gateway.audit(&["--caller", "acme-marketplace"]).await;
    assert_eq!(records.len(), served);
    let versions: std::collections::BTreeSet<_> =
        records.iter().map(|record| record["credential"]["version"].as_str().unwrap()).collect();
    assert_eq!(u64::try_from(versions.len()).unwrap(), ROTATIONS + 1, "each version is on the record");
    assert!(!gateway.printed().contains("0dec0ded5ecre7"), "no secret is logged");
}

#[tokio::test]
async fn a_wrong_new_secret_is_set_aside_and_no_caller_notices() {
    let world = World::new().await;
    world.odoo.takes_only(&[&bearer(ODOO_KEY)], 401);
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    world.folder.write("certs/odoo-key", &key(7));
    assert_eq!(gateway.order("/credentials/odoo-key/rotate").await.status, StatusCode::OK);
    assert_eq!(credential(&gateway).await["state"], "trying");
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    let seen = world.odoo.seen();
    let shown: Vec<_> = seen.iter().map(|one| one.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(shown, [bearer(&key(7)), bearer(ODOO_KEY)]);
    let told = credential(&gateway).await;
    assert_eq!((&told["state"], &told["rotations"]), (&json!("aside"), &json!(0)), "{told}");
    let record = gateway.audit(&[]).await.remove(0);
    assert_eq!(record["credential"]["version"], told["version"], "the one that was taken");
    assert_eq!(record["upstream"]["attempts"], 2);
    assert!(
        gateway.printed().contains("the new version of a credential is refused"),
        "{}",
        gateway.printed()
    );
    let labels = ["credential=\"odoo-key\"", "state=\"aside\""];
    gateway
        .until("the metrics tell it", async || {
            (gateway.metric("gateway_credential_state", &labels).await > 0.0).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_credential_that_is_refused_for_good_is_the_gateways_fault_and_not_the_callers() {
    let world = World::new().await;
    world.odoo.takes_only(&["nobody"], 401);
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    let reply = client.get_as(&token, ORDER).await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.problem()["type"].as_str().unwrap().ends_with("/upstream-failed"), "{}", reply.text());
    assert!(reply.header("www-authenticate").is_none());
    assert_eq!(world.odoo.seen().len(), 1, "there is nothing else to show");
    let record = gateway.audit(&[]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "credential-refused", "{record}");
    assert_eq!(record["decision"]["outcome"], "failed", "{record}");
    assert_eq!(record["upstream"]["status"], 401, "{record}");
    assert!(record["credential"]["version"].is_string(), "{record}");
}

#[tokio::test]
async fn a_secret_that_is_lost_serves_until_its_own_limit_and_then_only_what_needs_it_is_refused() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["credentials"]["odoo-key"]["age_max"] = json!("3s"));
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    let ends: Timestamp = credential(&gateway).await["ends"].as_str().unwrap().parse().unwrap();
    world.folder.remove("certs/odoo-key");
    let told = gateway
        .status_that("that it cannot be read", |status| !status["credentials"][0]["last_error"].is_null())
        .await;
    assert_eq!(told["credentials"][0]["last_error"], "file-missing", "{told}");
    let served = client.get_as(&token, ORDER).await.status == StatusCode::OK;
    assert!(served || Timestamp::now() >= ends, "what is in hand serves until {ends}");

    let ended = |status: &Value| status["credentials"][0]["state"] == "empty";
    let told = gateway.status_that("that it has ended", ended).await;
    let why = told["not_ready"][0].as_str().unwrap();
    assert!(why.starts_with("no value of the credential odoo-key (file-missing), which "), "{why}");
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let before = world.odoo.seen().len();
    let reply = client.get_as(&token, ORDER).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.problem()["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"));
    assert!(reply.header("retry-after").is_some());
    assert_eq!(world.odoo.seen().len(), before, "nothing is sent without it");
    assert_eq!(client.get(COUNTS).await.status, StatusCode::OK, "what does not need it is served");
    let record = gateway.audit(&["--status", "503"]).await.remove(0);
    assert_eq!(record["decision"]["reason"], "credential-unavailable", "{record}");
    assert!(record["upstream"].is_null() && record["credential"].is_null(), "{record}");

    world.folder.write_private("certs/odoo-key", &key(1));
    gateway.status_that("that it is back", |status| status["credentials"][0]["state"] == "steady").await;
    assert_eq!(client.get_as(&token, ORDER).await.status, StatusCode::OK);
    assert_eq!(gateway.admin_page("/health/ready").await.status, StatusCode::OK);
}

#[tokio::test]
async fn operators_see_each_secret_and_have_one_read_again() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let admin = gateway.admin().to_string();
    let status = async || run(&["secrets", "status", "--admin", &admin]).await;
    let told = status().await;
    assert!(told.success, "{}", told.errors);
    let line = told.output.lines().nth(1).unwrap().to_owned();
    assert!(
        line.starts_with("odoo-key") && line.contains("steady") && line.contains("certs/odoo-key"),
        "{line}"
    );

    world.folder.write("certs/odoo-key", &key(1));
    let told = run(&["secrets", "rotate", "odoo-key", "--admin", &admin]).await;
    assert!(told.success && told.output.contains("is tried next"), "{told:?}");
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(gateway.client().build().get_as(&token, ORDER).await.status, StatusCode::OK);
    let told = run(&["secrets", "status", "--admin", &admin, "--format", "json"]).await;
    let told: Value = serde_json::from_str(&told.output).unwrap();
    assert_eq!((&told[0]["state"], &told[0]["rotations"]), (&json!("overlap"), &json!(1)), "{told}");

    let told = run(&["secrets", "rotate", "odoo-kee", "--admin", &admin]).await;
    assert_eq!(told.code, Some(2));
    assert!(told.errors.contains("404: there is none of that name"), "{}", told.errors);
    let told = run(&["secrets", "rotate", "../x", "--admin", &admin]).await;
    assert_eq!(told.code, Some(2));
    world.folder.remove("certs/odoo-key");
    let told = run(&["secrets", "rotate", "odoo-key", "--admin", &admin]).await;
    assert!(told.errors.contains("503: file-missing"), "{}", told.errors);
    assert_eq!(status().await.code, Some(1), "somebody has to look");
    let told = run(&["secrets", "status", "--admin", "127.0.0.1:1"]).await;
    assert!(told.code == Some(2) && told.errors.contains("does not answer"), "{told:?}");
}

#[tokio::test]
async fn a_page_in_a_browser_orders_nothing() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let url = format!("http://{}/credentials/odoo-key/rotate", gateway.admin());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let order = || http.request(Method::POST, &url);
    let json = "application/json";
    for (what, order) in [
        ("a form", order().header("content-type", "application/x-www-form-urlencoded")),
        ("no body", order()),
        ("with an origin", order().header("content-type", json).header("origin", "http://evil.example")),
        ("by a name", order().header("content-type", json).header("host", "rebound.example")),
    ] {
        assert_eq!(order.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{what}");
    }
}
