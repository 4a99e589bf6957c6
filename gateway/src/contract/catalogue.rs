//! Which operations exist, and which of them does a request mean?
//!
//! All contracts of a folder, compiled together or not at all.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::Method;

use super::load::{self, Missing};
use super::operation::{Contract, Operation};
use super::parameter::PathValue;
use super::route::{Found, Routes};
use super::target::Target;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// Every live contract, compiled.
pub struct Catalogue {
    contracts: Vec<Arc<Contract>>,
    operations: Vec<Arc<Operation>>,
    /// The routes under each base path.
    bases: HashMap<String, Routes>,
    /// How many segments the longest base path has.
    deepest: usize,
}

/// Proof that a contract has an operation for a request's method and path.
#[derive(Debug, Clone)]
pub struct Matched {
    operation: Arc<Operation>,
    values: Vec<PathValue>,
}

/// Why no operation was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// Nothing stands at the path.
    #[error("no operation has this path")]
    Path,
    /// Something stands there, but not with this method.
    #[error("no operation at this path has this method")]
    Method {
        /// The methods that would work, sorted.
        allow: Vec<Method>,
    },
}

impl Matched {
    /// The operation.
    #[must_use]
    pub const fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// The path parameters' names and decoded values, in the order of the path.
    pub fn path_values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|value| (&*value.name, value.decoded.as_str()))
    }

    pub(super) fn values(&self) -> &[PathValue] {
        &self.values
    }
}

impl Catalogue {
    /// Loads `<root>/<api>/<version>/openapi.yaml` (or `openapi.json`) for every API and version.
    ///
    /// # Errors
    /// All mistakes in all contracts. When there are none, warnings come with the catalogue.
    pub fn load(root: &Path) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::load_with(root, Missing::Refuse)
    }

    /// The same, with a say in what happens to contracts that leave out what only the gateway asks for.
    pub(super) fn load_with(root: &Path, missing: Missing) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let mut catalogue =
            Self { contracts: Vec::new(), operations: Vec::new(), bases: HashMap::new(), deepest: 0 };
        let root_name = root.file_name().and_then(|name| name.to_str()).unwrap_or("contracts");
        for api in mistakes.keep(folders(root, root_name)).unwrap_or_default() {
            let name = format!("{root_name}/{api}");
            for version in mistakes.keep(folders(&root.join(&api), &name)).unwrap_or_default() {
                let first = catalogue.operations.len();
                let loaded =
                    load::load(&root.join(&api).join(&version), root_name, &api, &version, first, missing);
                if let Some((loaded, warnings)) = mistakes.keep(loaded) {
                    mistakes.extend(warnings);
                    catalogue.add(loaded, root_name, &mut mistakes);
                }
            }
        }
        mistakes.into_result(Some(catalogue))
    }

    fn add(&mut self, loaded: load::Loaded, root_name: &str, mistakes: &mut Diagnostics) {
        let load::Loaded { contract, operations, routes } = loaded;
        let base = contract.base_path.clone();
        self.deepest = self.deepest.max(base.matches('/').count());
        if self.bases.insert(base.clone(), routes).is_some() {
            let earlier = self.contracts.iter().find(|earlier| earlier.base_path == base);
            let earlier = earlier.map(|c| format!("{}/{}", c.api, c.version)).unwrap_or_default();
            let file = format!("{root_name}/{}/{}", contract.api, contract.version);
            let told = format!("the base path `{base}` is that of the contract `{earlier}` too");
            let told = Diagnostic::error(Place::file(&file), told);
            mistakes.push(told.help("give each contract its own path in `servers`"));
        }
        self.contracts.push(contract);
        self.operations.extend(operations);
    }

    /// All contracts, by API and version.
    #[must_use]
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.contracts
    }

    /// All operations; [`Operation::index`] is the place in this slice.
    #[must_use]
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// The operations that `contract` describes.
    pub fn operations_of<'c>(
        &'c self,
        contract: &'c Arc<Contract>,
    ) -> impl Iterator<Item = &'c Arc<Operation>> {
        self.operations.iter().filter(move |operation| Arc::ptr_eq(&operation.contract, contract))
    }

    /// The operation that `method` and `target` mean.
    ///
    /// # Errors
    /// Nothing stands there, or nothing with this method.
    pub fn find(&self, method: &Method, target: &Target) -> Result<Matched, NoMatch> {
        let (routes, rest) = self.routes(target.path()).ok_or(NoMatch::Path)?;
        match routes.find(method, rest) {
            Found::Operation(operation, values) => Ok(Matched { operation, values }),
            Found::OtherMethods(allow) => Err(NoMatch::Method { allow }),
            Found::Nothing => Err(NoMatch::Path),
        }
    }

    /// The contract with the longest base path that `path` begins with, up to a slash, decides alone.
    fn routes<'p>(&self, path: &'p str) -> Option<(&Routes, &'p str)> {
        // No base path reaches further than this slash.
        let last =
            path.match_indices('/').nth(self.deepest).map_or(path.len(), |(at, _)| at.saturating_add(1));
        path.get(..last)?.rmatch_indices('/').find_map(|(at, _)| {
            let (base, rest) = path.split_at_checked(at)?;
            Some((self.bases.get(base)?, rest))
        })
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("operations", &self.operations).finish_non_exhaustive()
    }
}

/// The names of the folders in `folder`, sorted. They become parts of operation names.
fn folders(folder: &Path, name: &str) -> Result<Vec<String>, Diagnostics> {
    let fail = |message: String| Diagnostics::from(Diagnostic::error(Place::file(name), message));
    let entries = std::fs::read_dir(folder).map_err(|e| fail(format!("cannot be read: {}", e.kind())))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| fail(format!("cannot be read: {}", e.kind())))?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        // Files beside the folders (a lock file, a note) are not contracts.
        if file_name.starts_with('.') || !entry.path().is_dir() {
            continue;
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !file_name.bytes().all(plain) {
            return Err(fail(format!("the folder name `{file_name}` may hold a-z, 0-9, `-` and `_` only")));
        }
        names.push(file_name);
    }
    names.sort_unstable();
    Ok(names)
}
