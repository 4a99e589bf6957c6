//! How does a message break its contract? In words that never hold what was received.
//!
//! A violation says where, by which keyword and what would pass; the values in it come from the
//! contract alone. It does not know statuses or problem documents.

use std::fmt;

use http::Method;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value;

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
    /// What was received, where the contract marks the value as public (`x-gateway: { public: true }`).
    pub received: Option<Box<Value>>,
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
        let fields = if self.received.is_some() { 6 } else { 5 };
        let mut out = serializer.serialize_struct("Violation", fields)?;
        out.serialize_field("in", part)?;
        out.serialize_field(key, name)?;
        out.serialize_field("keyword", &self.keyword)?;
        out.serialize_field("detail", &self.expected)?;
        out.serialize_field("contract", &self.contract)?;
        match &self.received {
            Some(received) => out.serialize_field("received", received)?,
            None => out.skip_field("received")?,
        }
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

/// The first violations of a message in their order, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    found: Vec<Violation>,
    more: usize,
}

impl Violations {
    /// The first [`VIOLATIONS_MAX`] of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.found
    }

    /// How many were found beyond those that are listed; of a very broken message not all are looked for.
    #[must_use]
    pub const fn more(&self) -> usize {
        self.more
    }

    pub(super) fn push(&mut self, violation: Violation) {
        if self.found.len() < VIOLATIONS_MAX {
            self.found.push(violation);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Adds all of `others`.
    pub(super) fn append(&mut self, others: Self) {
        others.found.into_iter().for_each(|one| self.push(one));
        self.more = self.more.saturating_add(others.more);
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    /// Tells what was received for those from number `from` on for which `received` knows a public value.
    pub(super) fn tell_received<'v>(
        &mut self,
        from: usize,
        received: impl Fn(&Violation) -> Option<&'v Value>,
    ) {
        for violation in self.found.iter_mut().skip(from) {
            violation.received = received(violation).and_then(told_back).map(Box::new);
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
        Self {
            location,
            keyword: keyword.to_owned(),
            expected: expected.into(),
            contract: String::new(),
            received: None,
        }
    }

    pub(super) fn under(mut self, contract: &str) -> Self {
        contract.clone_into(&mut self.contract);
        self
    }
}

/// A value that is short enough to be told back, and no list or object, whose parts have marks of their own.
fn told_back(value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
        Value::String(text) if text.len() <= RECEIVED_BYTES_MAX => Some(value.clone()),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
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
        /// The operation's method.
        method: Method,
    },
    /// Nothing the operation answers with is acceptable to the caller. 406.
    #[error("no acceptable media type")]
    NotAcceptable {
        /// What the operation offers.
        offered: Vec<String>,
    },
    /// The body has a content coding that the operation does not allow. 415.
    #[error("the content coding is not accepted")]
    Encoding {
        /// What it allows, as `Accept-Encoding` says it.
        accepted: &'static str,
    },
    /// The body is larger than the operation takes, once it is decoded. 413.
    #[error("the decoded body is too large")]
    TooLarge {
        /// What it takes, in bytes.
        max: usize,
    },
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
            Self::Encoding { .. } => "content-coding",
            Self::TooLarge { .. } => "body-too-large",
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
/// A code, a name or a date is shorter; a text is not told back.
const RECEIVED_BYTES_MAX: usize = 128;
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
        assert_eq!(violations.more(), 0);
        violations.push(violation(99));
        violations.append(violations.clone());
        assert_eq!(violations.more(), 1 + VIOLATIONS_MAX + 1);
        assert_eq!(violations.as_slice().len(), VIOLATIONS_MAX);
        assert_eq!(violations.as_slice()[3].location, Location::Body("/3".to_owned()));
    }

    #[test]
    fn what_was_received_is_told_only_where_it_is_public_short_and_a_scalar() {
        let (public, long) = (Value::from("red"), Value::from("x".repeat(RECEIVED_BYTES_MAX + 1)));
        let list = Value::Array(vec![public.clone()]);
        let mut violations = Violations::default();
        (0..4).for_each(|n| violations.push(violation(n)));
        let by_place = |violation: &Violation| match violation.location.to_string().as_str() {
            "body /1" => Some(&public),
            "body /2" => Some(&long),
            "body /3" => Some(&list),
            _ => None,
        };
        violations.tell_received(1, by_place);
        let told: Vec<_> = violations.as_slice().iter().map(|one| one.received.clone()).collect();
        assert_eq!(told, [None, Some(Box::new(public.clone())), None, None]);
        let written = |n: usize| serde_json::to_value(&violations.as_slice()[n]).unwrap();
        assert_eq!(written(1)["received"], "red");
        assert_eq!(written(2).get("received"), None);
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
