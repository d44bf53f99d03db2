//! Removing containers, and with them the volumes that nobody named.

use super::options::MountKind;
use super::record::{Container, Record, STATE, Status};
use super::{Containers, status};
use crate::error::{Error, Result};
use crate::store::disk;
use crate::store::lock::Lock;
use crate::volume::Volumes;

/// Removes a container. One that runs is refused, or with `force` ended at once.
///
/// # Errors
/// Says that it runs, or what cannot be removed.
pub fn remove(containers: &Containers<'_>, container: &Container, force: bool, volumes: bool) -> Result<()> {
    let Some(_guard) = containers.hold(container)? else { return Ok(()) };
    let is_strange = force && container.state().is_err();
    if is_strange {
        // A link, or no file: it goes, and nobody looks where it leads. The runtime knows what runs.
        disk::remove_tree(&container.directory.join(STATE))?;
    }
    let (_, now) = container.now()?;
    let runs = now.lives() || now == Status::Restarting;
    if runs && !force {
        return Err(Error::new(format!("it is {}", now.name()))
            .context(container.place())
            .hint("stop it first, or remove it with --force"));
    }
    // One that has just ended may be about to be started again by its policy.
    if force && (runs || container.is_monitored()) {
        status::announce_stop(container)?;
        match status::program(container)? {
            Some(program) => status::kill(containers, container, &program)?,
            None if is_strange => {
                status::runtime(containers, container)?.delete(&container.record.id)?;
            }
            None => {}
        }
    }
    status::settle_held(containers, container, force)?;
    let (_, now) = container.now()?;
    if now.lives() {
        return Err(Error::new(format!("it is {} by now", now.name())).context(container.place()));
    }
    containers.erase(container, volumes || container.record.options.remove)
}

/// Removes a container that does not run; its volumes stay. `false` if it runs by now, if somebody is about to start it or at work on it
/// otherwise, or if it is gone: a prune takes nothing from anybody.
///
/// # Errors
/// Fails if it cannot be removed.
pub fn remove_unneeded(containers: &Containers<'_>, container: &Container) -> Result<bool> {
    let _guard = match Lock::attempt(&container.directory.join("lock")) {
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(false),
        Ok(None) => return Ok(false),
        guard => guard?,
    };
    match container.now()?.1 {
        Status::Created if container.is_monitored() => return Ok(false),
        Status::Created | Status::Exited => {}
        Status::Running | Status::Paused | Status::Restarting => return Ok(false),
    }
    status::settle_held(containers, container, false)?;
    if container.now()?.1.lives() {
        return Ok(false);
    }
    containers.erase(container, container.record.options.remove)?;
    Ok(true)
}

/// Removes the volumes of a container that nobody has named and no other container has.
///
/// # Errors
/// Fails if something cannot be removed.
pub fn unnamed_volumes(containers: &Containers<'_>, record: &Record) -> Result<()> {
    let all = Volumes::open(containers.store)?;
    for mount in &record.options.mounts {
        if let MountKind::Anonymous(name) = &mount.kind
            && let Some(volume) = all.get(name)?
            && users(containers, name)?.is_empty()
        {
            all.remove(&volume)?;
        }
    }
    Ok(())
}

/// The containers that have a volume.
///
/// # Errors
/// Fails if one cannot be read.
pub fn users(containers: &Containers<'_>, volume: &str) -> Result<Vec<Container>> {
    let mut list = containers.list()?;
    list.retain(|container| {
        container.record.options.mounts.iter().any(|mount| match &mount.kind {
            MountKind::Volume(name) | MountKind::Anonymous(name) => name == volume,
            _ => false,
        })
    });
    Ok(list)
}
