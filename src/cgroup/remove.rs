//! Removing cgroups: rmdir(2), sub-cgroups first, until the processes in them are gone.

use super::directory;
use crate::error::{Error, Result};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Removes directories of hierarchies, trying again for as long as `patience` while they are busy.
pub(super) fn remove(mut paths: Vec<&str>, patience: Duration) -> Result<()> {
    let mut pause = Duration::from_micros(100);
    let mut deadline = None;
    loop {
        let mut refused = None;
        paths.retain(|path| match remove_tree(path) {
            Ok(()) => false,
            Err(Errno::BUSY | Errno::NOTEMPTY) => true,
            Err(errno) => {
                refused.get_or_insert_with(|| Error::from(errno).context(format!("remove cgroup {path}")));
                true
            }
        });
        if let Some(error) = refused {
            return Err(error);
        }
        if paths.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        if now >= *deadline.get_or_insert(now + patience) {
            return Err(remains(&paths));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Removes a directory; what is gone already is fine. The first rmdir is all there is for most containers.
fn remove_tree(path: &str) -> rustix::io::Result<()> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(errno) => return Err(errno),
    }
    let root = match directory::open(path) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    remove_children(root)?;
    match rustix::fs::rmdir(path) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Removes all sub-cgroups, the deepest first, by a list instead of recursion and with one descriptor at a time: the
/// container chose the depth and the breadth.
fn remove_children(root: OwnedFd) -> rustix::io::Result<()> {
    let mut levels = vec![directory::children(&root)?];
    let mut current = root;
    while let Some(names) = levels.last_mut() {
        let Some(name) = names.last() else {
            levels.pop();
            if !levels.is_empty() {
                current = directory::open_below(&current, c"..")?;
            }
            continue;
        };
        match unlinkat(&current, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {
                names.pop();
                continue;
            }
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
        let child = match directory::open_below(&current, name) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno),
        };
        let grandchildren = directory::children(&child)?;
        if grandchildren.is_empty() {
            // Only processes can keep it: the caller waits for them.
            return Err(Errno::BUSY);
        }
        levels.push(grandchildren);
        current = child;
    }
    Ok(())
}

/// The error that says what is still there, and why.
fn remains(paths: &[&str]) -> Error {
    let pids: Vec<String> = paths
        .iter()
        .filter_map(|path| directory::pids(path).ok())
        .flatten()
        .map(|pid| pid.as_raw_nonzero().to_string())
        .collect();
    let error = Error::from(Errno::BUSY).context(format!("remove cgroup {}", paths.join(", ")));
    if pids.is_empty() {
        return error.hint("no process of this pid namespace is in it");
    }
    error.hint(format!("processes {} are still in it", pids.join(" ")))
}
