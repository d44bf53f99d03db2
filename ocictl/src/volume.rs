//! Volumes: directories that outlive containers.
//!
//! ```text
//! ROOT/volumes/NAME/volume.json     labels, when it was made, whether somebody named it
//! ROOT/volumes/NAME/_data/          the content
//! ROOT/volumes/NAME/lock            held by whoever fills or removes it
//! ROOT/volumes/.RANDOM/             one that is being made or removed, with its lock held
//! ```
//!
//! A volume appears and vanishes by one rename; what a killed process leaves aside is told by its lock, which nobody holds.

use crate::error::{Context, Error, Result};
use crate::store::lock::{self, Lock};
use crate::store::{Store, disk};
use crate::time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

const MAX_RECORD: u64 = 1 << 20;
const SWEEP_LOCK: &str = ".lock";

/// What is written down of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Labels: for people and filters.
    pub labels: BTreeMap<String, String>,
    /// What is mounted in the place of the directory: `type`, `device` and `o` as for mount(8); nothing for the directory itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// When it was made, in nanoseconds since 1970.
    pub created: u64,
    /// Whether nobody named it.
    pub anonymous: bool,
    /// Whether a container has had it.
    pub used: bool,
}

/// A volume.
#[derive(Debug, Clone)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What is written down of it.
    pub record: Record,
    directory: PathBuf,
}

impl Volume {
    /// Where its content is.
    pub fn data(&self) -> PathBuf {
        self.directory.join("_data")
    }

    /// The lock that whoever fills or removes it holds.
    ///
    /// # Errors
    /// Fails if the volume is not there any more.
    pub fn lock(&self) -> Result<Lock> {
        Lock::wait(&self.directory.join("lock"))
    }

    /// Puts a directory that was filled aside in the place of the content, which is empty, and notes that the volume is used.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn settle(&mut self, filled: Option<&std::path::Path>) -> Result<()> {
        if let Some(filled) = filled {
            std::fs::rename(filled, self.data()).context(|| format!("fill volume {}", self.name))?;
        }
        self.record.used = true;
        write(&self.directory, &self.record)
    }

    /// A fresh directory beside the content, to fill.
    ///
    /// # Errors
    /// Fails if it cannot be made.
    pub fn aside(&self) -> Result<PathBuf> {
        let aside = self.directory.join("filling");
        disk::remove_tree(&aside)?;
        disk::make_directory(&aside)?;
        Ok(aside)
    }
}

/// The volumes of a store.
#[derive(Debug)]
pub struct Volumes {
    folder: PathBuf,
}

impl Volumes {
    /// Opens them.
    ///
    /// # Errors
    /// Fails if the directory cannot be made.
    pub fn open(store: &Store) -> Result<Self> {
        let folder = store.root().join("volumes");
        if std::fs::symlink_metadata(&folder).is_err() {
            disk::make_directory(&folder)?;
        }
        Ok(Self { folder })
    }

    /// Held while something new is laid aside, and while that is swept.
    fn lock(&self) -> Result<Lock> {
        Lock::wait(&self.folder.join(SWEEP_LOCK))
    }

    /// A volume; nothing if there is none.
    ///
    /// # Errors
    /// Fails if its record cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Volume>> {
        let directory = self.folder.join(name);
        let Some(bytes) = disk::read_small(&directory.join("volume.json"), MAX_RECORD)? else {
            return Ok(None);
        };
        // A power failure may have left an empty file; the content is what counts.
        let record = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Some(Volume { name: name.into(), record, directory }))
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// Fails if one cannot be read.
    pub fn list(&self) -> Result<Vec<Volume>> {
        let mut names = disk::names(&self.folder)?;
        names.sort();
        let mut list = Vec::new();
        for name in names {
            list.extend(self.get(&name)?);
        }
        Ok(list)
    }

    /// Makes a volume; `None` if one of that name is there.
    ///
    /// # Errors
    /// Fails if it cannot be written.
    pub fn create(
        &self,
        name: &str,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
        anonymous: bool,
    ) -> Result<Option<Volume>> {
        let place = || format!("volume {name}");
        if self.get(name)?.is_some() {
            return Ok(None);
        }
        let aside = self.folder.join(format!(".{}", disk::random()));
        let record = Record { labels, options, created: time::now(), anonymous, used: false };
        let guard = {
            let _no_sweep_between = self.lock()?;
            disk::make_directory(&aside).context(place)?;
            Lock::wait(&aside.join("lock"))
        };
        let made = guard.and_then(|_until_it_is_there| {
            disk::make_directory(&aside.join("_data"))?;
            // Whoever the container's program runs as has to get in.
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(aside.join("_data"), mode)?;
            write(&aside, &record)?;
            match std::fs::rename(&aside, self.folder.join(name)) {
                Ok(()) => Ok(true),
                // Somebody else was quicker: a directory that is not empty is never replaced.
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {
                    Ok(false)
                }
                Err(error) => Err(error.into()),
            }
        });
        if !matches!(made, Ok(true)) {
            disk::remove_tree(&aside)?;
        }
        match made.context(place)? {
            true => Ok(Some(Volume { name: name.into(), record, directory: self.folder.join(name) })),
            false => Ok(None),
        }
    }

    /// The volume of that name, made if it is not there.
    ///
    /// # Errors
    /// As [`Volumes::create`].
    pub fn ensure(&self, name: &str, anonymous: bool) -> Result<Volume> {
        match self.create(name, BTreeMap::new(), BTreeMap::new(), anonymous)? {
            Some(volume) => Ok(volume),
            None => self
                .get(name)?
                .ok_or_else(|| Error::new("it was removed in this moment").context(format!("volume {name}"))),
        }
    }

    /// Removes a volume that nobody uses; of several who try, one does it.
    ///
    /// # Errors
    /// Fails if something cannot be removed.
    pub fn remove(&self, volume: &Volume) -> Result<()> {
        let aside = self.folder.join(format!(".{}", disk::random()));
        let _guard = Lock::attempt(&volume.directory.join("lock"));
        match std::fs::rename(&volume.directory, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).context(|| format!("volume {}", volume.name)),
            Ok(()) => disk::remove_tree(&aside),
        }
    }

    /// Takes away what killed processes have left.
    ///
    /// # Errors
    /// Fails if something cannot be removed.
    pub fn sweep(&self) -> Result<usize> {
        let _guard = self.lock()?;
        let mut swept = 0;
        for entry in std::fs::read_dir(&self.folder).context(|| format!("list {}", self.folder.display()))? {
            let entry = entry?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") || entry.file_name() == SWEEP_LOCK {
                continue;
            }
            let lock = entry.path().join("lock");
            let is_held =
                std::fs::symlink_metadata(&lock).is_ok() && matches!(lock::is_held(&lock), Ok(true));
            if !is_held {
                disk::remove_tree(&entry.path())?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

fn write(directory: &std::path::Path, record: &Record) -> Result<()> {
    let bytes = serde_json::to_vec(record).map_err(|error| Error::new(error.to_string()))?;
    disk::write_whole(directory, "volume.json", &bytes)
}
