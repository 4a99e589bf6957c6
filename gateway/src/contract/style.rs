//! What do the styles of OpenAPI make of a text? `simple`, `label`, `matrix`, `form`,
//! `spaceDelimited`, `pipeDelimited`, `deepObject`, with and without `explode`.
//!
//! Text is taken apart into lists and members; which of them are numbers is for shapes to say.

mod deep;

use serde_json::{Map, Value};

use super::percent::{self, Plus};
use super::shape::{Reading, Shape};
use super::target::WrittenPair;

/// How a value is written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    SpaceDelimited,
    PipeDelimited,
    DeepObject,
}

/// Whether each item or member stands on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Explode {
    Yes,
    No,
}

/// A text taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wire {
    Text(String),
    List(Vec<Wire>),
    Members(Vec<(String, Wire)>),
}

/// Why a text is not in its style: what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NotInStyle {
    pub(super) keyword: &'static str,
    pub(super) expected: String,
}

impl Wire {
    /// The value that the text stands for in a place of this shape.
    pub(super) fn to_value(&self, shape: &Shape, reading: Reading) -> Value {
        match self {
            Self::Text(text) => shape.scalar(text.clone(), reading),
            Self::List(items) => {
                let read = |(n, item): (usize, &Self)| item.to_value(&shape.item(n), reading);
                Value::Array(items.iter().enumerate().map(read).collect())
            }
            Self::Members(members) => {
                let read = |(name, wire): &(String, Self)| {
                    (name.clone(), wire.to_value(&shape.property(name), reading))
                };
                Value::Object(members.iter().map(read).collect::<Map<_, _>>())
            }
        }
    }
}

/// The ways in which `raw`, from a path segment, can be read: the likeliest first, at least one.
pub(super) fn read_segment(
    raw: &str,
    name: &str,
    style: Style,
    explode: Explode,
    shape: &Shape,
) -> Result<Vec<Wire>, NotInStyle> {
    match style {
        Style::Label => {
            let rest = raw.strip_prefix('.').ok_or_else(|| wrong("a value that begins with `.`"))?;
            let between = if explode == Explode::Yes { '.' } else { ',' };
            read_delimited(rest, between, explode, shape, Plus::Literal)
        }
        Style::Matrix => read_matrix(raw, name, explode, shape),
        Style::Simple | Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject => {
            read_delimited(raw, ',', explode, shape, Plus::Literal)
        }
    }
}

/// The ways in which the text of a header field can be read. Such text is not percent-encoded.
pub(super) fn read_plain(text: &str, explode: Explode, shape: &Shape) -> Result<Vec<Wire>, NotInStyle> {
    let split = || text.split(',').map(|piece| piece.trim_matches([' ', '\t']).to_owned()).collect();
    let mut ways = Vec::new();
    if shape.may_be_object() {
        ways.extend(members(split(), explode).ok());
    }
    if shape.may_be_array() {
        ways.push(Wire::List(non_empty(text, split())));
    }
    if shape.may_be_scalar() {
        ways.push(Wire::Text(text.to_owned()));
    }
    at_least_one(ways)
}

/// The ways in which the pairs of a query or form give the value called `name`; nothing when absent.
pub(super) fn read_pairs(
    pairs: &[WrittenPair<'_>],
    name: &str,
    style: Style,
    explode: Explode,
    shape: &Shape,
) -> Result<Option<Vec<Wire>>, NotInStyle> {
    if style == Style::DeepObject {
        return deep::read(pairs, name, shape);
    }
    let own: Vec<&WrittenPair<'_>> = pairs.iter().filter(|pair| pair.name == name).collect();
    let mut ways = Vec::new();
    if shape.may_be_object() && style == Style::Form && explode == Explode::Yes {
        ways.extend(exploded_object(pairs, name, shape)?);
    }
    let [first, more @ ..] = own.as_slice() else {
        return Ok((!ways.is_empty()).then_some(ways));
    };
    if shape.may_be_object() && explode == Explode::No && more.is_empty() {
        ways.extend(pieces(first, style).into_iter().filter_map(|all| members(all, explode).ok()));
    }
    if shape.may_be_array() {
        ways.extend(lists(&own, style, explode));
    }
    if shape.may_be_scalar() && more.is_empty() {
        ways.push(Wire::Text(first.value.to_owned()));
    }
    if ways.is_empty() && !more.is_empty() {
        return Err(NotInStyle { keyword: "repeated", expected: "the parameter at most once".to_owned() });
    }
    at_least_one(ways).map(Some)
}

/// Arrays: each occurrence is an item, or holds items between delimiters.
fn lists(own: &[&WrittenPair<'_>], style: Style, explode: Explode) -> Vec<Wire> {
    if explode == Explode::Yes {
        return vec![Wire::List(own.iter().map(|pair| Wire::Text(pair.value.to_owned())).collect())];
    }
    // A name that is repeated all the same goes on, item after item; all of them are checked.
    let way = |number: usize| {
        let read = own.iter().flat_map(|pair| {
            let mut readings = pieces(pair, style);
            let chosen = number.min(readings.len().saturating_sub(1));
            non_empty(pair.raw, if readings.is_empty() { Vec::new() } else { readings.swap_remove(chosen) })
        });
        Wire::List(read.collect())
    };
    let (plain, encoded) = (way(0), way(1));
    if plain == encoded { vec![plain] } else { vec![plain, encoded] }
}

/// The pieces of one delimited value: as RFC 6570 writes it (the delimiter plain, data encoded), and as
/// clients do that encode the delimiter too.
fn pieces(pair: &WrittenPair<'_>, style: Style) -> Vec<Vec<String>> {
    let split = |text: &str, between: char| text.split(between).map(str::to_owned).collect();
    match style {
        // OpenAPI 3.0.4 section 4.7.12.3: their delimiters are encoded on the wire.
        Style::SpaceDelimited => vec![split(pair.value, ' ')],
        Style::PipeDelimited => vec![split(pair.value, '|')],
        Style::Form | Style::Simple | Style::Label | Style::Matrix | Style::DeepObject => {
            let plain =
                pair.raw.split(',').map(|piece| percent::decode(piece, Plus::Space).unwrap_or_default());
            let (plain, encoded): (Vec<String>, Vec<String>) = (plain.collect(), split(pair.value, ','));
            if plain == encoded { vec![plain] } else { vec![plain, encoded] }
        }
    }
}

/// `form` with `explode`: each property of the object is a pair of its own.
fn exploded_object(pairs: &[WrittenPair<'_>], name: &str, shape: &Shape) -> Result<Option<Wire>, NotInStyle> {
    let mut members: Vec<(String, Wire)> = Vec::new();
    let is_member =
        |pair: &&WrittenPair<'_>| shape.names(pair.name) || (shape.invites_others() && pair.name != name);
    for pair in pairs.iter().filter(is_member) {
        if members.iter().any(|(own, _)| own == pair.name) {
            return Err(NotInStyle {
                keyword: "repeated",
                expected: "each property at most once".to_owned(),
            });
        }
        members.push((pair.name.to_owned(), Wire::Text(pair.value.to_owned())));
    }
    Ok((!members.is_empty()).then_some(Wire::Members(members)))
}

/// A part of a path between delimiters, percent-encoded data in it.
fn read_delimited(
    raw: &str,
    between: char,
    explode: Explode,
    shape: &Shape,
    plus: Plus,
) -> Result<Vec<Wire>, NotInStyle> {
    let decode = |piece: &str| percent::decode(piece, plus).unwrap_or_default();
    let plain: Vec<String> = raw.split(between).map(decode).collect();
    let whole = decode(raw);
    let encoded: Vec<String> = whole.split(between).map(str::to_owned).collect();
    let readings = if plain == encoded { vec![plain] } else { vec![plain, encoded] };
    let mut ways = Vec::new();
    if shape.may_be_object() {
        ways.extend(readings.iter().filter_map(|all| members(all.clone(), explode).ok()));
    }
    if shape.may_be_array() {
        ways.extend(readings.iter().map(|all| Wire::List(non_empty(raw, all.clone()))));
    }
    if shape.may_be_scalar() {
        ways.push(Wire::Text(whole));
    }
    at_least_one(ways)
}

/// RFC 6570 section 3.2.7: `;name=value`, `;name=a,b`, `;name=a;name=b`, `;key=value;key=value`.
fn read_matrix(raw: &str, name: &str, explode: Explode, shape: &Shape) -> Result<Vec<Wire>, NotInStyle> {
    let expected = || wrong(format!("a value that begins with `;{name}=`"));
    let rest = raw.strip_prefix(';').ok_or_else(expected)?;
    let decode = |text: &str| percent::decode(text, Plus::Literal).unwrap_or_default();
    let pairs: Vec<(String, &str)> = rest
        .split(';')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), value))
        .collect();
    let mut ways = Vec::new();
    if explode == Explode::Yes && shape.may_be_object() {
        ways.push(Wire::Members(unique(pairs.iter().map(|(k, v)| (k.clone(), decode(v))))?));
    }
    let own = pairs.iter().all(|(key, _)| key == name);
    if explode == Explode::Yes && shape.may_be_array() && own {
        ways.push(Wire::List(pairs.iter().map(|(_, value)| Wire::Text(decode(value))).collect()));
    }
    if let ([(key, value)], true) = (pairs.as_slice(), own) {
        let within = if explode == Explode::Yes { &Shape::default() } else { shape };
        if key == name && (explode == Explode::No || shape.may_be_scalar()) {
            ways.extend(read_delimited(value, ',', Explode::No, within, Plus::Literal)?);
        }
    }
    if ways.is_empty() { Err(expected()) } else { Ok(ways) }
}

/// `k=v` pieces, or `k`, `v`, `k`, `v`.
fn members(pieces: Vec<String>, explode: Explode) -> Result<Wire, NotInStyle> {
    let expected = || wrong("names and values, each name with its value");
    let pairs: Result<Vec<(String, String)>, NotInStyle> = match explode {
        Explode::Yes => {
            let pair = |piece: &String| {
                piece.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())).ok_or_else(expected)
            };
            pieces.iter().map(pair).collect()
        }
        Explode::No => pieces
            .chunks(2)
            .map(|pair| match pair {
                [key, value] => Ok((key.clone(), value.clone())),
                _ => Err(expected()),
            })
            .collect(),
    };
    unique(pairs?.into_iter()).map(Wire::Members)
}

pub(super) fn unique(
    pairs: impl Iterator<Item = (String, String)>,
) -> Result<Vec<(String, Wire)>, NotInStyle> {
    let mut found: Vec<(String, Wire)> = Vec::new();
    for (key, value) in pairs {
        if found.len() >= MEMBERS_MAX {
            return Err(wrong(format!("at most {MEMBERS_MAX} names")));
        }
        if found.iter().any(|(own, _)| *own == key) {
            return Err(NotInStyle { keyword: "repeated", expected: "each name at most once".to_owned() });
        }
        found.push((key, Wire::Text(value)));
    }
    Ok(found)
}

fn non_empty(raw: &str, pieces: Vec<String>) -> Vec<Wire> {
    if raw.is_empty() { Vec::new() } else { pieces.into_iter().map(Wire::Text).collect() }
}

fn at_least_one(ways: Vec<Wire>) -> Result<Vec<Wire>, NotInStyle> {
    if ways.is_empty() { Err(wrong("names and values, each name once and with its value")) } else { Ok(ways) }
}

pub(super) fn wrong(expected: impl Into<String>) -> NotInStyle {
    NotInStyle { keyword: "style", expected: expected.into() }
}

/// More properties than any described object has; they are compared with each other.
const MEMBERS_MAX: usize = 256;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::target::Target;
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    fn shape(schema: &str) -> Shape {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), format!("s: {schema}")).unwrap();
        let source = super::super::source::Source::read(folder.path(), "c").unwrap();
        super::super::shape::Shapes::new(&source).of(&source.root().key("s"))
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn texts(items: &[String]) -> Wire {
        Wire::List(items.iter().cloned().map(Wire::Text).collect())
    }

    fn ways(
        query: &str,
        style: Style,
        explode: Explode,
        shape: &Shape,
    ) -> Result<Option<Vec<Wire>>, NotInStyle> {
        let target = Target::from_origin_form(&format!("/?{query}")).unwrap();
        let pairs: Vec<WrittenPair<'_>> = target.written_pairs().collect();
        read_pairs(&pairs, "p", style, explode, shape)
    }

    #[test]
    fn a_delimiter_that_is_data_is_told_from_one_that_divides() {
        let array = shape("{type: array, items: {type: string}}");
        let read = ways("p=a%2Cb,c", Style::Form, Explode::No, &array).unwrap().unwrap();
        assert_eq!(read[0], texts(&["a,b".to_owned(), "c".to_owned()]));
        // What clients mean that encode every comma is the second way, not the first.
        assert_eq!(read[1], texts(&["a".to_owned(), "b".to_owned(), "c".to_owned()]));
    }

    #[test]
    fn names_are_bounded_in_number() {
        let object = shape("{type: object}");
        let pairs = |count: usize| (0..count).map(|n| format!("{n},x")).collect::<Vec<_>>().join(",");
        assert!(read_plain(&pairs(MEMBERS_MAX), Explode::No, &object).is_ok());
        assert!(read_plain(&pairs(MEMBERS_MAX + 1), Explode::No, &object).is_err());
    }

    #[test]
    fn an_absent_parameter_is_absent_in_every_style() {
        let any = shape("{type: [array, object, string]}");
        for style in [Style::Form, Style::SpaceDelimited, Style::PipeDelimited, Style::DeepObject] {
            for explode in [Explode::Yes, Explode::No] {
                assert_eq!(ways("q=1", style, explode, &any), Ok(None), "{style:?} {explode:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_rfc_6570_writes_is_read_back(items in prop::collection::vec("[ -~é]{1,6}", 1..5)) {
            let array = shape("{type: array, items: {type: string}}");
            let written: Vec<String> = items.iter().map(|item| encoded(item)).collect();
            let comma = ways(&format!("p={}", written.join(",")), Style::Form, Explode::No, &array);
            prop_assert_eq!(&comma.unwrap().unwrap()[0], &texts(&items));
            let repeated: Vec<String> = written.iter().map(|item| format!("p={item}")).collect();
            let exploded = ways(&repeated.join("&"), Style::Form, Explode::Yes, &array);
            prop_assert_eq!(&exploded.unwrap().unwrap()[0], &texts(&items));
            let segment = read_segment(&written.join(","), "p", Style::Simple, Explode::No, &array);
            prop_assert_eq!(&segment.unwrap()[0], &texts(&items));
            let label = read_segment(&format!(".{}", written.join(".")), "p", Style::Label, Explode::Yes, &array);
            prop_assert_eq!(&label.unwrap()[0], &texts(&items));
            let matrix: Vec<String> = written.iter().map(|item| format!(";p={item}")).collect();
            let matrix = read_segment(&matrix.concat(), "p", Style::Matrix, Explode::Yes, &array);
            prop_assert_eq!(&matrix.unwrap()[0], &texts(&items));
        }

        #[test]
        fn what_rfc_6570_writes_of_objects_is_read_back(
            members in prop::collection::btree_map("[a-oq-z]{1,4}", "[ -~é]{0,6}", 1..5),
        ) {
            let object = shape("{type: object, additionalProperties: {type: string}}");
            let texts = members.iter().map(|(key, value)| (key.clone(), Wire::Text(value.clone())));
            let expected = Wire::Members(texts.collect());
            let joined = |within: &str, between: &str| {
                let pair = |(key, value): (&String, &String)| format!("{key}{within}{}", encoded(value));
                members.iter().map(pair).collect::<Vec<_>>().join(between)
            };
            for (style, explode, text) in [
                (Style::Simple, Explode::No, joined(",", ",")),
                (Style::Simple, Explode::Yes, joined("=", ",")),
                (Style::Label, Explode::No, format!(".{}", joined(",", ","))),
                (Style::Label, Explode::Yes, format!(".{}", joined("=", "."))),
                (Style::Matrix, Explode::No, format!(";p={}", joined(",", ","))),
                (Style::Matrix, Explode::Yes, format!(";{}", joined("=", ";"))),
            ] {
                let read = read_segment(&text, "p", style, explode, &object);
                prop_assert_eq!(&read.unwrap()[0], &expected, "{}", text);
            }
            let deep = members.iter().map(|(key, value)| format!("p[{key}]={}", encoded(value)));
            for (style, explode, query) in [
                (Style::Form, Explode::No, format!("p={}", joined(",", ","))),
                (Style::Form, Explode::Yes, joined("=", "&")),
                (Style::DeepObject, Explode::Yes, deep.collect::<Vec<_>>().join("&")),
            ] {
                let read = ways(&query, style, explode, &object);
                prop_assert_eq!(&read.unwrap().unwrap()[0], &expected, "{}", query);
            }
        }

        #[test]
        fn what_delimiters_divide_is_read_back(items in prop::collection::vec("[!-{}~é]{1,6}", 1..5)) {
            let array = shape("{type: array, items: {type: string}}");
            for (style, between) in [(Style::SpaceDelimited, "%20"), (Style::PipeDelimited, "%7C")] {
                let written: Vec<String> = items.iter().map(|item| encoded(item)).collect();
                let read = ways(&format!("p={}", written.join(between)), style, Explode::No, &array);
                prop_assert_eq!(&read.unwrap().unwrap()[0], &texts(&items));
            }
        }

        #[test]
        fn any_text_is_answered_in_every_style(text in "[pab0-2=&,;.|%20\\[\\]+]{0,24}") {
            let any = shape("{type: [array, object, string], properties: {a: {type: array}}}");
            for explode in [Explode::Yes, Explode::No] {
                for style in [Style::Simple, Style::Label, Style::Matrix] {
                    // One way at least, or a reason.
                    let read = read_segment(&text, "p", style, explode, &any);
                    prop_assert!(read.map_or(true, |ways| !ways.is_empty()));
                }
                let Ok(target) = Target::from_origin_form(&format!("/?{text}")) else { continue };
                let pairs: Vec<WrittenPair<'_>> = target.written_pairs().collect();
                for style in [Style::Form, Style::SpaceDelimited, Style::PipeDelimited, Style::DeepObject] {
                    let read = read_pairs(&pairs, "p", style, explode, &any);
                    prop_assert!(read.map_or(true, |ways| ways.is_none_or(|ways| !ways.is_empty())));
                }
            }
        }
    }
}
