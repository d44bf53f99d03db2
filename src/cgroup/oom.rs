//! Watching a cgroup for memory that ran out: an eventfd(2) that v1 rings, or the file of v2 that polls as changed.

use super::{directory, vanished};
use crate::error::{Context, Error, Result};
use crate::plan::cgroup::Location;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};

/// Tells when the kernel had to kill in a cgroup for want of memory.
#[derive(Debug)]
pub struct OomWatch {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// v1: rung at each time, and once when the cgroup is removed.
    Bell { eventfd: OwnedFd, path: String },
    /// v2: `memory.events`, and the number of kills that it has shown last.
    Events { file: OwnedFd, kills: u64 },
}

impl OomWatch {
    /// Begins to watch; nothing where no memory controller tells.
    pub(super) fn new(location: &Location) -> Result<Option<Self>> {
        if let Some(index) = location.index_of("memory") {
            return bell(&location.directories[index].path).map(Some);
        }
        let Some(directory) = location.unified() else { return Ok(None) };
        let path = &directory.path;
        let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
        let file = match openat(&fd, "memory.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            answer => answer.context(|| format!("open {path}/memory.events"))?,
        };
        let kills = kills(&file).context(|| format!("read {path}/memory.events"))?;
        Ok(Some(Self { source: Source::Events { file, kills } }))
    }

    /// What to wait for with poll(2).
    pub fn poll_fd(&self) -> PollFd<'_> {
        match &self.source {
            Source::Bell { eventfd, .. } => PollFd::new(eventfd, PollFlags::IN),
            Source::Events { file, .. } => PollFd::new(file, PollFlags::PRI),
        }
    }

    /// Whether memory ran out since the last question; nothing when the cgroup is gone and there is no more to watch.
    pub fn happened(&mut self) -> Option<bool> {
        match &mut self.source {
            Source::Bell { eventfd, path } => {
                let rung = rustix::io::read(eventfd, &mut [0u8; 8]).is_ok();
                directory::open(path).ok().map(|_| rung)
            }
            Source::Events { file, kills } => {
                let before = std::mem::replace(kills, self::kills(file).ok()?);
                Some(*kills > before)
            }
        }
    }
}

/// Has v1 ring an eventfd; see cgroup-v1/memory.rst, "OOM Control".
fn bell(path: &str) -> Result<OomWatch> {
    let fd = directory::open(path).map_err(|errno| vanished(path, errno))?;
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).context(|| "eventfd")?;
    let control = openat(&fd, "memory.oom_control", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .context(|| format!("open {path}/memory.oom_control"))?;
    let line = format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd());
    directory::write(&fd, "cgroup.event_control", &line).map_err(|errno| {
        Error::from(errno).context(format!("write {line:?} to {path}/cgroup.event_control"))
    })?;
    Ok(OomWatch { source: Source::Bell { eventfd, path: path.to_owned() } })
}

/// The line `oom_kill N` of `memory.events`.
fn kills(file: &OwnedFd) -> rustix::io::Result<u64> {
    let mut buffer = [0u8; 1024];
    let count = rustix::io::pread(file, &mut buffer, 0)?;
    let text = String::from_utf8_lossy(&buffer[..count]);
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(line.and_then(|number| number.parse().ok()).unwrap_or_default())
}
