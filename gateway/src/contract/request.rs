//! Is a request what its operation describes?
//!
//! The head can be judged before the body is read; the whole is judged once the body is here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use http::request::Parts;
use serde_json::Value;

use super::catalogue::Matched;
use super::content::{Content, ContentFault, Form};
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
        check_coding(&parts.headers)?;
        match announced(parts) {
            Announced::Body => self.check_media_type(&parts.headers)?,
            Announced::Nothing if self.takes_empty_form(&parts.headers) => {}
            Announced::Nothing => self.check_absent_body()?,
            Announced::Unsaid => {}
        }
        self.check_accept(&parts.headers)
    }

    /// Judges the whole request: head, parameters and body.
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
        check_coding(&parts.headers)?;
        self.check_accept(&parts.headers)?;
        let mut found = Violations::default();
        self.parameters.check(&parts.headers, target, matched.values(), &mut found);
        let checked = self.check_body(&parts.headers, body, &mut found)?;
        if found.is_empty() { Ok(checked) } else { Err(RequestFault::Violations(found)) }
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
            Some(_) | None => return Err(RequestFault::MediaType { accepted: Vec::new() }),
        };
        let entry = content_type.and_then(|content_type| described.content.entry(content_type));
        let (entry, media) = entry.ok_or_else(|| described.media_type_fault())?;
        let json = match entry.check(media.as_ref(), body) {
            Ok(json) => json,
            Err(ContentFault::Malformed(violation)) => {
                return Err(RequestFault::Malformed(violation.under(&described.pointer)));
            }
            Err(ContentFault::Violations(more)) => {
                more.into_iter().for_each(|one| found.push(one));
                None
            }
        };
        Ok(CheckedRequest { media_type: Some(entry.range.shared_text()), json, body: body.clone() })
    }

    /// An empty form is a body of no fields.
    fn takes_empty_form(&self, headers: &HeaderMap) -> bool {
        let content = self.body.as_ref().map(|described| &described.content);
        let entry = content.zip(content_type(headers)).and_then(|(content, media)| content.entry(media));
        entry.is_some_and(|(entry, _)| matches!(entry.form, Form::UrlEncoded(_)))
    }

    fn check_absent_body(&self) -> Result<(), RequestFault> {
        let Some(RequestBody { required: true, pointer, .. }) = &self.body else { return Ok(()) };
        let mut found = Violations::default();
        let missing = Violation::new(Location::Body(String::new()), "required", "a body");
        found.push(missing.under(pointer));
        Err(RequestFault::Violations(found))
    }

    fn check_media_type(&self, headers: &HeaderMap) -> Result<(), RequestFault> {
        let Some(described) = &self.body else {
            return Err(RequestFault::MediaType { accepted: Vec::new() });
        };
        let entry = content_type(headers).and_then(|content_type| described.content.entry(content_type));
        entry.map(|_| ()).ok_or_else(|| described.media_type_fault())
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

impl RequestBody {
    fn media_type_fault(&self) -> RequestFault {
        let accepted = self.content.ranges().iter().map(|range| range.text().to_owned()).collect();
        RequestFault::MediaType { accepted }
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

/// RFC 9110 section 8.4: a coded body would reach the upstream unchecked.
fn check_coding(headers: &HeaderMap) -> Result<(), RequestFault> {
    let plain = |coding: &http::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) { Ok(()) } else { Err(RequestFault::Encoding) }
}

/// The one `Content-Type`; RFC 9110 section 8.3: it is not a list, so two are none.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let first = values.next().filter(|value| !value.is_empty())?;
    if values.next().is_some() { None } else { Some(first.as_bytes()) }
}
