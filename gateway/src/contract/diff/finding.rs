//! One difference between two schemas or objects, before it is told where in the API it is.

use super::super::source::At;
use super::report::Level;
use super::schema::Sense;

/// A difference. `{}` in the text stands for what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: &'static str,
    pub(super) level: Level,
    pub(super) old: Option<At>,
    pub(super) new: Option<At>,
    pub(super) text: String,
    /// The property that came, went or changed, where the text is about the object around it.
    pub(super) property: Option<String>,
}

/// What a difference does to the set of allowed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Less is allowed.
    Narrower,
    /// More is allowed.
    Wider,
    /// Something else is allowed.
    Other,
    /// It could not be decided.
    Undecided,
    /// A judgement that does not depend on the direction.
    Is(Level),
}

impl Effect {
    pub(super) const fn level(self, sense: Sense) -> Level {
        match (self, sense) {
            (Self::Is(level), _) => level,
            (Self::Undecided, _) => Level::PossiblyBreaking,
            (Self::Narrower, Sense::OldInNew) | (Self::Wider, Sense::NewInOld) | (Self::Other, _) => {
                Level::Breaking
            }
            (Self::Narrower, Sense::NewInOld) | (Self::Wider, Sense::OldInNew) => Level::Compatible,
        }
    }
}

impl Finding {
    /// The comparison stops here.
    pub(super) fn too_large(old: Option<At>, new: Option<At>) -> Self {
        Self {
            rule: "schema-too-large",
            level: Level::PossiblyBreaking,
            old,
            new,
            text: "the schema of {} is too large to be compared, so whether it changed is undecided"
                .to_owned(),
            property: None,
        }
    }
}
