//! Do the policies allow and refuse what their writers say they do?
//!
//! Runs `policies/tests/*.yaml` against the policies as loaded. A test is passed by the decision it names,
//! never by an accident on the way to it: a missing scope, or a policy that could not be evaluated.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::authorise::{KnownOperation, Policies, PolicyRefusal, Principal};
use super::circumstances::{Circumstances, ClaimValue, Deprecation};
use super::explain::{Explanation, Outcome, Verdict, shown};
use super::source::files;
use super::trial_file::{Expect, Parameters, Trial, TrialFile, With};
use super::vocabulary::NOBODY;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, token};

/// What came of one policy test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    /// Its name.
    pub name: String,
    /// Where it is written.
    #[serde(serialize_with = "shown")]
    pub place: Place,
    /// `allow` or `refuse`.
    pub expected: &'static str,
    /// What was decided, in words.
    pub got: String,
    /// The policies that decided so.
    pub policies: Vec<Arc<str>>,
    /// Why the test is not passed; `None` when it is.
    pub failure: Option<String>,
}

/// Runs every test below `directory`. Mistakes in the files are diagnostics, and so, as warnings, are the
/// policies that decide in no test.
#[must_use]
pub fn run_tests(directory: &Path, policies: &Policies) -> (Vec<TestOutcome>, Diagnostics) {
    let mut found = Diagnostics::new();
    let mut outcomes = Vec::new();
    if !directory.is_dir() {
        let none =
            Diagnostic::warning(Place::file(&directory.display().to_string()), "holds no policy tests");
        return (outcomes, none.into());
    }
    for path in files(directory, &["yaml", "yml"], &mut found) {
        if let Some(document) = found.keep(Document::read(&path, &path.display().to_string()))
            && let Some(file) = found.keep(document.to::<TrialFile>())
        {
            outcomes.extend(file.tests.iter().enumerate().filter_map(|(n, trial)| {
                let bench = Bench { policies, document: &document, pointer: format!("/tests/{n}") };
                found.keep(bench.run(trial))
            }));
        }
    }
    let exercised: BTreeSet<&Arc<str>> = outcomes.iter().flat_map(|o| &o.policies).collect();
    for named in policies.policies.iter().filter(|named| !exercised.contains(&named.id)) {
        let idle = format!("policy `{}` decides in no test", named.id);
        found.push(Diagnostic::warning(named.written.place.clone(), idle));
    }
    (outcomes, found)
}

/// One test, where it stands, and what it is run against.
struct Bench<'a> {
    policies: &'a Policies,
    document: &'a Document,
    pointer: String,
}

impl Bench<'_> {
    fn run(&self, trial: &Trial) -> Result<TestOutcome, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let principal = self.principal(&trial.caller, &mut mistakes);
        let operation = self.operation(&trial.operation, &mut mistakes);
        for (n, id) in trial.by.iter().enumerate() {
            if !self.policies.by_id.contains_key(id.as_str()) {
                let known = self.policies.policies.iter().map(|named| &*named.id);
                mistakes.push(self.unknown(&format!("/by/{n}"), "policy", id).did_you_mean(id, known));
            }
        }
        let outcome = principal.zip(operation).and_then(|(principal, (index, operation))| {
            self.check_names(&trial.with, operation, &mut mistakes);
            let parameters = Parameters::of(&trial.with);
            let circumstances = self.circumstances(&trial.with, &parameters, &mut mistakes)?;
            let explanation = self.policies.explain(principal, index, &circumstances);
            Some(self.judge(trial, operation, &explanation))
        });
        mistakes.into_result(outcome).map(|(outcome, _)| outcome)
    }

    fn principal(&self, name: &str, mistakes: &mut Diagnostics) -> Option<Principal> {
        if name == NOBODY {
            return Some(Principal::Anonymous);
        }
        let index = self.policies.callers.iter().position(|caller| caller.id == name);
        if index.is_none() {
            let known = self.policies.callers.iter().map(|caller| caller.id.as_str()).chain([NOBODY]);
            mistakes.push(self.unknown("/caller", "caller", name).did_you_mean(name, known));
        }
        index.map(Principal::Caller)
    }

    fn operation(&self, name: &str, mistakes: &mut Diagnostics) -> Option<(usize, &KnownOperation)> {
        let found = self.policies.operations.iter().enumerate().find(|(_, o)| o.facts.name == name);
        if found.is_none() {
            let known = self.policies.operations.iter().map(|o| o.facts.name.as_str());
            mistakes.push(self.unknown("/operation", "operation", name).did_you_mean(name, known));
        }
        found
    }

    /// A name the operation or the token does not have would be true of no request.
    fn check_names(&self, with: &With, operation: &KnownOperation, mistakes: &mut Diagnostics) {
        let path: Vec<&str> = operation.facts.path_parameters.iter().map(String::as_str).collect();
        let query: Vec<&str> = operation.facts.query_parameters.iter().map(|p| p.name.as_str()).collect();
        let claims: Vec<&str> = self.policies.claims.iter().map(|(name, _)| name.as_str()).collect();
        self.check_keys("path", "path parameter", with.path.keys(), &path, mistakes);
        self.check_keys("query", "query parameter", with.query.keys(), &query, mistakes);
        self.check_keys("claims", "claim", with.claims.iter().flat_map(BTreeMap::keys), &claims, mistakes);
        for (name, value_type) in &self.policies.claims {
            let written = with.claims.as_ref().and_then(|claims| claims.get(name));
            if written.is_some_and(|claim| !ClaimValue::from(claim).fits(*value_type)) {
                let said = format!("claim `{name}` is configured as a {}", value_type.cedar());
                mistakes.push(Diagnostic::error(self.place(&pointer("claims", name)), said));
            }
        }
    }

    fn check_keys<'k>(
        &self,
        part: &str,
        what: &str,
        written: impl Iterator<Item = &'k String>,
        known: &[&str],
        mistakes: &mut Diagnostics,
    ) {
        for key in written.filter(|key| !known.contains(&key.as_str())) {
            let place = self.document.key_place(&format!("{}{}", self.pointer, pointer(part, key)));
            let unknown = Diagnostic::error(place, format!("unknown {what} `{key}`"));
            mistakes.push(unknown.did_you_mean(key, known.iter().copied()));
        }
    }

    fn circumstances<'w>(
        &self,
        with: &'w With,
        parameters: &'w Parameters,
        mistakes: &mut Diagnostics,
    ) -> Option<Circumstances<'w>> {
        let mut wrong = |at: &str, what: &str| {
            mistakes.push(Diagnostic::error(self.place(at), format!("is not {what}")));
        };
        let address = with.address.as_deref().map_or(Ok(ADDRESS), str::parse);
        let now = with.time.as_deref().map_or(Ok(NOON), str::parse);
        if address.is_err() {
            wrong("/with/address", "an IP address");
        }
        if now.is_err() {
            wrong("/with/time", "a time such as 2026-11-01T10:00:00Z");
        }
        Some(Circumstances {
            address: address.ok()?,
            now: now.ok()?,
            certificate: with.certificate.facts(),
            token: with.token(),
            path: parameters.path.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            query: parameters.query.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            deprecation: if with.deprecated { Deprecation::Deprecated } else { Deprecation::Current },
        })
    }

    fn judge(&self, trial: &Trial, operation: &KnownOperation, explanation: &Explanation) -> TestOutcome {
        let (got, policies) = match &explanation.decision {
            Verdict::Permitted(policies) => ("allowed".to_owned(), policies.clone()),
            // Kinds are looked at before policies; those that forbid do so all the same.
            Verdict::Refused(refusal @ PolicyRefusal::KindNotServed) => {
                (format!("refused: {refusal}"), explanation.forbidding())
            }
            Verdict::Refused(refusal) => (format!("refused: {refusal}"), refusal.policies().to_vec()),
        };
        TestOutcome {
            name: trial.name.clone(),
            place: self.document.place(&self.pointer),
            expected: trial.expect.word(),
            got,
            failure: failure(trial, operation, explanation, &policies),
            policies,
        }
    }

    fn unknown(&self, at: &str, what: &str, name: &str) -> Diagnostic {
        Diagnostic::error(self.place(at), format!("unknown {what} `{name}`"))
    }

    fn place(&self, at: &str) -> Place {
        self.document.place(&format!("{}{at}", self.pointer))
    }
}

fn failure(
    trial: &Trial,
    operation: &KnownOperation,
    explanation: &Explanation,
    policies: &[Arc<str>],
) -> Option<String> {
    let scopes = trial.with.scopes.as_deref().unwrap_or_default();
    let alternatives = &operation.facts.scopes;
    let held = |alternative: &Vec<String>| alternative.iter().all(|scope| scopes.contains(scope));
    if !alternatives.is_empty() && !alternatives.iter().any(held) {
        let wanted: Vec<String> = alternatives.iter().map(|all| format!("[{}]", all.join(", "))).collect();
        return Some(format!(
            "the policies are never asked: the operation wants the scopes {}",
            wanted.join(" or ")
        ));
    }
    match (trial.expect, &explanation.decision) {
        (
            Expect::Refuse,
            Verdict::Refused(accident @ (PolicyRefusal::Failed { .. } | PolicyRefusal::Undecidable { .. })),
        ) => Some(format!("it is refused by accident: {accident}{}", told(explanation))),
        (Expect::Allow, Verdict::Refused(refusal)) => {
            Some(format!("it is refused: {refusal}{}", told(explanation)))
        }
        (Expect::Refuse, Verdict::Permitted(_)) => Some(format!("it is allowed by {}", policies.join(", "))),
        (Expect::Allow, Verdict::Permitted(_)) | (Expect::Refuse, Verdict::Refused(_)) => {
            let missing = trial.by.iter().find(|id| !policies.iter().any(|decided| **decided == ***id))?;
            Some(format!("`{missing}` does not decide so{}", told(explanation)))
        }
    }
}

/// What the policies that concern the request said, for those that did not decide it.
fn told(explanation: &Explanation) -> String {
    let lines = explanation.policies.iter().filter_map(|said| match &said.outcome {
        Outcome::NotSatisfied(condition) => Some(format!("\n  `{}`: does not hold: {condition}", said.id)),
        Outcome::Failed(why) => Some(format!("\n  `{}`: failed: {why}", said.id)),
        Outcome::NotApplicable | Outcome::Satisfied => None,
    });
    lines.collect()
}

/// The JSON Pointer (RFC 6901) of a member of `with`.
fn pointer(part: &str, key: &str) -> String {
    format!("/with/{part}/{}", token(key))
}

/// RFC 5737: an address that is nobody's.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// 2026-01-01T12:00:00Z, a Thursday in working hours.
const NOON: Timestamp = Timestamp::constant(1_767_268_800, 0);

#[cfg(test)]
mod tests {
    use super::super::retailer::{directory, load, short};
    use super::*;

    const POLICIES: &str = "
@id(\"marketplace-orders\")
permit (principal in Group::\"marketplaces\", action == Action::\"orders.v2.createOrder\", resource)
when { context.certificate.present };
@id(\"reads\")
permit (principal is Caller, action in Action::\"read\", resource);
@id(\"closed-on-sunday\")
forbid (principal, action in Action::\"read\", resource) when { context.time.weekday == 7 };
@id(\"doubled\")
permit (principal is Caller, action == Action::\"orders.v2.searchOrders\", resource)
when { principal has ceiling && principal.ceiling + principal.ceiling > 0 };
@id(\"no-people\")
forbid (principal in Kind::\"person\", action in Action::\"write\", resource);
";

    fn run(tests: &str) -> (Vec<TestOutcome>, Vec<String>) {
        let directory = directory(&[("t.yaml", tests)]);
        let (outcomes, found) = run_tests(directory.path(), &load(POLICIES));
        let told = found.iter().filter(|d| !d.message().contains("decides in no test")).map(short).collect();
        (outcomes, told)
    }

    /// The failure of one test, empty when it is passed; its keys beside the name are given.
    #[track_caller]
    fn check(test: &str, expected: &str) {
        let (outcomes, told) = run(&format!("tests: [{{ name: n, {test} }}]"));
        assert!(told.is_empty(), "{test}: {told:?}");
        assert_eq!(outcomes[0].failure.as_deref().unwrap_or_default(), expected, "{test}");
    }

    /// What is told of a file that is not a test of anything.
    #[track_caller]
    fn wrong(test: &str, expected: &str) {
        let (outcomes, told) = run(&format!("tests:\n  - {{ name: n, {test} }}\n"));
        assert!(outcomes.is_empty(), "{outcomes:?}");
        assert_eq!(told.join("\n"), expected, "{test}");
    }

    #[test]
    fn a_test_is_passed_by_the_decision_it_names() {
        check(
            "caller: acme, operation: orders.v2.createOrder, with: {certificate: true, scopes: [orders:write]}, \
             expect: allow, by: [marketplace-orders]",
            "",
        );
        check("caller: clerk, operation: stock.v1.getStock, expect: allow, by: [reads]", "");
        check(
            "caller: clerk, operation: stock.v1.getStock, with: {time: 2026-11-01T10:00:00Z}, expect: refuse, by: [closed-on-sunday]",
            "",
        );
        check("caller: anonymous, operation: stock.v1.getStock, expect: refuse", "");
        check(
            "caller: acme, operation: orders.v2.createOrder, with: {scopes: [orders:write]}, expect: refuse",
            "",
        );
        check(
            "caller: clerk, operation: orders.v2.createOrder, with: {scopes: [orders:write]}, expect: refuse",
            "",
        );
    }

    #[test]
    fn a_forbid_counts_also_where_the_kind_alone_refuses() {
        let test =
            "caller: clerk, operation: orders.v2.createOrder, with: {scopes: [orders:write]}, expect: refuse";
        check(&format!("{test}, by: [no-people]"), "");
        check(&format!("{test}, by: [reads]"), "`reads` does not decide so");
    }

    #[test]
    fn a_failed_test_says_why() {
        check(
            "caller: acme, operation: orders.v2.createOrder, with: {scopes: [orders:write]}, expect: allow",
            "it is refused: no policy permits the request\n  \
             `marketplace-orders`: does not hold: when { context.certificate.present }",
        );
        check("caller: clerk, operation: stock.v1.getStock, expect: refuse", "it is allowed by reads");
        check(
            "caller: clerk, operation: stock.v1.getStock, expect: allow, by: [marketplace-orders]",
            "`marketplace-orders` does not decide so\n  \
             `closed-on-sunday`: does not hold: when { context.time.weekday == 7 }",
        );
    }

    #[test]
    fn a_refusal_by_accident_passes_no_test() {
        let (outcomes, _) =
            run("tests: [{name: n, caller: acme, operation: orders.v2.searchOrders, expect: refuse}]");
        let failure = outcomes[0].failure.as_deref().unwrap();
        assert!(failure.starts_with("it is refused by accident: a policy failed to evaluate"), "{failure}");
        assert!(failure.contains("`doubled`: failed: integer overflow"), "{failure}");
    }

    #[test]
    fn scopes_that_are_not_enough_fail_the_test_whatever_it_expects() {
        let want = "the policies are never asked: the operation wants the scopes [orders:write]";
        for expect in ["allow", "refuse"] {
            check(&format!("caller: acme, operation: orders.v2.createOrder, expect: {expect}"), want);
            let other = "with: {scopes: [orders:read]}";
            check(
                &format!("caller: acme, operation: orders.v2.createOrder, {other}, expect: {expect}"),
                want,
            );
        }
    }

    #[test]
    fn unknown_names_are_told_with_place_and_what_was_meant() {
        wrong(
            "caller: acm, operation: orders.v2.creatOrder, expect: allow, by: [read]",
            "t.yaml:2:24: Error: unknown caller `acm` (help: did you mean `acme`?)\n\
             t.yaml:2:40: Error: unknown operation `orders.v2.creatOrder` (help: did you mean `orders.v2.createOrder`?)\n\
             t.yaml:2:82: Error: unknown policy `read` (help: did you mean `reads`?)",
        );
        wrong(
            "caller: acme, operation: orders.v2.getOrder, expect: allow, with: {path: {ordr: 7}, query: {x: 1}, claims: {stor: a}}",
            "t.yaml:2:90: Error: unknown path parameter `ordr` (help: did you mean `order`?)\n\
             t.yaml:2:108: Error: unknown query parameter `x`\n\
             t.yaml:2:124: Error: unknown claim `stor` (help: did you mean `store`?)",
        );
    }

    #[test]
    fn values_of_the_wrong_form_are_told_with_their_place() {
        let request = "caller: acme, operation: orders.v2.getOrder, expect: allow";
        wrong(
            &format!("{request}, with: {{address: here, time: noon}}"),
            "t.yaml:2:92: Error: is not an IP address\nt.yaml:2:104: Error: is not a time such as 2026-11-01T10:00:00Z",
        );
        wrong(
            &format!("{request}, with: {{claims: {{level: high}}}}"),
            "t.yaml:2:99: Error: claim `level` is configured as a Long",
        );
        wrong(
            &format!("{request}, exepct: allow"),
            "t.yaml:2:76: Error: unknown key `exepct` (help: did you mean `expect`?)",
        );
        wrong(
            "caller: acme, operation: a, expect: allowed",
            "t.yaml:2:52: Error: `allowed` is not one of the values known here (help: did you mean `allow`?)",
        );
    }

    #[test]
    fn everything_written_in_a_test_reaches_the_policies() {
        let policies = load(
            "@id(\"p\") permit (principal is Caller, action == Action::\"orders.v2.searchOrders\", resource) when {
               context.certificate.dns.contains(\"a.example\") && context.certificate.uris.contains(\"spiffe://a\") &&
               context.certificate has sha256 && context.certificate.sha256 == \"00\" &&
               context.token has issuer && context.token.issuer == \"https://i\" &&
               context.token has subject && context.token.subject == \"s\" &&
               context.token has client_id && context.token.client_id == \"c\" &&
               context.token has actor && context.token.actor == \"a\" &&
               context.token has actor_issuer && context.token.actor_issuer == \"i\" &&
               context.token has may_act && context.token.may_act == \"m\" &&
               context.token has may_act_issuer && context.token.may_act_issuer == \"j\" &&
               context.token.scopes.contains(\"x\") &&
               context.token.claims has level && context.token.claims.level == 3 &&
               context.token.claims has roles && context.token.claims.roles.contains(\"r\") &&
               context.token.claims has suspended && !context.token.claims.suspended &&
               context.address == ip(\"192.0.2.9\") && context.time.hour == 8 && context.deprecated &&
               context.query has store && context.query.store == \"12\" &&
               context.query has \"filter[status]\" && context.query[\"filter[status]\"] == [\"open\", \"1\"] };",
        );
        let directory = directory(&[(
            "t.yml",
            "tests:
  - name: all of it
    caller: acme
    operation: orders.v2.searchOrders
    with:
      certificate: {dns: [a.example], uris: ['spiffe://a'], sha256: '00'}
      token: {issuer: 'https://i', subject: s, client_id: c, actor: a, actor_issuer: i, may_act: m, may_act_issuer: j}
      scopes: [x]
      claims: {level: 3, roles: [r], suspended: false}
      address: 192.0.2.9
      time: 2026-11-02T09:15:00+01:00
      deprecated: true
      query: {store: 12, 'filter[status]': [open, 1]}
    expect: allow
    by: [p]
",
        )]);
        let (outcomes, found) = run_tests(directory.path(), &policies);
        assert!(found.is_empty(), "{found}");
        assert_eq!(outcomes[0].failure, None, "{outcomes:?}");
        assert_eq!(
            (outcomes[0].expected, &*outcomes[0].got, outcomes[0].place.line()),
            ("allow", "allowed", 2)
        );
    }

    #[test]
    fn a_policy_that_decides_in_no_test_is_a_warning() {
        let directory = directory(&[(
            "t.yaml",
            "tests: [{name: n, caller: clerk, operation: stock.v1.getStock, expect: allow}]",
        )]);
        let (_, found) = run_tests(directory.path(), &load(POLICIES));
        let told: Vec<String> = found.iter().map(short).collect();
        assert_eq!(
            told,
            [
                "p.cedar:2:1: Warning: policy `marketplace-orders` decides in no test",
                "p.cedar:7:1: Warning: policy `closed-on-sunday` decides in no test",
                "p.cedar:9:1: Warning: policy `doubled` decides in no test",
                "p.cedar:12:1: Warning: policy `no-people` decides in no test",
            ]
        );
    }

    #[test]
    fn no_tests_at_all_is_a_warning() {
        let (outcomes, found) = run_tests(Path::new("/nowhere"), &load(POLICIES));
        assert!(outcomes.is_empty() && !found.has_errors() && !found.is_empty());
    }

    #[test]
    fn editors_get_a_schema_of_the_form() {
        let schema = super::super::test_schema();
        assert_eq!(schema["properties"]["tests"]["type"], "array");
        assert_eq!(schema["additionalProperties"], false);
    }
}
