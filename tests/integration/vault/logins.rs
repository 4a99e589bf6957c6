//! Every way to log in, and what becomes of a session: renewed, begun anew, revoked, refused.

use std::sync::Arc;
use std::time::Duration;

use gateway::vault::{Auth, Source, Vault, VaultFault};
use jiff::Timestamp;
use serde_json::json;
use testbed::issuer::{Algorithm, SigningKey};

use super::{Bench, KEY, from_now, odoo, read};

/// A JWT of this key, good for an hour.
fn jwt(key: &SigningKey, subject: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": key.algorithm.name(), "typ": "JWT"}));
    let claims = part(json!({
        "sub": subject, "aud": "vault", "iss": "https://cluster.example", "exp": Timestamp::now().as_second() + 3600,
    }));
    let signed = format!("{header}.{claims}");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())))
}

/// Logs in by `auth`, and reads what the policy of the gateway allows.
async fn can_read(bench: &Bench, auth: Auth) -> Arc<Vault> {
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let method = auth.name();
    let client = bench.client(auth);
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Ok((KEY.to_owned(), Some(1))), "{method}");
    let state = client.state(Timestamp::now());
    assert_eq!((state.method, state.logged_in, state.fault), (method, true, None));
    client
}

#[tokio::test]
async fn the_token_of_a_file_is_used_and_one_that_replaces_it_too() {
    let bench = Bench::new().await;
    let first = bench.vault.token(json!({"ttl": "1h"})).await;
    let file = bench.write("token", &format!("{first}\n"));
    let client = can_read(&bench, Auth::TokenFile(file)).await;

    let second = bench.vault.token(json!({"ttl": "2h"})).await;
    bench.write("token", &second);
    let before = client.state(Timestamp::now()).ends;
    client.keep_session(Timestamp::now()).await;
    let after = client.state(Timestamp::now());
    assert!(after.ends > before, "the new token lives longer");
    assert_eq!(after.logins, 2);

    // Somebody else's token is not the gateway's to revoke.
    client.revoke_leases().await;
    let again = bench.client(Auth::TokenFile(bench.folder.path().join("token")));
    assert!(again.read(&bench.at("gateway/odoo")).await.is_ok());
}

#[tokio::test]
async fn an_app_role_logs_in() {
    let bench = Bench::new().await;
    let auth = bench.approle(json!({})).await;
    can_read(&bench, auth).await;
}

#[tokio::test]
async fn a_jwt_of_a_known_issuer_logs_in_and_one_of_another_key_does_not() {
    let bench = Bench::new().await;
    let (key, other) = (SigningKey::new(Algorithm::Es256), SigningKey::new(Algorithm::Es256));
    let mount = bench.vault.mount("jwt");
    bench
        .vault
        .write(&format!("auth/{mount}/config"), json!({"jwt_validation_pubkeys": [key.public_pem()]}))
        .await;
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "bound_subject": "gateway",
        "token_policies": [bench.vault.mount("gateway")], "token_ttl": "1h",
    });
    bench.vault.write(&format!("auth/{mount}/role/gateway"), role).await;
    let auth = |token: &str| Auth::Jwt {
        mount: mount.clone(),
        role: "gateway".to_owned(),
        jwt: bench.write("jwt", token),
    };
    can_read(&bench, auth(&jwt(&key, "gateway"))).await;

    let refused = bench.client(auth(&jwt(&other, "gateway")));
    assert_eq!(read(refused.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
    assert_eq!(refused.state(Timestamp::now()).fault, Some("vault-login-refused"));
}

#[tokio::test]
async fn a_service_account_of_kubernetes_logs_in_and_another_does_not() {
    let bench = Bench::new().await;
    let Some(_) = bench.vault.simulation("it has no Kubernetes to ask") else { return };
    let key = SigningKey::new(Algorithm::Es256);
    bench
        .vault
        .write(
            "auth/kubernetes/config",
            json!({"kubernetes_host": "https://k8s", "pem_keys": [key.public_pem()]}),
        )
        .await;
    let role = json!({
        "bound_service_account_names": ["gateway"], "bound_service_account_namespaces": ["retail"],
        "token_policies": [bench.vault.mount("gateway")], "token_ttl": "1h",
    });
    bench.vault.write("auth/kubernetes/role/gateway", role).await;
    let auth = |subject: &str| Auth::Kubernetes {
        mount: "kubernetes".to_owned(),
        role: "gateway".to_owned(),
        jwt: bench.write("jwt", &jwt(&key, subject)),
    };
    can_read(&bench, auth("system:serviceaccount:retail:gateway")).await;
    let refused = bench.client(auth("system:serviceaccount:other:gateway"));
    assert_eq!(read(refused.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let bench = Bench::new().await;
    if bench.vault.address().starts_with("http:") {
        eprintln!("skipped against a real Vault: it is reached without TLS");
        return;
    }
    bench.vault.trust_certificates(json!({"token_ttl": "1h"})).await;
    bench.vault.write_identity(bench.folder.path());
    let auth = Auth::Certificate {
        mount: bench.vault.mount("cert"),
        name: "gateway".to_owned(),
        chain: bench.folder.path().join("vault-client.pem"),
        key: bench.folder.path().join("vault-client.key"),
    };
    let client = can_read(&bench, auth).await;
    drop(client);

    let without = bench.client(Auth::Certificate {
        mount: bench.vault.mount("cert"),
        name: "gateway".to_owned(),
        chain: bench.folder.path().join("not-there.pem"),
        key: bench.folder.path().join("vault-client.key"),
    });
    assert_eq!(read(without.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
    assert_eq!(without.state(Timestamp::now()).fault, Some("vault-login-no-proof"));
}

#[tokio::test]
async fn a_wrapped_secret_id_is_taken_out_once_and_kept_for_the_next_login() {
    let bench = Bench::new().await;
    let role = bench.vault.approle(json!({})).await;
    let wrapping = bench.vault.wrapped_secret_id(&role.role).await;
    let auth = Auth::AppRole {
        mount: bench.vault.mount("approle"),
        role_id: Source::File(bench.write("role-id", &role.role_id)),
        secret_id: Source::File(bench.write("wrapped", &wrapping)),
        wrapped: true,
    };
    let client = can_read(&bench, auth.clone()).await;
    bench.vault.revoke_logins("approle").await;
    assert!(
        client.read(&bench.at("gateway/odoo")).await.is_ok(),
        "it logs in again with the secret id it has"
    );
    assert_eq!(client.state(Timestamp::now()).logins, 2);

    // Whoever comes second finds the wrapping token used: an alarm, for the one who came first may be a thief.
    let second = bench.client(auth);
    assert_eq!(read(second.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
    assert_eq!(second.state(Timestamp::now()).fault, Some("vault-login-wrapping-used"));

    // A new one is all it needs.
    bench.write("wrapped", &bench.vault.wrapped_secret_id(&role.role).await);
    second.keep_session(from_now(60)).await;
    assert_eq!(second.state(Timestamp::now()).fault, None);
    assert!(second.read(&bench.at("gateway/odoo")).await.is_ok());
}

#[tokio::test]
async fn a_wrapping_token_of_something_else_is_not_unwrapped() {
    let bench = Bench::new().await;
    let role = bench.vault.approle(json!({})).await;
    let create = json!({"policies": [bench.vault.mount("gateway")], "no_parent": true});
    let foreign = bench.vault.wrapped("auth/token/create", create).await;
    let client = bench.client(Auth::AppRole {
        mount: bench.vault.mount("approle"),
        role_id: Source::File(bench.write("role-id", &role.role_id)),
        secret_id: Source::File(bench.write("wrapped", &foreign)),
        wrapped: true,
    });
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
    assert_eq!(client.state(Timestamp::now()).fault, Some("vault-login-wrapping-foreign"));
    // It is still good: nothing was taken out of it.
    bench.vault.write("sys/wrapping/lookup", json!({"token": foreign})).await;
}

#[tokio::test]
async fn a_revoked_token_is_replaced_by_one_login_however_many_need_it() {
    let bench = Bench::new().await;
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let client = bench.gateway(json!({})).await;
    let at = bench.at("gateway/odoo");
    assert!(client.read(&at).await.is_ok());

    bench.vault.revoke_logins("approle").await;
    let all = (0..20).map(|_| {
        let (client, at) = (Arc::clone(&client), at.clone());
        tokio::spawn(async move { client.read(&at).await.map(drop) })
    });
    let all: Vec<_> = all.collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Ok(()));
    }
    assert_eq!(client.state(Timestamp::now()).logins, 2);
}

#[tokio::test]
async fn what_the_policies_do_not_allow_costs_no_session() {
    let bench = Bench::new().await;
    bench.vault.put("others/odoo", odoo("the-odoo-key-of-others")).await;
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let client = bench.gateway(json!({})).await;
    assert_eq!(read(client.read(&bench.at("others/odoo")).await), Err(VaultFault::Denied));
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok());
    let state = client.state(Timestamp::now());
    assert_eq!((state.logins, state.fault), (1, None));
}

#[tokio::test]
async fn a_session_is_renewed_at_two_thirds_of_its_life_and_begun_anew_when_that_ends() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("its clock cannot be put ahead") else { return };
    let client = bench.gateway(json!({"token_ttl": "30m", "token_max_ttl": "60m"})).await;
    client.keep_session(Timestamp::now()).await;
    let told = |seconds| {
        let state = client.state(from_now(seconds));
        (state.logins, state.renewals, state.fault)
    };
    assert_eq!(told(0), (1, 0, None));

    client.keep_session(from_now(19 * 60)).await;
    assert_eq!(told(0), (1, 0, None), "not due");
    // Twice: 20 minutes of 30, then of 30 again; the second gives only what is left of 60.
    let mut minutes = 0;
    for (renewals, logins) in [(1, 1), (2, 1), (2, 2)] {
        simulation.advance(Duration::from_secs(21 * 60));
        minutes += 21;
        client.keep_session(from_now(minutes * 60)).await;
        assert_eq!(told(minutes * 60), (logins, renewals, None), "after {minutes} minutes");
        assert!(client.state(from_now(minutes * 60)).logged_in);
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_renewed_serves_until_it_ends() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it cannot be made to fail") else { return };
    let client = bench.gateway(json!({"token_ttl": "30m"})).await;
    client.keep_session(Timestamp::now()).await;
    simulation.fail(testbed::vault::Fault::Sealed);
    client.keep_session(from_now(21 * 60)).await;
    let state = client.state(from_now(21 * 60));
    assert_eq!((state.logged_in, state.fault), (true, Some("vault-sealed")));
    assert!(!client.state(from_now(31 * 60)).logged_in);

    simulation.heal();
    client.keep_session(from_now(31 * 60)).await;
    let state = client.state(from_now(31 * 60));
    assert_eq!((state.logged_in, state.fault), (true, None));
}

#[tokio::test]
async fn a_stop_ends_the_session_that_was_begun_here() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("what it was asked is not seen") else { return };
    let client = bench.gateway(json!({})).await;
    client.keep_session(Timestamp::now()).await;
    client.revoke_leases().await;
    assert_eq!(simulation.requests("auth/token/revoke-self").len(), 1);
    assert!(!client.state(Timestamp::now()).logged_in);
}

#[tokio::test]
async fn all_that_is_asked_is_in_the_namespace() {
    let bench = Bench::new().await;
    let Some(_) = bench.vault.simulation("namespaces are not in every edition") else { return };
    bench.vault.write("sys/namespaces/retail", json!({})).await;
    let inside = |path: &str, body| {
        let path = path.to_owned();
        let vault = &bench.vault;
        async move { vault.write_in("retail", &path, body).await }
    };
    inside("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})).await;
    inside("sys/auth/approle", json!({"type": "approle"})).await;
    let policy = "path \"secret/data/gateway/*\" { capabilities = [\"read\"] }";
    inside("sys/policies/acl/gateway", json!({"policy": policy})).await;
    inside("secret/data/gateway/odoo", json!({"data": odoo("the-odoo-key-inside")})).await;
    bench.vault.put("gateway/odoo", odoo("the-odoo-key-outside")).await;
    inside("auth/approle/role/gateway", json!({"token_policies": ["gateway"], "token_ttl": "1h"})).await;
    let secret_id = inside("auth/approle/role/gateway/secret-id", json!({})).await;
    let (_, role_id) = bench
        .vault
        .ask_in("retail", http::Method::GET, "auth/approle/role/gateway/role-id", json!(null))
        .await;

    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let auth = Auth::AppRole {
        mount: "approle".to_owned(),
        role_id: Source::File(bench.write("role-id", &text(&role_id["data"]["role_id"]))),
        secret_id: Source::File(bench.write("secret-id", &text(&secret_id["data"]["secret_id"]))),
        wrapped: false,
    };
    let mut settings = bench.settings(auth);
    assert_eq!(
        read(Vault::new(settings.clone(), None).unwrap().read(&bench.at("gateway/odoo")).await),
        Err(VaultFault::NoSession)
    );
    settings.namespace = Some("retail".to_owned());
    let client = Vault::new(settings, None).unwrap();
    assert_eq!(
        read(client.read(&bench.at("gateway/odoo")).await),
        Ok(("the-odoo-key-inside".to_owned(), Some(1)))
    );
}

#[tokio::test]
async fn the_same_settings_keep_their_session_and_others_begin_one() {
    let bench = Bench::new().await;
    let settings = bench.settings(bench.approle(json!({})).await);
    let first = Vault::new(settings.clone(), None).unwrap();
    first.keep_session(Timestamp::now()).await;
    let same = Vault::new(settings.clone(), Some(&first)).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let changed = gateway::vault::VaultSettings { timeout: Duration::from_secs(4), ..settings };
    let other = Vault::new(changed, Some(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &other));
    assert!(!other.state(Timestamp::now()).logged_in);
}
