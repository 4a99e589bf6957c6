//! Tokens, keys and key servers that are not as they should be.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]

use std::time::Duration;

use ring::hmac;
use serde_json::{Value, json};

use super::testing::*;
use super::*;

type Verdict = Result<(), Unverified>;

async fn verify(issuers: &Issuers, token: &str) -> Verdict {
    issuers.verify(token, now()).await.map(drop)
}

fn fault(fault: TokenFault) -> Verdict {
    Err(Unverified::Fault(fault))
}

fn no_keys() -> Verdict {
    Err(Unverified::NoKeys { issuer: "retail".into() })
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_passes() {
    for alg in ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"] {
        let signer = Signer::new("k", alg);
        let server = KeyServer::with_keys(&[signer.jwk()]).await;
        let algorithm = Algorithm::parse(alg).unwrap();
        let issuers = server.issuers(|settings| settings.algorithms = vec![algorithm]).await;
        let token = issuers.verify(&signer.token(&claims(json!({}))), now()).await.unwrap();
        assert_eq!(
            (token.issuer(), token.client_id(), token.subject(), token.id()),
            ("retail", Some("acme"), Some("acme"), Some("t1")),
            "{alg}"
        );
        assert_eq!(token.scopes().iter().collect::<Vec<_>>(), ["orders:read", "orders:write"]);
        assert_eq!(token.expires(), later(600));
    }
}

/// RFC 8725 section 3: what attackers do with headers and signatures, each a row.
#[tokio::test]
async fn a_token_cannot_choose_how_it_is_verified() {
    let (rsa, ec, thief) = (Signer::new("r", "RS256"), Signer::new("e", "ES256"), Signer::new("e", "ES256"));
    let server = KeyServer::with_keys(&[rsa.jwk(), ec.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    let good = claims(json!({}));
    let header = |alg: &str| json!({"alg": alg, "kid": "r", "typ": "at+jwt"}).to_string();
    let hmac_with = |secret: &[u8], alg: &str| {
        let signed = format!("{}.{}", b64(header(alg)), b64(good.to_string()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        format!("{signed}.{}", b64(hmac::sign(&key, signed.as_bytes())))
    };
    let es384 = Signer::new("e", "ES384");
    let mut tampered = ec.token(&good);
    let at = tampered.rfind('.').unwrap() + 1;
    let other = if tampered.as_bytes()[at] == b'A' { "B" } else { "A" };
    tampered.replace_range(at..=at, other);
    let signature_of = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let (token, other_claims) = (ec.token(&good), ec.token(&claims(json!({"jti": "t2"}))));
    let spliced = format!("{}.{}", other_claims.rsplit_once('.').unwrap().0, signature_of(&token));
    let der = asn1_signature();

    for (name, token, expected) in [
        ("alg none", format!("{}.{}.", b64(header("none")), b64(good.to_string())), TokenFault::Algorithm),
        ("alg none, signed", rsa.token_with(json!({"alg": "none"}), &good), TokenFault::Algorithm),
        ("HMAC with the public key", hmac_with(&rsa.public_der(), "HS256"), TokenFault::Algorithm),
        ("HMAC said to be RSA", hmac_with(&rsa.public_der(), "RS256"), TokenFault::Signature),
        ("the alg of another key", ec.token_with(json!({"alg": "RS256"}), &good), TokenFault::KeyAlgorithm),
        (
            "PSS for a key that says PKCS1",
            rsa.token_with(json!({"alg": "PS256"}), &good),
            TokenFault::KeyAlgorithm,
        ),
        ("an alg the issuer does not use", es384.token(&good), TokenFault::Algorithm),
        ("the kid of another key", rsa.token_with(json!({"kid": "e"}), &good), TokenFault::KeyAlgorithm),
        ("the key of a thief", thief.token(&good), TokenFault::Signature),
        ("a key in the header", thief.token_with(json!({"jwk": thief.jwk()}), &good), TokenFault::Header),
        ("a key's address", thief.token_with(json!({"jku": server.url()}), &good), TokenFault::Header),
        (
            "a certificate's address",
            thief.token_with(json!({"x5u": server.url()}), &good),
            TokenFault::Header,
        ),
        ("a certificate", thief.token_with(json!({"x5c": ["AA=="]}), &good), TokenFault::Header),
        ("crit", ec.token_with(json!({"crit": ["b64"], "b64": true}), &good), TokenFault::Header),
        ("crit, empty", ec.token_with(json!({"crit": []}), &good), TokenFault::Header),
        ("zip", ec.token_with(json!({"zip": "DEF"}), &good), TokenFault::Header),
        ("a changed signature", tampered, TokenFault::Signature),
        ("the signature of other claims", spliced, TokenFault::Signature),
        ("a signature in DER", format!("{}.{der}", token.rsplit_once('.').unwrap().0), TokenFault::Signature),
        (
            "a signature of zeros",
            format!("{}.{}", token.rsplit_once('.').unwrap().0, b64([0; 64])),
            TokenFault::Signature,
        ),
    ] {
        assert_eq!(verify(&issuers, &token).await, fault(expected), "{name}");
    }
    assert_eq!(verify(&issuers, &token).await, Ok(()));
    assert_eq!(server.asked(), 1, "none of it made us ask for keys");
}

/// An ECDSA signature as X.509 writes it, which JWS does not.
fn asn1_signature() -> String {
    b64([&[0x30, 0x44, 0x02, 0x20][..], &[1; 32], &[0x02, 0x20], &[1; 32]].concat())
}

#[tokio::test]
async fn only_access_tokens_pass_where_the_issuer_types_them() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let always = ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"];
    let relaxed = ["JWT", "jwt", "application/jwt"];
    let never =
        ["logout+jwt", "dpop+jwt", "", "application/", "applicationXat+jwt", "at+jwt ", "äpplication/at+jwt"];
    for (rule, passes) in [
        (TypRule::AtJwt, [true, false, false]),
        (TypRule::AtJwtOrJwt, [true, true, false]),
        (TypRule::Any, [true, true, true]),
    ] {
        let issuers = server.issuers(|settings| settings.typ = rule).await;
        for (group, passes) in [&always[..], &relaxed, &never].into_iter().zip(passes) {
            let typs = group.iter().map(|typ| json!(typ)).chain((group == never).then_some(Value::Null));
            for typ in typs {
                let token = signer.token_with(json!({"typ": typ}), &claims(json!({})));
                let expected = if passes { Ok(()) } else { fault(TokenFault::Type) };
                assert_eq!(verify(&issuers, &token).await, expected, "{rule:?} {typ}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_of_an_unknown_issuer_is_refused_without_a_fetch() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = Issuers::new(vec![server.settings()], None).unwrap();
    for iss in ["https://evil.example", "https://issuer.example/", "HTTPS://issuer.example", ""] {
        let token = signer.token(&claims(json!({"iss": iss})));
        assert_eq!(verify(&issuers, &token).await, fault(TokenFault::UnknownIssuer), "{iss}");
    }
    let list = signer.token(&claims(json!({"iss": [ISS, "https://evil.example"]})));
    assert_eq!(verify(&issuers, &list).await, fault(TokenFault::ClaimForm("iss")));
    let none = signer.token(&claims(json!({"iss": null})));
    assert_eq!(verify(&issuers, &none).await, fault(TokenFault::MissingClaim("iss")));
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn the_keys_of_one_issuer_do_not_verify_for_another() {
    let (ours, theirs) = (Signer::new("k", "ES256"), Signer::new("k", "ES256"));
    let (server, other) =
        (KeyServer::with_keys(&[ours.jwk()]).await, KeyServer::with_keys(&[theirs.jwk()]).await);
    let mut second = other.settings();
    (second.name, second.issuer) = ("second".into(), "https://second.example".into());
    let issuers = Issuers::new(vec![server.settings(), second], None).unwrap();
    issuers.refresh(now()).await;
    assert_eq!(verify(&issuers, &theirs.token(&claims(json!({})))).await, fault(TokenFault::Signature));
    let token = theirs.token(&claims(json!({"iss": "https://second.example"})));
    assert_eq!(issuers.verify(&token, now()).await.unwrap().issuer(), "second");
}

#[tokio::test]
async fn without_a_kid_a_key_is_used_only_where_there_is_no_choice() {
    let (first, second, rsa) =
        (Signer::new("a", "ES256"), Signer::new("b", "ES256"), Signer::new("r", "RS256"));
    let token = first.token_with(json!({"kid": null}), &claims(json!({})));
    for (keys, expected) in [
        (vec![first.jwk(), rsa.jwk()], Ok(())),
        (vec![first.jwk_with(json!({"kid": null}))], Ok(())),
        (vec![first.jwk(), second.jwk()], fault(TokenFault::UnknownKey)),
        (vec![rsa.jwk()], fault(TokenFault::UnknownKey)),
    ] {
        let server = KeyServer::with_keys(&keys).await;
        let issuers = server.issuers(|_| {}).await;
        assert_eq!(issuers.verify(&token, later(60)).await.map(drop), expected);
        assert_eq!(server.asked(), 1, "a token without kid asks for no keys");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let server = KeyServer::with_keys(&[old.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    server.publish(&[old.jwk(), new.jwk()]);
    let token = new.token(&claims(json!({})));
    assert_eq!(issuers.verify(&token, later(4)).await.map(drop), fault(TokenFault::UnknownKey));
    assert_eq!(server.asked(), 1, "too early after the last fetch");
    assert_eq!(issuers.verify(&token, later(5)).await.map(drop), Ok(()));
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn tokens_with_keys_nobody_knows_cost_one_fetch_in_five_seconds() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    for second in 5..=14 {
        for n in 0..20 {
            let token = signer.token_with(json!({"kid": format!("x{second}-{n}")}), &claims(json!({})));
            let verdict = issuers.verify(&token, later(second)).await.map(drop);
            assert_eq!(verdict, fault(TokenFault::UnknownKey));
        }
    }
    assert_eq!(server.asked(), 3, "the first, and at 5 s and 10 s");
}

#[tokio::test]
async fn many_who_wait_for_one_key_share_one_fetch() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let server = KeyServer::with_keys(&[old.jwk()]).await;
    let issuers = Arc::new(server.issuers(|_| {}).await);
    server.publish(&[new.jwk()]);
    server.hold();
    let mut waiting = tokio::task::JoinSet::new();
    for n in 0..50 {
        let (issuers, token) = (Arc::clone(&issuers), new.token(&claims(json!({"jti": n.to_string()}))));
        waiting.spawn(async move { issuers.verify(&token, later(10)).await.map(drop) });
    }
    server.until_asked(2).await;
    server.release();
    while let Some(verdict) = waiting.join_next().await {
        assert_eq!(verdict.unwrap(), Ok(()));
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_no_fetch_others_wait_for() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let server = KeyServer::with_keys(&[old.jwk()]).await;
    let issuers = Arc::new(server.issuers(|_| {}).await);
    server.publish(&[new.jwk()]);
    server.hold();
    let token = new.token(&claims(json!({})));
    let first = {
        let (issuers, token) = (Arc::clone(&issuers), token.clone());
        tokio::spawn(async move { issuers.verify(&token, later(10)).await.map(drop) })
    };
    server.until_asked(2).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = tokio::spawn(async move { issuers.verify(&token, later(10)).await.map(drop) });
    server.release();
    assert_eq!(second.await.unwrap(), Ok(()));
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_key_server_that_does_not_answer_is_not_waited_for_longer_than_configured() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    server.hold();
    let issuers = server.issuers(|settings| settings.fetch_timeout = Duration::from_millis(50)).await;
    assert_eq!(issuers.ages(now())[0].last_fault, Some("timed-out"));
    assert_eq!(issuers.verify(&signer.token(&claims(json!({}))), later(5)).await.map(drop), no_keys());
    assert!(!issuers.is_ready(now()));
}

#[tokio::test]
async fn bad_answers_never_cost_the_good_keys() {
    let signer = Signer::new("k", "ES256");
    let elsewhere = KeyServer::with_keys(&[Signer::new("k", "ES256").jwk()]).await;
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    let padded = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(fetch::JWKS_BYTES_MAX));
    let many: Vec<Value> = (0..65).map(|n| signer.jwk_with(json!({"kid": n.to_string()}))).collect();
    let twice = [signer.jwk(), Signer::new("k", "ES256").jwk()];
    let mut at = 0;
    for (answer, reason) in [
        (Answer::Status(500), "status"),
        (Answer::Status(404), "status"),
        (Answer::Status(204), "status"),
        (Answer::Redirect(elsewhere.url()), "redirected"),
        (Answer::Endless, "too-large"),
        (Answer::Body(padded), "too-large"),
        (Answer::CutOff, "cut-off"),
        (Answer::Nothing, "unreachable"),
        (Answer::Body(String::new()), "not-a-key-set"),
        (Answer::Body("<html>".into()), "not-a-key-set"),
        (Answer::Body("{}".into()), "not-a-key-set"),
        (Answer::Body(r#"{"keys": {}}"#.into()), "not-a-key-set"),
        (Answer::Body(r#"{"keys": [], "keys": []}"#.into()), "not-a-key-set"),
        (Answer::Body(jwks(&[])), "no-usable-key"),
        (Answer::Body(jwks(&many)), "too-many-keys"),
        (Answer::Body(jwks(&twice)), "ambiguous-keys"),
    ] {
        at += 3_600 / 2;
        server.answer(answer);
        issuers.refresh(later(at)).await;
        let age = issuers.ages(later(at)).remove(0);
        assert_eq!((age.last_fault, age.keys), (Some(reason), Some(1)), "{reason}");
        assert_eq!(age.age, Some(Duration::from_secs(u64::try_from(at).unwrap())));
        let token = signer.token(&claims(json!({"exp": NOW + at + 60})));
        assert_eq!(issuers.verify(&token, later(at)).await.map(drop), Ok(()), "{reason}");
    }
    assert_eq!(elsewhere.asked(), 0, "nobody was followed");
    server.publish(&[signer.jwk()]);
    issuers.refresh(later(at + 3_600)).await;
    assert_eq!(issuers.ages(later(at + 3_600))[0].last_fault, None);
}

#[tokio::test]
async fn keys_serve_until_their_age_limit_and_then_it_is_not_the_callers_fault() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|settings| settings.keys_age_max = Duration::from_secs(3_600)).await;
    server.answer(Answer::Status(500));
    let token = signer.token(&claims(json!({"exp": NOW + 10_000})));
    assert_eq!(issuers.verify(&token, later(3_600)).await.map(drop), Ok(()));
    assert!(issuers.is_ready(later(3_600)));
    assert_eq!(issuers.verify(&token, later(3_601)).await.map(drop), no_keys(), "not even from the cache");
    assert!(!issuers.is_ready(later(3_601)));
    server.publish(&[signer.jwk()]);
    assert_eq!(issuers.verify(&token, later(3_610)).await.map(drop), Ok(()), "back with the server");
}

#[tokio::test]
async fn keys_are_fetched_when_due_and_not_before() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|settings| settings.refresh_every = Duration::from_secs(100)).await;
    for (at, asked) in [(0, 1), (79, 1), (101, 2), (102, 2), (202, 3), (-50, 4), (-49, 4)] {
        issuers.refresh(later(at)).await;
        assert_eq!(server.asked(), asked, "at {at}");
    }
}

#[tokio::test]
async fn a_withdrawn_key_ends_the_tokens_it_signed_also_those_already_verified() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let server = KeyServer::with_keys(&[old.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    let token = old.token(&claims(json!({"exp": NOW + 10_000})));
    assert_eq!(verify(&issuers, &token).await, Ok(()));
    server.publish(&[new.jwk()]);
    issuers.refresh(later(1_000)).await;
    assert_eq!(issuers.verify(&token, later(1_000)).await.map(drop), fault(TokenFault::UnknownKey));
}

#[tokio::test]
async fn a_verified_token_is_remembered_while_its_keys_and_its_time_last() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    let token = signer.token(&claims(json!({"nbf": NOW - 10})));
    let first = issuers.verify(&token, now()).await.unwrap();
    let again = issuers.verify(&token, later(1)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    issuers.refresh(later(400)).await;
    assert_eq!(server.asked(), 2);
    assert!(Arc::ptr_eq(&first, &issuers.verify(&token, later(401)).await.unwrap()), "the keys are the same");
    assert_eq!(issuers.verify(&token, later(629)).await.map(drop), Ok(()));
    assert_eq!(issuers.verify(&token, later(630)).await.map(drop), fault(TokenFault::Expired));
    assert_eq!(issuers.verify(&token, later(-41)).await.map(drop), fault(TokenFault::NotYetValid));
}

#[tokio::test]
async fn what_was_refused_is_not_remembered() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let issuers = server.issuers(|_| {}).await;
    for token in
        [signer.token(&claims(json!({"aud": "x"}))), "a.b.c".into(), signer.token(&claims(json!({"exp": 1})))]
    {
        assert!(verify(&issuers, &token).await.is_err());
    }
    assert_eq!(issuers.verified.len(), 0);
}

#[tokio::test]
async fn a_reload_keeps_what_is_still_true_and_nothing_else() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::with_keys(&[signer.jwk()]).await;
    let before = server.issuers(|_| {}).await;
    let token = signer.token(&claims(json!({})));
    let first = before.verify(&token, now()).await.unwrap();

    let same = Issuers::new(vec![server.settings()], Some(&before)).unwrap();
    assert!(Arc::ptr_eq(&first, &same.verify(&token, now()).await.unwrap()), "keys and tokens are kept");

    let mut stricter = server.settings();
    stricter.audiences = vec!["https://other.example".into()];
    let stricter = Issuers::new(vec![stricter], Some(&before)).unwrap();
    assert!(stricter.is_ready(now()), "the keys are still its keys");
    assert_eq!(verify(&stricter, &token).await, fault(TokenFault::Audience), "the token is read again");

    let mut other_algorithms = server.settings();
    other_algorithms.algorithms = vec![Algorithm::Rs256];
    let other = Issuers::new(vec![other_algorithms], Some(&before)).unwrap();
    assert!(!other.is_ready(now()));
    assert_eq!(verify(&other, &token).await, fault(TokenFault::Algorithm));

    let none = Issuers::new(vec![], Some(&before)).unwrap();
    assert_eq!(verify(&none, &token).await, fault(TokenFault::UnknownIssuer), "not even from the cache");
    assert_eq!(verify(&before, &token).await, Ok(()), "who still uses the old snapshot is not disturbed");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn keys_from_a_file_are_read_at_each_load_and_do_not_age() {
    let (old, new) = (Signer::new("old", "ES256"), Signer::new("new", "ES256"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let settings = || IssuerSettings::strict("retail", ISS, vec![AUD.into()], KeySource::File(path.clone()));
    let load = |previous: Option<&Issuers>| Issuers::new(vec![settings()], previous);
    assert_eq!(load(None).unwrap_err()[0].field, "keys");
    std::fs::write(&path, jwks(&[old.jwk()])).unwrap();
    let first = load(None).unwrap();
    let token = old.token(&claims(json!({})));
    let verified = first.verify(&token, now()).await.unwrap();
    assert!(first.is_ready(later(1_000_000_000)));
    let same = load(Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&verified, &same.verify(&token, now()).await.unwrap()));
    std::fs::write(&path, jwks(&[new.jwk()])).unwrap();
    let changed = load(Some(&first)).unwrap();
    assert_eq!(verify(&changed, &token).await, fault(TokenFault::UnknownKey));
    assert_eq!(verify(&first, &token).await, Ok(()), "the old snapshot keeps its keys");
    for broken in ["", "{}", &"x".repeat(fetch::JWKS_BYTES_MAX + 1)] {
        std::fs::write(&path, broken).unwrap();
        assert_eq!(load(Some(&first)).unwrap_err()[0].field, "keys");
    }
}

#[tokio::test]
async fn trust_roots_that_are_none_are_told_at_load() {
    let server = KeyServer::with_keys(&[]).await;
    for ca in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut settings = server.settings();
        settings.ca = Some(ca.into());
        assert_eq!(Issuers::new(vec![settings], None).unwrap_err()[0].field, "ca", "{ca}");
    }
}

#[tokio::test]
async fn a_key_server_is_trusted_by_its_configured_root_only() {
    let signer = Signer::new("k", "ES256");
    let (root, address) = tls_key_server(jwks(&[signer.jwk()]));
    let (stranger, _) = tls_key_server(String::new());
    for (ca, fault) in [(root, None), (stranger, Some("unreachable"))] {
        let mut settings =
            IssuerSettings::strict("retail", ISS, vec![AUD.into()], KeySource::Url(address.clone()));
        settings.ca = Some(ca);
        let issuers = Issuers::new(vec![settings], None).unwrap();
        issuers.refresh(now()).await;
        assert_eq!(issuers.ages(now())[0].last_fault, fault);
    }
}

/// A server that answers two connections with `body`; its certificate, which is its own root.
fn tls_key_server(body: String) -> (Vec<u8>, String) {
    use std::io::{Read, Write};
    drop(rustls::crypto::ring::default_provider().install_default());
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let (Ok(mut stream), Ok(mut tls)) = (stream, rustls::ServerConnection::new(Arc::clone(&config)))
            else {
                return;
            };
            let mut tls = rustls::Stream::new(&mut tls, &mut stream);
            let mut head = [0; 1024];
            if tls.read(&mut head).is_ok() {
                let length = body.len();
                let head = format!("HTTP/1.1 200 x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
                let _sent_or_not = tls.write_all(format!("{head}{body}").as_bytes());
            }
        }
    });
    (made.cert.pem().into_bytes(), format!("https://localhost:{port}/jwks"))
}
