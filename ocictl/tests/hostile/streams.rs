//! Table F, first half: what programs print, and who listens.

use crate::engine::{IMAGE, eventually};
use crate::stage::Stage;
use ocictl::container::wire::{self, kind};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

const MEBIBYTE: u64 = 1 << 20;

/// Kilobytes that a process has in memory, and what its children have.
fn resident(pid: u32) -> u64 {
    let read = |path: String| fs::read_to_string(path).unwrap_or_default();
    let status = read(format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own: u64 = line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    let children = read(format!("/proc/{pid}/task/{pid}/children"));
    own + children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(resident).sum::<u64>()
}

/// `inspect`'s word for the process of the monitor.
fn monitor(stage: &Stage, name: &str) -> u32 {
    stage.engine.ask(name, "{{.State.ConmonPid}}").parse().expect("a pid")
}

fn end(mut child: Child) {
    child.kill().and_then(|()| child.wait()).expect("it ends");
}

#[test]
fn f1_a_reader_that_stalls_costs_no_memory() {
    let stage = Stage::new("f1");
    stage.engine.ok(&["run", "-d", "--name", "c", IMAGE, "sleep", "1000"]);
    stage.engine.ok(&["run", "-d", "--log-driver", "none", "--name", "yes", IMAGE, "yes"]);
    // Nobody reads what these print: their pipes are full, and so are all behind them.
    let stalled = [
        &["exec", "c", "yes"][..],
        &["attach", "yes"],
        &["run", "--rm", "--log-driver", "none", "--name", "run", IMAGE, "yes"],
    ];
    let children: Vec<Child> = stalled.iter().map(|words| stage.engine.spawn(words)).collect();
    eventually("run runs", || stage.engine.run(&["inspect", "run"]).0 == 0);
    std::thread::sleep(Duration::from_secs(4));
    let mut pids: Vec<u32> = children.iter().map(Child::id).collect();
    pids.extend(["c", "yes", "run"].map(|name| monitor(&stage, name)));
    for pid in pids {
        let kilobytes = resident(pid);
        assert!((1..64 << 10).contains(&kilobytes), "process {pid} has {kilobytes} kB");
    }
    children.into_iter().for_each(end);
    stage.finish();
}

#[test]
fn f2_clients_that_come_and_go_leave_nothing_in_the_monitor() {
    let stage = Stage::new("f2");
    stage.engine.ok(&["run", "-d", "-t", "--name", "c", IMAGE, "sleep", "1000"]);
    let pid = monitor(&stage, "c");
    let run = stage.engine.scratch.join("run/containers").join(stage.engine.ask("c", "{{.Id}}"));
    let descriptors = || fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count();
    let attach = |how: usize| {
        let socket =
            wire::call(&run, "attach", crate::engine::PATIENCE).expect("it is called").expect("it listens");
        // Some say nothing, some attach, some are gone in the middle of a storm of sizes, some talk rubbish.
        if how % 4 > 0 {
            wire::send(&socket, kind::ATTACH, &[], true).expect("it hears");
        }
        if how % 4 > 1 {
            for size in 0..50u8 {
                // A monitor that has had enough of a client may hang up.
                let _hung_up = wire::send(&socket, kind::SIZE, &[size, 0, size, 0], true);
            }
        }
        if how % 4 > 2 {
            let _hung_up = wire::send(&socket, b'?', &[how as u8; 100], true);
        }
    };
    attach(3);
    eventually("the first has gone", || descriptors() < 20);
    let (before, memory) = (descriptors(), resident(pid));
    (0..2000).for_each(attach);
    eventually("all descriptors are closed", || descriptors() <= before);
    let grown = resident(pid).saturating_sub(memory);
    assert!(grown < 2048, "the monitor has grown by {grown} kB");
    assert_eq!(stage.engine.ask("c", "{{.State.Status}}"), "running");
    stage.finish();
}

#[test]
fn f3_a_line_without_an_end_stays_within_the_log() {
    let stage = Stage::new("f3");
    for (driver, script) in [
        ("k8s-file", "head -c 67108864 /dev/zero | tr '\\0' x"),
        ("json-file", "head -c 67108864 /dev/zero"), // Each zero is six bytes in JSON.
    ] {
        let options = ["--log-driver", driver, "--log-opt", "max-size=1m", "--log-opt", "max-file=2"];
        let words = [&["run", "-d", "--name", driver], &options[..], &[IMAGE, "sh", "-c", script]].concat();
        stage.engine.ok(&words);
        let pid = monitor(&stage, driver);
        let log = stage.engine.ask(driver, "{{.LogPath}}");
        eventually(driver, || {
            assert!(resident(pid) < 32 << 10, "{driver}: the monitor has {} kB", resident(pid));
            stage.engine.ask(driver, "{{.State.Status}}") == "exited"
        });
        let size = |path: String| fs::metadata(path).map_or(0, |metadata| metadata.len());
        let sizes = [size(log.clone()), size(format!("{log}.1")), size(format!("{log}.2"))];
        assert!(
            sizes[0] > 0 && sizes[0] <= MEBIBYTE && sizes[1] <= MEBIBYTE && sizes[2] == 0,
            "{driver}: {sizes:?}"
        );
        stage.engine.ok(&["rm", driver]);
    }
    stage.finish();
}

#[test]
fn f4_what_is_written_is_no_link() {
    let stage = Stage::new("f4");
    let target = format!("{}/file", stage.canary.path());
    let links = stage.engine.scratch.join("links");
    fs::create_dir(&links).expect("a directory");
    let link = |name: &str| {
        let path = links.join(name);
        symlink(&target, &path).expect("a link");
        path.to_str().expect("text").to_owned()
    };
    // Files whose names the caller gives.
    let (log, cid) = (link("log"), link("cid"));
    stage.refused(
        &["run", "--rm", "--log-opt", &format!("path={log}"), IMAGE, "echo", "x"],
        &["log", "symbolic links"],
    );
    stage.refused(&["run", "--rm", "--cidfile", &cid, IMAGE, "echo", "x"], &[&cid]);
    // Files of our own, below a directory that others cannot reach: a link is not followed either.
    stage.engine.ok(&["run", "--name", "c", IMAGE, "echo", "x"]);
    let log = PathBuf::from(stage.engine.ask("c", "{{.LogPath}}"));
    fs::remove_file(&log).and_then(|()| symlink(&target, &log)).expect("a link");
    stage.refused(&["start", "c"], &["log", "symbolic links"]);
    stage.refused(&["logs", "c"], &["symbolic links"]);
    let state = log.with_file_name("state.json");
    fs::remove_file(&log).expect("removed");
    fs::remove_file(&state).and_then(|()| symlink(&target, &state)).expect("a link");
    stage.refused(&["start", "c"], &["state.json: too many levels of symbolic links"]);
    stage.engine.ok(&["rm", "-f", "c"]);
    stage.finish();
}

#[test]
fn f7_sockets_are_files_that_only_the_owner_reaches() {
    let stage = Stage::new("f7");
    stage.engine.ok(&["run", "-d", "-i", "--name", "c", "--health-cmd", "true", IMAGE, "sleep", "1000"]);
    stage.engine.ok(&["run", "-d", "-t", "--name", "tty", IMAGE, "sleep", "1000"]);
    let mut inodes = BTreeSet::new();
    for name in ["c", "tty"] {
        let folder = format!("/proc/{}/fd", monitor(&stage, name));
        for entry in fs::read_dir(folder).expect("its descriptors").flatten() {
            let link = fs::read_link(entry.path()).unwrap_or_default().to_string_lossy().into_owned();
            inodes.extend(
                link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')).map(String::from),
            );
        }
    }
    assert!(!inodes.is_empty(), "monitors have sockets");
    let table = fs::read_to_string("/proc/net/unix").expect("sockets");
    let mut named = 0;
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some(path) = fields.get(7).filter(|_| inodes.contains(fields[6])) else { continue };
        assert!(!path.starts_with('@'), "an abstract socket: {line}");
        named += 1;
    }
    assert!(named > 0, "one listens: {table}");
    let run = stage.engine.scratch.join("run/containers");
    for id in fs::read_dir(&run).expect("containers").flatten() {
        let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(id.path()), 0o700);
        for file in fs::read_dir(id.path()).expect("a bundle").flatten() {
            use std::os::unix::fs::FileTypeExt;
            if file.file_type().expect("a type").is_socket() {
                assert_eq!(mode(file.path()) & 0o077, 0, "{}", file.path().display());
            }
        }
    }
    stage.finish();
}
