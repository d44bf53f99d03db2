//! The cgroup of a container: where it is, which controllers it needs and what is written to its files. Pure.
//!
//! Serves config-linux.md, section "Control groups", and the kernel's `admin-guide/cgroup-v1/` and `cgroup-v2.rst`.
//! `location` places it, `convert` with `v1` and `v2` converts the resources, `systemd` makes a unit of them, `step` is what a
//! user reads of it, `update` changes what is there.

mod convert;
mod location;
mod step;
pub mod systemd;
#[cfg(test)]
mod tests;
mod update;
mod v1;
mod v2;

pub use location::{Directory, Location, Unit};
pub use step::Step;
pub use update::{Present, Update, update};

use crate::error::{Error, Result};
use crate::host::cgroup::{Cgroups, Mode};
use crate::host::systemd::Manager;
use crate::plan::{Place, devices};
use crate::spec::resources::Resources;
use convert::Converter;
use std::borrow::Cow;
use std::collections::BTreeMap;
use systemd::Property;

/// What the container's cgroup is decided from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `linux.resources`, or the default where it is absent.
    pub resources: &'a Resources,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<&'a str>,
    /// The container's id.
    pub id: &'a str,
    /// The systemd that shall make the cgroup (`--systemd-cgroup`); `None` when the runtime makes it.
    pub systemd: Option<&'a Manager>,
    /// `annotations`: some are properties of the unit.
    pub annotations: &'a BTreeMap<String, String>,
    /// Whether the runtime lacks privilege over cgroups: then no device is filtered, and an unreachable cgroup is only
    /// an error when there is something to limit.
    pub rootless: bool,
    /// Whether the default device rules follow the user's.
    pub default_devices: bool,
    /// The host uid that becomes the owner of a v2 cgroup, for a container that may manage sub-cgroups.
    pub owner: Option<u32>,
}

/// Everything about the container's cgroup, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPlan {
    /// The directories; goes into the container's state.
    pub location: Location,
    /// With what properties the unit is started, in order, but for the processes in it.
    pub properties: Vec<Property>,
    /// The v1 directory that takes its processors and memory nodes from its parents, being unusable without.
    pub inherit_cpuset: Option<usize>,
    /// The v2 controllers to switch on.
    pub enable: Enable,
    /// What is written, in order; the v1 device lists come first.
    pub writes: Vec<Write>,
    /// The v2 device program; `None` when every device is allowed or the lists of v1 do it.
    pub device_program: Option<Vec<u64>>,
    /// The property that the device rules come from; nothing when they are the runtime's own alone.
    pub devices_place: Place,
    /// The host uid that becomes the owner (v2 only).
    pub owner: Option<u32>,
    /// Whether a hierarchy that we may not write to is left out instead of failing.
    pub tolerate_permission: bool,
    /// What the configuration asks for and this generation of cgroups cannot do.
    pub warnings: Vec<String>,
}

impl CgroupPlan {
    /// A cgroup that exists: nothing is made, and nothing written.
    pub fn existing(location: Location) -> Self {
        Self {
            properties: Vec::new(),
            location,
            inherit_cpuset: None,
            enable: Enable::default(),
            writes: Vec::new(),
            device_program: None,
            devices_place: Place::NONE,
            owner: None,
            tolerate_permission: false,
            warnings: Vec::new(),
        }
    }

    /// Whether init puts itself into the cgroup of each v1 hierarchy; systemd makes one around it.
    pub fn is_joined_by_init(&self) -> bool {
        self.location.has_v1() && self.properties.is_empty()
    }
}

/// The v2 controllers that a cgroup needs from its ancestors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Enable {
    /// The directories whose `cgroup.subtree_control` decides, from the mount point down.
    pub ancestors: Vec<String>,
    /// Controllers that a limit needs: without one, creating fails.
    pub required: Vec<String>,
    /// Controllers that only account (for `events`, and to tell that memory ran out): without one, all goes on.
    pub wished: Vec<String>,
}

/// What a missing file means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The limit cannot be set: an error.
    Fail,
    /// There is nothing to limit: go on.
    Ignore,
    /// Another kernel or scheduler has another file with another scale.
    Instead {
        /// The other file.
        file: &'static str,
        /// What to write there.
        value: String,
    },
}

/// One line written to one file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Index into [`Location::directories`].
    pub directory: usize,
    /// The file's name.
    pub file: Cow<'static, str>,
    /// The line.
    pub value: String,
    /// The property that asks for it.
    pub place: Place,
    /// What to do when there is no such file.
    pub missing: Missing,
    /// Whether EINVAL may only mean that another file must be written first (limit and limit with swap, quota and
    /// burst): then it is tried once more after all others.
    pub retry: bool,
    /// A file with a number that the value must not be below (`checkBeforeUpdate`).
    pub not_below: Option<&'static str>,
}

impl Write {
    fn new(file: impl Into<Cow<'static, str>>, value: impl ToString, place: impl Into<Place>) -> Self {
        Self {
            directory: 0,
            file: file.into(),
            value: value.to_string(),
            place: place.into(),
            missing: Missing::Fail,
            retry: false,
            not_below: None,
        }
    }

    fn if_missing(self, missing: Missing) -> Self {
        Self { missing, ..self }
    }

    fn or_last(self) -> Self {
        Self { retry: true, ..self }
    }

    /// The controller that a file belongs to: what is before the first dot.
    pub fn controller(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }

    /// Whether the line limits nothing, so that a missing controller is no loss.
    fn is_no_limit(&self) -> bool {
        matches!(self.value.as_str(), "max" | "-1")
    }
}

/// What resources become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Limits {
    /// What is written, in order.
    writes: Vec<Write>,
    /// What is asked for and cannot be done.
    warnings: Vec<String>,
}

/// Decides everything about the cgroup of a new container.
///
/// # Errors
/// A path or a resource that is invalid or that this machine cannot provide; it names the property.
pub fn decide(request: &Request, host: &Cgroups) -> Result<CgroupPlan> {
    let (location, slice) = match request.systemd {
        Some(manager) => {
            systemd::place(request, manager, host).map(|(location, slice)| (location, Some(slice)))?
        }
        None => (Location::decide(request.cgroups_path, request.id, host)?, None),
    };
    let available = (host.mode == Mode::V2).then(|| host.hierarchies[0].controllers.as_slice());
    let mut limits = convert(request.resources, &location, available)?;
    let properties = slice.map(|slice| systemd::properties(request, &location, &slice, &limits.writes));
    let tolerate_permission = request.rootless && limits.writes.is_empty();
    let enable = match available {
        Some(available) => {
            let mut enable = enable(&limits.writes, available, location.ancestors(host));
            if location.unit.is_some() {
                // systemd has switched on what accounts: the unit is delegated.
                enable.wished.clear();
            }
            enable
        }
        None => Enable::default(),
    };
    let device_program = devices(request, &location, &mut limits.writes)?;
    Ok(CgroupPlan {
        inherit_cpuset: location.index_of("cpuset").filter(|_| location.mode != Mode::V2),
        owner: request.owner.filter(|_| location.mode == Mode::V2),
        properties: properties.transpose()?.unwrap_or_default(),
        location,
        enable,
        writes: limits.writes,
        device_program,
        devices_place: devices_place(request.resources),
        tolerate_permission,
        warnings: limits.warnings,
    })
}

/// Which controllers the cgroup needs: those of its limits (`cgroup.*` files need none), and as far as possible those
/// that account.
fn enable(writes: &[Write], available: &[String], ancestors: Vec<String>) -> Enable {
    let mut required: Vec<String> = Vec::new();
    let needs_none = |write: &Write| write.is_no_limit() && write.missing == Missing::Ignore;
    for write in writes.iter().filter(|write| !needs_none(write) && write.controller() != "cgroup") {
        if !required.iter().any(|name| name == write.controller()) {
            required.push(write.controller().to_owned());
        }
    }
    let wished = ["cpu", "io", "memory", "pids"].map(str::to_owned).into_iter();
    let wished = wished.filter(|name| available.contains(name) && !required.contains(name)).collect();
    Enable { ancestors, required, wished }
}

/// Decides the device rules: a program for v2, or lists put in front of the other writes for v1. That neither can be had
/// is an error even where the configuration is silent, since a container may not use every device by default.
fn devices(request: &Request, location: &Location, writes: &mut Vec<Write>) -> Result<Option<Vec<u64>>> {
    if request.rootless {
        return Ok(None);
    }
    let rules = devices::rules(&request.resources.devices, request.default_devices)?;
    let program = devices::program(&rules)?;
    if location.mode == Mode::V2 || program.is_none() && location.index_of("devices").is_none() {
        return Ok(program);
    }
    let Some(directory) = location.index_of("devices") else {
        let error =
            Error::new("this machine has no cgroup controller devices").context("linux.resources.devices");
        return Err(error.hint("mount the controller, or allow everything: [{\"allow\": true}]"));
    };
    let lists = devices::lists(&rules)?.into_iter();
    let place = devices_place(request.resources);
    let lists = lists.map(|(file, line)| Write { directory, ..Write::new(file, line, place.clone()) });
    writes.splice(0..0, lists);
    Ok(None)
}

fn devices_place(resources: &Resources) -> Place {
    if resources.devices.is_empty() { Place::NONE } else { Place::property("linux.resources.devices") }
}

/// Converts resources; `available` are the controllers of the unified hierarchy, where they are known.
fn convert(resources: &Resources, location: &Location, available: Option<&[String]>) -> Result<Limits> {
    let mut out = Converter { location, available, limits: Limits::default() };
    match location.mode {
        Mode::V2 => v2::convert(resources, &mut out)?,
        Mode::None | Mode::V1 | Mode::Hybrid => v1::convert(resources, &mut out)?,
    }
    Ok(out.limits)
}
