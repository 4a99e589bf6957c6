//! How is a policy test written? The form of `policies/tests/*.yaml`, as it stands in the file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

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
    pub(super) claims: Option<BTreeMap<String, ClaimWritten>>,
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
}

/// A claim as JSON has it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum ClaimWritten {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
    /// An array of strings.
    Texts(Vec<String>),
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
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
        }
    }
}

impl OneOrMany {
    pub(super) fn texts(&self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.text()],
            Self::Many(many) => many.iter().map(Scalar::text).collect(),
        }
    }
}

/// The form of a file of policy tests, as JSON Schema, for editors.
#[must_use]
pub fn test_schema() -> serde_json::Value {
    schemars::schema_for!(TrialFile).to_value()
}
