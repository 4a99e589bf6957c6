//! The shapes of a contract, read off its schemas: what all that describe one value say together.
//!
//! A shape is known by the schemas that describe it, so that each is read once however often it is
//! referred to, and a schema that contains itself is a ring.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::source::{At, Source};
use super::{Kinds, Node, Part, Shape};

/// The shapes of one contract.
pub(in super::super) struct Shapes<'s> {
    source: &'s Source,
    known: HashMap<Vec<At>, Shape>,
    any_public: bool,
}

/// Shapes that are being read together, because one is a part of the other.
#[derive(Default)]
struct Batch {
    numbers: HashMap<Vec<At>, usize>,
    open: Vec<Vec<At>>,
}

/// What all schemas of one value say.
#[derive(Default)]
struct Said {
    /// What each schema leaves open; nothing yet for one that is being read.
    seen: HashMap<At, Option<Kinds>>,
    /// How many compositions deep the schema is that is being read.
    depth: usize,
    public: bool,
    personal: bool,
    items: Vec<At>,
    first_items: Vec<Vec<At>>,
    properties: BTreeMap<String, Vec<At>>,
    additional: Option<Vec<At>>,
}

impl<'s> Shapes<'s> {
    pub(in super::super) fn new(source: &'s Source) -> Self {
        Self { source, known: HashMap::new(), any_public: source.values().any(marks_public) }
    }

    /// Whether the contract marks anything as public.
    pub(in super::super) const fn any_public(&self) -> bool {
        self.any_public
    }

    /// The shape of the schema at `at`.
    pub(in super::super) fn of(&mut self, at: &At) -> Shape {
        let Some(schemas) = self.described_by(std::slice::from_ref(at)) else { return Shape::default() };
        if let Some(shape) = self.known.get(&schemas) {
            return shape.clone();
        }
        let mut batch = Batch::default();
        batch.number(schemas.clone());
        let mut nodes = Vec::new();
        while let Some(next) = batch.open.get(nodes.len()).cloned() {
            nodes.push(self.node(&next, &mut batch));
        }
        let nodes: Arc<[Node]> = nodes.into();
        for (schemas, index) in batch.numbers {
            self.known.insert(schemas, Shape { place: Some((Arc::clone(&nodes), index)) });
        }
        self.known.get(&schemas).cloned().unwrap_or_default()
    }

    /// How many were read.
    #[cfg(test)]
    pub(in super::super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The schemas at `places`, references followed; nothing if there are none.
    fn described_by(&self, places: &[At]) -> Option<Vec<At>> {
        let mut schemas: Vec<At> = places.iter().filter_map(|at| self.behind(at)).collect();
        schemas.sort_unstable();
        schemas.dedup();
        (!schemas.is_empty()).then_some(schemas)
    }

    /// The schema at `at`, or what stands behind it if it is nothing but a reference.
    fn behind(&self, at: &At) -> Option<At> {
        let mut here = at.clone();
        for _ in 0..REFERENCE_HOPS_MAX {
            let schema = self.source.value(&here)?.as_object()?;
            match schema.get("$ref").and_then(Value::as_str).filter(|_| schema.len() == 1) {
                Some(reference) => here = self.source.target(here.file, reference).ok()?,
                None => return Some(here),
            }
        }
        None
    }

    fn node(&self, schemas: &[At], batch: &mut Batch) -> Node {
        let mut said = Said::default();
        let mut kinds: Option<Kinds> = None;
        for at in schemas {
            let own = self.gather(at, &mut said);
            kinds = match (kinds, own) {
                (Some(one), Some(other)) => Some(one.or(other)),
                (one, other) => one.or(other),
            };
        }
        let Said { seen: _, depth: _, public, personal, items, first_items, properties, additional } = said;
        let mut part = |places: &[At]| match self.described_by(places) {
            None => Part::There(Shape::default()),
            Some(schemas) => match self.known.get(&schemas) {
                Some(known) => Part::There(known.clone()),
                None => Part::Here(batch.number(schemas)),
            },
        };
        Node {
            kinds,
            public: public && !personal,
            items: (!items.is_empty()).then(|| part(&items)),
            first_items: first_items.iter().map(|places| part(places)).collect(),
            properties: properties.iter().map(|(name, places)| (name.clone(), part(places))).collect(),
            additional: additional.map(|places| part(&places)),
        }
    }

    /// Adds what the schema at `at` and all it is composed of say, each once, and gives the kinds it leaves
    /// open.
    fn gather(&self, at: &At, said: &mut Said) -> Option<Kinds> {
        let at = self.behind(at)?;
        let schema = self.source.value(&at)?.as_object()?;
        if let Some(known) = said.seen.get(&at) {
            return *known;
        }
        // One that contains itself is met again here.
        said.seen.insert(at.clone(), None);
        if said.depth >= COMPOSITION_DEPTH_MAX {
            return None;
        }
        said.depth = said.depth.saturating_add(1);
        self.gather_own(&at, schema, said);
        let mut kinds = own_kinds(schema);
        let mut narrow = |other: Option<Kinds>| {
            kinds = match (kinds, other) {
                (Some(one), Some(other)) => Some(one.and(other)),
                (one, other) => one.or(other),
            };
        };
        // What stands beside a reference holds together with it.
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && let Ok(target) = self.source.target(at.file, reference)
        {
            narrow(self.gather(&target, said));
        }
        for all in list(schema, &at, "allOf") {
            narrow(self.gather(&all, said));
        }
        for word in ["anyOf", "oneOf"] {
            let alternatives: Vec<Option<Kinds>> =
                list(schema, &at, word).map(|one| self.gather(&one, said)).collect();
            let union = alternatives.into_iter().reduce(|one, other| Some(one?.or(other?)));
            narrow(union.flatten());
        }
        for word in ["if", "then", "else"] {
            self.gather(&at.key(word), said);
        }
        for name in members(schema, "dependentSchemas") {
            self.gather(&at.key("dependentSchemas").key(name), said);
        }
        said.depth = said.depth.saturating_sub(1);
        said.seen.insert(at, kinds);
        kinds
    }

    /// Adds what the schema at `at` says by itself of the value's parts.
    fn gather_own(&self, at: &At, schema: &Map<String, Value>, said: &mut Said) {
        let marked = |word: &str| {
            schema.get("x-gateway").and_then(|marks| marks.get(word)) == Some(&Value::Bool(true))
        };
        said.public |= marked("public");
        said.personal |= marked("personal");
        // Until draft 2019-09 the first items were a list in `items`.
        let first = if schema.get("items").is_some_and(Value::is_array) { "items" } else { "prefixItems" };
        for (n, place) in list(schema, at, first).enumerate() {
            if said.first_items.len() <= n {
                said.first_items.push(Vec::new());
            }
            if let Some(places) = said.first_items.get_mut(n) {
                places.push(place);
            }
        }
        if schema.get("items").is_some_and(Value::is_object) {
            said.items.push(at.key("items"));
        }
        let properties = at.key("properties");
        for name in members(schema, "properties") {
            said.properties.entry(name.to_owned()).or_default().push(properties.key(name));
        }
        if schema.get("additionalProperties").is_some_and(|other| *other != Value::Bool(false)) {
            said.additional.get_or_insert_default().push(at.key("additionalProperties"));
        }
    }
}

/// Whether `x-gateway: { public: true }` stands anywhere in `value`.
fn marks_public(value: &Value) -> bool {
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if members.get("x-gateway").and_then(|marks| marks.get("public")) == Some(&Value::Bool(true))
                {
                    return true;
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    false
}

impl Batch {
    fn number(&mut self, schemas: Vec<At>) -> usize {
        let next = self.open.len();
        let number = *self.numbers.entry(schemas.clone()).or_insert(next);
        if number == next {
            self.open.push(schemas);
        }
        number
    }
}

/// The places of the schemas in the list `word`.
fn list(schema: &Map<String, Value>, at: &At, word: &str) -> impl Iterator<Item = At> + use<> {
    let count = schema.get(word).and_then(Value::as_array).map_or(0, Vec::len);
    let at = at.key(word);
    (0..count).map(move |n| at.item(n))
}

/// The names in the map `word`.
fn members<'a>(schema: &'a Map<String, Value>, word: &str) -> impl Iterator<Item = &'a str> {
    schema.get(word).and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str)
}

/// The types that a schema names, or that its other words only make sense for.
fn own_kinds(schema: &Map<String, Value>) -> Option<Kinds> {
    let nullable = schema.get("nullable") == Some(&Value::Bool(true));
    let named = match schema.get("type") {
        Some(Value::String(word)) => Some(Kinds::named(word)),
        Some(Value::Array(words)) => {
            let words = words.iter().filter_map(Value::as_str);
            Some(words.fold(Kinds::NONE, |kinds, word| kinds.or(Kinds::named(word))))
        }
        _ => None,
    };
    if let Some(named) = named {
        return Some(if nullable { named.or(Kinds::NULL) } else { named });
    }
    if let Some(constant) = schema.get("const") {
        return Some(Kinds::of(constant));
    }
    if let Some(Value::Array(options)) = schema.get("enum") {
        return Some(options.iter().fold(Kinds::NONE, |kinds, option| kinds.or(Kinds::of(option))));
    }
    let implied = |words: &[&str]| words.iter().any(|word| schema.contains_key(*word));
    if implied(&["properties", "required", "additionalProperties", "minProperties", "maxProperties"]) {
        return Some(Kinds::OBJECT);
    }
    if implied(&["items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"]) {
        return Some(Kinds::ARRAY);
    }
    if implied(&["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]) {
        return Some(Kinds::NUMBER);
    }
    match schema.get("format").and_then(Value::as_str) {
        Some("int32" | "int64") => return Some(Kinds::INTEGER),
        Some("float" | "double") => return Some(Kinds::NUMBER),
        _ => {}
    }
    implied(&["pattern", "minLength", "maxLength", "format"]).then_some(Kinds::STRING)
}

/// More than any chain of references that a person would write.
const REFERENCE_HOPS_MAX: usize = 32;
/// Deeper than people compose schemas of schemas.
const COMPOSITION_DEPTH_MAX: usize = 64;
