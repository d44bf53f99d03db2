//! getcwd(2) and close_range(2): where we are, and what stays open.

use super::procfs::Procfs;
use super::result;
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::fs::{OFlags, RawDir};
use rustix::io::{Errno, FdFlags};
use std::mem::MaybeUninit;

/// Whether the working directory lies below the root directory.
///
/// The kernel answers `(unreachable)/…` for one that does not: a descriptor of the host that was changed into
/// (CVE-2024-21626).
///
/// # Errors
/// `ENOENT`: the directory was removed.
pub fn is_inside_root() -> Result<bool, Errno> {
    let mut path = [0_u8; 4096];
    // SAFETY: the kernel writes at most the given length into `path`.
    match result(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) }) {
        Ok(_) => Ok(path[0] == b'/'),
        // Longer than the buffer: then it is a path of the container, deep as it is.
        Err(Errno::RANGE) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Marks every descriptor from `first` on close-on-exec.
///
/// # Errors
/// Those of reading `/proc/self/fd`, on kernels without close_range(2).
pub fn close_on_exec_from(first: u32, procfs: &Procfs) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: close_range takes three numbers; with CLOEXEC nothing is closed that somebody still owns.
    match result(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC)
    }) {
        Ok(_) => Ok(()),
        // Linux before 5.9 does not know the call, and before 5.11 not the flag.
        Err(Errno::NOSYS | Errno::INVAL) => {
            for_each(first, procfs, |descriptor| rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC))
        }
        Err(errno) => Err(errno),
    }
}

/// Closes every descriptor from `first` on but those in `kept`: also the copies of what the parent of this process had
/// open, which no variable of ours owns. `procfs` is closed with them.
///
/// # Errors
/// Those of reading `/proc/self/fd`, on kernels without close_range(2).
pub fn close_all_but<const N: usize>(
    first: u32,
    kept: [Option<BorrowedFd<'_>>; N],
    procfs: Procfs,
) -> Result<(), Errno> {
    let mut numbers = kept.map(|fd| fd.map_or(u32::MAX, |fd| fd.as_raw_fd() as u32));
    numbers.sort_unstable();
    let mut start = first;
    for kept in numbers.into_iter().chain([u32::MAX]) {
        if kept > start {
            // SAFETY: close_range takes three numbers. This is the child of a clone, where the owners of these
            // descriptors are variables of the parent's stack frames that never run again; our own are in `kept`, or
            // are `procfs`, whose owner is forgotten below.
            match result(unsafe { libc::syscall(libc::SYS_close_range, start, kept - 1, 0) }) {
                Ok(_) => {}
                Err(Errno::NOSYS) => {
                    close_each_but(first, &numbers, &procfs)?;
                    break;
                }
                Err(errno) => return Err(errno),
            }
        }
        start = start.max(kept.saturating_add(1));
    }
    std::mem::forget(procfs);
    Ok(())
}

/// Whether a descriptor of that number is open.
pub fn is_open(number: u64) -> bool {
    let Ok(number) = libc::c_int::try_from(number) else { return false };
    // SAFETY: F_GETFD takes a number and reads no memory; one that is not open is answered with EBADF.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}

/// Takes a descriptor that the caller of this program has passed, close-on-exec from now on; nothing when it is not open.
pub fn take_passed(number: i32) -> Option<OwnedFd> {
    if number < 3 || !is_open(number as u64) {
        return None;
    }
    // SAFETY: it is open, and the caller's: nothing of ours has this number, since he has named it before we opened any.
    let taken = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&taken, FdFlags::CLOEXEC).ok().map(|()| taken)
}

/// Closes one by one what `close_all_but` closes, on kernels before Linux 5.9.
fn close_each_but(first: u32, kept: &[u32], procfs: &Procfs) -> Result<(), Errno> {
    for_each(first, procfs, |descriptor| {
        let number = descriptor.as_raw_fd();
        if !kept.contains(&(number as u32)) {
            // SAFETY: as for close_range in `close_all_but`; `procfs` itself is closed too, and its owner is forgotten.
            unsafe { libc::close(number) };
        }
        Ok(())
    })
}

/// Every descriptor from `first` on, but the one that they are listed by.
fn for_each(
    first: u32,
    procfs: &Procfs,
    mut act: impl FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let directory = procfs.open_file(c"self/fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let Some(number) = number(entry.file_name().to_bytes()).filter(|number| *number >= first) else {
            continue;
        };
        if number == directory.as_raw_fd() as u32 {
            continue;
        }
        // SAFETY: the descriptor was listed a moment ago by this single-threaded process, and is borrowed for one call.
        act(unsafe { BorrowedFd::borrow_raw(number as i32) })?;
    }
    Ok(())
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
