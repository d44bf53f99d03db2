//! Cgroups that systemd makes: on a host with systemd as pid 1 and cgroup v2 alone, as `make host-test` boots one.
//! Anywhere else every test here says that it is skipped.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::runtime::eventually;
use support::systemd::{
    USER, alone, as_user, bundle, call, kill_creators, named_units, out_of_memory, output, property, refused,
    run, run_detached, scope, shared, systemctl, user_systemctl, wanted_by_two,
};
use support::{Bundle, Outcome, leaks};

fn cgroup(bundle: &Bundle) -> PathBuf {
    Path::new("/sys/fs/cgroup/corten.slice").join(scope(bundle))
}

fn file(bundle: &Bundle, name: &str) -> String {
    fs::read_to_string(cgroup(bundle).join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .trim()
        .to_owned()
}

/// Asserts that neither the container nor its unit is there any more.
#[track_caller]
fn assert_gone(bundle: &Bundle, unit: &str) {
    leaks::assert_nothing_left(bundle);
    assert_eq!(property(unit, "LoadState"), "not-found", "{unit}");
}

fn limited() -> Bundle {
    let mut bundle = bundle("sleep 100");
    bundle.set(
        "/linux/resources",
        json!({
            "devices": [{ "allow": false, "access": "rwm" }],
            "memory": { "limit": 67108864, "reservation": 33554432, "swap": 100663296 },
            "cpu": { "shares": 2048, "quota": 12345, "period": 50000, "cpus": "0-1", "mems": "0" },
            "pids": { "limit": 42 },
            "unified": { "memory.high": "50331648" }
        }),
    );
    bundle
}

#[track_caller]
fn assert_limits(bundle: &Bundle) {
    let unit = scope(bundle);
    for (name, value) in [
        ("MemoryMax", "67108864"),
        ("MemoryHigh", "50331648"),
        ("MemoryLow", "33554432"),
        ("MemorySwapMax", "33554432"),
        ("CPUWeight", "174"),
        ("CPUQuotaPerSecUSec", "250ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
        ("AllowedCPUs", "0-1"),
        ("AllowedMemoryNodes", "0"),
        ("TasksMax", "42"),
        ("Slice", "corten.slice"),
        ("Delegate", "yes"),
        ("DevicePolicy", "strict"),
        ("ActiveState", "active"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    for (name, value) in [
        ("memory.max", "67108864"),
        ("memory.high", "50331648"),
        ("memory.low", "33554432"),
        ("memory.swap.max", "33554432"),
        ("cpu.weight", "174"),
        ("cpu.max", "12345 50000"),
        ("cpuset.cpus", "0-1"),
        ("cpuset.mems", "0"),
        ("pids.max", "42"),
    ] {
        assert_eq!(file(bundle, name), value, "{name}");
    }
}

#[test]
fn limits_are_properties_of_the_unit_and_in_the_files_and_survive_reload_and_reexec() {
    let Some(_host) = shared() else { return };
    let bundle = limited();
    run_detached(&bundle);
    assert_limits(&bundle);
    let devices = property(&scope(&bundle), "DeviceAllow");
    assert!(devices.contains("/dev/char/1:3 rwm") && devices.contains("char-* m"), "{devices}");
    systemctl(&["daemon-reload"]);
    assert_limits(&bundle);
    systemctl(&["daemon-reexec"]);
    assert_limits(&bundle);
    assert_eq!(property(&scope(&bundle), "NeedDaemonReload"), "no");
    bundle.delete_force().ok();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn update_reaches_the_unit_and_the_files_or_neither() {
    let Some(_host) = shared() else { return };
    let bundle = limited();
    run_detached(&bundle);
    call(
        &bundle,
        &["update", "--memory", "80000000", "--cpu-quota", "7777", "--pids-limit", "50", &bundle.id],
    )
    .ok();
    let (unit, shown) = (scope(&bundle), |name: &str| property(&scope(&bundle), name));
    assert_eq!((shown("MemoryMax"), shown("CPUQuotaPerSecUSec")), ("80000000".into(), "160ms".into()));
    assert_eq!(
        (file(&bundle, "memory.max"), file(&bundle, "cpu.max")),
        ("79998976".into(), "7777 50000".into())
    );
    call(&bundle, &["update", "--pids-limit", "60", "--cpuset-cpus", "900", &bundle.id]).fails("cpuset.cpus");
    assert_eq!((shown("TasksMax"), file(&bundle, "pids.max")), ("50".into(), "50".into()));
    systemctl(&["daemon-reload"]);
    assert_eq!(
        (file(&bundle, "memory.max"), file(&bundle, "cpu.max")),
        ("79998976".into(), "7777 50000".into())
    );
    bundle.delete_force().ok();
    assert_gone(&bundle, &unit);
}

#[test]
fn exec_is_in_the_scope() {
    let Some(_host) = shared() else { return };
    let bundle = bundle("sleep 100");
    run_detached(&bundle);
    let outcome = call(&bundle, &["exec", &bundle.id, "cat", "/proc/self/cgroup"]).ok();
    assert_eq!(outcome.stdout, format!("0::/corten.slice/{}\n", scope(&bundle)));
    bundle.delete_force().ok();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn process_is_in_the_scope_from_its_first_step() {
    let Some(_host) = shared() else { return };
    let mut bundle = bundle("cat /proc/self/cgroup");
    assert_eq!(run(&bundle).ok().stdout, format!("0::/corten.slice/{}\n", scope(&bundle)));
    bundle.namespace("cgroup", None);
    assert_eq!(run(&bundle).ok().stdout, "0::/\n");
    bundle.user_namespace(100_000, 65536);
    assert_eq!(run(&bundle).ok().stdout, "0::/\n");
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn device_program_of_ours_holds_beside_systemds() {
    let Some(_host) = shared() else { return };
    let mut bundle =
        bundle("echo x >/dev/null && echo null; head -c1 /dev/kmsg >/dev/null 2>&1 || echo denied");
    bundle.push("/linux/devices", json!({ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }));
    assert_eq!(run(&bundle).ok().stdout, "null\ndenied\n");
    systemctl(&["daemon-reload"]);
    assert_eq!(run(&bundle).ok().stdout, "null\ndenied\n");
}

#[test]
fn unit_and_slice_are_named_by_cgroups_path() {
    let Some(_host) = shared() else { return };
    for (bundle, expected) in named_units() {
        assert_eq!(run(&bundle).ok().stdout, format!("0::{expected}\n"));
    }
}

#[test]
fn annotations_are_properties() {
    let Some(_host) = shared() else { return };
    let mut bundle = bundle("sleep 100");
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopSec": "12.5",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.Documentation": "['man:corten(8)']",
            "org.systemd.property.ManagedOOMPreference": "\"avoid\"",
            "org.systemd.property.TasksMax": "uint64 7"
        }),
    );
    run_detached(&bundle);
    for (name, value) in [
        ("TimeoutStopUSec", "12.500000s"),
        ("CollectMode", "inactive-or-failed"),
        ("Documentation", "\"man:corten(8)\""),
        ("ManagedOOMPreference", "avoid"),
        ("TasksMax", "7"),
    ] {
        assert_eq!(property(&scope(&bundle), name), value, "{name}");
    }
    bundle.delete_force().ok();
    bundle.set("/annotations", json!({ "org.systemd.property.NoSuchThing": "5" }));
    run(&bundle).fails("NoSuchThing");
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn container_that_ran_out_of_memory_leaves_no_failed_unit() {
    let Some(_host) = shared() else { return };
    let bundle = out_of_memory();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn unit_of_another_container_is_neither_taken_nor_stopped() {
    let Some(_host) = shared() else { return };
    let bundle = wanted_by_two();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn frozen_container_is_deleted_by_force() {
    let Some(_host) = shared() else { return };
    let bundle = bundle("sleep 100");
    run_detached(&bundle);
    fs::write(cgroup(&bundle).join("cgroup.freeze"), "1").unwrap();
    bundle.delete_force().ok();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn limit_that_the_kernel_refuses_fails_and_leaves_nothing() {
    let Some(_host) = shared() else { return };
    let bundle = refused();
    assert_gone(&bundle, &scope(&bundle));
}

#[test]
fn fifty_start_at_once() {
    let Some(_host) = alone() else { return };
    let bundles: Vec<Bundle> = (0..50).map(|_| bundle("cat /proc/self/cgroup")).collect();
    let start = Instant::now();
    let running: Vec<_> = bundles
        .iter()
        .map(|bundle| {
            bundle.write_config();
            let words = ["--systemd-cgroup", "run", "--bundle", "bundle", &bundle.id];
            bundle.begin(&mut bundle.command(&words))
        })
        .collect();
    for (bundle, running) in bundles.iter().zip(running) {
        assert_eq!(running.finish().ok().stdout, format!("0::/corten.slice/{}\n", scope(bundle)));
    }
    eprintln!("50 at once: {:.2} s", start.elapsed().as_secs_f64());
    for bundle in &bundles {
        assert_gone(bundle, &scope(bundle));
    }
}

/// Runs the container where the private socket of systemd is another one, so that the bus is asked, or nobody answers.
fn run_with_socket(bundle: &Bundle, prepare: &str) -> Outcome {
    bundle.write_config();
    let script = format!("{prepare}; exec \"$@\"");
    let wrapper = support::runtime::private_mounts(&script);
    let words = ["--systemd-cgroup", "run", "--bundle", "bundle", &bundle.id];
    bundle.finish(&mut bundle.command_under(&wrapper, &words))
}

const HIDE_PRIVATE: &str = "mount --bind /dev/null /run/systemd/private";

#[test]
fn the_bus_is_asked_where_there_is_no_private_socket() {
    let Some(_host) = shared() else { return };
    let bundle = bundle("cat /proc/self/cgroup");
    let outcome = run_with_socket(&bundle, HIDE_PRIVATE).ok();
    assert_eq!(outcome.stdout, format!("0::/corten.slice/{}\n", scope(&bundle)));
    assert_gone(&bundle, &scope(&bundle));
}

/// A process that is stopped, and goes on when this is dropped.
struct Paused(String);

impl Paused {
    fn new(pid: &str) -> Self {
        output(Command::new("kill").args(["-STOP", pid]));
        Self(pid.to_owned())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-CONT", &self.0]).status();
    }
}

#[test]
fn paused_bus_is_a_clear_error_within_ten_seconds_and_leaves_nothing() {
    let Some(_host) = alone() else { return };
    let bundle = bundle("true");
    let start = Instant::now();
    let paused = Paused::new(&property("dbus.service", "MainPID"));
    let outcome = run_with_socket(&bundle, HIDE_PRIVATE);
    let took = start.elapsed();
    std::thread::sleep(Duration::from_secs(10).saturating_sub(took));
    drop(paused);
    eprintln!("D-Bus paused: {} ({:.1} s)", outcome.stderr.trim(), took.as_secs_f64());
    outcome.fails("no answer in time");
    assert!(took < Duration::from_secs(10), "{took:?}");
    std::thread::sleep(Duration::from_secs(1));
    assert_gone(&bundle, &scope(&bundle));
}

fn rootless(script: &str) -> Bundle {
    let mut bundle = bundle(script);
    let map = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user", None);
    bundle.chown_rootfs(USER);
    for dir in [bundle.dir.clone(), bundle.path()] {
        std::os::unix::fs::chown(dir, Some(USER), Some(USER)).unwrap();
    }
    bundle
}

#[test]
fn ordinary_users_container_is_a_scope_of_its_own_manager() {
    let Some(_host) = shared() else { return };
    let mut bundle = rootless("cat /proc/self/cgroup; sleep 100");
    bundle.set("/linux/resources", json!({ "memory": { "limit": 67108864 }, "pids": { "limit": 30 } }));
    let words = ["--systemd-cgroup", "run", "--detach", "--bundle", "bundle", &bundle.id];
    let outcome = as_user(&bundle, &words).ok();
    let path = format!("/user.slice/user-{USER}.slice/user@{USER}.service/corten.slice/{}", scope(&bundle));
    let dir = PathBuf::from(format!("/sys/fs/cgroup{path}"));
    assert_eq!(fs::read_to_string(dir.join("memory.max")).unwrap(), "67108864\n");
    assert_eq!(fs::read_to_string(dir.join("pids.max")).unwrap(), "30\n");
    let shown = user_systemctl(&["show", "--property", "MemoryMax,TasksMax", &scope(&bundle)]);
    assert_eq!(shown, "MemoryMax=67108864\nTasksMax=30\n");
    eventually(|| outcome.later_stdout().ends_with('\n'), || "the container says its cgroup".to_owned());
    assert_eq!(outcome.later_stdout(), format!("0::{path}\n"));
    as_user(&bundle, &["delete", "--force", &bundle.id]).ok();
    leaks::assert_nothing_left(&bundle);
    assert!(user_systemctl(&["show", "--property", "LoadState", &scope(&bundle)]).contains("not-found"));
}

#[test]
fn paused_manager_of_the_user_is_a_clear_error_and_leaves_nothing() {
    let Some(_host) = alone() else { return };
    let bundle = rootless("true");
    let paused = Paused::new(&property(&format!("user@{USER}.service"), "MainPID"));
    let outcome = as_user(&bundle, &["--systemd-cgroup", "run", "--bundle", "bundle", &bundle.id]);
    drop(paused);
    eprintln!("user's systemd paused: {}", outcome.stderr.trim());
    outcome.fails("no answer in time");
    std::thread::sleep(Duration::from_secs(2));
    leaks::assert_nothing_left(&bundle);
    assert!(user_systemctl(&["show", "--property", "LoadState", &scope(&bundle)]).contains("not-found"));
}

#[test]
fn killed_creator_leaves_what_delete_removes() {
    let Some(_host) = shared() else { return };
    kill_creators(|bundle| assert_gone(bundle, &scope(bundle)));
}

#[test]
fn record_remembers_the_unit() {
    let Some(_host) = shared() else { return };
    let bundle = bundle("sleep 100");
    run_detached(&bundle);
    let record = fs::read_dir(bundle.root().join(&bundle.id)).unwrap();
    let texts = record.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    let records: Vec<Value> = texts.filter_map(|text| serde_json::from_str(&text).ok()).collect();
    let named = |record: &&Value| record["cgroup"]["unit"]["name"] == scope(&bundle);
    assert_eq!(records.iter().filter(named).count(), 1, "{records:#?}");
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
    assert_gone(&bundle, &scope(&bundle));
}
