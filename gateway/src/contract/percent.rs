//! What text does a percent-encoded part of a target or form stand for? RFC 3986 section 2.1.
//!
//! Decoded exactly once, and only to UTF-8; it does not know where the text stood.

use percent_encoding::percent_decode_str;

/// What a `+` means where the text stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plus {
    /// A space, as HTML forms and therefore nearly every query writer mean it.
    Space,
    /// Itself, as in a path.
    Literal,
}

/// Why a percent-encoded text stands for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotText {
    /// A `%` without two hexadecimal digits after it.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    Escape,
    /// Not UTF-8, which includes overlong forms and surrogates.
    #[error("the decoded bytes are not UTF-8")]
    Utf8,
}

/// The text that `raw` stands for.
pub(super) fn decode(raw: &str, plus: Plus) -> Result<String, NotText> {
    if !escapes_are_whole(raw) {
        return Err(NotText::Escape);
    }
    let spaced = match plus {
        Plus::Space if raw.contains('+') => std::borrow::Cow::Owned(raw.replace('+', " ")),
        Plus::Space | Plus::Literal => std::borrow::Cow::Borrowed(raw),
    };
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_not_utf8) => Err(NotText::Utf8),
    }
}

/// The bytes that each escape of `raw` stands for, whole escapes only.
pub(super) fn escaped_bytes(raw: &str) -> impl Iterator<Item = u8> {
    raw.split('%').skip(1).filter_map(|after| u8::from_str_radix(after.get(..2)?, 16).ok())
}

fn escapes_are_whole(raw: &str) -> bool {
    let whole = |after: &str| after.get(..2).is_some_and(|two| two.bytes().all(|b| b.is_ascii_hexdigit()));
    raw.split('%').skip(1).all(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_once() {
        for (raw, text) in
            [("", ""), ("a%20b", "a b"), ("%C3%A9", "é"), ("%2525", "%25"), ("a+b", "a b"), ("a%2Bb", "a+b")]
        {
            assert_eq!(decode(raw, Plus::Space).as_deref(), Ok(text), "{raw}");
        }
        assert_eq!(decode("a+b", Plus::Literal).as_deref(), Ok("a+b"));
    }

    #[test]
    fn broken_escapes_and_broken_utf8_are_refused() {
        for raw in ["%", "%2", "%G0", "%+1", "a%2", "%%20", "%é"] {
            assert_eq!(decode(raw, Plus::Space), Err(NotText::Escape), "{raw}");
        }
        // An overlong slash, an overlong NUL, a lone continuation, a surrogate, beyond U+10FFFF.
        for raw in ["%C0%AF", "%E0%80%AF", "%C0%80", "%80", "%ED%A0%80", "%F4%90%80%80"] {
            assert_eq!(decode(raw, Plus::Literal), Err(NotText::Utf8), "{raw}");
        }
    }

    #[test]
    fn the_bytes_behind_escapes_are_listed() {
        assert_eq!(escaped_bytes("/a%2Fb%2e").collect::<Vec<_>>(), b"/.");
    }
}
