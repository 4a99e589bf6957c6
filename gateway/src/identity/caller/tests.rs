//! Who is identified by what, and who is nobody.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "a test")]

use http::Request;
use http::header::AUTHORIZATION;
use jiff::civil::date;
use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use serde_json::{Value, json};

use super::*;
use crate::document::Document;
use crate::identity::dpop::{DPOP_WINDOW, DpopSettings, NonceRule};
use crate::identity::error::Challenge;
use crate::identity::token::Algorithm;
use crate::identity::token::testing::*;

const CALLERS: &str = "callers:
  acme: {kind: partner, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: acme}}, {certificate: {dns: client.acme.example}}]}
  swift: {kind: partner, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: swift}}, {certificate: {dns: client.swift.example}}]}
  warehouse: {kind: service, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{certificate: {spiffe: 'spiffe://retailer.example/warehouse'}}]}
  nightly: {kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: jobs, subject: nightly}}]}
  jobs: {kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: jobs}}]}
  by-subject: {kind: service, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, subject: robot}}]}
  desk: {kind: person, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, claim: {name: groups, value: desk}}}]}
  finance: {kind: person, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, claim: {name: groups, value: finance}}}]}
  alice: {kind: person, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, subject: alice}}]}
  desk-app: {kind: person, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: jobs, claim: {name: groups, value: desk}}}]}
  foreign: {kind: partner, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: other, client_id: foreign}}]}
";

const TOKEN: Asked = Asked { token: true, certificate: false };
const CERTIFICATE: Asked = Asked { token: false, certificate: true };
const BOTH: Asked = Asked { token: true, certificate: true };
const NOTHING: Asked = Asked { token: false, certificate: false };

struct World {
    signer: Signer,
    identities: Identities,
    server: KeyServer,
}

impl World {
    async fn new() -> Self {
        Self::with(CALLERS).await
    }

    async fn with(callers: &str) -> Self {
        let signer = Signer::new("k", "ES256");
        let server = KeyServer::with_keys(&[signer.jwk()]).await;
        let issuers = Arc::new(server.issuers(|_| {}).await);
        let document = Document::parse("callers.yaml", callers).unwrap();
        let (callers, _) = Callers::load(&document, &["retail", "other"], date(2026, 11, 23)).unwrap();
        Self { signer, identities: Identities::new(callers, issuers, proofs(), Arc::default()), server }
    }

    fn request(&self, changes: Value) -> Parts {
        bearing(&self.signer.token(&claims(changes)))
    }

    /// Who is identified and how, or the reason why nobody is.
    async fn who(
        &self,
        asked: &[Asked],
        request: &Parts,
        certificate: Option<&Arc<ClientCertificate>>,
    ) -> String {
        match self.identities.identify(&demand(asked), request, connected(certificate), now()).await {
            Ok(caller) => format!("{} by {}", caller.id().unwrap_or("nobody"), caller.how()),
            Err(error) => error.reason().to_owned(),
        }
    }
}

/// Judges proofs of possession; nonces are for the tests of `dpop`.
fn proofs() -> Dpop {
    let settings =
        DpopSettings { nonce: NonceRule::Off, window: DPOP_WINDOW, algorithms: vec![Algorithm::Es256] };
    Dpop::new(settings, None, later(-1_000)).unwrap()
}

fn demand(asked: &[Asked]) -> Demand {
    Demand { asked: asked.to_vec(), bound: None, sign_in: None }
}

fn connected(certificate: Option<&Arc<ClientCertificate>>) -> Connected<'_> {
    Connected { certificate, origin: None }
}

fn bearing(token: &str) -> Parts {
    Request::builder().header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap().into_parts().0
}

fn empty() -> Parts {
    Request::new(()).into_parts().0
}

fn certificate(names: &[SanType]) -> Arc<ClientCertificate> {
    certificate_until(names, 2027)
}

fn certificate_until(names: &[SanType], year: i32) -> Arc<ClientCertificate> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.not_after = date_time_ymd(year, 1, 1);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Arc::new(ClientCertificate::from_der(made.der()).unwrap())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn spiffe(id: &str) -> SanType {
    SanType::URI(id.try_into().unwrap())
}

#[tokio::test]
async fn what_is_asked_for_and_shown_decides_who_it_is() {
    let world = World::new().await;
    let (acme, stranger) = (certificate(&[dns("client.acme.example")]), certificate(&[dns("x.example")]));
    let swift = certificate(&[dns("client.swift.example")]);
    let (acme, stranger, swift) = (Some(&acme), Some(&stranger), Some(&swift));
    let (none, token) = (empty(), world.request(json!({})));
    let (unknown, bad) = (world.request(json!({"client_id": "x"})), bearing("a.b.c"));
    for (asked, request, certificate, expected) in [
        (&[TOKEN][..], &token, None, "acme by token"),
        (&[TOKEN], &token, acme, "acme by token+certificate"),
        (&[TOKEN], &token, stranger, "acme by token"),
        (&[TOKEN], &token, swift, "proofs-disagree"),
        (&[TOKEN], &none, None, "no-proof"),
        (&[TOKEN], &none, acme, "no-proof"),
        (&[TOKEN], &unknown, None, "caller-unknown"),
        (&[TOKEN], &bad, acme, "token-malformed"),
        (&[CERTIFICATE], &none, acme, "acme by certificate"),
        (&[CERTIFICATE], &none, None, "certificate-needed"),
        (&[CERTIFICATE], &none, stranger, "caller-unknown"),
        (&[CERTIFICATE], &token, None, "certificate-needed"),
        (&[CERTIFICATE], &bad, acme, "acme by certificate"),
        (&[BOTH], &token, acme, "acme by token+certificate"),
        (&[BOTH], &token, swift, "proofs-disagree"),
        (&[BOTH], &token, stranger, "caller-unknown"),
        (&[BOTH], &token, None, "certificate-needed"),
        (&[BOTH], &none, acme, "no-proof"),
        (&[BOTH], &none, None, "no-proof"),
        (&[BOTH], &unknown, acme, "caller-unknown"),
        (&[BOTH], &bad, acme, "token-malformed"),
        (&[TOKEN, CERTIFICATE], &token, None, "acme by token"),
        (&[TOKEN, CERTIFICATE], &none, acme, "acme by certificate"),
        (&[TOKEN, CERTIFICATE], &token, acme, "acme by token+certificate"),
        (&[TOKEN, CERTIFICATE], &token, swift, "proofs-disagree"),
        (&[TOKEN, CERTIFICATE], &bad, acme, "token-malformed"),
        (&[TOKEN, CERTIFICATE], &none, None, "no-proof"),
        (&[TOKEN, CERTIFICATE], &none, stranger, "caller-unknown"),
        (&[BOTH, CERTIFICATE], &token, acme, "acme by token+certificate"),
        (&[BOTH, CERTIFICATE], &none, None, "certificate-needed"),
        (&[NOTHING], &none, None, "nobody by none"),
        (&[NOTHING], &bad, stranger, "nobody by none"),
        (&[NOTHING], &token, acme, "nobody by none"),
        (&[NOTHING, TOKEN], &none, None, "nobody by none"),
        (&[NOTHING, TOKEN], &token, None, "acme by token"),
        (&[NOTHING, TOKEN], &bad, None, "token-malformed"),
        (&[NOTHING, TOKEN], &unknown, None, "caller-unknown"),
        (&[NOTHING, CERTIFICATE], &none, acme, "acme by certificate"),
        (&[NOTHING, CERTIFICATE], &none, stranger, "nobody by none"),
        (&[], &token, acme, "no-proof"),
        (&[], &none, None, "no-proof"),
    ] {
        let who = world.who(asked, request, certificate).await;
        assert_eq!(
            who,
            expected,
            "{asked:?} {:?} {certificate:?}",
            request.headers.contains_key(AUTHORIZATION)
        );
    }
}

#[tokio::test]
async fn a_token_is_that_of_the_caller_whose_proof_asks_for_most_or_of_nobody() {
    let world = World::new().await;
    for (changes, expected) in [
        (json!({"client_id": "swift"}), "swift by token"),
        (json!({"client_id": "Swift"}), "caller-unknown"),
        (json!({"client_id": "foreign"}), "caller-unknown"),
        (json!({"client_id": "jobs", "sub": "x"}), "jobs by token"),
        (json!({"client_id": "jobs", "sub": "nightly"}), "nightly by token"),
        (json!({"client_id": "x", "sub": "nightly"}), "caller-unknown"),
        (json!({"client_id": "x", "sub": "robot"}), "by-subject by token"),
        (json!({"client_id": "jobs", "sub": "robot"}), "caller-ambiguous"),
        (json!({"client_id": "x", "groups": ["desk"]}), "desk by token"),
        (json!({"client_id": "x", "groups": "desk"}), "desk by token"),
        (json!({"client_id": "x", "groups": ["desk", "finance"]}), "caller-ambiguous"),
        (json!({"client_id": "x", "sub": "alice"}), "alice by token"),
        (json!({"client_id": "x", "sub": "alice", "groups": ["desk"]}), "alice by token"),
        (json!({"client_id": "x", "sub": "alice", "groups": ["desk", "finance"]}), "alice by token"),
        (json!({"client_id": "jobs", "groups": ["desk"]}), "desk-app by token"),
        (json!({"client_id": "jobs", "sub": "nightly", "groups": ["desk"]}), "caller-ambiguous"),
    ] {
        assert_eq!(world.who(&[TOKEN], &world.request(changes.clone()), None).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_persons_token_is_never_a_machines() {
    let world = World::new().await;
    for (changes, expected) in [
        // Signed in through a client that is also a machine's.
        (json!({"client_id": "acme", "sub": "alice"}), "caller-ambiguous"),
        (json!({"client_id": "acme", "sub": "bob", "groups": ["desk"]}), "caller-ambiguous"),
        (json!({"client_id": "acme", "sub": "bob", "auth_time": NOW}), "caller-unknown"),
        (json!({"client_id": "acme", "sub": "bob", "amr": ["pwd"]}), "caller-unknown"),
        (json!({"client_id": "acme", "sub": "alice", "auth_time": NOW}), "alice by token"),
        (json!({"client_id": "acme", "sub": "bob", "groups": ["desk"], "amr": ["pwd"]}), "desk by token"),
    ] {
        assert_eq!(world.who(&[TOKEN], &world.request(changes.clone()), None).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_certificate_is_that_of_the_one_caller_all_its_names_agree_on() {
    let world = World::new().await;
    for (names, expected) in [
        (vec![dns("CLIENT.acme.example")], "acme by certificate"),
        (vec![dns("x.example"), dns("client.acme.example")], "acme by certificate"),
        (vec![dns("client.acme.example"), dns("client.swift.example")], "caller-ambiguous"),
        (vec![spiffe("spiffe://retailer.example/warehouse")], "warehouse by certificate"),
        (vec![spiffe("spiffe://retailer.example/warehouse/x")], "caller-unknown"),
        (vec![spiffe("spiffe://retailer.example/warehouse"), dns("client.acme.example")], "caller-ambiguous"),
        (vec![dns("*.acme.example")], "caller-unknown"),
        (vec![dns("acme.example")], "caller-unknown"),
        (vec![], "caller-unknown"),
    ] {
        let who = world.who(&[CERTIFICATE], &empty(), Some(&certificate(&names))).await;
        assert_eq!(who, expected, "{names:?}");
    }
}

#[tokio::test]
async fn a_certificate_identifies_by_its_hash() {
    let shown = certificate(&[]);
    let text = format!(
        "callers: {{a: {{kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{{certificate: {{sha256: '{}'}}}}]}}}}",
        shown.sha256_hex()
    );
    let document = Document::parse("callers.yaml", &text).unwrap();
    let (callers, _) = Callers::load(&document, &[], date(2026, 11, 23)).unwrap();
    let identities =
        Identities::new(callers, Arc::new(Issuers::new(vec![], None).unwrap()), proofs(), Arc::default());
    let caller =
        identities.identify(&demand(&[CERTIFICATE]), &empty(), connected(Some(&shown)), now()).await.unwrap();
    assert_eq!(caller.id(), Some("a"));
    let other = identities
        .identify(&demand(&[CERTIFICATE]), &empty(), connected(Some(&certificate(&[]))), now())
        .await;
    assert_eq!(other.unwrap_err().reason(), "caller-unknown");
}

#[tokio::test]
async fn a_certificate_that_ended_during_its_connection_proves_nothing() {
    let world = World::new().await;
    let ended = certificate_until(&[dns("client.acme.example")], 2026);
    assert_eq!(world.who(&[CERTIFICATE], &empty(), Some(&ended)).await, "certificate-expired");
    assert_eq!(world.who(&[TOKEN], &world.request(json!({})), Some(&ended)).await, "certificate-expired");
}

#[tokio::test]
async fn a_bound_token_is_good_only_with_its_certificate() {
    let world = World::new().await;
    let (own, other) =
        (certificate(&[dns("client.acme.example")]), certificate(&[dns("client.acme.example")]));
    let unlisted = certificate(&[dns("x.example")]);
    let bound = |to: &Arc<ClientCertificate>| world.request(json!({"cnf": {"x5t#S256": b64(to.sha256())}}));
    for (request, certificate, expected) in [
        (bound(&own), Some(&own), "acme by token+certificate"),
        (bound(&unlisted), Some(&unlisted), "acme by token"),
        (bound(&own), Some(&other), "token-binding"),
        (bound(&own), None, "token-binding"),
    ] {
        assert_eq!(world.who(&[TOKEN], &request, certificate).await, expected);
    }
}

#[tokio::test]
async fn a_request_that_shows_a_token_badly_is_told_so() {
    let world = World::new().await;
    let good = world.signer.token(&claims(json!({})));
    let in_query = Request::builder().uri(format!("/?access_token={good}")).body(()).unwrap().into_parts().0;
    assert_eq!(world.who(&[TOKEN], &in_query, None).await, "token-in-query");
    assert_eq!(world.who(&[NOTHING], &in_query, None).await, "nobody by none");
    let mut twice = bearing(&good);
    twice.headers.append(AUTHORIZATION, format!("Bearer {good}").parse().unwrap());
    assert_eq!(world.who(&[TOKEN], &twice, None).await, "authorization-repeated");
}

#[tokio::test]
async fn the_clients_part_of_an_error_is_a_challenge_and_names_nobody() {
    let world = World::new().await;
    let expired = world.request(json!({"exp": NOW - 3_600}));
    let error =
        world.identities.identify(&demand(&[TOKEN]), &expired, connected(None), now()).await.unwrap_err();
    let challenge =
        Challenge { error: Some("invalid_token"), description: Some("the access token has expired") };
    assert_eq!((error.reason(), error.challenge()), ("token-expired", Some(challenge)));
    assert_eq!(error.to_string(), "the access token is not accepted");

    let error =
        world.identities.identify(&demand(&[TOKEN]), &empty(), connected(None), now()).await.unwrap_err();
    assert_eq!(error.challenge(), Some(Challenge { error: None, description: None }));

    let stranger = world.request(json!({"client_id": "x", "sub": "somebody"}));
    let error =
        world.identities.identify(&demand(&[TOKEN]), &stranger, connected(None), now()).await.unwrap_err();
    assert_eq!(error.challenge(), None);
    assert!(!format!("{error} {error:?}").contains("somebody"));
    let IdentityError::UnknownCaller(Stranger::Token(token)) = error else { panic!("a stranger") };
    assert_eq!(token.client_id(), Some("x"), "the record can say who it was");
}

#[tokio::test]
async fn without_keys_nobody_is_blamed() {
    let signer = Signer::new("k", "ES256");
    let server = KeyServer::start(Answer::Status(500)).await;
    let issuers = Arc::new(server.issuers(|_| {}).await);
    let identities =
        Identities::new(World::new().await.identities.callers, issuers, proofs(), Arc::default());
    let request = bearing(&signer.token(&claims(json!({}))));
    let error = identities.identify(&demand(&[TOKEN]), &request, connected(None), now()).await.unwrap_err();
    assert_eq!((error.reason(), error.challenge()), ("keys-unavailable", None));
}

#[tokio::test]
async fn the_caller_carries_what_it_proved() {
    let world = World::new().await;
    let own = certificate(&[dns("client.acme.example")]);
    let request = world.request(json!({}));
    let caller =
        world.identities.identify(&demand(&[BOTH]), &request, connected(Some(&own)), now()).await.unwrap();
    assert_eq!((caller.id(), caller.kind()), (Some("acme"), Some(Kind::Partner)));
    assert_eq!(caller.token().and_then(|token| token.id()), Some("t1"));
    assert_eq!(caller.certificate().map(|shown| *shown.sha256()), Some(*own.sha256()));
    assert_eq!(
        caller.profile().map(|profile| profile.index),
        world.identities.callers().by_id("acme").map(|p| p.index)
    );
    let open =
        world.identities.identify(&demand(&[NOTHING]), &request, connected(Some(&own)), now()).await.unwrap();
    assert!(open.profile().is_none() && open.token().is_none() && open.certificate().is_none());
    assert_eq!(world.server.asked(), 1);
}

#[tokio::test]
async fn nobody_acts_by_a_machines_token_unless_its_proof_says_so() {
    let world = World::with(CALLERS_WITH_TERMS).await;
    let act = |sub: &str| json!({"sub": sub});
    for (changes, expected) in [
        (json!({"client_id": "plain"}), "plain by token"),
        (json!({"client_id": "plain", "act": act("x")}), "actor-not-allowed"),
        (json!({"client_id": "any", "act": act("x")}), "any by token"),
        (json!({"client_id": "any"}), "any by token"),
        (json!({"client_id": "only", "act": act("desk")}), "only by token"),
        (json!({"client_id": "only", "act": {"sub": "desk", "iss": ISS}}), "only by token"),
        (
            json!({"client_id": "only", "act": {"sub": "desk", "iss": "https://other.example"}}),
            "actor-not-allowed",
        ),
        (json!({"client_id": "only", "act": act("x")}), "actor-not-allowed"),
        (json!({"client_id": "only", "act": {"sub": "x", "act": act("desk")}}), "actor-not-allowed"),
        (json!({"client_id": "only"}), "actor-not-allowed"),
        (json!({"client_id": "x", "sub": "alice", "act": act("app")}), "alice by token"),
        (json!({"client_id": "any", "act": act("x"), "may_act": act("y")}), "token-actor"),
        (json!({"client_id": "any", "azp": "other"}), "token-clients-differ"),
    ] {
        assert_eq!(world.who(&[TOKEN], &world.request(changes.clone()), None).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_kinds_rules_hold_for_all_its_callers() {
    let world = World::with(CALLERS_WITH_TERMS).await;
    let own = certificate(&[]);
    let cnf = json!({"x5t#S256": b64(own.sha256())});
    for (changes, certificate, expected) in [
        // Half an hour at most for services.
        (json!({"client_id": "server", "iat": NOW - 60, "exp": NOW + 1_740}), None, "token-binding-required"),
        (json!({"client_id": "server", "iat": NOW - 60, "exp": NOW + 1_741}), None, "token-lifetime"),
        (json!({"client_id": "server", "cnf": cnf}), Some(&own), "server by token"),
        (json!({"client_id": "server", "cnf": cnf}), None, "token-binding"),
        // Both the kind's rule and the proof's must be met.
        (json!({"client_id": "server-of-keys", "cnf": cnf}), Some(&own), "token-binding-required"),
    ] {
        let who = world.who(&[TOKEN], &world.request(changes.clone()), certificate).await;
        assert_eq!(who, expected, "{changes}");
    }
}

#[tokio::test]
async fn a_person_has_signed_in_as_its_kind_and_the_operation_ask() {
    let world = World::with(CALLERS_WITH_TERMS).await;
    let hardware = SignIn { amr: vec!["hwk".to_owned()], ..SignIn::default() };
    let stricter = Demand { sign_in: Some(hardware), ..demand(&[TOKEN, CERTIFICATE]) };
    let usual = demand(&[TOKEN, CERTIFICATE]);
    for (changes, demand, expected) in [
        (json!({"sub": "alice", "amr": ["mfa"]}), &usual, None),
        (json!({"sub": "alice", "amr": ["pwd"]}), &usual, Some("sign-in-insufficient")),
        (json!({"sub": "alice"}), &usual, Some("sign-in-insufficient")),
        (json!({"sub": "alice", "amr": ["mfa"]}), &stricter, Some("sign-in-insufficient")),
        (json!({"sub": "alice", "amr": ["mfa", "hwk"]}), &stricter, None),
        (json!({"sub": "alice", "amr": ["hwk"]}), &stricter, Some("sign-in-insufficient")),
        (json!({"client_id": "plain"}), &stricter, None),
    ] {
        let mut changed = json!({"client_id": "x"});
        changed.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let request = world.request(changed);
        let caller = world.identities.identify(demand, &request, connected(None), now()).await.unwrap();
        let judged = world.identities.signed_in(&caller, demand, now());
        assert_eq!(judged.err().map(|error| error.reason()), expected, "{changes}");
    }
    // Without a token nothing says how a person signed in.
    let desk = certificate(&[dns("desk.example")]);
    let connected = connected(Some(&desk));
    let caller = world.identities.identify(&usual, &empty(), connected, now()).await.unwrap();
    let judged = world.identities.signed_in(&caller, &usual, now());
    assert_eq!(judged.err().map(|error| error.reason()), Some("sign-in-insufficient"));
}

const CALLERS_WITH_TERMS: &str = "kinds:
  service: {token_lifetime: 30m, bound: either}
  person: {sign_in: {amr: [mfa]}}
callers:
  plain: {kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: plain}}]}
  any: {kind: partner, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: any, actor: any}}]}
  only: {kind: bot, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: only, actor: desk}}]}
  server: {kind: service, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: server}}]}
  server-of-keys: {kind: service, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: server-of-keys, bound: dpop}}]}
  alice: {kind: person, owner: o, description: d, plan: p, review_by: 2027-01-01, proofs: [{token: {issuer: retail, subject: alice}}, {certificate: {dns: desk.example}}]}
";
