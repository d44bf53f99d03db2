//! `pause` and `resume`: every process of the container stops, and goes on, by the cgroup's freezer.

use crate::cgroup;
use crate::cgroup::Reclaim;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::spec::Status;

/// Pauses a container that runs, or that was created and waits for `start`; with `reclaim` its memory is then given back,
/// while nobody can touch it.
///
/// # Errors
/// `container not running`; a process that the kernel cannot stop; memory that cannot be reclaimed. Then it
/// goes on as before.
pub fn pause(container: &Container, reclaim: Option<Reclaim>) -> Result<()> {
    match container.status()? {
        Status::Running | Status::Created => {}
        Status::Paused => return Err(Error::new("container not running").hint("it is paused already")),
        Status::Creating | Status::Stopped => return Err(Error::new("container not running")),
    }
    let cgroup = cgroup::open(&container.record.cgroup);
    cgroup.freeze()?;
    let Some(amount) = reclaim else { return Ok(()) };
    cgroup.reclaim(amount).inspect_err(|_| {
        let _reported_is_the_first = cgroup.thaw();
    })
}

/// Lets a paused container go on.
///
/// # Errors
/// `container not paused`.
pub fn resume(container: &Container) -> Result<()> {
    if container.status()? != Status::Paused {
        return Err(Error::new("container not paused"));
    }
    cgroup::open(&container.record.cgroup).thaw()
}
