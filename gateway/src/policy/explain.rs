//! Why was it decided so? What each policy says about one request, and which condition made it say so.
//!
//! For people who write policies, at a command line or a console. It evaluates policies one by one, all
//! of them and all of the context: it may be slow, and it makes no permit.

use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Expr};
use cedar_policy::{
    AuthorizationError, Context, Effect, EvalResult, Expression, PolicySet, Request, eval_expression,
};
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::annotations::Named;
use super::authorise::{Asked, Policies, PolicyRefusal, Principal};
use super::circumstances::Circumstances;
use super::context::{self, Part};
use crate::diagnostic::Place;

/// A decision, and what each policy said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What [`Policies::authorise`] decides.
    pub decision: Verdict,
    /// Every policy, in the order of files and lines.
    pub policies: Vec<Said>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// These policies permit it.
    Permitted(Vec<Arc<str>>),
    /// It is refused.
    #[serde(serialize_with = "reported")]
    Refused(PolicyRefusal),
}

/// What one policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// Its `@id`.
    pub id: Arc<str>,
    /// Where it is written.
    #[serde(serialize_with = "shown")]
    pub place: Place,
    /// `permit` or `forbid`.
    pub effect: &'static str,
    /// What came of it.
    pub outcome: Outcome,
    /// Its annotations but the id.
    pub annotations: Vec<(String, String)>,
}

/// What came of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Its scope is about others.
    NotApplicable,
    /// It permits, or forbids.
    Satisfied,
    /// This condition of it does not hold.
    NotSatisfied(String),
    /// It could not be evaluated.
    Failed(String),
}

impl Policies {
    /// What [`Policies::authorise`] decides, and why.
    #[must_use]
    pub fn explain(
        &self,
        principal: Principal,
        operation: usize,
        circumstances: &Circumstances<'_>,
    ) -> Explanation {
        let decision = match self.authorise(principal, operation, circumstances) {
            Ok(permit) => Verdict::Permitted(permit.policies().to_vec()),
            Err(refusal) => Verdict::Refused(refusal),
        };
        let asked = self.ask(principal, operation);
        let concerning =
            asked.as_ref().map(|a| self.slices.concerning(operation, a.standing)).unwrap_or_default();
        let request = asked.and_then(|asked| self.whole_request(&asked, circumstances));
        let policies = self.policies.iter().enumerate().map(|(n, named)| {
            let outcome =
                if concerning.contains(&n) { self.outcome(named, &request) } else { Outcome::NotApplicable };
            Said::new(named, outcome)
        });
        Explanation { decision, policies: policies.collect() }
    }

    fn whole_request(
        &self,
        asked: &Asked<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Request, PolicyRefusal> {
        let context: Context =
            context::build(&Part::ALL, &asked.operation.facts, &self.claims, circumstances)?;
        asked.request(context)
    }

    fn outcome(&self, named: &Named, request: &Result<Request, PolicyRefusal>) -> Outcome {
        let policy = &named.written.policy;
        let request = match request {
            Ok(request) => request,
            Err(_) if !policy.has_non_scope_constraint() => return Outcome::Satisfied,
            Err(refusal) => return Outcome::Failed(refusal.to_string()),
        };
        let alone = match PolicySet::from_policies([policy.clone()]) {
            Ok(alone) => alone,
            Err(e) => return Outcome::Failed(e.to_string()),
        };
        let response = self.authorizer.is_authorized(request, &alone, &self.entities);
        if let Some(AuthorizationError::PolicyEvaluationError(e)) = response.diagnostics().errors().next() {
            return Outcome::Failed(e.inner().to_string());
        }
        match response.diagnostics().reason().next() {
            Some(_) => Outcome::Satisfied,
            None => Outcome::NotSatisfied(self.unmet(named, request).unwrap_or_default()),
        }
    }

    /// The first condition of a policy that does not hold, as Cedar text.
    fn unmet(&self, named: &Named, request: &Request) -> Option<String> {
        let tree = named.written.policy.to_pst().ok()?;
        let holds = |condition: &Expr| {
            let expression: Expression = condition.to_string().parse().ok()?;
            match eval_expression(request, &self.entities, &expression) {
                Ok(EvalResult::Bool(truth)) => Some(truth),
                Ok(_) | Err(_) => None,
            }
        };
        tree.body().clauses().iter().find_map(|clause| match clause {
            Clause::When(condition) => conjuncts(condition)
                .into_iter()
                .find(|one| holds(one) == Some(false))
                .map(|one| format!("when {{ {one} }}")),
            Clause::Unless(condition) => {
                (holds(condition) == Some(true)).then(|| format!("unless {{ {condition} }}"))
            }
        })
    }
}

/// `a && b && c` as `a`, `b`, `c`. Each makes sense only if those before it hold.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::BinaryOp { op: BinaryOp::And, left, right } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        one => vec![one],
    }
}

impl Said {
    fn new(named: &Named, outcome: Outcome) -> Self {
        let policy = &named.written.policy;
        let mut annotations: Vec<(String, String)> = policy
            .annotations()
            .filter(|(key, _)| *key != "id")
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        annotations.sort();
        Self {
            id: Arc::clone(&named.id),
            place: named.written.place.clone(),
            effect: match policy.effect() {
                Effect::Permit => "permit",
                Effect::Forbid => "forbid",
            },
            outcome,
            annotations,
        }
    }
}

fn reported<S: Serializer>(refusal: &PolicyRefusal, serializer: S) -> Result<S::Ok, S::Error> {
    let mut out = serializer.serialize_struct("Refused", 3)?;
    out.serialize_field("reason", refusal.reason())?;
    out.serialize_field("because", &refusal.to_string())?;
    out.serialize_field("policies", refusal.policies())?;
    out.end()
}

pub(super) fn shown<S: Serializer>(place: &Place, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(place)
}
