//! What the process of `exec` is: every flag, the container's own values where there is none, the document of `--process`.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Bundle, is_peer, probe, skip_on_peer};

/// A running container with whatever `change` makes of its configuration.
fn running(change: impl FnOnce(&mut Bundle)) -> Bundle {
    let mut bundle = Bundle::sleeper();
    change(&mut bundle);
    bundle.run_detached();
    bundle
}

const SHOW_STATUS: [&str; 2] = ["cat", "/proc/self/status"];

fn status(bundle: &Bundle, flags: &[&str]) -> String {
    bundle.exec(flags, &SHOW_STATUS).ok().stdout
}

/// Writes a document for `--process` and returns its path.
fn document(bundle: &Bundle, process: &Value) -> String {
    let path = bundle.dir.join("process.json");
    fs::write(&path, process.to_string()).unwrap();
    path.display().to_string()
}

#[test]
fn the_containers_own_values_count_where_nothing_is_said() {
    let bundle = running(|bundle| {
        bundle
            .set("/process/user", json!({ "uid": 1000, "gid": 1001, "umask": 0o027, "additionalGids": [5] }))
            .set("/process/cwd", json!("/tmp"))
            .set("/process/oomScoreAdj", json!(321))
            .set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]))
            .push("/process/env", json!("OWN=1"));
    });
    let output = bundle.exec_sh(&[], "id -u; id -g; id -G; umask; pwd; ulimit -n; echo $OWN $HOME");
    let umask = if is_peer() { "0022" } else { "0027" };
    assert_eq!(output, format!("1000\n1001\n1001 5\n{umask}\n/tmp\n77\n1 /home/user\n"));
    assert_eq!(bundle.exec_sh(&[], "cat /proc/self/oom_score_adj"), "321\n");
    let output = status(&bundle, &[]);
    assert_eq!(probe::status(&output, "NoNewPrivs"), "1");
    assert_eq!(probe::status(&output, "CapBnd"), "0000000020000420");
    bundle.kill_and_delete();
}

#[test]
fn a_bundle_that_changed_changes_nothing() {
    if skip_on_peer("runc reads the bundle again") {
        return;
    }
    let mut bundle = running(|_| ());
    bundle
        .set("/process/user", json!({ "uid": 1, "gid": 1 }))
        .push("/process/env", json!("NEW=1"))
        .write_config();
    assert_eq!(bundle.exec_sh(&[], "id -u; echo \"<$NEW>\""), "0\n<>\n");
    bundle.kill_and_delete();
}

#[test]
fn user_is_exactly_the_one_that_was_typed() {
    let bundle = running(|bundle| {
        bundle.set("/process/user", json!({ "uid": 7, "gid": 8, "additionalGids": [9] }));
    });
    for (typed, uid, gid) in [
        ("0", "0", "8"),
        ("1", "1", "8"),
        ("1:2", "1", "2"),
        ("0:0", "0", "0"),
        ("1000:100", "1000", "100"),
        ("2147483647:2147483647", "2147483647", "2147483647"),
    ] {
        if is_peer() && uid == "2147483647" {
            continue; // runc 1.1 takes half of all ids
        }
        for flag in ["--user", "-u"] {
            let output = status(&bundle, &[flag, typed]);
            assert_eq!(probe::status(&output, "Uid"), [uid; 4].join("\t"), "{typed}");
            assert_eq!(probe::status(&output, "Gid"), [gid; 4].join("\t"), "{typed}");
            assert_eq!(probe::status(&output, "Groups"), "9", "{typed}");
        }
    }
    bundle.kill_and_delete();
}

#[test]
fn what_is_no_number_is_refused_as_a_user() {
    // CVE-2026-30892; the whole table stands beside the parser.
    if skip_on_peer("runc 1.1 reads +1 and 01, and leaves it to the kernel what -1 is") {
        return;
    }
    let bundle = running(|_| ());
    for typed in [
        ":",
        ":1",
        "1:",
        "1::2",
        "1:2:3",
        "+1",
        "-1",
        "1:-2",
        " 1",
        "1 ",
        "\t1",
        "01",
        "0x1",
        "1e3",
        "1.0",
        "root",
        "root:root",
        "4294967295",
        "1:4294967295",
        "4294967296",
        "18446744073709551616",
    ] {
        let outcome = bundle.exec(&["--user", typed], &["id"]).fails_with(255, "is no UID or UID:GID");
        assert_eq!(outcome.stdout, "", "{typed}");
    }
    for typed in ["", "-1", "+1", "x", "4294967296"] {
        bundle.exec(&["--additional-gids", typed], &["id"]).fails_with(255, "is no GID");
    }
    bundle.kill_and_delete();
}

#[test]
fn additional_groups_are_added() {
    let bundle = running(|bundle| {
        bundle.set("/process/user", json!({ "uid": 0, "gid": 0, "additionalGids": [5] }));
    });
    for flag in ["--additional-gids", "-g"] {
        assert_eq!(probe::status(&status(&bundle, &[flag, "70", flag, "80"]), "Groups"), "5 70 80");
    }
    bundle.kill_and_delete();
}

#[test]
fn environment_is_the_containers_then_what_was_typed_and_the_last_wins() {
    if skip_on_peer("runc 1.1 passes both of two equal ones") {
        return;
    }
    let bundle = running(|bundle| {
        bundle.set("/process/env", json!(["PATH=/bin", "A=1", "HOME=/h", "B=2"]));
    });
    let output = bundle.exec(&["-e", "C=3", "--env", "A=9", "-e", "D=a=b\nc"], &["env"]).ok().stdout;
    assert_eq!(output, "PATH=/bin\nHOME=/h\nB=2\nC=3\nA=9\nD=a=b\nc\n");
    bundle.exec(&["-e", "NOTHING"], &["env"]).fails_with(255, "\"NOTHING\" has no =");
    bundle.exec(&["-e", "PATH=/nosuch"], &["env"]).fails_with(255, "executable file not found in $PATH");
    bundle.kill_and_delete();
}

#[test]
fn home_is_that_of_the_user_that_was_typed() {
    let bundle = running(|_| ());
    for (user, home) in [("0", "/root"), ("1000", "/home/user"), ("4242", "/")] {
        assert_eq!(bundle.exec_sh(&["-u", user], "echo $HOME"), format!("{home}\n"));
    }
    bundle.kill_and_delete();
}

#[test]
fn working_directory_is_the_one_typed_and_never_outside() {
    let bundle = running(|_| ());
    assert_eq!(bundle.exec_sh(&["--cwd", "/tmp"], "pwd"), "/tmp\n");
    bundle.exec(&["--cwd", "/no/such"], &["true"]).fails_with(255, "no such file or directory");
    bundle
        .exec(&["--cwd", "tmp"], &["true"])
        .fails_with(255, if is_peer() { "" } else { "not an absolute path" });
    // CVE-2024-21626
    for number in 3..24 {
        let cwd = format!("/proc/self/fd/{number}");
        std::os::unix::fs::symlink(&cwd, bundle.rootfs().join(format!("link{number}"))).unwrap();
        for cwd in [cwd.clone(), format!("/link{number}")] {
            let outcome = bundle.exec(&["--cwd", &cwd], &["ls"]);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(255), ""), "{cwd}: {outcome:#?}");
        }
    }
    bundle.kill_and_delete();
}

/// The sets inheritable, permitted, effective, bounding and ambient.
fn capability_sets(output: &str) -> [u64; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|field| u64::from_str_radix(probe::status(output, field), 16).unwrap())
}

const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_RAW: u64 = 1 << 13;
const OWN: u64 = KILL | NET_BIND_SERVICE | 1 << 29;

#[test]
fn capabilities_are_the_containers_and_those_typed() {
    let bundle = running(|_| ());
    assert_eq!(capability_sets(&status(&bundle, &[])), [0, OWN, OWN, OWN, 0]);
    let more = OWN | NET_RAW;
    for flag in ["--cap", "-c"] {
        assert_eq!(capability_sets(&status(&bundle, &[flag, "CAP_NET_RAW"])), [0, more, more, more, 0]);
    }
    // An ordinary user has what is ambient, and nothing is.
    let sets = capability_sets(&status(&bundle, &["-c", "CAP_NET_RAW", "-u", "1000"]));
    assert_eq!(sets, [0, 0, 0, more, 0]);
    if !is_peer() {
        bundle.exec(&["--cap", "CAP_WEATHER"], &["true"]).fails_with(255, "no capability has this name");
    }
    bundle.kill_and_delete();
}

#[test]
fn container_without_capabilities_gives_exactly_those_typed() {
    // CVE-2025-27612
    let bundle = running(|bundle| {
        bundle.set("/process/capabilities", json!({}));
    });
    assert_eq!(capability_sets(&status(&bundle, &[])), [0; 5]);
    assert_eq!(capability_sets(&status(&bundle, &["--cap", "CAP_KILL"])), [0, KILL, KILL, KILL, 0]);
    bundle.kill_and_delete();
}

#[test]
fn no_new_privileges_can_be_added() {
    let bundle = running(|bundle| {
        bundle.set("/process/noNewPrivileges", json!(false));
    });
    assert_eq!(probe::status(&status(&bundle, &[]), "NoNewPrivs"), "0");
    assert_eq!(probe::status(&status(&bundle, &["--no-new-privs"]), "NoNewPrivs"), "1");
    bundle.kill_and_delete();
}

#[test]
fn labels_that_cannot_be_had_fail_the_process() {
    let bundle = running(|_| ());
    if !fs::exists("/sys/module/apparmor/parameters/enabled").unwrap() && !is_peer() {
        bundle.exec(&["--apparmor", "nosuch"], &["true"]).fails_with(255, "AppArmor is not enabled");
    }
    if !fs::exists("/sys/fs/selinux/enforce").unwrap() {
        let outcome = bundle.exec(&["--process-label", "a:b:c:s0"], &["echo", "ran"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(255), ""), "{outcome:#?}");
        assert!(is_peer() || outcome.stderr.contains("SELinux is not enabled"), "{outcome:#?}");
    }
    bundle.kill_and_delete();
}

#[test]
fn descriptors_of_the_caller_stay_outside() {
    let bundle = running(|_| ());
    let open = "for n in 3 4 5 6 7 8 9; do eval \"exec $n</\"; done; exec \"$@\"";
    let words = ["exec", &bundle.id, "ls", "-1", "/proc/self/fd"];
    let outcome = bundle.finish(&mut bundle.command_under(&["sh", "-c", open, "sh"], &words)).ok();
    // The fourth is the one that ls reads the directory by.
    assert_eq!(outcome.stdout, "0\n1\n2\n3\n");

    fs::write(bundle.dir.join("three"), "three\n").unwrap();
    let words = [
        "exec",
        "--preserve-fds",
        "1",
        &bundle.id,
        "sh",
        "-c",
        "cat <&3; test -e /proc/self/fd/4 || echo no 4",
    ];
    let wrapper = ["sh", "-c", "exec 3<three 4</; exec \"$@\"", "sh"];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    assert_eq!(outcome.stdout, "three\nno 4\n");
    if !is_peer() {
        bundle.exec(&["--preserve-fds", "4"], &["true"]).fails_with(255, "is not open");
    }
    bundle.kill_and_delete();
}

#[test]
fn document_is_the_process_and_flags_of_the_command_are_its_own() {
    let bundle = running(|bundle| {
        bundle.push("/process/env", json!("OWN=1"));
    });
    let process = json!({
        "args": ["sh", "-c", "id -u; pwd; echo \"<$OWN>\" $DOC; umask; ulimit -n", "--foo"],
        "cwd": "/tmp", "env": ["PATH=/bin", "DOC=2"], "user": { "uid": 3, "gid": 4, "umask": 0o077 },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 55, "hard": 55 }]
    });
    let umask = if is_peer() { "0022" } else { "0077" };
    for flag in ["--process", "-p"] {
        let output = bundle.exec(&[flag, &document(&bundle, &process)], &[]).ok().stdout;
        assert_eq!(output, format!("3\n/tmp\n<> 2\n{umask}\n55\n"));
    }
    assert_eq!(bundle.exec(&[], &["sh", "-c", "echo $0 $1", "--tty", "-u"]).ok().stdout, "--tty -u\n");
    bundle.kill_and_delete();
}

#[test]
fn document_without_bounds_has_the_containers() {
    let bundle = running(|bundle| {
        bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 77, "hard": 88 }]));
    });
    let mut process = json!({ "args": SHOW_STATUS, "cwd": "/", "env": ["PATH=/bin"], "user": {} });
    let output = bundle.exec(&["-p", &document(&bundle, &process)], &[]).ok().stdout;
    assert_eq!(capability_sets(&output), [0, OWN, OWN, OWN, 0]);
    assert_eq!(probe::status(&output, "NoNewPrivs"), "0", "that one is the document's own affair");
    process["capabilities"] = json!({});
    process["args"] = json!(["sh", "-c", "cat /proc/self/status; ulimit -n"]);
    let output = bundle.exec(&["-p", &document(&bundle, &process)], &[]).ok().stdout;
    assert_eq!(capability_sets(&output), [0; 5]);
    // A peer's process has those of the runtime then.
    assert!(is_peer() || output.ends_with("\n77\n"), "{output}");
    bundle.kill_and_delete();
}

#[test]
fn document_that_is_wrong_says_where() {
    if skip_on_peer("the words are ours") {
        return;
    }
    let bundle = running(|_| ());
    let place = document(&bundle, &json!({ "args": [], "cwd": "/" }));
    bundle.exec(&["-p", &place], &[]).fails_with(255, "process.json: args: must not be empty");
    let place = document(&bundle, &json!({ "args": ["true"], "cwd": "/", "user": { "uid": "x" } }));
    bundle.exec(&["-p", &place], &[]).fails_with(255, "user.uid");
    bundle.exec(&["-p", "nosuch.json"], &[]).fails_with(255, "nosuch.json");
    bundle.kill_and_delete();
}

#[test]
fn affinity_is_the_documents_or_every_processor() {
    if skip_on_peer("runc 1.1 has no execCPUAffinity") {
        return;
    }
    if processors() < 2 {
        return eprintln!("skipped: one processor alone");
    }
    let bundle = running(|_| ());
    let allowed = |affinity: Value| {
        let mut process = json!({ "args": SHOW_STATUS, "cwd": "/", "env": ["PATH=/bin"], "user": {} });
        process["execCPUAffinity"] = affinity;
        let words = ["exec", "-p", &document(&bundle, &process), &bundle.id];
        let outcome = bundle.finish(&mut bundle.command_under(&["taskset", "-c", "1"], &words)).ok();
        probe::status(&outcome.stdout, "Cpus_allowed_list").to_owned()
    };
    let all = format!("0-{}", processors() - 1);
    assert_eq!(allowed(Value::Null), all, "the caller's binding is not the container's");
    assert_eq!(allowed(json!({ "initial": "0" })), "0");
    assert_eq!(allowed(json!({ "initial": "0", "final": "1" })), "1");
    assert_eq!(allowed(json!({ "final": "0" })), "0");
    bundle.kill_and_delete();
}

#[test]
fn scheduling_is_the_documents_also_in_a_user_namespace() {
    if skip_on_peer("runc 1.1 has no scheduler") {
        return;
    }
    for user_namespace in [false, true] {
        let bundle = running(|bundle| {
            if user_namespace {
                bundle.user_namespace(100_000, 65536);
            }
        });
        let process = json!({
            "args": ["sh", "-c", "set -- $(cat /proc/self/stat); shift 18; echo $1"], "cwd": "/",
            "env": ["PATH=/bin"], "user": {}, "scheduler": { "policy": "SCHED_OTHER", "nice": -5 }
        });
        let output = bundle.exec(&["-p", &document(&bundle, &process)], &[]).ok().stdout;
        assert_eq!(output, "-5\n", "user namespace: {user_namespace}");
        bundle.kill_and_delete();
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn signals_and_session_of_the_caller_stay_outside() {
    if skip_on_peer("runc 1.1 passes a blocked SIGUSR1 and an ignored SIGHUP on") {
        return;
    }
    let bundle = running(|_| ());
    let wrapper = ["env", "--ignore-signal=PIPE", "--ignore-signal=HUP", "--block-signal=USR1"];
    let words = [&["exec", &bundle.id], &SHOW_STATUS[..]].concat();
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    for field in ["SigBlk", "SigIgn"] {
        let mask = u64::from_str_radix(probe::status(&outcome.stdout, field), 16).unwrap();
        assert_eq!(mask & !(0b11 << 31), 0, "{field}");
    }
    assert_eq!(
        bundle.exec_sh(&[], "set -- $(cat /proc/$$/stat); test $5 = $$ && test $6 = $$ && echo leader"),
        "leader\n"
    );
    bundle.kill_and_delete();
}
