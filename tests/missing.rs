//! What is not there, object by object: none of the messages is one that an engine takes for "the command was not found".
//!
//! podman matches `no such file or directory` and gives its user exit code 127, whatever is missing (crun #2193, podman #8174);
//! so does the docker CLI. Those words are for the command, for the interpreter of one, and for its working directory.

mod support;

use serde_json::{Value, json};
use std::fs;
use std::os::unix::net::UnixListener;
use support::messenger::Supervisor;
use support::{Bundle, Outcome, cgroups, is_peer, leaks, skip_on_peer};

/// What podman (libpod/oci_util.go, define/exec_codes.go) and the docker CLI (run.go) take for a missing command, in lower case.
const COMMAND_WORDS: [&str; 6] = [
    "executable file not found in",
    "no such file or directory",
    "open executable",
    "no such file",
    "not found",
    "executable path is empty",
];

/// Asserts that a call failed, and in no words of a missing command.
#[track_caller]
fn fails_otherwise(what: &str, outcome: &Outcome) {
    assert!(!matches!(outcome.code, Some(0) | None), "{what}: {outcome:#?}");
    let said = outcome.stderr.to_lowercase();
    assert!(!said.trim().is_empty(), "{what}: nothing was said");
    for words in COMMAND_WORDS {
        assert!(is_peer() || !said.contains(words), "{what}: {words:?} is in {outcome:#?}");
    }
}

/// `create` and `run` of a bundle with one change.
#[track_caller]
fn refused(pointer: &str, value: Value) {
    let mut bundle = Bundle::new();
    bundle.set(pointer, value);
    for outcome in [bundle.create(), bundle.run()] {
        fails_otherwise(pointer, &outcome);
        leaks::assert_nothing_left(&bundle);
    }
}

#[test]
fn what_the_configuration_names_and_is_not_there() {
    if skip_on_peer("runc 1.1 takes what it does not know") {
        return;
    }
    let none = "/no/such/thing";
    for (pointer, value) in [
        ("/root/path", json!(none)),
        ("/root/path", json!("nosuch")),
        ("/mounts/0", json!({ "destination": "/m", "source": none, "options": ["bind"] })),
        ("/mounts/0", json!({ "destination": "/m", "source": none, "options": ["rbind", "ro"] })),
        ("/mounts/0", json!({ "destination": "/m", "type": "ext4", "source": none })),
        ("/mounts/0", json!({ "destination": "/m", "type": "nosuchfs", "source": "x" })),
        ("/mounts/0", json!({ "destination": "/m", "options": ["remount"] })),
        ("/linux/namespaces/0/path", json!("/no/such/ns")),
        ("/linux/namespaces/0/path", json!("/proc/999999999/ns/pid")),
        ("/linux/sysctl", json!({ "net.nosuch.parameter": "1" })),
        ("/linux/netDevices", json!({ "nosuch0": {} })),
        ("/linux/intelRdt", json!({ "closID": "nosuch", "schemata": ["L3:0=f"] })),
        ("/process/apparmorProfile", json!("nosuch")),
        ("/process/selinuxLabel", json!("nosuch:nosuch:nosuch:s0")),
        ("/annotations", json!({ "run.oci.pidfd_receiver": none })),
        ("/hooks", json!({ "prestart": [{ "path": none }] })),
        ("/hooks", json!({ "createRuntime": [{ "path": none }] })),
        ("/hooks", json!({ "createContainer": [{ "path": none }] })),
    ] {
        refused(pointer, value);
    }
}

#[test]
fn what_a_start_needs_and_is_not_there() {
    if skip_on_peer("runc 1.1 takes what it does not know") {
        return;
    }
    let none = "/no/such/thing";
    for kind in ["startContainer", "poststart"] {
        let mut bundle = Bundle::new();
        bundle.set("/hooks", json!({ kind: [{ "path": none }] }));
        fails_otherwise(kind, &bundle.run());
        leaks::assert_nothing_left(&bundle);
        bundle.create().ok();
        fails_otherwise(kind, &bundle.start());
        bundle.delete_force().ok();
    }
    // The agent of a filter.
    let mut bundle = Bundle::new();
    bundle.set(
        "/linux/seccomp",
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": none,
            "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }] }),
    );
    fails_otherwise("listenerPath", &bundle.run());
    // The supervisor.
    fails_otherwise("NOTIFY_SOCKET", &bundle.finish(bundle.run_command(&[]).env("NOTIFY_SOCKET", none)));
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn device_that_the_host_lacks() {
    let mut bundle = Bundle::new();
    bundle.user_namespace(100_000, 65_536);
    bundle.push("/linux/devices", json!({ "path": "/dev/nosuch", "type": "c", "major": 1, "minor": 3 }));
    fails_otherwise("linux.devices", &bundle.create());
    leaks::assert_nothing_left(&bundle);
}

#[test]
fn files_and_sockets_that_options_name() {
    let mut bundle = Bundle::new();
    let none = "no/such/thing";
    for options in [
        &["--config", none][..],
        &["--pid-file", none],
        &["--pidfd-socket", none],
        &["--bundle", none],
        &["--log", "/no/such/log"],
        &["--log", "file:/no/such/log"],
    ] {
        fails_otherwise(options[0], &bundle.create_with(options));
        leaks::assert_nothing_left(&bundle);
    }
    bundle.set("/process/terminal", json!(true));
    fails_otherwise("--console-socket", &bundle.create_with(&["--console-socket", none]));
    // A terminal without a devpts.
    bundle.unmount("/dev/pts");
    let _listener = UnixListener::bind(bundle.dir.join("console")).unwrap();
    fails_otherwise("/dev/pts", &bundle.create_with(&["--console-socket", "console"]));
    leaks::assert_nothing_left(&bundle);
    fs::remove_file(bundle.path().join("config.json")).unwrap();
    let id = bundle.id.as_str();
    for words in [
        &["create", "--bundle", "bundle", id][..],
        &["run", "--bundle", "bundle", id],
        &["plan", "--bundle", "bundle"],
        &["plan", "--bundle", none],
        &["spec", "--bundle", none],
        &["state", "nosuch"],
        &["start", "nosuch"],
        &["kill", "nosuch"],
        &["delete", "nosuch"],
        &["exec", "nosuch", "true"],
        &["ps", "nosuch"],
        &["pause", "nosuch"],
        &["resume", "nosuch"],
        &["update", "--pids-limit", "1", "nosuch"],
        &["events", "--stats", "nosuch"],
    ] {
        if !(is_peer() && words[0] == "plan") {
            fails_otherwise(words[0], &bundle.call(words));
        }
    }
    if !is_peer() {
        fails_otherwise("list", &bundle.finish(bundle.command(&["list"]).arg("--root=/no/such")));
    }
}

#[test]
fn files_that_exec_and_update_name() {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let none = "no/such/thing";
    for options in [
        &["--process", none][..],
        &["--pid-file", none],
        &["--pidfd-socket", none],
        &["--cgroup", "nosuch"],
        &["--console-socket", none, "--tty", "--detach"],
        &["--apparmor", "nosuch"],
    ] {
        fails_otherwise(options[0], &bundle.exec(options, &["true"]));
    }
    fails_otherwise("--resources", &bundle.call(&["update", "--resources", none, &bundle.id]));
    bundle.kill_and_delete();
}

#[test]
fn cgroup_that_has_vanished_under_a_container() {
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    let pid = bundle.pid();
    // Its processes are moved out, and their cgroups removed.
    for (point, _) in cgroups::hierarchies() {
        for directory in cgroups::named(&bundle.id).iter().rev().filter(|path| path.starts_with(&point)) {
            for process in fs::read_to_string(directory.join("cgroup.procs")).unwrap().lines() {
                let _may_have_ended = fs::write(point.join("cgroup.procs"), process);
            }
            fs::remove_dir(directory).unwrap();
        }
    }
    let id = bundle.id.as_str();
    for words in [
        &["exec", id, "true"][..],
        &["pause", id],
        &["update", "--pids-limit", "9", id],
        &["events", "--stats", id],
        &["ps", id],
    ] {
        let outcome = bundle.call(words);
        // What needs no cgroup may succeed.
        if outcome.code != Some(0) {
            fails_otherwise(words[0], &outcome);
        }
    }
    let exec = bundle.call(&["exec", id, "true"]);
    assert!(is_peer() || exec.code == Some(255), "{exec:#?}");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    bundle.await_death(pid);
    bundle.delete_force().ok();
}

#[test]
fn files_of_the_state_that_are_gone() {
    if skip_on_peer("the state directory is corten's own") {
        return;
    }
    let bundle = Bundle::sleeper();
    bundle.create().ok();
    let state = bundle.root().join(&bundle.id);
    fs::remove_file(state.join("exec.json")).unwrap();
    fails_otherwise("exec.json", &bundle.exec(&[], &["true"]));
    fs::remove_file(state.join("start.sock")).unwrap();
    fails_otherwise("start.sock", &bundle.start());
    fs::remove_file(state.join("state.json")).unwrap();
    fails_otherwise("state.json", &bundle.call(&["state", &bundle.id]));
    bundle.kill("KILL");
    cgroups::named(&bundle.id).iter().for_each(|path| {
        for process in fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default().lines() {
            let pid = rustix::process::Pid::from_raw(process.parse().unwrap()).unwrap();
            let _may_have_ended = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            bundle.await_death(pid.as_raw_nonzero().get());
        }
    });
    for path in cgroups::named(&bundle.id).iter().rev() {
        fs::remove_dir(path).unwrap();
    }
    bundle.delete_force().ok();
    let _ = fs::remove_dir_all(state);
    // Its supervisor's directory.
    let bundle = Bundle::new();
    let _supervisor = Supervisor::at(&bundle.dir.join("supervisor"));
    let socket = bundle.dir.join("supervisor");
    bundle.finish(bundle.create_command(&[]).env("NOTIFY_SOCKET", &socket)).ok();
    fs::remove_dir_all(bundle.root().join(&bundle.id).join("notify")).unwrap();
    bundle.finish(bundle.command(&["start", &bundle.id]).env("NOTIFY_SOCKET", &socket)).ok();
    bundle.await_and_delete();
}

#[test]
fn command_that_is_missing_is_told_in_those_words() {
    let mut bundle = Bundle::new();
    bundle.executable("bin/script", "#!/no/such/interpreter\n");
    let words = |text: &str| COMMAND_WORDS[..2].iter().any(|words| text.contains(words));
    for args in [json!(["nosuch"]), json!(["/no/such"]), json!(["script"])] {
        bundle.set("/process/args", args.clone());
        let outcome = bundle.run();
        assert!(words(&outcome.stderr), "{args}: {outcome:#?}");
    }
    let bundle = Bundle::sleeper();
    bundle.run_detached();
    for (options, command) in [
        (&[][..], "nosuch"),
        (&[], "/no/such"),
        (&["--cwd", "/no/such"], "true"),
        (&["-e", "PATH=/x"], "true"),
    ] {
        let outcome = bundle.exec(options, &[command]);
        assert!(words(&outcome.stderr), "{command}: {outcome:#?}");
    }
    bundle.kill_and_delete();
}
