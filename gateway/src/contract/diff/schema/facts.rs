//! What does a term say about one value, word by word?
//!
//! The words of both dialects come out alike: `nullable` is a type, a boolean `exclusiveMinimum` a bound, an
//! integer format two bounds. Where several schemas say something, the narrowest counts.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::super::super::direction::Direction;
use super::super::super::format;
use super::super::super::keyword::Dialect;
use super::super::super::source::At;
use super::number;
use super::term::{Atom, Broken, Term, Version, Word};
use super::types::{self, Types, types_of};

/// A bound, and whether the bound itself is outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bound {
    pub(super) value: Number,
    pub(super) exclusive: bool,
    pub(super) at: At,
}

/// The words of one object schema that belong together: what they leave over is `additional`.
#[derive(Debug, Clone)]
pub(super) struct ObjectShape<'s> {
    pub(super) names: Option<&'s Map<String, Value>>,
    pub(super) patterns: Vec<&'s str>,
    pub(super) additional: At,
}

/// The words of one array schema that belong together.
#[derive(Debug, Clone)]
pub(super) struct ArrayShape {
    pub(super) prefix: Vec<At>,
    pub(super) rest: Option<At>,
}

/// A list of alternatives.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// The schema in which the list stands.
    pub(super) of: At,
    pub(super) word: Word,
    pub(super) branches: Vec<At>,
}

/// Everything that a term says.
#[derive(Debug, Clone)]
pub(super) struct Facts<'s> {
    pub(super) term: Term,
    pub(super) types: Types,
    pub(super) types_at: Option<At>,
    pub(super) values: Option<(Vec<&'s Value>, At)>,
    pub(super) minimum: Option<Bound>,
    pub(super) maximum: Option<Bound>,
    pub(super) multiples: Vec<(&'s Number, At)>,
    /// By keyword: `minLength` and the like.
    pub(super) sizes: BTreeMap<&'static str, (u64, At)>,
    pub(super) patterns: BTreeMap<&'s str, At>,
    pub(super) formats: BTreeMap<&'s str, At>,
    pub(super) unique: Option<At>,
    pub(super) required: BTreeMap<&'s str, At>,
    pub(super) properties: BTreeMap<&'s str, Vec<At>>,
    pub(super) pattern_properties: BTreeMap<&'s str, Vec<At>>,
    pub(super) objects: Vec<ObjectShape<'s>>,
    pub(super) names: Vec<At>,
    pub(super) dependent_required: BTreeMap<(&'s str, &'s str), At>,
    pub(super) dependent_schemas: BTreeMap<&'s str, Vec<At>>,
    pub(super) arrays: Vec<ArrayShape>,
    /// The schemas in which a `contains` stands.
    pub(super) contains: Vec<At>,
    pub(super) choices: Vec<Choice>,
    pub(super) nots: Vec<At>,
    /// The schemas in which an `if` stands.
    pub(super) conditions: Vec<At>,
    /// Words whose meaning depends on what other schemas looked at.
    pub(super) unevaluated: Vec<(&'static str, At)>,
    pub(super) broken: Vec<Broken>,
    /// Words that are not followed here, with their place.
    pub(super) opaque: Vec<At>,
}

impl<'s> Facts<'s> {
    pub(super) fn new(version: Version<'s>, term: &[Atom], direction: Direction) -> Self {
        let (flat, broken) = version.flatten(term);
        let mut facts = Self {
            term: flat.clone(),
            types: Types::ALL,
            types_at: None,
            values: None,
            minimum: None,
            maximum: None,
            multiples: Vec::new(),
            sizes: BTreeMap::new(),
            patterns: BTreeMap::new(),
            formats: BTreeMap::new(),
            unique: None,
            required: BTreeMap::new(),
            properties: BTreeMap::new(),
            pattern_properties: BTreeMap::new(),
            objects: Vec::new(),
            names: Vec::new(),
            dependent_required: BTreeMap::new(),
            dependent_schemas: BTreeMap::new(),
            arrays: Vec::new(),
            contains: Vec::new(),
            choices: Vec::new(),
            nots: Vec::new(),
            conditions: Vec::new(),
            unevaluated: Vec::new(),
            broken,
            opaque: Vec::new(),
        };
        for atom in &flat {
            facts.add(version, atom);
        }
        facts.hide(version, direction);
        facts.infer(version, INFERENCE_DEPTH_MAX);
        facts
    }

    fn add(&mut self, version: Version<'s>, atom: &Atom) {
        match version.value(&atom.at) {
            Some(Value::Bool(false)) => self.forbid(&atom.at),
            Some(Value::Object(members)) => {
                self.add_values(version.dialect, &atom.at, members);
                self.add_text(&atom.at, members);
                self.add_object(&atom.at, members);
                self.add_array(&atom.at, members);
                self.add_composition(atom, members);
            }
            Some(_) => {}
            None => self.opaque.push(atom.at.clone()),
        }
    }

    fn forbid(&mut self, at: &At) {
        self.types = Types::NONE;
        self.types_at = Some(at.clone());
    }

    fn narrow(&mut self, types: Types, at: At) {
        if self.types.and(types) != self.types {
            self.types = self.types.and(types);
            self.types_at = Some(at);
        }
    }

    fn add_values(&mut self, dialect: Dialect, at: &At, members: &'s Map<String, Value>) {
        if let Some(types) = types::written(dialect, members) {
            self.narrow(types, at.key("type"));
        }
        if let Some(listed) = members.get("enum").and_then(Value::as_array) {
            self.allow(listed.iter().collect(), at.key("enum"));
        }
        if let Some(only) = members.get("const") {
            self.allow(vec![only], at.key("const"));
        }
        for (word, exclusive_word, lower) in
            [("minimum", "exclusiveMinimum", true), ("maximum", "exclusiveMaximum", false)]
        {
            let exclusive = members.get(exclusive_word);
            if let Some(Value::Number(value)) = members.get(word) {
                // Draft 4: `exclusiveMinimum` says what `minimum` means.
                let exclusive = exclusive == Some(&Value::Bool(true));
                self.bound(Bound { value: value.clone(), exclusive, at: at.key(word) }, lower);
            }
            if let Some(Value::Number(value)) = exclusive {
                self.bound(
                    Bound { value: value.clone(), exclusive: true, at: at.key(exclusive_word) },
                    lower,
                );
            }
        }
        if let Some(format) = members.get("format").and_then(Value::as_str) {
            let bounds = format::bounds(format);
            if let Some((Value::Number(least), Value::Number(most))) = bounds {
                let at = at.key("format");
                self.bound(Bound { value: least, exclusive: false, at: at.clone() }, true);
                self.bound(Bound { value: most, exclusive: false, at }, false);
            } else {
                self.formats.entry(format).or_insert_with(|| at.key("format"));
            }
        }
        if let Some(Value::Number(divisor)) = members.get("multipleOf") {
            self.multiples.push((divisor, at.key("multipleOf")));
        }
    }

    fn allow(&mut self, listed: Vec<&'s Value>, at: At) {
        let types = listed.iter().fold(Types::NONE, |all, value| all.or(Types::of(value)));
        self.types = self.types.and(types);
        self.values = Some(match self.values.take() {
            None => (listed, at),
            Some((known, _)) => (
                known
                    .into_iter()
                    .filter(|value| listed.iter().any(|other| number::equal(value, other)))
                    .collect(),
                at,
            ),
        });
    }

    fn bound(&mut self, bound: Bound, lower: bool) {
        let slot = if lower { &mut self.minimum } else { &mut self.maximum };
        let is_narrower = slot.as_ref().is_none_or(|known| number::is_narrower(&bound, known, lower));
        if is_narrower {
            *slot = Some(bound);
        }
    }

    fn add_text(&mut self, at: &At, members: &'s Map<String, Value>) {
        for (word, is_least) in SIZES {
            let Some(size) = members.get(word).and_then(number::size) else { continue };
            let narrower = |known: u64| if is_least { size > known } else { size < known };
            if self.sizes.get(word).is_none_or(|(known, _)| narrower(*known)) {
                self.sizes.insert(word, (size, at.key(word)));
            }
        }
        if let Some(pattern) = members.get("pattern").and_then(Value::as_str) {
            self.patterns.entry(pattern).or_insert_with(|| at.key("pattern"));
        }
        if members.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.unique = Some(at.key("uniqueItems"));
        }
    }

    fn add_object(&mut self, at: &At, members: &'s Map<String, Value>) {
        let list = |word: &str| members.get(word).and_then(Value::as_array).into_iter().flatten();
        let map = |word: &str| members.get(word).and_then(Value::as_object);
        for (n, name) in list("required").enumerate() {
            if let Some(name) = name.as_str() {
                self.required.entry(name).or_insert_with(|| at.key("required").item(n));
            }
        }
        for name in map("properties").into_iter().flat_map(Map::keys) {
            self.properties.entry(name).or_default().push(at.key("properties").key(name));
        }
        for pattern in map("patternProperties").into_iter().flat_map(Map::keys) {
            self.pattern_properties
                .entry(pattern)
                .or_default()
                .push(at.key("patternProperties").key(pattern));
        }
        if members.get("additionalProperties").is_some_and(|rest| !says_nothing(rest)) {
            self.objects.push(ObjectShape {
                names: map("properties"),
                patterns: map("patternProperties")
                    .into_iter()
                    .flat_map(Map::keys)
                    .map(String::as_str)
                    .collect(),
                additional: at.key("additionalProperties"),
            });
        }
        if members.get("propertyNames").is_some_and(|names| !says_nothing(names)) {
            self.names.push(at.key("propertyNames"));
        }
        for word in ["dependentRequired", "dependentSchemas", "dependencies"] {
            for (name, needed) in map(word).into_iter().flatten() {
                let here = at.key(word).key(name);
                match needed.as_array() {
                    Some(needed) => {
                        for needed in needed.iter().filter_map(Value::as_str) {
                            self.dependent_required.insert((name, needed), here.clone());
                        }
                    }
                    None => self.dependent_schemas.entry(name).or_default().push(here),
                }
            }
        }
    }

    fn add_array(&mut self, at: &At, members: &'s Map<String, Value>) {
        // Before 2020-12 a list of `items` was what `prefixItems` is, and `additionalItems` the rest.
        let old_list = members.get("items").and_then(Value::as_array);
        let (prefix, rest) = match old_list {
            Some(_) => ("items", "additionalItems"),
            None => ("prefixItems", "items"),
        };
        let count = members.get(prefix).and_then(Value::as_array).map_or(0, Vec::len);
        let rest = members.get(rest).filter(|value| !says_nothing(value)).map(|_| at.key(rest));
        if count > 0 || rest.is_some() {
            self.arrays
                .push(ArrayShape { prefix: (0..count).map(|n| at.key(prefix).item(n)).collect(), rest });
        }
        if members.contains_key("contains") {
            self.contains.push(at.clone());
        }
    }

    fn add_composition(&mut self, atom: &Atom, members: &'s Map<String, Value>) {
        let at = &atom.at;
        for word in [Word::AnyOf, Word::OneOf] {
            let count = members.get(word.as_str()).and_then(Value::as_array).map_or(0, Vec::len);
            if count > 0 && !atom.taken.has(word) {
                let branches = (0..count).map(|n| at.key(word.as_str()).item(n)).collect();
                self.choices.push(Choice { of: at.clone(), word, branches });
            }
        }
        if members.contains_key("not") {
            self.nots.push(at.key("not"));
        }
        if members.contains_key("if") && (members.contains_key("then") || members.contains_key("else")) {
            self.conditions.push(at.clone());
        }
        for word in ["unevaluatedProperties", "unevaluatedItems"] {
            if members.get(word).is_some_and(|rest| !says_nothing(rest)) {
                self.unevaluated.push((word, at.key(word)));
            }
        }
        for word in ["$dynamicRef", "$recursiveRef", "$id"] {
            if members.get(word).is_some_and(Value::is_string) {
                self.opaque.push(at.key(word));
            }
        }
    }

    /// OpenAPI 3.0.4 section 4.7.24.1: what is not sent this way is not required this way.
    fn hide(&mut self, version: Version<'s>, direction: Direction) {
        let hidden = |places: &Vec<At>| places.iter().any(|at| direction.hides(version.source, at));
        let hidden: Vec<&str> =
            self.properties.iter().filter(|(_, places)| hidden(places)).map(|(name, _)| *name).collect();
        for name in hidden {
            self.required.remove(name);
        }
    }

    /// Kinds of values that no alternative allows are not allowed.
    fn infer(&mut self, version: Version<'s>, depth: usize) {
        for choice in &self.choices {
            let all = choice.branches.iter().fold(Types::NONE, |all, branch| {
                all.or(types_of(version, &[Atom::whole(branch.clone())], depth))
            });
            if self.types.and(all) != self.types {
                self.types = self.types.and(all);
                self.types_at = Some(choice.of.key(choice.word.as_str()));
            }
        }
    }
}

/// Whether a schema allows everything: `true` or `{}`.
pub(super) fn says_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(verdict) => *verdict,
        Value::Object(members) => members.is_empty(),
        _ => true,
    }
}

/// Keywords whose value is a size, and whether it is the least one.
pub(super) const SIZES: [(&str, bool); 6] = [
    ("minLength", true),
    ("maxLength", false),
    ("minItems", true),
    ("maxItems", false),
    ("minProperties", true),
    ("maxProperties", false),
];
/// Deeper nesting of alternatives than people write by hand.
const INFERENCE_DEPTH_MAX: usize = 4;
