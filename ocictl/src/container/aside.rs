//! What killed processes have left: containers that are half made or half removed, and names of none.

use super::record::read_record;
use super::{Containers, VOLUMES_TOO, pin_key, remove};
use crate::error::{Context, Result};
use crate::store::disk;
use crate::store::lock::{self, Lock};

impl Containers<'_> {
    /// Takes away what killed processes have left aside.
    ///
    /// # Errors
    /// Fails if something cannot be removed.
    pub fn sweep(&self) -> Result<usize> {
        let _guard = Lock::wait(&self.aside_folder().join(".lock"))?;
        let swept = self.sweep_aside()?;
        // Names whose makers died before they had a container.
        for name in disk::names(&self.names_folder())? {
            let owner = std::fs::read_link(self.names_folder().join(&name)).unwrap_or_default();
            let owner = owner.to_string_lossy();
            if !self.is_there(&owner) {
                self.unclaim(&name, &owner)?;
            }
        }
        Ok(swept)
    }

    /// What cannot go, since something is mounted in it or it is immutable, must not keep others from working: `system check` tells
    /// of it.
    pub(super) fn sweep_if_possible(&self) {
        let _told_by_check = self.sweep_aside();
    }

    /// Containers that are half made or half removed, and nobody alive is at it.
    ///
    /// # Errors
    /// Fails if the directory cannot be read.
    pub fn left_aside(&self) -> Result<Vec<String>> {
        let _nobody_begins_meanwhile = Lock::wait(&self.aside_folder().join(".lock"))?;
        self.aside_of_nobody()
    }

    /// Directories without a record: of containers that a power failure came over.
    ///
    /// # Errors
    /// Fails if they cannot be listed.
    pub fn without_record(&self) -> Result<Vec<String>> {
        let mut ids = self.ids()?;
        ids.retain(|id| {
            let directory = self.folder().join(id);
            matches!(read_record(&directory), Ok(None))
                && !matches!(lock::is_held(&directory.join("monitor")), Ok(true))
                && std::fs::symlink_metadata(directory).is_ok()
        });
        Ok(ids)
    }

    /// Puts one of [`Containers::without_record`] aside, from where [`Containers::sweep`] takes it away.
    ///
    /// # Errors
    /// Fails if it cannot be moved.
    pub fn put_aside(&self, id: &str) -> Result<()> {
        std::fs::rename(self.folder().join(id), self.aside_folder().join(id))
            .context(|| format!("container {id}"))
    }

    fn aside_of_nobody(&self) -> Result<Vec<String>> {
        let mut ids = disk::names(&self.aside_folder())?;
        ids.retain(|id| {
            let lock = self.aside_folder().join(id).join("lock");
            std::fs::symlink_metadata(&lock).is_err() || !matches!(lock::is_held(&lock), Ok(true))
        });
        Ok(ids)
    }

    fn sweep_aside(&self) -> Result<usize> {
        let mut swept = 0;
        let mut failed = None;
        for id in self.aside_of_nobody()? {
            match self.sweep_one(&id) {
                Ok(()) => swept += 1,
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(swept), Err)
    }

    fn sweep_one(&self, id: &str) -> Result<()> {
        let aside = self.aside_folder().join(id);
        if let Some(record) = read_record(&aside)? {
            self.unclaim(&record.name, id)?;
            self.unpin(&record)?;
            if std::fs::symlink_metadata(aside.join(VOLUMES_TOO)).is_ok() {
                remove::unnamed_volumes(self, &record)?;
            }
        }
        self.store.unpin(&pin_key(id))?;
        disk::remove_tree(&aside)
    }
}
