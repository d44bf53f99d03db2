//! runtime.md: the container's scope, its state, its life, errors and warnings; runtime-linux.md: links in /dev.

use super::Case;
use crate::play::{Play, bundle, namespace, sleeper, unappliable};
use crate::schema::assert_valid;
use crate::support::{Bundle, cgroups, leaks, runtime};
use serde_json::json;
use std::fs;
use std::time::Duration;

pub const CASES: &[Case] = &[
    ("scope/same-container", same_container),
    ("state/oci-version", oci_version),
    ("state/id", || assert!(created(|bundle| bundle.state()["id"] == bundle.id.as_str()))),
    ("state/id-unique", id_is_unique),
    ("state/status-created-hooks", status_in_hooks),
    ("state/status-created", || assert_eq!(created(Bundle::status), "created")),
    ("state/status-running", || assert_eq!(running(Bundle::status), "running")),
    ("state/status-stopped", || assert_eq!(stopped(Bundle::status), "stopped")),
    ("state/status-others", paused_is_a_word_of_its_own),
    ("state/pid-created", || created(assert_pid_lives)),
    ("state/pid-running", running_pid_is_the_programs),
    ("state/bundle", bundle_is_absolute),
    ("state/annotations", annotations_are_told),
    ("state/schema", state_satisfies_the_schema),
    ("lifecycle/environment", environment_is_made_by_create),
    ("lifecycle/environment-error", || drop(unappliable().refused())),
    ("lifecycle/program-not-run", program_waits_for_start),
    ("lifecycle/config-is-read-once", configuration_is_read_once),
    ("lifecycle/prestart-invoked", || invoked("prestart")),
    ("lifecycle/createRuntime-invoked", || invoked("createRuntime")),
    ("lifecycle/createContainer-invoked", || invoked("createContainer")),
    ("lifecycle/startContainer-invoked", || invoked("startContainer")),
    ("lifecycle/poststart-invoked", || invoked("poststart")),
    ("lifecycle/poststop-invoked", || invoked("poststop")),
    ("lifecycle/prestart-failure-is-an-error", || create_hook_failure_is_an_error("prestart")),
    ("lifecycle/createRuntime-failure-is-an-error", || create_hook_failure_is_an_error("createRuntime")),
    ("lifecycle/createContainer-failure-is-an-error", || create_hook_failure_is_an_error("createContainer")),
    ("lifecycle/startContainer-failure-is-an-error", || start_hook_failure_is_an_error("startContainer")),
    ("lifecycle/poststart-failure-is-an-error", || start_hook_failure_is_an_error("poststart")),
    ("lifecycle/prestart-failure-stops", || create_hook_failure_stops("prestart")),
    ("lifecycle/createRuntime-failure-stops", || create_hook_failure_stops("createRuntime")),
    ("lifecycle/createContainer-failure-stops", || create_hook_failure_stops("createContainer")),
    ("lifecycle/startContainer-failure-stops", || start_hook_failure_stops("startContainer")),
    ("lifecycle/poststart-failure-stops", || start_hook_failure_stops("poststart")),
    ("lifecycle/prestart-failure-runs-poststop", || failure_runs_poststop("prestart")),
    ("lifecycle/createRuntime-failure-runs-poststop", || failure_runs_poststop("createRuntime")),
    ("lifecycle/createContainer-failure-runs-poststop", || failure_runs_poststop("createContainer")),
    ("lifecycle/startContainer-failure-runs-poststop", || failure_runs_poststop("startContainer")),
    ("lifecycle/program-run", start_runs_the_program),
    ("lifecycle/destroyed", destroyed),
    ("lifecycle/poststop-failure-is-a-warning", failing_poststop_is_a_warning),
    ("lifecycle/poststop-failure-others-run", other_poststop_hooks_run),
    ("errors/nothing-left-of-a-mount", || leaves_nothing(&unappliable())),
    ("errors/nothing-left-of-a-namespace", || {
        leaves_nothing(bundle(&[]).namespace("network", Some("/nowhere/net")))
    }),
    ("errors/nothing-left-of-a-hook", || leaves_nothing(bundle(&[]).failing_hook("createRuntime"))),
    ("errors/nothing-left-of-a-program", program_that_is_missing),
    ("errors/id-is-free-again", id_is_free_after_an_error),
    ("warnings/go-on", warnings_go_on),
    ("dev-links/fd", || dev_link("fd", "/proc/self/fd")),
    ("dev-links/stdin", || dev_link("stdin", "/proc/self/fd/0")),
    ("dev-links/stdout", || dev_link("stdout", "/proc/self/fd/1")),
    ("dev-links/stderr", || dev_link("stderr", "/proc/self/fd/2")),
];

/// What holds of a created container.
#[track_caller]
fn created<T>(look: impl FnOnce(&Bundle) -> T) -> T {
    let bundle = sleeper();
    bundle.create().ok();
    let seen = look(&bundle);
    bundle.kill_and_delete();
    seen
}

/// What holds of a running container.
#[track_caller]
fn running<T>(look: impl FnOnce(&Bundle) -> T) -> T {
    let bundle = sleeper();
    bundle.up();
    let seen = look(&bundle);
    bundle.kill_and_delete();
    seen
}

/// What holds of a container whose program has ended.
#[track_caller]
fn stopped<T>(look: impl FnOnce(&Bundle) -> T) -> T {
    let bundle = bundle(&["report"]);
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    let seen = look(&bundle);
    bundle.delete().ok();
    seen
}

fn same_container() {
    let bundle = sleeper();
    bundle.up();
    assert_eq!(bundle.state()["pid"], bundle.pid());
    bundle.kill("TERM").ok();
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
}

fn oci_version() {
    let version = created(Bundle::state)["ociVersion"].as_str().unwrap().to_owned();
    let core = version.split(['-', '+']).next().unwrap();
    let numbers: Vec<u32> = core.split('.').map(|number| number.parse().expect("a number")).collect();
    assert_eq!(numbers.len(), 3, "{version}");
}

fn id_is_unique() {
    created(|first| {
        let outcome = first.create();
        assert_ne!(outcome.code, Some(0));
    });
}

fn status_in_hooks() {
    let mut bundle = bundle(&[]);
    let kinds = ["prestart", "createRuntime", "createContainer"];
    for kind in kinds {
        bundle.hook(kind, kind);
    }
    bundle.play();
    let hooks = bundle.hooks();
    assert_eq!(hooks.len(), kinds.len());
    for hook in hooks {
        assert_eq!(hook["state"]["status"], "created", "{hook}");
    }
}

fn paused_is_a_word_of_its_own() {
    running(|bundle| {
        if bundle.call(&["pause", &bundle.id]).code != Some(0) {
            crate::runner::skip("the runtime cannot pause");
        }
        let status = bundle.status();
        bundle.call(&["resume", &bundle.id]).ok();
        assert!(!["creating", "created", "stopped"].contains(&status.as_str()), "{status}");
    });
}

#[track_caller]
fn assert_pid_lives(bundle: &Bundle) {
    let pid = i32::try_from(bundle.state()["pid"].as_i64().unwrap()).unwrap();
    assert!(pid > 0 && fs::metadata(format!("/proc/{pid}")).is_ok(), "{pid}");
    assert_eq!(pid, bundle.pid(), "the pid file says another");
}

fn running_pid_is_the_programs() {
    running(|bundle| {
        assert_pid_lives(bundle);
        let words = fs::read(format!("/proc/{}/cmdline", bundle.pid())).unwrap();
        assert!(words.starts_with(b"/probe\0"), "{}", String::from_utf8_lossy(&words));
    });
}

fn bundle_is_absolute() {
    created(|bundle| {
        // create was given a relative path.
        let told = bundle.state()["bundle"].as_str().unwrap().to_owned();
        assert_eq!(told, bundle.path().canonicalize().unwrap().display().to_string());
    });
}

fn annotations_are_told() {
    let mut bundle = sleeper();
    bundle.set("/annotations", json!({ "org.example.key": "value, and more", "org.example.empty": "" }));
    bundle.create().ok();
    let told = bundle.state()["annotations"].clone();
    bundle.kill_and_delete();
    assert_eq!(told["org.example.key"], "value, and more");
}

fn state_satisfies_the_schema() {
    for state in [created(Bundle::state), running(Bundle::state), stopped(Bundle::state)] {
        assert_valid("state-schema.json", &state);
    }
}

fn environment_is_made_by_create() {
    created(|bundle| {
        let pid = bundle.pid().to_string();
        for kind in ["pid", "net", "ipc", "uts", "mnt"] {
            assert_ne!(namespace(&pid, kind), namespace("self", kind), "{kind}");
        }
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        assert!(mounts.contains(" /dev/shm ") && mounts.contains(" - devpts "), "{mounts}");
    });
}

fn program_waits_for_start() {
    let bundle = bundle(&["write /tmp/ran yes"]);
    bundle.create().ok();
    // Long enough for a program that would not wait.
    std::thread::sleep(Duration::from_millis(50));
    let ran = bundle.rootfs().join("tmp/ran").exists();
    bundle.kill_and_delete();
    assert!(!ran, "create has run the program");
}

fn configuration_is_read_once() {
    let mut bundle = bundle(&["write /tmp/first yes", "uname"]);
    let outcome = bundle.create().ok();
    bundle.steps(&["write /tmp/second yes"]).set("/hostname", json!("another"));
    bundle.write_config();
    bundle.start().ok();
    bundle.await_and_delete();
    assert!(bundle.rootfs().join("tmp/first").exists() && !bundle.rootfs().join("tmp/second").exists());
    assert_eq!(crate::play::Answers::of(&outcome.later_stdout()).value(1)["node"], "corten");
}

fn invoked(kind: &str) {
    let mut bundle = bundle(&[]);
    bundle.hook(kind, "only");
    bundle.play();
    let names: Vec<_> = bundle.hooks().iter().map(|hook| hook["hook"].clone()).collect();
    assert_eq!(names, ["only"]);
}

fn create_hook_failure_is_an_error(kind: &str) {
    bundle(&["write /tmp/ran yes"]).failing_hook(kind).refused();
}

fn create_hook_failure_stops(kind: &str) {
    let mut bundle = sleeper();
    bundle.failing_hook(kind).refused();
    leaks::assert_nothing_left(&bundle);
}

/// create succeeds and start does not.
#[track_caller]
fn start_fails(bundle: &Bundle) {
    bundle.create().ok();
    let outcome = bundle.start();
    if outcome.code == Some(0) {
        bundle.delete_force();
        panic!("start succeeds");
    }
    assert!(!outcome.stderr.trim().is_empty(), "start fails without a word");
}

fn start_hook_failure_is_an_error(kind: &str) {
    let mut bundle = sleeper();
    start_fails(bundle.failing_hook(kind));
    bundle.delete_force();
}

/// Whether start says so or not: the container does not live on.
fn start_hook_failure_stops(kind: &str) {
    let mut bundle = sleeper();
    bundle.failing_hook(kind);
    bundle.create().ok();
    bundle.start();
    let dead = runtime::dies_within(bundle.pid(), Duration::from_secs(3));
    bundle.delete_force();
    assert!(dead, "the container lives on");
}

fn failure_runs_poststop(kind: &str) {
    let mut bundle = sleeper();
    bundle.hook("poststop", "last").failing_hook(kind);
    if bundle.create().code == Some(0) {
        bundle.start();
        bundle.delete_force();
    }
    let names: Vec<_> = bundle.hooks().iter().map(|hook| hook["hook"].clone()).collect();
    assert_eq!(names, ["last"]);
}

fn start_runs_the_program() {
    let mut bundle = bundle(&[]);
    let answers = bundle.ask(&["write /tmp/ran yes"]);
    assert_eq!(answers.errno(0), 0);
    assert_eq!(fs::read_to_string(bundle.rootfs().join("tmp/ran")).unwrap(), "yes");
}

fn destroyed() {
    let bundle = sleeper();
    bundle.up();
    assert!(!cgroups::named(&bundle.id).is_empty(), "the container has a cgroup");
    bundle.kill_and_delete();
    leaks::assert_nothing_left(&bundle);
}

fn failing_poststop_is_a_warning() {
    let mut bundle = bundle(&[]);
    bundle.failing_hook("poststop");
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    let outcome = bundle.delete();
    assert_eq!(outcome.code, Some(0), "delete fails: {}", outcome.stderr);
    assert!(!outcome.stderr.trim().is_empty(), "delete does not warn");
}

fn other_poststop_hooks_run() {
    let mut bundle = bundle(&[]);
    bundle.failing_hook("poststop").hook("poststop", "second");
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    bundle.delete();
    assert_eq!(bundle.hooks().len(), 1, "the second hook has not run");
}

#[track_caller]
fn leaves_nothing(bundle: &Bundle) {
    bundle.refused();
    leaks::assert_nothing_left(bundle);
}

fn program_that_is_missing() {
    let mut bundle = bundle(&[]);
    bundle.set("/process/args", json!(["/no/such/program"]));
    bundle.refused_by_start();
    leaks::assert_nothing_left(&bundle);
}

fn id_is_free_after_an_error() {
    let mut bundle = unappliable();
    bundle.refused();
    bundle.unmount("/mnt");
    bundle.play();
    assert!(bundle.rootfs().join("tmp/ran").exists());
}

fn warnings_go_on() {
    let mut bundle = bundle(&["write /tmp/ran yes"]);
    bundle.capability("CAP_OF_NOBODY");
    bundle.play();
    assert!(bundle.rootfs().join("tmp/ran").exists());
}

fn dev_link(name: &str, target: &str) {
    let answers = bundle(&[&format!("link /dev/{name}")]).play();
    assert_eq!(answers.text(0), target);
}
