//! What a container left behind: the check that ends every test, and the broom for a test that failed.
//!
//! Tests run beside each other, so everything is attributed by the bundle's unique id: in command lines, the marked
//! environment, cgroup names, mount tables and state directories. That the host's mount table is unchanged to the
//! letter is a test of its own (`mounts.rs`), in a private namespace.

use super::{Bundle, cgroups};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The runtime's own helpers may still be on their way out.
const GRACE: Duration = Duration::from_secs(2);

/// Ends a test: nothing of the container is left, else the test fails; the temporary directory is removed in any case.
pub fn settle(bundle: &Bundle) {
    let failed = std::thread::panicking();
    let left = if failed { Vec::new() } else { await_nothing(bundle) };
    if failed || !left.is_empty() {
        sweep(bundle);
    }
    let removed = fs::remove_dir_all(&bundle.dir);
    if !failed {
        assert!(left.is_empty(), "{} left behind: {left:#?}", bundle.id);
        removed.unwrap_or_else(|error| panic!("{} cannot be removed: {error}", bundle.dir.display()));
    }
}

/// Asserts in the middle of a test that nothing is left.
#[track_caller]
pub fn assert_nothing_left(bundle: &Bundle) {
    let left = await_nothing(bundle);
    assert!(left.is_empty(), "{} left behind: {left:#?}", bundle.id);
}

/// What is left after a short grace; empty as a rule.
pub fn await_nothing(bundle: &Bundle) -> Vec<String> {
    let end = Instant::now() + GRACE;
    loop {
        let left = litter(bundle);
        if left.is_empty() || Instant::now() > end {
            return left;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Everything of the container that is there now, one line each.
pub fn litter(bundle: &Bundle) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(processes(&bundle.id).iter().map(|pid| format!("process {pid}: {}", command_line(*pid))));
    left.extend(cgroups::named(&bundle.id).iter().map(|path| format!("cgroup {}", path.display())));
    left.extend(mounts(&bundle.id).iter().map(|line| format!("mount {line}")));
    left.extend(state_entries(bundle).iter().map(|path| format!("state {}", path.display())));
    left.extend(
        descriptors(&bundle.dir).iter().map(|path| format!("descriptor of the test: {}", path.display())),
    );
    left
}

/// Processes that carry the id in their command line, their cgroup or the marked environment.
fn processes(id: &str) -> Vec<i32> {
    let mark = format!("CORTENTEST={id}");
    let carries = |pid: i32| {
        let holds = |file: &str, needle: &str| {
            fs::read(format!("/proc/{pid}/{file}"))
                .is_ok_and(|content| content.windows(needle.len()).any(|window| window == needle.as_bytes()))
        };
        (holds("cgroup", id) || holds("cmdline", id) || holds("environ", &mark)) && !is_orphaned_zombie(pid)
    };
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| carries(*pid)).collect()
}

/// Dead, and not the test's own child: to reap it is the affair of pid 1 (or of a joined namespace's), not of a runtime.
fn is_orphaned_zombie(pid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return true };
    status.contains("\nState:\tZ") && !status.contains(&format!("\nPPid:\t{}\n", std::process::id()))
}

fn command_line(pid: i32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

fn mounts(id: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(id)).map(str::to_owned).collect()
}

/// Entries of the state root that name the container. What a runtime keeps there for all containers is its own affair.
fn state_entries(bundle: &Bundle) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(bundle.root()) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().contains(&bundle.id)).collect()
}

fn descriptors(dir: &Path) -> Vec<PathBuf> {
    let links =
        fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|target| target.starts_with(dir)).collect()
}

/// Best effort, after a failure (or a peer that leaves things): the next test must not suffer from this one.
pub fn sweep(bundle: &Bundle) {
    let end = Instant::now() + 2 * GRACE;
    cgroups::thaw(&bundle.id);
    loop {
        let pids = processes(&bundle.id);
        for pid in &pids {
            let _ = kill_process(Pid::from_raw(*pid).unwrap(), Signal::KILL);
        }
        if pids.is_empty() || Instant::now() > end {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // A cgroup is busy for a moment after its last process. Children come after their parents in the list.
    loop {
        let left = cgroups::named(&bundle.id);
        for path in left.iter().rev() {
            let _ = fs::remove_dir(path);
        }
        if left.is_empty() || Instant::now() > end {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for line in mounts(&bundle.id).iter().rev() {
        if let Some(point) = line.split(' ').nth(4) {
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
}
