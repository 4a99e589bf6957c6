//! Where does each part of a document stand?
//!
//! One mark for each value, in the order in which they stand, so that a document of fifty megabytes
//! needs a list and not a tree of maps. The names of members are those of the value beside it.

use serde_json::Value;

use super::untoken;

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Mark {
    pub(super) const START: Self = Self { line: 1, column: 1 };

    /// A place further on than any file that is read reaches is its last one.
    pub(super) fn new(line: usize, column: usize) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: narrow(line), column: narrow(column) }
    }
}

/// The places of a value and of everything in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    nodes: Vec<Node>,
}

/// One value: its key (itself, in a list), and how many values it holds, itself among them.
#[derive(Debug, Clone, Copy)]
struct Node {
    key: Mark,
    value: Mark,
    size: u32,
}

/// A value whose parts are still to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open(usize);

impl Places {
    /// Notes the next value: its own parts, if it has any, come between this and [`Self::close`].
    pub(super) fn open(&mut self, key: Mark, value: Mark) -> Open {
        self.nodes.push(Node { key, value, size: 1 });
        Open(self.nodes.len().saturating_sub(1))
    }

    /// Ends a value: what was noted since it was opened are its parts.
    pub(super) fn close(&mut self, open: Open) {
        let size = self.nodes.len().saturating_sub(open.0);
        if let Some(node) = self.nodes.get_mut(open.0) {
            node.size = u32::try_from(size).unwrap_or(u32::MAX);
        }
    }

    /// A copy of the value that was opened so, as YAML's anchors keep it.
    pub(super) fn copy(&self, open: Open) -> Self {
        Self { nodes: self.nodes.get(open.0..).unwrap_or_default().to_vec() }
    }

    /// Notes a value that stands elsewhere, under a key that stands here.
    pub(super) fn paste(&mut self, key: Mark, other: &Self) {
        let from = self.nodes.len();
        self.nodes.extend_from_slice(&other.nodes);
        if let Some(node) = self.nodes.get_mut(from) {
            node.key = key;
        }
    }

    /// How many values were noted.
    pub(super) const fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Where the value at `pointer` of `root` stands; the nearest parent that exists, otherwise.
    pub(super) fn value(&self, root: &Value, pointer: &str) -> Mark {
        self.find(root, pointer).map_or(Mark::START, |node| node.value)
    }

    /// Where the key of the value at `pointer` stands; that of the nearest parent, otherwise.
    pub(super) fn key(&self, root: &Value, pointer: &str) -> Mark {
        self.find(root, pointer).map_or(Mark::START, |node| node.key)
    }

    fn find(&self, root: &Value, pointer: &str) -> Option<&Node> {
        let (mut at, mut here) = (0_usize, root);
        for token in pointer.split('/').skip(1) {
            let Some((number, part)) = part(here, token) else { break };
            at = self.part(at, number)?;
            here = part;
        }
        self.nodes.get(at)
    }

    /// The part of this number of the value at `at`: behind it, and behind the parts before.
    fn part(&self, at: usize, number: usize) -> Option<usize> {
        let mut next = at.checked_add(1)?;
        for _ in 0..number {
            next = next.checked_add(usize::try_from(self.nodes.get(next)?.size).ok()?)?;
        }
        Some(next)
    }
}

/// The part of `value` that a token of a JSON Pointer names, and which one it is in order.
fn part<'v>(value: &'v Value, token: &str) -> Option<(usize, &'v Value)> {
    match value {
        Value::Array(items) => {
            let number = token.parse::<usize>().ok()?;
            Some((number, items.get(number)?))
        }
        Value::Object(members) => {
            let name = untoken(token);
            let (number, (_, part)) = members.iter().enumerate().find(|(_, (key, _))| **key == name)?;
            Some((number, part))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
