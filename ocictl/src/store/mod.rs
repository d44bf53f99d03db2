//! What is kept on disk, and how it stays whole.
//!
//! ```text
//! ROOT/lock                     taken for a moment by whoever adds or removes references
//! ROOT/blobs/sha256/HEX         manifests, indexes and configurations, by their digests
//! ROOT/layers/HEX/              a layer by its diffID: `layer.json`, and `tar` + `index` or `root/` + `skeleton`
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
pub mod parallel;
pub mod unpacked;

use crate::error::{Context, Error, Result};
use crate::paths::Paths;
use std::path::{Path, PathBuf};

/// The version of the layout above.
const LAYOUT: &str = "1\n";

/// An opened store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    runroot: PathBuf,
}

impl Store {
    /// Opens the store below `paths`, and makes it if it is not there. Other users see nothing of it, since layers may hold set-id
    /// programs.
    ///
    /// # Errors
    /// Fails if a directory cannot be made, or if the store has another layout than this program knows.
    pub fn open(paths: &Paths) -> Result<Self> {
        let store = Self { root: paths.root.clone(), runroot: paths.runroot.clone() };
        let version = store.root.join("version");
        match std::fs::read_to_string(&version) {
            Ok(layout) if layout == LAYOUT => return Ok(store),
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
        for name in [
            "",
            "blobs",
            "blobs/sha256",
            "blobs/sha512",
            "layers",
            "images",
            "names",
            "pins",
            "ingest",
            "trash",
        ] {
            disk::make_directory(&store.root.join(name))?;
        }
        let _guard = store.lock()?;
        disk::write_whole(&store.root, "version", LAYOUT.as_bytes())?;
        Ok(store)
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
