//! What may a policy say? The Cedar schema, in words an editor reads too.
//!
//! Written from the vocabulary, with one context type per operation, so that a policy that names a path
//! parameter the operation does not have is a mistake at load and not a surprise at night.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::facts::{Anonymous, OperationFacts, ValueType, Values};
use super::vocabulary::{ACTION, ANONYMOUS, API, GROUP, KIND, Presence, Vocabulary};

/// The schema as text. It always parses: every name in it is quoted.
pub(super) fn write(
    vocabulary: &Vocabulary,
    operations: &[OperationFacts],
    claims: &[(String, ValueType)],
) -> String {
    let mut out = String::from(HEAD);
    for of in [KIND, ANONYMOUS, GROUP, API] {
        push(&mut out, format_args!("{}", enumeration(of, vocabulary)));
    }
    push(&mut out, format_args!("{}", caller(vocabulary)));
    push(&mut out, format_args!("\nentity Contract in [Api];\n{CERTIFICATE}{TIME}{}", token(claims)));
    push(&mut out, format_args!("{}", groups(vocabulary, operations)));
    for one in operations {
        push(&mut out, format_args!("{}", operation(one)));
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _written: Result<(), std::fmt::Error> = out.write_fmt(text);
}

/// A type whose members are all known, so that editors see a misspelt one as well.
fn enumeration(of: &str, vocabulary: &Vocabulary) -> String {
    let ids: Vec<String> = vocabulary.ids(of).map(quoted).collect();
    if ids.is_empty() {
        format!("entity {of};\n")
    } else {
        format!("entity {of} enum [{}];\n", ids.join(", "))
    }
}

fn caller(vocabulary: &Vocabulary) -> String {
    let mut fields = vec!["id: String".to_owned(), "kind: Kind".to_owned(), "owner: String".to_owned()];
    fields.extend(vocabulary.facts.iter().map(|(name, fact)| match fact.presence {
        Presence::Everywhere => format!("{}: {}", quoted(name), fact.value_type.cedar()),
        Presence::Somewhere => format!("{}?: {}", quoted(name), fact.value_type.cedar()),
    }));
    format!("{CALLER}entity Caller in [Group, Kind] = {};\n", record(&fields, ""))
}

fn token(claims: &[(String, ValueType)]) -> String {
    let fields: Vec<String> = claims
        .iter()
        .map(|(name, value_type)| format!("{}?: {}", quoted(name), value_type.cedar()))
        .collect();
    format!("{TOKEN_START}  claims: {},\n}};\n", record(&fields, "  "))
}

fn groups(vocabulary: &Vocabulary, operations: &[OperationFacts]) -> String {
    let own: BTreeSet<&str> = operations.iter().map(|o| o.name.as_str()).collect();
    let contracts: BTreeMap<String, &str> =
        operations.iter().map(|operation| (operation.contract(), operation.api.as_str())).collect();
    let mut out = String::from(GROUPS);
    for id in vocabulary.ids(ACTION).filter(|id| !own.contains(id) && !contracts.contains_key(*id)) {
        push(&mut out, format_args!("action {};\n", quoted(id)));
    }
    for (contract, api) in contracts {
        push(&mut out, format_args!("action {} in [{}];\n", quoted(&contract), quoted(api)));
    }
    out
}

fn operation(operation: &OperationFacts) -> String {
    let principals = match operation.anonymous {
        Anonymous::Refused => "[Caller]",
        Anonymous::Served => "[Caller, Anonymous]",
    };
    let path: BTreeSet<String> =
        operation.path_parameters.iter().map(|name| format!("{}: String", quoted(name))).collect();
    let query: BTreeSet<String> = operation
        .query_parameters
        .iter()
        .map(|parameter| match parameter.values {
            Values::One => format!("{}?: String", quoted(&parameter.name)),
            Values::Many => format!("{}?: Set<String>", quoted(&parameter.name)),
        })
        .collect();
    let fields = [
        "address: ipaddr".to_owned(),
        "certificate: Certificate".to_owned(),
        "deprecated: Bool".to_owned(),
        format!("path: {}", record(path.iter(), "    ")),
        format!("query: {}", record(query.iter(), "    ")),
        "time: Time".to_owned(),
        "token: Token".to_owned(),
    ];
    format!(
        "\naction {} in [{}, {}] appliesTo {{\n  principal: {principals},\n  resource: [Contract],\n  context: {},\n}};\n",
        quoted(&operation.name),
        quoted(&operation.contract()),
        quoted(operation.access.group()),
        record(&fields, "  "),
    )
}

fn record<S: AsRef<str>>(fields: impl IntoIterator<Item = S>, indent: &str) -> String {
    let lines: Vec<String> =
        fields.into_iter().map(|field| format!("\n{indent}  {},", field.as_ref())).collect();
    if lines.is_empty() { "{}".to_owned() } else { format!("{{{}\n{indent}}}", lines.concat()) }
}

/// Cedar reads the escapes that Rust writes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.escape_debug())
}

const HEAD: &str = "\
// What the policies may name, written from the callers and contracts that are live.
// Generated: a change here is lost.

";

const CALLER: &str = "
// The caller of callers.yaml that was proved, with its facts.
";

const GROUPS: &str = "
// Groups of operations: all that read, all that write, all of an API, all of a version.
";

const CERTIFICATE: &str = "
// The client certificate that was proved. Without one `present` is false and the sets are empty.
type Certificate = {
  present: Bool,
  dns: Set<String>,
  uris: Set<String>,
  sha256?: String,
};
";

const TIME: &str = "
// When, in UTC. `hour` is 0 to 23; `weekday` is 1 for Monday to 7 for Sunday, as in ISO 8601.
type Time = {
  now: datetime,
  hour: Long,
  weekday: Long,
};
";

const TOKEN_START: &str = "
// The access token that was proved. Without one `present` is false and `scopes` is empty.
type Token = {
  present: Bool,
  scopes: Set<String>,
  issuer?: String,
  subject?: String,
  client_id?: String,
  actor?: String,
  actor_issuer?: String,
  may_act?: String,
  may_act_issuer?: String,
";

#[cfg(test)]
mod tests {
    use super::super::retailer::*;

    #[track_caller]
    fn contains(expected: &str) {
        let policies = load("");
        let schema = policies.cedar_schema();
        assert!(schema.contains(expected), "{schema}");
    }

    #[test]
    fn callers_have_their_facts_optional_unless_all_have_them() {
        contains(
            "entity Caller in [Group, Kind] = {\n  id: String,\n  kind: Kind,\n  owner: String,\n  \"ceiling\"?: Long,\n  \
             \"stores\"?: Set<String>,\n  \"test\"?: Bool,\n  \"tier\": String,\n};\n",
        );
    }

    #[test]
    fn members_that_are_known_are_enumerated() {
        contains("entity Kind enum [\"bot\", \"partner\", \"person\", \"service\"];\n");
        contains("entity Group enum [\"channels\", \"marketplaces\", \"robots\"];\n");
        contains("entity Api enum [\"orders\", \"stock\"];\n");
    }

    #[test]
    fn an_operation_has_its_own_context() {
        contains(
            "action \"orders.v2.searchOrders\" in [\"orders.v2\", \"read\"] appliesTo {\n  principal: [Caller],\n  \
             resource: [Contract],\n  context: {\n    address: ipaddr,\n    certificate: Certificate,\n    \
             deprecated: Bool,\n    path: {},\n    query: {\n      \"filter[status]\"?: Set<String>,\n      \
             \"store\"?: String,\n    },\n    time: Time,\n    token: Token,\n  },\n};\n",
        );
        contains(
            "action \"stock.v1.getStock\" in [\"stock.v1\", \"read\"] appliesTo {\n  principal: [Caller, Anonymous],\n",
        );
        contains("action \"orders.v2\" in [\"orders\"];\n");
    }

    #[test]
    fn the_schema_is_one_that_cedar_reads_without_a_warning() {
        let policies = load("");
        let (_, warnings) = cedar_policy::Schema::from_cedarschema_str(policies.cedar_schema()).unwrap();
        assert_eq!(warnings.count(), 0);
    }
}
