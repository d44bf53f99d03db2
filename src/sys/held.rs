//! A process that is held, so that its pid cannot come to mean another: by its pidfd (pidfd_open(2), Linux 5.3), or, where the
//! kernel or a filter above us has none, by its directory in `/proc`, whose files are those of this process or of nobody.

use super::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process.
#[derive(Debug)]
pub struct Held {
    pid: Pid,
    by: By,
}

#[derive(Debug)]
enum By {
    Pidfd(OwnedFd),
    Directory(OwnedFd),
}

impl Held {
    /// The process that has the pid now; nothing when there is none.
    ///
    /// # Errors
    /// `EMFILE`; a `/proc` that is not mounted.
    pub fn open(pid: Pid) -> Result<Option<Self>, Errno> {
        let by = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::NOSYS) => open_directory(pid).map(By::Directory),
            answer => answer.map(By::Pidfd),
        };
        match by {
            // EINVAL: the pid of a thread.
            Err(Errno::SRCH | Errno::NOENT | Errno::INVAL) => Ok(None),
            by => Ok(Some(Self { pid, by: by? })),
        }
    }

    /// A second descriptor of the same.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn try_clone(&self) -> std::io::Result<Self> {
        let by = match &self.by {
            By::Pidfd(pidfd) => By::Pidfd(pidfd.try_clone()?),
            By::Directory(directory) => By::Directory(directory.try_clone()?),
        };
        Ok(Self { pid: self.pid, by })
    }

    /// Its pidfd, where it is held by one.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            By::Pidfd(pidfd) => Some(pidfd.as_fd()),
            By::Directory(_) => None,
        }
    }

    /// The same, for good.
    pub fn into_pidfd(self) -> Option<OwnedFd> {
        match self.by {
            By::Pidfd(pidfd) => Some(pidfd),
            By::Directory(_) => None,
        }
    }

    /// Whether it has ended, reaped or not.
    pub fn has_ended(&self) -> bool {
        match &self.by {
            By::Pidfd(pidfd) => {
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                let mut events = [PollFd::new(pidfd, PollFlags::IN)];
                poll(&mut events, Some(&at_once)).is_ok_and(|ended| ended > 0)
            }
            By::Directory(directory) => matches!(state(directory.as_fd()), Err(_) | Ok(b'Z' | b'X')),
        }
    }

    /// Sends it any signal number. Without pidfd_send_signal(2) it is kill(2), right after a look whether the process has
    /// ended: `docs/decisions.md` says what is left of the race.
    ///
    /// # Errors
    /// `ESRCH`: it has ended; `EPERM`; `EINVAL`: no such signal.
    pub fn signal(&self, number: i32) -> Result<(), Errno> {
        if let By::Pidfd(pidfd) = &self.by {
            match signals::send(pidfd.as_fd(), number) {
                Err(Errno::NOSYS) => {}
                answer => return answer,
            }
        }
        if self.has_ended() {
            return Err(Errno::SRCH);
        }
        signals::kill(self.pid.as_raw_nonzero().get(), number)
    }
}

fn open_directory(pid: Pid) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{}", pid.as_raw_nonzero());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path.as_str(), flags, Mode::empty())
}

/// The letter of its state (proc_pid_stat(5)), behind the name, which may hold anything.
fn state(directory: BorrowedFd<'_>) -> Result<u8, Errno> {
    let mut text = [0; 1024];
    let file = openat(directory, c"stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let length = rustix::io::read(&file, &mut text)?;
    let name_end = text[..length].iter().rposition(|byte| *byte == b')').ok_or(Errno::SRCH)?;
    text.get(name_end + 2).copied().ok_or(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn by_directory(child: &Child) -> Held {
        let pid = Pid::from_child(child);
        Held { pid, by: By::Directory(open_directory(pid).unwrap()) }
    }

    #[test]
    fn a_directory_holds_one_process_and_no_other_of_its_pid() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let held = by_directory(&child);
        assert!(!held.has_ended());
        held.signal(0).unwrap();
        held.signal(libc::SIGTERM).unwrap();
        while !held.has_ended() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(held.has_ended());
        assert_eq!(held.signal(libc::SIGTERM), Err(Errno::SRCH));
        // It takes the place of a pid that has come again: a descriptor of the same pid whose process is another.
        let mut other = Command::new("sleep").arg("100").spawn().unwrap();
        let confused = Held { pid: Pid::from_child(&other), by: held.by };
        assert_eq!(confused.signal(libc::SIGKILL), Err(Errno::SRCH));
        assert!(other.try_wait().unwrap().is_none(), "the other one lives");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
