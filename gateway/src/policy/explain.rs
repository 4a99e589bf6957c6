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
use super::context::{self, Member};
use super::depth;
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
        depth::with_room(|| self.explained(principal, operation, circumstances))
    }

    fn explained(
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
            context::build(&Member::ALL, &asked.operation.facts, &self.claims, circumstances)?;
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

impl Explanation {
    /// The policies that forbid, whether or not it came to them.
    pub(super) fn forbidding(&self) -> Vec<Arc<str>> {
        let forbids = |said: &&Said| said.effect == FORBID && said.outcome == Outcome::Satisfied;
        self.policies.iter().filter(forbids).map(|said| Arc::clone(&said.id)).collect()
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
                Effect::Permit => PERMIT,
                Effect::Forbid => FORBID,
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

const PERMIT: &str = "permit";
const FORBID: &str = "forbid";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::retailer::*;
    use super::*;

    fn outcome(condition: &str) -> Outcome {
        let policies =
            load(&format!("@id(\"p\") permit (principal is Caller, action, resource) {condition};"));
        policies.explain(ACME, CREATE, &bare()).policies.swap_remove(0).outcome
    }

    #[test]
    fn the_condition_that_does_not_hold_is_named() {
        let unmet = |text: &str| Outcome::NotSatisfied(text.to_owned());
        assert_eq!(outcome(""), Outcome::Satisfied);
        assert_eq!(outcome("when { principal.tier == \"gold\" }"), Outcome::Satisfied);
        assert_eq!(
            outcome(
                "when { principal.tier == \"gold\" && context.certificate.present && context.deprecated }"
            ),
            unmet("when { context.certificate.present }")
        );
        assert_eq!(
            outcome("when { principal has ceiling && principal.ceiling < 5 } when { false }"),
            unmet("when { principal.ceiling < 5 }")
        );
        assert_eq!(
            outcome("when { true } unless { !context.token.present || context.deprecated }"),
            unmet("unless { (!context.token.present) || context.deprecated }")
        );
        assert_eq!(
            outcome("when { context.token.claims has store && context.token.claims.store == \"1\" }"),
            unmet("when { context.token.claims has store }")
        );
    }

    #[test]
    fn a_failure_is_told_in_cedars_words() {
        let failed = outcome("when { principal has ceiling && principal.ceiling * 2 > 0 }");
        assert!(matches!(&failed, Outcome::Failed(why) if why.contains("integer overflow")), "{failed:?}");
    }

    #[test]
    fn every_policy_is_told_of_with_its_place() {
        let policies = load(
            "@id(\"robots\") permit (principal in Group::\"robots\", action, resource);\n\
             @id(\"all\") @owner(\"sales\") permit (principal is Caller, action, resource);\n\
             @id(\"freeze\") @reason(\"frozen\") @description(\"Year end\")\nforbid (principal, action, resource) when { context.deprecated };",
        );
        let explanation = policies.explain(ACME, CREATE, &bare());
        assert_eq!(explanation.decision, Verdict::Permitted(vec!["all".into()]));
        let told: Vec<_> = explanation
            .policies
            .iter()
            .map(|said| (&*said.id, said.place.line(), said.effect, said.outcome.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("robots", 1, "permit", Outcome::NotApplicable),
                ("all", 2, "permit", Outcome::Satisfied),
                ("freeze", 3, "forbid", Outcome::NotSatisfied("when { context.deprecated }".to_owned())),
            ]
        );
        let freeze = &explanation.policies[2].annotations;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(*freeze, [pair("description", "Year end"), pair("reason", "frozen")]);
    }

    #[test]
    fn what_is_refused_before_policies_are_asked_is_told_so() {
        let policies = load("@id(\"all\") permit (principal is Caller, action, resource);");
        let explanation = policies.explain(CLERK, CREATE, &bare());
        assert_eq!(explanation.decision, Verdict::Refused(PolicyRefusal::KindNotServed));
        assert_eq!(explanation.policies[0].outcome, Outcome::Satisfied);
    }

    #[test]
    fn a_request_that_cannot_be_shown_whole_is_explained_as_far_as_it_goes() {
        let policies = load(
            "@id(\"all\") permit (principal is Caller, action, resource);\n\
             @id(\"seven\") forbid (principal, action == Action::\"orders.v2.getOrder\", resource) when { context.path.order == \"7\" };",
        );
        let explanation = policies.explain(ACME, READ, &bare());
        let because = "a parameter of the path is missing or repeated";
        assert_eq!(explanation.decision, Verdict::Refused(PolicyRefusal::Undecidable { because }));
        assert_eq!(explanation.policies[0].outcome, Outcome::Satisfied);
        assert!(matches!(&explanation.policies[1].outcome, Outcome::Failed(why) if why.contains(because)));
    }

    #[test]
    fn an_explanation_is_json_for_a_console() {
        let explanation = load("@id(\"p\") permit (principal is Caller, action, resource) when { false };")
            .explain(ACME, CREATE, &bare());
        let mut shown = serde_json::to_value(&explanation).unwrap();
        let place = shown["policies"][0]["place"].take();
        assert!(place.as_str().unwrap().ends_with("p.cedar:1:1"), "{place}");
        assert_eq!(
            shown,
            json!({
                "decision": {"refused": {"reason": "policy-denied", "because": "no policy permits the request", "policies": []}},
                "policies": [{"id": "p", "place": null, "effect": "permit", "annotations": [], "outcome": {"not-satisfied": "when { false }"}}],
            })
        );
    }
}
