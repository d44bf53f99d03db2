//! setns(2), unshare(2) and ioctl_ns(2): into namespaces, and what kind of namespace a file is.

use super::result;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// The `CLONE_NEW*` flag of the namespace that `file` is open on.
///
/// # Errors
/// `ENOTTY`: the file is no namespace.
pub fn kind(file: BorrowedFd<'_>) -> Result<u32, Errno> {
    const NS_GET_NSTYPE: u32 = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument and returns a number.
    let kind = result(libc::c_long::from(unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE as _) }))?;
    Ok(kind as u32)
}

/// Enters the namespace that `file` is open on; `kind` is its `CLONE_NEW*` flag, so that another kind is refused. Where
/// `file` is a pidfd (Linux 5.8), `kind` is the flags of all namespaces of that process to enter.
///
/// # Errors
/// `EINVAL`: another kind, or a user namespace that we are in; `EPERM`; `ESRCH`: the process has ended.
pub fn enter(file: BorrowedFd<'_>, kind: u32) -> Result<(), Errno> {
    // SAFETY: setns takes a descriptor and a number.
    result(libc::c_long::from(unsafe { libc::setns(file.as_raw_fd(), kind as libc::c_int) }))?;
    Ok(())
}

/// Makes new namespaces for the calling thread, or for its children (pid, time).
///
/// # Errors
/// `EPERM`; `ENOSPC`: a limit in `user.max_*_namespaces`.
pub fn unshare(kinds: u32) -> Result<(), Errno> {
    // SAFETY: unshare takes a number; no CLONE_FILES, CLONE_FS or CLONE_VM is among the kinds of namespaces.
    result(libc::c_long::from(unsafe { libc::unshare(kinds as libc::c_int) }))?;
    Ok(())
}

/// Whether the process has one thread only, as a clone that copies its memory demands.
pub fn is_single_threaded() -> bool {
    // SAFETY: CLONE_VM asks for a memory of our own, which a process with one thread has: the kernel does nothing then,
    // and answers EINVAL to one with several.
    unsafe { libc::unshare(libc::CLONE_VM) == 0 }
}
