//! `mounts add` and `mounts remove`: other mounts for a container that runs, all of those that are named or none.

use crate::container::Container;
use crate::container::birth::{died, unexpected};
use crate::container::exec::shares_user_namespace;
use crate::container::record::Added;
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::launch::prepared::Prepared;
use crate::launch::protocol::Report;
use crate::launch::spawn::{self, CgroupEntry, Sockets};
use crate::plan::Plan;
use crate::plan::live_mounts::Live;
use crate::plan::mounts::target_of;
use crate::plan::namespaces::Known;
use crate::spec::linux::NamespaceKind;
use crate::spec::{Mount, Status};
use crate::sys::procfs::Procfs;
use rustix::process::DumpableBehavior;
use std::path::Path;

/// Mounts something in the container.
///
/// # Errors
/// `container not running`; a mount that cannot be made, with its place. Then none is.
pub fn add(container: &Container, mounts: &[Mount]) -> Result<()> {
    change(container, mounts, Plan::add_mounts, |added| {
        for (index, mount) in mounts.iter().enumerate() {
            let destination = format!("/{}", target_of(&mount.destination));
            let source = mount.source.clone().unwrap_or_default();
            if let Some(there) = added.iter().find(|there| there.destination == destination) {
                return Err(Error::new(format!(
                    "mounts[{index}].destination: {:?} was added there already",
                    there.source
                ))
                .hint(format!("mounts remove takes {destination:?} away")));
            }
            let bind = mount.options.iter().any(|word| word == "bind" || word == "rbind");
            added.push(Added { destination, source, bind });
        }
        Ok(())
    })
}

/// Takes mounts away again, by their destinations.
///
/// # Errors
/// `container not running`; a destination where nothing is mounted, with its place. Then none is taken away.
pub fn remove(container: &Container, mounts: &[Mount]) -> Result<()> {
    change(container, mounts, Plan::remove_mounts, |added| {
        let gone = |there: &Added| {
            mounts.iter().any(|mount| there.destination == format!("/{}", target_of(&mount.destination)))
        };
        added.retain(|there| !gone(there));
        Ok(())
    })
}

type Decide = for<'a> fn(Live<'a>, crate::plan::exec::Template<'_>, &'a [Mount], &'a Host) -> Result<Plan>;

fn change(
    container: &Container,
    mounts: &[Mount],
    decide: Decide,
    note: impl FnOnce(&mut Vec<Added>) -> Result<()>,
) -> Result<()> {
    match container.status()? {
        Status::Running | Status::Paused => {}
        _ => return Err(Error::new("container not running")),
    }
    let _lock = container.directory.lock()?;
    let ended = || Error::new("container not running");
    let mut record = container.directory.read()?.ok_or_else(ended)?;
    note(&mut record.mounts)?;
    let init = record.process.ok_or_else(ended)?;
    let target = init.open()?.ok_or_else(ended)?;
    let template = container.directory.read_template()?;
    let procfs = Procfs::open().context(|| "/proc")?;
    let host = Host::probe_caller(&procfs)?;
    let joins_user = template.namespaces.contains(&NamespaceKind::User);
    let live = Live {
        id: &record.id,
        init: Known { pid: init.pid, by_pidfd: target.pidfd().is_some() },
        bundle: Path::new(&record.bundle),
        in_user_namespace: joins_user && shares_user_namespace(init.pid)?,
    };
    let plan = decide(live, template, mounts, &host)?;
    if host.privileged() {
        // As for exec: nobody inside may look at the process that comes in.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context(|| "forbid to be traced")?;
    }
    let no_hooks = |_: &_| (Vec::new(), Vec::new());
    let mut prepared = Prepared::new(&plan, host.ignored_signals, host.new_mount_api, no_hooks);
    let sockets = Sockets { target: Some(target), ..Sockets::default() };
    let process = spawn::spawn(&plan, &mut prepared, CgroupEntry::default(), sockets, procfs)?;
    match process.report()? {
        Some(Report::Ready) => {}
        Some(report) => return Err(unexpected(&plan, report)),
        None => return Err(died(&process, "the process that mounts")),
    }
    // What is not on record it puts back when its socket ends.
    container.directory.write(&record).inspect_err(|_| process.abandon())?;
    process.go()?;
    process.wait();
    Ok(())
}
