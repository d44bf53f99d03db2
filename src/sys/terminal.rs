//! pty(7): what a container's console needs beside rustix: no ONLCR, and the master sent over a socket.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::termios::{OptionalActions, OutputModes};
use std::mem::MaybeUninit;

/// The device number of `/dev/ptmx` and of every devpts's own `ptmx`.
pub const PTMX_DEVICE: (u32, u32) = (5, 2);

/// Clears ONLCR, as runc does: whoever reads the master gets the bytes that were written.
///
/// # Errors
/// `ENOTTY`.
pub fn clear_output_translation(terminal: impl AsFd) -> Result<(), Errno> {
    let mut modes = rustix::termios::tcgetattr(&terminal)?;
    modes.output_modes.remove(OutputModes::ONLCR);
    rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &modes)
}

/// Sends one message of `payload` with `descriptor` attached, as `--console-socket` promises; how many of its bytes were
/// taken.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send_descriptor(
    socket: BorrowedFd<'_>,
    payload: &[u8],
    descriptor: BorrowedFd<'_>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(payload)], &mut control, SendFlags::NOSIGNAL)
}

/// Receives one message and the descriptor attached to it, close-on-exec.
///
/// # Errors
/// Those of recvmsg(2); `EPROTO` when no descriptor came.
pub fn receive_descriptor(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    receive(socket, &mut [0; 64])?.1.ok_or(Errno::PROTO)
}

/// Receives one message into `payload`: its length, and the descriptor, if one is attached to it, close-on-exec.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(socket: BorrowedFd<'_>, payload: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [rustix::io::IoSliceMut::new(payload)];
    let received = rustix::net::recvmsg(socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}
