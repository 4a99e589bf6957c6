//! What does a path template say? OpenAPI 3.1.1 section 4.8.2.
//!
//! A template that no request could reach, or that could be read in two ways, is refused.

use super::segment::{Pattern, Segment};
use crate::contract::target::{Target, TargetError};

/// A path template: `/orders/{id}/lines/{line}.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::contract) struct Template {
    text: String,
    segments: Vec<Segment>,
    names: Vec<String>,
}

/// Why a template cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::contract) enum TemplateError {
    #[error("a path begins with `/`")]
    NoSlash,
    #[error("braces must come in pairs around a name")]
    Braces,
    #[error("nothing stands between two parameters, so where one ends and the next begins is unclear")]
    Touching,
    #[error("the parameter `{0}` stands twice in the path")]
    Repeated(String),
    #[error("the path cannot be requested: {0}")]
    Unreachable(TargetError),
    #[error("the path holds `;`, at which some servers would cut it off")]
    Semicolon,
    #[error("the path holds a query, which belongs in `parameters`")]
    Query,
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooDeep,
}

impl Template {
    pub(in crate::contract) fn parse(text: &str) -> Result<Self, TemplateError> {
        let written = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        let (mut segments, mut sample, mut names) = (Vec::new(), String::new(), Vec::new());
        for segment in written.split('/') {
            sample.push('/');
            segments.push(read(segment, &mut sample, &mut names)?);
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(TemplateError::TooDeep);
        }
        if sample.contains(';') {
            return Err(TemplateError::Semicolon);
        }
        if sample.contains('?') {
            return Err(TemplateError::Query);
        }
        Target::from_origin_form(&sample).map_err(TemplateError::Unreachable)?;
        Ok(Self { text: text.to_owned(), segments, names })
    }

    /// As it is written in the contract.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its parameters, in their order.
    pub(in crate::contract) fn names(&self) -> &[String] {
        &self.names
    }
}

/// Reads one segment; `sample` becomes a path that it would fit.
fn read(segment: &str, sample: &mut String, names: &mut Vec<String>) -> Result<Segment, TemplateError> {
    let mut parts = segment.split('{');
    let before = parts.next().unwrap_or_default();
    let mut behind = Vec::new();
    sample.push_str(before);
    for part in parts {
        let (name, text) = part.split_once('}').ok_or(TemplateError::Braces)?;
        if name.is_empty() {
            return Err(TemplateError::Braces);
        }
        if names.iter().any(|own| own == name) {
            return Err(TemplateError::Repeated(name.to_owned()));
        }
        names.push(name.to_owned());
        sample.push('x');
        sample.push_str(text);
        behind.push(text.to_owned());
    }
    if before.contains('}') || behind.iter().any(|text| text.contains('}')) {
        return Err(TemplateError::Braces);
    }
    if behind.is_empty() {
        return Ok(Segment::Literal(before.to_owned()));
    }
    Pattern::new(before.to_owned(), behind).map(Segment::Pattern).ok_or(TemplateError::Touching)
}

/// Microsoft Graph, with the deepest paths of the public contracts, has 15. It bounds the search of a path.
const SEGMENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn templates_are_read_with_their_names() {
        for (text, segments, names) in [
            ("/", 1, &[][..]),
            ("/a/{b}", 2, &["b"]),
            ("/a/{b-c}/x/{d e}.json", 4, &["b-c", "d e"]),
            ("/a/{b}:search", 2, &["b"]),
            ("/a/{b}...{c}", 2, &["b", "c"]),
            ("/a/f(b={b},c='{c}')", 2, &["b", "c"]),
            ("/a/", 2, &[]),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!((template.segments.len(), template.text()), (segments, text));
            assert_eq!(template.names, names, "{text}");
        }
    }

    #[test]
    fn templates_that_cannot_be_served_are_refused() {
        use TemplateError::*;
        for (text, wrong) in [
            ("a", NoSlash),
            ("/{a}{b}", Touching),
            ("/{a", Braces),
            ("/a}", Braces),
            ("/{}", Braces),
            ("/{a/b}", Braces),
            ("/{a{b}}", Braces),
            ("/{a}}", Braces),
            ("/{a}/x/{a}", Repeated("a".to_owned())),
            ("/{a}-{a}", Repeated("a".to_owned())),
            ("/a;b", Semicolon),
            ("/a?b=c", Query),
            ("/a/../b", Unreachable(TargetError::DotSegment)),
            ("/a//b", Unreachable(TargetError::EmptySegment)),
            ("/é", Unreachable(TargetError::Character)),
            ("/a b", Unreachable(TargetError::Character)),
            ("/a#b", Unreachable(TargetError::Fragment)),
            (&"/a".repeat(65), TooDeep),
        ] {
            assert_eq!(Template::parse(text), Err(wrong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "/[ab{}/.;:%~?-]{0,16}") {
            let Ok(template) = Template::parse(&text) else { return Ok(()) };
            prop_assert_eq!(template.names.len(), text.matches('{').count());
            prop_assert_eq!(template.segments.len(), text.matches('/').count());
        }
    }
}
