//! A YAML or JSON file as it was written: which value stands where?
//!
//! Reads one document into a [`serde_json::Value`] beside a tree of places, so that any mistake found
//! later by JSON Pointer can be shown with its line and column. It knows YAML, not what a file means.

mod breach;
mod json;
mod places;
mod scalar;
pub mod unique;
mod yaml;

use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use places::{Mark, Places};

/// One file, read: its value, and where each part of it stands.
#[derive(Debug, Clone)]
pub struct Document {
    file: Arc<str>,
    text: Arc<str>,
    value: Value,
    places: Places,
}

impl Document {
    /// Reads the file at `path`. In diagnostics it is called `name`.
    ///
    /// # Errors
    /// The file cannot be read, is larger than [`FILE_BYTES_MAX`], is not UTF-8 or not YAML.
    pub fn read(path: &Path, name: &str) -> Result<Self, Diagnostics> {
        let fail = |message: String| Diagnostics::from(Diagnostic::error(Place::file(name), message));
        let size = std::fs::metadata(path).map_err(|e| fail(format!("cannot be read: {}", e.kind())))?.len();
        if size > FILE_BYTES_MAX {
            return Err(fail(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        let text =
            std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read: {}", e.kind())))?;
        Self::parse(name, &text)
    }

    /// Reads `text`, which stands in the file `name`: JSON if that ends in `.json`, YAML otherwise.
    ///
    /// # Errors
    /// The text is not one document of JSON values: bad syntax, a repeated key, an alias bomb,
    /// a tag, nesting deeper than [`DEPTH_MAX`].
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        let (file, text): (Arc<str>, Arc<str>) = (name.into(), text.into());
        let is_json = Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
        match if is_json { json::read(&text) } else { yaml::read(&text) } {
            Ok((value, places)) => Ok(Self { file, text, value, places }),
            Err(mistake) => Err(Diagnostic::error(place(file, text, mistake.at), mistake.message).into()),
        }
    }

    /// The whole value.
    #[must_use]
    pub const fn value(&self) -> &Value {
        &self.value
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's name in diagnostics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.file
    }

    /// Where the value at a JSON Pointer (RFC 6901) stands; the nearest parent that exists, otherwise.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Place {
        self.at(self.places.value(&self.value, pointer))
    }

    /// Where the key of the member at a JSON Pointer stands; the nearest parent that exists, otherwise.
    #[must_use]
    pub fn key_place(&self, pointer: &str) -> Place {
        self.at(self.places.key(&self.value, pointer))
    }

    fn at(&self, mark: Mark) -> Place {
        place(Arc::clone(&self.file), Arc::clone(&self.text), mark)
    }

    /// The document as a `T`, checked against `T`'s JSON Schema first so that all mistakes are told.
    ///
    /// # Errors
    /// Every place where the document is not a `T`: unknown and missing keys, wrong types and forms.
    pub fn to<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Diagnostics> {
        self.part("", &self.value)
    }

    /// The part of the document at `pointer` as a `T`.
    ///
    /// # Errors
    /// As [`Document::to`]; also when nothing stands at the pointer.
    pub fn part_at<T: DeserializeOwned + JsonSchema>(&self, pointer: &str) -> Result<T, Diagnostics> {
        match self.value.pointer(pointer) {
            Some(part) => self.part(pointer, part),
            None => {
                Err(Diagnostic::error(self.place(pointer), format!("nothing stands at `{pointer}`")).into())
            }
        }
    }

    fn part<T: DeserializeOwned + JsonSchema>(&self, base: &str, value: &Value) -> Result<T, Diagnostics> {
        let schema = schemars::schema_for!(T).to_value();
        let mistakes = self.against(base, value, &schema);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        T::deserialize(value).map_err(|e| Diagnostic::error(self.place(base), e.to_string()).into())
    }

    fn against(&self, base: &str, value: &Value, schema: &Value) -> Diagnostics {
        let mut mistakes = Diagnostics::new();
        match jsonschema::draft202012::new(schema) {
            Err(e) => {
                mistakes.push(Diagnostic::error(self.place(base), format!("the form itself is broken: {e}")));
            }
            Ok(validator) => {
                for error in validator.iter_errors(value) {
                    breach::describe(&error, schema, &mut |mistake| {
                        let pointer = format!("{base}{}", mistake.pointer);
                        let place =
                            if mistake.of_key { self.key_place(&pointer) } else { self.place(&pointer) };
                        let told = Diagnostic::error(place, mistake.message);
                        mistakes.push(match mistake.unknown {
                            Some((word, known)) => told.did_you_mean(&word, known.iter().map(String::as_str)),
                            None => told,
                        });
                    });
                }
            }
        }
        mistakes
    }
}

fn place(file: Arc<str>, text: Arc<str>, mark: Mark) -> Place {
    let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    Place::new(file, text, wide(mark.line), wide(mark.column))
}

/// A key as one token of a JSON Pointer (RFC 6901 section 3).
#[must_use]
pub fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The key that a token of a JSON Pointer stands for (RFC 6901 section 4: `~1` is `/`, then `~0` is `~`).
#[must_use]
pub fn untoken(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

/// No file of ours is near this; it bounds what a mistaken path can make the loader read.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Deeper nesting than any real contract has; serde_json itself stops at 128.
pub const DEPTH_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    fn parse(text: &str) -> Document {
        Document::parse("t.yaml", text).unwrap()
    }

    fn refused(text: &str) -> String {
        Document::parse("t.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn values_are_those_of_the_yaml_core_schema() {
        assert_eq!(
            parse("a: 1\nb: [true, no, ~, 1.50, \"1\", 0x10, 1.2.3]\n200: x\n").value(),
            &json!({"a": 1, "b": [true, "no", null, 1.5, "1", 16, "1.2.3"], "200": "x"})
        );
    }

    #[test]
    fn every_value_and_key_has_its_place() {
        let document = parse("a:\n  b:\n    - x\n    - c/d: 1\n");
        assert_eq!(document.place("/a/b/0").to_string(), "t.yaml:3:7");
        assert_eq!(document.key_place("/a/b/1/c~1d").to_string(), "t.yaml:4:7");
        assert_eq!(document.place("/a/b/1/c~1d").to_string(), "t.yaml:4:12");
        assert_eq!(document.place("/a/nothing/there").to_string(), "t.yaml:2:3");
    }

    #[test]
    fn a_repeated_key_is_refused_with_its_place() {
        assert!(refused("a: 1\nb: 2\na: 3\n").starts_with("t.yaml:3:1: error: key `a` is repeated"));
    }

    #[test]
    fn aliases_are_followed_and_bounded() {
        assert_eq!(parse("a: &x {k: 1}\nb: *x\n").value(), &json!({"a": {"k": 1}, "b": {"k": 1}}));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let before = n - 1;
            bomb.push_str(&format!("a{n}: &a{n} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"));
        }
        assert!(refused(&bomb).contains("aliases"));
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        for text in ["a: .nan", "a: !!binary x", "a: !own x", "? [a]\n: b", "a: 1\n---\nb: 2", "<<: {a: 1}"] {
            assert!(Document::parse("t.yaml", text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX + 2), "]".repeat(DEPTH_MAX + 2));
        assert!(refused(&deep).contains("nested deeper"), "{}", refused(&deep));
        // Far beyond, the parser's own bound answers; what matters is that something does.
        assert!(Document::parse("t.yaml", &"[".repeat(50_000)).is_err());
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read to be checked")]
    struct Plan {
        name: String,
        rate: u32,
        #[serde(default)]
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        /// Another company: a documented word becomes a branch of its own in the schema.
        Partner,
        Service,
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_help() {
        let told = parse("nam: x\nrate: fast\nkind: parner\n").to::<Plan>().unwrap_err().to_string();
        assert!(told.contains("t.yaml:1:1: error: unknown key `nam`"), "{told}");
        assert!(told.contains("did you mean `name`?"), "{told}");
        assert!(told.contains("key `name` is missing"), "{told}");
        assert!(told.contains("t.yaml:2:7: error: "), "{told}");
        assert!(told.contains("t.yaml:3:7: error: `parner` is not one of the values known here"), "{told}");
        assert!(told.contains("did you mean `partner`?"), "{told}");
    }

    #[test]
    fn a_document_that_fits_becomes_the_type() {
        let plan: Plan = parse("name: x\nrate: 5\nkind: service\n").to().unwrap();
        assert_eq!((plan.name.as_str(), plan.rate), ("x", 5));
        assert!(matches!(plan.kind, Some(Kind::Service)));
    }
}
