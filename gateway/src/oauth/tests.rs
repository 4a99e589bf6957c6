//! What an authorization server is sent, and what is made of what it answers.

use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::testing::Fake;
use super::*;
use crate::fetch::Trust;

const TOKEN: &str = "/token";
const INTROSPECT: &str = "/introspect";

fn secret(text: &'static str) -> ReadSecret {
    ReadSecret::new("test", move || Some(Zeroizing::new(text.as_bytes().to_vec())))
}

fn trust() -> Trust {
    Trust { ca: None, timeout: Duration::from_secs(20) }
}

fn settings(fake: &Fake, authentication: ClientAuthentication) -> ServerSettings {
    ServerSettings {
        name: "retail".to_owned(),
        issuer: None,
        endpoints: Endpoints::Given {
            token: Some(fake.url(TOKEN)),
            introspection: Some(fake.url(INTROSPECT)),
        },
        client: ClientSettings { id: "the gate:way".to_owned(), authentication },
        trust: trust(),
    }
}

fn server(fake: &Fake, authentication: ClientAuthentication) -> Server {
    Server::new(settings(fake, authentication)).unwrap()
}

#[tokio::test]
async fn a_client_proves_itself_as_each_method_says() {
    let fake = Fake::start().await;
    fake.answer(TOKEN, 200, "application/json", json!({"access_token": "a", "token_type": "Bearer"}));
    let pem: &'static str = rcgen::KeyPair::generate().unwrap().serialize_pem().leak();
    let key = ClientAuthentication::PrivateKeyJwt { key: secret(pem), key_id: Some("k".to_owned()) };
    for authentication in [
        ClientAuthentication::SecretBasic(secret("p:w")),
        ClientAuthentication::SecretPost(secret("p:w")),
        key,
    ] {
        let (server, scopes) = (server(&fake, authentication), ["orders:read".to_owned(), "x".to_owned()]);
        let granted = server.client_credentials(&scopes, None).await.unwrap();
        assert_eq!(granted.access_token.as_str(), "a");
    }
    let [basic, post, signed] = fake.asked().try_into().unwrap();
    // RFC 6749 section 2.3.1: both are form-encoded before they are joined, so a colon in one splits nothing.
    let credentials = "authorization: Basic dGhlK2dhdGUlM0F3YXk6cCUzQXc=\r\n";
    assert!(basic.head.contains(credentials), "{basic:?}");
    assert_eq!(basic.parameter("client_secret"), None);
    for one in [&post, &signed] {
        assert!(!one.head.contains("authorization"), "{one:?}");
        assert_eq!(one.parameter("client_id").as_deref(), Some("the gate:way"));
    }
    assert_eq!(post.parameter("client_secret").as_deref(), Some("p:w"));
    assert_eq!(signed.parameter("client_secret"), None);
    assert_eq!(signed.parameter("client_assertion_type").as_deref(), Some(assertion::TYPE));
    assert_eq!(signed.parameter("client_assertion").unwrap().split('.').count(), 3);
    for one in [basic, post, signed] {
        assert_eq!(one.line, "POST /token");
        assert_eq!(one.parameter("grant_type").as_deref(), Some("client_credentials"));
        assert_eq!(one.parameter("scope").as_deref(), Some("orders:read x"));
    }
}

#[tokio::test]
async fn where_a_token_is_for_is_told_as_audience_and_as_resource() {
    let fake = Fake::start().await;
    fake.answer(TOKEN, 200, "application/json", json!({"access_token": "a", "token_type": "Bearer"}));
    let server = server(&fake, ClientAuthentication::SecretBasic(secret("s")));
    for audience in ["https://odoo.example/api", "odoo"] {
        server.client_credentials(&[], Some(audience)).await.unwrap();
    }
    let told: Vec<_> =
        fake.asked().iter().map(|a| (a.parameter("audience"), a.parameter("resource"))).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        told,
        [(text("https://odoo.example/api"), text("https://odoo.example/api")), (text("odoo"), None)]
    );
}

#[tokio::test]
async fn an_exchange_names_both_tokens_and_their_types() {
    let fake = Fake::start().await;
    fake.answer(TOKEN, 200, "application/json", json!({"access_token": "b", "token_type": "Bearer"}));
    let order = Exchange {
        subject_token: "caller+token",
        actor_token: Some("own"),
        audience: Some("stock"),
        resource: None,
        scopes: &["stock:read".to_owned()],
    };
    let server = server(&fake, ClientAuthentication::SecretBasic(secret("s")));
    assert_eq!(server.exchange(&order).await.unwrap().access_token.as_str(), "b");
    let [asked] = fake.asked().try_into().unwrap();
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "caller+token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("actor_token", "own"),
        ("audience", "stock"),
        ("scope", "stock:read"),
    ] {
        assert_eq!(asked.parameter(name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn what_an_answer_says_of_a_token() {
    let fake = Fake::start().await;
    let server = server(&fake, ClientAuthentication::SecretBasic(secret("s")));
    let elsewhere = Fake::start().await;
    let asked = async |form| server.introspect("opaque", form).await.map(|known| format!("{known:?}"));
    let check = async |form, expected: Result<&str, OauthFault>| {
        assert_eq!(asked(form).await.as_deref().map_err(Clone::clone), expected);
    };
    fake.answer(INTROSPECT, 200, "application/json; charset=utf-8", json!({"active": true}));
    check(AnswerForm::Plain, Ok("Active")).await;
    check(AnswerForm::Signed, Err(OauthFault::BadAnswer)).await;
    fake.answer(INTROSPECT, 200, "application/token-introspection+jwt", "a.b.c");
    check(AnswerForm::Signed, Ok("Signed")).await;
    check(AnswerForm::Plain, Err(OauthFault::BadAnswer)).await;
    fake.answer(INTROSPECT, 401, "application/json", json!({"error": "invalid_client"}));
    check(AnswerForm::Plain, Err(OauthFault::Refused("invalid_client"))).await;
    fake.answer(INTROSPECT, 200, "application/json", json!({"active": true, "x": "y".repeat(70_000)}));
    check(AnswerForm::Plain, Err(OauthFault::TooLarge)).await;
    fake.redirect(INTROSPECT, &elsewhere.url(INTROSPECT));
    check(AnswerForm::Plain, Err(OauthFault::Redirected)).await;
    assert!(elsewhere.asked().is_empty(), "nobody was followed");
    let asked = &fake.asked()[0];
    assert_eq!(asked.parameter("token").as_deref(), Some("opaque"));
    assert!(asked.head.contains("accept: application/json\r\n"), "{asked:?}");
}

#[tokio::test]
async fn without_its_secret_nobody_is_asked() {
    let fake = Fake::start().await;
    let gone = || ReadSecret::new("gone", || None);
    for authentication in [
        ClientAuthentication::SecretBasic(gone()),
        ClientAuthentication::SecretPost(secret("")),
        ClientAuthentication::PrivateKeyJwt { key: secret("no key"), key_id: None },
        ClientAuthentication::MutualTls { chain: gone(), key: gone() },
        ClientAuthentication::MutualTls { chain: secret("no"), key: secret("certificate") },
    ] {
        let server = server(&fake, authentication);
        assert_eq!(server.client_credentials(&[], None).await.err(), Some(OauthFault::NoSecret));
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn endpoints_are_found_once_and_a_document_that_is_not_the_issuers_finds_none() {
    let fake = Fake::start().await;
    let found = || {
        let mut settings = settings(&fake, ClientAuthentication::SecretBasic(secret("s")));
        settings.issuer = Some(fake.url("/retail"));
        settings.endpoints = Endpoints::Discover(WellKnown::Oauth);
        Server::new(settings).unwrap()
    };
    let place = "/.well-known/oauth-authorization-server/retail";
    fake.answer(place, 200, "application/json", json!({"issuer": "https://evil.example"}));
    let server = found();
    for _ in 0..3 {
        assert_eq!(server.client_credentials(&[], None).await.err(), Some(OauthFault::BadAnswer));
    }
    assert_eq!(fake.asked().len(), 1, "a server that has failed is not asked again at once");

    let document = json!({"issuer": fake.url("/retail"), "token_endpoint": fake.url(TOKEN)});
    fake.answer(place, 200, "application/json", document);
    fake.answer(TOKEN, 200, "application/json", json!({"access_token": "a", "token_type": "Bearer"}));
    let server = found();
    for _ in 0..3 {
        server.client_credentials(&[], None).await.unwrap();
    }
    assert_eq!(server.introspect("x", AnswerForm::Plain).await.err(), Some(OauthFault::NoEndpoint));
    let lines: Vec<_> = fake.asked().into_iter().map(|asked| asked.line).collect();
    assert_eq!(lines[1..], [&format!("GET {place}"), "POST /token", "POST /token", "POST /token"]);
}

#[tokio::test]
async fn old_metadata_serve_while_new_ones_are_read_and_are_not_lost_to_bad_ones() {
    use jiff::{SignedDuration, Timestamp};
    let fake = Fake::start().await;
    let place = "/.well-known/openid-configuration";
    let issuer = fake.url("");
    let document = |path: &str| json!({"issuer": issuer, "jwks_uri": fake.url(path)});
    let discovery = Discovery::new(&issuer, WellKnown::OpenId, &trust()).unwrap();
    let start = Timestamp::now();
    let later = |minutes| start.checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let keys = async |minutes| discovery.found(later(minutes)).await.map(|found| found.keys.unwrap());
    let until_asked = async |times| {
        while fake.asked().len() < times {
            tokio::task::yield_now().await;
        }
    };

    fake.answer(place, 200, "application/json", document("/one"));
    assert_eq!(keys(0).await, Ok(fake.url("/one")));
    assert_eq!(keys(9).await, Ok(fake.url("/one")));
    assert_eq!(fake.asked().len(), 1);
    for (minutes, (status, body)) in (11..).zip([
        (500, "{}".to_owned()),
        (200, "{}".to_owned()),
        (200, json!({"issuer": "https://evil.example", "jwks_uri": "https://evil.example"}).to_string()),
        (200, json!({"issuer": issuer, "jwks_uri": "http://evil.example/jwks"}).to_string()),
        (200, json!({"issuer": issuer, "x": "y".repeat(70_000)}).to_string()),
    ]) {
        let before = fake.asked().len();
        fake.answer(place, status, "application/json", body);
        assert_eq!(keys(minutes).await, Ok(fake.url("/one")));
        until_asked(before.saturating_add(1)).await;
    }
    fake.answer(place, 200, "application/json", document("/two"));
    while keys(30).await != Ok(fake.url("/two")) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn settings_that_cannot_be_meant_are_told_by_field() {
    let fake = Fake::start().await;
    let check = |change: fn(&mut ServerSettings), field: &str| {
        let mut settings = settings(&fake, ClientAuthentication::SecretBasic(secret("s")));
        change(&mut settings);
        assert_eq!(Server::new(settings).unwrap_err().field, field);
    };
    check(|s| s.client.id.clear(), "id");
    check(|s| s.trust.ca = Some(b"nothing".to_vec()), "ca");
    check(|s| s.endpoints = Endpoints::Discover(WellKnown::OpenId), "issuer");
    check(
        |s| s.endpoints = Endpoints::Given { token: Some("http://as.example/".into()), introspection: None },
        "url",
    );
}

#[test]
fn nothing_of_a_secret_is_shown() {
    let secret = secret("hunter2");
    let shown = format!("{secret:?} {:?}", ClientAuthentication::SecretBasic(secret.clone()));
    assert!(!shown.contains("hunter2"), "{shown}");
}
