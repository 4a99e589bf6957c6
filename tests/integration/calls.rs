//! The good call of every operation of the sample contracts: who makes it, with what, over what.
//!
//! Methods, paths, proofs and bodies come from the contracts themselves; written down here is only what a
//! contract cannot know: which caller, and a query that its policies permit. Other tests spoil these calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gateway::contract::{Catalogue, Operation};
use gateway::document::Document;
use http::Method;
use serde_json::Value;
use testbed::certificates::Identity;
use testbed::gateway::{Client, Gateway, Protocol, Reply};
use testbed::issuer::Mint;
use testbed::retailer::{self, SampleCaller};
use testbed::{World, repository};

/// Who makes the good call, and with which query.
const CALLS: [(&str, &str, &str); 23] = [
    ("customers.v1.fetchCustomer", "customer-service", ""),
    ("customers.v1.findCustomer", "customer-service", "email=ada@customer.example"),
    ("customers.v1.replaceContact", "customer-service", ""),
    ("orders.v1.createOrder", "acme-marketplace", ""),
    ("orders.v1.fetchOrder", "acme-marketplace", ""),
    ("orders.v1.listOrders", "acme-marketplace", "channel=acme&page=2"),
    ("orders.v2.cancelOrder", "acme-marketplace", ""),
    ("orders.v2.createOrder", "acme-marketplace", ""),
    ("orders.v2.fetchOrder", "reconciliation-bot", ""),
    ("orders.v2.listOrders", "acme-marketplace", "channel=acme&status=received,confirmed&limit=5"),
    ("returns.v1.fetchReturn", "acme-marketplace", ""),
    ("returns.v1.initiateRefund", "customer-service", ""),
    ("returns.v1.initiateReturn", "acme-marketplace", ""),
    ("returns.v1.listRefunds", "reconciliation-bot", "orderId=S00042"),
    ("returns.v1.listReturns", "warehouse", "limit=10"),
    ("shipments.v1.fetchLabel", "swift-carrier", ""),
    ("shipments.v1.fetchShipment", "swift-carrier", ""),
    ("shipments.v1.listShipments", "swift-carrier", "carrier=swift"),
    ("shipments.v1.updateShipment", "swift-carrier", ""),
    ("stock.v1.countStock", "warehouse", ""),
    ("stock.v1.fetchStatus", "acme-marketplace", ""),
    ("stock.v1.findStock", "customer-service", "sku=MUG-0042&sku=SHIRT-BLUE-M&location=BER-01"),
    ("stock.v1.stockLevel", "acme-marketplace", ""),
];

/// What stands in the place of a path parameter.
const PATH_VALUES: [(&str, &str); 7] = [
    ("carrier", "swift"),
    ("customerId", "C10042"),
    ("location", "BER-01"),
    ("orderId", "S00042"),
    ("returnId", "RMA00071"),
    ("shipmentId", "WH-OUT-00017"),
    ("sku", "MUG-0042"),
];

/// The good call of one operation.
pub(crate) struct Call {
    pub(crate) operation: Arc<Operation>,
    pub(crate) caller: SampleCaller,
    /// Path and query.
    pub(crate) target: String,
    /// The contract's first example of a request body.
    pub(crate) body: Option<Value>,
    /// Of the proofs that the contract asks for, those this caller shows.
    pub(crate) shows_token: bool,
    pub(crate) shows_certificate: bool,
}

/// One request, ready to be spoilt and sent.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) token: Option<Mint>,
    /// Whose certificate the connection shows.
    pub(crate) certificate: Option<String>,
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
}

/// Clients of one gateway: one for each certificate, and one without.
pub(crate) struct Clients(BTreeMap<Option<String>, Client>);

/// The good calls of all operations, in the order of their names.
pub(crate) fn all() -> Vec<Call> {
    let catalogue = catalogue();
    let mut operations: Vec<_> = catalogue.operations().to_vec();
    operations.sort_by(|one, other| one.name().cmp(other.name()));
    operations.into_iter().map(call).collect()
}

/// The good call of one operation.
pub(crate) fn of(name: &str) -> Call {
    all().into_iter().find(|call| call.name() == name).unwrap_or_else(|| panic!("no operation `{name}`"))
}

/// The sample contracts, as the gateway reads them.
pub(crate) fn catalogue() -> Catalogue {
    Catalogue::load(&repository::folder("contracts"), None).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

fn call(operation: Arc<Operation>) -> Call {
    let found = CALLS.iter().find(|(name, ..)| *name == operation.name());
    let (_, caller, query) = found.unwrap_or_else(|| panic!("`{}` has no good call", operation.name()));
    let caller = retailer::caller(caller);
    let usable = |one: &&gateway::contract::Requirement| {
        (one.token.is_none() || caller.token.is_some()) && (!one.certificate || caller.certificate.is_some())
    };
    let proofs = operation.security().iter().find(usable);
    let (shows_token, shows_certificate) =
        proofs.map_or((false, false), |one| (one.token.is_some(), one.certificate));
    assert!(proofs.is_some() || operation.security().is_empty(), "`{}` cannot be called", operation.name());
    let mut path = operation.template().to_owned();
    for (name, value) in PATH_VALUES {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    Call { body: example(&operation), operation, caller, target, shows_token, shows_certificate }
}

/// The first example of the request body, as the contract's file has it.
fn example(operation: &Operation) -> Option<Value> {
    let contract = document(operation.api(), operation.version());
    let path = operation.template().strip_prefix(operation.contract().base_path()).unwrap();
    let written = &contract["paths"][path][operation.method().as_str().to_lowercase()];
    let examples = &written["requestBody"]["content"]["application/json"]["examples"];
    Some(examples.as_object()?.values().next().expect("a body has an example")["value"].clone())
}

/// A contract's document, as it is written.
pub(crate) fn document(api: &str, version: &str) -> Value {
    let file = repository::folder("contracts").join(api).join(version).join("openapi.yaml");
    Document::read(&file, "contract").unwrap_or_else(|mistakes| panic!("{mistakes}")).value().clone()
}

impl Call {
    pub(crate) fn name(&self) -> &str {
        self.operation.name()
    }

    /// Whether the bodies pass in pieces.
    pub(crate) fn streamed(&self) -> bool {
        self.operation.settings().streamed
    }

    /// The good request.
    pub(crate) fn attempt(&self, world: &World) -> Attempt {
        let mut headers = Vec::new();
        if self.body.is_some() {
            headers.push(("content-type", "application/json".to_owned()));
        }
        Attempt {
            token: self.shows_token.then(|| world.mint(self.caller.id)),
            certificate: self.shows_certificate.then(|| self.caller.id.to_owned()),
            method: self.operation.method().clone(),
            target: self.target.clone(),
            headers,
            body: self.body.as_ref().map(|body| Bytes::from(body.to_string())),
        }
    }
}

impl Attempt {
    /// Adds a header field.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Adds a parameter to the query.
    pub(crate) fn query(mut self, parameter: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.push_str(parameter);
        self
    }

    /// Asks by another method.
    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The request, to be sent by a client that shows the right certificate.
    pub(crate) fn request(&self, client: &Client) -> reqwest::RequestBuilder {
        let mut request = client.request(self.method.clone(), &self.target);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.sign());
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        match &self.body {
            Some(body) => request.body(body.clone()),
            None => request,
        }
    }

    /// Sends it.
    pub(crate) async fn send(&self, clients: &Clients) -> Reply {
        let client = clients.of(self);
        client.send(self.request(client)).await
    }
}

impl Clients {
    /// A client for each of the sample's certificates, and one without.
    pub(crate) fn new(world: &World, gateway: &Gateway, protocol: Protocol) -> Self {
        let mut clients = Self(BTreeMap::new());
        clients.0.insert(None, gateway.client().protocol(protocol).build());
        for caller in retailer::CALLERS.iter().filter(|caller| caller.certificate.is_some()) {
            clients.add(gateway, protocol, caller.id, &world.identity(caller.id));
        }
        clients
    }

    /// One more client.
    pub(crate) fn add(&mut self, gateway: &Gateway, protocol: Protocol, id: &str, identity: &Identity) {
        let client = gateway.client().protocol(protocol).certificate(identity).build();
        self.0.insert(Some(id.to_owned()), client);
    }

    /// The client that shows what an attempt shows.
    pub(crate) fn of(&self, attempt: &Attempt) -> &Client {
        self.0.get(&attempt.certificate).unwrap_or_else(|| panic!("no client for {:?}", attempt.certificate))
    }
}

#[test]
fn every_good_call_is_of_an_operation_there_is() {
    let known: Vec<String> = all().iter().map(|call| call.name().to_owned()).collect();
    let written: Vec<&str> = CALLS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(known, written, "the table above is in the order of the names");
}
