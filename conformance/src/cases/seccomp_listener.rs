//! config-linux.md: the seccomp listener and the container process state that it gets.

use super::Case;
use crate::play::{Answers, Play, bundle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::IoSliceMut;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;

pub const CASES: &[Case] = &[
    ("seccomp/listener-socket", || assert!(!told().messages.is_empty())),
    ("seccomp/listener-one-state", || assert_eq!(told().documents().len(), 1)),
    ("seccomp/listener-closed", || assert!(told().closed, "the connection is open behind the state")),
    ("seccomp/listener-unreachable", unreachable),
    ("seccomp/listener-fd", descriptor),
    ("seccomp/listener-json", || assert!(told().state().is_object())),
    ("seccomp/listener-first-message", descriptors_come_first),
    ("seccomp/listener-version", || assert!(told().state()["ociVersion"].is_string())),
    ("seccomp/listener-pid", || {
        let told = told();
        assert_eq!(told.state()["pid"], told.pid);
    }),
    ("seccomp/listener-state", container_state),
    ("seccomp/listener-metadata", || assert_eq!(told().state()["metadata"], "some metadata")),
];

/// What came over the connection, and what the container did.
struct Told {
    messages: Vec<(Vec<u8>, Vec<String>)>,
    closed: bool,
    pid: i32,
    id: String,
    bundle: String,
    answers: Answers,
}

impl Told {
    /// Every JSON document that came.
    fn documents(&self) -> Vec<Value> {
        let bytes = self.messages.iter().flat_map(|(bytes, _)| bytes.clone()).collect::<Vec<_>>();
        serde_json::Deserializer::from_slice(&bytes)
            .into_iter()
            .map(|document| document.expect("JSON"))
            .collect()
    }

    fn state(&self) -> Value {
        self.documents().remove(0)
    }
}

/// One life under a filter that asks a listener about getsid(2). The listener takes the descriptor and drops it, which
/// makes the call fail with ENOSYS.
#[track_caller]
fn told() -> Told {
    let mut bundle = bundle(&[&format!("call {} 0", libc::SYS_getsid)]);
    let socket = bundle.dir.join("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": socket,
            "listenerMetadata": "some metadata",
            "syscalls": [{ "names": ["getsid"], "action": "SCMP_ACT_NOTIFY" }]
        }),
    );
    let outcome = bundle.create().ok();
    bundle.start().ok();
    assert!(readable(&listener, 5), "nobody has connected");
    let (stream, _) = listener.accept().unwrap();
    let (mut messages, mut closed) = (Vec::new(), false);
    while !closed && readable(&stream, 1) {
        let (bytes, descriptors) = message(&stream);
        closed = bytes.is_empty();
        let links = descriptors.iter().map(|descriptor| {
            fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).unwrap().display().to_string()
        });
        let links = links.collect();
        if !closed {
            messages.push((bytes, links));
        }
    }
    let pid = bundle.pid();
    drop(stream);
    bundle.await_and_delete();
    let path = bundle.path().canonicalize().unwrap().display().to_string();
    Told {
        messages,
        closed,
        pid,
        id: bundle.id.clone(),
        bundle: path,
        answers: Answers::of(&outcome.later_stdout()),
    }
}

fn readable(socket: &impl AsFd, seconds: i64) -> bool {
    let timeout = Timespec { tv_sec: seconds, tv_nsec: 0 };
    poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

fn message(stream: &impl AsFd) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut bytes = vec![0; 16384];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut descriptors = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = part {
            descriptors.extend(came);
        }
    }
    bytes.truncate(received.bytes);
    (bytes, descriptors)
}

fn unreachable() {
    let mut bundle = bundle(&[]);
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": bundle.dir.join("nobody"),
            "syscalls": [{ "names": ["getsid"], "action": "SCMP_ACT_NOTIFY" }]
        }),
    );
    bundle.refused_by_start();
}

fn descriptor() {
    let told = told();
    assert_eq!(told.state()["fds"], json!(["seccompFd"]));
    let links: Vec<&String> = told.messages.iter().flat_map(|(_, links)| links).collect();
    assert_eq!(links, ["anon_inode:seccomp notify"]);
    assert_eq!(told.answers.errno(0), libc::ENOSYS, "the call was not the listener's");
}

fn descriptors_come_first() {
    let told = told();
    assert!(!told.messages[0].1.is_empty(), "the first message has no descriptor");
    assert!(told.messages[1..].iter().all(|(_, links)| links.is_empty()), "a later message has descriptors");
}

fn container_state() {
    let told = told();
    let state = told.state()["state"].clone();
    crate::schema::assert_valid("state-schema.json", &state);
    assert_eq!((&state["id"], &state["bundle"]), (&json!(told.id), &json!(told.bundle)));
}
