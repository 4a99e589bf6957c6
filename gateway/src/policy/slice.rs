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
use super::context::Member;
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
    pub(super) reads: Vec<Member>,
    /// Those of them that would permit: what is missing when nothing does.
    pub(super) would_permit: Vec<usize>,
}

/// Every slice of a snapshot.
pub(super) struct Slices {
    /// By operation, the policies whose scope covers it.
    covering: Vec<Vec<usize>>,
    /// By policy, whom its scope is about, as an index of the distinct ones.
    whom: Vec<usize>,
    /// By policy, what its conditions read.
    reads: Vec<Vec<Member>>,
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
        let reads = policies.iter().map(|named| Member::read_by(&named.written.policy)).collect();
        let made = Cache::new(SLICES_MAX);
        Self { covering, whom, reads, standings: standings.all, of_caller, of_anonymous, made }
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
        let slice = Arc::new(Slice::new(&self.concerning(operation, standing), policies, &self.reads)?);
        self.made.insert((operation, standing), Arc::clone(&slice));
        Ok(slice)
    }
}

impl Slice {
    fn new(concerning: &[usize], policies: &[Named], read: &[Vec<Member>]) -> Result<Self, Unbuildable> {
        let (mut permits, mut forbids, mut conditional) = (Vec::new(), Vec::new(), Vec::new());
        let (mut reads, mut would_permit) = (BTreeSet::new(), Vec::new());
        for n in concerning {
            // Passing over one could pass over a `forbid`.
            let policy = policies.get(*n).map(|named| &named.written.policy).ok_or("no such policy")?;
            match (policy.has_non_scope_constraint(), policy.effect()) {
                (true, effect) => {
                    conditional.push(policy.clone());
                    reads.extend(read.get(*n).into_iter().flatten().copied());
                    would_permit.extend((effect == Effect::Permit).then_some(*n));
                }
                (false, Effect::Permit) => permits.push(*n),
                (false, Effect::Forbid) => forbids.push(*n),
            }
        }
        let (conditional, reads) = (PolicySet::from_policies(conditional)?, reads.into_iter().collect());
        Ok(Self { permits, forbids, conditional, reads, would_permit })
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

#[cfg(test)]
mod tests {
    use cedar_policy::{Authorizer, Context, Decision, PolicyId};
    use proptest::prelude::*;

    use super::super::authorise::{Policies, Principal, Serving};
    use super::super::circumstances::*;
    use super::super::context;
    use super::super::retailer::*;
    use super::*;

    #[test]
    fn callers_that_no_scope_tells_apart_share_a_slice() {
        let policies = load(
            "@id(\"channels\") permit (principal in Group::\"channels\", action, resource);
             @id(\"acme\") permit (principal == Caller::\"acme\", action, resource) when { context.deprecated };",
        );
        let slice = |principal| policies.ask(principal, READ).ok().unwrap().slice;
        // `web-shop` and `stock-bot` are both channels; that one is a bot as well no policy asks.
        assert!(Arc::ptr_eq(&slice(SHOP), &slice(Principal::Caller(2))));
        assert!(!Arc::ptr_eq(&slice(SHOP), &slice(ACME)));
        assert!(slice(SHOP).conditional.is_empty() && slice(CLERK).permits.is_empty());
        assert_eq!(slice(ACME).reads, [Member::Deprecated]);
    }

    /// Policies of every sort: scopes of all forms, conditions over all parts of the context, failures.
    const POOL: [&str; 22] = [
        "permit (principal is Caller, action, resource)",
        "permit (principal in Group::\"channels\", action in Action::\"read\", resource)",
        "permit (principal in Group::\"robots\", action, resource in Api::\"stock\")",
        "permit (principal in Kind::\"partner\", action in Action::\"orders\", resource) when { context.certificate.present }",
        "permit (principal == Caller::\"clerk\", action in [Action::\"orders.v1\", Action::\"stock\"], resource)",
        "permit (principal is Anonymous, action == Action::\"stock.v1.getStock\", resource) when { context.address.isInRange(ip(\"192.0.2.0/24\")) }",
        "permit (principal is Caller, action, resource) when { context.token.scopes.contains(\"orders:write\") }",
        "permit (principal is Caller, action, resource) when { context has certificate && context.certificate.dns.contains(\"acme.example\") }",
        "permit (principal is Caller, action, resource) when { principal has stores && principal.stores.contains(\"12\") }",
        "permit (principal is Caller, action == Action::\"orders.v2.getOrder\", resource) when { context.path.order == \"7\" }",
        "permit (principal is Caller, action == Action::\"orders.v2.searchOrders\", resource) when { context.query has store && context.query.store == \"12\" }",
        "forbid (principal, action, resource) when { context.deprecated }",
        "forbid (principal, action, resource) when { context.time.hour < 6 || context.time.weekday > 6 }",
        "forbid (principal, action, resource) when { context.time.now < datetime(\"2026-06-01T00:00:00Z\") }",
        "forbid (principal in Group::\"marketplaces\", action in Action::\"write\", resource) unless { context.certificate.present }",
        "forbid (principal == Caller::\"web-shop\", action, resource == Contract::\"orders.v1\")",
        "forbid (principal, action, resource) when { context.token has subject && context.token.subject == \"mallory\" }",
        "forbid (principal, action, resource) when { context.token.claims has suspended && context.token.claims.suspended }",
        "forbid (principal, action == Action::\"orders.v2.searchOrders\", resource) when { context.query has \"filter[status]\" && context.query[\"filter[status]\"].contains(\"paid\") }",
        "permit (principal is Caller, action, resource) when { principal has ceiling && principal.ceiling + principal.ceiling > 0 }",
        "forbid (principal is Caller, action in Action::\"orders.v2\", resource) when { principal has ceiling && principal.ceiling * 2 > 0 }",
        "permit (principal is Caller, action, resource) when { principal.owner == \"sales\" } unless { context.certificate has sha256 && context.certificate.sha256 == \"00\" }",
    ];

    fn pool(chosen: &[&str]) -> String {
        chosen.iter().enumerate().map(|(n, policy)| format!("@id(\"p{n}\") {policy};\n")).collect()
    }

    /// Cedar over all policies and the whole context, with the one rule that is ours: a failure refuses.
    fn by_the_book(
        policies: &Policies,
        principal: Principal,
        operation: usize,
        given: &Circumstances<'_>,
    ) -> String {
        let asked = policies.ask(principal, operation).ok().unwrap();
        if asked.serving == Serving::Refused {
            return "kind-not-served".to_owned();
        }
        let context: Context =
            match context::build(&Member::ALL, &asked.operation.facts, &policies.claims, given) {
                Ok(context) => context,
                Err(_) => return "policy-undecidable".to_owned(),
            };
        let all =
            PolicySet::from_policies(policies.policies.iter().map(|n| n.written.policy.clone())).unwrap();
        let response =
            Authorizer::new().is_authorized(&asked.request(context).unwrap(), &all, &policies.entities);
        let index = |id: &PolicyId| policies.by_id[AsRef::<str>::as_ref(id)];
        let mut reasons: Vec<usize> = response.diagnostics().reason().map(index).collect();
        reasons.sort_unstable();
        let ids: Vec<&str> = reasons.iter().map(|n| &*policies.policies[*n].id).collect();
        match (response.decision(), response.diagnostics().errors().count()) {
            (Decision::Deny, _) if !ids.is_empty() => "policy-forbidden".to_owned(),
            (_, 1..) => "policy-error".to_owned(),
            (Decision::Deny, 0) => "policy-denied".to_owned(),
            (Decision::Allow, 0) => format!("permit {}", ids.join(" ")),
        }
    }

    fn sliced(
        policies: &Policies,
        principal: Principal,
        operation: usize,
        given: &Circumstances<'_>,
    ) -> String {
        match policies.authorise(principal, operation, given) {
            Ok(permit) => format!("permit {}", permit.policies().join(" ")),
            Err(refusal) => refusal.reason().to_owned(),
        }
    }

    #[derive(Debug, Clone)]
    struct Drawn {
        address: &'static str,
        now: &'static str,
        certificate: Option<&'static str>,
        token: Option<(Option<&'static str>, Vec<&'static str>, Option<bool>)>,
        order: &'static str,
        query: Vec<(&'static str, &'static str)>,
        deprecated: bool,
    }

    impl Drawn {
        fn circumstances(&self) -> Circumstances<'_> {
            Circumstances {
                address: self.address.parse().unwrap(),
                now: self.now.parse().unwrap(),
                certificate: self.certificate.map(|dns| CertificateFacts {
                    dns: vec![dns],
                    uris: vec![],
                    sha256: if dns == "acme.example" { "00" } else { "11" },
                }),
                token: self.token.as_ref().map(|(subject, scopes, suspended)| TokenFacts {
                    issuer: "https://login.example",
                    subject: *subject,
                    client_id: None,
                    scopes: scopes.clone(),
                    actor: None,
                    actor_issuer: None,
                    may_act: None,
                    may_act_issuer: None,
                    claims: suspended.map(|s| ("suspended", ClaimValue::Boolean(s))).into_iter().collect(),
                }),
                path: vec![("order", self.order), ("line", "1")],
                query: self.query.clone(),
                deprecation: if self.deprecated { Deprecation::Deprecated } else { Deprecation::Current },
            }
        }
    }

    fn drawn() -> impl Strategy<Value = Drawn> {
        let address =
            prop::sample::select(vec!["192.0.2.7", "::ffff:192.0.2.9", "2001:db8::1", "198.51.100.1"]);
        let now = prop::sample::select(vec![
            "2026-11-02T10:00:00Z",
            "2026-05-04T04:00:00Z",
            "2026-11-01T12:00:00Z",
        ]);
        let certificate = prop::option::of(prop::sample::select(vec!["acme.example", "other.example"]));
        let token = prop::option::of((
            prop::option::of(prop::sample::select(vec!["mallory", "alice"])),
            prop::sample::subsequence(vec!["orders:read", "orders:write"], 0..=2),
            prop::option::of(any::<bool>()),
        ));
        let order = prop::sample::select(vec!["7", "8"]);
        let query = prop::sample::subsequence(
            vec![("store", "12"), ("filter[status]", "open"), ("filter[status]", "paid"), ("unknown", "x")],
            0..=4,
        );
        (address, now, certificate, token, order, query, any::<bool>()).prop_map(
            |(address, now, certificate, token, order, query, deprecated)| Drawn {
                address,
                now,
                certificate,
                token,
                order,
                query,
                deprecated,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_slice_decides_as_all_policies_together_do(
            chosen in prop::sample::subsequence(POOL.to_vec(), 0..=7),
            requests in prop::collection::vec(drawn(), 4),
        ) {
            let policies = load(&pool(&chosen));
            let everyone = (0..4).map(Principal::Caller).chain([Principal::Anonymous]);
            for principal in everyone {
                for operation in 0..5 {
                    for request in &requests {
                        let given = request.circumstances();
                        let sliced = sliced(&policies, principal, operation, &given);
                        let whole = by_the_book(&policies, principal, operation, &given);
                        prop_assert_eq!(sliced, whole);
                    }
                }
            }
        }
    }
}
