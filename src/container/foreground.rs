//! `run` in the foreground: signals go to the container, its terminal to ours, its exit code back.

use crate::container::console::Console;
use crate::container::interrupts::ENDING;
use crate::container::notify::Relay;
use crate::error::{Context, Error, Result};
use crate::sys::{signals, terminal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::time::Duration;

/// What must be in place before the container exists, so that no signal is lost.
#[derive(Debug)]
pub struct Foreground {
    signals: OwnedFd,
    console: Option<Console>,
    relay: Option<Relay>,
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
        Ok(Self { signals: signals::block_all().context(|| "signalfd")?, console: None, relay: None })
    }

    /// Takes the terminal that init has sent, before the program runs: it asks for the window's size first of all.
    ///
    /// # Errors
    /// A pty that did not come; a terminal of ours that cannot be made raw.
    pub fn attach(&mut self, socket: &OwnedFd) -> Result<()> {
        self.attach_master(terminal::receive_descriptor(socket.as_fd()).context(|| "receive the terminal")?)
    }

    /// Takes a terminal by its master.
    ///
    /// # Errors
    /// A terminal of ours that cannot be made raw.
    pub fn attach_master(&mut self, master: OwnedFd) -> Result<()> {
        self.console = Some(Console::attach(master)?);
        Ok(())
    }

    /// Attends the container, whose init is our child, until it ends, and passes on what it tells its supervisor: its exit code, or 128 and the signal that ended it.
    ///
    /// # Errors
    /// Those of poll(2), read(2) and wait(2).
    pub fn attend(mut self, (pid, pidfd): (Pid, BorrowedFd<'_>), relay: Option<Relay>) -> Result<u8> {
        self.relay = relay;
        loop {
            match self.next_signal()? {
                None => self.poll()?,
                Some(libc::SIGCHLD) => {
                    if let Some(code) = reap(pid)? {
                        self.relay.iter_mut().for_each(Relay::pass_on);
                        self.show_the_rest()?;
                        return Ok(code);
                    }
                }
                Some(libc::SIGWINCH) => {
                    if let Some(console) = &self.console {
                        console.copy_size();
                    }
                }
                Some(number) => {
                    // It may have ended this moment: then its SIGCHLD is next.
                    let _may_be_gone = signals::send_to_child(pidfd, pid.as_raw_nonzero().get(), number);
                }
            }
        }
    }

    fn next_signal(&self) -> Result<Option<i32>> {
        signals::next(self.signals.as_fd()).context(|| "read signals")
    }

    /// Waits for a signal, and moves bytes between the terminals meanwhile.
    fn poll(&mut self) -> Result<()> {
        let signals = PollFd::new(&self.signals, PollFlags::IN);
        let told = Relay::event(self.relay.as_ref(), self.signals.as_fd());
        let told = match self.console.as_mut() {
            None => {
                let mut events = [signals, told];
                wait(&mut events, None)?;
                !events[1].revents().is_empty()
            }
            Some(console) => {
                let [master, stdin, stdout] = console.events(self.signals.as_fd());
                let mut events = [signals, told, master, stdin, stdout];
                wait(&mut events, console.patience())?;
                let [_, told, ready @ ..] = events.map(|event| !event.revents().is_empty());
                console.pass_on(ready);
                told
            }
        };
        if let Some(relay) = self.relay.as_mut().filter(|_| told) {
            relay.pass_on();
        }
        Ok(())
    }

    /// Shows what the container wrote last. Our terminal may be one that nobody reads: then a signal ends it.
    fn show_the_rest(&mut self) -> Result<()> {
        while self.console.as_mut().is_some_and(Console::has_rest) {
            self.poll()?;
            while let Some(number) = self.next_signal()? {
                if ENDING.contains(&number) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn wait(events: &mut [PollFd<'_>], patience: Option<Duration>) -> Result<()> {
    let patience =
        patience.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
    match rustix::event::poll(events, patience.as_ref()) {
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
