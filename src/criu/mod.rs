//! A client of CRIU: one `criu swrk`, asked over a socket that it inherits (criu.org/RPC, `images/rpc.proto`).
//!
//! ```text
//!   runtime                                    criu swrk FD
//!     │ ── version, features ────────────────▶  │  may be asked first
//!     │ ── dump or restore, with options ────▶  │
//!     │ ◀── notify: how far it is ────────────  │  waits; with orphan-pts-master comes a descriptor
//!     │ ── yes, or no: then it gives up ─────▶  │
//!     │ ◀── done, or not ─────────────────────  │  ends
//! ```
//!
//! Its log says why something did not work; an answer has an errno at most. So an error of ours quotes the log and says
//! where it is.

mod log;
pub mod message;
mod wire;

use crate::error::{Context, Error, Result};
use message::{Answer, Kind, Options};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, SocketFlags, SocketType,
    recvmsg, socketpair,
};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use wire::Message;

/// The oldest version that does all that is asked: external pid namespaces and `status-ready`.
const OLDEST: u64 = 31_500;

/// Where programs of the administrator are, for callers that have no `PATH`.
const DIRECTORIES: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest answer; they have a few hundred bytes.
const ANSWER: usize = 16 << 10;

/// A CRIU that waits for a request. Dropped, it is told to end, and reaped.
#[derive(Debug)]
pub struct Criu {
    /// Taken when the conversation ends.
    socket: Option<OwnedFd>,
    child: Child,
}

/// What a request is about, for its errors.
#[derive(Debug)]
pub struct Request<'a> {
    /// What CRIU is to do.
    pub kind: Kind,
    /// How.
    pub options: &'a Options,
    /// Where its log will be.
    pub log: &'a Path,
}

/// How far CRIU is.
#[derive(Debug)]
pub struct Notice {
    /// CRIU's word for it: `setup-namespaces`, `post-restore`, `orphan-pts-master` and others.
    pub script: String,
    /// The restored root process, where CRIU tells it.
    pub pid: Option<i32>,
    /// The master of the restored terminal.
    pub descriptor: Option<OwnedFd>,
}

impl Criu {
    /// Starts the program, which the caller may have named, and makes sure that it is not too old. It inherits our stdio
    /// when it `restores`, and `descriptors` under their numbers.
    ///
    /// # Errors
    /// It is not installed, does not start, or is too old.
    pub fn start(named: Option<&Path>, restores: bool, descriptors: &[BorrowedFd<'_>]) -> Result<Self> {
        let program = find(named)?;
        let (here, there) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .context(|| "socketpair")?;
        for descriptor in descriptors.iter().chain([&there.as_fd()]) {
            rustix::io::fcntl_setfd(descriptor, FdFlags::empty()).context(|| "pass a descriptor on")?;
        }
        let mut command = Command::new(&program);
        command.args(["swrk", &there.as_raw_fd().to_string()]);
        if !restores {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        let child = command.spawn().context(|| program.display().to_string())?;
        let criu = Self { socket: Some(here), child };
        drop(there);
        for descriptor in descriptors {
            rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC).context(|| "pass a descriptor on")?;
        }
        let version = criu.ask(Kind::Version)?.version;
        if version < OLDEST {
            let (major, minor) = (version / 10_000, version / 100 % 100);
            return Err(Error::new(format!("criu {major}.{minor} is too old, 3.15 is needed")));
        }
        Ok(criu)
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Whether this CRIU can track changes of memory on this machine, and whether it can restore memory lazily.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn features(&self) -> Result<(bool, bool)> {
        let answer = self.ask(Kind::FeatureCheck)?;
        Ok((answer.tracks_memory, answer.has_lazy_pages))
    }

    /// Has it done; `notice` hears how far it is, and ends it when it fails. The pid of the restored root process.
    ///
    /// # Errors
    /// That of `notice`; otherwise what CRIU's log says.
    pub fn perform(
        mut self,
        request: &Request<'_>,
        mut notice: impl FnMut(Notice) -> Result<()>,
    ) -> Result<Option<i32>> {
        let mut message = Message::default();
        message.number(1, request.kind as i64);
        message.bytes(2, request.options.message().as_bytes());
        self.send(&message)?;
        let mut refused = None;
        let answer = loop {
            let (answer, descriptor) = match self.receive() {
                Ok(answer) => answer,
                Err(error) => return Err(refused.unwrap_or_else(|| log::explain(error, request.log))),
            };
            if answer.kind != Kind::Notify as u64 || !answer.success {
                break answer;
            }
            let told = notice(Notice { script: answer.script, pid: answer.pid, descriptor });
            let mut message = Message::default();
            message.number(1, Kind::Notify as i64);
            message.number(3, i64::from(told.is_ok()));
            refused = refused.or(told.err());
            self.send(&message)?;
        };
        drop(self.socket.take());
        let status = self.child.wait().context(|| "wait for criu")?;
        // After a pre-dump it waits for more, and takes the end of the socket for a failure.
        if answer.success && (status.success() || request.kind == Kind::PreDump) {
            return Ok(answer.pid);
        }
        let failed = match answer.errno {
            0 => Error::new("criu failed"),
            errno => Error::from_errno(errno.abs()).context("criu"),
        };
        Err(refused.unwrap_or_else(|| log::explain(failed, request.log)))
    }

    /// Asks what may be asked before the request itself.
    fn ask(&self, kind: Kind) -> Result<Answer> {
        let mut message = Message::default();
        message.number(1, kind as i64);
        message.number(4, 1);
        if kind == Kind::FeatureCheck {
            let mut features = Message::default();
            features.number(1, 1);
            features.number(2, 1);
            message.bytes(5, features.as_bytes());
        }
        let answer = self.send(&message).and_then(|()| self.receive());
        match answer.map_err(|error| error.hint("see what `criu check` says"))? {
            (answer, _) if answer.success => Ok(answer),
            _ => Err(Error::new("criu cannot be asked").hint("see what `criu check` says")),
        }
    }

    fn socket(&self) -> Result<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd).ok_or_else(|| Error::new("criu has ended"))
    }

    fn send(&self, message: &Message) -> Result<()> {
        match rustix::net::send(self.socket()?, message.as_bytes(), SendFlags::NOSIGNAL) {
            Err(Errno::PIPE) => Err(silent()),
            answer => answer.map(drop).context(|| "write to criu"),
        }
    }

    fn receive(&self) -> Result<(Answer, Option<OwnedFd>)> {
        let mut bytes = vec![0; ANSWER];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let socket = self.socket()?;
        let received = loop {
            let mut buffers = [IoSliceMut::new(&mut bytes)];
            match recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(silent()),
                answer => break answer.context(|| "read from criu")?,
            }
        };
        if received.bytes == 0 {
            return Err(silent());
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((Answer::parse(&bytes[..received.bytes]), descriptor))
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        drop(self.socket.take());
        let _reaped = self.child.wait();
    }
}

fn silent() -> Error {
    Error::new("criu ended without an answer")
}

/// The program: the one that the caller named, or the first in `PATH` and where programs of the administrator are.
fn find(named: Option<&Path>) -> Result<PathBuf> {
    let name = named.filter(|name| !name.as_os_str().is_empty()).unwrap_or(Path::new("criu"));
    if name.components().count() > 1 {
        return Ok(name.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(std::env::split_paths(DIRECTORIES))
        .map(|directory| directory.join(name))
        .find(|file| rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok());
    found.ok_or_else(|| {
        Error::new("executable file not found in $PATH")
            .context(name.display().to_string())
            .hint("install CRIU, or name it with --criu")
    })
}
