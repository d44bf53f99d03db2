//! Hooks that run in the runtime's own namespaces: `prestart`, `createRuntime`, `poststart`, `poststop`.
//!
//! config.md, "POSIX-platform Hooks". The state comes on stdin; output is kept for the error only.

use crate::error::{Context, Error, Result};
use crate::plan::step::Hook;
use crate::spec::State;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags};
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How much of a hook's output is quoted.
const OUTPUT: usize = 1024;

/// Runs the hooks in order; the first failure ends it.
///
/// # Errors
/// A hook that cannot be run, fails or takes too long; its place, path and output are named.
pub fn run(hooks: &[Hook], state: &State) -> Result<()> {
    hooks.iter().try_for_each(|hook| run_one(hook, state))
}

/// Runs one hook.
///
/// # Errors
/// As [`run`].
pub fn run_one(hook: &Hook, state: &State) -> Result<()> {
    let state = State { status: hook.status, ..state.clone() };
    execute(hook, state.line().as_bytes()).map_err(|error| error.context(format!("{}: {hook}", hook.place)))
}

fn execute(hook: &Hook, state: &[u8]) -> Result<()> {
    let (output, output_write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).context(|| "pipe")?;
    let mut child = command(hook, output_write)?.spawn().context(|| "exec")?;
    // A hook that ends without reading its state is no error.
    if let Some(mut stdin) = child.stdin.take() {
        let _may_not_read = stdin.write_all(state);
    }
    let mut words = Vec::new();
    match wait(&mut child, &output, hook.timeout, &mut words)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(Error::new(format!("{}{}", status_text(status), quoted(&words)))),
        None => {
            let seconds = hook.timeout.unwrap_or_default().as_secs_f64();
            Err(Error::new(format!("hook ran past specified timeout of {seconds:.1}s{}", quoted(&words))))
        }
    }
}

fn command(hook: &Hook, output: OwnedFd) -> Result<Command> {
    let mut command = Command::new(OsStr::from_bytes(hook.path.to_bytes()));
    let mut arguments = hook.arguments.iter().map(OsStr::from_bytes);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(output.try_clone().context(|| "dup")?).stderr(output);
    if let Some(environment) = &hook.environment {
        command.env_clear();
        for entry in environment.iter() {
            let cut = entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len());
            let value = entry.get(cut + 1..).unwrap_or_default();
            command.env(OsStr::from_bytes(&entry[..cut]), OsStr::from_bytes(value));
        }
    }
    Ok(command)
}

/// The status of the hook; nothing when its time was over and it was killed.
fn wait(
    child: &mut Child,
    output: &OwnedFd,
    timeout: Option<Duration>,
    words: &mut Vec<u8>,
) -> Result<Option<ExitStatus>> {
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| Error::new("the hook has no pid"))?;
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context(|| "pidfd_open")?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut closed = false;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left =
            left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        let mut events = [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(output, PollFlags::IN)];
        let watched = if closed { 1 } else { 2 };
        match rustix::event::poll(&mut events[..watched], left.as_ref()) {
            Ok(0) => {
                child.kill().context(|| "kill the hook")?;
                child.wait().context(|| "wait for the hook")?;
                return Ok(None);
            }
            Err(Errno::INTR) => continue,
            answer => drop(answer.context(|| "wait for the hook")?),
        }
        let ended = events[0].revents().contains(PollFlags::IN);
        closed = take(output, words);
        if ended {
            return child.wait().context(|| "wait for the hook").map(Some);
        }
    }
}

/// Reads what the pipe holds and keeps the beginning; true at its end.
fn take(output: &OwnedFd, words: &mut Vec<u8>) -> bool {
    let mut chunk = [0; 4096];
    loop {
        match rustix::io::read(output.as_fd(), &mut chunk) {
            Ok(0) => return true,
            Ok(length) => {
                let room = OUTPUT.saturating_sub(words.len()).min(length);
                words.extend_from_slice(&chunk[..room]);
            }
            Err(_) => return false,
        }
    }
}

fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

fn quoted(words: &[u8]) -> String {
    match words.trim_ascii() {
        [] => String::new(),
        words => format!(": {:?}", String::from_utf8_lossy(words)),
    }
}
