//! A client of D-Bus for few calls by one thread: connects, calls, waits for a signal, each before a deadline.
//!
//! Serves the D-Bus specification, sections "Authentication Protocol" and "Message Protocol". Nothing blocks: a bus that is
//! stopped, or whose queue of connections is full, costs the time until the deadline and no more. Why no crate does it:
//! `docs/decisions.md`.

mod message;
mod wire;

pub use message::Call;

use crate::error::{Context, Error, Result};
use crate::gvariant::Value;
use message::{Kind, Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A path in the file system.
    Path(String),
    /// A name in the abstract name space of unix(7).
    Abstract(String),
}

/// Who answers at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The service itself, on its private socket: it sends its signals to everybody.
    Service,
    /// A bus: it wants to be greeted, and signals to be subscribed to.
    Bus,
}

/// A call that was answered by an error, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The peer's answer.
    Answered {
        /// Such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// For people.
        message: String,
    },
    /// No answer in time, or the connection broke.
    Broken(Error),
}

impl Refusal {
    /// Whether the peer answered by this error.
    pub fn is(&self, error: &str) -> bool {
        matches!(self, Self::Answered { name, .. } if name == error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Answered { name, message } if message.is_empty() => Self::new(name),
            Refusal::Answered { message, .. } => Self::new(message.trim_end_matches('.')),
            Refusal::Broken(error) => error,
        }
    }
}

/// A connection of our own, closed on drop.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    peer: Peer,
    last_serial: u32,
    /// What was received and not yet read.
    received: Vec<u8>,
}

impl Connection {
    /// Connects and says who we are: `uid`, or where that would be another one outside of our user namespace, nobody: then
    /// the peer asks the kernel.
    ///
    /// # Errors
    /// Nobody listens, the peer does not want us, or it does not answer in time.
    pub fn open(address: &Address, peer: Peer, uid: Option<u32>, deadline: Instant) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .context(|| "socket")?;
        connect(&socket, address, deadline)?;
        let mut connection = Self { socket, peer, last_serial: 0, received: Vec::new() };
        connection.authenticate(uid, deadline)?;
        if peer == Peer::Bus {
            connection.call(&Call::bus("Hello", vec![]), deadline)?;
        }
        Ok(connection)
    }

    /// Has a bus pass the signals of an interface on to us; a service does it anyway.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn watch(
        &mut self,
        interface: &str,
        member: &str,
        deadline: Instant,
    ) -> std::result::Result<(), Refusal> {
        if self.peer == Peer::Service {
            return Ok(());
        }
        let rule = format!("type='signal',interface='{interface}',member='{member}'");
        self.call(&Call::bus("AddMatch", vec![Value::Str(rule)]), deadline).map(drop)
    }

    /// Who answers.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Calls a method and waits for its answer. Signals that come before it are lost.
    ///
    /// # Errors
    /// The peer's error, or none of its answers before the deadline.
    pub fn call(&mut self, call: &Call, deadline: Instant) -> std::result::Result<Vec<Value>, Refusal> {
        self.last_serial += 1;
        let serial = self.last_serial;
        self.send(&call.bytes(serial, self.peer), deadline)?;
        loop {
            let message = self.next(deadline)?;
            if message.reply_to != Some(serial) {
                continue;
            }
            return match message.kind {
                Kind::Return => Ok(message.body()?),
                _ => {
                    let body = message.body()?;
                    let text = body.first().and_then(Value::as_text).unwrap_or_default().to_owned();
                    Err(Refusal::Answered { name: message.error, message: text })
                }
            };
        }
    }

    /// Waits for a signal: the first of that name for which `choose` returns something.
    ///
    /// # Errors
    /// None before the deadline.
    pub fn signal<T>(
        &mut self,
        member: &str,
        deadline: Instant,
        choose: impl Fn(&[Value]) -> Option<T>,
    ) -> Result<T> {
        loop {
            let message = self.next(deadline)?;
            if message.kind == Kind::Signal && message.member == member {
                if let Some(chosen) = choose(&message.body()?) {
                    return Ok(chosen);
                }
            }
        }
    }

    /// The whole of the authentication in one packet; the peer answers in lines, and then in messages.
    fn authenticate(&mut self, uid: Option<u32>, deadline: Instant) -> Result<()> {
        let who = match uid {
            Some(uid) => {
                let digits: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
                format!("\0AUTH EXTERNAL {digits}\r\nBEGIN\r\n")
            }
            None => "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".to_owned(),
        };
        self.send(who.as_bytes(), deadline)?;
        loop {
            let Some(end) = self.received.windows(2).position(|pair| pair == b"\r\n") else {
                self.receive(deadline)?;
                continue;
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            if line.starts_with(b"OK") {
                return Ok(());
            }
            if !line.starts_with(b"DATA") {
                let answer = String::from_utf8_lossy(&line).trim().to_owned();
                return Err(Error::new(format!("it does not accept us: {answer:?}")));
            }
        }
    }

    /// The next message, of whatever kind.
    fn next(&mut self, deadline: Instant) -> Result<Message> {
        loop {
            if let Some(length) = Message::length(&self.received)? {
                let bytes: Vec<u8> = self.received.drain(..length).collect();
                return Message::read(bytes);
            }
            self.receive(deadline)?;
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<()> {
        let mut buffer = [0u8; 16 * 1024];
        loop {
            match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Err(Error::new("it closed the connection")),
                Ok((count, _)) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    return Ok(());
                }
                Err(Errno::AGAIN) => wait(&self.socket, PollFlags::IN, deadline)?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::from(errno).context("receive")),
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8], deadline: Instant) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::AGAIN) => wait(&self.socket, PollFlags::OUT, deadline)?,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::from(errno).context("send")),
            }
        }
        Ok(())
    }
}

/// Connects; a peer that accepts nobody lets its queue fill up, and then the kernel says EAGAIN at once.
fn connect(socket: &OwnedFd, address: &Address, deadline: Instant) -> Result<()> {
    let address = match address {
        Address::Path(path) => SocketAddrUnix::new(path.as_str()),
        Address::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
    }
    .context(|| "its address")?;
    loop {
        match rustix::net::connect(socket, &address) {
            Ok(()) => return Ok(()),
            Err(Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            Err(Errno::AGAIN) => return Err(silent()),
            Err(Errno::INTR) => {}
            // Not in the words of ENOENT, which engines take for a command that is missing in the container.
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Err(Error::new("nobody listens")),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits until the socket is ready.
fn wait(socket: &OwnedFd, flags: PollFlags, deadline: Instant) -> Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).map_err(|_| Error::from(Errno::INVAL))?;
    match poll(&mut [PollFd::new(socket, flags)], Some(&timeout)) {
        Ok(0) => Err(silent()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::from(errno).context("poll")),
    }
}

fn silent() -> Error {
    Error::new("no answer in time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    fn listener(name: &str) -> (UnixListener, Address) {
        // No file that a test could leave behind.
        let name = format!("corten-dbus-{name}-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        (UnixListener::bind_addr(&address).expect("bind"), Address::Abstract(name))
    }

    #[test]
    fn a_peer_that_never_answers_costs_the_time_to_the_deadline() {
        let (_listener, address) = listener("silent");
        let start = Instant::now();
        let error = Connection::open(&address, Peer::Service, Some(0), soon()).expect_err("no answer");
        assert_eq!(error.to_string(), "no answer in time");
        assert!((200..1000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }

    #[test]
    fn nobody_at_the_address_is_said_without_the_words_of_enoent() {
        let address = Address::Path("/nowhere/at/all".into());
        let error = Connection::open(&address, Peer::Service, None, soon()).expect_err("nobody");
        assert_eq!(error.to_string(), "nobody listens");
    }

    #[test]
    fn a_peer_that_rejects_us_is_quoted() {
        let (listener, address) = listener("rejects");
        let peer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            stream.write_all(b"REJECTED EXTERNAL\r\n").expect("write");
            let mut said = [0; 64];
            let count = stream.read(&mut said).expect("read");
            String::from_utf8_lossy(&said[..count]).into_owned()
        });
        let error = Connection::open(&address, Peer::Service, Some(1000), soon()).expect_err("rejected");
        assert_eq!(error.to_string(), "it does not accept us: \"REJECTED EXTERNAL\"");
        assert_eq!(peer.join().expect("peer"), "\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n");
    }
}
