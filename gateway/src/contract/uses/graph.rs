//! Which marked properties does a body carry? The schemas of a contract, as far as they lead to marks.
//!
//! A node is a schema; walking a value means to be at several nodes at once, because a schema may say what
//! it says in parts. Where parts are alternatives, those that fit the value count, as JSON Schema gathers
//! annotations (2020-12 core section 7.7.1). A schema that contains itself is a node that leads to itself.

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::super::field::Field;
use super::super::json;
use super::super::schema::Schema;

/// The nodes that lead to a mark, and the marks.
#[derive(Default)]
pub(in crate::contract) struct Graph {
    /// By number; nothing where a schema leads to no mark.
    pub(in crate::contract) nodes: Vec<Option<Node>>,
    pub(in crate::contract) fields: Vec<Arc<Field>>,
}

/// One schema.
#[derive(Default)]
pub(in crate::contract) struct Node {
    /// The mark of whatever the schema describes.
    pub(in crate::contract) field: Option<usize>,
    /// Schemas of the same value: behind a reference, in `allOf`.
    pub(in crate::contract) same: Vec<usize>,
    /// Alternatives for the same value: each `oneOf` and `anyOf`.
    pub(in crate::contract) choices: Vec<Vec<Branch>>,
    pub(in crate::contract) properties: HashMap<Box<str>, Option<usize>>,
    pub(in crate::contract) patterns: Vec<(Regex, usize)>,
    /// Of the properties that are not named.
    pub(in crate::contract) others: Option<usize>,
    pub(in crate::contract) prefix: Vec<Option<usize>>,
    /// Of the items that are not in the prefix.
    pub(in crate::contract) items: Option<usize>,
}

/// One of several alternatives.
pub(in crate::contract) struct Branch {
    pub(in crate::contract) schema: Option<Schema>,
    /// Where it leads; nothing where it leads to no mark.
    pub(in crate::contract) node: Option<usize>,
}

/// A mark that a value carries, and where the value has it first: a JSON Pointer.
pub(in crate::contract) type Met<'g> = (&'g Arc<Field>, String);

impl Graph {
    /// The marks that `value`, which the schema of number `root` describes, carries: each once.
    pub(in crate::contract) fn walk(&self, root: usize, value: &Value) -> Vec<Met<'_>> {
        let mut walk = Walk { graph: self, path: Vec::new(), met: Vec::new() };
        walk.visit(vec![root], value);
        walk.met.into_iter().filter_map(|(n, at)| Some((self.fields.get(n)?, at))).collect()
    }

    /// Every mark that the schema of number `root` leads to.
    pub(in crate::contract) fn reachable(&self, root: usize) -> Vec<&Arc<Field>> {
        let (mut seen, mut fields) = (vec![root], Vec::new());
        let mut next = 0_usize;
        while let Some(node) = seen.get(next).copied() {
            next = next.saturating_add(1);
            let Some(node) = self.node(node) else { continue };
            fields.extend(node.field);
            for to in node.edges() {
                if !seen.contains(&to) {
                    seen.push(to);
                }
            }
        }
        fields.sort_unstable();
        fields.dedup();
        fields.into_iter().filter_map(|n| self.fields.get(n)).collect()
    }

    fn node(&self, number: usize) -> Option<&Node> {
        self.nodes.get(number)?.as_ref()
    }
}

impl Node {
    /// The numbers of all schemas that it names.
    pub(in crate::contract) fn edges(&self) -> impl Iterator<Item = usize> {
        let choices = self.choices.iter().flatten().filter_map(|branch| branch.node);
        let properties = self.properties.values().copied().flatten();
        let patterns = self.patterns.iter().map(|(_, node)| *node);
        let items = self.prefix.iter().copied().flatten().chain(self.items).chain(self.others);
        self.same.iter().copied().chain(choices).chain(properties).chain(patterns).chain(items)
    }

    /// Forgets the schemas that lead nowhere; `leads` says of each number whether it does.
    pub(in crate::contract) fn prune(&mut self, leads: &[bool]) {
        let keep = |number: &usize| leads.get(*number) == Some(&true);
        self.same.retain(keep);
        self.patterns.retain(|(_, number)| keep(number));
        for branch in self.choices.iter_mut().flatten() {
            branch.node = branch.node.filter(keep);
        }
        for number in self.prefix.iter_mut().chain(self.properties.values_mut()) {
            *number = number.filter(keep);
        }
        self.items = self.items.filter(keep);
        self.others = self.others.filter(keep);
        if self.others.is_none() {
            // Their names only tell what the others are.
            self.properties.retain(|_, number| number.is_some());
        }
    }

    /// The schemas that describe the property `name`.
    fn of_property(&self, name: &str) -> impl Iterator<Item = usize> {
        let named = self.properties.get(name);
        let mut patterns = self.patterns.iter().filter(|(pattern, _)| pattern.is_match(name)).peekable();
        let is_other = named.is_none() && patterns.peek().is_none();
        let others = self.others.filter(|_| is_other);
        named.copied().flatten().into_iter().chain(patterns.map(|(_, node)| *node)).chain(others)
    }

    fn of_item(&self, index: usize) -> Option<usize> {
        self.prefix.get(index).copied().unwrap_or(self.items)
    }
}

/// One walk through one value.
struct Walk<'g, 'v> {
    graph: &'g Graph,
    path: Vec<Step<'v>>,
    met: Vec<(usize, String)>,
}

#[derive(Clone, Copy)]
enum Step<'v> {
    Key(&'v str),
    Index(usize),
}

impl<'v> Walk<'_, 'v> {
    /// `value` is as deep as the reader of JSON lets it be, so this ends.
    fn visit(&mut self, at: Vec<usize>, value: &'v Value) {
        let at = self.spread(at, value);
        for field in at.iter().filter_map(|number| self.graph.node(*number)?.field) {
            if !self.met.iter().any(|(known, _)| *known == field) {
                self.met.push((field, pointer(&self.path)));
            }
        }
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let next = self.next(&at, |node, next| next.extend(node.of_property(name)));
                    self.step(Step::Key(name), next, member);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let next = self.next(&at, |node, next| next.extend(node.of_item(index)));
                    self.step(Step::Index(index), next, item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn next(&self, at: &[usize], gather: impl Fn(&Node, &mut Vec<usize>)) -> Vec<usize> {
        let mut next = Vec::new();
        for node in at.iter().filter_map(|number| self.graph.node(*number)) {
            gather(node, &mut next);
        }
        next
    }

    fn step(&mut self, step: Step<'v>, next: Vec<usize>, value: &'v Value) {
        if next.is_empty() {
            return;
        }
        self.path.push(step);
        self.visit(next, value);
        self.path.pop();
    }

    /// All nodes that describe the same value: through references, compositions and fitting alternatives.
    fn spread(&self, from: Vec<usize>, value: &Value) -> Vec<usize> {
        let mut at: Vec<usize> = Vec::with_capacity(from.len());
        let mut open = from;
        while let Some(number) = open.pop() {
            if at.contains(&number) || at.len() >= NODES_AT_ONCE_MAX {
                continue;
            }
            at.push(number);
            let Some(node) = self.graph.node(number) else { continue };
            open.extend(&node.same);
            for branches in &node.choices {
                open.extend(meant(branches, value));
            }
        }
        at
    }
}

/// Where the alternatives lead that fit; if none does the request is refused, and any may have been meant.
fn meant(branches: &[Branch], value: &Value) -> Vec<usize> {
    let fits = |branch: &&Branch| branch.schema.as_ref().is_none_or(|schema| schema.accepts(value));
    let mut fitting = branches.iter().filter(fits).peekable();
    if fitting.peek().is_some() {
        fitting.filter_map(|branch| branch.node).collect()
    } else {
        branches.iter().filter_map(|branch| branch.node).collect()
    }
}

fn pointer(path: &[Step<'_>]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(key) => json::token(key),
            Step::Index(index) => format!("/{index}"),
        })
        .collect()
}

/// More schemas than people put together for one value.
const NODES_AT_ONCE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::field::FieldPlace;
    use super::*;

    /// Two marks, one at the value of every `old`, one at the items of `list`; everything leads back to itself.
    fn graph() -> Graph {
        let field = |name: &str| Arc::new(Field::watched(FieldPlace::Body, name, format!("/{name}")));
        let whole = Node {
            same: vec![0],
            choices: vec![vec![
                Branch { schema: None, node: Some(0) },
                Branch { schema: None, node: Some(0) },
            ]],
            properties: [("old".into(), Some(1)), ("list".into(), Some(2))].into(),
            others: Some(0),
            items: Some(0),
            ..Node::default()
        };
        let old = Node { field: Some(0), same: vec![0], ..Node::default() };
        let list = Node { items: Some(3), same: vec![0], ..Node::default() };
        let item = Node { field: Some(1), same: vec![0], ..Node::default() };
        Graph {
            nodes: vec![Some(whole), Some(old), Some(list), Some(item)],
            fields: vec![field("old"), field("item")],
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            ".{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(6, 60, 6, |inner| {
            let name = prop_oneof![Just("old".to_owned()), Just("list".to_owned()), "[a-c~/]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    /// Whether the value has an `old`, and a `list` with items, anywhere.
    fn has(value: &Value) -> [bool; 2] {
        let or = |a: [bool; 2], b: [bool; 2]| [a[0] || b[0], a[1] || b[1]];
        match value {
            Value::Object(members) => members.iter().fold([false; 2], |found, (name, member)| {
                let full = member.as_array().is_some_and(|items| !items.is_empty());
                or(or(found, [name == "old", name == "list" && full]), has(member))
            }),
            Value::Array(items) => items.iter().fold([false; 2], |found, item| or(found, has(item))),
            _ => [false; 2],
        }
    }

    proptest! {
        #[test]
        fn a_mark_is_met_where_the_value_has_it_and_nowhere_else(value in values()) {
            let graph = graph();
            let met = graph.walk(0, &value);
            let names: Vec<&str> = met.iter().map(|(field, _)| field.name()).collect();
            prop_assert_eq!([names.contains(&"old"), names.contains(&"item")], has(&value));
            for (field, at) in &met {
                prop_assert!(value.pointer(at).is_some(), "{} is not at {}", field.name(), at);
            }
        }
    }

    #[test]
    fn every_mark_that_can_be_met_is_known_before() {
        assert_eq!(graph().reachable(0).len(), 2);
        assert_eq!(graph().reachable(9).len(), 0);
    }
}
