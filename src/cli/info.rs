//! info: what this machine offers to containers, and what it lacks. For people, and for their reports of errors.

use super::grammar::Arguments;
use super::print;
use crate::container::root::Root;
use crate::error::{Context, Result};
use crate::host::cgroup::Mode;
use crate::host::{Host, has_apparmor};
use crate::plan::CgroupManager;
use crate::plan::namespaces::file_name;
use crate::spec::{NamespaceKind, OCI_VERSION, capabilities};
use crate::sys::procfs::Procfs;
use std::fmt::Write;

/// Prints a fact a line: its name, then what there is.
pub fn info(arguments: &Arguments) -> Result<u8> {
    let mut host = Host::probe(&Procfs::open().context(|| "/proc")?)?;
    host.ask_for_selinux()?;
    let mut text = String::new();
    for (name, fact) in facts(arguments, &host) {
        for (index, line) in fact.lines().enumerate() {
            let _never_fails = writeln!(text, "{:16}{line}", if index == 0 { name } else { "" });
        }
    }
    print(&text)?;
    Ok(0)
}

fn facts(arguments: &Arguments, host: &Host) -> Vec<(&'static str, String)> {
    let uname = rustix::system::uname();
    let word = |word: &std::ffi::CStr| word.to_string_lossy().into_owned();
    let root = Root::choose(arguments.root.as_deref());
    vec![
        ("corten", format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("CORTEN_COMMIT"))),
        ("specification", OCI_VERSION.to_owned()),
        ("kernel", format!("{} {}", word(uname.sysname()), word(uname.release()))),
        ("architecture", word(uname.machine())),
        ("state", root.map_or_else(|error| error.to_string(), |root| root.path().display().to_string())),
        ("caller", caller(host)),
        ("lacks", lacking(host.capabilities)),
        ("cgroups", cgroups(host)),
        ("cgroup manager", manager(arguments)),
        ("namespaces", namespaces()),
        ("user namespaces", limit("/proc/sys/user/max_user_namespaces")),
        ("mounts", if host.new_mount_api { "by mount_setattr(2)" } else { "by mount(2)" }.to_owned()),
        ("seccomp", read("/proc/sys/kernel/seccomp/actions_avail")),
        ("apparmor", yes(has_apparmor())),
        ("selinux", yes(host.selinux)),
        ("processors", read("/sys/devices/system/cpu/online")),
    ]
}

fn caller(host: &Host) -> String {
    let place = if host.in_user_namespace { ", in a user namespace" } else { "" };
    format!("uid {}, gid {}{place}", host.uid, host.gid)
}

/// The capabilities that the caller has not.
fn lacking(mask: u64) -> String {
    let names = capabilities::NAMES.iter().enumerate();
    let lacking: Vec<&str> =
        names.filter(|(number, _)| mask & 1 << number == 0).map(|(_, name)| *name).collect();
    match lacking.len() {
        0 => "no capability".to_owned(),
        all if all == capabilities::NAMES.len() => "every capability".to_owned(),
        _ => lacking.join(" "),
    }
}

fn cgroups(host: &Host) -> String {
    let mode = match host.cgroups.mode {
        Mode::None => "none",
        Mode::V1 => "v1",
        Mode::Hybrid => "v1, and v2 beside it",
        Mode::V2 => "v2",
    };
    let lines = host.cgroups.hierarchies.iter().map(|hierarchy| {
        let controllers = hierarchy.controllers.join(" ");
        format!("{}: {}", hierarchy.own_directory(), if controllers.is_empty() { "-" } else { &controllers })
    });
    [mode.to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

fn manager(arguments: &Arguments) -> String {
    let chosen = match arguments.cgroup_manager() {
        CgroupManager::Cgroupfs => "cgroupfs",
        CgroupManager::Systemd => "systemd",
        CgroupManager::Disabled => "disabled",
    };
    let runs = rustix::fs::stat(c"/run/systemd/system").is_ok();
    format!("{chosen}; systemd {}", if runs { "can be asked" } else { "does not run" })
}

/// The kinds that this kernel has.
fn namespaces() -> String {
    let is_there =
        |kind: &&NamespaceKind| rustix::fs::stat(format!("/proc/self/ns/{}", file_name(**kind))).is_ok();
    NamespaceKind::ALL.iter().filter(is_there).map(|kind| kind.word()).collect::<Vec<_>>().join(" ")
}

fn limit(path: &str) -> String {
    match read(path).as_str() {
        "0" => "none may be made (user.max_user_namespaces is 0)".to_owned(),
        number => format!("at most {number}"),
    }
}

/// A small file of the kernel; a dash where it is not there.
fn read(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    if text.trim().is_empty() { "-".to_owned() } else { text.trim().to_owned() }
}

fn yes(is_so: bool) -> String {
    if is_so { "enabled" } else { "not enabled" }.to_owned()
}
