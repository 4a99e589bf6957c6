//! How are an operator's orders carried out?

use std::sync::Arc;

use serde_json::json;

use crate::admin::{Order, OrderFault, Orders};
use crate::credential::Means;
use crate::gateway::Gateway;

/// What the admin listener may do to `gateway`.
#[must_use]
pub fn of(gateway: &Arc<Gateway>) -> Orders {
    let gateway = Arc::clone(gateway);
    let rotate: Order = Arc::new(move |name| {
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
    });
    Orders { rotate }
}
