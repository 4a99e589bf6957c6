//! Which status has a version that there is not, or that has ended?

use http::StatusCode;
use http::header::{RETRY_AFTER, VARY};

use super::told::with;
use super::{BROWNED_OUT, MEDIA_TYPE, NOT_ACCEPTABLE, RETIRED, VERSION_REQUIRED, VERSION_UNKNOWN};
use crate::contract::{NoVersion, VersionFault};
use crate::problem::Problem;
use crate::retirement::Retired;

/// RFC 9110: what the caller would have to say otherwise decides the status. A field that has no meaning of
/// its own in HTTP, or a day in the query, is a request that cannot be processed (section 15.5.1) rather than
/// a resource that is not there: 404 would read as if the order itself were gone. `Accept` and `Content-Type`
/// have their own (sections 15.5.7 and 15.5.16).
pub(super) fn no_version(none: NoVersion) -> Problem {
    let NoVersion { why, how, versions, vary, .. } = none;
    let (kind, status, what) = match why {
        VersionFault::Absent => (VERSION_REQUIRED, StatusCode::BAD_REQUEST, "No version is named"),
        VersionFault::Repeated => {
            (VERSION_REQUIRED, StatusCode::BAD_REQUEST, "The version is named more than once")
        }
        VersionFault::Unknown => (VERSION_UNKNOWN, StatusCode::BAD_REQUEST, "There is no such version"),
        VersionFault::NotADay => (VERSION_UNKNOWN, StatusCode::BAD_REQUEST, "The version is not a day"),
        VersionFault::NotAcceptable => {
            (NOT_ACCEPTABLE, StatusCode::NOT_ACCEPTABLE, "`Accept` names no version that can be given")
        }
        VersionFault::MediaType => {
            (MEDIA_TYPE, StatusCode::UNSUPPORTED_MEDIA_TYPE, "`Content-Type` names no version that there is")
        }
    };
    let detail = format!("{what}. Say one of these {how}: {}", versions.join(", "));
    let mut problem = Problem::new(kind, status, detail);
    problem.versions = versions;
    problem.headers.extend(vary.map(|vary| (VARY, vary)));
    problem
}

/// RFC 9110 section 15.5.11.
pub(super) fn gone(retired: &Retired) -> Problem {
    match retired {
        Retired::Sunset | Retired::Stranger => Problem::new(
            RETIRED,
            StatusCode::GONE,
            "This version is past its sunset. The Link header names its successor.",
        ),
        Retired::Brownout { id, until, successor } => {
            let instead = successor
                .as_deref()
                .map(|successor| format!(" What replaces it: {successor}"))
                .unwrap_or_default();
            let detail = format!(
                "This version is deprecated, and switched off for a while (`{id}`): until {until} it answers 410, \
                 then it is served again until its sunset.{instead}"
            );
            let mut problem = Problem::new(BROWNED_OUT, StatusCode::GONE, detail);
            problem.until = Some(*until);
            // RFC 9110 section 10.2.3 allows it in any answer; a date, because the end is one.
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(until);
            match date {
                Ok(date) => with(problem, RETRY_AFTER, &date),
                Err(_) => problem,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::contract::NoMatch;
    use crate::rejection::{Offer, Rejection};

    #[test]
    fn every_refusal_of_a_version_has_its_status() {
        for (rejection, status, slug) in [
            (browned_out(), 410, "version-browned-out"),
            (of_version(VersionFault::Absent), 400, "version-required"),
            (of_version(VersionFault::Repeated), 400, "version-required"),
            (of_version(VersionFault::Unknown), 400, "version-unknown"),
            (of_version(VersionFault::NotADay), 400, "version-unknown"),
            (of_version(VersionFault::NotAcceptable), 406, "not-acceptable"),
            (of_version(VersionFault::MediaType), 415, "unsupported-media-type"),
        ] {
            let shown = format!("{rejection:?}");
            let problem = rejection.problem(&Offer::of_realm("api"));
            assert_eq!((problem.status.as_u16(), problem.kind.slug), (status, slug), "{shown}");
        }
    }

    fn browned_out() -> Rejection {
        Rejection::Retired(Retired::Brownout {
            id: "orders.v1/hour".into(),
            until: "2027-03-01T09:00:00Z".parse().unwrap(),
            successor: Some("https://api.example/orders/v2".to_owned()),
        })
    }

    fn of_version(why: VersionFault) -> Rejection {
        Rejection::NoMatch(NoMatch::Version(NoVersion {
            why,
            api: "orders".to_owned(),
            how: "in the header field `api-version`".to_owned(),
            versions: vec!["1".to_owned(), "2".to_owned()],
            vary: Some(HeaderValue::from_static("api-version")),
        }))
    }

    #[test]
    fn a_brown_out_says_that_it_ends_and_what_replaces_the_version() {
        let problem = browned_out().problem(&Offer::of_realm("api"));
        assert_eq!(problem.headers[RETRY_AFTER], "Mon, 01 Mar 2027 09:00:00 GMT");
        assert_eq!(problem.until, Some("2027-03-01T09:00:00Z".parse().unwrap()));
        assert!(problem.detail.contains("until 2027-03-01T09:00:00Z"), "{}", problem.detail);
        assert!(problem.detail.contains("https://api.example/orders/v2"), "{}", problem.detail);
    }

    #[test]
    fn a_refusal_for_the_version_lists_those_there_are_and_varies() {
        let problem = of_version(VersionFault::Unknown).problem(&Offer::of_realm("api"));
        assert_eq!(problem.versions, ["1", "2"]);
        assert_eq!(problem.headers[VARY], "api-version");
        let told = "There is no such version. Say one of these in the header field `api-version`: 1, 2";
        assert_eq!(problem.detail, told);
    }
}
