//! Which fields does a `multipart/form-data` body hold? RFC 7578, RFC 2046 section 5.1.
//!
//! It finds the parts and their names; what they should be is for others.

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// One part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) headers: HeaderMap,
    pub(super) body: &'a [u8],
}

impl Part<'_> {
    /// The media type, as the part says it.
    pub(super) fn content_type(&self) -> Option<&str> {
        self.headers.get(CONTENT_TYPE)?.to_str().ok()
    }
}

/// The parts of `body` between lines of `boundary`; nothing if it is not a multipart body.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Option<Vec<Part<'a>>> {
    // RFC 2046 section 5.1.1: 1 to 70 characters, not ending in a space.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b);
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.bytes().all(allowed)
    {
        return None;
    }
    let dashes = format!("--{boundary}");
    let line = format!("\r\n{dashes}");
    // Nothing may stand before the first boundary: some servers would look for fields there.
    let mut rest = body.strip_prefix(dashes.as_bytes())?;
    let mut found = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(b"--") {
            let ended = matches!(after, b"" | b"\r\n");
            return ended.then_some(found);
        }
        if found.len() >= PARTS_MAX {
            return None;
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let end = position(rest, line.as_bytes())?;
        let (part, after) = rest.split_at_checked(end)?;
        found.push(read_part(part)?);
        rest = after.strip_prefix(line.as_bytes())?;
    }
}

fn read_part(part: &[u8]) -> Option<Part<'_>> {
    let end = position(part, b"\r\n\r\n")?;
    let (head, body) = part.split_at_checked(end)?;
    let body = body.strip_prefix(b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let (mut name, mut headers) = (None, HeaderMap::new());
    for line in head.split("\r\n") {
        let (field, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        let field = HeaderName::from_bytes(field.as_bytes()).ok()?;
        if headers.len() >= HEADERS_MAX {
            return None;
        }
        match field {
            CONTENT_DISPOSITION if name.is_none() => name = Some(field_name(value)?),
            CONTENT_TYPE if !headers.contains_key(CONTENT_TYPE) => {}
            // Which of two counts is for each reader to guess.
            CONTENT_DISPOSITION | CONTENT_TYPE => return None,
            // RFC 7578 section 4.7: a part's transfer encoding is deprecated, and would hide the text.
            _ if field == TRANSFER_ENCODING && !is_plain(value) => return None,
            _ => {}
        }
        // A name in UTF-8 is no ASCII, and read above.
        headers.append(field, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(Part { name: name?, headers, body })
}

/// RFC 2045 section 6.2: these leave the bytes as they are.
fn is_plain(encoding: &str) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
}

/// The `name` in `form-data; name="x"; filename="y"`. RFC 7578 section 4.2.
fn field_name(disposition: &str) -> Option<String> {
    let (kind, mut rest) = disposition.split_once(';')?;
    if !kind.trim_matches(' ').eq_ignore_ascii_case("form-data") {
        return None;
    }
    let mut name = None;
    loop {
        let (key, value) = rest.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => value.split_at_checked(value.find(';').unwrap_or(value.len()))?,
        };
        // A quote inside a value is written `%22`; a backslash before it means two things to two readers.
        if value.contains('\\') {
            return None;
        }
        let key = key.trim_matches(' ');
        if key.eq_ignore_ascii_case("name") && name.replace(value.to_owned()).is_some() {
            return None;
        }
        let after = after.trim_matches(' ');
        if after.is_empty() {
            return name;
        }
        rest = after.strip_prefix(';')?;
    }
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

const TRANSFER_ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
/// More than any client writes, or any contract describes.
const HEADERS_MAX: usize = 32;
/// No described form has as many fields.
const PARTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(disposition: &str) -> String {
        format!("--b\r\nContent-Disposition: {disposition}\r\n\r\nx\r\n--b--\r\n")
    }

    #[test]
    fn parts_are_found_with_their_names_and_types() {
        let body = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\
                    content-type: text/plain\r\nContent-Disposition: form-data; filename=\"x.txt\"; name=f\r\n\r\n\
                    two\r\nlines\r\n--b--\r\n";
        let found = parts(body.as_bytes(), "b").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].body), ("a", &b"1"[..]));
        assert_eq!(found[1].content_type(), Some("text/plain"));
        assert_eq!((found[1].name.as_str(), found[1].body), ("f", &b"two\r\nlines"[..]));
        assert_eq!(parts(b"--b--", "b"), Some(vec![]));
    }

    #[test]
    fn what_two_readers_could_take_apart_differently_is_refused() {
        for body in [
            "".to_owned(),
            "--b".to_owned(),
            "preamble\r\n--b--".to_owned(),
            "--b--\r\nepilogue".to_owned(),
            "--b\nContent-Disposition: form-data; name=a\n\nx\n--b--".to_owned(),
            "--b\r\n\r\nx\r\n--b--".to_owned(),
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx".to_owned(),
            part("attachment; name=\"a\""),
            part("form-data"),
            part("form-data; filename=\"a\""),
            part("form-data; name=\"a\"; name=\"b\""),
            part("form-data; name=\"a\\\"b\""),
            part("form-data; name=\"a"),
            part("form-data; name=a\r\nContent-Transfer-Encoding: base64"),
            part("form-data; name=a\r\nContent-Disposition: form-data; name=b"),
        ] {
            assert_eq!(parts(body.as_bytes(), "b"), None, "{body}");
        }
        assert!(parts(part("form-data; name=\"a\"").as_bytes(), "b").is_some());
        for boundary in ["", "b ", "a\"b", "é"] {
            assert_eq!(parts(b"--b--", boundary), None, "{boundary}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in proptest::collection::vec(any::<u8>(), 0..80)) {
            let whole = [b"--b\r\n".as_slice(), &body].concat();
            // What is found is in the body.
            for part in parts(&whole, "b").unwrap_or_default() {
                prop_assert!(position(&whole, part.body).is_some());
            }
        }
    }
}
