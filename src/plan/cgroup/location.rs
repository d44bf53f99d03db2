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
            Directory {
                path: format!("{}{base}/{relative}", hierarchy.mount.trim_end_matches('/')),
                controllers: if hierarchy.unified { Vec::new() } else { hierarchy.controllers.clone() },
                unified: hierarchy.unified,
            }
        };
        Ok(Self { mode: host.mode, directories: host.hierarchies.iter().map(place).collect() })
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
