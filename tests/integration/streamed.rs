//! Does an operation whose bodies pass in pieces keep every rule that does not need the whole body?

use testbed::gateway::{Gateway, Protocol};
use testbed::upstream::{Answer, Manner};
use testbed::{Gate, World};

use crate::calls::{self, Clients};

const LABEL: &str = "shipments.v1.fetchLabel";

/// Bytes of so many pages: far more than fits into any buffer on the way.
fn pages() -> Vec<u8> {
    b"%PDF-1.4 page ".repeat(300_000)
}

#[tokio::test]
async fn a_label_passes_in_pieces_and_is_recorded_before_its_first_byte() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let clients = Clients::new(&world, &gateway, protocol);
        let gate = Gate::closed();
        let held = gate.clone();
        world.warehouse.next(move |good| good.body(pages()).manner(Manner::BodyHeld(held.clone())));
        let attempt = calls::of(LABEL).attempt(&world);
        let sent = attempt.request(clients.of(&attempt)).send().await;
        let mut answer = sent.unwrap_or_else(|e| panic!("{e:?}\n{}", gateway.printed()));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/pdf");
        assert_eq!(answer.headers()["content-length"], pages().len().to_string().as_str());
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["request_id"], answer.headers()["x-request-id"].to_str().unwrap());
        assert_eq!(record["decision"]["reason"], "served", "{record}");
        assert_eq!(record["upstream"]["name"], "warehouse", "{record}");
        // The upstream still holds the second half back.
        let first = answer.chunk().await.unwrap().unwrap();
        gate.open();
        let mut got = first.to_vec();
        while let Some(more) = answer.chunk().await.unwrap() {
            got.extend_from_slice(&more);
        }
        assert!(got == pages(), "{} bytes", got.len());
    }
}

#[tokio::test]
async fn an_answer_of_another_type_is_withheld() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let clients = Clients::new(&world, &gateway, protocol);
        for (answer, reason) in [
            (
                Answer::new(200).header("Content-Type", "text/html").body("<h1>inside</h1>"),
                "response-media-type",
            ),
            (Answer::new(200).body("inside"), "response-media-type"),
            (Answer::new(302).header("Location", "/inside"), "response-status"),
            (
                Answer::new(200)
                    .header("Content-Type", "application/pdf")
                    .header("Content-Encoding", "gzip")
                    .body("inside"),
                "response-content-coding",
            ),
        ] {
            world.warehouse.next(move |_| answer.clone());
            let reply = calls::of(LABEL).attempt(&world).send(&clients).await;
            assert_eq!(reply.status, 502, "{reply:?}");
            assert_eq!(reply.problem()["type"], "https://gateway.example/problems/upstream-broke-contract");
            assert!(!reply.text().contains("inside") && reply.header("location").is_none(), "{reply:?}");
            let record = gateway.audit(&[]).await.pop().unwrap();
            assert_eq!(record["decision"]["reason"], reason, "{record}");
            assert_eq!(record["answer"]["status"], 502);
        }
    }
}

#[tokio::test]
async fn a_label_of_no_announced_length_is_cut_at_the_size_of_its_contract() {
    let world = World::new().await;
    let file = "contracts/shipments/v1/openapi.yaml";
    world.folder.replace(file, "response_bytes_max: 20MiB", "response_bytes_max: 1MiB");
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (size, whole) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let chunk = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
        let bytes = format!("{head}{chunk}");
        world.warehouse.next(move |_| Answer::raw(bytes.clone()));
        let attempt = calls::of(LABEL).attempt(&world);
        let client = clients.of(&attempt);
        let reply = client.try_send(attempt.request(client)).await;
        assert_eq!(reply.is_ok_and(|reply| reply.body.len() == size), whole, "{size}");
    }
}

#[tokio::test]
async fn a_label_too_large_by_its_own_word_is_refused_whole() {
    let world = World::new().await;
    let file = "contracts/shipments/v1/openapi.yaml";
    world.folder.replace(file, "response_bytes_max: 20MiB", "response_bytes_max: 1MiB");
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    world.warehouse.next(|good| good.body(pages()));
    let attempt = calls::of(LABEL).attempt(&world);
    let client = clients.of(&attempt);
    let reply = client.try_send(attempt.request(client)).await;
    // What has begun to leave can only be cut: the client must not take the piece for the whole.
    assert!(reply.is_err() || reply.is_ok_and(|reply| reply.status == 502));
}

#[tokio::test]
async fn an_upstream_that_leaves_before_its_answer_is_told_and_recorded() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    world.warehouse.next(|_| Answer::silence());
    let reply = calls::of(LABEL).attempt(&world).send(&clients).await;
    assert_eq!(reply.status, 502, "{reply:?}");
    assert_eq!(reply.problem()["type"], "https://gateway.example/problems/upstream-failed");
    let record = gateway.audit(&[]).await.pop().unwrap();
    assert_eq!(record["decision"]["outcome"], "failed", "{record}");
    assert_eq!(record["upstream"]["name"], "warehouse", "{record}");
    assert!(record["upstream"]["status"].is_null(), "{record}");
    // The connection, and the upstream, go on.
    assert_eq!(calls::of(LABEL).attempt(&world).send(&clients).await.status, 200);
}

#[tokio::test]
async fn the_policies_hold_for_what_is_streamed() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http2);
    let mut attempt = calls::of(LABEL).attempt(&world);
    attempt.target = attempt.target.replace("/swift/", "/other/");
    let reply = attempt.send(&clients).await;
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.problem()["detail"].as_str().unwrap().contains("own-shipments-only"), "{reply:?}");
    assert!(world.warehouse.seen().is_empty());
    let record = gateway.audit(&[]).await.pop().unwrap();
    assert_eq!(record["decision"]["policies"][0], "carrier-handles-own-shipments-only", "{record}");
}
