//! Which operation does a path below a contract's base path mean?
//!
//! The most specific template wins. It does not know other contracts.

use std::sync::Arc;

use http::Method;
use matchit::{InsertError, Router};

use super::operation::Operation;
use super::parameter::{Form, PathValue, Place};
use super::percent::{self, Plus};
use super::style::Style;
use super::target::Target;

/// A path template: `/orders/{id}/lines/{line}.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    /// With its parameters numbered, so that their names may be anything.
    route: String,
    names: Vec<String>,
}

/// Why a template cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("a path begins with `/`")]
    NoSlash,
    #[error("braces must come in pairs around a name")]
    Braces,
    #[error("a segment holds more than one parameter, so where one ends and the next begins is unclear")]
    SeveralInSegment,
    #[error("the parameter `{0}` stands twice in the path")]
    Repeated(String),
    #[error("the path cannot be requested: {0}")]
    Unreachable(super::target::TargetError),
    #[error("the path holds `;`, at which some servers would cut it off")]
    Semicolon,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        let segments = text.strip_prefix('/').ok_or(TemplateError::NoSlash)?;
        let (mut route, mut sample, mut names) = (String::new(), String::new(), Vec::new());
        for segment in segments.split('/') {
            route.push('/');
            sample.push('/');
            let Some((before, rest)) = segment.split_once('{') else {
                if segment.contains('}') {
                    return Err(TemplateError::Braces);
                }
                route.push_str(segment);
                sample.push_str(segment);
                continue;
            };
            let (name, after) = rest.split_once('}').ok_or(TemplateError::Braces)?;
            if after.contains('{') {
                return Err(TemplateError::SeveralInSegment);
            }
            if name.is_empty() || name.contains('{') || [before, after].iter().any(|part| part.contains('}'))
            {
                return Err(TemplateError::Braces);
            }
            if names.iter().any(|own| own == name) {
                return Err(TemplateError::Repeated(name.to_owned()));
            }
            route.push_str(&format!("{before}{{p{}}}{after}", names.len()));
            sample.push_str(&format!("{before}x{after}"));
            names.push(name.to_owned());
        }
        if sample.contains(';') {
            return Err(TemplateError::Semicolon);
        }
        Target::from_origin_form(&sample).map_err(TemplateError::Unreachable)?;
        Ok(Self { route, names })
    }

    /// The names of its parameters, in their order.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

/// The templates of one contract.
#[derive(Default)]
pub(super) struct Routes {
    router: Router<Resource>,
}

/// What stands at one template.
struct Resource {
    names: Vec<Arc<str>>,
    served: Vec<Served>,
    allow: Vec<Method>,
}

struct Served {
    operation: Arc<Operation>,
    /// For each path parameter, whether it is written in the matrix style, with semicolons.
    matrix: Vec<bool>,
}

/// What was found at a path.
pub(super) enum Found {
    Operation(Arc<Operation>, Vec<PathValue>),
    OtherMethods(Vec<Method>),
    Nothing,
}

impl Routes {
    /// Adds the operations that stand at `template`, one for each method.
    ///
    /// # Errors
    /// The route of a template that matches the same paths, or another reason.
    pub(super) fn insert(
        &mut self,
        template: &Template,
        operations: Vec<Arc<Operation>>,
    ) -> Result<(), String> {
        let mut allow: Vec<Method> = operations.iter().map(|operation| operation.method.clone()).collect();
        // RFC 9110 section 9.3.2: HEAD is GET without the content.
        if allow.contains(&Method::GET) && !allow.contains(&Method::HEAD) {
            allow.push(Method::HEAD);
        }
        allow.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        let names: Vec<Arc<str>> = template.names.iter().map(|name| name.as_str().into()).collect();
        let served = operations.into_iter().map(|operation| {
            let matrix = names.iter().map(|name| is_matrix(&operation, name)).collect();
            Served { operation, matrix }
        });
        let resource = Resource { served: served.collect(), allow, names: names.clone() };
        self.router.insert(&template.route, resource).map_err(|error| match error {
            InsertError::Conflict { .. } => "another path template matches the same paths".to_owned(),
            other => other.to_string(),
        })
    }

    /// What stands at `path`, which begins with a slash.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.router.at(path) else { return Found::Nothing };
        let resource: &Resource = matched.value;
        let raw: Vec<&str> = matched.params.iter().map(|(_, raw)| raw).collect();
        let Some(served) = resource.serving(method) else {
            // A semicolon that no operation here could mean is a path that does not exist.
            let plain = !raw.iter().any(|raw| raw.contains(';'));
            return if plain { Found::OtherMethods(resource.allow.clone()) } else { Found::Nothing };
        };
        let mut values = Vec::with_capacity(raw.len());
        for ((raw, name), matrix) in raw.into_iter().zip(&resource.names).zip(&served.matrix) {
            // Many servers cut path segments at `;`: only a parameter that is written so may hold one.
            if raw.contains(';') && !matrix {
                return Found::Nothing;
            }
            let Ok(decoded) = percent::decode(raw, Plus::Literal) else { return Found::Nothing };
            values.push(PathValue { name: Arc::clone(name), raw: raw.to_owned(), decoded });
        }
        Found::Operation(Arc::clone(&served.operation), values)
    }
}

impl Resource {
    fn serving(&self, method: &Method) -> Option<&Served> {
        let with = |wanted: &Method| self.served.iter().find(|served| served.operation.method == *wanted);
        with(method).or_else(|| if *method == Method::HEAD { with(&Method::GET) } else { None })
    }
}

fn is_matrix(operation: &Operation, name: &str) -> bool {
    operation.parameters.iter().any(|parameter| {
        parameter.place == Place::Path
            && &*parameter.name == name
            && matches!(parameter.form, Form::Styled { style: Style::Matrix, .. })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn templates_are_read_with_their_names() {
        for (text, route, names) in [
            ("/", "/", &[][..]),
            ("/a/{b}", "/a/{p0}", &["b"]),
            ("/a/{b-c}/x/{d e}.json", "/a/{p0}/x/{p1}.json", &["b-c", "d e"]),
            ("/a/{b}:search", "/a/{p0}:search", &["b"]),
            ("/a/", "/a/", &[]),
        ] {
            let template = Template::parse(text).unwrap();
            assert_eq!(
                (template.route.as_str(), template.names.as_slice()),
                (route, names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>().as_slice()),
                "{text}"
            );
        }
    }

    #[test]
    fn templates_that_cannot_be_served_are_refused() {
        use TemplateError::*;
        for (text, wrong) in [
            ("a", NoSlash),
            ("/{a}-{b}", SeveralInSegment),
            ("/{a}{b}", SeveralInSegment),
            ("/{a", Braces),
            ("/a}", Braces),
            ("/{}", Braces),
            ("/{a/b}", Braces),
            ("/{a}/x/{a}", Repeated("a".to_owned())),
            ("/a;b", Semicolon),
            ("/a/../b", Unreachable(super::super::target::TargetError::DotSegment)),
            ("/a//b", Unreachable(super::super::target::TargetError::EmptySegment)),
            ("/é", Unreachable(super::super::target::TargetError::Character)),
            ("/a b", Unreachable(super::super::target::TargetError::Character)),
        ] {
            assert_eq!(Template::parse(text), Err(wrong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_template_that_is_accepted_can_be_requested(text in "/[ab{}/.;:%~-]{0,16}") {
            let Ok(template) = Template::parse(&text) else { return Ok(()) };
            let mut router = Router::new();
            let opened = text.matches('{').count();
            prop_assert!(template.names.len() <= opened);
            // The router may refuse more, such as a parameter after a prefix it cannot tell apart.
            if router.insert(&template.route, ()).is_ok() {
                let path = template.names.iter().enumerate().fold(template.route.clone(), |path, (n, _)| {
                    path.replace(&format!("{{p{n}}}"), "x")
                });
                prop_assert!(Target::from_origin_form(&path).is_ok(), "{path}");
                prop_assert!(router.at(&path).is_ok(), "{path}");
            }
        }
    }
}
