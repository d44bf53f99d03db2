//! `exec` a thousand times in one container, and 64 times at once: each with its own exit code, and nothing of it stays.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{Bundle, cgroups, runtime};

/// The longest that a thousand may take, on a machine that is busy otherwise.
const LONG: Duration = Duration::from_secs(300);

/// All that could grow with each process.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    /// Those of the container, by pid.
    processes: BTreeSet<i32>,
    /// Those in its pid namespace that have ended and that nobody has reaped.
    zombies: Vec<i32>,
    /// Those of init.
    descriptors: usize,
    cgroups: Vec<PathBuf>,
    /// Files of the state.
    state: Vec<PathBuf>,
    /// Those that the container sees, and those of ours that are about it.
    mounts: (usize, usize),
}

impl Traces {
    fn of(bundle: &Bundle) -> Self {
        let pid = bundle.pid();
        let text = bundle.call(&["ps", "--format", "json", &bundle.id]).ok().stdout;
        let mounts = |process: &str, about: &str| {
            let table = fs::read_to_string(format!("/proc/{process}/mountinfo")).unwrap();
            table.lines().filter(|line| line.contains(about)).count()
        };
        let state = fs::read_dir(bundle.root().join(&bundle.id)).unwrap();
        let mut state: Vec<PathBuf> = state.map(|entry| entry.unwrap().path()).collect();
        state.sort();
        Self {
            processes: serde_json::from_str(&text).unwrap(),
            zombies: zombies(pid),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            cgroups: cgroups::named(&bundle.id),
            state,
            mounts: (mounts(&pid.to_string(), ""), mounts("self", &bundle.id)),
        }
    }
}

/// What has ended and is not reaped in the pid namespace of a process.
fn zombies(pid: i32) -> Vec<i32> {
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let is_one = |other: &i32| {
        let status = fs::read_to_string(format!("/proc/{other}/status")).unwrap_or_default();
        status.contains("\nState:\tZ") && namespace(*other) == namespace(pid)
    };
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(is_one).collect()
}

fn running() -> Bundle {
    // It forks no more once it is up, so that its processes are the same at the beginning and at the end.
    let bundle = Bundle::sh("sleep 1000 & echo up; wait");
    let outcome = bundle.run_with(&["--detach"]).ok();
    runtime::eventually(|| outcome.later_stdout() == "up\n", || "the container is up".into());
    bundle
}

#[test]
fn a_thousand_execs_end_with_their_own_codes_and_leave_nothing() {
    let bundle = running();
    // The first one may make what all others need.
    bundle.exec(&[], &["true"]).ok();
    let before = Traces::of(&bundle);
    let started = Instant::now();
    for number in 0..1000 {
        // Every fourth is ended by a signal.
        let (script, code) = match number % 4 {
            3 => ("kill -9 $$".to_owned(), 137),
            _ => (format!("exit {}", number % 256), number % 256),
        };
        let outcome = bundle.exec(&[], &["sh", "-c", &script]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(code), ""), "{number}: {outcome:#?}");
        // What was kept for us to look at is not what is looked for.
        fs::remove_file(outcome.files.0).unwrap();
        fs::remove_file(outcome.files.1).unwrap();
    }
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    assert_eq!(Traces::of(&bundle), before);
    bundle.kill_and_delete();
}

#[test]
fn sixty_four_execs_at_once_end_with_their_own_codes_and_leave_nothing() {
    let bundle = running();
    bundle.exec(&[], &["true"]).ok();
    let before = Traces::of(&bundle);
    let door = bundle.rootfs().join("door");
    let begin = |code: i32| {
        // All of them are inside before the first one ends.
        let script =
            format!("echo in; while [ ! -e /door ]; do usleep 20000; done; echo {code}; exit {code}");
        bundle.begin(&mut bundle.exec_command(&[], &["sh", "-c", &script]))
    };
    let all: Vec<_> = (1..=64).map(|code| (code, begin(code))).collect();
    all.iter().for_each(|(_, running)| running.await_stdout("in"));
    assert!(Traces::of(&bundle).processes.len() >= before.processes.len() + 64, "all at once");
    fs::write(door, "").unwrap();
    for (code, running) in all {
        let outcome = running.finish();
        assert_eq!((outcome.code, outcome.stdout), (Some(code), format!("in\n{code}\n")));
    }
    assert_eq!(Traces::of(&bundle), before);
    bundle.kill_and_delete();
}
