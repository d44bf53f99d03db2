//! What is being made: a directory of its own for each command that brings content, held by a lock, so that others can tell the
//! living from the dead; and a list of what the command relies on until an image refers to it.

use super::lock::Lock;
use super::{Store, disk};
use crate::digest::Digest;
use crate::error::{Context, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A place for content in the making. Dropping it takes away what was not moved to its final place.
#[derive(Debug)]
pub struct Ingest {
    directory: PathBuf,
    _alive: Lock,
}

/// The references of an ingest, one digest a line.
pub(super) const KEPT: &str = "kept";
/// The lock of an ingest.
pub(super) const ALIVE: &str = "lock";

impl Store {
    /// Begins to make something.
    ///
    /// # Errors
    /// Fails if the directory cannot be made.
    pub fn ingest(&self) -> Result<Ingest> {
        // Under the store's lock, so that nobody takes the directory for one of the dead before its lock is held.
        let _guard = self.lock()?;
        let directory = self.folder("ingest").join(disk::random());
        disk::make_directory(&directory)?;
        let alive = Lock::wait(&directory.join(ALIVE))?;
        Ok(Ingest { directory, _alive: alive })
    }

    /// The lock of the store, for a moment: whoever adds or removes references takes it.
    ///
    /// # Errors
    /// Fails if the lock's file cannot be opened.
    pub fn lock(&self) -> Result<Lock> {
        Lock::wait(&self.root.join(super::LOCK))
    }

    /// Keeps blobs and layers from being collected as long as `ingest` lives; call it before asking whether they are there.
    ///
    /// # Errors
    /// Fails if the list cannot be written.
    pub fn keep(&self, ingest: &Ingest, digests: &[Digest]) -> Result<()> {
        let _guard = self.lock()?;
        let lines: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        let path = ingest.directory.join(KEPT);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(lines.as_bytes()))
            .context(|| format!("note what is needed in {}", path.display()))
    }
}

impl Ingest {
    /// The directory to write to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        // What cannot be removed now is found by the next collection.
        let _best_effort = disk::remove_tree(&self.directory);
    }
}
