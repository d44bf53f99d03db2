//! The agent that answers the container's system calls of `SCMP_ACT_NOTIFY` gets the descriptor that they come out of.
//!
//! config-linux.md, "The Container Process State"; seccomp_unotify(2). The descriptor is fetched out of init with
//! pidfd_getfd(2), since a process under the filter may not be allowed to send it.

use crate::container::process::Cloned;
use crate::container::unix_socket;
use crate::error::{Context, Error, Result};
use crate::launch::protocol::{self, Failure, Report};
use crate::plan::listener::Listener;
use crate::spec::State;
use crate::spec::state::ProcessState;
use crate::sys::terminal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::process::PidfdGetfdFlags;
use std::path::Path;

/// What the agent must hear of before the program runs.
#[derive(Debug)]
pub struct Introduction<'a> {
    /// Where the agent is, and its metadata.
    pub listener: &'a Listener,
    /// The pidfd of the process under the filter.
    pub process: BorrowedFd<'a>,
    /// Its pid.
    pub pid: i32,
    /// The state of the container.
    pub state: State,
}

/// Hears init on its way to the program: nothing when it executes that, a failure when it cannot. Where there is an agent,
/// it has the descriptor before. `silenced` is an init whose filter may keep it from saying so.
///
/// # Errors
/// An agent that cannot be reached; a descriptor that cannot be fetched; an init that ends first, or without a word.
pub fn attend(
    socket: BorrowedFd<'_>,
    mut introduction: Option<Introduction<'_>>,
    silenced: Option<Cloned>,
) -> Result<Option<Failure>> {
    loop {
        match protocol::receive(socket).context(|| "read from init")? {
            Some(Report::Failed(failure)) => return Ok(Some(failure)),
            Some(Report::Listener(number)) if introduction.is_some() => {
                if let Some(introduction) = introduction.take() {
                    introduction.make(number)?;
                }
                protocol::go(socket).context(|| "let init go on")?;
            }
            Some(report) => return Err(Error::new(format!("init reports {report:?} out of turn"))),
            None if introduction.is_some() => {
                return Err(Error::new("linux.seccomp: init ended before the agent had its listener")
                    .hint("the filter must allow init to write and to read"));
            }
            None if silenced.map_or(Ok(false), Cloned::never_executed)? => {
                let words =
                    "linux.seccomp: the program was not executed, and the filter keeps init from saying why";
                return Err(Error::new(words).hint("let the filter allow sendto and exit_group to hear it"));
            }
            None => return Ok(None),
        }
    }
}

impl Introduction<'_> {
    /// Fetches the descriptor and sends it with the state of the process: one connection, one message, the descriptor with
    /// its first byte.
    fn make(&self, number: i32) -> Result<()> {
        let path = &self.listener.path;
        let context = || format!("linux.seccomp.listenerPath: {path}");
        let socket =
            unix_socket::connect_stream(Path::new(path)).map_err(|error| error.context(context()))?;
        let descriptor = fetch(self.process, number).map_err(|error| error.context("linux.seccomp"))?;
        let line = ProcessState::new(&self.listener.metadata, self.pid, &self.state).line();
        send(&socket, line.as_bytes(), descriptor.as_fd()).context(context)
    }
}

fn send(socket: &OwnedFd, text: &[u8], descriptor: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let sent = terminal::send_descriptor(socket.as_fd(), text, descriptor)?;
    let mut rest = text.get(sent..).unwrap_or_default();
    while !rest.is_empty() {
        match rustix::net::send(socket, rest, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            answer => rest = rest.get(answer?..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn fetch(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd> {
    rustix::process::pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()).map_err(|errno| {
        let error = Error::from(errno).context("fetch the listener from init");
        match errno {
            Errno::PERM => error.hint("pidfd_getfd needs CAP_SYS_PTRACE over the container"),
            Errno::NOSYS => error.hint("pidfd_getfd is of Linux 5.6"),
            _ => error,
        }
    })
}
