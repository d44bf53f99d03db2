//! runtime.md: the five operations, state, create, start, kill and delete.

use super::Case;
use crate::play::{Answers, Play, bundle, sleeper, unappliable};
use crate::support::{Bundle, Outcome, cgroups, holder::Holder, leaks, runtime};
use serde_json::{Value, json};
use std::fs;

pub const CASES: &[Case] = &[
    ("state-op/no-id", || no_id("state")),
    ("state-op/unknown", || unknown(&["state"])),
    ("state-op/answers", state_is_one_document),
    ("create/no-id", create_without_id),
    ("create/no-bundle", create_without_bundle),
    ("create/duplicate-id", || duplicate(|_, second| error(second))),
    ("create/duplicate-id-creates-nothing", || duplicate(first_is_as_it_was)),
    ("create/invalid-id", || invalid_ids(|bundle, id| error(&create_as(bundle, id)))),
    ("create/invalid-id-creates-nothing", || invalid_ids(makes_nothing)),
    ("create/creates", create_makes_a_container),
    ("create/args-wait", arguments_wait),
    ("create/unappliable", || drop(unappliable().refused())),
    ("create/unappliable-creates-nothing", unappliable_creates_nothing),
    ("start/no-id", || no_id("start")),
    ("start/unknown", || unknown(&["start"])),
    ("start/running", || of_running(|bundle| error(&bundle.start()))),
    ("start/running-no-effect", || of_running(|bundle| has_no_effect(bundle, Bundle::start))),
    ("start/stopped", || of_stopped(|bundle| error(&bundle.start()))),
    ("start/stopped-no-effect", || of_stopped(start_of_stopped_has_no_effect)),
    ("start/args", start_applies_the_arguments),
    ("start/no-process", start_without_process),
    ("kill/no-id", || no_id("kill")),
    ("kill/unknown", || unknown(&["kill"])),
    ("kill/stopped", || of_stopped(|bundle| error(&bundle.kill("TERM")))),
    ("kill/stopped-no-effect", || of_stopped(|bundle| has_no_effect(bundle, |bundle| bundle.kill("KILL")))),
    ("kill/created", created_can_be_killed),
    ("kill/sends-by-name", || signal_arrives(10, &["USR1", "SIGUSR1"])),
    ("kill/sends-by-number", || signal_arrives(12, &["12"])),
    ("kill/only-the-process", kill_ends_the_process),
    ("delete/no-id", || no_id("delete")),
    ("delete/unknown", || unknown(&["delete"])),
    ("delete/running", || of_running(|bundle| error(&bundle.delete()))),
    ("delete/running-no-effect", || of_running(|bundle| has_no_effect(bundle, Bundle::delete))),
    ("delete/created", delete_of_created),
    ("delete/resources", delete_takes_all),
    ("delete/id-is-free-again", id_is_free_again),
    ("delete/foreign-namespace", joined_namespace_stays),
    ("delete/foreign-cgroup", parent_cgroup_stays),
    ("delete/foreign-files", files_stay),
];

/// Asserts an error with a message.
#[track_caller]
fn error(outcome: &Outcome) {
    assert_ne!(outcome.code, Some(0), "it succeeds: {outcome:#?}");
    assert!(!outcome.stderr.trim().is_empty(), "it fails without a word: {outcome:#?}");
}

fn no_id(verb: &str) {
    error(&bundle(&[]).call(&[verb]));
}

fn unknown(verb: &[&str]) {
    let bundle = bundle(&[]);
    error(&bundle.call(&[verb, &["no-such-container"]].concat()));
}

#[track_caller]
fn of_running(look: impl FnOnce(&Bundle)) {
    let bundle = sleeper();
    bundle.up();
    look(&bundle);
    bundle.kill_and_delete();
}

#[track_caller]
fn of_stopped(look: impl FnOnce(&Bundle)) {
    let mut bundle = bundle(&[]);
    // A second run would be seen: the file is there.
    bundle.steps(&["mkdir /tmp/ran"]);
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    look(&bundle);
    bundle.delete().ok();
}

/// The verb fails, and state tells the same before and behind it.
#[track_caller]
fn has_no_effect(bundle: &Bundle, verb: impl FnOnce(&Bundle) -> Outcome) {
    let before = bundle.state();
    error(&verb(bundle));
    assert_eq!(bundle.state(), before);
}

fn start_of_stopped_has_no_effect(bundle: &Bundle) {
    fs::remove_dir(bundle.rootfs().join("tmp/ran")).unwrap();
    has_no_effect(bundle, Bundle::start);
    assert!(!bundle.rootfs().join("tmp/ran").exists(), "the program ran again");
}

fn state_is_one_document() {
    let bundle = sleeper();
    bundle.create().ok();
    let text = bundle.call(&["state", &bundle.id]).ok().stdout;
    bundle.kill_and_delete();
    assert!(serde_json::from_str::<Value>(&text).unwrap().is_object(), "{text}");
}

fn create_without_id() {
    let bundle = bundle(&[]);
    bundle.write_config();
    error(&bundle.call(&["create", "--bundle", "bundle"]));
}

fn create_without_bundle() {
    let bundle = bundle(&[]);
    // Neither a path nor a directory with config.json to stand in.
    error(&bundle.call(&["create", &bundle.id]));
    error(&bundle.call(&["create", "--bundle", "nowhere", &bundle.id]));
}

#[track_caller]
fn duplicate(look: impl FnOnce(&Bundle, &Outcome)) {
    let first = sleeper();
    first.create().ok();
    fs::create_dir(first.dir.join("second")).unwrap();
    fs::copy(first.path().join("config.json"), first.dir.join("second/config.json")).unwrap();
    std::os::unix::fs::symlink("../bundle/rootfs", first.dir.join("second/rootfs")).unwrap();
    let pid_file = first.dir.join("second-pid").display().to_string();
    let second = first.call(&["create", "--bundle", "second", "--pid-file", &pid_file, &first.id]);
    look(&first, &second);
    first.kill_and_delete();
}

fn first_is_as_it_was(first: &Bundle, second: &Outcome) {
    error(second);
    let state = first.state();
    assert_eq!(state["pid"], first.pid());
    assert_eq!(state["bundle"].as_str().unwrap(), first.path().canonicalize().unwrap().to_str().unwrap());
    assert!(!first.dir.join("second-pid").exists(), "a second process was made");
}

fn create_as(bundle: &Bundle, id: &str) -> Outcome {
    bundle.write_config();
    bundle.call(&["create", "--bundle", "bundle", "--pid-file", &bundle.pid_file(), id])
}

#[track_caller]
fn invalid_ids(look: impl Fn(&Bundle, &str)) {
    let bundle = bundle(&[]);
    for id in ["", "..", "../up", "a/b"] {
        look(&bundle, id);
    }
}

fn makes_nothing(bundle: &Bundle, id: &str) {
    error(&create_as(bundle, id));
    assert!(!bundle.dir.join("pid").exists(), "{id:?}: a process was made");
    assert!(
        !bundle.dir.join("up").exists() && !bundle.root().join("a").exists(),
        "{id:?}: a directory was made"
    );
    leaks::assert_nothing_left(bundle);
}

fn create_makes_a_container() {
    let bundle = sleeper();
    assert_ne!(bundle.call(&["state", &bundle.id]).code, Some(0));
    bundle.create().ok();
    assert_eq!(bundle.status(), "created");
    bundle.kill_and_delete();
}

fn arguments_wait() {
    let bundle = sleeper();
    bundle.create().ok();
    let words = fs::read(format!("/proc/{}/cmdline", bundle.pid())).unwrap();
    let words = String::from_utf8_lossy(&words).replace('\0', " ");
    bundle.kill_and_delete();
    assert!(!words.starts_with("/probe"), "{words}");
}

fn unappliable_creates_nothing() {
    let bundle = unappliable();
    bundle.refused();
    assert_ne!(bundle.call(&["state", &bundle.id]).code, Some(0));
    assert!(!bundle.rootfs().join("tmp/ran").exists());
    leaks::assert_nothing_left(&bundle);
}

fn start_applies_the_arguments() {
    let answers = bundle(&["report", "write /tmp/one two words"]).play();
    assert_eq!(answers.value(0)["args"], json!(["/probe", "report", "write /tmp/one two words"]));
}

fn start_without_process() {
    let mut bundle = bundle(&[]);
    bundle.unset("/process");
    bundle.refused_by_start();
}

fn created_can_be_killed() {
    let bundle = sleeper();
    bundle.create().ok();
    bundle.kill("KILL").ok();
    let dead = runtime::dies_within(bundle.pid(), runtime::DEADLINE);
    bundle.delete_force();
    assert!(dead);
}

fn signal_arrives(number: i32, words: &[&str]) {
    for word in words {
        let bundle = bundle(&[&format!("mark /tmp/up {number}")]);
        let outcome = bundle.up();
        bundle.kill(word).ok();
        bundle.await_and_delete();
        assert_eq!(Answers::of(&outcome.later_stdout()).value(0), number, "{word}");
    }
}

fn kill_ends_the_process() {
    let bundle = sleeper();
    bundle.up();
    bundle.kill("KILL").ok();
    bundle.await_death(bundle.pid());
    assert_eq!(bundle.status(), "stopped");
    bundle.delete().ok();
}

fn delete_of_created() {
    let bundle = sleeper();
    bundle.create().ok();
    let outcome = bundle.delete();
    if outcome.code != Some(0) {
        bundle.kill_and_delete();
    }
    error(&outcome);
}

fn delete_takes_all() {
    let bundle = sleeper();
    bundle.up();
    let pid = bundle.pid();
    bundle.kill_and_delete();
    assert!(cgroups::named(&bundle.id).is_empty());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&bundle.id));
    assert!(runtime::dies_within(pid, std::time::Duration::ZERO));
    assert_ne!(bundle.call(&["state", &bundle.id]).code, Some(0));
}

fn id_is_free_again() {
    let bundle = bundle(&["report"]);
    bundle.play();
    assert_eq!(bundle.play().len(), 1);
}

fn joined_namespace_stays() {
    let holder = Holder::of("net", "--net");
    let mut bundle = sleeper();
    bundle.namespace("network", Some(&holder.path("net")));
    let before = fs::read_link(holder.path("net")).unwrap();
    bundle.up();
    bundle.kill_and_delete();
    assert_eq!(fs::read_link(holder.path("net")).unwrap(), before);
}

fn parent_cgroup_stays() {
    let mut bundle = sleeper();
    let parents: Vec<_> = cgroups::hierarchies()
        .into_iter()
        .map(|(point, _)| point.join(format!("parent-of-{}", bundle.id)))
        .collect();
    for parent in &parents {
        fs::create_dir(parent).unwrap();
    }
    let path = format!("/parent-of-{0}/{0}", bundle.id);
    bundle.set("/linux/cgroupsPath", json!(path));
    bundle.up();
    bundle.kill_and_delete();
    let left: Vec<bool> = parents.iter().map(|parent| parent.is_dir()).collect();
    for parent in &parents {
        let _ = fs::remove_dir(parent);
    }
    assert!(left.iter().all(|left| *left), "{left:?}");
}

fn files_stay() {
    let mut bundle = sleeper();
    fs::create_dir(bundle.dir.join("source")).unwrap();
    fs::write(bundle.dir.join("source/file"), "mine").unwrap();
    let source = bundle.dir.join("source").display().to_string();
    bundle.mount("/mnt", "none", &source, &["bind"]);
    bundle.up();
    bundle.kill_and_delete();
    assert_eq!(fs::read_to_string(bundle.dir.join("source/file")).unwrap(), "mine");
    assert!(bundle.path().join("config.json").exists() && bundle.rootfs().join("probe").exists());
}
