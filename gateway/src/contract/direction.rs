//! Which properties may a message that goes one way not carry? `readOnly` and `writeOnly`.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::source::{At, REFERENCE_HOPS_MAX, Source};

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Direction {
    /// The property mark that keeps a property out of messages that go this way.
    pub(super) const fn hiding(self) -> &'static str {
        match self {
            Self::Request => "readOnly",
            Self::Response => "writeOnly",
        }
    }

    /// Whether the property whose schema stands at `property` is kept out.
    pub(super) fn hides(self, source: &Source, property: &At) -> bool {
        let mut here = Some(property.clone());
        for _ in 0..REFERENCE_HOPS_MAX {
            let Some(at) = here else { return false };
            if source.member(&at, self.hiding()) == Some(&Value::Bool(true)) {
                return true;
            }
            here = referred(source, &at);
        }
        false
    }

    /// The properties of the object that the schema at `at` describes which are kept out.
    pub(super) fn hidden_names(self, source: &Source, at: &At) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.gather(source, at, 0, &mut names);
        names
    }

    fn gather(self, source: &Source, at: &At, depth: usize, names: &mut BTreeSet<String>) {
        if depth > COMPOSITION_DEPTH_MAX {
            return;
        }
        // What stands beside a reference describes the same object as what it leads to.
        if let Some(referred) = referred(source, at) {
            self.gather(source, &referred, depth.saturating_add(1), names);
        }
        let place = at.key("properties");
        let properties = source.value(&place).and_then(Value::as_object).into_iter().flat_map(Map::keys);
        names.extend(properties.filter(|name| self.hides(source, &place.key(name))).cloned());
        let parts = source.member(at, "allOf").and_then(Value::as_array).map_or(0, Vec::len);
        for n in 0..parts {
            self.gather(source, &at.key("allOf").item(n), depth.saturating_add(1), names);
        }
    }
}

/// Where the `$ref` of the schema at `at` leads.
fn referred(source: &Source, at: &At) -> Option<At> {
    let reference = source.member(at, "$ref")?.as_str()?;
    source.target(at.file, reference).ok()
}

/// Deeper chains of `allOf` and references than people write.
const COMPOSITION_DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_through_references_and_compositions() {
        let text = "
Id: {type: integer, readOnly: true}
Base: {properties: {id: {$ref: '#/Id'}, made: {type: string, readOnly: true}, secret: {writeOnly: true}}}
s: {allOf: [{$ref: '#/Base'}, {properties: {total: {readOnly: true}, note: {readOnly: false}, odd: {readOnly: 'yes'}}}]}
loop: {allOf: [{$ref: '#/loop'}]}
beside: {$ref: '#/Base', properties: {total: {readOnly: true}}}
";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openapi.yaml"), text).unwrap();
        let source = Source::read(folder.path(), "c").unwrap();
        let names = |direction: Direction, schema: &str| {
            let names = direction.hidden_names(&source, &source.root().key(schema));
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(Direction::Request, "s"), "id made total");
        assert_eq!(names(Direction::Response, "s"), "secret");
        assert_eq!(names(Direction::Request, "loop"), "");
        assert_eq!(names(Direction::Request, "beside"), "id made total");
    }
}
