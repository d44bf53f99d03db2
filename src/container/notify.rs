//! `NOTIFY_SOCKET`: what a program tells its supervisor, sd_notify(3), passed on by the runtime.
//!
//! ```text
//!   program                          runtime                              supervisor (systemd)
//!     │ ── STATUS=…, FDSTORE=1 … ───▶  │ ── the same ────────────────────▶  │
//!     │ ── READY=1 ─────────────────▶  │ run:          ── READY=1 ───────▶  │ the runtime is the main process and goes on
//!     │                                │                                    │ passing on until the container ends
//!     │                                │ start, run -d: ─ READY=1, MAINPID ▶  │ the program is the main process, and the
//!     │                                │                ─ BARRIER=1 ─────▶  │ runtime ends once that is known
//! ```
//!
//! The program may be hostile: it never speaks to the supervisor itself, and what it says of processes is not passed on.

use crate::container::state::Directory;
use crate::container::unix_socket;
use crate::error::{Context, Error, Result};
use crate::sys::watch::watch;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::pipe::PipeFlags;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::time::Duration;

/// The longest message that systemd takes.
const MESSAGE_BYTES: usize = 4096;

/// The most descriptors that the kernel lets a message carry.
const DESCRIPTORS: usize = 253;

/// How long a supervisor may take to answer a barrier. One that does not know it never does.
const BARRIER_PATIENCE: Duration = Duration::from_secs(30);

/// What a program may tell; beside these what begins with `X_`. Not `MAINPID` and its like: the numbers are those of the
/// container, and would name another's process. Nor `NOTIFYACCESS`, with which it would open the door to others.
const KEYS: [&str; 18] = [
    "READY",
    "RELOADING",
    "STOPPING",
    "MONOTONIC_USEC",
    "STATUS",
    "ERRNO",
    "BUSERROR",
    "VARLINKERROR",
    "EXIT_STATUS",
    "WATCHDOG",
    "WATCHDOG_USEC",
    "EXTEND_TIMEOUT_USEC",
    "FDSTORE",
    "FDSTOREREMOVE",
    "FDNAME",
    "FDPOLL",
    "RESTART_RESET",
    "BARRIER",
];

/// Where the supervisor listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supervisor {
    address: PathBuf,
}

impl Supervisor {
    /// The supervisor that `NOTIFY_SOCKET` names: by a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// It names neither.
    pub fn named(value: &str) -> Result<Option<Self>> {
        match value.as_bytes() {
            [] => Ok(None),
            [b'/' | b'@', _, ..] => Ok(Some(Self { address: value.into() })),
            _ => {
                let words = format!("NOTIFY_SOCKET {value:?}: neither an absolute path nor an abstract name");
                Err(Error::new(words))
            }
        }
    }

    fn connect(&self) -> Result<OwnedFd> {
        unix_socket::connect_datagram(&self.address)
            .map_err(|error| error.context(format!("NOTIFY_SOCKET {}", self.address.display())))
    }
}

/// A message on its way.
#[derive(Debug)]
struct Message {
    text: String,
    descriptors: Vec<OwnedFd>,
}

/// The program's messages, passed on.
#[derive(Debug)]
pub struct Relay {
    program: OwnedFd,
    supervisor: OwnedFd,
    /// What the supervisor had no room for yet; meanwhile nothing more is read.
    waiting: Option<Message>,
}

impl Relay {
    /// Listens in the container's directory, so that the program can speak from its first moment on.
    ///
    /// # Errors
    /// A supervisor that does not listen; those of bind(2).
    pub fn open(supervisor: &Supervisor, directory: &Directory) -> Result<Self> {
        let supervisor = supervisor.connect()?;
        Ok(Self { program: directory.listen_for_notifications()?, supervisor, waiting: None })
    }

    /// What to wait for. `idle` stands in for nothing.
    pub fn event<'fd>(relay: Option<&'fd Self>, idle: BorrowedFd<'fd>) -> PollFd<'fd> {
        match relay {
            None => watch(None, PollFlags::empty(), idle),
            Some(Self { waiting: None, program, .. }) => watch(Some(program.as_fd()), PollFlags::IN, idle),
            Some(Self { supervisor, .. }) => watch(Some(supervisor.as_fd()), PollFlags::OUT, idle),
        }
    }

    /// Passes on what has come, as it is. What a supervisor that is gone would have been told is lost with it.
    pub fn pass_on(&mut self) {
        while let Some(message) = self.waiting.take().or_else(|| self.receive()) {
            match self.send(&message, SendFlags::DONTWAIT) {
                Err(Errno::AGAIN) => {
                    self.waiting = Some(message);
                    return;
                }
                _sent_or_lost => {}
            }
        }
    }

    /// Passes on until the program is ready, makes it the supervisor's main process, and waits until that is known; or until
    /// the program ends.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub fn await_ready(self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut events =
                [PollFd::new(&self.program, PollFlags::IN), PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            poll(&mut events, None)?;
            let ended = !events[1].revents().is_empty();
            // What it said last is heard, also when it has ended.
            let mut ready = None;
            while let Some(message) = self.receive() {
                if message.is_ready() {
                    ready.get_or_insert(message);
                } else {
                    self.send(&message, SendFlags::empty()).context(|| "NOTIFY_SOCKET")?;
                }
            }
            if let Some(mut message) = ready {
                message.text.push_str(&format!("\nMAINPID={pid}"));
                self.send(&message, SendFlags::empty()).context(|| "NOTIFY_SOCKET")?;
                return self.barrier();
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits until the supervisor has read everything: then it closes the descriptor that comes with the message. It must not
    /// see us end while it takes us for the main process.
    fn barrier(&self) -> Result<()> {
        let (here, there) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context(|| "pipe")?;
        let message = Message { text: "BARRIER=1".to_owned(), descriptors: vec![there] };
        self.send(&message, SendFlags::empty()).context(|| "NOTIFY_SOCKET")?;
        drop(message);
        poll(&mut [PollFd::new(&here, PollFlags::empty())], Some(BARRIER_PATIENCE))
    }

    /// The next message of the program that has something to pass on.
    fn receive(&self) -> Option<Message> {
        loop {
            let mut bytes = [0; MESSAGE_BYTES];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = match rustix::net::recvmsg(&self.program, &mut buffers, &mut control, flags) {
                Err(Errno::INTR) => continue,
                answer => answer.ok()?,
            };
            let mut descriptors = Vec::new();
            for part in control.drain() {
                if let RecvAncillaryMessage::ScmRights(came) = part {
                    descriptors.extend(came);
                }
            }
            let whole = !received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
            let text = permitted(&String::from_utf8_lossy(&bytes[..received.bytes]));
            if whole && !text.is_empty() {
                return Some(Message { text, descriptors });
            }
        }
    }

    fn send(&self, message: &Message, flags: SendFlags) -> std::result::Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = message.descriptors.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(Errno::NOBUFS);
        }
        let text = [IoSlice::new(message.text.as_bytes())];
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.supervisor, &text, &mut control, flags | SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }
}

impl Message {
    fn is_ready(&self) -> bool {
        self.text.lines().any(|line| line == "READY=1")
    }
}

/// The lines that may be passed on.
fn permitted(text: &str) -> String {
    let may = |line: &&str| {
        line.split_once('=').is_some_and(|(key, _)| KEYS.contains(&key) || key.starts_with("X_"))
    };
    text.lines().filter(may).collect::<Vec<_>>().join("\n")
}

fn poll(events: &mut [PollFd<'_>], patience: Option<Duration>) -> Result<()> {
    let patience = patience.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: 0 });
    rustix::io::retry_on_intr(|| rustix::event::poll(events, patience.as_ref())).context(|| "poll")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_speaks_of_the_program_itself_is_passed_on() {
        for (told, passed) in [
            ("READY=1", "READY=1"),
            ("READY=1\nMAINPID=7\nSTATUS=a=b\n", "READY=1\nSTATUS=a=b"),
            ("MAINPID=7\nMAINPIDFD=1\nMAINPIDFDID=3", ""),
            ("NOTIFYACCESS=all\nX_MINE=1", "X_MINE=1"),
            ("FDSTORE=1\nFDNAME=a", "FDSTORE=1\nFDNAME=a"),
            ("nothing", ""),
        ] {
            assert_eq!(permitted(told), passed, "{told:?}");
        }
    }

    #[test]
    fn a_supervisor_has_a_path_or_an_abstract_name() {
        assert_eq!(Supervisor::named("").unwrap(), None);
        assert!(Supervisor::named("/run/systemd/notify").unwrap().is_some());
        assert!(Supervisor::named("@a").unwrap().is_some());
        for wrong in ["@", "/", "notify", "vsock:2:1"] {
            let error = Supervisor::named(wrong).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("NOTIFY_SOCKET {wrong:?}: neither an absolute path nor an abstract name")
            );
        }
    }
}
