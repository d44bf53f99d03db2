//! Terminals: a pty pair for a foreground runtime, and the console socket's receiving end.

use rustix::fs::{Mode, OFlags};
use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Both ends of a pty of the given size.
pub fn pty(rows: u16, columns: u16) -> (OwnedFd, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).unwrap();
    resize(&master, rows, columns);
    (master, slave)
}

/// Sets the window size of a terminal.
pub fn resize(terminal: impl AsFd, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

/// Everything that comes out of a pty master until the last slave is closed (EIO).
pub fn drain(master: OwnedFd) -> String {
    let mut file = File::from(master);
    let mut output = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(length @ 1..) = file.read(&mut chunk) {
        output.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&output).replace("\r\n", "\n")
}

/// What arrives on a console socket: the payload and the descriptors of one message.
#[derive(Debug)]
pub struct Console {
    /// The bytes of the message.
    pub name: Vec<u8>,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Listens on a console socket; the message is read by `receive` once the runtime has ended.
pub fn listen(path: &Path) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// The one message of the first connection.
#[track_caller]
pub fn receive(listener: &UnixListener) -> Console {
    let (stream, _) = listener.accept().expect("the runtime has connected to the console socket");
    let mut bytes = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let message =
        recvmsg(&stream, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
            .unwrap();
    let mut descriptors = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = part {
            descriptors.extend(received);
        }
    }
    Console { name: bytes[..message.bytes].to_vec(), descriptors }
}
