//! Which operations exist, and which of them does a request mean?
//!
//! All contracts of a folder, compiled together or not at all.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;

use super::cores::on_all_cores;
use super::load::{self, Loaded, Missing};
use super::operation::{Contract, Operation};
use super::parameter::PathValue;
use super::route::Found;
use super::source;
use super::target::Target;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// Every live contract, compiled.
#[derive(Default)]
pub struct Catalogue {
    contracts: Vec<Arc<Contract>>,
    operations: Vec<Arc<Operation>>,
    live: Vec<Live>,
    /// Which contract serves each base path.
    bases: HashMap<String, usize>,
    /// How many segments the longest base path has.
    deepest: usize,
}

/// A contract among the others.
struct Live {
    loaded: Arc<Loaded>,
    /// The place of its first operation among those of all contracts.
    first: usize,
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
                catalogue.add(loaded, root_name, &mut mistakes);
            }
        }
        if catalogue.contracts.is_empty() && !mistakes.has_errors() {
            mistakes.push(Diagnostic::warning(Place::file(root_name), "the folder holds no contract"));
        }
        mistakes.into_result(Some(catalogue))
    }

    /// The contract of `folder`, if its files are still those it was read from.
    fn unchanged(&self, root: &Path, folder: &Folder) -> Option<Arc<Loaded>> {
        let Folder { api, version } = folder;
        let named =
            |live: &&Live| live.loaded.contract.api == *api && live.loaded.contract.version == *version;
        let loaded = &self.live.iter().find(named)?.loaded;
        let digest = source::digest_now(&root.join(api).join(version), &loaded.files)?;
        (digest == loaded.contract.digest).then(|| Arc::clone(loaded))
    }

    fn add(&mut self, loaded: Arc<Loaded>, root_name: &str, mistakes: &mut Diagnostics) {
        let contract = &loaded.contract;
        let base = contract.base_path.clone();
        self.deepest = self.deepest.max(base.matches('/').count());
        if let Some(earlier) = self.bases.insert(base.clone(), self.live.len()) {
            let earlier = self.contracts.get(earlier).map(|c| format!("{}/{}", c.api, c.version));
            let file = format!("{root_name}/{}/{}", contract.api, contract.version);
            let told = format!(
                "the base path `{base}` is that of the contract `{}` too",
                earlier.unwrap_or_default()
            );
            let told = Diagnostic::error(Place::file(&file), told);
            mistakes.push(told.help("give each contract its own path in `servers`"));
        }
        self.contracts.push(Arc::clone(contract));
        let first = self.operations.len();
        self.operations.extend(loaded.operations.iter().cloned());
        self.live.push(Live { loaded, first });
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

    /// The operation that `method` and `target` mean.
    ///
    /// # Errors
    /// Nothing stands there, or nothing with this method.
    pub fn find(&self, method: &Method, target: &Target) -> Result<Matched, NoMatch> {
        let (live, rest) = self.under(target.path()).ok_or(NoMatch::Path)?;
        match live.loaded.routes.find(method, rest) {
            Found::Operation(operation, values) => {
                let index = live.first.saturating_add(operation.number);
                Ok(Matched { operation, index, values })
            }
            Found::OtherMethods(allow) => Err(NoMatch::Method { allow }),
            Found::Nothing => Err(NoMatch::Path),
        }
    }

    /// The contract with the longest base path that `path` begins with, up to a slash, decides alone.
    fn under<'p>(&self, path: &'p str) -> Option<(&Live, &'p str)> {
        // No base path reaches further than this slash.
        let last =
            path.match_indices('/').nth(self.deepest).map_or(path.len(), |(at, _)| at.saturating_add(1));
        path.get(..last)?.rmatch_indices('/').find_map(|(at, _)| {
            let (base, rest) = path.split_at_checked(at)?;
            Some((self.live.get(*self.bases.get(base)?)?, rest))
        })
    }
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
        catalogue.find(&method.parse().unwrap(), &target).map(|m| m.operation().name().to_owned())
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
        let matched = catalogue.find(&Method::GET, &target).unwrap();
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
            let matched = catalogue.find(&method.parse().unwrap(), &target).unwrap();
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
            assert_eq!(catalogue.find(&Method::GET, &target).unwrap().index(), place);
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
            let of = |catalogue: &Catalogue| catalogue.find(&Method::GET, &target).unwrap();
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
