//! Which operations exist, and which of them does a request mean?
//!
//! All contracts of a folder, compiled together or not at all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{HeaderMap, Method};
use jiff::Timestamp;

use super::choose::{Base, Live, NoVersion};
use super::cores::on_all_cores;
use super::load::{self, Loaded, Missing};
use super::operation::{Contract, Operation};
use super::parameter::PathValue;
use super::route::Found;
use super::source;
use super::target::Target;
use super::version::Selector;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// Every live contract, compiled.
#[derive(Default)]
pub struct Catalogue {
    contracts: Vec<Arc<Contract>>,
    operations: Vec<Arc<Operation>>,
    loaded: Vec<Arc<Loaded>>,
    /// The versions under each base path.
    bases: HashMap<String, Base>,
    /// How many segments the longest base path has.
    deepest: usize,
}

/// The version that a request means.
#[derive(Clone, Copy)]
pub struct Chosen<'c> {
    live: &'c Live,
    base: &'c Base,
    /// How long its base path is.
    path: usize,
}

/// A folder that holds one version of an API.
struct Folder {
    api: String,
    version: String,
}

/// Proof that a contract has an operation for a request's method and path.
#[derive(Debug, Clone)]
pub struct Matched {
    operation: Arc<Operation>,
    index: usize,
    values: Vec<PathValue>,
}

/// Why no operation was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    /// Nothing stands at the path.
    #[error("no operation has this path")]
    Path,
    /// Something may stand there, but it is not clear in which version.
    #[error(transparent)]
    Version(NoVersion),
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

    /// The operation's place in [`Catalogue::operations`].
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
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
    /// Loads `<root>/<api>/<version>/openapi.yaml` (or `openapi.json`) for every API and version. Contracts whose
    /// files are those of `previous` are taken from there, compiled as they are.
    ///
    /// # Errors
    /// All mistakes in all contracts. When there are none, warnings come with the catalogue.
    pub fn load(root: &Path, previous: Option<&Self>) -> Result<(Self, Diagnostics), Diagnostics> {
        Self::load_with(root, previous, Missing::Refuse)
    }

    /// The same, with a say in what happens to contracts that leave out what only the gateway asks for.
    pub(super) fn load_with(
        root: &Path,
        previous: Option<&Self>,
        missing: Missing,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut mistakes = Diagnostics::new();
        let root_name = root.file_name().and_then(|name| name.to_str()).unwrap_or("contracts");
        let folders = version_folders(root, root_name, &mut mistakes);
        let load = |folder: &Folder| {
            let unchanged = previous.and_then(|previous| previous.unchanged(root, folder));
            let anew = || {
                let Folder { api, version } = folder;
                load::load(&root.join(api).join(version), root_name, api, version, missing).map(Arc::new)
            };
            unchanged.map_or_else(anew, Ok)
        };
        let mut catalogue = Self::default();
        for (folder, loaded) in folders.iter().zip(load_all(&folders, load)) {
            let Some(loaded) = loaded else {
                let place = Place::file(&format!("{root_name}/{}/{}", folder.api, folder.version));
                mistakes
                    .push(Diagnostic::error(place, "the contract was not read, for no reason that is known"));
                continue;
            };
            if let Some(loaded) = mistakes.keep(loaded) {
                mistakes.extend(loaded.warnings.clone());
                catalogue.add(loaded, &mut mistakes);
            }
        }
        catalogue.check_defaults(&mut mistakes);
        if catalogue.contracts.is_empty() && !mistakes.has_errors() {
            mistakes.push(Diagnostic::warning(Place::file(root_name), "the folder holds no contract"));
        }
        mistakes.into_result(Some(catalogue))
    }

    /// The contract of `folder`, if its files are still those it was read from.
    fn unchanged(&self, root: &Path, folder: &Folder) -> Option<Arc<Loaded>> {
        let Folder { api, version } = folder;
        let named =
            |loaded: &&Arc<Loaded>| loaded.contract.api == *api && loaded.contract.version == *version;
        let loaded = self.loaded.iter().find(named)?;
        let digest = source::digest_now(&root.join(api).join(version), &loaded.files)?;
        (digest == loaded.contract.digest).then(|| Arc::clone(loaded))
    }

    fn add(&mut self, loaded: Arc<Loaded>, mistakes: &mut Diagnostics) {
        let contract = Arc::clone(&loaded.contract);
        self.deepest = self.deepest.max(contract.base_path.matches('/').count());
        let sibling = self.contracts.iter().find(|earlier| earlier.api == contract.api);
        if let Some(mistake) = sibling.and_then(|sibling| disagreement(sibling, &contract)) {
            mistakes.push(mistake);
        }
        let live = Live { loaded: Arc::clone(&loaded), first: self.operations.len() };
        match self.bases.entry(contract.base_path.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(Base::new(live));
            }
            Entry::Occupied(mut entry) => {
                if let Some(mistake) = clash(entry.get(), &contract) {
                    mistakes.push(mistake);
                }
                entry.get_mut().add(live);
            }
        }
        self.contracts.push(contract);
        self.operations.extend(loaded.operations.iter().cloned());
        self.loaded.push(loaded);
    }

    /// A default is one of the versions that there are.
    fn check_defaults(&self, mistakes: &mut Diagnostics) {
        for contract in &self.contracts {
            let Some(default) = &contract.versioning.default else { continue };
            let siblings = self.contracts.iter().filter(|other| other.api == contract.api);
            let names: Vec<&str> = siblings.map(|other| other.versioning.name()).collect();
            if !names.contains(&default.as_str()) {
                let place = contract.place.clone();
                let told = format!("the default version `{default}` is not one that there is");
                mistakes.push(Diagnostic::error(place, told).did_you_mean(default, names));
            }
        }
    }

    /// All contracts, by API and version.
    #[must_use]
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.contracts
    }

    /// All operations; [`Matched::index`] is the place in this slice.
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

    /// The version that a request means, by its path and what its head says.
    ///
    /// # Errors
    /// No contract has the path, or it is not clear which version is meant.
    pub fn choose(
        &self,
        target: &Target,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<Chosen<'_>, NoMatch> {
        let (base, path) = self.base(target.path()).ok_or(NoMatch::Path)?;
        let live = base.choose(target, headers, now).map_err(NoMatch::Version)?;
        Ok(Chosen { live, base, path })
    }

    /// The base path that reaches furthest into `path`, and how long it is.
    fn base(&self, path: &str) -> Option<(&Base, usize)> {
        // No base path reaches further than this slash.
        let last =
            path.match_indices('/').nth(self.deepest).map_or(path.len(), |(at, _)| at.saturating_add(1));
        path.get(..last)?.rmatch_indices('/').find_map(|(at, _)| {
            let (base, _) = path.split_at_checked(at)?;
            Some((self.bases.get(base)?, at))
        })
    }
}

impl Chosen<'_> {
    /// The contract of the version.
    #[must_use]
    pub fn contract(&self) -> &Arc<Contract> {
        &self.live.loaded.contract
    }

    /// The target without what only chose the version: it is no parameter of any operation, and is not
    /// sent on. Header fields that chose it stay.
    #[must_use]
    pub fn strip(&self, target: Target) -> Target {
        match self.base.query_parameter() {
            Some(name) => target.without(name),
            None => target,
        }
    }

    /// The operation that `method` and `target` mean.
    ///
    /// # Errors
    /// Nothing stands there, or nothing with this method.
    pub fn find(&self, method: &Method, target: &Target) -> Result<Matched, NoMatch> {
        let path = target.path().get(self.path..).ok_or(NoMatch::Path)?;
        match self.live.loaded.routes.find(method, path) {
            Found::Operation(operation, values) => {
                let index = self.live.first.saturating_add(operation.number);
                Ok(Matched { operation, index, values })
            }
            Found::OtherMethods(allow) => Err(NoMatch::Method { allow }),
            Found::Nothing => Err(NoMatch::Path),
        }
    }
}

/// Versions of an API are told apart in one way, or a caller could mean two at once.
fn disagreement(sibling: &Contract, contract: &Contract) -> Option<Diagnostic> {
    let place = contract.place.clone();
    if !sibling.versioning.agrees_with(&contract.versioning) {
        let told =
            format!("the versions of an API are chosen in one way, and {} says another", sibling.place);
        return Some(Diagnostic::error(place, told).help(
            "write the same `by`, `header`, `parameter` and `default` in `x-gateway.versioning` of all",
        ));
    }
    if contract.versioning.selector == Selector::Path || sibling.base_path == contract.base_path {
        return None;
    }
    let (own, other) = (&contract.base_path, &sibling.base_path);
    let told = format!("the base path `{own}` is not `{other}`, that of {}", sibling.place);
    Some(Diagnostic::error(place, told).help("versions that the path does not choose have one base path"))
}

/// Why `contract` cannot stand beside those that are under its base path already.
fn clash(base: &Base, contract: &Contract) -> Option<Diagnostic> {
    let earlier = base.contracts().next()?;
    let named = |earlier: &Contract| format!("{}/{}", earlier.api, earlier.version);
    let place = contract.place.clone();
    if base.is_by_path() || earlier.api != contract.api {
        let (own, other) = (&contract.base_path, named(earlier));
        let told = format!("the base path `{own}` is that of the contract `{other}` too");
        return Some(Diagnostic::error(place, told).help(
            "give each contract its own path in `servers`; versions of one API may share it where \
             `x-gateway.versioning` chooses them by something else",
        ));
    }
    let name = contract.versioning.name();
    let same = base.contracts().find(|earlier| earlier.versioning.name() == name)?;
    let told = format!("callers would call this version `{name}`, as the contract `{}`", named(same));
    Some(Diagnostic::error(place, told).help("give each version its own `x-gateway.versioning.name`"))
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("operations", &self.operations).finish_non_exhaustive()
    }
}

/// Loads every contract, the large ones beside each other, and gives them in the order of `folders`.
fn load_all<T: Send>(folders: &[Folder], load: impl Fn(&Folder) -> T + Sync) -> Vec<Option<T>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let number = next.fetch_add(1, Ordering::Relaxed)
            && let Some(folder) = folders.get(number)
        {
            done.push((number, load(folder)));
        }
        done
    };
    let mut all: Vec<Option<T>> = folders.iter().map(|_| None).collect();
    for (number, loaded) in on_all_cores(folders.len() > 1, work) {
        if let Some(place) = all.get_mut(number) {
            *place = Some(loaded);
        }
    }
    all
}

/// The folder of every version of every API, sorted.
fn version_folders(root: &Path, root_name: &str, mistakes: &mut Diagnostics) -> Vec<Folder> {
    let mut all = Vec::new();
    for api in mistakes.keep(folders(root, root_name)).unwrap_or_default() {
        let versions = folders(&root.join(&api), &format!("{root_name}/{api}"));
        let versions = mistakes.keep(versions).unwrap_or_default();
        all.extend(versions.into_iter().map(|version| Folder { api: api.clone(), version }));
    }
    all
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

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn operation(id: &str) -> String {
        format!("{{operationId: {id}, responses: {{'204': {{description: x}}}}}}")
    }

    fn with_parameter(id: &str, name: &str) -> String {
        format!(
            "{{operationId: {id}, responses: {{'204': {{description: x}}}}, parameters: [{{name: {name}, in: path, required: true, schema: {{type: string}}}}]}}"
        )
    }

    fn found(catalogue: &Catalogue, method: &str, path: &str) -> Result<String, NoMatch> {
        let target = Target::from_origin_form(path).unwrap();
        sample::find(catalogue, method, &target).map(|m| m.operation().name().to_owned())
    }

    #[test]
    fn the_most_specific_template_wins() {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /o/{{id}}: {{get: {}}}\n  /o/mine: {{get: {}}}\n  '/o/{{id}}.json': {{get: {}}}\n  '/o/{{id}}:cancel': {{post: {}}}\n  /o/: {{get: {}}}\n",
            with_parameter("one", "id"),
            operation("mine"),
            with_parameter("json", "id"),
            with_parameter("cancel", "id"),
            operation("slash"),
        ));
        for (method, path, name) in [
            ("GET", "/api/v1/o/7", "api.v1.one"),
            ("GET", "/api/v1/o/mine", "api.v1.mine"),
            ("GET", "/api/v1/o/7.json", "api.v1.json"),
            ("POST", "/api/v1/o/7:cancel", "api.v1.cancel"),
            ("HEAD", "/api/v1/o/7", "api.v1.one"),
            ("GET", "/api/v1/o/", "api.v1.slash"),
        ] {
            assert_eq!(found(&catalogue, method, path).as_deref(), Ok(name), "{method} {path}");
        }
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v1/o",
            "/api/v1/o/7/",
            "/api/v1/o/7;x=1",
            "/api/v10/o/7",
            "/o/7",
        ] {
            assert_eq!(found(&catalogue, "GET", path), Err(NoMatch::Path), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_would_work() {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /o: {{post: {}, get: {}}}\n  /x: {{options: {}}}\n",
            operation("create"),
            operation("list"),
            operation("options"),
        ));
        let allow = |methods: &[&str]| NoMatch::Method {
            allow: methods.iter().map(|m| m.parse().unwrap()).collect(),
        };
        for method in ["DELETE", "OPTIONS", "get", "TRACE", "CONNECT"] {
            assert_eq!(
                found(&catalogue, method, "/api/v1/o"),
                Err(allow(&["GET", "HEAD", "POST"])),
                "{method}"
            );
        }
        assert_eq!(found(&catalogue, "OPTIONS", "/api/v1/x").as_deref(), Ok("api.v1.options"));
        assert_eq!(found(&catalogue, "HEAD", "/api/v1/x"), Err(allow(&["OPTIONS"])));
    }

    #[test]
    fn path_values_are_decoded_once_and_named() {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /o/{{order id}}: {{get: {}}}\n",
            with_parameter("one", "order id")
        ));
        let target = Target::from_origin_form("/api/v1/o/a%20%C3%A9,b").unwrap();
        let matched = sample::find(&catalogue, "GET", &target).unwrap();
        assert_eq!(matched.path_values().collect::<Vec<_>>(), [("order id", "a é,b")]);
    }

    #[test]
    fn templates_that_differ_in_names_only_share_their_methods() {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /o/{{one}}: {{get: {}}}\n  /o/{{other}}: {{delete: {}}}\n",
            with_parameter("read", "one"),
            with_parameter("drop", "other"),
        ));
        let target = Target::from_origin_form("/api/v1/o/7").unwrap();
        for (method, name, parameter) in [
            ("GET", "api.v1.read", "one"),
            ("HEAD", "api.v1.read", "one"),
            ("DELETE", "api.v1.drop", "other"),
        ] {
            let matched = sample::find(&catalogue, method, &target).unwrap();
            assert_eq!(matched.operation().name(), name);
            assert_eq!(matched.path_values().collect::<Vec<_>>(), [(parameter, "7")]);
        }
        let allow = ["DELETE", "GET", "HEAD"].map(|method| method.parse().unwrap()).to_vec();
        assert_eq!(found(&catalogue, "PUT", "/api/v1/o/7"), Err(NoMatch::Method { allow }));
    }

    #[test]
    fn a_semicolon_is_a_path_only_for_matrix_parameters() {
        let matrix = "{operationId: m, responses: {'204': {description: x}}, parameters: [{name: p, in: path, required: true, style: matrix, schema: {type: string}}]}";
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /m/{{p}}: {{get: {matrix}}}\n  /s/{{p}}: {{get: {}}}\n",
            with_parameter("s", "p")
        ));
        assert!(found(&catalogue, "GET", "/api/v1/m/;p=1").is_ok());
        assert_eq!(found(&catalogue, "GET", "/api/v1/s/;p=1"), Err(NoMatch::Path));
        assert_eq!(found(&catalogue, "DELETE", "/api/v1/s/;p=1"), Err(NoMatch::Path));
    }

    fn at_base(base: &str, id: &str) -> String {
        let head = sample::HEAD.replace("https://api.example/api/v1", base);
        format!("openapi: 3.0.3{head}paths:\n  /a/{{x}}: {{get: {}}}\n", with_parameter(id, "x"))
    }

    #[test]
    fn the_longest_base_path_chooses_the_contract_alone() {
        let (catalogue, _) = sample::load(&[
            ("orders/v1/openapi.yaml", &at_base("/orders", "short")),
            ("orders/v2/openapi.yaml", &at_base("https://api.example/orders/v2/", "long")),
            ("root/v1/openapi.yaml", &at_base("/", "root")),
        ])
        .unwrap();
        assert_eq!(found(&catalogue, "GET", "/orders/a/1").as_deref(), Ok("orders.v1.short"));
        assert_eq!(found(&catalogue, "GET", "/orders/v2/a/1").as_deref(), Ok("orders.v2.long"));
        assert_eq!(found(&catalogue, "GET", "/a/1").as_deref(), Ok("root.v1.root"));
        // `/orders/a` is no base path; `/orders` is, and has nothing at `/v2/b/1`.
        assert_eq!(found(&catalogue, "GET", "/orders/v2/b/1"), Err(NoMatch::Path));
        assert_eq!(catalogue.contracts().len(), 3);
        for (place, operation) in catalogue.operations().iter().enumerate() {
            let target = Target::from_origin_form(&operation.template().replace("{x}", "1")).unwrap();
            assert_eq!(sample::find(&catalogue, "GET", &target).unwrap().index(), place);
        }
        let second = &catalogue.contracts()[1];
        let names: Vec<&str> = catalogue.operations_of(second).map(|operation| operation.name()).collect();
        assert_eq!(names, ["orders.v2.long"]);
        assert_eq!(catalogue.operations()[1].template(), "/orders/v2/a/{x}");
    }

    #[test]
    fn contracts_that_cannot_stand_beside_each_other_do_not_load() {
        let told = |files: &[(&str, &str)]| sample::load(files).unwrap_err().to_string();
        let one = at_base("/same", "one");
        assert!(
            told(&[("a/v1/openapi.yaml", &one), ("b/v1/openapi.yaml", &one)])
                .contains("that of the contract `a/v1` too")
        );
        assert!(told(&[("A/v1/openapi.yaml", &one)]).contains("folder name `A`"));
        assert!(told(&[("a/v1.2/openapi.yaml", &one)]).contains("folder name `v1.2`"));
        assert!(told(&[("a/v1/notes.md", "x")]).contains("no `openapi.yaml`"));
        assert!(Catalogue::load(Path::new("/nowhere/contracts"), None).is_err());
    }

    #[test]
    fn all_mistakes_of_all_contracts_are_told_at_once() {
        let told =
            sample::load(&[("a/v1/openapi.yaml", "openapi: 2.0"), ("b/v1/openapi.yaml", "{")]).unwrap_err();
        let files: Vec<&str> = told.iter().filter_map(|m| m.place()).map(Place::file_name).collect();
        assert_eq!(files, ["contracts/a/v1/openapi.yaml", "contracts/b/v1/openapi.yaml"]);
    }

    #[test]
    fn only_what_changed_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("contracts");
        let write = |version: &str, text: &str| {
            std::fs::create_dir_all(root.join("api").join(version)).unwrap();
            std::fs::write(root.join("api").join(version).join("openapi.yaml"), text).unwrap();
        };
        write("v1", &at_base("/one", "a"));
        write("v2", &at_base("/two", "b"));
        let (before, _) = Catalogue::load(&root, None).unwrap();
        write("v0", &at_base("/zero", "c"));
        write("v2", &at_base("/two", "changed"));
        let (after, _) = Catalogue::load(&root, Some(&before)).unwrap();
        let is_shared = |path: &str| {
            let target = Target::from_origin_form(path).unwrap();
            let of = |catalogue: &Catalogue| sample::find(catalogue, "GET", &target).unwrap();
            let (before, after) = (of(&before), of(&after));
            assert_eq!(after.index(), before.index() + 1, "another stands before it now");
            Arc::ptr_eq(before.operation(), after.operation())
        };
        assert!(is_shared("/one/a/1"));
        assert!(!is_shared("/two/a/1"));
        assert_eq!(found(&after, "GET", "/two/a/1").as_deref(), Ok("api.v2.changed"));
        // A second entry would not load, so it is not overlooked either.
        std::fs::write(root.join("api/v1/openapi.json"), "{}").unwrap();
        assert!(Catalogue::load(&root, Some(&after)).is_err());
    }
}
