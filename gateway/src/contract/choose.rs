//! Which of the versions under a base path does a request mean?
//!
//! What it says is read from its head, once; what it does not say is the default of the contracts, or a
//! refusal that lists the versions. It does not know operations.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::load::Loaded;
use super::media::{self, MediaType, Weighted};
use super::operation::Contract;
use super::request;
use super::target::Target;
use super::version::{self, Selector};

/// One version that is served under a base path.
pub(super) struct Live {
    pub(super) loaded: Arc<Loaded>,
    /// The place of its first operation among those of all contracts.
    pub(super) first: usize,
}

/// The versions under one base path: several only where something else than the path tells them apart.
pub(super) struct Base {
    selector: Selector,
    default: Option<String>,
    /// Those by date begin with the newest.
    versions: Vec<Live>,
}

/// No version could be chosen, and what the caller may do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoVersion {
    /// What is wrong.
    pub why: VersionFault,
    /// The API.
    pub api: String,
    /// How the version is said, to follow "Say the version ".
    pub how: String,
    /// The names of the versions that are not past their sunset.
    pub versions: Vec<String>,
    /// The request fields that were looked at.
    pub vary: Option<HeaderValue>,
}

/// Why no version could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionFault {
    /// None is named, and there is no default.
    #[error("no version is named")]
    Absent,
    /// It is named more than once.
    #[error("the version is named more than once")]
    Repeated,
    /// There is no such version.
    #[error("there is no such version")]
    Unknown,
    /// Not a day.
    #[error("the version is not a day such as `2026-11-01`")]
    NotADay,
    /// `Accept` names only versions that there are not, or another than `Content-Type`.
    #[error("`Accept` names no version that can be given")]
    NotAcceptable,
    /// `Content-Type` names a version that there is not.
    #[error("`Content-Type` names no version that there is")]
    MediaType,
}

impl VersionFault {
    /// The stable word for it in audit records and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Absent => "version-absent",
            Self::Repeated => "version-repeated",
            Self::Unknown => "version-unknown",
            Self::NotADay => "version-not-a-day",
            Self::NotAcceptable => "version-not-acceptable",
            Self::MediaType => "version-media-type",
        }
    }
}

impl Base {
    pub(super) fn new(first: Live) -> Self {
        let versioning = &first.loaded.contract.versioning;
        Self {
            selector: versioning.selector.clone(),
            default: versioning.default.clone(),
            versions: vec![first],
        }
    }

    /// Adds another version beside those that are here.
    pub(super) fn add(&mut self, next: Live) {
        self.versions.push(next);
        if matches!(self.selector, Selector::DateHeader(_) | Selector::DateQuery(_)) {
            self.versions.sort_by_key(|live| std::cmp::Reverse(live.loaded.contract.versioning.day()));
        }
    }

    /// Those that are here.
    pub(super) fn contracts(&self) -> impl Iterator<Item = &Arc<Contract>> {
        self.versions.iter().map(|live| &live.loaded.contract)
    }

    /// Whether the path is all that tells versions apart, so that no other may stand here.
    pub(super) fn is_by_path(&self) -> bool {
        self.selector == Selector::Path
    }

    /// The version that a request means.
    pub(super) fn choose(
        &self,
        target: &Target,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<&Live, NoVersion> {
        let chosen = match &self.selector {
            Selector::Path => self.versions.first().ok_or(VersionFault::Absent),
            Selector::Header(name) => in_field(headers, name).and_then(|said| match said {
                Some(said) => self.named(said).ok_or(VersionFault::Unknown),
                None => self.unsaid(),
            }),
            Selector::MediaType(parameter) => self.by_media_type(headers, parameter),
            Selector::DateHeader(name) => in_field(headers, name).and_then(|said| self.by_day(said)),
            Selector::DateQuery(name) => in_query(target, name).and_then(|said| self.by_day(said)),
        };
        chosen.map_err(|why| self.refuse(why, now))
    }

    /// The parameter of the query that is for this choice only.
    pub(super) fn query_parameter(&self) -> Option<&str> {
        match &self.selector {
            Selector::DateQuery(name) => Some(name),
            Selector::Path | Selector::Header(_) | Selector::MediaType(_) | Selector::DateHeader(_) => None,
        }
    }

    fn named(&self, name: &str) -> Option<&Live> {
        self.versions.iter().find(|live| live.loaded.contract.versioning.name == name)
    }

    fn unsaid(&self) -> Result<&Live, VersionFault> {
        self.default.as_deref().and_then(|name| self.named(name)).ok_or(VersionFault::Absent)
    }

    /// The newest version that is not after the day.
    fn by_day(&self, said: Option<&str>) -> Result<&Live, VersionFault> {
        let Some(said) = said else { return self.unsaid() };
        let day = version::day(said).ok_or(VersionFault::NotADay)?;
        let known = |live: &&Live| live.loaded.contract.versioning.day().is_some_and(|own| own <= day);
        self.versions.iter().find(known).ok_or(VersionFault::Unknown)
    }

    /// The body's version where there is a body, and else the one that the caller would like best.
    fn by_media_type(&self, headers: &HeaderMap, parameter: &str) -> Result<&Live, VersionFault> {
        let accepted = accepted(headers, parameter);
        let content_type = request::content_type(headers).and_then(|value| std::str::from_utf8(value).ok());
        let content_type = content_type.and_then(MediaType::parse);
        if let Some(said) = content_type.as_ref().and_then(|media| media.parameter(parameter)) {
            let sent = self.named(said).ok_or(VersionFault::MediaType)?;
            let takes = accepted.is_empty()
                || accepted.iter().any(|(name, _)| name.as_deref().is_none_or(|name| name == said));
            return if takes { Ok(sent) } else { Err(VersionFault::NotAcceptable) };
        }
        // RFC 9110 section 12.4.2: the greatest weight; among equals the first, as it was written.
        let known =
            accepted.iter().filter_map(|(name, weight)| Some((self.named(name.as_deref()?)?, *weight)));
        let best = known.reduce(|best, next| if next.1 > best.1 { next } else { best });
        match best {
            Some((live, _)) => Ok(live),
            None if accepted.iter().all(|(name, _)| name.is_some()) && !accepted.is_empty() => {
                Err(VersionFault::NotAcceptable)
            }
            None => self.unsaid(),
        }
    }

    fn refuse(&self, why: VersionFault, now: Timestamp) -> NoVersion {
        let live = self.versions.iter().filter(|live| !live.loaded.contract.lifecycle.is_gone(now));
        NoVersion {
            why,
            api: self.versions.first().map(|live| live.loaded.contract.api.clone()).unwrap_or_default(),
            how: self.selector.to_string(),
            versions: live.map(|live| live.loaded.contract.versioning.name.clone()).collect(),
            vary: self.selector.vary(),
        }
    }
}

/// The versions that `Accept` would take, each with its weight; a range without the parameter takes any.
/// A field that cannot be read says nothing, as everywhere.
fn accepted(headers: &HeaderMap, parameter: &str) -> Vec<(Option<String>, u16)> {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let lines: Vec<&str> = lines.collect();
    let ranges = media::weighted(&lines.join(",")).unwrap_or_default();
    let taken = ranges.into_iter().filter(|range| range.weight > 0);
    taken.map(|Weighted { range, weight }| (range.parameter(parameter).map(str::to_owned), weight)).collect()
}

/// The one value of a field. RFC 9110 section 5.3: it is not a list, so two are none.
fn in_field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, VersionFault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(VersionFault::Repeated);
    }
    first.to_str().map(|text| Some(text.trim())).map_err(|_not_text| VersionFault::Unknown)
}

fn in_query<'t>(target: &'t Target, name: &str) -> Result<Option<&'t str>, VersionFault> {
    let mut values = target.pairs().iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let first = values.next();
    if values.next().is_some() { Err(VersionFault::Repeated) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{Catalogue, NoMatch};
    use super::super::sample;
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The versions of one API, each with its `versioning` and what else stands in its `x-gateway`.
    fn versions(rows: &[(&str, &str)]) -> Catalogue {
        match load(rows) {
            Ok(catalogue) => catalogue,
            Err(mistakes) => panic!("{mistakes}"),
        }
    }

    fn load(rows: &[(&str, &str)]) -> Result<Catalogue, String> {
        let files: Vec<(String, String)> = rows
            .iter()
            .map(|(folder, gateway)| {
                let text = format!(
                    "openapi: 3.1.0\ninfo: {{title: t, version: '1'}}\nservers: [{{url: /shop}}]\nsecurity: []\n\
                     x-gateway: {{upstream: backend, {gateway}}}\n\
                     paths: {{/o: {{get: {{operationId: list, responses: {{'204': {{description: x}}}}}}}}}}\n"
                );
                (format!("shop/{folder}/openapi.yaml"), text)
            })
            .collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        sample::load(&files).map(|(catalogue, _)| catalogue).map_err(|mistakes| mistakes.to_string())
    }

    fn chosen(catalogue: &Catalogue, query: &str, fields: &[(&str, &str)]) -> Result<String, VersionFault> {
        let target = Target::from_origin_form(&format!("/shop/o{query}")).unwrap();
        match catalogue.choose(&target, &sample::headers(fields), Timestamp::UNIX_EPOCH) {
            Ok(chosen) => {
                let target = chosen.strip(target);
                assert!(!target.query().contains("version="), "{}", target.query());
                let matched = chosen.find(&http::Method::GET, &target).unwrap();
                Ok(matched.operation().version().to_owned())
            }
            Err(NoMatch::Version(none)) => Err(none.why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_header_field_names_the_version_or_the_default_serves() {
        let by = |name: &str, more: &str| format!("versioning: {{by: header, name: '{name}'{more}}}");
        let asks = versions(&[("v1", &by("1", "")), ("v2", &by("2", ""))]);
        let lets = versions(&[("v1", &by("1", ", default: '1'")), ("v2", &by("2", ", default: '1'"))]);
        for (fields, strict, lenient) in [
            (&[("api-version", "2")][..], Ok("v2"), Ok("v2")),
            (&[("API-Version", "1")], Ok("v1"), Ok("v1")),
            (&[], Err(VersionFault::Absent), Ok("v1")),
            (&[("api-version", "3")], Err(VersionFault::Unknown), Err(VersionFault::Unknown)),
            (&[("api-version", "")], Err(VersionFault::Unknown), Err(VersionFault::Unknown)),
            (&[("api-version", "v1")], Err(VersionFault::Unknown), Err(VersionFault::Unknown)),
            (
                &[("api-version", "1"), ("api-version", "1")],
                Err(VersionFault::Repeated),
                Err(VersionFault::Repeated),
            ),
        ] {
            assert_eq!(chosen(&asks, "", fields), strict.map(str::to_owned), "{fields:?}");
            assert_eq!(chosen(&lets, "", fields), lenient.map(str::to_owned), "{fields:?}");
        }
    }

    #[test]
    fn media_types_name_the_version_of_the_body_and_of_the_answer() {
        let by = |name: &str, more: &str| format!("versioning: {{by: media_type, name: '{name}'{more}}}");
        let asks = versions(&[("v1", &by("1", "")), ("v2", &by("2", ""))]);
        let lets = versions(&[("v1", &by("1", ", default: '2'")), ("v2", &by("2", ", default: '2'"))]);
        let (none, refused) = (Err(VersionFault::Absent), Err(VersionFault::NotAcceptable));
        for (accept, sent, strict, lenient) in [
            ("application/json;version=2", "", Ok("v2"), Ok("v2")),
            ("application/json; Version=\"1\"", "", Ok("v1"), Ok("v1")),
            ("application/json;version=1;q=0.2, application/json;version=2;q=0.5", "", Ok("v2"), Ok("v2")),
            ("application/json;version=1, application/json;version=2", "", Ok("v1"), Ok("v1")),
            ("application/json;version=9, application/json;version=1;q=0.1", "", Ok("v1"), Ok("v1")),
            ("application/json;version=9", "", refused, refused),
            ("application/json;version=1;q=0", "", none, Ok("v2")),
            ("application/json;version=9, */*;q=0.1", "", none, Ok("v2")),
            ("", "", none, Ok("v2")),
            ("*/*", "", none, Ok("v2")),
            ("", "application/json;version=1", Ok("v1"), Ok("v1")),
            ("*/*", "application/json;version=1", Ok("v1"), Ok("v1")),
            ("application/json;version=1", "application/json;version=1", Ok("v1"), Ok("v1")),
            ("application/json;version=2", "application/json;version=1", refused, refused),
            (
                "application/json;version=2",
                "application/json;version=9",
                Err(VersionFault::MediaType),
                Err(VersionFault::MediaType),
            ),
            ("application/json;version=2", "application/json", Ok("v2"), Ok("v2")),
        ] {
            let fields: Vec<(&str, &str)> = [("accept", accept), ("content-type", sent)]
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .collect();
            assert_eq!(chosen(&asks, "", &fields), strict.map(str::to_owned), "{fields:?}");
            assert_eq!(chosen(&lets, "", &fields), lenient.map(str::to_owned), "{fields:?}");
        }
    }

    #[test]
    fn a_day_means_the_newest_version_that_is_not_after_it() {
        let by = |name: &str, more: &str| format!("versioning: {{by: date, name: '{name}'{more}}}");
        let query = versions(&[
            ("v1", &by("2026-01-15", "")),
            ("v3", &by("2026-11-01", "")),
            ("v2", &by("2026-06-01", "")),
        ]);
        let header = ", header: Shop-Day, default: '2026-01-15'";
        let header = versions(&[("v1", &by("2026-01-15", header)), ("v2", &by("2026-06-01", header))]);
        for (day, version) in [
            ("2026-01-15", Ok("v1")),
            ("2026-05-31", Ok("v1")),
            ("2026-06-01", Ok("v2")),
            ("2026-10-31", Ok("v2")),
            ("2099-12-31", Ok("v3")),
            ("2026-01-14", Err(VersionFault::Unknown)),
            ("2026-1-15", Err(VersionFault::NotADay)),
            ("2026-02-30", Err(VersionFault::NotADay)),
            ("", Err(VersionFault::NotADay)),
            ("v2", Err(VersionFault::NotADay)),
        ] {
            let version = version.map(str::to_owned);
            assert_eq!(chosen(&query, &format!("?version={day}&a=1"), &[]), version, "{day}");
            // Two versions there, so that the newest is another.
            let newest = version.map(|version| version.replace('3', "2"));
            assert_eq!(chosen(&header, "", &[("shop-day", day)]), newest, "{day}");
        }
        assert_eq!(chosen(&query, "", &[]), Err(VersionFault::Absent));
        assert_eq!(
            chosen(&query, "?version=2026-06-01&version=2026-06-01", &[]),
            Err(VersionFault::Repeated)
        );
        assert_eq!(chosen(&header, "", &[]), Ok("v1".to_owned()));
    }

    #[test]
    fn a_refusal_lists_what_is_live() {
        let by = |name: &str, life: &str| format!("versioning: {{by: header, name: '{name}'}}{life}");
        let gone = ", lifecycle: {sunset: '2026-06-30T00:00:00Z'}";
        let catalogue = versions(&[("v1", &by("1", gone)), ("v2", &by("2", ""))]);
        let target = Target::from_origin_form("/shop/o").unwrap();
        for (now, live) in [("2026-06-29T00:00:00Z", &["1", "2"][..]), ("2026-06-30T00:00:00Z", &["2"])] {
            let refused = catalogue.choose(&target, &HeaderMap::new(), now.parse().unwrap());
            let Err(NoMatch::Version(none)) = refused.map(|_| ()) else { panic!("it was chosen") };
            assert_eq!(
                (none.versions.as_slice(), none.api.as_str()),
                (live.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>().as_slice(), "shop")
            );
            assert_eq!(none.vary.unwrap(), "api-version");
        }
    }

    #[test]
    fn versions_that_cannot_be_told_apart_do_not_load() {
        let header = |name: &str| format!("versioning: {{by: header, name: '{name}'}}");
        for (one, other, told) in [
            (String::new(), String::new(), "is that of the contract `shop/v1` too"),
            (header("1"), header("1"), "callers would call this version `1`"),
            (header("1"), "versioning: {by: media_type}".to_owned(), "contracts/shop/v1/openapi.yaml:5"),
            (header("1"), String::new(), "are chosen in one way"),
            (
                header("1"),
                "versioning: {by: header, name: '2', default: '2'}".to_owned(),
                "chosen in one way",
            ),
            (
                "versioning: {by: header, name: '1', default: '3'}".to_owned(),
                "versioning: {by: header, name: '2', default: '3'}".to_owned(),
                "the default version `3` is not one that there is",
            ),
            ("versioning: {by: date, name: soon}".to_owned(), String::new(), "is not a day"),
            ("versioning: {by: wish}".to_owned(), String::new(), "openapi.yaml:5"),
        ] {
            let mistakes = load(&[("v1", &one), ("v2", &other)]).map(|_| ()).unwrap_err();
            assert!(mistakes.contains(told), "{one} / {other}: {mistakes}");
        }
    }

    static SHOP: LazyLock<Catalogue> = LazyLock::new(|| {
        let by = |name: &str| format!("versioning: {{by: media_type, name: '{name}'}}");
        versions(&[("v1", &by("1")), ("v2", &by("2"))])
    });

    proptest! {
        #[test]
        fn whatever_a_request_says_is_answered(accept in "([a-z*]/[a-z*];version=[129](;q=[01.]{1,3})?, ?){0,4}|[ -~]{0,40}", said in "[ -~]{0,20}") {
            let known = chosen(&SHOP, "", &[("accept", accept.as_str()), ("content-type", said.as_str())]);
            // Only what is named can be meant, as there is no default.
            if let Ok(version) = known {
                let name = version.trim_start_matches('v');
                prop_assert!(accept.contains(name) || said.contains(name), "{version}: {accept} / {said}");
            }
        }
    }
}
