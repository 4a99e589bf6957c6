//! One operation: its name, who may call it, how it is served, and its parts.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::super::assurance::{NotAskable, SignIn};
use super::super::lifecycle::Lifecycle;
use super::super::media::MediaRange;
use super::super::operation::{Contract, Operation};
use super::super::parameter::Parameters;
use super::super::route::Template;
use super::super::sampling::Sampler;
use super::super::security::{self, Requirement};
use super::super::settings::{Settings, Strictness, UnknownParameters, WrittenSettings};
use super::super::source::At;
use super::super::target::Target;
use super::{Missing, Reader, fields};

/// Where an operation is described.
pub(super) struct Described<'d> {
    pub(super) at: At,
    pub(super) item: &'d At,
    pub(super) method: Method,
    pub(super) path: &'d str,
    pub(super) template: &'d Template,
    pub(super) number: usize,
}

impl Reader<'_> {
    pub(super) fn operation(
        &mut self,
        described: &Described<'_>,
        contract: &Arc<Contract>,
    ) -> Option<Operation> {
        let at = &described.at;
        self.check_fields(at, fields::OPERATION);
        self.check_servers(at, &contract.base_path);
        if self.source.member(at, "callbacks").is_some() {
            let callbacks = at.key("callbacks");
            self.mistakes.push(self.source.warning(&callbacks, "callbacks are described but not served"));
        }
        let operation_id = self.operation_id(described);
        let (settings, lifecycle) = self.settings(described, contract);
        self.unchecked = self.unchecked(at, settings.as_ref());
        let security = self.security(at);
        let unknown =
            settings.as_ref().map_or(UnknownParameters::Refuse, |settings| settings.unknown_parameters);
        let parameters = Parameters::new(self.parameters(described), unknown);
        let has_marked_parameters = parameters.iter().any(|parameter| parameter.field.is_some());
        let body = self.request_body(&at.key("requestBody"));
        let body_fields = self.body_fields(&at.key("requestBody"));
        let vague = [Method::GET, Method::HEAD, Method::DELETE].contains(&described.method);
        if body.is_some() && vague {
            // OpenAPI 3.0.4 section 4.7.10.1, RFC 9110 section 9.3.1.
            let told =
                format!("a body of {} has no meaning in HTTP, and is checked all the same", described.method);
            self.mistakes.push(self.source.warning(&at.key("requestBody"), told));
        }
        let responses = self.responses(&at.key("responses"));
        let operation_id = operation_id?;
        let settings = settings?;
        Some(Operation {
            number: described.number,
            name: format!("{}.{}.{operation_id}", contract.api, contract.version),
            operation_id,
            method: described.method.clone(),
            template: format!("{}{}", contract.base_path, described.path),
            contract: Arc::clone(contract),
            security: security?,
            sampler: Sampler::new(settings.sample),
            settings,
            lifecycle,
            has_marked_parameters,
            parameters,
            body,
            body_fields,
            responses,
        })
    }

    /// The media types that the operation takes unchecked.
    fn unchecked(&mut self, at: &At, settings: Option<&Settings>) -> Vec<MediaRange> {
        let mut ranges = Vec::new();
        for text in settings.into_iter().flat_map(|settings| &settings.unchecked) {
            match MediaRange::parse(text) {
                Some(range) => ranges.push(range),
                None => {
                    let told = format!("`{text}` in `x-gateway.unchecked` is not a media type or range");
                    self.mistakes.push(self.source.error(at, told));
                }
            }
        }
        ranges
    }

    /// What policies, limits and audit records call the operation.
    fn operation_id(&mut self, described: &Described<'_>) -> Option<String> {
        let written = described.at.key("operationId");
        let named = self.source.value(&written).is_some();
        let (id, at) = if named {
            (self.text(&described.at, "operationId").unwrap_or_default().to_owned(), written)
        } else {
            (name_of_path(&described.method, described.path), described.at.clone())
        };
        let fits = (1..=OPERATION_ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(may_stand_in_id);
        if named && !fits {
            let told = format!("the `operationId` `{id}` cannot be a part of names");
            let help = format!(
                "up to {OPERATION_ID_BYTES_MAX} letters, digits and signs of ASCII, without spaces, quotes, backslashes, braces, `<`, `>`, `|` and `^`"
            );
            self.mistakes.push(self.source.error(&at, told).help(help));
            return None;
        }
        if !named {
            let told = format!("the operation has no `operationId`, so its name is `{id}`");
            self.mistakes.push(self.source.warning(&at, told));
        }
        if let Some(first) = self.operation_ids.insert(id.clone(), at.clone()) {
            let told = format!("the name `{id}` is used twice, first at {}", self.source.place(&first));
            self.mistakes.push(self.source.error(&at, told));
            return None;
        }
        Some(id)
    }

    fn security(&mut self, at: &At) -> Option<Vec<Requirement>> {
        let own = at.key("security");
        let at_root = self.source.root().key("security");
        let list = [&own, &at_root].into_iter().find(|list| self.source.value(list).is_some());
        match (list, self.missing) {
            (Some(list), Missing::Refuse) => {
                let read = security::read(self.source, list);
                let (alternatives, told) = self.mistakes.keep(read)?;
                self.mistakes.extend(told);
                Some(alternatives)
            }
            (None, Missing::Refuse) => {
                let told = self.source.error(at, "nothing says who may call this operation");
                self.mistakes
                    .push(told.help("add `security`, here or at the root; `security: []` makes it public"));
                None
            }
            (_, Missing::Assume) => Some(Vec::new()),
        }
    }

    /// Tells what the `x-gateway` at `at` asks of persons and can be asked of nobody.
    pub(super) fn sign_in(&mut self, at: &At, written: Option<&SignIn>) {
        if let Some(NotAskable { key, why, help }) = written.and_then(SignIn::not_askable) {
            let at = at.key("sign_in");
            let at = key.map_or_else(|| at.clone(), |key| at.key(key));
            self.mistakes.push(self.source.error(&at, why).help(help));
        }
    }

    fn settings(&mut self, described: &Described<'_>, contract: &Contract) -> (Option<Settings>, Lifecycle) {
        let at = described.at.key("x-gateway");
        let mut written: WrittenSettings = match (self.source.value(&at), self.missing) {
            (Some(_), _) => {
                let part = self.source.part(&at);
                self.mistakes.keep(part).unwrap_or_default()
            }
            (None, Missing::Refuse) => WrittenSettings::default(),
            (None, Missing::Assume) => WrittenSettings::assumed(),
        };
        if written.insecure_backtracking_patterns.is_some() {
            let at = at.key("insecure_backtracking_patterns");
            let told = "`insecure_backtracking_patterns` stands at the root, for the whole contract";
            self.mistakes.push(self.source.error(&at, told));
        }
        self.sign_in(&at, written.sign_in.as_ref());
        if written.versioning.is_some() {
            let told = "`versioning` stands at the root, for the whole contract";
            self.mistakes.push(self.source.error(&at.key("versioning"), told));
        }
        let own_sample = written.sample.is_some();
        let own = written.lifecycle.take();
        let owner = self.text(&described.at, "operationId").unwrap_or(described.path);
        let owner = format!("{}.{}.{owner}", contract.api, contract.version);
        let own = own
            .and_then(|written| self.lifecycle(&at.key("lifecycle"), written, &contract.lifecycle, &owner));
        let lifecycle = own.unwrap_or_else(|| contract.lifecycle.clone());
        let marked = self.source.member(&described.at, "deprecated") == Some(&Value::Bool(true));
        // A life that is written and broken was told already.
        let written_in =
            |gateway: At| self.source.value(&gateway.key("lifecycle").key("deprecated")).is_some();
        let said = written_in(at.clone()) || written_in(self.source.root().key("x-gateway"));
        if marked && !said && self.missing == Missing::Refuse {
            let at = described.at.key("deprecated");
            let told = self.source.error(&at, "the operation is deprecated, but nothing says since when");
            self.mistakes.push(told.help("add `x-gateway.lifecycle.deprecated` with a date"));
        }
        let settings = written.resolve(&self.defaults, &described.method);
        if settings.is_none() {
            let told = self.source.error(&described.at, "nothing says which upstream serves this operation");
            self.mistakes.push(told.help("add `x-gateway.upstream`, here or at the root"));
        }
        let has_body = self.source.member(&described.at, "requestBody").is_some();
        if has_body && settings.as_ref().is_some_and(|settings| settings.streamed) {
            let told = "the body of a streamed operation is checked for type and size only";
            self.mistakes.push(self.source.warning(&described.at.key("requestBody"), told));
        }
        if settings.as_ref().is_some_and(|settings| settings.streamed && !settings.request_codings.is_empty())
        {
            let told = "a streamed operation takes no coded bodies, since nothing would decode them";
            self.mistakes.push(self.source.error(&at, told));
        }
        if own_sample && settings.as_ref().is_some_and(|settings| settings.strictness != Strictness::Report) {
            let told =
                "`sample` is for `strictness: report`, and has no effect here but for callers of their own";
            self.mistakes.push(self.source.warning(&at.key("sample"), told));
        }
        let base = settings.as_ref().and_then(|settings| settings.upstream_base.as_deref());
        if base.is_some_and(|base| Target::from_origin_form(base).is_err()) {
            let told = self.source.error(&at.key("upstream_base"), "`upstream_base` is not a plain path");
            self.mistakes.push(told);
        }
        (settings, lifecycle)
    }
}

/// The name of an operation that has none: `GET:/orders/{id}`. What may not stand in names is percent-encoded.
fn name_of_path(method: &Method, path: &str) -> String {
    let mut name = format!("{method}:");
    for byte in path.bytes() {
        if may_stand_in_id(byte) || matches!(byte, b'{' | b'}') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// What an `operationId` is made of. It is a part of names such as `orders.v2.createOrder`, which stand in
/// policies, metrics and records without being escaped.
const fn may_stand_in_id(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'\'' | b'`' | b'\\' | b'{' | b'}' | b'<' | b'>' | b'|' | b'^')
}

/// The longest of the public contracts, in Microsoft Graph's, has 245.
const OPERATION_ID_BYTES_MAX: usize = 256;
