//! What is kept on disk, and how it stays whole.
//!
//! ```text
//! ROOT/lock                     taken for a moment by whoever adds or removes references
//! ROOT/blobs/sha256/HEX         manifests, indexes and configurations, by their digests
//! ROOT/layers/HEX/              a layer by its diffID: `layer.json`, and `data` + `index` or `root/`, + `skeleton`
//! ROOT/images/HEX.json          an image by the digest of its configuration: its manifests, its layers
//! ROOT/names/HEX.json           a name, by the sha256 of it, and the image it stands for
//! ROOT/pins/HEX.json            who needs an image though it has no name: containers
//! ROOT/ingest/NAME/             what is being made, with a lock that its maker holds and the references it relies on
//! ROOT/trash/                   what is being removed
//! ```
//!
//! An object is written aside, synced and renamed: at any instant it is there as a whole or not at all. Content comes before what
//! refers to it, and goes after it. What a killed process left in `ingest` and `trash` is taken away by the next collection.
//! There is no global table; a lock is flock(2) on a file and ends with its holder.

pub mod blob;
pub mod check;
pub mod disk;
pub mod gc;
pub mod holes;
pub mod images;
pub mod ingest;
pub mod layer;
pub mod lock;
pub mod mount;
pub mod packed;
pub mod parallel;
pub mod skeleton;
pub mod unpacked;

use crate::error::{Context, Error, Result};
use crate::paths::Paths;
use std::path::{Path, PathBuf};

/// The version of the layout above, and the file in ROOT that says it.
const LAYOUT: &str = "2\n";
const VERSION: &str = "version";
/// The version before: some of its layers have the form [`layer::Form::Tar`]. Such a store is read as it is, and is one of today's from
/// the first new layer on, so that a program that does not know that form says so.
const FORMER: &str = "1\n";
/// What is made first, each in the one before if it lies in it.
const FOLDERS: [&str; 9] =
    ["blobs", "blobs/sha256", "blobs/sha512", "layers", "images", "names", "pins", "ingest", "trash"];
const LOCK: &str = "lock";

/// An opened store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    runroot: PathBuf,
    /// Whether its layout was the former one when it was opened.
    is_former: bool,
}

impl Store {
    /// Opens the store below `paths`, and makes it if it is not there. Other users see nothing of it, since layers may hold set-id
    /// programs.
    ///
    /// # Errors
    /// Fails if a directory cannot be made, if the store has another layout than this program knows, and if the directory is
    /// somebody else's: it holds something, and is no store.
    pub fn open(paths: &Paths) -> Result<Self> {
        let mut store = Self { root: paths.root.clone(), runroot: paths.runroot.clone(), is_former: false };
        let version = store.root.join(VERSION);
        match std::fs::read_to_string(&version) {
            Ok(layout) if layout == LAYOUT || layout == FORMER => {
                store.is_former = layout == FORMER;
                return Ok(store);
            }
            Ok(layout) => {
                return Err(Error::new(format!(
                    "layout \"{}\" is not known to this version of ocictl",
                    layout.trim()
                ))
                .context(format!("store {}", store.root.display())));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::from(error).context(format!("store {}", version.display()))),
        }
        store.check_free()?;
        disk::make_directory(&store.root)?;
        for name in FOLDERS {
            disk::make_directory(&store.root.join(name))?;
        }
        store.write_layout()?;
        Ok(store)
    }

    fn write_layout(&self) -> Result<()> {
        let _guard = self.lock()?;
        disk::write_whole(&self.root, VERSION, LAYOUT.as_bytes())
    }

    /// Refuses a directory in which there is anything but a store that is being made, or whose maker was killed.
    fn check_free(&self) -> Result<()> {
        let place = || format!("store {}", self.root.display());
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.context(place)?,
        };
        for entry in entries {
            let name = entry.context(place)?.file_name();
            let text = name.to_str().unwrap_or_default();
            let is_ours = FOLDERS.contains(&text)
                || [LOCK, VERSION].contains(&text)
                || disk::half_written(text) == Some(VERSION)
                || text == "lost+found" // The root is a file system of its own.
                || self.runroot.starts_with(self.root.join(&name));
            if !is_ours {
                return Err(Error::new(format!(
                    "{} is in it, and it is no store of ocictl",
                    Path::new(&name).display()
                ))
                .context(place())
                .hint("say --root DIR, with a directory that is empty or not there"));
            }
        }
        Ok(())
    }

    /// Where everything is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What need not survive a reboot; made if it is not there.
    ///
    /// # Errors
    /// Fails if it cannot be made.
    pub fn runroot(&self) -> Result<&Path> {
        disk::make_directory(&self.runroot).context(|| "runroot")?;
        Ok(&self.runroot)
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}
