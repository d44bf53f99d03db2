//! The system calls that rustix leaves unsafe: all the `unsafe` there is in the engine.

pub mod mount;
pub mod process;
/// Extended regular expressions: the very file that `corten` compiles.
#[path = "../../src/sys/regex.rs"]
pub mod regex;

use rustix::thread::UnshareFlags;

/// Gives this process a user namespace and a mount namespace of its own; it must have one thread.
///
/// # Errors
/// `EPERM`: user namespaces are forbidden here; `ENOSPC`: there are too many; `EINVAL`: the process has several threads.
pub fn own_user_namespace() -> rustix::io::Result<()> {
    // SAFETY: only NEWUSER and NEWNS are asked for: no table of descriptors is parted from that of another thread, which is what
    // makes the call unsafe (CLONE_FILES).
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }
}
