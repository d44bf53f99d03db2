//! Cgroups of the real kernel. Every cgroup has `cortentest` in its name and is removed also when a test fails.
//!
//! `v1` uses what the machine has and passes where that is not cgroup v1. `v2` and `readonly` run below a cgroup v2 mount
//! of their own, in a private mount namespace; what they need of controllers they ask for.

mod readonly;
mod v1;
mod v2;

use corten::cgroup::{self, Guard, Manager};
use corten::error::Error;
use corten::host::cgroup::{Cgroups, Mode};
use corten::plan;
use corten::plan::cgroup::{CgroupPlan, Request, decide};
use corten::spec::resources::Resources;
use rustix::process::Pid;
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Kills and removes a cgroup at the end of a test, whatever its end.
struct Cleanup(Manager);

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.0.kill_all().expect("kill");
        self.0.remove().expect("remove");
    }
}

/// The directory above a test's cgroup, which stays when that goes, as with runc; it is the test's to remove, whatever its end.
struct Ancestor(String);

impl Ancestor {
    /// Its name in the tree, of this test's process.
    fn of(test: &str) -> Self {
        Self(format!("/cortentest-{}-{test}", std::process::id()))
    }
}

impl Drop for Ancestor {
    fn drop(&mut self) {
        let removed = fs::remove_dir(format!("/sys/fs/cgroup{}", self.0));
        if !std::thread::panicking() {
            removed.expect("the ancestor stays");
        }
    }
}

/// A process that waits, and is reaped.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("100").spawn().expect("sleep"))
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn is_dead(&mut self) -> bool {
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if self.0.try_wait().expect("wait").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether v1 controllers are here, as the tests of the first part need.
fn has_v1() -> bool {
    let has = is_root() && matches!(Cgroups::probe().expect("probe").mode, Mode::V1 | Mode::Hybrid);
    if !has {
        eprintln!("skipped: no cgroup v1 here, or no root");
    }
    has
}

fn plan(name: &str, resources: &str) -> CgroupPlan {
    try_plan(&format!("/cortentest-{}-{name}", std::process::id()), resources).expect("plan")
}

fn try_plan(path: &str, resources: &str) -> Result<CgroupPlan, Error> {
    let resources: Resources = serde_json::from_str(resources).expect("resources");
    let request = Request {
        resources: &resources,
        cgroups_path: Some(path),
        id: "cortentest",
        systemd: None,
        annotations: &std::collections::BTreeMap::new(),
        rootless: false,
        default_devices: true,
        owner: None,
    };
    decide(&request, &Cgroups::probe().expect("probe"))
}

fn create(plan: &CgroupPlan) -> Cleanup {
    match cgroup::create(plan) {
        Ok(guard) => Cleanup(guard.commit()),
        Err(error) => panic!("{error}: {:?}", error.hint_text()),
    }
}

/// What `update` does with a cgroup.
fn update(manager: &Manager, resources: &str) -> Result<(), Error> {
    let resources: Resources = serde_json::from_str(resources).expect("resources");
    let host = Cgroups::probe().expect("probe");
    let update = plan::cgroup::update(&resources, manager.location(), &host, &manager.present())?;
    manager.update(&update)
}

fn refusal(result: Result<Guard, Error>) -> (String, String) {
    let error = result.expect_err("a refusal");
    (error.to_string(), error.hint_text().unwrap_or_default().to_owned())
}

/// The content of a file of the plan's directory that has the controller.
fn content(plan: &CgroupPlan, file: &str) -> String {
    let controller = file.split('.').next().expect("a controller");
    let index = plan.location.index_of(controller).unwrap_or(0);
    let path = format!("{}/{file}", plan.location.directories[index].path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

fn left(plan: &CgroupPlan) -> Vec<&str> {
    let paths = plan.location.directories.iter().map(|directory| directory.path.as_str());
    paths.filter(|path| fs::metadata(path).is_ok()).collect()
}

/// Runs ignored tests of this file in a private mount namespace, after some mounts.
fn run_below(mounts: &str, tests: &str) {
    if !is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let script = format!(r#"{mounts} && exec "$0" --ignored --test-threads=1 --show-output {tests}"#);
    let this = std::env::current_exe().expect("exe");
    let output =
        Command::new("unshare").args(["-m", "sh", "-c", &script]).arg(this).output().expect("unshare");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains(" passed; 0 failed;") && !text.contains(" 0 passed;"), "{text}");
    // What those tests say of this machine, for whoever looks at the output of this one.
    let mut name = "";
    for line in text.lines() {
        name = line.strip_prefix("---- ").map_or(name, |rest| rest.trim_end_matches(" stdout ----"));
        if let Some(reason) = line.strip_prefix("skipped: ") {
            eprintln!("skipped: {name}: {reason}");
        }
    }
}

#[test]
fn cgroup_v2() {
    run_below("mount -t cgroup2 none /sys/fs/cgroup", "v2::");
}

#[test]
fn cgroup_v2_that_is_read_only() {
    run_below(
        "mount -t cgroup2 none /sys/fs/cgroup && mount -o remount,bind,ro /sys/fs/cgroup",
        "readonly::",
    );
}
