//! The deprecated and watched parameters and properties of requests.
//!
//! A schema becomes a node of the contract's graph once, whatever refers to it; a schema that leads to no
//! mark is forgotten again. A contract without any mark is not walked through at all.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::super::direction::Direction;
use super::super::field::{Field, FieldLife, FieldPlace};
use super::super::keyword::Dialect;
use super::super::media::MediaRange;
use super::super::parameter::Place;
use super::super::schemas::anchored;
use super::super::settings::WrittenMarks;
use super::super::source::{At, Source};
use super::super::uses::{BodyFields, Branch, Graph, Node};
use super::Reader;
use crate::document::untoken;

/// The graph of a contract while it is made.
pub(super) struct Marking {
    graph: Graph,
    /// Where it is read from once it is made.
    made: Arc<OnceLock<Graph>>,
    numbers: HashMap<At, usize>,
    /// Schemas that have a number and are not read yet.
    open: Vec<(usize, At)>,
    /// The alternatives of the schemas that have some.
    choices: Vec<(usize, Vec<Vec<At>>)>,
    /// By number: whether it leads to a mark.
    leads: Vec<bool>,
    /// Whether what stands beside a `$ref` is ignored.
    bare_references: bool,
    /// Whether the contract has any mark.
    any: bool,
}

/// What a parameter or schema is marked as.
enum Mark {
    Deprecated(FieldLife),
    Watched,
}

impl Marking {
    pub(super) fn new(source: &Source, dialect: Dialect) -> Self {
        Self {
            graph: Graph::default(),
            made: Arc::default(),
            numbers: HashMap::new(),
            open: Vec::new(),
            choices: Vec::new(),
            leads: Vec::new(),
            bare_references: dialect.ignores_beside_references(),
            any: source.values().any(has_marks),
        }
    }

    /// Nothing more will be asked of it: from now on requests can ask the graph.
    pub(super) fn finish(self) {
        // It is set nowhere else.
        drop(self.made.set(self.graph));
    }

    /// The number of the schema at `at`, which is read later if it is new.
    fn number(&mut self, source: &Source, at: At) -> usize {
        let written = source.value(&at).and_then(Value::as_object);
        let only_refers = written.is_some_and(|written| written.len() == 1 && written.contains_key("$ref"));
        let at = if only_refers { source.follow(at.clone()).unwrap_or(at) } else { at };
        if let Some(number) = self.numbers.get(&at) {
            return *number;
        }
        let number = self.graph.nodes.len();
        self.graph.nodes.push(None);
        self.leads.push(false);
        self.numbers.insert(at.clone(), number);
        self.open.push((number, at));
        number
    }

    /// Finds which of the schemas from number `first` on lead to a mark, and forgets the others. What has a
    /// lower number is known already.
    fn find_leads(&mut self, first: usize) {
        let mut back: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut leading = Vec::new();
        for (number, node) in self.graph.nodes.iter().enumerate().skip(first) {
            let Some(node) = node else { continue };
            let mut found = node.field.is_some();
            for to in node.edges() {
                found |= to < first && self.leads.get(to) == Some(&true);
                back.entry(to).or_default().push(number);
            }
            leading.extend(found.then_some(number));
        }
        while let Some(number) = leading.pop() {
            let Some(leads) = self.leads.get_mut(number) else { continue };
            if !std::mem::replace(leads, true) {
                leading.extend(back.get(&number).into_iter().flatten());
            }
        }
        let leads = &self.leads;
        for (number, slot) in self.graph.nodes.iter_mut().enumerate().skip(first) {
            match slot {
                Some(node) if leads.get(number) == Some(&true) => node.prune(leads),
                _ => *slot = None,
            }
        }
    }
}

impl Reader<'_> {
    /// The mark of the parameter at `at`, or of its schema.
    pub(super) fn parameter_field(&mut self, name: &str, place: &Place, at: &At) -> Option<Arc<Field>> {
        let own = self.mark(at);
        let mark = match own {
            Some(mark) => mark,
            None => {
                let schema = self.source.follow(at.key("schema")).ok()?;
                self.mark(&schema)?
            }
        };
        let place = match place {
            Place::Path => FieldPlace::Path,
            Place::Query => FieldPlace::Query,
            Place::Header(_) => FieldPlace::Header,
            Place::Cookie => FieldPlace::Cookie,
        };
        let required = self.source.member(at, "required") == Some(&Value::Bool(true));
        Some(self.field(place, name, at, mark, required))
    }

    /// The marks that the bodies described at `at`, a `requestBody`, may carry.
    pub(super) fn body_fields(&mut self, at: &At) -> BodyFields {
        let mut roots = Vec::new();
        let body = self.source.follow(at.clone()).ok().filter(|_| self.marking.any);
        if let Some(content) = body.map(|body| body.key("content")) {
            for key in self.keys(&content) {
                let schema = content.key(&key).key("schema");
                let range = MediaRange::parse(&key).filter(|_| self.source.value(&schema).is_some());
                let root = range.and_then(|range| Some((range.text().to_owned(), self.root(schema)?)));
                roots.extend(root);
            }
        }
        BodyFields { graph: Arc::clone(&self.marking.made), roots }
    }

    /// The number of the schema at `at`, if it leads to a mark.
    fn root(&mut self, at: At) -> Option<usize> {
        let first = self.marking.graph.nodes.len();
        let root = self.marking.number(self.source, at);
        while let Some((number, at)) = self.marking.open.pop() {
            let node = self.node(number, &at);
            if let Some(slot) = self.marking.graph.nodes.get_mut(number) {
                *slot = Some(node);
            }
        }
        self.marking.find_leads(first);
        self.compile_choices();
        (self.marking.leads.get(root) == Some(&true)).then_some(root)
    }

    /// Alternatives are told apart by what fits them.
    fn compile_choices(&mut self) {
        for (number, lists) in std::mem::take(&mut self.marking.choices) {
            if self.marking.leads.get(number) != Some(&true) {
                continue;
            }
            let schemas: Vec<Vec<_>> = lists
                .iter()
                .map(|list| list.iter().map(|at| self.schemas.compile(at, Direction::Request)).collect())
                .collect();
            let node = self.marking.graph.nodes.get_mut(number).and_then(Option::as_mut);
            for (branches, schemas) in node.into_iter().flat_map(|node| &mut node.choices).zip(schemas) {
                for (branch, schema) in branches.iter_mut().zip(schemas) {
                    branch.schema = schema;
                }
            }
        }
    }

    fn node(&mut self, number: usize, at: &At) -> Node {
        let source = self.source;
        let mut node = Node::default();
        let Some(written) = source.value(at).and_then(Value::as_object) else { return node };
        node.field = self.schema_field(at);
        for word in ["$ref", "$dynamicRef"] {
            let Some(reference) = written.get(word).and_then(Value::as_str) else { continue };
            let target = source.target(at.file, reference).ok();
            if let Some(target) = target.or_else(|| anchored(source, at.file, reference)) {
                node.same.push(self.marking.number(source, target));
            }
        }
        if written.contains_key("$ref") && self.marking.bare_references {
            return node;
        }
        self.same_value(at, written, &mut node);
        self.alternatives(number, at, written, &mut node);
        self.members(at, written, &mut node);
        self.items(at, written, &mut node);
        node
    }

    fn same_value(&mut self, at: &At, written: &Map<String, Value>, node: &mut Node) {
        let all_of = at.key("allOf");
        for n in 0..written.get("allOf").and_then(Value::as_array).map_or(0, Vec::len) {
            node.same.push(self.marking.number(self.source, all_of.item(n)));
        }
        for word in ["then", "else"] {
            node.same.extend(self.schema_at(at.key(word)));
        }
        let dependent = at.key("dependentSchemas");
        for name in self.keys(&dependent) {
            node.same.extend(self.schema_at(dependent.key(&name)));
        }
    }

    fn alternatives(&mut self, number: usize, at: &At, written: &Map<String, Value>, node: &mut Node) {
        let mut lists = Vec::new();
        for word in ["oneOf", "anyOf"] {
            let count = written.get(word).and_then(Value::as_array).map_or(0, Vec::len);
            if count > 0 {
                let list: Vec<At> = (0..count).map(|n| at.key(word).item(n)).collect();
                let branches = list.iter().map(|at| {
                    let node = Some(self.marking.number(self.source, at.clone()));
                    Branch { schema: None, node }
                });
                node.choices.push(branches.collect());
                lists.push(list);
            }
        }
        if !lists.is_empty() {
            self.marking.choices.push((number, lists));
        }
    }

    fn members(&mut self, at: &At, written: &Map<String, Value>, node: &mut Node) {
        let properties = at.key("properties");
        for name in self.keys(&properties) {
            let number = self.schema_at(properties.key(&name));
            node.properties.insert(name.into_boxed_str(), number);
        }
        let patterns = at.key("patternProperties");
        for pattern in self.keys(&patterns) {
            let Some(number) = self.schema_at(patterns.key(&pattern)) else { continue };
            // One that this engine cannot run is refused, or backtracks and is not counted by.
            node.patterns.extend(Regex::new(&pattern).ok().map(|pattern| (pattern, number)));
        }
        let others = ["additionalProperties", "unevaluatedProperties"];
        let others = others.into_iter().find(|word| written.get(*word).is_some_and(Value::is_object));
        node.others = others.and_then(|word| self.schema_at(at.key(word)));
    }

    fn items(&mut self, at: &At, written: &Map<String, Value>, node: &mut Node) {
        for word in ["prefixItems", "items"] {
            for n in 0..written.get(word).and_then(Value::as_array).map_or(0, Vec::len) {
                node.prefix.push(self.schema_at(at.key(word).item(n)));
            }
        }
        let rest = ["items", "additionalItems", "unevaluatedItems"];
        let rest = rest.into_iter().find(|word| written.get(*word).is_some_and(Value::is_object));
        node.items = rest.and_then(|word| self.schema_at(at.key(word)));
    }

    /// The number of the schema at `at`, if there is one that can lead anywhere.
    fn schema_at(&mut self, at: At) -> Option<usize> {
        let schema = self.source.value(&at).is_some_and(Value::is_object);
        schema.then(|| self.marking.number(self.source, at))
    }

    fn schema_field(&mut self, at: &At) -> Option<usize> {
        let mark = self.mark(at)?;
        let (around, name) = at.pointer.rsplit_once('/').unwrap_or_default();
        let (object, named) = match around.strip_suffix("/properties") {
            Some(object) => (Some(At { file: at.file, pointer: object.to_owned() }), untoken(name)),
            None if name == "schema" => (None, "body".to_owned()),
            None => (None, untoken(name)),
        };
        let required = object.and_then(|object| self.source.member(&object, "required"));
        let required = required
            .and_then(Value::as_array)
            .is_some_and(|list| list.contains(&Value::from(named.as_str())));
        let field = self.field(FieldPlace::Body, &named, at, mark, required);
        let number = self.marking.graph.fields.len();
        self.marking.graph.fields.push(field);
        Some(number)
    }

    fn field(&mut self, place: FieldPlace, name: &str, at: &At, mark: Mark, required: bool) -> Arc<Field> {
        let file = self.source.short_name(at.file);
        let pointer = if file.is_empty() { at.pointer.clone() } else { format!("{file}#{}", at.pointer) };
        Arc::new(match mark {
            Mark::Watched => Field::watched(place, name, pointer),
            Mark::Deprecated(life) => {
                if life.ends() && required {
                    let told = format!("`{name}` is required, so after its `sunset` nothing would pass");
                    let told = self.source.error(&at.key("x-gateway").key("lifecycle"), told);
                    self.mistakes.push(told.help("let it be left out first"));
                }
                Field::deprecated(place, name, pointer, life)
            }
        })
    }

    /// What the parameter or schema at `at` is marked as.
    fn mark(&mut self, at: &At) -> Option<Mark> {
        let own = at.key("x-gateway");
        let deprecated = self.source.member(at, "deprecated") == Some(&Value::Bool(true));
        // What is wrong with the form of it is told where the schemas are read.
        let written = self.source.value(&own).and_then(|_| self.source.part::<WrittenMarks>(&own).ok());
        let (watched, life) = written.map_or((false, None), |marks| (marks.watched, marks.lifecycle));
        let Some(life) = life else {
            let mark = watched.then_some(Mark::Watched);
            return if deprecated { Some(Mark::Deprecated(FieldLife::default())) } else { mark };
        };
        let at = own.key("lifecycle");
        match FieldLife::try_from(life) {
            Ok(life) => {
                let leads_nowhere =
                    |text: &&str| text.starts_with("#/") && self.source.target(at.file, text).is_err();
                if let Some(text) = life.successor().filter(leads_nowhere) {
                    let told = format!("nothing stands at `{text}`");
                    self.mistakes.push(self.source.error(&at.key("successor"), told));
                }
                Some(Mark::Deprecated(life))
            }
            Err(wrong) => {
                self.mistakes.push(self.source.error(&at, wrong.to_string()));
                None
            }
        }
    }
}

/// Whether anything in a file looks like a marked schema. What only looks like one costs a walk, no more.
fn has_marks(file: &Value) -> bool {
    let mut open = vec![file];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                let ours = members.get("x-gateway");
                let marked = members.get("deprecated") == Some(&Value::Bool(true))
                    || ours.is_some_and(|own| own.get("lifecycle").or_else(|| own.get("watched")).is_some());
                // An operation or a whole contract has a life of its own, a parameter is asked by itself.
                if marked && !["responses", "openapi", "in"].iter().any(|word| members.contains_key(*word)) {
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
