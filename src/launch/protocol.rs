//! The wire between the runtime and init.
//!
//! ```text
//!   runtime (create, run, exec)                            init
//!     │ clone3                                              │ namespaces, cgroups
//!     │ ── Go ───────────────────────────────────────────▶  │ only where it was born outside its cgroup: it is in there
//!     │ ── Go ───────────────────────────────────────────▶  │ only with a new user namespace: its id maps are written
//!     │ ◀── NetDevices ───────────────────────────────────  │ only with linux.netDevices: the network namespace is there
//!     │ ── Go ───────────────────────────────────────────▶  │ root file system, mounts, devices
//!     │ ◀── Hooks ────────────────────────────────────────  │ only with prestart or createRuntime hooks
//!     │ ── Go ───────────────────────────────────────────▶  │ createContainer hooks, pivot_root, identity
//!     │ ◀── Ready ────────────────────────────────────────  │ all is prepared
//!     │ rlimits, the record on disk, the pid file           │
//!     │ ── Go ───────────────────────────────────────────▶  │ run: execve, and the end of the socket says that it worked
//!     │ ◀── Listener { descriptor } ──────────────────────  │ run: only with a filter that notifies, see below
//!     │ end                                                 │ create: waits at start.sock
//!
//!   runtime (start)                                        init
//!     │ ── connects to start.sock ───────────────────────▶  │
//!     │ ◀── Accepted ─────────────────────────────────────  │ startContainer hooks, seccomp, execve
//!     │ ◀── end of the connection: execve worked            │
//!
//!   runtime (start, run)              agent                init, with a filter that notifies
//!     │                                 │                   │ seccomp(NEW_LISTENER); what comes now is under the filter
//!     │ ◀── Listener { descriptor } ────┼─────────────────  │ write(2)
//!     │ connects to listenerPath ────▶  │                   │ read(2)
//!     │ pidfd_getfd                     │                   │
//!     │ ── state, descriptor ────────▶  │                   │
//!     │ ── Go ──────────────────────────┼────────────────▶  │ execve
//!
//!   at any time:  ◀── Occupied { step }, nobody waits
//!                 ◀── Failed { step, reason, errno, detail }, and init is gone
//! ```
//!
//! The descriptor is fetched, not sent: of a process under the filter we ask for write(2) and read(2) and no more, which is
//! what runc asks for. A filter that notifies of write is refused when it is compiled, since the agent would be asked before
//! it is there; of read it may, since the agent is there before init can go on, and so may it of execve.
//!
//! Both sockets keep packets apart (`SOCK_SEQPACKET`). When the runtime dies, init reads the end of the socket instead of
//! `Go` and exits: before its record is complete no container outlives its creator.

use crate::sys::terminal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// What init tells the runtime. A failure carries its words by value, since init allocates nothing.
#[expect(clippy::large_enum_variant, reason = "init has no heap to put the words on")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The network namespace is there; network devices can be moved into it.
    NetDevices,
    /// The tree stands; it is the turn of the hooks in the runtime's namespaces.
    Hooks,
    /// All is prepared.
    Ready,
    /// `start` has been heard.
    Accepted,
    /// The pid of init, from a process in between.
    Born(i32),
    /// The filter is loaded; the number of the descriptor in init that its notifications come out of.
    Listener(i32),
    /// A step found another file in the place of its own and left it there; init goes on.
    Occupied(u16),
    /// A step failed and init is gone.
    Failed(Failure),
}

/// A failed step, as it crosses back: the runtime owns the plan and writes the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The number of the step in the plan.
    pub step: u16,
    /// What went wrong.
    pub fault: Fault,
}

/// Why a step failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The case, where the errno alone would mislead.
    pub reason: Reason,
    /// What the kernel said; for a hook its exit status, its signal or the seconds that it had.
    pub errno: i32,
    /// The kernel's or the hook's own words.
    pub detail: Detail,
}

/// The cases that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The errno says it.
    Kernel,
    /// The source of a mount could not be opened.
    Source,
    /// The target of a mount could not be opened or made.
    Target,
    /// The target of a mount is a symlink where none may be.
    TargetIsLink,
    /// The target of a mount lies in a procfs.
    TargetInProc,
    /// What should be a procfs is none.
    NotProc,
    /// The option asks to clear a flag that is locked.
    Locked,
    /// A namespace could not be joined; the number of the namespace is the first byte of the detail.
    Join,
    /// The working directory is outside of the container (CVE-2024-21626).
    OutsideCwd,
    /// A user or group id has no mapping; the detail says which.
    UnmappedId,
    /// No entry of `PATH` has the program.
    NotInPath,
    /// The program cannot be executed.
    Program,
    /// A device is not what its number says.
    WrongDevice,
    /// A hook exited with this status.
    HookStatus,
    /// A hook was ended by this signal.
    HookSignal,
    /// A hook took longer than these seconds.
    HookTimeout,
}

impl Reason {
    const ALL: [Self; 16] = [
        Self::Kernel,
        Self::Source,
        Self::Target,
        Self::TargetIsLink,
        Self::TargetInProc,
        Self::NotProc,
        Self::Locked,
        Self::Join,
        Self::OutsideCwd,
        Self::UnmappedId,
        Self::NotInPath,
        Self::Program,
        Self::WrongDevice,
        Self::HookStatus,
        Self::HookSignal,
        Self::HookTimeout,
    ];

    /// A fault of this case.
    pub fn fault(self, errno: Errno) -> Fault {
        Fault { reason: self, errno: errno.raw_os_error(), detail: Detail::default() }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Reason::Kernel.fault(errno)
    }
}

/// A few words of fixed size: init allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    length: u8,
    bytes: [u8; Self::CAPACITY],
}

impl Default for Detail {
    fn default() -> Self {
        Self { length: 0, bytes: [0; Self::CAPACITY] }
    }
}

impl Detail {
    /// How many bytes fit.
    pub const CAPACITY: usize = 240;

    /// The first words of `text`.
    pub fn new(text: &[u8]) -> Self {
        let mut detail = Self::default();
        let length = text.len().min(Self::CAPACITY);
        detail.bytes[..length].copy_from_slice(&text[..length]);
        detail.length = length as u8;
        detail
    }

    /// The words.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// Kind, reason, step, errno or pid, length of the detail; then the detail.
const HEADER: usize = 9;
const PACKET: usize = HEADER + Detail::CAPACITY;

/// Sends a report. A runtime that is gone is no error here: whoever waits for an answer finds out.
pub fn send(socket: BorrowedFd<'_>, report: &Report) {
    let (packet, length) = packet(report);
    match rustix::net::send(socket, &packet[..length], SendFlags::NOSIGNAL) {
        // What a filter answers that does not know sendto(2).
        Err(Errno::PERM | Errno::ACCESS | Errno::NOSYS) => drop(rustix::io::write(socket, &packet[..length])),
        _receiver_may_be_gone => {}
    }
}

/// Says whom the process in between has made, and sends the pidfd along.
pub fn send_born(socket: BorrowedFd<'_>, pid: i32, pidfd: BorrowedFd<'_>) {
    let (packet, length) = packet(&Report::Born(pid));
    let _receiver_may_be_gone = terminal::send_descriptor(socket, &packet[..length], pidfd);
}

/// Waits for the word of the process in between; the pidfd that has come with it.
///
/// # Errors
/// As [`receive`].
pub fn receive_born(socket: impl AsFd) -> Result<(Option<Report>, Option<OwnedFd>), Errno> {
    let mut packet = [0; PACKET];
    let (length, pidfd) = loop {
        match terminal::receive(socket.as_fd(), &mut packet) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => break (0, None),
            answer => break answer?,
        }
    };
    Ok((parse(&packet[..length])?, pidfd))
}

/// Says from under a filter that notifies where its notifications come out, and waits until the agent has them; false when
/// the runtime is gone.
///
/// # Errors
/// What the filter answers to write(2) or read(2).
pub fn hand_over_listener(socket: BorrowedFd<'_>, descriptor: i32) -> Result<bool, Errno> {
    let (packet, length) = packet(&Report::Listener(descriptor));
    rustix::io::write(socket, &packet[..length])?;
    let mut byte = [0; 1];
    loop {
        match rustix::io::read(socket, &mut byte) {
            Err(Errno::INTR) => {}
            answer => return Ok(answer? == 1),
        }
    }
}

/// A report as it crosses, and its length.
fn packet(report: &Report) -> ([u8; PACKET], usize) {
    let mut packet = [0; PACKET];
    let (kind, step, number, reason, detail) = match report {
        Report::NetDevices => (b'n', 0, 0, 0, &[][..]),
        Report::Hooks => (b'h', 0, 0, 0, &[][..]),
        Report::Ready => (b'r', 0, 0, 0, &[][..]),
        Report::Accepted => (b'a', 0, 0, 0, &[][..]),
        Report::Born(pid) => (b'b', 0, *pid, 0, &[][..]),
        Report::Listener(number) => (b'l', 0, *number, 0, &[][..]),
        Report::Occupied(step) => (b'o', *step, 0, 0, &[][..]),
        Report::Failed(Failure { step, fault }) => {
            (b'f', *step, fault.errno, fault.reason as u8, fault.detail.as_bytes())
        }
    };
    packet[0] = kind;
    packet[1] = reason;
    packet[2..4].copy_from_slice(&step.to_ne_bytes());
    packet[4..8].copy_from_slice(&number.to_ne_bytes());
    packet[8] = detail.len() as u8;
    packet[HEADER..HEADER + detail.len()].copy_from_slice(detail);
    (packet, HEADER + detail.len())
}

/// Waits for the next report; nothing at the end of the socket.
///
/// # Errors
/// `EPROTO` for a packet that is none of ours; those of recv(2).
pub fn receive(socket: impl AsFd) -> Result<Option<Report>, Errno> {
    let mut packet = [0; PACKET];
    let length = loop {
        match rustix::net::recv(&socket, &mut packet, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => break 0,
            answer => break answer?.1,
        }
    };
    parse(&packet[..length])
}

fn parse(packet: &[u8]) -> Result<Option<Report>, Errno> {
    if packet.is_empty() {
        return Ok(None);
    }
    if packet.len() < HEADER {
        return Err(Errno::PROTO);
    }
    let step = u16::from_ne_bytes([packet[2], packet[3]]);
    let number = i32::from_ne_bytes([packet[4], packet[5], packet[6], packet[7]]);
    Ok(Some(match packet[0] {
        b'n' => Report::NetDevices,
        b'h' => Report::Hooks,
        b'r' => Report::Ready,
        b'a' => Report::Accepted,
        b'b' => Report::Born(number),
        b'l' => Report::Listener(number),
        b'o' => Report::Occupied(step),
        b'f' => {
            let reason = *Reason::ALL.get(usize::from(packet[1])).ok_or(Errno::PROTO)?;
            let fault = Fault { reason, errno: number, detail: Detail::new(&packet[HEADER..]) };
            Report::Failed(Failure { step, fault })
        }
        _ => return Err(Errno::PROTO),
    }))
}

/// Lets init go on.
///
/// # Errors
/// `EPIPE`: init is gone.
pub fn go(socket: impl AsFd) -> Result<(), Errno> {
    rustix::net::send(socket, b"g", SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for [`go`]; false when the runtime is gone.
pub fn await_go(socket: BorrowedFd<'_>) -> bool {
    let mut byte = [0];
    loop {
        match rustix::net::recv(socket, &mut byte, RecvFlags::empty()) {
            Err(Errno::INTR) => {}
            answer => return answer.is_ok_and(|(length, _)| length == 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn reports_arrive_as_they_were_sent() {
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        for reason in Reason::ALL {
            let fault = Fault { reason, errno: -7, detail: Detail::new(b"words") };
            let sent = Report::Failed(Failure { step: 301, fault });
            send(there.as_fd(), &sent);
            assert_eq!(receive(&here).unwrap(), Some(sent));
        }
        for sent in [
            Report::NetDevices,
            Report::Hooks,
            Report::Ready,
            Report::Accepted,
            Report::Born(42),
            Report::Listener(9),
            Report::Occupied(7),
        ] {
            send(there.as_fd(), &sent);
            assert_eq!(receive(&here).unwrap(), Some(sent));
        }
        go(&here).unwrap();
        assert!(await_go(there.as_fd()));
        drop(here);
        assert!(!await_go(there.as_fd()));
    }

    #[test]
    fn a_long_detail_is_cut() {
        assert_eq!(Detail::new(&[b'x'; 1000]).as_bytes().len(), Detail::CAPACITY);
    }
}
