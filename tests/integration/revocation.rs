//! Tokens that are good and worth nothing: by file, by order, over restarts, and what a bad list does.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Finished, Gateway, Reply, Signal, run};

use crate::load::{Load, unlimited};

const ORDER: &str = "/orders/v2/orders/S00042";
const LIST: &str = "policies/revocations.yaml";

fn problem(reply: &Reply) -> String {
    reply.problem()["type"].as_str().unwrap().rsplit(['/', '#']).next().unwrap().to_owned()
}

async fn status(client: &Client, token: &str) -> StatusCode {
    client.get_as(token, ORDER).await.status
}

/// A refusal says so to the caller and to the record, and the upstream sees nothing of it.
async fn is_refused(world: &World, gateway: &Gateway, token: &str) {
    let before = world.odoo.seen().len();
    let refused = gateway.client().build().get_as(token, ORDER).await;
    assert_eq!((refused.status, problem(&refused).as_str()), (StatusCode::UNAUTHORIZED, "invalid-token"));
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains("error_description=\"the access token has been revoked\""), "{challenge}");
    assert_eq!(world.odoo.seen().len(), before);
    let record = gateway.audit(&[]).await.pop().unwrap();
    assert_eq!(record["decision"]["reason"], "token-revoked");
}

async fn until_refused(gateway: &Gateway, client: &Client, token: &str) {
    let refused = async || (status(client, token).await == StatusCode::UNAUTHORIZED).then_some(());
    gateway.until("the token is revoked", refused).await;
}

/// An order to the admin listener.
async fn order(gateway: &Gateway, body: &Value) -> Reply {
    let admin = gateway.admin_client();
    let request = admin.request(Method::POST, "/revocations").header("content-type", "application/json");
    admin.send(request.body(body.to_string())).await
}

fn client_order(by: &str) -> Value {
    json!({"client": {"issuer": "retail", "client_id": "acme-marketplace"}, "reason": "lost laptop", "by": by})
}

#[tokio::test]
async fn an_entry_of_the_file_ends_what_it_names_also_what_was_verified_before() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = || world.mint("acme-marketplace");
    let (carries_on, named) = (acme().sign(), acme().claim("jti", "stolen-1").sign());
    let bot = world.mint("reconciliation-bot").sign();
    let all = [&carries_on, &named, &bot];
    for token in all {
        assert_eq!(status(&client, token).await, StatusCode::OK);
    }
    let list =
        |entry: &str| world.folder.write(LIST, &format!("revocations:\n  - {entry}\n    reason: stolen\n"));

    list("token: { issuer: retail, jti: stolen-1 }");
    until_refused(&gateway, &client, &named).await;
    is_refused(&world, &gateway, &named).await;
    assert_eq!(
        (status(&client, &carries_on).await, status(&client, &bot).await),
        (StatusCode::OK, StatusCode::OK)
    );

    list("subject: { issuer: retail, subject: acme-marketplace }");
    until_refused(&gateway, &client, &carries_on).await;
    is_refused(&world, &gateway, &carries_on).await;
    assert_eq!(status(&client, &bot).await, StatusCode::OK);

    list("issuer: retail\n    issued_before: 2999-01-01T00:00:00Z");
    until_refused(&gateway, &client, &bot).await;
    is_refused(&world, &gateway, &bot).await;

    list("issuer: retail\n    issued_before: 2020-01-01T00:00:00Z");
    let served = async || (status(&client, &bot).await == StatusCode::OK).then_some(());
    gateway.until("what was issued later is served", served).await;
    assert_eq!(status(&client, &named).await, StatusCode::OK);
    assert_eq!(gateway.status().await["revocations"], json!({"written": 1, "ordered": 0}));
}

#[tokio::test]
async fn a_list_that_does_not_load_never_replaces_one_that_did() {
    let world = World::new().await;
    let good =
        "revocations:\n  - client: { issuer: retail, client_id: acme-marketplace }\n    reason: stolen\n";
    world.folder.write(LIST, good);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let (token, bot) = (world.mint("acme-marketplace").sign(), world.mint("reconciliation-bot").sign());
    is_refused(&world, &gateway, &token).await;
    for broken in [
        "revocations:\n  - client: { issuer: retial, client_id: acme-marketplace }\n    reason: x\n",
        "revocations: [{ reason: x }]\n",
        "revocations: {}\n",
        "",
        "\u{0}",
    ] {
        let told = gateway.printed().matches("the changed revocations do not load").count();
        world.folder.write(LIST, broken);
        let is_told = async || {
            (gateway.printed().matches("the changed revocations do not load").count() > told).then_some(())
        };
        gateway.until("the list is refused", is_told).await;
        is_refused(&world, &gateway, &token).await;
        assert_eq!(status(&client, &bot).await, StatusCode::OK);
    }
    std::fs::remove_file(world.folder.join(LIST)).unwrap();
    gateway.signal(Signal::Reload);
    gateway
        .status_that("a reload that is refused", |status| {
            status["last_reload_fault"].to_string().contains("revocations.yaml")
        })
        .await;
    is_refused(&world, &gateway, &token).await;

    world.folder.write(LIST, "revocations: []\n");
    let served = async || (status(&client, &token).await == StatusCode::OK).then_some(());
    gateway.until("an empty list revokes nothing", served).await;
}

#[tokio::test]
async fn a_revocation_waits_for_no_other_file_to_be_right() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(status(&client, &token).await, StatusCode::OK);
    world.folder.write("policies/broken.cedar", "permit (");
    gateway.status_that("a reload that is refused", |status| !status["last_reload_fault"].is_null()).await;
    let entry =
        "revocations:\n  - client: { issuer: retail, client_id: acme-marketplace }\n    reason: stolen\n";
    world.folder.write(LIST, entry);
    until_refused(&gateway, &client, &token).await;
    is_refused(&world, &gateway, &token).await;
}

#[tokio::test]
async fn an_order_holds_at_once_and_over_a_restart_until_it_is_lifted() {
    let world = World::new().await;
    let mut gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let (token, bot) = (world.mint("acme-marketplace").sign(), world.mint("reconciliation-bot").sign());
    assert_eq!(status(&client, &token).await, StatusCode::OK);
    let ordered = order(&gateway, &client_order("alice")).await;
    assert_eq!(ordered.status, StatusCode::CREATED);
    // The very next request: the answer came after it held.
    is_refused(&world, &gateway, &token).await;
    assert_eq!(status(&client, &bot).await, StatusCode::OK);
    assert!(gateway.printed().contains("alice"), "who ordered it is in the log");

    gateway.kill().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    is_refused(&world, &gateway, &token).await;
    let listed = gateway.admin_page("/revocations").await.json();
    let id = listed["revocations"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!((&listed["revocations"][0]["by"], id == ordered.json()["id"]), (&json!("alice"), true));

    let admin = gateway.admin_client();
    let lift = || {
        let request = admin.request(Method::DELETE, &format!("/revocations/{id}"));
        admin.send(request.header("content-type", "application/json").body(json!({"by": "bob"}).to_string()))
    };
    let nobody = admin.request(Method::DELETE, &format!("/revocations/{id}"));
    let nobody = admin.send(nobody.header("content-type", "application/json")).await;
    assert_eq!((nobody.status, nobody.json()["error"].is_string()), (StatusCode::BAD_REQUEST, true));
    is_refused(&world, &gateway, &token).await;
    assert_eq!(lift().await.status, StatusCode::NO_CONTENT);
    assert_eq!(status(&client, &token).await, StatusCode::OK);
    assert_eq!(lift().await.status, StatusCode::NOT_FOUND);
    let records = gateway.audit(&[]).await;
    let orders: Vec<_> = records.iter().filter(|record| record["listener"] == "admin").collect();
    let told = |record: &Value| (record["decision"]["reason"].clone(), record["order"]["by"].clone());
    let expected = [("revocation-ordered", "alice"), ("revocation-lifted", "bob")];
    assert_eq!(
        orders.iter().map(|record| told(record)).collect::<Vec<_>>(),
        expected.map(|(reason, by)| (json!(reason), json!(by)))
    );
    for order in orders {
        assert_eq!((&order["order"]["id"], &order["order"]["issuer"]), (&json!(id), &json!("retail")));
        assert_eq!(
            (&order["order"]["kind"], &order["order"]["name"]),
            (&json!("client"), &json!("acme-marketplace"))
        );
    }
    assert_eq!(gateway.admin_page("/revocations").await.json(), json!({"revocations": [], "written": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_an_order_ends_what_it_names_and_no_other_call() {
    let world = World::new().await;
    unlimited(&world);
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let acme = || world.mint("acme-marketplace");
    let good = acme().sign();
    let load = Load::of_tokens(&gateway, move || good.clone());
    load.goes_on(&gateway).await;
    for number in 0..20 {
        let id = format!("stolen-{number}");
        let stolen = acme().claim("jti", id.as_str()).sign();
        assert_eq!(status(&client, &stolen).await, StatusCode::OK);
        let named = json!({"token": {"issuer": "retail", "jti": id}, "reason": "found", "by": "alice"});
        assert_eq!(order(&gateway, &named).await.status, StatusCode::CREATED);
        // The very next call, though the token is remembered as good.
        assert_eq!(status(&client, &stolen).await, StatusCode::UNAUTHORIZED);
    }
    load.goes_on(&gateway).await;
    load.end().await;
    assert_eq!(gateway.audit(&["--decision", "refused"]).await.len(), 20);
}

/// `gateway revoke` at this gateway.
async fn revoke(gateway: &Gateway, arguments: &[&str]) -> Finished {
    let admin = gateway.admin().to_string();
    run(&[&["revoke"], arguments, &["--admin", &admin]].concat()).await
}

#[tokio::test]
async fn security_people_revoke_see_and_lift_by_a_command() {
    let world = World::new().await;
    world.folder.write(
        LIST,
        "revocations:\n  - subject: { issuer: retail, subject: gone }\n    reason: left the company\n",
    );
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let (stolen, other) = (
        world.mint("acme-marketplace").claim("jti", "stolen-1").sign(),
        world.mint("acme-marketplace").sign(),
    );
    let bot = world.mint("reconciliation-bot").sign();
    for token in [&stolen, &other, &bot] {
        assert_eq!(status(&client, token).await, StatusCode::OK);
    }
    let why = ["--reason", "seen in a chat", "--by", "alice"];
    let told = revoke(&gateway, &[&["token", "stolen-1"][..], &why].concat()).await;
    assert!(told.success && told.output.starts_with("revoked: the token stolen-1 of retail\n"), "{told:?}");
    is_refused(&world, &gateway, &stolen).await;
    assert_eq!(status(&client, &other).await, StatusCode::OK);

    let of_client =
        ["client", "acme-marketplace", "--issued-before", "now", "--until", "2999-01-01T00:00:00Z"];
    let told =
        revoke(&gateway, &[&of_client[..], &why, &["--issuer", "retail", "--format", "json"]].concat()).await;
    let ordered: Value = serde_json::from_str(&told.output).unwrap();
    assert_eq!(
        (&ordered["by"], &ordered["entry"]["client"]["client_id"]),
        (&json!("alice"), &json!("acme-marketplace"))
    );
    is_refused(&world, &gateway, &other).await;
    assert_eq!(status(&client, &bot).await, StatusCode::OK);

    let listed = revoke(&gateway, &["list"]).await;
    let rows: Vec<&str> = listed.output.lines().collect();
    assert_eq!((listed.success, rows.len()), (true, 4), "{}", listed.output);
    for (row, said) in rows.iter().zip([
        ["ORDER", "ISSUED BEFORE", "REASON"],
        ["stolen-1", "alice", "seen in a chat"],
        ["acme-marketplace", "2999-01-01T00:00:00", "seen in a chat"],
        ["revocations.yaml", "gone", "left the company"],
    ]) {
        assert!(said.iter().all(|one| row.contains(one)), "{said:?} is not in {row}");
    }
    let listed = revoke(&gateway, &["list", "--format", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.output).unwrap();
    assert_eq!(listed["revocations"][1], ordered);
    assert!(
        !gateway.status().await.to_string().contains("stolen-1"),
        "what may be personal is not in the status"
    );

    let id = ordered["id"].as_str().unwrap();
    let lifted = revoke(&gateway, &["lift", id, "--by", "alice"]).await;
    assert!(lifted.success && lifted.output.starts_with("lifted: "), "{lifted:?}");
    assert_eq!(
        (status(&client, &other).await, status(&client, &stolen).await),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );
}

#[tokio::test]
async fn a_token_that_was_found_is_revoked_by_what_it_says_and_is_shown_nowhere() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let (found, other) = (
        world.mint("acme-marketplace").claim("jti", "found-1").sign(),
        world.mint("acme-marketplace").sign(),
    );
    assert_eq!(status(&client, &found).await, StatusCode::OK);
    let why = ["--reason", "seen in a chat", "--by", "alice"];
    let revoked = async |text: &str| {
        world.folder.write("found.jwt", &format!("{text}\n"));
        let file = world.folder.join("found.jwt").to_string_lossy().into_owned();
        revoke(&gateway, &[&["token", "--in", &file][..], &why].concat()).await
    };
    let told = revoked(&found).await;
    assert!(told.success && told.output.starts_with("revoked: the token found-1 of retail\n"), "{told:?}");
    assert!(
        !told.output.contains(&found) && !told.output.contains("until it is lifted"),
        "it ends with the token: {told:?}"
    );
    is_refused(&world, &gateway, &found).await;
    assert_eq!(status(&client, &other).await, StatusCode::OK);

    let strange = world.mint("acme-marketplace").claim("iss", "https://elsewhere.example").sign();
    for (text, said) in [(strange.as_str(), "it opens nothing here"), ("opaque-1", "gateway audit query")] {
        let told = revoked(text).await;
        assert!(told.code == Some(1) && told.errors.contains(said), "{told:?}");
        assert!(!told.errors.contains(text), "{told:?}");
    }
    assert_eq!(gateway.status().await["revocations"], json!({"written": 0, "ordered": 1}));
}

#[tokio::test]
async fn an_order_by_command_that_is_not_carried_out_says_so_and_ends_otherwise() {
    let world = World::new().await;
    let gateway = Gateway::start_on_a_limited_disk(&world).await;
    let why = ["--reason", "stolen", "--by", "alice"];
    for (arguments, code, said) in [
        (&["lift", "01a2098a-cea0-77d8-a043-a21774351a51"][..], 1, "nothing has changed"),
        (&["lift", "../credentials/odoo-key/rotate"], 1, "is no order"),
        (&["all"], 1, "needs `issued_before`"),
        (&["client", "x", "--issuer", "retial"], 1, "no such issuer"),
        (&["client", ""], 1, "1 to 200 characters"),
        (&["client", "x", "--until", "2020-01-01T00:00:00Z"], 1, "`until` is over"),
        (&["token"], 2, "<JTI>"),
        (&["token", "x", "--in", "-"], 2, "--in"),
        (&["token", "--in", "/nowhere/found.jwt"], 1, "/nowhere/found.jwt: entity not found"),
        (&["client", "x", "--issued-before", "yesterday"], 2, "--issued-before"),
    ] {
        let more: &[&str] = if arguments[0] == "lift" { &["--by", "alice"] } else { &why };
        let told = revoke(&gateway, &[arguments, more].concat()).await;
        assert_eq!(told.code, Some(code), "{arguments:?}: {told:?}");
        assert!(told.errors.contains(said), "{arguments:?}: {}", told.errors);
    }
    gateway.limit_files(Some(0));
    let told = revoke(&gateway, &[&["client", "acme-marketplace"][..], &why].concat()).await;
    assert!(told.code == Some(2) && told.errors.contains("does not hold"), "{told:?}");
    gateway.limit_files(None);
    assert_eq!(gateway.admin_page("/revocations").await.json(), json!({"revocations": [], "written": []}));
    let nobody = ["revoke", "client", "x", "--issuer", "retail", "--admin", "127.0.0.1:1"];
    let told = run(&[&nobody[..], &why].concat()).await;
    assert!(told.code == Some(2) && told.errors.contains("does not answer"), "{told:?}");
}

#[tokio::test]
async fn an_order_that_cannot_be_meant_or_comes_from_a_web_page_changes_nothing() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let admin = gateway.admin_client();
    let good = client_order("alice");
    let with = |name: &str, value: Value| {
        let mut order = good.clone();
        order[name] = value;
        order.to_string()
    };
    let json = ("content-type", "application/json");
    let twice = format!("{{\"by\":\"mallory\",{}", &good.to_string()[1..]);
    for (body, headers, status) in [
        (with("by", json!(null)), vec![json], 400),
        (with("by", json!("")), vec![json], 400),
        (with("reason", json!("")), vec![json], 400),
        (with("client", json!({"issuer": "other", "client_id": "x"})), vec![json], 400),
        (with("token", json!({"issuer": "retail", "jti": "x"})), vec![json], 400),
        (with("unknown", json!(1)), vec![json], 400),
        (with("issued_before", json!("yesterday")), vec![json], 400),
        (json!({"issuer": "retail", "reason": "all", "by": "alice"}).to_string(), vec![json], 400),
        (twice, vec![json], 400),
        ("[]".to_owned(), vec![json], 400),
        (with("reason", json!("x".repeat(5_000))), vec![json], 413),
        (good.to_string(), vec![], 403),
        (good.to_string(), vec![("content-type", "text/plain")], 403),
        (good.to_string(), vec![json, ("origin", "https://evil.example")], 403),
        (good.to_string(), vec![json, ("host", "rebound.evil.example")], 403),
    ] {
        let mut request = admin.request(Method::POST, "/revocations").body(body.clone());
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let refused = admin.send(request).await;
        assert_eq!(refused.status.as_u16(), status, "{body} {headers:?}: {}", refused.text());
    }
    let rebound = admin.request(Method::GET, "/revocations").header("host", "rebound.evil.example");
    assert_eq!(admin.send(rebound).await.status, StatusCode::FORBIDDEN);
    assert_eq!(gateway.admin_page("/revocations").await.json(), json!({"revocations": [], "written": []}));
    let client = gateway.client().build();
    assert_eq!(status(&client, &world.mint("acme-marketplace").sign()).await, StatusCode::OK);
}

#[tokio::test]
async fn what_is_revoked_cannot_be_read_then_nothing_is_served() {
    let world = World::new().await;
    for (file, text) in [
        ("revocations.json", "{\"version\": 1, \"revoca"),
        ("revocations.json", ""),
        (LIST, "revocations: [{ reason: x }]\n"),
    ] {
        world.folder.write(file, text);
        let printed = Gateway::try_start(&world.folder, &world.servers.pem()).await.unwrap_err();
        assert!(printed.contains("revocations."), "{printed}");
        std::fs::remove_file(world.folder.join(file)).unwrap();
    }
}

#[tokio::test]
async fn an_order_on_a_full_disk_does_not_hold_and_says_so() {
    let world = World::new().await;
    let gateway = Gateway::start_on_a_limited_disk(&world).await;
    let client = gateway.client().build();
    let token = world.mint("acme-marketplace").sign();
    assert_eq!(status(&client, &token).await, StatusCode::OK);
    gateway.limit_files(Some(0));
    assert_eq!(order(&gateway, &client_order("alice")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    gateway.limit_files(None);
    assert_eq!(gateway.admin_page("/revocations").await.json(), json!({"revocations": [], "written": []}));
    assert_eq!(order(&gateway, &client_order("alice")).await.status, StatusCode::CREATED);
    is_refused(&world, &gateway, &token).await;
}

#[tokio::test]
async fn a_client_that_comes_with_two_certificates_is_told_and_served() {
    let world = World::new().await;
    let callers = world.folder.read("policies/callers.yaml");
    let one = "      - certificate: { dns: client.acme.example }\n";
    assert!(callers.contains(one));
    let two = format!("{one}      - certificate: {{ dns: second.acme.example }}\n");
    world.folder.write("policies/callers.yaml", &callers.replace(one, &two));
    let (first, renewed) =
        (world.clients.client_dns("client.acme.example"), world.clients.client_dns("client.acme.example"));
    let second = world.clients.client_dns("second.acme.example");
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    for (identity, expected) in [
        (&first, json!(null)),
        (&first, json!(null)),
        // A new key for the same name is a renewal.
        (&renewed, json!(null)),
        (&second, json!(["client-on-two-certificates"])),
    ] {
        let client = gateway.client().certificate(identity).build();
        assert_eq!(status(&client, &token).await, StatusCode::OK);
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["suspicions"], expected, "{record}");
    }
    assert!(
        (gateway.metric("gateway_suspicions_total", &["client-on-two-certificates"]).await - 1.0).abs() < 0.1
    );
    assert!(gateway.printed().contains("a credential looks as if it were shared"));
}

#[tokio::test]
async fn a_client_that_is_of_two_kinds_is_told_and_served() {
    let world = World::new().await;
    let callers = world.folder.read("policies/callers.yaml");
    let bot = "
  acme-bot:
    kind: bot
    owner: marketplace-team@retailer.example
    description: Has borrowed the marketplace's client.
    plan: bot
    proofs:
      - token: { issuer: retail, client_id: acme-marketplace, subject: acme-bot }
    review_by: 2027-03-31
";
    world.folder.write("policies/callers.yaml", &format!("{}{bot}", callers.trim_end()));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let own = world.mint("acme-marketplace");
    let borrowed = own.clone().subject("acme-bot").claim("jti", "borrowed").sign();
    for (token, caller, expected) in [
        (own.sign(), "acme-marketplace", json!(null)),
        (borrowed, "acme-bot", json!(["client-by-two-kinds"])),
    ] {
        client.get_as(&token, ORDER).await;
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!((&record["caller"]["id"], &record["suspicions"]), (&json!(caller), &expected), "{record}");
    }
}
