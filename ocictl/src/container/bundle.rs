//! The bundle of a container: the directory below the run root with `config.json`, the mount points and the sockets. It is there while the
//! container runs.

use crate::error::Result;
use crate::store::disk;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use std::path::Path;

/// Unmounts what was mounted for a container in this mount namespace, and removes its bundle.
///
/// # Errors
/// Fails if something cannot be removed.
pub fn clear(run: &Path) -> Result<()> {
    let inner = disk::names(&run.join("mounts")).unwrap_or_default();
    let places = inner
        .iter()
        .map(|name| run.join("mounts").join(name))
        .chain([run.join("rootfs"), run.join("scratch")]);
    for place in places {
        // Or what is mounted in a place that is shared with the host would be unmounted there, too.
        let cut_off = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        let _not_mounted_here = mount_change(&place, cut_off);
        let _not_mounted_here = unmount(&place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    disk::remove_tree(run)
}
