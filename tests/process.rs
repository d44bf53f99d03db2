//! The process: ids, groups, umask, capabilities, limits, directory, environment, descriptors, signals.
//!
//! Rows (`B1` …) are those of `config-checklist.md`; B16 to B18 are in `scheduling.rs`, `cgroups.rs` and `exec.rs`.

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Bundle, is_peer, probe, skip_on_peer};

const SHOW_STATUS: &str = "exec cat /proc/self/status";

#[test]
fn ids_and_groups_are_exactly_those_listed() {
    // B7, B9
    let mut bundle = Bundle::new();
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1001, "additionalGids": [5, 2000] }));
    let output = bundle.payload(SHOW_STATUS);
    assert_eq!(probe::status(&output, "Uid"), "1000\t1000\t1000\t1000");
    assert_eq!(probe::status(&output, "Gid"), "1001\t1001\t1001\t1001");
    assert_eq!(probe::status(&output, "Groups"), "5 2000");
}

#[test]
fn groups_of_the_caller_are_dropped() {
    // B9
    let bundle = Bundle::sh(SHOW_STATUS);
    bundle.write_config();
    let wrapper = ["setpriv", "--groups", "4242,4243"];
    let outcome =
        bundle.finish(&mut bundle.command_under(&wrapper, &["run", "--bundle", "bundle", &bundle.id])).ok();
    assert_eq!(probe::status(&outcome.stdout, "Groups"), "");
}

#[test]
fn umask_is_0022_unless_set() {
    // B8, D2: the specification says unchanged, clients rely on 0022.
    let mut bundle = Bundle::sh("umask");
    bundle.write_config();
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let under_077 = ["sh", "-c", "umask 077; exec \"$@\"", "sh"];
    assert_eq!(bundle.finish(&mut bundle.command_under(&under_077, &words)).ok().stdout, "0022\n");
    bundle.set("/process/user/umask", json!(0o027));
    assert_eq!(bundle.payload("umask"), "0027\n");
}

/// The five sets of the payload, as hexadecimal masks.
fn capability_sets(output: &str) -> [u64; 5] {
    ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .map(|field| u64::from_str_radix(probe::status(output, field), 16).unwrap())
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_BIND_SERVICE: u64 = 1 << 10;

fn with_capabilities(sets: Value) -> Bundle {
    let mut bundle = Bundle::new();
    bundle.set("/process/capabilities", sets);
    bundle
}

#[test]
fn five_capability_sets_are_exactly_those_listed() {
    // B10
    let mut bundle = with_capabilities(json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"]
    }));
    // As an ordinary user: root's exec would fill permitted from bounding.
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let sets = capability_sets(&bundle.payload(SHOW_STATUS));
    assert_eq!(sets, [KILL, KILL, KILL, CHOWN | KILL | NET_BIND_SERVICE, KILL]);
}

#[test]
fn exec_gives_root_the_bounding_set_only_if_it_may_gain_privileges() {
    // B10, B11
    let mut bundle = with_capabilities(json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]
    }));
    let both = CHOWN | KILL;
    assert_eq!(capability_sets(&bundle.payload(SHOW_STATUS)), [0, CHOWN, CHOWN, both, 0]);
    bundle.set("/process/noNewPrivileges", json!(false));
    assert_eq!(capability_sets(&bundle.payload(SHOW_STATUS)), [0, both, both, both, 0]);
}

#[test]
fn ordinary_user_has_no_capability_without_ambient_ones() {
    // B10
    let mut bundle = Bundle::new();
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let [inheritable, permitted, effective, _, ambient] = capability_sets(&bundle.payload(SHOW_STATUS));
    assert_eq!([inheritable, permitted, effective, ambient], [0; 4]);
}

#[test]
fn empty_capability_sets_leave_root_with_none() {
    // B10
    let mut bundle = with_capabilities(json!({}));
    assert_eq!(capability_sets(&bundle.payload(SHOW_STATUS)), [0; 5]);
}

#[test]
fn unknown_capability_is_a_warning() {
    // B10, D17
    let mut bundle = with_capabilities(json!({
        "bounding": ["CAP_KILL", "CAP_WEATHER"], "permitted": ["CAP_KILL", "CAP_WEATHER"], "effective": ["CAP_KILL"]
    }));
    assert_eq!(capability_sets(&bundle.payload(SHOW_STATUS))[3], KILL);
}

#[test]
fn no_new_privileges_is_as_set() {
    // B11
    for value in [true, false] {
        let mut bundle = Bundle::new();
        bundle.set("/process/noNewPrivileges", json!(value));
        let output = bundle.payload(SHOW_STATUS);
        assert_eq!(probe::status(&output, "NoNewPrivs"), if value { "1" } else { "0" });
    }
}

/// All sixteen with the names that `/proc/PID/limits` has for them, and values of their own. A machine need not allow
/// priorities at all, so those two are 0.
const RLIMITS: [(&str, &str, u64, u64); 16] = [
    ("RLIMIT_AS", "Max address space", 1 << 30, 1 << 31),
    ("RLIMIT_CORE", "Max core file size", 1024, 4096),
    ("RLIMIT_CPU", "Max cpu time", 101, 102),
    ("RLIMIT_DATA", "Max data size", 1 << 28, 1 << 29),
    ("RLIMIT_FSIZE", "Max file size", 1 << 26, 1 << 27),
    ("RLIMIT_LOCKS", "Max file locks", 103, 104),
    ("RLIMIT_MEMLOCK", "Max locked memory", 8192, 16384),
    ("RLIMIT_MSGQUEUE", "Max msgqueue size", 105, 106),
    ("RLIMIT_NICE", "Max nice priority", 0, 0),
    ("RLIMIT_NOFILE", "Max open files", 107, 108),
    ("RLIMIT_NPROC", "Max processes", 1000, 1001),
    ("RLIMIT_RSS", "Max resident set", 1 << 24, 1 << 25),
    ("RLIMIT_RTPRIO", "Max realtime priority", 0, 0),
    ("RLIMIT_RTTIME", "Max realtime timeout", 109, 110),
    ("RLIMIT_SIGPENDING", "Max pending signals", 111, 112),
    ("RLIMIT_STACK", "Max stack size", 1 << 20, 1 << 21),
];

#[test]
fn rlimits_are_set_soft_and_hard() {
    // B15
    let mut bundle = Bundle::new();
    bundle.unset("/process/rlimits");
    for (kind, _, soft, hard) in RLIMITS {
        bundle.push("/process/rlimits", json!({ "type": kind, "soft": soft, "hard": hard }));
    }
    let output = bundle.payload("cat /proc/self/limits");
    for (kind, name, soft, hard) in RLIMITS {
        let line = output.lines().find(|line| line.starts_with(name)).unwrap();
        let shown: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(shown, [soft.to_string(), hard.to_string()], "{kind}");
    }
}

#[test]
fn last_of_two_equal_rlimits_wins() {
    // B15, D10
    let mut bundle = Bundle::new();
    bundle.push("/process/rlimits", json!({ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 65 }));
    assert_eq!(bundle.payload("ulimit -n; ulimit -Hn"), "64\n65\n");
}

#[test]
fn oom_score_adj_is_set_or_left_alone() {
    // B14
    let mut bundle = Bundle::new();
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(bundle.payload("cat /proc/self/oom_score_adj"), own);
    bundle.set("/process/oomScoreAdj", json!(321));
    assert_eq!(bundle.payload("cat /proc/self/oom_score_adj"), "321\n");
}

#[test]
fn working_directory_is_made_if_missing() {
    // B4, D27
    let mut bundle = Bundle::new();
    bundle.set("/process/cwd", json!("/a/b"));
    assert_eq!(bundle.payload("pwd; stat -c %a:%u /a/b"), "/a/b\n755:0\n");
}

#[test]
fn working_directory_of_an_ordinary_user_may_be_its_own_alone() {
    // B4
    let mut bundle = Bundle::new();
    let home = bundle.rootfs().join("home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    bundle.set("/process/cwd", json!("/home")).set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(bundle.payload("pwd"), "/home\n");
}

#[test]
fn environment_is_the_configurations_alone_and_in_its_order() {
    // B6
    let mut bundle = Bundle::new();
    bundle.set("/process/env", json!(["PATH=/bin", "Z=1", "HOME=/h", "A=2", "M=two\nlines"]));
    bundle.set("/process/args", json!(["env"]));
    assert_eq!(bundle.run().ok().stdout, "PATH=/bin\nZ=1\nHOME=/h\nA=2\nM=two\nlines\n");
}

#[test]
fn last_of_two_equal_variables_wins() {
    // B6
    if skip_on_peer("runc 1.1 passes both") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle
        .set("/process/env", json!(["PATH=/bin", "HOME=/h", "A=1", "A=2"]))
        .set("/process/args", json!(["env"]));
    let output = bundle.run().ok().stdout;
    assert_eq!(output.lines().filter(|line| line.starts_with("A=")).collect::<Vec<_>>(), ["A=2"]);
}

#[test]
fn home_comes_from_the_containers_passwd_or_is_the_root() {
    // B6
    for (uid, env, home) in [
        (0, None, "/root"),
        (1000, None, "/home/user"),
        (4242, None, "/"),
        (0, Some("HOME=/set"), "/set"),
        (1000, Some("HOME="), "/home/user"),
    ] {
        let mut bundle = Bundle::new();
        bundle.set("/process/user", json!({ "uid": uid, "gid": 0 }));
        if env == Some("HOME=") && is_peer() {
            continue; // runc 1.1 takes an empty HOME as it is
        }
        if let Some(env) = env {
            bundle.push("/process/env", json!(env));
        }
        assert_eq!(bundle.payload("echo $HOME"), format!("{home}\n"), "uid {uid}, {env:?}");
    }
}

#[test]
fn program_is_found_in_the_containers_path() {
    // B5
    let mut bundle = Bundle::new();
    fs::create_dir(bundle.rootfs().join("opt")).unwrap();
    bundle.executable("opt/tool", "#!/bin/sh\necho tool $0 $1\n");
    bundle
        .set("/process/env", json!(["PATH=/nosuch:/opt:/bin"]))
        .set("/process/args", json!(["tool", "one"]));
    assert_eq!(bundle.run().ok().stdout, "tool /opt/tool one\n");
}

#[test]
fn program_with_a_slash_is_relative_to_the_working_directory() {
    // B5
    let mut bundle = Bundle::new();
    fs::create_dir(bundle.rootfs().join("opt")).unwrap();
    bundle.executable("opt/tool", "#!/bin/sh\necho tool\n");
    bundle.set("/process/cwd", json!("/opt")).set("/process/args", json!(["./tool"]));
    assert_eq!(bundle.run().ok().stdout, "tool\n");
}

#[test]
fn programs_that_cannot_be_run_are_refused_at_create_in_runcs_words() {
    // B5, D28; podman, docker and containerd make their exit codes 126 and 127 from these words.
    for (args, words) in [
        (json!(["nosuch"]), "exec: \"nosuch\": executable file not found in $PATH"),
        (json!(["/no/such"]), "exec: \"/no/such\": stat /no/such: no such file or directory"),
        (json!(["/etc/passwd"]), "exec: \"/etc/passwd\": permission denied"),
        (json!(["/etc"]), "exec: \"/etc\": is a directory"),
        (json!([""]), "exec: \"\": executable file not found in $PATH"),
    ] {
        if is_peer() && args[0] == "/etc" {
            continue; // runc 1.1 says "permission denied"
        }
        let mut bundle = Bundle::new();
        bundle.set("/process/args", args);
        let outcome = bundle.create().fails(words);
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
        support::leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn program_that_the_kernel_cannot_read_is_an_exec_format_error() {
    // B5
    let mut bundle = Bundle::new();
    bundle.executable("bin/strange", "\u{1}\u{2}strange");
    bundle.set("/process/args", json!(["strange"]));
    bundle.create().ok();
    // The exec itself comes at start.
    let outcome = bundle.start();
    bundle.await_death(bundle.pid());
    if !is_peer() {
        outcome.fails("exec format error");
    }
    bundle.delete().ok();
}

#[test]
fn payload_has_three_descriptors_whatever_the_caller_had() {
    let mut bundle = Bundle::sh("exec ls -1 /proc/self/fd");
    bundle.set("/process/args", json!(["ls", "-1", "/proc/self/fd"])).write_config();
    let open = "for n in 3 4 5 6 7 8 9; do eval \"exec $n</\"; done; exec \"$@\"";
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&["sh", "-c", open, "sh"], &words)).ok();
    // The fourth is the one that ls reads the directory by.
    assert_eq!(outcome.stdout, "0\n1\n2\n3\n");
}

#[test]
fn preserved_descriptors_come_after_the_standard_three() {
    let bundle = Bundle::sh("cat <&3; cat <&4; test -e /proc/self/fd/5 || echo no 5");
    bundle.write_config();
    fs::write(bundle.dir.join("three"), "three\n").unwrap();
    fs::write(bundle.dir.join("four"), "four\n").unwrap();
    let words = ["run", "--preserve-fds", "2", "--bundle", "bundle", &bundle.id];
    let wrapper = ["sh", "-c", "exec 3<three 4<four 5</; exec \"$@\"", "sh"];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    assert_eq!(outcome.stdout, "three\nfour\nno 5\n");
}

#[test]
fn d26_sockets_that_systemd_passes_to_the_runtime_reach_the_program() {
    let show = "echo \"<$LISTEN_FDS> <$LISTEN_PID>\"; cat <&3; cat <&4; test -e /proc/self/fd/5 || echo no 5";
    for (pid, expected) in [
        ("$$", "<2> <1>\nthree\nfour\nno 5\n"),
        // Meant for another process.
        ("1", "<> <>\nno 5\n"),
    ] {
        let bundle = Bundle::sh(show);
        bundle.write_config();
        fs::write(bundle.dir.join("three"), "three\n").unwrap();
        fs::write(bundle.dir.join("four"), "four\n").unwrap();
        let words = ["run", "--bundle", "bundle", &bundle.id];
        let script = format!("exec 3<three 4<four 5</; LISTEN_FDS=2 LISTEN_PID={pid} exec \"$@\"");
        let outcome = bundle.finish(&mut bundle.command_under(&["sh", "-c", &script, "sh"], &words)).ok();
        assert_eq!(outcome.stdout, expected, "LISTEN_PID={pid}");
    }
}

#[test]
fn preserving_a_descriptor_that_is_not_open_is_refused() {
    if skip_on_peer("runc takes a descriptor of its own for it") {
        return;
    }
    let bundle = Bundle::new();
    let outcome = bundle.run_with(&["--preserve-fds", "3"]);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    support::leaks::assert_nothing_left(&bundle);
}

/// A signal mask of the payload without the C library's own signals 32 and 33, which no program can reset portably.
fn signals(output: &str, field: &str) -> u64 {
    u64::from_str_radix(probe::status(output, field), 16).unwrap() & !(0b11 << 31)
}

#[test]
fn ignored_and_blocked_signals_of_the_caller_do_not_reach_the_payload() {
    if skip_on_peer("runc 1.1 passes a blocked SIGUSR1 and an ignored SIGHUP on") {
        return;
    }
    // conmon ignores SIGPIPE, podman blocks SIGUSR1.
    let mut bundle = Bundle::new();
    bundle.set("/process/args", json!(["cat", "/proc/self/status"])).write_config();
    let wrapper = ["env", "--ignore-signal=PIPE", "--ignore-signal=HUP", "--block-signal=USR1"];
    let words = ["run", "--bundle", "bundle", &bundle.id];
    let outcome = bundle.finish(&mut bundle.command_under(&wrapper, &words)).ok();
    assert_eq!(signals(&outcome.stdout, "SigBlk"), 0);
    assert_eq!(signals(&outcome.stdout, "SigIgn"), 0);
}

#[test]
fn payload_does_not_ignore_a_broken_pipe() {
    let mut bundle = Bundle::new();
    assert_eq!(signals(&bundle.payload(SHOW_STATUS), "SigIgn"), 0);
}

#[test]
fn payload_leads_a_session_of_its_own() {
    let mut bundle = Bundle::new();
    let output = bundle.payload("cut -d' ' -f1,5,6 /proc/1/stat");
    assert_eq!(output, "1 1 1\n");
}

#[test]
fn streams_belong_to_the_user_of_the_process() {
    // D26: an ordinary user may reopen /dev/stdout.
    let mut bundle = Bundle::new();
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(bundle.payload("stat -L -c %u /proc/self/fd/1; echo again >>/dev/stdout"), "1000\nagain\n");
}

#[test]
fn session_keyring_is_the_containers_own() {
    // B19
    let mut bundle = Bundle::new();
    bundle.set("/linux/maskedPaths", json!([]));
    let output = bundle.payload("grep -c _ses. /proc/keys; grep _ses. /proc/keys");
    assert!(output.contains(&format!("_ses.{}", bundle.id)), "{output}");
}

#[test]
fn personality_is_set() {
    // L16
    if skip_on_peer("runc 1.1 has no personality") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
    assert_eq!(bundle.payload("uname -m"), "i686\n");
}

#[test]
fn b1_container_without_a_process_is_created_and_cannot_start() {
    // The other tests of it are in lifecycle.rs.
    if skip_on_peer("runc 1.1 refuses it at create") {
        return;
    }
    let mut bundle = Bundle::new();
    bundle.unset("/process");
    bundle.create().ok();
    bundle.start().fails("config.json: process: missing, but start needs it");
    bundle.delete().ok();
    bundle.run().fails("config.json: process: missing, but run needs it");
}

#[test]
fn b5_without_a_path_no_program_is_found() {
    let mut bundle = Bundle::new();
    bundle.set("/process/env", json!(["HOME=/"]));
    bundle.create().fails("exec: \"true\": executable file not found in $PATH");
}

#[test]
fn b5_program_that_only_a_capability_may_execute_runs() {
    let capability = json!(["CAP_DAC_OVERRIDE"]);
    let mut bundle = Bundle::new();
    bundle.executable("tool", "#!/bin/sh\necho ran\n");
    fs::set_permissions(bundle.rootfs().join("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).set("/process/args", json!(["/tool"]));
    let said = bundle.create().fails("permission denied").says();
    assert!(said.contains("/tool"), "{said}");
    let sets = ["bounding", "permitted", "effective", "inheritable", "ambient"];
    for set in sets {
        bundle.set(&format!("/process/capabilities/{set}"), capability.clone());
    }
    assert_eq!(bundle.run().ok().stdout, "ran\n");
}

#[test]
fn b10_ambient_capability_that_is_not_inheritable_is_left_out() {
    let mut bundle = with_capabilities(json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_CHOWN", "CAP_KILL"]
    }));
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    assert_eq!(capability_sets(&bundle.payload(SHOW_STATUS))[4], KILL);
}

/// Whether the caller may lower scores and raise limits.
fn has_cap_sys_resource() -> bool {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    u64::from_str_radix(probe::status(&own, "CapEff"), 16).unwrap() & 1 << 24 != 0
}

#[test]
fn b14_b15_what_only_root_may_is_done_for_a_user_namespace_too() {
    // Without the capability the values go the way that everybody may.
    let (score, hard) = if has_cap_sys_resource() { (-321, 1_u64 << 40) } else { (321, 131_072) };
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65_536);
    bundle.set("/process/oomScoreAdj", json!(score));
    bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_MEMLOCK", "soft": 65_536, "hard": hard }]));
    let seen = bundle.payload("cat /proc/self/oom_score_adj; grep 'locked memory' /proc/self/limits");
    let words: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!([words[0], words[4], words[5]], [score.to_string().as_str(), "65536", &hard.to_string()]);
}

#[test]
fn b19_callers_keyring_stays_when_it_is_asked_for() {
    let mut bundle = Bundle::new();
    bundle.set("/linux/maskedPaths", json!([])).script("cat /proc/keys");
    let shown = bundle.run_with(&["--no-new-keyring"]).ok().stdout;
    assert!(!shown.contains(&format!("_ses.{}", bundle.id)), "{shown}");
}

#[test]
fn null_stdio_is_the_device_of_the_container() {
    if skip_on_peer("crun leaves the host's") {
        return;
    }
    let mut bundle = Bundle::new();
    let script = "for n in 0 2; do test /proc/self/fd/$n -ef /dev/null && echo own; done";
    bundle.script(script);
    let command = &mut bundle.run_command(&[]);
    let output = command.stderr(std::process::Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "own\nown\n");
    // A container without the device keeps what it was given.
    bundle.unmount("/dev/pts").unmount("/dev/shm").unmount("/dev/mqueue").unmount("/dev");
    let empty = bundle.rootfs().join("tmp");
    bundle.mount("/dev", "bind", empty.to_str().unwrap(), &["bind"]);
    bundle.script("cat; echo done");
    assert_eq!(bundle.run().ok().stdout, "done\n");
}
