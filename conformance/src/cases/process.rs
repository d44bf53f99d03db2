//! config.md: the process, its limits, capabilities, scheduling and user; config-linux.md: personality and memory policy.

use super::Case;
use crate::play::{Answers, Play, bundle};
use crate::runner::skip;
use crate::support::{Bundle, probe::status, terminal};
use serde_json::{Value, json};
use std::fs;

pub const CASES: &[Case] = &[
    ("process/console-size-ignored", console_size_without_terminal),
    ("process/terminal", all_streams_are_the_terminal),
    ("process/console-size", console_size),
    ("process/cwd", cwd),
    ("process/cwd-absolute", || drop(bundle(&[]).set("/process/cwd", json!("tmp")).refused())),
    ("process/env", env),
    ("process/args-required", || drop(bundle(&[]).set("/process/args", json!([])).refused())),
    ("process/args-execvp", looked_up_in_path),
    ("rlimits/unknown", || {
        drop(bundle(&[]).set("/process/rlimits", json!([limit("RLIMIT_MOON", 1, 1)])).refused())
    }),
    ("rlimits/getrlimit", || assert_eq!(limits().as_object().unwrap().len(), 16)),
    ("rlimits/soft", || assert_limits(0)),
    ("rlimits/hard", || assert_limits(1)),
    ("rlimits/duplicate", duplicate_limit),
    ("capabilities/unknown-warns", unknown_capability_warns),
    ("capabilities/effective", || assert_eq!(sets_of_root("CapEff"), bits(&[5, 10, 29]))),
    ("capabilities/bounding", || assert_eq!(sets_of_root("CapBnd"), bits(&[5, 10, 29]))),
    ("capabilities/permitted", || assert_eq!(sets_of_root("CapPrm"), bits(&[5, 10, 29]))),
    ("capabilities/inheritable", || assert_eq!(sets_of_user("CapInh"), bits(&[5, 10]))),
    ("capabilities/ambient", || assert_eq!(sets_of_user("CapAmb"), bits(&[10]))),
    ("process/no-new-privileges", || assert_eq!(no_new_privileges(true), "1")),
    ("process/no-new-privileges-unset", || assert_eq!(no_new_privileges(false), "0")),
    ("process/oom-score-adj", oom_score_adj),
    ("process/oom-score-adj-unset", oom_score_adj_unset),
    ("process/scheduler-policy", scheduler_policy),
    ("process/scheduler-nice", scheduler_nice),
    ("process/io-priority", io_priority),
    ("process/apparmor", || label("apparmorProfile", "no-such-profile", "/sys/kernel/security/apparmor")),
    ("process/selinux", || label("selinuxLabel", "system_u:system_r:no_such_t:s0", "/sys/fs/selinux")),
    ("user/uid", || assert_eq!(user()["uid"], 1234)),
    ("user/gid", || assert_eq!(user()["gid"], 5678)),
    ("user/additional-gids", additional_gids),
    ("user/umask", umask),
    ("personality", personality),
    ("memory-policy/applied", memory_policy),
    ("memory-policy/invalid", || {
        drop(bundle(&[]).set("/linux/memoryPolicy", json!({ "mode": "MPOL_MOON" })).refused())
    }),
];

fn console_size_without_terminal() {
    let mut bundle = bundle(&["terminal"]);
    bundle.set("/process/consoleSize", json!({ "height": 10, "width": 20 }));
    assert_eq!(bundle.play().value(0)["streams"], json!([false, false, false]));
}

/// One life on a terminal, whose master comes over a console socket.
#[track_caller]
pub fn play_on_terminal(bundle: &mut Bundle) -> Answers {
    bundle.set("/process/terminal", json!(true));
    let socket = bundle.dir.join("console");
    let listener = terminal::listen(&socket);
    bundle.create_with(&["--console-socket", socket.to_str().unwrap()]).ok();
    let console = terminal::receive(&listener);
    bundle.start().ok();
    bundle.await_death(bundle.pid());
    let screen = terminal::drain(console.descriptors.into_iter().next().unwrap());
    bundle.delete().ok();
    Answers::of(&screen)
}

fn all_streams_are_the_terminal() {
    let answers = play_on_terminal(&mut bundle(&["terminal"]));
    assert_eq!(answers.value(0)["streams"], json!([true, true, true]));
}

fn console_size() {
    let mut bundle = bundle(&["terminal"]);
    bundle.set("/process/consoleSize", json!({ "height": 33, "width": 77 }));
    let answers = play_on_terminal(&mut bundle);
    assert_eq!((&answers.value(0)["rows"], &answers.value(0)["columns"]), (&json!(33), &json!(77)));
}

fn cwd() {
    let mut bundle = bundle(&["report"]);
    bundle.set("/process/cwd", json!("/tmp"));
    assert_eq!(bundle.play().value(0)["cwd"], "/tmp");
}

fn env() {
    let mut bundle = bundle(&["report"]);
    bundle.set("/process/env", json!(["PATH=/", "A=b c", "EMPTY=", "HOME=/tmp"]));
    assert_eq!(bundle.play().value(0)["env"], json!(["PATH=/", "A=b c", "EMPTY=", "HOME=/tmp"]));
}

fn looked_up_in_path() {
    let mut bundle = bundle(&[]);
    bundle.set("/process/args", json!(["probe", "report"])).set("/process/env", json!(["PATH=/tmp:/:/mnt"]));
    assert_eq!(bundle.play().value(0)["args"], json!(["probe", "report"]));
}

fn limit(kind: &str, soft: u64, hard: u64) -> Value {
    json!({ "type": kind, "soft": soft, "hard": hard })
}

/// Soft and hard limits that anybody may set, and that no program of ours runs into.
const LIMITS: [(&str, u64, u64); 16] = [
    ("RLIMIT_AS", 4 << 30, 5 << 30),
    ("RLIMIT_CORE", 0, 4096),
    ("RLIMIT_CPU", 1000, 2000),
    ("RLIMIT_DATA", 4 << 30, 5 << 30),
    ("RLIMIT_FSIZE", 1 << 30, 2 << 30),
    ("RLIMIT_LOCKS", 500, 600),
    ("RLIMIT_MEMLOCK", 4096, 8192),
    ("RLIMIT_MSGQUEUE", 1000, 2000),
    ("RLIMIT_NICE", 0, 0),
    ("RLIMIT_NOFILE", 200, 300),
    ("RLIMIT_NPROC", 1000, 1100),
    ("RLIMIT_RSS", 1 << 30, 2 << 30),
    ("RLIMIT_RTPRIO", 0, 0),
    ("RLIMIT_RTTIME", 1_000_000, 2_000_000),
    ("RLIMIT_SIGPENDING", 100, 200),
    ("RLIMIT_STACK", 4 << 20, 8 << 20),
];

#[track_caller]
fn limits() -> Value {
    let mut bundle = bundle(&["limits"]);
    bundle.set("/process/rlimits", json!(LIMITS.map(|(kind, soft, hard)| limit(kind, soft, hard))));
    bundle.play().value(0).clone()
}

#[track_caller]
fn assert_limits(side: usize) {
    let seen = limits();
    for (kind, soft, hard) in LIMITS {
        assert_eq!(seen[kind][side], [soft, hard][side], "{kind}");
    }
}

fn duplicate_limit() {
    // The second one lowers: to raise a hard limit again takes a capability that a machine may lack.
    let twice = json!([limit("RLIMIT_NOFILE", 300, 400), limit("RLIMIT_NOFILE", 100, 200)]);
    bundle(&[]).set("/process/rlimits", twice).refused();
}

fn unknown_capability_warns() {
    let mut bundle = bundle(&["report"]);
    bundle.capability("CAP_OF_NOBODY");
    let outcome = bundle.create();
    let said = outcome.stderr.clone();
    outcome.ok();
    bundle.start().ok();
    bundle.await_and_delete();
    assert!(said.contains("CAP_OF_NOBODY"), "{said:?}");
}

fn bits(numbers: &[u32]) -> String {
    format!("{:016x}", numbers.iter().fold(0_u64, |set, number| set | 1 << number))
}

/// CAP_KILL (5), CAP_NET_BIND_SERVICE (10) and CAP_AUDIT_WRITE (29), which the suite's bundles have anyway.
#[track_caller]
fn sets_of_root(field: &str) -> String {
    let answers = bundle(&["read /proc/self/status"]).play();
    status(answers.text(0), field).to_owned()
}

/// The sets that only show in a program of an ordinary user.
#[track_caller]
fn sets_of_user(field: &str) -> String {
    let mut bundle = bundle(&["read /proc/self/status"]);
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.set("/process/capabilities/inheritable", json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]));
    bundle.set("/process/capabilities/ambient", json!(["CAP_NET_BIND_SERVICE"]));
    status(bundle.play().text(0), field).to_owned()
}

#[track_caller]
fn no_new_privileges(wanted: bool) -> String {
    let mut bundle = bundle(&["read /proc/self/status"]);
    bundle.set("/process/noNewPrivileges", json!(wanted));
    status(bundle.play().text(0), "NoNewPrivs").to_owned()
}

fn oom_score_adj() {
    let mut bundle = bundle(&["read /proc/self/oom_score_adj"]);
    bundle.set("/process/oomScoreAdj", json!(333));
    assert_eq!(bundle.play().text(0).trim(), "333");
}

fn oom_score_adj_unset() {
    let bundle = bundle(&["read /proc/self/oom_score_adj"]);
    let wrapper = ["sh", "-e", "-c", "echo 222 >/proc/self/oom_score_adj; exec \"$@\"", "sh"];
    assert_eq!(bundle.play_under(&wrapper).text(0).trim(), "222");
}

fn scheduler_policy() {
    let mut bundle = bundle(&["scheduling"]);
    bundle.set("/process/scheduler", json!({ "policy": "SCHED_BATCH" }));
    assert_eq!(bundle.play().value(0)["policy"], libc::SCHED_BATCH);
}

fn scheduler_nice() {
    for (nice, seen) in [(Some(7), 7), (None, 0)] {
        let mut bundle = bundle(&["scheduling"]);
        bundle.set("/process/scheduler", json!({ "policy": "SCHED_OTHER" }));
        if let Some(nice) = nice {
            bundle.set("/process/scheduler/nice", json!(nice));
        }
        let wrapper = ["nice", "-n", "3"];
        // The caller's nice value is another, so that 0 is seen to be set.
        assert_eq!(bundle.play_under(&wrapper).value(0)["nice"], seen);
    }
}

fn io_priority() {
    let mut bundle = bundle(&["scheduling"]);
    bundle.set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }));
    let answers = bundle.play();
    assert_eq!((&answers.value(0)["io_class"], &answers.value(0)["io_priority"]), (&json!(2), &json!(6)));
}

/// A label that does not exist is refused, whether the security module is there or not.
fn label(member: &str, value: &str, module: &str) {
    let mut bundle = bundle(&[]);
    bundle.set(&format!("/process/{member}"), json!(value));
    let created = bundle.create();
    let started = (created.code == Some(0)).then(|| bundle.start());
    bundle.delete_force();
    let failed = created.code != Some(0) || started.is_some_and(|started| started.code != Some(0));
    if !failed && fs::metadata(module).is_err() {
        skip("the machine lacks the security module, and the runtime ignores the label there");
    }
    assert!(failed, "a label that does not exist is taken");
}

#[track_caller]
fn user() -> Value {
    let mut bundle = bundle(&["report"]);
    bundle.set("/process/user", json!({ "uid": 1234, "gid": 5678, "additionalGids": [77, 88] }));
    bundle.play().value(0).clone()
}

fn additional_gids() {
    let mut groups: Vec<u64> =
        user()["groups"].as_array().unwrap().iter().map(|gid| gid.as_u64().unwrap()).collect();
    // Whether the kernel's list holds the first group too is the runtime's affair.
    groups.retain(|gid| *gid != 5678);
    assert_eq!(groups, [77, 88]);
}

fn umask() {
    let mut bundle = bundle(&["report"]);
    bundle.set("/process/user/umask", json!(0o027));
    assert_eq!(bundle.play().value(0)["umask"], 0o027);
}

fn personality() {
    let mut bundle = bundle(&["uname", &format!("call {} 4294967295", libc::SYS_personality)]);
    bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
    if !cfg!(target_arch = "x86_64") {
        skip("the name of the 32-bit machine is known for x86-64 alone");
    }
    let answers = bundle.play();
    assert_eq!(answers.value(1), 8);
    // A kernel without 32-bit programs (user-mode Linux) has one name for its machine.
    let renamed = std::process::Command::new("setarch").args(["i686", "uname", "-m"]).output();
    if renamed.is_ok_and(|output| output.stdout == b"i686\n") {
        assert_eq!(answers.value(0)["machine"], "i686");
    }
}

fn memory_policy() {
    let mut bundle = bundle(&["memory-policy"]);
    if crate::play::bundle(&["memory-policy"]).play().errno(0) == libc::ENOSYS {
        skip("the kernel knows no memory policies");
    }
    bundle.set("/linux/memoryPolicy", json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }));
    assert_eq!(bundle.play().value(0), &json!({ "mode": libc::MPOL_INTERLEAVE, "nodes": 1 }));
}
