//! keyctl(2): the container's own session keyring, so that it cannot see the caller's keys.

use super::result;
use rustix::io::Errno;
use std::ffi::CStr;

/// Joins a session keyring of that name, making it when it does not exist, and lets its possessor alter it.
///
/// `extra_permissions` is or-ed into the key's permissions: runc grants `KEY_USR_SEARCH` (0x80000) and, in a user
/// namespace, `KEY_OTH_SEARCH` (0x8).
///
/// # Errors
/// `EDQUOT`: kernel.keys.maxkeys or maxbytes is used up; `ENOSYS`: a kernel without keys, or a filter.
pub fn join_session(name: &CStr, extra_permissions: u32) -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    const KEYCTL_SETPERM: libc::c_ulong = 5;
    const POSSESSOR_ALL: u32 = 0x3f00_0000;
    const USER_VIEW: u32 = 0x0001_0000;
    // SAFETY: `name` is a NUL-terminated string borrowed for the call.
    let key = result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    let permissions = libc::c_ulong::from(POSSESSOR_ALL | USER_VIEW | extra_permissions);
    // SAFETY: KEYCTL_SETPERM takes a key's serial number and a mask, no pointers.
    result(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, permissions) })?;
    Ok(())
}
