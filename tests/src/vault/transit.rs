//! Keys that sign and are never given away: Ed25519, in versions.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::reply::Reply;
use super::simulated::{Call, Verb};

/// The keys of one mount.
#[derive(Default)]
pub(super) struct Transit(BTreeMap<String, Vec<Ed25519KeyPair>>);

impl Transit {
    pub(super) fn answer(&mut self, call: &Call<'_>) -> Reply {
        let Some((what, name)) = call.path.split_once('/') else { return Reply::not_found() };
        match (what, name.strip_suffix("/rotate").unwrap_or(name), call.verb) {
            ("keys", name, Verb::Write) => {
                if call.body["type"].as_str().is_some_and(|kind| kind != "ed25519") {
                    return Reply::error(400, "only ed25519 is simulated");
                }
                let key = Ed25519KeyPair::generate().expect("an Ed25519 key can be made");
                self.0.entry(name.to_owned()).or_default().push(key);
                self.describe(name)
            }
            ("keys", name, Verb::Read) => self.describe(name),
            ("sign", name, Verb::Write) => self.sign(name, &call.body),
            _ => Reply::unsupported(),
        }
    }

    fn describe(&self, name: &str) -> Reply {
        let Some(versions) = self.0.get(name) else { return Reply::not_found() };
        let mut keys = Map::new();
        for (place, key) in versions.iter().enumerate() {
            let public_key = STANDARD.encode(key.public_key());
            keys.insert((place + 1).to_string(), json!({"name": "ed25519", "public_key": public_key}));
        }
        Reply::data(json!({
            "name": name, "type": "ed25519", "latest_version": versions.len(), "min_decryption_version": 1,
            "supports_signing": true, "exportable": false, "keys": keys,
        }))
    }

    fn sign(&self, name: &str, body: &Value) -> Reply {
        let Some(versions) = self.0.get(name) else { return Reply::error(400, "signing key not found") };
        let Ok(message) = STANDARD.decode(body["input"].as_str().unwrap_or_default()) else {
            return Reply::error(400, "unable to decode input as base64");
        };
        let number = body["key_version"].as_u64().filter(|number| *number > 0);
        let number = number.map_or(versions.len(), |number| usize::try_from(number).unwrap_or(usize::MAX));
        let Some(key) = versions.get(number - 1) else { return Reply::error(400, "invalid key version") };
        let signature = STANDARD.encode(key.sign(&message));
        Reply::data(json!({"signature": format!("vault:v{number}:{signature}"), "key_version": number}))
    }
}
