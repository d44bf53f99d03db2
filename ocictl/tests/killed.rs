//! Killed at any system call, and without space at any write: the store is whole, the same command works then, and nothing
//! is left (security.md, K-5). strace makes the kills and the errors.

#[path = "support/registry.rs"]
mod registry;
mod support;

use std::fs;
use std::path::Path;
use support::{Scratch, docker_archive, tar};

/// How many of the calls of each command are tried; spread over all of them.
fn points() -> usize {
    std::env::var("OCICTL_KILL_POINTS").ok().and_then(|points| points.parse().ok()).unwrap_or(40)
}

const CALLS: [&str; 13] = [
    "openat",
    "write",
    "pwrite64",
    "rename",
    "mkdir",
    "fsync",
    "unlinkat",
    "flock",
    "read",
    "getdents64",
    "unlink",
    "close",
    "recvfrom",
];

/// How often a command makes each call, over all of its threads: name and number.
fn calls(scratch: &Scratch, words: &[&str]) -> Vec<(String, usize)> {
    let counts = scratch.join("counts");
    let status = traced(scratch, &["-f", "-c", "-o", counts.to_str().expect("text")], words);
    assert!(status, "the command works when nobody disturbs it");
    let text = fs::read_to_string(&counts).expect("counts");
    let calls = support::counted(&text, &CALLS, points());
    assert!(calls.len() > 3, "{text}");
    calls
}

fn traced(scratch: &Scratch, strace: &[&str], words: &[&str]) -> bool {
    let status = support::strace(&scratch.command(), &["120"], strace, words);
    assert_ne!(status.code(), Some(124), "it hangs: strace {strace:?} {words:?}");
    status.success()
}

/// Disturbs a command at points spread over its calls; after each the store must be whole, and `again` must work.
fn disturb(scratch: &Scratch, how: &str, words: &[&str], prepare: &dyn Fn(), again: &dyn Fn()) {
    prepare();
    let calls = calls(scratch, words);
    // Only what writes can find no space.
    let writing = ["openat", "write", "pwrite64", "rename", "mkdir", "fsync"];
    let all: Vec<(&str, usize)> = calls
        .iter()
        .filter(|(name, _)| how.contains("SIGKILL") || writing.contains(&name.as_str()))
        .flat_map(|(name, count)| (1..=(*count).min(400)).map(move |at| (name.as_str(), at)))
        .collect();
    let step = (all.len() / points()).max(1);
    println!("{words:?}: {how} at {} points", all.len().div_ceil(step));
    for (name, at) in all.iter().step_by(step) {
        prepare();
        let inject = format!("inject={name}:{how}:when={at}");
        traced(scratch, &["-f", "-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject], words);
        let report = scratch.output(&["system", "check", "--deep"]);
        assert!(report.status.success(), "{words:?}, {inject}: {}", String::from_utf8_lossy(&report.stdout));
        again();
        scratch.ok(&["rmi", "-a", "-f"]);
        scratch.ok(&["system", "check", "--repair"]);
        scratch.assert_empty();
        assert_eq!(hidden(&scratch.join("root")), Vec::<String>::new(), "{words:?}, {inject}");
    }
}

/// Files that were being written.
fn hidden(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(hidden(&entry.path()));
        // The containers' lock stays where it is.
        } else if name.starts_with('.') && name != ".lock" {
            found.push(name);
        }
    }
    found
}

fn image() -> Vec<u8> {
    docker_archive("x:1", &[tar(&[("one", b"1"), ("etc/two", &[2; 5000])]), tar(&[("three", b"3")])])
}

#[test]
fn a_load_that_is_killed_or_finds_no_space_leaves_a_whole_store() {
    for (layers, how) in
        [("index", "signal=SIGKILL"), ("index", "error=ENOSPC"), ("directory", "signal=SIGKILL")]
    {
        let mut scratch = Scratch::in_memory("killed-load");
        scratch.layers = layers;
        let file = scratch.join("image.tar");
        fs::write(&file, image()).expect("written");
        let words = ["load", "-q", "-i", file.to_str().expect("text")];
        let clean = || drop(scratch.output(&["rmi", "-a", "-f"]));
        disturb(&scratch, how, &words, &clean, &|| drop(scratch.ok(&words)));
    }
}

#[test]
fn a_pull_that_is_killed_leaves_a_whole_store() {
    let scratch = Scratch::in_memory("killed-pull");
    let Some(registry) = registry::Registry::plain(&scratch.path) else { return };
    let file = scratch.join("image.tar");
    fs::write(&file, image()).expect("written");
    scratch.ok(&["load", "-q", "-i", file.to_str().expect("text")]);
    let name = format!("{}/x:1", registry.host);
    scratch.ok(&["push", "-q", "--tls-verify=false", "x:1", &name]);
    let words = ["pull", "-q", "--tls-verify=false", &name];
    let clean = || drop(scratch.output(&["rmi", "-a", "-f"]));
    disturb(&scratch, "signal=SIGKILL", &words, &clean, &|| drop(scratch.ok(&words)));
}

#[test]
fn a_removal_that_is_killed_can_be_done_again() {
    let scratch = Scratch::in_memory("killed-rmi");
    let file = scratch.join("image.tar");
    fs::write(&file, image()).expect("written");
    let load = || drop(scratch.ok(&["load", "-q", "-i", file.to_str().expect("text")]));
    disturb(&scratch, "signal=SIGKILL", &["rmi", "x:1"], &load, &load);
}
