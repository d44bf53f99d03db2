//! `update`: other limits for a container that exists.

use crate::cgroup;
use crate::container::Container;
use crate::error::{Error, Result};
use crate::host::cgroup::Cgroups;
use crate::log::Log;
use crate::plan;
use crate::spec::{Resources, Status};

/// Changes the limits that are named, all of them or none; devices are never touched.
///
/// # Errors
/// `container not running`; a limit that is invalid, that this machine does not have or that the kernel refuses.
pub fn update(container: &Container, resources: &Resources, log: &Log) -> Result<()> {
    if matches!(container.status()?, Status::Creating | Status::Stopped) {
        return Err(Error::new("container not running"));
    }
    // Two updates at once would put each other's limits back.
    let _lock = container.directory.lock()?;
    let cgroup = cgroup::open(&container.record.cgroup);
    if cgroup.location().directories.is_empty() {
        return Err(Error::new("the container has no cgroup that could be limited"));
    }
    let update = plan::cgroup::update(resources, cgroup.location(), &Cgroups::probe()?, &cgroup.present())?;
    for warning in &update.warnings {
        log.warning(warning)?;
    }
    cgroup.update(&update)
}
