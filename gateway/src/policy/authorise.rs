//! May this caller do this, now?
//!
//! Deny unless something permits, refuse if anything forbids, refuse if anything cannot be evaluated. This
//! is the only file that makes a [`Permit`].

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::{
    AuthorizationError, Authorizer, Decision, Entities, EntityUid, PolicyId, Request, Response,
};

use super::annotations::{Named, REASON};
use super::circumstances::Circumstances;
use super::context::{self, Unfit};
use super::facts::{Anonymous, CallerFacts, Kind, OperationFacts, ValueType};
use super::slice::{Slice, Slices};
use super::vocabulary::{ACTION, CALLER, CONTRACT, Unbuildable, uid};

/// Every policy of a snapshot, compiled. Immutable, but for a bounded cache of what was asked before.
pub struct Policies {
    pub(super) policies: Vec<Named>,
    pub(super) by_id: HashMap<Arc<str>, usize>,
    pub(super) callers: Vec<KnownCaller>,
    pub(super) anonymous: EntityUid,
    pub(super) operations: Vec<KnownOperation>,
    pub(super) claims: Vec<(String, ValueType)>,
    pub(super) entities: Entities,
    pub(super) schema: String,
    pub(super) slices: Slices,
    pub(super) authorizer: Authorizer,
}

pub(super) struct KnownCaller {
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) uid: EntityUid,
}

pub(super) struct KnownOperation {
    pub(super) facts: OperationFacts,
    pub(super) action: EntityUid,
    pub(super) contract: EntityUid,
}

/// Who asks. Indices are those of the slices that [`Policies::load`] was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal {
    /// A caller that was proved.
    Caller(usize),
    /// A request that proves no caller.
    Anonymous,
}

/// Proof that policy allows one request. Only [`Policies::authorise`] makes one:
///
/// ```compile_fail
/// let forged = gateway::policy::Permit { policies: Vec::new() };
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a permit that nobody asks for protects nothing"]
pub struct Permit {
    policies: Vec<Arc<str>>,
}

/// Why policy does not allow a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyRefusal {
    /// The operation does not serve this kind of caller, or not anonymous requests.
    #[error("the operation does not serve this kind of caller")]
    KindNotServed,
    /// No policy permits it.
    #[error("no policy permits the request")]
    Denied {
        /// The `@reason`s of the policies about this caller and operation that would permit it if their
        /// conditions held, which the caller may be told.
        reasons: Vec<Arc<str>>,
    },
    /// These policies forbid it.
    #[error("a policy forbids the request")]
    Forbidden {
        /// Their ids, for the record.
        policies: Vec<Arc<str>>,
        /// Their `@reason`s, which the caller may be told.
        reasons: Vec<Arc<str>>,
    },
    /// These policies failed to evaluate, so nobody knows whether they would have forbidden it.
    #[error("a policy failed to evaluate")]
    Failed {
        /// Their ids; none when it was not a policy that failed.
        policies: Vec<Arc<str>>,
    },
    /// The request is not of the form that the policies were checked with.
    #[error("the policies cannot be asked: {because}")]
    Undecidable {
        /// Which part of the request, in words for the log.
        because: &'static str,
    },
}

// Facts about callers may be personal: not shown.
impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("policies", &self.policies.len()).finish_non_exhaustive()
    }
}

impl Policies {
    /// Decides. Does not wait, does no input or output.
    ///
    /// # Errors
    /// [`PolicyRefusal`]: everything that is not plainly permitted.
    pub fn authorise(
        &self,
        principal: Principal,
        operation: usize,
        circumstances: &Circumstances<'_>,
    ) -> Result<Permit, PolicyRefusal> {
        let asked = self.ask(principal, operation)?;
        if asked.serving == Serving::Refused {
            return Err(PolicyRefusal::KindNotServed);
        }
        let Slice { permits, forbids, conditional, reads, would_permit: _ } = &*asked.slice;
        if !forbids.is_empty() {
            return Err(self.forbidden(forbids.iter().copied()));
        }
        if conditional.is_empty() {
            return self.permitted(permits.iter().copied(), &asked.slice);
        }
        let context = context::build(reads, &asked.operation.facts, &self.claims, circumstances)?;
        let response = self.authorizer.is_authorized(&asked.request(context)?, conditional, &self.entities);
        self.decide(&asked.slice, &response)
    }

    /// Finds what a request is about and what there is to ask.
    pub(super) fn ask(&self, principal: Principal, operation: usize) -> Result<Asked<'_>, PolicyRefusal> {
        // An index of another snapshot is a mistake of the gateway's own; it opens nothing.
        let lost = PolicyRefusal::Failed { policies: Vec::new() };
        let known = self.operations.get(operation).ok_or(lost.clone())?;
        let (caller, uid, serves) = match principal {
            Principal::Caller(n) => {
                let caller = self.callers.get(n).ok_or(lost.clone())?;
                (Some(n), &caller.uid, known.facts.kinds.contains(&caller.kind))
            }
            Principal::Anonymous => (None, &self.anonymous, known.facts.anonymous == Anonymous::Served),
        };
        let serving = if serves { Serving::Served } else { Serving::Refused };
        let standing = self.slices.standing(caller).ok_or(lost.clone())?;
        let slice = self.slices.slice(operation, standing, &self.policies).map_err(|_internal| lost)?;
        Ok(Asked { principal: uid, operation: known, serving, standing, slice })
    }

    fn decide(&self, slice: &Slice, response: &Response) -> Result<Permit, PolicyRefusal> {
        let permits = slice.permits.iter().copied();
        let reasons = response.diagnostics().reason().filter_map(|id| self.index(id));
        let failed = response.diagnostics().errors().filter_map(|error| match error {
            AuthorizationError::PolicyEvaluationError(error) => self.index(error.policy_id()),
        });
        match response.decision() {
            // With a reason, `Deny` means that something forbids; without, that nothing permits.
            Decision::Deny if response.diagnostics().reason().next().is_some() => {
                Err(self.forbidden(reasons))
            }
            // Cedar passes over a policy that fails. It may have been one that forbids.
            Decision::Allow | Decision::Deny if response.diagnostics().errors().next().is_some() => {
                Err(PolicyRefusal::Failed { policies: self.ids(failed) })
            }
            Decision::Deny => self.permitted(permits, slice),
            Decision::Allow => self.permitted(reasons.chain(permits), slice),
        }
    }

    fn permitted(
        &self,
        policies: impl IntoIterator<Item = usize>,
        slice: &Slice,
    ) -> Result<Permit, PolicyRefusal> {
        let policies = self.ids(policies);
        if policies.is_empty() {
            return Err(PolicyRefusal::Denied { reasons: self.reasons(&slice.would_permit) });
        }
        Ok(Permit { policies })
    }

    fn forbidden(&self, policies: impl IntoIterator<Item = usize>) -> PolicyRefusal {
        let forbidding: Vec<usize> = policies.into_iter().collect();
        let reasons = self.reasons(&forbidding);
        PolicyRefusal::Forbidden { policies: self.ids(forbidding), reasons }
    }

    fn reasons(&self, policies: &[usize]) -> Vec<Arc<str>> {
        let told = |n: &usize| self.policies.get(*n)?.written.policy.annotation(REASON);
        let mut reasons: Vec<Arc<str>> = policies.iter().filter_map(told).map(Arc::from).collect();
        reasons.sort_unstable();
        reasons.dedup();
        reasons
    }

    fn index(&self, id: &PolicyId) -> Option<usize> {
        self.by_id.get(AsRef::<str>::as_ref(id)).copied()
    }

    fn ids(&self, policies: impl IntoIterator<Item = usize>) -> Vec<Arc<str>> {
        let mut known: Vec<usize> = policies.into_iter().collect();
        // In the order of files and lines, so that two records of one decision are equal.
        known.sort_unstable();
        known.iter().filter_map(|n| self.policies.get(*n)).map(|named| Arc::clone(&named.id)).collect()
    }
}

/// One question, before its circumstances.
pub(super) struct Asked<'a> {
    principal: &'a EntityUid,
    pub(super) operation: &'a KnownOperation,
    pub(super) serving: Serving,
    pub(super) standing: usize,
    pub(super) slice: Arc<Slice>,
}

/// Whether the operation serves callers of this kind at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    Served,
    Refused,
}

impl Asked<'_> {
    pub(super) fn request(&self, context: cedar_policy::Context) -> Result<Request, PolicyRefusal> {
        let KnownOperation { action, contract, .. } = self.operation;
        Request::new(self.principal.clone(), action.clone(), contract.clone(), context, None)
            .map_err(|_internal| PolicyRefusal::Failed { policies: Vec::new() })
    }
}

impl KnownCaller {
    pub(super) fn new(facts: &CallerFacts) -> Result<Self, Unbuildable> {
        Ok(Self { id: facts.id.clone(), kind: facts.kind, uid: uid(CALLER, &facts.id)? })
    }
}

impl KnownOperation {
    pub(super) fn new(facts: &OperationFacts) -> Result<Self, Unbuildable> {
        let (action, contract) = (uid(ACTION, &facts.name)?, uid(CONTRACT, &facts.contract())?);
        Ok(Self { facts: facts.clone(), action, contract })
    }
}

impl Permit {
    /// The ids of the policies that permit the request: at least one, in the order they are written.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }
}

impl PolicyRefusal {
    /// What sort of refusal it is, for the record and the problem: a stable code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::KindNotServed => "kind-not-served",
            Self::Denied { .. } => "policy-denied",
            Self::Forbidden { .. } => "policy-forbidden",
            Self::Failed { .. } => "policy-error",
            Self::Undecidable { .. } => "policy-undecidable",
        }
    }

    /// The ids of the policies that decided so, for the record and never for the caller.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        match self {
            Self::Forbidden { policies, .. } | Self::Failed { policies } => policies,
            Self::KindNotServed | Self::Denied { .. } | Self::Undecidable { .. } => &[],
        }
    }

    /// The reason codes of the policies, which the refused caller may be told.
    #[must_use]
    pub fn reasons(&self) -> &[Arc<str>] {
        match self {
            Self::Denied { reasons } | Self::Forbidden { reasons, .. } => reasons,
            Self::KindNotServed | Self::Failed { .. } | Self::Undecidable { .. } => &[],
        }
    }
}

impl From<Unfit> for PolicyRefusal {
    fn from(Unfit(because): Unfit) -> Self {
        Self::Undecidable { because }
    }
}

#[cfg(test)]
mod tests {
    use super::super::retailer::*;
    use super::*;

    fn decide(
        policies: &Policies,
        principal: Principal,
        operation: usize,
        given: &Circumstances<'_>,
    ) -> String {
        match policies.authorise(principal, operation, given) {
            Ok(permit) => format!("permit {}", permit.policies().join(" ")),
            Err(refusal) => {
                let told = [refusal.policies(), refusal.reasons()].concat().join(" ");
                format!("{} {told}", refusal.reason()).trim().to_owned()
            }
        }
    }

    #[track_caller]
    fn check(policies: &str, principal: Principal, operation: usize, expected: &str) {
        assert_eq!(decide(&load(policies), principal, operation, &bare()), expected, "{policies}");
    }

    const ALL: &str = "@id(\"all\") permit (principal is Caller, action, resource);\n";
    /// Nine quintillion twice is more than a `Long` holds.
    const OVERFLOWS: &str = "principal has ceiling && principal.ceiling + principal.ceiling > 0";

    #[test]
    fn nothing_is_permitted_unless_a_policy_says_so() {
        check("", ACME, CREATE, "policy-denied");
        check(ALL, ACME, CREATE, "permit all");
        check(
            "@id(\"a\") permit (principal == Caller::\"acme\", action, resource);",
            SHOP,
            CREATE,
            "policy-denied",
        );
        check(
            "@id(\"a\") permit (principal is Caller, action, resource) when { false };",
            ACME,
            CREATE,
            "policy-denied",
        );
    }

    #[test]
    fn scopes_choose_by_caller_group_kind_operation_and_contract() {
        let rows = [
            ("principal == Caller::\"acme\", action, resource", true, false),
            ("principal in Caller::\"acme\", action, resource", true, false),
            ("principal in Group::\"marketplaces\", action, resource", true, false),
            ("principal is Caller in Group::\"channels\", action, resource", false, true),
            ("principal in Kind::\"partner\", action, resource", true, false),
            ("principal is Caller, action == Action::\"orders.v2.createOrder\", resource", true, true),
            ("principal is Caller, action in Action::\"orders.v2\", resource", true, true),
            ("principal is Caller, action in Action::\"orders.v1\", resource", false, false),
            ("principal is Caller, action in [Action::\"stock\", Action::\"orders\"], resource", true, true),
            ("principal is Caller, action in Action::\"write\", resource", true, true),
            ("principal is Caller, action in Action::\"read\", resource", false, false),
            ("principal is Caller, action, resource == Contract::\"orders.v2\"", true, true),
            ("principal is Caller, action, resource in Api::\"orders\"", true, true),
            ("principal is Caller, action, resource is Contract in Api::\"stock\"", false, false),
            ("principal is Caller, action, resource is Contract", true, true),
        ];
        for (scope, acme, shop) in rows {
            let policies = load(&format!("@id(\"p\") permit ({scope});"));
            for (principal, permitted) in [(ACME, acme), (SHOP, shop)] {
                let expected = if permitted { "permit p" } else { "policy-denied" };
                assert_eq!(decide(&policies, principal, CREATE, &bare()), expected, "{scope}");
            }
        }
    }

    #[test]
    fn forbid_wins_over_any_permit() {
        let scoped =
            "@id(\"no\") @reason(\"frozen\") forbid (principal == Caller::\"acme\", action, resource);";
        check(&format!("{ALL}{scoped}"), ACME, CREATE, "policy-forbidden no frozen");
        check(&format!("{ALL}{scoped}"), SHOP, CREATE, "permit all");
        let conditional =
            "@id(\"no\") forbid (principal, action, resource) unless { context.token.present };";
        check(&format!("{ALL}{conditional}"), ACME, CREATE, "policy-forbidden no");
    }

    #[test]
    fn a_policy_that_fails_to_evaluate_refuses() {
        let failing = |effect: &str| {
            format!(
                "{ALL}@id(\"sum\") {effect} (principal is Caller, action, resource) when {{ {OVERFLOWS} }};"
            )
        };
        check(&failing("forbid"), ACME, CREATE, "policy-error sum");
        check(&failing("permit"), ACME, CREATE, "policy-error sum");
        // For a caller without the fact nothing fails.
        check(&failing("forbid"), SHOP, CREATE, "permit all");
        let forbidden = "@id(\"no\") forbid (principal, action, resource) when { !context.deprecated };";
        check(&format!("{}{forbidden}", failing("permit")), ACME, CREATE, "policy-forbidden no");
    }

    #[test]
    fn a_denied_caller_may_be_told_what_policies_about_it_want() {
        let wanting = "@id(\"mtls\") @reason(\"certificate-required\")
            permit (principal in Group::\"marketplaces\", action, resource) when { context.certificate.present };
            @id(\"bots\") @reason(\"at-night-only\")
            permit (principal in Kind::\"bot\", action, resource) when { context.time.hour < 4 };";
        check(wanting, ACME, CREATE, "policy-denied certificate-required");
        check(wanting, Principal::Caller(2), CREATE, "policy-denied at-night-only");
        check(wanting, SHOP, CREATE, "policy-denied");
        check(&format!("{wanting}{ALL}"), ACME, CREATE, "permit all");
    }

    #[test]
    fn a_kind_that_the_operation_does_not_serve_is_refused_whatever_the_policies_say() {
        check(ALL, CLERK, CREATE, "kind-not-served");
        check(ALL, CLERK, READ, "permit all");
        check(ALL, Principal::Anonymous, READ, "kind-not-served");
    }

    #[test]
    fn nothing_meant_for_callers_is_true_of_anonymous_requests() {
        check(ALL, Principal::Anonymous, STOCK, "policy-denied");
        let open = "@id(\"open\") permit (principal is Anonymous, action, resource in Api::\"stock\");";
        check(open, Principal::Anonymous, STOCK, "permit open");
        check(open, ACME, STOCK, "policy-denied");
        let named = "@id(\"open\") permit (principal == Anonymous::\"anonymous\", action, resource);";
        check(named, Principal::Anonymous, STOCK, "permit open");
    }

    #[test]
    fn policies_are_shared_by_all_threads() {
        const fn shared<T: Send + Sync + 'static>(_: &T) {}
        shared(&load(ALL));
    }

    #[test]
    fn an_index_of_nothing_opens_nothing() {
        check(ALL, Principal::Caller(99), CREATE, "policy-error");
        check(ALL, ACME, 99, "policy-error");
    }

    #[test]
    fn a_permit_names_all_policies_that_permit_in_the_order_they_are_written() {
        let three = format!(
            "@id(\"z\") permit (principal is Caller, action, resource) when {{ principal.tier == \"gold\" }};\n\
             {ALL}@id(\"b\") permit (principal is Caller, action, resource) when {{ principal.kind == Kind::\"bot\" }};"
        );
        check(&three, ACME, CREATE, "permit z all");
    }

    #[test]
    fn a_refusal_tells_no_policy_and_no_value() {
        let refusal = PolicyRefusal::Forbidden { policies: vec!["secret-deal".into()], reasons: vec![] };
        assert_eq!(refusal.to_string(), "a policy forbids the request");
        assert_eq!(
            PolicyRefusal::Failed { policies: vec!["p".into()] }.to_string(),
            "a policy failed to evaluate"
        );
    }
}
