//! The runtime among the units of a real systemd: as a service that says when it is ready, in the journal, and with an ordinary
//! user whose slice is delegated to him.
//!
//! On a host with systemd as pid 1 and cgroup v2 alone, as `make host-test` boots one. Anywhere else every test here says that it is
//! skipped; `supervision.rs` and `log.rs` have a stand-in for systemd there.

mod support;

use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use support::messenger::teller;
use support::runtime::{eventually, program};
use support::systemd::{USER, as_user, output, property, shared, systemctl, user_systemctl};
use support::{Bundle, leaks};

/// A transient service that runs the runtime; it is stopped when this is dropped.
struct Service(String);

impl Service {
    /// `systemd-run … RUNTIME --root STATE WORDS`, which comes back before the service is active.
    fn start(bundle: &Bundle, properties: &[&str], words: &[&str]) -> Self {
        bundle.write_config();
        let unit = format!("{}.service", bundle.id);
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--no-block", "--collect", "--service-type=notify", "--unit", &unit]);
        command.args(properties.iter().map(|property| format!("--property={property}")));
        command.arg(format!("--working-directory={}", bundle.dir.display()));
        command.arg(format!("--setenv=CORTENTEST={}", bundle.id));
        command.arg(program()).arg("--root").arg(bundle.root()).args(words);
        output(&mut command);
        Self(unit)
    }

    #[track_caller]
    fn becomes(&self, name: &str, value: &str) {
        eventually(
            || property(&self.0, name) == value,
            || format!("{name} is {value}, not {}", property(&self.0, name)),
        );
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", &self.0]).status();
    }
}

/// A container that tells its supervisor its status, waits until it is let go, and is ready.
fn telling() -> Bundle {
    let bundle = Bundle::sh(
        "trap 'exit 0' TERM; echo $WATCHDOG_USEC >/told; /status; cat /go; /ready; sleep 1000 & wait",
    );
    for (name, text) in [("status", "STATUS=warming up"), ("ready", "READY=1\nSTATUS=up")] {
        bundle.executable(name, "");
        fs::write(bundle.rootfs().join(name), teller(text)).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, bundle.rootfs().join("go"), 0o666.into()).unwrap();
    bundle
}

fn let_go(bundle: &Bundle) {
    OpenOptions::new().write(true).open(bundle.rootfs().join("go")).unwrap().write_all(b"").unwrap();
}

#[test]
fn service_in_the_foreground_is_active_once_its_container_is_ready() {
    let Some(_host) = shared() else { return };
    let bundle = telling();
    let words = ["run", "--pid-file", "pid", "--bundle", "bundle", &bundle.id];
    // Only what the main process says counts, which is the runtime.
    let service = Service::start(&bundle, &["NotifyAccess=main", "WatchdogSec=1000"], &words);
    service.becomes("StatusText", "warming up");
    assert_eq!(property(&service.0, "ActiveState"), "activating");
    let_go(&bundle);
    service.becomes("ActiveState", "active");
    service.becomes("StatusText", "up");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("told")).unwrap(), "1000000000\n");
    let main = property(&service.0, "MainPID");
    let line = fs::read_to_string(format!("/proc/{main}/cmdline")).unwrap();
    assert!(line.contains("\0run\0--pid-file\0"), "{line:?}");
    assert_eq!(bundle.status(), "running");
    systemctl(&["stop", &service.0]);
    assert_eq!(property(&service.0, "LoadState"), "not-found", "its program ended by itself, with 0");
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn service_in_the_background_has_the_container_as_its_main_process() {
    let Some(_host) = shared() else { return };
    let bundle = telling();
    let words = ["run", "--detach", "--pid-file", "pid", "--bundle", "bundle", &bundle.id];
    let service = Service::start(&bundle, &[], &words);
    service.becomes("StatusText", "warming up");
    assert_eq!(property(&service.0, "ActiveState"), "activating");
    let_go(&bundle);
    service.becomes("ActiveState", "active");
    service.becomes("MainPID", &bundle.pid().to_string());
    bundle.kill("TERM").ok();
    bundle.await_death(bundle.pid());
    service.becomes("LoadState", "not-found");
    bundle.delete().ok();
}

#[test]
fn service_whose_container_is_never_ready_fails() {
    let Some(_host) = shared() else { return };
    let bundle = Bundle::sh("exit 3");
    let words = ["run", "--bundle", "bundle", &bundle.id];
    // It stays to be looked at, as services do that nobody asked to collect.
    let service = Service::start(&bundle, &["CollectMode=inactive"], &words);
    service.becomes("ActiveState", "failed");
    assert_eq!(property(&service.0, "ExecMainStatus"), "3");
    systemctl(&["reset-failed", &service.0]);
    leaks::assert_nothing_left(&bundle);
}

/// The journal's entries that have all these fields.
fn journal(matches: &[&str]) -> Vec<Value> {
    output(Command::new("journalctl").arg("--sync"));
    let text = output(Command::new("journalctl").args(["--quiet", "--output=json"]).args(matches));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn journal_has_the_error_and_the_container() {
    let Some(_host) = shared() else { return };
    let mut bundle = Bundle::new();
    let message = format!("state {}: container does not exist", bundle.id);
    let id = format!("CONTAINER_ID_FULL={}", bundle.id);
    for (destination, name) in [("journald:", "corten"), ("journald:engine", "engine")] {
        bundle.call(&["--log", destination, "state", &bundle.id]).fails(&message);
        let entries = journal(&[&id, &format!("SYSLOG_IDENTIFIER={name}")]);
        assert_eq!(entries.len(), 1, "{entries:#?}");
        let entry = &entries[0];
        assert_eq!((&entry["MESSAGE"], &entry["PRIORITY"]), (&json!(message), &json!("3")));
        assert_eq!(entry["ID"], bundle.id.as_str());
    }
    bundle.push("/process/capabilities/bounding", json!("CAP_NEW")).write_config();
    for (level, told) in [("error", 0), ("warning", 1)] {
        let words = ["--log=journald:", "--log-level", level, "run", "--bundle", "bundle", &bundle.id];
        assert_eq!(bundle.call(&words).ok().stderr, "");
        let entries = journal(&[&id, "PRIORITY=4"]);
        assert_eq!(entries.len(), told, "{level}: {entries:#?}");
    }
    // What listens for syslog is the journal, too.
    bundle.call(&["--log=syslog:", "state", &bundle.id]).fails(&message);
    let entries = journal(&["_TRANSPORT=syslog", &format!("SYSLOG_IDENTIFIER={}", bundle.id)]);
    assert_eq!(entries.len(), 1, "{entries:#?}");
    assert_eq!(entries[0]["MESSAGE"], message.as_str());
}

/// A bundle of the user's, without or with his subordinate ids, whose unit is in his own slice.
fn rootless(script: &str, subordinate: bool) -> Bundle {
    let mut bundle = Bundle::sh(script);
    let path = format!("corten.slice:test:{}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path)).namespace("user", None);
    bundle.chown_rootfs(USER);
    for kind in ["uidMappings", "gidMappings"] {
        let pointer = format!("/linux/{kind}");
        bundle.push(&pointer, json!({ "containerID": 0, "hostID": USER, "size": 1 }));
        if subordinate {
            bundle.push(&pointer, json!({ "containerID": 1, "hostID": 100_000, "size": 65536 }));
        }
    }
    for dir in [bundle.dir.clone(), bundle.path()] {
        chown(dir, Some(USER), Some(USER)).unwrap();
    }
    bundle
}

#[test]
fn ordinary_user_has_the_whole_life_in_a_delegated_slice() {
    let Some(_host) = shared() else { return };
    for subordinate in [false, true] {
        let mut bundle = rootless("sleep 1000 & wait", subordinate);
        bundle.set("/linux/resources", json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 30 } }));
        let scope = format!("test-{}.scope", bundle.id);
        let path = format!("/user.slice/user-{USER}.slice/user@{USER}.service/corten.slice/{scope}");
        let file = |name: &str| {
            let path = Path::new("/sys/fs/cgroup").join(&path[1..]).join(name);
            fs::read_to_string(path).unwrap().trim().to_owned()
        };
        let call = |words: &[&str]| as_user(&bundle, &[words, &[bundle.id.as_str()]].concat());
        call(&["--systemd-cgroup", "create", "--pid-file", "pid", "--bundle", "bundle"]).ok();
        call(&["start"]).ok();
        assert_eq!((file("memory.max"), file("pids.max")), ("67108864".into(), "30".into()));

        let exec = |words: &[&str]| as_user(&bundle, &[&["exec", &bundle.id], words].concat());
        assert_eq!(exec(&["cat", "/proc/self/cgroup"]).ok().stdout, format!("0::{path}\n"));
        assert_eq!(exec(&["sh", "-c", "exit 42"]).code, Some(42));
        let map = exec(&["cat", "/proc/self/uid_map"]).ok().stdout;
        assert_eq!(map.lines().count(), if subordinate { 2 } else { 1 }, "{map}");
        if subordinate {
            let words = ["exec", "--user", "5:6", &bundle.id, "sh", "-c", "id -u; id -g"];
            assert_eq!(as_user(&bundle, &words).ok().stdout, "5\n6\n");
        }

        call(&["update", "--memory", "50331648", "--pids-limit", "40", "--cpu-share", "512"]).ok();
        assert_eq!((file("memory.max"), file("pids.max")), ("50331648".into(), "40".into()));
        let shown = user_systemctl(&["show", "--property", "MemoryMax,TasksMax", &scope]);
        assert_eq!(shown, "MemoryMax=50331648\nTasksMax=40\n");
        // Both or neither, here too.
        call(&["update", "--pids-limit", "50", "--cpuset-cpus", "900"]).fails("cpuset.cpus");
        assert_eq!(file("pids.max"), "40");

        call(&["pause"]).ok();
        assert_eq!(file("cgroup.freeze"), "1");
        exec(&["true"]).fails_with(255, "cannot exec in a paused container");
        call(&["resume"]).ok();
        let stats: Value = serde_json::from_str(&call(&["events", "--stats"]).ok().stdout).unwrap();
        assert_eq!(stats["data"]["pids"]["limit"], 40, "{stats}");
        assert!(call(&["ps", "--format", "json"]).ok().stdout.contains(&bundle.pid().to_string()));
        call(&["delete"]).fails("that is not stopped: running");
        call(&["delete", "--force"]).ok();
        leaks::assert_nothing_left(&bundle);
        assert!(user_systemctl(&["show", "--property", "LoadState", &scope]).contains("not-found"));
    }
}

#[test]
fn ordinary_user_may_not_limit_what_is_not_his() {
    let Some(_host) = shared() else { return };
    // The machine's slice, by the file system: the user's manager is not asked.
    let mut bundle = rootless("true", false);
    let path = format!("/{}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path));
    bundle.set("/linux/resources", json!({ "pids": { "limit": 30 } }));
    as_user(&bundle, &["run", "--bundle", "bundle", &bundle.id]).fails("cgroup");
    leaks::assert_nothing_left(&bundle);
    // Where nothing is limited he does without.
    bundle.set("/linux/resources", json!({}));
    as_user(&bundle, &["run", "--bundle", "bundle", &bundle.id]).ok();
}
