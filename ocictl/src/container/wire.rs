//! What a client and a monitor say to each other: packets on a unix socket (SOCK_SEQPACKET), the first byte being the kind.
//!
//! ```text
//! client ▶ monitor   A attach · W wait for the end · i stdin · e end of stdin · w rows columns · D leave · S stop (do not start it again) ·
//!                    H check its health now
//! monitor ▶ client   o stdout · r stderr · k heard · x exit code, the last packet
//! ```
//!
//! Everything that is shown fits in one packet, so nobody has to put pieces together.

use crate::error::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Bytes of a packet after its kind.
pub const CHUNK: usize = 8192;

/// What a packet is.
pub mod kind {
    /// Send me what is printed.
    pub const ATTACH: u8 = b'A';
    /// Send me the exit code.
    pub const WAIT: u8 = b'W';
    /// For stdin.
    pub const STDIN: u8 = b'i';
    /// No more stdin.
    pub const STDIN_END: u8 = b'e';
    /// The terminal's size: rows and columns, two bytes each, little-endian.
    pub const SIZE: u8 = b'w';
    /// I leave; the program is to run on.
    pub const DETACH: u8 = b'D';
    /// It is going to be stopped: do not start it again.
    pub const STOP: u8 = b'S';
    /// Check its health now.
    pub const CHECK: u8 = b'H';
    /// From stdout, or the terminal.
    pub const STDOUT: u8 = b'o';
    /// From stderr.
    pub const STDERR: u8 = b'r';
    /// The request was heard.
    pub const HEARD: u8 = b'k';
    /// There is no room for whoever wants that.
    pub const FULL: u8 = b'f';
    /// The exit code, four bytes, little-endian.
    pub const EXIT: u8 = b'x';
}

/// A pair of connected sockets: one end for the monitor that is about to be started, one for its first client.
///
/// # Errors
/// As socketpair(2).
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// The socket that a monitor listens at. Its path may be longer than a socket's address, so it is reached by its directory.
///
/// # Errors
/// Names the directory.
pub fn listen(directory: &Path, name: &str, kind: SocketType) -> Result<OwnedFd> {
    let place = || format!("listen at {}", directory.join(name).display());
    let folder = open(directory)?;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .context(place)?;
    match rustix::fs::unlinkat(&folder, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno).context(place),
    }
    let address =
        SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())).context(place)?;
    // Its directory keeps others out; its mode says so, too. What it is before it has a name, the name gets.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR).context(place)?;
    rustix::net::bind(&socket, &address).context(place)?;
    rustix::net::listen(&socket, 16).context(place)?;
    Ok(socket)
}

/// Calls a monitor; nothing if none listens. Whatever is sent or received with `wait` set fails with EAGAIN after `patience`.
///
/// # Errors
/// `EAGAIN`: so many have called before that the monitor must have stopped to listen. Fails for other reasons than that nobody is there.
pub fn call(directory: &Path, name: &str, patience: Duration) -> Result<Option<OwnedFd>> {
    let folder = match open(directory) {
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(None),
        folder => folder?,
    };
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(patience))?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => Ok(Some(socket)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(errno) => Err(errno).context(|| format!("call {}", directory.join(name).display())),
    }
}

fn open(directory: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(directory, flags, Mode::empty()).context(|| format!("open {}", directory.display()))
}

/// Sends a packet; waits if `wait` is set, else fails with EAGAIN where it would have to.
///
/// # Errors
/// As sendmsg(2); EPIPE if the other side has gone.
pub fn send(socket: impl AsFd, kind: u8, data: &[u8], wait: bool) -> rustix::io::Result<()> {
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::DONTWAIT, !wait);
    let parts = [std::io::IoSlice::new(std::slice::from_ref(&kind)), std::io::IoSlice::new(data)];
    loop {
        match rustix::net::sendmsg(&socket, &parts, &mut rustix::net::SendAncillaryBuffer::default(), flags) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// The next packet: its kind, with what follows in `buffer`; nothing if the other side has gone.
///
/// # Errors
/// As recv(2); EAGAIN if nothing is there and `wait` is not set, or the patience of [`call`] has ended.
pub fn receive<'a>(
    socket: impl AsFd,
    buffer: &'a mut [u8; CHUNK + 1],
    wait: bool,
) -> rustix::io::Result<Option<(u8, &'a [u8])>> {
    let flags = if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
    let length = loop {
        match rustix::net::recv(&socket, &mut buffer[..], flags) {
            // CONNRESET is said once: the other side has gone without having read all. What it sent before is still there.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            result => break result?.0,
        }
    };
    let packet: &'a [u8] = &buffer[..length];
    Ok(packet.split_first().map(|(kind, data)| (*kind, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_keep_their_bounds() {
        let (one, other) = pair().expect("sockets");
        send(&one, kind::STDOUT, b"abc", true).expect("sent");
        send(&one, kind::EXIT, &7i32.to_le_bytes(), true).expect("sent");
        drop(one);
        let mut buffer = [0; CHUNK + 1];
        assert_eq!(receive(&other, &mut buffer, true).expect("a packet"), Some((kind::STDOUT, &b"abc"[..])));
        assert_eq!(
            receive(&other, &mut buffer, true).expect("a packet"),
            Some((kind::EXIT, &[7, 0, 0, 0][..]))
        );
        assert_eq!(receive(&other, &mut buffer, true).expect("the end"), None);
    }

    #[test]
    fn the_last_packet_is_read_though_the_other_side_has_not_read_ours() {
        let (one, other) = pair().expect("sockets");
        send(&other, kind::WAIT, &[], true).expect("sent");
        send(&one, kind::EXIT, &7i32.to_le_bytes(), true).expect("sent");
        drop(one);
        let mut buffer = [0; CHUNK + 1];
        assert_eq!(
            receive(&other, &mut buffer, true).expect("a packet"),
            Some((kind::EXIT, &[7, 0, 0, 0][..]))
        );
        assert_eq!(receive(&other, &mut buffer, true).expect("the end"), None);
    }
}
