//! One cgroup directory: its files, by name below its descriptor, and its processes.

use crate::error::{Context, Error, Result};
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

/// Opens a directory, to reach its files and as the target of `clone3` and bpf(2) (which refuse `O_PATH`).
pub(super) fn open(path: &str) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Whether a cgroup is not there any more. systemd removes that of a scope as soon as the last process has left it, at whatever point
/// we are.
pub(super) fn is_gone(path: &str) -> bool {
    matches!(open(path), Err(Errno::NOENT | Errno::NODEV))
}

/// Opens a directory within another.
pub(super) fn open_below(directory: impl AsFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    openat(directory, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a file for writing, by its name in a directory or by its whole path.
pub(super) fn open_file(directory: impl AsFd, file: &str) -> rustix::io::Result<OwnedFd> {
    openat(directory, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Writes a value in one write(2): the kernel parses what comes in one call.
pub(super) fn write(directory: impl AsFd, file: &str, value: &str) -> rustix::io::Result<()> {
    write_to(&open_file(directory, file)?, value)
}

/// As [`write()`], to a file that is open.
pub(super) fn write_to(file: &OwnedFd, value: &str) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| rustix::io::write(file, value.as_bytes())).map(drop)
}

/// Reads a file that holds a value or a short line: one read(2).
pub(super) fn read_value(directory: impl AsFd, file: &str) -> rustix::io::Result<String> {
    let fd = openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = [0u8; 4096];
    let count = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut buffer))?;
    Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
}

/// Reads a file of any length.
pub(super) fn read(directory: impl AsFd, file: &str) -> rustix::io::Result<String> {
    let fd = openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut text, mut buffer) = (Vec::new(), [0u8; 4096]);
    loop {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&fd, &mut buffer))?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        text.extend_from_slice(&buffer[..count]);
    }
}

/// The names of the sub-cgroups.
pub(super) fn children(directory: impl AsFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The names of the files.
pub(super) fn files(directory: impl AsFd) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if entry.file_type() == FileType::RegularFile {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The processes in a cgroup and all below; none when it is gone.
pub(super) fn pids(path: &str) -> Result<Vec<Pid>> {
    let mut pids = Vec::new();
    collect(path, &mut pids).context(|| format!("list the processes of cgroup {path}"))?;
    Ok(pids)
}

/// Kills the processes in a cgroup and all below, one by one. Who has ended meanwhile is no error.
pub(super) fn kill_each(path: &str) -> Result<()> {
    for pid in pids(path)? {
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(Error::from(errno).context(format!("kill process {}", pid.as_raw_nonzero())));
            }
        }
    }
    Ok(())
}

/// What has been done to a cgroup, where it is no error that the cgroup is not there any more.
pub(super) fn unless_gone(path: &str, result: Result<()>) -> Result<()> {
    result.or_else(|error| if is_gone(path) { Ok(()) } else { Err(error) })
}

/// Goes through the tree with one descriptor at a time: the container chose the depth and the breadth.
fn collect(path: &str, pids: &mut Vec<Pid>) -> rustix::io::Result<()> {
    let mut current = match open(path) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    let mut levels = vec![visit(&current, pids)?];
    while let Some(names) = levels.last_mut() {
        match names.pop().map(|name| open_below(&current, &name)) {
            Some(Ok(fd)) => {
                levels.push(visit(&fd, pids)?);
                current = fd;
            }
            Some(Err(Errno::NOENT)) => {}
            Some(Err(errno)) => return Err(errno),
            None => {
                levels.pop();
                if !levels.is_empty() {
                    current = open_below(&current, c"..")?;
                }
            }
        }
    }
    Ok(())
}

/// Adds the processes of one directory; the names of its sub-cgroups come back.
fn visit(directory: &OwnedFd, pids: &mut Vec<Pid>) -> rustix::io::Result<Vec<CString>> {
    match read(directory, "cgroup.procs") {
        // Zero stands for a process of another pid namespace, which cannot be named here.
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw))),
        // Threaded: the threads' processes are listed further up.
        Err(Errno::OPNOTSUPP) => {}
        // Gone meanwhile.
        Err(Errno::NOENT | Errno::NODEV) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    }
    children(directory)
}
