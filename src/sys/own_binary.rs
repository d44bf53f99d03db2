//! The runtime's own binary, out of the container's reach (CVE-2019-5736).
//!
//! A container can open `/proc/PID/exe` of a process that enters it, and an entry point `#!/proc/self/exe` runs the
//! runtime's binary inside. Both reach the file through the mount that the program was executed from, so `create`, `run`
//! and `exec` first run themselves again from a read-only clone of that mount: nothing behind it can be opened for
//! writing. Nothing is copied. `docs/decisions.md` has what it costs.

use super::exec::{StringArray, execveat};
use super::mount::{Attributes, set_attributes};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;

const MOUNT_ATTR_RDONLY: u64 = 1;

/// The binary of the running program.
const SELF: &std::ffi::CStr = c"/proc/self/exe";

/// Runs this program again, with the same arguments and environment, from where it cannot be written; returns when it
/// already does.
///
/// # Errors
/// Those of the calls that make the read-only clone, and of the copy where clones are not permitted.
pub fn protect<'a>(
    arguments: impl IntoIterator<Item = &'a [u8]>,
    environment: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(), Errno> {
    if rustix::fs::statvfs(SELF)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let file = match read_only_clone() {
        Ok(clone) => clone,
        Err(errno) if !is_unavailable(errno) => return Err(errno),
        Err(_) if is_sealed_copy() => return Ok(()),
        // Who cannot write the file cannot overwrite it either, and a user namespace of ours gives no right to it that
        // we lack.
        Err(_) if !writable_by_us() => return Ok(()),
        Err(_) => sealed_copy()?,
    };
    Err(execveat(file.as_fd(), &StringArray::new(arguments), &StringArray::new(environment)))
}

/// The file of the running program on a mount of its own that is read-only and attached nowhere.
fn read_only_clone() -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let clone = rustix::mount::open_tree(CWD, SELF, flags)?;
    let read_only = Attributes { set: MOUNT_ATTR_RDONLY, ..Attributes::default() };
    set_attributes(clone.as_fd(), &read_only, false)?;
    Ok(clone)
}

/// Whether there can be no read-only clone: without CAP_SYS_ADMIN, before Linux 5.12, or of a file whose mount is not in
/// our namespace, as that of a copy in memory never is.
fn is_unavailable(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::NOSYS | Errno::INVAL)
}

/// Whether this user could open the file for writing, or give himself the right to.
fn writable_by_us() -> bool {
    let Ok(stat) = rustix::fs::stat(SELF) else { return true };
    let user = rustix::process::geteuid();
    user.is_root() || stat.st_uid == user.as_raw() || stat.st_mode & 0o022 != 0
}

/// All seals that make a memory file unchangeable.
fn all_seals() -> SealFlags {
    SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE
}

fn is_sealed_copy() -> bool {
    rustix::fs::openat(CWD, SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::fs::fcntl_get_seals(&file))
        .is_ok_and(|seals| seals.contains(all_seals()))
}

/// A copy in memory that nobody can change.
fn sealed_copy() -> Result<OwnedFd, Errno> {
    let source = rustix::fs::openat(CWD, SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let copy = rustix::fs::memfd_create(c"corten", flags)?;
    while rustix::fs::sendfile(&copy, &source, None, 1 << 30)? > 0 {}
    rustix::fs::fcntl_add_seals(&copy, all_seals())?;
    Ok(copy)
}
