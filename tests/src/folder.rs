//! The files one gateway reads, in a temporary folder: the sample's, and what a test changes in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::write_private;
use crate::repository;

/// A folder with `gateway.yaml`, `policies/`, `contracts/` and `certs/`.
#[derive(Debug)]
pub struct Folder {
    root: TempDir,
    settings: Mutex<Value>,
}

impl Folder {
    /// Copies the sample retailer's policies and contracts, and writes `settings` as `gateway.yaml`.
    #[must_use]
    pub fn new(settings: Value) -> Self {
        let root =
            tempfile::Builder::new().prefix("gateway-").tempdir().expect("a temporary folder can be made");
        for name in ["policies", "contracts"] {
            copy(&repository::folder(name), &root.path().join(name));
        }
        fs::create_dir(root.path().join("certs")).expect("a folder can be made");
        let folder = Self { root, settings: Mutex::new(settings) };
        folder.write_settings();
        folder
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A place in the folder.
    #[must_use]
    pub fn join(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Where `gateway.yaml` is.
    #[must_use]
    pub fn settings_file(&self) -> PathBuf {
        self.join("gateway.yaml")
    }

    /// Where the audit log is, as `gateway.yaml` says.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.join(self.value()["audit"]["directory"].as_str().unwrap_or("audit"))
    }

    /// Changes `gateway.yaml`, which is kept as a value and written as JSON (which is YAML).
    pub fn settings(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.value());
        self.write_settings();
    }

    /// Writes a file, in one step as a careful operator does, so that no reload sees half of it. A contract that
    /// is changed here is not the published one, so `gateway.yaml` then says that it is served all the same.
    pub fn write(&self, path: &str, text: &str) {
        self.allow_unpublished(path);
        self.write_strictly(path, text);
    }

    /// The same of a contract that is to be published, or to be refused.
    pub fn write_strictly(&self, path: &str, text: &str) {
        let (file, next) = (self.join(path), self.join(&format!("{path}.next")));
        fs::create_dir_all(file.parent().expect("a file stands in a folder")).expect("a folder can be made");
        fs::write(&next, text).expect("a file can be written");
        fs::rename(next, file).expect("a file can be replaced");
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(&self, path: &str, text: &str) {
        write_private(&self.join(path), text);
    }

    /// The text of a file.
    #[must_use]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Replaces a text in a file by another; it must be there.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{from}` is not in {path}");
        self.write(path, &text.replace(from, to));
    }

    /// The same of a contract that is to be published, or to be refused.
    pub fn replace_strictly(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "`{from}` is not in {path}");
        self.write_strictly(path, &text.replace(from, to));
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) {
        self.allow_unpublished(path);
        fs::remove_file(self.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// The text of every file below a folder: where something must not be found.
    #[must_use]
    pub fn everything_below(&self, path: &str) -> String {
        let mut text = String::new();
        let mut open = vec![self.join(path)];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    text.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
                }
            }
        }
        text
    }

    fn write_settings(&self) {
        let text = format!("{:#}\n", self.value());
        self.write_strictly("gateway.yaml", &text);
    }

    fn allow_unpublished(&self, path: &str) {
        const SWITCH: &str = "insecure_unpublished_contracts";
        if !path.starts_with("contracts/") || self.value()[SWITCH] == Value::Bool(true) {
            return;
        }
        self.value()[SWITCH] = Value::Bool(true);
        self.write_settings();
    }

    fn value(&self) -> MutexGuard<'_, Value> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.expect("a folder can be listed");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sample_is_copied_and_changed_only_there() {
        let mut folder = Folder::new(json!({"a": 1}));
        folder.replace("policies/limits.yaml", "plans:", "plans: # mine");
        assert!(folder.read("policies/limits.yaml").contains("plans: # mine"));
        let sample = fs::read_to_string(repository::folder("policies").join("limits.yaml")).unwrap();
        assert!(!sample.contains("# mine"));
        folder.settings(|settings| settings["b"] = json!([2]));
        let written: Value = serde_json::from_str(&folder.read("gateway.yaml")).unwrap();
        assert_eq!(written, json!({"a": 1, "b": [2]}));
        assert!(folder.everything_below("policies").contains("# mine"));
        assert!(!folder.join("policies/limits.yaml.next").exists());
    }

    #[test]
    fn a_contract_that_a_test_changes_is_served_unpublished_unless_the_test_is_about_that() {
        let folder = Folder::new(json!({}));
        let contract = "contracts/stock/v1/openapi.yaml";
        folder.replace_strictly(contract, "get:", "get: # mine");
        assert_eq!(folder.read("gateway.yaml"), "{}\n");
        folder.replace(contract, "# mine", "# theirs");
        let written: Value = serde_json::from_str(&folder.read("gateway.yaml")).unwrap();
        assert_eq!(written, json!({"insecure_unpublished_contracts": true}));
    }
}
