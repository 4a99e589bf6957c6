//! Which of several alternatives does a value mean to be? OpenAPI's `discriminator`.
//!
//! It changes no verdict (OpenAPI 3.0.4 section 4.7.25): a value that fits none of the alternatives is
//! told what the one that it names wants, instead of what all of them want.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::super::schema::contract_pointer;
use super::super::source::{At, Source};
use crate::document::untoken;

/// One `discriminator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Choice {
    /// The property whose value names the alternative.
    pub(in super::super) property: String,
    /// The number of the alternative that each value names.
    pub(in super::super) branches: BTreeMap<String, usize>,
}

/// All of a contract, by the place of the schema that they stand in.
#[derive(Debug, Default)]
pub(in super::super) struct Choices(HashMap<String, Choice>);

impl Choices {
    pub(super) fn new(all: HashMap<At, Choice>, names: &[Box<str>]) -> Self {
        let named = all.into_iter().map(|(at, choice)| (contract_pointer(names, &at), choice));
        Self(named.collect())
    }

    /// The choice between the alternatives of the keyword that stands at this place of the contract.
    pub(in super::super) fn between(&self, keyword: &str) -> Option<&Choice> {
        let (schema, _keyword) = keyword.rsplit_once('/')?;
        self.0.get(schema)
    }
}

impl Choice {
    /// The choice between the alternatives listed under `word` of the schema at `at`.
    pub(super) fn read(source: &Source, at: &At, word: &str) -> Option<Self> {
        let discriminator = source.member(at, "discriminator")?;
        let property = discriminator.get("propertyName")?.as_str()?.to_owned();
        let count = source.member(at, word).and_then(Value::as_array).map_or(0, Vec::len);
        let alternatives = at.key(word);
        let targets: Vec<Option<At>> = (0..count)
            .map(|n| {
                let item = alternatives.item(n);
                let reference = source.member(&item, "$ref")?.as_str()?;
                source.target(item.file, reference).ok()
            })
            .collect();
        let mut branches = BTreeMap::new();
        for (n, target) in targets.iter().enumerate() {
            // OpenAPI 3.0.4 section 4.7.25.2: without a mapping, the name of the schema is the value.
            let name = target.as_ref().and_then(|target| target.pointer.rsplit('/').next());
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                branches.insert(untoken(name), n);
            }
        }
        let mapping = discriminator.get("mapping").and_then(Value::as_object);
        for (value, named) in mapping.into_iter().flatten() {
            let target = named.as_str().and_then(|named| named_schema(source, at, named));
            let number = targets.iter().position(|own| own.is_some() && *own == target);
            if let Some(number) = number {
                branches.insert(value.clone(), number);
            }
        }
        Some(Self { property, branches })
    }
}

/// What a value of `mapping` names: a schema of `components`, or a reference.
pub(super) fn named_schema(source: &Source, at: &At, named: &str) -> Option<At> {
    let component = source.root().key("components").key("schemas").key(named);
    if source.value(&component).is_some() {
        return Some(component);
    }
    source.target(at.file, named).ok()
}
