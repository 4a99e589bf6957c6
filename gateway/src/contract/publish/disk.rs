//! How does a file or a folder come to be whole on disk, or not at all?

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Puts `text` into the file at `path`: whoever reads it sees the old text or the new one, also after a crash.
pub(super) fn replace_file(path: &Path, text: &str) -> io::Result<()> {
    let next = beside(path, "next")?;
    write_synced(&next, text)?;
    fs::rename(&next, path)?;
    sync_folder_of(path)
}

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
        write_synced(&file, text)?;
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

fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A rename is on disk when the folder that names the file is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// A hidden name beside `path`, which no reader of contracts takes for one.
fn beside(path: &Path, ending: &str) -> io::Result<std::path::PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other(format!("{} has no name", path.display())))?;
    Ok(path.with_file_name(format!(".{}.{ending}", name.trim_start_matches('.'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_a_folder_are_replaced_and_leave_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let (file, folder) = (root.path().join("a.lock"), root.path().join("v1"));
        for text in ["one", "two"] {
            replace_file(&file, text).unwrap();
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
