//! What is written down of a container, and what is true of it now.
//!
//! `container.json` says what it is to be; `state.json` what became of it when it ran last. Neither is believed about whether it runs: a
//! process counts with its start time, and the monitor by the lock that it holds.

pub use super::options::ImageUse;
use super::options::Options;
use crate::error::{Context, Error, Result};
use crate::store::disk;
use crate::store::lock::{self, Lock};
pub use crate::sys::process::start_time;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const MAX_RECORD: u64 = 16 << 20;
/// How a program ended that nobody was there to see.
pub const UNKNOWN_CODE: i32 = 255;
/// A state is written with blanks up to this size, so that the next one has its place.
const STATE_ROOM: usize = 2048;
/// What became of a container.
pub const STATE: &str = "state.json";

/// In the place of a boot: the state was none.
const LOST: &str = "lost";

/// What a container is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 64 hex digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// When it was created, in nanoseconds since 1970.
    pub created: u64,
    /// The image it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageUse>,
    /// Everything else.
    pub options: Options,
}

/// What became of a container when it ran last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What its monitor did last.
    pub phase: Phase,
    /// Its program's first process, while it runs.
    pub pid: i32,
    /// When that was started, in the kernel's ticks since boot.
    pub pid_start: u64,
    /// The boot that this happened in.
    pub boot: String,
    /// The monitor's process.
    pub monitor: i32,
    /// When that was started, as with `pid_start`.
    pub monitor_start: u64,
    /// When its program was started last, in nanoseconds since 1970.
    pub started: u64,
    /// When that ended.
    pub finished: u64,
    /// How that ended: an exit code, or 128 and a signal.
    pub exit_code: i32,
    /// Whether the kernel ended it for want of memory.
    pub oom_killed: bool,
    /// What kept it from running.
    pub error: String,
    /// How often it was started again by itself.
    pub restarts: u32,
    /// Whether somebody stopped it, so that it is not started again.
    pub stopped: bool,
}

impl State {
    /// What stands for a state whose file the power failure has emptied: it ran, in a boot that is over.
    fn lost() -> Self {
        Self { phase: Phase::Running, boot: LOST.into(), ..Self::default() }
    }

    /// What is written once it was told that a state was lost: of a boot that is over, and no more.
    pub fn told(self) -> Self {
        if self.boot == LOST { Self { boot: "over".into(), ..self } } else { self }
    }
}

/// What a monitor is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Nothing yet: it never ran.
    #[default]
    Created,
    /// The runtime is at work.
    Starting,
    /// The program runs.
    Running,
    /// The program has ended and will be started again.
    Restarting,
    /// It has ended for good.
    Exited,
}

/// What is true of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It never ran.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// It is between two runs.
    Restarting,
    /// Its program has ended.
    Exited,
}

impl Status {
    /// As docker and podman name it.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Restarting => "restarting",
            Status::Exited => "exited",
        }
    }

    /// Whether there is a process.
    pub fn lives(self) -> bool {
        matches!(self, Status::Running | Status::Paused)
    }
}

/// A container on disk.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it is to be.
    pub record: Record,
    /// `ROOT/containers/ID`.
    pub directory: PathBuf,
    /// `RUNROOT/containers/ID`: there while it runs.
    pub run: PathBuf,
}

impl Container {
    /// What became of it when it ran last.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn state(&self) -> Result<State> {
        let path = self.directory.join(STATE);
        match disk::read_small(&path, MAX_RECORD)? {
            None => Ok(State::default()),
            Some(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|_| State::lost())),
        }
    }

    /// What is to be said where a state was no state: it is empty after a power failure, or somebody else wrote there.
    pub fn lost(&self, state: &State) -> Option<Error> {
        (state.boot == LOST).then(|| {
            Error::new("it holds no state; the container is taken for one that has ended")
                .context(self.directory.join(STATE).display().to_string())
                .context(self.place())
        })
    }

    /// What is true of it now, by the state that was read.
    pub fn status(&self, state: &State) -> Status {
        match state.phase {
            Phase::Created => Status::Created,
            Phase::Exited => Status::Exited,
            Phase::Running if lives(state) => match disk::read_small(&self.run.join("paused"), 16) {
                Ok(Some(_)) => Status::Paused,
                _ => Status::Running,
            },
            Phase::Running => Status::Exited,
            Phase::Starting if !self.is_monitored() => Status::Exited,
            Phase::Starting => Status::Created,
            Phase::Restarting if self.is_monitored() => Status::Restarting,
            Phase::Restarting => Status::Exited,
        }
    }

    /// State and status together. An end that no monitor saw is in neither: its code is unknown, and so is its time.
    ///
    /// # Errors
    /// Fails if the state cannot be read.
    pub fn now(&self) -> Result<(State, Status)> {
        let mut state = self.state()?;
        let status = self.status(&state);
        let unseen = status == Status::Exited && state.phase != Phase::Exited;
        if unseen && (is_stopped(&state) || !self.is_monitored()) {
            (state.exit_code, state.finished) = (UNKNOWN_CODE, 0);
        }
        Ok((state, status))
    }

    /// Whether a monitor looks after it.
    pub fn is_monitored(&self) -> bool {
        matches!(lock::is_held(&self.directory.join("monitor")), Ok(true))
    }

    /// The lock that whoever starts, removes or changes it holds.
    ///
    /// # Errors
    /// Fails if the container is not there any more.
    pub fn lock(&self) -> Result<Lock> {
        let lock = Lock::wait(&self.directory.join("lock"));
        lock.map_err(|error| match error.errno() {
            Some(libc::ENOENT) => Error::new("no such container").context(self.record.name.clone()),
            _ => error,
        })
    }

    /// Where a message says it happened.
    pub fn place(&self) -> String {
        format!("container {}", self.record.name)
    }
}

/// Writes the state; it need not outlive a power failure, after which nothing runs anyway.
///
/// # Errors
/// Fails if it cannot be written.
pub fn write_state(directory: &Path, state: &State) -> Result<()> {
    let mut bytes = serde_json::to_vec(state).map_err(|error| Error::new(error.to_string()))?;
    bytes.resize(bytes.len().max(STATE_ROOM), b' ');
    match write_loose(directory, STATE, &bytes) {
        Err(error) if matches!(error.errno(), Some(libc::ENOSPC | libc::EDQUOT)) => {
            overwrite(&directory.join(STATE), bytes).map_err(|_| error)
        }
        result => result,
    }
}

/// Writes over what a file has room for. A full disk takes nothing new, but what runs, and how it ended, must be known on it, too.
fn overwrite(path: &Path, mut bytes: Vec<u8>) -> std::io::Result<()> {
    use std::os::unix::fs::{FileExt, OpenOptionsExt};
    let file = std::fs::File::options().write(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let room = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if bytes.len() > room {
        return Err(Errno::NOSPC.into());
    }
    bytes.resize(room, b' ');
    file.write_all_at(&bytes, 0)
}

/// As [`disk::write_whole`] without waiting for the disk.
///
/// # Errors
/// Names the file.
pub fn write_loose(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    disk::replace(&path, disk::create, |mut file| Ok(file.write_all(bytes)?))
        .context(|| format!("write {}", path.display()))
}

/// Reads a container's record; nothing if there is none, or a power failure has emptied that of one which was to go with its end.
///
/// # Errors
/// Names the file.
pub fn read_record(directory: &Path) -> Result<Option<Record>> {
    let path = directory.join("container.json");
    let bytes = match disk::read_small(&path, MAX_RECORD) {
        Ok(Some(bytes)) if !bytes.is_empty() => bytes,
        Ok(_) => return Ok(None),
        Err(error) if error.errno() == Some(libc::ENOTDIR) => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Error::new(error.to_string()).context(format!("record {}", path.display())))
}

/// Whether the kernel shows a monitor as stopped by a signal, so that it does nothing until somebody lets it go on. What a debugger does to
/// it may last a moment only.
pub fn is_stopped(state: &State) -> bool {
    start_time(state.monitor) == Some(state.monitor_start)
        && crate::sys::process::letter(state.monitor) == Some('T')
}

/// Whether the process that a state names is there, and is that one.
pub fn lives(state: &State) -> bool {
    is_that(state.pid, state.pid_start, &state.boot)
}

fn is_that(pid: i32, start: u64, boot: &str) -> bool {
    pid > 0 && start_time(pid) == Some(start) && boot_is(boot)
}

/// A process that was written down, held so that its number can mean nobody else; nothing if it has ended.
///
/// # Errors
/// As pidfd_open(2).
pub fn held(pid: i32, start: u64, boot: &str) -> rustix::io::Result<Option<OwnedFd>> {
    let Some(process) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(process, PidfdFlags::empty()) {
        Ok(pidfd) if is_that(pid, start, boot) => Ok(Some(pidfd)),
        Ok(_) | Err(Errno::SRCH) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// What tells this boot from others.
pub fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

fn boot_is(other: &str) -> bool {
    static BOOT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BOOT.get_or_init(boot) == other
}
