//! Which policies have to be looked at for one caller and one operation?
//!
//! Callers that no policy's scope tells apart share a standing; the policies for an operation and a
//! standing are a slice, made when first asked for and kept. Of a slice, only what has conditions is left
//! for Cedar to evaluate.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{Effect, PolicySet};
use quick_cache::sync::Cache;

use super::annotations::Named;
use super::context::Part;
use super::facts::{CallerFacts, OperationFacts};
use super::scope::{What, Whom};
use super::vocabulary::Unbuildable;

/// What is left to ask about a caller and an operation.
pub(super) struct Slice {
    /// Policies without conditions: decided.
    pub(super) permits: Vec<usize>,
    /// The same, that forbid.
    pub(super) forbids: Vec<usize>,
    /// Those with conditions.
    pub(super) conditional: PolicySet,
    /// What the conditions read.
    pub(super) parts: Vec<Part>,
}

/// Every slice of a snapshot.
pub(super) struct Slices {
    /// By operation, the policies whose scope covers it.
    covering: Vec<Vec<usize>>,
    /// By policy, whom its scope is about, as an index of the distinct ones.
    whom: Vec<usize>,
    /// By standing, which of those are true.
    standings: Vec<BTreeSet<usize>>,
    of_caller: Vec<usize>,
    of_anonymous: usize,
    made: Cache<(usize, usize), Arc<Slice>>,
}

impl Slices {
    pub(super) fn new(policies: &[Named], callers: &[CallerFacts], operations: &[OperationFacts]) -> Self {
        let whats: Vec<What> = policies.iter().map(|named| What::of(&named.written.policy)).collect();
        let covering = operations
            .iter()
            .map(|o| whats.iter().enumerate().filter(|(_, what)| what.covers(o)).map(|(n, _)| n).collect())
            .collect();
        let mut distinct: BTreeMap<Whom, usize> = BTreeMap::new();
        let whom = policies
            .iter()
            .map(|named| {
                let next = distinct.len();
                *distinct.entry(Whom::of(&named.written.policy)).or_insert(next)
            })
            .collect();
        let mut standings = Standings { distinct, known: HashMap::new(), all: Vec::new() };
        let of_caller = callers.iter().map(|caller| standings.of(Whom::all_of(caller))).collect();
        let of_anonymous = standings.of(Whom::all_of_anonymous());
        let made = Cache::new(SLICES_MAX);
        Self { covering, whom, standings: standings.all, of_caller, of_anonymous, made }
    }

    /// The standing of the caller at an index, or of nobody.
    pub(super) fn standing(&self, caller: Option<usize>) -> Option<usize> {
        match caller {
            Some(caller) => self.of_caller.get(caller).copied(),
            None => Some(self.of_anonymous),
        }
    }

    /// The policies whose scope takes in both, by index.
    pub(super) fn concerning(&self, operation: usize, standing: usize) -> Vec<usize> {
        let Some((covering, whoms)) = self.covering.get(operation).zip(self.standings.get(standing)) else {
            return Vec::new();
        };
        let concerns = |n: &&usize| self.whom.get(**n).is_some_and(|whom| whoms.contains(whom));
        covering.iter().filter(concerns).copied().collect()
    }

    /// The slice for an operation and a standing. Two requests may make the same one at once; that costs
    /// less than making one of them wait.
    pub(super) fn slice(
        &self,
        operation: usize,
        standing: usize,
        policies: &[Named],
    ) -> Result<Arc<Slice>, Unbuildable> {
        if let Some(slice) = self.made.get(&(operation, standing)) {
            return Ok(slice);
        }
        let slice = Arc::new(Slice::new(&self.concerning(operation, standing), policies)?);
        self.made.insert((operation, standing), Arc::clone(&slice));
        Ok(slice)
    }
}

impl Slice {
    fn new(concerning: &[usize], policies: &[Named]) -> Result<Self, Unbuildable> {
        let (mut permits, mut forbids, mut conditional) = (Vec::new(), Vec::new(), Vec::new());
        for n in concerning {
            let Some(policy) = policies.get(*n).map(|named| &named.written.policy) else { continue };
            match (policy.has_non_scope_constraint(), policy.effect()) {
                (true, _) => conditional.push(policy.clone()),
                (false, Effect::Permit) => permits.push(*n),
                (false, Effect::Forbid) => forbids.push(*n),
            }
        }
        let parts = Part::read_by(&conditional);
        Ok(Self { permits, forbids, conditional: PolicySet::from_policies(conditional)?, parts })
    }
}

/// Gives callers of whom the same is true the same number.
struct Standings {
    distinct: BTreeMap<Whom, usize>,
    known: HashMap<BTreeSet<usize>, usize>,
    all: Vec<BTreeSet<usize>>,
}

impl Standings {
    fn of(&mut self, all_true: impl IntoIterator<Item = Whom>) -> usize {
        let told: BTreeSet<usize> =
            all_true.into_iter().filter_map(|whom| self.distinct.get(&whom).copied()).collect();
        if let Some(standing) = self.known.get(&told) {
            return *standing;
        }
        let standing = self.all.len();
        self.known.insert(told.clone(), standing);
        self.all.push(told);
        standing
    }
}

/// Slices kept, of a few kilobytes each: the busy operations of hundreds of standings. One that was put
/// out is made again, in the time of a few evaluations.
const SLICES_MAX: usize = 16_384;
