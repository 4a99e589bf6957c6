//! Key/value, versions 1 and 2, as Vault documents them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reply::Reply;
use super::simulated::{Call, Verb};

/// Version 1: one value at each path.
#[derive(Debug, Default)]
pub(super) struct Kv1(BTreeMap<String, Value>);

/// Version 2: numbered versions at each path.
#[derive(Debug, Default)]
pub(super) struct Kv2(BTreeMap<String, Vec<Version>>);

#[derive(Debug)]
struct Version {
    data: Value,
    created: i64,
    deleted: Option<i64>,
    destroyed: bool,
}

impl Kv1 {
    pub(super) fn answer(&mut self, call: &Call<'_>) -> Reply {
        match call.verb {
            Verb::Read => match self.0.get(call.path) {
                Some(value) => {
                    let mut reply = Reply::data(value.clone());
                    // A hint, not a lease: the default of the mount.
                    if let super::reply::Body::Json(body) = &mut reply.body {
                        body["lease_duration"] =
                            json!(super::token::seconds(&value["ttl"]).unwrap_or(2_764_800));
                    }
                    reply
                }
                None => Reply::not_found(),
            },
            Verb::Write => {
                self.0.insert(call.path.to_owned(), call.body.clone());
                Reply::none()
            }
            Verb::Delete => {
                self.0.remove(call.path);
                Reply::none()
            }
            Verb::List => Reply::unsupported(),
        }
    }
}

impl Kv2 {
    pub(super) fn answer(&mut self, call: &Call<'_>) -> Reply {
        let Some((what, path)) = call.path.split_once('/') else { return Reply::not_found() };
        match (what, call.verb) {
            ("data", Verb::Read) => self.read(path),
            ("data", Verb::Write) => self.write(path, call),
            ("data", Verb::Delete) => {
                if let Some(last) = self.0.get_mut(path).and_then(|versions| versions.last_mut()) {
                    last.deleted = Some(call.now);
                }
                Reply::none()
            }
            ("destroy", Verb::Write) => {
                for number in call.body["versions"].as_array().into_iter().flatten().filter_map(Value::as_u64)
                {
                    let place = usize::try_from(number).unwrap_or_default().wrapping_sub(1);
                    if let Some(version) = self.0.get_mut(path).and_then(|versions| versions.get_mut(place)) {
                        version.destroyed = true;
                        version.data = Value::Null;
                    }
                }
                Reply::none()
            }
            ("metadata", Verb::Delete) => {
                self.0.remove(path);
                Reply::none()
            }
            // What Vault says to whoever takes it for version 1.
            _ => Reply::not_found(),
        }
    }

    fn read(&self, path: &str) -> Reply {
        let Some((number, version)) =
            self.0.get(path).and_then(|versions| Some((versions.len(), versions.last()?)))
        else {
            return Reply::not_found();
        };
        let gone = version.destroyed || version.deleted.is_some();
        let data = if gone { Value::Null } else { version.data.clone() };
        let reply = Reply::data(json!({"data": data, "metadata": version.metadata(number)}));
        Reply { status: if gone { 404 } else { 200 }, ..reply }
    }

    fn write(&mut self, path: &str, call: &Call<'_>) -> Reply {
        if !call.body["data"].is_object() {
            return Reply::error(400, "no data provided");
        }
        let versions = self.0.entry(path.to_owned()).or_default();
        let current = versions.len();
        if call.body["options"]["cas"].as_u64().is_some_and(|cas| usize::try_from(cas) != Ok(current)) {
            return Reply::error(400, "check-and-set parameter did not match the current version");
        }
        let data = call.body["data"].clone();
        versions.push(Version { data, created: call.now, deleted: None, destroyed: false });
        Reply::data(versions[current].metadata(current + 1))
    }
}

impl Version {
    fn metadata(&self, number: usize) -> Value {
        json!({
            "created_time": time(self.created),
            "custom_metadata": null,
            "deletion_time": self.deleted.map_or_else(String::new, time),
            "destroyed": self.destroyed,
            "version": number,
        })
    }
}

fn time(second: i64) -> String {
    jiff::Timestamp::from_second(second).expect("a time").to_string()
}
