//! smoke
use testbed::World;
use testbed::gateway::Gateway;

#[tokio::test]
async fn an_order_is_placed() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let reply = client.get("/stock/v1/status").await;
    println!("{reply:?}");
    let token = world.mint("acme-marketplace").sign();
    let reply = client.get("/stock/v1/items/MUG-0042").await;
    println!("{reply:?} {token}");
    println!("{:#}", gateway.status().await);
    panic!("{}", gateway.printed());
}
