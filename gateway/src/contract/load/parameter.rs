//! The parameters of an operation: those of its path, overridden by its own.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderName};
use serde_json::Value;

use super::super::direction::Direction;
use super::super::media::{self, MediaRange};
use super::super::parameter::{Form, Mark, Parameter, Place};
use super::super::settings::WrittenMarks;
use super::super::shape::Shape;
use super::super::source::At;
use super::super::style::{Explode, Style};
use super::operation::Described;
use super::{Reader, fields};
use crate::diagnostic::Diagnostic;

impl Reader<'_> {
    /// All parameters that hold for an operation.
    pub(super) fn parameters(&mut self, described: &Described<'_>) -> Vec<Parameter> {
        let mut places: Vec<(String, String, At)> = Vec::new();
        for list in [described.item.key("parameters"), described.at.key("parameters")] {
            let count = self.source.value(&list).and_then(Value::as_array).map_or(0, Vec::len);
            let mut here: Vec<(String, String)> = Vec::new();
            for n in 0..count {
                let Some(at) = self.follow(&list.item(n)) else { continue };
                self.check_fields(&at, fields::PARAMETER);
                let word = |key| self.text(&at, key).unwrap_or_default().to_owned();
                let (name, place) = (word("name"), word("in"));
                if here.contains(&(name.clone(), place.clone())) {
                    let told = format!("the {place} parameter `{name}` is described twice");
                    self.mistakes.push(self.source.error(&list.item(n), told));
                }
                here.push((name.clone(), place.clone()));
                // OpenAPI 3.0.4 section 4.7.10.1: an operation's own parameter overrides its path's.
                places.retain(|(n, p, _)| (n, p) != (&name, &place));
                places.push((name, place, at));
            }
        }
        self.check_template(described, &places);
        let read = places.iter().filter_map(|(name, place, at)| self.parameter(name, place, at));
        read.collect()
    }

    /// The template and the path parameters must name each other.
    fn check_template(&mut self, described: &Described<'_>, places: &[(String, String, At)]) {
        let names = described.template.names();
        for (name, _, at) in places.iter().filter(|(_, place, _)| place == "path") {
            if !names.contains(name) {
                let told = self.source.error(at, format!("the path has no `{{{name}}}`"));
                self.mistakes.push(told.did_you_mean(name, names.iter().map(String::as_str)));
            }
        }
        for name in names {
            if !places.iter().any(|(own, place, _)| place == "path" && own == name) {
                let told = format!("the path parameter `{name}` is not described");
                self.mistakes.push(Diagnostic::error(self.source.key_place(&described.at), told));
            }
        }
    }

    fn parameter(&mut self, name: &str, place: &str, at: &At) -> Option<Parameter> {
        if name.is_empty() {
            self.mistakes.push(self.source.error(at, "the parameter has no `name`"));
            return None;
        }
        let place = match place {
            "path" => Place::Path,
            "query" => Place::Query,
            "cookie" => Place::Cookie,
            "header" => Place::Header(self.header_name(name, at)?),
            other => {
                let told = self.source.error(&at.key("in"), format!("a parameter cannot be in `{other}`"));
                self.mistakes.push(told.did_you_mean(other, ["path", "query", "header", "cookie"]));
                return None;
            }
        };
        let required = self.flag(at, "required", false);
        if place == Place::Path && !required {
            let told = format!("the path parameter `{name}` must say `required: true`");
            self.mistakes.push(self.source.error(at, told));
        }
        let form = self.form(name, &place, at, Direction::Request)?;
        let allow_empty = self.allows_empty(&place, &form, at);
        let mark = self.exposure(at);
        let field = self.parameter_field(name, &place, at);
        Some(Parameter {
            name: name.into(),
            place,
            required,
            allow_empty,
            mark,
            form,
            field,
            pointer: at.pointer.clone(),
        })
    }

    /// A header of a response, or of a part of a form, is described like a parameter.
    pub(super) fn described_header(
        &mut self,
        name: &str,
        at: &At,
        direction: Direction,
    ) -> Option<Parameter> {
        // OpenAPI 3.0.4 section 4.7.17.1: a described `Content-Type` is ignored.
        if name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()) {
            let told = "a header `Content-Type` is ignored by OpenAPI; `content` names the media types";
            self.mistakes.push(self.source.warning(at, told));
            return None;
        }
        self.check_fields(at, fields::HEADER);
        let place = Place::Header(self.header_name(name, at)?);
        let required = self.flag(at, "required", false);
        self.tell_ignored(at, "allowEmptyValue", "outside of queries");
        let form = self.form(name, &place, at, direction)?;
        let pointer = at.pointer.clone();
        Some(Parameter {
            name: name.into(),
            place,
            required,
            allow_empty: false,
            mark: Mark::Unmarked,
            form,
            field: None,
            pointer,
        })
    }

    fn header_name(&mut self, name: &str, at: &At) -> Option<HeaderName> {
        let Ok(header) = HeaderName::try_from(name) else {
            let told = format!("`{name}` cannot be the name of a header field");
            self.mistakes.push(self.source.error(&at.key("name"), told));
            return None;
        };
        // OpenAPI 3.0.4 section 4.7.12.1: these are described elsewhere, and ignored here.
        if [ACCEPT, CONTENT_TYPE, AUTHORIZATION].contains(&header) {
            let told = format!("a header parameter `{name}` is ignored by OpenAPI");
            self.mistakes.push(self.source.warning(at, told));
            return None;
        }
        if header == COOKIE {
            let told = "a header `Cookie` is undefined in OpenAPI";
            let told = self.source.error(at, told);
            self.mistakes.push(told.help("describe each cookie with `in: cookie`"));
            return None;
        }
        Some(header)
    }

    fn form(&mut self, name: &str, place: &Place, at: &At, direction: Direction) -> Option<Form> {
        let has = |key: &str| self.source.member(at, key).is_some();
        match (has("schema"), has("content")) {
            (true, false) => self.styled(place, at, direction),
            (false, true) => {
                for key in ["style", "explode", "allowReserved"] {
                    self.tell_ignored(at, key, "beside `content`");
                }
                self.content_form(at, direction)
            }
            _ => {
                let told = format!("`{name}` is described by either `schema` or `content`");
                self.mistakes.push(self.source.error(at, told));
                None
            }
        }
    }

    fn styled(&mut self, place: &Place, at: &At, direction: Direction) -> Option<Form> {
        let (default, possible): (Style, &[Style]) = match place {
            Place::Path => (Style::Simple, &[Style::Simple, Style::Label, Style::Matrix]),
            Place::Query => {
                (Style::Form, &[Style::Form, Style::SpaceDelimited, Style::PipeDelimited, Style::DeepObject])
            }
            Place::Header(_) => (Style::Simple, &[Style::Simple]),
            Place::Cookie => (Style::Form, &[Style::Form]),
        };
        let style = self.style(at, default).filter(|style| possible.contains(style));
        let Some(style) = style else {
            let told = self.source.error(&at.key("style"), "this style does not exist for this parameter");
            self.mistakes.push(told);
            return None;
        };
        let explode = self.explode(at, style);
        if *place != Place::Query {
            self.tell_ignored(at, "allowReserved", "outside of queries");
        }
        let schema = at.key("schema");
        let shape = self.shapes.of(&schema);
        self.tell_undefined(place, style, explode, &shape, at);
        let schema = self.schemas.compile(&schema, direction)?;
        Some(Form::Styled { style, explode, shape, schema })
    }

    /// The `style` at `at`, if it is one.
    pub(super) fn style(&self, at: &At, default: Style) -> Option<Style> {
        match self.source.member(at, "style") {
            None => Some(default),
            Some(style) => match style.as_str()? {
                "simple" => Some(Style::Simple),
                "label" => Some(Style::Label),
                "matrix" => Some(Style::Matrix),
                "form" => Some(Style::Form),
                "spaceDelimited" => Some(Style::SpaceDelimited),
                "pipeDelimited" => Some(Style::PipeDelimited),
                "deepObject" => Some(Style::DeepObject),
                _ => None,
            },
        }
    }

    /// OpenAPI 3.0.4 section 4.7.12.2: `form` explodes unless it is said not to.
    pub(super) fn explode(&mut self, at: &At, style: Style) -> Explode {
        if self.flag(at, "explode", style == Style::Form) { Explode::Yes } else { Explode::No }
    }

    /// A parameter whose text is a document of one media type.
    fn content_form(&mut self, at: &At, direction: Direction) -> Option<Form> {
        let content = at.key("content");
        let keys = self.keys(&content);
        let [key] = keys.as_slice() else {
            self.mistakes
                .push(self.source.error(&content, "a parameter's `content` has exactly one media type"));
            return None;
        };
        let media = content.key(key);
        self.check_fields(&media, fields::MEDIA_TYPE);
        let Some(range) = MediaRange::parse(key) else {
            self.mistakes.push(self.source.error(&media, format!("`{key}` is not a media type")));
            return None;
        };
        if self.source.member(&media, "schema").is_none() {
            self.mistakes
                .push(self.source.error(&media, "nothing says what the parameter may be; add a `schema`"));
            return None;
        }
        let schema = self.schemas.compile(&media.key("schema"), direction)?;
        let (kind, subtype) = range.essence();
        if media::is_json_essence(kind, subtype) {
            return Some(Form::Json(schema));
        }
        if kind != "text" {
            let told = format!("a parameter of type `{key}` is only checked as text");
            self.mistakes.push(self.source.warning(&media, told));
        }
        Some(Form::Text(schema))
    }

    /// OpenAPI 3.0.4 section 4.7.12.2.1: `allowEmptyValue` is for queries, and for values that can be written.
    fn allows_empty(&mut self, place: &Place, form: &Form, at: &At) -> bool {
        if !self.flag(at, "allowEmptyValue", false) {
            return false;
        }
        let written = match form {
            Form::Styled { style, .. } => *style == Style::Form,
            Form::Json(_) | Form::Text(_) => true,
        };
        if *place != Place::Query {
            self.tell_ignored(at, "allowEmptyValue", "outside of queries");
        } else if !written {
            self.tell_ignored(at, "allowEmptyValue", "with a style that cannot write an empty value");
        }
        *place == Place::Query && written
    }

    /// Says that what stands at `key`, if anything does, has no effect.
    pub(super) fn tell_ignored(&mut self, at: &At, key: &str, where_: &str) {
        if self.source.member(at, key).is_some() {
            let place = self.source.key_place(&at.key(key));
            self.mistakes.push(Diagnostic::warning(place, format!("`{key}` is ignored {where_}")));
        }
    }

    /// Says which combinations the tables of OpenAPI leave undefined, and how they are read: sections
    /// 4.7.12.3 and 4.7.12.4 of 3.0.4, 4.8.12.3 and 4.8.12.4 of 3.1.1.
    pub(super) fn tell_undefined(
        &mut self,
        place: &Place,
        style: Style,
        explode: Explode,
        shape: &Shape,
        at: &At,
    ) {
        let delimited = matches!(style, Style::SpaceDelimited | Style::PipeDelimited);
        let has_parts = shape.may_be_array() || shape.may_be_object();
        let mut told: Vec<&str> = Vec::new();
        if style == Style::DeepObject {
            if !has_parts {
                told.push("`deepObject` wants a schema of type `object`; this one is read from `name=value`");
            }
            if explode == Explode::No {
                told.push(
                    "`deepObject` without `explode: true` is undefined in OpenAPI, and read as with it",
                );
            }
            if shape.may_be_array() {
                told.push(
                    "a list in `deepObject` is undefined in OpenAPI, and read from `name[]` or `name[0]`",
                );
            }
            if has_parts && shape.may_be_scalar() {
                told.push("a scalar in `deepObject` is undefined in OpenAPI, and read from `name=value`");
            }
        }
        if delimited && explode == Explode::Yes {
            told.push("this style with `explode: true` is undefined in OpenAPI, and read as `form`");
        }
        if delimited && shape.may_be_scalar() {
            told.push("a scalar in this style is undefined in OpenAPI, and read as it stands");
        }
        if *place == Place::Cookie && explode == Explode::Yes && has_parts {
            told.push(
                "an exploded list or object in cookies is undefined in OpenAPI, and read from cookies of their own",
            );
        }
        let style = at.key("style");
        let at = if self.source.value(&style).is_some() { &style } else { at };
        for told in told {
            self.mistakes.push(self.source.warning(at, told));
        }
    }

    /// How the parameter at `at`, or its schema, is marked.
    fn exposure(&mut self, at: &At) -> Mark {
        let own = at.key("x-gateway");
        let (personal, public) = if self.source.value(&own).is_some() {
            let marks = self.source.part::<WrittenMarks>(&own);
            let marks = self.mistakes.keep(marks).unwrap_or_default();
            if marks.personal && marks.public {
                self.mistakes.push(self.source.error(&own, "a value is personal or public, not both"));
            }
            (marks.personal, marks.public)
        } else {
            let schema = self.source.follow(at.key("schema")).ok();
            let marked = |word: &str| {
                let mark = schema.as_ref().map(|schema| schema.key("x-gateway").key(word));
                mark.is_some_and(|mark| self.source.value(&mark) == Some(&Value::Bool(true)))
            };
            (marked("personal"), marked("public"))
        };
        match (personal, public) {
            (true, _) => Mark::Personal,
            (false, true) => Mark::Public,
            (false, false) => Mark::Unmarked,
        }
    }
}
