//! How much of a path and query may stand in a record?
//!
//! Compiled once for each operation from what its contract says: only what the contract declares, and
//! does not call personal, is shown. It knows names of parameters, not contracts.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// A path and query without personal values: visible ASCII on one line. Only a [`Redaction`] and the
/// reading of a record make one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Redacted(String);

impl Redacted {
    /// The text to show.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What may be told of a request for which no operation was found: the beginning of the path, and
    /// the names of the query parameters.
    #[must_use]
    pub fn unmatched(path: &str, query: &str) -> Self {
        let mut out = String::new();
        push_visible(&mut out, path, UNMATCHED_CHARS_MAX);
        push_query(&mut out, query, |_name| Treatment::Undeclared);
        Self(out)
    }
}

/// What is hidden in the targets of one operation.
#[derive(Debug, Clone)]
pub struct Redaction {
    template: Vec<Segment>,
    query: BTreeMap<Box<str>, Treatment>,
}

/// One segment of a path template.
#[derive(Debug, Clone)]
enum Segment {
    Literal(Box<str>),
    Shown,
    /// With what stands in its place.
    Personal(Box<str>),
}

#[derive(Debug, Clone, Copy)]
enum Treatment {
    Shown,
    Personal,
    Undeclared,
}

impl Redaction {
    /// The redaction of an operation: its path `template` (with or without the base path of its
    /// contract), the names of its declared `query` parameters, and the names of those parameters, of
    /// path or query, that are `personal`.
    #[must_use]
    pub fn new<'a>(
        template: &str,
        query: impl IntoIterator<Item = &'a str>,
        personal: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let personal: Vec<&str> = personal.into_iter().collect();
        let treatment = |name: &str| {
            if personal.contains(&name) { Treatment::Personal } else { Treatment::Shown }
        };
        let declared = query.into_iter().map(|name| (name.into(), treatment(name)));
        // A personal parameter that is not among the declared ones is hidden as well.
        let hidden = personal.iter().map(|name| ((*name).into(), Treatment::Personal));
        let segments = template.trim_start_matches('/').split('/');
        Self {
            template: segments.map(|segment| Segment::of(segment, treatment)).collect(),
            query: declared.chain(hidden).collect(),
        }
    }

    /// What may be told of a target of this operation: `path` and raw `query` as they were received.
    #[must_use]
    pub fn redact(&self, path: &str, query: &str) -> Redacted {
        // The template stands at the end of the path; a contract's base path may come before it.
        let segments: Vec<&str> = path.split('/').collect();
        let aligned = segments.len().checked_sub(self.template.len());
        let Some((base, tail)) = aligned.and_then(|at| segments.split_at_checked(at)) else {
            return Redacted::unmatched(path, query);
        };
        if !self.template.iter().zip(tail).all(|(segment, text)| segment.fits(text)) {
            return Redacted::unmatched(path, query);
        }
        let mut out = String::new();
        push_visible(&mut out, &base.join("/"), TARGET_CHARS_MAX);
        for (segment, text) in self.template.iter().zip(tail) {
            out.push('/');
            match segment {
                Segment::Literal(_) | Segment::Shown => push_visible(&mut out, text, TARGET_CHARS_MAX),
                Segment::Personal(instead) => out.push_str(instead),
            }
        }
        push_query(&mut out, query, |name| self.treatment(name));
        Redacted(out)
    }

    fn treatment(&self, name: &str) -> Treatment {
        // A style such as deepObject writes `filter[city]` for the parameter `filter`.
        let parameter = name.split('[').next().unwrap_or(name);
        let known = self.query.get(name).or_else(|| self.query.get(parameter));
        known.copied().unwrap_or(Treatment::Undeclared)
    }
}

impl Segment {
    fn of(segment: &str, treatment: impl Fn(&str) -> Treatment) -> Self {
        let parameter = segment
            .split_once('{')
            .and_then(|(before, rest)| rest.split_once('}').map(|(name, after)| (before, name, after)));
        let Some((before, name, after)) = parameter else {
            return Self::Literal(segment.into());
        };
        match treatment(name) {
            Treatment::Shown => Self::Shown,
            Treatment::Personal | Treatment::Undeclared => {
                Self::Personal(format!("{before}{PERSONAL}{after}").into())
            }
        }
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Literal(literal) => literal.as_ref() == text,
            Self::Shown | Self::Personal(_) => true,
        }
    }
}

fn push_query(out: &mut String, query: &str, treatment: impl Fn(&str) -> Treatment) {
    if query.is_empty() {
        return;
    }
    for (n, pair) in query.split('&').enumerate() {
        out.push(if n == 0 { '?' } else { '&' });
        if out.len() > TARGET_CHARS_MAX {
            out.push_str(CUT);
            return;
        }
        // A word without `=` may be a value as well as a name.
        let Some((name, value)) = pair.split_once('=') else {
            out.push_str(DROPPED);
            continue;
        };
        // A name may be written with percent-encoding; it is the same parameter then.
        let spaced = name.replace('+', " ");
        push_visible(out, name, NAME_CHARS_MAX);
        out.push('=');
        match treatment(&percent_decode_str(&spaced).decode_utf8_lossy()) {
            Treatment::Shown => push_visible(out, value, VALUE_CHARS_MAX),
            Treatment::Personal => out.push_str(PERSONAL),
            Treatment::Undeclared => out.push_str(DROPPED),
        }
    }
}

/// Adds `text` with all that is not visible ASCII percent-encoded, so that no terminal and no reader
/// of the log takes part of it for a command.
fn push_visible(out: &mut String, text: &str, chars_max: usize) {
    for (n, byte) in text.bytes().enumerate() {
        if n == chars_max {
            out.push_str(CUT);
            return;
        }
        match byte {
            b'!'..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(percent_encoding::percent_encode_byte(byte)),
        }
    }
}

/// Stands for the value of a parameter that the contract calls personal.
const PERSONAL: &str = "[personal]";
/// Stands for a value of which the contract says nothing.
const DROPPED: &str = "[dropped]";
/// Stands for the rest of something too long.
const CUT: &str = "[cut]";
/// How much is kept of a path nobody declared: enough to see what was tried, too little to fill a disk.
const UNMATCHED_CHARS_MAX: usize = 128;
/// How much is kept of a declared path, and the length after which no further query parameter is told.
const TARGET_CHARS_MAX: usize = 2048;
/// How much is kept of the name of a query parameter.
const NAME_CHARS_MAX: usize = 64;
/// How much is kept of a declared value: ids, dates and codes are shorter.
const VALUE_CHARS_MAX: usize = 256;

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a test that panics has told what it had to tell"
)]
mod tests {
    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(
            "/customers/{email}/orders/{order}",
            ["page", "phone", "filter", "a b"],
            ["email", "phone"],
        )
    }

    #[test]
    fn only_what_is_declared_and_not_personal_is_shown() {
        let check = |path: &str, query: &str, expected: &str| {
            assert_eq!(redaction().redact(path, query).as_str(), expected);
        };
        check("/customers/ann@x.example/orders/7", "", "/customers/[personal]/orders/7");
        check("/shop/v2/customers/ann/orders/7", "", "/shop/v2/customers/[personal]/orders/7");
        check("/customers/a/orders/7", "page=2", "/customers/[personal]/orders/7?page=2");
        check("/customers/a/orders/7", "phone=%2B49", "/customers/[personal]/orders/7?phone=[personal]");
        check("/customers/a/orders/7", "%70hone=49", "/customers/[personal]/orders/7?%70hone=[personal]");
        check("/customers/a/orders/7", "emial=ann", "/customers/[personal]/orders/7?emial=[dropped]");
        check("/customers/a/orders/7", "email=ann", "/customers/[personal]/orders/7?email=[personal]");
        check("/customers/a/orders/7", "ann@x.example", "/customers/[personal]/orders/7?[dropped]");
        check("/customers/a/orders/7", "filter[city]=Ulm", "/customers/[personal]/orders/7?filter[city]=Ulm");
        check(
            "/customers/a/orders/7",
            "phone[0]=1&page=",
            "/customers/[personal]/orders/7?phone[0]=[personal]&page=",
        );
        check("/customers/a/orders/7", "a+b=1", "/customers/[personal]/orders/7?a+b=1");
        check("/customers/a/orders/7", "page=1=2", "/customers/[personal]/orders/7?page=1=2");
    }

    #[test]
    fn a_path_that_is_not_of_the_template_is_treated_as_unmatched() {
        let check = |path: &str, expected: &str| {
            assert_eq!(redaction().redact(path, "phone=1&page=2").as_str(), expected);
        };
        check("/orders/7", "/orders/7?phone=[dropped]&page=[dropped]");
        check("/clients/a/orders/7", "/clients/a/orders/7?phone=[dropped]&page=[dropped]");
        check("", "?phone=[dropped]&page=[dropped]");
    }

    #[test]
    fn what_stands_around_a_personal_parameter_in_its_segment_stays() {
        let redaction = Redaction::new("/cards/{number}.json", [], ["number"]);
        assert_eq!(redaction.redact("/cards/4111.json", "").as_str(), "/cards/[personal].json");
        let redaction = Redaction::new("/res.partner:search", [], []);
        assert_eq!(redaction.redact("/res.partner:search", "").as_str(), "/res.partner:search");
    }

    #[test]
    fn an_unmatched_target_is_cut_and_has_no_values() {
        let long = format!("/{}", "x".repeat(1000));
        let shown = Redacted::unmatched(&long, "a=secret&b");
        assert_eq!(shown.as_str(), format!("/{}[cut]?a=[dropped]&[dropped]", "x".repeat(127)));
    }

    #[test]
    fn control_and_other_unseen_characters_are_written_in_percent_encoding() {
        let shown = Redacted::unmatched("/a\u{1b}[2J\n\u{202e}ü b", "");
        assert_eq!(shown.as_str(), "/a%1B[2J%0A%E2%80%AE%C3%BC%20b");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn any_target_gives_short_visible_text(path in "\\PC{0,80}", query in "(.|\n|&|=){0,600}") {
            for shown in [redaction().redact(&path, &query), Redacted::unmatched(&path, &query)] {
                proptest::prop_assert!(shown.as_str().bytes().all(|b| b.is_ascii_graphic()));
                proptest::prop_assert!(shown.as_str().len() < 4 * TARGET_CHARS_MAX);
            }
        }

        #[test]
        fn a_personal_value_never_shows(secret in "[a-z0-9]{12}", other in "[a-z]{0,5}") {
            let path = format!("/{other}/customers/{secret}/orders/1");
            let query = format!("{other}={secret}&phone={secret}&{secret}");
            let shown = redaction().redact(&path, &query);
            proptest::prop_assume!(other != "page");
            proptest::prop_assert!(!shown.as_str().contains(&secret), "{}", shown.as_str());
        }
    }
}
