//! Does an operation whose bodies pass in pieces keep every rule that does not need the whole body?

use testbed::gateway::{Gateway, Protocol};
use testbed::upstream::{Answer, Manner};
use testbed::{Gate, World};

use crate::calls::{self, Clients};

const LABEL: &str = "shipments.v1.fetchLabel";
const PROBLEMS: &str = "https://gateway.example/problems/";

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
        let client = clients.of(&attempt);
        let sent = attempt.request(client).send().await;
        let mut answer = sent.unwrap_or_else(|e| panic!("{e:?}\n{}", gateway.printed()));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/pdf");
        assert_eq!(answer.headers()["content-length"], pages().len().to_string().as_str());
        let record = gateway.audit(&[]).await.pop().unwrap();
        assert_eq!(record["request_id"], answer.headers()["x-request-id"].to_str().unwrap());
        assert_eq!(record["decision"]["reason"], "served", "{record}");
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
