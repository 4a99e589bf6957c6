//! Which media type is a body, and which would a caller accept? RFC 9110 sections 8.3 and 12.5.1.
//!
//! It compares types and ranges; what a body of a type must look like is for others.

use std::sync::Arc;

/// A media type or range of a contract, read once when it loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaRange {
    text: Arc<str>,
    kind: Box<str>,
    subtype: Box<str>,
    parameters: Vec<(String, String)>,
}

/// A media type of a message, as far as it is needed: essence in lower case, and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

/// How bodies of a media type are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Json,
    UrlEncoded,
    Multipart,
    Text,
    /// By nothing here.
    Bytes,
}

/// How narrowly a range fits; more is narrower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Any,
    Kind,
    Exact,
    /// With so many parameters that the range names.
    Parameters(usize),
}

impl MediaRange {
    /// Reads a key of a `content` map: `application/json`, `text/*`, `*/*`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let MediaType { kind, subtype, parameters } = MediaType::parse(text)?;
        if kind == "*" && subtype != "*" {
            return None;
        }
        Some(Self { text: text.into(), kind: kind.into(), subtype: subtype.into(), parameters })
    }

    /// As the contract writes it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The same, shared.
    pub(super) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Whether a header value is letter for letter this type, which most are. A range is no type of a body.
    pub(super) fn is_exactly(&self, written: &[u8]) -> bool {
        written == self.text.as_bytes() && &*self.subtype != "*"
    }

    /// The charset that the contract names.
    pub(super) fn charset(&self) -> Option<&str> {
        self.parameters.iter().find(|(name, _)| name == "charset").map(|(_, charset)| charset.as_str())
    }

    /// Whether and how narrowly `media` is in this range. Parameters that the contract does not name
    /// do not matter.
    pub(super) fn fit(&self, media: &MediaType) -> Option<Fit> {
        let named = self.parameters.iter().all(|(name, value)| match media.parameter(name) {
            // Only UTF-8 is read, so whether it is said makes no difference.
            None => name == "charset",
            Some(said) if name == "charset" => said.eq_ignore_ascii_case(value),
            Some(said) => said == value,
        });
        match (&*self.kind, &*self.subtype) {
            _ if !named => None,
            ("*", "*") => Some(Fit::Any),
            (kind, "*") => (kind == media.kind).then_some(Fit::Kind),
            (kind, subtype) if kind == media.kind && subtype == media.subtype => {
                Some(match self.parameters.len() {
                    0 => Fit::Exact,
                    count => Fit::Parameters(count),
                })
            }
            _ => None,
        }
    }

    /// How its bodies are read; nothing for a range, whose bodies each have a type of their own.
    pub(super) fn family(&self) -> Option<Family> {
        (&*self.subtype != "*").then(|| family(&self.kind, &self.subtype))
    }

    /// Whether it is the same range, however it is written.
    pub(super) fn means(&self, other: &Self) -> bool {
        let same =
            |one: &[(String, String)], other: &[(String, String)]| one.iter().all(|p| other.contains(p));
        self.essence() == other.essence()
            && same(&self.parameters, &other.parameters)
            && same(&other.parameters, &self.parameters)
    }

    /// Type and subtype, lower case.
    pub(super) fn essence(&self) -> (&str, &str) {
        (&self.kind, &self.subtype)
    }
}

impl MediaType {
    /// Reads a `Content-Type`. RFC 9110 section 8.3.1.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (essence, rest) = text.split_once(';').unwrap_or((text, ""));
        let (kind, subtype) = essence.trim_matches(WHITESPACE).split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let parameters = parameters(rest)?;
        Some(Self { kind: kind.to_ascii_lowercase(), subtype: subtype.to_ascii_lowercase(), parameters })
    }

    /// Whether it is no type of one body, but a range.
    pub(super) fn is_range(&self) -> bool {
        self.kind == "*" || self.subtype == "*"
    }

    /// How its bodies are read.
    pub(super) fn family(&self) -> Family {
        family(&self.kind, &self.subtype)
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

fn family(kind: &str, subtype: &str) -> Family {
    match (kind, subtype) {
        _ if is_json_essence(kind, subtype) => Family::Json,
        ("application", "x-www-form-urlencoded") => Family::UrlEncoded,
        ("multipart", "form-data") => Family::Multipart,
        ("text", subtype) if subtype != "xml" && !subtype.ends_with("+xml") => Family::Text,
        _ => Family::Bytes,
    }
}

/// Whether a body of this type and subtype, in lower case, is JSON: RFC 6839 section 3.1, the suffix `+json`.
pub(super) fn is_json_essence(kind: &str, subtype: &str) -> bool {
    (kind == "application" && subtype == "json") || subtype.ends_with("+json")
}

/// Whether an answer of one of the `offered` types is acceptable by `accept`, an `Accept` field.
/// A field that cannot be read accepts everything, as if it were absent: RFC 9110 section 12.5.1
/// lets a server disregard it.
pub(super) fn is_acceptable(accept: &str, offered: &[MediaRange]) -> bool {
    let Some(ranges) = accept_ranges(accept) else { return true };
    offered.iter().any(|offer| {
        // RFC 9110 section 12.5.1: the most specific range that matches decides.
        let matching = ranges.iter().filter_map(|range| Some((range.specificity(offer)?, range.refused)));
        matching.max_by_key(|(specificity, _)| *specificity).is_some_and(|(_, refused)| !refused)
    })
}

struct AcceptRange {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
    refused: bool,
}

/// A range of an `Accept` field with its weight in thousandths.
pub(super) struct Weighted {
    pub(super) range: MediaType,
    pub(super) weight: u16,
}

/// The ranges of an `Accept` field; nothing if it cannot be read.
pub(super) fn weighted(accept: &str) -> Option<Vec<Weighted>> {
    let elements = accept.split(',').filter(|element| !element.trim_matches(WHITESPACE).is_empty());
    elements
        .map(|element| {
            let range = MediaType::parse(element)?;
            let weight = range.parameter("q").map_or(Some(1_000), thousandths)?;
            Some(Weighted { range, weight })
        })
        .collect()
}

/// RFC 9110 section 12.4.2: `0` or `1`, and up to three digits after a point.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = rest.bytes().all(|b| b.is_ascii_digit()) && rest.len() <= 3;
    let padded = format!("{rest:0<3}").parse::<u16>().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(padded),
        "1" if padded == 0 => Some(1_000),
        _ => None,
    }
}

impl AcceptRange {
    fn specificity(&self, offer: &MediaRange) -> Option<Fit> {
        let (kind, subtype) = offer.essence();
        let meets = |own: &str, offered: &str| own == offered || offered == "*";
        // A parameter that the contract does not name may still be one of the answer's.
        let differs = |(name, value): &(String, String)| {
            let offered = offer.parameters.iter().find(|(own, _)| own == name);
            offered.is_some_and(|(_, own)| !own.eq_ignore_ascii_case(value))
        };
        // `application/json;version=1;q=0` refuses that version, not the type.
        let is_more = |(name, _): &(String, String)| {
            name != "q" && !offer.parameters.iter().any(|(own, _)| own == name)
        };
        if self.parameters.iter().any(differs) || (self.refused && self.parameters.iter().any(is_more)) {
            return None;
        }
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => Some(Fit::Any),
            (own, "*") => meets(own, kind).then_some(Fit::Kind),
            (own, sub) => (meets(own, kind) && meets(sub, subtype)).then_some(Fit::Exact),
        }
    }
}

fn accept_ranges(accept: &str) -> Option<Vec<AcceptRange>> {
    let mut ranges = Vec::new();
    // RFC 9110 section 5.6.1.2: empty list elements are ignored.
    for element in accept.split(',').filter(|element| !element.trim_matches(WHITESPACE).is_empty()) {
        let MediaType { kind, subtype, parameters } = MediaType::parse(element)?;
        // RFC 9110 section 12.4.2: a weight of 0 means "not acceptable".
        let weight = parameters.iter().find(|(name, _)| name == "q").map(|(_, weight)| weight.as_str());
        let refused = weight.is_some_and(|weight| weight.bytes().all(|b| matches!(b, b'0' | b'.')));
        ranges.push(AcceptRange { kind, subtype, parameters, refused });
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// `;name=value` and `;name="value"`, names in lower case.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let (mut found, mut rest) = (Vec::new(), text.trim_matches(WHITESPACE));
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_start_matches(WHITESPACE).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => {
                let (value, after) = after.split_once(';').unwrap_or((after, ""));
                (value.trim_matches(WHITESPACE).to_owned(), after)
            }
        };
        if !is_token(&name) || found.len() >= PARAMETERS_MAX {
            return None;
        }
        found.push((name, value));
        rest = after.trim_matches(WHITESPACE);
    }
    Some(found)
}

/// RFC 9110 section 5.6.4: what stands up to the closing quote, and what follows the next `;`.
fn quoted_string(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let after = text.get(at..)?.strip_prefix('"')?.trim_start_matches(WHITESPACE);
                let after = if after.is_empty() { after } else { after.strip_prefix(';')? };
                return Some((value, after));
            }
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(tchar)
}

/// RFC 9110 section 5.6.3.
const WHITESPACE: [char; 2] = [' ', '\t'];
/// No registered media type has as many.
const PARAMETERS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn media(text: &str) -> MediaType {
        MediaType::parse(text).unwrap()
    }

    #[test]
    fn media_types_are_read_with_their_parameters() {
        let read = media("Multipart/Form-Data ; Boundary=\"a;b\\\"c\" ; charset=utf-8");
        assert_eq!(read.parameter("boundary"), Some("a;b\"c"));
        assert_eq!(read.parameter("charset"), Some("utf-8"));
        assert_eq!((read.kind.as_str(), read.subtype.as_str()), ("multipart", "form-data"));
        for broken in
            ["", "json", "application/", "/json", "a b/c", "a/b; x", "a/b; x=\"y", "a/b; x=\"y\"z", "a/b/c"]
        {
            assert_eq!(MediaType::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_range_fits_what_is_in_it() {
        for (range, text, fit) in [
            ("application/json", "application/json", Some(Fit::Exact)),
            ("application/json", "Application/JSON; charset=utf-8", Some(Fit::Exact)),
            ("application/json", "application/problem+json", None),
            ("text/*", "text/csv", Some(Fit::Kind)),
            ("text/*", "application/csv", None),
            ("*/*", "image/png", Some(Fit::Any)),
            ("a/b; version=1", "a/b; version=1", Some(Fit::Parameters(1))),
            ("a/b; version=1; x=y", "a/b; x=y; version=1", Some(Fit::Parameters(2))),
            ("a/b; version=1; x=y", "a/b; version=1", None),
            ("a/b; charset=utf-8", "a/b; Charset=UTF-8", Some(Fit::Parameters(1))),
            ("a/b; charset=utf-8", "a/b", Some(Fit::Parameters(1))),
            ("a/b; charset=utf-8", "a/b; charset=utf-16", None),
            ("a/b; version=1", "a/b; version=2", None),
            ("a/b; version=1", "a/b", None),
        ] {
            assert_eq!(MediaRange::parse(range).unwrap().fit(&media(text)), fit, "{range} {text}");
        }
        assert_eq!(MediaRange::parse("*/json"), None);
    }

    #[test]
    fn accept_is_met_by_its_most_specific_range() {
        for (accept, offered, met) in [
            ("application/json", "application/json", true),
            ("application/xml", "application/json", false),
            ("application/xml, application/json;q=0.1", "application/json", true),
            ("*/*", "application/json", true),
            ("application/*", "application/json", true),
            ("text/*", "application/json", false),
            ("*/*, application/json;q=0", "application/json", false),
            ("application/json;q=0.0, application/*", "application/json", false),
            ("application/vnd.x+json; version=1", "application/vnd.x+json", true),
            ("a/b; version=1", "a/b; version=1", true),
            ("a/b; version=2", "a/b; version=1", false),
            ("a/b; version=2, */*;q=0.1", "a/b; version=1", true),
            ("a/b; charset=UTF-8", "a/b; charset=utf-8", true),
            ("application/json;version=2, application/json;version=1;q=0", "application/json", true),
            ("text/html,,", "text/*", true),
            ("", "application/json", true),
            ("nonsense", "application/json", true),
        ] {
            assert_eq!(is_acceptable(accept, &[MediaRange::parse(offered).unwrap()]), met, "{accept}");
        }
        assert!(!is_acceptable("*/*", &[]));
    }
}
