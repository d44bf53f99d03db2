//! config.md: hooks, when and where each kind runs and what it gets.

use super::Case;
use crate::play::{Play, bundle, namespace, probe, sleeper};
use crate::schema::assert_valid;
use crate::support::Bundle;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    ("hooks/path-required", || {
        drop(bundle(&[]).push("/hooks/createRuntime", json!({ "args": ["x"] })).refused())
    }),
    ("hooks/path-absolute", relative_path),
    ("hooks/timeout-positive", timeout_of_zero),
    ("hooks/timeout", timeout),
    ("hooks/args", args),
    ("hooks/env", env),
    ("hooks/prestart-path", || resolved_on_the_host("prestart")),
    ("hooks/createRuntime-path", || resolved_on_the_host("createRuntime")),
    ("hooks/createContainer-path", || resolved_on_the_host("createContainer")),
    ("hooks/startContainer-path", start_container_path),
    ("hooks/poststart-path", || resolved_on_the_host("poststart")),
    ("hooks/poststop-path", || resolved_on_the_host("poststop")),
    ("hooks/prestart-namespace", || runs_in_the_runtimes("prestart")),
    ("hooks/createRuntime-namespace", || runs_in_the_runtimes("createRuntime")),
    ("hooks/createContainer-namespace", || runs_in_the_containers("createContainer")),
    ("hooks/startContainer-namespace", || runs_in_the_containers("startContainer")),
    ("hooks/poststart-namespace", || runs_in_the_runtimes("poststart")),
    ("hooks/poststop-namespace", || runs_in_the_runtimes("poststop")),
    ("hooks/prestart-order", || in_order("prestart")),
    ("hooks/createRuntime-order", || in_order("createRuntime")),
    ("hooks/createContainer-order", || in_order("createContainer")),
    ("hooks/startContainer-order", || in_order("startContainer")),
    ("hooks/poststart-order", || in_order("poststart")),
    ("hooks/poststop-order", || in_order("poststop")),
    ("hooks/prestart-state", || gets_the_state("prestart")),
    ("hooks/createRuntime-state", || gets_the_state("createRuntime")),
    ("hooks/createContainer-state", || gets_the_state("createContainer")),
    ("hooks/startContainer-state", || gets_the_state("startContainer")),
    ("hooks/poststart-state", || gets_the_state("poststart")),
    ("hooks/poststop-state", || gets_the_state("poststop")),
    ("hooks/prestart-when", || assert_eq!(seen_after("prestart"), "create")),
    ("hooks/createRuntime-when", || assert_eq!(seen_after("createRuntime"), "create")),
    ("hooks/createContainer-when", || assert_eq!(seen_after("createContainer"), "create")),
    ("hooks/startContainer-when", start_container_before_the_program),
    ("hooks/poststart-when", || assert_eq!(seen_after("poststart"), "start")),
    ("hooks/poststop-when", || assert_eq!(seen_after("poststop"), "delete")),
    ("hooks/prestart-before-pivot", || before_the_root_is_changed("prestart")),
    ("hooks/createRuntime-before-pivot", || before_the_root_is_changed("createRuntime")),
    ("hooks/createContainer-before-pivot", create_container_sees_the_bundle),
    ("hooks/prestart-first", || first_then_second("prestart", "createRuntime")),
    ("hooks/createContainer-after-createRuntime", || first_then_second("createRuntime", "createContainer")),
    ("hooks/poststart-after-exec", poststart_after_the_program),
    ("hooks/poststop-after-delete", poststop_after_the_container),
];

fn relative_path() {
    bundle(&[])
        .push("/hooks/createRuntime", json!({ "path": "bundle/rootfs/probe", "args": ["probe"] }))
        .refused();
}

/// Nobody can be done within no time: the hook fails, or the configuration is refused.
fn timeout_of_zero() {
    bundle(&[])
        .push("/hooks/createRuntime", json!({ "path": probe(), "args": ["probe"], "timeout": 0 }))
        .refused();
}

fn timeout() {
    let mut bundle = bundle(&[]);
    bundle.push(
        "/hooks/createRuntime",
        json!({ "path": probe(), "args": ["probe", "sleep 15000"], "timeout": 1 }),
    );
    let begin = Instant::now();
    bundle.refused();
    assert!(begin.elapsed() < Duration::from_secs(10), "the hook was waited for");
}

/// One life with one hook of the kind: what it recorded.
#[track_caller]
fn record(kind: &str) -> Value {
    let mut bundle = bundle(&[]);
    record_in(&mut bundle, kind)
}

#[track_caller]
fn record_in(bundle: &mut Bundle, kind: &str) -> Value {
    bundle.hook(kind, kind).play();
    bundle.hooks().first().cloned().unwrap_or_else(|| panic!("the hook has not run"))
}

fn args() {
    let words = record("createRuntime")["args"].clone();
    assert_eq!(words[0], "probe");
    assert!(words[1].as_str().unwrap().starts_with("hook "), "{words}");
}

fn env() {
    let seen = record("createRuntime")["env"].clone();
    assert_eq!(seen, json!(["HOOK=yes"]));
}

/// The probe of the host has a path that the container does not have.
fn resolved_on_the_host(kind: &str) {
    let mut bundle = bundle(&[]);
    assert!(!bundle.rootfs().join(probe().strip_prefix("/").unwrap()).exists());
    assert_eq!(record_in(&mut bundle, kind)["hook"], kind);
}

fn start_container_path() {
    assert!(!std::path::Path::new("/probe").exists(), "the host has no /probe");
    assert_eq!(record("startContainer")["hook"], "startContainer");
}

/// Kinds that tell the runtime's namespaces from the container's: those that the suite's bundles make.
const KINDS: [&str; 5] = ["ipc", "mnt", "net", "pid", "uts"];

fn runs_in_the_runtimes(kind: &str) {
    let seen = record(kind)["namespaces"].clone();
    for name in KINDS {
        assert_eq!(seen[name], namespace("self", name), "{name}");
    }
}

fn runs_in_the_containers(kind: &str) {
    let mut bundle = sleeper();
    bundle.hook(kind, kind);
    bundle.up();
    let pid = bundle.pid().to_string();
    let container: Vec<String> = KINDS.iter().map(|name| namespace(&pid, name)).collect();
    bundle.kill_and_delete();
    let seen = bundle.hooks()[0]["namespaces"].clone();
    for (name, container) in KINDS.iter().zip(container) {
        assert_eq!(seen[name], container, "{name}");
    }
}

fn in_order(kind: &str) {
    let mut bundle = bundle(&[]);
    for name in ["first", "second", "third"] {
        bundle.hook(kind, name);
    }
    bundle.play();
    let names: Vec<Value> = bundle.hooks().iter().map(|hook| hook["hook"].clone()).collect();
    assert_eq!(names, ["first", "second", "third"]);
}

fn gets_the_state(kind: &str) {
    let mut bundle = bundle(&[]);
    bundle.set("/annotations", json!({ "org.example.key": "value" }));
    let state = record_in(&mut bundle, kind)["state"].clone();
    assert_valid("state-schema.json", &state);
    assert_eq!(state["id"], bundle.id.as_str());
    assert_eq!(state["bundle"], bundle.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(state["annotations"]["org.example.key"], "value");
}

/// The operation behind which the hook has run, and before which it has not.
#[track_caller]
fn seen_after(kind: &str) -> &'static str {
    let mut bundle = sleeper();
    bundle.hook(kind, kind);
    bundle.create().ok();
    let mut seen = None;
    let mut look = |bundle: &Bundle, operation| {
        if seen.is_none() && !bundle.hooks().is_empty() {
            seen = Some(operation);
        }
    };
    look(&bundle, "create");
    bundle.start().ok();
    look(&bundle, "start");
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    look(&bundle, "the end of the program");
    bundle.delete().ok();
    look(&bundle, "delete");
    seen.unwrap_or("nothing")
}

fn start_container_before_the_program() {
    assert_eq!(seen_after("startContainer"), "start");
    let mut bundle = bundle(&["read /tmp/hooks"]);
    bundle.hook("startContainer", "before");
    assert!(bundle.play().text(0).contains("\"before\""));
}

/// The namespaces are there, and the container's root is still the host's.
fn before_the_root_is_changed(kind: &str) {
    let init = record(kind)["init"].clone();
    assert_eq!(init["bundle_in_root"], true, "the root is changed");
    for name in KINDS {
        assert_ne!(init["namespaces"][name], namespace("self", name), "{name}");
    }
    let mounts = init["mounts"].as_str().unwrap();
    assert!(mounts.contains("/rootfs/dev/shm "), "the environment is not made: {mounts}");
}

/// The hook itself is in the container's namespaces and sees the host's root: its record was written below the bundle.
fn create_container_sees_the_bundle() {
    let record = record("createContainer");
    let mounts = record["mounts"].as_str().unwrap();
    assert!(mounts.contains("/rootfs "), "the root is changed: {mounts}");
}

fn first_then_second(first: &str, second: &str) {
    let mut bundle = bundle(&[]);
    bundle.hook(second, second).hook(first, first);
    bundle.play();
    let names: Vec<Value> = bundle.hooks().iter().map(|hook| hook["hook"].clone()).collect();
    assert_eq!(names, [first, second]);
}

fn poststart_after_the_program() {
    let mut bundle = sleeper();
    bundle.hook("poststart", "after");
    bundle.up();
    bundle.kill_and_delete();
    let command = bundle.hooks()[0]["init"]["command"].as_str().unwrap().to_owned();
    assert!(command.starts_with("/probe "), "the container process is still {command:?}");
}

fn poststop_after_the_container() {
    let record = record("poststop");
    assert_eq!(record["state"]["status"], "stopped");
    assert_eq!(record["init"], Value::Null, "the state still has a process");
}
