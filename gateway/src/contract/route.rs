//! Which operation does a path below a contract's base path mean?
//!
//! Templates are a tree of segments. Fixed text is tried before parameters (OpenAPI 3.1.1 section 4.8.8.2),
//! and a parameter with more fixed text around it before one with less. The path alone decides; the method
//! comes after it. It does not know other contracts.

mod segment;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use http::Method;

use self::segment::{Pattern, Segment};
pub(super) use self::template::Template;
use super::operation::Operation;
use super::parameter::{Form, PathValue, Place};
use super::percent::{self, Plus};
use super::style::Style;

/// The templates of one contract.
#[derive(Default)]
pub(super) struct Routes {
    root: Node,
}

/// What comes after some segments.
#[derive(Default)]
struct Node {
    literals: HashMap<String, Node>,
    /// Those that say more about a segment come first.
    patterns: BTreeMap<Pattern, Node>,
    resource: Option<Resource>,
}

/// What stands at one template, or at several that differ in the names of their parameters only.
struct Resource {
    template: String,
    served: Vec<Served>,
    allow: Vec<Method>,
}

struct Served {
    operation: Arc<Operation>,
    names: Vec<Arc<str>>,
    /// For each path parameter, whether it is written in the matrix style, with semicolons.
    matrix: Vec<bool>,
}

/// What was found at a path.
pub(super) enum Found {
    Operation(Arc<Operation>, Vec<PathValue>),
    OtherMethods(Vec<Method>),
    Nothing,
}

/// Another template has the same paths and a method of this one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{template}` matches the same paths with the method {method}")]
pub(super) struct Taken {
    template: String,
    method: Method,
}

impl Routes {
    /// Adds the operations that stand at `template`, one for each method. Gives the other template that has
    /// the same paths, if there is one: two whose parameters have other names are one to a request.
    ///
    /// # Errors
    /// The other template has one of the methods.
    pub(super) fn insert(
        &mut self,
        template: &Template,
        operations: Vec<Arc<Operation>>,
    ) -> Result<Option<String>, Taken> {
        let node = template.segments().iter().fold(&mut self.root, Node::child);
        let beside = node.resource.as_ref().map(|resource| resource.template.clone());
        let resource = node.resource.get_or_insert_with(|| Resource::new(template));
        for operation in operations {
            resource.serve(operation, template)?;
        }
        Ok(beside)
    }

    /// What stands at `path`, which begins with a slash.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        let Some(segments) = path.strip_prefix('/') else { return Found::Nothing };
        let mut raw = Vec::new();
        let Some(resource) = self.root.find(segments.split('/'), &mut raw) else { return Found::Nothing };
        let Some(served) = resource.serving(method) else {
            // A semicolon that no operation here could mean is a path that does not exist.
            let plain = !raw.iter().any(|raw| raw.contains(';'));
            return if plain { Found::OtherMethods(resource.allow.clone()) } else { Found::Nothing };
        };
        let mut values = Vec::with_capacity(raw.len());
        for ((raw, name), matrix) in raw.into_iter().zip(&served.names).zip(&served.matrix) {
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

impl Node {
    /// What comes after `segment` too.
    fn child(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Literal(text) => self.literals.entry(text.clone()).or_default(),
            Segment::Pattern(pattern) => self.patterns.entry(pattern.clone()).or_default(),
        }
    }

    /// The most specific template that `segments` fit, from left to right. Each node is looked at once at most.
    fn find<'n, 'p>(
        &'n self,
        mut segments: std::str::Split<'p, char>,
        values: &mut Vec<&'p str>,
    ) -> Option<&'n Resource> {
        let Some(segment) = segments.next() else { return self.resource.as_ref() };
        if let Some(next) = self.literals.get(segment)
            && let Some(found) = next.find(segments.clone(), values)
        {
            return Some(found);
        }
        let known = values.len();
        for (pattern, next) in &self.patterns {
            if let Some(own) = pattern.values(segment) {
                values.extend(own);
                if let Some(found) = next.find(segments.clone(), values) {
                    return Some(found);
                }
                values.truncate(known);
            }
        }
        None
    }
}

impl Resource {
    fn new(template: &Template) -> Self {
        Self { template: template.text().to_owned(), served: Vec::new(), allow: Vec::new() }
    }

    fn serve(&mut self, operation: Arc<Operation>, template: &Template) -> Result<(), Taken> {
        let method = operation.method.clone();
        if self.served.iter().any(|other| other.operation.method == method) {
            return Err(Taken { template: self.template.clone(), method });
        }
        // RFC 9110 section 9.3.2: HEAD is GET without the content.
        let head = (method == Method::GET).then_some(Method::HEAD);
        self.allow.extend(std::iter::once(method).chain(head));
        self.allow.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        self.allow.dedup();
        let names: Vec<Arc<str>> = template.names().iter().map(|name| name.as_str().into()).collect();
        let matrix = names.iter().map(|name| is_matrix(&operation, name)).collect();
        self.served.push(Served { operation, names, matrix });
        Ok(())
    }

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

    fn routes(templates: &[&str]) -> Result<Routes, Taken> {
        let mut routes = Routes::default();
        for text in templates {
            routes.insert(&Template::parse(text).unwrap(), Vec::new())?;
        }
        Ok(routes)
    }

    /// The template that `path` means, and the values in it.
    fn found<'r, 'p>(routes: &'r Routes, path: &'p str) -> Option<(&'r str, Vec<&'p str>)> {
        let mut values = Vec::new();
        let resource = routes.root.find(path.strip_prefix('/')?.split('/'), &mut values)?;
        Some((resource.template.as_str(), values))
    }

    #[test]
    fn the_most_specific_template_wins_whatever_the_order() {
        let mut templates = [
            "/r/{owner}/{repo}",
            "/r/{owner}/{repo}/compare/{base}...{head}",
            "/r/{owner}/{repo}/compare/{basehead}",
            "/r/mine/{repo}",
            "/r/{owner}/mine",
            "/r/{owner}/{repo}.json",
            "/r/f(a={a})",
            "/r/f(a={a},b={b})",
            "/r/{owner}/{repo}/",
        ];
        for _ in 0..templates.len() {
            templates.rotate_left(1);
            let routes = routes(&templates).unwrap();
            for (path, template, values) in [
                ("/r/a/b", "/r/{owner}/{repo}", &["a", "b"][..]),
                ("/r/a/b/", "/r/{owner}/{repo}/", &["a", "b"]),
                ("/r/mine/b", "/r/mine/{repo}", &["b"]),
                ("/r/mine/mine", "/r/mine/{repo}", &["mine"]),
                ("/r/a/mine", "/r/{owner}/mine", &["a"]),
                ("/r/a/b.json", "/r/{owner}/{repo}.json", &["a", "b"]),
                // What is fixed leads nowhere here, so the parameter is tried.
                ("/r/mine/b/", "/r/{owner}/{repo}/", &["mine", "b"]),
                ("/r/a/b/compare/c...d", "/r/{owner}/{repo}/compare/{base}...{head}", &["a", "b", "c", "d"]),
                ("/r/a/b/compare/c..d", "/r/{owner}/{repo}/compare/{basehead}", &["a", "b", "c..d"]),
                ("/r/f(a=1)", "/r/f(a={a})", &["1"]),
                ("/r/f(a=1,b=2)", "/r/f(a={a},b={b})", &["1", "2"]),
            ] {
                assert_eq!(found(&routes, path), Some((template, values.to_vec())), "{path}");
            }
            for path in ["/", "/r", "/r/a", "/r/a/", "/r/f(b=1)", "/r/a/b/compare", "/R/a/b"] {
                assert_eq!(found(&routes, path), None, "{path}");
            }
        }
    }

    #[test]
    fn a_template_that_differs_in_names_only_is_told() {
        for (one, other) in [("/a/{b}", "/a/{c}"), ("/{a}-{b}/c", "/{x}-{y}/c"), ("/", "/")] {
            let mut routes = routes(&[one]).unwrap();
            let beside = routes.insert(&Template::parse(other).unwrap(), Vec::new());
            assert_eq!(beside, Ok(Some(one.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn a_template_can_be_requested(text in "/[ab{}/.:%~()-]{0,16}") {
            let Ok(template) = Template::parse(&text) else { return Ok(()) };
            let routes = routes(&[&text]).unwrap();
            let path = template.names().iter().fold(text.clone(), |path, name| path.replace(&format!("{{{name}}}"), "x"));
            prop_assert!(super::super::target::Target::from_origin_form(&path).is_ok(), "{path}");
            let values = vec!["x"; template.names().len()];
            prop_assert_eq!(found(&routes, &path), Some((text.as_str(), values)), "{}", path);
        }
    }
}
