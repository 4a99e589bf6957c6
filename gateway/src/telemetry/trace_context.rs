//! Which trace does a request belong to, and what does the next hop learn of it?
//!
//! W3C Trace Context, level 1; its sections are cited by their titles.
//! A valid `traceparent` is continued, an invalid one is replaced, and nothing of either is trusted:
//! ids are for finding log lines. `baggage` is none of this file's business; it ends at the gateway.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU64, NonZeroU128};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Where new ids come from. One for the life of the process.
///
/// Ids are a keyed hash of a count, with keys from the system's random source: they do not repeat,
/// nobody outside can tell the next one, and making one asks nothing of the system, so it cannot fail.
#[derive(Debug, Default)]
pub struct Traces {
    keyed: RandomState,
    made: AtomicU64,
}

/// The trace of one request, with the gateway's own span in it.
#[derive(Debug, Clone)]
pub struct Trace {
    trace: TraceId,
    span: SpanId,
    parent: Option<SpanId>,
    sampled: Sampled,
    state: Option<HeaderValue>,
}

/// The id of a trace: 32 lower-case hexadecimal digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(NonZeroU128);

/// The id of a span: 16 lower-case hexadecimal digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(NonZeroU64);

/// Whether the caller records this trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampled {
    Yes,
    No,
}

/// What a valid `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
    sampled: Sampled,
}

impl Traces {
    /// A source with keys of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The trace of a request with these fields: the caller's own where it names a valid one.
    #[must_use]
    pub fn follow(&self, headers: &HeaderMap) -> Trace {
        let span = SpanId(self.random());
        match parent(headers) {
            Some(Parent { trace, span: parent, sampled }) => {
                Trace { trace, span, parent: Some(parent), sampled, state: state(headers) }
            }
            // "Processing model": without a valid traceparent the tracestate means nothing.
            None => Trace { trace: self.begin(), span, parent: None, sampled: Sampled::No, state: None },
        }
    }

    fn begin(&self) -> TraceId {
        let (high, low) = (self.random().get(), self.random());
        TraceId(NonZeroU128::from(low) | (u128::from(high) << 64))
    }

    fn random(&self) -> NonZeroU64 {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        NonZeroU64::new(self.keyed.hash_one(made)).unwrap_or(NonZeroU64::MIN)
    }
}

impl Trace {
    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace
    }

    /// The gateway's own span.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span
    }

    /// The caller's span, where it named one.
    #[must_use]
    pub const fn parent_id(&self) -> Option<SpanId> {
        self.parent
    }

    /// The field for the next hop, in version 00.
    #[must_use]
    pub fn traceparent(&self) -> HeaderValue {
        // "trace-flags": those that are not known are not passed on.
        let flags = match self.sampled {
            Sampled::Yes => "01",
            Sampled::No => "00",
        };
        let text = format!("00-{}-{}-{flags}", self.trace, self.span);
        // Hexadecimal digits and dashes are always fit for a field.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    /// What other systems on the way want to find again, for the next hop.
    #[must_use]
    pub const fn tracestate(&self) -> Option<&HeaderValue> {
        self.state.as_ref()
    }

    /// Writes `traceparent` and `tracestate` for the next hop, in the place of what stands there.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(TRACEPARENT, self.traceparent());
        match &self.state {
            Some(state) => headers.insert(TRACESTATE, state.clone()),
            None => headers.remove(TRACESTATE),
        };
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The one valid `traceparent`, if there is exactly one field.
fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    parse_parent(field.to_str().ok()?)
}

/// "traceparent header field values": `version "-" trace-id "-" parent-id "-" trace-flags`, lower case only.
fn parse_parent(text: &str) -> Option<Parent> {
    let mut parts = text.splitn(5, '-');
    let version = parts.next().filter(|version| is_hex(version, 2))?;
    let trace = parts.next().filter(|id| is_hex(id, 32))?;
    let span = parts.next().filter(|id| is_hex(id, 16))?;
    let flags = parts.next().filter(|flags| is_hex(flags, 2))?;
    match (version, parts.next()) {
        // "version": ff is invalid; 00 has four parts.
        ("ff", _) | ("00", Some(_)) => return None,
        // "Versioning of traceparent": of a later one these four are read, and not what follows them.
        (_, None | Some(_)) => {}
    }
    // "trace-id" and "parent-id": all zeros are invalid.
    let trace = TraceId(NonZeroU128::new(u128::from_str_radix(trace, 16).ok()?)?);
    let span = SpanId(NonZeroU64::new(u64::from_str_radix(span, 16).ok()?)?);
    let sampled = if u8::from_str_radix(flags, 16).ok()? & 1 == 1 { Sampled::Yes } else { Sampled::No };
    Some(Parent { trace, span, sampled })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The list members of all `tracestate` fields in order, or nothing if one is invalid or
/// there is too much: members are not ours to choose between.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut members: Vec<&str> = Vec::new();
    for field in headers.get_all(TRACESTATE) {
        // "list": empty members are allowed and mean nothing.
        let listed = field.to_str().ok()?.split(',').map(trim_blanks).filter(|member| !member.is_empty());
        members.extend(listed);
    }
    if members.is_empty() || members.len() > STATE_MEMBERS_MAX {
        return None;
    }
    let mut keys = Vec::with_capacity(members.len());
    for member in &members {
        let (key, value) = member.split_once('=')?;
        if !is_key(key) || !is_value(value) || keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
    let joined = members.join(",");
    if joined.len() > STATE_BYTES_MAX { None } else { HeaderValue::try_from(joined).ok() }
}

/// "key": a name, or `tenant@system`.
fn is_key(key: &str) -> bool {
    let is_rest = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    let is_name = |name: &str, bytes_max: usize| {
        name.len() <= bytes_max
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(is_rest)
    };
    match key.split_once('@') {
        None => is_name(key, 256),
        Some((tenant, system)) => {
            let tenant_sound = (1..=241).contains(&tenant.len())
                && tenant.bytes().all(is_rest)
                && tenant.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
            tenant_sound && is_name(system, 14)
        }
    }
}

/// "value": visible ASCII and inner spaces, without `,` and `=`.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b',' && b != b'=')
        && !value.ends_with(' ')
}

fn trim_blanks(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// "Header name": sent in lower case.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// "list": at most 32 members.
const STATE_MEMBERS_MAX: usize = 32;
/// "tracestate limits": 512 characters are to be passed on; more is not.
const STATE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn continued(traceparent: &str) -> bool {
        let trace = Traces::new().follow(&headers(&[("traceparent", traceparent)]));
        assert_eq!(trace.parent_id().is_some(), trace.trace_id().to_string() == TRACE, "{traceparent}");
        trace.parent_id().is_some()
    }

    #[test]
    fn a_valid_traceparent_is_continued_with_a_span_of_our_own() {
        let valid = format!("00-{TRACE}-{SPAN}-01");
        let trace = Traces::new().follow(&headers(&[("traceparent", &valid)]));
        assert_eq!(
            (trace.trace_id().to_string(), trace.parent_id().unwrap().to_string()),
            (TRACE.into(), SPAN.into())
        );
        assert_ne!(trace.span_id(), trace.parent_id().unwrap());
        assert_eq!(trace.traceparent(), format!("00-{TRACE}-{}-01", trace.span_id()).as_str());
    }

    #[test]
    fn only_a_valid_traceparent_is_continued() {
        let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
        for (text, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), true),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"), true),
            (format!("cc-{TRACE}-{SPAN}-01.what-the-future-brings"), false),
            (format!("00-{TRACE}-{SPAN}-01-"), false),
            (format!("00-{TRACE}-{SPAN}-01-x"), false),
            (format!("ff-{TRACE}-{SPAN}-01"), false),
            (format!("00-{zero_trace}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{zero_span}-01"), false),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), false),
            (format!("0-{TRACE}-{SPAN}-01"), false),
            (format!("00-{TRACE}-{SPAN}-1"), false),
            (format!("00-{TRACE}-{SPAN}-1x"), false),
            (format!("00-{TRACE}-{SPAN}"), false),
            (format!("00-{TRACE}0-{SPAN}-01"), false),
            (format!("00-{}-{SPAN}-01", TRACE.replacen('4', "+", 1)), false),
            (format!(" 00-{TRACE}-{SPAN}-01"), false),
            (String::new(), false),
            ("\u{e9}".to_owned(), false),
        ] {
            assert_eq!(continued(&text), expected, "{text}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        let valid = format!("00-{TRACE}-{SPAN}-01");
        let trace = Traces::new().follow(&headers(&[("traceparent", &valid), ("traceparent", &valid)]));
        assert!(trace.parent_id().is_none());
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        for (flags, expected) in [("00", "00"), ("01", "01"), ("02", "00"), ("ff", "01")] {
            let trace =
                Traces::new().follow(&headers(&[("traceparent", &format!("00-{TRACE}-{SPAN}-{flags}"))]));
            assert!(trace.traceparent().to_str().unwrap().ends_with(&format!("-{expected}")), "{flags}");
        }
    }

    #[test]
    fn new_ids_do_not_repeat() {
        let traces = Traces::new();
        let ids: std::collections::HashSet<String> = (0..1000)
            .map(|_| traces.follow(&HeaderMap::new()).traceparent().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| parse_parent(id).is_some()));
    }

    fn check_state(fields: &[&str], expected: Option<&str>) {
        let valid = format!("00-{TRACE}-{SPAN}-01");
        let mut all = vec![("traceparent", valid.as_str())];
        all.extend(fields.iter().map(|field| ("tracestate", *field)));
        let trace = Traces::new().follow(&headers(&all));
        assert_eq!(trace.tracestate().map(|state| state.to_str().unwrap()), expected, "{fields:?}");
    }

    #[test]
    fn a_valid_tracestate_is_kept_in_order() {
        check_state(&["a=1"], Some("a=1"));
        check_state(&["b=1 , ,\ta=2,", "t@c=x y"], Some("b=1,a=2,t@c=x y"));
        check_state(&["0t/*-_@sys=!~"], Some("0t/*-_@sys=!~"));
    }

    #[test]
    fn an_invalid_tracestate_is_dropped_as_a_whole() {
        for member in [
            "a", "=1", "a=", "A=1", "1=1", "a b=1", "a=1=2", "a@=1", "@a=1", "a@1=1", "a@b@c=1", "a=\u{e9}",
            "a=1,a=2",
        ] {
            check_state(&["b=1", member], None);
        }
        check_state(&[], None);
        check_state(&[" , "], None);
        check_state(&[&format!("{}=1", "a".repeat(257))], None);
        check_state(&[&format!("a=1,b={}", "1".repeat(257))], None);
    }

    #[test]
    fn a_tracestate_beyond_its_limits_is_dropped() {
        let members = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
        check_state(&[&members(32)], Some(&members(32)));
        check_state(&[&members(33)], None);
        let fits = format!("a={},b={}", "1".repeat(252), "2".repeat(255));
        assert_eq!(fits.len(), 512);
        check_state(&[&fits], Some(&fits));
        check_state(&[&format!("{fits}3")], None);
    }

    #[test]
    fn without_a_parent_there_is_no_state() {
        let trace = Traces::new().follow(&headers(&[("tracestate", "a=1")]));
        assert!(trace.tracestate().is_none());
    }

    #[test]
    fn the_next_hop_gets_ours_only() {
        let mut headers = headers(&[("traceparent", "x"), ("traceparent", "y"), ("tracestate", "a=1")]);
        let trace = Traces::new().follow(&headers);
        trace.write(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["traceparent"], trace.traceparent());
    }

    proptest! {
        #[test]
        fn what_goes_out_is_always_valid(parent in "[0-9a-f-]{0,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", state in "[ -~]{0,80}") {
            let trace = Traces::new().follow(&headers(&[("traceparent", &parent), ("tracestate", &state)]));
            let out = parse_parent(trace.traceparent().to_str().unwrap()).unwrap();
            prop_assert_eq!((out.trace, out.span), (trace.trace_id(), trace.span_id()));
            if let Some(expected) = parse_parent(&parent) {
                prop_assert_eq!(out.trace, expected.trace);
            }
            if let Some(state) = trace.tracestate() {
                prop_assert!(state.len() <= STATE_BYTES_MAX);
            }
        }
    }
}
