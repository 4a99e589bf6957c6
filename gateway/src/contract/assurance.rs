//! How sure must it be who calls, beyond what OpenAPI has words for?
//!
//! What a token must be bound to, and how a person must have signed in. It knows neither tokens nor callers.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::Span;

/// What the token of a call must be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TokenBinding {
    /// The client certificate of its connection (RFC 8705).
    Certificate,
    /// A key of which each request has a proof (DPoP, RFC 9449).
    Dpop,
    /// One of the two.
    Either,
}

/// How a person who calls must have signed in (RFC 9470). Machines do not sign in, and are not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct SignIn {
    /// In which of these ways: the token's `acr` must be one of them.
    pub acr: Vec<String>,
    /// By which means: the token's `amr` must have all of them (RFC 8176).
    pub amr: Vec<String>,
    /// How long ago, by the token's `auth_time`.
    pub age_max: Option<Span>,
}

/// Something that cannot be asked of anybody.
pub(super) struct NotAskable {
    /// The key of [`SignIn`] that asks for it; nothing for all of it.
    pub(super) key: Option<&'static str>,
    pub(super) why: &'static str,
    pub(super) help: &'static str,
}

impl SignIn {
    /// What of it cannot be asked of anybody.
    pub(super) fn not_askable(&self) -> Option<NotAskable> {
        let Self { acr, amr, age_max } = self;
        // RFC 9470 section 3 tells them in a quoted text with spaces between.
        let is_word = |word: &String| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        let words = "a challenge could not tell this word";
        let of_words = "write words of printable ASCII, without spaces, quotes and backslashes";
        let (key, why, help) = if acr.is_empty() && amr.is_empty() && age_max.is_none() {
            (None, "`sign_in` asks for nothing", "name at least one of `acr`, `amr` and `age_max`")
        } else if !acr.iter().all(is_word) {
            (Some("acr"), words, of_words)
        } else if !amr.iter().all(is_word) {
            (Some("amr"), words, of_words)
        } else if age_max.is_some_and(|span| span.0.is_zero()) {
            (Some("age_max"), "nobody has signed in at this very moment", "such as `age_max: 10m`")
        } else {
            return None;
        };
        Some(NotAskable { key, why, help })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_nobody_can_do_is_not_asked() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let span = |seconds| Some(Span(Duration::from_secs(seconds)));
        for (acr, amr, age_max, expected) in [
            (&["urn:a:b"][..], &["mfa", "hwk"][..], span(1), None),
            (&[], &["mfa"], None, None),
            (&[], &[], span(600), None),
            (&[], &[], None, Some(None)),
            (&["a b"], &[], None, Some(Some("acr"))),
            (&["a\"b"], &[], None, Some(Some("acr"))),
            (&[], &["a\\"], None, Some(Some("amr"))),
            (&[], &[""], None, Some(Some("amr"))),
            (&[], &["mfa"], span(0), Some(Some("age_max"))),
        ] {
            let sign_in = SignIn { acr: words(acr), amr: words(amr), age_max };
            assert_eq!(sign_in.not_askable().map(|one| one.key), expected, "{sign_in:?}");
        }
    }
}
