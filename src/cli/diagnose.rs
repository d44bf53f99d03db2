//! plan: what create would do, without doing it.

use super::grammar::{Arguments, Plan as Typed};
use super::lifecycle::rootless;
use super::print;
use crate::error::{Context, Error, Result};
use crate::host::Host;
use crate::log::Log;
use crate::plan::{CgroupManager, Options, Plan, text};
use crate::spec;
use crate::sys::procfs::Procfs;

/// Prints the plan of a bundle on this machine.
pub fn plan(arguments: &Arguments, typed: &Typed, log: &Log) -> Result<u8> {
    spec::validate::valid_id(&typed.id)?;
    let bundle =
        std::path::absolute(&typed.bundle).context(|| format!("--bundle {}", typed.bundle.display()))?;
    let loaded = spec::load(&bundle)?;
    let mut host = Host::probe(&Procfs::open().context(|| "/proc")?)?;
    if arguments.cgroup_manager() == CgroupManager::Systemd {
        host.ask_for_systemd();
    }
    if loaded.spec.linux.mount_label.is_some() {
        host.ask_for_selinux()?;
    }
    let options = Options {
        await_start: true,
        cgroup_manager: arguments.cgroup_manager(),
        rootless: rootless(arguments.rootless),
        ..Options::plain(&typed.id, &bundle)
    };
    let plan = Plan::new(&loaded.spec, &host, &options).map_err(|error| error.context("config.json"))?;
    if let Err(error) = plan.namespaces.check_rights(&host) {
        log.warning(&format!("create would fail: config.json: {error}"))?;
    }
    for warning in loaded.warnings.iter().chain(&plan.warnings).chain(&plan.cgroup.warnings) {
        log.warning(warning)?;
    }
    if typed.json {
        let lines = serde_json::to_string_pretty(&text::lines(&plan));
        print(&(lines.map_err(|error| Error::new(error.to_string()))? + "\n"))?;
    } else {
        print(&text::table(&plan))?;
    }
    Ok(0)
}
