//! Where this repository's own folders are, from wherever a test or a program is started.

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package stands in the repository").to_owned()
}

/// A folder at the root of the repository, such as `contracts`.
#[must_use]
pub fn folder(name: &str) -> PathBuf {
    root().join(name)
}
