//! Whoever has called the monitor: attached clients, which get what is printed and may write to stdin, and callers with a request.

use crate::container::wire::{self, CHUNK, kind};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::os::fd::{AsFd, OwnedFd};

/// Who may be attached or wait at a time.
const MOST: usize = 64;
/// How many more may call at a time, so that a stop is always heard.
const CALLERS: usize = 16;

/// Where goes what clients type: the program's stdin, or nowhere between two runs.
pub trait Input {
    /// Whether what was given is not taken yet.
    fn is_full(&self) -> bool;
    /// Takes what was typed.
    fn feed(&mut self, data: &[u8]);
    /// No more will come.
    fn end(&mut self);
    /// The client's terminal has this size: rows and columns, two bytes each, little-endian.
    fn resize(&mut self, size: &[u8]);
}

/// No program runs.
#[derive(Debug)]
pub struct Nowhere;

impl Input for Nowhere {
    fn is_full(&self) -> bool {
        false
    }

    fn feed(&mut self, _: &[u8]) {}

    fn end(&mut self) {}

    fn resize(&mut self, _: &[u8]) {}
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    list: Vec<Client>,
    wishes: Wishes,
    detached: bool,
}

/// What callers want done.
#[derive(Debug, Default)]
struct Wishes {
    stop: bool,
    check: bool,
}

#[derive(Debug)]
struct Client {
    socket: OwnedFd,
    attached: bool,
    waits: bool,
    /// The stream whose last piece it could not take yet: `o` or `r`.
    owed: Option<u8>,
    gone: bool,
}

impl Clients {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nobody else is taken in for now.
    pub fn is_full(&self) -> bool {
        self.list.len() >= MOST + CALLERS
    }

    /// Whether somebody has asked to stop the container.
    pub fn stop_is_wanted(&self) -> bool {
        self.wishes.stop
    }

    /// Whether somebody wants to know how the container is, who was not told of before.
    pub fn take_check(&mut self) -> bool {
        std::mem::take(&mut self.wishes.check)
    }

    /// Whether somebody has left by the detach keys.
    pub fn has_detached(&self) -> bool {
        self.detached
    }

    /// Stops it as if somebody had asked.
    pub fn want_stop(&mut self) {
        self.wishes.stop = true;
    }

    /// Adds a client that was there before the monitor, attached.
    pub fn add_attached(&mut self, socket: OwnedFd) {
        self.list.push(Client { socket, attached: true, waits: true, owed: None, gone: false });
    }

    /// Takes new calls.
    pub fn accept(&mut self, listener: &OwnedFd) {
        while !self.is_full()
            && let Ok(socket) = rustix::net::accept_with(listener, SocketFlags::CLOEXEC)
        {
            self.list.push(Client { socket, attached: false, waits: false, owed: None, gone: false });
        }
    }

    /// Whether somebody has not taken the last piece yet, so that no more can be read.
    pub fn owe(&self) -> bool {
        self.list.iter().any(|client| client.owed.is_some())
    }

    /// What to wait for; clients that write to a stdin that is full have to wait.
    pub fn add_sources<'a>(&'a self, sources: &mut Vec<PollFd<'a>>, stdin_is_full: bool) {
        for client in &self.list {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !(client.attached && stdin_is_full));
            flags.set(PollFlags::OUT, client.owed.is_some());
            if flags.is_empty() {
                // poll(2) would tell of its end again and again.
                continue;
            }
            sources.push(PollFd::from_borrowed_fd(client.socket.as_fd(), flags));
        }
    }

    /// Sends a piece to everybody attached; who cannot take it owes.
    pub fn broadcast(&mut self, stream: u8, piece: &[u8]) {
        for client in self.list.iter_mut().filter(|client| client.attached) {
            client.offer(stream, piece);
        }
        self.list.retain(|client| !client.gone);
    }

    /// Offers the last piece of a stream again to those who owe it.
    pub fn repeat(&mut self, stream: u8, piece: &[u8]) {
        for client in self.list.iter_mut().filter(|client| client.owed == Some(stream)) {
            client.owed = None;
            client.offer(stream, piece);
        }
        self.list.retain(|client| !client.gone);
    }

    /// Hears what clients say; what they type goes to `input`.
    pub fn serve(&mut self, input: &mut impl Input) {
        let mut buffer = [0; CHUNK + 1];
        let mut room = MOST.saturating_sub(self.list.iter().filter(|client| client.waits).count());
        for client in &mut self.list {
            while !(client.attached && input.is_full()) {
                match wire::receive(&client.socket, &mut buffer, false) {
                    Ok(Some((kind::STDIN, data))) => input.feed(data),
                    Ok(Some((kind::STDIN_END, _))) => input.end(),
                    Ok(Some((kind::SIZE, data))) => input.resize(data),
                    Ok(Some((kind::DETACH, _))) => self.detached = true,
                    Ok(Some((kind::ATTACH | kind::WAIT, _))) if !client.waits && room == 0 => {
                        let _as_good = wire::send(&client.socket, kind::FULL, &[], false);
                        client.gone = true;
                        break;
                    }
                    Ok(Some((request, _))) => {
                        let waited = client.waits;
                        client.hear(request, &mut self.wishes);
                        room -= usize::from(client.waits && !waited);
                    }
                    Err(Errno::AGAIN) => break,
                    Ok(None) | Err(_) => {
                        client.gone = true;
                        break;
                    }
                }
            }
        }
        self.list.retain(|client| !client.gone);
    }

    /// The last word to everybody.
    pub fn tell_exit(&mut self, code: i32) {
        for client in self.list.drain(..).filter(|client| client.waits) {
            // Its socket has room for a packet unless it has taken nothing for long.
            let _gone = wire::send(&client.socket, kind::EXIT, &code.to_le_bytes(), false);
        }
    }
}

impl Client {
    fn offer(&mut self, stream: u8, piece: &[u8]) {
        match wire::send(&self.socket, stream, piece, false) {
            Ok(()) => {}
            Err(Errno::AGAIN) => self.owed = Some(stream),
            Err(_) => self.gone = true,
        }
    }

    fn hear(&mut self, request: u8, wishes: &mut Wishes) {
        match request {
            kind::ATTACH => (self.attached, self.waits) = (true, true),
            kind::WAIT => self.waits = true,
            kind::STOP => wishes.stop = true,
            kind::CHECK => wishes.check = true,
            _ => return,
        }
        self.gone |= wire::send(&self.socket, kind::HEARD, &[], false).is_err();
    }
}
