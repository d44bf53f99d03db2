//! Looking after all containers at once: what killed processes have left, what ends with the machine, and what should run after a boot.

use super::options::Restart;
use super::record::{Container, Phase, boot, write_state};
use super::{Containers, status};
use crate::error::{Context, Result};
use crate::runtime::Runtime;
use crate::store::disk;
use crate::volume::Volumes;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// Whether a monitor or a command that died has left something of a container that does not run.
fn is_left_over(container: &Container) -> Result<bool> {
    let (state, now) = container.now()?;
    let died = matches!(state.phase, Phase::Starting | Phase::Running | Phase::Restarting) && !now.lives();
    let bundle = std::fs::symlink_metadata(&container.run).is_ok() && !now.lives();
    Ok((died || bundle) && !container.is_monitored())
}

/// What is wrong: how many containers were looked at, and a sentence for each fault.
///
/// # Errors
/// Fails if a record cannot be read.
pub fn check(containers: &Containers<'_>) -> Result<(usize, Vec<String>)> {
    let list = containers.list()?;
    let mut faults = Vec::new();
    for container in &list {
        if is_left_over(container)? {
            faults.push(format!("{}: its monitor has died and left something behind", container.place()));
        }
        let owner = containers.look_up(&container.record.name)?;
        if owner.is_none_or(|owner| owner.record.id != container.record.id) {
            faults.push(format!("{}: its name does not lead to it", container.place()));
        }
    }
    for id in containers.left_aside()? {
        faults.push(format!("container {}: it is half made or half removed", &id[..id.len().min(12)]));
    }
    for id in strays(containers)?.iter().chain(runtime_strays(containers)?.iter().map(|(_, id)| id)) {
        faults.push(format!("bundle {}: its container is gone", &id[..id.len().min(12)]));
    }
    Ok((list.len(), faults))
}

/// The bundles of containers that are not there.
fn strays(containers: &Containers<'_>) -> Result<Vec<String>> {
    let mut strays = disk::names(&containers.runroot().join("containers"))?;
    // One that is being removed is in good hands.
    strays.retain(|id| !containers.is_there(id));
    Ok(strays)
}

/// What runtimes know of containers that are not there.
fn runtime_strays(containers: &Containers<'_>) -> Result<Vec<(Runtime, String)>> {
    let mut strays = Vec::new();
    for runtime in Runtime::with_state(containers.runroot())? {
        let ids = runtime.known()?.into_iter().filter(|id| !containers.is_there(id));
        strays.extend(ids.map(|id| (runtime.clone(), id)));
    }
    Ok(strays)
}

/// Takes away what is left over; of how many containers.
///
/// # Errors
/// Fails if something cannot be removed.
pub fn repair(containers: &Containers<'_>) -> Result<usize> {
    let mut cleared = containers.sweep()?;
    for container in containers.list()? {
        let _guard = container.lock()?;
        if is_left_over(&container)? {
            status::forget(containers, &container, false).context(|| container.place())?;
            cleared += 1;
            if container.record.options.remove {
                super::remove::erase(containers, &container, true)?;
            }
        }
        if containers.look_up(&container.record.name)?.is_none() {
            containers.reclaim(&container)?;
        }
    }
    for (runtime, id) in runtime_strays(containers)? {
        runtime.delete(&id)?;
        cleared += 1;
    }
    for id in strays(containers)? {
        super::bundle::clear(&containers.runroot().join("containers").join(id))?;
        cleared += 1;
    }
    Volumes::open(containers.store)?.sweep()?;
    Ok(cleared)
}

/// What should run and does not: `always` in any case, `unless-stopped` and `on-failure` where nobody stopped it and it ran when the
/// machine went down.
///
/// # Errors
/// Fails if a record cannot be read.
pub fn to_start(containers: &Containers<'_>) -> Result<Vec<Container>> {
    let mut list = containers.list()?;
    list.sort_by_key(|container| container.record.created);
    let mut chosen = Vec::new();
    for container in list {
        let (state, now) = container.now()?;
        let ran_before =
            !state.boot.is_empty() && state.boot != boot() && !state.stopped && state.phase != Phase::Created;
        let wanted = match container.record.options.restart {
            Restart::No => false,
            Restart::Always => state.phase != Phase::Created,
            Restart::UnlessStopped => state.phase != Phase::Created && !state.stopped,
            Restart::OnFailure(_) => ran_before && state.exit_code != 0,
        };
        if wanted && !now.lives() && !container.is_monitored() {
            chosen.push(container);
        }
    }
    Ok(chosen)
}

/// A container that was asked to end since the machine goes down: unlike one that somebody stopped, it runs again after the boot.
#[derive(Debug)]
pub struct Ending {
    container: Container,
    program: Option<OwnedFd>,
    until: Instant,
    was_stopped: bool,
}

/// Asks a container to end; [`Ending::finish`] waits for it, so that all can be asked before any is waited for.
///
/// # Errors
/// Fails if it cannot be signalled.
pub fn ask_to_end(containers: &Containers<'_>, container: Container) -> Result<Ending> {
    let was_stopped = container.state()?.stopped;
    let program = status::ask_to_end(containers, &container, status::stop_signal(&container)?)?;
    Ok(Ending { program, until: Instant::now() + status::patience(&container), was_stopped, container })
}

impl Ending {
    /// Waits until the container has ended, and ends it when its time is over.
    ///
    /// # Errors
    /// Fails if it does not end.
    pub fn finish(self, containers: &Containers<'_>) -> Result<()> {
        let Self { container, program, until, was_stopped } = self;
        let left = until.saturating_duration_since(Instant::now());
        status::finish(containers, &container, program, Some(left))?;
        // With `--rm` it is gone now.
        if containers.by_id(&container.record.id)?.is_none() {
            return Ok(());
        }
        let _guard = container.lock()?;
        let mut state = container.state()?;
        state.stopped = was_stopped;
        write_state(&container.directory, &state)
    }
}
