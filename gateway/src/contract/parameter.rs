//! Are the parameters of a request what the contract describes? Path, query, header, cookie.
//!
//! It finds each parameter's text, has its style take it apart and its schema judge the value. It does
//! not know bodies.

use std::sync::Arc;

use http::HeaderMap;
use http::header::HeaderName;
use serde_json::Value;

use super::cookie;
use super::field::Field;
use super::json;
use super::schema::Schema;
use super::settings::UnknownParameters;
use super::shape::{Reading, Shape};
use super::style::{self, Explode, NotInStyle, Style, Wire};
use super::target::{Target, WrittenPair};
use super::violation::{Location, Violation, Violations};

/// One described parameter, ready to be checked.
pub(super) struct Parameter {
    pub(super) name: Arc<str>,
    pub(super) place: Place,
    pub(super) required: bool,
    pub(super) allow_empty: bool,
    pub(super) mark: Mark,
    pub(super) form: Form,
    /// What is counted and told of its use, where it is deprecated or watched.
    pub(super) field: Option<Arc<Field>>,
    /// Where the parameter stands in the contract.
    pub(super) pointer: String,
}

impl Parameter {
    /// Whether its value is personal data.
    pub(super) fn is_personal(&self) -> bool {
        self.mark == Mark::Personal
    }

    /// Whether its name may stand in one query more than once.
    pub(super) fn is_repeatable(&self) -> bool {
        match &self.form {
            Form::Styled { style: Style::DeepObject, .. } | Form::Json(_) | Form::Text(_) => false,
            Form::Styled { explode, shape, .. } => *explode == Explode::Yes && shape.may_be_array(),
        }
    }
}

/// Who may be told a parameter's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nobody but the upstream.
    Unmarked,
    /// The same, and it is redacted wherever it would be recorded.
    Personal,
    /// Whoever sent it.
    Public,
}

/// Where a parameter is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header(HeaderName),
    Cookie,
}

/// How a parameter's text is to be understood.
pub(super) enum Form {
    /// By a style and a schema.
    Styled { style: Style, explode: Explode, shape: Shape, schema: Schema },
    /// As JSON (`content`).
    Json(Schema),
    /// As one text of another media type (`content`).
    Text(Schema),
}

/// The value of a path parameter, as it stands in the path and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathValue {
    pub(super) name: Arc<str>,
    pub(super) raw: String,
    pub(super) decoded: String,
}

/// All parameters of an operation.
pub(super) struct Parameters {
    all: Vec<Parameter>,
    unknown: UnknownParameters,
}

impl Parameters {
    pub(super) fn new(all: Vec<Parameter>, unknown: UnknownParameters) -> Self {
        Self { all, unknown }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.all.iter()
    }

    /// Checks all of them, and that the query holds nothing else.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        target: &Target,
        path: &[PathValue],
        found: &mut Violations,
    ) {
        let pairs: Vec<WrittenPair<'_>> = target.written_pairs().collect();
        for parameter in &self.all {
            match &parameter.place {
                Place::Path => {
                    let value = path.iter().find(|value| value.name == parameter.name);
                    parameter.check_segment(value, found);
                }
                Place::Query => parameter.check_query(&pairs, found),
                Place::Header(name) => {
                    let read = header_text(headers, name);
                    parameter.check_plain(read, found);
                }
                Place::Cookie => parameter.check_cookie(headers, found),
            }
        }
        if self.unknown == UnknownParameters::Refuse {
            self.refuse_unknown(&pairs, found);
        }
    }

    fn refuse_unknown(&self, pairs: &[WrittenPair<'_>], found: &mut Violations) {
        let queries = || self.all.iter().filter(|parameter| parameter.place == Place::Query);
        let mut told: Vec<&str> = Vec::new();
        for pair in pairs {
            if told.contains(&pair.name) || queries().any(|parameter| parameter.claims(pair.name)) {
                continue;
            }
            told.push(pair.name);
            let known: Vec<&str> = queries().map(|parameter| &*parameter.name).collect();
            let expected = match known.as_slice() {
                [] => "no query parameters".to_owned(),
                known => format!("only the query parameters {}", known.join(", ")),
            };
            let name: String = pair.name.chars().take(NAME_SHOWN_MAX).collect();
            found.push(Violation::new(Location::Query(name), "unknown", expected));
        }
    }
}

impl Parameter {
    /// Where a reader of the request finds it.
    pub(super) fn location(&self) -> Location {
        let name = self.name.to_string();
        match self.place {
            Place::Path => Location::Path(name),
            Place::Query => Location::Query(name),
            Place::Header(_) => Location::Header(name),
            Place::Cookie => Location::Cookie(name),
        }
    }

    fn refuse(&self, keyword: &str, expected: impl Into<String>) -> Violation {
        Violation::new(self.location(), keyword, expected).under(&self.pointer)
    }

    /// Whether a query pair of this name belongs to the parameter.
    pub(super) fn claims(&self, name: &str) -> bool {
        match &self.form {
            Form::Styled { style: Style::DeepObject, shape, .. } => {
                let rest = name.strip_prefix(&*self.name);
                rest.is_some_and(|rest| rest.starts_with('[') || (rest.is_empty() && shape.may_be_scalar()))
            }
            Form::Styled { style: Style::Form, explode: Explode::Yes, shape, .. }
                if shape.may_be_object() =>
            {
                let is_own = name == &*self.name && (shape.may_be_array() || shape.may_be_scalar());
                is_own || shape.invites_others() || shape.names(name)
            }
            Form::Styled { .. } | Form::Json(_) | Form::Text(_) => name == &*self.name,
        }
    }

    fn check_segment(&self, value: Option<&PathValue>, found: &mut Violations) {
        let Some(PathValue { raw, decoded, .. }) = value else {
            found.push(self.refuse("required", "the parameter"));
            return;
        };
        match &self.form {
            Form::Styled { style, explode, shape, schema } => {
                let ways = style::read_segment(raw, &self.name, *style, *explode, shape);
                self.judge_ways(ways, shape, schema, found);
            }
            Form::Json(schema) => self.judge_json(decoded, schema, found),
            Form::Text(schema) => self.judge(&Value::from(decoded.as_str()), schema, found),
        }
    }

    fn check_query(&self, pairs: &[WrittenPair<'_>], found: &mut Violations) {
        let mut own = pairs.iter().filter(|pair| pair.name == &*self.name);
        let first = own.next();
        // OpenAPI 3.0.4 section 4.7.12.2: `allowEmptyValue` lets a name stand without a value.
        if self.allow_empty && first.is_some_and(|pair| pair.value.is_empty()) && own.next().is_none() {
            return;
        }
        match &self.form {
            Form::Styled { style, explode, shape, schema } => {
                match style::read_pairs(pairs, &self.name, *style, *explode, shape) {
                    Ok(None) => self.check_absent(found),
                    Ok(Some(ways)) => self.judge_ways(Ok(ways), shape, schema, found),
                    Err(wrong) => self.judge_ways(Err(wrong), shape, schema, found),
                }
            }
            Form::Json(schema) | Form::Text(schema) => match (first, own.next()) {
                (None, _) => self.check_absent(found),
                (Some(_), Some(_)) => found.push(self.refuse("repeated", "the parameter at most once")),
                (Some(pair), None) if matches!(self.form, Form::Json(_)) => {
                    self.judge_json(pair.value, schema, found);
                }
                (Some(pair), None) => self.judge(&Value::from(pair.value), schema, found),
            },
        }
    }

    fn check_cookie(&self, headers: &HeaderMap, found: &mut Violations) {
        let Form::Styled { explode, shape, schema, .. } = &self.form else {
            return self.check_plain(cookie::text(headers, &self.name), found);
        };
        match cookie::read(headers, &self.name, *explode, shape) {
            Ok(None) => self.check_absent(found),
            Ok(Some(ways)) => self.judge_ways(Ok(ways), shape, schema, found),
            Err(wrong) => self.judge_ways(Err(wrong), shape, schema, found),
        }
    }

    /// Header fields, whose text has no percent-encoding, and cookies of a media type.
    pub(super) fn check_plain(&self, read: Result<Option<String>, NotInStyle>, found: &mut Violations) {
        let text = match read {
            Ok(Some(text)) => text,
            Ok(None) => return self.check_absent(found),
            Err(NotInStyle { keyword, expected }) => return found.push(self.refuse(keyword, expected)),
        };
        match &self.form {
            Form::Styled { explode, shape, schema, .. } => {
                self.judge_ways(style::read_plain(&text, *explode, shape), shape, schema, found);
            }
            Form::Json(schema) => self.judge_json(&text, schema, found),
            Form::Text(schema) => self.judge(&Value::from(text), schema, found),
        }
    }

    fn check_absent(&self, found: &mut Violations) {
        if self.required {
            found.push(self.refuse("required", "the parameter"));
        }
    }

    /// One way of reading the text must fit; the likeliest way tells why none does.
    fn judge_ways(
        &self,
        ways: Result<Vec<Wire>, NotInStyle>,
        shape: &Shape,
        schema: &Schema,
        found: &mut Violations,
    ) {
        let ways = match ways {
            Ok(ways) => ways,
            Err(NotInStyle { keyword, expected }) => return found.push(self.refuse(keyword, expected)),
        };
        let mut likeliest = None;
        for wire in &ways {
            for reading in [Reading::First, Reading::Second] {
                let value = wire.to_value(shape, reading);
                if schema.accepts(&value) {
                    return;
                }
                likeliest.get_or_insert(value);
            }
        }
        if let Some(value) = likeliest {
            self.explain(&value, schema, found);
        }
    }

    fn judge_json(&self, text: &str, schema: &Schema, found: &mut Violations) {
        match json::parse(text.as_bytes()) {
            Ok(value) => self.judge(&value, schema, found),
            Err(fault) => found.push(self.refuse("json", fault.reason.expected())),
        }
    }

    fn judge(&self, value: &Value, schema: &Schema, found: &mut Violations) {
        if !schema.accepts(value) {
            self.explain(value, schema, found);
        }
    }

    fn explain(&self, value: &Value, schema: &Schema, found: &mut Violations) {
        let before = found.len();
        schema.explain(value, &self.location(), found);
        if self.mark == Mark::Public {
            found.tell_received(before, |_| Some(value));
        }
    }
}

/// The text of a header field. RFC 9110 section 5.3: lines of one field are joined by commas.
pub(super) fn header_text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, NotInStyle> {
    let mut joined: Option<String> = None;
    for value in headers.get_all(name) {
        let Ok(text) = value.to_str() else {
            return Err(NotInStyle { keyword: "type", expected: "visible ASCII characters".to_owned() });
        };
        joined = Some(match joined {
            None => text.to_owned(),
            Some(before) => format!("{before},{text}"),
        });
    }
    Ok(joined)
}

/// A name that a caller chose is quoted back only so far.
const NAME_SHOWN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::violation::RequestFault;
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    /// The keyword that a request breaks, with the parameter `p` described as given; none if it passes.
    fn broken(parameter: &str, target: &str, fields: &[(&str, &str)]) -> Option<String> {
        let path = if parameter.contains("in: path") { "/t/{p}" } else { "/t" };
        let paths = format!(
            "paths:\n  '{path}':\n    get:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      parameters: [{{name: p, {parameter}}}]\n"
        );
        let catalogue = sample::catalogue(&paths);
        match sample::check(&catalogue, ("GET", &format!("/api/v1/t{target}")), fields, "") {
            Ok(_) => None,
            Err(RequestFault::Violations(found)) => Some(found.as_slice()[0].keyword.clone()),
            Err(other) => panic!("{other:?}"),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_of_a_header_or_cookie_are_answered(
            value in proptest::collection::vec(any::<u8>(), 0..40),
            kind in 0..4_usize,
            explode in any::<bool>(),
        ) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let schema = ["{type: integer}", "{type: array, items: {type: integer}}", "{type: object, properties: {a: {type: integer}}}", "{}"][kind];
            for (place, field) in [("header", "p"), ("cookie", "cookie")] {
                let catalogue = sample::catalogue(&format!(
                    "paths: {{/t: {{get: {{operationId: t, responses: {{'204': {{description: x}}}}, parameters: [{{name: p, in: {place}, explode: {explode}, schema: {schema}}}]}}}}}}\n"
                ));
                let operation = &catalogue.operations()[0];
                let mut parts = sample::head("GET", &[]);
                parts.headers.insert(field, value.clone());
                let target = Target::from_origin_form("/api/v1/t").unwrap();
                let matched = sample::find(&catalogue, "GET", &target).unwrap();
                let check = || operation.check_request(&parts, &matched, &target, &bytes::Bytes::new()).err();
                // The same bytes, the same answer.
                prop_assert_eq!(check(), check());
            }
        }
    }

    const COLOURS: &str =
        "schema: {type: array, items: {enum: [blue, black, brown]}, minItems: 3, maxItems: 3}";
    const RGB: &str = "schema: {type: object, properties: {R: {const: 100}, G: {const: 200}, B: {const: 150}}, required: [R, G, B], additionalProperties: false}";

    #[test]
    fn every_style_of_the_openapi_tables_is_read() {
        for (form, target) in [
            (format!("in: path, required: true, {COLOURS}"), "/blue,black,brown"),
            (format!("in: path, required: true, explode: true, {COLOURS}"), "/blue,black,brown"),
            (format!("in: path, required: true, {RGB}"), "/R,100,G,200,B,150"),
            (format!("in: path, required: true, explode: true, {RGB}"), "/R=100,G=200,B=150"),
            (format!("in: path, required: true, style: label, {COLOURS}"), "/.blue,black,brown"),
            (
                format!("in: path, required: true, style: label, explode: true, {COLOURS}"),
                "/.blue.black.brown",
            ),
            (format!("in: path, required: true, style: label, {RGB}"), "/.R,100,G,200,B,150"),
            (format!("in: path, required: true, style: label, explode: true, {RGB}"), "/.R=100.G=200.B=150"),
            (format!("in: path, required: true, style: matrix, {COLOURS}"), "/;p=blue,black,brown"),
            (
                format!("in: path, required: true, style: matrix, explode: true, {COLOURS}"),
                "/;p=blue;p=black;p=brown",
            ),
            (format!("in: path, required: true, style: matrix, {RGB}"), "/;p=R,100,G,200,B,150"),
            (format!("in: path, required: true, style: matrix, explode: true, {RGB}"), "/;R=100;G=200;B=150"),
            ("in: path, required: true, style: matrix, schema: {const: blue}".to_owned(), "/;p=blue"),
            ("in: path, required: true, style: label, schema: {const: blue}".to_owned(), "/.blue"),
            (format!("in: query, {COLOURS}"), "?p=blue&p=black&p=brown"),
            (format!("in: query, explode: false, {COLOURS}"), "?p=blue,black,brown"),
            (format!("in: query, explode: false, {COLOURS}"), "?p=blue%2Cblack%2Cbrown"),
            (format!("in: query, {RGB}"), "?R=100&G=200&B=150"),
            (format!("in: query, explode: false, {RGB}"), "?p=R,100,G,200,B,150"),
            (
                format!("in: query, style: spaceDelimited, explode: false, {COLOURS}"),
                "?p=blue%20black%20brown",
            ),
            (format!("in: query, style: spaceDelimited, explode: false, {COLOURS}"), "?p=blue+black+brown"),
            (
                format!("in: query, style: pipeDelimited, explode: false, {COLOURS}"),
                "?p=blue%7Cblack%7Cbrown",
            ),
            (format!("in: query, style: pipeDelimited, explode: false, {COLOURS}"), "?p=blue|black|brown"),
            (format!("in: query, style: pipeDelimited, explode: true, {COLOURS}"), "?p=blue&p=black&p=brown"),
            (format!("in: query, style: deepObject, {RGB}"), "?p%5BR%5D=100&p[G]=200&p[B]=150"),
        ] {
            assert_eq!(broken(&form, target, &[]), None, "{form} {target}");
        }
    }

    #[test]
    fn what_is_not_in_its_style_is_refused() {
        for (form, target, keyword) in [
            ("in: path, required: true, style: label, schema: {type: string}", "/blue", "style"),
            ("in: path, required: true, style: matrix, schema: {type: string}", "/p=blue", "style"),
            ("in: path, required: true, style: matrix, schema: {type: string}", "/;q=blue", "style"),
            ("in: path, required: true, schema: {type: object}", "/a,b,c", "style"),
            ("in: path, required: true, explode: true, schema: {type: object}", "/a=1,b", "style"),
            ("in: path, required: true, schema: {type: object}", "/a,1,a,2", "style"),
            ("in: query, schema: {type: string}", "?p=a&p=b", "repeated"),
            ("in: query, schema: {type: object, properties: {a: {}}}", "?a=1&a=2", "repeated"),
            ("in: query, style: deepObject, schema: {type: object}", "?p[a]=1&p[a]=2", "repeated"),
            ("in: query, style: deepObject, schema: {type: object}", "?p[a]=1&p[a][b]=2", "repeated"),
            ("in: query, style: deepObject, schema: {type: object}", "?p[a=1", "style"),
            ("in: query, style: deepObject, schema: {type: object}", "?p[][a]=1", "style"),
            (
                "in: query, style: deepObject, schema: {type: object, properties: {l: {type: array}}}",
                "?p[l][1]=x",
                "type",
            ),
        ] {
            assert_eq!(broken(form, target, &[]).as_deref(), Some(keyword), "{form} {target}");
        }
    }

    #[test]
    fn values_are_judged_by_their_schema() {
        for (form, target, keyword) in [
            ("in: path, required: true, schema: {type: integer}", "/12", None),
            ("in: path, required: true, schema: {type: integer}", "/twelve", Some("type")),
            ("in: path, required: true, schema: {type: string, maxLength: 2}", "/%C3%A9%C3%A9", None),
            ("in: path, required: true, schema: {type: string, maxLength: 2}", "/abc", Some("maxLength")),
            ("in: query, schema: {type: boolean}", "?p=true", None),
            ("in: query, schema: {type: boolean}", "?p=1", Some("type")),
            ("in: query, schema: {type: integer, format: int32}", "?p=2147483648", Some("maximum")),
            ("in: query, schema: {type: integer}", "?p=", Some("type")),
            ("in: query, allowEmptyValue: true, schema: {type: integer}", "?p=", None),
            ("in: query, allowEmptyValue: true, schema: {type: integer}", "?p", None),
            ("in: query, allowEmptyValue: true, schema: {type: integer}", "?p=&p=x", Some("repeated")),
            ("in: query, schema: {type: array, items: {type: integer}}", "?p=1&p=x", Some("type")),
            ("in: query, explode: false, schema: {type: array, items: {type: string}}", "?p=", None),
            (
                "in: query, schema: {oneOf: [{type: integer, maximum: 9}, {type: string, minLength: 2}]}",
                "?p=12",
                None,
            ),
            ("in: query, required: true, schema: {}", "", Some("required")),
            ("in: query, schema: {}", "", None),
            ("in: query, content: {application/json: {schema: {required: [a]}}}", "?p=%7B%22a%22:1%7D", None),
            ("in: query, content: {application/json: {schema: {required: [a]}}}", "?p={}", Some("required")),
            ("in: query, content: {application/json: {schema: {}}}", "?p={\"a\":1,\"a\":2}", Some("json")),
            ("in: query, content: {text/plain: {schema: {maxLength: 1}}}", "?p=ab", Some("maxLength")),
            ("in: query, content: {text/plain: {schema: {}}}", "?p=a&p=b", Some("repeated")),
        ] {
            assert_eq!(broken(form, target, &[]).as_deref(), keyword, "{form} {target}");
        }
    }

    #[test]
    fn header_fields_and_cookies_are_judged() {
        for (form, fields, keyword) in [
            ("in: header, required: true, schema: {type: integer}", &[("P", "12")][..], None),
            ("in: header, required: true, schema: {type: integer}", &[], Some("required")),
            ("in: header, schema: {type: integer}", &[("p", "x")], Some("type")),
            ("in: header, schema: {type: integer}", &[("p", "1"), ("p", "2")], Some("type")),
            ("in: header, schema: {type: array, items: {type: integer}}", &[("p", "1, 2"), ("p", "3")], None),
            ("in: header, explode: true, schema: {type: object, required: [a]}", &[("p", "a=1,b=2")], None),
            ("in: header, schema: {}", &[("p", "\u{e9}")], Some("type")),
            ("in: cookie, required: true, schema: {type: integer}", &[("cookie", "a=1; p=2")], None),
            ("in: cookie, required: true, schema: {type: integer}", &[("cookie", "a=1")], Some("required")),
            ("in: cookie, schema: {type: integer}", &[("cookie", "p=\"7\"")], None),
            ("in: cookie, schema: {type: integer}", &[("cookie", "p=1; p=2")], Some("repeated")),
            (
                "in: cookie, schema: {type: integer}",
                &[("cookie", "p=1"), ("cookie", "p=2")],
                Some("repeated"),
            ),
        ] {
            assert_eq!(broken(form, "", fields).as_deref(), keyword, "{form} {fields:?}");
        }
    }

    #[test]
    fn only_described_query_parameters_pass() {
        let schema = "schema: {type: object, properties: {a: {type: string}}}";
        for (form, target, keyword) in [
            ("in: query, schema: {}".to_owned(), "?q=1", Some("unknown")),
            ("in: header, schema: {}".to_owned(), "?p=1", Some("unknown")),
            (format!("in: query, {schema}"), "?a=1", None),
            (format!("in: query, {schema}"), "?b=1", Some("unknown")),
            (format!("in: query, style: deepObject, {schema}"), "?p=1", Some("unknown")),
            (format!("in: query, style: deepObject, {schema}"), "?px[a]=1", Some("unknown")),
            (
                "in: query, schema: {type: object, additionalProperties: {type: integer}}".to_owned(),
                "?b=1",
                None,
            ),
            (
                "in: query, schema: {type: object, additionalProperties: {type: integer}}".to_owned(),
                "?b=x",
                Some("type"),
            ),
        ] {
            assert_eq!(broken(&form, target, &[]).as_deref(), keyword, "{form} {target}");
        }
    }

    #[test]
    fn a_violation_names_the_parameter_and_what_would_pass_but_no_value() {
        let catalogue = sample::catalogue(
            "paths:\n  /t:\n    get:\n      operationId: t\n      responses: {'204': {description: x}}\n      parameters: [{name: p, in: query, schema: {enum: [a, b]}}]\n",
        );
        let found =
            sample::violations(sample::check(&catalogue, ("GET", "/api/v1/t?p=secret-value"), &[], ""));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].location, Location::Query("p".to_owned()));
        assert_eq!(found[0].expected, "one of \"a\", \"b\"");
        assert_eq!(found[0].contract, "/paths/~1t/get/parameters/0/schema/enum");
        assert!(!format!("{found:?}").contains("secret-value"));
    }
}
