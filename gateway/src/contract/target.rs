//! Which resource does a request target name? RFC 3986, in one spelling only.
//!
//! A path that two readers could read differently is refused, never repaired: what was matched is
//! byte for byte what is sent on. It does not know which operations exist.

use std::ops::Range;

use http::Uri;

use super::percent::{self, NotText, Plus};

/// A path and a query in the one spelling that the gateway accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    path: String,
    query: String,
    pairs: Vec<(String, String)>,
    raw_values: Vec<Range<usize>>,
}

impl Target {
    /// Reads the path and query of `uri`. Scheme and authority are the caller's business, and so is
    /// a fragment: [`Uri`] drops it, so whoever has the bytes of the request line looks for `#`.
    ///
    /// # Errors
    /// The target has no path, or more than one reader would find more than one meaning in it.
    pub fn parse(uri: &Uri) -> Result<Self, TargetError> {
        let target = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        Self::from_origin_form(target)
    }

    /// Reads a request target in origin form: `/orders/v2/orders?page=2`. RFC 9112 section 3.2.1.
    ///
    /// # Errors
    /// As [`Target::parse`]; also a fragment.
    pub fn from_origin_form(target: &str) -> Result<Self, TargetError> {
        if target.len() > TARGET_BYTES_MAX {
            return Err(TargetError::TooLong);
        }
        if target.contains('#') {
            return Err(TargetError::Fragment);
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        check_path(path)?;
        let (pairs, raw_values) = read_query(query)?;
        Ok(Self { path: path.to_owned(), query: query.to_owned(), pairs, raw_values })
    }

    /// The path as it was sent, was matched and goes on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query as it was sent, without the `?`.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The query's names and values, decoded once, in their order.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The same target without the query parameters named `name`, the rest byte for byte.
    #[must_use]
    pub(super) fn without(self, name: &str) -> Self {
        if !self.pairs.iter().any(|(own, _)| own == name) {
            return self;
        }
        let kept: Vec<&str> = self
            .query
            .split('&')
            .filter(|pair| {
                let own = pair.split_once('=').map_or(*pair, |(own, _)| own);
                percent::decode(own, Plus::Space).map_or(true, |own| own != name)
            })
            .collect();
        let query = kept.join("&");
        // What was read once can be read again.
        match read_query(&query) {
            Ok((pairs, raw_values)) => Self { path: self.path, query, pairs, raw_values },
            Err(_) => self,
        }
    }

    /// Name, decoded value and value as written of each pair.
    pub(super) fn written_pairs(&self) -> impl Iterator<Item = WrittenPair<'_>> {
        self.pairs.iter().zip(&self.raw_values).map(|((name, value), raw)| WrittenPair {
            name,
            value,
            raw: self.query.get(raw.clone()).unwrap_or_default(),
        })
    }
}

/// One pair of a query or form: decoded, and the value also as it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenPair<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) raw: &'a str,
}

/// Why a target names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Longer than [`TARGET_BYTES_MAX`].
    #[error("the target is too long")]
    TooLong,
    /// Not a path from the root: asterisk form, authority form, or nothing.
    #[error("the target is not a path that begins with a slash")]
    NotAPath,
    /// A fragment, which never belongs on the wire.
    #[error("the target has a fragment")]
    Fragment,
    /// A character that RFC 3986 does not allow where it stands.
    #[error("the target holds a character that must be percent-encoded or left out")]
    Character,
    /// `.` or `..`, plain or in disguise.
    #[error("the path holds a dot segment")]
    DotSegment,
    /// Two slashes in a row.
    #[error("the path holds an empty segment")]
    EmptySegment,
    /// A percent-encoded slash, backslash or semicolon, or an escape that decodes to another escape.
    #[error("the path holds a percent-encoded delimiter")]
    EncodedDelimiter,
    /// A percent-encoded letter, digit, dot, hyphen, underscore or tilde.
    #[error("the path percent-encodes a character that stands for itself")]
    EncodedPlain,
    /// A percent sign that does not begin an escape.
    #[error("the target holds a broken percent-encoding")]
    Escape,
    /// Escapes that are not UTF-8.
    #[error("the target's percent-encoded bytes are not UTF-8")]
    Utf8,
    /// A control character behind an escape.
    #[error("the target holds a control character")]
    Control,
    /// More than [`PAIRS_MAX`] query parameters.
    #[error("the query has too many parameters")]
    TooManyPairs,
}

impl From<NotText> for TargetError {
    fn from(not_text: NotText) -> Self {
        match not_text {
            NotText::Escape => Self::Escape,
            NotText::Utf8 => Self::Utf8,
        }
    }
}

fn check_path(path: &str) -> Result<(), TargetError> {
    let segments = path.strip_prefix('/').ok_or(TargetError::NotAPath)?;
    // RFC 3986 section 3.3: a segment is made of pchar; everything else must be percent-encoded.
    if !path.bytes().all(|b| is_pchar(b) || b == b'/') {
        return Err(TargetError::Character);
    }
    // RFC 3986 section 6.2.2.2: `%61` and `a` are the same path, so only one of them is accepted.
    for byte in percent::escaped_bytes(path) {
        match byte {
            // What `%2F` or `%5C` means depends on who decodes when; `%3B` and `%25` likewise.
            b'/' | b'\\' | b';' => return Err(TargetError::EncodedDelimiter),
            b'.' => return Err(TargetError::DotSegment),
            b if is_unreserved(b) => return Err(TargetError::EncodedPlain),
            _ => {}
        }
    }
    let decoded = percent::decode(path, Plus::Literal)?;
    if decoded.chars().any(char::is_control) {
        return Err(TargetError::Control);
    }
    if percent::escaped_bytes(&decoded).next().is_some() {
        return Err(TargetError::EncodedDelimiter);
    }
    let last = segments.matches('/').count();
    for (n, segment) in segments.split('/').enumerate() {
        // A trailing slash is a path of its own; an empty segment anywhere else is not a path.
        if segment.is_empty() && n < last {
            return Err(TargetError::EmptySegment);
        }
        // Some servers cut `;...` off before they look for dots: `/..;/` is `/../` to them.
        if matches!(segment.split(';').next(), Some("." | "..")) {
            return Err(TargetError::DotSegment);
        }
    }
    Ok(())
}

type Pairs = (Vec<(String, String)>, Vec<Range<usize>>);

fn read_query(query: &str) -> Result<Pairs, TargetError> {
    // Clients write `[`, `{`, `"` and the like plainly in queries; nobody reads them in two ways.
    if !query.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(TargetError::Character);
    }
    let (mut pairs, mut raw_values, mut start) = (Vec::new(), Vec::new(), 0_usize);
    for pair in query.split('&') {
        let end = start.saturating_add(pair.len());
        if !pair.is_empty() {
            if pairs.len() >= PAIRS_MAX {
                return Err(TargetError::TooManyPairs);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = (percent::decode(name, Plus::Space)?, percent::decode(value, Plus::Space)?);
            if decoded.0.chars().chain(decoded.1.chars()).any(char::is_control) {
                return Err(TargetError::Control);
            }
            pairs.push(decoded);
            raw_values.push(end.saturating_sub(value.len())..end);
        }
        start = end.saturating_add(1);
    }
    Ok((pairs, raw_values))
}

/// RFC 3986 section 3.3: unreserved / pct-encoded / sub-delims / ":" / "@".
const fn is_pchar(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'%' | b':' | b'@')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 9110 section 4.1 asks for at least 8000 octets.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// No described operation comes near; it bounds the work of one head.
pub const PAIRS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal(target: &str) -> Option<TargetError> {
        Target::from_origin_form(target).err()
    }

    #[test]
    fn a_plain_path_is_kept_as_it_is() {
        for path in
            ["/", "/a", "/a/", "/a/b.json", "/a/%C3%A9", "/a/x,y", "/a/...", "/a/~b", "/a/;p=1", "/a:b@c"]
        {
            let target = Target::from_origin_form(path).unwrap();
            assert_eq!((target.path(), target.query()), (path, ""));
        }
    }

    #[test]
    fn every_ambiguous_path_is_refused() {
        use TargetError::*;
        for (target, reason) in [
            ("", NotAPath),
            ("*", NotAPath),
            ("a/b", NotAPath),
            ("example.com:443", NotAPath),
            ("/a/../b", DotSegment),
            ("/a/./b", DotSegment),
            ("/..", DotSegment),
            ("/%2e%2e/b", DotSegment),
            ("/a/.%2E/b", DotSegment),
            ("/a%2Ejson", DotSegment),
            ("/a/..;x=1/b", DotSegment),
            ("/a/.;/b", DotSegment),
            ("//a", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a//", EmptySegment),
            ("/a%2Fb", EncodedDelimiter),
            ("/a%2fb", EncodedDelimiter),
            ("/a%5Cb", EncodedDelimiter),
            ("/a%3Bb", EncodedDelimiter),
            ("/a%252Fb", EncodedDelimiter),
            ("/a\\b", Character),
            ("/a b", Character),
            ("/a\"b", Character),
            ("/a<b", Character),
            ("/a|b", Character),
            ("/é", Character),
            ("/a\u{0}", Character),
            ("/%61dmin", EncodedPlain),
            ("/a%7Eb", EncodedPlain),
            ("/a%2", Escape),
            ("/a%zz", Escape),
            ("/a%", Escape),
            ("/%C0%AF", Utf8),
            ("/%FF", Utf8),
            ("/a%00", Control),
            ("/a%0D%0Ab", Control),
            ("/a%7F", Control),
            ("/a%C2%85", Control),
            ("/a#b", Fragment),
            ("/a?b#c", Fragment),
        ] {
            assert_eq!(refusal(target), Some(reason), "{target}");
        }
    }

    #[test]
    fn query_pairs_are_decoded_once() {
        for (query, pairs) in [
            ("", vec![]),
            ("a=1&b=2", vec![("a", "1"), ("b", "2")]),
            ("a=1&a=2", vec![("a", "1"), ("a", "2")]),
            ("a", vec![("a", "")]),
            ("a=", vec![("a", "")]),
            ("&&a=b=c&", vec![("a", "b=c")]),
            ("a%5B0%5D=x+y%2B%252F", vec![("a[0]", "x y+%2F")]),
            ("q={\"a\":1}", vec![("q", "{\"a\":1}")]),
        ] {
            let target = Target::from_origin_form(&format!("/?{query}")).unwrap();
            let read: Vec<(&str, &str)> =
                target.pairs().iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(read, pairs, "{query}");
        }
    }

    #[test]
    fn the_value_as_written_is_kept_beside_the_decoded_one() {
        let target = Target::from_origin_form("/?a=x%2Cy,z&b&c=%41").unwrap();
        let raw: Vec<&str> = target.written_pairs().map(|pair| pair.raw).collect();
        assert_eq!(raw, ["x%2Cy,z", "", "%41"]);
    }

    #[test]
    fn a_parameter_can_be_taken_out_and_the_rest_stays_as_it_was() {
        for (query, rest) in [
            ("version=1", ""),
            ("a=x%2Cy&version=1&b", "a=x%2Cy&b"),
            ("%76ersion=1&a=1&version", "a=1"),
            ("versions=1&Version=2", "versions=1&Version=2"),
            ("&&a=1", "&&a=1"),
        ] {
            let target = Target::from_origin_form(&format!("/o?{query}")).unwrap().without("version");
            assert_eq!(target.query(), rest, "{query}");
            assert_eq!(target, Target::from_origin_form(&format!("/o?{rest}")).unwrap(), "{query}");
        }
    }

    #[test]
    fn broken_or_hidden_text_in_a_query_is_refused() {
        for (query, reason) in [
            ("a=%", TargetError::Escape),
            ("%GG=1", TargetError::Escape),
            ("a=%C0%80", TargetError::Utf8),
            ("a=%00", TargetError::Control),
            ("a=%0Ab", TargetError::Control),
            ("a=b c", TargetError::Character),
            ("a=b\\c", TargetError::Character),
        ] {
            assert_eq!(refusal(&format!("/?{query}")), Some(reason), "{query}");
        }
    }

    #[test]
    fn length_and_number_are_bounded() {
        assert_eq!(refusal(&format!("/{}", "a".repeat(TARGET_BYTES_MAX))), Some(TargetError::TooLong));
        assert_eq!(refusal(&format!("/?{}", "a&".repeat(PAIRS_MAX + 1))), Some(TargetError::TooManyPairs));
        assert_eq!(refusal(&format!("/?{}", "a&".repeat(PAIRS_MAX))), None);
    }

    #[test]
    fn a_uri_is_read_without_its_authority() {
        let uri: Uri = "https://api.example/a/b?c=d".parse().unwrap();
        let target = Target::parse(&uri).unwrap();
        assert_eq!((target.path(), target.query()), ("/a/b", "c=d"));
        assert_eq!(Target::parse(&"*".parse().unwrap()), Err(TargetError::NotAPath));
        assert_eq!(Target::parse(&"example.com:443".parse().unwrap()), Err(TargetError::NotAPath));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_answered(target in any::<String>()) {
            // Never a panic; the answer itself is checked below.
            let answer = Target::from_origin_form(&target);
            prop_assert_eq!(answer.is_ok(), Target::from_origin_form(&target).is_ok());
        }

        #[test]
        fn an_accepted_path_has_one_spelling(path in "/([a-c./;%25\\\\]|%2[eEfF5]|%5[cC]|%6[12]|%[cC]3%[aA]9){0,12}") {
            if let Ok(target) = Target::from_origin_form(&path) {
                let decoded = percent::decode(target.path(), Plus::Literal).unwrap();
                prop_assert_eq!(decoded.matches('/').count(), target.path().matches('/').count());
                prop_assert!(!decoded.contains("//") && !decoded.contains('\\'));
                prop_assert!(!decoded.split('/').any(|s| s == "." || s == ".."), "{decoded}");
                // Decoding again changes nothing: no reader finds a second meaning.
                prop_assert_eq!(percent::decode(&decoded, Plus::Literal).unwrap_or_else(|_| decoded.clone()), decoded);
                prop_assert_eq!(target.path(), path.as_str());
            }
        }
    }
}
