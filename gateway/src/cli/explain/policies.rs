//! Which policies decide, and why?

use super::{Refused, refuse, say};
use crate::policy::{Explanation, Outcome, Verdict};

pub(super) fn tell(explanation: &Explanation) -> Result<(), Refused> {
    say("policies", "");
    for said in &explanation.policies {
        let outcome = match &said.outcome {
            Outcome::NotApplicable => continue,
            Outcome::Satisfied => format!("{}s", said.effect),
            Outcome::NotSatisfied(condition) if condition.is_empty() => "does not hold".to_owned(),
            Outcome::NotSatisfied(condition) => format!("does not hold: {condition}"),
            Outcome::Failed(why) => format!("fails, so the request is refused: {why}"),
        };
        say("", &format!("{} ({} at {}) {outcome}", said.id, said.effect, said.place));
    }
    match &explanation.decision {
        Verdict::Permitted(by) => {
            say("", &format!("permitted by {}", by.join(", ")));
            Ok(())
        }
        Verdict::Refused(refusal) => Err(refuse("", &format!("{refusal} (403 policy-refused)"))),
    }
}
