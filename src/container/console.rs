//! The terminal of a container in the foreground, joined with the caller's.
//!
//! Each direction has a small buffer, is read from when that is empty and written to when poll(2) says that there is room:
//! a terminal that nobody reads, here or there, holds back its own direction and nothing else.

use crate::error::{Context, Result};
use crate::sys::watch::watch;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios};
use std::time::Duration;

/// How often a terminal that no process of the container has open is looked at: poll(2) would tell of it without end, and
/// does not tell when it is opened again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What a pipe or socket takes without waiting once poll(2) says that it takes something: `PIPE_BUF`.
const PIECE: usize = 4096;

/// The container's terminal, joined with ours.
#[derive(Debug)]
pub struct Console {
    /// Does not block: its description is ours alone.
    master: OwnedFd,
    /// Our terminal once more, in place of stdout: not blocking, which stdout must not be made, since we share it.
    screen: Option<OwnedFd>,
    /// How our terminal was before it was made raw.
    saved: Option<Termios>,
    /// From our stdin to the container.
    input: Lane,
    input_ended: bool,
    /// From the container to our stdout.
    output: Lane,
    /// Whether our stdout is gone; what the container writes is thrown away, so that it is not held back.
    nobody_reads: bool,
    /// Whether no process of the container had its terminal open when we last looked.
    closed: bool,
}

impl Console {
    /// Takes the master, gives it our window's size and makes our terminal raw.
    ///
    /// # Errors
    /// A terminal of ours that cannot be made raw.
    pub fn attach(master: OwnedFd) -> Result<Self> {
        rustix::io::ioctl_fionbio(&master, true).context(|| "the terminal")?;
        let mut console = Self {
            master,
            screen: open_screen(),
            saved: None,
            input: Lane::default(),
            input_ended: false,
            output: Lane::default(),
            nobody_reads: false,
            closed: false,
        };
        let stdin = rustix::stdio::stdin();
        if let Ok(saved) = rustix::termios::tcgetattr(stdin) {
            console.copy_size();
            let mut raw = saved.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw)
                .context(|| "make the terminal raw")?;
            console.saved = Some(saved);
        }
        Ok(console)
    }

    /// Gives the container's terminal the size of our window.
    pub fn copy_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
            let _best_effort = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    /// What to wait for: the master, stdin, stdout. `idle` stands in for what is not wanted now.
    pub fn events<'fd>(&'fd self, idle: BorrowedFd<'fd>) -> [PollFd<'fd>; 3] {
        let mut of_master = PollFlags::empty();
        of_master.set(PollFlags::IN, self.output.is_empty());
        of_master.set(PollFlags::OUT, !self.input.is_empty());
        let master = (!self.closed && !of_master.is_empty()).then_some(self.master.as_fd());
        let stdin = (!self.input_ended && self.input.is_empty()).then_some(rustix::stdio::stdin());
        let stdout = (!self.output.is_empty()).then_some(self.screen());
        [
            watch(master, of_master, idle),
            watch(stdin, PollFlags::IN, idle),
            watch(stdout, PollFlags::OUT, idle),
        ]
    }

    /// How long to wait at most.
    pub fn patience(&self) -> Option<Duration> {
        self.closed.then_some(LOOK_AGAIN)
    }

    /// Moves what can be moved without waiting: of the master, stdin and stdout those that are ready.
    pub fn pass_on(&mut self, [master, stdin, stdout]: [bool; 3]) {
        self.closed = false;
        if stdin && self.input.is_empty() {
            match self.input.fill(rustix::stdio::stdin()) {
                Ok(1..) | Err(Errno::INTR | Errno::AGAIN) => {}
                Ok(0) | Err(_) => self.input_ended = true,
            }
        }
        if master && !self.input.is_empty() {
            // What was typed waits until somebody opens the terminal again.
            self.closed = gone(self.input.empty(self.master.as_fd(), Lane::SIZE));
        }
        if master && self.output.is_empty() {
            self.closed = self.listen() == Err(Errno::IO);
        }
        if stdout {
            self.show();
        }
    }

    /// Whether there is still something to be shown of a container that has ended. It gets no input any more.
    pub fn has_rest(&mut self) -> bool {
        self.input_ended = true;
        self.input.clear();
        while self.output.is_empty() {
            match self.listen() {
                Ok(1..) | Err(Errno::INTR) => {}
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }

    /// Reads from the container.
    fn listen(&mut self) -> std::result::Result<usize, Errno> {
        let length = self.output.fill(self.master.as_fd())?;
        if self.nobody_reads {
            self.output.clear();
        }
        Ok(length)
    }

    /// Writes to our stdout, which is ready.
    fn show(&mut self) {
        let (to, most) = match &self.screen {
            Some(screen) => (screen.as_fd(), Lane::SIZE),
            None => (rustix::stdio::stdout(), PIECE),
        };
        if gone(self.output.empty(to, most)) {
            self.nobody_reads = true;
            self.output.clear();
        }
    }

    /// Where output goes.
    fn screen(&self) -> BorrowedFd<'_> {
        self.screen.as_ref().map_or(rustix::stdio::stdout(), AsFd::as_fd)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            let _best_effort =
                rustix::termios::tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, saved);
        }
    }
}

/// Whether a write failed for good.
fn gone(written: std::result::Result<(), Errno>) -> bool {
    !matches!(written, Ok(()) | Err(Errno::INTR | Errno::AGAIN))
}

/// The terminal on our stdout, opened once more. A terminal has room for a byte and says so: whoever writes more waits. Not
/// of a master, whose opening makes a new terminal, nor of another's terminal, which we may not open: there it may wait.
fn open_screen() -> Option<OwnedFd> {
    let stdout = rustix::stdio::stdout();
    let is_master = rustix::fs::fstat(stdout).is_ok_and(|stat| stat.st_rdev == rustix::fs::makedev(5, 2));
    if is_master || !rustix::termios::isatty(stdout) {
        return None;
    }
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, c"/proc/self/fd/1", flags, Mode::empty()).ok()
}

/// Bytes on their way in one direction.
#[derive(Debug)]
struct Lane {
    bytes: [u8; Self::SIZE],
    start: usize,
    end: usize,
}

impl Default for Lane {
    fn default() -> Self {
        Self { bytes: [0; Self::SIZE], start: 0, end: 0 }
    }
}

impl Lane {
    const SIZE: usize = 8192;

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads into an empty lane.
    fn fill(&mut self, from: BorrowedFd<'_>) -> std::result::Result<usize, Errno> {
        self.clear();
        self.end = rustix::io::read(from, &mut self.bytes)?;
        Ok(self.end)
    }

    /// Writes once, at most so many bytes.
    fn empty(&mut self, to: BorrowedFd<'_>, most: usize) -> std::result::Result<(), Errno> {
        let end = self.end.min(self.start + most);
        self.start += rustix::io::write(to, &self.bytes[self.start..end])?;
        Ok(())
    }
}
