//! Looking after all containers at once: what killed processes have left, what ends with the machine, and what should run after a boot.

use super::options::Restart;
use super::record::{Container, Phase, boot, write_state};
use super::{Containers, Readable, status};
use crate::error::{Context, Error, Result};
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
/// Fails if what there is cannot be listed.
pub fn check(containers: &Containers<'_>) -> Result<(usize, Vec<String>)> {
    let Readable { list, faults: unreadable } = containers.readable(true)?;
    let checked = list.len() + unreadable.len();
    let mut faults: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
    for (container, ..) in &list {
        if is_left_over(container)? {
            faults.push(format!("{}: its monitor has died and left something behind", container.place()));
        }
        let owner = containers.look_up(&container.record.name)?;
        if owner.is_none_or(|owner| owner.record.id != container.record.id) {
            faults.push(format!("{}: its name does not lead to it", container.place()));
        }
    }
    for id in containers.left_aside()?.into_iter().chain(containers.without_record()?) {
        faults.push(format!("container {}: it is half made or half removed", &id[..id.len().min(12)]));
    }
    for id in strays(containers)?.iter().chain(runtime_strays(containers)?.iter().map(|(_, id)| id)) {
        faults.push(format!("bundle {}: its container is gone", &id[..id.len().min(12)]));
    }
    Ok((checked, faults))
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

/// What came of a repair.
#[derive(Debug, Default)]
pub struct Repaired {
    /// Of how many containers something was taken away.
    pub cleared: usize,
    /// What could not be.
    pub failures: Vec<Error>,
}

/// Takes away what is left over. What cannot go does not keep the rest from going.
///
/// # Errors
/// Fails if what there is cannot be listed.
pub fn repair(containers: &Containers<'_>) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let mut count = |result: Result<usize>| match result {
        Ok(cleared) => repaired.cleared += cleared,
        Err(error) => repaired.failures.push(error),
    };
    for id in containers.without_record()? {
        count(containers.put_aside(&id).map(|()| 0));
    }
    count(containers.sweep());
    for (container, ..) in containers.readable(true)?.list {
        count(repair_one(containers, &container));
    }
    // A state that was lost is written anew by now.
    containers.readable(true)?.faults.into_iter().for_each(|fault| count(Err(fault)));
    for (runtime, id) in runtime_strays(containers)? {
        count(runtime.delete(&id).map(|()| 1).context(|| format!("container {id}")));
    }
    for id in strays(containers)? {
        count(super::bundle::clear(&containers.runroot().join("containers").join(id)).map(|()| 1));
    }
    count(Volumes::open(containers.store).and_then(|volumes| volumes.sweep()).map(|_| 0));
    Ok(repaired)
}

fn repair_one(containers: &Containers<'_>, container: &Container) -> Result<usize> {
    let Some(_guard) = containers.hold(container)? else { return Ok(0) };
    let is_left_over = is_left_over(container)?;
    if is_left_over {
        status::forget(containers, container, false).context(|| container.place())?;
        if container.record.options.remove {
            containers.erase(container, true)?;
            return Ok(1);
        }
    }
    if containers.look_up(&container.record.name)?.is_none() {
        containers.reclaim(container)?;
    }
    Ok(usize::from(is_left_over))
}

/// What should run and does not: `always` in any case, `unless-stopped` and `on-failure` where nobody stopped it and it ran when the
/// machine went down. Those that cannot be read are left out: [`repair`] tells of them.
///
/// # Errors
/// Fails if they cannot be listed.
pub fn to_start(containers: &Containers<'_>) -> Result<Vec<Container>> {
    let mut list = containers.readable(true)?.list;
    list.sort_by_key(|(container, ..)| container.record.created);
    let mut chosen = Vec::new();
    for (container, state, now) in list {
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
