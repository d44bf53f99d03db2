//! poll(2) over a list of fixed length, of which not every entry is wanted at every turn.

use rustix::event::{PollFd, PollFlags};
use rustix::fd::BorrowedFd;

/// Watches a descriptor; in place of one that is not wanted stands `idle`, of which nothing is asked. It must be one that
/// neither hangs up nor has errors, which poll(2) tells unasked: a signalfd, the pidfd of a child that is not reaped.
pub fn watch<'fd>(
    descriptor: Option<BorrowedFd<'fd>>,
    flags: PollFlags,
    idle: BorrowedFd<'fd>,
) -> PollFd<'fd> {
    match descriptor {
        Some(descriptor) => PollFd::from_borrowed_fd(descriptor, flags),
        None => PollFd::from_borrowed_fd(idle, PollFlags::empty()),
    }
}
