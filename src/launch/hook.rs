//! A hook that runs, attended from outside the container and from init alike (config.md, "POSIX-platform Hooks").
//!
//! It may not read its state, print more than anybody wants, leave children behind or never end: so all is moved in one loop
//! that comes back to the deadline after each step, and nothing in it waits or allocates.

use crate::launch::protocol::Detail;
use crate::sys::signals;
use crate::sys::watch::watch;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use std::io::Write;
use std::time::{Duration, Instant};

/// How much of a hook's output is kept.
const OUTPUT: usize = 1024;

/// A hook, the leader of a process group of its own, and our ends of its pipes.
#[derive(Debug)]
pub struct Running<'a> {
    /// Its pid, which is that of its group, too.
    pub pid: Pid,
    /// Its pidfd.
    pub pidfd: BorrowedFd<'a>,
    /// Where it reads its state: does not block.
    pub stdin: OwnedFd,
    /// What it says on stdout and stderr: does not block.
    pub output: BorrowedFd<'a>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// What ends it early once it can be read.
    pub interrupts: Option<BorrowedFd<'a>>,
}

/// How a hook ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Its time was over; it was killed with its group.
    TimedOut,
    /// Somebody wants us to end; it was killed with its group.
    Interrupted,
}

/// A pipe for the state: the hook's end first. Ours does not block, the hook's does.
///
/// # Errors
/// `EMFILE`.
pub fn state_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&write, true)?;
    Ok((read, write))
}

/// A pipe for the output: ours first. Ours does not block; the hook's does, or it would lose what it prints.
///
/// # Errors
/// `EMFILE`.
pub fn output_pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read, write))
}

/// Gives a hook its state, listens to it and waits for its end. SIGPIPE must be ignored: a hook need not read its state.
///
/// # Errors
/// Those of poll(2), kill(2) and waitid(2).
pub fn attend(hook: Running<'_>, state: [&[u8]; 3], words: &mut Words) -> Result<End, Errno> {
    let Running { pid, pidfd, stdin, output, timeout, interrupts } = hook;
    let (mut stdin, mut state) = (Some(stdin), State(state));
    // Not rustix's clock_gettime, which panics on a kernel whose vDSO lacks getcpu (user-mode Linux).
    let started = Instant::now();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(started.elapsed()));
        if left == Some(Duration::ZERO) {
            end(pid, pidfd)?;
            return Ok(End::TimedOut);
        }
        let left =
            left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut events = [
            PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            watch((!words.closed).then_some(output), PollFlags::IN, pidfd),
            watch(stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT, pidfd),
            watch(interrupts, PollFlags::IN, pidfd),
        ];
        match rustix::event::poll(&mut events, left.as_ref()) {
            Err(Errno::INTR) => continue,
            answer => drop(answer?),
        }
        let [ended, said, reads, interrupted] = events.map(|event| !event.revents().is_empty());
        if said {
            words.take(output);
        }
        if ended {
            words.drain(output);
            return reap(pidfd);
        }
        if interrupted {
            end(pid, pidfd)?;
            return Ok(End::Interrupted);
        }
        if reads && stdin.as_ref().is_some_and(|stdin| state.write(stdin.as_fd())) {
            stdin = None;
        }
    }
}

/// Kills a hook with all of its group, and reaps it. It is not reaped before, so that its pid is still its own.
fn end(pid: Pid, pidfd: BorrowedFd<'_>) -> Result<(), Errno> {
    let number = pid.as_raw_nonzero().get();
    // A group that it has left, or made another's, is no reason to let it live.
    let _none = signals::kill(-number, libc::SIGKILL);
    signals::send_to_child(pidfd, number, libc::SIGKILL)?;
    reap(pidfd).map(drop)
}

/// Waits until a hook has ended: how it did.
///
/// # Errors
/// Those of waitid(2).
pub fn reap(pidfd: BorrowedFd<'_>) -> Result<End, Errno> {
    let status = loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            answer => break answer?.ok_or(Errno::CHILD)?,
        }
    };
    Ok(match status.exit_status() {
        Some(status) => End::Exited(status),
        None => End::Signalled(status.terminating_signal().unwrap_or(0)),
    })
}

/// What is still to be written of a state.
struct State<'a>([&'a [u8]; 3]);

impl State<'_> {
    /// Writes what the pipe takes; true when no more is to come: all is written, or nobody reads it.
    fn write(&mut self, stdin: BorrowedFd<'_>) -> bool {
        for part in &mut self.0 {
            while !part.is_empty() {
                match rustix::io::write(stdin, part) {
                    Ok(written) => *part = part.get(written..).unwrap_or_default(),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return false,
                    Err(_) => return true,
                }
            }
        }
        true
    }
}

/// The first words that somebody says.
#[derive(Debug)]
pub struct Words {
    bytes: [u8; OUTPUT],
    length: usize,
    closed: bool,
}

impl Default for Words {
    fn default() -> Self {
        Self { bytes: [0; OUTPUT], length: 0, closed: false }
    }
}

impl Words {
    /// The words.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The words as they cross the wire.
    pub fn detail(&self) -> Detail {
        Detail::new(self.as_bytes().trim_ascii())
    }

    /// Takes one piece of what a pipe holds; what there is no room for is forgotten, so that the writer is not blocked.
    fn take(&mut self, pipe: BorrowedFd<'_>) -> usize {
        let mut chunk = [0; 4096];
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) => {
                self.closed = true;
                0
            }
            Ok(length) => self.write(&chunk[..length]).unwrap_or(length),
            Err(_) => 0,
        }
    }

    /// Takes what a hook that has ended has left in the pipe. Its children may go on writing, hence the end at our own.
    fn drain(&mut self, pipe: BorrowedFd<'_>) {
        while self.length < OUTPUT && self.take(pipe) > 0 {}
    }
}

impl Write for Words {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let length = bytes.len().min(OUTPUT - self.length);
        self.bytes[self.length..self.length + length].copy_from_slice(&bytes[..length]);
        self.length += length;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
