//! What Vault gives: secrets in versions, secrets that are lent, certificates and signatures.

use std::time::Duration;

use gateway::vault::{CertificateOrder, Engine, SecretPath, TransitKey, VaultFault};
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{Bench, KEY, from_now, odoo, read};

#[tokio::test]
async fn the_latest_version_is_read_until_it_is_deleted_or_destroyed() {
    let bench = Bench::new().await;
    let client = bench.gateway(json!({})).await;
    let at = bench.at("gateway/odoo");
    assert_eq!(read(client.read(&at).await), Err(VaultFault::NotFound));
    for (version, value) in [(1, "the-first-odoo-key"), (2, "the-second-odoo-key"), (3, "the-third-odoo-key")]
    {
        bench.vault.put("gateway/odoo", odoo(value)).await;
        assert_eq!(read(client.read(&at).await), Ok((value.to_owned(), Some(version))));
    }
    let data = format!("{}/data/gateway/odoo", bench.vault.mount("secret"));
    bench.vault.ask(Method::DELETE, &data, Value::Null).await;
    assert_eq!(read(client.read(&at).await), Err(VaultFault::NotFound), "deleted");
    bench.vault.put("gateway/odoo", odoo("the-fourth-odoo-key")).await;
    assert_eq!(read(client.read(&at).await), Ok(("the-fourth-odoo-key".to_owned(), Some(4))));
    let destroy = format!("{}/destroy/gateway/odoo", bench.vault.mount("secret"));
    bench.vault.write(&destroy, json!({"versions": [4]})).await;
    assert_eq!(read(client.read(&at).await), Err(VaultFault::NotFound), "destroyed");
}

#[tokio::test]
async fn version_one_has_a_value_and_no_version() {
    let bench = Bench::new().await;
    let client = bench.gateway(json!({})).await;
    let value = json!({"key": KEY, "port": 8069, "tls": true, "parts": {"a": 1}, "none": null, "ttl": "1h"});
    bench.vault.write(&format!("{}/gateway/odoo", bench.vault.mount("kv")), value).await;
    let secret = client.read(&bench.vault.kv1("gateway/odoo").parse().unwrap()).await.unwrap();
    let field = |name| secret.field(name).map(|value| value.to_string());
    assert_eq!((field("key"), secret.version()), (Some(KEY.to_owned()), None));
    assert_eq!((field("port"), field("tls")), (Some("8069".to_owned()), Some("true".to_owned())));
    assert_eq!((field("parts"), field("none")), (None, None), "these are no texts");
    let ttl = secret.ttl().unwrap();
    assert!(ttl <= Duration::from_secs(3_600) && ttl > Duration::from_secs(3_500), "{ttl:?}");
    assert!(secret.lease().is_none());
}

#[tokio::test]
async fn nothing_that_was_read_is_shown() {
    let bench = Bench::new().await;
    bench.vault.put("gateway/odoo", json!({"key": "n0t-t0-be-sh0wn-t0-any0ne"})).await;
    let client = bench.gateway(json!({})).await;
    let secret = client.read(&bench.at("gateway/odoo")).await.unwrap();
    let shown = format!("{client:?} {secret:?} {:?}", client.state(Timestamp::now()));
    for kept in [
        "n0t-t0-be-sh0wn-t0-any0ne".to_owned(),
        std::fs::read_to_string(bench.folder.path().join("secret-id")).unwrap(),
    ] {
        assert!(!shown.contains(kept.trim()), "{shown}");
    }
    assert!(!shown.contains("hvs."), "{shown}");
}

const CREDS: &str = "dynamic:database/creds/gateway";

async fn database(bench: &Bench, default_ttl: &str, max_ttl: &str) {
    bench.vault.write("database/config/shop", json!({"plugin_name": "postgresql-database-plugin"})).await;
    let role = json!({
        "db_name": "shop", "creation_statements": ["CREATE ROLE"], "default_ttl": default_ttl, "max_ttl": max_ttl,
    });
    bench.vault.write("database/roles/gateway", role).await;
}

async fn leases(bench: &Bench) -> usize {
    let at = "sys/leases/lookup/database/creds/gateway/";
    let (_, answer) = bench.vault.ask(Method::from_bytes(b"LIST").unwrap(), at, Value::Null).await;
    answer["data"]["keys"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn what_is_lent_is_renewed_while_vault_renews_it_and_then_read_again() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it has no database to make users in") else { return };
    database(&bench, "30m", "65m").await;
    let client = bench.gateway(json!({"token_ttl": "24h"})).await;
    let secret = client.read(&CREDS.parse().unwrap()).await.unwrap();
    assert!(secret.field("username").is_some() && secret.field("password").is_some());
    let lease = secret.lease().unwrap();
    assert_eq!((lease.duration(), lease.renewable()), (Duration::from_secs(1_800), true));
    let again_in = |minutes: u64| secret.ttl().unwrap().abs_diff(Duration::from_secs(minutes * 60));
    assert!(again_in(25) < Duration::from_secs(60), "at five sixths of half an hour");

    simulation.advance(Duration::from_secs(21 * 60));
    client.keep_session(from_now(21 * 60)).await;
    assert!(again_in(21 + 25) < Duration::from_secs(60), "renewed");
    assert_eq!((leases(&bench).await, client.state(from_now(21 * 60)).leases), (1, 1));

    // 65 minutes are the most: the second renewal gives 23 of 30, the third is none.
    simulation.advance(Duration::from_secs(21 * 60));
    client.keep_session(from_now(42 * 60)).await;
    simulation.advance(Duration::from_secs(16 * 60));
    client.keep_session(from_now(58 * 60)).await;
    assert!(secret.ttl().unwrap() <= Duration::from_secs(65 * 60));
    assert_eq!(simulation.requests("sys/leases/renew").len(), 3);

    simulation.advance(Duration::from_secs(8 * 60));
    client.keep_session(from_now(66 * 60)).await;
    assert_eq!((leases(&bench).await, client.state(from_now(66 * 60)).leases), (0, 0), "it has run out");
}

#[tokio::test]
async fn only_the_newest_of_a_path_is_renewed() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it has no database to make users in") else { return };
    database(&bench, "30m", "24h").await;
    let client = bench.gateway(json!({"token_ttl": "24h"})).await;
    let at: SecretPath = CREDS.parse().unwrap();
    let (first, second) = (client.read(&at).await.unwrap(), client.read(&at).await.unwrap());
    assert_ne!(first.field("username").unwrap(), second.field("username").unwrap());
    simulation.advance(Duration::from_secs(21 * 60));
    client.keep_session(from_now(21 * 60)).await;
    assert_eq!(simulation.requests("sys/leases/renew").len(), 1);
    assert!(first.ttl().unwrap() < second.ttl().unwrap());
}

#[tokio::test]
async fn what_is_lent_is_given_back_at_the_end_and_before_it_if_asked() {
    let bench = Bench::new().await;
    let Some(simulation) = bench.vault.simulation("it has no database to make users in") else { return };
    database(&bench, "30m", "24h").await;
    let client = bench.gateway(json!({})).await;
    let at: SecretPath = CREDS.parse().unwrap();
    let first = client.read(&at).await.unwrap();
    for _ in 0..3 {
        client.read(&at).await.unwrap();
    }
    client.give_back(first.lease().unwrap()).await.unwrap();
    assert_eq!((leases(&bench).await, client.state(Timestamp::now()).leases), (3, 3));
    client.revoke_leases().await;
    assert_eq!((leases(&bench).await, client.state(Timestamp::now()).leases), (0, 0));
    assert_eq!(simulation.requests("sys/leases/revoke").len(), 4);
}

#[tokio::test]
async fn what_was_lent_to_a_session_is_read_again_after_it() {
    let bench = Bench::new().await;
    let Some(_) = bench.vault.simulation("it has no database to make users in") else { return };
    database(&bench, "30m", "24h").await;
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let client = bench.gateway(json!({})).await;
    let secret = client.read(&CREDS.parse().unwrap()).await.unwrap();
    assert!(secret.ttl().unwrap() > Duration::from_secs(60));

    // Vault takes back with a token all that was lent to it.
    bench.vault.revoke_logins("approle").await;
    assert_eq!(leases(&bench).await, 0);
    assert!(client.read(&bench.at("gateway/odoo")).await.is_ok(), "a new session");
    client.keep_session(Timestamp::now()).await;
    assert_eq!(secret.ttl(), Some(Duration::ZERO));
}

fn order(bench: &Bench) -> CertificateOrder {
    CertificateOrder {
        mount: bench.vault.mount("pki"),
        role: "gateway".to_owned(),
        common_name: None,
        dns: vec!["gateway.retail.example".to_owned()],
        uris: vec!["spiffe://retail.example/gateway".to_owned()],
        ips: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        ttl: Some(Duration::from_secs(3_600)),
    }
}

async fn authority(bench: &Bench) {
    let pki = bench.vault.mount("pki");
    let root = json!({"common_name": "retail root", "key_type": "ec", "key_bits": 256, "ttl": "24h"});
    bench.vault.write(&format!("{pki}/root/generate/internal"), root).await;
    let role = json!({
        "allowed_domains": ["retail.example"], "allow_subdomains": true, "allow_ip_sans": true,
        "allowed_uri_sans": ["spiffe://retail.example/*"], "require_cn": false, "key_type": "ec", "key_bits": 256,
        "max_ttl": "12h",
    });
    bench.vault.write(&format!("{pki}/roles/gateway"), role).await;
}

#[tokio::test]
async fn a_certificate_is_for_a_key_that_was_made_here_and_as_ordered() {
    let bench = Bench::new().await;
    authority(&bench).await;
    let client = bench.gateway(json!({})).await;
    let issued = client.issue(&order(&bench)).await.unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&issued.chain_pem).unwrap();
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    for name in [
        GeneralName::DNSName("gateway.retail.example"),
        GeneralName::URI("spiffe://retail.example/gateway"),
        GeneralName::IPAddress(&[127, 0, 0, 1]),
    ] {
        assert!(names.contains(&name), "{name:?} in {names:?}");
    }
    let left = issued.not_after.duration_since(Timestamp::now()).as_secs();
    assert!((3_500..=3_600).contains(&left), "{left}");
    assert!(!issued.serial.is_empty());
    // The key is that of the certificate, and no part of an answer.
    let key = rcgen::KeyPair::from_pem(std::str::from_utf8(&issued.key_pem).unwrap()).unwrap();
    assert_eq!(rcgen::PublicKeyData::subject_public_key_info(&key), certificate.public_key().raw);
    // The root is for peers to have, not for us to send.
    assert_eq!(std::str::from_utf8(&issued.chain_pem).unwrap().matches("BEGIN CERTIFICATE").count(), 1);
    assert!(!format!("{issued:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn what_the_role_does_not_allow_is_not_signed() {
    let bench = Bench::new().await;
    authority(&bench).await;
    let client = bench.gateway(json!({})).await;
    let mut foreign = order(&bench);
    foreign.dns = vec!["shop.other.example".to_owned()];
    assert_eq!(client.issue(&foreign).await.map(drop), Err(VaultFault::Status(400)));
    let mut elsewhere = order(&bench);
    elsewhere.role = "admin".to_owned();
    assert_eq!(client.issue(&elsewhere).await.map(drop), Err(VaultFault::Denied));
}

#[tokio::test]
async fn the_list_of_revoked_certificates_is_fetched() {
    let bench = Bench::new().await;
    authority(&bench).await;
    let client = bench.gateway(json!({})).await;
    let issued = client.issue(&order(&bench)).await.unwrap();
    let pki = bench.vault.mount("pki");
    let revoked = |pem: &[u8]| {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).unwrap();
        let (_, list) = x509_parser::parse_x509_crl(&pem.contents).unwrap();
        list.iter_revoked_certificates()
            .map(x509_parser::revocation_list::RevokedCertificate::raw_serial_as_string)
            .collect::<Vec<_>>()
    };
    assert!(revoked(&client.crl(&pki).await.unwrap()).is_empty());
    bench.vault.write(&format!("{pki}/revoke"), json!({"serial_number": issued.serial})).await;
    bench.vault.ask(Method::GET, &format!("{pki}/crl/rotate"), Value::Null).await;
    assert_eq!(revoked(&client.crl(&pki).await.unwrap()), [issued.serial]);
    assert!(
        !client.crl(&bench.vault.mount("secret")).await.unwrap_err().may_pass(),
        "no list, and no outage"
    );
}

#[tokio::test]
async fn a_signature_of_transit_is_one_of_its_public_key() {
    let bench = Bench::new().await;
    let client = bench.gateway(json!({})).await;
    let mount = bench.vault.mount("transit");
    let at = format!("{mount}/keys/gateway-audit");
    bench.vault.write(&at, json!({"type": "ed25519"})).await;
    let key = TransitKey { mount, name: "gateway-audit".to_owned(), version: None };
    let verify = |public: &[u8], message: &[u8], signature: &[u8]| {
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public)
            .verify(message, signature)
            .is_ok()
    };
    let message = b"gateway.example/audit\n7\nroot\n";
    let first = client.sign(&key, message).await.unwrap();
    assert_eq!(first.key_version, 1);
    let public = client.public_key(&key, 1).await.unwrap();
    assert!(verify(&public, message, &first.bytes));
    assert!(!verify(&public, b"another", &first.bytes));

    bench.vault.write(&format!("{at}/rotate"), json!({})).await;
    let second = client.sign(&key, message).await.unwrap();
    assert_eq!(second.key_version, 2);
    assert!(!verify(&public, message, &second.bytes));
    assert!(verify(&client.public_key(&key, 2).await.unwrap(), message, &second.bytes));
    let pinned = TransitKey { version: Some(1), ..key.clone() };
    assert_eq!(client.sign(&pinned, message).await, Ok(first), "Ed25519 signs the same in the same way");
    let other = TransitKey { name: "other".to_owned(), ..key };
    assert_eq!(client.sign(&other, message).await.map(drop), Err(VaultFault::Denied));
}

#[tokio::test]
async fn one_engine_is_not_read_as_another() {
    let bench = Bench::new().await;
    let client = bench.gateway(json!({})).await;
    bench.vault.put("gateway/odoo", odoo(KEY)).await;
    let mount = bench.vault.mount("secret");
    let at = SecretPath { engine: Engine::Kv1, mount, path: "gateway/odoo".to_owned() };
    assert!(client.read(&at).await.is_err());
}
