//! From the files of one contract to its operations, compiled. All mistakes at once.
//!
//! What a contract asks for and nothing here enforces is a mistake or a warning, never silence.

mod body;
mod fields;
#[cfg(test)]
mod objects;
mod operation;
mod parameter;
mod uses;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::{Method, Uri};
use serde_json::Value;

use super::keyword::Dialect;
use super::lifecycle::{Lifecycle, WrittenLifecycle};
use super::media::MediaRange;
use super::operation::{Contract, Operation};
use super::route::{Routes, Template};
use super::schemas::{Engine, Schemas};
use super::settings::WrittenSettings;
use super::shape::Shapes;
use super::source::{At, Source};
use super::target::Target;
use super::version::{Versioning, WrittenVersioning};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// A contract, compiled. It knows nothing of those beside it, so that it serves on when they change.
pub(super) struct Loaded {
    pub(super) contract: Arc<Contract>,
    pub(super) operations: Vec<Arc<Operation>>,
    pub(super) routes: Routes,
    pub(super) warnings: Diagnostics,
    /// The files that it was read from.
    pub(super) files: Vec<String>,
}

/// What happens to a contract that leaves out what only the gateway asks for: `security`,
/// an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It does not load.
    Refuse,
    /// Something harmless is assumed, to look at documents that know nothing of the gateway.
    Assume,
}

/// What the parts of a contract need while they are read.
struct Reader<'s> {
    source: &'s Source,
    schemas: Schemas<'s>,
    shapes: Shapes<'s>,
    missing: Missing,
    mistakes: Diagnostics,
    /// `x-gateway` of the document: the defaults of its operations.
    defaults: WrittenSettings,
    /// The media types that the operation being read takes unchecked.
    unchecked: Vec<MediaRange>,
    /// Where each `operationId` stands.
    operation_ids: BTreeMap<String, At>,
    marking: uses::Marking,
}

/// Loads the contract in `folder`.
pub(super) fn load(
    folder: &Path,
    root_name: &str,
    api: &str,
    version: &str,
    missing: Missing,
) -> Result<Loaded, Diagnostics> {
    let source = Source::read(folder, &format!("{root_name}/{api}/{version}"))?;
    read(&source, api, version, missing)
}

/// The same from files that were read before.
pub(super) fn read(
    source: &Source,
    api: &str,
    version: &str,
    missing: Missing,
) -> Result<Loaded, Diagnostics> {
    let dialect = dialect(source)?;
    let mut reader = Reader {
        source,
        schemas: Schemas::new(source, dialect, engine(source)),
        shapes: Shapes::new(source),
        missing,
        mistakes: Diagnostics::new(),
        defaults: WrittenSettings::default(),
        unchecked: Vec::new(),
        operation_ids: BTreeMap::new(),
        marking: uses::Marking::new(source, dialect),
    };
    let contract = reader.contract(api, version);
    let (operations, routes) = reader.operations(&contract);
    let Reader { schemas, mut mistakes, marking, .. } = reader;
    marking.finish();
    mistakes.extend(schemas.finish());
    let ((), warnings) = mistakes.summed_up().into_result(Some(()))?;
    Ok(Loaded { contract, operations, routes, warnings, files: source.file_names() })
}

/// The dialect of the contract's schemas.
pub(super) fn dialect(source: &Source) -> Result<Dialect, Diagnostics> {
    let at = source.root().key("openapi");
    let written = source.value(&at).and_then(Value::as_str).unwrap_or_default();
    let mut numbers = written.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(3), Some(0)) => Ok(Dialect::V30),
        (Some(3), Some(1)) => named_dialect(source),
        _ => {
            let told = source.error(&at, "`openapi` must say a version that is served: 3.0 or 3.1");
            Err(told.help("for example `openapi: 3.1.1`").into())
        }
    }
}

/// OpenAPI 3.1.1 section 4.8.24.5: `jsonSchemaDialect` names what its schemas are written in.
fn named_dialect(source: &Source) -> Result<Dialect, Diagnostics> {
    let at = source.root().key("jsonSchemaDialect");
    let Some(named) = source.value(&at) else { return Ok(Dialect::V31) };
    let uri = named.as_str().unwrap_or_default();
    Dialect::named(uri).ok_or_else(|| {
        let told = source.error(&at, format!("the dialect `{uri}` is not known"));
        told.help("drafts 4, 6, 7, 2019-09 and 2020-12 of JSON Schema are, and OpenAPI's own base").into()
    })
}

/// The regular expressions that the contract may use.
pub(super) fn engine(source: &Source) -> Engine {
    let at = source.root().key("x-gateway").key("insecure_backtracking_patterns");
    if source.value(&at) == Some(&Value::Bool(true)) { Engine::Backtracking } else { Engine::Linear }
}

impl Reader<'_> {
    fn contract(&mut self, api: &str, version: &str) -> Arc<Contract> {
        let root = self.source.root();
        self.check_fields(&root, fields::DOCUMENT);
        if self.source.member(&root, "webhooks").is_some() {
            let at = root.key("webhooks");
            self.mistakes.push(self.source.warning(&at, "webhooks are described but not served"));
        }
        self.check_components(&root.key("components"));
        let settings = root.key("x-gateway");
        if self.source.value(&settings).is_some() {
            self.defaults = self.mistakes.keep(self.source.part(&settings)).unwrap_or_default();
        }
        let sign_in = self.defaults.sign_in.clone();
        self.sign_in(&settings, sign_in.as_ref());
        let written = self.defaults.lifecycle.take();
        let owner = format!("{api}.{version}");
        let above = Lifecycle::default();
        let lifecycle =
            written.and_then(|written| self.lifecycle(&settings.key("lifecycle"), written, &above, &owner));
        let written = self.defaults.versioning.take();
        let versioning =
            written.and_then(|written| self.versioning(&settings.key("versioning"), written, version));
        let title = root.key("info").key("title");
        Arc::new(Contract {
            api: api.to_owned(),
            version: version.to_owned(),
            title: self.source.value(&title).and_then(Value::as_str).unwrap_or(api).to_owned(),
            documentation: self
                .source
                .value(&root.key("externalDocs").key("url"))
                .and_then(Value::as_str)
                .map(str::to_owned),
            base_path: self.base_path(&root.key("servers")),
            digest: self.source.digest().to_owned(),
            versioning: versioning.unwrap_or_else(|| Versioning::by_path(version)),
            lifecycle: lifecycle.unwrap_or_default(),
            // The text of a large contract is not kept for it.
            place: self.source.key_place(&settings.key("versioning")).hidden(),
        })
    }

    /// Components are read where something refers to them; these are the parts that nothing else looks at.
    fn check_components(&mut self, at: &At) {
        if self.source.value(at).is_none() {
            return;
        }
        self.check_fields(at, fields::COMPONENTS);
        let schemes = at.key("securitySchemes");
        for name in self.keys(&schemes) {
            if let Some(scheme) = self.follow(&schemes.key(&name)) {
                self.check_fields(&scheme, fields::SECURITY_SCHEME);
            }
        }
    }

    fn lifecycle(
        &mut self,
        at: &At,
        written: WrittenLifecycle,
        above: &Lifecycle,
        owner: &str,
    ) -> Option<Lifecycle> {
        let source = self.source;
        let place =
            |member: &str| source.place(&At { file: at.file, pointer: format!("{}{member}", at.pointer) });
        self.mistakes.keep(Lifecycle::resolve(written, above, owner, &place))
    }

    fn versioning(&mut self, at: &At, written: WrittenVersioning, version: &str) -> Option<Versioning> {
        match written.resolve(version) {
            Ok(versioning) => Some(versioning),
            Err(wrong) => {
                self.mistakes.push(self.source.error(&at.key(wrong.member()), wrong.to_string()));
                None
            }
        }
    }

    /// The path that all servers have in common, without a slash at its end.
    fn base_path(&mut self, at: &At) -> String {
        let servers = self.source.value(at).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut base: Option<String> = None;
        for (n, server) in servers.iter().enumerate() {
            self.check_fields(&at.item(n), fields::SERVER);
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

    fn operations(&mut self, contract: &Arc<Contract>) -> (Vec<Arc<Operation>>, Routes) {
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
            let here = self.path_item(&written, text, &template, contract, operations.len());
            operations.extend(here.iter().cloned());
            match routes.insert(&template, here) {
                Ok(None) => {}
                Ok(Some(beside)) => {
                    let told = format!("`{text}` and `{beside}` match the same paths, so they are one path");
                    let told = Diagnostic::warning(source.key_place(&written), told);
                    self.mistakes.push(told.help(
                        "OpenAPI 3.1.1 section 4.8.8.2 forbids two templates that differ in names only",
                    ));
                }
                Err(taken) => {
                    let told = format!("`{text}` cannot be served: {taken}");
                    self.mistakes.push(Diagnostic::error(source.key_place(&written), told));
                }
            }
        }
        if operations.is_empty() && !self.mistakes.has_errors() {
            self.mistakes.push(source.warning(&paths, "the contract describes no operation"));
        }
        (operations, routes)
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
        self.check_servers(&item, &contract.base_path);
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
            let number = first.saturating_add(operations.len());
            let place = operation::Described { at, item: &item, method, path: text, template, number };
            operations.extend(self.operation(&place, contract).map(Arc::new));
        }
        operations
    }

    /// Servers of a path or an operation: which host serves is for `x-gateway` to say, and the path has to be
    /// that of the contract.
    fn check_servers(&mut self, at: &At, base: &str) {
        let at = at.key("servers");
        let Some(servers) = self.source.value(&at).and_then(Value::as_array) else { return };
        let urls = servers.iter().map(|server| server.get("url").and_then(Value::as_str).unwrap_or_default());
        let same = urls.map(path_of_server).all(|path| path.as_deref() == Some(base));
        let told = if same {
            self.source.warning(&at, "`servers` of a path or operation are ignored")
        } else {
            self.source.error(&at, "`servers` of a path or operation cannot be followed to another path")
        };
        self.mistakes.push(told.help("name the upstream in `x-gateway`"));
    }

    /// What a value or its reference leads to.
    fn follow(&mut self, at: &At) -> Option<At> {
        // OpenAPI 3.1.1 section 4.8.23: beside a reference only a summary and a description have a meaning.
        if self.source.member(at, "$ref").is_some() {
            for key in self.keys(at) {
                if !matches!(key.as_str(), "$ref" | "summary" | "description") && !key.starts_with("x-") {
                    let place = self.source.key_place(&at.key(&key));
                    let told = format!("`{key}` beside a `$ref` would be ignored");
                    self.mistakes.push(Diagnostic::error(place, told));
                }
            }
        }
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
            let ours = key.starts_with("x-gateway") || strsim::damerau_levenshtein(key, "x-gateway") <= 2;
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

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::super::sample::{self, HEAD};
    use super::*;
    use proptest::prelude::*;

    const OK: &str = "responses: {'204': {description: x}}";

    fn told(text: &str) -> String {
        match sample::load(&[("api/v1/openapi.yaml", text)]) {
            Ok((_, warnings)) => warnings.to_string(),
            Err(mistakes) => mistakes.to_string(),
        }
    }

    fn loads(text: &str) -> Catalogue {
        sample::load(&[("api/v1/openapi.yaml", text)]).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
    }

    #[test]
    fn an_operation_without_an_id_is_named_by_its_path() {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  \"/f(a='{{a}}')\": {{get: {{{OK}, parameters: [{{name: a, in: path, required: true, schema: {{type: string}}}}]}}}}\n"
        ));
        assert_eq!(catalogue.operations()[0].name(), "api.v1.GET:/f(a=%27{a}%27)");
    }

    #[test]
    fn a_contract_becomes_operations_with_all_their_facts() {
        let text = format!(
            "openapi: 3.1.1
info: {{title: Orders, version: '2'}}
servers: [{{url: https://api.example/orders/v2}}]
security: [{{oauth: [read]}}]
x-gateway: {{upstream: odoo, deadline: 3s, lifecycle: {{deprecated: '2026-01-01T00:00:00Z'}}}}
components:
  securitySchemes: {{oauth: {{type: oauth2, flows: {{clientCredentials: {{scopes: {{read: r}}}}}}}}}}
paths:
  /o/{{id}}:
    parameters: [{{name: id, in: path, required: true, schema: {{type: string}}}}]
    get: {{operationId: get, deprecated: true, {OK}}}
    delete:
      operationId: remove
      security: []
      x-gateway: {{cost: 5, lifecycle: {{sunset: '2026-12-31T00:00:00Z'}}}}
      parameters:
        - {{name: id, in: path, required: true, schema: {{type: integer}}, x-gateway: {{personal: true}}}}
        - {{name: q, in: query, schema: {{type: string, x-gateway: {{personal: true}}}}}}
        - {{name: page, in: query, schema: {{type: integer}}}}
      {OK}
"
        );
        let catalogue = loads(&text);
        let [get, remove] = catalogue.operations() else { panic!("two operations") };
        assert_eq!((get.name(), get.template()), ("api.v1.get", "/orders/v2/o/{id}"));
        assert_eq!((get.api(), get.version(), get.contract().title()), ("api", "v1", "Orders"));
        assert_eq!(get.security().len(), 1);
        assert!(get.security()[0].token.as_ref().is_some_and(|scopes| scopes.iter().eq(["read"])));
        assert!(remove.security().is_empty());
        assert_eq!((get.settings().cost.get(), remove.settings().cost.get()), (1, 5));
        assert_eq!(remove.settings().deadline.as_secs(), 3);
        // What an operation's own lifecycle leaves out is its contract's.
        assert!(get.lifecycle().deprecated().is_some() && get.lifecycle().sunset().is_none());
        assert!(remove.lifecycle().deprecated().is_some() && remove.lifecycle().sunset().is_some());
        assert_eq!(remove.path_parameter_names().collect::<Vec<_>>(), ["id"]);
        assert_eq!(remove.query_parameter_names().collect::<Vec<_>>(), ["q", "page"]);
        for (name, personal) in [("id", true), ("q", true), ("page", false), ("unheard-of", true)] {
            assert_eq!(remove.is_personal(name), personal, "{name}");
        }
        assert!(!get.is_personal("id"));
        assert_eq!(get.contract().digest().len(), 64);
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_help() {
        let paths =
            |operation: &str| format!("openapi: 3.1.0{HEAD}paths:\n  /t:\n    get: {{{operation}}}\n");
        let one = |more: &str| paths(&format!("operationId: t, {OK}, {more}"));
        for (text, expected) in [
            ("openapi: 2.0.0".to_owned(), "`openapi` must say a version"),
            ("openapi: 3.2.0".to_owned(), "`openapi` must say a version"),
            ("openapi: 3.10.0".to_owned(), "`openapi` must say a version"),
            (paths(&format!("operationId: a b, {OK}")), "`a b` cannot be a part of names"),
            (paths(&format!("operationId: 'a\"b', {OK}")), "cannot be a part of names"),
            (paths(&format!("operationId: '', {OK}")), "cannot be a part of names"),
            (paths(&format!("operationId: 7, {OK}")), "cannot be a part of names"),
            (
                format!(
                    "openapi: 3.1.0{HEAD}paths:\n  /t:\n    get: {{{OK}}}\n    put: {{operationId: 'GET:/t', {OK}}}\n"
                ),
                "the name `GET:/t` is used twice, first at",
            ),
            (paths("operationId: t"), "describes no response"),
            (paths("operationId: t, responses: {'2xx': {description: x}}"), "`2xx` is not a status"),
            (one("requestbody: {}"), "did you mean `requestBody`?"),
            (one("x-gatway: {}"), "did you mean `x-gateway`?"),
            (one("x-gateway: {upstrem: x}"), "did you mean `upstream`?"),
            (one("x-gateway: {upstream_base: /a/../b}"), "`upstream_base` is not a plain path"),
            (
                one(
                    "x-gateway: {lifecycle: {deprecated: '2026-12-31T00:00:00Z', sunset: '2026-01-01T00:00:00Z'}}",
                ),
                "`sunset` is before",
            ),
            (one("x-gateway: {lifecycle: {sunset: soon}}"), "openapi.yaml:8"),
            (
                one("x-gateway: {streamed: true}, requestBody: {content: {'*/*': {}}}"),
                "checked for type and size only",
            ),
            (one("deprecated: true"), "x-gateway.lifecycle.deprecated"),
            (one("security: [{nobody: []}]"), "unknown security scheme `nobody`"),
            (one("servers: [{url: /}]"), "`servers` of a path or operation"),
            (one("callbacks: {}"), "callbacks are described but not served"),
            (one("parameters: [{in: query, schema: {}}]"), "no `name`"),
            (one("parameters: [{name: a, in: body, schema: {}}]"), "cannot be in `body`"),
            (one("parameters: [{name: a, in: query}]"), "either `schema` or `content`"),
            (
                one("parameters: [{name: a, in: query, schema: {}, content: {}}]"),
                "either `schema` or `content`",
            ),
            (
                one("parameters: [{name: a, in: query, content: {a/b: {schema: {}}, c/d: {schema: {}}}}]"),
                "exactly one media type",
            ),
            (
                one("parameters: [{name: a, in: query, content: {application/json: {}}}]"),
                "nothing says what the parameter may be",
            ),
            (
                one("parameters: [{name: a, in: query, content: {application/xml: {schema: {}}}}]"),
                "only checked as text",
            ),
            (
                one("parameters: [{name: a, in: query, requried: true, schema: {}}]"),
                "did you mean `required`?",
            ),
            (
                one("parameters: [{name: a, in: query, required: 'yes', schema: {}}]"),
                "`required` is true or false",
            ),
            (
                one("parameters: [{name: a, in: query, style: matrix, schema: {}}]"),
                "this style does not exist",
            ),
            (
                one("parameters: [{name: a, in: query, style: deepObject, schema: {type: string}}]"),
                "wants a schema of type `object`",
            ),
            (
                one("parameters: [{name: a, in: query, schema: {}}, {name: a, in: query, schema: {}}]"),
                "is described twice",
            ),
            (one("parameters: [{name: 'a b', in: header, schema: {}}]"), "cannot be the name of a header"),
            (one("parameters: [{name: Authorization, in: header, schema: {}}]"), "is ignored by OpenAPI"),
            (one("parameters: [{name: a, in: path, required: true, schema: {}}]"), "the path has no `{a}`"),
            (
                one(
                    "parameters: [{name: a, in: query, schema: {}, x-gateway: {personal: true, public: true}}]",
                ),
                "personal or public",
            ),
            (one("parameters: [{$ref: '#/nothing'}]"), "nothing stands at"),
            (
                one("parameters: [{$ref: '#/paths', required: true}]"),
                "`required` beside a `$ref` would be ignored",
            ),
            (one("requestBody: {content: {}}"), "names no media type"),
            (one("requestBody: {content: {json: {}}}"), "`json` is not a media type"),
            (
                one("requestBody: {content: {application/xml: {schema: {type: object}}}}"),
                "cannot be checked against their schema",
            ),
            (
                one("requestBody: {required: true, content: {application/xml: {schema: {type: object}}}}"),
                "so every call is refused",
            ),
            (
                one(
                    "x-gateway: {unchecked: [application/xml]}, requestBody: {content: {application/xml: {schema: {type: object}}}}",
                ),
                "checked for type and size only",
            ),
            (one("x-gateway: {unchecked: [xml]}"), "`xml` in `x-gateway.unchecked` is not a media type"),
            (one("x-gateway: {streamed: true, request_codings: [gzip]}"), "takes no coded bodies"),
            (one("x-gateway: {sample: 0.5}"), "`sample` is for `strictness: report`"),
            (one("x-gateway: {strictness: report, sample: 2}"), "openapi.yaml:8"),
            (
                one("requestBody: {content: {multipart/form-data: {encoding: {a: {contentType: x}}}}}"),
                "`x` is not a media type",
            ),
            (one("requestBody: {content: {application/json: {schem: {}}}}"), "did you mean `schema`?"),
            (
                one("requestBody: {content: {application/json: {schema: {tpye: string}}}}"),
                "did you mean `type`?",
            ),
        ] {
            let shown = told(&text);
            assert!(shown.contains(expected), "{text}\n{shown}");
            assert!(shown.contains("contracts/api/v1/openapi.yaml:"), "{shown}");
        }
    }

    #[test]
    fn paths_that_cannot_be_told_apart_or_reached_are_mistakes() {
        let item = |names: &[&str], id: &str| {
            let list: Vec<String> = names
                .iter()
                .map(|n| format!("{{name: {n}, in: path, required: true, schema: {{}}}}"))
                .collect();
            format!("{{parameters: [{}], get: {{operationId: {id}, {OK}}}}}", list.join(", "))
        };
        for (paths, expected) in [
            (
                format!("  /a/{{x}}: {}\n  /a/{{y}}: {}\n", item(&["x"], "one"), item(&["y"], "two")),
                "`/a/{x}` matches the same paths with the method GET",
            ),
            (
                format!("  '/{{a}}{{b}}': {}\n", item(&["a", "b"], "one")),
                "nothing stands between two parameters",
            ),
            (format!("  /a/{{x}}: {}\n", item(&[], "one")), "`x` is not described"),
            (format!("  a: {}\n", item(&[], "one")), "begins with `/`"),
            (format!("  /a: {}\n  /b: {}\n", item(&[], "one"), item(&[], "one")), "is used twice"),
            (format!("  /a: {{trace: {{operationId: t, {OK}}}}}\n"), "TRACE is never served"),
            (format!("  /a: {{gte: {{operationId: t, {OK}}}}}\n"), "did you mean `get`?"),
        ] {
            let shown = told(&format!("openapi: 3.1.0{HEAD}paths:\n{paths}"));
            assert!(shown.contains(expected), "{paths}\n{shown}");
        }
    }

    #[test]
    fn a_contract_may_be_spread_over_files_of_its_folder() {
        let main = format!("openapi: 3.0.3{HEAD}paths: {{/t: {{$ref: 'paths/t.yaml'}}}}\n");
        let path = format!(
            "post: {{operationId: t, {OK}, requestBody: {{content: {{application/json: {{schema: {{$ref: '../schemas.yaml#/Order'}}}}}}}}}}\n"
        );
        let schemas =
            "Order: {type: object, properties: {n: {$ref: '#/N'}}}\nN: {type: integer, nullable: true}\n";
        let files = |path: &str| {
            sample::load(&[
                ("api/v1/openapi.yaml", &main),
                ("api/v1/paths/t.yaml", path),
                ("api/v1/schemas.yaml", schemas),
                ("api/v1/paths/schemas.yaml", schemas),
            ])
        };
        // A reference never climbs, not even inside the folder.
        assert!(files(&path).unwrap_err().to_string().contains("paths/t.yaml:1:"));
        let (catalogue, _) = files(&path.replace("../", "")).unwrap();
        let json = &[("content-type", "application/json")];
        let check = |body| sample::check(&catalogue, ("POST", "/api/v1/t"), json, body);
        assert!(check("{\"n\":null}").is_ok());
        let found = sample::violations(check("{\"n\":\"x\"}"));
        assert_eq!(found[0].contract, "paths/schemas.yaml#/N/type");
    }

    #[test]
    fn silence_about_security_or_upstream_is_a_mistake() {
        let text = format!("openapi: 3.0.3{HEAD}paths: {{/t: {{get: {{operationId: t, {OK}}}}}}}\n");
        loads(&text);
        assert!(told(&text.replace("security: []\n", "")).contains("nothing says who may call"));
        assert!(
            told(&text.replace("x-gateway: {upstream: backend}\n", "")).contains("which upstream serves")
        );
    }

    #[test]
    fn a_servers_path_is_the_base_path() {
        for (url, base) in [
            ("/", Some("")),
            ("", Some("")),
            ("https://api.example", Some("")),
            ("https://api.example/", Some("")),
            ("https://api.example/orders/v2/", Some("/orders/v2")),
            ("/orders", Some("/orders")),
            ("https://{host}/orders", Some("/orders")),
            ("https://api.example/{version}", None),
            ("orders", None),
            ("/a//b", None),
            ("/a/../b", None),
            ("/a?b", None),
            ("/a b", None),
        ] {
            assert_eq!(path_of_server(url).as_deref(), base, "{url}");
        }
        let two = "openapi: 3.1.0
servers: [{url: /a}, {url: 'https://x/b'}]
security: []
paths: {}
";
        assert!(told(two).contains("is not that of the first"));
    }

    const WHOLE: &str = "openapi: 3.1.0
info: {title: Orders, version: '2'}
servers: [{url: https://api.example/orders/v2}]
security: [{oauth: [read]}]
x-gateway: {upstream: odoo, deadline: 3s, lifecycle: {deprecated: '2026-01-01T00:00:00Z'}}
components:
  securitySchemes: {oauth: {type: oauth2, flows: {clientCredentials: {scopes: {read: r}}}}}
  schemas:
    Order: {type: object, required: [id], properties: {id: {type: integer, readOnly: true}, next: {$ref: '#/components/schemas/Order'}}}
paths:
  /o/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    put:
      operationId: put
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
      responses:
        '200': {description: x, headers: {X-A: {schema: {type: integer}}}, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
";

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn a_damaged_contract_is_answered(cut in 0..WHOLE.len(), length in 0..24_usize, put in "[{}\\[\\]:, #/~$a1\n-]{0,6}") {
            let mut text: Vec<char> = WHOLE.chars().collect();
            let end = (cut + length).min(text.len());
            text.splice(cut..end, put.chars());
            let text: String = text.into_iter().collect();
            // Loaded or refused with a reason, never anything else.
            if let Err(mistakes) = sample::load(&[("api/v1/openapi.yaml", &text)]) {
                prop_assert!(mistakes.has_errors());
            }
        }
    }
}
