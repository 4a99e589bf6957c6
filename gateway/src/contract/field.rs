//! Which parameters and properties have a life of their own, and what are their users told?
//!
//! A parameter or property is deprecated (`deprecated: true`, or `lifecycle` in its `x-gateway`) or only
//! watched (`watched: true`): its use is counted, and nobody is told. It does not know requests.

use http::HeaderValue;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::link;

/// A deprecated or watched parameter or property.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    place: FieldPlace,
    name: String,
    pointer: String,
    standing: Standing,
    /// Its member of the header field that tells of it.
    told: Option<String>,
    /// `Link` to the guide.
    link: Option<HeaderValue>,
}

/// Where requests carry a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldPlace {
    /// A path parameter.
    Path,
    /// A query parameter.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// A property of the body, or a field of a form.
    Body,
}

/// Why the use of a field is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Deprecated(FieldLife),
    Watched,
}

/// The life of a deprecated field; what is not said is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldLife {
    deprecated: Option<Timestamp>,
    sunset: Option<Timestamp>,
    successor: Option<String>,
    guide: Option<String>,
}

/// `lifecycle` in the `x-gateway` of a parameter or property, as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFieldLife {
    /// Since or from when callers should no longer use it: `2026-01-01T00:00:00Z`.
    #[schemars(with = "Option<String>")]
    deprecated: Option<Timestamp>,
    /// From when its use is refused: `2026-12-31T23:00:00Z`.
    #[schemars(with = "Option<String>")]
    sunset: Option<Timestamp>,
    /// What replaces it: the name of a parameter or property, or a pointer to it (`#/components/...`).
    #[schemars(length(min = 1, max = 256))]
    successor: Option<String>,
    /// The URL of a page that says how to move.
    guide: Option<String>,
}

/// Why the life of a field cannot be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldLifeError {
    #[error("`sunset` is before `deprecated`")]
    SunsetFirst,
    #[error("`guide` is not an absolute `https` URL")]
    Guide,
    #[error("`successor` is up to {SUCCESSOR_BYTES_MAX} bytes of text without control characters")]
    Successor,
    #[error("a date here is between the years 1970 and 9999")]
    Date,
}

impl Field {
    /// A field that is deprecated.
    pub(super) fn deprecated(place: FieldPlace, name: &str, pointer: String, life: FieldLife) -> Self {
        let link = life.guide.as_deref().and_then(|guide| link(guide, "deprecation"));
        let told = Some(told(place, name, &pointer, &life));
        Self { place, name: name.to_owned(), pointer, standing: Standing::Deprecated(life), told, link }
    }

    /// A field whose use is counted, and nothing else.
    pub(super) fn watched(place: FieldPlace, name: &str, pointer: String) -> Self {
        let standing = Standing::Watched;
        Self { place, name: name.to_owned(), pointer, standing, told: None, link: None }
    }

    /// Where requests carry it.
    #[must_use]
    pub const fn place(&self) -> FieldPlace {
        self.place
    }

    /// The name of the parameter or property.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// JSON Pointer into the contract to where it is described, after the file's name and `#` where that is
    /// not the main file: what audit records, answers and reports call it.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Whether it is deprecated; else it is only watched.
    #[must_use]
    pub const fn is_deprecated(&self) -> bool {
        matches!(self.standing, Standing::Deprecated(_))
    }

    /// Since when it is deprecated, where the contract says.
    #[must_use]
    pub fn deprecated_since(&self) -> Option<Timestamp> {
        self.life()?.deprecated
    }

    /// From when its use is refused.
    #[must_use]
    pub fn sunset(&self) -> Option<Timestamp> {
        self.life()?.sunset
    }

    /// The name of, or a pointer to, what replaces it.
    #[must_use]
    pub fn successor(&self) -> Option<&str> {
        self.life()?.successor.as_deref()
    }

    /// The URL of a page that says how to move.
    #[must_use]
    pub fn guide(&self) -> Option<&str> {
        self.life()?.guide.as_deref()
    }

    /// Its member of the field `Deprecated-Use`; none where it is only watched.
    pub(super) fn told(&self) -> Option<&str> {
        self.told.as_deref()
    }

    /// `Link` to its guide.
    pub(super) const fn link(&self) -> Option<&HeaderValue> {
        self.link.as_ref()
    }

    /// Whether its use is refused at `now`.
    pub(super) fn is_gone(&self, now: Timestamp) -> bool {
        self.sunset().is_some_and(|sunset| now >= sunset)
    }

    /// What would pass once it is gone.
    pub(super) fn instead(&self) -> String {
        let until = self.sunset().map_or_else(String::new, |sunset| format!(", which ended {sunset}"));
        match self.successor() {
            Some(successor) => format!("{successor} in place of {}{until}", self.name),
            None => format!("a request without {}{until}", self.name),
        }
    }

    const fn life(&self) -> Option<&FieldLife> {
        match &self.standing {
            Standing::Deprecated(life) => Some(life),
            Standing::Watched => None,
        }
    }
}

impl FieldPlace {
    /// The word for it in answers and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
            Self::Body => "body",
        }
    }
}

impl FieldLife {
    /// What replaces the field, as it is written.
    pub(super) fn successor(&self) -> Option<&str> {
        self.successor.as_deref()
    }

    /// Whether its use will be refused.
    pub(super) const fn ends(&self) -> bool {
        self.sunset.is_some()
    }
}

impl TryFrom<WrittenFieldLife> for FieldLife {
    type Error = FieldLifeError;

    fn try_from(written: WrittenFieldLife) -> Result<Self, FieldLifeError> {
        let WrittenFieldLife { deprecated, sunset, successor, guide } = written;
        if deprecated.zip(sunset).is_some_and(|(deprecated, sunset)| sunset < deprecated) {
            return Err(FieldLifeError::SunsetFirst);
        }
        if [deprecated, sunset].into_iter().flatten().any(|date| date < Timestamp::UNIX_EPOCH) {
            return Err(FieldLifeError::Date);
        }
        let fits = |text: &String| text.len() <= SUCCESSOR_BYTES_MAX && !text.chars().any(char::is_control);
        if successor.as_ref().is_some_and(|text| text.is_empty() || !fits(text)) {
            return Err(FieldLifeError::Successor);
        }
        if guide.as_deref().is_some_and(|guide| link(guide, "deprecation").is_none()) {
            return Err(FieldLifeError::Guide);
        }
        Ok(Self { deprecated, sunset, successor, guide })
    }
}

/// A member of a Structured Fields list (RFC 9651 section 3.1): the pointer, where and what it is, until when.
fn told(place: FieldPlace, name: &str, pointer: &str, life: &FieldLife) -> String {
    let mut member = format!("{};in={};name={}", text(pointer), place.as_str(), text(name));
    for (key, date) in [("deprecated", life.deprecated), ("sunset", life.sunset)] {
        if let Some(date) = date {
            // RFC 9651 section 3.3.7: a date is `@` and seconds since 1970.
            member.push_str(&format!(";{key}=@{}", date.as_second()));
        }
    }
    member
}

/// A String where ASCII will do, else a Display String. RFC 9651 sections 4.1.6 and 4.1.11.
fn text(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    if shown.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return format!("\"{}\"", shown.replace('\\', "\\\\").replace('"', "\\\""));
    }
    let mut out = "%\"".to_owned();
    for byte in shown.bytes() {
        match byte {
            b'%' | b'"' | 0..=0x1f | 0x7f..=0xff => out.push_str(&format!("%{byte:02x}")),
            plain => out.push(char::from(plain)),
        }
    }
    out.push('"');
    out
}

/// A pointer into a contract is rarely longer than 100; a header field has room for little more.
const TEXT_CHARS_MAX: usize = 200;
/// A name or a pointer, not an essay.
const SUCCESSOR_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn life(written: serde_json::Value) -> Result<FieldLife, FieldLifeError> {
        serde_json::from_value::<WrittenFieldLife>(written).unwrap().try_into()
    }

    #[test]
    fn a_field_is_told_as_a_member_of_a_structured_list() {
        let life = life(json!({
            "deprecated": "2026-01-01T00:00:00Z",
            "sunset": "2026-12-31T23:00:00Z",
            "successor": "note",
            "guide": "https://docs.example/notes",
        }))
        .unwrap();
        let field = Field::deprecated(FieldPlace::Body, "gift_note", "/a/gift_note".to_owned(), life);
        assert_eq!(
            field.told(),
            Some(r#""/a/gift_note";in=body;name="gift_note";deprecated=@1767225600;sunset=@1798758000"#)
        );
        assert_eq!(field.link().unwrap(), "<https://docs.example/notes>; rel=\"deprecation\"");
        assert_eq!(field.instead(), "note in place of gift_note, which ended 2026-12-31T23:00:00Z");
        assert!(!field.is_gone("2026-12-31T22:59:59Z".parse().unwrap()));
        assert!(field.is_gone("2026-12-31T23:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_watched_field_is_told_to_nobody() {
        let field = Field::watched(FieldPlace::Query, "q", "/q".to_owned());
        assert_eq!((field.told(), field.link(), field.is_deprecated()), (None, None, false));
    }

    #[test]
    fn names_of_any_script_can_stand_in_a_header_field() {
        for (name, shown) in
            [("a\"b\\c", r#""a\"b\\c""#), ("größe 5%", "%\"gr%c3%b6%c3%9fe 5%25\""), ("a\nb", "%\"a%0ab\"")]
        {
            assert_eq!(text(name), shown);
            assert!(HeaderValue::from_str(&text(name)).is_ok(), "{name}");
        }
        assert!(text(&"x".repeat(1000)).len() < 220);
    }

    #[test]
    fn a_life_that_cannot_be_announced_is_a_mistake() {
        for (written, wrong) in [
            (
                json!({"deprecated": "2026-12-31T00:00:00Z", "sunset": "2026-01-01T00:00:00Z"}),
                FieldLifeError::SunsetFirst,
            ),
            (json!({"sunset": "1960-01-01T00:00:00Z"}), FieldLifeError::Date),
            (json!({"guide": "http://docs.example"}), FieldLifeError::Guide),
            (json!({"successor": ""}), FieldLifeError::Successor),
            (json!({"successor": "a\nb"}), FieldLifeError::Successor),
            (json!({"successor": "x".repeat(257)}), FieldLifeError::Successor),
        ] {
            assert_eq!(life(written.clone()).unwrap_err(), wrong, "{written}");
        }
    }
}
