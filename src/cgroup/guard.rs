//! Making the directories, and undoing it.

use super::{Manager, directory, remove, systemd};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::{CgroupPlan, Directory, Location};
use rustix::fs::{CWD, Mode};
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
        let Some(unit) = self.manager.unit().cloned() else { return self.manager.attach_pid(pid) };
        let location = self.manager.location().clone();
        // What is called ours is stopped on drop: not a unit of that name which somebody else has.
        systemd::start(&unit, &plan.properties, pid, &mut self.is_ours)?;
        let number = pid.as_raw_nonzero().to_string();
        if unit.is_slice() {
            location.of_systemd().map_or(Ok(()), |directory| super::attach(directory, &number))?;
        }
        systemd::check_place(&unit, &location, pid)?;
        self.complete(&location)?;
        super::set_up(plan, self)?;
        let table = format!("/proc/{number}/cgroup");
        let table = directory::read(CWD, &table).context(|| table)?;
        let is_elsewhere = |one: &&Directory| one.of_process(&table) != Some(&unit.cgroup);
        location.directories.iter().filter(is_elsewhere).try_for_each(|one| super::attach(one, &number))
    }

    /// Makes the directories in those hierarchies that are none of systemd's. All are ours to remove from now on.
    fn complete(&mut self, location: &Location) -> Result<()> {
        for Directory { path, .. } in &location.directories {
            let is_new = self.make(path).map_err(|errno| cannot_make(path, errno))?;
            if !is_new {
                self.made.push(path.clone());
            }
        }
        Ok(())
    }

    /// Kills what is in the cgroup, and has systemd forget the unit.
    fn end_all(&self) -> Result<()> {
        let killed = self.manager.kill_all();
        match self.manager.unit() {
            Some(unit) => self.manager.stop(unit).and(killed),
            None => killed,
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
