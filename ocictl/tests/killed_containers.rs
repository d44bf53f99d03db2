//! `run`, `commit` and `rm` killed at any system call, and on a disk that is full at any point: what is whole stays whole, what died is told
//! and taken away, the same command works then, and the disk is as it was. strace makes the kills; a file system in memory is made as
//! small as it takes. `make engine-test` tries 200 points of each, `make test` some.

mod engine;
#[path = "support/registry.rs"]
mod registry;

use engine::{Engine, IMAGE, support};
use serde_json::json;
use std::fs;
use support::{docker_archive, tar};

/// How many points of each command are tried, spread over all of them; few, since each takes some containers' lives.
fn points() -> usize {
    std::env::var("OCICTL_KILL_POINTS").ok().and_then(|points| points.parse().ok()).unwrap_or(20)
}

/// Where a kill may leave something that the next calls do not.
const CALLS: [&str; 22] = [
    "openat",
    "openat2",
    "write",
    "rename",
    "mkdir",
    "fsync",
    "unlinkat",
    "unlink",
    "flock",
    "symlink",
    "mount_setattr",
    "fsconfig",
    "move_mount",
    "umount2",
    "unshare",
    "setns",
    "clone3",
    "execve",
    "sendto",
    "recvfrom",
    "bind",
    "pidfd_open",
];

/// A store on a file system of its own.
fn on_own_disk(name: &str) -> Engine {
    let engine = Engine::empty(name);
    let path = engine.scratch.path.to_str().expect("text").to_owned();
    support::run("mount", &["-t", "tmpfs", "-o", "size=512m", "tmpfs", &path]);
    engine.load(IMAGE, &json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    for folder in ["image-root", "image.tar"] {
        support::run("rm", &["-rf", engine.scratch.join(folder).to_str().expect("text")]);
    }
    engine
}

/// What is left of containers; the disk itself is no leftover.
fn leftovers(engine: &Engine) -> Vec<String> {
    let here = engine.scratch.path.to_str().expect("text");
    let mut left = engine.leftovers();
    left.retain(|line| line.split(' ').nth(4) != Some(here));
    left
}

/// Bytes that are taken on the disk.
fn used(engine: &Engine) -> u64 {
    let stat = rustix::fs::statvfs(&engine.scratch.path).expect("a file system");
    (stat.f_blocks - stat.f_bfree) * stat.f_frsize
}

fn resize(engine: &Engine, bytes: u64) {
    let options = format!("remount,size={bytes}");
    support::run("mount", &["-o", &options, engine.scratch.path.to_str().expect("text")]);
}

/// A command, its preparation, and what brings its effect away again.
struct Case<'a> {
    words: &'a [&'a str],
    prepare: &'a [&'a [&'a str]],
    undo: &'a [&'a [&'a str]],
}

impl Case<'_> {
    fn prepare(&self, engine: &Engine) {
        self.prepare.iter().for_each(|words| drop(engine.ok(words)));
    }

    /// After the disturbance: nothing is broken, what died is taken away, and the command works. `place` says what was disturbed.
    fn settle(&self, engine: &Engine, place: &str) {
        let (code, out, said) = engine.run(&["system", "check", "--deep"]);
        let only_dead = out.lines().filter(|line| !line.ends_with("all whole")).all(|line| {
            line.contains("its monitor has died")
                || line.starts_with("bundle ")
                || line.contains("its name does not lead")
                || line.contains("it is half made or half removed")
        });
        assert!(only_dead && !said.contains("panicked"), "{place}: {code}: {out} {said}");
        // The disturbed command may have done its work.
        for words in self.undo {
            let _either = engine.output(words);
        }
        let (code, out, said) = engine.run(&["system", "check", "--repair"]);
        assert_eq!(code, 0, "{place}: {out} {said}");
        assert!(leftovers(engine).is_empty(), "{place}: {:?}", leftovers(engine));
        self.prepare(engine);
        let (code, _, said) = engine.run(self.words);
        assert_eq!(code, 0, "{place}, again: {said}");
        self.undo.iter().for_each(|words| drop(engine.output(words)));
        engine::eventually(&format!("{place}: nothing is left"), || leftovers(engine).is_empty());
    }
}

fn traced(engine: &Engine, strace: &[&str], words: &[&str]) -> bool {
    let status = support::strace(&engine.command(), &["-s", "KILL", "40"], strace, words);
    assert_ne!(status.code(), Some(137), "it hangs: strace {strace:?} {words:?}");
    status.success()
}

/// Kills the command at points spread over the calls of the process that was typed, or of all that it starts.
fn kill(engine: &Engine, case: &Case<'_>, all: bool) {
    let follow: &[&str] = if all { &["-f"] } else { &[] };
    case.prepare(engine);
    let counts = engine.scratch.join("counts");
    let counting = [follow, &["-c", "-o", counts.to_str().expect("text")]].concat();
    assert!(traced(engine, &counting, case.words), "it works when nobody disturbs it");
    case.undo.iter().for_each(|words| drop(engine.output(words)));
    let text = fs::read_to_string(&counts).expect("counts");
    fs::remove_file(&counts).expect("removed");
    let counted = support::counted(&text, &CALLS, points());
    let spread = |(name, count): &(String, usize)| {
        let name = name.clone();
        (1..=(*count).min(300)).map(move |at| (name.clone(), at))
    };
    let calls: Vec<_> = counted.iter().flat_map(spread).collect();
    assert!(calls.len() > 10, "{text}");
    let before = used(engine);
    let step = (calls.len() / points()).max(1);
    println!("{:?}: killed at {} points", case.words, calls.len().div_ceil(step));
    for (name, at) in calls.iter().step_by(step) {
        case.prepare(engine);
        let (trace, inject) = (format!("trace={name}"), format!("inject={name}:signal=SIGKILL:when={at}"));
        traced(engine, &[follow, &["-o", "/dev/null", "-e", &trace, "-e", &inject]].concat(), case.words);
        case.settle(engine, &format!("{:?}, {inject}", case.words));
    }
    assert_disk_as_before(engine, before);
}

/// Runs the command with less and less missing on the disk.
fn fill(engine: &Engine, case: &Case<'_>) {
    let whole = 512 << 20;
    case.prepare(engine);
    let before = used(engine);
    engine.ok(case.words);
    let need = used(engine).saturating_sub(before) + (192 << 10);
    case.undo.iter().for_each(|words| drop(engine.output(words)));
    let before = used(engine);
    let mut failed = 0;
    println!("{:?}: {} sizes of the disk", case.words, points());
    for point in 0..points() as u64 {
        case.prepare(engine);
        let room = need * point / points() as u64;
        resize(engine, used(engine) + (room & !4095));
        let bounded = ["timeout", "-s", "KILL", "40"];
        let output = support::below(&bounded, &engine.command(), case.words).output().expect("it starts");
        resize(engine, whole);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code().is_some_and(|code| code != 137) && !said.contains("panicked"),
            "{room}: {said}"
        );
        failed += usize::from(!output.status.success());
        case.settle(engine, &format!("{:?} with {room} bytes", case.words));
    }
    if case.words[0] == "rm" {
        assert_eq!(failed, 0, "what makes room needs none: {need}");
    } else {
        assert!(failed > 0, "no point was too small: {need}");
    }
    assert_disk_as_before(engine, before);
}

/// A directory keeps the page that its names once needed.
fn assert_disk_as_before(engine: &Engine, before: u64) {
    let after = used(engine);
    assert!(after <= before + (64 << 10), "{before} bytes before, {after} after");
}

const RUN: Case<'_> = Case {
    words: &["run", "--rm", "--name", "c", "-v", "/data", IMAGE, "sh", "-c", "echo x > /file"],
    prepare: &[],
    undo: &[&["rm", "-f", "-v", "c"]],
};
const RUN_DETACHED: Case<'_> = Case {
    words: &["run", "-d", "--name", "c", IMAGE, "sleep", "0.2"],
    prepare: &[],
    undo: &[&["rm", "-f", "c"]],
};
const COMMIT: Case<'_> = Case {
    words: &["commit", "-q", "c", "made:1"],
    prepare: &[&["run", "--name", "c", IMAGE, "sh", "-c", "cp /bin/busybox /copy; rm /data/inner/file"]],
    // It may have been killed between the image and its name.
    undo: &[&["rm", "-f", "c"], &["rmi", "-f", "made:1"], &["image", "prune", "-f"]],
};
const REMOVE: Case<'_> = Case {
    words: &["rm", "-v", "c"],
    prepare: &[&["run", "--name", "c", "-v", "/data", IMAGE, "sh", "-c", "cp /bin/busybox /copy"]],
    undo: &[&["rm", "-f", "-v", "c"]],
};
const REMOVE_RUNNING: Case<'_> = Case {
    words: &["rm", "-f", "c"],
    prepare: &[&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]],
    undo: &[&["rm", "-f", "c"]],
};

/// A container with a volume that nobody named, and an image without a name.
const PRUNE: Case<'_> = Case {
    words: &["system", "prune", "-f", "--volumes"],
    prepare: &[
        &["run", "--name", "c", "-v", "/data", IMAGE, "sh", "-c", "cp /bin/busybox /copy"],
        &["commit", "-q", "c"],
    ],
    undo: &[&["rm", "-f", "-v", "c"], &["volume", "prune", "-f"], &["image", "prune", "-f"]],
};

#[test]
fn a_run_that_is_killed_is_taken_away_and_done_again() {
    let engine = on_own_disk("killed-run");
    kill(&engine, &RUN, false);
    kill(&engine, &RUN, true);
}

#[test]
fn a_start_that_is_killed_is_taken_away_and_done_again() {
    let engine = on_own_disk("killed-start");
    kill(&engine, &RUN_DETACHED, false);
    kill(&engine, &RUN_DETACHED, true);
}

#[test]
fn a_commit_that_is_killed_leaves_a_whole_store() {
    let engine = on_own_disk("killed-commit");
    kill(&engine, &COMMIT, true);
}

#[test]
fn a_removal_that_is_killed_can_be_done_again() {
    let engine = on_own_disk("killed-rm");
    kill(&engine, &REMOVE, false);
    kill(&engine, &REMOVE_RUNNING, true);
}

#[test]
fn a_prune_that_is_killed_can_be_done_again() {
    let engine = on_own_disk("killed-prune");
    kill(&engine, &PRUNE, false);
}

#[test]
fn a_full_disk_stops_run_and_nothing_stays() {
    fill(&on_own_disk("full-run"), &RUN);
    fill(&on_own_disk("full-start"), &RUN_DETACHED);
}

#[test]
fn a_full_disk_stops_commit_and_nothing_stays() {
    fill(&on_own_disk("full-commit"), &COMMIT);
}

#[test]
fn a_full_disk_does_not_stop_rm() {
    let engine = on_own_disk("full-rm");
    fill(&engine, &REMOVE);
    fill(&engine, &REMOVE_RUNNING);
}

#[test]
fn a_full_disk_stops_pull_and_nothing_stays() {
    let elsewhere = support::Scratch::new("full-pull-registry");
    let Some(registry) = registry::Registry::plain(&elsewhere.path) else { return };
    let large: Vec<u8> =
        (0..400_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let file = elsewhere.join("image.tar");
    fs::write(
        &file,
        docker_archive("x:1", &[tar(&[("one", b"1"), ("large", &large)]), tar(&[("three", b"3")])]),
    )
    .expect("written");
    elsewhere.ok(&["load", "-q", "-i", file.to_str().expect("text")]);
    let name = format!("{}/x:1", registry.host);
    elsewhere.ok(&["push", "-q", "--tls-verify=false", "x:1", &name]);
    let engine = on_own_disk("full-pull");
    let case = Case {
        words: &["pull", "-q", "--tls-verify=false", &name],
        prepare: &[],
        undo: &[&["rmi", "-f", &name]],
    };
    fill(&engine, &case);
}
