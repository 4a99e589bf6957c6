//! Are the parameters of a request what the contract describes? Path, query, header, cookie.
//!
//! It finds each parameter's text, has its style take it apart and its schema judge the value. It does
//! not know bodies.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use serde_json::Value;

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
    pub(super) personal: bool,
    pub(super) form: Form,
    /// Where the parameter stands in the contract.
    pub(super) pointer: String,
}

impl Parameter {
    /// Whether its name may stand in one query more than once.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(&self.form, Form::Styled { style: Style::Form, explode: Explode::Yes, shape, .. } if shape.may_be_array())
    }
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
                Place::Cookie => parameter.check_plain(cookie_text(headers, &parameter.name), found),
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
    fn location(&self) -> Location {
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
            Form::Styled { style: Style::DeepObject, .. } => {
                name.strip_prefix(&*self.name).is_some_and(|rest| rest.starts_with('['))
            }
            Form::Styled { style: Style::Form, explode: Explode::Yes, shape, .. }
                if shape.may_be_object() =>
            {
                let is_own = name == &*self.name && (shape.may_be_array() || shape.may_be_scalar());
                is_own || shape.invites_others() || shape.property_names().any(|own| own == name)
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

    /// Header fields and cookies, whose text has no percent-encoding.
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
            schema.explain(&value, &self.location(), found);
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
            schema.explain(value, &self.location(), found);
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

/// The text of a cookie. RFC 6265 section 4.2.1.
fn cookie_text(headers: &HeaderMap, name: &str) -> Result<Option<String>, NotInStyle> {
    let mut value: Option<&str> = None;
    for field in headers.get_all(COOKIE) {
        let Ok(text) = field.to_str() else {
            return Err(NotInStyle { keyword: "type", expected: "visible ASCII characters".to_owned() });
        };
        for pair in text.split(';').map(|pair| pair.trim_matches([' ', '\t'])) {
            let Some((_, text)) = pair.split_once('=').filter(|(own, _)| *own == name) else { continue };
            // Which of two cookies of one name counts is for each server to guess; so neither does.
            if value.replace(text).is_some() {
                return Err(NotInStyle {
                    keyword: "repeated",
                    expected: "the cookie at most once".to_owned(),
                });
            }
        }
    }
    // RFC 6265 section 4.1.1: the value may stand in double quotes.
    let unquoted =
        |text: &str| text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text).to_owned();
    Ok(value.map(unquoted))
}

/// A name that a caller chose is quoted back only so far.
const NAME_SHOWN_MAX: usize = 64;
