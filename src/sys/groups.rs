//! setgroups(2) on numbers as the plan has them, without a copy.

use super::result;
use rustix::io::Errno;

/// Sets the supplementary groups of the calling thread.
///
/// # Errors
/// `EPERM`; `EINVAL`: more than 65536, or one that has no mapping in the user namespace.
pub fn set(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the borrowed slice of gid_t (a u32 everywhere), which the kernel only reads.
    result(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    Ok(())
}
