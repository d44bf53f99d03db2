//! `run` in the foreground: signals go to the container, its terminal to ours, its exit code back.

use crate::error::{Context, Error, Result};
use crate::launch::spawn::Init;
use crate::sys::{signals, terminal};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use rustix::termios::{OptionalActions, Termios};

/// What must be in place before the container exists, so that no signal is lost.
#[derive(Debug)]
pub struct Foreground {
    signals: OwnedFd,
    console: Option<Console>,
}

/// The two ends over which init sends the master of its pty: ours first.
///
/// # Errors
/// Those of socketpair(2).
pub fn console_pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).context(|| "socketpair")
}

impl Foreground {
    /// Holds all signals back and, with `subreaper`, adopts what the container leaves behind.
    ///
    /// # Errors
    /// Those of signalfd(2) and prctl(2).
    pub fn prepare(subreaper: bool) -> Result<Self> {
        if subreaper {
            // Any pid means yes to this call.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context(|| "subreaper")?;
        }
        Ok(Self { signals: signals::block_all().context(|| "signalfd")?, console: None })
    }

    /// Takes the terminal that init has sent, before the program runs: it asks for the window's size first of all.
    ///
    /// # Errors
    /// A pty that did not come; a terminal of ours that cannot be made raw.
    pub fn attach(&mut self, socket: &OwnedFd) -> Result<()> {
        self.console = Some(Console::attach(socket)?);
        Ok(())
    }

    /// Attends the container until it ends: its exit code, or 128 and the signal that ended it.
    ///
    /// # Errors
    /// Those of poll(2), read(2) and wait(2).
    pub fn attend(mut self, init: &Init) -> Result<u8> {
        loop {
            let mut bytes = [0; 128];
            match rustix::io::read(&self.signals, &mut bytes) {
                Err(Errno::AGAIN) => {
                    self.poll()?;
                    continue;
                }
                Err(Errno::INTR) => continue,
                answer => drop(answer.context(|| "read signals")?),
            }
            // The first field of signalfd_siginfo is the signal's number.
            let number = i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            match number {
                libc::SIGCHLD => {
                    if let Some(code) = reap(init.pid)? {
                        if let Some(console) = self.console.as_mut() {
                            console.drain();
                        }
                        return Ok(code);
                    }
                }
                libc::SIGWINCH => {
                    if let Some(console) = &self.console {
                        console.copy_size();
                    }
                }
                number => {
                    // It may have ended this moment: then its SIGCHLD is next.
                    let _may_be_gone = init.signal(number);
                }
            }
        }
    }

    /// Waits for a signal, and moves bytes between the terminals meanwhile.
    fn poll(&mut self) -> Result<()> {
        let Some(console) = self.console.as_mut() else {
            let mut events = [PollFd::new(&self.signals, PollFlags::IN)];
            return wait(&mut events);
        };
        let stdin = rustix::stdio::stdin();
        let mut events = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&console.master, PollFlags::IN),
            PollFd::from_borrowed_fd(stdin, PollFlags::IN),
        ];
        let watched = if console.input_ended { 2 } else { 3 };
        wait(&mut events[..watched])?;
        let ready = |event: &PollFd<'_>| !event.revents().is_empty();
        let (output, input) = (ready(&events[1]), watched == 3 && ready(&events[2]));
        if output && !move_bytes(console.master.as_fd(), rustix::stdio::stdout()) {
            // The container closed its terminal; what is left to wait for is its end.
            let mut events = [PollFd::new(&self.signals, PollFlags::IN)];
            wait(&mut events)?;
        }
        if input && !move_bytes(stdin, console.master.as_fd()) {
            console.input_ended = true;
        }
        Ok(())
    }
}

fn wait(events: &mut [PollFd<'_>]) -> Result<()> {
    match rustix::event::poll(events, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::from(errno).context("poll")),
    }
}

/// Reaps every child that has ended; the code of init when it is among them.
fn reap(init: Pid) -> Result<Option<u8>> {
    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == init => code = Some(exit_code(status)),
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(code),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::from(errno).context("wait")),
        }
    }
}

fn exit_code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    };
    code as u8
}

/// The container's terminal, joined with ours.
#[derive(Debug)]
struct Console {
    master: OwnedFd,
    /// How our terminal was before it was made raw.
    saved: Option<Termios>,
    input_ended: bool,
}

impl Console {
    /// Receives the master, gives it our window's size and makes our terminal raw.
    fn attach(socket: &OwnedFd) -> Result<Self> {
        let master = terminal::receive_descriptor(socket.as_fd()).context(|| "receive the terminal")?;
        let stdin = rustix::stdio::stdin();
        let mut console = Self { master, saved: None, input_ended: false };
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

    fn copy_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
            let _best_effort = rustix::termios::tcsetwinsize(&self.master, size);
        }
    }

    /// Writes what the container wrote last; the other end is closed, so this ends.
    fn drain(&mut self) {
        let _best_effort = rustix::io::ioctl_fionbio(&self.master, true);
        while move_bytes(self.master.as_fd(), rustix::stdio::stdout()) {}
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

/// Moves what is there from one descriptor to another; false at the end of either.
fn move_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut bytes = [0; 8192];
    let length = match rustix::io::read(from, &mut bytes) {
        Ok(0) => return false,
        Ok(length) => length,
        Err(Errno::INTR) => return true,
        Err(_) => return false,
    };
    let mut rest = &bytes[..length];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}
