//! sched_setaffinity(2) for machines of any size.

use super::result;
use rustix::io::Errno;

/// Room for 8192 processors, the most that Linux can be built for on any architecture.
static ALL: [u64; 128] = [u64::MAX; 128];

/// Allows the calling thread the processors of `mask`: bit `n % 64` of word `n / 64` is processor n.
///
/// # Errors
/// `EINVAL`: the machine, or the cpuset, has none of them.
pub fn allow(mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: pointer and size describe `mask`, which the kernel only reads.
    result(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) })?;
    Ok(())
}

/// Allows the calling thread every processor; the kernel takes away what its cpuset does not have.
///
/// # Errors
/// `EINVAL`: the cpuset has none of them.
pub fn allow_all() -> Result<(), Errno> {
    allow(&ALL)
}
