//! Limits of rates in force: how long the kernel lets a payload wait that wants more than its container has (tests/cgroups.rs
//! and tests/events.rs have those of amounts). In whichever layout of cgroups this machine has; where it lacks the
//! controller, the test says that it is skipped.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use support::{Bundle, cgroups, runtime};

const MIB: u64 = 1024 * 1024;

/// The directory of a container's cgroup that a controller governs; nothing, after saying so, where there is none.
fn governed(bundle: &Bundle, controller: &str) -> Option<PathBuf> {
    let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .is_ok_and(|list| list.split_whitespace().any(|name| name == controller))
        .then(|| PathBuf::from("/sys/fs/cgroup"));
    // What v2 calls io is blkio in v1.
    let v1 = || cgroups::v1(if controller == "io" { "blkio" } else { controller });
    let Some(root) = v2.or_else(v1) else {
        eprintln!("skipped: no {controller} controller");
        return None;
    };
    Some(root.join(&bundle.id))
}

/// A bundle with limits and its cgroup in the hierarchy that has them.
fn limited(script: &str, controller: &str, limits: Value) -> Option<(Bundle, PathBuf)> {
    let mut bundle = Bundle::sh(script);
    let path = format!("/{}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path)).set("/linux/resources", limits);
    let directory = governed(&bundle, controller)?;
    Some((bundle, directory))
}

/// A number of a file of `NAME NUMBER` lines.
fn count(directory: &Path, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(directory.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {file}: {text}"))
}

#[test]
fn cpu_quota_throttles() {
    // A fifth of a processor for what wants a whole one: two seconds of wall clock hold at most some 0.4 of CPU.
    let limits = json!({ "cpu": { "quota": 20_000, "period": 100_000 } });
    let script = "while :; do :; done";
    let Some((bundle, directory)) = limited(script, "cpu", limits) else { return };
    bundle.run_detached();
    let from = Instant::now();
    runtime::eventually(|| count(&directory, "cpu.stat", "nr_throttled ") >= 15, || "throttled".into());
    let wall = from.elapsed();
    // Fields 14 and 15 of stat, in ticks of ten milliseconds.
    let stat = fs::read_to_string(format!("/proc/{}/stat", bundle.pid())).unwrap();
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|f| f.parse().unwrap())
        .collect();
    let used = Duration::from_millis((fields[0] + fields[1]) * 10);
    assert!(used <= wall / 5 + Duration::from_millis(300), "{used:?} of {wall:?}");
    bundle.kill_and_delete();
}

/// The disk under a path, as the block throttles name it; nothing where it is not a disk (a tmpfs, say).
fn disk(path: &Path) -> Option<(u64, u64)> {
    let device = fs::metadata(path).unwrap().dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let found = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // A partition is throttled by its disk.
    let whole = if found.join("partition").exists() { found.parent()?.to_owned() } else { found };
    let number = fs::read_to_string(whole.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn block_throttle_slows_writes() {
    // Direct writes of 4 MiB at 1 MiB a second take three seconds at least: the first may go at once.
    let script = "dd if=/dev/zero of=/file bs=262144 count=16 oflag=direct 2>&1; sync; echo written";
    let probe = Bundle::new();
    let Some((major, minor)) = disk(&probe.dir) else {
        eprintln!("skipped: no disk under {}", probe.dir.display());
        return;
    };
    let limits =
        json!({ "blockIO": { "throttleWriteBpsDevice": [{ "major": major, "minor": minor, "rate": MIB }] } });
    let Some((bundle, _)) = limited(script, "io", limits) else { return };
    let from = Instant::now();
    let outcome = bundle.run().ok();
    if outcome.stdout.contains("Invalid argument") {
        eprintln!("skipped: {} cannot be written directly", bundle.dir.display());
        return;
    }
    assert!(outcome.stdout.ends_with("written\n"), "{outcome:?}");
    assert!(from.elapsed() >= Duration::from_secs(3), "{:?}", from.elapsed());
}
