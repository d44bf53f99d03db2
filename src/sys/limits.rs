//! getrlimit(2) and prlimit(2) by the kernel's resource number, which rustix names only in part.

use super::result;
use rustix::io::Errno;
use rustix::process::Pid;

/// Sets a soft and a hard limit of the calling process, or of another one; `u64::MAX` is unlimited.
///
/// # Errors
/// `EPERM`: the hard limit would rise; `EINVAL`: the soft limit is above the hard one.
pub fn set(pid: Option<Pid>, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a complete rlimit64 that the kernel reads; the old limit is not asked for.
    result(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            Pid::as_raw(pid),
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    })?;
    Ok(())
}

/// The soft and the hard limit of the calling process; `u64::MAX` is unlimited.
///
/// # Errors
/// `EINVAL`: no such resource.
pub fn get(resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit64 into `limit`; no new limit is given.
    result(unsafe {
        libc::syscall(libc::SYS_prlimit64, 0, resource, std::ptr::null::<libc::rlimit64>(), &raw mut limit)
    })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
