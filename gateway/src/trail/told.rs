//! What does every answer to a request tell, whatever it is?
//!
//! Fields are added as more is known of the request. Of most there is one each, and the gateway's word takes
//! the place of the upstream's; `Link`, `Vary` and those of limits are lists that go on where its own end.

use http::header::{CACHE_CONTROL, HeaderName, LINK, VARY};
use http::{HeaderMap, HeaderValue};

use crate::contract::{API_VERSION, DEPRECATION, Lifecycle, SUNSET, Used, Versioning};
use crate::quota::Standing;
use crate::retirement::BROWNOUT;

/// The fields told so far.
#[derive(Debug)]
pub(super) struct Told(HeaderMap);

impl Told {
    /// What is told of a request of which nothing is known yet but its id.
    pub(super) fn new(request_id: &HeaderValue) -> Self {
        let mut fields = HeaderMap::new();
        fields.insert("x-request-id", request_id.clone());
        Self(fields)
    }

    /// The version that was chosen, and what in the request has chosen it.
    pub(super) fn version(&mut self, versioning: &Versioning) {
        self.0.insert(API_VERSION, versioning.told().clone());
        if let Some(vary) = versioning.vary() {
            self.0.insert(VARY, vary);
        }
    }

    /// A life, which takes the place of the one told before.
    pub(super) fn life(&mut self, lifecycle: &Lifecycle) {
        for name in [&DEPRECATION, &SUNSET, &LINK] {
            self.0.remove(name);
        }
        for (name, value) in lifecycle.headers() {
            self.0.append(name.clone(), value.clone());
        }
    }

    /// The next brown-out, or that there is none.
    pub(super) fn brownout(&mut self, brownout: Option<&HeaderValue>) {
        match brownout {
            Some(brownout) => self.0.insert(BROWNOUT, brownout.clone()),
            None => self.0.remove(BROWNOUT),
        };
    }

    /// The deprecated parameters and properties that the request uses.
    pub(super) fn used(&mut self, used: &Used) {
        if let Some(told) = used.told() {
            self.0.insert(DEPRECATED_USE, told);
        }
        for link in used.links() {
            // The guide may be that of the whole version, which is told already.
            if !self.0.get_all(LINK).iter().any(|told| told == link) {
                self.0.append(LINK, link.clone());
            }
        }
    }

    /// What is left of the caller's plan.
    pub(super) fn limits(&mut self, standing: &Standing) {
        standing.write(&mut self.0);
    }

    /// The nonce to make the next proof of possession with.
    pub(super) fn nonce(&mut self, nonce: &str) {
        // Base64url: always a header value.
        self.0.extend(HeaderValue::from_str(nonce).ok().map(|nonce| (NONCE, nonce)));
    }

    /// Adds all of it to the fields of an answer.
    pub(super) fn write(&self, answer: &mut HeaderMap) {
        if self.0.contains_key(NONCE) {
            // RFC 9449 section 8.2: a nonce from a cache is a stale one. A refusal may tell one already.
            answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer.remove(NONCE);
        }
        for name in [&API_VERSION, &BROWNOUT, &DEPRECATION, &SUNSET] {
            if self.0.contains_key(name) {
                answer.remove(name);
            }
        }
        for (name, value) in &self.0 {
            answer.append(name.clone(), value.clone());
        }
    }
}

/// RFC 9449 section 8.2.
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// Names the deprecated parameters and properties that a request used: decision 0020.
const DEPRECATED_USE: HeaderName = HeaderName::from_static("deprecated-use");
