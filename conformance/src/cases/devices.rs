//! config-linux.md: devices and default devices.

use super::Case;
use super::process::play_on_terminal;
use crate::play::{Play, bundle};
use crate::support::devices::disk;
use serde_json::{Value, json};
use std::fs;

pub const CASES: &[Case] = &[
    ("devices/char", || listed("c", "c", (1, 3))),
    ("devices/block", || listed("b", "b", disk())),
    ("devices/unbuffered", || listed("u", "c", (1, 5))),
    ("devices/fifo", fifo),
    ("devices/mode-and-owner", mode_and_owner),
    ("devices/elsewhere", elsewhere),
    ("devices/other-file", other_file),
    ("default-devices/null", || default_device("null", 1, 3)),
    ("default-devices/zero", || default_device("zero", 1, 5)),
    ("default-devices/full", || default_device("full", 1, 7)),
    ("default-devices/random", || default_device("random", 1, 8)),
    ("default-devices/urandom", || default_device("urandom", 1, 9)),
    ("default-devices/tty", || default_device("tty", 5, 0)),
    ("default-devices/ptmx", ptmx),
    ("default-devices/console", console),
];

#[track_caller]
fn assert_device(seen: &Value, kind: &str, number: (u64, u64)) {
    let device = (&seen["kind"], &seen["major"], &seen["minor"]);
    assert_eq!(device, (&json!(kind), &json!(number.0), &json!(number.1)));
}

fn listed(kind: &str, seen: &str, number: (u64, u64)) {
    let mut bundle = bundle(&["stat /dev/listed"]);
    let device = json!({ "type": kind, "path": "/dev/listed", "major": number.0, "minor": number.1 });
    bundle.push("/linux/devices", device);
    assert_device(bundle.play().value(0), seen, number);
}

fn fifo() {
    let mut bundle = bundle(&["stat /dev/pipe"]);
    bundle.push("/linux/devices", json!({ "type": "p", "path": "/dev/pipe" }));
    assert_eq!(bundle.play().value(0)["kind"], "p");
}

fn mode_and_owner() {
    let mut bundle = bundle(&["stat /dev/listed"]);
    let device = json!({ "type": "c", "path": "/dev/listed", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8 });
    bundle.push("/linux/devices", device);
    let seen = bundle.play().value(0).clone();
    assert_eq!((&seen["mode"], &seen["uid"], &seen["gid"]), (&json!(0o640), &json!(7), &json!(8)));
}

fn elsewhere() {
    let mut bundle = bundle(&["stat /mnt/deep/er/null"]);
    bundle
        .push("/linux/devices", json!({ "type": "c", "path": "/mnt/deep/er/null", "major": 1, "minor": 3 }));
    assert_device(bundle.play().value(0), "c", (1, 3));
}

fn other_file() {
    let mut bundle = bundle(&[]);
    fs::write(bundle.rootfs().join("mnt/null"), "no device").unwrap();
    bundle.push("/linux/devices", json!({ "type": "c", "path": "/mnt/null", "major": 1, "minor": 3 }));
    bundle.refused();
}

fn default_device(name: &str, major: u64, minor: u64) {
    // A terminal opens for those alone that have one.
    let open = if name == "tty" { "stat /dev/tty".to_owned() } else { format!("open /dev/{name} rw") };
    let answers = bundle(&[&format!("stat /dev/{name}"), &open]).play();
    assert_device(answers.value(0), "c", (major, minor));
    assert_eq!(answers.errno(1), 0);
}

fn ptmx() {
    let answers = bundle(&["open /dev/ptmx rw", "stat /dev/pts/ptmx", "stat /dev/ptmx"]).play();
    assert_eq!(answers.errno(0), 0);
    assert_device(answers.value(1), "c", (5, 2));
    let seen = answers.value(2);
    assert!(seen["kind"] == "link" || seen["kind"] == "c", "{seen}");
}

fn console() {
    let answers = play_on_terminal(&mut bundle(&["stat /dev/console", "open /dev/console rw"]));
    // Major 136: a pseudoterminal of devpts, not the machine's console 5:1.
    assert_eq!(answers.value(0)["major"], 136);
    assert_eq!(answers.errno(1), 0);
}
