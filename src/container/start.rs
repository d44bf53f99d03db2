//! `start`: lets the waiting init execute the program.

use crate::container::{Container, hooks, signal};
use crate::error::{Error, Result};
use crate::launch;
use crate::launch::protocol::{self, Report};
use crate::spec::Status;
use std::time::Duration;

/// Starts a created container and waits until its program runs, or cannot.
///
/// # Errors
/// A container in another state; a step of init that failed; a `poststart` hook that failed, which ends the container.
pub fn start(container: &Container) -> Result<()> {
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
    let connection = container.directory.connect()?.ok_or_else(already)?;
    match protocol::receive(&connection)? {
        Some(Report::Accepted) => {}
        Some(report) => return Err(Error::new(format!("init reports {report:?} out of turn"))),
        None => return Err(already()),
    }
    match protocol::receive(&connection)? {
        None => {}
        Some(Report::Failed(failure)) => {
            return Err(launch::start_failure(start.first, &start.steps, program, &failure));
        }
        Some(report) => return Err(Error::new(format!("init reports {report:?} out of turn"))),
    }
    poststart(container)
}

/// Runs the `poststart` hooks; when one fails the container must not go on (runtime.md, "Lifecycle", step 10).
fn poststart(container: &Container) -> Result<()> {
    let record = &container.record;
    let hooks = crate::plan::process::hooks(&record.poststart, "hooks.poststart", Status::Running, None)?;
    if hooks.is_empty() {
        return Ok(());
    }
    let mut state = container.state()?;
    (state.rootfs, state.created, state.owner) = (None, None, None);
    hooks::run(&hooks, &state).inspect_err(|_| {
        let _reported_is_the_hook = signal::kill_all(container);
        if let Some(process) = &record.process {
            let _reported_is_the_hook = process.wait(Duration::from_secs(10));
        }
    })
}
