//! How did the person behind a token sign in, and is that enough?
//!
//! By what the token says of it (OpenID Connect Core section 2, RFC 9068 section 2.2.1): in which way (`acr`), by
//! which means (`amr`, RFC 8176), and when (`auth_time`). A claim that is missing or of the wrong form shows
//! nothing. Who is asked is not known here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::token::{CLOCK_SKEW, Token, numeric_date};

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

/// How somebody signed in, as far as anything says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignedIn<'a> {
    /// In which way (`acr`).
    pub acr: Option<&'a str>,
    /// By which means (`amr`).
    pub amr: Vec<&'a str>,
    /// When (`auth_time`).
    pub at: Option<Timestamp>,
}

impl<'a> SignedIn<'a> {
    /// How the person signed in to whom `token` was issued.
    #[must_use]
    pub fn by(token: &'a Token) -> Self {
        let means = token.claim("amr").and_then(Value::as_array);
        Self {
            acr: token.claim("acr").and_then(Value::as_str),
            amr: means.into_iter().flatten().filter_map(Value::as_str).collect(),
            at: token.claim("auth_time").and_then(numeric_date),
        }
    }
}

impl SignIn {
    /// Whether whoever signed in so has done what is asked, at `now`.
    #[must_use]
    pub fn is_met_by(&self, how: &SignedIn<'_>, now: Timestamp) -> bool {
        let in_a_way =
            self.acr.is_empty() || how.acr.is_some_and(|way| self.acr.iter().any(|one| one == way));
        in_a_way
            && self.amr.iter().all(|wanted| how.amr.contains(&wanted.as_str()))
            && self.is_recent(how, now)
    }

    fn is_recent(&self, how: &SignedIn<'_>, now: Timestamp) -> bool {
        let Some(age_max) = self.age_max else { return true };
        let Some(at) = how.at else { return false };
        let age_max = SignedDuration::try_from(age_max).unwrap_or(SignedDuration::MAX);
        let skew = SignedDuration::try_from(CLOCK_SKEW).unwrap_or(SignedDuration::ZERO);
        // Nobody signs in later than now.
        now.duration_since(at) <= age_max && at.duration_since(now) <= skew
    }

    /// Whether somebody can have signed in so, and every word can stand in a challenge: RFC 9470 section 3
    /// separates them by spaces.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_word = |word: &String| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        let says_something = !self.acr.is_empty() || !self.amr.is_empty() || self.age_max.is_some();
        says_something
            && self.age_max != Some(Duration::ZERO)
            && self.acr.iter().chain(&self.amr).all(is_word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::token::testing::{KeyServer, NOW, Signer, claims, now};
    use serde_json::json;

    async fn token(changes: Value) -> std::sync::Arc<Token> {
        let signer = Signer::new("k", "ES256");
        let issuers = KeyServer::with_keys(&[signer.jwk()]).await.issuers(|_| {}).await;
        issuers.verify(&signer.token(&claims(changes)), now()).await.unwrap()
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_claim_that_is_missing_or_of_the_wrong_form_shows_nothing() {
        let acr = SignIn { acr: words(&["high", "higher"]), ..SignIn::default() };
        let amr = SignIn { amr: words(&["mfa", "hwk"]), ..SignIn::default() };
        let age = SignIn { age_max: Some(Duration::from_secs(600)), ..SignIn::default() };
        for (asked, changes, met) in [
            (&acr, json!({"acr": "high"}), true),
            (&acr, json!({"acr": "higher"}), true),
            (&acr, json!({"acr": "HIGH"}), false),
            (&acr, json!({"acr": ["high"]}), false),
            (&acr, json!({}), false),
            (&amr, json!({"amr": ["pwd", "hwk", "mfa"]}), true),
            (&amr, json!({"amr": ["mfa"]}), false),
            (&amr, json!({"amr": "mfa hwk"}), false),
            (&amr, json!({"amr": []}), false),
            (&amr, json!({}), false),
            (&age, json!({"auth_time": NOW - 600}), true),
            (&age, json!({"auth_time": NOW - 601}), false),
            (&age, json!({"auth_time": NOW + 30}), true),
            (&age, json!({"auth_time": NOW + 31}), false),
            (&age, json!({"auth_time": (NOW - 1).to_string()}), false),
            (&age, json!({"auth_time": -1}), false),
            (&age, json!({}), false),
            (&SignIn::default(), json!({}), true),
        ] {
            let token = token(changes.clone()).await;
            assert_eq!(asked.is_met_by(&SignedIn::by(&token), now()), met, "{asked:?} {changes}");
        }
    }

    #[test]
    fn what_is_asked_can_stand_in_a_challenge() {
        for (acr, amr, sound) in [
            (&["urn:a:b"][..], &["mfa"][..], true),
            (&[], &[], false),
            (&["a b"], &[], false),
            (&["a\"b"], &[], false),
            (&[], &["a\\"], false),
            (&[""], &[], false),
        ] {
            let sign_in = SignIn { acr: words(acr), amr: words(amr), age_max: None };
            assert_eq!(sign_in.is_sound(), sound, "{sign_in:?}");
        }
        for (seconds, sound) in [(0, false), (1, true)] {
            let age_max = Some(Duration::from_secs(seconds));
            assert_eq!(SignIn { age_max, ..SignIn::default() }.is_sound(), sound, "{seconds}");
        }
    }
}
