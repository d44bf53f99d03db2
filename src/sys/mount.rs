//! mount_setattr(2), and what mount(2) needs to work on a descriptor instead of a path.
//!
//! The other calls of the new mount API come from rustix.

use super::result;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, MoveMountFlags};
use std::ffi::CStr;
use std::io::Write;

/// `struct mount_attr`: what to set, clear and change on a mount, or on a tree of mounts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_PRIVATE`, `MS_SLAVE` or `MS_UNBINDABLE`; 0 leaves it as it is.
    pub propagation: u64,
    /// A user namespace's descriptor, with `MOUNT_ATTR_IDMAP`.
    pub user_namespace: u64,
}

/// Changes the attributes of the mount whose root `mount` is open on, and of all below it when `recursive`.
///
/// # Errors
/// `EPERM`: a locked flag cannot be cleared; `EINVAL`: not the root of a mount, or a file system without id maps;
/// `ENOSYS`: Linux before 5.12.
pub fn set_attributes(mount: BorrowedFd<'_>, attributes: &Attributes, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is the empty C string; `attributes` is a complete mount_attr (repr(C), 32 bytes) that the kernel
    // only reads.
    result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags as libc::c_uint,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    })?;
    Ok(())
}

/// Whether the kernel, or a filter above us, knows mount_setattr(2), the youngest call of the new mount API.
pub fn new_api_available() -> bool {
    // SAFETY: a null mount_attr of size 0 is refused with EINVAL before anything is read.
    let answer = unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, std::ptr::null::<Attributes>(), 0)
    };
    result(answer) == Err(Errno::INVAL)
}

/// Attaches the detached mount `mount` on top of `target`.
///
/// # Errors
/// Those of move_mount(2).
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags)
}

/// The path by which mount(2) reaches a descriptor, without the container's say: `/proc/self/fd/N` of the runtime's own
/// `/proc`, before pivot_root.
#[derive(Debug)]
pub struct DescriptorPath {
    bytes: [u8; 32],
}

impl DescriptorPath {
    /// The path of `descriptor` in this process.
    pub fn new(descriptor: impl AsFd) -> Self {
        let mut bytes = [0; 32];
        // 14 + 10 digits + NUL fit; a shorter write cannot happen.
        let _fits = write!(&mut bytes[..31], "/proc/self/fd/{}", descriptor.as_fd().as_raw_fd());
        Self { bytes }
    }

    /// The path below a `/proc` that the caller is in.
    pub fn below_proc(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.bytes.get(6..).unwrap_or_default()).unwrap_or(c"")
    }

    /// The path as a C string.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

/// mount(2) as it is, for kernels without the new mount API.
///
/// # Errors
/// Those of mount(2).
pub fn mount_old(
    source: Option<&CStr>,
    target: &CStr,
    kind: &CStr,
    flags: u64,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a C string borrowed for the call; the kernel copies the data page.
    result(libc::c_long::from(unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            kind.as_ptr(),
            flags as libc::c_ulong,
            pointer(data).cast(),
        )
    }))?;
    Ok(())
}

/// Changes the propagation of the mount at `path`, with `MS_REC` of all below it.
///
/// # Errors
/// `EINVAL`: `path` is no mount point.
pub fn set_propagation(path: &CStr, flags: u64) -> Result<(), Errno> {
    rustix::mount::mount_change(path, MountPropagationFlags::from_bits_retain(flags as u32))
}

/// `MS_REMOUNT | MS_BIND`: changes the flags of the mount at `path` alone.
///
/// # Errors
/// `EPERM`: a locked flag would be cleared.
pub fn remount_bind(path: &CStr, flags: u64) -> Result<(), Errno> {
    let flags = flags | u64::from(MountFlags::BIND.bits()) | libc::MS_REMOUNT;
    mount_old(None, path, c"", flags, None)
}
