//! Init by its pid, safe against pid reuse: the pid counts only together with the time at which the process started.

use crate::error::{Context, Error, Result};
use crate::sys::held::Held;
use rustix::fd::BorrowedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A process on record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its pid in the runtime's namespace.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub start_time: u64,
}

/// Whether a process still is what the record means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// It runs, waits or is stopped.
    Alive,
    /// It has ended, is a zombie, or its pid is another's.
    Ended,
}

impl Process {
    /// The process that now has that pid.
    ///
    /// # Errors
    /// It has ended.
    pub fn of(pid: Pid) -> Result<Self> {
        let pid = pid.as_raw_nonzero().get();
        let stat = Stat::read(pid)?.ok_or_else(|| Error::new(format!("process {pid} has ended")))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// Whether it still is there.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn liveness(&self) -> Result<Liveness> {
        let alive = Stat::read(self.pid)?
            .is_some_and(|stat| stat.start_time == self.start_time && !matches!(stat.state, b'Z' | b'X'));
        Ok(if alive { Liveness::Alive } else { Liveness::Ended })
    }

    /// Holds it, so that its pid cannot come to mean another; nothing when it has ended.
    ///
    /// # Errors
    /// Those of [`Held::open`].
    pub fn open(&self) -> Result<Option<Held>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let held = Held::open(pid).context(|| format!("process {}", self.pid))?;
        // Only now that the pid cannot change its meaning does the start time prove anything.
        Ok(if self.liveness()? == Liveness::Alive { held } else { None })
    }

    /// Sends it a signal; false when it has ended.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn signal(&self, number: i32) -> Result<bool> {
        let Some(held) = self.open()? else { return Ok(false) };
        match held.signal(number) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(Error::from(errno).context(format!("signal {number} to process {}", self.pid))),
        }
    }

    /// Waits until it has ended, at most `patience`; false when it has not.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(&self, patience: Duration) -> Result<bool> {
        let Some(held) = self.open()? else { return Ok(true) };
        match held.pidfd() {
            Some(pidfd) => self.wait_by(pidfd, patience),
            None => self.look_until(Instant::now() + patience),
        }
    }

    fn wait_by(&self, pidfd: BorrowedFd<'_>, patience: Duration) -> Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec};
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut events = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        loop {
            match rustix::event::poll(&mut events, Some(&patience)) {
                Err(Errno::INTR) => {}
                answer => return Ok(answer.context(|| format!("wait for process {}", self.pid))? > 0),
            }
        }
    }

    /// Without a pidfd nothing tells of the end of a process that is not our child.
    fn look_until(&self, deadline: Instant) -> Result<bool> {
        let mut pause = Duration::from_micros(200);
        while self.liveness()? == Liveness::Alive {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(true)
    }
}

/// A process that was cloned, and shall execute a program.
#[derive(Debug, Clone, Copy)]
pub struct Cloned {
    pid: i32,
    /// Of one that others may wait for, so that its pid may be another's by now.
    start_time: Option<u64>,
}

impl Cloned {
    /// A child of ours that nobody has waited for.
    pub fn child(pid: rustix::process::Pid) -> Self {
        Self { pid: pid.as_raw_nonzero().get(), start_time: None }
    }

    /// Whether it has not executed anything, or had not when it ended. One that nobody remembers has.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn never_executed(self) -> Result<bool> {
        // PF_FORKNOEXEC of include/linux/sched.h, which execve(2) clears before it closes what is close-on-exec.
        const FORKED_AND_NOT_EXECUTED: u32 = 0x40;
        let is_it = |stat: &Stat| self.start_time.is_none_or(|start_time| start_time == stat.start_time);
        Ok(Stat::read(self.pid)?.filter(is_it).is_some_and(|stat| stat.flags & FORKED_AND_NOT_EXECUTED != 0))
    }
}

impl From<Process> for Cloned {
    fn from(process: Process) -> Self {
        Self { pid: process.pid, start_time: Some(process.start_time) }
    }
}

/// Whether a process is stopped, as by SIGSTOP. In a frozen cgroup of v1 none shows that it is.
///
/// # Errors
/// `/proc` cannot be read.
pub fn is_stopped(pid: Pid) -> Result<bool> {
    Ok(Stat::read(pid.as_raw_nonzero().get())?.is_some_and(|stat| stat.state == b'T'))
}

/// What needs a pidfd and has no other way.
pub fn needs_pidfd(what: &str) -> Error {
    Error::new(format!("{what} needs pidfd_open(2), which is missing"))
        .hint("it needs Linux 5.3, and no seccomp filter above us that denies it")
}

/// What is wanted of proc_pid_stat(5).
struct Stat {
    state: u8,
    /// The kernel's `PF_*`.
    flags: u32,
    start_time: u64,
}

impl Stat {
    fn read(pid: i32) -> Result<Option<Self>> {
        let path = format!("/proc/{pid}/stat");
        let mut text = [0; 1024];
        let read = rustix::fs::open(path.as_str(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .and_then(|file| rustix::io::read(&file, &mut text));
        match read {
            Ok(length) => Ok(Self::parse(&text[..length])),
            Err(Errno::NOENT | Errno::SRCH) => Ok(None),
            Err(errno) => Err(Error::from(errno).context(path)),
        }
    }

    /// The name in parentheses may hold anything, so fields are counted from its end.
    fn parse(text: &[u8]) -> Option<Self> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = *fields.next()?.as_bytes().first()?;
        let flags = fields.nth(5)?.parse().ok()?;
        let start_time = fields.nth(12)?.parse().ok()?;
        Some(Self { state, flags, start_time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_the_fields() {
        let text = b"7 (a) Z 1 (b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0 0";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.state, stat.flags, stat.start_time), (b'S', 4_194_304, 4242));
    }

    #[test]
    fn a_reused_pid_is_not_the_process() {
        let own = Process::of(rustix::process::getpid()).unwrap();
        assert_eq!(own.liveness().unwrap(), Liveness::Alive);
        let other = Process { start_time: own.start_time + 1, ..own };
        assert_eq!(other.liveness().unwrap(), Liveness::Ended);
        assert!(!other.signal(0).unwrap());
    }
}
