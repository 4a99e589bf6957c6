//! Is a request what its operation describes?
//!
//! The head can be judged before the body is read; the whole is judged once the body is here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use serde_json::Value;

use super::catalogue::Matched;
use super::content::{Content, ContentFault};
use super::media;
use super::operation::Operation;
use super::target::Target;
use super::violation::{Location, RequestFault, Violation, Violations};

/// The body that an operation takes.
pub(super) struct RequestBody {
    pub(super) required: bool,
    pub(super) content: Content,
    /// Where it stands in the contract.
    pub(super) pointer: String,
}

/// Proof that a request is what its operation describes.
#[derive(Debug, Clone)]
pub struct CheckedRequest {
    media_type: Option<Arc<str>>,
    json: Option<Value>,
    body: Bytes,
}

impl CheckedRequest {
    /// The media type of the contract that the body was checked as; none when there is no body.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// The value of a JSON body.
    #[must_use]
    pub const fn json(&self) -> Option<&Value> {
        self.json.as_ref()
    }

    /// The bytes that were checked; these and no others go on.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

impl Operation {
    /// Judges what can be judged before the body is read: its coding, its media type, whether it is
    /// there at all, and whether the caller accepts what is offered.
    ///
    /// # Errors
    /// The first fault, in the order of the statuses that they mean.
    pub fn check_request_head(&self, parts: &Parts) -> Result<(), RequestFault> {
        self.coding(&parts.headers)?;
        match announced(parts) {
            Announced::Body => self.check_media_type(&parts.headers)?,
            Announced::Nothing if self.takes_empty_form(&parts.headers) => {}
            Announced::Nothing => self.check_absent_body()?,
            Announced::Unsaid => {}
        }
        self.check_accept(&parts.headers)
    }

    /// Judges the whole request: head, parameters and body. `body` is what [`Self::decode`] gave.
    ///
    /// # Errors
    /// What is wrong with it; violations of parameters and body together.
    pub fn check_request(
        &self,
        parts: &Parts,
        matched: &Matched,
        target: &Target,
        body: &Bytes,
    ) -> Result<CheckedRequest, RequestFault> {
        self.coding(&parts.headers)?;
        self.check_accept(&parts.headers)?;
        let mut found = Violations::default();
        self.parameters.check(&parts.headers, target, matched.values(), &mut found);
        let checked = self.check_body(&parts.headers, body, &mut found)?;
        if found.is_empty() { Ok(checked) } else { Err(RequestFault::Violations(found)) }
    }

    /// Judges a request whose body passes through in pieces: everything but the body's content.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_streamed_request(
        &self,
        parts: &Parts,
        matched: &Matched,
        target: &Target,
    ) -> Result<(), RequestFault> {
        self.check_request_head(parts)?;
        let mut found = Violations::default();
        self.parameters.check(&parts.headers, target, matched.values(), &mut found);
        if found.is_empty() { Ok(()) } else { Err(RequestFault::Violations(found)) }
    }

    fn check_body(
        &self,
        headers: &HeaderMap,
        body: &Bytes,
        found: &mut Violations,
    ) -> Result<CheckedRequest, RequestFault> {
        let content_type = content_type(headers);
        let described = match &self.body {
            Some(described) if !body.is_empty() || self.takes_empty_form(headers) => described,
            Some(_) | None if body.is_empty() => {
                self.check_absent_body()?;
                return Ok(CheckedRequest { media_type: None, json: None, body: body.clone() });
            }
            Some(_) | None => return Err(self.media_type_fault()),
        };
        let entry = content_type.and_then(|content_type| described.content.entry(content_type));
        let (entry, media) = entry.ok_or_else(|| self.media_type_fault())?;
        let json = match entry.check(media.as_ref(), body) {
            Ok(json) => json,
            Err(ContentFault::Malformed(violation)) => {
                return Err(RequestFault::Malformed(violation.under(&described.pointer)));
            }
            Err(ContentFault::Violations(more)) => {
                found.append(more);
                None
            }
        };
        Ok(CheckedRequest { media_type: Some(entry.range.shared_text()), json, body: body.clone() })
    }

    /// An empty form is a body of no fields.
    fn takes_empty_form(&self, headers: &HeaderMap) -> bool {
        let content = self.body.as_ref().map(|described| &described.content);
        let entry = content.zip(content_type(headers)).and_then(|(content, media)| content.entry(media));
        entry.is_some_and(|(entry, media)| entry.takes_empty_form(media.as_ref()))
    }

    fn check_absent_body(&self) -> Result<(), RequestFault> {
        let Some(RequestBody { required: true, pointer, .. }) = &self.body else { return Ok(()) };
        let mut found = Violations::default();
        let missing = Violation::new(Location::Body(String::new()), "required", "a body");
        found.push(missing.under(pointer));
        Err(RequestFault::Violations(found))
    }

    fn check_media_type(&self, headers: &HeaderMap) -> Result<(), RequestFault> {
        let Some(described) = &self.body else { return Err(self.media_type_fault()) };
        let entry = content_type(headers).and_then(|content_type| described.content.entry(content_type));
        entry.map(|_| ()).ok_or_else(|| self.media_type_fault())
    }

    fn media_type_fault(&self) -> RequestFault {
        let ranges = self.body.iter().flat_map(|described| described.content.ranges());
        let accepted = ranges.map(|range| range.text().to_owned()).collect();
        RequestFault::MediaType { accepted, method: self.method.clone() }
    }

    /// RFC 9110 section 12.5.1. Several lines of the field are one list: section 5.3.
    fn check_accept(&self, headers: &HeaderMap) -> Result<(), RequestFault> {
        let offered = self.responses.offered();
        let mut lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok()).peekable();
        if offered.is_empty() || lines.peek().is_none() {
            return Ok(());
        }
        let accept: Vec<&str> = lines.collect();
        if media::is_acceptable(&accept.join(","), offered) {
            return Ok(());
        }
        Err(RequestFault::NotAcceptable { offered: offered.iter().map(|o| o.text().to_owned()).collect() })
    }
}

/// What a head says about a body.
enum Announced {
    Body,
    Nothing,
    Unsaid,
}

fn announced(parts: &Parts) -> Announced {
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        return Announced::Body;
    }
    match parts.headers.get(CONTENT_LENGTH).map(|length| length.as_bytes().iter().all(|b| *b == b'0')) {
        Some(true) => Announced::Nothing,
        Some(false) => Announced::Body,
        // RFC 9112 section 6.3: a request without both has no body; in HTTP/2 the frames will tell.
        None if parts.version <= http::Version::HTTP_11 => Announced::Nothing,
        None => Announced::Unsaid,
    }
}

/// The one `Content-Type`; RFC 9110 section 8.3: it is not a list, so two are none.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let first = values.next().filter(|value| !value.is_empty())?;
    if values.next().is_some() { None } else { Some(first.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::super::sample::{self, check, head};
    use super::*;

    const PATHS: &str = "
paths:
  /orders:
    post:
      operationId: create
      parameters: [{name: dry, in: query, schema: {type: boolean}}]
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [lines]
              additionalProperties: false
              properties:
                lines: {type: array, minItems: 1, items: {type: object, required: [sku], properties: {sku: {type: string}}}}
          text/*: {schema: {type: string, maxLength: 3}}
      responses: {'201': {description: x, content: {application/json: {}}}}
    get:
      operationId: list
      responses: {'200': {description: x, content: {application/json: {}, text/csv: {}}}, '400': {description: x, content: {text/html: {}}}}
  /form:
    post:
      operationId: form
      requestBody: {required: true, content: {application/x-www-form-urlencoded: {schema: {properties: {a: {type: integer}}}}}}
      responses: {'204': {description: x}}
";
    const POST: (&str, &str) = ("POST", "/api/v1/orders");
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

    fn catalogue() -> Catalogue {
        sample::catalogue(PATHS)
    }

    fn check_head(id: &str, fields: &[(&str, &str)], version: http::Version) -> Result<(), RequestFault> {
        let catalogue = catalogue();
        let operation = catalogue.operations().iter().find(|o| o.operation_id() == id).unwrap();
        let mut parts = head(operation.method().as_str(), fields);
        parts.version = version;
        operation.check_request_head(&parts)
    }

    #[test]
    fn a_described_body_passes_with_its_value() {
        let body = r#"{"lines":[{"sku":"a"}]}"#;
        let checked =
            check(&catalogue(), POST, &[("content-type", "Application/JSON; charset=UTF-8")], body).unwrap();
        assert_eq!(checked.media_type(), Some("application/json"));
        assert_eq!(checked.json().unwrap()["lines"][0]["sku"], "a");
        assert_eq!(checked.body(), body.as_bytes());
        let checked = check(&catalogue(), ("GET", "/api/v1/orders"), &[], "").unwrap();
        assert_eq!((checked.media_type(), checked.json()), (None, None));
    }

    #[test]
    fn violations_of_parameters_and_body_are_told_together() {
        let body = r#"{"lines":[{"sku":1},{}],"extra":"secret"}"#;
        let found = sample::violations(check(&catalogue(), ("POST", "/api/v1/orders?dry=x"), JSON, body));
        let told: Vec<(String, &str)> =
            found.iter().map(|v| (v.location.to_string(), v.keyword.as_str())).collect();
        for expected in [
            ("query parameter dry", "type"),
            ("body /lines/0/sku", "type"),
            ("body /lines/1", "required"),
            ("body ", "additionalProperties"),
        ] {
            assert!(told.contains(&(expected.0.to_owned(), expected.1)), "{expected:?} in {told:?}");
        }
        assert!(
            !format!("{found:?}").contains("secret") && !format!("{found:?}").contains("extra"),
            "{found:?}"
        );
    }

    #[test]
    fn bodies_that_are_not_what_they_say_are_malformed() {
        for (fields, body, keyword) in [
            (JSON, "{\"lines\":", "json"),
            (JSON, "{\"lines\":[],\"lines\":[]}", "json"),
            (JSON, "{} x", "json"),
            (&[("content-type", "application/json; charset=utf-16")], "{}", "charset"),
        ] {
            match check(&catalogue(), POST, fields, body) {
                Err(RequestFault::Malformed(violation)) => assert_eq!(violation.keyword, keyword, "{body}"),
                other => panic!("{body}: {other:?}"),
            }
        }
    }

    #[test]
    fn media_types_are_the_described_ones() {
        let accepted = |method: http::Method, accepted: &[&str]| RequestFault::MediaType {
            accepted: accepted.iter().map(|a| (*a).to_owned()).collect(),
            method,
        };
        let described = accepted(http::Method::POST, &["application/json", "text/*"]);
        for (target, fields, body, fault) in [
            (POST, &[("content-type", "text/csv")][..], "abc", None),
            (POST, &[], "{}", Some(described.clone())),
            (POST, &[("content-type", "application/xml")], "{}", Some(described.clone())),
            (POST, &[("content-type", "application/jsonx")], "{}", Some(described.clone())),
            (
                POST,
                &[("content-type", "application/json"), ("content-type", "text/plain")],
                "{}",
                Some(described.clone()),
            ),
            (POST, &[("content-type", "json")], "{}", Some(described)),
            (("GET", "/api/v1/orders"), JSON, "{}", Some(accepted(http::Method::GET, &[]))),
        ] {
            assert_eq!(check(&catalogue(), target, fields, body).err(), fault, "{fields:?}");
        }
    }

    #[test]
    fn a_coded_body_is_refused() {
        for coding in ["gzip", "identity, gzip", "x"] {
            let fields = [("content-type", "application/json"), ("content-encoding", coding)];
            assert_eq!(
                check(&catalogue(), POST, &fields, "{}").err(),
                Some(RequestFault::Encoding { accepted: "identity" }),
                "{coding}"
            );
            let head = check_head("create", &fields, http::Version::HTTP_11);
            assert_eq!(head, Err(RequestFault::Encoding { accepted: "identity" }));
        }
        let fields = [("content-type", "text/plain"), ("content-encoding", "Identity")];
        assert!(check(&catalogue(), POST, &fields, "abc").is_ok());
    }

    #[test]
    fn what_a_caller_accepts_must_be_offered() {
        let get = ("GET", "/api/v1/orders");
        for (accept, met) in [
            (&[][..], true),
            (&[("accept", "*/*")], true),
            (&[("accept", "text/csv")], true),
            (&[("accept", "text/html")], false),
            (&[("accept", "text/html"), ("accept", "application/json")], true),
            (&[("accept", "application/json;q=0, text/csv;q=0")], false),
        ] {
            let fault = check(&catalogue(), get, accept, "").err();
            assert_eq!(fault.is_none(), met, "{accept:?}");
            if let Some(fault) = fault {
                let offered = vec!["application/json".to_owned(), "text/csv".to_owned()];
                assert_eq!(fault, RequestFault::NotAcceptable { offered });
            }
        }
        // An answer without content suits everybody.
        let form = ("POST", "/api/v1/form");
        let fields = [("content-type", "application/x-www-form-urlencoded"), ("accept", "image/png")];
        assert!(check(&catalogue(), form, &fields, "a=1").is_ok());
    }

    #[test]
    fn the_head_is_judged_before_the_body_is_here() {
        use http::Version;
        let json = ("content-type", "application/json");
        for (id, fields, version, passes) in [
            ("create", &[json, ("content-length", "9")][..], Version::HTTP_11, true),
            ("create", &[json, ("transfer-encoding", "chunked")], Version::HTTP_11, true),
            ("create", &[json, ("content-length", "0")], Version::HTTP_11, false),
            ("create", &[json], Version::HTTP_11, false),
            ("create", &[json], Version::HTTP_2, true),
            ("create", &[("content-length", "9")], Version::HTTP_11, false),
            ("create", &[("content-type", "image/png"), ("content-length", "9")], Version::HTTP_11, false),
            ("list", &[], Version::HTTP_11, true),
            ("list", &[json], Version::HTTP_11, true),
            ("list", &[("content-length", "0")], Version::HTTP_11, true),
            ("list", &[json, ("content-length", "2")], Version::HTTP_11, false),
            ("list", &[("accept", "text/html")], Version::HTTP_11, false),
            (
                "form",
                &[("content-type", "application/x-www-form-urlencoded"), ("content-length", "0")],
                Version::HTTP_11,
                true,
            ),
        ] {
            assert_eq!(check_head(id, fields, version).is_ok(), passes, "{id} {fields:?} {version:?}");
        }
    }

    #[test]
    fn a_streamed_request_is_judged_without_its_body() {
        let catalogue = catalogue();
        for (target, fields, passes) in [
            ("/api/v1/orders", &[JSON[0], ("content-length", "9")][..], true),
            ("/api/v1/orders?dry=x", &[JSON[0], ("content-length", "9")], false),
            ("/api/v1/orders", &[("content-type", "image/png"), ("content-length", "9")], false),
            ("/api/v1/orders", JSON, false),
        ] {
            let target = Target::from_origin_form(target).unwrap();
            let matched = sample::find(&catalogue, "POST", &target).unwrap();
            let checked =
                matched.operation().check_streamed_request(&head("POST", fields), &matched, &target);
            assert_eq!(checked.is_ok(), passes, "{fields:?}");
        }
    }

    #[test]
    fn a_missing_body_is_missed_where_it_is_required() {
        let found = sample::violations(check(&catalogue(), POST, JSON, ""));
        assert_eq!(
            (found[0].keyword.as_str(), &found[0].location),
            ("required", &Location::Body(String::new()))
        );
        let form = &[("content-type", "application/x-www-form-urlencoded")];
        assert!(check(&catalogue(), ("POST", "/api/v1/form"), form, "").is_ok());
    }
}
