//! Where a container's cgroup is, as runc would place it: callers and `podman top` rely on the same paths.

use crate::error::{Error, Result};
use crate::host::cgroup::{Cgroups, Hierarchy, Mode};
use serde::{Deserialize, Serialize};

/// The cgroup of a container. It is stored in the container's state *before* anything is made, so that `delete` finds
/// and removes everything after a crash at any instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The generation of cgroups.
    pub mode: Mode,
    /// One directory a hierarchy; the unified one, if there is one, is the last.
    pub directories: Vec<Directory>,
    /// The unit of systemd that it is; `None` for a cgroup that the runtime makes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
}

/// A unit that systemd makes and removes for the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// `corten-web1.scope`.
    pub name: String,
    /// Where its cgroup is below the mount point of each hierarchy: `/system.slice/corten-web1.scope`.
    #[serde(default)]
    pub cgroup: String,
    /// Whether it is the user's manager that has it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
}

impl Unit {
    /// Whether it is a slice, which systemd starts without a process, instead of a scope.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// What a directory is below the unit: empty for the unit's own; nothing for one that is not in it.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut rests = path.match_indices(&self.cgroup).map(|(at, found)| &path[at + found.len()..]);
        let is_whole = |rest: &&str| rest.is_empty() || rest.starts_with('/');
        rests.find(is_whole).filter(|_| !self.cgroup.is_empty())
    }
}

/// The container's directory in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Absolute path on the host.
    pub path: String,
    /// The controllers of a v1 hierarchy; empty for the unified one, where they may come and go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controllers: Vec<String>,
    /// Whether it is in the unified hierarchy.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unified: bool,
}

impl Directory {
    /// The directory at a path below the hierarchy's mount point; it begins with a slash.
    pub(super) fn of(hierarchy: &Hierarchy, below: &str) -> Self {
        Self {
            path: format!("{}{below}", hierarchy.mount.trim_end_matches('/')),
            controllers: if hierarchy.unified { Vec::new() } else { hierarchy.controllers.clone() },
            unified: hierarchy.unified,
        }
    }

    /// The cgroup of a process in this hierarchy, by its `/proc/PID/cgroup`.
    pub fn of_process<'a>(&self, table: &'a str) -> Option<&'a str> {
        table.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            let is_it = match self.controllers.first() {
                Some(controller) => names.split(',').any(|name| name == controller),
                None => names.is_empty(),
            };
            is_it.then_some(path)
        })
    }
}

impl Location {
    /// Places the cgroup. An absolute path is below the mount point. A relative one, and the id when there is no path,
    /// is below the runtime's own cgroup; on cgroup v2 below the parent of that, since a cgroup with processes (the
    /// runtime itself) cannot hand controllers to a sub-cgroup.
    pub(super) fn decide(cgroups_path: Option<&str>, id: &str, host: &Cgroups) -> Result<Self> {
        let path = cgroups_path.filter(|path| !path.is_empty());
        let (relative, is_absolute) = match path {
            Some(path) => (clean(path)?, path.starts_with('/')),
            None => (id.to_owned(), false),
        };
        let place = |hierarchy: &Hierarchy| {
            let base = match (is_absolute, host.mode) {
                (true, _) => "",
                (false, Mode::V2) => hierarchy.own.rsplit_once('/').map_or("", |(parent, _)| parent),
                (false, _) => hierarchy.own.trim_end_matches('/'),
            };
            Directory::of(hierarchy, &format!("{base}/{relative}"))
        };
        Ok(Self { mode: host.mode, directories: host.hierarchies.iter().map(place).collect(), unit: None })
    }

    /// The sub-cgroups that `exec --cgroup` names: `PATH` for every hierarchy, or `CONTROLLER[,CONTROLLER]:PATH` for those
    /// of v1.
    ///
    /// # Errors
    /// A path that leads out, a controller that is not there or is named twice.
    pub fn below(mut self, wanted: &[String]) -> Result<Self> {
        let mut named: Vec<usize> = Vec::new();
        for argument in wanted {
            let wrong = |problem: &str| Error::new(format!("--cgroup {argument:?}: {problem}"));
            let (controllers, path) = match argument.split_once(':') {
                Some((_, path)) if path.contains(':') => return Err(wrong("has more than one colon")),
                Some((controllers, path)) => (Some(controllers), path),
                None if wanted.len() > 1 => return Err(wrong("needs a controller beside another --cgroup")),
                None => (None, argument.as_str()),
            };
            let path = below_container(path).ok_or_else(|| wrong("leads out of the container's cgroup"))?;
            if self.directories.is_empty() {
                return Err(wrong("the container has no cgroup of its own"));
            }
            let chosen: Vec<usize> = match controllers {
                None => (0..self.directories.len()).collect(),
                Some(names) => names
                    .split(',')
                    .map(|name| {
                        self.index_of(name).ok_or_else(|| wrong("this machine has no such controller"))
                    })
                    .collect::<Result<_>>()?,
            };
            for index in chosen {
                if named.contains(&index) {
                    return Err(wrong("names a controller again"));
                }
                named.push(index);
                if !path.is_empty() {
                    self.directories[index].path += &format!("/{path}");
                }
            }
        }
        Ok(self)
    }

    /// The directory that is frozen: that of the v1 freezer, else the unified one.
    pub fn freezer(&self) -> Option<&str> {
        match self.index_of("freezer") {
            Some(index) => Some(&self.directories[index].path),
            None => self.unified().map(|directory| directory.path.as_str()),
        }
    }

    /// The cgroup of a process that is in this one or below, by the line of the unified hierarchy in its
    /// `/proc/PID/cgroup`; its paths begin where the mount point does.
    pub fn of_process(mut self, table: &str) -> Self {
        let unified = self.directories.iter_mut().find(|directory| directory.unified);
        if let Some((directory, path)) = unified.and_then(|one| one.of_process(table).map(|path| (one, path)))
        {
            let mut ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
            // The longest beginning that is the end of our own path: what follows is below it.
            if let Some(end) = ends.rfind(|at| directory.path.ends_with(&path[..*at])) {
                directory.path += &path[end..];
            }
        }
        self
    }

    /// The directory of a v1 controller.
    pub fn index_of(&self, controller: &str) -> Option<usize> {
        let has = |directory: &Directory| directory.controllers.iter().any(|name| name == controller);
        self.directories.iter().position(has)
    }

    /// Whether the container is in v1 hierarchies, which init joins by their `tasks` files.
    pub fn has_v1(&self) -> bool {
        self.directories.iter().any(|directory| !directory.unified)
    }

    /// The directory in the unified hierarchy, if the machine has one.
    pub fn unified(&self) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.unified)
    }

    /// The directory in which systemd keeps its processes: that of the unified hierarchy or, where there is none, that of its own.
    pub fn of_systemd(&self) -> Option<&Directory> {
        self.unified().or_else(|| self.index_of("name=systemd").map(|index| &self.directories[index]))
    }

    /// The v2 directories above the container's, from the mount point down.
    pub(super) fn ancestors(&self, host: &Cgroups) -> Vec<String> {
        let (path, mount) = (&self.directories[0].path, host.hierarchies[0].mount.len());
        path.match_indices('/')
            .map(|(at, _)| at)
            .filter(|&at| at >= mount)
            .map(|at| path[..at].to_owned())
            .collect()
    }
}

/// A path below the container's cgroup, cleaned; nothing for one that leads out.
fn below_container(path: &str) -> Option<String> {
    let components: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let leads_out = components.contains(&"..") || path.contains(|letter: char| letter.is_control());
    (!leads_out).then(|| components.join("/"))
}

/// The path without empty and `.` components. What would leave the hierarchy or name its root is refused: an
/// annotation of an image may be behind it (CVE-2023-6476).
fn clean(path: &str) -> Result<String> {
    let components: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let problem = if components.is_empty() {
        "names the root cgroup"
    } else if components.contains(&"..") {
        "must not contain \"..\""
    } else if path.contains(|letter: char| letter.is_control()) {
        "must not contain control characters"
    } else {
        return Ok(components.join("/"));
    };
    Err(Error::new(format!("{path:?} {problem}")).context("linux.cgroupsPath"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container() -> Location {
        let directory = |path: &str, controllers: &[&str]| Directory {
            path: path.to_owned(),
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            unified: controllers.is_empty(),
        };
        let directories = vec![
            directory("/sys/fs/cgroup/cpu,cpuacct/a/web1", &["cpu", "cpuacct"]),
            directory("/sys/fs/cgroup/pids/a/web1", &["pids"]),
            directory("/sys/fs/cgroup/unified/a/web1", &[]),
        ];
        Location { mode: Mode::Hybrid, directories, unit: None }
    }

    fn below(wanted: &[&str]) -> Result<Vec<String>> {
        let wanted: Vec<String> = wanted.iter().map(|&path| path.to_owned()).collect();
        let directories = container().below(&wanted)?.directories;
        Ok(directories.iter().map(|one| one.path.trim_start_matches("/sys/fs/cgroup/").to_owned()).collect())
    }

    #[test]
    fn sub_cgroups_are_below_the_containers() {
        for (wanted, expected) in [
            (&["x/y"][..], ["cpu,cpuacct/a/web1/x/y", "pids/a/web1/x/y", "unified/a/web1/x/y"]),
            (&["/"], ["cpu,cpuacct/a/web1", "pids/a/web1", "unified/a/web1"]),
            (&["pids:/x/."], ["cpu,cpuacct/a/web1", "pids/a/web1/x", "unified/a/web1"]),
            (&["pids,cpu:x"], ["cpu,cpuacct/a/web1/x", "pids/a/web1/x", "unified/a/web1"]),
            (&["cpu:x", "pids:y"], ["cpu,cpuacct/a/web1/x", "pids/a/web1/y", "unified/a/web1"]),
        ] {
            assert_eq!(below(wanted).unwrap(), expected, "{wanted:?}");
        }
        for wanted in [
            &[".."][..],
            &["x/../.."],
            &["a:b:c"],
            &["x", "y"],
            &["nope:x"],
            &[":x"],
            &["cpu:x", "cpuacct:y"],
        ] {
            assert!(below(wanted).is_err(), "{wanted:?}");
        }
    }

    #[test]
    fn cgroup_of_a_process_below_is_found_from_any_mount_point() {
        for (line, expected) in [
            ("0::/a/web1/init", "/sys/fs/cgroup/unified/a/web1/init"),
            ("0::/web1/x/y", "/sys/fs/cgroup/unified/a/web1/x/y"),
            ("0::/a/web1", "/sys/fs/cgroup/unified/a/web1"),
            ("0::/elsewhere/x", "/sys/fs/cgroup/unified/a/web1"),
            ("0::/a/web11/x", "/sys/fs/cgroup/unified/a/web1"),
            ("0::/", "/sys/fs/cgroup/unified/a/web1"),
        ] {
            let table = format!("3:pids:/a/web1\n{line}\n");
            assert_eq!(container().of_process(&table).unified().unwrap().path, expected, "{line}");
        }
    }

    #[test]
    fn process_is_found_in_each_hierarchy_by_its_controller() {
        let table = "5:cpu,cpuacct:/a/b:c\n3:name=systemd:/s\n2:pids:/p\n0::/u\n";
        let found = |names: &[&str]| {
            let controllers = names.iter().map(|&name| name.to_owned()).collect();
            Directory { path: String::new(), controllers, unified: names.is_empty() }.of_process(table)
        };
        assert_eq!(found(&["cpuacct"]), Some("/a/b:c"));
        assert_eq!(found(&["name=systemd"]), Some("/s"));
        assert_eq!(found(&["pids"]), Some("/p"));
        assert_eq!(found(&[]), Some("/u"));
        assert_eq!(found(&["memory"]), None);
    }

    #[test]
    fn what_is_below_a_unit_is_not_what_begins_like_it() {
        let unit = |cgroup: &str| Unit { name: "x".into(), cgroup: cgroup.into(), user: false };
        for (cgroup, path, below) in [
            ("/system.slice/a.scope", "/sys/fs/cgroup/system.slice/a.scope", Some("")),
            ("/system.slice/a.scope", "/sys/fs/cgroup/systemd/system.slice/a.scope/b/c", Some("/b/c")),
            ("/system.slice/a.scope", "/sys/fs/cgroup/system.slice/a.scope2/b", None),
            ("/a.scope", "/sys/fs/cgroup/a.scope.slice/a.scope/b", Some("/b")),
            ("/a.scope", "/sys/fs/cgroup/a.scope/a.scope", Some("/a.scope")),
            // On record by a runtime that did not know the place.
            ("", "/sys/fs/cgroup/a.scope/b", None),
        ] {
            assert_eq!(unit(cgroup).below(path), below, "{cgroup} {path}");
        }
    }
}
