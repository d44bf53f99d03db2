//! `update`: other limits for a container that exists.

use crate::cgroup;
use crate::container::Container;
use crate::container::resctrl::Change;
use crate::error::{Error, Result};
use crate::host::cgroup::Cgroups;
use crate::log::Log;
use crate::plan;
use crate::plan::resctrl::Resctrl;
use crate::spec::linux::IntelRdt;
use crate::spec::{Resources, Status, validate};

/// Changes the limits that are named, all of them or none; devices are never touched.
///
/// # Errors
/// `container not running`; a limit that is invalid, that this machine does not have or that the kernel refuses.
pub fn update(
    container: &mut Container,
    resources: &Resources,
    rdt: Option<&IntelRdt>,
    log: &Log,
) -> Result<()> {
    if matches!(container.status()?, Status::Creating | Status::Stopped) {
        return Err(Error::new("container not running"));
    }
    rdt.map_or(Ok(()), validate::intel_rdt)?;
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
    match rdt {
        Some(rdt) => with_classes(container, rdt, || cgroup.update(&update)),
        None => cgroup.update(&update),
    }
}

/// Changes the class of service, and then the rest; all or none.
fn with_classes(container: &mut Container, rdt: &IntelRdt, rest: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut template = container.directory.read_template()?;
    let plan = Resctrl::decide(rdt, &container.record.id);
    let mut change = Change::find(&plan, &template.resctrl)?;
    let is_new = template.resctrl.is_empty();
    if !is_new {
        change.write()?;
        rest()?;
        change.keep();
        return Ok(());
    }
    let recorded = std::mem::replace(&mut container.record.resctrl, change.made());
    // On record before it is made, as in `create`: `delete` finds what a killed update has left.
    container.directory.write(&container.record)?;
    let cgroup = cgroup::open(&container.record.cgroup);
    let done =
        change.write().and_then(|()| change.take_in(|| cgroup.pids())).and_then(|()| rest()).and_then(|()| {
            template.resctrl = change.directories();
            container.directory.rewrite_template(&template)
        });
    match done {
        Ok(()) => change.keep(),
        Err(error) => {
            drop(change);
            container.record.resctrl = recorded;
            container.directory.write(&container.record)?;
            return Err(error);
        }
    }
    Ok(())
}
