//! Thin, safe wrappers of the system calls that rustix lacks, and the two doors to hostile places: the container's
//! root file system ([`rootfs`]) and `/proc` ([`procfs`]). All unsafe code of the project is below this folder.
//!
//! Nothing here decides anything, and nothing that the child calls allocates.

pub mod affinity;
pub mod bpf;
pub mod clone;
pub mod copy_up;
pub mod directory;
pub mod domainname;
pub mod entry;
pub mod exec;
pub mod filter;
pub mod groups;
pub mod held;
pub mod interface;
pub mod keyring;
pub mod limits;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod own_binary;
pub mod personality;
pub mod procfs;
pub mod regex;
pub mod rootfs;
pub mod scheduling;
pub mod signals;
pub mod terminal;
pub mod watch;

use rustix::io::Errno;

/// The result of a raw system call: the value, or the errno that the kernel answered.
pub(crate) fn result(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value == -1 {
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        return Err(Errno::from_raw_os_error(errno));
    }
    Ok(value)
}
