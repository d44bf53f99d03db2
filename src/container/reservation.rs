//! An id in the making: its directory has a private name until the cgroup is made and known to be the container's own.
//!
//! ```text
//! ROOT/@ID   "will make": locked by its creator. When that was killed, nothing was started yet, so what is empty of its
//!            cgroup is removed and nobody is killed. A directory that is being deleted ends here, too.
//! ROOT/ID    "made": the cgroup was found empty, so whoever is in it is the container's.
//! ```
//!
//! Only who holds the lock of `@ID` may make `ID`. No id has an `@`, so no id is mistaken for a private name.

use crate::cgroup;
use crate::container::root::Root;
use crate::container::state::Directory;
use crate::error::{Error, Result};
use std::time::{Duration, Instant};

/// How long another creator or deleter of the same id may need for what it does under the private name.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(1);

/// Makes the directory of a new container, locked, under its private name.
///
/// # Errors
/// `container with given ID already exists`; the root cannot be made.
pub fn reserve(root: &Root, id: &str) -> Result<Directory> {
    let exists = || Error::new("container with given ID already exists");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(directory) = Directory::try_make(root, id)? {
            if !root.exists(id)? {
                return Ok(directory);
            }
            retire(&directory)?;
            return Err(exists());
        }
        if root.exists(id)? || Instant::now() > deadline {
            return Err(exists());
        }
        if !clear(root, id)? {
            std::thread::sleep(PAUSE);
        }
    }
}

/// Removes what a creator or deleter that was killed has left under the private name; false when there is nothing, or
/// when its owner lives.
///
/// # Errors
/// What remains cannot be removed.
pub fn clear(root: &Root, id: &str) -> Result<bool> {
    let Some(leftover) = Directory::leftover(root, id)? else { return Ok(false) };
    // One that cannot be read was never complete, so it had no cgroup yet.
    if let Ok(Some(record)) = leftover.read() {
        cgroup::open(&record.cgroup).remove_empty();
    }
    leftover.remove()?;
    Ok(true)
}

/// Removes what killed creators and deleters have left of any id, as far as the caller may: an id that never comes again would keep it
/// for ever.
pub fn clear_all(root: &Root) {
    for id in root.private_ids().unwrap_or_default() {
        let _the_next_of_its_id_will = clear(root, &id);
    }
}

/// Removes a directory that we have locked, by way of the private name: killed meanwhile, we leave nothing that counts as
/// a container.
///
/// # Errors
/// What remains cannot be removed.
pub fn retire(directory: &Directory) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !directory.hide()? {
        if Instant::now() > deadline {
            return Err(Error::new("another process keeps creating a container of this id"));
        }
        if !clear(directory.root(), directory.id())? {
            std::thread::sleep(PAUSE);
        }
    }
    directory.remove()
}
