//! How does a file come to be whole on disk, or not at all?

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may read a file that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// The gateway's own user only: names, certificates, what is sealed.
    Owner,
    /// Whoever the process lets: what stands under version control anyway.
    Anybody,
}

/// Puts `bytes` into the file at `path`: whoever reads it sees the old ones or the new, also after a crash.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let next = beside(path, "next")?;
    write_synced(&next, bytes, readers)?;
    fs::rename(&next, path)?;
    sync_folder_of(path)
}

/// Writes a file that is on disk when this returns, its name aside.
pub(crate) fn write_synced(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    if readers == Readers::Owner {
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A rename is on disk when the folder that names the file is.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// A hidden name beside `path`, which nobody who lists the folder takes for one.
pub(crate) fn beside(path: &Path, ending: &str) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other(format!("{} has no name", path.display())))?;
    Ok(path.with_file_name(format!(".{}.{ending}", name.trim_start_matches('.'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_for_whom_it_is_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().unwrap();
        let (own, open) = (root.path().join("own"), root.path().join("open"));
        for text in ["one", "two"] {
            replace(&own, text.as_bytes(), Readers::Owner).unwrap();
            replace(&open, text.as_bytes(), Readers::Anybody).unwrap();
            for file in [&own, &open] {
                assert_eq!(fs::read_to_string(file).unwrap(), text);
            }
        }
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }
}
