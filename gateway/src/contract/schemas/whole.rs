//! A contract whose keywords look through references is compiled with every reference followed by the validator.
//!
//! Each file is known by its name, with the parts in it rewritten in place, and each schema with an `$id` by
//! that too. What several operations refer to is compiled for each of them: such contracts are small.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonschema::{PatternCache, Registry};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::cores::on_all_cores;
use super::super::direction::Direction;
use super::super::schema;
use super::super::source::{At, Source};
use super::Schemas;
use super::compile::PARTS_FOR_A_THREAD;
use super::part::Compiled;

impl Schemas<'_> {
    /// Compiles the parts that operations ask for, each with all that it refers to.
    pub(super) fn compile_whole(&mut self) {
        for direction in [Direction::Request, Direction::Response] {
            self.compile_direction(direction);
        }
    }

    fn compile_direction(&mut self, direction: Direction) {
        let asked: Vec<usize> = self
            .found
            .iter()
            .enumerate()
            .filter(|(_, found)| found.direction == direction && found.asked)
            .map(|(number, _)| number)
            .collect();
        if asked.is_empty() {
            return;
        }
        let files = self.rewritten_files(direction);
        let identified = self.identified(direction);
        let registry = match registry(self, &files, &identified) {
            Ok(registry) => registry,
            Err(why) => {
                let at = self.source.root();
                let told = format!("the schemas cannot be brought together: {why}");
                self.mistakes.push(self.source.error(&at, told));
                return;
            }
        };
        let (next, patterns, this) = (AtomicUsize::new(0), PatternCache::new(), &*self);
        let work = || {
            let options = this.options(&patterns).with_registry(&registry);
            let mut broken = Vec::new();
            loop {
                let number = asked.get(next.fetch_add(1, Ordering::Relaxed));
                let Some((number, found)) = number.and_then(|n| Some((*n, this.found.get(*n)?))) else {
                    return broken;
                };
                match options.build(&json!({ "$ref": uri(this.source, &found.at) })) {
                    Ok(validator) => {
                        found.part.is_compiled_as(Compiled { validator, links: Box::default() });
                    }
                    Err(error) => broken.push((number, schema::mistake(&error))),
                }
            }
        };
        let mut broken = on_all_cores(asked.len() >= PARTS_FOR_A_THREAD, work);
        drop(registry);
        broken.sort();
        for (number, why) in broken {
            let told = (0..self.found.len()).filter(|n| self.check_form(*n)).count();
            let at = self.found.get(number).map(|found| found.at.clone());
            if let Some(at) = at.filter(|_| told == 0) {
                self.tell(&at, self.source.error(&at, format!("the schema cannot be enforced: {why}")));
            }
        }
    }

    /// All files, with every part in its place.
    fn rewritten_files(&self, direction: Direction) -> Vec<Value> {
        let mut files: Vec<Value> = self.source.values().cloned().collect();
        let mut parts: Vec<_> = self.found.iter().filter(|found| found.direction == direction).collect();
        // A part inside another stands in it already; it is written last, for what hides properties around
        // it does not where it is referred to.
        parts.sort_by_key(|found| found.at.pointer.len());
        for found in parts {
            let file = files.get_mut(found.at.file);
            if let Some(place) = file.and_then(|file| file.pointer_mut(&found.at.pointer)) {
                place.clone_from(&found.rewritten);
            }
        }
        files
    }

    /// The schemas that have an `$id`, below the root of their file, where the validator would not look. Those
    /// within one of them it finds itself.
    fn identified(&self, direction: Direction) -> Vec<(String, Value)> {
        let parts =
            self.found.iter().filter(|found| found.direction == direction && !found.at.pointer.is_empty());
        let mut identified = Vec::new();
        for found in parts {
            let mut open = vec![&found.rewritten];
            while let Some(value) = open.pop() {
                match value {
                    Value::Object(members) => match members.get("$id").and_then(Value::as_str) {
                        Some(id) => {
                            identified.push((absolute(self.source, found.at.file, id), value.clone()));
                        }
                        None => open.extend(members.values()),
                    },
                    Value::Array(items) => open.extend(items),
                    Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        identified
    }
}

fn registry<'f>(
    schemas: &Schemas<'_>,
    files: &'f [Value],
    identified: &'f [(String, Value)],
) -> Result<Registry<'f>, String> {
    let draft = schemas.dialect.draft();
    let mut registry = Registry::new().draft(draft);
    for (n, file) in files.iter().enumerate() {
        let name = file_uri(schemas.source, n);
        registry = registry.add(name, draft.create_resource_ref(file)).map_err(|e| e.to_string())?;
    }
    for (id, schema) in identified {
        registry = registry.add(id, draft.create_resource_ref(schema)).map_err(|e| e.to_string())?;
    }
    registry.prepare().map_err(|e| e.to_string())
}

/// The name by which the validator knows the value at `at`.
pub(super) fn uri(source: &Source, at: &At) -> String {
    format!("{}#{}", file_uri(source, at.file), utf8_percent_encode(&at.pointer, NOT_IN_FRAGMENT))
}

/// The name by which the validator knows a file: hierarchical, so that file names in it are relative to it.
fn file_uri(source: &Source, file: usize) -> String {
    let name = source.short_name(file);
    let name = if name.is_empty() { MAIN } else { name };
    format!("{BASE}{}", utf8_percent_encode(name, NOT_IN_FRAGMENT))
}

/// Where each schema with an `$id` stands that is not within another one.
pub(super) fn identified(source: &Source) -> HashMap<String, At> {
    let mut all = HashMap::new();
    for (file, root) in source.values().enumerate() {
        let mut open = vec![(At { file, pointer: String::new() }, root)];
        while let Some((at, value)) = open.pop() {
            match value {
                Value::Object(members) => match members.get("$id").and_then(Value::as_str) {
                    Some(id) => {
                        all.insert(absolute(source, file, id), at);
                    }
                    None => open.extend(members.iter().map(|(key, value)| (at.key(key), value))),
                },
                Value::Array(items) => {
                    open.extend(items.iter().enumerate().map(|(n, value)| (at.item(n), value)));
                }
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
    all
}

/// The `$id` or reference `id`, written in `file`, in full.
pub(super) fn absolute(source: &Source, file: usize, id: &str) -> String {
    if id.contains(':') {
        return id.to_owned();
    }
    let name = file_uri(source, file);
    let folder = name.rsplit_once('/').map_or(BASE, |(folder, _)| folder);
    format!("{}/{id}", folder.trim_end_matches('/'))
}

/// The file and pointer that a name of the validator means, if it is that of a file.
pub(in super::super) fn named_file<'n>(names: &[Box<str>], uri: &'n str) -> Option<(usize, &'n str)> {
    let (file, fragment) = uri.split_once('#').unwrap_or((uri, ""));
    let name = file.strip_prefix(BASE)?;
    let of =
        |own: &str| utf8_percent_encode(if own.is_empty() { MAIN } else { own }, NOT_IN_FRAGMENT).to_string();
    Some((names.iter().position(|own| of(own) == name)?, fragment))
}

/// The schema in `file` that has the anchor in `#anchor`, outside of every schema with an `$id`.
pub(in crate::contract) fn anchored(source: &Source, file: usize, reference: &str) -> Option<At> {
    let anchor =
        reference.strip_prefix('#').filter(|anchor| !anchor.is_empty() && !anchor.starts_with('/'))?;
    let mut open = vec![At { file, pointer: String::new() }];
    while let Some(at) = open.pop() {
        match source.value(&at)? {
            Value::Object(members) => {
                let is = |word: &str| members.get(word).and_then(Value::as_str) == Some(anchor);
                if is("$anchor") || is("$dynamicAnchor") {
                    return Some(at);
                }
                // Values that a schema lists are not schemas; a property may have such a name.
                let names_schemas = at.pointer.rsplit('/').next().is_some_and(|last| NAMING.contains(&last));
                let inside = members.iter().filter(|(key, value)| {
                    (value.is_object() || value.is_array())
                        && value.get("$id").is_none()
                        && (names_schemas || !LISTING.contains(&key.as_str()))
                });
                open.extend(inside.map(|(key, _)| at.key(key)));
            }
            Value::Array(items) => open.extend((0..items.len()).map(|n| at.item(n))),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    None
}

/// Whether a reference may name a schema by its `$id`, rather than a place in the contract's folder.
pub(super) fn may_be_identifier(reference: &str) -> bool {
    !reference.starts_with('#')
}

/// Keywords that map names to schemas.
const NAMING: [&str; 6] =
    ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties", "schemas"];
/// Keywords that hold values, whatever they look like.
const LISTING: [&str; 5] = ["const", "default", "enum", "example", "examples"];
/// Where the files of a contract are, as far as the validator knows. It fetches nothing.
const BASE: &str = "https://contract.invalid/";
const MAIN: &str = "openapi.yaml";
/// RFC 3986 section 3.5: what a fragment cannot hold as it is, and `%` itself.
const NOT_IN_FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
