//! What does a hostile client, upstream or moment do to the gateway? Each test is an attack that worked once,
//! or would if one of the defences behind it were taken away.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use testbed::gateway::{Gateway, Reload};
use testbed::upstream::{Answer, Manner};
use testbed::{Gate, SERVER_NAME, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const LABEL: &str = "/shipments/v1/carriers/swift/shipments/WH-OUT-00042/label";
const STATUS: &str = "/stock/v1/status";

/// An HTTP/2 connection that sends the frames it is told to, whatever the protocol says.
struct Frames(TlsStream<TcpStream>);

impl Frames {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;

    /// A connection whose streams may each be sent `window` bytes.
    async fn connect(address: SocketAddr, roots_pem: &str, window: u32) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(SERVER_NAME).unwrap();
        let socket = TcpStream::connect(address).await.unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self(stream);
        // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2).
        let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
        frames.send(Self::SETTINGS, 0, 0, &setting).await.unwrap();
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await?;
        self.0.flush().await
    }

    /// GET without a body.
    async fn get(&mut self, stream: u32, path: &str) -> std::io::Result<()> {
        // :method GET, :scheme https, :path, :authority.
        let block = [vec![0x82, 0x87], literal(4, path), literal(1, SERVER_NAME)].concat();
        self.send(Self::HEADERS, 0x05, stream, &block).await
    }

    /// The kind and stream of the next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<(u8, u32)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, u32::from_be_bytes(stream)))
    }
}

/// A field with a name of the static table, written as it is (RFC 7541 section 6.2.2).
fn literal(index: u8, value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    [&[index, length], value.as_bytes()].concat()
}

#[tokio::test]
async fn streams_that_never_become_requests_are_recorded() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let mut client = Frames::connect(gateway.address("public"), &world.servers.pem(), 65_535).await;
    let get = [0x82, 0x87];
    let rows = [
        // User information in the authority, no authority at all, a method that is never served.
        (1, [&get[..], &literal(4, STATUS), &literal(1, "somebody@here")].concat(), "head-stream"),
        (3, [&get[..], &literal(4, STATUS)].concat(), "head-stream"),
        (5, [literal(2, "CONNECT"), literal(1, SERVER_NAME)].concat(), "head-method-unknown"),
    ];
    for (stream, block, reason) in rows {
        client.send(Frames::HEADERS, 0x05, stream, &block).await.unwrap();
        let recorded = gateway.until(reason, async || {
            let records = gateway.audit(&[]).await;
            let last = records.last()?.clone();
            (records.len() == usize::try_from(stream).unwrap() / 2 + 1).then_some(last)
        });
        let record = recorded.await;
        assert_eq!(record["decision"]["reason"], reason, "{record}");
        assert_eq!(record["decision"]["outcome"], "refused", "{record}");
    }
    client.get(7, STATUS).await.unwrap();
    world.warehouse.wait_for(1).await;
    assert_eq!(world.warehouse.seen().len(), 1, "only the last is a request");
}

#[tokio::test]
async fn streams_that_are_reset_do_not_make_more_requests_run_than_the_connection_may_have() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["limits"] = json!({"streams_per_connection": 4}));
    let gateway = Gateway::start(&world).await;
    let gate = Gate::closed();
    let held = gate.clone();
    world.warehouse.always(move |good| good.manner(Manner::Held(held.clone())));
    let mut client = Frames::connect(gateway.address("public"), &world.servers.pem(), 65_535).await;
    for stream in (1..).step_by(2).take(40) {
        if client.get(stream, STATUS).await.is_err() {
            break;
        }
        // Each is given the time to reach the upstream, so that the reset comes while it runs.
        let reached = timeout(Duration::from_millis(300), world.warehouse.wait_for(stream as usize / 2 + 1));
        if reached.await.is_err() {
            break;
        }
        // CANCEL
        client.send(Frames::RESET, 0, stream, &[0, 0, 0, 8]).await.ok();
    }
    let running = world.warehouse.seen().len();
    assert!(running <= 8, "{running} requests of one connection with 4 streams run at once");
    gate.open();
}

#[tokio::test]
async fn a_client_of_http2_that_does_not_read_loses_its_stream() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["limits"] = json!({"idle_time": "1s"}));
    let gateway = Gateway::start(&world).await;
    let mut client = Frames::connect(gateway.address("public"), &world.servers.pem(), 1).await;
    client.get(1, STATUS).await.unwrap();
    let ended = timeout(Duration::from_secs(8), async {
        loop {
            match client.next().await {
                None | Some((Frames::RESET, 1) | (Frames::GOAWAY, _)) => return,
                Some((Frames::DATA | _, _)) => {}
            }
        }
    });
    assert!(ended.await.is_ok(), "the answer is held for as long as the client likes");
}

#[tokio::test]
async fn the_rest_of_a_refused_body_is_not_awaited_for_as_long_as_it_lasts() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let mut client = gateway.raw().await;
    let head = "POST /orders/v2/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    client.send(format!("{head}Content-Length: 1000\r\n\r\n")).await.unwrap();
    assert_eq!(client.reply().await.unwrap().unwrap().status, 401);
    let begun = Instant::now();
    while client.send(" ").await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(8), "the connection is held");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_client_that_is_still_sending_hears_why_it_is_refused() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let mut client = gateway.raw().await;
    let head = "POST /orders/v2/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    client.send(format!("{head}Content-Length: 60000\r\n\r\n")).await.unwrap();
    // It sends on, as clients do that write a whole request before they read.
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        client.send(" ".repeat(10_000)).await.unwrap();
    }
    assert_eq!(client.reply().await.unwrap().map(|reply| reply.status), Some(401));
    client.send(format!("GET {STATUS} HTTP/1.1\r\nHost: a\r\n\r\n")).await.unwrap();
    assert_eq!(client.reply().await.unwrap().map(|reply| reply.status), Some(200));
}

#[tokio::test]
async fn after_a_body_that_is_broken_nothing_more_is_read() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("acme-marketplace").sign();
    let mut client = gateway.raw_tls(Some(&world.identity("acme-marketplace"))).await.unwrap();
    let head = format!("POST /orders/v2/orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    let head = format!("{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let smuggled = format!("GET {STATUS} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(format!("{head}zz\r\n{{}}\r\n0\r\n\r\n{smuggled}")).await.unwrap();
    let all = String::from_utf8_lossy(&client.read_to_end().await.unwrap_or_default()).into_owned();
    assert!(all.matches("HTTP/1.1 ").count() <= 1 && !all.contains("200 OK"), "{all}");
}

#[tokio::test]
async fn what_follows_a_body_that_was_never_asked_for_is_not_taken_for_it() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let mut client = gateway.raw().await;
    let head = "POST /orders/v2/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    client.send(format!("{head}Content-Length: 60\r\nExpect: 100-continue\r\n\r\n")).await.unwrap();
    let refused = client.reply().await.unwrap().unwrap();
    assert_eq!((refused.status, refused.headers("connection")), (401, vec!["close"]));
    // The client leaves the body out, as it may, and asks for something else.
    client.send(format!("GET {STATUS} HTTP/1.1\r\nHost: a\r\n\r\n")).await.ok();
    assert!(matches!(client.reply().await, Ok(None) | Err(_)), "an answer out of turn");
}

#[tokio::test]
async fn heads_that_pass_the_guard_are_answered_by_the_gateway_alone() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let targets = [
        "/<x>",
        "http://a/<x>",
        "/`",
        "/{a}",
        "/|",
        "/^",
        "/\"",
        "http://a",
        "http://a?x",
        "//",
        "//a/b",
        "/%",
        "/?",
        "/a?b?c",
        "/%00",
        "/..",
        "/a\\b",
        "http://a/stock/v1/status",
        "/stock/v1/status?",
        "/[",
        "/a;b=c",
    ];
    let hosts = ["a", "a_b", "a@b", "B", "A.", "-", "..", "[::1]:1", "1.2.3.4:0", "a:65535"];
    let paths = targets.iter().map(|target| (*target, "a"));
    let others = hosts.iter().flat_map(|host| [("/x", *host), ("http://b/x", *host)]);
    let heads: Vec<_> = paths.chain(others).collect();
    let sent = heads.len();
    let mut wrong = Vec::new();
    for (target, host) in heads {
        let mut client = gateway.raw().await;
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Odd: \u{e9}\r\n\r\n");
        client.send(head).await.unwrap();
        let reply =
            client.reply().await.unwrap().unwrap_or_else(|| panic!("no answer to {target} of {host}"));
        if reply.headers("x-request-id").len() != 1 {
            wrong.push(format!("{target} of {host}: {reply:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let records = gateway.audit(&[]).await.len();
    assert_eq!(records, sent);
}

#[tokio::test]
async fn a_head_of_an_answer_tells_no_length_that_is_wrong() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let whole = client.get(STATUS).await;
    let head = client.send(client.request(Method::HEAD, STATUS)).await;
    assert_eq!(head.status, 200);
    // RFC 9110 section 8.6: what GET would have told, or nothing.
    let lengths = [None, whole.header("content-length")];
    assert!(lengths.contains(&head.header("content-length")), "{head:?}");
}

#[tokio::test]
async fn answers_count_among_the_bytes_that_are_held() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["limits"] = json!({"buffered": "1KiB"}));
    let gateway = Gateway::start(&world).await;
    world.warehouse.next(|good| {
        let padded = format!("{}{}", String::from_utf8_lossy(&good.body), " ".repeat(4096));
        good.body(padded)
    });
    let client = gateway.client().build();
    assert_eq!(client.get(STATUS).await.status, 503);
    assert_eq!(client.get(STATUS).await.status, 200, "what was held is given back");
}

fn pdf(bytes: usize) -> Answer {
    Answer::new(200).header("Content-Type", "application/pdf").body(vec![b'p'; bytes])
}

#[tokio::test]
async fn a_streamed_download_arrives_and_its_record_says_from_where() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("swift-carrier").sign());
    for upstream in [&world.odoo, &world.warehouse] {
        upstream.always(|_| pdf(300_000));
    }
    let label = client.get_as(&token, LABEL).await;
    assert_eq!((label.status.as_u16(), label.body.len()), (200, 300_000), "{label:?}");
    assert_eq!(label.header("x-request-id").map(str::len), Some(36));
    let records = gateway.audit(&[]).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["decision"]["outcome"], "allowed", "{}", records[0]);
    assert_eq!(records[0]["upstream"]["status"], 200, "{}", records[0]);
}

#[tokio::test]
async fn a_streamed_download_is_in_flight_until_it_ends() {
    let world = World::new().await;
    world.folder.replace(
        "policies/limits.yaml",
        "concurrency: 20\n  # Our own",
        "concurrency: 1\n  # Our own",
    );
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("swift-carrier").sign());
    let gate = Gate::closed();
    for upstream in [&world.odoo, &world.warehouse] {
        let gate = gate.clone();
        upstream.next(move |_| pdf(64).manner(Manner::BodyHeld(gate.clone())));
        upstream.always(|_| pdf(64));
    }
    let first = client.request(Method::GET, LABEL).bearer_auth(&token).send().await.unwrap();
    assert_eq!(first.status(), 200);
    let second = client.get_as(&token, LABEL).await;
    assert_eq!(second.status, 429, "{second:?}");
    gate.open();
    assert_eq!(first.bytes().await.unwrap().len(), 64);
}

#[tokio::test]
async fn interim_answers_of_an_upstream_carry_nothing_to_the_client() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("swift-carrier").sign();
    let raw = "HTTP/1.1 103 Early Hints\r\nX-Internal: db7\r\nSet-Cookie: a=b\r\n\r\n\
               HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nX-Internal: db7\r\nContent-Length: 3\r\n\r\npdf";
    for upstream in [&world.odoo, &world.warehouse] {
        upstream.always(move |_| Answer::raw(raw));
    }
    let mut client = gateway.raw().await;
    let request = format!("GET {LABEL} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    client.send(format!("{request}Connection: close\r\n\r\n")).await.unwrap();
    let all = String::from_utf8_lossy(&client.read_to_end().await.unwrap()).to_lowercase();
    assert!(all.contains("200 ok") && all.ends_with("pdf"), "{all}");
    assert!(!all.contains("x-internal") && !all.contains("set-cookie"), "{all}");
}

#[tokio::test]
async fn a_streamed_answer_is_framed_as_its_client_can_read() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let token = world.mint("swift-carrier").sign();
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\npdf\r\n0\r\n\r\n";
    for upstream in [&world.odoo, &world.warehouse] {
        upstream.always(move |_| Answer::raw(chunked));
    }
    for (version, framed, body) in [("1.1", true, "3\r\npdf\r\n0\r\n\r\n"), ("1.0", false, "pdf")] {
        let mut client = gateway.raw().await;
        let request = format!("GET {LABEL} HTTP/{version}\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
        client.send(format!("{request}Connection: close\r\n\r\n")).await.unwrap();
        let all = String::from_utf8_lossy(&client.read_to_end().await.unwrap()).to_lowercase();
        assert_eq!(all.contains("transfer-encoding"), framed, "{version}: {all}");
        assert_eq!(all.split_once("\r\n\r\n").map(|(_, body)| body), Some(body), "{version}: {all}");
    }
}

#[tokio::test]
async fn a_reload_does_not_lend_one_listener_the_trust_of_another() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    world.folder.settings(|settings| {
        let listeners = settings["listeners"].as_object_mut().unwrap();
        // Listeners are in the order of their names: this one takes the place of `plain`.
        listeners.insert("hidden".into(), json!({"address": "127.0.0.1:0", "insecure_no_tls": true}));
    });
    assert!(matches!(gateway.reload().await, Reload::Refused(_)));
    assert_eq!(gateway.client().build().get(STATUS).await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_moved_to_a_name_is_reached_as_soon_as_the_reload_is_done() {
    let mut world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let port = world.warehouse.address().port();
    world.folder.settings(|settings| {
        settings["upstreams"]["warehouse"]["addresses"] = json!([format!("localhost:{port}")]);
    });
    assert_eq!(gateway.reload().await, Reload::Done);
    assert_eq!(client.get(STATUS).await.status, 200);
}

#[tokio::test]
async fn a_session_of_odoos_own_does_not_pass() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let request = client.request(Method::GET, STATUS).header("X-Openerp-Session-Id", "stolen");
    assert_eq!(client.send(request).await.status, 200);
    assert_eq!(world.warehouse.seen()[0].header("x-openerp-session-id"), None);
}
