//! Vault sealed, down, slow, throttling, wrong, hostile: what a question comes to, and that it mends by itself.

use std::sync::Arc;
use std::time::Duration;

use gateway::vault::{CacheSettings, Source, Vault, VaultFault};
use jiff::Timestamp;
use serde_json::json;
use testbed::Gate;
use testbed::certificates::Authority;
use testbed::vault::Fault;

use super::{Bench, KEY, from_now, odoo, read};

/// A bench with a secret, and a gateway that has read it.
async fn reading() -> (Bench, Arc<Vault>) {
    let bench = Bench::new().await;
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let client = bench.gateway(json!({})).await;
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok());
    (bench, client)
}

#[tokio::test]
async fn each_fault_has_its_name_and_ends_with_its_cause() {
    let (bench, client) = reading().await;
    let Some(simulation) = bench.vault.simulation("it cannot be made to fail") else { return };
    let at = bench.at("gateway/odoo");
    let standby = format!("{}/elsewhere", bench.vault.address());
    for (fault, expected, attempts) in [
        (Fault::Sealed, VaultFault::Sealed, 1),
        (Fault::Dead, VaultFault::Unreachable, 3),
        (Fault::Throttled(Some(60)), VaultFault::Throttled, 1),
        (Fault::Throttled(None), VaultFault::Throttled, 3),
        (Fault::Status(500), VaultFault::Status(500), 3),
        (Fault::Status(503), VaultFault::Status(503), 3),
        (Fault::Status(400), VaultFault::Status(400), 1),
        (Fault::Standby(standby), VaultFault::Standby, 1),
        (Fault::Body("<h1>".to_owned()), VaultFault::BadAnswer, 1),
        (Fault::Body(r#"{"data": {"data": []}}"#.to_owned()), VaultFault::BadAnswer, 1),
        (Fault::Body("{}".to_owned()), VaultFault::BadAnswer, 1),
        (Fault::Oversized(5 << 20), VaultFault::BadAnswer, 1),
    ] {
        let before = simulation.requests("secret/").len();
        simulation.fail_at("secret/", fault.clone());
        assert_eq!(read(client.read(&at).await), Err(expected), "{fault:?}");
        assert_eq!(simulation.requests("secret/").len() - before, attempts, "{fault:?}");
        let state = client.state(Timestamp::now());
        let told = expected.may_pass().then(|| expected.reason());
        assert_eq!((state.fault, state.logged_in), (told, true), "{fault:?}");
        assert_eq!(state.fault_since.is_some(), told.is_some(), "{fault:?}");
        simulation.heal();
        assert!(client.read(&at).await.is_ok(), "{fault:?}");
        assert_eq!(client.state(Timestamp::now()).fault, None, "{fault:?}");
    }
    assert!(simulation.requests("elsewhere").is_empty(), "a redirect is followed by nobody");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_waited_for() {
    let (bench, _) = reading().await;
    let Some(simulation) = bench.vault.simulation("it cannot be made slow") else { return };
    let mut settings = bench.settings(bench.approle(json!({})).await);
    settings.timeout = Duration::from_millis(300);
    let client = Vault::new(settings, None).unwrap();
    client.keep_session(Timestamp::now()).await;
    let gate = Gate::closed();
    simulation.fail_at("secret/", Fault::Held(gate.clone()));
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::TimedOut));
    gate.open();
    simulation.heal();
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok());
}

#[tokio::test]
async fn a_vault_that_is_down_at_the_start_is_found_when_it_comes() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it cannot be put down") else { return };
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let auth = bench.approle(json!({})).await;
    simulation.down().await;
    let client = bench.client(auth);
    let at = bench.at("gateway/odoo");
    assert_eq!(read(client.read(&at).await), Err(VaultFault::Unreachable));
    let state = client.state(Timestamp::now());
    assert_eq!((state.logged_in, state.fault), (false, Some("vault-unreachable")));
    // Left alone for a moment after a login that failed.
    assert_eq!(read(client.read(&at).await), Err(VaultFault::Unreachable));
    assert_eq!(client.state(Timestamp::now()).fault_since, state.fault_since);

    simulation.up().await;
    client.keep_session(from_now(60)).await;
    assert_eq!(read(client.read(&at).await), Ok((KEY.to_owned(), Some(1))));
    assert_eq!(client.state(Timestamp::now()).fault, None);
}

#[tokio::test]
async fn a_vault_that_goes_down_is_found_again() {
    let (bench, client) = reading().await;
    let Some(simulation) = bench.vault.simulation("it cannot be put down") else { return };
    simulation.down().await;
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::Unreachable));
    simulation.up().await;
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok(), "the session is the same");
    assert_eq!(client.state(Timestamp::now()).logins, 1);
}

#[tokio::test]
async fn a_permission_that_is_lost_is_denied_and_one_that_comes_back_serves() {
    let (bench, client) = reading().await;
    let name = bench.vault.mount("gateway");
    let at = format!("sys/policies/acl/{name}");
    bench.vault.write(&at, json!({"policy": "path \"nothing\" { capabilities = [\"read\"] }"})).await;
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::Denied));
    let rule =
        format!("path \"{}/data/gateway/*\" {{ capabilities = [\"read\"] }}", bench.vault.mount("secret"));
    bench.vault.write(&at, json!({"policy": rule})).await;
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok());
    assert_eq!(client.state(Timestamp::now()).logins, 1);
}

#[tokio::test]
async fn a_vault_whose_certificate_leads_elsewhere_is_told_nothing() {
    let (bench, _) = reading().await;
    let Some(simulation) = bench.vault.simulation("its roots may be the system's") else { return };
    let mut settings = bench.settings(bench.approle(json!({})).await);
    settings.ca = Some(Authority::new("others").pem().into_bytes());
    let client = Vault::new(settings, None).unwrap();
    let before = simulation.requests("").len();
    assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::Unreachable));
    assert_eq!(simulation.requests("").len(), before);
}

#[tokio::test]
async fn a_login_that_is_refused_is_not_repeated_at_once() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("what it was asked is not seen") else { return };
    let auth = bench.approle(json!({})).await;
    bench.write("secret-id", "not-a-secret-id-at-all");
    let client = bench.client(auth);
    for _ in 0..5 {
        assert_eq!(read(client.read(&bench.at("gateway/odoo")).await), Err(VaultFault::NoSession));
    }
    client.keep_session(Timestamp::now()).await;
    assert_eq!(simulation.requests("auth/approle/login").len(), 1);
    assert_eq!(client.state(Timestamp::now()).fault, Some("vault-login-refused"));
    // Much later it is tried once more.
    client.keep_session(from_now(60)).await;
    assert_eq!(simulation.requests("auth/approle/login").len(), 2);
}

#[tokio::test]
async fn settings_that_cannot_be_meant_make_no_client() {
    let bench = Bench::new().await;
    let good = bench.settings(bench.approle(json!({})).await);
    let field = |change: &dyn Fn(&mut gateway::vault::VaultSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        Vault::new(settings, None).map(drop).map_err(|mistake| mistake.field)
    };
    assert_eq!(field(&|_| {}), Ok(()));
    for address in [
        "vault",
        "ftp://vault.example",
        "http://vault.example:8200",
        "https://user@vault.example",
        "https://vault.example/v1",
        "https://vault.example/?x=y",
        "http://127.0.0.1.example:8200",
    ] {
        assert_eq!(field(&|settings| settings.address = address.to_owned()), Err("address"), "{address}");
    }
    for address in ["http://127.0.0.1:8200", "http://[::1]:8200", "http://localhost:8200"] {
        assert_eq!(field(&|settings| settings.address = address.to_owned()), Ok(()), "{address}");
    }
    for namespace in ["", "a//b", "../a", "a b"] {
        assert_eq!(
            field(&|settings| settings.namespace = Some(namespace.to_owned())),
            Err("namespace"),
            "{namespace}"
        );
    }
    assert_eq!(field(&|settings| settings.ca = Some(b"no certificates".to_vec())), Err("ca"));
}

#[tokio::test]
async fn what_was_good_is_used_while_vault_is_away_and_not_when_it_says_no() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it cannot be made to fail") else { return };
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let mut settings = bench.settings(bench.approle(json!({})).await);
    settings.cache = Some(CacheSettings {
        file: bench.folder.path().join("cache"),
        key: Source::File(bench.write("cache-key", "0123456789abcdef0123456789abcdef")),
        age_max: Duration::from_secs(3_600),
    });
    let at = bench.at("gateway/odoo");
    let good = (KEY.to_owned(), Some(1));
    let first = Vault::new(settings.clone(), None).unwrap();
    assert_eq!(read(first.read(&at).await), Ok(good.clone()));
    assert!(!first.read(&at).await.unwrap().is_from_cache());
    drop(first);

    // Another process, while Vault is away.
    simulation.down().await;
    let second = Vault::new(settings.clone(), None).unwrap();
    let kept = second.read(&at).await.unwrap();
    assert!(kept.is_from_cache());
    assert_eq!(read(Ok(kept)), Ok(good.clone()));
    assert_eq!(second.state(Timestamp::now()).fault, Some("vault-unreachable"));
    simulation.up().await;
    simulation.fail(Fault::Sealed);
    assert_eq!(read(Vault::new(settings.clone(), None).unwrap().read(&at).await), Ok(good.clone()));
    assert_eq!(
        read(second.read(&bench.at("gateway/other")).await),
        Err(VaultFault::Unreachable),
        "left alone"
    );
    simulation.heal();

    // A login that is refused is no outage.
    bench.write("secret-id", "not-a-secret-id-at-all");
    assert_eq!(read(Vault::new(settings.clone(), None).unwrap().read(&at).await), Err(VaultFault::NoSession));
    let settings = gateway::vault::VaultSettings { auth: bench.approle(json!({})).await, ..settings };
    let third = Vault::new(settings.clone(), None).unwrap();
    assert_eq!(read(third.read(&at).await), Ok(good));

    // Nor is a plain no: what was kept is forgotten with it.
    let name = bench.vault.mount("gateway");
    let nothing = json!({"policy": "path \"nothing\" { capabilities = [\"read\"] }"});
    bench.vault.write(&format!("sys/policies/acl/{name}"), nothing).await;
    assert_eq!(read(third.read(&at).await), Err(VaultFault::Denied));
    simulation.down().await;
    assert_eq!(read(third.read(&at).await), Err(VaultFault::Unreachable));
}
