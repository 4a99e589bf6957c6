//! Which objects of a contract break a built-in rule?

use serde_json::{Map, Value};

use super::super::source::At;
use super::cover::{Cover, types};
use super::rule::{
    MISSING_DESCRIPTION, MISSING_ERROR_RESPONSE, MISSING_SECURITY, OPEN_OBJECT, PLAIN_SERVER,
    SECRET_IN_QUERY, UNBOUNDED_ARRAY, UNBOUNDED_NUMBER, UNBOUNDED_OBJECT, UNBOUNDED_STRING, WILDCARD_SCOPE,
};
use super::rules::Object;
use super::walk::Visited;
use super::{Looking, secret};

impl Looking<'_> {
    /// Holds one object against every built-in rule.
    pub(super) fn built_in(&mut self, visited: &Visited, cover: Cover) {
        let at = &visited.at;
        match visited.object {
            Object::Document => self.document(at),
            Object::Operation => {
                self.operation(visited);
                self.assurance(visited);
            }
            Object::Parameter => self.parameter(at),
            Object::SecurityScheme => self.security_scheme(at),
            Object::Schema => self.schema(visited, cover),
            Object::PathItem
            | Object::RequestBody
            | Object::Response
            | Object::Header
            | Object::MediaType => {}
        }
    }

    fn document(&mut self, at: &At) {
        let servers = at.key("servers");
        let count = self.source.value(&servers).and_then(Value::as_array).map_or(0, Vec::len);
        for n in 0..count {
            let url = servers.item(n).key("url");
            if let Some(text) = self.source.value(&url).and_then(Value::as_str)
                && let Some((scheme, _)) = text.split_once("://")
                && scheme.eq_ignore_ascii_case("http")
            {
                self.built_in_finding(PLAIN_SERVER, &url, format!("`{text}` is asked without TLS"));
            }
        }
        self.scopes_of_requirements(&at.key("security"));
    }

    fn operation(&mut self, visited: &Visited) {
        let at = &visited.at;
        let says = |key: &str| self.source.member(at, key).is_some();
        let name = self.source.member(at, "operationId").and_then(Value::as_str).map_or_else(
            || visited.call.as_ref().map_or_else(String::new, |(method, path)| format!("{method} {path}")),
            str::to_owned,
        );
        let at_root = self.source.member(&self.source.root(), "security").is_some();
        let (has_security, has_words) = (says("security") || at_root, says("summary") || says("description"));
        if !has_security {
            self.built_in_finding(MISSING_SECURITY, at, format!("nothing says who may call `{name}`"));
        }
        if !has_words {
            self.built_in_finding(MISSING_DESCRIPTION, at, format!("nothing says what `{name}` is for"));
        }
        self.scopes_of_requirements(&at.key("security"));
        let responses = at.key("responses");
        let statuses = self.source.value(&responses).and_then(Value::as_object);
        let of_errors = |status: &String| status == "default" || status.starts_with('4');
        if !statuses.is_some_and(|statuses| statuses.keys().any(of_errors)) {
            let place = if statuses.is_some() { &responses } else { at };
            let told = format!("`{name}` does not say how it refuses a request");
            self.built_in_finding(MISSING_ERROR_RESPONSE, place, told);
        }
    }

    fn parameter(&mut self, at: &At) {
        let word = |key: &str| self.source.member(at, key).and_then(Value::as_str).unwrap_or_default();
        let (name, place) = (word("name").to_owned(), word("in"));
        if place == "query" && secret::is_called_like_one(&name) {
            let told = format!("the query parameter `{name}` is called like a secret");
            self.built_in_finding(SECRET_IN_QUERY, &at.key("name"), told);
        }
    }

    fn security_scheme(&mut self, at: &At) {
        let word = |key: &str| self.source.member(at, key).and_then(Value::as_str).unwrap_or_default();
        if word("type") == "apiKey" && word("in") == "query" {
            let told = format!("the key `{}` travels in the query", word("name"));
            self.built_in_finding(SECRET_IN_QUERY, &at.key("in"), told);
        }
        let flows = at.key("flows");
        let named = self.source.value(&flows).and_then(Value::as_object);
        for flow in named.into_iter().flat_map(Map::keys) {
            let scopes = flows.key(flow).key("scopes");
            let listed = self.source.value(&scopes).and_then(Value::as_object);
            for scope in listed.into_iter().flat_map(Map::keys).filter(|scope| scope.contains('*')) {
                self.built_in_finding(WILDCARD_SCOPE, &scopes.key(scope), wildcard(scope));
            }
        }
    }

    fn scopes_of_requirements(&mut self, at: &At) {
        let requirements = self.source.value(at).and_then(Value::as_array);
        for (n, requirement) in requirements.into_iter().flatten().enumerate() {
            for (scheme, scopes) in requirement.as_object().into_iter().flatten() {
                for (s, scope) in scopes.as_array().into_iter().flatten().enumerate() {
                    if let Some(scope) = scope.as_str().filter(|scope| scope.contains('*')) {
                        let place = at.item(n).key(scheme).item(s);
                        self.built_in_finding(WILDCARD_SCOPE, &place, wildcard(scope));
                    }
                }
            }
        }
    }

    fn schema(&mut self, visited: &Visited, own: Cover) {
        let at = &visited.at;
        let Some(schema) = self.source.value(at).and_then(Value::as_object) else { return };
        let cover = own.and(visited.around);
        let types = types(schema);
        let is = |name: &str| types.contains(&name);
        let composes_objects = schema.contains_key("allOf") && self.is_of_objects(at);
        let names_properties = schema.contains_key("properties") && types.is_empty();
        let is_object = is("object") || names_properties || composes_objects;
        if is("string") && !cover.has(Cover::STRINGS) {
            self.built_in_finding(
                UNBOUNDED_STRING,
                at,
                format!("{} may have any length", self.what(at, "the string")),
            );
        }
        if is("array") && !cover.has(Cover::ARRAYS) {
            let told = format!("{} may have any number of items", self.what(at, "the array"));
            self.built_in_finding(UNBOUNDED_ARRAY, at, told);
        }
        if is_object && !cover.has(Cover::CLOSED) {
            let told =
                format!("{} does not say whether it may have other properties", self.what(at, "the object"));
            self.built_in_finding(OPEN_OBJECT, at, told);
        } else if is("object") && !cover.has(Cover::OBJECTS) && own.has(Cover::CLOSED) {
            let told = format!("{} may have any number of properties", self.what(at, "the object"));
            self.built_in_finding(UNBOUNDED_OBJECT, at, told);
        }
        if (is("integer") || is("number")) && !cover.has(Cover::NUMBERS) {
            let told = format!("{} may be of any size", self.what(at, "the number"));
            self.built_in_finding(UNBOUNDED_NUMBER, at, told);
        }
    }

    /// Whether a part of the `allOf` at `at` describes an object.
    fn is_of_objects(&self, at: &At) -> bool {
        let parts = self.source.member(at, "allOf").and_then(Value::as_array).map_or(0, Vec::len);
        (0..parts).any(|n| {
            let Ok(part) = self.source.follow(at.key("allOf").item(n)) else { return false };
            let schema = self.source.value(&part).and_then(Value::as_object);
            schema
                .is_some_and(|schema| types(schema).contains(&"object") || schema.contains_key("properties"))
        })
    }

    /// What the schema at `at` is called: the name of its property or component.
    fn what(&self, at: &At, otherwise: &str) -> String {
        let mut tokens = at.pointer.rsplit('/');
        let (last, before) = (tokens.next().unwrap_or_default(), tokens.next().unwrap_or_default());
        let name = crate::document::untoken(last);
        match before {
            "properties" | "schemas" | "$defs" => format!("`{name}`"),
            _ => match self.source.member(at, "title").and_then(Value::as_str) {
                Some(title) => format!("`{title}`"),
                None => otherwise.to_owned(),
            },
        }
    }
}

fn wildcard(scope: &str) -> String {
    format!("the scope `{scope}` stands for whatever may ever match it")
}
