//! A small agent for `SCMP_ACT_NOTIFY`: it takes one container's listener, answers until the container is gone, and keeps
//! what it was told and asked.

use crate::support::runtime::{DEADLINE, readable_within};
use libseccomp::{ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use serde_json::Value;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

/// A call that the agent was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub call: String,
    /// Its first argument as a string in the caller's memory.
    pub text: String,
}

/// What the agent saw.
#[derive(Debug)]
pub struct Seen {
    /// The container process state.
    pub state: Value,
    /// The calls, in order.
    pub questions: Vec<Question>,
}

/// An agent at work.
#[derive(Debug)]
pub struct Agent(JoinHandle<Seen>);

impl Agent {
    /// Listens at `path`; a call whose first argument is a path that ends with `denied` fails with EPERM, others go on.
    pub fn at(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self(std::thread::spawn(move || {
            let mut stream = accept(&listener);
            let (filter, mut text) = receive(&stream);
            // Not until its end: runc keeps the connection open.
            while serde_json::from_slice::<Value>(&text).is_err() {
                let mut more = [0; 4096];
                let count = stream.read(&mut more).unwrap();
                assert_ne!(count, 0, "the state ends early: {}", String::from_utf8_lossy(&text));
                text.extend_from_slice(&more[..count]);
            }
            Seen { state: serde_json::from_slice(&text).unwrap(), questions: answer(&filter) }
        }))
    }

    /// What it saw, once the container is gone.
    pub fn seen(self) -> Seen {
        self.0.join().unwrap()
    }
}

/// The one connection, which a container that was never made does not bring.
fn accept(listener: &UnixListener) -> UnixStream {
    assert!(readable_within(listener, DEADLINE), "nobody has connected within {DEADLINE:?}");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// The first message: the one descriptor, and what of the text came with it.
fn receive(stream: &UnixStream) -> (OwnedFd, Vec<u8>) {
    let mut text = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffers = [IoSliceMut::new(&mut text)];
    let message = rustix::net::recvmsg(stream, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = part {
            descriptors.extend(came);
        }
    }
    assert_eq!(descriptors.len(), 1, "one descriptor comes with the first message");
    text.truncate(message.bytes);
    (descriptors.remove(0), text)
}

/// Answers until nobody is left under the filter.
fn answer(filter: &OwnedFd) -> Vec<Question> {
    let mut questions = Vec::new();
    loop {
        let mut events = [PollFd::new(filter, PollFlags::IN)];
        poll(&mut events, None).unwrap();
        if !events[0].revents().contains(PollFlags::IN) {
            return questions;
        }
        let Ok(request) = ScmpNotifReq::receive(filter.as_raw_fd()) else { continue };
        let question = Question {
            call: request.data.syscall.get_name().unwrap_or_default(),
            text: string_at(request.pid, request.data.args[0]),
        };
        let response = if question.text.ends_with("denied") {
            ScmpNotifResp::new_error(request.id, -libc::EPERM, ScmpNotifRespFlags::empty())
        } else {
            ScmpNotifResp::new_continue(request.id, ScmpNotifRespFlags::empty())
        };
        questions.push(question);
        // The caller may have been killed meanwhile.
        let _ = response.respond(filter.as_raw_fd());
    }
}

fn string_at(pid: u32, address: u64) -> String {
    let mut bytes = [0; 256];
    let Ok(memory) = std::fs::File::open(format!("/proc/{pid}/mem")) else { return String::new() };
    let length = memory.read_at(&mut bytes, address).unwrap_or(0);
    let text = bytes[..length].split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
