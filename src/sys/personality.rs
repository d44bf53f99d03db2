//! personality(2), the execution domain of a process.

use super::result;
use rustix::io::Errno;

/// Sets the execution domain of the calling thread and of what it executes.
///
/// # Errors
/// `EPERM`: a filter or a security module forbids it.
pub fn set(domain: u32) -> Result<(), Errno> {
    // SAFETY: personality takes a number.
    result(libc::c_long::from(unsafe { libc::personality(domain.into()) }))?;
    Ok(())
}
