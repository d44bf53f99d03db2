//! The mounts of a container that shares the runtime's mount namespace: all of them stand on a clone of its root file system,
//! which is taken down with the container.
//!
//! config-linux.md, "Namespaces": a type that is not listed is inherited; umount2(2), proc_pid_mountinfo(5).

use crate::container::record::Record;
use crate::error::{Context, Error, Result};
use crate::host::mounts;
use crate::log::Log;
use crate::sys::mount::DescriptorPath;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

/// The number of the mount that `rootfs` lies on, before anything is put there.
///
/// # Errors
/// No such directory; the root of the host, which a mount cannot be put on so that it is seen.
pub fn before(rootfs: &str) -> Result<u64> {
    let root = open(rootfs).context(|| format!("root.path: {rootfs}"))?;
    let (own, its) = (rustix::fs::stat(c"/"), rustix::fs::fstat(&root));
    if let (Ok(own), Ok(its)) = (own, its)
        && (own.st_dev, own.st_ino) == (its.st_dev, its.st_ino)
    {
        return Err(Error::new(
            "config.json: root.path: mounts on the host's own root need a mount namespace",
        ));
    }
    mount_of(&root)
}

/// Takes down what stands on the root file system, if it is the container's own: what stands on the mount that was there before.
///
/// # Errors
/// What cannot be read or unmounted.
pub fn remove(record: &Record, log: &Log) -> Result<()> {
    let Some(before) = record.host_mount else { return Ok(()) };
    let root = match open(&record.rootfs) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        root => root.context(|| record.rootfs.clone())?,
    };
    let top = mount_of(&root)?;
    if top == before {
        return Ok(());
    }
    let table = std::fs::read_to_string("/proc/self/mountinfo").context(|| "/proc/self/mountinfo")?;
    if mounts::parse(&table).iter().any(|mount| mount.id == top && mount.parent == before) {
        return rustix::mount::unmount(DescriptorPath::new(&root).as_c_str(), UnmountFlags::DETACH)
            .context(|| format!("unmount {}", record.rootfs));
    }
    log.warning(&format!(
        "delete {}: others have mounted on {} and it stays as it is",
        record.id, record.rootfs
    ))
}

fn open(rootfs: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, rootfs, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// proc_pid_fdinfo(5).
fn mount_of(file: &OwnedFd) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = std::fs::read_to_string(&path).context(|| path.clone())?;
    let number = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    number.ok_or_else(|| Error::new(format!("{path}: tells no mount")))
}
