//! How do bytes get into the files of the log?
//!
//! Every write and sync of the log goes through here, so that tests can take the room away.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::segment::torn_path;

/// The disk, as far as the log writes to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    faults: std::sync::Arc<faults::Faults>,
}

impl Disk {
    /// Writes all of `bytes` at the end of `file`. A part may have been written when it fails.
    pub(super) fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let write = |bytes: &[u8]| (&*file).write_all(bytes);
        #[cfg(test)]
        self.faults.admit(bytes, write)?;
        write(bytes)
    }

    /// Writes all of `bytes` to `file` at a place of its own.
    pub(super) fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let write = |bytes: &[u8]| file.write_all_at(bytes, offset);
        #[cfg(test)]
        self.faults.admit(bytes, write)?;
        write(bytes)
    }

    /// Returns when what was written to `file` is on the disk.
    pub(super) fn sync(&self, file: &File) -> io::Result<()> {
        #[cfg(test)]
        self.faults.admit_sync()?;
        file.sync_data()
    }
}

/// Makes the directory of a log, if need be, and returns whether others than owner and group may write there.
pub(super) fn make_directory(directory: &Path) -> io::Result<Exposure> {
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    let mode = std::fs::metadata(directory)?.permissions().mode();
    Ok(if mode & OTHERS_WRITE == 0 { Exposure::Closed } else { Exposure::WritableByAll })
}

/// Who may write in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    Closed,
    WritableByAll,
}

/// Opens a file to read it and to write at its end, making it if need be.
pub(super) fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)
}

/// Opens a file to read it and to write at any place of it, making it if need be.
pub(super) fn open_to_write(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path)
}

/// Cuts `file` at `offset`. What stood behind is kept in a file of its own: nothing is destroyed.
/// Returns how many bytes that were.
pub(super) fn cut(file: &File, path: &Path, offset: u64) -> io::Result<u64> {
    let mut from = file;
    from.seek(SeekFrom::Start(offset))?;
    let mut kept = open_to_append(&torn_path(path, offset))?;
    let bytes = io::copy(&mut from, &mut kept)?;
    kept.sync_all()?;
    file.set_len(offset)?;
    Ok(bytes)
}

/// Makes the names in a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Only the gateway's user enters the directory.
const DIRECTORY_MODE: u32 = 0o700;
/// Only the gateway's user reads and writes the files.
const FILE_MODE: u32 = 0o600;
/// The permission bit that lets everybody write.
const OTHERS_WRITE: u32 = 0o002;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test counts without fear")]
pub(super) mod faults {
    use super::*;
    use std::sync::Mutex;

    /// What is to go wrong.
    #[derive(Debug, Default)]
    pub(in crate::audit) struct Faults(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        room: Option<usize>,
        syncs_fail: bool,
        syncs: usize,
        writes: usize,
    }

    impl Disk {
        /// From now on only this many bytes can be written.
        pub(in crate::audit) fn leave_room(&self, bytes: usize) {
            self.faults.0.lock().unwrap().room = Some(bytes);
        }

        /// From now on all can be written and synced.
        pub(in crate::audit) fn repair(&self) {
            let mut state = self.faults.0.lock().unwrap();
            state.room = None;
            state.syncs_fail = false;
        }

        /// From now on no sync succeeds.
        pub(in crate::audit) fn fail_syncs(&self) {
            self.faults.0.lock().unwrap().syncs_fail = true;
        }

        /// How many syncs there were.
        pub(in crate::audit) fn syncs(&self) -> usize {
            self.faults.0.lock().unwrap().syncs
        }

        /// How many writes there were.
        pub(in crate::audit) fn writes(&self) -> usize {
            self.faults.0.lock().unwrap().writes
        }
    }

    impl Faults {
        /// Fails, after a part was written, when there is no room for all.
        pub(super) fn admit(&self, bytes: &[u8], write: impl Fn(&[u8]) -> io::Result<()>) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.writes += 1;
            let Some(room) = &mut state.room else { return Ok(()) };
            if bytes.len() <= *room {
                *room -= bytes.len();
                return Ok(());
            }
            let part = std::mem::take(room);
            write(&bytes[..part])?;
            Err(io::ErrorKind::StorageFull.into())
        }

        pub(super) fn admit_sync(&self) -> io::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.syncs += 1;
            if state.syncs_fail { Err(io::Error::other("no sync")) } else { Ok(()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_away_is_kept_beside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "whole\ntorn").unwrap();
        assert_eq!(cut(&open_to_append(&path).unwrap(), &path, 6).unwrap(), 4);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
        assert_eq!(std::fs::read_to_string(torn_path(&path, 6)).unwrap(), "torn");
        // Torn at the same place once more: both are kept.
        std::fs::write(&path, "whole\nagain").unwrap();
        assert_eq!(cut(&open_to_append(&path).unwrap(), &path, 6).unwrap(), 5);
        assert_eq!(std::fs::read_to_string(torn_path(&path, 6)).unwrap(), "tornagain");
    }

    #[test]
    fn lines_go_to_the_end_and_hashes_to_their_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let disk = Disk::default();
        let end = open_to_append(&path).unwrap();
        disk.append(&end, b"one\n").unwrap();
        disk.append(&open_to_append(&path).unwrap(), b"two\n").unwrap();
        disk.append(&end, b"three\n").unwrap();
        disk.write_at(&open_to_write(&path).unwrap(), b"TWO", 4).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nTWO\nthree\n");
    }

    #[test]
    fn only_writing_by_everybody_exposes_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let check = |mode: u32, expected: Exposure| {
            std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(make_directory(directory.path()).unwrap(), expected, "{mode:o}");
        };
        check(0o700, Exposure::Closed);
        check(0o770, Exposure::Closed);
        check(0o755, Exposure::Closed);
        check(0o777, Exposure::WritableByAll);
        check(0o1777, Exposure::WritableByAll);
    }
}
