//! Hooks that run in the runtime's own namespaces: `prestart`, `createRuntime`, `poststart`, `poststop`.
//!
//! config.md, "POSIX-platform Hooks". The state comes on stdin; output is kept for the error only. They run in the bundle,
//! each as the leader of a process group of its own, so that one whose time is over leaves nobody behind.

use crate::error::{Context, Error, Result};
use crate::launch::hook::{self, End, Running, Words};
use crate::launch::prepared::PreparedHook;
use crate::plan::step::Hook;
use crate::spec::State;
use crate::sys::clone::{self, Request, Side};
use crate::sys::exec::{StringArray, execve};
use crate::sys::signals;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;
use std::ffi::{CStr, CString};

/// Runs the hooks in order; the first failure ends it, and so does something to read on `interrupts`.
///
/// # Errors
/// A hook that cannot be run, fails or takes too long; its place, path and output are named.
pub fn run(hooks: &[Hook], state: &State, interrupts: Option<BorrowedFd<'_>>) -> Result<()> {
    hooks.iter().try_for_each(|hook| run_one(hook, state, interrupts))
}

/// Runs one hook.
///
/// # Errors
/// As [`run`].
pub fn run_one(hook: &Hook, state: &State, interrupts: Option<BorrowedFd<'_>>) -> Result<()> {
    let state = State { status: hook.status, ..state.clone() };
    execute(hook, &state, interrupts).map_err(|error| error.context(format!("{}: {hook}", hook.place)))
}

fn execute(hook: &Hook, state: &State, interrupts: Option<BorrowedFd<'_>>) -> Result<()> {
    let (stdin_read, stdin) = hook::state_pipe().context(|| "pipe")?;
    let (output, output_write) = hook::output_pipe().context(|| "pipe")?;
    let (pid, pidfd) = Child::new(hook, state, stdin_read, output_write).start()?;
    let running = Running {
        pid,
        pidfd: pidfd.as_fd(),
        stdin,
        output: output.as_fd(),
        timeout: hook.timeout,
        interrupts,
    };
    let mut words = Words::default();
    let end = hook::attend(running, [state.line().as_bytes(), &[], &[]], &mut words)
        .context(|| "wait for the hook")?;
    let said = quoted(words.as_bytes());
    match end {
        End::Exited(0) => Ok(()),
        End::Exited(status) => Err(Error::new(format!("exit status {status}{said}"))),
        End::Signalled(signal) => Err(Error::new(format!("ended by signal {signal}{said}"))),
        End::Interrupted => Err(Error::new("interrupted")),
        End::TimedOut => {
            let seconds = hook.timeout.unwrap_or_default().as_secs_f64();
            Err(Error::new(format!("hook ran past specified timeout of {seconds:.1}s{said}")))
        }
    }
}

/// What a hook becomes, all of it laid out before the clone.
struct Child<'a> {
    path: &'a CStr,
    arguments: StringArray,
    environment: StringArray,
    /// Where it begins.
    directory: Option<CString>,
    stdin: OwnedFd,
    output: OwnedFd,
}

impl<'a> Child<'a> {
    fn new(hook: &'a Hook, state: &State, stdin: OwnedFd, output: OwnedFd) -> Self {
        let prepared = PreparedHook::new(hook, &|_| (Vec::new(), Vec::new()));
        // A bundle that is gone when the container is deleted keeps no hook from tidying up.
        let is_directory = std::fs::metadata(&state.bundle).is_ok_and(|bundle| bundle.is_dir());
        Self {
            path: &hook.path,
            arguments: prepared.arguments,
            environment: prepared.environment.unwrap_or_else(|| StringArray::new([])),
            directory: CString::new(state.bundle.as_str()).ok().filter(|_| is_directory),
            stdin,
            output,
        }
    }

    /// Makes the process, and keeps none of its ends. Why it cannot be executed comes back by a pipe, which execution closes.
    fn start(self) -> Result<(Pid, OwnedFd)> {
        let (failed, failure) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(|| "pipe")?;
        let (pid, pidfd) = match clone::clone3(&Request::default()).context(|| "clone")? {
            Side::Child => {
                let errno = self.become_program();
                let _runtime_may_be_gone = rustix::io::write(&failure, &errno.raw_os_error().to_ne_bytes());
                clone::exit(127)
            }
            Side::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop(failure);
        let mut errno = [0; 4];
        if rustix::io::retry_on_intr(|| rustix::io::read(&failed, &mut errno)) == Ok(errno.len()) {
            hook::reap(pidfd.as_fd()).context(|| "wait for the hook")?;
            let errno = Errno::from_raw_os_error(i32::from_ne_bytes(errno));
            return Err(Error::from(errno).context("exec"));
        }
        Ok((pid, pidfd))
    }

    /// In the child: a group of its own, stdin and output in place, no signal blocked, SIGPIPE as programs expect it.
    fn become_program(&self) -> Errno {
        let connected = rustix::process::setpgid(None, None)
            .and_then(|()| rustix::stdio::dup2_stdin(&self.stdin))
            .and_then(|()| rustix::stdio::dup2_stdout(&self.output))
            .and_then(|()| rustix::stdio::dup2_stderr(&self.output))
            .and_then(|()| signals::reset(1 << (libc::SIGPIPE - 1)))
            .and_then(|()| self.directory.as_ref().map_or(Ok(()), rustix::process::chdir));
        match connected {
            Ok(()) => execve(self.path, &self.arguments, &self.environment),
            Err(errno) => errno,
        }
    }
}

fn quoted(words: &[u8]) -> String {
    match words.trim_ascii() {
        [] => String::new(),
        words => format!(": {:?}", String::from_utf8_lossy(words)),
    }
}
