//! Is a body what its media type and schema say? JSON, forms, text and bytes.
//!
//! One [`Content`] is the `content` map of a request body or of a response. It does not know which
//! status or operation it belongs to.

use bytes::Bytes;
use serde_json::Value;

use super::form::{self, Fields};
use super::json;
use super::media::{self, MediaRange, MediaType};
use super::schema::Schema;
use super::shape::{Reading, Shape};
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
    Json(Option<Described>),
    /// `application/x-www-form-urlencoded`.
    UrlEncoded(Fields),
    /// `multipart/form-data`.
    Multipart(Fields),
    /// UTF-8 text: a number or truth value where the shape wants one.
    Text(Option<Described>),
    /// Bytes, of which only type and size are checked.
    Bytes(Size),
    /// Of a range of media types, so that each body's own type says how to read it.
    Ranged(Fields, Others),
    /// The schema says more than can be checked of bodies of this type, so none is taken.
    Unreadable,
}

/// What happens to bodies of a range whose own type nothing here reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They are not taken.
    Refused,
    /// They are checked for type and size only.
    Unchecked,
}

/// What a value must be, and how it is read from text.
pub(super) struct Described {
    pub(super) schema: Schema,
    pub(super) shape: Shape,
}

/// How many bytes a body may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) min: Option<usize>,
    pub(super) max: Option<usize>,
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
        let readable = entries.iter().filter(|entry| !matches!(entry.form, Form::Unreadable));
        let ranges = readable.map(|entry| entry.range.clone()).collect();
        Self { entries, ranges }
    }

    /// The media types that are taken, as the contract writes them.
    pub(super) fn ranges(&self) -> &[MediaRange] {
        &self.ranges
    }

    /// What a body with this `Content-Type` must be; the narrowest range decides, and nothing is taken that it
    /// gives no way to check.
    pub(super) fn entry(&self, content_type: &[u8]) -> Option<(&Entry, Option<MediaType>)> {
        let exact = self.entries.iter().find(|entry| entry.range.is_exactly(content_type));
        if let Some(entry) = exact {
            return (!matches!(entry.form, Form::Unreadable)).then_some((entry, None));
        }
        let media = MediaType::parse(std::str::from_utf8(content_type).ok()?)?;
        if media.is_range() {
            return None;
        }
        let fitting = self.entries.iter().filter_map(|entry| Some((entry.range.fit(&media)?, entry)));
        let (_, entry) = fitting.max_by_key(|(fit, _)| *fit)?;
        entry.reads(&media).then_some((entry, Some(media)))
    }
}

impl Entry {
    /// Whether a body of the type `media` can be checked.
    fn reads(&self, media: &MediaType) -> bool {
        match &self.form {
            Form::Json(_) | Form::UrlEncoded(_) | Form::Multipart(_) | Form::Text(_) | Form::Bytes(_) => true,
            Form::Ranged(_, others) => *others == Others::Unchecked || media.family() != media::Family::Bytes,
            Form::Unreadable => false,
        }
    }

    /// Whether no field at all is a body too: an empty form has no bytes.
    pub(super) fn takes_empty_form(&self, media: Option<&MediaType>) -> bool {
        match &self.form {
            Form::UrlEncoded(_) => true,
            Form::Ranged(..) => media.is_some_and(|m| m.family() == media::Family::UrlEncoded),
            Form::Json(_) | Form::Multipart(_) | Form::Text(_) | Form::Bytes(_) | Form::Unreadable => false,
        }
    }

    /// Checks `body`, whose media type's parameters are in `media`. The value of a JSON body is given
    /// back, since it has been read.
    pub(super) fn check(
        &self,
        media: Option<&MediaType>,
        body: &Bytes,
    ) -> Result<Option<Value>, ContentFault> {
        match &self.form {
            Form::Json(described) => check_json(described.as_ref(), media, body).map(Some),
            Form::Text(described) => check_text(described.as_ref(), media, body).map(|()| None),
            Form::UrlEncoded(fields) => {
                check_charset(media)?;
                fields.check_url_encoded(body).map(|()| None)
            }
            Form::Multipart(fields) => fields.check_multipart(body, boundary(media)).map(|()| None),
            Form::Bytes(size) => size.check(body).map(|()| None),
            Form::Ranged(fields, others) => check_ranged(fields, *others, media, body),
            Form::Unreadable => Err(malformed("contentType", "a body of another media type")),
        }
    }
}

impl Entry {
    /// The value that `body` stands for, whether or not it fits; nothing if it has none or cannot be read.
    pub(super) fn read(&self, media: Option<&MediaType>, body: &Bytes) -> Option<Value> {
        let family = media.map(MediaType::family);
        match &self.form {
            Form::Json(_) => json::parse(body).ok(),
            Form::UrlEncoded(fields) => fields.read_url_encoded(body),
            Form::Multipart(fields) => fields.read_multipart(body, boundary(media)),
            Form::Ranged(..) if family == Some(media::Family::Json) => json::parse(body).ok(),
            Form::Ranged(fields, _) if family == Some(media::Family::UrlEncoded) => {
                fields.read_url_encoded(body)
            }
            Form::Ranged(fields, _) if family == Some(media::Family::Multipart) => {
                fields.read_multipart(body, boundary(media))
            }
            Form::Ranged(..) | Form::Text(_) | Form::Bytes(_) | Form::Unreadable => None,
        }
    }
}

/// A body of a range of media types, by its own.
fn check_ranged(
    fields: &Fields,
    others: Others,
    media: Option<&MediaType>,
    body: &Bytes,
) -> Result<Option<Value>, ContentFault> {
    let described = fields.described.as_ref();
    match media.map(MediaType::family) {
        Some(media::Family::Json) => check_json(described, media, body).map(Some),
        Some(media::Family::UrlEncoded) => {
            check_charset(media)?;
            fields.check_url_encoded(body).map(|()| None)
        }
        Some(media::Family::Multipart) => fields.check_multipart(body, boundary(media)).map(|()| None),
        Some(media::Family::Text) => check_text(described, media, body).map(|()| None),
        Some(media::Family::Bytes) if others == Others::Unchecked => Ok(None),
        Some(media::Family::Bytes) | None => Err(malformed("contentType", "a body of another media type")),
    }
}

fn check_json(
    described: Option<&Described>,
    media: Option<&MediaType>,
    body: &Bytes,
) -> Result<Value, ContentFault> {
    check_charset(media)?;
    let value = json::parse(body).map_err(|fault| {
        let location = Location::Body(String::new()).within(&fault.pointer);
        ContentFault::Malformed(Violation::new(location, "json", fault.reason.expected()))
    })?;
    match described {
        Some(described) if !described.accepts(&value) => Err(described.explain(&value)),
        Some(_) | None => Ok(value),
    }
}

fn check_text(
    described: Option<&Described>,
    media: Option<&MediaType>,
    body: &Bytes,
) -> Result<(), ContentFault> {
    check_charset(media)?;
    let text = std::str::from_utf8(body).map_err(|_not_utf8| malformed("charset", "text in UTF-8"))?;
    let Some(described) = described else { return Ok(()) };
    let read = |reading| described.shape.scalar(text.to_owned(), reading);
    let likeliest = read(Reading::First);
    if described.accepts(&likeliest) || described.accepts(&read(Reading::Second)) {
        return Ok(());
    }
    Err(described.explain(&likeliest))
}

/// RFC 8259 section 8.1, and the same for every other text: only UTF-8 is understood.
fn check_charset(media: Option<&MediaType>) -> Result<(), ContentFault> {
    match media.and_then(|media| media.parameter("charset")) {
        Some(charset) if !form::is_utf8(charset) => Err(malformed("charset", "text in UTF-8")),
        Some(_) | None => Ok(()),
    }
}

fn boundary(media: Option<&MediaType>) -> &str {
    media.and_then(|media| media.parameter("boundary")).unwrap_or_default()
}

impl Described {
    pub(super) fn accepts(&self, value: &Value) -> bool {
        self.schema.accepts(value)
    }

    /// Why `value` does not fit, with what was received where that is public.
    pub(super) fn explain(&self, value: &Value) -> ContentFault {
        let mut found = Violations::default();
        self.schema.explain(value, &Location::Body(String::new()), &mut found);
        found.tell_received(0, |violation| match &violation.location {
            Location::Body(pointer) if self.shape.at(value, pointer).is_public() => value.pointer(pointer),
            _ => None,
        });
        ContentFault::Violations(found)
    }
}

impl Size {
    fn check(self, body: &Bytes) -> Result<(), ContentFault> {
        let (keyword, expected) = match (self.min, self.max) {
            (Some(min), _) if body.len() < min => ("minLength", format!("at least {min} bytes")),
            (_, Some(max)) if body.len() > max => ("maxLength", format!("at most {max} bytes")),
            _ => return Ok(()),
        };
        let mut found = Violations::default();
        found.push(Violation::new(Location::Body(String::new()), keyword, expected));
        Err(ContentFault::Violations(found))
    }
}

pub(super) fn malformed(keyword: &str, expected: impl Into<String>) -> ContentFault {
    ContentFault::Malformed(Violation::new(Location::Body(String::new()), keyword, expected))
}

#[cfg(test)]
mod tests {
    use super::super::sample::broken_body as broken;
    use proptest::prelude::*;

    #[test]
    fn the_narrowest_media_type_decides() {
        let content = "'*/*': {}, 'text/*': {schema: {maxLength: 2}}, text/plain: {schema: {type: integer}}, application/vnd.x+json: {schema: {type: object}}";
        for (content_type, body, expected) in [
            ("text/plain", "12", None),
            ("text/plain", "ab", Some("body  type")),
            ("text/csv", "abc", Some("body  maxLength")),
            ("image/png", "anything", None),
            ("*/*", "anything", Some("media type")),
            ("text/*", "ab", Some("media type")),
            ("application/vnd.x+json", "[]", Some("body  type")),
            ("application/vnd.x+json", "{", Some("malformed json")),
        ] {
            assert_eq!(broken(content, content_type, body).as_deref(), expected, "{content_type} {body}");
        }
    }

    #[test]
    fn a_range_with_a_schema_is_read_by_the_type_of_each_body() {
        let content = "'*/*': {schema: {type: object, required: [a], properties: {a: {type: integer}}}}";
        for (content_type, body, expected) in [
            ("application/json", "{\"a\":1}", None),
            ("application/vnd.x+json", "{\"a\":\"x\"}", Some("body /a type")),
            ("application/x-www-form-urlencoded", "a=1", None),
            ("application/x-www-form-urlencoded", "a=x", Some("body /a type")),
            ("text/plain", "a", Some("body  type")),
            // What nothing here reads is not taken, so that no type leads around the schema.
            ("application/xml", "<a>1</a>", Some("media type")),
            ("application/octet-stream", "{\"a\":1}", Some("media type")),
        ] {
            assert_eq!(broken(content, content_type, body).as_deref(), expected, "{content_type} {body}");
        }
    }

    #[test]
    fn bytes_are_checked_for_their_size() {
        let content = "image/png: {schema: {type: string, format: binary, minLength: 2, maxLength: 3}}, application/xml: {schema: {type: object}}";
        for (content_type, body, expected) in [
            ("image/png", "abc", None),
            ("image/png", "a", Some("body  minLength")),
            ("image/png", "abcd", Some("body  maxLength")),
            ("application/xml", "<a/>", Some("media type")),
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
