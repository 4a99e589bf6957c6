//! Until when may an operation be called, and how are its callers told?
//!
//! The header fields are built once, when the contract loads. It does not know the time.

use http::header::{HeaderName, HeaderValue, LINK};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use schemars::JsonSchema;
use serde::Deserialize;

/// When an operation was or will be deprecated and switched off, and where its callers should go.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    deprecated: Option<Timestamp>,
    sunset: Option<Timestamp>,
    successor: Option<String>,
    guide: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// `lifecycle` as it is written in `x-gateway`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLifecycle {
    /// Since or from when callers should no longer begin to use it: `2026-01-01T00:00:00Z`.
    #[schemars(with = "Option<String>")]
    deprecated: Option<Timestamp>,
    /// When it is switched off: `2026-12-31T23:00:00Z`.
    #[schemars(with = "Option<String>")]
    sunset: Option<Timestamp>,
    /// The URL of what replaces it.
    successor: Option<String>,
    /// The URL of a page that says how to move.
    guide: Option<String>,
}

/// Why a lifecycle cannot be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LifecycleError {
    /// RFC 9745 section 4: the sunset is not before the deprecation.
    #[error("`sunset` is before `deprecated`")]
    SunsetFirst,
    /// Not a URL that can stand in a `Link` field.
    #[error("`{0}` is not an absolute `https` URL")]
    Url(&'static str),
    /// A date that HTTP cannot write.
    #[error("`{0}` is not a date between the years 1970 and 9999")]
    Date(&'static str),
}

impl Lifecycle {
    /// When it was or will be deprecated.
    #[must_use]
    pub const fn deprecated(&self) -> Option<Timestamp> {
        self.deprecated
    }

    /// When it is switched off.
    #[must_use]
    pub const fn sunset(&self) -> Option<Timestamp> {
        self.sunset
    }

    /// The URL of what replaces it.
    #[must_use]
    pub fn successor(&self) -> Option<&str> {
        self.successor.as_deref()
    }

    /// The URL of a page that says how to move.
    #[must_use]
    pub fn guide(&self) -> Option<&str> {
        self.guide.as_deref()
    }

    /// `Deprecation`, `Sunset` and `Link`, for every answer of the operation, refusals included.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Whether the operation is switched off at `now`.
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.sunset.is_some_and(|sunset| now >= sunset)
    }
}

impl TryFrom<WrittenLifecycle> for Lifecycle {
    type Error = LifecycleError;

    fn try_from(written: WrittenLifecycle) -> Result<Self, LifecycleError> {
        let WrittenLifecycle { deprecated, sunset, successor, guide } = written;
        if deprecated.zip(sunset).is_some_and(|(deprecated, sunset)| sunset < deprecated) {
            return Err(LifecycleError::SunsetFirst);
        }
        let mut headers = Vec::new();
        if let Some(deprecated) = deprecated {
            // RFC 9745 section 2.1: a Structured Field date, `@` and seconds since 1970.
            let value = format!("@{}", deprecated.as_second());
            let value = HeaderValue::try_from(value).ok().filter(|_| deprecated >= Timestamp::UNIX_EPOCH);
            headers.push((DEPRECATION, value.ok_or(LifecycleError::Date("deprecated"))?));
        }
        if let Some(sunset) = sunset {
            // RFC 8594 section 3: an HTTP-date.
            let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&sunset).ok();
            let value = date.and_then(|date| HeaderValue::try_from(date).ok());
            headers.push((SUNSET, value.ok_or(LifecycleError::Date("sunset"))?));
        }
        let links = [
            // RFC 5829 section 3.4, RFC 9745 section 3, RFC 8594 section 6.
            ("successor", successor.as_deref(), "successor-version", true),
            ("guide", guide.as_deref(), "deprecation", deprecated.is_some() || sunset.is_none()),
            ("guide", guide.as_deref(), "sunset", sunset.is_some()),
        ];
        for (name, url, relation, applies) in links {
            if let Some(url) = url {
                let value = link(url, relation).ok_or(LifecycleError::Url(name))?;
                headers.extend(applies.then_some((LINK, value)));
            }
        }
        Ok(Self { deprecated, sunset, successor, guide, headers })
    }
}

/// RFC 8288 section 3: `<target>; rel="relation"`.
pub(super) fn link(url: &str, relation: &str) -> Option<HeaderValue> {
    let parsed: http::Uri = url.parse().ok()?;
    let absolute = parsed.scheme_str() == Some("https") && parsed.host().is_some_and(|host| !host.is_empty());
    let plain = url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\'));
    let written = format!("<{url}>; rel=\"{relation}\"");
    HeaderValue::try_from(written).ok().filter(|_| absolute && plain)
}

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn build(written: serde_json::Value) -> Result<Lifecycle, LifecycleError> {
        serde_json::from_value::<WrittenLifecycle>(written).unwrap().try_into()
    }

    #[test]
    fn the_header_fields_have_the_forms_of_their_rfcs() {
        let lifecycle = build(json!({
            "deprecated": "2026-01-01T00:00:00Z",
            "sunset": "2026-12-31T23:00:00Z",
            "successor": "https://api.example/orders/v3",
            "guide": "https://docs.example/orders/v3",
        }))
        .unwrap();
        let shown: Vec<String> =
            lifecycle.headers().iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        assert_eq!(
            shown,
            [
                "deprecation: @1767225600",
                "sunset: Thu, 31 Dec 2026 23:00:00 GMT",
                "link: <https://api.example/orders/v3>; rel=\"successor-version\"",
                "link: <https://docs.example/orders/v3>; rel=\"deprecation\"",
                "link: <https://docs.example/orders/v3>; rel=\"sunset\"",
            ]
        );
    }

    #[test]
    fn an_operation_is_gone_from_its_sunset_on() {
        let lifecycle = build(json!({"sunset": "2026-12-31T23:00:00Z"})).unwrap();
        let at = |text: &str| lifecycle.is_gone(text.parse().unwrap());
        assert!(!at("2026-12-31T22:59:59Z"));
        assert!(at("2026-12-31T23:00:00Z"));
        assert!(!Lifecycle::default().is_gone("2099-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_cannot_be_announced_is_refused() {
        for (written, reason) in [
            (
                json!({"deprecated": "2026-12-31T00:00:00Z", "sunset": "2026-01-01T00:00:00Z"}),
                LifecycleError::SunsetFirst,
            ),
            (json!({"successor": "/orders/v3"}), LifecycleError::Url("successor")),
            (json!({"successor": "http://api.example/"}), LifecycleError::Url("successor")),
            (json!({"guide": "https://x/>; rel=\"evil"}), LifecycleError::Url("guide")),
            (json!({"guide": "javascript:alert(1)"}), LifecycleError::Url("guide")),
            (json!({"deprecated": "1960-01-01T00:00:00Z"}), LifecycleError::Date("deprecated")),
        ] {
            assert_eq!(build(written.clone()).unwrap_err(), reason, "{written}");
        }
    }
}
