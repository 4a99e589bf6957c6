//! Is a body what its media type and schema say? JSON, forms, multipart, text and bytes.
//!
//! One [`Content`] is the `content` map of a request body or of a response. It does not know which
//! status or operation it belongs to.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::json;
use super::media::{self, MediaRange, MediaType};
use super::multipart;
use super::percent::{self, Plus};
use super::schema::Schema;
use super::shape::{Reading, Shape};
use super::style::{self, Explode, Style};
use super::target::WrittenPair;
use super::violation::{Location, Violation, Violations};

/// The media types that a body may have, and what a body of each must be.
pub(super) struct Content {
    entries: Vec<Entry>,
    ranges: Vec<MediaRange>,
}

/// One media type of a `content` map.
pub(super) struct Entry {
    pub(super) range: MediaRange,
    pub(super) form: Form,
}

/// What a body of a media type must be.
pub(super) enum Form {
    /// One JSON value.
    Json(Option<Schema>),
    /// `application/x-www-form-urlencoded`.
    UrlEncoded(Fields),
    /// `multipart/form-data`.
    Multipart(Fields),
    /// UTF-8 text: a number or truth value where the shape wants one.
    Text(Option<(Schema, Shape)>),
    /// Bytes, of which only type and size are checked.
    Opaque,
}

/// The fields of a form.
pub(super) struct Fields {
    pub(super) schema: Option<Schema>,
    pub(super) shape: Shape,
    pub(super) encodings: Vec<(String, Encoding)>,
}

/// How one field of a form is written.
pub(super) struct Encoding {
    pub(super) style: Style,
    pub(super) explode: Explode,
    pub(super) content_types: Vec<MediaRange>,
}

/// Why a body is not what its `content` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ContentFault {
    /// Its bytes are not of its media type.
    Malformed(Violation),
    /// It is against its schema.
    Violations(Violations),
}

impl Content {
    pub(super) fn new(entries: Vec<Entry>) -> Self {
        let ranges = entries.iter().map(|entry| entry.range.clone()).collect();
        Self { entries, ranges }
    }

    /// The media types as the contract writes them.
    pub(super) fn ranges(&self) -> &[MediaRange] {
        &self.ranges
    }

    /// What a body with this `Content-Type` must be; the narrowest range decides.
    pub(super) fn entry(&self, content_type: &[u8]) -> Option<(&Entry, Option<MediaType>)> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.range.is_exactly(content_type)) {
            return Some((entry, None));
        }
        let media = MediaType::parse(std::str::from_utf8(content_type).ok()?)?;
        let fitting = self.entries.iter().filter_map(|entry| Some((entry.range.fit(&media)?, entry)));
        let (_, entry) = fitting.max_by_key(|(fit, _)| *fit)?;
        Some((entry, Some(media)))
    }
}

impl Entry {
    /// Checks `body`, whose media type's parameters are in `media`. The value of a JSON body is given
    /// back, since it has been read.
    pub(super) fn check(
        &self,
        media: Option<&MediaType>,
        body: &Bytes,
    ) -> Result<Option<Value>, ContentFault> {
        // RFC 8259 section 8.1, and the same for every other text: only UTF-8 is understood.
        let charset = media.and_then(|media| media.parameter("charset"));
        let is_text = !matches!(self.form, Form::Opaque | Form::Multipart(_));
        if is_text
            && charset.is_some_and(|c| !["utf-8", "us-ascii"].iter().any(|k| c.eq_ignore_ascii_case(k)))
        {
            return Err(malformed("charset", "text in UTF-8"));
        }
        match &self.form {
            Form::Json(schema) => {
                let value = json::parse(body).map_err(|fault| {
                    let location = Location::Body(String::new()).within(&fault.pointer);
                    ContentFault::Malformed(Violation::new(location, "json", fault.reason.expected()))
                })?;
                judge(&value, schema.as_ref())?;
                return Ok(Some(value));
            }
            Form::Text(schema) => {
                let text =
                    std::str::from_utf8(body).map_err(|_not_utf8| malformed("charset", "text in UTF-8"))?;
                if let Some((schema, shape)) = schema {
                    judge(&shape.scalar(text.to_owned(), Reading::First), Some(schema))?;
                }
            }
            Form::UrlEncoded(fields) => fields.check_url_encoded(body)?,
            Form::Multipart(fields) => {
                let boundary = media.and_then(|media| media.parameter("boundary")).unwrap_or_default();
                fields.check_multipart(body, boundary)?;
            }
            Form::Opaque => {}
        }
        Ok(None)
    }
}

impl Entry {
    /// The value that `body` stands for, whether or not it fits; nothing if it has none or cannot be read.
    pub(super) fn read(&self, media: Option<&MediaType>, body: &Bytes) -> Option<Value> {
        match &self.form {
            Form::Json(_) => json::parse(body).ok(),
            Form::UrlEncoded(fields) => fields.read_url_encoded(body, Reading::First).ok(),
            Form::Multipart(fields) => {
                let boundary = media.and_then(|media| media.parameter("boundary")).unwrap_or_default();
                fields.object_of_parts(&multipart::parts(body, boundary)?, Reading::First).ok()
            }
            Form::Text(_) | Form::Opaque => None,
        }
    }
}

impl Fields {
    fn encoding(&self, name: &str) -> Option<&Encoding> {
        self.encodings.iter().find(|(own, _)| own == name).map(|(_, encoding)| encoding)
    }

    fn check_url_encoded(&self, body: &[u8]) -> Result<(), ContentFault> {
        let first = self.read_url_encoded(body, Reading::First)?;
        self.judge_readings(first, || self.read_url_encoded(body, Reading::Second))
    }

    fn read_url_encoded(&self, body: &[u8], reading: Reading) -> Result<Value, ContentFault> {
        let not_form = || malformed("form", "name=value pairs in UTF-8, percent-encoded and joined by &");
        let text = std::str::from_utf8(body).map_err(|_not_utf8| not_form())?;
        let mut owned = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent::decode(name, Plus::Space).map_err(|_broken| not_form())?;
            let value = percent::decode(raw, Plus::Space).map_err(|_broken| not_form())?;
            if owned.len() >= FIELDS_MAX {
                return Err(malformed("form", format!("at most {FIELDS_MAX} fields")));
            }
            owned.push((name, value, raw));
        }
        let pairs: Vec<WrittenPair<'_>> =
            owned.iter().map(|(name, value, raw)| WrittenPair { name, value, raw }).collect();
        self.object_of_pairs(&pairs, reading)
    }

    /// The object that a form stands for. OpenAPI 3.0.4 section 4.7.14.4.
    fn object_of_pairs(&self, pairs: &[WrittenPair<'_>], reading: Reading) -> Result<Value, ContentFault> {
        let mut object = Map::new();
        let mut claimed: Vec<&str> = Vec::new();
        for name in self.shape.property_names() {
            let shape = self.shape.property(name);
            let (style, explode) =
                self.encoding(name).map_or((Style::Form, Explode::Yes), |own| (own.style, own.explode));
            let deep = style == Style::DeepObject;
            let own = |pair: &&WrittenPair<'_>| {
                pair.name == name
                    || (deep && pair.name.strip_prefix(name).is_some_and(|r| r.starts_with('[')))
            };
            claimed.extend(pairs.iter().filter(own).map(|pair| pair.name));
            // The fields of a form are the object's own, so a property's parts are never fields themselves.
            let mine: Vec<WrittenPair<'_>> = pairs.iter().filter(own).copied().collect();
            let ways = match style::read_pairs(&mine, name, style, explode, shape) {
                Ok(Some(ways)) => ways,
                Ok(None) => continue,
                Err(wrong) => {
                    let location = Location::Body(json::token(name));
                    return Err(violation(Violation::new(location, wrong.keyword, wrong.expected)));
                }
            };
            if let Some(wire) = ways.first() {
                object.insert(name.to_owned(), wire.to_value(shape, reading));
            }
        }
        for pair in pairs.iter().filter(|pair| !claimed.contains(&pair.name)) {
            let value = self.shape.property(pair.name).scalar(pair.value.to_owned(), reading);
            if object.insert(pair.name.to_owned(), value).is_some() {
                let location = Location::Body(String::new()).within(&json::token(pair.name));
                return Err(violation(Violation::new(location, "repeated", "the field at most once")));
            }
        }
        Ok(Value::Object(object))
    }

    fn check_multipart(&self, body: &[u8], boundary: &str) -> Result<(), ContentFault> {
        let parts = multipart::parts(body, boundary).ok_or_else(|| {
            malformed("form", "a multipart/form-data body that begins and ends with its boundary")
        })?;
        for part in &parts {
            self.check_part_type(part)?;
        }
        let read = |reading: Reading| self.object_of_parts(&parts, reading);
        self.judge_readings(read(Reading::First)?, || read(Reading::Second))
    }

    fn check_part_type(&self, part: &multipart::Part<'_>) -> Result<(), ContentFault> {
        let Some(Encoding { content_types, .. }) = self.encoding(&part.name) else { return Ok(()) };
        // RFC 7578 section 4.4: a part without a type is plain text.
        let media = MediaType::parse(part.content_type.as_deref().unwrap_or("text/plain"));
        let fits = |media: &MediaType| content_types.iter().any(|range| range.fit(media).is_some());
        if content_types.is_empty() || media.is_some_and(|media| fits(&media)) {
            return Ok(());
        }
        let location = Location::Body(String::new()).within(&json::token(&part.name));
        let wanted: Vec<&str> = content_types.iter().map(MediaRange::text).collect();
        Err(violation(Violation::new(
            location,
            "contentType",
            format!("a part of type {}", wanted.join(" or ")),
        )))
    }

    fn object_of_parts(
        &self,
        parts: &[multipart::Part<'_>],
        reading: Reading,
    ) -> Result<Value, ContentFault> {
        let mut object = Map::new();
        for part in parts {
            let shape = self.shape.property(&part.name);
            let is_array = shape.may_be_array();
            let item = if is_array { shape.items() } else { shape };
            let value = part_value(part, item, reading)?;
            let location = || Location::Body(String::new()).within(&json::token(&part.name));
            match (object.get_mut(&part.name), is_array) {
                (Some(Value::Array(items)), true) => items.push(value),
                (Some(_), _) => {
                    return Err(violation(Violation::new(location(), "repeated", "the field at most once")));
                }
                // An array may come as one part of JSON, or as one part for each item.
                (None, true) if !value.is_array() => {
                    object.insert(part.name.clone(), Value::Array(vec![value]));
                }
                (None, _) => {
                    object.insert(part.name.clone(), value);
                }
            }
        }
        Ok(Value::Object(object))
    }

    fn judge_readings(
        &self,
        first: Value,
        second: impl FnOnce() -> Result<Value, ContentFault>,
    ) -> Result<(), ContentFault> {
        let Some(schema) = &self.schema else { return Ok(()) };
        if schema.accepts(&first) || second().is_ok_and(|second| schema.accepts(&second)) {
            return Ok(());
        }
        judge(&first, Some(schema))
    }
}

/// The value of a part: JSON where an object or array is wanted or said, text, or bytes.
fn part_value(part: &multipart::Part<'_>, shape: &Shape, reading: Reading) -> Result<Value, ContentFault> {
    let media = part.content_type.as_deref().and_then(MediaType::parse);
    let said_json = media.is_some_and(|media| media::is_json(&media));
    if said_json || (!shape.may_be_scalar() && shape.may_be_object()) {
        return json::parse(part.body).map_err(|fault| {
            let location = Location::Body(json::token(&part.name)).within(&fault.pointer);
            ContentFault::Malformed(Violation::new(location, "json", fault.reason.expected()))
        });
    }
    Ok(match std::str::from_utf8(part.body) {
        Ok(text) => shape.scalar(text.to_owned(), reading),
        // One character for each byte, so that a schema can still count them.
        Err(_bytes) => Value::String(part.body.iter().copied().map(char::from).collect()),
    })
}

fn judge(value: &Value, schema: Option<&Schema>) -> Result<(), ContentFault> {
    let Some(schema) = schema.filter(|schema| !schema.accepts(value)) else { return Ok(()) };
    let mut found = Violations::default();
    schema.explain(value, &Location::Body(String::new()), &mut found);
    Err(ContentFault::Violations(found))
}

fn malformed(keyword: &str, expected: impl Into<String>) -> ContentFault {
    ContentFault::Malformed(Violation::new(Location::Body(String::new()), keyword, expected))
}

fn violation(one: Violation) -> ContentFault {
    let mut found = Violations::default();
    found.push(one);
    ContentFault::Violations(found)
}

/// No described form has as many fields.
const FIELDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::sample::{self, check};
    use super::super::violation::RequestFault;
    use proptest::prelude::*;

    /// What is wrong with a body of a contract's `content`; nothing if it passes.
    fn broken(content: &str, content_type: &str, body: &str) -> Option<String> {
        let catalogue = sample::catalogue(&format!(
            "paths:\n  /t:\n    post:\n      operationId: t\n      responses: {{'204': {{description: x}}}}\n      requestBody: {{required: true, content: {{{content}}}}}\n"
        ));
        match check(&catalogue, ("POST", "/api/v1/t"), &[("content-type", content_type)], body) {
            Ok(_) => None,
            Err(RequestFault::Malformed(one)) => Some(format!("malformed {}", one.keyword)),
            Err(RequestFault::Violations(all)) => {
                let first = &all.as_slice()[0];
                Some(format!("{} {}", first.location, first.keyword))
            }
            Err(RequestFault::MediaType { .. }) => Some("media type".to_owned()),
            Err(other) => panic!("{other:?}"),
        }
    }

    const SCHEMA: &str = "schema: {type: object, required: [a], additionalProperties: false, properties: {a: {type: integer}, b: {type: array, items: {type: boolean}}, c: {type: object, required: [x]}, d: {type: string}}}";

    #[test]
    fn forms_are_read_by_their_schema() {
        let form = format!("application/x-www-form-urlencoded: {{{SCHEMA}}}");
        for (body, expected) in [
            ("a=1", None),
            ("a=1&b=true&b=false", None),
            ("a=1&d=x+y%26", None),
            ("a=1&d=2", None),
            ("a=x", Some("body /a type")),
            ("b=true", Some("body  required")),
            ("a=1&b=maybe", Some("body /b/0 type")),
            ("a=1&a=2", Some("body /a repeated")),
            ("a=1&e=1", Some("body  additionalProperties")),
            ("a=1&d=%", Some("malformed form")),
            ("a=1&d=%FF", Some("malformed form")),
        ] {
            assert_eq!(
                broken(&form, "application/x-www-form-urlencoded", body).as_deref(),
                expected,
                "{body}"
            );
        }
        let many: Vec<String> = (0..=super::FIELDS_MAX).map(|n| format!("f{n}=")).collect();
        assert_eq!(
            broken(&form, "application/x-www-form-urlencoded", &many.join("&")).as_deref(),
            Some("malformed form")
        );
    }

    #[test]
    fn the_fields_of_a_form_follow_their_encoding() {
        let form = "application/x-www-form-urlencoded: {schema: {properties: {a: {type: array, items: {type: integer}}, f: {type: object, properties: {x: {type: integer}}}}}, encoding: {a: {explode: false}, f: {style: deepObject}}}";
        for (body, expected) in [
            ("a=1,2", None),
            ("a=1,x", Some("body /a/1 type")),
            ("f[x]=1", None),
            ("f%5Bx%5D=no", Some("body /f/x type")),
        ] {
            assert_eq!(
                broken(form, "application/x-www-form-urlencoded", body).as_deref(),
                expected,
                "{body}"
            );
        }
    }

    fn multipart(parts: &[(&str, &str)]) -> String {
        let part = |(head, body): &(&str, &str)| {
            format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n")
        };
        parts.iter().map(part).collect::<String>() + "--b--\r\n"
    }

    #[test]
    fn multipart_forms_are_read_by_their_schema() {
        let form = format!(
            "multipart/form-data: {{{SCHEMA}, encoding: {{d: {{contentType: 'text/plain, image/*'}}}}}}"
        );
        for (parts, expected) in [
            (&[("name=\"a\"", "1")][..], None),
            (&[("name=\"a\"", "1"), ("name=\"b\"", "true"), ("name=\"b\"", "false")], None),
            (&[("name=\"a\"", "1"), ("name=\"b\"\r\nContent-Type: application/json", "[true]")], None),
            (&[("name=\"a\"", "1"), ("name=\"c\"", "{\"x\":1}")], None),
            (&[("name=\"a\"", "1"), ("name=\"c\"", "{}")], Some("body /c required")),
            (&[("name=\"a\"", "1"), ("name=\"c\"", "{")], Some("malformed json")),
            (&[("name=\"a\"", "one")], Some("body /a type")),
            (&[("name=\"a\"", "1"), ("name=\"a\"", "1")], Some("body /a repeated")),
            (&[("name=\"e\"", "1"), ("name=\"a\"", "1")], Some("body  additionalProperties")),
            (
                &[("name=\"a\"", "1"), ("name=\"d\"; filename=\"x.png\"\r\nContent-Type: image/png", "x")],
                None,
            ),
            (
                &[("name=\"a\"", "1"), ("name=\"d\"\r\nContent-Type: text/html", "x")],
                Some("body /d contentType"),
            ),
        ] {
            let body = multipart(parts);
            assert_eq!(
                broken(&form, "multipart/form-data; boundary=b", &body).as_deref(),
                expected,
                "{body}"
            );
        }
        assert_eq!(broken(&form, "multipart/form-data", &multipart(&[])).as_deref(), Some("malformed form"));
        assert_eq!(
            broken(&form, "multipart/form-data; boundary=c", &multipart(&[])).as_deref(),
            Some("malformed form")
        );
    }

    #[test]
    fn the_narrowest_media_type_decides() {
        let content = "'*/*': {}, 'text/*': {schema: {maxLength: 2}}, text/plain: {schema: {type: integer}}, application/vnd.x+json: {schema: {type: object}}";
        for (content_type, body, expected) in [
            ("text/plain", "12", None),
            ("text/plain", "ab", Some("body  type")),
            ("text/csv", "abc", Some("body  maxLength")),
            ("image/png", "anything", None),
            ("application/vnd.x+json", "[]", Some("body  type")),
            ("application/vnd.x+json", "{", Some("malformed json")),
        ] {
            assert_eq!(broken(content, content_type, body).as_deref(), expected, "{content_type} {body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..60), kind in 0..4_usize) {
            let (content, content_type) = [
                ("application/json: {schema: {type: object}}", "application/json"),
                ("application/x-www-form-urlencoded: {schema: {properties: {a: {type: integer}}}}", "application/x-www-form-urlencoded"),
                ("multipart/form-data: {schema: {properties: {a: {type: integer}}}}", "multipart/form-data; boundary=b"),
                ("text/plain: {schema: {maxLength: 9}}", "text/plain"),
            ][kind];
            let text = String::from_utf8_lossy(&body);
            let answer = broken(content, content_type, &text);
            // The same bytes, the same answer.
            prop_assert_eq!(broken(content, content_type, &text), answer);
        }
    }
}
