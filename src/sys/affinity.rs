//! sched_setaffinity(2) for machines of any size.

use super::result;
use rustix::io::Errno;

/// Room for 8192 processors, the most that Linux can be built for on any architecture.
static ALL: [u64; 128] = [u64::MAX; 128];

/// Allows the calling thread every processor; the kernel takes away what its cpuset does not have.
///
/// # Errors
/// `EINVAL`: the cpuset has none of them.
pub fn allow_all() -> Result<(), Errno> {
    // SAFETY: pointer and size describe ALL, which the kernel only reads.
    result(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&ALL), ALL.as_ptr()) })?;
    Ok(())
}
