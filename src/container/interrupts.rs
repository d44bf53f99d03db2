//! What ends a foreground `run` before its program runs. Later, signals are the program's.

use crate::error::{Context, Error, Result};
use crate::sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

/// Signals by which a user or a supervisor wants us to end.
pub const ENDING: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Signals that came while nobody had a use for them.
#[derive(Debug, Default)]
pub struct Interrupts {
    /// Nothing where signals have their usual effect.
    descriptor: Option<OwnedFd>,
}

impl Interrupts {
    /// Watches for the signals, which are blocked already; not for those that the caller ignores, as nohup(1) does.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub fn watch(ignored: u64) -> Result<Self> {
        let wanted = ENDING.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
        Ok(Self { descriptor: Some(signals::watch(wanted).context(|| "signalfd")?) })
    }

    /// What can be read once a signal has come.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// Fails when a signal has come, with the exit code that tells which.
    ///
    /// # Errors
    /// The interruption.
    pub fn check(&self) -> Result<()> {
        let Some(descriptor) = &self.descriptor else { return Ok(()) };
        match signals::next(descriptor.as_fd()) {
            Ok(Some(number)) => Err(Error::new(format!("interrupted by signal {number}"))
                .exit_code(u8::try_from(128 + number).unwrap_or(u8::MAX))),
            _ => Ok(()),
        }
    }

    /// The interruption, if there was one, in place of the error that it led to.
    pub fn explain(&self, error: Error) -> Error {
        self.check().err().unwrap_or(error)
    }

    /// Waits until there is something to read on a socket.
    ///
    /// # Errors
    /// The interruption, when that comes first.
    pub fn await_word(&self, socket: BorrowedFd<'_>) -> Result<()> {
        let Some(descriptor) = &self.descriptor else { return Ok(()) };
        loop {
            let mut events =
                [PollFd::from_borrowed_fd(socket, PollFlags::IN), PollFd::new(descriptor, PollFlags::IN)];
            match rustix::event::poll(&mut events, None::<&Timespec>) {
                Err(Errno::INTR) => continue,
                answer => drop(answer.context(|| "poll")?),
            }
            if !events[0].revents().is_empty() {
                return Ok(());
            }
            self.check()?;
        }
    }
}
