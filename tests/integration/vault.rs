//! The session with Vault, and what is read, ordered and signed there: the simulated one, or a real one where
//! `GATEWAY_TEST_VAULT_ADDR` says where.

mod clients;
mod engines;
mod faults;
mod logins;
mod outage;
mod serving;

use std::sync::Arc;
use std::time::Duration;

use gateway::vault::{Auth, Secret, SecretPath, Source, Vault, VaultFault, VaultSettings};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::certificates::write_private;
use testbed::vault as testbed_vault;

/// What is put there where a test wants one secret.
const KEY: &str = "an-odoo-key-of-a-test";

/// A Vault, and a folder for what proves a gateway to it.
struct Bench {
    vault: testbed_vault::Vault,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self { vault: testbed_vault::Vault::start().await, folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        write_private(&path, text);
        path
    }

    fn settings(&self, auth: Auth) -> VaultSettings {
        VaultSettings {
            address: self.vault.address().to_owned(),
            namespace: None,
            auth,
            ca: self.vault.ca_pem().map(|pem| pem.as_bytes().to_vec()),
            timeout: Duration::from_secs(5),
            cache: None,
        }
    }

    fn client(&self, auth: Auth) -> Arc<Vault> {
        Vault::new(self.settings(auth), None).unwrap()
    }

    /// One that logs in by AppRole; `settings` are those of its role.
    async fn gateway(&self, settings: Value) -> Arc<Vault> {
        self.client(self.approle(settings).await)
    }

    async fn approle(&self, settings: Value) -> Auth {
        let approle = self.vault.approle(settings).await;
        Auth::AppRole {
            mount: self.vault.mount("approle"),
            role_id: Source::File(self.write("role-id", &format!("{}\n", approle.role_id))),
            secret_id: Source::File(self.write("secret-id", &format!("{}\n", approle.secret_id))),
            wrapped: false,
        }
    }

    /// Where a secret of key/value version 2 is.
    fn at(&self, path: &str) -> SecretPath {
        self.vault.kv2(path).parse().unwrap()
    }
}

fn key(secret: &Secret) -> &str {
    secret.field("key").unwrap()
}

/// The outcome of a reading, for comparison: the field `key` and the version.
fn read(read: Result<Secret, VaultFault>) -> Result<(String, Option<u64>), VaultFault> {
    read.map(|secret| (key(&secret).to_owned(), secret.version()))
}

fn from_now(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

fn odoo(value: &str) -> Value {
    json!({"key": value})
}
