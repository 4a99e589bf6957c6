//! Which deprecated or watched parameters and properties does a request use?
//!
//! Asked only of operations that have any. What was used is told by its place in the contract, never by
//! value; what is past its own sunset is refused.

mod graph;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderValue;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::Value;

use super::catalogue::Matched;
use super::field::Field;
use super::operation::Operation;
use super::parameter::{Parameter, Place};
use super::request::{CheckedRequest, content_type};
use super::target::Target;
use super::violation::{Location, RequestFault, Violation, Violations};

pub(super) use graph::{Branch, Graph, Node};

/// The marked properties of an operation's bodies.
#[derive(Default)]
pub(super) struct BodyFields {
    /// The contract's graph, which is there once the contract is loaded.
    pub(super) graph: Arc<OnceLock<Graph>>,
    /// By media type as the contract writes it: the number of the body's schema. Only those that lead to a mark.
    pub(super) roots: Vec<(String, usize)>,
}

/// What a request uses of what is deprecated or watched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Used {
    fields: Vec<Arc<Field>>,
    /// Uses of what is past its sunset.
    gone: Violations,
}

impl Used {
    /// The fields, each once: parameters first.
    #[must_use]
    pub fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The value of `Deprecated-Use`: a Structured Fields list (RFC 9651) of the first few.
    #[must_use]
    pub fn told(&self) -> Option<HeaderValue> {
        let mut list = String::new();
        for member in self.fields.iter().filter_map(|field| field.told()).take(TOLD_MAX) {
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(member);
        }
        HeaderValue::try_from(list).ok().filter(|value| !value.is_empty())
    }

    /// `Link` to the guides, each once.
    #[must_use]
    pub fn links(&self) -> Vec<&HeaderValue> {
        let mut links = Vec::new();
        for link in self.fields.iter().filter_map(|field| field.link()) {
            if !links.contains(&link) && links.len() < TOLD_MAX {
                links.push(link);
            }
        }
        links
    }

    /// What the contract says of the request, with what it uses after its sunset.
    ///
    /// # Errors
    /// The violations of both, or another fault.
    pub fn judge<T>(self, checked: Result<T, RequestFault>) -> Result<T, RequestFault> {
        match checked {
            Ok(checked) if self.gone.is_empty() => Ok(checked),
            Ok(_) => Err(RequestFault::Violations(self.gone)),
            Err(RequestFault::Violations(mut found)) => {
                self.gone.into_iter().for_each(|one| found.push(one));
                Err(RequestFault::Violations(found))
            }
            Err(other) => Err(other),
        }
    }

    fn add(&mut self, field: &Arc<Field>, location: Location, now: Timestamp) {
        self.fields.push(Arc::clone(field));
        if field.is_gone(now) {
            let contract = format!("{}/x-gateway/lifecycle/sunset", field.pointer());
            self.gone.push(Violation::new(location, "sunset", field.instead()).under(&contract));
        }
    }
}

impl Operation {
    /// The deprecated and watched parameters and properties of its requests.
    #[must_use]
    pub fn fields(&self) -> Vec<Arc<Field>> {
        let parameters = self.parameters.iter().filter_map(|parameter| parameter.field.as_ref());
        let mut fields: Vec<Arc<Field>> = parameters.map(Arc::clone).collect();
        if let Some(graph) = self.body_fields.graph.get() {
            for (_, root) in &self.body_fields.roots {
                let new = graph.reachable(*root).into_iter().filter(|field| !fields.contains(field));
                let new: Vec<_> = new.map(Arc::clone).collect();
                fields.extend(new);
            }
        }
        fields
    }

    /// What a request that was checked, with whatever outcome, uses of them at `now`. A request whose body
    /// passes through in pieces has none to look at.
    #[must_use]
    pub fn used(
        &self,
        parts: &Parts,
        matched: &Matched,
        target: &Target,
        body: Option<(&Bytes, Option<&CheckedRequest>)>,
        now: Timestamp,
    ) -> Used {
        let mut used = Used::default();
        if self.has_marked_parameters {
            for parameter in self.parameters.iter() {
                if let Some(field) = &parameter.field
                    && self.carries(parameter, parts, matched, target)
                {
                    used.add(field, parameter.location(), now);
                }
            }
        }
        if let (Some((body, checked)), false) = (body, self.body_fields.roots.is_empty()) {
            self.used_by_body(parts, body, checked, now, &mut used);
        }
        used
    }

    fn carries(&self, parameter: &Parameter, parts: &Parts, matched: &Matched, target: &Target) -> bool {
        match &parameter.place {
            Place::Path => matched.values().iter().any(|value| value.name == parameter.name),
            Place::Query => target.pairs().iter().any(|(name, _)| {
                // An object that takes any name does not take those of the parameters beside it.
                let named = |other: &Parameter| other.place == Place::Query && *other.name == **name;
                parameter.claims(name) && (*parameter.name == **name || !self.parameters.iter().any(named))
            }),
            Place::Header(name) => parts.headers.contains_key(name),
            Place::Cookie => !matches!(super::cookie::text(&parts.headers, &parameter.name), Ok(None)),
        }
    }

    fn used_by_body(
        &self,
        parts: &Parts,
        body: &Bytes,
        checked: Option<&CheckedRequest>,
        now: Timestamp,
        used: &mut Used,
    ) {
        let described = self.body.as_ref().zip(content_type(&parts.headers));
        let entry = described.and_then(|(described, media)| described.content.entry(media));
        let (Some((entry, media)), false) = (entry, body.is_empty()) else { return };
        let root = self.body_fields.roots.iter().find(|(range, _)| range == entry.range.text());
        let (Some((_, root)), Some(graph)) = (root, self.body_fields.graph.get()) else { return };
        let read;
        let value: &Value = match checked.and_then(CheckedRequest::json) {
            Some(value) => value,
            // A form, or a body that was refused: it is read once more, for this alone.
            None => match entry.read(media.as_ref(), body) {
                Some(value) => {
                    read = value;
                    &read
                }
                None => return,
            },
        };
        for (field, at) in graph.walk(*root, value) {
            used.add(field, Location::Body(String::new()).within(&at), now);
        }
    }
}

/// As many as a person mends at a time, and as a header field has room for.
const TOLD_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::super::sample::{self, head};
    use super::*;

    /// What a request uses, and what it breaks, at a time.
    fn ask(
        catalogue: &Catalogue,
        (method, target): (&str, &str),
        fields: &[(&str, &str)],
        body: &str,
        now: &str,
    ) -> (Used, Result<CheckedRequest, RequestFault>) {
        let target = Target::from_origin_form(target).unwrap();
        let matched = sample::find(catalogue, method, &target).unwrap();
        let (parts, body) = (head(method, fields), Bytes::from(body.to_owned()));
        let operation = matched.operation();
        let checked = operation.check_request(&parts, &matched, &target, &body);
        let asked = Some((&body, checked.as_ref().ok()));
        let used = operation.used(&parts, &matched, &target, asked, now.parse().unwrap());
        (used, checked)
    }

    fn pointers(used: &Used) -> Vec<&str> {
        used.fields().iter().map(|field| field.pointer()).collect()
    }

    /// A contract with one operation that takes JSON and forms of this schema.
    fn with_schema(openapi: &str, schema: &str, rest: &str) -> Catalogue {
        let media = format!("{{schema: {schema}}}");
        let paths = format!(
            "paths:\n  /t:\n    post:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      requestBody:\n        content:\n          application/json: {media}\n          application/x-www-form-urlencoded: {media}\n          multipart/form-data: {media}\n{rest}"
        );
        sample::contract(openapi, &paths).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
    }

    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    const NOW: &str = "2026-11-28T00:00:00Z";

    /// The ends of the pointers that a JSON body of this schema uses.
    #[track_caller]
    fn check(openapi: &str, schema: &str, rest: &str, body: &str, expected: &[&str]) {
        let catalogue = with_schema(openapi, schema, rest);
        let (used, _) = ask(&catalogue, ("POST", "/api/v1/t"), JSON, body, NOW);
        let mut ends: Vec<&str> = pointers(&used).iter().filter_map(|p| p.rsplit('/').next()).collect();
        ends.sort_unstable();
        assert_eq!(ends, expected, "{schema} {body}");
    }

    #[test]
    fn a_property_is_found_wherever_a_schema_can_say_it() {
        const OLD: &str = "{deprecated: true}";
        for (schema, body, expected) in [
            (format!("{{properties: {{a: {OLD}, b: {{}}}}}}"), r#"{"a":1,"b":2}"#, &["a"][..]),
            (format!("{{properties: {{a: {OLD}}}}}"), r#"{"b":2}"#, &[]),
            (format!("{{properties: {{a: {OLD}}}}}"), r#"{"a":null}"#, &["a"]),
            (format!("{{items: {{properties: {{a: {OLD}}}}}}}"), r#"[{},{"a":1},{"a":2}]"#, &["a"]),
            (
                format!("{{prefixItems: [{{}}, {OLD}], items: {{properties: {{a: {OLD}}}}}}}"),
                "[1,2,{}]",
                &["1"],
            ),
            (format!("{{prefixItems: [{{}}], items: {{properties: {{a: {OLD}}}}}}}"), r#"[{"a":1}]"#, &[]),
            (
                format!("{{allOf: [{{properties: {{a: {OLD}}}}}, {{properties: {{a: {{}}, b: {OLD}}}}}]}}"),
                r#"{"a":1,"b":2}"#,
                &["a", "b"],
            ),
            (
                format!("{{properties: {{b: {{}}}}, additionalProperties: {{properties: {{a: {OLD}}}}}}}"),
                r#"{"b":{"a":1}}"#,
                &[],
            ),
            (
                format!("{{properties: {{b: {{}}}}, additionalProperties: {{properties: {{a: {OLD}}}}}}}"),
                r#"{"c":{"a":1}}"#,
                &["a"],
            ),
            (
                format!(
                    "{{patternProperties: {{'^x-': {OLD}}}, additionalProperties: {{properties: {{a: {OLD}}}}}}}"
                ),
                r#"{"x-1":{"a":1}}"#,
                &["^x-"],
            ),
            (format!("{{if: {{}}, then: {{properties: {{a: {OLD}}}}}}}"), r#"{"a":1}"#, &["a"]),
            ("{properties: {a: {x-gateway: {watched: true}}}}".to_owned(), r#"{"a":1}"#, &["a"]),
            ("{properties: {a: {x-gateway: {lifecycle: {}}}}}".to_owned(), r#"{"a":1}"#, &["a"]),
            (format!("{{properties: {{'a/b': {OLD}}}}}"), r#"{"a/b":1}"#, &["a~1b"]),
        ] {
            check("3.1.0", &schema, "", body, expected);
        }
    }

    #[test]
    fn alternatives_count_where_they_fit() {
        let schema = "{oneOf: [
            {required: [card], properties: {kind: {const: card}, card: {}, note: {deprecated: true}}},
            {required: [iban], properties: {kind: {const: bank}, iban: {}, note: {}}}]}"
            .replace('\n', " ");
        check("3.1.0", &schema, "", r#"{"card":1,"kind":"card","note":1}"#, &["note"]);
        check("3.1.0", &schema, "", r#"{"iban":1,"kind":"bank","note":1}"#, &[]);
        // It fits none, so it is refused; what it may have meant is counted.
        check("3.1.0", &schema, "", r#"{"note":1}"#, &["note"]);
        let whole = "{anyOf: [{type: string, deprecated: true}, {type: object}]}";
        check("3.1.0", whole, "", r#""x""#, &["0"]);
        check("3.1.0", whole, "", "{}", &[]);
    }

    #[test]
    fn a_schema_that_contains_itself_is_walked_to_the_end_of_the_value() {
        let rest = "components:\n  schemas:\n    Tree: {properties: {old: {deprecated: true}, next: {$ref: '#/components/schemas/Tree'}, both: {anyOf: [{$ref: '#/components/schemas/Tree'}, {$ref: '#/components/schemas/Tree'}]}}}\n    Loop: {allOf: [{$ref: '#/components/schemas/Loop'}]}\n";
        let tree = "{$ref: '#/components/schemas/Tree'}";
        for openapi in ["3.0.3", "3.1.0"] {
            check(openapi, tree, rest, r#"{"next":{"next":{"old":1}}}"#, &["old"]);
            // Twice as many ways to each level would never end.
            let deep = format!("{}{}{}", "{\"both\":".repeat(60), r#"{"old":1}"#, "}".repeat(60));
            check(openapi, tree, rest, &deep, &["old"]);
            check(openapi, tree, rest, r#"{"next":{"next":{}}}"#, &[]);
            check(
                openapi,
                "{properties: {a: {$ref: '#/components/schemas/Tree'}, b: {deprecated: true}}}",
                rest,
                r#"{"b":1,"a":{"old":1}}"#,
                &["b", "old"],
            );
        }
    }

    #[test]
    fn a_mark_beside_a_reference_counts_in_both_versions() {
        let rest =
            "components:\n  schemas:\n    Note: {type: string}\n    Old: {type: string, deprecated: true}\n";
        let schema = "{properties: {a: {$ref: '#/components/schemas/Note', deprecated: true}, b: {$ref: '#/components/schemas/Old'}, c: {$ref: '#/components/schemas/Note'}}}";
        for openapi in ["3.0.3", "3.1.0"] {
            check(openapi, schema, rest, r#"{"a":"x","b":"x","c":"x"}"#, &["Old", "a"]);
        }
    }

    #[test]
    fn the_fields_of_forms_are_properties() {
        let catalogue = with_schema(
            "3.1.0",
            "{type: object, properties: {a: {type: integer, deprecated: true}, b: {type: string}}}",
            "",
        );
        let form = &[("content-type", "application/x-www-form-urlencoded")][..];
        let multipart = &[("content-type", "multipart/form-data; boundary=b")][..];
        let part =
            |name: &str| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n1\r\n--b--");
        for (fields, body, expected) in [
            (form, "a=1&b=x".to_owned(), 1),
            (form, "a=not-a-number".to_owned(), 1),
            (form, "b=x".to_owned(), 0),
            (multipart, part("a"), 1),
            (multipart, part("b"), 0),
            (multipart, "broken".to_owned(), 0),
        ] {
            let (used, _) = ask(&catalogue, ("POST", "/api/v1/t"), fields, &body, NOW);
            assert_eq!(used.fields().len(), expected, "{body}");
        }
    }

    const PARAMETERS: &str = "
paths:
  /t/{id}:
    get:
      operationId: t
      responses: {'204': {description: x}}
      parameters:
        - {name: id, in: path, required: true, deprecated: true, schema: {type: string}}
        - {name: q, in: query, deprecated: true, schema: {type: string}, x-gateway: {lifecycle: {sunset: '2026-12-01T00:00:00Z', successor: search, guide: 'https://docs.example/q'}}}
        - {name: f, in: query, style: deepObject, schema: {type: object, properties: {k: {type: string}}, deprecated: true}}
        - {name: all, in: query, deprecated: true, schema: {type: object, additionalProperties: {type: string}}}
        - {name: search, in: query, schema: {type: string}}
        - {name: X-Old, in: header, deprecated: true, schema: {type: string}}
        - {name: sid, in: cookie, schema: {type: string}, x-gateway: {watched: true}}
";

    #[test]
    fn parameters_are_used_where_they_are_sent() {
        let catalogue = sample::catalogue(PARAMETERS);
        for (target, fields, expected) in [
            ("/api/v1/t/1", &[][..], "id"),
            ("/api/v1/t/1?search=x", &[], "id"),
            ("/api/v1/t/1?other=x", &[], "id all"),
            ("/api/v1/t/1?q=", &[], "id q"),
            ("/api/v1/t/1?f%5Bk%5D=x", &[], "id f all"),
            ("/api/v1/t/1", &[("x-old", "1"), ("cookie", "a=b; sid=1")], "id X-Old sid"),
        ] {
            let (used, _) = ask(&catalogue, ("GET", target), fields, "", NOW);
            let names: Vec<&str> = used.fields().iter().map(|field| field.name()).collect();
            assert_eq!(names.join(" "), expected, "{target}");
        }
        let all = catalogue.operations()[0].fields();
        assert_eq!(all.iter().filter(|field| !field.is_deprecated()).count(), 1);
    }

    #[test]
    fn the_answer_is_told_of_what_was_used() {
        let catalogue = sample::catalogue(PARAMETERS);
        let fields = &[("cookie", "sid=1")];
        let (used, checked) = ask(&catalogue, ("GET", "/api/v1/t/1?q=x"), fields, "", NOW);
        assert_eq!(
            used.told().unwrap(),
            "\"/paths/~1t~1{id}/get/parameters/0\";in=path;name=\"id\", \"/paths/~1t~1{id}/get/parameters/1\";in=query;name=\"q\";sunset=@1796083200"
        );
        assert_eq!(used.links(), ["<https://docs.example/q>; rel=\"deprecation\""]);
        assert!(used.judge(checked).is_ok());
        let (none, _) = ask(
            &sample::catalogue(
                "paths: {/a: {get: {operationId: a, responses: {'204': {description: x}}}}}\n",
            ),
            ("GET", "/api/v1/a"),
            &[],
            "",
            NOW,
        );
        assert_eq!((none.told(), none.links().len()), (None, 0));
    }

    #[test]
    fn what_is_past_its_sunset_breaks_the_contract() {
        let catalogue = sample::catalogue(PARAMETERS);
        let broken = |target: &str, now: &str| {
            let (used, checked) = ask(&catalogue, ("GET", target), &[], "", now);
            match used.judge(checked) {
                Ok(_) => Vec::new(),
                Err(RequestFault::Violations(found)) => found.as_slice().to_vec(),
                Err(other) => panic!("{other:?}"),
            }
        };
        assert_eq!(broken("/api/v1/t/1?q=x", "2026-11-30T23:59:59Z"), []);
        let late = broken("/api/v1/t/1?q=x", "2026-12-01T00:00:00Z");
        assert_eq!(late[0].location, Location::Query("q".to_owned()));
        assert_eq!(late[0].keyword, "sunset");
        assert_eq!(late[0].expected, "search in place of q, which ended 2026-12-01T00:00:00Z");
        assert!(late[0].contract.ends_with("/parameters/1/x-gateway/lifecycle/sunset"), "{late:?}");
        // Told together with what else is wrong.
        assert_eq!(broken("/api/v1/t/1?q=x&f=1", "2026-12-01T00:00:00Z").len(), 1);
        assert_eq!(broken("/api/v1/t/1?search=x", "2026-12-01T00:00:00Z"), []);

        let schema = "{type: object, properties: {lines: {type: array, items: {type: object, properties: {n: {type: integer}, old: {type: string, x-gateway: {lifecycle: {sunset: '2026-12-01T00:00:00Z'}}}}}}}}";
        let catalogue = with_schema("3.1.0", schema, "");
        let body = r#"{"lines":[{"n":"x"},{"old":"a"}]}"#;
        let (used, checked) = ask(&catalogue, ("POST", "/api/v1/t"), JSON, body, "2027-01-01T00:00:00Z");
        let Err(RequestFault::Violations(found)) = used.judge(checked) else {
            panic!("it is past its sunset")
        };
        let told: Vec<_> =
            found.as_slice().iter().map(|one| format!("{} {}", one.location, one.keyword)).collect();
        assert_eq!(told, ["body /lines/0/n type", "body /lines/1/old sunset"]);
    }

    #[test]
    fn a_mark_that_cannot_be_kept_is_told() {
        let told = |parameter: &str| {
            let paths = format!(
                "paths:\n  /t:\n    get:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      parameters: [{{name: p, in: query, {parameter}}}]\n"
            );
            sample::contract("3.1.0", &paths).map(|_| ()).map_err(|mistakes| mistakes.to_string())
        };
        for (parameter, expected) in [
            ("schema: {}, x-gateway: {lifecycle: {guide: 'ftp://x'}}", "`guide` is not"),
            ("schema: {}, x-gateway: {lifecycle: {successor: '#/nowhere'}}", "nothing stands at `#/nowhere`"),
            (
                "required: true, schema: {}, x-gateway: {lifecycle: {sunset: '2026-12-01T00:00:00Z'}}",
                "required",
            ),
            ("schema: {}, x-gateway: {lifecycle: {sunst: x}}", "did you mean `sunset`?"),
        ] {
            let shown = told(parameter).unwrap_err();
            assert!(shown.contains(expected), "{parameter}: {shown}");
        }
        assert_eq!(
            told("schema: {}, deprecated: true, x-gateway: {lifecycle: {successor: '#/paths'}}"),
            Ok(())
        );
    }
}
