//! Tokens are judged by another library than the one that made them.

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};

use super::*;
use crate::certificates::Authority;
use crate::gate::Gate;

const AUDIENCE: &str = "https://api.example";

async fn issuer() -> Issuer {
    Issuer::start(AUDIENCE, None).await
}

fn http() -> reqwest::Client {
    tls::install_provider();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn key_set(issuer: &Issuer) -> JwkSet {
    let text = http().get(issuer.url(paths::JWKS)).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn verified(keys: &JwkSet, issuer: &Issuer, token: &str) -> Result<Value, String> {
    let header = decode_header(token).map_err(|e| e.to_string())?;
    let jwk = keys.find(&header.kid.unwrap()).ok_or("unknown key")?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[issuer.name()]);
    validation.leeway = 0;
    decode(token, &DecodingKey::from_jwk(jwk).unwrap(), &validation)
        .map(|data| data.claims)
        .map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_token_of_every_algorithm_verifies_with_the_published_keys() {
    let issuer = issuer().await;
    let keys = key_set(&issuer).await;
    for algorithm in Algorithm::ALL {
        let token = issuer.mint("acme").scope("orders:read").signed_by(issuer.key(algorithm)).sign();
        let claims = verified(&keys, &issuer, &token).unwrap();
        // RFC 9068 section 2.2: all of these are required.
        for claim in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
            assert!(claims.get(claim).is_some(), "{claim} with {algorithm:?}");
        }
        assert_eq!(claims["scope"], "orders:read");
        assert_eq!(decode_header(&token).unwrap().typ.as_deref(), Some("at+jwt"));
    }
}

#[tokio::test]
async fn an_evil_token_does_not_verify() {
    let issuer = issuer().await;
    let keys = key_set(&issuer).await;
    let now = Timestamp::now();
    let foreign = Arc::new(SigningKey::new(Algorithm::Es256));
    let public = issuer.key(Algorithm::Es256).public_pem();
    for (what, token) in [
        ("expired", issuer.mint("acme").expires(now, -10)),
        ("wrong audience", issuer.mint("acme").claim("aud", "https://other.example")),
        ("wrong issuer", issuer.mint("acme").claim("iss", "https://other.example")),
        ("forged", issuer.mint("acme").forged_by(Arc::clone(&foreign))),
        ("foreign key", issuer.mint("acme").signed_by(foreign)),
        ("tampered", issuer.mint("acme").tampered()),
        ("unsigned", issuer.mint("acme").unsigned()),
        ("public key as secret", issuer.mint("acme").hmac(public.as_bytes())),
        ("no claims at all", issuer.mint("acme").claims_text("[]")),
    ] {
        assert!(verified(&keys, &issuer, &token.sign()).is_err(), "{what}");
    }
}

#[tokio::test]
async fn headers_and_claims_are_as_asked() {
    let issuer = issuer().await;
    let token =
        issuer.mint("acme").without_header("kid").header("crit", json!(["b64"])).without("jti").sign();
    let part = |n: usize| {
        use base64::Engine;
        let text = token.split('.').nth(n).unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()
    };
    assert_eq!(part(0), json!({"typ": "at+jwt", "alg": "ES256", "crit": ["b64"]}));
    assert_eq!(part(1).get("jti"), None);
    assert_eq!(part(1)["client_id"], "acme");
}

#[tokio::test]
async fn a_proof_is_of_the_key_that_its_token_is_bound_to() {
    let issuer = issuer().await;
    for algorithm in Algorithm::ALL {
        let key = Arc::new(SigningKey::new(algorithm));
        let token = issuer.mint("acme").bound_to_key(&key).sign();
        let proof =
            Mint::proof(Arc::clone(&key), &http::Method::GET, "https://a.example/x").for_token(&token).sign();
        let header = decode_header(&proof).unwrap();
        let jwk = header.jwk.unwrap();
        let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(thumbprint, key.thumbprint(), "{algorithm:?}");
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let claims: Value =
            decode(&proof, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap().claims;
        assert_eq!((&claims["htm"], &claims["htu"]), (&json!("GET"), &json!("https://a.example/x")));
    }
}

#[tokio::test]
async fn rotation_replaces_or_adds_keys() {
    let issuer = issuer().await;
    let before = issuer.mint("acme").sign();
    issuer.rotate_gently();
    let both = key_set(&issuer).await;
    assert!(verified(&both, &issuer, &before).is_ok());
    assert!(verified(&both, &issuer, &issuer.mint("acme").sign()).is_ok());
    issuer.rotate();
    let new = key_set(&issuer).await;
    assert_eq!(verified(&new, &issuer, &before), Err("unknown key".to_owned()));
    assert!(verified(&new, &issuer, &issuer.mint("acme").sign()).is_ok());
}

#[tokio::test]
async fn only_known_clients_get_tokens_and_only_their_scopes() {
    let issuer = issuer().await;
    issuer.register(Client {
        id: "acme".to_owned(),
        secret: "s3cret/+of-a-test".to_owned(),
        scopes: vec!["a:read".to_owned(), "a:write".to_owned()],
        claims: object(json!({"region": "eu"})),
    });
    let keys = key_set(&issuer).await;
    for (secret, form, status, outcome) in [
        ("s3cret%2F%2Bof-a-test", "grant_type=client_credentials", 200, "a:read a:write"),
        ("s3cret%2F%2Bof-a-test", "grant_type=client_credentials&scope=a%3Aread", 200, "a:read"),
        ("s3cret%2F%2Bof-a-test", "grant_type=client_credentials&scope=b:read", 400, "invalid_scope"),
        ("s3cret%2F%2Bof-a-test", "grant_type=password", 400, "unsupported_grant_type"),
        ("wrong", "grant_type=client_credentials", 401, "invalid_client"),
    ] {
        let asked = http()
            .post(issuer.url(paths::TOKEN))
            .basic_auth("acme", Some(secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{form}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        if status == 200 {
            let claims = verified(&keys, &issuer, body["access_token"].as_str().unwrap()).unwrap();
            assert_eq!((&claims["scope"], &claims["region"]), (&json!(outcome), &json!("eu")));
        } else {
            assert_eq!(body["error"], outcome);
        }
    }
}

#[tokio::test]
async fn every_fault_is_what_it_says_and_heals() {
    let issuer = issuer().await;
    let ask = || http().get(issuer.url(paths::JWKS)).send();
    issuer.fail(paths::JWKS, Fault::Dead);
    assert!(ask().await.is_err());
    issuer.fail(paths::JWKS, Fault::Status(500));
    assert_eq!(ask().await.unwrap().status(), 500);
    issuer.fail(paths::JWKS, Fault::Body("[1]".to_owned()));
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "[1]");
    issuer.fail(paths::JWKS, Fault::Redirect("https://evil.example/".to_owned()));
    assert_eq!(ask().await.unwrap().headers()["location"], "https://evil.example/");
    issuer.fail(paths::JWKS, Fault::Oversized(100_000));
    assert!(ask().await.unwrap().bytes().await.unwrap().len() > 100_000);
    let gate = Gate::closed();
    issuer.fail(paths::JWKS, Fault::Held(gate.clone()));
    let before = issuer.requests(paths::JWKS);
    let held = tokio::spawn(ask());
    issuer.wait_for_requests(paths::JWKS, before + 1).await;
    assert!(!held.is_finished());
    gate.open();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
    issuer.heal();
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn it_speaks_https_with_the_identity_given() {
    let authority = Authority::new("issuers");
    let issuer = Issuer::start(AUDIENCE, Some(&authority.server(&["127.0.0.1"]))).await;
    tls::install_provider();
    let root = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
    let text = http.get(issuer.url(paths::CONFIGURATION)).send().await.unwrap().text().await.unwrap();
    let metadata: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(metadata["issuer"], issuer.name());
    assert_eq!(metadata["jwks_uri"], issuer.url(paths::JWKS));
}

fn object(value: Value) -> serde_json::Map<String, Value> {
    value.as_object().cloned().unwrap()
}
