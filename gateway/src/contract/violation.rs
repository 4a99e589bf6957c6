//! How does a message break its contract? In words that never hold what was received.
//!
//! A violation says where, by which keyword and what would pass; the values in it come from the
//! contract alone. It does not know statuses or problem documents.

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

/// One breach of the contract by a request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where in the message.
    pub location: Location,
    /// Which keyword of the contract is broken: `required`, `type`, `maxLength`, `style`, ...
    pub keyword: String,
    /// What would pass.
    pub expected: String,
    /// JSON Pointer into the contract document, to the keyword; empty where none applies.
    pub contract: String,
}

/// A place in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// The path parameter of this name.
    Path(String),
    /// The query parameter of this name.
    Query(String),
    /// The header field of this name.
    Header(String),
    /// The cookie of this name.
    Cookie(String),
    /// The value in the body at this JSON Pointer (RFC 6901); empty for the whole body.
    Body(String),
}

impl Serialize for Violation {
    /// What a caller is told: where, the rule, what would pass, and where the contract says so.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (part, name) = match &self.location {
            Location::Path(name) => ("path", name),
            Location::Query(name) => ("query", name),
            Location::Header(name) => ("header", name),
            Location::Cookie(name) => ("cookie", name),
            Location::Body(pointer) => ("body", pointer),
        };
        // RFC 9457 section 3.1: members of our own; `pointer` as in the RFC's example.
        let key = if part == "body" { "pointer" } else { "parameter" };
        let mut out = serializer.serialize_struct("Violation", 5)?;
        out.serialize_field("in", part)?;
        out.serialize_field(key, name)?;
        out.serialize_field("keyword", &self.keyword)?;
        out.serialize_field("detail", &self.expected)?;
        out.serialize_field("contract", &self.contract)?;
        out.end()
    }
}

impl Location {
    /// The same place seen from deeper in: JSON Pointers grow, names stay.
    pub(super) fn within(&self, pointer: &str) -> Self {
        match self {
            Self::Body(base) => Self::Body(shortened(format!("{base}{pointer}"))),
            Self::Path(_) | Self::Query(_) | Self::Header(_) | Self::Cookie(_) => self.clone(),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) => write!(f, "path parameter {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Cookie(name) => write!(f, "cookie {name}"),
            Self::Body(pointer) => write!(f, "body {pointer}"),
        }
    }
}

/// The first violations of a message in their order, and whether there are more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    found: Vec<Violation>,
    more: bool,
}

impl Violations {
    /// The first [`VIOLATIONS_MAX`] of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.found
    }

    /// Whether more were found than are listed.
    #[must_use]
    pub const fn more(&self) -> bool {
        self.more
    }

    pub(super) fn push(&mut self, violation: Violation) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(violation);
        } else {
            self.more = true;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl IntoIterator for Violations {
    type Item = Violation;
    type IntoIter = std::vec::IntoIter<Violation>;
    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter()
    }
}

impl Violation {
    pub(super) fn new(location: Location, keyword: &str, expected: impl Into<String>) -> Self {
        Self { location, keyword: keyword.to_owned(), expected: expected.into(), contract: String::new() }
    }

    pub(super) fn under(mut self, contract: &str) -> Self {
        contract.clone_into(&mut self.contract);
        self
    }
}

/// Keys that a caller chose may be of any length; a pointer that is quoted back may not.
fn shortened(pointer: String) -> String {
    if pointer.len() <= POINTER_BYTES_MAX {
        return pointer;
    }
    let mut short: String = pointer.chars().take(POINTER_BYTES_MAX / 4).collect();
    short.push('…');
    short
}

/// Why a request is not what its operation describes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestFault {
    /// The body is not what its media type says: not JSON, a repeated key, too deep. 400.
    #[error("the body is malformed")]
    Malformed(Violation),
    /// The body's media type is missing or not described. 415.
    #[error("the media type is not accepted")]
    MediaType {
        /// What the operation accepts; empty when it takes no body.
        accepted: Vec<String>,
    },
    /// Nothing the operation answers with is acceptable to the caller. 406.
    #[error("no acceptable media type")]
    NotAcceptable {
        /// What the operation offers.
        offered: Vec<String>,
    },
    /// The body has a content coding other than `identity`. 415.
    #[error("the content coding is not accepted")]
    Encoding,
    /// Well-formed, but against the contract. 422.
    #[error("the request breaks the contract")]
    Violations(Violations),
}

impl RequestFault {
    /// The stable word for it in audit records and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "body-malformed",
            Self::MediaType { .. } => "media-type-unsupported",
            Self::NotAcceptable { .. } => "not-acceptable",
            Self::Encoding => "content-coding",
            Self::Violations(_) => "contract-violation",
        }
    }
}

impl ResponseFault {
    /// The stable word for it in audit records and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Status => "response-status",
            Self::MediaType => "response-media-type",
            Self::Encoding => "response-content-coding",
            Self::Malformed(_) => "response-malformed",
            Self::Violations(_) => "response-violation",
        }
    }
}

/// Why a response is not what its operation describes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// The contract does not describe this status.
    #[error("the status is not described")]
    Status,
    /// The body's media type is missing or not described for this status.
    #[error("the media type is not described")]
    MediaType,
    /// The body has a content coding, which nobody asked for.
    #[error("the content coding is not accepted")]
    Encoding,
    /// The body is not what its media type says.
    #[error("the body is malformed")]
    Malformed(Violation),
    /// Headers or body are against the contract.
    #[error("the response breaks the contract")]
    Violations(Violations),
}

/// A person mends a handful at a time; the rest is only counted as "more".
pub const VIOLATIONS_MAX: usize = 20;
/// Longer than any pointer into a described message.
const POINTER_BYTES_MAX: usize = 512;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;

    fn violation(n: usize) -> Violation {
        Violation::new(Location::Body(format!("/{n}")), "type", "string")
    }

    #[test]
    fn the_first_violations_are_kept_in_order_and_the_rest_is_more() {
        let mut violations = Violations::default();
        (0..VIOLATIONS_MAX).for_each(|n| violations.push(violation(n)));
        assert!(!violations.more());
        violations.push(violation(99));
        assert!(violations.more());
        assert_eq!(violations.as_slice().len(), VIOLATIONS_MAX);
        assert_eq!(violations.as_slice()[3].location, Location::Body("/3".to_owned()));
    }

    #[test]
    fn a_pointer_of_any_length_is_quoted_shortly() {
        let Location::Body(short) = Location::Body(String::new()).within(&format!("/{}", "é".repeat(4000)))
        else {
            panic!("a body stays a body")
        };
        assert!(short.len() < POINTER_BYTES_MAX, "{}", short.len());
    }

    #[test]
    fn a_parameter_stays_the_place_whatever_is_wrong_inside_it() {
        let query = Location::Query("filter".to_owned());
        assert_eq!(query.within("/a/0"), query);
        assert_eq!(query.to_string(), "query parameter filter");
    }
}
