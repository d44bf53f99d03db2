//! `update`: new limits for a cgroup that exists, and how each of them is taken back. Pure.

use super::systemd::{self, Property};
use super::{Enable, Location, Missing, Write, convert, enable};
use crate::error::Result;
use crate::host::cgroup::{Cgroups, Mode};
use crate::spec::resources::Resources;

/// What the cgroup has now of the pairs of which an update may name one half.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Present {
    /// The limit of memory in bytes, -1 for none.
    pub memory: Option<i64>,
    /// Run time in each period, -1 for no limit.
    pub quota: Option<i64>,
    /// Length of a period.
    pub period: Option<u64>,
}

/// Everything about an update, decided. Devices are never updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The v2 controllers that the limits need and that the container may not have yet.
    pub enable: Enable,
    /// What is written, in order.
    pub writes: Vec<Write>,
    /// What systemd is told of it, for a cgroup that is a unit.
    pub properties: Vec<Property>,
    /// What is asked for and this generation of cgroups cannot do.
    pub warnings: Vec<String>,
}

/// Decides an update: whole, before anything is written.
///
/// # Errors
/// A resource that is invalid or that this machine cannot provide; it names the property.
pub fn update(
    resources: &Resources,
    location: &Location,
    host: &Cgroups,
    present: &Present,
) -> Result<Update> {
    let resources = complete(resources, location, present);
    let unified = (location.mode == Mode::V2).then(|| host.hierarchies.last()).flatten();
    let available = unified.map(|hierarchy| hierarchy.controllers.as_slice());
    let limits = convert(&resources, location, available)?;
    let enable = match available {
        Some(available) => {
            Enable { wished: Vec::new(), ..enable(&limits.writes, available, location.ancestors(host)) }
        }
        None => Enable::default(),
    };
    let properties = match location.unit {
        Some(_) => systemd::resources(&limits.writes, location.mode),
        None => Vec::new(),
    };
    Ok(Update { enable, writes: limits.writes, properties, warnings: limits.warnings })
}

/// Fills in the half of a pair that is not named: memory with swap is judged against the limit of memory, and quota and
/// period share a file on v2. On v1 systemd writes both anew whatever is changed of the unit, and the quota rounded.
fn complete(resources: &Resources, location: &Location, present: &Present) -> Resources {
    let mut resources = resources.clone();
    if let Some(memory) = &mut resources.memory {
        let has_limit = memory.limit.is_some_and(|limit| limit != 0);
        if !has_limit && memory.swap.is_some_and(|swap| swap > 0) {
            memory.limit = present.memory;
        }
    }
    let is_unit_of_v1 = location.mode != Mode::V2 && location.unit.is_some();
    if is_unit_of_v1 && (present.quota, present.period) != (None, None) {
        resources.cpu.get_or_insert_default();
    }
    if let (true, Some(cpu)) = (location.mode == Mode::V2 || is_unit_of_v1, &mut resources.cpu) {
        let quota = cpu.quota.filter(|quota| *quota != 0);
        let period = cpu.period.filter(|period| *period != 0);
        if is_unit_of_v1 || quota.is_some() != period.is_some() {
            cpu.quota = quota.or(present.quota);
            cpu.period = period.or(present.period);
        }
    }
    resources
}

impl Write {
    /// The write that takes this one back, by what the file (which may be the other one of [`Missing::Instead`]) has read
    /// before; nothing where the kernel's text cannot be written again.
    pub fn undo(&self, file: &str, before: &str) -> Option<Self> {
        let value = former(file, &self.value, before.trim())?;
        Some(Self {
            file: file.to_owned().into(),
            value,
            missing: Missing::Ignore,
            retry: true,
            not_below: None,
            ..self.clone()
        })
    }
}

/// What to write to a file so that it reads as before.
fn former(file: &str, written: &str, before: &str) -> Option<String> {
    let key = written.split_whitespace().next().unwrap_or_default();
    let has_keys = key.contains(':') || matches!(file, "rdma.max" | "net_prio.ifpriomap");
    if has_keys {
        let is_it = |line: &&str| line.split_whitespace().next() == Some(key);
        let line = before.lines().find(is_it).map(str::to_owned);
        return line.or_else(|| no_entry(file).map(|rest| format!("{key} {rest}")));
    }
    match file {
        "memory.oom_control" => before.lines().next()?.strip_prefix("oom_kill_disable ").map(str::to_owned),
        // It is written in another form than it is read.
        "cgroup.subtree_control" => None,
        "io.weight" | "io.bfq.weight" => {
            let first = before.lines().next()?;
            Some(first.strip_prefix("default ").unwrap_or(first).to_owned())
        }
        // An empty write(2) does not reach the file.
        _ if before.is_empty() => Some("\n".to_owned()),
        _ => (!before.contains('\n')).then(|| before.to_owned()),
    }
}

/// What stands for a device, or an adapter, that a file does not list.
fn no_entry(file: &str) -> Option<&'static str> {
    match file {
        "io.max" => Some("rbps=max wbps=max riops=max wiops=max"),
        "rdma.max" => Some("hca_handle=max hca_object=max"),
        "io.weight" | "io.bfq.weight" => Some("default"),
        _ if file.starts_with("blkio.throttle.") => Some("0"),
        _ if file.ends_with("weight_device") => Some("default"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_read_is_written_back_in_the_form_that_the_kernel_takes() {
        for (file, written, before, former) in [
            ("memory.max", "1", "max\n", Some("max")),
            ("memory.limit_in_bytes", "1", "9223372036854771712\n", Some("9223372036854771712")),
            ("cpu.max", "5000 10000", "max 100000\n", Some("max 100000")),
            ("cpuset.cpus", "0", "\n", Some("\n")),
            ("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", Some("0")),
            ("io.weight", "5", "default 100\n8:0 200\n", Some("100")),
            ("io.bfq.weight", "8:0 5", "default 100\n8:0 200\n", Some("8:0 200")),
            ("io.bfq.weight", "8:0 5", "default 100\n", Some("8:0 default")),
            (
                "io.max",
                "8:0 rbps=5",
                "8:0 rbps=9 wbps=max riops=max wiops=max\n",
                Some("8:0 rbps=9 wbps=max riops=max wiops=max"),
            ),
            ("io.max", "8:0 rbps=5", "", Some("8:0 rbps=max wbps=max riops=max wiops=max")),
            ("blkio.throttle.read_bps_device", "8:0 5", "8:16 7\n", Some("8:0 0")),
            ("blkio.bfq.weight_device", "8:0 5", "8:0 7\n", Some("8:0 7")),
            ("rdma.max", "mlx hca_handle=1", "", Some("mlx hca_handle=max hca_object=max")),
            ("net_prio.ifpriomap", "eth0 5", "lo 0\neth0 1\n", Some("eth0 1")),
            ("cgroup.subtree_control", "+memory", "cpu\n", None),
            ("memory.stat", "x", "a 1\nb 2\n", None),
        ] {
            let found = super::former(file, written, before.trim());
            assert_eq!(found.as_deref(), former, "{file} {written}");
        }
    }
}
