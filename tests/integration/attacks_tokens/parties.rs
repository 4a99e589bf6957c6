//! Tokens by which somebody else acts, and persons who signed in otherwise than is asked for: RFC 8693 sections 4.1
//! and 4.4, RFC 9470.

use http::Method;
use jiff::Timestamp;
use serde_json::json;
use testbed::World;
use testbed::gateway::Reload;
use testbed::issuer::Mint;

use super::scene::{ORDER, Refusal, Scene, invalid};

const STEP_UP: Refusal = Refusal {
    status: 401,
    problem: "/sign-in-insufficient",
    challenge: Some("Bearer realm=\"api\", error=\"insufficient_user_authentication\""),
    reason: "sign-in-insufficient",
};

#[tokio::test]
async fn somebody_who_acts_by_a_machines_token_must_be_registered_to() {
    let mut scene = Scene::new().await;
    let good = || scene.world.mint("acme-marketplace");
    let agent = json!({"sub": "agent", "iss": scene.world.issuer.name(), "act": {"sub": "first"}});
    let actor =
        Refusal { status: 403, problem: "/unknown-caller", challenge: None, reason: "actor-not-allowed" };
    let rows = [
        ("an actor nobody knows of", good().claim("act", agent.clone()), actor),
        (
            "an actor that the token itself does not allow",
            good().claim("act", agent.clone()).claim("may_act", json!({"sub": "other"})),
            invalid("token-actor"),
        ),
        ("an actor that is no object", good().claim("act", "agent"), invalid("token-claim-form")),
        ("an endless chain", good().claim("act", chain(40)), invalid("token-claim-form")),
        ("two clients", good().claim("azp", "swift-carrier"), invalid("token-clients-differ")),
    ];
    for (attack, mint, expected) in rows {
        let reply = scene.client.get_as(&mint.sign(), ORDER).await;
        scene.refused(attack, &reply, expected);
    }
    let callers = "policies/callers.yaml";
    let proof = "{ issuer: retail, client_id: acme-marketplace }";
    scene.world.folder.replace(
        callers,
        proof,
        "{ issuer: retail, client_id: acme-marketplace, actor: agent }",
    );
    assert_eq!(scene.gateway.reload().await, Reload::Done, "{}", scene.gateway.printed());
    let reply = scene.client.get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await;
    scene.refused("the subject itself, where an actor is registered", &reply, actor);
    let reply =
        scene.client.get_as(&scene.world.mint("acme-marketplace").claim("act", agent).sign(), ORDER).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let served = scene.served().await;
    let recorded = json!([{"subject": "agent", "issuer": scene.world.issuer.name()}, {"subject": "first"}]);
    assert_eq!(served[0]["caller"]["actors"], recorded, "{}", served[0]);
    assert_eq!(served[0]["caller"]["actor"], "agent");
    scene.end().await;
}

#[tokio::test]
async fn who_may_act_is_recorded_and_for_policies_to_judge() {
    let scene = Scene::new().await;
    let allows =
        || scene.world.mint("acme-marketplace").claim("may_act", json!({"sub": "agent", "iss": "i"}));
    let reply = scene.client.get_as(&allows().sign(), ORDER).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let served = scene.served().await;
    assert_eq!(served[0]["caller"]["may_act"], json!({"subject": "agent", "issuer": "i"}));

    scene.world.odoo.reset();
    scene.world.folder.write(
        "policies/delegation.cedar",
        "@id(\"no-agents\") forbid (principal, action, resource) when {
           context.token has may_act && context.token.may_act == \"agent\"
         };",
    );
    assert_eq!(scene.gateway.reload().await, Reload::Done, "{}", scene.gateway.printed());
    let reply = scene.client.get_as(&allows().sign(), ORDER).await;
    assert_eq!((reply.status.as_u16(), scene.world.odoo.seen().len()), (403, 0), "{}", reply.text());
    let refused = scene.gateway.audit(&["--decision", "refused"]).await.pop().unwrap();
    assert_eq!(refused["decision"]["reason"], "policy-forbidden");
    assert_eq!(refused["decision"]["policies"], json!(["no-agents"]));
    let reply = scene.client.get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn chain(links: usize) -> serde_json::Value {
    (0..links).fold(json!({"sub": "x"}), |inner, _| json!({"sub": "x", "act": inner}))
}

#[tokio::test]
async fn a_person_is_asked_to_sign_in_again() {
    let mut scene = Scene::new().await;
    let now = Timestamp::now().as_second();
    let good = scene.world.mint("customer-service");
    assert_eq!(scene.client.get_as(&good.clone().sign(), ORDER).await.status, 200);
    scene.world.odoo.reset();
    let rows: [(&str, Mint); 7] = [
        ("no second factor", good.clone().claim("amr", json!(["pwd"]))),
        ("no word of the factors", good.clone().without("amr")),
        ("factors of the wrong form", good.clone().claim("amr", "mfa")),
        ("a sign-in of yesterday", good.clone().claim("auth_time", now - 86_400)),
        ("a sign-in of tomorrow", good.clone().claim("auth_time", now + 86_400)),
        ("no word of the time", good.clone().without("auth_time")),
        ("a time of the wrong form", good.clone().claim("auth_time", now.to_string())),
    ];
    for (attack, mint) in rows {
        let reply = scene.client.get_as(&mint.sign(), ORDER).await;
        scene.refused(attack, &reply, STEP_UP);
        assert!(reply.header("www-authenticate").unwrap().contains("max_age=\"43200\""), "{reply:?}");
    }
    let long = good.clone().expires(Timestamp::now(), 2 * 3_600).sign();
    let reply = scene.client.get_as(&long, ORDER).await;
    scene.refused("a person's token that lives for two hours", &reply, invalid("token-lifetime"));
    scene.end().await;
}

#[tokio::test]
async fn an_operation_asks_a_person_for_more() {
    let world = World::new().await;
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        "x-gateway:\n  upstream: odoo",
        "x-gateway:\n  sign_in: { acr: [\"urn:retailer:high\"], age_max: 10m }\n  upstream: odoo",
    );
    let mut scene = Scene::of(world).await;
    let now = Timestamp::now().as_second();
    let high = scene.world.mint("customer-service").claim("acr", "urn:retailer:high");
    let reply = scene.client.get_as(&scene.world.mint("customer-service").sign(), ORDER).await;
    scene.refused("another way to sign in", &reply, STEP_UP);
    let challenge = reply.header("www-authenticate").unwrap();
    assert!(challenge.contains("acr_values=\"urn:retailer:high\", max_age=\"600\""), "{challenge}");
    let reply = scene.client.get_as(&high.clone().claim("auth_time", now - 700).sign(), ORDER).await;
    scene.refused("signed in too long ago for this", &reply, STEP_UP);
    assert_eq!(scene.client.get_as(&high.clone().sign(), ORDER).await.status, 200);
    // Machines do not sign in, and are not asked.
    let machine = scene.world.mint("acme-marketplace").sign();
    assert_eq!(scene.client.get_as(&machine, ORDER).await.status, 200);
    scene.world.odoo.reset();
    scene.end().await;
}

#[tokio::test]
async fn a_persons_token_is_no_machines_and_a_machines_no_persons() {
    let mut scene = Scene::new().await;
    let kind =
        Refusal { status: 403, problem: "/kind-not-served", challenge: None, reason: "kind-not-served" };
    let list = "/orders/v2/orders?channel=acme";
    let reply = scene.client.get_as(&scene.world.mint("customer-service").sign(), list).await;
    scene.refused("a person at an operation for machines", &reply, kind);
    let customer = "/customers/v1/customers/C10042";
    let identity = scene.world.identity("acme-marketplace");
    let token = scene.world.mint("acme-marketplace").scope("customers:read").sign();
    let reply = scene.client_with(&identity).get_as(&token, customer).await;
    scene.refused("a machine at an operation for persons", &reply, kind);
    // A client that machines use, and a token that came from a sign-in.
    let mixed = scene.world.mint("acme-marketplace").claim("auth_time", Timestamp::now().as_second());
    let reply = scene.client.send(scene.client.request(Method::GET, ORDER).bearer_auth(mixed.sign())).await;
    let unknown =
        Refusal { status: 403, problem: "/unknown-caller", challenge: None, reason: "caller-unknown" };
    scene.refused("a person through a machine's client", &reply, unknown);
    scene.end().await;
}
