//! `delete`: whatever is left of a container, removed; at whatever point its creator or an earlier delete was killed.

use crate::cgroup;
use crate::container::record::Record;
use crate::container::{Container, hooks, resctrl, signal};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::plan::process;
use crate::spec::{State, Status};
use std::time::Duration;

/// How long a killed container may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a stopped container, or one that was created and never started; with `force` any.
///
/// # Errors
/// A container that runs, without `force`; what cannot be removed.
pub fn delete(container: &Container, force: bool, log: &Log) -> Result<()> {
    let status = container.status()?;
    let ended = matches!(status, Status::Stopped | Status::Created);
    if !ended && !force {
        let id = &container.record.id;
        return Err(Error::new(format!("cannot delete container {id} that is not stopped: {status}")));
    }
    remove(container, log)
}

/// Ends what runs and removes everything: processes, cgroup, record, in this order, so that a second delete finds what a
/// killed one has left.
///
/// # Errors
/// What cannot be removed.
pub fn remove(container: &Container, log: &Log) -> Result<()> {
    // With init all processes of its pid namespace are gone. What else may be in the cgroup is killed when it is in the way.
    let gone = container.record.own_pids && container.init_has_ended()?;
    if !gone {
        signal::kill_all(container)?;
    }
    if let Some(process) = &container.record.process
        && !gone
        && !process.wait(PATIENCE)?
    {
        return Err(Error::new(format!("process {} does not end after SIGKILL", process.pid)));
    }
    let cgroup = cgroup::open(&container.record.cgroup);
    if gone && !cgroup.pids()?.is_empty() {
        cgroup.kill_all()?;
    }
    cgroup.remove()?;
    resctrl::remove(&container.record.resctrl)?;
    container.directory.remove()?;
    run_poststop(&container.record, log);
    Ok(())
}

/// Runs the `poststop` hooks: the container is gone, so one that fails is told of and the others run (runtime.md,
/// "Lifecycle", step 13).
pub fn run_poststop(record: &Record, log: &Log) {
    let state = State::new(&record.id, Status::Stopped, None, &record.bundle, record.annotations.clone());
    let told = process::hooks(&record.poststop, "hooks.poststop", Status::Stopped, None).and_then(|hooks| {
        hooks.iter().try_for_each(|hook| match hooks::run_one(hook, &state, None) {
            Ok(()) => Ok(()),
            Err(error) => log.warning(&error.to_string()),
        })
    });
    // A log that cannot be written must not make a delete fail that is complete.
    drop(told);
}
