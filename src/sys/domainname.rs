//! setdomainname(2), the NIS domain of a UTS namespace.

use super::result;
use rustix::io::Errno;

/// Sets the domain name of the calling thread's UTS namespace.
///
/// # Errors
/// `EPERM`; `EINVAL`: longer than 64 bytes.
pub fn set(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: pointer and length describe the borrowed slice, which the kernel only reads.
    result(libc::c_long::from(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len() as _) }))?;
    Ok(())
}
