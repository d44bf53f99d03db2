//! Device nodes and symlinks as steps.

use std::ffi::CString;

/// A device node of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The directory below the root file system.
    pub parent: CString,
    /// The node's name in it.
    pub name: CString,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
    pub mode: u32,
    /// Major and minor number.
    pub device: (u32, u32),
    /// Owner: user and group id in the container.
    pub owner: (u32, u32),
    /// The same device on the host, to bind where mknod(2) is not permitted.
    pub host_path: CString,
    /// Whether mknod(2) is known not to be permitted: in a user namespace.
    pub bind: bool,
}

/// A symlink of `/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symlink {
    /// The directory below the root file system.
    pub parent: CString,
    /// The link's name in it.
    pub name: CString,
    /// Where it points.
    pub target: CString,
    /// Whether something that has the name already gives way.
    pub replace: bool,
}
