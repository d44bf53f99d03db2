//! `start`: lets the waiting init execute the program.

use crate::container::agent::{self, Introduction};
use crate::container::notify::{Relay, Supervisor};
use crate::container::process::{Cloned, Process, needs_pidfd};
use crate::container::record::Record;
use crate::container::{Container, hooks, signal};
use crate::error::{Error, Result};
use crate::launch;
use crate::launch::protocol::{self, Report};
use crate::spec::{State, Status};
use rustix::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Starts a created container and waits until its program runs, or cannot; with a supervisor, of which the container was told
/// when it was created, until the program is ready or has ended.
///
/// # Errors
/// A container in another state; a step of init that failed; a `poststart` hook that failed, which ends the container.
pub fn start(container: &Container, supervisor: Option<&Supervisor>) -> Result<()> {
    match container.status()? {
        Status::Created => {}
        Status::Stopped => return Err(Error::new("cannot start a container that has stopped")),
        Status::Running => return Err(Error::new("cannot start an already running container")),
        status => return Err(Error::new(format!("cannot start a container that is {status}"))),
    }
    let start = &container.record.start;
    let Some(program) = &start.program else {
        return Err(Error::new("config.json: process: missing, but start needs it"));
    };
    let already = || Error::new("cannot start an already running container");
    let supervisor = match supervisor {
        Some(supervisor) if container.directory.has_notify_directory()? => Some(supervisor),
        _ => None,
    };
    let init = match (&start.listener, supervisor) {
        (None, None) => None,
        (Some(_), _) => open_init(container, "linux.seccomp.listenerPath")?,
        (None, Some(_)) => open_init(container, "NOTIFY_SOCKET")?,
    };
    let relay = supervisor.map(|supervisor| Relay::open(supervisor, &container.directory)).transpose()?;
    let connection = container.directory.connect()?.ok_or_else(already)?;
    match protocol::receive(&connection)? {
        Some(Report::Accepted) => {}
        Some(report) => return Err(Error::new(format!("init reports {report:?} out of turn"))),
        None => return Err(already()),
    }
    let introduction = match (&start.listener, &init) {
        (Some(listener), Some(init)) => {
            let state = creating(&container.record);
            let pid = state.pid.unwrap_or_default();
            Some(Introduction { listener, process: init.as_fd(), pid, state })
        }
        _ => None,
    };
    let silenced = container.record.process.filter(|_| start.silenced).map(Cloned::from);
    let outcome = agent::attend(connection.as_fd(), introduction, silenced).inspect_err(|_| end(container));
    if let Some(failure) = outcome? {
        // It ends by itself, unless its filter does not let it.
        end(container);
        return Err(launch::start_failure(start.first, &start.steps, program, &failure));
    }
    if start.hooks {
        check_executed(container)?;
    }
    poststart(container)?;
    match (relay, &init, &container.record.process) {
        (Some(relay), Some(init), Some(process)) => relay.await_ready(process.pid, init.as_fd()),
        _ => Ok(()),
    }
}

/// Fails when init was killed in a hook and has not come to its program, as by a `delete --force`. Of one that its parent has reaped
/// already that is known no more, but for a container that is gone.
fn check_executed(container: &Container) -> Result<()> {
    let is_missing =
        container.record.process.map_or(Ok(false), |process| Cloned::from(process).never_executed())?;
    if container.directory.is_gone()? {
        return Err(Error::new("the container was deleted meanwhile"));
    }
    if is_missing { Err(Error::new("init was ended before the program was executed")) } else { Ok(()) }
}

/// A pidfd of init, while that still waits, for what needs one.
fn open_init(container: &Container, what: &str) -> Result<Option<OwnedFd>> {
    let held = container.record.process.as_ref().map_or(Ok(None), Process::open)?;
    held.map(|held| held.into_pidfd().ok_or_else(|| needs_pidfd(what))).transpose()
}

/// The state as the agent is told it. Its status is that of runc, which loads the filter before the end of `create`.
fn creating(record: &Record) -> State {
    let pid = record.process.as_ref().map(|process| process.pid);
    State::new(&record.id, Status::Creating, pid, &record.bundle, record.annotations.clone())
}

/// Ends a container that may not go on; what is reported is why.
fn end(container: &Container) {
    let _reported_is_the_cause = signal::kill_all(container);
    if let Some(process) = &container.record.process {
        let _reported_is_the_cause = process.wait(Duration::from_secs(10));
    }
}

/// Runs the `poststart` hooks; when one fails the container must not go on (runtime.md, "Lifecycle", step 10).
fn poststart(container: &Container) -> Result<()> {
    let record = &container.record;
    let hooks = crate::plan::process::hooks(&record.poststart, "hooks.poststart", Status::Running)?;
    if hooks.is_empty() {
        return Ok(());
    }
    let mut state = container.state()?;
    (state.rootfs, state.created, state.owner) = (None, None, None);
    hooks::run(&hooks, &state, None).inspect_err(|_| end(container))
}
