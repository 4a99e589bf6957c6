//! Are the fields of a form what the contract describes? `application/x-www-form-urlencoded` and
//! `multipart/form-data`, each field by its `encoding`. OpenAPI 3.0.4 section 4.7.15.
//!
//! A form becomes the object that its schema describes. Text can be read in more than one way, so a few
//! readings are tried, the likeliest first; it does not know which body it belongs to.

use serde_json::{Map, Value};

use super::content::{ContentFault, Described, malformed};
use super::json;
use super::media::{self, MediaRange, MediaType};
use super::multipart;
use super::parameter::{Parameter, Place, header_text};
use super::percent::{self, Plus};
use super::shape::{Reading, Shape};
use super::style::{self, Explode, Style, Wire};
use super::target::WrittenPair;
use super::violation::{Location, Violation, Violations};

/// The fields of a form.
pub(super) struct Fields {
    pub(super) described: Option<Described>,
    pub(super) encodings: Vec<(String, Encoding)>,
}

/// How one field of a form is written.
#[derive(Default)]
pub(super) struct Encoding {
    /// By a style, as in a query; if none is said, by its content type.
    pub(super) style: Option<(Style, Explode)>,
    /// None when the contract leaves it to the type of the field.
    pub(super) content_types: Vec<MediaRange>,
    /// Header fields of a part.
    pub(super) headers: Vec<Parameter>,
}

/// One way in which a field can be read.
enum Way {
    Wire(Wire),
    Json(Value),
}

/// One reading of a whole form.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// Which way of those that a field can be read in; the last one where it has fewer.
    way: usize,
    reading: Reading,
}

const LIKELIEST: Attempt = Attempt { way: 0, reading: Reading::First };
const OTHERS: [Attempt; 3] = [
    Attempt { way: 0, reading: Reading::Second },
    Attempt { way: 1, reading: Reading::First },
    Attempt { way: 1, reading: Reading::Second },
];

impl Fields {
    fn encoding(&self, name: &str) -> Option<&Encoding> {
        self.encodings.iter().find(|(own, _)| own == name).map(|(_, encoding)| encoding)
    }

    fn shape(&self) -> Shape {
        self.described.as_ref().map(|described| described.shape.clone()).unwrap_or_default()
    }

    pub(super) fn check_url_encoded(&self, body: &[u8]) -> Result<(), ContentFault> {
        let owned = decoded(body)?;
        let pairs = written(&owned);
        self.judge(|attempt| self.object_of_pairs(&pairs, attempt))
    }

    /// The likeliest value of a form, whether or not it fits.
    pub(super) fn read_url_encoded(&self, body: &[u8]) -> Option<Value> {
        let owned = decoded(body).ok()?;
        self.object_of_pairs(&written(&owned), LIKELIEST).ok()
    }

    /// The same of parts.
    pub(super) fn read_multipart(&self, body: &[u8], boundary: &str) -> Option<Value> {
        self.object_of_parts(&multipart::parts(body, boundary)?, LIKELIEST).ok()
    }

    /// The object that a form stands for.
    fn object_of_pairs(&self, pairs: &[WrittenPair<'_>], attempt: Attempt) -> Result<Value, ContentFault> {
        let mut object = Map::new();
        let mut claimed = vec![false; pairs.len()];
        let whole = self.shape();
        for name in whole.property_names() {
            let shape = whole.property(name);
            let style = self.encoding(name).and_then(|encoding| encoding.style);
            // `form` writes the members of an object as fields of their own.
            let spread = style == Some((Style::Form, Explode::Yes)) && shape.may_be_object();
            let own = |pair: &WrittenPair<'_>| {
                let deep = matches!(style, Some((Style::DeepObject, _)));
                pair.name == name
                    || (deep && pair.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('[')))
                    || (spread && shape.names(pair.name) && !whole.names(pair.name))
            };
            let mine: Vec<WrittenPair<'_>> = pairs.iter().filter(|pair| own(pair)).copied().collect();
            claimed.iter_mut().zip(pairs).for_each(|(claimed, pair)| *claimed |= own(pair));
            let ways = match style {
                Some((style, explode)) => self.styled(&mine, name, style, explode, &shape)?,
                None => self.typed(&mine, name, &shape)?,
            };
            if let Some(way) = ways.get(attempt.way).or(ways.last()) {
                object.insert(name.to_owned(), way.value(&shape, attempt.reading));
            }
        }
        for (pair, _) in pairs.iter().zip(&claimed).filter(|(_, claimed)| !**claimed) {
            let value = whole.property(pair.name).scalar(pair.value.to_owned(), attempt.reading);
            if object.insert(pair.name.to_owned(), value).is_some() {
                return Err(violation(pair.name, "repeated", "the field at most once"));
            }
        }
        Ok(Value::Object(object))
    }

    fn styled(
        &self,
        mine: &[WrittenPair<'_>],
        name: &str,
        style: Style,
        explode: Explode,
        shape: &Shape,
    ) -> Result<Vec<Way>, ContentFault> {
        match style::read_pairs(mine, name, style, explode, shape) {
            Ok(ways) => Ok(ways.into_iter().flatten().map(Way::Wire).collect()),
            Err(wrong) => Err(violation(name, wrong.keyword, wrong.expected)),
        }
    }

    /// A field whose `encoding` says no style is written as its content type says: an object as JSON, a list
    /// as one field for each item.
    fn typed(&self, mine: &[WrittenPair<'_>], name: &str, shape: &Shape) -> Result<Vec<Way>, ContentFault> {
        let mut ways = Vec::new();
        let says_json = self.encoding(name).is_some_and(Encoding::is_json);
        let holds_objects = shape.may_be_object() || (shape.may_be_array() && shape.item(0).may_be_object());
        if says_json || holds_objects {
            let read = |pair: &WrittenPair<'_>| json::parse(pair.value.as_bytes()).ok();
            let items: Option<Vec<Value>> = mine.iter().map(read).collect();
            match items.as_deref() {
                // An array may come as one field of JSON, or as one field for each item.
                Some([one]) if one.is_array() || !shape.may_be_array() => ways.push(Way::Json(one.clone())),
                Some([_, ..]) if shape.may_be_array() => {
                    ways.extend(items.map(Value::Array).map(Way::Json));
                }
                _ => {}
            }
            if ways.is_empty() && !mine.is_empty() && (says_json || !shape.may_be_scalar()) {
                let location = Location::Body(json::token(name));
                let told = Violation::new(location, "json", "the field once, as JSON");
                return Err(ContentFault::Malformed(told));
            }
        }
        if says_json {
            return Ok(ways);
        }
        match self.styled(mine, name, Style::Form, Explode::Yes, shape) {
            Ok(more) => ways.extend(more),
            Err(wrong) if ways.is_empty() => return Err(wrong),
            Err(_not_so_either) => {}
        }
        Ok(ways)
    }

    pub(super) fn check_multipart(&self, body: &[u8], boundary: &str) -> Result<(), ContentFault> {
        let parts = multipart::parts(body, boundary).ok_or_else(|| {
            malformed("form", "a multipart/form-data body that begins and ends with its boundary")
        })?;
        for part in &parts {
            check_charset(part)?;
            if let Some(encoding) = self.encoding(&part.name) {
                encoding.check_type(part)?;
                encoding.check_headers(part)?;
            }
        }
        self.judge(|attempt| self.object_of_parts(&parts, attempt))
    }

    fn object_of_parts<'p>(
        &self,
        parts: &'p [multipart::Part<'_>],
        attempt: Attempt,
    ) -> Result<Value, ContentFault> {
        let mut object = Map::new();
        let whole = self.shape();
        let mut claimed = vec![false; parts.len()];
        for (name, encoding) in &self.encodings {
            let Some((style, explode)) = encoding.style else { continue };
            let shape = whole.property(name);
            let own = |part: &&multipart::Part<'_>| {
                part.name.strip_prefix(name.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('['))
            };
            let text = |part: &'p multipart::Part<'_>| {
                let text = std::str::from_utf8(part.body).ok()?;
                Some(WrittenPair { name: &part.name, value: text, raw: text })
            };
            let pairs: Vec<WrittenPair<'_>> = parts.iter().filter(own).filter_map(text).collect();
            claimed.iter_mut().zip(parts).for_each(|(claimed, part)| *claimed |= own(&part));
            let ways = self.styled(&pairs, name, style, explode, &shape)?;
            if let Some(way) = ways.first() {
                object.insert(name.clone(), way.value(&shape, attempt.reading));
            }
        }
        for (part, _) in parts.iter().zip(&claimed).filter(|(_, claimed)| !**claimed) {
            let shape = whole.property(&part.name);
            let is_array = shape.may_be_array();
            let item = if is_array { shape.item(0) } else { shape };
            let value = part_value(part, &item, attempt)?;
            match (object.get_mut(&part.name), is_array) {
                (Some(Value::Array(items)), true) => items.push(value),
                (Some(_), _) => return Err(violation(&part.name, "repeated", "the field at most once")),
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

    /// One reading must fit; the likeliest tells why none does.
    fn judge(&self, read: impl Fn(Attempt) -> Result<Value, ContentFault>) -> Result<(), ContentFault> {
        let value = read(LIKELIEST)?;
        let Some(described) = &self.described else { return Ok(()) };
        let fits = |attempt: &Attempt| read(*attempt).is_ok_and(|value| described.accepts(&value));
        if described.accepts(&value) || OTHERS.iter().any(fits) {
            return Ok(());
        }
        Err(described.explain(&value))
    }
}

impl Way {
    fn value(&self, shape: &Shape, reading: Reading) -> Value {
        match self {
            Self::Wire(wire) => wire.to_value(shape, reading),
            Self::Json(value) => value.clone(),
        }
    }
}

impl Encoding {
    fn is_json(&self) -> bool {
        let json = |range: &MediaRange| {
            let (kind, subtype) = range.essence();
            media::is_json_essence(kind, subtype)
        };
        !self.content_types.is_empty() && self.content_types.iter().all(json)
    }

    fn check_type(&self, part: &multipart::Part<'_>) -> Result<(), ContentFault> {
        // RFC 7578 section 4.4: a part without a type is plain text.
        let media = MediaType::parse(part.content_type().unwrap_or("text/plain"));
        let fits = |media: &MediaType| self.content_types.iter().any(|range| range.fit(media).is_some());
        if self.content_types.is_empty() || media.is_some_and(|media| fits(&media)) {
            return Ok(());
        }
        let wanted: Vec<&str> = self.content_types.iter().map(MediaRange::text).collect();
        Err(violation(&part.name, "contentType", format!("a part of type {}", wanted.join(" or "))))
    }

    fn check_headers(&self, part: &multipart::Part<'_>) -> Result<(), ContentFault> {
        let mut found = Violations::default();
        for header in &self.headers {
            let Place::Header(name) = &header.place else { continue };
            header.check_plain(header_text(&part.headers, name), &mut found);
        }
        if found.is_empty() {
            return Ok(());
        }
        let mut told = Violations::default();
        for Violation { location, keyword, expected, contract, received: _ } in found {
            let at = Location::Body(json::token(&part.name));
            told.push(Violation::new(at, &keyword, format!("{location}: {expected}")).under(&contract));
        }
        Err(ContentFault::Violations(told))
    }
}

/// Name, value and value as written of each pair of a form.
fn decoded(body: &[u8]) -> Result<Vec<(String, String, &str)>, ContentFault> {
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
    Ok(owned)
}

fn written<'a>(owned: &'a [(String, String, &'a str)]) -> Vec<WrittenPair<'a>> {
    owned.iter().map(|(name, value, raw)| WrittenPair { name, value, raw }).collect()
}

/// The value of a part: JSON where an object or array is wanted or said, text, or bytes.
fn part_value(part: &multipart::Part<'_>, shape: &Shape, attempt: Attempt) -> Result<Value, ContentFault> {
    let media = part.content_type().and_then(MediaType::parse);
    let says_json = media.is_some_and(|media| media.family() == media::Family::Json);
    let only_json = !shape.may_be_scalar() && shape.may_be_object();
    // JSON in a text is a text too, where the schema wants one.
    if only_json || (says_json && attempt.way == 0) {
        return json::parse(part.body).map_err(|fault| {
            let location = Location::Body(json::token(&part.name)).within(&fault.pointer);
            ContentFault::Malformed(Violation::new(location, "json", fault.reason.expected()))
        });
    }
    Ok(match std::str::from_utf8(part.body) {
        Ok(text) => shape.scalar(text.to_owned(), attempt.reading),
        // One character for each byte, so that a schema can still count them.
        Err(_bytes) => Value::String(part.body.iter().copied().map(char::from).collect()),
    })
}

/// RFC 7578 section 4.5: a part may name its charset; only one is understood.
fn check_charset(part: &multipart::Part<'_>) -> Result<(), ContentFault> {
    let media = part.content_type().and_then(MediaType::parse);
    match media.as_ref().and_then(|media| media.parameter("charset")) {
        Some(charset) if !is_utf8(charset) => Err(violation(&part.name, "charset", "text in UTF-8")),
        Some(_) | None => Ok(()),
    }
}

/// Whether text in `charset` is text in UTF-8.
pub(super) fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known))
}

fn violation(name: &str, keyword: &str, expected: impl Into<String>) -> ContentFault {
    let mut found = Violations::default();
    let location = Location::Body(String::new()).within(&json::token(name));
    found.push(Violation::new(location, keyword, expected));
    ContentFault::Violations(found)
}

/// No described form has as many fields.
const FIELDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::sample::broken_body as broken;
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

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
        let many: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("f{n}=")).collect();
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
    fn a_field_without_a_style_is_written_as_its_type_says() {
        const FORM: &str = "application/x-www-form-urlencoded: {schema: {type: object, additionalProperties: false, properties: {address: {type: object, required: [zip], properties: {zip: {type: string}}}, tags: {type: array, items: {type: object, properties: {n: {type: integer}}}}, note: {type: string}}}, encoding: {note: {contentType: application/json}}}";
        for (body, expected) in [
            ("address=%7B%22zip%22:%221%2B2%22%7D", None),
            ("address=%7B%7D", Some("body /address required")),
            ("address=%7B", Some("malformed json")),
            ("address=x", Some("malformed json")),
            ("address=%7B%22zip%22:1%7D", Some("body /address/zip type")),
            ("tags=%7B%22n%22:1%7D&tags=%7B%22n%22:2%7D", None),
            ("tags=%7B%22n%22:1%7D&tags=%7B%22n%22:%22x%22%7D", Some("body /tags/1/n type")),
            ("note=%22x%22", None),
            ("note=x", Some("malformed json")),
            ("note=%22x%22&note=%22y%22", Some("malformed json")),
            ("zip=1", Some("body  additionalProperties")),
        ] {
            assert_eq!(
                broken(FORM, "application/x-www-form-urlencoded", body).as_deref(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn a_field_with_a_style_is_written_as_in_a_query() {
        const FORM: &str = "application/x-www-form-urlencoded: {schema: {type: object, additionalProperties: false, properties: {o: {type: object, properties: {x: {type: integer}, y: {type: string}}}, p: {type: array, items: {type: integer}}, q: {anyOf: [{type: object, additionalProperties: {type: string}}, {enum: ['']}]}, l: {type: array, items: {type: object, properties: {x: {type: integer}}}}}}, encoding: {o: {style: form, explode: true}, p: {style: pipeDelimited}, q: {style: deepObject, explode: true}, l: {style: deepObject, explode: true}}}";
        for (body, expected) in [
            ("x=1&y=a", None),
            ("x=one", Some("body /o/x type")),
            ("p=1%7C2", None),
            ("p=1|x", Some("body /p/1 type")),
            ("q[a]=1&q[b]=2", None),
            ("q=", None),
            ("q=x", Some("body /q anyOf")),
            ("q[a]=1&q=", Some("body /q repeated")),
            ("l[0][x]=1&l[1][x]=2", None),
            ("l[0][x]=1&l[1][x]=z", Some("body /l/1/x type")),
            ("z=1", Some("body  additionalProperties")),
        ] {
            assert_eq!(
                broken(FORM, "application/x-www-form-urlencoded", body).as_deref(),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn parts_are_put_together_by_deep_object() {
        const FORM: &str = "multipart/form-data: {schema: {type: object, additionalProperties: false, properties: {o: {type: object, properties: {x: {type: integer}}}, l: {type: array, items: {type: integer}}}}, encoding: {o: {style: deepObject, explode: true}, l: {style: deepObject, explode: true}}}";
        for (parts, expected) in [
            (&[("name=\"o[x]\"", "1"), ("name=\"l[]\"", "1"), ("name=\"l[]\"", "2")][..], None),
            (&[("name=\"o[x]\"", "one")], Some("body /o/x type")),
            (&[("name=\"l[]\"", "one")], Some("body /l/0 type")),
            (&[("name=\"o[x]\"", "1"), ("name=\"o[x]\"", "2")], Some("body /o repeated")),
            (&[("name=\"p[x]\"", "1")], Some("body  additionalProperties")),
        ] {
            let body = multipart(parts);
            assert_eq!(broken(FORM, "multipart/form-data; boundary=b", &body).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn parts_have_the_described_types_headers_and_charset() {
        let form = format!(
            "multipart/form-data: {{{SCHEMA}, encoding: {{d: {{contentType: 'application/json, text/*', headers: {{X-Kind: {{required: true, schema: {{type: integer}}}}}}}}}}}}"
        );
        let part = |head: &str, value: &str| {
            let head = format!("name=\"d\"{head}");
            multipart(&[("name=\"a\"", "1"), (head.as_str(), value)])
        };
        for (head, value, expected) in [
            ("\r\nX-Kind: 1", "x", None),
            ("\r\nx-kind: 1\r\nContent-Type: application/json", "\"x\"", None),
            ("\r\nX-Kind: 1\r\nContent-Type: application/json", "{}", None),
            ("\r\nX-Kind: 1\r\nContent-Type: application/json", "{", Some("malformed json")),
            ("\r\nX-Kind: 1\r\nContent-Transfer-Encoding: 8bit", "x", None),
            ("\r\nX-Kind: 1\r\nContent-Transfer-Encoding: base64", "eA==", Some("malformed form")),
            ("\r\nX-Kind: one", "x", Some("body /d type")),
            ("", "x", Some("body /d required")),
            ("\r\nX-Kind: 1\r\nContent-Type: image/png", "x", Some("body /d contentType")),
            ("\r\nX-Kind: 1\r\nContent-Type: text/plain; charset=utf-16", "x", Some("body /d charset")),
            ("\r\nX Kind: 1", "x", Some("malformed form")),
        ] {
            let body = part(head, value);
            let told = broken(&form, "multipart/form-data; boundary=b", &body);
            assert_eq!(told.as_deref(), expected, "{body}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_written_as_a_form_is_read_back(
            text in "[ -~é]{0,8}",
            number in any::<i32>(),
            flags in proptest::collection::vec(any::<bool>(), 1..4),
            name in "[a-z]{1,4}",
        ) {
            let value = serde_json::json!({"text": text, "number": number, "flags": flags, "object": {(name.as_str()): text}});
            let schema = format!(
                "{{schema: {{type: object, properties: {{text: {{type: string}}, number: {{type: integer}}, flags: {{type: array, items: {{type: boolean}}}}, object: {{type: object}}}}, enum: [{value}]}}}}"
            );
            let object = value["object"].to_string();
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let mut pairs = vec![format!("text={}", encode(&text)), format!("number={number}")];
            pairs.extend(flags.iter().map(|flag| format!("flags={flag}")));
            pairs.push(format!("object={}", encode(&object)));
            let form = format!("application/x-www-form-urlencoded: {schema}");
            let told = broken(&form, "application/x-www-form-urlencoded", &pairs.join("&"));
            prop_assert_eq!(told, None, "{:?}", pairs);

            let number = number.to_string();
            let mut parts = vec![("name=text", text.as_str()), ("name=number", number.as_str())];
            parts.extend(flags.iter().map(|flag| ("name=flags", if *flag { "true" } else { "false" })));
            parts.push(("name=object\r\nContent-Type: application/json", object.as_str()));
            let form = format!("multipart/form-data: {schema}");
            let told = broken(&form, "multipart/form-data; boundary=b", &multipart(&parts));
            prop_assert_eq!(told, None, "{:?}", parts);
        }
    }
}
