//! How does each caller of the sample `policies/callers.yaml` prove itself, and what is it granted?
//!
//! The file says who may exist; this says what the issuer and the authority of a test give them. A test
//! below holds the two together.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::certificates::{Authority, Identity};
use crate::issuer::{Client, Issuer, Mint};

/// A caller of the sample retailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleCaller {
    /// Its name in `callers.yaml`.
    pub id: &'static str,
    /// Its token, if it has one.
    pub token: Option<SampleToken>,
    /// The name in its certificate, if it has one.
    pub certificate: Option<CertificateName>,
}

/// What the issuer puts into a caller's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleToken {
    /// The client it is issued to.
    pub client_id: &'static str,
    /// Everything the caller may ask for, separated by spaces.
    pub scopes: &'static str,
    /// The person it speaks for and the groups of that person.
    pub person: Option<(&'static str, &'static [&'static str])>,
}

/// The name in a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateName {
    /// A DNS name.
    Dns(&'static str),
    /// A URI.
    Uri(&'static str),
}

/// Every caller of the sample.
pub const CALLERS: [SampleCaller; 5] = [
    SampleCaller {
        id: "acme-marketplace",
        token: Some(SampleToken {
            client_id: "acme-marketplace",
            scopes: "orders:read orders:write stock:read returns:read returns:write",
            person: None,
        }),
        certificate: Some(CertificateName::Dns("client.acme.example")),
    },
    SampleCaller {
        id: "swift-carrier",
        token: Some(SampleToken {
            client_id: "swift-carrier",
            scopes: "shipments:read shipments:write",
            person: None,
        }),
        certificate: None,
    },
    SampleCaller {
        id: "warehouse",
        token: None,
        certificate: Some(CertificateName::Uri("spiffe://retailer.example/warehouse/management")),
    },
    SampleCaller {
        id: "reconciliation-bot",
        token: Some(SampleToken {
            client_id: "reconciliation-bot",
            scopes: "orders:read returns:read refunds:read",
            person: None,
        }),
        certificate: None,
    },
    SampleCaller {
        id: "customer-service",
        token: Some(SampleToken {
            client_id: "service-desk",
            scopes: "orders:read orders:write stock:read customers:read customers:write shipments:read \
                     returns:read returns:write refunds:read refunds:write",
            person: Some(("grace", &["staff", "customer-service"])),
        }),
        certificate: Some(CertificateName::Dns("desk.customer-service.retailer.example")),
    },
];

/// The caller of this name.
///
/// # Panics
/// The sample has no such caller.
#[must_use]
pub fn caller(id: &str) -> SampleCaller {
    CALLERS.into_iter().find(|c| c.id == id).unwrap_or_else(|| panic!("the sample has no caller `{id}`"))
}

/// What a person's token says of a sign-in a moment ago, with a second factor (RFC 8176).
#[must_use]
pub fn signed_in() -> Map<String, Value> {
    let claims = [
        ("acr", json!("urn:retailer:staff")),
        ("amr", json!(["pwd", "otp", "mfa"])),
        ("auth_time", json!(Timestamp::now().as_second())),
    ];
    claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A token with one claim more.
pub fn claimed(mint: Mint, (name, value): (String, Value)) -> Mint {
    mint.claim(&name, value)
}

impl SampleCaller {
    /// A good token for it with all its scopes; `None` for a caller that has none.
    pub fn mint(&self, issuer: &Issuer) -> Option<Mint> {
        let SampleToken { client_id, scopes, person } = self.token?;
        let mint = issuer.mint(client_id).scope(scopes);
        Some(match person {
            None => mint,
            Some((subject, groups)) => {
                signed_in().into_iter().fold(mint.subject(subject).claim("groups", json!(groups)), claimed)
            }
        })
    }

    /// Its certificate by `authority`; `None` for a caller that has none.
    #[must_use]
    pub fn identity(&self, authority: &Authority) -> Option<Identity> {
        Some(match self.certificate? {
            CertificateName::Dns(name) => authority.client_dns(name),
            CertificateName::Uri(uri) => authority.client_uri(uri),
        })
    }

    /// The client it is at the issuer's token endpoint; `None` for a caller that has no token. A person
    /// would log in elsewhere; here its client gets a token that speaks for it.
    #[must_use]
    pub fn client(&self) -> Option<Client> {
        let SampleToken { client_id, scopes, person } = self.token?;
        let claims = person.map(|(subject, groups)| {
            let mut claims = signed_in();
            claims.extend([("sub".to_owned(), json!(subject)), ("groups".to_owned(), json!(groups))]);
            claims
        });
        Some(Client {
            id: client_id.to_owned(),
            secret: format!("{client_id}-secret"),
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            claims: claims.unwrap_or_default(),
        })
    }

    /// An entry of `proofs` in `callers.yaml` fits this caller.
    #[must_use]
    pub fn fits(&self, proof: &Value) -> bool {
        let certificate = match self.certificate {
            Some(CertificateName::Dns(name)) => proof.pointer("/certificate/dns") == Some(&json!(name)),
            Some(CertificateName::Uri(uri)) => proof.pointer("/certificate/spiffe") == Some(&json!(uri)),
            None => false,
        };
        let token = self.token.is_some_and(|token| match token.person {
            None => proof.pointer("/token/client_id") == Some(&json!(token.client_id)),
            Some((_, groups)) => {
                let value = proof.pointer("/token/claim/value").and_then(Value::as_str);
                value.is_some_and(|value| groups.contains(&value))
            }
        });
        certificate || token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository;
    use crate::upstream::Samples;
    use gateway::document::Document;
    use std::collections::BTreeSet;

    #[test]
    fn the_callers_here_are_those_of_the_sample_file() {
        let path = repository::folder("policies").join("callers.yaml");
        let document = Document::read(&path, "callers.yaml").unwrap();
        let written = document.value()["callers"].as_object().unwrap();
        let mut ids: Vec<_> = CALLERS.iter().map(|c| c.id).collect();
        ids.sort_unstable();
        let mut expected: Vec<_> = written.keys().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(ids, expected);
        for caller in CALLERS {
            for proof in written[caller.id]["proofs"].as_array().unwrap() {
                assert!(caller.fits(proof), "{}: {proof}", caller.id);
            }
        }
    }

    #[test]
    fn every_scope_of_a_caller_is_one_of_a_contract() {
        let mut known = Vec::new();
        for api in ["orders/v1", "orders/v2", "stock/v1", "customers/v1", "shipments/v1", "returns/v1"] {
            let path = repository::folder("contracts").join(api).join("openapi.yaml");
            let document = Document::read(&path, api).unwrap();
            let flows = document.value()["components"]["securitySchemes"]["oauth"]["flows"].as_object();
            for flow in flows.unwrap().values() {
                known.extend(flow["scopes"].as_object().unwrap().keys().cloned());
            }
        }
        for caller in CALLERS {
            for scope in caller.token.map(|t| t.scopes).unwrap_or_default().split_ascii_whitespace() {
                assert!(known.iter().any(|k| k == scope), "{}: {scope}", caller.id);
            }
        }
    }

    #[test]
    fn every_caller_is_tested_both_ways_and_every_operation_is_allowed_to_somebody() {
        let (mut allowed, mut refused, mut operations) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for entry in std::fs::read_dir(repository::folder("policies").join("tests")).unwrap() {
            let document = Document::read(&entry.unwrap().path(), "tests").unwrap();
            for test in document.value()["tests"].as_array().unwrap() {
                let caller = test["caller"].as_str().unwrap().to_owned();
                match test["expect"].as_str().unwrap() {
                    "allow" => {
                        operations.insert(test["operation"].as_str().unwrap().to_owned());
                        allowed.insert(caller);
                    }
                    _ => {
                        refused.insert(caller);
                    }
                }
            }
        }
        let callers: BTreeSet<_> = CALLERS.iter().map(|c| c.id.to_owned()).collect();
        assert_eq!((&allowed, &refused), (&callers, &callers));
        let described = Samples::load(&repository::folder("contracts"));
        let missing: Vec<_> = described.operations().filter(|name| !operations.contains(*name)).collect();
        assert!(missing.is_empty(), "nobody is tested to be allowed: {missing:?}");
        assert_eq!(described.operations().count(), operations.len());
    }
}
