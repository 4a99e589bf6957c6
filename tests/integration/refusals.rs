//! Is every operation of the sample refused for every reason there is, in the words of RFC 9457, with
//! nothing done, and on the record?
//!
//! The table is operation x [`Kind`]. A new operation or kind is asked everything at once; what cannot apply
//! must be written down in [`kinds::CANNOT_APPLY`] with its reason.

mod kinds;
mod outage;
mod worlds;

use std::collections::BTreeMap;

use serde_json::Value;
use testbed::World;
use testbed::gateway::{Gateway, Protocol, Reply};

use crate::calls::{self, Call, Clients};
use kinds::{Effect, Expected, Kind};

/// One row that was tried.
struct Tried {
    name: String,
    operation: String,
    caller: &'static str,
    expected: Expected,
    request_id: String,
}

/// Everything that is not as it should be; told together at the end.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn check(&mut self, row: &str, right: bool, told: impl FnOnce() -> String) {
        if !right {
            self.0.push(format!("{row}: {}", told()));
        }
    }

    fn none(self) {
        assert!(self.0.is_empty(), "{} wrong:\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Judges an answer, and what the upstreams saw of the request.
fn judge(
    name: String,
    call: &Call,
    expected: Expected,
    reply: &Reply,
    seen: usize,
    wrong: &mut Wrong,
) -> Tried {
    let got = || format!("{reply:?} {}", reply.text());
    wrong.check(&name, reply.status.as_u16() == expected.status, || {
        format!("{} instead of {}: {}", reply.status, expected.status, got())
    });
    let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let kind = problem["type"].as_str().unwrap_or_default();
    wrong.check(&name, kind.ends_with(expected.problem), got);
    wrong.check(&name, reply.header("content-type") == Some("application/problem+json"), got);
    wrong.check(&name, problem["status"] == reply.status.as_u16(), got);
    let request_id = reply.header("x-request-id").unwrap_or_default().to_owned();
    wrong.check(&name, problem["instance"] == format!("urn:uuid:{request_id}"), got);
    let challenge = reply.header("www-authenticate");
    wrong.check(&name, challenge.is_some() == expected.challenge.is_some(), got);
    let told = expected.challenge.is_none_or(|part| challenge.is_some_and(|told| told.contains(part)));
    wrong.check(&name, told, got);
    for field in expected.fields {
        wrong.check(&name, reply.headers.contains_key(*field), || format!("no {field}: {}", got()));
    }
    let reached = match expected.effect {
        Effect::Nothing => 0,
        Effect::Called => 1,
    };
    wrong.check(&name, seen == reached, || format!("the upstream was called {seen} times"));
    wrong.check(&name, !got().contains(kinds::SECRET), || format!("the upstream's body leaks: {}", got()));
    let (operation, caller) = (call.name().to_owned(), call.caller.id);
    Tried { name, operation, caller, expected, request_id }
}

/// Judges what the audit log says of the rows that were tried.
async fn judge_records(gateway: &Gateway, tried: &[Tried], wrong: &mut Wrong) {
    let records = gateway.audit(&[]).await;
    let by_id: BTreeMap<&str, &Value> =
        records.iter().filter_map(|record| Some((record["request_id"].as_str()?, record))).collect();
    for Tried { name, operation, caller, expected, request_id } in tried {
        let Some(record) = by_id.get(request_id.as_str()) else {
            wrong.check(name, false, || format!("no record of {request_id}"));
            continue;
        };
        let decision = &record["decision"];
        wrong.check(name, decision["reason"] == expected.reason, || {
            format!("{} instead of {}", decision["reason"], expected.reason)
        });
        wrong.check(name, decision["outcome"] == expected.outcome, || record.to_string());
        wrong.check(name, record["call"]["operation"] == operation.as_str(), || record.to_string());
        wrong.check(name, record["answer"]["status"] == expected.status, || record.to_string());
        let called = record["upstream"].is_object();
        wrong.check(name, called == expected.recorded_call, || record.to_string());
        if expected.known_caller {
            let public = record["caller"].is_null() && operation == "stock.v1.fetchStatus";
            wrong.check(name, public || record["caller"]["id"] == *caller, || record.to_string());
        }
    }
}

/// Tries the kinds on every operation, one row after the other.
async fn walk(world: &World, gateway: &Gateway, clients: &Clients, kinds: &[Kind]) {
    let (mut wrong, mut tried, mut excepted) = (Wrong::default(), Vec::new(), 0);
    for call in calls::all() {
        for kind in kinds {
            if kinds::cannot_apply(*kind, call.name()).is_some() {
                excepted += 1;
                continue;
            }
            let name = format!("{} x {kind:?}", call.name());
            world.odoo.reset();
            world.warehouse.reset();
            let attempt = kind.spoil(&call, world);
            let upstream =
                if call.operation.settings().upstream == "odoo" { &world.odoo } else { &world.warehouse };
            kind.provoke(&call, upstream);
            for _ in 1..kind.times() {
                attempt.send(clients).await;
            }
            let before = world.odoo.seen().len() + world.warehouse.seen().len();
            let reply = attempt.send(clients).await;
            let seen = world.odoo.seen().len() + world.warehouse.seen().len() - before;
            tried.push(judge(name, &call, kind.expected(&call), &reply, seen, &mut wrong));
        }
    }
    judge_records(gateway, &tried, &mut wrong).await;
    assert_eq!(tried.len() + excepted, calls::all().len() * kinds.len(), "the table is not walked");
    wrong.none();
}

#[tokio::test]
async fn every_operation_is_refused_for_every_fault_of_its_caller_over_http1() {
    let world = worlds::with_strangers().await;
    let gateway = Gateway::start(&world).await;
    let clients = worlds::clients(&world, &gateway, Protocol::Http1);
    walk(&world, &gateway, &clients, &Kind::OF_THE_CALLER).await;
}

#[tokio::test]
async fn every_operation_is_refused_for_every_fault_of_its_caller_over_http2() {
    let world = worlds::with_strangers().await;
    let gateway = Gateway::start(&world).await;
    let clients = worlds::clients(&world, &gateway, Protocol::Http2);
    walk(&world, &gateway, &clients, &Kind::OF_THE_CALLER).await;
}

#[tokio::test]
async fn every_operation_withholds_an_answer_that_breaks_its_contract() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    walk(&world, &gateway, &clients, &[Kind::BrokenAnswer]).await;
}

#[tokio::test]
async fn every_operation_ends_with_its_quota() {
    let world = worlds::with_one_call_each().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    walk(&world, &gateway, &clients, &[Kind::QuotaUsedUp]).await;
}

#[tokio::test]
async fn every_operation_tells_a_dead_upstream() {
    let world = worlds::with_dead_upstreams().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    walk(&world, &gateway, &clients, &[Kind::DeadUpstream]).await;
}

#[tokio::test]
async fn every_operation_tells_a_slow_upstream() {
    let world = worlds::with_little_time().await;
    let gateway = Gateway::start(&world).await;
    let clients = Clients::new(&world, &gateway, Protocol::Http1);
    walk(&world, &gateway, &clients, &[Kind::SlowUpstream]).await;
}

#[test]
fn every_kind_is_walked_and_every_exception_is_of_something_there_is() {
    let names: Vec<String> = calls::all().iter().map(|call| call.name().to_owned()).collect();
    for (kind, operations, because) in kinds::CANNOT_APPLY {
        assert!(Kind::ALL.contains(kind) && !because.is_empty());
        for operation in *operations {
            assert!(names.iter().any(|name| name == operation), "{kind:?}: no operation `{operation}`");
        }
        // A kind that applies nowhere tests nothing.
        assert!(operations.len() < names.len(), "{kind:?}");
    }
    let walked = [
        &Kind::OF_THE_CALLER[..],
        &[Kind::BrokenAnswer, Kind::QuotaUsedUp, Kind::DeadUpstream, Kind::SlowUpstream],
    ]
    .concat();
    assert_eq!(walked, Kind::ALL);
}
