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
        let response = self.responses.find(status).ok_or(ResponseFault::Status)?;
        let mut found = response.check_headers(headers)?;
        if !is_bare(method, status) {
            check_content(response.content.as_ref(), headers, body, &mut found)?;
        } else if !body.is_empty() {
            return Err(ResponseFault::MediaType);
        }
        if found.is_empty() { Ok(()) } else { Err(ResponseFault::Violations(found)) }
    }
}

impl Operation {
    /// Judges the head of a response whose body passes in pieces: status, coding, headers, media type.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_response_head(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<(), ResponseFault> {
        let response = self.responses.find(status).ok_or(ResponseFault::Status)?;
        let found = response.check_headers(headers)?;
        if !is_bare(method, status) {
            let described = response.content.as_ref().ok_or(ResponseFault::MediaType)?;
            let entry = content_type(headers).and_then(|content_type| described.entry(content_type));
            entry.ok_or(ResponseFault::MediaType)?;
        }
        if found.is_empty() { Ok(()) } else { Err(ResponseFault::Violations(found)) }
    }
}

impl Response {
    /// The violations of the header fields.
    fn check_headers(&self, headers: &HeaderMap) -> Result<Violations, ResponseFault> {
        // The gateway asks for no coding, and could not check what is inside one.
        if headers.get_all(CONTENT_ENCODING).iter().any(|c| !c.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(ResponseFault::Encoding);
        }
        let mut found = Violations::default();
        for header in &self.headers {
            if let Place::Header(name) = &header.place {
                header.check_plain(header_text(headers, name), &mut found);
            }
        }
        Ok(found)
    }
}

/// RFC 9110 sections 9.3.2, 15.3.5, 15.4.5: these have no content, whatever is described.
fn is_bare(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
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
            more.into_iter().for_each(|one| found.push(one));
            Ok(())
        }
    }
}
