//! Who still uses what: deprecated parameters and properties are seen, told, counted, and in the end refused.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Client, Gateway, Reply};

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
