//! config-linux.md: namespaces, id maps, time offsets, sysctls.

use super::Case;
use crate::play::{Play, bundle, namespace};
use crate::support::{Bundle, holder::Holder};
use serde_json::json;
use std::fs;

pub const CASES: &[Case] = &[
    ("namespaces/path-absolute", || {
        drop(bundle(&[]).namespace("network", Some("proc/self/ns/net")).refused())
    }),
    ("namespaces/pid-new", || new("pid")),
    ("namespaces/network-new", || new("network")),
    ("namespaces/mount-new", || new("mount")),
    ("namespaces/ipc-new", || new("ipc")),
    ("namespaces/uts-new", || new("uts")),
    ("namespaces/user-new", || new("user")),
    ("namespaces/cgroup-new", || new("cgroup")),
    ("namespaces/time-new", || new("time")),
    ("namespaces/pid-joined", || joined("pid")),
    ("namespaces/network-joined", || joined("network")),
    ("namespaces/mount-joined", || joined("mount")),
    ("namespaces/ipc-joined", || joined("ipc")),
    ("namespaces/uts-joined", || joined("uts")),
    ("namespaces/user-joined", || joined("user")),
    ("namespaces/cgroup-joined", || joined("cgroup")),
    ("namespaces/time-joined", || joined("time")),
    ("namespaces/pid-inherited", || inherited("pid")),
    ("namespaces/network-inherited", || inherited("network")),
    ("namespaces/ipc-inherited", || inherited("ipc")),
    ("namespaces/uts-inherited", || inherited("uts")),
    ("namespaces/user-inherited", || inherited("user")),
    ("namespaces/cgroup-inherited", || inherited("cgroup")),
    ("namespaces/time-inherited", || inherited("time")),
    ("namespaces/pid-wrong-type", || wrong_type("pid")),
    ("namespaces/network-wrong-type", || wrong_type("network")),
    ("namespaces/mount-wrong-type", || wrong_type("mount")),
    ("namespaces/ipc-wrong-type", || wrong_type("ipc")),
    ("namespaces/uts-wrong-type", || wrong_type("uts")),
    ("namespaces/user-wrong-type", || wrong_type("user")),
    ("namespaces/cgroup-wrong-type", || wrong_type("cgroup")),
    ("namespaces/time-wrong-type", || wrong_type("time")),
    ("namespaces/duplicate", || {
        drop(bundle(&[]).push("/linux/namespaces", json!({ "type": "uts" })).refused())
    }),
    ("user-namespaces/maps", maps),
    ("time-offsets", time_offsets),
    ("sysctl", sysctl),
    ("sysctl/not-namespaced", sysctl_of_the_machine),
];

/// The kind as `/proc/PID/ns` calls it.
fn short(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        kind => kind,
    }
}

/// Prepares what a namespace of the kind needs or forbids.
fn fitting(kind: &str, path: Option<&str>) -> Bundle {
    let mut bundle = bundle(&["namespaces"]);
    match (kind, path) {
        ("user", None) => drop(bundle.user_namespace(100_000, 65536)),
        // The names of a namespace that is not the container's own are not its to set.
        ("uts", Some(_)) => drop(bundle.unset("/hostname").namespace(kind, path)),
        _ => drop(bundle.namespace(kind, path)),
    }
    bundle
}

fn new(kind: &str) {
    let seen = fitting(kind, None).play().value(0)[short(kind)].clone();
    assert!(seen.is_string(), "the machine has no such namespace");
    assert_ne!(seen, namespace("self", short(kind)));
}

fn joined(kind: &str) {
    let option = format!("--{}", if kind == "network" { "net" } else { kind });
    let holder = Holder::of(short(kind), &option);
    let path = holder.path(short(kind));
    let mut bundle = fitting(kind, Some(&path));
    if kind == "user" {
        // The holder's map: its root is the suite's user.
        let own = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
        bundle.set("/linux/uidMappings", own.clone()).set("/linux/gidMappings", own);
    }
    let link = fs::read_link(&path).unwrap().display().to_string();
    if kind == "user" && bundle.create().code != Some(0) {
        // Some want the maps once more, some take them as a contradiction.
        bundle.unset("/linux/uidMappings").unset("/linux/gidMappings");
    } else if kind == "user" {
        bundle.delete_force();
    }
    assert_eq!(bundle.play().value(0)[short(kind)], link);
}

fn inherited(kind: &str) {
    let mut bundle = bundle(&["namespaces"]);
    bundle.without_namespace(kind);
    if kind == "uts" {
        bundle.unset("/hostname");
    }
    assert_eq!(bundle.play().value(0)[short(kind)], namespace("self", short(kind)));
}

fn wrong_type(kind: &str) {
    let other = if kind == "uts" { "ipc" } else { "uts" };
    let holder = Holder::of(other, &format!("--{other}"));
    fitting(kind, Some(&holder.path(other))).refused();
}

fn maps() {
    let mut bundle = bundle(&["read /proc/self/uid_map", "read /proc/self/gid_map"]);
    bundle.user_namespace(100_000, 65536);
    bundle.set(
        "/linux/gidMappings",
        json!([{ "containerID": 0, "hostID": 100_000, "size": 10 }, { "containerID": 10, "hostID": 300_000, "size": 5 }]),
    );
    let answers = bundle.play();
    let words = |step| answers.text(step).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(0), ["0", "100000", "65536"]);
    assert_eq!(words(1), ["0", "100000", "10", "10", "300000", "5"]);
}

/// Seconds since the machine began.
fn uptime() -> i64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

fn time_offsets() {
    let mut bundle = bundle(&["clock"]);
    bundle.namespace("time", None);
    bundle.set(
        "/linux/timeOffsets",
        json!({ "boottime": { "secs": 1_000_000 }, "monotonic": { "secs": 500_000 } }),
    );
    let seen = bundle.play().value(0).clone();
    let host = uptime();
    let ahead = seen["boottime"].as_i64().unwrap() - host;
    assert!((999_000..=1_000_000).contains(&ahead), "{ahead}");
    let ahead = seen["monotonic"].as_i64().unwrap() - host;
    assert!((400_000..=500_000).contains(&ahead), "{ahead}");
}

fn sysctl() {
    let mut bundle = bundle(&["read /proc/sys/net/core/somaxconn", "read /proc/sys/kernel/shm_rmid_forced"]);
    bundle.set("/linux/sysctl", json!({ "net.core.somaxconn": "321", "kernel.shm_rmid_forced": "1" }));
    let answers = bundle.play();
    assert_eq!((answers.text(0).trim(), answers.text(1).trim()), ("321", "1"));
}

fn sysctl_of_the_machine() {
    let path = "/proc/sys/vm/swappiness";
    let before = fs::read_to_string(path).unwrap();
    let mut bundle = bundle(&[]);
    bundle.set("/linux/sysctl", json!({ "vm.swappiness": before.trim() })).refused();
}
