//! All parts of a contract become validators, on all cores, and hold on to each other.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonschema::paths::Location as SchemaPath;
use jsonschema::{Keyword, PatternCache, ValidationError, Validator};
use serde_json::{Map, Value};

use super::super::cores::on_all_cores;
use super::super::schema;
use super::super::source::At;
use super::part::{Compiled, LINK, Link, Linked};
use super::{Edge, Found, Schemas};

/// Why a part does not compile, and where in it.
type Broken = (usize, At, String);

impl Schemas<'_> {
    /// Compiles each part by itself.
    pub(super) fn compile_parts(&mut self) {
        let links: Arc<[Link]> = self.links().into();
        let options = |patterns: &PatternCache| {
            let links = Arc::clone(&links);
            self.options(patterns)
                .with_keyword(LINK, move |parent, value, path| link(&links, parent, value, path))
        };
        let patterns = PatternCache::new();
        let (next, found, edges) =
            (AtomicUsize::new(0), &self.found, own_edges(&self.edges, self.found.len()));
        let work = || {
            let options = options(&patterns);
            let mut broken: Vec<Broken> = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = found.get(number) else { return broken };
                match options.build(&part.rewritten) {
                    Ok(validator) => {
                        let own = edges.get(number).map_or(&[][..], Vec::as_slice);
                        compiled(part, validator, own, &links);
                    }
                    Err(error) => broken.push((number, inside(part, &error), schema::mistake(&error))),
                }
            }
        };
        let mut broken = on_all_cores(found.len() >= PARTS_FOR_A_THREAD, work);
        broken.sort_by_key(|(number, ..)| *number);
        for (number, at, why) in broken {
            if !self.check_form(number) {
                let told = self.source.error(&at, format!("the schema cannot be enforced: {why}"));
                self.tell(&at, told);
            }
        }
    }

    /// Tells what in a part is not the form that its dialect has. Says whether anything was told.
    pub(super) fn check_form(&mut self, number: usize) -> bool {
        let Some(found) = self.found.get(number) else { return false };
        let meta = self.dialect.meta();
        let wrong: Vec<(At, String)> = meta
            .iter_errors(&found.rewritten)
            .map(|error| {
                let pointer = format!("{}{}", found.at.pointer, error.instance_path().as_str());
                (At { file: found.at.file, pointer }, error.masked().to_string())
            })
            .collect();
        for (at, why) in &wrong {
            self.tell(at, self.source.error(at, format!("not a valid schema: {why}")));
        }
        !wrong.is_empty()
    }

    /// What each reference becomes: strong, unless it leads back to where it comes from.
    fn links(&self) -> Vec<Link> {
        let back = back_edges(&own_edges(&self.edges, self.found.len()), &self.edges);
        let link = |(number, edge): (usize, &Edge)| {
            let part = self.found.get(edge.to).map(|found| &found.part);
            match part {
                Some(part) if !back.contains(&number) => Link::Strong(Arc::clone(part)),
                Some(part) => Link::Weak(Arc::downgrade(part)),
                // Every edge was drawn to a part that had been found.
                None => Link::Weak(std::sync::Weak::new()),
            }
        };
        self.edges.iter().enumerate().map(link).collect()
    }
}

fn compiled(found: &Found, validator: Validator, own: &[usize], links: &[Link]) {
    let links = own.iter().filter_map(|number| Some((*number, links.get(*number)?.clone()))).collect();
    found.part.is_compiled_as(Compiled { validator, links });
}

/// Where in the contract a part is broken.
fn inside(found: &Found, error: &ValidationError<'_>) -> At {
    let pointer = format!("{}{}", found.at.pointer, error.instance_path().as_str());
    At { file: found.at.file, pointer }
}

/// The keyword [`LINK`], with the link that its number means.
fn link<'a>(
    links: &[Link],
    _parent: &'a Map<String, Value>,
    value: &'a Value,
    _path: SchemaPath,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    let link = number.and_then(|number| Some((number, links.get(number)?.clone())));
    match link {
        Some((number, link)) => Ok(Box::new(Linked { number, link })),
        None => Err(ValidationError::custom("a link without its part")),
    }
}

/// The references of each part, in order.
fn own_edges(edges: &[Edge], parts: usize) -> Vec<Vec<usize>> {
    let mut own = vec![Vec::new(); parts];
    for (number, edge) in edges.iter().enumerate() {
        if let Some(own) = own.get_mut(edge.from) {
            own.push(number);
        }
    }
    own
}

/// The references that lead back to a part which the way there began at. Without them no part holds itself.
fn back_edges(own: &[Vec<usize>], edges: &[Edge]) -> HashSet<usize> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Never,
        OnTheWay,
        Left,
    }
    let mut seen = vec![Seen::Never; own.len()];
    let mut back = HashSet::new();
    for start in 0..own.len() {
        let mut way: Vec<(usize, usize)> = vec![(start, 0)];
        if seen.get(start) != Some(&Seen::Never) {
            continue;
        }
        while let Some((part, next)) = way.last_mut() {
            let (here, at) = (*part, *next);
            *next = at.saturating_add(1);
            if at == 0
                && let Some(seen) = seen.get_mut(here)
            {
                *seen = Seen::OnTheWay;
            }
            let Some(number) = own.get(here).and_then(|own| own.get(at)) else {
                if let Some(seen) = seen.get_mut(here) {
                    *seen = Seen::Left;
                }
                way.pop();
                continue;
            };
            let Some(edge) = edges.get(*number) else { continue };
            match seen.get(edge.to) {
                Some(Seen::Never) => way.push((edge.to, 0)),
                Some(Seen::OnTheWay) => {
                    back.insert(*number);
                }
                Some(Seen::Left) | None => {}
            }
        }
    }
    back
}

/// Compiling fewer takes less time than a thread needs to begin.
pub(super) const PARTS_FOR_A_THREAD: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn without_the_references_back_no_part_holds_itself(
            drawn in proptest::collection::vec((0..8_usize, 0..8_usize), 0..24)
        ) {
            let edges: Vec<Edge> = drawn.into_iter().map(|(from, to)| Edge { from, to }).collect();
            let own = own_edges(&edges, 8);
            let back = back_edges(&own, &edges);
            // Taking away, again and again, what refers to nothing ends with nothing.
            let mut left: HashSet<usize> = (0..8).collect();
            while let Some(leaf) = left.iter().copied().find(|part| {
                own[*part].iter().all(|number| back.contains(number) || !left.contains(&edges[*number].to))
            }) {
                left.remove(&leaf);
            }
            prop_assert!(left.is_empty(), "{edges:?} {back:?}");
        }
    }
}
