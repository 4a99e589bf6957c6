//! A schema that was compiled, and how it asks others.

use std::sync::{Arc, OnceLock, Weak};

use jsonschema::paths::Location as SchemaPath;
use jsonschema::{Keyword, ValidationError, Validator};
use serde_json::{Map, Value};

use super::super::source::At;
use super::choice::Choices;

/// One schema of a contract, for one direction: named when a reference or an operation names it,
/// compiled when all of the contract is known.
pub(in super::super) struct Part {
    at: At,
    /// What violations call each file of the contract.
    names: Arc<[Box<str>]>,
    choices: OnceLock<Arc<Choices>>,
    compiled: OnceLock<Compiled>,
}

/// What a part is asked by.
pub(super) struct Compiled {
    pub(super) validator: Validator,
    /// The parts that it refers to, by the number of the reference, in order.
    pub(super) links: Box<[(usize, Link)]>,
}

/// A reference from a part to another.
#[derive(Clone)]
pub(super) enum Link {
    /// Keeps the other alive.
    Strong(Arc<Part>),
    /// Leads back to what keeps this part alive, so that a schema that contains itself can be dropped.
    Weak(Weak<Part>),
}

impl Part {
    pub(super) const fn new(at: At, names: Arc<[Box<str>]>) -> Self {
        Self { at, names, choices: OnceLock::new(), compiled: OnceLock::new() }
    }

    /// Whether `value` fits. A part that was never compiled is of a contract that did not load: nothing fits.
    pub(in super::super) fn accepts(&self, value: &Value) -> bool {
        self.compiled.get().is_some_and(|compiled| compiled.validator.is_valid(value))
    }

    /// The validator that `accepts` asks, for the errors that it can tell.
    pub(in super::super) fn validator(&self) -> Option<&Validator> {
        self.compiled.get().map(|compiled| &compiled.validator)
    }

    /// Where the schema stands.
    pub(in super::super) const fn at(&self) -> &At {
        &self.at
    }

    /// What violations call each file of the contract.
    pub(in super::super) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The `discriminator`s of the contract.
    pub(in super::super) fn choices(&self) -> Option<&Choices> {
        self.choices.get().map(Arc::as_ref)
    }

    /// The part that the reference of this number leads to.
    pub(in super::super) fn linked(&self, number: usize) -> Option<Arc<Self>> {
        let links = &self.compiled.get()?.links;
        let at = links.binary_search_by_key(&number, |(own, _)| *own).ok()?;
        links.get(at)?.1.part()
    }

    pub(super) fn knows(&self, choices: &Arc<Choices>) {
        // Once, by the one who compiles it.
        self.choices.get_or_init(|| Arc::clone(choices));
    }

    pub(super) fn is_compiled_as(&self, compiled: Compiled) {
        self.compiled.get_or_init(|| compiled);
    }
}

impl Link {
    fn part(&self) -> Option<Arc<Part>> {
        match self {
            Self::Strong(part) => Some(Arc::clone(part)),
            Self::Weak(part) => part.upgrade(),
        }
    }

    fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Strong(part) => part.accepts(value),
            Self::Weak(part) => part.upgrade().is_some_and(|part| part.accepts(value)),
        }
    }
}

/// The keyword that a reference becomes. Its value is the number of the reference.
pub(in super::super) const LINK: &str = "x-gateway-link";

/// The keyword [`LINK`].
pub(super) struct Linked {
    pub(super) number: usize,
    pub(super) link: Link,
}

impl<'i> Keyword<'i> for Linked {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        // Why it does not fit is asked of the part itself; the error only says of which.
        if self.link.accepts(value) { Ok(()) } else { Err(ValidationError::custom(self.number.to_string())) }
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        self.link.accepts(value)
    }
}

/// The keyword that stands for a property which may not be sent in this direction.
pub(super) fn hidden<'a>(
    _parent: &'a Map<String, Value>,
    _value: &'a Value,
    _path: SchemaPath,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    Ok(Box::new(Hidden))
}

struct Hidden;

impl<'i> Keyword<'i> for Hidden {
    fn validate(&self, _: &'i Value) -> Result<(), ValidationError<'i>> {
        Err(ValidationError::custom("hidden"))
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        false
    }
}
