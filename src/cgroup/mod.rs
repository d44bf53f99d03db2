//! Cgroups: makes, fills, freezes, empties and removes what `plan::cgroup` decided.
//!
//! Serves config-linux.md, section "Control groups", and cgroups(7). [`Manager::at`] is the only chooser between the
//! generations; a hybrid machine is v1 with one more directory that groups the processes. Who makes the cgroup, the runtime or
//! systemd, is another matter, and one of making and removing alone. Ancestors of the container's cgroup that had to be made (for a
//! `cgroupsPath` of `/a/b/c`) stay, as with runc: others may have moved in.

mod apply;
mod directory;
mod guard;
mod oom;
mod reclaim;
mod remove;
mod stats;
mod systemd;
mod update;
mod v1;
mod v2;

pub use guard::Guard;
pub use oom::OomWatch;
pub use reclaim::Reclaim;
pub use stats::Stats;

use crate::error::{Context, Error, Result};
use crate::host::cgroup::Mode;
use crate::plan::cgroup::{CgroupPlan, Directory, Location, Present, Unit, Update};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::Pid;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long freezing and removing may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The cgroup of one container, of either generation.
#[derive(Debug, Clone)]
pub enum Manager {
    /// Cgroup v1, also beside a unified tree. Without any directory it is a container without a cgroup.
    V1(v1::Cgroup),
    /// Cgroup v2.
    V2(v2::Cgroup),
}

/// How a new process gets into the cgroup without the 10 ms that writing its pid costs.
#[derive(Debug)]
pub struct Join {
    /// The `tasks` files of v1, open for writing: the single-threaded child writes the one byte `0` to each, which moves
    /// itself and is the only form for which the kernel takes no global lock.
    pub tasks: Vec<OwnedFd>,
    /// The v2 directory, for `clone3` with `CLONE_INTO_CGROUP`. A child that dies at once of SIGKILL there has met a
    /// fault of kernels up to 7.2 (different counts of `cgroup.kill` writes): clone without it and use
    /// [`Manager::attach_pid`].
    pub into: Option<OwnedFd>,
}

/// Makes the cgroup and sets everything up in it; the guard removes it again unless it is committed. systemd's is only made
/// by [`Guard::take_in`].
///
/// # Errors
/// A cgroup that has processes or is frozen, a limit that the kernel refuses, a controller that is not delegated; it
/// names the property, the file and the value.
pub fn create(plan: &CgroupPlan) -> Result<Guard> {
    let mut guard = Guard::new(plan.location.clone());
    if plan.location.unit.is_some() {
        systemd::check_running()?;
        // Before the container is known: `delete` would stop a unit of that name that somebody else has.
        plan.location.directories.iter().try_for_each(|directory| guard::check_fitness(&directory.path))?;
        return Ok(guard);
    }
    guard.make_directories(plan)?;
    set_up(plan, &guard)?;
    Ok(guard)
}

/// Makes the directories usable and writes the limits.
fn set_up(plan: &CgroupPlan, guard: &Guard) -> Result<()> {
    match guard.manager() {
        Manager::V1(_) => v1::set_up(plan, guard),
        Manager::V2(_) => v2::set_up(plan, guard),
    }
}

/// The cgroup of a container that exists; nothing is opened before it is needed.
pub fn open(location: &Location) -> Manager {
    Manager::at(location.clone())
}

/// Where a process of `exec` belongs: in the container's cgroup, or in that of its init where the container's only holds
/// sub-cgroups by now. A systemd or a docker in the container does that, and v2 lets no process in there.
///
/// # Errors
/// The kernel refuses to tell.
pub fn for_exec(location: &Location, init: i32) -> Result<Location> {
    let Some(unified) = location.unified() else { return Ok(location.clone()) };
    let file = format!("{}/cgroup.subtree_control", unified.path);
    match directory::read_value(CWD, &file) {
        Ok(controllers) if !controllers.trim().is_empty() => {
            let table = format!("/proc/{init}/cgroup");
            let text = directory::read(CWD, &table).context(|| table)?;
            Ok(location.clone().of_process(&text))
        }
        Ok(_) | Err(Errno::NOENT | Errno::NODEV) => Ok(location.clone()),
        Err(errno) => Err(Error::from(errno).context(file)),
    }
}

/// Fails where a cgroup is not there: a user has named it.
///
/// # Errors
/// It names the first one that is missing.
pub fn check_there(location: &Location) -> Result<()> {
    match location.directories.iter().find(|directory| directory::is_gone(&directory.path)) {
        Some(Directory { path, .. }) => {
            Err(Error::new("it does not exist").context(format!("cgroup {path}")))
        }
        None => Ok(()),
    }
}

impl Manager {
    /// The only chooser.
    fn at(location: Location) -> Self {
        match location.mode {
            Mode::V2 => Self::V2(v2::Cgroup { location }),
            Mode::None | Mode::V1 | Mode::Hybrid => Self::V1(v1::Cgroup { location }),
        }
    }

    /// Where it is; after a rootless `create` without the hierarchies that could not be used.
    pub fn location(&self) -> &Location {
        match self {
            Self::V1(v1::Cgroup { location }) | Self::V2(v2::Cgroup { location }) => location,
        }
    }

    /// The unit of systemd that it is, for which there is no cgroup before there is a process: [`Guard::take_in`] makes it
    /// around init.
    pub fn unit(&self) -> Option<&Unit> {
        self.location().unit.as_ref()
    }

    /// What a new process needs to get in.
    ///
    /// # Errors
    /// When a directory is gone.
    pub fn join(&self) -> Result<Join> {
        let (mut tasks, mut into) = (Vec::new(), None);
        for directory in &self.location().directories {
            let path = &directory.path;
            if directory.unified {
                into = Some(directory::open(path).map_err(|errno| vanished(path, errno))?);
            } else {
                let file = format!("{path}/tasks");
                tasks.push(directory::open_file(CWD, &file).map_err(|errno| vanished(path, errno))?);
            }
        }
        Ok(Join { tasks, into })
    }

    /// Whether the kernel keeps us, who are not root, from putting a process in: it asks for the right to write to the nearest
    /// cgroup that has both ours and this one below it (cgroup-v2.rst, "Delegation Containment").
    ///
    /// # Errors
    /// Our own cgroup cannot be read.
    pub fn is_beyond_reach(&self) -> Result<bool> {
        let Some(unified) = self.location().unified() else { return Ok(false) };
        let text = directory::read(CWD, "/proc/self/cgroup").context(|| "/proc/self/cgroup")?;
        let Some(own) = text.lines().find_map(|line| line.strip_prefix("0::")) else { return Ok(false) };
        let Some(there) = unified.path.strip_prefix(CGROUPS) else { return Ok(false) };
        let procs = format!("{CGROUPS}{}/cgroup.procs", common(own, there));
        let access = rustix::fs::accessat(CWD, &procs, Access::WRITE_OK, AtFlags::EACCESS);
        Ok(access == Err(Errno::ACCESS))
    }

    /// Has a process taken in that the kernel would not let us put there.
    ///
    /// # Errors
    /// No systemd made this cgroup, or it refuses.
    pub fn adopt(&self, pid: Pid) -> Result<()> {
        match self.unit() {
            Some(unit) => systemd::attach(unit, self.location(), pid),
            None => {
                let path = self.location().unified().map_or("", |unified| &unified.path);
                let error = Error::from(Errno::ACCESS).context(format!("move the process to cgroup {path}"));
                Err(error
                    .hint("no cgroup above both the caller's and the container's is delegated to this user"))
            }
        }
    }

    /// Moves a process with all its threads, the slow way.
    ///
    /// # Errors
    /// When the process or a directory is gone.
    pub fn attach_pid(&self, pid: Pid) -> Result<()> {
        let number = pid.as_raw_nonzero().to_string();
        self.location().directories.iter().try_for_each(|directory| attach(directory, &number))
    }

    /// All processes of the container, also those in sub-cgroups; none when the cgroup is gone.
    ///
    /// # Errors
    /// When the kernel refuses to list them.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        let path = match self {
            Self::V1(cgroup) => cgroup.process_directory(),
            Self::V2(cgroup) => cgroup.directory(),
        };
        path.map_or(Ok(Vec::new()), directory::pids)
    }

    /// Sends SIGKILL to every process of the container and lets a frozen one go on, so that it can die. Does not wait.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill_all(&self) -> Result<()> {
        match self {
            Self::V1(cgroup) => cgroup.kill_all(),
            Self::V2(cgroup) => cgroup.kill_all(),
        }
    }

    /// Stops every process of the container and waits until the kernel says so, at most 10 s.
    ///
    /// # Errors
    /// When a process cannot be stopped in time; then all run again.
    pub fn freeze(&self) -> Result<()> {
        match self {
            Self::V1(cgroup) => cgroup.freeze(),
            Self::V2(cgroup) => cgroup.freeze(),
        }
    }

    /// Lets the processes go on.
    ///
    /// # Errors
    /// When the cgroup is gone or the kernel refuses.
    pub fn thaw(&self) -> Result<()> {
        match self {
            Self::V1(cgroup) => cgroup.thaw(),
            Self::V2(cgroup) => cgroup.thaw(),
        }
    }

    /// Whether the container is frozen; a cgroup that is gone is not.
    ///
    /// # Errors
    /// When the kernel refuses to tell.
    pub fn is_frozen(&self) -> Result<bool> {
        match self {
            Self::V1(cgroup) => cgroup.is_frozen(),
            Self::V2(cgroup) => cgroup.is_frozen(),
        }
    }

    /// Gives memory back to the machine.
    ///
    /// # Errors
    /// A machine without the memory controller or a kernel without the file for it.
    pub fn reclaim(&self, amount: Reclaim) -> Result<()> {
        let location = self.location();
        match (self, location.index_of("memory"), location.unified()) {
            (Self::V1(_), Some(index), _) => reclaim::v1(&location.directories[index], amount),
            (_, _, Some(directory)) => reclaim::unified(directory, amount),
            _ => Err(Error::new("this machine has no cgroup controller memory")),
        }
    }

    /// What it has used; zeros for what is not counted here.
    pub fn stats(&self) -> Stats {
        stats::read(self.location())
    }

    /// Begins to watch for memory that runs out; nothing where no memory controller tells.
    ///
    /// # Errors
    /// When the cgroup is gone or the kernel refuses.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        OomWatch::new(self.location())
    }

    /// What it has now of what an update may name by halves.
    pub fn present(&self) -> Present {
        update::present(self.location())
    }

    /// Changes limits, all or none of them.
    ///
    /// # Errors
    /// A limit that the kernel refuses; it names the property, the file and the value. The former limits are in force
    /// then, or the error says that they could not all be put back.
    pub fn update(&self, update: &Update) -> Result<()> {
        update::update(self.location(), update)
    }

    /// Removes the container's directories with all sub-cgroups that it made; waits at most 10 s for processes that are
    /// dying. What is gone already is fine.
    ///
    /// # Errors
    /// When something remains; it names what, and which processes are in it.
    pub fn remove(&self) -> Result<()> {
        if let Some(unit) = self.unit() {
            self.stop(unit)?;
        }
        let paths = self.location().directories.iter().map(|directory| directory.path.as_str());
        remove::remove(paths.collect(), PATIENCE)
    }

    /// Stops the unit. A frozen cgroup is thawed first: systemd would wait for processes that cannot end. Best effort, since
    /// with its last process systemd takes the cgroup away at any moment.
    fn stop(&self, unit: &Unit) -> Result<()> {
        if self.is_frozen().unwrap_or(false) {
            let _may_be_gone = self.thaw();
        }
        systemd::stop(unit)
    }

    /// Removes those directories that are empty and leaves the others: they may be somebody else's.
    pub fn remove_empty(&self) {
        for directory in &self.location().directories {
            let _in_use_or_gone = rustix::fs::rmdir(&directory.path);
        }
    }
}

/// Moves a process into one directory.
fn attach(directory: &Directory, number: &str) -> Result<()> {
    let path = &directory.path;
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    directory::write(&fd, "cgroup.procs", number)
        .context(|| format!("move process {number} to cgroup {path}"))
}

/// Where cgroup v2 is mounted when it is alone.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The nearest cgroup above both; the root is empty.
fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let parts = |path: &'a str| path.match_indices('/').map(|(index, _)| index).chain([path.len()]);
    let is_above = |end: &usize| {
        let above = &one[..*end];
        other.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    parts(one).rfind(is_above).map_or("", |end| one[..end].trim_end_matches('/'))
}

/// The error for a cgroup that should be there. It avoids the words of ENOENT, which engines take for a command that was
/// not found in the container.
fn vanished(path: &str, errno: Errno) -> Error {
    let error = match errno {
        Errno::NOENT | Errno::NODEV => Error::new("it has vanished"),
        errno => Error::from(errno),
    };
    error.context(format!("cgroup {path}"))
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn nearest_cgroup_above_two_is_of_whole_names() {
        for (one, other, above) in [
            ("/", "/a", ""),
            ("/a/b", "/a/b", "/a/b"),
            ("/a/b", "/a/b/c", "/a/b"),
            ("/a/b/c", "/a/b", "/a/b"),
            ("/a/b", "/a/bc", "/a"),
            ("/a/bc", "/a/b", "/a"),
            ("/a", "/b", ""),
        ] {
            assert_eq!(common(one, other), above, "{one} {other}");
        }
    }
}
