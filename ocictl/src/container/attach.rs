//! The client's side of an attached container: the caller's terminal or pipes on one side, the monitor's socket on the other.

use super::calling::{self, Answer, Vigil};
use super::record::Container;
use super::wire::{self, CHUNK, kind};
use super::{parse, status};
use crate::error::{Context, Error, Result};
use crate::sys;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::termios::{OptionalActions, Termios};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What leaves the container running.
pub const DETACH_KEYS: &str = "ctrl-p,ctrl-q";
/// What is passed on to the program.
const PASSED: [i32; 6] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];

/// How to attach.
#[derive(Debug)]
pub struct Attachment<'a> {
    /// The container.
    pub container: &'a Container,
    /// Whether there is a terminal.
    pub tty: bool,
    /// Whether what the caller types is for the program.
    pub stdin: bool,
    /// Whether what the program prints to stdout and to stderr is for the caller.
    pub outputs: [bool; 2],
    /// Whether the end of the caller's stdin, where that is no terminal, is one for the program's terminal, too. Others may sit there.
    pub ends_terminal: bool,
    /// The bytes that detach.
    pub detach_keys: Vec<u8>,
    /// Whether signals of the caller are for the program.
    pub pass_signals: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container has ended with this code.
    Exit(i32),
    /// The user has detached.
    Detached,
}

/// Bytes of detach keys; the default ones for nothing.
///
/// # Errors
/// Names the key that is none.
pub fn keys(typed: Option<&str>) -> Result<Vec<u8>> {
    parse::detach_keys(typed.unwrap_or(DETACH_KEYS)).context(|| "--detach-keys")
}

/// Calls the monitor of a running container and attaches.
///
/// # Errors
/// Says that it does not run, or that nobody is there who carries its streams.
pub fn call(container: &Container) -> Result<OwnedFd> {
    match calling::ask(container, kind::ATTACH)? {
        Answer::Heard(socket) => Ok(socket),
        Answer::Silent(_) => Err(calling::silent(container)),
        Answer::Nobody if container.now()?.1.lives() => {
            Err(calling::alone(container, "nothing carries its streams any more"))
        }
        Answer::Nobody => Err(Error::new("it does not run").context(container.place())),
    }
}

/// Carries streams until the container ends or the user detaches.
///
/// # Errors
/// Fails if the caller's own streams fail, or the monitor dies.
pub fn attach(socket: &OwnedFd, attachment: &Attachment<'_>) -> Result<Outcome> {
    let tty = attachment.tty;
    let mut signals = vec![libc::SIGWINCH];
    if attachment.pass_signals {
        signals.extend(PASSED);
    }
    sys::process::block_signals(&signals)?;
    let signals = sys::process::signal_descriptor(&signals)?;
    let raw = if tty && attachment.stdin { RawTerminal::enter()? } else { None };
    let mut client = Client {
        socket,
        keys: &attachment.detach_keys,
        matched: 0,
        pending: None,
        stdin: attachment.stdin,
        tty,
        tells_end: !tty || (attachment.ends_terminal && !rustix::termios::isatty(rustix::stdio::stdin())),
    };
    if tty {
        client.send_size();
    }
    let outcome = client.run(attachment, &signals);
    drop(raw);
    outcome
}

struct Client<'a> {
    socket: &'a OwnedFd,
    keys: &'a [u8],
    /// How many of the detach keys have been typed.
    matched: usize,
    /// A packet that the monitor could not take yet.
    pending: Option<(u8, Vec<u8>)>,
    stdin: bool,
    tty: bool,
    /// Whether the end of stdin is told.
    tells_end: bool,
}

impl Client<'_> {
    fn run(&mut self, attachment: &Attachment<'_>, signals: &OwnedFd) -> Result<Outcome> {
        let mut buffer = [0; CHUNK + 1];
        let mut vigil = Vigil::begin(attachment.container)?;
        loop {
            let mut wanted = PollFlags::IN;
            wanted.set(PollFlags::OUT, self.pending.is_some());
            let stdin = rustix::stdio::stdin();
            let mut sources = vec![PollFd::new(self.socket, wanted), PollFd::new(signals, PollFlags::IN)];
            let reads = self.stdin && self.pending.is_none();
            if reads {
                sources.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
            sources.extend(vigil.source());
            match status::poll(&mut sources, vigil.next()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let typed = reads && !sources[2].revents().is_empty();
            drop(sources);
            while let Some(signal) = sys::process::next_signal(signals) {
                self.pass(attachment, signal)?;
            }
            self.flush();
            let packet = wire::receive(self.socket, &mut buffer, false);
            vigil.look(self.socket, matches!(packet, Ok(Some(_))))?;
            match packet {
                Ok(Some((kind::STDOUT, data))) if attachment.outputs[0] => {
                    write(rustix::stdio::stdout(), data)?
                }
                Ok(Some((kind::STDERR, data))) if attachment.outputs[1] => {
                    write(rustix::stdio::stderr(), data)?
                }
                Ok(Some((kind::EXIT, data))) => {
                    return Ok(Outcome::Exit(
                        data.try_into().map_or(status::UNKNOWN_CODE, i32::from_le_bytes),
                    ));
                }
                Ok(Some(_)) | Err(Errno::AGAIN) => {}
                Ok(None) => {
                    return Err(Error::new("its monitor has died").context(attachment.container.place()));
                }
                Err(errno) => return Err(Error::from(errno).context(attachment.container.place())),
            }
            if typed && self.read_stdin()? {
                // A monitor that cannot take it sees that we have gone; one that does not answer is not waited for.
                set_socket_timeout(self.socket, Timeout::Send, Some(calling::ANSWER))?;
                let _as_good = wire::send(self.socket, kind::DETACH, &[], true);
                return Ok(Outcome::Detached);
            }
        }
    }

    fn pass(&mut self, attachment: &Attachment<'_>, signal: i32) -> Result<()> {
        if signal == libc::SIGWINCH {
            if self.tty {
                self.send_size();
            }
        } else if let Some(program) = status::program(attachment.container)? {
            status::signal(attachment.container, &program, signal)?;
        }
        Ok(())
    }

    /// Reads what was typed and sends it on; `true` if it was the detach keys.
    fn read_stdin(&mut self) -> Result<bool> {
        let mut data = [0; CHUNK - 16];
        let length = match rustix::io::read(rustix::stdio::stdin(), &mut data) {
            // EIO: a job in the background, or a terminal that has gone.
            Ok(0) | Err(Errno::IO) => {
                self.stdin = false;
                if self.tells_end {
                    self.send(kind::STDIN_END, &[]);
                }
                return Ok(false);
            }
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return Ok(false),
            Err(errno) => return Err(Error::from(errno).context("stdin")),
        };
        let data = &data[..length];
        if !self.tty || self.keys.is_empty() {
            self.send(kind::STDIN, data);
            return Ok(false);
        }
        // Keys that begin the sequence are held back until it is clear that they do not go on with it.
        let mut out = Vec::with_capacity(length + self.matched);
        for byte in data {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Ok(true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(*byte == self.keys[0]);
            if self.matched == 0 {
                out.push(*byte);
            }
        }
        if !out.is_empty() {
            self.send(kind::STDIN, &out);
        }
        Ok(false)
    }

    fn send_size(&mut self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdout()) {
            let [a, b] = size.ws_row.to_le_bytes();
            let [c, d] = size.ws_col.to_le_bytes();
            if self.pending.is_none() {
                self.send(kind::SIZE, &[a, b, c, d]);
            }
        }
    }

    fn send(&mut self, kind: u8, data: &[u8]) {
        self.pending = Some((kind, data.to_vec()));
        self.flush();
    }

    fn flush(&mut self) {
        if let Some((kind, data)) = &self.pending {
            match wire::send(self.socket, *kind, data, false) {
                Err(Errno::AGAIN) => {}
                // That the monitor has gone is seen by what it does not say.
                _ => self.pending = None,
            }
        }
    }
}

fn write(stream: BorrowedFd<'_>, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        match rustix::io::write(stream, data) {
            Ok(length) => data = &data[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ready =
                    rustix::event::poll(&mut [PollFd::from_borrowed_fd(stream, PollFlags::OUT)], None);
            }
            Err(errno) => {
                return Err(Error::from(errno)
                    .context("write what the container prints")
                    .hint("it runs on; `ocictl logs` has the rest"));
            }
        }
    }
    Ok(())
}

/// The caller's terminal in raw mode; as it was when this is dropped.
#[derive(Debug)]
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Enters raw mode if stdin is a terminal.
    ///
    /// # Errors
    /// As tcsetattr(3).
    pub fn enter() -> Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        if !rustix::termios::isatty(stdin) {
            return Ok(None);
        }
        let before = rustix::termios::tcgetattr(stdin).context(|| "terminal")?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(stdin, OptionalActions::Now, &raw).context(|| "terminal")?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that has gone needs no mode.
        let _gone =
            rustix::termios::tcsetattr(rustix::stdio::stdin().as_fd(), OptionalActions::Now, &self.before);
    }
}
