//! From the files of one contract to its operations, compiled. All mistakes at once.
//!
//! What a contract asks for and nothing here enforces is a mistake or a warning, never silence.

mod body;
mod fields;
mod operation;
mod parameter;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::{Method, Uri};
use serde_json::Value;

use super::keyword::Dialect;
use super::lifecycle::Lifecycle;
use super::operation::{Contract, Operation};
use super::route::{Routes, Template};
use super::schemas::{DIALECTS, Schemas};
use super::settings::WrittenSettings;
use super::source::{At, Source};
use super::target::Target;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A contract, compiled.
pub(super) struct Loaded {
    pub(super) contract: Arc<Contract>,
    pub(super) operations: Vec<Arc<Operation>>,
    pub(super) routes: Routes,
}

/// What happens to a contract that leaves out what only the gateway asks for: `security`,
/// `operationId`, an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It does not load.
    Refuse,
    /// Something harmless is assumed, to load contracts that know nothing of the gateway.
    #[cfg(test)]
    Assume,
}

/// What the parts of a contract need while they are read.
struct Reader<'s> {
    source: &'s Source,
    schemas: Schemas<'s>,
    missing: Missing,
    mistakes: Diagnostics,
    /// `x-gateway` of the document: the defaults of its operations.
    defaults: WrittenSettings,
    /// Where each `operationId` stands.
    operation_ids: BTreeMap<String, At>,
}

/// Loads the contract in `folder`; its operations are numbered from `first` on.
pub(super) fn load(
    folder: &Path,
    root_name: &str,
    api: &str,
    version: &str,
    first: usize,
    missing: Missing,
) -> Result<(Loaded, Diagnostics), Diagnostics> {
    let source = Source::read(folder, &format!("{root_name}/{api}/{version}"))?;
    let dialect = dialect(&source)?;
    let mut reader = Reader {
        source: &source,
        schemas: Schemas::new(&source, dialect),
        missing,
        mistakes: Diagnostics::new(),
        defaults: WrittenSettings::default(),
        operation_ids: BTreeMap::new(),
    };
    let contract = reader.contract(api, version);
    let loaded = reader.operations(&contract, first);
    let Reader { schemas, mut mistakes, .. } = reader;
    mistakes.extend(schemas.into_mistakes());
    mistakes.into_result(Some(loaded))
}

fn dialect(source: &Source) -> Result<Dialect, Diagnostics> {
    let at = source.root().key("openapi");
    let written = source.value(&at).and_then(Value::as_str).unwrap_or_default();
    let mut numbers = written.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(3), Some(0)) => Ok(Dialect::V30),
        (Some(3), Some(1)) => Ok(Dialect::V31),
        _ => {
            let told = source.error(&at, "`openapi` must say a version that is served: 3.0 or 3.1");
            Err(told.help("for example `openapi: 3.1.1`").into())
        }
    }
}

impl Reader<'_> {
    fn contract(&mut self, api: &str, version: &str) -> Arc<Contract> {
        let root = self.source.root();
        self.check_fields(&root, fields::DOCUMENT);
        self.check_json_schema_dialect(&root.key("jsonSchemaDialect"));
        if self.source.member(&root, "webhooks").is_some() {
            let at = root.key("webhooks");
            self.mistakes.push(self.source.warning(&at, "webhooks are described but not served"));
        }
        let settings = root.key("x-gateway");
        if self.source.value(&settings).is_some() {
            self.defaults = self.mistakes.keep(self.source.part(&settings)).unwrap_or_default();
        }
        let written = self.defaults.lifecycle.take();
        let lifecycle = written.and_then(|written| self.lifecycle(&settings.key("lifecycle"), written));
        let title = root.key("info").key("title");
        Arc::new(Contract {
            api: api.to_owned(),
            version: version.to_owned(),
            title: self.source.value(&title).and_then(Value::as_str).unwrap_or(api).to_owned(),
            base_path: self.base_path(&root.key("servers")),
            digest: self.source.digest().to_owned(),
            lifecycle: lifecycle.unwrap_or_default(),
        })
    }

    fn check_json_schema_dialect(&mut self, at: &At) {
        let dialect = self.source.value(at).map(|value| value.as_str().unwrap_or_default());
        if let Some(dialect) = dialect.filter(|dialect| !DIALECTS.contains(dialect)) {
            let told = format!("the dialect `{dialect}` is not supported");
            self.mistakes.push(self.source.error(at, told));
        }
    }

    fn lifecycle(&mut self, at: &At, written: super::lifecycle::WrittenLifecycle) -> Option<Lifecycle> {
        match Lifecycle::try_from(written) {
            Ok(lifecycle) => Some(lifecycle),
            Err(wrong) => {
                self.mistakes.push(self.source.error(at, wrong.to_string()));
                None
            }
        }
    }

    /// The path that all servers have in common, without a slash at its end.
    fn base_path(&mut self, at: &At) -> String {
        let servers = self.source.value(at).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut base: Option<String> = None;
        for (n, server) in servers.iter().enumerate() {
            let at = at.item(n).key("url");
            let url = server.get("url").and_then(Value::as_str).unwrap_or_default();
            match (path_of_server(url), &base) {
                (Some(path), None) => base = Some(path),
                (Some(path), Some(first)) if path != *first => {
                    let told = format!("this server's path `{path}` is not that of the first, `{first}`");
                    self.mistakes.push(self.source.error(&at, told));
                }
                (Some(_), Some(_)) => {}
                (None, _) => {
                    let told = "the path of a server is a plain path without variables, such as `/orders/v2`";
                    self.mistakes.push(self.source.error(&at, told));
                }
            }
        }
        base.unwrap_or_default()
    }

    fn operations(&mut self, contract: &Arc<Contract>, first: usize) -> Loaded {
        let source = self.source;
        let paths = source.root().key("paths");
        let mut operations = Vec::new();
        let mut routes = Routes::default();
        let templates = source.value(&paths).and_then(Value::as_object);
        for text in templates.into_iter().flat_map(|all| all.keys()).filter(|text| !text.starts_with("x-")) {
            let written = paths.key(text);
            let template = match Template::parse(text) {
                Ok(template) => template,
                Err(wrong) => {
                    let told = format!("`{text}` cannot be served: {wrong}");
                    self.mistakes.push(Diagnostic::error(source.key_place(&written), told));
                    continue;
                }
            };
            let next = first.saturating_add(operations.len());
            let here = self.path_item(&written, text, &template, contract, next);
            operations.extend(here.iter().cloned());
            if let Err(why) = routes.insert(&template, here) {
                let told = format!("`{text}` cannot be served: {why}");
                self.mistakes.push(Diagnostic::error(source.key_place(&written), told));
            }
        }
        if operations.is_empty() && !self.mistakes.has_errors() {
            self.mistakes.push(source.warning(&paths, "the contract describes no operation"));
        }
        Loaded { contract: Arc::clone(contract), operations, routes }
    }

    fn path_item(
        &mut self,
        written: &At,
        text: &str,
        template: &Template,
        contract: &Arc<Contract>,
        first: usize,
    ) -> Vec<Arc<Operation>> {
        let Some(item) = self.follow(written) else { return Vec::new() };
        self.check_fields(&item, fields::PATH_ITEM);
        self.refuse_servers(&item);
        let mut operations = Vec::new();
        for (word, method) in METHODS {
            let at = item.key(word);
            if self.source.value(&at).is_none() {
                continue;
            }
            if method == Method::TRACE {
                // RFC 9110 section 9.3.8: TRACE echoes the request, credentials and all.
                self.mistakes.push(self.source.error(&at, "TRACE is never served"));
                continue;
            }
            let index = first.saturating_add(operations.len());
            let place = operation::Described { at, item: &item, method, path: text, template, index };
            operations.extend(self.operation(&place, contract).map(Arc::new));
        }
        operations
    }

    fn refuse_servers(&mut self, at: &At) {
        if self.source.member(at, "servers").is_some() {
            let at = at.key("servers");
            let told = self.source.error(&at, "`servers` of a path or operation cannot be followed");
            self.mistakes.push(told.help("name the upstream in `x-gateway`"));
        }
    }

    /// What a value or its reference leads to.
    fn follow(&mut self, at: &At) -> Option<At> {
        match self.source.follow(at.clone()) {
            Ok(at) => Some(at),
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }

    /// Tells which keys of the object at `at` have no meaning there.
    fn check_fields(&mut self, at: &At, known: &[&str]) {
        let Some(members) = self.source.value(at).and_then(Value::as_object) else {
            self.mistakes.push(self.source.error(at, "a mapping is wanted here"));
            return;
        };
        for key in members.keys().filter(|key| !known.contains(&key.as_str())) {
            // Extensions of other tools are none of our business; one that looks like ours is.
            let ours = key.starts_with("x-gateway") || key.starts_with("x-gatway");
            if key.starts_with("x-") && !ours {
                continue;
            }
            let told = Diagnostic::error(self.source.key_place(&at.key(key)), format!("unknown key `{key}`"));
            self.mistakes.push(told.did_you_mean(key, known.iter().copied()));
        }
    }

    /// The text at `key` of the object at `at`.
    fn text(&self, at: &At, key: &str) -> Option<&str> {
        self.source.member(at, key).and_then(Value::as_str)
    }

    /// The truth value at `key`; anything else there is a mistake, because it would be read as "no".
    fn flag(&mut self, at: &At, key: &str, default: bool) -> bool {
        match self.source.member(at, key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                let at = at.key(key);
                self.mistakes.push(self.source.error(&at, format!("`{key}` is true or false")));
                default
            }
        }
    }

    /// The keys of the mapping at `at`, if there is one.
    fn keys(&self, at: &At) -> Vec<String> {
        let members = self.source.value(at).and_then(Value::as_object);
        members.into_iter().flat_map(|members| members.keys()).cloned().collect()
    }
}

/// `https://api.example/orders/v2/` and `/orders/v2` are `/orders/v2`; `/` is the empty path.
fn path_of_server(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}")),
        None => url.to_owned(),
    };
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Some(String::new());
    }
    let plain = !path.contains(['{', '}', '?', ';']) && path.parse::<Uri>().is_ok();
    (plain && Target::from_origin_form(path).is_ok()).then(|| path.to_owned())
}

const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("trace", Method::TRACE),
];
