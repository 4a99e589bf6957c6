//! Does a segment of a path fit a segment of a template, and which values are its parameters'?
//!
//! It knows one segment only. Values stay as they were written.

use std::cmp::{Ordering, Reverse};

/// A segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// `orders`
    Literal(String),
    /// `{id}`, `{id}.json`, `{base}...{head}`
    Pattern(Pattern),
}

/// Fixed text with parameters in it. The one that says more about a segment is less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    before: String,
    /// The text behind each parameter. Only behind the last it may be empty.
    behind: Vec<String>,
}

/// How much a pattern says about a segment.
type Rank<'p> = (Reverse<usize>, usize, Reverse<usize>, &'p str, &'p [String]);

impl Pattern {
    /// `behind` is the text behind each parameter; without text between them, two would run into each other.
    pub(super) fn new(before: String, behind: Vec<String>) -> Option<Self> {
        let (_, between) = behind.split_last()?;
        between.iter().all(|text| !text.is_empty()).then_some(Self { before, behind })
    }

    /// The values of the parameters in `segment`.
    ///
    /// None when it does not fit, or fits in more than one way: the upstream might read it in another.
    pub(super) fn values<'p>(&self, segment: &'p str) -> Option<Vec<&'p str>> {
        let (last, between) = self.behind.split_last()?;
        let text = segment.strip_prefix(self.before.as_str())?.strip_suffix(last.as_str())?;
        let values = first_cuts(text, between)?;
        let alone = between.is_empty() || values == last_cuts(text, between)?;
        (alone && values.iter().all(|value| !value.is_empty())).then_some(values)
    }

    /// OpenAPI leaves open which of two templated segments wins. Here it is the one with more fixed text,
    /// then the one with fewer parameters, then the one with more text at its start.
    fn rank(&self) -> Rank<'_> {
        let fixed = self.behind.iter().map(String::len).fold(self.before.len(), usize::saturating_add);
        (Reverse(fixed), self.behind.len(), Reverse(self.before.len()), &self.before, &self.behind)
    }
}

impl Ord for Pattern {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Pattern {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Cuts `text` where each of `between` first stands behind a value of at least one character.
fn first_cuts<'p>(text: &'p str, between: &[String]) -> Option<Vec<&'p str>> {
    let mut values = Vec::with_capacity(between.len().saturating_add(1));
    let mut rest = text;
    for cut in between {
        let first = rest.chars().next()?.len_utf8();
        let at = rest.get(first..)?.find(cut.as_str())?.saturating_add(first);
        values.push(rest.get(..at)?);
        rest = rest.get(at.saturating_add(cut.len())..)?;
    }
    values.push(rest);
    Some(values)
}

/// The same from the end: where each last stands before a value of at least one character.
fn last_cuts<'p>(text: &'p str, between: &[String]) -> Option<Vec<&'p str>> {
    let mut values = Vec::with_capacity(between.len().saturating_add(1));
    let mut rest = text;
    for cut in between.iter().rev() {
        let last = rest.len().checked_sub(rest.chars().next_back()?.len_utf8())?;
        let at = rest.get(..last)?.rfind(cut.as_str())?;
        values.push(rest.get(at.saturating_add(cut.len())..)?);
        rest = rest.get(..at)?;
    }
    values.push(rest);
    values.reverse();
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(before: &str, behind: &[&str]) -> Pattern {
        Pattern::new(before.to_owned(), behind.iter().map(|text| (*text).to_owned()).collect()).unwrap()
    }

    #[test]
    fn values_stand_between_the_fixed_text() {
        for (before, behind, segment, values) in [
            ("", &[""][..], "7", Some(&["7"][..])),
            ("", &[""], "", None),
            ("", &[".json"], "7.json", Some(&["7"])),
            ("", &[".json"], ".json", None),
            ("", &[".json"], "7.json.json", Some(&["7.json"])),
            ("v", &[""], "v2", Some(&["2"])),
            ("v", &["v"], "v", None),
            ("", &["...", ""], "main...topic", Some(&["main", "topic"])),
            ("", &["...", ""], "main..topic", None),
            ("", &["...", ""], "...topic", None),
            ("", &["...", ""], "main...", None),
            // One dot more belongs to one of them, and nobody knows to which.
            ("", &["...", ""], "main....topic", None),
            ("", &["-", ""], "a-b-c", None),
            ("f(a=", &[",b=", ")"], "f(a=1,b=2)", Some(&["1", "2"])),
            ("f(a='", &["')"], "f(a='x')", Some(&["x"])),
            ("", &["x", "x", ""], "axbxc", Some(&["a", "b", "c"])),
        ] {
            let found = pattern(before, behind).values(segment);
            assert_eq!(found.as_deref(), values, "{before} {behind:?} {segment}");
        }
    }

    #[test]
    fn parameters_that_touch_each_other_are_no_pattern() {
        assert_eq!(Pattern::new(String::new(), vec![String::new(), String::new()]), None);
        assert_eq!(Pattern::new("a".to_owned(), vec![]), None);
    }

    #[test]
    fn the_pattern_with_more_fixed_text_comes_first() {
        let mut patterns = [
            pattern("", &[""]),
            pattern("", &["-", ""]),
            pattern("", &["."]),
            pattern("a", &[""]),
            pattern("a", &["bc", ""]),
        ];
        patterns.sort();
        let order = [
            pattern("a", &["bc", ""]),
            pattern("a", &[""]),
            pattern("", &["."]),
            pattern("", &["-", ""]),
            pattern("", &[""]),
        ];
        assert_eq!(patterns, order);
    }

    proptest! {
        #[test]
        fn what_fits_can_be_put_together_again(
            before in "[ab]{0,2}",
            between in proptest::collection::vec("[ab-]{1,2}", 0..3),
            last in "[ab]{0,2}",
            segment in "[ab-]{0,12}",
        ) {
            let behind: Vec<String> = between.into_iter().chain([last]).collect();
            let pattern = Pattern::new(before.clone(), behind.clone()).unwrap();
            if let Some(values) = pattern.values(&segment) {
                let whole = values.iter().zip(&behind).fold(before, |text, (value, behind)| text + value + behind);
                prop_assert_eq!(whole, segment);
            }
        }
    }
}
