//! A cgroup that systemd makes: which unit, in which slice, with which properties. Pure.
//!
//! Serves systemd.resource-control(5), systemd.scope(5), and the `slice:prefix:name` of `cgroupsPath` that engines write
//! for runc. A unit takes what systemd can express of the resources, so that `systemctl show` tells them and no reload of systemd
//! undoes them; the files are written nevertheless, since systemd only logs what the kernel refuses, and rounds.

#[cfg(test)]
mod tests;

use super::{Directory, Location, Request, Unit, Write};
use crate::error::{Error, Result};
use crate::gvariant::{self, Value};
use crate::host::cgroup::{Cgroups, Mode};
use crate::host::systemd::Manager;
use crate::plan::devices::{self, Kind, MKNOD, READ, Rule, WRITE};
use crate::spec::number_list::NumberList;
use std::fmt;

/// What an annotation that sets a property begins with.
const ANNOTATION: &str = "org.systemd.property.";

/// systemd rounds a quota to hundredths of a processor: this many microseconds in a second.
const QUOTA_STEP: u64 = 10_000;

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
}

impl fmt::Display for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "unit property {} = {}", self.name, self.value)
    }
}

/// Names the unit and its slice, and says where systemd will put its cgroup.
pub(super) fn place(request: &Request, manager: &Manager, host: &Cgroups) -> Result<(Location, String)> {
    if host.mode != Mode::V2 {
        return Err(Error::new("--systemd-cgroup needs cgroup v2 alone, and this machine has v1")
            .hint("set the client's cgroup driver to cgroupfs"));
    }
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
    let root = format!("{}{}", host.hierarchies[0].mount.trim_end_matches('/'), manager.root);
    let above = slice_path(slice)?;
    // A slice tells its place by its own name.
    let path = if name.ends_with(".slice") { slice_path(&name)? } else { format!("{above}/{name}") };
    let directory = Directory { path: format!("{root}{path}"), controllers: Vec::new(), unified: true };
    let unit = Some(Unit { name, user: manager.user });
    Ok((Location { mode: Mode::V2, directories: vec![directory], unit }, slice.to_owned()))
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
    for controller in ["CPU", "Memory", "IO", "Tasks"] {
        properties.set(&format!("{controller}Accounting"), Value::Bool(true));
    }
    if !request.rootless {
        let rules = devices::rules(&request.resources.devices, request.default_devices)?;
        properties.devices(&rules);
    }
    writes.iter().for_each(|write| properties.write(write));
    for (name, value) in request.annotations {
        if let Some(name) = name.strip_prefix(ANNOTATION) {
            let (name, value) = annotation(name, value).map_err(|problem| {
                Error::new(problem).context(format!("annotations[\"{ANNOTATION}{name}\"]"))
            })?;
            properties.set(&name, value);
        }
    }
    Ok(properties.0)
}

/// The properties that stand for resources which change.
pub(super) fn resources(writes: &[Write]) -> Vec<Property> {
    let mut properties = Properties::default();
    writes.iter().for_each(|write| properties.write(write));
    properties.0
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

/// Properties in the making; each name once.
#[derive(Debug, Default)]
struct Properties(Vec<Property>);

impl Properties {
    fn set(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|property| property.name == name) {
            Some(property) => property.value = value,
            None => self.0.push(Property::new(name, value)),
        }
    }

    /// Adds to a property that is a list of pairs, a path and what it may.
    fn add(&mut self, name: &str, kind: &str, path: String, value: Value) {
        let pair = Value::Struct(vec![Value::Str(path), value]);
        match self.0.iter_mut().find(|property| property.name == name) {
            Some(Property { value: Value::Array(_, pairs), .. }) => pairs.push(pair),
            _ => self.0.push(Property::new(name, Value::Array(kind.to_owned(), vec![pair]))),
        }
    }

    /// Translates a line of a file. What systemd has no property for, or what only the kernel understands, is left to the file.
    fn write(&mut self, write: &Write) {
        let (file, value) = match &write.missing {
            super::Missing::Instead { file, value } => (*file, value.as_str()),
            _ => (write.file.as_ref(), write.value.as_str()),
        };
        let property = match file {
            "memory.max" => "MemoryMax",
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.swap.max" => "MemorySwapMax",
            "cpu.weight" => "CPUWeight",
            "pids.max" => "TasksMax",
            "cpuset.cpus" => return self.mask("AllowedCPUs", value),
            "cpuset.mems" => return self.mask("AllowedMemoryNodes", value),
            "cpu.max" => return self.quota(value),
            "io.weight" => return self.io_weight(value),
            "io.max" => return self.io_max(value),
            _ => return,
        };
        if let Some(amount) = amount(value) {
            self.set(property, Value::U64(amount));
        }
    }

    fn mask(&mut self, name: &str, list: &str) {
        let Ok(list) = NumberList::parse(list) else { return };
        let mut bytes: Vec<u8> = list.mask().iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        self.set(name, Value::bytes(bytes));
    }

    /// A quota in a period is a quota in a second, rounded up as systemd does when it shows it.
    fn quota(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(quota) = words.next().and_then(amount) else { return };
        let period = words.next().and_then(amount).filter(|&period| period > 0).unwrap_or(100_000);
        let in_second = match quota {
            u64::MAX => Some(u64::MAX),
            quota => quota.checked_mul(1_000_000).map(|time| (time / period).next_multiple_of(QUOTA_STEP)),
        };
        if let Some(in_second) = in_second {
            self.set("CPUQuotaPerSecUSec", Value::U64(in_second));
            self.set("CPUQuotaPeriodUSec", Value::U64(period));
        }
    }

    /// `100`, `default 100` or `8:0 100`.
    fn io_weight(&mut self, line: &str) {
        let (device, weight) = line.rsplit_once(' ').unwrap_or(("default", line));
        match (amount(weight), device) {
            (None, _) => {}
            (Some(weight), "default") => self.set("IOWeight", Value::U64(weight)),
            (Some(weight), device) => {
                self.add("IODeviceWeight", "(st)", block_device(device), Value::U64(weight));
            }
        }
    }

    /// `8:0 rbps=1048576 wiops=max`.
    fn io_max(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        let Some(device) = words.next() else { return };
        for (key, limit) in words.filter_map(|word| word.split_once('=')) {
            let name = match key {
                "rbps" => "IOReadBandwidthMax",
                "wbps" => "IOWriteBandwidthMax",
                "riops" => "IOReadIOPSMax",
                "wiops" => "IOWriteIOPSMax",
                _ => continue,
            };
            if let Some(limit) = amount(limit) {
                self.add(name, "(st)", block_device(device), Value::U64(limit));
            }
        }
    }

    /// The devices. systemd knows no denial: its list allows at least what the rules allow, and the runtime's own device
    /// program, which is attached beside systemd's, does the rest. Sorted, since systemd compares the list with that of
    /// its unit file and takes another order for a change (runc #4568).
    fn devices(&mut self, rules: &[Rule]) {
        let mut allowed: Vec<(String, String)> = Vec::new();
        let mut everything = false;
        for rule in rules {
            match (rule.is_total(), rule.allow) {
                (true, allow) => {
                    everything = allow;
                    allowed.clear();
                }
                (false, true) => allowed.extend(nodes(rule).map(|node| (node, access(rule.access)))),
                (false, false) => {}
            }
        }
        self.set("DevicePolicy", Value::text(if everything { "auto" } else { "strict" }));
        if everything {
            return;
        }
        allowed.sort_unstable();
        allowed.dedup();
        for (node, access) in allowed {
            self.add("DeviceAllow", "(ss)", node, Value::Str(access));
        }
    }
}

/// How systemd names the devices of a rule: by number without asking the file system, by major number, or all of a kind.
fn nodes(rule: &Rule) -> impl Iterator<Item = String> {
    let kinds = match rule.kind {
        Some(Kind::Block) => &["block"][..],
        Some(Kind::Char) => &["char"],
        None => &["block", "char"],
    };
    let (major, minor) = (rule.major, rule.minor);
    kinds.iter().map(move |kind| match (major, minor) {
        (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
        (Some(major), None) => format!("{kind}-{major}"),
        (None, _) => format!("{kind}-*"),
    })
}

fn access(access: u8) -> String {
    [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .iter()
        .filter(|(bit, _)| access & bit != 0)
        .map(|(_, letter)| letter)
        .collect()
}

fn block_device(numbers: &str) -> String {
    format!("/dev/block/{numbers}")
}

/// A number as the kernel's files take it; the greatest stands for no limit.
fn amount(text: &str) -> Option<u64> {
    if text == "max" {
        return Some(u64::MAX);
    }
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_uppercase() {
        b'K' => (&text[..text.len() - 1], 10),
        b'M' => (&text[..text.len() - 1], 20),
        b'G' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}
