//! `delete`: whatever is left of a container, removed; at whatever point its creator or an earlier delete was killed.

use crate::cgroup;
use crate::container::record::Record;
use crate::container::state::Directory;
use crate::container::{Container, hooks, host_mounts, resctrl, reservation, signal};
use crate::error::{Error, Result};
use crate::log::Log;
use crate::plan::process;
use crate::spec::{State, Status};
use std::time::{Duration, Instant};

/// How long a killed container may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Deletes a stopped container, or one that was created and never started; with `force` any.
///
/// # Errors
/// A container that runs, without `force`; what cannot be removed.
pub fn delete(container: &mut Container, force: bool, log: &Log) -> Result<()> {
    check(container, force)?;
    remove(container, force, log)
}

fn check(container: &Container, force: bool) -> Result<()> {
    let status = container.status()?;
    if force || matches!(status, Status::Stopped | Status::Created) {
        return Ok(());
    }
    let id = &container.record.id;
    Err(Error::new(format!("cannot delete container {id} that is not stopped: {status}")))
}

/// Ends what runs and removes everything: processes, cgroup, record, in this order, so that a second delete finds what a
/// killed one has left.
///
/// # Errors
/// What cannot be removed.
pub fn remove(container: &mut Container, force: bool, log: &Log) -> Result<()> {
    acquire(container, force)?;
    // What another deleter has removed needs no second one, and its hooks have run.
    if container.directory.is_gone()? {
        return Ok(());
    }
    let Some(record) = container.directory.read()? else { return Ok(()) };
    container.record = record;
    check(container, force)?;
    end(container)?;
    remove_cgroup(container, force, log)?;
    host_mounts::remove(&container.record, log)?;
    resctrl::remove(&container.record.resctrl)?;
    reservation::retire(&container.directory)?;
    run_poststop(&container.record, log);
    Ok(())
}

/// Takes the lock. Whoever creates the container gives up when its init is killed; one that does not in time is passed by:
/// it finds its directory gone and has nothing to undo.
fn acquire(container: &mut Container, force: bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    while !container.directory.try_lock()? {
        if container.directory.is_gone()? {
            return Ok(());
        }
        if Instant::now() > deadline {
            return if force {
                Ok(())
            } else {
                Err(Error::new("another process is at work on this container"))
            };
        }
        if force && let Some(record) = container.directory.read()? {
            container.record = record;
            container.directory.mark_deleted()?;
            // Another deleter may be taking the cgroup away this moment. What cannot be killed shows when we have the lock.
            let _may_vanish_meanwhile = signal::kill_all(container);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Ok(())
}

/// Ends the processes. Those of a pid namespace of its own are gone with init.
fn end(container: &Container) -> Result<()> {
    let record = &container.record;
    if record.own_pids && record.init_has_ended()? {
        return Ok(());
    }
    signal::kill_all(container)?;
    match &record.process {
        Some(process) if !process.wait(PATIENCE)? => {
            Err(Error::new(format!("process {} does not end after SIGKILL", process.pid)))
        }
        _ => Ok(()),
    }
}

/// Removes the cgroup. When all processes of the container are gone and there still are some, another container has the
/// same cgroup: only `force` ends those.
fn remove_cgroup(container: &Container, force: bool, log: &Log) -> Result<()> {
    let record = &container.record;
    let cgroup = cgroup::open(&record.cgroup);
    if record.own_pids && record.process.is_some() && !cgroup.pids()?.is_empty() {
        if force {
            cgroup.kill_all()?;
        } else if !leaves(&cgroup)? {
            return log
                .warning(&format!("delete {}: its cgroup has processes of others and stays", record.id));
        }
    }
    cgroup.remove()
}

/// Whether the last processes, which have died, leave the cgroup in a moment.
fn leaves(cgroup: &cgroup::Manager) -> Result<bool> {
    for _ in 0..20 {
        if cgroup.pids()?.is_empty() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(false)
}

/// Removes the directory of a container whose record cannot be read, so that its id is free again.
///
/// # Errors
/// It holds what is none of ours, or cannot be removed.
pub fn discard(directory: &Directory, cause: &Error, log: &Log) -> Result<()> {
    if !directory.is_all_ours()? {
        return Err(cause.clone().hint("the directory holds other files, too, and stays"));
    }
    if !directory.try_lock()? {
        return Err(cause.clone().hint("another process is at work on this container"));
    }
    if directory.is_gone()? {
        return Ok(());
    }
    reservation::retire(directory)?;
    log.warning(&format!("delete: {cause}: processes and cgroups of the container may be left"))
}

/// Runs the `poststop` hooks: the container is gone, so one that fails is told of and the others run (runtime.md,
/// "Lifecycle", step 13).
pub fn run_poststop(record: &Record, log: &Log) {
    let state = State::new(&record.id, Status::Stopped, None, &record.bundle, record.annotations.clone());
    let told = process::hooks(&record.poststop, "hooks.poststop", Status::Stopped).and_then(|hooks| {
        hooks.iter().try_for_each(|hook| match hooks::run_one(hook, &state, None) {
            Ok(()) => Ok(()),
            Err(error) => log.warning(&error.to_string()),
        })
    });
    // A log that cannot be written must not make a delete fail that is complete.
    drop(told);
}
