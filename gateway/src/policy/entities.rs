//! Who and what are the names in policies made of? Cedar's entities, built once for a snapshot.
//!
//! Every caller with its facts and groups, every contract in its API, every operation in its groups. Built
//! against the schema, so that what policies were checked with is what they will meet.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression, Schema};

use super::facts::{Attribute, CallerFacts, OperationFacts};
use super::vocabulary::{API, CALLER, CONTRACT, GROUP, KIND, Unbuildable, uid};

/// All entities. Those of the operations come from the schema.
pub(super) fn build(
    callers: &[CallerFacts],
    operations: &[OperationFacts],
    schema: &Schema,
) -> Result<Entities, Unbuildable> {
    let mut all = Vec::with_capacity(callers.len().saturating_add(operations.len()));
    for caller in callers {
        all.push(caller_entity(caller)?);
    }
    let contracts: BTreeSet<(String, &str)> =
        operations.iter().map(|operation| (operation.contract(), operation.api.as_str())).collect();
    for (contract, api) in contracts {
        all.push(contract_entity(&contract, api)?);
    }
    Ok(Entities::from_entities(all, Some(schema))?)
}

fn caller_entity(caller: &CallerFacts) -> Result<Entity, Unbuildable> {
    let kind = uid(KIND, caller.kind.name())?;
    let mut parents: HashSet<EntityUid> = HashSet::from([kind.clone()]);
    for group in &caller.groups {
        parents.insert(uid(GROUP, group)?);
    }
    let mut facts: HashMap<String, RestrictedExpression> =
        caller.attributes.iter().map(|(name, value)| (name.clone(), expression(value))).collect();
    facts.insert("id".to_owned(), RestrictedExpression::new_string(caller.id.clone()));
    facts.insert("kind".to_owned(), RestrictedExpression::new_entity_uid(kind));
    facts.insert("owner".to_owned(), RestrictedExpression::new_string(caller.owner.clone()));
    Ok(Entity::new(uid(CALLER, &caller.id)?, facts, parents)?)
}

fn contract_entity(contract: &str, api: &str) -> Result<Entity, Unbuildable> {
    Ok(Entity::new_no_attrs(uid(CONTRACT, contract)?, HashSet::from([uid(API, api)?])))
}

fn expression(value: &Attribute) -> RestrictedExpression {
    match value {
        Attribute::Text(text) => RestrictedExpression::new_string(text.clone()),
        Attribute::Integer(number) => RestrictedExpression::new_long(*number),
        Attribute::Boolean(truth) => RestrictedExpression::new_bool(*truth),
        Attribute::Texts(texts) => {
            RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
        }
    }
}
