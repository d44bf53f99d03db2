//! Two who act on one id or one cgroup at once, and what a killed or hostile one has left in the state directory.
//!
//! Nobody kills, removes or undoes what is another's.

mod support;

use rustix::fs::{CWD, FlockOperation, Mode, flock};
use rustix::process::{Pid, test_kill_process};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use support::runtime::{dies_within, eventually};
use support::{Bundle, cgroups, skip_on_peer};

fn skipped() -> bool {
    skip_on_peer("the state directory is corten's own")
}

fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && !stat.contains(") Z ")
}

/// A foreign process in every hierarchy's cgroup of that name; ended and removed on drop.
struct Foreigner {
    child: Child,
    directories: Vec<PathBuf>,
}

impl Foreigner {
    fn new(name: &str) -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let mut directories = Vec::new();
        for (point, controllers) in cgroups::hierarchies() {
            // A cpuset takes nobody in before it is configured.
            let directory = point.join(name);
            if controllers.iter().any(|name| name == "cpuset") || fs::create_dir(&directory).is_err() {
                continue;
            }
            fs::write(directory.join("cgroup.procs"), child.id().to_string()).unwrap();
            directories.push(directory);
        }
        Self { child, directories }
    }
}

impl Drop for Foreigner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for directory in &self.directories {
            let end = Instant::now() + Duration::from_secs(2);
            while fs::remove_dir(directory).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn forced_delete_after_a_killed_create_kills_nobody_else() {
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let name = format!("foreign-{}", std::process::id());
    bundle.set("/linux/cgroupsPath", json!(format!("/{name}")));
    bundle.write_config();
    let foreigner = Foreigner::new(&name);
    let words = ["create", "--bundle", "bundle", &bundle.id];
    // Everything from the first record to the refusal.
    let calls = ["mkdir", "openat", "renameat", "renameat2", "rename", "unlinkat", "rmdir"];
    let mut killed = 0;
    for (call, number) in calls.iter().flat_map(|call| (1..=12).map(move |number| (call, number))) {
        if *call == "openat" && number < 6 {
            continue;
        }
        let inject = format!("inject={call}:signal=SIGKILL:when={number}");
        let options = ["strace", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject];
        let created = bundle.finish(&mut bundle.command_under(&options, &words));
        bundle.delete_force().ok();
        assert!(is_alive(foreigner.child.id() as i32), "{call} {number}");
        assert!(fs::read_dir(bundle.root()).map_or(0, Iterator::count) == 0, "{call} {number}");
        // Not every call comes that often.
        killed += usize::from(created.signal == Some(libc::SIGKILL));
    }
    assert!(killed > calls.len(), "only {killed} were killed");
}

/// A container whose creator sleeps in a hook, and that creator.
fn create_with_sleeping_hook(bundle: &mut Bundle, seconds: u32) -> support::runtime::Running {
    let body = format!("touch {}/in-hook; exec sleep {seconds}", bundle.dir.display());
    let path = bundle.host_script("sleeping", &body);
    bundle.push("/hooks/createRuntime", json!({ "path": path }));
    let creator = bundle.begin(&mut bundle.create_command(&[]));
    let mark = bundle.dir.join("in-hook");
    eventually(|| mark.exists(), || "the hook does not run".to_owned());
    creator
}

/// What a creator says then.
fn deleted_meanwhile(bundle: &Bundle) -> String {
    format!("create {}: the container was deleted meanwhile", bundle.id)
}

#[test]
fn old_creator_leaves_the_new_container_of_its_id_alone() {
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let creator = create_with_sleeping_hook(&mut bundle, 14);
    bundle.delete_force().ok();
    bundle.unset("/hooks/createRuntime");
    bundle.create().ok();
    let pid = bundle.pid();
    creator.finish().fails(&deleted_meanwhile(&bundle));
    assert!(is_alive(pid));
    assert_eq!(bundle.status(), "created");
    bundle.start().ok();
    bundle.kill_and_delete();
}

#[test]
fn forced_delete_waits_for_the_creator_that_gives_up() {
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let creator = create_with_sleeping_hook(&mut bundle, 1);
    bundle.delete_force().ok();
    // The creator was done before the delete was.
    assert!(dies_within(creator.pid(), Duration::ZERO), "it has ended");
    creator.finish().fails(&deleted_meanwhile(&bundle));
    bundle.unset("/hooks/createRuntime");
    bundle.create().ok();
    bundle.delete().ok();
}

#[test]
fn parallel_creates_and_deletes_of_one_id_never_fail_halfway() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.write_config();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..12 {
                    let created = bundle.call(&["create", "--bundle", "bundle", &bundle.id]);
                    let deleted = bundle.delete_force();
                    assert_eq!(deleted.code, Some(0), "{deleted:#?}");
                    assert!(created.code == Some(0) || !created.stderr.contains("not empty"), "{created:#?}");
                }
            });
        }
    });
    bundle.delete_force().ok();
    bundle.create().ok();
    bundle.delete().ok();
}

#[test]
fn poststop_runs_once_however_many_delete() {
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let log = bundle.dir.join("poststop");
    let path = bundle.host_script("poststop-hook", &format!("echo x >> {}", log.display()));
    bundle.push("/hooks/poststop", json!({ "path": path }));
    for round in 1..=5 {
        bundle.create().ok();
        let deletes: Vec<_> =
            (0..4).map(|_| bundle.begin(&mut bundle.command(&["delete", "--force", &bundle.id]))).collect();
        for delete in deletes {
            delete.finish().ok();
        }
        assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), round);
    }
}

#[test]
fn plain_delete_leaves_another_container_in_the_same_cgroup_running() {
    if skipped() {
        return;
    }
    let (first, mut second) = (Bundle::sleeper(), Bundle::sleeper());
    first.create().ok();
    first.start().ok();
    first.kill("KILL").ok();
    first.await_death(first.pid());
    second.set("/linux/cgroupsPath", json!(format!("/{}", first.id)));
    second.create().ok();
    second.start().ok();
    let deleted = first.delete().ok();
    assert!(deleted.stderr.contains("has processes of others and stays"), "{deleted:#?}");
    assert!(is_alive(second.pid()));
    assert_eq!(second.status(), "running");
    second.kill_and_delete();
}

#[test]
fn create_that_cannot_remove_its_cgroup_keeps_the_record() {
    let Some(pids) = cgroups::v1("pids") else { return eprintln!("skipped: no cgroup v1 pids here") };
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sleeper();
    let (dir, procs) = (bundle.dir.display().to_string(), pids.join(&bundle.id).join("cgroup.procs"));
    // Into one hierarchy only, where no kill of the container's processes finds it.
    let body = format!(
        "env -i sleep 1000 </dev/null >/dev/null 2>&1 &\necho $! > {}; echo $! > {dir}/sleeper; exit 1",
        procs.display()
    );
    let path = bundle.host_script("moving", &body);
    bundle.push("/hooks/createRuntime", json!({ "path": path }));
    let created = bundle.create().fails("createRuntime");
    let sleeper: i32 = fs::read_to_string(bundle.dir.join("sleeper")).unwrap().trim().parse().unwrap();
    assert!(created.stderr.contains("the record stays for delete --force"), "{created:#?}");
    assert_eq!(bundle.status(), "creating");
    rustix::process::kill_process(Pid::from_raw(sleeper).unwrap(), rustix::process::Signal::KILL).unwrap();
    bundle.delete_force().ok();
}

#[test]
fn directory_without_a_record_is_no_container() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    let foreign = bundle.root().join("boot");
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("start.sock"), "").unwrap();
    assert_eq!(bundle.call(&["list", "--quiet"]).ok().stdout, "");
    bundle.call(&["state", "boot"]).fails("container does not exist");
    bundle.call(&["delete", "boot"]).fails("container does not exist");
    bundle.call(&["delete", "--force", "boot"]).ok();
    assert!(foreign.join("start.sock").exists());
    fs::remove_dir_all(&foreign).unwrap();
}

#[test]
fn root_with_dots_is_not_the_root_directory() {
    if skipped() {
        return;
    }
    let bundle = Bundle::new();
    for root in ["/..", "/tmp/..", "/nowhere-at-all/../.."] {
        let mut command = Command::new(support::runtime::program());
        command.args(["--root", root, "list"]);
        bundle.finish(&mut command).fails("--root: / cannot hold the state of containers");
    }
}

#[test]
fn unreadable_record_neither_hangs_nor_wedges_the_id() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    for kind in ["empty", "torn", "fifo", "directory", "symlink", "long"] {
        let directory = bundle.root().join(&bundle.id);
        fs::create_dir_all(&directory).unwrap();
        let record = directory.join("state.json");
        match kind {
            "empty" => fs::write(&record, "").unwrap(),
            "torn" => fs::write(&record, "{\"id\":").unwrap(),
            "fifo" => rustix::fs::mkfifoat(CWD, &record, Mode::from_raw_mode(0o600)).unwrap(),
            "directory" => fs::create_dir(&record).unwrap(),
            "symlink" => std::os::unix::fs::symlink("/dev/zero", &record).unwrap(),
            _ => fs::write(&record, vec![b' '; (1 << 20) + 1]).unwrap(),
        }
        assert_eq!(bundle.call(&["list", "--quiet"]).ok().stdout, "", "{kind}");
        bundle.call(&["state", &bundle.id]).fails("state.json");
        bundle.create().fails("container with given ID already exists");
        let deleted = bundle.delete_force().ok();
        assert!(deleted.stderr.contains("may be left"), "{kind}: {deleted:#?}");
        bundle.create().ok();
        bundle.delete().ok();
    }
}

#[test]
fn start_socket_is_its_owner_s_whatever_the_umask() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.write_config();
    let wrapper = ["sh", "-c", "umask 0; exec \"$@\"", "sh"];
    bundle.finish(&mut bundle.command_under(&wrapper, &["create", "--bundle", "bundle", &bundle.id])).ok();
    let socket = bundle.root().join(&bundle.id).join("start.sock");
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o600);
    bundle.delete().ok();
}

#[test]
fn signal_to_all_reaches_init_without_a_cgroup() {
    if skipped() {
        return;
    }
    let mut bundle = Bundle::sh("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done");
    let output = bundle.create().ok();
    bundle.start().ok();
    // As a rootless container's record may be.
    let path = bundle.root().join(&bundle.id).join("state.json");
    let whole = fs::read_to_string(&path).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&whole).unwrap();
    record["cgroup"]["directories"] = json!([]);
    fs::write(&path, record.to_string()).unwrap();
    eventually(|| output.later_stdout() == "up\n", || "the trap is set".to_owned());
    bundle.call(&["kill", "--all", &bundle.id, "15"]).ok();
    bundle.await_death(bundle.pid());
    fs::write(&path, whole).unwrap();
    bundle.delete().ok();
    bundle.script("true");
}

#[test]
fn list_takes_away_what_killed_ones_have_left() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    let private = |id: &str| bundle.root().join(format!("@{id}"));
    for id in ["dead", "alive"] {
        fs::create_dir_all(private(id)).unwrap();
        fs::write(private(id).join("state.json"), "").unwrap();
    }
    let held = fs::File::open(private("alive")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    bundle.call(&["list"]).ok();
    assert!(!private("dead").exists() && private("alive").exists());
    drop(held);
    bundle.call(&["list", "--quiet"]).ok();
    assert!(!private("alive").exists());
}

#[test]
fn leftover_of_a_living_creator_is_not_touched() {
    if skipped() {
        return;
    }
    let bundle = Bundle::sleeper();
    let private = bundle.root().join(format!("@{}", bundle.id));
    fs::create_dir_all(&private).unwrap();
    let held = fs::File::open(&private).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    bundle.delete_force().ok();
    assert!(private.exists());
    drop(held);
    bundle.delete_force().ok();
    assert!(!private.exists());
}
