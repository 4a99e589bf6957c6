//! Until when may an operation be called, and how are its callers told?
//!
//! The header fields are built once, when the contract loads. It does not know the time.

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue, LINK};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use schemars::JsonSchema;
use serde::Deserialize;

use super::brownout::{Brownout, BrownoutError, WrittenBrownout};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// When an operation was or will be deprecated and switched off, and where its callers should go.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    deprecated: Option<Timestamp>,
    sunset: Option<Timestamp>,
    successor: Option<String>,
    guide: Option<String>,
    brownouts: Vec<Arc<Brownout>>,
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
    /// Windows before the sunset in which it is switched off for a while.
    #[schemars(length(max = 100))]
    brownouts: Option<Vec<WrittenBrownout>>,
}

/// Why a lifecycle cannot be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum LifecycleError {
    /// RFC 9745 section 4: the sunset is not before the deprecation.
    #[error("`sunset` is before `deprecated`")]
    SunsetFirst,
    /// A version takes its operations with it.
    #[error("the operation's `sunset` is after that of its version")]
    Outlives,
    /// Not a URL that can stand in a `Link` field.
    #[error("`{0}` is not an absolute `https` URL")]
    Url(&'static str),
    /// A date that HTTP cannot write.
    #[error("`{0}` is not a date between the years 1970 and 9999")]
    Date(&'static str),
}

impl Lifecycle {
    /// What `written` says for `owner` (`orders.v1`, or the name of an operation); what it leaves out is
    /// that of `above`: an operation has the lifecycle of its version. `place` says where a member of
    /// `written` stands.
    pub(super) fn resolve(
        written: WrittenLifecycle,
        above: &Self,
        owner: &str,
        place: &dyn Fn(&str) -> Place,
    ) -> Result<Self, Diagnostics> {
        let WrittenLifecycle { deprecated, sunset, successor, guide, brownouts } = written;
        let mut life = Self {
            deprecated: deprecated.or(above.deprecated),
            sunset: sunset.or(above.sunset),
            successor: successor.or_else(|| above.successor.clone()),
            guide: guide.or_else(|| above.guide.clone()),
            brownouts: Vec::new(),
            headers: Vec::new(),
        };
        let mut mistakes = Diagnostics::new();
        if above.sunset.zip(sunset).is_some_and(|(version, own)| version < own) {
            mistakes.push(Diagnostic::error(place("/sunset"), LifecycleError::Outlives.to_string()));
        }
        match life.announce() {
            Ok(headers) => life.headers = headers,
            Err(wrong) => mistakes.push(Diagnostic::error(place(""), wrong.to_string())),
        }
        life.brownouts = match brownouts {
            None => above.brownouts.clone(),
            Some(written) => life.windows(written, owner, place, &mut mistakes),
        };
        mistakes.into_result(Some(life)).map(|(life, _no_warnings)| life)
    }

    fn windows(
        &self,
        written: Vec<WrittenBrownout>,
        owner: &str,
        place: &dyn Fn(&str) -> Place,
        mistakes: &mut Diagnostics,
    ) -> Vec<Arc<Brownout>> {
        let mut windows: Vec<Arc<Brownout>> = Vec::new();
        for (n, written) in written.into_iter().enumerate() {
            let here = place(&format!("/brownouts/{n}"));
            let name = written.name.clone();
            let resolved = written.resolve(owner, self.deprecated, self.sunset, here.clone());
            let resolved = resolved.and_then(|next| {
                for other in &windows {
                    if other.id() == next.id() {
                        return Err(BrownoutError::NameTaken(name.clone()));
                    }
                    if other.start() < next.end() && next.start() < other.end() {
                        return Err(BrownoutError::Overlaps(other.id().to_string()));
                    }
                }
                Ok(next)
            });
            match resolved {
                Ok(brownout) => windows.push(Arc::new(brownout)),
                Err(wrong) => mistakes.push(Diagnostic::error(here, wrong.to_string())),
            }
        }
        windows.sort_by_key(|window| window.start());
        windows
    }

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

    /// The windows in which it is switched off for a while, by their start. No two take place at once.
    #[must_use]
    pub fn brownouts(&self) -> &[Arc<Brownout>] {
        &self.brownouts
    }

    /// `Deprecation`, `Sunset` and `Link`, for every answer of the operation, refusals included.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Whether it is deprecated at `now`.
    #[must_use]
    pub fn is_deprecated(&self, now: Timestamp) -> bool {
        self.deprecated.is_some_and(|since| since <= now)
    }

    /// Whether the operation is switched off at `now`.
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.sunset.is_some_and(|sunset| now >= sunset)
    }

    /// The header fields that tell it.
    fn announce(&self) -> Result<Vec<(HeaderName, HeaderValue)>, LifecycleError> {
        if self.deprecated.zip(self.sunset).is_some_and(|(deprecated, sunset)| sunset < deprecated) {
            return Err(LifecycleError::SunsetFirst);
        }
        let mut headers = Vec::new();
        if let Some(deprecated) = self.deprecated {
            // RFC 9745 section 2.1: a Structured Field date, `@` and seconds since 1970.
            let value = format!("@{}", deprecated.as_second());
            let value = HeaderValue::try_from(value).ok().filter(|_| deprecated >= Timestamp::UNIX_EPOCH);
            headers.push((DEPRECATION, value.ok_or(LifecycleError::Date("deprecated"))?));
        }
        if let Some(sunset) = self.sunset {
            // RFC 8594 section 3: an HTTP-date.
            let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&sunset).ok();
            let value = date.and_then(|date| HeaderValue::try_from(date).ok());
            headers.push((SUNSET, value.ok_or(LifecycleError::Date("sunset"))?));
        }
        let (successor, guide) = (self.successor.as_deref(), self.guide.as_deref());
        let links = [
            // RFC 5829 section 3.4, RFC 9745 section 3, RFC 8594 section 6.
            ("successor", successor, "successor-version", true),
            ("guide", guide, "deprecation", self.deprecated.is_some() || self.sunset.is_none()),
            ("guide", guide, "sunset", self.sunset.is_some()),
        ];
        for (name, url, relation, applies) in links {
            if let Some(url) = url {
                let value = link(url, relation).ok_or(LifecycleError::Url(name))?;
                headers.extend(applies.then_some((LINK, value)));
            }
        }
        Ok(headers)
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

/// RFC 9745: since when it is deprecated.
pub const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594: when it is switched off.
pub const SUNSET: HeaderName = HeaderName::from_static("sunset");

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn build(written: serde_json::Value) -> Result<Lifecycle, String> {
        build_over(written, &Lifecycle::default())
    }

    fn build_over(written: serde_json::Value, above: &Lifecycle) -> Result<Lifecycle, String> {
        let written = serde_json::from_value::<WrittenLifecycle>(written).unwrap();
        let place = |pointer: &str| Place::file(&format!("t{pointer}"));
        Lifecycle::resolve(written, above, "orders.v1", &place).map_err(|mistakes| mistakes.to_string())
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

    const WINDOW: &str = "2027-03-01T08:00:00Z";

    #[test]
    fn an_operation_has_what_its_version_has_and_it_does_not_say() {
        let version = build(json!({
            "deprecated": "2026-01-01T00:00:00Z",
            "sunset": "2027-12-31T00:00:00Z",
            "guide": "https://docs.example/",
            "brownouts": [{"name": "hour", "start": WINDOW, "end": "2027-03-01T09:00:00Z"}],
        }))
        .unwrap();
        let earlier = build_over(json!({"sunset": "2027-06-30T00:00:00Z"}), &version).unwrap();
        assert_eq!((earlier.deprecated(), earlier.guide()), (version.deprecated(), version.guide()));
        assert_eq!(earlier.sunset(), Some("2027-06-30T00:00:00Z".parse().unwrap()));
        assert_eq!(earlier.brownouts(), version.brownouts());
        assert_eq!(earlier.headers().len(), 4);
        let calm = build_over(json!({"brownouts": []}), &version).unwrap();
        assert!(calm.brownouts().is_empty());
        let later = build_over(json!({"sunset": "2028-01-01T00:00:00Z"}), &version).unwrap_err();
        assert!(later.contains("t/sunset:1:1") && later.contains("after that of its version"), "{later}");
    }

    #[test]
    fn brown_outs_are_of_what_is_deprecated_and_one_after_the_other() {
        let hour = |name: &str, start: &str, end: &str| json!({"name": name, "start": start, "end": end});
        let life = |brownouts: serde_json::Value| {
            build(json!({
                "deprecated": "2027-01-01T00:00:00Z",
                "sunset": "2027-12-31T00:00:00Z",
                "brownouts": brownouts,
            }))
        };
        let good = hour("a", WINDOW, "2027-03-01T09:00:00Z");
        for (brownouts, told) in [
            (json!([hour("a", WINDOW, WINDOW)]), "ends after its start"),
            (json!([hour("a", WINDOW, "2027-03-09T08:00:00Z")]), "a week at most"),
            (
                json!([hour("a", "2026-12-31T08:00:00Z", "2026-12-31T09:00:00Z")]),
                "begins before `deprecated`",
            ),
            (json!([hour("a", "2027-12-30T08:00:00Z", "2027-12-31T09:00:00Z")]), "ends after `sunset`"),
            (json!([good, hour("a", "2027-04-01T08:00:00Z", "2027-04-01T09:00:00Z")]), "has the name `a`"),
            (
                json!([good, hour("b", "2027-03-01T08:59:59Z", "2027-03-01T10:00:00Z")]),
                "`orders.v1/a` takes place at the same time",
            ),
            (
                json!([{"name": "a", "start": WINDOW, "end": "2027-03-01T09:00:00Z", "share": 50, "share_at_end": 20}]),
                "`share_at_end` is less",
            ),
        ] {
            let last = brownouts.as_array().unwrap().len() - 1;
            let mistake = life(brownouts).unwrap_err();
            assert!(mistake.contains(told), "{mistake}");
            assert!(mistake.contains(&format!("t/brownouts/{last}:1:1")), "{mistake}");
        }
        let current = build(json!({"brownouts": [good]})).unwrap_err();
        assert!(current.contains("only what is deprecated"), "{current}");
        let later = hour("b", "2027-03-01T09:00:00Z", "2027-03-01T10:00:00Z");
        let two = life(json!([later, good])).unwrap();
        assert_eq!(
            two.brownouts().iter().map(|one| &**one.id()).collect::<Vec<_>>(),
            ["orders.v1/a", "orders.v1/b"]
        );
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
            let told = build(written.clone()).unwrap_err();
            assert!(told.contains(&reason.to_string()), "{written}: {told}");
        }
    }
}
