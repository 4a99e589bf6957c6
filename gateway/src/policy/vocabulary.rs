//! Which names may a policy use, and of what?
//!
//! Gathers the callers, groups, contracts, operations and facts that exist, once, and refuses what would
//! make a name mean two things. The schema, the entities and the check of literals all read from here.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};

use super::facts::{Access, CallerFacts, Kind, OperationFacts, ValueType};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// Everything that has a name.
pub(super) struct Vocabulary {
    /// By entity type, then by id.
    names: BTreeMap<&'static str, BTreeSet<String>>,
    /// The callers' facts by name.
    pub(super) facts: BTreeMap<String, Fact>,
}

/// What is known of a fact over all callers.
pub(super) struct Fact {
    pub(super) value_type: ValueType,
    pub(super) presence: Presence,
}

/// Whether a policy has to ask with `has` first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Everywhere,
    Somewhere,
}

pub(super) const CALLER: &str = "Caller";
pub(super) const GROUP: &str = "Group";
pub(super) const KIND: &str = "Kind";
pub(super) const ANONYMOUS: &str = "Anonymous";
pub(super) const ACTION: &str = "Action";
pub(super) const CONTRACT: &str = "Contract";
pub(super) const API: &str = "Api";

/// The id of the one principal that is no caller, and the word for it in policy tests.
pub(super) const NOBODY: &str = "anonymous";
/// What `principal` has of itself, so that no fact may be called so.
const OWN_FACTS: [&str; 3] = ["id", "kind", "owner"];

impl Vocabulary {
    pub(super) fn new(callers: &[CallerFacts], operations: &[OperationFacts]) -> Result<Self, Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let mut names: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        names.insert(ANONYMOUS, BTreeSet::from([NOBODY.to_owned()]));
        names.insert(KIND, Kind::ALL.iter().map(|kind| kind.name().to_owned()).collect());
        names.insert(CALLER, caller_names(callers, &mut mistakes));
        names.insert(GROUP, callers.iter().flat_map(|c| c.groups.iter().cloned()).collect());
        names.insert(ACTION, action_names(operations, &mut mistakes));
        names.insert(CONTRACT, operations.iter().map(OperationFacts::contract).collect());
        names.insert(API, operations.iter().map(|o| o.api.clone()).collect());
        let facts = facts(callers, &mut mistakes);
        mistakes.into_result(Some(Self { names, facts })).map(|(vocabulary, _)| vocabulary)
    }

    /// The ids of an entity type; none for a type that does not exist.
    pub(super) fn ids(&self, entity_type: &str) -> impl Iterator<Item = &str> {
        self.names.get(entity_type).into_iter().flatten().map(String::as_str)
    }

    /// Whether an entity of a type that exists does; `None` for a type that does not.
    pub(super) fn exists(&self, entity_type: &str, id: &str) -> Option<bool> {
        self.names.get(entity_type).map(|ids| ids.contains(id))
    }
}

/// The word for an entity type in a mistake.
pub(super) fn word(entity_type: &str) -> String {
    match entity_type {
        ACTION => "operation or group of operations".to_owned(),
        other => other.to_lowercase(),
    }
}

/// What Cedar does not take. Names and types are checked before, so it is the gateway that is wrong, not
/// a file.
pub(super) type Unbuildable = Box<dyn std::error::Error + Send + Sync>;

/// `Caller::"acme"` as a value.
pub(super) fn uid(entity_type: &'static str, id: &str) -> Result<EntityUid, Unbuildable> {
    let entity_type: EntityTypeName = entity_type.parse()?;
    Ok(EntityUid::from_type_name_and_id(entity_type, EntityId::new(id)))
}

fn caller_names(callers: &[CallerFacts], mistakes: &mut Diagnostics) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for caller in callers {
        let CallerFacts { id, place, .. } = caller;
        if id == NOBODY {
            let said = format!("no caller may be called `{NOBODY}`, the word for requests that prove none");
            mistakes.push(Diagnostic::error(place.clone(), said));
        }
        if !names.insert(id.clone()) {
            mistakes.push(Diagnostic::error(place.clone(), format!("caller `{id}` is written twice")));
        }
    }
    names
}

/// Operations, and the groups they are in: `read`, `write`, `orders`, `orders.v2`. All share one space of
/// names, so an API called `read` would make a policy about it a policy about every safe operation.
fn action_names(operations: &[OperationFacts], mistakes: &mut Diagnostics) -> BTreeSet<String> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    for access in [Access::Read, Access::Write] {
        owners.insert(access.group().to_owned(), format!("all operations that {}", access.group()));
    }
    for operation in operations {
        let contract = operation.contract();
        claim(
            &mut owners,
            &operation.api,
            format!("the API `{}`", operation.api),
            &operation.place,
            mistakes,
        );
        claim(
            &mut owners,
            &contract,
            format!("version {} of {}", operation.version, operation.api),
            &operation.place,
            mistakes,
        );
    }
    for operation in operations {
        let OperationFacts { name, place, .. } = operation;
        if let Some(owner) = owners.insert(name.clone(), "another operation".to_owned()) {
            mistakes.push(taken(name, &owner, place));
        }
    }
    owners.into_keys().collect()
}

fn claim(
    owners: &mut BTreeMap<String, String>,
    name: &str,
    owner: String,
    place: &Place,
    mistakes: &mut Diagnostics,
) {
    match owners.get(name) {
        Some(before) if *before != owner => mistakes.push(taken(name, before, place)),
        Some(_) => {}
        None => {
            owners.insert(name.to_owned(), owner);
        }
    }
}

fn taken(name: &str, owner: &str, place: &Place) -> Diagnostic {
    Diagnostic::error(
        place.clone(),
        format!("policies could not tell `{name}` from {owner} of the same name"),
    )
}

/// A fact has one type over all callers, or a policy that reads it would fail for some of them.
fn facts(callers: &[CallerFacts], mistakes: &mut Diagnostics) -> BTreeMap<String, Fact> {
    let mut first: BTreeMap<&str, (ValueType, &str, usize)> = BTreeMap::new();
    for caller in callers {
        for (name, value) in &caller.attributes {
            if OWN_FACTS.contains(&name.as_str()) || name.starts_with("__") {
                let said = format!("a fact may not be called `{name}`, which every caller has of itself");
                mistakes.push(Diagnostic::error(caller.place.clone(), said));
                continue;
            }
            let found = value.value_type();
            let (expected, of, seen) = first.entry(name).or_insert((found, &caller.id, 0));
            *seen = seen.saturating_add(1);
            if *expected != found {
                let said = format!("fact `{name}` of `{}` is a {}", caller.id, found.cedar());
                mistakes.push(Diagnostic::error(caller.place.clone(), said).help(format!(
                    "it is a {} for `{of}`; policies need one type for all",
                    expected.cedar()
                )));
            }
        }
    }
    let presence = |seen| if seen == callers.len() { Presence::Everywhere } else { Presence::Somewhere };
    first
        .into_iter()
        .map(|(name, (value_type, _, seen))| (name.to_owned(), Fact { value_type, presence: presence(seen) }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::facts::Attribute;
    use super::super::retailer::*;
    use super::*;

    #[track_caller]
    fn check(callers: &[CallerFacts], operations: &[OperationFacts], expected: &str) {
        let told = match Vocabulary::new(callers, operations) {
            Ok(_) => String::new(),
            Err(mistakes) => mistakes.iter().map(short).collect::<Vec<_>>().join("\n"),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn an_api_may_not_be_called_as_a_group_of_operations() {
        check(
            &[],
            &[operation("read", "v1", "get", Access::Read)],
            "openapi.yaml:1:1: Error: policies could not tell `read` from all operations that read of the same name",
        );
    }

    #[test]
    fn no_two_things_share_the_name_of_an_action() {
        let of = |api, version, id| operation(api, version, id, Access::Read);
        check(&[], &[of("a", "v1", "x"), of("a", "v2", "x"), of("a", "v1", "y")], "");
        check(
            &[],
            &[of("a", "v1", "x"), of("a", "v1", "x")],
            "openapi.yaml:1:1: Error: policies could not tell `a.v1.x` from another operation of the same name",
        );
        check(
            &[],
            &[of("a.b", "c", "x"), of("a", "b.c", "y")],
            "openapi.yaml:1:1: Error: policies could not tell `a.b.c` from version c of a.b of the same name",
        );
        check(
            &[],
            &[of("a", "v1", "x"), of("a.v1", "x", "y")],
            "openapi.yaml:1:1: Error: policies could not tell `a.v1` from version v1 of a of the same name\n\
             openapi.yaml:1:1: Error: policies could not tell `a.v1.x` from version x of a.v1 of the same name",
        );
    }

    #[test]
    fn a_caller_is_written_once_and_not_called_anonymous() {
        let of = |id| caller(id, Kind::Bot, &[], &[]);
        check(&[of("a"), of("b")], &[], "");
        check(&[of("a"), of("a")], &[], "callers.yaml:1:1: Error: caller `a` is written twice");
        check(
            &[of("anonymous")],
            &[],
            "callers.yaml:1:1: Error: no caller may be called `anonymous`, the word for requests that prove none",
        );
    }

    #[test]
    fn a_fact_has_one_type_over_all_callers() {
        let of = |id, value| caller(id, Kind::Bot, &[], &[("limit", value)]);
        check(
            &[of("a", Attribute::Integer(3)), of("b", Attribute::Text("3".to_owned()))],
            &[],
            "callers.yaml:1:1: Error: fact `limit` of `b` is a String (help: it is a Long for `a`; policies need one type for all)",
        );
    }

    #[test]
    fn a_fact_may_not_take_the_place_of_what_every_caller_has() {
        for name in ["id", "kind", "owner", "__entity"] {
            let odd = caller("a", Kind::Bot, &[], &[(name, Attribute::Boolean(true))]);
            let said = format!(
                "callers.yaml:1:1: Error: a fact may not be called `{name}`, which every caller has of itself"
            );
            check(&[odd], &[], &said);
        }
    }

    #[test]
    fn names_of_any_characters_make_a_schema_that_parses() {
        let odd = "a\"b\\c\n\u{0}\u{e9}\u{202e}'$";
        let callers = [caller(odd, Kind::Bot, &[odd], &[(odd, Attribute::Text(odd.to_owned()))])];
        let mut operation = operation("x", "v1", odd, Access::Read);
        operation.path_parameters = vec![odd.to_owned(), odd.to_owned()];
        let directory = directory(&[]);
        let claims = [(odd.to_owned(), ValueType::Texts)];
        let loaded = super::super::Policies::load(directory.path(), &callers, &[operation], &claims);
        assert!(loaded.is_ok_and(|(policies, _)| policies.cedar_schema().contains("a\\\"b\\\\c\\n")));
    }
}
