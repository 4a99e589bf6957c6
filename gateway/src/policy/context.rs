//! What does Cedar see of a request, and how much of it do the policies at hand ask for?
//!
//! The parts of `context` a policy reads are found when its slice is built; a request pays for those only.
//! A value that is not what the policies were checked with makes the request undecidable, never allowed.

use std::net::IpAddr;

use cedar_policy::pst::{Clause, Expr, Var};
use cedar_policy::{Context, Policy, RestrictedExpression as Value};
use jiff::{Timestamp, tz::TimeZone};

use super::circumstances::{CertificateFacts, Circumstances, ClaimValue, Deprecation, TokenFacts};
use super::facts::{OperationFacts, QueryParameter, ValueType, Values};

/// A member of `context`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Address,
    Certificate,
    Deprecated,
    Path,
    Query,
    Time,
    Token,
}

/// Why the policies cannot be asked, in words for the log: which part, never which value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

impl Part {
    pub(super) const ALL: [Self; 7] = [
        Self::Address,
        Self::Certificate,
        Self::Deprecated,
        Self::Path,
        Self::Query,
        Self::Time,
        Self::Token,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Certificate => "certificate",
            Self::Deprecated => "deprecated",
            Self::Path => "path",
            Self::Query => "query",
            Self::Time => "time",
            Self::Token => "token",
        }
    }

    /// The parts that `policies` may read. All of them, when one of the policies uses `context` whole.
    pub(super) fn read_by<'a>(policies: impl IntoIterator<Item = &'a Policy>) -> Vec<Self> {
        let mut read = Vec::new();
        for policy in policies {
            match policy.to_pst() {
                Ok(tree) => {
                    for clause in tree.body().clauses() {
                        let (Clause::When(condition) | Clause::Unless(condition)) = clause;
                        read.extend(parts_in(condition));
                    }
                }
                Err(_) => read.extend(Self::ALL),
            }
        }
        read.sort_unstable();
        read.dedup();
        read
    }

    fn named(attribute: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.name() == attribute)
    }
}

fn parts_in(condition: &Expr) -> Vec<Part> {
    let is_context = |e: &Expr| matches!(e, Expr::Var(Var::Context));
    condition.reduce(
        &|node| match node {
            Expr::GetAttr { expr, attr } if is_context(expr) => Some(Part::named(attr).into_iter().collect()),
            Expr::HasAttr { expr, attrs } if is_context(expr) => {
                Some(Part::named(attrs.first()).into_iter().collect())
            }
            whole if is_context(whole) => Some(Part::ALL.to_vec()),
            _ => None,
        },
        &|mut left, right| {
            left.extend(right);
            left
        },
        Vec::new(),
    )
}

/// The `parts` of the context of a request for `operation`.
pub(super) fn build(
    parts: &[Part],
    operation: &OperationFacts,
    claims: &[(String, ValueType)],
    given: &Circumstances<'_>,
) -> Result<Context, Unfit> {
    let mut members = Vec::with_capacity(parts.len());
    for part in parts {
        let value = match part {
            Part::Address => address(given.address),
            Part::Certificate => certificate(given.certificate.as_ref())?,
            Part::Deprecated => Value::new_bool(given.deprecation == Deprecation::Deprecated),
            Part::Path => path(&operation.path_parameters, &given.path)?,
            Part::Query => query(&operation.query_parameters, &given.query)?,
            Part::Time => time(given.now)?,
            Part::Token => token(claims, given.token.as_ref())?,
        };
        members.push((part.name().to_owned(), value));
    }
    Context::from_pairs(members).map_err(|_invalid| Unfit("a value is not one that Cedar can hold"))
}

/// A client that comes as `::ffff:192.0.2.7` is the client `192.0.2.7` (RFC 4291 section 2.5.5.2); a
/// refusal of the one must not be escaped by the other.
fn address(address: IpAddr) -> Value {
    Value::new_ip(address.to_canonical().to_string())
}

fn certificate(certificate: Option<&CertificateFacts<'_>>) -> Result<Value, Unfit> {
    let absent = CertificateFacts::default();
    let CertificateFacts { dns, uris, sha256 } = certificate.unwrap_or(&absent);
    let mut fields = vec![
        field("present", Value::new_bool(certificate.is_some())),
        field("dns", texts(dns)),
        field("uris", texts(uris)),
    ];
    if certificate.is_some() {
        fields.push(field("sha256", text(sha256)));
    }
    record(fields)
}

fn token(claims: &[(String, ValueType)], token: Option<&TokenFacts<'_>>) -> Result<Value, Unfit> {
    let absent = TokenFacts::default();
    let TokenFacts { issuer, subject, client_id, scopes, actor, claims: values } = token.unwrap_or(&absent);
    let mut fields = vec![
        field("present", Value::new_bool(token.is_some())),
        field("scopes", texts(scopes)),
        field("claims", claim_record(claims, values)?),
    ];
    let issuer = token.map(|_| *issuer);
    for (name, value) in
        [("issuer", issuer), ("subject", *subject), ("client_id", *client_id), ("actor", *actor)]
    {
        fields.extend(value.map(|value| field(name, text(value))));
    }
    record(fields)
}

fn claim_record(claims: &[(String, ValueType)], values: &[(&str, ClaimValue<'_>)]) -> Result<Value, Unfit> {
    let mut fields = Vec::new();
    for (name, value_type) in claims {
        if let Some((_, value)) = values.iter().find(|(given, _)| given == name) {
            fields.push(field(name, claim(*value_type, value)?));
        }
    }
    record(fields)
}

/// A claim of another type must not count as absent: a `forbid` about it would then not be asked.
fn claim(expected: ValueType, value: &ClaimValue<'_>) -> Result<Value, Unfit> {
    match (expected, value) {
        (ValueType::Text, ClaimValue::Text(value)) => Ok(text(value)),
        (ValueType::Integer, ClaimValue::Integer(value)) => Ok(Value::new_long(*value)),
        (ValueType::Boolean, ClaimValue::Boolean(value)) => Ok(Value::new_bool(*value)),
        (ValueType::Texts, ClaimValue::Texts(values)) => Ok(texts(values)),
        (
            ValueType::Text | ValueType::Integer | ValueType::Boolean | ValueType::Texts,
            ClaimValue::Text(_) | ClaimValue::Integer(_) | ClaimValue::Boolean(_) | ClaimValue::Texts(_),
        ) => Err(Unfit("a claim of the token is not of the type it is configured with")),
    }
}

fn time(now: Timestamp) -> Result<Value, Unfit> {
    let utc = now.to_zoned_datetime(TimeZone::UTC);
    record(vec![
        field("now", Value::new_datetime(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())),
        field("hour", Value::new_long(utc.hour().into())),
        field("weekday", Value::new_long(utc.weekday().to_monday_one_offset().into())),
    ])
}

/// The template of the path was matched, so each of its parameters is there, once.
fn path(names: &[String], given: &[(&str, &str)]) -> Result<Value, Unfit> {
    let mut fields = Vec::with_capacity(names.len());
    for name in names {
        let mut values = given.iter().filter(|(given, _)| given == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => fields.push(field(name, text(value))),
            _ => return Err(Unfit("a parameter of the path is missing or repeated")),
        }
    }
    record(fields)
}

/// What the policies see must be what the upstream takes: of two values, who knows which that is?
fn query(parameters: &[QueryParameter], given: &[(&str, &str)]) -> Result<Value, Unfit> {
    let mut fields = Vec::new();
    for QueryParameter { name, values } in parameters {
        let sent: Vec<&str> =
            given.iter().filter(|(given, _)| given == name).map(|(_, value)| *value).collect();
        match (values, sent.as_slice()) {
            (_, []) => {}
            (Values::One, [one]) => fields.push(field(name, text(one))),
            (Values::One, _) => return Err(Unfit("a parameter of the query is repeated")),
            (Values::Many, many) => fields.push(field(name, texts(many))),
        }
    }
    record(fields)
}

fn record(fields: Vec<(String, Value)>) -> Result<Value, Unfit> {
    Value::new_record(fields).map_err(|_repeated| Unfit("a name is repeated"))
}

fn field(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

fn text(value: &str) -> Value {
    Value::new_string(value.to_owned())
}

fn texts(values: &[&str]) -> Value {
    Value::new_set(values.iter().map(|value| text(value)))
}
