//! Bind mounts by the new mount API: detached clones of their sources, and the attributes of a mount.

use crate::plan::mount_options::{Attributes, attribute};
use crate::sys::mount;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use std::ffi::CStr;

/// A detached copy of what `path` names; with `recursive` of all that is mounted below it, too.
///
/// # Errors
/// Those of open_tree(2).
pub fn clone_tree(directory: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    flags.set(OpenTreeFlags::AT_EMPTY_PATH, path.is_empty());
    rustix::mount::open_tree(directory, path, flags)
}

/// Sets and clears attributes on a mount, or on a tree of mounts.
///
/// # Errors
/// `EPERM`: a locked flag would be cleared.
pub fn set_attributes(mount: BorrowedFd<'_>, wanted: &Attributes, recursive: bool) -> Result<(), Errno> {
    if (wanted.set, wanted.clear) == (0, 0) {
        return Ok(());
    }
    // The access-time field is set as a whole: the kernel wants all of it in `clear`.
    let times = attribute::ATIME;
    let speaks_of_times = wanted.atime && (wanted.set | wanted.clear) & times != 0;
    let attributes = mount::Attributes {
        set: wanted.set,
        clear: (wanted.clear & !times) | if speaks_of_times { times } else { 0 },
        ..mount::Attributes::default()
    };
    mount::set_attributes(mount, &attributes, recursive)
}
