//! Is a response what its operation describes?

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{HeaderName, Method, StatusCode};

use super::content::{Content, ContentFault};
use super::media::MediaRange;
use super::operation::Operation;
use super::parameter::{Parameter, Place, header_text};
use super::request::content_type;
use super::violation::{ResponseFault, Violations};

/// What an operation may answer.
pub(super) struct Responses {
    all: Vec<(StatusRange, Response)>,
    offered: Vec<MediaRange>,
}

/// One described response.
pub(super) struct Response {
    pub(super) headers: Vec<Parameter>,
    /// None when the response has no body.
    pub(super) content: Option<Content>,
}

/// The statuses that a response describes, the narrowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StatusRange {
    /// `404`.
    One(u16),
    /// `4XX`, by its first digit.
    Class(u16),
    /// `default`.
    Default,
}

impl StatusRange {
    /// Reads a key of `responses`.
    pub(super) fn parse(key: &str) -> Option<Self> {
        if key == "default" {
            return Some(Self::Default);
        }
        if let Some(class) = key.strip_suffix("XX") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class);
        }
        key.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::One)
    }

    fn contains(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => status.as_u16() == one,
            Self::Class(class) => status.as_u16().checked_div(100) == Some(class),
            Self::Default => true,
        }
    }

    /// Whether it describes only answers that have no content.
    pub(super) const fn is_bare(self) -> bool {
        matches!(self, Self::Class(1) | Self::One(100..=199 | 204 | 304))
    }

    /// Whether callers hope for it: `Accept` is about these.
    fn is_hoped_for(self) -> bool {
        match self {
            Self::One(status) => status < 400,
            Self::Class(class) => class < 4,
            Self::Default => true,
        }
    }
}

impl Responses {
    /// Keeps the narrowest first. OpenAPI 3.0.4 section 4.7.16: a status wins over its class, and both
    /// over `default`.
    pub(super) fn new(mut all: Vec<(StatusRange, Response)>) -> Self {
        all.sort_by_key(|(range, _)| *range);
        let hoped = |specific: bool| {
            let wanted = all.iter().filter(move |(range, _)| {
                range.is_hoped_for() && (!specific || *range != StatusRange::Default)
            });
            wanted.filter_map(|(_, response)| response.content.as_ref()).flat_map(Content::ranges).cloned()
        };
        let offered: Vec<MediaRange> = hoped(true).collect();
        // Where only `default` says what comes, it says what is offered.
        let offered = if offered.is_empty() { hoped(false).collect() } else { offered };
        Self { all, offered }
    }

    /// The media types that a caller may hope for.
    pub(super) fn offered(&self) -> &[MediaRange] {
        &self.offered
    }

    /// The header fields that any of them is described with.
    pub(super) fn header_names(&self) -> impl Iterator<Item = &HeaderName> {
        self.all.iter().flat_map(|(_, response)| &response.headers).filter_map(|header| match &header.place {
            Place::Header(name) => Some(name),
            Place::Path | Place::Query | Place::Cookie => None,
        })
    }

    fn find(&self, status: StatusCode) -> Option<&Response> {
        self.all.iter().find(|(range, _)| range.contains(status)).map(|(_, response)| response)
    }
}

impl Operation {
    /// Judges a response to a request with the operation's own method; see [`Self::check_response_to`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_response(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), ResponseFault> {
        self.check_response_to(&self.method, status, headers, body)
    }

    /// Judges a response to a request with `method`, which may be HEAD where the operation is a GET.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_response_to(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), ResponseFault> {
        let (response, mut found) = self.check_fields(status, headers)?;
        if is_bare(method, status) {
            return if body.is_empty() { settle(found) } else { Err(ResponseFault::MediaType) };
        }
        check_content(response.content.as_ref(), headers, body, &mut found)?;
        settle(found)
    }

    /// Judges a response whose body passes through in pieces: its status, its fields and its type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_streamed_response(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), ResponseFault> {
        let (response, found) = self.check_fields(status, headers)?;
        if let (Some(content), false) = (&response.content, is_bare(method, status)) {
            let described = content_type(headers).and_then(|content_type| content.entry(content_type));
            described.ok_or(ResponseFault::MediaType)?;
        }
        settle(found)
    }

    /// The described response, and what its header fields break.
    fn check_fields(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(&Response, Violations), ResponseFault> {
        let response = self.responses.find(status).ok_or(ResponseFault::Status)?;
        // The gateway asks for no coding, and could not check what is inside one.
        if headers.get_all(CONTENT_ENCODING).iter().any(|c| !c.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(ResponseFault::Encoding);
        }
        let mut found = Violations::default();
        for header in &response.headers {
            if let Place::Header(name) = &header.place {
                header.check_plain(header_text(headers, name), &mut found);
            }
        }
        Ok((response, found))
    }
}

/// RFC 9110 sections 9.3.2, 15.2, 15.3.5, 15.4.5: these have no content, whatever is described.
fn is_bare(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn settle(found: Violations) -> Result<(), ResponseFault> {
    if found.is_empty() { Ok(()) } else { Err(ResponseFault::Violations(found)) }
}

fn check_content(
    content: Option<&Content>,
    headers: &HeaderMap,
    body: &Bytes,
    found: &mut Violations,
) -> Result<(), ResponseFault> {
    let Some(content) = content else {
        return if body.is_empty() { Ok(()) } else { Err(ResponseFault::MediaType) };
    };
    let entry = content_type(headers).and_then(|content_type| content.entry(content_type));
    let (entry, media) = entry.ok_or(ResponseFault::MediaType)?;
    match entry.check(media.as_ref(), body) {
        Ok(_) => Ok(()),
        Err(ContentFault::Malformed(violation)) => Err(ResponseFault::Malformed(violation)),
        Err(ContentFault::Violations(more)) => {
            found.append(more);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, headers};
    use super::*;

    const PATHS: &str = "
paths:
  /o:
    get:
      operationId: o
      responses:
        '200':
          description: x
          headers:
            X-Page: {required: true, schema: {type: integer}}
            X-Tags: {schema: {type: array, items: {enum: [a, b]}}}
            Content-Type: {required: true, schema: {const: never}}
          content:
            application/json:
              schema:
                type: object
                required: [id]
                properties: {id: {type: integer, readOnly: true}, password: {type: string, writeOnly: true}}
        '204': {description: x}
        '404': {description: x}
        4XX: {description: x, content: {application/problem+json: {schema: {required: [title]}}}}
";
    const PAGE: &[(&str, &str)] = &[("content-type", "application/json"), ("x-page", "1")];

    fn fault(method: &str, status: u16, fields: &[(&str, &str)], body: &str) -> Option<String> {
        let catalogue = sample::catalogue(PATHS);
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::from(body.to_owned());
        let method = method.parse().unwrap();
        let operation = &catalogue.operations()[0];
        operation.check_response_to(&method, status, &headers(fields), &body).err().map(|fault| match fault {
            ResponseFault::Status => "status".to_owned(),
            ResponseFault::MediaType => "media type".to_owned(),
            ResponseFault::Encoding => "encoding".to_owned(),
            ResponseFault::Malformed(violation) => format!("malformed {}", violation.keyword),
            ResponseFault::Violations(found) => {
                let first = &found.as_slice()[0];
                format!("{} {}", first.location, first.keyword)
            }
        })
    }

    #[test]
    fn a_response_is_what_its_status_describes() {
        let problem = &[("content-type", "application/problem+json")][..];
        for (method, status, fields, body, expected) in [
            ("GET", 200, PAGE, r#"{"id":1}"#, None),
            ("GET", 200, PAGE, r#"{"id":"1"}"#, Some("body /id type")),
            ("GET", 200, PAGE, r#"{}"#, Some("body  required")),
            ("GET", 200, PAGE, r#"{"id":1,"password":"x"}"#, Some("body /password writeOnly")),
            ("GET", 200, PAGE, r#"{"id":1,"id":1}"#, Some("malformed json")),
            ("GET", 200, PAGE, "", Some("malformed json")),
            ("GET", 200, &PAGE[..1], r#"{"id":1}"#, Some("header X-Page required")),
            ("GET", 200, &[PAGE[0], ("x-page", "one")], r#"{"id":1}"#, Some("header X-Page type")),
            ("GET", 200, &[PAGE[0], PAGE[1], ("x-tags", "a"), ("x-tags", "b")], r#"{"id":1}"#, None),
            ("GET", 200, &[PAGE[0], PAGE[1], ("x-tags", "a, c")], r#"{"id":1}"#, Some("header X-Tags enum")),
            ("GET", 200, &[("x-page", "1")], r#"{"id":1}"#, Some("media type")),
            ("GET", 200, &[("content-type", "text/html"), ("x-page", "1")], "<p>", Some("media type")),
            ("GET", 200, &[PAGE[0], PAGE[1], ("content-encoding", "gzip")], "x", Some("encoding")),
            ("HEAD", 200, PAGE, "", None),
            ("HEAD", 200, &PAGE[..1], "", Some("header X-Page required")),
            ("HEAD", 200, PAGE, r#"{"id":1}"#, Some("media type")),
            ("GET", 204, &[], "", None),
            ("GET", 204, &[], "x", Some("media type")),
            ("GET", 404, &[], "", None),
            ("GET", 404, problem, "{}", Some("media type")),
            ("GET", 409, problem, r#"{"title":"x"}"#, None),
            ("GET", 409, problem, "{}", Some("body  required")),
            ("GET", 201, PAGE, "{}", Some("status")),
            ("GET", 500, problem, "{}", Some("status")),
            ("GET", 302, &[], "", Some("status")),
        ] {
            assert_eq!(fault(method, status, fields, body).as_deref(), expected, "{method} {status} {body}");
        }
    }

    #[test]
    fn a_response_to_the_described_method_needs_no_method() {
        let catalogue = sample::catalogue(PATHS);
        let check = |status, body: &'static str| {
            catalogue.operations()[0].check_response(
                status,
                &headers(PAGE),
                &Bytes::from_static(body.as_bytes()),
            )
        };
        assert_eq!(check(StatusCode::OK, "{\"id\":1}"), Ok(()));
        assert_eq!(check(StatusCode::IM_A_TEAPOT, ""), Err(ResponseFault::MediaType));
    }

    #[test]
    fn a_streamed_response_is_judged_without_its_body() {
        let catalogue = sample::catalogue(PATHS);
        let check = |status, fields| {
            catalogue.operations()[0].check_streamed_response(&Method::GET, status, &headers(fields)).is_ok()
        };
        assert!(check(StatusCode::OK, PAGE));
        assert!(!check(StatusCode::OK, &PAGE[..1]));
        assert!(!check(StatusCode::OK, &PAGE[1..]));
        assert!(!check(StatusCode::CREATED, PAGE));
        assert!(check(StatusCode::NO_CONTENT, &[]));
    }

    #[test]
    fn statuses_and_classes_are_read() {
        for (key, range) in [
            ("200", Some(StatusRange::One(200))),
            ("4XX", Some(StatusRange::Class(4))),
            ("default", Some(StatusRange::Default)),
            ("4xx", None),
            ("6XX", None),
            ("20", None),
            ("600", None),
            ("2X0", None),
            ("", None),
        ] {
            assert_eq!(StatusRange::parse(key), range, "{key}");
        }
    }
}
