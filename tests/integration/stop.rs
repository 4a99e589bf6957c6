//! The gateway is asked to stop: who is still served, who is not, and is everything recorded?

use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use testbed::gateway::{Client, Finished, Gateway, Protocol, Signal, run};
use testbed::upstream::Manner;
use testbed::{Gate, World};
use tokio::net::TcpStream;

const ORDER: &str = "/orders/v2/orders/S00042";

/// A request that the upstream holds, and what lets it go on.
async fn in_flight(
    world: &World,
    client: Client,
) -> (tokio::task::JoinHandle<testbed::gateway::Reply>, Gate) {
    let gate = Gate::closed();
    let held = gate.clone();
    world.odoo.next(move |good| good.manner(Manner::Held(held.clone())));
    let token = world.mint("acme-marketplace").sign();
    let before = world.odoo.seen().len();
    let call = tokio::spawn(async move { client.get_as(&token, ORDER).await });
    world.odoo.wait_for(before + 1).await;
    (call, gate)
}

async fn verified(world: &World) -> Finished {
    let file = world.folder.join("certs/audit.key").to_string_lossy().into_owned();
    let key = run(&["audit", "key", "--signing-key", &file, "--origin", "gateway.example/audit"]).await;
    let folder = world.folder.audit().to_string_lossy().into_owned();
    run(&["audit", "verify", "--directory", &folder, "--key", key.output.trim()]).await
}

#[tokio::test]
async fn a_stop_finishes_what_was_begun_and_begins_nothing() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let world = World::new().await;
        let mut gateway = Gateway::start(&world).await;
        let idle = gateway.client().protocol(protocol).build();
        assert_eq!(idle.get("/stock/v1/status").await.status, StatusCode::OK);
        let (call, gate) = in_flight(&world, gateway.client().protocol(protocol).build()).await;

        gateway.signal(Signal::Stop);
        let ready = gateway
            .until("readiness fails", async || {
                let ready = gateway.admin_page("/health/ready").await;
                (ready.status == StatusCode::SERVICE_UNAVAILABLE).then_some(ready)
            })
            .await;
        assert!(ready.text().contains("stopping"), "{}", ready.text());
        assert_eq!(gateway.admin_page("/health/live").await.status, StatusCode::OK);
        for listener in ["public", "plain"] {
            gateway
                .until("new connections are refused", async || {
                    TcpStream::connect(gateway.address(listener)).await.is_err().then_some(())
                })
                .await;
        }
        assert!(!call.is_finished(), "{protocol:?}");

        gate.open();
        let reply = call.await.unwrap();
        assert_eq!(reply.status, StatusCode::OK, "{protocol:?}");
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert!(gateway.stop().await.success(), "{}", gateway.printed());

        assert_eq!(gateway.audit(&["--request", &id]).await.len(), 1);
        let verified = verified(&world).await;
        assert!(verified.success && verified.output.contains("ok: 2 records"), "{verified:?}");
        assert!(!verified.output.contains("unsigned"), "the last checkpoint covers everything: {verified:?}");
    }
}

#[tokio::test]
async fn the_grace_period_ends_what_does_not_end() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["run"] = serde_json::json!({"grace": "200ms"}));
    let mut gateway = Gateway::start(&world).await;
    let answered = std::sync::Arc::new(AtomicBool::new(false));
    let gate = Gate::closed();
    let held = gate.clone();
    world.odoo.always(move |good| good.manner(Manner::Held(held.clone())));
    let (client, token) = (gateway.client().build(), world.mint("acme-marketplace").sign());
    let its = answered.clone();
    let call = tokio::spawn(async move {
        let request = client.request(http::Method::GET, ORDER).bearer_auth(token);
        its.store(client.try_send(request).await.is_ok(), Ordering::SeqCst);
    });
    world.odoo.wait_for(1).await;
    assert!(gateway.stop().await.success(), "{}", gateway.printed());
    call.await.unwrap();
    assert!(!answered.load(Ordering::SeqCst), "an answer came from nowhere");
    assert!(gateway.printed().contains("grace period"), "{}", gateway.printed());
}

#[tokio::test]
async fn an_upgrade_hands_the_log_over_while_both_serve() {
    let world = World::new().await;
    let mut old = Gateway::start(&world).await;
    let mut new = Gateway::start(&world).await;
    for _ in 0..3 {
        for gateway in [&old, &new] {
            assert_eq!(gateway.client().build().get("/stock/v1/status").await.status, StatusCode::OK);
        }
    }
    assert!(old.stop().await.success());
    assert_eq!(new.client().build().get("/stock/v1/status").await.status, StatusCode::OK);
    assert!(new.stop().await.success());
    let verified = verified(&world).await;
    assert!(verified.success && verified.output.contains("ok: 7 records"), "{verified:?}");
    assert!(!verified.output.contains("unsigned"), "{verified:?}");
}
