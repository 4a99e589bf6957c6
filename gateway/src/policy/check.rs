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
    let mut suspects: HashSet<&str> = HashSet::new();
    for policy in policies {
        if literals(policy, vocabulary, found) == Literals::Unknown {
            suspects.insert(&policy.id);
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
    for warning in verdict.validation_warnings() {
        let id: &str = warning.policy_id().as_ref();
        if let Some((_, named)) = by_id.get(id).filter(|_| !suspects.contains(id)) {
            found.push(weigh(warning, named));
        }
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
    let mut told: BTreeSet<(usize, &EntityUid)> = BTreeSet::new();
    let literals = policy.written.policy.entity_literals();
    for literal in &literals {
        let entity_type = literal.type_name().to_string();
        let id: &str = literal.id().as_ref();
        let at = source::start_of_literal(literal).unwrap_or_default();
        if vocabulary.exists(&entity_type, id) == Some(false) && told.insert((at, literal)) {
            let unknown =
                Diagnostic::error(source.place(at), format!("unknown {} `{id}`", word(&entity_type)));
            found.push(unknown.did_you_mean(id, vocabulary.ids(&entity_type)));
        }
    }
    if told.is_empty() { Literals::Known } else { Literals::Unknown }
}

/// `permit (principal, ...)` over an operation that serves anyone would admit requests that prove nobody,
/// though its writer thought of callers. So such a policy has to say whom it means.
fn admits_anonymous(policy: &Named, operations: &[OperationFacts], found: &mut Diagnostics) {
    let cedar = &policy.written.policy;
    if cedar.effect() != Effect::Permit || cedar.principal_constraint() != PrincipalConstraint::Any {
        return;
    }
    let what = What::of(cedar);
    let serves = |o: &&OperationFacts| o.anonymous == Anonymous::Served && what.covers(o);
    if let Some(operation) = operations.iter().find(serves) {
        let said = format!("permits anyone at all to call `{}`, proved or not", operation.name);
        found.push(Diagnostic::error(policy.written.place.clone(), said).help(format!(
            "write `principal is Caller`, or `principal is {ANONYMOUS}` in a policy of its own if that is meant"
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
        found.extend(mistakes.into_iter().next().map(Diagnostics::from).unwrap_or_default());
    }
}

fn weigh(warning: &ValidationWarning, named: &Named) -> Diagnostic {
    let tell = |weigh| named.written.source.mistake(warning, weigh, &prefix(named));
    match warning {
        // Text that looks like other text: what was reviewed is not what is enforced.
        ValidationWarning::MixedScriptString(_)
        | ValidationWarning::BidiCharsInString(_)
        | ValidationWarning::BidiCharsInIdentifier(_)
        | ValidationWarning::MixedScriptIdentifier(_)
        | ValidationWarning::ConfusableIdentifier(_) => tell(Diagnostic::error),
        // A permit that never permits is idle; a forbid that never forbids is an open door.
        ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
            let place = named.written.place.clone();
            match named.written.policy.effect() {
                Effect::Permit => Diagnostic::warning(place, "can never permit anything"),
                Effect::Forbid => Diagnostic::error(place, "can never forbid anything"),
            }
            .help("its scope and conditions exclude each other for every operation")
        }
        _ => tell(Diagnostic::error),
    }
}

fn prefix(named: &Named) -> String {
    format!("for policy `{}`, ", named.id)
}
