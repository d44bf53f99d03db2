//! A cgroup that systemd makes: which unit, in which slice, with which properties. Pure.
//!
//! Serves systemd.resource-control(5), systemd.scope(5), and the `slice:prefix:name` of `cgroupsPath` that engines write
//! for runc. A unit takes what systemd can express of the resources, so that `systemctl show` tells them and no reload of systemd
//! undoes them; the files are written nevertheless, since systemd only logs what the kernel refuses, and rounds. On cgroup v1
//! it makes the unit's cgroup in its own hierarchy and in those of its controllers; the rest is ours, at the same place.

mod resources;
#[cfg(test)]
mod tests;

pub(super) use resources::resources;

use super::{Directory, Location, Request, Unit, Write};
use crate::error::{Error, Result};
use crate::gvariant::{self, Value};
use crate::host::cgroup::{Cgroups, Hierarchy, Mode};
use crate::host::systemd::Manager;
use crate::plan::devices;
use resources::Properties;
use std::fmt;

/// What an annotation that sets a property begins with.
const ANNOTATION: &str = "org.systemd.property.";

/// The controllers of v1 that systemd knows; systemd.resource-control(5) of the versions before 258.
const ITS_CONTROLLERS: [&str; 7] = ["cpu", "cpuacct", "blkio", "memory", "devices", "pids", "name=systemd"];

/// A property of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name on D-Bus, which for times differs from that in unit files: `TimeoutStopUSec`.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Property {
    /// A property.
    pub fn new(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value }
    }

    /// Whether a systemd of a machine with v1 may be too old for it (242), and can do without.
    pub fn is_dispensable(&self) -> bool {
        self.name == "CPUQuotaPeriodUSec"
    }
}

impl fmt::Display for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unit property {} = {}", self.name, self.value)
    }
}

/// Names the unit and its slice, and says where its cgroup is in every hierarchy.
pub(super) fn place(request: &Request, manager: &Manager, host: &Cgroups) -> Result<(Location, String)> {
    check_reach(request, manager, host)?;
    let path = request.cgroups_path.filter(|path| !path.is_empty());
    let fields: Vec<&str> = path.map_or(vec!["", "corten", request.id], |path| path.split(':').collect());
    let [slice, prefix, name] = fields.as_slice() else {
        let problem = r#"expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got"#;
        let got = format!("{:?} instead", path.unwrap_or_default());
        return Err(Error::new(format!("{problem} {got}")).context("linux.cgroupsPath"));
    };
    let slice = match *slice {
        "" if manager.user => "user.slice",
        "" => "system.slice",
        "-" => "-.slice",
        slice => slice,
    };
    let name = match *prefix {
        _ if name.ends_with(".slice") => (*name).to_owned(),
        "" => format!("{name}.scope"),
        prefix => format!("{prefix}-{name}.scope"),
    };
    if name.contains(['/', '\0']) || name.starts_with('.') {
        return Err(Error::new(format!("{name:?} is no name of a unit")).context("linux.cgroupsPath"));
    }
    let above = slice_path(slice)?;
    // A slice tells its place by its own name.
    let path = if name.ends_with(".slice") { slice_path(&name)? } else { format!("{above}/{name}") };
    let cgroup = format!("{}{path}", manager.root);
    let directories = host.hierarchies.iter().map(|hierarchy| Directory::of(hierarchy, &cgroup)).collect();
    let unit = Some(Unit { name, cgroup, user: manager.user });
    Ok((Location { mode: host.mode, directories, unit }, slice.to_owned()))
}

/// Refuses where systemd can make no cgroup for this caller: on v1 only root's is given controllers. The words are runc's.
fn check_reach(request: &Request, manager: &Manager, host: &Cgroups) -> Result<()> {
    let is_its_own =
        |one: &Hierarchy| one.unified || one.controllers.iter().any(|name| name == "name=systemd");
    if !host.hierarchies.iter().any(is_its_own) {
        let error =
            Error::new("--systemd-cgroup: the hierarchy in which systemd keeps its units is not mounted");
        return Err(error.hint("set the client's cgroup driver to cgroupfs"));
    }
    if host.mode == Mode::V2 || !manager.user && !request.rootless {
        return Ok(());
    }
    let error = Error::new("cannot use rootless systemd cgroups manager on cgroup v1");
    Err(error.hint("leave out --systemd-cgroup; limits without root take cgroup v2"))
}

/// Whether systemd makes the unit's cgroup in a hierarchy.
pub(super) fn makes(directory: &Directory) -> bool {
    directory.unified || directory.controllers.iter().any(|name| ITS_CONTROLLERS.contains(&name.as_str()))
}

/// The cgroup of a slice: `a-b.slice` is in `a.slice`, and `-.slice` is the root.
fn slice_path(slice: &str) -> Result<String> {
    let wrong = || Error::new(format!("{slice:?} is no name of a slice")).context("linux.cgroupsPath");
    let stem = slice.strip_suffix(".slice").ok_or_else(wrong)?;
    if stem == "-" {
        return Ok(String::new());
    }
    if stem.contains(['/', '\0']) || stem.starts_with('.') || stem.split('-').any(str::is_empty) {
        return Err(wrong());
    }
    let ends = stem.match_indices('-').map(|(at, _)| at).chain([stem.len()]);
    Ok(ends.map(|end| format!("/{}.slice", &stem[..end])).collect())
}

/// All properties that the unit is started with, but for the processes in it. The annotations come last and overrule.
pub(super) fn properties(
    request: &Request,
    location: &Location,
    slice: &str,
    writes: &[Write],
) -> Result<Vec<Property>> {
    let is_slice = location.unit.as_ref().is_some_and(Unit::is_slice);
    let mut properties = Properties::default();
    properties.set("Description", Value::Str(format!("corten container {}", request.id)));
    if is_slice {
        properties.set("Wants", Value::texts([slice]));
    } else {
        properties.set("Slice", Value::text(slice));
        properties.set("Delegate", Value::Bool(true));
    }
    properties.set("DefaultDependencies", Value::Bool(false));
    let io = if location.mode == Mode::V2 { "IO" } else { "BlockIO" };
    for controller in ["CPU", "Memory", io, "Tasks"] {
        properties.set(&format!("{controller}Accounting"), Value::Bool(true));
    }
    if !request.rootless {
        let rules = devices::rules(&request.resources.devices, request.default_devices)?;
        if !properties.devices(&rules) && location.mode != Mode::V2 {
            let error =
                Error::new("systemd cannot deny a single device on cgroup v1, and would allow it again");
            let error = error.context("linux.resources.devices");
            return Err(
                error.hint("deny everything first, and allow what is needed; or leave out --systemd-cgroup")
            );
        }
    }
    properties.write(writes, location.mode);
    for (name, value) in request.annotations {
        if let Some(name) = name.strip_prefix(ANNOTATION) {
            let (name, value) = annotation(name, value).map_err(|problem| {
                Error::new(problem).context(format!("annotations[\"{ANNOTATION}{name}\"]"))
            })?;
            properties.set(&name, value);
        }
    }
    Ok(properties.into())
}

/// Reads an annotation: the name and the value on D-Bus, where times are microseconds.
fn annotation(name: &str, text: &str) -> std::result::Result<(String, Value), String> {
    let is_name = name.len() >= 3
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_name {
        return Err("is no name of a property".to_owned());
    }
    // `TimeoutStopSec`, but not `TimeoutStopUSec`.
    match name.strip_suffix("Sec").filter(|stem| stem.ends_with(|last: char| last.is_ascii_lowercase())) {
        Some(stem) => Ok((format!("{stem}USec"), Value::U64(microseconds(text)?))),
        None => Ok((name.to_owned(), gvariant::parse(text)?)),
    }
}

/// A number of seconds, perhaps with a fraction or a type in front, in microseconds.
fn microseconds(text: &str) -> std::result::Result<u64, String> {
    let wrong = || format!("{text:?} is no number of seconds");
    let number = text.trim().rsplit(' ').next().unwrap_or_default();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    gvariant::parse(&text.replacen(number, whole, 1)).map_err(|_| wrong())?;
    let fraction = format!("{fraction:0<6.6}").parse::<u64>().map_err(|_| wrong())?;
    let whole = whole.parse::<u64>().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000).and_then(|time| time.checked_add(fraction)).ok_or_else(wrong)
}
