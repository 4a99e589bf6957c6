//! What does Cedar see of a request, and how much of it do the policies at hand ask for?
//!
//! What of `context` a policy reads is found when it is loaded; a request pays for that only.
//! A value that is not what the policies were checked with makes the request undecidable, never allowed.

use std::net::IpAddr;

use cedar_policy::pst::{Clause, Expr, Var};
use cedar_policy::{Context, Policy, RestrictedExpression as Value};
use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

use super::circumstances::{Circumstances, ClaimValue, Deprecation};
use super::facts::{OperationFacts, QueryParameter, ValueType, Values};

/// Something of `context` that a policy may read, in the order of the parts it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    Address,
    CertificateDns,
    CertificatePresent,
    CertificateSha256,
    CertificateUris,
    Deprecated,
    Path,
    Query,
    TimeHour,
    TimeNow,
    TimeWeekday,
    TokenActor,
    TokenActorIssuer,
    TokenClaims,
    TokenClientId,
    TokenIssuer,
    TokenMayAct,
    TokenMayActIssuer,
    TokenPresent,
    TokenScopes,
    TokenSubject,
}

/// Why the policies cannot be asked, in words for the log: which part, never which value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unfit(pub(super) &'static str);

impl Member {
    pub(super) const ALL: [Self; 21] = [
        Self::Address,
        Self::CertificateDns,
        Self::CertificatePresent,
        Self::CertificateSha256,
        Self::CertificateUris,
        Self::Deprecated,
        Self::Path,
        Self::Query,
        Self::TimeHour,
        Self::TimeNow,
        Self::TimeWeekday,
        Self::TokenActor,
        Self::TokenActorIssuer,
        Self::TokenClaims,
        Self::TokenClientId,
        Self::TokenIssuer,
        Self::TokenMayAct,
        Self::TokenMayActIssuer,
        Self::TokenPresent,
        Self::TokenScopes,
        Self::TokenSubject,
    ];

    /// The part of `context`, and the attribute of that part if there are several.
    const fn names(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Address => ("address", None),
            Self::CertificateDns => ("certificate", Some("dns")),
            Self::CertificatePresent => ("certificate", Some("present")),
            Self::CertificateSha256 => ("certificate", Some("sha256")),
            Self::CertificateUris => ("certificate", Some("uris")),
            Self::Deprecated => ("deprecated", None),
            Self::Path => ("path", None),
            Self::Query => ("query", None),
            Self::TimeHour => ("time", Some("hour")),
            Self::TimeNow => ("time", Some("now")),
            Self::TimeWeekday => ("time", Some("weekday")),
            Self::TokenActor => ("token", Some("actor")),
            Self::TokenActorIssuer => ("token", Some("actor_issuer")),
            Self::TokenClaims => ("token", Some("claims")),
            Self::TokenClientId => ("token", Some("client_id")),
            Self::TokenIssuer => ("token", Some("issuer")),
            Self::TokenMayAct => ("token", Some("may_act")),
            Self::TokenMayActIssuer => ("token", Some("may_act_issuer")),
            Self::TokenPresent => ("token", Some("present")),
            Self::TokenScopes => ("token", Some("scopes")),
            Self::TokenSubject => ("token", Some("subject")),
        }
    }

    /// What a policy may read: everything, when it uses `context` whole.
    pub(super) fn read_by(policy: &Policy) -> Vec<Self> {
        // What cannot be looked into may read anything.
        let Ok(tree) = policy.to_pst() else { return Self::ALL.to_vec() };
        let mut read: Vec<Self> = tree
            .body()
            .clauses()
            .iter()
            .flat_map(|(Clause::When(condition) | Clause::Unless(condition))| members_in(condition))
            .collect();
        read.sort_unstable();
        read.dedup();
        read
    }

    fn of_part(part: &str) -> Vec<Self> {
        Self::ALL.into_iter().filter(|member| member.names().0 == part).collect()
    }

    fn of_attribute(part: &str, attribute: &str) -> Vec<Self> {
        let one = Self::ALL.into_iter().find(|member| member.names() == (part, Some(attribute)));
        one.map_or_else(|| Self::of_part(part), |member| vec![member])
    }
}

fn members_in(condition: &Expr) -> Vec<Member> {
    condition.reduce(
        &|node| match node {
            Expr::GetAttr { expr, attr } => match (is_context(expr), part(expr)) {
                (true, _) => Some(Member::of_part(attr)),
                (false, Some(part)) => Some(Member::of_attribute(part, attr)),
                (false, None) => None,
            },
            Expr::HasAttr { expr, attrs } => match (is_context(expr), part(expr), attrs.get(1)) {
                (true, _, Some(attribute)) => Some(Member::of_attribute(attrs.first(), attribute)),
                (true, _, None) => Some(Member::of_part(attrs.first())),
                (false, Some(part), _) => Some(Member::of_attribute(part, attrs.first())),
                (false, None, _) => None,
            },
            whole => is_context(whole).then(|| Member::ALL.to_vec()),
        },
        &|mut left, right| {
            left.extend(right);
            left
        },
        Vec::new(),
    )
}

const fn is_context(node: &Expr) -> bool {
    matches!(node, Expr::Var(Var::Context))
}

/// `token`, of `context.token`.
fn part(node: &Expr) -> Option<&str> {
    match node {
        Expr::GetAttr { expr, attr } if is_context(expr) => Some(attr),
        _ => None,
    }
}

/// The `members` of the context of a request for `operation`. They are in order, so that those of one part
/// stand together.
pub(super) fn build(
    members: &[Member],
    operation: &OperationFacts,
    claims: &[(String, ValueType)],
    given: &Circumstances<'_>,
) -> Result<Context, Unfit> {
    let mut parts = Vec::new();
    for of_part in members.chunk_by(|a, b| a.names().0 == b.names().0) {
        let mut fields = Vec::with_capacity(of_part.len());
        for member in of_part {
            let (part, attribute) = member.names();
            let value = value(*member, operation, claims, given)?;
            match attribute {
                None => parts.extend(value.map(|value| field(part, value))),
                Some(attribute) => fields.extend(value.map(|value| field(attribute, value))),
            }
        }
        if let Some((part, Some(_))) = of_part.first().map(|member| member.names()) {
            parts.push(field(part, record(fields)?));
        }
    }
    Context::from_pairs(parts).map_err(|_invalid| Unfit("a value is not one that Cedar can hold"))
}

fn value(
    member: Member,
    operation: &OperationFacts,
    claims: &[(String, ValueType)],
    given: &Circumstances<'_>,
) -> Result<Option<Value>, Unfit> {
    let Circumstances { address, now, certificate, token, path, query, deprecation } = given;
    let certificate = certificate.as_ref();
    let token = token.as_ref();
    Ok(match member {
        Member::Address => Some(ip(*address)),
        Member::Deprecated => Some(Value::new_bool(*deprecation == Deprecation::Deprecated)),
        Member::Path => Some(path_record(&operation.path_parameters, path)?),
        Member::Query => Some(query_record(&operation.query_parameters, query)?),
        Member::CertificatePresent => Some(Value::new_bool(certificate.is_some())),
        Member::CertificateDns => Some(texts(certificate.map_or(&[], |c| &c.dns))),
        Member::CertificateUris => Some(texts(certificate.map_or(&[], |c| &c.uris))),
        Member::CertificateSha256 => certificate.map(|c| text(c.sha256)),
        Member::TimeHour => Some(Value::new_long(utc(*now).hour().into())),
        Member::TimeNow => Some(instant(*now)),
        // ISO 8601: weeks begin on Monday, which is 1.
        Member::TimeWeekday => Some(Value::new_long(utc(*now).weekday().to_monday_one_offset().into())),
        Member::TokenPresent => Some(Value::new_bool(token.is_some())),
        Member::TokenScopes => Some(texts(token.map_or(&[], |t| &t.scopes))),
        Member::TokenClaims => Some(claim_record(claims, token.map_or(&[], |t| &t.claims))?),
        Member::TokenIssuer => token.map(|t| text(t.issuer)),
        Member::TokenSubject => token.and_then(|t| t.subject).map(text),
        Member::TokenClientId => token.and_then(|t| t.client_id).map(text),
        Member::TokenActor => token.and_then(|t| t.actor).map(text),
        Member::TokenActorIssuer => token.and_then(|t| t.actor_issuer).map(text),
        Member::TokenMayAct => token.and_then(|t| t.may_act).map(text),
        Member::TokenMayActIssuer => token.and_then(|t| t.may_act_issuer).map(text),
    })
}

/// A client that comes as `::ffff:192.0.2.7` is the client `192.0.2.7` (RFC 4291 section 2.5.5.2); a
/// refusal of the one must not be escaped by the other.
fn ip(address: IpAddr) -> Value {
    Value::new_ip(address.to_canonical().to_string())
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
    if !value.fits(expected) {
        return Err(UNFIT_CLAIM);
    }
    match value {
        ClaimValue::Text(one) if expected == ValueType::Texts => Ok(texts(&[one])),
        ClaimValue::Text(value) => Ok(text(value)),
        ClaimValue::Integer(value) => Ok(Value::new_long(*value)),
        ClaimValue::Boolean(value) => Ok(Value::new_bool(*value)),
        ClaimValue::Texts(values) => Ok(texts(values)),
        ClaimValue::Other => Err(UNFIT_CLAIM),
    }
}

fn utc(now: Timestamp) -> ZonedDateTime {
    now.to_zoned_datetime(TimeZone::UTC)
}

fn instant(now: Timestamp) -> Value {
    Value::new_datetime(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// The template of the path was matched, so each of its parameters is there, once.
fn path_record(names: &[String], given: &[(&str, &str)]) -> Result<Value, Unfit> {
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
fn query_record(parameters: &[QueryParameter], given: &[(&str, &str)]) -> Result<Value, Unfit> {
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

const UNFIT_CLAIM: Unfit = Unfit("a claim of the token is not of the type it is configured with");

#[cfg(test)]
mod tests {
    use super::super::authorise::{Policies, Principal};
    use super::super::circumstances::{CertificateFacts, TokenFacts};
    use super::super::retailer::*;
    use super::*;

    /// Whether a condition holds of a request by `acme`.
    fn holds(operation: usize, condition: &str, given: &Circumstances<'_>) -> Result<bool, String> {
        let action = operations().swap_remove(operation).name;
        let policies = load(&format!(
            "@id(\"c\") permit (principal is Caller, action == Action::\"{action}\", resource) when {{ {condition} }};"
        ));
        match policies.authorise(ACME, operation, given) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.reason() == "policy-denied" => Ok(false),
            Err(refusal) => Err(refusal.to_string()),
        }
    }

    #[track_caller]
    fn check(operation: usize, condition: &str, given: &Circumstances<'_>) {
        assert_eq!(holds(operation, condition, given), Ok(true), "{condition}");
    }

    #[test]
    fn a_request_that_proves_nothing_has_empty_proofs() {
        check(CREATE, "!context.certificate.present && !context.token.present", &bare());
        check(CREATE, "context.certificate.dns.isEmpty() && context.token.scopes.isEmpty()", &bare());
        check(CREATE, "!(context.token has issuer) && !(context.certificate has sha256)", &bare());
        check(CREATE, "!(context.token.claims has store) && !context.deprecated", &bare());
    }

    #[test]
    fn certificate_and_token_are_shown_whole() {
        let mut given = bare();
        given.certificate = Some(CertificateFacts {
            dns: vec!["a.example", "b.example"],
            uris: vec!["spiffe://example/acme"],
            sha256: "0a",
        });
        given.token = Some(TokenFacts {
            issuer: "https://login.example",
            subject: Some("s"),
            client_id: Some("c"),
            scopes: vec!["orders:read"],
            actor: Some("a"),
            actor_issuer: Some("i"),
            may_act: Some("m"),
            may_act_issuer: Some("j"),
            claims: vec![
                ("store", ClaimValue::Text("12")),
                ("level", ClaimValue::Integer(3)),
                ("suspended", ClaimValue::Boolean(false)),
                ("roles", ClaimValue::Texts(vec!["manager"])),
                ("unconfigured", ClaimValue::Integer(1)),
            ],
        });
        given.deprecation = Deprecation::Deprecated;
        for condition in [
            "context.certificate.present && context.certificate.dns.containsAll([\"a.example\", \"b.example\"])",
            "context.certificate.uris.contains(\"spiffe://example/acme\")",
            "context.certificate has sha256 && context.certificate.sha256 == \"0a\"",
            "context.token.present && context.token.scopes == [\"orders:read\"]",
            "context.token has issuer && context.token.issuer == \"https://login.example\"",
            "context.token has subject && context.token.subject == \"s\"",
            "context.token has client_id && context.token.client_id == \"c\"",
            "context.token has actor && context.token.actor == \"a\"",
            "context.token has actor_issuer && context.token.actor_issuer == \"i\"",
            "context.token has may_act && context.token.may_act == \"m\"",
            "context.token has may_act_issuer && context.token.may_act_issuer == \"j\"",
            "context.token.claims has store && context.token.claims.store == \"12\"",
            "context.token.claims has level && context.token.claims.level > 2",
            "context.token.claims has suspended && !context.token.claims.suspended",
            "context.token.claims has roles && context.token.claims.roles.contains(\"manager\")",
            "context.deprecated",
        ] {
            check(CREATE, condition, &given);
        }
        given.token =
            Some(TokenFacts { claims: vec![("roles", ClaimValue::Text("one"))], ..TokenFacts::default() });
        check(CREATE, "context.token.claims has roles && context.token.claims.roles == [\"one\"]", &given);
    }

    #[test]
    fn a_mapped_address_is_the_address_it_maps() {
        for (address, range) in [
            ("192.0.2.7", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.0/24"),
            ("2001:db8::7", "2001:db8::/32"),
        ] {
            let mut given = bare();
            given.address = address.parse().unwrap();
            check(CREATE, &format!("context.address.isInRange(ip(\"{range}\"))"), &given);
        }
    }

    #[test]
    fn time_is_told_in_utc() {
        let mut given = bare();
        given.now = "2026-11-01T23:30:00.125Z".parse().unwrap();
        check(CREATE, "context.time.hour == 23 && context.time.weekday == 7", &given);
        check(CREATE, "context.time.now == datetime(\"2026-11-01T23:30:00.125Z\")", &given);
        check(CREATE, "context.time.now.toTime() > duration(\"23h29m\")", &given);
        given.now = "1969-12-29T00:00:00Z".parse().unwrap();
        check(CREATE, "context.time.hour == 0 && context.time.weekday == 1", &given);
    }

    #[test]
    fn parameters_are_shown_by_name() {
        let mut given = bare();
        given.path = vec![("order", "7/8"), ("line", "1"), ("other", "x")];
        check(OLD_READ, "context.path.line == \"1\" && context.path.order == \"7/8\"", &given);
        given.query =
            vec![("store", "12"), ("filter[status]", "open"), ("filter[status]", "paid"), ("x", "y")];
        check(READ, "context.path.order == \"7/8\"", &given);
        check(SEARCH, "context.query has store && context.query.store == \"12\"", &given);
        check(
            SEARCH,
            "context.query has \"filter[status]\" && context.query[\"filter[status]\"].containsAll([\"open\", \"paid\"])",
            &given,
        );
        check(SEARCH, "!(context.query has store)", &bare());
    }

    #[test]
    fn what_the_policies_were_not_checked_with_is_undecidable() {
        let undecidable = |operation, condition, given: &Circumstances<'_>| {
            let told = holds(operation, condition, given).unwrap_err();
            told.strip_prefix("the policies cannot be asked: ").unwrap().to_owned()
        };
        let order = "context.path.order == \"7\"";
        let mut given = bare();
        assert_eq!(undecidable(READ, order, &given), "a parameter of the path is missing or repeated");
        given.path = vec![("order", "7"), ("order", "8")];
        assert_eq!(undecidable(READ, order, &given), "a parameter of the path is missing or repeated");
        given.query = vec![("store", "12"), ("store", "13")];
        assert_eq!(
            undecidable(SEARCH, "!(context.query has store)", &given),
            "a parameter of the query is repeated"
        );
        for wrong in [
            ClaimValue::Text("true"),
            ClaimValue::Integer(1),
            ClaimValue::Texts(vec!["true"]),
            ClaimValue::Other,
        ] {
            given.token = Some(TokenFacts { claims: vec![("suspended", wrong)], ..TokenFacts::default() });
            assert_eq!(
                undecidable(CREATE, "!(context.token.claims has suspended)", &given),
                "a claim of the token is not of the type it is configured with"
            );
        }
        given.now = Timestamp::MIN;
        assert_eq!(
            undecidable(CREATE, "context.time.now < datetime(\"2026-01-01\")", &given),
            "a value is not one that Cedar can hold"
        );
    }

    #[test]
    fn only_what_policies_read_is_built() {
        use Member::*;
        let reads = |condition: &str, expected: &[Member]| {
            let policies = load(&format!(
                "@id(\"p\") permit (principal is Caller, action == Action::\"orders.v2.getOrder\", resource) {condition};"
            ));
            assert_eq!(Member::read_by(&policies.policies[0].written.policy), expected, "{condition}");
        };
        let token = [
            TokenActor,
            TokenActorIssuer,
            TokenClaims,
            TokenClientId,
            TokenIssuer,
            TokenMayAct,
            TokenMayActIssuer,
            TokenPresent,
            TokenScopes,
            TokenSubject,
        ];
        reads("", &[]);
        reads("when { principal.tier == \"gold\" }", &[]);
        reads("when { context.deprecated } unless { context.token.present }", &[Deprecated, TokenPresent]);
        reads(
            "when { if context.time.hour > 3 then context.path.order == \"1\" else false }",
            &[Path, TimeHour],
        );
        reads("when { context.token.claims has level && context.token.claims.level > 3 }", &[TokenClaims]);
        reads("when { context has token.subject }", &[TokenSubject]);
        reads("when { context.token has subject }", &[TokenSubject]);
        reads("when { context has token }", &token);
        reads("when { context.token == context.token }", &token);
        reads(
            "when { [context.address].contains(ip(\"::1\")) || {a: context.query} == {a: context.query} }",
            &[Address, Query],
        );
        reads("when { context == context }", &Member::ALL);
        reads("when { (if true then context else context).deprecated }", &Member::ALL);
    }

    #[test]
    fn members_are_in_the_order_of_their_parts() {
        assert!(Member::ALL.is_sorted());
        assert!(Member::ALL.is_sorted_by_key(|member| member.names().0));
    }

    #[test]
    fn the_whole_context_is_what_the_schema_says() {
        let policies = load("");
        let schema: cedar_policy::Schema = policies.cedar_schema().parse().unwrap();
        let mut full = bare();
        full.path = vec![("order", "7"), ("line", "1")];
        full.query = vec![("store", "12"), ("filter[status]", "open")];
        full.certificate = Some(CertificateFacts { dns: vec!["a"], uris: vec!["b"], sha256: "00" });
        full.token = Some(TokenFacts {
            subject: Some("s"),
            client_id: Some("c"),
            actor: Some("a"),
            actor_issuer: Some("i"),
            may_act: Some("m"),
            may_act_issuer: Some("j"),
            scopes: vec!["x"],
            issuer: "i",
            claims: vec![("level", ClaimValue::Integer(1)), ("roles", ClaimValue::Texts(vec!["r"]))],
        });
        let least = Circumstances { path: full.path.clone(), ..bare() };
        for operation in 0..5 {
            for given in [&full, &least] {
                let known: &Policies = &policies;
                let asked = known.ask(Principal::Caller(1), operation).ok().unwrap();
                let context = build(&Member::ALL, &asked.operation.facts, &claims(), given).unwrap();
                assert!(context.validate(&schema, &asked.operation.action).is_ok());
            }
        }
    }
}
