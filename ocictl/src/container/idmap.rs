//! Directories shown with other owners: mounts with mapped ids (mount_setattr(2)), which root alone may make of the machine's file
//! systems. Nothing is copied and nothing changes on disk, however large an image is.

use super::ids::{self, Ids};
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::sys;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The hidden word that makes the program hold a user namespace; see [`hold`].
pub const HOLD: &str = "__hold-ids";

/// A place for such mounts, in the caller's mount namespace.
#[derive(Debug)]
pub struct Mapped {
    namespace: OwnedFd,
    folder: PathBuf,
    mounts: Vec<PathBuf>,
}

impl Mapped {
    /// Prepares to map as `ids` says; the mounts are made below `folder`, until this value goes.
    ///
    /// # Errors
    /// Fails if the kernel takes no such map.
    pub fn new(ids: &Ids, folder: PathBuf) -> Result<Self> {
        disk::make_directory(&folder)?;
        let namespace = user_namespace(ids).context(|| "map the ids of the container")?;
        Ok(Self { namespace, folder, mounts: Vec::new() })
    }

    /// Shows a directory with mapped ids; where.
    ///
    /// # Errors
    /// Names the directory.
    pub fn show(&mut self, directory: &Path) -> Result<PathBuf> {
        let place = || format!("map the ids of {}", directory.display());
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, directory, flags).context(place)?;
        sys::mount::map_ids(tree.as_fd(), self.namespace.as_fd()).context(place).map_err(
            |error| match error.errno() {
                Some(libc::EINVAL) => {
                    error.hint("its file system, or this kernel, has no mounts with mapped ids")
                }
                _ => error,
            },
        )?;
        let target = self.folder.join(self.mounts.len().to_string());
        disk::make_directory(&target)?;
        move_mount(&tree, "", CWD, &target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).context(place)?;
        self.mounts.push(target.clone());
        Ok(target)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        for place in &self.mounts {
            // An overlay holds what it stands on by itself; and all of it ends with the mount namespace.
            let _goes_anyway = unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
            let _empty_again = std::fs::remove_dir(place);
        }
        let _empty_again = std::fs::remove_dir(&self.folder);
    }
}

/// A user namespace with these ids: that of a process of ours that does nothing, and is gone when the file is open.
fn user_namespace(ids: &Ids) -> Result<OwnedFd> {
    let mut holder = Command::new("/proc/self/exe")
        .arg(HOLD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let opened = (|| {
        let mut heard = [0];
        if holder.stdout.take().map_or(Ok(0), |mut stdout| stdout.read(&mut heard))? != 1 {
            return Err(Error::new("no user namespace can be made"));
        }
        let folder = PathBuf::from(format!("/proc/{}", holder.id()));
        for (name, map) in [("uid_map", &ids.uids), ("gid_map", &ids.gids)] {
            let text = ids::text(map);
            std::fs::write(folder.join(name), &text)
                .context(|| format!("{name} {}", text.trim_end().replace('\n', ", ")))?;
        }
        Ok(rustix::fs::open(folder.join("ns/user"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    })();
    drop(holder.stdin.take());
    holder.wait()?;
    opened
}

/// What the holder does: makes the namespace, says so, and waits until nobody needs it.
///
/// # Errors
/// Fails if it cannot be made.
pub fn hold(words: &[OsString]) -> Result<()> {
    if !words.is_empty() {
        return Err(Error::new(format!("{HOLD} is for ocictl itself")));
    }
    sys::own_user_namespace()?;
    std::io::stdout().write_all(b"x")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
