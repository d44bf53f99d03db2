//! `SCMP_ACT_NOTIFY`, `listenerPath` and `listenerMetadata`: an agent decides what a call answers.
//!
//! Sources: config-linux.md ("Seccomp", "The Container Process State"), seccomp_unotify(2); L22 of `config-checklist.md`.
#![cfg(target_arch = "x86_64")]

mod support;

#[path = "support/agent.rs"]
mod agent;

use agent::{Agent, Question};
use serde_json::{Value, json};
use support::{Bundle, leaks, skip_on_peer};

/// A bundle that asks the agent about the calls.
fn asking(calls: &[&str], script: &str) -> Bundle {
    let mut bundle = Bundle::sh(script);
    let path = bundle.dir.join("agent.sock");
    bundle.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "the metadata",
            "syscalls": [{ "names": calls, "action": "SCMP_ACT_NOTIFY" }]
        }),
    );
    bundle
}

fn agent_of(bundle: &Bundle) -> Agent {
    Agent::at(&bundle.dir.join("agent.sock"))
}

fn texts(questions: &[Question]) -> Vec<&str> {
    questions.iter().map(|question| question.text.as_str()).collect()
}

const MAKE_TWO: &str = "mkdir /tmp/made; echo $?; mkdir /tmp/denied 2>/dev/null; echo $?; ls /tmp";

#[test]
fn l22_agent_answers_the_calls_of_run() {
    for no_new_privileges in [true, false] {
        let mut bundle = asking(&["mkdir", "mkdirat"], MAKE_TWO);
        bundle.set("/process/noNewPrivileges", json!(no_new_privileges));
        let agent = agent_of(&bundle);
        assert_eq!(bundle.run().ok().stdout, "0\n1\nmade\n", "{no_new_privileges}");
        assert_eq!(texts(&agent.seen().questions), ["/tmp/made", "/tmp/denied"]);
    }
}

#[test]
fn l22_agent_is_told_the_container_process_state() {
    let mut bundle = asking(&["mkdir", "mkdirat"], MAKE_TWO);
    bundle.set("/annotations", json!({ "big": "x".repeat(300_000) }));
    let agent = agent_of(&bundle);
    bundle.create().ok();
    let pid = json!(bundle.pid());
    bundle.start().ok();
    bundle.await_and_delete();
    let seen = agent.seen();
    let state = &seen.state;
    assert_eq!(texts(&seen.questions), ["/tmp/made", "/tmp/denied"]);
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert_eq!(state["metadata"], "the metadata");
    assert_eq!((&state["pid"], &state["state"]["pid"]), (&pid, &pid));
    assert_eq!(state["state"]["id"], bundle.id.as_str());
    assert_eq!(state["state"]["bundle"], bundle.path().to_str().unwrap());
    assert_eq!(state["state"]["status"], "creating");
    assert_eq!(state["state"]["annotations"]["big"].as_str().map(str::len), Some(300_000));
    assert!(state["ociVersion"].is_string() && state["state"]["ociVersion"].is_string());
}

#[test]
fn l22_agent_is_told_of_a_process_of_exec_beside_the_running_container() {
    let bundle = asking(&["mkdir", "mkdirat"], "exec sleep 100");
    let first = agent_of(&bundle);
    bundle.run_detached();
    std::fs::remove_file(bundle.dir.join("agent.sock")).unwrap();
    let second = agent_of(&bundle);
    let output = bundle.exec(&["--pid-file", "exec.pid"], &["sh", "-c", MAKE_TWO]).ok().stdout;
    assert_eq!(output, "0\n1\nmade\n");
    let seen = second.seen();
    assert_eq!(texts(&seen.questions), ["/tmp/made", "/tmp/denied"]);
    let pid = std::fs::read_to_string(bundle.dir.join("exec.pid")).unwrap().parse::<i32>().unwrap();
    assert_eq!((&seen.state["pid"], &seen.state["state"]["pid"]), (&json!(pid), &json!(bundle.pid())));
    assert_eq!(seen.state["state"]["status"], "running");
    bundle.kill_and_delete();
    assert!(first.seen().questions.is_empty());
}

#[test]
fn l22_agent_has_the_listener_before_the_program_runs() {
    // It is asked about the execve(2) of init itself, and about all that init still reads.
    let bundle = asking(&["execve", "read"], "true");
    let agent = agent_of(&bundle);
    bundle.create().ok();
    bundle.start().ok();
    bundle.await_and_delete();
    let calls: Vec<String> = agent.seen().questions.into_iter().map(|question| question.call).collect();
    assert!(calls.contains(&"execve".to_owned()), "{calls:?}");
}

#[test]
fn l22_agent_in_a_user_namespace_and_with_hooks_inside() {
    if skip_on_peer("runc 1.1 loads the filter before the hook") {
        return;
    }
    let mut bundle = asking(&["mkdir", "mkdirat"], MAKE_TWO);
    bundle.user_namespace(100_000, 65_536);
    bundle.executable("hook", "#!/bin/sh\nmkdir /tmp/by-hook-denied\n");
    bundle.push("/hooks/startContainer", json!({ "path": "/hook" }));
    let agent = agent_of(&bundle);
    // The hook is not under the filter.
    assert_eq!(bundle.run().ok().stdout, "0\n1\nby-hook-denied\nmade\n");
    assert_eq!(texts(&agent.seen().questions), ["/tmp/made", "/tmp/denied"]);
}

#[test]
fn l22_agent_that_is_not_there_ends_the_container() {
    let bundle = asking(&["mkdir", "exit_group"], "true");
    let path = bundle.dir.join("agent.sock");
    let words = format!("linux.seccomp.listenerPath: {}: missing", path.display());
    if skip_on_peer("runc loads the filter at create") {
        return;
    }
    bundle.create().ok();
    bundle.start().fails(&words);
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
    bundle.run().fails(&words);
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l22_filter_that_keeps_init_from_reporting_ends_the_container() {
    if skip_on_peer("runc hangs or says EPERM") {
        return;
    }
    let mut bundle = asking(&["exit_group"], "true");
    bundle.push("/linux/seccomp/syscalls", json!({ "names": ["write"], "action": "SCMP_ACT_ERRNO" }));
    let agent = agent_of(&bundle);
    bundle.create().ok();
    let outcome = bundle.start();
    // sendto(2) is allowed, so that the reason arrives.
    outcome.fails("linux.seccomp: load the seccomp program: hand over the listener: operation not permitted");
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
    // Nobody ever came.
    drop(agent);
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn l22_what_cannot_be_notified_is_refused_with_its_place() {
    let write = json!([{ "names": ["read", "write"], "action": "SCMP_ACT_NOTIFY" }]);
    let table: [(&str, Value, &str); 3] = [
        (
            "/linux/seccomp/syscalls",
            write,
            "linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for write",
        ),
        (
            "/linux/seccomp/defaultAction",
            json!("SCMP_ACT_NOTIFY"),
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default action",
        ),
        (
            "/linux/seccomp/listenerPath",
            json!(""),
            "linux.seccomp.listenerPath: missing, but syscalls[0] is SCMP_ACT_NOTIFY",
        ),
    ];
    for (place, value, words) in table {
        if skip_on_peer("runc has other words") {
            return;
        }
        let mut bundle = asking(&["mkdir"], "true");
        bundle.set(place, value);
        bundle.create().fails(words);
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn l22_path_that_no_rule_needs_is_ignored() {
    let mut bundle = asking(&["mkdir"], "echo ran");
    bundle.set("/linux/seccomp/syscalls", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" }]));
    assert_eq!(bundle.run().ok().stdout, "ran\n");
}
