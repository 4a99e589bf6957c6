//! How does a folder come to be whole on disk, or not at all?

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::disk::{Readers, beside, sync_folder_of, write_synced};

/// Makes the folder at `path` hold exactly `files`, names relative to it. What stood there goes.
pub(super) fn replace_folder<'f>(
    path: &Path,
    files: impl IntoIterator<Item = (&'f str, &'f str)>,
) -> io::Result<()> {
    let (next, before) = (beside(path, "next")?, beside(path, "before")?);
    remove(&next)?;
    for (name, text) in files {
        let file = next.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        write_synced(&file, text.as_bytes(), Readers::Anybody)?;
    }
    remove(&before)?;
    match fs::rename(path, &before) {
        Ok(()) => {}
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
        Err(fault) => return Err(fault),
    }
    fs::rename(&next, path)?;
    sync_folder_of(path)?;
    remove(&before)
}

/// Removes a folder, if it is there.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps everybody else from publishing into `root` until the value is dropped.
pub(super) fn hold(root: &Path) -> io::Result<File> {
    let folder = File::open(root)?;
    folder.lock()?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;

    #[test]
    fn a_folder_is_replaced_beside_a_file_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("a.lock"), root.path().join("v1"));
        for text in ["one", "two"] {
            disk::replace(&file, text.as_bytes(), Readers::Anybody).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        replace_folder(&folder, [("x.yaml", "1"), ("schemas/y.yaml", "2")]).unwrap();
        replace_folder(&folder, [("schemas/y.yaml", "3")]).unwrap();
        assert!(!folder.join("x.yaml").exists());
        assert_eq!(fs::read_to_string(folder.join("schemas/y.yaml")).unwrap(), "3");
        let mut left: Vec<_> =
            fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a.lock", "v1"]);
    }
}
