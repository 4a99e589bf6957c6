//! The kinds of refusal: how is a good call spoilt, and what must come of it?

use std::sync::Arc;

use bytes::Bytes;
use gateway::contract::KindSet;
use jiff::Timestamp;
use testbed::Gate;
use testbed::World;
use testbed::issuer::{Algorithm, SigningKey};
use testbed::upstream::{Answer, Manner, Upstream};

use super::worlds;
use crate::calls::{Attempt, Call};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    NoProof,
    ExpiredToken,
    WrongAudience,
    UnknownKey,
    UnsignedToken,
    ForgedToken,
    UnregisteredClient,
    CallerNotServed,
    MissingScope,
    PolicyRefused,
    MissingCertificate,
    ProofsOfTwoCallers,
    UnknownParameter,
    BrokenParameter,
    BrokenBody,
    WrongContentType,
    TooLargeBody,
    MalformedJson,
    DuplicateKey,
    BrokenAnswer,
    QuotaUsedUp,
    DeadUpstream,
    SlowUpstream,
}

/// What may have happened behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// No upstream saw anything.
    Nothing,
    /// One saw the request, once.
    Called,
}

/// What must come of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) status: u16,
    /// The end of the problem's type.
    pub(super) problem: &'static str,
    /// The reason on record.
    pub(super) reason: &'static str,
    /// The outcome on record.
    pub(super) outcome: &'static str,
    /// A part of `WWW-Authenticate`; without one, the field must not be there.
    pub(super) challenge: Option<&'static str>,
    /// Further fields that the answer must have.
    pub(super) fields: &'static [&'static str],
    pub(super) effect: Effect,
    /// Whether the record tells of a call to the upstream, which may have failed before it arrived.
    pub(super) recorded_call: bool,
    /// Whether the caller of the good call is on record.
    pub(super) known_caller: bool,
}

/// Stands in a withheld answer.
pub(super) const SECRET: &str = "what-only-the-upstream-knows";

const PUBLIC: &str = "stock.v1.fetchStatus";
const WITHOUT_BODY: &[&str] = &[
    "customers.v1.fetchCustomer",
    "customers.v1.findCustomer",
    "orders.v1.fetchOrder",
    "orders.v1.listOrders",
    "orders.v2.fetchOrder",
    "orders.v2.listOrders",
    "returns.v1.fetchReturn",
    "returns.v1.listRefunds",
    "returns.v1.listReturns",
    "shipments.v1.fetchLabel",
    "shipments.v1.fetchShipment",
    "shipments.v1.listShipments",
    PUBLIC,
    "stock.v1.findStock",
    "stock.v1.stockLevel",
];
const WITHOUT_PARAMETERS: &[&str] = &[
    "orders.v1.createOrder",
    "orders.v2.createOrder",
    "returns.v1.initiateRefund",
    "returns.v1.initiateReturn",
    PUBLIC,
];
const TOKEN_ALONE_SUFFICES: &[&str] = &[
    "orders.v1.fetchOrder",
    "orders.v1.listOrders",
    "orders.v2.cancelOrder",
    "orders.v2.fetchOrder",
    "orders.v2.listOrders",
    "returns.v1.fetchReturn",
    "returns.v1.initiateReturn",
    "returns.v1.listRefunds",
    "returns.v1.listReturns",
    "shipments.v1.fetchLabel",
    "shipments.v1.fetchShipment",
    "shipments.v1.listShipments",
    "shipments.v1.updateShipment",
    PUBLIC,
    "stock.v1.findStock",
    "stock.v1.stockLevel",
];

/// What cannot happen to which operations, and why.
pub(super) const CANNOT_APPLY: &[(Kind, &[&str], &str)] = &[
    (Kind::NoProof, &[PUBLIC], "it is public"),
    (Kind::ExpiredToken, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (Kind::WrongAudience, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (Kind::UnknownKey, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (Kind::UnsignedToken, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (Kind::ForgedToken, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (Kind::UnregisteredClient, &[PUBLIC, "stock.v1.countStock"], "it takes no token"),
    (
        Kind::CallerNotServed,
        &[
            "orders.v2.fetchOrder",
            "returns.v1.fetchReturn",
            PUBLIC,
            "stock.v1.findStock",
            "stock.v1.stockLevel",
        ],
        "it serves every kind",
    ),
    (Kind::MissingScope, &[PUBLIC, "stock.v1.countStock"], "it asks for no scope"),
    (Kind::PolicyRefused, &[PUBLIC], "everybody may"),
    (Kind::MissingCertificate, TOKEN_ALONE_SUFFICES, "a token alone, or nothing, suffices"),
    (Kind::ProofsOfTwoCallers, TOKEN_ALONE_SUFFICES, "it does not ask for both"),
    (Kind::ProofsOfTwoCallers, &["stock.v1.countStock"], "it takes no token"),
    (Kind::BrokenParameter, WITHOUT_PARAMETERS, "it has no parameters"),
    (Kind::BrokenBody, WITHOUT_BODY, "it takes no body"),
    (Kind::TooLargeBody, WITHOUT_BODY, "any body is refused before its size matters: WrongContentType"),
    (Kind::MalformedJson, WITHOUT_BODY, "it takes no body"),
    (Kind::DuplicateKey, WITHOUT_BODY, "it takes no body"),
    (
        Kind::BrokenAnswer,
        &["orders.v1.createOrder", "orders.v1.fetchOrder", "orders.v1.listOrders"],
        "its answers are reported only; path.rs tests that",
    ),
    (Kind::QuotaUsedUp, &[PUBLIC], "a stranger has no plan; raw.rs tests the limit by address"),
];

/// Why a kind cannot happen to an operation.
pub(super) fn cannot_apply(kind: Kind, operation: &str) -> Option<&'static str> {
    let of = |(one, operations, _): &&(Kind, &[&str], &str)| *one == kind && operations.contains(&operation);
    CANNOT_APPLY.iter().find(of).map(|(.., because)| *because)
}

impl Kind {
    /// What a caller can do wrong.
    pub(super) const OF_THE_CALLER: [Self; 19] = [
        Self::NoProof,
        Self::ExpiredToken,
        Self::WrongAudience,
        Self::UnknownKey,
        Self::UnsignedToken,
        Self::ForgedToken,
        Self::UnregisteredClient,
        Self::CallerNotServed,
        Self::MissingScope,
        Self::PolicyRefused,
        Self::MissingCertificate,
        Self::ProofsOfTwoCallers,
        Self::UnknownParameter,
        Self::BrokenParameter,
        Self::BrokenBody,
        Self::WrongContentType,
        Self::TooLargeBody,
        Self::MalformedJson,
        Self::DuplicateKey,
    ];
    /// Everything that can go wrong.
    pub(super) const ALL: [Self; 23] = {
        let mut all = [Self::BrokenAnswer; 23];
        let mut n = 0;
        while n < Self::OF_THE_CALLER.len() {
            all[n] = Self::OF_THE_CALLER[n];
            n += 1;
        }
        (all[20], all[21], all[22]) = (Self::QuotaUsedUp, Self::DeadUpstream, Self::SlowUpstream);
        all
    };

    /// How often the call is made before it is refused.
    pub(super) const fn times(self) -> usize {
        if matches!(self, Self::QuotaUsedUp) { 2 } else { 1 }
    }

    /// The good call, spoilt in this one way.
    pub(super) fn spoil(self, call: &Call, world: &World) -> Attempt {
        let mut attempt = call.attempt(world);
        match self {
            Self::NoProof => {
                (attempt.token, attempt.certificate) = (None, None);
                attempt
            }
            Self::ExpiredToken => token(attempt, call, world, |mint| mint.expires(Timestamp::now(), -120)),
            Self::WrongAudience => {
                token(attempt, call, world, |mint| mint.claim("aud", "https://other.example"))
            }
            Self::UnknownKey => {
                let key = Arc::new(SigningKey::new(Algorithm::Es256));
                token(attempt, call, world, |mint| mint.signed_by(key))
            }
            Self::UnsignedToken => token(attempt, call, world, testbed::issuer::Mint::unsigned),
            Self::ForgedToken => {
                let key = Arc::new(SigningKey::new(Algorithm::Es256));
                token(attempt, call, world, |mint| mint.forged_by(key))
            }
            Self::UnregisteredClient => {
                let mint = world.issuer.mint("nobody").scope(&scopes(call));
                attempt.token = Some(mint);
                attempt.certificate = None;
                with_any_certificate(attempt, call)
            }
            Self::CallerNotServed => worlds::as_stranger(attempt, call, world, kind_outside(call)),
            Self::MissingScope => {
                let mut attempt = token(attempt, call, world, |mint| mint.scope("unrelated:read"));
                if !asks_for_both(call) {
                    attempt.certificate = None;
                }
                attempt
            }
            Self::PolicyRefused => {
                let kind = call.operation.settings().kinds.iter().next().expect("some kind is served");
                worlds::as_stranger(attempt, call, world, kind)
            }
            Self::MissingCertificate => {
                attempt.certificate = None;
                attempt
            }
            Self::ProofsOfTwoCallers => {
                attempt.certificate = Some(worlds::stranger(gateway::contract::Kind::Partner).to_owned());
                attempt
            }
            Self::UnknownParameter => attempt.query("nosuch=1"),
            Self::BrokenParameter => broken_parameter(attempt),
            Self::BrokenBody => body(attempt, call, |text| text.replacen('{', "{\"surprise\":1,", 1)),
            Self::WrongContentType => {
                attempt.headers = vec![("content-type", "text/plain".to_owned())];
                attempt.body = Some(Bytes::from_static(b"one"));
                attempt
            }
            Self::TooLargeBody => {
                let max = call.operation.settings().request_bytes_max;
                body(attempt, call, |text| format!("{text}{}", " ".repeat(max)))
            }
            Self::MalformedJson => body(attempt, call, |text| text.trim_end_matches('}').to_owned()),
            Self::DuplicateKey => body(attempt, call, |text| {
                let key = text.split('"').nth(1).expect("the body is an object");
                text.replacen('{', &format!("{{\"{key}\":1,"), 1)
            }),
            Self::BrokenAnswer | Self::QuotaUsedUp | Self::DeadUpstream | Self::SlowUpstream => attempt,
        }
    }

    /// What the upstream is made to do.
    pub(super) fn provoke(self, call: &Call, upstream: &Upstream) {
        match (self, call.name()) {
            (Self::BrokenAnswer, "shipments.v1.fetchLabel") => {
                upstream.next(|good| good.content_type("text/html").body(SECRET));
            }
            (Self::BrokenAnswer, "customers.v1.replaceContact") => {
                upstream.next(|_| Answer::json(200, &serde_json::json!({"note": SECRET})));
            }
            (Self::BrokenAnswer, _) => upstream.next(|good| good.edit(|body| body["note"] = SECRET.into())),
            (Self::SlowUpstream, _) => {
                // Nobody opens it: the answer never comes.
                let gate = Gate::closed();
                upstream.next(move |good| good.manner(Manner::Held(gate.clone())));
            }
            _ => {}
        }
    }

    /// What must come of it.
    pub(super) fn expected(self, call: &Call) -> Expected {
        let refused = |status, problem, reason| Expected {
            status,
            problem,
            reason,
            outcome: "refused",
            challenge: None,
            fields: &[],
            effect: Effect::Nothing,
            recorded_call: false,
            known_caller: false,
        };
        let known =
            |status, problem, reason| Expected { known_caller: true, ..refused(status, problem, reason) };
        let invalid = |reason| Expected {
            challenge: Some("error=\"invalid_token\""),
            ..refused(401, "/invalid-token", reason)
        };
        let failed = |status, problem, reason| Expected {
            outcome: "failed",
            effect: Effect::Called,
            recorded_call: true,
            ..known(status, problem, reason)
        };
        match self {
            Self::NoProof if call.name() == "stock.v1.countStock" => {
                refused(403, "/certificate-required", "certificate-needed")
            }
            Self::NoProof => Expected {
                challenge: Some("Bearer realm=\"api\""),
                ..refused(401, "/authentication-required", "no-proof")
            },
            Self::ExpiredToken => invalid("token-expired"),
            Self::WrongAudience => invalid("token-audience"),
            Self::UnknownKey => invalid("token-unknown-key"),
            Self::UnsignedToken => invalid("token-algorithm"),
            Self::ForgedToken => invalid("token-signature"),
            Self::UnregisteredClient => refused(403, "/unknown-caller", "caller-unknown"),
            Self::CallerNotServed => refused(403, "/kind-not-served", "kind-not-served"),
            Self::MissingScope => Expected {
                challenge: Some("error=\"insufficient_scope\", scope=\""),
                ..refused(403, "/insufficient-scope", "scope-insufficient")
            },
            Self::PolicyRefused if forbidden_to_strangers(call) => {
                refused(403, "/policy-refused", "policy-forbidden")
            }
            Self::PolicyRefused => refused(403, "/policy-refused", "policy-denied"),
            Self::MissingCertificate => refused(403, "/certificate-required", "certificate-needed"),
            Self::ProofsOfTwoCallers => refused(403, "/unknown-caller", "proofs-disagree"),
            Self::UnknownParameter | Self::BrokenParameter | Self::BrokenBody => {
                known(422, "/contract-violation", "contract-violation")
            }
            Self::WrongContentType => known(415, "/unsupported-media-type", "media-type-unsupported"),
            Self::TooLargeBody => known(413, "/content-too-large", "body-too-large"),
            Self::MalformedJson | Self::DuplicateKey => known(400, "/malformed-request", "body-malformed"),
            Self::BrokenAnswer => failed(502, "/upstream-broke-contract", broken_answer(call)),
            Self::QuotaUsedUp => Expected {
                fields: &["retry-after", "ratelimit", "ratelimit-policy"],
                ..known(429, "#quota-exceeded", "quota-rate")
            },
            Self::DeadUpstream => Expected {
                effect: Effect::Nothing,
                ..failed(502, "/upstream-failed", "upstream_unreachable")
            },
            Self::SlowUpstream if call.streamed() => failed(504, "/upstream-timeout", "upstream_first_byte"),
            Self::SlowUpstream => failed(504, "/upstream-timeout", "upstream_deadline"),
        }
    }
}

/// The policies of guards.cedar stand before strangers here; elsewhere simply nothing permits them.
fn forbidden_to_strangers(call: &Call) -> bool {
    call.operation.api() == "orders" && call.operation.version() == "v1"
}

fn broken_answer(call: &Call) -> &'static str {
    match call.name() {
        "shipments.v1.fetchLabel" => "response-media-type",
        "customers.v1.replaceContact" => "response-status",
        _ => "response-violation",
    }
}

fn asks_for_both(call: &Call) -> bool {
    call.operation.security().iter().all(|one| one.token.is_some() && one.certificate)
}

/// All scopes that any alternative asks for.
fn scopes(call: &Call) -> String {
    let tokens = call.operation.security().iter().filter_map(|one| one.token.as_ref());
    tokens.flat_map(gateway::contract::Scopes::iter).collect::<Vec<_>>().join(" ")
}

/// A kind of caller that the operation does not serve, and that can have the proofs it asks for.
fn kind_outside(call: &Call) -> gateway::contract::Kind {
    let served: KindSet = call.operation.settings().kinds;
    let all = [
        gateway::contract::Kind::Partner,
        gateway::contract::Kind::Service,
        gateway::contract::Kind::Bot,
        gateway::contract::Kind::Person,
    ];
    all.into_iter()
        .find(|kind| !served.contains(*kind))
        .expect("an operation that serves all is listed above")
}

/// Spoils the token; where the good call shows none, a token takes the certificate's place.
fn token(
    mut attempt: Attempt,
    call: &Call,
    world: &World,
    spoil: impl FnOnce(testbed::issuer::Mint) -> testbed::issuer::Mint,
) -> Attempt {
    let mint = attempt.token.take().unwrap_or_else(|| world.mint("reconciliation-bot").scope(&scopes(call)));
    attempt.token = Some(spoil(mint));
    if !asks_for_both(call) {
        attempt.certificate = None;
    }
    attempt
}

/// Where both proofs are asked for, an unknown token is looked at only beside a certificate.
fn with_any_certificate(mut attempt: Attempt, call: &Call) -> Attempt {
    if asks_for_both(call) {
        attempt.certificate = Some(call.caller.id.to_owned());
    }
    attempt
}

fn body(mut attempt: Attempt, call: &Call, spoil: impl FnOnce(&str) -> String) -> Attempt {
    let good = call.body.as_ref().expect("an operation without body is listed above").to_string();
    attempt.body = Some(Bytes::from(spoil(&good)));
    attempt
}

/// The first path value, or else a value of the query, in a form that its schema does not allow.
fn broken_parameter(mut attempt: Attempt) -> Attempt {
    let good = attempt.target.clone();
    for (from, to) in [
        ("/S00042", "/nonsense"),
        ("/C10042", "/nonsense"),
        ("/RMA00071", "/nonsense"),
        ("/WH-OUT-00017", "/nonsense"),
        ("/MUG-0042", "/nonsense"),
        ("email=ada@customer.example", "email=nonsense"),
        ("orderId=S00042", "orderId=nonsense"),
        ("sku=MUG-0042", "sku=nonsense"),
        ("page=2", "page=two"),
        ("limit=5", "limit=five"),
        ("limit=10", "limit=ten"),
        ("carrier=swift", "carrier=swift&limit=0"),
    ] {
        if attempt.target == good {
            attempt.target = good.replacen(from, to, 1);
        }
    }
    assert!(attempt.target != good, "nothing in {good} can be broken");
    attempt
}
