//! What does a request's `Cookie` field say of one parameter? RFC 6265 section 4.2.
//!
//! `form` writes an exploded list or object as `a=1&a=2`, which is no cookie string (OpenAPI 3.0.4 appendix
//! D), so clients write cookies of their own instead; both are read. It does not know schemas.

use http::HeaderMap;
use http::header::COOKIE;

use super::shape::Shape;
use super::style::{self, Explode, NotInStyle, Wire};

/// The ways in which the cookies of a request give the value called `name`; nothing when absent.
pub(super) fn read(
    headers: &HeaderMap,
    name: &str,
    explode: Explode,
    shape: &Shape,
) -> Result<Option<Vec<Wire>>, NotInStyle> {
    let all = pairs(headers)?;
    let own: Vec<&str> = all.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect();
    let mut ways = Vec::new();
    if explode == Explode::Yes && shape.may_be_object() {
        let members = exploded(&all, |key| shape.names(key));
        let members = members.into_iter().map(|(key, value)| (key.to_owned(), unquoted(value)));
        ways.extend(Some(style::unique(members)?).filter(|members| !members.is_empty()).map(Wire::Members));
    }
    if explode == Explode::Yes && shape.may_be_array() && !own.is_empty() {
        let items = exploded(&all, |key| key == name).into_iter().filter(|(key, _)| *key == name);
        ways.push(Wire::List(items.map(|(_, value)| Wire::Text(unquoted(value))).collect()));
    }
    match own.as_slice() {
        [] => {}
        [text] if explode == Explode::No => ways.extend(style::read_plain(&unquoted(text), explode, shape)?),
        [text] if shape.may_be_scalar() => ways.push(Wire::Text(unquoted(text))),
        _ if !ways.is_empty() => {}
        [_] => return Err(style::wrong("a cookie for each property")),
        // Which of two cookies of one name counts is for each server to guess; so neither does.
        _ => return Err(repeated()),
    }
    Ok((!ways.is_empty()).then_some(ways))
}

/// The text of the one cookie called `name`.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, NotInStyle> {
    let mut own = pairs(headers)?.into_iter().filter(|(key, _)| *key == name).map(|(_, value)| value);
    match (own.next(), own.next()) {
        (first, None) => Ok(first.map(unquoted)),
        (_, Some(_)) => Err(repeated()),
    }
}

fn pairs(headers: &HeaderMap) -> Result<Vec<(&str, &str)>, NotInStyle> {
    let mut found = Vec::new();
    for field in headers.get_all(COOKIE) {
        let Ok(text) = field.to_str() else {
            return Err(NotInStyle { keyword: "type", expected: "visible ASCII characters".to_owned() });
        };
        let pairs = text.split(';').map(|pair| pair.trim_matches([' ', '\t']));
        found.extend(pairs.filter_map(|pair| pair.split_once('=')));
    }
    Ok(found)
}

/// The pairs of the cookies whose names are `wanted`, and those that stand behind an `&` in them.
fn exploded<'a>(all: &[(&'a str, &'a str)], wanted: impl Fn(&str) -> bool) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    for (key, value) in all.iter().filter(|(key, _)| wanted(key)) {
        let mut parts = value.split('&');
        found.push((*key, parts.next().unwrap_or_default()));
        found.extend(parts.map(|part| part.split_once('=').unwrap_or((part, ""))));
    }
    found
}

/// RFC 6265 section 4.1.1: the value may stand in double quotes.
fn unquoted(text: &str) -> String {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).to_owned()
}

fn repeated() -> NotInStyle {
    NotInStyle { keyword: "repeated", expected: "the cookie at most once".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::super::shape::{Reading, Shapes};
    use super::super::source::Source;
    use super::*;
    use serde_json::{Value, json};

    /// The likeliest value, or the keyword that is broken.
    fn value(cookies: &[&str], explode: Explode, schema: &str) -> Result<Option<Value>, &'static str> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("s: {schema}")).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        let shape = Shapes::new(&source).of(&source.root().key("s"));
        let fields: Vec<(&str, &str)> = cookies.iter().map(|text| ("cookie", *text)).collect();
        let ways = read(&sample::headers(&fields), "p", explode, &shape).map_err(|wrong| wrong.keyword)?;
        Ok(ways.map(|ways| ways[0].to_value(&shape, Reading::First)))
    }

    const SCALAR: &str = "{type: integer}";
    const LIST: &str = "{type: array, items: {type: integer}}";
    const OBJECT: &str = "{type: object, properties: {a: {type: integer}, b: {type: string}}}";

    #[test]
    fn cookies_are_read_as_clients_write_them() {
        use Explode::{No, Yes};
        for (cookies, explode, schema, read) in [
            (&["p=1"][..], Yes, SCALAR, Ok(Some(json!(1)))),
            (&["a=x; p=1; q"], No, SCALAR, Ok(Some(json!(1)))),
            (&["p=\"1\""], Yes, SCALAR, Ok(Some(json!(1)))),
            (&["P=1; q=2"], Yes, SCALAR, Ok(None)),
            (&["p=1; p=2"], Yes, SCALAR, Err("repeated")),
            (&["p=1", "p=2"], No, SCALAR, Err("repeated")),
            (&["p=1,2"], No, LIST, Ok(Some(json!([1, 2])))),
            (&["p=1; p=2"], No, LIST, Err("repeated")),
            (&["p=1; p=2"], Yes, LIST, Ok(Some(json!([1, 2])))),
            (&["p=1&p=2"], Yes, LIST, Ok(Some(json!([1, 2])))),
            (&["p=1&q=2"], Yes, LIST, Ok(Some(json!([1])))),
            (&["q=1&p=2"], Yes, LIST, Ok(None)),
            (&["p=1,2"], Yes, LIST, Ok(Some(json!(["1,2"])))),
            (&["p=a,1,b,x"], No, OBJECT, Ok(Some(json!({"a": 1, "b": "x"})))),
            (&["a=1; b=x; c=y"], Yes, OBJECT, Ok(Some(json!({"a": 1, "b": "x"})))),
            (&["a=1&b=x"], Yes, OBJECT, Ok(Some(json!({"a": 1, "b": "x"})))),
            (&["a=1; a=2"], Yes, OBJECT, Err("repeated")),
            (&["p=1"], Yes, OBJECT, Err("style")),
            (&["p=\u{e9}"], Yes, SCALAR, Err("type")),
        ] {
            assert_eq!(value(cookies, explode, schema), read, "{cookies:?} {schema}");
        }
    }
}
