//! RFC 9449 section 11: stolen tokens, and proofs that are replayed, made ahead of time, for another request, by
//! another key, or of a form that proves nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Protocol, Reload};
use testbed::issuer::{Algorithm, Mint, SigningKey};

use super::scene::{ORDER, Refusal, Scene, invalid};

const fn proof_refused(reason: &'static str) -> Refusal {
    let challenge = Some("error=\"invalid_dpop_proof\"");
    Refusal { status: 401, problem: "/invalid-dpop-proof", challenge, reason }
}

const fn nonce_wanted(reason: &'static str) -> Refusal {
    let challenge = Some("error=\"use_dpop_nonce\"");
    Refusal { status: 401, problem: "/invalid-dpop-proof", challenge, reason }
}

#[tokio::test]
async fn a_bound_token_with_its_proof_is_served_over_both_protocols_and_recorded_as_bound() {
    let scene = Scene::new().await;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = scene.gateway.client().protocol(protocol).build();
        for query in ["", "?channel=acme"] {
            let path = if query.is_empty() { ORDER } else { "/orders/v2/orders" };
            let token = scene.bound().sign();
            let proof = Mint::proof(Arc::clone(&scene.key), &Method::GET, &client.url(path));
            let proof = proof.for_token(&token).claim("nonce", scene.nonce().await).sign();
            let request = client.request_with_proof(Method::GET, &format!("{path}{query}"), &token, &proof);
            let reply = client.send(request).await;
            assert_eq!(reply.status, 200, "{protocol:?} {path}: {reply:?} {}", reply.text());
            assert_eq!(reply.header("dpop-nonce"), None, "the nonce is a new one");
        }
    }
    let seen = scene.world.odoo.seen();
    assert_eq!(seen.len(), 4);
    // What the caller proved itself with ends here.
    assert!(seen.iter().all(|request| request.header("dpop").is_none()));
    assert!(seen.iter().all(|request| !request.header("authorization").unwrap().starts_with("DPoP")));
    let served = scene.served().await;
    assert_eq!(served.len(), 4);
    assert!(served.iter().all(|record| record["caller"]["bound"] == "dpop"), "{served:?}");
}

#[tokio::test]
async fn every_key_that_may_sign_proofs_is_accepted() {
    let mut scene = Scene::new().await;
    for algorithm in [Algorithm::EdDsa, Algorithm::Ps256] {
        scene.key = Arc::new(SigningKey::new(algorithm));
        let token = scene.bound().sign();
        let reply = scene.with_proof(&token, &scene.proof(&token).await.sign()).await;
        assert_eq!(reply.status, 200, "{algorithm:?} {}", reply.text());
    }
}

#[tokio::test]
async fn a_stolen_token_is_no_use_without_its_key() {
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let (thief, url) = (Arc::new(SigningKey::new(Algorithm::Es256)), scene.client.url(ORDER));

    // Section 7.2: the downgrade to a bearer token.
    let reply = scene.client.get_as(&token, ORDER).await;
    scene.refused("shown as a bearer token", &reply, invalid("token-shown-as-bearer"));
    let request = scene.client.request(Method::GET, ORDER).bearer_auth(&token);
    let reply = scene.client.send(request.header("dpop", scene.proof(&token).await.sign())).await;
    scene.refused("shown as a bearer token beside a proof", &reply, invalid("token-shown-as-bearer"));

    // Sections 11.8 and 4.3, 12: somebody else's key.
    let proof = Mint::proof(Arc::clone(&thief), &Method::GET, &url).for_token(&token);
    let reply = scene.with_proof(&token, &proof.claim("nonce", scene.nonce().await).sign()).await;
    scene.refused("proof by the thief's key", &reply, proof_refused("dpop-other-key"));
    let proof = scene.proof(&token).await.forged_by(Arc::clone(&thief)).sign();
    let reply = scene.with_proof(&token, &proof).await;
    scene.refused("proof that names the caller's key", &reply, proof_refused("dpop-signature"));

    let request = scene.client.request(Method::GET, ORDER).header("authorization", format!("DPoP {token}"));
    let reply = scene.client.send(request).await;
    scene.refused("no proof at all", &reply, proof_refused("dpop-missing"));
    let proof = scene.proof(&token).await.sign();
    let request = scene.client.request_with_proof(Method::GET, ORDER, &token, &proof).header("dpop", &proof);
    let reply = scene.client.send(request).await;
    scene.refused("two proofs", &reply, proof_refused("dpop-repeated"));
    scene.end().await;
}

#[tokio::test]
async fn a_proof_without_a_bound_token_is_refused() {
    let mut scene = Scene::new().await;
    let token = scene.world.mint("acme-marketplace").sign();
    let proof = scene.proof(&token).await.sign();
    let reply = scene.with_proof(&token, &proof).await;
    scene.refused("an unbound token by the scheme DPoP", &reply, invalid("token-not-bound"));
    let request = scene.client.request(Method::GET, ORDER).bearer_auth(&token).header("dpop", &proof);
    let reply = scene.client.send(request).await;
    scene.refused("an unbound bearer token beside a proof", &reply, invalid("token-not-bound"));
    scene.end().await;
}

#[tokio::test]
async fn a_proof_is_good_once() {
    // Section 11.1.
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let proof = scene.proof(&token).await.sign();
    assert_eq!(scene.with_proof(&token, &proof).await.status, 200);
    scene.world.odoo.reset();
    let reply = scene.with_proof(&token, &proof).await;
    scene.refused("the same proof again", &reply, proof_refused("dpop-replayed"));
    let again = scene.bound().sign();
    let reply = scene.with_proof(&again, &proof).await;
    scene.refused("the same proof with another token", &reply, proof_refused("dpop-token"));
    assert_eq!(scene.gateway.reload().await, Reload::Done);
    let reply = scene.with_proof(&token, &proof).await;
    scene.refused("the same proof after a reload", &reply, proof_refused("dpop-replayed"));
    let http2 = scene.gateway.client().protocol(Protocol::Http2).build();
    let reply = http2.send(http2.request_with_proof(Method::GET, ORDER, &token, &proof)).await;
    scene.refused("the same proof over another connection", &reply, proof_refused("dpop-replayed"));
    scene.end().await;
}

#[tokio::test]
async fn a_proof_that_was_used_and_then_refused_is_used() {
    let mut scene = Scene::new().await;
    let token = scene.bound().scope("stock:read").sign();
    let proof = scene.proof(&token).await.sign();
    let reply = scene.with_proof(&token, &proof).await;
    let challenge = Some("DPoP realm=\"api\", error=\"insufficient_scope\", scope=\"orders:read\"");
    let expected =
        Refusal { status: 403, problem: "/insufficient-scope", challenge, reason: "scope-insufficient" };
    scene.refused("a scope is missing", &reply, expected);
    let reply = scene.with_proof(&token, &proof).await;
    scene.refused("the same proof again", &reply, proof_refused("dpop-replayed"));
    scene.end().await;
}

#[tokio::test]
async fn a_proof_made_ahead_of_time_or_kept_is_no_use() {
    // Section 11.2: without a nonce of the server's, proofs can be made ahead for whoever asks for them.
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let reply = scene.with_proof(&token, &scene.proof_without_nonce(&token).sign()).await;
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    scene.refused("no nonce", &reply, nonce_wanted("dpop-nonce-missing"));
    let good = scene.nonce().await;
    for (attack, nonce) in [
        ("a nonce that was guessed", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("a nonce that is changed", json!(format!("{good}A"))),
        ("an empty nonce", json!("")),
        ("a nonce of the wrong form", json!([good])),
    ] {
        let proof = scene.proof_without_nonce(&token).claim("nonce", nonce).sign();
        let reply = scene.with_proof(&token, &proof).await;
        scene.refused(attack, &reply, nonce_wanted("dpop-nonce-stale"));
        assert!(reply.header("dpop-nonce").is_some(), "{attack}");
    }
    let now = Timestamp::now().as_second();
    for (attack, iat, reason) in [
        ("made long ago", json!(now - 90), "dpop-time"),
        ("made for later", json!(now + 90), "dpop-time"),
        ("made at no time", Value::Null, "dpop-claim"),
        ("made at a time of the wrong form", json!(now.to_string()), "dpop-claim"),
    ] {
        let proof = scene.proof(&token).await.claim("iat", iat).sign();
        let reply = scene.with_proof(&token, &proof).await;
        scene.refused(attack, &reply, proof_refused(reason));
    }
    scene.end().await;
}

#[tokio::test]
async fn a_nonce_of_before_a_restart_is_not_one_and_neither_is_a_proof() {
    let mut world = World::new().await;
    world.folder.settings(|settings| settings["tokens"] = json!({"dpop": {"nonce": "off"}}));
    let mut scene = Scene::of(world).await;
    let token = scene.bound().sign();
    // Whatever the settings say: right after a start, what was used before is not known.
    let bare = scene.proof_without_nonce(&token).sign();
    let reply = scene.with_proof(&token, &bare).await;
    scene.refused("no nonce right after the start", &reply, nonce_wanted("dpop-nonce-missing"));
    let proof = scene.proof(&token).await.sign();
    assert_eq!(scene.with_proof(&token, &proof).await.status, 200);
    scene.world.odoo.reset();
    assert!(scene.gateway.stop().await.success());
    let (world, key) = (scene.world, scene.key);
    let mut again = Scene::of(world).await;
    again.key = key;
    let reply = again.with_proof(&token, &proof).await;
    // The port is another one as well, so the URL is judged first; made for the new one, the nonce is old.
    again.refused("the proof of before", &reply, proof_refused("dpop-url"));
    let claims = proof.split('.').nth(1).map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let old: Value = serde_json::from_slice(&claims).unwrap();
    let proof = again.proof_without_nonce(&token).claim("nonce", old["nonce"].clone()).sign();
    let reply = again.with_proof(&token, &proof).await;
    again.refused("the nonce of before", &reply, nonce_wanted("dpop-nonce-stale"));
    again.end().await;
}

#[tokio::test]
async fn a_proof_for_another_request_is_refused() {
    // Section 11.7 and 4.3, 8 and 9.
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let url = |path: &str| scene.client.url(path);
    let rows = [
        ("another method", "htm", json!("DELETE"), "dpop-method"),
        ("the method in other case", "htm", json!("get"), "dpop-method"),
        ("no method", "htm", Value::Null, "dpop-claim"),
        ("another path", "htu", json!(url("/orders/v2/orders")), "dpop-url"),
        ("another case of the path", "htu", json!(url("/Orders/v2/orders/S00042")), "dpop-url"),
        ("a path that is repaired", "htu", json!(url("/orders/v2/x/../orders/S00042")), "dpop-url"),
        ("a query", "htu", json!(url("/orders/v2/orders/S00042?a=b")), "dpop-url"),
        ("no host", "htu", json!(ORDER), "dpop-url"),
        ("another scheme", "htu", json!(url(ORDER).replace("https:", "http:")), "dpop-url"),
        ("another port", "htu", json!(format!("https://gateway.example{ORDER}")), "dpop-url"),
        ("another host", "htu", json!(format!("https://evil.example{ORDER}")), "dpop-url"),
        ("a list of urls", "htu", json!([url(ORDER)]), "dpop-claim"),
        ("another token", "ath", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "dpop-token"),
        ("no token", "ath", Value::Null, "dpop-claim"),
        ("no id", "jti", Value::Null, "dpop-claim"),
        ("an endless id", "jti", json!("x".repeat(2_000)), "dpop-claim"),
    ];
    for (attack, name, value, reason) in rows {
        let mint = scene.proof(&token).await;
        let proof = if value.is_null() { mint.without(name) } else { mint.claim(name, value) };
        let reply = scene.with_proof(&token, &proof.sign()).await;
        scene.refused(attack, &reply, proof_refused(reason));
    }
    scene.end().await;
}

#[tokio::test]
async fn a_proof_made_for_a_host_in_between_is_refused_though_the_host_is_relayed() {
    // Section 4.3, 9, where the server believes `Host`: it then takes proofs that were made for others.
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let nonce = scene.nonce().await;
    let rows = [
        ("a host of its own", "evil.example", "evil.example"),
        ("a host of its own with the port", "evil.example:443", "evil.example"),
        ("the right host on a port that nobody serves", "gateway.example:9", "gateway.example:9"),
    ];
    for (attack, host, made_for) in rows {
        let url = format!("https://{made_for}{ORDER}");
        let proof = Mint::proof(Arc::clone(&scene.key), &Method::GET, &url).for_token(&token);
        let proof = proof.claim("nonce", nonce.clone()).sign();
        let request = scene.client.request_with_proof(Method::GET, ORDER, &token, &proof);
        let reply = scene.client.send(request.header("host", host)).await;
        scene.refused(attack, &reply, proof_refused("dpop-host"));
    }
    scene.end().await;
}

#[tokio::test]
async fn the_origins_that_are_configured_are_those_that_count() {
    let mut world = World::new().await;
    world.folder.settings(|settings| {
        settings["listeners"]["public"]["origins"] = json!(["https://api.example"]);
    });
    let mut scene = Scene::of(world).await;
    let token = scene.bound().sign();
    let nonce = {
        let request = scene.client.request_with_proof(Method::GET, ORDER, &token, "x");
        let reply = scene.client.send(request).await;
        reply.header("dpop-nonce").unwrap().to_owned()
    };
    let proof = |url: String| {
        Mint::proof(Arc::clone(&scene.key), &Method::GET, &url)
            .for_token(&token)
            .claim("nonce", nonce.clone())
    };
    let (own, behind) =
        (proof(scene.client.url(ORDER)).sign(), proof(format!("https://api.example{ORDER}")).sign());
    let reply = scene.with_proof(&token, &own).await;
    scene.refused("the certificate's own name", &reply, proof_refused("dpop-host"));
    let request = scene.client.request_with_proof(Method::GET, ORDER, &token, &behind);
    let reply = scene.client.send(request.header("host", "api.example")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    scene.world.odoo.reset();
    scene.end().await;
}

#[tokio::test]
async fn a_proof_that_is_none_is_refused_before_anything_of_it_is_believed() {
    // Sections 4.3, 11.5 and 11.6: types, algorithms and keys.
    let mut scene = Scene::new().await;
    let token = scene.bound().sign();
    let rsa = Arc::new(SigningKey::new(Algorithm::Rs256));
    let weak = json!({"kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"});
    let mut private = scene.key.jwk();
    private["d"] = json!(URL_SAFE_NO_PAD.encode([1; 32]));
    let mut other_curve = scene.key.jwk();
    other_curve["crv"] = json!("P-384");
    let symmetric = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode("secret")});
    let proof = scene.proof(&token).await;
    let rows: Vec<(&str, Mint, &str)> = vec![
        ("no typ", proof.clone().without_header("typ"), "dpop-type"),
        ("an access token as a proof", proof.clone().header("typ", "at+jwt"), "dpop-type"),
        ("a JWT as a proof", proof.clone().header("typ", "JWT"), "dpop-type"),
        ("alg none", proof.clone().unsigned(), "dpop-algorithm"),
        ("alg none with a signature", proof.clone().header("alg", "none"), "dpop-algorithm"),
        ("HMAC with the public key", proof.clone().hmac(scene.key.public_pem().as_bytes()), "dpop-algorithm"),
        (
            "HMAC with a key of its own",
            proof.clone().hmac(b"secret").header("jwk", symmetric),
            "dpop-algorithm",
        ),
        ("an algorithm that is not on the list", proof.clone().signed_by(Arc::clone(&rsa)), "dpop-algorithm"),
        ("an algorithm of another key", proof.clone().header("alg", "PS256"), "dpop-key"),
        ("no key", proof.clone().without_header("jwk"), "dpop-key"),
        ("a private key", proof.clone().header("jwk", private), "dpop-key"),
        ("a curve that is not the key's", proof.clone().header("jwk", other_curve), "dpop-key"),
        ("a weak RSA key", proof.clone().header("alg", "PS256").header("jwk", weak), "dpop-key"),
        ("a key from an address", proof.clone().header("jku", "https://evil.example/keys"), "dpop-header"),
        ("crit", proof.clone().header("crit", json!(["b64"])), "dpop-header"),
        ("a changed signature", proof.clone().tampered(), "dpop-signature"),
        ("claims that are no object", proof.clone().claims_text("[]"), "dpop-malformed"),
        ("a claim twice", proof.clone().claims_text("{\"htm\":\"GET\",\"htm\":\"POST\"}"), "dpop-malformed"),
    ];
    for (attack, mint, reason) in rows {
        let reply = scene.with_proof(&token, &mint.sign()).await;
        scene.refused(attack, &reply, proof_refused(reason));
    }
    let reply = scene.with_proof(&token, &"a".repeat(9_000)).await;
    scene.refused("a huge proof", &reply, proof_refused("dpop-malformed"));
    scene.end().await;
}

#[tokio::test]
async fn what_must_be_bound_is_refused_unbound_and_told_how() {
    let world = World::new().await;
    world.folder.replace(
        "policies/callers.yaml",
        "- token: { issuer: retail, client_id: swift-carrier }",
        "- token: { issuer: retail, client_id: swift-carrier, bound: dpop }",
    );
    world.folder.replace(
        "contracts/orders/v2/openapi.yaml",
        "x-gateway:\n  upstream: odoo",
        "x-gateway:\n  token_binding: either\n  upstream: odoo",
    );
    let mut scene = Scene::of(world).await;
    let required = |challenge| Refusal {
        status: 401,
        problem: "/token-binding-required",
        challenge: Some(challenge),
        reason: "token-binding-required",
    };
    let reply = scene.client.get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await;
    scene.refused("an operation that wants bound tokens", &reply, required("DPoP realm=\"api\""));
    let reply = scene.client.get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await;
    scene.refused("the same", &reply, required("Bearer realm=\"api\", error=\"invalid_token\""));

    let carrier = scene.world.mint("swift-carrier");
    let shipment = "/shipments/v1/carriers/swift/shipments/WH-OUT-00017";
    let reply = scene.client.get_as(&carrier.clone().sign(), shipment).await;
    scene.refused(
        "a caller whose tokens must be bound",
        &reply,
        required("DPoP realm=\"api\", error=\"invalid_token\""),
    );
    assert!(!reply.header("www-authenticate").unwrap().contains("Bearer"), "{reply:?}");
    assert!(reply.header("www-authenticate").unwrap().contains("algs=\"ES256 EdDSA PS256\""), "{reply:?}");

    let identity = scene.world.clients.client_dns("client.acme.example");
    let with_certificate = scene.client_with(&identity);
    let bound = scene.world.mint("acme-marketplace").bound_to_certificate(&identity).sign();
    assert_eq!(with_certificate.get_as(&bound, ORDER).await.status, 200);
    let token = carrier.bound_to_key(&scene.key).sign();
    let proof = Mint::proof(Arc::clone(&scene.key), &Method::GET, &scene.client.url(shipment));
    let proof = proof.for_token(&token).claim("nonce", scene.nonce().await).sign();
    let reply =
        scene.client.send(scene.client.request_with_proof(Method::GET, shipment, &token, &proof)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    scene.end().await;
}
