//! The bodies of an operation: what it takes, and what it answers.

use serde_json::Value;

use super::super::content::{Content, Encoding, Entry, Fields, Form};
use super::super::direction::Direction;
use super::super::media::{self, MediaRange};
use super::super::parameter::Parameter;
use super::super::request::RequestBody;
use super::super::response::{Response, Responses, StatusRange};
use super::super::schema::Schema;
use super::super::shape::Shape;
use super::super::source::At;
use super::super::style::Style;
use super::{Reader, fields};

impl Reader<'_> {
    pub(super) fn request_body(&mut self, at: &At) -> Option<RequestBody> {
        self.source.value(at)?;
        let at = self.follow(at)?;
        self.check_fields(&at, fields::REQUEST_BODY);
        let required = self.flag(&at, "required", false);
        let content = self.content(&at.key("content"), Direction::Request);
        if content.is_none() {
            self.mistakes.push(self.source.error(&at, "the request body names no media type"));
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
            let headers = self.response_headers(&at.key("headers"));
            let content = self.content(&at.key("content"), Direction::Response);
            all.push((range, Response { headers, content }));
        }
        if all.is_empty() {
            self.mistakes
                .push(self.source.error(at, "the operation describes no response, so none could pass"));
        }
        Responses::new(all)
    }

    fn response_headers(&mut self, at: &At) -> Vec<Parameter> {
        let mut headers = Vec::new();
        for name in self.keys(at) {
            if let Some(at) = self.follow(&at.key(&name)) {
                headers.extend(self.response_header(&name, &at));
            }
        }
        headers
    }

    /// The `content` map at `at`; nothing when it is absent or empty.
    fn content(&mut self, at: &At, direction: Direction) -> Option<Content> {
        let mut entries = Vec::new();
        for key in self.keys(at) {
            let media = at.key(&key);
            self.check_fields(&media, fields::MEDIA_TYPE);
            let Some(range) = MediaRange::parse(&key) else {
                self.mistakes
                    .push(self.source.error(&media, format!("`{key}` is not a media type or range")));
                continue;
            };
            let form = self.body_form(&media, &range, direction);
            entries.push(Entry { range, form });
        }
        (!entries.is_empty()).then(|| Content::new(entries))
    }

    fn body_form(&mut self, media: &At, range: &MediaRange, direction: Direction) -> Form {
        let place = media.key("schema");
        let described = self.source.value(&place).is_some();
        match range.essence() {
            (kind, subtype) if media::is_json_essence(kind, subtype) => {
                Form::Json(self.schema(&place, direction))
            }
            ("application", "x-www-form-urlencoded") => Form::UrlEncoded(self.form_fields(media, direction)),
            ("multipart", "form-data") => Form::Multipart(self.form_fields(media, direction)),
            ("text", subtype) if subtype != "xml" && !subtype.ends_with("+xml") => {
                let shape = Shape::of(self.source, &place);
                Form::Text(self.schema(&place, direction).map(|schema| (schema, shape)))
            }
            _ => {
                let says_more = described && !self.is_plain_bytes(&place);
                if says_more {
                    let told =
                        format!("bodies of type `{}` are checked for type and size only", range.text());
                    self.mistakes.push(self.source.warning(&place, told));
                }
                Form::Opaque
            }
        }
    }

    fn schema(&mut self, at: &At, direction: Direction) -> Option<Schema> {
        self.source.value(at)?;
        self.schemas.compile(at, direction)
    }

    /// Whether a schema says nothing but "bytes" or "anything".
    fn is_plain_bytes(&self, at: &At) -> bool {
        let Ok(at) = self.source.follow(at.clone()) else { return true };
        let Some(schema) = self.source.value(&at).and_then(Value::as_object) else { return true };
        schema.iter().all(|(word, value)| match word.as_str() {
            "type" => value == "string",
            "format" => value == "binary",
            "description" | "title" | "example" | "examples" | "contentMediaType" => true,
            other => other.starts_with("x-"),
        })
    }

    fn form_fields(&mut self, media: &At, direction: Direction) -> Fields {
        let place = media.key("schema");
        let encoding = media.key("encoding");
        let mut encodings = Vec::new();
        for name in self.keys(&encoding) {
            let at = encoding.key(&name);
            self.check_fields(&at, fields::ENCODING);
            encodings.push((name, self.encoding(&at)));
        }
        Fields { schema: self.schema(&place, direction), shape: Shape::of(self.source, &place), encodings }
    }

    fn encoding(&mut self, at: &At) -> Encoding {
        if self.source.member(at, "headers").is_some() {
            let headers = at.key("headers");
            self.mistakes
                .push(self.source.warning(&headers, "the headers of parts are described but not checked"));
        }
        let style = self.style(at, Style::Form).filter(|style| {
            matches!(style, Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject)
        });
        if style.is_none() {
            self.mistakes
                .push(self.source.error(&at.key("style"), "this style does not exist for form fields"));
        }
        let style = style.unwrap_or(Style::Form);
        let mut content_types = Vec::new();
        let written = self.text(at, "contentType").unwrap_or_default().to_owned();
        for text in written.split(',').map(str::trim) {
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
        Encoding { style, explode: self.explode(at, style), content_types }
    }
}
