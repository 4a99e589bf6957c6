//! Does the whole path work, for every operation of the sample: what the caller is told, what the
//! upstream sees, and what the audit log says?

use http::Method;
use serde_json::Value;
use testbed::gateway::{Gateway, Protocol, Reply};
use testbed::upstream::Samples;
use testbed::{ODOO_KEY, Received, World, repository};

use crate::calls::{self, Attempt, Call, Clients};

/// What a caller sends that must not reach an upstream as it is.
const SMUGGLED: [(&str, &str); 12] = [
    ("x-caller", "swift-carrier"),
    ("x_caller", "swift-carrier"),
    ("x-forwarded-for", "192.0.2.66"),
    ("x-forwarded-host", "evil.example"),
    ("forwarded", "for=192.0.2.66"),
    ("x-original-url", "/admin"),
    ("x-http-method-override", "DELETE"),
    ("x-odoo-database", "evil"),
    ("cookie", "session=evil"),
    ("x-request-id", "evil"),
    ("proxy-authorization", "Basic evil"),
    ("baggage", "evil=1"),
];
const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// One good call, seen from all sides.
struct Made {
    call: Call,
    reply: Reply,
    seen: Received,
    token: Option<String>,
}

async fn make_all(world: &World, gateway: &Gateway, protocol: Protocol) -> Vec<Made> {
    let clients = Clients::new(world, gateway, protocol);
    let mut made = Vec::new();
    for call in calls::all() {
        world.odoo.reset();
        world.warehouse.reset();
        let mut attempt = call.attempt(world).header("traceparent", TRACEPARENT);
        attempt.headers.extend(SMUGGLED.map(|(name, value)| (name, value.to_owned())));
        let token = attempt.token.as_ref().map(testbed::issuer::Mint::sign);
        if let Some(token) = attempt.token.take().and(token.as_ref()) {
            attempt = attempt.header("authorization", &format!("Bearer {token}"));
        }
        let reply = attempt.send(&clients).await;
        let mut seen = [world.odoo.seen(), world.warehouse.seen()].concat();
        assert_eq!(seen.len(), 1, "{} reaches one upstream once: {reply:?}", call.name());
        made.push(Made { call, reply, seen: seen.remove(0), token });
    }
    made
}

async fn every_good_call_works(protocol: Protocol) {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let made = make_all(&world, &gateway, protocol).await;
    let records = gateway.audit(&[]).await;
    let samples = Samples::load(&repository::folder("contracts"));
    for one in &made {
        check_answer(one, &samples);
        check_what_the_upstream_saw(one, protocol);
        let id = one.reply.header("x-request-id").unwrap();
        let record = records.iter().find(|record| record["request_id"] == id);
        check_record(one, record.unwrap_or_else(|| panic!("{} has no record", one.call.name())));
    }
    let files = world.folder.everything_below("audit");
    let tokens = made.iter().filter_map(|one| one.token.as_deref());
    for secret in tokens.chain([ODOO_KEY, "ada@customer.example"]) {
        assert!(!files.contains(secret), "`{secret}` stands in the audit log");
        assert!(!gateway.printed().contains(secret), "`{secret}` stands in the log");
    }
}

#[tokio::test]
async fn every_good_call_works_over_http1() {
    every_good_call_works(Protocol::Http1).await;
}

#[tokio::test]
async fn every_good_call_works_over_http2() {
    every_good_call_works(Protocol::Http2).await;
}

fn check_answer(Made { call, reply, seen, .. }: &Made, samples: &Samples) {
    let good = samples.answer(seen);
    assert_eq!(reply.status.as_u16(), good.status, "{reply:?}");
    assert_eq!(reply.body, good.body);
    for (name, value) in &good.fields {
        assert_eq!(reply.header(name), Some(value.as_str()), "{name}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    // A stranger has no plan: what is public tells nothing of limits.
    let counted = !call.operation.security().is_empty();
    for name in ["ratelimit-policy", "ratelimit"] {
        assert_eq!(reply.headers.contains_key(name), counted, "{name}: {reply:?}");
    }
    let policies: Vec<_> =
        reply.headers.get_all("ratelimit-policy").iter().map(|p| p.to_str().unwrap()).collect();
    for limit in &call.operation.settings().limits {
        assert!(policies.join(", ").contains(&format!("{}/{}\"", call.name(), limit.name)), "{policies:?}");
    }
    let old = call.name().starts_with("orders.v1.");
    for name in ["deprecation", "sunset", "link"] {
        assert_eq!(reply.headers.contains_key(name), old, "{name}: {reply:?}");
    }
    if old {
        // RFC 9745 section 2: a date as a structured field; RFC 8594 section 3: an HTTP date.
        assert_eq!(reply.header("deprecation"), Some("@1780272000"));
        assert_eq!(reply.header("sunset"), Some("Wed, 30 Jun 2027 00:00:00 GMT"));
        let links = reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap());
        let links: Vec<&str> = links.collect();
        assert!(links.join(", ").contains("rel=\"successor-version\""), "{links:?}");
    }
    for name in ["server", "set-cookie", "x-powered-by", "via"] {
        assert!(!reply.headers.contains_key(name), "{name}");
    }
}

fn check_what_the_upstream_saw(Made { call, seen, reply, token }: &Made, protocol: Protocol) {
    assert_eq!(seen.target, call.target, "byte for byte");
    assert_eq!(seen.method, call.operation.method().as_str());
    assert_eq!(seen.json(), call.body.clone().unwrap_or_default());
    // RFC 9112 section 6.2 and RFC 9110 section 8.6: one framing, and only for methods with a body.
    assert!(seen.headers("transfer-encoding").is_empty(), "{seen:?}");
    let length = (seen.method != "GET").then(|| seen.body.len().to_string());
    assert_eq!(seen.header("content-length"), length.as_deref(), "{seen:?}");
    let odoo = call.operation.settings().upstream == "odoo";
    let own = odoo.then(|| format!("Bearer {ODOO_KEY}"));
    assert_eq!(seen.header("authorization"), own.as_deref());
    let caller = (!call.operation.security().is_empty()).then_some(call.caller.id);
    assert_eq!(seen.header("x-caller"), caller);
    let via = if protocol == Protocol::Http2 { "2 gateway" } else { "1.1 gateway" };
    assert_eq!(seen.header("via"), Some(via));
    let traceparent = seen.header("traceparent").unwrap();
    assert!(traceparent.starts_with(&format!("00-{TRACE_ID}-")) && traceparent != TRACEPARENT, "{seen:?}");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-request-id"), reply.header("x-request-id"));
    let head = String::from_utf8_lossy(&seen.head).to_lowercase();
    for never in ["evil", "192.0.2.66", "swift-carrier\r\nx", "connection:", "te:", "keep-alive"] {
        assert!(!head.contains(&format!("\n{never}")) && !head.contains(": evil"), "{never}: {head}");
    }
    assert!(seen.fields.iter().all(|(name, _)| !name.contains('_')), "{head}");
    assert!(token.as_deref().is_none_or(|token| !head.contains(&token.to_lowercase())));
}

fn check_record(Made { call, reply, token, .. }: &Made, record: &Value) {
    let public = call.operation.security().is_empty();
    assert_eq!(record["decision"]["outcome"], "allowed", "{record}");
    assert_eq!(record["decision"]["reason"], "served");
    assert!(!record["decision"]["policies"].as_array().unwrap().is_empty(), "{record}");
    assert_eq!(record["call"]["operation"], call.name());
    assert_eq!(record["call"]["method"], call.operation.method().as_str());
    assert_eq!(record["answer"]["status"], reply.status.as_u16());
    assert_eq!(record["trace_id"], TRACE_ID);
    assert_eq!((&record["listener"], &record["address"]), (&"public".into(), &"127.0.0.1".into()));
    if public {
        assert!(record["caller"].is_null(), "{record}");
    } else {
        assert_eq!(record["caller"]["id"], call.caller.id, "{record}");
        let how = match (call.shows_token, call.shows_certificate) {
            (true, true) => "token+certificate",
            (true, false) => "token",
            _ => "certificate",
        };
        assert_eq!(record["caller"]["how"], how, "{record}");
        assert_eq!(record["caller"]["token_id"].is_string(), token.is_some());
        assert_eq!(record["caller"]["certificate_sha256"].is_string(), call.shows_certificate);
        assert!(!record["limits"].as_array().unwrap().is_empty(), "{record}");
    }
    let upstream = &call.operation.settings().upstream;
    assert_eq!(record["upstream"]["name"], upstream.as_str(), "{record}");
    assert_eq!(record["upstream"]["status"], reply.status.as_u16(), "{record}");
    assert_eq!(record["upstream"]["attempts"], 1);
    if upstream == "odoo" {
        assert_eq!(record["credential"]["name"], "odoo-key", "{record}");
        assert!(record["credential"]["version"].is_string(), "{record}");
    } else {
        assert!(record["credential"].is_null(), "{record}");
    }
    let personal: Vec<&str> = call.operation.personal_parameter_names().collect();
    let target = record["call"]["target"].as_str().unwrap();
    assert!(personal.is_empty() || !target.contains("ada"), "{record}");
}

/// Sends a spoilt call and gives the answer; nothing may reach an upstream.
async fn refused(world: &World, clients: &Clients, attempt: Attempt) -> Reply {
    world.odoo.reset();
    world.warehouse.reset();
    let reply = attempt.send(clients).await;
    let seen = [world.odoo.seen(), world.warehouse.seen()].concat();
    assert!(seen.is_empty(), "{seen:?}");
    reply
}

#[tokio::test]
async fn what_no_contract_describes_is_refused_as_rfc_9110_says() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let clients = Clients::new(&world, &gateway, protocol);
        let order = || calls::of("orders.v2.fetchOrder").attempt(&world);
        let place = || calls::of("orders.v2.createOrder").attempt(&world);
        let to = |target: &str| Attempt { target: target.to_owned(), ..order() };
        let coded = place().header("content-encoding", "gzip");
        let mut plain = place();
        plain.headers = vec![("content-type", "text/plain".to_owned())];
        for (attempt, status, problem, field) in [
            (to("/"), 404, "operation-unknown", None),
            (to("/orders/v3/orders"), 404, "operation-unknown", None),
            (to("/orders/v2/orders/S00042/"), 404, "operation-unknown", None),
            (to("/orders/v2/Orders/S00042"), 404, "operation-unknown", None),
            (to("/orders/v2/orders/S00042/cancellation"), 405, "method-not-allowed", Some(("allow", "POST"))),
            (
                to("/orders/v2/orders").method(Method::OPTIONS),
                405,
                "method-not-allowed",
                Some(("allow", "GET, HEAD, POST")),
            ),
            (order().method(Method::DELETE), 405, "method-not-allowed", Some(("allow", "GET, HEAD"))),
            (order().header("accept", "text/html"), 406, "not-acceptable", None),
            (plain, 415, "unsupported-media-type", Some(("accept", "application/json"))),
            (coded, 415, "unsupported-media-type", Some(("accept-encoding", "identity"))),
            (to("/orders/v2/orders/S00042%2f..%2fx"), 400, "malformed-request", None),
            (to("/orders/v2//orders/S00042"), 400, "malformed-request", None),
        ] {
            let target = attempt.target.clone();
            let reply = refused(&world, &clients, attempt).await;
            assert_eq!(reply.status, status, "{protocol:?} {target}: {reply:?}");
            assert_eq!(reply.problem()["type"], format!("https://gateway.example/problems/{problem}"));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
            assert!(reply.header("strict-transport-security").is_some(), "{reply:?}");
            if let Some((name, value)) = field {
                assert_eq!(reply.header(name), Some(value), "{target}: {reply:?}");
            }
        }
    }
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    let expecting = calls::of("orders.v2.fetchOrder").attempt(&world).header("expect", "202-accepted");
    let reply = refused(&world, &clients, expecting).await;
    assert_eq!(reply.status, 417, "{reply:?}");
    assert_eq!(reply.problem()["type"], "https://gateway.example/problems/expectation-failed");
}

#[tokio::test]
async fn head_is_get_without_content() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let clients = Clients::new(&world, &gateway, protocol);
        for call in calls::all().iter().filter(|call| *call.operation.method() == Method::GET) {
            let got = call.attempt(&world).send(&clients).await;
            let head = call.attempt(&world).method(Method::HEAD).send(&clients).await;
            assert_eq!((head.status, head.body.len()), (got.status, 0), "{}: {head:?}", call.name());
            assert_eq!(head.header("content-type"), got.header("content-type"), "{}", call.name());
            // RFC 9110 section 8.6: the length that GET would have, or none.
            if let Some(length) = head.header("content-length") {
                assert_eq!(length, got.body.len().to_string(), "{}", call.name());
            }
            let seen = [world.odoo.seen(), world.warehouse.seen()].concat();
            assert!(seen.iter().any(|request| request.method == "HEAD"), "{}", call.name());
        }
        let unknown = Attempt {
            target: "/nowhere".to_owned(),
            method: Method::HEAD,
            ..calls::of("stock.v1.fetchStatus").attempt(&world)
        };
        let reply = unknown.send(&clients).await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (404, 0), "{reply:?}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_a_contract_in_report_mode_passes_and_is_recorded() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    for call in calls::all().iter().filter(|call| call.name().starts_with("orders.v1.")) {
        world.odoo.next(|good| good.edit(|body| body["note"] = "odd".into()));
        let reply = call.attempt(&world).send(&clients).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(reply.json()["note"], "odd");
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["decision"]["outcome"], "allowed");
        assert_eq!(record["response_violations"][0]["where"], "body ", "{record}");
    }
    let labels = ["operation=\"orders.v1.fetchOrder\""];
    assert!(gateway.metric("gateway_response_violations_total", &labels).await >= 1.0);
}

#[tokio::test]
async fn a_version_past_its_sunset_is_gone_and_says_where_to_go() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["lifecycle"] = serde_json::json!({"insecure_clock": "2027-06-30T00:00:00Z"});
    });
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    for call in calls::all().iter().filter(|call| call.name().starts_with("orders.v1.")) {
        let reply = refused(&world, &clients, call.attempt(&world)).await;
        assert_eq!(reply.status, 410, "{reply:?}");
        assert_eq!(reply.problem()["type"], "https://gateway.example/problems/version-retired");
        assert_eq!(reply.header("sunset"), Some("Wed, 30 Jun 2027 00:00:00 GMT"));
        assert!(reply.headers.contains_key("link"), "{reply:?}");
    }
}
