//! Who still uses what: deprecated parameters and properties are seen, told, counted, and in the end refused.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Gateway, Reply, run};

const ORDERS: &str = "contracts/orders/v2/openapi.yaml";
const NOTE: &str = "schemas/line.yaml#/properties/note";

/// A world whose orders have something deprecated in every place that a request has.
async fn world() -> World {
    let world = World::new().await;
    let after = "        - name: updatedAfter\n          in: query\n";
    let marks = "          deprecated: true\n          x-gateway: { lifecycle: { successor: cursor, guide: \"https://docs.example/paging\" } }\n";
    world.folder.replace(ORDERS, after, &format!("{after}{marks}"));
    let reason = "          application/json:\n            schema:\n              type: object\n              required: [reason]\n";
    let form = "          application/x-www-form-urlencoded:\n            schema:\n              type: object\n              required: [reason]\n              properties: { reason: { type: string, maxLength: 40 }, comment: { type: string, maxLength: 99, deprecated: true } }\n";
    world.folder.replace(ORDERS, reason, &format!("{form}{reason}"));
    world
}

/// A return with a note on its second line.
fn goods() -> Value {
    let line = |sku: &str| json!({"sku": sku, "quantity": 1, "reason": "damaged"});
    let mut goods = json!({"orderId": "S00042", "lines": [line("MUG-0042"), line("SHIRT-BLUE-M")]});
    goods["lines"][1]["note"] = json!("a secret sorrow");
    goods
}

struct Acme {
    client: Client,
    token: String,
}

impl Acme {
    fn new(world: &World, gateway: &Gateway) -> Self {
        let client = gateway.client().build();
        Self { client, token: world.mint("acme-marketplace").sign() }
    }

    async fn return_goods(&self, goods: &Value) -> Reply {
        self.client.send_json(&self.token, Method::POST, "/returns/v1/returns", goods).await
    }

    async fn list(&self, query: &str) -> Reply {
        self.client.get_as(&self.token, &format!("/orders/v2/orders?channel=acme{query}")).await
    }

    async fn cancel(&self, form: &'static str) -> Reply {
        let request = self.client.request(Method::POST, "/orders/v2/orders/S00042/cancellation");
        let request =
            request.bearer_auth(&self.token).header("content-type", "application/x-www-form-urlencoded");
        self.client.send(request.body(form)).await
    }
}

fn links(reply: &Reply) -> Vec<&str> {
    reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect()
}

/// What the audit log says the last request used.
async fn recorded(gateway: &Gateway) -> Vec<Value> {
    let record = gateway.audit(&[]).await.pop().unwrap();
    record["fields"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn the_use_of_what_is_deprecated_is_told_and_recorded() {
    let world = world().await;
    let gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);

    let reply = acme.return_goods(&goods()).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    assert_eq!(
        reply.header("deprecated-use"),
        Some(
            "\"schemas/line.yaml#/properties/note\";in=body;name=\"note\";deprecated=@1788220800;sunset=@1806451200"
        )
    );
    assert_eq!(
        links(&reply),
        ["<https://developers.retailer.example/guides/return-notes>; rel=\"deprecation\""]
    );
    assert_eq!(recorded(&gateway).await, [NOTE]);

    let list = "/paths/~1orders/get/parameters/2";
    let reply = acme.list("&updatedAfter=2026-11-01T00:00:00Z").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert_eq!(reply.header("deprecated-use"), Some(&*format!("\"{list}\";in=query;name=\"updatedAfter\"")));
    assert_eq!(links(&reply), ["<https://docs.example/paging>; rel=\"deprecation\""]);
    assert_eq!(recorded(&gateway).await, [list]);

    let reply = acme.cancel("reason=duplicate&comment=x").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    assert!(reply.header("deprecated-use").unwrap().ends_with("in=body;name=\"comment\""), "{reply:?}");
    assert_eq!(recorded(&gateway).await.len(), 1);

    // Refused for another reason, and told all the same.
    let mut broken = goods();
    broken["lines"][0]["quantity"] = json!(0);
    let reply = acme.return_goods(&broken).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.header("deprecated-use").unwrap().contains("note"));
    assert_eq!(recorded(&gateway).await, [NOTE]);

    for reply in [acme.list("").await, acme.cancel("reason=duplicate").await] {
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert_eq!((reply.header("deprecated-use"), links(&reply).len()), (None, 0));
        assert_eq!(recorded(&gateway).await, Vec::<Value>::new());
    }
    assert!(!world.folder.everything_below("audit").contains("secret sorrow"));
}

#[tokio::test]
async fn after_its_sunset_the_use_of_a_property_is_refused() {
    let world = world().await;
    world.folder.replace("contracts/returns/v1/schemas/line.yaml", "2027-03-31", "2026-09-30");
    let gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);
    let reply = acme.return_goods(&goods()).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{reply:?}");
    assert_eq!(
        reply.problem()["errors"],
        json!([{
            "in": "body",
            "pointer": "/lines/1/note",
            "keyword": "sunset",
            "detail": "comment in place of note, which ended 2026-09-30T00:00:00Z",
            "contract": format!("{NOTE}/x-gateway/lifecycle/sunset"),
        }])
    );
    assert!(reply.header("deprecated-use").unwrap().contains("sunset=@"), "{reply:?}");
    assert_eq!(world.odoo.seen().len(), 0, "nothing of it was sent on");
    let record = gateway.audit(&[]).await.pop().unwrap();
    assert_eq!(record["decision"]["reason"], "contract-violation");
    assert_eq!(record["violations"], json!([{"where": "body /lines/1/note", "keyword": "sunset"}]));
    assert_eq!(record["fields"], json!([NOTE]));
}

/// What `gateway contract usage` or `migration` tells, as JSON.
async fn told(world: &World, command: &str, arguments: &[&str]) -> Value {
    let config = world.folder.settings_file().display().to_string();
    let all = [&["contract", command, "--config", &config, "--format", "json"], arguments].concat();
    let finished = run(&all).await;
    assert!(finished.success, "{finished:?}");
    serde_json::from_str(&finished.output).unwrap()
}

/// Operation, field, caller, calls and refused calls of each line.
fn lines(told: &Value) -> Vec<(String, String, String, u64, u64)> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |line: &Value| {
        let number = |name: &str| line[name].as_u64().unwrap();
        (
            text(&line["operation"]),
            text(&line["field"]["name"]),
            text(&line["caller"]),
            number("calls"),
            number("refused"),
        )
    };
    told["usage"].as_array().unwrap().iter().map(line).collect()
}

fn line(
    operation: &str,
    field: &str,
    caller: &str,
    calls: u64,
    refused: u64,
) -> (String, String, String, u64, u64) {
    (operation.to_owned(), field.to_owned(), caller.to_owned(), calls, refused)
}

#[tokio::test]
async fn who_used_what_is_counted_and_outlives_the_process() {
    let world = world().await;
    let mut gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);
    acme.return_goods(&goods()).await;
    let mut broken = goods();
    broken["lines"][0]["quantity"] = json!(0);
    acme.return_goods(&broken).await;
    acme.list("&updatedAfter=2026-11-01T00:00:00Z").await;
    acme.list("").await;
    acme.cancel("reason=duplicate&comment=x").await;
    assert_eq!(acme.client.get_as(&acme.token, "/orders/v1/orders/S00042").await.status, StatusCode::OK);
    assert_eq!(acme.client.get("/stock/v1/status").await.status, StatusCode::OK);
    // Nobody knows whose these were.
    assert_eq!(acme.client.get("/orders/v2/orders").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(acme.client.get("/nothing").await.status, StatusCode::NOT_FOUND);

    // Read while the gateway runs.
    let calls = ["operation=\"orders.v2.listOrders\"", "caller=\"acme-marketplace\"", "deprecated=\"no\""];
    let counted = async || (gateway.metric("gateway_caller_calls_total", &calls).await >= 2.0).then_some(());
    gateway.until("the counts are written down", counted).await;
    assert_eq!(gateway.metric("gateway_caller_calls_total", &["deprecated=\"yes\""]).await, 1.0);
    assert_eq!(gateway.metric("gateway_deprecated_field_uses_total", &["/properties/note"]).await, 2.0);
    let expected = [
        line("orders.v1.fetchOrder", "-", "acme-marketplace", 1, 0),
        line("orders.v2.cancelOrder", "-", "acme-marketplace", 1, 0),
        line("orders.v2.cancelOrder", "comment", "acme-marketplace", 1, 0),
        line("orders.v2.listOrders", "-", "acme-marketplace", 2, 0),
        line("orders.v2.listOrders", "updatedAfter", "acme-marketplace", 1, 0),
        line("returns.v1.initiateReturn", "-", "acme-marketplace", 2, 1),
        line("returns.v1.initiateReturn", "note", "acme-marketplace", 2, 1),
        line("stock.v1.fetchStatus", "-", "-", 1, 0),
    ];
    assert_eq!(lines(&told(&world, "usage", &[]).await), expected);

    // After the first process, a second one adds to what it left.
    acme.list("").await;
    assert!(gateway.stop().await.success());
    assert_eq!(lines(&told(&world, "usage", &["--operation", "listOrders"]).await)[0].3, 3);
    let mut gateway = Gateway::start(&world).await;
    Acme::new(&world, &gateway).list("").await;
    assert!(gateway.stop().await.success());
    for (filter, count, calls) in [
        (&["--operation", "orders.v2.listOrders"][..], 2, 4),
        (&["--deprecated"], 4, 1),
        (&["--deprecated", "--api", "orders", "--version", "v1"], 1, 1),
        (&["--caller", "anonymous"], 1, 1),
        (&["--caller", "nobody"], 0, 0),
    ] {
        let found = lines(&told(&world, "usage", filter).await);
        assert_eq!(found.len(), count, "{filter:?}: {found:?}");
        assert_eq!(found.first().map_or(0, |first| first.3), calls, "{filter:?}");
    }
    // The audit log tells the same.
    let log = world.folder.audit().display().to_string();
    let again = told(&world, "usage", &["--from-audit", &log]).await;
    assert_eq!(again, told(&world, "usage", &[]).await);
}

#[tokio::test]
async fn a_partner_is_told_where_to_move_what_ends_first_first() {
    let world = world().await;
    let mut gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);
    acme.return_goods(&goods()).await;
    acme.list("&updatedAfter=2026-11-01T00:00:00Z").await;
    for _ in 0..2 {
        acme.client.get_as(&acme.token, "/orders/v1/orders/S00042").await;
    }
    acme.client.get_as(&acme.token, "/orders/v1/orders?channel=acme&page=1").await;
    assert!(gateway.stop().await.success());

    let report = told(&world, "migration", &["--caller", "acme-marketplace"]).await;
    let shown: Vec<Value> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            json!([
                item["kind"],
                item["api"],
                item["version"],
                item["field"]["name"],
                item["sunset"],
                item["successor"],
                item["calls"]
            ])
        })
        .collect();
    assert_eq!(
        shown,
        [
            json!(["property", "returns", "v1", "note", "2027-03-31T00:00:00Z", "comment", 1]),
            json!([
                "version",
                "orders",
                "v1",
                null,
                "2027-06-30T00:00:00Z",
                "https://api.example/orders/v2",
                3
            ]),
            json!(["parameter", "orders", "v2", "updatedAfter", null, "cursor", 1]),
        ]
    );
    assert_eq!(report["items"][1]["operations"], json!(["orders.v1.fetchOrder", "orders.v1.listOrders"]));
    assert_eq!(report["items"][0]["guide"], "https://developers.retailer.example/guides/return-notes");

    let config = world.folder.settings_file().display().to_string();
    let print = async |format: &str, caller: &str| {
        run(&["contract", "migration", "--config", &config, "--caller", caller, "--format", format]).await
    };
    let markdown = print("markdown", "acme-marketplace").await.output;
    assert!(
        markdown.contains("| body note of returns.v1.initiateReturn | until 2027-03-31T00:00:00Z ("),
        "{markdown}"
    );
    let text = print("text", "acme-marketplace").await.output;
    assert!(
        text.starts_with("In the last 90 days acme-marketplace used 3 things that are deprecated"),
        "{text}"
    );
    let nobody = print("text", "acmee").await;
    assert!(nobody.output.contains("acmee used nothing"), "{nobody:?}");
    assert!(nobody.errors.contains("callers seen: acme-marketplace"), "{nobody:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_written_stops_nobody() {
    let mut world = world().await;
    world.folder.settings(|settings| settings["usage"] = json!({"file": "counts/usage.sqlite"}));
    world.folder.write("counts/usage.sqlite", &"no database at all. ".repeat(300));
    let mut gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);
    assert_eq!(acme.list("").await.status, StatusCode::OK);
    let failing = |status: &Value| status["usage"]["failing"].is_string();
    let status = gateway.status_that("the store cannot be written", failing).await;
    assert!(status["usage"]["failing"].as_str().unwrap().contains("database"), "{status}");
    assert_eq!(status["not_ready"], json!([]));
    assert!(gateway.printed().contains("usage cannot be written"));
    let failures =
        async || (gateway.metric("gateway_usage_write_failures_total", &[]).await >= 1.0).then_some(());
    gateway.until("the failures are counted", failures).await;
    assert_eq!(acme.list("").await.status, StatusCode::OK);
    assert!(world.folder.read("counts/usage.sqlite").starts_with("no database"), "it is left alone");

    // Once the file is out of the way, nothing of this was lost.
    world.folder.remove("counts/usage.sqlite");
    gateway.status_that("the store is written again", |status| status["usage"]["failing"].is_null()).await;
    assert!(gateway.stop().await.success());
    assert_eq!(
        lines(&told(&world, "usage", &[]).await),
        [line("orders.v2.listOrders", "-", "acme-marketplace", 2, 0)]
    );
}

#[tokio::test]
async fn where_nothing_is_to_be_counted_nothing_is() {
    let mut world = world().await;
    world.folder.settings(|settings| settings["usage"] = json!({"enabled": false}));
    let mut gateway = Gateway::start(&world).await;
    Acme::new(&world, &gateway).list("").await;
    assert_eq!(gateway.status().await["usage"], Value::Null);
    assert!(gateway.stop().await.success());
    assert!(!world.folder.join("usage.sqlite").exists());
}

#[tokio::test]
async fn a_comparison_says_whom_a_change_hurts() {
    let world = world().await;
    let mut gateway = Gateway::start(&world).await;
    let acme = Acme::new(&world, &gateway);
    acme.return_goods(&goods()).await;
    acme.return_goods(&goods()).await;
    assert!(gateway.stop().await.success());

    let old = world.folder.join("contracts/returns/v1");
    let new = world.folder.join("next/returns/v1");
    std::fs::create_dir_all(new.join("schemas")).unwrap();
    for file in std::fs::read_dir(old.join("schemas")).unwrap().map(|entry| entry.unwrap().path()) {
        std::fs::copy(&file, new.join("schemas").join(file.file_name().unwrap())).unwrap();
    }
    std::fs::copy(old.join("openapi.yaml"), new.join("openapi.yaml")).unwrap();
    let line = world.folder.read("next/returns/v1/schemas/line.yaml");
    world.folder.write("next/returns/v1/schemas/line.yaml", line.split("  note:\n").next().unwrap());

    let config = world.folder.settings_file().display().to_string();
    let (old, new) = (old.display().to_string(), new.display().to_string());
    let compare = async |more: &[&str]| {
        run(&[&["contract", "diff", &old, &new, "--fail-on", "never", "--config", &config], more].concat())
            .await
    };
    let text = compare(&[]).await;
    let said =
        "callers that send it are refused; 1 caller sent it 2 times in the last 7 days (acme-marketplace)";
    assert!(text.output.contains(said), "{text:?}");
    let json: Value = serde_json::from_str(&compare(&["--format", "json"]).await.output).unwrap();
    let hurt: Vec<&Value> =
        json["changes"].as_array().unwrap().iter().filter_map(|change| change.get("usage")).collect();
    assert_eq!(
        hurt,
        [&json!({"of": "field", "callers": ["acme-marketplace"], "calls": 2, "days": 7})],
        "readers of an answer are not counted: {json:#}"
    );
    // Nobody has counted for another gateway.
    let none = run(&["contract", "diff", &old, &new, "--fail-on", "never"]).await;
    assert!(none.success && !none.output.contains("in the last"), "{none:?}");
}

#[tokio::test]
async fn an_explanation_knows_what_is_deprecated_now_and_gone_later() {
    let world = World::new().await;
    world.folder.write("goods.json", &goods().to_string());
    let (config, body) = (world.folder.settings_file(), world.folder.join("goods.json"));
    let (config, body) = (config.display().to_string(), body.display().to_string());
    let explain = async |time: &str| {
        run(&[
            "explain",
            "--config",
            &config,
            "--caller",
            "acme-marketplace",
            "--method",
            "POST",
            "--path",
            "/returns/v1/returns",
            "--scope",
            "returns:write",
            "--body",
            &body,
            "--time",
            time,
        ])
        .await
    };
    let now = explain("2026-11-28T00:00:00Z").await;
    assert!(now.success, "{now:?}");
    assert!(now.output.contains("body note, which is deprecated, sunset 2027-03-31T00:00:00Z"), "{now:?}");
    let later = explain("2027-04-01T00:00:00Z").await;
    assert!(!later.success, "{later:?}");
    assert!(later.output.contains("body /lines/1/note: comment in place of note"), "{later:?}");
}

#[tokio::test]
async fn the_list_of_contracts_says_how_much_each_is_used() {
    let world = World::new().await;
    let config = world.folder.settings_file().display().to_string();
    let list = async || {
        let listed = run(&["contract", "list", "--config", &config, "--format", "json"]).await;
        let listed: Value = serde_json::from_str(&listed.output).unwrap();
        let find = |row: &&Value| row["api"] == "returns";
        listed["contracts"].as_array().unwrap().iter().find(find).unwrap()["usage"].clone()
    };
    assert_eq!(list().await, Value::Null, "nobody has counted");
    let mut gateway = Gateway::start(&world).await;
    Acme::new(&world, &gateway).return_goods(&goods()).await;
    assert!(gateway.stop().await.success());
    assert_eq!(list().await, json!({"calls": 1, "callers": 1}));
}
