//! Cgroup v1: a directory in each hierarchy, and on a hybrid machine one in the unified tree, which only groups.

use super::{Guard, PATIENCE, apply, directory, vanished};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::{CgroupPlan, Location};
use rustix::fs::CWD;
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// A container's cgroup of v1.
#[derive(Debug, Clone)]
pub struct Cgroup {
    pub(super) location: Location,
}

/// Makes the directories usable and writes the limits, devices first.
pub(super) fn set_up(plan: &CgroupPlan, guard: &Guard) -> Result<()> {
    let location = guard.manager().location();
    if let Some(index) = plan.inherit_cpuset.and_then(|_| location.index_of("cpuset")) {
        let path = &location.directories[index].path;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            inherit_cpuset(path, file, guard).context(|| format!("inherit {file} in cgroup {path}"))?;
        }
    }
    apply::apply(&location.directories, &plan.writes)
}

/// Gives a cpuset what its parent has, which may first need it from its own: an empty one takes no process in. The root
/// always has all.
fn inherit_cpuset(path: &str, file: &str, guard: &Guard) -> rustix::io::Result<String> {
    if guard.is_reused(path) {
        let own = directory::read_value(CWD, &format!("{path}/{file}"))?;
        if !own.trim().is_empty() {
            return Ok(own);
        }
    }
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    let inherited = inherit_cpuset(parent, file, guard)?;
    directory::write(CWD, &format!("{path}/{file}"), inherited.trim())?;
    Ok(inherited)
}

impl Cgroup {
    /// The directory that tells the container's processes: every one is in all of them, and it is the unified one that is
    /// killed and the freezer's that is frozen. In systemd's it was first.
    pub(super) fn process_directory(&self) -> Option<&str> {
        if let Some(unified) = self.location.unified() {
            return Some(&unified.path);
        }
        if let (Some(_), Some(directory)) = (&self.location.unit, self.location.of_systemd()) {
            return Some(&directory.path);
        }
        let index = self.location.index_of("freezer").unwrap_or(0);
        self.location.directories.get(index).map(|directory| directory.path.as_str())
    }

    fn freezer(&self) -> Option<&str> {
        let index = self.location.index_of("freezer")?;
        Some(&self.location.directories[index].path)
    }

    /// One write where the unified tree has `cgroup.kill` (Linux 5.14). Else all are frozen first, so that none can fork
    /// between the listing and the signals.
    pub(super) fn kill_all(&self) -> Result<()> {
        let is_killed = match self.location.unified() {
            Some(unified) => super::v2::kill(&unified.path)?,
            None => false,
        };
        let killed = if is_killed {
            Ok(())
        } else {
            if self.freezer().is_some() {
                // Best effort: a process that cannot freeze (in state D) cannot fork either.
                let _ = self.freeze();
            }
            self.process_directory().map_or(Ok(()), directory::kill_each)
        };
        // A process in the freezer does not even die.
        let thawed = self.freezer().map_or(Ok(()), |path| directory::unless_gone(path, thaw(path)));
        thawed.and(killed)
    }

    pub(super) fn freeze(&self) -> Result<()> {
        let Some(path) = self.freezer() else { return self.unified_freezer()?.freeze() };
        let result = freeze(path);
        if result.is_err() {
            // Never leave a half-frozen container behind; the first error is the one to report.
            let _ = thaw(path);
        }
        result
    }

    pub(super) fn thaw(&self) -> Result<()> {
        match self.freezer() {
            Some(path) => thaw(path),
            None => self.unified_freezer()?.thaw(),
        }
    }

    pub(super) fn is_frozen(&self) -> Result<bool> {
        let Some(path) = self.freezer() else {
            return self.unified_freezer().map_or(Ok(false), |unified| unified.is_frozen());
        };
        match directory::open(path).and_then(|fd| directory::read_value(fd, "freezer.state")) {
            Ok(state) => Ok(state.trim() == "FROZEN"),
            Err(Errno::NOENT | Errno::NODEV) => Ok(false),
            Err(errno) => Err(vanished(path, errno)),
        }
    }

    /// Without a v1 freezer, the unified tree's.
    fn unified_freezer(&self) -> Result<super::v2::Cgroup> {
        let directories: Vec<_> = self.location.unified().cloned().into_iter().collect();
        if directories.is_empty() {
            return Err(Error::new("this machine has no cgroup freezer"));
        }
        Ok(super::v2::Cgroup { location: Location { mode: self.location.mode, directories, unit: None } })
    }
}

/// Freezes and waits. The kernel may stay at FREEZING while processes fork or wait in vfork: thawing for a moment and
/// trying again gets it out of there (runc #2774).
fn freeze(path: &str) -> Result<()> {
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    let set = |state| {
        directory::write(&fd, "freezer.state", state)
            .context(|| format!("write {state} to {path}/freezer.state"))
    };
    let start = Instant::now();
    let mut pause = Duration::from_micros(10);
    set("FROZEN")?;
    for attempt in 1u32.. {
        let state =
            directory::read_value(&fd, "freezer.state").context(|| format!("read {path}/freezer.state"))?;
        if state.trim() == "FROZEN" {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            break;
        }
        if attempt % 25 == 0 {
            set("THAWED")?;
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
        set("FROZEN")?;
    }
    Err(Error::new("a process in it cannot be stopped").context(format!("freeze cgroup {path}")))
}

fn thaw(path: &str) -> Result<()> {
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    directory::write(&fd, "freezer.state", "THAWED")
        .context(|| format!("write THAWED to {path}/freezer.state"))
}
