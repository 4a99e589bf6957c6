//! The bodies of an operation: what it takes, and what it answers.

use serde_json::Value;

use super::super::content::{Content, Described, Entry, Form, Others, Size};
use super::super::direction::Direction;
use super::super::form::{self, Encoding, Fields};
use super::super::media::{Family, MediaRange};
use super::super::parameter::{Parameter, Place};
use super::super::request::RequestBody;
use super::super::response::{Response, Responses, StatusRange};
use super::super::shape::Shape;
use super::super::source::At;
use super::super::style::{Explode, Style};
use super::{Reader, fields};
use crate::diagnostic::Diagnostic;

impl Reader<'_> {
    pub(super) fn request_body(&mut self, at: &At) -> Option<RequestBody> {
        self.source.value(at)?;
        let at = self.follow(at)?;
        self.check_fields(&at, fields::REQUEST_BODY);
        let required = self.flag(&at, "required", false);
        let content = self.content(&at.key("content"), Direction::Request);
        match &content {
            None => self.mistakes.push(self.source.error(&at, "the request body names no media type")),
            Some(content) if required && content.ranges().is_empty() => {
                let told = "no body that this operation requires can be checked, so every call is refused";
                self.mistakes.push(self.source.warning(&at, told));
            }
            Some(_) => {}
        }
        Some(RequestBody { required, content: content?, pointer: at.pointer })
    }

    pub(super) fn responses(&mut self, at: &At) -> Responses {
        let mut all = Vec::new();
        for key in self.keys(at).iter().filter(|key| !key.starts_with("x-")) {
            let written = at.key(key);
            let Some(range) = StatusRange::parse(key) else {
                let told = format!("`{key}` is not a status, a class such as `4XX`, or `default`");
                self.mistakes.push(self.source.error(&written, told));
                continue;
            };
            let Some(at) = self.follow(&written) else { continue };
            self.check_fields(&at, fields::RESPONSE);
            let headers = self.described_headers(&at.key("headers"), Direction::Response);
            let content = self.content(&at.key("content"), Direction::Response);
            if content.is_some() && range.is_bare() {
                let told = format!("an answer of status {key} has no body, so none is taken");
                self.mistakes.push(self.source.warning(&at.key("content"), told));
            }
            all.push((range, Response { headers, content }));
        }
        if all.is_empty() {
            self.mistakes
                .push(self.source.error(at, "the operation describes no response, so none could pass"));
        }
        Responses::new(all)
    }

    fn described_headers(&mut self, at: &At, direction: Direction) -> Vec<Parameter> {
        let mut headers = Vec::new();
        for name in self.keys(at) {
            if let Some(at) = self.follow(&at.key(&name)) {
                headers.extend(self.described_header(&name, &at, direction));
            }
        }
        headers
    }

    /// The `content` map at `at`; nothing when it is absent or empty.
    fn content(&mut self, at: &At, direction: Direction) -> Option<Content> {
        let mut entries: Vec<Entry> = Vec::new();
        for key in self.keys(at) {
            let media = at.key(&key);
            self.check_fields(&media, fields::MEDIA_TYPE);
            let Some(range) = MediaRange::parse(&key) else {
                self.mistakes
                    .push(self.source.error(&media, format!("`{key}` is not a media type or range")));
                continue;
            };
            if entries.iter().any(|entry| entry.range.means(&range)) {
                let told = format!("`{key}` is described twice, in other letters");
                self.mistakes.push(Diagnostic::error(self.source.key_place(&media), told));
            }
            let form = self.body_form(&media, &range, direction);
            entries.push(Entry { range, form });
        }
        (!entries.is_empty()).then(|| Content::new(entries))
    }

    fn body_form(&mut self, media: &At, range: &MediaRange, direction: Direction) -> Form {
        let place = media.key("schema");
        let is_text = !matches!(range.family(), Some(Family::Bytes | Family::Multipart));
        if is_text && range.charset().is_some_and(|charset| !form::is_utf8(charset)) {
            let told = format!("only text in UTF-8 is read, so no body of type `{}` passes", range.text());
            self.mistakes.push(Diagnostic::warning(self.source.key_place(media), told));
        }
        let takes_encoding = !matches!(range.family(), Some(Family::Json | Family::Text | Family::Bytes));
        if !takes_encoding {
            self.tell_ignored(media, "encoding", "but in forms");
        }
        if takes_encoding && direction == Direction::Response {
            // OpenAPI 3.0.4 section 4.7.14.1: `encoding` applies to request bodies.
            self.tell_ignored(media, "encoding", "in responses");
        }
        match range.family() {
            Some(Family::Json) => Form::Json(self.json(&place, direction)),
            Some(Family::UrlEncoded) => Form::UrlEncoded(self.form_fields(media, direction, Written::Pairs)),
            Some(Family::Multipart) => Form::Multipart(self.form_fields(media, direction, Written::Parts)),
            Some(Family::Text) => Form::Text(self.described(&place, direction)),
            Some(Family::Bytes) => self.bytes(&place, range, direction),
            None => match self.plain_bytes(&place) {
                Some(size) => Form::Bytes(size),
                None => {
                    let unchecked = direction == Direction::Response || self.is_unchecked(range);
                    let others = if unchecked { Others::Unchecked } else { Others::Refused };
                    Form::Ranged(self.form_fields(media, direction, Written::Either), others)
                }
            },
        }
    }

    /// Bodies of a type that nothing here reads. A caller could choose it to pass unchecked, an upstream is
    /// asked for nothing else.
    fn bytes(&mut self, place: &At, range: &MediaRange, direction: Direction) -> Form {
        if let Some(size) = self.plain_bytes(place) {
            return Form::Bytes(size);
        }
        let text = range.text();
        if direction == Direction::Response || self.is_unchecked(range) {
            let told = format!("bodies of type `{text}` are checked for type and size only");
            self.mistakes.push(self.source.warning(place, told));
            return Form::Bytes(Size::default());
        }
        let told =
            format!("bodies of type `{text}` cannot be checked against their schema, so none may pass");
        let help =
            format!("`unchecked: ['{text}']` in `x-gateway` lets them pass, checked for type and size only");
        self.mistakes.push(self.source.warning(place, told).help(help));
        Form::Unreadable
    }

    fn is_unchecked(&self, range: &MediaRange) -> bool {
        self.unchecked.iter().any(|unchecked| unchecked.means(range))
    }

    /// The schema at `at` with its shape, if there is one.
    fn described(&mut self, at: &At, direction: Direction) -> Option<Described> {
        self.source.value(at)?;
        let shape = self.shapes.of(at);
        Some(Described { schema: self.schemas.compile(at, direction)?, shape })
    }

    /// A schema of JSON, whose values need no shape to be read, but perhaps to be told back.
    fn json(&mut self, at: &At, direction: Direction) -> Option<Described> {
        self.source.value(at)?;
        let shape = if self.shapes.any_public() { self.shapes.of(at) } else { Shape::default() };
        Some(Described { schema: self.schemas.compile(at, direction)?, shape })
    }

    /// The size of the bytes, if the schema at `at` says no more of them.
    fn plain_bytes(&self, at: &At) -> Option<Size> {
        let Ok(at) = self.source.follow(at.clone()) else { return Some(Size::default()) };
        let Some(schema) = self.source.value(&at).and_then(Value::as_object) else {
            return Some(Size::default());
        };
        let plain = schema.iter().all(|(word, value)| match word.as_str() {
            "type" => value == "string",
            "format" => value == "binary",
            "description" | "title" | "example" | "examples" | "contentMediaType" | "minLength"
            | "maxLength" => true,
            other => other.starts_with("x-"),
        });
        let bytes = |word: &str| schema.get(word).and_then(Value::as_u64)?.try_into().ok();
        plain.then(|| Size { min: bytes("minLength"), max: bytes("maxLength") })
    }

    fn form_fields(&mut self, media: &At, direction: Direction, written: Written) -> Fields {
        let described = self.described(&media.key("schema"), direction);
        let encoding = media.key("encoding");
        let mut encodings = Vec::new();
        for name in self.keys(&encoding) {
            let at = encoding.key(&name);
            self.check_fields(&at, fields::ENCODING);
            let shape = described.as_ref().map(|described| &described.shape);
            if let Some(shape) = shape.filter(|shape| !shape.names(&name)) {
                let place = self.source.key_place(&at);
                let told = Diagnostic::warning(place, format!("the schema has no property `{name}`"));
                self.mistakes.push(told.did_you_mean(&name, shape.property_names()));
            }
            let property = shape.map(|shape| shape.property(&name)).unwrap_or_default();
            encodings.push((name, self.encoding(&at, &property, written)));
        }
        Fields { described, encodings }
    }

    fn encoding(&mut self, at: &At, shape: &Shape, written: Written) -> Encoding {
        let style = self.field_style(at, shape, written);
        let headers = self.part_headers(&at.key("headers"), written);
        let mut content_types = Vec::new();
        let text = self.text(at, "contentType").unwrap_or_default().to_owned();
        for text in text.split(',').map(str::trim) {
            match MediaRange::parse(text) {
                Some(range) => content_types.push(range),
                None if text.is_empty() => {}
                None => {
                    let told = format!("`{text}` is not a media type");
                    let told = self.source.error(&at.key("contentType"), told);
                    self.mistakes.push(told);
                }
            }
        }
        if style.is_some() {
            self.tell_ignored(at, "contentType", "beside a style");
        }
        Encoding { style, content_types, headers }
    }

    /// OpenAPI 3.0.4 section 4.7.15.1.2: a field has a style if any of these is said, and otherwise is
    /// written as its content type says.
    fn field_style(&mut self, at: &At, shape: &Shape, written: Written) -> Option<(Style, Explode)> {
        const WORDS: [&str; 3] = ["style", "explode", "allowReserved"];
        let deep = self.text(at, "style") == Some("deepObject");
        if written == Written::Parts && !deep {
            WORDS.into_iter().for_each(|key| self.tell_ignored(at, key, "in `multipart`"));
            return None;
        }
        if WORDS.into_iter().all(|key| self.source.member(at, key).is_none()) {
            return None;
        }
        let style = self.style(at, Style::Form).filter(|style| {
            matches!(style, Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject)
        });
        let Some(style) = style else {
            self.mistakes
                .push(self.source.error(&at.key("style"), "this style does not exist for form fields"));
            return None;
        };
        let explode = self.explode(at, style);
        if written == Written::Parts {
            let told = "`deepObject` in `multipart` is undefined in OpenAPI 3.0, and read as in a query";
            self.mistakes.push(self.source.warning(&at.key("style"), told));
        }
        self.tell_undefined(&Place::Query, style, explode, shape, at);
        Some((style, explode))
    }

    /// OpenAPI 3.0.4 section 4.7.15.1.1: headers are those of a part.
    fn part_headers(&mut self, at: &At, written: Written) -> Vec<Parameter> {
        if written == Written::Pairs && self.source.value(at).is_some() {
            let told =
                Diagnostic::warning(self.source.key_place(at), "`headers` is ignored but in `multipart`");
            self.mistakes.push(told);
            return Vec::new();
        }
        self.described_headers(at, Direction::Request)
    }
}

/// How the fields of a form are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Pairs,
    Parts,
    Either,
}
