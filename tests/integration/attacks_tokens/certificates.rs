//! RFC 8705 section 7: stolen tokens that are bound to a certificate.

use super::scene::{ORDER, Refusal, Scene, invalid};
use testbed::certificates::{Authority, Validity};
use testbed::gateway::Reload;

const OWN: &str = "client.acme.example";

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_is_no_use_without_it() {
    let mut scene = Scene::new().await;
    let own = scene.world.clients.client_dns(OWN);
    let token = scene.world.mint("acme-marketplace").bound_to_certificate(&own).sign();
    assert_eq!(scene.client_with(&own).get_as(&token, ORDER).await.status, 200);
    let records = scene.gateway.audit(&[]).await;
    assert_eq!(records[0]["caller"]["bound"], "certificate", "{}", records[0]);
    scene.world.odoo.reset();

    let reply = scene.client.get_as(&token, ORDER).await;
    scene.refused("a connection without certificate", &reply, invalid("token-binding"));
    // Section 7.1: the same name, signed by the same authority, is another certificate.
    let renewed = scene.client_with(&scene.world.clients.client_dns(OWN));
    let reply = renewed.get_as(&token, ORDER).await;
    scene.refused("another certificate of the same name", &reply, invalid("token-binding"));
    let other = scene.client_with(&scene.world.clients.client_dns("client.swift.example"));
    let reply = other.get_as(&token, ORDER).await;
    scene.refused("the certificate of another partner", &reply, invalid("token-binding"));
    // Section 7.3: a certificate in a field proves nothing, whatever its name (RFC 9440, and what proxies write).
    for field in ["client-cert", "x-client-cert", "x-forwarded-client-cert", "ssl-client-cert"] {
        use base64::Engine;
        let der = base64::engine::general_purpose::STANDARD.encode(&own.der);
        let request = scene.client.request(http::Method::GET, ORDER).bearer_auth(&token);
        let reply = scene.client.send(request.header(field, format!(":{der}:"))).await;
        scene.refused(field, &reply, invalid("token-binding"));
    }
    scene.end().await;
}

#[tokio::test]
async fn a_certificate_that_is_revoked_makes_no_token_good() {
    let mut scene = Scene::new().await;
    let own = scene.world.clients.client_dns(OWN);
    let client = scene.client_with(&own);
    let token = scene.world.mint("acme-marketplace").bound_to_certificate(&own).sign();
    assert_eq!(client.get_as(&token, ORDER).await.status, 200);
    scene.world.odoo.reset();
    let list = scene.world.clients.revocation_list(&[&own], Validity::Current);
    scene.world.folder.write("certs/clients.crl", &list);
    assert_eq!(scene.gateway.reload().await, Reload::Done, "{}", scene.gateway.printed());
    // The connection is open, and its certificate is not trusted any more.
    let reply = client.get_as(&token, ORDER).await;
    let expected = Refusal {
        status: 403,
        problem: "/certificate-required",
        challenge: None,
        reason: "certificate-not-trusted",
    };
    scene.refused("a certificate that was revoked meanwhile", &reply, expected);
    scene.end().await;
}

#[tokio::test]
async fn a_certificate_that_only_looks_like_the_tokens_does_not_connect() {
    // Section 7.4: another authority, whose certificate has the same names and subject.
    let scene = Scene::new().await;
    let forged = Authority::new("clients").client_dns(OWN);
    let client = scene.client_with(&forged);
    let token = scene.world.mint("acme-marketplace").bound_to_certificate(&forged).sign();
    let request = client.request(http::Method::GET, ORDER).bearer_auth(token);
    assert!(client.try_send(request).await.is_err(), "the handshake is refused");
    assert!(scene.world.odoo.seen().is_empty());
}

#[tokio::test]
async fn a_confirmation_that_cannot_be_checked_confirms_nothing() {
    // Sections 3.1 and 7.2: a hash of the wrong length or algorithm, or a member that is not known here.
    let mut scene = Scene::new().await;
    let own = scene.world.clients.client_dns(OWN);
    let client = scene.client_with(&own);
    let good = scene.world.mint("acme-marketplace").bound_to_certificate(&own);
    let rows = [
        ("an empty confirmation", serde_json::json!({})),
        ("a text", serde_json::json!("x5t#S256")),
        ("a hash by SHA-1", serde_json::json!({"x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"})),
        ("a hash of the wrong length", serde_json::json!({"x5t#S256": "AAAA"})),
        ("a hash in hexadecimal", serde_json::json!({"x5t#S256": "00".repeat(32)})),
        ("a key in the token", serde_json::json!({"jwk": {"kty": "oct", "k": "AAAA"}})),
        ("a hash and something unknown", serde_json::json!({"x5t#S256": "A".repeat(43), "kid": "k"})),
    ];
    for (attack, cnf) in rows {
        let reply = client.get_as(&good.clone().claim("cnf", cnf).sign(), ORDER).await;
        scene.refused(attack, &reply, invalid("token-binding-form"));
    }
    scene.end().await;
}

#[tokio::test]
async fn a_token_that_is_bound_to_both_needs_both() {
    let mut scene = Scene::new().await;
    let own = scene.world.clients.client_dns(OWN);
    let with = scene.client_with(&own);
    let token = scene.bound().bound_to_certificate(&own).sign();
    let send = |client: testbed::gateway::Client, proof: String, token: String| async move {
        let request = client.request_with_proof(http::Method::GET, ORDER, &token, &proof);
        client.send(request).await
    };
    let proof = scene.proof(&token).await.sign();
    let reply = send(scene.client.clone(), proof, token.clone()).await;
    scene.refused("the key without the certificate", &reply, invalid("token-binding"));
    let reply = with.get_as(&token, ORDER).await;
    scene.refused("the certificate without the key", &reply, invalid("token-shown-as-bearer"));
    let proof = scene.proof(&token).await.sign();
    let reply = send(with, proof, token).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let served = scene.served().await;
    assert_eq!(served[0]["caller"]["bound"], "certificate+dpop", "{}", served[0]);
    scene.world.odoo.reset();
    scene.end().await;
}

#[tokio::test]
async fn an_operation_that_wants_a_certificate_bound_token_says_so() {
    let world = testbed::World::new().await;
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        "x-gateway:\n  upstream: odoo",
        "x-gateway:\n  token_binding: certificate\n  upstream: odoo",
    );
    let mut scene = Scene::of(world).await;
    let own = scene.world.clients.client_dns(OWN);
    let reply = scene.client_with(&own).get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await;
    let expected = Refusal {
        status: 401,
        problem: "/token-binding-required",
        challenge: Some(
            "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"the access token must be bound to your client certificate: ask for it with that certificate\"",
        ),
        reason: "token-binding-required",
    };
    scene.refused("a bearer token beside its caller's certificate", &reply, expected);
    assert!(!reply.header("www-authenticate").unwrap().contains("DPoP"), "{reply:?}");
    scene.end().await;
}
