//! How is a policy test written, and what does it stand for? The form of `policies/tests/*.yaml`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::circumstances::{CertificateFacts, TokenFacts};

/// A file of policy tests: what must be allowed and refused, and by which policies.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialFile {
    /// Each is one request and what has to come of it.
    pub(super) tests: Vec<Trial>,
}

/// One request and what has to come of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trial {
    /// A sentence: `a marketplace creates orders over mutual TLS`.
    pub(super) name: String,
    /// The id of a caller, or `anonymous`.
    pub(super) caller: String,
    /// `orders.v2.createOrder`.
    pub(super) operation: String,
    /// What else is true of the request.
    #[serde(default)]
    pub(super) with: With,
    /// What has to come of it.
    pub(super) expect: Expect,
    /// Policies that have to be among those that decide so.
    #[serde(default)]
    pub(super) by: Vec<String>,
}

/// What has to come of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expect {
    Allow,
    Refuse,
}

/// What is true of a request in a test.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct With {
    /// Whether a client certificate was proved, or what is in it.
    pub(super) certificate: CertificateWritten,
    /// What is in the token. There is one as soon as this, `scopes` or `claims` is written.
    pub(super) token: Option<TokenWritten>,
    /// The scopes of the token.
    pub(super) scopes: Option<Vec<String>>,
    /// The claims of the token.
    pub(super) claims: Option<BTreeMap<String, Value>>,
    /// The client's address; 192.0.2.1 unless written.
    pub(super) address: Option<String>,
    /// When, as RFC 3339 has it; noon of 1 January 2026, a Thursday, unless written.
    pub(super) time: Option<String>,
    /// The parameters of the path.
    pub(super) path: BTreeMap<String, Scalar>,
    /// The parameters of the query.
    pub(super) query: BTreeMap<String, OneOrMany>,
    /// Whether the version called is deprecated.
    pub(super) deprecated: bool,
}

/// `true`, `false`, or what is in the certificate.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum CertificateWritten {
    /// Whether there is one.
    Present(bool),
    /// What is in it.
    Facts(CertificateFactsWritten),
}

/// What is in a certificate.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CertificateFactsWritten {
    /// Its DNS names.
    pub(super) dns: Vec<String>,
    /// Its URIs.
    pub(super) uris: Vec<String>,
    /// The SHA-256 of its DER, in lower-case hexadecimal digits.
    pub(super) sha256: String,
}

/// What is in a token, beside scopes and claims.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TokenWritten {
    /// `iss`.
    pub(super) issuer: String,
    /// `sub`.
    pub(super) subject: Option<String>,
    /// `client_id`.
    pub(super) client_id: Option<String>,
    /// The `sub` of `act`.
    pub(super) actor: Option<String>,
    /// The `iss` of `act`.
    pub(super) actor_issuer: Option<String>,
    /// The `sub` of `may_act`.
    pub(super) may_act: Option<String>,
    /// The `iss` of `may_act`.
    pub(super) may_act_issuer: Option<String>,
}

/// A value in a path or query, which is text however it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    /// `"12"`.
    Text(String),
    /// `12`.
    Integer(i64),
    /// `true`.
    Boolean(bool),
}

/// One value of a query parameter, or several.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// `status: open`.
    One(Scalar),
    /// `status: [open, paid]`.
    Many(Vec<Scalar>),
}

impl Default for CertificateWritten {
    fn default() -> Self {
        Self::Present(false)
    }
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
        }
    }
}

impl OneOrMany {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.text()],
            Self::Many(many) => many.iter().map(Scalar::text).collect(),
        }
    }
}

/// Parameters as text, each value by itself.
pub(super) struct Parameters<'w> {
    pub(super) path: Vec<(&'w str, String)>,
    pub(super) query: Vec<(&'w str, String)>,
}

impl<'w> Parameters<'w> {
    pub(super) fn of(with: &'w With) -> Self {
        let each =
            |(name, values): (&'w String, Vec<String>)| values.into_iter().map(move |v| (name.as_str(), v));
        Self {
            path: with.path.iter().map(|(name, value)| (name.as_str(), value.text())).collect(),
            query: with.query.iter().map(|(name, values)| (name, values.texts())).flat_map(each).collect(),
        }
    }
}

impl Expect {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
        }
    }
}

impl With {
    pub(super) fn token(&self) -> Option<TokenFacts<'_>> {
        if self.token.is_none() && self.scopes.is_none() && self.claims.is_none() {
            return None;
        }
        let claims = self.claims.iter().flatten().map(|(name, claim)| (name.as_str(), claim.into()));
        let written = self.token.as_ref();
        Some(TokenFacts {
            issuer: written.map_or("", |token| &token.issuer),
            subject: written.and_then(|token| token.subject.as_deref()),
            client_id: written.and_then(|token| token.client_id.as_deref()),
            actor: written.and_then(|token| token.actor.as_deref()),
            actor_issuer: written.and_then(|token| token.actor_issuer.as_deref()),
            may_act: written.and_then(|token| token.may_act.as_deref()),
            may_act_issuer: written.and_then(|token| token.may_act_issuer.as_deref()),
            scopes: borrowed(self.scopes.as_deref().unwrap_or_default()),
            claims: claims.collect(),
        })
    }
}

impl CertificateWritten {
    pub(super) fn facts(&self) -> Option<CertificateFacts<'_>> {
        match self {
            Self::Present(false) => None,
            Self::Present(true) => Some(CertificateFacts::default()),
            Self::Facts(facts) => Some(CertificateFacts {
                dns: borrowed(&facts.dns),
                uris: borrowed(&facts.uris),
                sha256: &facts.sha256,
            }),
        }
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// The form of a file of policy tests, as JSON Schema, for editors.
#[must_use]
pub fn test_schema() -> Value {
    schemars::schema_for!(TrialFile).to_value()
}
