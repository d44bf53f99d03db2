//! Attributes of mounts.

use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Makes a detached mount show ids as a user namespace maps them (mount_setattr(2), "ID-mapped mounts").
///
/// # Errors
/// `EINVAL`: the file system cannot; `EPERM`: it is not the caller's.
pub fn map_ids(mount: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: u64::try_from(user_namespace.as_raw_fd()).unwrap_or(u64::MAX),
    };
    // SAFETY: the path is empty and ends with a NUL; `attributes` lives through the call, which reads its size of bytes.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => {
            Err(Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)))
        }
    }
}
