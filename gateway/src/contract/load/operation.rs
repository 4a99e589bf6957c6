//! One operation: its name, who may call it, how it is served, and its parts.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::super::lifecycle::Lifecycle;
use super::super::operation::{Contract, Operation};
use super::super::parameter::Parameters;
use super::super::route::Template;
use super::super::security::{self, Requirement};
use super::super::settings::{Settings, UnknownParameters, WrittenSettings};
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
    pub(super) index: usize,
}

impl Reader<'_> {
    pub(super) fn operation(
        &mut self,
        described: &Described<'_>,
        contract: &Arc<Contract>,
    ) -> Option<Operation> {
        let at = &described.at;
        self.check_fields(at, fields::OPERATION);
        self.refuse_servers(at);
        if self.source.member(at, "callbacks").is_some() {
            let callbacks = at.key("callbacks");
            self.mistakes.push(self.source.warning(&callbacks, "callbacks are described but not served"));
        }
        let operation_id = self.operation_id(described);
        let (settings, lifecycle) = self.settings(described, contract);
        let security = self.security(at);
        let unknown =
            settings.as_ref().map_or(UnknownParameters::Refuse, |settings| settings.unknown_parameters);
        let parameters = Parameters::new(self.parameters(described), unknown);
        let body = self.request_body(&at.key("requestBody"));
        let responses = self.responses(&at.key("responses"));
        let operation_id = operation_id?;
        Some(Operation {
            index: described.index,
            name: format!("{}.{}.{operation_id}", contract.api, contract.version),
            operation_id,
            method: described.method.clone(),
            template: format!("{}{}", contract.base_path, described.path),
            contract: Arc::clone(contract),
            security: security?,
            settings: settings?,
            lifecycle,
            parameters,
            body,
            responses,
        })
    }

    fn operation_id(&mut self, described: &Described<'_>) -> Option<String> {
        let at = described.at.key("operationId");
        let id = match self.text(&described.at, "operationId") {
            Some(id) => id.to_owned(),
            None if self.missing != Missing::Refuse => {
                let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
                format!("{}{}", described.method, described.path.chars().map(word).collect::<String>())
            }
            None => {
                let told = self.source.error(&described.at, "the operation has no `operationId`");
                self.mistakes.push(told.help("policies, limits and audit records name operations by it"));
                return None;
            }
        };
        // It is a part of names such as `orders.v2.createOrder`, which dots divide.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if id.is_empty() || !id.bytes().all(plain) {
            let told = format!("the `operationId` `{id}` may hold letters, digits, `_` and `-` only");
            self.mistakes.push(self.source.error(&at, told));
            return None;
        }
        if let Some(first) = self.operation_ids.insert(id.clone(), at.clone()) {
            let told =
                format!("the `operationId` `{id}` is used twice, first at {}", self.source.place(&first));
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
                self.mistakes.keep(read)
            }
            (None, Missing::Refuse) => {
                let told = self.source.error(at, "nothing says who may call this operation");
                self.mistakes
                    .push(told.help("add `security`, here or at the root; `security: []` makes it public"));
                None
            }
            #[cfg(test)]
            (_, Missing::Assume) => Some(Vec::new()),
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
            #[cfg(test)]
            (None, Missing::Assume) => WrittenSettings::assumed(),
        };
        if written.insecure_backtracking_patterns.is_some() {
            let at = at.key("insecure_backtracking_patterns");
            let told = "`insecure_backtracking_patterns` stands at the root, for the whole contract";
            self.mistakes.push(self.source.error(&at, told));
        }
        let own = written.lifecycle.take();
        let own = own.and_then(|written| self.lifecycle(&at.key("lifecycle"), written));
        let lifecycle = own.unwrap_or_else(|| contract.lifecycle.clone());
        let marked = self.source.member(&described.at, "deprecated") == Some(&Value::Bool(true));
        if marked && lifecycle.deprecated().is_none() && self.missing == Missing::Refuse {
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
        let base = settings.as_ref().and_then(|settings| settings.upstream_base.as_deref());
        if base.is_some_and(|base| Target::from_origin_form(base).is_err()) {
            let told = self.source.error(&at.key("upstream_base"), "`upstream_base` is not a plain path");
            self.mistakes.push(told);
        }
        (settings, lifecycle)
    }
}
