//! config-linux.md: cgroups and their limits, on v1, hybrid and v2; resctrl.

use super::Case;
use crate::play::{Play, bundle, sleeper};
use crate::runner::skip;
use crate::support::{Bundle, cgroups, devices};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

pub const CASES: &[Case] = &[
    ("cgroups/absolute-path", absolute_path),
    ("cgroups/same-place", || same_place("/")),
    ("cgroups/relative-same-place", || same_place("")),
    ("cgroups/delegation", delegation),
    ("cgroups/devices-order", devices_order),
    ("cgroups/memory-limit", memory_limit),
    ("cgroups/memory-swap", memory_swap),
    ("cgroups/memory-reservation", memory_reservation),
    ("cgroups/check-before-update", check_before_update),
    ("cgroups/cpu-shares", cpu_shares),
    ("cgroups/cpu-quota", cpu_quota),
    ("cgroups/cpu-idle", cpu_idle),
    ("cgroups/cpuset", cpuset),
    ("cgroups/pids", pids),
    ("cgroups/blkio-throttle", blkio_throttle),
    ("unified/controllers", unified_controllers),
    ("unified/unknown-file", unified_file),
    ("unified/missing-controller", missing_controller),
    ("intel-rdt/no-resctrl", no_resctrl),
    ("intel-rdt/not-asked", resctrl_not_asked),
];

/// A container with these resources: what the files of its cgroup say, each by its v1 controller, v1 name and v2 name.
#[track_caller]
fn limits(resources: Value, files: &[(&str, &str, &str)]) -> Vec<String> {
    let mut bundle = sleeper();
    for (name, value) in resources.as_object().unwrap() {
        bundle.set(&format!("/linux/resources/{name}"), value.clone());
    }
    let places: Vec<PathBuf> =
        files.iter().map(|(controller, v1, v2)| place(&bundle.id, controller, v1, v2)).collect();
    bundle.create().ok();
    let values: Vec<_> = places.iter().map(fs::read_to_string).collect();
    bundle.kill_and_delete();
    values.into_iter().map(|value| value.expect("the file of the cgroup").trim().to_owned()).collect()
}

/// Where a file of the container's cgroup stands on this machine.
fn place(id: &str, controller: &str, v1: &str, v2: &str) -> PathBuf {
    if let Some(point) = cgroups::v1(controller) {
        if v1.is_empty() {
            skip("the setting is for cgroup v2 alone");
        }
        return point.join(id).join(v1);
    }
    let Some(point) = v2_with(controller) else {
        skip(&format!("the machine has no controller {controller}"))
    };
    point.join(id).join(v2)
}

/// The v2 tree, if it has the controller.
fn v2_with(controller: &str) -> Option<PathBuf> {
    let (point, _) = cgroups::hierarchies().into_iter().find(|(_, controllers)| controllers.is_empty())?;
    let listed = fs::read_to_string(point.join("cgroup.controllers")).ok()?;
    listed.split_whitespace().any(|name| name == controller).then_some(point)
}

fn on_v1(controller: &str) -> bool {
    cgroups::v1(controller).is_some()
}

/// Every hierarchy's path of the container's process.
fn paths_of(pid: i32) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    table.lines().map(|line| line.splitn(3, ':').nth(2).unwrap().to_owned()).collect()
}

fn absolute_path() {
    let bundle = sleeper();
    bundle.create().ok();
    let paths = paths_of(bundle.pid());
    bundle.kill_and_delete();
    let wanted = format!("/{}", bundle.id);
    assert!(paths.contains(&wanted), "{paths:?}");
    // Some leave hierarchies without controllers alone, but nobody is somewhere else below the name.
    assert!(paths.iter().all(|path| *path == wanted || !path.contains(&bundle.id)), "{paths:?}");
}

fn same_place(prefix: &str) {
    let mut bundle = sleeper();
    let path = format!("{prefix}{0}-parent/{0}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path));
    let mut seen = Vec::new();
    for _ in 0..2 {
        bundle.create().ok();
        seen.push(paths_of(bundle.pid()));
        bundle.kill_and_delete();
    }
    // A parent that was made on the way may stay: it is taken away here.
    for path in cgroups::named(&bundle.id).iter().rev() {
        let _ = fs::remove_dir(path);
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].iter().any(|place| place.ends_with(&path)), "{seen:?}");
}

fn delegation() {
    let mut bundle = bundle(&["report"]);
    bundle.namespace("cgroup", None).mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev"],
    );
    assert_eq!(bundle.play().len(), 1);
}

/// Of a device that anybody may open once the cgroup allows it.
fn devices_order() {
    let (allow, deny) = (|minor| rule(true, minor), |minor| rule(false, minor));
    let minor = devices::misc();
    let nothing = json!({ "allow": false, "access": "rwm" });
    for (rules, errno) in [
        (json!([nothing, deny(minor), allow(minor)]), 0),
        (json!([nothing, allow(minor), deny(minor)]), libc::EPERM),
    ] {
        let mut bundle = bundle(&[&format!("mknod /tmp/misc c 10 {minor}"), "open /tmp/misc r"]);
        bundle.capability("CAP_MKNOD").set("/linux/resources/devices", rules.clone());
        let answers = bundle.play();
        assert_eq!((answers.errno(0), answers.errno(1)), (0, errno), "{rules}");
    }
}

fn rule(allow: bool, minor: u64) -> Value {
    json!({ "allow": allow, "type": "c", "major": 10, "minor": minor, "access": "r" })
}

const MEMORY: (&str, &str, &str) = ("memory", "memory.limit_in_bytes", "memory.max");

fn memory_limit() {
    assert_eq!(limits(json!({ "memory": { "limit": 64 << 20 } }), &[MEMORY]), ["67108864"]);
}

fn memory_swap() {
    let file = ("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
    if on_v1("memory") && fs::metadata(cgroups::v1("memory").unwrap().join(file.1)).is_err() {
        skip("the kernel counts no swap");
    }
    // v2 counts swap alone.
    let wanted = if on_v1("memory") { "100663296" } else { "33554432" };
    assert_eq!(limits(json!({ "memory": { "limit": 64 << 20, "swap": 96 << 20 } }), &[file]), [wanted]);
}

fn memory_reservation() {
    let file = ("memory", "memory.soft_limit_in_bytes", "memory.low");
    assert_eq!(limits(json!({ "memory": { "reservation": 32 << 20 } }), &[file]), ["33554432"]);
}

fn check_before_update() {
    let bundle = sleeper();
    bundle.up();
    // The program alone is larger than one page; v1 rejects the limit in the kernel.
    let document = json!({ "memory": { "limit": 4096, "checkBeforeUpdate": true } });
    fs::write(bundle.dir.join("resources"), document.to_string()).unwrap();
    let before = bundle.state()["status"].clone();
    let outcome = bundle.call(&["update", "--resources", "resources", &bundle.id]);
    let status = bundle.status();
    bundle.kill_and_delete();
    assert_ne!(outcome.code, Some(0), "the limit is taken");
    assert_eq!(status, before);
}

fn cpu_shares() {
    // 512 shares are a weight of 59 by the newer formula and 20 by the older one.
    let seen = limits(json!({ "cpu": { "shares": 512 } }), &[("cpu", "cpu.shares", "cpu.weight")]);
    let wanted: &[&str] = if on_v1("cpu") { &["512"] } else { &["59", "20"] };
    assert!(wanted.contains(&seen[0].as_str()), "{seen:?}");
}

fn cpu_quota() {
    let resources = json!({ "cpu": { "quota": 50_000, "period": 200_000 } });
    if on_v1("cpu") {
        let files = [("cpu", "cpu.cfs_quota_us", ""), ("cpu", "cpu.cfs_period_us", "")];
        assert_eq!(limits(resources, &files), ["50000", "200000"]);
    } else {
        assert_eq!(limits(resources, &[("cpu", "", "cpu.max")]), ["50000 200000"]);
    }
}

fn cpu_idle() {
    assert_eq!(limits(json!({ "cpu": { "idle": 1 } }), &[("cpu", "cpu.idle", "cpu.idle")]), ["1"]);
}

fn cpuset() {
    let files = [("cpuset", "cpuset.cpus", "cpuset.cpus"), ("cpuset", "cpuset.mems", "cpuset.mems")];
    assert_eq!(limits(json!({ "cpu": { "cpus": "0", "mems": "0" } }), &files), ["0", "0"]);
}

fn pids() {
    assert_eq!(limits(json!({ "pids": { "limit": 77 } }), &[("pids", "pids.max", "pids.max")]), ["77"]);
}

fn blkio_throttle() {
    let (major, minor) = devices::disk();
    let rate = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
    let controller = if on_v1("blkio") { "blkio" } else { "io" };
    let file = (controller, "blkio.throttle.read_bps_device", "io.max");
    let seen = limits(json!({ "blockIO": { "throttleReadBpsDevice": rate } }), &[file]);
    assert!(seen[0].starts_with(&format!("{major}:{minor} ")) && seen[0].contains("1048576"), "{seen:?}");
}

/// The v2 tree with its controllers; without, the clauses on `unified` cannot be tried.
fn unified(setting: (&str, &str)) -> Bundle {
    if v2_with("memory").is_none() {
        skip("the machine's controllers are on cgroup v1");
    }
    let mut bundle = sleeper();
    bundle.set("/linux/resources/unified", json!({ setting.0: setting.1 }));
    bundle
}

#[track_caller]
fn in_cgroup(bundle: &Bundle, file: &str) -> String {
    bundle.create().ok();
    let path = v2_with("memory").unwrap().join(&bundle.id).join(file);
    let text = fs::read_to_string(path);
    bundle.kill_and_delete();
    text.unwrap().trim().to_owned()
}

fn unified_controllers() {
    let listed = in_cgroup(&unified(("memory.high", "33554432")), "cgroup.controllers");
    assert!(listed.split_whitespace().any(|name| name == "memory"), "{listed}");
}

fn unified_file() {
    // A file that has no property of its own.
    assert_eq!(in_cgroup(&unified(("cgroup.max.depth", "3")), "cgroup.max.depth"), "3");
}

fn missing_controller() {
    let mut bundle = bundle(&[]);
    bundle.set("/linux/resources/unified", json!({ "nosuchcontroller.max": "1" })).refused();
}

/// Where resctrl is mounted.
fn resctrl() -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.contains(" - resctrl "))?;
    line.split(' ').nth(4).map(str::to_owned)
}

fn no_resctrl() {
    if resctrl().is_some() {
        skip("resctrl is mounted here");
    }
    bundle(&[]).set("/linux/intelRdt", json!({ "closID": "judged", "l3CacheSchema": "L3:0=f" })).refused();
}

fn resctrl_not_asked() {
    let Some(point) = resctrl() else { skip("no resctrl is mounted here") };
    let list = || fs::read_dir(&point).unwrap().count();
    let before = list();
    let bundle = sleeper();
    bundle.create().ok();
    let during = list();
    bundle.kill_and_delete();
    assert_eq!(during, before);
}
