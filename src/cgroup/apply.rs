//! Writing limits, and what to say when the kernel refuses one.

use super::{directory, vanished};
use crate::error::{Error, Result};
use crate::plan::cgroup::{Directory, Missing, Write};
use rustix::fs::CWD;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Writes in order; what must wait for another file (`Write::retry`) is written once more after all others.
pub(super) fn apply(directories: &[Directory], writes: &[Write]) -> Result<()> {
    let mut cursor = Cursor { directories, file: None };
    let mut waiting = Vec::new();
    for write in writes {
        match cursor.write(write) {
            Err(Refused { errno: Errno::INVAL, .. }) if write.retry => waiting.push(write),
            result => result.map_err(|refused| explain(refused, directories, write))?,
        }
    }
    for write in waiting {
        cursor.write(write).map_err(|refused| explain(refused, directories, write))?;
    }
    Ok(())
}

/// A write that failed.
struct Refused {
    errno: Errno,
    /// The present usage that the value is below.
    usage: Option<u64>,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, usage: None }
    }
}

/// Keeps the file of the last write open, since device lists take many lines. Files are opened by their whole path: most
/// v1 directories get one line, and one call less each is worth more than a shorter walk.
struct Cursor<'a> {
    directories: &'a [Directory],
    file: Option<(usize, &'a str, OwnedFd)>,
}

impl<'a> Cursor<'a> {
    fn write(&mut self, write: &'a Write) -> std::result::Result<(), Refused> {
        let path = &self.directories.get(write.directory).ok_or(Errno::NOENT)?.path;
        if let Some(file) = write.not_below {
            let usage = directory::read_value(CWD, &format!("{path}/{file}"))?.trim().parse().ok();
            if usage.is_some_and(|usage: u64| write.value.parse().is_ok_and(|value: u64| value < usage)) {
                return Err(Refused { errno: Errno::BUSY, usage });
            }
        }
        let file = match &mut self.file {
            Some((index, name, fd)) if *index == write.directory && *name == write.file => fd,
            other => match directory::open_file(CWD, &format!("{path}/{}", write.file)) {
                Ok(fd) => &mut other.insert((write.directory, &write.file, fd)).2,
                Err(Errno::NOENT) => {
                    return match &write.missing {
                        Missing::Fail => Err(Errno::NOENT.into()),
                        Missing::Ignore => Ok(()),
                        Missing::Instead { file, value } => {
                            Ok(directory::write(CWD, &format!("{path}/{file}"), value)?)
                        }
                    };
                }
                Err(errno) => return Err(errno.into()),
            },
        };
        Ok(directory::write_to(file, &write.value)?)
    }
}

/// The whole sentence: which property, which value, which file, what the kernel said, what to try.
fn explain(refused: Refused, directories: &[Directory], write: &Write) -> Error {
    let Refused { errno, usage } = refused;
    let Some(Directory { path, .. }) = directories.get(write.directory) else {
        return Error::new("this container has no such cgroup").context(write.place.to_string());
    };
    let fd = match directory::open(path) {
        Ok(fd) => fd,
        Err(errno) => return vanished(path, errno).context(write.place.to_string()),
    };
    let number =
        |file| directory::read_value(&fd, file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let usage = usage.or_else(|| if errno == Errno::BUSY { number("memory.usage_in_bytes") } else { None });
    let error = match (errno, usage) {
        // The words of ENOENT would be taken for a command that was not found in the container.
        (Errno::NOENT, _) => Error::new("the kernel does not offer this file here"),
        (Errno::BUSY, Some(usage)) => {
            Error::new(format!("unable to set memory limit to {} (current usage: {usage})", write.value))
        }
        _ => Error::from(errno),
    };
    let error = error.context(format!("write {:?} to {path}/{}", write.value, write.file));
    let error = if write.place.is_none() { error } else { error.context(write.place.to_string()) };
    match hint(errno, write, &fd) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn hint(errno: Errno, write: &Write, directory: &OwnedFd) -> Option<String> {
    let read = |file: &str| directory::read_value(directory, file).map(|text| text.trim().to_owned()).ok();
    match (errno, write.controller(), write.file.as_ref()) {
        (Errno::NOENT, _, "memory.memsw.limit_in_bytes" | "memory.swap.max") => {
            Some("the kernel does not account swap; boot it with swapaccount=1".to_owned())
        }
        (Errno::NOENT, "blkio" | "io", _) if matches!(write.missing, Missing::Instead { .. }) => {
            Some("weights need the bfq io scheduler or the io.cost controller".to_owned())
        }
        (Errno::NOENT, "blkio", "blkio.leaf_weight" | "blkio.leaf_weight_device") => {
            Some("leaf weights were the cfq scheduler's, which Linux 5.0 removed".to_owned())
        }
        (Errno::NOENT, "hugetlb", _) => {
            Some("see /sys/kernel/mm/hugepages for the page sizes there are".to_owned())
        }
        (
            Errno::INVAL | Errno::ACCESS | Errno::NOSPC | Errno::RANGE,
            "cpuset",
            file @ ("cpuset.cpus" | "cpuset.mems"),
        ) => {
            let parent = read(&format!("../{file}.effective")).or_else(|| read(&format!("../{file}")))?;
            Some(format!("the parent cgroup has {parent:?}"))
        }
        (Errno::NOENT | Errno::ACCESS, controller, _) => {
            let enabled = read("cgroup.controllers")
                .filter(|names| !names.split(' ').any(|name| name == controller))?;
            Some(format!("controller {controller} is not enabled in this cgroup, only \"{enabled}\""))
        }
        (Errno::INVAL, "memory", "memory.limit_in_bytes") => {
            let both = read("memory.memsw.limit_in_bytes")?;
            Some(format!("the limit of memory and swap together is {both}; raise it as well"))
        }
        (Errno::PERM, "devices", _) => Some("the parent cgroup does not allow the device".to_owned()),
        (Errno::INVAL, "cpu", "cpu.shares" | "cpu.weight" | "cpu.weight.nice") => {
            let is_idle = read("cpu.idle")? == "1";
            is_idle.then(|| "an idle cgroup (cpu.idle 1) has no weight".to_owned())
        }
        (Errno::INVAL, "cpu", _) => {
            Some("the cgroup's period, quota and burst, or its parent's quota, forbid it".to_owned())
        }
        _ => None,
    }
}
