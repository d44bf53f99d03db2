//! Cgroups that systemd makes where its units are in cgroup v1, alone or beside a unified tree: the unit's cgroup is at the same place
//! in every hierarchy, also in those that systemd does not know.
//!
//! On a host as `CGROUPS=v1 make host-test` (or `hybrid`) boots one. Anywhere else every test here says that it is skipped.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use support::systemd::{
    USER, alone_on_v1, as_user, bundle, call, kill_creators, named_units, out_of_memory, property, refused,
    run, run_detached, scope, shared_on_v1, systemctl, wanted_by_two,
};
use support::{Bundle, cgroups, leaks};

/// Where the container's cgroup is in every hierarchy.
fn place(bundle: &Bundle) -> String {
    format!("/corten.slice/{}", scope(bundle))
}

fn directory(bundle: &Bundle, controller: &str) -> PathBuf {
    cgroups::v1(controller).unwrap_or_else(|| panic!("no {controller}")).join(&place(bundle)[1..])
}

fn file(bundle: &Bundle, name: &str) -> String {
    let path = directory(bundle, name.split('.').next().unwrap()).join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.trim().to_owned()
}

#[track_caller]
fn assert_gone(bundle: &Bundle) {
    leaks::assert_nothing_left(bundle);
    assert_eq!(property(&scope(bundle), "LoadState"), "not-found", "{}", bundle.id);
}

/// The cgroups of a `/proc/PID/cgroup` that are not where they should be; those of hierarchies that nobody mounted do not count.
fn elsewhere(table: &str, place: &str) -> Vec<String> {
    let is_mounted = |line: &&str| {
        let controllers = line.split(':').nth(1).unwrap();
        cgroups::hierarchies().iter().any(|(_, names)| match controllers.split(',').next().unwrap() {
            "" => names.is_empty(),
            first => names.iter().any(|name| name == first),
        })
    };
    let wrong = table.lines().filter(is_mounted).filter(|line| line.splitn(3, ':').nth(2) != Some(place));
    wrong.map(str::to_owned).collect()
}

fn limited() -> Bundle {
    let mut bundle = bundle("sleep 100");
    bundle.set(
        "/linux/resources",
        json!({
            "devices": [{ "allow": false, "access": "rwm" }],
            "memory": { "limit": 67_108_864, "swappiness": 7 },
            "cpu": { "shares": 2048, "quota": 12345, "period": 50000, "cpus": "0", "mems": "0" },
            "pids": { "limit": 42 }
        }),
    );
    bundle
}

/// The devices that it may use, sorted: systemd writes them in another order.
fn devices(bundle: &Bundle) -> Vec<String> {
    let mut lines: Vec<String> = file(bundle, "devices.list").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[track_caller]
fn assert_limits(bundle: &Bundle) {
    for (name, value) in [
        ("MemoryLimit", "67108864"),
        ("CPUShares", "2048"),
        ("CPUQuotaPerSecUSec", "250ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("TasksMax", "42"),
        ("Slice", "corten.slice"),
        ("Delegate", "yes"),
        ("DevicePolicy", "strict"),
        ("ActiveState", "active"),
    ] {
        assert_eq!(property(&scope(bundle), name), value, "{name}");
    }
    for (name, value) in [
        ("memory.limit_in_bytes", "67108864"),
        ("memory.swappiness", "7"),
        ("cpu.shares", "2048"),
        ("cpu.cfs_period_us", "50000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "42"),
    ] {
        assert_eq!(file(bundle, name), value, "{name}");
    }
    // At any change in the slice systemd may write its own, rounded.
    let quota = file(bundle, "cpu.cfs_quota_us");
    assert!(["12345", "12500"].contains(&quota.as_str()), "{quota}");
    let pid = bundle.pid();
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(elsewhere(&table, &place(bundle)), [""; 0], "{table}");
    let devices = devices(bundle).join("\n");
    assert!(devices.contains("c 1:3 rwm") && !devices.contains("a *:*"), "{devices}");
}

#[test]
fn limits_are_properties_of_the_unit_and_in_the_files_and_survive_reload_and_reexec() {
    let Some(_host) = alone_on_v1() else { return };
    let bundle = limited();
    run_detached(&bundle);
    assert_limits(&bundle);
    systemctl(&["daemon-reload"]);
    assert_limits(&bundle);
    systemctl(&["daemon-reexec"]);
    assert_limits(&bundle);
    bundle.delete_force().ok();
    assert_gone(&bundle);
}

#[test]
fn process_is_in_every_hierarchy_from_its_first_step_and_so_is_exec() {
    let Some(_host) = shared_on_v1() else { return };
    let mut bundle = bundle("cat /proc/self/cgroup");
    let table = run(&bundle).ok().stdout;
    assert!(table.contains(":cpuset:") && table.contains(":name=systemd:"), "{table}");
    assert_eq!(elsewhere(&table, &place(&bundle)), [""; 0], "{table}");
    bundle.namespace("cgroup", None);
    let table = run(&bundle).ok().stdout;
    assert_eq!(elsewhere(&table, "/"), [""; 0], "{table}");
    bundle.user_namespace(100_000, 65536);
    let table = run(&bundle).ok().stdout;
    assert_eq!(elsewhere(&table, "/"), [""; 0], "{table}");
    assert_gone(&bundle);

    let bundle = self::bundle("sleep 100");
    run_detached(&bundle);
    let table = call(&bundle, &["exec", &bundle.id, "cat", "/proc/self/cgroup"]).ok().stdout;
    assert_eq!(elsewhere(&table, &place(&bundle)), [""; 0], "{table}");
    bundle.delete_force().ok();
    assert_gone(&bundle);
}

#[test]
fn update_reaches_the_unit_and_the_files_or_neither() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = limited();
    run_detached(&bundle);
    let shown = |name: &str| property(&scope(&bundle), name);
    let allowed = devices(&bundle);
    call(
        &bundle,
        &["update", "--memory", "80003072", "--cpu-quota", "7777", "--pids-limit", "50", &bundle.id],
    )
    .ok();
    assert_eq!((shown("MemoryLimit"), shown("CPUQuotaPerSecUSec")), ("80003072".into(), "160ms".into()));
    assert_eq!(
        (file(&bundle, "memory.limit_in_bytes"), file(&bundle, "cpu.cfs_quota_us")),
        ("80003072".into(), "7777".into())
    );
    assert_eq!(file(&bundle, "cpu.cfs_period_us"), "50000");
    // Half of the pair: the other half counts.
    call(&bundle, &["update", "--cpu-period", "100000", &bundle.id]).ok();
    assert_eq!(shown("CPUQuotaPerSecUSec"), "80ms");
    call(&bundle, &["update", "--pids-limit", "60", "--cpuset-cpus", "900", &bundle.id]).fails("cpuset.cpus");
    assert_eq!((shown("TasksMax"), file(&bundle, "pids.max")), ("50".into(), "50".into()));
    systemctl(&["daemon-reload"]);
    assert_eq!(
        (file(&bundle, "memory.limit_in_bytes"), file(&bundle, "pids.max")),
        ("80003072".into(), "50".into())
    );
    assert_eq!(devices(&bundle), allowed, "devices are never touched");
    bundle.delete_force().ok();
    assert_gone(&bundle);
}

#[test]
fn device_list_of_ours_is_in_force_after_systemds() {
    let Some(_host) = shared_on_v1() else { return };
    let mut bundle =
        bundle("echo x >/dev/null && echo null; head -c1 /dev/kmsg >/dev/null 2>&1 || echo denied");
    bundle.push("/linux/devices", json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }));
    assert_eq!(run(&bundle).ok().stdout, "null\ndenied\n");
    assert_gone(&bundle);
}

#[test]
fn unit_and_slice_are_named_by_cgroups_path() {
    let Some(_host) = shared_on_v1() else { return };
    for (bundle, expected) in named_units() {
        let table = run(&bundle).ok().stdout;
        assert_eq!(elsewhere(&table, &expected), [""; 0], "{table}");
    }
}

#[test]
fn paused_container_is_in_the_freezer_and_can_be_updated_resumed_and_deleted() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = bundle("sleep 100");
    run_detached(&bundle);
    call(&bundle, &["pause", &bundle.id]).ok();
    assert_eq!((file(&bundle, "freezer.state"), bundle.status()), ("FROZEN".into(), "paused".into()));
    call(&bundle, &["update", "--pids-limit", "33", &bundle.id]).ok();
    assert_eq!(file(&bundle, "pids.max"), "33");
    assert_eq!(file(&bundle, "freezer.state"), "FROZEN");
    call(&bundle, &["resume", &bundle.id]).ok();
    assert_eq!((file(&bundle, "freezer.state"), bundle.status()), ("THAWED".into(), "running".into()));
    call(&bundle, &["pause", &bundle.id]).ok();
    bundle.delete_force().ok();
    assert_gone(&bundle);
}

#[test]
fn what_it_uses_is_told() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = limited();
    run_detached(&bundle);
    let stats: Value =
        serde_json::from_str(&call(&bundle, &["events", "--stats", &bundle.id]).ok().stdout).unwrap();
    let data = &stats["data"];
    assert_eq!((&data["pids"]["limit"], &data["pids"]["current"]), (&json!(42), &json!(1)), "{stats}");
    assert_eq!(data["memory"]["usage"]["limit"], 67_108_864, "{stats}");
    assert_eq!(data["cpuset"]["cpus"], json!([0]), "{stats}");
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
    assert_gone(&bundle);
}

#[test]
fn kill_of_all_reaches_what_forks() {
    let Some(_host) = shared_on_v1() else { return };
    let mut bundle = bundle("while :; do sleep 0.01 & sleep 0.01; done");
    bundle.without_namespace("pid");
    run_detached(&bundle);
    std::thread::sleep(Duration::from_millis(100));
    call(&bundle, &["kill", "--all", &bundle.id, "KILL"]).ok();
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
    assert_gone(&bundle);
}

#[test]
fn container_that_ran_out_of_memory_leaves_no_failed_unit() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = out_of_memory();
    assert_gone(&bundle);
}

#[test]
fn unit_of_another_container_is_neither_taken_nor_stopped() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = wanted_by_two();
    assert_gone(&bundle);
}

#[test]
fn limit_that_the_kernel_refuses_fails_and_leaves_nothing() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = refused();
    assert_gone(&bundle);
}

#[test]
fn killed_creator_leaves_what_delete_removes() {
    let Some(_host) = shared_on_v1() else { return };
    kill_creators(assert_gone);
}

#[test]
fn ordinary_user_is_told_that_v1_is_not_his() {
    let Some(_host) = shared_on_v1() else { return };
    let mut bundle = bundle("true");
    let map = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.chown_rootfs(USER);
    for dir in [bundle.dir.clone(), bundle.path()] {
        std::os::unix::fs::chown(dir, Some(USER), Some(USER)).unwrap();
    }
    as_user(&bundle, &["--systemd-cgroup", "run", "--bundle", "bundle", &bundle.id])
        .fails("cannot use rootless systemd cgroups manager on cgroup v1");
    leaks::assert_nothing_left(&bundle);
}

/// runc's unit has its processes in the same cgroups.
#[test]
fn cgroups_are_those_of_runc() {
    let Some(_host) = shared_on_v1() else { return };
    let bundle = bundle("cat /proc/self/cgroup");
    let ours = run(&bundle).ok().stdout;
    let words = ["--systemd-cgroup", "--root"].map(str::to_owned);
    let output = Command::new("runc")
        .args(words)
        .arg(bundle.root())
        .args(["run", "--bundle", "bundle", &bundle.id])
        .current_dir(&bundle.dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ours, String::from_utf8(output.stdout).unwrap());
    assert_gone(&bundle);
}
