//! Would it be noticed if the gateway wrote a secret down? One that is planted is found wherever it stands, and
//! whoever gives a secret to a gateway of a test has noted it.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use testbed::gateway::{Gateway, run};
use testbed::issuer::{Algorithm, Client};
use testbed::oidc::OidcProvider;
use testbed::vault::Vault;
use testbed::{AUDIENCE, World, secrets};

const STATUS: &str = "/stock/v1/status";

/// A text that stands nowhere else.
fn unique() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// This ends because a secret stands in `place`, and does not repeat it.
async fn finds(secret: &str, place: &str, act: impl Future<Output = ()> + Send + 'static) {
    let found = tokio::spawn(act).await.expect_err(place).into_panic();
    let message = found.downcast_ref::<String>().unwrap();
    assert!(message.contains(&format!("stand in {place} of the gateway")), "{message}");
    assert!(message.contains(file!()) && !message.contains(secret), "{message}");
}

#[tokio::test]
async fn a_secret_that_is_printed_or_shown_is_found() {
    let mut world = World::new().await;
    let planted = format!("planted-{}", unique());
    world.folder.settings(|settings| {
        settings["listeners"][&planted] = json!({"address": "127.0.0.1:0", "insecure_no_tls": true});
    });
    let gateway = Arc::new(Gateway::start(&world).await);
    drop(gateway.admin_page("/status").await);
    secrets::note(&planted);
    let asks = Arc::clone(&gateway);
    finds(&planted, "/status", async move { drop(asks.admin_page("/status").await) }).await;
    finds(&planted, "its output", async move { drop(gateway) }).await;
}

#[tokio::test]
async fn a_secret_that_is_on_record_is_found() {
    let world = World::new().await;
    let gateway = Gateway::start(&world).await;
    let client = gateway.client().build();
    let planted = unique();
    let traced = client
        .request(Method::GET, STATUS)
        .header("traceparent", format!("00-{planted}-00f067aa0ba902b7-01"));
    assert_eq!(client.send(traced).await.status, StatusCode::OK);
    let folder = world.folder.audit().to_string_lossy().into_owned();
    assert_eq!(gateway.audit(&[]).await.len(), 1);
    secrets::note(&planted);
    finds(&planted, "what a command prints", async move {
        drop(run(&["audit", "query", "--directory", &folder, "--format", "json"]).await);
    })
    .await;
    finds(&planted, "its files", async move { drop(gateway) }).await;
}

/// A gateway that wrote it down would be found out.
fn is_noted(what: &str, secret: &str) {
    assert!(!secrets::found_in(secret).is_empty(), "{what} is not noted");
}

#[tokio::test]
async fn whoever_gives_a_secret_to_a_gateway_notes_it() {
    let world = World::new().await;
    is_noted("a signed token", &world.mint("acme-marketplace").sign());
    let opaque = unique();
    world.issuer.knows(&opaque, &world.mint("acme-marketplace"));
    is_noted("an opaque token", &opaque);
    let [registered, known] = [unique(), unique()];
    let client = |secret: &str| Client {
        id: "gateway".to_owned(),
        secret: secret.to_owned(),
        scopes: vec!["orders:read".to_owned()],
        claims: Map::new(),
    };
    world.issuer.register(client(&registered));
    is_noted("a client's secret", &registered);
    let provider = OidcProvider::start(AUDIENCE, &[(client(&known), Algorithm::Es256)]).await;
    is_noted("a client's secret", &known);
    is_noted("a real server's token", &provider.token(&client(&known), &["orders:read"]).await.unwrap());
    let written = unique();
    world.folder.write_private("certs/any", &written);
    is_noted("what is written into a private file", &written);
    for name in ["server", "upstream-client", "audit"] {
        let pem = world.folder.read(&format!("certs/{name}.key"));
        is_noted("a private key", &pem.replace('\r', ""));
    }
}

#[tokio::test]
async fn vault_notes_what_it_gives() {
    let vault = Vault::start().await;
    let put = [unique(), unique()];
    vault.put("gateway/noted", json!({"key": put[0]})).await;
    vault.write(&format!("{}/gateway/noted", vault.mount("kv")), json!({"key": put[1], "ttl": "1h"})).await;
    put.iter().for_each(|secret| is_noted("a secret that is put there", secret));

    let Some(_) = vault.simulation("of what it makes up, only what is given to a gateway is known") else {
        return;
    };
    let text = |answer: &Value, at: &str| answer.pointer(at).unwrap().as_str().unwrap().to_owned();
    is_noted("a token that is asked for", &vault.token(json!({})).await);
    let role = vault.approle(json!({})).await;
    is_noted("a secret id", &role.secret_id);
    let shown = json!({"role_id": role.role_id, "secret_id": role.secret_id});
    let login = vault.write("auth/approle/login", shown).await;
    is_noted("a token that a login gives", &text(&login, "/auth/client_token"));
    is_noted("a wrapping token", &vault.wrapped_secret_id(&role.role).await);
    vault.write("database/config/shop", json!({"plugin_name": "postgresql-database-plugin"})).await;
    vault
        .write("database/roles/gateway", json!({"db_name": "shop", "creation_statements": ["CREATE ROLE"]}))
        .await;
    let (_, lent) = vault.ask(Method::GET, "database/creds/gateway", Value::Null).await;
    is_noted("a password", &text(&lent, "/data/password"));
    vault.write("pki/root/generate/internal", json!({"common_name": "root", "ttl": "24h"})).await;
    vault.write("pki/roles/gateway", json!({"allow_any_name": true, "require_cn": false})).await;
    let issued = vault.write("pki/issue/gateway", json!({"alt_names": "gateway.example"})).await;
    is_noted("a private key", &text(&issued, "/data/private_key"));
}
