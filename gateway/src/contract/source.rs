//! What is written in the files of one contract, and what does a `$ref` in them point to?
//!
//! Every file is read once, before anything is resolved, and only from inside the contract's own
//! folder. It knows references and places, not what OpenAPI means by what stands there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use ring::digest;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::json;
use super::percent::{self, Plus};
use crate::diagnostic::{Diagnostic, Diagnostics, Place};
use crate::document::{Document, FILE_BYTES_MAX};

/// The files of one contract. The first is `openapi.yaml`, or the file that was named.
pub(super) struct Source {
    files: Vec<Document>,
    /// Files that were named by something that looks like a reference and cannot be used, and why.
    unusable: BTreeMap<String, String>,
    /// What stands before a file's name in diagnostics.
    prefix: String,
    digest: String,
}

/// A value in one of the files: which file, and the JSON Pointer in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) pointer: String,
}

impl At {
    /// The member `key` of the value here.
    pub(super) fn key(&self, key: &str) -> Self {
        Self { file: self.file, pointer: format!("{}{}", self.pointer, json::token(key)) }
    }

    /// The item `index` of the value here.
    pub(super) fn item(&self, index: usize) -> Self {
        Self { file: self.file, pointer: format!("{}/{index}", self.pointer) }
    }
}

impl Source {
    /// Reads the contract in `folder`, which diagnostics call `name` (`contracts/orders/v2`).
    pub(super) fn read(folder: &Path, name: &str) -> Result<Self, Diagnostics> {
        let whole = |message: &str| Diagnostics::from(Diagnostic::error(Place::file(name), message));
        let present: Vec<&str> = ENTRY_NAMES.into_iter().filter(|file| folder.join(file).exists()).collect();
        let &[entry] = present.as_slice() else {
            return Err(whole(if present.is_empty() {
                "the folder has no `openapi.yaml` or `openapi.json`"
            } else {
                "the folder has both an `openapi.yaml` and an `openapi.json`; one of them is the contract"
            }));
        };
        Self::gather(folder, entry, format!("{name}/"))
    }

    /// Reads the contract at `path`: a folder, or a file with whatever it refers to beside it.
    pub(super) fn open(path: &Path, name: &str) -> Result<Self, Diagnostics> {
        if path.is_dir() {
            return Self::read(path, name);
        }
        let missing =
            || Diagnostics::from(Diagnostic::error(Place::file(name), "there is no such file or folder"));
        let (Some(folder), Some(file)) = (path.parent(), path.file_name().and_then(OsStr::to_str)) else {
            return Err(missing());
        };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if !path.is_file() {
            return Err(missing());
        }
        Self::gather(folder, file, name.strip_suffix(file).unwrap_or_default().to_owned())
    }

    /// Reads the file `entry` in `folder` and all that it refers to.
    fn gather(folder: &Path, entry: &str, prefix: String) -> Result<Self, Diagnostics> {
        let whole = |message: &str| {
            Diagnostics::from(Diagnostic::error(Place::file(&format!("{prefix}{entry}")), message))
        };
        let Ok(root) = folder.canonicalize() else { return Err(whole("the folder cannot be read")) };
        let mut source = Self {
            files: Vec::new(),
            unusable: BTreeMap::new(),
            prefix: prefix.clone(),
            digest: String::new(),
        };
        let mut texts = BTreeMap::new();
        let mut wanted = vec![entry.to_owned()];
        while let Some(file) = wanted.pop() {
            if source.index_of(&file).is_some() || source.unusable.contains_key(&file) {
                continue;
            }
            if source.files.len() >= FILES_MAX {
                return Err(whole("the contract refers to too many files"));
            }
            match read_inside(&root, &file) {
                Ok(text) => {
                    let document = Document::parse(&format!("{}{file}", source.prefix), &text)?;
                    gather_references(document.value(), &file, &mut wanted);
                    source.files.push(document);
                    texts.insert(file, text);
                }
                Err(why) if source.files.is_empty() => return Err(whole(&why)),
                Err(why) => {
                    source.unusable.insert(file, why);
                }
            }
        }
        source.digest = digest_of(&texts);
        Ok(source)
    }

    /// SHA-256 over names and bytes of all files, in hexadecimal.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of all files, relative to the contract's folder.
    pub(super) fn file_names(&self) -> Vec<String> {
        let names = self.files.iter().filter_map(|file| file.name().strip_prefix(&self.prefix));
        names.map(str::to_owned).collect()
    }

    /// The root of `openapi.yaml`.
    pub(super) fn root(&self) -> At {
        At { file: 0, pointer: String::new() }
    }

    /// All files, by their names in the folder, with their texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|file| {
            let name = file.name().strip_prefix(&self.prefix).unwrap_or_else(|| file.name());
            (name, file.text())
        })
    }

    /// All files' values, in the order of [`At::file`].
    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.files.iter().map(Document::value)
    }

    /// What violations call the file: nothing for the main one.
    pub(super) fn short_name(&self, file: usize) -> &str {
        let name = if file == 0 { None } else { self.files.get(file).map(Document::name) };
        name.and_then(|name| name.strip_prefix(&self.prefix)).unwrap_or_default()
    }

    /// What stands at `at`, if anything does.
    pub(super) fn value(&self, at: &At) -> Option<&Value> {
        self.files.get(at.file)?.value().pointer(&at.pointer)
    }

    /// The member `key` of the object at `at`.
    pub(super) fn member(&self, at: &At, key: &str) -> Option<&Value> {
        self.value(at)?.get(key)
    }

    /// Line and column of the value at `at`.
    pub(super) fn place(&self, at: &At) -> Place {
        self.files.get(at.file).map_or_else(|| Place::file(&self.prefix), |file| file.place(&at.pointer))
    }

    /// Line and column of the key at `at`.
    pub(super) fn key_place(&self, at: &At) -> Place {
        self.files.get(at.file).map_or_else(|| Place::file(&self.prefix), |file| file.key_place(&at.pointer))
    }

    /// A mistake at `at`.
    pub(super) fn error(&self, at: &At, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.place(at), message)
    }

    /// Something worth a look at `at`.
    pub(super) fn warning(&self, at: &At, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(self.place(at), message)
    }

    /// The value at `at` as a `T`, checked for unknown and missing keys.
    pub(super) fn part<T: DeserializeOwned + JsonSchema>(&self, at: &At) -> Result<T, Diagnostics> {
        match self.files.get(at.file) {
            Some(file) => file.part_at(&at.pointer),
            None => Err(self.error(at, "nothing stands here").into()),
        }
    }

    /// Where the reference `reference`, written in file `from`, points to.
    pub(super) fn target(&self, from: usize, reference: &str) -> Result<At, String> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let file = if file.is_empty() { from } else { self.other_file(from, file)? };
        // RFC 6901 section 6: the pointer in a fragment is percent-encoded.
        let pointer = percent::decode(fragment, Plus::Literal).map_err(|e| e.to_string())?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!("`{reference}` is not a JSON Pointer; anchors are not supported"));
        }
        let at = At { file, pointer };
        if self.value(&at).is_none() {
            return Err(format!("nothing stands at `{reference}`"));
        }
        Ok(at)
    }

    /// The value at `at`, or what its `$ref` leads to in the end.
    pub(super) fn follow(&self, at: At) -> Result<At, Diagnostic> {
        let mut here = at;
        for _ in 0..REFERENCE_HOPS_MAX {
            let Some(reference) = self.member(&here, "$ref").and_then(Value::as_str) else { return Ok(here) };
            let next = self.target(here.file, reference);
            here = next.map_err(|why| self.error(&here.key("$ref"), why))?;
        }
        Err(self.error(&here, "this reference leads back to itself"))
    }

    fn index_of(&self, file: &str) -> Option<usize> {
        let named = |document: &Document| document.name().strip_prefix(&self.prefix) == Some(file);
        self.files.iter().position(named)
    }

    fn other_file(&self, from: usize, reference: &str) -> Result<usize, String> {
        let from = self.files.get(from).and_then(|f| f.name().strip_prefix(&self.prefix)).unwrap_or_default();
        let file = relative(from, reference)?;
        self.index_of(&file).ok_or_else(|| {
            self.unusable.get(&file).cloned().unwrap_or_else(|| format!("`{file}` was not read"))
        })
    }
}

/// The digest that a contract of these `files` in `folder` would have now; nothing if one cannot be read.
pub(super) fn digest_now(folder: &Path, files: &[String]) -> Option<String> {
    let root = folder.canonicalize().ok()?;
    let entries = ENTRY_NAMES.into_iter().filter(|entry| folder.join(entry).exists());
    // A second entry would not load.
    let texts = files.iter().map(|file| Some((file.clone(), read_inside(&root, file).ok()?)));
    let texts = texts.collect::<Option<BTreeMap<_, _>>>()?;
    (entries.count() == 1).then(|| digest_of(&texts))
}

/// The name, relative to the contract's folder, of the file that `reference` in `from` names.
fn relative(from: &str, reference: &str) -> Result<String, String> {
    let outside = || format!("`{reference}` is not a file inside the contract's own folder");
    // A scheme, an authority, a query, an escape: nothing that could name a place outside.
    if reference.contains([':', '\\', '%', '?']) || reference.starts_with('/') {
        return Err(outside());
    }
    let mut path = Path::new(from).parent().map(Path::to_path_buf).unwrap_or_default();
    for component in Path::new(reference).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    path.to_str().map(str::to_owned).ok_or_else(outside)
}

/// The text of `file` under `root`, which is canonical; symbolic links that lead out are refused.
fn read_inside(root: &Path, file: &str) -> Result<String, String> {
    let cannot = |e: std::io::Error| format!("`{file}` cannot be read: {}", e.kind());
    let path: PathBuf = root.join(file).canonicalize().map_err(cannot)?;
    if !path.starts_with(root) {
        return Err(format!("`{file}` leads out of the contract's folder"));
    }
    let size = std::fs::metadata(&path).map_err(cannot)?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("`{file}` is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(&path).map_err(cannot)
}

/// Adds every other file that `value`, in `file`, may refer to. Examples may look like references
/// too; a file that then does not exist is only missed when something real refers to it.
fn gather_references(value: &Value, file: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let named = reference.split('#').next().filter(|named| !named.is_empty());
                found.extend(named.and_then(|named| relative(file, named).ok()));
            }
            members.values().for_each(|member| gather_references(member, file, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather_references(item, file, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn digest_of(texts: &BTreeMap<String, String>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, text) in texts {
        // Lengths before contents, so that no two sets of files read alike.
        for part in [name, text] {
            context.update(format!("{}\n", part.len()).as_bytes());
            context.update(part.as_bytes());
        }
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

const ENTRY_NAMES: [&str; 2] = ["openapi.yaml", "openapi.json"];
/// A contract is split by hand; more files than this is a mistake.
const FILES_MAX: usize = 256;
/// More than any chain of references that a person would write.
pub(super) const REFERENCE_HOPS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn read(files: &[(&str, &str)]) -> Result<Source, Diagnostics> {
        Source::read(folder(files).path(), "contracts/a/v1")
    }

    #[test]
    fn references_are_followed_through_files() {
        let source = read(&[
            ("openapi.yaml", "a: {$ref: 'schemas/x.yaml#/X'}\n"),
            ("schemas/x.yaml", "X: {$ref: './y.yaml#/a~1b'}\n"),
            ("schemas/y.yaml", "a/b: {type: string}\n"),
        ])
        .unwrap();
        let at = source.follow(source.root().key("a")).unwrap();
        assert_eq!(source.value(&at).unwrap()["type"], "string");
        assert_eq!(source.short_name(at.file), "schemas/y.yaml");
        assert_eq!(source.place(&at.key("type")).to_string(), "contracts/a/v1/schemas/y.yaml:1:13");
    }

    #[test]
    fn a_reference_never_leaves_the_folder() {
        for reference in [
            "../b/openapi.yaml#/x",
            "/etc/passwd",
            "https://example.com/x.yaml#/y",
            "//example.com/x.yaml",
            "file:///etc/passwd",
            "a/../../b.yaml",
            "%2e%2e/b.yaml",
            "..\\b.yaml",
            "missing.yaml#/x",
            "#/nothing/here",
            "#anchor",
            "#/%zz",
        ] {
            let source = read(&[("openapi.yaml", &format!("a: {{$ref: '{reference}'}}\n"))]).unwrap();
            let mistake = source.follow(source.root().key("a")).unwrap_err();
            assert_eq!(mistake.place().unwrap().line(), 1, "{reference}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_out_of_the_folder_is_refused() {
        let outside = folder(&[("secret.yaml", "x: 1")]);
        let inside = folder(&[("openapi.yaml", "a: {$ref: 'link.yaml#/x'}\n")]);
        std::os::unix::fs::symlink(outside.path().join("secret.yaml"), inside.path().join("link.yaml"))
            .unwrap();
        let source = Source::read(inside.path(), "c").unwrap();
        let mistake = source.follow(source.root().key("a")).unwrap_err();
        assert!(mistake.message().contains("leads out"), "{}", mistake.message());
    }

    #[test]
    fn a_reference_to_itself_is_a_mistake() {
        let source = read(&[("openapi.yaml", "a: {$ref: '#/b'}\nb: {$ref: '#/a'}\n")]).unwrap();
        assert!(source.follow(source.root().key("a")).unwrap_err().message().contains("itself"));
    }

    #[test]
    fn one_folder_holds_one_contract() {
        assert!(read(&[]).is_err());
        assert!(read(&[("openapi.yaml", "a: 1"), ("openapi.json", "{}")]).is_err());
        assert!(read(&[("openapi.json", "{\"a\": 1}")]).is_ok());
    }

    #[test]
    fn the_digest_depends_on_every_file_and_name() {
        let digest = |files: &[(&str, &str)]| read(files).unwrap().digest().to_owned();
        let one = digest(&[("openapi.yaml", "a: {$ref: 'x.yaml'}"), ("x.yaml", "b: 1")]);
        assert_eq!(one.len(), 64);
        assert_eq!(
            one,
            digest(&[("openapi.yaml", "a: {$ref: 'x.yaml'}"), ("x.yaml", "b: 1"), ("notes.md", "")])
        );
        assert_ne!(one, digest(&[("openapi.yaml", "a: {$ref: 'x.yaml'}"), ("x.yaml", "b: 2")]));
        assert_ne!(one, digest(&[("openapi.yaml", "a: {$ref: 'y.yaml'}"), ("y.yaml", "b: 1")]));
    }
}
