//! The runtime's own procfs: a root that is known to be procfs, opened before any container path is touched.
//!
//! Files are opened below it without leaving the mount, so nothing that somebody mounted over a file of `/proc` is ever
//! written instead (CVE-2019-16884, CVE-2025-52881). Where the machine's own `/proc` has such mounts, a nested container
//! say, a private procfs takes its place.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::ffi::CStr;

/// The inode number of every procfs's root (`PROC_ROOT_INO`).
const ROOT_INODE: u64 = 1;

/// A verified procfs.
#[derive(Debug)]
pub struct Procfs {
    root: OwnedFd,
}

impl Procfs {
    /// Opens `/proc` and makes sure that it is the root of a procfs.
    ///
    /// # Errors
    /// `ENXIO`: what is mounted at `/proc` is something else; otherwise those of open(2).
    pub fn open() -> Result<Self, Errno> {
        let root = rustix::fs::openat(
            CWD,
            c"/proc",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let is_root = rustix::fs::fstat(&root)?.st_ino == ROOT_INODE;
        if !is_root || rustix::fs::fstatfs(&root)?.f_type != rustix::fs::PROC_SUPER_MAGIC {
            return Err(Errno::NXIO);
        }
        Ok(Self { root })
    }

    /// A second handle of the same procfs.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn try_clone(&self) -> Result<Self, Errno> {
        Ok(Self { root: rustix::io::fcntl_dupfd_cloexec(&self.root, 3)? })
    }

    /// The top directory.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Opens a file of procfs; nothing that is mounted over it or over a directory on the way is accepted in its place.
    ///
    /// # Errors
    /// Those of openat2(2); `EXDEV` where even a private procfs could not be had.
    pub fn open_file(&self, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
        match open_beneath(self.root.as_fd(), path, flags) {
            Err(Errno::XDEV) => open_beneath(private()?.as_fd(), path, flags),
            answer => answer,
        }
    }

    /// Writes `value` into a file in one write(2), as labels and id maps demand.
    ///
    /// # Errors
    /// Those of opening and of the kernel's handler of the file; `EIO` for a short write.
    pub fn write(&self, path: &CStr, value: &[u8]) -> Result<(), Errno> {
        let file = self.open_file(path, OFlags::WRONLY)?;
        match rustix::io::write(&file, value)? {
            written if written == value.len() => Ok(()),
            _ => Err(Errno::IO),
        }
    }
}

/// A file of procfs that the path of a thread, `self` or a pid leads to: the one magic-free symlink is followed.
fn open_beneath(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => open_old(root, path, flags),
        answer => answer,
    }
}

/// Without openat2: open, then make sure that the file is on this very mount of procfs.
fn open_old(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let file = rustix::fs::openat(root, path, flags | OFlags::CLOEXEC, Mode::empty())?;
    let (here, there) = (rustix::fs::fstat(root)?, rustix::fs::fstat(&file)?);
    if here.st_dev != there.st_dev || mount_id(root) != mount_id(file.as_fd()) {
        return Err(Errno::XDEV);
    }
    Ok(file)
}

/// Which mount a file was reached through; nothing before Linux 5.8. Another file of the same procfs that is mounted over
/// this one has the same device number, but not the same mount.
fn mount_id(file: BorrowedFd<'_>) -> Option<u64> {
    let answer = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    (answer.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(answer.stx_mnt_id)
}

/// A procfs of our own, mounted nowhere.
fn private() -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(c"proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_proc_is_accepted_and_read() {
        let procfs = Procfs::open().unwrap();
        let file = procfs.open_file(c"self/comm", OFlags::RDONLY).unwrap();
        let mut bytes = [0; 64];
        assert!(rustix::io::read(&file, &mut bytes).unwrap() > 0);
    }

    #[test]
    fn nothing_above_or_beside_is_opened() {
        let procfs = Procfs::open().unwrap();
        assert_eq!(procfs.open_file(c"../etc/passwd", OFlags::RDONLY).unwrap_err(), Errno::XDEV);
        assert!(procfs.open_file(c"self/root/etc/passwd", OFlags::RDONLY).is_err());
    }
}
