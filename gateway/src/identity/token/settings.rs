//! What is configured about an issuer, and can it be meant?
//!
//! The defaults are the strict ones; whatever loosens them is written out by whoever configures it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fetch::{Trust, is_safe};
use crate::oauth::{AnswerForm, WellKnown};

use super::algorithm::Algorithm;
use super::introspection::IntrospectionSettings;

/// An issuer of access tokens, and how its tokens are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name in the configuration, the callers and the logs.
    pub name: String,
    /// The `iss` of its tokens, byte for byte.
    pub issuer: String,
    /// Who we are to it: a token must be for one of these.
    pub audiences: Vec<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// The algorithms it signs with. An RSA key that does not say its own is used with the first RSA one.
    pub algorithms: Vec<Algorithm>,
    /// Which `typ` its tokens have.
    pub typ: TypRule,
    /// Which claims its tokens must have.
    pub required_claims: RequiredClaims,
    /// How far its clock and ours may differ.
    pub clock_skew: Duration,
    /// The longest time from issue to end that is accepted.
    pub lifetime_max: Option<Duration>,
    /// The claim that names the client.
    pub client_id_claim: ClientIdClaim,
    /// How its tokens write scopes.
    pub scope_form: ScopeForm,
    /// The claims that policies may look at.
    pub claims_for_policy: Vec<String>,
    /// How often its keys are fetched.
    pub refresh_every: Duration,
    /// How long keys serve when they cannot be fetched again.
    pub keys_age_max: Duration,
    /// How long one fetch may take in all.
    pub fetch_timeout: Duration,
    /// PEM certificates that sign its servers'; the system's own when there are none.
    pub ca: Option<Vec<u8>>,
    /// How it is asked about its tokens, if it is.
    pub introspection: Option<IntrospectionSettings>,
}

/// Where the public keys of an issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A JWK set over HTTPS (HTTP only from this machine itself).
    Url(String),
    /// A JWK set where the issuer's metadata say.
    Discovered(WellKnown),
    /// A JWK set in a file, read when the configuration is loaded and as old as it may be.
    File(PathBuf),
    /// They are not looked for: none of its tokens is taken on its signature, all that are taken are asked about.
    Nowhere,
}

/// Which `typ` a token's header must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TypRule {
    /// `at+jwt` (RFC 9068): nothing else is taken for an access token.
    AtJwt,
    /// `at+jwt` or `JWT`, for issuers that do not type their access tokens.
    AtJwtOrJwt,
    /// Whatever it is, or nothing: only the audience tells an access token from others.
    Any,
}

/// Which claims a token must have. `iss`, `exp` and `aud` are always wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequiredClaims {
    /// RFC 9068 section 2.2: also `sub`, `client_id`, `iat` and `jti`.
    Rfc9068,
    /// Only these besides.
    AtLeast(Vec<RequiredClaim>),
}

/// A claim that an issuer's tokens may be required to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequiredClaim {
    /// `sub`.
    Sub,
    /// The claim that names the client.
    ClientId,
    /// `iat`.
    Iat,
    /// `jti`.
    Jti,
}

/// The claim that names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientIdClaim {
    /// `client_id` (RFC 9068).
    ClientId,
    /// `azp`, as OpenID providers write it.
    Azp,
}

/// How scopes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeForm {
    /// `"scope": "a b"` (RFC 9068 section 2.2.3).
    Text,
    /// `"scope": ["a", "b"]`.
    Array,
    /// `"scp"`, as a text or a list.
    Scp,
}

/// Settings of one issuer that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("issuer `{issuer}`: `{field}` {message}")]
pub struct IssuerMistake {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// The field of [`IssuerSettings`].
    pub field: &'static str,
    /// What is wrong with it, to be read after the field.
    pub message: String,
}

impl IssuerSettings {
    /// An issuer with the strict defaults.
    #[must_use]
    pub fn strict(name: &str, issuer: &str, audiences: Vec<String>, keys: KeySource) -> Self {
        Self {
            name: name.to_owned(),
            issuer: issuer.to_owned(),
            audiences,
            keys,
            algorithms: ALGORITHMS.to_vec(),
            typ: TypRule::AtJwt,
            required_claims: RequiredClaims::Rfc9068,
            clock_skew: CLOCK_SKEW,
            lifetime_max: None,
            client_id_claim: ClientIdClaim::ClientId,
            scope_form: ScopeForm::Text,
            claims_for_policy: Vec::new(),
            refresh_every: REFRESH_EVERY,
            keys_age_max: KEYS_AGE_MAX,
            fetch_timeout: FETCH_TIMEOUT,
            ca: None,
            introspection: None,
        }
    }

    /// Whom to believe to be the issuer's servers.
    pub(super) fn trust(&self) -> Trust {
        Trust { ca: self.ca.clone(), timeout: self.fetch_timeout }
    }

    /// Whether keys fetched for `other` are keys for this.
    pub(super) fn has_the_keys_of(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.keys == other.keys
            && self.ca == other.ca
            && self.algorithms == other.algorithms
    }
}

/// Everything in `all` that cannot be meant.
pub(super) fn mistakes(all: &[IssuerSettings]) -> Vec<IssuerMistake> {
    let mut told = Vec::new();
    let (mut names, mut issuers) = (HashSet::new(), HashSet::new());
    for (n, settings) in all.iter().enumerate() {
        let mut tell = |wrong: bool, field: &'static str, message: &str| {
            if wrong {
                told.push(IssuerMistake {
                    issuer: settings.name.clone(),
                    field,
                    message: message.to_owned(),
                });
            }
        };
        tell(!names.insert(&settings.name), "name", "is that of another issuer too");
        // RFC 8725 section 3.8: keys belong to one issuer; two entries would mix them.
        tell(!issuers.insert(&settings.issuer), "issuer", "is that of another issuer too");
        tell(settings.issuer.is_empty(), "issuer", "is empty");
        let audiences = &settings.audiences;
        tell(audiences.is_empty() || audiences.iter().any(String::is_empty), "audiences", "names nobody");
        tell(settings.algorithms.is_empty(), "algorithms", "is empty");
        tell(settings.clock_skew > CLOCK_SKEW_MAX, "clock_skew", "is longer than 5m");
        tell(settings.lifetime_max == Some(Duration::ZERO), "lifetime_max", "lets no token live");
        tell(settings.refresh_every < REFRESH_EVERY_MIN, "refresh_every", "is shorter than 10s");
        let (age, every) = (settings.keys_age_max, settings.refresh_every);
        tell(age < every, "keys_age_max", "is shorter than `refresh_every`");
        let timeout = settings.fetch_timeout;
        tell(timeout.is_zero() || timeout > FETCH_TIMEOUT_MAX, "fetch_timeout", "is not between 1ms and 30s");
        if let KeySource::Url(url) = &settings.keys {
            tell(!is_safe(url), "keys", "is not an https URL (http is for this machine itself)");
        }
        let no_keys = settings.keys == KeySource::Nowhere;
        let message = "are wanted where nobody is asked about its tokens";
        tell(no_keys && settings.introspection.is_none(), "keys", message);
        if let Some(own) = &settings.introspection {
            let message = "wants signed answers, which nothing verifies without `keys`";
            tell(no_keys && own.form == AnswerForm::Signed, "introspection", message);
            own.mistakes().into_iter().for_each(|message| tell(true, "introspection", message));
            let clash = |other: &IssuerSettings| {
                other.introspection.as_ref().is_some_and(|other| own.clashes_with(other))
            };
            let message = "needs a `prefix` that tells its opaque tokens from those of other issuers";
            tell(all.iter().take(n).any(clash), "introspection", message);
        }
    }
    told
}

/// What current issuers sign with; RS256 because RFC 9068 section 4 obliges them to offer it.
pub const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256];
/// Clocks kept by NTP differ by less; more would let ended tokens live on.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);
/// RFC 7519 section 4.1.4: "no more than a few minutes".
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);
/// A withdrawn key stops serving within this time.
pub const REFRESH_EVERY: Duration = Duration::from_secs(300);
/// Faster is an attack on the issuer.
pub const REFRESH_EVERY_MIN: Duration = Duration::from_secs(10);
/// A night's outage of the issuer's key server is survived, a forgotten one is not.
pub const KEYS_AGE_MAX: Duration = Duration::from_secs(12 * 3600);
/// A key server that needs longer is down.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const FETCH_TIMEOUT_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: impl FnOnce(&mut IssuerSettings)) -> IssuerSettings {
        let url = KeySource::Url("https://issuer.example/jwks".into());
        let mut settings =
            IssuerSettings::strict("retail", "https://issuer.example", vec!["api".into()], url);
        change(&mut settings);
        settings
    }

    fn fields(all: &[IssuerSettings]) -> Vec<&'static str> {
        mistakes(all).into_iter().map(|mistake| mistake.field).collect()
    }

    #[test]
    fn the_defaults_are_strict_and_right() {
        let strict = settings(|_| {});
        assert_eq!(fields(std::slice::from_ref(&strict)), Vec::<&str>::new());
        assert_eq!((strict.typ, strict.required_claims), (TypRule::AtJwt, RequiredClaims::Rfc9068));
    }

    #[test]
    fn settings_that_cannot_be_meant_are_told_by_field() {
        let check = |change: fn(&mut IssuerSettings), field: &str| {
            assert_eq!(fields(&[settings(change)]), [field]);
        };
        check(|s| s.issuer.clear(), "issuer");
        check(|s| s.audiences.clear(), "audiences");
        check(|s| s.audiences.push(String::new()), "audiences");
        check(|s| s.algorithms.clear(), "algorithms");
        check(|s| s.clock_skew = Duration::from_secs(301), "clock_skew");
        check(|s| s.lifetime_max = Some(Duration::ZERO), "lifetime_max");
        check(|s| s.refresh_every = Duration::from_secs(1), "refresh_every");
        check(|s| s.keys_age_max = Duration::from_secs(1), "keys_age_max");
        check(|s| s.fetch_timeout = Duration::ZERO, "fetch_timeout");
        check(|s| s.fetch_timeout = Duration::from_secs(31), "fetch_timeout");
        check(|s| s.keys = KeySource::Nowhere, "keys");
    }

    #[test]
    fn two_issuers_share_neither_name_nor_iss() {
        let other = settings(|s| s.name = "other".into());
        assert_eq!(fields(&[settings(|_| {}), other]), ["issuer"]);
        let other = settings(|s| s.issuer = "https://other.example".into());
        assert_eq!(fields(&[settings(|_| {}), other]), ["name"]);
    }
}
