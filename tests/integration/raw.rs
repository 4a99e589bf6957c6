//! What do bytes that no honest client sends come to, judged by the bytes that reach the upstream?

mod suites;

use serde_json::{Value, json};
use testbed::gateway::{Gateway, RawConnection, RawReply};
use testbed::{Received, World};

/// A world with one more contract, which serves everybody everything, so that only the bytes decide.
async fn open_world() -> World {
    let world = World::new().await;
    let operations = |depth: usize| -> Value {
        let methods = ["get", "put", "post", "delete", "options", "patch"];
        let described = methods.map(|method| {
            let operation = json!({
                "operationId": format!("{method}{depth}"),
                "requestBody": {"content": {"*/*": {}}},
                "responses": {"default": {"description": "Anything."}},
            });
            (method.to_owned(), operation)
        });
        Value::Object(described.into_iter().collect())
    };
    let mut paths = serde_json::Map::new();
    for depth in 0..=6 {
        let names: Vec<String> = (0..depth).map(|n| format!("p{n}")).collect();
        let template = names.iter().map(|name| format!("/{{{name}}}")).collect::<String>();
        let parameters = names
            .iter()
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let mut item = operations(depth);
        item["parameters"] = parameters.collect();
        paths.insert(if depth == 0 { "/".to_owned() } else { template }, item);
    }
    let contract = json!({
        "openapi": "3.1.1",
        "info": {"title": "Anything", "version": "1.0.0"},
        "servers": [{"url": "https://api.example/"}],
        "security": [],
        "x-gateway": {
            "upstream": "odoo",
            "kinds": ["partner", "service", "bot", "person"],
            "strictness": "off",
            "unknown_parameters": "ignore",
        },
        "paths": paths,
    });
    world.folder.write("contracts/anything/v1/openapi.yaml", &contract.to_string());
    let policy = "@id(\"anything-goes\")\n@description(\"For raw bytes.\")\n@owner(\"tests@retailer.example\")\n\
                  permit (principal is Anonymous, action in Action::\"anything.v1\", resource);\n";
    world.folder.write("policies/anything.cedar", policy);
    world.odoo.always(|_| testbed::upstream::Answer::json(200, &json!({})));
    world
}

/// Whether another server could read no other request out of these bytes.
fn is_unambiguous(seen: &Received) -> Result<(), String> {
    let head = std::str::from_utf8(&seen.head).map_err(|_undecodable| "a head that is no text")?;
    if head.replace("\r\n", "").contains(|c: char| c.is_control() && c != '\t') {
        return Err("a control byte in the head".to_owned());
    }
    if !seen.target.starts_with('/') || seen.target.contains([' ', '#']) {
        return Err(format!("the target {}", seen.target));
    }
    // RFC 9110 section 5.6.2, without `_`, which many servers take for `-`.
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&b);
    if let Some((name, _)) = seen.fields.iter().find(|(name, _)| name.is_empty() || !name.bytes().all(token))
    {
        return Err(format!("the name `{name}`"));
    }
    if !seen.headers("transfer-encoding").is_empty() {
        return Err("a transfer coding".to_owned());
    }
    match seen.headers("content-length")[..] {
        [] if seen.body.is_empty() => Ok(()),
        [length] if length == seen.body.len().to_string() => Ok(()),
        ref other => Err(format!("the lengths {other:?} for {} bytes", seen.body.len())),
    }
}

async fn reply(connection: &mut RawConnection) -> RawReply {
    connection.reply().await.expect("an answer").expect("an answer")
}

/// A head that never became a request is told why, closed, and recorded.
#[tokio::test]
async fn every_fault_of_a_head_is_told_and_recorded() {
    let world = open_world().await;
    let gateway = Gateway::start(&world).await;
    let get = |rest: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{rest}\r\n\r\n");
    let rows: Vec<(&str, u16, String)> = vec![
        ("head-bare-lf", 400, "GET / HTTP/1.1\nHost: a\r\n\r\n".into()),
        ("head-bare-cr", 400, get("A: b\rc")),
        ("head-leading-whitespace", 400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-folded-line", 400, get("A: b\r\n c")),
        ("head-too-long", 431, get(&format!("A: {0}\r\nB: {0}\r\nC: {0}", "x".repeat(12_000)))),
        ("head-field-too-long", 431, get(&format!("A: {}", "x".repeat(17_000)))),
        ("head-too-many-fields", 431, get(&vec!["A: b"; 101].join("\r\n"))),
        ("head-target-too-long", 414, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9_000))),
        ("head-request-line", 400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-version", 400, "GET / HTPP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-version-unknown", 505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into()),
        ("head-method", 400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-method-unknown", 501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-target-form", 400, "GET orders HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-target-byte", 400, "GET /a\u{1}b HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-target-authority", 400, "GET http://me@a/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-field-without-colon", 400, get("A")),
        ("head-field-name-space", 400, get("A : b")),
        ("head-field-name", 400, get("A(: b")),
        ("head-field-value", 400, get("A: \u{1}")),
        ("head-host-missing", 400, "GET / HTTP/1.1\r\nA: b\r\n\r\n".into()),
        ("head-host-repeated", 400, get("Host: a")),
        ("head-host-invalid", 400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".into()),
        ("head-host-differs", 400, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        ("head-length-repeated", 400, get("Content-Length: 1\r\nContent-Length: 1")),
        ("head-length-invalid", 400, get("Content-Length: +1")),
        ("head-length-and-coding", 400, get("Content-Length: 1\r\nTransfer-Encoding: chunked")),
        ("head-coding-repeated", 400, get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        ("head-coding-unknown", 501, get("Transfer-Encoding: gzip")),
        (
            "head-coding-in-http10",
            400,
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        ("head-connection-invalid", 400, get("Connection: a b")),
        ("head-connection-names-critical", 400, get("Connection: host")),
        ("head-upgrade-to-http2", 400, get("Connection: upgrade\r\nUpgrade: h2c")),
        ("head-expectation-unknown", 417, get("Expect: 200-ok")),
    ];
    let mut told = Vec::new();
    for (reason, status, bytes) in &rows {
        let mut connection = gateway.raw().await;
        // The answer may come, and the connection end, before everything is sent.
        drop(connection.send(bytes).await);
        let reply = reply(&mut connection).await;
        assert_eq!(reply.status, *status, "{reason}: {reply:?}");
        assert_eq!(reply.headers("content-type"), ["application/problem+json"], "{reason}");
        assert_eq!(reply.headers("connection"), ["close"], "{reason}");
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(reason), "{problem}");
        told.push(problem["instance"].as_str().unwrap().replace("urn:uuid:", ""));
        drop(connection.finish().await);
        assert!(connection.read_to_end().await.is_ok_and(|rest| rest.is_empty()), "{reason}: closed");
    }
    assert!(world.odoo.seen().is_empty(), "{:?}", world.odoo.seen());
    let records = gateway.audit(&[]).await;
    for ((reason, status, _), id) in rows.iter().zip(told) {
        let record = records.iter().find(|record| record["request_id"] == id.as_str());
        let record = record.unwrap_or_else(|| panic!("no record of {reason}"));
        assert_eq!(record["decision"]["reason"], *reason, "{record}");
        assert_eq!(record["answer"]["status"], *status, "{record}");
    }
}

#[tokio::test]
async fn honest_oddities_of_http1_work() {
    let world = open_world().await;
    let gateway = Gateway::start(&world).await;

    // RFC 9112 section 9.3.2: of pipelined requests the first is answered, and the connection closed before
    // the others, which their client sends again. None is passed on with its head unjudged.
    let mut connection = gateway.raw().await;
    let two = "GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n";
    connection.send(two).await.unwrap();
    assert_eq!(reply(&mut connection).await.status, 200);
    assert!(connection.read_to_end().await.map_or(true, |rest| rest.is_empty()));
    assert_eq!(world.odoo.seen().len(), 1);
    assert_eq!(world.odoo.seen()[0].target, "/one");
    let mut connection = gateway.raw().await;

    // RFC 9110 section 10.1.1: the body is asked for before it is sent.
    let head = "POST /three HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    connection.send(head).await.unwrap();
    assert_eq!(reply(&mut connection).await.status, 100);
    connection.send("hello").await.unwrap();
    let answered = reply(&mut connection).await;
    assert_eq!(answered.status, 200);
    let seen = world.odoo.seen().pop().unwrap();
    assert_eq!((&seen.body[..], seen.headers("expect").len()), (&b"hello"[..], 0));
    // What the answer says of the connection holds.
    assert_eq!(answered.headers("connection"), ["keep-alive"]);
    connection.send("GET /again HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(reply(&mut connection).await.status, 200);

    // Chunks come in and a length goes out.
    let mut connection = gateway.raw().await;
    let chunked = "POST /four HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    connection.send(chunked).await.unwrap();
    assert_eq!(reply(&mut connection).await.status, 200);
    let seen = world.odoo.seen().pop().unwrap();
    assert_eq!((&seen.body[..], seen.header("content-length")), (&b"abcde"[..], Some("5")));
    assert!(seen.headers("trailer").is_empty() && is_unambiguous(&seen).is_ok(), "{seen:?}");

    // RFC 9112 section 9.6: after `close` nothing more is read.
    let mut connection = gateway.raw().await;
    connection
        .send(
            "GET /five HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /six HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await
        .unwrap();
    assert_eq!(reply(&mut connection).await.status, 200);
    // Bytes were left unread, so the end may be a reset.
    assert!(connection.read_to_end().await.map_or(true, |rest| rest.is_empty()));
    assert!(world.odoo.seen().iter().all(|seen| seen.target != "/six"));
}

#[tokio::test]
async fn slow_clients_are_ended_in_time() {
    let mut world = open_world().await;
    world.folder.settings(|settings| {
        settings["limits"] = json!({"head_time": "500ms", "body_time": "500ms", "idle_time": "700ms"});
    });
    let gateway = Gateway::start(&world).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nab";
    for (begun, reason) in [("GET / HTTP/1.1\r\nHost: a\r\nA: ", "head-slow"), (post, "body-slow")] {
        let mut connection = gateway.raw().await;
        connection.send(begun).await.unwrap();
        let reply = reply(&mut connection).await;
        assert_eq!(reply.status, 408, "{reply:?}");
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(problem["type"], "https://gateway.example/problems/request-timeout");
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["decision"]["reason"], reason, "{record}");
        // The connection cannot be used again: nobody knows where the next request would begin.
        assert!(connection.read_to_end().await.map_or(true, |rest| rest.is_empty()));
    }
    assert!(world.odoo.seen().is_empty());

    // Used again while it is used, ended in silence when it is not.
    let mut connection = gateway.raw().await;
    for _ in 0..3 {
        connection.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert_eq!(reply(&mut connection).await.status, 200);
    }
    assert_eq!(connection.reply().await.unwrap(), None);
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let mut world = open_world().await;
    world.folder.settings(|settings| settings["limits"] = json!({"connections_per_address": 2}));
    let gateway = Gateway::start(&world).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut connection = gateway.raw().await;
        connection.send(request).await.unwrap();
        assert_eq!(reply(&mut connection).await.status, 200);
        open.push(connection);
    }
    let mut third = gateway.raw().await;
    drop(third.send(request).await);
    assert!(third.reply().await.map_or(true, |reply| reply.is_none()), "closed without a word");
    open.pop();
    // The place is free once the gateway has noticed: each try is a connection of its own.
    for tries in 0.. {
        let mut next = gateway.raw().await;
        drop(next.send(request).await);
        if next.reply().await.is_ok_and(|reply| reply.is_some_and(|reply| reply.status == 200)) {
            return;
        }
        assert!(tries < 10_000, "the place of a closed connection is not given back");
    }
}

#[tokio::test]
async fn strangers_and_guesses_are_counted_by_address() {
    let world = open_world().await;
    world.folder.replace("policies/limits.yaml", "addresses: { quota: 1000000,", "addresses: { quota: 3,");
    let gateway = Gateway::start(&world).await;
    let mut connection = gateway.raw().await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..3 {
        connection.send(request).await.unwrap();
        assert_eq!(reply(&mut connection).await.status, 200);
    }
    connection.send(request).await.unwrap();
    let refused = reply(&mut connection).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.headers("retry-after").len(), 1);
    assert_eq!(world.odoo.seen().len(), 3);
    let record = gateway.audit(&[]).await.pop().unwrap();
    assert_eq!(record["decision"]["reason"], "quota-address", "{record}");
}
