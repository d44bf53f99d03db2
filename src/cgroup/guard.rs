//! Making the directories, and undoing it.

use super::{Manager, directory, remove, systemd, v2};
use crate::error::{Error, Result};
use crate::plan::cgroup::{CgroupPlan, Location};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Pid;
use std::time::Duration;

/// A new cgroup, which is removed on drop unless it is committed: with what was started in it, and with the ancestors
/// that were made for it and that nobody else uses yet.
#[derive(Debug)]
pub struct Guard {
    manager: Manager,
    /// What was made, ancestors before the directories in them.
    made: Vec<String>,
    /// Whether the cgroup was found empty, so that whatever is in it is ours to kill.
    is_ours: bool,
}

impl Guard {
    pub(super) fn new(location: Location) -> Self {
        Self { manager: Manager::at(location), made: Vec::new(), is_ours: false }
    }

    /// The cgroup.
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Keeps the cgroup.
    #[must_use]
    pub fn commit(mut self) -> Manager {
        self.made.clear();
        self.is_ours = false;
        self.manager.clone()
    }

    /// Removes the cgroup with what was started in it.
    ///
    /// # Errors
    /// When something remains.
    pub fn undo(mut self) -> Result<()> {
        self.clear()
    }

    fn clear(&mut self) -> Result<()> {
        let killed = if std::mem::take(&mut self.is_ours) { self.end_all() } else { Ok(()) };
        let made = std::mem::take(&mut self.made);
        let (directories, ancestors): (Vec<&str>, Vec<&str>) =
            made.iter().rev().map(String::as_str).partition(|path| {
                self.manager.location().directories.iter().any(|directory| directory.path == **path)
            });
        let removed = remove::remove(directories, Duration::from_secs(1));
        for path in ancestors {
            let _others_may_use_it = rustix::fs::rmdir(path);
        }
        // Who could not be killed is in the way of the removal, which is told of first.
        removed.and(killed)
    }

    /// Has systemd make the cgroup around init, which was born outside and waits, and sets everything up in there; into any
    /// other cgroup it moves it the slow way.
    ///
    /// # Errors
    /// As [`create`](super::create); what systemd refuses, or no answer of it in time.
    pub fn take_in(&mut self, plan: &CgroupPlan, pid: Pid) -> Result<()> {
        let Manager::Systemd(cgroup) = self.manager.clone() else { return self.manager.attach_pid(pid) };
        // What is called ours is stopped on drop: not a unit of that name which somebody else has.
        systemd::start(&cgroup.unit, &plan.properties, pid, &mut self.is_ours)?;
        let Some(path) = cgroup.files.directory() else { return Ok(()) };
        if cgroup.unit.is_slice() {
            self.manager.attach_pid(pid)?;
        }
        systemd::check_place(path, pid)?;
        self.made.push(path.to_owned());
        v2::set_up(plan, self)
    }

    /// Kills what is in the cgroup, and has systemd forget the unit.
    fn end_all(&self) -> Result<()> {
        let killed = self.manager.kill_all();
        match &self.manager {
            Manager::Systemd(cgroup) => cgroup.stop().and(killed),
            Manager::V1(_) | Manager::V2(_) => killed,
        }
    }

    /// Whether a directory existed before, so that old settings may be in it.
    pub(super) fn is_reused(&self, path: &str) -> bool {
        !self.made.iter().any(|made| made == path)
    }

    /// Makes every directory of the plan; one that exists must be empty and not frozen.
    pub(super) fn make_directories(&mut self, plan: &CgroupPlan) -> Result<()> {
        let mut location = plan.location.clone();
        let mut usable = Vec::with_capacity(location.directories.len());
        for directory in location.directories.drain(..) {
            match self.make(&directory.path) {
                Ok(true) => usable.push(directory),
                Ok(false) => {
                    check_fitness(&directory.path)?;
                    usable.push(directory);
                }
                Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) if plan.tolerate_permission => {}
                Err(errno) => return Err(cannot_make(&directory.path, errno)),
            }
        }
        location.directories = usable;
        self.manager = Manager::at(location);
        self.is_ours = true;
        Ok(())
    }

    /// Makes a directory and, where needed, its ancestors; false if it exists.
    fn make(&mut self, path: &str) -> rustix::io::Result<bool> {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                self.made.push(path.to_owned());
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(Errno::NOENT) => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                if parent.is_empty() {
                    return Err(Errno::NOENT);
                }
                self.make(parent)?;
                self.make(path)
            }
            Err(errno) => Err(errno),
        }
    }
}

impl Drop for Guard {
    /// Best effort: the error that led here is the one to report, and `delete` can try again.
    fn drop(&mut self) {
        let _reported_is_the_cause = self.clear();
    }
}

/// Refuses a cgroup that somebody uses or that would stop the container at birth. The words are runc's.
pub(super) fn check_fitness(path: &str) -> Result<()> {
    let count = directory::pids(path)?.len();
    let problem = if count > 0 {
        format!("container's cgroup is not empty: {count} process(es) found")
    } else if is_frozen(path) {
        "container's cgroup unexpectedly frozen".to_owned()
    } else {
        return Ok(());
    };
    Err(Error::new(problem).context(format!("cgroup {path}")))
}

/// Whether this directory is frozen, of whatever generation it is; it is not where there is no freezer.
fn is_frozen(path: &str) -> bool {
    let Ok(fd) = directory::open(path) else { return false };
    let says = |file, word| directory::read_value(&fd, file).is_ok_and(|text| text.trim() == word);
    says("cgroup.freeze", "1") || says("freezer.state", "FROZEN")
}

fn cannot_make(path: &str, errno: Errno) -> Error {
    let error = Error::from(errno).context(format!("make cgroup {path}"));
    match errno {
        Errno::ROFS => error.hint("the cgroup file system is mounted read-only here"),
        Errno::ACCESS | Errno::PERM => {
            error.hint("this user may not make cgroups there; it must be delegated")
        }
        Errno::AGAIN => error.hint("cgroup.max.descendants or cgroup.max.depth of an ancestor is reached"),
        _ => error,
    }
}
