//! Hooks that run in the container's namespaces, as children of init: `createContainer` and `startContainer`.
//!
//! config.md, "POSIX-platform Hooks". The state comes on stdin, complete but for the pid as the container sees it.

use super::Init;
use crate::errno;
use crate::launch::protocol::{Detail, Fault, Reason};
use crate::plan::step::Hook;
use crate::sys::clone::{self, Request, Side};
use crate::sys::exec::execve;
use crate::sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, WaitId, WaitIdOptions};
use std::io::Write;
use std::time::Duration;

/// How much of a hook's output is kept for the error.
const OUTPUT: usize = Detail::CAPACITY;

impl Init<'_> {
    /// Runs the next hook and waits for it.
    pub(super) fn run_hook(&mut self, hook: &Hook) -> Result<(), Fault> {
        let index = self.hooks_run;
        self.hooks_run += 1;
        let (stdin_read, stdin_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let (output_read, output_write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (pid, pidfd) = match clone::clone3(&Request::default())? {
            Side::Child => self.become_hook(hook, index, &stdin_read, &output_write),
            Side::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop((stdin_read, output_write));
        self.write_state(index, stdin_write);
        let mut output = Output::default();
        wait(pid, pidfd.as_fd(), output_read.as_fd(), hook.timeout, &mut output)
    }

    /// The hook's side: stdin and output in place, nothing blocked, no filter, no descriptors of ours.
    fn become_hook(&mut self, hook: &Hook, index: usize, stdin: &OwnedFd, output: &OwnedFd) -> ! {
        let connected = rustix::stdio::dup2_stdin(stdin)
            .and_then(|()| rustix::stdio::dup2_stdout(output))
            .and_then(|()| rustix::stdio::dup2_stderr(output))
            .and_then(|()| crate::sys::signals::reset(self.prepared.ignored_signals))
            .and_then(|()| match &self.descriptors.procfs {
                Some(procfs) => crate::sys::directory::close_on_exec_from(3, procfs),
                // Marked already, before the descriptor was closed.
                None => Ok(()),
            });
        if connected.is_ok()
            && let Some(prepared) = self.prepared.hooks.get(index)
        {
            let errno = execve(&hook.path, &prepared.arguments, &prepared.environment);
            let mut words = Output::default();
            let _best_effort = match errno::known(errno.raw_os_error()) {
                Some(text) => write!(words, "exec: {text}"),
                None => write!(words, "exec: errno {}", errno.raw_os_error()),
            };
            let _best_effort = rustix::io::write(output, words.as_bytes());
        }
        clone::exit(127)
    }

    /// A hook that does not read its state is no error.
    fn write_state(&self, index: usize, stdin: OwnedFd) {
        let Some(prepared) = self.prepared.hooks.get(index) else { return };
        let mut pid = Output::default();
        let _fits = write!(pid, "{}", rustix::process::getpid().as_raw_nonzero());
        for part in [prepared.state_head.as_slice(), pid.as_bytes(), prepared.state_tail.as_slice()] {
            if rustix::io::write(&stdin, part).is_err() {
                return;
            }
        }
    }
}

/// Waits for the end of a hook; past its time it is killed.
fn wait(
    pid: Pid,
    pidfd: BorrowedFd<'_>,
    output_pipe: BorrowedFd<'_>,
    timeout: Option<Duration>,
    output: &mut Output,
) -> Result<(), Fault> {
    let started = monotonic();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(monotonic().saturating_sub(started)));
        let left =
            left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut events = [
            PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            PollFd::from_borrowed_fd(output_pipe, PollFlags::IN),
        ];
        // When the hook has closed its output, the pipe is always ready: then the process alone is waited for.
        let watched = if output.closed { 1 } else { 2 };
        match rustix::event::poll(&mut events[..watched], left.as_ref()) {
            Ok(0) => {
                signals::send_to_child(pidfd, pid.as_raw_nonzero().get(), libc::SIGKILL)?;
                reap(pidfd)?;
                return Err(Fault { detail: output.detail(), ..Reason::HookTimeout.fault(Errno::TIMEDOUT) });
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        output.take(output_pipe);
        if events[0].revents().contains(PollFlags::IN) {
            break;
        }
    }
    let (reason, number) = reap(pidfd)?;
    output.take(output_pipe);
    match number {
        0 => Ok(()),
        number => Err(Fault { reason, errno: number, detail: output.detail() }),
    }
}

/// The exit status or the signal of a hook that has ended.
fn reap(pidfd: BorrowedFd<'_>) -> Result<(Reason, i32), Errno> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(None) => return Err(Errno::CHILD),
            Ok(Some(status)) => {
                return Ok(match status.exit_status() {
                    Some(status) => (Reason::HookStatus, status),
                    None => (Reason::HookSignal, status.terminating_signal().unwrap_or(0)),
                });
            }
        }
    }
}

fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The first bytes of an output.
struct Output {
    bytes: [u8; OUTPUT],
    length: usize,
    closed: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self { bytes: [0; OUTPUT], length: 0, closed: false }
    }
}

impl Output {
    /// Takes what a pipe holds; what does not fit is read and forgotten, so that the writer is not blocked.
    fn take(&mut self, pipe: BorrowedFd<'_>) {
        let mut chunk = [0; 512];
        loop {
            match rustix::io::read(pipe, &mut chunk) {
                Ok(0) => {
                    self.closed = true;
                    return;
                }
                Ok(length) => drop(self.write(&chunk[..length])),
                Err(_) => return,
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn detail(&self) -> Detail {
        Detail::new(self.as_bytes().trim_ascii())
    }
}

impl Write for Output {
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
