//! How did the person behind a token sign in, and is that enough?
//!
//! By what the token says of it (OpenID Connect Core section 2, RFC 9068 section 2.2.1): in which way (`acr`), by
//! which means (`amr`, RFC 8176), and when (`auth_time`). A claim that is missing or of the wrong form shows
//! nothing. Who is asked is not known here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::token::{CLOCK_SKEW, Token, instant};

/// How a person must have signed in. All that is given must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignIn {
    /// In one of these ways; in any, when there are none.
    pub acr: Vec<String>,
    /// By all of these means.
    pub amr: Vec<String>,
    /// Not longer ago than this.
    pub age_max: Option<Duration>,
}

impl SignIn {
    /// Whether `token` shows at `now` that its person signed in so.
    #[must_use]
    pub fn is_met_by(&self, token: &Token, now: Timestamp) -> bool {
        self.way_fits(token) && self.means_fit(token) && self.is_recent(token, now)
    }

    fn way_fits(&self, token: &Token) -> bool {
        let way = token.claims().get("acr").and_then(Value::as_str);
        self.acr.is_empty() || way.is_some_and(|way| self.acr.iter().any(|wanted| wanted == way))
    }

    fn means_fit(&self, token: &Token) -> bool {
        let Some(means) = token.claims().get("amr") else { return self.amr.is_empty() };
        let means: Option<Vec<&str>> =
            means.as_array().and_then(|means| means.iter().map(Value::as_str).collect());
        means.is_some_and(|means| self.amr.iter().all(|wanted| means.contains(&wanted.as_str())))
            || self.amr.is_empty()
    }

    fn is_recent(&self, token: &Token, now: Timestamp) -> bool {
        let Some(age_max) = self.age_max else { return true };
        let Ok(Some(at)) = instant(token.claims(), "auth_time") else { return false };
        let age_max = SignedDuration::try_from(age_max).unwrap_or(SignedDuration::MAX);
        let skew = SignedDuration::try_from(CLOCK_SKEW).unwrap_or(SignedDuration::ZERO);
        // Nobody signs in later than now.
        now.duration_since(at) <= age_max && at.duration_since(now) <= skew
    }

    /// Whether every word can stand in a challenge: RFC 9470 section 3 separates them by spaces.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_word = |word: &String| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        let says_something = !self.acr.is_empty() || !self.amr.is_empty() || self.age_max.is_some();
        says_something && self.acr.iter().chain(&self.amr).all(is_word)
    }
}
