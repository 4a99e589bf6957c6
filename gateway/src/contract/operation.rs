//! What is an operation, and which contract describes it?

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderName, Method};

use super::lifecycle::Lifecycle;
use super::parameter::{Parameter, Parameters, Place};
use super::request::RequestBody;
use super::response::Responses;
use super::sampling::Sampler;
use super::security::Requirement;
use super::settings::Settings;
use super::target::Target;
use super::uses::BodyFields;
use super::version::Versioning;
use crate::diagnostic;

/// One version of one API, as far as all its operations share it.
#[derive(Debug)]
pub struct Contract {
    pub(super) api: String,
    pub(super) version: String,
    pub(super) title: String,
    pub(super) documentation: Option<String>,
    pub(super) base_path: String,
    pub(super) digest: String,
    pub(super) versioning: Versioning,
    pub(super) lifecycle: Lifecycle,
    /// Where it says how its version is chosen.
    pub(super) place: diagnostic::Place,
}

impl Contract {
    /// The API's name: the name of its folder.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// The version's name: the name of its folder.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What people call it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where people read about it (`externalDocs`), if it says so.
    #[must_use]
    pub fn documentation(&self) -> Option<&str> {
        self.documentation.as_deref()
    }

    /// The path that all its operations stand under, without a slash at its end; empty for the root.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// SHA-256 of its files, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How the version is chosen, and what callers call it.
    #[must_use]
    pub const fn versioning(&self) -> &Versioning {
        &self.versioning
    }

    /// The lifecycle of the whole version.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }
}

/// One operation of a contract, compiled.
pub struct Operation {
    /// Its place among the operations of its contract.
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) operation_id: String,
    pub(super) method: Method,
    pub(super) template: String,
    pub(super) contract: Arc<Contract>,
    pub(super) security: Vec<Requirement>,
    pub(super) settings: Settings,
    pub(super) lifecycle: Lifecycle,
    pub(super) parameters: Parameters,
    pub(super) has_marked_parameters: bool,
    pub(super) body: Option<RequestBody>,
    pub(super) body_fields: BodyFields,
    pub(super) responses: Responses,
    pub(super) sampler: Sampler,
}

impl Operation {
    /// `orders.v2.createOrder`: API, version and operation id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API's name.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.contract.api
    }

    /// The version's name.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.contract.version
    }

    /// The `operationId`.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        &self.operation_id
    }

    /// The method that the contract describes; HEAD is served by GET operations too.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The path template with the base path before it: `/orders/v2/orders/{id}`.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The contract that describes it.
    #[must_use]
    pub const fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// The alternatives by which a caller can prove itself; none when the operation is public.
    #[must_use]
    pub fn security(&self) -> &[Requirement] {
        &self.security
    }

    /// How it is served.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the next answer is looked at where broken ones are only reported.
    #[must_use]
    pub fn samples_answer(&self) -> bool {
        self.sampler.takes()
    }

    /// Its own lifecycle, or its contract's.
    #[must_use]
    pub const fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// The path to ask the upstream for: the caller's, byte for byte, under the upstream's base path where
    /// the contract names one.
    #[must_use]
    pub fn upstream_path<'t>(&self, target: &'t Target) -> Cow<'t, str> {
        let path = target.path();
        match (&self.settings.upstream_base, path.strip_prefix(self.contract.base_path.as_str())) {
            (Some(base), Some(rest)) => Cow::Owned(format!("{}{rest}", base.trim_end_matches('/'))),
            (Some(_), None) | (None, _) => Cow::Borrowed(path),
        }
    }

    /// The names of its path parameters.
    pub fn path_parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|p| p.place == Place::Path).map(|p| &*p.name)
    }

    /// The names of its query parameters.
    pub fn query_parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().filter(|p| p.place == Place::Query).map(|p| &*p.name)
    }

    /// Whether the path or query parameter `name` is personal data. What the contract does not describe
    /// might be, so it is.
    #[must_use]
    pub fn is_personal(&self, name: &str) -> bool {
        let mut named = self
            .parameters
            .iter()
            .filter(|p| matches!(p.place, Place::Path | Place::Query) && p.claims(name));
        let first = named.next();
        first.is_none_or(Parameter::is_personal) || named.any(Parameter::is_personal)
    }
}

impl Operation {
    /// Whether the query parameter `name` may stand in one query more than once.
    #[must_use]
    pub fn is_repeatable(&self, name: &str) -> bool {
        self.parameters.iter().any(|p| p.place == Place::Query && &*p.name == name && p.is_repeatable())
    }

    /// The names of its path and query parameters that are personal data.
    pub fn personal_parameter_names(&self) -> impl Iterator<Item = &str> {
        let addressed = |place: &Place| matches!(place, Place::Path | Place::Query);
        self.parameters.iter().filter(move |p| addressed(&p.place) && p.is_personal()).map(|p| &*p.name)
    }

    /// The header fields that its responses are described with.
    pub fn response_header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.responses.header_names()
    }
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_upstream_is_asked_for_the_path_under_its_own_base() {
        let item = |id: &str, base: &str| {
            format!(
                "{{parameters: [{{name: x, in: path, required: true, schema: {{}}}}], get: {{operationId: {id}, responses: {{'204': {{description: x}}}}, x-gateway: {{{base}}}}}}}"
            )
        };
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /a/{{x}}: {}\n  /b/{{x}}: {}\n  /c/{{x}}: {}\n",
            item("a", ""),
            item("b", "upstream_base: /json/2"),
            item("c", "upstream_base: /"),
        ));
        for (path, asked) in [
            ("/api/v1/a/1%20", "/api/v1/a/1%20"),
            ("/api/v1/b/1%20", "/json/2/b/1%20"),
            ("/api/v1/c/x", "/c/x"),
        ] {
            let target = Target::from_origin_form(path).unwrap();
            let matched = sample::find(&catalogue, "GET", &target).unwrap();
            assert_eq!(matched.operation().upstream_path(&target), asked, "{path}");
        }
    }

    #[test]
    fn an_operation_is_shown_by_its_name_alone() {
        let catalogue =
            sample::catalogue("paths: {/a: {get: {operationId: a, responses: {'204': {description: x}}}}}\n");
        assert_eq!(format!("{:?}", catalogue.operations()[0]), "Operation { name: \"api.v1.a\", .. }");
    }
}
