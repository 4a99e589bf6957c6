//! Does one schema allow what another allows, and what differs on the way down?
//!
//! Pairs of terms form a graph: a pair holds what differs in its own words, and leads to the pairs of its
//! properties and items. Each pair is looked at once per direction, so recursion ends. A pair is clean when
//! neither it nor anything it leads to may break a caller: then one term contains the other.

mod accept;
mod annotation;
mod array;
mod choice;
mod condition;
mod facts;
mod number;
mod object;
mod same;
mod term;
mod types;
mod values;

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;

use super::super::direction::Direction;
use super::super::json;
use super::super::source::At;
use super::finding::{Effect, Finding};
use super::report::Level;
use facts::Facts;
pub(super) use same::Sameness;
pub(super) use term::Version;
use term::{Atom, Term};

/// Which term must contain the other so that nobody notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sense {
    /// What was allowed is still allowed: for what callers send.
    OldInNew,
    /// What is allowed was allowed before: for what callers read.
    NewInOld,
}

/// One step from a value to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Property(String),
    /// Any property that has no schema of its own, or a name that matches a pattern.
    AnyProperty,
    /// Any item of a list.
    Items,
    /// The item at a fixed place.
    Item(usize),
    /// The name of a property itself.
    Name,
}

/// A finding, and where in the value it is.
#[derive(Debug, Clone)]
pub(super) struct Located {
    pub(super) finding: Finding,
    pub(super) path: Path,
}

/// Where in a value: `lines[].sku` for people, `/lines/*/sku` for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) shown: String,
    pub(super) pointer: String,
}

impl Path {
    fn then(&self, step: &Step) -> Self {
        let dot = if self.shown.is_empty() { "" } else { "." };
        let (shown, pointer) = match step {
            Step::Property(name) => (format!("{dot}{name}"), json::token(name)),
            Step::AnyProperty => (format!("{dot}*"), "/*".to_owned()),
            Step::Items => ("[]".to_owned(), "/*".to_owned()),
            Step::Item(n) => (format!("[{n}]"), format!("/{n}")),
            Step::Name => (format!("{dot}(name)"), String::new()),
        };
        Self { shown: format!("{}{shown}", self.shown), pointer: format!("{}{pointer}", self.pointer) }
    }
}

/// A pair of terms, and what is asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    old: Term,
    new: Term,
    sense: Sense,
    direction: Direction,
}

/// What is known about a pair.
struct Node {
    key: Key,
    state: State,
    findings: Vec<Finding>,
    edges: Vec<Edge>,
}

/// Where something stands in the older and in the newer contract.
type Pair = (Option<At>, Option<At>);

#[derive(Debug, Clone)]
struct Edge {
    step: Option<Step>,
    to: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Being looked at further up; nothing is proven about it.
    Open,
    Built,
    /// Built, and neither it nor what it leads to may break a caller.
    Clean,
    /// Built, and it or something it leads to may.
    Dirty,
}

/// All pairs of schemas of two contracts.
pub(super) struct Schemas<'s> {
    old: Version<'s>,
    new: Version<'s>,
    same: Sameness<'s>,
    /// Decides which sunsets have passed.
    now: Timestamp,
    nodes: Vec<Node>,
    index: HashMap<Key, usize>,
    /// How many steps proofs may still take, all together.
    steps_left: usize,
    /// How many pairs are being looked at inside of one another.
    depth: usize,
}

impl<'s> Schemas<'s> {
    pub(super) fn new(old: Version<'s>, new: Version<'s>, now: Timestamp) -> Self {
        let same = Sameness::new(old, new);
        Self {
            old,
            new,
            same,
            now,
            nodes: Vec::new(),
            index: HashMap::new(),
            steps_left: STEPS_MAX,
            depth: 0,
        }
    }

    /// Everything that differs between the schemas at two places, nearest first.
    pub(super) fn compare(
        &mut self,
        old: Option<&At>,
        new: Option<&At>,
        sense: Sense,
        direction: Direction,
    ) -> Vec<Located> {
        let term = |at: Option<&At>| at.map(|at| Atom::whole(at.clone())).into_iter().collect();
        let root = self.pair(term(old), term(new), sense, direction);
        let mut found = Vec::new();
        let (mut seen, mut told) = (BTreeSet::from([root]), BTreeSet::new());
        let mut waiting = VecDeque::from([(root, Path::default())]);
        while let Some((id, path)) = waiting.pop_front() {
            self.build(id);
            let Some(node) = self.nodes.get(id) else { continue };
            for finding in &node.findings {
                if told.insert((finding.rule, finding.old.clone(), finding.new.clone(), finding.text.clone()))
                {
                    found.push(Located { finding: finding.clone(), path: path.clone() });
                }
            }
            for edge in &node.edges {
                if seen.insert(edge.to) {
                    let path = edge.step.as_ref().map_or_else(|| path.clone(), |step| path.then(step));
                    waiting.push_back((edge.to, path));
                }
            }
        }
        found
    }

    /// The number of a pair.
    fn pair(&mut self, old: Term, new: Term, sense: Sense, direction: Direction) -> usize {
        let key = Key { old, new, sense, direction };
        if let Some(known) = self.index.get(&key) {
            return *known;
        }
        let id = self.nodes.len();
        self.nodes.push(Node {
            key: key.clone(),
            state: State::Waiting,
            findings: Vec::new(),
            edges: Vec::new(),
        });
        self.index.insert(key, id);
        id
    }

    /// Looks at a pair, once.
    fn build(&mut self, id: usize) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.state == State::Waiting) else { return };
        node.state = State::Open;
        let key = node.key.clone();
        let (findings, edges) = if id >= PAIRS_MAX {
            {
                let first = |term: &Term| term.first().map(|atom| atom.at.clone());
                (vec![Finding::too_large(first(&key.old), first(&key.new))], Vec::new())
            }
        } else if self.same.terms(&key.old, &key.new) {
            (Vec::new(), Vec::new())
        } else {
            self.depth = self.depth.saturating_add(1);
            let looked = Local::look(self, &key);
            self.depth = self.depth.saturating_sub(1);
            looked
        };
        if let Some(node) = self.nodes.get_mut(id) {
            node.findings = findings;
            node.edges = edges;
            node.state = State::Built;
        }
    }

    /// Whether a pair is clean. What cannot be told in time is not.
    fn is_clean(&mut self, root: usize) -> bool {
        let mut came_from: HashMap<usize, usize> = HashMap::from([(root, root)]);
        let (mut waiting, mut verdict, mut last) = (vec![root], State::Clean, root);
        while let Some(id) = waiting.pop() {
            match self.judge(id) {
                State::Clean => {}
                State::Built => {
                    for edge in self.nodes.get(id).map_or(&[][..], |node| &node.edges) {
                        came_from.entry(edge.to).or_insert_with(|| {
                            waiting.push(edge.to);
                            id
                        });
                    }
                }
                other => {
                    (verdict, last) = (other, id);
                    break;
                }
            }
        }
        let settled: Vec<usize> = match verdict {
            State::Clean => came_from.into_keys().collect(),
            // Everything on the way there is dirty too.
            State::Dirty => {
                let mut way = vec![last];
                while let Some(before) = came_from.get(&last).filter(|before| **before != last) {
                    way.push(*before);
                    last = *before;
                }
                way
            }
            _ => Vec::new(),
        };
        for id in settled {
            if let Some(node) = self.nodes.get_mut(id).filter(|node| node.state == State::Built) {
                node.state = verdict;
            }
        }
        verdict == State::Clean
    }

    /// What a pair is by itself: `Built` when it depends on what it leads to.
    fn judge(&mut self, id: usize) -> State {
        if self.steps_left == 0 || self.depth > NESTING_MAX {
            return State::Open;
        }
        self.steps_left = self.steps_left.saturating_sub(1);
        self.build(id);
        let Some(node) = self.nodes.get(id) else { return State::Open };
        match node.state {
            State::Built if node.findings.iter().any(|finding| finding.level > Level::Compatible) => {
                State::Dirty
            }
            state => state,
        }
    }
}

/// The work on one pair.
struct Local<'l, 's> {
    schemas: &'l mut Schemas<'s>,
    old: Facts<'s>,
    new: Facts<'s>,
    sense: Sense,
    direction: Direction,
    findings: Vec<Finding>,
    edges: Vec<Edge>,
}

impl<'s> Local<'_, 's> {
    fn look(schemas: &mut Schemas<'s>, key: &Key) -> (Vec<Finding>, Vec<Edge>) {
        let old = Facts::new(schemas.old, &key.old, key.direction);
        let new = Facts::new(schemas.new, &key.new, key.direction);
        let (sense, direction) = (key.sense, key.direction);
        let mut local =
            Local { schemas, old, new, sense, direction, findings: Vec::new(), edges: Vec::new() };
        local.annotations();
        if !(local.is_unreadable() || local.is_decided_by_values() || local.is_decided_by_alternatives()) {
            local.types();
            local.numbers();
            local.texts();
            local.objects();
            local.arrays();
            local.compositions();
        }
        (local.findings, local.edges)
    }

    fn tell(&mut self, rule: &'static str, effect: Effect, old: Option<At>, new: Option<At>, text: String) {
        let level = effect.level(self.sense);
        // What is on one side only is missing in the schema of the other.
        let around = |facts: &Facts<'_>| facts.term.first().map(|atom| atom.at.clone());
        let (old, new) = (old.or_else(|| around(&self.old)), new.or_else(|| around(&self.new)));
        self.findings.push(Finding { rule, level, old, new, text, property: None });
    }

    /// The same of one property of the object.
    fn tell_of(&mut self, property: &str, rule: &'static str, effect: Effect, places: Pair, text: String) {
        self.tell(rule, effect, places.0, places.1, text);
        if let Some(finding) = self.findings.last_mut() {
            finding.property = Some(property.to_owned());
        }
    }

    /// Leads on to the pair of two terms, one step further into the value.
    fn lead(&mut self, step: Option<Step>, old: Term, new: Term) {
        let to = self.schemas.pair(old, new, self.sense, self.direction);
        self.edges.push(Edge { step, to });
    }

    /// Whether a pair of terms is clean in a sense.
    fn proves(&mut self, old: Term, new: Term, sense: Sense) -> bool {
        let id = self.schemas.pair(old, new, sense, self.direction);
        self.schemas.is_clean(id)
    }

    /// Whether two places say the same, with all that they refer to.
    fn are_same(&self, old: &At, new: &At) -> bool {
        self.schemas.same.values(old, new)
    }

    /// References that lead nowhere, and words that are not followed: then nothing more is certain.
    fn is_unreadable(&mut self) -> bool {
        let old = self
            .old
            .broken
            .first()
            .map(|broken| broken.at.clone())
            .or_else(|| self.old.opaque.first().cloned());
        let new = self
            .new
            .broken
            .first()
            .map(|broken| broken.at.clone())
            .or_else(|| self.new.opaque.first().cloned());
        let unreadable = old.is_some() || new.is_some();
        if unreadable {
            let text = "a part of the schema of {} cannot be looked at, so whether it changed is undecided";
            self.tell("reference-undecided", Effect::Undecided, old, new, text.to_owned());
        }
        unreadable
    }
}

impl Sense {
    pub(super) const fn turned(self) -> Self {
        match self {
            Self::OldInNew => Self::NewInOld,
            Self::NewInOld => Self::OldInNew,
        }
    }
}

/// More pairs than the largest public contracts have.
const PAIRS_MAX: usize = 1_000_000;
/// What all proofs together may look at.
const STEPS_MAX: usize = 4_000_000;
/// Proofs inside of proofs.
const NESTING_MAX: usize = 24;
