//! The worlds in which calls are refused: the sample with strangers, with little time, with dead peers.

use std::fmt::Write as _;
use std::net::SocketAddr;

use gateway::contract::Kind;
use serde_json::{Value, json};
use testbed::World;
use testbed::gateway::{Gateway, Protocol};
use testbed::issuer::Mint;
use testbed::retailer;

use crate::calls::{self, Attempt, Call, Clients};

/// Callers that exist and may do nothing: one of each kind, with a token and a certificate.
const STRANGERS: [(Kind, &str); 4] = [
    (Kind::Partner, "stranger-partner"),
    (Kind::Service, "stranger-service"),
    (Kind::Bot, "stranger-bot"),
    (Kind::Person, "stranger-person"),
];

/// The name of the stranger of a kind.
pub(super) fn stranger(kind: Kind) -> &'static str {
    STRANGERS.iter().find(|(of, _)| *of == kind).expect("one of each kind").1
}

/// The sample, with the strangers in `callers.yaml`.
pub(super) async fn with_strangers() -> World {
    let world = World::new().await;
    let mut callers = world.folder.read("policies/callers.yaml");
    for (kind, id) in STRANGERS {
        // A client does not tell who a person is; in a token of a client's own the subject is its id.
        let names = if kind == Kind::Person { "subject" } else { "client_id" };
        let kind = format!("{kind:?}").to_lowercase();
        write!(
            callers,
            "\n  {id}:\n    kind: {kind}\n    owner: tests@retailer.example\n    description: May do nothing.\n    \
             plan: internal\n    proofs:\n      - token: {{ issuer: retail, {names}: {id} }}\n      \
             - certificate: {{ dns: {id}.example }}\n    review_by: 2027-12-31\n"
        )
        .unwrap();
    }
    world.folder.write("policies/callers.yaml", &callers);
    world
}

/// Clients of the sample's callers and of the strangers.
pub(super) fn clients(world: &World, gateway: &Gateway, protocol: Protocol) -> Clients {
    let mut clients = Clients::new(world, gateway, protocol);
    for (_, id) in STRANGERS {
        clients.add(gateway, protocol, id, &world.clients.client_dns(&format!("{id}.example")));
    }
    clients
}

/// The good call made by the stranger of a kind, with every scope and the proofs that are asked for.
pub(super) fn as_stranger(mut attempt: Attempt, call: &Call, world: &World, kind: Kind) -> Attempt {
    let id = stranger(kind);
    let proofs = call.operation.security().first().expect("what is public knows no strangers");
    let scopes: Option<String> =
        proofs.token.as_ref().map(|scopes| scopes.iter().collect::<Vec<_>>().join(" "));
    attempt.token = scopes.map(|scopes| mint(world, id, &scopes));
    attempt.certificate = proofs.certificate.then(|| id.to_owned());
    attempt
}

fn mint(world: &World, id: &str, scopes: &str) -> Mint {
    let mint = world.issuer.mint(id).scope(scopes);
    if id == stranger(Kind::Person) {
        // How a stranger signed in is not what it is refused for.
        return retailer::signed_in().into_iter().fold(mint, retailer::claimed);
    }
    mint
}

/// Each operation may be called once an hour.
pub(super) async fn with_one_call_each() -> World {
    let world = World::new().await;
    edit_operations(&world, |_, operation| {
        operation["x-gateway"]["limits"] = json!([{"name": "once", "quota": 1, "window": "1h"}]);
    });
    world
}

/// Nothing listens where the upstreams should be. Each operation has one of its own, so that the breaker
/// of one says nothing about the others.
pub(super) async fn with_dead_upstreams() -> World {
    let mut world = World::new().await;
    let nowhere = closed_port().await;
    let mut names = Vec::new();
    edit_operations(&world, |name, operation| {
        operation["x-gateway"]["upstream"] = json!(upstream_name(name));
        names.push(upstream_name(name));
    });
    world.folder.settings(|settings| {
        for name in names {
            settings["upstreams"][name] =
                json!({"addresses": [nowhere.to_string()], "connect_timeout": "1s"});
        }
    });
    world
}

/// Upstreams have a moment to answer; each operation has one of its own, as above.
pub(super) async fn with_little_time() -> World {
    let mut world = World::new().await;
    let mut named = Vec::new();
    edit_operations(&world, |name, operation| {
        operation["x-gateway"]["deadline"] = json!("300ms");
        named.push((upstream_name(name), calls::of(name).operation.settings().upstream.clone()));
        operation["x-gateway"]["upstream"] = json!(upstream_name(name));
    });
    world.folder.settings(|settings| {
        for (name, like) in named {
            let mut upstream = settings["upstreams"][&like].clone();
            if name == upstream_name("shipments.v1.fetchLabel") {
                upstream["first_byte_timeout"] = json!("300ms");
            }
            settings["upstreams"][name] = upstream;
        }
    });
    world
}

fn upstream_name(operation: &str) -> String {
    operation.replace('.', "-").to_lowercase()
}

/// Writes every contract anew with each of its operations changed.
fn edit_operations(world: &World, mut change: impl FnMut(&str, &mut Value)) {
    for contract in calls::catalogue().contracts() {
        let (api, version) = (contract.api(), contract.version());
        let mut document = calls::document(api, version);
        for item in document["paths"].as_object_mut().unwrap().values_mut() {
            for (_, operation) in item.as_object_mut().unwrap() {
                if let Some(id) = operation.get("operationId").and_then(Value::as_str) {
                    let name = format!("{api}.{version}.{id}");
                    change(&name, operation);
                }
            }
        }
        world.folder.write(&format!("contracts/{api}/{version}/openapi.yaml"), &document.to_string());
    }
}

/// An address where nothing listens.
async fn closed_port() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
