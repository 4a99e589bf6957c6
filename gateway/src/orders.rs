//! How are an operator's orders carried out, and put on record?

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use crate::admin::{Done, Order, OrderFault, Orders, Recorder, What};
use crate::audit::{CallPart, Decision, OrderPart, Outcome, Record, Strength};
use crate::credential::Means;
use crate::gateway::Gateway;
use crate::revocation::{Entry, Ordered};

/// What the admin listener may do to `gateway`.
#[must_use]
pub fn of(gateway: &Arc<Gateway>) -> Orders {
    Orders { rotate: rotate(gateway), record: recorder(gateway) }
}

fn rotate(gateway: &Arc<Gateway>) -> Order {
    let gateway = Arc::clone(gateway);
    Arc::new(move |name| {
        let gateway = Arc::clone(&gateway);
        Box::pin(async move {
            let snapshot = gateway.current();
            let credential = match snapshot.credentials().find(&name).ok_or(OrderFault::Unknown)? {
                Means::Own(credential) => credential,
                Means::OnBehalf(_) => return Err(OrderFault::Failed("one-for-each-caller".to_owned())),
            };
            tracing::info!(credential = name, "a credential is read again by an operator's order");
            credential.rotate().await.map_err(|fault| OrderFault::Failed(fault.reason().to_owned()))?;
            let standing = credential.state().standing;
            Ok(json!({
                "credential": name,
                "state": standing.state,
                "version": standing.current.map(|(version, _)| version.to_string()),
                "next": standing.next.map(|version| version.to_string()),
            }))
        })
    })
}

fn recorder(gateway: &Arc<Gateway>) -> Recorder {
    let gateway = Arc::clone(gateway);
    Arc::new(move |done| {
        let gateway = Arc::clone(&gateway);
        Box::pin(async move {
            let record = record(&gateway, done);
            // Whoever is shut out or let in by it is not to be so without a trace, whatever becomes of the power.
            let recorded = gateway.audit().append(&record, Strength::Durable).await.is_ok();
            if recorded {
                gateway.metrics().audit_recorded();
            } else {
                gateway.metrics().audit_failed();
            }
            recorded
        })
    })
}

fn record(gateway: &Gateway, done: Done) -> Record {
    let Done { what, by, revoked: Ordered { id, entry, .. } } = done;
    let reason = match what {
        What::Revoked => "revocation-ordered",
        What::Lifted => "revocation-lifted",
    };
    let order = OrderPart {
        id,
        by,
        kind: entry.kind().to_owned(),
        issuer: entry.issuer().unwrap_or_default().to_owned(),
        name: name(&entry),
        issued_before: entry.issued_before,
        until: entry.until,
    };
    let request_id = uuid::Uuid::now_v7().hyphenated().to_string();
    Record {
        node: gateway.node.clone(),
        listener: "admin".to_owned(),
        order: Some(order),
        decision: Decision { outcome: Outcome::Allowed, reason: reason.to_owned(), policies: Vec::new() },
        snapshot: gateway.current().id().to_string(),
        ..Record::begun(Timestamp::now(), request_id, CallPart::none())
    }
}

/// What is named, where that is no person.
fn name(entry: &Entry) -> Option<String> {
    let token = entry.token.as_ref().map(|token| token.jti.clone());
    token.or_else(|| entry.client.as_ref().map(|client| client.client_id.clone()))
}
