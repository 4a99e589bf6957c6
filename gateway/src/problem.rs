//! How does a refusal read? The only writer of problem details (RFC 9457).
//!
//! A problem says what its caller can change, and nothing else: no file, no stack, no message of an
//! upstream or a library, no policy's text, no other caller.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::Serialize;

use crate::contract::Violation;
use crate::edge::Answer;

/// What kind of problem it is: the page that explains it, and its title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProblemType {
    /// The last part of the page's address, or a whole address for those registered with IANA.
    pub slug: &'static str,
    /// The same words for every problem of this type.
    pub title: &'static str,
}

/// One refusal, ready to be written.
#[derive(Debug)]
pub struct Problem {
    /// The type.
    pub kind: ProblemType,
    /// The status.
    pub status: StatusCode,
    /// What this caller can do about this request. Never text that came from outside.
    pub detail: String,
    /// What the contract expected and did not get.
    pub violations: Vec<Violation>,
    /// How many more of them there are than are told.
    pub more_violations: usize,
    /// The quota policies that were used up (draft-ietf-httpapi-ratelimit-headers).
    pub violated_policies: Vec<String>,
    /// The versions that there are, for a caller who named none of them.
    pub versions: Vec<String>,
    /// When what is switched off for a while is served again.
    pub until: Option<Timestamp>,
    /// Fields that go with it, such as `Allow` or a challenge.
    pub headers: HeaderMap,
}

/// Where the pages of the problem types stand.
#[derive(Debug, Clone)]
pub struct Pages(String);

impl Pages {
    /// The pages under `base`, a URL that ends in `/`.
    #[must_use]
    pub const fn new(base: String) -> Self {
        Self(base)
    }

    fn address(&self, slug: &str) -> String {
        // A registered type brings its own address.
        if slug.contains(':') { slug.to_owned() } else { format!("{}{slug}", self.0) }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
    #[serde(skip_serializing_if = "is_none")]
    more_errors: usize,
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    versions: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_none(count: &usize) -> bool {
    *count == 0
}

impl Problem {
    /// A problem with nothing but its words.
    #[must_use]
    pub fn new(kind: ProblemType, status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            detail: detail.into(),
            violations: Vec::new(),
            more_violations: 0,
            violated_policies: Vec::new(),
            versions: Vec::new(),
            until: None,
            headers: HeaderMap::new(),
        }
    }

    /// The answer. `request_id` is the `instance`: the same id stands in the audit record.
    #[must_use]
    pub fn answer(self, pages: &Pages, request_id: &str) -> Answer {
        let Self {
            kind,
            status,
            detail,
            violations,
            more_violations,
            violated_policies,
            versions,
            until,
            mut headers,
        } = self;
        let body = Body {
            r#type: pages.address(kind.slug),
            title: kind.title,
            status: status.as_u16(),
            detail: &detail,
            instance: format!("urn:uuid:{request_id}"),
            errors: &violations,
            more_errors: more_violations,
            violated_policies: &violated_policies,
            versions: &versions,
            until,
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Strings, numbers and booleans: this cannot fail, and an empty body would still be an answer.
        let body = serde_json::to_vec(&body).unwrap_or_default().into();
        Answer { status, headers, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457_and_no_empty_ones() {
        let kind = ProblemType { slug: "malformed-request", title: "The request cannot be read" };
        let problem = Problem::new(kind, StatusCode::BAD_REQUEST, "Mend it.");
        let answer = problem.answer(&Pages::new("https://docs.example/".to_owned()), "0190");
        assert_eq!(answer.headers.get(CONTENT_TYPE).unwrap(), "application/problem+json");
        assert_eq!(
            body(&answer),
            json!({
                "type": "https://docs.example/malformed-request",
                "title": "The request cannot be read",
                "status": 400,
                "detail": "Mend it.",
                "instance": "urn:uuid:0190",
            })
        );
    }

    #[test]
    fn a_registered_type_keeps_its_own_address() {
        let slug = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        let mut problem = Problem::new(ProblemType { slug, title: "t" }, StatusCode::TOO_MANY_REQUESTS, "d");
        problem.violated_policies = vec!["burst".to_owned()];
        let body = body(&problem.answer(&Pages::new("https://docs.example/".to_owned()), "0190"));
        assert_eq!((&body["type"], &body["violated-policies"]), (&json!(slug), &json!(["burst"])));
    }
}
