//! Cgroup v2: one directory for everything, with controllers that the ancestors must hand down.

use super::{Guard, PATIENCE, apply, directory, vanished};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::{CgroupPlan, Enable, Location};
use crate::sys::bpf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, Uid, chownat, openat};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// A container's cgroup of v2.
#[derive(Debug, Clone)]
pub struct Cgroup {
    pub(super) location: Location,
}

/// Enables the controllers, writes the limits, attaches the device program and hands the directory over.
pub(super) fn set_up(plan: &CgroupPlan, guard: &Guard) -> Result<()> {
    let location = guard.manager().location();
    let Some(path) = location.directories.first().map(|directory| &directory.path) else { return Ok(()) };
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    enable(&plan.enable, &fd, path)?;
    apply::apply(&location.directories, &plan.writes)?;
    if let Some(program) = &plan.device_program {
        attach_devices(&fd, program, guard.is_reused(path)).map_err(|errno| devices_refused(path, errno))?;
    }
    match plan.owner {
        Some(uid) => own(&fd, uid).context(|| format!("give cgroup {path} to uid {uid}")),
        None => Ok(()),
    }
}

/// Has the ancestors hand down the controllers that the new cgroup does not have yet; mostly there is nothing to do.
pub(super) fn enable(enable: &Enable, fd: &OwnedFd, path: &str) -> Result<()> {
    if enable.required.is_empty() && enable.wished.is_empty() {
        return Ok(());
    }
    let present = directory::read_value(fd, "cgroup.controllers")
        .context(|| format!("read {path}/cgroup.controllers"))?;
    let missing = |names: &[String]| -> Vec<String> {
        let is_missing =
            |name: &&String| !present.split_ascii_whitespace().any(|present| present == name.as_str());
        names.iter().filter(is_missing).map(|name| format!("+{name}")).collect()
    };
    let (required, wished) = (missing(&enable.required).join(" "), missing(&enable.wished));
    if required.is_empty() && wished.is_empty() {
        return Ok(());
    }
    for ancestor in &enable.ancestors {
        let fd = directory::open(ancestor).map_err(|errno| vanished(ancestor, errno))?;
        if !required.is_empty() {
            directory::write(&fd, "cgroup.subtree_control", &required)
                .map_err(|errno| not_enabled(ancestor, &required, &fd, errno))?;
        }
        wish(&fd, &wished);
    }
    Ok(())
}

/// Enables controllers that only account, as far as the machine lets us: nothing in the configuration asks for them.
fn wish(ancestor: &OwnedFd, names: &[String]) {
    if names.is_empty() || directory::write(ancestor, "cgroup.subtree_control", &names.join(" ")).is_ok() {
        return;
    }
    for name in names {
        let _ = directory::write(ancestor, "cgroup.subtree_control", name);
    }
}

fn not_enabled(path: &str, names: &str, fd: &OwnedFd, errno: Errno) -> Error {
    let error = Error::from(errno);
    let error = match errno {
        Errno::NOENT => {
            let available = directory::read_value(fd, "cgroup.controllers").unwrap_or_default();
            Error::new("not delegated").hint(format!("{path} has only \"{}\"", available.trim()))
        }
        Errno::BUSY => {
            let procs = directory::read(fd, "cgroup.procs").unwrap_or_default();
            let pids: Vec<&str> = procs.lines().take(5).collect();
            error.hint(format!(
                "{path} holds processes ({}); a cgroup v2 with processes cannot have sub-cgroups with limits",
                pids.join(" ")
            ))
        }
        Errno::ACCESS | Errno::PERM => {
            error.hint("this user may not enable controllers there; they must be delegated")
        }
        Errno::OPNOTSUPP => error.hint("it is part of a threaded cgroup"),
        _ => error,
    };
    error.context(format!("enable {names} in cgroup {path}"))
}

/// Attaches the device program. A reused directory may have one already: it is replaced without a gap where there is one,
/// else those found are detached after ours is there.
fn attach_devices(cgroup: &OwnedFd, code: &[u64], is_reused: bool) -> rustix::io::Result<()> {
    let program = bpf::load_device_program(code)?;
    let old = if is_reused { bpf::device_programs(cgroup.as_fd())? } else { Vec::new() };
    if let [only] = old.as_slice() {
        let replaced = bpf::attach_device_program(cgroup.as_fd(), program.as_fd(), Some(only.as_fd()));
        if replaced.is_ok() {
            return Ok(());
        }
        // Before Linux 5.6, or a program that was attached without the flag for many.
    }
    bpf::attach_device_program(cgroup.as_fd(), program.as_fd(), None)?;
    old.iter().try_for_each(|old| bpf::detach_device_program(cgroup.as_fd(), old.as_fd()))
}

fn devices_refused(path: &str, errno: Errno) -> Error {
    let error = Error::from(errno).context(format!("attach the device program to cgroup {path}"));
    let error = error.context("linux.resources.devices");
    match errno {
        Errno::PERM => {
            error.hint("it takes CAP_BPF or CAP_SYS_ADMIN, and before Linux 5.11 a higher RLIMIT_MEMLOCK")
        }
        Errno::TOOBIG => error.hint("64 programs are attached already, perhaps left over by another program"),
        Errno::INVAL | Errno::NOSYS => error.hint("the kernel needs CONFIG_CGROUP_BPF"),
        _ => error,
    }
}

/// Hands the directory and the files that the kernel lists as safe to the container's root, which may then manage
/// sub-cgroups; see config-linux.md, "Cgroup ownership".
fn own(fd: &OwnedFd, uid: u32) -> rustix::io::Result<()> {
    let uid = Some(Uid::from_raw(uid));
    chownat(fd, "", uid, None, AtFlags::EMPTY_PATH)?;
    let listed = openat(rustix::fs::CWD, "/sys/kernel/cgroup", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .and_then(|kernel| directory::read(kernel, "delegate"))
        .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".to_owned());
    for file in listed.lines() {
        match chownat(fd, file, uid, None, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Kills every process in a cgroup and below by `cgroup.kill` (Linux 5.14); false where there is no such file. A cgroup
/// that is gone has nobody to kill.
pub(super) fn kill(path: &str) -> Result<bool> {
    let fd = match directory::open(path) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NODEV) => return Ok(true),
        Err(errno) => return Err(vanished(path, errno)),
    };
    kill_in(&fd, path)
}

/// The same with its directory open; that may have been removed since, and then lacks every file.
fn kill_in(fd: &OwnedFd, path: &str) -> Result<bool> {
    match directory::write(fd, "cgroup.kill", "1") {
        Ok(()) | Err(Errno::NODEV) => Ok(true),
        Err(Errno::NOENT) => Ok(directory::is_gone(path)),
        Err(errno) => Err(Error::from(errno).context(format!("write 1 to {path}/cgroup.kill"))),
    }
}

impl Cgroup {
    pub(super) fn directory(&self) -> Option<&str> {
        self.location.directories.first().map(|directory| directory.path.as_str())
    }

    fn freezer(&self) -> Result<&str> {
        self.directory().ok_or_else(|| Error::new("the container has no cgroup to freeze"))
    }

    pub(super) fn kill_all(&self) -> Result<()> {
        let Some(path) = self.directory() else { return Ok(()) };
        if kill(path)? {
            return Ok(());
        }
        // Best effort: frozen, none can fork between the listing and the signals. SIGKILL reaches frozen processes.
        let _ = set_frozen(path, true);
        let killed = directory::kill_each(path);
        directory::unless_gone(path, set_frozen(path, false)).and(killed)
    }

    pub(super) fn freeze(&self) -> Result<()> {
        let path = self.freezer()?;
        let result = set_frozen(path, true);
        if result.is_err() {
            // Never leave a half-frozen container behind; the first error is the one to report.
            let _ = set_frozen(path, false);
        }
        result
    }

    pub(super) fn thaw(&self) -> Result<()> {
        set_frozen(self.freezer()?, false)
    }

    pub(super) fn is_frozen(&self) -> Result<bool> {
        let Some(path) = self.directory() else { return Ok(false) };
        match directory::open(path).and_then(|fd| directory::read_value(fd, "cgroup.freeze")) {
            Ok(state) => Ok(state.trim() == "1"),
            Err(Errno::NOENT | Errno::NODEV) => Ok(false),
            Err(errno) => Err(vanished(path, errno)),
        }
    }
}

/// Freezes, and waits for the kernel's event that all have stopped; or thaws, without waiting.
fn set_frozen(path: &str, frozen: bool) -> Result<()> {
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    let value = if frozen { "1" } else { "0" };
    directory::write(&fd, "cgroup.freeze", value)
        .context(|| format!("write {value} to {path}/cgroup.freeze"))?;
    if !frozen || wait_until_frozen(&fd).context(|| format!("read {path}/cgroup.events"))? {
        return Ok(());
    }
    Err(Error::new("a process in it cannot be stopped").context(format!("freeze cgroup {path}")))
}

/// Waits for `frozen 1`; the file polls as changed when it does. False when patience ends.
fn wait_until_frozen(directory: &OwnedFd) -> rustix::io::Result<bool> {
    let events = openat(directory, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut buffer = [0u8; 256];
        let count = rustix::io::pread(&events, &mut buffer, 0)?;
        if buffer[..count].split(|&byte| byte == b'\n').any(|line| line == b"frozen 1") {
            return Ok(true);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&events, PollFlags::PRI)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_that_goes_while_it_is_killed_is_killed() {
        let path = std::env::temp_dir().join(format!("corten-gone-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        let text = path.to_str().unwrap();
        let fd = directory::open(text).unwrap();
        assert_eq!(kill_in(&fd, text).ok(), Some(false), "a kernel without the file");
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(kill_in(&fd, text).ok(), Some(true), "removed since it was opened");
    }
}
