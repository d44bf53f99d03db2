//! config-linux.md: seccomp, its actions, operators and errnos. The call that is filtered is getsid(2) in a process of its
//! own: nobody else calls it, and it takes a number.

use super::Case;
use crate::play::{Play, bundle};
use crate::support::Bundle;
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const CASES: &[Case] = &[
    ("seccomp/default-action", default_action),
    ("seccomp/action-kill", || assert_eq!(action("SCMP_ACT_KILL"), Fate::Killed)),
    ("seccomp/action-kill_process", || assert_eq!(action("SCMP_ACT_KILL_PROCESS"), Fate::Killed)),
    ("seccomp/action-kill_thread", || assert_eq!(action("SCMP_ACT_KILL_THREAD"), Fate::Killed)),
    ("seccomp/action-trap", || assert_eq!(action("SCMP_ACT_TRAP"), Fate::Killed)),
    ("seccomp/action-errno", || assert_eq!(action("SCMP_ACT_ERRNO"), Fate::Errno(libc::EPERM))),
    ("seccomp/action-trace", || assert_eq!(action("SCMP_ACT_TRACE"), Fate::Errno(libc::ENOSYS))),
    ("seccomp/action-allow", action_allow),
    ("seccomp/action-log", || assert_eq!(action("SCMP_ACT_LOG"), Fate::Passed)),
    ("seccomp/operator-ne", || operator("SCMP_CMP_NE", (5, 0), &[4, 6], &[5])),
    ("seccomp/operator-lt", || operator("SCMP_CMP_LT", (5, 0), &[4, 1], &[5, 6])),
    ("seccomp/operator-le", || operator("SCMP_CMP_LE", (5, 0), &[4, 5], &[6])),
    ("seccomp/operator-eq", || operator("SCMP_CMP_EQ", (5, 0), &[5], &[4, 6])),
    ("seccomp/operator-ge", || operator("SCMP_CMP_GE", (5, 0), &[5, 6], &[4])),
    ("seccomp/operator-gt", || operator("SCMP_CMP_GT", (5, 0), &[6], &[4, 5])),
    ("seccomp/operator-masked_eq", || {
        operator("SCMP_CMP_MASKED_EQ", (0xf0, 0x50), &[0x50, 0x5f, 0x153], &[0x40, 5])
    }),
    ("seccomp/errno-ret", errno_ret),
    ("seccomp/default-errno-ret", default_errno_ret),
    ("seccomp/errno-ret-misplaced", errno_ret_misplaced),
    ("seccomp/default-errno-ret-misplaced", default_errno_ret_misplaced),
    ("seccomp/names", every_name),
];

/// What came of a filtered call.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Passed,
    Errno(i32),
    Killed,
}

/// A step that makes the call with an argument, where it may be killed.
fn call(number: i64, argument: i64) -> String {
    format!("spawn call {number} {argument}")
}

#[track_caller]
fn fate(answer: &Value) -> Fate {
    if answer["signal"] == libc::SIGSYS {
        return Fate::Killed;
    }
    let line: Value = serde_json::from_str(answer["stdout"].as_str().unwrap()).expect("the probe's line");
    line.get("errno")
        .map_or(Fate::Passed, |errno| Fate::Errno(i32::try_from(errno.as_i64().unwrap()).unwrap()))
}

/// A bundle with a profile that allows but for the rule.
fn with_rule(rule: Value) -> Bundle {
    let mut bundle = bundle(&[]);
    bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule] }));
    bundle
}

#[track_caller]
fn action(action: &str) -> Fate {
    let mut bundle = with_rule(json!({ "names": ["getsid"], "action": action }));
    fate(bundle.ask(&[&call(libc::SYS_getsid, 0)]).value(0))
}

/// Every call that docker's profile ever allows, with getsid(2) or without; all others are refused.
fn allow_list(with_getsid: bool) -> Value {
    let profile = include_str!("../../../tests/fixtures/seccomp/docker.json");
    let profile: Value = serde_json::from_str(profile).unwrap();
    let rules = profile["syscalls"].as_array().unwrap().iter();
    let allowed = rules.filter(|rule| rule["action"] == "SCMP_ACT_ALLOW");
    let names = allowed.flat_map(|rule| rule["names"].as_array().unwrap());
    let names: BTreeSet<&str> =
        names.filter_map(Value::as_str).filter(|name| with_getsid || *name != "getsid").collect();
    let rule = json!({ "names": names, "action": "SCMP_ACT_ALLOW" });
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] })
}

#[track_caller]
fn under(profile: Value) -> Fate {
    let mut bundle = bundle(&[]);
    bundle.set("/linux/seccomp", profile);
    fate(bundle.ask(&[&call(libc::SYS_getsid, 0)]).value(0))
}

fn default_action() {
    assert_eq!(under(allow_list(false)), Fate::Errno(libc::EPERM));
}

fn action_allow() {
    assert_eq!(under(allow_list(true)), Fate::Passed);
}

/// An errno that getsid(2) does not know.
const ODD: i32 = libc::EXDEV;

fn operator(op: &str, (value, second): (u64, u64), matching: &[i64], others: &[i64]) {
    let argument = json!({ "index": 0, "value": value, "valueTwo": second, "op": op });
    let mut bundle = with_rule(
        json!({ "names": ["getsid"], "action": "SCMP_ACT_ERRNO", "errnoRet": ODD, "args": [argument] }),
    );
    let steps: Vec<String> =
        matching.iter().chain(others).map(|argument| call(libc::SYS_getsid, *argument)).collect();
    let answers = bundle.ask(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    for (step, argument) in matching.iter().chain(others).enumerate() {
        let hit = fate(answers.value(step)) == Fate::Errno(ODD);
        assert_eq!(hit, step < matching.len(), "{op} {value} with {argument}");
    }
}

fn errno_ret() {
    let mut bundle = with_rule(json!({ "names": ["getsid"], "action": "SCMP_ACT_ERRNO", "errnoRet": ODD }));
    assert_eq!(fate(bundle.ask(&[&call(libc::SYS_getsid, 0)]).value(0)), Fate::Errno(ODD));
}

fn default_errno_ret() {
    let mut profile = allow_list(false);
    profile["defaultErrnoRet"] = json!(ODD);
    assert_eq!(under(profile), Fate::Errno(ODD));
}

fn errno_ret_misplaced() {
    with_rule(json!({ "names": ["getsid"], "action": "SCMP_ACT_KILL", "errnoRet": ODD })).refused();
}

fn default_errno_ret_misplaced() {
    let mut bundle = bundle(&[]);
    bundle
        .set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": ODD }))
        .refused();
}

fn every_name() {
    let mut bundle =
        with_rule(json!({ "names": ["getsid", "getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": ODD }));
    let answers =
        bundle.ask(&[&call(libc::SYS_getsid, 0), &call(libc::SYS_getpgid, 0), &call(libc::SYS_getppid, 0)]);
    let fates = [0, 1, 2].map(|step| fate(answers.value(step)));
    assert_eq!(fates, [Fate::Errno(ODD), Fate::Errno(ODD), Fate::Passed]);
}
