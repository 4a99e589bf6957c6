//! Is a caller told once, and only once, what is left of its plan?

use http::{Method, StatusCode};
use testbed::World;
use testbed::gateway::Gateway;

#[tokio::test]
async fn each_field_about_limits_stands_once_in_answers_and_in_refusals() {
    let world = World::new().await;
    world.folder.replace(
        "policies/limits.yaml",
        "- { name: burst, quota: 120, window: 60s }",
        "- { name: burst, quota: 2, window: 1d }",
    );
    let gateway = Gateway::start(&world).await;
    let (client, token) = (gateway.client().build(), world.mint("reconciliation-bot").sign());
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        let list = client.request(Method::GET, "/orders/v2/orders").bearer_auth(&token);
        let reply = client.send(list).await;
        assert_eq!(reply.status, status, "{reply:?}");
        // `Reply::header` gives nothing for a field that came twice.
        assert_eq!(
            reply.header("ratelimit-policy"),
            Some("\"burst\";q=2;w=86400, \"daily\";q=20000;w=86400")
        );
        assert!(
            reply.header("ratelimit").is_some_and(|left| left.starts_with("\"burst\";r=0;t=")),
            "{reply:?}"
        );
        assert_eq!(reply.header("retry-after").is_some(), status != StatusCode::OK, "{reply:?}");
    }
}
