//! Is a message held against its contract whatever its media type and coding, and as strictly as its
//! operation and its caller ask?

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Gateway, Protocol, Reply};
use testbed::upstream::Answer;

use crate::calls::{Attempt, Clients};

/// A contract of the test's own: `POST /wire/v1/strict` and the like.
fn contract() -> Value {
    let schema = json!({
        "type": "object",
        "required": ["n"],
        "additionalProperties": false,
        "properties": {
            "n": {"type": "integer"},
            "code": {"type": "string", "maxLength": 3, "x-gateway": {"public": true}},
            "text": {"type": "string"},
        },
    });
    let body = json!({"required": true, "content": {
        "application/json": {"schema": schema},
        "application/xml": {"schema": schema},
    }});
    let operation = |id: &str, settings: Value| {
        json!({
            "operationId": id,
            "x-gateway": settings,
            "requestBody": body,
            "responses": {"200": {"description": "x", "content": {"application/json": {"schema": schema}}}},
        })
    };
    let get = |id: &str, settings: Value| {
        let mut operation = operation(id, settings);
        operation.as_object_mut().unwrap().remove("requestBody");
        json!({"get": operation})
    };
    json!({
        "openapi": "3.1.1",
        "info": {"title": "Wire", "version": "1.0.0"},
        "servers": [{"url": "https://api.example/wire/v1"}],
        "components": {"securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
        }},
        "security": [{"basic": []}, {"bearer": []}],
        "x-gateway": {"upstream": "odoo"},
        "paths": {
            "/plain": {
                "post": operation("plain", json!({})),
                "patch": operation("change", json!({})),
            },
            "/packed": {"post": operation("packed", json!({"request_codings": ["gzip"], "request_bytes_max": "256KiB"}))},
            "/enforced": get("enforced", json!({})),
            "/reported": get("reported", json!({"strictness": "report"})),
            "/sampled": get("sampled", json!({"strictness": "report", "sample": 0.25})),
            "/unchecked": get("unchecked", json!({"strictness": "off"})),
        },
    })
}

async fn wired_world() -> World {
    let world = World::new().await;
    world.folder.write("contracts/wire/v1/openapi.json", &contract().to_string());
    let policy = "@id(\"wire\")\n@description(\"For messages of every kind.\")\n@owner(\"tests@retailer.example\")\n\
                  permit (principal, action in Action::\"wire.v1\", resource);\n";
    world.folder.write("policies/wire.cedar", policy);
    world.odoo.always(|_| Answer::json(200, &json!({"n": 1})));
    world
}

fn attempt(world: &World, caller: &str, method: Method, path: &str) -> Attempt {
    Attempt {
        token: Some(world.mint(caller)),
        certificate: None,
        method,
        target: format!("/wire/v1{path}"),
        headers: Vec::new(),
        body: None,
    }
}

fn post(world: &World, path: &str, content_type: &str, body: impl Into<Bytes>) -> Attempt {
    let mut attempt = attempt(world, "acme-marketplace", Method::POST, path);
    attempt.body = Some(body.into());
    attempt.header("content-type", content_type)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The last record's reason.
async fn reason(gateway: &Gateway) -> String {
    gateway.audit(&[]).await.pop().unwrap()["decision"]["reason"].as_str().unwrap().to_owned()
}

fn kind(reply: &Reply) -> String {
    reply.problem()["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_compressed_body_is_decoded_checked_and_sent_on_as_it_was_checked() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let clients = Clients::new(&world, &gateway, protocol);
        world.odoo.reset();
        world.odoo.always(|_| Answer::json(200, &json!({"n": 1})));
        let body = json!({"n": 7, "text": "x".repeat(500)}).to_string();
        let coded = gzip(body.as_bytes());
        let packed = |bytes: Vec<u8>| {
            post(&world, "/packed", "application/json", bytes).header("content-encoding", "gzip")
        };
        let reply = packed(coded.clone()).send(&clients).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let seen = world.odoo.seen();
        assert_eq!((seen.len(), seen[0].body.as_ref()), (1, body.as_bytes()));
        assert_eq!(seen[0].header("content-encoding"), None);
        assert_eq!(seen[0].header("content-length"), Some(body.len().to_string().as_str()));

        let bomb = gzip(format!("{{\"n\": 1, \"text\": \"{}\"}}", "x".repeat(200 << 10)).as_bytes());
        let large = gzip(
            &(0..300_u32 << 10).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
        );
        let broken = gzip(br#"{"n": "one"}"#);
        for (name, bytes, status, problem, told) in [
            ("cut", coded[..coded.len() - 3].to_vec(), 400, "malformed-request", "body-malformed"),
            ("followed", [&coded[..], b"{}"].concat(), 400, "malformed-request", "body-malformed"),
            ("twice", [&coded[..], &coded[..]].concat(), 400, "malformed-request", "body-malformed"),
            ("not gzip", body.clone().into_bytes(), 400, "malformed-request", "body-malformed"),
            ("bomb", bomb, 400, "malformed-request", "body-malformed"),
            ("large", large, 413, "content-too-large", "body-too-large"),
            ("breaks the contract", broken, 422, "contract-violation", "contract-violation"),
        ] {
            let reply = packed(bytes).send(&clients).await;
            assert_eq!(
                (reply.status.as_u16(), kind(&reply).as_str()),
                (status, problem),
                "{name}: {}",
                reply.text()
            );
            assert_eq!(reason(&gateway).await, told, "{name}");
        }
        assert_eq!(world.odoo.seen().len(), 1, "nothing else reached the upstream");
    }
}

#[tokio::test]
async fn a_coding_that_the_operation_does_not_allow_is_told_what_is() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    for (path, coding, accepted) in [
        ("/plain", "gzip", "identity"),
        ("/packed", "br", "gzip, identity"),
        ("/packed", "gzip, gzip", "gzip, identity"),
    ] {
        let coded = post(&world, path, "application/json", gzip(b"{}")).header("content-encoding", coding);
        let reply = coded.send(&clients).await;
        assert_eq!((reply.status.as_u16(), kind(&reply).as_str()), (415, "unsupported-media-type"));
        assert_eq!(reply.header("accept-encoding"), Some(accepted), "{path} {coding}");
        assert_eq!(reason(&gateway).await, "content-coding");
    }
    assert_eq!(world.odoo.seen().len(), 0);
}

#[tokio::test]
async fn a_media_type_that_is_not_described_or_not_checked_is_told_what_is() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    for content_type in ["text/plain", "application/jsonx", "application/*", "*/*", "json", "application/xml"]
    {
        for (method, field) in [(Method::POST, "accept-post"), (Method::PATCH, "accept-patch")] {
            let mut attempt = post(&world, "/plain", content_type, r#"{"n":1}"#);
            attempt.method = method;
            let reply = attempt.send(&clients).await;
            let told = (reply.status.as_u16(), kind(&reply));
            assert_eq!(told, (415, "unsupported-media-type".to_owned()), "{content_type}");
            for field in ["accept", field] {
                assert_eq!(reply.header(field), Some("application/json"), "{content_type} {field}");
            }
            assert_eq!(reason(&gateway).await, "media-type-unsupported");
        }
    }
    assert_eq!(world.odoo.seen().len(), 0);
    let reply =
        post(&world, "/plain", "application/JSON; charset=\"UTF-8\"", r#"{"n":1}"#).send(&clients).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[tokio::test]
async fn an_answer_that_the_caller_cannot_take_is_not_asked_for() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    for accept in ["text/html", "application/json;q=0", "application/xml, text/*;q=0.5"] {
        let attempt = attempt(&world, "acme-marketplace", Method::GET, "/enforced").header("accept", accept);
        let reply = attempt.send(&clients).await;
        assert_eq!((reply.status.as_u16(), kind(&reply).as_str()), (406, "not-acceptable"), "{accept}");
        assert!(reply.problem()["detail"].as_str().unwrap().contains("application/json"), "{}", reply.text());
        assert_eq!(reason(&gateway).await, "not-acceptable");
    }
    assert_eq!(world.odoo.seen().len(), 0);
}

#[tokio::test]
async fn a_broken_answer_meets_the_strictness_of_its_operation_and_its_caller() {
    let world = wired_world().await;
    for (caller, key) in [
        ("owner: finance-systems@retailer.example", "answer_checks: enforce"),
        ("owner: logistics@retailer.example", "insecure_answer_checks: off"),
    ] {
        world.folder.replace("policies/callers.yaml", caller, &format!("{caller}\n    {key}"));
    }
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    world.odoo.always(|_| Answer::json(200, &json!({"n": "inside"})));
    for (caller, path, status, reported) in [
        ("acme-marketplace", "/enforced", 502, true),
        ("acme-marketplace", "/reported", 200, true),
        ("acme-marketplace", "/unchecked", 200, false),
        // Stricter, whatever the operation says.
        ("reconciliation-bot", "/enforced", 502, true),
        ("reconciliation-bot", "/reported", 502, true),
        ("reconciliation-bot", "/sampled", 502, true),
        ("reconciliation-bot", "/unchecked", 502, true),
        // Laxer, by the setting that says so.
        ("swift-carrier", "/enforced", 200, false),
        ("swift-carrier", "/reported", 200, false),
    ] {
        let reply = attempt(&world, caller, Method::GET, path).send(&clients).await;
        let name = format!("{caller} {path}");
        assert_eq!(reply.status.as_u16(), status, "{name}: {}", reply.text());
        assert_eq!(reply.text().contains("inside"), status == 200, "{name}");
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["response_violations"].is_array(), reported, "{name}: {record}");
        assert!(!record.to_string().contains("inside"), "{name}: {record}");
    }
}

#[tokio::test]
async fn a_share_of_the_answers_is_looked_at() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    world.odoo.always(|_| Answer::json(200, &json!({"n": "inside"})));
    for _ in 0..40 {
        let reply = attempt(&world, "acme-marketplace", Method::GET, "/sampled").send(&clients).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let records = gateway.audit(&[]).await;
    let reported = records.iter().filter(|record| record["response_violations"].is_array()).count();
    assert!((8..=12).contains(&reported), "{reported} of 40 at 0.25");
}

#[tokio::test]
async fn only_what_is_public_is_told_back() {
    let world = wired_world().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    let body = json!({"n": "secret", "code": "ABCD"}).to_string();
    let reply = post(&world, "/plain", "application/json", body).send(&clients).await;
    assert_eq!(reply.status, 422);
    let problem = reply.problem();
    let errors = problem["errors"].as_array().unwrap();
    let received =
        |pointer: &str| errors.iter().find(|e| e["pointer"] == pointer).unwrap().get("received").cloned();
    assert_eq!((received("/n"), received("/code")), (None, Some(json!("ABCD"))), "{problem}");
    assert!(!reply.text().contains("secret"), "{problem}");
    let record = gateway.audit(&[]).await.pop().unwrap().to_string();
    assert!(!record.contains("ABCD") && !record.contains("secret"), "{record}");
}
