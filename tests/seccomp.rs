//! Seccomp as the payload meets it: actions, operators, flags, and Docker's profile, asked by a program that does raw
//! system calls. How the filter is compiled is tested beside the compiler.
#![cfg(target_arch = "x86_64")]

mod support;

use serde_json::{Value, json};
use std::fs;
use support::elf::{Call, prober};
use support::{Bundle, leaks, probe, profiles, skip_on_peer};

const EPERM: u8 = 1;
const EBADF: u8 = 9;
const ENOSYS: u8 = 38;

/// Calls with one argument that is a descriptor which is not open: EBADF unless the filter answers.
const FSYNC: u32 = 74;
const DUP: u32 = 32;

fn one(number: u32, arg: u64) -> Call {
    Call(number, [arg, 0, 0, 0, 0, 0])
}

/// A bundle that asks the calls under a filter.
fn asking(seccomp: Value, calls: &[Call]) -> Bundle {
    let mut bundle = Bundle::new();
    bundle.set("/linux/seccomp", seccomp).set("/process/args", json!(["/probe"]));
    bundle.executable("probe", "");
    fs::write(bundle.rootfs().join("probe"), prober(calls)).unwrap();
    bundle
}

/// What the calls answer.
fn answers(seccomp: Value, calls: &[Call]) -> Vec<u8> {
    asking(seccomp, calls).run().ok().stdout.into_bytes()
}

fn deny(rules: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules })
}

#[test]
fn actions_do_what_they_say() {
    // L19, L21
    for (action, answer) in [
        (json!({ "action": "SCMP_ACT_ERRNO" }), EPERM),
        (json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }), 13),
        (json!({ "action": "SCMP_ACT_ERRNO", "errnoRet": 0 }), 0),
        (json!({ "action": "SCMP_ACT_TRACE" }), ENOSYS),
        (json!({ "action": "SCMP_ACT_LOG" }), EBADF),
        (json!({ "action": "SCMP_ACT_ALLOW" }), EBADF),
    ] {
        let mut rule = action.clone();
        rule["names"] = json!(["dup"]);
        // A default that differs from ALLOW, so that the rule ALLOW says something.
        let filter = json!({ "defaultAction": if action["action"] == "SCMP_ACT_ALLOW" { "SCMP_ACT_LOG" } else { "SCMP_ACT_ALLOW" }, "syscalls": [rule] });
        assert_eq!(answers(filter, &[one(DUP, 900)]), [answer], "{action}");
    }
}

#[test]
fn kill_and_trap_end_the_payload_by_sigsys() {
    // L19
    for action in ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"] {
        let bundle = asking(deny(json!([{ "names": ["dup"], "action": action }])), &[one(DUP, 900)]);
        assert_eq!(bundle.run().code, Some(128 + 31), "{action}");
    }
}

/// Operator, call, value, second value; then arguments that match and that do not.
type Operator = (&'static str, &'static str, u32, u64, u64, &'static [u64], &'static [u64]);

const HIGH: u64 = 1 << 32;

const OPERATORS: &[Operator] = &[
    ("SCMP_CMP_EQ", "fsync", 74, 1000, 0, &[1000], &[999, 1001, HIGH + 1000]),
    ("SCMP_CMP_NE", "fdatasync", 75, 1000, 0, &[999, 1001, HIGH + 1000], &[1000]),
    ("SCMP_CMP_LT", "fchdir", 81, HIGH + 1000, 0, &[999, 2000, HIGH + 999], &[HIGH + 1000, 2 * HIGH + 5]),
    ("SCMP_CMP_LE", "fchown", 93, 1000, 0, &[999, 1000], &[1001, HIGH + 999]),
    (
        "SCMP_CMP_GT",
        "ftruncate",
        77,
        HIGH + 1000,
        0,
        &[HIGH + 1001, 2 * HIGH + 900],
        &[999, 2000, HIGH + 1000],
    ),
    ("SCMP_CMP_GE", "syncfs", 306, 1000, 0, &[1000, 1001, HIGH + 900], &[999]),
    ("SCMP_CMP_MASKED_EQ", "fchmod", 91, 0xff00, 0x1200, &[0x1200, 0x12ff, HIGH + 0x1234], &[0x1300, 0x3412]),
    ("SCMP_CMP_EQ", "dup", 32, 3 * HIGH + 1000, 0, &[3 * HIGH + 1000], &[1000, HIGH + 1000]),
];

#[test]
fn operators_compare_64_bits_without_a_sign() {
    // L19
    let (mut rules, mut calls, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for (op, name, number, value, second, matching, others) in OPERATORS {
        let mut arg = json!({ "index": 0, "value": value, "op": op });
        if *second != 0 {
            arg["valueTwo"] = json!(second);
        }
        rules.push(json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 42, "args": [arg] }));
        calls.extend(matching.iter().chain(*others).map(|arg| one(*number, *arg)));
        expected.extend(matching.iter().map(|_| 42).chain(others.iter().map(|_| EBADF)));
    }
    let seen = answers(deny(json!(rules)), &calls);
    for ((call, seen), expected) in calls.iter().zip(&seen).zip(&expected) {
        assert_eq!(seen, expected, "{call:x?}");
    }
    assert_eq!(seen.len(), expected.len());
}

#[test]
fn rules_on_different_arguments_are_and_and_on_the_same_one_or() {
    // L19
    let args = |list: &[(u32, u64)]| {
        let list =
            list.iter().map(|(index, value)| json!({ "index": index, "value": value, "op": "SCMP_CMP_EQ" }));
        list.collect::<Vec<_>>()
    };
    let filter = deny(json!([
        { "names": ["fchmod"], "action": "SCMP_ACT_ERRNO", "args": args(&[(0, 500), (1, 7)]) },
        { "names": ["dup"], "action": "SCMP_ACT_ERRNO", "args": args(&[(0, 500), (0, 600)]) }
    ]));
    let fchmod = |fd, mode| Call(91, [fd, mode, 0, 0, 0, 0]);
    let calls = [fchmod(500, 7), fchmod(500, 8), fchmod(501, 7), one(DUP, 500), one(DUP, 600), one(DUP, 700)];
    assert_eq!(answers(filter, &calls), [EPERM, EBADF, EBADF, EPERM, EPERM, EBADF]);
}

#[test]
fn filter_is_on_whatever_no_new_privileges_says() {
    // B11, L19
    for value in [true, false] {
        let mut bundle = Bundle::new();
        bundle.set("/process/noNewPrivileges", json!(value));
        bundle.set("/linux/seccomp", deny(json!([{ "names": ["dup"], "action": "SCMP_ACT_LOG" }])));
        let output = bundle.payload("cat /proc/self/status");
        assert_eq!(probe::status(&output, "Seccomp"), "2");
        assert_eq!(probe::status(&output, "NoNewPrivs"), if value { "1" } else { "0" });
    }
}

#[test]
fn l16_personality_is_set_before_the_filter() {
    if skip_on_peer("runc 1.1 has no personality") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
    bundle.set("/linux/seccomp", deny(json!([{ "names": ["personality"], "action": "SCMP_ACT_ERRNO" }])));
    assert_eq!(bundle.payload("uname -m"), "i686\n");
}

#[test]
fn l20_speculation_is_as_the_flags_say() {
    // Absent flags are not an empty list: seccomp(2) turns the store bypass off unless it is told not to.
    if skip_on_peer("runc 1.1 has no flags") {
        return;
    }
    let own = fs::read_to_string("/proc/self/status").unwrap();
    if probe::status(&own, "Speculation_Store_Bypass") != "thread vulnerable" {
        eprintln!("skipped: this processor or kernel does not tell the difference");
        return;
    }
    for (flags, seen) in [(None, "thread vulnerable"), (Some(json!([])), "thread force mitigated")] {
        let mut filter = deny(json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO" }]));
        if let Some(flags) = flags {
            filter["flags"] = flags;
        }
        let mut bundle = Bundle::new();
        bundle.set("/linux/seccomp", filter);
        let status = bundle.payload("cat /proc/self/status");
        assert_eq!(probe::status(&status, "Speculation_Store_Bypass"), seen);
    }
}

#[test]
fn l21_errno_where_the_action_takes_none_is_refused() {
    let rule = json!([{ "names": ["dup"], "action": "SCMP_ACT_TRAP", "errnoRet": 5 }]);
    let bundle = asking(deny(rule), &[]);
    if skip_on_peer("runc ignores it") {
        return;
    }
    bundle.create().fails("linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_TRAP takes no errno");
    let mut filter = deny(json!([]));
    filter["defaultErrnoRet"] = json!(5);
    let words = "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no errno";
    asking(filter, &[]).create().fails(words);
}

#[test]
fn empty_filter_is_no_filter() {
    // L19
    let mut bundle = Bundle::new();
    bundle.set("/linux/seccomp", json!({}));
    assert_eq!(probe::status(&bundle.payload("cat /proc/self/status"), "Seccomp"), "0");
}

#[test]
fn l19_filter_that_denies_execve_is_refused() {
    // Kubernetes' tutorial has the first one.
    for filter in [
        json!({ "defaultAction": "SCMP_ACT_ERRNO" }),
        json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS", "architectures": ["SCMP_ARCH_X86_64"] }),
        deny(json!([{ "names": ["execve"], "action": "SCMP_ACT_ERRNO" }])),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/linux/seccomp", filter);
        let words =
            if skip_on_peer("runc says that init is dead") { "" } else { "linux.seccomp: execve is denied" };
        bundle.run().fails(words);
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn filter_that_lets_only_execve_through_ends_the_container_when_that_fails() {
    // Not even exit_group(2) works there: init must not try it for ever.
    let mut bundle = Bundle::new();
    bundle.executable("script", "#!/no/such/interpreter\n");
    let rules = json!([{ "names": ["execve"], "action": "SCMP_ACT_ALLOW" }]);
    bundle.set("/process/args", json!(["/script"]));
    bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules }));
    let outcome = bundle.run();
    assert!(outcome.code != Some(0), "{outcome:#?}");
    bundle.delete_force();
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn program_that_cannot_be_executed_is_told_of_also_where_the_filter_silences_init() {
    if skip_on_peer("nothing is said there") {
        return;
    }
    let words = "linux.seccomp: the program was not executed, and the filter keeps init from saying why";
    for action in ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] {
        let mut bundle = Bundle::new();
        bundle.executable("script", "#!/no/such/interpreter\n");
        let rules = json!([{ "names": ["write", "sendto", "exit_group"], "action": action }]);
        bundle.set("/linux/seccomp", deny(rules)).set("/process/args", json!(["/script"]));
        bundle.run().fails(words);
        leaks::assert_nothing_left(&bundle);
        bundle.create().ok();
        let outcome = bundle.start();
        // Whoever has adopted init may have waited for it before `start` can look, as systemd does on its host.
        if outcome.code == Some(0) {
            assert_eq!(bundle.status(), "stopped");
        } else {
            outcome.fails(words);
        }
        bundle.delete().ok();
        // A program that wants none of them runs, and another one beside it is told of.
        bundle.set("/process/args", json!(["sleep", "100"]));
        bundle.run_detached();
        bundle.exec(&[], &["/script"]).fails_with(255, words);
        bundle.exec(&["--detach"], &["sleep", "1"]).ok();
        bundle.kill_and_delete();
    }
}

#[test]
fn unknown_names_of_calls_are_skipped() {
    // L19
    let filter = deny(json!([{ "names": ["no_such_call", "dup", "nor_this"], "action": "SCMP_ACT_ERRNO" }]));
    assert_eq!(answers(filter, &[one(DUP, 900)]), [EPERM]);
}

#[test]
fn flags_are_taken_and_unknown_ones_refused() {
    // L20
    if skip_on_peer("runc 1.1 has no flags") {
        return;
    }
    let with_flags = |flags: Value| {
        let mut filter = deny(json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO" }]));
        filter["flags"] = flags;
        filter
    };
    let known = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"];
    for flags in [json!([]), json!(known)] {
        assert_eq!(answers(with_flags(flags), &[one(DUP, 900)]), [EPERM]);
    }
    let bundle = asking(with_flags(json!(["SECCOMP_FILTER_FLAG_NOPE"])), &[]);
    bundle.create().fails("SECCOMP_FILTER_FLAG_NOPE");
    leaks::assert_nothing_left(&bundle);
}

/// What the program needs, and what the peers' init does between the filter and the exec.
const NEEDED: &str = "execve execveat write exit exit_group close_range close futex openat open read fstat newfstatat \
    statx fstatfs getdents64 lseek fcntl getppid getpid gettid epoll_ctl epoll_pwait ppoll recvmsg sendmsg \
    rt_sigprocmask rt_sigaction rt_sigreturn sigaltstack mmap munmap madvise nanosleep chdir fchdir prctl";

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    // L19, D16: glibc falls back on ENOSYS, not on EPERM.
    let filter = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": NEEDED.split(' ').collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" }]
    });
    assert_eq!(answers(filter, &[one(FSYNC, 900), one(5000, 0)]), [EPERM, ENOSYS]);
}

#[test]
fn l19_failure_under_the_filter_reaches_the_caller() {
    if skip_on_peer("runc says nothing") {
        return;
    }
    // NEEDED has no sendto, which is how init reports otherwise.
    let filter = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": NEEDED.split(' ').collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" }]
    });
    let mut bundle = Bundle::new();
    bundle.executable("bin/strange", "\u{1}\u{2}strange");
    bundle.set("/linux/seccomp", filter).set("/process/args", json!(["strange"]));
    bundle.create().ok();
    bundle.start().fails("exec format error");
    bundle.await_death(bundle.pid());
    bundle.delete().ok();
}

#[test]
fn default_profiles_of_clients_run_busybox() {
    for (client, capabilities) in
        [("docker", profiles::FOURTEEN), ("podman", profiles::ELEVEN), ("containerd", profiles::FOURTEEN)]
    {
        let mut bundle = Bundle::new();
        bundle.set("/linux/seccomp", profiles::resolve(client, profiles::AMD64, capabilities));
        let script = "mkdir /d && touch /d/f && ls /d && sleep 0.01 && echo x | cat && (exit 3); echo $?";
        assert_eq!(bundle.payload(script), "f\nx\n3\n", "{client}");
    }
}

#[test]
fn dockers_profile_denies_and_allows_what_docker_says() {
    let table = [
        ("add_key", one(248, 0), EPERM),
        ("keyctl", one(250, 0), EPERM),
        ("io_uring_setup", one(425, 0), EPERM),
        ("userfaultfd", one(323, 0), EPERM),
        ("kexec_load", one(246, 0), EPERM),
        ("clone3", one(435, 0), ENOSYS),
        ("socket AF_ALG", Call(41, [38, 5, 0, 0, 0, 0]), EPERM),
        ("socket AF_VSOCK", Call(41, [40, 1, 0, 0, 0, 0]), EPERM),
        ("personality, query", one(135, 0xffff_ffff), 0),
        ("personality, other", one(135, 0x1234), EPERM),
        ("fsync", one(FSYNC, 900), EBADF),
        ("newer than the profile", one(5000, 0), ENOSYS),
    ];
    let calls: Vec<Call> = table.iter().map(|(_, call, _)| *call).collect();
    let seen = answers(profiles::docker(), &calls);
    for ((name, _, expected), seen) in table.iter().zip(seen) {
        assert_eq!(seen, *expected, "{name}");
    }
}
