//! Does a deprecated version live and end as its contract and `policies/lifecycle.yaml` say? With a clock
//! that the test sets: what the caller is told, what the upstream saw, and what the record says.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Gateway, Reply};
use testbed::upstream::Answer;

const ORDER: &str = "/orders/v1/orders/S00042";
const WAIVER: &str = "waivers:
  acme-season:
    { caller: acme-marketplace, api: orders, version: v1, reason: season, approver: ada@retailer.example,
      granted: 2027-03-01, until: 2027-09-30 }
";
const FIRST_HOUR: &str = "@1806998400;until=@1807002000;name=\"orders.v1/first-hour\"";

/// The sample at a time of its life.
struct Scene {
    world: World,
    gateway: Gateway,
    client: Client,
}

impl Scene {
    async fn new(time: &str) -> Self {
        let mut world = World::new().await;
        world.folder.settings(|settings| settings["lifecycle"] = json!({"insecure_clock": time}));
        let gateway = Gateway::start(&world).await;
        let client = gateway.client().build();
        Self { world, gateway, client }
    }

    /// Lets it be another time.
    async fn at(&mut self, time: &str) {
        self.world.folder.settings(|settings| settings["lifecycle"] = json!({"insecure_clock": time}));
        let clock = format!("lifecycle.insecure_clock: {time}");
        let set = |status: &Value| status["insecure"].as_array().unwrap().contains(&json!(clock));
        self.gateway.status_that(&clock, set).await;
    }

    /// Writes `policies/lifecycle.yaml` and waits until it serves.
    async fn lifecycle_file(&self, text: &str) {
        let before = self.gateway.status().await["snapshot"]["id"].clone();
        self.world.folder.write("policies/lifecycle.yaml", text);
        self.gateway.status_that("a new snapshot", |status| status["snapshot"]["id"] != before).await;
    }

    /// An order, read by a caller; how often the upstream was called for it, and the record.
    async fn read(&self, caller: &str) -> (Reply, usize, Value) {
        let token = self.world.mint(caller).sign();
        let before = self.world.odoo.seen().len();
        let reply = self.client.get_as(&token, ORDER).await;
        let seen = self.world.odoo.seen().len() - before;
        let record = self.record(&reply).await;
        (reply, seen, record)
    }

    async fn record(&self, reply: &Reply) -> Value {
        let id = reply.header("x-request-id").unwrap();
        let records = self.gateway.audit(&[]).await;
        records.into_iter().find(|record| record["request_id"] == id).expect("every answer has its record")
    }

    async fn state(&self) -> Value {
        let status = self.gateway.status().await;
        let contracts = status["contracts"].as_array().unwrap();
        contracts.iter().find(|one| one["api"] == "orders" && one["version"] == "v1").unwrap().clone()
    }
}

/// Every answer of the version tells its life.
fn tells_its_life(reply: &Reply) {
    assert_eq!(reply.header("deprecation"), Some("@1780272000"), "{reply:?}");
    assert_eq!(reply.header("sunset"), Some("Wed, 30 Jun 2027 00:00:00 GMT"), "{reply:?}");
    let links: Vec<&str> = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(
        links,
        [
            "<https://api.example/orders/v2>; rel=\"successor-version\"",
            "<https://developers.retailer.example/guides/orders-v1-to-v2>; rel=\"deprecation\"",
            "<https://developers.retailer.example/guides/orders-v1-to-v2>; rel=\"sunset\"",
        ]
    );
    assert_eq!(reply.header("api-version"), Some("v1"), "{reply:?}");
}

#[tokio::test]
async fn each_state_of_a_life_is_told_served_and_recorded() {
    let mut scene = Scene::new("2026-05-01T00:00:00Z").await;
    for (time, state, problem, brownout, record) in [
        ("2026-05-01T00:00:00Z", "announced", None, Some(FIRST_HOUR), Value::Null),
        ("2026-12-01T00:00:00Z", "deprecated", None, Some(FIRST_HOUR), json!({"state": "deprecated"})),
        (
            "2027-04-06T08:00:00Z",
            "brownout",
            Some(("/version-browned-out", "version-browned-out")),
            Some(FIRST_HOUR),
            json!({"state": "brownout", "brownout": "orders.v1/first-hour"}),
        ),
        ("2027-05-19T00:00:00Z", "deprecated", None, None, json!({"state": "deprecated"})),
        ("2027-06-15T00:00:00Z", "sunset_soon", None, None, json!({"state": "deprecated"})),
        (
            "2027-06-30T00:00:00Z",
            "retired",
            Some(("/version-retired", "version-retired")),
            None,
            json!({"state": "sunset"}),
        ),
    ] {
        scene.at(time).await;
        let (reply, seen, recorded) = scene.read("acme-marketplace").await;
        tells_its_life(&reply);
        assert_eq!(reply.header("brownout"), brownout, "{time}: {reply:?}");
        assert_eq!(recorded["lifecycle"], record, "{time}");
        assert_eq!(recorded["call"]["version"], "v1");
        match problem {
            None => {
                assert_eq!((reply.status, seen), (StatusCode::OK, 1), "{time}: {reply:?}");
                assert_eq!(recorded["decision"]["reason"], "served");
            }
            Some((kind, reason)) => {
                assert_eq!((reply.status, seen), (StatusCode::GONE, 0), "{time}: {reply:?}");
                assert!(reply.problem()["type"].as_str().unwrap().ends_with(kind), "{}", reply.text());
                assert_eq!(recorded["decision"]["reason"], reason);
                assert_eq!(recorded["decision"]["outcome"], "refused");
            }
        }
        let told = scene.state().await;
        assert_eq!((&told["lifecycle"], &told["ending"]), (&json!(state), &json!({state: 3})), "{time}");
        assert_eq!(told["brownout"].is_object(), brownout.is_some(), "{time}: {told}");
        let labels = ["api=\"orders\"", "version=\"v1\"", &format!("state=\"{state}\"")];
        let counted = async || {
            (scene.gateway.metric("gateway_lifecycle_operations", &labels).await == 3.0).then_some(())
        };
        scene.gateway.until(&format!("three operations counted as {state}"), counted).await;
    }
}

#[tokio::test]
async fn a_brown_out_says_until_when_and_begins_for_each_caller_as_announced() {
    let mut scene = Scene::new("2027-04-06T08:30:00Z").await;
    let (reply, _, _) = scene.read("acme-marketplace").await;
    let problem = reply.problem();
    assert_eq!(problem["until"], "2027-04-06T09:00:00Z", "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("https://api.example/orders/v2"), "{problem}");
    assert_eq!(reply.header("retry-after"), Some("Tue, 06 Apr 2027 09:00:00 GMT"));

    // The next one grows: this caller is told when it begins for it, and it does.
    scene.at("2027-04-06T09:00:00Z").await;
    let (reply, seen, _) = scene.read("acme-marketplace").await;
    assert_eq!((reply.status, seen), (StatusCode::OK, 1));
    let told = reply.header("brownout").unwrap().to_owned();
    assert!(told.ends_with(";until=@1810663200;name=\"orders.v1/working-day\""), "{told}");
    let begins = told.trim_start_matches('@').split(';').next().unwrap().parse::<i64>().unwrap();
    let time = |second: i64| jiff::Timestamp::from_second(second).unwrap().to_string();
    for (second, status) in [(begins - 1, 200), (begins, 410), (1_810_663_199, 410), (1_810_663_200, 200)] {
        scene.at(&time(second)).await;
        let (reply, ..) = scene.read("acme-marketplace").await;
        assert_eq!(reply.status, status, "{} after {told}", time(second));
    }
}

#[tokio::test]
async fn a_brown_out_is_called_off_without_touching_the_contract() {
    let scene = Scene::new("2027-04-06T08:30:00Z").await;
    assert_eq!(scene.read("acme-marketplace").await.0.status, StatusCode::GONE);
    for file in [
        "brownouts: { stopped: true }",
        "brownouts: { called_off: [{ name: orders.v1/first-hour, reason: orders are late }] }",
    ] {
        scene.lifecycle_file(file).await;
        let (reply, seen, record) = scene.read("acme-marketplace").await;
        assert_eq!((reply.status, seen), (StatusCode::OK, 1), "{file}");
        tells_its_life(&reply);
        assert!(!reply.header("brownout").is_some_and(|told| told.contains("first-hour")), "{reply:?}");
        assert_eq!(record["lifecycle"], json!({"state": "deprecated"}));
        assert_eq!(scene.state().await["lifecycle"], "deprecated");
    }
    scene.lifecycle_file("brownouts: { stopped: false }").await;
    assert_eq!(scene.read("acme-marketplace").await.0.status, StatusCode::GONE);
}

#[tokio::test]
async fn a_waiver_exempts_its_caller_and_nobody_else_until_it_ends() {
    let mut scene = Scene::new("2027-04-01T00:00:00Z").await;
    scene.lifecycle_file(WAIVER).await;
    let (reply, ..) = scene.read("acme-marketplace").await;
    assert_eq!(reply.header("brownout"), None, "it has none: {reply:?}");
    for (time, status, other, record) in [
        (
            "2027-04-06T08:30:00Z",
            200,
            "version-browned-out",
            json!({"state": "brownout", "brownout": "orders.v1/first-hour", "waiver": "acme-season"}),
        ),
        ("2027-06-30T00:00:00Z", 200, "version-retired", json!({"state": "sunset", "waiver": "acme-season"})),
        ("2027-09-30T23:59:59Z", 200, "version-retired", json!({"state": "sunset", "waiver": "acme-season"})),
        ("2027-10-01T00:00:00Z", 410, "version-retired", json!({"state": "sunset"})),
    ] {
        scene.at(time).await;
        let (reply, seen, recorded) = scene.read("acme-marketplace").await;
        assert_eq!((reply.status.as_u16(), seen), (status, usize::from(status == 200)), "{time}: {reply:?}");
        tells_its_life(&reply);
        assert_eq!(recorded["lifecycle"], record, "{time}");
        // Known, and without a waiver.
        let (reply, seen, recorded) = scene.read("swift-carrier").await;
        assert_eq!((reply.status, seen), (StatusCode::GONE, 0), "{time}: {reply:?}");
        assert_eq!(recorded["decision"]["reason"], other);
        tells_its_life(&reply);
    }
}

#[tokio::test]
async fn strangers_learn_nothing_of_waivers_after_the_sunset() {
    let scene = Scene::new("2027-07-01T00:00:00Z").await;
    let ask = async |token: Option<&str>| {
        let request = scene.client.request(Method::GET, ORDER);
        scene
            .client
            .send(match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            })
            .await
    };
    let expired = scene.world.mint("acme-marketplace").expires(jiff::Timestamp::now(), -3600).sign();
    let mut answers = Vec::new();
    for waivers in ["waivers: {}", WAIVER] {
        scene.lifecycle_file(waivers).await;
        for token in [None, Some("nonsense"), Some(expired.as_str())] {
            let reply = ask(token).await;
            assert_eq!(reply.status, StatusCode::GONE, "{reply:?}");
            assert_eq!(reply.header("www-authenticate"), None, "{reply:?}");
            tells_its_life(&reply);
            let record = scene.record(&reply).await;
            assert_eq!(record["decision"]["reason"], "version-retired");
            assert_eq!(record["caller"], Value::Null);
            let problem = reply.problem();
            answers.push((problem["type"].clone(), problem["detail"].clone()));
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(scene.world.odoo.seen().is_empty());
}

#[tokio::test]
async fn every_refusal_within_a_version_tells_its_life() {
    let scene = Scene::new("2026-12-01T00:00:00Z").await;
    scene.world.folder.replace("policies/limits.yaml", "quota: 600, window: 60s", "quota: 30, window: 3h");
    assert_eq!(scene.gateway.reload().await, testbed::gateway::Reload::Done);
    let good = scene.world.mint("acme-marketplace").sign();
    let weak = scene.world.mint("acme-marketplace").scope("stock:read").sign();
    let stranger = scene.world.issuer.mint("nobody").scope("orders:read").sign();
    for (status, method, path, token) in [
        (401, "GET", ORDER, None),
        (401, "GET", ORDER, Some("nonsense")),
        (403, "GET", ORDER, Some(&*weak)),
        (403, "GET", ORDER, Some(&*stranger)),
        (404, "GET", "/orders/v1/nothing", Some(&*good)),
        (405, "DELETE", "/orders/v1/orders", Some(&*good)),
        (422, "GET", "/orders/v1/orders/nonsense", Some(&*good)),
    ] {
        let request = scene.client.request(method.parse().unwrap(), path);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let reply = scene.client.send(request).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        tells_its_life(&reply);
        assert_eq!(scene.record(&reply).await["call"]["version"], "v1", "{method} {path}");
    }
    scene.world.odoo.next(|_| Answer::raw("nonsense"));
    let (reply, ..) = scene.read("acme-marketplace").await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{reply:?}");
    tells_its_life(&reply);
    // What the upstream says of a life does not stand beside what the contract says.
    scene
        .world
        .odoo
        .next(|good| good.header("Deprecation", "@1").header("Sunset", "never").header("API-Version", "9"));
    let (reply, ..) = scene.read("acme-marketplace").await;
    assert_eq!(reply.status, StatusCode::OK);
    tells_its_life(&reply);
    let limited = scene.gateway.until("a limit", async || {
        let reply = scene.client.get_as(&good, ORDER).await;
        (reply.status == StatusCode::TOO_MANY_REQUESTS).then_some(reply)
    });
    tells_its_life(&limited.await);
}

#[tokio::test]
async fn a_lifecycle_file_with_mistakes_or_without_a_trace_changes_nothing() {
    let scene = Scene::new("2027-07-01T00:00:00Z").await;
    scene.lifecycle_file(WAIVER).await;
    let served = async || scene.read("acme-marketplace").await.0.status == StatusCode::OK;
    assert!(served().await);
    let fault = async |named: &str| {
        let names = |status: &Value| status["last_reload_fault"].to_string().contains(named);
        scene.gateway.status_that(named, names).await["last_reload_fault"].clone()
    };
    scene.world.folder.write("policies/lifecycle.yaml", &WAIVER.replace("acme-marketplace", "acme-market"));
    let told = fault("unknown caller `acme-market`").await;
    assert!(told.to_string().contains("`acme-marketplace`"), "{told:#}");
    assert!(served().await);
    scene.world.folder.remove("policies/lifecycle.yaml");
    fault("lifecycle.yaml").await;
    assert!(served().await);
}

#[tokio::test]
async fn the_clock_of_lifecycles_is_said_aloud_and_is_that_of_nothing_else() {
    let scene = Scene::new("2027-07-01T00:00:00Z").await;
    let said = "lifecycle.insecure_clock: 2027-07-01T00:00:00Z";
    assert_eq!(scene.gateway.status().await["insecure"][1], said);
    let logged = scene.gateway.printed().lines().any(|line| line.contains("insecure") && line.contains(said));
    assert!(logged, "{}", scene.gateway.printed());
    // A token of today is good, and one that would be good then is not.
    let token = scene.world.mint("acme-marketplace").sign();
    let reply = scene.client.get_as(&token, "/orders/v2/orders/S00042").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    let year = scene.record(&reply).await["time"].as_str().unwrap().split('-').next().unwrap().to_owned();
    assert_ne!(year, "2027");
}

/// Two versions of an API that everybody may call, chosen as `versioning` of each says.
async fn with_versions(first: &str, second: &str) -> (World, Gateway, Client) {
    let world = World::new().await;
    for (folder, versioning) in [("v1", first), ("v2", second)] {
        let text = format!(
            "openapi: 3.1.0\ninfo: {{title: Catalogue, version: '1'}}\nservers: [{{url: /catalogue}}]\nsecurity: []\n\
             x-gateway: {{upstream: odoo, upstream_base: /{folder}, versioning: {{{versioning}}}}}\n\
             paths:\n  /items:\n    get:\n      operationId: listItems\n\
             \x20     parameters: [{{name: page, in: query, schema: {{type: integer}}}}]\n\
             \x20     responses: {{'200': {{description: x, content: {{application/json: {{}}}}}}}}\n"
        );
        world.folder.write(&format!("contracts/catalogue/{folder}/openapi.yaml"), &text);
    }
    world.folder.write(
        "policies/catalogue.cedar",
        r#"@id("everybody-lists-items") @description("Public.") @owner("a@retailer.example")
        permit (principal, action in [Action::"catalogue.v1.listItems", Action::"catalogue.v2.listItems"], resource);"#,
    );
    world.odoo.always(|_| Answer::json(200, &json!([])).header("Vary", "Accept-Language"));
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    (world, gateway, client)
}

#[tokio::test]
async fn each_way_of_choosing_a_version_reaches_the_one_that_is_meant() {
    type Row<'r> = (&'r str, &'r str, &'r [(&'r str, &'r str)], Result<(&'r str, &'r str), (u16, &'r str)>);
    let json1 = [("accept", "application/json;version=1")];
    let ways: [(&str, &str, Option<&str>, &[Row<'_>]); 4] = [
        (
            "by: header, name: '1'",
            "by: header, name: '2'",
            Some("api-version"),
            &[
                ("/catalogue/items", "v2", &[("api-version", "2")], Ok(("2", "/v2/items"))),
                ("/catalogue/items?page=1", "v1", &[("api-version", "1")], Ok(("1", "/v1/items?page=1"))),
                ("/catalogue/items", "", &[], Err((400, "version-absent"))),
                ("/catalogue/items", "", &[("api-version", "3")], Err((400, "version-unknown"))),
            ],
        ),
        (
            "by: media_type, name: '1', default: '2'",
            "by: media_type, name: '2', default: '2'",
            Some("accept, content-type"),
            &[
                ("/catalogue/items", "v1", &json1, Ok(("1", "/v1/items"))),
                ("/catalogue/items", "v2", &[], Ok(("2", "/v2/items"))),
                (
                    "/catalogue/items",
                    "",
                    &[("accept", "application/json;version=3")],
                    Err((406, "version-not-acceptable")),
                ),
            ],
        ),
        (
            "by: date, name: 2026-01-15",
            "by: date, name: 2026-11-01",
            None,
            &[
                ("/catalogue/items?version=2026-10-31", "v1", &[], Ok(("2026-01-15", "/v1/items"))),
                (
                    "/catalogue/items?version=2026-11-01&page=2",
                    "v2",
                    &[],
                    Ok(("2026-11-01", "/v2/items?page=2")),
                ),
                ("/catalogue/items?version=2025-01-01", "", &[], Err((400, "version-unknown"))),
                ("/catalogue/items?version=today", "", &[], Err((400, "version-not-a-day"))),
                ("/catalogue/items", "", &[], Err((400, "version-absent"))),
            ],
        ),
        (
            "by: date, header: Shop-Day, name: 2026-01-15, default: 2026-01-15",
            "by: date, header: Shop-Day, name: 2026-11-01, default: 2026-01-15",
            Some("shop-day"),
            &[
                ("/catalogue/items", "v2", &[("shop-day", "2027-01-01")], Ok(("2026-11-01", "/v2/items"))),
                ("/catalogue/items", "v1", &[], Ok(("2026-01-15", "/v1/items"))),
                // Here it is a parameter like any other, and the contract knows none of that name.
                ("/catalogue/items?version=2026-11-01", "v1", &[], Err((422, "contract-violation"))),
            ],
        ),
    ];
    for (first, second, vary, rows) in ways {
        let (world, gateway, client) = with_versions(first, second).await;
        for (target, version, fields, expected) in rows {
            let before = world.odoo.seen().len();
            let request =
                fields.iter().fold(client.request(Method::GET, target), |request, (name, value)| {
                    request.header(*name, *value)
                });
            let reply = client.send(request).await;
            let varies: Vec<&str> =
                reply.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert!(vary.is_none_or(|vary| varies.contains(&vary)), "{first} {target}: {varies:?}");
            let records = gateway.audit(&[]).await;
            let id = reply.header("x-request-id").unwrap();
            let record = records.iter().find(|record| record["request_id"] == id).unwrap();
            assert_eq!(record["call"]["api"], "catalogue", "{record}");
            let seen = world.odoo.seen();
            match expected {
                Ok((name, upstream)) => {
                    assert_eq!(reply.status, StatusCode::OK, "{first} {target}: {}", reply.text());
                    assert_eq!(reply.header("api-version"), Some(*name));
                    assert_eq!(seen.last().unwrap().target, *upstream);
                    assert_eq!(record["call"]["operation"], format!("catalogue.{version}.listItems"));
                    assert!(varies.contains(&"Accept-Language"), "{varies:?}");
                }
                Err((status, reason)) => {
                    assert_eq!(reply.status, *status, "{first} {target}: {}", reply.text());
                    assert_eq!(record["decision"]["reason"], *reason);
                    assert_eq!(seen.len(), before, "{first} {target}");
                    if version.is_empty() {
                        assert_eq!(
                            reply.problem()["versions"].as_array().unwrap().len(),
                            2,
                            "{}",
                            reply.text()
                        );
                    }
                }
            }
        }
    }
}
