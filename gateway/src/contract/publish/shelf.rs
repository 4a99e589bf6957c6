//! Where are the contracts, as they are now and as they were published?
//!
//! A contract is served from `<root>/<api>/<version>/`. What was published of it is kept, file by file, in
//! `<root>/.published/<api>/<version>/<digest>/`: what a change is compared with, and what a rollback puts
//! back. A copy whose digest is not its name is never used.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::source::Source;
use super::disk;
use super::name::Name;
use crate::diagnostic::{Diagnostic, Diagnostics, Place};

/// The folder of all contracts.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
}

impl Shelf {
    /// The contracts in `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder of all contracts.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that the contract is served from.
    #[must_use]
    pub fn folder(&self, name: &Name) -> PathBuf {
        self.root.join(name.api()).join(name.version())
    }

    /// What the folder is called in diagnostics.
    #[must_use]
    pub fn shown(&self, name: &Name) -> String {
        let root = self.root.file_name().and_then(|name| name.to_str()).unwrap_or("contracts");
        format!("{root}/{name}")
    }

    /// The contract as its files are now.
    pub(super) fn source(&self, name: &Name) -> Result<Source, Diagnostics> {
        Source::read(&self.folder(name), &self.shown(name))
    }

    /// Every contract that has a folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<BTreeSet<Name>, Diagnostics> {
        let mut names = BTreeSet::new();
        for api in folders(&self.root)? {
            for version in folders(&self.root.join(&api))? {
                names.insert(Name::new(&api, &version));
            }
        }
        Ok(names)
    }

    /// The contract as it was published with this digest.
    pub(super) fn published(&self, name: &Name, digest: &str) -> Result<Source, Diagnostics> {
        let folder = self.archive(name, digest);
        let shown = format!("{}/{digest}", self.shown(name));
        let source = Source::read(&folder, &shown).map_err(|mut mistakes| {
            let told = format!("the published files of `{name}` are not in {}", folder.display());
            mistakes.push(Diagnostic::error(Place::file(&shown), told).help(ARCHIVE_HELP));
            mistakes
        })?;
        if source.digest() == digest {
            return Ok(source);
        }
        let told =
            format!("the published files of `{name}` were changed: their digest is {}", source.digest());
        Err(Diagnostic::error(Place::file(&folder.display().to_string()), told).help(ARCHIVE_HELP).into())
    }

    /// Keeps a copy of what is published.
    pub(super) fn keep(&self, name: &Name, source: &Source) -> io::Result<()> {
        if self.published(name, source.digest()).is_ok() {
            return Ok(());
        }
        let folder = self.archive(name, source.digest());
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        disk::replace_folder(&folder, source.texts())
    }

    /// Puts the files of `wanted` where the contract is served from, in the place of those of `now`. Files that
    /// no contract refers to, such as notes, stay.
    pub(super) fn put_back(&self, name: &Name, wanted: &Source, now: Option<&Source>) -> io::Result<()> {
        let folder = self.folder(name);
        let old: BTreeSet<&str> = now.into_iter().flat_map(Source::texts).map(|(file, _)| file).collect();
        let mut files: Vec<(String, String)> =
            wanted.texts().map(|(file, text)| (file.to_owned(), text.to_owned())).collect();
        for file in files_below(&folder)? {
            let is_text = !has_ending_of_contracts(&file);
            let replaced = old.contains(file.as_str()) || files.iter().any(|(own, _)| *own == file);
            // Of a contract that cannot be read, whatever may be a part of it goes.
            if !replaced && (now.is_some() || is_text) {
                let text = fs::read_to_string(folder.join(&file))?;
                files.push((file, text));
            }
        }
        if let Some(parent) = folder.parent() {
            fs::create_dir_all(parent)?;
        }
        disk::replace_folder(&folder, files.iter().map(|(file, text)| (file.as_str(), text.as_str())))
    }

    fn archive(&self, name: &Name, digest: &str) -> PathBuf {
        self.root.join(ARCHIVE).join(name.api()).join(name.version()).join(digest)
    }
}

/// The names of the folders in `folder`, without hidden ones.
fn folders(folder: &Path) -> Result<Vec<String>, Diagnostics> {
    let fail = |fault: io::Error| {
        let told = format!("cannot be read: {}", fault.kind());
        Diagnostics::from(Diagnostic::error(Place::file(&folder.display().to_string()), told))
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.path().is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Every file in `folder` and below, by its name in it.
fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![String::new()];
    while let Some(within) = open.pop() {
        let entries = match fs::read_dir(folder.join(&within)) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let name = if within.is_empty() { name } else { format!("{within}/{name}") };
            if entry.file_type()?.is_dir() { open.push(name) } else { files.push(name) }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn has_ending_of_contracts(file: &str) -> bool {
    let ending = Path::new(file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].contains(&ending)
}

/// Hidden, so that the loader of contracts does not take it for an API.
const ARCHIVE: &str = ".published";
const ARCHIVE_HELP: &str =
    "restore the folder `.published` from version control: it belongs to `published.lock`";
