//! Issuers that are asked about tokens, and what they may answer.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]

use std::time::Duration;

use serde_json::json;

use super::super::testing::{AUD, ISS, KeyServer, NOW, Signer, claims, later, now};
use super::super::{IssuerSettings, Issuers, KeySource};
use super::*;
use crate::fetch::Trust;
use crate::oauth::testing::Fake;
use crate::oauth::{AnswerForm, ClientAuthentication, ClientSettings, Endpoints, ReadSecret, ServerSettings};

const PATH: &str = "/introspect";
const JSON: &str = "application/json";
const SIGNED: &str = "application/token-introspection+jwt";

/// An issuer with its key server and with who answers for it.
struct Site {
    signer: Signer,
    keys: KeyServer,
    fake: Fake,
}

impl Site {
    async fn new() -> Self {
        let signer = Signer::new("k", "ES256");
        let keys = KeyServer::with_keys(&[signer.jwk()]).await;
        Self { signer, keys, fake: Fake::start().await }
    }

    fn settings(&self) -> IntrospectionSettings {
        let secret = ReadSecret::new("test", || Some(Zeroizing::new(b"s".to_vec())));
        IntrospectionSettings {
            server: ServerSettings {
                name: "retail".to_owned(),
                issuer: Some(ISS.to_owned()),
                endpoints: Endpoints::Given { token: None, introspection: Some(self.fake.url(PATH)) },
                client: ClientSettings {
                    id: "gateway".to_owned(),
                    authentication: ClientAuthentication::SecretBasic(secret),
                },
                trust: Trust { ca: None, timeout: Duration::from_secs(20) },
            },
            tokens: Introspected::Opaque,
            prefix: None,
            form: AnswerForm::Plain,
            cache: Duration::from_secs(60),
            negative_cache: Duration::from_secs(5),
            stale_max: Duration::ZERO,
        }
    }

    async fn issuers(&self, change: impl FnOnce(&mut IntrospectionSettings)) -> Arc<Issuers> {
        let mut introspection = self.settings();
        change(&mut introspection);
        Arc::new(self.keys.issuers(|settings| settings.introspection = Some(introspection)).await)
    }

    /// What the issuer says of every token from now on.
    fn says(&self, answer: Value) {
        self.fake.answer(PATH, 200, JSON, answer);
    }

    fn asked(&self) -> usize {
        self.fake.asked().len()
    }
}

/// What is said of a token that is good.
fn active(changes: Value) -> Value {
    let mut members = claims(changes);
    members.as_object_mut().unwrap().entry("active").or_insert(json!(true));
    members
}

type Told = Result<(), Unverified>;

async fn verify(issuers: &Issuers, token: &str, at: i64) -> Told {
    issuers.verify(token, later(at)).await.map(drop)
}

fn fault(fault: TokenFault) -> Told {
    Err(Unverified::Fault(fault))
}

fn unanswered(why: &'static str) -> Told {
    Err(Unverified::Unanswered { issuer: "retail".into(), why })
}

#[tokio::test]
async fn what_the_issuer_says_is_read_as_a_tokens_claims_are() {
    let site = Site::new().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({"iss": null, "token_type": "Bearer", "act": {"sub": "agent"}})));
    let token = issuers.verify("opaque", now()).await.unwrap();
    assert_eq!((token.issuer(), token.client_id(), token.id()), ("retail", Some("acme"), Some("t1")));
    assert_eq!(token.scopes().len(), 2);
    assert_eq!(token.actor().unwrap().subject, "agent");
    for (n, (changes, expected)) in [
        (json!({"active": false}), TokenFault::Inactive),
        (json!({"iss": "https://evil.example"}), TokenFault::UnknownIssuer),
        (json!({"iss": [ISS]}), TokenFault::UnknownIssuer),
        (json!({"token_type": "refresh_token"}), TokenFault::Type),
        (json!({"token_type": ["Bearer"]}), TokenFault::Type),
        (json!({"aud": null}), TokenFault::MissingClaim("aud")),
        (json!({"aud": "https://other.example"}), TokenFault::Audience),
        (json!({"exp": null}), TokenFault::MissingClaim("exp")),
        (json!({"exp": NOW - 31}), TokenFault::Expired),
        (json!({"nbf": NOW + 31}), TokenFault::NotYetValid),
        (json!({"client_id": null}), TokenFault::MissingClaim("client_id")),
        (json!({"sub": 7}), TokenFault::ClaimForm("sub")),
        (json!({"scope": 7}), TokenFault::ClaimForm("scope")),
        (json!({"nonce": "n"}), TokenFault::IdToken),
    ]
    .into_iter()
    .enumerate()
    {
        site.says(active(changes.clone()));
        assert_eq!(verify(&issuers, &format!("opaque-{n}"), 0).await, fault(expected), "{changes}");
    }
}

#[tokio::test]
async fn a_good_answer_holds_for_a_minute_a_bad_one_for_five_seconds() {
    let site = Site::new().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({"exp": NOW + 1_000})));
    for (at, asked) in [(0, 1), (1, 1), (59, 1), (60, 2), (61, 2), (-5, 3)] {
        assert_eq!((verify(&issuers, "good", at).await, site.asked()), (Ok(()), asked), "at {at}");
    }
    site.says(json!({"active": false}));
    for (at, asked) in [(100, 4), (104, 4), (105, 5)] {
        assert_eq!(verify(&issuers, "good", at).await, fault(TokenFault::Inactive), "at {at}");
        assert_eq!(site.asked(), asked, "at {at}");
    }
    site.says(active(json!({"exp": NOW + 1_000})));
    assert_eq!(verify(&issuers, "good", 110).await, Ok(()), "it may become good again");
}

#[tokio::test]
async fn no_answer_holds_longer_than_its_token() {
    let site = Site::new().await;
    let issuers = site.issuers(|settings| settings.cache = Duration::from_secs(600)).await;
    site.says(active(json!({"exp": NOW + 100})));
    assert_eq!(verify(&issuers, "short", 0).await, Ok(()));
    assert_eq!(verify(&issuers, "short", 129).await, Ok(()));
    assert_eq!(verify(&issuers, "short", 130).await, fault(TokenFault::Expired), "with a clock's difference");
    assert_eq!(site.asked(), 1);
}

#[tokio::test]
async fn many_who_show_one_token_share_one_question_and_one_who_leaves_ends_none() {
    let site = Site::new().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({})));
    site.fake.hold();
    let ask = || {
        let issuers = Arc::clone(&issuers);
        tokio::spawn(async move { verify(&issuers, "opaque", 0).await })
    };
    let first = ask();
    site.fake.until_asked(1).await;
    let others: Vec<_> = (0..50).map(|_| ask()).collect();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    site.fake.release();
    for other in others {
        assert_eq!(other.await.unwrap(), Ok(()));
    }
    assert_eq!(site.asked(), 1);
}

#[tokio::test]
async fn an_issuer_is_asked_so_much_at_once_and_no_more() {
    let site = Site::new().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({})));
    assert_eq!(verify(&issuers, "known", 0).await, Ok(()));
    site.fake.hold();
    let flood: Vec<_> = (0..ASKED_AT_ONCE)
        .map(|n| {
            let issuers = Arc::clone(&issuers);
            tokio::spawn(async move { verify(&issuers, &format!("guess-{n}"), 0).await })
        })
        .collect();
    site.fake.until_asked(ASKED_AT_ONCE + 1).await;
    let overloaded = Err(Unverified::Overloaded { issuer: "retail".into() });
    assert_eq!(verify(&issuers, "one more", 0).await, overloaded);
    assert_eq!(verify(&issuers, "known", 0).await, Ok(()), "what is known is not asked about");
    site.fake.release();
    for one in flood {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(verify(&issuers, "one more", 0).await, Ok(()));
}

#[tokio::test]
async fn whoever_guesses_pushes_nothing_good_out() {
    let site = Site::new().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({})));
    assert_eq!(verify(&issuers, "good", 0).await, Ok(()));
    let (_, issuer) = issuers.opaque.first().unwrap();
    let own = issuer.introspector.as_ref().unwrap();
    for n in 0..(REFUSED_MAX * 3) {
        let digest = super::super::sha256(n.to_string().as_bytes());
        own.remember(digest, &Err(TokenFault::Inactive.into()), now());
    }
    assert_eq!(verify(&issuers, "good", 1).await, Ok(()));
    assert_eq!(site.asked(), 1);
    assert!(own.refused.len() <= REFUSED_MAX);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_makes_no_token_good() {
    let site = Site::new().await;
    let elsewhere = Fake::start().await;
    let issuers = site.issuers(|_| {}).await;
    site.says(active(json!({"exp": NOW + 1_000})));
    assert_eq!(verify(&issuers, "known", 0).await, Ok(()));
    site.fake.redirect(PATH, &elsewhere.url(PATH));
    assert_eq!(verify(&issuers, "t", 0).await, unanswered("redirected"));
    site.fake.forget(PATH);
    assert_eq!(verify(&issuers, "t", 0).await, unanswered("unreachable"));
    for (status, media_type, body, why) in [
        (500, JSON, "{}", "status"),
        (401, JSON, r#"{"error":"invalid_client"}"#, "refused"),
        (200, JSON, "<html>", "bad-answer"),
        (200, JSON, r#"{"active":"true"}"#, "bad-answer"),
        (200, JSON, r#"{"active":true,"active":false}"#, "bad-answer"),
        (200, "text/html", r#"{"active":true}"#, "bad-answer"),
        (200, SIGNED, "a.b.c", "bad-answer"),
    ] {
        site.fake.answer(PATH, status, media_type, body);
        assert_eq!(verify(&issuers, "t", 0).await, unanswered(why), "{body}");
    }
    assert_eq!(verify(&issuers, "known", 59).await, Ok(()), "it was said a moment ago");
    assert_eq!(verify(&issuers, "known", 60).await, unanswered("bad-answer"));
    assert!(elsewhere.asked().is_empty(), "nobody was followed");
    site.says(active(json!({"exp": NOW + 1_000})));
    assert_eq!(verify(&issuers, "known", 61).await, Ok(()), "no failure is remembered");
}

#[tokio::test]
async fn a_good_answer_serves_longer_only_where_that_was_asked_for() {
    let site = Site::new().await;
    let issuers = site.issuers(|settings| settings.stale_max = Duration::from_secs(30)).await;
    site.says(active(json!({"exp": NOW + 1_000})));
    assert_eq!(verify(&issuers, "known", 0).await, Ok(()));
    site.fake.answer(PATH, 503, JSON, "");
    for (at, asked) in [(60, 2), (60, 2), (61, 3), (89, 4)] {
        assert_eq!(verify(&issuers, "known", at).await, Ok(()), "at {at}");
        assert_eq!(site.asked(), asked, "asked again once in a second, at {at}");
    }
    assert_eq!(verify(&issuers, "known", 90).await, unanswered("status"));
    assert_eq!(verify(&issuers, "new", 60).await, unanswered("status"));
    site.says(json!({"active": false}));
    assert_eq!(verify(&issuers, "known", 91).await, fault(TokenFault::Inactive));
    site.fake.answer(PATH, 503, JSON, "");
    assert_eq!(verify(&issuers, "known", 97).await, unanswered("status"), "what ended does not come back");
}

#[tokio::test]
async fn a_signed_answer_is_its_issuers_for_us_and_of_now() {
    let site = Site::new().await;
    let issuers = site.issuers(|settings| settings.form = AnswerForm::Signed).await;
    let answer = |changes: Value, about: Value| {
        let mut body = json!({"iss": ISS, "aud": "gateway", "iat": NOW, "token_introspection": about});
        for (name, value) in changes.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    let sign = |signer: &Signer, typ: &str, body: &Value| signer.token_with(json!({"typ": typ}), body);
    let typ = "token-introspection+jwt";
    let good = answer(json!({}), active(json!({})));
    site.fake.answer(PATH, 200, SIGNED, sign(&site.signer, typ, &good));
    assert_eq!(verify(&issuers, "good", 0).await, Ok(()));
    assert!(site.fake.asked()[0].head.contains(&format!("accept: {SIGNED}\r\n")));
    site.fake.answer(
        PATH,
        200,
        SIGNED,
        sign(&site.signer, typ, &answer(json!({}), json!({"active": false}))),
    );
    assert_eq!(verify(&issuers, "ended", 0).await, fault(TokenFault::Inactive));

    let thief = Signer::new("k", "ES256");
    let own = &site.signer;
    for (n, (name, text)) in [
        ("signed by a thief", sign(&thief, typ, &good)),
        ("an access token", sign(own, "at+jwt", &good)),
        ("a plain JWT", sign(own, "JWT", &good)),
        (
            "of another issuer",
            sign(own, typ, &answer(json!({"iss": "https://evil.example"}), active(json!({})))),
        ),
        ("for another", sign(own, typ, &answer(json!({"aud": "other"}), active(json!({}))))),
        ("for nobody", sign(own, typ, &answer(json!({"aud": null}), active(json!({}))))),
        ("kept", sign(own, typ, &answer(json!({"iat": NOW - 301}), active(json!({}))))),
        ("of no time", sign(own, typ, &answer(json!({"iat": null}), active(json!({}))))),
        ("about nothing", sign(own, typ, &answer(json!({"token_introspection": null}), json!({})))),
        ("undecided", sign(own, typ, &answer(json!({}), json!({"active": "true"})))),
        ("no JWT", "{\"active\":true}".to_owned()),
        ("with a key of its own", thief.token_with(json!({"typ": typ, "jwk": thief.jwk()}), &good)),
    ]
    .into_iter()
    .enumerate()
    {
        site.fake.answer(PATH, 200, SIGNED, text);
        assert_eq!(verify(&issuers, &format!("t{n}"), 0).await, unanswered("bad-answer"), "{name}");
    }
    site.says(active(json!({})));
    assert_eq!(verify(&issuers, "t", 0).await, unanswered("bad-answer"), "unsigned will not do");
}

#[tokio::test]
async fn a_jwt_is_asked_about_where_that_was_asked_for_and_after_its_signature() {
    let site = Site::new().await;
    let (asks, asks_not) = (site.issuers(|s| s.tokens = Introspected::All).await, site.issuers(|_| {}).await);
    let token = site.signer.token(&claims(json!({"exp": NOW + 1_000})));
    assert_eq!(verify(&asks_not, &token, 0).await, Ok(()));
    let forged = Signer::new("k", "ES256").token(&claims(json!({})));
    assert_eq!(verify(&asks, &forged, 0).await, fault(TokenFault::Signature));
    assert_eq!(site.asked(), 0);
    // What the token says is signed; the issuer only says whether it still holds.
    site.says(json!({"active": true, "scope": "everything"}));
    let read = asks.verify(&token, now()).await.unwrap();
    assert_eq!(read.scopes().len(), 2);
    assert_eq!(verify(&asks, &token, 30).await, Ok(()));
    assert_eq!(site.asked(), 1);
    site.says(json!({"active": false}));
    assert_eq!(verify(&asks, &token, 61).await, fault(TokenFault::Inactive));
    assert_eq!(verify(&asks_not, &token, 61).await, Ok(()));
}

#[tokio::test]
async fn a_token_is_its_issuers_by_how_it_begins() {
    let (one, other, rest) = (Site::new().await, Site::new().await, Site::new().await);
    let issuer = |site: &Site, name: &str, prefix: Option<&str>| {
        let iss = format!("https://{name}.example");
        let mut settings =
            IssuerSettings { name: name.to_owned(), issuer: iss.clone(), ..site.keys.settings() };
        let mut introspection = site.settings();
        introspection.server.issuer = Some(iss);
        introspection.prefix = prefix.map(str::to_owned);
        settings.introspection = Some(introspection);
        settings
    };
    let all = [
        issuer(&rest, "rest", None),
        issuer(&one, "one", Some("one_")),
        issuer(&other, "other", Some("two_")),
    ];
    let issuers = Issuers::new(all.to_vec(), None).unwrap();
    for site in [&one, &other, &rest] {
        site.says(active(json!({"iss": null, "aud": AUD})));
    }
    for (token, name) in
        [("one_a", "one"), ("one_a.b.c", "one"), ("two_a", "other"), ("x", "rest"), ("a.b", "rest")]
    {
        assert_eq!(issuers.verify(token, now()).await.unwrap().issuer(), name, "{token}");
    }
    assert_eq!(verify(&issuers, "a.b.c", 0).await, fault(TokenFault::Malformed), "three parts are a JWT's");
    assert_eq!(verify(&issuers, &"x".repeat(8_193), 0).await, fault(TokenFault::TooLong));

    let clash = |first: Option<&str>, second: Option<&str>| {
        let all = vec![issuer(&one, "one", first), issuer(&other, "other", second)];
        Issuers::new(all, None).err().map(|mistakes| mistakes[0].field)
    };
    assert_eq!(clash(Some("a"), Some("b")), None);
    assert_eq!(clash(Some("a"), None), None);
    for (first, second) in
        [(None, None), (Some("a"), Some("a")), (Some("a"), Some("ab")), (Some("ab"), Some("a"))]
    {
        assert_eq!(clash(first, second), Some("introspection"), "{first:?} {second:?}");
    }
    for prefix in ["", "e", "ey", "eyJ"] {
        assert_eq!(clash(Some(prefix), Some("b")), Some("introspection"), "{prefix:?}");
    }
}

/// Issuers of which one has no keys here, and is asked about these of its tokens.
async fn without_keys(site: &Site, tokens: Introspected) -> Arc<Issuers> {
    let introspection = IntrospectionSettings { tokens, ..site.settings() };
    let change = |settings: &mut IssuerSettings| {
        settings.keys = KeySource::Nowhere;
        settings.introspection = Some(introspection);
    };
    Arc::new(site.keys.issuers(change).await)
}

#[tokio::test]
async fn an_issuer_without_keys_has_opaque_tokens_only() {
    let site = Site::new().await;
    let issuers = without_keys(&site, Introspected::Opaque).await;
    assert!(issuers.is_ready(now()), "nothing is waited for");
    site.says(active(json!({})));
    assert_eq!(verify(&issuers, "opaque", 0).await, Ok(()));
    let asked = site.asked();
    let good = site.signer.token(&claims(json!({})));
    let forged = Signer::new("k", "ES256").token(&claims(json!({})));
    for token in [&good, &forged] {
        assert_eq!(verify(&issuers, token, 0).await, fault(TokenFault::NotOnSignature));
    }
    assert_eq!(site.asked(), asked, "nobody is asked about a JWT");
}

#[tokio::test]
async fn an_issuer_without_keys_may_be_asked_about_its_jwts_and_only_its_answer_counts() {
    let site = Site::new().await;
    let issuers = without_keys(&site, Introspected::All).await;
    let forged = |changes| Signer::new("k", "ES256").token(&claims(changes));
    site.says(active(json!({"client_id": "acme"})));
    // What the token says itself proves nothing: that it is the boss's is not read.
    let token = issuers.verify(&forged(json!({"client_id": "boss", "jti": "x"})), now()).await.unwrap();
    assert_eq!(token.client_id(), Some("acme"));
    site.says(json!({"active": false}));
    assert_eq!(verify(&issuers, &forged(json!({"jti": "y"})), 0).await, fault(TokenFault::Inactive));
    let asked = site.asked();
    let other = forged(json!({"iss": "https://other.example"}));
    assert_eq!(verify(&issuers, &other, 0).await, fault(TokenFault::UnknownIssuer));
    let id_token = site.signer.token_with(json!({"typ": "JWT"}), &claims(json!({})));
    assert_eq!(verify(&issuers, &id_token, 0).await, fault(TokenFault::Type));
    assert_eq!(site.asked(), asked);
}

#[tokio::test]
async fn signed_answers_need_keys_to_verify_them() {
    let site = Site::new().await;
    let mut settings = IssuerSettings::strict("retail", ISS, vec![AUD.into()], KeySource::Nowhere);
    settings.introspection = Some(IntrospectionSettings { form: AnswerForm::Signed, ..site.settings() });
    let mistakes = Issuers::new(vec![settings], None).unwrap_err();
    assert_eq!(mistakes.iter().map(|one| one.field).collect::<Vec<_>>(), ["introspection"]);
}
