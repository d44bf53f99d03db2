//! seccomp(2): loads a program that was compiled before the clone.

use super::result;
use rustix::fd::{FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;

/// One instruction of classic BPF as the kernel reads it (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump when true.
    pub jt: u8,
    /// Jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Whether this kernel knows a flag, or a set of flags that belong together. Nothing is loaded.
pub fn knows(flags: u32) -> bool {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    let none = std::ptr::null::<libc::sock_fprog>();
    // SAFETY: the kernel looks at the flags, then reads a program from the null address, which is EFAULT.
    let answer = unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, libc::c_ulong::from(flags), none)
    };
    result(answer) == Err(Errno::FAULT)
}

/// Puts the calling thread under the filter. With `SECCOMP_FILTER_FLAG_NEW_LISTENER` in `flags` the notification
/// descriptor comes back.
///
/// # Errors
/// `EACCES`: neither `no_new_privs` nor `CAP_SYS_ADMIN`; `EINVAL`: an unknown flag or a program that the kernel's
/// checker refuses.
pub fn load(program: &[Instruction], flags: u32) -> Result<Option<OwnedFd>, Errno> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    const NEW_LISTENER: u32 = 1 << 3;
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program =
        libc::sock_fprog { len: length, filter: program.as_ptr().cast::<libc::sock_filter>().cast_mut() };
    // SAFETY: `program` points to `len` instructions of sock_filter's layout (repr(C), same fields), borrowed for the
    // call; the kernel copies them and writes nothing.
    let value = result(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            libc::c_ulong::from(flags),
            &raw const program,
        )
    })?;
    if flags & NEW_LISTENER == 0 {
        return Ok(None);
    }
    // SAFETY: with NEW_LISTENER the call returned a new descriptor that nobody else owns.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(value as RawFd) }))
}
