//! The rest of `linux`: paths to restrict, devices, network devices, and the small objects (config-linux.md).

use super::{absolute, scheduling, sysctl, wrong};
use crate::error::Result;
use crate::spec::linux::{Device, DeviceKind, IntelRdt, Linux, NamespaceKind};
use std::collections::BTreeMap;

/// Bits of the numbers in the kernel's `dev_t`.
const MAJORS: i64 = 1 << 12;
const MINORS: i64 = 1 << 20;

pub(super) fn linux(linux: &Linux, warnings: &mut Vec<String>) -> Result<()> {
    restricted_paths(linux, "linux.maskedPaths", &linux.masked_paths)?;
    restricted_paths(linux, "linux.readonlyPaths", &linux.readonly_paths)?;
    sysctl::sysctl(linux)?;
    for (index, device) in linux.devices.iter().enumerate() {
        self::device(index, device)?;
    }
    net_devices(linux)?;
    if let Some(rdt) = &linux.intel_rdt {
        intel_rdt(rdt)?;
    }
    if let Some(policy) = &linux.memory_policy {
        scheduling::memory_policy(policy)?;
    }
    if let Some(personality) = linux.personality.as_ref().filter(|personality| !personality.flags.is_empty())
    {
        let flags = personality.flags.join(", ");
        warnings.push(format!("linux.personality.flags: ignoring unknown {flags}"));
    }
    Ok(())
}

/// Without a mount namespace the host's own paths would be restricted.
fn restricted_paths(linux: &Linux, place: &str, paths: &[String]) -> Result<()> {
    if !paths.is_empty() && linux.namespace(NamespaceKind::Mount).is_none() {
        return Err(wrong(place, "needs a mount namespace"));
    }
    for (index, path) in paths.iter().enumerate() {
        absolute(path, || format!("{place}[{index}]"))?;
    }
    Ok(())
}

fn device(index: usize, device: &Device) -> Result<()> {
    absolute(&device.path, || format!("linux.devices[{index}].path"))?;
    if device.kind == DeviceKind::Fifo {
        return Ok(());
    }
    for (field, number, end) in [("major", device.major, MAJORS), ("minor", device.minor, MINORS)] {
        let place = format!("linux.devices[{index}].{field}");
        let number = number.ok_or_else(|| wrong(&place, "missing"))?;
        if !(0..end).contains(&number) {
            return Err(wrong(place, format_args!("{number} is not between 0 and {}", end - 1)));
        }
    }
    Ok(())
}

fn net_devices(linux: &Linux) -> Result<()> {
    if !linux.net_devices.is_empty() && linux.namespace(NamespaceKind::Network).is_none() {
        return Err(wrong("linux.netDevices", "needs a network namespace"));
    }
    let mut names = BTreeMap::new();
    for (name, device) in &linux.net_devices {
        let place = format!("linux.netDevices[{name:?}]");
        if !is_interface_name(name) {
            return Err(wrong(place, "is not the name of a network device"));
        }
        let new_name = device.name.as_ref().unwrap_or(name);
        if let Some(other) = names.insert(new_name, name).filter(|_| !new_name.contains('%')) {
            let what =
                format!("{new_name:?} is also the name of linux.netDevices[{other:?}] in the container");
            return Err(wrong(format_args!("{place}.name"), what));
        }
        if !is_interface_name(new_name) || !is_template(new_name) {
            let what = format!("{new_name:?} is not the name of a network device");
            return Err(wrong(format_args!("{place}.name"), what));
        }
    }
    Ok(())
}

/// What the kernel's `dev_valid_name` accepts (net/core/dev.c).
fn is_interface_name(name: &str) -> bool {
    let forbidden = |letter: char| matches!(letter, '/' | ':') || letter.is_ascii_whitespace();
    !name.is_empty()
        && name.len() < libc::IFNAMSIZ
        && !matches!(name, "." | "..")
        && !name.contains(forbidden)
}

/// What `__dev_alloc_name` accepts: `%d` once, and no other `%`.
fn is_template(name: &str) -> bool {
    !name.replacen("%d", "", 1).contains('%')
}

/// `linux.intelRdt`: the class is a directory of resctrl, and each schema one line of a file there.
///
/// # Errors
/// What is not so, with its place.
pub fn intel_rdt(rdt: &IntelRdt) -> Result<()> {
    if let Some(class) = rdt.clos_id.as_deref().filter(|class| *class != "/") {
        // The last three are directories that every group of resctrl has.
        let is_taken = matches!(class, "." | ".." | "info" | "mon_groups" | "mon_data");
        if is_taken || class.contains(|letter: char| letter == '/' || letter.is_control()) {
            return Err(wrong(
                "linux.intelRdt.closID",
                format_args!("{class:?} is not the name of a directory"),
            ));
        }
    }
    for (field, start, line) in
        [("l3CacheSchema", "L3", &rdt.l3_cache_schema), ("memBwSchema", "MB:", &rdt.mem_bw_schema)]
    {
        let Some(line) = line else { continue };
        let place = format!("linux.intelRdt.{field}");
        if !line.starts_with(start) {
            return Err(wrong(place, format_args!("{line:?} does not begin with {start:?}")));
        }
        one_line(place, line)?;
    }
    for (index, line) in rdt.schemata.iter().enumerate() {
        one_line(format!("linux.intelRdt.schemata[{index}]"), line)?;
    }
    Ok(())
}

fn one_line(place: String, line: &str) -> Result<()> {
    if line.contains('\n') {
        return Err(wrong(place, format_args!("{line:?} is more than one line")));
    }
    Ok(())
}
