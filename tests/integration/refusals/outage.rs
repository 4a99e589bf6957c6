//! When the audit log cannot be written: is every operation refused, and left undone?

use testbed::World;
use testbed::gateway::{Gateway, Protocol};

use crate::calls::{self, Clients};

/// Makes the log unwritable: its newest segment becomes shorter than what was written.
fn damage_the_log(world: &World) {
    let files = std::fs::read_dir(world.folder.audit()).unwrap();
    let segments =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl"));
    let newest = segments.max().expect("a segment");
    std::fs::OpenOptions::new().write(true).open(newest).unwrap().set_len(10).unwrap();
}

#[tokio::test]
async fn no_operation_is_served_while_the_audit_log_cannot_be_written() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    let first = calls::of("stock.v1.stockLevel").attempt(&world);
    assert_eq!(first.send(&clients).await.status, 200);
    damage_the_log(&world);
    // The first to notice has been carried out; its answer is withheld.
    let noticed = first.send(&clients).await;
    assert_eq!(noticed.status, 503, "{noticed:?}");
    for call in calls::all() {
        world.odoo.reset();
        world.warehouse.reset();
        let reply = call.attempt(&world).send(&clients).await;
        assert_eq!(reply.status, 503, "{}: {reply:?}", call.name());
        let problem = reply.problem();
        assert!(problem["type"].as_str().unwrap().ends_with("#temporary-reduced-capacity"), "{problem}");
        assert_eq!(problem["instance"], format!("urn:uuid:{}", reply.header("x-request-id").unwrap()));
        assert_eq!(reply.header("retry-after"), Some("5"));
        let seen = [world.odoo.seen(), world.warehouse.seen()].concat();
        assert!(seen.is_empty(), "{} was carried out: {seen:?}", call.name());
    }
    assert!(gateway.metric("gateway_audit_failures_total", &[]).await >= 1.0);
}
