//! How do callers say which version of an API they mean, and what is each version called?
//!
//! By the path, a header field, a parameter of media types, or a date, as `x-gateway.versioning` says. What
//! a request says is read by [`super::choose`].

use std::fmt;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Deserialize;

/// How the versions of an API are told apart. It is the same for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selector {
    /// Each has a base path of its own.
    Path,
    /// A header field names it.
    Header(HeaderName),
    /// A parameter of `Accept` and `Content-Type` names it.
    MediaType(String),
    /// A header field has a date, and the newest version not after it is meant.
    DateHeader(HeaderName),
    /// The same, by a parameter of the query.
    DateQuery(String),
}

/// How one version is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioning {
    pub(super) selector: Selector,
    /// The name of the version for callers that say nothing.
    pub(super) default: Option<String>,
    pub(super) name: String,
    /// The name as `API-Version` has it.
    pub(super) told: HeaderValue,
}

/// `versioning` as it is written in the `x-gateway` of a document.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenVersioning {
    /// What says which version is meant.
    by: By,
    /// The header field that names it, for `header` (default: `API-Version`), or has the date, for `date`.
    header: Option<String>,
    /// The parameter that names it in media types, for `media_type`, or has the date in the query, for
    /// `date` without `header`. Default: `version`. In the query it is for the gateway only, and not sent on.
    parameter: Option<String>,
    /// What callers call this version; the name of its folder when not said. For `date` a day: `2026-11-01`.
    name: Option<String>,
    /// The name of the version that serves those who say none. Absent: they are refused, and told the names.
    default: Option<String>,
}

/// What says which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The path: each version has its own in `servers`.
    Path,
    /// A header field: `API-Version: 2`.
    Header,
    /// A parameter of the media types: `Accept: application/json;version=2`, and `Content-Type` likewise.
    MediaType,
    /// A day: the newest version that is not after it. `?version=2026-11-01`, or in a header field.
    Date,
}

/// Why a version cannot be chosen as it says: the member of `versioning`, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum VersioningError {
    #[error("`{1}` has no meaning for this `by`")]
    Meaningless(&'static str, &'static str),
    #[error("`{0}` cannot be the name of a header that chooses a version")]
    Header(String),
    #[error("`{0}` cannot be the name of a parameter that chooses a version")]
    Parameter(String),
    #[error("`{0}` cannot be the name of a version: up to 64 letters, digits, `.`, `-` and `_`")]
    Name(String),
    #[error("`{0}` is not a day such as `2026-11-01`, and versions by date are called by their day")]
    NotADay(String),
}

impl VersioningError {
    /// The member that is wrong.
    pub(super) const fn member(&self) -> &'static str {
        match self {
            Self::Meaningless(member, _) => member,
            Self::Header(_) => "header",
            Self::Parameter(_) => "parameter",
            Self::Name(_) | Self::NotADay(_) => "name",
        }
    }
}

impl Versioning {
    /// What holds for the version in the folder `version` when nothing is written.
    pub(super) fn by_path(version: &str) -> Self {
        // The name of a folder has letters, digits, `-` and `_` only.
        let told = HeaderValue::from_str(version).unwrap_or(HeaderValue::from_static("unnamed"));
        Self { selector: Selector::Path, default: None, name: version.to_owned(), told }
    }

    /// What callers call the version.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, for `API-Version` in answers.
    #[must_use]
    pub const fn told(&self) -> &HeaderValue {
        &self.told
    }

    /// The request fields that were looked at, for `Vary`.
    #[must_use]
    pub fn vary(&self) -> Option<HeaderValue> {
        self.selector.vary()
    }

    /// Whether `other` is chosen in the same way.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.selector == other.selector && self.default == other.default
    }

    /// The day that a version by date is called by.
    pub(super) fn day(&self) -> Option<Date> {
        day(&self.name)
    }
}

impl Selector {
    /// RFC 9110 section 12.5.5: the request fields that might have led to another answer.
    pub(super) fn vary(&self) -> Option<HeaderValue> {
        match self {
            Self::Path | Self::DateQuery(_) => None,
            Self::Header(name) | Self::DateHeader(name) => HeaderValue::from_str(name.as_str()).ok(),
            Self::MediaType(_) => HeaderValue::from_str(&format!("{ACCEPT}, {CONTENT_TYPE}")).ok(),
        }
    }
}

impl WrittenVersioning {
    /// What is written for the version in the folder `version`.
    pub(super) fn resolve(self, version: &str) -> Result<Versioning, VersioningError> {
        let Self { by, header, parameter, name, default } = self;
        if header.is_some() && !matches!(by, By::Header | By::Date) {
            return Err(VersioningError::Meaningless("header", "header"));
        }
        let query = by == By::Date && header.is_none();
        if parameter.is_some() && by != By::MediaType && !query {
            return Err(VersioningError::Meaningless("parameter", "parameter"));
        }
        if default.is_some() && by == By::Path {
            return Err(VersioningError::Meaningless("default", "default"));
        }
        let parameter = parameter.unwrap_or_else(|| "version".to_owned());
        if !is_word(&parameter) || parameter.eq_ignore_ascii_case("q") {
            return Err(VersioningError::Parameter(parameter));
        }
        let selector = match (by, header) {
            (By::Path, _) => Selector::Path,
            (By::MediaType, _) => Selector::MediaType(parameter.to_ascii_lowercase()),
            (By::Header, header) => {
                Selector::Header(field(header.unwrap_or_else(|| API_VERSION.to_string()))?)
            }
            (By::Date, Some(header)) => Selector::DateHeader(field(header)?),
            (By::Date, None) => Selector::DateQuery(parameter),
        };
        let name = name.unwrap_or_else(|| version.to_owned());
        if by == By::Date && day(&name).is_none() {
            return Err(VersioningError::NotADay(name));
        }
        let told = HeaderValue::from_str(&name).ok().filter(|_| is_word(&name));
        let Some(told) = told else { return Err(VersioningError::Name(name)) };
        Ok(Versioning { selector, default, name, told })
    }
}

/// How a caller would say a version, for the refusal of one who did not.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("in the path"),
            Self::Header(name) => write!(f, "in the header field `{name}`"),
            Self::MediaType(name) => write!(f, "as the parameter `{name}` of media types in `Accept`"),
            Self::DateHeader(name) => write!(f, "as a day such as `2026-11-01` in the header field `{name}`"),
            Self::DateQuery(name) => {
                write!(f, "as a day such as `2026-11-01` in the query parameter `{name}`")
            }
        }
    }
}

/// A field that only says which version is meant: not one that has another meaning already.
fn field(name: String) -> Result<HeaderName, VersioningError> {
    let free = |name: &HeaderName| {
        let name = name.as_str();
        !TAKEN.contains(&name) && !name.starts_with("proxy-") && !name.starts_with("x-forwarded-")
    };
    HeaderName::try_from(&name).ok().filter(free).ok_or(VersioningError::Header(name))
}

/// `2026-11-01` and no other way to write it.
pub(super) fn day(text: &str) -> Option<Date> {
    text.parse::<Date>().ok().filter(|day| day.to_string() == text)
}

fn is_word(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(plain)
}

/// Tells the version in every answer; and where no other field is named, says it in requests.
pub const API_VERSION: HeaderName = HeaderName::from_static("api-version");
/// A day, a number or a word; it stands in answers and records.
const NAME_BYTES_MAX: usize = 64;
/// Fields that have a meaning of their own for the gateway.
const TAKEN: [&str; 20] = [
    "accept",
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn resolve(written: serde_json::Value) -> Result<Versioning, VersioningError> {
        serde_json::from_value::<WrittenVersioning>(written).unwrap().resolve("v2")
    }

    #[test]
    fn each_way_has_its_names_and_its_defaults() {
        let version = |name: &str| HeaderName::from_bytes(name.as_bytes()).unwrap();
        for (written, selector, name, vary) in [
            (json!({"by": "path"}), Selector::Path, "v2", None),
            (json!({"by": "header"}), Selector::Header(API_VERSION), "v2", Some("api-version")),
            (
                json!({"by": "header", "header": "X-Shop", "name": "2", "default": "1"}),
                Selector::Header(version("x-shop")),
                "2",
                Some("x-shop"),
            ),
            (
                json!({"by": "media_type", "name": "2"}),
                Selector::MediaType("version".to_owned()),
                "2",
                Some("accept, content-type"),
            ),
            (
                json!({"by": "date", "name": "2026-11-01"}),
                Selector::DateQuery("version".to_owned()),
                "2026-11-01",
                None,
            ),
            (
                json!({"by": "date", "header": "Api-Day", "name": "2026-11-01"}),
                Selector::DateHeader(version("api-day")),
                "2026-11-01",
                Some("api-day"),
            ),
        ] {
            let resolved = resolve(written.clone()).unwrap();
            assert_eq!((&resolved.selector, resolved.name()), (&selector, name), "{written}");
            assert_eq!(resolved.told(), name);
            assert_eq!(resolved.vary().as_ref().map(|vary| vary.to_str().unwrap()), vary, "{written}");
        }
    }

    #[test]
    fn what_cannot_choose_a_version_is_refused() {
        for (written, member) in [
            (json!({"by": "path", "header": "X-Shop"}), "header"),
            (json!({"by": "path", "default": "1"}), "default"),
            (json!({"by": "media_type", "header": "X-Shop"}), "header"),
            (json!({"by": "header", "parameter": "version"}), "parameter"),
            (json!({"by": "date", "header": "X", "parameter": "y", "name": "2026-11-01"}), "parameter"),
            (json!({"by": "header", "header": "Authorization"}), "header"),
            (json!({"by": "header", "header": "a b"}), "header"),
            (json!({"by": "media_type", "parameter": "q"}), "parameter"),
            (json!({"by": "header", "name": "two words"}), "name"),
            (json!({"by": "date"}), "name"),
            (json!({"by": "date", "name": "20261101"}), "name"),
            (json!({"by": "date", "name": "2026-13-01"}), "name"),
        ] {
            assert_eq!(resolve(written.clone()).unwrap_err().member(), member, "{written}");
        }
    }
}
