//! The plan of a cgroup as a user reads it in `corten plan`: one line a step, in the order of acting.

use super::systemd::{self, Property};
use super::{CgroupPlan, Missing, Unit, Write};
use std::fmt;

/// One step; its `Display` is one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A directory is made.
    Make(&'a str),
    /// A unit is started with init in it, and its cgroup is this directory.
    Start(&'a Unit, &'a str),
    /// A directory is made that systemd does not make, and init goes there, too.
    Join(&'a str),
    /// The unit has a property.
    Property(&'a Property),
    /// A v1 cpuset takes what its parents have.
    InheritCpuset(&'a str),
    /// Controllers are switched on in all directories above this one.
    Enable(&'a str, &'a [String], &'a [String]),
    /// A line is written to a file in this directory.
    Write(&'a Write, &'a str),
    /// A device program of so many instructions is attached to this directory.
    Devices(usize, &'a str),
    /// The directory is given to a host uid.
    Own(u32, &'a str),
}

impl CgroupPlan {
    /// The steps in order.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let path = |index: usize| self.location.directories[index].path.as_str();
        let is_enabling = !self.enable.required.is_empty() || !self.enable.wished.is_empty();
        let enable = move || Step::Enable(path(0), &self.enable.required, &self.enable.wished);
        let directories = self.location.directories.iter();
        let make = directories.clone().filter(|_| self.location.unit.is_none());
        let make = make.map(|directory| Step::Make(&directory.path));
        let of_systemd = self.location.of_systemd().map_or("", |directory| &directory.path);
        let rest = directories.filter(|one| self.location.unit.is_some() && !systemd::makes(one));
        make.chain(self.location.unit.iter().map(move |unit| Step::Start(unit, of_systemd)))
            .chain(self.properties.iter().map(Step::Property))
            .chain(rest.map(|directory| Step::Join(&directory.path)))
            .chain(is_enabling.then(enable))
            .chain(self.inherit_cpuset.map(|index| Step::InheritCpuset(path(index))))
            .chain(self.writes.iter().map(move |write| Step::Write(write, path(write.directory))))
            .chain(self.device_program.iter().map(move |program| Step::Devices(program.len(), path(0))))
            .chain(self.owner.map(|uid| Step::Own(uid, path(0))))
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(path) => write!(out, "make cgroup {path}"),
            Self::Start(Unit { name, user, .. }, path) => {
                let manager = if *user { "the user's systemd" } else { "systemd" };
                write!(out, "have {manager} start {name} with init in it, at {path}")
            }
            Self::Join(path) => write!(out, "make cgroup {path} and put init there"),
            Self::Property(property) => property.fmt(out),
            Self::InheritCpuset(path) => write!(out, "inherit cpuset.cpus and cpuset.mems in {path}"),
            Self::Enable(path, required, wished) => {
                out.write_str("enable")?;
                required.iter().try_for_each(|name| write!(out, " +{name}"))?;
                wished.iter().try_for_each(|name| write!(out, " +{name} (if possible)"))?;
                write!(out, " above {path}")
            }
            Self::Write(Write { file, value, missing, not_below, .. }, path) => {
                write!(out, "write {file} = {value} in {path}")?;
                not_below.iter().try_for_each(|used| write!(out, ", which must not be below {used}"))?;
                match missing {
                    Missing::Fail => Ok(()),
                    Missing::Ignore => out.write_str(" (if it exists)"),
                    Missing::Instead { file, value } => write!(out, " (or {file} = {value})"),
                }
            }
            Self::Devices(count, path) => {
                write!(out, "attach device program of {count} instructions to {path}")
            }
            Self::Own(uid, path) => write!(out, "give {path} to uid {uid}"),
        }
    }
}

impl fmt::Display for CgroupPlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps().try_for_each(|step| writeln!(out, "{step}"))
    }
}
