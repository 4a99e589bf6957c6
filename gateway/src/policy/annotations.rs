//! What does a policy say about itself: its name, its reason, who owns it?
//!
//! Every policy is named, once, in a form that audit records, logs and refusals can carry.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::Effect;

use super::source::{self, Written};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// A policy under its own name.
pub(super) struct Named {
    pub(super) id: Arc<str>,
    pub(super) written: Written,
}

/// Names the policies by their `@id`. What is wrong with annotations goes to `found`; a policy without a
/// name of its own is given by its place, so that its other mistakes can still be told.
pub(super) fn name(written: Vec<Written>, found: &mut Diagnostics) -> Vec<Named> {
    let mut first: HashMap<Arc<str>, Place> = HashMap::new();
    let mut named = Vec::with_capacity(written.len());
    for mut policy in written {
        check_keys(&policy, found);
        let id = identify(&policy, &mut first, found).unwrap_or_else(|| policy.place.to_string().into());
        policy.policy = policy.policy.new_id(cedar_policy::PolicyId::new(&id));
        named.push(Named { id, written: policy });
    }
    named
}

fn identify(
    policy: &Written,
    first: &mut HashMap<Arc<str>, Place>,
    found: &mut Diagnostics,
) -> Option<Arc<str>> {
    let Some(id) = policy.policy.annotation(ID) else {
        let missing = Diagnostic::error(policy.place.clone(), "the policy has no `@id`");
        found.push(missing.help("write `@id(\"what-it-grants\")` before it; audit records name it so"));
        return None;
    };
    let place = place_of(policy, ID);
    if !is_code(id) {
        found.push(Diagnostic::error(place, format!("`{id}` is not an id")).help(CODE_FORM));
        return None;
    }
    let id: Arc<str> = id.into();
    if let Some(before) = first.get(&id) {
        let twice = Diagnostic::error(place, format!("the id `{id}` names two policies"));
        found.push(twice.help(format!("the other stands at {before}")));
        return None;
    }
    first.insert(Arc::clone(&id), place);
    Some(id)
}

fn check_keys(policy: &Written, found: &mut Diagnostics) {
    for (key, value) in policy.policy.annotations() {
        let place = place_of(policy, key);
        if !KNOWN.contains(&key) {
            let unknown = Diagnostic::warning(place, format!("annotation `@{key}` means nothing here"));
            found.push(unknown.did_you_mean(key, KNOWN));
        } else if key == REASON && !is_code(value) {
            found.push(Diagnostic::error(place, format!("`{value}` is not a reason code")).help(CODE_FORM));
        } else if key == REASON && !may_refuse(policy) {
            let idle = Diagnostic::warning(place, "nobody is ever told the `@reason` of this policy");
            found.push(
                idle.help("reasons are those of a `forbid`, or of a `permit` whose conditions do not hold"),
            );
        }
    }
}

fn may_refuse(policy: &Written) -> bool {
    policy.policy.effect() == Effect::Forbid || policy.policy.has_non_scope_constraint()
}

fn place_of(policy: &Written, key: &str) -> Place {
    source::start_of_annotation(&policy.policy, key)
        .map_or_else(|| policy.place.clone(), |at| policy.source.place(at))
}

/// Kebab-case: safe in a header, a log line and a URI, and nothing but a name.
fn is_code(text: &str) -> bool {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    text.len() <= CODE_BYTES_MAX && text.split('-').all(word)
}

/// The policy's name.
const ID: &str = "id";
/// What a refused caller may be told.
pub(super) const REASON: &str = "reason";
/// All that mean something to somebody.
const KNOWN: [&str; 5] = [ID, REASON, "description", "owner", "ticket"];
/// Longer is a description.
const CODE_BYTES_MAX: usize = 64;
const CODE_FORM: &str = "lower-case words of letters and digits joined by `-`, up to 64 characters";

#[cfg(test)]
mod tests {
    use super::super::retailer::*;

    const REST: &str = "(principal is Caller, action, resource);";

    #[track_caller]
    fn check(before: &str, expected: &str) {
        assert_eq!(told(&format!("{before} {REST}")), expected, "{before}");
    }

    #[test]
    fn every_policy_has_an_id() {
        check("@id(\"a-permit-2\") permit", "");
        check(
            "\n permit",
            "p.cedar:2:2: Error: the policy has no `@id` (help: write `@id(\"what-it-grants\")` before it; audit records name it so)",
        );
    }

    #[test]
    fn an_id_is_kebab_case() {
        let long = "a".repeat(65);
        for id in ["", "P", "a b", "a_b", "a--b", "-a", "a-", "a\\\"b", "\u{e9}", &long] {
            let told = told(&format!("@id(\"{id}\") permit {REST}"));
            assert!(
                told.starts_with("p.cedar:1:1: Error: ") && told.contains("is not an id"),
                "{id}: {told}"
            );
        }
        check(&format!("@id(\"{}\") permit", "a".repeat(64)), "");
    }

    #[test]
    fn an_id_names_one_policy_over_all_files() {
        let policy = format!("@id(\"same\") permit {REST}");
        let Err(mistakes) = load_files(&[("a.cedar", &policy), ("team/b.cedar", &policy)]) else { panic!() };
        let told: Vec<String> = mistakes.iter().map(short).collect();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("b.cedar:1:1: Error: the id `same` names two policies"), "{told:?}");
        assert!(told[0].contains("a.cedar:1:1"), "{told:?}");
    }

    #[test]
    fn an_annotation_that_means_nothing_is_a_warning() {
        check(
            "@id(\"p\") @descripton(\"x\") permit",
            "p.cedar:1:10: Warning: annotation `@descripton` means nothing here (help: did you mean `description`?)",
        );
        check("@id(\"p\") @description(\"x\") @owner(\"y\") @ticket(\"Z-1\") permit", "");
    }

    #[test]
    fn a_reason_is_a_code_that_somebody_may_be_told() {
        check("@id(\"p\") @reason(\"too-early\") forbid", "");
        check(
            "@id(\"p\") @reason(\"Too bad!\") forbid",
            "p.cedar:1:10: Error: `Too bad!` is not a reason code (help: lower-case words of letters and digits joined by `-`, up to 64 characters)",
        );
        check(
            "@id(\"p\") @reason(\"fine\") permit",
            "p.cedar:1:10: Warning: nobody is ever told the `@reason` of this policy (help: reasons are those of a `forbid`, or of a `permit` whose conditions do not hold)",
        );
        let conditional = "@id(\"p\") @reason(\"too-early\") permit (principal is Caller, action, resource) when { context.deprecated };";
        assert_eq!(told(conditional), "");
    }
}
