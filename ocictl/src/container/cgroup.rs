//! The cgroup of a container, read whatever runtime made it (cgroups(7)): what it uses, and what the kernel has killed in it.

use super::processes::Usage;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// Where a container's process is: in a directory of v2, or in one of each hierarchy of v1.
#[derive(Debug)]
pub struct Cgroup {
    /// `/proc/PID/cgroup`.
    places: String,
    id: String,
}

impl Cgroup {
    /// Of a process of the container with this ID; nothing if it has ended.
    pub fn of(pid: i32, id: &str) -> Option<Self> {
        let places = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        Some(Self { places, id: id.to_owned() })
    }

    /// The container's directory of a hierarchy of v1.
    fn v1(&self, controller: &str) -> Option<PathBuf> {
        let place = self.place(|controllers| controllers.split(',').any(|name| name == controller))?;
        Some(Path::new(ROOT).join(controller).join(place))
    }

    /// The container's directory of v2.
    fn v2(&self) -> Option<PathBuf> {
        Some(Path::new(ROOT).join(self.place(str::is_empty)?))
    }

    /// A program may have moved itself further down: what is below the part that was made for the container is left out.
    fn place(&self, is_meant: impl Fn(&str) -> bool) -> Option<PathBuf> {
        let mut lines = self.places.lines().map(|line| line.splitn(3, ':').skip(1));
        let path = lines.find_map(|mut fields| {
            fields.next().filter(|names| is_meant(names)).and_then(|_| fields.next())
        })?;
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let own = parts.iter().position(|part| part.contains(&self.id)).map_or(parts.len(), |at| at + 1);
        Some(parts[..own].iter().collect())
    }

    /// How often the kernel has killed in it for want of memory.
    pub fn oom_kills(&self) -> u64 {
        let counter = match (self.v1("memory"), self.v2()) {
            (Some(directory), _) => directory.join("memory.oom_control"),
            (None, Some(directory)) => directory.join("memory.events"),
            (None, None) => return 0,
        };
        field(&text(&counter), "oom_kill")
    }

    /// What all in it use.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        match (self.v1("cpuacct"), self.v2()) {
            (Some(directory), _) => usage.cpu_ns = number(&directory.join("cpuacct.usage")).unwrap_or(0),
            (None, Some(directory)) => {
                usage.cpu_ns = field(&text(&directory.join("cpu.stat")), "usage_usec").saturating_mul(1000);
            }
            (None, None) => {}
        }
        let (memory, current, most) = match self.v1("memory") {
            Some(directory) => (Some(directory), "memory.usage_in_bytes", "memory.limit_in_bytes"),
            None => (self.v2(), "memory.current", "memory.max"),
        };
        if let Some(directory) = memory {
            usage.memory_bytes = number(&directory.join(current)).unwrap_or(0);
            usage.memory_limit = number(&directory.join(most));
        }
        let tasks = self
            .v1("pids")
            .or_else(|| self.v2())
            .and_then(|directory| number(&directory.join("pids.current")));
        usage.tasks = tasks.unwrap_or(0);
        (usage.read_bytes, usage.written_bytes) = match (self.v1("blkio"), self.v2()) {
            (Some(directory), _) => {
                let table = text(&directory.join("blkio.throttle.io_service_bytes_recursive"));
                let of = |operation: &str| {
                    sum(table.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix(operation)))
                };
                (of("Read "), of("Write "))
            }
            (None, Some(directory)) => {
                let table = text(&directory.join("io.stat"));
                let of = |key: &str| {
                    sum(table.split_ascii_whitespace().filter_map(|field| field.strip_prefix(key)))
                };
                (of("rbytes="), of("wbytes="))
            }
            (None, None) => (0, 0),
        };
        usage
    }
}

/// A controller that is not there, or a cgroup that has gone, tells nothing.
fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number in a file; nothing for `max`.
fn number(path: &Path) -> Option<u64> {
    text(path).trim().parse().ok()
}

/// The number behind a key of a flat file.
fn field(text: &str, key: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok()).unwrap_or(0)
}

fn sum<'a>(numbers: impl Iterator<Item = &'a str>) -> u64 {
    numbers.filter_map(|number| number.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_in_what_was_made_for_it() {
        let places = "12:memory:/a/ocictl-77/init.scope\n3:cpu,cpuacct:/ocictl-77\n1:name=systemd:/x\n0::/s.slice/ocictl-77.scope/below\n";
        let cgroup = Cgroup { places: places.into(), id: "77".into() };
        assert_eq!(cgroup.v1("memory"), Some("/sys/fs/cgroup/memory/a/ocictl-77".into()));
        assert_eq!(cgroup.v1("cpuacct"), Some("/sys/fs/cgroup/cpuacct/ocictl-77".into()));
        assert_eq!(cgroup.v1("pids"), None);
        assert_eq!(cgroup.v2(), Some("/sys/fs/cgroup/s.slice/ocictl-77.scope".into()));
    }
}
