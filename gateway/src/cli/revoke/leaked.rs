//! Which token was found, by what stands in it?
//!
//! It is read from a file or from standard input, so that it never stands in a command line, which others see and
//! shells remember. Nothing of it is verified: it only says what to revoke, and a name that is no token's shuts
//! nobody out.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::document::unique;
use crate::identity::CLOCK_SKEW_MAX;

/// What a token says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaked {
    /// Its `jti`.
    pub(super) id: String,
    /// The `iss` of whoever issued it.
    pub(super) issuer: String,
    /// From when on it is worth nothing by itself, whatever clocks say.
    pub(super) over: Option<Timestamp>,
}

impl Leaked {
    /// Reads the token in the file at `path`, or on standard input where that is `-`.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let mut text = Zeroizing::new(String::new());
        let read =
            |source: &mut dyn Read, text: &mut String| source.take(TOKEN_BYTES_MAX).read_to_string(text);
        let done = if path == Path::new("-") {
            read(&mut io::stdin().lock(), &mut text)
        } else {
            File::open(path).and_then(|mut file| read(&mut file, &mut text))
        };
        done.map_err(|fault| format!("{}: {}", path.display(), fault.kind()))?;
        Self::parse(text.trim())
    }

    fn parse(token: &str) -> Result<Self, String> {
        let parts: Vec<&str> = token.split('.').collect();
        let [_, claims, _] = parts.as_slice() else { return Err(OPAQUE.to_owned()) };
        let claims = URL_SAFE_NO_PAD.decode(claims).map_or(None, |claims| unique::object(&claims));
        let claims = claims.ok_or(OPAQUE)?;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        let id =
            text("jti").ok_or("the token has no id (`jti`)\n  help: revoke its client or its subject")?;
        let issuer = text("iss").ok_or("the token does not say who issued it (`iss`)")?;
        let ends = claims.get("exp").and_then(Value::as_i64).and_then(|exp| Timestamp::from_second(exp).ok());
        let skew = SignedDuration::try_from(CLOCK_SKEW_MAX).unwrap_or(SignedDuration::MAX);
        Ok(Self { id, issuer, over: ends.and_then(|ends| ends.checked_add(skew).ok()) })
    }
}

const OPAQUE: &str = "this is no JWT, and says nothing of itself\n  help: records of the audit log name it as \
                      `token_id`, its client as well: `gateway audit query`";
/// Longer than any token that is taken.
const TOKEN_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_which_it_is_and_when_it_is_over() {
        let read =
            Leaked::parse(&token(r#"{"jti": "t1", "iss": "https://i.example", "exp": 1000}"#)).unwrap();
        assert_eq!((read.id.as_str(), read.issuer.as_str()), ("t1", "https://i.example"));
        // Past the largest difference of clocks that any issuer may have.
        assert_eq!(read.over, Some(Timestamp::from_second(1_300).unwrap()));
        let endless =
            Leaked::parse(&token(r#"{"jti": "t1", "iss": "i", "exp": 9223372036854775807}"#)).unwrap();
        assert_eq!(endless.over, None);
    }

    #[test]
    fn what_does_not_say_which_it_is_is_not_guessed() {
        for (text, said) in [
            (token(r#"{"iss": "i"}"#), "has no id"),
            (token(r#"{"jti": 7, "iss": "i"}"#), "has no id"),
            (token(r#"{"jti": "t1"}"#), "who issued it"),
            (token(r#"{"jti": "t1", "jti": "t2", "iss": "i"}"#), "no JWT"),
            (token("[]"), "no JWT"),
            ("opaque-token".to_owned(), "no JWT"),
            ("a.b".to_owned(), "no JWT"),
            ("a.?.c".to_owned(), "no JWT"),
            (String::new(), "no JWT"),
        ] {
            let told = Leaked::parse(&text).unwrap_err();
            assert!(told.contains(said) && !told.contains("t1"), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
            let _read_or_refused = Leaked::parse(&text).is_ok();
        }

        #[test]
        fn any_claims_are_read_or_refused(claims in "\\{\\PC{0,60}\\}") {
            let _read_or_refused = Leaked::parse(&token(&claims)).is_ok();
        }
    }
}
