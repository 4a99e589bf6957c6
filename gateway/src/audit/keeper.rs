//! How does a signed checkpoint get into its file, whole or not at all?

use std::fs::File;
use std::path::{Path, PathBuf};

use super::checkpoint::Checkpoint;
use super::disk::{self, Disk};
use super::error::AuditError;
use super::journal::lock_file;
use super::segment::Part;

/// Writes checkpoints, for one thread.
#[derive(Debug)]
pub(super) struct Keeper {
    directory: PathBuf,
    disk: Disk,
    /// A handle of its own: a lock belongs to a handle, and each thread that writes has another.
    lock: File,
}

impl Keeper {
    pub(super) fn new(directory: &Path, disk: Disk) -> Result<Self, AuditError> {
        Ok(Self { directory: directory.to_owned(), disk, lock: lock_file(directory)? })
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Keeps a checkpoint with the segment that begins at `first`, and has it on the disk.
    pub(super) fn keep(&self, checkpoint: &Checkpoint, first: u64) -> Result<(), AuditError> {
        let file = disk::open_to_append(&Part::Checkpoints.path(&self.directory, first))?;
        let note = format!("{}\n", checkpoint.note());
        self.lock.lock()?;
        let before = file.metadata()?.len();
        let written = self.disk.append(&file, note.as_bytes()).or_else(|error| {
            file.set_len(before)?;
            Err(error)
        });
        self.lock.unlock()?;
        written?;
        self.disk.sync(&file)?;
        Ok(())
    }
}
