//! RFC 8725 sections 2 and 3: tokens that choose their own key, algorithm, reader or meaning.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::issuer::{Algorithm, Mint, SigningKey};

use super::scene::{ORDER, Refusal, Scene, invalid};

/// Sends each token in the place of a good one.
async fn walk(scene: &mut Scene, rows: Vec<(&str, Mint, &'static str)>) {
    for (attack, mint, reason) in rows {
        let reply = scene.client.get_as(&mint.sign(), ORDER).await;
        scene.refused(attack, &reply, invalid(reason));
    }
}

#[tokio::test]
async fn a_token_does_not_choose_how_it_is_verified() {
    let mut scene = Scene::new().await;
    let good = scene.world.mint("acme-marketplace");
    assert_eq!(scene.client.get_as(&good.clone().sign(), ORDER).await.status, 200);
    scene.world.odoo.reset();
    let (foreign, issuer) = (Arc::new(SigningKey::new(Algorithm::Es256)), &scene.world.issuer);
    let public = issuer.key(Algorithm::Rs256).public_pem();
    let good = || scene.world.mint("acme-marketplace");
    let rows = vec![
        // 2.1 and 3.1: weak signatures and insufficient signature validation.
        ("alg none", good().unsigned(), "token-algorithm"),
        ("alg none with a signature", good().header("alg", "none"), "token-algorithm"),
        ("alg nOnE", good().header("alg", "nOnE"), "token-algorithm"),
        ("no alg", good().without_header("alg"), "token-algorithm"),
        ("the public RSA key as HMAC secret", good().hmac(public.as_bytes()), "token-algorithm"),
        (
            "the public RSA key as HMAC secret, by its kid",
            good().header("kid", issuer.key(Algorithm::Rs256).kid.as_str()).hmac(public.as_bytes()),
            "token-algorithm",
        ),
        ("an algorithm that is not the key's", good().header("alg", "ES384"), "token-algorithm"),
        ("another family's algorithm with the key", good().header("alg", "PS256"), "token-key-algorithm"),
        ("a changed signature", good().tampered(), "token-signature"),
        (
            "another issuer's key under the issuer's kid",
            good().forged_by(Arc::clone(&foreign)),
            "token-signature",
        ),
        (
            "a key that the issuer does not publish",
            good().signed_by(Arc::clone(&foreign)),
            "token-unknown-key",
        ),
        // 2.2 and 3.5: an RSA key that is too weak is no key of the issuer's.
        (
            "no kid, where keys could be confused",
            good().without_header("kid").header("kid", ""),
            "token-unknown-key",
        ),
        // 3.10: a header that brings or fetches its key.
        ("jwk", good().header("jwk", foreign.jwk()).forged_by(Arc::clone(&foreign)), "token-header"),
        ("jku", good().header("jku", "https://evil.example/keys"), "token-header"),
        ("x5u", good().header("x5u", "https://evil.example/chain"), "token-header"),
        ("x5c", good().header("x5c", json!(["MIIB"])), "token-header"),
        ("kid that is a path", good().header("kid", "../../keys/evil"), "token-unknown-key"),
        ("kid that is a query", good().header("kid", "' or 1=1 --"), "token-unknown-key"),
        ("kid that is no text", good().header("kid", json!(["a"])), "token-malformed"),
        // RFC 7515 section 4.1.11 and RFC 7797.
        ("crit", good().header("crit", json!(["exp"])), "token-header"),
        ("b64", good().header("crit", json!(["b64"])).header("b64", false), "token-header"),
        // 3.6: compression before encryption, or before anything.
        ("zip", good().header("zip", "DEF"), "token-header"),
    ];
    walk(&mut scene, rows).await;
    scene.end().await;
}

#[tokio::test]
async fn a_token_of_another_sort_issuer_or_audience_is_not_an_access_token() {
    let mut scene = Scene::new().await;
    let good = || scene.world.mint("acme-marketplace");
    let rows = vec![
        // 2.8, 3.11 and 3.12: one sort of JWT in the place of another.
        ("an id token by its type", good().header("typ", "JWT"), "token-type"),
        ("no type", good().without_header("typ"), "token-type"),
        ("a proof of possession", good().header("typ", "dpop+jwt"), "token-type"),
        ("a logout token", good().header("typ", "logout+jwt"), "token-type"),
        ("an introspection answer", good().header("typ", "token-introspection+jwt"), "token-type"),
        ("an id token by its claims", good().claim("nonce", "n"), "token-id-token"),
        // 2.7 and 3.9: cross-JWT confusion.
        ("another audience", good().claim("aud", "https://other.example"), "token-audience"),
        (
            "a list of other audiences",
            good().claim("aud", json!(["https://other.example"])),
            "token-audience",
        ),
        ("no audience", good().without("aud"), "token-claim-missing"),
        ("an audience that is no text", good().claim("aud", json!([1])), "token-claim-form"),
        // 3.8: the issuer and its keys.
        ("another issuer", good().claim("iss", "https://evil.example"), "token-unknown-issuer"),
        ("no issuer", good().without("iss"), "token-claim-missing"),
        (
            "a list of issuers, ours among them",
            good().claim("iss", json!([scene.world.issuer.name(), "https://evil.example"])),
            "token-claim-form",
        ),
        (
            "an issuer with a slash more",
            good().claim("iss", format!("{}/", scene.world.issuer.name())),
            "token-unknown-issuer",
        ),
        ("no subject", good().without("sub"), "token-claim-missing"),
        ("no client", good().without("client_id"), "token-claim-missing"),
        (
            "a client that is no text",
            good().claim("client_id", json!(["acme-marketplace"])),
            "token-claim-form",
        ),
        ("no id", good().without("jti"), "token-claim-missing"),
    ];
    walk(&mut scene, rows).await;
    scene.end().await;
}

#[tokio::test]
async fn a_token_is_good_in_its_time_only_and_in_one_reading() {
    let mut scene = Scene::new().await;
    let now = Timestamp::now();
    let second = now.as_second();
    let good = || scene.world.mint("acme-marketplace");
    let twice = format!(
        "{{\"iss\":\"{0}\",\"iss\":\"{0}\",\"aud\":\"https://api.example\",\"exp\":{1}}}",
        scene.world.issuer.name(),
        second + 300
    );
    let rows = vec![
        ("expired", good().expires(now, -60), "token-expired"),
        ("no end", good().without("exp"), "token-claim-missing"),
        ("an end that is a text", good().claim("exp", (second + 300).to_string()), "token-claim-form"),
        ("an end that is null", good().claim("exp", Value::Null), "token-claim-form"),
        ("an end that is no number of seconds", good().claim("exp", 1e300), "token-claim-form"),
        ("not valid yet", good().claim("nbf", second + 600), "token-not-yet-valid"),
        ("issued in the future", good().claim("iat", second + 600), "token-issued-in-future"),
        ("no issue", good().without("iat"), "token-claim-missing"),
        ("a life of a year", good().expires(now, 365 * 86_400), "token-lifetime"),
        // 2.4 and 3.7: one text, two readings.
        ("a claim twice", good().claims_text(&twice), "token-malformed"),
        ("claims that are no object", good().claims_text("[]"), "token-malformed"),
        ("claims that are no JSON", good().claims_text("{"), "token-malformed"),
        (
            "claims that are not UTF-8 by escape",
            good().claims_text("{\"iss\":\"\\ud800\"}"),
            "token-malformed",
        ),
        ("scopes that are no text", good().claim("scope", json!(["orders:read"])), "token-claim-form"),
        ("scopes with an odd space", good().claim("scope", "orders:read  orders:write"), "token-claim-form"),
    ];
    walk(&mut scene, rows).await;
    scene.end().await;
}

#[tokio::test]
async fn a_text_that_is_no_token_is_not_looked_into() {
    let mut scene = Scene::new().await;
    let good = scene.world.mint("acme-marketplace").sign();
    let nested = URL_SAFE_NO_PAD.encode(&good);
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("a token") };
    for (attack, token, reason) in [
        ("a token of 12 KiB", format!("{header}.{}.{signature}", "a".repeat(12_000)), "token-too-long"),
        ("two parts", format!("{header}.{claims}"), "token-malformed"),
        ("four parts", format!("{good}.{signature}"), "token-malformed"),
        (
            "an encrypted token",
            format!("{header}.{claims}.{signature}.{claims}.{signature}"),
            "token-malformed",
        ),
        ("a token in a token", format!("{header}.{nested}.{signature}"), "token-malformed"),
        ("an opaque token", "2YotnFZFEjr1zCsicMWpAA".to_owned(), "token-malformed"),
        ("bits that nobody signed", format!("{}B", &good[..good.len() - 1]), "token-malformed"),
    ] {
        let reply = scene.client.get_as(&token, ORDER).await;
        scene.refused(attack, &reply, invalid(reason));
    }
    let request = |status, reason| Refusal {
        status,
        problem: "/malformed-request",
        challenge: Some("error=\"invalid_request\""),
        reason,
    };
    let reply = scene.client.get(&format!("{ORDER}?access_token={good}")).await;
    scene.refused("a token in the query", &reply, request(400, "token-in-query"));
    let padded = format!("{header}=.{claims}.{signature}");
    let reply = scene.client.get_as(&padded, ORDER).await;
    scene.refused("padding", &reply, request(400, "authorization-malformed"));
    let twice = scene.client.request(http::Method::GET, ORDER).bearer_auth(&good).bearer_auth(&good);
    let reply = scene.client.send(twice).await;
    scene.refused("two tokens", &reply, request(400, "authorization-repeated"));
    scene.end().await;
}

#[tokio::test]
async fn a_key_set_that_holds_what_is_no_key_of_an_issuer_makes_none_good() {
    // 2.2, 2.3, 3.2 and 3.5, from the issuer's side: a set that somebody made weak does not weaken the gateway.
    let mut scene = Scene::new().await;
    let attacker = Arc::new(SigningKey::new(Algorithm::Es256));
    let public = attacker.jwk();
    let with = |changes: Value| {
        let mut jwk = public.clone();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name.as_str()] = value.clone();
        }
        jwk
    };
    let mut keys = Vec::new();
    let mut rows = Vec::new();
    for (attack, changes) in [
        ("a key for encryption", json!({"use": "enc"})),
        ("a key that may only sign", json!({"key_ops": ["sign"]})),
        ("a key of another algorithm", json!({"alg": "ES384"})),
        ("a key of another curve", json!({"crv": "P-384"})),
        ("a symmetric key", json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})),
        ("a private key", json!({"d": URL_SAFE_NO_PAD.encode([1; 32])})),
    ] {
        let kid = attack.replace(' ', "-");
        let mut jwk = with(changes);
        jwk["kid"] = json!(kid);
        keys.push(jwk);
        rows.push((attack, kid));
    }
    keys.push(json!({"kty": "RSA", "kid": "weak", "n": URL_SAFE_NO_PAD.encode([0xff; 128]), "e": "AQAB"}));
    keys.push(scene.world.issuer.key(Algorithm::Es256).jwk());
    scene.world.issuer.publish(keys);
    // The set is fetched again for the first kid that is not known.
    for (attack, kid) in rows {
        let mint = scene.world.mint("acme-marketplace").signed_by(Arc::clone(&attacker)).header("kid", kid);
        let reply = scene.client.get_as(&mint.sign(), ORDER).await;
        scene.refused(attack, &reply, invalid("token-unknown-key"));
    }
    let rsa = scene.world.issuer.key(Algorithm::Rs256);
    let mint = scene.world.mint("acme-marketplace").signed_by(rsa).header("kid", "weak");
    let reply = scene.client.get_as(&mint.sign(), ORDER).await;
    scene.refused("a weak RSA key", &reply, invalid("token-unknown-key"));
    assert_eq!(scene.client.get_as(&scene.world.mint("acme-marketplace").sign(), ORDER).await.status, 200);
    scene.end().await;
}
