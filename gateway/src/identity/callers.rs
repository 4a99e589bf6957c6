//! Who may exist at all? What `policies/callers.yaml` says, ready to be asked.
//!
//! A token or certificate that fits no caller here, or two that differ, identifies nobody. What a caller
//! may do is not known here.

mod file;
mod index;
mod kinds;
mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostics;
use crate::document::Document;
use crate::identity::attribute::AttributeValue;

use index::Index;
pub(super) use index::{Found, FoundToken};
pub use kinds::KindRules;
pub use proof::{Actors, CertificateProof, ClaimProof, Proof, Terms, TokenProof};

/// Everyone who may call.
#[derive(Debug, Clone)]
pub struct Callers {
    profiles: Vec<Arc<CallerProfile>>,
    index: Index,
    kinds: kinds::AllKinds,
}

/// What is known about one caller: an entry of `callers.yaml`.
#[derive(Clone)]
#[non_exhaustive]
pub struct CallerProfile {
    /// Its name in policies, logs and metrics.
    pub id: String,
    /// Its number in this set of callers: dense, from 0.
    pub index: usize,
    /// Machine or human, and of what sort.
    pub kind: Kind,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub description: String,
    /// The groups policies grant to, in the order written.
    pub groups: Vec<String>,
    /// Its rate plan.
    pub plan: String,
    /// What policies may compare with what is called ("facts").
    pub attributes: BTreeMap<String, AttributeValue>,
    /// How strictly what it is answered is held against the contract, if not as each operation says.
    pub answers: Option<AnswerChecks>,
    /// The day by which its access must have been reviewed.
    pub review_by: Date,
    /// By what it proves itself.
    pub proofs: Vec<Proof>,
}

/// How strictly the answers to one caller are held against the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerChecks {
    /// As the operation says, or stricter.
    AtLeast(AnswerCheck),
    /// As the operation says, or laxer.
    AtMost(AnswerCheck),
}

/// What happens to an answer that breaks the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AnswerCheck {
    /// It is withheld.
    Enforce,
    /// It is passed on and reported.
    Report,
    /// It is not looked at.
    Off,
}

/// Sorts of callers. Machines and persons never pass for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A system of another company.
    Partner,
    /// A system of our own.
    Service,
    /// A program that acts by itself, such as a nightly job.
    Bot,
    /// Human beings.
    Person,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Partner, Self::Service, Self::Bot, Self::Person];

    /// The word for it in files, policies and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Partner => "partner",
            Self::Service => "service",
            Self::Bot => "bot",
            Self::Person => "person",
        }
    }

    /// Whether no human being calls.
    #[must_use]
    pub const fn is_machine(self) -> bool {
        match self {
            Self::Partner | Self::Service | Self::Bot => true,
            Self::Person => false,
        }
    }
}

impl Callers {
    /// Reads `callers.yaml`. `issuers` are the names of the issuers in the configuration; an access whose
    /// review was due before `today` is a warning.
    ///
    /// # Errors
    /// Every mistake in the file: its form, unknown issuers, names of the wrong form, a proof that two
    /// callers share or that cannot tell a person from a machine.
    pub fn load(
        document: &Document,
        issuers: &[&str],
        today: Date,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let ((profiles, kinds), warnings) = file::read(document, issuers, today)?;
        let profiles: Vec<Arc<CallerProfile>> = profiles.into_iter().map(Arc::new).collect();
        let index = Index::new(&profiles);
        Ok((Self { profiles, index, kinds }, warnings))
    }

    /// What is asked of every caller of a kind, if anything is.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> Option<&KindRules> {
        self.kinds.get(&kind)
    }

    /// Every caller, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<CallerProfile>> {
        self.profiles.iter()
    }

    /// The caller of that name.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<CallerProfile>> {
        // The file is read into a sorted map, so the profiles stand in the order of their names.
        let at = self.profiles.binary_search_by(|profile| profile.id.as_str().cmp(id)).ok()?;
        self.profiles.get(at)
    }

    /// The names of all groups.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<&str> {
        self.profiles.iter().flat_map(|profile| profile.groups.iter().map(String::as_str)).collect()
    }

    /// The JSON Schema of the file, for editors.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        file::schema()
    }

    pub(super) const fn index(&self) -> &Index {
        &self.index
    }
}

// Owners and facts may be personal; the name is enough to find the rest.
impl fmt::Debug for CallerProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerProfile")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const FILE: &str = "callers:
  zeta: {kind: bot, owner: o, description: d, plan: p, groups: [b, a], review_by: 2027-01-01, proofs: [{certificate: {dns: z}}]}
  acme: {kind: partner, owner: o@x, description: d, plan: p, groups: [a], review_by: 2027-01-01, proofs: [{token: {issuer: retail, client_id: acme}}]}
";

    fn callers() -> Callers {
        let document = Document::parse("callers.yaml", FILE).unwrap();
        Callers::load(&document, &["retail"], date(2026, 11, 23)).unwrap().0
    }

    #[test]
    fn callers_are_found_by_name_and_numbered_densely() {
        let callers = callers();
        let listed: Vec<(&str, usize)> = callers.iter().map(|c| (c.id.as_str(), c.index)).collect();
        assert_eq!(listed, [("acme", 0), ("zeta", 1)]);
        for (id, index) in [("acme", Some(0)), ("zeta", Some(1)), ("beta", None), ("", None)] {
            assert_eq!(callers.by_id(id).map(|profile| profile.index), index, "{id}");
        }
        assert_eq!(callers.groups().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn debug_shows_no_owner() {
        assert!(!format!("{:?}", callers().by_id("acme").unwrap()).contains("o@x"));
    }

    #[test]
    fn the_schema_is_that_of_the_file() {
        let schema = Callers::schema();
        assert!(schema.pointer("/properties/callers").is_some(), "{schema}");
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn machines_are_all_but_persons() {
        let machines: Vec<&str> =
            Kind::ALL.into_iter().filter(|k| k.is_machine()).map(Kind::as_str).collect();
        assert_eq!(machines, ["partner", "service", "bot"]);
    }
}
