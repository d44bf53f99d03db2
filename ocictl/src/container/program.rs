//! A container's program: held by a pidfd, signalled, waited for.

use super::record::{Container, Phase, held};
use crate::error::{Context, Result};
use crate::store::disk;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::Pid;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// A number and a newline.
const MAX_PID: u64 = 64;

/// A container's program, held so that its number can mean nobody else; nothing if it does not run.
///
/// # Errors
/// Fails if the kernel refuses.
pub fn program(container: &Container) -> Result<Option<OwnedFd>> {
    let state = container.state()?;
    if state.phase != Phase::Running {
        return Ok(None);
    }
    held(state.pid, state.pid_start, &state.boot).context(|| container.place())
}

/// The pid that a runtime has written into a file; nothing where there is none.
///
/// # Errors
/// Names the file that cannot be read.
pub fn written_pid(path: &Path) -> Result<Option<Pid>> {
    let text = disk::read_small(path, MAX_PID)?.unwrap_or_default();
    Ok(std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw))
}

/// Sends a signal to a held program; `false` if it has ended.
///
/// # Errors
/// As pidfd_send_signal(2).
pub fn signal(container: &Container, program: &OwnedFd, number: i32) -> Result<bool> {
    match crate::sys::process::send_signal(program, number) {
        Ok(()) => Ok(true),
        Err(Errno::SRCH) => Ok(false),
        Err(errno) => Err(errno).context(|| container.place()),
    }
}

/// Waits until a held program has ended; `false` if the time was over first.
pub fn wait(program: &OwnedFd, most: Option<Duration>) -> bool {
    let until = most.map(|most| Instant::now() + most);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match poll(&mut [PollFd::new(program, PollFlags::IN)], left) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            _ => return true,
        }
    }
}

/// As poll(2).
pub fn poll(sources: &mut [PollFd<'_>], most: Option<Duration>) -> rustix::io::Result<usize> {
    let timeout = most.map(|most| Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: most.subsec_nanos().into(),
    });
    rustix::event::poll(sources, timeout.as_ref())
}
