//! Hooks that run in the runtime's own namespaces: `prestart`, `createRuntime`, `poststart`, `poststop`.
//!
//! config.md, "POSIX-platform Hooks". The state comes on stdin; output is kept for the error only. They run in the bundle,
//! each as the leader of a process group of its own, so that one whose time is over leaves nobody behind.

use crate::error::{Context, Error, Result};
use crate::launch::hook::{self, End, Running, Words};
use crate::plan::step::{Hook, HookEnvironment};
use crate::spec::State;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

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
    let child = command(hook, state, stdin_read, output_write)?.spawn().context(|| "exec")?;
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| Error::new("the hook has no pid"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context(|| "pidfd_open")?;
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

/// The command, which keeps our copies of the hook's ends until it is dropped.
fn command(hook: &Hook, state: &State, stdin: OwnedFd, output: OwnedFd) -> Result<Command> {
    let mut command = Command::new(OsStr::from_bytes(hook.path.to_bytes()));
    let mut arguments = hook.arguments.iter().map(OsStr::from_bytes);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).stdin(stdin).process_group(0);
    command.stdout(output.try_clone().context(|| "dup")?).stderr(output);
    // A bundle that is gone when the container is deleted keeps no hook from tidying up.
    if std::fs::metadata(&state.bundle).is_ok_and(|bundle| bundle.is_dir()) {
        command.current_dir(&state.bundle);
    }
    if let HookEnvironment::Listed(environment) = &hook.environment {
        command.env_clear();
        for entry in environment.iter() {
            let cut = entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len());
            let value = entry.get(cut + 1..).unwrap_or_default();
            command.env(OsStr::from_bytes(&entry[..cut]), OsStr::from_bytes(value));
        }
    }
    Ok(command)
}

fn quoted(words: &[u8]) -> String {
    match words.trim_ascii() {
        [] => String::new(),
        words => format!(": {:?}", String::from_utf8_lossy(words)),
    }
}
