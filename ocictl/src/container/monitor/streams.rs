//! The program's standard streams: three pipes, or a terminal. What it prints goes to the log and to the attached clients; as long as
//! one of them has not taken a piece, the next is not read.

use super::clients::{Clients, Input};
use super::log;
use crate::container::wire::{self, CHUNK, kind};
use crate::error::{Context, Error, Result};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::OpenptFlags;
use rustix::termios::{SpecialCodeIndex, Winsize};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The socket in the bundle that gets the terminal's master.
pub const CONSOLE: &str = "console";

/// How often a terminal is told that its input has ended.
const END_AGAIN: Duration = Duration::from_millis(100);
/// What says so where the terminal does not tell: ctrl-d.
const END_OF_INPUT: u8 = 4;

/// The monitor's ends.
#[derive(Debug)]
pub struct Streams {
    stdin: Option<OwnedFd>,
    outputs: [Output; 2],
    console: Option<OwnedFd>,
    size: Option<Winsize>,
    /// What stdin could not take yet.
    waiting: Vec<u8>,
    /// Whether stdin ends when that was taken.
    ending: bool,
    terminal: bool,
    /// When the terminal is told again that its input has ended.
    tell_end: Option<Instant>,
}

#[derive(Debug)]
struct Output {
    descriptor: Option<OwnedFd>,
    kind: u8,
    name: &'static str,
    piece: [u8; CHUNK],
    length: usize,
}

impl Output {
    fn new(kind: u8, name: &'static str) -> Self {
        Self { descriptor: None, kind, name, piece: [0; CHUNK], length: 0 }
    }
}

impl Streams {
    /// Makes the streams, and what the runtime is given of them.
    ///
    /// # Errors
    /// Fails if there are no descriptors.
    pub fn open(tty: bool, interactive: bool, bundle: &Path) -> Result<(Box<Self>, [Stdio; 3])> {
        let mut streams = Box::new(Self {
            stdin: None,
            outputs: [Output::new(kind::STDOUT, "stdout"), Output::new(kind::STDERR, "stderr")],
            console: None,
            size: None,
            waiting: Vec::new(),
            ending: false,
            terminal: tty,
            tell_end: None,
        });
        if tty {
            streams.console = Some(wire::listen(bundle, CONSOLE, SocketType::STREAM)?);
            return Ok((streams, [Stdio::null(), Stdio::null(), Stdio::null()]));
        }
        let stdin = match interactive {
            true => {
                let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC)?;
                nonblocking(&ours)?;
                streams.stdin = Some(ours);
                Stdio::from(theirs)
            }
            false => Stdio::null(),
        };
        let mut theirs = [Stdio::null(), Stdio::null()];
        for (output, their) in streams.outputs.iter_mut().zip(&mut theirs) {
            let (ours, end) = pipe_with(PipeFlags::CLOEXEC)?;
            nonblocking(&ours)?;
            output.descriptor = Some(ours);
            *their = Stdio::from(end);
        }
        let [stdout, stderr] = theirs;
        Ok((streams, [stdin, stdout, stderr]))
    }

    /// Takes the terminal's master that the runtime has sent.
    ///
    /// # Errors
    /// Fails if it has sent none.
    pub fn take_terminal(&mut self) -> Result<()> {
        let Some(listener) = self.console.take() else { return Ok(()) };
        let place = || "the terminal that the runtime has sent".to_owned();
        let socket = rustix::net::accept_with(&listener, rustix::net::SocketFlags::CLOEXEC).context(place)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut name = [0; 4096];
        let mut parts = [std::io::IoSliceMut::new(&mut name)];
        rustix::net::recvmsg(&socket, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).context(place)?;
        let master = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let master = master.ok_or_else(|| Error::new("no descriptor came with it").context(place()))?;
        nonblocking(&master)?;
        if let Some(size) = self.size {
            let _not_a_terminal = rustix::termios::tcsetwinsize(&master, size);
        }
        self.stdin = Some(rustix::io::fcntl_dupfd_cloexec(&master, 3)?);
        self.outputs[0].descriptor = Some(master);
        Ok(())
    }

    /// Whether nothing more can come.
    pub fn is_empty(&self) -> bool {
        self.outputs.iter().all(|output| output.descriptor.is_none())
    }

    /// What to wait for.
    pub fn add_sources<'a>(&'a self, sources: &mut Vec<PollFd<'a>>, clients_owe: bool) {
        if !clients_owe {
            sources.extend(
                self.outputs
                    .iter()
                    .filter_map(|output| Some(PollFd::new(output.descriptor.as_ref()?, PollFlags::IN))),
            );
        }
        if self.is_full() {
            sources.extend(self.stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT)));
        }
    }

    /// Carries one piece of each stream to the log and the clients; whether there was one.
    pub fn carry(&mut self, clients: &mut Clients, log: &mut log::Writer) -> bool {
        self.flush();
        for output in &self.outputs {
            clients.repeat(output.kind, &output.piece[..output.length]);
        }
        let mut moved = false;
        for output in &mut self.outputs {
            if clients.owe() {
                break;
            }
            let Some(descriptor) = &output.descriptor else { continue };
            match rustix::io::read(descriptor, &mut output.piece) {
                Ok(length @ 1..) => {
                    output.length = length;
                    log.write(output.name, &output.piece[..length]);
                    clients.broadcast(output.kind, &output.piece[..length]);
                    moved = true;
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                // EIO: nobody holds the terminal any more.
                Ok(0) | Err(_) => {
                    output.descriptor = None;
                    log.end(output.name);
                }
            }
        }
        moved
    }

    fn flush(&mut self) {
        if let Some(stdin) = &self.stdin
            && !self.waiting.is_empty()
        {
            match rustix::io::write(stdin, &self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(Errno::AGAIN | Errno::INTR) => return,
                // The program has closed it.
                Err(_) => {
                    self.waiting.clear();
                    self.ending = !self.terminal;
                }
            }
        }
        if self.ending && self.waiting.is_empty() {
            match self.terminal {
                true => self.end_terminal(),
                false => self.stdin = None,
            }
        }
    }

    /// When to carry on though nothing has come.
    pub fn next(&self) -> Option<Duration> {
        self.tell_end.map(|moment| moment.saturating_duration_since(Instant::now()))
    }

    /// A pipe that has ended says so to whoever reads; a terminal says it once, by a character, which a program that changes the mode of its
    /// terminal meanwhile, or one that has not begun yet, does not understand. So it is said again as often as somebody has read it.
    fn end_terminal(&mut self) {
        let Some(master) = &self.stdin else { return };
        if self.tell_end.is_none_or(|moment| moment <= Instant::now()) {
            self.tell_end = Some(Instant::now() + END_AGAIN);
            let end = rustix::termios::tcgetattr(master)
                .map_or(END_OF_INPUT, |mode| mode.special_codes[SpecialCodeIndex::VEOF]);
            if !is_unread(master) {
                // Where it is full, it is said the next time.
                let _later = rustix::io::write(master, &[end]);
            }
        }
    }
}

/// Whether somebody has yet to read what was typed at a terminal.
fn is_unread(master: &OwnedFd) -> bool {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let Ok(user) = rustix::pty::ioctl_tiocgptpeer(master, flags) else { return false };
    let mut sources = [PollFd::new(&user, PollFlags::IN)];
    matches!(super::super::status::poll(&mut sources, Some(Duration::ZERO)), Ok(1..))
}

impl Input for Streams {
    fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn feed(&mut self, data: &[u8]) {
        if self.stdin.is_some() {
            (self.ending, self.tell_end) = (false, None);
            self.waiting.extend_from_slice(data);
            self.flush();
        }
    }

    fn end(&mut self) {
        self.ending = true;
        self.flush();
    }

    fn resize(&mut self, size: &[u8]) {
        let [row_low, row_high, column_low, column_high] = *size else { return };
        let size = Winsize {
            ws_row: u16::from_le_bytes([row_low, row_high]),
            ws_col: u16::from_le_bytes([column_low, column_high]),
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        self.size = Some(size);
        if let Some(master) = self.outputs[0].descriptor.as_ref().filter(|_| self.terminal) {
            let _not_a_terminal = rustix::termios::tcsetwinsize(master, size);
        }
    }
}

fn nonblocking(descriptor: &OwnedFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(descriptor, flags | OFlags::NONBLOCK)?)
}
