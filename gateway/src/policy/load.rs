//! From files and facts to policies that can be asked, or to every mistake at once.

use std::path::Path;
use std::str::FromStr;

use cedar_policy::{Authorizer, Entities, Schema};

use super::annotations::{self, Named};
use super::authorise::{KnownCaller, KnownOperation, Policies};
use super::facts::{CallerFacts, OperationFacts, ValueType};
use super::slice::Slices;
use super::vocabulary::{ANONYMOUS, NOBODY, Unbuildable, Vocabulary, uid};
use super::{check, depth, entities, schema, source};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

impl Policies {
    /// Reads the `*.cedar` files below `directory` and checks them against the callers, the operations and
    /// the `claims` of tokens that policies may use. The indices of `callers` and `operations` are those
    /// that [`Policies::authorise`] takes.
    ///
    /// # Errors
    /// Every mistake found, when one of them is more than a warning.
    pub fn load(
        directory: &Path,
        callers: &[CallerFacts],
        operations: &[OperationFacts],
        claims: &[(String, ValueType)],
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let facts = Facts { callers, operations, claims };
        let policies = depth::with_room(|| Self::read(directory, &facts, &mut found));
        in_order(found).into_result(policies)
    }

    fn read(directory: &Path, facts: &Facts<'_>, found: &mut Diagnostics) -> Option<Self> {
        let Facts { callers, operations, claims } = *facts;
        let vocabulary = found.keep(Vocabulary::new(callers, operations));
        let named = annotations::name(source::read(directory, found), found);
        let place = Place::file(&directory.display().to_string());
        if named.is_empty() && !found.has_errors() {
            let none = Diagnostic::warning(place.clone(), "holds no policy, so everything is refused");
            found.push(none.help("what a `permit` in a `*.cedar` file allows is allowed, and nothing else"));
        }
        let vocabulary = vocabulary?;
        let text = schema::write(&vocabulary, operations, claims);
        let broken = |e: Unbuildable| {
            let said = format!("the names that policies use cannot be declared: {e}");
            Diagnostics::from(Diagnostic::error(place.clone(), said))
        };
        let declared = declare(&text, callers, operations).map_err(broken);
        let (schema, entities) = found.keep(declared)?;
        check::check(&named, &vocabulary, operations, schema, found);
        if found.has_errors() {
            return None;
        }
        found.keep(compile(named, facts, entities, text).map_err(broken))
    }

    /// What policies may name, in Cedar's schema language, for editors.
    #[must_use]
    pub fn cedar_schema(&self) -> &str {
        &self.schema
    }
}

struct Facts<'a> {
    callers: &'a [CallerFacts],
    operations: &'a [OperationFacts],
    claims: &'a [(String, ValueType)],
}

/// What is wrong with the policies below `directory` by themselves, when callers or contracts are broken
/// and nothing can be said of the names that they use.
#[must_use]
pub fn read_alone(directory: &Path) -> Diagnostics {
    let mut found = Diagnostics::new();
    depth::with_room(|| annotations::name(source::read(directory, &mut found), &mut found));
    in_order(found)
}

/// Mistakes as somebody reads files: one after the other, from the top.
fn in_order(found: Diagnostics) -> Diagnostics {
    let mut all: Vec<Diagnostic> = found.into_iter().collect();
    let key = |place: &Place| (place.file_name().to_owned(), place.line(), place.column());
    all.sort_by_cached_key(|mistake| mistake.place().map(key));
    let mut ordered = Diagnostics::new();
    all.into_iter().for_each(|mistake| ordered.push(mistake));
    ordered
}

fn declare(
    text: &str,
    callers: &[CallerFacts],
    operations: &[OperationFacts],
) -> Result<(Schema, Entities), Unbuildable> {
    let schema = Schema::from_str(text)?;
    let entities = entities::build(callers, operations, &schema)?;
    Ok((schema, entities))
}

fn compile(
    named: Vec<Named>,
    facts: &Facts<'_>,
    entities: Entities,
    schema: String,
) -> Result<Policies, Unbuildable> {
    let Facts { callers, operations, claims } = *facts;
    Ok(Policies {
        by_id: named.iter().enumerate().map(|(n, named)| (named.id.clone(), n)).collect(),
        slices: Slices::new(&named, callers, operations),
        policies: named,
        callers: callers.iter().map(KnownCaller::new).collect::<Result<_, _>>()?,
        anonymous: uid(ANONYMOUS, NOBODY)?,
        operations: operations.iter().map(KnownOperation::new).collect::<Result<_, _>>()?,
        claims: claims.to_vec(),
        entities,
        schema,
        authorizer: Authorizer::new(),
    })
}
