//! Hooks that run in the container's namespaces, as children of init: `createContainer` and `startContainer`.
//!
//! config.md, "POSIX-platform Hooks". The state comes on stdin, complete but for the pid as the container sees it.

use super::Init;
use crate::errno;
use crate::launch::hook::{self, End, Running, Words};
use crate::launch::protocol::{Fault, Reason};
use crate::plan::step::Hook;
use crate::sys::clone::{self, Request, Side};
use crate::sys::exec::execve;
use crate::sys::signals::{self, IgnoredPipe};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io::Write;

impl Init<'_> {
    /// Runs the next hook and waits for it.
    pub(super) fn run_hook(&mut self, hook: &Hook) -> Result<(), Fault> {
        let index = self.hooks_run;
        self.hooks_run += 1;
        let (stdin_read, stdin) = hook::state_pipe()?;
        let (output, output_write) = hook::output_pipe()?;
        let (pid, pidfd) = match clone::clone3(&Request::default())? {
            Side::Child => self.become_hook(hook, index, &stdin_read, &output_write),
            Side::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop((stdin_read, output_write));
        // The dispositions are the container's by now, and it may not be protected as the first of a pid namespace.
        let _until_it_has_ended = IgnoredPipe::begin();
        let Some(prepared) = self.prepared.hooks.get(index) else { return Err(Errno::NOENT.into()) };
        let mut number = Words::default();
        let _fits = write!(number, "{}", rustix::process::getpid().as_raw_nonzero());
        let state = [prepared.state_head.as_slice(), number.as_bytes(), prepared.state_tail.as_slice()];
        let running = Running {
            pid,
            pidfd: pidfd.as_fd(),
            stdin,
            output: output.as_fd(),
            timeout: hook.timeout,
            interrupts: None,
        };
        let mut words = Words::default();
        let (reason, errno) = match hook::attend(running, state, &mut words)? {
            End::Exited(0) => return Ok(()),
            End::Exited(status) => (Reason::HookStatus, status),
            End::Signalled(signal) => (Reason::HookSignal, signal),
            End::TimedOut | End::Interrupted => {
                let seconds = hook.timeout.map_or(0, |timeout| timeout.as_secs());
                (Reason::HookTimeout, i32::try_from(seconds).unwrap_or(i32::MAX))
            }
        };
        Err(Fault { reason, errno, detail: words.detail() })
    }

    /// The hook's side: a group of its own, stdin and output in place, the caller's umask, nothing blocked, no filter, no
    /// descriptors of ours.
    fn become_hook(&mut self, hook: &Hook, index: usize, stdin: &OwnedFd, output: &OwnedFd) -> ! {
        let connected = rustix::process::setpgid(None, None)
            .and_then(|()| rustix::stdio::dup2_stdin(stdin))
            .and_then(|()| rustix::stdio::dup2_stdout(output))
            .and_then(|()| rustix::stdio::dup2_stderr(output))
            .and_then(|()| signals::reset(self.prepared.ignored_signals))
            .and_then(|()| match &self.descriptors.procfs {
                Some(procfs) => crate::sys::directory::close_on_exec_from(3, procfs),
                // Marked already, before the descriptor was closed.
                None => Ok(()),
            });
        if let Some(umask) = self.callers_umask {
            rustix::process::umask(umask);
        }
        if connected.is_ok()
            && let Some(prepared) = self.prepared.hooks.get(index)
        {
            if let Some(directory) = &hook.directory {
                begin_in(directory);
            }
            let environment = prepared.environment.as_ref().unwrap_or(&self.prepared.environment);
            let errno = execve(&hook.path, &prepared.arguments, environment);
            let mut words = Words::default();
            let _best_effort = match errno::known(errno.raw_os_error()) {
                Some(text) => write!(words, "exec: {text}"),
                None => write!(words, "exec: errno {}", errno.raw_os_error()),
            };
            let _best_effort = rustix::io::write(output, words.as_bytes());
        }
        clone::exit(127)
    }
}

/// Goes where a hook begins. Best effort: nothing says where that is, and in a user namespace init may not come there.
fn begin_in(directory: &CStr) {
    let _best_effort = rustix::process::chdir(directory);
}
