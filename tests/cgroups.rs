//! Cgroups on the v1 (or hybrid) layout: where the container is, what its limits are, which devices it may open, and
//! the freezer. A v2 tree alone is in `cgroups_v2.rs`.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Command};
use support::devices::{NOTHING, READ_OF_MISC, disk, misc, with_mknod};
use support::{Bundle, cgroups, is_peer, leaks, runtime, skip_on_peer};

/// True where this machine has no such v1 hierarchy, after saying so.
fn lacks(controller: &str) -> bool {
    let lacks = cgroups::v1(controller).is_none();
    if lacks {
        eprintln!("skipped: no cgroup v1 {controller} here");
    }
    lacks
}

/// Creates with the resources and returns the container for a look at its files.
fn with_resources(pointer: &str, value: Value) -> Bundle {
    let mut bundle = Bundle::sleeper();
    bundle.set(&format!("/linux/resources/{pointer}"), value);
    bundle.create().ok();
    bundle
}

#[test]
fn container_is_in_the_configured_cgroup_of_every_hierarchy() {
    let bundle = with_resources("pids", json!({ "limit": 50 }));
    let controllers = cgroups::hierarchies().into_iter().filter_map(|(_, names)| names.first().cloned());
    for controller in controllers {
        let path = cgroups::of_process(bundle.pid(), &controller);
        assert_eq!(path, format!("/{}", bundle.id), "{controller}");
    }
    bundle.delete().ok();
}

#[test]
fn cgroup_is_final_when_create_returns() {
    // containerd takes its metrics from the cgroup of the pid in the pid file.
    let bundle = with_resources("pids", json!({ "limit": 50 }));
    let before = fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    bundle.start().ok();
    assert_eq!(fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap(), before);
    bundle.kill_and_delete();
}

/// The table of mounts still lists a hierarchy on which something else was mounted.
#[test]
fn hierarchy_that_is_covered_by_another_mount_is_not_used() {
    let tree = "/sys/fs/cgroup/unified";
    if !cgroups::hierarchies().iter().any(|(point, _)| point.ends_with("unified")) {
        eprintln!("skipped: no hybrid layout");
        return;
    }
    let bundle = Bundle::sh("echo ran");
    bundle.write_config();
    let script = format!("mount -t tmpfs none {tree}; \"$@\"; ls {tree} >seen");
    let wrapper = support::runtime::private_mounts(&script);
    let outcome =
        bundle.finish(&mut bundle.command_under(&wrapper, &["run", "--bundle", "bundle", &bundle.id]));
    assert_eq!(outcome.ok().stdout, "ran\n");
    assert_eq!(std::fs::read_to_string(bundle.dir.join("seen")).unwrap(), "");
}

#[test]
fn cgroup_without_a_configured_path_is_named_after_the_container() {
    let mut bundle = Bundle::sleeper();
    bundle.unset("/linux/cgroupsPath");
    bundle.create().ok();
    if !lacks("memory") {
        let path = cgroups::of_process(bundle.pid(), "memory");
        assert!(path.ends_with(&format!("/{}", bundle.id)), "{path}");
    }
    bundle.delete().ok();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn relative_cgroup_path_always_means_the_same_cgroup() {
    let mut bundle = Bundle::sleeper();
    bundle.set("/linux/cgroupsPath", json!(format!("{}-relative", bundle.id)));
    let mut seen = Vec::new();
    for _ in 0..2 {
        bundle.create().ok();
        seen.push(cgroups::of_process(bundle.pid(), if lacks("pids") { "" } else { "pids" }));
        bundle.delete().ok();
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].ends_with("-relative"), "{seen:?}");
}

#[test]
fn memory_limits_stand_in_the_files_before_the_start() {
    if lacks("memory") {
        return;
    }
    let memory =
        json!({ "limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728, "swappiness": 7 });
    let bundle = with_resources("memory", memory);
    let read = |file: &str| cgroups::read("memory", &bundle.id, file);
    assert_eq!(read("memory.limit_in_bytes"), "67108864");
    if cgroups::keeps_soft_limits() {
        assert_eq!(read("memory.soft_limit_in_bytes"), "33554432");
    }
    assert_eq!(read("memory.memsw.limit_in_bytes"), "134217728");
    assert_eq!(read("memory.swappiness"), "7");
    bundle.delete().ok();
}

#[test]
fn memory_limit_is_in_force() {
    let mut bundle = Bundle::sh("dd if=/dev/zero of=/dev/null bs=128M count=1; echo $?");
    bundle.set("/linux/resources/memory", json!({ "limit": 33_554_432 }));
    // The kernel kills dd, whose buffer does not fit.
    assert_eq!(bundle.run().ok().stdout, "137\n");
}

#[test]
fn memory_of_minus_one_is_unlimited_and_zero_is_not_set() {
    if lacks("memory") {
        return;
    }
    for limit in [-1, 0] {
        let bundle = with_resources("memory", json!({ "limit": limit }));
        let bytes: u64 = cgroups::read("memory", &bundle.id, "memory.limit_in_bytes").parse().unwrap();
        assert!(bytes > 1 << 60, "{limit}: {bytes}");
        bundle.delete().ok();
    }
}

#[test]
fn disabled_oom_killer_stands_in_its_file() {
    if lacks("memory") {
        return;
    }
    let bundle = with_resources("memory", json!({ "limit": 67_108_864, "disableOOMKiller": true }));
    assert!(cgroups::read("memory", &bundle.id, "memory.oom_control").contains("oom_kill_disable 1"));
    bundle.delete().ok();
}

#[test]
fn cpu_limits_stand_in_the_files() {
    if lacks("cpu") {
        return;
    }
    let bundle = with_resources("cpu", json!({ "shares": 512, "quota": 25_000, "period": 50_000 }));
    let read = |file: &str| cgroups::read("cpu", &bundle.id, file);
    assert_eq!(read("cpu.shares"), "512");
    assert_eq!(read("cpu.cfs_quota_us"), "25000");
    assert_eq!(read("cpu.cfs_period_us"), "50000");
    bundle.delete().ok();
}

#[test]
fn cpu_burst_and_idle_stand_in_the_files() {
    if lacks("cpu") || skip_on_peer("runc 1.1 knows neither") {
        return;
    }
    let bundle = with_resources("cpu", json!({ "quota": 50_000, "period": 50_000, "burst": 10_000 }));
    assert_eq!(cgroups::read("cpu", &bundle.id, "cpu.cfs_burst_us"), "10000");
    bundle.delete().ok();
    let bundle = with_resources("cpu", json!({ "idle": 1 }));
    assert_eq!(cgroups::read("cpu", &bundle.id, "cpu.idle"), "1");
    bundle.delete().ok();
}

#[test]
fn cpuset_is_the_containers_own_and_inherited_where_not_set() {
    if lacks("cpuset") {
        return;
    }
    let bundle = with_resources("cpu", json!({ "cpus": "0" }));
    assert_eq!(cgroups::read("cpuset", &bundle.id, "cpuset.cpus"), "0");
    assert_eq!(
        cgroups::read("cpuset", &bundle.id, "cpuset.mems"),
        cgroups::read("cpuset", "", "cpuset.mems")
    );
    let status = fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert_eq!(support::probe::status(&status, "Cpus_allowed_list"), "0");
    bundle.delete().ok();
}

#[test]
fn affinity_of_the_caller_does_not_reach_the_container() {
    // B18: reset to all CPUs of the cgroup.
    if skip_on_peer("runc before 1.3 leaves the caller's affinity") {
        return;
    }
    let bundle = Bundle::sh("nproc");
    bundle.write_config();
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let output = bundle.finish(&mut bundle.command_under(&["taskset", "-c", "0"], &words)).ok().stdout;
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap().matches("processor\t").count();
    assert_eq!(output, format!("{cpus}\n"));
}

#[test]
fn pids_limit_is_written_and_in_force() {
    let mut bundle = Bundle::sh("sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait");
    bundle.set("/linux/resources/pids", json!({ "limit": 4 }));
    let created = bundle.create().ok();
    if !lacks("pids") {
        assert_eq!(cgroups::read("pids", &bundle.id, "pids.max"), "4");
    }
    bundle.start().ok();
    bundle.await_and_delete();
    let said = fs::read_to_string(&created.files.1).unwrap();
    assert!(said.contains("can't fork"), "{said}");
}

#[test]
fn pids_limit_of_minus_one_is_max_and_of_zero_is_one() {
    if lacks("pids") {
        return;
    }
    for (limit, written) in [(-1, "max"), (0, "1")] {
        if limit == 0 && skip_on_peer("runc before 1.4 takes 0 for not set (D24)") {
            continue;
        }
        let bundle = with_resources("pids", json!({ "limit": limit }));
        assert_eq!(cgroups::read("pids", &bundle.id, "pids.max"), written);
        bundle.delete().ok();
    }
}

#[test]
fn block_throttles_stand_in_the_files() {
    if lacks("blkio") {
        return;
    }
    let (major, minor) = disk();
    let entry = |rate: u64| json!([{ "major": major, "minor": minor, "rate": rate }]);
    let bundle = with_resources(
        "blockIO",
        json!({
            "throttleReadBpsDevice": entry(1_048_576), "throttleWriteBpsDevice": entry(2_097_152),
            "throttleReadIOPSDevice": entry(100), "throttleWriteIOPSDevice": entry(200)
        }),
    );
    for (file, rate) in
        [("read_bps", 1_048_576), ("write_bps", 2_097_152), ("read_iops", 100), ("write_iops", 200)]
    {
        let value = cgroups::read("blkio", &bundle.id, &format!("blkio.throttle.{file}_device"));
        assert_eq!(value, format!("{major}:{minor} {rate}"));
    }
    bundle.delete().ok();
}

#[test]
fn devices_are_denied_unless_listed() {
    // E2: an empty or absent list denies as well.
    for rules in [json!([{ "allow": false, "access": "rwm" }]), json!([]), Value::Null] {
        let bundle = with_mknod(rules.clone());
        assert_eq!(bundle.run().ok().stdout, NOTHING, "{rules}");
    }
}

#[test]
fn listed_devices_are_allowed_with_the_listed_access_alone() {
    let bundle = with_mknod(json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": misc(), "access": "r" }
    ]));
    assert_eq!(bundle.run().ok().stdout, READ_OF_MISC);
}

#[test]
fn later_device_rules_win() {
    let bundle = with_mknod(json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 10, "minor": misc(), "access": "rw" },
        { "allow": false, "type": "c", "major": 10, "minor": misc(), "access": "w" }
    ]));
    assert_eq!(bundle.run().ok().stdout, READ_OF_MISC);
}

#[test]
fn d7_annotation_leaves_the_default_device_rules_out() {
    if skip_on_peer("the annotation is corten's own") {
        return;
    }
    let mut bundle = with_mknod(json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw" }
    ]));
    bundle
        .script("echo x >/dev/null && echo null; (exec 3</dev/zero) 2>&1; mknod /tmp/zero c 1 5 2>&1; true");
    bundle.set("/annotations", json!({ "run.corten.default-device-rules": "false" }));
    let output = bundle.run().ok();
    assert_eq!(output.stdout.matches("Operation not permitted").count(), 2, "{output:#?}");
    assert!(output.stdout.starts_with("null\n"), "{output:#?}");
    bundle.set("/annotations", json!({ "run.corten.default-device-rules": "no" }));
    bundle.create().fails(
        "config.json: annotations[\"run.corten.default-device-rules\"]: must be \"true\" or \"false\", not \"no\"",
    );
}

/// Freezes the container. The v1 freezer may hang in FREEZING where a task was just forking: thaw and try again.
fn freeze(bundle: &Bundle) {
    let state = cgroups::v1("freezer").unwrap().join(&bundle.id).join("freezer.state");
    let frozen = || {
        fs::write(&state, "FROZEN").unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
        let frozen = fs::read_to_string(&state).unwrap() == "FROZEN\n";
        if !frozen {
            fs::write(&state, "THAWED").unwrap();
        }
        frozen
    };
    runtime::eventually(frozen, || "the container is frozen".into());
}

#[test]
fn frozen_container_is_paused_and_thaws_to_running() {
    if lacks("freezer") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_with(&["--detach"]).ok();
    freeze(&bundle);
    assert_eq!(bundle.status(), "paused");
    cgroups::thaw(&bundle.id);
    assert_eq!(bundle.status(), "running");
    bundle.kill_and_delete();
}

#[test]
fn frozen_container_can_be_killed_and_deleted_by_force() {
    if lacks("freezer") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.run_with(&["--detach"]).ok();
    freeze(&bundle);
    bundle.delete_force().ok();
    leaks::assert_nothing_left(&bundle);

    if skip_on_peer("runc 1.1 leaves a v1 container frozen after the signal (D30)") {
        return;
    }
    bundle.run_with(&["--detach"]).ok();
    freeze(&bundle);
    bundle.kill_and_delete();
}

/// A process of ours in a cgroup that the container is to have.
struct Squatter(Child);

impl Squatter {
    fn of(bundle: &Bundle) -> Self {
        let child = Command::new("sleep").arg("100").spawn().unwrap();
        let dir = cgroups::v1("pids").unwrap().join(&bundle.id);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
        Self(child)
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.0), Signal::KILL).unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn cgroup_with_foreign_processes_is_refused_and_left_alone() {
    if lacks("pids") || skip_on_peer("a warning in runc before 1.2 (L9)") {
        return;
    }
    let bundle = Bundle::new();
    let mut squatter = Squatter::of(&bundle);
    bundle.create().fails("container's cgroup is not empty: 1 process(es) found");
    assert!(squatter.0.try_wait().unwrap().is_none(), "the foreign process lives on");
    bundle.delete_force().ok();
    assert!(squatter.0.try_wait().unwrap().is_none(), "the foreign process outlives a forced delete, too");
    drop(squatter);
    for path in cgroups::named(&bundle.id) {
        fs::remove_dir(path).unwrap();
    }
}

#[test]
fn children_that_outlive_init_do_not_outlive_delete() {
    let mut bundle = Bundle::sh("setsid sleep 100 & exit 0");
    bundle.without_namespace("pid");
    fs::remove_file(bundle.rootfs().join("bin/ps")).unwrap();
    std::os::unix::fs::symlink("busybox", bundle.rootfs().join("bin/setsid")).unwrap();
    bundle.run_with(&["--detach"]).ok();
    bundle.await_death(bundle.pid());
    let outcome = if is_peer() { bundle.delete_force() } else { bundle.delete() };
    outcome.ok();
    leaks::assert_nothing_left(&bundle);
}

/// `run` with a `--cgroup-manager`.
fn run_by(bundle: &Bundle, manager: &[&str]) -> support::Outcome {
    bundle.write_config();
    bundle.finish(&mut bundle.command(&[manager, &["run", "--bundle", "bundle", &bundle.id]].concat()))
}

#[test]
fn disabled_cgroup_manager_leaves_the_container_in_its_callers_cgroup() {
    if skip_on_peer("crun's option") {
        return;
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut bundle = Bundle::sh("cat /proc/self/cgroup");
    bundle.unset("/linux/resources");
    let outcome = run_by(&bundle, &["--cgroup-manager", "disabled"]).ok();
    assert_eq!(outcome.stdout, own);
    // Of two options the last one counts.
    let words = ["--cgroup-manager=disabled", "--cgroup-manager=cgroupfs"];
    assert!(run_by(&bundle, &words).ok().stdout.contains(&bundle.id));

    bundle.set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
    run_by(&bundle, &["--cgroup-manager", "disabled"]).fails("linux.resources.memory.limit");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn container_without_a_cgroup_lives_its_whole_life() {
    if skip_on_peer("crun's option") {
        return;
    }
    let mut bundle = Bundle::sleeper();
    bundle.unset("/linux/resources").write_config();
    let words = [
        "--cgroup-manager",
        "disabled",
        "run",
        "--detach",
        "--pid-file",
        "pid",
        "--bundle",
        "bundle",
        &bundle.id,
    ];
    bundle.finish(&mut bundle.command(&words)).ok();
    assert_eq!(bundle.status(), "running");
    assert_eq!(bundle.exec_sh(&[], "echo inside"), "inside\n");
    bundle.exec(&["--cgroup", "x"], &["true"]).fails_with(255, "the container has no cgroup of its own");
    bundle.kill_and_delete();
}
