//! stdin, stdout and stderr that are the host's `/dev/null` become the container's own: the program gets no file of the host
//! that it did not ask for, and CRIU finds the file in the container.

use crate::launch::protocol::Fault;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Opens the container's `/dev/null` in place of the host's. One that is missing or no such device leaves all as it is.
pub(super) fn reopen_null() -> Result<(), Fault> {
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    for (number, stream) in streams.into_iter().enumerate() {
        if !is_null(stream)? {
            continue;
        }
        let access = rustix::fs::fcntl_getfl(stream)? & OFlags::ACCMODE;
        // What a container that runs has in its place must not hold us up.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let Ok(own) = rustix::fs::openat(CWD, c"/dev/null", access | flags, Mode::empty()) else { continue };
        if !is_null(own.as_fd())? {
            continue;
        }
        rustix::fs::fcntl_setfl(&own, OFlags::empty())?;
        match number {
            0 => rustix::stdio::dup2_stdin(&own)?,
            1 => rustix::stdio::dup2_stdout(&own)?,
            _ => rustix::stdio::dup2_stderr(&own)?,
        }
    }
    Ok(())
}

/// Whether it is the device; one that is closed is not.
fn is_null(file: BorrowedFd<'_>) -> Result<bool, Fault> {
    match rustix::fs::fstat(file) {
        Err(Errno::BADF) => Ok(false),
        answer => {
            let stat = answer?;
            let is_device = crate::sys::rootfs::file_type(&stat) == FileType::CharacterDevice;
            Ok(is_device && stat.st_rdev == rustix::fs::makedev(1, 3))
        }
    }
}
