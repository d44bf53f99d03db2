//! config.md: the list of mounts and the mount options for Linux; config-linux.md: the propagation of the root, masked and
//! read-only paths.

use super::Case;
use crate::play::{Play, bundle, sleeper};
use crate::support::Bundle;
use crate::support::probe::{self, Mount, mount};
use serde_json::{Value, json};
use std::fs;

pub const CASES: &[Case] = &[
    ("mounts/order", order),
    ("mounts/relative-destination", relative_destination),
    ("mounts/destination", || assert_eq!(tmpfs(&[]).kind, "tmpfs")),
    ("mounts/relative-source", relative_source),
    ("mount-option/async", || assert!(!synchronous(&tmpfs(&["sync", "async"])))),
    ("mount-option/atime", || assert!(!tmpfs(&["noatime", "atime"]).has("noatime"))),
    ("mount-option/bind", || assert_eq!(tree(&["bind"]), ["private"])),
    ("mount-option/defaults", defaults),
    ("mount-option/dev", || assert!(!tmpfs(&["nodev", "dev"]).has("nodev"))),
    ("mount-option/diratime", || assert!(!tmpfs(&["nodiratime", "diratime"]).has("nodiratime"))),
    ("mount-option/dirsync", || assert!(tmpfs(&["dirsync"]).super_has("dirsync"))),
    ("mount-option/exec", || assert_eq!(executes(&["noexec", "exec"]), 0)),
    ("mount-option/iversion", || assert_eq!(tmpfs(&["iversion"]).kind, "tmpfs")),
    ("mount-option/lazytime", || assert!(tmpfs(&["lazytime"]).super_has("lazytime"))),
    ("mount-option/loud", || assert_eq!(tmpfs(&["loud"]).kind, "tmpfs")),
    ("mount-option/noatime", || assert!(tmpfs(&["noatime"]).has("noatime"))),
    ("mount-option/nodev", nodev),
    ("mount-option/nodiratime", || assert!(tmpfs(&["nodiratime"]).has("nodiratime"))),
    ("mount-option/noexec", || assert_eq!(executes(&["noexec"]), libc::EACCES)),
    ("mount-option/noiversion", || assert_eq!(tmpfs(&["noiversion"]).kind, "tmpfs")),
    ("mount-option/nolazytime", || assert!(!tmpfs(&["lazytime", "nolazytime"]).super_has("lazytime"))),
    ("mount-option/norelatime", || assert!(!tmpfs(&["norelatime"]).has("noatime"))),
    ("mount-option/nostrictatime", || assert!(tmpfs(&["strictatime", "nostrictatime"]).has("relatime"))),
    ("mount-option/nosuid", || assert!(tmpfs(&["nosuid"]).has("nosuid"))),
    ("mount-option/private", || assert_eq!(shared_tree(&["bind", "private"]), ["private"])),
    ("mount-option/rbind", || assert_eq!(tree(&["rbind"]).len(), 2)),
    ("mount-option/relatime", || assert!(tmpfs(&["relatime"]).has("relatime"))),
    ("mount-option/remount", remount),
    ("mount-option/ro", || assert_eq!(writes(&["ro"]), libc::EROFS)),
    ("mount-option/rprivate", || assert_eq!(shared_tree(&["rbind", "rprivate"]), ["private", "private"])),
    ("mount-option/rshared", || assert_eq!(tree(&["rbind", "rshared"]), ["shared", "shared"])),
    ("mount-option/rslave", || assert_eq!(shared_tree(&["rbind", "rslave"]), ["slave", "slave"])),
    ("mount-option/runbindable", || {
        assert_eq!(tree(&["rbind", "runbindable"]), ["unbindable", "unbindable"])
    }),
    ("mount-option/rw", || assert_eq!(writes(&["ro", "rw"]), 0)),
    ("mount-option/shared", || assert_eq!(tree(&["bind", "shared"]), ["shared"])),
    ("mount-option/silent", || assert_eq!(tmpfs(&["silent"]).kind, "tmpfs")),
    ("mount-option/slave", || assert_eq!(shared_tree(&["bind", "slave"]), ["slave"])),
    ("mount-option/strictatime", strictatime),
    ("mount-option/suid", || assert!(!tmpfs(&["nosuid", "suid"]).has("nosuid"))),
    ("mount-option/sync", || assert!(synchronous(&tmpfs(&["sync"])))),
    ("mount-option/unbindable", || assert_eq!(tree(&["bind", "unbindable"]), ["unbindable"])),
    ("mount-option/idmap-own-maps", || assert_eq!(owners(&["bind", "idmap"]), [json!(1234)])),
    ("mount-option/idmap-without-maps", || without_maps("idmap")),
    ("mount-option/ridmap-own-maps", || assert_eq!(owners(&["rbind", "ridmap"]), [json!(1234), json!(1234)])),
    ("mount-option/ridmap-without-maps", || without_maps("ridmap")),
    ("mounts/uid-maps-alone", || half_a_map("uidMappings")),
    ("mounts/gid-maps-alone", || half_a_map("gidMappings")),
    ("propagation/shared", || assert_eq!(root_propagation("shared"), "shared")),
    ("propagation/slave", || assert_eq!(root_propagation("slave"), "slave")),
    ("propagation/private", || assert_eq!(root_propagation("private"), "private")),
    ("propagation/unbindable", || assert_eq!(root_propagation("unbindable"), "unbindable")),
    ("masked-paths/file", masked_file),
    ("masked-paths/directory", masked_directory),
    ("readonly-paths", read_only_path),
];

const TABLE: &str = "read /proc/self/mountinfo";

fn order() {
    let mut bundle = bundle(&["list /mnt", "list /mnt/inner"]);
    // The second covers the first; the third stands in the second.
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/inner", "tmpfs", "tmpfs", &[]);
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt/behind", "tmpfs", "tmpfs", &[]);
    let answers = bundle.play();
    assert_eq!(answers.value(0), &json!(["behind"]));
    assert_eq!(answers.errno(1), libc::ENOENT);
}

fn relative_destination() {
    let mut bundle = bundle(&[TABLE]);
    bundle.mount("mnt", "tmpfs", "tmpfs", &[]);
    assert_eq!(mount(bundle.play().text(0), "/mnt").kind, "tmpfs");
}

fn relative_source() {
    let mut bundle = bundle(&["read /mnt/file"]);
    fs::create_dir(bundle.path().join("data")).unwrap();
    fs::write(bundle.path().join("data/file"), "of the bundle").unwrap();
    bundle.mount("/mnt", "none", "data", &["bind"]);
    assert_eq!(bundle.play().text(0), "of the bundle");
}

/// A tmpfs with the options, as the container's table of mounts shows it.
#[track_caller]
fn tmpfs(options: &[&str]) -> Mount {
    let mut bundle = bundle(&[TABLE]);
    bundle.mount("/mnt", "tmpfs", "tmpfs", options);
    mount(bundle.play().text(0), "/mnt")
}

fn synchronous(mount: &Mount) -> bool {
    mount.has("sync") || mount.super_has("sync")
}

fn defaults() {
    let mount = tmpfs(&["defaults"]);
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(!mount.has(option), "{mount:?}");
    }
    assert!(!synchronous(&mount), "{mount:?}");
}

fn strictatime() {
    let mount = tmpfs(&["strictatime"]);
    assert!(!mount.has("relatime") && !mount.has("noatime"), "{mount:?}");
}

fn nodev() {
    let mut bundle = bundle(&["mknod /mnt/null c 1 3", "open /mnt/null r"]);
    bundle.capability("CAP_MKNOD").mount("/mnt", "tmpfs", "tmpfs", &["nodev"]);
    let answers = bundle.play();
    assert_eq!((answers.errno(0), answers.errno(1)), (0, libc::EACCES));
}

/// A bind mount of a directory with the probe: the errno of executing it.
#[track_caller]
fn executes(options: &[&str]) -> i32 {
    let mut bundle = bundle(&["exec /mnt/probe"]);
    fs::create_dir(bundle.path().join("data")).unwrap();
    fs::copy(crate::play::probe(), bundle.path().join("data/probe")).unwrap();
    bundle.mount("/mnt", "none", "data", &[&["bind"], options].concat());
    bundle.play().errno(0)
}

/// The errno of a write to a tmpfs.
#[track_caller]
fn writes(options: &[&str]) -> i32 {
    let mut bundle = bundle(&["write /mnt/new x"]);
    bundle.mount("/mnt", "tmpfs", "tmpfs", options);
    bundle.play().errno(0)
}

fn remount() {
    let mut bundle = bundle(&["write /mnt/new x", TABLE]);
    bundle.mount("/mnt", "tmpfs", "tmpfs", &[]).mount("/mnt", "tmpfs", "tmpfs", &["remount", "ro"]);
    let answers = bundle.play();
    assert_eq!(answers.errno(0), libc::EROFS);
    let there = answers.text(1).lines().filter(|line| line.contains(" /mnt ")).count();
    assert_eq!(there, 1, "a second mount was made");
}

/// Makes `data` and `data/sub` mounts, in a mount namespace of the runtime's own.
const SUBMOUNT: &str =
    "mount -t tmpfs top bundle/data; mkdir bundle/data/sub; mount -t tmpfs sub bundle/data/sub";

/// create in a mount namespace of its own that the script has prepared: the container's table of mounts, read while that
/// namespace is there. (When it ends its peer groups end, and a slave has no master any more.)
#[track_caller]
fn table_after(bundle: &Bundle, prepare: &str) -> String {
    bundle.write_config();
    let script = format!("{prepare}; \"$@\"; cat /proc/$(cat pid)/mountinfo >table");
    let wrapper = crate::support::runtime::private_mounts(&script);
    let words = bundle.create_words();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    bundle.kill_and_delete();
    fs::read_to_string(bundle.dir.join("table")).unwrap()
}

/// The propagation of the bind mount and of what came along below it.
#[track_caller]
fn propagations(options: &[&str], prepare: &str) -> Vec<String> {
    let mut bundle = sleeper();
    bundle.mount("/mnt", "none", "data", options);
    fs::create_dir(bundle.path().join("data")).unwrap();
    let table = table_after(&bundle, &format!("{SUBMOUNT}; {prepare}"));
    let found = probe::mounts(&table);
    let below = found.iter().filter(|mount| mount.point == "/mnt" || mount.point == "/mnt/sub");
    below.map(Mount::propagation).collect()
}

fn tree(options: &[&str]) -> Vec<String> {
    propagations(options, "true")
}

fn shared_tree(options: &[&str]) -> Vec<String> {
    propagations(options, "mount --make-shared bundle/data; mount --make-shared bundle/data/sub")
}

fn id_map() -> Value {
    json!([{ "containerID": 0, "hostID": 1234, "size": 10 }])
}

fn set_on_last_mount(bundle: &mut Bundle, member: &str) {
    let last = bundle.config["mounts"].as_array().unwrap().len() - 1;
    bundle.set(&format!("/mounts/{last}/{member}"), id_map());
}

/// Who owns `/mnt` and what is mounted below it, through a map of root to 1234.
#[track_caller]
fn owners(options: &[&str]) -> Vec<Value> {
    let steps: &[&str] =
        if options.contains(&"rbind") { &["stat /mnt", "stat /mnt/sub"] } else { &["stat /mnt"] };
    let mut bundle = bundle(steps);
    bundle.mount("/mnt", "none", "data", options);
    set_on_last_mount(&mut bundle, "uidMappings");
    set_on_last_mount(&mut bundle, "gidMappings");
    fs::create_dir(bundle.path().join("data")).unwrap();
    let script = format!("{SUBMOUNT}; exec \"$@\"");
    let wrapper = crate::support::runtime::private_mounts(&script);
    let answers = bundle.play_under(&wrapper);
    (0..steps.len()).map(|step| answers.value(step)["uid"].clone()).collect()
}

fn without_maps(option: &str) {
    let mut bundle = bundle(&[]);
    fs::create_dir(bundle.path().join("data")).unwrap();
    bundle.mount("/mnt", "none", "data", &["rbind", option]).refused();
}

fn half_a_map(member: &str) {
    let mut bundle = bundle(&[]);
    fs::create_dir(bundle.path().join("data")).unwrap();
    bundle.mount("/mnt", "none", "data", &["bind", "idmap"]);
    set_on_last_mount(&mut bundle, member);
    bundle.refused();
}

/// The propagation of the root mount; the bundle stands on a shared mount, so that a slave has a master.
#[track_caller]
fn root_propagation(word: &str) -> String {
    let mut bundle = sleeper();
    bundle.set("/linux/rootfsPropagation", json!(word));
    let table = table_after(&bundle, "mount --bind bundle bundle; mount --make-shared bundle");
    let words = mount(&table, "/").propagation();
    // A root that is shared may be a slave of its old group too.
    words.split(' ').next().unwrap().to_owned()
}

fn masked_file() {
    let mut bundle = bundle(&["read /etc/secret", "stat /probe"]);
    fs::write(bundle.rootfs().join("etc/secret"), "secret").unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/secret"));
    let answers = bundle.play();
    assert!(answers.errno(0) != 0 || answers.text(0).is_empty(), "{answers:?}");
}

fn masked_directory() {
    let mut bundle = bundle(&["list /etc/secrets", "read /etc/secrets/file", "write /etc/secrets/file x"]);
    fs::create_dir(bundle.rootfs().join("etc/secrets")).unwrap();
    fs::write(bundle.rootfs().join("etc/secrets/file"), "secret").unwrap();
    bundle.push("/linux/maskedPaths", json!("/etc/secrets"));
    let answers = bundle.play();
    assert!(answers.errno(0) != 0 || answers.value(0) == &json!([]), "{answers:?}");
    assert_ne!(answers.errno(1), 0, "{answers:?}");
}

fn read_only_path() {
    let mut bundle = bundle(&["write /etc/file x", "read /etc/file", "write /tmp/file x"]);
    fs::write(bundle.rootfs().join("etc/file"), "as it was").unwrap();
    bundle.push("/linux/readonlyPaths", json!("/etc"));
    let answers = bundle.play();
    assert_eq!(answers.errno(0), libc::EROFS);
    assert_eq!((answers.text(1), answers.errno(2)), ("as it was", 0));
}
