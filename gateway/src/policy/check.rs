//! Do the policies mean anything here, and do they mean what they seem to?
//!
//! Cedar's strict validator against the generated schema, and what it leaves open: entities that do not
//! exist, permits that would admit nobody-in-particular, and refusals that can never refuse.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Effect, EntityUid, PolicySet, PrincipalConstraint, Schema, ValidationError, ValidationMode,
    ValidationWarning, Validator,
};

use super::annotations::Named;
use super::facts::{Anonymous, OperationFacts};
use super::scope::What;
use super::source;
use super::vocabulary::{ANONYMOUS, Vocabulary, word};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// Tells everything that is wrong with `policies`.
pub(super) fn check(
    policies: &[Named],
    vocabulary: &Vocabulary,
    operations: &[OperationFacts],
    schema: Schema,
    found: &mut Diagnostics,
) {
    // What is wrong with a policy makes other things seem wrong; only the first is told.
    let mut told: HashSet<&str> = HashSet::new();
    for policy in policies {
        if literals(policy, vocabulary, found) == Literals::Unknown {
            told.insert(&policy.id);
        }
        admits_anonymous(policy, operations, found);
    }
    let set = match PolicySet::from_policies(policies.iter().map(|named| named.written.policy.clone())) {
        Ok(set) => set,
        Err(e) => {
            let place = policies.first().map_or_else(|| Place::file(""), |named| named.written.place.clone());
            found.push(Diagnostic::error(place, format!("the policies do not make a set: {e}")));
            return;
        }
    };
    let verdict = Validator::new(schema).validate(&set, ValidationMode::Strict);
    let by_id: HashMap<&str, (usize, &Named)> =
        policies.iter().enumerate().map(|(n, named)| (&*named.id, (n, named))).collect();
    errors(verdict.validation_errors(), &by_id, found);
    told.extend(verdict.validation_errors().map(|error| AsRef::<str>::as_ref(error.policy_id())));
    let never = verdict.validation_warnings().filter_map(|warning| looks_alike(warning, &by_id, found));
    let mut idle: HashSet<&str> = never.collect();
    idle.extend(policies.iter().filter(|named| covers_nothing(named, operations)).map(|named| &*named.id));
    for named in policies.iter().filter(|named| idle.contains(&*named.id) && !told.contains(&*named.id)) {
        found.push(never_applies(named));
    }
}

#[derive(PartialEq, Eq)]
enum Literals {
    Known,
    Unknown,
}

/// The validator knows types and actions; a group or caller that does not exist it lets pass, and the
/// policy then silently never matches.
fn literals(policy: &Named, vocabulary: &Vocabulary, found: &mut Diagnostics) -> Literals {
    let source = &policy.written.source;
    let literals = policy.written.policy.entity_literals();
    let placed: BTreeSet<(usize, &EntityUid)> = literals
        .iter()
        .map(|literal| (source::start_of_literal(literal).unwrap_or_default(), literal))
        .collect();
    let mut known = Literals::Known;
    for (at, literal) in placed {
        let entity_type = literal.type_name().to_string();
        let id: &str = literal.id().as_ref();
        if vocabulary.exists(&entity_type, id) == Some(false) {
            known = Literals::Unknown;
            let unknown =
                Diagnostic::error(source.place(at), format!("unknown {} `{id}`", word(&entity_type)));
            found.push(unknown.did_you_mean(id, vocabulary.ids(&entity_type)));
        }
    }
    known
}

/// `permit (principal, ...)` over a group of operations admits requests that prove nobody to those that serve
/// anyone, though its writer thought of callers. So such a policy names the operation, or whom it means.
fn admits_anonymous(policy: &Named, operations: &[OperationFacts], found: &mut Diagnostics) {
    let cedar = &policy.written.policy;
    if cedar.effect() != Effect::Permit || cedar.principal_constraint() != PrincipalConstraint::Any {
        return;
    }
    let what = What::of(cedar);
    let unmeant = |o: &&OperationFacts| o.anonymous == Anonymous::Served && what.covers(o) && !what.names(o);
    if let Some(operation) = operations.iter().find(unmeant) {
        let said = format!("permits anyone at all to call `{}`, proved or not", operation.name);
        found.push(Diagnostic::error(policy.written.place.clone(), said).help(format!(
            "write `principal is Caller`; or, if strangers are meant, `principal is {ANONYMOUS}` or the operation's name"
        )));
    }
}

/// The validator tells one mistake once for each operation it concerns; a person wants it once.
fn errors<'a>(
    errors: impl Iterator<Item = &'a ValidationError>,
    by_id: &HashMap<&str, (usize, &Named)>,
    found: &mut Diagnostics,
) {
    let mut at_place: BTreeMap<(usize, Option<usize>), Vec<Diagnostic>> = BTreeMap::new();
    for error in errors {
        // Told by `literals`, in the words of this gateway.
        let told =
            matches!(error, ValidationError::UnrecognizedActionId(_) | ValidationError::InvalidEnumEntity(_));
        let id: &str = error.policy_id().as_ref();
        if let Some((n, named)) = by_id.get(id).filter(|_| !told) {
            let mistake = named.written.source.mistake(error, Diagnostic::error, &prefix(named));
            at_place.entry((*n, source::offset(error))).or_default().push(mistake);
        }
    }
    for mut mistakes in at_place.into_values() {
        mistakes.sort_by(|a, b| a.message().cmp(b.message()));
        mistakes.dedup();
        let more = mistakes.len().saturating_sub(1);
        if let Some(first) = mistakes.into_iter().next() {
            found.push(if more == 0 { first } else { and_more(&first, more) });
        }
    }
}

fn and_more(first: &Diagnostic, more: usize) -> Diagnostic {
    let place = first.place().cloned().unwrap_or_else(|| Place::file(""));
    let told = Diagnostic::error(place, format!("{} (and {more} more like it)", first.message()));
    match first.help_text() {
        Some(help) => told.help(help),
        None => told,
    }
}

/// Tells of text that looks like other text, so that what was reviewed is not what is enforced. Gives the
/// policy's id when the warning is that it never applies.
fn looks_alike<'w>(
    warning: &'w ValidationWarning,
    by_id: &HashMap<&str, (usize, &Named)>,
    found: &mut Diagnostics,
) -> Option<&'w str> {
    let id: &str = warning.policy_id().as_ref();
    match warning {
        ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => Some(id),
        // Mixed scripts, bidirectional controls, confusable characters; and whatever Cedar adds to them.
        _ => {
            if let Some((_, named)) = by_id.get(id) {
                found.push(named.written.source.mistake(warning, Diagnostic::error, &prefix(named)));
            }
            None
        }
    }
}

fn covers_nothing(named: &Named, operations: &[OperationFacts]) -> bool {
    let what = What::of(&named.written.policy);
    !operations.iter().any(|operation| what.covers(operation))
}

/// A permit that never permits is idle; a forbid that never forbids is an open door.
fn never_applies(named: &Named) -> Diagnostic {
    let place = named.written.place.clone();
    match named.written.policy.effect() {
        Effect::Permit => Diagnostic::warning(place, "can never permit anything"),
        Effect::Forbid => Diagnostic::error(place, "can never forbid anything"),
    }
    .help("its scope and conditions exclude each other for every operation")
}

fn prefix(named: &Named) -> String {
    format!("for policy `{}`, ", named.id)
}

#[cfg(test)]
mod tests {
    use super::super::retailer::*;

    /// What is told about one policy, `{effect} ({scope}) {conditions}`.
    #[track_caller]
    fn check(policy: &str, expected: &str) {
        assert_eq!(told(&format!("@id(\"p\") {policy};")), expected, "{policy}");
    }

    fn when(condition: &str) -> String {
        format!("permit (principal is Caller, action, resource) when {{ {condition} }}")
    }

    #[test]
    fn a_name_of_nothing_is_told_with_its_place_and_what_was_meant() {
        check(
            "permit (principal in Group::\"markeplaces\", action, resource)",
            "p.cedar:1:31: Error: unknown group `markeplaces` (help: did you mean `marketplaces`?)",
        );
        check(
            "permit (principal == Caller::\"acm\", action, resource in Api::\"order\")",
            "p.cedar:1:31: Error: unknown caller `acm` (help: did you mean `acme`?)\n\
             p.cedar:1:66: Error: unknown api `order` (help: did you mean `orders`?)",
        );
        check(
            "permit (principal is Caller, action == Action::\"orders.v2.creatOrder\", resource)",
            "p.cedar:1:49: Error: unknown operation or group of operations `orders.v2.creatOrder` \
             (help: did you mean `orders.v2.createOrder`?)",
        );
        check(
            "forbid (principal, action in [Action::\"raed\"], resource)",
            "p.cedar:1:40: Error: unknown operation or group of operations `raed` (help: did you mean `read`?)",
        );
        check(
            "permit (principal is Caller, action, resource == Contract::\"orders.v9\") ",
            "p.cedar:1:59: Error: unknown contract `orders.v9` (help: did you mean `orders.v1`?)",
        );
        check(
            "permit (principal is Cller, action, resource)",
            "p.cedar:1:31: Error: unrecognized entity type `Cller` (help: did you mean `Caller`?)",
        );
    }

    #[test]
    fn a_name_of_nothing_is_told_in_conditions_too() {
        check(
            &when("principal.kind == Kind::\"partnr\""),
            "p.cedar:1:82: Error: unknown kind `partnr` (help: did you mean `partner`?)",
        );
        check(
            &when("!(Caller::\"nobody-known\" in Group::\"channels\")"),
            "p.cedar:1:66: Error: unknown caller `nobody-known` \
             (help: known here: `acme`, `clerk`, `stock-bot`, `web-shop`)",
        );
        check(
            &when("[Group::\"robotz\"].contains(Group::\"robots\")"),
            "p.cedar:1:65: Error: unknown group `robotz` (help: did you mean `robots`?)",
        );
    }

    #[test]
    fn the_same_name_misspelt_twice_is_told_twice() {
        let told = told(
            "@id(\"p\") permit (principal in Group::\"x\", action, resource);\n\
             @id(\"q\") permit (principal in Group::\"x\", action, resource);",
        );
        assert_eq!(told.matches("unknown group `x`").count(), 2);
        assert!(told.contains("p.cedar:1:31") && told.contains("p.cedar:2:31"), "{told}");
    }

    #[test]
    fn what_an_operation_or_caller_does_not_have_is_an_error() {
        check(
            "permit (principal is Caller, action in Action::\"orders\", resource)\n when { context.path.order == \"7\" }",
            "p.cedar:2:9: Error: attribute `path.order` in context for Action::\"orders.v2.createOrder\" not found \
             (and 1 more like it)",
        );
        check(
            "permit (principal is Caller, action == Action::\"orders.v2.getOrder\", resource) when { context.path.line == \"7\" }",
            "p.cedar:1:96: Error: attribute `path.line` in context for Action::\"orders.v2.getOrder\" not found \
             (help: did you mean `order`?)",
        );
        check(
            &when("context.certificte.present"),
            "p.cedar:1:64: Error: attribute `certificte` in context for Action::\"orders.v1.getOrder\" not found \
             (and 4 more like it) (help: did you mean `certificate`?)",
        );
        check(
            &when("principal.tir == \"gold\""),
            "p.cedar:1:64: Error: attribute `tir` on entity type `Caller` not found (help: did you mean `tier`?)",
        );
    }

    #[test]
    fn what_may_be_absent_has_to_be_asked_for_first() {
        check(
            &when("principal.ceiling > 3"),
            "p.cedar:1:64: Error: unable to guarantee safety of access to optional attribute `ceiling` on entity \
             type `Caller` (help: try testing for the attribute's presence with `principal has ceiling && ..`)",
        );
        check(&when("principal has ceiling && principal.ceiling > 3"), "");
        check(
            "permit (principal is Caller, action == Action::\"orders.v2.searchOrders\", resource) \
             when { context.query.store == \"12\" }",
            "p.cedar:1:100: Error: unable to guarantee safety of access to optional attribute `query.store` in \
             context for Action::\"orders.v2.searchOrders\" (help: try testing for the attribute's presence with \
             `context.query has store && ..`)",
        );
        check(&when("context.path has order && context.path.order == \"7\""), "");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error() {
        check(
            &when("context.time.hour < \"9\""),
            "p.cedar:1:84: Error: unexpected type: expected Long but saw String",
        );
        check(
            &when("principal.kind == \"partner\""),
            "p.cedar:1:64: Error: the types String and Kind are not compatible (help: both operands to a `==` \
             expression must have compatible types. Types must be exactly equal to be compatible)",
        );
        assert!(
            told(&format!("@id(\"p\") {};", when("context.address.isInRange(ip(\"10.0.0.0/33\"))")))
                .contains("failed to parse as IP address")
        );
    }

    #[test]
    fn a_permit_for_anyone_at_all_has_to_name_the_operation_or_whom_it_means() {
        let help = "(help: write `principal is Caller`; or, if strangers are meant, `principal is Anonymous` or the operation's name)";
        check(
            "permit (principal, action in Action::\"read\", resource)",
            &format!(
                "p.cedar:1:1: Error: permits anyone at all to call `stock.v1.getStock`, proved or not {help}"
            ),
        );
        check("permit (principal, action in Action::\"orders\", resource)", "");
        check("permit (principal, action == Action::\"stock.v1.getStock\", resource)", "");
        check(
            "permit (principal, action in [Action::\"stock.v1.getStock\", Action::\"orders\"], resource)",
            "",
        );
        check("permit (principal is Caller, action, resource)", "");
        check("permit (principal is Anonymous, action in Action::\"stock\", resource)", "");
        check("forbid (principal, action, resource)", "");
    }

    #[test]
    fn a_permit_that_never_applies_is_a_warning_and_a_forbid_an_error() {
        let never = [
            "(principal is Anonymous, action in Action::\"orders\", resource)",
            "(principal is Caller, action in Action::\"orders\", resource in Api::\"stock\")",
            "(principal is Caller, action == Action::\"orders\", resource)",
            "(principal is Caller, action, resource) when { context.deprecated && !context.deprecated && false }",
        ];
        let help = "(help: its scope and conditions exclude each other for every operation)";
        for scope in never {
            check(
                &format!("permit {scope}"),
                &format!("p.cedar:1:1: Warning: can never permit anything {help}"),
            );
            check(
                &format!("forbid {scope}"),
                &format!("p.cedar:1:1: Error: can never forbid anything {help}"),
            );
        }
    }

    #[test]
    fn text_that_looks_like_other_text_is_an_error() {
        check(
            &when("principal.tier == \"g\u{43e}ld\""),
            "p.cedar:1:82: Error: string `\"g\u{43e}ld\"` contains mixed scripts",
        );
        check(
            &when("principal.tier == \"x\u{202e}y\""),
            "p.cedar:1:82: Error: string `\"x\u{202e}y\"` contains BIDI control characters",
        );
    }
}
